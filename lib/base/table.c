/* SPDX-License-Identifier: MIT */
#include "table.h"

#include "mem.h"

#include <assert.h>

void wst__table_init(wst__table_t *t, const wst_allocator_t *allocator) {
    *t = (wst__table_t){.allocator = allocator, .chain_count = 1, .capacity = 1, .half = 1};
    t->chains = &t->first_chain;
}

void wst__table_free(wst__table_t *t) {
    assert(t->count == 0);
    if (t->chains != &t->first_chain)
        wst__free(t->allocator, t->chains);
    wst__table_init(t, t->allocator);
}

/* A chain that has not been split yet also holds the nodes of its other half. */
static wst__table_node_t **chain_of(const wst__table_t *t, uint64_t hash) {
    size_t i = (size_t)(hash & (2 * t->half - 1));
    return &t->chains[i < t->chain_count ? i : i - t->half];
}

static bool reserve_chain(wst__table_t *t) {
    if (t->chain_count < t->capacity)
        return true;
    bool grown = t->chains != &t->first_chain;
    wst__table_node_t **chains = wst__realloc_array(t->allocator, grown ? t->chains : NULL,
                                                    2 * t->capacity, sizeof(wst__table_node_t *));
    if (chains == NULL)
        return false;
    if (!grown)
        chains[0] = t->first_chain;
    t->chains = chains;
    t->capacity *= 2;
    return true;
}

/* Adds a chain and moves those nodes there that now belong to it, from the next one to split. */
static void split_chain(wst__table_t *t) {
    if (t->chain_count == 2 * t->half)
        t->half = t->chain_count;
    wst__table_node_t **old = &t->chains[t->chain_count - t->half],
                      **new = &t->chains[t->chain_count], *node = *old;
    t->chain_count++;
    while (node != NULL) {
        wst__table_node_t *next = node->next;
        if ((node->hash & t->half) != 0) {
            *new = node;
            new = &node->next;
        } else {
            *old = node;
            old = &node->next;
        }
        node = next;
    }
    *old = *new = NULL;
}

void wst__table_insert(wst__table_t *t, wst__table_node_t *node, uint64_t hash) {
    t->count++;
    if (t->count > t->chain_count && reserve_chain(t))
        split_chain(t);
    wst__table_node_t **chain = chain_of(t, hash);
    *node = (wst__table_node_t){.next = *chain, .hash = hash};
    *chain = node;
}

void wst__table_remove(wst__table_t *t, wst__table_node_t *node) {
    wst__table_node_t **at = chain_of(t, node->hash);
    while (*at != node)
        at = &(*at)->next;
    *at = node->next;
    t->count--;
}

static wst__table_node_t *with_hash(wst__table_node_t *node, uint64_t hash) {
    while (node != NULL && node->hash != hash)
        node = node->next;
    return node;
}

wst__table_node_t *wst__table_first(const wst__table_t *t, uint64_t hash) {
    return with_hash(*chain_of(t, hash), hash);
}

wst__table_node_t *wst__table_next(const wst__table_node_t *node) {
    return with_hash(node->next, node->hash);
}
