/* SPDX-License-Identifier: MIT */
/* A WebSocket that notes down what it gets. Uses no test framework: the fuzzer links it too. */
#include "ws_peer.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>
#include <wstunnel/error.h>

static void log_bytes(ws_peer_t *peer, const void *bytes, size_t len) {
    if (peer->log_len + len > peer->log_cap) {
        peer->log_cap = 2 * (peer->log_len + len);
        peer->log = realloc(peer->log, peer->log_cap);
        if (peer->log == NULL)
            abort();
    }
    if (len > 0)
        memcpy(peer->log + peer->log_len, bytes, len);
    peer->log_len += len;
}

void ws_peer_note(ws_peer_t *peer, bool text, const void *piece, size_t len, bool fin) {
    if (!peer->in_message)
        log_bytes(peer, text ? "T" : "B", 1);
    peer->in_message = true;
    peer->pieces++;
    log_bytes(peer, piece, len);
    peer->message_len += len;
    if (!fin)
        return;
    uint64_t whole = peer->message_len;
    log_bytes(peer, &whole, sizeof(whole));
    log_bytes(peer, ".", 1);
    peer->complete = peer->log_len;
    peer->message_len = 0;
    peer->in_message = false;
}

static int on_data(wst__ws_t *ws, bool text, wst_slice_t piece, bool fin, void *user_data) {
    ws_peer_t *peer = user_data;
    if (ws != peer->ws || (piece.len == 0 && !fin))
        abort();
    ws_peer_note(peer, text, piece.data, piece.len, fin);
    return peer->hook != NULL ? peer->hook(peer, text, piece, fin) : 0;
}

static void on_close(wst__ws_t *ws, int code, wst_str_t reason, void *user_data) {
    ws_peer_t *peer = user_data;
    if (ws != peer->ws || reason.len >= sizeof(peer->reason))
        abort();
    peer->closes++;
    peer->code = code;
    memcpy(peer->reason, reason.ptr, reason.len);
    peer->reason[reason.len] = '\0';
}

static int random_bytes(void *buf, size_t len, void *user_data) {
    ws_peer_t *peer = user_data;
    uint8_t *bytes = buf;
    if (peer->random_status != 0)
        return peer->random_status;
    for (size_t i = 0; i < len; i++) {
        peer->random_state = peer->random_state * UINT64_C(6364136223846793005) + 1442695041;
        bytes[i] = peer->zero_keys ? 0 : (uint8_t)(peer->random_state >> 56);
    }
    return 0;
}

int ws_peer_init(ws_peer_t *peer, bool server, size_t max_message, const wst_allocator_t *a) {
    memset(peer, 0, sizeof(*peer));
    wst__pool_init(&peer->pool, a);
    wst__ws_options_t options = {
        .pool = &peer->pool,
        .server = server,
        .max_message = max_message,
        .random = random_bytes,
        .on_data = on_data,
        .on_close = on_close,
        .user_data = peer,
    };
    return wst__ws_new(&peer->ws, &options);
}

void ws_peer_free(ws_peer_t *peer) {
    wst__ws_free(peer->ws);
    if (peer->pool.live != 0)
        abort();
    wst__pool_free(&peer->pool);
    free(peer->log);
}

int ws_peer_recv(ws_peer_t *peer, const void *bytes, size_t len) {
    wst_slice_t slice;
    int status = wst__pool_copy(&peer->pool, &slice, bytes, len);
    if (status != 0)
        return status;
    status = wst__ws_recv(peer->ws, slice);
    wst_slice_unref(slice);
    return status;
}

int ws_peer_send(ws_peer_t *peer, bool text, const void *head, size_t head_len, const void *payload,
                 size_t len) {
    wst_slice_t slice;
    int status = wst__pool_copy(&peer->pool, &slice, payload, len);
    return status != 0 ? status : wst__ws_send(peer->ws, text, head, head_len, slice);
}

size_t ws_peer_output(ws_peer_t *peer, uint8_t *buf, size_t cap) {
    wst_slice_t slices[3];
    size_t count, len = 0, pending = wst__ws_pending(peer->ws);
    while ((count = wst__ws_take(peer->ws, slices, 3)) > 0) {
        for (size_t i = 0; i < count; i++) {
            if (slices[i].len == 0 || slices[i].len > cap - len)
                abort();
            memcpy(buf + len, slices[i].data, slices[i].len);
            len += slices[i].len;
            wst_slice_unref(slices[i]);
        }
    }
    if (len != pending || wst__ws_pending(peer->ws) != 0)
        abort();
    return len;
}

size_t ws_put_frame(uint8_t *to, uint8_t first, bool masked, const void *payload, size_t len) {
    static const uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d};
    size_t n = 0, bytes = len < 126 ? 0 : len < 65536 ? 2 : 8;
    to[n++] = first;
    to[n++] = (uint8_t)((masked ? 0x80 : 0) + (bytes == 0 ? (int)len : bytes == 2 ? 126 : 127));
    for (size_t i = 0; i < bytes; i++)
        to[n++] = (uint8_t)((uint64_t)len >> 8 * (bytes - 1 - i));
    if (masked) {
        memcpy(to + n, key, 4);
        n += 4;
    }
    for (size_t i = 0; i < len; i++)
        to[n++] = ((const uint8_t *)payload)[i] ^ (masked ? key[i % 4] : 0);
    return n;
}

void ws_each_split(bool server, size_t max_message, const uint8_t *bytes, size_t len,
                   void (*check)(ws_peer_t *peer, int status, const void *arg), const void *arg) {
    for (size_t split = 0; split <= len; split++) {
        ws_peer_t peer;
        if (ws_peer_init(&peer, server, max_message, &wst__default_allocator) != 0)
            abort();
        int status = 0;
        if (split == 0) {
            for (size_t i = 0; i < len; i++)
                status = ws_peer_recv(&peer, bytes + i, 1);
        } else {
            status = ws_peer_recv(&peer, bytes, split);
            if (split < len)
                status = ws_peer_recv(&peer, bytes + split, len - split);
        }
        check(&peer, status, arg);
        ws_peer_free(&peer);
    }
}
