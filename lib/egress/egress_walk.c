/* SPDX-License-Identifier: MIT */
/* What the streams of an egress have moved, and walks over them (egress.h). */
#include "egress_internal.h"

/* Figures ------------------------------------------------------------------------------------ */

void wst__egress_count_bytes(const wst__egress_stream_t *s, uint64_t *to, uint64_t *from) {
    wst_pump_stats_t stats = {.size = sizeof(stats)};
    if (s->phase == WST__EGRESS_PUMPING)
        wst_pump_get_stats(s->pump, &stats);
    *to += stats.bytes_a_to_b;
    *from += stats.bytes_b_to_a;
}

void wst__egress_bytes(const wst__egress_t *e, uint64_t *to_destinations,
                       uint64_t *from_destinations) {
    *to_destinations = e->bytes_to_destinations;
    *from_destinations = e->bytes_from_destinations;
    WST__LIST_EACH(const wst__egress_stream_t, s, &e->others, node)
        wst__egress_count_bytes(s, to_destinations, from_destinations);
}

/* Walks -------------------------------------------------------------------------------------- */

/* Those that are open come first, then those that are being opened. */
static void enter_list(wst__egress_walk_t *w, wst__list_t *list) {
    w->list = list;
    w->next = wst__list_first(list);
    w->left = 0;
    for (const wst__list_t *node = w->next; node != NULL; node = wst__list_next(list, node))
        w->left++;
}

static void step_walk(wst__egress_walk_t *w) {
    w->left--;
    w->next = w->left > 0 ? wst__list_next(w->list, w->next) : NULL;
}

void wst__egress_unlink(wst__egress_stream_t *s) {
    WST__LIST_EACH(wst__egress_walk_t, w, &s->egress->walks, node) {
        if (w->next == &s->node)
            step_walk(w);
    }
    wst__list_remove(&s->node);
}

void wst__egress_walk_begin(wst__egress_walk_t *w, wst__egress_t *e) {
    *w = (wst__egress_walk_t){.egress = e};
    wst__list_init(&w->node);
    wst__list_append(&e->walks, &w->node);
    enter_list(w, &e->others);
}

void wst__egress_walk_end(wst__egress_walk_t *w) {
    wst__list_remove(&w->node);
}

static void visit_stream(const wst__egress_stream_t *s,
                         void (*visit)(const wst__egress_seen_t *seen, void *user_data),
                         void *user_data) {
    static const char *const states[] = {[WST__EGRESS_ASKING] = "asking",
                                         [WST__EGRESS_DIALLING] = "dialling",
                                         [WST__EGRESS_PUMPING] = "open"};
    wst__egress_seen_t seen = {.id = s->id,
                               .age_ms = wst__now(wst__egress_stream_ctx(s)) - s->since_ms,
                               .destination = s->dest};
    if (s->phase >= WST__EGRESS_ENDING)
        return;
    seen.state = states[s->phase];
    wst__egress_count_bytes(s, &seen.bytes_to_destination, &seen.bytes_from_destination);
    visit(&seen, user_data);
}

bool wst__egress_walk_next(wst__egress_walk_t *w, size_t max,
                           void (*visit)(const wst__egress_seen_t *seen, void *user_data),
                           void *user_data) {
    wst__egress_t *e = w->egress;
    for (; max > 0; max--) {
        if (w->next == NULL && w->list == &e->others)
            enter_list(w, &e->opening);
        if (w->next == NULL)
            return false;
        const wst__egress_stream_t *s = WST__CONTAINER(w->next, wst__egress_stream_t, node);
        step_walk(w);
        visit_stream(s, visit, user_data);
    }
    return true;
}
