/* SPDX-License-Identifier: MIT */
/* The text that names who has answered. */
#include "support.h"

#include "http_answerer.h"

#include <stdio.h>

static void assert_answerer(const char *fields, const char *expected) {
    char answer[1024], who[WST__ANSWERER_MAX];
    wst_http_head_t head;
    size_t scanned = 0;
    int len = snprintf(answer, sizeof(answer), "HTTP/1.1 403 No\r\n%s\r\n", fields);
    assert_int_equal(wst_http_parse_response(&head, answer, (size_t)len, &scanned, NULL), len);
    wst__http_answerer(who, &head);
    assert_string_equal(who, expected);
}

static void test_names(void **state) {
    (void)state;
    assert_answerer("", "");
    assert_answerer("Server:\r\n", "");
    assert_answerer("sErver: nginx/1.22\r\n", " (Server: nginx/1.22)");
    assert_answerer("Via: 1.1 gate, 1.0 b\r\n", " (Via: 1.1 gate, 1.0 b)");
    assert_answerer("Via: 1.1 gate\r\nServer: a b\r\n", " (Server: a b; Via: 1.1 gate)");
    assert_answerer("Server: n\xc3\xa4h\xff\r\n", " (Server: n??h?)");
}

static void test_long_names_are_cut(void **state) {
    (void)state;
    char fields[512], expected[256];
    snprintf(fields, sizeof(fields), "Server: %0100d\r\nVia: %0100d\r\n", 0, 0);
    snprintf(expected, sizeof(expected), " (Server: %060d; Via: %060d)", 0, 0);
    assert_true(strlen(expected) < WST__ANSWERER_MAX);
    assert_answerer(fields, expected);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_long_names_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
