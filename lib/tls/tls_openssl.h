/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TLS_OPENSSL_H
#define WST_LIB_TLS_OPENSSL_H
/*
 * Shared by the files of the OpenSSL engine that know SSL objects: tls_openssl.c has the
 * configurations, tls_conn_openssl.c the connections.
 */
#include "tls_cert.h"
#include "tls_engine.h"
#include "tls_names.h"
#include "tls_options.h"
#include "tls_pem_openssl.h"
#include "tls_session.h"
#include "tls_tickets_openssl.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/tls1.h>

typedef struct wst__tls_identity {
    STACK_OF(X509) * issuers; /* behind the first of the chain */
    X509 *leaf;
    EVP_PKEY *key;
    uint8_t *der;
    wst__tls_x509_t is;      /* the leaf */
    wst__tls_cert_t *public; /* the leaf, too */
} wst__tls_identity_t;

struct wst__tls_engine {
    wst_allocator_t allocator;
    bool server, insecure;
    SSL_CTX *ctx;
    BIO_METHOD *method;
    wst__tls_identity_t *identities;
    size_t identity_count;
    wst__tls_expiry_t expiry;
    wst__tls_tickets_t tickets; /* server */
    uint8_t pins[WST__TLS_PINS_MAX][32];
    size_t pin_count;

    /* Client: the last session. */
    SSL_SESSION *session;
    wst__tls_last_t last;
};

struct wst__tls_conn {
    SSL *ssl;
    wst__tls_engine_t *engine;
    const wst__tls_io_t *io;
    void *io_arg;
    char *server_name, *session_of; /* client */
    int io_error;
    bool begun, no_tls; /* input has begun; its first byte is not that of a record */
    bool alerted;       /* an alert was sent unencrypted */
    bool done;          /* the handshake is over */
    bool heard;         /* plaintext has arrived */
    bool offered;       /* client: a session was offered */
    bool reading;       /* the current call should not write */
    bool no_memory;     /* a callback had none */
    unsigned unasked;
    wst__tls_expect_t expect;
    wst__tls_found_t found; /* its text is the reason of any failure */
    wst__tls_cert_t *peer;
    char cipher_suite[64], alpn[16], sni[WST__TLS_NAME_MAX + 1];
    wst_tls_info_t info;
};

/* "http/1.1" as in a list of protocols. */
#define WST__TLS_OPENSSL_ALPN "\x08http/1.1"

/* tls_openssl.c: forgets the last session of a client. */
void wst__tls_openssl_drop_session(wst__tls_engine_t *e);

/* tls_conn_openssl.c: a kind of BIO whose data is a connection (NULL: no memory), and OpenSSL's
 * callbacks. */
BIO_METHOD *wst__tls_openssl_bio(void);
int wst__tls_openssl_on_sni(SSL *ssl, int *alert, void *arg);
int wst__tls_openssl_on_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in,
                             unsigned in_len, void *arg);
int wst__tls_openssl_on_verify(X509_STORE_CTX *ctx, void *arg);
int wst__tls_openssl_on_new_session(SSL *ssl, SSL_SESSION *session);

#endif
