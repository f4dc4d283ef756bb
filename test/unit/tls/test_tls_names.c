/* SPDX-License-Identifier: MIT */
/* Which names in certificates stand for which hosts. */
#include "support.h"
#include "tls_names.h"

static bool matches(const char *pattern, const char *host) {
    /* Where they end, nothing may be read. */
    size_t pattern_len = strlen(pattern), host_len = strlen(host);
    uint8_t *p = test_guarded(pattern, pattern_len), *h = test_guarded(host, host_len);
    bool result = wst__tls_name_matches((const char *)p, pattern_len, (const char *)h, host_len);
    test_guarded_free(p, pattern_len);
    test_guarded_free(h, host_len);
    return result;
}

static void test_matches(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *host;
        bool expected;
    } cases[] = {
        {"a.example", "a.example", true},
        {"A.Example", "a.eXample", true},
        {"a.example", "a.example.", true},
        {"a.example.", "a.example", true},
        {"localhost", "localhost", true},
        {"a.example", "b.example", false},
        {"a.example", "a.example.evil", false},
        {"a.example", "xa.example", false},
        {"a.example", "a.exampl", false},
        {"", "a.example", false},
        {"a.example", "", false},
        {"*.b.example", "a.b.example", true},
        {"*.b.example", "A.B.example.", true},
        {"*.b.example", "b.example", false},
        {"*.b.example", ".b.example", false},
        {"*.b.example", "x.a.b.example", false},
        {"*.b.example", "ab.example", false},
        {"*.b.example", "*.b.example", false}, /* no host name */
        {"*.example", "a.example", false},     /* too wide */
        {"*", "example", false},
        {"*.", "example", false},
        {"*..example", "a..example", false},
        {"a*.b.example", "ax.b.example", false},
        {"*a.b.example", "xa.b.example", false},
        {"a.*.example", "a.b.example", false},
        {"*.*.example", "a.b.example", false},
        {"xn--*.b.example", "xn--a.b.example", false},
        {"a b.example", "a b.example", false},
        {"a_b.example", "a_b.example", true}, /* seen in the wild */
        {"192.0.2.1", "192.0.2.1", true},     /* told apart elsewhere */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (matches(cases[i].pattern, cases[i].host) != cases[i].expected)
            fail_msg("%s and %s", cases[i].pattern, cases[i].host);
    /* A NUL ends no name. */
    assert_false(wst__tls_name_matches("a.example\0.evil", 15, "a.example", 9));
    assert_false(wst__tls_name_matches("a.example", 9, "a.example\0.evil", 15));
}

static void test_len(void **state) {
    (void)state;
    char name[256];
    assert_int_equal(wst__tls_name_len("a.example", 9), 9);
    assert_int_equal(wst__tls_name_len("a.example.", 10), 9);
    assert_int_equal(wst__tls_name_len("a", 1), 1);
    assert_int_equal(wst__tls_name_len("", 0), 0);
    assert_int_equal(wst__tls_name_len(".", 1), 0);
    assert_int_equal(wst__tls_name_len("a..b", 4), 0);
    assert_int_equal(wst__tls_name_len(".a", 2), 0);
    assert_int_equal(wst__tls_name_len("a..", 3), 0);
    assert_int_equal(wst__tls_name_len("b\xc3\xbc.example", 10), 0);
    assert_int_equal(wst__tls_name_len("a:80", 4), 0);
    memset(name, 'a', sizeof(name));
    assert_int_equal(wst__tls_name_len(name, 253), 253);
    assert_int_equal(wst__tls_name_len(name, 254), 0);
    name[253] = '.';
    assert_int_equal(wst__tls_name_len(name, 254), 253);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_len),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
