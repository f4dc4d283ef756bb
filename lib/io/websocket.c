/* SPDX-License-Identifier: MIT */
/*
 * A WebSocket over a stream: joins the sans-IO protocol (ws.h, ws_handshake.h) with the stream's
 * bytes.
 *
 *     OPENING --handshake--> OPEN --close frames both ways, or a breach--> CLOSING --> OVER
 *        \---------------- the stream breaks, a deadline passes ------------------->/
 *
 * In CLOSING no message is delivered any more; the last frames are flushed and the stream is shut
 * down. It is over when the peer has ended its direction, too: closing earlier, with bytes of the
 * peer unread, would reset the connection, and the peer might not read our close frame.
 */
#include "websocket.h"

#include "ctx.h"
#include "defaults.h"
#include "head_writer.h"
#include "http_answerer.h"
#include "sized.h"
#include "socket.h"
#include "stream.h"
#include "ws.h"
#include "ws_handshake.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum {
    MAGIC = 0x57535753,
    HEAD_MAX = 16384, /* of the server's answer */
    WRITE_SLICES = 64 /* handed to the stream in one write */
};

typedef enum { OPENING, OPEN, CLOSING, OVER } state_t;

struct wst_websocket {
    uint32_t magic;
    wst_ctx_t *ctx;
    wst_stream_t *stream;
    wst__ws_t *ws;
    wst_websocket_callbacks_t callbacks;
    void *user_data;
    wst_close_cb close_cb;
    state_t state;
    bool closing;
    bool waiting;      /* the stream has asked to wait */
    bool drain_wanted; /* a send has answered WST_WAIT */
    bool paused;
    bool shut, ended; /* the stream, in our direction and in the peer's */
    int end_code;     /* of our close frame, if we closed first */
    int close_code;   /* of the peer's, once it has come */
    uint64_t close_timeout_ms;
    wst__deadline_t deadline;
    wst__defer_t defer; /* server: on_open; on_over, if wst_websocket_end failed */

    const char **protocols; /* one block with the texts; NULL: none */
    const char *protocol;   /* the subprotocol agreed on */
    char key[WST__WS_KEY_LEN + 1];
    wst_chunk_t *head; /* client: the answer's head so far */
    size_t head_len, head_scanned;
    int http_status;

    int error; /* for on_over */
    char detail[256];
};

static wst_websocket_t *websocket_of(void *user_data) {
    wst_websocket_t *w = user_data;
    assert(w->magic == MAGIC);
    return w;
}

static void set_error(wst_websocket_t *w, int error, const char *detail) {
    w->error = error;
    snprintf(w->detail, sizeof(w->detail), "%s", detail);
}

static void websocket_over(wst_websocket_t *w) {
    if (w->state == OVER || w->closing)
        return;
    w->state = OVER;
    wst__deadline_clear(&w->ctx->deadlines, &w->deadline);
    wst__defer_cancel(&w->defer);
    wst_stream_read_stop(w->stream);
    w->callbacks.on_over(w, w->error, w->detail, w->user_data);
}

static void websocket_failed(wst_websocket_t *w, int error, const char *detail) {
    /* Keeps the first cause. */
    if (w->state != CLOSING)
        set_error(w, error, detail);
    websocket_over(w);
}

static void on_websocket_deadline(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    wst_websocket_t *w = WST__CONTAINER(deadline, wst_websocket_t, deadline);
    if (w->state == OPENING)
        set_error(w, WST_ETIMEOUT, "the upgrade was not answered in time");
    else if (w->error == 0 && !w->shut)
        set_error(w, WST_ETIMEOUT, "the closing handshake was not done in time");
    websocket_over(w);
}

static int write_some(wst_websocket_t *w) {
    wst_slice_t slices[WRITE_SLICES];
    size_t n = wst__ws_take(w->ws, slices, WRITE_SLICES);
    int status = wst_stream_write(w->stream, slices, n);
    w->waiting = status == WST_WAIT;
    return status;
}

static int flush(wst_websocket_t *w) {
    while (!w->waiting && wst__ws_pending(w->ws) > 0) {
        int status = write_some(w);
        if (status < 0)
            return status;
    }
    return w->waiting ? WST_WAIT : 0;
}

