/* SPDX-License-Identifier: MIT */
/*
 * A WebSocket that carries a session (carrier.h).
 *
 * What the session wants to send is pulled once a turn of the loop, so that all that was written in
 * that turn goes out together, and only as much as the socket takes, so that the session decides
 * late what goes first.
 */
#include "carrier.h"
#include "tunnel.h"
#include "websocket.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum {
    MAGIC = 0x57534c4b,
    BATCH = 65536,       /* bytes queued before they are written */
    UNSENT_MAX = 131072, /* bytes not yet sent that the kernel keeps (TCP_NOTSENT_LOWAT) */
    WINDOW_LEAST = 1024,
    WINDOW_MOST = 1 << 30
};

const char *const wst__link_protocols[] = {"wstunnel.v1.bin", "wstunnel.v1.json", NULL};
const char *const wst__link_protocols_json[] = {"wstunnel.v1.json", NULL};

struct wst__link {
    uint32_t magic;
    size_t refs; /* itself and its streams */
    enum {
        RUNNING,
        ENDING, /* the closing handshake runs; nothing is moved any more */
        DOWN    /* on_down has run */
    } state;
    bool closing;
    wst_ctx_t *ctx;
    wst__link_options_t o;
    wst__greeting_t greeting;
    wst__deadline_t late;    /* the peer's hello */
    wst__session_t *session; /* made when the hellos have been said */
    wst_websocket_t *websocket;
    wst__defer_t defer; /* pull, or the close of a link without WebSocket */
    int error;          /* ending: of the session, or 0 */
    char detail[160];
    wst_close_cb close_cb;
};

static wst__link_t *self(void *user_data) {
    wst__link_t *l = user_data;
    assert(l->magic == MAGIC);
    return l;
}

void wst__link_ref(wst__link_t *l) {
    l->refs++;
}

void wst__link_unref(wst__link_t *l) {
    if (--l->refs > 0)
        return;
    wst_ctx_t *ctx = l->ctx;
    wst__defer_cancel(&l->defer);
    wst__session_free(l->session);
    wst__greeting_end(&l->greeting);
    l->magic = 0;
    wst__free(&ctx->allocator, l);
    wst__ctx_release(ctx);
}

static void drop_streams(wst__link_t *l) {
    if (l->session != NULL)
        wst__session_drop_streams(l->session, WST_ELOST);
}

static bool is_running(const wst__link_t *l) {
    return l->state == RUNNING && !l->closing;
}

/* Nothing is moved any more. */
static void stop_moving(wst__link_t *l) {
    wst__defer_cancel(&l->defer);
    wst__deadline_clear(&l->ctx->deadlines, &l->late);
}

static void go_down(wst__link_t *l, int error, const char *detail) {
    if (l->state == DOWN)
        return;
    l->state = DOWN;
    stop_moving(l);
    drop_streams(l);
    if (!l->closing)
        l->o.on_down(l, error, detail, l->o.user_data);
}

static int close_code(int error) {
    switch (error) {
    case WST_EPROTO:
        return 1002;
    case WST_EMSGBIG:
        return 1009;
    case WST_ENOMEM:
        return 1011;
    default:
        return 1008;
    }
}

/* The session is broken: the peer is told why, then it is over. */
static void session_failed(wst__link_t *l, int error, const char *detail) {
    if (!is_running(l))
        return;
    l->state = ENDING;
    l->error = error;
    snprintf(l->detail, sizeof(l->detail), "%s", detail);
    stop_moving(l);
    drop_streams(l);
    wst_websocket_end(l->websocket, close_code(error), l->detail);
}

static int next(wst__link_t *l, wst__outgoing_t *out) {
    if (!l->greeting.said)
        return wst__greeting_next(&l->greeting, out);
    return l->session != NULL ? wst__session_next(l->session, wst__now(l->ctx), out) : 0;
}

/* Moves messages from the session to the WebSocket's output, up to `limit` bytes there. 1: it has
 * so many; 0: the session has no more; or an error. */
static int fill(wst__link_t *l, size_t limit) {
    while (wst__websocket_queued(l->websocket) < limit) {
        wst__outgoing_t out;
        int status = next(l, &out);
        if (status <= 0)
            return status;
        status = wst__websocket_queue(l->websocket, out.text, out.head, out.head_len, out.payload);
        if (status != 0)
            return status;
    }
    return 1;
}

