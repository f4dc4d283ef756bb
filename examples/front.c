/* SPDX-License-Identifier: MIT */
/*
 * A front end of your own: the fourth chapter of the tutorial.
 *
 *     ./front 127.0.0.1:7000 127.0.0.1:8080 '*.intranet.example:22,80'
 *     wstunnel-agent ws://127.0.0.1:8080
 *     printf 'wiki.intranet.example:80\nGET / HTTP/1.0\r\n\r\n' | nc 127.0.0.1 7000
 *
 * The first address speaks a protocol that the library does not know: a client sends a line
 * "HOST:PORT" and is connected to it; if that fails, it gets a line with the reason. The second
 * address is the server's, for agents. The third argument is the rule's pattern of destinations
 * that clients may reach; without it they may reach all.
 *
 * The section "The front end" is all the code it takes: a listener, a line, a flow. The rules, the
 * notices, the bounds and the drain are those of the server.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>
#include <wstunnel/wstunnel.h>

typedef struct visitor visitor_t;

typedef struct app {
    wst_ctx_t *ctx;
    wst_server_t *server;
    wst_access_t *access;
    wst_listener_t *listener;
    uv_signal_t signal;
    visitor_t *visitors; /* without a flow: their line is incomplete, or they were refused */
} app_t;

/* The front end ------------------------------------------------------------------------------ */

struct visitor {
    app_t *app;
    visitor_t *next, **at; /* links in app->visitors; `at` is NULL outside the list */
    wst_stream_t *stream;
    wst_flow_t *flow;
    char line[300];
    size_t len;
    bool refused; /* the line with the reason has been written, ... */
    bool shut;    /* ... and handed to the kernel, with the end behind it */
    bool ended;   /* the visitor has finished sending */
};

static void enlist(visitor_t *v) {
    v->next = v->app->visitors;
    v->at = &v->app->visitors;
    if (v->next != NULL)
        v->next->at = &v->next;
    v->app->visitors = v;
}

static void unlist(visitor_t *v) {
    if (v->at == NULL)
        return;
    *v->at = v->next;
    if (v->next != NULL)
        v->next->at = v->at;
    v->at = NULL;
}

static void on_visitor_closed(void *user_data) {
    unlist(user_data);
    free(user_data);
}

/* Sends the reason in a line, then the end, and waits for the visitor's end: if the stream were
 * closed at once, bytes that still arrive would reset the connection before the visitor has read
 * the line. (A public server would limit that wait.) */
static void say_no(visitor_t *v, const char *reason) {
    char line[400];
    wst_slice_t slice;
    v->refused = true;
    if (v->at == NULL)
        enlist(v);
    wst_stream_read_start(v->stream, 0);
    snprintf(line, sizeof(line), "error: %s\n", reason);
    if (wst_slice_copy(&slice, v->app->ctx, line, strlen(line)) != 0 ||
        wst_stream_write(v->stream, &slice, 1) < 0 || wst_stream_shutdown(v->stream) != 0)
        wst_stream_close(v->stream, on_visitor_closed);
}

static void on_established(wst_flow_t *flow, void *user_data) {
    visitor_t *v = user_data;
    if (wst_flow_relay(flow, v->stream) != 0) { /* no memory */
        wst_flow_cancel(flow);
        wst_stream_close(v->stream, on_visitor_closed);
    }
}

static void on_refused(wst_flow_t *flow, const wst_refusal_info_t *refusal, void *user_data) {
    visitor_t *v = user_data;
    (void)flow;
    v->flow = NULL;
    say_no(v, refusal->reason);
}

static void on_gone(wst_flow_t *flow, const wst_stream_info_t *info, void *user_data) {
    (void)flow;
    printf("%s was served: %llu bytes\n", info->client, (unsigned long long)info->bytes_to_client);
    free(user_data);
}

static const wst_flow_callbacks_t flow_callbacks = {.size = sizeof(flow_callbacks),
                                                    .on_established = on_established,
                                                    .on_refused = on_refused,
                                                    .on_gone = on_gone};

static void ask(visitor_t *v) {
    unlist(v);
    const wst_flow_options_t options = {
        .size = sizeof(options), .destination = v->line, .peer = wst_stream_peer(v->stream)};
    int status =
        wst_flow_new(&v->flow, wst_server_ingress(v->app->server), &options, &flow_callbacks, v);
    if (status != 0)
        say_no(v, wst_strerror(status));
}

/* Gathers the line; the bytes behind it are for the destination. */
static void on_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    visitor_t *v = user_data;
    if (v->refused)
        return;
    const uint8_t *end = memchr(data.data, '\n', data.len);
    size_t n = end != NULL ? (size_t)(end - data.data) : data.len;
    if (v->len + n >= sizeof(v->line)) {
        say_no(v, "the line is too long");
        return;
    }
    memcpy(v->line + v->len, data.data, n);
    v->len += n;
    if (end == NULL)
        return;
    const wst_slice_t rest = {data.chunk, end + 1, data.len - n - 1};
    wst_stream_read_stop(stream);
    if (rest.len > 0 && wst_stream_unread(stream, wst_slice_ref(rest)) != 0)
        wst_stream_close(stream, on_visitor_closed);
    else
        ask(v);
}

static void close_if_done(visitor_t *v) {
    if (!v->refused || (v->shut && v->ended))
        wst_stream_close(v->stream, on_visitor_closed);
}

