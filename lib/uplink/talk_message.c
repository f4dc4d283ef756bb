/* SPDX-License-Identifier: MIT */
/* Messages of a talk: gathers received pieces into whole messages, and sends messages. */
#include "talk_internal.h"

#include <string.h>

/* Out ---------------------------------------------------------------------------------------- */

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
    /* Data is binary, control is text, as in the talk; a reader may ignore the type. */
    return wst__websocket_queue(t->ws, !data, NULL, 0, slice);
}

int wst__talk_send_control(wst__talk_t *t, const wst_message_t *m) {
    int status = wst__talk_send(t, m);
    if (status == 0)
        status = wst__websocket_flush(t->ws);
    if (status < 0)
        return status == WST_ENOMEM || status == WST_EINVAL ? status : (int)WST_ELOST;
    t->waiting = status == WST_WAIT;
    return 0;
}

/* In ----------------------------------------------------------------------------------------- */

static void handle(wst__talk_t *t, const wst_message_t *m, wst_chunk_t *chunk) {
    if (t->phase != WST__TALK_STREAM || m->method != WST_MSG_COMMUNICATION) {
        wst__talk_handle(t, m);
        return;
    }
    if (!t->heard)
        wst__talk_spent(t);
    t->heard = true;
    if (t->phase != WST__TALK_STREAM)
        return; /* the owner has just ended the talk */
    int status = wst__talk_stream_data(t, (wst_slice_t){chunk, m->data, m->len});
    if (status != 0)
        wst__talk_fail(t, status, wst_strerror(status));
}

static void end_of_message(wst__talk_t *t) {
    wst_chunk_t *chunk = t->message;
    size_t len = t->message_len;
    t->message = NULL;
    t->message_len = 0;
    wst_message_t m;
    const char *why;
    if (chunk == NULL)
        wst__talk_fail(t, WST_EPROTO, "empty message");
    else if (wst__talk_read(&m, (char *)wst_chunk_data(chunk), len, &why) != 0)
        wst__talk_fail(t, WST_EPROTO, why);
    else
        handle(t, &m, chunk);
    wst_chunk_unref(chunk);
}

/* Adds a piece to the incoming message. */
static int gather(wst__talk_t *t, wst_slice_t piece) {
    size_t max = t->phase == WST__TALK_STREAM ? WST__TALK_MESSAGE_MAX : WST__TALK_CONTROL_MAX;
    if (piece.len > max - t->message_len)
        return WST_EMSGBIG;
    size_t len = t->message_len + piece.len;
    if (len == 0)
        return 0;
    if (t->message == NULL || wst_chunk_capacity(t->message) < len) {
        /* The pool's capacities are powers of two, so a message grows only a few times. */
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

void wst__talk_receive(wst__talk_t *t, wst_slice_t piece, bool fin) {
    int status = gather(t, piece);
    if (status != 0)
        wst__talk_fail(t, status, wst_strerror(status));
    else if (fin)
        end_of_message(t);
}
