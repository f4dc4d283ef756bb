/* SPDX-License-Identifier: MIT */
/* The heap of deadlines against a plain array. */
#include "support.h"

#include "deadline.h"

enum { COUNT = 100 };

typedef struct item {
    wst__deadline_t deadline;
    uint64_t expected_ms; /* WST__NEVER: not set */
    unsigned runs;
} item_t;

static item_t items[COUNT];
static wst__deadlines_t heap;
static uint64_t last_at_ms, changes;

static void on_changed(wst__deadlines_t *h) {
    (void)h;
    changes++;
}

static item_t *item_of(wst__deadline_t *d) {
    return (item_t *)(void *)((char *)d - offsetof(item_t, deadline));
}

static void on_due(wst__deadline_t *d, uint64_t now_ms) {
    item_t *item = item_of(d);
    assert_true(item->expected_ms <= now_ms);
    assert_true(item->expected_ms >= last_at_ms); /* earliest first */
    last_at_ms = item->expected_ms;
    item->expected_ms = WST__NEVER;
    item->runs++;
}

static uint64_t earliest(void) {
    uint64_t at = WST__NEVER;
    for (int i = 0; i < COUNT; i++)
        at = items[i].expected_ms < at ? items[i].expected_ms : at;
    return at;
}

static void test_random_operations(void **state) {
    (void)state;
    for (uint64_t run = 1; run <= 50; run++) {
        uint64_t seed = run, now_ms = 0;
        memset(items, 0, sizeof(items));
        heap = (wst__deadlines_t){.changed = on_changed};
        for (int i = 0; i < COUNT; i++)
            items[i].expected_ms = WST__NEVER;
        for (int i = 0; i < 2000; i++) {
            item_t *item = &items[test_random(&seed) % COUNT];
            switch (test_random(&seed) % 4) {
            case 0:
            case 1:
                item->expected_ms = now_ms + test_random(&seed) % 1000;
                wst__deadline_set(&heap, &item->deadline, item->expected_ms, on_due);
                break;
            case 2:
                wst__deadline_clear(&heap, &item->deadline);
                item->expected_ms = WST__NEVER;
                break;
            default:
                now_ms += test_random(&seed) % 100;
                last_at_ms = 0;
                wst__deadlines_run(&heap, now_ms);
                assert_true(earliest() > now_ms);
                break;
            }
            assert_int_equal(wst__deadlines_next(&heap), earliest());
            assert_true(item->deadline.set == (item->expected_ms != WST__NEVER));
        }
    }
    assert_true(changes > 0);
}

static wst__deadline_t other;
static unsigned repeats;

static void on_repeat(wst__deadline_t *d, uint64_t now_ms) {
    repeats++;
    wst__deadline_clear(&heap, &other); /* due as well, but not wanted any more */
    wst__deadline_set(&heap, d, now_ms, on_repeat);
}

static void on_never(wst__deadline_t *d, uint64_t now_ms) {
    (void)d, (void)now_ms;
    fail_msg("ran though cleared");
}

/* A deadline that a callback sets for now must not make the run endless, and one that it clears
 * must not run. */
static void test_callbacks_change_the_heap(void **state) {
    (void)state;
    heap = (wst__deadlines_t){0};
    wst__deadline_t d = {0};
    wst__deadline_set(&heap, &d, 5, on_repeat);
    wst__deadline_set(&heap, &other, 6, on_never);
    wst__deadlines_run(&heap, 10);
    assert_int_equal(repeats, 1);
    assert_int_equal(wst__deadlines_next(&heap), 11);
    wst__deadlines_run(&heap, 10);
    assert_int_equal(repeats, 1);
    wst__deadlines_run(&heap, 11);
    assert_int_equal(repeats, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_operations),
        cmocka_unit_test(test_callbacks_change_the_heap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