/* Starts CLOSING: writes the last frames and then the stream's end, without waiting. */
static void start_closing(wst_websocket_t *w) {
    w->state = CLOSING;
    wst__deadline_in(w->ctx, &w->deadline, w->close_timeout_ms, on_websocket_deadline);
    int status = 0;
    while (status >= 0 && wst__ws_pending(w->ws) > 0)
        status = write_some(w);
    if (status >= 0)
        status = wst_stream_shutdown(w->stream);
    if (status < 0)
        websocket_over(w);
    else
        wst_stream_read_start(w->stream, 0);
}

static void over_if_finished(wst_websocket_t *w) {
    if (w->shut && w->ended)
        websocket_over(w);
}

/* Callbacks of the protocol ------------------------------------------------------------------ */

static int on_ws_data(wst__ws_t *ws, bool text, wst_slice_t piece, bool fin, void *user_data) {
    (void)ws;
    wst_websocket_t *w = websocket_of(user_data);
    if (w->callbacks.on_message != NULL)
        w->callbacks.on_message(w, text, piece, fin, w->user_data);
    return w->closing || w->state != OPEN ? WST_ESTATE : 0;
}

static void on_close_frame(wst__ws_t *ws, int code, wst_str_t reason, void *user_data) {
    (void)ws;
    wst_websocket_t *w = websocket_of(user_data);
    bool orderly = code == 1000 || code == 1001 || code == 1005 || code == w->end_code;
    w->close_code = code;
    w->error = orderly ? 0 : WST_EWSCLOSED;
    snprintf(w->detail, sizeof(w->detail), "closed by the peer: %d%s%.*s", code,
             reason.len > 0 ? " " : "", (int)reason.len, reason.len > 0 ? reason.ptr : "");
}

/* The next read or write reports the error. */
static void on_full(wst__ws_t *ws, void *user_data) {
    (void)ws;
    (void)flush(websocket_of(user_data));
}

static int random_bytes(void *buf, size_t len, void *user_data) {
    return wst__random(websocket_of(user_data)->ctx, buf, len);
}

static void receive_frames(wst_websocket_t *w, wst_slice_t data) {
    int status = wst__ws_recv(w->ws, data);
    if (w->closing || w->state != OPEN)
        return;
    if (status < 0) {
        const char *detail = wst__ws_error_detail(w->ws);
        set_error(w, status, detail[0] != '\0' ? detail : wst_strerror(status));
        start_closing(w);
        return;
    }
    if (wst__ws_close_received(w->ws)) {
        start_closing(w);
        return;
    }
    /* Messages are flushed by who has queued them. */
    status = wst__ws_pong_pending(w->ws) ? flush(w) : 0;
    if (status < 0)
        websocket_failed(w, status, wst_strerror(status));
}

/* Callbacks of the stream -------------------------------------------------------------------- */

/* Receives bytes that are unmasked in place; copies them first if the stream lends static memory.
 */
static void receive_lent(wst_websocket_t *w, wst_slice_t data) {
    if (data.chunk != NULL) {
        receive_frames(w, data);
        return;
    }
    wst_slice_t copy;
    if (wst__pool_copy(&w->ctx->pool, &copy, data.data, data.len) != 0) {
        websocket_failed(w, WST_ENOMEM, wst_strerror(WST_ENOMEM));
        return;
    }
    receive_frames(w, copy);
    wst_slice_unref(copy);
}

static void opened(wst_websocket_t *w) {
    w->state = OPEN;
    wst__deadline_clear(&w->ctx->deadlines, &w->deadline);
    if (w->paused)
        wst_stream_read_stop(w->stream);
    if (w->callbacks.on_open != NULL)
        w->callbacks.on_open(w, w->protocol, w->user_data);
}

/* The subprotocol agreed on, as one of our own texts, which live as long as the WebSocket. */
static const char *own_protocol(const wst_websocket_t *w, wst_str_t name) {
    for (size_t i = 0; w->protocols != NULL && w->protocols[i] != NULL; i++)
        if (wst_str_eq(name, w->protocols[i]))
            return w->protocols[i];
    return "";
}

static void check_answer(wst_websocket_t *w, const wst_http_head_t *head) {
    w->http_status = head->status;
    wst_str_t protocol;
    const char *why = "";
    int status = wst__ws_check_response(head, w->key, w->protocols, &protocol, &why);
    if (status == WST_EREJECTED) {
        char detail[sizeof(w->detail)], who[WST__ANSWERER_MAX];
        wst__http_answerer(who, head);
        snprintf(detail, sizeof(detail), "the server answered %d %.*s%s", head->status,
                 (int)(head->reason.len < 80 ? head->reason.len : 80),
                 head->reason.len > 0 ? head->reason.ptr : "", who);
        websocket_failed(w, status, detail);
    } else if (status != 0) {
        websocket_failed(w, status, why);
    } else {
        w->protocol = own_protocol(w, protocol);
        opened(w);
    }
}

