/* SPDX-License-Identifier: MIT */
/*
 * Streams of a session as wst_stream_t (tunnel.h). One object serves a stream for its whole life:
 *
 *     OPENING  this side has asked; the callback waits   \
 *     INCOMING the peer has asked; the owner will answer  } --> OPEN, a wst_stream_t
 */
#include "tunnel.h"

#include "cork.h"
#include "stream.h"
#include "text.h"
#include "utf8.h"

#include <assert.h>
#include <string.h>

enum { DEST_SHOWN = 64, PEER_SIZE = 11 + WST__DECIMAL_MAX + DEST_SHOWN + 1 };

/* Kept small, since idle tunnels keep it: of the union, `phase` tells which member holds. */
typedef struct tunnel {
    enum { OPENING, INCOMING, OPEN } phase;
    wst__mux_t *mux;
    wst__session_stream_t *st;
    wst__defer_t defer; /* delivers waiting data, or ends the stream */
    union {
        struct {
            wst__opening_t opening;
            wst__opened_cb callback;
            void *user_data;
        };
        wst__incoming_t incoming;
        wst_stream_t *stream;
    };
} tunnel_t;

static wst_ctx_t *tunnel_ctx(const tunnel_t *t) {
    return wst__mux_ctx(t->mux);
}

/* NULL: no memory. */
static tunnel_t *new_tunnel(wst__mux_t *mux) {
    tunnel_t *t = wst__zalloc(&wst__mux_ctx(mux)->allocator, sizeof(*t));
    if (t == NULL)
        return NULL;
    t->mux = mux;
    wst__mux_ref(mux);
    wst__defer_init(&t->defer);
    return t;
}

static void free_tunnel(tunnel_t *t) {
    wst__mux_t *mux = t->mux;
    wst__defer_cancel(&t->defer);
    wst__free(&tunnel_ctx(t)->allocator, t);
    wst__mux_unref(mux);
}

/* Closes the session's stream and frees the tunnel. */
static void drop(tunnel_t *t, int reset_reason) {
    wst__session_stream_close(t->st, reset_reason);
    free_tunnel(t);
}

/* The stream --------------------------------------------------------------------------------- */

static void deliver(wst__defer_t *defer) {
    tunnel_t *t = WST__CONTAINER(defer, tunnel_t, defer);
    wst_ctx_t *ctx = tunnel_ctx(t);
    wst__cork(ctx);
    wst__session_stream_deliver(t->st);
    wst__uncork(ctx);
}

static void op_read_start(wst_stream_t *stream, size_t max, void *impl) {
    (void)stream;
    (void)max; /* pieces are at most a frame */
    tunnel_t *t = impl;
    wst__session_stream_read(t->st, true);
    wst__defer(tunnel_ctx(t), &t->defer, deliver);
}

static void op_read_stop(wst_stream_t *stream, void *impl) {
    (void)stream;
    tunnel_t *t = impl;
    wst__session_stream_read(t->st, false);
}

