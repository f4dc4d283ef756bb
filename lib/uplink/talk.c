/* SPDX-License-Identifier: MIT */
/*
 * A WebSocket that carries one tunnel (talk.h): its messages, gathered whole, and its life until it
 * is a stream. The stream is in talk_stream.c.
 *
 * It closes itself when its WebSocket is over, except as a stream, which its owner closes.
 */
#include "talk_internal.h"

#include <stdio.h>
#include <string.h>

static wst__talk_t *self(void *user_data) {
    wst__talk_t *t = user_data;
    assert(t->magic == WST__TALK_MAGIC);
    return t;
}

/* -- The end ---------------------------------------------------------------------------------- */

void wst__talk_destroy(wst__talk_t *t) {
    wst_ctx_t *ctx = t->ctx;
    wst__defer_cancel(&t->defer);
    wst__bufq_reset(&t->unread);
    wst_chunk_unref(t->message);
    t->magic = 0;
    wst__free(&ctx->allocator, t);
}

static void on_websocket_closed(void *user_data) {
    wst__talk_t *t = self(user_data);
    wst_stream_t *stream = t->stream;
    void (*on_closed)(void *) = t->o.on_closed;
    void *owner = t->o.user_data;
    t->ws = NULL;
    if (stream == NULL || t->stream_closed) {
        wst__talk_destroy(t);
        if (stream != NULL)
            wst_stream_closed(stream);
    }
    on_closed(owner);
}

void wst__talk_drop(wst__talk_t *t) {
    if (t->phase == WST__TALK_CLOSING)
        return;
    t->phase = WST__TALK_CLOSING;
    wst_websocket_close(t->ws, on_websocket_closed);
}

void wst__talk_close(wst__talk_t *t) {
    if (t->phase == WST__TALK_STREAM)
        wst__talk_stream_fail_later(t, WST_ELOST);
    wst__talk_drop(t);
}

void wst__talk_end(wst__talk_t *t, int code, const char *reason) {
    if (t->phase >= WST__TALK_STREAM)
        return;
    t->phase = WST__TALK_ENDING;
    wst_websocket_end(t->ws, code, reason);
}

