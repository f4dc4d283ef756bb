/* SPDX-License-Identifier: MIT */
/* Which client a request names that has come by proxies, some of them trusted. */
#include "forwarded.h"
#include "support.h"

#include <stdio.h>
#include <wstunnel/error.h>

/* "ADDRESS PORT"; "": the connection's own; "?": the fields contradict each other. */
static const char *client_of(const char *fields) {
    static const char *const texts[] = {"10.0.0.0/8", "2001:db8:1::/48", "127.0.0.1", NULL};
    static char out[WST__IP_TEXT + 8];
    char text[4096], ip[WST__IP_TEXT];
    wst_http_head_t head;
    wst__trusted_t *trusted;
    wst__trusted_error_t error;
    wst__forwarded_client_t client;
    size_t scanned = 0;
    int len = snprintf(text, sizeof(text), "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n%s\r\n", fields);
    assert_int_equal(wst_http_parse_request(&head, text, (size_t)len, &scanned, NULL), len);
    assert_int_equal(wst__trusted_new(&trusted, &test_allocator, texts, &error), 0);
    switch (wst__forwarded_client(&client, &head, trusted)) {
    case WST__FORWARDED_FOUND:
        wst__ip_text(ip, &client.ip);
        snprintf(out, sizeof(out), "%s %u", ip, client.port);
        break;
    case WST__FORWARDED_NONE:
        out[0] = '\0';
        break;
    default:
        snprintf(out, sizeof(out), "?");
    }
    wst__trusted_free(trusted);
    return out;
}

typedef struct sample {
    const char *fields, *client;
} sample_t;

static void check_all(const sample_t *cases, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const char *client = client_of(cases[i].fields);
        if (strcmp(client, cases[i].client) != 0)
            fail_msg("%s: %s instead of %s", cases[i].fields, client, cases[i].client);
    }
}

#define XFF "X-Forwarded-For: "
#define FWD "Forwarded: "

static void test_common(void **state) {
    (void)state;
    static const sample_t cases[] = {
        {"", ""},
        {XFF "192.0.2.7\r\n", "192.0.2.7 0"},
        {"x-forwarded-FOR:192.0.2.7\r\n", "192.0.2.7 0"},
        {XFF "192.0.2.7:4711\r\n", "192.0.2.7 4711"},
        {XFF "2001:db8::7\r\n", "2001:db8::7 0"},
        {XFF "[2001:db8::7]\r\n", "2001:db8::7 0"},
        {XFF "[2001:db8::7]:4711\r\n", "2001:db8::7 4711"},
        /* The rightmost that is not trusted; a client writes what it likes to the left of it. */
        {XFF "6.6.6.6, 192.0.2.7\r\n", "192.0.2.7 0"},
        {XFF "6.6.6.6, 192.0.2.7, 10.1.2.3, 10.0.0.1\r\n", "192.0.2.7 0"},
        {XFF "6.6.6.6\r\n" XFF "192.0.2.7,10.0.0.1\r\n", "192.0.2.7 0"},
        {XFF "6.6.6.6, 192.0.2.7\r\n" XFF "10.0.0.1\r\n", "192.0.2.7 0"},
        {XFF "10.0.0.9, 192.0.2.7, 10.0.0.1\r\n", "192.0.2.7 0"},
        {XFF "192.0.2.7, 127.0.0.1\r\n", "192.0.2.7 0"},
        {XFF "192.0.2.7, 2001:db8:1::5\r\n", "192.0.2.7 0"},
        {XFF " , 192.0.2.7 ,, 10.0.0.1 , \r\n", "192.0.2.7 0"},
        /* All trusted: the leftmost. */
        {XFF "10.0.0.3, 10.0.0.2, 10.0.0.1\r\n", "10.0.0.3 0"},
        /* Up to a hop without an address. */
        {XFF "unknown\r\n", ""},
        {XFF "192.0.2.7, unknown\r\n", ""},
        {XFF "192.0.2.7, unknown, 10.0.0.1\r\n", "10.0.0.1 0"},
        {XFF "unknown, 192.0.2.7\r\n", "192.0.2.7 0"},
        {XFF "192.0.2.7:99999\r\n", ""},
        {XFF "192.0.2.7:\r\n", ""},
        {XFF "192.0.2.7 10.0.0.1\r\n", ""},
        {XFF "192.0.2\r\n", ""},
        {XFF "fe80::1%eth0\r\n", ""},
        {XFF "[192.0.2.7]\r\n", ""},
        {XFF "[2001:db8::7\r\n", ""},
        {XFF "\"192.0.2.7\"\r\n", ""},
        {XFF "\r\n", ""},
    };
    check_all(cases, sizeof(cases) / sizeof(cases[0]));
}