/* Gathers the head of the server's answer; the bytes behind it are frames. */
static void read_answer(wst_websocket_t *w, wst_slice_t data) {
    size_t room = HEAD_MAX - w->head_len, taken = data.len < room ? data.len : room;
    memcpy(wst_chunk_data(w->head) + w->head_len, data.data, taken);
    w->head_len += taken;
    const wst_http_limits_t limits = {.size = sizeof(limits), .head_max = HEAD_MAX};
    wst_http_head_t *head = wst__alloc(&w->ctx->allocator, sizeof(*head));
    if (head == NULL) {
        websocket_failed(w, WST_ENOMEM, wst_strerror(WST_ENOMEM));
        return;
    }
    const char *text = (const char *)wst_chunk_data(w->head);
    int n = wst_http_parse_response(head, text, w->head_len, &w->head_scanned, &limits);
    size_t before = w->head_len - taken; /* of the head, in earlier pieces */
    if (n > 0)
        check_answer(w, head);
    else if (n < 0)
        websocket_failed(w, WST_EHANDSHAKE, n == WST_EHTTP ? head->error : wst_strerror(n));
    wst__free(&w->ctx->allocator, head);
    if (n <= 0 || w->closing || w->state != OPEN)
        return;
    wst_chunk_unref(w->head);
    w->head = NULL;
    size_t used = (size_t)n - before;
    if (used < data.len)
        receive_lent(w, (wst_slice_t){data.chunk, data.data + used, data.len - used});
}

static void on_websocket_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    (void)stream;
    wst_websocket_t *w = websocket_of(user_data);
    if (w->state == OPENING)
        read_answer(w, data);
    else if (w->state == OPEN)
        receive_lent(w, data);
}

static void on_websocket_end(wst_stream_t *stream, void *user_data) {
    (void)stream;
    wst_websocket_t *w = websocket_of(user_data);
    w->ended = true;
    if (w->state == OPENING)
        websocket_failed(w, UV_EOF, "the connection ended before the upgrade was answered");
    else if (w->state == OPEN)
        websocket_failed(w, UV_EOF, "the connection ended without a closing handshake");
    else
        over_if_finished(w);
}

static void on_websocket_drain(wst_stream_t *stream, void *user_data) {
    (void)stream;
    wst_websocket_t *w = websocket_of(user_data);
    w->waiting = false;
    if (w->state != OPEN)
        return;
    int status = flush(w);
    if (status < 0) {
        websocket_failed(w, status, wst_strerror(status));
    } else if (status == 0 && w->drain_wanted) {
        w->drain_wanted = false;
        if (w->callbacks.on_drain != NULL && !wst__ws_close_sent(w->ws))
            w->callbacks.on_drain(w, w->user_data);
    }
}

static void on_websocket_shutdown(wst_stream_t *stream, void *user_data) {
    (void)stream;
    wst_websocket_t *w = websocket_of(user_data);
    w->shut = true;
    over_if_finished(w);
}

static void on_websocket_error(wst_stream_t *stream, int error, void *user_data) {
    websocket_failed(websocket_of(user_data), error, wst__stream_why(stream, error));
}

static const wst_stream_callbacks_t stream_callbacks = {
    sizeof(stream_callbacks), on_websocket_read,     on_websocket_end,
    on_websocket_drain,       on_websocket_shutdown, on_websocket_error};

/* Opening ------------------------------------------------------------------------------------ */

/* Copies into one block: the array, its NULL, and the texts. */
static int copy_protocols(wst_websocket_t *w, const char *const *protocols) {
    w->protocol = "";
    if (protocols == NULL)
        return 0;
    size_t count = 0, bytes = 0;
    for (; protocols[count] != NULL; count++)
        bytes += strlen(protocols[count]) + 1;
    w->protocols = wst__alloc(&w->ctx->allocator, (count + 1) * sizeof(char *) + bytes);
    if (w->protocols == NULL)
        return WST_ENOMEM;
    char *text = (char *)(w->protocols + count + 1);
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(protocols[i]) + 1;
        memcpy(text, protocols[i], len);
        w->protocols[i] = text;
        text += len;
    }
    w->protocols[count] = NULL;
    return 0;
}