static int op_write(wst_stream_t *stream, const wst_slice_t *slices, size_t count, void *impl) {
    (void)stream;
    tunnel_t *t = impl;
    wst__uplink_t *uplink = wst__mux_uplink(t->mux);
    int status = 0;
    for (size_t i = 0; i < count; i++) {
        if (status < 0) {
            wst_slice_unref(slices[i]);
            continue;
        }
        uplink->sent += slices[i].len;
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

static void on_tunnel_closed(wst__defer_t *defer) {
    tunnel_t *t = WST__CONTAINER(defer, tunnel_t, defer);
    wst_stream_t *stream = t->stream;
    free_tunnel(t);
    wst_stream_closed(stream);
}

static void op_close(wst_stream_t *stream, int reset_reason, void *impl) {
    (void)stream;
    tunnel_t *t = impl;
    wst__session_stream_close(t->st, reset_reason != 0 ? wst_reason_of(reset_reason) : 0);
    wst__defer(tunnel_ctx(t), &t->defer, on_tunnel_closed);
}

static const wst_stream_ops_t ops = {sizeof(ops), op_read_start, op_read_stop, op_write,
                                     op_room,     op_shutdown,   op_close};

/* "tunnel 12 to host:22", or without what is behind the number. */
static void write_peer(char out[PEER_SIZE], const wst__session_stream_t *st) {
    static const char tunnel[] = "tunnel ", to[] = " to ";
    const char *dest = wst__session_stream_dest(st);
    memcpy(out, tunnel, sizeof(tunnel) - 1);
    char *at = wst__text_decimal(out + sizeof(tunnel) - 1, wst__session_stream_id(st));
    *at = '\0';
    if (dest[0] == '\0')
        return;
    memcpy(at, to, sizeof(to) - 1);
    wst__utf8_cut(at + sizeof(to) - 1, DEST_SHOWN + 1, dest);
}

static int become_stream(tunnel_t *t) {
    char peer[PEER_SIZE];
    write_peer(peer, t->st);
    wst_stream_t *stream;
    int status = wst_stream_new(&stream, tunnel_ctx(t), &ops, t, peer);
    if (status != 0)
        return status;
    t->phase = OPEN;
    t->stream = stream;
    return 0;
}

/* What the session tells --------------------------------------------------------------------- */

static void on_tunnel_opened(wst__session_stream_t *st, wst_str_t address, void *data) {
    tunnel_t *t = data;
    wst__opened_cb callback = t->callback;
    void *user_data = t->user_data;
    if (become_stream(t) == 0) {
        if (wst__session_stream_room(st) == 0) /* early bytes are still on their way */
            wst__stream_begin_full(t->stream);
        callback(0, address, t->stream, user_data);
    } else {
        t->opening.early_delivered = true; /* the stream was open */
        callback(WST_ENOMEM, (wst_str_t){NULL, 0}, NULL, user_data);
        drop(t, WST_EMEMORY);
    }
}

static void on_tunnel_failed(wst__session_stream_t *st, int reason, wst_str_t text, void *data) {
    tunnel_t *t = data;
    t->opening.early_delivered = wst__session_stream_early_delivered(st);
    t->callback(reason, text, NULL, t->user_data);
    drop(t, 0);
}

static void on_tunnel_data(wst__session_stream_t *st, wst_slice_t slice, void *data) {
    (void)st;
    const tunnel_t *t = data;
    wst__mux_uplink(t->mux)->received += slice.len;
    wst_stream_emit_read(t->stream, slice);
}

static void on_tunnel_end(wst__session_stream_t *st, void *data) {
    (void)st;
    wst_stream_emit_end(((tunnel_t *)data)->stream);
}

static void on_tunnel_drain(wst__session_stream_t *st, void *data) {
    (void)st;
    wst_stream_emit_drain(((tunnel_t *)data)->stream);
}

static void on_tunnel_shutdown(wst__session_stream_t *st, void *data) {
    (void)st;
    wst_stream_emit_shutdown(((tunnel_t *)data)->stream);
}

static void on_tunnel_reset(wst__session_stream_t *st, int reason, wst_str_t text, void *data) {
    (void)st;
    (void)text;
    tunnel_t *t = data;
    if (t->phase == OPEN) {
        wst_stream_emit_error(t->stream, reason);
        return;
    }
    if (t->incoming.on_gone != NULL)
        t->incoming.on_gone(&t->incoming, reason, t->incoming.user_data);
    drop(t, 0);
}

/* Opening ------------------------------------------------------------------------------------ */

static void cancel_open(wst__opening_t *opening) {
    tunnel_t *t = WST__CONTAINER(opening, tunnel_t, opening);
    assert(t->phase == OPENING);
    drop(t, WST_ECANCELLED);
}

static int limit_open(wst__opening_t *opening, const char *networks) {
    tunnel_t *t = WST__CONTAINER(opening, tunnel_t, opening);
    assert(t->phase == OPENING);
    return wst__session_stream_set_networks(t->st, networks);
}

static size_t send_early(wst__opening_t *opening, wst_slice_t data) {
    tunnel_t *t = WST__CONTAINER(opening, tunnel_t, opening);
    assert(t->phase == OPENING);
    size_t room = wst__session_stream_room(t->st);
    if (data.len > room)
        data.len = room;
    if (data.len == 0 || !wst__session_stream_takes_early(t->st) ||
        wst__session_stream_write(t->st, wst_slice_ref(data)) < 0)
        return 0;
    wst__mux_uplink(t->mux)->sent += data.len;
    return data.len;
}

static int open_tunnel(wst__mux_t *mux, wst__opening_t **out, const char *dest,
                       wst__budget_t *budget, wst__opened_cb callback, void *user_data) {
    tunnel_t *t = new_tunnel(mux);
    if (t == NULL)
        return WST_ENOMEM;
    t->phase = OPENING;
    t->opening =
        (wst__opening_t){.cancel = cancel_open, .limit = limit_open, .send_early = send_early};
    t->callback = callback;
    t->user_data = user_data;
    int status = wst__session_open(wst__mux_session(mux), &t->st, dest, budget, t);
    if (status != 0) {
        free_tunnel(t);
        return status;
    }
    *out = &t->opening;
    return 0;
}

/* Being asked -------------------------------------------------------------------------------- */

static int accept_tunnel(wst__incoming_t *incoming, const char *address, wst_stream_t **stream) {
    tunnel_t *t = WST__CONTAINER(incoming, tunnel_t, incoming);
    assert(t->phase == INCOMING);
    int status = become_stream(t);
    if (status != 0)
        return status;
    wst__session_stream_accept(t->st, address);
    *stream = t->stream;
    return 0;
}

static void refuse_tunnel(wst__incoming_t *incoming, int reason, const char *text) {
    tunnel_t *t = WST__CONTAINER(incoming, tunnel_t, incoming);
    assert(t->phase == INCOMING);
    wst__session_stream_refuse(t->st, wst_reason_of(reason), text);
    drop(t, 0);
}

static const wst__incoming_ops_t incoming_ops = {accept_tunnel, refuse_tunnel};

static void on_tunnel_asked(wst__session_t *s, wst__session_stream_t *st, wst_str_t dest,
                            void *user_data) {
    wst__uplink_t *uplink = wst__mux_uplink(user_data);
    tunnel_t *t = new_tunnel(user_data);
    if (t == NULL) {
        wst__session_stream_close(st, WST_EMEMORY);
        return;
    }
    t->phase = INCOMING;
    t->st = st;
    t->incoming.ops = &incoming_ops;
    t->incoming.peer = uplink->peer;
    t->incoming.networks = wst__session_asked_networks(s);
    wst__session_stream_set_data(st, t);
    uplink->callbacks->on_incoming(uplink, &t->incoming, dest, uplink->user_data);
}

const wst__mux_streams_t wst__tunnels = {.session = {.on_open = on_tunnel_asked,
                                                     .on_opened = on_tunnel_opened,
                                                     .on_failed = on_tunnel_failed,
                                                     .on_data = on_tunnel_data,
                                                     .on_end = on_tunnel_end,
                                                     .on_drain = on_tunnel_drain,
                                                     .on_shutdown = on_tunnel_shutdown,
                                                     .on_reset = on_tunnel_reset},
                                         .open = open_tunnel};
