/* SPDX-License-Identifier: MIT */
/*
 * What a sender keeps until it is acknowledged (PROTOCOL.md, "Windows that grow"): how much it may
 * be, what it borrows, and how the sender yields what it does not use.
 */
#include "session_rig.h"

#include <wstunnel/error.h>

enum {
    RTT = 10, /* ms */
    FIRST = SESSION_RIG_WINDOW,
    PING = 15000,
    FLOOR = WST__FLIGHT_FLOOR + WST__FLIGHT_FLOOR_RATE * RTT * 1000
};

/* Writes as long as there is room. */
static void fill(session_rig_t *r, wst__session_stream_t *st) {
    while (wst__session_stream_room(st) > 0)
        session_rig_write_bytes(r, st, wst__session_stream_room(st));
}

static void test_keeps_as_much_as_it_is_granted(void **state) {
    (void)state;
    session_rig_t *r = session_rig_greet_over(session_rig_new(), RTT);
    wst__session_stream_t *st = session_rig_stream(r, true);
    assert_int_equal(session_rig_say_credit(r, 1, 0, 200000), 0);
    assert_int_equal(wst__session_stream_room(st), WST__SEND_LEAST); /* more is not needed yet */
    assert_int_equal(r->budget.lent, 0);
    while (st->tx_allowance < 200000)
        assert_int_equal(session_rig_write_bytes(r, st, wst__session_stream_room(st)), 0);
    assert_int_equal(session_rig_write_bytes(r, st, wst__session_stream_room(st)), WST_WAIT);
    assert_int_equal(st->tx.len, 200000);
    assert_int_equal(r->budget.lent,
                     wst__bufq_bound_push(200000) - wst__bufq_bound_append(WST__SEND_LEAST));
    session_rig_stop(r);
}

/* More than what may be in flight would only wait here instead of at its source. */
static void test_keeps_no_more_than_can_be_in_flight(void **state) {
    (void)state;
    session_rig_t *r = session_rig_greet_over(session_rig_new(), RTT);
    wst__session_stream_t *st = session_rig_stream(r, true);
    assert_int_equal(session_rig_say_credit(r, 1, 0, 10 * FLOOR), 0);
    fill(r, st);
    assert_int_equal(st->tx_allowance, 2 * FLOOR);
    session_rig_stop(r);
}

/* Without sparse streams more may be in flight, and is kept. */
static void test_keeps_more_without_sparse_streams(void **state) {
    (void)state;
    session_rig_t *r = session_rig_greet_over(session_rig_new(), RTT);
    wst__session_stream_t *st = session_rig_stream(r, true);
    assert_int_equal(session_rig_say_credit(r, 1, 0, 100 * FLOOR), 0);
    r->s->flight.limit_queue = 3 * FLOOR;
    fill(r, st);
    assert_int_equal(st->tx_allowance, 6 * FLOOR);
    session_rig_stop(r);
}

/* Several streams share that bound; a stream keeps what it has until the others need it. */
static void test_streams_share_what_can_wait(void **state) {
    (void)state;
    session_rig_t *r = session_rig_greet_over(session_rig_new(), RTT);
    enum { STREAMS = 4, SHARE = 2 * FLOOR / STREAMS };
    wst__session_stream_t *st[STREAMS];
    for (int i = 0; i < STREAMS; i++) {
        st[i] = session_rig_stream(r, true);
        assert_int_equal(session_rig_say_credit(r, st[i]->id, 0, 10 * FLOOR), 0);
        assert_int_equal(session_rig_write_bytes(r, st[i], 1), 0);
        session_rig_ignores(r); /* in flight */
    }
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < STREAMS; i++) {
            fill(r, st[i]);
            assert_int_equal(st[i]->tx_allowance, SHARE);
        }
    }
    session_rig_stop(r);
}

/* Three more streams, each with a byte to send. */
static void open_others(session_rig_t *r) {
    for (int i = 0; i < 3; i++) {
        wst__session_stream_t *st = session_rig_stream(r, true);
        assert_int_equal(session_rig_say_credit(r, st->id, 0, 10 * FLOOR), 0);
        assert_int_equal(session_rig_write_bytes(r, st, 1), 0);
    }
}

/* A stream that had it all alone, then three others with bytes in flight; it has nothing to send.
 */
