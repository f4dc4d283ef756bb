/* SPDX-License-Identifier: MIT */
/* Budgets within budgets (budget.h). */
#include "budget.h"

#include <stdint.h>

enum {
    LOANS = 4, /* the part of the outermost budget that may be lent: one in so many */
    SPARES = 16,
    SPARE_MIN = 4
};

size_t wst__budget_default(size_t most, uint64_t total, uint64_t constrained) {
    uint64_t memory = constrained > 0 && (total == 0 || constrained < total) ? constrained : total;
    return memory > 0 && memory / 2 < most ? (size_t)(memory / 2) : most;
}

size_t wst__budget_spare(size_t limit) {
    size_t spare = limit / SPARES > SPARE_MIN ? limit / SPARES : SPARE_MIN;
    return spare < limit / 2 ? spare : limit / 2;
}

static size_t taken(const wst__budget_t *b, bool loan) {
    return loan ? b->lent : b->used;
}

/* What may be taken in all, given what is free around. */
static size_t allowed(const wst__budget_t *b, size_t around, bool loan) {
    if (b->within == NULL)
        return loan ? b->limit / LOANS : b->limit;
    size_t most = around > SIZE_MAX / b->share ? SIZE_MAX : around * b->share;
    return b->limit > 0 && b->limit < most ? b->limit : most;
}

/* What is free here and around. */
static size_t room(const wst__budget_t *b, bool loan) {
    size_t around = b->within != NULL ? room(b->within, loan) : SIZE_MAX;
    size_t most = allowed(b, around, loan), gone = taken(b, loan);
    size_t here = most > gone ? most - gone : 0;
    return here < around ? here : around;
}

static const wst__budget_t *obstacle(const wst__budget_t *budget, size_t n, bool loan) {
    const wst__budget_t *found = NULL;
    for (const wst__budget_t *b = budget; b != NULL; b = b->within)
        if (n > room(b, loan))
            found = b;
    return found;
}

static void add(wst__budget_t *budget, size_t n, bool loan) {
    for (wst__budget_t *b = budget; b != NULL; b = b->apart ? NULL : b->within) {
        b->used += n;
        b->lent += loan ? n : 0;
    }
}

static void subtract(wst__budget_t *budget, size_t n, bool loan) {
    for (wst__budget_t *b = budget; b != NULL; b = b->apart ? NULL : b->within) {
        b->used -= n;
        b->lent -= loan ? n : 0;
    }
    if (budget->used == 0 && n > 0 && budget->emptied != NULL)
        budget->emptied(budget);
}

const wst__budget_t *wst__budget_obstacle(const wst__budget_t *budget, size_t n) {
    return obstacle(budget, n, false);
}

bool wst__budget_may_fit(const wst__budget_t *budget, size_t n) {
    for (const wst__budget_t *b = budget; b->within != NULL; b = b->within)
        if (b->limit > 0 && (n > b->limit || b->used > b->limit - n))
            return false;
    return true;
}

bool wst__budget_reserve(wst__budget_t *budget, size_t n) {
    if (obstacle(budget, n, false) != NULL)
        return false;
    add(budget, n, false);
    return true;
}

void wst__budget_release(wst__budget_t *budget, size_t n) {
    subtract(budget, n, false);
}

bool wst__budget_borrow(wst__budget_t *budget, size_t n) {
    if (obstacle(budget, n, true) != NULL || obstacle(budget, n, false) != NULL)
        return false;
    add(budget, n, true);
    return true;
}

void wst__budget_give_back(wst__budget_t *budget, size_t n) {
    subtract(budget, n, true);
}
