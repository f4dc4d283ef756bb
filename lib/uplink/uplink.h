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
#include "resume.h"

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
    /* Has the far side try only addresses that the networks allow (wst_rules_networks), if it knows
     * how to. Right after `open`, once; copied. 0 or WST_ENOMEM. NULL: this kind cannot say it. */
    int (*limit)(wst__opening_t *opening, const char *networks);
    /* Sends the stream's first bytes, or the next ones, before the answer. Returns how many of them
     * the far side takes so, possibly none; the others are to be written to the stream. NULL: this
     * kind sends none. */
    size_t (*send_early)(wst__opening_t *opening, wst_slice_t data);
    /* As the callback runs with an error: the far side may have delivered such bytes. */
    bool early_delivered;
};

/* Cancels the open and tells the far side. Only before the callback has run. */
static inline void wst__opening_cancel(wst__opening_t *opening) {
    opening->cancel(opening);
}

/* -- Resuming -------------------------------------------------------------------------------- */

/* can_open: the connection is lost, and the uplink waits for another one. */
enum { WST__UPLINK_AWAY = 1 };

typedef enum wst__claim_verdict {
    WST__CLAIM_WRONG,
    WST__CLAIM_OLDER, /* proved, but a later attempt has been accepted */
    WST__CLAIM_RIGHT
} wst__claim_verdict_t;

/* What an uplink of a kind that can resume can do beside. */
typedef struct wst__uplink_resume_ops {
    /* Whether the uplink waits for another connection. */
    bool (*is_suspended)(const wst__uplink_t *uplink);

    /* The side that dials: what the next attempt says. 0, WST_ESTATE (nothing can be resumed), or
     * another error. */
    int (*claim)(const wst__uplink_t *uplink, uint64_t epoch, wst__resume_field_t *out);

    /* The side that accepts: the name of the session; NULL: it cannot be resumed. */
    const uint8_t *(*sid)(const wst__uplink_t *uplink);

    /* Judges a claim on this uplink, with the conn of the hello. */
    wst__claim_verdict_t (*check)(wst__uplink_t *uplink, const wst__resume_field_t *claim,
                                  uint32_t conn);

    /* From now on the uplink waits at most so long for another connection. */
    void (*hasten)(wst__uplink_t *uplink, uint64_t grace_ms);

    /* Bytes of the memory budget that the streams hold. */
    size_t (*pinned)(const wst__uplink_t *uplink);
} wst__uplink_resume_ops_t;

/* -- What an uplink can do ------------------------------------------------------------------- */

typedef struct wst__uplink_ops {
    /* Whether a stream can be opened now: 0; WST__UPLINK_AWAY; WST_ELIMIT: the uplink carries as
     * many as the far side takes; WST_ENOAGENT: the far side takes none at all; WST_EGOAWAY: it
     * takes no more; WST_ELOST: the uplink is not up, or no longer. */
    int (*can_open)(const wst__uplink_t *uplink);

    /* Opens a stream to `dest`; its memory counts in `budget`, too (NULL: none), until it is gone.
     * 0: the callback runs later, exactly once and never from inside this call, unless cancelled;
     * or an error of can_open, WST_EMEMORY, WST_EDEST, WST_ENOMEM. */
    int (*open)(wst__uplink_t *uplink, wst__opening_t **out, const char *dest,
                wst__budget_t *budget, wst__opened_cb callback, void *user_data);

    /* Whether a stream of so much memory would fit if enough were free: no quota of the uplink
     * refuses it. NULL: it takes no memory. */
    bool (*may_fit)(const wst__uplink_t *uplink, size_t memory);

    size_t (*load)(const wst__uplink_t *uplink);     /* streams open or opening, both ways */
    uint64_t (*rtt_ms)(const wst__uplink_t *uplink); /* of the last ping, rounded up; 0: unknown */

    /* Bytes that it has moved lately, both ways; see wst__session_moved. NULL: not known. */
    uint64_t (*moved)(const wst__uplink_t *uplink);

    /* Whether a ping has gone unanswered for a while, and no other data has arrived. */
    bool (*is_suspect)(const wst__uplink_t *uplink);

    /* Tells the far side to open no more streams here. Open streams continue. */
    void (*goaway)(wst__uplink_t *uplink);

    /* Ends the uplink for good by the closing handshake, with code and reason; `lose`: its streams
     * fail with WST_ELOST at once, rather than when the far side has answered. on_down follows,
     * with WST_ECANCELLED if the upgrade had not been answered yet. */
    void (*end)(wst__uplink_t *uplink, int code, const char *reason, bool lose);

    /* Closes the uplink at once: its streams and opens fail with WST_ELOST, then on_closed runs. */
    void (*close)(wst__uplink_t *uplink);

    const wst__uplink_resume_ops_t *resume; /* NULL: this kind cannot resume */
} wst__uplink_ops_t;

