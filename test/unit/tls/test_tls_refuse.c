/* SPDX-License-Identifier: MIT */
/* What the TLS engine refuses, and what it says then: certificates, peers, texts that are wrong. */
#include "tls_cert.h"
#include "tls_differences.h"
#include "tls_pki.h"

#include <stdio.h>
#include <time.h>

/* -- Certificates of servers --------------------------------------------------------------------
 */

/* A client that expects `name` of a server with this certificate: what it says, "" if it accepts.
 */
static const char *refusal(const tls_made_t *own, const char *name,
                           const wst_tls_client_options_t *options) {
    static char text[256];
    wst__tls_engine_t *server = tls_server(own, WST_TLS_CLIENT_NONE);
    wst__tls_engine_t *client = tls_client_with(options);
    tls_rig_t rig;
    tls_connect(&rig, client, server, name);
    snprintf(text, sizeof(text), "%s", tls_end_failure(&rig.client));
    if (rig.client.status == 0) {
        tls_assert_done(&rig);
        assert_string_equal(text, "");
    } else {
        assert_int_equal(rig.client.status, WST_ETLSCERT);
        assert_string_not_equal(text, "");
        /* The server has been told. */
        assert_int_equal(rig.server.status, WST_ETLS);
        assert_memory_equal(tls_end_failure(&rig.server), "the peer sent alert ", 20);
    }
    tls_rig_close(&rig);
    wst__tls_engine_free(client);
    wst__tls_engine_free(server);
    return text;
}

static void pin_of(char out[64], const tls_made_t *made) {
    uint8_t der[4096];
    wst__tls_x509_t crt;
    assert_true(wst__tls_x509_read(&crt, der, tls_der(made, der)));
    wst__tls_cert_t *cert = wst__tls_cert_new(&test_allocator, &crt);
    snprintf(out, 64, "%s", wst__tls_cert_public(cert)->pin);
    wst__tls_cert_unref(cert);
}

/* Makes such a certificate and asks. */
static const char *refusal_of(const tls_spec_t *spec, tls_made_t *issuer, const char *name) {
    const wst_tls_client_options_t options = {.size = sizeof(options), .ca_pem = tls_pki.root.own};
    tls_made_t made;
    tls_make(&made, spec, issuer);
    const char *text = refusal(&made, name, &options);
    tls_made_free(&made);
    return text;
}

static void test_dates(void **state) {
    (void)state;
    char text[64], date[16];
    tls_date(date, -3);
    snprintf(text, sizeof(text), "certificate expired on %s", date);
    assert_string_equal(refusal_of(&(tls_spec_t){.subject = "CN=x",
                                                 .names = "dns:a.example",
                                                 .from_days = -10,
                                                 .to_days = -3},
                                   &tls_pki.root, "a.example"),
                        text);
    tls_date(date, 3);
    snprintf(text, sizeof(text), "certificate is not valid before %s", date);
    assert_string_equal(refusal_of(&(tls_spec_t){.subject = "CN=x",
                                                 .names = "dns:a.example",
                                                 .from_days = 3,
                                                 .to_days = 9},
                                   &tls_pki.root, "a.example"),
                        text);
}

static void test_expired_issuer(void **state) {
    (void)state;
    char text[96], date[16];
    tls_made_t middle;
    tls_make(&middle,
             &(tls_spec_t){.subject = "CN=Old", .ca = true, .from_days = -10, .to_days = -3},
             &tls_pki.root);
    tls_date(date, -3);
    snprintf(text, sizeof(text), "certificate of the issuer CN=Old expired on %s", date);
    assert_string_equal(refusal_of(&(tls_spec_t){.subject = "CN=x", .names = "dns:a.example"},
                                   &middle, "a.example"),
                        text);
    tls_made_free(&middle);
}