static wst__session_stream_t *leader(session_rig_t *r) {
    wst__session_stream_t *first = session_rig_stream(r, true);
    assert_int_equal(session_rig_say_credit(r, 1, 0, 10 * FLOOR), 0);
    fill(r, first);
    assert_int_equal(first->tx_allowance, 2 * FLOOR);
    open_others(r);
    session_rig_ignores(r);
    assert_int_equal(session_rig_say_credit(r, 1, first->tx_sent, 20 * FLOOR), 0);
    session_rig_ignores(r); /* now the others' bytes are in flight, too */
    return first;
}

/* It makes room for them. */
static void test_a_stream_gives_up_its_lead(void **state) {
    (void)state;
    session_rig_t *r = session_rig_greet_over(session_rig_new(), RTT);
    wst__session_stream_t *first = leader(r);
    fill(r, first);
    assert_int_equal(first->tx_allowance, 2 * FLOOR / 4);
    session_rig_stop(r);
}

enum { BLOCK = 131072 };

/* The budget lends what tx_reserved takes, and that covers what the queue pins. */
static void expect_covered(const session_rig_t *r, const wst__session_stream_t *st) {
    assert_int_equal(r->budget.lent, st->tx_reserved > WST__SEND_LEAST
                                         ? wst__bufq_bound_push(st->tx_reserved) -
                                               wst__bufq_bound_append(WST__SEND_LEAST)
                                         : 0);
    assert_true(wst__bufq_capacity(&st->tx) <= wst__bufq_bound_push(st->tx_reserved));
}

/* The bytes that are there when others need room count until the peer has acknowledged them. */
static void test_a_lead_counts_while_it_is_kept(void **state) {
    (void)state;
    session_rig_t *r = session_rig_greet_over(session_rig_new(), RTT);
    wst__session_stream_t *first = leader(r);
    while (session_rig_write_bytes(r, first, BLOCK) == 0)
        continue;
    assert_int_equal(first->tx_allowance, 2 * FLOOR / 4);
    assert_true(first->tx.len > FLOOR);
    while (first->tx.len > 0) {
        expect_covered(r, first);
        /* The last write may have gone beyond. */
        size_t beyond = first->tx.len > 2 * FLOOR ? first->tx.len - 2 * FLOOR : 0;
        assert_in_range(first->tx_reserved + beyond, first->tx.len,
                        first->tx.len + first->tx_allowance);
        session_rig_ignores(r);
        uint64_t next = first->tx_acked + BLOCK / 2;
        next = next < first->tx_sent ? next : first->tx_sent;
        assert_int_equal(session_rig_say_credit(r, 1, next, 20 * FLOOR), 0);
    }
    expect_covered(r, first);
    assert_int_equal(first->tx_reserved, first->tx_allowance);
    session_rig_stop(r);
}

/* A byte that waits keeps its chunk, however little is sent. */
static void test_a_chunk_counts_while_it_is_kept(void **state) {
    (void)state;
    session_rig_t *r = session_rig_greet_over(session_rig_new(), RTT);
    wst__session_stream_t *st = session_rig_stream(r, true);
    uint64_t limit = 2 * FLOOR;
    assert_int_equal(session_rig_say_credit(r, 1, 0, limit), 0);
    fill(r, st);
    while (st->tx.len > 0) {
        session_rig_ignores(r);
        assert_int_equal(session_rig_say_credit(r, 1, st->tx_sent, limit), 0);
    }
    assert_int_equal(st->tx_sent, limit);
    limit += BLOCK - 1;
    assert_int_equal(session_rig_say_credit(r, 1, st->tx_sent, limit), 0);
    assert_int_equal(session_rig_write_bytes(r, st, BLOCK), WST_WAIT);
    session_rig_ignores(r);
    assert_int_equal(session_rig_say_credit(r, 1, limit, limit), 0);
    assert_int_equal(st->tx.len, 1);
    for (uint64_t seq = 2; st->tx_allowance > WST__SEND_LEAST; seq++) {
        session_rig_wait(r, PING);
        session_rig_ignores(r);
        assert_int_equal(session_rig_say_pong(r, seq), 0);
        expect_covered(r, st);
    }
    assert_int_equal(st->tx_reserved, BLOCK);
    assert_int_equal(session_rig_say_credit(r, 1, limit, limit + 1), 0);
    session_rig_ignores(r);
    assert_int_equal(session_rig_say_credit(r, 1, limit + 1, limit + 1), 0);
    assert_int_equal(st->tx_reserved, WST__SEND_LEAST);
    expect_covered(r, st);
    session_rig_stop(r);
}

