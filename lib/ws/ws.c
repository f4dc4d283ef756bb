/* SPDX-License-Identifier: MIT */
/*
 * A WebSocket: parses and builds frames. The only file that knows wslay.
 *
 *     bytes in --> head --> binary: unmasked in place -----------> on_data
 *                     |---> text: wslay (UTF-8), put back -------> on_data
 *                     '---> control, gathered whole:
 *                             ping, pong: wslay -----------------> pongs
 *                             close: checked here ---------------> on_close
 *     send --> output <--- close and pong frames, from wslay's send callback
 *
 * wslay sees whole text messages, pings and pongs only, and never calls up: it fills in what the
 * code around wslay_event_recv looks at afterwards. So nothing here is ever called from within it.
 * It is not shown the peer's close frame, since it takes 1012 to 1014 for invalid codes.
 */
#include "ws.h"

#include "defaults.h"
#include "mem.h"
#include "utf8.h"
#include "ws_frame.h"

#include <assert.h>
#include <string.h>
#include <wslay/wslay.h>
#include <wstunnel/error.h>

enum {
    MAX_SENT_HEAD = 64,
    MAX_REASON = WST__FRAME_CONTROL_MAX - 2,
    NO_CODE = 1005, /* section 7.4.1: stands for a close frame without a code */
    MAX_PONGS = 16, /* waiting in the output */
    CONTROL_FRAME = WST__FRAME_HEAD_MAX + WST__FRAME_CONTROL_MAX,
    MASKED_CHUNK = 65536, /* a client's frames are built in chunks of this size */
    COPY_MAX = 1024       /* copying so short a payload costs less than pinning its chunk */
};

struct wst__ws {
    wst__ws_options_t options;
    wslay_event_context_ptr wslay;
    int status; /* the error that wst__ws_recv returned */
    const char *detail;
    bool close_sent, close_received;

    /* The frame being received: its head, and the payload of a control frame behind it. */
    uint8_t head[CONTROL_FRAME];
    size_t head_len;
    bool in_payload; /* the head is complete, `frame` and `left` are valid */
    wst__frame_t frame;
    uint64_t left;
    uint8_t message; /* opcode of the data message being received, or 0 */
    uint64_t message_len;

    /* Input of wslay, and where its payload is put back unmasked. */
    const uint8_t *feed;
    size_t feed_len;
    uint8_t *put_back;

    /* The frame that wslay writes, gathered so that it enters the output whole or not at all. */
    uint8_t control[CONTROL_FRAME];
    size_t control_len;
    int control_status;

    wst__bufq_t out;
    uint64_t taken;                /* bytes that have left `out` */
    uint64_t pong_ends[MAX_PONGS]; /* where pongs end in the output stream; a ring */
    size_t first_pong, pongs;
    wst_chunk_t *masked; /* clients: frames are copied into it; nothing else writes to it */
    size_t masked_used;
};

/* wslay's callbacks */

