/* SPDX-License-Identifier: MIT */
#ifndef TEST_TLS_CERTS_H
#define TEST_TLS_CERTS_H
/* Certificates for tests, made when they are needed: none can expire in the repository. */
#include <mbedtls/pk.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wstunnel/tls.h>

/* What a certificate shall be. All zero but `subject`: good from yesterday for 30 days, EC P-256,
 * for servers and clients. */
typedef struct tls_spec {
    const char *subject;    /* "CN=...,O=..." */
    const char *names;      /* "dns:a.example ip:192.0.2.1 email:... uri:..."; NULL: none */
    int from_days, to_days; /* relative to now, if not both are 0 */
    bool ca;                /* may sign others */
    bool only_servers, only_clients; /* extendedKeyUsage */
    bool weak_curve;                 /* EC P-192 */
    unsigned rsa_bits;               /* 0: EC */
    bool sha1;                       /* signed by way of SHA-1 */
} tls_spec_t;

/* A certificate and its key. */
typedef struct tls_made {
    char chain[8192]; /* PEM: itself and its issuers but for the root */
    char key[4096];
    char own[4096]; /* PEM: itself alone */
    char subject[128];
    bool root;
    mbedtls_pk_context pk;
} tls_made_t;

/* Makes one that `issuer` signs, or if that is NULL itself. */
void tls_make(tls_made_t *made, const tls_spec_t *spec, tls_made_t *issuer);
void tls_made_free(tls_made_t *made);

wst_tls_identity_t tls_identity(const tls_made_t *made);

/* Its DER; `out` is as long as `own`. The length. */
size_t tls_der(const tls_made_t *made, uint8_t out[4096]);

/* A random generator for mbedTLS, seeded at the first call. */
int tls_random(void *arg, unsigned char *out, size_t len);

/* The date so many days from now, "2026-01-31". */
void tls_date(char out[16], int days);

#endif
