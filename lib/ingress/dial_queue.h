/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_DIAL_QUEUE_H
#define WST_LIB_DIAL_QUEUE_H
/*
 * Who may have an agent open a connection. An agent opens a limited number at a time, and its users
 * have shares of that (budget.h). What a user wants beyond its share waits in the user's line. When
 * a place becomes free, the user with the fewest places is next; of several, who has been next for
 * longest. All operations take constant time, but where a place is given back: that takes as long
 * as it finds turns to give.
 */
#include "list.h"
#include "table.h"

#include <stdbool.h>

typedef struct wst__dial_turn wst__dial_turn_t;

typedef struct wst__dial_queues {
    const wst_allocator_t *allocator;
    uint64_t seed;
    size_t limit; /* of each agent */
    /* A turn that was to wait has got its place. Must neither take nor drop turns. */
    void (*on_turn)(wst__dial_turn_t *turn);
    wst__table_t agents, lines;
} wst__dial_queues_t;

/* Embedded and zeroed: holds no place and does not wait. */
struct wst__dial_turn {
    wst__list_t node; /* of the line, while it waits */
    struct wst__dial_line *line;
};

void wst__dial_queues_init(wst__dial_queues_t *queues, const wst_allocator_t *allocator,
                           uint64_t seed, size_t limit, void (*on_turn)(wst__dial_turn_t *turn));

/* All turns must have been dropped. */
void wst__dial_queues_free(wst__dial_queues_t *queues);

/*
 * Takes a place at an agent for a user; one that the turn holds there already is kept. With a place
 * here, the turn gives back the one that it has at another agent; without one it keeps that, or a
 * user whose flows all try the other agent first would pass its place there round and never use it.
 * 0; WST_ELIMIT: the user has its share, or others of it wait; WST_ENOMEM. `user` is compared only,
 * and must stay valid as long as the turn has a place or waits. on_turn may run for other turns.
 */
int wst__dial_turn_take(wst__dial_queues_t *queues, wst__dial_turn_t *turn, uint64_t agent,
                        const void *user);

/* Waits for a place at the agent: on_turn runs when there is one, perhaps before this returns. 0 or
 * WST_ENOMEM. */
int wst__dial_turn_wait(wst__dial_queues_t *queues, wst__dial_turn_t *turn, uint64_t agent,
                        const void *user);

bool wst__dial_turn_is_waiting(const wst__dial_turn_t *turn);

/* The place that `turn` holds, if any, becomes that of `to`, which has none. */
void wst__dial_turn_hand_on(wst__dial_turn_t *turn, wst__dial_turn_t *to);

/* Gives the place back, or leaves the line; on_turn may run. Harmless if there is neither. */
void wst__dial_turn_drop(wst__dial_turn_t *turn);

#endif
