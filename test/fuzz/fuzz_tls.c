/* SPDX-License-Identifier: MIT */
/*
 * The TLS engine at the record boundary: one end gets what a peer made of a good session, or
 * anything at all. Whatever that is, what it reads is what the other end wrote, from the beginning
 * on, and an end comes behind all of it only.
 *
 * Input: a byte of flags (1: the server is attacked, else the client; 2: the rest is what it gets,
 * as it is; 4: a full handshake, else a resumed one if possible), then changes of 4 bytes: what to
 * do (flip, insert, delete, repeat), where in the stream (2 bytes), and a value.
 */
#include "tls_rig.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { WRITTEN = 700 };

static tls_made_t root, leaf;
static wst__tls_engine_t *server, *client;

static void check(bool condition, const char *what) {
    if (condition)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static wst__tls_engine_t *new_client(void) {
    const wst_tls_client_options_t options = {.size = sizeof(options), .ca_pem = root.own};
    wst__tls_engine_t *engine;
    check(wst__tls_engine_client(&engine, &test_allocator, &options, false, NULL) == 0, "client");
    return engine;
}

static void set_up(void) {
    if (server != NULL)
        return;
    tls_make(&root, &(tls_spec_t){.subject = "CN=Root", .ca = true}, NULL);
    tls_make(&leaf, &(tls_spec_t){.subject = "CN=leaf", .names = "dns:server.example"}, &root);
    const wst_tls_identity_t identity = tls_identity(&leaf);
    const wst_tls_server_options_t options = {
        .size = sizeof(options), .identities = &identity, .identity_count = 1};
    check(wst__tls_engine_server(&server, &test_allocator, &options, NULL) == 0, "server");
    client = new_client();
}

/* The changes that lie in what has been sent since `from`, applied where they belong. */
static void change(tls_end_t *sender, size_t from, const uint8_t *changes, size_t count) {
    for (size_t i = 0; i < count; i++, changes += 4) {
        size_t at = (size_t)changes[1] * 256 + changes[2], len = changes[3] % 32 + 1;
        if (at < from || at >= sender->sent_len)
            continue;
        uint8_t *byte = sender->sent + at;
        size_t behind = sender->sent_len - at;
        uint8_t copy[32];
        len = len < behind ? len : behind;
        switch (changes[0] % 4) {
        case 0:
            *byte ^= changes[3];
            break;
        case 1:
            (void)tls_end_io.push(sender, changes + 3, 1);
            byte = sender->sent + at;
            memmove(byte + 1, byte, behind);
            *byte = changes[3];
            break;
        case 2:
            memmove(byte, byte + len, behind - len);
            sender->sent_len -= len;
            break;
        default:
            memcpy(copy, byte, len);
            (void)tls_end_io.push(sender, copy, len);
        }
    }
}

/* The pattern in records of several lengths, and the end. */
static void write_some(tls_end_t *end) {
    uint8_t bytes[WRITTEN];
    for (size_t i = 0; i < WRITTEN; i++)
        bytes[i] = tls_pattern(1, i);
    for (size_t done = 0, len = 1, n; done < WRITTEN; done += n, len *= 3) {
        len = len < WRITTEN - done ? len : WRITTEN - done;
        check(wst__tls_conn_write(end->conn, bytes + done, len, &n) == 0, "write");
    }
    check(wst__tls_conn_close_notify(end->conn) == 0, "close_notify");
}

static int read_checked(tls_end_t *end) {
    uint8_t data[300];
    size_t n, len = 0;
    int status;
    while ((status = wst__tls_conn_read(end->conn, data, sizeof(data), &n)) == 0) {
        for (size_t i = 0; i < n; i++)
            check(data[i] == tls_pattern(1, len + i), "other bytes than were written");
        len += n;
    }
    check(len <= WRITTEN, "more than was written");
    check(status != WST__TLS_END || len == WRITTEN, "an end before all was read");
    return status;
}

static void run_session(wst__tls_engine_t *from, bool attack_server, const uint8_t *changes,
                        size_t count) {
    tls_rig_t rig;
    check(tls_rig_open(&rig, from, server, "server.example", "server.example") == 0, "rig");
    tls_end_t *target = attack_server ? &rig.server : &rig.client, *peer = target->peer;
    for (int turn = 0; turn < 8; turn++) {
        tls_end_t *now = turn % 2 == 0 ? &rig.client : &rig.server;
        size_t before = now->sent_len;
        tls_end_see(now);
        if (now->status == WST__TLS_AGAIN)
            now->status = wst__tls_conn_handshake(now->conn);
        if (now == peer)
            change(peer, before, changes, count);
    }
    if (peer->status == 0) {
        size_t before = peer->sent_len;
        write_some(peer);
        change(peer, before, changes, count);
    }
    if (target->status == 0) {
        tls_end_see(target);
        int status = read_checked(target);
        check(status == WST__TLS_AGAIN || status == WST__TLS_END || status < 0, "status");
    }
    tls_rig_close(&rig);
}

static void run_raw(bool attack_server, const uint8_t *data, size_t size) {
    tls_end_t peer = {0}, target = {.peer = &peer};
    peer.peer = &target;
    check(wst__tls_conn_new(&target.conn, attack_server ? server : client, &tls_end_io, &target,
                            attack_server ? NULL : "server.example", NULL) == 0,
          "connection");
    if (size > 0)
        (void)tls_end_io.push(&peer, data, size);
    tls_end_see(&target);
    int status = wst__tls_conn_handshake(target.conn);
    check(status == WST__TLS_AGAIN || status < 0, "a handshake with nobody");
    if (status < 0)
        check(wst__tls_conn_info(target.conn)->failure[0] != '\0', "no reason");
    wst__tls_conn_free(target.conn);
    free(peer.sent);
    free(target.sent);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1 || size > 4096)
        return 0;
    set_up();
    bool attack_server = (data[0] & 1) != 0;
    if ((data[0] & 2) != 0) {
        run_raw(attack_server, data + 1, size - 1);
        return 0;
    }
    wst__tls_engine_t *from = (data[0] & 4) != 0 ? new_client() : client;
    run_session(from, attack_server, data + 1, (size - 1) / 4);
    if (from != client)
        wst__tls_engine_free(from);
    return 0;
}
