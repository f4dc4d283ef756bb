/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_TLS_H
#define WSTUNNEL_TLS_H
/**
 * @file tls.h
 * TLS 1.2 and 1.3 (RFC 5246, RFC 8446; 1.3 where the library was built with OpenSSL or mbedTLS
 * 3.6) over any stream. A handshake turns a connected stream, the transport, into another stream,
 * whose bytes are the plaintext.
 *
 * A close_notify is the end of a direction, so half-close is kept both ways. An end of the
 * transport without it is an error, WST_ETLSTRUNCATED, never on_end: an attacker who cuts a
 * connection cannot make a part look like the whole. A reset of the stream resets the transport.
 *
 * A configuration is made from PEM texts. It is immutable and shared by any number of handshakes;
 * to replace a certificate, make another configuration and use that from then on.
 *
 * Cipher suites are those with forward secrecy (ECDHE) and authenticated encryption only. There is
 * no compression and no renegotiation. ALPN (RFC 7301) is "http/1.1": a client offers it; a server
 * takes clients without ALPN, and refuses those that offer other protocols only.
 *
 * Memory: about 35 KiB a connection in Debian's builds of mbedTLS, 9 KiB with OpenSSL; for an idle
 * connection the library adds no buffers. Both take it from the C library, not from the context's
 * allocator; an embedder can replace OpenSSL's for the whole process. While a reader is stopped, at
 * most one record (16 KiB) of plaintext and one read of the transport wait; written bytes are
 * encrypted at once and wait in the transport.
 */
#include <wstunnel/stream.h>
#include <wstunnel/tls_types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A server's or a client's configuration; counts references. */
typedef struct wst_tls_config wst_tls_config_t;

/**
 * Makes a server's configuration. It lets clients resume sessions by tickets (RFC 5077, RFC 8446
 * section 4.6.1) for an hour, unless it asks for client certificates, which are checked at each
 * handshake. A configuration accepts its own tickets only.
 * @param why  NULL, or filled in if WST_ETLS is returned
 * @return 0 and one reference; WST_ETLS: something is wrong with a PEM text; WST_EINVAL: a required
 *         member is missing; WST_ENOMEM.
 */
WST_EXTERN WST_MUST_CHECK int wst_tls_server_config(wst_tls_config_t **out, wst_ctx_t *ctx,
                                                    const wst_tls_server_options_t *options,
                                                    wst_tls_error_t *why);

/**
 * Makes a client's configuration. It remembers the last session and offers to resume it when it
 * connects to the server of that name again.
 * @param options  NULL: all defaults
 * @param why      NULL, or filled in if WST_ETLS is returned
 * @return 0 and one reference; WST_ETLS: something is wrong with a PEM text or pin, or there is no
 *         trust store on this system, nor are there pins; WST_ENOMEM.
 */
WST_EXTERN WST_MUST_CHECK int wst_tls_client_config(wst_tls_config_t **out, wst_ctx_t *ctx,
                                                    const wst_tls_client_options_t *options,
                                                    wst_tls_error_t *why);

/** Adds a reference and returns the configuration. NULL is allowed and returned. */
WST_EXTERN wst_tls_config_t *wst_tls_config_ref(wst_tls_config_t *config);

/** Drops a reference; the last one frees the configuration. The context does not close before that.
    NULL is allowed. */
WST_EXTERN void wst_tls_config_unref(wst_tls_config_t *config);

/**
 * The earliest expiry time of the certificates of its identities (those of issuers do not count),
 * in seconds since 1970; INT64_MAX: it has no identity.
 * @param subject  NULL, or set to the subject of that certificate ("CN=server.example"), valid as
 *                 long as the configuration; "": none
 */
WST_EXTERN int64_t wst_tls_config_expiry(const wst_tls_config_t *config, const char **subject);

/**
 * The certificate of its n-th identity, counted from 0, valid as long as the configuration. NULL:
 * it has no more.
 */
WST_EXTERN const wst_tls_certificate_t *wst_tls_config_certificate(const wst_tls_config_t *config,
                                                                   size_t n);

/** The session of a TLS stream, valid as long as the stream; NULL for a stream of another kind. */
WST_EXTERN const wst_tls_info_t *wst_stream_tls(const wst_stream_t *stream);

/** A handshake in progress. */
typedef struct wst_tls_handshake wst_tls_handshake_t;

/**
 * The outcome: status 0 and a stream, paused, which the callback owns; or a negative status, NULL,
 * and in `detail` the cause, for people, valid during the call ("certificate expired on
 * 2026-01-01", "the peer sent alert 40: handshake failure"). The transport is closed then; if an
 * alert was due, the peer has had up to a second to receive it.
 *
 * Status: WST_ETLSCERT: the peer's certificate is not accepted, or the peer has none; WST_ETLS:
 * another failure of TLS, the peer's alerts included; WST_ETIMEOUT; WST_ENOMEM; the transport's
 * error.
 */
typedef void (*wst_tls_handshake_cb)(int status, wst_stream_t *stream, const char *detail,
                                     void *user_data);

/** Options of a handshake. */
typedef struct wst_tls_handshake_options {
    size_t size;              /**< sizeof the struct (common.h) */
    wst_tls_config_t *config; /**< Required. A server's or a client's: the role of this side.
                                   Referenced for the stream's life. */
    const char *server_name;  /**< Client: required (unless the configuration is insecure). The name
                                   or IP address, without brackets, that the certificate must be for
                                   (RFC 9525: only a subjectAltName counts). */
    const char *sni;          /**< Client: optional (default: server_name, if that is no address).
                                   The name to ask the server for; "": none. */
    uint64_t timeout_ms;      /**< Optional (default 10000). For the whole handshake. */
    bool keep_chain;          /**< Optional. Keeps the certificates that the peer sends, for
                                   wst_tls_handshake_chain. */
} wst_tls_handshake_options_t;

/**
 * Starts a handshake. On success the transport is taken: its callbacks are the handshake's, then
 * the stream's. Bytes put back to it (wst_stream_unread) are read first.
 * @return 0 and later the callback, exactly once, never from inside this call; WST_EINVAL: a
 *         required member is missing, or a name is invalid; WST_ENOMEM; the transport's error.
 */
WST_EXTERN WST_MUST_CHECK int wst_tls_handshake(wst_tls_handshake_t **out, wst_stream_t *transport,
                                                const wst_tls_handshake_options_t *options,
                                                wst_tls_handshake_cb callback, void *user_data);

/**
 * The n-th certificate that the peer has sent, counted from 0, in the peer's order, its own first;
 * of a chain that is not accepted, too: each certificate tells its own faults. Only from inside the
 * handshake's callback, with any status; valid until that returns. With an insecure configuration
 * only pins make faults.
 * @return NULL: there are no more, WST_TLS_CHAIN_MAX at most. There is none without keep_chain, if
 * a session was resumed, and if the handshake failed before the chain was verified.
 */
WST_EXTERN const wst_tls_link_t *wst_tls_handshake_chain(const wst_tls_handshake_t *handshake,
                                                         size_t n);

/** Cancels the handshake: the callback will not run, the transport is reset. Only before the
    callback has run. */
WST_EXTERN void wst_tls_handshake_cancel(wst_tls_handshake_t *handshake);

#ifdef __cplusplus
}
#endif
#endif
