/* SPDX-License-Identifier: MIT */
/*
 * The TLS engine (tls_engine.h): OpenSSL 3. The only file that knows SSL objects.
 *
 * OpenSSL takes memory, time and random bytes by itself: it has one allocator per process, which is
 * the embedder's to replace (CRYPTO_set_mem_functions). It reads its own configuration file; all
 * that matters here is set explicitly after that.
 */
#include "mem.h"
#include "sized.h"
#include "tls_alert.h"
#include "tls_cert.h"
#include "tls_cpu.h"
#include "tls_engine.h"
#include "tls_names.h"
#include "tls_pem_openssl.h"
#include "tls_session.h"
#include "tls_tickets_openssl.h"
#include "tls_verify_openssl.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/tls1.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { RECORD_ALERT = 21, RECORD_HANDSHAKE = 22 };

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
static const uint8_t alpn[] = "\x08http/1.1";

typedef struct identity {
    STACK_OF(X509) * issuers; /* behind the first of the chain */
    X509 *leaf;
    EVP_PKEY *key;
    uint8_t *der;
    wst__tls_x509_t is; /* the leaf */
} identity_t;

struct wst__tls_engine {
    wst_allocator_t allocator;
    bool server, insecure;
    SSL_CTX *ctx;
    BIO_METHOD *method;
    identity_t *identities;
    size_t identity_count;
    int64_t expiry;
    char expires_first[WST__TLS_DN_TEXT];
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

const char *wst_tls_engine(void) {
    return OpenSSL_version(OPENSSL_VERSION);
}

/* Input and output --------------------------------------------------------------------------- */

static int on_bio_read(BIO *bio, char *buf, int len) {
    wst__tls_conn_t *c = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    size_t n = c->no_tls ? 0 : c->io->pull(c->io_arg, (uint8_t *)buf, (size_t)len);
    if (n > 0 && !c->begun) {
        c->begun = true;
        c->no_tls = buf[0] != RECORD_HANDSHAKE && buf[0] != RECORD_ALERT;
    }
    if (n > 0 && !c->no_tls)
        return (int)n;
    if (!c->no_tls)
        BIO_set_retry_read(bio);
    return -1;
}

static int on_bio_write(BIO *bio, const char *data, int len) {
    wst__tls_conn_t *c = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (c->io_error != 0 || len <= 0)
        return -1;
    c->alerted = c->alerted || data[0] == RECORD_ALERT;
    if (c->reading && ++c->unasked > WST__TLS_UNASKED_MAX)
        c->io_error = WST_EFLOOD;
    else
        c->io_error = c->io->push(c->io_arg, (const uint8_t *)data, (size_t)len);
    return c->io_error == 0 ? len : -1;
}

static long on_bio_ctrl(BIO *bio, int command, long number, void *arg) {
    (void)bio;
    (void)number;
    (void)arg;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *new_bio_method(void) {
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "wstunnel");
    if (method != NULL && BIO_meth_set_read(method, on_bio_read) == 1 &&
        BIO_meth_set_write(method, on_bio_write) == 1 &&
        BIO_meth_set_ctrl(method, on_bio_ctrl) == 1)
        return method;
    BIO_meth_free(method);
    return NULL;
}

/* Identities --------------------------------------------------------------------------------- */

static int read_identity(identity_t *identity, const wst_tls_identity_t *from, size_t number,
                         wst_tls_error_t *why) {
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
    identity_t *identity = &e->identities[e->identity_count++];
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
    if (e->server && !identity->is.for_servers)
        return wst__tls_complain(why, what, "the certificate is not for servers");
    if (identity->is.not_after < e->expiry) {
        e->expiry = identity->is.not_after;
        wst__tls_dn_text(e->expires_first, identity->is.subject);
    }
    return 0;
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
    identity_t *first = &e->identities[0];
    return SSL_CTX_use_cert_and_key(e->ctx, first->leaf, first->key, first->issuers, 1) == 1
               ? 0
               : wst__tls_complain_of(why, "identity 1");
}

static void free_identity(identity_t *identity) {
    wst__tls_free_certificates(identity->issuers);
    X509_free(identity->leaf);
    EVP_PKEY_free(identity->key);
    OPENSSL_free(identity->der);
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

static int on_sni(SSL *ssl, int *alert, void *arg);
static int on_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in,
                   unsigned in_len, void *arg);
static int on_verify(X509_STORE_CTX *ctx, void *arg);
static int on_new_session(SSL *ssl, SSL_SESSION *session);

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
    e->expiry = INT64_MAX;
    ERR_clear_error();
    e->ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    e->method = new_bio_method();
    if (e->ctx == NULL || e->method == NULL || !configure(e->ctx)) {
        wst__tls_engine_free(e);
        return wst__tls_complain_of(why, "TLS is not available");
    }
    SSL_CTX_set_cert_verify_callback(e->ctx, on_verify, NULL);
    *out = e;
    return 0;
}

