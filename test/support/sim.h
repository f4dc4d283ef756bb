/* SPDX-License-Identifier: MIT */
#ifndef TEST_SIM_H
#define TEST_SIM_H
/*
 * Two sessions joined by a simulated link under virtual time, each with an application that opens,
 * answers, writes, reads and closes at random. sim_link.c is the link, which splits, delays and
 * dies; sim_app.c the applications and the model of what may happen to them. All is decided by the
 * seed.
 *
 * Byte `n` of what a side writes to a stream follows from the stream, the side and `n`, so each
 * reader can tell whether a byte is the right one.
 */
#include "support.h"

#include "session_internal.h"

enum { SIM_PAIRS = 16 };

/* One end of a stream, as its application knows it. */
typedef struct sim_end {
    struct sim *sim;
    struct sim_pair *pair;
    int side;
    wst__session_stream_t *st; /* NULL: not asked yet, or closed */
    bool asked, opened;
    bool dead;     /* failed or reset, as we were told */
    bool aborted;  /* refused or closed by us before it was done */
    int reason;    /* with which */
    unsigned cuts; /* before that */
    bool had_all;  /* before that, all bytes and the end had come */
    uint64_t written, target, read;
    bool shut, saw_end, saw_shutdown, reading, waiting;
    bool overfilled; /* written more than there was room for */
} sim_end_t;

typedef struct sim_pair {
    uint64_t id;
    int opener;
    char dest[32];
    sim_end_t ends[2];
} sim_pair_t;

typedef struct sim_message {
    struct sim_message *next;
    bool text;
    size_t len, at; /* `at` bytes have arrived */
    uint8_t bytes[];
} sim_message_t;

/* What is on its way from a side to the other. */
typedef struct sim_pipe {
    sim_message_t *first, **last;
    size_t bytes;
    size_t left; /* after a cut: so many still arrive */
} sim_pipe_t;

typedef struct sim_side {
    struct sim *sim;
    int index;
    wst__pool_t pool;
    wst__budget_t budget;
    wst__deadlines_t deadlines;
    wst__greeting_t greeting; /* of the link that is attached */
    wst__session_t *s;
    sim_pipe_t out;
    bool attached, goaway;
} sim_side_t;

typedef struct sim {
    uint64_t seed, random;
    uint64_t now;
    sim_side_t sides[2];
    wst_encoding_t encoding;
    size_t capacity; /* of a pipe: beyond it the carrier is not writable */
    bool cut;        /* the link is dead; either side has still to find out */
    unsigned cuts;
    bool limited;   /* opens may be refused for want of memory or by a limit */
    bool reentrant; /* applications act from inside callbacks too */
    bool half;      /* applications go half their way, and some do not read */
    bool given_up;  /* both sessions were dropped */
    bool finishing; /* no new streams, no more harm: all is to come to its end */
    unsigned depth;
    sim_pair_t pairs[SIM_PAIRS];
    size_t pair_count;
} sim_t;

/* Fails the test, naming the seed. */
void sim_fail(const sim_t *sim, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));
uint64_t sim_random(sim_t *sim, uint64_t below);
bool sim_chance(sim_t *sim, unsigned percent);

/* -- sim_link.c ------------------------------------------------------------------------------- */

void sim_link_init(sim_t *sim);
void sim_link_free(sim_t *sim);
bool sim_pull(sim_t *sim, int from);              /* one message; false: none, or not writable */
bool sim_deliver(sim_t *sim, int from, bool all); /* to the other side; false: nothing there */
void sim_cut(sim_t *sim);
void sim_detach(sim_t *sim, int side);
void sim_attach(sim_t *sim, int side);
void sim_pass(sim_t *sim, uint64_t ms);

/* -- sim_app.c -------------------------------------------------------------------------------- */

extern const wst__session_callbacks_t sim_callbacks;

/* Something at random; or whatever brings the side's streams to their end: whether it did any. */
void sim_act(sim_t *sim, int side);
bool sim_finish(sim_t *sim, int side);

void sim_check(sim_t *sim);          /* what holds at any time */
void sim_check_finished(sim_t *sim); /* what holds when all is done */

#endif
