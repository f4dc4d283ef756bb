/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_SERVER_H
#define WSTUNNEL_SERVER_H
/**
 * @file server.h
 * The server: takes agents' WebSockets and clients' requests by CONNECT and SOCKS5, and joins them;
 * forwards clients' requests for http:// URLs through agents.
 *
 * On each address it offers roles: `CONNECT host:port` and `GET http://host/...` for clients, `GET
 * <path>` with a WebSocket upgrade for agents, `GET /healthz` (200 while it runs) and `GET /readyz`
 * (200 with at least one agent that takes streams, else 503) for monitors; and SOCKS5 (RFC 1928)
 * for clients. Where several protocols are spoken at an address, the first byte of a connection
 * tells which. One that an address does not take is refused in its own terms, and named in the log.
 *
 * A SOCKS5 client asks by CONNECT; BIND and UDP ASSOCIATE are answered 7, an unknown type of
 * address 8, a refused flow by 2 (WST_EDENIED), 4 (WST_EUNREACHABLE, WST_ENAME), 5 (WST_EREFUSED),
 * 6 (WST_EDIALTIMEOUT, WST_ENAMETIMEOUT) or 1; the log tells more. Names are resolved by the agent.
 * From its connection to the end of its request it has head_timeout_ms, and decision_timeout_ms for
 * each question besides; what it sends ahead is kept, up to 32 KiB. SOCKS4 is answered 91.
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
    WST_ROLE_ALL = 7,     /**< of HTTP */
    WST_ROLE_SOCKS = 8    /**< clients: SOCKS5. Where TLS alone is spoken, within TLS */
};

/**
 * How an address is spoken to; combine with the roles by |. Neither: by TLS alone if the server has
 * a configuration for it, else without. Both: the first byte of each connection tells.
 */
enum wst_listen_flag {
    WST_LISTEN_TLS = 256,  /**< https:// proxy, wss:// */
    WST_LISTEN_PLAIN = 512 /**< http:// proxy, ws:// */
};

/** Why an agent's last session is gone. Strings are valid during the call. */
typedef struct wst_agent_down_info {
    size_t size;        /**< set by the library (common.h) */
    int error;          /**< 0: it left orderly; else why the session broke */
    const char *detail; /**< for people */
} wst_agent_down_info_t;

/** What a server asks and tells. Each may be NULL. */
typedef struct wst_server_callbacks {
    size_t size; /**< sizeof the struct (common.h) */
    /** An agent wants to connect (its upgrade request). Answer: allow or deny. NULL: all may. */
    void (*on_agent_request)(wst_server_t *server, wst_request_t *request, void *user_data);
    /** A client wants to be connected. Answer: allow or deny. NULL: all may. */
    void (*on_client_request)(wst_server_t *server, wst_request_t *request, void *user_data);
    /** Which agent, of the client's tenant? Answer: choose or deny. Asked for each tunnel and each
        request; requests in a row share a connection to their origin as long as the same agent is
        chosen. NULL: the one with the fewest streams, of several the one that has had so few for
        longest; one that leaves a ping unanswered comes last. */
    void (*on_choose)(wst_server_t *server, wst_request_t *request, void *user_data);

    /** The agent has opened the connection (wst_request_address, wst_request_remote), or it is one
        that an earlier request has left; the client has not been told. May it have it? Answer:
       allow or deny. NULL: it may. */
    void (*on_reached)(wst_server_t *server, wst_request_t *request, void *user_data);

    /** An agent's first session is there. The pointer is valid until on_agent_down has returned. */
    void (*on_agent_up)(wst_server_t *server, wst_remote_t *agent, void *user_data);
    /** Its last session is gone. */
    void (*on_agent_down)(wst_server_t *server, wst_remote_t *agent,
                          const wst_agent_down_info_t *info, void *user_data);
    /** A tunnel is open (the client has been answered 200), and over; or a request begins to be
        forwarded, and that is over. One that becomes another protocol goes on as a tunnel. */
    void (*on_stream_open)(wst_server_t *server, const wst_stream_info_t *info, void *user_data);
    void (*on_stream_close)(wst_server_t *server, const wst_stream_info_t *info, void *user_data);
    /** A client's request was not served. */
    void (*on_refused)(wst_server_t *server, const wst_refusal_info_t *info, void *user_data);
    /** An agent was not let in: its upgrade was refused, or what it said in its hello. */
    void (*on_agent_refused)(wst_server_t *server, const wst_refusal_info_t *info, void *user_data);
    /** After wst_server_drain: nothing is open any more, or the drain deadline has passed. */
    void (*on_drained)(wst_server_t *server, void *user_data);

    /**
     * A SOCKS client greets: must it log in, and is what it says right? The request has no head and
     * no destination. It is asked first without credentials. Allow: it need not log in, for its
     * certificate tells who it is, say. Deny with 407: it must, by name and password (RFC 1929);
     * with any other status: it may not come in at all. Then with credentials (wst_request_basic):
     * allow or deny; also asked after the client was allowed if it insists on logging in.
     * After an allow on_client_request is asked about an authenticated client, of the user and
     * tenant that were set here. Denials are told to on_refused, but for a 407 that the client can
     * follow. NULL: nobody must log in, and on_client_request is asked about a client that has not
     * been authenticated.
     */
    void (*on_client_login)(wst_server_t *server, wst_request_t *request, void *user_data);
} wst_server_callbacks_t;

