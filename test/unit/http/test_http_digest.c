/* SPDX-License-Identifier: MIT */
/* The arithmetic of Digest. */
#include "support.h"

#include "http_digest.h"

#include <stdio.h>
#include <wstunnel/error.h>

#define NONCE  "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
#define CNONCE "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"

static wst_str_t str(const char *text) {
    return (wst_str_t){text, strlen(text)};
}

/* RFC 7616 section 3.9.1. */
static void test_vectors_of_the_rfc(void **state) {
    (void)state;
    static const struct {
        wst__hash_t hash;
        const char *response;
    } cases[] = {
        {WST__MD5, "8ca523f5e9506fed4657c9700eebdbec"},
        {WST__SHA256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"},
    };
    for (size_t i = 0; i < 2; i++) {
        char ha1[WST__HASH_TEXT], response[WST__HASH_TEXT];
        assert_int_equal(wst__digest_ha1(ha1, cases[i].hash, "Mufasa", "http-auth@example.org",
                                         "Circle of Life"),
                         0);
        const wst__digest_input_t input = {.hash = cases[i].hash,
                                           .ha1 = ha1,
                                           .method = str("GET"),
                                           .uri = str("/dir/index.html"),
                                           .nonce = str(NONCE),
                                           .cnonce = str(CNONCE),
                                           .nc = 1};
        assert_int_equal(wst__digest_response(response, &input), 0);
        assert_string_equal(response, cases[i].response);
    }
}

/* Each of its ingredients counts. */
static void test_everything_counts(void **state) {
    (void)state;
    const wst__digest_input_t right = {.hash = WST__SHA256,
                                       .ha1 = "00",
                                       .method = str("GET"),
                                       .uri = str("/a"),
                                       .nonce = str("n"),
                                       .cnonce = str("c"),
                                       .nc = 0x1abcdef0};
    wst__digest_input_t wrong[7];
    char expect[WST__HASH_TEXT], got[WST__HASH_TEXT];
    for (size_t i = 0; i < 7; i++)
        wrong[i] = right;
    wrong[0].ha1 = "01";
    wrong[1].method = str("PUT");
    wrong[2].uri = str("/b");
    wrong[3].nonce = str("m");
    wrong[4].cnonce = str("d");
    wrong[5].nc++;
    wrong[6].session = true;
    assert_int_equal(wst__digest_response(expect, &right), 0);
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal(wst__digest_response(got, &wrong[i]), 0);
        assert_string_not_equal(got, expect);
    }
}

/* Of a text whose hashes other programs (md5sum) tell: "u:r:p", and its variant with a session,
 * MD5("MD5(u:r:p):n:c") as the first part. */
static void test_session(void **state) {
    (void)state;
    char ha1[WST__HASH_TEXT], response[WST__HASH_TEXT];
    assert_int_equal(wst__digest_ha1(ha1, WST__MD5, "u", "r", "p"), 0);
    assert_string_equal(ha1, "44add22b6f3179b751eafd68ee370f7d");
    const wst__digest_input_t input = {.hash = WST__MD5,
                                       .ha1 = ha1,
                                       .session = true,
                                       .method = str("CONNECT"),
                                       .uri = str("a:1"),
                                       .nonce = str("n"),
                                       .cnonce = str("c"),
                                       .nc = 2};
    assert_int_equal(wst__digest_response(response, &input), 0);
    assert_string_equal(response, "b8afac0a3ba288550580e258826cc66a");
}

#define FIRST "Digest username=\"Muf\\\"asa\", realm=\"r\", uri=\"/dir?a=b\", algorithm=MD5, "
#define REST                                                                                       \
    "nonce=\"" NONCE "\", nc=0000000a, cnonce=\"" CNONCE "\", qop=auth, "                          \
    "response=\"8ca523f5e9506fed4657c9700eebdBEC\""

static int read_text(wst__digest_credentials_t *out, const char *value) {
    wst__auth_t a;
    assert_int_equal(wst__auth_read(&a, str(value)), 0);
    return wst__digest_read(out, &a);
}

