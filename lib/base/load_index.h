/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_LOAD_INDEX_H
#define WST_LIB_LOAD_INDEX_H
/*
 * Entries in order of a rank (a small number, less is better) and, within it, of their load. It
 * takes the same time however many entries there are to insert one at either end of a rank, to
 * remove one, to find the first one, and to move one to the next load. Of equals the one that has
 * had its rank and load for longest comes first, so that each gets its turn.
 *
 *     rank 0:  level of load 0 --- level of load 3 --- ...     levels are sorted
 *                 |                   |
 *              entry, entry        entry                       entries stand in line
 *     rank 1:  ...
 *
 * A level is allocated with each entry, so that there are always enough: to move one needs no
 * memory.
 */
#include "list.h"

#include <wstunnel/common.h>

enum { WST__LOAD_RANKS = 6 };

typedef struct wst__load_level wst__load_level_t;

/* Embedded in what is ordered; zeroed, it is in no index. */
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

/* Puts in an entry that is in no index. 0 or WST_ENOMEM. */
int wst__load_index_insert(wst__load_index_t *index, wst__load_entry_t *entry, unsigned rank,
                           size_t load);

/* Takes out one that is in this index. */
void wst__load_index_remove(wst__load_index_t *index, wst__load_entry_t *entry);

/* Gives an entry of this index another place; it stays where it is if nothing is different. */
void wst__load_index_move(wst__load_index_t *index, wst__load_entry_t *entry, unsigned rank,
                          size_t load);

/* The entry behind `after`, the first one for NULL; NULL: no more, or `after` has been taken out.
 */
wst__load_entry_t *wst__load_index_next(const wst__load_index_t *index,
                                        const wst__load_entry_t *after);

#endif
