/* SPDX-License-Identifier: MIT */
/* IP addresses as text, and back. */
#include "support.h"

#include "ip.h"

#include <arpa/inet.h>
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

/* As inet_pton reads it, and within the text's bounds. */
static void expect_as_inet_pton(const char *text) {
    uint8_t ours[4] = {0}, theirs[4] = {0};
    size_t len = strlen(text);
    bool right = inet_pton(AF_INET, text, theirs) == 1;
    uint8_t *copy = test_guarded(text, len);
    assert_int_equal(wst__ip4_parse(ours, (const char *)copy, len), right);
    test_guarded_free(copy, len);
    if (right)
        assert_memory_equal(ours, theirs, sizeof(ours));
}

/* Each number of up to four digits, in each place. */
static void test_ipv4_numbers(void **state) {
    (void)state;
    for (unsigned width = 1; width <= 4; width++)
        for (unsigned i = 0; i < 1000; i++) {
            char text[64];
            snprintf(text, sizeof(text), "%0*u.2.3.4", (int)width, i);
            expect_as_inet_pton(text);
            snprintf(text, sizeof(text), "1.%0*u.3.4", (int)width, i);
            expect_as_inet_pton(text);
            snprintf(text, sizeof(text), "1.2.3.%0*u", (int)width, i);
            expect_as_inet_pton(text);
        }
}

/* Random texts of what addresses are made of, and of what they are not. */
static void test_ipv4_texts(void **state) {
    (void)state;
    static const char chars[] = "0125.. :%a";
    uint64_t random = 1;
    for (int i = 0; i < 20000; i++) {
        char text[20];
        size_t len = test_random(&random) % sizeof(text);
        for (size_t j = 0; j < len; j++) /* mostly digits and dots */
            text[j] = chars[test_random(&random) % (i % 2 == 0 ? 6 : sizeof(chars) - 1)];
        text[len] = '\0';
        expect_as_inet_pton(text);
    }
    expect_as_inet_pton("1.2.3");
    expect_as_inet_pton("1.2.3.4.");
    expect_as_inet_pton("1.2.3.4.5");
    expect_as_inet_pton(".1.2.3");
    expect_as_inet_pton("127.1");
    expect_as_inet_pton("1234.2.3.4");
    wst__ip_t ip;
    assert_false(wst__ip_parse(&ip, "1.2.3.4\0", 8));
    assert_false(wst__ip_parse(&ip, "1.2.3.4%eth0", 12));
    assert_true(wst__ip_parse(&ip, "::ffff:1.2.3.4%eth0", 19));
    assert_true(wst__ip_is_v4(&ip));
}

static void expect_peer(const char *address, uint16_t port, const char *peer) {
    wst__ip_t ip, again;
    char text[WST__IP_PEER];
    assert_true(wst__ip_parse(&ip, address, strlen(address)));
    wst__ip_to_peer(text, &ip, port);
    assert_string_equal(text, peer);
    assert_true(wst__ip_of_peer(&again, peer));
    assert_memory_equal(&again, &ip, sizeof(ip));
}

static void test_peers(void **state) {
    (void)state;
    expect_peer("192.0.2.255", 65535, "192.0.2.255:65535");
    expect_peer("::ffff:192.0.2.1", 0, "192.0.2.1:0");
    expect_peer("::1", 80, "[::1]:80");
    expect_peer("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535,
                "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_number_of_ipv4),
        cmocka_unit_test(test_ipv6),
        cmocka_unit_test(test_ipv4_numbers),
        cmocka_unit_test(test_ipv4_texts),
        cmocka_unit_test(test_peers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
