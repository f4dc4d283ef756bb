/* SPDX-License-Identifier: MIT */
/* Tallies and their tickets. */
#include "support.h"

#include "tally.h"

typedef struct counter {
    wst__tally_t tally;
    size_t changes;
    size_t seen; /* the count at the last change */
} counter_t;

static void on_changed(wst__tally_t *tally) {
    counter_t *c = (counter_t *)(void *)tally;
    c->changes++;
    c->seen = tally->count;
}

static void test_take_and_give_back(void **state) {
    (void)state;
    wst__tally_t tally = {0};
    wst__ticket_t a = {0}, b = {0};
    assert_false(wst__ticket_is_taken(&a));
    wst__ticket_take(&a, &tally);
    wst__ticket_take(&b, &tally);
    assert_true(wst__ticket_is_taken(&a));
    assert_int_equal(tally.count, 2);
    wst__ticket_give_back(&a);
    wst__ticket_give_back(&a);
    assert_false(wst__ticket_is_taken(&a));
    assert_int_equal(tally.count, 1);
    wst__ticket_take(&a, &tally);
    assert_int_equal(tally.count, 2);
    wst__ticket_give_back(&b);
    wst__ticket_give_back(&a);
    assert_int_equal(tally.count, 0);
}

static void test_the_owner_is_told(void **state) {
    (void)state;
    counter_t c = {.tally.changed = on_changed};
    wst__ticket_t a = {0}, b = {0};
    wst__ticket_take(&a, &c.tally);
    assert_int_equal(c.changes, 1);
    assert_int_equal(c.seen, 1);
    wst__ticket_take(&b, &c.tally);
    wst__ticket_give_back(&a);
    assert_int_equal(c.changes, 3);
    assert_int_equal(c.seen, 1);
    wst__ticket_give_back(&a); /* nothing changes */
    assert_int_equal(c.changes, 3);
    wst__ticket_give_back(&b);
    assert_int_equal(c.seen, 0);
}

static void test_hand_on(void **state) {
    (void)state;
    counter_t c = {.tally.changed = on_changed};
    wst__ticket_t a = {0}, b = {0};
    wst__ticket_take(&a, &c.tally);
    wst__ticket_hand_on(&a, &b);
    assert_int_equal(c.changes, 1);
    assert_false(wst__ticket_is_taken(&a));
    assert_true(wst__ticket_is_taken(&b));
    wst__ticket_give_back(&a); /* no longer its */
    assert_int_equal(c.tally.count, 1);
    wst__ticket_give_back(&b);
    assert_int_equal(c.tally.count, 0);
    wst__ticket_hand_on(&a, &b);
    assert_false(wst__ticket_is_taken(&a));
    assert_false(wst__ticket_is_taken(&b));
}

/* The last object to go may take the tally with it. */
typedef struct owner {
    wst__tally_t tally;
    wst__ticket_t ticket;
} owner_t;

static void free_owner(wst__tally_t *tally) {
    if (tally->count == 0)
        free((owner_t *)(void *)tally);
}

static void test_the_owner_may_go(void **state) {
    (void)state;
    owner_t *owner = calloc(1, sizeof(*owner));
    assert_non_null(owner);
    owner->tally.changed = free_owner;
    wst__ticket_take(&owner->ticket, &owner->tally);
    wst__ticket_give_back(&owner->ticket);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_take_and_give_back),
        cmocka_unit_test(test_the_owner_is_told),
        cmocka_unit_test(test_hand_on),
        cmocka_unit_test(test_the_owner_may_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
