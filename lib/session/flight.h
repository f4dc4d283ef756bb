/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_FLIGHT_H
#define WST_LIB_FLIGHT_H
/*
 * How many bytes of data may be in flight on a carrier: sent, and not yet confirmed by the peer.
 *
 * More than the product of bandwidth and delay only makes a queue, behind which every other stream
 * of the carrier waits. As BBR does (Cardwell et al., "BBR: Congestion-Based Congestion Control",
 * 2016), the limit follows the rate at which bytes are confirmed and the least round trip, which
 * contains no queue. The limit has a floor: what keeps a short path busy, and what a long path
 * needs to start fast. One or two streams are as fast with 64 KiB less, and a keystroke beside a
 * transfer waits for less; more streams would be slower, since their messages are smaller.
 *
 * A sparse stream sends a little now and then, such as a keystroke or a request, and minds the
 * queue of the others. If none has sent for a second, what the path carries in a millisecond may be
 * in flight. On a short and fast path that is more, and saves wake-ups. A keystroke after a pause
 * of a second may wait so long.
 *
 * A new carrier may have more in flight, until its rate has been level for some rounds: TCP must
 * find the rate first.
 *
 * What follows a lost packet waits at the receiver for its repetition. That is no queue of ours:
 * for a while after a loss, the limit lets the carrier's transport send as much as it can.
 *
 * Each ping begins a round, which its pong ends. No clock, no session: the owner says what happens.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WST__FLIGHT_FLOOR = 256 * 1024, /* bytes; plus this for each microsecond of the round trip: */
    WST__FLIGHT_FLOOR_RATE = 16,    /* that is 128 Mbit/s */
    WST__FLIGHT_FEW = 2,            /* so many streams need less than the floor, by: */
    WST__FLIGHT_FEW_LESS = 64 * 1024,
    WST__FLIGHT_SPARSE_US = 1000 * 1000, /* so long without sparse streams allows a queue: */
    WST__FLIGHT_QUEUE_US = 1000,         /* what goes out in so long, */
    WST__FLIGHT_QUEUE_MAX = 4194304,     /* but no more bytes than that */
    WST__FLIGHT_ROUNDS = 8,              /* the limit follows the best of so many rounds */
    WST__FLIGHT_LOSSY = 8,               /* rounds that a loss counts */
    WST__FLIGHT_CALM = 4 /* the least round trip is of so many pings without a queue */
};

typedef struct wst__flight {
    uint64_t in_flight, confirmed; /* bytes */
    size_t streams; /* that have bytes in flight, or had since the last ping; the owner counts */
    uint64_t heard; /* bytes of data received */
    uint64_t limit, limit_few; /* of in_flight; one frame may go beyond */
    uint64_t limit_queue;      /* in_flight may reach it, too; 0: a sparse stream has sent lately */
    uint64_t rtt_us;           /* of the last round; 0: not known */
    uint64_t rtt_min_us;       /* the least; UINT64_MAX: not known */
    bool sparse;               /* a sparse stream has sent since the last pong */
    uint64_t sparse_us;        /* the last pong behind one */

    bool in_round;
    uint64_t round_began_us, round_confirmed, round_in_flight,
        round_heard;                       /* when its ping was sent */
    uint64_t products[WST__FLIGHT_ROUNDS]; /* of each round: bytes a least round trip; a ring */
    uint64_t calm_us[WST__FLIGHT_CALM];    /* round trips of calm rounds; a ring */
    unsigned next_product, next_calm;
    unsigned lossy_rounds; /* left */
    uint64_t best;         /* product, while a new carrier starts */
    unsigned level_rounds; /* in a row that were little better than that */
} wst__flight_t;

/* A new carrier: nothing is in flight, nothing is known. */
void wst__flight_init(wst__flight_t *f);

void wst__flight_sent(wst__flight_t *f, uint64_t bytes);
void wst__flight_confirmed(wst__flight_t *f, uint64_t bytes);
void wst__flight_forgotten(wst__flight_t *f, uint64_t bytes); /* of a stream that is gone */

/* A sparse stream has sent, beside others. */
void wst__flight_note_sparse(wst__flight_t *f);

/* Data is received. A pong that comes behind it has waited for it. */
void wst__flight_heard(wst__flight_t *f, uint64_t bytes);

/* A ping is sent, its pong arrives. One at a time. `lossy`: packets were lost meanwhile. */
void wst__flight_ping(wst__flight_t *f, uint64_t now_us);
void wst__flight_pong(wst__flight_t *f, uint64_t now_us, bool lossy);

/* How long the ping under way has taken by then. */
uint64_t wst__flight_round_us(const wst__flight_t *f, uint64_t now_us);

/* The limit for as many streams as there are. */
uint64_t wst__flight_limit(const wst__flight_t *f);
bool wst__flight_is_full(const wst__flight_t *f);

/* Whether so much is in flight that a round should begin. Without it, the limit does not follow. */
bool wst__flight_wants_round(const wst__flight_t *f);

/* Bytes a second at best in the last rounds; of lossy rounds too high, by as much as losses delay a
 * pong; 0: not known. */
uint64_t wst__flight_rate(const wst__flight_t *f);

/* The least round trip, 0: not known. */
uint64_t wst__flight_least_rtt_us(const wst__flight_t *f);

/* The least that `limit` can be; that of few streams is less. */
uint64_t wst__flight_floor(const wst__flight_t *f);

#endif
