/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TLS_CERT_H
#define WST_LIB_TLS_CERT_H
/* Reads certificates, and judges whether they are good for their purpose. */
#include <mbedtls/x509_crt.h>
#include <wstunnel/tls_types.h>

/* A certificate as users see it; counts references. */
typedef struct wst__tls_cert wst__tls_cert_t;

/* NULL if there is no memory. The allocator is borrowed for the certificate's life. */
wst__tls_cert_t *wst__tls_cert_new(const wst_allocator_t *allocator, const mbedtls_x509_crt *crt);
wst__tls_cert_t *wst__tls_cert_ref(wst__tls_cert_t *cert); /* NULL is allowed */
void wst__tls_cert_unref(wst__tls_cert_t *cert);           /* NULL is allowed */
const wst_tls_certificate_t *wst__tls_cert_public(const wst__tls_cert_t *cert);

enum { WST__TLS_DN_TEXT = 512 };

/* See wst_tls_certificate.subject. */
void wst__tls_dn_text(char out[WST__TLS_DN_TEXT], const mbedtls_x509_name *dn);

/* Seconds since 1970. */
int64_t wst__tls_time(const mbedtls_x509_time *time);

/* SHA-256 of the certificate's public key (SubjectPublicKeyInfo). */
void wst__tls_spki(uint8_t digest[32], const mbedtls_x509_crt *crt);

/* Whether one of the DNS names matches this host name, which need not be terminated. */
bool wst__tls_cert_names(const mbedtls_x509_crt *crt, const char *host, size_t len);

/* Whether a server may use the certificate (extendedKeyUsage). */
bool wst__tls_cert_serves(const mbedtls_x509_crt *crt);

/* Requirements on a peer. */
typedef struct wst__tls_expect {
    bool client;               /* the peer is a client, else a server */
    bool insecure;             /* only pins count */
    const char *host;          /* a server's name or address; NULL: any */
    const uint8_t (*pins)[32]; /* `pin_count` of them, see wst__tls_spki */
    size_t pin_count;
} wst__tls_expect_t;

/* Findings so far, from the top of the chain to the peer's own certificate. */
typedef struct wst__tls_found {
    char text[256]; /* the faults, for people; "": none */
    bool bad;       /* some flag counts */
    bool pinned;    /* a pin has matched */
} wst__tls_found_t;

/*
 * Call it for each certificate of a chain, the peer's own (depth 0) last, with mbedTLS's flags
 * (MBEDTLS_X509_BADCERT_*). It ignores mbedTLS's mismatch of names, since 2.28 knows no IP
 * addresses. Sets the flags that count, and adds to the findings.
 */
void wst__tls_judge(const wst__tls_expect_t *expect, wst__tls_found_t *found,
                    const mbedtls_x509_crt *crt, int depth, uint32_t *flags);

#endif
