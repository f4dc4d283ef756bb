/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_NONCES_H
#define WST_LIB_NONCES_H
/*
 * The nonces of a server that offers Digest (RFC 7616 sections 3.3 and 5.12). One that was issued
 * says so by itself, so challenges cost no memory; what has been used is remembered by its counts,
 * in a table of fixed size, so that no request can be replayed.
 */
#include <wstunnel/common.h>

enum {
    WST__NONCE_TEXT = 65, /* its characters and the terminator */
    WST__NONCE_LIFETIME_MS = 300000,
    WST__NONCES_MAX = 2048, /* in use at a time; the oldest ones are stale beyond */
    WST__NONCE_WINDOW = 128 /* how far counts may come out of order */
};

typedef struct wst__nonces wst__nonces_t;

/* `key`: unpredictable. 0 or WST_ENOMEM. */
int wst__nonces_new(wst__nonces_t **out, const wst_allocator_t *allocator, const uint8_t key[32]);
void wst__nonces_free(wst__nonces_t *nonces);

/* A new one. 0 or a negative error. */
int wst__nonces_issue(wst__nonces_t *nonces, char out[WST__NONCE_TEXT], uint64_t now_ms);

/*
 * Somebody who has proved to know the password uses it with that count. 1: this is the first time;
 * 0: stale: it is not ours, too old, or forgotten, or the count was used or is too far behind;
 * a negative error.
 */
int wst__nonces_use(wst__nonces_t *nonces, wst_str_t nonce, uint32_t count, uint64_t now_ms);

#endif
