/* SPDX-License-Identifier: MIT */
/* Failures counted by key, under a time of our own. */
#include "support.h"

#include "limiter.h"
#include "mix.h"

#include <wstunnel/error.h>

enum { MAX = 5, WINDOW = 60000, PART = WINDOW / MAX, CAPACITY = 4096 };

static wst__limiter_t *new_limiter(void) {
    wst__limiter_t *l;
    assert_int_equal(wst__limiter_new(&l, &test_allocator, MAX, WINDOW, CAPACITY), 0);
    return l;
}

static void free_limiter(wst__limiter_t *l) {
    wst__limiter_free(l);
    assert_int_equal(test_alloc_live(), 0);
}

static void test_limit(void **state) {
    (void)state;
    wst__limiter_t *l = new_limiter();
    const uint64_t key = 7, other = 8;
    uint64_t now = 1000;
    for (int i = 0; i < MAX; i++) {
        assert_int_equal(wst__limiter_wait_ms(l, key, now), 0);
        wst__limiter_fail(l, key, now, 0);
    }
    assert_int_equal(wst__limiter_wait_ms(l, key, now), PART);
    assert_int_equal(wst__limiter_wait_ms(l, other, now), 0);
    assert_int_equal(wst__limiter_wait_ms(l, key, now + PART - 1), 1);
    /* Then one for each part of the window. */
    for (int i = 1; i < 20; i++) {
        now += PART;
        assert_int_equal(wst__limiter_wait_ms(l, key, now), 0);
        wst__limiter_fail(l, key, now, 0);
        assert_int_equal(wst__limiter_wait_ms(l, key, now), PART);
    }
    /* After a whole window without a failure all is as at first. */
    now += WINDOW;
    for (int i = 0; i < MAX; i++) {
        assert_int_equal(wst__limiter_wait_ms(l, key, now), 0);
        wst__limiter_fail(l, key, now, 0);
    }
    /* More failures, which were under way, do not make it worse, ... */
    for (int i = 0; i < 1000; i++)
        wst__limiter_fail(l, key, now, 0);
    assert_int_equal(wst__limiter_wait_ms(l, key, now), PART);
    /* ... but as far as they are to be counted. */
    wst__limiter_fail(l, key, now, 2 * PART);
    assert_int_equal(wst__limiter_wait_ms(l, key, now), 2 * PART);
    for (int i = 0; i < 1000; i++)
        wst__limiter_fail(l, key, now, 2 * PART);
    assert_int_equal(wst__limiter_wait_ms(l, key, now), 3 * PART);
    free_limiter(l);
}

/* More than there are milliseconds: none is refused that the number allows. */
static void test_many(void **state) {
    (void)state;
    wst__limiter_t *l;
    assert_int_equal(wst__limiter_new(&l, &test_allocator, 5000, 1000, CAPACITY), 0);
    for (int i = 0; i < 5000; i++) {
        assert_int_equal(wst__limiter_wait_ms(l, 7, 7), 0);
        wst__limiter_fail(l, 7, 7, 0);
    }
    assert_int_equal(wst__limiter_wait_ms(l, 7, 7), 1);
    free_limiter(l);
}

/* However many come, what was counted for those that failed most stays. */
static void test_bounded(void **state) {
    (void)state;
    wst__limiter_t *l = new_limiter();
    const uint64_t worst = 12345;
    for (int i = 0; i < MAX; i++)
        wst__limiter_fail(l, worst, 1, 0);
    for (uint64_t i = 0; i < 100000; i++)
        wst__limiter_fail(l, wst__mix(i + 1), 1, 0);
    assert_int_equal(wst__limiter_wait_ms(l, worst, 1), PART);
    assert_int_equal(test_alloc_live(), 1);
    free_limiter(l);
}

static void test_no_memory(void **state) {
    (void)state;
    wst__limiter_t *l = NULL;
    test_alloc_fail(1);
    assert_int_equal(wst__limiter_new(&l, &test_allocator, 1, 1, CAPACITY), WST_ENOMEM);
    assert_null(l);
    wst__limiter_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
