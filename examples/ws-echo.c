/* SPDX-License-Identifier: MIT */
/*
 * A WebSocket echo, server and client: the second chapter of the tutorial.
 *
 *     ./ws-echo server 127.0.0.1:9001
 *     ./ws-echo client 127.0.0.1 9001 "hello"
 *
 * The server hijacks the HTTP connection of an upgrade request, as the proxy of the first chapter
 * does, and makes a WebSocket of it. The client dials, upgrades, sends a text, prints what comes
 * back and says goodbye.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>
#include <wstunnel/wstunnel.h>

/* Server ------------------------------------------------------------------------------------- */

enum { MESSAGE_MAX = 65536 };

typedef struct peer {
    wst_ctx_t *ctx;
    wst_hijack_t *hijack;
    wst_websocket_t *ws;
    wst_chunk_t *message; /* the pieces received so far; NULL: none */
    size_t len;
} peer_t;

/* Messages arrive in pieces, so a program need not buffer whole ones; this echo does. */
static void on_server_message(wst_websocket_t *ws, bool text, wst_slice_t piece, bool fin,
                              void *user_data) {
    peer_t *peer = user_data;
    if (peer->message == NULL)
        peer->message = wst_chunk_new(peer->ctx, MESSAGE_MAX);
    if (peer->message == NULL) {
        wst_websocket_end(ws, 1011, "out of memory");
        return;
    }
    /* Cannot overflow: max_message is MESSAGE_MAX. */
    if (piece.len > 0)
        memcpy(wst_chunk_data(peer->message) + peer->len, piece.data, piece.len);
    peer->len += piece.len;
    if (!fin)
        return;
    const wst_slice_t echo = {peer->message, wst_chunk_data(peer->message), peer->len};
    peer->message = NULL; /* sending takes the reference */
    peer->len = 0;
    /* If the client does not read, stop reading from it, so that nothing piles up here. */
    if (wst_websocket_send(ws, text, echo) == WST_WAIT)
        wst_websocket_read_stop(ws);
}

static void on_server_drain(wst_websocket_t *ws, void *user_data) {
    (void)user_data;
    wst_websocket_read_start(ws);
}

static void on_peer_closed(void *user_data) {
    peer_t *peer = user_data;
    wst_chunk_unref(peer->message);
    free(peer);
}

static void on_server_over(wst_websocket_t *ws, int error, const char *detail, void *user_data) {
    (void)user_data;
    printf("%s: %s %s\n", wst_websocket_peer(ws), error == 0 ? "done" : wst_strerror(error),
           detail);
    wst_websocket_close(ws, on_peer_closed);
}

static void on_hijack_closed(void *user_data) {
    peer_t *peer = user_data;
    if (peer->ws == NULL)
        on_peer_closed(peer);
}

static const wst_websocket_callbacks_t server_callbacks = {.size = sizeof(server_callbacks),
                                                           .on_message = on_server_message,
                                                           .on_drain = on_server_drain,
                                                           .on_over = on_server_over};

static void on_request(wst_hijack_t *hijack, const wst_http_head_t *head, void *user_data) {
    (void)head; /* any path will do */
    peer_t *peer = user_data;
    const wst_websocket_options_t options = {.size = sizeof(options),
                                             .callbacks = &server_callbacks,
                                             .user_data = peer,
                                             .max_message = MESSAGE_MAX};
    int status = wst_websocket_accept(&peer->ws, peer->ctx, hijack, &options);
    if (status != WST_EHANDSHAKE) /* that one has been answered: on_done follows */
        wst_hijack_close(hijack, on_hijack_closed);
}

static void on_done(wst_hijack_t *hijack, int status, void *user_data) {
    (void)status, (void)user_data;
    wst_hijack_close(hijack, on_hijack_closed);
}

