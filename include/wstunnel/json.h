/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_JSON_H
#define WSTUNNEL_JSON_H
/**
 * @file json.h
 * Helps a program to read its configuration and to write its log in JSON (RFC 8259): checks a text
 * strictly before a JSON parser of your choice reads it, and quotes strings so that they are valid
 * whatever their bytes. No memory is allocated.
 */
#include <wstunnel/common.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    WST_JSON_DEPTH = 8,   /**< how deep objects and arrays may be nested (wst_json_check) */
    WST_JSON_MEMBERS = 64 /**< most members of an object (wst_json_check) */
};

/** The first fault in a text. */
typedef struct wst_json_error {
    size_t line;     /**< from 1 */
    size_t column;   /**< from 1, in characters */
    const char *why; /**< for people; static */
} wst_json_error_t;

/**
 * Checks that a text is one JSON object that every parser understands alike: nothing but white
 * space around it; UTF-8 throughout, no byte order mark; no duplicate member names in an object,
 * even if they are escaped differently; in strings no raw control character, no U+0000, no lone
 * surrogate; within the bounds above. Numbers are well-formed but may have any size: check their
 * range when you read them.
 * @param error  NULL, or filled in if WST_EINVAL is returned
 * @return 0 or WST_EINVAL.
 */
WST_EXTERN WST_MUST_CHECK int wst_json_check(const char *text, size_t len, wst_json_error_t *error);

/**
 * Writes a text as a JSON string, quotes included, and terminates it. Each byte that is not UTF-8
 * becomes U+FFFD, so the result is always valid. Control characters are escaped, also those that
 * change the direction of text, so it may be shown on a terminal. A text that does not fit is cut
 * between two characters; 6 * len + 3 bytes suffice for any text.
 * @param size  bytes of `out`, at least 3
 * @return the number of bytes written, without the terminator.
 */
WST_EXTERN size_t wst_json_quote(char *out, size_t size, const char *text, size_t len);

#ifdef __cplusplus
}
#endif
#endif