/* The visitor was refused, or has ended before its line was complete. */
static void on_end(wst_stream_t *stream, void *user_data) {
    visitor_t *v = user_data;
    (void)stream;
    v->ended = true;
    close_if_done(v);
}

static void on_shutdown(wst_stream_t *stream, void *user_data) {
    visitor_t *v = user_data;
    (void)stream;
    v->shut = true;
    close_if_done(v);
}

static void on_error(wst_stream_t *stream, int error, void *user_data) {
    visitor_t *v = user_data;
    (void)error;
    if (v->flow != NULL)
        wst_flow_cancel(v->flow);
    wst_stream_close(stream, on_visitor_closed);
}

static const wst_stream_callbacks_t visitor_callbacks = {.size = sizeof(visitor_callbacks),
                                                         .on_read = on_read,
                                                         .on_end = on_end,
                                                         .on_shutdown = on_shutdown,
                                                         .on_error = on_error};

static void on_accept(wst_listener_t *listener, wst_stream_t *stream, void *user_data) {
    visitor_t *v = calloc(1, sizeof(*v));
    (void)listener;
    if (v == NULL) {
        wst_stream_close(stream, NULL);
        return;
    }
    v->app = user_data;
    v->stream = stream;
    enlist(v);
    wst_stream_set_callbacks(stream, &visitor_callbacks, v);
    wst_stream_read_start(stream, sizeof(v->line));
}

/* The server: agents, rules, notices, drain -------------------------------------------------- */

static void on_choose(wst_server_t *server, wst_request_t *request, void *user_data) {
    wst_access_choose(((app_t *)user_data)->access, server, request);
}

static void on_reached(wst_server_t *server, wst_request_t *request, void *user_data) {
    wst_access_reached(((app_t *)user_data)->access, server, request);
}

static void on_agent_up(wst_server_t *server, wst_remote_t *agent, void *user_data) {
    (void)server, (void)user_data;
    printf("agent %s is there\n", wst_remote_name(agent));
}

static void on_stream_open(wst_server_t *server, const wst_stream_info_t *info, void *user_data) {
    (void)server, (void)user_data;
    printf("open: %s to %s\n", info->client, info->destination);
}

static void on_server_closed(void *user_data) {
    app_t *app = user_data;
    for (visitor_t *v = app->visitors; v != NULL; v = v->next)
        wst_stream_close(v->stream, on_visitor_closed);
    wst_access_free(app->access);
    wst_ctx_close(app->ctx, NULL);
}

static void on_drained(wst_server_t *server, void *user_data) {
    (void)user_data;
    wst_server_close(server, on_server_closed);
}

/* SIGTERM: accepts no new visitors and refuses those without a flow; flows may finish. */
static void on_signal(uv_signal_t *handle, int number) {
    app_t *app = handle->data;
    (void)number;
    printf("draining\n");
    uv_close((uv_handle_t *)handle, NULL);
    wst_listener_close(app->listener, NULL);
    for (visitor_t *v = app->visitors; v != NULL; v = v->next)
        if (!v->refused)
            say_no(v, "shutting down");
    wst_server_drain(app->server);
}

/* Makes access control that allows only destinations that match `pattern`; NULL: no rules. */
static int make_access(app_t *app, const char *pattern) {
    const char *const destinations[] = {pattern, NULL};
    const wst_rule_t rule = {.size = sizeof(rule), .allow = true, .destinations = destinations};
    const wst_rules_options_t rules = {
        .size = sizeof(rules), .rules = &rule, .count = 1, .deny_by_default = true};
    wst_access_options_t options = {.size = sizeof(options)};
    int status = pattern != NULL ? wst_rules_new(&options.rules, &rules, NULL) : 0;
    return status == 0 ? wst_access_new(&app->access, app->ctx, &options, NULL) : status;
}

static const wst_server_callbacks_t server_callbacks = {.size = sizeof(server_callbacks),
                                                        .on_choose = on_choose,
                                                        .on_reached = on_reached,
                                                        .on_agent_up = on_agent_up,
                                                        .on_stream_open = on_stream_open,
                                                        .on_drained = on_drained};

static int start(app_t *app, char **argv, const char *pattern) {
    const wst_server_options_t server = {
        .size = sizeof(server), .callbacks = &server_callbacks, .user_data = app};
    const wst_listener_options_t front = {
        .size = sizeof(front), .address = argv[1], .on_accept = on_accept, .user_data = app};
    int status = wst_ctx_new(&app->ctx, uv_default_loop(), NULL);
    if (status == 0)
        status = make_access(app, pattern);
    if (status == 0)
        status = wst_server_new(&app->server, app->ctx, &server);
    if (status == 0)
        status = wst_server_listen(app->server, argv[2], WST_ROLE_AGENTS);
    if (status == 0)
        status = wst_listener_new(&app->listener, app->ctx, &front);
    if (status == 0)
        status = uv_signal_init(uv_default_loop(), &app->signal);
    app->signal.data = app;
    return status == 0 ? uv_signal_start(&app->signal, on_signal, SIGTERM) : status;
}

int main(int argc, char **argv) {
    static app_t app;
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: front FRONT_ADDRESS AGENTS_ADDRESS [HOST:PORTS]\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    int status = start(&app, argv, argv[3]);
    if (status != 0) {
        fprintf(stderr, "front: %s\n", wst_strerror(status));
        return 1;
    }
    printf("front end on %s, agents on %s\n", wst_listener_address(app.listener),
           wst_server_address(app.server, 0));
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    uv_loop_close(uv_default_loop());
    return 0;
}
