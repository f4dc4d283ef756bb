/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_COMMON_H
#define WSTUNNEL_COMMON_H
/**
 * @file common.h
 * Shared by all other headers: visibility, the allocator, borrowed strings.
 *
 * These rules hold in all of libwstunnel:
 *  - **Errors.** Functions that can fail return an int: 0 (or a count) on success, a negative error
 *    code otherwise (error.h). An out-parameter is written on success only. Out of memory is an
 *    error like any other, WST_ENOMEM. (libuv itself aborts in a few places if it cannot allocate.)
 *  - **Handles** are created by `wst_x_new(&x, ctx, options)`, and end by
 *    `wst_x_close(x, close_cb)`. After that call no callback of the handle runs but close_cb; it
 *    runs exactly once, last, from the loop, and the library frees the handle when it returns.
 *    Closing is legal in every state and inside every callback. A failed handle does not close
 *    itself: its owner closes it.
 *  - **Requests** (a look-up, a dial) are lighter: started by a call, ended by their one callback
 *    or by `wst_x_cancel(x)`, after which no callback comes. Either way the library frees them.
 *  - **Callbacks.** No callback runs from inside the call that caused it. A callback returns: a C++
 *    exception that leaves it ends the program, and longjmp must not leave it.
 *  - **Threads.** Everything of one context (ctx.h) is used from the thread of its loop only.
 *  - **Ownership.** Options and callbacks are copied, the strings in them too, unless a field says
 *    otherwise. A member that is zero or NULL means its documented default. A callback that
 *    delivers bytes lends them; a call that writes bytes takes one reference of them (chunk.h).
 *  - **Struct sizes.** A struct that can grow begins with `size`. The code that makes one sets
 *    `size` to the size it was compiled with and leaves unneeded members zero:
 *
 *        const wst_dial_options_t options = {.size = sizeof(options), .host = "wiki", .port = 80};
 *
 *    A later release adds members behind the last one, so a program built with an older release
 *    keeps working: members beyond its size read as zero, and the library does not write them. A
 *    size that is not set, and members that this library does not know and that are not zero, are
 *    WST_EINVAL. The elements of an array all have the size of the first one. Structs that the
 *    library makes have their size set; a program reads the members that it knows, by the pointer
 *    it got, and never copies such a struct by value. A struct without `size` never changes.
 *    RELEASES.md says what else a release may change.
 *  - **Units.** Durations are in milliseconds (`_ms`), sizes in bytes.
 *  - **Signals.** The program ignores SIGPIPE (ctx.h).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#if defined(WST_BUILDING)
#define WST_EXTERN __declspec(dllexport)
#else
#define WST_EXTERN __declspec(dllimport)
#endif
#elif defined(__GNUC__)
/** Marks what the shared library exports. */
#define WST_EXTERN __attribute__((visibility("default")))
#else
#define WST_EXTERN
#endif

#if defined(__GNUC__)
/** Marks functions whose result must not be dropped. */
#define WST_MUST_CHECK __attribute__((warn_unused_result))
/** Marks functions that take a printf format and its arguments. */
#define WST_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define WST_MUST_CHECK
#define WST_PRINTF(fmt, args)
#endif

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Source of memory. All three functions are required and behave as malloc, realloc and free of the
 * C library; either of the first two may return NULL, which every call reports as WST_ENOMEM.
 */
typedef struct wst_allocator {
    void *(*malloc)(size_t size, void *user_data);             /**< as malloc() */
    void *(*realloc)(void *ptr, size_t size, void *user_data); /**< as realloc() */
    void (*free)(void *ptr, void *user_data);                  /**< as free() */
    void *user_data;                                           /**< passed to each function */
} wst_allocator_t;

/**
 * Runs when a handle has been closed: its last callback; the handle is freed when this returns.
 * `user_data` is that of the handle.
 */
typedef void (*wst_close_cb)(void *user_data);

/** Result of a write: the data was taken, but wait for the drain callback before writing more.
 */
#define WST_WAIT 1

/** Bytes of the networks in a handshake (wst_rules_networks, wst_message). */
#define WST_NETWORKS_MAX 3072

/** A borrowed piece of text, not terminated. */
typedef struct wst_str {
    const char *ptr; /**< the text; NULL if absent */
    size_t len;      /**< bytes */
} wst_str_t;

#ifdef __cplusplus
}
#endif
#endif
