/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_NONCES_H
#define WST_LIB_NONCES_H
/*
 * The nonces of a server that offers Digest (RFC 7616 sections 3.3 and 5.12). A nonce
 * proves its own origin, so challenges cost no memory. A table of fixed size holds the counts of
 * the nonces in use, so that no request can be replayed.
 */
#include <wstunnel/common.h>

enum {
    WST__NONCE_TEXT = 65, /* with the terminator */
    WST__NONCE_LIFETIME_MS = 300000,
    WST__NONCES_MAX = 2048, /* in use at a time; beyond, the oldest become stale */
    WST__NONCE_WINDOW = 128 /* how far counts may arrive out of order */
};

typedef struct wst__nonces wst__nonces_t;

/* `key`: unpredictable. 0 or WST_ENOMEM. */
int wst__nonces_new(wst__nonces_t **out, const wst_allocator_t *allocator, const uint8_t key[32]);
void wst__nonces_free(wst__nonces_t *nonces);

/* Issues a nonce. 0 or a negative error. */
int wst__nonces_issue(wst__nonces_t *nonces, char out[WST__NONCE_TEXT], uint64_t now_ms);

/*
 * Records the use of a nonce with a count; call it only once the password is verified. 1: the first
 * such use; 0: stale: the nonce is not ours, too old or forgotten, or the count was used or is too
 * far behind; or a negative error.
 */
int wst__nonces_use(wst__nonces_t *nonces, wst_str_t nonce, uint32_t count, uint64_t now_ms);

#endif
