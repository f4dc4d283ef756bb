/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_WAKE_H
#define WST_LIB_WAKE_H
/*
 * Notices that the machine has slept. The loop's clock stands still meanwhile, so connections that
 * died during the sleep look as if they had been heard of a moment ago. Another clock of the system
 * counts the sleep. Where there is none (ctx.h), no sleep is noticed.
 */
#include "node.h"

typedef struct wst__wake wst__wake_t;

/* Embedded in its owner. */
struct wst__wake {
    wst__part_t part;
    wst_ctx_t *ctx;
    wst__deadline_t look;
    uint64_t ahead_ms; /* of the loop's clock, at the last look */
    void (*on_wake)(wst__wake_t *wake, uint64_t slept_ms);
};

/* Becomes a part of the node, and looks until the node closes. `on_wake` runs from the loop at most
 * WST__WAKE_LOOK_MS after a sleep of more than WST__SLEEP_MS. */
enum { WST__WAKE_LOOK_MS = 5000, WST__SLEEP_MS = 5000 };
void wst__wake_init(wst__wake_t *wake, wst__node_t *node,
                    void (*on_wake)(wst__wake_t *wake, uint64_t slept_ms));

#endif
