/* SPDX-License-Identifier: MIT */
/*
 * Windows that a receiver grants (PROTOCOL.md, "Windows that grow"): when they grow and when not,
 * what they borrow, and how it comes back, also by the peer's yields. What a sender keeps, and
 * yields, is in test_session_allowance.c.
 */
#include "session_rig.h"

#include "defaults.h"

#include <wstunnel/error.h>

enum {
    RTT = 10, /* ms */
    FIRST = SESSION_RIG_WINDOW,
    PING = 15000,
    FLOOR = WST__FLIGHT_FLOOR + WST__FLIGHT_FLOOR_RATE * RTT * 1000,
    BUSY = 1000 + 4 * RTT /* ms: half a window within this */
};

static uint64_t credit_of(const wst__session_stream_t *st) {
    return st->rx_limit - st->rx_delivered;
}

/* The peer sends all it may, each round trip; the session's answers reach it at once. */
static void send_a_window(session_rig_t *r, wst__session_stream_t *st) {
    r->now += RTT;
    while (st->rx_limit > st->rx_received) {
        uint64_t room = st->rx_limit - st->rx_received;
        size_t n = room < SESSION_RIG_FRAME ? (size_t)room : (size_t)SESSION_RIG_FRAME;
        assert_int_equal(session_rig_say_bytes(r, st->id, n), 0);
        r->told[0] = '\0';
    }
    session_rig_ignores(r);
}

/* -- The receiver ----------------------------------------------------------------------------- */

static void test_a_busy_stream_gets_the_floor(void **state) {
    (void)state;
    session_rig_t *r = session_rig_greet_over(session_rig_new(), RTT);
    wst__session_stream_t *st = session_rig_stream(r, false);
    assert_int_equal(session_rig_say_bytes(r, 2, FIRST / 2 - 1), 0);
    session_rig_ignores(r);
    assert_int_equal(st->rx_window, FIRST);
    r->now += BUSY;
    assert_int_equal(session_rig_say_bytes(r, 2, 1), 0);
    session_rig_ignores(r);
    assert_int_equal(st->rx_window, FLOOR);
    assert_int_equal(st->rx_limit, FIRST / 2 + FLOOR);
    assert_int_equal(r->budget.lent, wst__bufq_bound_append(FLOOR) - wst__bufq_bound_append(FIRST));
    session_rig_stop(r);
}

static void test_a_slow_stream_keeps_its_first_window(void **state) {
    (void)state;
    session_rig_t *r = session_rig_greet_over(session_rig_new(), RTT);
    wst__session_stream_t *st = session_rig_stream(r, false);
    assert_int_equal(session_rig_say_bytes(r, 2, 1), 0);
    for (uint64_t n = 1; n < 20; n++) {
        r->now += BUSY + 1;
        assert_int_equal(session_rig_say_bytes(r, 2, FIRST / 2), 0);
        session_rig_ignores(r);
        assert_int_equal(st->rx_window, FIRST);
    }
    assert_int_equal(r->budget.lent, 0);
    session_rig_stop(r);
}

/* The peer sends half a floor, the last frame late. */
static void half_a_floor(session_rig_t *r, uint64_t late_ms) {
    for (uint64_t left = FLOOR / 2, n; left > 0; left -= n) {
        n = left % SESSION_RIG_FRAME > 0 ? left % SESSION_RIG_FRAME : (uint64_t)SESSION_RIG_FRAME;
        r->now += left == n ? late_ms : 0;
        assert_int_equal(session_rig_say_bytes(r, 2, (size_t)n), 0);
        session_rig_ignores(r);
    }
}

/* Beyond the floor: less than four times the data of a round trip is too little. */
static void test_a_fast_stream_gets_more_than_the_floor(void **state) {
    (void)state;
    for (int fast = 0; fast < 2; fast++) {
        session_rig_t *r = session_rig_greet_over(session_rig_new(), RTT);
        wst__session_stream_t *st = session_rig_stream(r, false);
        assert_int_equal(session_rig_say_bytes(r, 2, FIRST / 2), 0);
        session_rig_ignores(r);
        assert_int_equal(st->rx_window, FLOOR);
        half_a_floor(r, fast != 0 ? 2 * RTT - 1 : 2 * RTT);
        assert_int_equal(st->rx_window, fast != 0 ? 2 * FLOOR : FLOOR);
        session_rig_stop(r);
    }
}

