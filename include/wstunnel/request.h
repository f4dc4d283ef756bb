/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_REQUEST_H
#define WSTUNNEL_REQUEST_H
/**
 * @file request.h
 * A question that the library asks its embedder: may this agent or this client connect, which agent
 * serves it, may this destination be opened, with which credentials. It comes as the argument of a
 * callback and is answered by exactly one of allow, deny, choose or connected (each callback says
 * which apply), inside the callback or later from the loop, before its deadline. An answer
 * ends the request; the pointer is invalid then. It takes effect when the callback has returned, at
 * once or in the loop's next turn.
 *
 * If the asking peer goes away, or the deadline (10 s unless said otherwise) passes, the request
 * ends too: the function set by wst_request_on_gone() is called. An embedder that answers later
 * must set one.
 */
#include <wstunnel/auth.h>
#include <wstunnel/http.h>
#include <wstunnel/stream.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A question of the library to its embedder. */
typedef struct wst_request wst_request_t;

/** An agent as a server sees it, see remote.h. */
typedef struct wst_remote wst_remote_t;

struct wst_tls_info;

/** The head of the HTTP request in question; NULL where there is none. Valid as long as the
    request.
 */
WST_EXTERN const wst_http_head_t *wst_request_head(const wst_request_t *request);

/**
 * The name and the password that the client sent in clear, by any front end: Proxy-Authorization:
 * Basic of the head (RFC 7617), or the login of SOCKS5 (RFC 1929).
 * @param out  filled in on success; wipe it when done with it
 * @return false: no credentials, or invalid ones (malformed, with NUL bytes, too long).
 */
WST_EXTERN WST_MUST_CHECK bool wst_request_basic(const wst_request_t *request,
                                                 wst_auth_basic_t *out);

/** The destination "host:port" as it was asked for; "" where there is none. */
WST_EXTERN const char *wst_request_destination(const wst_request_t *request);

/** Address of the client, agent or server that asks; see wst_stream_peer. */
WST_EXTERN const char *wst_request_peer(const wst_request_t *request);

/** The client's user as the embedder named it; "" if wst_request_set_user has not been called. */
WST_EXTERN const char *wst_request_user(const wst_request_t *request);

/** Whether user and tenant are already verified, since the front end has authenticated the client
    (wst_flow_options.authenticated): credentials need not be asked for. */
WST_EXTERN bool wst_request_is_authenticated(const wst_request_t *request);

/** Names the client, for later questions about it and for notices; cut at 127 bytes. Not a secret.
    For an agent that wants to connect: the name that it must state, or a pattern in which `*`
    stands for any characters, else it is refused; "" (unless set): any name. */
WST_EXTERN void wst_request_set_user(wst_request_t *request, const char *user);

/** The tenant of the agent or client; "" if wst_request_set_tenant has not been called. */
WST_EXTERN const char *wst_request_tenant(const wst_request_t *request);

/**
 * Sets the tenant of the agent or client; cut at 127 bytes. Tenants share a server in isolation:
 * the same agent name means another agent in each tenant, and only agents of the client's tenant
 * can serve it.
 */
WST_EXTERN void wst_request_set_tenant(wst_request_t *request, const char *tenant);

/**
 * Records the credential that admits an agent, so that wst_server_review_agents() can end its
 * sessions when that credential has been withdrawn.
 * @param hash  a hash of the credential, 32 bytes; copied; unless set: zeros
 */
WST_EXTERN void wst_request_set_credential(wst_request_t *request, const uint8_t hash[32]);

/**
 * Labels an agent that wants to connect: it can be chosen by them (wst_remote_labels). For an agent
 * with several sessions, the labels of the newest session count.
 * @param labels  NULL-terminated; copied; NULL: none. At most 32 are kept, of at most 127 bytes
 *                each: further and longer labels are left out. If memory for them runs out,
 *                wst_request_allow answers 500 instead.
 */
WST_EXTERN void wst_request_set_labels(wst_request_t *request, const char *const *labels);

/** The IP address that was reached, without brackets; "" where there is none, or it is not known.
 */
WST_EXTERN const char *wst_request_address(const wst_request_t *request);

/** The agent that has been chosen, valid until it goes (on_agent_down); NULL where there is none.
 */
WST_EXTERN wst_remote_t *wst_request_remote(const wst_request_t *request);

