/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_INGRESS_H
#define WST_LIB_INGRESS_H
/*
 * The part of a node in which flows begin. It holds the flows (flow.h), their bounds and the agents
 * that they can use (remote.h). It knows neither how clients are accepted nor how agents join.
 */
#include "account.h"
#include "dial_queue.h"
#include "histogram.h"
#include "late_place.h"
#include "list.h"
#include "node.h"
#include "remote.h"
#include "seat.h"
#include "tally.h"

#include <wstunnel/flow.h>

/* Questions to the embedder: those of a flow, in their order, and one about a client that has not
 * named a destination yet (WST__ASK_LOGIN). */
typedef enum wst__question {
    WST__ASK_CLIENT,
    WST__ASK_CHOOSE,
    WST__ASK_REACHED,
    WST__ASK_LOGIN
} wst__question_t;

/* Questions and notices of an ingress to its owner. */
typedef struct wst__ingress_hooks {
    /* Whether the embedder wants to be asked. */
    bool (*wants)(void *owner, wst__question_t question);
    /* Asks the embedder. */
    void (*ask)(void *owner, wst__question_t question, wst_request_t *request);

    /* Notices: bytes of a flow begin to flow; they have ended; a flow was refused. */
    void (*on_open)(void *owner, const wst_stream_info_t *info);
    void (*on_close)(void *owner, const wst_stream_info_t *info);
    void (*on_refused)(void *owner, const wst_refusal_info_t *info);

    /* The n-th address that this node listens on; NULL behind the last. */
    const char *(*address)(void *owner, size_t n);

    /* A flow lacks memory. True: the owner ends something that holds memory, before the next turn
     * of the loop; then the flow tries again. NULL: never. */
    bool (*make_room)(void *owner);
} wst__ingress_hooks_t;

typedef struct wst__ingress_limits {
    size_t max_pending; /* flows that have not reached their destination yet */
    size_t max_flows;
    size_t stream_memory;      /* that a stream of an agent takes at least */
    wst__quota_t user, tenant; /* of each */
    uint64_t decision_timeout_ms, dial_timeout_ms, half_closed_timeout_ms;
} wst__ingress_limits_t;

struct wst_ingress {
    wst_ctx_t *ctx;
    wst__node_t *node;
    wst__part_t part;
    const wst__ingress_hooks_t *hooks;
    void *owner;
    wst__ingress_limits_t limits;
    wst__remotes_t remotes;
    wst__list_t flows; /* oldest first */
    size_t flow_count;
    wst__list_t walks;   /* flow_walk.c */
    wst__list_t waiting; /* flows that wait for an uplink, or for a turn at an agent */
    wst__dial_queues_t turns;
    wst__late_places_t late;
    wst__accounts_t accounts;   /* in which all flows count */
    uint64_t wakes;             /* calls of wst__ingress_wake */
    uint64_t flow_ids;          /* the last id given */
    uint64_t turned_away;       /* calls of wst__ingress_turn_away */
    wst_histogram_t dial_times; /* of flows that have begun to relay */
};

/* Becomes a part of the node. `hooks` is borrowed; `seed`: random bits. */
void wst__ingress_init(wst_ingress_t *ingress, wst__node_t *node, const wst__ingress_hooks_t *hooks,
                       void *owner, uint64_t seed);

void wst__ingress_set_limits(wst_ingress_t *ingress, const wst__ingress_limits_t *limits);

/* Flows that have not reached their destination yet, and those that relay. */
size_t wst__ingress_pending(const wst_ingress_t *ingress);
size_t wst__ingress_relaying(const wst_ingress_t *ingress);

/* After all flows are gone. */
void wst__ingress_free(wst_ingress_t *ingress);

/* Ends the flows that `review` gives a reason for, from the loop: see wst_server_review_flows. */
void wst__ingress_review(wst_ingress_t *ingress,
                         const char *(*review)(const wst_stream_info_t *info, void *user_data),
                         void *user_data);

/* Reports that a connection was closed without a word, before a request of it was read.
 * `status`: as wst__seat_take. Call when the connection is closed: the embedder may close all. */
void wst__ingress_turn_away(wst_ingress_t *ingress, const char *peer, int status);

/* Reports, as wst_server_callbacks_t.on_refused does, that a connection was closed without a word,
 * and why. `error`: as in wst_refusal_info. Otherwise as wst__ingress_turn_away. */
void wst__ingress_tell_closed(wst_ingress_t *ingress, const char *peer, int code, const char *error,
                              const char *reason, bool retry);

/* Flows that wait for an uplink, or for a turn at an agent, try again: an uplink has come up, or
 * none is to be expected. */
void wst__ingress_wake(wst_ingress_t *ingress);

/* Answers wst_server_best_agent and, unless `name` is NULL, wst_server_best_named (server.h). */
wst_remote_t *wst__ingress_best(wst_ingress_t *ingress, const wst_request_t *request,
                                const char *name,
                                bool (*admits)(const wst_remote_t *agent, void *user_data),
                                void *user_data);

#endif
