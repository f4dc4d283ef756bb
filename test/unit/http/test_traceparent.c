/* SPDX-License-Identifier: MIT */
/* traceparent: what is one, by the rules of W3C Trace Context for each of its parts. */
#include "support.h"

#include "traceparent.h"

#include <stdio.h>

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN  "00f067aa0ba902b7"
#define IDS   "-" TRACE "-" SPAN "-"
#define ZEROS "0000000000000000"

/* Behind the value is an inaccessible page. */
static bool parse(wst__trace_t *out, const char *value) {
    size_t len = strlen(value);
    uint8_t *copy = test_guarded(value, len);
    bool valid = wst__traceparent_parse(out, (wst_str_t){(const char *)copy, len});
    test_guarded_free(copy, len);
    return valid;
}

static void test_valid(void **state) {
    static const char *const values[] = {
        "00" IDS "00",   "00" IDS "01",
        "00" IDS "ff", /* flags that are not known are no fault */
        "01" IDS "01", /* later versions, with more behind or without */
        "01" IDS "01-",  "01" IDS "01-what the future will be like",
        "fe" IDS "01-x", "cc" IDS "01",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        wst__trace_t trace;
        if (!parse(&trace, values[i]))
            fail_msg("%s: refused", values[i]);
        assert_string_equal(trace.trace_id, TRACE);
        assert_string_equal(trace.span_id, SPAN);
    }
}

static void test_nearly_zero(void **state) {
    wst__trace_t trace;
    (void)state;
    assert_true(parse(&trace, "00-" ZEROS "0000000000000001-1000000000000000-00"));
    assert_string_equal(trace.trace_id, ZEROS "0000000000000001");
    assert_string_equal(trace.span_id, "1000000000000000");
}

static void test_invalid(void **state) {
    static const char *const values[] = {
        "",
        "00",
        "00-",
        "ff" IDS "01", /* this version is forbidden */
        "0" IDS "01",
        "000" IDS "01",
        "0x" IDS "01",
        "0A" IDS "01",
        "-1" IDS "01",
        "00" IDS "01-", /* version 00 has one length */
        "00" IDS "01-what",
        "00" IDS "010",
        "00" IDS "0",
        "00" IDS "",
        "00" IDS "0A",
        "00" IDS ".1",
        "01" IDS "01.", /* behind the flags of a later one there is a dash */
        "01" IDS "0102",
        "01" IDS "1",
        "00-" ZEROS ZEROS "-" SPAN "-01",
        "00-" TRACE "-" ZEROS "-01",
        "01-" ZEROS ZEROS "-" SPAN "-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
        "00-" TRACE "-00F067AA0BA902B7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473-" SPAN "-01",
        "00-" TRACE "0-" SPAN "-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473g-" SPAN "-01",
        "00-" TRACE "-00f067aa0ba902b-01",
        "00-" TRACE "-" SPAN "0-01",
        "00-" TRACE "-00f067aa0ba902b_-01",
        "00_" TRACE "-" SPAN "-01",
        "00-" TRACE "_" SPAN "-01",
        "00-" TRACE "-" SPAN "_01",
        " 00" IDS "01",
        "00" IDS "01 ",
        "00" IDS "01,00" IDS "01",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        wst__trace_t trace;
        if (parse(&trace, values[i]))
            fail_msg("%s: taken for %s", values[i], trace.trace_id);
    }
}

/* Cut anywhere, and with any other byte anywhere in the ids, it is none. */
static void test_each_byte(void **state) {
    static const char valid[] = "00" IDS "01";
    char value[sizeof(valid)];
    wst__trace_t trace;
    (void)state;
    for (size_t i = 0; i + 1 < sizeof(valid); i++) {
        snprintf(value, sizeof(value), "%.*s", (int)i, valid);
        assert_false(parse(&trace, value));
        memcpy(value, valid, sizeof(valid));
        for (int c = 1; c < 256; c++) {
            bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
            value[i] = (char)c;
            if (!digit && c != valid[i])
                assert_false(parse(&trace, value));
        }
    }
}

static void test_of_request(void **state) {
    static const struct {
        const char *fields;
        bool has;
    } cases[] = {
        {"traceparent: 00" IDS "01\r\n", true},
        {"TraceParent:\t 00" IDS "01  \r\ntracestate: a=b\r\n", true},
        {"tracestate: a=b\r\n", false},
        {"traceparent: 00" IDS "01\r\ntraceparent: 00" IDS "01\r\n", false},
        {"traceparent:\r\n", false},
        {"trace-parent: 00" IDS "01\r\n", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[512];
        wst_http_head_t head;
        wst__trace_t trace;
        int len = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n%s\r\n", cases[i].fields);
        assert_int_equal(wst_http_parse_request(&head, text, (size_t)len, &(size_t){0}, NULL), len);
        assert_int_equal(wst__trace_of_request(&trace, &head), cases[i].has);
        if (cases[i].has)
            assert_string_equal(trace.trace_id, TRACE);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),      cmocka_unit_test(test_nearly_zero),
        cmocka_unit_test(test_invalid),    cmocka_unit_test(test_each_byte),
        cmocka_unit_test(test_of_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
