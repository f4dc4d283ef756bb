/* SPDX-License-Identifier: MIT */
/* The TLS engine against itself: handshakes, data, ends, whatever way the bytes are split. */
#include "tls_differences.h"
#include "tls_pki.h"
#include "tls_raw.h"
#ifdef WST_TLS_OPENSSL
#include "tls_cpu.h"
#endif

#include <stdio.h>

/* The other end's answer to all that an end has sent so far. */
static int read_all(tls_end_t *end, uint8_t seed, size_t *len) {
    tls_end_see(end);
    return tls_end_read(end, seed, len);
}

static const wst_tls_info_t *info(const tls_end_t *end) {
    return wst__tls_conn_info(end->conn);
}

/* -- Handshakes ------------------------------------------------------------------------------- */

static const char *best_suite(void) {
#ifdef WST_TLS_OPENSSL
    if (wst__tls_cpu_has_aes())
        return "TLS_AES_128_GCM_SHA256";
#endif
    return TLS_HAS_13 ? "TLS_CHACHA20_POLY1305_SHA256"
                      : "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256";
}

static void test_handshake(void **state) {
    (void)state;
    wst__tls_engine_t *server = tls_server(&tls_pki.leaf, WST_TLS_CLIENT_NONE);
    wst__tls_engine_t *client = tls_client(NULL);
    tls_rig_t rig;
    tls_connect(&rig, client, server, "server.example");
    tls_assert_done(&rig);
    const wst_tls_info_t *c = info(&rig.client), *s = info(&rig.server);
    print_message("%s %s\n", c->version, c->cipher_suite);
    assert_string_equal(c->version, s->version);
    assert_string_equal(c->cipher_suite, s->cipher_suite);
    assert_string_equal(c->version, TLS_HAS_13 ? "TLSv1.3" : "TLSv1.2");
    assert_string_equal(c->cipher_suite, best_suite());
    assert_string_equal(c->alpn, "http/1.1");
    assert_string_equal(s->alpn, "http/1.1");
    assert_string_equal(s->server_name, "server.example");
    assert_string_equal(c->server_name, "server.example");
    assert_false(c->resumed || s->resumed);
    assert_true(c->peer_verified);
    assert_string_equal(c->peer->subject, "CN=server, O=Test");
    assert_null(s->peer);
    assert_false(s->peer_verified);
    assert_string_equal(c->failure, "");
    tls_rig_close(&rig);
    wst__tls_engine_free(client);
    wst__tls_engine_free(server);
}

static void test_client_certificate(void **state) {
    (void)state;
    wst__tls_engine_t *server = tls_server(&tls_pki.leaf, WST_TLS_CLIENT_REQUIRED);
    wst__tls_engine_t *client = tls_client(&tls_pki.client);
    for (int turn = 0; turn < 2; turn++) {
        tls_rig_t rig;
        size_t len = 0;
        tls_connect(&rig, client, server, "server.example");
        tls_assert_done(&rig);
        const wst_tls_info_t *s = info(&rig.server);
        assert_true(s->peer_verified);
        assert_string_equal(s->peer->common_name, "agent");
        assert_int_equal(s->peer->name_count, 1);
        assert_string_equal(s->peer->names[0].text, "agent.example");
        /* Also the second time: such sessions are not resumed. */
        assert_false(s->resumed);
        assert_int_equal(read_all(&rig.client, 0, &len), WST__TLS_AGAIN);
        tls_rig_close(&rig);
    }
    wst__tls_engine_free(client);
    wst__tls_engine_free(server);
}

static void test_optional_client_certificate(void **state) {
    (void)state;
    wst__tls_engine_t *server = tls_server(&tls_pki.leaf, WST_TLS_CLIENT_OPTIONAL);
    wst__tls_engine_t *clients[] = {tls_client(NULL), tls_client(&tls_pki.client)};
    for (int i = 0; i < 2; i++) {
        tls_rig_t rig;
        tls_connect(&rig, clients[i], server, "server.example");
        tls_assert_done(&rig);
        assert_int_equal(info(&rig.server)->peer != NULL, i);
        assert_int_equal(info(&rig.server)->peer_verified, i);
        tls_rig_close(&rig);
        wst__tls_engine_free(clients[i]);
    }
    wst__tls_engine_free(server);
}