/* The pong comes behind the data, and tells what the data has to wait for. */
static void test_a_busy_receiver_pings(void **state) {
    (void)state;
    enum { SLOW = 20 * RTT };
    session_rig_t *r = session_rig_greet_over(session_rig_new(), RTT);
    wst__session_stream_t *st = session_rig_stream(r, false);
    r->now += 500 - 2 * RTT;
    assert_int_equal(session_rig_say_bytes(r, 2, FIRST / 2), 0);
    session_rig_ignores(r);
    assert_false(r->s->ping_unanswered); /* the last one was not long ago */
    assert_int_equal(st->rx_window, FLOOR);
    half_a_floor(r, 4 * RTT);
    assert_int_equal(st->rx_window, FLOOR); /* enough for the round trip so far */
    assert_true(r->s->ping_unanswered);
    r->now += SLOW;
    assert_int_equal(session_rig_say_bytes(r, 2, SESSION_RIG_FRAME), 0);
    assert_int_equal(session_rig_say_pong(r, 2), 0);
    assert_int_equal(r->s->flight.rtt_min_us, 1000 * RTT);
    half_a_floor(r, 4 * RTT);
    assert_int_equal(st->rx_window, 2 * FLOOR);
    session_rig_stop(r);
}

static void test_does_not_grow_unread(void **state) {
    (void)state;
    session_rig_t *r = session_rig_greet_over(session_rig_new(), RTT);
    wst__session_stream_t *st = session_rig_stream(r, false);
    wst__session_stream_read(st, false);
    for (int i = 0; i < 2; i++)
        assert_int_equal(session_rig_say_bytes(r, 2, FIRST / 2), 0);
    session_rig_says(r, "credit 2 32768/32768");
    assert_int_equal(st->rx_window, FIRST);
    session_rig_stop(r);
}

static void test_grows_to_the_maximum(void **state) {
    (void)state;
    bool slow = session_rig_encoding == WST_ENCODING_JSON;
    for (int set = slow ? 1 : 0; set < 2; set++) {
        session_rig_t *r = session_rig_new();
        r->window_max = set != 0 ? 100000 : 0;
        uint64_t most = set != 0 ? 100000 : WST__STREAM_WINDOW_MAX;
        session_rig_greet_over(r, RTT);
        wst__session_stream_t *st = session_rig_stream(r, false);
        for (int i = 0; i < 40 && st->rx_window < most; i++)
            send_a_window(r, st);
        assert_int_equal(st->rx_window, most);
        send_a_window(r, st);
        assert_int_equal(st->rx_window, most);
        assert_true(credit_of(st) <= most);
        session_rig_stop(r);
    }
}

/* Before a round trip is known, and if it takes no time that can be measured. */
static void test_the_floor_needs_no_round_trip(void **state) {
    (void)state;
    for (int answered = 0; answered < 2; answered++) {
        session_rig_t *r = session_rig_new();
        r->window_max = WST__STREAM_WINDOW_MAX;
        session_rig_start(r);
        session_rig_says(r, "ping 1");
        if (answered != 0)
            assert_int_equal(session_rig_say_pong(r, 1), 0);
        wst__session_stream_t *st = session_rig_stream(r, false);
        for (int i = 0; i < 100; i++) {
            r->now += (uint64_t)answered;
            assert_int_equal(session_rig_say_bytes(r, 2, FIRST / 2), 0);
            session_rig_ignores(r);
        }
        assert_int_equal(st->rx_window, WST__FLIGHT_FLOOR + WST__FLIGHT_FLOOR_RATE * answered);
        session_rig_stop(r);
    }
}

static void test_not_for_a_peer_that_keeps(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->peer_keeps = true;
    session_rig_greet_over(r, RTT);
    wst__session_stream_t *st = session_rig_stream(r, false);
    for (int i = 0; i < 10; i++)
        send_a_window(r, st);
    assert_int_equal(st->rx_window, FIRST);
    session_rig_stop(r);
}

/* Most of the budget is never lent, so that new streams find some. A window gets what is left of
 * the loans; a loan ends with its stream. */
