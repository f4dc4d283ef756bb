/* SPDX-License-Identifier: MIT */
/* The JSON scanner against RFC 8259, that cJSON agrees with what it lets through; UTF-8; writing.
 */
#include "support.h"

#include <wstunnel/error.h>

#include "json.h"
#include "json_scan.h"
#include "utf8.h"

/* Scans a copy that ends at an inaccessible page; what is left of it goes to `left`, if not NULL.
 */
static const char *scan(const char *text, size_t len, char *left) {
    char *copy = (char *)test_guarded(text, len);
    const char *wrong = wst__json_scan(copy, len, NULL, 0);
    wst__json_t *root;
    if (wrong == NULL) {
        /* nothing the scanner likes is beyond cJSON */
        assert_int_equal(wst__json_parse(&root, copy, len), 0);
        assert_true(wst__json_is_object(root));
        wst__json_free(root);
    }
    if (left != NULL)
        memcpy(left, copy, len);
    test_guarded_free((uint8_t *)copy, len);
    return wrong;
}

static const char *const right[] = {
    "{}",
    " \t\r\n{ \t\r\n} \t\r\n",
    "{\"\":\"\"}",
    "{\"a\":[],\"b\":[ ],\"c\":{},\"d\":[1,2 , 3]}",
    "{\"a\":true,\"b\":false,\"c\":null}",
    "{\"a\":0,\"b\":-1,\"c\":10,\"d\":9007199254740991,\"e\":-9007199254740991}",
    "{\"a\":0.0,\"b\":-0.5,\"c\":1e5,\"d\":1E+05,\"e\":12.50e-10,\"f\":1e999,\"g\":-0}",
    "{\"\\\"\\\\\\/\\b\\f\\n\\r\\t\":\"\\u0001\\u00e4\\uFFFF\"}",
    "{\"a\":\"\\ud800\\udc00\\uDBFF\\uDFFF\"}",
    "{\"a\":\"\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\"}",
    "{\"a\":\"\xee\x80\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"}",
    "{\"a\":1,\"A\":2,\"a \":3,\"aa\":4,\"\":5}",
    "{\"a\":{\"a\":{\"a\":1}},\"b\":[{\"a\":1},{\"a\":1}]}",
};

/* Right as they are, and wrong wherever they are cut. */
static void test_right(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        size_t len = strlen(right[i]);
        const char *wrong = scan(right[i], len, NULL);
        if (wrong != NULL)
            fail_msg("%s: %s", right[i], wrong);
        while (right[i][len - 1] != '}')
            len--;
        while (len-- > 0)
            assert_non_null(scan(right[i], len, NULL));
    }
}

