/* SPDX-License-Identifier: MIT */
/*
 * The base of all streams. It keeps the promises of stream.h for every kind: which calls are legal
 * when, that no callback follows an error or a close, that bytes put back come first.
 *
 * Bytes and the end reach the owner in two ways that never mix: from the kind while `ops_reading`,
 * or by the deferred `replay` while bytes are put back or an end must be told again.
 *
 * Every callback may close the stream; the struct lives until wst_stream_closed, which kinds call
 * from the loop, so reading its state afterwards is safe.
 */
#include "stream.h"

#include "sized.h"

#include <assert.h>
#include <string.h>

enum { PEER_MAX = 95 }; /* bytes of a peer's name; the rest is cut */

static const size_t DEFAULT_ROOM = 65536;

static void check_stream(const wst_stream_t *s) {
    assert(s != NULL && s->magic == WST__STREAM_MAGIC);
    (void)s;
}

static bool is_dead(const wst_stream_t *s) {
    return s->error != 0 || s->closing;
}

static void unref_all(const wst_slice_t *slices, size_t count) {
    for (size_t i = 0; i < count; i++)
        wst_slice_unref(slices[i]);
}

static bool is_complete(const wst_stream_ops_t *ops) {
    const size_t first_size = offsetof(wst_stream_ops_t, close) + sizeof(ops->close);
    return wst__sized_check(ops, sizeof(*ops), first_size) == 0 && ops->read_start != NULL &&
           ops->read_stop != NULL && ops->write != NULL && ops->shutdown != NULL &&
           ops->close != NULL;
}

int wst_stream_new(wst_stream_t **out, wst_ctx_t *ctx, const wst_stream_ops_t *ops, void *impl,
                   const char *peer) {
    if (!is_complete(ops))
        return WST_EINVAL;
    size_t peer_len = 0;
    while (peer != NULL && peer_len < PEER_MAX && peer[peer_len] != '\0')
        peer_len++;
    wst_stream_t *s = wst__zalloc(&ctx->allocator, sizeof(*s) + peer_len + 1);
    if (s == NULL)
        return WST_ENOMEM;
    s->magic = WST__STREAM_MAGIC;
    s->ctx = ctx;
    s->ops = ops;
    s->impl = impl;
    wst__defer_init(&s->replay);
    if (peer_len > 0)
        memcpy(s->peer, peer, peer_len);
    wst__ctx_hold(ctx);
    *out = s;
    return 0;
}

int wst_stream_set_callbacks(wst_stream_t *s, const wst_stream_callbacks_t *callbacks,
                             void *user_data) {
    check_stream(s);
    wst_stream_callbacks_t given = {.size = sizeof(given)};
    int status = 0;
    if (callbacks != NULL)
        status = wst__sized_read(&given, sizeof(given), callbacks);
    if (status != 0) {
        wst_ctx_log(s->ctx, WST_LOG_ERROR, "wst_stream_set_callbacks: the size is not set");
        given = (wst_stream_callbacks_t){.size = sizeof(given)};
    }
    s->callbacks = (wst__stream_notices_t){given.on_read, given.on_end, given.on_drain,
                                           given.on_shutdown, given.on_error};
    s->user_data = user_data;
    return status;
}

wst_ctx_t *wst_stream_ctx(const wst_stream_t *s) {
    check_stream(s);
    return s->ctx;
}

const char *wst_stream_peer(const wst_stream_t *s) {
    check_stream(s);
    return s->told_peer != NULL ? s->told_peer : s->peer;
}

int wst__stream_set_peer(wst_stream_t *s, const char *peer) {
    check_stream(s);
    size_t len = strnlen(peer, PEER_MAX);
    char *copy = wst__alloc(&s->ctx->allocator, len + 1);
    if (copy == NULL)
        return WST_ENOMEM;
    memcpy(copy, peer, len);
    copy[len] = '\0';
    wst__free(&s->ctx->allocator, s->told_peer);
    s->told_peer = copy;
    return 0;
}

void *wst_stream_impl(const wst_stream_t *s) {
    check_stream(s);
    return s->impl;
}

uint64_t wst_stream_bytes_read(const wst_stream_t *s) {
    check_stream(s);
    return s->bytes_read;
}

uint64_t wst_stream_bytes_written(const wst_stream_t *s) {
    check_stream(s);
    return s->bytes_written;
}

bool wst_stream_reading(const wst_stream_t *s) {
    check_stream(s);
    return s->ops_reading;
}

/* Layers of streams -------------------------------------------------------------------------- */

wst_stream_t *wst__stream_bottom(wst_stream_t *s) {
    while (s->layer != NULL)
        s = s->layer->transport;
    return s;
}

