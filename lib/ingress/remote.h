/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_REMOTE_H
#define WST_LIB_REMOTE_H
/*
 * The agents that streams can be opened through. An agent (wst_remote_t) is a name and an instance
 * with one uplink or several, its members; it is in the set as long as it has one.
 *
 * What a request costs here does not grow with the number of agents. They are found by hash, and
 * each stands in several groups: all of its tenant, those of its name, those of each of its labels.
 * A group keeps its agents in order of their load (load_index.h), so that the best one of a group
 * is its first.
 */
#include "ctx.h"
#include "request.h"
#include "table.h"
#include "uplink.h"

#include <wstunnel/codec.h>
#include <wstunnel/remote.h>

/* An uplink of an agent; embedded in what owns the uplink. */
typedef struct wst__member {
    wst__list_t node;     /* of its agent's, oldest first */
    wst_remote_t *remote; /* NULL: not in the set */
    wst__uplink_t *uplink;
    uint32_t conn;
    uint64_t epoch;
    uint64_t serial; /* unique in its set */
    size_t load;     /* this and the state are as of the last wst__remotes_changed() */
    unsigned state;
} wst__member_t;

typedef struct wst__remotes {
    wst_ctx_t *ctx;
    wst__list_t list; /* wst_remote_t, in the order they came */
    size_t count;
    size_t ready;       /* of them, those that take streams */
    size_t max_streams; /* of a member */
    uint64_t serial;    /* the last one given */
    uint64_t seed;
    wst__table_t identities, serials, pointers; /* wst_remote_t */
    wst__table_t groups;
} wst__remotes_t;

/* `seed`: random bits. A set must not move in memory. */
void wst__remotes_init(wst__remotes_t *set, wst_ctx_t *ctx, size_t max_streams, uint64_t seed);

/* Frees what the set has allocated; it must be empty. */
void wst__remotes_free(wst__remotes_t *set);

/* Changes the bound, also of present members. */
void wst__remotes_set_max_streams(wst__remotes_t *set, size_t max_streams);

/*
 * An uplink is up: it joins its agent of that tenant, which is made if it is new (*is_new). The
 * agent gets these labels in place of its own (labels.h says which are kept; NULL: none). An uplink
 * of the same conn with a lower epoch leaves, *replaced; NULL if there is none. 0; WST_EREPLACED:
 * there is one with the same epoch or a higher one, which stays; WST_ENOMEM.
 */
int wst__remotes_join(wst__remotes_t *set, wst__member_t *member, wst__uplink_t *uplink,
                      const wst_hello_t *hello, const char *tenant, const char *const *labels,
                      wst__member_t **replaced, bool *is_new);

/* The uplink's on_change: what it answers now counts. Harmless for one that is none's. */
void wst__remotes_changed(wst__remotes_t *set, wst__member_t *member);

/*
 * An uplink is gone. Returns its agent if that was the last one: it is out of the set and is to be
 * freed; else NULL.
 */
wst_remote_t *wst__remotes_leave(wst__remotes_t *set, wst__member_t *member);

/* Frees an agent that has left, from the loop: an answer that chose it may be under way and must
 * not find another one at its address. */
void wst__remote_free(wst_remote_t *remote);

/*
 * A member that comes from another address than this one, of the same agent or (`twins`) of those
 * of its name and tenant, of which no more than WST__TWINS_MAX are looked at; NULL: there is none.
 */
enum { WST__TWINS_MAX = 64 };
const wst__member_t *wst__remotes_elsewhere(const wst__remotes_t *set, const wst__member_t *member,
                                            bool twins);

/* Whether two peers have the same address, whatever their ports. */
bool wst__same_host(const char *peer, const char *other);

/* Whether the agent is in the set; the pointer need not be valid. */
bool wst__remotes_has(const wst__remotes_t *set, const wst_remote_t *remote);

/* The agent with that serial; NULL: it has left. */
wst_remote_t *wst__remotes_find(const wst__remotes_t *set, uint64_t serial);

/* The best one of that name, as in wst__remotes_choose(), though it may not be ready; NULL: none.
 */
wst_remote_t *wst__remotes_find_named(const wst__remotes_t *set, const char *tenant,
                                      const char *name);

/* The agent behind `after`, the first one for NULL; NULL at the end. */
wst_remote_t *wst__remotes_next(const wst__remotes_t *set, const wst_remote_t *after);

/* Unique in its set; never 0. */
uint64_t wst__remote_serial(const wst_remote_t *remote);

/* What may be chosen: what all of this is true of. */
typedef struct wst__choice {
    uint64_t only;             /* serial of an agent; 0: any */
    const char *tenant;        /* NULL: any, if `only` says which agent */
    const char *name;          /* NULL: any */
    const char *const *labels; /* all of them; NULL: none is needed */
    const uint64_t *tried;
    size_t tried_count; /* serials of members that may not be chosen again; a few */
    bool (*admits)(const wst_remote_t *remote, void *user_data); /* NULL: all */
    void *user_data;
} wst__choice_t;

/* Whether an agent may be chosen, as far as its members do not matter. */
bool wst__remote_fits(const wst_remote_t *remote, const wst__choice_t *choice);

/*
 * The member to open a stream through: of the agent with the fewest streams the member with the
 * fewest; those that leave a ping unanswered come last. Of agents with as many streams, the one
 * that has had so many for longest is taken, so that idle ones take turns; of such members the
 * oldest.
 *
 * 0; WST_ELIMIT: all that there are are full, *awaited tells whether one of them is used up and
 * will be replaced by a new one (uplink.h: `renews`); WST_EGOAWAY: they are leaving; WST_ENOAGENT.
 *
 * Takes the same time however many agents there are, but that it passes over those of the smallest
 * group (tenant, name or one of the labels) that lack a label or that `admits` says no to. That is
 * asked in the order of load and the first yes counts; if it says no to all that are ready, it is
 * asked about all others, too, to find out why there is none.
 */
int wst__remotes_choose(const wst__remotes_t *set, const wst__choice_t *choice, wst__member_t **out,
                        bool *awaited);

#endif
