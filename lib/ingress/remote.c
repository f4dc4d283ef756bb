/* SPDX-License-Identifier: MIT */
/*
 * The set of agents (remote.h). An uplink belongs to the agent of its tenant, name and instance.
 * Within an agent, only the uplink with the highest epoch of each `conn` stays.
 */
#include "labels.h"
#include "mix.h"
#include "remote_internal.h"

#include <stdio.h>
#include <string.h>

_Static_assert((int)WST__STATES <= (int)WST__LOAD_RANKS, "states are ranks of an index");

void wst__remotes_init(wst__remotes_t *set, wst_ctx_t *ctx, size_t max_streams, uint64_t seed) {
    *set = (wst__remotes_t){.ctx = ctx, .max_streams = max_streams, .seed = seed};
    wst__list_init(&set->list);
    wst__table_init(&set->identities, &ctx->allocator);
    wst__table_init(&set->serials, &ctx->allocator);
    wst__table_init(&set->pointers, &ctx->allocator);
    wst__table_init(&set->groups, &ctx->allocator);
}

void wst__remotes_free(wst__remotes_t *set) {
    wst__table_free(&set->identities);
    wst__table_free(&set->serials);
    wst__table_free(&set->pointers);
    wst__table_free(&set->groups);
}

static wst_remote_t *remote_of(wst__list_t *node) {
    return node != NULL ? WST__CONTAINER(node, wst_remote_t, node) : NULL;
}

/* Finding ------------------------------------------------------------------------------------ */

wst_remote_t *wst__remotes_next(const wst__remotes_t *set, const wst_remote_t *after) {
    if (after != NULL && wst__list_empty(&after->node))
        return NULL; /* the agent has left */
    return remote_of(after == NULL ? wst__list_first(&set->list)
                                   : wst__list_next(&set->list, &after->node));
}

static uint64_t hash_of_pointer(const wst__remotes_t *set, const wst_remote_t *remote) {
    return wst__mix(set->seed ^ (uintptr_t)remote);
}

bool wst__remotes_has(const wst__remotes_t *set, const wst_remote_t *remote) {
    wst__table_node_t *n = wst__table_first(&set->pointers, hash_of_pointer(set, remote));
    while (n != NULL && WST__CONTAINER(n, wst_remote_t, by_pointer) != remote)
        n = wst__table_next(n);
    return n != NULL;
}

static uint64_t hash_of_serial(const wst__remotes_t *set, uint64_t serial) {
    return wst__mix(set->seed ^ serial);
}

wst_remote_t *wst__remotes_find(const wst__remotes_t *set, uint64_t serial) {
    /* The hash is one to one, so no two serials share one. */
    wst__table_node_t *n = wst__table_first(&set->serials, hash_of_serial(set, serial));
    return n != NULL ? WST__CONTAINER(n, wst_remote_t, by_serial) : NULL;
}

wst_remote_t *wst__remotes_find_named(const wst__remotes_t *set, const char *tenant,
                                      const char *name) {
    const wst__group_t *g = wst__group_find(set, WST__BY_NAME, tenant, name);
    return g != NULL ? wst__group_next(g, NULL)->remote : NULL;
}

static uint64_t hash_of_identity(const wst__remotes_t *set, const char *tenant, wst_str_t name,
                                 const uint8_t id[16]) {
    uint64_t hash = wst__mix_bytes(set->seed, id, 16);
    hash = wst__mix_bytes(hash, tenant, strlen(tenant) + 1);
    return wst__mix_bytes(hash, name.ptr, name.len);
}

static wst_remote_t *find_identity(const wst__remotes_t *set, const char *tenant, wst_str_t name,
                                   const uint8_t id[16]) {
    wst__table_node_t *n =
        wst__table_first(&set->identities, hash_of_identity(set, tenant, name, id));
    for (; n != NULL; n = wst__table_next(n)) {
        wst_remote_t *r = WST__CONTAINER(n, wst_remote_t, by_identity);
        if (wst_str_eq(name, r->name) && strcmp(tenant, r->tenant) == 0 &&
            memcmp(id, r->id, sizeof(r->id)) == 0)
            return r;
    }
    return NULL;
}

/* States ------------------------------------------------------------------------------------- */

static unsigned state_of(const wst__uplink_t *u, size_t load, size_t max_streams) {
    int status = u->ops->can_open(u);
    if (status == 0 && load >= max_streams)
        status = WST_ELIMIT;
    switch (status) {
    case 0:
        return u->ops->is_suspect(u) ? WST__SUSPECT : WST__READY;
    case WST_ELIMIT:
        return u->renews ? WST__USED_UP : WST__FULL;
    case WST__UPLINK_AWAY:
        return WST__MISSING;
    case WST_EGOAWAY:
        return WST__LEAVING;
    default:
        return WST__DOWN;
    }
}

