/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_DIAL_H
#define WSTUNNEL_DIAL_H
/**
 * @file dial.h
 * Opens a connection to a host or a Unix socket. Names are resolved by the context's resolver; with
 * several addresses they are tried as RFC 8305 (Happy Eyeballs) says: families interleaved, the
 * next one started 250 ms after the last or as soon as that has failed, the first to connect wins.
 * At most 16 addresses are tried. TCP_NODELAY and keep-alive (60 s) are set. Connections to a
 * loopback address use the congestion control Reno: BBR would pace them.
 */
#include <wstunnel/stream.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A dial in progress. */
typedef struct wst_dial wst_dial_t;

/** Options of a dial. */
typedef struct wst_dial_options {
    size_t size;         /**< sizeof the struct (common.h) */
    const char *host;    /**< Required unless `path`. A name or an IP literal (no brackets). */
    uint16_t port;       /**< Required unless `path`. 1..65535. */
    const char *path;    /**< Optional. A Unix socket to connect to instead. */
    uint64_t timeout_ms; /**< Optional (default 10000). For the whole dial, including the
                              look-up. */
    /** Optional. Whether an address may be tried; runs from the loop before each attempt. The
        address has no brackets, and IPv4 within IPv6 shows as IPv4; `user_data` is that of the
        dial. If no address is allowed: WST_EDENIED. */
    bool (*allow)(const char *address, void *user_data);
} wst_dial_options_t;

/**
 * The outcome: status 0 and a stream, paused, which the callback owns; or a negative status and
 * NULL: the resolver's errors, WST_ENAMETIMEOUT or WST_EDIALTIMEOUT, or if all addresses failed the
 * most telling of their libuv errors (UV_EMFILE, UV_ECONNREFUSED, UV_ENETUNREACH, ...; WST_ENOMEM).
 */
typedef void (*wst_dial_cb)(int status, wst_stream_t *stream, void *user_data);

/**
 * Starts a dial.
 * @return 0 and later the callback, exactly once, never from inside this call; or WST_EINVAL,
 *         WST_ENOMEM.
 */
WST_EXTERN WST_MUST_CHECK int wst_dial(wst_dial_t **out, wst_ctx_t *ctx,
                                       const wst_dial_options_t *options, wst_dial_cb callback,
                                       void *user_data);

/** Cancels the dial: the callback will not run. Only before the callback has run. */
WST_EXTERN void wst_dial_cancel(wst_dial_t *dial);

#ifdef __cplusplus
}
#endif
#endif
