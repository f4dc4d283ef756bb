/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_PORT_H
#define WSTUNNEL_PORT_H
/**
 * @file port.h
 * A port: an address of a server that leads to one destination. Each connection to it becomes a
 * flow (flow.h) to that destination through an agent: for clients without proxy support.
 *
 *     client --TCP--> port of the server ==an agent==> destination
 *
 * The port does not wait for a client's bytes, so protocols in which the server speaks first (ssh,
 * SMTP, MySQL) begin at once. While the flow is under way up to 32 KiB from the client are kept for
 * the destination, more bytes wait in the kernel; a client that resets the connection, or ends it
 * before it has sent a byte, cancels the flow. If the flow is refused the client's connection is
 * reset, and on_refused (server.h) and the log give the reason.
 *
 * A client that speaks first waits one round trip less: up to 4 KiB of what it has sent go to the
 * agent with the request, if that takes them (one of this version does), and are delivered once the
 * destination is connected. If that agent's session is lost before it has answered, the client is
 * reset, since its bytes may have been delivered; other clients are then served by another agent.
 * If on_reached is set, the bytes wait for its answer unless wst_request_allow_early() lets them
 * go.
 *
 * A port asks for no password: any client that reaches the address can use it. It listens with or
 * without an agent. Its connections count towards the server's max_connections, of which each
 * source has its share (wst_server_limits); further clients wait in the kernel.
 */
#include <wstunnel/server.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A port. */
typedef struct wst_port wst_port_t;

/** Options of a port. */
typedef struct wst_port_options {
    size_t size;             /**< sizeof the struct (common.h) */
    const char *listen;      /**< Required. As wst_listener_options.address. */
    const char *destination; /**< Required. "host:port", "[v6]:port". */
    const char *agent;       /**< Optional. An agent of this name, at most 64 bytes. */

    /** Optional. An agent that has all of these: at most 32 of at most 127 bytes; NULL-terminated.
     */
    const char *const *labels;

    /** Optional. User of the flows, at most 127 bytes. With a user they count as authenticated
        (wst_flow_options.authenticated); without one on_client_request, if set, sees a client
        without credentials. */
    const char *user;
    const char *tenant; /**< Optional. Tenant of the flows, at most 127 bytes. */

    bool open;       /**< Listen even if other machines can reach the address. */
    void *user_data; /**< For close_cb. */
} wst_port_options_t;

/**
 * Listens on an address for a destination.
 * @return 0; WST_EINVAL: an address that cannot be parsed, no destination, a text too long;
 *         WST_EDEST: the destination cannot be parsed; WST_EINSECURE: other machines can reach the
 *         address and it is not `open`; WST_ESTATE: the server drains or is closed; else as
 *         wst_listener_new.
 */
WST_EXTERN WST_MUST_CHECK int wst_port_new(wst_port_t **out, wst_server_t *server,
                                           const wst_port_options_t *options);

/** The bound address, with the real port; lives as long as the port. */
WST_EXTERN const char *wst_port_address(const wst_port_t *port);

/** The listening socket, for a successor of the process; it stays the port's. -1: the server
    drains. */
WST_EXTERN int wst_port_descriptor(const wst_port_t *port);

/**
 * Stops listening, and resets the clients whose destination has not been reached yet. Relayed
 * connections continue.
 *
 * A draining server stops listening by itself, while the flows under way finish. Closing the server
 * closes its ports: do not use a port after wst_server_close().
 */
WST_EXTERN void wst_port_close(wst_port_t *port, wst_close_cb close_cb);

#ifdef __cplusplus
}
#endif
#endif
