/* SPDX-License-Identifier: MIT */
/*
 * A node of a browser grid: offers the WebDriver of its machine to the grid's clients, for as many
 * sessions at a time as it has slots, and reports how many are busy.
 *
 *     wstunnel-server --listen 127.0.0.1:8080
 *     chromedriver --port=9515
 *     ./grid-node ws://127.0.0.1:8080 node-1 9515 4
 *     curl --proxy http://127.0.0.1:8080 --proxytunnel http://webdriver.localhost:4444/status
 *
 * All nodes offer the one service, whatever the port of their driver. (Drivers serve requests to
 * localhost and names below it only.) The server gives each new tunnel to the node with the fewest,
 * and answers 503 if no slot is free in the grid. A client keeps its tunnel during its session.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>
#include <wstunnel/wstunnel.h>

static const char service[] = "webdriver.localhost:4444";
static wst_ctx_t *ctx;
static uint16_t port;
static uint32_t busy, slots;

static void report(void) {
    printf("%u of %u slots are busy\n", busy, slots);
}

static void on_dialled(int status, wst_stream_t *driver, void *user_data) {
    wst_request_connected(user_data, status, driver);
}

static void on_gone(wst_request_t *request, void *user_data) {
    (void)request; /* the client has left before the driver was connected */
    wst_dial_cancel(user_data);
}

static void on_dial(wst_agent_t *agent, wst_request_t *request, void *user_data) {
    (void)agent, (void)user_data;
    if (strcmp(wst_request_destination(request), service) != 0) {
        wst_request_deny(request, 403, "this node offers its WebDriver only", NULL);
        return;
    }
    const wst_dial_options_t options = {.size = sizeof(options), .host = "127.0.0.1", .port = port};
    wst_dial_t *dial;
    int status = wst_dial(&dial, ctx, &options, on_dialled, request);
    if (status == 0)
        wst_request_on_gone(request, on_gone, dial);
    else
        wst_request_connected(request, status, NULL);
}

static void on_open(wst_agent_t *agent, const wst_agent_stream_info_t *info, void *user_data) {
    (void)agent, (void)user_data;
    if (info->status != 0)
        return; /* no session: the driver could not be connected */
    busy++;
    report();
}

static void on_close(wst_agent_t *agent, const wst_agent_stream_info_t *info, void *user_data) {
    (void)agent, (void)info, (void)user_data;
    busy--;
    report();
}

static void on_down(wst_agent_t *agent, const wst_agent_failure_t *failure, void *user_data) {
    (void)agent, (void)user_data; /* it tries again by itself */
    printf("not connected: %s\n", failure->detail);
}

int main(int argc, char **argv) {
    port = argc == 5 ? (uint16_t)strtoul(argv[3], NULL, 10) : 0;
    slots = argc == 5 ? (uint32_t)strtoul(argv[4], NULL, 10) : 0;
    if (port == 0 || slots == 0) {
        fputs("usage: grid-node ws://SERVER NAME WEBDRIVER-PORT SLOTS\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    const wst_agent_callbacks_t callbacks = {.size = sizeof(callbacks),
                                             .on_dial = on_dial,
                                             .on_stream_open = on_open,
                                             .on_stream_close = on_close,
                                             .on_down = on_down};
    const wst_agent_options_t options = {.size = sizeof(options),
                                         .callbacks = &callbacks,
                                         .url = argv[1],
                                         .name = argv[2],
                                         .max_streams = slots};
    wst_agent_t *agent;
    int status = wst_ctx_new(&ctx, uv_default_loop(), NULL);
    if (status == 0 && (status = wst_agent_new(&agent, ctx, &options)) == 0)
        return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    fprintf(stderr, "grid-node: %s\n", wst_strerror(status));
    return 1;
}