static void count_in(wst_remote_t *r, const wst__member_t *m) {
    r->members_in[m->state]++;
    r->load += m->load;
}

static void count_out(wst_remote_t *r, const wst__member_t *m) {
    r->members_in[m->state]--;
    r->load -= m->load;
}

/* Gives the agent the state of its best member and moves it within its groups. */
static void settle(wst__remotes_t *set, wst_remote_t *r) {
    unsigned state = WST__READY;
    while (state < WST__DOWN && r->members_in[state] == 0)
        state++;
    set->ready -= wst_remote_is_ready(r);
    r->state = state;
    set->ready += wst_remote_is_ready(r);
    wst__standing_update(&r->standing);
}

void wst__remotes_changed(wst__remotes_t *set, wst__member_t *m) {
    wst_remote_t *r = m->remote;
    if (r == NULL)
        return;
    size_t load = m->uplink->ops->load(m->uplink);
    unsigned state = state_of(m->uplink, load, set->max_streams);
    if (load == m->load && state == m->state)
        return;
    count_out(r, m);
    if (state == WST__MISSING) /* those who have tried it may do so again when it is back */
        m->serial = ++set->serial;
    if (load > m->load)
        m->used = ++set->uses;
    m->load = load;
    m->state = state;
    count_in(r, m);
    settle(set, r);
}

void wst__remotes_set_max_streams(wst__remotes_t *set, size_t max_streams) {
    set->max_streams = max_streams;
    WST__LIST_EACH(wst_remote_t, r, &set->list, node) {
        WST__LIST_EACH(wst__member_t, m, &r->members, node)
            wst__remotes_changed(set, m);
    }
}

/* Joining and leaving ------------------------------------------------------------------------ */

static wst_remote_t *make_agent(wst__remotes_t *set, const char *tenant, const wst_hello_t *hello) {
    wst_remote_t *r = wst__zalloc(&set->ctx->allocator, sizeof(*r));
    if (r == NULL)
        return NULL;
    r->ctx = set->ctx;
    r->since_ms = wst__now(set->ctx);
    r->state = WST__DOWN;
    wst__list_init(&r->node);
    wst__list_init(&r->members);
    wst__defer_init(&r->defer);
    snprintf(r->name, sizeof(r->name), "%.*s", (int)hello->name.len, hello->name.ptr);
    snprintf(r->tenant, sizeof(r->tenant), "%s", tenant);
    memcpy(r->id, hello->instance, sizeof(r->id));
    for (size_t i = 0; i < sizeof(r->id); i++)
        snprintf(r->instance + 2 * i, 3, "%02x", r->id[i]);
    return r;
}

static void insert(wst__remotes_t *set, wst_remote_t *r) {
    const wst_str_t name = {r->name, strlen(r->name)};
    r->serial = ++set->serial;
    wst__table_insert(&set->identities, &r->by_identity,
                      hash_of_identity(set, r->tenant, name, r->id));
    wst__table_insert(&set->serials, &r->by_serial, hash_of_serial(set, r->serial));
    wst__table_insert(&set->pointers, &r->by_pointer, hash_of_pointer(set, r));
    wst__list_append(&set->list, &r->node);
    set->count++;
    wst__ctx_hold(set->ctx);
}

static void take_out(wst__remotes_t *set, wst_remote_t *r) {
    wst__standing_leave(&r->standing, set);
    wst__table_remove(&set->identities, &r->by_identity);
    wst__table_remove(&set->serials, &r->by_serial);
    wst__table_remove(&set->pointers, &r->by_pointer);
    wst__list_remove(&r->node);
    set->count--;
}

/* Adds a new agent with those labels. NULL: no memory. */
static wst_remote_t *add_agent(wst__remotes_t *set, const char *tenant, const wst_hello_t *hello,
                               const char *const *labels) {
    wst_remote_t *r = make_agent(set, tenant, hello);
    if (r == NULL)
        return NULL;
    if (wst__standing_take(&r->standing, set, r, labels) != 0) {
        wst__free(&set->ctx->allocator, r);
        return NULL;
    }
    insert(set, r);
    return r;
}

static int relabel(wst__remotes_t *set, wst_remote_t *r, const char *const *labels) {
    wst__standing_t standing;
    if (wst__labels_have(r->standing.labels, labels) &&
        wst__labels_have(labels, r->standing.labels))
        return 0;
    int status = wst__standing_take(&standing, set, r, labels);
    if (status != 0)
        return status;
    wst__standing_leave(&r->standing, set);
    wst__standing_free(&r->standing, &set->ctx->allocator);
    r->standing = standing;
    return 0;
}

