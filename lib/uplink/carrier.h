/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_CARRIER_H
#define WST_LIB_CARRIER_H
/*
 * A carrier: a WebSocket and the greeting that begins it. It moves whole messages for its owner
 * without looking into them, and knows no session.
 *
 *     OPENING --upgrade--> GREETING --hellos--> RUNNING --end, breach--> ENDING --> OVER
 *
 * The carrier pulls the owner's messages once a turn of the loop, so that all writes of a turn go
 * out together. It pulls no more than the socket takes, so that the owner decides late what goes
 * first, and no more than take well below a millisecond.
 */
#include "ctx.h"
#include "greeting.h"

#include <wstunnel/hijack.h>
#include <wstunnel/websocket.h>

typedef struct wst__carrier wst__carrier_t;

/* What a carrier tells its owner; all are required. */
typedef struct wst__carrier_callbacks {
    /* The peer has said hello (wst__carrier_greeting), whose secret is wiped when this returns.
     * Messages are moved from now on, behind our hello; if that is held, the owner must release it
     * (wst__carrier_name_session) or end the carrier. */
    void (*on_greeted)(wst__carrier_t *carrier, void *owner);

    /* Gives the next message to send: 1; 0: no message until wst__carrier_wake; or an error, which
     * breaks the carrier. */
    int (*next)(wst__carrier_t *carrier, wst__outgoing_t *out, void *owner);

    /* A piece of a message arrived; the slice is borrowed. */
    void (*on_message)(wst__carrier_t *carrier, bool text, wst_slice_t piece, bool fin,
                       void *owner);

    /* The carrier is broken: it moves no more messages, except by wst__carrier_flush in this
     * callback, and tells the peer why. on_over follows. Also runs inside wst__carrier_fail. */
    void (*on_broken)(wst__carrier_t *carrier, int error, const char *detail, void *owner);

    /* The carrier is over: runs once, with the error that broke it or that of the WebSocket's
     * on_over. Close it. */
    void (*on_over)(wst__carrier_t *carrier, int error, const char *detail, void *owner);
} wst__carrier_callbacks_t;

typedef struct wst__carrier_options {
    const wst__carrier_callbacks_t *callbacks; /* must outlive the carrier */
    void *owner;
    wst_hello_t hello;         /* ours, as wst__greeting_init takes it */
    bool holds_hello;          /* ours waits for the peer's: it names the session */
    uint64_t hello_timeout_ms; /* 0: WST__STEP_TIMEOUT_MS */
} wst__carrier_options_t;

/* Our subprotocols, NULL-terminated, best first. The one agreed on decides the encoding. */
extern const char *const wst__carrier_protocols[];      /* bin, json */
extern const char *const wst__carrier_protocols_json[]; /* json */

/*
 * Makes a carrier from a connected stream, which it takes on success, or from a hijack's upgrade
 * request. `websocket` and errors are those of wst_websocket_connect and _accept, but the carrier
 * sets callbacks, user_data and max_message. WST_EINVAL: also a hello that is out of range.
 */
int wst__carrier_connect(wst__carrier_t **out, wst_ctx_t *ctx, wst_stream_t *stream,
                         const wst_websocket_options_t *websocket,
                         const wst__carrier_options_t *options);
int wst__carrier_accept(wst__carrier_t **out, wst_ctx_t *ctx, wst_hijack_t *hijack,
                        const wst_websocket_options_t *websocket,
                        const wst__carrier_options_t *options);

/* Replaces the owner. NULL: no owner; arriving messages are dropped, and no callback runs. */
void wst__carrier_set_owner(wst__carrier_t *carrier, const wst__carrier_callbacks_t *callbacks,
                            void *owner);

/* In on_greeted: our hello, which was held, goes out. See wst__greeting_name_session. */
void wst__carrier_name_session(wst__carrier_t *carrier, const wst_hello_t *session);

/* The owner has a message to send: `next` runs soon. */
void wst__carrier_wake(wst__carrier_t *carrier);

/* Breaks the carrier because of the peer, or for want of memory. The close code that fits the error
 * tells the peer why. Only the first cause counts. */
void wst__carrier_fail(wst__carrier_t *carrier, int error, const char *detail);

/*
 * Ends the carrier in order: first the owner's messages (up to a batch), then the closing
 * handshake, then on_over with 0, or with WST_ECANCELLED if the WebSocket was not open yet. The
 * peer's messages are dropped meanwhile.
 */
void wst__carrier_end(wst__carrier_t *carrier, int code, const char *reason);

/* Before a close, or in on_broken: sends the owner's messages (up to a batch), as far as the
 * connection takes them now. */
void wst__carrier_flush(wst__carrier_t *carrier);

/* Closes at once; `close_cb` runs from the loop. */
void wst__carrier_close(wst__carrier_t *carrier, wst_close_cb close_cb, void *user_data);

/* Whether messages are moved: both hellos were exchanged, and neither side has ended the carrier.
 */
bool wst__carrier_is_running(const wst__carrier_t *carrier);

/* Bytes that the kernel should keep unsent on a path of that rate, in bytes a second, and least
 * round trip. */
size_t wst__carrier_unsent(uint64_t rate, uint64_t rtt_us);

/* The path of the carrier is such. */
void wst__carrier_set_path(wst__carrier_t *carrier, uint64_t rate, uint64_t rtt_us);

/* Receives few bytes in each turn of the loop, since many short messages are expected, or again as
 * usual. */
void wst__carrier_pace(wst__carrier_t *carrier, bool paced);

/* Whether TCP has lost packets since the last call. */
bool wst__carrier_has_lost(wst__carrier_t *carrier);

const wst__greeting_t *wst__carrier_greeting(const wst__carrier_t *carrier);
const char *wst__carrier_peer(const wst__carrier_t *carrier); /* valid until it is closed */
int wst__carrier_http_status(const wst__carrier_t *carrier);  /* a WebSocket's */

/* For tests, which make a WebSocket do what a carrier would not. */
wst_websocket_t *wst__carrier_websocket(const wst__carrier_t *carrier);

#endif
