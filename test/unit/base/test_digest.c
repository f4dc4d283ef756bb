/* SPDX-License-Identifier: MIT */
/* SHA-1 and base64 against the examples of their RFCs; strictness of the decoder. */
#include "digest.h"
#include "support.h"

static void test_sha1_of_the_rfc(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint8_t digest[20];
    } vectors[] = {
        /* RFC 3174 section 7.3 */
        {"abc", {0xa9, 0x99, 0x3e, 0x36, 0x47, 0x06, 0x81, 0x6a, 0xba, 0x3e,
                 0x25, 0x71, 0x78, 0x50, 0xc2, 0x6c, 0x9c, 0xd0, 0xd8, 0x9d}},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         {0x84, 0x98, 0x3e, 0x44, 0x1c, 0x3b, 0xd2, 0x6e, 0xba, 0xae,
          0x4a, 0xa1, 0xf9, 0x51, 0x29, 0xe5, 0xe5, 0x46, 0x70, 0xf1}},
        {"", {0xda, 0x39, 0xa3, 0xee, 0x5e, 0x6b, 0x4b, 0x0d, 0x32, 0x55,
              0xbf, 0xef, 0x95, 0x60, 0x18, 0x90, 0xaf, 0xd8, 0x07, 0x09}},
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        uint8_t digest[20];
        assert_int_equal(wst__sha1(digest, vectors[i].text, strlen(vectors[i].text)), 0);
        assert_memory_equal(digest, vectors[i].digest, 20);
    }
}

/* RFC 4648 section 10 */
static const struct {
    const char *plain, *coded;
} vectors[] = {{"", ""},
               {"f", "Zg=="},
               {"fo", "Zm8="},
               {"foo", "Zm9v"},
               {"foob", "Zm9vYg=="},
               {"fooba", "Zm9vYmE="},
               {"foobar", "Zm9vYmFy"}};

static void test_base64_of_the_rfc(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        size_t plain_len = strlen(vectors[i].plain), coded_len = strlen(vectors[i].coded), len;
        assert_int_equal(WST__BASE64_LEN(plain_len), coded_len);
        char *coded = malloc(coded_len + 1); /* exactly what is asked for */
        assert_non_null(coded);
        assert_int_equal(wst__base64_encode(coded, vectors[i].plain, plain_len), coded_len);
        assert_string_equal(coded, vectors[i].coded);
        free(coded);

        uint8_t *in = test_guarded(vectors[i].coded, coded_len);
        uint8_t *out = malloc(coded_len / 4 * 3 + 1);
        assert_non_null(out);
        assert_true(wst__base64_decode(out, &len, (char *)in, coded_len));
        assert_int_equal(len, plain_len);
        assert_memory_equal(out, vectors[i].plain, plain_len);
        free(out);
        test_guarded_free(in, coded_len);
    }
}

static void test_base64_round_trip_in_place(void **state) {
    (void)state;
    uint64_t seed = 7;
    for (size_t len = 0; len < 300; len++) {
        uint8_t plain[300] = {0};
        char coded[WST__BASE64_LEN(sizeof(plain)) + 1];
        size_t out_len;
        for (size_t i = 0; i < len; i++)
            plain[i] = (uint8_t)(test_random(&seed) >> 32);
        size_t coded_len = wst__base64_encode(coded, plain, len);
        assert_int_equal(coded_len, WST__BASE64_LEN(len));
        assert_true(wst__base64_decode((uint8_t *)coded, &out_len, coded, coded_len));
        assert_int_equal(out_len, len);
        assert_memory_equal(coded, plain, len);
    }
}

static void test_base64_is_strict(void **state) {
    (void)state;
    static const char *const bad[] = {
        "Z",
        "Zg",
        "Zg=",
        "Zg===",
        "Zm8",
        "Zm9vY", /* cut */
        "Zh==",
        "Zm9=",
        "Zm9vYh==", /* unused bits */
        "====",
        "=",
        "A===",
        "=AAA",
        "A=AA",
        "AA=A", /* padding */
        "Zm9vZg==Zm9v",
        "Zg==Zg==",
        "Zm8=====",
        "Zm9v====", /* more behind */
        "Zm9v\n",
        "Zm9v\r\n",
        "Zm\n9",
        "Zm9v\n\n\n\n",
        "\n\n\n\n",
        "Zm9 ", /* line breaks */
        "Zm9v   \n",
        "Z m 9 v ",
        "Zm9vZm9\r",
        "    ",
        "Zm9-",
        "Zm9_",
        "Zm9*",
        "Zm9\x80",
        "Zm9\xff",
        "Zm9.", /* alphabet */
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t out[16];
        size_t len = 99;
        if (wst__base64_decode(out, &len, bad[i], strlen(bad[i])))
            fail_msg("accepted: %s", bad[i]);
        assert_int_equal(len, 99);
    }
    uint8_t out[3];
    size_t len;
    assert_false(wst__base64_decode(out, &len, "Zm\0v", 4));
}

