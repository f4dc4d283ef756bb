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
 * An uplink that can be resumed is suspended when its connection is lost: then, or if the
 * connection has become suspect, or if the network has changed, the attempt's connection continues
 * that uplink instead of a new one.
 *
 * If the server says goaway, the slot makes another connection, at once, and lets the streams of
 * the present one finish. If that is lost or falls silent before, attempts are made to continue it,
 * too, as long as the way does not lead to another server. If no other connection is there, the
 * slot is down meanwhile, and up when the connection is continued.
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

/* They must outlive the slot. */
typedef struct wst__slot_options {
    wst__node_t *node;
    wst__egress_t *egress; /* takes the streams that the server asks for */
    const wst__uplink_kind_t *kind;
    const wst__endpoint_t *endpoint;
    const wst__upgrade_t *upgrade;
    const char *address;          /* of the endpoint's host, to dial; NULL: any */
    uint32_t *next_conn;          /* the agent's next unused `conn` */
    bool several;                 /* there are other slots: log lines tell this one's conn */
    wst__uplink_options_t uplink; /* the slot adds conn, epoch and callbacks */
    size_t spare;                 /* uplinks to keep ready, if each stream uses one up */
    uint64_t timeout_ms;          /* of each phase of an attempt */
    uint64_t backoff_min_ms, backoff_max_ms;
    uint64_t probe_after_ms; /* a suspect connection gets another one beside it */
    uint64_t max_age_ms;     /* so does one of about this age; 0: none */

    /* Asks for the credentials of each attempt. Answer: allow_with or deny. NULL: does not ask. */
    void (*on_credentials)(wst_request_t *request, void *user_data);
    /* A connection is up (`failure`: NULL), is over or lost, or could not be made. Runs before the
     * callback below that follows from it, if one does. Each `conn` that is up is told to be gone
     * once before it is up again, unless the slot is closed. Of a kind that `renews` only what
     * on_up and on_down tell. */
    void (*on_connection)(uint32_t conn, const wst_agent_failure_t *failure, void *user_data);
    /* An uplink is up, the first since the start or a failure. */
    void (*on_up)(void *user_data);
    /* The connection of an uplink is lost, and streams wait; a connection continues the uplink. */
    void (*on_suspended)(const wst_agent_failure_t *failure, size_t streams, void *user_data);
    void (*on_resumed)(uint64_t outage_ms, void *user_data);
    /* An attempt failed and no uplink is left, or an uplink was lost while no attempt to replace it
     * was under way, or a suspended one is over. */
    void (*on_down)(const wst_agent_failure_t *failure, void *user_data);
    void (*on_gone)(void *user_data); /* an uplink of a retired slot is gone; or NULL */
    void *user_data;
} wst__slot_options_t;

enum { WST__SLOT_LABEL_MAX = WST__AUTHORITY_MAX + 96 };

typedef struct wst__slot {
    wst__part_t part;
    const wst__slot_options_t *o;
    uint32_t conn;
    char label[WST__SLOT_LABEL_MAX]; /* of its connection, for people */
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
    size_t wanted;         /* uplinks to keep ready */
    wst__deadline_t probe; /* when a suspect connection gets another one beside it */
    bool retired;          /* drains, though its agent may not */
    bool probing;          /* the attempt is that */
    wst__deadline_t renew; /* when the connection is old enough to be replaced */
    bool claims;           /* the attempt wants to continue the uplink of this session: */
    uint8_t sid[WST__SID_LEN];
    wst__defer_t defer; /* looks at the uplinks: draining, suspect */
} wst__slot_t;

/* Makes a slot, as a part of the node, and starts its first attempt. */
void wst__slot_init(wst__slot_t *slot, const wst__slot_options_t *options);

/* Lets the slot end as in a drain, on its own. It can be removed when it is gone. */
void wst__slot_retire(wst__slot_t *slot);
bool wst__slot_is_gone(const wst__slot_t *slot);
void wst__slot_remove(wst__slot_t *slot);

/* Describes the slot's n-th connection, from 0; the attempt to make one counts as one, if there is
 * none that stays. False: it has not so many; `*n` is less by their number then. */
bool wst__slot_describe(const wst__slot_t *slot, size_t *n, wst_agent_connection_status_t *out);

/* Begins an attempt now, unless one is under way. Beside a connection only if no stream is lost
 * when another one takes its place. */
void wst__slot_reconnect(wst__slot_t *slot);

#endif
