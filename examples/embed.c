/* SPDX-License-Identifier: MIT */
/*
 * Server, agent and a request in one process on one loop: the third chapter of the tutorial.
 *
 *     ./embed example.com:80
 *
 * The server listens on a free port, the agent dials it, and then the program opens a connection
 * to the destination *through the agent*, as an appliance's management would, and sends an HTTP
 * request over it. A real WebSocket connects server and agent: in two processes on two machines
 * they work the same way.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>
#include <wstunnel/wstunnel.h>

typedef struct app {
    wst_ctx_t *ctx;
    wst_server_t *server;
    wst_agent_t *agent;
    wst_stream_t *stream;
    const char *destination;
    int result;
} app_t;

static void finish(app_t *app) {
    wst_agent_close(app->agent, NULL);
    wst_server_close(app->server, NULL);
    wst_ctx_close(app->ctx, NULL); /* waits for agent and server; then the loop ends */
}

/* The request, over a stream that is used like any other ------------------------------------- */

static void on_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    (void)stream, (void)user_data;
    fwrite(data.data, 1, data.len, stdout);
}

static void on_end(wst_stream_t *stream, void *user_data) {
    app_t *app = user_data;
    app->result = 0;
    wst_stream_close(stream, NULL);
    finish(app);
}

static void on_error(wst_stream_t *stream, int error, void *user_data) {
    fprintf(stderr, "embed: %s\n", wst_strerror(error));
    wst_stream_close(stream, NULL);
    finish(user_data);
}

static const wst_stream_callbacks_t callbacks = {
    .size = sizeof(callbacks), .on_read = on_read, .on_end = on_end, .on_error = on_error};

static void on_dialled(int status, wst_stream_t *stream, void *user_data) {
    app_t *app = user_data;
    if (status != 0) {
        fprintf(stderr, "embed: cannot reach %s: %s\n", app->destination, wst_strerror(status));
        finish(app);
        return;
    }
    char request[512];
    int len = snprintf(request, sizeof(request),
                       "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", app->destination);
    wst_slice_t slice;
    wst_stream_set_callbacks(stream, &callbacks, app);
    if (wst_slice_copy(&slice, app->ctx, request, (size_t)len) != 0 ||
        wst_stream_write(stream, &slice, 1) < 0) {
        wst_stream_close(stream, NULL);
        finish(app);
        return;
    }
    wst_stream_read_start(stream, 0);
}

/* The server: opens a connection through its first agent ------------------------------------- */

static void on_agent_up(wst_server_t *server, wst_remote_t *agent, void *user_data) {
    app_t *app = user_data;
    printf("agent %s is there\n", wst_remote_name(agent));
    const wst_flow_options_t options = {
        .size = sizeof(options), .destination = app->destination, .remote = agent};
    wst_server_dial_t *dial;
    int status = wst_server_dial(&dial, server, &options, on_dialled, app);
    if (status != 0) {
        fprintf(stderr, "embed: %s: %s\n", app->destination, wst_strerror(status));
        finish(app);
    }
}

static const wst_server_callbacks_t server_callbacks = {.size = sizeof(server_callbacks),
                                                        .on_agent_up = on_agent_up};

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    app_t app = {.destination = argc > 1 ? argv[1] : "127.0.0.1:80", .result = 1};
    uv_loop_t *loop = uv_default_loop();
    int status = wst_ctx_new(&app.ctx, loop, NULL);

    const wst_server_options_t server_options = {
        .size = sizeof(server_options), .callbacks = &server_callbacks, .user_data = &app};
    if (status == 0)
        status = wst_server_new(&app.server, app.ctx, &server_options);
    if (status == 0)
        status = wst_server_listen(app.server, "127.0.0.1:0", WST_ROLE_AGENTS);

    char url[128] = "";
    if (status == 0)
        snprintf(url, sizeof(url), "ws://%s", wst_server_address(app.server, 0));
    /* An agent reaches its own host only by a rule that names it; this one is for nothing else. */
    const char *const destinations[] = {app.destination, NULL};
    const wst_rule_t rule = {.size = sizeof(rule), .allow = true, .destinations = destinations};
    const wst_rules_options_t rules_options = {
        .size = sizeof(rules_options), .rules = &rule, .count = 1, .deny_by_default = true};
    wst_rules_t *rules = NULL;
    if (status == 0)
        status = wst_rules_new(&rules, &rules_options, NULL);
    const wst_agent_options_t agent_options = {
        .size = sizeof(agent_options), .url = url, .name = "embedded", .rules = rules};
    if (status == 0)
        status = wst_agent_new(&app.agent, app.ctx, &agent_options);
    if (status != 0) {
        fprintf(stderr, "embed: %s\n", wst_strerror(status));
        wst_rules_free(rules);
        return 1;
    }
    uv_run(loop, UV_RUN_DEFAULT);
    wst_rules_free(rules);
    uv_loop_close(loop);
    return app.result;
}
