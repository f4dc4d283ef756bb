/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_LISTENER_H
#define WSTUNNEL_LISTENER_H
/**
 * @file listener.h
 * Listens on a TCP address or a Unix socket and hands out streams. Those of a loopback address use
 * the congestion control Reno: BBR would pace them.
 */
#include <wstunnel/stream.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A listener. */
typedef struct wst_listener wst_listener_t;

/** Options of a listener. */
typedef struct wst_listener_options {
    size_t size; /**< sizeof the struct (common.h) */
    /**
     * Required. "127.0.0.1:8080", "[::1]:8080", ":8080" (all addresses, IPv6 and IPv4), or
     * "unix:/path". Names are not resolved, except "localhost" (127.0.0.1). Port 0: any free one. A
     * Unix socket's file is replaced if no process listens on it any more, and removed at the end.
     *
     * "fd:3": a descriptor of this process that listens already, of TCP or a Unix socket, such as
     * systemd passes. The listener takes it on success and makes it non-blocking and closed on
     * exec. Other processes may hold the same socket, so a Unix socket's file stays.
     */
    const char *address;
    int backlog; /**< Optional (default 511). */
    /** Required. A client has connected; the callback owns the stream. */
    void (*on_accept)(wst_listener_t *listener, wst_stream_t *stream, void *user_data);
    void *user_data; /**< For on_accept and close_cb. */
} wst_listener_options_t;

/**
 * Binds and listens. Connections are accepted from the loop, not inside this call.
 * @return 0; WST_EINVAL: the address cannot be parsed; WST_ENOMEM; libuv's error
 * (UV_EADDRINUSE...), for a descriptor UV_EBADF, UV_ENOTSOCK, UV_ENOTSUP (not a stream socket of
 * TCP or Unix that listens) or UV_EEXIST (there is a listener on it).
 */
WST_EXTERN WST_MUST_CHECK int wst_listener_new(wst_listener_t **out, wst_ctx_t *ctx,
                                               const wst_listener_options_t *options);

/** The bound address, with the real port; lives as long as the listener. */
WST_EXTERN const char *wst_listener_address(const wst_listener_t *listener);

/** The listening socket, for a successor of the process; it stays the listener's. */
WST_EXTERN int wst_listener_descriptor(const wst_listener_t *listener);

/** Whether only this machine can reach the listener: a loopback address or a Unix socket. */
WST_EXTERN bool wst_listener_is_local(const wst_listener_t *listener);

/**
 * Stops accepting connections (they wait in the kernel's backlog) until wst_listener_resume(). When
 * the process is out of descriptors the listener pauses itself and retries every 100 ms.
 */
WST_EXTERN void wst_listener_pause(wst_listener_t *listener);
/** Accepts connections again after wst_listener_pause(). */
WST_EXTERN void wst_listener_resume(wst_listener_t *listener);

/** Stops listening. Accepted streams continue. */
WST_EXTERN void wst_listener_close(wst_listener_t *listener, wst_close_cb close_cb);

#ifdef __cplusplus
}
#endif
#endif
