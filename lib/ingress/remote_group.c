/* SPDX-License-Identifier: MIT */
/* The groups of agents, each ordered by load (remote.h). */
#include "labels.h"
#include "mix.h"
#include "remote_internal.h"

#include <string.h>

/* Groups ------------------------------------------------------------------------------------- */

static uint64_t hash_of(const wst__remotes_t *set, wst__group_kind_t kind, const char *tenant,
                        const char *text) {
    uint64_t hash = wst__mix(set->seed ^ kind);
    hash = wst__mix_bytes(hash, tenant, strlen(tenant) + 1);
    return wst__mix_bytes(hash, text, strlen(text));
}

static wst__group_t *find_group(const wst__remotes_t *set, uint64_t hash, wst__group_kind_t kind,
                                const char *tenant, const char *text) {
    for (wst__table_node_t *n = wst__table_first(&set->groups, hash); n != NULL;
         n = wst__table_next(n)) {
        wst__group_t *g = WST__CONTAINER(n, wst__group_t, node);
        if (g->kind == kind && strcmp(g->tenant, tenant) == 0 && strcmp(g->text, text) == 0)
            return g;
    }
    return NULL;
}

const wst__group_t *wst__group_find(const wst__remotes_t *set, wst__group_kind_t kind,
                                    const char *tenant, const char *text) {
    return find_group(set, hash_of(set, kind, tenant, text), kind, tenant, text);
}

/* Finds the group, or makes it. NULL: no memory. */
static wst__group_t *find_or_make(wst__remotes_t *set, wst__group_kind_t kind, const char *tenant,
                                  const char *text) {
    const wst_allocator_t *a = &set->ctx->allocator;
    uint64_t hash = hash_of(set, kind, tenant, text);
    wst__group_t *g = find_group(set, hash, kind, tenant, text);
    if (g != NULL)
        return g;
    size_t tenant_size = strlen(tenant) + 1, text_size = strlen(text) + 1;
    g = wst__alloc(a, sizeof(*g) + tenant_size + text_size);
    if (g == NULL)
        return NULL;
    wst__load_index_init(&g->index, a);
    g->kind = kind;
    memcpy(g->tenant, tenant, tenant_size);
    g->text = memcpy(g->tenant + tenant_size, text, text_size);
    wst__table_insert(&set->groups, &g->node, hash);
    return g;
}

static void free_if_empty(wst__remotes_t *set, wst__group_t *g) {
    if (g->index.count > 0)
        return;
    wst__table_remove(&set->groups, &g->node);
    wst__free(&set->ctx->allocator, g);
}

const wst__place_t *wst__group_next(const wst__group_t *g, const wst__place_t *after) {
    wst__load_entry_t *entry =
        wst__load_index_next(&g->index, after != NULL ? &after->entry : NULL);
    return entry != NULL ? WST__CONTAINER(entry, wst__place_t, entry) : NULL;
}

/* Places ------------------------------------------------------------------------------------- */

static int enter(wst__place_t *p, wst__remotes_t *set, wst_remote_t *r, wst__group_kind_t kind,
                 const char *text) {
    wst__group_t *g = find_or_make(set, kind, r->tenant, text);
    if (g == NULL)
        return WST_ENOMEM;
    int status = wst__load_index_insert(&g->index, &p->entry, r->state, r->load);
    if (status != 0) {
        free_if_empty(set, g);
        return status;
    }
    p->remote = r;
    p->group = g;
    return 0;
}

static int enter_all(wst__standing_t *s, wst__remotes_t *set, wst_remote_t *r) {
    int status = enter(&s->places[0], set, r, WST__BY_TENANT, "");
    if (status == 0)
        status = enter(&s->places[1], set, r, WST__BY_NAME, r->name);
    for (size_t i = 2; i < s->count && status == 0; i++)
        status = enter(&s->places[i], set, r, WST__BY_LABEL, s->labels[i - 2]);
    return status;
}

int wst__standing_take(wst__standing_t *out, wst__remotes_t *set, wst_remote_t *r,
                       const char *const *labels) {
    const wst_allocator_t *a = &set->ctx->allocator;
    wst__standing_t s = {0};
    if (wst__labels_copy(a, &s.labels, labels) != 0)
        return WST_ENOMEM;
    size_t count = 2 + wst__labels_count(s.labels);
    s.places = wst__zalloc(a, count * sizeof(*s.places));
    s.count = s.places != NULL ? count : 0;
    int status = s.places != NULL ? enter_all(&s, set, r) : WST_ENOMEM;
    if (status == 0) {
        *out = s;
        return 0;
    }
    wst__standing_leave(&s, set);
    wst__standing_free(&s, a);
    return status;
}

void wst__standing_update(const wst__standing_t *s) {
    for (size_t i = 0; i < s->count; i++) {
        wst__place_t *p = &s->places[i];
        wst__load_index_move(&p->group->index, &p->entry, p->remote->state, p->remote->load);
    }
}

void wst__standing_leave(wst__standing_t *s, wst__remotes_t *set) {
    for (size_t i = 0; i < s->count; i++) {
        wst__group_t *g = s->places[i].group;
        if (g == NULL)
            continue; /* the agent could not enter it for lack of memory */
        wst__load_index_remove(&g->index, &s->places[i].entry);
        free_if_empty(set, g);
    }
    s->count = 0;
}

void wst__standing_free(wst__standing_t *s, const wst_allocator_t *a) {
    wst__free(a, s->labels);
    wst__free(a, s->places);
    *s = (wst__standing_t){0};
}
