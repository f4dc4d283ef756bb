/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_POOL_H
#define WST_LIB_POOL_H
/*
 * The chunk pool, which allocates wst_chunk_t. Capacities are rounded up to a size class whose free
 * chunks are kept for reuse (at most WST__POOL_KEEP bytes a class); chunks smaller than the
 * smallest class or larger than the largest come from the allocator directly.
 */
#include <wstunnel/chunk.h>

enum {
    WST__CHUNK_MIN = 4096, /* smallest class; each further one is twice as large */
    WST__CHUNK_MAX = 262144,
    WST__POOL_CLASSES = 7,
    WST__POOL_KEEP = 512 * 1024
};

typedef struct wst__pool {
    const wst_allocator_t *allocator;
    wst_chunk_t *free_chunks[WST__POOL_CLASSES];
    size_t free_count[WST__POOL_CLASSES];
    size_t live; /* chunks not yet returned: must be 0 at the end */
} wst__pool_t;

void wst__pool_init(wst__pool_t *pool, const wst_allocator_t *allocator);

/* Frees the chunks kept. All chunks must have been returned. */
void wst__pool_free(wst__pool_t *pool);

/* As wst_chunk_new. */
wst_chunk_t *wst__pool_chunk(wst__pool_t *pool, size_t capacity);

/* As wst_slice_copy. */
int wst__pool_copy(wst__pool_t *pool, wst_slice_t *out, const void *data, size_t len);

#endif
