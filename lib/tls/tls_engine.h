/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TLS_ENGINE_H
#define WST_LIB_TLS_ENGINE_H
/*
 * The interface of a TLS engine: handshake, read, write and close_notify over memory. No socket and
 * no loop; the engine has its own sources of time and randomness. The files whose names end in an
 * engine's implement it; a build has one engine.
 *
 * Errors are WST_ETLS, WST_ETLSCERT, WST_ENOMEM, WST_EFLOOD (repeated requests for renegotiation)
 * or that of `push`. After an error, the output contains an alert where one is due, and the
 * connection may only be freed.
 */
#include <wstunnel/error.h>
#include <wstunnel/tls_types.h>

/* A configuration, shared by connections. */
typedef struct wst__tls_engine wst__tls_engine_t;

/*
 * As wst_tls_server_config and wst_tls_client_config; options->ca_pem is required (unless
 * `insecure`, or there are pins: then only self-signed certificates can be trusted). With
 * `lenient`, unreadable certificates in it are skipped as long as there are others. The allocator
 * is copied.
 */
int wst__tls_engine_server(wst__tls_engine_t **out, const wst_allocator_t *allocator,
                           const wst_tls_server_options_t *options, wst_tls_error_t *why);
int wst__tls_engine_client(wst__tls_engine_t **out, const wst_allocator_t *allocator,
                           const wst_tls_client_options_t *options, bool lenient,
                           wst_tls_error_t *why);

/* Only once the engine has no connections. NULL is allowed. */
void wst__tls_engine_free(wst__tls_engine_t *engine);

bool wst__tls_engine_is_server(const wst__tls_engine_t *engine);

/* Whether it does not verify peers. */
bool wst__tls_engine_is_insecure(const wst__tls_engine_t *engine);

/* As wst_tls_config_expiry. */
int64_t wst__tls_engine_expiry(const wst__tls_engine_t *engine, const char **subject);

/* As wst_tls_config_certificate. */
const wst_tls_certificate_t *wst__tls_engine_certificate(const wst__tls_engine_t *engine, size_t n);

/* Bytes that the engine encrypts or decrypts in a quarter of a millisecond, roughly: what one
 * connection may ask of a turn of the loop. */
size_t wst__tls_engine_turn(void);

/* Input and output of records. */
typedef struct wst__tls_io {
    /* Copies at most `len` bytes of input; 0: there is none now. */
    size_t (*pull)(void *arg, uint8_t *buf, size_t len);
    /* Takes all of the bytes, whole records of at most WST__TLS_RECORD each. 0 or an error. */
    int (*push)(void *arg, const uint8_t *data, size_t len);
} wst__tls_io_t;

enum {
    /* The most plaintext per record. With a record's own overhead, at most WST__TLS_OVERHEAD, it
       fills a chunk of 16 KiB. */
    WST__TLS_OVERHEAD = 64,
    WST__TLS_PLAIN = 16384 - WST__TLS_OVERHEAD,

    /* Results that are not errors. */
    WST__TLS_AGAIN = 1, /* needs more input */
    WST__TLS_END = 2    /* the peer's close_notify */
};

/* A connection. */
typedef struct wst__tls_conn wst__tls_conn_t;

/*
 * Makes a connection. `io` must live for ever, the engine as long as the connection. Client:
 * `server_name` is the name that the certificate must have (NULL only if insecure), `sni` the name
 * to ask for (NULL: none; else one that wst__tls_name_len accepts). Returns 0, WST_ENOMEM or
 * WST_ETLS.
 */
int wst__tls_conn_new(wst__tls_conn_t **out, wst__tls_engine_t *engine, const wst__tls_io_t *io,
                      void *io_arg, const char *server_name, const char *sni);

struct wst__tls_chain; /* tls_chain.h */

/* Has the peer's certificates noted in `chain`, which must live until the handshake is over, or
 * this has been called again with NULL. */
void wst__tls_conn_keep_chain(wst__tls_conn_t *conn, struct wst__tls_chain *chain);

/* NULL is allowed. */
void wst__tls_conn_free(wst__tls_conn_t *conn);

/* Continues the handshake: 0 when it is complete, WST__TLS_AGAIN, or an error. */
int wst__tls_conn_handshake(wst__tls_conn_t *conn);

/*
 * Looks for plaintext, reading a record if need be: 0 with the plaintext left of a record in
 * `*len`, WST__TLS_AGAIN, WST__TLS_END, or an error.
 */
int wst__tls_conn_pending(wst__tls_conn_t *conn, size_t *len);

/* Reads at most `len` bytes (not 0) of plaintext: 0 with their number in `*n`, else as pending. */
int wst__tls_conn_read(wst__tls_conn_t *conn, uint8_t *buf, size_t len, size_t *n);

/* Writes one record of at most `len` bytes (not 0): 0 with their number in `*n`, or an error. */
int wst__tls_conn_write(wst__tls_conn_t *conn, const uint8_t *data, size_t len, size_t *n);

/* Writes a close_notify; reading may continue. 0 or an error. */
int wst__tls_conn_close_notify(wst__tls_conn_t *conn);

/* Valid as long as the connection. Complete after the handshake; `failure` at any time. */
const wst_tls_info_t *wst__tls_conn_info(const wst__tls_conn_t *conn);

#endif
