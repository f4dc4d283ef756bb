/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_REMOTE_H
#define WST_LIB_REMOTE_H
/*
 * The agents that a server knows. An agent (wst_remote_t) is a name and an instance with one
 * session or several; it is in the set as long as it has one.
 */
#include "ctx.h"
#include "uplink.h"

#include <wstunnel/codec.h>
#include <wstunnel/remote.h>

enum { WST__TENANT_MAX = 127 };

/* An uplink of an agent; embedded in what owns the uplink. */
typedef struct wst__member {
    wst__list_t node;     /* of its agent's, oldest first */
    wst_remote_t *remote; /* NULL: it is none's (any more) */
    wst__uplink_t *uplink;
    uint32_t conn;
    uint64_t epoch;
    uint64_t serial;  /* unique in its set */
    const char *peer; /* where it comes from; its owner's */
} wst__member_t;

typedef struct wst__remotes {
    wst_ctx_t *ctx;
    wst__list_t list; /* wst_remote_t */
    size_t count;
    size_t max_streams; /* of a session */
    uint64_t serial;    /* the last one given */
} wst__remotes_t;

void wst__remotes_init(wst__remotes_t *set, wst_ctx_t *ctx, size_t max_streams);

/* Another bound, also for those that are there. */
void wst__remotes_set_max_streams(wst__remotes_t *set, size_t max_streams);

/*
 * A session says hello: it joins its agent of that tenant, which is made if it is new (*is_new).
 * `peer` must be valid as long as it is a member. A
 * session of the same conn with a lower epoch leaves, *replaced; NULL if there is none. 0;
 * WST_EREPLACED: there is one with the same epoch or a higher one, which stays; WST_ENOMEM.
 */
int wst__remotes_join(wst__remotes_t *set, wst__member_t *member, wst__uplink_t *uplink,
                      const wst_hello_t *hello, const char *tenant, const char *peer,
                      wst__member_t **replaced, bool *is_new);

/*
 * A session that comes from another address than this one, of the same agent, or (`twins`) of any
 * one of its name and tenant; NULL: there is none.
 */
const wst__member_t *wst__remotes_elsewhere(const wst__remotes_t *set, const wst__member_t *member,
                                            bool twins);

/* Whether two peers have the same address, whatever their ports. */
bool wst__same_host(const char *peer, const char *other);

/*
 * A session is gone. Returns its agent if that was the last one: it is out of the set and is to be
 * freed; else NULL.
 */
wst_remote_t *wst__remotes_leave(wst__remotes_t *set, wst__member_t *member);

/* Frees an agent that has left, from the loop: an answer that chose it may be under way and must
 * not find another one at its address. */
void wst__remote_free(wst_remote_t *remote);

/* Whether it is (still) in the set; the pointer need not be valid. */
bool wst__remotes_has(const wst__remotes_t *set, const wst_remote_t *remote);

/* The one with that serial; NULL: it has left. */
wst_remote_t *wst__remotes_find(const wst__remotes_t *set, uint64_t serial);

/* The one behind `after`, the first one for NULL; NULL at the end. */
wst_remote_t *wst__remotes_next(const wst__remotes_t *set, const wst_remote_t *after);

/* Unique in its set; never 0. */
uint64_t wst__remote_serial(const wst_remote_t *remote);

/* What may be chosen. */
typedef struct wst__choice {
    uint64_t only;      /* serial of an agent; 0: any */
    const char *tenant; /* that it must belong to; NULL: any */
    const uint64_t *tried;
    size_t tried_count; /* serials of sessions that may not be chosen again */
    bool (*admits)(const wst_remote_t *remote, void *user_data); /* NULL: all */
    void *user_data;
} wst__choice_t;

/*
 * The session to open a stream through: of the agent with the fewest streams the session with the
 * fewest; sessions that leave a ping unanswered come last. 0; WST_ELIMIT: all that there are are
 * full; WST_EGOAWAY: they are leaving; WST_ENOAGENT.
 */
int wst__remotes_choose(const wst__remotes_t *set, const wst__choice_t *choice,
                        wst__member_t **out);

#endif
