/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_NODE_H
#define WST_LIB_NODE_H
/*
 * The common part of handles that are assembled of parts, such as a server or an agent: they can be
 * drained and closed, and report the end of either.
 *
 *     RUNNING -> DRAINING -> DRAINED -> CLOSING      closing: from each of them
 *
 * The handle embeds the node. Its parts register themselves and are told to drain and to close, in
 * that order. Their work takes tickets of two tallies:
 *
 *     holds   must be gone before the handle
 *     busy    must finish before the handle is drained
 */
#include "ctx.h"
#include "tally.h"

typedef struct wst__node wst__node_t;
typedef struct wst__part wst__part_t;

/* Embedded in a part. It must stay until the handle has been closed, or the part is removed. */
struct wst__part {
    wst__list_t link;
    /* Accepts no new work; current work continues. Runs at most once, before close. May be
     * NULL. */
    void (*drain)(wst__part_t *part);
    /* Ends all work; runs once. May be NULL. */
    void (*close)(wst__part_t *part);
};

struct wst__node {
    wst_ctx_t *ctx;
    enum { WST__NODE_RUNNING, WST__NODE_DRAINING, WST__NODE_DRAINED, WST__NODE_CLOSING } state;
    wst__list_t parts;
    wst__tally_t holds, busy;
    wst__ticket_t open,
        in_service; /* the node's own of holds, until it closes, and of busy, until it drains */
    wst__deadline_t deadline; /* of the drain */
    wst__defer_t defer;       /* on_drained, later on_closed */
    void (*on_drained)(wst__node_t *node);
    void (*on_closed)(wst__node_t *node);
};

/*
 * Makes a node, which holds the context. Both functions run from the loop and at most once:
 * on_drained after a drain, unless the node is closed before that; on_closed last, when the node
 * has been closed and has no holds any more: it frees the handle with the node.
 */
void wst__node_init(wst__node_t *node, wst_ctx_t *ctx, void (*on_drained)(wst__node_t *node),
                    void (*on_closed)(wst__node_t *node));

/* Undoes wst__node_init, for a handle that could not be made. The node must have no holds. */
void wst__node_undo(wst__node_t *node);

void wst__node_add(wst__node_t *node, wst__part_t *part);

/* Removes a part that has ended before its node. Not while the node drains or closes its parts. */
void wst__node_remove(wst__part_t *part);

/* Drains: on_drained follows when no work is busy any more, or after that time. Later calls do
 * nothing. */
void wst__node_drain(wst__node_t *node, uint64_t timeout_ms);

/* Closes: on_closed follows. Later calls do nothing. */
void wst__node_close(wst__node_t *node);

#endif
