/* SPDX-License-Identifier: MIT */
#include "tls_raw.h"

#include <mbedtls/version.h>
#if MBEDTLS_VERSION_MAJOR >= 3
#include <psa/crypto.h>
#endif

static int on_recv(void *arg, unsigned char *buf, size_t len) {
    size_t n = tls_end_io.pull(arg, buf, len);
    return n > 0 ? (int)n : MBEDTLS_ERR_SSL_WANT_READ;
}

static int on_send(void *arg, const unsigned char *data, size_t len) {
    assert_int_equal(tls_end_io.push(arg, data, len), 0);
    return (int)len;
}

void tls_raw_open(tls_raw_t *raw, tls_end_t *ours, bool server, const tls_made_t *own,
                  void (*tweak)(mbedtls_ssl_config *conf)) {
    memset(raw, 0, sizeof(*raw));
    memset(ours, 0, sizeof(*ours));
    raw->end.peer = ours;
    ours->peer = &raw->end;
    ours->status = WST__TLS_AGAIN;
    raw->end.status = MBEDTLS_ERR_SSL_WANT_READ;
    mbedtls_ssl_init(&raw->ssl);
    mbedtls_ssl_config_init(&raw->conf);
    mbedtls_x509_crt_init(&raw->chain);
    mbedtls_pk_init(&raw->key);
#if MBEDTLS_VERSION_MAJOR >= 3
    assert_int_equal(psa_crypto_init(), PSA_SUCCESS);
#endif
    assert_int_equal(mbedtls_ssl_config_defaults(
                         &raw->conf, server ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT,
                         MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT),
                     0);
    mbedtls_ssl_conf_rng(&raw->conf, tls_random, NULL);
    mbedtls_ssl_conf_authmode(&raw->conf, MBEDTLS_SSL_VERIFY_NONE);
    if (own != NULL) {
        const unsigned char *key = (const unsigned char *)own->key;
        assert_int_equal(mbedtls_x509_crt_parse(&raw->chain, (const unsigned char *)own->chain,
                                                strlen(own->chain) + 1),
                         0);
#if MBEDTLS_VERSION_MAJOR >= 3
        assert_int_equal(
            mbedtls_pk_parse_key(&raw->key, key, strlen(own->key) + 1, NULL, 0, tls_random, NULL),
            0);
#else
        assert_int_equal(mbedtls_pk_parse_key(&raw->key, key, strlen(own->key) + 1, NULL, 0), 0);
#endif
        assert_int_equal(mbedtls_ssl_conf_own_cert(&raw->conf, &raw->chain, &raw->key), 0);
    }
    if (tweak != NULL)
        tweak(&raw->conf);
    assert_int_equal(mbedtls_ssl_setup(&raw->ssl, &raw->conf), 0);
    assert_int_equal(mbedtls_ssl_set_hostname(&raw->ssl, NULL), 0);
    mbedtls_ssl_set_bio(&raw->ssl, &raw->end, on_send, on_recv, NULL);
}

void tls_raw_close(tls_raw_t *raw) {
    tls_end_t *ours = raw->end.peer;
    wst__tls_conn_free(ours->conn);
    free(ours->sent);
    free(raw->end.sent);
    mbedtls_ssl_free(&raw->ssl);
    mbedtls_ssl_config_free(&raw->conf);
    mbedtls_x509_crt_free(&raw->chain);
    mbedtls_pk_free(&raw->key);
}

void tls_raw_restrict(mbedtls_ssl_config *conf, const int only[2]) {
    mbedtls_ssl_conf_ciphersuites(conf, only);
#if MBEDTLS_VERSION_MAJOR >= 3
    if (only[0] >> 8 != 0x13)
        mbedtls_ssl_conf_max_tls_version(conf, MBEDTLS_SSL_VERSION_TLS1_2);
#endif
}

void tls_raw_shake(tls_raw_t *raw) {
    tls_end_t *ours = raw->end.peer;
    for (size_t sent = SIZE_MAX; sent != raw->end.sent_len + ours->sent_len;) {
        sent = raw->end.sent_len + ours->sent_len;
        tls_end_see(&raw->end);
        if (raw->end.status == MBEDTLS_ERR_SSL_WANT_READ)
            raw->end.status = mbedtls_ssl_handshake(&raw->ssl);
        tls_end_see(ours);
        if (ours->status == WST__TLS_AGAIN)
            ours->status = wst__tls_conn_handshake(ours->conn);
    }
}
