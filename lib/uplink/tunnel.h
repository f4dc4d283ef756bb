/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TUNNEL_H
#define WST_LIB_TUNNEL_H
/* Streams of a link's session as wst_stream_t: opening one, accepting one. */
#include "carrier.h"

#include <wstunnel/stream.h>

/* One object, by what it is while nobody has a stream of it yet. */
typedef struct wst__tunnel wst__tunnel_open_t;

/* The outcome of an open: 0, the address that was reached (may be empty) and a paused stream, owned
 * by the callee; or a reason, a text for people (may be empty) and NULL. Texts are valid during the
 * call. */
typedef void (*wst__tunnel_open_cb)(int status, wst_str_t text, wst_stream_t *stream,
                                    void *user_data);

/*
 * Opens a stream to `dest` through the link. 0 and later the callback, exactly once and never from
 * inside this call, unless cancelled; or what wst__session_open says.
 */
int wst__tunnel_open(wst__tunnel_open_t **out, wst__link_t *link, const char *dest,
                     wst__tunnel_open_cb callback, void *user_data);

/* Gives up; the peer is told. Only before the callback has run. */
void wst__tunnel_open_cancel(wst__tunnel_open_t *open);

/*
 * A stream that the peer asked for. It ends by accept or refuse; if the peer cancels it or the link
 * goes first, on_gone is told and it ends too.
 */
void wst__incoming_on_gone(wst__incoming_t *incoming,
                           void (*on_gone)(wst__incoming_t *incoming, int reason, void *user_data),
                           void *user_data);
/* 0 and a paused stream; or WST_ENOMEM (still to be refused). `address`: what was reached, or "".
 */
int wst__incoming_accept(wst__incoming_t *incoming, const char *address, wst_stream_t **stream);
void wst__incoming_refuse(wst__incoming_t *incoming, int reason, const char *text);

/* tunnel.c for link.c: the session's stream callbacks, and a new incoming stream. */
void wst__tunnel_session_callbacks(wst__session_callbacks_t *callbacks);
int wst__incoming_new(wst__incoming_t **out, wst__link_t *link, wst__session_stream_t *st);

#endif
