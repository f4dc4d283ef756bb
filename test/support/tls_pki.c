/* SPDX-License-Identifier: MIT */
#include "tls_pki.h"
#include "ip.h"

tls_pki_t tls_pki;

int tls_pki_make(void **state) {
    (void)state;
    tls_make(&tls_pki.root, &(tls_spec_t){.subject = "CN=Test Root", .ca = true}, NULL);
    tls_make(&tls_pki.stranger, &(tls_spec_t){.subject = "CN=Stranger", .ca = true}, NULL);
    tls_make(&tls_pki.middle, &(tls_spec_t){.subject = "CN=Middle", .ca = true}, &tls_pki.root);
    tls_make(&tls_pki.leaf,
             &(tls_spec_t){.subject = "CN=server,O=Test",
                           .names = "dns:server.example dns:*.wild.example ip:127.0.0.1 "
                                    "ip:2001:db8::1 email:me@server.example uri:urn:x"},
             &tls_pki.middle);
    tls_make(&tls_pki.rsa,
             &(tls_spec_t){.subject = "CN=rsa", .names = "dns:server.example", .rsa_bits = 2048},
             &tls_pki.root);
    tls_make(&tls_pki.other, &(tls_spec_t){.subject = "CN=other", .names = "dns:other.example"},
             &tls_pki.root);
    tls_make(
        &tls_pki.client,
        &(tls_spec_t){.subject = "CN=agent", .names = "dns:agent.example", .only_clients = true},
        &tls_pki.root);
    return 0;
}

int tls_pki_free(void **state) {
    (void)state;
    tls_made_t *all[] = {&tls_pki.root, &tls_pki.stranger, &tls_pki.middle, &tls_pki.leaf,
                         &tls_pki.rsa,  &tls_pki.other,    &tls_pki.client};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        tls_made_free(all[i]);
    return 0;
}

wst__tls_engine_t *tls_server(const tls_made_t *own, wst_tls_client_cert_t client_cert) {
    const wst_tls_identity_t identity = tls_identity(own);
    const wst_tls_server_options_t options = {.size = sizeof(options),
                                              .identities = &identity,
                                              .identity_count = 1,
                                              .client_cert = client_cert,
                                              .client_ca_pem = tls_pki.root.own};
    wst_tls_error_t why;
    wst__tls_engine_t *engine;
    if (wst__tls_engine_server(&engine, &test_allocator, &options, &why) != 0)
        fail_msg("%s", why.text);
    return engine;
}

wst__tls_engine_t *tls_client_with(const wst_tls_client_options_t *options) {
    wst_tls_error_t why;
    wst__tls_engine_t *engine;
    if (wst__tls_engine_client(&engine, &test_allocator, options, false, &why) != 0)
        fail_msg("%s", why.text);
    return engine;
}

wst__tls_engine_t *tls_client(const tls_made_t *own) {
    const wst_tls_identity_t identity =
        own != NULL ? tls_identity(own) : (wst_tls_identity_t){.size = sizeof(wst_tls_identity_t)};
    const wst_tls_client_options_t options = {.size = sizeof(options),
                                              .ca_pem = tls_pki.root.own,
                                              .identity = own != NULL ? &identity : NULL};
    return tls_client_with(&options);
}

void tls_connect(tls_rig_t *rig, wst__tls_engine_t *client, wst__tls_engine_t *server,
                 const char *name) {
    wst__ip_t ip;
    const char *sni = wst__ip_parse(&ip, name, strlen(name)) ? NULL : name;
    assert_int_equal(tls_rig_open(rig, client, server, name, sni), 0);
    tls_rig_shake(rig, 0);
}

void tls_assert_done(const tls_rig_t *rig) {
    if (rig->client.status != 0 || rig->server.status != 0)
        fail_msg("client %d: %s; server %d: %s", rig->client.status, tls_end_failure(&rig->client),
                 rig->server.status, tls_end_failure(&rig->server));
}
