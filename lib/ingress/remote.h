/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_REMOTE_H
#define WST_LIB_REMOTE_H
/*
 * The set of agents that streams can be opened through. An agent (wst_remote_t) has a tenant, a
 * name, an instance, and one or more uplinks, its members; it is in the set as long as it has a
 * member.
 *
 * The cost of a request does not grow with the number of agents. Agents are found by hash, and each
 * is in several groups: of its tenant, of its name, and of each of its labels. A group orders its
 * agents by load (load_index.h), so the first one is the best.
 */
#include "ctx.h"
#include "request.h"
#include "table.h"
#include "uplink.h"

#include <wstunnel/codec.h>
#include <wstunnel/remote.h>

/* An uplink of an agent; embedded in the uplink's owner. */
typedef struct wst__member {
    wst__list_t node;     /* of the agent's members, oldest first */
    wst_remote_t *remote; /* NULL: not in the set */
    wst__uplink_t *uplink;
    uint32_t conn;
    uint64_t epoch;
    uint64_t serial; /* unique in its set; a new one when the connection is lost */
    size_t load;     /* load and state: as of the last wst__remotes_changed() */
    unsigned state;
    uint64_t used; /* when it last got a stream, by the set's count of that */
} wst__member_t;

/* Bytes of streams. */
typedef struct wst__traffic {
    uint64_t to_agents, to_clients;
} wst__traffic_t;

typedef struct wst__remotes {
    wst_ctx_t *ctx;
    wst__list_t list; /* wst_remote_t, oldest first */
    size_t count;
    size_t ready;                /* agents that take streams */
    size_t max_streams;          /* bound for each member */
    uint64_t serial;             /* the last serial given */
    uint64_t uses;               /* streams that members have got */
    wst__traffic_t left_traffic; /* of members that have left */
    uint64_t seed;
    wst__table_t identities, serials, pointers; /* wst_remote_t */
    wst__table_t groups;
} wst__remotes_t;

/* `seed`: random bits. A set must not move in memory. */
void wst__remotes_init(wst__remotes_t *set, wst_ctx_t *ctx, size_t max_streams, uint64_t seed);

/* Frees what the set has allocated; it must be empty. */
void wst__remotes_free(wst__remotes_t *set);

/* Changes the bound of streams, for present members, too. */
void wst__remotes_set_max_streams(wst__remotes_t *set, size_t max_streams);

/*
 * An uplink is up: adds it to its agent of that tenant, which is made if it is new (*is_new). The
 * labels replace the agent's (labels.h: which are kept; NULL: none). An uplink of the same conn
 * with a lower epoch leaves: *replaced (NULL: none). 0; WST_EREPLACED: an uplink with the same or a
 * higher epoch is present and stays; WST_ENOMEM.
 */
int wst__remotes_join(wst__remotes_t *set, wst__member_t *member, wst__uplink_t *uplink,
                      const wst_hello_t *hello, const char *tenant, const char *const *labels,
                      wst__member_t **replaced, bool *is_new);

/* What the agent says it is, at most so long. */
enum { WST__SOFTWARE_MAX = 47 };
void wst__remote_set_software(wst_remote_t *remote, const char *software);

/* Bytes of all streams so far, of agents that have left, too. */
wst__traffic_t wst__remotes_traffic(const wst__remotes_t *set);

/* The uplink's on_change: updates load and state. Harmless if the member is not in the set. */
void wst__remotes_changed(wst__remotes_t *set, wst__member_t *member);

/* The labels of the member's agent are these from now on. 0; WST_ENOMEM: they are as before. */
int wst__remotes_relabel(wst__remotes_t *set, wst__member_t *member, const char *const *labels);

/* A member goes on with another connection, of that epoch. */
void wst__remotes_resumed(wst__remotes_t *set, wst__member_t *member, uint64_t epoch);

