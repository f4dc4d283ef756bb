/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_SERVER_H
#define WST_LIB_SERVER_H
/*
 * The inside of a server. What comes in lives as one object after another:
 *
 *     arrival at an address with TLS (server_tls.c)
 *          |
 *     connection (wst__conn_t) --CONNECT served--> relay (wst__relay_t)
 *          |    ^             \--upgrade accepted--> agent session (wst__agent_session_t)
 *          |    +--next request-- exchange (wst__exchange_t): a request being forwarded
 *          \--answered--> gone
 *
 * Each holds the server until it is gone, and counts as one of its connections. A dial
 * (wst_server_dial_t) opens a stream through an agent, for a CONNECT or for wst_server_dial().
 */
#include "refusal.h"
#include "ip.h"
#include "remote.h"
#include "request.h"

#include <wstunnel/hijack.h>
#include <wstunnel/server.h>
#include <wstunnel/tls.h>

typedef struct wst__relay wst__relay_t;
typedef struct wst__exchange wst__exchange_t;
typedef struct wst__agent_session wst__agent_session_t;

struct wst_server {
    wst_ctx_t *ctx;
    wst_server_options_t options; /* complete: no member means its default any more */
    char *path;
    char pseudonym[32];             /* in Via: this server and no other */
    const wst__uplink_kind_t *kind; /* of agents */
    wst__list_t listeners, conns, relays, sessions, dials;
    wst__remotes_t remotes;
    wst__list_t arrivals, handshake_queue, handshaking; /* server_tls.c */
    size_t handshakes;                                  /* under way */
    wst__defer_t turns;                                 /* of those who wait */
    wst__deadline_t overdue;                            /* of the first of those under way */
    uint64_t tls_failures;
    size_t connections, streams, pending, session_count;
    size_t leaving; /* connections whose last answer must get out before all is drained */
    uint64_t stream_ids;
    size_t holds; /* by what must be gone before the server can be */
    bool paused;  /* as many connections as there may be */
    bool limit_logged;
    bool draining, drained, closing;
    wst__deadline_t drain_deadline;
    wst__defer_t defer; /* on_drained, later the end */
    wst_close_cb close_cb;
};

/* server.c */
void wst__server_hold(wst_server_t *s);
void wst__server_release(wst_server_t *s);
void wst__server_count_connection(wst_server_t *s);
void wst__server_uncount_connection(wst_server_t *s);
void wst__server_check_drained(wst_server_t *s); /* after a relay or a dial is over */

/*
 * Whether the embedder said yes: 0 if the answer is of the expected kind, else WST_EDENIED,
 * WST__NO_DECISION or WST__BAD_ANSWER.
 */
int wst__server_verdict(const wst__answer_t *answer, wst__answer_kind_t expected);

/* -- server_tls.c: connections that have not become one of HTTP ----------------------------------
 */

/* Completes what is asked for of an address: roles, and whether TLS. 0 or WST_EINVAL. */
int wst__server_roles(const wst_server_t *s, unsigned *roles);

/* A connection has come in. Takes the stream on success. 0 or an error. */
int wst__server_receive(wst_server_t *s, wst_stream_t *stream, unsigned roles);
void wst__arrivals_close(wst_server_t *s);

/* -- server_connection.c: an HTTP connection, until it is answered or something else. -----------
 */

/* A connection to an origin that can serve one more request. */
typedef struct wst__origin {
    wst_stream_t *stream; /* NULL: none */
    uint64_t agent_serial;
    char agent[WST_NAME_MAX + 1];
    char address[WST__IP_TEXT]; /* that was reached, or "" */
} wst__origin_t;

typedef struct wst__conn {
    wst__list_t node;
    wst_server_t *server;
    wst_hijack_t *hijack;
    unsigned roles;
    bool counted; /* as a connection; what it has become is, otherwise */
    bool closing;
    char peer[96];
    const struct wst_tls_info *tls; /* NULL: none */

    /* The request that is being decided on or served. */
    wst_request_t *request;
    wst_server_dial_t *dial;
    wst__exchange_t *exchange;          /* has the connection meanwhile */
    char destination[WST_DEST_MAX + 1]; /* a client's, else "" */
    char address[WST__IP_TEXT];         /* that was reached, or "" */
    char agent[WST_NAME_MAX + 1];       /* that was asked last, or "" */
    char user[128], tenant[WST__TENANT_MAX + 1];
    uint8_t credential[WST__CREDENTIAL_LEN]; /* an agent's */
    uint64_t asked_ms;

    wst_http_target_t target; /* of a request that is forwarded */
    bool served;              /* one was, and its answer kept the connection */
    bool leaving;             /* counted by the server: the last answer goes out */

    /* For the next request to the same destination by the same user. */
    wst__origin_t kept;
    char kept_destination[WST_DEST_MAX + 1];
    char kept_user[128], kept_tenant[WST__TENANT_MAX + 1];
} wst__conn_t;

/* Takes the stream on success. 0 or an error. */
int wst__conn_new(wst_server_t *s, wst_stream_t *stream, unsigned roles);
void wst__conn_close(wst__conn_t *c);

/* It has got its last answer: the server does not count as drained before that is out. */
void wst__conn_leave(wst__conn_t *c);

