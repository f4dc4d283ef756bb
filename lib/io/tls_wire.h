/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TLS_WIRE_H
#define WST_LIB_TLS_WIRE_H
/*
 * An engine's connection joined to its transport: it reads records from the slice that the
 * transport has just delivered, and writes them to chunks for the transport. A handshake makes it
 * and leaves it to the stream. Between two calls it holds neither input nor output.
 */
#include "ctx.h"
#include "tls_engine.h"

#include <wstunnel/tls.h>

typedef struct wst__tls_wire {
    wst_ctx_t *ctx;
    wst_tls_config_t *config;
    wst_stream_t *transport;
    wst__tls_conn_t *conn;
    wst_slice_t input; /* the rest of it, lent while the transport delivers it */
    wst_chunk_t *out;  /* `out_len` bytes of records */
    size_t out_len;
    size_t out_expected; /* bytes of records that the current call will probably make */
    bool waiting;        /* the transport has answered WST_WAIT */
} wst__tls_wire_t;

/* As wst__tls_conn_new. Takes a reference of the configuration; borrows the transport. */
int wst__tls_wire_new(wst__tls_wire_t **out, wst_stream_t *transport, wst_tls_config_t *config,
                      const char *server_name, const char *sni);

/* Frees all but the transport. */
void wst__tls_wire_free(wst__tls_wire_t *wire);

/* Hands the records made so far to the transport. 0 or its error. */
int wst__tls_wire_flush(wst__tls_wire_t *wire);

/* Puts the rest of the input back to the transport. 0 or WST_ENOMEM. */
int wst__tls_wire_give_back(wst__tls_wire_t *wire);

#endif
