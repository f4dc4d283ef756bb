/* SPDX-License-Identifier: MIT */
#ifndef TEST_EGRESS_RIG_H
#define TEST_EGRESS_RIG_H
/*
 * The egress alone, as part of a bare node: streams that a far side asks for come from a fake
 * uplink, and the embedder's answers and destinations are scripted.
 */
#include "egress.h"
#include "env.h"
#include "fake_stream.h"
#include "request.h"

enum { EGRESS_ASKED = 4 };

typedef struct egress_rig egress_rig_t;

/* A stream that the far side asks for. */
typedef struct egress_asked {
    wst__incoming_t base;
    egress_rig_t *rig;
    enum { EGRESS_IDLE, EGRESS_WAITING, EGRESS_ACCEPTED, EGRESS_REFUSED, EGRESS_WITHDRAWN } state;
    int accept_status; /* how accept is to end */
    int reason;
    char text[128], address[64];
    fake_stream_t tunnel; /* EGRESS_ACCEPTED */
} egress_asked_t;

/* How a question is answered. */
typedef enum egress_policy {
    EGRESS_UNASKED, /* there is no callback */
    EGRESS_ALLOW,
    EGRESS_DENY,
    EGRESS_HOLD,   /* not yet */
    EGRESS_MISFIT, /* by an answer to another question */
    EGRESS_FAIL    /* on_dial: the connection is refused */
} egress_policy_t;

/* What the embedder is told. */
typedef enum egress_event {
    EGRESS_NOTHING,
    EGRESS_DESTINATION,
    EGRESS_DIAL,
    EGRESS_OPENED,
    EGRESS_CLOSED,
    EGRESS_EVENTS
} egress_event_t;

struct egress_rig {
    test_env_t env;
    wst__node_t node;
    wst__egress_t egress;
    wst__egress_options_t options;
    egress_asked_t asked[EGRESS_ASKED];
    fake_stream_t destinations[EGRESS_ASKED]; /* that on_dial hands out, in this order */
    size_t connections;
    egress_policy_t may, dial; /* how the questions are answered */
    wst_request_t *held;
    egress_event_t close_in;
    size_t seen[EGRESS_EVENTS], gone;
    char destination[WST_DEST_MAX + 1], peer[64];
    int open_status, close_status;
    char open_reason[200];
    wst_rules_t *loopback;
    const char *networks; /* of what is asked for next */
    uint64_t to, from;
    size_t drained, closed;
};

/* An egress whose questions are answered so. */
void egress_rig_open(egress_rig_t *r, egress_policy_t may, egress_policy_t dial);

/* The same with an environment that the test has opened, in a zeroed rig. */
void egress_rig_begin(egress_rig_t *r, egress_policy_t may, egress_policy_t dial);

/* Closes the node, unless the test has, and checks that nothing is left. */
void egress_rig_free(egress_rig_t *r);

/* Rules for tests that dial this machine. */
wst_rules_t *egress_rig_loopback_rules(void);

/* The embedder's answer: the next scripted stream is the destination. */
void egress_rig_connect(egress_rig_t *r, wst_request_t *request);

/* -- What the far side does ------------------------------------------------------------------- */

/* It asks for its i-th stream. */
egress_asked_t *egress_rig_ask(egress_rig_t *r, size_t i, const char *dest);

/* It has no use any more for a stream that has not been answered. */
void egress_rig_withdraw(egress_asked_t *a, int reason);

bool egress_rig_is_answered(void *asked);
void egress_rig_expect_refused(egress_rig_t *r, egress_asked_t *a, int reason, const char *text);
void egress_rig_expect_accepted(egress_rig_t *r, egress_asked_t *a);

#endif
