/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_LIMITER_H
#define WST_LIB_LIMITER_H
/*
 * Counts failures by key: `max` at once, then one for each part of the window that passes. The
 * table is bounded: without room it forgets the keys with the fewest failures, so an attacker with
 * many keys cannot push out the worst ones.
 */
#include <wstunnel/common.h>

typedef struct wst__limiter wst__limiter_t;

/*
 * @param max       1 or more
 * @param capacity  keys that are remembered, at most; a multiple of 16
 * 0 or WST_ENOMEM.
 */
int wst__limiter_new(wst__limiter_t **out, const wst_allocator_t *allocator, size_t max,
                     uint64_t window_ms, size_t capacity);
void wst__limiter_free(wst__limiter_t *limiter);

/* Counts a failure. Failures beyond the limit are counted up to `ahead_ms`: the key's wait grows to
 * that and one part of the window. */
void wst__limiter_fail(wst__limiter_t *limiter, uint64_t key, uint64_t now_ms, uint64_t ahead_ms);

/* How long the key must wait before another attempt; 0: not at all. */
uint64_t wst__limiter_wait_ms(const wst__limiter_t *limiter, uint64_t key, uint64_t now_ms);

#endif
