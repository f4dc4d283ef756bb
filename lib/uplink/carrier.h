/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_CARRIER_H
#define WST_LIB_CARRIER_H
/*
 * A carrier: a WebSocket and the greeting that begins it. It moves whole messages for its owner and
 * does not look into them; it knows no session.
 *
 *     OPENING --upgrade--> GREETING --hellos--> RUNNING --end, breach--> ENDING --> OVER
 *
 * What the owner wants to send is pulled once a turn of the loop, so that all that was written in
 * that turn goes out together, and only as much as the socket takes, so that the owner decides late
 * what goes first.
 */
#include "ctx.h"
#include "greeting.h"

#include <wstunnel/hijack.h>
#include <wstunnel/websocket.h>

typedef struct wst__carrier wst__carrier_t;

/* What a carrier tells its owner; all are required. */
typedef struct wst__carrier_callbacks {
    /* The hellos have been said (wst__carrier_greeting): messages are moved from now on. */
    void (*on_greeted)(wst__carrier_t *carrier, void *owner);

    /* The next message to send: 1; 0: none now, wst__carrier_wake will tell; or an error, which
     * breaks the carrier. */
    int (*next)(wst__carrier_t *carrier, wst__outgoing_t *out, void *owner);

    /* A piece of a message came in; the slice is lent. */
    void (*on_message)(wst__carrier_t *carrier, bool text, wst_slice_t piece, bool fin,
                       void *owner);

    /* It is broken: nothing is moved any more, the peer is being told why. on_over follows. Runs
     * inside wst__carrier_fail, too. */
    void (*on_broken)(wst__carrier_t *carrier, void *owner);

    /* It is over, once: by what broke it, or as of a WebSocket's on_over. Close it. */
    void (*on_over)(wst__carrier_t *carrier, int error, const char *detail, void *owner);
} wst__carrier_callbacks_t;

typedef struct wst__carrier_options {
    const wst__carrier_callbacks_t *callbacks; /* must outlive the carrier */
    void *owner;
    wst_hello_t hello;         /* ours, as wst__greeting_init takes it */
    uint64_t hello_timeout_ms; /* 0: WST__STEP_TIMEOUT_MS */
} wst__carrier_options_t;

/* Our subprotocols, NULL-terminated, best first. Which one is agreed on decides the encoding. */
extern const char *const wst__carrier_protocols[];      /* bin, json */
extern const char *const wst__carrier_protocols_json[]; /* json */

/*
 * By a connected stream, which is taken on success, or by the upgrade request that a hijack holds.
 * `websocket` as for wst_websocket_connect and _accept, whose errors these return, but for its
 * callbacks, user_data and max_message. WST_EINVAL: also a hello that is out of range.
 */
int wst__carrier_connect(wst__carrier_t **out, wst_ctx_t *ctx, wst_stream_t *stream,
                         const wst_websocket_options_t *websocket,
                         const wst__carrier_options_t *options);
int wst__carrier_accept(wst__carrier_t **out, wst_ctx_t *ctx, wst_hijack_t *hijack,
                        const wst_websocket_options_t *websocket,
                        const wst__carrier_options_t *options);

/* Another owner. NULL: none; what comes in is dropped, and nobody is told anything. */
void wst__carrier_set_owner(wst__carrier_t *carrier, const wst__carrier_callbacks_t *callbacks,
                            void *owner);

/* There is something to send: `next` is asked soon. */
void wst__carrier_wake(wst__carrier_t *carrier);

/* Breaks it because of the peer, or for want of memory: the peer is told why, by the close code
 * that fits the error. Only the first cause counts. */
void wst__carrier_fail(wst__carrier_t *carrier, int error, const char *detail);

/*
 * Ends in an orderly way: what the owner has to say comes first (as far as a batch holds it), then
 * the closing handshake, then on_over with 0, or with WST_ECANCELLED if the WebSocket was not open
 * yet. What the peer says meanwhile is dropped.
 */
void wst__carrier_end(wst__carrier_t *carrier, int code, const char *reason);

/* Closes at once; `close_cb` runs from the loop. */
void wst__carrier_close(wst__carrier_t *carrier, wst_close_cb close_cb, void *user_data);

/* Whether messages are moved: the hellos have been said, and nothing has ended it. */
bool wst__carrier_is_running(const wst__carrier_t *carrier);

const wst__greeting_t *wst__carrier_greeting(const wst__carrier_t *carrier);
const char *wst__carrier_peer(const wst__carrier_t *carrier); /* valid until it is closed */
int wst__carrier_http_status(const wst__carrier_t *carrier);  /* a WebSocket's */

/* For tests, which make a WebSocket do what a carrier would not. */
wst_websocket_t *wst__carrier_websocket(const wst__carrier_t *carrier);

#endif
