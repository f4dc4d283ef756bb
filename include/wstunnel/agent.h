/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_AGENT_H
#define WSTUNNEL_AGENT_H
/**
 * @file agent.h
 * The agent: dials the server by WebSocket, keeps that connection up, and opens the destinations
 * that the server names, from its own network.
 *
 * It reconnects with full-jitter backoff: after the n-th failure in a row it waits a random time
 * between 0 and min(backoff_max_ms, backoff_min_ms * 2^n). A session that held for backoff_max_ms
 * resets n. After a 401 or 403, or if a proxy wants other credentials, it waits backoff_max_ms and
 * reports `refused`. A rejected server certificate is a failure like any other: the server may be
 * repaired.
 *
 * If a server says that it leaves, the agent connects again at once, to whatever the URL then leads
 * to, and lets the streams of the present connection finish; a connection may have four such
 * predecessors. While the server still answers, but refuses, the agent tries again as after other
 * failures; n begins anew.
 */
#include <wstunnel/codec.h>
#include <wstunnel/ctx.h>
#include <wstunnel/proxy.h>
#include <wstunnel/request.h>
#include <wstunnel/rules.h>
#include <wstunnel/tls.h>

#ifdef __cplusplus
extern "C" {
#endif

/** An agent. */
typedef struct wst_agent wst_agent_t;

/** Why there is no connection to the server. Valid during the call. */
typedef struct wst_agent_failure {
    size_t size;          /**< set by the library (common.h) */
    int error;            /**< error of the dial (through a proxy or not), TLS, the WebSocket
                               (wst_websocket_callbacks; WST_EWSCLOSED instead of 0) or the session;
                               WST_ECANCELLED: on_credentials gave none */
    int http_status;      /**< status of the server instead of 101, or of a proxy instead of 2xx; 0:
                               no such status */
    bool refused;         /**< credentials are wrong: the server's 401 or 403, or WST_EPROXYAUTH */
    const char *detail;   /**< for people, never empty */
    uint64_t retry_in_ms; /**< when the next attempt starts; 0 also if none is needed */
    bool suspended;       /**< streams wait for a connection: the session is not over yet */
} wst_agent_failure_t;

/** One of an agent's connections to its servers, for notices. Valid during the call. */
typedef struct wst_agent_connection_info {
    size_t size;     /**< set by the library (common.h) */
    uint32_t conn;   /**< its number among the agent's, from 0. The connection that
                          replaces one whose server is leaving has a new one. */
    const char *url; /**< as given */
    bool up;         /**< whether it is up */
    const wst_agent_failure_t *failure; /**< why it is not up; else NULL */
} wst_agent_connection_info_t;

/** A destination that the server asked for, for notices and walks. Strings are valid during the
    call. */
typedef struct wst_agent_stream_info {
    size_t size;                   /**< set by the library (common.h) */
    const char *destination;       /**< "host:port" */
    int status;                    /**< 0, or a negative error code */
    uint64_t bytes_to_destination; /**< from the server */
    uint64_t bytes_to_server;      /**< from the destination */
    const char *reason;            /**< why `status` is not 0, for people, such as the rule that
                                        denies the destination; "" with status 0 */
    uint64_t id;       /**< in walks: unlike those of the agent's other streams; else 0 */
    uint64_t age_ms;   /**< in walks: since the server asked for it */
    const char *state; /**< in walks: "asking" (on_destination), "dialling", "open"; else "" */
} wst_agent_stream_info_t;

/** Questions and notices of an agent. Each may be NULL. */
typedef struct wst_agent_callbacks {
    size_t size; /**< sizeof the struct (common.h) */
    /** Before each attempt: header fields for the upgrade request (Authorization, ...). Answer:
        allow_with, or deny (this attempt fails). NULL: no fields. */
    void (*on_credentials)(wst_agent_t *agent, wst_request_t *request, void *user_data);
    /** The server asks for a destination. Answer: allow or deny. NULL: all are allowed. */
    void (*on_destination)(wst_agent_t *agent, wst_request_t *request, void *user_data);
    /** Opens the destination (already allowed) in your own way. Answer: connected or deny. NULL:
        wst_dial. */
    void (*on_dial)(wst_agent_t *agent, wst_request_t *request, void *user_data);

    /** A session with the server is up; with several connections: the first one. */
    void (*on_up)(wst_agent_t *agent, void *user_data);
    /** An attempt failed, or the session is over, or its server leaves and the connection is lost;
        with several connections: and none of the others is up. The agent tries again, unless closed
        in this callback. Streams are over only when on_stream_close says so. */
    void (*on_down)(wst_agent_t *agent, const wst_agent_failure_t *failure, void *user_data);
    /** A destination was opened (status 0) or not: refused, failed, or no longer wanted. With this
        callback the library's own lines about the latter are of level debug. */
    void (*on_stream_open)(wst_agent_t *agent, const wst_agent_stream_info_t *info,
                           void *user_data);
    /** An open stream has ended: status 0 if both directions ended, else why it broke. */
    void (*on_stream_close)(wst_agent_t *agent, const wst_agent_stream_info_t *info,
                            void *user_data);
    /** After wst_agent_drain: no stream is open any more, or the drain deadline has passed. */
    void (*on_drained)(wst_agent_t *agent, void *user_data);

    /** The connection is lost, but the session is not over: its streams wait. The agent tries
        again; on_resumed follows, or on_down when the session is over. */
    void (*on_suspended)(wst_agent_t *agent, const wst_agent_failure_t *failure, size_t streams,
                         void *user_data);
    /** The session goes on with another connection, `outage_ms` after the loss was seen; 0: a
        better connection was found before. */
    void (*on_resumed)(wst_agent_t *agent, uint64_t outage_ms, void *user_data);

    /** A connection is up, is over or lost, or could not be made. Runs for each of several, before
        on_up, on_suspended, on_resumed or on_down if one of these follows. Each `conn` that is up
        comes down once before it is up again, also in order: when its server has left, or when a
        drain has ended it. Only wst_agent_close() is silent. A connection that another one of
        the same conn replaces before it is lost (max_age_ms, wst_agent_reconnect()) stays up:
        on_resumed tells. With WST_PROTOCOL_TALK, where one connection serves one stream, this runs
        with on_up and on_down only. */
    void (*on_connection)(wst_agent_t *agent, const wst_agent_connection_info_t *info,
                          void *user_data);
} wst_agent_callbacks_t;

/** Options of an agent. */
typedef struct wst_agent_options {
    size_t size;                            /**< sizeof the struct (common.h) */
    const wst_agent_callbacks_t *callbacks; /**< Optional. */
    void *user_data;                        /**< For the callbacks and close_cb. */

    const char *url;  /**< Required, unless `urls` is set: "ws://host[:port][/path]", or "wss://"
                           with TLS; the port defaults to 80 or 443, the path to /websocket. */
    const char *name; /**< Optional (default: the host name): 1..64 of [A-Za-z0-9._-]. */

    /** Optional (default: none). The proxy to reach any server through; wst_proxy_choose()
        implements the conventions. Copied. */
    const wst_proxy_options_t *proxy;

    wst_tls_config_t *tls; /**< Optional (default: the system's trust store), with wss:// only; a
                                client's configuration, referenced. The server's certificate must be
                                for the URL's host. Reconnecting resumes the TLS session. */
    const char *sni;       /**< Optional (default: the URL's host), with wss:// only: the name sent
                                to the server in clear (SNI); "": none. */
    const char *host;      /**< Optional (default: the URL's host and port): the Host field. */
    const char *fields;    /**< Optional: more fields for each upgrade request, as complete lines
                                "Name: value\r\n"; not Host and those of the upgrade itself. */

    wst_protocol_t protocol;  /**< Optional (default WST_PROTOCOL_WSTUNNEL). As the server's. */
    size_t spare_connections; /**< Optional (default 1), WST_PROTOCOL_TALK: WebSockets that wait for
                                   the server to use them; each used one is replaced. The talk's own
                                   server can handle one only, since it knows only the newest. A
                                   wst_server_t takes more; then clients wait less. */
    wst_encoding_t encoding; /**< Optional (default binary, JSON if the server has only that). JSON:
                                  offer that alone; readable on the wire. */

    /** Optional; borrowed until another one is set or close_cb has run. The destinations that the
        server may have opened: applied to the name, before on_destination, and to each address
        before that is tried. With on_dial the address of a name is never known (rules.h): then
        rules that allow networks do not apply to names, rules that deny networks do. Rules
        see the user "" and this agent's name. Guarded addresses (rules.h), among them this host's
        loopback addresses, are denied unless a rule names them. NULL (the default): all but guarded
        addresses are allowed. */
    const wst_rules_t *rules;

    uint32_t max_streams;     /**< Optional (default 16384, or the descriptor limit less 64 if
                                   that is lower): open at a time; more are refused. */
    size_t max_pending;       /**< Optional (default 256): destinations being opened at a time. */
    size_t stream_window;     /**< Optional (default 12288): bytes the server may send ahead on a
                                   stream; 1024..2^30. */
    size_t stream_window_max; /**< Optional (default 96 MiB): up to which a stream's window grows,
                                   either way, if the round trip needs it and the memory budget can
                                   lend it; 1024..2^30. At or below stream_window: no growth. */

    uint64_t dial_timeout_ms;        /**< Optional (default 10000): opening a destination. */
    uint64_t connect_timeout_ms;     /**< Optional (default 10000): each phase of reaching the
                                          server: TCP (by way of the proxy), TLS, upgrade, hello;
                                          and each question. */
    uint64_t half_closed_timeout_ms; /**< Optional (default 600000): half-closed and silent. */
    uint64_t ping_interval_ms;       /**< Optional (default 15000). */
    uint64_t dead_after_ms;          /**< Optional (default 45000): silence of the server. */
    uint64_t backoff_min_ms;         /**< Optional (default 500). */
    uint64_t backoff_max_ms;         /**< Optional (default 30000). */
    uint64_t drain_timeout_ms;       /**< Optional (default 30000). */

    bool no_resume;          /**< Streams end with their connection, even if the server could keep
                                  them. */
    uint64_t probe_after_ms; /**< Optional (default 5000): a connection on which a ping is
                                  unanswered and nothing arrives for so long gets another one beside
                                  it. */
    uint64_t max_age_ms;     /**< Optional (default: none): a connection older than this, less up to
                                  a tenth at random, gets another one beside it, which takes its
                                  place: no proxy that ends connections of some age does so first.
                                  Only where the server can resume; others stay. */
    uint32_t connections;    /**< Optional (default 1): connections to keep up, 1..64, each with a
                                  session of its own. The server opens each stream on the one with
                                  the fewest. Over a long way that loses packets, several are faster
                                  than one; if one is lost, the streams of the others go on. */
    const char *const *urls; /**< In place of `url`: 1..16 of them, ended by NULL. The agent keeps
                                up its connections to each at once, so that one server can be down.
                                  Other options hold for all; those of TLS require wss://. */
    bool all_addresses;      /**< The agent keeps up its connections to each address of a URL's host
                                  at once, to 16 of them at most, rather than to one. It looks them
                                  up every 30 s, itself even if there is a proxy. An address that
                                  four look-ups in a row lack is gone; streams on it may finish.
                                  Certificate and SNI are those of the host. */
} wst_agent_options_t;

/**
 * Makes an agent and starts its first attempt.
 * @return 0; WST_EINVAL (URL, name, header fields, a number out of range; TLS options without
 *         wss://); the error of wst_tls_client_config for the system's trust store; WST_ENOMEM;
 *         libuv's error (random, host name).
 */
WST_EXTERN WST_MUST_CHECK int wst_agent_new(wst_agent_t **out, wst_ctx_t *ctx,
                                            const wst_agent_options_t *options);

/** The agent's name. */
WST_EXTERN const char *wst_agent_name(const wst_agent_t *agent);
/** Whether the session with the server is up. */
WST_EXTERN bool wst_agent_is_up(const wst_agent_t *agent);
/** Streams open or opening now. */
WST_EXTERN size_t wst_agent_streams(const wst_agent_t *agent);
/** Whether wst_agent_drain has been called. */
WST_EXTERN bool wst_agent_is_draining(const wst_agent_t *agent);

/**
 * Replaces the TLS configuration for later connections, for a renewed certificate. The current
 * session is left alone.
 * @param tls  a client's configuration, referenced; NULL: the system's trust store, read now (with
 *             ws:// no configuration)
 * @return 0; WST_EINVAL: a URL is not wss://; the error of wst_tls_client_config for the system's
 *         trust store; WST_ENOMEM. On error nothing changes.
 */
WST_EXTERN WST_MUST_CHECK int wst_agent_set_tls(wst_agent_t *agent, wst_tls_config_t *tls);

/**
 * The network has changed: tries another connection at once, if there is none, and else beside the
 * present one. That stays in use until the other one is up and takes its place; a failed attempt
 * changes nothing. The streams go on. Where they could not, since the server does not resume, a
 * connection with streams stays, and so does one of WST_PROTOCOL_TALK: pings find out whether it
 * still works. The agent does the same by itself when the machine has slept (Linux).
 */
WST_EXTERN void wst_agent_reconnect(wst_agent_t *agent);

/** Replaces the rules; open streams are left alone. */
WST_EXTERN void wst_agent_set_rules(wst_agent_t *agent, const wst_rules_t *rules);

/**
 * Takes no new streams, tells the server so, lets open streams finish; on_drained follows. The
 * agent does not reconnect any more. Close it then.
 */
WST_EXTERN void wst_agent_drain(wst_agent_t *agent);

/**
 * No stream is opened to an address at which this process listens, whatever the rules say, and by
 * whatever name or address of this machine the server asks for it: a listener may trust connections
 * from this machine. With on_dial the address of a name is never known; then look yourself.
 * @param address  "IP:PORT" or "[IP]:PORT", as of wst_listener_address(); an unspecified IP stands
 *                 for all of this machine's; copied
 * @return 0; WST_EINVAL: it is not such an address; WST_ELIMIT: there are 8 already.
 */
WST_EXTERN WST_MUST_CHECK int wst_agent_guard(wst_agent_t *agent, const char *address);

/** Closes everything: streams are reset, the WebSocket closed. */
WST_EXTERN void wst_agent_close(wst_agent_t *agent, wst_close_cb close_cb);

/** Figures of an agent. */
typedef struct wst_agent_stats {
    size_t size;                    /**< sizeof the struct (common.h) */
    size_t streams;                 /**< open or opening now */
    size_t pending;                 /**< of them, those whose destination is being opened */
    uint64_t streams_opened;        /**< so far, as all that follows */
    uint64_t streams_refused;       /**< not opened: refused, failed, or no longer wanted */
    uint64_t bytes_to_destinations; /**< of all streams */
    uint64_t bytes_to_server;       /**< of all streams */
    uint64_t suspensions;           /**< times that a connection was lost and its streams waited */
    uint64_t resumes;               /**< times that they went on with another one */
} wst_agent_stats_t;

/** Fills in the figures, looking at each stream. @return 0; WST_EINVAL: `stats->size` is not set.
 */
WST_EXTERN int wst_agent_get_stats(const wst_agent_t *agent, wst_agent_stats_t *stats);

/** What has become of one of an agent's connections, or of the attempt to make one. Strings are
    valid until the loop turns. */
typedef struct wst_agent_connection_status {
    size_t size;          /**< sizeof the struct (common.h) */
    uint32_t conn;        /**< as of wst_agent_connection_info */
    const char *server;   /**< "host:port" of its URL */
    const char *address;  /**< the one of that host that it is for; "": any */
    const char *state;    /**< "up"; "suspended": lost, its streams wait for another one; "leaving":
                               its server leaves, its streams may finish; "connecting"; "waiting": for
                               the next attempt */
    size_t streams;       /**< open or opening on it */
    uint64_t rtt_ms;      /**< of the last ping, rounded up; 0: unknown */
    uint64_t up_ms;       /**< since it came up; 0: it is not */
    uint64_t outage_ms;   /**< since it was lost, suspended; else 0 */
    uint64_t retry_in_ms; /**< waiting: until the next attempt */
    uint64_t bytes_to_destinations; /**< of its streams, so far */
    uint64_t bytes_to_server;       /**< of its streams, so far */
} wst_agent_connection_status_t;

/**
 * The n-th connection, from 0. A slot that has none, or only one that its server leaves, has the
 * attempt to make one. Between two turns of the loop the order stays.
 * @return false: there are no more (`*status` stays as it is), or `status->size` is not set.
 */
WST_EXTERN bool wst_agent_connection(const wst_agent_t *agent, size_t n,
                                     wst_agent_connection_status_t *status);

/** A walk over all streams of an agent, some at a time, so that one with many is not held up. */
typedef struct wst_agent_walk wst_agent_walk_t;

/** Visits a stream. The callback must not call the library. */
typedef void (*wst_agent_visit_cb)(const wst_agent_stream_info_t *info, void *user_data);

/** Begins a walk; open streams come first. Free it before the agent. @return 0 or WST_ENOMEM. */
WST_EXTERN WST_MUST_CHECK int wst_agent_walk_new(wst_agent_walk_t **out, wst_agent_t *agent);

/**
 * Visits some streams, within this call. Over the whole walk each stream that is open all the time
 * is visited once; of others, some.
 * @param max  how many streams are looked at
 * @return false: all have been visited
 */
WST_EXTERN bool wst_agent_walk_next(wst_agent_walk_t *walk, size_t max, wst_agent_visit_cb visit,
                                    void *user_data);

/** NULL is allowed. */
WST_EXTERN void wst_agent_walk_free(wst_agent_walk_t *walk);

/**
 * Ends a stream. If it is open, both its connections are reset, and on_stream_close follows; if it
 * is being opened, that is given up, the server is told so, and on_stream_open follows: both with
 * WST_ECANCELLED, from the loop. The time grows with the number of streams.
 * @param id  wst_agent_stream_info.id
 * @return 0; WST_ESTATE: no such stream is open or being opened, or it has been ended before;
 *         WST_ENOMEM: nothing changes.
 */
WST_EXTERN int wst_agent_end_stream(wst_agent_t *agent, uint64_t id);

#ifdef __cplusplus
}
#endif
#endif
