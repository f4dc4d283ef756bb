/* SPDX-License-Identifier: MIT */
/*
 * The set of agents (remote.h): who belongs to whom, who replaces whom, who is chosen. A session
 * belongs to the agent of its name and instance; in it, it takes the place `conn`, of which the
 * highest epoch is the only one.
 */
#include "remote.h"

#include <stdio.h>
#include <string.h>

struct wst_remote {
    wst__list_t node; /* of the set's; unlinked: it has left */
    wst_ctx_t *ctx;
    wst__list_t members;
    size_t max_streams; /* of each */
    uint64_t serial;
    char name[WST_NAME_MAX + 1];
    char tenant[WST__TENANT_MAX + 1];
    uint8_t id[16];
    char instance[33]; /* `id` in hex */
    char peer[96];     /* of the newest session */
    void *data;
    wst__defer_t defer;
};

void wst__remotes_init(wst__remotes_t *set, wst_ctx_t *ctx, size_t max_streams) {
    *set = (wst__remotes_t){.ctx = ctx, .max_streams = max_streams};
    wst__list_init(&set->list);
}

static wst_remote_t *remote_of(wst__list_t *node) {
    return node != NULL ? WST__CONTAINER(node, wst_remote_t, node) : NULL;
}

static wst__member_t *member_of(wst__list_t *node) {
    return node != NULL ? WST__CONTAINER(node, wst__member_t, node) : NULL;
}

static wst__member_t *next_member(const wst_remote_t *remote, const wst__member_t *after) {
    return member_of(after == NULL ? wst__list_first(&remote->members)
                                   : wst__list_next(&remote->members, &after->node));
}

wst_remote_t *wst__remotes_next(const wst__remotes_t *set, const wst_remote_t *after) {
    if (after != NULL && wst__list_empty(&after->node))
        return NULL; /* it has left */
    return remote_of(after == NULL ? wst__list_first(&set->list)
                                   : wst__list_next(&set->list, &after->node));
}

bool wst__remotes_has(const wst__remotes_t *set, const wst_remote_t *remote) {
    const wst_remote_t *r = wst__remotes_next(set, NULL);
    while (r != NULL && r != remote)
        r = wst__remotes_next(set, r);
    return r != NULL;
}

wst_remote_t *wst__remotes_find(const wst__remotes_t *set, uint64_t serial) {
    wst_remote_t *r = wst__remotes_next(set, NULL);
    while (r != NULL && r->serial != serial)
        r = wst__remotes_next(set, r);
    return r;
}

void wst__remotes_set_max_streams(wst__remotes_t *set, size_t max_streams) {
    set->max_streams = max_streams;
    for (wst_remote_t *r = wst__remotes_next(set, NULL); r != NULL; r = wst__remotes_next(set, r))
        r->max_streams = max_streams;
}

/* Coming and going --------------------------------------------------------------------------- */

static wst_remote_t *find(const wst__remotes_t *set, const char *tenant, wst_str_t name,
                          const uint8_t id[16]) {
    wst_remote_t *r = wst__remotes_next(set, NULL);
    while (r != NULL && !(wst_str_eq(name, r->name) && strcmp(tenant, r->tenant) == 0 &&
                          memcmp(id, r->id, sizeof(r->id)) == 0))
        r = wst__remotes_next(set, r);
    return r;
}

static wst_remote_t *add(wst__remotes_t *set, const char *tenant, wst_str_t name,
                         const uint8_t id[16]) {
    wst_remote_t *r = wst__zalloc(&set->ctx->allocator, sizeof(*r));
    if (r == NULL)
        return NULL;
    r->ctx = set->ctx;
    r->max_streams = set->max_streams;
    r->serial = ++set->serial;
    wst__list_init(&r->members);
    wst__defer_init(&r->defer);
    snprintf(r->name, sizeof(r->name), "%.*s", (int)name.len, name.ptr);
    snprintf(r->tenant, sizeof(r->tenant), "%s", tenant);
    memcpy(r->id, id, sizeof(r->id));
    for (size_t i = 0; i < sizeof(r->id); i++)
        snprintf(r->instance + 2 * i, 3, "%02x", r->id[i]);
    wst__list_init(&r->node);
    wst__list_append(&set->list, &r->node);
    set->count++;
    wst__ctx_hold(set->ctx);
    return r;
}

/* `member` is filled in but for what it is to the set. */
static void enter(wst__remotes_t *set, wst_remote_t *r, wst__member_t *member, const char *peer) {
    member->remote = r;
    member->peer = peer;
    member->serial = ++set->serial;
    wst__list_init(&member->node);
    wst__list_append(&r->members, &member->node);
    snprintf(r->peer, sizeof(r->peer), "%s", peer);
}

int wst__remotes_join(wst__remotes_t *set, wst__member_t *member, wst__uplink_t *uplink,
                      const wst_hello_t *hello, const char *tenant, const char *peer,
                      wst__member_t **replaced, bool *is_new) {
    wst_remote_t *r = find(set, tenant, hello->name, hello->instance);
    wst__member_t *old = r != NULL ? next_member(r, NULL) : NULL;
    while (old != NULL && old->conn != hello->conn)
        old = next_member(r, old);
    if (old != NULL && old->epoch >= hello->epoch)
        return WST_EREPLACED;
    *is_new = r == NULL;
    if (r == NULL)
        r = add(set, tenant, hello->name, hello->instance);
    if (r == NULL)
        return WST_ENOMEM;
    if (old != NULL) {
        wst__list_remove(&old->node);
        old->remote = NULL;
    }
    *replaced = old;
    *member = (wst__member_t){.uplink = uplink, .conn = hello->conn, .epoch = hello->epoch};
    enter(set, r, member, peer);
    return 0;
}

