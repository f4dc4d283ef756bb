/* SPDX-License-Identifier: MIT */
/*
 * Streams of a session as wst_stream_t (tunnel.h). One object from the first to the last:
 *
 *     OPENING  we have asked; the callback waits         \
 *     INCOMING the peer has asked; the owner will answer  } --> OPEN, a wst_stream_t
 */
#include "tunnel.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

struct wst__tunnel {
    enum { OPENING, INCOMING, OPEN } phase;
    wst__link_t *link;
    wst__session_stream_t *st;
    wst_stream_t *stream;
    wst__tunnel_open_cb callback;
    void (*on_gone)(wst__incoming_t *incoming, int reason, void *user_data);
    void *user_data;
    wst__defer_t defer; /* delivers what waits, or ends the stream */
    char dest[64];      /* for people, may be cut */
};

typedef struct wst__tunnel tunnel_t;

static int make(tunnel_t **out, wst__link_t *link) {
    tunnel_t *t = wst__zalloc(&wst__link_ctx(link)->allocator, sizeof(*t));
    if (t == NULL)
        return WST_ENOMEM;
    t->link = link;
    wst__link_ref(link);
    wst__defer_init(&t->defer);
    *out = t;
    return 0;
}

static void destroy(tunnel_t *t) {
    wst__link_t *link = t->link;
    wst__defer_cancel(&t->defer);
    wst__free(&wst__link_ctx(link)->allocator, t);
    wst__link_unref(link);
}

/* Lets go of the session's stream and of the object. */
static void drop(tunnel_t *t, int reset_reason) {
    wst__session_stream_close(t->st, reset_reason);
    destroy(t);
}

/* -- The stream ------------------------------------------------------------------------------- */

static void deliver(wst__defer_t *defer) {
    tunnel_t *t = WST__CONTAINER(defer, tunnel_t, defer);
    wst__session_stream_deliver(t->st);
}

static void op_read_start(wst_stream_t *stream, size_t max, void *impl) {
    (void)stream;
    (void)max; /* pieces are at most a frame */
    tunnel_t *t = impl;
    wst__session_stream_read(t->st, true);
    wst__defer(wst__link_ctx(t->link), &t->defer, deliver);
}

static void op_read_stop(wst_stream_t *stream, void *impl) {
    (void)stream;
    tunnel_t *t = impl;
    wst__session_stream_read(t->st, false);
}

static int op_write(wst_stream_t *stream, const wst_slice_t *slices, size_t count, void *impl) {
    (void)stream;
    tunnel_t *t = impl;
    int status = 0;
    for (size_t i = 0; i < count; i++) {
        if (status < 0)
            wst_slice_unref(slices[i]);
        else
            status = wst__session_stream_write(t->st, slices[i]);
    }
    return status;
}

static size_t op_room(const wst_stream_t *stream, const void *impl) {
    (void)stream;
    const tunnel_t *t = impl;
    return wst__session_stream_room(t->st);
}

static int op_shutdown(wst_stream_t *stream, void *impl) {
    (void)stream;
    tunnel_t *t = impl;
    return wst__session_stream_shutdown(t->st);
}

static void closed(wst__defer_t *defer) {
    tunnel_t *t = WST__CONTAINER(defer, tunnel_t, defer);
    wst_stream_t *stream = t->stream;
    destroy(t);
    wst_stream_closed(stream);
}

static void op_close(wst_stream_t *stream, int reset_reason, void *impl) {
    (void)stream;
    tunnel_t *t = impl;
    wst__session_stream_close(t->st, reset_reason != 0 ? wst_reason_of(reset_reason) : 0);
    wst__defer(wst__link_ctx(t->link), &t->defer, closed);
}

static const wst_stream_ops_t ops = {op_read_start, op_read_stop, op_write,
                                     op_room,       op_shutdown,  op_close};

static int become_stream(tunnel_t *t) {
    char peer[96];
    snprintf(peer, sizeof(peer), "tunnel %llu%s%s",
             (unsigned long long)wst__session_stream_id(t->st), t->dest[0] != '\0' ? " to " : "",
             t->dest);
    int status = wst_stream_new(&t->stream, wst__link_ctx(t->link), &ops, t, peer);
    if (status == 0)
        t->phase = OPEN;
    return status;
}

