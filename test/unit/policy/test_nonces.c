/* SPDX-License-Identifier: MIT */
/* Nonces: issued, used once with each count, forged, old, forgotten. */
#include "support.h"

#include "nonces.h"

#include <wstunnel/error.h>

static const uint8_t key[32] = {1, 2, 3};

static wst__nonces_t *new_nonces(void) {
    wst__nonces_t *n;
    assert_int_equal(wst__nonces_new(&n, &test_allocator, key), 0);
    return n;
}

static void free_nonces(wst__nonces_t *n) {
    wst__nonces_free(n);
    assert_int_equal(test_alloc_live(), 0);
}

static int use(wst__nonces_t *n, const char *nonce, uint32_t count, uint64_t now) {
    return wst__nonces_use(n, (wst_str_t){nonce, strlen(nonce)}, count, now);
}

/* Each count once, in any order within the window. */
static void test_counts(void **state) {
    (void)state;
    wst__nonces_t *n = new_nonces();
    char nonce[WST__NONCE_TEXT];
    assert_int_equal(wst__nonces_issue(n, nonce, 1000), 0);
    assert_int_equal(strlen(nonce), WST__NONCE_TEXT - 1);
    assert_int_equal(use(n, nonce, 0, 1000), 0);
    assert_int_equal(use(n, nonce, 3, 1000), 1);
    assert_int_equal(use(n, nonce, 3, 1000), 0);
    assert_int_equal(use(n, nonce, 1, 1000), 1);
    assert_int_equal(use(n, nonce, 2, 1000), 1);
    for (uint32_t i = 1; i <= 3; i++)
        assert_int_equal(use(n, nonce, i, 1000), 0);
    free_nonces(n);
}

/* Against a table that forgets nothing: every count of a random walk. */
static void test_window(void **state) {
    (void)state;
    enum { COUNTS = 4000 };
    static bool used[COUNTS + 600];
    uint64_t first, seeds;
    test_seeds(&first, &seeds, 20);
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        wst__nonces_t *n = new_nonces();
        char nonce[WST__NONCE_TEXT];
        uint64_t random = seed + 1;
        uint32_t highest = 0;
        memset(used, 0, sizeof(used));
        assert_int_equal(wst__nonces_issue(n, nonce, 0), 0);
        while (highest < COUNTS) {
            uint32_t step = (uint32_t)(test_random(&random) % 16 == 0 ? 500 : 8);
            uint32_t up = (uint32_t)(test_random(&random) % step);
            uint32_t back = (uint32_t)(test_random(&random) % (step + 140));
            uint32_t count = highest + up > back ? highest + up - back : 1;
            bool fresh = !used[count] && (count > highest || highest - count < WST__NONCE_WINDOW);
            if (use(n, nonce, count, 0) != fresh)
                fail_msg("seed %llu: count %u, highest %u", (unsigned long long)seed, count,
                         highest);
            used[count] = true;
            highest = count > highest ? count : highest;
        }
        free_nonces(n);
    }
}

static void test_largest_counts(void **state) {
    (void)state;
    wst__nonces_t *n = new_nonces();
    char nonce[WST__NONCE_TEXT];
    assert_int_equal(wst__nonces_issue(n, nonce, 0), 0);
    assert_int_equal(use(n, nonce, 1, 0), 1);
    assert_int_equal(use(n, nonce, UINT32_MAX, 0), 1);
    assert_int_equal(use(n, nonce, UINT32_MAX, 0), 0);
    assert_int_equal(use(n, nonce, 1, 0), 0);
    assert_int_equal(use(n, nonce, UINT32_MAX - WST__NONCE_WINDOW + 1, 0), 1);
    assert_int_equal(use(n, nonce, UINT32_MAX - WST__NONCE_WINDOW, 0), 0);
    free_nonces(n);
}

