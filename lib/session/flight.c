/* SPDX-License-Identifier: MIT */
#include "flight.h"

#include <string.h>

enum { GAIN = 2 }; /* BBR's: room for confirmations that are late or come together */

uint64_t wst__flight_floor(const wst__flight_t *f) {
    uint64_t rtt_us = f->rtt_min_us != UINT64_MAX ? f->rtt_min_us : 0;
    return WST__FLIGHT_FLOOR + WST__FLIGHT_FLOOR_RATE * rtt_us;
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

static void set_limit(wst__flight_t *f) {
    uint64_t wanted = GAIN * greatest(f->products, WST__FLIGHT_ROUNDS);
    uint64_t floor = wst__flight_floor(f);
    f->limit = wanted > floor ? wanted : floor;
}

void wst__flight_init(wst__flight_t *f) {
    memset(f, 0, sizeof(*f));
    f->rtt_min_us = UINT64_MAX;
    memset(f->calm_us, 0xff, sizeof(f->calm_us));
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

void wst__flight_ping(wst__flight_t *f, uint64_t now_us) {
    f->in_round = true;
    f->round_began_us = now_us;
    f->round_confirmed = f->confirmed;
    f->round_in_flight = f->in_flight;
}

/*
 * The least round trip is that of the last calm pings, so that it can rise when the path gets
 * longer. Under load it can only fall: a ping then waits in the queue that it is to measure.
 */
static void measure_rtt(wst__flight_t *f, uint64_t rtt_us) {
    f->rtt_us = rtt_us;
    if (f->round_in_flight > 0 && rtt_us >= f->rtt_min_us)
        return;
    f->calm_us[f->next_calm++ % WST__FLIGHT_CALM] = rtt_us;
    f->rtt_min_us = least(f->calm_us, WST__FLIGHT_CALM);
}

void wst__flight_pong(wst__flight_t *f, uint64_t now_us) {
    uint64_t rtt_us = now_us > f->round_began_us ? now_us - f->round_began_us : 1;
    f->in_round = false;
    measure_rtt(f, rtt_us);
    /* The round trip took rtt_us with the queue; without one, less would have been in flight. */
    uint64_t bytes = f->confirmed - f->round_confirmed;
    f->products[f->next_product++ % WST__FLIGHT_ROUNDS] = bytes * f->rtt_min_us / rtt_us;
    set_limit(f);
}

bool wst__flight_is_full(const wst__flight_t *f) {
    return f->in_flight >= f->limit;
}

bool wst__flight_wants_round(const wst__flight_t *f) {
    return !f->in_round && f->in_flight > f->limit / 2;
}
