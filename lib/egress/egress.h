/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_EGRESS_H
#define WST_LIB_EGRESS_H
/*
 * The egress serves the streams that a far side asks for. Rules decide whether a destination may be
 * opened, and the embedder may be asked, too; then the egress dials it and pumps between the two.
 * An egress is a part of a node (node.h), of whichever handle.
 */
#include "node.h"
#include "uplink.h"

#include <wstunnel/request.h>
#include <wstunnel/rules.h>

/* Options of an egress. Texts in it are borrowed for the egress' life. */
typedef struct wst__egress_options {
    const char *role;    /* our name in refusals: "agent" */
    const char *name;    /* the agent's name in rules */
    size_t max_streams;  /* open or opening at a time */
    size_t max_pending;  /* opening at a time */
    uint64_t timeout_ms; /* of on_destination */
    uint64_t dial_timeout_ms, half_closed_timeout_ms;

    /* Questions; each may be NULL. on_destination: may it be opened? Answer allow or deny; NULL:
     * yes. on_dial: open it. Answer connected or deny; NULL: wst_dial. */
    void (*on_destination)(wst_request_t *request, void *user_data);
    void (*on_dial)(wst_request_t *request, void *user_data);

    /* Notices; each may be NULL. They stop when the node is closed. on_stream_open: a destination
     * was opened (status 0) or not. on_stream_close: one that was open is over. */
    void (*on_stream_open)(const char *destination, int status, void *user_data);
    void (*on_stream_close)(const char *destination, uint64_t bytes_to_destination,
                            uint64_t bytes_from_destination, int status, void *user_data);
    void *user_data;
} wst__egress_options_t;

typedef struct wst__egress {
    wst__part_t part;
    wst__node_t *node;
    wst__egress_options_t o;
    const wst_rules_t
        *rules; /* borrowed, to be replaced at will; NULL: all but guarded addresses */
    wst__list_t list;
    wst__tally_t streams; /* open or opening */
    wst__tally_t pending; /* of them: opening */
} wst__egress_t;

/* Makes an egress, as a part of the node. Options are copied. */
void wst__egress_init(wst__egress_t *egress, wst__node_t *node,
                      const wst__egress_options_t *options);

/* Takes a stream that a far side asks for, and accepts or refuses it, now or later. Until the
 * stream is gone it holds the node and keeps it busy. */
void wst__egress_take(wst__egress_t *egress, wst__incoming_t *incoming, wst_str_t dest);

#endif
