/* SPDX-License-Identifier: MIT */
/* URLs of proxies: what is taken, what is refused and why. Each ends at an inaccessible page. */
#include "support.h"

#include "proxy_url.h"

#include <stdio.h>
#include <wstunnel/error.h>

static int parse(wst__proxy_url_t *out, const char *url, const char *credentials,
                 const char **why) {
    uint8_t *copy = test_guarded(url, strlen(url) + 1);
    *why = NULL;
    int rc = wst__proxy_url_parse(out, (const char *)copy, credentials, why);
    test_guarded_free(copy, strlen(url) + 1);
    return rc;
}

static void test_taken(void **state) {
    (void)state;
    static const struct {
        const char *url;
        wst__proxy_kind_t kind;
        const char *host;
        uint16_t port;
        const char *name;
    } cases[] = {
        {"proxy", WST__PROXY_HTTP, "proxy", 80, "proxy:80"},
        {"proxy:3128", WST__PROXY_HTTP, "proxy", 3128, "proxy:3128"},
        {"proxy:3128/", WST__PROXY_HTTP, "proxy", 3128, "proxy:3128"},
        {"http://proxy", WST__PROXY_HTTP, "proxy", 80, "proxy:80"},
        {"HTTP://Proxy:8080/", WST__PROXY_HTTP, "Proxy", 8080, "Proxy:8080"},
        {"https://proxy", WST__PROXY_HTTPS, "proxy", 443, "proxy:443"},
        {"https://[2001:db8::1]", WST__PROXY_HTTPS, "2001:db8::1", 443, "[2001:db8::1]:443"},
        {"socks5://127.0.0.1", WST__PROXY_SOCKS5, "127.0.0.1", 1080, "127.0.0.1:1080"},
        {"socks5h://[::1]:9050/", WST__PROXY_SOCKS5, "::1", 9050, "[::1]:9050"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        wst__proxy_url_t u;
        const char *why;
        if (parse(&u, cases[i].url, NULL, &why) != 0)
            fail_msg("%s: %s", cases[i].url, why);
        assert_int_equal(u.kind, cases[i].kind);
        assert_string_equal(u.host, cases[i].host);
        assert_int_equal(u.port, cases[i].port);
        assert_string_equal(u.name, cases[i].name);
        assert_false(u.has_credentials);
    }
}

static void test_credentials(void **state) {
    (void)state;
    static const struct {
        const char *url, *credentials, *user, *password;
    } cases[] = {
        {"http://ann:secret@p", NULL, "ann", "secret"},
        {"ann:secret@p", NULL, "ann", "secret"},
        {"http://ann@p", NULL, "ann", ""},
        {"http://ann:@p", NULL, "ann", ""},
        {"http://:token@p", NULL, "", "token"},
        {"http://ann:a%3Ab%25%40%2f@p", NULL, "ann", "a:b%@/"},
        {"http://d%5Cann:p:q@p", NULL, "d\\ann", "p:q"},
        {"http://ann:at@home@p", NULL, "ann", "at@home"},  /* as it is: the last @ counts */
        {"http://ann:a/b?c#d@p/", NULL, "ann", "a/b?c#d"}, /* likewise */
        {"socks5://ann:%c3%a9@p", NULL, "ann", "\xc3\xa9"},
        {"http://p", "ann:a%3Ab", "ann", "a%3Ab"}, /* not of a URL */
        {"http://bob:old@p", "ann:p:q@/", "ann", "p:q@/"},
        {"socks5://p", "ann:secret", "ann", "secret"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        wst__proxy_url_t u;
        const char *why;
        if (parse(&u, cases[i].url, cases[i].credentials, &why) != 0)
            fail_msg("%s: %s", cases[i].url, why);
        assert_true(u.has_credentials);
        assert_string_equal(u.user, cases[i].user);
        assert_string_equal(u.password, cases[i].password);
        assert_string_equal(u.host, "p");
        assert_null(strchr(u.name, '@'));
    }
}

static void test_refused(void **state) {
    (void)state;
    static const struct {
        const char *url, *credentials, *why;
    } cases[] = {
        {"", NULL, "no host"},
        {"http://", NULL, "no host"},
        {"http://ann:secret@", NULL, "no host"},
        {"ftp://p", NULL, "the scheme must be http, https, socks5 or socks5h"},
        {"socks4://p", NULL, "the scheme must be http, https, socks5 or socks5h"},
        {"://p", NULL, "the scheme must be http, https, socks5 or socks5h"},
        {"http://p/x", NULL, "the URL of a proxy has no path"},
        {"http://p?x", NULL, "the URL of a proxy has no path"},
        {"http://p:0", NULL, "port is not a number from 1 to 65535"},
        {"http://p:x", NULL, "port is not a number from 1 to 65535"},
        {"http://::1", NULL, "colon in a host that is no IPv6 address"},
        {"http://2001:db8::1:80", NULL, "IPv6 address without brackets"},
        {"http://a b", NULL, "character not allowed in a host name"},
        {"http://a%4:x@p", NULL, "% without two hexadecimal digits in the user or password"},
        {"http://a:x%@p", NULL, "% without two hexadecimal digits in the user or password"},
        {"http://a:x%4@p", NULL, "% without two hexadecimal digits in the user or password"},
        {"http://a:x%g0@p", NULL, "% without two hexadecimal digits in the user or password"},
        {"http://a:x%0d%0aX:@p", NULL, "control character in the user or password"},
        {"http://a:x%00@p", NULL, "control character in the user or password"},
        {"http://a%3ab:x@p", NULL, "colon in the user name"},
        {"http://p", "ann", "the credentials are not user:password"},
        {"http://p", "ann:a\nb", "control character in the user or password"},
        {"socks5://ann@p", NULL, "SOCKS5 has neither empty user names nor empty passwords"},
        {"socks5://:x@p", NULL, "SOCKS5 has neither empty user names nor empty passwords"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        wst__proxy_url_t u, untouched;
        const char *why;
        memset(&u, 0x55, sizeof(u));
        memset(&untouched, 0x55, sizeof(untouched));
        if (parse(&u, cases[i].url, cases[i].credentials, &why) != WST_EINVAL)
            fail_msg("%s was taken", cases[i].url);
        if (strcmp(why, cases[i].why) != 0)
            fail_msg("%s: \"%s\" instead of \"%s\"", cases[i].url, why, cases[i].why);
        assert_memory_equal(&u, &untouched, sizeof(u));
    }
}

/* What fits is taken, one byte more is not. */
static void test_lengths(void **state) {
    (void)state;
    for (int len = 254; len <= 257; len++) {
        char part[300], url[1000];
        wst__proxy_url_t u;
        const char *why;
        memset(part, 'x', sizeof(part));
        part[len] = '\0';
        int expected = len <= 255 ? 0 : WST_EINVAL;
        snprintf(url, sizeof(url), "http://%s:%s@p", part, part);
        assert_int_equal(parse(&u, url, NULL, &why), expected);
        snprintf(url, sizeof(url), "http://a:%s@p", part);
        assert_int_equal(parse(&u, url, NULL, &why), expected);
        snprintf(url, sizeof(url), "http://a:b@%s:65535", part);
        assert_int_equal(parse(&u, url, NULL, &why), expected);
        if (expected == 0) {
            assert_int_equal(strlen(u.host), len);
            assert_int_equal(strlen(u.name), len + 6);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
