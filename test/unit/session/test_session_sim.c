/* SPDX-License-Identifier: MIT */
/*
 * Random schedules of two sessions over links that split, delay, die and are taken over (sim.h).
 * Each has a phase of chaos and one in which all must come to its end. TEST_SEEDS=n repeats
 * schedule n; TEST_SEEDS=1:100000 is the long form, on demand.
 */
#include "sim.h"

static void run_all(unsigned cut_permille) {
    uint64_t first, count;
    test_seeds(&first, &count, 2000);
    print_message("seeds %llu to %llu\n", (unsigned long long)first,
                  (unsigned long long)(first + count - 1));
    for (uint64_t seed = first; seed < first + count; seed++)
        sim_run(seed, cut_permille);
}

static void test_an_orderly_link(void **state) {
    (void)state;
    run_all(0);
}

static void test_links_that_die_and_are_taken_over(void **state) {
    (void)state;
    run_all(8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_orderly_link),
        cmocka_unit_test(test_links_that_die_and_are_taken_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
