/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_LABELS_H
#define WST_LIB_LABELS_H
/* Labels of an agent: a NULL-terminated list of distinct texts. NULL is an empty list. */
#include <wstunnel/common.h>

enum { WST__LABELS_MAX = 32, WST__LABEL_MAX = 127 };

/*
 * A copy in one block, to be freed by wst__free(); NULL for an empty list. Drops labels longer than
 * WST__LABEL_MAX, repeated ones, and those after the first WST__LABELS_MAX kept. 0 or WST_ENOMEM.
 */
int wst__labels_copy(const wst_allocator_t *allocator, const char ***out,
                     const char *const *labels);

size_t wst__labels_count(const char *const *labels);

/* Whether `labels` contains all of `wanted`. */
bool wst__labels_have(const char *const *labels, const char *const *wanted);

#endif
