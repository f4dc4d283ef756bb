/* SPDX-License-Identifier: MIT */
/* Chooses the agent, and its member, to open a stream through (remote.h). */
#include "labels.h"
#include "remote_internal.h"

#include <string.h>

enum { TRAFFIC_LEAST = 256 * 1024 }; /* bytes in a ping interval */

/* Order of members; less is better. */
typedef struct rank {
    unsigned state;
    size_t agent_load, load;
    unsigned traffic;
    uint64_t used;
} rank_t;

typedef struct search {
    const wst__choice_t *choice;
    wst__member_t *best;
    rank_t best_rank;
    bool awaited, missing, full, leaving; /* a fitting member is in that state */
} search_t;

bool wst__remote_fits(const wst_remote_t *r, const wst__choice_t *c) {
    return (c->tenant == NULL || strcmp(c->tenant, r->tenant) == 0) &&
           (c->only == 0 || c->only == r->serial) &&
           (c->name == NULL || strcmp(c->name, r->name) == 0) &&
           wst__labels_have(r->standing.labels, c->labels) &&
           (c->admits == NULL || c->admits(r, c->user_data));
}

static bool was_tried(const wst__choice_t *choice, const wst__member_t *m) {
    size_t i = 0;
    while (i < choice->tried_count && choice->tried[i] != m->serial)
        i++;
    return i < choice->tried_count;
}

static int compare(size_t a, size_t b) {
    return (a > b) - (a < b);
}

/* Compares what all members of an agent in one state have in common. */
static int compare_agents(rank_t a, rank_t b) {
    return a.state != b.state ? compare(a.state, b.state) : compare(a.agent_load, b.agent_load);
}

static bool is_better(rank_t a, rank_t b) {
    int order = compare_agents(a, b);
    if (order == 0)
        order = compare(a.load, b.load);
    if (order == 0)
        order = compare(a.traffic, b.traffic);
    return order != 0 ? order < 0 : a.used < b.used;
}

/* How busy a member is, by orders of magnitude: what requests and keystrokes move must not decide
 * instead of the turns. */
static unsigned traffic_of(const wst__member_t *m) {
    unsigned order = 0;
    uint64_t bytes = m->uplink->ops->moved != NULL ? m->uplink->ops->moved(m->uplink) : 0;
    for (bytes /= TRAFFIC_LEAST; bytes > 0; bytes /= 2)
        order++;
    return order;
}

static void look_at(search_t *s, const wst_remote_t *r) {
    if (!wst__remote_fits(r, s->choice))
        return;
    WST__LIST_EACH(wst__member_t, m, &r->members, node) {
        const rank_t rank = {m->state, r->load, m->load, traffic_of(m), m->used};
        if (was_tried(s->choice, m))
            continue;
        s->awaited |= m->state == WST__USED_UP || m->state == WST__MISSING;
        s->missing |= m->state == WST__MISSING;
        s->full |= m->state == WST__USED_UP || m->state == WST__FULL;
        s->leaving |= m->state == WST__LEAVING;
        if (m->state <= WST__SUSPECT && (s->best == NULL || is_better(rank, s->best_rank))) {
            s->best = m;
            s->best_rank = rank;
        }
    }
}

/* Whether neither this agent nor later ones can change the outcome. */
static bool is_decided(const search_t *s, const wst_remote_t *next) {
    const rank_t rank = {next->state, next->load, 0, 0, 0};
    if (s->best != NULL)
        return compare_agents(s->best_rank, rank) <= 0;
    if (s->choice->admits != NULL)
        return false; /* `admits` is to be called for all */
    switch (next->state) {
    case WST__USED_UP:
    case WST__MISSING:
        return s->awaited;
    case WST__FULL:
        return s->full;
    case WST__LEAVING:
        return s->full || s->leaving;
    case WST__DOWN:
        return true;
    default:
        return false;
    }
}

/* The smallest group that contains all fitting agents; NULL: there are none. */
static const wst__group_t *smallest_group(const wst__remotes_t *set, const wst__choice_t *c) {
    const wst__group_t *smallest = c->name != NULL
                                       ? wst__group_find(set, WST__BY_NAME, c->tenant, c->name)
                                       : wst__group_find(set, WST__BY_TENANT, c->tenant, "");
    for (const char *const *l = c->labels; l != NULL && *l != NULL && smallest != NULL; l++) {
        const wst__group_t *g = wst__group_find(set, WST__BY_LABEL, c->tenant, *l);
        if (g == NULL || g->index.count < smallest->index.count)
            smallest = g;
    }
    return smallest;
}

int wst__remotes_choose(const wst__remotes_t *set, const wst__choice_t *choice, wst__member_t **out,
                        bool *awaited) {
    search_t s = {.choice = choice};
    if (choice->only != 0) {
        const wst_remote_t *r = wst__remotes_find(set, choice->only);
        if (r != NULL)
            look_at(&s, r);
    } else {
        const wst__group_t *g = smallest_group(set, choice);
        const wst__place_t *p = g != NULL ? wst__group_next(g, NULL) : NULL;
        while (p != NULL && !is_decided(&s, p->remote)) {
            look_at(&s, p->remote);
            p = wst__group_next(g, p);
        }
    }
    *out = s.best;
    *awaited = s.awaited;
    if (s.best != NULL)
        return 0;
    return s.missing   ? WST__UPLINK_AWAY
           : s.full    ? WST_ELIMIT
           : s.leaving ? WST_EGOAWAY
                       : WST_ENOAGENT;
}