const char *wst__stream_why(const wst_stream_t *s, int error) {
    for (; s->layer != NULL; s = s->layer->transport) {
        const char *why = s->layer->explain != NULL ? s->layer->explain(s->impl, error) : NULL;
        if (why != NULL)
            return why;
    }
    return wst_strerror(error);
}

/* Reading ------------------------------------------------------------------------------------ */

static void on_replay(wst__defer_t *defer);

static bool must_replay(const wst_stream_t *s) {
    return s->unread != NULL || (s->ended && !s->end_told);
}

static void drop_unread(wst_stream_t *s) {
    if (s->unread == NULL)
        return;
    wst__bufq_reset(s->unread);
    wst__free(&s->ctx->allocator, s->unread);
    s->unread = NULL;
}

/* Starts and stops the kind and the replay, after a change of state. */
static void update_reading(wst_stream_t *s) {
    bool replay = s->reading && must_replay(s);
    if (replay)
        wst__defer(s->ctx, &s->replay, on_replay);
    else
        wst__defer_cancel(&s->replay);

    bool from_kind = s->reading && !replay && !s->ended;
    if (from_kind == s->ops_reading)
        return;
    s->ops_reading = from_kind;
    if (from_kind)
        s->ops->read_start(s, s->read_max, s->impl);
    else
        s->ops->read_stop(s, s->impl);
}

void wst_stream_read_start(wst_stream_t *s, size_t max) {
    check_stream(s);
    if (is_dead(s))
        return;
    bool new_max = max != s->read_max;
    s->reading = true;
    s->read_max = max;
    if (s->ops_reading && new_max)
        s->ops->read_start(s, max, s->impl);
    else
        update_reading(s);
}

void wst_stream_read_stop(wst_stream_t *s) {
    check_stream(s);
    if (!s->reading)
        return;
    s->reading = false;
    update_reading(s);
}

static void deliver_read(wst_stream_t *s, wst_slice_t data) {
    if (s->callbacks.on_read != NULL)
        s->callbacks.on_read(s, data, s->user_data);
}

static void tell_end(wst_stream_t *s) {
    s->end_told = true;
    if (s->callbacks.on_end != NULL)
        s->callbacks.on_end(s, s->user_data);
}

static void on_replay(wst__defer_t *defer) {
    wst_stream_t *s = WST__CONTAINER(defer, wst_stream_t, replay);
    while (s->reading && s->unread != NULL) {
        size_t max = s->read_max > 0 ? s->read_max : SIZE_MAX;
        wst_slice_t data = wst_slice_ref(wst__bufq_peek(s->unread, 0, max));
        wst__bufq_consume(s->unread, data.len);
        if (s->unread->len == 0)
            drop_unread(s);
        deliver_read(s, data);
        wst_slice_unref(data);
    }
    if (s->reading && must_replay(s))
        tell_end(s);
    else if (!is_dead(s))
        update_reading(s);
}

/* Queues a slice before the others, which keep their order. */
static int push_front(wst__bufq_t *q, wst_slice_t data) {
    /* Never into the compact chunk, where it would join the slice before. */
    if (data.chunk != NULL && data.len < wst_chunk_capacity(data.chunk) / 4 * 3) {
        wst_slice_t copy;
        int status = wst__pool_copy(q->pool, &copy, data.data, data.len);
        wst_slice_unref(data);
        if (status != 0)
            return status;
        data = copy;
    }
    size_t others = q->count;
    int status = wst__bufq_push_ref(q, data);
    if (status != 0)
        return status;
    while (others-- > 0) {
        wst_slice_t first;
        wst__bufq_pop(q, &first);
        status = wst__bufq_push_ref(q, first); /* into the slot just freed: cannot fail */
        assert(status == 0);
    }
    return 0;
}

/* Takes one reference of the slice, on error too. 0 or WST_ENOMEM. */
static int put_back(wst_stream_t *s, wst_slice_t data) {
    if (s->unread != NULL)
        return push_front(s->unread, data);
    s->unread = wst__alloc(&s->ctx->allocator, sizeof(*s->unread));
    if (s->unread == NULL) {
        wst_slice_unref(data);
        return WST_ENOMEM;
    }
    wst__bufq_init(s->unread, &s->ctx->pool);
    int status = wst__bufq_push(s->unread, data);
    if (status != 0)
        drop_unread(s);
    return status;
}

int wst_stream_unread(wst_stream_t *s, wst_slice_t data) {
    check_stream(s);
    if (is_dead(s)) {
        wst_slice_unref(data);
        return 0;
    }
    int status = 0;
    if (data.len > 0)
        status = put_back(s, data);
    else
        wst_slice_unref(data);
    if (status != 0)
        return status;
    s->end_told = false;
    update_reading(s);
    return 0;
}

/* Writing ------------------------------------------------------------------------------------ */