static void test_lifetime(void **state) {
    (void)state;
    wst__nonces_t *n = new_nonces();
    char nonce[WST__NONCE_TEXT];
    assert_int_equal(wst__nonces_issue(n, nonce, 1000), 0);
    assert_int_equal(use(n, nonce, 1, 999), 0);
    assert_int_equal(use(n, nonce, 1, 1000 + WST__NONCE_LIFETIME_MS - 1), 1);
    assert_int_equal(use(n, nonce, 2, 1000 + WST__NONCE_LIFETIME_MS), 0);
    free_nonces(n);
}

/* No digit of it can be changed, and none of another server's is taken. */
static void test_forged(void **state) {
    (void)state;
    static const uint8_t other_key[32] = {1, 2, 4};
    wst__nonces_t *n = new_nonces(), *other;
    char nonce[WST__NONCE_TEXT], theirs[WST__NONCE_TEXT];
    assert_int_equal(wst__nonces_new(&other, &test_allocator, other_key), 0);
    assert_int_equal(wst__nonces_issue(other, theirs, 1000), 0);
    assert_int_equal(use(n, theirs, 1, 1000), 0);
    assert_int_equal(wst__nonces_issue(n, nonce, 1000), 0);
    for (size_t i = 0; i < strlen(nonce); i++) {
        char before = nonce[i];
        nonce[i] = before == '0' ? '1' : '0';
        assert_int_equal(use(n, nonce, 1, 1000), 0);
        nonce[i] = before;
    }
    assert_int_equal(use(n, "", 1, 1000), 0);
    assert_int_equal(use(n, "0123", 1, 1000), 0);
    assert_int_equal(use(n, nonce, 1, 1000), 1);
    wst__nonces_free(other);
    free_nonces(n);
}

/* More in use than there is room for: the oldest are stale, none can be used again. */
static void test_full(void **state) {
    (void)state;
    enum { EXTRA = 50, ALL = WST__NONCES_MAX + EXTRA };
    static char nonces[ALL][WST__NONCE_TEXT];
    wst__nonces_t *n = new_nonces();
    for (size_t i = 0; i < ALL; i++)
        assert_int_equal(wst__nonces_issue(n, nonces[i], 0), 0);
    /* The first is never used before there is no room. */
    for (size_t i = 1; i < ALL; i++)
        assert_int_equal(use(n, nonces[i], 1, 0), 1);
    assert_int_equal(use(n, nonces[0], 1, 0), 0);
    for (size_t i = 0; i < ALL; i++) {
        assert_int_equal(use(n, nonces[i], 1, 0), 0);
        assert_int_equal(use(n, nonces[i], 2, 0), i >= EXTRA);
    }
    char fresh[WST__NONCE_TEXT];
    assert_int_equal(wst__nonces_issue(n, fresh, 0), 0);
    assert_int_equal(use(n, fresh, 1, 0), 1);
    assert_int_equal(test_alloc_live(), 1);
    free_nonces(n);
}

/* The same, used from the last one back: what is older than all in the table is not let in. */
static void test_full_backwards(void **state) {
    (void)state;
    enum { EXTRA = 50, ALL = WST__NONCES_MAX + EXTRA };
    static char nonces[ALL][WST__NONCE_TEXT];
    wst__nonces_t *n = new_nonces();
    for (size_t i = 0; i < ALL; i++)
        assert_int_equal(wst__nonces_issue(n, nonces[i], 0), 0);
    for (size_t i = ALL; i-- > 0;)
        assert_int_equal(use(n, nonces[i], 1, 0), i >= EXTRA);
    for (size_t i = 0; i < ALL; i++)
        assert_int_equal(use(n, nonces[i], 1, 0), 0);
    free_nonces(n);
}

static void test_no_memory(void **state) {
    (void)state;
    wst__nonces_t *n = NULL;
    test_alloc_fail(1);
    assert_int_equal(wst__nonces_new(&n, &test_allocator, key), WST_ENOMEM);
    assert_null(n);
    wst__nonces_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),         cmocka_unit_test(test_window),
        cmocka_unit_test(test_largest_counts), cmocka_unit_test(test_lifetime),
        cmocka_unit_test(test_forged),         cmocka_unit_test(test_full),
        cmocka_unit_test(test_full_backwards), cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
