/* SPDX-License-Identifier: MIT */
#include "sized.h"
#include "support.h"

#include <wstunnel/error.h>

#include <string.h>

/* A struct as a release had it, and as later ones have it. */
typedef struct old {
    size_t size;
    uint64_t a;
} old_t;

typedef struct current {
    size_t size;
    uint64_t a;
    const char *b;
} current_t;

typedef struct later {
    size_t size;
    uint64_t a;
    const char *b;
    uint64_t c;
} later_t;

static void test_read(void **state) {
    (void)state;
    const old_t old = {.size = sizeof(old), .a = 1};
    const current_t current = {.size = sizeof(current), .a = 2, .b = "b"};
    const later_t same = {.size = sizeof(same), .a = 3, .b = "c"};
    const later_t later = {.size = sizeof(later), .a = 4, .c = 1};
    current_t ours;
    memset(&ours, 0x55, sizeof(ours));
    assert_int_equal(wst__sized_read(&ours, sizeof(ours), &old), 0);
    assert_true(ours.size == sizeof(ours) && ours.a == 1 && ours.b == NULL);
    assert_int_equal(wst__sized_read(&ours, sizeof(ours), &current), 0);
    assert_true(ours.size == sizeof(ours) && ours.a == 2 && strcmp(ours.b, "b") == 0);
    assert_int_equal(wst__sized_read(&ours, sizeof(ours), &same), 0);
    assert_true(ours.size == sizeof(ours) && ours.a == 3 && strcmp(ours.b, "c") == 0);
    /* It wants what we cannot do. */
    assert_int_equal(wst__sized_read(&ours, sizeof(ours), &later), WST_EINVAL);
    assert_int_equal(wst__sized_read(&ours, sizeof(ours), NULL), 0);
    assert_true(ours.size == sizeof(ours) && ours.a == 0 && ours.b == NULL);
}

/* Nothing is read beyond what the caller has, whatever its size says. */
static void test_bounds(void **state) {
    (void)state;
    current_t ours;
    for (size_t size = 0; size <= sizeof(later_t) + 16; size++) {
        uint8_t bytes[sizeof(later_t) + 16] = {0};
        memcpy(bytes, &size, sizeof(size));
        uint8_t *theirs = test_guarded(bytes, size > sizeof(size) ? size : sizeof(size));
        assert_int_equal(wst__sized_read(&ours, sizeof(ours), theirs),
                         size > sizeof(size) ? 0 : WST_EINVAL);
        test_guarded_free(theirs, size > sizeof(size) ? size : sizeof(size));
    }
    const size_t none[] = {0, 1, sizeof(size_t), 4097, SIZE_MAX};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        assert_false(wst__sized_valid(&none[i]));
        assert_int_equal(wst__sized_read(&ours, sizeof(ours), &none[i]), WST_EINVAL);
    }
}

/* A borrowed struct stays as it is: it must reach its first size, and set nothing unknown. */
static void test_check(void **state) {
    (void)state;
    const old_t old = {.size = sizeof(old), .a = 1};
    const current_t current = {.size = sizeof(current), .a = 2};
    const later_t same = {.size = sizeof(same), .a = 3}, later = {.size = sizeof(later), .c = 1};
    const current_t unset = {.a = 4};
    assert_int_equal(wst__sized_check(&old, sizeof(current), sizeof(old)), 0);
    assert_int_equal(wst__sized_check(&old, sizeof(current), sizeof(current)), WST_EINVAL);
    assert_int_equal(wst__sized_check(&current, sizeof(current), sizeof(old)), 0);
    assert_int_equal(wst__sized_check(&same, sizeof(current), sizeof(old)), 0);
    assert_int_equal(wst__sized_check(&later, sizeof(current), sizeof(old)), WST_EINVAL);
    assert_int_equal(wst__sized_check(&unset, sizeof(current), sizeof(old)), WST_EINVAL);
}

static void test_write(void **state) {
    (void)state;
    const current_t ours = {.size = sizeof(ours), .a = 7, .b = "b"};
    struct {
        old_t old;
        uint64_t behind;
    } smaller = {{.size = sizeof(old_t)}, 99};
    later_t later = {.size = sizeof(later), .c = 99};
    current_t unset = {.a = 99};
    assert_int_equal(wst__sized_write(&smaller.old, &ours), 0);
    assert_true(smaller.old.size == sizeof(old_t) && smaller.old.a == 7 && smaller.behind == 99);
    assert_int_equal(wst__sized_write(&later, &ours), 0);
    assert_true(later.size == sizeof(later) && later.a == 7 && later.b == ours.b && later.c == 0);
    assert_int_equal(wst__sized_write(&unset, &ours), WST_EINVAL);
    assert_true(unset.a == 99);
}

static void test_arrays(void **state) {
    (void)state;
    const old_t olds[] = {{sizeof(old_t), 1}, {sizeof(old_t), 2}, {sizeof(old_t), 3}};
    const later_t laters[] = {{.size = sizeof(later_t), .a = 1}, {.size = sizeof(later_t), .a = 2}};
    const old_t mixed[] = {{sizeof(old_t), 1}, {sizeof(later_t), 2}}, unset[] = {{0}, {0}};
    current_t ours;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(wst__sized_read_at(&ours, sizeof(ours), olds, i), 0);
        assert_true(ours.a == i + 1 && ours.b == NULL);
    }
    assert_int_equal(wst__sized_read_at(&ours, sizeof(ours), laters, 1), 0);
    assert_int_equal(ours.a, 2);
    assert_int_equal(wst__sized_read_at(&ours, sizeof(ours), mixed, 1), WST_EINVAL);
    assert_int_equal(wst__sized_read_at(&ours, sizeof(ours), unset, 1), WST_EINVAL);
    assert_int_equal(wst__sized_read_at(&ours, sizeof(ours), NULL, 0), WST_EINVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),  cmocka_unit_test(test_bounds), cmocka_unit_test(test_check),
        cmocka_unit_test(test_write), cmocka_unit_test(test_arrays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