static void test_names(void **state) {
    (void)state;
    static const struct {
        const char *name, *text;
    } cases[] = {
        {"server.example", ""},
        {"SERVER.Example.", ""},
        {"a.wild.example", ""},
        {"127.0.0.1", ""},
        {"2001:db8:0::1", ""},
        {"::ffff:127.0.0.1", ""},
        {"wild.example", "certificate is for other names: "
                         "server.example, *.wild.example, 127.0.0.1, 2001:db8::1"},
        {"a.b.wild.example", "certificate is for other names: "
                             "server.example, *.wild.example, 127.0.0.1, 2001:db8::1"},
        {"127.0.0.2", "certificate is for other names: "
                      "server.example, *.wild.example, 127.0.0.1, 2001:db8::1"},
        /* The common name does not count. */
        {"server", "certificate is for other names: "
                   "server.example, *.wild.example, 127.0.0.1, 2001:db8::1"},
    };
    const wst_tls_client_options_t options = {.size = sizeof(options), .ca_pem = tls_pki.root.own};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(refusal(&tls_pki.leaf, cases[i].name, &options), cases[i].text);
    assert_string_equal(
        refusal_of(&(tls_spec_t){.subject = "CN=a.example"}, &tls_pki.root, "a.example"),
        "certificate has no subjectAltName, and so is for no host");
    /* An address written as a name is none. */
    assert_string_equal(refusal_of(&(tls_spec_t){.subject = "CN=x", .names = "dns:192.0.2.1"},
                                   &tls_pki.root, "192.0.2.1"),
                        "certificate is for other names: 192.0.2.1");
}

static void test_trust(void **state) {
    (void)state;
    static const tls_spec_t spec = {.subject = "CN=x", .names = "dns:a.example"};
    assert_string_equal(refusal_of(&spec, &tls_pki.stranger, "a.example"),
                        "issuer not trusted: CN=Stranger");
    /* With the pin by which it can be trusted. All that is wrong is said. */
    const wst_tls_client_options_t options = {.size = sizeof(options), .ca_pem = tls_pki.root.own};
    tls_made_t own;
    char pin[64], text[256];
    tls_make(&own, &spec, NULL);
    pin_of(pin, &own);
    snprintf(text, sizeof(text), "self-signed certificate, not trusted: CN=x, with the pin %s",
             pin);
    assert_string_equal(refusal(&own, "a.example", &options), text);
    strcat(text, "; certificate is for other names: a.example");
    assert_string_equal(refusal(&own, "b.example", &options), text);
    tls_made_free(&own);
    /* Who is no authority cannot sign, trusted though it is. */
    assert_string_equal(refusal_of(&spec, &tls_pki.other, "a.example"),
                        "issuer not trusted: CN=other");
    /* One that says it is ours, but is not. */
    tls_made_t false_root;
    tls_make(&false_root, &(tls_spec_t){.subject = "CN=Test Root", .ca = true}, NULL);
    assert_string_equal(refusal_of(&spec, &false_root, "a.example"),
                        "issuer not trusted: CN=Test Root");
    tls_made_free(&false_root);
}

/* A server does not even begin with one for clients; see test_tls_cert.c for the client's view. */
static void test_purpose(void **state) {
    (void)state;
    const tls_spec_t spec = {.subject = "CN=x", .names = "dns:a.example", .only_servers = true};
    assert_string_equal(refusal_of(&spec, &tls_pki.root, "a.example"), "");
}

static void test_weakness(void **state) {
    (void)state;
    assert_string_equal(
        refusal_of(&(tls_spec_t){.subject = "CN=x", .names = "dns:a.example", .rsa_bits = 1024},
                   &tls_pki.root, "a.example"),
        "certificate has a weak key, or its issuer has");
    assert_string_equal(
        refusal_of(&(tls_spec_t){.subject = "CN=x", .names = "dns:a.example", .sha1 = true},
                   &tls_pki.root, "a.example"),
        "certificate is signed with a weak algorithm");
    /* An issuer's key counts as well. */
    tls_made_t middle;
    tls_make(&middle, &(tls_spec_t){.subject = "CN=Weak", .ca = true, .weak_curve = true},
             &tls_pki.root);
    assert_string_equal(refusal_of(&(tls_spec_t){.subject = "CN=x", .names = "dns:a.example"},
                                   &middle, "a.example"),
                        "certificate has a weak key, or its issuer has");
    tls_made_free(&middle);
}

/* -- Pins ---------------------------------------------------------------------------------------
 */

