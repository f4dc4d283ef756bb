/* SPDX-License-Identifier: MIT */
/* What a client makes of challenges, and how it answers. */
#include "support.h"

#include "http_auth.h"
#include "http_digest.h"
#include "http_offer.h"

#include <stdio.h>
#include <wstunnel/error.h>

#define SHA256 "Digest realm=\"r\", nonce=\"n256\", qop=\"auth\", algorithm=SHA-256"
#define MD5    "Digest realm=\"r\", nonce=\"n5\", qop=\"auth\""

static char text[8192];
static wst_http_head_t head;

/* Of a 407 with these challenges, a field each; the list ends with NULL. */
static wst__offer_t offer_of(const char *const *values) {
    size_t scanned = 0;
    int len = snprintf(text, sizeof(text), "HTTP/1.1 407 No\r\nWWW-Authenticate: Other\r\n");
    for (; *values != NULL; values++)
        len +=
            snprintf(text + len, sizeof(text) - (size_t)len, "Proxy-Authenticate: %s\r\n", *values);
    len += snprintf(text + len, sizeof(text) - (size_t)len, "\r\n");
    assert_int_equal(wst_http_parse_response(&head, text, (size_t)len, &scanned, NULL), len);
    wst__offer_t offer;
    wst__offer_read(&offer, &head, "Proxy-Authenticate");
    return offer;
}

static wst__offer_t offer_of_one(const char *value) {
    const char *const values[] = {value, NULL};
    return offer_of(values);
}

/* The strongest wins wherever it stands; all are named. */
static void test_the_strongest(void **state) {
    (void)state;
    static const char *const cases[][5] = {
        {"Basic realm=\"r\"", MD5, SHA256, NULL},
        {SHA256, MD5, "Basic realm=\"r\"", NULL},
        {"Negotiate, Basic realm=\"r\", " MD5 ", " SHA256 ", NTLM", NULL},
    };
    static const char *const names[] = {"Basic, Digest", "Digest, Basic",
                                        "Negotiate, Basic, Digest, NTLM"};
    for (size_t i = 0; i < 3; i++) {
        wst__offer_t o = offer_of(cases[i]);
        assert_int_equal(o.kind, WST__OFFER_DIGEST);
        assert_int_equal(o.hash, WST__SHA256);
        assert_string_equal(o.nonce, "n256");
        assert_string_equal(o.realm, "r");
        assert_string_equal(o.schemes, names[i]);
        assert_false(o.stale || o.session || o.has_opaque);
    }
    static const char *const twice[] = {SHA256,
                                        "Digest realm=\"r\", nonce=\"other\", "
                                        "qop=\"auth\", algorithm=SHA-256",
                                        NULL};
    assert_string_equal(offer_of(twice).nonce, "n256"); /* the first of equals */
    static const char *const weaker[] = {"basic realm=\"r\"", MD5, NULL};
    wst__offer_t o = offer_of(weaker);
    assert_int_equal(o.kind, WST__OFFER_DIGEST);
    assert_int_equal(o.hash, WST__MD5);
    assert_string_equal(o.schemes, "basic, Digest");
}

static void test_what_cannot_be_answered(void **state) {
    (void)state;
    static const char *const cases[] = {
        "Digest realm=\"r\", nonce=\"n\"",                   /* RFC 2069 */
        "Digest realm=\"r\", nonce=\"n\", qop=\"auth-int\"", /* covers bodies */
        "Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=SHA-512-256",
        "Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=-sess",
        "Digest realm=\"r\", nonce=\"n\", qop=\"auth\", stale=true, stale=true",
        "Digest realm=\"r\", qop=\"auth\"",
        "Digest nonce=\"n\", qop=\"auth\"",
        "Digest",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        wst__offer_t o = offer_of_one(cases[i]);
        if (o.kind != WST__OFFER_NONE || strcmp(o.schemes, "Digest") != 0)
            fail_msg("%s", cases[i]);
    }
    wst__offer_t o = offer_of_one("Negotiate, NTLM");
    assert_int_equal(o.kind, WST__OFFER_NONE);
    assert_string_equal(o.schemes, "Negotiate, NTLM");
    char out[64];
    const wst__offer_answer_t answer = {.user = "u", .password = "p"};
    assert_int_equal(wst__offer_answer(out, sizeof(out), &o, &answer), WST_ESTATE);
    static const char *const none[] = {NULL};
    o = offer_of(none);
    assert_int_equal(o.kind, WST__OFFER_NONE);
    assert_string_equal(o.schemes, "");
}

/* What is malformed in one field does not hide another one; names do not outgrow their room. */
static void test_malformed_and_many(void **state) {
    (void)state;
    static const char *const values[] = {"Basic realm=\"r", MD5, NULL};
    wst__offer_t o = offer_of(values);
    assert_int_equal(o.kind, WST__OFFER_DIGEST);
    char many[1024] = "";
    for (int i = 0; i < 50; i++)
        snprintf(many + strlen(many), sizeof(many) - strlen(many), "Scheme%02d, ", i);
    o = offer_of_one(many);
    assert_int_equal(strncmp(o.schemes, "Scheme00, Scheme01, ", 20), 0);
    assert_true(strlen(o.schemes) > sizeof(o.schemes) - 12);
}

