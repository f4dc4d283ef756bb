/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TALLY_H
#define WST_LIB_TALLY_H
/*
 * Counting objects that come and go. A tally counts them; a ticket, embedded in the object, is its
 * place in one tally. So an object is counted in once and out once: giving back a ticket that is
 * not taken does nothing.
 */
#include <stdbool.h>
#include <stddef.h>

typedef struct wst__tally wst__tally_t;

/* Embedded and zeroed by its owner. */
struct wst__tally {
    size_t count;
    /* Runs whenever the count has changed; may be NULL. It may free the tally. */
    void (*changed)(wst__tally_t *tally);
};

/* Embedded in the object and zeroed: not taken. A taken ticket must not move; see
 * wst__ticket_hand_on. */
typedef struct wst__ticket {
    wst__tally_t *tally; /* NULL: not taken */
} wst__ticket_t;

static inline bool wst__ticket_is_taken(const wst__ticket_t *ticket) {
    return ticket->tally != NULL;
}

/* Counts its object in the tally. The ticket must not be taken. */
void wst__ticket_take(wst__ticket_t *ticket, wst__tally_t *tally);

/* Counts its object out. Harmless if it is not taken. */
void wst__ticket_give_back(wst__ticket_t *ticket);

/* Moves the place in the tally to another object; the count stays. `to` must not be
 * taken; if `from` is not taken, neither is taken afterwards. */
void wst__ticket_hand_on(wst__ticket_t *from, wst__ticket_t *to);

#endif
