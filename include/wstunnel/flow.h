/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_FLOW_H
#define WSTUNNEL_FLOW_H
/**
 * @file flow.h
 * A flow: a client requests a connection to a destination; the embedder allows it, an
 * agent opens it, and bytes go both ways until it ends. Every connection through an agent is a
 * flow, whatever its origin: CONNECT, a forwarded request, a port (port.h), wst_server_dial(), or a
 * front end of your own. The same rules, bounds, counts, notices and draining apply to all.
 *
 *     ASKING     may the client connect to it?       on_client_request
 *     CHOOSING   through which agent?                on_choose
 *     OPENING    the agent opens the connection
 *     REACHED    may the client use the address?     on_reached, then on_established
 *                Then the front end answers.
 *     RELAYING   bytes flow                          on_stream_open ... on_stream_close
 *
 * A front end accepts its clients, speaks their protocol, and makes a flow for each request. The
 * flow reports by on_established, on_refused and on_gone; examples/front.c is a front end.
 */
#include <wstunnel/http.h>
#include <wstunnel/remote.h>
#include <wstunnel/request.h>
#include <wstunnel/stream.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Where flows begin: a part of a server (wst_server_ingress). */
typedef struct wst_ingress wst_ingress_t;

/** A flow. */
typedef struct wst_flow wst_flow_t;

/** A flow that relays bytes, for notices. Strings are valid during the call. */
typedef struct wst_stream_info {
    size_t size;              /**< set by the library, and by the caller of wst_flow_get_info
                                   (common.h) */
    uint64_t id;              /**< unique in this server */
    const char *client;       /**< address of the client; "": none (a dial) */
    const char *user;         /**< wst_request_set_user, or "" */
    const char *tenant;       /**< wst_request_set_tenant, or "" */
    const char *destination;  /**< "host:port" */
    const char *address;      /**< IP address that the agent reached; "": not known */
    const char *agent;        /**< name of the agent */
    uint64_t dial_ms;         /**< from the request to the open connection */
    uint64_t duration_ms;     /**< since the connection opened */
    uint64_t bytes_to_agent;  /**< from the client */
    uint64_t bytes_to_client; /**< from the agent */
    int status;               /**< 0: both directions ended; else why the flow broke */
    const char *ended_by;     /**< the side that ended or broke it first: "client", "agent",
                                   "server" */
    const char *detail; /**< why wst_server_review_flows or wst_flow_end has ended it, or "" */
    const char *state;  /**< "asking", "choosing", "opening", "reached", "relaying" or "ended":
                             see above */
    uint64_t age_ms;    /**< since the request */

    /** The trace in the field traceparent of the client's HTTP request (W3C Trace Context), 32
        hexadecimal digits; "": it had none, or no valid one. The client can write what it likes. */
    const char *trace_id;
    const char *span_id; /**< likewise: the client's span in that trace, 16 hexadecimal digits */
} wst_stream_info_t;

/** A request, of a client or an agent, that was not served. Strings are valid during the call;
    texts come from the refusing side, possibly an agent, and need not be UTF-8. */
