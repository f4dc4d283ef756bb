/* SPDX-License-Identifier: MIT */
/* The TLS engine against itself: handshakes, data, ends, whatever way the bytes are split. */
#include "tls_rig.h"

#include <stdio.h>

static tls_made_t root, leaf, other_leaf, client_leaf;

static int make_certs(void **state) {
    (void)state;
    tls_make(&root, &(tls_spec_t){.subject = "CN=Test Root", .ca = true}, NULL);
    tls_make(
        &leaf,
        &(tls_spec_t){.subject = "CN=server,O=Test", .names = "dns:server.example ip:127.0.0.1"},
        &root);
    tls_make(&other_leaf, &(tls_spec_t){.subject = "CN=other", .names = "dns:*.other.example"},
             &root);
    tls_make(
        &client_leaf,
        &(tls_spec_t){.subject = "CN=agent", .names = "dns:agent.example", .only_clients = true},
        &root);
    return 0;
}

static int free_certs(void **state) {
    (void)state;
    tls_made_free(&root);
    tls_made_free(&leaf);
    tls_made_free(&other_leaf);
    tls_made_free(&client_leaf);
    return 0;
}

static wst__tls_engine_t *new_server(wst_tls_client_cert_t client_cert) {
    const wst_tls_identity_t identities[] = {tls_identity(&leaf), tls_identity(&other_leaf)};
    const wst_tls_server_options_t options = {.identities = identities,
                                              .identity_count = 2,
                                              .client_cert = client_cert,
                                              .client_ca_pem = root.own};
    wst_tls_error_t why;
    wst__tls_engine_t *engine;
    if (wst__tls_engine_server(&engine, &test_allocator, &options, &why) != 0)
        fail_msg("%s", why.text);
    return engine;
}

static wst__tls_engine_t *new_client(const wst_tls_identity_t *identity) {
    const wst_tls_client_options_t options = {.ca_pem = root.own, .identity = identity};
    wst_tls_error_t why;
    wst__tls_engine_t *engine;
    if (wst__tls_engine_client(&engine, &test_allocator, &options, false, &why) != 0)
        fail_msg("%s", why.text);
    return engine;
}

static void assert_done(const tls_rig_t *rig) {
    if (rig->client.status != 0 || rig->server.status != 0)
        fail_msg("client %d: %s; server %d: %s", rig->client.status, tls_end_failure(&rig->client),
                 rig->server.status, tls_end_failure(&rig->server));
}

static void test_handshake(void **state) {
    (void)state;
    wst__tls_engine_t *server = new_server(WST_TLS_CLIENT_NONE), *client = new_client(NULL);
    tls_rig_t rig;
    assert_int_equal(tls_rig_open(&rig, client, server, "server.example", "server.example"), 0);
    tls_rig_shake(&rig, 0);
    assert_done(&rig);
    const wst_tls_info_t *c = wst__tls_conn_info(rig.client.conn);
    const wst_tls_info_t *s = wst__tls_conn_info(rig.server.conn);
    printf("%s %s\n", c->version, c->cipher_suite);
    assert_string_equal(c->version, s->version);
    assert_string_equal(c->cipher_suite, s->cipher_suite);
    assert_string_equal(c->alpn, "http/1.1");
    assert_string_equal(s->alpn, "http/1.1");
    assert_string_equal(s->server_name, "server.example");
    assert_string_equal(c->server_name, "server.example");
    assert_false(c->resumed || s->resumed);
    assert_true(c->peer_verified);
    assert_string_equal(c->peer->subject, "CN=server, O=Test");
    assert_null(s->peer);
    size_t len = 0;
    assert_int_equal(tls_end_write(&rig.client, 3, 100000), 0);
    tls_end_see(&rig.server);
    assert_int_equal(tls_end_read(&rig.server, 3, &len), WST__TLS_AGAIN);
    assert_int_equal(len, 100000);
    tls_rig_close(&rig);
    wst__tls_engine_free(client);
    wst__tls_engine_free(server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handshake),
    };
    return cmocka_run_group_tests(tests, make_certs, free_certs);
}
