/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_BUDGET_H
#define WST_LIB_BUDGET_H
/*
 * The memory budget of a context, shared by all its sessions. What a peer has been granted is
 * reserved before it is granted, so the sum holds whatever peers do. Beyond what it needs a stream
 * may borrow to be faster: a quarter of the budget, the rest is for streams to come.
 */
#include <stdbool.h>
#include <stddef.h>

typedef struct wst__budget {
    size_t limit;
    size_t used;
    size_t lent; /* of `used` */
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

/* As reserve; to be released by give_back. */
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
