/* SPDX-License-Identifier: MIT */
/* The connections of the mbedTLS engine (tls_engine.h). */
#include "mem.h"
#include "tls_alert.h"
#include "tls_chain.h"
#include "tls_mbedtls.h"

#include <mbedtls/error.h>
#include <mbedtls/platform_time.h>
#include <stdio.h>
#include <string.h>

/* Callbacks of mbedTLS ----------------------------------------------------------------------- */

static int on_recv(void *arg, uint8_t *buf, size_t len) {
    wst__tls_conn_t *c = arg;
    size_t n = c->io->pull(c->io_arg, buf, len);
    if (n > 0 && !c->begun) {
        c->begun = true;
        c->is_tls = buf[0] == MBEDTLS_SSL_MSG_HANDSHAKE || buf[0] == MBEDTLS_SSL_MSG_ALERT;
    }
    c->starved = n == 0;
    return n > 0 ? (int)n : MBEDTLS_ERR_SSL_WANT_READ;
}

static int on_send(void *arg, const uint8_t *data, size_t len) {
    wst__tls_conn_t *c = arg;
    if (c->reading && ++c->unasked > WST__TLS_UNASKED_MAX)
        c->io_error = WST_EFLOOD;
    else
        c->io_error = c->io->push(c->io_arg, data, len);
    c->last_sent = data[0];
    if (data[0] == MBEDTLS_SSL_MSG_ALERT && len == 7)
        c->alert = data[6];
    return c->io_error == 0 ? (int)len : MBEDTLS_ERR_SSL_INTERNAL_ERROR;
}

/* Adds all identities for the name that a client asks for: one may be RSA, another EC. */
int wst__tls_mbedtls_on_sni(void *arg, mbedtls_ssl_context *ssl, const uint8_t *name, size_t len) {
    wst__tls_engine_t *e = arg;
    wst__tls_conn_t *c = (wst__tls_conn_t *)(void *)ssl;
    const char *host = (const char *)name;
    len = wst__tls_name_len(host, len);
    memcpy(c->sni, host, len);
    c->sni[len] = '\0';
    int status = 0;
    for (size_t i = 0; i < e->identity_count && status == 0; i++)
        if (wst__tls_cert_names(&e->identities[i].is, host, len))
            status =
                mbedtls_ssl_set_hs_own_cert(ssl, &e->identities[i].chain, &e->identities[i].key);
    return status;
}

/* The faults of the policy and mbedTLS's, which decide about the alert. mbedTLS's own check of the
 * name is not in it: 2.28 knows no IP addresses. */
static const struct {
    unsigned fault;
    uint32_t flags;
} fault_flags[] = {
    {WST__TLS_EXPIRED, MBEDTLS_X509_BADCERT_EXPIRED},
    {WST__TLS_TOO_EARLY, MBEDTLS_X509_BADCERT_FUTURE},
    {WST__TLS_NOT_TRUSTED, MBEDTLS_X509_BADCERT_NOT_TRUSTED},
    {WST__TLS_WEAK_SIGNATURE, MBEDTLS_X509_BADCERT_BAD_MD | MBEDTLS_X509_BADCERT_BAD_PK},
    {WST__TLS_WEAK_KEY, MBEDTLS_X509_BADCERT_BAD_KEY},
    {WST__TLS_BAD_USAGE, MBEDTLS_X509_BADCERT_KEY_USAGE | MBEDTLS_X509_BADCERT_NS_CERT_TYPE},
    {WST__TLS_NO_CERTIFICATE, MBEDTLS_X509_BADCERT_MISSING},
    {WST__TLS_BAD_PURPOSE, MBEDTLS_X509_BADCERT_EXT_KEY_USAGE},
    {WST__TLS_OTHER_NAME, MBEDTLS_X509_BADCERT_CN_MISMATCH},
    {WST__TLS_NOT_PINNED, MBEDTLS_X509_BADCERT_OTHER},
};
enum { FAULT_FLAGS = sizeof(fault_flags) / sizeof(fault_flags[0]) };

