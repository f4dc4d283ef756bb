/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_SERVER_H
#define WSTUNNEL_SERVER_H
/**
 * @file server.h
 * The server: accepts agents' WebSockets and clients' CONNECT and SOCKS5 requests,
 * and joins them; forwards clients' requests for http:// URLs through agents.
 *
 * On each address it offers roles: `CONNECT host:port` and `GET http://host/...` for clients, `GET
 * <path>` with a WebSocket upgrade for agents, `GET /healthz` (200 while it runs) and `GET /readyz`
 * (200 with at least one agent that takes streams, else 503) for monitors; and SOCKS5 (RFC 1928)
 * for clients. At an address with several protocols, the first byte of a connection selects one. A
 * protocol that the address does not offer is refused in its own terms, and named in the log.
 *
 * SOCKS5 clients may use CONNECT only; BIND and UDP ASSOCIATE are answered 7, an unknown address
 * type 8, a refused flow 2 (WST_EDENIED), 4 (WST_EUNREACHABLE, WST_ENAME), 5 (WST_EREFUSED), 6
 * (WST_EDIALTIMEOUT, WST_ENAMETIMEOUT) or 1; the log has the details. The agent resolves names. The
 * client has head_timeout_ms from its connection to the end of its request, plus
 * decision_timeout_ms for each question; bytes it sends ahead are kept, up to 32 KiB. SOCKS4 is
 * answered 91.
 *
 * An agent is one process: a name and an instance. It may hold several WebSockets (sessions). A new
 * session with the same name, instance and conn and a higher epoch replaces its predecessor at
 * once; another instance of a name is a twin, and both serve.
 */
#include <wstunnel/codec.h>
#include <wstunnel/ctx.h>
#include <wstunnel/dial.h>
#include <wstunnel/flow.h>
#include <wstunnel/remote.h>
#include <wstunnel/request.h>
#include <wstunnel/tls.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wst_server wst_server_t;

/** What an address offers; combine with |. */
enum wst_role {
    WST_ROLE_CONNECT = 1, /**< clients: CONNECT, and requests for http:// URLs */
    WST_ROLE_AGENTS = 2,  /**< agents: the WebSocket upgrade */
    WST_ROLE_HEALTH = 4,  /**< /healthz and /readyz */
    WST_ROLE_ALL = 7,     /**< all roles of HTTP */
    WST_ROLE_SOCKS = 8    /**< clients: SOCKS5; inside TLS at an address of TLS alone */
};

/**
 * Whether an address speaks TLS; combine with the roles by |. Neither: TLS alone if the server has
 * a configuration for it, else plain. Both: the first byte of each connection decides.
 */
enum wst_listen_flag {
    WST_LISTEN_TLS = 256,  /**< https:// proxy, wss:// */
    WST_LISTEN_PLAIN = 512 /**< http:// proxy, ws:// */
};

/** Why an agent's last session is gone. Strings are valid during the call. */
typedef struct wst_agent_down_info {
    size_t size;        /**< set by the library (common.h) */
    int error;          /**< 0: orderly close; else why the session broke */
    const char *detail; /**< for people */
} wst_agent_down_info_t;

