/* SPDX-License-Identifier: MIT */
/* The chain that a peer sends: all of it is told, each certificate with its own faults. */
#include "tls_chain.h"
#include "tls_pki.h"

#include <stdio.h>

enum { SENT_MAX = WST_TLS_CHAIN_MAX + 2 };

/* A certificate that must have been sent; subject NULL: no more. */
typedef struct expected {
    const char *subject;
    bool used;
    const char *fault;
} expected_t;

static void assert_chain(const wst__tls_chain_t *chain, const expected_t *expected) {
    size_t n = 0;
    for (; expected[n].subject != NULL; n++) {
        const wst_tls_link_t *link = wst__tls_chain_link(chain, n);
        assert_non_null(link);
        assert_int_equal(link->size, sizeof(*link));
        assert_string_equal(link->certificate->subject, expected[n].subject);
        assert_int_equal(link->used, expected[n].used);
        assert_string_equal(link->fault, expected[n].fault);
    }
    assert_null(wst__tls_chain_link(chain, n));
}

/* An engine that sends exactly these certificates, NULL-terminated; the first one is its own. */
static wst__tls_engine_t *server_that_sends(const tls_made_t *const *sent) {
    static tls_made_t made;
    made = *sent[0];
    made.chain[0] = '\0';
    for (size_t i = 0; sent[i] != NULL; i++) {
        assert_true(strlen(made.chain) + strlen(sent[i]->own) < sizeof(made.chain));
        strcat(made.chain, sent[i]->own);
    }
    return tls_server(&made, WST_TLS_CLIENT_NONE);
}

static void assert_seen(const tls_made_t *const *sent, bool accepted,
                        const wst_tls_client_options_t *options, const expected_t *expected) {
    wst__tls_engine_t *server = server_that_sends(sent);
    wst__tls_engine_t *client = tls_client_with(options);
    wst__tls_chain_t *chain = wst__tls_chain_new(&test_allocator);
    tls_rig_t rig;
    assert_int_equal(tls_rig_open(&rig, client, server, "server.example", "server.example"), 0);
    wst__tls_conn_keep_chain(rig.client.conn, chain);
    tls_rig_shake(&rig, 0);
    assert_int_equal(rig.client.status, accepted ? 0 : WST_ETLSCERT);
    tls_rig_close(&rig);
    assert_chain(chain, expected);
    wst__tls_chain_free(chain);
    wst__tls_engine_free(client);
    wst__tls_engine_free(server);
}

static const char leaf_name[] = "CN=server, O=Test";

static wst_tls_client_options_t trusting(const tls_made_t *root) {
    return (wst_tls_client_options_t){.size = sizeof(wst_tls_client_options_t),
                                      .ca_pem = root->own};
}

static void test_whole(void **state) {
    (void)state;
    const wst_tls_client_options_t options = trusting(&tls_pki.root);
    const expected_t whole[] = {{leaf_name, true, ""}, {"CN=Middle", true, ""}, {0}};
    assert_seen((const tls_made_t *const[]){&tls_pki.leaf, &tls_pki.middle, NULL}, true, &options,
                whole);
    /* A root that is sent, too, is the trusted one. */
    const expected_t rooted[] = {
        {leaf_name, true, ""}, {"CN=Middle", true, ""}, {"CN=Test Root", true, ""}, {0}};
    assert_seen((const tls_made_t *const[]){&tls_pki.leaf, &tls_pki.middle, &tls_pki.root, NULL},
                true, &options, rooted);
    const expected_t superfluous[] = {
        {leaf_name, true, ""}, {"CN=Stranger", false, ""}, {"CN=Middle", true, ""}, {0}};
    assert_seen(
        (const tls_made_t *const[]){&tls_pki.leaf, &tls_pki.stranger, &tls_pki.middle, NULL}, true,
        &options, superfluous);
}

