/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_PROXY_H
#define WSTUNNEL_PROXY_H
/**
 * @file proxy.h
 * Dialling through a proxy: an HTTP proxy, by CONNECT (RFC 9110 section 9.3.6) in the clear or over
 * TLS, or a SOCKS5 proxy (RFC 1928). Names of destinations are resolved by the proxy.
 *
 * Credentials are shown to an HTTP proxy only when it asks for them (407), by the best scheme it
 * offers among Digest with SHA-256, Digest with MD5 (RFC 7616) and Basic (RFC 7617). They are tried
 * once: credentials refused with one scheme are not tried with another. Schemes that take several
 * legs on one connection (NTLM, Negotiate) are for the embedder: on_challenge.
 *
 * A proxy that refuses is quoted: its status, reason phrase and the first line of a plain text, or
 * the SOCKS reply. Bounds: a head of 16 KiB, 64 KiB of a 407's body, 8 requests, one deadline.
 */
#include <wstunnel/proxy_choose.h>
#include <wstunnel/request.h>
#include <wstunnel/stream.h>
#include <wstunnel/tls.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A proxy. */
typedef struct wst_proxy_options {
    size_t size; /**< sizeof the struct (common.h) */
    /** Required. "http://[user[:password]@]host[:port]", "https://..." (TLS to the proxy),
        "socks5://..." or "socks5h://...", which are the same. Without a scheme: http. Ports default
        to 80, 443 and 1080. User and password are percent-encoded (RFC 3986 section 2.1). */
    const char *url;
    /** Optional. "user:password", unescaped, instead of those in the URL. */
    const char *credentials;
    /** Optional (default: the system's trust store), https: how to verify the proxy. Referenced. */
    wst_tls_config_t *tls;
    /** Optional. More header fields for each CONNECT, as complete lines "Name: value\r\n". */
    const char *fields;
    /**
     * Optional. A question at each 407, whose head is the request's head. Answer allow_with and
     * more fields for the next CONNECT ("Proxy-Authorization: ..."), which goes out on the same
     * connection unless the proxy has ended that; allow to continue with the built-in schemes; or
     * deny to end the dial. The peer of the request is the proxy, its destination the dial's.
     */
    void (*on_challenge)(wst_request_t *request, void *user_data);
    void *user_data; /**< For on_challenge. */
} wst_proxy_options_t;

/** Options of a dial through a proxy. */
typedef struct wst_proxy_dial_options {
    size_t size;                      /**< sizeof the struct (common.h) */
    const wst_proxy_options_t *proxy; /**< Required. */
    const char *host;                 /**< Required. A name or an IP literal (no brackets). */
    uint16_t port;                    /**< Required. 1..65535. */
    uint64_t timeout_ms;              /**< Optional (default 10000). For everything. */
} wst_proxy_dial_options_t;

/** Why a dial through a proxy failed. Valid during the call. */
typedef struct wst_proxy_failure {
    size_t size;        /**< set by the library (common.h) */
    int http_status;    /**< the proxy's status instead of 2xx; 0: no such status */
    const char *detail; /**< for people, never empty: the proxy, its answer, its requirements */
} wst_proxy_failure_t;

/** A dial through a proxy, in progress. */
typedef struct wst_proxy_dial wst_proxy_dial_t;

/**
 * The outcome: status 0, a stream, paused, which the callback owns, and no failure; or a negative
 * status, no stream, and a failure: WST_EPROXY (the proxy refused), WST_EPROXYAUTH (the proxy wants
 * credentials, or other ones), WST_EHTTP, WST_EHEADBIG, WST_EPROTO (the proxy breaks the protocol),
 * WST_EDIALTIMEOUT, WST_ECANCELLED and WST_ETIMEOUT (on_challenge denied, or not answered),
 * WST_EINVAL (its fields are not complete lines), the errors of wst_dial and wst_tls_handshake to
 * the proxy, of the stream, WST_ENOMEM.
 */
typedef void (*wst_proxy_dial_cb)(int status, wst_stream_t *stream,
                                  const wst_proxy_failure_t *failure, void *user_data);

/**
 * Starts a dial.
 * @param why  NULL, or set to the fault in the options (static text) on WST_EINVAL
 * @return 0 and later the callback, exactly once, never from inside this call; or WST_EINVAL;
 *         WST_ETLS (no trust store on this system); WST_ENOMEM.
 */
WST_EXTERN WST_MUST_CHECK int wst_proxy_dial(wst_proxy_dial_t **out, wst_ctx_t *ctx,
                                             const wst_proxy_dial_options_t *options,
                                             const char **why, wst_proxy_dial_cb callback,
                                             void *user_data);

/** Cancels the dial: the callback will not run. Only before the callback has run. */
WST_EXTERN void wst_proxy_dial_cancel(wst_proxy_dial_t *dial);

#ifdef __cplusplus
}
#endif
#endif