/* The server's question has no answer. With this protocol an agent refuses by leaving. */
static void tell_asker(wst__talk_t *t, int error, const char *detail) {
    char text[WST_ERROR_TEXT_MAX];
    bool broken = error == WST_EPROTO || error == WST_EMSGBIG || error == WST_ENOMEM;
    int n = snprintf(text, sizeof(text), "%s%s",
                     broken ? "" : "the agent left instead of connecting: ", detail);
    size_t len = (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
    t->callback(broken ? error : (int)WST_EUNREACHABLE, (wst_str_t){text, len}, NULL, t->asker);
}

/* Whoever counts on it learns that there will be no stream. */
static void tell_down(wst__talk_t *t, wst__talk_phase_t phase, int error, const char *detail) {
    if (phase == WST__TALK_ASKED && t->client) {
        t->on_gone(t, error == WST_EWSCLOSED ? WST_ECANCELLED : WST_ELOST, t->asker);
        return;
    }
    if (phase == WST__TALK_ASKED)
        tell_asker(t, error, detail);
    if (t->phase != WST__TALK_CLOSING) /* by whom it was told */
        t->o.on_down(t, error, detail, t->o.user_data);
}

/* The peer broke the protocol, or there is no memory: it is told, then it is over. */
static void fail(wst__talk_t *t, int error, const char *detail) {
    const int code = error == WST_EPROTO ? 1002 : error == WST_EMSGBIG ? 1009 : 1011;
    wst__talk_phase_t phase = t->phase;
    if (phase == WST__TALK_STREAM) {
        wst_websocket_end(t->ws, code, detail);
        wst__talk_stream_fail(t, error);
        return;
    }
    wst__talk_end(t, code, detail);
    tell_down(t, phase, error, detail);
}

static void on_over(wst_websocket_t *ws, int error, const char *detail, void *user_data) {
    (void)ws;
    wst__talk_t *t = self(user_data);
    wst__talk_phase_t phase = t->phase;
    if (phase == WST__TALK_STREAM) {
        wst__talk_stream_over(t, error);
        return;
    }
    t->phase = WST__TALK_ENDING;
    if (phase != WST__TALK_ENDING)
        tell_down(t, phase, error != 0 ? error : WST_EWSCLOSED, detail);
    wst__talk_drop(t);
}

/* -- Messages out ----------------------------------------------------------------------------- */

int wst__talk_send(wst__talk_t *t, const wst_message_t *m) {
    bool data = m->method == WST_MSG_COMMUNICATION;
    size_t cap = data ? WST_JSON_DATA_MAX(m->len) : (size_t)WST__TALK_CONTROL_MAX;
    wst_chunk_t *chunk = wst__pool_chunk(&t->ctx->pool, cap);
    if (chunk == NULL)
        return WST_ENOMEM;
    int len = wst__talk_write(m, wst_chunk_data(chunk), cap);
    if (len < 0) {
        wst_chunk_unref(chunk);
        return len;
    }
    const wst_slice_t slice = {chunk, wst_chunk_data(chunk), (size_t)len};
    /* As the talk does it; a reader need not care. */
    return wst__websocket_queue(t->ws, !data, NULL, 0, slice);
}

/* A handshake or completed, which goes out at once. */
static int send_control(wst__talk_t *t, const wst_message_t *m) {
    int status = wst__talk_send(t, m);
    if (status == 0)
        status = wst__websocket_flush(t->ws);
    if (status < 0)
        return status == WST_ENOMEM || status == WST_EINVAL ? status : (int)WST_ELOST;
    t->waiting = status == WST_WAIT;
    return 0;
}

int wst__talk_ask(wst__talk_t *t, const char *dest, wst__opened_cb callback, void *user_data) {
    if (t->phase != WST__TALK_WAITING)
        return WST_ELOST;
    const wst_message_t m = {.method = WST_MSG_HANDSHAKE, .dest = {dest, strlen(dest)}};
    int status = send_control(t, &m);
    if (status != 0)
        return status;
    t->phase = WST__TALK_ASKED;
    t->callback = callback;
    t->asker = user_data;
    snprintf(t->dest, sizeof(t->dest), "%s", dest);
    return 0;
}

void wst__talk_on_gone(wst__talk_t *t,
                       void (*on_gone)(wst__talk_t *talk, int reason, void *user_data),
                       void *user_data) {
    t->on_gone = on_gone;
    t->asker = user_data;
}

int wst__talk_accept(wst__talk_t *t, wst_stream_t **stream) {
    assert(t->client && t->phase == WST__TALK_ASKED);
    const wst_message_t m = {.method = WST_MSG_COMPLETED};
    int status = send_control(t, &m);
    if (status == 0)
        status = wst__talk_become_stream(t);
    if (status == 0)
        *stream = t->stream;
    return status;
}

/* -- Messages in ------------------------------------------------------------------------------ */

/* The agent has connected. */
static void on_completed(wst__talk_t *t) {
    int status = wst__talk_become_stream(t);
    if (status != 0)
        fail(t, status, wst_strerror(status));
    else
        t->callback(0, (wst_str_t){NULL, 0}, t->stream, t->asker);
}

static void handle(wst__talk_t *t, const wst_message_t *m, wst_chunk_t *chunk) {
    if (t->phase == WST__TALK_STREAM && m->method == WST_MSG_COMMUNICATION) {
        if (!t->heard && t->o.on_data != NULL)
            t->o.on_data(t, t->o.user_data);
        t->heard = true;
        int status = wst__talk_stream_data(t, (wst_slice_t){chunk, m->data, m->len});
        if (status != 0)
            fail(t, status, wst_strerror(status));
    } else if (t->phase == WST__TALK_ASKED && !t->client && m->method == WST_MSG_COMPLETED) {
        on_completed(t);
    } else if (t->phase == WST__TALK_WAITING && t->client && m->method == WST_MSG_HANDSHAKE) {
        t->phase = WST__TALK_ASKED;
        snprintf(t->dest, sizeof(t->dest), "%.*s", (int)m->dest.len, m->dest.ptr);
        t->o.on_handshake(t, m->dest, t->o.user_data);
    } else {
        fail(t, WST_EPROTO, "message out of turn");
    }
}

static void end_of_message(wst__talk_t *t) {
    wst_chunk_t *chunk = t->message;
    size_t len = t->message_len;
    t->message = NULL;
    t->message_len = 0;
    wst_message_t m;
    const char *why;
    if (chunk == NULL)
        fail(t, WST_EPROTO, "empty message");
    else if (wst__talk_read(&m, (char *)wst_chunk_data(chunk), len, &why) != 0)
        fail(t, WST_EPROTO, why);
    else
        handle(t, &m, chunk);
    wst_chunk_unref(chunk);
}

/* Adds a piece to the message that comes in. */
static int gather(wst__talk_t *t, wst_slice_t piece) {
    size_t max = t->phase == WST__TALK_STREAM ? WST__TALK_MESSAGE_MAX : WST__TALK_CONTROL_MAX;
    if (piece.len > max - t->message_len)
        return WST_EMSGBIG;
    size_t len = t->message_len + piece.len;
    if (len == 0)
        return 0;
    if (t->message == NULL || wst_chunk_capacity(t->message) < len) {
        /* The pool's capacities are powers of two, so this happens a few times a message. */
        wst_chunk_t *chunk = wst__pool_chunk(&t->ctx->pool, len);
        if (chunk == NULL)
            return WST_ENOMEM;
        if (t->message_len > 0)
            memcpy(wst_chunk_data(chunk), wst_chunk_data(t->message), t->message_len);
        wst_chunk_unref(t->message);
        t->message = chunk;
    }
    if (piece.len > 0)
        memcpy(wst_chunk_data(t->message) + t->message_len, piece.data, piece.len);
    t->message_len = len;
    return 0;
}

static void on_message(wst_websocket_t *ws, bool text, wst_slice_t piece, bool fin,
                       void *user_data) {
    (void)ws;
    (void)text; /* either will do */
    wst__talk_t *t = self(user_data);
    if (t->phase > WST__TALK_STREAM || t->over)
        return;
    int status = gather(t, piece);
    if (status != 0)
        fail(t, status, wst_strerror(status));
    else if (fin)
        end_of_message(t);
}

/* -- Life ------------------------------------------------------------------------------------- */

static void on_open(wst_websocket_t *ws, const char *protocol, void *user_data) {
    (void)ws;
    (void)protocol;
    wst__talk_t *t = self(user_data);
    if (t->phase != WST__TALK_OPENING)
        return;
    t->phase = WST__TALK_WAITING;
    t->o.on_open(t, t->o.user_data);
}

static void on_drain(wst_websocket_t *ws, void *user_data) {
    (void)ws;
    wst__talk_t *t = self(user_data);
    t->waiting = false;
    if (t->phase == WST__TALK_STREAM && !t->over)
        wst_stream_emit_drain(t->stream);
}

static wst__talk_t *make(wst_ctx_t *ctx, bool client, const wst__talk_options_t *options) {
    wst__talk_t *t = wst__zalloc(&ctx->allocator, sizeof(*t));
    if (t == NULL)
        return NULL;
    t->magic = WST__TALK_MAGIC;
    t->ctx = ctx;
    t->client = client;
    t->o = *options;
    wst__defer_init(&t->defer);
    wst__bufq_init(&t->unread, &ctx->pool);
    return t;
}

static wst_websocket_options_t options_of(wst__talk_t *t,
                                          const wst_websocket_options_t *websocket) {
    wst_websocket_options_t options = *websocket;
    options.callbacks = (wst_websocket_callbacks_t){on_open, on_message, on_drain, on_over};
    options.user_data = t;
    return options;
}

int wst__talk_connect(wst__talk_t **out, wst_ctx_t *ctx, wst_stream_t *stream,
                      const wst_websocket_options_t *websocket,
                      const wst__talk_options_t *options) {
    wst__talk_t *t = make(ctx, true, options);
    if (t == NULL)
        return WST_ENOMEM;
    const wst_websocket_options_t ws_options = options_of(t, websocket);
    int status = wst_websocket_connect(&t->ws, ctx, stream, &ws_options);
    if (status != 0)
        wst__talk_destroy(t);
    else
        *out = t;
    return status;
}

int wst__talk_upgrade(wst__talk_t **out, wst_ctx_t *ctx, wst_hijack_t *hijack,
                      const wst_websocket_options_t *websocket,
                      const wst__talk_options_t *options) {
    wst__talk_t *t = make(ctx, false, options);
    if (t == NULL)
        return WST_ENOMEM;
    const wst_websocket_options_t ws_options = options_of(t, websocket);
    int status = wst_websocket_accept(&t->ws, ctx, hijack, &ws_options);
    if (status != 0)
        wst__talk_destroy(t);
    else
        *out = t;
    return status;
}

wst_websocket_t *wst__talk_websocket(const wst__talk_t *t) {
    return t->ws;
}

void *wst__talk_user_data(const wst__talk_t *t) {
    return t->o.user_data;
}
