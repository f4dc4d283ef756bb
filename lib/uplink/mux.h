/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_MUX_H
#define WST_LIB_MUX_H
/*
 * A mux: the uplink of many streams. It owns a session while carriers come and go; as long as
 * sessions cannot be resumed, a carrier that is lost ends its mux. Its streams (tunnel.h) may
 * outlive it: the memory stays until the last one is closed.
 */
#include "carrier.h"
#include "session.h"
#include "uplink.h"

typedef struct wst__mux wst__mux_t;

/* What a mux has to know of its streams, without knowing them. */
typedef struct wst__mux_streams {
    /* Those of a session's callbacks that are about streams. The session's user_data is the mux. */
    wst__session_callbacks_t session;
    int (*open)(wst__mux_t *mux, wst__opening_t **out, const char *dest, wst__opened_cb callback,
                void *user_data);
} wst__mux_streams_t;

/* As of an uplink kind. */
int wst__mux_connect(wst__uplink_t **out, wst_ctx_t *ctx, wst_stream_t *stream,
                     const wst_websocket_options_t *websocket, const wst__uplink_options_t *options,
                     const wst__mux_streams_t *streams);
int wst__mux_accept(wst__uplink_t **out, wst_ctx_t *ctx, wst_hijack_t *hijack,
                    const wst__uplink_options_t *options, const wst__mux_streams_t *streams);

/* The mux that an uplink of this kind is. */
wst__mux_t *wst__mux_of(wst__uplink_t *uplink);

/*
 * Goes on with a carrier that has been greeted, and takes it. The session is made if this is the
 * first one; otherwise the old one is closed, of which nothing is heard any more. 0; WST_ESTATE: it
 * is down or being closed, and has not taken the carrier; or an error as of wst__session_new and
 * _attach: the carrier, which it has taken, is to be failed then.
 */
int wst__mux_attach(wst__mux_t *mux, wst__carrier_t *carrier);

/* The streams of a mux keep it. */
void wst__mux_ref(wst__mux_t *mux);
void wst__mux_unref(wst__mux_t *mux);
wst_ctx_t *wst__mux_ctx(const wst__mux_t *mux);
wst__uplink_t *wst__mux_uplink(wst__mux_t *mux);
wst__session_t *wst__mux_session(const wst__mux_t *mux); /* NULL: not up yet */

/* NULL: none. */
wst__carrier_t *wst__mux_carrier(const wst__mux_t *mux);

/* mux_kind.c */
extern const wst__uplink_kind_t wst__mux_kind;

#endif
