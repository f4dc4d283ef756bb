/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_NODE_H
#define WST_LIB_NODE_H
/*
 * What a handle that is assembled of parts has in common, such as a server or an agent: it can be
 * drained and closed, and tells when that is done.
 *
 *     RUNNING -> DRAINING -> DRAINED -> CLOSING      closing: from each of them
 *
 * The handle embeds the node. Its parts register themselves and are told to drain and to close, in
 * the order in which they registered. What they work on takes a ticket of two tallies:
 *
 *     holds   what must be gone before the handle can be
 *     busy    what must finish before the handle is drained
 */
#include "ctx.h"
#include "tally.h"

typedef struct wst__node wst__node_t;
typedef struct wst__part wst__part_t;

/* One part, which embeds it. It stays until the handle has been closed. */
struct wst__part {
    wst__list_t link;
    /* Takes nothing new and lets go on what is under way; once at most, and before close. May be
     * NULL. */
    void (*drain)(wst__part_t *part);
    /* Ends all it has; once. May be NULL. */
    void (*close)(wst__part_t *part);
};

struct wst__node {
    wst_ctx_t *ctx;
    enum { WST__NODE_RUNNING, WST__NODE_DRAINING, WST__NODE_DRAINED, WST__NODE_CLOSING } state;
    wst__list_t parts;
    wst__tally_t holds, busy;
    wst__ticket_t open, in_service; /* its own of holds and of busy: until it closes, drains */
    wst__deadline_t deadline;       /* of the drain */
    wst__defer_t defer;             /* on_drained, later on_closed */
    void (*on_drained)(wst__node_t *node);
    void (*on_closed)(wst__node_t *node);
};

/*
 * Makes a node, which holds the context. Both functions run from the loop and at most once:
 * on_drained after a drain, unless the node is closed before that; on_closed last of all, when the
 * node has been closed and nothing holds it any more: it frees the handle, and the node with it.
 */
void wst__node_init(wst__node_t *node, wst_ctx_t *ctx, void (*on_drained)(wst__node_t *node),
                    void (*on_closed)(wst__node_t *node));

/* Undoes that, for a handle that could not be made. Nothing may hold the node. */
void wst__node_undo(wst__node_t *node);

void wst__node_add(wst__node_t *node, wst__part_t *part);

/* Drains: on_drained follows when nothing is busy any more, or after that time. Only the first call
 * does anything. */
void wst__node_drain(wst__node_t *node, uint64_t timeout_ms);

/* Closes: on_closed follows. Only the first call does anything. */
void wst__node_close(wst__node_t *node);

#endif
