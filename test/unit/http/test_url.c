/* SPDX-License-Identifier: MIT */
/* URLs of servers: what is taken, what is refused and why. Each ends at an inaccessible page. */
#include "support.h"

#include "url.h"

#include <stdio.h>
#include <wstunnel/error.h>

static int parse(wst__url_t *out, const char *url, const char **why, uint8_t **copy) {
    *copy = test_guarded(url, strlen(url) + 1);
    *why = NULL;
    return wst__url_parse(out, (const char *)*copy, why);
}

static void assert_str(wst_str_t got, const char *expected) {
    if (!wst_str_eq(got, expected))
        fail_msg("%.*s instead of %s", (int)got.len, got.ptr, expected);
}

static void test_taken(void **state) {
    (void)state;
    static const struct {
        const char *url, *host, *authority, *path;
        uint16_t port;
        bool tls;
    } cases[] = {
        {"ws://host", "host", "host", "/websocket", 80, false},
        {"ws://host/", "host", "host", "/", 80, false},
        {"wss://host", "host", "host", "/websocket", 443, true},
        {"WSS://host/", "host", "host", "/", 443, true},
        {"wss://host:80/x", "host", "host:80", "/x", 80, true},
        {"wss://[::1]/x", "::1", "[::1]", "/x", 443, true},
        {"ws://host:8080", "host", "host:8080", "/websocket", 8080, false},
        {"ws://host:8080/a/b?c=d&e", "host", "host:8080", "/a/b?c=d&e", 8080, false},
        {"ws://host/a?b:c/d", "host", "host", "/a?b:c/d", 80, false},
        {"WS://Host.example./x", "Host.example.", "Host.example.", "/x", 80, false},
        {"ws://127.0.0.1:1/x", "127.0.0.1", "127.0.0.1:1", "/x", 1, false},
        {"ws://[::1]", "::1", "[::1]", "/websocket", 80, false},
        {"ws://[::1]:65535/x", "::1", "[::1]:65535", "/x", 65535, false},
        {"ws://[2001:db8::80]/x", "2001:db8::80", "[2001:db8::80]", "/x", 80, false},
        {"ws://[::ffff:192.0.2.1]/x", "::ffff:192.0.2.1", "[::ffff:192.0.2.1]", "/x", 80, false},
        {"ws://caf\xc3\xa9:80/\xc3\xa9", "caf\xc3\xa9", "caf\xc3\xa9:80", "/\xc3\xa9", 80, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        wst__url_t u;
        const char *why;
        uint8_t *copy;
        if (parse(&u, cases[i].url, &why, &copy) != 0)
            fail_msg("%s: %s", cases[i].url, why);
        assert_str(u.host, cases[i].host);
        assert_str(u.authority, cases[i].authority);
        assert_str(u.path, cases[i].path);
        assert_int_equal(u.port, cases[i].port);
        assert_int_equal(u.tls, cases[i].tls);
        test_guarded_free(copy, strlen(cases[i].url) + 1);
    }
}

static void assert_refused(const char *url, const char *reason) {
    wst__url_t u, untouched;
    const char *why;
    uint8_t *copy;
    memset(&u, 0x55, sizeof(u));
    memset(&untouched, 0x55, sizeof(untouched));
    if (parse(&u, url, &why, &copy) != WST_EINVAL)
        fail_msg("%s was taken", url);
    if (strcmp(why, reason) != 0)
        fail_msg("%s: \"%s\" instead of \"%s\"", url, why, reason);
    assert_memory_equal(&u, &untouched, sizeof(u));
    test_guarded_free(copy, strlen(url) + 1);
}

static void test_refused(void **state) {
    (void)state;
    static const struct {
        const char *url, *why;
    } cases[] = {
        {"", "not a ws:// or wss:// URL"},
        {"w", "not a ws:// or wss:// URL"},
        {"ws:/", "not a ws:// or wss:// URL"},
        {"host:80", "not a ws:// or wss:// URL"},
        {"http://host/", "not a ws:// or wss:// URL"},
        {" ws://host/", "not a ws:// or wss:// URL"},
        {"wss:/", "not a ws:// or wss:// URL"},
        {"https://host/", "not a ws:// or wss:// URL"},
        {"wss://", "no host"},
        {"wss://host:0/", "port is not a number from 1 to 65535"},
        {"ws://", "no host"},
        {"ws:///path", "no host"},
        {"ws://:80/path", "no host"},
        {"ws://host:/", "port is not a number from 1 to 65535"},
        {"ws://host:0/", "port is not a number from 1 to 65535"},
        {"ws://host:65536/", "port is not a number from 1 to 65535"},
        {"ws://host:x/", "port is not a number from 1 to 65535"},
        {"ws://user:password@host/", "port is not a number from 1 to 65535"},
        {"ws://user@host/", "character not allowed in a host name"},
        {"ws://ho st/", "character not allowed in a host name"},
        {"ws://host\r\nX: y/", "character not allowed in a host name"},
        {"ws://ho\\st/", "character not allowed in a host name"},
        {"ws://[::1", "no closing bracket"},
        {"ws://[::1]x/", "text behind the closing bracket"},
        {"ws://[host]/", "not an IPv6 address"},
        {"ws://::1/", "colon in a host that is no IPv6 address"},
        {"ws://2001:db8::1:80/", "IPv6 address without brackets"},
        {"ws://[::1]:443]/", "port is not a number from 1 to 65535"},
        {"ws://127.1/", "not an IPv4 address"},
        {"ws://host?query", "a query needs a path before it"},
        {"ws://host#fragment", "a fragment makes no sense here"},
        {"ws://host/path#fragment", "a fragment makes no sense here"},
        {"ws://host/a b", "space or control character in the path"},
        {"ws://host/a\r\nX: y", "space or control character in the path"},
        {"ws://host/a\x7f", "space or control character in the path"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_refused(cases[i].url, cases[i].why);
}

/* The longest of each part, and one byte more. */
static void test_lengths(void **state) {
    (void)state;
    wst__url_t u;
    const char *why;
    uint8_t *copy;
    char url[9000];

    char host[302];
    memset(host, 'h', sizeof(host));
    snprintf(url, sizeof(url), "ws://%.255s:65535/x", host);
    assert_int_equal(parse(&u, url, &why, &copy), 0);
    assert_int_equal(u.host.len, 255);
    assert_int_equal(u.port, 65535);
    test_guarded_free(copy, strlen(url) + 1);
    snprintf(url, sizeof(url), "ws://%.256s/x", host);
    assert_refused(url, "host name too long");
    snprintf(url, sizeof(url), "ws://%.300s/x", host);
    assert_refused(url, "host name too long");
    snprintf(url, sizeof(url), "ws://%.301s/x", host);
    assert_refused(url, "host too long");

    static char path[8001];
    memset(path, 'p', sizeof(path));
    path[0] = '/';
    snprintf(url, sizeof(url), "ws://host%.8000s", path);
    assert_int_equal(parse(&u, url, &why, &copy), 0);
    assert_int_equal(u.path.len, 8000);
    test_guarded_free(copy, strlen(url) + 1);
    snprintf(url, sizeof(url), "ws://host%.8001s", path);
    assert_refused(url, "path too long");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_lengths),
    };
    return cmocka_run_group_tests_name("url", tests, NULL, NULL);
}
