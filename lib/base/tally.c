/* SPDX-License-Identifier: MIT */
/* Counting objects that come and go (tally.h). */
#include "tally.h"

#include <assert.h>

static void tally_changed(wst__tally_t *tally) {
    if (tally->changed != NULL)
        tally->changed(tally);
}

void wst__ticket_take(wst__ticket_t *ticket, wst__tally_t *tally) {
    assert(ticket->tally == NULL);
    ticket->tally = tally;
    tally->count++;
    tally_changed(tally);
}

void wst__ticket_give_back(wst__ticket_t *ticket) {
    wst__tally_t *tally = ticket->tally;
    if (tally == NULL)
        return;
    assert(tally->count > 0);
    ticket->tally = NULL;
    tally->count--;
    tally_changed(tally); /* last: the callback may free the object or the tally */
}

void wst__ticket_hand_on(wst__ticket_t *from, wst__ticket_t *to) {
    assert(to->tally == NULL);
    to->tally = from->tally;
    from->tally = NULL;
}
