/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_ADMIN_H
#define WSTUNNEL_ADMIN_H
/**
 * @file admin.h
 * What operators see of a server or an agent, and can do: metrics, a status, a page; an end to
 * flows, agents and users, or to streams. A program hands it the connections of an address with the
 * role admin (server.h). It answers, in HTTP/1.1:
 *
 *     GET /metrics      figures in the text format of OpenMetrics 1.0. No label names a user or a
 *                       destination.
 *     GET /status.json  agents, flows and the server's health
 *     GET /             a page that shows them; its files come compressed by gzip
 *     POST /end-flow    id=NUMBER                 ends a flow
 *     POST /end-agent   name=NAME&instance=HEX    ends the sessions of an agent; it may come back
 *     POST /end-user    user=NAME[&tenant=NAME]   ends the flows of a user
 *     POST /drain                                 the server drains
 *
 * A POST is a form (application/x-www-form-urlencoded) of at most 4096 bytes. It must bear the
 * field `Wstunnel-Admin: 1`, which no page of another origin can send unasked, and no Origin or
 * Sec-Fetch-Site of another one. It is answered {"count": NUMBER}, the number of flows, sessions
 * or streams that it has ended, or 404 if there were none. Every answer forbids caches and frames.
 *
 * A server that drains closes the addresses of operators with the others; connections that are open
 * go on being served.
 *
 * Operators have accounts of their own (HTTP Basic). Without any, only clients of this machine are
 * served that no proxy has passed on, by the name "localhost" or an IP address, so that a web page
 * whose name leads to this machine is refused; and they may do everything. Wrong passwords are
 * limited as in access.h.
 *
 * At most 32 connections are served at a time. For a further one the oldest one is closed of which
 * no request is being served, or only refused; if there is none, the further one. A client has 10 s
 * for the head of a request and 10 s for its form. A status or the metrics are written as the
 * client reads them, some flows at a time, and are broken off after 120 s.
 *
 * /status.json is an object. Times are in milliseconds, bytes are counted from the beginning:
 *
 *     version, uptime_ms  of the library; since the admin was made
 *     draining            wst_server_drain has been called
 *     operator            name, tenant, read_only: whose account it is
 *     agents              name, instance, tenant, address, software, labels, sessions, uptime_ms,
 *                         rtt_ms (null: not measured yet), streams, bytes_to_agent,
 *                         bytes_to_client; state: "ready", "suspended", or "unready" (full, or
 *                         leaving)
 *     gone                the last agents that have left, oldest first: name, instance, tenant,
 *                         address, ago_ms, why
 *     flows               id (null: it does not relay yet), user, tenant, client, destination,
 *                         address, agent, age_ms, bytes_to_agent, bytes_to_client, rate, state
 *                         (wst_stream_info.state)
 *     health              of the whole server: certificate_days (null: no certificate),
 *                         memory_used, memory_limit, descriptors, descriptors_limit, refusals (by
 *                         kind), dial_p50_ms, dial_p99_ms, round_trip_p50_ms, round_trip_p99_ms
 *                         (null: none yet), loop (turns, over_1ms, over_10ms, max_us)
 *     totals              of the whole server: the members of wst_server_stats
 *
 * An agent (wst_admin_options.agent) has less:
 *
 *     GET /metrics, GET /status.json, GET /
 *     POST /end-stream  id=NUMBER: wst_agent_end_stream
 *     POST /reconnect   wst_agent_reconnect
 *     POST /drain       the agent drains
 *
 * and in its /status.json:
 *
 *     version, uptime_ms, draining, operator   as of a server; tenant is ""
 *     agent, up      its name; wst_agent_is_up
 *     connections    conn, server, address, state, rtt_ms (null: not measured yet), up_ms,
 *                    outage_ms, retry_in_ms, streams, bytes_to_destinations, bytes_to_server:
 *                    as of wst_agent_connection_status
 *     streams        id, destination, state, age_ms, bytes_to_destination, bytes_to_server, rate:
 *                    as of wst_agent_stream_info
 *     health         names (being looked up), memory_used, memory_limit, descriptors,
 *                    descriptors_limit, loop
 *     totals         the members of wst_agent_stats
 *
 * The address at which an agent's operators are served must be named to wst_agent_guard(), so that
 * no stream leads there.
 *
 * The rate of a flow or stream is in bytes per second, both ways together: since a status last
 * looked at it, at least 1 s before; else since its connection opened. The last looks at 16384 of
 * them are kept.
 */
