/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TLS_ENGINE_H
#define WST_LIB_TLS_ENGINE_H
/*
 * What the library wants of an engine for TLS: handshake, read, write and close_notify over memory.
 * No socket and no loop; time and randomness are the engine's own business. tls_mbedtls.c is the
 * engine; another one is a file that defines these functions.
 *
 * Errors are WST_ETLS, WST_ETLSCERT, WST_ENOMEM, WST_EFLOOD (a peer that asks for renegotiation
 * again and again) or what `push` returned. After an error, which leaves an alert in the output
 * where one is due, a connection is only freed.
 */
#include <wstunnel/error.h>
#include <wstunnel/tls_types.h>

/* A configuration, shared by connections. */
typedef struct wst__tls_engine wst__tls_engine_t;

/*
 * As wst_tls_server_config and wst_tls_client_config; options->ca_pem is required (unless
 * `insecure`). With `lenient`, a certificate of it that cannot be read is passed over, as long as
 * there are others. The allocator is copied.
 */
int wst__tls_engine_server(wst__tls_engine_t **out, const wst_allocator_t *allocator,
                           const wst_tls_server_options_t *options, wst_tls_error_t *why);
int wst__tls_engine_client(wst__tls_engine_t **out, const wst_allocator_t *allocator,
                           const wst_tls_client_options_t *options, bool lenient,
                           wst_tls_error_t *why);

/* Once it has no connection any more. NULL is allowed. */
void wst__tls_engine_free(wst__tls_engine_t *engine);

bool wst__tls_engine_is_server(const wst__tls_engine_t *engine);

/* Whether it does without verification. */
bool wst__tls_engine_is_insecure(const wst__tls_engine_t *engine);

/* As wst_tls_config_expiry. */
int64_t wst__tls_engine_expiry(const wst__tls_engine_t *engine, const char **subject);

/* Where records come from and go to. */
typedef struct wst__tls_io {
    /* Copies at most `len` bytes of what has come in; 0: there is nothing now. */
    size_t (*pull)(void *arg, uint8_t *buf, size_t len);
    /* Takes all of the bytes, whole records of at most WST__TLS_RECORD each. 0 or an error. */
    int (*push)(void *arg, const uint8_t *data, size_t len);
} wst__tls_io_t;

enum {
    /* The most plaintext that write puts into a record: with what a record adds (at most
       WST__TLS_OVERHEAD), it fills a chunk of 16 KiB. */
    WST__TLS_OVERHEAD = 64,
    WST__TLS_PLAIN = 16384 - WST__TLS_OVERHEAD,

    /* Answers that are no errors. */
    WST__TLS_AGAIN = 1, /* nothing more before more has come in */
    WST__TLS_END = 2    /* the peer's close_notify */
};

/* A connection. */
typedef struct wst__tls_conn wst__tls_conn_t;

/*
 * Makes a connection. `io` lives for ever, the engine as long as the connection.
 * Client: `server_name` is what the certificate must be for (NULL only if insecure), `sni` the name
 * to ask for (NULL: none; else one that wst__tls_name_len accepts).
 * Returns 0, WST_ENOMEM or WST_ETLS.
 */
int wst__tls_conn_new(wst__tls_conn_t **out, wst__tls_engine_t *engine, const wst__tls_io_t *io,
                      void *io_arg, const char *server_name, const char *sni);

/* NULL is allowed. */
void wst__tls_conn_free(wst__tls_conn_t *conn);

/* Goes on with the handshake: 0 when it is done, WST__TLS_AGAIN, or an error. */
int wst__tls_conn_handshake(wst__tls_conn_t *conn);

/*
 * Whether there is plaintext, for which it may take in a record: 0 and in `*len` how much of one
 * record, WST__TLS_AGAIN, WST__TLS_END, or an error.
 */
int wst__tls_conn_pending(wst__tls_conn_t *conn, size_t *len);

/* Reads at most `len` bytes (not 0) of plaintext: 0 and in `*n` how many, else as pending. */
int wst__tls_conn_read(wst__tls_conn_t *conn, uint8_t *buf, size_t len, size_t *n);

/* Writes one record of at most `len` bytes (not 0): 0 and in `*n` how many, or an error. */
int wst__tls_conn_write(wst__tls_conn_t *conn, const uint8_t *data, size_t len, size_t *n);

/* Writes a close_notify. Reading goes on. 0 or an error. */
int wst__tls_conn_close_notify(wst__tls_conn_t *conn);

/* What is known, valid as long as the connection; but for `failure`, after the handshake. */
const wst_tls_info_t *wst__tls_conn_info(const wst__tls_conn_t *conn);

#endif
