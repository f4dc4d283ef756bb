/* SPDX-License-Identifier: MIT */
#ifndef TEST_SIM_H
#define TEST_SIM_H
/*
 * Two sessions joined by simulated links under virtual time, each with an application that opens,
 * answers, writes, reads and closes at random. sim_link.c are the links, which split, delay, die
 * and are taken over by others; sim_app.c the applications and the model of what may happen to
 * them; sim_run.c a whole schedule. All is decided by the seed, or by the bytes of an input as long
 * as they last.
 *
 * Byte `n` of what a side writes to a stream follows from the stream, the side and `n`, so each
 * reader can tell whether a byte is the right one.
 */
#include "support.h"

#include "session_internal.h"

enum { SIM_PAIRS = 16, SIM_LINKS = 4 };

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
    unsigned cuts; /* of carriers, before that */
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

/* A connection. Side 0 dials it; its epoch tells it from older attempts. */
typedef struct sim_link {
    uint64_t epoch; /* 0: not in use */
    bool cut;       /* dead; either side has still to find out */
    struct {
        bool open; /* the side has not closed it yet; a closed one hears nothing */
        wst__greeting_t greeting;
        sim_pipe_t out;
        unsigned byes;
    } ends[2];
} sim_link_t;

typedef struct sim_side {
    struct sim *sim;
    int index;
    wst__pool_t pool;
    wst__budget_t budget, opener; /* all streams' and those of this side */
    wst__deadlines_t deadlines;
    wst__session_t *s;
    sim_link_t *link; /* attached to the session; NULL: none */
    uint64_t epoch;   /* of the latest one */
    bool woken;       /* the session has something to send, it said; only then is it asked */
    bool goaway, suspending;
    bool said_bye, heard_bye;
} sim_side_t;

typedef struct sim {
    uint64_t seed, random;
    const uint8_t *input, *input_end; /* NULL: the seed decides */
    uint64_t now;
    sim_side_t sides[2];
    sim_link_t links[SIM_LINKS];
    uint64_t epochs; /* attempts so far */
    wst_encoding_t encoding;
    size_t capacity; /* of a pipe: beyond it the carrier is not writable */
    unsigned cuts;   /* carriers that were lost: counted by each side that lets go of one */
    bool suspends;   /* sides suspend their session, instead of only detaching it */
    bool waits;      /* side 1 says its hello when it has that of side 0 */
    bool limited;    /* opens may be refused for want of memory or by a limit */
    bool reentrant;  /* applications act from inside callbacks too */
    bool half;       /* applications go half their way, and some do not read */
    bool given_up;   /* both sessions were dropped */
    bool finishing;  /* no new streams, no more harm: all is to come to its end */
    unsigned depth;
    sim_pair_t pairs[SIM_PAIRS];
    size_t pair_count;
} sim_t;

/* Fails the test, naming the seed if there is one. */
void sim_fail(const sim_t *sim, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));
uint64_t sim_random(sim_t *sim, uint64_t below);
bool sim_chance(sim_t *sim, unsigned percent);

/* -- sim_link.c ------------------------------------------------------------------------------- */

void sim_link_init(sim_t *sim);
void sim_link_free(sim_t *sim);
bool sim_pull(sim_t *sim, int from);              /* one message; false: none, or not writable */
bool sim_deliver(sim_t *sim, int from, bool all); /* to the other side; false: nothing there */
bool sim_has_mail(const sim_t *sim);              /* something is on its way */
void sim_dial(sim_t *sim);                        /* side 0, beside what it has */
bool sim_is_away(const sim_t *sim);               /* side 0 neither has a link nor dials */
void sim_cut(sim_t *sim);                         /* one of the links */
void sim_lose(sim_t *sim, int side);              /* cuts what the side has and tells it */
bool sim_find_out(sim_t *sim, int side);          /* that a link is dead; false: none is */
void sim_pass(sim_t *sim, uint64_t ms);

/* -- sim_app.c -------------------------------------------------------------------------------- */

extern const wst__session_callbacks_t sim_callbacks;

/* Something at random; or whatever brings the side's streams to their end: whether it did any. */
void sim_act(sim_t *sim, int side);
bool sim_finish(sim_t *sim, int side);

void sim_say_bye(sim_t *sim, int side);

void sim_check(sim_t *sim);          /* what holds at any time */
void sim_check_finished(sim_t *sim); /* what holds when all is done */

/* -- sim_run.c -------------------------------------------------------------------------------- */

void sim_run(uint64_t seed, unsigned cut_permille); /* how many steps of 1000 cut the link: to 15 */
void sim_run_input(const uint8_t *input, size_t size);

#endif
