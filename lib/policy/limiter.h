/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_LIMITER_H
#define WST_LIB_LIMITER_H
/*
 * Counts failures by who caused them, so that nobody can go on guessing: `max` at once, then one
 * for each part of the window that passes. What it keeps is bounded: when there is no room, those
 * with the fewest failures are forgotten, so an attacker of many addresses does not clear the
 * worst.
 */
#include <wstunnel/common.h>

typedef struct wst__limiter wst__limiter_t;

/* Whom failures are counted for. */
typedef struct wst__limiter_key {
    uint64_t high, low;
} wst__limiter_key_t;

/*
 * @param max   1 or more
 * @param seed  unpredictable, so that nobody can choose whom to push out
 * 0 or WST_ENOMEM.
 */
int wst__limiter_new(wst__limiter_t **out, const wst_allocator_t *allocator, size_t max,
                     uint64_t window_ms, uint64_t seed);
void wst__limiter_free(wst__limiter_t *limiter);

/*
 * The key of a peer (wst_stream_peer): its IPv4 address, or the first 64 bits of its IPv6 address.
 * Where the peer's address does not tell people apart, on this machine or not of IP, it is that of
 * `name`, whom it says to be; false if that is NULL: it is not to be counted.
 */
bool wst__limiter_key(const wst__limiter_t *limiter, wst__limiter_key_t *out, const char *peer,
                      const char *name);

/* One more failure. */
void wst__limiter_fail(wst__limiter_t *limiter, const wst__limiter_key_t *key, uint64_t now_ms);

/* How long until it may try again; 0: now. */
uint64_t wst__limiter_wait_ms(const wst__limiter_t *limiter, const wst__limiter_key_t *key,
                              uint64_t now_ms);

#endif
