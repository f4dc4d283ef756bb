/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_REMOTE_INTERNAL_H
#define WST_LIB_REMOTE_INTERNAL_H
/* Shared by the files of the set: remote.c (agents and members), remote_group.c (groups),
 * remote_choose.c (the choice). */
#include "load_index.h"
#include "remote.h"

/* States of a member, best first; an agent has that of its best member. Ranks of the load index. */
enum {
    WST__READY,
    WST__SUSPECT, /* a ping is unanswered: used if no member is ready */
    WST__USED_UP, /* full, and about to be replaced */
    WST__MISSING, /* its connection is lost, and may come back */
    WST__FULL,
    WST__LEAVING,
    WST__DOWN,
    WST__STATES
};

/* -- remote_group.c -------------------------------------------------------------------------- */

typedef enum wst__group_kind { WST__BY_TENANT, WST__BY_NAME, WST__BY_LABEL } wst__group_kind_t;

/* Agents of a tenant with the same name or a common label, or all of them. The first agent makes
 * the group, the last one frees it. */
typedef struct wst__group {
    wst__table_node_t node;
    wst__load_index_t index; /* wst__place_t */
    wst__group_kind_t kind;
    const char *text; /* name, label or ""; stored behind `tenant` */
    char tenant[];
} wst__group_t;

/* An agent's place in a group. */
typedef struct wst__place {
    wst__load_entry_t entry;
    wst__group_t *group; /* NULL: not in a group (yet) */
    wst_remote_t *remote;
} wst__place_t;

/* An agent's labels and its places in all its groups. */
typedef struct wst__standing {
    const char **labels; /* NULL: none */
    size_t count;
    wst__place_t *places;
} wst__standing_t;

/* Puts the agent into the groups of its tenant, its name and these labels. 0 or WST_ENOMEM. */
int wst__standing_take(wst__standing_t *out, wst__remotes_t *set, wst_remote_t *remote,
                       const char *const *labels);

/* Moves the agent to the places of its state and load. */
void wst__standing_update(const wst__standing_t *standing);

/* Takes the agent out of its groups. Its labels and the memory of its places stay valid, since a
 * caller may be iterating over them. */
void wst__standing_leave(wst__standing_t *standing, wst__remotes_t *set);

/* Frees the standing of an agent that has left. */
void wst__standing_free(wst__standing_t *standing, const wst_allocator_t *allocator);

/* NULL: no agent is in that group. `text` is "" for WST__BY_TENANT. */
const wst__group_t *wst__group_find(const wst__remotes_t *set, wst__group_kind_t kind,
                                    const char *tenant, const char *text);

/* Iterates over the agents of a group, best first, as wst__load_index_next(). */
const wst__place_t *wst__group_next(const wst__group_t *group, const wst__place_t *after);

/* -- remote.c -------------------------------------------------------------------------------- */

struct wst_remote {
    wst__list_t node; /* of the set's list; unlinked: the agent has left */
    wst__table_node_t by_identity, by_serial, by_pointer;
    wst_ctx_t *ctx;
    wst__list_t members;
    size_t members_in[WST__STATES];
    unsigned state;
    size_t load; /* sum of the members' loads */
    wst__standing_t standing;
    uint64_t serial;
    char name[WST_NAME_MAX + 1];
    char tenant[WST__TENANT_MAX + 1];
    uint8_t id[16];
    char instance[33]; /* `id` in hex */
    char peer[96];     /* of the newest member */
    char software[WST__SOFTWARE_MAX + 1];
    uint64_t since_ms;           /* when it joined the set */
    wst__traffic_t left_traffic; /* of members that have left */
    void *data;
    wst__defer_t defer;
};

#endif