static void test_wrong(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"", "not a JSON object"},
        {"1", "not a JSON object"},
        {"[{}]", "not a JSON object"},
        {"\xef\xbb\xbf{}", "not a JSON object"}, /* RFC 8259 section 8.1: no byte order mark */
        {"\v{}", "not a JSON object"},
        {"{}{}", "text behind the JSON object"},
        {"{},", "text behind the JSON object"},
        {"{} //", "text behind the JSON object"},
        {"{\"a\":1,}", "JSON member name expected"},
        {"{,}", "JSON member name expected"},
        {"{a:1}", "JSON member name expected"},
        {"{'a':1}", "JSON member name expected"},
        {"{1:1}", "JSON member name expected"},
        {"{/**/}", "JSON member name expected"},
        {"{\"a\"}", "':' expected in a JSON object"},
        {"{\"a\",1}", "':' expected in a JSON object"},
        {"{\"a\":}", "JSON value expected"},
        {"{\"a\":1 \"b\":1}", "',' or '}' expected in a JSON object"},
        {"{\"a\":1]", "',' or '}' expected in a JSON object"},
        {"{\"a\":[1}", "',' or ']' expected in a JSON array"},
        {"{\"a\":[1 2]}", "',' or ']' expected in a JSON array"},
        {"{\"a\":[1,]}", "JSON value expected"},
        {"{\"a\":[,1]}", "JSON value expected"},
        {"{\"a\":True}", "JSON value expected"},
        {"{\"a\":nul}", "JSON value expected"},
        {"{\"a\":NaN}", "JSON value expected"},
        {"{\"a\":nullx}", "',' or '}' expected in a JSON object"},
        {"{\"a\":Infinity}", "JSON value expected"},
        {"{\"a\":01}", "',' or '}' expected in a JSON object"},
        {"{\"a\":-01}", "',' or '}' expected in a JSON object"},
        {"{\"a\":0x1}", "',' or '}' expected in a JSON object"},
        {"{\"a\":+1}", "JSON value expected"},
        {"{\"a\":.5}", "JSON value expected"},
        {"{\"a\":-}", "malformed JSON number"},
        {"{\"a\":-a}", "malformed JSON number"},
        {"{\"a\":1.}", "malformed JSON number"},
        {"{\"a\":1.e5}", "malformed JSON number"},
        {"{\"a\":1e}", "malformed JSON number"},
        {"{\"a\":1e+}", "malformed JSON number"},
        {"{\"a\":1e+-1}", "malformed JSON number"},
        {"{\"a\":1e5.0}", "',' or '}' expected in a JSON object"},
        {"{\"a\":\"\\u0000\"}", "U+0000 in a JSON string"},
        {"{\"\\u0000\":1}", "U+0000 in a JSON string"},
        {"{\"a\":\"\\x\"}", "malformed escape in a JSON string"},
        {"{\"a\":\"\\U0041\"}", "malformed escape in a JSON string"},
        {"{\"a\":\"\\u004\"}", "malformed escape in a JSON string"},
        {"{\"a\":\"\\u004g\"}", "malformed escape in a JSON string"},
        {"{\"a\":\"\\u 041\"}", "malformed escape in a JSON string"},
        {"{\"a\":\"\\u-041\"}", "malformed escape in a JSON string"},
        {"{\"a\":\"\\ud800\"}", "lone surrogate in a JSON string"},
        {"{\"a\":\"\\udfff\"}", "lone surrogate in a JSON string"},
        {"{\"a\":\"\\udc00\\udc00\"}", "lone surrogate in a JSON string"},
        {"{\"a\":\"\\ud800x\\udc00\"}", "lone surrogate in a JSON string"},
        {"{\"a\":\"\\ud800\\ud800\"}", "lone surrogate in a JSON string"},
        {"{\"a\":\"\\ud800\\ue000\"}", "lone surrogate in a JSON string"},
        {"{\"a\":\"\\ud800\\u0041\"}", "lone surrogate in a JSON string"},
        {"{\"a\":\"\\ud800\\n\\u0041\"}", "lone surrogate in a JSON string"},
        {"{\"a\":\"\n\"}", "control character in a JSON string"},
        {"{\"a\":\"\x1f\"}", "control character in a JSON string"},
        {"{\"\t\":1}", "control character in a JSON string"},
        {"{\"a\":\"\xff\"}", "JSON text is not UTF-8"},
        {"{\"\xc3\":1}", "JSON text is not UTF-8"},
        {"{\"a\":1,\"a\":1}", "duplicate member in a JSON object"},
        {"{\"a\":1,\"b\":1,\"\\u0061\":1}", "duplicate member in a JSON object"},
        {"{\"\\\"\":1,\"\\u0022\":1}", "duplicate member in a JSON object"},
        {"{\"\":1,\"\":1}", "duplicate member in a JSON object"},
        {"{\"\xf0\x90\x80\x80\":1,\"\\uD800\\uDC00\":1}", "duplicate member in a JSON object"},
        {"{\"x\":[{\"a\":1,\"a\":1}]}", "duplicate member in a JSON object"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *wrong = scan(cases[i][0], strlen(cases[i][0]), NULL);
        if (wrong == NULL || strcmp(wrong, cases[i][1]) != 0)
            fail_msg("%s: %s", cases[i][0], wrong);
    }
    assert_string_equal(scan("{\"a\":\"x\0\"}", 10, NULL), "control character in a JSON string");
    assert_string_equal(scan("{\0}", 3, NULL), "JSON member name expected");
    assert_string_equal(scan("{}\0", 3, NULL), "text behind the JSON object");
}

