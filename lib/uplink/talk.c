/* SPDX-License-Identifier: MIT */
/* The uplink of the talk's protocol (talk.h): its life, and the opening of its one stream. */
#include "talk_internal.h"

#include "defaults.h"

#include <stdio.h>
#include <string.h>

enum { SETTLE_MS = 200 };

static const char used_up[] = "its connection has been used";

static wst__talk_t *checked_talk(void *user_data) {
    wst__talk_t *t = user_data;
    assert(t->magic == WST__TALK_MAGIC);
    return t;
}

static wst__talk_t *talk_of(wst__uplink_t *uplink) {
    return checked_talk(WST__CONTAINER(uplink, wst__talk_t, base));
}

void wst__talk_unref(wst__talk_t *t) {
    if (--t->refs > 0)
        return;
    wst_ctx_t *ctx = t->ctx;
    wst__deadline_clear(&ctx->deadlines, &t->settle);
    wst__defer_cancel(&t->defer);
    wst__bufq_reset(&t->unread);
    wst_chunk_unref(t->message);
    t->magic = 0;
    wst__free(&ctx->allocator, t);
    wst__ctx_release(ctx);
}

/* What its owner is told --------------------------------------------------------------------- */

static void changed(wst__talk_t *t) {
    if (!t->closing && t->base.callbacks->on_change != NULL)
        t->base.callbacks->on_change(&t->base, t->base.user_data);
}

void wst__talk_spent(wst__talk_t *t) {
    if (!t->client || t->spent_told)
        return;
    t->spent_told = true;
    wst__deadline_clear(&t->ctx->deadlines, &t->settle);
    if (!t->closing && t->base.callbacks->on_goaway != NULL)
        t->base.callbacks->on_goaway(&t->base, 0, t->base.user_data);
}

static void on_settled(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    wst__talk_spent(WST__CONTAINER(deadline, wst__talk_t, settle));
}

static void go_down(wst__talk_t *t, int error, int http_status, const char *detail) {
    if (t->used)
        wst__talk_spent(t);
    t->down = true;
    changed(t);
    if (!t->closing && t->base.callbacks->on_down != NULL)
        t->base.callbacks->on_down(&t->base, error, http_status, detail, t->base.user_data);
}

static void tell_closed(wst__talk_t *t) {
    t->base.callbacks->on_closed(t->base.user_data);
    wst__talk_unref(t);
}

static void tell_closed_later(wst__defer_t *defer) {
    tell_closed(WST__CONTAINER(defer, wst__talk_t, later));
}

/* The question ------------------------------------------------------------------------------- */

/* Tells the asker that there will be no stream. */
static void lose_question(wst__talk_t *t, int reason, const char *text) {
    if (!t->asking)
        return;
    t->asking = false;
    if (!t->client) {
        t->callback(reason, (wst_str_t){text, strlen(text)}, NULL, t->asker);
        return;
    }
    wst__talk_spent(t);
    if (t->incoming.on_gone != NULL)
        t->incoming.on_gone(&t->incoming, reason, t->incoming.user_data);
}

/* The connection has ended or must end. In this protocol an agent refuses by leaving. */
static void answer_by_end(wst__talk_t *t, int error, const char *detail) {
    char text[WST_ERROR_TEXT_MAX];
    bool broken = error == WST_EPROTO || error == WST_EMSGBIG || error == WST_ENOMEM;
    if (t->client) {
        lose_question(t, error == WST_EWSCLOSED ? WST_ECANCELLED : WST_ELOST, "");
        return;
    }
    snprintf(text, sizeof(text), "%s%s",
             broken ? "" : "the agent left instead of connecting: ", detail);
    lose_question(t, broken ? error : (int)WST_EUNREACHABLE, text);
}

/* The end ------------------------------------------------------------------------------------ */

static void begin_end(wst__talk_t *t, int code, const char *reason) {
    t->phase = WST__TALK_ENDING;
    wst_websocket_end(t->ws, code, reason);
    changed(t);
}

void wst__talk_fail(wst__talk_t *t, int error, const char *detail) {
    if (t->phase == WST__TALK_STREAM) {
        wst_websocket_end(t->ws, wst__websocket_code_of(error), detail);
        wst__talk_stream_fail(t, error);
    } else if (t->phase < WST__TALK_STREAM) {
        t->error = error;
        snprintf(t->detail, sizeof(t->detail), "%s", detail);
        begin_end(t, wst__websocket_code_of(error), detail);
        answer_by_end(t, error, detail);
    }
}