static void test_missing_intermediate(void **state) {
    (void)state;
    const wst_tls_client_options_t options = trusting(&tls_pki.root);
    const expected_t alone[] = {{leaf_name, true, "issuer not trusted: CN=Middle"}, {0}};
    assert_seen((const tls_made_t *const[]){&tls_pki.leaf, NULL}, false, &options, alone);
    const expected_t other[] = {
        {leaf_name, true, "issuer not trusted: CN=Middle"}, {"CN=Test Root", false, ""}, {0}};
    assert_seen((const tls_made_t *const[]){&tls_pki.leaf, &tls_pki.root, NULL}, false, &options,
                other);
}

static void test_untrusted_root(void **state) {
    (void)state;
    const wst_tls_client_options_t options = trusting(&tls_pki.stranger);
    const expected_t without[] = {
        {leaf_name, true, ""}, {"CN=Middle", true, "issuer not trusted: CN=Test Root"}, {0}};
    assert_seen((const tls_made_t *const[]){&tls_pki.leaf, &tls_pki.middle, NULL}, false, &options,
                without);
    const expected_t with[] = {
        {leaf_name, true, ""},
        {"CN=Middle", true, ""},
        {"CN=Test Root", true, "self-signed certificate, not trusted: CN=Test Root"},
        {0}};
    assert_seen((const tls_made_t *const[]){&tls_pki.leaf, &tls_pki.middle, &tls_pki.root, NULL},
                false, &options, with);
}

/* Each certificate is told its own faults, also if several have some. */
static void test_expired_intermediate(void **state) {
    (void)state;
    const wst_tls_client_options_t options = trusting(&tls_pki.root);
    tls_made_t old, leaf;
    char date[16], expired[64];
    tls_make(&old, &(tls_spec_t){.subject = "CN=Old", .ca = true, .from_days = -9, .to_days = -2},
             &tls_pki.root);
    tls_make(&leaf, &(tls_spec_t){.subject = "CN=leaf", .names = "dns:other.example"}, &old);
    tls_date(date, -2);
    snprintf(expired, sizeof(expired), "certificate expired on %s", date);
    const expected_t expected[] = {
        {"CN=leaf", true, "certificate is for other names: other.example"},
        {"CN=Old", true, expired},
        {0}};
    assert_seen((const tls_made_t *const[]){&leaf, &old, NULL}, false, &options, expected);
    tls_made_free(&old);
    tls_made_free(&leaf);
}

static void test_self_signed(void **state) {
    (void)state;
    const wst_tls_client_options_t options = trusting(&tls_pki.root);
    tls_made_t own;
    uint8_t der[4096];
    wst__tls_x509_t crt;
    char pin[WST_TLS_PIN_MAX], fault[128];
    tls_make(&own, &(tls_spec_t){.subject = "CN=Own", .names = "dns:server.example"}, NULL);
    assert_true(wst__tls_x509_read(&crt, der, tls_der(&own, der)));
    assert_true(wst__tls_pin_text(pin, &crt));
    snprintf(fault, sizeof(fault), "self-signed certificate, not trusted: CN=Own, with the pin %s",
             pin);
    const expected_t refused[] = {{"CN=Own", true, fault}, {0}};
    assert_seen((const tls_made_t *const[]){&own, NULL}, false, &options, refused);
    const char *const pins[] = {pin, NULL};
    const wst_tls_client_options_t pinned = {.size = sizeof(pinned), .pins = pins};
    const expected_t accepted[] = {{"CN=Own", true, ""}, {0}};
    assert_seen((const tls_made_t *const[]){&own, NULL}, true, &pinned, accepted);
    /* The peer's own certificate is told that a pin does not match. */
    const wst_tls_client_options_t both = {
        .size = sizeof(both), .ca_pem = tls_pki.root.own, .pins = pins};
    uint8_t leaf_der[4096];
    char leaf_pin[WST_TLS_PIN_MAX], not_pinned[128];
    assert_true(wst__tls_x509_read(&crt, leaf_der, tls_der(&tls_pki.leaf, leaf_der)));
    assert_true(wst__tls_pin_text(leaf_pin, &crt));
    snprintf(not_pinned, sizeof(not_pinned), "public key is not pinned: %s", leaf_pin);
    const expected_t other[] = {{leaf_name, true, not_pinned}, {"CN=Middle", true, ""}, {0}};
    assert_seen((const tls_made_t *const[]){&tls_pki.leaf, &tls_pki.middle, NULL}, false, &both,
                other);
    tls_made_free(&own);
}