/* However the flights are cut; each other step makes other cuts. */
static void test_split_handshake(void **state) {
    (void)state;
    static const size_t steps[] = {1, 2, 3, 4, 5, 6, 7, 11, 64, 100, 333, 1000};
    wst__tls_engine_t *server = tls_server(&tls_pki.leaf, WST_TLS_CLIENT_REQUIRED);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        wst__tls_engine_t *client = tls_client(&tls_pki.client);
        tls_rig_t rig;
        assert_int_equal(tls_rig_open(&rig, client, server, "server.example", "server.example"), 0);
        tls_rig_shake(&rig, steps[i]);
        tls_assert_done(&rig);
        tls_rig_close(&rig);
        wst__tls_engine_free(client);
    }
    wst__tls_engine_free(server);
}

/* -- Resuming --------------------------------------------------------------------------------- */

/* Whether a connection is resumed; its data get through in any case. */
static bool resumes(wst__tls_engine_t *client, wst__tls_engine_t *server, const char *name) {
    tls_rig_t rig;
    size_t len = 0;
    tls_connect(&rig, client, server, name);
    tls_assert_done(&rig);
    assert_int_equal(tls_end_write(&rig.server, 1, 1000), 0);
    assert_int_equal(read_all(&rig.client, 1, &len), WST__TLS_AGAIN);
    assert_int_equal(len, 1000);
    bool resumed = info(&rig.client)->resumed;
    assert_int_equal(resumed, info(&rig.server)->resumed);
    assert_true(info(&rig.client)->peer_verified);
    assert_string_equal(info(&rig.client)->peer->common_name, "server");
    tls_rig_close(&rig);
    return resumed;
}

static void test_resume(void **state) {
    (void)state;
    wst__tls_engine_t *server = tls_server(&tls_pki.leaf, WST_TLS_CLIENT_NONE);
    wst__tls_engine_t *same = tls_server(&tls_pki.leaf, WST_TLS_CLIENT_NONE);
    wst__tls_engine_t *client = tls_client(NULL);
    assert_false(resumes(client, server, "server.example"));
    assert_true(resumes(client, server, "server.example"));
    assert_true(resumes(client, server, "server.example"));
    /* Who has proved to be one is not thereby another. */
    assert_false(resumes(client, server, "a.wild.example"));
    assert_false(resumes(client, server, "127.0.0.1"));
    assert_true(resumes(client, server, "127.0.0.1"));
    /* Another configuration does not know our tickets, and can do without. */
    assert_false(resumes(client, same, "127.0.0.1"));
    assert_true(resumes(client, same, "127.0.0.1"));
    wst__tls_engine_free(client);
    wst__tls_engine_free(server);
    wst__tls_engine_free(same);
}

/* A session that did not lead to a connection is not offered again: it would stand in the way for
 * ever if the server cannot cope with it. */
static void test_session_that_fails(void **state) {
    (void)state;
    wst__tls_engine_t *server = tls_server(&tls_pki.leaf, WST_TLS_CLIENT_NONE);
    wst__tls_engine_t *client = tls_client(NULL);
    assert_false(resumes(client, server, "server.example"));
    assert_true(resumes(client, server, "server.example"));
    tls_rig_t rig;
    assert_int_equal(tls_rig_open(&rig, client, server, "server.example", "server.example"), 0);
    assert_int_equal(wst__tls_conn_handshake(rig.client.conn), WST__TLS_AGAIN);
    static const uint8_t handshake_failure[] = {21, 3, 3, 0, 2, 2, 40};
    assert_int_equal(tls_end_io.push(&rig.server, handshake_failure, sizeof(handshake_failure)), 0);
    tls_end_see(&rig.client);
    assert_int_equal(wst__tls_conn_handshake(rig.client.conn), WST_ETLS);
    tls_rig_close(&rig);
    assert_false(resumes(client, server, "server.example"));
    assert_true(resumes(client, server, "server.example"));
    wst__tls_engine_free(client);
    wst__tls_engine_free(server);
}

/* -- Names ------------------------------------------------------------------------------------ */

