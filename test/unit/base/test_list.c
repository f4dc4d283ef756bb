/* SPDX-License-Identifier: MIT */
/* Loops over lists. */
#include "support.h"

#include "list.h"

enum { ITEMS = 3 };

typedef struct item {
    int value;
    wst__list_t node;
} item_t;

static void fill(wst__list_t *list, item_t *items) {
    wst__list_init(list);
    for (int i = 0; i < ITEMS; i++) {
        items[i].value = i + 1;
        wst__list_append(list, &items[i].node);
    }
}

static void test_each_visits_all_in_order(void **state) {
    (void)state;
    wst__list_t list;
    item_t items[ITEMS];
    fill(&list, items);
    int digits = 0;
    WST__LIST_EACH(const item_t, item, &list, node)
        digits = 10 * digits + item->value;
    assert_int_equal(digits, 123);
}

static void test_each_of_an_empty_list(void **state) {
    (void)state;
    wst__list_t list;
    wst__list_init(&list);
    int visits = 0;
    WST__LIST_EACH(item_t, item, &list, node)
        visits += item->value;
    WST__LIST_EACH_SAFE(item_t, item, &list, node)
        visits += item->value;
    assert_int_equal(visits, 0);
}

static void test_each_visits_what_the_body_appends(void **state) {
    (void)state;
    wst__list_t list;
    item_t items[ITEMS], last = {.value = 4};
    fill(&list, items);
    int digits = 0;
    WST__LIST_EACH(item_t, item, &list, node) {
        digits = 10 * digits + item->value;
        if (item == &items[ITEMS - 1])
            wst__list_append(&list, &last.node);
    }
    assert_int_equal(digits, 1234);
}

static void test_each_safe_survives_the_end_of_an_item(void **state) {
    (void)state;
    wst__list_t list;
    item_t items[ITEMS];
    fill(&list, items);
    int digits = 0;
    WST__LIST_EACH_SAFE(item_t, item, &list, node) {
        digits = 10 * digits + item->value;
        wst__list_remove(&item->node);
        memset(item, 0xff, sizeof(*item)); /* as its memory may look when freed */
    }
    assert_int_equal(digits, 123);
    assert_true(wst__list_empty(&list));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_visits_all_in_order),
        cmocka_unit_test(test_each_of_an_empty_list),
        cmocka_unit_test(test_each_visits_what_the_body_appends),
        cmocka_unit_test(test_each_safe_survives_the_end_of_an_item),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