#include <wstunnel/agent.h>
#include <wstunnel/server.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Serves the operators of a server. */
typedef struct wst_admin wst_admin_t;

/** An operator. Copied; passwords are kept as digests. */
typedef struct wst_admin_account {
    size_t size;          /**< sizeof the struct (common.h) */
    const char *name;     /**< Required. At most 127 bytes, without a colon. */
    const char *password; /**< Required. At most 255 bytes. */
    /** Optional (default: all). Agents and flows of this tenant only, at most 127 bytes; no figures
        of the whole server, and no drain. */
    const char *tenant;
    bool read_only; /**< No POST. */
} wst_admin_account_t;

/** What an operator has done. Strings are valid during the call. */
typedef struct wst_admin_action {
    size_t size;        /**< set by the library (common.h) */
    const char *client; /**< address of the operator */
    const char *name;   /**< of the account; "": none */
    const char *action; /**< "end-flow", "end-agent", "end-user", "end-stream", "reconnect" or
                             "drain" */
    const char *target; /**< what it was done to, for people; escape it in logs (wst_log_escape) */
    size_t count;       /**< of flows, sessions or streams that it has ended */
} wst_admin_action_t;

/** Options of an admin; copied. */
typedef struct wst_admin_options {
    size_t size;          /**< sizeof the struct (common.h) */
    wst_server_t *server; /**< Required, or `agent`. Outlives the admin. */

    const wst_admin_account_t *accounts; /**< Optional. At most 256, each name once. */
    size_t account_count;                /**< 0: clients of this machine may do everything */
    bool allow_open; /**< Without accounts, serve clients of other machines too. */

    /** Optional. POST /drain; NULL: wst_server_drain or wst_agent_drain. */
    void (*on_drain)(wst_admin_t *admin, void *user_data);
    /** Optional. A POST has been done. */
    void (*on_action)(wst_admin_t *admin, const wst_admin_action_t *action, void *user_data);
    void *user_data; /**< For the callbacks here and close_cb. */

    /** Optional. When the certificate in use expires, in seconds since 1970; INT64_MAX: there is
        none. See wst_tls_config_expiry. */
    int64_t (*certificate_expires)(void *user_data);

    wst_agent_t *agent; /**< In place of `server`. Outlives the admin; accounts have no tenants. */
} wst_admin_options_t;

/** Makes an admin. @return 0; WST_EINVAL: a required member is missing, or an account out of its
    bounds, or the library was built with -Dadmin=false, which the log tells; WST_ENOMEM; or libuv's
    error. */
WST_EXTERN WST_MUST_CHECK int wst_admin_new(wst_admin_t **out, wst_ctx_t *ctx,
                                            const wst_admin_options_t *options);

/** Serves an operator's connection; takes the stream. Call it in on_admin_connection, or with what
   a listener has accepted (listener.h). */
WST_EXTERN void wst_admin_serve(wst_admin_t *admin, wst_stream_t *connection);

/** Notes for the status that an agent is gone; the last 64 are kept. Call it in on_agent_down. */
WST_EXTERN void wst_admin_note_agent_down(wst_admin_t *admin, const wst_remote_t *agent,
                                          const wst_agent_down_info_t *info);

/** Replaces the accounts, for requests that come later. @return 0; WST_EINVAL or WST_ENOMEM: the
   old ones stay. */
WST_EXTERN WST_MUST_CHECK int
wst_admin_set_accounts(wst_admin_t *admin, const wst_admin_account_t *accounts, size_t count);

/** Closes its connections and frees it; close it before its server or agent. The callback gets the
   user_data of the options. */
WST_EXTERN void wst_admin_close(wst_admin_t *admin, wst_close_cb close_cb);

#ifdef __cplusplus
}
#endif
#endif