static void test_identity_by_name(void **state) {
    (void)state;
    static const struct {
        const char *name, *common_name;
    } cases[] = {{"server.example", "server"}, {"other.example", "other"},
                 {"OTHER.example", "other"},   {"x.wild.example", "server"},
                 {"127.0.0.1", "server"},      {"2001:db8::1", "server"}};
    const wst_tls_identity_t identities[] = {tls_identity(&tls_pki.leaf),
                                             tls_identity(&tls_pki.other)};
    const wst_tls_server_options_t options = {
        .size = sizeof(options), .identities = identities, .identity_count = 2};
    wst__tls_engine_t *server;
    assert_int_equal(wst__tls_engine_server(&server, &test_allocator, &options, NULL), 0);
    wst__tls_engine_t *client = tls_client(NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tls_rig_t rig;
        tls_connect(&rig, client, server, cases[i].name);
        tls_assert_done(&rig);
        assert_string_equal(info(&rig.client)->peer->common_name, cases[i].common_name);
        tls_rig_close(&rig);
    }
    wst__tls_engine_free(client);
    wst__tls_engine_free(server);
}

static void test_other_sni(void **state) {
    (void)state;
    wst__tls_engine_t *server = tls_server(&tls_pki.leaf, WST_TLS_CLIENT_NONE);
    wst__tls_engine_t *client = tls_client(NULL);
    tls_rig_t rig;
    assert_int_equal(tls_rig_open(&rig, client, server, "127.0.0.1", "front.example."), 0);
    tls_rig_shake(&rig, 0);
    tls_assert_done(&rig);
    assert_string_equal(info(&rig.server)->server_name, "front.example");
    tls_rig_close(&rig);
    wst__tls_engine_free(client);
    wst__tls_engine_free(server);
}

/* -- Data ------------------------------------------------------------------------------------- */

/* Records are full but for the last, and none is longer than it may be. */
static void test_records(void **state) {
    (void)state;
    wst__tls_engine_t *server = tls_server(&tls_pki.leaf, WST_TLS_CLIENT_NONE);
    wst__tls_engine_t *client = tls_client(NULL);
    tls_rig_t rig;
    size_t len = 0, records = 0;
    tls_connect(&rig, client, server, "server.example");
    size_t before = rig.client.sent_len;
    assert_int_equal(tls_end_write(&rig.client, 3, 3 * WST__TLS_PLAIN + 100), 0);
    for (size_t at = before; at < rig.client.sent_len; records++) {
        size_t record = 5 + 256 * (size_t)rig.client.sent[at + 3] + rig.client.sent[at + 4];
        size_t plain = records < 3 ? WST__TLS_PLAIN : 100;
        assert_true(record > plain && record <= plain + WST__TLS_OVERHEAD);
        at += record;
    }
    assert_int_equal(records, 4);
    assert_int_equal(read_all(&rig.server, 3, &len), WST__TLS_AGAIN);
    assert_int_equal(len, 3 * WST__TLS_PLAIN + 100);
    tls_rig_close(&rig);
    wst__tls_engine_free(client);
    wst__tls_engine_free(server);
}

/* Byte by byte, in both directions at a time; what is pending is what can be read. */
static void test_split_data(void **state) {
    (void)state;
    wst__tls_engine_t *server = tls_server(&tls_pki.leaf, WST_TLS_CLIENT_NONE);
    wst__tls_engine_t *client = tls_client(NULL);
    tls_rig_t rig;
    size_t at_client = 0, at_server = 0, pending;
    tls_connect(&rig, client, server, "server.example");
    assert_int_equal(read_all(&rig.client, 0, &at_client), WST__TLS_AGAIN);
    assert_int_equal(tls_end_write(&rig.client, 1, 700), 0);
    assert_int_equal(tls_end_write(&rig.server, 2, 900), 0);
    assert_int_equal(wst__tls_conn_close_notify(rig.server.conn), 0);
    int status = WST__TLS_AGAIN;
    while (status == WST__TLS_AGAIN) {
        assert_true(rig.client.visible < rig.server.sent_len);
        rig.client.visible++;
        status = wst__tls_conn_pending(rig.client.conn, &pending);
        if (status != 0)
            continue;
        assert_int_equal(pending, 900);
        status = tls_end_read(&rig.client, 2, &at_client);
    }
    assert_int_equal(status, WST__TLS_END);
    assert_int_equal(rig.client.visible, rig.server.sent_len);
    assert_int_equal(at_client, 900);
    for (; rig.server.visible < rig.client.sent_len; rig.server.visible++)
        assert_int_equal(tls_end_read(&rig.server, 1, &at_server), WST__TLS_AGAIN);
    assert_int_equal(tls_end_read(&rig.server, 1, &at_server), WST__TLS_AGAIN);
    assert_int_equal(at_server, 700);
    tls_rig_close(&rig);
    wst__tls_engine_free(client);
    wst__tls_engine_free(server);
}

