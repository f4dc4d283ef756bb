/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_LIMITER_H
#define WST_LIB_LIMITER_H
/*
 * Counts failures by peer or name, to stop guessing: `max` attempts at once, then one for each part
 * of the window that passes. The table is bounded: without room it forgets the keys with the fewest
 * failures, so an attacker with many addresses cannot push out the worst ones.
 */
#include <wstunnel/common.h>

typedef struct wst__limiter wst__limiter_t;

/* Identifies the peer or name that failures are counted for. */
typedef struct wst__limiter_key {
    uint64_t high, low;
} wst__limiter_key_t;

/*
 * @param max   1 or more
 * @param seed  unpredictable, so that no peer can choose which key to push out
 * 0 or WST_ENOMEM.
 */
int wst__limiter_new(wst__limiter_t **out, const wst_allocator_t *allocator, size_t max,
                     uint64_t window_ms, uint64_t seed);
void wst__limiter_free(wst__limiter_t *limiter);

/*
 * The key of a peer (wst_stream_peer): its IPv4 address, or the first 64 bits of its IPv6 address.
 * An address on this machine, or one that is not of IP, does not tell peers apart: then the key is
 * that of `name`, the name the peer gives. False if `name` is NULL then: do not count the failure.
 */
bool wst__limiter_key(const wst__limiter_t *limiter, wst__limiter_key_t *out, const char *peer,
                      const char *name);

/* Counts a failure. */
void wst__limiter_fail(wst__limiter_t *limiter, const wst__limiter_key_t *key, uint64_t now_ms);

/* How long the peer must wait before another attempt; 0: not at all. */
uint64_t wst__limiter_wait_ms(const wst__limiter_t *limiter, const wst__limiter_key_t *key,
                              uint64_t now_ms);

#endif
