/* SPDX-License-Identifier: MIT */
/* TLS records from a client to a server, both over memory. */
#include "counts.h"
#include "mem.h"
#include "tls_rig.h"

enum { RECORDS = 16, SMALL = 64 };

static struct {
    wst__tls_engine_t *client, *server;
    tls_rig_t rig;
} tls;

static void open_tls(void) {
    static tls_made_t root, leaf;
    tls_make(&root, &(tls_spec_t){.subject = "CN=Root", .ca = true}, NULL);
    tls_make(&leaf, &(tls_spec_t){.subject = "CN=leaf", .names = "dns:server.example"}, &root);
    const wst_tls_identity_t identity = tls_identity(&leaf);
    const wst_tls_server_options_t server = {
        .size = sizeof(server), .identities = &identity, .identity_count = 1};
    const wst_tls_client_options_t client = {.size = sizeof(client), .ca_pem = root.own};
    assert_int_equal(wst__tls_engine_server(&tls.server, &wst__default_allocator, &server, NULL),
                     0);
    assert_int_equal(
        wst__tls_engine_client(&tls.client, &wst__default_allocator, &client, false, NULL), 0);
    tls_made_free(&root);
    tls_made_free(&leaf);
    assert_int_equal(
        tls_rig_open(&tls.rig, tls.client, tls.server, "server.example", "server.example"), 0);
    tls_rig_shake(&tls.rig, 0);
    assert_int_equal(tls.rig.client.status, 0);
    assert_int_equal(tls.rig.server.status, 0);
}

static void close_tls(void) {
    tls_rig_close(&tls.rig);
    wst__tls_engine_free(tls.client);
    wst__tls_engine_free(tls.server);
}

static void move_record(size_t len) {
    static uint8_t in[WST__TLS_PLAIN], out[WST__TLS_PLAIN];
    tls_end_t *from = &tls.rig.client, *to = &tls.rig.server;
    size_t n, got = 0;
    from->sent_len = to->pulled = to->visible = 0;
    assert_int_equal(wst__tls_conn_write(from->conn, in, len, &n), 0);
    assert_int_equal(n, len);
    tls_end_see(to);
    while (got < len) {
        assert_int_equal(wst__tls_conn_read(to->conn, out + got, len - got, &n), 0);
        got += n;
    }
}

static void move_records(void) {
    for (int i = 0; i < RECORDS; i++) {
        move_record(WST__TLS_PLAIN);
        move_record(SMALL);
    }
}

const counts_work_t counts_tls_record = {"tls_record", open_tls, move_records, close_tls};
