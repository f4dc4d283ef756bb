/* SPDX-License-Identifier: MIT */
/* Failures counted by address, under a time of our own. */
#include "support.h"

#include "limiter.h"

#include <stdio.h>
#include <wstunnel/error.h>

enum { MAX = 5, WINDOW = 60000, PART = WINDOW / MAX };

static wst__limiter_t *new_limiter(void) {
    wst__limiter_t *l;
    assert_int_equal(wst__limiter_new(&l, &test_allocator, MAX, WINDOW, 0x1234567890abcdef), 0);
    return l;
}

static void free_limiter(wst__limiter_t *l) {
    wst__limiter_free(l);
    assert_int_equal(test_alloc_live(), 0);
}

static wst__limiter_key_t key_of(const wst__limiter_t *l, const char *peer, const char *name) {
    wst__limiter_key_t key;
    assert_true(wst__limiter_key(l, &key, peer, name));
    return key;
}

static void test_limit(void **state) {
    (void)state;
    wst__limiter_t *l = new_limiter();
    const wst__limiter_key_t key = key_of(l, "192.0.2.1:5", NULL);
    const wst__limiter_key_t other = key_of(l, "192.0.2.2:5", NULL);
    uint64_t now = 1000;
    for (int i = 0; i < MAX; i++) {
        assert_int_equal(wst__limiter_wait_ms(l, &key, now), 0);
        wst__limiter_fail(l, &key, now);
    }
    assert_int_equal(wst__limiter_wait_ms(l, &key, now), PART);
    assert_int_equal(wst__limiter_wait_ms(l, &other, now), 0);
    assert_int_equal(wst__limiter_wait_ms(l, &key, now + PART - 1), 1);
    /* Then one for each part of the window. */
    for (int i = 1; i < 20; i++) {
        now += PART;
        assert_int_equal(wst__limiter_wait_ms(l, &key, now), 0);
        wst__limiter_fail(l, &key, now);
        assert_int_equal(wst__limiter_wait_ms(l, &key, now), PART);
    }
    /* After a whole window without a failure all is as at first. */
    now += WINDOW;
    for (int i = 0; i < MAX; i++) {
        assert_int_equal(wst__limiter_wait_ms(l, &key, now), 0);
        wst__limiter_fail(l, &key, now);
    }
    /* More failures, which were under way, do not make it worse. */
    for (int i = 0; i < 1000; i++)
        wst__limiter_fail(l, &key, now);
    assert_int_equal(wst__limiter_wait_ms(l, &key, now), PART);
    free_limiter(l);
}

/* More than there are milliseconds: none is refused that the number allows. */
static void test_many(void **state) {
    (void)state;
    wst__limiter_t *l;
    assert_int_equal(wst__limiter_new(&l, &test_allocator, 5000, 1000, 1), 0);
    const wst__limiter_key_t key = key_of(l, "192.0.2.1:5", NULL);
    for (int i = 0; i < 5000; i++) {
        assert_int_equal(wst__limiter_wait_ms(l, &key, 7), 0);
        wst__limiter_fail(l, &key, 7);
    }
    assert_int_equal(wst__limiter_wait_ms(l, &key, 7), 1);
    free_limiter(l);
}

static bool same(const wst__limiter_t *l, const char *a, const char *name_a, const char *b,
                 const char *name_b) {
    wst__limiter_key_t x = key_of(l, a, name_a), y = key_of(l, b, name_b);
    return x.high == y.high && x.low == y.low;
}

static void test_keys(void **state) {
    (void)state;
    wst__limiter_t *l = new_limiter();
    wst__limiter_key_t key;
    /* The port and the name play no part, nor how the address is written. */
    assert_true(same(l, "192.0.2.1:5", "a", "192.0.2.1:6", NULL));
    assert_true(same(l, "192.0.2.1:5", NULL, "[::ffff:192.0.2.1]:5", NULL));
    assert_false(same(l, "192.0.2.1:5", NULL, "192.0.2.2:5", NULL));
    /* IPv6: the network. */
    assert_true(same(l, "[2001:db8::1]:5", NULL, "[2001:db8::ffff:0:0:2]:6", NULL));
    assert_false(same(l, "[2001:db8::1]:5", NULL, "[2001:db8:0:1::1]:5", NULL));
    assert_true(same(l, "[fe80::1%eth0]:5", NULL, "[fe80::2]:5", NULL));
    /* This machine, and what is no address: by name. */
    static const char *const local[] = {"127.0.0.1:5", "127.1.2.3:5", "[::1]:5",
                                        "unix:/run/x", "unix:",       "[::ffff:127.0.0.1]:5"};
    for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++) {
        assert_false(wst__limiter_key(l, &key, local[i], NULL));
        assert_true(same(l, local[i], "alice", "127.0.0.1:1", "alice"));
        assert_false(same(l, local[i], "alice", local[i], "bob"));
        assert_false(same(l, local[i], "alice", local[i], "alicea"));
    }
    free_limiter(l);
}

/* However many come, what was counted for those that failed most stays. */
static void test_bounded(void **state) {
    (void)state;
    wst__limiter_t *l = new_limiter();
    const wst__limiter_key_t worst = key_of(l, "192.0.2.1:5", NULL);
    for (int i = 0; i < MAX; i++)
        wst__limiter_fail(l, &worst, 1);
    for (unsigned i = 0; i < 100000; i++) {
        char peer[64];
        snprintf(peer, sizeof(peer), "[2001:db8:%x:%x::1]:5", i >> 16, i & 0xffff);
        const wst__limiter_key_t key = key_of(l, peer, NULL);
        wst__limiter_fail(l, &key, 1);
    }
    assert_int_equal(wst__limiter_wait_ms(l, &worst, 1), PART);
    assert_int_equal(test_alloc_live(), 1);
    free_limiter(l);
}

static void test_no_memory(void **state) {
    (void)state;
    wst__limiter_t *l = NULL;
    test_alloc_fail(1);
    assert_int_equal(wst__limiter_new(&l, &test_allocator, 1, 1, 1), WST_ENOMEM);
    assert_null(l);
    wst__limiter_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limit),     cmocka_unit_test(test_many),
        cmocka_unit_test(test_keys),      cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
