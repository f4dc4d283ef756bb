/* SPDX-License-Identifier: MIT */
/* Times, counted by their length. */
#include "histogram.h"

#include "support.h"

static void test_bounds_grow(void **state) {
    (void)state;
    for (size_t i = 1; i < WST_HISTOGRAM_BUCKETS; i++)
        assert_true(wst_histogram_bound_us(i) > wst_histogram_bound_us(i - 1));
    assert_true(wst_histogram_bound_us(WST_HISTOGRAM_BUCKETS - 1) == UINT64_MAX);
    assert_true(wst_histogram_bound_us(1000) == UINT64_MAX);
}

/* A time that equals a bound is within the bucket of that bound. */
static void test_buckets(void **state) {
    (void)state;
    wst_histogram_t h = {.size = sizeof(h)};
    const uint64_t times[] = {0, 100, 101, 20000000, 20000001, UINT64_MAX / 2};
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
        wst__histogram_add(&h, times[i]);
    assert_int_equal(h.counts[0], 2);
    assert_int_equal(h.counts[1], 1);
    assert_int_equal(h.counts[WST_HISTOGRAM_BUCKETS - 2], 1);
    assert_int_equal(h.counts[WST_HISTOGRAM_BUCKETS - 1], 2);
    assert_int_equal(wst_histogram_count(&h), 6);
    assert_true(h.sum_us == UINT64_MAX / 2 + 40000001 + 201);
}

static void test_quantiles(void **state) {
    (void)state;
    wst_histogram_t h = {.size = sizeof(h)};
    assert_int_equal(wst_histogram_quantile_us(&h, 0.5), 0);
    for (int i = 0; i < 98; i++)
        wst__histogram_add(&h, 700); /* in 500 .. 1000 */
    wst__histogram_add(&h, 40000);   /* in 25000 .. 50000 */
    wst__histogram_add(&h, 30000000);
    assert_int_equal(wst_histogram_quantile_us(&h, 0.49), 750);
    assert_int_equal(wst_histogram_quantile_us(&h, 0.98), 1000);
    assert_int_equal(wst_histogram_quantile_us(&h, 0.99), 50000);
    assert_int_equal(wst_histogram_quantile_us(&h, 1), 20000000);
    assert_int_equal(wst_histogram_quantile_us(&h, 0), 500);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds_grow),
        cmocka_unit_test(test_buckets),
        cmocka_unit_test(test_quantiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