/* -- What the session tells ------------------------------------------------------------------- */

static void on_opened(wst__session_stream_t *st, wst_str_t address, void *data) {
    (void)st;
    tunnel_t *t = data;
    wst__tunnel_open_cb callback = t->callback;
    void *user_data = t->user_data;
    if (become_stream(t) == 0) {
        callback(0, address, t->stream, user_data);
    } else {
        drop(t, WST_EMEMORY);
        callback(WST_ENOMEM, (wst_str_t){NULL, 0}, NULL, user_data);
    }
}

static void on_failed(wst__session_stream_t *st, int reason, wst_str_t text, void *data) {
    (void)st;
    tunnel_t *t = data;
    t->callback(reason, text, NULL, t->user_data);
    drop(t, 0);
}

static void on_data(wst__session_stream_t *st, wst_slice_t slice, void *data) {
    (void)st;
    wst_stream_emit_read(((tunnel_t *)data)->stream, slice);
}

static void on_end(wst__session_stream_t *st, void *data) {
    (void)st;
    wst_stream_emit_end(((tunnel_t *)data)->stream);
}

static void on_drain(wst__session_stream_t *st, void *data) {
    (void)st;
    wst_stream_emit_drain(((tunnel_t *)data)->stream);
}

static void on_shutdown(wst__session_stream_t *st, void *data) {
    (void)st;
    wst_stream_emit_shutdown(((tunnel_t *)data)->stream);
}

static void on_reset(wst__session_stream_t *st, int reason, wst_str_t text, void *data) {
    (void)st;
    (void)text;
    tunnel_t *t = data;
    if (t->phase == OPEN) {
        wst_stream_emit_error(t->stream, reason);
        return;
    }
    if (t->on_gone != NULL)
        t->on_gone(t, reason, t->user_data);
    drop(t, 0);
}

void wst__tunnel_session_callbacks(wst__session_callbacks_t *callbacks) {
    callbacks->on_opened = on_opened;
    callbacks->on_failed = on_failed;
    callbacks->on_data = on_data;
    callbacks->on_end = on_end;
    callbacks->on_drain = on_drain;
    callbacks->on_shutdown = on_shutdown;
    callbacks->on_reset = on_reset;
}

/* -- Opening and accepting -------------------------------------------------------------------- */

int wst__tunnel_open(wst__tunnel_open_t **out, wst__link_t *link, const char *dest,
                     wst__tunnel_open_cb callback, void *user_data) {
    wst__session_t *session = wst__link_session(link);
    if (session == NULL)
        return WST_ESTATE;
    tunnel_t *t;
    int status = make(&t, link);
    if (status != 0)
        return status;
    t->phase = OPENING;
    t->callback = callback;
    t->user_data = user_data;
    snprintf(t->dest, sizeof(t->dest), "%s", dest);
    status = wst__session_open(session, &t->st, dest, t);
    if (status != 0) {
        destroy(t);
        return status;
    }
    *out = t;
    return 0;
}

void wst__tunnel_open_cancel(wst__tunnel_open_t *t) {
    assert(t->phase == OPENING);
    drop(t, WST_ECANCELLED);
}

int wst__incoming_new(wst__incoming_t **out, wst__link_t *link, wst__session_stream_t *st) {
    int status = make(out, link);
    if (status != 0)
        return status;
    (*out)->phase = INCOMING;
    (*out)->st = st;
    wst__session_stream_set_data(st, *out);
    return 0;
}

void wst__incoming_on_gone(wst__incoming_t *t,
                           void (*on_gone)(wst__incoming_t *incoming, int reason, void *user_data),
                           void *user_data) {
    t->on_gone = on_gone;
    t->user_data = user_data;
}

int wst__incoming_accept(wst__incoming_t *t, const char *address, wst_stream_t **stream) {
    assert(t->phase == INCOMING);
    int status = become_stream(t);
    if (status != 0)
        return status;
    wst__session_stream_accept(t->st, address);
    *stream = t->stream;
    return 0;
}

void wst__incoming_refuse(wst__incoming_t *t, int reason, const char *text) {
    assert(t->phase == INCOMING);
    wst__session_stream_refuse(t->st, wst_reason_of(reason), text);
    drop(t, 0);
}