/* It must be able to write when credit arrives. */
static void test_a_blocked_stream_keeps_its_allowance(void **state) {
    (void)state;
    session_rig_t *r = session_rig_greet_over(session_rig_new(), RTT);
    wst__session_stream_t *first = session_rig_stream(r, true);
    assert_int_equal(session_rig_say_credit(r, 1, 0, 2 * FLOOR), 0);
    fill(r, first);
    open_others(r);
    while (first->tx_acked < 2 * FLOOR) {
        session_rig_ignores(r);
        assert_int_equal(session_rig_say_credit(r, 1, first->tx_sent, 2 * FLOOR), 0);
    }
    session_rig_write_bytes(r, first, 1); /* there is no credit left */
    assert_int_equal(first->tx_allowance, 2 * FLOOR / 4);
    assert_int_equal(session_rig_say_credit(r, 1, 2 * FLOOR, 2 * FLOOR + 100), 0);
    assert_int_equal(wst__session_stream_room(first), 99);
    session_rig_stop(r);
}

/* A loss lets the limit of what is in flight be, however long the round trip. */
static void test_a_loss_is_no_queue(void **state) {
    (void)state;
    for (int lossy = 0; lossy < 2; lossy++) {
        session_rig_t *r = session_rig_greet_over(session_rig_new(), RTT);
        assert_int_equal(r->rounds, 1);
        wst__session_stream_t *st = session_rig_stream(r, true);
        assert_int_equal(session_rig_say_credit(r, 1, 0, 10 * FLOOR), 0);
        fill(r, st);
        session_rig_ignores(r);
        assert_true(r->s->ping_unanswered);
        uint64_t pinged = st->tx_pinged;
        r->lossy = lossy != 0;
        r->now += 10 * RTT;
        assert_int_equal(session_rig_say_pong(r, 2), 0);
        assert_int_equal(r->rounds, 2);
        assert_int_equal(r->s->flight.limit, lossy != 0 ? 4 * pinged : FLOOR);
        session_rig_stop(r);
    }
}

static void test_keeps_no_more_than_the_budget_lends(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->budget_limit = 1 << 20;
    session_rig_greet_over(r, RTT);
    wst__session_stream_t *st = session_rig_stream(r, true);
    assert_int_equal(session_rig_say_credit(r, 1, 0, 4 << 20), 0);
    int status;
    while ((status = session_rig_write_bytes(r, st, wst__session_stream_room(st))) == 0)
        continue;
    assert_int_equal(status, WST_WAIT);
    assert_true(st->tx_allowance > FIRST && st->tx.len > st->tx_allowance / 2 &&
                st->tx.len <= st->tx_allowance);
    assert_true(r->budget.lent <= r->budget.limit / 4);
    session_rig_ignores(r);
    assert_int_equal(session_rig_say_credit(r, 1, st->tx.len / 2, 4 << 20), 0);
    session_rig_tells(r, "drain 1");
    session_rig_stop(r);
}

static void test_yields_when_silent(void **state) {
    (void)state;
    session_rig_t *r = session_rig_greet_over(session_rig_new(), RTT);
    wst__session_stream_t *st = session_rig_stream(r, true);
    assert_int_equal(session_rig_say_credit(r, 1, 0, 200000), 0);
    assert_int_equal(session_rig_write_bytes(r, st, FIRST), 0);
    assert_int_equal(session_rig_write_bytes(r, st, FIRST), 0);
    session_rig_ignores(r);
    session_rig_wait(r, PING); /* not all is acknowledged */
    session_rig_says(r, "ping 2");
    assert_int_equal(session_rig_say_credit(r, 1, 2 * FIRST, 200000), 0);
    assert_true(r->budget.lent > 0);
    assert_int_equal(session_rig_say_pong(r, 2), 0);
    session_rig_wait(r, PING);
    session_rig_says(r, "yield 1 200000/98304; ping 3");
    assert_int_equal(r->budget.lent, 0);
    assert_int_equal(session_rig_say_pong(r, 3), 0);
    session_rig_wait(r, PING);
    session_rig_says(r, "ping 4"); /* said once */
    /* No further than that without another credit. */
    assert_int_equal(session_rig_write_bytes(r, st, FIRST), WST_WAIT);
    assert_int_equal(session_rig_write_bytes(r, st, 10), WST_WAIT);
    session_rig_says(r, "data 1 +16384; data 1 +16384");
    assert_int_equal(session_rig_say_credit(r, 1, 3 * FIRST, 200000), 0);
    session_rig_says(r, "data 1 xxxxxxxxxx");
    session_rig_stop(r);
}