static wst__member_t *find_conn(const wst_remote_t *r, uint32_t conn) {
    WST__LIST_EACH(wst__member_t, m, &r->members, node) {
        if (m->conn == conn)
            return m;
    }
    return NULL;
}

/* Adds a member, whose uplink, conn and epoch are set, to the agent. */
static void enter(wst__remotes_t *set, wst_remote_t *r, wst__member_t *m) {
    m->remote = r;
    m->serial = ++set->serial;
    m->load = m->uplink->ops->load(m->uplink);
    m->state = state_of(m->uplink, m->load, set->max_streams);
    wst__list_init(&m->node);
    wst__list_append(&r->members, &m->node);
    count_in(r, m);
    snprintf(r->peer, sizeof(r->peer), "%s", m->uplink->peer);
    settle(set, r);
}

static void add_traffic(wst__traffic_t *sum, const wst__uplink_t *uplink) {
    sum->to_agents += uplink->sent;
    sum->to_clients += uplink->received;
}

/* Removes a member from its agent. Returns whether it was the last one. */
static bool leave_agent(wst__remotes_t *set, wst__member_t *m) {
    wst_remote_t *r = m->remote;
    wst__list_remove(&m->node);
    m->remote = NULL;
    count_out(r, m);
    settle(set, r);
    add_traffic(&r->left_traffic, m->uplink);
    add_traffic(&set->left_traffic, m->uplink);
    return wst__list_empty(&r->members);
}

int wst__remotes_join(wst__remotes_t *set, wst__member_t *member, wst__uplink_t *uplink,
                      const wst_hello_t *hello, const char *tenant, const char *const *labels,
                      wst__member_t **replaced, bool *is_new) {
    wst_remote_t *r = find_identity(set, tenant, hello->name, hello->instance);
    wst__member_t *old = r != NULL ? find_conn(r, hello->conn) : NULL;
    if (old != NULL && old->epoch >= hello->epoch)
        return WST_EREPLACED;
    *is_new = r == NULL;
    if (r == NULL)
        r = add_agent(set, tenant, hello, labels);
    else if (relabel(set, r, labels) != 0)
        r = NULL;
    if (r == NULL)
        return WST_ENOMEM;
    *member = (wst__member_t){.uplink = uplink, .conn = hello->conn, .epoch = hello->epoch};
    enter(set, r, member);
    *replaced = old;
    if (old != NULL)
        leave_agent(set, old);
    return 0;
}

int wst__remotes_relabel(wst__remotes_t *set, wst__member_t *m, const char *const *labels) {
    return relabel(set, m->remote, labels);
}

void wst__remotes_resumed(wst__remotes_t *set, wst__member_t *m, uint64_t epoch) {
    m->epoch = epoch;
    snprintf(m->remote->peer, sizeof(m->remote->peer), "%s", m->uplink->peer);
    wst__remotes_changed(set, m);
}

wst_remote_t *wst__remotes_leave(wst__remotes_t *set, wst__member_t *member) {
    wst_remote_t *r = member->remote;
    if (r == NULL || !leave_agent(set, member))
        return NULL;
    take_out(set, r);
    return r;
}

static void free_now(wst__defer_t *defer) {
    wst_remote_t *r = WST__CONTAINER(defer, wst_remote_t, defer);
    wst_ctx_t *ctx = r->ctx;
    wst__standing_free(&r->standing, &ctx->allocator);
    wst__free(&ctx->allocator, r);
    wst__ctx_release(ctx);
}

void wst__remote_free(wst_remote_t *r) {
    wst__defer(r->ctx, &r->defer, free_now);
}

/* Addresses ---------------------------------------------------------------------------------- */

bool wst__same_host(const char *peer, const char *other) {
    const char *colon = strrchr(peer, ':');
    bool has_port = colon != NULL && strncmp(peer, "unix:", 5) != 0;
    return strncmp(peer, other, has_port ? (size_t)(colon - peer) + 1 : strlen(peer) + 1) == 0;
}

static const wst__member_t *member_elsewhere(const wst_remote_t *r, const char *peer) {
    WST__LIST_EACH(const wst__member_t, m, &r->members, node) {
        if (!wst__same_host(m->uplink->peer, peer))
            return m;
    }
    return NULL;
}