typedef struct wst_refusal_info {
    size_t size;             /**< set by the library (common.h) */
    const char *client;      /**< address of the peer that asked; "": none (a dial) */
    const char *user;        /**< wst_request_set_user, or "" */
    const char *tenant;      /**< wst_request_set_tenant, or "" */
    const char *destination; /**< of a client's request, verbatim if malformed; "" for an agent, for
                                  a client whose login was refused, or without a request */
    const char *agent;   /**< name of the agent that was asked last, or that a refused agent stated;
                              else "" */
    const char *address; /**< IP address that the agent had reached; "": none, or not known */
    int http_status;     /**< the status for HTTP; 0: a WebSocket was closed, after its hello, or a
                              connection, before a request */
    int code;            /**< a negative error code (error.h), for front ends that map it:
                              WST_EDENIED, WST_EREFUSED, WST_ENOAGENT, WST_ETIMEOUT, ... */
    bool retry;          /**< a retry may succeed soon */
    const char *error;   /**< kind of refusal: a type of RFC 9209 section 2.3 */
    const char *reason;  /**< reason phrase */
    const char *detail;  /**< more about the refusal, or "" */
    const char *fields;  /**< header fields of the answer, as complete lines (a challenge), or "" */
    const char *claimed_user; /**< the name of credentials that were not accepted, as the client
                                   gave it: any bytes, at most 127; else "". Not verified */
    const char *cause;    /**< what the client was not told: for a 407 of access.h "no credentials",
                               "wrong password", "unknown user", "stale nonce", "scheme not offered" or
                               "malformed credentials"; else "" or wst_request_denial.cause */
    const char *trace_id; /**< as in wst_stream_info */
    const char *span_id;  /**< the same */
} wst_refusal_info_t;

/** Notices of a flow to its front end. */
typedef struct wst_flow_callbacks {
    size_t size; /**< sizeof the struct (common.h) */
    /** The connection to the destination is open. Tell the client, then call wst_flow_relay() or
        wst_flow_take(), now or later. If the connection breaks before that, on_refused follows. */
    void (*on_established)(wst_flow_t *flow, void *user_data);
    /** The flow was refused, or broke before it relayed. The last callback: the flow is freed when
        it returns. */
    void (*on_refused)(wst_flow_t *flow, const wst_refusal_info_t *refusal, void *user_data);
    /** Optional. The relayed or taken connection has ended. The last callback, as on_refused.
        Without this callback nothing reports the end: do not use the flow after wst_flow_relay or
        wst_flow_take. */
    void (*on_gone)(wst_flow_t *flow, const wst_stream_info_t *info, void *user_data);
} wst_flow_callbacks_t;

/**
 * The client and its request. Zero the struct and set what you know: by default every question is
 * asked and nothing is known about the client.
 */
typedef struct wst_flow_options {
    size_t size;             /**< sizeof the struct (common.h) */
    const char *destination; /**< Required. "host:port", "[v6]:port". Copied. */
    const char *peer;        /**< Optional. Address of the client, see wst_stream_peer; at most
                                  127 bytes. Copied. */

    /** The client has been authenticated as `user` of `tenant`. on_client_request can see that
        (wst_request_is_authenticated), so a policy need not ask for credentials. */
    bool authenticated;
    const char *user;   /**< Optional. At most 127 bytes. Copied. */
    const char *tenant; /**< Optional (default "", or that of `remote`). Likewise. */

    /** No question is asked. Enforcing the rules on destinations is then up to you. */
    bool unasked;

    wst_remote_t *remote;      /**< Optional. Use this agent only. */
    const char *agent;         /**< Optional. An agent of this name, at most 64 bytes. Copied. */
    const char *const *labels; /**< Optional. An agent that has all of these: at most 32 of at most
                                    127 bytes; NULL-terminated, copied. */
    uint64_t timeout_ms;       /**< Optional (default: the server's dial_timeout_ms): the agent's
                                    answer. */

    const wst_http_head_t *head;    /**< Optional. The client's HTTP request, for policies that
                                         look at it. Borrowed until the flow is established, refused
                                         or cancelled. */
    const struct wst_tls_info *tls; /**< Optional. The client's TLS session; likewise. */
} wst_flow_options_t;

/**
 * Begins a flow.
 * @param callbacks  borrowed for the flow's lifetime; on_established and on_refused are required
 * @return 0 and later on_established or on_refused, never from inside this call; WST_EINVAL: a
 *         required member is missing, a text too long; WST_EDEST: the destination cannot be parsed;
 *         WST_ESTATE: the server is closed; WST_ENOMEM.
 */
