/* SPDX-License-Identifier: MIT */
#include "tls_setup.h"

#include "support.h"

static wst_tls_config_t *server_config(tls_setup_t *tls, const tls_made_t *made) {
    const wst_tls_identity_t identity = tls_identity(made);
    const wst_tls_server_options_t options = {
        .size = sizeof(options), .identities = &identity, .identity_count = 1};
    wst_tls_config_t *config;
    assert_int_equal(wst_tls_server_config(&config, tls->ctx, &options, NULL), 0);
    return config;
}

wst_tls_config_t *tls_setup_another(tls_setup_t *tls, const tls_spec_t *spec) {
    tls_made_t made;
    tls_make(&made, spec, &tls->ca);
    wst_tls_config_t *config = server_config(tls, &made);
    tls_made_free(&made);
    return config;
}

void tls_setup_open(tls_setup_t *tls, wst_ctx_t *server, wst_ctx_t *client) {
    tls->ctx = server;
    tls_make(&tls->ca, &(tls_spec_t){.subject = "CN=Test CA", .ca = true}, NULL);
    tls_make(&tls->made,
             &(tls_spec_t){.subject = "CN=server", .names = "dns:server.test ip:127.0.0.1"},
             &tls->ca);
    tls->server = server_config(tls, &tls->made);
    const wst_tls_client_options_t options = {.size = sizeof(options), .ca_pem = tls->ca.own};
    assert_int_equal(wst_tls_client_config(&tls->client, client, &options, NULL), 0);
}

void tls_setup_close(tls_setup_t *tls) {
    wst_tls_config_unref(tls->server);
    wst_tls_config_unref(tls->client);
    tls_made_free(&tls->made);
    tls_made_free(&tls->ca);
}