static void pull(wst__defer_t *defer) {
    wst__link_t *l = WST__CONTAINER(defer, wst__link_t, defer);
    int status = 1, written = 0;
    while (status > 0 && written == 0) {
        status = fill(l, BATCH);
        if (status >= 0)
            written = wst__websocket_flush(l->websocket);
    }
    if (written < 0)
        go_down(l, written, wst_strerror(written));
    else if (status < 0 && status != WST_ESTATE) /* that: it is closing, on_over follows */
        session_failed(l, status, wst_strerror(status));
}

static void wake(wst__link_t *l) {
    if (is_running(l))
        wst__defer(l->ctx, &l->defer, pull);
}

static void on_wakeup(wst__session_t *s, void *user_data) {
    (void)s;
    wake(self(user_data));
}

/* -- The session's side ----------------------------------------------------------------------- */

static void on_open(wst__session_t *s, wst__session_stream_t *st, wst_str_t dest, void *user_data) {
    (void)s;
    wst__link_t *l = self(user_data);
    wst__incoming_t *incoming;
    if (wst__incoming_new(&incoming, l, st) != 0) {
        wst__session_stream_close(st, WST_EMEMORY);
        return;
    }
    l->o.on_incoming(l, incoming, dest, l->o.user_data);
}

static void on_goaway(wst__session_t *s, int reason, void *user_data) {
    (void)s;
    wst__link_t *l = self(user_data);
    if (l->o.on_goaway != NULL)
        l->o.on_goaway(l, reason, l->o.user_data);
}

static void on_dead(wst__session_t *s, int error, void *user_data) {
    wst__link_t *l = self(user_data);
    /* A dead peer would not answer a close frame either. */
    go_down(l, error, wst__session_error_detail(s));
}

/* -- The beginning ----------------------------------------------------------------------------- */

static int start_session(wst__link_t *l) {
    wst__session_options_t options = {.pool = &l->ctx->pool,
                                      .budget = &l->ctx->budget,
                                      .deadlines = &l->ctx->deadlines,
                                      .client = l->o.client,
                                      .hello = l->greeting.ours,
                                      .ping_interval_ms = l->o.ping_interval_ms,
                                      .dead_after_ms = l->o.dead_after_ms,
                                      .window_max = l->o.window_max,
                                      .user_data = l};
    options.callbacks.on_open = l->o.on_incoming != NULL ? on_open : NULL;
    options.callbacks.on_goaway = on_goaway;
    options.callbacks.on_dead = on_dead;
    options.callbacks.on_wakeup = on_wakeup;
    wst__tunnel_session_callbacks(&options.callbacks);
    int status = wst__session_new(&l->session, &options);
    return status == 0 ? wst__session_attach(l->session, wst__now(l->ctx), l->greeting.encoding,
                                             &l->greeting.peer)
                       : status;
}

static void greeted(wst__link_t *l) {
    wst__greeting_end(&l->greeting);
    wst__deadline_clear(&l->ctx->deadlines, &l->late);
    int status = start_session(l);
    if (status != 0) {
        session_failed(l, status, wst_strerror(status));
        return;
    }
    status = l->o.on_up != NULL ? l->o.on_up(l, &l->greeting.peer, l->o.user_data) : 0;
    if (status < 0)
        session_failed(l, status, "hello not accepted");
}

static void on_late(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    /* A dead peer would not answer a close frame either. */
    go_down(WST__CONTAINER(deadline, wst__link_t, late), WST_ETIMEOUT, "no hello in time");
}

/* -- The WebSocket's side --------------------------------------------------------------------- */

static void on_websocket_open(wst_websocket_t *ws, const char *protocol, void *user_data) {
    wst__link_t *l = self(user_data);
    bool json = strcmp(protocol, wst__link_protocols[1]) == 0;
    if (!json && strcmp(protocol, wst__link_protocols[0]) != 0) {
        session_failed(l, WST_EHANDSHAKE, "the server speaks none of our subprotocols");
        return;
    }
    wst__websocket_set_notsent_lowat(ws, UNSENT_MAX);
    int status = wst__greeting_begin(&l->greeting, json ? WST_ENCODING_JSON : WST_ENCODING_BINARY);
    if (status != 0) {
        session_failed(l, status, wst_strerror(status));
        return;
    }
    wst__deadline_in(l->ctx, &l->late, l->o.hello_timeout_ms, on_late);
    wake(l);
}

static void greet(wst__link_t *l, bool text, wst_slice_t piece, bool fin) {
    int status = wst__greeting_recv(&l->greeting, text, piece, fin);
    if (status < 0)
        session_failed(l, status, l->greeting.detail);
    else if (status == 1)
        greeted(l);
}

