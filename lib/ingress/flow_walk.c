/* SPDX-License-Identifier: MIT */
/*
 * Walks over the flows of an ingress (wstunnel/flow.h). A walk points at the flow that it visits
 * next; a flow that is freed meanwhile moves it on.
 */
#include "flow.h"

#include <string.h>

struct wst_flow_walk {
    wst__list_t node; /* of ingress.walks */
    wst_ingress_t *ingress;
    wst_flow_t *next; /* NULL: at the end */
    size_t left;      /* flows there were at the beginning, less those passed */
};

static wst_flow_t *flow_of(wst__list_t *node) {
    return node != NULL ? WST__CONTAINER(node, wst_flow_t, node) : NULL;
}

static void step(wst_flow_walk_t *w) {
    w->left--;
    w->next = w->left > 0 ? flow_of(wst__list_next(&w->ingress->flows, &w->next->node)) : NULL;
}

int wst_flow_walk_new(wst_flow_walk_t **out, wst_ingress_t *ingress) {
    wst_flow_walk_t *w = wst__zalloc(&ingress->ctx->allocator, sizeof(*w));
    if (w == NULL)
        return WST_ENOMEM;
    w->ingress = ingress;
    w->left = ingress->flow_count;
    w->next = flow_of(wst__list_first(&ingress->flows));
    wst__list_append(&ingress->walks, &w->node);
    *out = w;
    return 0;
}

void wst_flow_walk_free(wst_flow_walk_t *w) {
    if (w == NULL)
        return;
    wst__list_remove(&w->node);
    wst__free(&w->ingress->ctx->allocator, w);
}

/* Whether the flow is one for its users: it may wait for a next request, or be about to go. */
static bool is_live(const wst_flow_t *f) {
    return f->state > WST__FLOW_NEW && f->state < WST__FLOW_DONE;
}

bool wst_flow_walk_next(wst_flow_walk_t *w, size_t max, wst_flow_visit_cb visit, void *user_data) {
    for (; w->next != NULL && max > 0; max--) {
        const wst_flow_t *f = w->next;
        wst_stream_info_t info = {.size = sizeof(info)};
        step(w);
        if (!is_live(f))
            continue;
        wst_flow_get_info(f, &info);
        visit(&info, user_data);
    }
    return w->next != NULL;
}

bool wst_flow_walk_end(wst_flow_walk_t *w, size_t max, wst_flow_pick_cb pick, void *user_data) {
    for (; w->next != NULL && max > 0; max--) {
        wst_flow_t *f = w->next;
        wst_stream_info_t info = {.size = sizeof(info)};
        step(w);
        if (!wst__flow_may_end(f))
            continue;
        wst_flow_get_info(f, &info);
        const char *why = pick(&info, user_data);
        if (why != NULL)
            wst__flow_revoke(f, why);
    }
    return w->next != NULL;
}

void wst__flow_leave_walks(const wst_flow_t *f) {
    WST__LIST_EACH(wst_flow_walk_t, w, &f->ingress->walks, node) {
        if (w->next == f)
            step(w);
    }
}

int wst_flow_end(wst_ingress_t *ingress, uint64_t id, const char *why) {
    WST__LIST_EACH(wst_flow_t, f, &ingress->flows, node) {
        if (f->id == id && f->state == WST__FLOW_RELAYING && f->revoked == NULL) {
            wst__flow_revoke(f, why);
            return 0;
        }
    }
    return WST_ESTATE;
}
