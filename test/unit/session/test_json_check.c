/* SPDX-License-Identifier: MIT */
/* The public look at JSON: where a text is wrong, by line and column; and strings that are right
 * whatever is in them. (What is right and wrong at all: test_json.c; it is one scanner.) */
#include "support.h"

#include <stdio.h>
#include <wstunnel/error.h>
#include <wstunnel/json.h>

#include "utf8.h"

/* Checks a copy that ends at an inaccessible page and must stay as it is. */
static int check(const char *text, size_t len, wst_json_error_t *error) {
    uint8_t *copy = test_guarded(text, len);
    int status = wst_json_check((const char *)copy, len, error);
    assert_memory_equal(copy, text, len);
    test_guarded_free(copy, len);
    return status;
}

static void test_place(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t line, column;
        const char *why;
    } cases[] = {
        {"x", 1, 1, "not a JSON object"},
        {"\n\n  [", 3, 3, "not a JSON object"},
        {"\xef\xbb\xbf{}", 1, 1, "not a JSON object"},
        {"{}\n{}", 2, 1, "text behind the JSON object"},
        {"{\n  \"a\": 1,\n  \"b\": 2,\n}", 4, 1, "JSON member name expected"},
        {"{\r\n\"a\": 1\r\n\"b\": 2}", 3, 1, "',' or '}' expected in a JSON object"},
        {"{\"a\": 1,\n \"b\": [1, 2\n", 3, 1, "',' or ']' expected in a JSON array"},
        {"{\"a\": tru}", 1, 7, "JSON value expected"},
        {"{\"a\": -}", 1, 8, "malformed JSON number"},
        {"{\"a\": 01}", 1, 8, "',' or '}' expected in a JSON object"},
        /* characters count, not bytes: the second one is of 4 bytes */
        {"{\"\xc3\xa4\xf0\x90\x80\x80\": x}", 1, 8, "JSON value expected"},
        {"{\"a\": \"b\n", 1, 9, "control character in a JSON string"},
        {"{\"a\": \"b\xff\"}", 1, 9, "JSON text is not UTF-8"},
        {"{\"a\": \"b\\u0000\"}", 1, 9, "U+0000 in a JSON string"},
        {"{\"a\":\n\"b\\x\"}", 2, 3, "malformed escape in a JSON string"},
        {"{\"a\": \"b}", 1, 7, "JSON string without end"}, /* where it begins */
        {"{\"a\": 1,\n \"\\u0061\": 1}", 2, 2, "duplicate member in a JSON object"},
        {"{\"a\":[[[[[[[[", 1, 13, "JSON nested too deep"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        wst_json_error_t error = {0};
        assert_int_equal(check(cases[i].text, strlen(cases[i].text), &error), WST_EINVAL);
        if (error.line != cases[i].line || error.column != cases[i].column ||
            strcmp(error.why, cases[i].why) != 0)
            fail_msg("%s: %zu:%zu: %s", cases[i].text, error.line, error.column, error.why);
    }
    assert_int_equal(check("{\"a\": \"\0\"}", 10, NULL), WST_EINVAL);
}

/* Numbers are left as they are, unlike those of messages. */
static void test_right(void **state) {
    (void)state;
    const char *text = " {\"a\": [1.5, 1e3, -0, 9007199254740993], \"b\": {}}\n";
    wst_json_error_t error = {.why = "untouched"};
    assert_int_equal(check(text, strlen(text), &error), 0);
    assert_string_equal(error.why, "untouched");
}

static void test_members(void **state) {
    (void)state;
    char text[WST_JSON_MEMBERS * 8 + 16] = "{";
    size_t len = 1;
    for (int i = 0; i <= WST_JSON_MEMBERS; i++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "\"%d\":1}", i);
        wst_json_error_t error;
        int status = check(text, len, &error);
        assert_int_equal(status, i < WST_JSON_MEMBERS ? 0 : WST_EINVAL);
        if (status != 0)
            assert_string_equal(error.why, "too many members in a JSON object");
        text[len - 1] = ',';
    }
}

static void test_quote(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"", "\"\""},
        {"plain/", "\"plain/\""},
        {"a\"\\\x01\n\x1f\x7f", "\"a\\\"\\\\\\u0001\\u000a\\u001f\\u007f\""},
        {"\xc2\x80\xc2\x9b\xc2\x9f\xc2\xa0", "\"\\u0080\\u009b\\u009f\xc2\xa0\""},
        {"\xc3\xa4\xf0\x90\x80\x80", "\"\xc3\xa4\xf0\x90\x80\x80\""},
        {"\xff", "\"\xef\xbf\xbd\""},
        {"\xe2\x80\xae\xe2\x80\xaf\xe2\x81\xa6", "\"\\u202e\xe2\x80\xaf\\u2066\""},
        {"a\xc3", "\"a\xef\xbf\xbd\""},
        {"\xed\xa0\x80|", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd|\""},
        {"\xc3\"", "\"\xef\xbf\xbd\\\"\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char out[64];
        size_t len = strlen(cases[i][0]);
        uint8_t *copy = test_guarded(cases[i][0], len);
        size_t n = wst_json_quote(out, sizeof(out), (const char *)copy, len);
        test_guarded_free(copy, len);
        assert_string_equal(out, cases[i][1]);
        assert_int_equal(n, strlen(out));
    }
    char out[16];
    assert_int_equal(wst_json_quote(out, sizeof(out), "a\0b", 3), 10);
    assert_string_equal(out, "\"a\\u0000b\"");
}

/* Into any room from the least on: the front of it, whole characters, a string of its own. */
static void test_cut(void **state) {
    (void)state;
    const char *text = "a\"\xf0\x90\x80\x80\x01\xff";
    const char *whole = "\"a\\\"\xf0\x90\x80\x80\\u0001\xef\xbf\xbd\"";
    size_t sum = 0;
    for (size_t size = 3; size <= strlen(whole) + 1; size++) {
        char *out = malloc(size);
        size_t n = wst_json_quote(out, size, text, strlen(text));
        assert_true(n < size && n >= 2);
        assert_int_equal(strlen(out), n);
        assert_int_equal(out[n - 1], '"');
        assert_memory_equal(out, whole, n - 1);
        for (size_t at = 0; at < n;) {
            uint32_t code;
            size_t step = wst__utf8_get(&code, out + at, n - at);
            assert_true(step > 0);
            at += step;
        }
        sum += n;
        if (size == strlen(whole) + 1)
            assert_string_equal(out, whole);
        free(out);
    }
    /* lengths of what fits: 2 3 3 5 5 5 5 9, then 9 until the code of 6 fits, ... */
    assert_int_equal(sum, 2 + 3 + 3 + 5 * 4 + 9 * 6 + 15 * 3 + 18);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_place), cmocka_unit_test(test_right), cmocka_unit_test(test_members),
        cmocka_unit_test(test_quote), cmocka_unit_test(test_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
