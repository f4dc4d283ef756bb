/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_SESSION_INTERNAL_H
#define WST_LIB_SESSION_INTERNAL_H
/* Shared by the files of the session: session.c (life, deadlines, table), session_stream.c (the
 * owners' calls), session_recv.c (messages in), session_send.c (messages out), session_window.c
 * (windows and allowances), session_budget.c (their memory), session_flight.c (what is in
 * flight). */
#include "codec_check.h"
#include "flight.h"
#include "ip.h"
#include "list.h"
#include "mem.h"
#include "session.h"

#include <assert.h>
#include <string.h>
#include <wstunnel/error.h>

/* The peer must still be told this about a stream, in this order. */
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
    WST__REFUSED, /* the peer's open; gone when the answer is sent */
    WST__RESET,   /* by us; gone when the reset is sent */
    WST__DEAD     /* not in the table any more */
} wst__session_state_t;

/* Kept small, since idle tunnels keep it. */
struct wst__session_stream {
    wst__session_t *session;
    uint64_t id;
    void *data;
    union {
        struct {
            char *dest, *networks; /* local and pending: for the handshake; networks or NULL */
        };
        wst__ip_t address; /* accepted by us, if has_address: the address reached */
    };
    char *text;                     /* of the reason; may be NULL */
    int reason;                     /* of a refusal or reset */
    uint32_t deficit;               /* bytes left of its turn */
    wst__session_state_t state : 8; /* these two take a byte each */
    unsigned tell : 8;
    bool local : 1;     /* we opened it */
    bool announced : 1; /* local: the open was sent, if only on a lost carrier */
    bool early : 1;     /* local: and bytes behind it, which the peer may have delivered */
    bool answered : 1;  /* not local: the answer was sent, if only on a lost carrier; */
    bool agreed : 1;    /* and the peer has it, for it has sent what may only follow it */
    bool owned : 1;  /* not closed by the owner; an open stream without owner is done both ways */
    bool resync : 1; /* re-attached: the peer has not yet mentioned the stream */
    bool has_address : 1;
    bool tx_end_sent : 1, tx_end_acked : 1, rx_end_delivered : 1;
    bool tx_ended, tx_waiting, rx_ended, reading;
    wst__session_stream_t *hash_next; /* table, or graveyard */
    wst__list_t node;                 /* in session->streams while in the table */
    wst__list_t control_node;         /* in session->control while tell != 0 */
    wst__list_t ready_node; /* in session->fresh or ->ready; there while data may be sent */
    wst__budget_t *budget;  /* of the opener, beside that of the session; NULL: none */
    size_t reserved;        /* of the budgets, without the loans of rx_reserved and tx_reserved */

    /* Sending: tx holds [tx_acked, tx_acked + tx.len); bytes before tx_sent have been sent.
     * tx_reserved: the allowance that the budget covers, not below what tx pins. */
    wst__bufq_t tx;
    uint64_t tx_acked, tx_sent, tx_limit, tx_ticked; /* tx_ticked: tx_sent at the last tick */
    uint64_t tx_told;   /* what the peer has acknowledged by a credit: at most tx_acked */
    uint64_t tx_pinged; /* tx_sent when the unanswered ping was sent */
    /* a writer waits beyond tx_allowance bytes in tx; at most 2^30, as windows */
    uint32_t tx_allowance, tx_reserved;
    wst__list_t flight_node; /* in session->flying or ->pinged while bytes are in flight */

    /* Receiving: rx holds [rx_delivered, rx_received). A credit sets rx_limit rx_window ahead of
     * rx_delivered. rx_told is the offset in the last credit: one more than rx_received once that
     * has acknowledged the end. rx_epoch: when and where rx_window was last judged. rx_ticked:
     * rx_received at the last tick. rx_reserved: the window that the budget covers, not below what
     * has been granted. */
    wst__bufq_t rx;
    uint64_t rx_received, rx_delivered, rx_limit, rx_told, rx_ticked;
    uint64_t rx_window, rx_reserved, rx_epoch_us, rx_epoch;
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
    wst__list_t control;
    bool unhurried;             /* control holds no more than confirmed ends: nobody was woken */
    wst__list_t fresh, ready;   /* streams with data: that had none for a round; the others */
    unsigned fresh_turns;       /* messages of fresh streams in a row */
    wst__list_t flying, pinged; /* streams with bytes in flight, before and after the last ping */
    wst__flight_t flight;       /* of the carrier */

    /* Of the peer's hello; max_frame is 0 before the first. */
    uint32_t peer_max_frame, peer_max_streams;
    uint64_t peer_initial_credit;
    bool peer_yields, peer_filters;
    bool takes_early;         /* both hellos name the feature */
    wst_str_t asked_networks; /* while on_open runs */

    uint64_t moved_before, moved; /* bytes of data, at the tick before the last one, and at that */
    uint64_t last_recv_ms, ping_due_ms, ping_sent_us, ping_seq;
    bool ping_due, ping_unanswered;
    bool resyncing, restating; /* the peer's account of its streams, and ours, go on */
    bool short_of_room;        /* a writer waits, and all it may send is sent: a pong makes room */
    bool suspect;              /* as of the last on_change */
    uint64_t pongs[WST__PONGS_MAX];
    size_t pong_count;

