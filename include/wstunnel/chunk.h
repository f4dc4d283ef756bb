/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_CHUNK_H
#define WSTUNNEL_CHUNK_H
/**
 * @file chunk.h
 * Data moves in reference-counted chunks. The counters are plain integers: a chunk belongs to one
 * context and one thread. Bytes that have been handed on must not change any more.
 *
 * A slice is a part of a chunk. It is passed by value and has no count of its own: to keep a
 * slice, hold a reference of its chunk. A slice without a chunk (chunk == NULL) refers to memory
 * that lives for ever, such as a string literal.
 *
 * The rule of ownership: a callback that delivers a slice *lends* it for that call
 * (`wst_slice_ref` keeps it); a function that writes slices *takes* exactly one reference of each,
 * on error too.
 */
#include <wstunnel/common.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A context, see ctx.h. */
typedef struct wst_ctx wst_ctx_t;

/** A chunk of memory; counts references. */
typedef struct wst_chunk wst_chunk_t;

/** Part of a chunk: `len` bytes at `data`. */
typedef struct wst_slice {
    wst_chunk_t *chunk;  /**< keeps `data` alive; NULL: `data` lives for ever */
    const uint8_t *data; /**< the first byte */
    size_t len;          /**< number of bytes */
} wst_slice_t;

/**
 * A new chunk with one reference, which the caller owns, and a capacity of at least `capacity`
 * bytes. Returns NULL if there is no memory.
 */
WST_EXTERN wst_chunk_t *wst_chunk_new(wst_ctx_t *ctx, size_t capacity);

/** Adds a reference and returns the chunk. NULL is allowed and returned. */
WST_EXTERN wst_chunk_t *wst_chunk_ref(wst_chunk_t *chunk);

/** Drops a reference; the last one frees the chunk. NULL is allowed. */
WST_EXTERN void wst_chunk_unref(wst_chunk_t *chunk);

/** The chunk's memory, writable until a slice of it has been handed on. */
WST_EXTERN uint8_t *wst_chunk_data(wst_chunk_t *chunk);

/** Bytes at wst_chunk_data. */
WST_EXTERN size_t wst_chunk_capacity(const wst_chunk_t *chunk);

/** A slice over bytes that live for ever (a literal). */
WST_EXTERN wst_slice_t wst_slice_static(const void *data, size_t len);

/**
 * Copies `len` bytes into a new chunk and makes a slice of it. The caller owns the chunk's only
 * reference.
 * @return 0, or WST_ENOMEM.
 */
WST_EXTERN WST_MUST_CHECK int wst_slice_copy(wst_slice_t *out, wst_ctx_t *ctx, const void *data,
                                             size_t len);

/** Keeps the slice: adds a reference of its chunk and returns the slice. */
WST_EXTERN wst_slice_t wst_slice_ref(wst_slice_t slice);

/** Releases a kept slice: drops a reference of its chunk. */
WST_EXTERN void wst_slice_unref(wst_slice_t slice);

#ifdef __cplusplus
}
#endif
#endif
