/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TLS_MBEDTLS_H
#define WST_LIB_TLS_MBEDTLS_H
/*
 * Shared by the files of the mbedTLS engine, the only ones that know its ssl.h, and where its
 * versions differ: tls_mbedtls.c has the configurations, tls_conn_mbedtls.c the connections.
 */
#include "tls_cert.h"
#include "tls_engine.h"
#include "tls_names.h"
#include "tls_options.h"
#include "tls_pem_mbedtls.h"
#include "tls_session.h"

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ticket.h>
#include <mbedtls/version.h>
#if MBEDTLS_VERSION_MAJOR < 3
#define MBEDTLS_PRIVATE(member) member
#endif

typedef struct wst__tls_identity {
    mbedtls_x509_crt chain;
    wst__tls_x509_t is; /* the first of the chain */
    mbedtls_pk_context key;
    wst__tls_cert_t *public; /* the first of the chain, too */
} wst__tls_identity_t;

struct wst__tls_engine {
    wst_allocator_t allocator;
    bool server, insecure;
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context random;
    mbedtls_ssl_config conf;
    mbedtls_x509_crt ca;
    wst__tls_identity_t *identities;
    size_t identity_count;
    wst__tls_expiry_t expiry;
    mbedtls_ssl_ticket_context tickets; /* server */
    uint8_t pins[WST__TLS_PINS_MAX][32];
    size_t pin_count;

    /* Client: the last session. */
    mbedtls_ssl_session session;
    wst__tls_last_t last;
};

struct wst__tls_conn {
    mbedtls_ssl_context ssl; /* first: mbedTLS's callbacks get its address */
    wst__tls_engine_t *engine;
    const wst__tls_io_t *io;
    void *io_arg;
    char *server_name, *session_of; /* client */
    int io_error;
    bool starved;       /* the current call needs more input */
    bool begun, is_tls; /* input has begun; its first byte is that of a record */
    bool heard;         /* plaintext has arrived */
    bool offered;       /* client: a session was offered */
    bool full;          /* a full handshake with certificates, no session resumed */
    bool reading;       /* the current call should not write */
    bool optional;      /* mbedTLS ignores the findings about certificates */
    uint8_t last_sent;  /* type of the last record that the current call sent */
    uint8_t alert;      /* the last one sent unencrypted, if any */
    unsigned unasked;
    wst__tls_expect_t expect;
    wst__tls_found_t found; /* its text is the reason of any failure */
    wst__tls_cert_t *peer;
    char cipher_suite[64], sni[WST__TLS_NAME_MAX + 1];
    wst_tls_info_t info;
};

static inline bool wst__tls_mbedtls_no_memory(int error) {
    return error == MBEDTLS_ERR_SSL_ALLOC_FAILED || wst__tls_is_no_memory(error);
}

/* tls_mbedtls.c: forgets the last session of a client. */
void wst__tls_mbedtls_drop_session(wst__tls_engine_t *e);

/* tls_conn_mbedtls.c: mbedTLS's callback for the name that a client asks for. */
int wst__tls_mbedtls_on_sni(void *arg, mbedtls_ssl_context *ssl, const uint8_t *name, size_t len);

#endif