static void test_details(void **state) {
    (void)state;
    wst__offer_t o = offer_of_one("Digest realm=\"a \\\"b\\\"\", nonce=\"n\", stale=TRUE, "
                                  "qop=\"auth-int, auth\", opaque=\"\", algorithm=MD5-sess");
    assert_int_equal(o.kind, WST__OFFER_DIGEST);
    assert_string_equal(o.realm, "a \"b\"");
    assert_true(o.stale && o.session && o.has_opaque);
    assert_string_equal(o.opaque, "");
    assert_int_equal(o.hash, WST__MD5);
    assert_false(offer_of_one(MD5 ", stale=false").stale);
}

static const wst__offer_answer_t alice = {.user = "alice",
                                          .password = "open: sesame",
                                          .method = "CONNECT",
                                          .uri = "host:443",
                                          .cnonce = {1, 2, 0xfe},
                                          .nc = 0x1b};

static void test_basic_answer(void **state) {
    (void)state;
    wst__offer_t o = offer_of_one("Basic realm=\"r\"");
    char out[64];
    int len = wst__offer_answer(out, sizeof(out), &o, &alice);
    assert_string_equal(out, "Basic YWxpY2U6b3Blbjogc2VzYW1l");
    assert_int_equal(len, strlen(out));
    wst__offer_answer_t bad = alice;
    bad.user = "a:b";
    assert_int_equal(wst__offer_answer(out, sizeof(out), &o, &bad), WST_EINVAL);
    bad = alice;
    bad.password = "a\nb";
    assert_int_equal(wst__offer_answer(out, sizeof(out), &o, &bad), WST_EINVAL);
}

/* What is written is read back, and is what the arithmetic says. */
static void test_digest_answers(void **state) {
    (void)state;
    static const char *const algorithms[] = {"MD5", "MD5-sess", "SHA-256", "sha-256-SESS"};
    for (size_t i = 0; i < 4; i++) {
        char value[256], out[1024], ha1[WST__HASH_TEXT], response[WST__HASH_TEXT], opaque[16];
        snprintf(value, sizeof(value),
                 "Digest realm=\"a \\\"\\\\b\", nonce=\"n\", qop=auth, opaque=\"o\\\"\", "
                 "algorithm=%s",
                 algorithms[i]);
        wst__offer_t o = offer_of_one(value);
        int len = wst__offer_answer(out, sizeof(out), &o, &alice);
        assert_int_equal(len, strlen(out));
        wst__auth_t a;
        wst_str_t v;
        assert_int_equal(wst__auth_read(&a, (wst_str_t){out, strlen(out)}), 0);
        assert_int_equal(wst__auth_param(&a, "algorithm", &v), 1);
        assert_true(wst_str_ieq(v, algorithms[i]));
        assert_int_equal(wst__auth_param(&a, "nc", &v), 1);
        assert_true(wst_str_eq(v, "0000001b"));
        assert_int_equal(wst__auth_param(&a, "cnonce", &v), 1);
        assert_true(wst_str_eq(v, "0102fe00000000000000000000000000"));
        assert_int_equal(wst__auth_param_copy(&a, "opaque", opaque, sizeof(opaque)), 1);
        assert_string_equal(opaque, "o\"");
        assert_int_equal(wst__digest_ha1(ha1, o.hash, "alice", "a \"\\b", "open: sesame"), 0);
        const wst__digest_input_t input = {.hash = i < 2 ? WST__MD5 : WST__SHA256,
                                           .ha1 = ha1,
                                           .session = i % 2 == 1,
                                           .method = {"CONNECT", 7},
                                           .uri = {"host:443", 8},
                                           .nonce = {"n", 1},
                                           .cnonce = {"0102fe00000000000000000000000000", 32},
                                           .nc = 0x1b};
        assert_int_equal(wst__digest_response(response, &input), 0);
        assert_int_equal(wst__auth_param(&a, "response", &v), 1);
        assert_true(wst_str_eq(v, response));
        if (i % 2 == 0) { /* as our own server reads it */
            wst__digest_credentials_t c;
            assert_int_equal(wst__digest_read(&c, &a), 0);
            assert_string_equal(c.realm, "a \"\\b");
            assert_true(wst_str_eq(c.uri, "host:443"));
        }
    }
}

/* Each buffer that is too small is refused, without a byte beyond it. */
static void test_small_buffers(void **state) {
    (void)state;
    static const char *const values[] = {"Basic realm=\"r\"", SHA256};
    for (size_t i = 0; i < 2; i++) {
        wst__offer_t o = offer_of_one(values[i]);
        char whole[1024];
        int len = wst__offer_answer(whole, sizeof(whole), &o, &alice);
        for (size_t size = 1; size <= (size_t)len + 1; size++) {
            char *out = malloc(size); /* the sanitizer watches its end */
            int status = wst__offer_answer(out, size, &o, &alice);
            assert_int_equal(status, size > (size_t)len ? len : WST_EHEADBIG);
            free(out);
        }
    }
    wst__offer_t o = offer_of_one(SHA256);
    wst__offer_answer_t bad = alice;
    char out[1024];
    bad.user = "a\r\nInjected: b";
    assert_int_equal(wst__offer_answer(out, sizeof(out), &o, &bad), WST_EINVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_strongest),      cmocka_unit_test(test_what_cannot_be_answered),
        cmocka_unit_test(test_malformed_and_many), cmocka_unit_test(test_details),
        cmocka_unit_test(test_basic_answer),       cmocka_unit_test(test_digest_answers),
        cmocka_unit_test(test_small_buffers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