/** Questions and notices of a server. Each may be NULL. */
typedef struct wst_server_callbacks {
    size_t size; /**< sizeof the struct (common.h) */
    /** An agent wants to connect (its upgrade request). Answer: allow or deny. NULL: all agents
        may. */
    void (*on_agent_request)(wst_server_t *server, wst_request_t *request, void *user_data);
    /** A client requests a destination. Answer: allow or deny. NULL: all clients may. */
    void (*on_client_request)(wst_server_t *server, wst_request_t *request, void *user_data);
    /** Which agent, of the client's tenant? Answer: choose or deny. Asked for each tunnel and each
        request; successive requests share a connection to their origin as long as the same agent is
        chosen. NULL: the agent with the fewest streams; among equals the one that has had so few
        for longest; agents with an unanswered ping come last. */
    void (*on_choose)(wst_server_t *server, wst_request_t *request, void *user_data);

    /** The agent has opened the connection (wst_request_address, wst_request_remote), or an earlier
        request has left it; the client has not been told. May the client use it? Answer: allow or
        deny. NULL: it may. */
    void (*on_reached)(wst_server_t *server, wst_request_t *request, void *user_data);

    /** An agent's first session is up. The pointer is valid until on_agent_down has returned. */
    void (*on_agent_up)(wst_server_t *server, wst_remote_t *agent, void *user_data);
    /** An agent's last session is gone. */
    void (*on_agent_down)(wst_server_t *server, wst_remote_t *agent,
                          const wst_agent_down_info_t *info, void *user_data);
    /** A tunnel opens (the client has been answered 200) and ends; or the forwarding of a request
        begins and ends. A request that switches to another protocol continues as a tunnel. */
    void (*on_stream_open)(wst_server_t *server, const wst_stream_info_t *info, void *user_data);
    void (*on_stream_close)(wst_server_t *server, const wst_stream_info_t *info, void *user_data);
    /** A client's request was not served. */
    void (*on_refused)(wst_server_t *server, const wst_refusal_info_t *info, void *user_data);
    /** An agent was not admitted: its upgrade or its hello was refused. */
    void (*on_agent_refused)(wst_server_t *server, const wst_refusal_info_t *info, void *user_data);
    /** After wst_server_drain: all flows have ended, or the drain deadline has passed. */
    void (*on_drained)(wst_server_t *server, void *user_data);

    /**
     * A SOCKS client greets: must it log in, and are its credentials right? The request has no head
     * and no destination. The first question carries no credentials. Allow: no login is needed, say
     * because the client's certificate identifies it. Deny with 407: the client must log in by name
     * and password (RFC 1929); with any other status: it is refused. The second question carries
     * the credentials (wst_request_basic): allow or deny; a client that was allowed but insists on
     * logging in causes it too. After an allow, on_client_request sees an authenticated client with
     * the user and tenant set here. on_refused reports denials, except a 407 that the client can
     * follow. NULL: no client must log in, and on_client_request sees a client that is not
     * authenticated.
     */
    void (*on_client_login)(wst_server_t *server, wst_request_t *request, void *user_data);
} wst_server_callbacks_t;

/** Bounds and times of a server; see wst_server_set_limits. */
typedef struct wst_server_limits {
    size_t size;                /**< sizeof the struct (common.h) */
    size_t max_connections;     /**< Optional (default: 10000, or the descriptor limit less 64 if
                                     that is lower): clients, agents and monitors together; further
                                     connections wait in the kernel. */
    size_t max_pending;         /**< Optional (default 1024): flows of any origin that have not
                                     reached their destination yet; further requests get 503. */
    uint32_t max_agent_streams; /**< Optional (default 1024): streams per session of an agent; the
                                     agent may state less. */
    size_t max_agent_sessions;  /**< Optional (default 1024): sessions of all agents. */
    size_t max_handshakes;      /**< Optional (default 512): TLS handshakes under way, about 40 KiB
                                     each; further connections wait for their turn, unread. While
                                     any waits, a handshake may take a quarter of tls_timeout_ms. */
    size_t stream_window;       /**< Optional (default 12288): bytes an agent may send ahead on a
                                     stream; 1024..2^30. */
    size_t stream_window_max;   /**< Optional (default 32 MiB): up to which a stream's window grows,
                                     either way, if the round trip needs it and the memory budget
                                     can lend it; 1024..2^30. At or below stream_window: no
                                     growth. */

    uint64_t tls_timeout_ms;         /**< Optional (default 10000): from a connection, at an address
                                          with TLS, to the end of its handshake. A connection
                                          without a byte by then is closed silently. */
    uint64_t head_timeout_ms;        /**< Optional (default 10000): a request's head; for SOCKS, all
                                          messages of the client together. */
    uint64_t decision_timeout_ms;    /**< Optional (default 10000): each question; then 504. */
    uint64_t hello_timeout_ms;       /**< Optional (default 10000): an agent's hello. */
    uint64_t dial_timeout_ms;        /**< Optional (default 15000): the agent's answer; then 504. */
    uint64_t half_closed_timeout_ms; /**< Optional (default 600000): half-closed and silent. */
    uint64_t ping_interval_ms;       /**< Optional (default 15000). */
    uint64_t dead_after_ms;          /**< Optional (default 45000): silence of an agent. */
    uint64_t drain_timeout_ms;       /**< Optional (default 30000). */
} wst_server_limits_t;

