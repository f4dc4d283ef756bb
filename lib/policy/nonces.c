/* SPDX-License-Identifier: MIT */
/*
 * Nonces (nonces.h). A nonce is, in hex, its time of issue, a serial number and a MAC over both.
 * The table holds the nonces in use. When it is full, it drops the nonce with the lowest serial;
 * from then on all nonces up to that serial that are not in the table are stale, since they may
 * have been used.
 *
 * Clients that use a nonce on several connections do not send its counts in order: as with the
 * windows of IPsec (RFC 4303 section 3.4.3), a bitmap
 * tells which counts below the highest one were used.
 */
#include "nonces.h"

#include "digest.h"
#include "mem.h"

#include <string.h>
#include <wstunnel/error.h>

enum { PROOF_LEN = 16, NONCE_LEN = 8 + 8 + PROOF_LEN, WORDS = WST__NONCE_WINDOW / 64 };

typedef struct used {
    uint64_t serial;
    uint32_t highest;
    uint64_t seen[WORDS]; /* bit n: highest - n */
} used_t;

struct wst__nonces {
    const wst_allocator_t *allocator;
    uint8_t key[32];
    uint64_t serial;    /* of the last one issued */
    uint64_t forgotten; /* serials up to this one are stale unless in the table */
    size_t count;
    used_t used[WST__NONCES_MAX];
};

int wst__nonces_new(wst__nonces_t **out, const wst_allocator_t *allocator, const uint8_t key[32]) {
    wst__nonces_t *n = wst__zalloc(allocator, sizeof(*n));
    if (n == NULL)
        return WST_ENOMEM;
    n->allocator = allocator;
    memcpy(n->key, key, sizeof(n->key));
    *out = n;
    return 0;
}

void wst__nonces_free(wst__nonces_t *n) {
    if (n == NULL)
        return;
    wst__wipe(n->key, sizeof(n->key));
    wst__free(n->allocator, n);
}

/* Nonces ------------------------------------------------------------------------------------- */

static void put64(uint8_t *out, uint64_t value) {
    for (int i = 7; i >= 0; i--, value >>= 8)
        out[i] = (uint8_t)value;
}

static uint64_t get64(const uint8_t *in) {
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = value << 8 | in[i];
    return value;
}

static int prove(const wst__nonces_t *n, uint8_t nonce[NONCE_LEN]) {
    uint8_t proof[32];
    int status = wst__hmac(proof, n->key, sizeof(n->key), nonce, 16);
    if (status == 0)
        memcpy(nonce + 16, proof, PROOF_LEN);
    return status;
}

int wst__nonces_issue(wst__nonces_t *n, char out[WST__NONCE_TEXT], uint64_t now_ms) {
    uint8_t nonce[NONCE_LEN];
    put64(nonce, now_ms);
    put64(nonce + 8, n->serial + 1);
    int status = prove(n, nonce);
    if (status == 0) {
        n->serial++;
        wst__hex_encode(out, nonce, sizeof(nonce));
    }
    return status;
}

/* Counts ------------------------------------------------------------------------------------- */

static used_t *find_nonce(wst__nonces_t *n, uint64_t serial) {
    for (size_t i = 0; i < n->count; i++) {
        if (n->used[i].serial == serial)
            return &n->used[i];
    }
    return NULL;
}

/* Room for a nonce; NULL if it is older than the one that would be dropped for it. */
static used_t *add_nonce(wst__nonces_t *n, uint64_t serial) {
    if (serial <= n->forgotten)
        return NULL;
    used_t *place = &n->used[0];
    for (size_t i = 1; i < n->count; i++) {
        if (n->used[i].serial < place->serial)
            place = &n->used[i];
    }
    if (n->count < WST__NONCES_MAX) {
        place = &n->used[n->count++];
    } else {
        n->forgotten = place->serial < serial ? place->serial : serial;
        if (serial < place->serial)
            return NULL;
    }
    *place = (used_t){.serial = serial};
    return place;
}

static void move_window(used_t *u, uint32_t by) {
    for (; by >= 64; by -= 64) {
        memmove(&u->seen[1], &u->seen[0], sizeof(u->seen) - sizeof(u->seen[0]));
        u->seen[0] = 0;
        if (by > WST__NONCE_WINDOW)
            by = WST__NONCE_WINDOW; /* that clears the window */
    }
    for (size_t i = WORDS; by > 0 && i-- > 0;)
        u->seen[i] = u->seen[i] << by | (i > 0 ? u->seen[i - 1] >> (64 - by) : 0);
}

/* Marks the count as used; false if it was used or is too far behind. */
static bool use_count(used_t *u, uint32_t count) {
    if (count > u->highest) {
        move_window(u, count - u->highest);
        u->highest = count;
    }
    uint32_t behind = u->highest - count;
    if (behind >= WST__NONCE_WINDOW || (u->seen[behind / 64] >> behind % 64 & 1) != 0)
        return false;
    u->seen[behind / 64] |= UINT64_C(1) << behind % 64;
    return true;
}

int wst__nonces_use(wst__nonces_t *n, wst_str_t nonce, uint32_t count, uint64_t now_ms) {
    uint8_t given[NONCE_LEN], ours[NONCE_LEN];
    if (!wst__hex_decode(given, sizeof(given), nonce))
        return 0;
    memcpy(ours, given, sizeof(ours));
    int status = prove(n, ours);
    if (status != 0)
        return status;
    uint64_t issued_ms = get64(given), serial = get64(given + 8);
    if (!wst__equal_constant_time(given, sizeof(given), ours, sizeof(ours)) || issued_ms > now_ms ||
        now_ms - issued_ms >= WST__NONCE_LIFETIME_MS || count == 0)
        return 0;
    used_t *u = find_nonce(n, serial);
    if (u == NULL)
        u = add_nonce(n, serial);
    return u != NULL && use_count(u, count) ? 1 : 0;
}
