/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_JSON_SCAN_H
#define WST_LIB_JSON_SCAN_H
/*
 * A strict check of a JSON text (RFC 8259) before any other reader sees it. It builds no tree.
 * Every JSON reader understands an accepted text alike:
 *  - one object, with nothing but white space around it; nested at most WST__JSON_DEPTH deep; at
 *    most WST__JSON_MEMBERS members in an object, no two of the same name, however escaped;
 *  - UTF-8 throughout; in strings no raw control character, no U+0000, no lone surrogate;
 *  - exact numbers: the protocol has no use for a number that is not written as an integer (1.0,
 *    1e3, -0) or not below 2^53 in magnitude. It is not an error, since an unknown member may have
 *    one, but `{}` replaces it, so that no reader can take it for a number.
 */
#include <wstunnel/common.h>

enum { WST__JSON_DEPTH = 8, WST__JSON_MEMBERS = 32 };

/* A member of the outermost object to look for. */
typedef struct wst__json_member {
    const char *name; /* ASCII */
    char *value;      /* as written, not terminated; NULL: absent */
    size_t len;
} wst__json_member_t;

/* Scans, and locates the `wanted` members. NULL, or the fault as a static text. */
const char *wst__json_scan(char *text, size_t len, wst__json_member_t *wanted, size_t count);

/* Reads the value of a member found; false unless it is a number from 0 to 2^53 - 1. */
bool wst__json_member_uint(const wst__json_member_t *member, uint64_t *value);

/*
 * Unescapes the value of a member found in place; false unless it is a string. Call it only once.
 * `value` points into the scanned text and may be changed there.
 */
bool wst__json_member_string(wst__json_member_t *member, char **value, size_t *len);

#endif
