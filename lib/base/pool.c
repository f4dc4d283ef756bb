/* SPDX-License-Identifier: MIT */
#include "pool.h"
#include "mem.h"

#include <assert.h>
#include <string.h>
#include <wstunnel/error.h>

#if WST__POOL_ASAN
#include <sanitizer/asan_interface.h>
#endif

struct wst_chunk {
    wst__pool_t *pool;
    wst_chunk_t *next_free;
    size_t refs;
    size_t capacity;
    unsigned char size_class; /* WST__POOL_CLASSES: none */
    _Alignas(16) uint8_t data[];
};

static size_t class_size(unsigned c) {
    return (size_t)WST__CHUNK_MIN << c;
}

_Static_assert(WST__CHUNK_MIN << (WST__POOL_CLASSES - 1) == WST__CHUNK_MAX, "classes");

/* Forbids the use of the data of a chunk that is kept, or allows it again. */
static void set_usable(wst_chunk_t *chunk, bool usable) {
#if WST__POOL_ASAN
    if (usable)
        ASAN_UNPOISON_MEMORY_REGION(chunk->data, chunk->capacity);
    else
        ASAN_POISON_MEMORY_REGION(chunk->data, chunk->capacity);
#else
    (void)chunk, (void)usable;
#endif
}

void wst__pool_init(wst__pool_t *pool, const wst_allocator_t *allocator) {
    memset(pool, 0, sizeof(*pool));
    pool->allocator = allocator;
    pool->keep = WST__POOL_SANITIZED ? 0 : WST__POOL_KEEP;
}

/* The chunk that was kept last; there is one. */
static wst_chunk_t *take_kept(wst__pool_t *pool, unsigned c) {
    wst_chunk_t *chunk = pool->free_chunks[c];
    pool->free_chunks[c] = chunk->next_free;
    pool->free_count[c]--;
    set_usable(chunk, true);
    return chunk;
}

void wst__pool_free(wst__pool_t *pool) {
    assert(pool->live == 0);
    for (unsigned c = 0; c < WST__POOL_CLASSES; c++)
        while (pool->free_chunks[c] != NULL)
            wst__free(pool->allocator, take_kept(pool, c));
}

/* Half of the smallest class is still rounded up; below that, pooling would waste more than it
 * saves. */
static unsigned char class_of(size_t capacity) {
    if (capacity <= WST__CHUNK_MIN / 2)
        return WST__POOL_CLASSES;
    unsigned char c = 0;
    while (c < WST__POOL_CLASSES && class_size(c) < capacity)
        c++;
    return c;
}

wst_chunk_t *wst__pool_chunk(wst__pool_t *pool, size_t capacity) {
    unsigned char c = class_of(capacity);
    wst_chunk_t *chunk;
    if (c < WST__POOL_CLASSES && pool->free_chunks[c] != NULL) {
        chunk = take_kept(pool, c);
    } else {
        if (c < WST__POOL_CLASSES)
            capacity = class_size(c);
        if (capacity > SIZE_MAX - sizeof(*chunk))
            return NULL;
        chunk = wst__alloc(pool->allocator, sizeof(*chunk) + capacity);
        if (chunk == NULL)
            return NULL;
        chunk->pool = pool;
        chunk->capacity = capacity;
        chunk->size_class = c;
    }
    chunk->next_free = NULL;
    chunk->refs = 1;
    pool->live++;
    return chunk;
}

wst_chunk_t *wst_chunk_ref(wst_chunk_t *chunk) {
    if (chunk != NULL)
        chunk->refs++;
    return chunk;
}

void wst_chunk_unref(wst_chunk_t *chunk) {
    if (chunk == NULL)
        return;
    assert(chunk->refs > 0);
    if (--chunk->refs > 0)
        return;
    wst__pool_t *pool = chunk->pool;
    unsigned char c = chunk->size_class;
    pool->live--;
    if (c < WST__POOL_CLASSES && (pool->free_count[c] + 1) * class_size(c) <= pool->keep) {
        chunk->next_free = pool->free_chunks[c];
        pool->free_chunks[c] = chunk;
        pool->free_count[c]++;
        set_usable(chunk, false);
        return;
    }
    wst__free(pool->allocator, chunk);
}

uint8_t *wst_chunk_data(wst_chunk_t *chunk) {
    return chunk->data;
}

size_t wst_chunk_capacity(const wst_chunk_t *chunk) {
    return chunk->capacity;
}

wst_slice_t wst_slice_static(const void *data, size_t len) {
    return (wst_slice_t){NULL, data, len};
}

wst_slice_t wst_slice_ref(wst_slice_t slice) {
    wst_chunk_ref(slice.chunk);
    return slice;
}

void wst_slice_unref(wst_slice_t slice) {
    wst_chunk_unref(slice.chunk);
}

int wst__pool_copy(wst__pool_t *pool, wst_slice_t *out, const void *data, size_t len) {
    wst_chunk_t *chunk = wst__pool_chunk(pool, len);
    if (chunk == NULL)
        return WST_ENOMEM;
    if (len > 0)
        memcpy(chunk->data, data, len);
    *out = (wst_slice_t){chunk, chunk->data, len};
    return 0;
}
