/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_EGRESS_H
#define WST_LIB_EGRESS_H
/*
 * The egress serves the streams that the far side of an uplink asks for. Rules, and the embedder if
 * it wants, decide whether a destination may be opened. Then the egress dials it and pumps between
 * the stream and the connection. An egress is a part of a handle's node (node.h).
 */
#include "ip.h"
#include "node.h"
#include "uplink.h"

#include <wstunnel/request.h>
#include <wstunnel/rules.h>

/* Options of an egress. Their texts must outlive it. */
typedef struct wst__egress_options {
    const char *role;    /* of the handle, for refusals: "agent" */
    const char *name;    /* the agent's name in rules */
    const char *opener;  /* what adds a rule, for refusals: "option --allow" */
    size_t max_streams;  /* open or opening at a time */
    size_t max_pending;  /* opening at a time */
    uint64_t timeout_ms; /* of on_destination */
    uint64_t dial_timeout_ms, half_closed_timeout_ms;

    /* Asks whether a destination may be opened. Answer: allow or deny. NULL: all are allowed. */
    void (*on_destination)(wst_request_t *request, void *user_data);
    /* Asks to open an allowed destination. Answer: connected or deny. NULL: wst_dial opens it. */
    void (*on_dial)(wst_request_t *request, void *user_data);

    /* Notices; each may be NULL. They stop when the node is closed. on_stream_open: a destination
     * was opened (status 0) or not (`reason` says why, for people). on_stream_close: an open stream
     * has ended. */
    void (*on_stream_open)(const char *destination, int status, const char *reason,
                           void *user_data);
    void (*on_stream_close)(const char *destination, uint64_t bytes_to_destination,
                            uint64_t bytes_from_destination, int status, void *user_data);
    void *user_data;
} wst__egress_options_t;

enum { WST__EGRESS_OWN_MAX = 8 };

typedef struct wst__egress {
    wst__part_t part;
    wst__node_t *node;
    wst__egress_options_t o;
    char own[WST__EGRESS_OWN_MAX][WST__IP_PEER]; /* addresses that no stream leads to */
    size_t own_count;
    /* Borrowed; may be replaced at any time. NULL: all but guarded addresses are allowed. */
    const wst_rules_t *rules;
    wst__list_t opening, others;
    wst__tally_t streams; /* open or opening */
    wst__tally_t pending; /* those still opening */
    wst__list_t walks;
    uint64_t last_id;
    /* So far; bytes of streams that have ended. */
    uint64_t opened, refused, bytes_to_destinations, bytes_from_destinations;
} wst__egress_t;

/* Makes an egress, as a part of the node. Options are copied. */
void wst__egress_init(wst__egress_t *egress, wst__node_t *node,
                      const wst__egress_options_t *options);

/* Takes an incoming stream and accepts or refuses it, now or later. Until the stream is gone, it
 * holds the node and keeps it busy. `dest` is copied. */
void wst__egress_take(wst__egress_t *egress, wst__incoming_t *incoming, wst_str_t dest);

/* From now on no stream is opened to an address, "IP:PORT", at which this process listens. 0;
 * WST_EINVAL: it is not one; WST_ELIMIT: there are WST__EGRESS_OWN_MAX. */
int wst__egress_guard(wst__egress_t *egress, const char *address);

/* Bytes of all streams so far, from the far side and to it. */
void wst__egress_bytes(const wst__egress_t *egress, uint64_t *to_destinations,
                       uint64_t *from_destinations);

/* A stream, as a walk sees it. */
typedef struct wst__egress_seen {
    uint64_t id, age_ms, bytes_to_destination, bytes_from_destination;
    const char *destination, *state; /* "asking", "dialling" or "open" */
} wst__egress_seen_t;

/* A walk over the streams, which may come and go between its steps: each one that is open all the
 * time is visited once, of others some. Embedded; end it before the egress is gone. */
typedef struct wst__egress_walk {
    wst__list_t node; /* of the egress' walks */
    wst__egress_t *egress;
    wst__list_t *list, *next; /* NULL: at the end of `list` */
    size_t left;              /* of the list, there at its beginning */
} wst__egress_walk_t;

void wst__egress_walk_begin(wst__egress_walk_t *walk, wst__egress_t *egress);
void wst__egress_walk_end(wst__egress_walk_t *walk);

/* Visits some streams, within this call; the callback must not change any. False: that was all. */
bool wst__egress_walk_next(wst__egress_walk_t *walk, size_t max,
                           void (*visit)(const wst__egress_seen_t *seen, void *user_data),
                           void *user_data);

/* Ends the stream of that number: `wst_agent_end_stream` says how. 0, WST_ESTATE or WST_ENOMEM. */
int wst__egress_end(wst__egress_t *egress, uint64_t id);

#endif
