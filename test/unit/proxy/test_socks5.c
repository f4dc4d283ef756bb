/* SPDX-License-Identifier: MIT */
/* SOCKS5: the bytes of each message, all splits of the answers, each refusal and its text. */
#include "support.h"

#include "socks5.h"

#include <stdio.h>
#include <wstunnel/error.h>

#define BYTES(text) text, sizeof(text) - 1

/* A conversation: what we must say, what the proxy says then, in turns. */
typedef struct turn {
    const char *says;
    size_t says_len;
    const char *hears;
    size_t hears_len;
} turn_t;

static void assert_out(const wst__socks5_t *s, const turn_t *turn) {
    assert_int_equal(s->out_len, turn->says_len);
    assert_memory_equal(s->out, turn->says, turn->says_len);
}

/*
 * Plays it; each answer comes in pieces of `step` bytes, the last one with "tail" behind it.
 * Returns the end of it.
 */
static int play(wst__socks5_t *s, const turn_t *turns, size_t count, size_t step) {
    int rc = WST__SOCKS5_WRITE;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(rc, WST__SOCKS5_WRITE);
        assert_out(s, &turns[i]);
        char heard[700];
        size_t len = turns[i].hears_len, at = 0;
        memcpy(heard, turns[i].hears, len);
        if (i + 1 == count) {
            memcpy(heard + len, "tail", 4);
            len += 4;
        }
        rc = WST__SOCKS5_READ;
        while (at < len && rc == WST__SOCKS5_READ) {
            size_t n = len - at < step ? len - at : step, used;
            uint8_t *piece = test_guarded(heard + at, n);
            rc = wst__socks5_feed(s, piece, n, &used);
            test_guarded_free(piece, n);
            assert_true(used <= n);
            assert_true(rc != WST__SOCKS5_READ || used == n);
            at += used;
        }
        if (rc >= 0)
            assert_int_equal(at, turns[i].hears_len);
    }
    return rc;
}

static void check(const char *host, const char *user, const char *password, const turn_t *turns,
                  size_t count, int expected, const char *why) {
    for (size_t step = 1; step <= 520; step++) {
        wst__socks5_t s;
        wst__socks5_init(&s, host, 443, user, password);
        int rc = play(&s, turns, count, step);
        if (rc != expected)
            fail_msg("%s: %d instead of %d, in pieces of %zu", why, rc, expected, step);
        assert_string_equal(s.why, why);
        size_t used;
        assert_int_equal(wst__socks5_feed(&s, (const uint8_t *)"x", 1, &used), WST_ESTATE);
        assert_int_equal(used, 0);
    }
}

static void test_open(void **state) {
    (void)state;
    const turn_t name[] = {
        {BYTES("\5\1\0"), BYTES("\5\0")},
        {BYTES("\5\1\0\3\13example.com\1\xbb"), BYTES("\5\0\0\1\177\0\0\1\0\7")},
    };
    check("example.com", NULL, NULL, name, 2, WST__SOCKS5_OPEN, "");
    const turn_t ipv4[] = {
        {BYTES("\5\1\0"), BYTES("\5\0")},
        {BYTES("\5\1\0\1\300\0\2\7\1\xbb"), BYTES("\5\0\0\4"
                                                  "0123456789abcdef\0\7")},
    };
    check("192.0.2.7", NULL, NULL, ipv4, 2, WST__SOCKS5_OPEN, "");
    const turn_t ipv6[] = {
        {BYTES("\5\1\0"), BYTES("\5\0")},
        {BYTES("\5\1\0\4\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\7\1\xbb"), BYTES("\5\0\0\3\4host\0\7")},
    };
    check("2001:db8::7", NULL, NULL, ipv6, 2, WST__SOCKS5_OPEN, "");
    const turn_t no_bound_name[] = {
        {BYTES("\5\1\0"), BYTES("\5\0")},
        {BYTES("\5\1\0\3\1h\1\xbb"), BYTES("\5\0\0\3\0\0\7")},
    };
    check("h", NULL, NULL, no_bound_name, 2, WST__SOCKS5_OPEN, "");
}

static void test_login(void **state) {
    (void)state;
    const turn_t asked[] = {
        {BYTES("\5\2\0\2"), BYTES("\5\2")},
        {BYTES("\1\3ann\6secret"), BYTES("\1\0")},
        {BYTES("\5\1\0\3\1h\1\xbb"), BYTES("\5\0\0\1\177\0\0\1\0\7")},
    };
    check("h", "ann", "secret", asked, 3, WST__SOCKS5_OPEN, "");
    const turn_t not_asked[] = {
        /* then they are not told */
        {BYTES("\5\2\0\2"), BYTES("\5\0")},
        {BYTES("\5\1\0\3\1h\1\xbb"), BYTES("\5\0\0\1\177\0\0\1\0\7")},
    };
    check("h", "ann", "secret", not_asked, 2, WST__SOCKS5_OPEN, "");
    const turn_t refused[] = {
        {BYTES("\5\2\0\2"), BYTES("\5\2")},
        {BYTES("\1\3ann\6secret"), BYTES("\1\1")},
    };
    check("h", "ann", "secret", refused, 2, WST_EPROXYAUTH, "refused the user name or password");
    const turn_t wanted[] = {{BYTES("\5\1\0"), BYTES("\5\xff")}};
    check("h", NULL, NULL, wanted, 1, WST_EPROXYAUTH, "wants authentication");
    const turn_t other[] = {{BYTES("\5\2\0\2"), BYTES("\5\xff")}};
    check("h", "ann", "secret", other, 1, WST_EPROXYAUTH,
          "wants another authentication than user name and password");
}

