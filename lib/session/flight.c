/* SPDX-License-Identifier: MIT */
#include "flight.h"

#include <assert.h>
#include <string.h>

enum {
    GAIN_START = 4,    /* of a new carrier: above BBR's 2.9, so that TCP limits it, not we; else BBR
                          would not see that it has found the rate */
    LEVEL_ROUNDS = 6,  /* the start is over when the rate has been level so long: BBR needs three */
    GAIN = 2,          /* BBR's: room for confirmations that are late or come together */
    GAIN_LOSSY = 4,    /* no less than TCP, which doubles what it sends while we wait for a pong */
    CALM_BYTES = 16384 /* received in a round: more may delay its pong */
};

uint64_t wst__flight_least_rtt_us(const wst__flight_t *f) {
    return f->rtt_min_us != UINT64_MAX ? f->rtt_min_us : 0;
}

uint64_t wst__flight_floor(const wst__flight_t *f) {
    return WST__FLIGHT_FLOOR + WST__FLIGHT_FLOOR_RATE * wst__flight_least_rtt_us(f);
}

static uint64_t greatest(const uint64_t *values, unsigned count) {
    uint64_t most = 0;
    for (unsigned i = 0; i < count; i++)
        most = values[i] > most ? values[i] : most;
    return most;
}

static uint64_t least(const uint64_t *values, unsigned count) {
    uint64_t result = UINT64_MAX;
    for (unsigned i = 0; i < count; i++)
        result = values[i] < result ? values[i] : result;
    return result;
}

static uint64_t gain_of(const wst__flight_t *f) {
    if (f->lossy_rounds > 0)
        return GAIN_LOSSY;
    return f->level_rounds < LEVEL_ROUNDS ? GAIN_START : GAIN;
}

static void set_limit(wst__flight_t *f) {
    static_assert(WST__FLIGHT_FEW_LESS < WST__FLIGHT_FLOOR / 2, "a full flight begins a round");
    uint64_t wanted = gain_of(f) * greatest(f->products, WST__FLIGHT_ROUNDS);
    uint64_t floor = wst__flight_floor(f), less = floor - WST__FLIGHT_FEW_LESS;
    f->limit = wanted > floor ? wanted : floor;
    f->limit_few = wanted > less ? wanted : less;
}

void wst__flight_init(wst__flight_t *f) {
    memset(f, 0, sizeof(*f));
    f->rtt_min_us = UINT64_MAX;
    memset(f->calm_us, 0xff, sizeof(f->calm_us));
    f->sparse = true; /* not known */
    set_limit(f);
}

void wst__flight_sent(wst__flight_t *f, uint64_t bytes) {
    f->in_flight += bytes;
}

void wst__flight_confirmed(wst__flight_t *f, uint64_t bytes) {
    f->in_flight -= bytes;
    f->confirmed += bytes;
}

void wst__flight_forgotten(wst__flight_t *f, uint64_t bytes) {
    f->in_flight -= bytes;
}

void wst__flight_note_sparse(wst__flight_t *f) {
    f->sparse = true;
    f->limit_queue = 0;
}

void wst__flight_heard(wst__flight_t *f, uint64_t bytes) {
    f->heard += bytes;
}

void wst__flight_ping(wst__flight_t *f, uint64_t now_us) {
    f->in_round = true;
    f->round_began_us = now_us;
    f->round_confirmed = f->confirmed;
    f->round_in_flight = f->in_flight;
    f->round_heard = f->heard;
}

/*
 * The least round trip is that of the last calm pings, so that it can rise when the path gets
 * longer. Under load it can only fall: a ping then waits in the queue that it is to measure.
 */
static void measure_rtt(wst__flight_t *f, uint64_t rtt_us) {
    f->rtt_us = rtt_us;
    bool calm = f->round_in_flight == 0 && f->heard - f->round_heard < CALM_BYTES;
    if (!calm && rtt_us >= f->rtt_min_us)
        return;
    f->calm_us[f->next_calm++ % WST__FLIGHT_CALM] = rtt_us;
    f->rtt_min_us = least(f->calm_us, WST__FLIGHT_CALM);
}

/* Whether so many bytes in flight fill the path, as far as its rate is known. */
static bool fills(const wst__flight_t *f, uint64_t in_flight) {
    if (in_flight <= wst__flight_floor(f) / 2)
        return false;
    uint64_t product = greatest(f->products, WST__FLIGHT_ROUNDS);
    return in_flight > product - product / 4;
}

/* The start is over for good once the rate has been level: it has grown by less than a quarter,
 * though there was enough to send. */
static void note_start(wst__flight_t *f, uint64_t product) {
    if (f->level_rounds == LEVEL_ROUNDS || !fills(f, f->round_in_flight))
        return;
    bool level = product < f->best + f->best / 4;
    f->level_rounds = level ? f->level_rounds + 1 : 0;
    f->best = level ? f->best : product;
}

uint64_t wst__flight_round_us(const wst__flight_t *f, uint64_t now_us) {
    return now_us > f->round_began_us ? now_us - f->round_began_us : 1;
}

/* What may be in flight for want of sparse streams. Of lossy rounds the rate is too high. */
static uint64_t queue_of(wst__flight_t *f, uint64_t now_us) {
    if (f->sparse)
        f->sparse_us = now_us;
    f->sparse = false;
    if (f->lossy_rounds > 0 || now_us < f->sparse_us + WST__FLIGHT_SPARSE_US)
        return 0;
    uint64_t bytes = wst__flight_rate(f) * WST__FLIGHT_QUEUE_US / 1000000;
    return bytes < WST__FLIGHT_QUEUE_MAX ? bytes : WST__FLIGHT_QUEUE_MAX;
}

void wst__flight_pong(wst__flight_t *f, uint64_t now_us, bool lossy) {
    uint64_t rtt_us = wst__flight_round_us(f, now_us);
    f->in_round = false;
    measure_rtt(f, rtt_us);
    if (lossy)
        f->lossy_rounds = WST__FLIGHT_LOSSY;
    else if (f->lossy_rounds > 0)
        f->lossy_rounds--;
    uint64_t bytes = f->confirmed - f->round_confirmed;
    /* The round trip took rtt_us with the queue; without one, less would have been in flight. */
    if (f->lossy_rounds == 0)
        bytes = bytes * f->rtt_min_us / rtt_us;
    note_start(f, bytes);
    f->products[f->next_product++ % WST__FLIGHT_ROUNDS] = bytes;
    set_limit(f);
    f->limit_queue = queue_of(f, now_us);
}

uint64_t wst__flight_rate(const wst__flight_t *f) {
    if (f->rtt_min_us == UINT64_MAX)
        return 0;
    return greatest(f->products, WST__FLIGHT_ROUNDS) * 1000000 / f->rtt_min_us;
}

uint64_t wst__flight_limit(const wst__flight_t *f) {
    uint64_t limit = f->streams <= WST__FLIGHT_FEW ? f->limit_few : f->limit;
    return f->limit_queue > limit ? f->limit_queue : limit;
}

bool wst__flight_is_full(const wst__flight_t *f) {
    return f->in_flight >= wst__flight_limit(f);
}

bool wst__flight_wants_round(const wst__flight_t *f) {
    return !f->in_round && fills(f, f->in_flight);
}
