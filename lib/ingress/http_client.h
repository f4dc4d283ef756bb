/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_HTTP_CLIENT_H
#define WST_LIB_HTTP_CLIENT_H
/*
 * A client's HTTP connection: the front end for CONNECT (connect.c) and for requests in absolute
 * form (forward.c). It reads one request after the other; each that asks for a destination becomes
 * a flow. Its owner answers all other requests.
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
    const char *fields;    /* of every answer of our own, as complete lines; NULL: none */
    /* A request's head is complete: serve it by wst__client_connect, _forward or _respond. */
    void (*on_request)(wst__client_t *client, const wst_http_head_t *head);
    /* The first byte is a control character: see wst__hijack_set_stranger. */
    wst_str_t (*on_stranger)(wst__client_t *client, uint8_t first);
    /* The client is being closed. */
    void (*on_close)(wst__client_t *client);
    /* The client is gone; the last callback. Free it. */
    void (*on_closed)(wst__client_t *client);
} wst__client_options_t;

/* A connection to an origin, kept for the next request, and the user it was opened for. */
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
    wst__exchange_t *exchange; /* the request being forwarded, which owns the stream; NULL: none */
    wst_http_target_t target;  /* of the request to forward, */
    wst_slice_t early;         /* and its head for the origin, if that may go ahead; or empty */
    bool served;               /* a request was served, and its answer kept the connection */
    wst__kept_t kept;

    wst__ticket_t hold;
    wst__seat_t connection;  /* handed on to a flow with the stream */
    wst__ticket_t last_word; /* of node.busy: the last answer is being sent */
};

/* Takes the stream and its seat on success. `options` is borrowed. 0 or WST_ENOMEM. */
int wst__client_init(wst__client_t *client, wst_ingress_t *ingress, wst_stream_t *stream,
                     wst__seat_t *seat, const wst__client_options_t *options);

/* Closes the client, and ends its flow unless the flow relays. */
void wst__client_close(wst__client_t *client);

/* The client gets its last answer: the node is not drained before that has been sent. */
void wst__client_leave(wst__client_t *client);

/* The node drains: ends a kept connection without a request, behind the answers written. */
void wst__client_drain(wst__client_t *client);

/* Answers the request, or closes the connection if there is no memory. */
void wst__client_respond(wst__client_t *client, const wst_response_t *response);

/* Answers a request that has no flow. */
void wst__client_respond_refusal(wst__client_t *client, const wst__refusal_t *refusal);

/* Makes the flow of a request for `destination`. Its user_data is the client. NULL: there was no
 * memory; the client has been answered. */
wst_flow_t *wst__client_flow(wst__client_t *client, const char *destination,
                             const wst_flow_callbacks_t *callbacks);

/* An on_refused (wst_flow_callbacks) that answers the client. */
void wst__client_on_refused(wst_flow_t *flow, const wst_refusal_info_t *info, void *client);

/* Refuses a request by way of a flow, so that the refusal is reported; `code`: as in
 * wst_refusal_info. */
void wst__client_refuse(wst__client_t *client, const char *destination,
                        const wst__refusal_t *refusal, int code);

/* -- connect.c ------------------------------------------------------------------------------- */

void wst__client_connect(wst__client_t *client, const wst_http_head_t *head,
                         const wst_authority_t *authority);

/* -- forward.c ------------------------------------------------------------------------------- */

void wst__client_forward(wst__client_t *client, const wst_http_head_t *head,
                         const wst_http_target_t *target);
void wst__exchange_close(wst__exchange_t *exchange);
void wst__client_drop_early(wst__client_t *client);

/* -- kept.c ---------------------------------------------------------------------------------- */

/* Keeps the origin for the next request to the flow's destination. None may be kept yet. */
void wst__kept_put(wst__client_t *client, const wst_flow_t *flow, const wst__origin_t *origin);

/* Takes the kept connection, paused, if it was opened for the same destination, user and tenant. */
bool wst__kept_take(wst__client_t *client, const wst_flow_t *flow, wst__origin_t *out);

/* Ends the kept connection. */
void wst__kept_drop(wst__client_t *client);

#endif