static unsigned faults_of(uint32_t flags) {
    unsigned faults = 0;
    flags &= ~(uint32_t)MBEDTLS_X509_BADCERT_CN_MISMATCH;
    for (size_t i = 0; i < FAULT_FLAGS; i++) {
        if ((flags & fault_flags[i].flags) != 0)
            faults |= fault_flags[i].fault;
        flags &= ~fault_flags[i].flags;
    }
    return flags == 0 ? faults : faults | WST__TLS_OTHER_FAULT;
}

static uint32_t flags_of(unsigned faults) {
    uint32_t flags = (faults & WST__TLS_OTHER_FAULT) != 0 ? MBEDTLS_X509_BADCERT_OTHER : 0;
    for (size_t i = 0; i < FAULT_FLAGS; i++)
        if ((faults & fault_flags[i].fault) != 0)
            flags |= fault_flags[i].flags;
    return flags;
}

/* Adds the certificates that the peer sent, which are linked in its order. False: no memory. */
static bool add_sent(wst__tls_chain_t *chain, const mbedtls_x509_crt *crt) {
    bool added = true;
    for (; crt != NULL && crt->raw.len > 0 && added; crt = crt->next) {
        wst__tls_x509_t is;
        bool readable = wst__tls_x509_read(&is, crt->raw.p, crt->raw.len);
        added = wst__tls_chain_sent(chain, readable ? &is : NULL);
    }
    return added;
}

static int on_verify(void *arg, mbedtls_x509_crt *crt, int depth, uint32_t *flags) {
    wst__tls_conn_t *c = arg;
    wst__tls_x509_t is;
    unsigned faults = faults_of(*flags);
    bool none = crt->raw.len == 0; /* how 2.28 presents an empty list of certificates */
    if (!none && !wst__tls_x509_read(&is, crt->raw.p, crt->raw.len)) {
        snprintf(c->found.text, sizeof(c->found.text), "%s", WST__TLS_UNREADABLE);
        return MBEDTLS_ERR_X509_FATAL_ERROR;
    }
    faults = wst__tls_judge(&c->expect, &c->found, none ? NULL : &is, depth, faults, NULL);
    *flags = flags_of(faults);
    if (depth > 0)
        return 0;
    wst__tls_cert_unref(c->peer);
    c->peer = none ? NULL : wst__tls_cert_new(&c->engine->allocator, &is);
    if (c->peer == NULL && !none)
        return MBEDTLS_ERR_X509_ALLOC_FAILED;
    if (c->found.chain != NULL && !add_sent(c->found.chain, crt))
        return MBEDTLS_ERR_X509_ALLOC_FAILED;
    /* If certificates are optional, mbedTLS ignores the flags. */
    return c->found.bad && c->optional ? MBEDTLS_ERR_X509_FATAL_ERROR : 0;
}

/* Failure ------------------------------------------------------------------------------------ */

/* Errors for which mbedTLS's own texts are unclear; NULL for others. */
static const char *clearer_text(int error) {
    switch (error) {
    case MBEDTLS_ERR_SSL_INVALID_MAC:
        return "a record cannot be decrypted: it has been changed on the way";
    case MBEDTLS_ERR_SSL_INVALID_RECORD:
        return "the peer sent a record that is malformed or too long";
    case MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE:
        return "the peer sent a message that has no place here";
    case MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY:
        return "the peer closed the connection during the handshake";
    case MBEDTLS_ERR_SSL_NO_CLIENT_CERTIFICATE:
        return "the client has sent no certificate";
#if MBEDTLS_VERSION_MAJOR >= 3
    case MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION:
        return "no version in common: the peer wants none of TLS 1.2 and 1.3";
    case MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE:
        return "no cipher suite, or parameter for one, in common";
    case MBEDTLS_ERR_SSL_BAD_INPUT_DATA: /* from PSA, or for an announced length beyond the buffer
                                          */
        return "the peer sent a key that is not valid, or a record or message that is too long";
#else
    case MBEDTLS_ERR_SSL_FEATURE_UNAVAILABLE:
        return "the peer sent a message that is longer than its record";
    case MBEDTLS_ERR_SSL_BAD_HS_PROTOCOL_VERSION:
        return "no version in common: the peer does not want TLS 1.2";
    case MBEDTLS_ERR_SSL_NO_CIPHER_CHOSEN:
    case MBEDTLS_ERR_SSL_NO_USABLE_CIPHERSUITE:
        return "no cipher suite in common";
#endif
    default:
        return NULL;
    }
}

