/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_VARINT_H
#define WST_LIB_VARINT_H
/*
 * Numbers in binary messages: unsigned LEB128, that is 7 bits a byte, the lowest first, bit 7 set
 * in all bytes but the last. Below 2^53, so at most 8 bytes; only the shortest form is valid.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WST__VARINT_MAX = 8, WST__VARINT_LAST_SHIFT = 49 };

/* A number read byte by byte; zeroed to start. */
typedef struct wst__varint {
    uint64_t value;
    unsigned shift;
} wst__varint_t;

/* Takes a byte. 1: `value` is complete; 0: more is to come; -1: too large or not shortest. */
static inline int wst__varint_take(wst__varint_t *v, uint8_t byte) {
    if (v->shift == WST__VARINT_LAST_SHIFT && byte > 0x0f)
        return -1;
    if (v->shift > 0 && byte == 0)
        return -1;
    v->value |= (uint64_t)(byte & 0x7f) << v->shift;
    v->shift += 7;
    return (byte & 0x80) == 0;
}

/* Reads a number at `*at` and moves `*at` behind it. Returns whether there was a valid one. */
static inline bool wst__varint_get(const uint8_t **at, const uint8_t *end, uint64_t *value) {
    wst__varint_t v = {0, 0};
    while (*at < end) {
        int done = wst__varint_take(&v, *(*at)++);
        if (done < 0)
            return false;
        if (done > 0) {
            *value = v.value;
            return true;
        }
    }
    return false;
}

/* Writes `value` (below 2^53), at most WST__VARINT_MAX bytes. Returns how many. */
static inline size_t wst__varint_put(uint8_t *out, uint64_t value) {
    size_t n = 0;
    for (; value > 0x7f; value >>= 7)
        out[n++] = (uint8_t)(value | 0x80);
    out[n++] = (uint8_t)value;
    return n;
}

#endif
