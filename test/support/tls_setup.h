/* SPDX-License-Identifier: MIT */
#ifndef TEST_TLS_SETUP_H
#define TEST_TLS_SETUP_H
/* An authority, a server with a certificate of its own for "server.test" and 127.0.0.1, and a
 * client that trusts the authority; each in its context. */
#include "tls_certs.h"

typedef struct tls_setup {
    wst_ctx_t *ctx; /* the server's */
    tls_made_t ca, made;
    wst_tls_config_t *server, *client;
} tls_setup_t;

void tls_setup_open(tls_setup_t *tls, wst_ctx_t *server, wst_ctx_t *client);
void tls_setup_close(tls_setup_t *tls); /* before the contexts are closed */

/* Another configuration of the server, with a new certificate; the test's to unref. */
wst_tls_config_t *tls_setup_another(tls_setup_t *tls, const tls_spec_t *spec);

#endif
