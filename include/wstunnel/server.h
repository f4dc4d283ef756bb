/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_SERVER_H
#define WSTUNNEL_SERVER_H
/**
 * @file server.h
 * The server: accepts agents' WebSockets and clients' CONNECT and SOCKS5 requests,
 * and joins them; forwards clients' requests for "http://" URLs through agents.
 *
 * On each address it offers roles: `CONNECT host:port` and `GET http://host/...` for clients, and
 * `GET /proxy.pac` if there is such a file (wst_server_set_pac); `GET <path>` with a WebSocket
 * upgrade for agents; `GET /healthz` (200 while it runs) and `GET /readyz` (200 with at least one
 * agent that takes streams, else 503) for monitors; and SOCKS5 (RFC 1928) for clients. At an
 * address with several protocols, the first byte of a connection selects one. A
 * protocol that the address does not offer is refused in its own terms, and named in the log.
 *
 * SOCKS5 clients may use CONNECT only; BIND and UDP ASSOCIATE are answered 7, an unknown address
 * type 8, a refused flow 2 (WST_EDENIED), 4 (WST_EUNREACHABLE, WST_ENAME), 5 (WST_EREFUSED), 6
 * (WST_EDIALTIMEOUT, WST_ENAMETIMEOUT) or 1; the log has the details. The agent resolves names. The
 * client has head_timeout_ms from its connection to the end of its request, plus
 * decision_timeout_ms for each question; bytes it sends ahead are kept, up to 32 KiB. SOCKS4 is
 * answered 91.
 *
 * Behind a proxy the server learns the addresses of clients and agents from it, if the proxy is
 * trusted (wst_server_options.trust): by the header of the PROXY protocol (versions 1 and 2, see
 * WST_LISTEN_PROXY), or request by request, by Forwarded (RFC 7239) or X-Forwarded-For. Of the
 * latter the rightmost hop that is not trusted counts. If both fields are there and name different
 * clients, neither counts. An address told by a proxy is used everywhere in place of the
 * connection's, with port 0 if no port was told, unless it is a loopback address, unspecified or no
 * IP address: nobody can claim to be on this machine.
 *
 * A request for the role connect or agents that bears Forwarded or a field X-Forwarded-* has come
 * by a proxy, so it is refused (403) if the role has no authentication, even where only this
 * machine can connect: whoever can reach the proxy could use the role.
 * (wst_server_options.allow_open allows it.)
 *
 * An agent is one process: a name and an instance. It may hold several WebSockets (sessions). A new
 * session with the same name, instance and conn and a higher epoch replaces its predecessor at
 * once; another instance of a name is a twin, and both serve.
 */
#include <wstunnel/codec.h>
#include <wstunnel/ctx.h>
#include <wstunnel/dial.h>
#include <wstunnel/flow.h>
#include <wstunnel/histogram.h>
#include <wstunnel/pac.h>
#include <wstunnel/remote.h>
#include <wstunnel/request.h>
#include <wstunnel/tls.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A server. */
typedef struct wst_server wst_server_t;

/** What an address offers; combine with |. */
enum wst_role {
    WST_ROLE_CONNECT = 1, /**< clients: CONNECT, and requests for "http://" URLs */
    WST_ROLE_AGENTS = 2,  /**< agents: the WebSocket upgrade */
    WST_ROLE_HEALTH = 4,  /**< /healthz and /readyz */
    WST_ROLE_ALL = 7,     /**< all roles of HTTP */
    WST_ROLE_SOCKS = 8,   /**< clients: SOCKS5; inside TLS at an address of TLS alone */
    WST_ROLE_ADMIN = 16 /**< operators: on_admin_connection; at an address of its own. No tunnel of
                             this server leads there. */
};

/**
 * Whether an address speaks TLS; combine with the roles by |. Neither: TLS alone if the server has
 * a configuration for it, else plain. Both: the first byte of each connection decides.
 */
enum wst_listen_flag {
    WST_LISTEN_TLS = 256,   /**< a proxy "https://", "wss://" */
    WST_LISTEN_PLAIN = 512, /**< a proxy "http://", "ws://" */
    /** Every connection begins with the header of the PROXY protocol, version 1 or 2 (HAProxy's
        doc/proxy-protocol.txt), before TLS. Only trusted peers may send it
       (wst_server_options.trust): connections of others, and those without a header, are closed and
       logged. The header is at most 4096 bytes long, TLVs included, and must come within the time
       of the handshake or, at an address without TLS, of the head. With LOCAL, UNKNOWN, UNSPEC and
       AF_UNIX the proxy's own address counts. */
    WST_LISTEN_PROXY = 1024
};

