/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_POOL_H
#define WST_LIB_POOL_H
/*
 * The chunk pool, which allocates wst_chunk_t. Capacities are rounded up to a size class whose free
 * chunks are kept for reuse (at most `keep` bytes a class); chunks smaller than the smallest class
 * or larger than the largest come from the allocator directly.
 *
 * Under a sanitizer that watches memory the pool keeps no chunk, so that every free reaches the
 * allocator and every use of a freed chunk is reported with its history. The data of a chunk that
 * is kept all the same is poisoned for AddressSanitizer.
 */
#include <wstunnel/chunk.h>

/* Which sanitizers the library is compiled with. */
#ifdef __has_feature
#define WST__POOL_ASAN __has_feature(address_sanitizer)
#define WST__POOL_SANITIZED                                                                        \
    (__has_feature(address_sanitizer) || __has_feature(memory_sanitizer) ||                        \
     __has_feature(thread_sanitizer))
#else
#ifdef __SANITIZE_ADDRESS__
#define WST__POOL_ASAN 1
#else
#define WST__POOL_ASAN 0
#endif
#ifdef __SANITIZE_THREAD__
#define WST__POOL_SANITIZED 1
#else
#define WST__POOL_SANITIZED WST__POOL_ASAN
#endif
#endif

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
    size_t keep; /* most bytes of free chunks in a class: WST__POOL_KEEP, or 0 under a sanitizer */
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