static void drop_session(wst__tls_engine_t *e) {
    SSL_SESSION_free(e->session);
    e->session = NULL;
    wst__tls_last_drop(&e->last, &e->allocator);
}

void wst__tls_engine_free(wst__tls_engine_t *e) {
    if (e == NULL)
        return;
    drop_session(e);
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
    SSL_CTX_set_alpn_select_cb(e->ctx, on_alpn, NULL);
    (void)SSL_CTX_set_tlsext_servername_callback(e->ctx, on_sni);
    *out = e;
    return 0;
}

int wst__tls_engine_client(wst__tls_engine_t **out, const wst_allocator_t *allocator,
                           const wst_tls_client_options_t *options, bool lenient,
                           wst_tls_error_t *why) {
    if (options->ca_pem == NULL && !options->insecure)
        return WST_EINVAL;
    wst__tls_engine_t *e;
    int status = engine_new(&e, allocator, false, why);
    if (status != 0)
        return status;
    e->insecure = options->insecure;
    if (options->ca_pem != NULL)
        status = add_ca(e, options->ca_pem, lenient, why);
    if (status == 0)
        status = wst__tls_read_pins(e->pins, &e->pin_count, options->pins, why);
    if (status == 0 && options->identity != NULL)
        status = add_identities(e, options->identity, 1, why);
    if (status == 0 && SSL_CTX_set_alpn_protos(e->ctx, alpn, sizeof(alpn) - 1) != 0)
        status = WST_ENOMEM;
    if (status != 0) {
        wst__tls_engine_free(e);
        return status;
    }
    /* Also if insecure: on_verify has the last word. */
    SSL_CTX_set_verify(e->ctx, SSL_VERIFY_PEER, NULL);
    (void)SSL_CTX_set_session_cache_mode(e->ctx,
                                         SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(e->ctx, on_new_session);
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
        *subject = e->expires_first;
    return e->expiry;
}

/* Callbacks of OpenSSL ----------------------------------------------------------------------- */

/*
 * Takes all identities for the name that a client asks for in place of the first one: one may be
 * RSA, another EC. Of two with a key of the same kind OpenSSL would take the last, so that the
 * first is set last.
 */
static int on_sni(SSL *ssl, int *alert, void *arg) {
    (void)arg;
    wst__tls_conn_t *c = SSL_get_app_data(ssl);
    wst__tls_engine_t *e = c->engine;
    const char *host = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    size_t len = host != NULL ? wst__tls_name_len(host, strlen(host)) : 0;
    snprintf(c->sni, sizeof(c->sni), "%.*s", (int)len, len > 0 ? host : "");
    bool cleared = false;
    for (size_t i = e->identity_count; i-- > 0;) {
        identity_t *identity = &e->identities[i];
        if (!wst__tls_cert_names(&identity->is, c->sni, len) || (i == 0 && !cleared))
            continue; /* the first one is set anyway */
        if (!cleared)
            SSL_certs_clear(ssl);
        cleared = true;
        if (SSL_use_cert_and_key(ssl, identity->leaf, identity->key, identity->issuers, 1) != 1) {
            *alert = SSL_AD_INTERNAL_ERROR;
            return SSL_TLSEXT_ERR_ALERT_FATAL;
        }
    }
    return SSL_TLSEXT_ERR_NOACK; /* a client does nothing with an acknowledgement */
}

static int on_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in,
                   unsigned in_len, void *arg) {
    (void)ssl;
    (void)arg;
    for (unsigned at = 0; at < in_len; at += 1U + in[at]) {
        if (in_len - at < sizeof(alpn) - 1 || memcmp(in + at, alpn, sizeof(alpn) - 1) != 0)
            continue;
        *out = in + at + 1;
        *out_len = in[at];
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int on_verify(X509_STORE_CTX *ctx, void *arg) {
    (void)arg;
    SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
    wst__tls_conn_t *c = SSL_get_app_data(ssl);
    wst__tls_cert_unref(c->peer);
    c->peer = NULL;
    int error = wst__tls_verify(ctx, &c->engine->allocator, &c->expect, &c->found, &c->peer);
    c->no_memory = c->no_memory || error == X509_V_ERR_OUT_OF_MEM;
    X509_STORE_CTX_set_error(ctx, error);
    ERR_clear_error();
    return error == X509_V_OK;
}

/* Keeps the session for resumption: with TLS 1.3, that is when a ticket comes. */
static int on_new_session(SSL *ssl, SSL_SESSION *session) {
    wst__tls_conn_t *c = SSL_get_app_data(ssl);
    wst__tls_engine_t *e = c->engine;
    drop_session(e);
    if (!wst__tls_last_set(&e->last, &e->allocator, c->session_of, c->peer))
        return 0;
    e->session = session;
    return 1;
}

/* Failure ------------------------------------------------------------------------------------ */

/* Errors for which OpenSSL's own texts are unclear; NULL for others. */
static const char *clearer_text(int reason) {
    switch (reason) {
    case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
        return "a record cannot be decrypted: it has been changed on the way";
    case SSL_R_BAD_RECORD_TYPE:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_ENCRYPTED_LENGTH_TOO_LONG:
    case SSL_R_DATA_LENGTH_TOO_LONG:
        return "the peer sent a record that is malformed or too long";
    case SSL_R_UNEXPECTED_MESSAGE:
    case SSL_R_UNEXPECTED_RECORD:
        return "the peer sent a message that has no place here";
    case SSL_R_EXCESSIVE_MESSAGE_SIZE:
        return "the peer sent a message that is too long";
    case SSL_R_RECORD_TOO_SMALL:
        return "the peer sends empty records";
    case SSL_R_NO_APPLICATION_PROTOCOL:
        return "no application protocol in common: the peer does not want http/1.1";
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return "the client has sent no certificate";
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_WRONG_VERSION_NUMBER:
        return "no version in common: the peer wants none of TLS 1.2 and 1.3";
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SHARED_GROUPS:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
        return "no cipher suite, or parameter for one, in common";
    default:
        return NULL;
    }
}

static void tell(wst__tls_conn_t *c, const char *text) {
    snprintf(c->found.text, sizeof(c->found.text), "%s", text);
}

/* To what is no TLS, or of a version that there never was, OpenSSL says nothing. */
static int answer(wst__tls_conn_t *c, uint8_t alert) {
    const uint8_t record[] = {RECORD_ALERT, 3, 3, 0, 2, 2, alert};
    int status = c->alerted ? 0 : c->io->push(c->io_arg, record, sizeof(record));
    return status != 0 ? status : (int)WST_ETLS;
}

/* Maps the errors in OpenSSL's queue, and records the reason. OpenSSL has sent the alert. */
static int conn_failed(wst__tls_conn_t *c) {
    unsigned long error;
    bool no_memory = wst__tls_take_errors(ERR_LIB_SSL, &error) || c->no_memory;
    int reason = ERR_GET_REASON(error);
    if (c->io_error != 0)
        return c->io_error;
    if (no_memory)
        return WST_ENOMEM;
    if (c->no_tls) {
        tell(c, "what the peer sends is not TLS");
        return answer(c, SSL_AD_HANDSHAKE_FAILURE);
    }
    if (error != 0 && reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256) {
        unsigned alert = (unsigned)(reason - SSL_AD_REASON_OFFSET);
        snprintf(c->found.text, sizeof(c->found.text), "the peer sent alert %u: %s", alert,
                 wst__tls_alert_name(alert));
        return WST_ETLS;
    }
    if (error != 0 && reason == SSL_R_CERTIFICATE_VERIFY_FAILED && c->found.text[0] != '\0')
        return WST_ETLSCERT;
    const char *text = error != 0 ? clearer_text(reason) : NULL;
    if (reason == SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC && !c->heard && !c->engine->server &&
        c->done)
        text = WST__TLS_FIRST_RECORD;
    if (text == NULL && error != 0)
        text = ERR_reason_error_string(error);
    tell(c, text != NULL ? text : "TLS failed");
    if (reason == SSL_R_WRONG_VERSION_NUMBER && c->done)
        tell(c, clearer_text(SSL_R_BAD_RECORD_TYPE));
    else if (reason == SSL_R_WRONG_VERSION_NUMBER)
        return answer(c, SSL_AD_PROTOCOL_VERSION);
    return reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE ? (int)WST_ETLSCERT : (int)WST_ETLS;
}

/* Connections -------------------------------------------------------------------------------- */

/* Offers the last session if it is with this server and its certificate is still valid. */
static bool offer_session(wst__tls_conn_t *c) {
    wst__tls_engine_t *e = c->engine;
    if (e->session == NULL ||
        !wst__tls_last_is_good(&e->last, c->session_of, (int64_t)time(NULL)) ||
        SSL_SESSION_is_resumable(e->session) != 1)
        return true;
    if (SSL_set_session(c->ssl, e->session) != 1)
        return false;
    c->peer = wst__tls_cert_ref(e->last.peer);
    c->offered = true;
    return true;
}

static bool set_up_client(wst__tls_conn_t *c, const char *server_name, const char *sni) {
    wst__tls_engine_t *e = c->engine;
    SSL_set_connect_state(c->ssl);
    c->server_name = wst__strdup(&e->allocator, server_name);
    c->session_of = wst__tls_session_key(&e->allocator, server_name, sni);
    if ((server_name != NULL && c->server_name == NULL) || c->session_of == NULL)
        return false;
    c->expect.host = c->server_name;
    if (sni != NULL) {
        snprintf(c->sni, sizeof(c->sni), "%.*s", (int)wst__tls_name_len(sni, strlen(sni)), sni);
        if (SSL_set_tlsext_host_name(c->ssl, c->sni) != 1)
            return false;
    }
    return offer_session(c);
}

static bool set_up(wst__tls_conn_t *c, const char *server_name, const char *sni) {
    ERR_clear_error();
    c->ssl = SSL_new(c->engine->ctx);
    BIO *bio = c->ssl != NULL ? BIO_new(c->engine->method) : NULL;
    if (bio == NULL)
        return false;
    BIO_set_data(bio, c);
    BIO_set_init(bio, 1);
    SSL_set_bio(c->ssl, bio, bio);
    if (SSL_set_app_data(c->ssl, c) != 1)
        return false;
    if (!c->engine->server)
        return set_up_client(c, server_name, sni);
    SSL_set_accept_state(c->ssl);
    return true;
}

int wst__tls_conn_new(wst__tls_conn_t **out, wst__tls_engine_t *e, const wst__tls_io_t *io,
                      void *io_arg, const char *server_name, const char *sni) {
    wst__tls_conn_t *c = wst__zalloc(&e->allocator, sizeof(*c));
    if (c == NULL)
        return WST_ENOMEM;
    c->engine = e;
    c->io = io;
    c->io_arg = io_arg;
    c->expect = (wst__tls_expect_t){.client = e->server,
                                    .insecure = e->insecure,
                                    .pins = (const uint8_t(*)[32])e->pins,
                                    .pin_count = e->pin_count};
    c->info = (wst_tls_info_t){.size = sizeof(wst_tls_info_t),
                               .version = "",
                               .cipher_suite = c->cipher_suite,
                               .alpn = c->alpn,
                               .server_name = c->sni,
                               .failure = c->found.text};
    if (!set_up(c, server_name, sni)) { /* only memory can be missing */
        ERR_clear_error();
        wst__tls_conn_free(c);
        return WST_ENOMEM;
    }
    *out = c;
    return 0;
}

void wst__tls_conn_free(wst__tls_conn_t *c) {
    if (c == NULL)
        return;
    const wst_allocator_t *allocator = &c->engine->allocator;
    /* OpenSSL would take the session of a connection without close_notify for a bad one. */
    if (c->ssl != NULL && SSL_is_init_finished(c->ssl))
        SSL_set_shutdown(c->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(c->ssl);
    wst__tls_cert_unref(c->peer);
    wst__free(allocator, c->server_name);
    wst__free(allocator, c->session_of);
    wst__free(allocator, c);
}

static void conn_completed(wst__tls_conn_t *c) {
    const char *suite = SSL_CIPHER_standard_name(SSL_get_current_cipher(c->ssl));
    const uint8_t *protocol;
    unsigned len;
    SSL_get0_alpn_selected(c->ssl, &protocol, &len);
    snprintf(c->cipher_suite, sizeof(c->cipher_suite), "%s", suite != NULL ? suite : "");
    snprintf(c->alpn, sizeof(c->alpn), "%.*s", (int)len, len > 0 ? (const char *)protocol : "");
    c->done = true;
    c->info.version = SSL_get_version(c->ssl);
    c->info.resumed = SSL_session_reused(c->ssl) == 1;
    c->info.peer = wst__tls_cert_public(c->peer);
    c->info.peer_verified = c->peer != NULL && !c->engine->insecure;
}

/* Before each call that may read or write. */
static void begin_call(wst__tls_conn_t *c, bool reading) {
    c->reading = reading;
    ERR_clear_error();
}

/* The status of a call that returned `result`, which is not a success. */
static int judge_result(wst__tls_conn_t *c, int result, bool open) {
    int error = SSL_get_error(c->ssl, result);
    c->reading = false;
    if (c->io_error != 0)
        return conn_failed(c);
    if (error == SSL_ERROR_WANT_READ)
        return WST__TLS_AGAIN;
    if (error != SSL_ERROR_ZERO_RETURN)
        return conn_failed(c);
    if (open)
        return WST__TLS_END;
    tell(c, "the peer closed the connection during the handshake");
    return WST_ETLS;
}

int wst__tls_conn_handshake(wst__tls_conn_t *c) {
    if (SSL_is_init_finished(c->ssl))
        return 0;
    begin_call(c, false);
    int result = SSL_do_handshake(c->ssl);
    if (result == 1) {
        conn_completed(c);
        return 0;
    }
    int status = judge_result(c, result, false);
    if (status < 0 && c->offered)
        drop_session(c->engine); /* it may be the cause: the next attempt does without */
    return status;
}

int wst__tls_conn_pending(wst__tls_conn_t *c, size_t *len) {
    uint8_t byte;
    size_t n;
    *len = (size_t)SSL_pending(c->ssl);
    if (*len > 0)
        return 0;
    begin_call(c, true);
    int result = SSL_peek_ex(c->ssl, &byte, 1, &n);
    if (result != 1)
        return judge_result(c, result, true);
    *len = (size_t)SSL_pending(c->ssl);
    return 0;
}

int wst__tls_conn_read(wst__tls_conn_t *c, uint8_t *buf, size_t len, size_t *n) {
    *n = 0;
    begin_call(c, true);
    int result = SSL_read_ex(c->ssl, buf, len, n);
    if (result != 1)
        return judge_result(c, result, true);
    c->heard = true;
    return 0;
}

int wst__tls_conn_write(wst__tls_conn_t *c, const uint8_t *data, size_t len, size_t *n) {
    *n = 0;
    begin_call(c, false);
    int result = SSL_write_ex(c->ssl, data, len < WST__TLS_PLAIN ? len : WST__TLS_PLAIN, n);
    if (result == 1)
        return 0;
    int status = judge_result(c, result, true);
    return status < 0 ? status : (int)WST_ETLS;
}

int wst__tls_conn_close_notify(wst__tls_conn_t *c) {
    begin_call(c, false);
    int result = SSL_shutdown(c->ssl);
    if (result >= 0 && c->io_error == 0)
        return 0;
    return conn_failed(c);
}

const wst_tls_info_t *wst__tls_conn_info(const wst__tls_conn_t *c) {
    return &c->info;
}
