/* SPDX-License-Identifier: MIT */
/*
 * A session waits for another carrier: what fails, what stays, which memory it holds meanwhile, and
 * what the peer makes of it afterwards.
 */
#include "session_rig.h"

#include <wstunnel/error.h>

enum { MIB = 1024 * 1024 };

static void suspend(session_rig_t *r) {
    session_rig_ignores(r);
    wst__session_suspend(r->s);
}

static void test_opens_without_an_answer_fail(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->answer = SESSION_RIG_LATER;
    session_rig_greet(r);
    size_t cost = wst__session_stream_cost(SESSION_RIG_WINDOW);
    session_rig_stream(r, true); /* 1: open */
    session_rig_open(r);         /* 3: said, not answered */
    session_rig_says(r, "open 3 a:1");
    session_rig_open(r);                             /* 5: not said yet */
    assert_int_equal(session_rig_say_open(r, 2), 0); /* the peer's, not answered */
    session_rig_tells(r, "open 2 b:2");
    wst__session_suspend(r->s);
    session_rig_tells(r, "failed 3 -32012; failed 5 -32012");
    assert_int_equal(wst__session_stream_count(r->s), 2);
    assert_int_equal(wst__session_pinned(r->s), 2 * cost);
    wst__session_suspend(r->s); /* once more changes nothing */
    session_rig_tells(r, "");
    int status;
    assert_null(session_rig_try_open(r, &status));
    assert_int_equal(status, WST_ESTATE);
    session_rig_attach(r);
    session_rig_says(r, "credit 1 0/32768; ping 2"); /* the failed ones are not mentioned */
    session_rig_open(r);
    session_rig_says(r, "open 7 a:1"); /* no id is used twice */
    session_rig_stop(r);
}

/* The peer may have answered, on either carrier: that is late. */
static void test_an_answer_to_a_failed_open(void **state) {
    (void)state;
    for (int which = 0; which < 3; which++) {
        session_rig_t *r = session_rig_new();
        session_rig_greet(r);
        session_rig_open(r);
        suspend(r);
        session_rig_tells(r, "failed 1 -32012");
        session_rig_attach(r);
        switch (which) {
        case 0:
            assert_int_equal(session_rig_say_completed(r, 1, WST_EREFUSED), 0);
            break;
        case 1:
            assert_int_equal(session_rig_say_completed(r, 1, 0), 0);
            assert_int_equal(session_rig_say_credit(r, 1, 0, 32768), 0);
            break;
        default:
            assert_int_equal(session_rig_say_reset(r, 1, WST_EIDLE), 0);
        }
        assert_int_equal(session_rig_say_ping(r, 1), 0);
        session_rig_tells(r, "");
        session_rig_says(r, "pong 1; ping 2");
        assert_int_equal(wst__session_stream_count(r->s), 0);
        session_rig_stop(r);
    }
}

/* The side asked learns it from the account, whether it has answered or not. */
static void test_the_peer_gives_up_its_opens(void **state) {
    (void)state;
    for (int when = 0; when < 4; when++) {
        session_rig_t *r = session_rig_new();
        r->answer = SESSION_RIG_LATER;
        session_rig_greet(r);
        assert_int_equal(session_rig_say_open(r, 2), 0);
        wst__session_stream_t *st = r->owned[0];
        if (when == 0)
            wst__session_stream_accept(st, "");
        suspend(r);
        if (when == 1)
            wst__session_stream_accept(st, "");
        session_rig_attach(r);
        if (when == 2)
            wst__session_stream_accept(st, "");
        session_rig_write(r, st, "abc");
        static const char *const account[] = {"completed 2; credit 2 0/32768; ping 2",
                                              "completed 2; credit 2 0/32768; ping 2",
                                              "completed 2; credit 2 0/32768; ping 2", "ping 2"};
        session_rig_says(r, account[when]);
        session_rig_tells(r, "");
        assert_int_equal(session_rig_say_ping(r, 1), 0);
        session_rig_tells(r, "reset 2 -32012");
        session_rig_says(r, "pong 1");
        assert_int_equal(session_rig_say_open(r, 4), 0);
        assert_int_equal(session_rig_say_open(r, 2), WST_EPROTO); /* never again */
        session_rig_stop(r);
    }
}

