/* SPDX-License-Identifier: MIT */
/* Addresses from and to text. */
#include "addr.h"
#include "support.h"

#include <stddef.h>
#include <sys/un.h>
#include <wstunnel/error.h>

static void test_good_addresses(void **state) {
    (void)state;
    static const struct {
        const char *text, *shown;
        bool any, local;
    } cases[] = {
        {"127.0.0.1:8080", "127.0.0.1:8080", false, true},
        {"127.255.0.9:1", "127.255.0.9:1", false, true},
        {"192.0.2.7:4711", "192.0.2.7:4711", false, false},
        {"0.0.0.0:0", "0.0.0.0:0", false, false},
        {"localhost:65535", "127.0.0.1:65535", false, true},
        {":8080", "[::]:8080", true, false},
        {"[::]:8080", "[::]:8080", false, false},
        {"[::1]:00080", "[::1]:80", false, true},
        {"[2001:DB8::7]:80", "[2001:db8::7]:80", false, false},
        {"[::ffff:127.0.0.1]:80", "127.0.0.1:80", false, true},
        {"[::ffff:192.0.2.7]:80", "192.0.2.7:80", false, false},
        {"unix:/run/x", "unix:/run/x", false, true},
        {"unix:x:1", "unix:x:1", false, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        wst__addr_t addr;
        bool any;
        char shown[WST__ADDR_TEXT];
        assert_int_equal(wst__addr_parse(&addr, &any, cases[i].text), 0);
        wst__addr_text(&addr, shown);
        assert_string_equal(shown, cases[i].shown);
        assert_int_equal(any, cases[i].any);
        assert_int_equal(wst__addr_is_local(&addr), cases[i].local);
    }
}

static void test_bad_addresses(void **state) {
    (void)state;
    static const char *const cases[] = {
        "",
        "8080",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:x",
        ":65536",
        ":123456",
        ": 80",
        ":+80",
        ":-1",
        "::1:80",
        "[::1]",
        "[::1:80",
        "::1]:80",
        "[]:80",
        "[127.1]:1",
        "127.1:80",
        "host.example:80",
        "LOCALHOST:80",
        "localhost",
        "[::1]x:80",
        "1.2.3.4 :80",
        "unix:",
        "1.2.3.4:80:80",
        "[::g]:80",
        "256.1.1.1:80",
        "000000000000000000000000000000000000000000000000000000000000000000000000000127.0.0.1:80",
        "[0000000000000000000000000000000000000000000000000000000000000000000000000000001]:80",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t size = strlen(cases[i]) + 1;
        char *text = (char *)test_guarded(cases[i], size);
        wst__addr_t addr;
        bool any;
        if (wst__addr_parse(&addr, &any, text) != WST_EINVAL)
            fail_msg("taken: \"%s\"", cases[i]);
        test_guarded_free((uint8_t *)text, size);
    }
}

static void test_long_paths(void **state) {
    (void)state;
    size_t max = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
    char text[256] = "unix:", shown[WST__ADDR_TEXT];
    memset(text + 5, 'p', max);
    wst__addr_t addr;
    bool any;
    assert_int_equal(wst__addr_parse(&addr, &any, text), 0);
    wst__addr_text(&addr, shown);
    assert_string_equal(shown, text);
    text[5 + max] = 'p';
    assert_int_equal(wst__addr_parse(&addr, &any, text), WST_EINVAL);
}

static void test_unix_names_of_the_kernel(void **state) {
    (void)state;
    wst__addr_t addr = {.len = sizeof(sa_family_t)};
    struct sockaddr_un *un = (struct sockaddr_un *)&addr.storage;
    un->sun_family = AF_UNIX;
    char shown[WST__ADDR_TEXT];
    wst__addr_text(&addr, shown);
    assert_string_equal(shown, "unix:"); /* none */

    memcpy(un->sun_path, "\0abstract", 9);
    addr.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 9);
    wst__addr_text(&addr, shown);
    assert_string_equal(shown, "unix:@abstract");

    memset(un->sun_path, 'p', sizeof(un->sun_path)); /* not terminated */
    addr.len = sizeof(*un);
    wst__addr_text(&addr, shown);
    assert_int_equal(strlen(shown), 5 + sizeof(un->sun_path));
}

static void test_any4_keeps_the_port(void **state) {
    (void)state;
    wst__addr_t addr;
    bool any;
    char shown[WST__ADDR_TEXT];
    assert_int_equal(wst__addr_parse(&addr, &any, ":4711"), 0);
    wst__addr_any4(&addr);
    wst__addr_text(&addr, shown);
    assert_string_equal(shown, "0.0.0.0:4711");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_addresses),      cmocka_unit_test(test_bad_addresses),
        cmocka_unit_test(test_long_paths),          cmocka_unit_test(test_unix_names_of_the_kernel),
        cmocka_unit_test(test_any4_keeps_the_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