static void test_borrows_a_quarter_at_most(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    size_t floor_loan = wst__bufq_bound_append(FLOOR) - wst__bufq_bound_append(FIRST);
    size_t left = wst__bufq_bound_append(FLOOR / 10 * 6) - wst__bufq_bound_append(FIRST);
    r->budget_limit = 4 * (floor_loan + left);
    r->window_max = FLOOR;
    session_rig_greet_over(r, RTT);
    wst__session_stream_t *st = session_rig_stream(r, false);
    for (int i = 0; i < 10; i++)
        send_a_window(r, st);
    assert_int_equal(st->rx_window, FLOOR);
    assert_int_equal(r->budget.lent, floor_loan);
    wst__session_stream_t *other = session_rig_stream(r, false);
    for (int i = 0; i < 10; i++)
        send_a_window(r, other);
    assert_in_range(other->rx_window, FLOOR / 2 + 1, FLOOR / 10 * 6);
    assert_in_range(r->budget.lent, floor_loan + left / 4 * 3, floor_loan + left);
    session_rig_close(r, st, 0);
    session_rig_ignores(r);
    for (int i = 0; i < 10; i++)
        send_a_window(r, other);
    assert_int_equal(other->rx_window, FLOOR);
    assert_int_equal(r->budget.lent, floor_loan);
    session_rig_stop(r);
    assert_int_equal(r->budget.lent, 0);
}

/* A stream that has become slow gives its loan back step by step, but not what it was granted. */
static void test_what_is_not_used_is_given_back(void **state) {
    (void)state;
    session_rig_t *r = session_rig_greet_over(session_rig_new(), RTT);
    wst__session_stream_t *st = session_rig_stream(r, false);
    send_a_window(r, st);
    assert_int_equal(st->rx_window, FLOOR);
    session_rig_wait(r, PING); /* a tick behind the burst: it was busy */
    session_rig_ignores(r);
    uint64_t window = st->rx_window;
    for (uint64_t seq = 2; st->rx_window > FIRST; seq++) {
        assert_int_equal(session_rig_say_bytes(r, 2, 100), 0);
        assert_int_equal(session_rig_say_pong(r, seq), 0);
        session_rig_wait(r, PING);
        session_rig_ignores(r);
        window = window / 2 > FIRST ? window / 2 : FIRST;
        assert_int_equal(st->rx_window, window);
        assert_int_equal(st->rx_reserved, st->rx_limit - st->rx_delivered);
    }
    /* Credit stays out until it is used. */
    uint64_t limit = st->rx_limit;
    while (st->rx_limit - st->rx_received > FIRST) {
        assert_int_equal(session_rig_say_bytes(r, 2, FIRST / 8), 0);
        session_rig_ignores(r);
        r->now += BUSY;
    }
    assert_true(st->rx_limit - limit < FIRST);
    assert_int_equal(st->rx_reserved, FIRST);
    assert_int_equal(r->budget.lent, 0);
    session_rig_stop(r);
}

static void test_the_end_gives_back(void **state) {
    (void)state;
    session_rig_t *r = session_rig_greet_over(session_rig_new(), RTT);
    wst__session_stream_t *st = session_rig_stream(r, false);
    send_a_window(r, st);
    wst__session_stream_read(st, false);
    uint64_t more = st->rx_limit - st->rx_received;
    assert_int_equal(session_rig_say_bytes(r, 2, (size_t)more), 0);
    assert_int_equal(session_rig_say_end(r, 2, st->rx_received), 0);
    assert_true(r->budget.lent > 0); /* for what is here, unread */
    wst__session_stream_read(st, true);
    wst__session_stream_deliver(st);
    assert_int_equal(r->budget.lent, 0);
    session_rig_stop(r);
}

/* Idle streams are cheap: 10,000 fit into the share of one user of the default budget, and what
 * each may be sent at first is reserved. */
static void test_many_idle_streams_fit_into_the_budget(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->budget_limit = WST__MEMORY_BUDGET / 16 * 15;
    r->hello.initial_credit = WST__STREAM_WINDOW;
    r->hello.max_streams = SESSION_RIG_MANY;
    session_rig_greet_over(r, RTT);
    r->no_read = true;
    for (uint64_t id = 2; id <= 2 * SESSION_RIG_MANY; id += 2) {
        assert_int_equal(session_rig_say_open(r, id), 0);
        if (id <= 200)
            assert_int_equal(session_rig_say_bytes(r, id, WST__STREAM_WINDOW), 0);
        session_rig_ignores(r);
        r->told[0] = '\0';
    }
    assert_int_equal(wst__session_stream_count(r->s), SESSION_RIG_MANY);
    assert_true(r->budget.used <= r->budget.limit);
    assert_int_equal(r->budget.lent, 0);
    while (r->owned_count > 0) {
        session_rig_close(r, r->owned[r->owned_count - 1], WST_EIDLE);
        session_rig_ignores(r);
    }
    session_rig_stop(r);
}