/* A close_notify ends one direction: the other one goes on, whoever is first. */
static void test_ends(void **state) {
    (void)state;
    wst__tls_engine_t *server = tls_server(&tls_pki.leaf, WST_TLS_CLIENT_NONE);
    wst__tls_engine_t *client = tls_client(NULL);
    for (int first = 0; first < 2; first++) {
        tls_rig_t rig;
        size_t a_len = 0, b_len = 0;
        tls_connect(&rig, client, server, "server.example");
        tls_end_t *a = first ? &rig.client : &rig.server, *b = a->peer;
        assert_int_equal(read_all(&rig.client, 0, &a_len), WST__TLS_AGAIN);
        assert_int_equal(tls_end_write(a, 1, 10), 0);
        assert_int_equal(wst__tls_conn_close_notify(a->conn), 0);
        assert_int_equal(read_all(b, 1, &b_len), WST__TLS_END);
        assert_int_equal(b_len, 10);
        assert_int_equal(tls_end_write(b, 2, 20000), 0);
        assert_int_equal(read_all(a, 2, &a_len), WST__TLS_AGAIN);
        assert_int_equal(a_len, 20000);
        assert_int_equal(wst__tls_conn_close_notify(b->conn), 0);
        assert_int_equal(read_all(a, 2, &a_len), WST__TLS_END);
        tls_rig_close(&rig);
    }
    wst__tls_engine_free(client);
    wst__tls_engine_free(server);
}

/* -- Tampering -------------------------------------------------------------------------------- */

/* No changed byte of a record gets through, nor of a close_notify; the sender is told. */
static void test_tampered_records(void **state) {
    (void)state;
    wst__tls_engine_t *server = tls_server(&tls_pki.leaf, WST_TLS_CLIENT_NONE);
    wst__tls_engine_t *client = tls_client(NULL);
    size_t failed = 0, at = 0;
    for (size_t last = 1; at < last; at++) {
        tls_rig_t rig;
        size_t len = 0;
        tls_connect(&rig, client, server, "server.example");
        assert_int_equal(read_all(&rig.client, 0, &len), WST__TLS_AGAIN); /* a ticket */
        tls_end_see(&rig.server);
        size_t before = rig.client.sent_len, alerts = rig.server.sent_len;
        assert_int_equal(tls_end_write(&rig.client, 5, 40), 0);
        assert_int_equal(wst__tls_conn_close_notify(rig.client.conn), 0);
        last = rig.client.sent_len - before;
        rig.client.sent[before + at] ^= (uint8_t)(1 << at % 8);
        int status = read_all(&rig.server, 5, &len);
        /* A length that has grown waits for more bytes. */
        assert_true(status == WST_ETLS || status == WST__TLS_AGAIN);
        assert_true(len == 0 || len == 40);
        if (status == WST_ETLS) {
            failed++;
            assert_string_not_equal(tls_end_failure(&rig.server), "");
            assert_true(rig.server.sent_len > alerts);
            assert_true(read_all(&rig.client, 0, &len) == WST_ETLS);
            assert_memory_equal(tls_end_failure(&rig.client), "the peer sent alert ", 20);
        }
        tls_rig_close(&rig);
    }
    assert_true(failed >= at - 10);
    wst__tls_engine_free(client);
    wst__tls_engine_free(server);
}

/* A changed byte of a handshake: it does not succeed at both ends, and nobody is left in a wrong
 * belief. Versions in record headers are not protected, and not heeded. */