static void on_talk_websocket_closed(void *user_data) {
    wst__talk_t *t = checked_talk(user_data);
    bool closing = t->closing; /* read before a callback below can set it */
    t->ws = NULL;
    lose_question(t, WST_ELOST, "");
    if (t->stream_closed)
        wst__talk_stream_gone(t);
    else
        wst__talk_stream_lose(t);
    if (closing)
        tell_closed(t);
    else if (!t->down)
        go_down(t, 0, 0, used_up);
}

void wst__talk_drop(wst__talk_t *t) {
    if (t->phase == WST__TALK_CLOSING)
        return;
    t->phase = WST__TALK_CLOSING;
    wst_websocket_close(t->ws, on_talk_websocket_closed);
    changed(t);
}

/* What the WebSocket tells ------------------------------------------------------------------- */

static void on_talk_open(wst_websocket_t *ws, const char *protocol, void *user_data) {
    (void)ws;
    (void)protocol;
    wst__talk_t *t = checked_talk(user_data);
    const wst__uplink_callbacks_t *cb = t->base.callbacks;
    if (t->phase != WST__TALK_OPENING)
        return;
    t->phase = WST__TALK_WAITING;
    changed(t);
    const wst_hello_t hello = {.size = sizeof(hello),
                               .version = WST_PROTOCOL_VERSION,
                               .max_streams = 1,
                               .name = {t->name, strlen(t->name)},
                               .conn = (uint32_t)wst__serial(t->ctx)};
    int status = cb->on_up != NULL ? cb->on_up(&t->base, &hello, t->base.user_data) : 0;
    if (status < 0)
        wst__talk_fail(t, status, "hello not accepted");
}

static void on_talk_message(wst_websocket_t *ws, bool text, wst_slice_t piece, bool fin,
                            void *user_data) {
    (void)ws;
    (void)text; /* the protocol takes either type */
    wst__talk_t *t = checked_talk(user_data);
    if (t->phase <= WST__TALK_STREAM && !t->over)
        wst__talk_receive(t, piece, fin);
}

static void on_talk_drain(wst_websocket_t *ws, void *user_data) {
    (void)ws;
    wst__talk_t *t = checked_talk(user_data);
    t->waiting = false;
    if (t->phase == WST__TALK_STREAM && !t->over)
        wst_stream_emit_drain(t->stream);
}

/* Reports an end that this side began with its original cause. */
static void over_as_meant(wst__talk_t *t, int error, const char *detail) {
    if (t->error != 0)
        go_down(t, t->error, 0, t->detail);
    else
        go_down(t, error == WST_ECANCELLED ? error : 0, 0, t->used ? used_up : detail);
}

static void on_talk_over(wst_websocket_t *ws, int error, const char *detail, void *user_data) {
    wst__talk_t *t = checked_talk(user_data);
    if (t->phase == WST__TALK_STREAM) {
        wst__talk_stream_over(t, error);
        return;
    }
    if (t->phase == WST__TALK_ENDING) {
        over_as_meant(t, error, detail);
        return;
    }
    t->phase = WST__TALK_ENDING;
    if (error == 0)
        error = WST_EWSCLOSED;
    answer_by_end(t, error, detail);
    go_down(t, error, error == WST_EREJECTED ? wst_websocket_http_status(ws) : 0, detail);
}

/* Messages ----------------------------------------------------------------------------------- */

/* Server: the agent has connected. */
static void on_completed(wst__talk_t *t) {
    int status = wst__talk_become_stream(t);
    if (status != 0) {
        wst__talk_fail(t, status, wst_strerror(status));
        return;
    }
    t->asking = false;
    t->callback(0, (wst_str_t){NULL, 0}, t->stream, t->asker);
}

static void set_asked(wst__talk_t *t, wst_str_t dest) {
    t->phase = WST__TALK_ASKED;
    t->used = t->asking = true;
    snprintf(t->dest, sizeof(t->dest), "%.*s", (int)dest.len, dest.ptr);
    changed(t);
}

static void refuse_incoming(wst__incoming_t *incoming, int reason, const char *text);

/* Agent: the server names a destination. */
static void on_handshake(wst__talk_t *t, wst_str_t dest) {
    const wst__uplink_callbacks_t *cb = t->base.callbacks;
    set_asked(t, dest);
    if (!t->single)
        wst__talk_spent(t);
    if (t->phase != WST__TALK_ASKED)
        return; /* the owner has just ended the talk */
    if (cb->on_incoming != NULL)
        cb->on_incoming(&t->base, &t->incoming, dest, t->base.user_data);
    else
        refuse_incoming(&t->incoming, WST_EDENIED, NULL);
}

