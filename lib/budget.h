/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_BUDGET_H
#define WST_LIB_BUDGET_H
/*
 * The memory budget of a context, shared by all its sessions. What a peer has been granted is
 * reserved before it is granted, so the sum holds whatever peers do.
 */
#include <stdbool.h>
#include <stddef.h>

typedef struct wst__budget {
    size_t limit;
    size_t used;
} wst__budget_t;

/* Whether `n` more bytes fitted; they are reserved then. */
static inline bool wst__budget_reserve(wst__budget_t *b, size_t n) {
    if (n > b->limit || b->used > b->limit - n)
        return false;
    b->used += n;
    return true;
}

static inline void wst__budget_release(wst__budget_t *b, size_t n) {
    b->used -= n;
}

#endif