static void tamper_handshake(wst__tls_engine_t *client, wst__tls_engine_t *server, bool to_server,
                             size_t at, size_t *succeeded) {
    tls_rig_t rig;
    assert_int_equal(tls_rig_open(&rig, client, server, "server.example", "server.example"), 0);
    tls_end_t *end = to_server ? &rig.server : &rig.client;
    bool done = false;
    for (int turn = 0; turn < 8; turn++) {
        tls_end_t *now = turn % 2 == 0 ? &rig.client : &rig.server;
        if (!done && end->peer->sent_len > at) {
            end->peer->sent[at] ^= 0x11;
            done = true;
        }
        tls_end_see(now);
        if (now->status == WST__TLS_AGAIN)
            now->status = wst__tls_conn_handshake(now->conn);
    }
    if (rig.client.status == 0 && rig.server.status == 0 && done) {
        size_t len = 0;
        int status = read_all(&rig.client, 0, &len);
        int other = read_all(&rig.server, 0, &len);
        *succeeded += status >= 0 && other >= 0;
    }
    tls_rig_close(&rig);
}

static void test_tampered_handshake(void **state) {
    (void)state;
    wst__tls_engine_t *server = tls_server(&tls_pki.leaf, WST_TLS_CLIENT_NONE);
    size_t succeeded = 0, tries = 0;
    for (int to_server = 0; to_server < 2; to_server++)
        for (size_t at = 0; at < 700; at += 7, tries++) {
            wst__tls_engine_t *client = tls_client(NULL);
            tamper_handshake(client, server, to_server, at, &succeeded);
            wst__tls_engine_free(client);
        }
    print_message("%zu of %zu did no harm\n", succeeded, tries);
    assert_true(succeeded <= 2);
    wst__tls_engine_free(server);
}

/* -- Renegotiation and other peers ------------------------------------------------------------- */

static void only_tls12(mbedtls_ssl_config *conf) {
    mbedtls_ssl_conf_renegotiation(conf, MBEDTLS_SSL_RENEGOTIATION_ENABLED);
#if MBEDTLS_VERSION_MAJOR >= 3
    mbedtls_ssl_conf_max_tls_version(conf, MBEDTLS_SSL_VERSION_TLS1_2);
#endif
}

static void test_server_refuses_renegotiation(void **state) {
    (void)state;
    wst__tls_engine_t *server = tls_server(&tls_pki.leaf, WST_TLS_CLIENT_NONE);
    tls_raw_t raw;
    tls_end_t ours;
    size_t len = 0;
    tls_raw_open(&raw, &ours, false, NULL, only_tls12);
    assert_int_equal(wst__tls_conn_new(&ours.conn, server, &tls_end_io, &ours, NULL, NULL), 0);
    tls_raw_shake(&raw);
    assert_int_equal(ours.status, 0);
    assert_int_equal(raw.end.status, 0);
    assert_string_equal(info(&ours)->version, "TLSv1.2");
    assert_int_equal(mbedtls_ssl_renegotiate(&raw.ssl), MBEDTLS_ERR_SSL_WANT_READ);
    /* It is answered by a warning, and that is all. */
    size_t before = ours.sent_len;
    assert_int_equal(read_all(&ours, 0, &len), WST__TLS_AGAIN);
    assert_int_equal(ours.sent[before], MBEDTLS_SSL_MSG_ALERT);
    tls_end_see(&raw.end);
    assert_true(mbedtls_ssl_renegotiate(&raw.ssl) != 0);
    assert_int_equal(tls_end_write(&ours, 0, 10), 0);
    tls_raw_close(&raw);
    wst__tls_engine_free(server);
}

/* Again and again is too much: nobody reads our answers perhaps. */
static void test_client_refuses_renegotiation(void **state) {
    (void)state;
    wst__tls_engine_t *client = tls_client(NULL);
    tls_raw_t raw;
    tls_end_t ours;
    size_t len = 0;
    int asked = 0, status = WST__TLS_AGAIN;
    tls_raw_open(&raw, &ours, true, &tls_pki.leaf, only_tls12);
    assert_int_equal(wst__tls_conn_new(&ours.conn, client, &tls_end_io, &ours, "server.example",
                                       "server.example"),
                     0);
    tls_raw_shake(&raw);
    assert_int_equal(ours.status, 0);
    while (status == WST__TLS_AGAIN) {
        assert_int_equal(mbedtls_ssl_renegotiate(&raw.ssl), 0); /* sends a HelloRequest */
        status = read_all(&ours, 0, &len);
        asked++;
    }
    assert_int_equal(status, WST_EFLOOD);
    assert_int_equal(asked, 17);
    tls_raw_close(&raw);
    wst__tls_engine_free(client);
}

