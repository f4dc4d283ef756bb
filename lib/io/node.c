/* SPDX-License-Identifier: MIT */
/* The common part of handles that are assembled of parts (node.h). */
#include "node.h"

#include <assert.h>

/* Telling ------------------------------------------------------------------------------------ */

static void tell_node_drained(wst__defer_t *defer) {
    wst__node_t *node = WST__CONTAINER(defer, wst__node_t, defer);
    node->on_drained(node);
}

static void set_drained(wst__node_t *node) {
    node->state = WST__NODE_DRAINED;
    wst__deadline_clear(&node->ctx->deadlines, &node->deadline);
    wst__defer(node->ctx, &node->defer, tell_node_drained);
}

static void on_busy(wst__tally_t *busy) {
    wst__node_t *node = WST__CONTAINER(busy, wst__node_t, busy);
    if (node->state == WST__NODE_DRAINING && busy->count == 0)
        set_drained(node);
}

static void on_drain_deadline(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    set_drained(WST__CONTAINER(deadline, wst__node_t, deadline));
}

static void tell_node_closed(wst__defer_t *defer) {
    wst__node_t *node = WST__CONTAINER(defer, wst__node_t, defer);
    wst_ctx_t *ctx = node->ctx;
    node->on_closed(node);
    wst__ctx_release(ctx);
}

static void on_holds(wst__tally_t *holds) {
    wst__node_t *node = WST__CONTAINER(holds, wst__node_t, holds);
    if (holds->count == 0) /* the node has been closed: see `open` */
        wst__defer(node->ctx, &node->defer, tell_node_closed);
}

/* Life --------------------------------------------------------------------------------------- */

void wst__node_init(wst__node_t *node, wst_ctx_t *ctx, void (*on_drained)(wst__node_t *node),
                    void (*on_closed)(wst__node_t *node)) {
    *node = (wst__node_t){.ctx = ctx,
                          .holds.changed = on_holds,
                          .busy.changed = on_busy,
                          .on_drained = on_drained,
                          .on_closed = on_closed};
    wst__list_init(&node->parts);
    wst__defer_init(&node->defer);
    wst__ctx_hold(ctx);
    wst__ticket_take(&node->open, &node->holds);
    wst__ticket_take(&node->in_service, &node->busy);
}

void wst__node_undo(wst__node_t *node) {
    assert(node->state == WST__NODE_RUNNING && node->holds.count == 1);
    wst__ctx_release(node->ctx);
}

void wst__node_add(wst__node_t *node, wst__part_t *part) {
    wst__list_init(&part->link);
    wst__list_append(&node->parts, &part->link);
}

void wst__node_remove(wst__part_t *part) {
    wst__list_remove(&part->link);
}

void wst__node_drain(wst__node_t *node, uint64_t timeout_ms) {
    if (node->state != WST__NODE_RUNNING)
        return;
    node->state = WST__NODE_DRAINING;
    wst__deadline_in(node->ctx, &node->deadline, timeout_ms, on_drain_deadline);
    WST__LIST_EACH(wst__part_t, part, &node->parts, link) {
        if (part->drain != NULL)
            part->drain(part);
        if (node->state != WST__NODE_DRAINING)
            break; /* a callback to the embedder has closed the handle */
    }
    wst__ticket_give_back(&node->in_service);
}

void wst__node_close(wst__node_t *node) {
    if (node->state == WST__NODE_CLOSING)
        return;
    node->state = WST__NODE_CLOSING;
    wst__deadline_clear(&node->ctx->deadlines, &node->deadline);
    wst__defer_cancel(&node->defer);
    WST__LIST_EACH(wst__part_t, part, &node->parts, link) {
        if (part->close != NULL)
            part->close(part);
    }
    wst__ticket_give_back(&node->open);
}
