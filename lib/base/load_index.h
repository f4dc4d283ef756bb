/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_LOAD_INDEX_H
#define WST_LIB_LOAD_INDEX_H
/*
 * Entries ordered by rank (a small number, lower is better) and, within a rank, by load. Inserting
 * at either end of a rank, removing an entry, finding the first one, and moving one to the next
 * load take constant time. Of entries with equal rank and load, the one that has had them for
 * longest comes first, so that each gets its turn.
 *
 *     rank 0:  level of load 0 --- level of load 3 --- ...     levels are sorted
 *                 |                   |
 *              entry, entry        entry                       entries stand in line
 *     rank 1:  ...
 *
 * A level is allocated with each entry, so there are always enough: moving an entry needs no
 * memory.
 */
#include "list.h"

#include <wstunnel/common.h>

enum { WST__LOAD_RANKS = 7 };

typedef struct wst__load_level wst__load_level_t;

/* Embedded in the object that is ordered; zeroed, it is in no index. */
typedef struct wst__load_entry {
    wst__list_t node;
    wst__load_level_t *level;
} wst__load_entry_t;

typedef struct wst__load_index {
    const wst_allocator_t *allocator;
    wst__list_t ranks[WST__LOAD_RANKS]; /* levels of each */
    wst__list_t spare;                  /* levels without entries */
    size_t count;
} wst__load_index_t;

void wst__load_index_init(wst__load_index_t *index, const wst_allocator_t *allocator);

/* Inserts an entry that is in no index. 0 or WST_ENOMEM. */
int wst__load_index_insert(wst__load_index_t *index, wst__load_entry_t *entry, unsigned rank,
                           size_t load);

/* Removes an entry of this index. */
void wst__load_index_remove(wst__load_index_t *index, wst__load_entry_t *entry);

/* Moves an entry of this index; with its rank and load unchanged it keeps its place. */
void wst__load_index_move(wst__load_index_t *index, wst__load_entry_t *entry, unsigned rank,
                          size_t load);

/* The entry behind `after`, or the first one for NULL. NULL at the end, or if `after` was removed.
 */
wst__load_entry_t *wst__load_index_next(const wst__load_index_t *index,
                                        const wst__load_entry_t *after);

#endif
