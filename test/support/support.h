/* SPDX-License-Identifier: MIT */
#ifndef TEST_SUPPORT_H
#define TEST_SUPPORT_H
/* What the unit tests share: cmocka, an allocator that fails on demand, guarded memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <wstunnel/common.h>

/* An allocator that counts what is live and fails the n-th allocation from test_alloc_fail on. */
extern const wst_allocator_t test_allocator;

/* Fails the n-th allocation from now (1: the next one), once; 0: none. */
void test_alloc_fail(size_t n);

/* Whether the failure asked for has happened. */
bool test_alloc_failed(void);

/* Blocks allocated and not freed. */
size_t test_alloc_live(void);

/* The bytes that they take, with the C library's rounding and a word of its own each. */
size_t test_alloc_bytes(void);

/* From now on blocks are counted that hold this text when they are freed; NULL: none are. */
void test_alloc_watch(const char *secret);
size_t test_alloc_spilled(void);

/*
 * Runs `scenario` again and again, failing its 1st, 2nd, ... allocation, until it gets by without
 * meeting the failure. After each run nothing may be live. Returns how many runs met a failure.
 */
size_t test_alloc_each(void (*scenario)(void *arg), void *arg);

/* A copy of `len` bytes that ends where an inaccessible page begins, so reading one byte further
 * crashes. */
uint8_t *test_guarded(const void *data, size_t len);
void test_guarded_free(uint8_t *copy, size_t len);

/* A small deterministic generator (xorshift64*) for reproducible random tests. */
uint64_t test_random(uint64_t *state);

/* Seeds to run: from the environment variable TEST_SEEDS ("first" or "first:count"), else the
 * given default. A failing test prints its seed. */
void test_seeds(uint64_t *first, uint64_t *count, uint64_t default_count);

#endif