static void test_insecure(void **state) {
    (void)state;
    const wst_tls_client_options_t options = {.size = sizeof(options), .insecure = true};
    const expected_t expected[] = {{leaf_name, true, ""}, {0}};
    assert_seen((const tls_made_t *const[]){&tls_pki.leaf, NULL}, true, &options, expected);
}

/* What is sent beyond the bound is left out, and harms nothing. */
static void test_bound(void **state) {
    (void)state;
    const wst_tls_client_options_t options = trusting(&tls_pki.root);
    const tls_made_t *sent[SENT_MAX + 1] = {&tls_pki.leaf, &tls_pki.middle};
    expected_t expected[WST_TLS_CHAIN_MAX + 1] = {{leaf_name, true, ""}, {"CN=Middle", true, ""}};
    for (size_t i = 2; i < SENT_MAX; i++)
        sent[i] = &tls_pki.stranger;
    for (size_t i = 2; i < WST_TLS_CHAIN_MAX; i++)
        expected[i] = (expected_t){"CN=Stranger", false, ""};
    assert_seen(sent, true, &options, expected);
}

/* A server keeps a client's. */
static void test_client_certificate(void **state) {
    (void)state;
    tls_made_t leaf;
    tls_make(&leaf, &(tls_spec_t){.subject = "CN=agent", .only_servers = true}, &tls_pki.middle);
    wst__tls_engine_t *server = tls_server(&tls_pki.leaf, WST_TLS_CLIENT_REQUIRED);
    wst__tls_engine_t *client = tls_client(&leaf);
    wst__tls_chain_t *chain = wst__tls_chain_new(&test_allocator);
    tls_rig_t rig;
    assert_int_equal(tls_rig_open(&rig, client, server, "server.example", "server.example"), 0);
    wst__tls_conn_keep_chain(rig.server.conn, chain);
    tls_rig_shake(&rig, 0);
    assert_int_equal(rig.server.status, WST_ETLSCERT);
    const expected_t expected[] = {
        {"CN=agent", true, "certificate is not for clients (extendedKeyUsage)"},
        {"CN=Middle", true, ""},
        {0}};
    assert_chain(chain, expected);
    tls_rig_close(&rig);
    wst__tls_chain_free(chain);
    wst__tls_engine_free(client);
    wst__tls_engine_free(server);
    tls_made_free(&leaf);
}

/* A peer without certificate, and one that is no longer listened to, have sent none. */
static void test_none(void **state) {
    (void)state;
    wst__tls_engine_t *server = tls_server(&tls_pki.leaf, WST_TLS_CLIENT_REQUIRED);
    wst__tls_engine_t *client = tls_client(NULL);
    wst__tls_chain_t *of_client = wst__tls_chain_new(&test_allocator);
    wst__tls_chain_t *of_server = wst__tls_chain_new(&test_allocator);
    tls_rig_t rig;
    assert_int_equal(tls_rig_open(&rig, client, server, "server.example", "server.example"), 0);
    wst__tls_conn_keep_chain(rig.server.conn, of_client);
    wst__tls_conn_keep_chain(rig.client.conn, of_server);
    wst__tls_conn_keep_chain(rig.client.conn, NULL);
    wst__tls_chain_free(of_server);
    tls_rig_shake(&rig, 0);
    assert_int_equal(rig.server.status, WST_ETLSCERT);
    assert_null(wst__tls_chain_link(of_client, 0));
    tls_rig_close(&rig);
    wst__tls_chain_free(of_client);
    wst__tls_chain_free(NULL);
    wst__tls_engine_free(client);
    wst__tls_engine_free(server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),          cmocka_unit_test(test_missing_intermediate),
        cmocka_unit_test(test_untrusted_root), cmocka_unit_test(test_expired_intermediate),
        cmocka_unit_test(test_self_signed),    cmocka_unit_test(test_insecure),
        cmocka_unit_test(test_bound),          cmocka_unit_test(test_client_certificate),
        cmocka_unit_test(test_none),
    };
    return cmocka_run_group_tests(tests, tls_pki_make, tls_pki_free);
}
