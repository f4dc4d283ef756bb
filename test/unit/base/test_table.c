/* SPDX-License-Identifier: MIT */
/* The hash table against a plain array. */
#include "support.h"

#include "mix.h"
#include "table.h"

enum { COUNT = 300 };

typedef struct item {
    wst__table_node_t node;
    uint64_t hash;
    bool in;
} item_t;

static item_t items[COUNT];
static wst__table_t table;

/* How often it is found under its hash. */
static size_t found(const item_t *item) {
    size_t times = 0;
    for (wst__table_node_t *n = wst__table_first(&table, item->hash); n != NULL;
         n = wst__table_next(n)) {
        assert_int_equal(n->hash, item->hash);
        times += n == &item->node;
    }
    return times;
}

static void toggle(item_t *item) {
    if (item->in)
        wst__table_remove(&table, &item->node);
    else
        wst__table_insert(&table, &item->node, item->hash);
    item->in = !item->in;
}

static void check_all(void) {
    size_t count = 0;
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(found(&items[i]), items[i].in);
        count += items[i].in;
    }
    assert_int_equal(table.count, count);
}

/* With `distinct` hashes at most; the `failing`th allocation fails, and the table does as well. */
static void run(uint64_t seed, size_t distinct, size_t failing) {
    memset(items, 0, sizeof(items));
    wst__table_init(&table, &test_allocator);
    test_alloc_fail(failing);
    for (size_t i = 0; i < COUNT; i++)
        items[i].hash = wst__mix(seed + test_random(&seed) % distinct);
    for (int i = 0; i < 3000; i++) {
        toggle(&items[test_random(&seed) % COUNT]);
        if (i % 50 == 0)
            check_all();
    }
    check_all();
    for (size_t i = 0; i < COUNT; i++) {
        if (items[i].in)
            toggle(&items[i]);
    }
    check_all();
    wst__table_free(&table);
    assert_int_equal(test_alloc_live(), 0);
}

static void test_random_operations(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        run(seed, SIZE_MAX, 0);
        run(seed, 40, 0); /* several under each */
        run(seed, SIZE_MAX, seed % 8 + 1);
    }
}

/* As many chains as nodes, so that few share one. */
static void test_growth(void **state) {
    (void)state;
    memset(items, 0, sizeof(items));
    wst__table_init(&table, &test_allocator);
    for (size_t i = 0; i < COUNT; i++) {
        items[i].hash = wst__mix(i + 1);
        toggle(&items[i]);
        assert_int_equal(table.chain_count, i + 1);
    }
    size_t longest = 0;
    for (size_t i = 0; i < table.chain_count; i++) {
        size_t length = 0;
        for (const wst__table_node_t *n = table.chains[i]; n != NULL; n = n->next)
            length++;
        longest = length > longest ? length : longest;
    }
    assert_true(longest < 10);
    for (size_t i = 0; i < COUNT; i++)
        toggle(&items[i]);
    wst__table_free(&table);
}

/* Texts that stand behind one another are told apart by their terminators. */
static void test_hash_of_texts(void **state) {
    (void)state;
    uint64_t ab_c = wst__mix_bytes(wst__mix_bytes(7, "ab", 3), "c", 2);
    assert_int_equal(ab_c, wst__mix_bytes(7, "ab\0c", 5));
    assert_int_not_equal(ab_c, wst__mix_bytes(wst__mix_bytes(7, "a", 2), "bc", 3));
    assert_int_not_equal(ab_c, wst__mix_bytes(8, "ab\0c", 5));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_operations),
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_hash_of_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