static void on_accept(wst_listener_t *listener, wst_stream_t *connection, void *user_data) {
    (void)listener;
    peer_t *peer = calloc(1, sizeof(*peer));
    const wst_hijack_options_t options = {
        .size = sizeof(options), .on_request = on_request, .on_done = on_done, .user_data = peer};
    if (peer != NULL)
        peer->ctx = user_data;
    if (peer == NULL || wst_hijack_new(&peer->hijack, peer->ctx, connection, &options) != 0) {
        free(peer);
        wst_stream_close(connection, NULL);
    }
}

static int serve(wst_ctx_t *ctx, const char *address) {
    const wst_listener_options_t options = {
        .size = sizeof(options), .address = address, .on_accept = on_accept, .user_data = ctx};
    wst_listener_t *listener;
    int status = wst_listener_new(&listener, ctx, &options);
    if (status == 0)
        printf("listening on %s\n", wst_listener_address(listener));
    return status;
}

/* Client ------------------------------------------------------------------------------------- */

typedef struct client {
    wst_ctx_t *ctx;
    wst_websocket_t *ws;
    const char *host, *text;
    int result;
} client_t;

static void on_client_closed(void *user_data) {
    client_t *client = user_data;
    wst_ctx_close(client->ctx, NULL);
}

static void on_client_open(wst_websocket_t *ws, const char *protocol, void *user_data) {
    (void)protocol;
    client_t *client = user_data;
    const wst_slice_t text = wst_slice_static(client->text, strlen(client->text));
    if (wst_websocket_send(ws, true, text) < 0)
        wst_websocket_close(ws, on_client_closed);
}

static void on_client_message(wst_websocket_t *ws, bool text, wst_slice_t piece, bool fin,
                              void *user_data) {
    (void)text;
    client_t *client = user_data;
    fwrite(piece.data, 1, piece.len, stdout);
    if (fin) {
        putchar('\n');
        client->result = 0;
        wst_websocket_end(ws, 1000, "thank you");
    }
}

static void on_client_over(wst_websocket_t *ws, int error, const char *detail, void *user_data) {
    (void)user_data;
    if (error != 0)
        fprintf(stderr, "ws-echo: %s: %s\n", wst_strerror(error), detail);
    wst_websocket_close(ws, on_client_closed);
}

static const wst_websocket_callbacks_t client_callbacks = {.size = sizeof(client_callbacks),
                                                           .on_open = on_client_open,
                                                           .on_message = on_client_message,
                                                           .on_over = on_client_over};

static void on_dialled(int status, wst_stream_t *stream, void *user_data) {
    client_t *client = user_data;
    const wst_websocket_options_t options = {.size = sizeof(options),
                                             .callbacks = &client_callbacks,
                                             .user_data = client,
                                             .host = client->host};
    if (status == 0)
        status = wst_websocket_connect(&client->ws, client->ctx, stream, &options);
    if (status != 0) {
        fprintf(stderr, "ws-echo: %s\n", wst_strerror(status));
        if (stream != NULL)
            wst_stream_close(stream, NULL);
        wst_ctx_close(client->ctx, NULL);
    }
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    uv_loop_t *loop = uv_default_loop();
    wst_ctx_t *ctx;
    int status = wst_ctx_new(&ctx, loop, NULL);
    client_t client = {.result = 1};
    if (status == 0 && argc == 3 && strcmp(argv[1], "server") == 0) {
        status = serve(ctx, argv[2]);
    } else if (status == 0 && argc == 5 && strcmp(argv[1], "client") == 0) {
        const wst_dial_options_t options = {
            .size = sizeof(options), .host = argv[2], .port = (uint16_t)strtoul(argv[3], NULL, 10)};
        client = (client_t){.ctx = ctx, .host = argv[2], .text = argv[4], .result = 1};
        wst_dial_t *dial;
        status = wst_dial(&dial, ctx, &options, on_dialled, &client);
    } else if (status == 0) {
        fputs("usage: ws-echo server ADDRESS:PORT | ws-echo client HOST PORT TEXT\n", stderr);
        return 2;
    }
    if (status != 0) {
        fprintf(stderr, "ws-echo: %s\n", wst_strerror(status));
        return 1;
    }
    uv_run(loop, UV_RUN_DEFAULT);
    return client.result;
}
