/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_MUX_H
#define WST_LIB_MUX_H
/*
 * A mux: the uplink of many streams. It keeps its session while carriers come and go:
 *
 *     UP --carrier lost--> SUSPENDED --attach--> UP       any --bye, breach, grace, end--> DOWN
 *
 * If one side cannot resume, the session ends with its carrier. The streams (tunnel.h) may outlive
 * the mux: the memory stays until the last one is closed.
 */
#include "carrier.h"
#include "session.h"
#include "uplink.h"

typedef struct wst__mux wst__mux_t;

/* The mux's interface to its streams. */
typedef struct wst__mux_streams {
    /* The session's callbacks about streams. The session's user_data is the mux. */
    wst__session_callbacks_t session;
    int (*open)(wst__mux_t *mux, wst__opening_t **out, const char *dest, wst__budget_t *budget,
                wst__opened_cb callback, void *user_data);
} wst__mux_streams_t;

/* As `connect` and `accept` of an uplink kind. */
int wst__mux_connect(wst__uplink_t **out, wst_ctx_t *ctx, wst_stream_t *stream,
                     const wst_websocket_options_t *websocket, const wst__uplink_options_t *options,
                     const wst__mux_streams_t *streams);
int wst__mux_accept(wst__uplink_t **out, wst_ctx_t *ctx, wst_hijack_t *hijack,
                    const wst__uplink_options_t *options, const wst__mux_streams_t *streams);

/* The mux of an uplink of this kind. */
wst__mux_t *wst__mux_of(wst__uplink_t *uplink);

/*
 * Takes a greeted carrier and continues on it. The first carrier makes the session; a later one
 * closes the old carrier, which calls back no more, and says all unanswered opens again. 0;
 * WST_ESTATE: the session is over, perhaps ended by its owner, who is told of the change; or an
 * error of wst__session_new or _attach. After an error the mux has not taken the carrier, and has
 * none if it had another one.
 */
int wst__mux_attach(wst__mux_t *mux, wst__carrier_t *carrier);

/* Each stream of a mux holds a reference. */
void wst__mux_ref(wst__mux_t *mux);
void wst__mux_unref(wst__mux_t *mux);
wst_ctx_t *wst__mux_ctx(const wst__mux_t *mux);
wst__uplink_t *wst__mux_uplink(wst__mux_t *mux);
wst__session_t *wst__mux_session(const wst__mux_t *mux); /* NULL: not up yet */

/* NULL: suspended or closed. */
wst__carrier_t *wst__mux_carrier(const wst__mux_t *mux);

/* mux_kind.c */
extern const wst__uplink_kind_t wst__mux_kind;

#endif