/** Bounds and times of a server; see wst_server_set_limits. */
typedef struct wst_server_limits {
    size_t size;                /**< sizeof the struct (common.h) */
    size_t max_connections;     /**< Optional (default: 10000, or the descriptor limit less 64 if
                                     that is lower): clients, agents and monitors together; further
                                     ones wait in the kernel. */
    size_t max_pending;         /**< Optional (default 1024): flows that have not reached their
                                     destination yet, whatever asked for them; further requests
                                     get 503. */
    uint32_t max_agent_streams; /**< Optional (default 1024): streams an agent's session carries;
                                     the agent may state less. */
    size_t max_agent_sessions;  /**< Optional (default 1024): sessions of all agents. */
    size_t max_handshakes;      /**< Optional (default 512): TLS handshakes under way, about 40 KiB
                                     each; further connections wait for their turn, unread. While
                                     any does, a handshake may take a quarter of tls_timeout_ms. */
    size_t stream_window;       /**< Optional (default 32768): bytes an agent may send ahead on a
                                     stream; 1024..2^30. */
    size_t stream_window_max;   /**< Optional (default 4 MiB): as far as a stream's window grows,
                                     either way, where the round trip asks for it and the memory
                                     budget has it to lend; 1024..2^30. At or below stream_window:
                                     not at all. */

    uint64_t tls_timeout_ms;         /**< Optional (default 10000): from a connection, at an address
                                          with TLS, to the end of its handshake. One that has said
                                          nothing by then is closed silently. */
    uint64_t head_timeout_ms;        /**< Optional (default 10000): a request's head; of SOCKS, all
                                          messages of the client together. */
    uint64_t decision_timeout_ms;    /**< Optional (default 10000): each question; then 504. */
    uint64_t hello_timeout_ms;       /**< Optional (default 10000): an agent's hello. */
    uint64_t dial_timeout_ms;        /**< Optional (default 15000): the agent's answer; then 504. */
    uint64_t half_closed_timeout_ms; /**< Optional (default 600000): half-closed and silent. */
    uint64_t ping_interval_ms;       /**< Optional (default 15000). */
    uint64_t dead_after_ms;          /**< Optional (default 45000): an agent without a byte. */
    uint64_t drain_timeout_ms;       /**< Optional (default 30000). */
} wst_server_limits_t;

/** Options of a server; every other member may be left zero. */
typedef struct wst_server_options {
    size_t size;                             /**< sizeof the struct (common.h) */
    const wst_server_callbacks_t *callbacks; /**< Optional. */
    void *user_data;

    wst_protocol_t protocol; /**< Optional (default WST_PROTOCOL_WSTUNNEL): what agents speak. With
                                  WST_PROTOCOL_TALK an agent is an address without its port, each of
                                  its WebSockets a session that carries one stream, ever; a dial
                                  waits for one if all are in use. */
    wst_tls_config_t *tls;   /**< Optional (default: no TLS); a server's, referenced. See enum
                                  wst_listen_flag and wst_server_set_tls. */
    const char *path;        /**< Optional (default "/websocket"): where agents connect. */
    const wst_http_limits_t *http; /**< Optional: bounds of request heads. */
    bool allow_open;   /**< Listen beyond this machine though a role has no authentication. */
    bool allow_origin; /**< Accept agents' upgrades with an Origin field (from web pages). */

    const wst_server_limits_t *limits; /**< Optional: bounds and times. */
} wst_server_options_t;

/** Makes a server. @return 0, WST_ENOMEM or WST_EINVAL (an option out of its range). */
WST_EXTERN WST_MUST_CHECK int wst_server_new(wst_server_t **out, wst_ctx_t *ctx,
                                             const wst_server_options_t *options);

/**
 * Listens on one more address (as in wst_listener_options). An address that other machines can
 * reach needs a callback that authorises for each role that it offers: on_client_request for
 * connect and socks, on_agent_request for agents. Where TLS alone is spoken, a plain request is
 * answered 400, saying so.
 * @param roles  of enum wst_role (none: all of HTTP), and of enum wst_listen_flag
 * @return 0; WST_EINSECURE; WST_EINVAL: WST_LISTEN_TLS without a configuration; WST_ESTATE:
 *         draining or closed; else as wst_listener_new.
 */
WST_EXTERN WST_MUST_CHECK int wst_server_listen(wst_server_t *server, const char *address,
                                                unsigned roles);

/** The n-th address that wst_server_listen() has opened, with the real port; NULL behind the last.
 */
