/* SPDX-License-Identifier: MIT */
#ifndef TEST_WS_PEER_H
#define TEST_WS_PEER_H
/* A WebSocket that notes down what it gets, for the tests and the fuzzer. */
#include "ws.h"

typedef struct ws_peer ws_peer_t;

struct ws_peer {
    wst__pool_t pool;
    wst__ws_t *ws;
    uint64_t random_state;
    int random_status; /* what the random source returns */
    bool zero_keys;    /* masks that change nothing, so that output can be read */

    /* Messages: 'T' or 'B', the bytes of all pieces, their number in 8 bytes, '.'. */
    uint8_t *log;
    size_t log_len, log_cap;
    size_t complete; /* log_len after the last whole message */
    size_t message_len, pieces;
    bool in_message;

    int closes, code; /* calls of on_close and the code in the last one */
    char reason[126];

    /* Called in on_data, whose result it gives; or NULL. */
    int (*hook)(ws_peer_t *peer, bool text, wst_slice_t piece, bool fin);
    void *hook_data;
};

/* 0 or an error. */
int ws_peer_init(ws_peer_t *peer, bool server, size_t max_message, const wst_allocator_t *a);
void ws_peer_free(ws_peer_t *peer);

/* wst__ws_recv of a copy that ends where its memory ends. */
int ws_peer_recv(ws_peer_t *peer, const void *bytes, size_t len);

/* wst__ws_send of a copy. */
int ws_peer_send(ws_peer_t *peer, bool text, const void *head, size_t head_len, const void *payload,
                 size_t len);

/* Takes all output, which must fit. Returns its length. */
size_t ws_peer_output(ws_peer_t *peer, uint8_t *buf, size_t cap);

/* Appends to the log as if a message had been received. */
void ws_peer_note(ws_peer_t *peer, bool text, const void *piece, size_t len, bool fin);

/*
 * Writes a frame whose first byte is `first`, with the key of RFC 6455 section 5.7 if masked, and
 * returns its length. Knows nothing of the library's way to do so.
 */
size_t ws_put_frame(uint8_t *to, uint8_t first, bool masked, const void *payload, size_t len);

/*
 * Gives the bytes to new peers whole, one by one, and split in two at every point, and calls
 * `check` with each and what the last wst__ws_recv returned.
 */
void ws_each_split(bool server, size_t max_message, const uint8_t *bytes, size_t len,
                   void (*check)(ws_peer_t *peer, int status, const void *arg), const void *arg);

#endif
