/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_AGENT_H
#define WST_LIB_AGENT_H
/* What the files of the agent share: agent.c (keeps the session), agent_talk.c (keeps connections
 * in the talk's protocol). */
#include "egress.h"
#include "endpoint.h"
#include "list.h"
#include "node.h"
#include "reach.h"
#include "request.h"
#include "upgrade.h"
#include "uplink.h"

#include <wstunnel/agent.h>

struct wst_agent {
    uint32_t magic;
    wst__node_t node;
    wst__egress_t egress;
    wst__part_t part; /* the uplinks */
    wst_agent_options_t o;
    wst__endpoint_t endpoint; /* the server */
    wst__upgrade_t upgrade;
    char name[WST_NAME_MAX + 1];
    uint8_t instance[16];
    uint64_t epoch;    /* of the last attempt */
    unsigned failures; /* in a row */

    enum {
        WST__AGENT_WAITING,    /* for the next attempt */
        WST__AGENT_ASKING,     /* for credentials */
        WST__AGENT_DIALLING,   /* TCP, TLS */
        WST__AGENT_CONNECTING, /* upgrade and hello */
        WST__AGENT_UP
    } phase;
    bool up_told; /* in the talk's protocol: since the last failure */
    wst_request_t *question;
    char *fields; /* of the current attempt */
    wst__reach_t *reach;
    const wst__uplink_kind_t *kind;
    wst__uplink_t *uplink; /* or the one that is being made */
    uint64_t up_since_ms;
    wst__deadline_t retry;
    wst_close_cb close_cb;

    wst__list_t talks; /* agent_talk.c */
    size_t spare_count;
    size_t uplinks;     /* not closed yet */
    wst__ticket_t hold; /* of the node: there are uplinks */
    wst__ticket_t busy; /* of the node: the session is up */
};

/* agent_talk.c: one more connection, on a stream which is taken on success. */
int wst__agent_talk_connect(wst_agent_t *agent, wst_stream_t *stream,
                            const wst_websocket_options_t *websocket);
void wst__agent_talks_end(wst_agent_t *agent);   /* those that are not used */
void wst__agent_talks_close(wst_agent_t *agent); /* all, at once */

/* agent.c */
/* There is another uplink; one is gone. */
void wst__agent_uplink_made(wst_agent_t *agent);
void wst__agent_uplink_gone(wst_agent_t *agent);
/* An attempt or a connection failed: tells it, and tries again later. */
void wst__agent_fail(wst_agent_t *agent, int error, int http_status, const char *detail);
void wst__agent_attempt_in(wst_agent_t *agent, uint64_t delay_ms);

#endif
