/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_BUDGET_H
#define WST_LIB_BUDGET_H
/*
 * The memory budget of a context, shared by all its sessions. Credit is reserved before a peer is
 * granted it, so no peer can exceed the budget. A stream may borrow more than it needs to be
 * faster: all loans together are at most a quarter of the budget, the rest is for new streams.
 */
#include <stdbool.h>
#include <stddef.h>

typedef struct wst__budget {
    size_t limit;
    size_t used;
    size_t lent; /* of `used` */
} wst__budget_t;

/* Reserves `n` bytes if they fit; returns whether they did. */
static inline bool wst__budget_reserve(wst__budget_t *b, size_t n) {
    if (n > b->limit || b->used > b->limit - n)
        return false;
    b->used += n;
    return true;
}

static inline void wst__budget_release(wst__budget_t *b, size_t n) {
    b->used -= n;
}

/* As wst__budget_reserve, for a loan, which wst__budget_give_back releases. */
static inline bool wst__budget_borrow(wst__budget_t *b, size_t n) {
    if (n > b->limit / 4 || b->lent > b->limit / 4 - n || !wst__budget_reserve(b, n))
        return false;
    b->lent += n;
    return true;
}

static inline void wst__budget_give_back(wst__budget_t *b, size_t n) {
    b->lent -= n;
    wst__budget_release(b, n);
}

#endif
