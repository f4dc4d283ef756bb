/* SPDX-License-Identifier: MIT */
#ifndef TEST_TLS_RAW_H
#define TEST_TLS_RAW_H
/* mbedTLS by itself as the other end of a rig: it does what our engine would not. */
#include "tls_rig.h"

#include <mbedtls/ssl.h>

typedef struct tls_raw {
    tls_end_t end; /* joined with our engine's end */
    mbedtls_ssl_context ssl;
    mbedtls_ssl_config conf;
    mbedtls_x509_crt chain;
    mbedtls_pk_context key;
} tls_raw_t;

/*
 * Opens an end that verifies nothing, joined with `ours`, whose connection is to be made by the
 * caller. `tweak` (or NULL) changes its configuration. `own` is its certificate; NULL: none.
 */
void tls_raw_open(tls_raw_t *raw, tls_end_t *ours, bool server, const tls_made_t *own,
                  void (*tweak)(mbedtls_ssl_config *conf));
void tls_raw_close(tls_raw_t *raw);

/* Restricts a configuration to the suite `only[0]`; `only[1]` is 0. Both stay in use. */
void tls_raw_restrict(mbedtls_ssl_config *conf, const int only[2]);

/* Shakes hands until nothing moves. The raw end's status is mbedTLS's. */
void tls_raw_shake(tls_raw_t *raw);

#endif