/* A few are borne: older peers send one before each record with data. */
static void test_empty_records(void **state) {
    (void)state;
    wst__tls_engine_t *server = tls_server(&tls_pki.leaf, WST_TLS_CLIENT_NONE);
    tls_raw_t raw;
    tls_end_t ours;
    size_t len = 0;
    tls_raw_open(&raw, &ours, false, NULL, only_tls12);
    assert_int_equal(wst__tls_conn_new(&ours.conn, server, &tls_end_io, &ours, NULL, NULL), 0);
    tls_raw_shake(&raw);
    assert_int_equal(ours.status, 0);
    for (int i = 0; i <= TLS_EMPTY_RECORDS; i++) {
        assert_int_equal(mbedtls_ssl_write(&raw.ssl, (const uint8_t *)"", 0), 0);
        assert_int_equal(read_all(&ours, 0, &len),
                         i < TLS_EMPTY_RECORDS ? (int)WST__TLS_AGAIN : (int)WST_ETLS);
    }
    assert_string_equal(tls_end_failure(&ours), "the peer sends empty records");
    tls_raw_close(&raw);
    wst__tls_engine_free(server);
}

static const char *wanted[4];

static void want_protocols(mbedtls_ssl_config *conf) {
    if (wanted[0] != NULL)
        assert_int_equal(mbedtls_ssl_conf_alpn_protocols(conf, wanted), 0);
}

static void test_alpn(void **state) {
    (void)state;
    static const struct {
        const char *offered[3];
        const char *chosen; /* NULL: none will do */
    } cases[] = {{{NULL}, ""},
                 {{"http/1.1", NULL}, "http/1.1"},
                 {{"h2", "http/1.1", NULL}, "http/1.1"},
                 {{"h2", NULL}, NULL}};
    wst__tls_engine_t *server = tls_server(&tls_pki.leaf, WST_TLS_CLIENT_NONE);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tls_raw_t raw;
        tls_end_t ours;
        memcpy(wanted, cases[i].offered, sizeof(cases[i].offered));
        tls_raw_open(&raw, &ours, false, NULL, want_protocols);
        assert_int_equal(wst__tls_conn_new(&ours.conn, server, &tls_end_io, &ours, NULL, NULL), 0);
        tls_raw_shake(&raw);
        if (cases[i].chosen != NULL) {
            assert_int_equal(ours.status, 0);
            assert_string_equal(info(&ours)->alpn, cases[i].chosen);
        } else {
            assert_int_equal(ours.status, WST_ETLS);
            assert_string_equal(tls_end_failure(&ours), "no application protocol in common: the "
                                                        "peer does not want http/1.1");
            assert_int_equal(raw.end.status, MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE);
        }
        tls_raw_close(&raw);
    }
    wst__tls_engine_free(server);
}

/* What a server can be had for, out of all that mbedTLS knows. */
static int only_suite[2];

static void offer_suite(mbedtls_ssl_config *conf) {
    tls_raw_restrict(conf, only_suite);
}

static void test_suites_offered(void **state) {
    (void)state;
    static const char *const expected[] = {
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    };
    const wst_tls_identity_t identities[] = {tls_identity(&tls_pki.leaf),
                                             tls_identity(&tls_pki.rsa)};
    const wst_tls_server_options_t options = {
        .size = sizeof(options), .identities = identities, .identity_count = 2};
    wst__tls_engine_t *server;
    size_t accepted = 0;
    assert_int_equal(wst__tls_engine_server(&server, &test_allocator, &options, NULL), 0);
    for (const int *suite = mbedtls_ssl_list_ciphersuites(); *suite != 0; suite++) {
        tls_raw_t raw;
        tls_end_t ours;
        only_suite[0] = *suite;
        tls_raw_open(&raw, &ours, false, NULL, offer_suite);
        assert_int_equal(mbedtls_ssl_set_hostname(&raw.ssl, "server.example"), 0);
        assert_int_equal(wst__tls_conn_new(&ours.conn, server, &tls_end_io, &ours, NULL, NULL), 0);
        tls_raw_shake(&raw);
        if (ours.status == 0) {
            const char *name = info(&ours)->cipher_suite;
            size_t i = 0;
            while (i < sizeof(expected) / sizeof(expected[0]) && strcmp(expected[i], name) != 0)
                i++;
            if (i == sizeof(expected) / sizeof(expected[0]))
                fail_msg("accepted: %s", name);
            accepted++;
        } else if (raw.end.status == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE) {
            assert_int_equal(ours.status, WST_ETLS);
            assert_memory_equal(tls_end_failure(&ours), "no cipher suite", 15);
        }
        tls_raw_close(&raw);
    }
#if MBEDTLS_VERSION_MAJOR >= 3
    assert_int_equal(accepted, 9);
#else
    assert_int_equal(accepted, 6);
#endif
    wst__tls_engine_free(server);
}