static void test_pins(void **state) {
    (void)state;
    char leaf[64], middle[64], root[64], other[64], text[128];
    pin_of(leaf, &tls_pki.leaf);
    pin_of(middle, &tls_pki.middle);
    pin_of(root, &tls_pki.root);
    pin_of(other, &tls_pki.other);
    snprintf(text, sizeof(text), "public key is not pinned: %s", leaf);
    const struct {
        const char *pins[3];
        bool insecure;
        const char *name, *text;
    } cases[] = {
        {{leaf, NULL}, false, "server.example", ""},
        {{middle, NULL}, false, "server.example", ""},
        {{other, root, NULL}, false, "server.example", ""},
        {{other, NULL}, false, "server.example", text},
        /* In addition to the other checks, not in place of them. */
        {{leaf, NULL},
         false,
         "other.example",
         "certificate is for other names: server.example, *.wild.example, 127.0.0.1, 2001:db8::1"},
        {{leaf, NULL}, true, "other.example", ""},
        {{other, NULL}, true, "server.example", text},
        /* Unverified issuers prove nothing. */
        {{middle, NULL}, true, "server.example", text},
        {{NULL}, true, "anything.example", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const wst_tls_client_options_t options = {.size = sizeof(options),
                                                  .ca_pem = tls_pki.root.own,
                                                  .pins = cases[i].pins,
                                                  .insecure = cases[i].insecure};
        assert_string_equal(refusal(&tls_pki.leaf, cases[i].name, &options), cases[i].text);
    }
}

/* A pin takes the place of the issuer that a self-signed certificate lacks, and of nothing else. */
static void test_pinned_self_signed(void **state) {
    (void)state;
    tls_made_t own, expired;
    char pin[64], expired_pin[64], other[64], stranger[64], date[16], late[64], text[256];
    tls_make(&own, &(tls_spec_t){.subject = "CN=Own", .names = "dns:own.example"}, NULL);
    tls_make(&expired,
             &(tls_spec_t){
                 .subject = "CN=Own", .names = "dns:own.example", .from_days = -9, .to_days = -2},
             NULL);
    pin_of(pin, &own);
    pin_of(expired_pin, &expired);
    pin_of(other, &tls_pki.other);
    pin_of(stranger, &tls_pki.leaf);
    tls_date(date, -2);
    snprintf(late, sizeof(late), "certificate expired on %s", date);
    snprintf(text, sizeof(text),
             "self-signed certificate, not trusted: CN=Own; public key is not pinned: %s", pin);
    const struct {
        const tls_made_t *made;
        const char *pin, *name, *text;
    } cases[] = {
        {&own, pin, "own.example", ""},
        {&own, pin, "other.example", "certificate is for other names: own.example"},
        {&expired, expired_pin, "own.example", late},
        {&own, other, "own.example", text},
        /* Another certificate's issuer is still needed. */
        {&tls_pki.leaf, stranger, "server.example", "issuer not trusted: CN=Test Root"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const wst_tls_client_options_t options = {.size = sizeof(options),
                                                  .ca_pem = tls_pki.other.own,
                                                  .pins =
                                                      (const char *const[]){cases[i].pin, NULL}};
        assert_string_equal(refusal(cases[i].made, cases[i].name, &options), cases[i].text);
    }
    /* As on a system without a trust store. */
    const wst_tls_client_options_t alone = {.size = sizeof(alone),
                                            .pins = (const char *const[]){pin, stranger, NULL}};
    assert_string_equal(refusal(&own, "own.example", &alone), "");
    assert_memory_equal(refusal(&tls_pki.leaf, "server.example", &alone),
                        "issuer not trusted: CN=", strlen("issuer not trusted: CN="));
    tls_made_free(&own);
    tls_made_free(&expired);
}

static void test_insecure(void **state) {
    (void)state;
    const wst_tls_client_options_t options = {.size = sizeof(options), .insecure = true};
    tls_made_t bad;
    tls_make(&bad, &(tls_spec_t){.subject = "CN=x", .from_days = -9, .to_days = -2}, NULL);
    assert_string_equal(refusal(&bad, "a.example", &options), "");
    /* Not verified, and it says so; no name need be given. */
    wst__tls_engine_t *server = tls_server(&bad, WST_TLS_CLIENT_NONE);
    wst__tls_engine_t *client = tls_client_with(&options);
    tls_rig_t rig;
    assert_int_equal(tls_rig_open(&rig, client, server, NULL, NULL), 0);
    tls_rig_shake(&rig, 0);
    tls_assert_done(&rig);
    assert_false(wst__tls_conn_info(rig.client.conn)->peer_verified);
    assert_string_equal(wst__tls_conn_info(rig.client.conn)->peer->common_name, "x");
    tls_rig_close(&rig);
    wst__tls_engine_free(client);
    wst__tls_engine_free(server);
    tls_made_free(&bad);
}

/* -- Certificates of clients --------------------------------------------------------------------
 */

/* With TLS 1.3 the client's handshake is over before the server has judged: it hears of it later.
 */
static void assert_client_told(tls_rig_t *rig, unsigned alert) {
    char text[32];
    size_t len = 0;
    tls_end_see(&rig->client);
    if (rig->client.status == 0)
        assert_int_equal(tls_end_read(&rig->client, 0, &len), WST_ETLS);
    else
        assert_int_equal(rig->client.status, WST_ETLS);
    snprintf(text, sizeof(text), "the peer sent alert %u: ", alert);
    if (TLS_CLIENT_HEARS_LATER)
        strcpy(text, "the first record cannot be ");
    assert_memory_equal(tls_end_failure(&rig->client), text, strlen(text));
}

static void test_client_certificates(void **state) {
    (void)state;
    tls_made_t strange, for_servers, expired;
    char text[64], date[16];
    tls_date(date, -1);
    snprintf(text, sizeof(text), "certificate expired on %s", date);
    tls_make(&strange, &(tls_spec_t){.subject = "CN=agent"}, &tls_pki.stranger);
    tls_make(&for_servers, &(tls_spec_t){.subject = "CN=agent", .only_servers = true},
             &tls_pki.root);
    tls_make(&expired, &(tls_spec_t){.subject = "CN=agent", .from_days = -5, .to_days = -1},
             &tls_pki.root);
    const struct {
        const tls_made_t *own;
        const char *text;
    } cases[] = {
        {NULL, "the client has sent no certificate"},
        {&strange, "issuer not trusted: CN=Stranger"},
        {&for_servers, "certificate is not for clients (extendedKeyUsage)"},
        {&expired, text},
    };
    static const wst_tls_client_cert_t modes[] = {WST_TLS_CLIENT_REQUIRED, WST_TLS_CLIENT_OPTIONAL};
    for (size_t mode = 0; mode < 2; mode++) {
        wst__tls_engine_t *server = tls_server(&tls_pki.leaf, modes[mode]);
        for (size_t i = mode; i < sizeof(cases) / sizeof(cases[0]); i++) {
            wst__tls_engine_t *client = tls_client(cases[i].own);
            tls_rig_t rig;
            tls_connect(&rig, client, server, "server.example");
            assert_int_equal(rig.server.status, WST_ETLSCERT);
            assert_string_equal(tls_end_failure(&rig.server), cases[i].text);
            assert_client_told(&rig, mode == 0 && i == 0              ? TLS_ALERT_NO_CERTIFICATE
                                     : mode == 1 && TLS_SAYS_OPTIONAL ? 49
                                     : i == 1                         ? 48
                                     : i == 2                         ? 43
                                                                      : 45);
            tls_rig_close(&rig);
            wst__tls_engine_free(client);
        }
        wst__tls_engine_free(server);
    }
    tls_made_free(&strange);
    tls_made_free(&for_servers);
    tls_made_free(&expired);
}

/* -- Peers that speak otherwise -----------------------------------------------------------------
 */

/* What a side says to these bytes, and the alert it answers with. */
static void assert_refused(wst__tls_engine_t *engine, const void *bytes, size_t len,
                           const char *text, unsigned alert) {
    tls_end_t peer = {0}, end = {.peer = &peer};
    peer.peer = &end;
    assert_int_equal(wst__tls_conn_new(&end.conn, engine, &tls_end_io, &end, NULL, NULL), 0);
    assert_int_equal(tls_end_io.push(&peer, bytes, len), 0);
    tls_end_see(&end);
    assert_int_equal(wst__tls_conn_handshake(end.conn), WST_ETLS);
    assert_string_equal(tls_end_failure(&end), text);
    assert_true(end.sent_len >= 7); /* behind a client's hello */
    const uint8_t *last = end.sent + end.sent_len - 7;
    assert_int_equal(last[0], 21);
    assert_int_equal(last[5], 2);
    assert_int_equal(last[6], alert);
    assert_true(end.sent_len == 7 || !wst__tls_engine_is_server(engine));
    wst__tls_conn_free(end.conn);
    free(peer.sent);
    free(end.sent);
    wst__tls_engine_free(engine);
}

static void assert_answer(const void *bytes, size_t len, const char *text, unsigned alert) {
    assert_refused(tls_server(&tls_pki.leaf, WST_TLS_CLIENT_NONE), bytes, len, text, alert);
}

/* A client hello for one suite. */
static size_t make_hello(uint8_t out[80], uint8_t minor, uint16_t suite) {
    const uint8_t head[] = {22, 3, 1, 0, 63, 1, 0, 0, 59, 3, minor};
    const uint8_t tail[] = {0,
                            0,
                            2,
                            (uint8_t)(suite >> 8),
                            (uint8_t)suite,
                            1,
                            0,
                            0,
                            16,
                            0,
                            10,
                            0,
                            4,
                            0,
                            2,
                            0,
                            29, /* group: X25519 */
                            0,
                            13,
                            0,
                            4,
                            0,
                            2,
                            4,
                            3}; /* signature: ECDSA, SHA-256 */
    memcpy(out, head, sizeof(head));
    memset(out + sizeof(head), 'r', 32);
    memcpy(out + sizeof(head) + 32, tail, sizeof(tail));
    return sizeof(head) + 32 + sizeof(tail);
}

static void test_old_versions(void **state) {
    (void)state;
    uint8_t hello[80];
    for (uint8_t minor = 0; minor < 3; minor++) {
        size_t len = make_hello(hello, minor, 0xc009);
        assert_answer(hello, len, TLS_OLD_VERSION, minor == 0 ? TLS_ALERT_SSL3 : 70);
    }
}

static void test_no_suite(void **state) {
    (void)state;
    uint8_t hello[80];
    /* TLS_RSA_WITH_AES_128_CBC_SHA, and what an RSA key would be needed for. */
    size_t len = make_hello(hello, 3, 0x002f);
    assert_answer(hello, len, TLS_NO_SUITE, 40);
    len = make_hello(hello, 3, 0xc02f);
    assert_answer(hello, len, TLS_NO_SUITE, 40);
}

static void test_no_tls(void **state) {
    (void)state;
    static const char http[] = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
    assert_answer(http, sizeof(http) - 1, "what the peer sends is not TLS", 40);
}

/* More of a server's hello than there is room for, in one record after the other. */
static void test_too_long_a_message(void **state) {
    (void)state;
    const wst_tls_client_options_t options = {.size = sizeof(options), .ca_pem = tls_pki.root.own};
    static const uint8_t record[] = {22, 3, 3, 0x20, 0}, message[] = {2, 0xff, 0xff, 0xff};
    static uint8_t bytes[4 * (sizeof(record) + 0x2000)];
    for (size_t at = 0; at < sizeof(bytes); at += sizeof(record) + 0x2000)
        memcpy(bytes + at, record, sizeof(record));
    memcpy(bytes + sizeof(record), message, sizeof(message));
    assert_refused(tls_client_with(&options), bytes, sizeof(bytes), TLS_TOO_LONG,
                   TLS_ALERT_TOO_LONG);
}

/* -- Configurations -----------------------------------------------------------------------------
 */

static void assert_no_server(const wst_tls_server_options_t *options, int status,
                             const char *text) {
    wst__tls_engine_t *engine;
    wst_tls_error_t why;
    assert_int_equal(wst__tls_engine_server(&engine, &test_allocator, options, NULL), status);
    assert_int_equal(wst__tls_engine_server(&engine, &test_allocator, options, &why), status);
    if (status == WST_ETLS)
        assert_memory_equal(why.text, text, strlen(text));
}

static void test_server_options(void **state) {
    (void)state;
    char broken[sizeof(tls_pki.leaf.chain)];
    size_t live = test_alloc_live();
    wst_tls_identity_t two[] = {tls_identity(&tls_pki.leaf), tls_identity(&tls_pki.other)};
    wst_tls_server_options_t o = {.size = sizeof(o), .identities = two, .identity_count = 2};

    assert_no_server(&(wst_tls_server_options_t){.size = sizeof(wst_tls_server_options_t)},
                     WST_EINVAL, "");
    o.identity_count = 33;
    assert_no_server(&o, WST_EINVAL, "");
    o.identity_count = 2;
    o.client_cert = WST_TLS_CLIENT_REQUIRED;
    assert_no_server(&o, WST_EINVAL, "");
    o.client_ca_pem = "nonsense";
    assert_no_server(&o, WST_ETLS, "certificates of issuers: there is no certificate in it");
    o.client_cert = WST_TLS_CLIENT_NONE;

    two[1].key_pem = tls_pki.leaf.key;
    assert_no_server(&o, WST_ETLS, "identity 2: the key does not belong to the certificate");
    two[1].key_pem = "-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----\n";
    assert_no_server(&o, WST_ETLS, "identity 2: private key: ");
    two[1].key_pem = NULL;
    assert_no_server(&o, WST_EINVAL, "");
    two[1] = tls_identity(&tls_pki.client);
    assert_no_server(&o, WST_ETLS, "identity 2: the certificate is not for servers");
    two[1] = tls_identity(&tls_pki.other);
    two[0].chain_pem = "";
    assert_no_server(&o, WST_ETLS, "identity 1: certificate: there is no certificate in it");
    /* Of a chain, one is broken. */
    strcpy(broken, tls_pki.leaf.chain);
    char *second = strstr(broken + 10, "-----BEGIN");
    assert_non_null(second);
    memcpy(second + 28, "AAAA", 4);
    two[0].chain_pem = broken;
    assert_no_server(&o, WST_ETLS, "identity 1: certificate: 1 of them cannot be read");
    assert_int_equal(test_alloc_live(), live);
}

static void test_client_options(void **state) {
    (void)state;
    static const char *const bad_pins[] = {"sha256/short=", "sha1/AAAAAAAAAAAAAAAAAAAAAAAAAAA=", "",
                                           "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA ",
                                           "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
    wst__tls_engine_t *engine;
    wst_tls_error_t why;
    wst_tls_client_options_t o = {.size = sizeof(o)};
    size_t live = test_alloc_live();
    assert_int_equal(wst__tls_engine_client(&engine, &test_allocator, &o, false, &why), WST_EINVAL);
    o.ca_pem = tls_pki.root.own;
    for (size_t i = 0; i < sizeof(bad_pins) / sizeof(bad_pins[0]); i++) {
        o.pins = (const char *const[]){bad_pins[i], NULL};
        assert_int_equal(wst__tls_engine_client(&engine, &test_allocator, &o, false, &why),
                         WST_ETLS);
        assert_memory_equal(why.text, "not a pin", 9);
    }
    static const char good[] = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    const char *many[18] = {0};
    for (size_t i = 0; i < 17; i++)
        many[i] = good;
    o.pins = many;
    assert_int_equal(wst__tls_engine_client(&engine, &test_allocator, &o, false, &why), WST_ETLS);
    assert_string_equal(why.text, "pins: more than 16 of them");
    o.pins = NULL;
    /* A trust store may have what mbedTLS cannot read, if there is something else. */
    char store[3 * sizeof(tls_pki.root.own)];
    snprintf(store, sizeof(store),
             "%s-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n%s",
             tls_pki.stranger.own, tls_pki.root.own);
    o.ca_pem = store;
    assert_int_equal(wst__tls_engine_client(&engine, &test_allocator, &o, false, &why), WST_ETLS);
    assert_int_equal(wst__tls_engine_client(&engine, &test_allocator, &o, true, &why), 0);
    wst__tls_engine_free(engine);
    assert_int_equal(test_alloc_live(), live);
}

static void test_expiry(void **state) {
    (void)state;
    const char *subject;
    tls_made_t soon;
    tls_make(&soon, &(tls_spec_t){.subject = "CN=soon", .from_days = -1, .to_days = 2}, NULL);
    const wst_tls_identity_t two[] = {tls_identity(&tls_pki.leaf), tls_identity(&soon)};
    const wst_tls_server_options_t o = {.size = sizeof(o), .identities = two, .identity_count = 2};
    wst__tls_engine_t *engine;
    assert_int_equal(wst__tls_engine_server(&engine, &test_allocator, &o, NULL), 0);
    int64_t at = wst__tls_engine_expiry(engine, &subject), now = (int64_t)time(NULL);
    assert_string_equal(subject, "CN=soon");
    assert_true(at > now + 47 * 3600 && at <= now + 48 * 3600);
    wst__tls_engine_free(engine);
    engine = tls_client(NULL);
    assert_true(wst__tls_engine_expiry(engine, &subject) == INT64_MAX);
    assert_string_equal(subject, "");
    wst__tls_engine_free(engine);
    tls_made_free(&soon);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dates),          cmocka_unit_test(test_expired_issuer),
        cmocka_unit_test(test_names),          cmocka_unit_test(test_trust),
        cmocka_unit_test(test_purpose),        cmocka_unit_test(test_weakness),
        cmocka_unit_test(test_pins),           cmocka_unit_test(test_pinned_self_signed),
        cmocka_unit_test(test_insecure),       cmocka_unit_test(test_client_certificates),
        cmocka_unit_test(test_old_versions),   cmocka_unit_test(test_no_suite),
        cmocka_unit_test(test_no_tls),         cmocka_unit_test(test_too_long_a_message),
        cmocka_unit_test(test_server_options), cmocka_unit_test(test_client_options),
        cmocka_unit_test(test_expiry),
    };
    return cmocka_run_group_tests(tests, tls_pki_make, tls_pki_free);
}
