/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_SLOT_H
#define WST_LIB_SLOT_H
/*
 * One place of an agent where it keeps an uplink to its server, for ever.
 *
 *     WAITING -> ASKING -> DIALLING -> CONNECTING -> UP
 *        ^----------------------------------------- | any failure: backoff, and again
 *
 * There is no phase in which nothing is going to happen: each one has a deadline, its own or that
 * of what it waits for. UP is where the slot rests: it has as many uplinks as it wants that can
 * take a stream. It wants one; or, if the far side uses one up with each stream, as many spare ones
 * as the options say. What is used up or lost is replaced, by one attempt at a time.
 *
 * A slot is a part of its agent's node.
 */
#include "egress.h"
#include "endpoint.h"
#include "node.h"
#include "reach.h"
#include "upgrade.h"
#include "uplink.h"

#include <wstunnel/agent.h>

/* What the slots of one agent share; borrowed for their life. */
typedef struct wst__slot_options {
    wst__node_t *node;
    wst__egress_t *egress; /* takes the streams that the server asks for */
    const wst__uplink_kind_t *kind;
    const wst__endpoint_t *endpoint;
    const wst__upgrade_t *upgrade;
    wst__uplink_options_t uplink; /* the slot adds conn, epoch and callbacks */
    size_t spare;                 /* uplinks wanted that can take a stream, if one uses them up */
    uint64_t timeout_ms;          /* of each phase of an attempt */
    uint64_t backoff_min_ms, backoff_max_ms;

    /* Before each attempt: the credentials. Answer allow_with or deny; NULL: none are needed. */
    void (*on_credentials)(wst_request_t *request, void *user_data);
    /* The first uplink since a failure is up. */
    void (*on_up)(void *user_data);
    /* An attempt failed, or an uplink was lost that nothing is on its way for. */
    void (*on_down)(const wst_agent_failure_t *failure, void *user_data);
    void *user_data;
} wst__slot_options_t;

typedef struct wst__slot {
    wst__part_t part;
    const wst__slot_options_t *o;
    uint32_t index; /* among the agent's: `conn` on the wire */
    enum {
        WST__SLOT_WAITING,    /* for the next attempt */
        WST__SLOT_ASKING,     /* for credentials */
        WST__SLOT_DIALLING,   /* TCP, TLS */
        WST__SLOT_CONNECTING, /* upgrade and hello */
        WST__SLOT_UP
    } phase;
    bool is_up;        /* on_up has been told, and on_down not since */
    uint64_t epoch;    /* of the last attempt */
    unsigned failures; /* in a row */
    wst_request_t *question;
    wst__reach_t *reach;
    char *fields; /* the credentials of this attempt */
    wst__deadline_t retry;
    wst__list_t uplinks;
    size_t wanted;
    wst__defer_t defer; /* draining: ends uplinks that have no stream left */
} wst__slot_t;

/* Makes a slot, as a part of the node, and starts its first attempt. */
void wst__slot_init(wst__slot_t *slot, const wst__slot_options_t *options, uint32_t index);

#endif