bool wst__same_host(const char *peer, const char *other) {
    const char *colon = strrchr(peer, ':');
    bool has_port = colon != NULL && strncmp(peer, "unix:", 5) != 0;
    return strncmp(peer, other, has_port ? (size_t)(colon - peer) + 1 : strlen(peer) + 1) == 0;
}

const wst__member_t *wst__remotes_elsewhere(const wst__remotes_t *set, const wst__member_t *member,
                                            bool twins) {
    const wst_remote_t *own = member->remote, *r = NULL;
    while ((r = wst__remotes_next(set, r)) != NULL) {
        if (r != own &&
            (!twins || strcmp(r->name, own->name) != 0 || strcmp(r->tenant, own->tenant) != 0))
            continue;
        for (const wst__member_t *m = next_member(r, NULL); m != NULL; m = next_member(r, m)) {
            if (!wst__same_host(m->peer, member->peer))
                return m;
        }
    }
    return NULL;
}

wst_remote_t *wst__remotes_leave(wst__remotes_t *set, wst__member_t *member) {
    wst_remote_t *r = member->remote;
    if (r == NULL)
        return NULL;
    wst__list_remove(&member->node);
    member->remote = NULL;
    if (!wst__list_empty(&r->members))
        return NULL;
    wst__list_remove(&r->node);
    set->count--;
    return r;
}

static void free_now(wst__defer_t *defer) {
    wst_remote_t *r = WST__CONTAINER(defer, wst_remote_t, defer);
    wst_ctx_t *ctx = r->ctx;
    wst__free(&ctx->allocator, r);
    wst__ctx_release(ctx);
}

void wst__remote_free(wst_remote_t *r) {
    wst__defer(r->ctx, &r->defer, free_now);
}

/* Choosing ----------------------------------------------------------------------------------- */

uint64_t wst__remote_serial(const wst_remote_t *r) {
    return r->serial;
}

static size_t streams_of(const wst__member_t *m) {
    return m->uplink->ops->load(m->uplink);
}

/* 0, or why the session takes no stream. */
static int check(const wst__member_t *m, size_t max_streams) {
    if (m->uplink->ops->load(m->uplink) >= max_streams)
        return WST_ELIMIT;
    return m->uplink->ops->can_open(m->uplink);
}

static bool was_tried(const wst__choice_t *choice, const wst__member_t *m) {
    size_t i = 0;
    while (i < choice->tried_count && choice->tried[i] != m->serial)
        i++;
    return i < choice->tried_count;
}

/* How well a session serves; less is better. */
typedef struct rank {
    bool suspect;
    size_t agent, session; /* streams */
} rank_t;

static bool is_better(rank_t a, rank_t b) {
    if (a.suspect != b.suspect)
        return b.suspect;
    return a.agent != b.agent ? a.agent < b.agent : a.session < b.session;
}

int wst__remotes_choose(const wst__remotes_t *set, const wst__choice_t *choice,
                        wst__member_t **out) {
    wst__member_t *best = NULL;
    rank_t best_rank = {0};
    int status = WST_ENOAGENT;
    wst_remote_t *r = NULL;
    while ((r = wst__remotes_next(set, r)) != NULL) {
        if ((choice->only != 0 && choice->only != r->serial) ||
            (choice->tenant != NULL && strcmp(choice->tenant, r->tenant) != 0) ||
            (choice->admits != NULL && !choice->admits(r, choice->user_data)))
            continue;
        size_t streams = wst_remote_streams(r);
        wst__member_t *m = NULL;
        while ((m = next_member(r, m)) != NULL) {
            if (was_tried(choice, m))
                continue;
            int why_not = check(m, set->max_streams);
            bool suspect = m->uplink->ops->is_suspect(m->uplink);
            rank_t rank = {suspect, streams, streams_of(m)};
            if (why_not == 0 && (best == NULL || is_better(rank, best_rank))) {
                best = m;
                best_rank = rank;
            } else if (why_not == WST_ELIMIT || (why_not == WST_EGOAWAY && status != WST_ELIMIT)) {
                status = why_not;
            }
        }
    }
    if (best == NULL)
        return status;
    *out = best;
    return 0;
}

/* What an embedder is told of an agent ------------------------------------------------------- */

const char *wst_remote_name(const wst_remote_t *r) {
    return r->name;
}

const char *wst_remote_tenant(const wst_remote_t *r) {
    return r->tenant;
}

const char *wst_remote_instance(const wst_remote_t *r) {
    return r->instance;
}

const char *wst_remote_peer(const wst_remote_t *r) {
    return r->peer;
}

size_t wst_remote_streams(const wst_remote_t *r) {
    size_t streams = 0;
    for (wst__member_t *m = next_member(r, NULL); m != NULL; m = next_member(r, m))
        streams += streams_of(m);
    return streams;
}

uint64_t wst_remote_rtt_ms(const wst_remote_t *r) {
    uint64_t rtt = 0;
    for (wst__member_t *m = next_member(r, NULL); m != NULL; m = next_member(r, m)) {
        uint64_t newer = m->uplink->ops->rtt_ms(m->uplink);
        rtt = newer != 0 ? newer : rtt;
    }
    return rtt;
}

bool wst_remote_is_ready(const wst_remote_t *r) {
    const wst__member_t *m = next_member(r, NULL);
    while (m != NULL && check(m, r->max_streams) != 0)
        m = next_member(r, m);
    return m != NULL;
}

void wst_remote_set_data(wst_remote_t *r, void *data) {
    r->data = data;
}

void *wst_remote_data(const wst_remote_t *r) {
    return r->data;
}