void wst__talk_handle(wst__talk_t *t, const wst_message_t *m) {
    if (t->phase == WST__TALK_ASKED && !t->client && m->method == WST_MSG_COMPLETED)
        on_completed(t);
    else if (t->phase == WST__TALK_WAITING && t->client && m->method == WST_MSG_HANDSHAKE)
        on_handshake(t, m->dest);
    else
        wst__talk_fail(t, WST_EPROTO, "message out of turn");
}

/* The stream that the server asks for -------------------------------------------------------- */

/* This side has answered: on a single uplink, gives the server some time to use the answer. */
static void answered(wst__talk_t *t) {
    if (!t->spent_told)
        wst__deadline_in(t->ctx, &t->settle, SETTLE_MS, on_settled);
}

static int accept_incoming(wst__incoming_t *incoming, const char *address, wst_stream_t **stream) {
    (void)address; /* the protocol has no field for it */
    wst__talk_t *t = WST__CONTAINER(incoming, wst__talk_t, incoming);
    assert(t->asking);
    answered(t);
    const wst_message_t m = {.size = sizeof(m), .method = WST_MSG_COMPLETED};
    int status = wst__talk_send_control(t, &m);
    if (status == 0)
        status = wst__talk_become_stream(t);
    if (status != 0)
        return status;
    t->asking = false;
    *stream = t->stream;
    return 0;
}

static void refuse_incoming(wst__incoming_t *incoming, int reason, const char *text) {
    wst__talk_t *t = WST__CONTAINER(incoming, wst__talk_t, incoming);
    assert(t->asking);
    answered(t);
    t->asking = false;
    if (t->phase == WST__TALK_ASKED)
        begin_end(t, 1011, text != NULL ? text : wst_strerror(reason));
}

static const wst__incoming_ops_t incoming_ops = {accept_incoming, refuse_incoming};

/* What an uplink can do ---------------------------------------------------------------------- */

static int can_open(const wst__uplink_t *uplink) {
    const wst__talk_t *t = WST__CONTAINER(uplink, const wst__talk_t, base);
    if (t->phase == WST__TALK_OPENING || t->down || t->closing)
        return WST_ELOST;
    return t->phase == WST__TALK_WAITING && !t->client ? 0 : WST_ELIMIT;
}

static void cancel_opening(wst__opening_t *opening) {
    wst__talk_t *t = WST__CONTAINER(opening, wst__talk_t, opening);
    assert(t->asking);
    t->asking = false;
    if (t->phase == WST__TALK_ASKED)
        begin_end(t, 1001, "cancelled");
}

/* Beside its WebSocket, a stream takes no memory to speak of. */
static int open_talk_stream(wst__uplink_t *uplink, wst__opening_t **out, const char *dest,
                            wst__budget_t *budget, wst__opened_cb callback, void *user_data) {
    (void)budget;
    wst__talk_t *t = talk_of(uplink);
    int status = can_open(uplink);
    if (status != 0)
        return status;
    const wst_message_t m = {
        .size = sizeof(m), .method = WST_MSG_HANDSHAKE, .dest = {dest, strlen(dest)}};
    status = wst__talk_send_control(t, &m);
    if (status == WST_EINVAL)
        return WST_EDEST;
    if (status == WST_ENOMEM) /* the handshake may have been sent */
        begin_end(t, 1011, wst_strerror(status));
    if (status != 0)
        return status;
    t->callback = callback;
    t->asker = user_data;
    set_asked(t, m.dest);
    *out = &t->opening;
    return 0;
}

static size_t load(const wst__uplink_t *uplink) {
    const wst__talk_t *t = WST__CONTAINER(uplink, const wst__talk_t, base);
    return t->phase == WST__TALK_ASKED || t->phase == WST__TALK_STREAM;
}

static uint64_t rtt_ms(const wst__uplink_t *uplink) {
    (void)uplink;
    return 0;
}

static bool is_suspect(const wst__uplink_t *uplink) {
    (void)uplink;
    return false;
}

static void goaway(wst__uplink_t *uplink) {
    wst__talk_t *t = talk_of(uplink);
    if (t->phase < WST__TALK_ASKED)
        begin_end(t, 1001, t->client ? "drained" : "server is shutting down");
}

/* A talk in use is closed at once: the peer could not tell a closing handshake from the stream's
 * end. */
static void end(wst__uplink_t *uplink, int code, const char *reason, bool lose) {
    (void)lose;
    wst__talk_t *t = talk_of(uplink);
    if (t->phase == WST__TALK_STREAM)
        wst__talk_stream_fail_later(t, WST_ELOST);
    if (t->phase < WST__TALK_ASKED)
        begin_end(t, code, reason);
    else if (t->phase < WST__TALK_ENDING)
        wst__talk_drop(t);
}

