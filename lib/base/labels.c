/* SPDX-License-Identifier: MIT */
#include "labels.h"

#include "mem.h"

#include <string.h>
#include <wstunnel/error.h>

static bool has(const char *const *labels, size_t count, const char *label) {
    size_t i = 0;
    while (i < count && strcmp(labels[i], label) != 0)
        i++;
    return i < count;
}

/* Selects the labels of a copy. Returns their number, and the size of their texts. */
static size_t pick(const char *picked[WST__LABELS_MAX], size_t *size, const char *const *labels) {
    size_t count = 0;
    *size = 0;
    for (; labels != NULL && *labels != NULL && count < WST__LABELS_MAX; labels++) {
        size_t len = strlen(*labels);
        if (len > WST__LABEL_MAX || has(picked, count, *labels))
            continue;
        picked[count++] = *labels;
        *size += len + 1;
    }
    return count;
}

int wst__labels_copy(const wst_allocator_t *allocator, const char ***out,
                     const char *const *labels) {
    const char *picked[WST__LABELS_MAX];
    size_t size, count = pick(picked, &size, labels);
    *out = NULL;
    if (count == 0)
        return 0;
    const char **copy = wst__alloc(allocator, (count + 1) * sizeof(*copy) + size);
    if (copy == NULL)
        return WST_ENOMEM;
    char *text = (char *)(copy + count + 1);
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(picked[i]) + 1;
        copy[i] = memcpy(text, picked[i], len);
        text += len;
    }
    copy[count] = NULL;
    *out = copy;
    return 0;
}

size_t wst__labels_count(const char *const *labels) {
    size_t count = 0;
    while (labels != NULL && labels[count] != NULL)
        count++;
    return count;
}

bool wst__labels_have(const char *const *labels, const char *const *wanted) {
    if (wanted == NULL)
        return true;
    size_t count = wst__labels_count(labels);
    while (*wanted != NULL && has(labels, count, *wanted))
        wanted++;
    return *wanted == NULL;
}
