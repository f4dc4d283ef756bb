/* SPDX-License-Identifier: MIT */
/*
 * An appliance that calls home. It has a page for its maintainers but no open port: the page is
 * served through a tunnel that the appliance dials, on the loop of its own work (a timer).
 *
 *     wstunnel-server --listen 127.0.0.1:8080
 *     ./appliance ws://127.0.0.1:8080 pump-7
 *     curl --proxy http://127.0.0.1:8080 http://pump-7/
 *
 * on_dial makes each connection to the page from a pair of sockets: one end is the tunnel's, the
 * other one is read as HTTP. It denies all else, so the tunnel leads to the page and no further.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <uv.h>
#include <wstunnel/wstunnel.h>

static wst_ctx_t *ctx;
static char page[128];       /* the destination that clients ask for: "pump-7:80" */
static unsigned int strokes; /* the appliance's work */

static void on_stroke(uv_timer_t *timer) {
    (void)timer;
    strokes++;
}

static void on_request(wst_hijack_t *hijack, const wst_http_head_t *head, void *user_data) {
    (void)head, (void)user_data; /* every path has the same page */
    char body[32];
    snprintf(body, sizeof(body), "%u strokes\n", strokes);
    const wst_response_t response = {
        .size = sizeof(response), .status = 200, .reason = "OK", .body = body, .keep_alive = true};
    if (wst_hijack_respond(hijack, &response) != 0)
        wst_hijack_close(hijack, NULL);
}

static void on_done(wst_hijack_t *hijack, int status, void *user_data) {
    (void)status, (void)user_data;
    wst_hijack_close(hijack, NULL);
}

static int connect_page(wst_stream_t *ends[2]) {
    const wst_hijack_options_t http = {
        .size = sizeof(http), .on_request = on_request, .on_done = on_done};
    wst_hijack_t *hijack;
    int fds[2], status = uv_socketpair(SOCK_STREAM, 0, fds, 0, 0);
    if (status != 0)
        return status;
    for (int i = 0; i < 2 && status == 0; i++)
        status = wst_socket_open(&ends[i], ctx, fds[i], true);
    if (status == 0)
        status = wst_hijack_new(&hijack, ctx, ends[1], &http);
    for (int i = 0; i < 2 && status != 0; i++)
        if (ends[i] != NULL)
            wst_stream_close(ends[i], NULL);
        else
            close(fds[i]);
    return status;
}

static void on_dial(wst_agent_t *agent, wst_request_t *request, void *user_data) {
    (void)agent, (void)user_data;
    wst_stream_t *ends[2] = {NULL, NULL};
    if (strcmp(wst_request_destination(request), page) != 0) {
        wst_request_deny(request, 403, "only the appliance's page is served", NULL);
        return;
    }
    int status = connect_page(ends);
    wst_request_connected(request, status, status == 0 ? ends[0] : NULL);
}

static void on_down(wst_agent_t *agent, const wst_agent_failure_t *failure, void *user_data) {
    (void)agent, (void)user_data; /* it tries again by itself */
    fprintf(stderr, "not connected: %s\n", failure->detail);
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fputs("usage: appliance ws://SERVER NAME\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    snprintf(page, sizeof(page), "%s:80", argv[2]);
    const wst_agent_callbacks_t callbacks = {
        .size = sizeof(callbacks), .on_dial = on_dial, .on_down = on_down};
    const wst_agent_options_t options = {
        .size = sizeof(options), .callbacks = &callbacks, .url = argv[1], .name = argv[2]};
    wst_agent_t *agent;
    uv_timer_t work;
    uv_timer_init(uv_default_loop(), &work);
    uv_timer_start(&work, on_stroke, 1000, 1000);
    int status = wst_ctx_new(&ctx, uv_default_loop(), NULL);
    if (status == 0 && (status = wst_agent_new(&agent, ctx, &options)) == 0)
        return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    fprintf(stderr, "appliance: %s\n", wst_strerror(status));
    return 1;
}
