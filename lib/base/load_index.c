/* SPDX-License-Identifier: MIT */
#include "load_index.h"

#include "mem.h"

#include <assert.h>
#include <wstunnel/error.h>

struct wst__load_level {
    wst__list_t node; /* of its rank, or of the spare ones */
    wst__list_t entries;
    unsigned rank;
    size_t load;
};

void wst__load_index_init(wst__load_index_t *index, const wst_allocator_t *allocator) {
    *index = (wst__load_index_t){.allocator = allocator};
    for (unsigned i = 0; i < WST__LOAD_RANKS; i++)
        wst__list_init(&index->ranks[i]);
    wst__list_init(&index->spare);
}

static wst__load_level_t *level_of(const wst__list_t *node) {
    return WST__CONTAINER(node, wst__load_level_t, node);
}

static wst__load_entry_t *entry_of(wst__list_t *node) {
    return WST__CONTAINER(node, wst__load_entry_t, node);
}

/* The first level of a rank with that load or more, or the rank itself: a level of that load goes
 * before it. Searches from both ends, since most entries that enter a rank are idle or full. */
static wst__list_t *search(wst__list_t *rank, size_t load) {
    wst__list_t *low = rank->next, *high = rank; /* the result is one of low..high */
    while (low != high && level_of(low)->load < load) {
        low = low->next;
        if (low == high || level_of(high->prev)->load < load)
            return high;
        high = high->prev;
    }
    return low;
}

/* The same, from a nearby level or the rank itself, since loads change by small steps. */
static wst__list_t *search_near(wst__list_t *rank, wst__list_t *at, size_t load) {
    while (at != rank && level_of(at)->load < load)
        at = at->next;
    while (at->prev != rank && level_of(at->prev)->load >= load)
        at = at->prev;
    return at;
}

/* Appends the entry to the level of that load: `at`, or a new level before it. */
static void enter_level(wst__load_index_t *index, wst__load_entry_t *entry, wst__list_t *at,
                        unsigned rank, size_t load) {
    wst__load_level_t *level = level_of(at);
    if (at == &index->ranks[rank] || level->load != load) {
        level = level_of(wst__list_first(&index->spare));
        wst__list_remove(&level->node);
        level->rank = rank;
        level->load = load;
        wst__list_append(at, &level->node); /* before `at` */
    }
    wst__list_append(&level->entries, &entry->node);
    entry->level = level;
}

static void leave_level(wst__load_index_t *index, wst__load_entry_t *entry) {
    wst__load_level_t *level = entry->level;
    wst__list_remove(&entry->node);
    entry->level = NULL;
    if (!wst__list_empty(&level->entries))
        return;
    wst__list_remove(&level->node);
    wst__list_append(&index->spare, &level->node);
}

int wst__load_index_insert(wst__load_index_t *index, wst__load_entry_t *entry, unsigned rank,
                           size_t load) {
    assert(rank < WST__LOAD_RANKS);
    wst__load_level_t *level = wst__alloc(index->allocator, sizeof(*level));
    if (level == NULL)
        return WST_ENOMEM;
    wst__list_init(&level->node);
    wst__list_init(&level->entries);
    wst__list_append(&index->spare, &level->node);
    index->count++;
    wst__list_init(&entry->node);
    enter_level(index, entry, search(&index->ranks[rank], load), rank, load);
    return 0;
}

void wst__load_index_remove(wst__load_index_t *index, wst__load_entry_t *entry) {
    leave_level(index, entry);
    index->count--;
    /* There is still a level for the removed entry, so one is spare. */
    wst__load_level_t *level = level_of(wst__list_first(&index->spare));
    wst__list_remove(&level->node);
    wst__free(index->allocator, level);
}

void wst__load_index_move(wst__load_index_t *index, wst__load_entry_t *entry, unsigned rank,
                          size_t load) {
    const wst__load_level_t *own = entry->level;
    if (own->rank == rank && own->load == load)
        return;
    assert(rank < WST__LOAD_RANKS);
    wst__list_t *ring = &index->ranks[rank], *behind = own->rank == rank ? own->node.next : NULL;
    leave_level(index, entry);
    wst__list_t *at = behind != NULL ? search_near(ring, behind, load) : search(ring, load);
    enter_level(index, entry, at, rank, load);
}

/* The first entry of `level`; if that is NULL, of the first level in `rank` or a later one. */
static wst__load_entry_t *first_from(const wst__load_index_t *index, unsigned rank,
                                     const wst__list_t *level) {
    while (level == NULL) {
        if (rank == WST__LOAD_RANKS)
            return NULL;
        level = wst__list_first(&index->ranks[rank++]);
    }
    return entry_of(wst__list_first(&level_of(level)->entries));
}

wst__load_entry_t *wst__load_index_next(const wst__load_index_t *index,
                                        const wst__load_entry_t *after) {
    if (after == NULL)
        return first_from(index, 0, NULL);
    const wst__load_level_t *level = after->level;
    if (level == NULL)
        return NULL;
    wst__list_t *node = wst__list_next(&level->entries, &after->node);
    if (node != NULL)
        return entry_of(node);
    return first_from(index, level->rank + 1,
                      wst__list_next(&index->ranks[level->rank], &level->node));
}
