/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_INGRESS_H
#define WST_LIB_INGRESS_H
/*
 * The part of a node in which flows begin. It holds the flows (flow.h), their bounds and the agents
 * that they can use (remote.h). It knows neither how clients are accepted nor how agents join.
 */
#include "list.h"
#include "node.h"
#include "remote.h"
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
} wst__ingress_hooks_t;

typedef struct wst__ingress_limits {
    size_t max_pending; /* flows that have not reached their destination yet */
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
    wst__list_t flows;
    wst__list_t waiting;            /* flows that wait for an uplink */
    wst__tally_t pending, relaying; /* flows before relaying; flows that relay */
    uint64_t wakes;                 /* calls of wst__ingress_wake */
    uint64_t flow_ids;              /* the last id given */
};

/* Becomes a part of the node. `hooks` is borrowed; `seed`: random bits. */
void wst__ingress_init(wst_ingress_t *ingress, wst__node_t *node, const wst__ingress_hooks_t *hooks,
                       void *owner, uint64_t seed);

/* After all flows are gone. */
void wst__ingress_free(wst_ingress_t *ingress);

/* Flows that wait for an uplink try again: one has come up, or none is to be expected. */
void wst__ingress_wake(wst_ingress_t *ingress);

/* Answers wst_server_best_agent and, unless `name` is NULL, wst_server_best_named (server.h). */
wst_remote_t *wst__ingress_best(wst_ingress_t *ingress, const wst_request_t *request,
                                const char *name,
                                bool (*admits)(const wst_remote_t *agent, void *user_data),
                                void *user_data);

#endif
