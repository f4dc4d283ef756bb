/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_SESSION_INTERNAL_H
#define WST_LIB_SESSION_INTERNAL_H
/* What the files of the session share: session.c (life, deadlines, table), session_stream.c (what
 * owners call), session_recv.c (messages in), session_send.c (messages out). */
#include "codec_check.h"
#include "ip.h"
#include "list.h"
#include "mem.h"
#include "session.h"

#include <assert.h>
#include <string.h>
#include <wstunnel/error.h>

/* What the peer must still be told about a stream, in the order in which it is told. */
enum {
    WST__TELL_OPEN = 1,
    WST__TELL_ANSWER = 2,
    WST__TELL_CREDIT = 4,
    WST__TELL_YIELD = 8,
    WST__TELL_END = 16,
    WST__TELL_RESET = 32
};

typedef enum {
    WST__PENDING, /* opened, not answered */
    WST__OPEN,    /* bytes flow */
    WST__REFUSED, /* the peer's open; gone when the answer is out */
    WST__RESET,   /* by us; gone when the reset is out */
    WST__DEAD     /* out of the table */
} wst__session_state_t;

struct wst__session_stream {
    wst__session_t *session;
    uint64_t id;
    bool local;     /* we opened it */
    bool announced; /* local: the open has gone out, if only on a carrier that was lost */
    wst__session_state_t state;
    bool owned; /* the owner has not closed it; if it has, an open one is done both ways */
    void *data;
    char *dest;                       /* ours while pending: for the handshake */
    int reason;                       /* of a refusal or reset */
    char *text;                       /* with it; may be NULL */
    char address[WST__IP_TEXT];       /* of an open one that we accepted: what was reached, or "" */
    wst__session_stream_t *hash_next; /* table, or graveyard */
    wst__list_t node;                 /* in session->streams while in the table */
    unsigned tell;
    wst__list_t control_node; /* in session->control while tell != 0 */
    wst__list_t ready_node;   /* in session->ready while there is data that may be sent */
    size_t deficit;           /* bytes left of its turn */
    size_t reserved;          /* of the budget, without what rx_window and tx_allowance borrow */
    bool resync;              /* re-attached: the peer has not yet mentioned the stream */

    /* Sending: tx holds [tx_acked, tx_acked + tx.len), of which what lies before tx_sent is out. */
    wst__bufq_t tx;
    uint64_t tx_acked, tx_sent, tx_limit, tx_ticked; /* tx_ticked: tx_sent at the last ping */
    size_t tx_allowance;                             /* bound of tx.len */
    bool tx_ended, tx_end_sent, tx_end_acked, tx_waiting;

    /* Receiving: rx holds [rx_delivered, rx_received), rx_limit is at most rx_window ahead of
     * rx_delivered. rx_told is what the last credit said: one more than rx_received once it has
     * acknowledged the end. rx_epoch: when and where rx_window was last judged. */
    wst__bufq_t rx;
    uint64_t rx_received, rx_delivered, rx_limit, rx_told;
    uint64_t rx_window, rx_epoch_ms, rx_epoch;
    bool rx_ended, rx_end_delivered, reading;
};

struct wst__session {
    wst__session_options_t o;
    wst_encoding_t encoding; /* of the carrier */
    wst_decoder_t *decoder;
    const char *detail;
    int error;
    bool attached;

    wst__session_stream_t **buckets; /* by id; a power of two of them */
    size_t bucket_count, stream_count, local_count, peer_count, refusal_count;
    uint64_t local_highest, peer_highest;
    wst__list_t streams; /* in the order of their opening */
    wst__list_t control, ready;

    /* Of the peer's hello; max_frame 0: there has been none. */
    uint32_t peer_max_frame, peer_max_streams;
    uint64_t peer_initial_credit;
    bool peer_yields;

    uint64_t last_recv_ms, ping_due_ms, ping_sent_ms, ping_seq;
    uint64_t rtt_ms, rtt_min_ms; /* of the last ping; the least on this carrier, UINT64_MAX: none */
    bool ping_due, ping_unanswered, resyncing;
    bool suspect; /* as on_change was last told */
    uint64_t pongs[WST__PONGS_MAX];
    size_t pong_count;

    bool goaway_due, goaway_said, peer_goaway;
    int goaway_reason;

    wst__deadline_t deadline;
    unsigned depth; /* of calls that run callbacks */
    wst__session_stream_t *graveyard;
};

/* session.c */
int wst__session_fail(wst__session_t *s, int error, const char *detail);
void wst__session_arm(wst__session_t *s); /* sets the deadline */
void wst__session_enter(wst__session_t *s);
void wst__session_leave(wst__session_t *s); /* frees what died meanwhile */
wst__session_stream_t *wst__session_find(const wst__session_t *s, uint64_t id);
/* All in the table, in the order of their opening; NULL: no more. Callbacks may take out any of
 * them: begin anew behind one. */
wst__session_stream_t *wst__session_first_stream(const wst__session_t *s);
wst__session_stream_t *wst__session_next_stream(const wst__session_stream_t *st);
int wst__session_add(wst__session_t *s, wst__session_stream_t **out, uint64_t id, bool local);
void wst__session_remove(wst__session_stream_t *st);         /* out of the table: dead */
void wst__session_release_stream(wst__session_stream_t *st); /* frees it once no one needs it */
void wst__session_kill_stream(wst__session_stream_t *st, int reason, wst_str_t text);
void wst__session_tell(wst__session_stream_t *st, unsigned what);
void wst__session_untell(wst__session_stream_t *st, unsigned what);
/* Of the stream nothing is left but to tell the peer: REFUSED or RESET. It keeps no buffers. */
void wst__session_last_word(wst__session_stream_t *st, wst__session_state_t state, int reason,
                            const char *text);
void wst__session_wake(wst__session_t *s);
void wst__session_changed(wst__session_t *s);

/* session_window.c */
void wst__window_init(wst__session_stream_t *st);
void wst__window_release(wst__session_stream_t *st);                /* all that was borrowed */
void wst__window_judge(wst__session_stream_t *st, uint64_t now_ms); /* before a credit */
void wst__window_shrink(wst__session_stream_t *st);                 /* to what may still come */
void wst__allowance_judge(wst__session_stream_t *st);               /* behind a write */
void wst__window_tick(wst__session_stream_t *st);                   /* with each ping */

/* session_send.c: puts the stream where it belongs now: among the ready ones, or told to end. */
void wst__session_schedule(wst__session_stream_t *st);

/* session_stream.c: forgets the stream if both directions are done and all has been said. */
void wst__session_check_done(wst__session_stream_t *st);
void wst__session_update_credit(wst__session_stream_t *st);
uint64_t wst__session_granted(const wst__session_stream_t *st); /* unacknowledged bytes: most */

#endif
