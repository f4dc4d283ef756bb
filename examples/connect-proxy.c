/* SPDX-License-Identifier: MIT */
/*
 * A plain HTTP CONNECT proxy: the first chapter of the tutorial.
 *
 *     ./connect-proxy 127.0.0.1:3128
 *     curl -p -x http://127.0.0.1:3128 http://example.com/
 *
 * Three pieces of the library do all the work:
 *
 *   hijack  reads the head of an HTTP request and hands over the connection behind it;
 *   dial    opens a connection to a host and port;
 *   pump    joins two connections until both directions are done.
 *
 * Each is a call that starts something and a callback that says how it went.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>
#include <wstunnel/wstunnel.h>

/* One client: the user_data of every call on its behalf. */
typedef struct client {
    wst_ctx_t *ctx;
    wst_hijack_t *hijack;
    wst_pump_t *pump;
} client_t;

/* 4. Both directions are done, or one side broke. */
static void on_pump_closed(void *user_data) {
    free(user_data);
}

static void on_pumped(wst_pump_t *pump, int status, void *user_data) {
    wst_pump_stats_t stats = {.size = sizeof(stats)};
    wst_pump_get_stats(pump, &stats);
    printf("tunnel over: %llu bytes out, %llu bytes in: %s\n",
           (unsigned long long)stats.bytes_a_to_b, (unsigned long long)stats.bytes_b_to_a,
           status == 0 ? "ended" : wst_strerror(status));
    wst_pump_close(pump, on_pump_closed);
    (void)user_data; /* freed when the pump has been closed */
}

/* Closing is asynchronous: memory that a callback may still use is freed in the close_cb. */
static void on_hijack_closed(void *user_data) {
    client_t *client = user_data;
    if (client->pump == NULL)
        free(client);
}

/* 3. The site is connected, or is not. */
static void on_dialled(int status, wst_stream_t *site, void *user_data) {
    client_t *client = user_data;
    if (status != 0) {
        const wst_response_t response = {.size = sizeof(response),
                                         .status = 502,
                                         .reason = "Bad Gateway",
                                         .body = wst_strerror(status)};
        if (wst_hijack_respond(client->hijack, &response) != 0)
            wst_hijack_close(client->hijack, on_hijack_closed);
        return;
    }
    /* Take over the connection. It first delivers the bytes that followed the request. */
    static const char ok[] = "HTTP/1.1 200 Connection established\r\n\r\n";
    const wst_slice_t answer = wst_slice_static(ok, sizeof(ok) - 1);
    const wst_pump_options_t options = {
        .size = sizeof(options), .on_done = on_pumped, .user_data = client};
    wst_stream_t *connection;
    if (wst_hijack_take(client->hijack, &connection) != 0) {
        wst_stream_close(site, NULL);
    } else if (wst_stream_write(connection, &answer, 1) < 0 ||
               wst_pump_new(&client->pump, client->ctx, connection, site, &options) != 0) {
        wst_stream_close(connection, NULL);
        wst_stream_close(site, NULL);
    }
    wst_hijack_close(client->hijack, on_hijack_closed);
}

/* 2. A request's head is complete. */
static void on_request(wst_hijack_t *hijack, const wst_http_head_t *head, void *user_data) {
    client_t *client = user_data;
    wst_http_target_t target;
    const char *why = "only CONNECT is served here\n";
    int status = 405;
    if (wst_str_eq(head->method, "CONNECT") && wst_http_parse_target(&target, head, &why) != 0)
        status = 400;
    else if (wst_str_eq(head->method, "CONNECT"))
        status = 0;
    if (status == 0) {
        char host[256];
        snprintf(host, sizeof(host), "%.*s", (int)target.authority.host.len,
                 target.authority.host.ptr);
        printf("CONNECT %s port %u\n", host, target.authority.port);
        const wst_dial_options_t options = {
            .size = sizeof(options), .host = host, .port = target.authority.port};
        wst_dial_t *dial;
        if (wst_dial(&dial, client->ctx, &options, on_dialled, client) == 0)
            return;
        status = 500;
    }
    const wst_response_t response = {
        .size = sizeof(response), .status = status, .reason = "Not served", .body = why};
    if (wst_hijack_respond(hijack, &response) != 0)
        wst_hijack_close(hijack, on_hijack_closed);
}

/* The client has left, has sent a malformed request (already answered), or has its answer. */
static void on_done(wst_hijack_t *hijack, int status, void *user_data) {
    (void)status, (void)user_data;
    wst_hijack_close(hijack, on_hijack_closed);
}

/* 1. A client has connected. */
static void on_accept(wst_listener_t *listener, wst_stream_t *connection, void *user_data) {
    (void)listener;
    const wst_hijack_options_t options = {.size = sizeof(options),
                                          .on_request = on_request,
                                          .on_done = on_done,
                                          .user_data = calloc(1, sizeof(client_t))};
    client_t *client = options.user_data;
    if (client != NULL)
        client->ctx = user_data;
    if (client == NULL || wst_hijack_new(&client->hijack, client->ctx, connection, &options) != 0) {
        free(client);
        wst_stream_close(connection, NULL);
    }
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN); /* a client that disconnects must not end the program */
    uv_loop_t *loop = uv_default_loop();
    wst_ctx_t *ctx;
    wst_listener_t *listener;
    int status = wst_ctx_new(&ctx, loop, NULL);
    if (status == 0) {
        const wst_listener_options_t options = {.size = sizeof(options),
                                                .address = argc > 1 ? argv[1] : "127.0.0.1:3128",
                                                .on_accept = on_accept,
                                                .user_data = ctx};
        status = wst_listener_new(&listener, ctx, &options);
    }
    if (status != 0) {
        fprintf(stderr, "connect-proxy: %s\n", wst_strerror(status));
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("listening on %s\n", wst_listener_address(listener));
    return uv_run(loop, UV_RUN_DEFAULT);
}
