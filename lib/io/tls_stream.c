/* SPDX-License-Identifier: MIT */
/*
 * Streams of TLS over another stream, the transport.
 *
 * Reading: the transport's bytes are decrypted into one chunk, large enough for all of them, and
 * passed on. If the reader stops meanwhile, unread records go back to the transport, and decrypted
 * bytes, a part of one record, wait in the engine. So this file queues nothing.
 *
 * Writing: bytes are encrypted and handed to the transport at once. The transport queues, and its
 * WST_WAIT and on_drain are passed on.
 *
 * The peer's close_notify is its end; the transport is not read behind it. Our close_notify is
 * followed by the transport's shutdown.
 */
#include "tls_stream.h"
#include "socket.h"
#include "stream.h"

#include <string.h>

enum {
    READ_MAX = 65536, /* plaintext in one piece */
    ROOM_MIN = 1024   /* while nothing waits, see tls_room */
};

typedef struct tls_stream {
    wst__tls_wire_t *wire;
    wst_stream_t *stream;
    size_t read_max;       /* the reader's bound, or 0 */
    bool unfinished;       /* the reader stopped while the engine had more */
    bool peer_ended;       /* its close_notify has arrived */
    bool waiting;          /* a write has answered WST_WAIT */
    bool closing;          /* by our owner */
    wst__defer_t catch_up; /* delivers plaintext that waits in the engine */
    wst__stream_layer_t layer;
} tls_stream_t;

/* The engine or the transport has failed. */
static void tls_stream_failed(tls_stream_t *t, int error) {
    wst_stream_read_stop(t->wire->transport);
    wst__defer_cancel(&t->catch_up);
    wst_stream_emit_error(t->stream, error);
}

/* Reading ------------------------------------------------------------------------------------ */

/* Reads available plaintext into a new chunk. Returns as wst__tls_conn_read. The slice, whose
 * reference belongs to the caller, may have bytes with any result. */
static int read_piece(tls_stream_t *t, wst_slice_t *slice) {
    size_t pending, n;
    *slice = (wst_slice_t){0};
    int status = wst__tls_conn_pending(t->wire->conn, &pending);
    if (status != 0)
        return status;
    size_t size = pending + t->wire->input.len; /* plaintext is never longer than its records */
    size_t max = t->read_max > 0 && t->read_max < READ_MAX ? t->read_max : (size_t)READ_MAX;
    slice->chunk = wst_chunk_new(t->wire->ctx, size < max ? size : max);
    if (slice->chunk == NULL)
        return WST_ENOMEM;
    size = size < max ? size : max;
    slice->data = wst_chunk_data(slice->chunk);
    while (status == 0 && slice->len < size) {
        status = wst__tls_conn_read(t->wire->conn, wst_chunk_data(slice->chunk) + slice->len,
                                    size - slice->len, &n);
        slice->len += n;
    }
    return status;
}

/* Delivers available plaintext while the reader wants it. Only from the loop. */
static void deliver_plaintext(tls_stream_t *t) {
    int status = 0;
    while (status == 0 && wst_stream_reading(t->stream)) {
        wst_slice_t piece;
        status = read_piece(t, &piece);
        if (status == WST__TLS_END)
            t->peer_ended = true;
        if (piece.len > 0)
            wst_stream_emit_read(t->stream, piece);
        wst_slice_unref(piece);
    }
    t->unfinished = status == 0;
    if (t->closing)
        return;
    int sent = wst__tls_wire_flush(t->wire); /* an alert */
    if (status >= 0 && sent < 0)
        status = sent;
    if (status < 0) {
        tls_stream_failed(t, status);
    } else if (t->peer_ended && wst_stream_reading(t->stream)) {
        wst__defer_cancel(&t->catch_up); /* the reader may have stopped and started meanwhile */
        wst_stream_emit_end(t->stream);
    }
}

static void tls_read_stop(wst_stream_t *stream, void *impl) {
    (void)stream;
    tls_stream_t *t = impl;
    wst_stream_read_stop(t->wire->transport);
    wst__defer_cancel(&t->catch_up);
}

