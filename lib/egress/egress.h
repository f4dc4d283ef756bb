/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_EGRESS_H
#define WST_LIB_EGRESS_H
/*
 * The egress serves the streams that the far side of an uplink asks for. Rules, and the embedder if
 * it wants, decide whether a destination may be opened. Then the egress dials it and pumps between
 * the stream and the connection. An egress is a part of a handle's node (node.h).
 */
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

typedef struct wst__egress {
    wst__part_t part;
    wst__node_t *node;
    wst__egress_options_t o;
    /* Borrowed; may be replaced at any time. NULL: all but guarded addresses are allowed. */
    const wst_rules_t *rules;
    wst__list_t opening, others;
    wst__tally_t streams; /* open or opening */
    wst__tally_t pending; /* those still opening */
} wst__egress_t;

/* Makes an egress, as a part of the node. Options are copied. */
void wst__egress_init(wst__egress_t *egress, wst__node_t *node,
                      const wst__egress_options_t *options);

/* Takes an incoming stream and accepts or refuses it, now or later. Until the stream is gone, it
 * holds the node and keeps it busy. `dest` is copied. */
void wst__egress_take(wst__egress_t *egress, wst__incoming_t *incoming, wst_str_t dest);

#endif
