/* SPDX-License-Identifier: MIT */
#include "support.h"

#include "text.h"

#include <inttypes.h>
#include <stdio.h>

/* Every size, each in memory of exactly that size: the text is cut, and always terminated. */
static void test_copy(void **state) {
    (void)state;
    static const char text[] = "agent-1";
    for (size_t size = 1; size <= sizeof(text) + 2; size++) {
        char *out = malloc(size);
        wst__text_copy(out, size, (wst_str_t){text, sizeof(text) - 1});
        size_t len = size < sizeof(text) ? size - 1 : sizeof(text) - 1;
        assert_int_equal(strlen(out), len);
        assert_memory_equal(out, text, len);
        free(out);
    }
    char out[] = "old";
    wst__text_copy(out, sizeof(out), (wst_str_t){NULL, 0});
    assert_string_equal(out, "");
}

static void expect_decimal(uint64_t number) {
    char expected[WST__DECIMAL_MAX + 1], *out = malloc(WST__DECIMAL_MAX);
    size_t len = (size_t)snprintf(expected, sizeof(expected), "%" PRIu64, number);
    assert_ptr_equal(wst__text_decimal(out, number), out + len);
    assert_memory_equal(out, expected, len);
    free(out);
}

static void test_decimal(void **state) {
    (void)state;
    for (uint64_t power = 1;; power *= 10) {
        expect_decimal(power - 1);
        expect_decimal(power);
        if (power > UINT64_MAX / 10)
            break;
    }
    expect_decimal(UINT64_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_decimal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