static void test_does_not_yield_while_it_sends(void **state) {
    (void)state;
    session_rig_t *r = session_rig_greet_over(session_rig_new(), RTT);
    wst__session_stream_t *st = session_rig_stream(r, true);
    assert_int_equal(session_rig_say_credit(r, 1, 0, 200000), 0);
    for (uint64_t n = 1; n < 5; n++) {
        assert_int_equal(session_rig_write(r, st, "x"), 0);
        session_rig_ignores(r);
        assert_int_equal(session_rig_say_credit(r, 1, n, 200000), 0);
        session_rig_wait(r, PING);
        session_rig_ignores(r);
        assert_int_equal(st->tx_limit, 200000);
        assert_int_equal(session_rig_say_pong(r, n + 1), 0);
    }
    session_rig_stop(r);
}

/* What changes between the ping and the next message takes the yield back. */
static void test_a_yield_that_is_overtaken(void **state) {
    (void)state;
    for (int which = 0; which < 3; which++) {
        session_rig_t *r = session_rig_greet_over(session_rig_new(), RTT);
        wst__session_stream_t *st = session_rig_stream(r, true);
        assert_int_equal(session_rig_say_credit(r, 1, 0, 200000), 0);
        session_rig_wait(r, PING);
        if (which == 0) {
            assert_int_equal(session_rig_write(r, st, "x"), 0);
            session_rig_says(r, "ping 2; data 1 x");
        } else if (which == 1) {
            assert_int_equal(session_rig_say_credit(r, 1, 0, 300000), 0);
            session_rig_says(r, "ping 2");
        } else {
            assert_int_equal(wst__session_stream_shutdown(st), 0);
            session_rig_says(r, "end 1 0; ping 2");
        }
        session_rig_stop(r);
    }
}

static void test_yields_nothing_to_a_peer_that_keeps(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->peer_keeps = true;
    session_rig_greet_over(r, RTT);
    session_rig_stream(r, true);
    assert_int_equal(session_rig_say_credit(r, 1, 0, 200000), 0);
    session_rig_wait(r, PING);
    session_rig_says(r, "ping 2");
    session_rig_stop(r);
}

/* On a new carrier all is stated anew; a yield that was lost is lost. */
static void test_a_new_carrier(void **state) {
    (void)state;
    session_rig_t *r = session_rig_greet_over(session_rig_new(), RTT);
    wst__session_stream_t *st = session_rig_stream(r, true);
    assert_int_equal(session_rig_say_credit(r, 1, 0, 200000), 0);
    session_rig_wait(r, PING);
    session_rig_says(r, "yield 1 200000/32768; ping 2");
    wst__session_detach(r->s);
    session_rig_attach(r);
    session_rig_ignores(r);
    assert_int_equal(session_rig_say_yield(r, 1, FIRST, FIRST), WST_EPROTO);
    assert_string_equal(wst__session_error_detail(r->s),
                        "yield on a new carrier before the stream was restated");
    session_rig_stop(r);

    r = session_rig_greet_over(session_rig_new(), RTT);
    st = session_rig_stream(r, true);
    assert_int_equal(session_rig_say_credit(r, 1, 0, 200000), 0);
    session_rig_wait(r, PING); /* the yield waits to be said */
    wst__session_detach(r->s);
    session_rig_attach(r);
    session_rig_says(r, "credit 1 0/32768; ping 2");
    assert_int_equal(session_rig_say_credit(r, 1, 0, 200000), 0);
    assert_int_equal(st->tx_limit, 200000);
    session_rig_stop(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeps_as_much_as_it_is_granted),
        cmocka_unit_test(test_keeps_no_more_than_can_be_in_flight),
        cmocka_unit_test(test_keeps_more_without_sparse_streams),
        cmocka_unit_test(test_streams_share_what_can_wait),
        cmocka_unit_test(test_a_stream_gives_up_its_lead),
        cmocka_unit_test(test_a_lead_counts_while_it_is_kept),
        cmocka_unit_test(test_a_chunk_counts_while_it_is_kept),
        cmocka_unit_test(test_a_blocked_stream_keeps_its_allowance),
        cmocka_unit_test(test_a_loss_is_no_queue),
        cmocka_unit_test(test_keeps_no_more_than_the_budget_lends),
        cmocka_unit_test(test_yields_when_silent),
        cmocka_unit_test(test_does_not_yield_while_it_sends),
        cmocka_unit_test(test_a_yield_that_is_overtaken),
        cmocka_unit_test(test_yields_nothing_to_a_peer_that_keeps),
        cmocka_unit_test(test_a_new_carrier),
    };
    int failures = cmocka_run_group_tests_name("binary", tests, NULL, NULL);
    session_rig_encoding = WST_ENCODING_JSON;
    return failures + cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
