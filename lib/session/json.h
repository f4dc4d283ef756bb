/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_JSON_H
#define WST_LIB_JSON_H
/*
 * JSON texts: reads small ones as a tree, by cJSON, and writes into a buffer. Read only texts that
 * wst__json_scan has accepted: cJSON alone ends strings at \u0000, takes the first of duplicate
 * members, ignores text behind the object, and rounds.
 *
 * cJSON allocates through its own hooks, which the program may set.
 */
#include <wstunnel/common.h>

typedef struct cJSON wst__json_t;

/* Reads a scanned text. 0 or WST_ENOMEM. To be freed by wst__json_free (NULL is allowed). */
int wst__json_parse(wst__json_t **out, const char *text, size_t len);
void wst__json_free(wst__json_t *root);

/* A member of an object; NULL if it is absent or `null`, or if `object` is not an object. */
const wst__json_t *wst__json_get(const wst__json_t *object, const char *name);

/* Whether a value (NULL: no) is of a kind, and its content. Strings live as long as the tree. */
bool wst__json_integer(const wst__json_t *value, int64_t min, int64_t max, int64_t *out);
bool wst__json_string(const wst__json_t *value, wst_str_t *out);
bool wst__json_boolean(const wst__json_t *value, bool *out);
bool wst__json_is_object(const wst__json_t *value);
bool wst__json_is_array_of_strings(const wst__json_t *value);

/* Whether that string is in an array of strings. */
bool wst__json_array_has(const wst__json_t *array, const char *text);

/* Writes into a buffer; text that does not fit is not written and sets `overflow`. */
typedef struct wst__json_writer {
    char *at, *end;
    bool overflow;
} wst__json_writer_t;

/* Text as it is. */
void wst__json_put(wst__json_writer_t *w, const char *text);

void wst__json_put_uint(wst__json_writer_t *w, uint64_t value);

/* A string, quoted and escaped; `text` is UTF-8. */
void wst__json_put_string(wst__json_writer_t *w, wst_str_t text);

/* Bytes in base64, quoted. */
void wst__json_put_base64(wst__json_writer_t *w, const void *data, size_t len);

#endif
