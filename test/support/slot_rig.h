/* SPDX-License-Identifier: MIT */
#ifndef TEST_SLOT_RIG_H
#define TEST_SLOT_RIG_H
/*
 * A slot on a node of its own, with uplinks of a fake kind, which do what a test says; what they
 * connect to only listens. What the slot tells its owner is counted.
 */
#include "env.h"
#include "request.h"
#include "slot.h"

#include <wstunnel/listener.h>

enum { SLOT_RIG_UPLINKS = 16 };

typedef struct slot_rig_uplink {
    wst__uplink_t base;
    struct slot_rig *rig;
    wst_stream_t *stream;
    wst_hello_t hello; /* that it was made with */
    char fields[64];
    size_t load;
    size_t goaways, ends;
    bool suspect, suspended;
    uint8_t sid[WST__SID_LEN];
    bool closing, closed;
} slot_rig_uplink_t;

typedef enum slot_rig_event {
    SLOT_NOTHING,
    SLOT_CREDENTIALS,
    SLOT_UP,
    SLOT_DOWN,
    SLOT_SUSPEND,
    SLOT_RESUME,
    SLOT_EVENTS
} slot_rig_event_t;

typedef struct slot_rig {
    test_env_t env;
    wst_listener_t *listener;
    wst__node_t node;
    wst__egress_t egress;
    wst__endpoint_t endpoint;
    wst__upgrade_t upgrade;
    wst__slot_options_t options;
    wst__slot_t slot;
    uint32_t next_conn;

    slot_rig_uplink_t *uplinks[SLOT_RIG_UPLINKS]; /* all that have been made */
    size_t made, gone;
    bool renews;
    int connect_status;
    const char *credentials; /* NULL: denied */

    slot_rig_event_t close_in, drain_in;
    size_t seen[SLOT_EVENTS], drained, closed;
    uint64_t conns;              /* told to be up; a bit each */
    wst_agent_failure_t failure; /* the last one; its text: */
    char detail[128];
} slot_rig_t;

/* There is one rig at a time. */
void slot_rig_open(slot_rig_t *r);

/* The same in two steps, for a test that changes the options between them. */
void slot_rig_prepare(slot_rig_t *r);
void slot_rig_begin(slot_rig_t *r);

/* The second step with an environment that the test has opened. False: there was no memory for what
 * the slot connects to. */
bool slot_rig_make_target(slot_rig_t *r);
void slot_rig_start(slot_rig_t *r);

/* Closes the node, if it was started, and checks that no uplink is left. */
void slot_rig_free(slot_rig_t *r);

/* For the options: answers as `credentials` says. */
void slot_rig_on_credentials(wst_request_t *request, void *user_data);

void slot_rig_until_made(slot_rig_t *r, size_t n);

/* What is due within so many milliseconds happens. */
void slot_rig_pass(slot_rig_t *r, uint64_t ms);

/* Nothing more is tried, however long one waits. */
void slot_rig_expect_rest(slot_rig_t *r);

/* -- What the uplink with this index does ----------------------------------------------------- */

void slot_rig_up(slot_rig_t *r, size_t i);
void slot_rig_down(slot_rig_t *r, size_t i, int error, int http_status, const char *detail);
void slot_rig_goaway(slot_rig_t *r, size_t i, int reason);
void slot_rig_load(slot_rig_t *r, size_t i, size_t load);

/* The only stream that it can carry. */
void slot_rig_spent(slot_rig_t *r, size_t i);

void slot_rig_suspended(slot_rig_t *r, size_t i);

/* The server's hello on another uplink's connection. */
wst__uplink_t *slot_rig_claim(slot_rig_t *r, size_t i, bool resumed);
void slot_rig_resumed(slot_rig_t *r, size_t i, size_t from);
void slot_rig_suspect(slot_rig_t *r, size_t i, bool suspect);

/* Of an uplink that outlives its connection, and of one that does not. */
extern const wst__uplink_ops_t slot_rig_resumable, slot_rig_plain;

#endif
