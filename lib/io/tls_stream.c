/* SPDX-License-Identifier: MIT */
/*
 * Streams of TLS over any other one, the transport.
 *
 * Reading: what the transport delivers is decrypted into one chunk, as large as that can become,
 * and passed on. If the reader stops meanwhile, what is left goes back to the transport; what is
 * decrypted already, a part of one record, waits in the engine. So nothing waits here.
 *
 * Writing: what is written is encrypted and handed to the transport at once. It queues, and its
 * marks are passed on.
 *
 * The peer's close_notify is its end, and the transport is not read behind it. Ours is followed by
 * the transport's end.
 */
#include "tls_stream.h"
#include "stream.h"

#include <string.h>

enum {
    READ_MAX = 65536, /* plaintext in one piece */
    ROOM_MIN = 1024   /* while nothing waits, see op_room */
};

typedef struct tls_stream {
    wst__tls_wire_t *wire;
    wst_stream_t *stream;
    size_t read_max;       /* the reader's wish, or 0 */
    bool unfinished;       /* the reader stopped before the engine had no more */
    bool peer_ended;       /* its close_notify has come */
    bool waiting;          /* a write has answered WST_WAIT */
    bool closing;          /* by our owner */
    wst__defer_t catch_up; /* delivers what waits in the engine */
} tls_stream_t;

/* The engine and the transport have failed, or one of them. */
static void fail(tls_stream_t *t, int error) {
    wst_stream_read_stop(t->wire->transport);
    wst__defer_cancel(&t->catch_up);
    wst_stream_emit_error(t->stream, error);
}

/* Reading ------------------------------------------------------------------------------------ */

/* Reads what there is into a chunk of its own. The slice, one reference of which is the caller's,
 * may have bytes whatever is answered: as wst__tls_conn_read. */
static int read_piece(tls_stream_t *t, wst_slice_t *slice) {
    size_t pending, n;
    *slice = (wst_slice_t){0};
    int status = wst__tls_conn_pending(t->wire->conn, &pending);
    if (status != 0)
        return status;
    size_t size = pending + t->wire->input.len; /* never less than what comes out of it */
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

/* Passes on what there is, as long as it is wanted. Only from the loop. */
static void deliver(tls_stream_t *t) {
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
        fail(t, status);
    } else if (t->peer_ended && wst_stream_reading(t->stream)) {
        wst__defer_cancel(&t->catch_up); /* the reader may have stopped and started meanwhile */
        wst_stream_emit_end(t->stream);
    }
}

static void op_read_stop(wst_stream_t *stream, void *impl) {
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
    deliver(t);
    if (!t->closing && !t->peer_ended && wst_stream_reading(t->stream))
        wst_stream_read_start(t->wire->transport, t->read_max);
}

static void op_read_start(wst_stream_t *stream, size_t max, void *impl) {
    (void)stream;
    tls_stream_t *t = impl;
    t->read_max = max;
    if (t->unfinished || t->peer_ended)
        wst__defer(t->wire->ctx, &t->catch_up, on_catch_up);
    else
        wst_stream_read_start(t->wire->transport, max);
}

static void on_read(wst_stream_t *transport, wst_slice_t data, void *user_data) {
    tls_stream_t *t = user_data;
    t->wire->input = data;
    deliver(t);
    if (t->closing)
        return;
    if (t->peer_ended)
        wst_stream_read_stop(transport);
    int status = t->peer_ended ? 0 : wst__tls_wire_give_back(t->wire);
    t->wire->input = (wst_slice_t){0};
    if (status != 0)
        fail(t, status);
}

static void on_end(wst_stream_t *transport, void *user_data) {
    tls_stream_t *t = user_data;
    (void)transport;
    fail(t, WST_ETLSTRUNCATED);
}

/* Writing ------------------------------------------------------------------------------------ */

/* Encrypts and hands on `len` bytes that lie together. */
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
 * Writes slices as records that are full but for the last one. Where a slice does not fill a record
 * by itself, what does is gathered first.
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

static int op_write(wst_stream_t *stream, const wst_slice_t *slices, size_t count, void *impl) {
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

/* While nothing waits there is some room, whatever the transport says: if that has to do with the
 * handshake's last records, nobody here knows of a drain to wait for. */
static size_t op_room(const wst_stream_t *stream, const void *impl) {
    (void)stream;
    const tls_stream_t *t = impl;
    if (t->waiting)
        return 0;
    size_t room = wst_stream_room(t->wire->transport);
    size_t records = room / (WST__TLS_PLAIN + WST__TLS_OVERHEAD) + 1;
    room = room > records * WST__TLS_OVERHEAD ? room - records * WST__TLS_OVERHEAD : 0;
    return room > ROOM_MIN ? room : (size_t)ROOM_MIN;
}

static void on_drain(wst_stream_t *transport, void *user_data) {
    tls_stream_t *t = user_data;
    (void)transport;
    t->waiting = false;
    wst_stream_emit_drain(t->stream);
}

/* The end ------------------------------------------------------------------------------------ */

static int op_shutdown(wst_stream_t *stream, void *impl) {
    (void)stream;
    tls_stream_t *t = impl;
    int status = wst__tls_conn_close_notify(t->wire->conn);
    int sent = wst__tls_wire_flush(t->wire);
    if (status == 0)
        status = sent;
    return status != 0 ? status : wst_stream_shutdown(t->wire->transport);
}

static void on_shutdown(wst_stream_t *transport, void *user_data) {
    tls_stream_t *t = user_data;
    (void)transport;
    wst_stream_emit_shutdown(t->stream);
}

static void on_error(wst_stream_t *transport, int error, void *user_data) {
    (void)transport;
    fail(user_data, error);
}

static void on_transport_closed(void *user_data) {
    tls_stream_t *t = user_data;
    wst_ctx_t *ctx = t->wire->ctx;
    wst_stream_t *stream = t->stream;
    wst__tls_wire_free(t->wire);
    wst__free(&ctx->allocator, t);
    wst_stream_closed(stream);
}

static void op_close(wst_stream_t *stream, int reset_reason, void *impl) {
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
                                     .read_start = op_read_start,
                                     .read_stop = op_read_stop,
                                     .write = op_write,
                                     .room = op_room,
                                     .shutdown = op_shutdown,
                                     .close = op_close};

/* TLS may run over TLS, to a proxy: then it may be the other one that has failed. */
static const char *explain(const void *impl, int error) {
    const tls_stream_t *t = impl;
    const char *failure = wst__tls_conn_info(t->wire->conn)->failure;
    return error == WST_ETLS && failure[0] != '\0' ? failure : NULL;
}

/* Interface ---------------------------------------------------------------------------------- */

int wst__tls_stream_new(wst_stream_t **out, wst__tls_wire_t *wire) {
    static const wst_stream_callbacks_t callbacks = {sizeof(callbacks), on_read,     on_end,
                                                     on_drain,          on_shutdown, on_error};
    tls_stream_t *t = wst__zalloc(&wire->ctx->allocator, sizeof(*t));
    if (t == NULL)
        return WST_ENOMEM;
    int status = wst_stream_new(&t->stream, wire->ctx, &ops, t, wst_stream_peer(wire->transport));
    if (status != 0) {
        wst__free(&wire->ctx->allocator, t);
        return status;
    }
    t->wire = wire;
    t->stream->transport = wire->transport;
    t->stream->explain = explain;
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
