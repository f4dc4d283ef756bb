/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_BUDGET_H
#define WST_LIB_BUDGET_H
/*
 * A bound on something that is used up: memory, streams, connections being opened. What is used is
 * reserved first, so nobody can exceed the budget.
 *
 * Budgets nest: a server's, within it a tenant's, within that a user's. An inner budget has a
 * share: it may grow while it is below `share` times what is free around it (dynamic thresholds,
 * Choudhury and Hahne 1998). One holder alone gets share / (share + 1) of all; several greedy ones
 * get the same; and some always remains free for those who come later. A budget around others must
 * have a larger share than they, or one of them could take all of it. A quota is a further bound.
 *
 * A holder of memory may borrow more than it needs to be faster: all loans together are at most a
 * quarter of the outermost budget, and shared in the same way.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wst__budget wst__budget_t;

/* Embedded and zeroed by its owner. */
struct wst__budget {
    wst__budget_t *within; /* NULL: the outermost */
    bool apart;   /* what is used here does not count around it: that counts it otherwise */
    size_t limit; /* of the outermost; a quota of others, 0: none */
    size_t share; /* of others */
    size_t used;
    size_t lent; /* of `used` */
    /* Runs last, whenever all has been given back; may free the budget. NULL: nothing. */
    void (*emptied)(wst__budget_t *budget);
};

/* The default of the outermost budget: `most` bytes, or half of the memory if that is less. `total`
 * is the machine's, `constrained` what its system leaves to the process; 0: not known. */
size_t wst__budget_default(size_t most, uint64_t total, uint64_t constrained);

/* The part of a limit that is left to those who must not wait behind others: a sixteenth, but at
 * least 4, and at most half. */
size_t wst__budget_spare(size_t limit);

/* What refuses `n` more: the outermost budget that has no room, or NULL. */
const wst__budget_t *wst__budget_obstacle(const wst__budget_t *budget, size_t n);

/* Whether `n` more would fit if enough were free around: no quota refuses them. */
bool wst__budget_may_fit(const wst__budget_t *budget, size_t n);

/* Reserves `n` here and around; returns whether that fits. */
bool wst__budget_reserve(wst__budget_t *budget, size_t n);
void wst__budget_release(wst__budget_t *budget, size_t n);

/* As wst__budget_reserve, for a loan, which wst__budget_give_back releases. */
bool wst__budget_borrow(wst__budget_t *budget, size_t n);
void wst__budget_give_back(wst__budget_t *budget, size_t n);

#endif