/* mbedTLS accepts three empty records in a row, and calls the next one a bad MAC. */
static bool is_flooded(const wst__tls_conn_t *c, int error) {
    return error == MBEDTLS_ERR_SSL_INVALID_MAC && c->ssl.MBEDTLS_PRIVATE(nb_zero) > 3;
}

/* An unencrypted alert of two bytes where only encrypted ones are allowed: mbedTLS's TLS 1.3 client
 * refuses certificates this way. It proves nothing, but helps people. */
static bool is_clear_alert(const wst__tls_conn_t *c) {
    const uint8_t *record = c->ssl.MBEDTLS_PRIVATE(in_hdr);
    return record[0] == MBEDTLS_SSL_MSG_ALERT && record[3] == 0 && record[4] == 2;
}

static int tell_alert(wst__tls_conn_t *c, unsigned alert) {
    snprintf(c->found.text, sizeof(c->found.text), "the peer sent alert %u: %s", alert,
             wst__tls_alert_name(alert));
    return WST_ETLS;
}

static bool is_about_certificate(int error) {
#if MBEDTLS_VERSION_MAJOR >= 3
    if (error == MBEDTLS_ERR_SSL_BAD_CERTIFICATE)
        return true;
#else
    if (error == MBEDTLS_ERR_SSL_BAD_HS_CERTIFICATE)
        return true;
#endif
    return error == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED || error == MBEDTLS_ERR_X509_FATAL_ERROR ||
           error == MBEDTLS_ERR_SSL_NO_CLIENT_CERTIFICATE;
}

/* The failed call has usually sent an alert already, which looks like data in TLS 1.3. */
static void send_alert(wst__tls_conn_t *c, int error, bool open) {
    if (c->last_sent == MBEDTLS_SSL_MSG_ALERT || c->last_sent == MBEDTLS_SSL_MSG_APPLICATION_DATA)
        return;
    uint8_t alert = MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE;
    if (wst__tls_mbedtls_no_memory(error))
        alert = MBEDTLS_SSL_ALERT_MSG_INTERNAL_ERROR;
    else if (error == MBEDTLS_ERR_SSL_INVALID_MAC)
        alert = MBEDTLS_SSL_ALERT_MSG_BAD_RECORD_MAC;
    else if (open)
        alert = MBEDTLS_SSL_ALERT_MSG_UNEXPECTED_MESSAGE;
    if (c->ssl.MBEDTLS_PRIVATE(out_left) > 0) /* a first call only sends pending output */
        (void)mbedtls_ssl_send_alert_message(&c->ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL, alert);
    (void)mbedtls_ssl_send_alert_message(&c->ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL, alert);
}

/* Maps an error of mbedTLS, records the reason and sends the alert. */
static int conn_failed(wst__tls_conn_t *c, int error, bool open) {
    c->reading = false;
    if (c->io_error != 0)
        return c->io_error;
    if (wst__tls_mbedtls_no_memory(error)) {
        send_alert(c, error, open);
        return WST_ENOMEM;
    }
    if (error == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE)
        return tell_alert(c, c->ssl.MBEDTLS_PRIVATE(in_msg)[1]);
    if (error == MBEDTLS_ERR_SSL_INVALID_MAC && !open && is_clear_alert(c))
        return tell_alert(c, c->ssl.MBEDTLS_PRIVATE(in_hdr)[6]);
    bool certificate = is_about_certificate(error);
    const char *text = clearer_text(error);
    if (c->alert == MBEDTLS_SSL_ALERT_MSG_NO_APPLICATION_PROTOCOL)
        text = "no application protocol in common: the peer does not want http/1.1";
    else if (!open && !c->is_tls)
        text = "what the peer sends is not TLS";
    else if (is_flooded(c, error))
        text = "the peer sends empty records";
    else if (error == MBEDTLS_ERR_SSL_INVALID_MAC && open && !c->heard && !c->engine->server)
        text = WST__TLS_FIRST_RECORD;
    if (text != NULL)
        snprintf(c->found.text, sizeof(c->found.text), "%s", text);
    else if (!certificate || c->found.text[0] == '\0')
        mbedtls_strerror(error, c->found.text, sizeof(c->found.text));
    send_alert(c, error, open);
    return certificate ? WST_ETLSCERT : WST_ETLS;
}