static void test_standard(void **state) {
    (void)state;
    static const sample_t cases[] = {
        /* RFC 7239 section 4. */
        {FWD "for=\"_gazonk\"\r\n", ""},
        {FWD "For=\"[2001:db8:cafe::17]:4711\"\r\n", "2001:db8:cafe::17 4711"},
        {FWD "for=192.0.2.60;proto=http;by=203.0.113.43\r\n", "192.0.2.60 0"},
        {FWD "for=192.0.2.43, for=198.51.100.17\r\n", "198.51.100.17 0"},
        {FWD "for=192.0.2.43\r\n" FWD "for=10.0.0.1\r\n", "192.0.2.43 0"},
        {FWD "for=\"192.0.2.7:4711\"\r\n", "192.0.2.7 4711"},
        {FWD "for=\"192.0.2.7:_port\"\r\n", "192.0.2.7 0"},
        {FWD "proto=\"a,b;c\";for=192.0.2.7\r\n", "192.0.2.7 0"},
        {FWD "proto=https; for=192.0.2.7 ; by=_x\r\n", "192.0.2.7 0"},
        {FWD ";for=192.0.2.7;\r\n", "192.0.2.7 0"},
        {FWD "for=192.0.2.7,,for=10.0.0.1,\r\n", "192.0.2.7 0"},
        {FWD "for=192.0.2.7, by=10.0.0.1\r\n", ""},
        {FWD "for=unknown, for=10.0.0.1\r\n", "10.0.0.1 0"},
        {FWD "for=192.0.2.7;for=192.0.2.8\r\n", ""},
        {FWD "for=192.0.2.7:4711\r\n", ""}, /* not a token */
        {FWD "for=2001:db8::7\r\n", ""},
        {FWD "for=\"2001:db8::7\"\r\n", ""},
        {FWD "for=\"192.0.2.\\7\"\r\n", ""},
        {FWD "for\r\n", ""},
        {FWD "=192.0.2.7\r\n", ""},
        {FWD "192.0.2.7\r\n", ""},
        {FWD "\r\n", ""},
        /* A quote that a client leaves open cannot take in what a proxy appends. */
        {FWD "for=\"6.6.6.6, for=192.0.2.7\r\n", ""},
        {FWD "for=6.6.6.6;a=\"x, for=\"[2001:db8::7]\"\r\n", ""},
        {FWD "a=\"\r\n" FWD "for=192.0.2.7\r\n", "192.0.2.7 0"},
    };
    check_all(cases, sizeof(cases) / sizeof(cases[0]));
}

/* A proxy that appends to one field passes the other one on. */
static void test_both(void **state) {
    (void)state;
    static const sample_t cases[] = {
        {FWD "for=192.0.2.7\r\n" XFF "192.0.2.7\r\n", "192.0.2.7 0"},
        {FWD "for=\"192.0.2.7:1\"\r\n" XFF "6.6.6.6, 192.0.2.7, 10.0.0.1\r\n", "192.0.2.7 1"},
        {FWD "for=6.6.6.6\r\n" XFF "192.0.2.7\r\n", "?"},
        {XFF "6.6.6.6\r\n" FWD "for=192.0.2.7\r\n", "?"},
        {FWD "for=unknown\r\n" XFF "192.0.2.7\r\n", "?"},
        {FWD "for=192.0.2.7\r\n" XFF "unknown\r\n", "?"},
        {FWD "\r\n" XFF "unknown\r\n", ""},
        {FWD "for=6.6.6.6, for=unknown\r\n" XFF "7.7.7.7, unknown\r\n", ""},
    };
    check_all(cases, sizeof(cases) / sizeof(cases[0]));
}

static void test_any(void **state) {
    (void)state;
    static const struct {
        const char *field;
        bool any;
    } cases[] = {
        {"Forwarded: for=x", true},     {"FORWARDED:", true},          {"X-Forwarded-For: x", true},
        {"x-forwarded-proto: x", true}, {"X-Forwarded-: x", true},     {"X-Forwarded: x", false},
        {"Forwarded-For: x", false},    {"X-Real-IP: 1.2.3.4", false}, {"Via: 1.1 x", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[128];
        wst_http_head_t head;
        size_t scanned = 0;
        int len =
            snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n", cases[i].field);
        assert_int_equal(wst_http_parse_request(&head, text, (size_t)len, &scanned, NULL), len);
        assert_int_equal(wst__forwarded_any(&head), cases[i].any);
    }
}

/* Whatever is in front of it, a proxy's own element decides; or else no element does. */
static void test_forged(void **state) {
    (void)state;
    static const char letters[] = "for=\"\\;, []:_-x\t192.06";
    uint64_t seed, count;
    test_seeds(&seed, &count, 1);
    for (uint64_t i = 0; i < 100000 * count; i++) {
        char forged[40], fields[200];
        size_t len = (size_t)(test_random(&seed) % sizeof(forged));
        for (size_t n = 0; n < len; n++)
            forged[n] = letters[test_random(&seed) % (sizeof(letters) - 1)];
        forged[len > 0 ? len - 1 : 0] = '\0';
        for (int six = 0; six < 2; six++) {
            snprintf(fields, sizeof(fields), FWD "%s, for=%s\r\n", forged,
                     six ? "\"[2001:db8::9]:5\"" : "203.0.113.9");
            const char *client = client_of(fields);
            if (client[0] != '\0' && strcmp(client, six ? "2001:db8::9 5" : "203.0.113.9 0") != 0)
                fail_msg("%s: %s", fields, client);
        }
        snprintf(fields, sizeof(fields), XFF "%s, 203.0.113.9\r\n", forged);
        assert_string_equal(client_of(fields), "203.0.113.9 0");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_common), cmocka_unit_test(test_standard), cmocka_unit_test(test_both),
        cmocka_unit_test(test_any),    cmocka_unit_test(test_forged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