static void on_message(wst_websocket_t *ws, bool text, wst_slice_t piece, bool fin,
                       void *user_data) {
    (void)ws;
    wst__link_t *l = self(user_data);
    /* What there is to say is queued before more is heard. So what still waits in the session after
     * that (pongs, refusals) waits for a peer that does not read, not for the end of this turn. */
    if (text && is_running(l) && !wst__list_empty(&l->defer.node) && fill(l, BATCH) != 0)
        pull(&l->defer);
    if (!is_running(l))
        return;
    if (l->session == NULL) {
        greet(l, text, piece, fin);
        return;
    }
    int status = wst__session_recv(l->session, wst__now(l->ctx), text, piece, fin);
    if (status < 0)
        session_failed(l, status, wst__session_error_detail(l->session));
}

static void on_drain(wst_websocket_t *ws, void *user_data) {
    (void)ws;
    wst__link_t *l = self(user_data);
    if (is_running(l))
        pull(&l->defer);
}

static void on_over(wst_websocket_t *ws, int error, const char *detail, void *user_data) {
    (void)ws;
    wst__link_t *l = self(user_data);
    if (l->error != 0)
        go_down(l, l->error, l->detail);
    else
        go_down(l, error, detail);
}

void wst__link_websocket_options(wst__link_t *l, wst_websocket_options_t *options) {
    options->callbacks =
        (wst_websocket_callbacks_t){on_websocket_open, on_message, on_drain, on_over};
    options->user_data = l;
    /* The largest text: a frame in JSON. The codec has the tighter bounds. */
    options->max_message = WST_JSON_DATA_MAX(WST_FRAME_MAX_LIMIT);
}

/* -- Life ------------------------------------------------------------------------------------- */

static bool is_window(size_t bytes) {
    return bytes == 0 || (bytes >= WINDOW_LEAST && bytes <= WINDOW_MOST);
}

bool wst__link_windows_valid(size_t first, size_t most) {
    return is_window(first) && is_window(most);
}

int wst__link_new(wst__link_t **out, wst_ctx_t *ctx, const wst__link_options_t *options) {
    wst__link_t *l = wst__zalloc(&ctx->allocator, sizeof(*l));
    if (l == NULL)
        return WST_ENOMEM;
    int status = wst__greeting_init(&l->greeting, &ctx->pool, &options->hello);
    if (status != 0) {
        wst__free(&ctx->allocator, l);
        return status;
    }
    l->magic = MAGIC;
    l->refs = 1;
    l->ctx = ctx;
    l->o = *options;
    if (l->o.hello_timeout_ms == 0)
        l->o.hello_timeout_ms = 10000;
    wst__defer_init(&l->defer);
    wst__ctx_hold(ctx);
    *out = l;
    return 0;
}

void wst__link_attach(wst__link_t *l, wst_websocket_t *websocket) {
    l->websocket = websocket;
}

wst__session_t *wst__link_session(const wst__link_t *l) {
    return l->session;
}

wst_websocket_t *wst__link_websocket(const wst__link_t *l) {
    return l->websocket;
}

wst_ctx_t *wst__link_ctx(const wst__link_t *l) {
    return l->ctx;
}

void wst__link_end(wst__link_t *l, int code, const char *reason) {
    if (!is_running(l) || l->websocket == NULL)
        return;
    l->state = ENDING;
    stop_moving(l);
    /* A goaway and last answers go out before all data; an error shows up in the loop. */
    (void)fill(l, wst__websocket_queued(l->websocket) + BATCH);
    wst_websocket_end(l->websocket, code, reason);
}

static void on_websocket_closed(void *user_data) {
    wst__link_t *l = self(user_data);
    l->websocket = NULL;
    drop_streams(l);
    if (l->close_cb != NULL)
        l->close_cb(l->o.user_data);
    wst__link_unref(l);
}

static void on_closed(wst__defer_t *defer) {
    on_websocket_closed(WST__CONTAINER(defer, wst__link_t, defer));
}

void wst__link_close(wst__link_t *l, wst_close_cb close_cb) {
    if (l->closing)
        return;
    l->closing = true;
    l->close_cb = close_cb;
    stop_moving(l);
    if (l->websocket != NULL)
        wst_websocket_close(l->websocket, on_websocket_closed);
    else
        wst__defer(l->ctx, &l->defer, on_closed);
}
