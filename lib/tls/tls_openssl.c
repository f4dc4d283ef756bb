/* SPDX-License-Identifier: MIT */
/*
 * The TLS engine (tls_engine.h): OpenSSL 3; here its configurations.
 *
 * OpenSSL takes memory, time and random bytes by itself: it has one allocator per process, which is
 * the embedder's to replace (CRYPTO_set_mem_functions). It reads its own configuration file; all
 * that matters here is set explicitly after that.
 */
#include "tls_openssl.h"
#include "mem.h"
#include "sized.h"
#include "tls_cpu.h"

#include <stdio.h>
#include <string.h>

/*
 * The suites offered, best first. The server's order wins, but for a client that puts ChaCha20
 * first: that has no instructions for AES, or is mbedTLS, which is faster so. On an EPYC
 * AES-128-GCM is 1.3 to 1.5 times as fast as ChaCha20-Poly1305; without instructions it is the
 * other way round (bench_tls).
 */
static const char tls13_aes[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
static const char tls13_chacha[] =
    "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384";
static const char tls12_aes[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
static const char tls12_chacha[] =
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256:"
    "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";
static const char groups[] = "X25519:P-256:P-384:P-521";
static const char signatures[] =
    "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:"
    "rsa_pss_rsae_sha512:RSA+SHA256:RSA+SHA384:RSA+SHA512";

size_t wst__tls_engine_turn(void) {
    return 1 << 20;
}

const char *wst_tls_engine(void) {
    return OpenSSL_version(OPENSSL_VERSION);
}

/* Identities --------------------------------------------------------------------------------- */

static int read_identity(wst__tls_identity_t *identity, const wst_tls_identity_t *from,
                         size_t number, wst_tls_error_t *why) {
    char what[64];
    snprintf(what, sizeof(what), "identity %zu: certificate", number);
    int status = wst__tls_read_certificates(&identity->issuers, from->chain_pem, false, what, why);
    if (status != 0)
        return status;
    identity->leaf = sk_X509_shift(identity->issuers);
    status = wst__tls_x509_of(&identity->der, &identity->is, identity->leaf);
    if (status != 0)
        return status == WST_ENOMEM ? status : wst__tls_complain_unreadable(why, what, 1);
    snprintf(what, sizeof(what), "identity %zu: private key", number);
    return wst__tls_read_key(&identity->key, from->key_pem, what, why);
}

static int add_identity(wst__tls_engine_t *e, const wst_tls_identity_t *from,
                        wst_tls_error_t *why) {
    wst__tls_identity_t *identity = &e->identities[e->identity_count++];
    if (from->chain_pem == NULL || from->key_pem == NULL)
        return WST_EINVAL;
    int status = read_identity(identity, from, e->identity_count, why);
    if (status != 0)
        return status;
    char what[64];
    snprintf(what, sizeof(what), "identity %zu", e->identity_count);
    if (X509_check_private_key(identity->leaf, identity->key) != 1) {
        unsigned long error;
        return wst__tls_take_errors(0, &error)
                   ? (int)WST_ENOMEM
                   : wst__tls_complain(why, what, "the key does not belong to the certificate");
    }
    return wst__tls_accept_identity(&identity->public, &e->expiry, &e->allocator, &identity->is,
                                    e->server, what, why);
}

static int add_identities(wst__tls_engine_t *e, const wst_tls_identity_t *from, size_t count,
                          wst_tls_error_t *why) {
    e->identities = wst__zalloc(&e->allocator, count * sizeof(*e->identities));
    if (e->identities == NULL)
        return WST_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        wst_tls_identity_t identity;
        int status = wst__sized_read_at(&identity, sizeof(identity), from, i);
        if (status == 0)
            status = add_identity(e, &identity, why);
        if (status != 0)
            return status;
    }
    wst__tls_identity_t *first = &e->identities[0];
    return SSL_CTX_use_cert_and_key(e->ctx, first->leaf, first->key, first->issuers, 1) == 1
               ? 0
               : wst__tls_complain_of(why, "identity 1");
}

static void free_identity(wst__tls_identity_t *identity) {
    wst__tls_free_certificates(identity->issuers);
    X509_free(identity->leaf);
    EVP_PKEY_free(identity->key);
    OPENSSL_free(identity->der);
    wst__tls_cert_unref(identity->public);
}

/* Configurations ----------------------------------------------------------------------------- */

static int add_ca(wst__tls_engine_t *e, const char *pem, bool lenient, wst_tls_error_t *why) {
    static const char what[] = "certificates of issuers";
    STACK_OF(X509) * ca;
    int status = wst__tls_read_certificates(&ca, pem, lenient, what, why);
    if (status != 0)
        return status;
    X509_STORE *store = SSL_CTX_get_cert_store(e->ctx);
    for (int i = 0; i < sk_X509_num(ca) && status == 0; i++)
        if (X509_STORE_add_cert(store, sk_X509_value(ca, i)) != 1 ||
            (e->server && SSL_CTX_add_client_CA(e->ctx, sk_X509_value(ca, i)) != 1))
            status = wst__tls_complain_of(why, what);
    wst__tls_free_certificates(ca);
    return status;
}

/* Whatever OpenSSL's configuration file says, this holds. */
static bool configure(SSL_CTX *ctx) {
    bool aes = wst__tls_cpu_has_aes();
    (void)SSL_CTX_clear_options(ctx, SSL_CTX_get_options(ctx));
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                       SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                       SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN |
                                    SSL_MODE_ENABLE_PARTIAL_WRITE |
                                    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* The lists below say what is offered, tls_verify_openssl.h what is taken. */
    SSL_CTX_set_security_level(ctx, 0);
    return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_ciphersuites(ctx, aes ? tls13_aes : tls13_chacha) == 1 &&
           SSL_CTX_set_cipher_list(ctx, aes ? tls12_aes : tls12_chacha) == 1 &&
           SSL_CTX_set1_groups_list(ctx, groups) == 1 &&
           SSL_CTX_set1_sigalgs_list(ctx, signatures) == 1;
}

/* Sets up all parts that do not depend on options. */
static int engine_new(wst__tls_engine_t **out, const wst_allocator_t *allocator, bool server,
                      wst_tls_error_t *why) {
    if (why != NULL)
        why->text[0] = '\0';
    wst__tls_engine_t *e = wst__zalloc(allocator, sizeof(*e));
    if (e == NULL)
        return WST_ENOMEM;
    e->allocator = *allocator;
    e->server = server;
    e->expiry.at = INT64_MAX;
    ERR_clear_error();
    e->ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    e->method = wst__tls_openssl_bio();
    if (e->ctx == NULL || e->method == NULL || !configure(e->ctx)) {
        wst__tls_engine_free(e);
        return wst__tls_complain_of(why, "TLS is not available");
    }
    SSL_CTX_set_cert_verify_callback(e->ctx, wst__tls_openssl_on_verify, NULL);
    *out = e;
    return 0;
}

void wst__tls_openssl_drop_session(wst__tls_engine_t *e) {
    SSL_SESSION_free(e->session);
    e->session = NULL;
    wst__tls_last_drop(&e->last, &e->allocator);
}

void wst__tls_engine_free(wst__tls_engine_t *e) {
    if (e == NULL)
        return;
    wst__tls_openssl_drop_session(e);
    SSL_CTX_free(e->ctx);
    BIO_meth_free(e->method);
    for (size_t i = 0; i < e->identity_count; i++)
        free_identity(&e->identities[i]);
    wst__tls_tickets_wipe(&e->tickets);
    wst_allocator_t allocator = e->allocator;
    wst__free(&allocator, e->identities);
    wst__free(&allocator, e);
}

/* A resumption would not check the client's certificate. */
static int set_up_tickets(wst__tls_engine_t *e, bool client_certs, wst_tls_error_t *why) {
    (void)SSL_CTX_set_session_cache_mode(e->ctx, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_timeout(e->ctx, WST__TLS_TICKET_LIFETIME_S);
    if (client_certs)
        (void)SSL_CTX_set_options(e->ctx, SSL_OP_NO_TICKET);
    bool good = SSL_CTX_set_num_tickets(e->ctx, client_certs ? 0 : 1) == 1 &&
                wst__tls_tickets_init(&e->tickets, e->ctx);
    return good ? 0 : wst__tls_complain_of(why, "tickets");
}

int wst__tls_engine_server(wst__tls_engine_t **out, const wst_allocator_t *allocator,
                           const wst_tls_server_options_t *options, wst_tls_error_t *why) {
    static const int modes[] = {SSL_VERIFY_NONE, SSL_VERIFY_PEER,
                                SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT};
    bool client_certs = options->client_cert != WST_TLS_CLIENT_NONE;
    wst__tls_engine_t *e;
    int status = wst__tls_check_server(options);
    if (status == 0)
        status = engine_new(&e, allocator, true, why);
    if (status != 0)
        return status;
    status = add_identities(e, options->identities, options->identity_count, why);
    if (status == 0 && client_certs)
        status = add_ca(e, options->client_ca_pem, false, why);
    if (status == 0)
        status = set_up_tickets(e, client_certs, why);
    if (status != 0) {
        wst__tls_engine_free(e);
        return status;
    }
    SSL_CTX_set_verify(e->ctx, modes[options->client_cert], NULL);
    SSL_CTX_set_alpn_select_cb(e->ctx, wst__tls_openssl_on_alpn, NULL);
    (void)SSL_CTX_set_tlsext_servername_callback(e->ctx, wst__tls_openssl_on_sni);
    *out = e;
    return 0;
}

int wst__tls_engine_client(wst__tls_engine_t **out, const wst_allocator_t *allocator,
                           const wst_tls_client_options_t *options, bool lenient,
                           wst_tls_error_t *why) {
    wst__tls_engine_t *e;
    int status = wst__tls_check_client(options);
    if (status == 0)
        status = engine_new(&e, allocator, false, why);
    if (status != 0)
        return status;
    e->insecure = options->insecure;
    if (options->ca_pem != NULL)
        status = add_ca(e, options->ca_pem, lenient, why);
    if (status == 0)
        status = wst__tls_read_pins(e->pins, &e->pin_count, options->pins, why);
    if (status == 0 && options->identity != NULL)
        status = add_identities(e, options->identity, 1, why);
    if (status == 0 && SSL_CTX_set_alpn_protos(e->ctx, (const uint8_t *)WST__TLS_OPENSSL_ALPN,
                                               sizeof(WST__TLS_OPENSSL_ALPN) - 1) != 0)
        status = WST_ENOMEM;
    if (status != 0) {
        wst__tls_engine_free(e);
        return status;
    }
    /* Also if insecure: wst__tls_openssl_on_verify has the last word. */
    SSL_CTX_set_verify(e->ctx, SSL_VERIFY_PEER, NULL);
    (void)SSL_CTX_set_session_cache_mode(e->ctx,
                                         SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(e->ctx, wst__tls_openssl_on_new_session);
    *out = e;
    return 0;
}

bool wst__tls_engine_is_server(const wst__tls_engine_t *e) {
    return e->server;
}

bool wst__tls_engine_is_insecure(const wst__tls_engine_t *e) {
    return e->insecure;
}

int64_t wst__tls_engine_expiry(const wst__tls_engine_t *e, const char **subject) {
    if (subject != NULL)
        *subject = e->expiry.subject;
    return e->expiry.at;
}

const wst_tls_certificate_t *wst__tls_engine_certificate(const wst__tls_engine_t *e, size_t n) {
    return n < e->identity_count ? wst__tls_cert_public(e->identities[n].public) : NULL;
}
