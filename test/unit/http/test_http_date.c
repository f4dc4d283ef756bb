/* SPDX-License-Identifier: MIT */
/* Dates of RFC 9110 section 5.6.7, against the C library's. */
#include "support.h"

#include "http_date.h"

#include <stdio.h>
#include <time.h>

enum { DAY_S = 86400 };
static const int64_t last_second = 253402300799; /* of the year 9999 */

static void check(int64_t seconds) {
    char expect[64];
    struct tm utc;
    time_t when = (time_t)seconds;
    assert_non_null(gmtime_r(&when, &utc));
    assert_true(strftime(expect, sizeof(expect), "%a, %d %b %Y %H:%M:%S GMT", &utc) > 0);
    char *out = (char *)test_guarded(expect, WST__HTTP_DATE);
    memset(out, 'x', WST__HTTP_DATE);
    assert_true(wst__http_date(out, seconds));
    assert_string_equal(out, expect);
    test_guarded_free((uint8_t *)out, WST__HTTP_DATE);
}

static void test_example(void **state) {
    (void)state;
    char out[WST__HTTP_DATE];
    assert_true(wst__http_date(out, 784111777));
    assert_string_equal(out, "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_true(wst__http_date(out, 0));
    assert_string_equal(out, "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_true(wst__http_date(out, last_second));
    assert_string_equal(out, "Fri, 31 Dec 9999 23:59:59 GMT");
}

/* 2400 is a leap year, 2100 to 2300 are none. */
static void test_each_day(void **state) {
    (void)state;
    for (int64_t day = 0; day < 366 * 440; day++)
        check(day * DAY_S + day % DAY_S);
}

static void test_random_times(void **state) {
    (void)state;
    uint64_t random = 1;
    for (int i = 0; i < 20000; i++)
        check((int64_t)(test_random(&random) % (uint64_t)(last_second + 1)));
}

static void test_out_of_range(void **state) {
    (void)state;
    static const int64_t times[] = {-1, INT64_MIN, last_second + 1, last_second + 400LL * DAY_S,
                                    INT64_MAX};
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        char out[WST__HTTP_DATE] = "x";
        assert_false(wst__http_date(out, times[i]));
        assert_string_equal(out, "");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example),
        cmocka_unit_test(test_each_day),
        cmocka_unit_test(test_random_times),
        cmocka_unit_test(test_out_of_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
