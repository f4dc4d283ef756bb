/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TLS_CERT_H
#define WST_LIB_TLS_CERT_H
/* What certificates say, and the policy on them: one for all engines. */
#include "tls_x509.h"

#include <wstunnel/tls_certificate.h>

/* A certificate as users see it; counts references. */
typedef struct wst__tls_cert wst__tls_cert_t;

/* NULL if there is no memory. The allocator is borrowed for the certificate's life. */
wst__tls_cert_t *wst__tls_cert_new(const wst_allocator_t *allocator, const wst__tls_x509_t *crt);
wst__tls_cert_t *wst__tls_cert_ref(wst__tls_cert_t *cert); /* NULL is allowed */
void wst__tls_cert_unref(wst__tls_cert_t *cert);           /* NULL is allowed */
const wst_tls_certificate_t *wst__tls_cert_public(const wst__tls_cert_t *cert);

enum { WST__TLS_DN_TEXT = 512 };

/* See wst_tls_certificate.subject; `dn` is of a certificate that has been read. */
void wst__tls_dn_text(char out[WST__TLS_DN_TEXT], wst_str_t dn);

/* Writes its pin, see wst_tls_pin(). False: no memory. */
bool wst__tls_pin_text(char out[WST_TLS_PIN_MAX], const wst__tls_x509_t *crt);

/* Whether one of the DNS names matches this host name, which need not be terminated. */
bool wst__tls_cert_names(const wst__tls_x509_t *crt, const char *host, size_t len);

/* Requirements on a peer. */
typedef struct wst__tls_expect {
    bool client;               /* the peer is a client, else a server */
    bool insecure;             /* only pins count */
    const char *host;          /* a server's name or address; NULL: any */
    const uint8_t (*pins)[32]; /* `pin_count` of them, SHA-256 of a public key */
    size_t pin_count;
} wst__tls_expect_t;

struct wst__tls_chain; /* tls_chain.h */

enum { WST__TLS_FAULT_TEXT = 256 };

/* Findings so far, from the top of the chain to the peer's own certificate. */
typedef struct wst__tls_found {
    char text[WST__TLS_FAULT_TEXT]; /* the faults, for people; "": none */
    bool bad;                       /* some fault counts */
    bool pinned;                    /* a pin has matched */
    struct wst__tls_chain *chain;   /* NULL, or gets the faults of each certificate */
} wst__tls_found_t;

/* Faults of a certificate. Those above the line are the engine's to find. */
enum {
    WST__TLS_EXPIRED = 1,
    WST__TLS_TOO_EARLY = 2,
    WST__TLS_NOT_TRUSTED = 4, /* of the last one whose issuer is known: no trusted issuer, or not
                                 signed by it, or the issuer is no authority */
    WST__TLS_WEAK_SIGNATURE = 8,
    WST__TLS_WEAK_KEY = 16, /* its own or its issuer's */
    WST__TLS_BAD_USAGE = 32,
    WST__TLS_OTHER_FAULT = 64,
    /* ---- */
    WST__TLS_NO_CERTIFICATE = 128,
    WST__TLS_BAD_PURPOSE = 256,
    WST__TLS_OTHER_NAME = 512,
    WST__TLS_NOT_PINNED = 1024
};

/* What to say of a certificate that wst__tls_x509_read does not take. */
#define WST__TLS_UNREADABLE "a certificate cannot be read"

/*
 * Call it for each certificate of a chain, the peer's own (depth 0) last, with the faults that the
 * engine found; `crt` is NULL if the peer sent none, `other` says what WST__TLS_OTHER_FAULT is (or
 * NULL). Returns the faults that count, and adds to the findings.
 */
unsigned wst__tls_judge(const wst__tls_expect_t *expect, wst__tls_found_t *found,
                        const wst__tls_x509_t *crt, int depth, unsigned faults, const char *other);

/* When the first of an engine's own certificates expires: seconds since 1970, INT64_MAX if there
 * are none, and its subject. */
typedef struct wst__tls_expiry {
    int64_t at;
    char subject[WST__TLS_DN_TEXT];
} wst__tls_expiry_t;

/* Whether an engine may show this certificate as its own; counts it in `expiry`, and makes what
 * users see of it. 0; WST_ETLS, with `what` in the error; or WST_ENOMEM. */
int wst__tls_accept_identity(wst__tls_cert_t **out, wst__tls_expiry_t *expiry,
                             const wst_allocator_t *allocator, const wst__tls_x509_t *is,
                             bool server, const char *what, wst_tls_error_t *why);

#endif
