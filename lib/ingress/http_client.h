/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_HTTP_CLIENT_H
#define WST_LIB_HTTP_CLIENT_H
/*
 * A client's HTTP connection: the front end for CONNECT (connect.c) and for requests in absolute
 * form (forward.c). It reads one request after the other; each that asks for a destination becomes
 * a flow. What else may be asked at the address is its owner's to answer.
 */
#include "flow.h"

#include <wstunnel/hijack.h>

typedef struct wst__client wst__client_t;
typedef struct wst__exchange wst__exchange_t;

/* Options of a client's connection; texts and functions are borrowed. */
typedef struct wst__client_options {
    wst_http_limits_t limits; /* complete */
    uint64_t head_timeout_ms;
    const char *pseudonym; /* in Via: identifies this node */
    /* A request's head is complete: serve it by wst__client_connect, _forward or _respond. */
    void (*on_request)(wst__client_t *client, const wst_http_head_t *head);
    /* The first byte is a control character: see wst__hijack_set_stranger. */
    wst_str_t (*on_stranger)(wst__client_t *client, uint8_t first);
    /* It is being closed; and it is gone, last: free it. */
    void (*on_close)(wst__client_t *client);
    void (*on_closed)(wst__client_t *client);
} wst__client_options_t;

/* An origin's connection that is kept for the next request, and whom it was opened for. */
typedef struct wst__kept {
    wst__origin_t origin;
    char destination[WST_DEST_MAX + 1];
    char user[WST__USER_MAX + 1], tenant[WST__TENANT_MAX + 1];
} wst__kept_t;

/* Embedded in its owner. */
struct wst__client {
    wst_ingress_t *ingress;
    const wst__client_options_t *options;
    wst_hijack_t *hijack;
    char peer[96];
    const struct wst_tls_info *tls; /* NULL: none */
    bool closing;

    wst_flow_t *flow;          /* of the request that waits for its answer; NULL: none */
    wst__exchange_t *exchange; /* a request being forwarded: has the connection meanwhile */
    wst_http_target_t target;  /* its */
    bool served;               /* one was, and its answer kept the connection */
    wst__kept_t kept;

    wst__ticket_t hold;
    wst__ticket_t connection; /* the owner's to take; handed on to the flow that it becomes */
    wst__ticket_t last_word;  /* of the node's busy ones: the last answer is on its way out */
};

/* Takes the stream on success. `options` is borrowed. 0 or WST_ENOMEM. */
int wst__client_init(wst__client_t *client, wst_ingress_t *ingress, wst_stream_t *stream,
                     const wst__client_options_t *options);

/* Closes the client, and ends its flow unless the flow relays. */
void wst__client_close(wst__client_t *client);

/* It has got its last answer: the node does not count as drained before that is out. */
void wst__client_leave(wst__client_t *client);

/* The node drains: a kept connection without a request ends, behind what it was answered. */
void wst__client_drain(wst__client_t *client);

/* Answers the request; without memory for that the connection is closed. */
void wst__client_respond(wst__client_t *client, const wst_response_t *response);

/* Answers a request that no flow stands for. */
void wst__client_respond_refusal(wst__client_t *client, const wst__refusal_t *refusal);

/* Makes the flow of a request for `destination`. Its callbacks get the client. NULL: there was no
 * memory, the client has been told. */
wst_flow_t *wst__client_flow(wst__client_t *client, const char *destination,
                             const wst_flow_callbacks_t *callbacks);

/* As wst_flow_callbacks.on_refused: tells the client. */
void wst__client_on_refused(wst_flow_t *flow, const wst_refusal_info_t *info, void *client);

/* Refuses a request in the name of a flow for it; `code` as of wst_refusal_info. */
void wst__client_refuse(wst__client_t *client, const char *destination,
                        const wst__refusal_t *refusal, int code);

/* -- connect.c ------------------------------------------------------------------------------- */

void wst__client_connect(wst__client_t *client, const wst_http_head_t *head,
                         const wst_authority_t *authority);

/* -- forward.c ------------------------------------------------------------------------------- */

void wst__client_forward(wst__client_t *client, const wst_http_head_t *head,
                         const wst_http_target_t *target);
void wst__exchange_close(wst__exchange_t *exchange);

/* -- kept.c ---------------------------------------------------------------------------------- */

/* Keeps it for the next request to the destination of that flow; none may be kept yet. */
void wst__kept_put(wst__client_t *client, const wst_flow_t *flow, const wst__origin_t *origin);

/* What is kept, paused, if it was opened for the same destination, user and tenant. */
bool wst__kept_take(wst__client_t *client, const wst_flow_t *flow, wst__origin_t *out);

/* Ends the kept connection. */
void wst__kept_drop(wst__client_t *client);

#endif