/*
 * An uplink is gone. If it was its agent's last, the agent leaves the set and is returned, to be
 * freed by wst__remote_free; else NULL.
 */
wst_remote_t *wst__remotes_leave(wst__remotes_t *set, wst__member_t *member);

/* Frees, from the loop, an agent that has left: a pending answer may have chosen it, and must not
 * find another agent at its address. */
void wst__remote_free(wst_remote_t *remote);

/*
 * Finds a member that connects from another address than this one: of the same agent or, with
 * `twins`, of agents with its name and tenant (at most WST__TWINS_MAX are checked). NULL: none.
 */
enum { WST__TWINS_MAX = 64 };
const wst__member_t *wst__remotes_elsewhere(const wst__remotes_t *set, const wst__member_t *member,
                                            bool twins);

/* Calls `found` for the missing members of other agents with its name, tenant and host (at most
 * WST__TWINS_MAX are checked): this one has been started in place of them. */
void wst__remotes_each_restarted(const wst__remotes_t *set, const wst__member_t *member,
                                 void (*found)(wst__member_t *old));

/* Whether two peers have the same address; ports are ignored. */
bool wst__same_host(const char *peer, const char *other);

/* Whether the agent is in the set; the pointer need not be valid. */
bool wst__remotes_has(const wst__remotes_t *set, const wst_remote_t *remote);

/* The agent with that serial; NULL: the agent has left. */
wst_remote_t *wst__remotes_find(const wst__remotes_t *set, uint64_t serial);

/* The best agent of that name, as in wst__remotes_choose(), even if it is not ready. NULL: none. */
wst_remote_t *wst__remotes_find_named(const wst__remotes_t *set, const char *tenant,
                                      const char *name);

/* The agent after `after`, or the first one for NULL. NULL at the end, or if `after` has left. */
wst_remote_t *wst__remotes_next(const wst__remotes_t *set, const wst_remote_t *after);

/* Unique in its set; never 0. */
uint64_t wst__remote_serial(const wst_remote_t *remote);

/* Whether the agent's member of that conn has lost its connection, or is not there. */
bool wst__remote_misses(const wst_remote_t *remote, uint32_t conn);

/* The conditions on an agent and its members; all must hold. */
typedef struct wst__choice {
    uint64_t only;             /* serial of an agent; 0: any */
    const char *tenant;        /* NULL: any, if `only` says which agent */
    const char *name;          /* NULL: any */
    const char *const *labels; /* the agent must have all of them; NULL: none */
    const uint64_t *tried;
    size_t tried_count; /* serials of members not to be chosen again; a few */
    bool (*admits)(const wst_remote_t *remote, void *user_data); /* NULL: admits all */
    void *user_data;
} wst__choice_t;

/* Whether an agent meets the conditions, apart from its members. */
bool wst__remote_fits(const wst_remote_t *remote, const wst__choice_t *choice);

/*
 * Chooses the member to open a stream through: of the agent with the fewest streams, the member
 * with the fewest. Members with an unanswered ping come last. Among agents with equal load, the one
 * that has had it for longest is chosen, so that idle agents take turns; among members with equal
 * load, the one that has not got a stream for longest.
 *
 * 0; WST__UPLINK_AWAY: no member is ready and some are missing, which are awaited; WST_ELIMIT: no
 * member is ready and some are full, and *awaited tells whether a used up one will be replaced
 * (uplink.h: `renews`); WST_EGOAWAY: none is ready or full and some are leaving;
 * WST_ENOAGENT.
 *
 * The time does not depend on the number of agents, except for those of the smallest group (tenant,
 * name or a label) that are passed over because they lack a label or `admits` rejects them.
 * `admits` is called in the order of load until it accepts an agent. If it rejects all ready
 * agents, it is called for the others, too, to determine the error.
 */
int wst__remotes_choose(const wst__remotes_t *set, const wst__choice_t *choice, wst__member_t **out,
                        bool *awaited);

#endif