/* Connections -------------------------------------------------------------------------------- */

/* Offers the last session if it is with this server and its certificate is still valid. */
static int offer_session(wst__tls_conn_t *c) {
    wst__tls_engine_t *e = c->engine;
    if (!wst__tls_last_is_good(&e->last, c->session_of, (int64_t)mbedtls_time(NULL)))
        return 0;
    int status = mbedtls_ssl_set_session(&c->ssl, &e->session);
    if (status != 0)
        return status;
    c->peer = wst__tls_cert_ref(e->last.peer);
    c->offered = true;
    return 0;
}

/* Keeps the session for resumption. That is optional, so a failure is not an error. */
static void keep_session(wst__tls_conn_t *c) {
    wst__tls_engine_t *e = c->engine;
    wst__tls_mbedtls_drop_session(e);
    if (!wst__tls_last_set(&e->last, &e->allocator, c->session_of, c->peer) ||
        mbedtls_ssl_get_session(&c->ssl, &e->session) != 0)
        wst__tls_mbedtls_drop_session(e);
}

static int set_up(wst__tls_conn_t *c, const char *server_name, const char *sni) {
    wst__tls_engine_t *e = c->engine;
    int status = mbedtls_ssl_setup(&c->ssl, &e->conf);
    if (status != 0)
        return status;
    mbedtls_ssl_set_bio(&c->ssl, c, on_send, on_recv, NULL);
    mbedtls_ssl_set_verify(&c->ssl, on_verify, c);
    if (e->server)
        return 0;
    c->server_name = wst__strdup(&e->allocator, server_name);
    c->session_of = wst__tls_session_key(&e->allocator, server_name, sni);
    if ((server_name != NULL && c->server_name == NULL) || c->session_of == NULL)
        return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    c->expect.host = c->server_name;
    if (sni != NULL)
        snprintf(c->sni, sizeof(c->sni), "%.*s", (int)wst__tls_name_len(sni, strlen(sni)), sni);
    /* For SNI; wst__tls_judge ignores mbedTLS's own check of the name. */
    status = mbedtls_ssl_set_hostname(&c->ssl, sni != NULL ? c->sni : NULL);
    return status != 0 ? status : offer_session(c);
}