/** Why an agent's last session is gone. Strings are valid during the call. */
typedef struct wst_agent_down_info {
    size_t size;        /**< set by the library (common.h) */
    int error;          /**< 0: orderly close; else why the session broke */
    const char *detail; /**< for people */
} wst_agent_down_info_t;

/** A session of an agent has lost its connection and waits for another one. */
typedef struct wst_agent_suspended_info {
    size_t size;        /**< set by the library (common.h) */
    uint32_t conn;      /**< which of the agent's sessions, from 0 */
    int error;          /**< 0: the connection was closed in order; else why it broke */
    const char *detail; /**< for people */
    size_t streams;     /**< that wait with it */
    uint64_t grace_ms;  /**< how long it waits */
} wst_agent_suspended_info_t;

/** A session of an agent goes on with another connection. */
typedef struct wst_agent_resumed_info {
    size_t size;        /**< set by the library (common.h) */
    uint32_t conn;      /**< which of the agent's sessions, from 0 */
    uint64_t outage_ms; /**< since the loss was seen; 0: it was not seen */
    size_t streams;     /**< that go on */
} wst_agent_resumed_info_t;

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
        request has left it; the client has not been told, and the connection has carried nothing of
        it but what wst_request_allow_early() has let go. May the client use it? Answer: allow or
        deny. NULL: it may. */
    void (*on_reached)(wst_server_t *server, wst_request_t *request, void *user_data);

    /** An agent's first session is up. The pointer is valid until on_agent_down has returned. */
    void (*on_agent_up)(wst_server_t *server, wst_remote_t *agent, void *user_data);
    /** An agent's last session is gone. */
    void (*on_agent_down)(wst_server_t *server, wst_remote_t *agent,
                          const wst_agent_down_info_t *info, void *user_data);
    /** A tunnel opens (the client has been answered 200), or the forwarding of a request begins. A
        request that switches to another protocol continues as a tunnel. */
    void (*on_stream_open)(wst_server_t *server, const wst_stream_info_t *info, void *user_data);
    /** What on_stream_open has announced has ended. */
    void (*on_stream_close)(wst_server_t *server, const wst_stream_info_t *info, void *user_data);
    /** A client's request was not served; or a connection of a client, an agent or a monitor was
        closed before a request (http_status 0): because its source took too much (WST_ELIMIT or
        WST_EMEMORY), its TLS handshake failed (WST_ETLS), its PROXY header was malformed or late
        (WST_EPROTO), or its peer is not trusted to send one (WST_EDENIED). The library's own line
        about it is of level debug then, as about an agent with the next callback: log refusals
        yourself, bound their number, and escape what the peer sent (wst_log_escape). */
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

    /** A session of an agent is suspended: its connection is lost, its streams wait. It is resumed,
        or it ends; on_agent_down follows when the agent's last session has ended. */
    void (*on_agent_suspended)(wst_server_t *server, wst_remote_t *agent,
                               const wst_agent_suspended_info_t *info, void *user_data);
    /** A session goes on with another connection, perhaps from another address
        (wst_remote_peer). */
    void (*on_agent_resumed)(wst_server_t *server, wst_remote_t *agent,
                             const wst_agent_resumed_info_t *info, void *user_data);

    /** A connection at an address with the role admin, behind its TLS handshake and the header of a
        proxy: serve it, say by wst_admin_serve (admin.h). The callee owns the stream, which is
        paused, and answers for who may use it. NULL: no such address can be opened. */
    void (*on_admin_connection)(wst_server_t *server, wst_stream_t *connection, void *user_data);
} wst_server_callbacks_t;

/**
 * Bounds and times of a server; see wst_server_set_limits.
 *
 * Users share max_streams, max_pending and the memory budget (ctx.h). A user is a name
 * (wst_request_set_user) within a tenant; clients without a name are one user for each IPv4
 * address, for each IPv6 /64, and for this machine. A user may take more while it has less than 16
 * times what is free; of max_pending, and of the 256 connections that an agent opens at a time by
 * default, twice what is free; those above its share at an agent wait for their turn, for at most
 * dial_timeout_ms. A connection to a name that the agent has not answered for, be it that the
 * client has left, counts there for 30 s more, since the agent cannot stop a look-up. A tenant's
 * users together: 64 and 8 times. So one user alone can have 94 % (two thirds), and leaves some for
 * others; users that want more than there is come to have the same. The members without a default
 * are further bounds, which apply even if nobody else needs anything.
 *
 * Sources share max_connections: IPv4 addresses, IPv6 /64s, and the peers on Unix sockets, which
 * are one. They likewise share the memory of connections of which no request has been admitted yet:
 * half of the memory budget and at least 1 MiB, beside that budget, so that neither streams nor
 * strangers can take the other's. Each takes 6 KiB, or 44 KiB with TLS, and what is there of an
 * incomplete head. A source may have more connections and memory while it has less than 16 times
 * what is free, so it never has all. What is over is closed at once, before TLS (on_refused). The
 * connections of trusted proxies count for no source until their PROXY header has told one.
 *
 * Addresses without the roles connect and socks, for agents or monitors alone, have something that
 * the other addresses and ports leave to them, if there are such addresses: a sixteenth (at least
 * 4, at most half) of max_connections, of that memory, of max_handshakes and of the process's
 * descriptors. There they are served whatever clients do elsewhere.
 */