WST_EXTERN const char *wst_server_address(const wst_server_t *server, size_t n);

/**
 * Another configuration from now on: connections that begin their handshake later get it; those
 * that are there stay as they are. What addresses speak does not change.
 * @param config  a server's; referenced; not NULL
 */
WST_EXTERN void wst_server_set_tls(wst_server_t *server, wst_tls_config_t *config);

/**
 * Other bounds and times from now on. What exceeds a bound stays, and what has begun keeps the
 * times and the window it began with.
 * @param limits  NULL: all defaults
 * @return 0; WST_EINVAL: a member out of its range; nothing has changed.
 */
WST_EXTERN WST_MUST_CHECK int wst_server_set_limits(wst_server_t *server,
                                                    const wst_server_limits_t *limits);

/**
 * Serves a connection accepted elsewhere as if it came from one of its listeners. Takes the stream
 * on success.
 * @param roles  as of wst_server_listen; a stream that is TLS already (wst_stream_tls) needs
 *               WST_LISTEN_PLAIN
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
 * Opens a connection through an agent: a flow (flow.h) that hands out its stream. It is asked
 * about, bounded, counted, noticed and drained like any other; it lasts until the stream is closed.
 * @param options   the destination, and what is known of who asks
 * @param callback  status 0 and a stream that the callback owns; or wst_refusal_info.code:
 *                  WST_ENOAGENT, WST_EDENIED, WST_ELIMIT, WST_EGOAWAY (draining), or a reason
 *                  (WST_EREFUSED, WST_ENAME, WST_EDIALTIMEOUT, ...; error.h); WST_ECANCELLED if
 *                  the server is closed first
 * @return 0 and later the callback, never from inside this call; as wst_flow_new.
 */
WST_EXTERN WST_MUST_CHECK int wst_server_dial(wst_server_dial_t **out, wst_server_t *server,
                                              const wst_flow_options_t *options,
                                              wst_dial_cb callback, void *user_data);

/** Gives up: the agent is told, the callback will not run. Only before it has run. */
WST_EXTERN void wst_server_dial_cancel(wst_server_dial_t *dial);

/**
 * Stops taking clients and agents, tells the agents, lets open tunnels and requests finish;
 * on_drained follows when they have or the drain deadline has passed. Close the server then.
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

/** Fills in the figures of this moment. @return 0; WST_EINVAL: `stats->size` is not set. */
WST_EXTERN int wst_server_get_stats(const wst_server_t *server, wst_server_stats_t *stats);

/** The agents: the first one (`after` NULL), the next one, NULL at the end. */
WST_EXTERN wst_remote_t *wst_server_next_agent(const wst_server_t *server,
                                               const wst_remote_t *after);

/** The agent of that tenant and name that a request for it would be given: of twins the one with
   the fewest streams. NULL: there is none. */
WST_EXTERN wst_remote_t *wst_server_find_agent(const wst_server_t *server, const char *tenant,
                                               const char *name);

/**
 * For on_choose: the agent that would be taken by default, of those of the client's tenant that can
 * take a stream and have not failed to for this request.
 * @param admits  which agents may be taken; runs within this call, once for each that it asks
 * about: in the order in which they would be taken, until the first yes. So it costs little if most
 * may be taken; if none may, it is a scan of all agents of the tenant, those that take no stream
 * included. NULL: all may
 * @return NULL: none. Tell by wst_request_choose(request, NULL): then the client learns why,
 * whether there is none, or all of those are full.
 */
WST_EXTERN wst_remote_t *
wst_server_best_agent(wst_server_t *server, const wst_request_t *request,
                      bool (*admits)(const wst_remote_t *agent, void *user_data), void *user_data);

/**
 * As wst_server_best_agent, of the agents of that name alone. They are found without looking at any
 * other, and `admits` is asked about no other.
 */
WST_EXTERN wst_remote_t *
wst_server_best_named(wst_server_t *server, const wst_request_t *request, const char *name,
                      bool (*admits)(const wst_remote_t *agent, void *user_data), void *user_data);

/** By what a session of an agent has been let in. */
typedef struct wst_admission {
    size_t size;               /**< set by the library (common.h) */
    const char *name;          /**< what the agent calls itself; NULL: it has not said so yet */
    const char *tenant;        /**< wst_request_set_tenant, or "" */
    const uint8_t *credential; /**< wst_request_set_credential: 32 bytes; zeros unless set */
} wst_admission_t;

/** Whether a session of an agent may stay. It may not call the library. */
typedef bool (*wst_admission_cb)(const wst_admission_t *admission, void *user_data);

/**
 * Ends the sessions of agents that may not stay, and what runs through them: for when agents'
 * credentials have changed.
 * @param is_valid  runs within this call, once for each session
 */
WST_EXTERN void wst_server_review_agents(wst_server_t *server, wst_admission_cb is_valid,
                                         void *user_data);

#ifdef __cplusplus
}
#endif
#endif
