/* SPDX-License-Identifier: MIT */
/* Making, draining and closing an ingress (ingress.h). */
#include "ingress.h"

#include "flow.h"

static void on_ingress_drain(wst__part_t *part) {
    wst__ingress_wake(WST__CONTAINER(part, wst_ingress_t, part)); /* no flow waits any more */
}

static void on_ingress_close(wst__part_t *part) {
    wst_ingress_t *ingress = WST__CONTAINER(part, wst_ingress_t, part);
    WST__LIST_EACH(wst_flow_t, f, &ingress->flows, node)
        wst__flow_abort(f);
}

void wst__ingress_init(wst_ingress_t *ingress, wst__node_t *node, const wst__ingress_hooks_t *hooks,
                       void *owner, uint64_t seed) {
    *ingress = (wst_ingress_t){.ctx = node->ctx,
                               .node = node,
                               .part = {.drain = on_ingress_drain, .close = on_ingress_close},
                               .hooks = hooks,
                               .owner = owner};
    wst__list_init(&ingress->flows);
    wst__list_init(&ingress->waiting);
    wst__remotes_init(&ingress->remotes, node->ctx, SIZE_MAX, seed);
    wst__node_add(node, &ingress->part);
}

void wst__ingress_free(wst_ingress_t *ingress) {
    wst__remotes_free(&ingress->remotes);
}
