/* SPDX-License-Identifier: MIT */
/* Sets of networks: what is read, who is in them. */
#include "trusted.h"
#include "support.h"

#include <wstunnel/error.h>

static void test_members(void **state) {
    (void)state;
    static const char *const texts[] = {"192.0.2.7", "10.0.0.0/8", "2001:db8::/32", "::1", NULL};
    static const struct {
        const char *peer;
        bool in;
    } cases[] = {
        {"192.0.2.7:4711", true},
        {"192.0.2.8:4711", false},
        {"10.255.0.1:0", true},
        {"11.0.0.1:0", false},
        {"[2001:db8:ffff::1]:5", true},
        {"[2001:db9::1]:5", false},
        {"[::ffff:10.0.0.1]:5", true},
        {"[::1]:5", true},
        {"[::2]:5", false},
        {"127.0.0.1:5", false},
        {"unix:", false},
        {"unix:/run/x", false},
        {"unix:10.0.0.1:5", false},
        {"", false},
        {"10.0.0.1", false},
        {"host:5", false},
    };
    wst__trusted_t *n;
    wst__trusted_error_t error;
    assert_int_equal(wst__trusted_new(&n, &test_allocator, texts, &error), 0);
    assert_false(wst__trusted_is_empty(n));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (wst__trusted_has_peer(n, cases[i].peer) != cases[i].in)
            fail_msg("%s", cases[i].peer);
    wst__trusted_free(n);
    assert_int_equal(test_alloc_live(), 0);
}

/* All of one family are none of the other. */
static void test_whole_families(void **state) {
    (void)state;
    static const char *const lists[][2] = {{"0.0.0.0/0", NULL}, {"::/0", NULL}, {"unix:", NULL}};
    static const char *const peers[] = {"192.0.2.7:1", "[2001:db8::1]:1", "unix:/run/x"};
    for (size_t i = 0; i < 3; i++) {
        wst__trusted_t *n;
        wst__trusted_error_t error;
        assert_int_equal(wst__trusted_new(&n, &test_allocator, lists[i], &error), 0);
        assert_false(wst__trusted_is_empty(n));
        for (size_t p = 0; p < 3; p++)
            assert_int_equal(wst__trusted_has_peer(n, peers[p]), i == p);
        wst__trusted_free(n);
    }
}

static void test_faults(void **state) {
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "not an address, a network such as 10.0.0.0/8, or unix:"},
        {"localhost", "not an address, a network such as 10.0.0.0/8, or unix:"},
        {"unix:/run/x", "not an address, a network such as 10.0.0.0/8, or unix:"},
        {"fe80::1%eth0", "not an address, a network such as 10.0.0.0/8, or unix:"},
        {"10.0.0.1:80", "not an address, a network such as 10.0.0.0/8, or unix:"},
        {"10.0.0.0/", "the network's length must be 0 to 32"},
        {"10.0.0.0/33", "the network's length must be 0 to 32"},
        {"10.0.0.0/8 ", "the network's length must be 0 to 32"},
        {"10.0.0.0/99999999999", "the network's length must be 0 to 32"},
        {"10.0.0.0/-1", "the network's length must be 0 to 32"},
        {"2001:db8::/129", "the network's length must be 0 to 128"},
        {"10.0.0.1/8", "the address has bits behind the network's length"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *const texts[] = {"192.0.2.7", cases[i].text, NULL};
        wst__trusted_t *n;
        wst__trusted_error_t error = {0};
        assert_int_equal(wst__trusted_new(&n, &test_allocator, texts, &error), WST_EINVAL);
        assert_string_equal(error.text, cases[i].text);
        assert_string_equal(error.why, cases[i].why);
    }
    assert_int_equal(test_alloc_live(), 0);
}

static void test_none(void **state) {
    (void)state;
    wst__trusted_t *n = NULL;
    wst__trusted_error_t error;
    test_alloc_fail(1);
    assert_int_equal(wst__trusted_new(&n, &test_allocator, NULL, &error), WST_ENOMEM);
    wst__trusted_free(n);
    assert_int_equal(wst__trusted_new(&n, &test_allocator, NULL, &error), 0);
    assert_true(wst__trusted_is_empty(n));
    assert_false(wst__trusted_has_peer(n, "127.0.0.1:1"));
    wst__trusted_free(n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_whole_families),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