static void destroy_websocket(wst_websocket_t *w) {
    wst_ctx_t *ctx = w->ctx;
    wst__deadline_clear(&ctx->deadlines, &w->deadline);
    wst__defer_cancel(&w->defer);
    wst__ws_free(w->ws);
    wst_chunk_unref(w->head);
    wst__free(&ctx->allocator, w->protocols);
    w->magic = 0;
    wst__free(&ctx->allocator, w);
}

/* The caller's options and callbacks, complete and ours. False: something is missing. */
static bool read_options(wst_websocket_options_t *options, wst_websocket_callbacks_t *callbacks,
                         const wst_websocket_options_t *given) {
    if (wst__sized_read(options, sizeof(*options), given) != 0 ||
        wst__sized_read(callbacks, sizeof(*callbacks), options->callbacks) != 0)
        return false;
    options->callbacks = callbacks;
    return callbacks->on_over != NULL;
}

static int make_websocket(wst_websocket_t **out, wst_ctx_t *ctx, bool server,
                          const wst_websocket_options_t *options) {
    wst_websocket_t *w = wst__zalloc(&ctx->allocator, sizeof(*w));
    if (w == NULL)
        return WST_ENOMEM;
    w->magic = MAGIC;
    w->ctx = ctx;
    w->callbacks = *options->callbacks;
    w->user_data = options->user_data;
    w->close_timeout_ms =
        options->close_timeout_ms != 0 ? options->close_timeout_ms : WST__CLOSE_TIMEOUT_MS;
    wst__defer_init(&w->defer);
    const wst__ws_options_t ws_options = {.pool = &ctx->pool,
                                          .server = server,
                                          .max_message = options->max_message,
                                          .random = random_bytes,
                                          .on_data = on_ws_data,
                                          .on_close = on_close_frame,
                                          .on_full = on_full,
                                          .user_data = w};
    int status = copy_protocols(w, options->protocols);
    if (status == 0)
        status = wst__ws_new(&w->ws, &ws_options);
    if (status != 0) {
        destroy_websocket(w);
        return status;
    }
    *out = w;
    return 0;
}

static void start_websocket(wst_websocket_t *w, wst_stream_t *stream) {
    w->stream = stream;
    wst__ctx_hold(w->ctx);
    wst_stream_set_callbacks(stream, &stream_callbacks, w);
}

/* Writes the upgrade request into `chunk`. Returns its length or an error. */
static int write_request(const wst_websocket_t *w, const wst_websocket_options_t *options,
                         wst_chunk_t *chunk) {
    wst__head_writer_t head;
    wst__head_init(&head, (char *)wst_chunk_data(chunk), wst_chunk_capacity(chunk));
    wst__head_request(&head, "GET", options->path != NULL ? options->path : WST__WEBSOCKET_PATH);
    wst__head_field(&head, "Host", "%s", options->host);
    wst__head_field(&head, "Upgrade", "websocket");
    wst__head_field(&head, "Connection", "Upgrade");
    wst__head_field(&head, "Sec-WebSocket-Version", "13");
    wst__head_field(&head, "Sec-WebSocket-Key", "%s", w->key);
    for (size_t i = 0; w->protocols != NULL && w->protocols[i] != NULL; i++)
        wst__head_field(&head, "Sec-WebSocket-Protocol", "%s", w->protocols[i]);
    wst__head_lines(&head, options->fields);
    return wst__head_end(&head, NULL, 0);
}

int wst_websocket_connect(wst_websocket_t **out, wst_ctx_t *ctx, wst_stream_t *stream,
                          const wst_websocket_options_t *given) {
    wst_websocket_options_t options;
    wst_websocket_callbacks_t callbacks;
    if (!read_options(&options, &callbacks, given) || options.host == NULL)
        return WST_EINVAL;
    wst_websocket_t *w;
    int status = make_websocket(&w, ctx, false, &options);
    if (status != 0)
        return status;
    uint8_t nonce[16];
    status = wst__random(ctx, nonce, sizeof(nonce));
    wst_chunk_t *request = wst__pool_chunk(&ctx->pool, HEAD_MAX);
    w->head = wst__pool_chunk(&ctx->pool, HEAD_MAX);
    if (status == 0 && (request == NULL || w->head == NULL))
        status = WST_ENOMEM;
    if (status == 0) {
        wst__ws_key(w->key, nonce);
        status = write_request(w, &options, request);
    }
    if (status >= 0) {
        const wst_slice_t slice = {wst_chunk_ref(request), wst_chunk_data(request), (size_t)status};
        status = wst_stream_write(stream, &slice, 1);
    }
    wst_chunk_unref(request);
    if (status < 0) {
        destroy_websocket(w);
        return status;
    }
    w->waiting = status == WST_WAIT;
    start_websocket(w, stream);
    uint64_t timeout_ms =
        options.open_timeout_ms != 0 ? options.open_timeout_ms : WST__STEP_TIMEOUT_MS;
    wst__deadline_in(ctx, &w->deadline, timeout_ms, on_websocket_deadline);
    wst_stream_read_start(stream, 0);
    *out = w;
    return 0;
}

