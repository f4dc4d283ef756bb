/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_UPLINK_H
#define WST_LIB_UPLINK_H
/*
 * An uplink: opens streams at a far side. Code above this folder chooses, opens, drains and ends
 * uplinks through this interface, whatever their kind:
 *
 *     mux    a session of many streams over a WebSocket (mux.h)
 *     talk   a WebSocket that carries one stream, as in the talk's protocol (talk.h)
 *
 * The far side can ask for a stream, too: that is an incoming stream.
 */
#include "ctx.h"

#include <wstunnel/codec.h>
#include <wstunnel/hijack.h>
#include <wstunnel/stream.h>
#include <wstunnel/websocket.h>

typedef struct wst__uplink wst__uplink_t;
typedef struct wst__incoming wst__incoming_t;
typedef struct wst__opening wst__opening_t;

/* -- Opening a stream ------------------------------------------------------------------------ */

/* The outcome: 0, the address reached (may be empty) and a paused stream, owned by the callee; or a
 * reason, a text for people (may be empty) and NULL. Texts are valid during the call.
 */
typedef void (*wst__opened_cb)(int status, wst_str_t text, wst_stream_t *stream, void *user_data);

/* An open not answered yet; embedded in the kind's own object. */
struct wst__opening {
    void (*cancel)(wst__opening_t *opening);
};

/* Cancels the open and tells the far side. Only before the callback has run. */
static inline void wst__opening_cancel(wst__opening_t *opening) {
    opening->cancel(opening);
}

/* -- What an uplink can do ------------------------------------------------------------------- */

typedef struct wst__uplink_ops {
    /* Whether a stream can be opened now: 0; WST_ELIMIT: the uplink carries as many as the far side
     * takes; WST_EGOAWAY: the far side takes no more; WST_ELOST: the uplink is not up, or no
     * longer. */
    int (*can_open)(const wst__uplink_t *uplink);

    /* Opens a stream to `dest`. 0: the callback runs later, exactly once and never from inside this
     * call, unless cancelled; or an error of can_open, WST_EMEMORY, WST_EDEST, WST_ENOMEM. */
    int (*open)(wst__uplink_t *uplink, wst__opening_t **out, const char *dest,
                wst__opened_cb callback, void *user_data);

    size_t (*load)(const wst__uplink_t *uplink);     /* streams open or opening, both ways */
    uint64_t (*rtt_ms)(const wst__uplink_t *uplink); /* of the last ping, rounded up; 0: unknown */

    /* Whether a ping has gone unanswered for a while, and no other data has arrived. */
    bool (*is_suspect)(const wst__uplink_t *uplink);

    /* Tells the far side to open no more streams here. Open streams continue. */
    void (*goaway)(wst__uplink_t *uplink);

    /* Ends the uplink by the closing handshake, with code and reason; `lose`: its streams fail with
     * WST_ELOST at once, rather than when the far side has answered. on_down follows, with
     * WST_ECANCELLED if the upgrade had not been answered yet. */
    void (*end)(wst__uplink_t *uplink, int code, const char *reason, bool lose);

    /* Closes the uplink at once: its streams and opens fail with WST_ELOST, then on_closed runs. */
    void (*close)(wst__uplink_t *uplink);
} wst__uplink_ops_t;

