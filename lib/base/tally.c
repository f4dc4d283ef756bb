/* SPDX-License-Identifier: MIT */
/* Counting objects that come and go (tally.h). */
#include "tally.h"

#include <assert.h>

static void tell(wst__tally_t *tally) {
    if (tally->changed != NULL)
        tally->changed(tally);
}

void wst__ticket_take(wst__ticket_t *ticket, wst__tally_t *tally) {
    assert(ticket->tally == NULL);
    ticket->tally = tally;
    tally->count++;
    tell(tally);
}

void wst__ticket_give_back(wst__ticket_t *ticket) {
    wst__tally_t *tally = ticket->tally;
    if (tally == NULL)
        return;
    assert(tally->count > 0);
    ticket->tally = NULL;
    tally->count--;
    tell(tally); /* last: the object or the tally may be freed in there */
}

void wst__ticket_hand_on(wst__ticket_t *from, wst__ticket_t *to) {
    assert(to->tally == NULL);
    to->tally = from->tally;
    from->tally = NULL;
}
