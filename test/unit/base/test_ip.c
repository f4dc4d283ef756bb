/* SPDX-License-Identifier: MIT */
/* IP addresses as text, and back. */
#include "support.h"

#include "ip.h"

#include <stdio.h>

static void assert_both_ways(const char *text) {
    wst__ip_t ip;
    char out[WST__IP_TEXT];
    assert_true(wst__ip_parse(&ip, text, strlen(text)));
    wst__ip_text(out, &ip);
    assert_string_equal(out, text);
}

static void test_each_number_of_ipv4(void **state) {
    (void)state;
    for (unsigned i = 0; i < 256; i++) {
        char text[32];
        snprintf(text, sizeof(text), "%u.%u.%u.%u", i, 255 - i, i ^ 85, i);
        assert_both_ways(text);
    }
}

static void test_ipv6(void **state) {
    (void)state;
    assert_both_ways("::");
    assert_both_ways("2001:db8::7");
    assert_both_ways("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_number_of_ipv4),
        cmocka_unit_test(test_ipv6),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
