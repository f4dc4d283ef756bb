/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_AGENT_H
#define WST_LIB_AGENT_H
/* What the files of the agent share: agent.c (keeps the session), agent_talk.c (keeps connections
 * in the talk's protocol), agent_stream.c (opens what the server names). */
#include "ctx.h"
#include "endpoint.h"
#include "list.h"
#include "reach.h"
#include "request.h"
#include "upgrade.h"
#include "uplink.h"

#include <wstunnel/agent.h>
#include <wstunnel/dial.h>

struct wst_agent {
    uint32_t magic;
    wst_ctx_t *ctx;
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
    bool draining, drained_told, closing;
    bool up_told; /* in the talk's protocol: since the last failure */
    wst_request_t *question;
    char *fields; /* of the current attempt */
    wst__reach_t *reach;
    const wst__uplink_kind_t *kind;
    wst__uplink_t *uplink; /* or the one that is being made */
    uint64_t up_since_ms;
    wst__deadline_t retry; /* or the end of draining */
    wst__defer_t defer;    /* on_drained, or the end */
    wst_close_cb close_cb;

    wst__list_t streams; /* agent_stream.c */
    size_t stream_count, pending_count;
    wst__list_t talks; /* agent_talk.c */
    size_t spare_count;
    size_t uplinks; /* not closed yet: at the end all must be */
};

/* agent_stream.c */
void wst__agent_on_incoming(wst__uplink_t *uplink, wst__incoming_t *incoming, wst_str_t dest,
                            void *user_data);
void wst__agent_close_streams(wst_agent_t *agent);

/* agent_talk.c: one more connection, on a stream which is taken on success. */
int wst__agent_talk_connect(wst_agent_t *agent, wst_stream_t *stream,
                            const wst_websocket_options_t *websocket);
void wst__agent_talks_end(wst_agent_t *agent);   /* those that are not used */
void wst__agent_talks_close(wst_agent_t *agent); /* all, at once */

/* agent.c */
/* A stream or an uplink is gone. */
void wst__agent_stream_gone(wst_agent_t *agent);
void wst__agent_uplink_gone(wst_agent_t *agent);
/* An attempt or a connection failed: tells it, and tries again later. */
void wst__agent_fail(wst_agent_t *agent, int error, int http_status, const char *detail);
void wst__agent_attempt_in(wst_agent_t *agent, uint64_t delay_ms);

#endif