static void on_catch_up(wst__defer_t *defer) {
    tls_stream_t *t = WST__CONTAINER(defer, tls_stream_t, catch_up);
    if (t->peer_ended) {
        wst_stream_emit_end(t->stream);
        return;
    }
    deliver_plaintext(t);
    if (!t->closing && !t->peer_ended && wst_stream_reading(t->stream))
        wst_stream_read_start(t->wire->transport, t->read_max);
}

static void tls_read_start(wst_stream_t *stream, size_t max, void *impl) {
    (void)stream;
    tls_stream_t *t = impl;
    t->read_max = max;
    if (t->unfinished || t->peer_ended)
        wst__defer(t->wire->ctx, &t->catch_up, on_catch_up);
    else
        wst_stream_read_start(t->wire->transport, max);
}

static void on_transport_read(wst_stream_t *transport, wst_slice_t data, void *user_data) {
    tls_stream_t *t = user_data;
    t->wire->input = data;
    deliver_plaintext(t);
    if (t->closing)
        return;
    if (t->peer_ended)
        wst_stream_read_stop(transport);
    int status = t->peer_ended ? 0 : wst__tls_wire_give_back(t->wire);
    t->wire->input = (wst_slice_t){0};
    if (status != 0)
        tls_stream_failed(t, status);
}

static void on_transport_end(wst_stream_t *transport, void *user_data) {
    tls_stream_t *t = user_data;
    (void)transport;
    tls_stream_failed(t, WST_ETLSTRUNCATED);
}

/* Writing ------------------------------------------------------------------------------------ */

/* Encrypts `len` contiguous bytes. */
static int write_bytes(tls_stream_t *t, const uint8_t *data, size_t len) {
    int status = 0;
    while (status == 0 && len > 0) {
        size_t n;
        status = wst__tls_conn_write(t->wire->conn, data, len, &n);
        data += n;
        len -= n;
    }
    return status;
}

/*
 * Writes slices as records, all full except the last. Gathers bytes of slices that do not fill a
 * record themselves.
 */
static int write_slices(tls_stream_t *t, const wst_slice_t *slices, size_t count,
                        uint8_t *gathered) {
    size_t have = 0;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *data = slices[i].data;
        size_t len = slices[i].len;
        while (len > 0) {
            int status = 0;
            size_t n = len < WST__TLS_PLAIN - have ? len : WST__TLS_PLAIN - have;
            if (have == 0 && (n == WST__TLS_PLAIN || i + 1 == count)) {
                status = write_bytes(t, data, n);
            } else {
                memcpy(gathered + have, data, n);
                have += n;
                if (have == WST__TLS_PLAIN) {
                    status = write_bytes(t, gathered, have);
                    have = 0;
                }
            }
            if (status != 0)
                return status;
            data += n;
            len -= n;
        }
    }
    return write_bytes(t, gathered, have);
}

static int tls_write(wst_stream_t *stream, const wst_slice_t *slices, size_t count, void *impl) {
    (void)stream;
    tls_stream_t *t = impl;
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += slices[i].len;
    wst_chunk_t *gathered = NULL;
    int status = 0;
    if (count > 1) {
        gathered = wst_chunk_new(t->wire->ctx, len < WST__TLS_PLAIN ? len : WST__TLS_PLAIN);
        status = gathered != NULL ? 0 : (int)WST_ENOMEM;
    }
    if (status == 0) {
        t->wire->waiting = false;
        t->wire->out_expected = len + (len / WST__TLS_PLAIN + 1) * WST__TLS_OVERHEAD;
        status = write_slices(t, slices, count, gathered != NULL ? wst_chunk_data(gathered) : NULL);
        t->wire->out_expected = 0;
    }
    int sent = wst__tls_wire_flush(t->wire);
    status = status != 0 ? status : sent;
    wst_chunk_unref(gathered);
    for (size_t i = 0; i < count; i++)
        wst_slice_unref(slices[i]);
    if (status != 0)
        return status;
    t->waiting = t->wire->waiting;
    return t->waiting ? WST_WAIT : 0;
}

/* While nothing waits there is some room, even if the transport has none: it may be full of the
 * handshake's last records, and then no on_drain would follow. */
