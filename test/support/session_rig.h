/* SPDX-License-Identifier: MIT */
#ifndef TEST_SESSION_RIG_H
#define TEST_SESSION_RIG_H
/*
 * One session under virtual time, played against by hand: session_rig_say puts in what a peer says.
 * What the session says and calls back is noted as text, so that a test reads like a transcript.
 *
 *     session_rig_says(r, "credit 1 5/32773; end 1 0");    all that it sent since
 *     session_rig_tells(r, "opened 1; data 1 hello");      all that it called back since
 */
#include "support.h"

#include "defaults.h"
#include "session_internal.h"

enum {
    SESSION_RIG_NOTES = 16384,
    SESSION_RIG_MANY = 10000,   /* streams that fit into the default budget */
    SESSION_RIG_WINDOW = 32768, /* of the hellos of both sides, unless a test has set others */
    SESSION_RIG_FRAME = 16384
};

typedef struct session_rig {
    /* Set before session_rig_start; zero means the defaults. */
    bool server; /* the session opens even ids, the peer odd ones */
    wst_encoding_t encoding;
    wst_hello_t hello;                /* of the session; zero: the defaults */
    wst_hello_t peer_hello;           /* of the peer; zero: the defaults */
    bool takes_none, peer_takes_none; /* max_streams in it is 0 */
    size_t budget_limit;              /* 0: plenty */
    uint64_t ping_interval_ms, window_max;
    bool peer_keeps; /* its hello lacks the feature "yield" */
    bool no_open;    /* no on_open callback */

    /* May be changed at any time. */
    int answer;    /* to the peer's opens: SESSION_RIG_ACCEPT, SESSION_RIG_LATER or a reason */
    bool no_read;  /* streams do not read from the start */
    bool keep;     /* dead streams are not closed at once */
    bool lossy;    /* the transport has lost packets, on_round says */
    size_t pieces; /* what the peer says comes in pieces of so many bytes; 0: whole */
    /* Called in each callback, after it was noted; `event` is its name. */
    void (*hook)(struct session_rig *r, const char *event, wst__session_stream_t *st);

    /* For the test to look at. */
    wst__session_t *s;
    uint64_t now;
    unsigned wakeups, changes, rounds; /* calls of on_wakeup, on_change, on_round */
    wst__pool_t pool;
    wst__budget_t budget;
    wst__deadlines_t deadlines;

    wst_decoder_t *ear;
    char said[SESSION_RIG_NOTES], told[SESSION_RIG_NOTES], data[WST__MAX_FRAME];
    wst__session_stream_t *owned[SESSION_RIG_MANY]; /* not closed */
    size_t owned_count;
    size_t live; /* blocks before */
} session_rig_t;

enum { SESSION_RIG_ACCEPT = 0, SESSION_RIG_LATER = 1 };

/* The encoding of rigs; a test program runs its tests with both. */
extern wst_encoding_t session_rig_encoding;

/* The one rig, zeroed. */
session_rig_t *session_rig_new(void);

/* Makes the session and attaches it; no message has gone yet. session_rig_start_new: 0 or the
 * error. */
int session_rig_start_new(session_rig_t *r);
void session_rig_start(session_rig_t *r);

/* session_rig_start, and the first ping and pong. */
void session_rig_greet(session_rig_t *r);

/* The same for windows that grow, up to the default bound unless window_max is set. The pong takes
 * `rtt_ms`. Returns `r`. */
session_rig_t *session_rig_greet_over(session_rig_t *r, uint64_t rtt_ms);

/* A new carrier after wst__session_detach; no ping comes from the peer. */
void session_rig_attach(session_rig_t *r);

/* Drops and frees everything; nothing may be left. */
void session_rig_stop(session_rig_t *r);

/* The peer says something: what wst__session_recv answers. */
int session_rig_say(session_rig_t *r, wst_message_t m);
int session_rig_say_raw(session_rig_t *r, bool text, const void *bytes, size_t len, bool fin);
int session_rig_say_open(session_rig_t *r, uint64_t id);
int session_rig_say_completed(session_rig_t *r, uint64_t id, int error);
int session_rig_say_data(session_rig_t *r, uint64_t id, const char *text);
int session_rig_say_bytes(session_rig_t *r, uint64_t id,
                          size_t len); /* in frames of at most 16 KiB */
int session_rig_say_credit(session_rig_t *r, uint64_t id, uint64_t received, uint64_t credit);
int session_rig_say_end(session_rig_t *r, uint64_t id, uint64_t offset);
int session_rig_say_yield(session_rig_t *r, uint64_t id, uint64_t credit, uint64_t offset);
int session_rig_say_reset(session_rig_t *r, uint64_t id, int error);
int session_rig_say_ping(session_rig_t *r, uint64_t seq);
int session_rig_say_pong(session_rig_t *r, uint64_t seq);
int session_rig_say_goaway(session_rig_t *r, uint64_t last);
int session_rig_say_bye(session_rig_t *r);

/* All that the session has said or told since the last look, separated by "; ". */
void session_rig_says(session_rig_t *r, const char *expected);
void session_rig_tells(session_rig_t *r, const char *expected);
void session_rig_ignores(session_rig_t *r); /* what is to be said and was told is dropped */

/* Takes one message; false if there is none. It is noted in `m`, whose data live until the next. */
bool session_rig_pull(session_rig_t *r, wst_message_t *m);

/* The session opens a stream to "a:1"; on failure the error is in *status. */
wst__session_stream_t *session_rig_try_open(session_rig_t *r, int *status);
wst__session_stream_t *session_rig_open(session_rig_t *r);

/* A stream of the session that is open both ways, asked for by itself (local) or by the peer. */
wst__session_stream_t *session_rig_stream(session_rig_t *r, bool local);

/* Writes text, or `len` bytes in a large chunk; WST_WAIT is passed on, errors fail. */
int session_rig_write(session_rig_t *r, wst__session_stream_t *st, const char *text);
int session_rig_write_bytes(session_rig_t *r, wst__session_stream_t *st, size_t len);

void session_rig_close(session_rig_t *r, wst__session_stream_t *st, int reset_reason);

/* Lets time pass, in one go. */
void session_rig_wait(session_rig_t *r, uint64_t ms);

#endif