typedef struct wst_server_limits {
    size_t size;                /**< sizeof the struct (common.h) */
    size_t max_connections;     /**< Optional (default: 12288, or the descriptor limit less 64 if
                                     that is lower): clients, agents and monitors together; further
                                     connections wait in the kernel. See above. */
    size_t max_pending;         /**< Optional (default 1024): flows of any origin that have not
                                     reached their destination yet; further requests get 503. */
    uint32_t max_agent_streams; /**< Optional (default 16384): streams per session of an agent; the
                                     agent may state less. */
    size_t max_agent_sessions;  /**< Optional (default 1024): sessions of all agents. */
    size_t max_handshakes;      /**< Optional (default 512): TLS handshakes under way, about 40 KiB
                                     each; further connections wait for their turn, unread, those
                                     of a source with more than a sixteenth of it behind all
                                     others. While any waits, a handshake may take a quarter of
                                     tls_timeout_ms. */
    size_t stream_window;       /**< Optional (default 12288): bytes an agent may send ahead on a
                                     stream; 1024..2^30. */
    size_t stream_window_max;   /**< Optional (default 96 MiB): up to which a stream's window grows,
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

    size_t max_streams;        /**< Optional (default 16384): flows of any origin, from the request
                                    to the end; further requests get 503. */
    size_t max_user_streams;   /**< Optional: of them, those of one user (see above). */
    size_t max_tenant_streams; /**< Optional: of them, those of one tenant. */
    size_t max_user_memory;    /**< Optional: bytes of the memory budget that streams of one user
                                    may take. */
    size_t max_tenant_memory;  /**< Optional: the same of one tenant. */
    size_t max_agent_memory;   /**< Optional: the same of one session of an agent. */

    uint64_t resume_grace_ms; /**< Optional (default 60000): how long the streams of an agent wait
                                   when its connection is lost; a session without streams waits at
                                   most dial_timeout_ms. At most a day. While agents wait to be let
                                   in (max_connections, max_handshakes), up to twice as long. A
                                   session ends earlier if a client needs memory, suspended
                                   sessions hold more than half of the memory budget, and it has
                                   been suspended for the longest time. */
    uint64_t drain_delay_ms; /**< Optional (default 0): from wst_server_drain on, clients and agents
                                  are served as ever for so long, while /readyz says 503. A load
                                  balancer that looks at it less than so much apart sends nobody to
                                  an address that has been closed. */
} wst_server_limits_t;

/** Options of a server; every other member may be left zero. */
typedef struct wst_server_options {
    size_t size;                             /**< sizeof the struct (common.h) */
    const wst_server_callbacks_t *callbacks; /**< Optional. */
    void *user_data;                         /**< For the callbacks and close_cb. */

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

    /** Optional (default: none), NULL-terminated, copied. The proxies that are trusted to tell
       whose connection or request they pass on: addresses ("192.0.2.7"), networks ("10.0.0.0/8",
        "2001:db8::/32") or "unix:" for all peers on Unix sockets. */
    const char *const *trust;

    bool no_resume; /**< The streams of an agent end with its connection. */
} wst_server_options_t;

/** Makes a server. @return 0, WST_ENOMEM or WST_EINVAL (an option out of its range; a log line
   tells what is wrong with `trust`). */
WST_EXTERN WST_MUST_CHECK int wst_server_new(wst_server_t **out, wst_ctx_t *ctx,
                                             const wst_server_options_t *options);

/**
 * Listens on one more address (as in wst_listener_options). An address that other machines can
 * reach needs a callback that authorises for each role that it offers: on_client_request for
 * connect and socks, on_agent_request for agents. So does an address with WST_LISTEN_PROXY,
 * wherever it is. At an address of TLS alone, a plain request gets a 400 that says so.
 * @param roles  of enum wst_role (no role: all of HTTP), and of enum wst_listen_flag
 * @return 0; WST_EINSECURE (a descriptor that was given is closed); WST_EINVAL: WST_LISTEN_TLS
 *         without a configuration, WST_LISTEN_PROXY while no peer is trusted, or WST_ROLE_ADMIN
 *         with another role or without on_admin_connection; WST_ESTATE: draining or closed; else
 *         as wst_listener_new.
 */
