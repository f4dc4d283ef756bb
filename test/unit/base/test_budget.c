/* SPDX-License-Identifier: MIT */
/* Budgets within budgets: shares that grow and shrink with what is free, quotas, loans. */
#include "support.h"

#include "budget.h"

enum { LIMIT = 10000, SHARE = 16, OUTER_SHARE = 64, HOLDERS = 8 };

/* Takes as much as possible, one at a time. */
static size_t fill(wst__budget_t *b) {
    size_t n = 0;
    while (wst__budget_reserve(b, 1))
        n++;
    return n;
}

static void test_outermost(void **state) {
    (void)state;
    wst__budget_t b = {.limit = 10};
    assert_true(wst__budget_reserve(&b, 4));
    assert_false(wst__budget_reserve(&b, 7));
    assert_ptr_equal(wst__budget_obstacle(&b, 7), &b);
    assert_true(wst__budget_reserve(&b, 6));
    assert_false(wst__budget_reserve(&b, SIZE_MAX));
    wst__budget_release(&b, 10);
    assert_int_equal(b.used, 0);
}

static void test_one_alone_gets_nearly_all(void **state) {
    (void)state;
    wst__budget_t all = {.limit = LIMIT}, tenant = {.within = &all, .share = OUTER_SHARE},
                  user = {.within = &tenant, .share = SHARE};
    size_t got = fill(&user);
    assert_in_range(got, LIMIT * 94 / 100, LIMIT * 95 / 100);
    assert_int_equal(all.used, got);
    assert_int_equal(tenant.used, got);
    wst__budget_release(&user, got);
    assert_int_equal(all.used + tenant.used + user.used, 0);
}

/* One that has taken all it can leaves something for others of its tenant, and these together for
 * other tenants. */
static void test_what_remains_for_others(void **state) {
    (void)state;
    wst__budget_t all = {.limit = LIMIT}, tenants[2], users[3];
    for (int i = 0; i < 2; i++)
        tenants[i] = (wst__budget_t){.within = &all, .share = OUTER_SHARE};
    for (int i = 0; i < 3; i++)
        users[i] = (wst__budget_t){.within = &tenants[i / 2], .share = SHARE};
    (void)fill(&users[0]);
    assert_ptr_equal(wst__budget_obstacle(&users[0], 1), &users[0]);
    size_t second = fill(&users[1]);
    assert_in_range(second, LIMIT * 4 / 100, LIMIT * 5 / 100);
    assert_in_range(fill(&users[2]), LIMIT / 100, LIMIT * 2 / 100);
}

/* As those that hold too much give back, all come to hold the same. */
static void test_greedy_ones_become_equal(void **state) {
    (void)state;
    wst__budget_t all = {.limit = LIMIT}, users[HOLDERS];
    for (int i = 0; i < HOLDERS; i++)
        users[i] = (wst__budget_t){.within = &all, .share = SHARE};
    (void)fill(&users[0]);
    uint64_t seed = 1;
    for (int i = 0; i < 400000; i++) {
        wst__budget_t *user = &users[test_random(&seed) % HOLDERS];
        if (user->used > 0 && test_random(&seed) % 4 == 0)
            wst__budget_release(user, 1);
        else
            (void)wst__budget_reserve(user, 1);
    }
    for (int i = 0; i < HOLDERS; i++)
        assert_in_range(users[i].used, LIMIT * 8 / 10 / HOLDERS, LIMIT * 12 / 10 / HOLDERS);
}

static void test_quota(void **state) {
    (void)state;
    wst__budget_t all = {.limit = LIMIT}, user = {.within = &all, .share = SHARE, .limit = 30};
    assert_int_equal(fill(&user), 30);
    assert_ptr_equal(wst__budget_obstacle(&user, 1), &user);
}

