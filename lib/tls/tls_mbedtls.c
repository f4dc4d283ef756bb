/* SPDX-License-Identifier: MIT */
/*
 * The TLS engine (tls_engine.h): mbedTLS 2.28 or 3.6; here its configurations.
 *
 * mbedTLS takes memory and time from the C library, and random bytes from a generator of each
 * configuration. For TLS 1.3, 3.6 needs its PSA library initialised once per process: the only
 * global state.
 */
#include "tls_mbedtls.h"
#include "mem.h"
#include "sized.h"

#include <stdio.h>
#include <string.h>
#if MBEDTLS_VERSION_MAJOR >= 3
#include <psa/crypto.h>
#endif

/*
 * The suites offered, best first; the server's order wins over the client's. With mbedTLS,
 * ChaCha20-Poly1305 costs less than AES-GCM even with instructions for AES: on an EPYC it is 1.4
 * times as fast as AES-128-GCM with 2.28, 1.25 times with 3.6 (test/bench). A server has many
 * clients and each of them one server, so the server's load counts.
 */
static const int suites[] = {
#if MBEDTLS_VERSION_MAJOR >= 3
    MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS1_3_AES_128_GCM_SHA256,
    MBEDTLS_TLS1_3_AES_256_GCM_SHA384,
#endif
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    0,
};

/* mbedTLS 2.28 would begin with the largest, P-521, which takes several times as long. The groups
 * behind P-256 are for certificates, which it checks against the same list. */
#if MBEDTLS_VERSION_MAJOR >= 3
static const uint16_t groups[] = {
    MBEDTLS_SSL_IANA_TLS_GROUP_X25519,    MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
    MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1, MBEDTLS_SSL_IANA_TLS_GROUP_SECP521R1,
    MBEDTLS_SSL_IANA_TLS_GROUP_NONE,
};
#else
static const mbedtls_ecp_group_id groups[] = {
    MBEDTLS_ECP_DP_CURVE25519, MBEDTLS_ECP_DP_SECP256R1, MBEDTLS_ECP_DP_SECP384R1,
    MBEDTLS_ECP_DP_SECP521R1,  MBEDTLS_ECP_DP_NONE,
};
static const int hashes[] = {MBEDTLS_MD_SHA256, MBEDTLS_MD_SHA384, MBEDTLS_MD_SHA512,
                             MBEDTLS_MD_NONE};
#endif

/* Requirements on a chain of certificates. A trust anchor's own signature is not checked. */
static const mbedtls_x509_crt_profile profile = {
    .allowed_mds = MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA256) |
                   MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA384) |
                   MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA512),
    .allowed_pks = 0xFFFFFFF, /* any */
    .allowed_curves = MBEDTLS_X509_ID_FLAG(MBEDTLS_ECP_DP_SECP256R1) |
                      MBEDTLS_X509_ID_FLAG(MBEDTLS_ECP_DP_SECP384R1) |
                      MBEDTLS_X509_ID_FLAG(MBEDTLS_ECP_DP_SECP521R1),
    .rsa_min_bitlen = 2048,
};

static const char *alpn[] = {"http/1.1", NULL};

size_t wst__tls_engine_turn(void) {
    return 65536;
}

const char *wst_tls_engine(void) {
    static _Thread_local char text[24];
    unsigned version = mbedtls_version_get_number();
    snprintf(text, sizeof(text), "mbedTLS %u.%u.%u", version >> 24, version >> 16 & 255,
             version >> 8 & 255);
    return text;
}

/* Configurations ----------------------------------------------------------------------------- */

static int complain_of(wst_tls_error_t *why, const char *what, int error) {
    return wst__tls_mbedtls_no_memory(error) ? (int)WST_ENOMEM
                                             : wst__tls_complain_of(why, what, error);
}

static int parse_key(wst__tls_engine_t *e, wst__tls_identity_t *identity, const char *pem) {
    const uint8_t *text = (const uint8_t *)pem;
#if MBEDTLS_VERSION_MAJOR >= 3
    return mbedtls_pk_parse_key(&identity->key, text, strlen(pem) + 1, NULL, 0,
                                mbedtls_ctr_drbg_random, &e->random);
#else
    (void)e;
    return mbedtls_pk_parse_key(&identity->key, text, strlen(pem) + 1, NULL, 0);
#endif
}