/* -- What fails ------------------------------------------------------------------------------- */

static void test_output_refused(void **state) {
    (void)state;
    wst__tls_engine_t *server = tls_server(&tls_pki.leaf, WST_TLS_CLIENT_NONE);
    wst__tls_engine_t *client = tls_client(NULL);
    tls_rig_t rig;
    size_t n;
    assert_int_equal(tls_rig_open(&rig, client, server, "server.example", NULL), 0);
    rig.client.push_status = WST_ENOMEM;
    assert_int_equal(wst__tls_conn_handshake(rig.client.conn), WST_ENOMEM);
    tls_rig_close(&rig);
    tls_connect(&rig, client, server, "server.example");
    tls_assert_done(&rig);
    rig.server.push_status = WST_ECANCELLED;
    assert_int_equal(wst__tls_conn_write(rig.server.conn, (const uint8_t *)"x", 1, &n),
                     WST_ECANCELLED);
    assert_int_equal(n, 0);
    rig.client.push_status = WST_ENOMEM;
    assert_int_equal(wst__tls_conn_close_notify(rig.client.conn), WST_ENOMEM);
    tls_rig_close(&rig);
    wst__tls_engine_free(client);
    wst__tls_engine_free(server);
}

/* Two connections, the second of which may be resumed, with memory of ours failing. */
static void run_without_memory(void *arg) {
    (void)arg;
    const wst_tls_identity_t own = tls_identity(&tls_pki.leaf),
                             agent = tls_identity(&tls_pki.client);
    const wst_tls_server_options_t s = {.size = sizeof(s),
                                        .identities = &own,
                                        .identity_count = 1,
                                        .client_cert = WST_TLS_CLIENT_OPTIONAL,
                                        .client_ca_pem = tls_pki.root.own};
    const wst_tls_client_options_t c = {
        .size = sizeof(c), .ca_pem = tls_pki.root.own, .identity = &agent};
    wst__tls_engine_t *server = NULL, *client = NULL;
    int status = wst__tls_engine_server(&server, &test_allocator, &s, NULL);
    if (status == 0)
        status = wst__tls_engine_client(&client, &test_allocator, &c, false, NULL);
    for (int turn = 0; turn < 2 && status == 0; turn++) {
        tls_rig_t rig;
        status = tls_rig_open(&rig, client, server, "server.example", "server.example");
        if (status != 0)
            break;
        tls_rig_shake(&rig, 0);
        size_t len = 0;
        if (rig.client.status == 0 && rig.server.status == 0)
            assert_int_equal(read_all(&rig.client, 0, &len), WST__TLS_AGAIN);
        else
            assert_true(rig.client.status == WST_ENOMEM || rig.server.status == WST_ENOMEM);
        tls_rig_close(&rig);
    }
    if (status != 0)
        assert_int_equal(status, WST_ENOMEM);
    wst__tls_engine_free(client);
    wst__tls_engine_free(server);
}

static void test_no_memory(void **state) {
    (void)state;
    assert_true(test_alloc_each(run_without_memory, NULL) >= 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handshake),
        cmocka_unit_test(test_client_certificate),
        cmocka_unit_test(test_optional_client_certificate),
        cmocka_unit_test(test_split_handshake),
        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_session_that_fails),
        cmocka_unit_test(test_identity_by_name),
        cmocka_unit_test(test_other_sni),
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_split_data),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_tampered_records),
        cmocka_unit_test(test_tampered_handshake),
        cmocka_unit_test(test_server_refuses_renegotiation),
        cmocka_unit_test(test_client_refuses_renegotiation),
        cmocka_unit_test(test_empty_records),
        cmocka_unit_test(test_alpn),
        cmocka_unit_test(test_suites_offered),
        cmocka_unit_test(test_output_refused),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, tls_pki_make, tls_pki_free);
}