static void test_bounds(void **state) {
    (void)state;
    assert_null(scan("{\"a\":[[[[[[[1]]]]]]]}", 21, NULL)); /* 8 deep */
    assert_string_equal(scan("{\"a\":[[[[[[[{}]]]]]]]}", 22, NULL), "JSON nested too deep");
    assert_string_equal(scan("{\"a\":[[[[[[[[1]]]]]]]]}", 23, NULL), "JSON nested too deep");

    char text[WST__JSON_MEMBERS * 8 + 16] = "{";
    size_t len = 1;
    for (int i = 0; i <= WST__JSON_MEMBERS; i++) {
        const char member[] = {'"', (char)('0' + i / 10), (char)('0' + i % 10), '"', ':', '1', ','};
        memcpy(text + len, member, sizeof(member));
        len += sizeof(member);
        text[len - 1] = '}';
        const char *wrong = scan(text, len, NULL);
        text[len - 1] = ',';
        if (i < WST__JSON_MEMBERS)
            assert_null(wrong);
        else
            assert_string_equal(wrong, "too many members in a JSON object");
    }
}

/* A number that is not exact is none any more. */
static void test_numbers(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"{\"a\":0}", "{\"a\":0}"},
        {"{\"a\":-1}", "{\"a\":-1}"},
        {"{\"a\":9007199254740991}", "{\"a\":9007199254740991}"},
        {"{\"a\":-9007199254740991}", "{\"a\":-9007199254740991}"},
        {"{\"a\":9007199254740992}", "{\"a\":{}              }"},
        {"{\"a\":-9007199254740992}", "{\"a\":{}               }"},
        {"{\"a\":10000000000000000}", "{\"a\":{}               }"},
        {"{\"a\":18446744073709551617}", "{\"a\":{}                  }"},
        {"{\"a\":-0}", "{\"a\":{}}"},
        {"{\"a\":1.0}", "{\"a\":{} }"},
        {"{\"a\":1e0}", "{\"a\":{} }"},
        {"{\"a\":[0.5,5]}", "{\"a\":[{} ,5]}"},
        {"{\"a\":[1E-2]}", "{\"a\":[{}  ]}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char left[64];
        size_t len = strlen(cases[i][0]);
        assert_null(scan(cases[i][0], len, left));
        assert_memory_equal(left, cases[i][1], len);
    }
}

static void test_members(void **state) {
    (void)state;
    char text[] =
        "{\"x\":{\"n\":1,\"s\":\"no\"},\"n\" : 12 ,\"\\u0073\":\"a\\n\\u00e4\\ud83d\\ude00\","
        "\"ss\":3,\"e\":\"\",\"m\":-1,\"f\":1.5}";
    wst__json_member_t m[] = {{"n", NULL, 0}, {"s", NULL, 0},    {"e", NULL, 0}, {"m", NULL, 0},
                              {"f", NULL, 0}, {"none", text, 9}, {"x", NULL, 0}};
    assert_null(wst__json_scan(text, sizeof(text) - 1, m, 7));
    uint64_t n = 0;
    char *s;
    size_t len;
    assert_true(wst__json_member_uint(&m[0], &n));
    assert_int_equal(n, 12);
    assert_true(wst__json_member_string(&m[1], &s, &len));
    assert_int_equal(len, 8);
    assert_memory_equal(s, "a\n\xc3\xa4\xf0\x9f\x98\x80", 8);
    assert_true(wst__json_member_string(&m[2], &s, &len));
    assert_int_equal(len, 0);
    assert_null(m[5].value);
    for (size_t i = 1; i < 7; i++)
        assert_false(wst__json_member_uint(&m[i], &n));
    assert_false(wst__json_member_string(&m[0], &s, &len));
    assert_false(wst__json_member_string(&m[5], &s, &len));
    assert_false(wst__json_member_string(&m[6], &s, &len));
}

