/* SPDX-License-Identifier: MIT */
#include "mem.h"

#include <stdlib.h>
#include <string.h>

static void *default_malloc(size_t size, void *user_data) {
    (void)user_data;
    return malloc(size);
}

static void *default_realloc(void *ptr, size_t size, void *user_data) {
    (void)user_data;
    return realloc(ptr, size);
}

static void default_free(void *ptr, void *user_data) {
    (void)user_data;
    free(ptr);
}

const wst_allocator_t wst__default_allocator = {default_malloc, default_realloc, default_free,
                                                NULL};

void *wst__alloc(const wst_allocator_t *a, size_t size) {
    return a->malloc(size, a->user_data);
}

void *wst__zalloc(const wst_allocator_t *a, size_t size) {
    void *ptr = a->malloc(size, a->user_data);
    if (ptr != NULL)
        memset(ptr, 0, size);
    return ptr;
}

void *wst__realloc_array(const wst_allocator_t *a, void *ptr, size_t count, size_t size) {
    if (size != 0 && count > SIZE_MAX / size)
        return NULL;
    return a->realloc(ptr, count * size, a->user_data);
}

void wst__free(const wst_allocator_t *a, void *ptr) {
    if (ptr != NULL)
        a->free(ptr, a->user_data);
}

void wst__wipe(void *data, size_t len) {
    static void *(*const volatile set)(void *, int, size_t) = memset; /* the compiler cannot tell */
    if (len > 0)
        set(data, 0, len);
}

void wst__free_secret(const wst_allocator_t *a, char *text) {
    if (text != NULL)
        wst__wipe(text, strlen(text));
    wst__free(a, text);
}

char *wst__strndup(const wst_allocator_t *a, const char *text, size_t len) {
    char *copy = wst__alloc(a, len + 1);
    if (copy == NULL)
        return NULL;
    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

char *wst__strdup(const wst_allocator_t *a, const char *text) {
    return text != NULL ? wst__strndup(a, text, strlen(text)) : NULL;
}
