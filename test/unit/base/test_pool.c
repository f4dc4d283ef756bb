/* SPDX-License-Identifier: MIT */
/* The chunk pool: which chunks it keeps, and what a sanitizer sees of those. */
#include "support.h"

#include "pool.h"

#if WST__POOL_ASAN
#include <sanitizer/asan_interface.h>
#endif

/* A pool that keeps chunks even under a sanitizer. */
static void open_keeping(wst__pool_t *pool) {
    wst__pool_init(pool, &test_allocator);
    pool->keep = WST__POOL_KEEP;
}

static void close_pool(wst__pool_t *pool) {
    wst__pool_free(pool);
    assert_int_equal(test_alloc_live(), 0);
}

static void test_keeps_what_is_freed(void **state) {
    (void)state;
    wst__pool_t pool;
    open_keeping(&pool);
    wst_chunk_t *first = wst__pool_chunk(&pool, WST__CHUNK_MIN);
    wst_chunk_unref(first);
    assert_int_equal(pool.live, 0);
    assert_int_equal(test_alloc_live(), 1);
    wst_chunk_t *second = wst__pool_chunk(&pool, WST__CHUNK_MIN - 1);
    assert_ptr_equal(first, second);
    assert_int_equal(wst_chunk_capacity(second), WST__CHUNK_MIN);
    memset(wst_chunk_data(second), 'x', WST__CHUNK_MIN); /* all of it is its owner's again */
    wst_chunk_unref(second);
    close_pool(&pool);
}

static void test_keeps_no_more_than_its_bound(void **state) {
    (void)state;
    enum { COUNT = WST__POOL_KEEP / WST__CHUNK_MAX + 1 };
    wst__pool_t pool;
    wst_chunk_t *chunks[COUNT];
    open_keeping(&pool);
    for (int i = 0; i < COUNT; i++)
        chunks[i] = wst__pool_chunk(&pool, WST__CHUNK_MAX);
    for (int i = 0; i < COUNT; i++)
        wst_chunk_unref(chunks[i]);
    assert_int_equal(test_alloc_live(), COUNT - 1);
    close_pool(&pool);
}

static void test_other_sizes_are_not_kept(void **state) {
    (void)state;
    wst__pool_t pool;
    open_keeping(&pool);
    wst_chunk_unref(wst__pool_chunk(&pool, WST__CHUNK_MIN / 2));
    wst_chunk_unref(wst__pool_chunk(&pool, WST__CHUNK_MAX + 1));
    assert_int_equal(test_alloc_live(), 0);
    close_pool(&pool);
}

/* A sanitizer knows who allocated and freed a block only if the block goes back to the allocator.
 */
static void test_a_sanitizer_sees_every_free(void **state) {
    (void)state;
    wst__pool_t pool;
    wst__pool_init(&pool, &test_allocator);
    wst_chunk_unref(wst__pool_chunk(&pool, WST__CHUNK_MIN));
    assert_int_equal(test_alloc_live(), WST__POOL_SANITIZED ? 0 : 1);
    close_pool(&pool);
}

#if WST__POOL_ASAN
static void test_a_kept_chunk_is_poisoned(void **state) {
    (void)state;
    wst__pool_t pool;
    open_keeping(&pool);
    wst_chunk_t *chunk = wst__pool_chunk(&pool, WST__CHUNK_MIN);
    uint8_t *data = wst_chunk_data(chunk);
    assert_null(__asan_region_is_poisoned(data, WST__CHUNK_MIN));
    wst_chunk_unref(chunk);
    assert_int_equal(__asan_address_is_poisoned(data), 1);
    assert_int_equal(__asan_address_is_poisoned(data + WST__CHUNK_MIN - 1), 1);
    assert_ptr_equal(wst__pool_chunk(&pool, WST__CHUNK_MIN), chunk);
    assert_null(__asan_region_is_poisoned(data, WST__CHUNK_MIN));
    wst_chunk_unref(chunk);
    close_pool(&pool);
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeps_what_is_freed),
        cmocka_unit_test(test_keeps_no_more_than_its_bound),
        cmocka_unit_test(test_other_sizes_are_not_kept),
        cmocka_unit_test(test_a_sanitizer_sees_every_free),
#if WST__POOL_ASAN
        cmocka_unit_test(test_a_kept_chunk_is_poisoned),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