const wst__member_t *wst__remotes_elsewhere(const wst__remotes_t *set, const wst__member_t *member,
                                            bool twins) {
    const wst_remote_t *own = member->remote;
    const char *peer = member->uplink->peer;
    const wst__member_t *found = member_elsewhere(own, peer);
    if (found != NULL || !twins)
        return found;
    const wst__group_t *g = wst__group_find(set, WST__BY_NAME, own->tenant, own->name);
    const wst__place_t *p = NULL;
    for (int i = 0; i < WST__TWINS_MAX && (p = wst__group_next(g, p)) != NULL; i++) {
        found = member_elsewhere(p->remote, peer);
        if (found != NULL)
            return found;
    }
    return NULL;
}

void wst__remotes_each_restarted(const wst__remotes_t *set, const wst__member_t *member,
                                 void (*found)(wst__member_t *old)) {
    const wst_remote_t *own = member->remote;
    const wst__group_t *g = wst__group_find(set, WST__BY_NAME, own->tenant, own->name);
    const wst__place_t *p = NULL;
    for (size_t n = 0; n < WST__TWINS_MAX && (p = wst__group_next(g, p)) != NULL; n++) {
        if (p->remote == own)
            continue;
        WST__LIST_EACH(wst__member_t, m, &p->remote->members, node)
            if (m->state == WST__MISSING && wst__same_host(m->uplink->peer, member->uplink->peer))
                found(m);
    }
}

/* Figures ------------------------------------------------------------------------------------ */

static void add_members(wst__traffic_t *sum, const wst_remote_t *r) {
    WST__LIST_EACH(const wst__member_t, m, &r->members, node)
        add_traffic(sum, m->uplink);
}

wst__traffic_t wst__remotes_traffic(const wst__remotes_t *set) {
    wst__traffic_t sum = set->left_traffic;
    WST__LIST_EACH(const wst_remote_t, r, &set->list, node)
        add_members(&sum, r);
    return sum;
}

void wst__remote_set_software(wst_remote_t *r, const char *software) {
    snprintf(r->software, sizeof(r->software), "%s", software);
}

/* Public ------------------------------------------------------------------------------------- */

uint64_t wst__remote_serial(const wst_remote_t *r) {
    return r->serial;
}

bool wst__remote_misses(const wst_remote_t *r, uint32_t conn) {
    const wst__member_t *member = find_conn(r, conn);
    return member == NULL || member->state == WST__MISSING;
}

const char *wst_remote_name(const wst_remote_t *r) {
    return r->name;
}

const char *wst_remote_tenant(const wst_remote_t *r) {
    return r->tenant;
}

const char *wst_remote_instance(const wst_remote_t *r) {
    return r->instance;
}

const char *const *wst_remote_labels(const wst_remote_t *r) {
    static const char *const none[] = {NULL};
    return r->standing.labels != NULL ? r->standing.labels : none;
}

const char *wst_remote_peer(const wst_remote_t *r) {
    return r->peer;
}

size_t wst_remote_sessions(const wst_remote_t *r) {
    size_t sessions = 0;
    for (unsigned i = 0; i < WST__STATES; i++)
        sessions += r->members_in[i];
    return sessions;
}

size_t wst_remote_streams(const wst_remote_t *r) {
    return r->load;
}

uint64_t wst_remote_rtt_ms(const wst_remote_t *r) {
    uint64_t rtt = 0;
    WST__LIST_EACH(const wst__member_t, m, &r->members, node) {
        uint64_t newer = m->uplink->ops->rtt_ms(m->uplink);
        rtt = newer != 0 ? newer : rtt;
    }
    return rtt;
}

const char *wst_remote_software(const wst_remote_t *r) {
    return r->software;
}

uint64_t wst_remote_uptime_ms(const wst_remote_t *r) {
    return wst__now(r->ctx) - r->since_ms;
}

uint64_t wst_remote_bytes_to_agent(const wst_remote_t *r) {
    wst__traffic_t sum = r->left_traffic;
    add_members(&sum, r);
    return sum.to_agents;
}

uint64_t wst_remote_bytes_to_client(const wst_remote_t *r) {
    wst__traffic_t sum = r->left_traffic;
    add_members(&sum, r);
    return sum.to_clients;
}

bool wst_remote_is_ready(const wst_remote_t *r) {
    return r->state <= WST__SUSPECT;
}

bool wst_remote_is_suspended(const wst_remote_t *r) {
    size_t missing = r->members_in[WST__MISSING];
    return missing > 0 && missing == wst_remote_sessions(r);
}

void wst_remote_set_data(wst_remote_t *r, void *data) {
    r->data = data;
}

void *wst_remote_data(const wst_remote_t *r) {
    return r->data;
}
