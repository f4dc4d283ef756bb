/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_LIST_H
#define WST_LIB_LIST_H
/*
 * Intrusive doubly linked ring. A list is a node that stands for both ends; an unlinked node points
 * to itself, so unlinking twice is harmless.
 */
#include <stdbool.h>
#include <stddef.h>

typedef struct wst__list {
    struct wst__list *next, *prev;
} wst__list_t;

/* The struct that embeds `node` as its member `member`. */
#define WST__CONTAINER(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline void wst__list_init(wst__list_t *l) {
    l->next = l->prev = l;
}

static inline bool wst__list_empty(const wst__list_t *l) {
    return l->next == l;
}

static inline void wst__list_remove(wst__list_t *node) {
    node->prev->next = node->next;
    node->next->prev = node->prev;
    wst__list_init(node);
}

/* Appends an unlinked node. */
static inline void wst__list_append(wst__list_t *l, wst__list_t *node) {
    node->prev = l->prev;
    node->next = l;
    l->prev->next = node;
    l->prev = node;
}

/* The first node, or NULL. */
static inline wst__list_t *wst__list_first(const wst__list_t *l) {
    return l->next != l ? l->next : NULL;
}

/* The node behind `node`, or NULL at the end of the list. */
static inline wst__list_t *wst__list_next(const wst__list_t *l, const wst__list_t *node) {
    return node->next != l ? node->next : NULL;
}

/* The struct that embeds `node`, `offset` bytes before it; NULL for NULL. */
static inline void *wst__list_item(wst__list_t *node, size_t offset) {
    return node != NULL ? (char *)node - offset : NULL;
}

/* A loop over the items of a list, structs of `type` that embed their node as `member`. The body
 * may append nodes and remove others; it must not remove `item` and go on. */
#define WST__LIST_EACH(type, item, list, member)                                                   \
    for (type *item = wst__list_item(wst__list_first(list), offsetof(type, member)); item != NULL; \
         item = wst__list_item(wst__list_next(list, &item->member), offsetof(type, member)))

/* The same, of which the body may remove or free `item`, but not the item behind it. */
#define WST__LIST_EACH_SAFE(type, item, list, member)                                              \
    for (type *item = wst__list_item(wst__list_first(list), offsetof(type, member)), *item##_next; \
         item != NULL && (item##_next = wst__list_item(wst__list_next(list, &item->member),        \
                                                       offsetof(type, member)),                    \
                         true);                                                                    \
         item = item##_next)

/* Moves all nodes of `from` to the empty list `to`. */
static inline void wst__list_take(wst__list_t *to, wst__list_t *from) {
    wst__list_init(to);
    if (wst__list_empty(from))
        return;
    to->next = from->next;
    to->prev = from->prev;
    to->next->prev = to;
    to->prev->next = to;
    wst__list_init(from);
}

#endif
