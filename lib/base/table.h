/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TABLE_H
#define WST_LIB_TABLE_H
/*
 * Intrusive hash table. An insertion never fails, and none takes long: the table grows by one chain
 * at a time (linear hashing), and without memory for more its chains get longer.
 */
#include <stddef.h>
#include <stdint.h>
#include <wstunnel/common.h>

/* Embedded in the table's items. */
typedef struct wst__table_node {
    struct wst__table_node *next;
    uint64_t hash;
} wst__table_node_t;

typedef struct wst__table {
    const wst_allocator_t *allocator;
    wst__table_node_t **chains;
    wst__table_node_t *first_chain; /* `chains` until the table grows */
    size_t chain_count, capacity, count;
    size_t half; /* a power of two: chains from this index on were split off earlier ones */
} wst__table_t;

/* A table must not move in memory. */
void wst__table_init(wst__table_t *table, const wst_allocator_t *allocator);

/* Frees what the table has allocated; it must be empty. */
void wst__table_free(wst__table_t *table);

/* `hash` should be evenly distributed, as those of mix.h are. */
void wst__table_insert(wst__table_t *table, wst__table_node_t *node, uint64_t hash);

/* Removes a node of this table. */
void wst__table_remove(wst__table_t *table, wst__table_node_t *node);

/* The nodes with a hash, one after another; NULL at the end. */
wst__table_node_t *wst__table_first(const wst__table_t *table, uint64_t hash);
wst__table_node_t *wst__table_next(const wst__table_node_t *node);

#endif
