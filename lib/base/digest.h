/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_DIGEST_H
#define WST_LIB_DIGEST_H
/* The cryptographic and coding primitives in use. Hashes are the TLS engine's library's. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wstunnel/common.h>

/* Length of `len` bytes in base64, without terminator. */
#define WST__BASE64_LEN(len) (((len) + 2) / 3 * 4)

/* SHA-1 (RFC 6455 section 4.2.2 requires it). 0 or a negative error. */
int wst__sha1(uint8_t digest[20], const void *data, size_t len);

/* The hashes of the Digest scheme. */
typedef enum wst__hash { WST__MD5, WST__SHA256 } wst__hash_t;

/* The longest hash, in bytes and as terminated hex digits. */
enum { WST__HASH_MAX = 32, WST__HASH_TEXT = 2 * WST__HASH_MAX + 1 };
size_t wst__hash_len(wst__hash_t hash);

/* Hashes the concatenated parts. 0 or a negative error. */
int wst__hash(wst__hash_t hash, uint8_t *out, const wst_str_t *parts, size_t count);

/* HMAC-SHA-256 (RFC 2104). 0 or a negative error. */
int wst__hmac(uint8_t out[32], const uint8_t *key, size_t key_len, const void *data, size_t len);

/* Writes 2 * len hex digits in lower case, terminated. */
void wst__hex_encode(char *out, const uint8_t *data, size_t len);

/* Reads exactly 2 * len hex digits of either case. Returns whether the text was valid. */
bool wst__hex_decode(uint8_t *out, size_t len, wst_str_t text);

/* Encodes; `out` holds WST__BASE64_LEN(len) + 1 bytes and is terminated. Returns the length. */
size_t wst__base64_encode(char *out, const void *data, size_t len);

/*
 * Decodes strictly (RFC 4648 section 4: padding required, no other character, unused bits zero).
 * `out` holds text_len / 4 * 3 bytes and may be `text` itself. Returns whether the text was valid.
 */
bool wst__base64_decode(uint8_t *out, size_t *out_len, const char *text, size_t text_len);

/* Whether two byte strings are equal, in a time that depends on their lengths only. */
bool wst__equal_constant_time(const void *a, size_t a_len, const void *b, size_t b_len);

#endif