/* What is told while opens fail may close other streams, also those that are still to be told. */
static void close_others(session_rig_t *r, const char *event, wst__session_stream_t *st) {
    if (strcmp(event, "failed") != 0)
        return;
    r->hook = NULL;
    assert_int_equal(session_rig_write(r, r->owned[2], "x"), 0); /* alive until it is told */
    for (size_t i = r->owned_count; i > 0; i--)
        if (r->owned[i - 1] != st && wst__session_stream_id(r->owned[i - 1]) != 7)
            session_rig_close(r, r->owned[i - 1], 0);
}

static void test_streams_are_closed_while_opens_fail(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    session_rig_stream(r, true);
    for (int i = 0; i < 3; i++)
        session_rig_open(r);
    session_rig_ignores(r);
    r->hook = close_others;
    wst__session_suspend(r->s);
    session_rig_tells(r, "failed 3 -32012; failed 7 -32012");
    session_rig_attach(r);
    session_rig_says(r, "reset 1 -32010; ping 2");
    session_rig_stop(r);
}

static void drop_all(session_rig_t *r, const char *event, wst__session_stream_t *st) {
    (void)event;
    (void)st;
    r->hook = NULL;
    wst__session_drop_streams(r->s, WST_EINTERNAL);
}

static void test_streams_are_dropped_while_opens_fail(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    session_rig_stream(r, true);
    session_rig_open(r);
    session_rig_open(r);
    session_rig_ignores(r);
    r->hook = drop_all;
    wst__session_suspend(r->s);
    session_rig_tells(r, "failed 3 -32012; reset 1 -32000; failed 5 -32012");
    assert_int_equal(wst__session_pinned(r->s), 0);
    session_rig_stop(r);
}

/* -- Memory ----------------------------------------------------------------------------------- */

static session_rig_t *rich_rig(void) {
    session_rig_t *r = session_rig_new();
    r->budget_limit = 64 * MIB;
    r->window_max = 4 * MIB;
    session_rig_greet(r);
    return r;
}

/* A stream whose receiver here has a large window. */
static wst__session_stream_t *busy_receiver(session_rig_t *r) {
    wst__session_stream_t *st = session_rig_stream(r, true);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(session_rig_say_bytes(r, 1, 16384), 0);
        session_rig_ignores(r);
        session_rig_wait(r, 1);
    }
    assert_true(st->rx_window >= 4 * (uint64_t)SESSION_RIG_WINDOW);
    return st;
}

static void test_pinned_counts_reservations_and_loans(void **state) {
    (void)state;
    session_rig_t *r = rich_rig();
    size_t cost = wst__session_stream_cost(SESSION_RIG_WINDOW);
    assert_int_equal(wst__session_pinned(r->s), 0);
    wst__session_stream_t *st = busy_receiver(r);
    assert_true(r->budget.lent > 0);
    assert_int_equal(wst__session_pinned(r->s), cost + r->budget.lent);
    r->budget.used += 1000; /* of others */
    assert_int_equal(wst__session_pinned(r->s), r->budget.used - 1000);
    r->budget.used -= 1000;
    assert_int_equal(session_rig_say_open(r, 2), 0);
    assert_int_equal(wst__session_pinned(r->s), r->budget.used);
    r->budget.limit = r->budget.used;
    assert_int_equal(session_rig_say_open(r, 4), 0); /* refused: counts nothing */
    int status;
    assert_null(session_rig_try_open(r, &status));
    assert_int_equal(status, WST_EMEMORY);
    assert_int_equal(wst__session_pinned(r->s), r->budget.used);
    session_rig_close(r, st, 0);
    assert_int_equal(wst__session_pinned(r->s), cost);
    session_rig_stop(r);
}

static void test_a_receiver_keeps_what_it_has_granted(void **state) {
    (void)state;
    session_rig_t *r = rich_rig();
    wst__session_stream_t *st = busy_receiver(r);
    uint64_t granted = st->rx_limit - st->rx_delivered, limit = st->rx_limit;
    uint64_t used = 60000;
    assert_true(granted > used + SESSION_RIG_WINDOW);
    wst__session_stream_read(st, false);
    assert_int_equal(session_rig_say_bytes(r, 1, used), 0);
    suspend(r);
    assert_int_equal(st->rx_reserved, granted); /* taken in already, or still to come */
    wst__session_stream_read(st, true);
    wst__session_stream_deliver(st);
    assert_int_equal(st->rx_reserved, granted); /* borrows nothing */
    assert_int_equal(wst__session_pinned(r->s), r->budget.used);
    session_rig_attach(r);
    assert_int_equal(session_rig_say_credit(r, 1, 0, 32768), 0);
    assert_int_equal(st->rx_limit, limit);
    assert_int_equal(session_rig_say_bytes(r, 1, granted - used), 0); /* all of it still may come */
    assert_true(r->s->error == 0);
    session_rig_stop(r);
}