static int check_pair(wst__tls_engine_t *e, const wst__tls_identity_t *identity) {
#if MBEDTLS_VERSION_MAJOR >= 3
    return mbedtls_pk_check_pair(&identity->chain.pk, &identity->key, mbedtls_ctr_drbg_random,
                                 &e->random);
#else
    (void)e;
    return mbedtls_pk_check_pair(&identity->chain.pk, &identity->key);
#endif
}

static int add_identity(wst__tls_engine_t *e, const wst_tls_identity_t *from,
                        wst_tls_error_t *why) {
    wst__tls_identity_t *identity = &e->identities[e->identity_count++];
    mbedtls_x509_crt_init(&identity->chain);
    mbedtls_pk_init(&identity->key);
    if (from->chain_pem == NULL || from->key_pem == NULL)
        return WST_EINVAL;
    char what[64];
    snprintf(what, sizeof(what), "identity %zu: certificate", e->identity_count);
    int status = wst__tls_read_certificates(&identity->chain, from->chain_pem, false, what, why);
    if (status != 0)
        return status;
    const mbedtls_x509_buf *raw = &identity->chain.raw;
    if (!wst__tls_x509_read(&identity->is, raw->p, raw->len))
        return wst__tls_complain_unreadable(why, what, 1);
    snprintf(what, sizeof(what), "identity %zu: private key", e->identity_count);
    status = parse_key(e, identity, from->key_pem);
    if (status != 0)
        return complain_of(why, what, status);
    snprintf(what, sizeof(what), "identity %zu", e->identity_count);
    status = check_pair(e, identity);
    if (wst__tls_mbedtls_no_memory(status))
        return WST_ENOMEM;
    if (status != 0)
        return wst__tls_complain(why, what, "the key does not belong to the certificate");
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
    int status = mbedtls_ssl_conf_own_cert(&e->conf, &first->chain, &first->key);
    return status != 0 ? complain_of(why, "identity 1", status) : 0;
}

static int add_ca(wst__tls_engine_t *e, const char *pem, bool lenient, wst_tls_error_t *why) {
    int status = wst__tls_read_certificates(&e->ca, pem, lenient, "certificates of issuers", why);
    if (status == 0)
        mbedtls_ssl_conf_ca_chain(&e->conf, &e->ca, NULL);
    return status;
}