static void test_credentials(void **state) {
    (void)state;
    static const uint8_t response[16] = {0x8c, 0xa5, 0x23, 0xf5, 0xe9, 0x50, 0x6f, 0xed,
                                         0x46, 0x57, 0xc9, 0x70, 0x0e, 0xeb, 0xdb, 0xec};
    wst__digest_credentials_t c;
    assert_int_equal(read_text(&c, FIRST REST), 0);
    assert_int_equal(c.hash, WST__MD5);
    assert_string_equal(c.user, "Muf\"asa");
    assert_string_equal(c.realm, "r");
    assert_true(wst_str_eq(c.uri, "/dir?a=b"));
    assert_true(wst_str_eq(c.nonce, NONCE));
    assert_true(wst_str_eq(c.cnonce, CNONCE));
    assert_int_equal(c.nc, 10);
    assert_memory_equal(c.response, response, sizeof(response));
    assert_int_equal(read_text(&c, "digest username=u, realm=r, uri=\"/\", qop=\"auth\", nonce=n, "
                                   "nc=ffffffff, cnonce=c, userhash=false, "
                                   "response=8ca523f5e9506fed4657c9700eebdbec"),
                     0);
    assert_int_equal(c.hash, WST__MD5); /* the default */
    assert_int_equal(c.nc, UINT32_MAX);
}

/* Without any one of them, or with it in a form that is none of ours. */
static void test_credentials_refused(void **state) {
    (void)state;
    static const char *const parts[] = {
        "username=u",  "realm=r",  "uri=\"/\"", "nonce=n",
        "nc=00000001", "cnonce=c", "qop=auth",  "response=8ca523f5e9506fed4657c9700eebdbec",
    };
    static const struct {
        size_t instead_of;
        const char *text;
    } odd[] = {
        {2, "uri=\"/\\\\a\""},
        {2, "uri=\"\""},
        {3, "nonce=\"\""},
        {3, "nonce=\"a\\b\""},
        {4, "nc=1"},
        {4, "nc=0000000g"},
        {4, "nc=000000001"},
        {5, "cnonce=\"\""},
        {6, "qop=auth-int"},
        {6, "qop=\"auth,auth-int\""},
        {6, "qop=auth, qop=auth"},
        {6, "qop=auth, algorithm=SHA-512-256"},
        {6, "qop=auth, algorithm=MD5-sess"},
        {6, "qop=auth, algorithm=SHA-256"}, /* the response is too short then */
        {6, "qop=auth, algorithm=MD5, algorithm=MD5"},
        {6, "qop=auth, userhash=true"},
        {7, "response=8ca523f5e9506fed4657c9700eebdb"},
        {7, "response=8ca523f5e9506fed4657c9700eebdbecec"},
        {7, "response=8ca523f5e9506fed4657c9700eebdbeg"},
    };
    enum { PARTS = sizeof(parts) / sizeof(parts[0]), ODD = sizeof(odd) / sizeof(odd[0]) };
    for (size_t i = 0; i < PARTS + ODD + 1; i++) {
        char value[1024] = "Digest x=y";
        for (size_t k = 0; k < PARTS; k++) {
            bool replaced = i >= PARTS && i < PARTS + ODD && odd[i - PARTS].instead_of == k;
            if (k == i)
                continue;
            strcat(value, ", ");
            strcat(value, replaced ? odd[i - PARTS].text : parts[k]);
        }
        wst__digest_credentials_t c;
        int expect = i == PARTS + ODD ? 0 : WST_EHTTP; /* nothing left out: they are right */
        if (read_text(&c, value) != expect)
            fail_msg("%s", value);
    }
}

/* A user of 255 bytes is the longest; nothing is cut silently. */
static void test_long_user(void **state) {
    (void)state;
    for (int len = 254; len < 258; len++) {
        char value[1024];
        wst__digest_credentials_t c;
        snprintf(value, sizeof(value), "Digest username=\"%0*d\", realm=r, uri=\"/\", " REST, len,
                 7);
        assert_int_equal(read_text(&c, value), len < WST_AUTH_MAX ? 0 : WST_EHTTP);
    }
}

static void test_other_schemes(void **state) {
    (void)state;
    wst__digest_credentials_t c;
    assert_int_equal(read_text(&c, "Digest QTpi"), WST_EHTTP);
    assert_int_equal(read_text(&c, "Digest"), WST_EHTTP);
    assert_int_equal(read_text(&c, "Basic username=u, realm=r, uri=\"/\", " REST), WST_EHTTP);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors_of_the_rfc),
        cmocka_unit_test(test_everything_counts),
        cmocka_unit_test(test_session),
        cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_credentials_refused),
        cmocka_unit_test(test_long_user),
        cmocka_unit_test(test_other_schemes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
