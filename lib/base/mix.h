/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_MIX_H
#define WST_LIB_MIX_H
/*
 * Hashes for tables, not for secrets. With a random seed they are unpredictable, so no peer can
 * choose names that collide.
 */
#include <stddef.h>
#include <stdint.h>

/* Scrambles a number, one to one. */
static inline uint64_t wst__mix(uint64_t value) {
    value ^= value >> 32;
    value *= UINT64_C(0xd6e8feb86659fd93);
    value ^= value >> 32;
    value *= UINT64_C(0xd6e8feb86659fd93);
    return value ^ value >> 32;
}

/* The hash of some bytes. For several texts, the hash of one is the seed of the next. */
static inline uint64_t wst__mix_bytes(uint64_t seed, const void *data, size_t len) {
    const unsigned char *bytes = data;
    for (size_t i = 0; i < len; i++)
        seed = wst__mix(seed ^ bytes[i]);
    return seed;
}

#endif