static size_t tls_room(const wst_stream_t *stream, const void *impl) {
    (void)stream;
    const tls_stream_t *t = impl;
    if (t->waiting)
        return 0;
    size_t room = wst_stream_room(t->wire->transport);
    size_t records = room / (WST__TLS_PLAIN + WST__TLS_OVERHEAD) + 1;
    room = room > records * WST__TLS_OVERHEAD ? room - records * WST__TLS_OVERHEAD : 0;
    return room > ROOM_MIN ? room : (size_t)ROOM_MIN;
}

static void on_transport_drain(wst_stream_t *transport, void *user_data) {
    tls_stream_t *t = user_data;
    (void)transport;
    t->waiting = false;
    wst_stream_emit_drain(t->stream);
}

/* The end ------------------------------------------------------------------------------------ */

static int tls_shutdown(wst_stream_t *stream, void *impl) {
    (void)stream;
    tls_stream_t *t = impl;
    int status = wst__tls_conn_close_notify(t->wire->conn);
    int sent = wst__tls_wire_flush(t->wire);
    if (status == 0)
        status = sent;
    return status != 0 ? status : wst_stream_shutdown(t->wire->transport);
}

static void on_transport_shutdown(wst_stream_t *transport, void *user_data) {
    tls_stream_t *t = user_data;
    (void)transport;
    wst_stream_emit_shutdown(t->stream);
}

static void on_transport_error(wst_stream_t *transport, int error, void *user_data) {
    (void)transport;
    tls_stream_failed(user_data, error);
}

static void on_transport_closed(void *user_data) {
    tls_stream_t *t = user_data;
    wst_ctx_t *ctx = t->wire->ctx;
    wst_stream_t *stream = t->stream;
    stream->layer = NULL;
    wst__tls_wire_free(t->wire);
    wst__free(&ctx->allocator, t);
    wst_stream_closed(stream);
}

static void tls_close(wst_stream_t *stream, int reset_reason, void *impl) {
    (void)stream;
    tls_stream_t *t = impl;
    t->closing = true;
    wst__defer_cancel(&t->catch_up);
    if (reset_reason != 0)
        wst_stream_reset(t->wire->transport, reset_reason, on_transport_closed);
    else
        wst_stream_close(t->wire->transport, on_transport_closed);
}

static const wst_stream_ops_t ops = {.size = sizeof(ops),
                                     .read_start = tls_read_start,
                                     .read_stop = tls_read_stop,
                                     .write = tls_write,
                                     .room = tls_room,
                                     .shutdown = tls_shutdown,
                                     .close = tls_close};

/* With TLS over TLS, to a proxy, the transport's TLS may have failed instead: then NULL. */
static const char *tls_failure_text(const void *impl, int error) {
    const tls_stream_t *t = impl;
    const char *failure = wst__tls_conn_info(t->wire->conn)->failure;
    return error == WST_ETLS && failure[0] != '\0' ? failure : NULL;
}

/* Interface ---------------------------------------------------------------------------------- */

int wst__tls_stream_new(wst_stream_t **out, wst__tls_wire_t *wire) {
    static const wst_stream_callbacks_t callbacks = {sizeof(callbacks),     on_transport_read,
                                                     on_transport_end,      on_transport_drain,
                                                     on_transport_shutdown, on_transport_error};
    tls_stream_t *t = wst__zalloc(&wire->ctx->allocator, sizeof(*t));
    if (t == NULL)
        return WST_ENOMEM;
    int status = wst_stream_new(&t->stream, wire->ctx, &ops, t, wst_stream_peer(wire->transport));
    if (status != 0) {
        wst__free(&wire->ctx->allocator, t);
        return status;
    }
    t->wire = wire;
    t->layer = (wst__stream_layer_t){.transport = wire->transport,
                                     .turn_max = wst__tls_engine_turn(),
                                     .explain = tls_failure_text};
    t->stream->layer = &t->layer;
    wst__socket_set_turn_max(wst__stream_bottom(wire->transport), t->layer.turn_max);
    wst__defer_init(&t->catch_up);
    wst_stream_read_stop(wire->transport);
    wst_stream_set_callbacks(wire->transport, &callbacks, t);
    *out = t->stream;
    return 0;
}

const wst_tls_info_t *wst_stream_tls(const wst_stream_t *stream) {
    if (stream->ops != &ops)
        return NULL;
    const tls_stream_t *t = stream->impl;
    return wst__tls_conn_info(t->wire->conn);
}