/** The TLS session of the asking peer (tls.h), valid as wst_request_head is; NULL: none. */
WST_EXTERN const struct wst_tls_info *wst_request_tls(const wst_request_t *request);

/** Sets a function to call when the request ends without an answer; `request` is still valid in it,
    but has no head any more and can no longer be answered. */
WST_EXTERN void wst_request_on_gone(wst_request_t *request,
                                    void (*on_gone)(wst_request_t *request, void *user_data),
                                    void *user_data);

/**
 * Holds the answer back: whatever it will be, it takes effect `delay_ms` from now at the earliest,
 * even if the deadline passes meanwhile. A peer that leaves before that learns nothing. For answers
 * to guesses. Call it before the answer; the last call counts.
 * @param delay_ms  at most 60000; more counts as that
 */
WST_EXTERN void wst_request_delay(wst_request_t *request, uint64_t delay_ms);

/** Answers yes. */
WST_EXTERN void wst_request_allow(wst_request_t *request);

/**
 * Answers yes, with header fields: the answer to a request for credentials.
 * @param fields  complete lines, "Name: value\r\n" each; copied; NULL: none
 */
WST_EXTERN void wst_request_allow_with(wst_request_t *request, const char *fields);

/**
 * Answers no.
 * @param status  the HTTP status to answer with (400..599). After 407 the connection is kept for
 *                another try. Not used where there is no HTTP (an agent's destination).
 * @param reason  for people: reason phrase and body; copied, cut at 200 bytes; NULL: a standard one
 * @param fields  more header fields as complete lines ("Proxy-Authenticate: ..."); copied; NULL:
 * none
 */
WST_EXTERN void wst_request_deny(wst_request_t *request, int status, const char *reason,
                                 const char *fields);

/** Details of a denial. Members that are left zero mean what NULL means in wst_request_deny. */
typedef struct wst_request_denial {
    size_t size; /**< sizeof the struct (common.h) */
    int status;  /**< As of wst_request_deny. */
    /** Optional (default by status). The kind of refusal for the Proxy-Status field: a type of RFC
        9209 section 2.3 ("destination_ip_prohibited"). Ignored unless it is a
        lower-case letter and at most 31 more of those, digits and '_'. Copied. */
    const char *error;
    const char *reason;       /**< As of wst_request_deny. */
    const char *fields;       /**< As of wst_request_deny. */
    const char *claimed_user; /**< Optional. The name that the client gave, which is not verified;
                                   only reported (wst_refusal_info). Cut to 127 bytes, copied. */
    const char *cause;        /**< Optional. What the client is not told ("unknown user"); only
                                   reported (wst_refusal_info). Cut to 63 bytes, copied. */
} wst_request_denial_t;

/** Answers no, with the kind of refusal. An unset `size`, or a set member that the library does not
    know, makes the answer a 500; then the other members are ignored. */
WST_EXTERN void wst_request_deny_with(wst_request_t *request, const wst_request_denial_t *denial);

/**
 * Limits the addresses that a chosen agent tries for the destination's name, in on_choose, before
 * wst_request_choose. An agent that knows how (one of this version does) refuses the others without
 * connecting. It may not be trusted with it: check the address again in on_reached.
 * @param networks  of wst_rules_networks(); copied; "": no limit. If memory for them runs out, the
 *                  answer is 500.
 */
WST_EXTERN void wst_request_set_networks(wst_request_t *request, const char *networks);

/**
 * Lets first bytes go to the chosen agent with the request, before on_reached is asked, in
 * on_choose: the head of a forwarded request, or what a port's client has sent (port.h), at most 4
 * KiB. So they may reach any address that wst_request_set_networks() lets an agent try. They go
 * only to agents that obey that, if there is a limit. Without on_reached they need no leave.
 */
WST_EXTERN void wst_request_allow_early(wst_request_t *request);

/** Answers with an agent (server.h); NULL: no agent can serve the request (503). If the agent goes
    away before it has answered, the question is asked again. */
WST_EXTERN void wst_request_choose(wst_request_t *request, wst_remote_t *remote);

/** Answers with the connection of a custom dial: status 0 and a stream, which is taken, or an error
    and NULL. */
WST_EXTERN void wst_request_connected(wst_request_t *request, int status, wst_stream_t *stream);

#ifdef __cplusplus
}
#endif
#endif