WST_EXTERN WST_MUST_CHECK int wst_server_listen(wst_server_t *server, const char *address,
                                                unsigned roles);

/** The n-th address that wst_server_listen() has opened, with the real port; NULL after the last.
    While the server drains: of those that are still open. */
WST_EXTERN const char *wst_server_address(const wst_server_t *server, size_t n);

/** The listening socket of the n-th address, for a successor of the process; it stays the server's.
    -1 after the last. */
WST_EXTERN int wst_server_descriptor(const wst_server_t *server, size_t n);

/**
 * Replaces the TLS configuration: handshakes that begin later use it; existing connections keep
 * theirs. The protocols of addresses do not change.
 * @param config  a server's configuration; referenced; not NULL
 */
WST_EXTERN void wst_server_set_tls(wst_server_t *server, wst_tls_config_t *config);

/**
 * Sets the proxy auto-config file that `GET /proxy.pac` is answered with at addresses with the role
 * connect; at first there is none. Like /healthz it is served without authentication, since
 * browsers load it so: whoever reaches the address can read its patterns.
 * @param pac  taken, and freed with the server; NULL: none any more
 */
WST_EXTERN void wst_server_set_pac(wst_server_t *server, wst_pac_t *pac);

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
 * @return 0; WST_EINVAL: as wst_server_listen; WST_ELIMIT: max_connections, or the source's share
 * of them; WST_EMEMORY: the same of memory; WST_ESTATE: draining or closed; WST_ENOMEM.
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
 * then. With drain_delay_ms it is only /readyz that changes at first.
 *
 * All addresses are closed, but for two kinds. Those whose only role is
 * health stay open to the end: /healthz says 200, /readyz 503. Those whose only role is agents stay
 * open while there are tunnels whose agent could come back. An agent that continues its session is
 * let in there, any other refused (503, Retry-After). If there is no such address, the tunnels of
 * an agent end with its connection. An address that a successor of the process must be able to take
 * over during the drain needs several roles, such as WST_ROLE_AGENTS and WST_ROLE_HEALTH.
 *
 * Sockets that the server has inherited ("fd:3") are left to the successor of the process at once,
 * even before drain_delay_ms: connections wait in the kernel, but for those at addresses that stay
 * open.
 */
WST_EXTERN void wst_server_drain(wst_server_t *server);

/**
 * Leaves all addresses and ports to a successor of the process that has the same sockets
 * (wst_server_descriptor, wst_port_descriptor) and listens already: accepts no connection there any
 * more, whatever its role, and has the agents connect to the successor. All else goes on until
 * wst_server_drain(), which should follow, with some drain_delay_ms, so that connections accepted
 * before are served. Files of Unix sockets stay. An agent that loses its connection meanwhile
 * reaches the successor. It comes back to its streams if that hands it back
 * (wst_server_successor_socket); otherwise they are lost.
 */
WST_EXTERN void wst_server_hand_over(wst_server_t *server);

/**
 * Makes a socket for a successor of the process, which gives it to its server
 * (wst_server_set_predecessor). By it the successor hands back the connections of agents whose
 * sessions are here. They are let in to continue a session, also while this server drains, as long
 * as one has streams; nobody else is. The socket has no name, so no other process can connect to
 * it. The successor is trusted: its word counts for who the agent is and where it connects from,
 * and on_agent_request is not asked again; the session's secret must still be proved.
 *
 * Call it for each attempt to start a successor: the socket of the last one is closed.
 * @return the socket, which stays the server's until wst_server_hand_over() closes it, and is
 *         closed on exec: give the successor a copy; WST_ESTATE: handed over, draining or closed;
 *         WST_ENOMEM; libuv's error
 */
WST_EXTERN WST_MUST_CHECK int wst_server_successor_socket(wst_server_t *server);

/**
 * For a server that has taken over addresses: from now on it hands back to the predecessor an agent
 * that it has admitted and that wants to continue a session of the predecessor, or of one before
 * that. The agent's bytes pass through this process then. If the predecessor does not take the
 * agent within decision_timeout_ms, or is gone, the agent gets a new session here.
 *
 * A connection that is handed back counts in max_connections, and for a drain it is a tunnel. A
 * drain that follows wst_server_hand_over() waits for the end of the predecessor, too, since agents
 * may come back by this server.
 * @param socket  what wst_server_successor_socket() has made; the server takes it on success
 * @return 0; WST_EPROTO: the predecessor is of a version that is not known; WST_ESTATE: there is
 *         one, or the server drains or is closed; WST_ENOMEM; libuv's error: it is no such socket
 */
