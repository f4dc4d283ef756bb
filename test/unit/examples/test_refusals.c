/* SPDX-License-Identifier: MIT */
/* How many refusals the server's log tells one by one, and what it says about the others. */
#include "refusals.h"
#include "support.h"

#include <stdio.h>
#include <string.h>

static refusals_t refusals;
static char told[8192];

static void more(const char *source, uint64_t count, uint64_t seconds) {
    size_t len = strlen(told);
    snprintf(told + len, sizeof(told) - len, "%llu of %s in %llu;", (unsigned long long)count,
             source, (unsigned long long)seconds);
}

static void reset(void) {
    memset(&refusals, 0, sizeof(refusals));
    told[0] = '\0';
}

/* Counts `n` refusals; returns how many of them are told one by one. */
static int count(const char *client, int n, uint64_t now_ms) {
    int one_by_one = 0;
    for (int i = 0; i < n; i++)
        one_by_one += refusals_count(&refusals, client, now_ms);
    return one_by_one;
}

static void test_windows(void **state) {
    (void)state;
    reset();
    assert_int_equal(count("192.0.2.1:1", 20, 5000), 20);
    assert_int_equal(count("192.0.2.1:2", 2000, 6000), 0);
    assert_int_equal(count("192.0.2.2:1", 1, 6000), 1);
    assert_true(refusals_end(&refusals, 14999, more));
    assert_string_equal(told, "");
    assert_true(refusals_end(&refusals, 15000, more));
    assert_string_equal(told, "2000 of 192.0.2.1 in 10;");
    assert_int_equal(count("192.0.2.1:3", 21, 15001), 20); /* anew */
    told[0] = '\0';
    assert_true(refusals_end(&refusals, 16000, more));
    assert_string_equal(told, ""); /* all of the second source's were told */
    assert_false(refusals_end(&refusals, 25900, more));
    assert_string_equal(told, "1 of 192.0.2.1 in 11;");
}

static void test_sources(void **state) {
    (void)state;
    static const struct {
        const char *client, *source;
    } cases[] = {
        {"192.0.2.1:4711", "192.0.2.1"},
        {"[2001:db8:1:2:3:4:5:6]:80", "2001:db8:1:2::/64"},
        {"[::1]:80", "::/64"},
        {"[::ffff:192.0.2.1]:80", "::ffff:192.0.2.1"},
        {"[fe80::1%eth0]:80", "fe80::/64"},
        {"unix:/run/x", "unix"},
        {"unix", "unix"},
        {"", "a client without an address"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char expected[128];
        reset();
        count(cases[i].client, 21, 1);
        refusals_end_all(&refusals, 1001, more);
        snprintf(expected, sizeof(expected), "1 of %s in 1;", cases[i].source);
        assert_string_equal(told, expected);
        assert_false(refusals_end(&refusals, 1001, more));
    }
    reset();
    assert_int_equal(count("[2001:db8:1:2::1]:80", 15, 1), 15);
    assert_int_equal(count("[2001:db8:1:2:ffff::2]:81", 15, 1), 5); /* one network */
    assert_int_equal(count("[2001:db8:1:3::1]:80", 1, 1), 1);
}

/* However many sources there are, the table and the lines are bounded. */
static void test_bounds(void **state) {
    (void)state;
    int one_by_one = 0;
    char client[64];
    reset();
    for (int i = 0; i < 10000; i++) {
        snprintf(client, sizeof(client), "10.0.%d.%d:1", i / 250, i % 250);
        one_by_one += count(client, 1, 1);
    }
    assert_int_equal(one_by_one, REFUSALS_SOURCES + REFUSALS_EACH);
    assert_int_equal(count("10.0.0.0:1", 30, 1), 19); /* one that has a place */
    assert_false(refusals_end(&refusals, 10001, more));
    snprintf(client, sizeof(client), "11 of 10.0.0.0 in 10;%d of all others in 10;",
             10000 - REFUSALS_SOURCES - REFUSALS_EACH);
    assert_string_equal(told, client);
}

/* A name that does not fit is cut: no place has room for another one. */
static void test_long_name(void **state) {
    (void)state;
    char client[256];
    reset();
    memset(client, 'x', sizeof(client) - 1);
    client[sizeof(client) - 1] = '\0';
    assert_int_equal(count(client, 21, 1), 20);
    refusals_end_all(&refusals, 1, more);
    assert_int_equal(strlen(told), strlen("1 of  in 0;") + REFUSALS_SOURCE_SIZE - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_sources),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_long_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
