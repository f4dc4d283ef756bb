/* SPDX-License-Identifier: MIT */
/* The order by rank and load against a plain array. */
#include "support.h"

#include "load_index.h"

#include <wstunnel/error.h>

enum { COUNT = 60 };

typedef struct item {
    wst__load_entry_t entry;
    bool in;
    unsigned rank;
    size_t load;
    uint64_t since; /* it has this rank and load */
} item_t;

static item_t items[COUNT];
static wst__load_index_t ordered;
static uint64_t now;

static void set(item_t *item, unsigned rank, size_t load) {
    if (item->in && item->rank == rank && item->load == load)
        return;
    item->rank = rank;
    item->load = load;
    item->since = ++now;
}

static void insert(item_t *item, unsigned rank, size_t load) {
    set(item, rank, load);
    item->in = true;
    assert_int_equal(wst__load_index_insert(&ordered, &item->entry, rank, load), 0);
}

static void move(item_t *item, unsigned rank, size_t load) {
    set(item, rank, load);
    wst__load_index_move(&ordered, &item->entry, rank, load);
}

static void take_out(item_t *item) {
    item->in = false;
    wst__load_index_remove(&ordered, &item->entry);
    assert_null(wst__load_index_next(&ordered, &item->entry));
}

static bool is_before(const item_t *a, const item_t *b) {
    if (a->rank != b->rank)
        return a->rank < b->rank;
    return a->load != b->load ? a->load < b->load : a->since < b->since;
}

/* All that are in, each once, in order; and as many blocks of memory as entries. */
static void check(void) {
    size_t expected = 0, count = 0;
    const item_t *last = NULL;
    const wst__load_entry_t *entry = NULL;
    for (size_t i = 0; i < COUNT; i++)
        expected += items[i].in;
    while ((entry = wst__load_index_next(&ordered, entry)) != NULL) {
        const item_t *item = (const item_t *)(const void *)entry; /* its first member */
        assert_true(item->in);
        assert_true(last == NULL || is_before(last, item));
        last = item;
        count++;
    }
    assert_int_equal(count, expected);
    assert_int_equal(ordered.count, expected);
    assert_int_equal(test_alloc_live(), expected);
}

static void step(uint64_t *seed, size_t loads) {
    item_t *item = &items[test_random(seed) % COUNT];
    unsigned rank = (unsigned)(test_random(seed) % WST__LOAD_RANKS);
    if (!item->in) {
        insert(item, rank, test_random(seed) % loads);
        return;
    }
    switch (test_random(seed) % 8) {
    case 0:
        take_out(item);
        break;
    case 1:
        move(item, rank, item->load);
        break;
    case 2:
        move(item, item->rank, test_random(seed) % loads);
        break;
    case 3:
    case 4:
        move(item, item->rank, item->load > 0 ? item->load - 1 : 0);
        break;
    default:
        move(item, item->rank, item->load + 1);
        break;
    }
}

static void test_random_operations(void **state) {
    (void)state;
    for (uint64_t run = 1; run <= 60; run++) {
        uint64_t seed = run;
        memset(items, 0, sizeof(items));
        wst__load_index_init(&ordered, &test_allocator);
        for (int i = 0; i < 1000; i++) {
            step(&seed, run % 3 == 0 ? 1 : run % 3 == 1 ? 8 : 1000);
            check();
        }
        for (size_t i = 0; i < COUNT; i++) {
            if (items[i].in)
                take_out(&items[i]);
        }
        check();
    }
}

/* Of equals each gets its turn: who is used stands behind the others when it is idle again. */
static void test_turns(void **state) {
    (void)state;
    memset(items, 0, sizeof(items));
    wst__load_index_init(&ordered, &test_allocator);
    for (size_t i = 0; i < 3; i++)
        insert(&items[i], 0, 0);
    for (size_t i = 0; i < 7; i++) {
        item_t *used = &items[i % 3];
        assert_ptr_equal(wst__load_index_next(&ordered, NULL), &used->entry);
        move(used, 0, 0); /* no change: it keeps its place */
        assert_ptr_equal(wst__load_index_next(&ordered, NULL), &used->entry);
        move(used, 0, 1);
        move(used, 0, 0);
    }
    for (size_t i = 0; i < 3; i++)
        take_out(&items[i]);
}

/* Without memory an entry is not in; those that are can still be moved. */
static void test_no_memory(void **state) {
    (void)state;
    memset(items, 0, sizeof(items));
    wst__load_index_init(&ordered, &test_allocator);
    insert(&items[0], 0, 5);
    insert(&items[1], 0, 5);
    test_alloc_fail(1);
    assert_int_equal(wst__load_index_insert(&ordered, &items[2].entry, 0, 0), WST_ENOMEM);
    check();
    test_alloc_fail(1);
    move(&items[1], 0, 6);
    move(&items[0], 3, 9);
    assert_false(test_alloc_failed());
    test_alloc_fail(0);
    check();
    take_out(&items[0]);
    take_out(&items[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_operations),
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