WST_EXTERN WST_MUST_CHECK int wst_server_set_predecessor(wst_server_t *server, int socket);

/** Whether wst_server_drain has been called. */
WST_EXTERN bool wst_server_is_draining(const wst_server_t *server);

/** Closes everything: tunnels are reset, agents' WebSockets closed (1001). */
WST_EXTERN void wst_server_close(wst_server_t *server, wst_close_cb close_cb);

/** Figures of a server. */
typedef struct wst_server_stats {
    size_t size;           /**< sizeof the struct (common.h) */
    size_t connections;    /**< of clients, agents and monitors */
    size_t agents;         /**< processes, suspended ones included */
    size_t sessions;       /**< of agents, suspended ones included */
    size_t streams;        /**< open tunnels, requests being forwarded */
    size_t pending;        /**< flows that have not reached their destination */
    size_t handshakes;     /**< of TLS, under way */
    uint64_t tls_failures; /**< handshakes that failed, since the server was made */
    uint64_t turned_away;  /**< connections closed since then because their source, or all, took too
                                much (wst_server_limits) */

    size_t suspended;         /**< sessions of agents that wait for another connection */
    size_t suspended_bytes;   /**< of the memory budget that their streams hold */
    uint64_t resumes;         /**< sessions that went on, since the server was made; likewise: */
    uint64_t resumes_refused; /**< sessions that agents wanted to continue in vain */
    uint64_t suspended_lost;  /**< suspended sessions that ended */

    uint64_t streams_opened;   /**< tunnels and forwarded requests since the server was made */
    uint64_t refused;          /**< requests of clients that were not served: on_refused, but for
                                    connections closed before a request */
    uint64_t agents_refused;   /**< agents that were not admitted */
    uint64_t bytes_to_agents;  /**< of streams, from clients, those that are open now included */
    uint64_t bytes_to_clients; /**< the same, from agents */
} wst_server_stats_t;

/** Fills in the current figures. @return 0; WST_EINVAL: `stats->size` is not set. */
WST_EXTERN int wst_server_get_stats(const wst_server_t *server, wst_server_stats_t *stats);

/**
 * How many requests of clients were not served, by kind: the n-th kind there is.
 * @param error  set to a type of RFC 9209 section 2.3, as in wst_refusal_info.error, or to "other"
 *               for those that a callback has made up; static
 * @param count  set to the number since the server was made; `refused` is the sum of all
 * @return false: there are not so many kinds
 */
WST_EXTERN bool wst_server_refusals(const wst_server_t *server, size_t n, const char **error,
                                    uint64_t *count);

/** How long it took from requests to open connections, for all streams since the server was made.
    @return as wst_server_get_stats */
WST_EXTERN int wst_server_dial_times(const wst_server_t *server, wst_histogram_t *histogram);

/** How long it took until agents answered pings, for all pings since the server was made. During a
    bulk transfer there are many. @return as wst_server_get_stats */
WST_EXTERN int wst_server_round_trips(const wst_server_t *server, wst_histogram_t *histogram);

/** Ends all sessions of an agent, with their streams. It may come back: to keep it out, refuse it
   at on_agent_request. on_agent_down follows from the loop. */
WST_EXTERN void wst_server_end_agent(wst_server_t *server, const wst_remote_t *agent);

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
 * @return NULL: no agent. Answer by `wst_request_choose(request, NULL)`: then the client learns
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

/**
 * Whether a flow may go on. A flow that does not relay yet has `id` 0, and no `address` unless it
 * has reached one. The callback must not call the library.
 * @return NULL: it may; else why not, for people; copied
 */
typedef const char *(*wst_flow_review_cb)(const wst_stream_info_t *info, void *user_data);

/**
 * Ends the flows that may not go on: for when users have been removed, or rules tightened. Both
 * connections of such a flow are reset, or the client is refused (403) if it has not been answered;
 * on_stream_close with WST_EDENIED, or on_refused, follows from the loop and tells why.
 * @param review  runs within this call, once for each flow whose client has been allowed, unless no
 *                question is asked about the flow (wst_flow_options.unasked)
 */
WST_EXTERN void wst_server_review_flows(wst_server_t *server, wst_flow_review_cb review,
                                        void *user_data);

#ifdef __cplusplus
}
#endif
#endif
