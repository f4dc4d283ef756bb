/* SPDX-License-Identifier: MIT */
/*
 * Failures by key (limiter.h). An entry is one number, the time at which all its failures will be
 * forgotten (as in the generic cell rate algorithm): each failure postpones it by one part of the
 * window. An entry whose time has come is free.
 *
 * The table consists of sets; a key may use one of them.
 */
#include "limiter.h"

#include "ip.h"
#include "mem.h"
#include "mix.h"

#include <string.h>
#include <wstunnel/error.h>

enum { SETS = 256, WAYS = 16 };

typedef struct entry {
    wst__limiter_key_t key;
    uint64_t clear_ms;
} entry_t;

struct wst__limiter {
    const wst_allocator_t *allocator;
    uint64_t part_ms, tolerance_ms; /* how far ahead the time may be for another try */
    uint64_t seed;
    entry_t entries[SETS][WAYS];
};

int wst__limiter_new(wst__limiter_t **out, const wst_allocator_t *allocator, size_t max,
                     uint64_t window_ms, uint64_t seed) {
    wst__limiter_t *l = wst__zalloc(allocator, sizeof(*l));
    if (l == NULL)
        return WST_ENOMEM;
    l->allocator = allocator;
    l->part_ms = window_ms >= max ? window_ms / max : 1;
    l->tolerance_ms = l->part_ms * (max - 1);
    l->seed = seed;
    *out = l;
    return 0;
}

void wst__limiter_free(wst__limiter_t *l) {
    if (l != NULL)
        wst__free(l->allocator, l);
}

/* Keys --------------------------------------------------------------------------------------- */

static uint64_t big_endian(const uint8_t bytes[8]) {
    uint64_t value = 0;
    for (size_t i = 0; i < 8; i++)
        value = value << 8 | bytes[i];
    return value;
}

/* The address in "ADDRESS:PORT" or "[ADDRESS]:PORT"; false without one. */
static bool read_address(wst__ip_t *out, const char *peer) {
    const char *colon = strrchr(peer, ':');
    if (colon == NULL)
        return false;
    size_t len = (size_t)(colon - peer);
    if (len >= 2 && peer[0] == '[' && peer[len - 1] == ']') {
        peer++;
        len -= 2;
    }
    return wst__ip_parse(out, peer, len);
}

static bool is_loopback(const wst__ip_t *ip) {
    static const wst__ip_t six = {{[15] = 1}};
    static const wst__ip_t four = {{[10] = 0xff, [11] = 0xff, [12] = 127}};
    return wst__ip_within(ip, &six, 128) || wst__ip_within(ip, &four, 96 + 8);
}

bool wst__limiter_key(const wst__limiter_t *l, wst__limiter_key_t *out, const char *peer,
                      const char *name) {
    wst__ip_t ip;
    if (read_address(&ip, peer) && !is_loopback(&ip)) {
        out->high = big_endian(ip.bytes);
        out->low = wst__ip_is_v4(&ip) ? big_endian(ip.bytes + 8) : 0;
        return true;
    }
    if (name == NULL)
        return false;
    *out = (wst__limiter_key_t){.high = wst__mix_bytes(l->seed, name, strlen(name)),
                                .low = 1}; /* as of no address */
    return true;
}

/* Counting ----------------------------------------------------------------------------------- */

static size_t set_of(const wst__limiter_t *l, const wst__limiter_key_t *key) {
    return (size_t)(wst__mix(wst__mix(key->high ^ l->seed) ^ key->low) % SETS);
}

static bool is_key(const entry_t *e, const wst__limiter_key_t *key) {
    return e->key.high == key->high && e->key.low == key->low;
}

void wst__limiter_fail(wst__limiter_t *l, const wst__limiter_key_t *key, uint64_t now_ms) {
    entry_t *set = l->entries[set_of(l, key)], *e = &set[0];
    for (size_t i = 0; i < WAYS && !is_key(e, key); i++) {
        if (is_key(&set[i], key) || set[i].clear_ms < e->clear_ms)
            e = &set[i];
    }
    if (!is_key(e, key))
        *e = (entry_t){.key = *key};
    uint64_t from = e->clear_ms > now_ms ? e->clear_ms : now_ms;
    /* Attempts that were under way when the limit was reached do not extend it. */
    uint64_t most = now_ms + l->tolerance_ms + l->part_ms;
    e->clear_ms = from + l->part_ms < most ? from + l->part_ms : most;
}

uint64_t wst__limiter_wait_ms(const wst__limiter_t *l, const wst__limiter_key_t *key,
                              uint64_t now_ms) {
    const entry_t *set = l->entries[set_of(l, key)];
    for (size_t i = 0; i < WAYS; i++) {
        if (is_key(&set[i], key) && set[i].clear_ms > now_ms + l->tolerance_ms)
            return set[i].clear_ms - now_ms - l->tolerance_ms;
    }
    return 0;
}