static int configure(wst__tls_engine_t *e) {
    int status = mbedtls_ssl_config_defaults(
        &e->conf, e->server ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT,
        MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
    if (status != 0)
        return status;
#if MBEDTLS_VERSION_MAJOR >= 3
    mbedtls_ssl_conf_min_tls_version(&e->conf, MBEDTLS_SSL_VERSION_TLS1_2);
    mbedtls_ssl_conf_groups(&e->conf, groups);
    mbedtls_ssl_conf_tls13_key_exchange_modes(&e->conf,
                                              MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_EPHEMERAL_ALL);
    if (!e->server)
        mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(
            &e->conf, MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED);
#else
    mbedtls_ssl_conf_min_version(&e->conf, MBEDTLS_SSL_MAJOR_VERSION_3,
                                 MBEDTLS_SSL_MINOR_VERSION_3);
    mbedtls_ssl_conf_curves(&e->conf, groups);
    mbedtls_ssl_conf_sig_hashes(&e->conf, hashes);
#endif
    mbedtls_ssl_conf_ciphersuites(&e->conf, suites);
    mbedtls_ssl_conf_cert_profile(&e->conf, &profile);
    mbedtls_ssl_conf_renegotiation(&e->conf, MBEDTLS_SSL_RENEGOTIATION_DISABLED);
    mbedtls_ssl_conf_legacy_renegotiation(&e->conf, MBEDTLS_SSL_LEGACY_NO_RENEGOTIATION);
    mbedtls_ssl_conf_rng(&e->conf, mbedtls_ctr_drbg_random, &e->random);
    return mbedtls_ssl_conf_alpn_protocols(&e->conf, alpn);
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
    mbedtls_entropy_init(&e->entropy);
    mbedtls_ctr_drbg_init(&e->random);
    mbedtls_ssl_config_init(&e->conf);
    mbedtls_x509_crt_init(&e->ca);
    mbedtls_ssl_ticket_init(&e->tickets);
    mbedtls_ssl_session_init(&e->session);
    int status = 0;
#if MBEDTLS_VERSION_MAJOR >= 3
    psa_status_t psa = psa_crypto_init();
    if (psa != PSA_SUCCESS)
        status = psa == PSA_ERROR_INSUFFICIENT_MEMORY ? MBEDTLS_ERR_SSL_ALLOC_FAILED
                                                      : MBEDTLS_ERR_SSL_INTERNAL_ERROR;
#endif
    if (status == 0)
        status = mbedtls_ctr_drbg_seed(&e->random, mbedtls_entropy_func, &e->entropy, NULL, 0);
    if (status == 0)
        status = configure(e);
    if (status != 0) {
        wst__tls_engine_free(e);
        return complain_of(why, "TLS is not available", status);
    }
    *out = e;
    return 0;
}

void wst__tls_mbedtls_drop_session(wst__tls_engine_t *e) {
    mbedtls_ssl_session_free(&e->session);
    mbedtls_ssl_session_init(&e->session);
    wst__tls_last_drop(&e->last, &e->allocator);
}

void wst__tls_engine_free(wst__tls_engine_t *e) {
    if (e == NULL)
        return;
    wst__tls_mbedtls_drop_session(e);
    mbedtls_ssl_session_free(&e->session);
    mbedtls_ssl_ticket_free(&e->tickets);
    mbedtls_ssl_config_free(&e->conf);
    mbedtls_x509_crt_free(&e->ca);
    for (size_t i = 0; i < e->identity_count; i++) {
        mbedtls_x509_crt_free(&e->identities[i].chain);
        mbedtls_pk_free(&e->identities[i].key);
        wst__tls_cert_unref(e->identities[i].public);
    }
    wst_allocator_t allocator = e->allocator;
    wst__free(&allocator, e->identities);
    mbedtls_ctr_drbg_free(&e->random);
    mbedtls_entropy_free(&e->entropy);
    wst__free(&allocator, e);
}

/* A resumption would not check the client's certificate, and TLS 1.3's tickets do not name it. */
static int set_up_tickets(wst__tls_engine_t *e, bool client_certs) {
    if (client_certs) {
        mbedtls_ssl_conf_session_tickets(&e->conf, MBEDTLS_SSL_SESSION_TICKETS_DISABLED);
        return 0;
    }
    int status = mbedtls_ssl_ticket_setup(&e->tickets, mbedtls_ctr_drbg_random, &e->random,
                                          MBEDTLS_CIPHER_AES_256_GCM, WST__TLS_TICKET_LIFETIME_S);
    if (status == 0)
        mbedtls_ssl_conf_session_tickets_cb(&e->conf, mbedtls_ssl_ticket_write,
                                            mbedtls_ssl_ticket_parse, &e->tickets);
    return status;
}

int wst__tls_engine_server(wst__tls_engine_t **out, const wst_allocator_t *allocator,
                           const wst_tls_server_options_t *options, wst_tls_error_t *why) {
    static const int modes[] = {MBEDTLS_SSL_VERIFY_NONE, MBEDTLS_SSL_VERIFY_OPTIONAL,
                                MBEDTLS_SSL_VERIFY_REQUIRED};
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
    if (status == 0) {
        int error = set_up_tickets(e, client_certs);
        status = error != 0 ? complain_of(why, "tickets", error) : 0;
    }
    if (status != 0) {
        wst__tls_engine_free(e);
        return status;
    }
    mbedtls_ssl_conf_sni(&e->conf, wst__tls_mbedtls_on_sni, e);
    mbedtls_ssl_conf_authmode(&e->conf, modes[options->client_cert]);
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
    mbedtls_ssl_conf_ca_chain(&e->conf, &e->ca, NULL); /* even if empty: without one it fails */
    if (options->ca_pem != NULL)
        status = add_ca(e, options->ca_pem, lenient, why);
    if (status == 0)
        status = wst__tls_read_pins(e->pins, &e->pin_count, options->pins, why);
    if (status == 0 && options->identity != NULL)
        status = add_identities(e, options->identity, 1, why);
    if (status != 0) {
        wst__tls_engine_free(e);
        return status;
    }
    mbedtls_ssl_conf_authmode(&e->conf, e->insecure ? MBEDTLS_SSL_VERIFY_OPTIONAL
                                                    : MBEDTLS_SSL_VERIFY_REQUIRED);
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
