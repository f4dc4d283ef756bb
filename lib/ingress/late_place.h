/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_LATE_PLACE_H
#define WST_LIB_LATE_PLACE_H
/*
 * Places at agents (dial_queue.h) that outlive their flows. An agent cannot stop a look-up that it
 * has begun (getaddrinfo), so a name for which a flow has waited in vain may take a thread of the
 * agent for some time yet. Until then it counts in its user's share of what the agent opens. So a
 * user has no more look-ups under way than places, whatever the name servers do, and however soon
 * the user gives up.
 */
#include "account.h"
#include "ctx.h"
#include "dial_queue.h"

/* How long a place is kept: glibc asks one name server for 10 s, two for 20 s, three for 28 s. */
enum { WST__LATE_MS = 30000 };

/* Embedded. As many as there are places at agents, at most. */
typedef struct wst__late_places {
    wst_ctx_t *ctx;
    wst__list_t places;
} wst__late_places_t;

void wst__late_places_init(wst__late_places_t *late, wst_ctx_t *ctx);

/* Gives all places back. */
void wst__late_places_free(wst__late_places_t *late);

/* The place of `turn`, taken for `account`, is kept; the turn holds none any more. Without memory
 * for that the place is given back at once. */
void wst__late_place_keep(wst__late_places_t *late, wst__dial_turn_t *turn,
                          wst__account_t *account);

#endif
