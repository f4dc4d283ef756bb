/* SPDX-License-Identifier: MIT */
#include "tls_rig.h"

static size_t pull(void *arg, uint8_t *buf, size_t len) {
    tls_end_t *end = arg;
    size_t n = end->visible - end->pulled < len ? end->visible - end->pulled : len;
    if (n > 0)
        memcpy(buf, end->peer->sent + end->pulled, n);
    end->pulled += n;
    return n;
}

static int push(void *arg, const uint8_t *data, size_t len) {
    tls_end_t *end = arg;
    assert_true(len > 0);
    if (end->push_status != 0)
        return end->push_status;
    if (end->sent_len + len > end->sent_size) {
        end->sent_size = 2 * (end->sent_len + len);
        end->sent = realloc(end->sent, end->sent_size);
        assert_non_null(end->sent);
    }
    memcpy(end->sent + end->sent_len, data, len);
    end->sent_len += len;
    return 0;
}

const wst__tls_io_t tls_end_io = {pull, push};

int tls_rig_open(tls_rig_t *rig, wst__tls_engine_t *client, wst__tls_engine_t *server,
                 const char *server_name, const char *sni) {
    memset(rig, 0, sizeof(*rig));
    rig->client.peer = &rig->server;
    rig->server.peer = &rig->client;
    rig->client.status = rig->server.status = WST__TLS_AGAIN;
    int status =
        wst__tls_conn_new(&rig->client.conn, client, &tls_end_io, &rig->client, server_name, sni);
    if (status == 0)
        status =
            wst__tls_conn_new(&rig->server.conn, server, &tls_end_io, &rig->server, NULL, NULL);
    if (status != 0)
        tls_rig_close(rig);
    return status;
}

void tls_rig_close(tls_rig_t *rig) {
    wst__tls_conn_free(rig->client.conn);
    wst__tls_conn_free(rig->server.conn);
    free(rig->client.sent);
    free(rig->server.sent);
    memset(rig, 0, sizeof(*rig));
}

void tls_end_see(tls_end_t *end) {
    end->visible = end->peer->sent_len;
}

static bool shake(tls_end_t *end, size_t step) {
    size_t before = end->sent_len, unseen = end->peer->sent_len - end->visible;
    end->visible += step > 0 && step < unseen ? step : unseen;
    if (end->status == WST__TLS_AGAIN)
        end->status = wst__tls_conn_handshake(end->conn);
    return unseen > 0 || end->sent_len > before;
}

void tls_rig_shake(tls_rig_t *rig, size_t step) {
    bool moved = true;
    while (moved) {
        moved = shake(&rig->client, step);
        moved = shake(&rig->server, step) || moved;
    }
}

uint8_t tls_pattern(uint8_t seed, size_t offset) {
    return (uint8_t)(seed + offset * 7 + offset / 251);
}

int tls_end_write(tls_end_t *end, uint8_t seed, size_t len) {
    uint8_t *data = malloc(len);
    assert_non_null(data);
    for (size_t i = 0; i < len; i++)
        data[i] = tls_pattern(seed, i);
    int status = 0;
    for (size_t done = 0, n; done < len && status == 0; done += n)
        status = wst__tls_conn_write(end->conn, data + done, len - done, &n);
    free(data);
    return status;
}

int tls_end_read(tls_end_t *end, uint8_t seed, size_t *len) {
    uint8_t data[5000];
    int status;
    size_t n;
    while ((status = wst__tls_conn_read(end->conn, data, sizeof(data), &n)) == 0) {
        assert_true(n > 0);
        for (size_t i = 0; i < n; i++)
            if (data[i] != tls_pattern(seed, *len + i))
                fail_msg("byte %zu is wrong", *len + i);
        *len += n;
    }
    return status;
}

const char *tls_end_failure(const tls_end_t *end) {
    return wst__tls_conn_info(end->conn)->failure;
}
