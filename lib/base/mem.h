/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_MEM_H
#define WST_LIB_MEM_H
/* The only code that allocates. Every object uses the allocator of its context. */
#include <wstunnel/common.h>

/* malloc, realloc and free of the C library. */
extern const wst_allocator_t wst__default_allocator;

/* Uninitialised memory, or NULL. */
void *wst__alloc(const wst_allocator_t *a, size_t size);

/* Zeroed memory, or NULL. */
void *wst__zalloc(const wst_allocator_t *a, size_t size);

/* As realloc(ptr, count * size); NULL on overflow too, `ptr` stays valid then. */
void *wst__realloc_array(const wst_allocator_t *a, void *ptr, size_t count, size_t size);

/* NULL is allowed. */
void wst__free(const wst_allocator_t *a, void *ptr);

/* Zeroes a secret; the compiler cannot optimise that away. */
void wst__wipe(void *data, size_t len);

/* Wipes the text, then frees it. NULL is allowed. */
void wst__free_secret(const wst_allocator_t *a, char *text);

/* A terminated copy of `len` bytes, or NULL. */
char *wst__strndup(const wst_allocator_t *a, const char *text, size_t len);

/* A terminated copy; NULL without memory, and for NULL. */
char *wst__strdup(const wst_allocator_t *a, const char *text);

#endif