static void open_server(wst__defer_t *defer) {
    wst_websocket_t *w = WST__CONTAINER(defer, wst_websocket_t, defer);
    opened(w);
    if (!w->closing && w->state == OPEN && !w->paused)
        wst_stream_read_start(w->stream, 0);
}

/* Answers an invalid upgrade. */
static int refuse_websocket(wst_hijack_t *hijack, int http_status, const char *why) {
    const char *reason = http_status == 405   ? "Method not allowed"
                         : http_status == 426 ? "Upgrade required"
                                              : "Not a valid WebSocket upgrade";
    const wst_response_t response = {.size = sizeof(response),
                                     .status = http_status,
                                     .reason = reason,
                                     .fields = http_status == 426 ? "Sec-WebSocket-Version: 13\r\n"
                                                                    "Upgrade: websocket\r\n"
                                               : http_status == 405 ? "Allow: GET\r\n"
                                                                    : NULL,
                                     .body = why};
    int status = wst_hijack_respond(hijack, &response);
    return status != 0 ? status : WST_EHANDSHAKE;
}

int wst_websocket_accept(wst_websocket_t **out, wst_ctx_t *ctx, wst_hijack_t *hijack,
                         const wst_websocket_options_t *given) {
    wst_websocket_options_t options;
    wst_websocket_callbacks_t callbacks;
    const wst_http_head_t *request = wst_hijack_request(hijack);
    if (request == NULL)
        return WST_ESTATE;
    if (!read_options(&options, &callbacks, given))
        return WST_EINVAL;
    char accept[WST__WS_ACCEPT_LEN + 1];
    int http_status = 400;
    const char *why = "", *chosen = NULL;
    if (wst__ws_check_request(request, accept, &http_status, &why) != 0)
        return refuse_websocket(hijack, http_status, why);
    if (options.protocols != NULL) {
        chosen = wst__ws_choose_protocol(request, options.protocols);
        if (chosen == NULL)
            return refuse_websocket(hijack, 400, "none of the subprotocols offered is spoken here");
    }
    wst_websocket_t *w;
    int status = make_websocket(&w, ctx, true, &options);
    if (status != 0)
        return status;
    wst_chunk_t *chunk = wst__pool_chunk(&ctx->pool, WST__CHUNK_MIN);
    if (chunk == NULL) {
        destroy_websocket(w);
        return WST_ENOMEM;
    }
    wst__head_writer_t head;
    wst__head_init(&head, (char *)wst_chunk_data(chunk), wst_chunk_capacity(chunk));
    wst__head_response(&head, 1, 101, "Switching Protocols");
    wst__head_field(&head, "Upgrade", "websocket");
    wst__head_field(&head, "Connection", "Upgrade");
    wst__head_field(&head, "Sec-WebSocket-Accept", "%s", accept);
    if (chosen != NULL) {
        w->protocol = own_protocol(w, (wst_str_t){chosen, strlen(chosen)});
        wst__head_field(&head, "Sec-WebSocket-Protocol", "%s", chosen);
    }
    status = wst__head_end(&head, NULL, 0);
    wst_stream_t *stream;
    int taken = status >= 0 ? wst_hijack_take(hijack, &stream) : status;
    if (taken != 0) {
        wst_chunk_unref(chunk);
        destroy_websocket(w);
        return taken;
    }
    start_websocket(w, stream);
    const wst_slice_t slice = {chunk, wst_chunk_data(chunk), (size_t)status};
    status = wst_stream_write(stream, &slice, 1);
    if (status < 0) {
        wst_websocket_close(w, NULL);
        return status;
    }
    w->waiting = status == WST_WAIT;
    wst__defer(ctx, &w->defer, open_server);
    *out = w;
    return 0;
}

bool wst_websocket_is_upgrade(const wst_http_head_t *request) {
    return wst__ws_is_upgrade(request);
}

