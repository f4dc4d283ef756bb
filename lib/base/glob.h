/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_GLOB_H
#define WST_LIB_GLOB_H
/* Patterns of names, in which `*` matches any number of characters. */
#include <wstunnel/common.h>

/* Whether the pattern matches the whole text. */
bool wst__glob(const char *pattern, wst_str_t text);

/* The same, ignoring ASCII case in the text; the pattern is in lower case. */
bool wst__glob_fold(const char *pattern, wst_str_t text);

/* Whether some text matches both patterns. */
bool wst__globs_meet(const char *a, const char *b);

#endif