    bool goaway_due, goaway_said, peer_goaway;
    int goaway_reason;
    bool bye_due, bye_said, peer_bye; /* bye_due: on this carrier */
    int bye_reason;
    char *bye_text; /* may be NULL */
    size_t pinned;  /* bytes that streams hold of the budget */

    wst__deadline_t deadline, confirming; /* confirming: of an unhurried control */
    unsigned depth;                       /* of calls that run callbacks */
    wst__session_stream_t *graveyard;
};

/* session.c */
int wst__session_fail(wst__session_t *s, int error, const char *detail);
void wst__session_arm(wst__session_t *s); /* sets the deadline */
void wst__session_enter(wst__session_t *s);
void wst__session_leave(wst__session_t *s); /* frees streams that died meanwhile */
wst__session_stream_t *wst__session_find(const wst__session_t *s, uint64_t id);
/* The streams in the table, in order of opening; NULL at the end. A callback may remove any of
 * them: start again after one. */
wst__session_stream_t *wst__session_first_stream(const wst__session_t *s);
wst__session_stream_t *wst__session_next_stream(const wst__session_stream_t *st);
int wst__session_add(wst__session_t *s, wst__session_stream_t **out, uint64_t id, bool local);
void wst__session_remove(wst__session_stream_t *st);         /* from the table: dead */
void wst__session_release_stream(wst__session_stream_t *st); /* frees it once no one needs it */
void wst__session_forget_open(wst__session_stream_t *st);    /* what its handshake says */
void wst__session_kill_stream(wst__session_stream_t *st, int reason, wst_str_t text);
/* Fails our opens above that id that have no answer. `early`: also those with bytes behind them,
 * which the peer has not delivered. */
void wst__session_fail_opens(wst__session_t *s, uint64_t above, bool early, int reason,
                             wst_str_t text);
void wst__session_tell(wst__session_stream_t *st, unsigned what);
/* Tells that the peer's end has arrived: with the next message, or a little later. */
void wst__session_confirm_end(wst__session_stream_t *st);
void wst__session_untell(wst__session_stream_t *st, unsigned what);
/* Makes a stream REFUSED or RESET: without buffers, kept until the peer is told. */
void wst__session_last_word(wst__session_stream_t *st, wst__session_state_t state, int reason,
                            const char *text);
void wst__session_wake(wst__session_t *s);
void wst__session_changed(wst__session_t *s);

/* session_budget.c: reserves for a stream, or borrows, in both budgets or in none. */
bool wst__session_reserve(wst__session_t *s, wst__budget_t *budget, size_t n);
void wst__session_unreserve(wst__session_t *s, wst__budget_t *budget, size_t n);
bool wst__session_borrow(wst__session_stream_t *st, size_t n);
void wst__session_give_back(wst__session_stream_t *st, size_t n);

/* session_window.c */
void wst__window_init(wst__session_stream_t *st);
void wst__window_release(wst__session_stream_t *st);                /* returns all loans */
void wst__window_judge(wst__session_stream_t *st, uint64_t now_us); /* before a credit */
void wst__window_settle(wst__session_stream_t *st);    /* returns what is not needed any more */
void wst__window_shrink(wst__session_stream_t *st);    /* to the credit still unused */
void wst__allowance_judge(wst__session_stream_t *st);  /* of a writer that is to wait */
void wst__allowance_settle(wst__session_stream_t *st); /* tx pins less than before */
void wst__window_tick(wst__session_stream_t *st);      /* at each ping interval */
void wst__window_suspend(wst__session_stream_t *st);   /* while no carrier is attached */

/* session_send.c: lists the stream as ready to send, or lets its end be told. */
void wst__session_schedule(wst__session_stream_t *st);
bool wst__session_has_data(const wst__session_t *s); /* or had some a round ago */

/* session_flight.c */
void wst__flight_note_sent(wst__session_stream_t *st, size_t len);
void wst__flight_drop(wst__session_stream_t *st); /* forgets the stream's bytes in flight */
void wst__flight_reset(wst__session_t *s);        /* a new carrier */
/* Drops the bytes up to `offset`, which the peer has received. */
void wst__flight_confirm(wst__session_stream_t *st, uint64_t offset);
void wst__flight_pinged(wst__session_t *s, uint64_t now_us);
void wst__flight_ponged(wst__session_t *s, uint64_t now_us);
bool wst__flight_wants_ping(const wst__session_t *s);

/* session_stream.c: removes the stream if both directions are done and the peer is told all. */
void wst__session_check_done(wst__session_stream_t *st);
void wst__session_update_credit(wst__session_stream_t *st);
uint64_t wst__session_granted(const wst__session_stream_t *st); /* unacknowledged bytes: most */
bool wst__session_has_room(const wst__session_stream_t *st);    /* worth a write */
void wst__session_drain(wst__session_stream_t *st);             /* tells a waiting writer */

#endif
