/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_BUFQ_H
#define WST_LIB_BUFQ_H
/*
 * A byte queue over chunks. It keeps a slice by reference if that pins little more memory than
 * the slice is long, else copies it into compact chunks of its own. So a bound on the length bounds
 * the memory pinned (wst__bufq_bound_append, wst__bufq_bound_push).
 *
 * Bytes leave at the front only (consume), but can be read anywhere (peek): a sender keeps sent
 * bytes until the peer has acknowledged them.
 */
#include "pool.h"

typedef struct wst__bufq_body wst__bufq_body_t; /* bufq.c */

typedef struct wst__bufq {
    wst__pool_t *pool;
    wst__bufq_body_t *body; /* NULL while the queue is empty, as most are most of the time */
    size_t len;
    uint32_t count;     /* slices */
    uint32_t small_max; /* compact chunks grow with the queue up to this size; 0: all are large */
} wst__bufq_t;

/*
 * The most chunk capacity that a queue pins while its length never exceeds `len`. With append
 * alone: compact chunks, the first partly consumed and the last partly filled. With push: slices
 * fill at least 3/4 of their chunk, and most of the first one may be consumed.
 */
size_t wst__bufq_bound_append(size_t len);
size_t wst__bufq_bound_push(size_t len);

void wst__bufq_init(wst__bufq_t *q, wst__pool_t *pool);

/* Drops all bytes. The queue can be used again. */
void wst__bufq_reset(wst__bufq_t *q);

/* Takes one reference of the slice, on error too. 0 or WST_ENOMEM (nothing is queued then). */
int wst__bufq_push(wst__bufq_t *q, wst_slice_t slice);

/* As push, but never copies, however much the slice pins: for output that leaves at once. */
int wst__bufq_push_ref(wst__bufq_t *q, wst_slice_t slice);

/*
 * Makes room in the ring, so that the next `n` slices cannot fail for lack of it: push_ref takes
 * one slot, append of up to WST__CHUNK_MIN bytes two. Holds until the queue runs empty. 0 or
 * WST_ENOMEM.
 */
int wst__bufq_reserve(wst__bufq_t *q, uint32_t n);

/* Appends a copy. 0 or WST_ENOMEM (nothing is queued then). */
int wst__bufq_append(wst__bufq_t *q, const void *data, size_t len);

/*
 * Borrows the contiguous bytes from `offset` on, at most `max`. The slice's len is 0 if `offset` is
 * at or behind the end. Valid until consume or reset.
 */
wst_slice_t wst__bufq_peek(const wst__bufq_t *q, size_t offset, size_t max);

/* As wst__bufq_peek, but remembers the place: quick for rising offsets, however many slices. */
wst_slice_t wst__bufq_seek(wst__bufq_t *q, size_t offset, size_t max);

/* Takes the first slice out; the caller owns its reference. False if the queue is empty. */
bool wst__bufq_pop(wst__bufq_t *q, wst_slice_t *slice);

/* Drops `n` bytes (at most q->len) at the front. */
void wst__bufq_consume(wst__bufq_t *q, size_t n);

/* Capacity of the chunks pinned, each counted once. Takes quadratic time: for tests. */
size_t wst__bufq_capacity(const wst__bufq_t *q);

#endif
