/* SPDX-License-Identifier: MIT */
/*
 * Failures by key (limiter.h). An entry is one number, the time at which all its failures will be
 * forgotten (as in the generic cell rate algorithm): each failure postpones it by one part of the
 * window. An entry whose time has come is free.
 *
 * The table consists of sets; a key may use one of them.
 */
#include "limiter.h"

#include "mem.h"

#include <wstunnel/error.h>

enum { WAYS = 16 };

typedef struct entry {
    uint64_t key;
    uint64_t clear_ms;
} entry_t;

struct wst__limiter {
    const wst_allocator_t *allocator;
    uint64_t part_ms, tolerance_ms; /* how far ahead the time may be for another try */
    size_t sets;
    entry_t entries[];
};

int wst__limiter_new(wst__limiter_t **out, const wst_allocator_t *allocator, size_t max,
                     uint64_t window_ms, size_t capacity) {
    wst__limiter_t *l = wst__zalloc(allocator, sizeof(*l) + capacity * sizeof(l->entries[0]));
    if (l == NULL)
        return WST_ENOMEM;
    l->allocator = allocator;
    l->part_ms = window_ms >= max ? window_ms / max : 1;
    l->tolerance_ms = l->part_ms * (max - 1);
    l->sets = capacity / WAYS;
    *out = l;
    return 0;
}

void wst__limiter_free(wst__limiter_t *l) {
    if (l != NULL)
        wst__free(l->allocator, l);
}

static size_t set_of(const wst__limiter_t *l, uint64_t key) {
    return (size_t)(key % l->sets) * WAYS;
}

void wst__limiter_fail(wst__limiter_t *l, uint64_t key, uint64_t now_ms, uint64_t ahead_ms) {
    entry_t *set = &l->entries[set_of(l, key)], *e = &set[0];
    for (size_t i = 0; i < WAYS && e->key != key; i++) {
        if (set[i].key == key || set[i].clear_ms < e->clear_ms)
            e = &set[i];
    }
    if (e->key != key)
        *e = (entry_t){.key = key};
    uint64_t from = e->clear_ms > now_ms ? e->clear_ms : now_ms;
    /* Attempts that were under way when the limit was reached do not extend it without bound. */
    uint64_t most = now_ms + l->tolerance_ms + ahead_ms + l->part_ms;
    e->clear_ms = from + l->part_ms < most ? from + l->part_ms : most;
}

uint64_t wst__limiter_wait_ms(const wst__limiter_t *l, uint64_t key, uint64_t now_ms) {
    const entry_t *set = &l->entries[set_of(l, key)];
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].key == key && set[i].clear_ms > now_ms + l->tolerance_ms)
            return set[i].clear_ms - now_ms - l->tolerance_ms;
    }
    return 0;
}