/* Marks the stream as failed; the owner has just been told or is about to be. */
static void set_failed(wst_stream_t *s, int error) {
    s->error = error;
    wst_stream_read_stop(s);
    drop_unread(s);
}

int wst_stream_write(wst_stream_t *s, const wst_slice_t *slices, size_t count) {
    check_stream(s);
    if (is_dead(s) || s->shutdown_called) {
        unref_all(slices, count);
        return WST_ESTATE;
    }
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += slices[i].len;
    if (len == 0) {
        unref_all(slices, count);
        return 0;
    }
    int status = s->ops->write(s, slices, count, s->impl);
    if (status < 0) {
        set_failed(s, status);
        return status;
    }
    s->bytes_written += len;
    if (status == WST_WAIT)
        s->waiting = true;
    return status;
}

size_t wst_stream_room(const wst_stream_t *s) {
    check_stream(s);
    if (is_dead(s) || s->shutdown_called)
        return 0;
    return s->ops->room != NULL ? s->ops->room(s, s->impl) : DEFAULT_ROOM;
}

int wst_stream_shutdown(wst_stream_t *s) {
    check_stream(s);
    if (is_dead(s) || s->shutdown_called)
        return WST_ESTATE;
    s->shutdown_called = true;
    int status = s->ops->shutdown(s, s->impl);
    if (status < 0)
        set_failed(s, status);
    return status;
}

/* Closing ------------------------------------------------------------------------------------ */

static void close_with(wst_stream_t *s, int reset_reason, wst_close_cb close_cb) {
    if (s->closing)
        return;
    s->closing = true;
    s->close_cb = close_cb;
    s->reading = s->ops_reading = false; /* for the kind, closing stops reading */
    wst__defer_cancel(&s->replay);
    drop_unread(s);
    s->ops->close(s, reset_reason, s->impl);
}

void wst_stream_reset(wst_stream_t *s, int reason, wst_close_cb close_cb) {
    check_stream(s);
    assert(reason < 0);
    close_with(s, reason, close_cb);
}

void wst_stream_close(wst_stream_t *s, wst_close_cb close_cb) {
    check_stream(s);
    close_with(s, s->shutdown_done && s->error == 0 ? 0 : WST_ECANCELLED, close_cb);
}

void wst_stream_closed(wst_stream_t *s) {
    check_stream(s);
    assert(s->closing);
    if (s->watch != NULL)
        s->watch(s, s->watch_data);
    if (s->close_cb != NULL)
        s->close_cb(s->user_data);
    wst_ctx_t *ctx = s->ctx;
    s->magic = 0;
    wst__free(&ctx->allocator, s->told_peer);
    wst__free(&ctx->allocator, s);
    wst__ctx_release(ctx);
}

void wst__stream_watch(wst_stream_t *s, void (*on_closed)(wst_stream_t *stream, void *user_data),
                       void *user_data) {
    check_stream(s);
    s->watch = on_closed;
    s->watch_data = user_data;
}

int wst__stream_outcome(const wst_stream_t *s) {
    check_stream(s);
    if (s->error != 0)
        return s->error;
    return s->ended && s->shutdown_done ? 0 : WST_ECANCELLED;
}

/* What the kind reports ---------------------------------------------------------------------- */

void wst_stream_emit_read(wst_stream_t *s, wst_slice_t data) {
    check_stream(s);
    assert(s->ops_reading);
    if (data.len == 0)
        return;
    s->bytes_read += data.len;
    deliver_read(s, data);
}

void wst_stream_emit_end(wst_stream_t *s) {
    check_stream(s);
    assert(s->ops_reading);
    s->ended = true;
    s->ops_reading = false;
    tell_end(s);
}

void wst__stream_begin_full(wst_stream_t *s) {
    s->waiting = true;
}

void wst_stream_emit_drain(wst_stream_t *s) {
    check_stream(s);
    assert(!s->closing);
    if (s->error != 0 || s->shutdown_called || !s->waiting)
        return;
    s->waiting = false;
    if (s->callbacks.on_drain != NULL)
        s->callbacks.on_drain(s, s->user_data);
}

void wst_stream_emit_shutdown(wst_stream_t *s) {
    check_stream(s);
    assert(!s->closing && s->shutdown_called && !s->shutdown_done);
    if (s->error != 0)
        return;
    s->shutdown_done = true;
    if (s->callbacks.on_shutdown != NULL)
        s->callbacks.on_shutdown(s, s->user_data);
}

void wst_stream_emit_error(wst_stream_t *s, int error) {
    check_stream(s);
    assert(!s->closing && error < 0);
    if (s->error != 0)
        return;
    set_failed(s, error);
    if (s->callbacks.on_error != NULL)
        s->callbacks.on_error(s, error, s->user_data);
}
