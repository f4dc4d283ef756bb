/* SPDX-License-Identifier: MIT */
#ifndef TEST_WS_COMPARE_H
#define TEST_WS_COMPARE_H
/* Whether a stream of bytes means the same whole, in parts, and to wslay alone. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longer streams wslay does not read in one go, which it would need to be right. */
enum { WS_COMPARE_MAX = 4096 - 168 };

/*
 * NULL, or what is different, for the bytes that a server or client receives. `seed` says how they
 * are split; `max_message` is at least 125.
 */
const char *ws_compare(bool server, size_t max_message, const uint8_t *bytes, size_t len,
                       uint64_t seed);

#endif
