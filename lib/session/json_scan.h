/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_JSON_SCAN_H
#define WST_LIB_JSON_SCAN_H
/*
 * A strict look at a JSON text (RFC 8259) before anybody else reads it. It builds nothing. What it
 * lets through, every JSON reader takes for the same:
 *  - one object, with nothing but white space around it; nested at most WST__JSON_DEPTH deep; at
 *    most WST__JSON_MEMBERS members in an object, no two of the same name however it is written;
 *  - UTF-8 throughout; in strings no raw control character, no U+0000, no lone surrogate;
 *  - numbers that are exact: one that is not written as an integer (1.0, 1e3, -0) or not below 2^53
 *    in magnitude has no use in the protocol. It is not an error, since it may be that of an
 * unknown member, but `{}` is written over it, so that nobody can take it for a number.
 */
#include <wstunnel/common.h>

enum { WST__JSON_DEPTH = 8, WST__JSON_MEMBERS = 32 };

/* A member of the outermost object to look for. */
typedef struct wst__json_member {
    const char *name; /* ASCII */
    char *value;      /* as written, not terminated; NULL: there is none */
    size_t len;
} wst__json_member_t;

/* Scans; notes where the `wanted` members are. NULL, or what is wrong, as static text. */
const char *wst__json_scan(char *text, size_t len, wst__json_member_t *wanted, size_t count);

/* The value of a member found: a number from 0 to 2^53 - 1. Whether it is one. */
bool wst__json_member_uint(const wst__json_member_t *member, uint64_t *value);

/*
 * The value of a member found: a string, written unescaped over itself; to be asked for once.
 * Whether it is one. `value` lies in the text that was scanned, and may be changed there.
 */
bool wst__json_member_string(wst__json_member_t *member, char **value, size_t *len);

#endif
