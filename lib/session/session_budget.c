/* SPDX-License-Identifier: MIT */
/* What a stream holds counts in the session's budget, and in the opener's if it has one. */
#include "session_internal.h"

bool wst__session_reserve(wst__session_t *s, wst__budget_t *budget, size_t n) {
    if (budget != NULL && !wst__budget_reserve(budget, n))
        return false;
    if (wst__budget_reserve(s->o.budget, n)) {
        s->pinned += n;
        return true;
    }
    if (budget != NULL)
        wst__budget_release(budget, n);
    return false;
}

void wst__session_unreserve(wst__session_t *s, wst__budget_t *budget, size_t n) {
    s->pinned -= n;
    wst__budget_release(s->o.budget, n);
    if (budget != NULL)
        wst__budget_release(budget, n);
}

bool wst__session_borrow(wst__session_stream_t *st, size_t n) {
    if (st->budget != NULL && !wst__budget_borrow(st->budget, n))
        return false;
    if (wst__budget_borrow(st->session->o.budget, n)) {
        st->session->pinned += n;
        return true;
    }
    if (st->budget != NULL)
        wst__budget_give_back(st->budget, n);
    return false;
}

void wst__session_give_back(wst__session_stream_t *st, size_t n) {
    st->session->pinned -= n;
    wst__budget_give_back(st->session->o.budget, n);
    if (st->budget != NULL)
        wst__budget_give_back(st->budget, n);
}

size_t wst__session_pinned(const wst__session_t *s) {
    return s->pinned;
}
