/* SPDX-License-Identifier: MIT */
/* Which proxy the environment wants: by scheme, and what no_proxy excepts. */
#include "support.h"

#include <stdio.h>
#include <wstunnel/proxy.h>

static void test_schemes(void **state) {
    (void)state;
    static const struct {
        const char *http, *https, *all, *url, *proxy;
    } cases[] = {
        {NULL, NULL, NULL, "ws://h", NULL}, {"", "", "", "ws://h", NULL},
        {"a", NULL, NULL, "ws://h", "a"},   {"a", NULL, NULL, "wss://h", NULL},
        {"a", "b", "c", "ws://h", "a"},     {"a", "b", "c", "wss://h", "b"},
        {"a", "b", "c", "WSS://h", "b"},    {"a", "", "c", "wss://h", "c"},
        {NULL, "b", "c", "ws://h", "c"},    {"a", "b", "c", "http://h", NULL},
        {"a", "b", "c", "", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const wst_proxy_env_t env = {
            .http_proxy = cases[i].http, .https_proxy = cases[i].https, .all_proxy = cases[i].all};
        const char *proxy = wst_proxy_choose(&env, cases[i].url);
        if (cases[i].proxy == NULL)
            assert_null(proxy);
        else
            assert_string_equal(proxy, cases[i].proxy);
    }
}

/* Whether no_proxy excepts the host. The list ends at an inaccessible page. */
static bool excepted(const char *list, const char *host) {
    char url[300];
    snprintf(url, sizeof(url), "ws://%s/x", host);
    uint8_t *copy = test_guarded(list, strlen(list) + 1);
    const wst_proxy_env_t env = {.http_proxy = "p", .no_proxy = (const char *)copy};
    bool direct = wst_proxy_choose(&env, url) == NULL;
    test_guarded_free(copy, strlen(list) + 1);
    return direct;
}

static void test_no_proxy(void **state) {
    (void)state;
    static const struct {
        const char *list, *host;
        bool direct;
    } cases[] = {
        {"", "example.com", false},
        {" , ,", "example.com", false},
        {"*", "example.com", true},
        {"a, *", "192.0.2.1", true},
        /* names */
        {"example.com", "example.com", true},
        {"example.com", "EXAMPLE.Com.", true},
        {"Example.COM.", "example.com", true},
        {"example.com", "a.b.example.com", true},
        {"example.com", "badexample.com", false},
        {"example.com", "example.com.evil", false},
        {"example.com", "com", false},
        {".example.com", "example.com", true},
        {".example.com", "a.example.com", true},
        {".example.com", "badexample.com", false},
        {"*.example.com", "a.example.com", true},
        {"*.example.com", "example.com", true},
        {"*.example.com", "badexample.com", false},
        {"*example.com", "badexample.com", false},
        {".", "example.com", false},
        {"*.", "example.com", false},
        {"com", "example.com", true},
        {"other,example.com", "example.com", true},
        {"other example.com", "example.com", true},
        {" other ,\texample.com ", "example.com", true},
        {"other,elsewhere", "example.com", false},
        /* ports */
        {"example.com:80", "example.com", true},
        {"example.com:81", "example.com", false},
        {"example.com:81", "example.com:81", true},
        {"example.com:", "example.com", false},
        {"example.com:80x", "example.com", false},
        {"example.com:65616", "example.com", false}, /* 80 modulo 2^16 */
        {":80", "example.com", false},
        {"192.0.2.1:81", "192.0.2.1:81", true},
        {"192.0.2.1:81", "192.0.2.1:82", false},
        {"[2001:db8::1]:81", "[2001:db8::1]:81", true},
        {"[2001:db8::1]:81", "[2001:db8::1]:82", false},
        /* addresses */
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.10", false},
        {"192.0.2", "192.0.2.1", false},
        {"2.1", "192.0.2.1", false}, /* no suffix */
        {"2001:db8::1", "[2001:DB8:0::1]", true},
        {"[2001:db8::1]", "[2001:db8::1]", true},
        {"2001:db8::1", "[2001:db8::2]", false},
        {"::ffff:192.0.2.1", "192.0.2.1", true},
        /* networks */
        {"192.0.2.0/24", "192.0.2.255", true},
        {"192.0.2.0/24", "192.0.3.0", false},
        {"192.0.2.128/25", "192.0.2.127", false},
        {"192.0.2.9/24", "192.0.2.1", true}, /* written carelessly, meant clearly */
        {"0.0.0.0/0", "192.0.2.1", true},
        {"0.0.0.0/0", "[2001:db8::1]", false},
        {"::/0", "192.0.2.1", false},
        {"::/0", "[2001:db8::1]", true},
        {"2001:db8::/32", "[2001:db8:ffff::]", true},
        {"2001:db8::/32", "[2001:db9::]", false},
        {"192.0.2.0/33", "192.0.2.0", false},
        {"192.0.2.0/", "192.0.2.0", false},
        {"192.0.2.0/x", "192.0.2.0", false},
        {"example.com/24", "example.com", false},
        {"192.0.2.0/24", "example.com", false}, /* names are not looked up */
        {"/", "example.com", false},
        /* this machine, whatever the list says */
        {"", "localhost", true},
        {"", "LOCALHOST.:8080", true},
        {"", "a.localhost", true},
        {"", "notlocalhost", false},
        {"", "127.0.0.1", true},
        {"", "127.255.255.254", true},
        {"", "126.255.255.255", false},
        {"", "[::1]", true},
        {"", "[::2]", false},
        {"", "[::ffff:127.0.0.1]", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (excepted(cases[i].list, cases[i].host) != cases[i].direct)
            fail_msg("no_proxy=%s: %s %s", cases[i].list, cases[i].host,
                     cases[i].direct ? "went through the proxy" : "was excepted");
    }
}

/* No list, however odd, reads beyond its end. */
static void test_odd(void **state) {
    (void)state;
    static const char chars[] = "*.:/[],1a ";
    uint64_t random = 1;
    for (int i = 0; i < 20000; i++) {
        char list[12];
        size_t len = test_random(&random) % sizeof(list);
        for (size_t k = 0; k < len; k++)
            list[k] = chars[test_random(&random) % (sizeof(chars) - 1)];
        list[len] = '\0';
        (void)excepted(list, "a.a");
        (void)excepted(list, "1.1.1.1");
        (void)excepted(list, "[1::1]");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schemes),
        cmocka_unit_test(test_no_proxy),
        cmocka_unit_test(test_odd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
