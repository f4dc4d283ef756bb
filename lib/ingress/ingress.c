/* SPDX-License-Identifier: MIT */
/* Making, draining and closing an ingress (ingress.h). */
#include "ingress.h"

#include "defaults.h"
#include "flow.h"
#include "refusal.h"

static void on_ingress_drain(wst__part_t *part) {
    wst__ingress_wake(WST__CONTAINER(part, wst_ingress_t, part)); /* no flow waits any more */
}

static void on_ingress_close(wst__part_t *part) {
    wst_ingress_t *ingress = WST__CONTAINER(part, wst_ingress_t, part);
    WST__LIST_EACH(wst_flow_t, f, &ingress->flows, node)
        wst__flow_abort(f);
}

void wst__ingress_review(wst_ingress_t *ingress,
                         const char *(*review)(const wst_stream_info_t *info, void *user_data),
                         void *user_data) {
    WST__LIST_EACH(wst_flow_t, f, &ingress->flows, node) {
        wst_stream_info_t info = {.size = sizeof(info)};
        if (!wst__flow_is_allowed(f))
            continue;
        wst_flow_get_info(f, &info);
        const char *why = review(&info, user_data);
        if (why != NULL)
            wst__flow_revoke(f, why);
    }
}

void wst__ingress_init(wst_ingress_t *ingress, wst__node_t *node, const wst__ingress_hooks_t *hooks,
                       void *owner, uint64_t seed) {
    *ingress = (wst_ingress_t){.ctx = node->ctx,
                               .node = node,
                               .part = {.drain = on_ingress_drain, .close = on_ingress_close},
                               .hooks = hooks,
                               .owner = owner,
                               .dial_times.size = sizeof(ingress->dial_times)};
    wst__list_init(&ingress->flows);
    wst__list_init(&ingress->walks);
    wst__list_init(&ingress->waiting);
    wst__dial_queues_init(&ingress->turns, &node->ctx->allocator, seed,
                          WST__MAX_PENDING_DESTINATIONS, wst__flow_on_turn);
    wst__late_places_init(&ingress->late, node->ctx);
    wst__accounts_init(&ingress->accounts, &node->ctx->allocator, seed, &node->ctx->budget);
    wst__remotes_init(&ingress->remotes, node->ctx, SIZE_MAX, seed);
    wst__node_add(node, &ingress->part);
}

void wst__ingress_free(wst_ingress_t *ingress) {
    wst__late_places_free(&ingress->late);
    wst__remotes_free(&ingress->remotes);
    wst__accounts_free(&ingress->accounts);
    wst__dial_queues_free(&ingress->turns);
}

void wst__ingress_set_limits(wst_ingress_t *ingress, const wst__ingress_limits_t *limits) {
    ingress->limits = *limits;
    ingress->accounts.dials.limit = limits->max_pending;
    ingress->accounts.away.limit = limits->max_pending / 2;
    ingress->accounts.flows.limit = limits->max_flows;
    wst__accounts_set_quotas(&ingress->accounts, limits->user, limits->tenant);
}

size_t wst__ingress_pending(const wst_ingress_t *ingress) {
    return ingress->accounts.dials.used;
}

size_t wst__ingress_relaying(const wst_ingress_t *ingress) {
    return ingress->accounts.flows.used - ingress->accounts.dials.used;
}

static int turned_away_for(int status) {
    switch (status) {
    case WST_ELIMIT:
        return WST__SOURCE_CONNECTIONS;
    case WST_EMEMORY:
        return WST__SOURCE_MEMORY;
    default:
        return status;
    }
}

void wst__ingress_tell_closed(wst_ingress_t *ingress, const char *peer, int code, const char *error,
                              const char *reason, bool retry) {
    const wst_refusal_info_t info = {.size = sizeof(info),
                                     .client = peer,
                                     .user = "",
                                     .tenant = "",
                                     .destination = "",
                                     .agent = "",
                                     .address = "",
                                     .code = code,
                                     .retry = retry,
                                     .error = error,
                                     .reason = reason,
                                     .detail = "",
                                     .fields = "",
                                     .claimed_user = "",
                                     .cause = "",
                                     .trace_id = "",
                                     .span_id = ""};
    ingress->hooks->on_refused(ingress->owner, &info);
}

void wst__ingress_turn_away(wst_ingress_t *ingress, const char *peer, int status) {
    const wst__refusal_t refusal = wst__refusal_of(turned_away_for(status));
    ingress->turned_away++;
    wst__ingress_tell_closed(ingress, peer, status, refusal.error, refusal.reason, true);
}
