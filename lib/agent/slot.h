/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_SLOT_H
#define WST_LIB_SLOT_H
/*
 * A slot keeps its agent connected to the server: dials an uplink, and another when that is lost.
 *
 *     WAITING -> ASKING -> DIALLING -> CONNECTING -> UP
 *        ^----------------------------------------- | any failure: backoff, then a new attempt
 *
 * Every phase has a deadline, its own or that of the operation it waits for, so a slot never hangs.
 * In UP the slot has all the uplinks it wants that can take a stream: one, or `spare` of them if
 * each stream uses an uplink up. The slot replaces uplinks that are used up or lost, by one attempt
 * at a time.
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

/* Options that all slots of an agent share; they must outlive the slots. */
typedef struct wst__slot_options {
    wst__node_t *node;
    wst__egress_t *egress; /* takes the streams that the server asks for */
    const wst__uplink_kind_t *kind;
    const wst__endpoint_t *endpoint;
    const wst__upgrade_t *upgrade;
    wst__uplink_options_t uplink; /* the slot adds conn, epoch and callbacks */
    size_t spare;                 /* uplinks to keep ready, if each stream uses one up */
    uint64_t timeout_ms;          /* of each phase of an attempt */
    uint64_t backoff_min_ms, backoff_max_ms;

    /* Asks for the credentials of each attempt. Answer: allow_with or deny. NULL: does not ask. */
    void (*on_credentials)(wst_request_t *request, void *user_data);
    /* An uplink is up, the first since the start or a failure. */
    void (*on_up)(void *user_data);
    /* An attempt failed, or an uplink was lost while no attempt to replace it was under way. */
    void (*on_down)(const wst_agent_failure_t *failure, void *user_data);
    void *user_data;
} wst__slot_options_t;

typedef struct wst__slot {
    wst__part_t part;
    const wst__slot_options_t *o;
    uint32_t index; /* among the agent's slots; `conn` on the wire */
    enum {
        WST__SLOT_WAITING,    /* for the next attempt */
        WST__SLOT_ASKING,     /* for credentials */
        WST__SLOT_DIALLING,   /* TCP, TLS */
        WST__SLOT_CONNECTING, /* upgrade and hello */
        WST__SLOT_UP
    } phase;
    bool is_up;        /* on_up has run, and on_down not since; draining: an uplink is ready */
    uint64_t epoch;    /* of the last attempt */
    unsigned failures; /* in a row */
    wst_request_t *question;
    wst__reach_t *reach;
    char *fields; /* the credentials of the current attempt; or NULL */
    wst__deadline_t retry;
    wst__list_t uplinks;
    size_t wanted;      /* uplinks to keep ready */
    wst__defer_t defer; /* draining: ends uplinks that have no stream left */
} wst__slot_t;

/* Makes a slot, as a part of the node, and starts its first attempt. */
void wst__slot_init(wst__slot_t *slot, const wst__slot_options_t *options, uint32_t index);

#endif
