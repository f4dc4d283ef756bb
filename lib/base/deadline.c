/* SPDX-License-Identifier: MIT */
#include "deadline.h"

#include <stddef.h>

/* Either may be NULL. Ignores siblings of the two roots. */
static wst__deadline_t *meld(wst__deadline_t *a, wst__deadline_t *b) {
    if (a == NULL)
        return b;
    if (b == NULL)
        return a;
    if (b->at_ms < a->at_ms) {
        wst__deadline_t *t = a;
        a = b;
        b = t;
    }
    b->prev = a;
    b->next = a->child;
    if (b->next != NULL)
        b->next->prev = b;
    a->child = b;
    a->next = NULL;
    return a;
}

/* Melds a list of siblings into one heap: in pairs from the left, then all from the right. */
static wst__deadline_t *meld_all(wst__deadline_t *first) {
    wst__deadline_t *pairs = NULL;
    while (first != NULL) {
        wst__deadline_t *a = first, *b = a->next;
        first = b != NULL ? b->next : NULL;
        a->next = NULL;
        if (b != NULL)
            b->next = NULL;
        a = meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    wst__deadline_t *root = NULL;
    while (pairs != NULL) {
        wst__deadline_t *rest = pairs->next;
        pairs->next = NULL;
        root = meld(root, pairs);
        pairs = rest;
    }
    if (root != NULL)
        root->prev = NULL;
    return root;
}

static void take_out(wst__deadlines_t *h, wst__deadline_t *d) {
    if (d == h->root) {
        h->root = meld_all(d->child);
    } else {
        if (d->prev->child == d)
            d->prev->child = d->next;
        else
            d->prev->next = d->next;
        if (d->next != NULL)
            d->next->prev = d->prev;
        h->root = meld(h->root, meld_all(d->child));
        h->root->prev = NULL;
    }
    d->child = d->next = d->prev = NULL;
    d->set = false;
}

static void deadlines_changed(wst__deadlines_t *h) {
    if (h->changed != NULL)
        h->changed(h);
}

void wst__deadline_set(wst__deadlines_t *h, wst__deadline_t *d, uint64_t at_ms,
                       wst__deadline_cb cb) {
    if (d->set)
        take_out(h, d);
    d->at_ms = at_ms > h->earliest ? at_ms : h->earliest;
    d->cb = cb;
    d->child = d->next = d->prev = NULL;
    d->set = true;
    h->root = meld(h->root, d);
    deadlines_changed(h);
}

void wst__deadline_clear(wst__deadlines_t *h, wst__deadline_t *d) {
    if (!d->set)
        return;
    take_out(h, d);
    deadlines_changed(h);
}

uint64_t wst__deadlines_next(const wst__deadlines_t *h) {
    return h->root != NULL ? h->root->at_ms : WST__NEVER;
}

void wst__deadlines_run(wst__deadlines_t *h, uint64_t now_ms) {
    h->earliest = now_ms + 1;
    while (h->root != NULL && h->root->at_ms <= now_ms) {
        wst__deadline_t *d = h->root;
        take_out(h, d);
        d->cb(d, now_ms);
    }
    h->earliest = 0;
    deadlines_changed(h);
}
