/* SPDX-License-Identifier: MIT */
#ifndef TEST_SESSION_RIG_H
#define TEST_SESSION_RIG_H
/*
 * One session under virtual time, played against by hand: rig_say puts in what a peer says, and
 * what the session says and calls back is noted as text, so that a test reads like a transcript.
 *
 *     rig_says(r, "credit 1 5/32773; end 1 0");    all that it sent since
 *     rig_tells(r, "opened 1; data 1 hello");      all that it called back since
 */
#include "support.h"

#include "session_internal.h"

enum { RIG_NOTES = 16384 };

typedef struct rig {
    /* Set before rig_start; zero means the defaults. */
    bool server; /* the session opens even ids, the peer odd ones */
    wst_encoding_t encoding;
    wst_hello_t hello;      /* of the session */
    wst_hello_t peer_hello; /* of the peer; zero: the defaults */
    size_t budget_limit;    /* 0: plenty */
    uint64_t ping_interval_ms, window_max;
    bool peer_keeps; /* its hello lacks the feature "yield" */
    bool no_open;    /* no on_open callback */

    /* May be changed at any time. */
    int answer;    /* to the peer's opens: RIG_ACCEPT, RIG_LATER or a reason */
    bool no_read;  /* streams do not read from the start */
    bool keep;     /* dead streams are not closed at once */
    size_t pieces; /* what the peer says comes in pieces of so many bytes; 0: whole */
    int on_hello;  /* result of on_hello */
    /* Called in each callback, after it was noted; `event` is its name. */
    void (*hook)(struct rig *r, const char *event, wst__session_stream_t *st);

    /* For the test to look at. */
    wst__session_t *s;
    uint64_t now;
    unsigned wakeups;
    wst__pool_t pool;
    wst__budget_t budget;
    wst__deadlines_t deadlines;

    wst_decoder_t *ear;
    char said[RIG_NOTES], told[RIG_NOTES], data[WST__MAX_FRAME];
    wst__session_stream_t *owned[64]; /* not closed */
    size_t owned_count;
    size_t live; /* blocks before */
} rig_t;

enum { RIG_ACCEPT = 0, RIG_LATER = 1 };

/* The encoding of rigs; a test program runs its tests with both. */
extern wst_encoding_t rig_encoding;

/* The one rig, zeroed. */
rig_t *rig_new(void);

/* Makes the session and attaches it; nothing is said yet. rig_start_new: 0 or the error. */
int rig_start_new(rig_t *r);
void rig_start(rig_t *r);

/* rig_start, and hellos go both ways, and the first ping and pong. */
void rig_greet(rig_t *r);

/* A new carrier after wst__session_detach; hellos go both ways, but no ping from the peer. */
void rig_attach(rig_t *r);

/* Drops and frees everything; nothing may be left. */
void rig_stop(rig_t *r);

/* The peer says something: what wst__session_recv answers. */
int rig_say(rig_t *r, wst_message_t m);
int rig_say_raw(rig_t *r, bool text, const void *bytes, size_t len, bool fin);
int rig_say_hello(rig_t *r);
int rig_say_open(rig_t *r, uint64_t id);
int rig_say_completed(rig_t *r, uint64_t id, int error);
int rig_say_data(rig_t *r, uint64_t id, const char *text);
int rig_say_bytes(rig_t *r, uint64_t id, size_t len); /* in frames of at most 16 KiB */
int rig_say_credit(rig_t *r, uint64_t id, uint64_t received, uint64_t credit);
int rig_say_end(rig_t *r, uint64_t id, uint64_t offset);
int rig_say_yield(rig_t *r, uint64_t id, uint64_t credit, uint64_t offset);
int rig_say_reset(rig_t *r, uint64_t id, int error);
int rig_say_ping(rig_t *r, uint64_t seq);
int rig_say_pong(rig_t *r, uint64_t seq);
int rig_say_goaway(rig_t *r, uint64_t last);

/* All that the session has said or told since the last look, separated by "; ". */
void rig_says(rig_t *r, const char *expected);
void rig_tells(rig_t *r, const char *expected);
void rig_ignores(rig_t *r); /* what is to be said and was told is dropped */

/* Takes one message; false if there is none. It is noted in `m`, whose data live until the next. */
bool rig_pull(rig_t *r, wst_message_t *m);

/* The session opens a stream to "a:1"; on failure the error is in *status. */
wst__session_stream_t *rig_try_open(rig_t *r, int *status);
wst__session_stream_t *rig_open(rig_t *r);

/* A stream of the session that is open both ways, asked for by itself (local) or by the peer. */
wst__session_stream_t *rig_stream(rig_t *r, bool local);

/* Writes text, or `len` bytes in a large chunk; WST_WAIT is passed on, errors fail. */
int rig_write(rig_t *r, wst__session_stream_t *st, const char *text);
int rig_write_bytes(rig_t *r, wst__session_stream_t *st, size_t len);

void rig_close(rig_t *r, wst__session_stream_t *st, int reset_reason);

/* Lets time pass, in one go. */
void rig_wait(rig_t *r, uint64_t ms);

#endif