/* What an uplink tells its owner. Each but on_closed may be NULL. */
typedef struct wst__uplink_callbacks {
    /* The far side has named itself: from now on streams can be opened. A negative result ends the
     * uplink with that error. `hello` is valid during the call. A kind whose protocol has no hello
     * fills it from its options, with a unique `conn`. */
    int (*on_up)(wst__uplink_t *uplink, const wst_hello_t *hello, void *user_data);

    /* The far side asks for a stream: accept or refuse it, now or later. NULL: refuses all. */
    void (*on_incoming)(wst__uplink_t *uplink, wst__incoming_t *incoming, wst_str_t dest,
                        void *user_data);

    /* The answer of can_open, load or is_suspect may have changed. Runs inside any call, so it may
     * only take note. */
    void (*on_change)(wst__uplink_t *uplink, void *user_data);

    /* `reason` not 0: the far side is leaving (WST_EGOAWAY, ...) and takes no more streams. 0: an
     * uplink that `renews`, dialled by this side, has been used and may be replaced now. An uplink
     * that goes down without this call has not been used. */
    void (*on_goaway)(wst__uplink_t *uplink, int reason, void *user_data);

    /* The uplink is over: runs once, with or without on_up before. `error`: 0 if it ended in order;
     * `http_status`: of the answer that refused the upgrade, else 0. All its streams have failed.
     * Close it. */
    void (*on_down)(wst__uplink_t *uplink, int error, int http_status, const char *detail,
                    void *user_data);

    /* The uplink is gone: runs once, last, from the loop. */
    void (*on_closed)(void *user_data);
} wst__uplink_callbacks_t;

/* The base of all kinds, embedded in each. */
struct wst__uplink {
    const wst__uplink_ops_t *ops;
    const wst__uplink_callbacks_t *callbacks;
    void *user_data;
    /* One open uses the uplink up; the side that dialled then dials another, worth waiting for. */
    bool renews;
    const char *peer; /* its origin or destination; see wst_stream_peer */
};

/* -- Making one ------------------------------------------------------------------------------ */

/* Copied with its texts, except `callbacks`, which must outlive the uplink. */
typedef struct wst__uplink_options {
    const wst__uplink_callbacks_t *callbacks;
    void *user_data;
    wst_encoding_t encoding; /* wanted, by the side that dials */
    wst_hello_t hello;       /* ours; see wst__hello_complete about zeros */
    const char *name;        /* of a far side that sends no name; or NULL */
    bool single;             /* no other uplink to this far side waits: may delay on_goaway */
    uint64_t window_max, hello_timeout_ms, ping_interval_ms, dead_after_ms, half_closed_timeout_ms;
} wst__uplink_options_t;

/* A kind, by protocol. */
typedef struct wst__uplink_kind {
    const char *const *subprotocols; /* offered or required in the upgrade; NULL: none */

    /* Makes an uplink from a stream connected to a server, which it takes on success. `websocket`
     * as for wst_websocket_connect; the kind sets protocols, callbacks and user_data in it. */
    int (*connect)(wst__uplink_t **out, wst_ctx_t *ctx, wst_stream_t *stream,
                   const wst_websocket_options_t *websocket, const wst__uplink_options_t *options);

    /* Makes an uplink from the hijack's upgrade request. Errors as of wst_websocket_accept. */
    int (*accept)(wst__uplink_t **out, wst_ctx_t *ctx, wst_hijack_t *hijack,
                  const wst__uplink_options_t *options);
} wst__uplink_kind_t;

/* NULL: the protocol is not built in, or does not exist. */
const wst__uplink_kind_t *wst__uplink_kind(wst_protocol_t protocol);

/* Whether these may be the first and the largest window of streams; 0 stands for the default. */
bool wst__uplink_windows_valid(size_t first, size_t most);

/* -- A stream that the far side asks for ----------------------------------------------------- */

typedef struct wst__incoming_ops {
    /* Accepts: 0 and a paused stream; or an error (refuse it then). `address`: the one reached, or
     * "". */
    int (*accept)(wst__incoming_t *incoming, const char *address, wst_stream_t **stream);
    /* `text`: for people, or NULL. */
    void (*refuse)(wst__incoming_t *incoming, int reason, const char *text);
} wst__incoming_ops_t;

/* An incoming stream ends by accept or refuse, or by on_gone if the far side cancels it or the
 * uplink goes first. Embedded in the kind's own object. */
struct wst__incoming {
    const wst__incoming_ops_t *ops;
    const char *peer; /* of its uplink; valid until the incoming stream ends */
    void (*on_gone)(wst__incoming_t *incoming, int reason, void *user_data);
    void *user_data;
};

#endif
