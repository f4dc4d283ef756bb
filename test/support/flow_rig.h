/* SPDX-License-Identifier: MIT */
#ifndef TEST_FLOW_RIG_H
#define TEST_FLOW_RIG_H
/*
 * An ingress on a node of its own, with uplinks that do what a test says: flows without a server,
 * an agent or a network. What is asked and noticed is recorded as text; questions wait for the test
 * unless it says that they are allowed at once.
 */
#include "env.h"
#include "fake_stream.h"
#include "flow.h"

/* One agent with one uplink. */
typedef struct flow_rig_uplink {
    wst__uplink_t uplink;
    struct flow_rig *rig;
    wst__member_t member;
    int status;  /* of can_open */
    int refuses; /* open fails with this error at once; 0: it is taken */
    bool quota;  /* of memory, which refuses it */
    size_t load;
    bool suspect;
    size_t takes_early; /* bytes of each stream */

    /* The open that waits, what it limits, and what has gone ahead of its answer. */
    bool asked, cancelled;
    wst__budget_t *budget;
    wst__opening_t opening;
    wst__opened_cb callback;
    void *user_data;
    char destination[WST_DEST_MAX + 1], networks[32], early[8192];
} flow_rig_uplink_t;

typedef struct flow_rig {
    test_env_t env;
    wst__node_t node;
    wst_ingress_t ingress;
    bool asks[3];         /* which questions are put, by wst__question_t */
    bool holds[3];        /* of these, which ones wait for the test, in `question` */
    const char *networks; /* said with a choice, or NULL */
    bool allows_early;    /* likewise */
    wst_request_t *question;
    const char *listens; /* the one address of the node, or NULL */
    bool drained, closed;
    char events[4096]; /* what was asked and noticed, a line each */
    flow_rig_uplink_t uplinks[WST__TRIES_MAX + 1];
    size_t uplink_count;
} flow_rig_t;

/* A flow and what its front end is told. */
typedef struct flow_rig_flow {
    flow_rig_t *rig;
    wst_flow_t *flow;  /* NULL: it is gone */
    const char *early; /* what its client has sent so far */
    size_t established, refused, gone;
    int code, http_status;
    char reason[128], fields[256];
    wst_stream_info_t info; /* of on_gone; without its texts */
} flow_rig_flow_t;

/* To host:22, for a client at 192.0.2.1:5; nothing else is said. */
extern const wst_flow_options_t flow_rig_plain;

void flow_rig_open(flow_rig_t *r);
void flow_rig_turns(flow_rig_t *r, int n);

/* Closes the node, waits until it is gone and checks that nothing is left. */
void flow_rig_close(flow_rig_t *r);

/* One more agent, with labels or NULL. */
flow_rig_uplink_t *flow_rig_uplink(flow_rig_t *r, const char *name, const char *tenant,
                                   const char *const *labels);

/* The agent loses its uplink: an open that waits fails. */
void flow_rig_lose(flow_rig_uplink_t *u);

/* Answers the open that waits: with a stream, which is made first or is there already, or an error.
 */
void flow_rig_opened(flow_rig_uplink_t *u, fake_stream_t *stream, const char *address);
void flow_rig_opened_as(flow_rig_uplink_t *u, fake_stream_t *stream, const char *address);
void flow_rig_failed(flow_rig_uplink_t *u, int error, const char *text);

/* Begins a flow, which must work. */
void flow_rig_start(flow_rig_t *r, flow_rig_flow_t *f, const wst_flow_options_t *options);
int flow_rig_try(flow_rig_t *r, flow_rig_flow_t *f, const wst_flow_options_t *options);

/* The events since the last call. */
void flow_rig_expect(flow_rig_t *r, const char *events);

#endif