static void close_talk(wst__uplink_t *uplink) {
    wst__talk_t *t = talk_of(uplink);
    if (t->closing)
        return;
    t->closing = true;
    if (t->phase == WST__TALK_STREAM)
        wst__talk_stream_fail_later(t, WST_ELOST);
    if (t->ws != NULL)
        wst__talk_drop(t);
    else
        wst__defer(t->ctx, &t->later, tell_closed_later);
}

static const wst__uplink_ops_t ops = {.can_open = can_open,
                                      .open = open_talk_stream,
                                      .load = load,
                                      .rtt_ms = rtt_ms,
                                      .is_suspect = is_suspect,
                                      .goaway = goaway,
                                      .end = end,
                                      .close = close_talk};

/* Making one --------------------------------------------------------------------------------- */

/* Writes the name from the options, or else the peer's address without its port, cut to the longest
 * possible name. */
static void write_name(wst__talk_t *t, const char *given) {
    const char *text = given, *colon = NULL;
    if (text == NULL || text[0] == '\0' || strchr(text, '*') != NULL) {
        text = t->peer;
        colon = strncmp(text, "unix:", 5) != 0 ? strrchr(text, ':') : NULL;
    }
    size_t len = colon != NULL ? (size_t)(colon - text) : strlen(text);
    snprintf(t->name, sizeof(t->name), "%.*s", (int)len, text);
}

static wst__talk_t *new_talk(wst_ctx_t *ctx, bool client, const wst__uplink_options_t *options) {
    wst__talk_t *t = wst__zalloc(&ctx->allocator, sizeof(*t));
    if (t == NULL)
        return NULL;
    t->base = (wst__uplink_t){.ops = &ops,
                              .callbacks = options->callbacks,
                              .user_data = options->user_data,
                              .renews = true,
                              .peer = t->peer};
    t->magic = WST__TALK_MAGIC;
    t->refs = 1;
    t->ctx = ctx;
    t->client = client;
    t->single = options->single;
    t->half_closed_timeout_ms = options->half_closed_timeout_ms != 0
                                    ? options->half_closed_timeout_ms
                                    : WST__HALF_CLOSED_TIMEOUT_MS;
    t->opening.cancel = cancel_opening;
    t->incoming.ops = &incoming_ops;
    t->incoming.peer = t->peer;
    wst__defer_init(&t->later);
    wst__defer_init(&t->defer);
    wst__bufq_init(&t->unread, &ctx->pool);
    wst__ctx_hold(ctx);
    return t;
}

static wst_websocket_options_t options_of(wst__talk_t *t,
                                          const wst_websocket_options_t *websocket) {
    static const wst_websocket_callbacks_t websocket_callbacks = {
        sizeof(websocket_callbacks), on_talk_open, on_talk_message, on_talk_drain, on_talk_over};
    wst_websocket_options_t options = *websocket;
    options.callbacks = &websocket_callbacks;
    options.user_data = t;
    options.protocols = NULL;
    return options;
}

/* Frees the talk if its WebSocket could not be made, else hands it out. */
static int hand_out_talk(wst__talk_t *t, int status, const wst__uplink_options_t *options,
                         wst__uplink_t **out) {
    if (status != 0) {
        wst__talk_unref(t);
        return status;
    }
    snprintf(t->peer, sizeof(t->peer), "%s", wst_websocket_peer(t->ws));
    write_name(t, options->name);
    *out = &t->base;
    return 0;
}

static int connect_talk(wst__uplink_t **out, wst_ctx_t *ctx, wst_stream_t *stream,
                        const wst_websocket_options_t *websocket,
                        const wst__uplink_options_t *options) {
    wst__talk_t *t = new_talk(ctx, true, options);
    if (t == NULL)
        return WST_ENOMEM;
    const wst_websocket_options_t ws_options = options_of(t, websocket);
    return hand_out_talk(t, wst_websocket_connect(&t->ws, ctx, stream, &ws_options), options, out);
}

static int accept_talk(wst__uplink_t **out, wst_ctx_t *ctx, wst_hijack_t *hijack,
                       const wst__uplink_options_t *options) {
    wst__talk_t *t = new_talk(ctx, false, options);
    if (t == NULL)
        return WST_ENOMEM;
    const wst_websocket_options_t websocket = {.size = sizeof(websocket)},
                                  ws_options = options_of(t, &websocket);
    return hand_out_talk(t, wst_websocket_accept(&t->ws, ctx, hijack, &ws_options), options, out);
}

const wst__uplink_kind_t wst__talk_kind = {NULL, connect_talk, accept_talk};