/* Whatever is accepted is what encoding gives: no two texts mean the same. */
static void test_base64_is_canonical(void **state) {
    (void)state;
    static const char alphabet[] = "AZaz09+/= \n-Bg";
    for (size_t a = 0; a < 14; a++)
        for (size_t b = 0; b < 14; b++)
            for (size_t c = 0; c < 14; c++)
                for (size_t d = 0; d < 14; d++) {
                    char text[5] = {alphabet[a], alphabet[b], alphabet[c], alphabet[d], '\0'};
                    char again[5];
                    uint8_t out[3];
                    size_t len;
                    if (!wst__base64_decode(out, &len, text, 4))
                        continue;
                    wst__base64_encode(again, out, len);
                    assert_string_equal(again, text);
                }
}

static void test_equal_constant_time(void **state) {
    (void)state;
    assert_true(wst__equal_constant_time("secret", 6, "secret", 6));
    assert_false(wst__equal_constant_time("secret", 6, "secreT", 6));
    assert_false(wst__equal_constant_time("Secret", 6, "secret", 6));
    assert_false(wst__equal_constant_time("secret", 6, "secret", 5));
    assert_false(wst__equal_constant_time("", 0, "s", 1));
    assert_true(wst__equal_constant_time("", 0, "", 0));
}

/* RFC 1321 section A.5; FIPS 180-4's example; the parts are one text. */
static void test_hashes(void **state) {
    (void)state;
    static const wst_str_t parts[] = {{"a", 1}, {NULL, 0}, {"bc", 2}};
    uint8_t out[WST__HASH_MAX];
    char hex[WST__HASH_TEXT];
    assert_int_equal(wst__hash(WST__MD5, out, parts, 3), 0);
    wst__hex_encode(hex, out, wst__hash_len(WST__MD5));
    assert_string_equal(hex, "900150983cd24fb0d6963f7d28e17f72");
    assert_int_equal(wst__hash(WST__SHA256, out, parts, 3), 0);
    wst__hex_encode(hex, out, wst__hash_len(WST__SHA256));
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(wst__hash(WST__MD5, out, NULL, 0), 0);
    wst__hex_encode(hex, out, wst__hash_len(WST__MD5));
    assert_string_equal(hex, "d41d8cd98f00b204e9800998ecf8427e");
}

/* RFC 4231 section 4.3. */
static void test_hmac(void **state) {
    (void)state;
    static const char data[] = "what do ya want for nothing?";
    uint8_t out[32];
    char hex[WST__HASH_TEXT];
    assert_int_equal(wst__hmac(out, (const uint8_t *)"Jefe", 4, data, strlen(data)), 0);
    wst__hex_encode(hex, out, sizeof(out));
    assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

static void test_hex(void **state) {
    (void)state;
    uint8_t out[2];
    assert_true(wst__hex_decode(out, 2, (wst_str_t){"09aF", 4}));
    assert_int_equal(out[0], 0x09);
    assert_int_equal(out[1], 0xaf);
    assert_true(wst__hex_decode(out, 0, (wst_str_t){"", 0}));
    static const char *const wrong[] = {"", "09a", "09aF0", "09ag", "/9af", "0:af", "09a ", "09`f"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(wst__hex_decode(out, 2, (wst_str_t){wrong[i], strlen(wrong[i])}));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha1_of_the_rfc),
        cmocka_unit_test(test_base64_of_the_rfc),
        cmocka_unit_test(test_base64_round_trip_in_place),
        cmocka_unit_test(test_base64_is_strict),
        cmocka_unit_test(test_base64_is_canonical),
        cmocka_unit_test(test_equal_constant_time),
        cmocka_unit_test(test_hashes),
        cmocka_unit_test(test_hmac),
        cmocka_unit_test(test_hex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
