/* SPDX-License-Identifier: MIT */
#ifndef TEST_TLS_PKI_H
#define TEST_TLS_PKI_H
/* Certificates and engines for the tests of the TLS engine. */
#include "tls_rig.h"

typedef struct tls_pki {
    tls_made_t root, stranger; /* authorities; nobody trusts the second one */
    tls_made_t middle;         /* one below the root */
    tls_made_t leaf;   /* by middle: server.example, *.wild.example, 127.0.0.1, 2001:db8::1 */
    tls_made_t rsa;    /* by root: server.example */
    tls_made_t other;  /* by root: other.example */
    tls_made_t client; /* by root: CN=agent, for clients only */
} tls_pki_t;

extern tls_pki_t tls_pki;

/* Group fixtures. */
int tls_pki_make(void **state);
int tls_pki_free(void **state);

/* Engines that must come about. A server with `own` and one that trusts the root. */
wst__tls_engine_t *tls_server(const tls_made_t *own, wst_tls_client_cert_t client_cert);
wst__tls_engine_t *tls_client(const tls_made_t *own);
wst__tls_engine_t *tls_client_with(const wst_tls_client_options_t *options);

/* A handshake in one go; `name` is asked for and expected, unless it is an address. */
void tls_connect(tls_rig_t *rig, wst__tls_engine_t *client, wst__tls_engine_t *server,
                 const char *name);

/* Both are done. */
void tls_assert_done(const tls_rig_t *rig);

#endif