/* -- Yields ----------------------------------------------------------------------------------- */

/* A stream of the peer whose window has grown, all read. */
static wst__session_stream_t *grown(session_rig_t *r) {
    wst__session_stream_t *st = session_rig_stream(r, false);
    send_a_window(r, st);
    assert_int_equal(st->rx_window, FLOOR);
    return st;
}

static void test_a_yield_is_taken(void **state) {
    (void)state;
    session_rig_t *r = session_rig_greet_over(session_rig_new(), RTT);
    wst__session_stream_t *st = grown(r);
    uint64_t received = st->rx_received;
    assert_true(r->budget.lent > 0);
    assert_int_equal(session_rig_say_yield(r, 2, st->rx_limit, received + FIRST), 0);
    assert_int_equal(r->budget.lent, 0);
    assert_int_equal(st->rx_window, FIRST);
    assert_int_equal(st->rx_limit, received + FIRST);
    session_rig_says(r, "");
    /* And is binding. */
    wst__session_stream_read(st, false);
    assert_int_equal(session_rig_say_bytes(r, 2, FIRST), 0);
    assert_int_equal(session_rig_say_data(r, 2, "x"), WST_EPROTO);
    assert_string_equal(wst__session_error_detail(r->s), "more data than credit");
    session_rig_stop(r);
}

/* What was given meanwhile holds: the peer will use it. */
static void test_a_yield_that_crosses_credit(void **state) {
    (void)state;
    session_rig_t *r = session_rig_greet_over(session_rig_new(), RTT);
    wst__session_stream_t *st = grown(r);
    wst__session_stream_read(st, false);
    assert_int_equal(session_rig_say_bytes(r, 2, FIRST), 0);
    session_rig_ignores(r);
    uint64_t heard = st->rx_limit, sent = st->rx_received;
    wst__session_stream_read(st, true);
    wst__session_stream_deliver(st);
    session_rig_ignores(r);
    assert_true(st->rx_limit > heard);
    uint64_t limit = st->rx_limit, window = st->rx_window;
    assert_int_equal(session_rig_say_yield(r, 2, heard, sent), 0);
    assert_int_equal(st->rx_limit, limit);
    assert_int_equal(st->rx_window, window);
    session_rig_stop(r);
}

static void test_a_yield_of_what_is_unread(void **state) {
    (void)state;
    session_rig_t *r = session_rig_greet_over(session_rig_new(), RTT);
    wst__session_stream_t *st = grown(r);
    wst__session_stream_read(st, false);
    assert_int_equal(session_rig_say_bytes(r, 2, FIRST + FIRST / 2), 0);
    session_rig_ignores(r);
    assert_int_equal(session_rig_say_yield(r, 2, st->rx_limit, st->rx_received), 0);
    assert_int_equal(st->rx_window, FIRST + FIRST / 2); /* what is here still counts */
    r->now += BUSY + 1;
    wst__session_stream_read(st, true);
    wst__session_stream_deliver(st);
    session_rig_ignores(r);
    assert_int_equal(credit_of(st), FIRST + FIRST / 2);
    assert_int_equal(session_rig_say_yield(r, 2, st->rx_limit, st->rx_received), 0);
    assert_int_equal(st->rx_window, FIRST);
    assert_int_equal(r->budget.lent, 0);
    session_rig_stop(r);
}

/* The window does not shrink under a credit that is due: the credit would repeat the last one,
 * which a yield could not tell from it. */
static void test_a_credit_that_is_due_is_not_shrunk(void **state) {
    (void)state;
    session_rig_t *r = session_rig_greet_over(session_rig_new(), RTT);
    wst__session_stream_t *st = grown(r);
    wst__session_stream_read(st, false);
    assert_int_equal(session_rig_say_bytes(r, 2, SESSION_RIG_FRAME), 0);
    assert_int_equal(session_rig_say_bytes(r, 2, SESSION_RIG_FRAME), 0);
    session_rig_ignores(r); /* acknowledged, unread */
    uint64_t limit = st->rx_limit, window = st->rx_window;
    assert_int_equal(st->rx_told, st->rx_received);
    wst__session_stream_read(st, true);
    wst__session_stream_deliver(st);
    session_rig_wait(r, PING);
    assert_int_equal(st->rx_window, window);
    session_rig_ignores(r);
    assert_true(st->rx_limit > limit);
    session_rig_stop(r);
}

