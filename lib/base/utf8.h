/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_UTF8_H
#define WST_LIB_UTF8_H
/* UTF-8 (RFC 3629), a character at a time. */
#include <stddef.h>
#include <stdint.h>

/*
 * Reads the first character of `len` > 0 bytes. Returns its length, or 0 if it is not well-formed
 * (overlong, a surrogate, above U+10FFFF, cut off).
 */
size_t wst__utf8_get(uint32_t *code, const char *at, size_t len);

/* Writes a character, 1 to 4 bytes. Returns how many. */
size_t wst__utf8_put(char *out, uint32_t code);

/* Copies terminated text, cut to `size` bytes with its terminator, but not within a character. */
void wst__utf8_cut(char *out, size_t size, const char *text);

#endif