/* Use ---------------------------------------------------------------------------------------- */

int wst__websocket_queue(wst_websocket_t *w, bool text, const void *head, size_t head_len,
                         wst_slice_t payload) {
    if (w->state != OPEN || w->closing) {
        wst_slice_unref(payload);
        return WST_ESTATE;
    }
    return wst__ws_send(w->ws, text, head, head_len, payload);
}

int wst__websocket_flush(wst_websocket_t *w) {
    int status = flush(w);
    w->drain_wanted = w->drain_wanted || status == WST_WAIT;
    return status;
}

size_t wst__websocket_queued(const wst_websocket_t *w) {
    return wst__ws_pending(w->ws);
}

void wst__websocket_set_notsent_lowat(wst_websocket_t *w, size_t bytes) {
    wst__socket_set_notsent_lowat(wst__stream_bottom(w->stream), bytes);
}

void wst__websocket_ack_at_once(wst_websocket_t *w) {
    wst__socket_ack_at_once(wst__stream_bottom(w->stream));
}

size_t wst__websocket_turn_max(const wst_websocket_t *w) {
    return w->stream->layer != NULL ? w->stream->layer->turn_max : 0;
}

void wst__websocket_set_read_turn(wst_websocket_t *w, size_t bytes) {
    size_t most = wst__websocket_turn_max(w);
    wst__socket_set_turn_max(wst__stream_bottom(w->stream),
                             bytes == 0 || (most > 0 && most < bytes) ? most : bytes);
}

uint32_t wst__websocket_retransmits(const wst_websocket_t *w) {
    return wst__socket_retransmits(wst__stream_bottom(w->stream));
}

int wst_websocket_send(wst_websocket_t *w, bool text, wst_slice_t payload) {
    int status = wst__websocket_queue(w, text, NULL, 0, payload);
    return status == 0 ? wst__websocket_flush(w) : status;
}

void wst_websocket_read_stop(wst_websocket_t *w) {
    w->paused = true;
    if (w->state == OPEN && !w->closing)
        wst_stream_read_stop(w->stream);
}

void wst_websocket_read_start(wst_websocket_t *w) {
    w->paused = false;
    if (w->state == OPEN && !w->closing)
        wst_stream_read_start(w->stream, 0);
}

static void end_failed(wst__defer_t *defer) {
    websocket_over(WST__CONTAINER(defer, wst_websocket_t, defer));
}

void wst__websocket_end_within(wst_websocket_t *w, int code, const char *reason,
                               uint64_t timeout_ms) {
    if (w->closing || w->state > OPEN || wst__ws_close_sent(w->ws))
        return;
    int status = w->state == OPEN ? wst__ws_close(w->ws, code, reason) : WST_ECANCELLED;
    if (status == 0)
        status = flush(w);
    if (status < 0) {
        set_error(w, status, wst_strerror(status));
        w->state = CLOSING;
        wst__defer(w->ctx, &w->defer, end_failed);
        return;
    }
    w->end_code = code;
    wst__deadline_in(w->ctx, &w->deadline, timeout_ms, on_websocket_deadline);
}

void wst_websocket_end(wst_websocket_t *w, int code, const char *reason) {
    wst__websocket_end_within(w, code, reason, w->close_timeout_ms);
}

int wst__websocket_code_of(int error) {
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

bool wst__websocket_is_open(const wst_websocket_t *w) {
    return w->state == OPEN && !w->closing && !wst__ws_close_sent(w->ws);
}

int wst__websocket_close_code(const wst_websocket_t *w) {
    return w->close_code;
}

static void on_websocket_closed(void *user_data) {
    wst_websocket_t *w = websocket_of(user_data);
    wst_ctx_t *ctx = w->ctx;
    if (w->close_cb != NULL)
        w->close_cb(w->user_data);
    destroy_websocket(w);
    wst__ctx_release(ctx);
}

void wst_websocket_close(wst_websocket_t *w, wst_close_cb close_cb) {
    if (w->closing)
        return;
    w->closing = true;
    w->close_cb = close_cb;
    wst__deadline_clear(&w->ctx->deadlines, &w->deadline);
    wst__defer_cancel(&w->defer);
    wst_stream_close(w->stream, on_websocket_closed);
}

int wst_websocket_http_status(const wst_websocket_t *w) {
    return w->http_status;
}

const char *wst_websocket_peer(const wst_websocket_t *w) {
    return wst_stream_peer(w->stream);
}