/** Options of a server; every other member may be left zero. */
typedef struct wst_server_options {
    size_t size;                             /**< sizeof the struct (common.h) */
    const wst_server_callbacks_t *callbacks; /**< Optional. */
    void *user_data;

    wst_protocol_t protocol; /**< Optional (default WST_PROTOCOL_WSTUNNEL): the agents' protocol.
                                  With WST_PROTOCOL_TALK an agent is an address without its port,
                                  and each of its WebSockets is a session that carries one stream,
                                  ever; a dial waits for a session if all are in use. */
    wst_tls_config_t *tls;   /**< Optional (default: no TLS); a server's configuration, referenced.
                                  See enum wst_listen_flag and wst_server_set_tls. */
    const char *path;        /**< Optional (default "/websocket"): where agents connect. */
    const wst_http_limits_t *http; /**< Optional: bounds of request heads. */
    bool allow_open;   /**< Listen beyond this machine even if a role has no authentication. */
    bool allow_origin; /**< Accept agents' upgrades with an Origin field (from web pages). */

    const wst_server_limits_t *limits; /**< Optional: bounds and times. */
} wst_server_options_t;

/** Makes a server. @return 0, WST_ENOMEM or WST_EINVAL (an option out of its range). */
WST_EXTERN WST_MUST_CHECK int wst_server_new(wst_server_t **out, wst_ctx_t *ctx,
                                             const wst_server_options_t *options);

/**
 * Listens on one more address (as in wst_listener_options). An address that other machines can
 * reach needs a callback that authorises for each role that it offers: on_client_request for
 * connect and socks, on_agent_request for agents. At an address of TLS alone, a plain request gets
 * a 400 that says so.
 * @param roles  of enum wst_role (no role: all of HTTP), and of enum wst_listen_flag
 * @return 0; WST_EINSECURE; WST_EINVAL: WST_LISTEN_TLS without a configuration; WST_ESTATE:
 *         draining or closed; else as wst_listener_new.
 */
WST_EXTERN WST_MUST_CHECK int wst_server_listen(wst_server_t *server, const char *address,
                                                unsigned roles);

/** The n-th address that wst_server_listen() has opened, with the real port; NULL after the last.
 */
WST_EXTERN const char *wst_server_address(const wst_server_t *server, size_t n);

/**
 * Replaces the TLS configuration: handshakes that begin later use it; existing connections keep
 * theirs. The protocols of addresses do not change.
 * @param config  a server's configuration; referenced; not NULL
 */
WST_EXTERN void wst_server_set_tls(wst_server_t *server, wst_tls_config_t *config);

/**
 * Replaces bounds and times. Whatever exceeds a new bound stays; operations under way and open
 * streams keep the times and the window they began with.
 * @param limits  NULL: all defaults
 * @return 0; WST_EINVAL: a member out of its range; nothing changes.
 */
WST_EXTERN WST_MUST_CHECK int wst_server_set_limits(wst_server_t *server,
                                                    const wst_server_limits_t *limits);

/**
 * Serves a connection accepted elsewhere as if it came from one of its listeners. Takes the stream
 * on success.
 * @param roles  as of wst_server_listen; a stream over TLS (wst_stream_tls) needs WST_LISTEN_PLAIN
 * @return 0; WST_EINVAL: as wst_server_listen; WST_ELIMIT: max_connections; WST_ESTATE: draining or
 * closed; WST_ENOMEM.
 */
WST_EXTERN WST_MUST_CHECK int wst_server_adopt(wst_server_t *server, wst_stream_t *connection,
                                               unsigned roles);

/** Where flows through this server's agents begin, for front ends of your own (flow.h). Lives as
    long as the server. */
WST_EXTERN wst_ingress_t *wst_server_ingress(wst_server_t *server);

/** A request to open a connection through an agent. */
typedef struct wst_server_dial wst_server_dial_t;

/**
 * Opens a connection through an agent: a flow (flow.h) that hands out its stream. The same
 * questions, bounds, counts, notices and draining apply as to any flow; it lasts until the stream
 * is closed.
 * @param options  the destination, and what is known about the client
 * @param callback  status 0 and a stream that the callback owns; or wst_refusal_info.code:
 *                  WST_ENOAGENT, WST_EDENIED, WST_ELIMIT, WST_EGOAWAY (draining), or a reason
 *                  (WST_EREFUSED, WST_ENAME, WST_EDIALTIMEOUT, ...; error.h); WST_ECANCELLED if
 *                  the server is closed first
 * @return 0 and later the callback, never from inside this call; as wst_flow_new.
 */