/* What an uplink tells its owner. Each but on_closed may be NULL. */
typedef struct wst__uplink_callbacks {
    /* The far side has said hello, before on_up: the uplink that its connection continues, or NULL:
     * this one, as a new one. With another uplink on_resumed runs for that, or, on failure, on_down
     * for this one. May `end` this uplink. NULL: always new. */
    wst__uplink_t *(*on_claim)(wst__uplink_t *uplink, const wst_hello_t *hello, void *user_data);

    /* Whether another connection may still come; if not, the loss of the present one ends the
     * uplink. Asked from inside any call, so it may only answer. NULL: yes. */
    bool (*may_return)(const wst__uplink_t *uplink, void *user_data);

    /* The connection is lost; the uplink keeps its streams and waits, at most `grace_ms`. */
    void (*on_suspended)(wst__uplink_t *uplink, int error, const char *detail, uint64_t grace_ms,
                         void *user_data);

    /* Nobody has continued the suspended uplink in time: whether it waits for another second, as
     * this side itself has kept connections from coming. Asked at most until the uplink has waited
     * twice as long as it was to. NULL: no. */
    bool (*on_overdue)(wst__uplink_t *uplink, void *user_data);

    /* The uplink goes on with the connection of `from`, of which only on_closed follows: close it.
     * `outage_ms`: how long it was suspended. */
    void (*on_resumed)(wst__uplink_t *uplink, wst__uplink_t *from, uint64_t outage_ms,
                       void *user_data);

    /* The far side has named itself: from now on streams can be opened. A negative result ends the
     * uplink with that error. `hello` is valid during the call. A kind whose protocol has no hello
     * fills it from its options, with a unique `conn`. */
    int (*on_up)(wst__uplink_t *uplink, const wst_hello_t *hello, void *user_data);

    /* The far side asks for a stream: accept or refuse it, now or later. NULL: refuses all. */
    void (*on_incoming)(wst__uplink_t *uplink, wst__incoming_t *incoming, wst_str_t dest,
                        void *user_data);

    /* A ping has been answered. May only take note. */
    void (*on_round_trip)(void *user_data, uint64_t us);

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
    const char *peer;        /* its origin or destination; see wst_stream_peer */
    uint64_t sent, received; /* bytes of its streams, so far */
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
    /* Its streams count in the budget of who opens them; the uplink has a share of the memory
     * beside, and a quota of so many bytes (0: none). */
    bool shares_memory;
    size_t memory_max;
    /* Can be resumed, if the far side can, too. The side that accepts then says its hello behind
     * the far side's, and keeps the streams without a connection for `grace_ms`, or for
     * `idle_grace_ms` if there are none; `tag` begins the names of its sessions. */
    bool resumes;
    uint64_t grace_ms, idle_grace_ms;
    uint8_t tag[4];
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
    /* The addresses that may be tried (wst_rules_networks), valid during on_incoming; empty: all.
     */
    wst_str_t networks;
    void (*on_gone)(wst__incoming_t *incoming, int reason, void *user_data);
    void *user_data;
};

#endif