/* The budget that is named as the obstacle is the outermost one without room. */
static void test_obstacles(void **state) {
    (void)state;
    wst__budget_t all = {.limit = 100},
                  tenant = {.within = &all, .share = OUTER_SHARE, .limit = 50},
                  user = {.within = &tenant, .share = SHARE, .limit = 20};
    assert_null(wst__budget_obstacle(&user, 20));
    assert_ptr_equal(wst__budget_obstacle(&user, 21), &user);
    assert_ptr_equal(wst__budget_obstacle(&user, 51), &tenant);
    assert_ptr_equal(wst__budget_obstacle(&user, 101), &all);
}

static void test_loans(void **state) {
    (void)state;
    wst__budget_t all = {.limit = LIMIT}, users[2];
    for (int i = 0; i < 2; i++)
        users[i] = (wst__budget_t){.within = &all, .share = SHARE};
    size_t lent = 0;
    while (wst__budget_borrow(&users[0], 1))
        lent++;
    assert_in_range(lent, LIMIT / 4 * 9 / 10, LIMIT / 4 - 1);
    assert_int_equal(all.lent, lent);
    assert_true(wst__budget_reserve(&users[0], LIMIT / 2)); /* what is not lent */
    assert_true(wst__budget_borrow(&users[1], 100));
    wst__budget_give_back(&users[0], lent);
    wst__budget_give_back(&users[1], 100);
    wst__budget_release(&users[0], LIMIT / 2);
    assert_int_equal(all.used + all.lent + users[0].used + users[0].lent, 0);
}

/* A budget apart is bounded by what is free around it, but does not count there. */
static void test_apart(void **state) {
    (void)state;
    wst__budget_t all = {.limit = 100}, apart = {.within = &all, .share = 1, .apart = true};
    assert_true(wst__budget_reserve(&all, 60));
    assert_int_equal(fill(&apart), 40);
    assert_int_equal(all.used, 60);
    wst__budget_release(&apart, 40);
    assert_int_equal(apart.used, 0);
    assert_int_equal(all.used, 60);
}

static void test_may_fit(void **state) {
    (void)state;
    wst__budget_t all = {.limit = 100}, tenant = {.within = &all, .share = 64, .limit = 50},
                  user = {.within = &tenant, .share = 16};
    assert_true(wst__budget_reserve(&user, 40));
    assert_true(wst__budget_may_fit(&user, 10));
    assert_false(wst__budget_may_fit(&user, 11));
    assert_false(wst__budget_may_fit(&user, SIZE_MAX));
    assert_true(wst__budget_reserve(&all, 60)); /* there is none, but it could be given back */
    assert_true(wst__budget_may_fit(&user, 10));
    user.limit = 45;
    assert_false(wst__budget_may_fit(&user, 10));
    assert_true(wst__budget_may_fit(&all, SIZE_MAX));
}

static void test_spare(void **state) {
    (void)state;
    static const size_t cases[][2] = {{0, 0}, {1, 0},  {2, 1},    {3, 1},      {7, 3},
                                      {8, 4}, {64, 4}, {160, 10}, {12288, 768}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(wst__budget_spare(cases[i][0]), cases[i][1]);
}

static void test_default(void **state) {
    (void)state;
    enum { MOST = 1000 };
    assert_int_equal(wst__budget_default(MOST, 0, 0), MOST); /* nothing is known */
    assert_int_equal(wst__budget_default(MOST, UINT64_MAX, 0), MOST);
    assert_int_equal(wst__budget_default(MOST, 1998, 0), 999);
    assert_int_equal(wst__budget_default(MOST, 1998, 500), 250);        /* a container */
    assert_int_equal(wst__budget_default(MOST, 1998, UINT64_MAX), 999); /* without a limit */
    assert_int_equal(wst__budget_default(MOST, 0, 500), 250);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default),
        cmocka_unit_test(test_outermost),
        cmocka_unit_test(test_one_alone_gets_nearly_all),
        cmocka_unit_test(test_what_remains_for_others),
        cmocka_unit_test(test_greedy_ones_become_equal),
        cmocka_unit_test(test_quota),
        cmocka_unit_test(test_obstacles),
        cmocka_unit_test(test_loans),
        cmocka_unit_test(test_apart),
        cmocka_unit_test(test_may_fit),
        cmocka_unit_test(test_spare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
