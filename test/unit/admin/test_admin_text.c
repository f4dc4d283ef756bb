/* SPDX-License-Identifier: MIT */
/* Texts of fixed size, and forms. */
#include "support.h"

#include "admin_form.h"
#include "admin_text.h"

static void assert_text(wst__admin_text_t *t, const char *text) {
    assert_false(t->full);
    assert_int_equal(t->len, strlen(text));
    assert_memory_equal(t->at, text, t->len);
    t->len = 0;
}

static void test_numbers(void **state) {
    char buffer[200];
    wst__admin_text_t t = {.at = buffer, .size = sizeof(buffer)};
    (void)state;
    wst__admin_put_number(&t, UINT64_MAX);
    wst__admin_put_signed(&t, -7);
    wst__admin_put_bool(&t, true);
    assert_text(&t, "18446744073709551615-7true");
    static const struct {
        uint64_t us;
        const char *seconds, *ms;
    } times[] = {{0, "0.0", "0.000"},          {1, "0.000001", "0.001"},
                 {250, "0.00025", "0.250"},    {1000000, "1.0", "1000.000"},
                 {2500000, "2.5", "2500.000"}, {20000000, "20.0", "20000.000"}};
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        wst__admin_put_seconds(&t, times[i].us);
        assert_text(&t, times[i].seconds);
        wst__admin_put_ms(&t, times[i].us);
        assert_text(&t, times[i].ms);
    }
}

static void test_quotes(void **state) {
    char buffer[200];
    wst__admin_text_t t = {.at = buffer, .size = sizeof(buffer)};
    (void)state;
    wst__admin_put_label(&t, "a\"\\\n\xc3\xa4\xff");
    assert_text(&t, "\"a\\\"\\\\\\n\xc3\xa4\xef\xbf\xbd\"");
    wst__admin_put_json(&t, "a\"\\\n");
    assert_text(&t, "\"a\\\"\\\\\\u000a\"");
}

/* What does not fit is left out and told of. */
static void test_full(void **state) {
    char buffer[8];
    wst__admin_text_t t = {.at = buffer, .size = sizeof(buffer)};
    (void)state;
    wst__admin_put(&t, "1234567");
    assert_false(t.full);
    wst__admin_put(&t, "12");
    assert_true(t.full);
    assert_int_equal(t.len, 7);
    t = (wst__admin_text_t){.at = buffer, .size = sizeof(buffer)};
    wst__admin_put_json(&t, "ab");
    assert_true(t.full);
    assert_int_equal(t.len, 0);
}

static void test_forms(void **state) {
    static const struct {
        const char *form;
        int found;
        const char *value;
    } cases[] = {{"", 0, ""},           {"n", 0, ""},
                 {"x=1", 0, ""},        {"na=1", 0, ""},
                 {"n=", 1, ""},         {"n=1", 1, "1"},
                 {"x=2&n=1", 1, "1"},   {"n=1&", 1, "1"},
                 {"n=a+b", 1, "a b"},   {"n=%41%2b", 1, "A+"},
                 {"n=a=b", 1, "a=b"},   {"n=1&n=1", -1, ""},
                 {"n=%4", -1, ""},      {"n=%4g", -1, ""},
                 {"n=%00", -1, ""},     {"n=1234567", 1, "1234567"},
                 {"n=12345678", -1, ""}};
    char value[8];
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t len = strlen(cases[i].form);
        uint8_t *form = test_guarded(cases[i].form, len);
        assert_int_equal(wst__admin_form_text((const char *)form, len, "n", value, sizeof(value)),
                         cases[i].found);
        if (cases[i].found == 1)
            assert_string_equal(value, cases[i].value);
        test_guarded_free(form, len);
    }
    assert_int_equal(wst__admin_form_text("n=\0", 3, "n", value, sizeof(value)), -1);
}

static void test_form_numbers(void **state) {
    static const struct {
        const char *form;
        int found;
        uint64_t value;
    } cases[] = {{"", 0, 0},      {"n=0", 1, 0},   {"n=18446744073709551615", 1, UINT64_MAX},
                 {"n=", -1, 0},   {"n=-1", -1, 0}, {"n=18446744073709551616", -1, 0},
                 {"n=1x", -1, 0}, {"n=+1", -1, 0}, {"n=1&n=2", -1, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t value = 0;
        assert_int_equal(wst__admin_form_number(cases[i].form, strlen(cases[i].form), "n", &value),
                         cases[i].found);
        assert_true(value == cases[i].value);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),      cmocka_unit_test(test_quotes),
        cmocka_unit_test(test_full),         cmocka_unit_test(test_forms),
        cmocka_unit_test(test_form_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