WST_EXTERN WST_MUST_CHECK int wst_server_dial(wst_server_dial_t **out, wst_server_t *server,
                                              const wst_flow_options_t *options,
                                              wst_dial_cb callback, void *user_data);

/** Cancels the dial: the agent is told, the callback will not run. Only before the callback has
    run. */
WST_EXTERN void wst_server_dial_cancel(wst_server_dial_t *dial);

/**
 * Stops accepting clients and agents, tells the agents, lets open tunnels and requests finish;
 * on_drained follows when they have finished or the drain deadline has passed. Close the server
 * then.
 */
WST_EXTERN void wst_server_drain(wst_server_t *server);

/** Closes everything: tunnels are reset, agents' WebSockets closed (1001). */
WST_EXTERN void wst_server_close(wst_server_t *server, wst_close_cb close_cb);

/** Figures of a server. */
typedef struct wst_server_stats {
    size_t size;        /**< sizeof the struct (common.h) */
    size_t connections; /**< of clients, agents and monitors */
    size_t agents;
    size_t sessions;
    size_t streams;        /**< open tunnels, requests being forwarded */
    size_t pending;        /**< flows that have not reached their destination */
    size_t handshakes;     /**< of TLS, under way */
    uint64_t tls_failures; /**< handshakes that failed, since the server was made */
} wst_server_stats_t;

/** Fills in the current figures. @return 0; WST_EINVAL: `stats->size` is not set. */
WST_EXTERN int wst_server_get_stats(const wst_server_t *server, wst_server_stats_t *stats);

/** Iterates over the agents: the first one if `after` is NULL, else the one after it; NULL at the
    end. */
WST_EXTERN wst_remote_t *wst_server_next_agent(const wst_server_t *server,
                                               const wst_remote_t *after);

/** The agent that a request for that tenant and name would get: of twins the one with the fewest
    streams. NULL: no such agent. */
WST_EXTERN wst_remote_t *wst_server_find_agent(const wst_server_t *server, const char *tenant,
                                               const char *name);

/**
 * For on_choose: the default choice among the agents of the client's tenant that can take a stream
 * and have not failed this request.
 * @param admits  whether an agent may be chosen; runs within this call, at most once per agent, in
 *                the order of preference, until the first true. So it costs little if most agents
 *                pass; if none passes, it is a scan of all agents of the tenant, including those
 *                that take no stream. NULL: all pass
 * @return NULL: no agent. Answer by wst_request_choose(request, NULL): then the client learns
 *          whether there is no agent or all are full.
 */
WST_EXTERN wst_remote_t *
wst_server_best_agent(wst_server_t *server, const wst_request_t *request,
                      bool (*admits)(const wst_remote_t *agent, void *user_data), void *user_data);

/**
 * As wst_server_best_agent, but only among agents of that name. No other agent is looked at or
 * passed to `admits`.
 */
WST_EXTERN wst_remote_t *
wst_server_best_named(wst_server_t *server, const wst_request_t *request, const char *name,
                      bool (*admits)(const wst_remote_t *agent, void *user_data), void *user_data);

/** How a session of an agent was admitted. */
typedef struct wst_admission {
    size_t size;               /**< set by the library (common.h) */
    const char *name;          /**< the agent's name for itself; NULL: not stated yet */
    const char *tenant;        /**< wst_request_set_tenant, or "" */
    const uint8_t *credential; /**< wst_request_set_credential: 32 bytes; zeros unless set */
} wst_admission_t;

/** Whether a session of an agent may stay. The callback must not call the library. */
typedef bool (*wst_admission_cb)(const wst_admission_t *admission, void *user_data);

/**
 * Ends the sessions of agents that may not stay, with their streams: for when agents' credentials
 * have changed.
 * @param is_valid  runs within this call, once for each session
 */
WST_EXTERN void wst_server_review_agents(wst_server_t *server, wst_admission_cb is_valid,
                                         void *user_data);

#ifdef __cplusplus
}
#endif
#endif
