/* SPDX-License-Identifier: MIT */
/* Credentials in request heads. */
#include "support.h"

#include <stdio.h>
#include <wstunnel/auth.h>

static char text[4096];
static wst_http_head_t head;

static void request(const char *fields) {
    size_t scanned = 0;
    int len = snprintf(text, sizeof(text), "CONNECT a:1 HTTP/1.1\r\n%s\r\n", fields);
    assert_int_equal(wst_http_parse_request(&head, text, (size_t)len, &scanned, NULL), len);
}

static bool basic(const char *fields, const char *user, const char *password) {
    wst_auth_basic_t got;
    request(fields);
    if (!wst_auth_basic_parse(&got, &head, "Proxy-Authorization"))
        return false;
    assert_string_equal(got.user, user);
    assert_string_equal(got.password, password);
    return true;
}

static void test_basic(void **state) {
    (void)state;
    /* RFC 7617 section 2: Aladdin, open sesame. */
    assert_true(basic("Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n", "Aladdin",
                      "open sesame"));
    assert_true(basic("proxy-authorization: bAsIc   QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n", "Aladdin",
                      "open sesame"));
    assert_true(basic("Proxy-Authorization: Basic YTpiOmM=\r\n", "a", "b:c"));
    assert_true(basic("Proxy-Authorization: Basic Og==\r\n", "", ""));
}

static void test_basic_refused(void **state) {
    (void)state;
    static const char *const cases[] = {
        "",
        "Authorization: Basic YTpi\r\n",                                          /* other field */
        "Proxy-Authorization: Basic YTpi\r\nProxy-Authorization: Basic YTpi\r\n", /* twice */
        "Proxy-Authorization: Bearer YTpi\r\n",
        "Proxy-Authorization: Basic\r\n",
        "Proxy-Authorization: BasicYTpi\r\n",
        "Proxy-Authorization: Basic YWI=\r\n",     /* no colon */
        "Proxy-Authorization: Basic YTpi=\r\n",    /* not base64 */
        "Proxy-Authorization: Basic YQA6Yg==\r\n", /* a NUL in the name */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (basic(cases[i], "", ""))
            fail_msg("accepted: %s", cases[i]);
}

/* A name or password of 255 bytes is the longest; nothing is cut silently. */
static void test_basic_lengths(void **state) {
    (void)state;
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t len = 250; len < 520; len++) {
        /* len times 'a', a colon, 'b': in base64 */
        char pair[600], fields[1000];
        memset(pair, 'a', len);
        memcpy(pair + len, ":b", 3);
        int n = snprintf(fields, sizeof(fields), "Proxy-Authorization: Basic ");
        size_t total = len + 2;
        for (size_t i = 0; i < total; i += 3) {
            unsigned v = (unsigned)pair[i] << 16 |
                         (i + 1 < total ? (unsigned)pair[i + 1] : 0) << 8 |
                         (i + 2 < total ? (unsigned)pair[i + 2] : 0);
            fields[n++] = digits[v >> 18];
            fields[n++] = digits[v >> 12 & 63];
            fields[n++] = i + 1 < total ? digits[v >> 6 & 63] : '=';
            fields[n++] = i + 2 < total ? digits[v & 63] : '=';
        }
        memcpy(fields + n, "\r\n", 3);
        wst_auth_basic_t got;
        request(fields);
        bool ok = wst_auth_basic_parse(&got, &head, "Proxy-Authorization");
        assert_int_equal(ok, len < WST_AUTH_MAX);
        assert_true(!ok || strlen(got.user) == len);
    }
}

static void test_bearer(void **state) {
    (void)state;
    request("Authorization: Bearer s3cret\r\n");
    assert_true(wst_auth_bearer_matches(&head, "s3cret"));
    assert_false(wst_auth_bearer_matches(&head, "s3cre"));
    assert_false(wst_auth_bearer_matches(&head, "s3cret2"));
    assert_false(wst_auth_bearer_matches(&head, ""));
    request("Authorization: Bearer s3cret\r\nAuthorization: Bearer other\r\n");
    assert_false(wst_auth_bearer_matches(&head, "s3cret"));
    request("");
    assert_false(wst_auth_bearer_matches(&head, ""));
}

static void test_equal(void **state) {
    (void)state;
    assert_true(wst_auth_equal("", ""));
    assert_true(wst_auth_equal("abc", "abc"));
    assert_false(wst_auth_equal("abc", "abd"));
    assert_false(wst_auth_equal("abc", "ab"));
}

/* FIPS 180-2, appendix B.1. */
static void test_sha256(void **state) {
    (void)state;
    char out[WST_AUTH_HASH_MAX];
    assert_int_equal(wst_auth_sha256(out, "abc"), 0);
    assert_string_equal(out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_basic),         cmocka_unit_test(test_basic_refused),
        cmocka_unit_test(test_basic_lengths), cmocka_unit_test(test_bearer),
        cmocka_unit_test(test_equal),         cmocka_unit_test(test_sha256),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