static ssize_t wslay_reads(wslay_event_context_ptr ctx, uint8_t *buf, size_t len, int flags,
                           void *user_data) {
    (void)flags;
    wst__ws_t *ws = user_data;
    size_t n = ws->feed_len < len ? ws->feed_len : len;
    if (n == 0) {
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(buf, ws->feed, n);
    ws->feed += n;
    ws->feed_len -= n;
    return (ssize_t)n;
}

static ssize_t wslay_writes(wslay_event_context_ptr ctx, const uint8_t *data, size_t len, int flags,
                            void *user_data) {
    (void)ctx, (void)flags;
    wst__ws_t *ws = user_data;
    assert(len <= sizeof(ws->control) - ws->control_len);
    memcpy(ws->control + ws->control_len, data, len);
    ws->control_len += len;
    return (ssize_t)len;
}

static int wslay_makes_mask(wslay_event_context_ptr ctx, uint8_t *buf, size_t len,
                            void *user_data) {
    wst__ws_t *ws = user_data;
    ws->control_status = ws->options.random(buf, len, ws->options.user_data);
    if (ws->control_status == 0)
        return 0;
    wslay_event_set_error(ctx, WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static void wslay_has_payload(wslay_event_context_ptr ctx,
                              const struct wslay_event_on_frame_recv_chunk_arg *arg,
                              void *user_data) {
    (void)ctx;
    wst__ws_t *ws = user_data;
    if (arg->data_length == 0)
        return;
    memcpy(ws->put_back, arg->data, arg->data_length);
    ws->put_back += arg->data_length;
}

static int new_wslay(wst__ws_t *ws) {
    struct wslay_event_callbacks callbacks = {
        .recv_callback = wslay_reads,
        .send_callback = wslay_writes,
        .genmask_callback = wslay_makes_mask,
        .on_frame_recv_chunk_callback = wslay_has_payload,
    };
    wslay_event_context_ptr wslay;
    int status = ws->options.server ? wslay_event_context_server_init(&wslay, &callbacks, ws)
                                    : wslay_event_context_client_init(&wslay, &callbacks, ws);
    if (status != 0)
        return WST_ENOMEM;
    /* wslay applies the bound to control frames, too, and unbuffered to each fragment by itself. */
    size_t max = ws->options.max_message;
    wslay_event_config_set_no_buffering(wslay, 1);
    wslay_event_config_set_max_recv_msg_length(
        wslay, max > WST__FRAME_CONTROL_MAX ? max : WST__FRAME_CONTROL_MAX);
    ws->wslay = wslay;
    return 0;
}

int wst__ws_new(wst__ws_t **out, const wst__ws_options_t *options) {
    wst__ws_t *ws = wst__zalloc(options->pool->allocator, sizeof(*ws));
    if (ws == NULL)
        return WST_ENOMEM;
    ws->options = *options;
    if (ws->options.max_message == 0)
        ws->options.max_message = WST__MAX_MESSAGE;
    ws->detail = "";
    wst__bufq_init(&ws->out, options->pool);
    if (new_wslay(ws) != 0) {
        wst__free(options->pool->allocator, ws);
        return WST_ENOMEM;
    }
    *out = ws;
    return 0;
}

void wst__ws_free(wst__ws_t *ws) {
    if (ws == NULL)
        return;
    wslay_event_context_free(ws->wslay);
    wst__bufq_reset(&ws->out);
    wst_chunk_unref(ws->masked);
    wst__free(ws->options.pool->allocator, ws);
}

/* Closing and failing ------------------------------------------------------------------------ */

/* Moves the frame that wslay has queued, at most one, to the output. */
static int flush_wslay(wst__ws_t *ws) {
    ws->control_len = 0;
    int status = 0;
    if (wslay_event_send(ws->wslay) != 0)
        status = ws->control_status; /* only the random source can fail */
    else
        status = wst__bufq_append(&ws->out, ws->control, ws->control_len);
    if (status != 0)
        ws->control_status = status;
    else if (wslay_event_get_close_sent(ws->wslay) && ws->control_len > 0)
        ws->close_sent = true;
    return status;
}

static int send_close(wst__ws_t *ws, int code, const char *reason, size_t len) {
    if (ws->close_sent)
        return 0;
    int status = wslay_event_queue_close(ws->wslay, (uint16_t)code, (const uint8_t *)reason, len);
    if (status == WSLAY_ERR_NOMEM)
        return WST_ENOMEM;
    /* Another error: wslay had queued a close frame already. If that was lost, so is this one. */
    status = flush_wslay(ws);
    return ws->close_sent ? 0 : status != 0 ? status : ws->control_status;
}

/* Codes that may be in a close frame: those of section 7.4.1, those registered with IANA since
 * (1012 to 1014), and those of section 7.4.2 that are free to use. */
static bool is_code(int code) {
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

int wst__ws_close(wst__ws_t *ws, int code, const char *reason) {
    if (!is_code(code))
        return WST_EINVAL;
    size_t len = reason != NULL ? strlen(reason) : 0;
    if (len > MAX_REASON) {
        len = MAX_REASON;
        while (len > 0 && (reason[len] & 0xc0) == 0x80) /* not within a character */
            len--;
    }
    return send_close(ws, code, reason, len);
}

static int close_code(int error) {
    switch (error) {
    case WST_EPROTO:
        return WSLAY_CODE_PROTOCOL_ERROR;
    case WST_EUTF8:
        return WSLAY_CODE_INVALID_FRAME_PAYLOAD_DATA;
    case WST_EMSGBIG:
        return WSLAY_CODE_MESSAGE_TOO_BIG;
    case WST_EFLOOD:
        return WSLAY_CODE_POLICY_VIOLATION;
    default:
        return WSLAY_CODE_INTERNAL_SERVER_ERROR;
    }
}

static int ws_failed(wst__ws_t *ws, int error, int code, const char *detail) {
    ws->status = error;
    ws->detail = detail;
    /* The reason helps the peer's author. A failure to send it can only be ignored. */
    (void)send_close(ws, code, detail, strlen(detail));
    return error;
}

static int violation(wst__ws_t *ws, int error, const char *detail) {
    return ws_failed(ws, error, close_code(error), detail);
}

static int failure(wst__ws_t *ws, int error) {
    return ws_failed(ws, error, WSLAY_CODE_INTERNAL_SERVER_ERROR, "");
}

/* Receiving ---------------------------------------------------------------------------------- */

/* Feeds bytes to wslay. The payload, from `payload` on, is put back unmasked. */
static int feed_wslay(wst__ws_t *ws, uint8_t *bytes, size_t len, size_t payload) {
    ws->feed = bytes;
    ws->feed_len = len;
    ws->put_back = bytes + payload;
    if (wslay_event_recv(ws->wslay) != 0)
        return failure(ws,
                       WST_ENOMEM); /* its callbacks do not fail, and heads are checked before */
    /* wslay returns 0 after errors too. */
    if (!wslay_event_get_read_enabled(ws->wslay))
        return violation(ws, WST_EUTF8, "text is not UTF-8");
    int status = flush_wslay(ws);
    return status == 0 ? 0 : failure(ws, status);
}

static size_t waiting_pongs(wst__ws_t *ws) {
    while (ws->pongs > 0 && ws->pong_ends[ws->first_pong] <= ws->taken) {
        ws->first_pong = (ws->first_pong + 1) % MAX_PONGS;
        ws->pongs--;
    }
    return ws->pongs;
}

static bool is_utf8(wst_str_t text) {
    uint32_t character;
    size_t n = 1;
    for (size_t at = 0; at < text.len && n > 0; at += n)
        n = wst__utf8_get(&character, text.ptr + at, text.len - at);
    return n > 0;
}

/* A close frame is complete: checks it and, unless one was sent before, answers it with the same
 * code and reason (section 5.5.1). */
static int end_close(wst__ws_t *ws) {
    size_t len = (size_t)ws->frame.len; /* not 1: wst__frame_parse refuses half a code */
    uint8_t *payload = ws->head + ws->head_len - len;
    if (ws->frame.masked)
        wst__frame_mask(payload, payload, len, ws->frame.key, 0);
    int code = len > 0 ? payload[0] << 8 | payload[1] : 0; /* 0: for wslay, no code */
    wst_str_t reason = {(const char *)payload + 2, len > 2 ? len - 2 : 0};
    if (!is_utf8(reason)) /* section 5.5.1 */
        return violation(ws, WST_EUTF8, "close reason is not UTF-8");
    if (len > 0 && !is_code(code))
        return violation(ws, WST_EPROTO, "close code that may not be sent");
    int status = send_close(ws, code, reason.ptr, reason.len);
    if (status != 0)
        return failure(ws, status);
    ws->close_received = true;
    ws->options.on_close(ws, len > 0 ? code : NO_CODE, reason, ws->options.user_data);
    return 0;
}

/* A ping or a pong is complete. */
static int end_ping(wst__ws_t *ws) {
    bool answer = ws->frame.opcode == WST__OP_PING && !ws->close_sent;
    if (answer && waiting_pongs(ws) == MAX_PONGS && ws->options.on_full != NULL)
        ws->options.on_full(ws, ws->options.user_data);
    if (answer && waiting_pongs(ws) == MAX_PONGS)
        return violation(ws, WST_EFLOOD, "more pings than we can answer");
    int status = feed_wslay(ws, ws->head, ws->head_len, ws->head_len - (size_t)ws->frame.len);
    if (status != 0)
        return status;
    if (answer) {
        ws->pong_ends[(ws->first_pong + ws->pongs) % MAX_PONGS] = ws->taken + ws->out.len;
        ws->pongs++;
    }
    ws->in_payload = false;
    ws->head_len = 0;
    return 0;
}

static int data_piece(wst__ws_t *ws, wst_slice_t piece, uint64_t offset) {
    bool text = ws->message == WST__OP_TEXT;
    bool fin = ws->frame.fin && ws->left == 0;
    if (piece.len > 0) {
        uint8_t *base = wst_chunk_data(piece.chunk);
        uint8_t *bytes = base + (piece.data - base);
        int status = 0;
        if (text)
            status = feed_wslay(ws, bytes, piece.len, 0);
        else if (ws->frame.masked)
            wst__frame_mask(bytes, bytes, piece.len, ws->frame.key, offset);
        if (status != 0)
            return status;
    }
    if (ws->left == 0) {
        ws->in_payload = false;
        ws->head_len = 0;
    }
    if (fin) {
        ws->message = 0;
        ws->message_len = 0;
    }
    if (piece.len == 0 && !fin)
        return 0;
    int status = ws->options.on_data(ws, text, piece, fin, ws->options.user_data);
    return status >= 0 ? 0 : failure(ws, status);
}

/* Takes the available payload. */
static int take_frame_payload(wst__ws_t *ws, wst_slice_t *in) {
    wst_slice_t piece = *in;
    if (piece.len > ws->left)
        piece.len = (size_t)ws->left;
    in->data += piece.len;
    in->len -= piece.len;
    uint64_t offset = ws->frame.len - ws->left;
    ws->left -= piece.len;
    if (!wst__frame_is_control(&ws->frame))
        return data_piece(ws, piece, offset);
    if (piece.len > 0)
        memcpy(ws->head + ws->head_len, piece.data, piece.len);
    ws->head_len += piece.len;
    if (ws->left > 0)
        return 0;
    return ws->frame.opcode == WST__OP_CLOSE ? end_close(ws) : end_ping(ws);
}

/* The head of a data frame is complete: checks that such a frame may come now. */
static int begin_data(wst__ws_t *ws) {
    bool first = ws->frame.opcode != WST__OP_CONTINUATION;
    if (first && ws->message != 0) /* section 5.4 */
        return violation(ws, WST_EPROTO, "message begins within another one");
    if (!first && ws->message == 0) /* section 5.4 */
        return violation(ws, WST_EPROTO, "continuation of no message");
    if (ws->frame.len > ws->options.max_message - ws->message_len)
        return violation(ws, WST_EMSGBIG, "message too big");
    ws->message_len += ws->frame.len;
    if (first)
        ws->message = ws->frame.opcode;
    if (ws->message == WST__OP_TEXT)
        return feed_wslay(ws, ws->head, ws->head_len, ws->head_len);
    return 0;
}

/* Gathers the head of a frame; a frame without payload ends with it. */
static int take_head(wst__ws_t *ws, wst_slice_t *in) {
    size_t want = ws->head_len < 2 ? 2 : wst__frame_head_len(ws->head);
    size_t n = want - ws->head_len < in->len ? want - ws->head_len : in->len;
    memcpy(ws->head + ws->head_len, in->data, n);
    ws->head_len += n;
    in->data += n;
    in->len -= n;
    if (ws->head_len < 2 || ws->head_len < wst__frame_head_len(ws->head))
        return 0;

    const char *wrong = wst__frame_parse(&ws->frame, ws->head, ws->options.server);
    if (wrong != NULL)
        return violation(ws, WST_EPROTO, wrong);
    if (!wst__frame_is_control(&ws->frame)) {
        int status = begin_data(ws);
        if (status != 0)
            return status;
    }
    ws->in_payload = true;
    ws->left = ws->frame.len;
    return ws->left == 0 ? take_frame_payload(ws, in) : 0;
}

int wst__ws_recv(wst__ws_t *ws, wst_slice_t in) {
    while (ws->status == 0 && !ws->close_received && in.len > 0) {
        if (ws->in_payload)
            take_frame_payload(ws, &in);
        else
            take_head(ws, &in);
    }
    return ws->status;
}

/* Sending ------------------------------------------------------------------------------------ */

/* Room for a masked frame of `len` bytes, or NULL. */
static uint8_t *masked_room(wst__ws_t *ws, size_t len) {
    if (ws->masked == NULL || wst_chunk_capacity(ws->masked) - ws->masked_used < len) {
        size_t capacity = len <= WST__CHUNK_MIN / 2 ? (size_t)WST__CHUNK_MIN : MASKED_CHUNK;
        wst_chunk_t *chunk = wst__pool_chunk(ws->options.pool, len > capacity ? len : capacity);
        if (chunk == NULL)
            return NULL;
        wst_chunk_unref(ws->masked);
        ws->masked = chunk;
        ws->masked_used = 0;
    }
    return wst_chunk_data(ws->masked) + ws->masked_used;
}

/* From a client: copies everything, masking it. */
static int send_masked(wst__ws_t *ws, uint8_t opcode, const void *head, size_t head_len,
                       wst_slice_t payload) {
    uint8_t key[4];
    int status = ws->options.random(key, sizeof(key), ws->options.user_data);
    if (status != 0)
        return status;
    size_t body_len = head_len + payload.len;
    uint8_t *room = masked_room(ws, WST__FRAME_HEAD_MAX + body_len);
    if (room == NULL)
        return WST_ENOMEM;
    size_t n = wst__frame_write(room, opcode, body_len, key);
    wst__frame_mask(room + n, head, head_len, key, 0);
    wst__frame_mask(room + n + head_len, payload.data, payload.len, key, head_len);
    n += body_len;
    status = wst__bufq_push_ref(&ws->out, (wst_slice_t){wst_chunk_ref(ws->masked), room, n});
    if (status == 0)
        ws->masked_used += n;
    return status;
}

/* From a server: sends the payload by reference unless it is short. */
static int send_plain(wst__ws_t *ws, uint8_t opcode, const void *head, size_t head_len,
                      wst_slice_t payload) {
    uint8_t buf[WST__FRAME_HEAD_MAX + MAX_SENT_HEAD + COPY_MAX];
    size_t n = wst__frame_write(buf, opcode, (uint64_t)head_len + payload.len, NULL);
    if (head_len > 0)
        memcpy(buf + n, head, head_len);
    if (payload.len <= COPY_MAX) {
        if (payload.len > 0)
            memcpy(buf + n + head_len, payload.data, payload.len);
        return wst__bufq_append(&ws->out, buf, n + head_len + payload.len);
    }
    int status = wst__bufq_reserve(&ws->out, 3); /* a frame goes out whole or not at all */
    if (status == 0)
        status = wst__bufq_append(&ws->out, buf, n + head_len);
    if (status == 0)
        status = wst__bufq_push_ref(&ws->out, wst_slice_ref(payload));
    return status;
}

int wst__ws_send(wst__ws_t *ws, bool text, const void *head, size_t head_len, wst_slice_t payload) {
    assert(head_len <= MAX_SENT_HEAD);
    uint8_t opcode = text ? WST__OP_TEXT : WST__OP_BINARY;
    int status = WST_ESTATE;
    if (ws->status == 0 && !ws->close_sent && !ws->close_received)
        status = ws->options.server ? send_plain(ws, opcode, head, head_len, payload)
                                    : send_masked(ws, opcode, head, head_len, payload);
    wst_slice_unref(payload);
    return status;
}

size_t wst__ws_pending(const wst__ws_t *ws) {
    return ws->out.len;
}

bool wst__ws_pong_pending(const wst__ws_t *ws) {
    return ws->pongs > 0 && ws->pong_ends[(ws->first_pong + ws->pongs - 1) % MAX_PONGS] > ws->taken;
}

size_t wst__ws_take(wst__ws_t *ws, wst_slice_t *slices, size_t max) {
    size_t n = 0;
    while (ws->out.len > 0) {
        wst_slice_t next = wst__bufq_peek(&ws->out, 0, SIZE_MAX);
        /* Masked frames are contiguous. */
        wst_slice_t *last = n > 0 ? &slices[n - 1] : NULL;
        bool joins = last != NULL && next.chunk != NULL && next.chunk == last->chunk &&
                     next.data == last->data + last->len;
        if (!joins && n == max)
            break;
        wst__bufq_pop(&ws->out, &next);
        ws->taken += next.len;
        if (joins) {
            last->len += next.len;
            wst_slice_unref(next);
        } else {
            slices[n++] = next;
        }
    }
    if (ws->out.len == 0) { /* an idle connection holds no buffer */
        wst_chunk_unref(ws->masked);
        ws->masked = NULL;
    }
    return n;
}

bool wst__ws_close_sent(const wst__ws_t *ws) {
    return ws->close_sent;
}

bool wst__ws_close_received(const wst__ws_t *ws) {
    return ws->close_received;
}

const char *wst__ws_error_detail(const wst__ws_t *ws) {
    return ws->detail;
}
