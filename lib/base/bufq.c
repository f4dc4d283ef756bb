/* SPDX-License-Identifier: MIT */
#include "bufq.h"
#include "mem.h"

#include <assert.h>
#include <string.h>
#include <wstunnel/error.h>

enum { SLOTS_MIN = 2, SMALL_STEP = 64 };

struct wst__bufq_body {
    wst_chunk_t *compact; /* append copies into it; nothing else writes to it */
    uint32_t compact_used;
    uint32_t seek_index; /* the slice that wst__bufq_seek found, */
    size_t seek_offset;  /* and where it begins */
    uint32_t slots, head;
    wst_slice_t ring[]; /* `slots` of them; the queue's are in use from `head` on */
};

size_t wst__bufq_bound_append(size_t len) {
    const size_t chunk = WST__CHUNK_MIN;
    return len > 1 ? ((len - 2) / chunk + 2) * chunk : chunk;
}

size_t wst__bufq_bound_push(size_t len) {
    size_t pinned = len + len / 3;
    size_t front = pinned < WST__CHUNK_MAX ? pinned : (size_t)WST__CHUNK_MAX;
    return pinned + front + 2 * (size_t)WST__CHUNK_MIN;
}

void wst__bufq_init(wst__bufq_t *q, wst__pool_t *pool) {
    memset(q, 0, sizeof(*q));
    q->pool = pool;
}

static wst_slice_t *at(const wst__bufq_t *q, uint32_t i) {
    wst__bufq_body_t *body = q->body;
    uint32_t k = body->head + i;
    return &body->ring[k < body->slots ? k : k - body->slots];
}

static void free_body(wst__bufq_t *q) {
    if (q->body == NULL)
        return;
    wst_chunk_unref(q->body->compact);
    wst__free(q->pool->allocator, q->body);
    q->body = NULL;
}

void wst__bufq_reset(wst__bufq_t *q) {
    for (uint32_t i = 0; i < q->count; i++)
        wst_slice_unref(*at(q, i));
    free_body(q);
    q->len = q->count = 0;
}

int wst__bufq_reserve(wst__bufq_t *q, uint32_t n) {
    wst__bufq_body_t *body = q->body;
    uint32_t old = body != NULL ? body->slots : 0, slots = old > 0 ? old : SLOTS_MIN;
    while (slots < q->count + n)
        slots *= 2;
    if (slots == old)
        return 0;
    size_t size = sizeof(*body) + slots * sizeof(body->ring[0]);
    body = wst__realloc_array(q->pool->allocator, body, 1, size);
    if (body == NULL)
        return WST_ENOMEM;
    if (old == 0)
        memset(body, 0, sizeof(*body));
    /* The part that had wrapped to the front goes behind the old end. */
    if (body->head > 0)
        memcpy(body->ring + old, body->ring, body->head * sizeof(body->ring[0]));
    body->slots = slots;
    q->body = body;
    return 0;
}

static void add_slice(wst__bufq_t *q, wst_slice_t slice) {
    q->count++;
    *at(q, q->count - 1) = slice;
    q->len += slice.len;
}

/* Removes the last `n` bytes, which no caller has seen yet. */
static void unappend(wst__bufq_t *q, size_t n) {
    q->len -= n;
    while (n > 0) {
        wst_slice_t *tail = at(q, q->count - 1);
        if (n < tail->len) {
            tail->len -= n;
            break;
        }
        n -= tail->len;
        wst_slice_unref(*tail);
        q->count--;
    }
    if (q->count == 0) {
        free_body(q);
    } else if (q->body->seek_index >= q->count) {
        q->body->seek_index = 0;
        q->body->seek_offset = 0;
    }
}

/* The capacity of the next compact chunk. A queue of few bytes doubles with each; once a chunk is
 * large, so are all that follow, or wst__bufq_bound_append would not hold. */
static size_t next_capacity(const wst__bufq_t *q, size_t len) {
    size_t most = len > q->len ? len : q->len;
    const wst_chunk_t *last = q->body->compact;
    bool large = last != NULL && wst_chunk_capacity(last) >= WST__CHUNK_MIN;
    if (large || most > q->small_max)
        return WST__CHUNK_MIN;
    return (most + SMALL_STEP - 1) / SMALL_STEP * SMALL_STEP;
}

/* Free bytes of a compact chunk, a new one if need be, at the queue's end, to append `len` bytes
 * to; 0 without memory. */
static size_t compact_room(wst__bufq_t *q, size_t len) {
    if (q->body == NULL && wst__bufq_reserve(q, 1) != 0)
        return 0;
    wst__bufq_body_t *body = q->body;
    if (body->compact == NULL || body->compact_used == wst_chunk_capacity(body->compact)) {
        wst_chunk_t *chunk = wst__pool_chunk(q->pool, next_capacity(q, len));
        if (chunk == NULL)
            return 0;
        wst_chunk_unref(body->compact);
        body->compact = chunk;
        body->compact_used = 0;
    }
    const uint8_t *end = wst_chunk_data(body->compact) + body->compact_used;
    const wst_slice_t *tail = q->count > 0 ? at(q, q->count - 1) : NULL;
    if (tail == NULL || tail->chunk != body->compact || tail->data + tail->len != end) {
        if (wst__bufq_reserve(q, 1) != 0)
            return 0;
        add_slice(q, (wst_slice_t){wst_chunk_ref(q->body->compact), end, 0});
    }
    return wst_chunk_capacity(q->body->compact) - q->body->compact_used;
}