int wst__tls_conn_new(wst__tls_conn_t **out, wst__tls_engine_t *e, const wst__tls_io_t *io,
                      void *io_arg, const char *server_name, const char *sni) {
    wst__tls_conn_t *c = wst__zalloc(&e->allocator, sizeof(*c));
    if (c == NULL)
        return WST_ENOMEM;
    mbedtls_ssl_init(&c->ssl);
    c->engine = e;
    c->io = io;
    c->io_arg = io_arg;
    c->optional = e->conf.MBEDTLS_PRIVATE(authmode) == MBEDTLS_SSL_VERIFY_OPTIONAL;
    c->expect = (wst__tls_expect_t){.client = e->server,
                                    .insecure = e->insecure,
                                    .pins = (const uint8_t(*)[32])e->pins,
                                    .pin_count = e->pin_count};
    c->info = (wst_tls_info_t){.size = sizeof(wst_tls_info_t),
                               .version = "",
                               .cipher_suite = c->cipher_suite,
                               .alpn = "",
                               .server_name = c->sni,
                               .failure = c->found.text};
    int status = set_up(c, server_name, sni);
    if (status != 0) {
        wst__tls_conn_free(c);
        return wst__tls_mbedtls_no_memory(status) ? (int)WST_ENOMEM : (int)WST_ETLS;
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
    mbedtls_ssl_free(&c->ssl);
    wst__tls_cert_unref(c->peer);
    wst__free(allocator, c->server_name);
    wst__free(allocator, c->session_of);
    wst__free(allocator, c);
}

/* Spells "TLS-ECDHE-RSA-WITH-..." and "TLS1-3-CHACHA20-..." as IANA does. */
static void copy_suite(char *out, size_t size, const char *name) {
    static const char tls13[] = "TLS1-3-";
    if (strncmp(name, tls13, strlen(tls13)) == 0)
        snprintf(out, size, "TLS_%s", name + strlen(tls13));
    else
        snprintf(out, size, "%s", name);
    for (; *out != '\0'; out++)
        if (*out == '-')
            *out = '_';
}

static void conn_completed(wst__tls_conn_t *c) {
    const char *protocol = mbedtls_ssl_get_alpn_protocol(&c->ssl);
    copy_suite(c->cipher_suite, sizeof(c->cipher_suite), mbedtls_ssl_get_ciphersuite(&c->ssl));
    c->info.version = mbedtls_ssl_get_version(&c->ssl);
    c->info.alpn = protocol != NULL ? protocol : "";
    c->info.resumed = !c->full;
    c->info.peer = wst__tls_cert_public(c->peer);
    c->info.peer_verified = c->peer != NULL && !c->engine->insecure;
    if (!c->engine->server && strcmp(c->info.version, "TLSv1.3") != 0)
        keep_session(c); /* else the ticket comes later */
}

/* Before each call that may read or write. */
static void begin_call(wst__tls_conn_t *c, bool reading) {
    c->reading = reading;
    c->starved = true; /* until it reads input */
    c->last_sent = 0;
}

/* 0: call again; else the result to return. */
static int judge_result(wst__tls_conn_t *c, int result, bool open) {
    if (result >= 0)
        return 0;
    if (result == MBEDTLS_ERR_SSL_WANT_READ)
        return c->starved ? WST__TLS_AGAIN : 0;
    if (result == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY && open)
        return WST__TLS_END;
#if MBEDTLS_VERSION_MAJOR >= 3
    if (result == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET) {
        keep_session(c);
        return 0;
    }
#endif
    return conn_failed(c, result, open);
}

int wst__tls_conn_handshake(wst__tls_conn_t *c) {
    while (c->ssl.MBEDTLS_PRIVATE(state) != MBEDTLS_SSL_HANDSHAKE_OVER) {
        if (c->ssl.MBEDTLS_PRIVATE(state) == MBEDTLS_SSL_SERVER_CERTIFICATE)
            c->full = true;
        begin_call(c, false);
        int status = judge_result(c, mbedtls_ssl_handshake_step(&c->ssl), false);
        if (status < 0 && c->offered)
            wst__tls_mbedtls_drop_session(
                c->engine); /* it may be the cause: the next attempt does without */
        if (status != 0)
            return status;
    }
    conn_completed(c);
    return 0;
}

/* Reading 0 bytes makes mbedTLS take in a record. */
int wst__tls_conn_pending(wst__tls_conn_t *c, size_t *len) {
    while ((*len = mbedtls_ssl_get_bytes_avail(&c->ssl)) == 0) {
        begin_call(c, true);
        int status = judge_result(c, mbedtls_ssl_read(&c->ssl, NULL, 0), true);
        if (status != 0)
            return status;
    }
    return 0;
}

int wst__tls_conn_read(wst__tls_conn_t *c, uint8_t *buf, size_t len, size_t *n) {
    size_t pending;
    *n = 0;
    int status = wst__tls_conn_pending(c, &pending);
    if (status != 0)
        return status;
    int result = mbedtls_ssl_read(&c->ssl, buf, len < pending ? len : pending);
    if (result <= 0)
        return conn_failed(c, result, true);
    c->heard = true;
    *n = (size_t)result;
    return 0;
}

int wst__tls_conn_write(wst__tls_conn_t *c, const uint8_t *data, size_t len, size_t *n) {
    *n = 0;
    begin_call(c, false);
    int result = mbedtls_ssl_write(&c->ssl, data, len < WST__TLS_PLAIN ? len : WST__TLS_PLAIN);
    if (result <= 0)
        return conn_failed(c, result, true);
    *n = (size_t)result;
    return 0;
}

int wst__tls_conn_close_notify(wst__tls_conn_t *c) {
    begin_call(c, false);
    int result = mbedtls_ssl_close_notify(&c->ssl);
    return result == 0 ? 0 : conn_failed(c, result, true);
}

const wst_tls_info_t *wst__tls_conn_info(const wst__tls_conn_t *c) {
    return &c->info;
}
