/* SPDX-License-Identifier: MIT */
/* Turns at an agent: a user's share, who waits, who is next. */
#include "support.h"

#include "account.h"
#include "dial_queue.h"

#include <wstunnel/error.h>

enum { LIMIT = 12, USERS = 3, AGENTS = 2, EACH = 20, TURNS = USERS * AGENTS * EACH };

/* What is compared as a user. */
static const char users[USERS];
static wst__dial_queues_t queues;
static wst__dial_turn_t turns[TURNS];
static size_t came; /* turns that came after a wait */
static wst__dial_turn_t *last;

static void on_turn(wst__dial_turn_t *turn) {
    assert_false(wst__dial_turn_is_waiting(turn));
    last = turn;
    came++;
}

static void open_queues(void) {
    memset(turns, 0, sizeof(turns));
    wst__dial_queues_init(&queues, &test_allocator, 7, LIMIT, on_turn);
    came = 0;
}

static void close_queues(void) {
    for (int i = 0; i < TURNS; i++)
        wst__dial_turn_drop(&turns[i]);
    assert_int_equal(queues.agents.count + queues.lines.count, 0);
    wst__dial_queues_free(&queues);
    assert_int_equal(test_alloc_live(), 0);
}

/* The n-th turn of a user at an agent. */
static wst__dial_turn_t *turn_of(int user, int agent, int n) {
    return &turns[(user * AGENTS + agent) * EACH + n];
}

static int take(int user, int agent, int n) {
    return wst__dial_turn_take(&queues, turn_of(user, agent, n), (uint64_t)agent + 1, &users[user]);
}

static int await(int user, int agent, int n) {
    return wst__dial_turn_wait(&queues, turn_of(user, agent, n), (uint64_t)agent + 1, &users[user]);
}

/* How many places the user gets in a row, beginning with its n-th turn. */
static int take_many(int user, int agent, int n) {
    int taken = 0;
    while (take(user, agent, n + taken) == 0)
        taken++;
    return taken;
}

static void test_one_user_has_two_thirds(void **state) {
    (void)state;
    open_queues();
    assert_int_equal(take_many(0, 0, 0), LIMIT * 2 / 3);
    assert_int_equal(take_many(1, 0, 0), 3);             /* of the four that are left: 3 > 2 * 1 */
    assert_int_equal(take_many(0, 1, 0), LIMIT * 2 / 3); /* another agent has its own places */
    assert_int_equal(take(0, 0, 0), 0);                  /* one that it holds already */
    close_queues();
}

static void test_turns_come_in_order(void **state) {
    (void)state;
    open_queues();
    int taken = take_many(0, 0, 0);
    for (int n = taken; n < taken + 3; n++)
        assert_int_equal(await(0, 0, n), 0);
    for (int n = 0; n < 3; n++) {
        wst__dial_turn_drop(turn_of(0, 0, n));
        assert_int_equal(came, n + 1);
        assert_ptr_equal(last, turn_of(0, 0, taken + n));
    }
    wst__dial_turn_drop(turn_of(0, 0, 3));
    assert_int_equal(came, 3);
    close_queues();
}

static void test_nobody_overtakes_his_own(void **state) {
    (void)state;
    open_queues();
    int taken = take_many(0, 0, 0);
    assert_int_equal(await(0, 0, taken), 0);
    assert_int_equal(take(0, 0, taken + 1), WST_ELIMIT);
    assert_int_equal(take(1, 0, 0), 0);
    close_queues();
}

/* One user holds two thirds and has many in line; another comes to wait, and is next. */
static void test_the_one_with_the_fewest_is_next(void **state) {
    (void)state;
    open_queues();
    int first = take_many(0, 0, 0), second = take_many(1, 0, 0), third = take_many(2, 0, 0);
    assert_int_equal(first + second + third, LIMIT);
    for (int n = 0; n < 5; n++)
        assert_int_equal(await(0, 0, first + n), 0);
    assert_int_equal(await(1, 0, second), 0);
    assert_int_equal(await(2, 0, third), 0);
    wst__dial_turn_drop(turn_of(0, 0, 0));
    assert_ptr_equal(last, turn_of(2, 0, third));
    wst__dial_turn_drop(turn_of(0, 0, 1));
    assert_int_equal(came, 1); /* two places of 12 have to be free for a second or third place */
    wst__dial_turn_drop(turn_of(0, 0, 2));
    assert_ptr_equal(last, turn_of(1, 0, second));
    close_queues();
}

