/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_UTF8_H
#define WST_LIB_UTF8_H
/* UTF-8 (RFC 3629), a character at a time. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Reads the first character of `len` > 0 bytes. Returns its length, or 0 if it is not well-formed
 * (overlong, a surrogate, above U+10FFFF, cut off).
 */
size_t wst__utf8_get(uint32_t *code, const char *at, size_t len);

/* Writes a character, 1 to 4 bytes. Returns how many. */
size_t wst__utf8_put(char *out, uint32_t code);

/*
 * Whether a character must not reach a terminal or a line of a log as it is: control characters
 * (C0, DEL, C1), separators of lines and paragraphs, and those that change the direction of the
 * text around them (Unicode's Bidi_Control), which can make a line look like another one.
 */
bool wst__utf8_is_control(uint32_t code);

/* How many of the first bytes are printable ASCII, which is most of any line. */
size_t wst__utf8_plain(const char *text, size_t len);

/* Copies terminated text, cut to `size` bytes with its terminator, but not within a character. */
void wst__utf8_cut(char *out, size_t size, const char *text);

#endif
