/* SPDX-License-Identifier: MIT */
/* The connections of the OpenSSL engine (tls_engine.h). */
#include "mem.h"
#include "tls_alert.h"
#include "tls_chain.h"
#include "tls_openssl.h"
#include "tls_verify_openssl.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { RECORD_ALERT = 21, RECORD_HANDSHAKE = 22 };

static const uint8_t alpn[] = WST__TLS_OPENSSL_ALPN;

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

BIO_METHOD *wst__tls_openssl_bio(void) {
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "wstunnel");
    if (method != NULL && BIO_meth_set_read(method, on_bio_read) == 1 &&
        BIO_meth_set_write(method, on_bio_write) == 1 &&
        BIO_meth_set_ctrl(method, on_bio_ctrl) == 1)
        return method;
    BIO_meth_free(method);
    return NULL;
}

/* Callbacks of OpenSSL ----------------------------------------------------------------------- */

/*
 * Takes all identities for the name that a client asks for in place of the first one: one may be
 * RSA, another EC. Of two with a key of the same kind OpenSSL would take the last, so that the
 * first is set last.
 */
int wst__tls_openssl_on_sni(SSL *ssl, int *alert, void *arg) {
    (void)arg;
    wst__tls_conn_t *c = SSL_get_app_data(ssl);
    wst__tls_engine_t *e = c->engine;
    const char *host = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    size_t len = host != NULL ? wst__tls_name_len(host, strlen(host)) : 0;
    snprintf(c->sni, sizeof(c->sni), "%.*s", (int)len, len > 0 ? host : "");
    bool cleared = false;
    for (size_t i = e->identity_count; i-- > 0;) {
        wst__tls_identity_t *identity = &e->identities[i];
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

int wst__tls_openssl_on_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in,
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

int wst__tls_openssl_on_verify(X509_STORE_CTX *ctx, void *arg) {
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
int wst__tls_openssl_on_new_session(SSL *ssl, SSL_SESSION *session) {
    wst__tls_conn_t *c = SSL_get_app_data(ssl);
    wst__tls_engine_t *e = c->engine;
    wst__tls_openssl_drop_session(e);
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

void wst__tls_conn_keep_chain(wst__tls_conn_t *c, wst__tls_chain_t *chain) {
    c->found.chain = chain;
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
        wst__tls_openssl_drop_session(
            c->engine); /* it may be the cause: the next attempt does without */
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