static void test_tree(void **state) {
    (void)state;
    const char *text = "{\"A\":9,\"a\":-5,\"b\":9007199254740991,\"s\":\"x\\ny\",\"n\":null,"
                       "\"o\":{\"a\":1},\"l\":[\"\",\"b\"],\"e\":[],\"m\":[\"a\",null]}";
    wst__json_t *root;
    int64_t n = 0;
    wst_str_t str;
    assert_int_equal(wst__json_parse(&root, text, strlen(text)), 0);
    assert_true(wst__json_integer(wst__json_get(root, "a"), -5, -5, &n));
    assert_int_equal(n, -5);
    assert_false(wst__json_integer(wst__json_get(root, "a"), -4, 9, &n));
    assert_false(wst__json_integer(wst__json_get(root, "a"), -9, -6, &n));
    assert_true(wst__json_integer(wst__json_get(root, "b"), 0, INT64_MAX, &n));
    assert_int_equal(n, 9007199254740991);
    assert_false(wst__json_integer(wst__json_get(root, "s"), INT64_MIN, INT64_MAX, &n));
    assert_true(wst__json_string(wst__json_get(root, "s"), &str));
    assert_int_equal(str.len, 3);
    assert_memory_equal(str.ptr, "x\ny", 3);
    assert_false(wst__json_string(wst__json_get(root, "a"), &str));
    assert_null(wst__json_get(root, "n"));
    assert_null(wst__json_get(root, "S"));
    assert_null(wst__json_get(wst__json_get(root, "none"), "a"));
    assert_null(wst__json_get(wst__json_get(root, "l"), "a"));
    assert_true(wst__json_is_object(wst__json_get(root, "o")));
    assert_false(wst__json_is_object(wst__json_get(root, "l")));
    assert_false(wst__json_is_object(NULL));
    assert_true(wst__json_is_array_of_strings(wst__json_get(root, "l")));
    assert_true(wst__json_is_array_of_strings(wst__json_get(root, "e")));
    assert_false(wst__json_is_array_of_strings(wst__json_get(root, "m")));
    assert_false(wst__json_is_array_of_strings(wst__json_get(root, "o")));
    wst__json_free(root);
    wst__json_free(NULL);
}

static void test_write(void **state) {
    (void)state;
    const wst_str_t text = {"a\"\\/\x01\x1f\x7f\xc3\xa4", 9};
    const char *expect = "[\"a\\\"\\\\/\\u0001\\u001f\x7f\xc3\xa4\",0,18446744073709551615";
    size_t len = strlen(expect);
    for (size_t cap = 0; cap <= len; cap++) {
        char *buf = malloc(cap);
        wst__json_writer_t w = {buf, buf + cap, false};
        wst__json_put(&w, "[");
        wst__json_put_string(&w, text);
        wst__json_put(&w, ",");
        wst__json_put_uint(&w, 0);
        wst__json_put(&w, ",");
        wst__json_put_uint(&w, UINT64_MAX);
        assert_int_equal(w.overflow, cap < len);
        if (cap == len) {
            assert_ptr_equal(w.at, w.end);
            assert_memory_equal(buf, expect, len);
        }
        free(buf);
    }
}

/* RFC 3629 section 4, at its borders. */
static void test_utf8(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf",
        "\xc2",
        "\xc2\x7f",
        "\xc2\xc0",
        "\xe0\x9f\xbf",
        "\xe0\xa0",
        "\xe1\x80\x7f",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xf0\x8f\xbf\xbf",
        "\xf0\x90\x80",
        "\xf1\x80\x80\xc0",
        "\xf1\x80\xc0\x80",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xfe",
        "\xff",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        uint32_t code;
        size_t len = strlen(wrong[i]);
        uint8_t *copy = test_guarded(wrong[i], len);
        assert_int_equal(wst__utf8_get(&code, (char *)copy, len), 0);
        test_guarded_free(copy, len);
    }
    for (uint32_t code = 0; code <= 0x10ffff; code++) {
        char bytes[4];
        uint32_t back = 0;
        if (code == 0xd800)
            code = 0xe000;
        size_t n = wst__utf8_put(bytes, code);
        if (wst__utf8_get(&back, bytes, 4) != n || back != code ||
            wst__utf8_get(&back, bytes, n) != n)
            fail_msg("U+%04X", code);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right),   cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_bounds),  cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_members), cmocka_unit_test(test_tree),
        cmocka_unit_test(test_write),   cmocka_unit_test(test_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
