/* SPDX-License-Identifier: MIT */
#ifndef TEST_TLS_WORLD_H
#define TEST_TLS_WORLD_H
/* A client and a server on two connected sockets, with a TLS handshake between them. */
#include "env.h"
#include "tls_certs.h"

#include <wstunnel/tls.h>

/* One of the two: what it has been told, and what it does by itself. */
typedef struct tls_party {
    wst_stream_t *transport; /* until the handshake takes it */
    wst_tls_handshake_t *handshake;
    size_t outcomes; /* calls of the handshake's callback */
    int status;
    char detail[256];
    wst_stream_t *stream;

    size_t received; /* bytes, each held against tls_pattern-like counting from 0 */
    size_t largest;  /* piece */
    size_t reads, ends, drains, shutdowns, errors, closed;
    int error;

    char close_at; /* closes in this callback: r(ead) e(nd) d(rain) s(hutdown) x(error) */
    bool stop_at_read;
    size_t sent; /* bytes written by tls_party_send */
} tls_party_t;

/* Between the two, if wanted: passes bytes, ends and resets on, as far as the test lets it. */
typedef struct tls_relay {
    wst_stream_t *stream; /* facing one party; NULL: closed */
    struct tls_relay *other;
    size_t passed; /* bytes that have come in here and gone on */
    size_t limit;  /* only so many; those behind are lost */
    char at_limit; /* then: e(nd) to the other side, x: reset both, else nothing */
    size_t ends, errors;
    uint8_t flip; /* what is to be changed in the byte behind `limit`; it passes then */
} tls_relay_t;

typedef struct tls_world {
    test_env_t env;
    tls_made_t root, leaf, client_leaf;
    wst_tls_config_t *server_config, *client_config;
    tls_party_t client, server;
    tls_relay_t at_client, at_server; /* see tls_world_connect_by_relay */
} tls_world_t;

/* An environment, certificates and configurations, with client certificates asked for or not. */
void tls_world_open(tls_world_t *w, wst_tls_client_cert_t client_cert);

/* Sockets, TCP or Unix, in both parties' `transport`. */
void tls_world_connect(tls_world_t *w, bool tcp);

/* The same with a relay between them. */
void tls_world_connect_by_relay(tls_world_t *w);

/* Starts the handshake of a party. As wst_tls_handshake. */
int tls_party_shake(tls_world_t *w, tls_party_t *party, const char *server_name,
                    uint64_t timeout_ms);

/* Both handshakes, to their success. */
void tls_world_shake(tls_world_t *w);

/* Closes both parties' streams and waits until they are gone; ready for another connection. */
void tls_world_disconnect(tls_world_t *w);

/* Closes what is open, and all else; nothing may be left. */
void tls_world_close(tls_world_t *w);

/* The next `len` bytes of the pattern, in a chunk of their own. 0 or WST_ENOMEM. */
int tls_party_slice(tls_party_t *party, wst_slice_t *slice, size_t len);

/* Writes `len` further bytes of the pattern. As wst_stream_write. */
int tls_party_send(tls_party_t *party, size_t len);

#endif