int wst__bufq_append(wst__bufq_t *q, const void *data, size_t len) {
    const uint8_t *from = data;
    size_t done = 0;
    while (done < len) {
        size_t room = compact_room(q, len - done);
        if (room == 0) {
            unappend(q, done);
            return WST_ENOMEM;
        }
        size_t n = len - done < room ? len - done : room;
        memcpy(wst_chunk_data(q->body->compact) + q->body->compact_used, from + done, n);
        q->body->compact_used += (uint32_t)n;
        at(q, q->count - 1)->len += n;
        q->len += n;
        done += n;
    }
    return 0;
}

int wst__bufq_push_ref(wst__bufq_t *q, wst_slice_t slice) {
    if (slice.len == 0) {
        wst_slice_unref(slice);
        return 0;
    }
    if (wst__bufq_reserve(q, 1) != 0) {
        wst_slice_unref(slice);
        return WST_ENOMEM;
    }
    add_slice(q, slice);
    return 0;
}

int wst__bufq_push(wst__bufq_t *q, wst_slice_t slice) {
    size_t pins = slice.chunk != NULL ? wst_chunk_capacity(slice.chunk) : slice.len;
    if (slice.len >= pins - pins / 4)
        return wst__bufq_push_ref(q, slice);
    int status = wst__bufq_append(q, slice.data, slice.len);
    wst_slice_unref(slice);
    return status;
}

/* Moves from the slice `*index`, which begins at `*begin`, to that with the byte at `offset`.
 * Returns whether there is one. */
static bool find_slice(const wst__bufq_t *q, size_t offset, uint32_t *index, size_t *begin) {
    for (; *index < q->count; ++*index) {
        size_t len = at(q, *index)->len;
        if (offset - *begin < len)
            return true;
        *begin += len;
    }
    return false;
}

static wst_slice_t part_of(wst_slice_t slice, size_t from, size_t max) {
    slice.data += from;
    slice.len -= from;
    if (slice.len > max)
        slice.len = max;
    return slice;
}

wst_slice_t wst__bufq_peek(const wst__bufq_t *q, size_t offset, size_t max) {
    uint32_t index = 0;
    size_t begin = 0;
    if (!find_slice(q, offset, &index, &begin))
        return (wst_slice_t){NULL, NULL, 0};
    return part_of(*at(q, index), offset - begin, max);
}

wst_slice_t wst__bufq_seek(wst__bufq_t *q, size_t offset, size_t max) {
    wst__bufq_body_t *body = q->body;
    bool behind = body != NULL && offset >= body->seek_offset;
    uint32_t index = behind ? body->seek_index : 0;
    size_t begin = behind ? body->seek_offset : 0;
    if (!find_slice(q, offset, &index, &begin))
        return (wst_slice_t){NULL, NULL, 0};
    body->seek_index = index;
    body->seek_offset = begin;
    return part_of(*at(q, index), offset - begin, max);
}

/* The first `n` bytes are gone, all of the first slice if `whole`. */
static void advance_seek(wst__bufq_body_t *body, size_t n, bool whole) {
    if (body->seek_index == 0)
        return;
    body->seek_offset -= n;
    body->seek_index -= whole ? 1 : 0;
}

bool wst__bufq_pop(wst__bufq_t *q, wst_slice_t *slice) {
    if (q->count == 0)
        return false;
    wst__bufq_body_t *body = q->body;
    *slice = *at(q, 0);
    advance_seek(body, slice->len, true);
    q->len -= slice->len;
    body->head = body->head + 1 < body->slots ? body->head + 1 : 0;
    q->count--;
    if (q->count == 0)
        free_body(q);
    return true;
}

void wst__bufq_consume(wst__bufq_t *q, size_t n) {
    assert(n <= q->len);
    while (n > 0) {
        wst_slice_t *s = at(q, 0);
        if (n < s->len) {
            s->data += n;
            s->len -= n;
            q->len -= n;
            advance_seek(q->body, n, false);
            return;
        }
        wst_slice_t gone = *s;
        wst__bufq_pop(q, &gone);
        n -= gone.len;
        wst_slice_unref(gone);
    }
}

size_t wst__bufq_capacity(const wst__bufq_t *q) {
    size_t sum = 0;
    for (uint32_t i = 0; i < q->count; i++) {
        const wst_chunk_t *chunk = at(q, i)->chunk;
        uint32_t first = 0;
        while (at(q, first)->chunk != chunk)
            first++;
        if (chunk != NULL && first == i)
            sum += wst_chunk_capacity(chunk);
    }
    return sum;
}
