/* SPDX-License-Identifier: MIT */
/* Patterns of names. */
#include "support.h"

#include "glob.h"

static bool matches(const char *pattern, const char *text) {
    size_t len = strlen(text);
    uint8_t *copy = test_guarded(text, len);
    bool found = wst__glob(pattern, (wst_str_t){(const char *)copy, len});
    test_guarded_free(copy, len);
    return found;
}

/* Every pattern and text of up to four characters against the definition, by recursion. */
static bool defined(const char *pattern, const char *text) {
    if (*pattern == '*')
        return defined(pattern + 1, text) || (*text != '\0' && defined(pattern, text + 1));
    if (*pattern == '\0' || *text == '\0')
        return *pattern == *text;
    return *pattern == *text && defined(pattern + 1, text + 1);
}

static void nth(char *out, size_t n, const char *alphabet) {
    size_t base = strlen(alphabet);
    for (; n > 0; n = (n - 1) / base)
        *out++ = alphabet[(n - 1) % base];
    *out = '\0';
}

enum { PATTERNS = 1 + 3 + 9 + 27 + 81, TEXTS = 1 + 2 + 4 + 8 + 16 + 32 + 64 + 128 + 256 };

static void test_matches(void **state) {
    (void)state;
    for (size_t p = 0; p < PATTERNS; p++) {
        for (size_t t = 0; t < TEXTS; t++) {
            char pattern[8], text[16];
            nth(pattern, p, "*ab");
            nth(text, t, "ab");
            if (matches(pattern, text) != defined(pattern, text))
                fail_msg("%s %s", pattern, text);
        }
    }
    assert_true(matches("*.agents.example", "a.b.agents.example"));
    assert_false(matches("A", "a"));
}

static void test_fold(void **state) {
    (void)state;
    assert_true(wst__glob_fold("*.example", (wst_str_t){"WWW.ExAmPlE", 11}));
    assert_false(wst__glob_fold("*.Example", (wst_str_t){"www.Example", 11}));
    assert_true(wst__glob_fold("[", (wst_str_t){"[", 1}));
    assert_false(wst__glob_fold("{", (wst_str_t){"[", 1}));
}

/* Two patterns of up to four characters meet if one of the texts of up to eight, which is as long
 * as both of them together, matches both. */
static void test_meet(void **state) {
    (void)state;
    for (size_t a = 0; a < PATTERNS; a++) {
        for (size_t b = a; b < PATTERNS; b++) {
            char first[8], second[8], text[16] = "";
            bool expect = false;
            nth(first, a, "*ab");
            nth(second, b, "*ab");
            for (size_t t = 0; t < TEXTS && !expect; t++) {
                nth(text, t, "ab");
                expect = defined(first, text) && defined(second, text);
            }
            if (wst__globs_meet(first, second) != expect ||
                wst__globs_meet(second, first) != expect)
                fail_msg("%s %s: %s", first, second, expect ? text : "none");
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_fold),
        cmocka_unit_test(test_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