WST_EXTERN WST_MUST_CHECK int wst_flow_new(wst_flow_t **out, wst_ingress_t *ingress,
                                           const wst_flow_options_t *options,
                                           const wst_flow_callbacks_t *callbacks, void *user_data);

/**
 * Joins the client's stream and the destination's: the flow pumps until both directions are done,
 * closes both, and reports by on_gone. Once, in or after on_established. Takes the stream on
 * success.
 * @return 0; WST_ENOMEM: cancel the flow; WST_ESTATE: the server has been closed, or
 *         wst_server_review_flows has ended the flow: on_refused follows.
 */
WST_EXTERN WST_MUST_CHECK int wst_flow_relay(wst_flow_t *flow, wst_stream_t *client);

/**
 * Hands out the stream to the destination, paused, without callbacks, to a front end that moves the
 * bytes itself. Once, in or after on_established. The flow lasts until that stream has been closed.
 * If wst_server_review_flows ends the flow, on_error of that stream runs with WST_EDENIED.
 * @return NULL: the server has been closed, or wst_server_review_flows has ended the flow:
 *         on_refused follows.
 */
WST_EXTERN wst_stream_t *wst_flow_take(wst_flow_t *flow);

/**
 * Cancels a flow whose client is gone: the agent is told, relayed streams are reset, and no further
 * callback runs; a taken stream stays with its owner. Allowed in any state, but not in or after
 * on_refused and on_gone.
 */
WST_EXTERN void wst_flow_cancel(wst_flow_t *flow);

/** Fills in what is known about a flow; strings are valid until the flow changes its state. @return
    0; WST_EINVAL: `info->size` is not set. */
WST_EXTERN int wst_flow_get_info(const wst_flow_t *flow, wst_stream_info_t *info);

/**
 * Ends a flow that relays, whoever began it: both connections are reset, and on_stream_close with
 * WST_EDENIED follows from the loop. The time grows with the number of flows.
 * @param id   wst_stream_info.id
 * @param why  for people; copied
 * @return 0; WST_ESTATE: no such flow relays.
 */
WST_EXTERN int wst_flow_end(wst_ingress_t *ingress, uint64_t id, const char *why);

/** A walk over all flows, some at a time, so that a server with many of them is not held up. */
typedef struct wst_flow_walk wst_flow_walk_t;

/** Visits a flow; `id` is 0 unless it relays. The callback must not call the library. */
typedef void (*wst_flow_visit_cb)(const wst_stream_info_t *info, void *user_data);

/** Begins a walk, oldest flows first. Free it before the server. @return 0 or WST_ENOMEM. */
WST_EXTERN WST_MUST_CHECK int wst_flow_walk_new(wst_flow_walk_t **out, wst_ingress_t *ingress);

/**
 * Visits some flows, within this call. Over the whole walk each flow that lasts that long is
 * visited once; of those that begin or end meanwhile, some.
 * @param max  how many flows are looked at
 * @return false: all have been visited
 */
WST_EXTERN bool wst_flow_walk_next(wst_flow_walk_t *walk, size_t max, wst_flow_visit_cb visit,
                                   void *user_data);

/** Whether to end a flow. The callback must not call the library. @return NULL: it goes on; else
   why it ends, for people; copied */
typedef const char *(*wst_flow_pick_cb)(const wst_stream_info_t *info, void *user_data);

/**
 * As wst_flow_walk_next, and ends flows, whoever began them: both connections of one that relays
 * are reset, the client of another one is refused (403). on_stream_close with WST_EDENIED, or
 * on_refused, follows from the loop. Flows whose client has not been allowed yet are passed over.
 */
WST_EXTERN bool wst_flow_walk_end(wst_flow_walk_t *walk, size_t max, wst_flow_pick_cb pick,
                                  void *user_data);

/** NULL is allowed. */
WST_EXTERN void wst_flow_walk_free(wst_flow_walk_t *walk);

#ifdef __cplusplus
}
#endif
#endif