/* The server drains: a kept connection without a request ends, behind what it was answered. */
void wst__conn_drain(wst__conn_t *c);

/* Answers the request; without memory for that the connection is closed. */
void wst__conn_respond(wst__conn_t *c, const wst_response_t *response);

/* Answers a client that is not served, and notes it. `fields`: more, complete lines; or NULL. */
void wst__conn_refuse(wst__conn_t *c, const wst__refusal_t *refusal, wst_str_t detail,
                      const char *fields);
void wst__conn_refuse_error(wst__conn_t *c, int error);

/* Puts a question about the request. False: no memory for it. Nothing may follow but a return. */
bool wst__conn_ask(wst__conn_t *c,
                   void (*callback)(wst_server_t *s, wst_request_t *request, void *user_data),
                   wst__answer_cb on_answer);

/* Keeps who the embedder found it to be. */
void wst__conn_identify(wst__conn_t *c, const wst__answer_t *answer);

/* -- server_connect.c: CONNECT ------------------------------------------------------------------
 */

void wst__connect_request(wst__conn_t *c, const wst_http_head_t *head,
                          const wst_authority_t *authority);
void wst__relays_close(wst_server_t *s);

/* Joins the two streams, which are taken, and closes the connection they belonged to. */
void wst__relay_join(wst__conn_t *c, const char *agent, wst_stream_t *client, wst_stream_t *tunnel);

/* Whether the embedder allowed the client; otherwise the client has been told. */
bool wst__conn_allowed(wst__conn_t *c, const wst__answer_t *answer);

/* -- server_dial.c: a stream through an agent ----------------------------------------------------
 */

typedef struct wst__dialled {
    int status;                  /* 0, an error, or one of enum wst__cause */
    wst_str_t text;              /* what happened, for people; may be empty */
    const char *address;         /* that was reached, or "" */
    wst_stream_t *stream;        /* status 0: the callee's, paused */
    bool reused;                 /* it is the one that was kept */
    const char *agent;           /* name of the (last) one asked, or "" */
    uint64_t agent_serial;       /* its */
    const wst__answer_t *denial; /* WST_EDENIED: by on_choose, on_reached; NULL: by the agent */
} wst__dialled_t;

typedef void (*wst__dialled_cb)(const wst__dialled_t *outcome, void *user_data);

typedef struct wst__dial_options {
    const char *destination; /* copied */
    uint64_t only;           /* serial of an agent; 0: any */
    uint64_t timeout_ms;
    /* Whom on_choose is asked for; NULL: it is not asked. Valid until the outcome or cancel. */
    const wst__conn_t *conn;
    wst__origin_t kept; /* will do if its agent is chosen; taken on success */
    wst__dialled_cb callback;
    void *user_data;
} wst__dial_options_t;

/* server_connect.c: dials the connection's destination, or refuses at once. user_data is `c`.
 * `kept`: one that may do instead, which is taken; or NULL. */
void wst__conn_dial(wst__conn_t *c, const wst__origin_t *kept, wst__dialled_cb callback);
void wst__conn_reached(wst__conn_t *c, const wst__dialled_t *outcome); /* keeps by whom and where */
void wst__conn_refuse_outcome(wst__conn_t *c, const wst__dialled_t *outcome);

/* -- server_forward.c: requests in absolute form -------------------------------------------------
 */

void wst__forward_http(wst__conn_t *c, const wst_http_head_t *head,
                       const wst_http_target_t *target);
void wst__exchange_close(wst__exchange_t *exchange);

/* -- server_origin.c: connections to origins that no exchange has -------------------------------
 */

/* Keeps it for the next request to the connection's destination; none may be kept yet. */
void wst__origin_keep(wst__conn_t *c, const wst__origin_t *origin);

/* What is kept, if it was opened for the connection's destination and user, paused. */
bool wst__origin_take(wst__conn_t *c, wst__origin_t *out);

/* Ends what is kept. */
void wst__origin_drop(wst__conn_t *c);

/* Ends one that has been sent nothing but whole requests in an orderly way, which takes a while. */
void wst__origin_end(wst_stream_t *origin);

/* 0 and later the callback, from the loop; or WST_ENOMEM. wst_server_dial_cancel() cancels. */
int wst__dial_new(wst_server_dial_t **out, wst_server_t *s, const wst__dial_options_t *options);

/* server_self.c: whether that address and port, reached by the agent at `agent_peer`, is one that
 * the server listens on. */
bool wst__server_is_self(const wst_server_t *s, const char *address, uint16_t port,
                         const char *agent_peer);

/* Ends all with WST_ECANCELLED. */
void wst__dials_close(wst_server_t *s);

/* An uplink has come in: those that wait for one try again. */
void wst__dials_wake(wst_server_t *s);

/* "host:port", "[v6]:port". */
void wst__write_destination(char out[WST_DEST_MAX + 1], const wst_authority_t *authority);

/* -- server_agent.c: agents ----------------------------------------------------------------------
 */

void wst__agent_request(wst__conn_t *c, const wst_http_head_t *head);
void wst__agents_goaway(wst_server_t *s);
void wst__agents_close(wst_server_t *s);

#endif