/* The longest messages there are. */
static void test_longest(void **state) {
    (void)state;
    char text[256], login[3 + 2 * 255], request[7 + 255];
    memset(text, 'x', 255);
    text[255] = '\0';
    memcpy(login, "\1\xff", 2);
    memcpy(login + 2, text, 255);
    login[257] = '\xff';
    memcpy(login + 258, text, 255);
    memcpy(request, "\5\1\0\3\xff", 5);
    memcpy(request + 5, text, 255);
    memcpy(request + 260, "\1\xbb", 2);
    char reply[7 + 255];
    memcpy(reply, request, sizeof(reply));
    reply[1] = 0;
    const turn_t turns[] = {
        {BYTES("\5\2\0\2"), BYTES("\5\2")},
        {login, sizeof(login), BYTES("\1\0")},
        {request, sizeof(request), reply, sizeof(reply)},
    };
    check(text, text, text, turns, 3, WST__SOCKS5_OPEN, "");
}

static void test_replies(void **state) {
    (void)state;
    static const struct {
        const char *reply;
        int error;
        const char *why;
    } cases[] = {
        {"\5\1\1\1\1\1\1\1\1\1", WST_EPROXY, "failed (SOCKS reply 1)"},
        {"\5\2\1\1\1\1\1\1\1\1", WST_EPROXY, "does not allow this connection (SOCKS reply 2)"},
        {"\5\3\1\1\1\1\1\1\1\1", WST_EPROXY, "says: network unreachable (SOCKS reply 3)"},
        {"\5\4\1\1\1\1\1\1\1\1", WST_EPROXY,
         "says: host unreachable, or no such name (SOCKS reply 4)"},
        {"\5\5", WST_EPROXY, "says: connection refused (SOCKS reply 5)"}, /* all that some send */
        {"\5\6\1\1\1\1\1\1\1\1", WST_EPROXY, "says: TTL expired (SOCKS reply 6)"},
        {"\5\7\1\1\1\1\1\1\1\1", WST_EPROXY, "does not know CONNECT (SOCKS reply 7)"},
        {"\5\10\1\1\1\1\1\1\1\1", WST_EPROXY, "does not know this type of address (SOCKS reply 8)"},
        {"\5\11\1\1\1\1\1\1\1\1", WST_EPROXY, "refused (SOCKS reply 9)"},
        {"\5\xff\1\1\1\1\1\1\1\1", WST_EPROXY, "refused (SOCKS reply 255)"},
        {"\4\1", WST_EPROTO, "does not speak SOCKS5"},
        {"HTTP/1.1 400", WST_EPROTO, "does not speak SOCKS5"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const turn_t turns[] = {
            {BYTES("\5\1\0"), BYTES("\5\0")},
            {BYTES("\5\1\0\3\1h\1\xbb"), cases[i].reply, strlen(cases[i].reply)},
        };
        check("h", NULL, NULL, turns, 2, cases[i].error, cases[i].why);
    }
    const turn_t strange[] = {
        {BYTES("\5\1\0"), BYTES("\5\0")},
        {BYTES("\5\1\0\3\1h\1\xbb"), BYTES("\5\0\0\2")},
    };
    check("h", NULL, NULL, strange, 2, WST_EPROTO, "answered with an unknown type of address");
}

static void test_garbage(void **state) {
    (void)state;
    const turn_t http[] = {{BYTES("\5\1\0"), BYTES("HTTP/1.1 400 Bad Request\r\n")}};
    check("h", NULL, NULL, http, 1, WST_EPROTO, "does not speak SOCKS5");
    const turn_t unasked[] = {{BYTES("\5\1\0"), BYTES("\5\2")}};
    check("h", NULL, NULL, unasked, 1, WST_EPROTO,
          "chose a method of authentication that was not offered");
    const turn_t gssapi[] = {{BYTES("\5\2\0\2"), BYTES("\5\1")}};
    check("h", "ann", "secret", gssapi, 1, WST_EPROTO,
          "chose a method of authentication that was not offered");
    uint64_t random = 1;
    for (int i = 0; i < 20000; i++) {
        wst__socks5_t s;
        wst__socks5_init(&s, "h", 1, "u", "p");
        int rc = WST__SOCKS5_READ;
        for (int k = 0; k < 600 && (rc == WST__SOCKS5_READ || rc == WST__SOCKS5_WRITE); k++) {
            /* mostly what leads on */
            uint8_t byte = (uint8_t)test_random(&random);
            if (byte > 8)
                byte = (uint8_t)(test_random(&random) % 2 ? 5 : 0);
            size_t used;
            rc = wst__socks5_feed(&s, &byte, 1, &used);
            assert_int_equal(used, 1);
        }
        assert_true(rc == WST__SOCKS5_OPEN || rc < 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),    cmocka_unit_test(test_login),
        cmocka_unit_test(test_longest), cmocka_unit_test(test_replies),
        cmocka_unit_test(test_garbage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
