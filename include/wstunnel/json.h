/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_JSON_H
#define WSTUNNEL_JSON_H
/**
 * @file json.h
 * What a program around the library needs to read a configuration and to write a log in JSON (RFC
 * 8259) without surprises: a strict look at a text before a JSON reader of your choice gets it, and
 * strings that are right whatever is in them. No memory is allocated.
 */
#include <wstunnel/common.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    WST_JSON_DEPTH = 8,   /**< objects and arrays within each other that wst_json_check takes */
    WST_JSON_MEMBERS = 64 /**< members of an object that it takes */
};

/** Where a text is wrong. */
typedef struct wst_json_error {
    size_t line;     /**< from 1 */
    size_t column;   /**< from 1, in characters */
    const char *why; /**< for people; static */
} wst_json_error_t;

/**
 * Checks that a text is one JSON object which every reader takes for the same: nothing but white
 * space around it; UTF-8 throughout, no byte order mark; no two members of a name in an object,
 * however they are written; in strings no raw control character, no U+0000, no lone surrogate; the
 * bounds above. Numbers are well-formed, and may be of any size: whether what they are read into
 * holds them is to be looked at then.
 * @param error  NULL, or filled in if WST_EINVAL is returned
 * @return 0 or WST_EINVAL.
 */
WST_EXTERN WST_MUST_CHECK int wst_json_check(const char *text, size_t len, wst_json_error_t *error);

/**
 * Writes a text as a JSON string, quotes included, and terminates it. Bytes that are not UTF-8
 * become U+FFFD each, so what is written is always valid. All control characters are escaped, so it
 * may be shown on a terminal. A text that does not fit is cut between two characters; six bytes a
 * byte and three more are enough for any.
 * @param size  of `out`: at least 3
 * @return how many bytes were written, without the terminator.
 */
WST_EXTERN size_t wst_json_quote(char *out, size_t size, const char *text, size_t len);

#ifdef __cplusplus
}
#endif
#endif
