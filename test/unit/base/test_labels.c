/* SPDX-License-Identifier: MIT */
/* Lists of labels: copied within bounds, compared. */
#include "support.h"

#include "labels.h"
#include "mem.h"

#include <stdio.h>
#include <wstunnel/error.h>

static const char **copy_of(const char *const *labels) {
    const char **copy;
    assert_int_equal(wst__labels_copy(&test_allocator, &copy, labels), 0);
    return copy;
}

static void free_copy(const char **copy) {
    wst__free(&test_allocator, copy);
    assert_int_equal(test_alloc_live(), 0);
}

static void test_copy(void **state) {
    (void)state;
    static const char *const labels[] = {"eu", "lab", "eu", "", NULL};
    const char **copy = copy_of(labels);
    assert_int_equal(wst__labels_count(copy), 3); /* each once */
    assert_string_equal(copy[0], "eu");
    assert_string_equal(copy[1], "lab");
    assert_string_equal(copy[2], "");
    assert_ptr_not_equal(copy[0], labels[0]);
    free_copy(copy);
    assert_null(copy_of(NULL));
    assert_null(copy_of(labels + 4));
}

/* What is beyond the bounds is left out, never cut: it would be another label. */
static void test_bounds(void **state) {
    (void)state;
    char texts[40][WST__LABEL_MAX + 2];
    const char *labels[41] = {NULL};
    for (size_t i = 0; i < 40; i++) {
        memset(texts[i], 'a', sizeof(texts[i]));
        texts[i][WST__LABEL_MAX + (i == 1)] = '\0'; /* the second one is too long */
        texts[i][0] = (char)('A' + i);
        labels[i] = texts[i];
    }
    const char **copy = copy_of(labels);
    assert_int_equal(wst__labels_count(copy), WST__LABELS_MAX);
    assert_string_equal(copy[0], texts[0]);
    for (size_t i = 1; i < WST__LABELS_MAX; i++)
        assert_string_equal(copy[i], texts[i + 1]);
    free_copy(copy);
}

static void test_have(void **state) {
    (void)state;
    static const char *const all[] = {"a", "b", "c", NULL}, *const some[] = {"c", "a", NULL};
    static const char *const none[] = {NULL};
    assert_true(wst__labels_have(all, some));
    assert_true(wst__labels_have(all, all));
    assert_false(wst__labels_have(some, all));
    assert_true(wst__labels_have(all, none));
    assert_true(wst__labels_have(NULL, NULL));
    assert_true(wst__labels_have(NULL, none));
    assert_false(wst__labels_have(NULL, some));
    assert_int_equal(wst__labels_count(NULL), 0);
}

static void test_no_memory(void **state) {
    (void)state;
    static const char *const labels[] = {"eu", NULL};
    const char **copy;
    test_alloc_fail(1);
    assert_int_equal(wst__labels_copy(&test_allocator, &copy, labels), WST_ENOMEM);
    assert_null(copy);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_have),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
