/* SPDX-License-Identifier: MIT */
/*
 * The stream of a talk. Its bytes go in messages of at most WST__TALK_DATA_MAX bytes. Pausing the
 * reader pauses the WebSocket, and with it the peer; bytes read by then are kept for the reader.
 *
 * The WebSocket's closing handshake ends both directions:
 *  - The peer closed (1000) first: it ended in order. This side cannot write any more.
 *  - This side's shutdown closed first, and the peer has answered: our end has arrived, but the
 * peer's end will never be known. That is an error for the reader.
 *  - Anything else breaks the stream; a reset is the end of the connection without a close frame.
 */
#include "talk_internal.h"

#include <stdio.h>

/* Reading ------------------------------------------------------------------------------------ */

/* Delivers waiting data while the reader wants it. */
static void deliver(wst__talk_t *t) {
    while (t->unread.len > 0 && wst_stream_reading(t->stream)) {
        wst_slice_t data;
        wst__bufq_pop(&t->unread, &data);
        wst_stream_emit_read(t->stream, data);
        wst_slice_unref(data);
    }
    if (!wst_stream_reading(t->stream))
        return;
    if (t->ended)
        wst_stream_emit_end(t->stream);
    else if (!t->over)
        wst_websocket_read_start(t->ws);
}

static void tell_shutdown(wst__talk_t *t) {
    t->shutdown_wanted = false;
    wst_stream_emit_shutdown(t->stream);
}

/* Reports all that is pending, from the loop. */
static void catch_up(wst__defer_t *defer) {
    wst__talk_t *t = WST__CONTAINER(defer, wst__talk_t, defer);
    if (t->stream_error != 0) {
        wst_stream_emit_error(t->stream, t->stream_error);
        return;
    }
    if (t->over && t->shutdown_wanted) /* the peer closed before our shutdown */
        tell_shutdown(t);
    if (!t->stream_closed)
        deliver(t);
}

static void op_read_start(wst_stream_t *stream, size_t max, void *impl) {
    (void)stream;
    (void)max; /* pieces have the size that the peer sends */
    wst__talk_t *t = impl;
    wst__defer(t->ctx, &t->defer, catch_up);
}

static void op_read_stop(wst_stream_t *stream, void *impl) {
    (void)stream;
    wst__talk_t *t = impl;
    if (!t->over)
        wst_websocket_read_stop(t->ws);
}

int wst__talk_stream_data(wst__talk_t *t, wst_slice_t data) {
    t->base.received += data.len;
    if (t->unread.len > 0 || !wst_stream_reading(t->stream))
        return wst__bufq_push(&t->unread, wst_slice_ref(data));
    wst_stream_emit_read(t->stream, data);
    return 0;
}

/* Writing ------------------------------------------------------------------------------------ */

static int send_data(wst__talk_t *t, const uint8_t *data, size_t len) {
    while (len > 0) {
        size_t n = len < WST__TALK_DATA_MAX ? len : (size_t)WST__TALK_DATA_MAX;
        const wst_message_t m = {
            .size = sizeof(m), .method = WST_MSG_COMMUNICATION, .data = data, .len = n};
        int status = wst__talk_send(t, &m);
        if (status != 0)
            return status;
        data += n;
        len -= n;
    }
    return 0;
}

static int op_write(wst_stream_t *stream, const wst_slice_t *slices, size_t count, void *impl) {
    (void)stream;
    wst__talk_t *t = impl;
    int status = t->over ? WST_ESTATE : 0;
    for (size_t i = 0; i < count; i++) {
        if (status == 0) {
            t->base.sent += slices[i].len;
            status = send_data(t, slices[i].data, slices[i].len);
        }
        wst_slice_unref(slices[i]);
    }
    if (status == 0)
        status = wst__websocket_flush(t->ws);
    t->waiting = status == WST_WAIT;
    return status == WST_ESTATE ? (int)WST_EWSCLOSED : status;
}

/* Room for one message, so that this many bytes go out as one. */
static size_t op_room(const wst_stream_t *stream, const void *impl) {
    (void)stream;
    const wst__talk_t *t = impl;
    return t->waiting ? 0 : (size_t)WST__TALK_DATA_MAX;
}

/* The end ------------------------------------------------------------------------------------ */

static int op_shutdown(wst_stream_t *stream, void *impl) {
    (void)stream;
    wst__talk_t *t = impl;
    t->shutdown_wanted = true;
    if (t->over) {
        wst__defer(t->ctx, &t->defer, catch_up);
    } else if (wst__websocket_is_open(t->ws)) {
        t->close_begun = true;
        /* The peer reads all data before our close frame, and answers after it. */
        wst__websocket_end_within(t->ws, 1000, NULL, t->half_closed_timeout_ms);
    }
    return 0;
}

void wst__talk_stream_fail(wst__talk_t *t, int error) {
    t->over = true;
    wst__defer_cancel(&t->defer);
    wst_stream_emit_error(t->stream, error);
}

void wst__talk_stream_fail_later(wst__talk_t *t, int error) {
    t->over = true;
    t->stream_error = error;
    wst__defer(t->ctx, &t->defer, catch_up);
}

void wst__talk_stream_lose(wst__talk_t *t) {
    if (t->stream_error != 0 && !wst__list_empty(&t->defer.node))
        wst__talk_stream_fail(t, t->stream_error);
}

void wst__talk_stream_over(wst__talk_t *t, int error) {
    if (t->over) /* already reported */
        return;
    int code = wst__websocket_close_code(t->ws);
    if (error == 0 && code != 1000 && code != 1005) /* the peer left in the middle */
        error = WST_EWSCLOSED;
    t->over = true;
    if (error == 0 && t->shutdown_wanted)
        tell_shutdown(t);
    if (t->stream_closed)
        return;
    if (error != 0 || t->close_begun) {
        wst__talk_stream_fail(t, error != 0 ? error : WST_EWSCLOSED);
        return;
    }
    t->ended = true;
    if (t->waiting) {
        t->waiting = false;
        wst_stream_emit_drain(t->stream); /* so that the writer finds the stream unwritable */
    }
    if (!t->stream_closed)
        deliver(t);
}

void wst__talk_stream_gone(wst__talk_t *t) {
    wst_stream_t *stream = t->stream;
    t->stream = NULL;
    wst__talk_unref(t);
    wst_stream_closed(stream);
}

static void on_stream_closed(wst__defer_t *defer) {
    wst__talk_stream_gone(WST__CONTAINER(defer, wst__talk_t, defer));
}

static void op_close(wst_stream_t *stream, int reset_reason, void *impl) {
    (void)stream;
    (void)reset_reason; /* an orderly close comes only after the closing handshake */
    wst__talk_t *t = impl;
    t->stream_closed = true;
    wst__defer_cancel(&t->defer);
    if (t->ws == NULL)
        wst__defer(t->ctx, &t->defer, on_stream_closed);
    else
        wst__talk_drop(t);
}

static const wst_stream_ops_t ops = {sizeof(ops), op_read_start, op_read_stop, op_write,
                                     op_room,     op_shutdown,   op_close};

int wst__talk_become_stream(wst__talk_t *t) {
    char peer[96];
    snprintf(peer, sizeof(peer), "tunnel to %s", t->dest);
    int status = wst_stream_new(&t->stream, t->ctx, &ops, t, peer);
    if (status != 0)
        return status;
    t->refs++;
    t->phase = WST__TALK_STREAM;
    wst_websocket_read_stop(t->ws); /* a stream starts paused */
    return 0;
}