/* A peer may give back so much that more is due at once; nothing else would say so. */
static void test_a_yield_of_all_is_answered(void **state) {
    (void)state;
    session_rig_t *r = session_rig_greet_over(session_rig_new(), RTT);
    wst__session_stream_t *st = session_rig_stream(r, false);
    assert_int_equal(session_rig_say_yield(r, 2, FIRST, 0), 0);
    session_rig_says(r, "credit 2 0/32768");
    assert_int_equal(st->rx_limit, FIRST);
    session_rig_stop(r);
}

static void test_wrong_yields(void **state) {
    (void)state;
    for (int which = 0; which < 4; which++) {
        session_rig_t *r = session_rig_new();
        r->answer = which == 0 ? SESSION_RIG_LATER : SESSION_RIG_ACCEPT;
        session_rig_greet_over(r, RTT);
        const char *detail = "yield of credit that was not given, or was used";
        assert_int_equal(session_rig_say_open(r, 2), 0);
        session_rig_ignores(r);
        if (which == 0) {
            assert_int_equal(session_rig_say_yield(r, 2, FIRST, 0), WST_EPROTO);
            detail = "yield before the stream was open";
        } else if (which == 1) {
            assert_int_equal(session_rig_say_yield(r, 2, FIRST + 1, FIRST), WST_EPROTO);
        } else if (which == 2) {
            assert_int_equal(session_rig_say_bytes(r, 2, 2), 0);
            assert_int_equal(session_rig_say_yield(r, 2, FIRST, 1), WST_EPROTO);
        } else {
            assert_int_equal(session_rig_say_end(r, 2, 0), 0);
            assert_int_equal(session_rig_say_yield(r, 2, FIRST, 0), WST_EPROTO);
            detail = "yield behind the end of its stream";
        }
        assert_string_equal(wst__session_error_detail(r->s), detail);
        session_rig_stop(r);
    }
}

static void test_a_late_yield(void **state) {
    (void)state;
    session_rig_t *r = session_rig_greet_over(session_rig_new(), RTT);
    wst__session_stream_t *st = session_rig_stream(r, false);
    session_rig_close(r, st, WST_EIDLE);
    assert_int_equal(session_rig_say_yield(r, 2, FIRST, 0), 0);
    session_rig_says(r, "reset 2 -32011");
    assert_int_equal(session_rig_say_yield(r, 2, FIRST, 0), 0);
    session_rig_stop(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_busy_stream_gets_the_floor),
        cmocka_unit_test(test_a_slow_stream_keeps_its_first_window),
        cmocka_unit_test(test_a_fast_stream_gets_more_than_the_floor),
        cmocka_unit_test(test_a_busy_receiver_pings),
        cmocka_unit_test(test_does_not_grow_unread),
        cmocka_unit_test(test_grows_to_the_maximum),
        cmocka_unit_test(test_the_floor_needs_no_round_trip),
        cmocka_unit_test(test_not_for_a_peer_that_keeps),
        cmocka_unit_test(test_borrows_a_quarter_at_most),
        cmocka_unit_test(test_what_is_not_used_is_given_back),
        cmocka_unit_test(test_many_idle_streams_fit_into_the_budget),
        cmocka_unit_test(test_the_end_gives_back),
        cmocka_unit_test(test_a_yield_is_taken),
        cmocka_unit_test(test_a_yield_that_crosses_credit),
        cmocka_unit_test(test_a_yield_of_what_is_unread),
        cmocka_unit_test(test_a_credit_that_is_due_is_not_shrunk),
        cmocka_unit_test(test_a_yield_of_all_is_answered),
        cmocka_unit_test(test_wrong_yields),
        cmocka_unit_test(test_a_late_yield),
    };
    int failures = cmocka_run_group_tests_name("binary", tests, NULL, NULL);
    session_rig_encoding = WST_ENCODING_JSON;
    return failures + cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