enum { BLOCK = 128 * 1024 };

/* A stream whose sender here may keep many bytes, and keeps so many: the rest of a chunk. */
static wst__session_stream_t *busy_sender(session_rig_t *r, size_t kept) {
    wst__session_stream_t *st = session_rig_stream(r, true);
    assert_int_equal(session_rig_say_credit(r, 1, 0, 4 * MIB), 0);
    uint64_t sent = 0;
    while (st->tx_allowance < MIB / 2) {
        while (session_rig_write_bytes(r, st, 16384) == 0)
            continue;
        session_rig_ignores(r);
        sent = st->tx_sent;
        assert_int_equal(session_rig_say_credit(r, 1, sent, 4 * MIB), 0);
    }
    while (st->tx.len > 0) {
        session_rig_ignores(r);
        sent = st->tx_sent;
        assert_int_equal(session_rig_say_credit(r, 1, sent, 4 * MIB), 0);
    }
    assert_int_equal(session_rig_write_bytes(r, st, BLOCK), 0);
    session_rig_ignores(r);
    assert_int_equal(session_rig_say_credit(r, 1, sent + BLOCK - kept, 4 * MIB), 0);
    assert_int_equal(st->tx.len, kept);
    return st;
}

static void test_a_sender_keeps_what_is_not_acknowledged(void **state) {
    (void)state;
    static const size_t kept[] = {0, 1, 3000, 5000, 100000};
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        session_rig_t *r = rich_rig();
        wst__session_stream_t *st = busy_sender(r, kept[i]);
        size_t before = r->budget.lent;
        suspend(r);
        assert_true(r->budget.lent < before);
        assert_int_equal(wst__session_pinned(r->s), r->budget.used);
        if (kept[i] == 0)
            assert_int_equal(st->tx_reserved, WST__SEND_LEAST);
        assert_true(st->tx_reserved <= 2 * BLOCK);
        assert_true(wst__session_stream_room(st) > 0); /* it was not told to wait */
        assert_true(wst__bufq_capacity(&st->tx) <= (st->tx_reserved > WST__SEND_LEAST
                                                        ? wst__bufq_bound_push(st->tx_reserved)
                                                        : wst__bufq_bound_append(WST__SEND_LEAST)));
        /* It fills what it has, borrows nothing, and goes on when the peer has taken it. */
        size_t allowance = st->tx_allowance, lent = r->budget.lent;
        while (session_rig_write_bytes(r, st, 1000) == 0)
            continue;
        assert_int_equal(st->tx_allowance, allowance);
        assert_int_equal(r->budget.lent, lent);
        session_rig_attach(r);
        assert_int_equal(session_rig_say_credit(r, 1, st->tx_acked, 4 * MIB), 0);
        session_rig_ignores(r);
        assert_int_equal(session_rig_say_credit(r, 1, st->tx_sent, 4 * MIB), 0);
        session_rig_tells(r, "drain 1");
        session_rig_stop(r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opens_without_an_answer_fail),
        cmocka_unit_test(test_an_answer_to_a_failed_open),
        cmocka_unit_test(test_the_peer_gives_up_its_opens),
        cmocka_unit_test(test_streams_are_closed_while_opens_fail),
        cmocka_unit_test(test_streams_are_dropped_while_opens_fail),
        cmocka_unit_test(test_pinned_counts_reservations_and_loans),
        cmocka_unit_test(test_a_receiver_keeps_what_it_has_granted),
        cmocka_unit_test(test_a_sender_keeps_what_is_not_acknowledged),
    };
    int failures = cmocka_run_group_tests_name("binary", tests, NULL, NULL);
    session_rig_encoding = WST_ENCODING_JSON;
    return failures + cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
