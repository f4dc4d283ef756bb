/* SPDX-License-Identifier: MIT */
/* What was probably meant by a mistyped word. */
#include "support.h"

#include "nearest.h"

static const char *nearest(const char *typed) {
    static const char *const known[] = {"listen",    "cert",        "key",
                                        "client-ca", "client-cert", "path"};
    nearest_t n = {NULL, 0};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        nearest_try(&n, typed, known[i]);
    return n.word != NULL ? n.word : "";
}

static void test_nearest(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"lisen", "listen"},
        {"listen", "listen"},
        {"Listen", "listen"},
        {"lsiten", "listen"},
        {"listten", "listen"},
        {"listn-", "listen"},
        {"crt", "cert"},
        {"cret", "cert"},
        {"kay", "key"},
        {"client-crt", "client-cert"},
        {"clientcert", "client-cert"},
        {"client-a", "client-ca"},
        {"paths", "path"},
        {"ptha", ""},
        {"nonsense", ""},
        {"", ""},
        {"k", ""},
        {"kez", "key"},
        {"abc", ""},
        {"tap", ""},
        {"isl", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(nearest(cases[i][0]), cases[i][1]);
}

/* No row is longer than the longest word. */
static void test_long_words(void **state) {
    (void)state;
    char word[64], other[64];
    for (size_t len = 40; len < 60; len++) {
        nearest_t n = {NULL, 0};
        memset(word, 'a', len);
        memcpy(other, word, len);
        word[len] = other[len] = '\0';
        other[len / 2] = 'b';
        nearest_try(&n, word, other);
        assert_true((n.word != NULL) == (len < 48));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_nearest),
                                       cmocka_unit_test(test_long_words)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