/* Between the refusal and the wait a place has become free, and nobody would tell. */
static void test_a_place_meanwhile(void **state) {
    (void)state;
    open_queues();
    int taken = take_many(0, 0, 0);
    wst__dial_turn_drop(turn_of(0, 0, 0));
    assert_int_equal(await(0, 0, taken), 0);
    assert_ptr_equal(last, turn_of(0, 0, taken));
    close_queues();
}

static void test_leaving_the_line(void **state) {
    (void)state;
    open_queues();
    int taken = take_many(0, 0, 0);
    assert_int_equal(await(0, 0, taken), 0);
    assert_int_equal(await(0, 0, taken + 1), 0);
    assert_true(wst__dial_turn_is_waiting(turn_of(0, 0, taken)));
    wst__dial_turn_drop(turn_of(0, 0, taken));
    assert_false(wst__dial_turn_is_waiting(turn_of(0, 0, taken)));
    wst__dial_turn_drop(turn_of(0, 0, 0));
    assert_ptr_equal(last, turn_of(0, 0, taken + 1));
    close_queues();
}

static void test_moving_to_another_agent(void **state) {
    (void)state;
    open_queues();
    int taken = take_many(0, 0, 0);
    assert_int_equal(await(0, 0, taken), 0);
    assert_int_equal(wst__dial_turn_take(&queues, turn_of(0, 0, 0), 2, &users[0]), 0);
    assert_int_equal(came, 1); /* the place at the first agent is another's now */
    assert_ptr_equal(last, turn_of(0, 0, taken));
    close_queues();
}

/* What is refused elsewhere takes no place away, nor lets it go round. */
static void test_refused_elsewhere(void **state) {
    (void)state;
    open_queues();
    int taken = take_many(0, 0, 0);
    (void)take_many(0, 1, 0);
    assert_int_equal(await(0, 0, taken), 0);
    assert_int_equal(wst__dial_turn_take(&queues, turn_of(0, 0, 0), 2, &users[0]), WST_ELIMIT);
    assert_int_equal(came, 0);
    assert_int_equal(take(0, 0, 0), 0); /* it has its place still */
    wst__dial_turn_drop(turn_of(0, 0, 0));
    assert_ptr_equal(last, turn_of(0, 0, taken));
    close_queues();
}

static void take_and_wait(void *arg) {
    (void)arg;
    open_queues();
    int taken = 0, status;
    while ((status = take(0, 0, taken)) == 0)
        taken++;
    if (status == WST_ELIMIT && await(0, 0, taken) == 0)
        wst__dial_turn_drop(turn_of(0, 0, 0));
    close_queues();
}

static void test_no_memory(void **state) {
    (void)state;
    assert_true(test_alloc_each(take_and_wait, NULL) >= 3); /* agent, line, place in the order */
}

/* What must hold at any time. */
static void check_places(void) {
    for (int agent = 0; agent < AGENTS; agent++) {
        size_t all = 0, places[USERS] = {0}, waiting[USERS] = {0};
        for (int i = 0; i < TURNS; i++) {
            wst__dial_turn_t *t = &turns[i];
            if (i / EACH % AGENTS != agent || t->line == NULL)
                continue;
            int user = i / EACH / AGENTS;
            bool waits = wst__dial_turn_is_waiting(t);
            waiting[user] += waits;
            places[user] += !waits;
            all += !waits;
        }
        assert_true(all <= LIMIT);
        for (int user = 0; user < USERS; user++)
            assert_true(waiting[user] == 0 || places[user] >= WST__DIAL_SHARE * (LIMIT - all));
    }
}

static void test_random_use(void **state) {
    (void)state;
    uint64_t seed = 5;
    open_queues();
    for (int i = 0; i < 50000; i++) {
        int user = (int)(test_random(&seed) % USERS), agent = (int)(test_random(&seed) % AGENTS),
            n = (int)(test_random(&seed) % EACH);
        wst__dial_turn_t *turn = turn_of(user, agent, n);
        if (turn->line != NULL)
            wst__dial_turn_drop(turn);
        else if (take(user, agent, n) == WST_ELIMIT)
            assert_int_equal(await(user, agent, n), 0);
        check_places();
    }
    assert_true(came > 1000);
    close_queues();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_user_has_two_thirds),
        cmocka_unit_test(test_turns_come_in_order),
        cmocka_unit_test(test_nobody_overtakes_his_own),
        cmocka_unit_test(test_the_one_with_the_fewest_is_next),
        cmocka_unit_test(test_a_place_meanwhile),
        cmocka_unit_test(test_leaving_the_line),
        cmocka_unit_test(test_moving_to_another_agent),
        cmocka_unit_test(test_refused_elsewhere),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_random_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
