/* SPDX-License-Identifier: MIT */
/* The limit of what is in flight on a carrier: its floor, how it follows rate and round trip. */
#include "support.h"

#include "flight.h"

enum { MS = 1000, KIB = 1024 };

/* A round: `bytes` in flight at its beginning are confirmed by its end. */
static void pass_round(wst__flight_t *f, uint64_t *now_us, uint64_t bytes, uint64_t rtt_us) {
    wst__flight_sent(f, bytes);
    wst__flight_ping(f, *now_us);
    *now_us += rtt_us;
    wst__flight_confirmed(f, bytes);
    wst__flight_pong(f, *now_us, false);
}

/* All that may be in flight, on a path that carries `product` bytes in a millisecond, the least
 * round trip; what is more makes a queue. */
static void pass_full_round(wst__flight_t *f, uint64_t *now_us, uint64_t product) {
    uint64_t queue_us = f->limit > product ? (f->limit - product) * MS / product : 0;
    pass_round(f, now_us, f->limit, MS + queue_us);
}

/* Times are whole microseconds. */
static void assert_about(uint64_t bytes, uint64_t expected) {
    assert_in_range(bytes, expected - expected / 100, expected + expected / 100);
}

static void test_floor(void **state) {
    (void)state;
    wst__flight_t f;
    uint64_t now_us = 1;
    wst__flight_init(&f);
    assert_int_equal(f.limit, 256 * KIB);
    pass_round(&f, &now_us, 0, 100 * MS);
    assert_int_equal(f.limit, 256 * KIB + 1600000);
    assert_int_equal(f.rtt_us, 100 * MS);
    for (int i = 0; i < 20; i++)
        pass_round(&f, &now_us, 1, 100 * MS);
    assert_int_equal(f.limit, 256 * KIB + 1600000);
}

/* A path of 100 ms that carries 100 bytes a microsecond: 10 MB a round trip. */
static void test_follows_the_product_of_rate_and_round_trip(void **state) {
    (void)state;
    enum { RTT = 100 * MS, PRODUCT = 100 * RTT };
    wst__flight_t f;
    uint64_t now_us = 1;
    wst__flight_init(&f);
    pass_round(&f, &now_us, 0, RTT);
    int rounds = 0;
    while (f.limit < PRODUCT && rounds++ < 100)
        pass_round(&f, &now_us, f.limit, RTT);
    assert_in_range(rounds, 2, 4); /* it doubles with each */
    for (int i = 0; i < 100; i++) {
        uint64_t queue = f.limit - PRODUCT;
        pass_round(&f, &now_us, f.limit, RTT + queue / 100);
    }
    assert_in_range(f.limit, 2 * PRODUCT - PRODUCT / 100, 2 * PRODUCT + PRODUCT / 100);
    /* Ten times slower: after some rounds the limit is that of the new rate. */
    for (int i = 0; i < 100; i++)
        pass_round(&f, &now_us, PRODUCT / 10, RTT);
    assert_int_equal(f.limit, 2 * PRODUCT / 10);
}

/* One good round counts for the next ones, in which there may be less to send. */
static void test_remembers_some_rounds(void **state) {
    (void)state;
    wst__flight_t f;
    uint64_t now_us = 1;
    wst__flight_init(&f);
    pass_round(&f, &now_us, 0, MS);
    for (int i = 0; i < 20; i++) /* the start is over */
        pass_full_round(&f, &now_us, 1000 * KIB);
    for (int i = 1; i < WST__FLIGHT_ROUNDS; i++) {
        pass_round(&f, &now_us, 10, MS);
        assert_about(f.limit, 2000 * KIB);
    }
    pass_round(&f, &now_us, 10, MS);
    assert_int_equal(f.limit, wst__flight_floor(&f));
}

static void test_least_round_trip(void **state) {
    (void)state;
    wst__flight_t f;
    uint64_t now_us = 1;
    wst__flight_init(&f);
    pass_round(&f, &now_us, 10, 5 * MS); /* under load, but the first */
    assert_int_equal(f.rtt_min_us, 5 * MS);
    pass_round(&f, &now_us, 10, 3 * MS); /* less is always true */
    assert_int_equal(f.rtt_min_us, 3 * MS);
    for (int i = 0; i < 100; i++)
        pass_round(&f, &now_us, 10, 90 * MS); /* a queue of our own */
    assert_int_equal(f.rtt_min_us, 3 * MS);
    /* The path has become longer, which calm pings tell. */
    for (int i = 0; i < WST__FLIGHT_CALM - 1; i++) {
        pass_round(&f, &now_us, 0, 20 * MS);
        assert_int_equal(f.rtt_min_us, 3 * MS);
    }
    pass_round(&f, &now_us, 0, 20 * MS);
    assert_int_equal(f.rtt_min_us, 20 * MS);
    /* A clock that stands still is no division by zero. */
    pass_round(&f, &now_us, 0, 0);
    assert_int_equal(f.rtt_min_us, 1);
}

/* The pong behind the peer's data has waited for it. */
static void test_receiving_is_not_calm(void **state) {
    (void)state;
    wst__flight_t f;
    uint64_t now_us = 1;
    wst__flight_init(&f);
    pass_round(&f, &now_us, 0, 3 * MS);
    for (int i = 0; i < 2 * WST__FLIGHT_CALM; i++) {
        wst__flight_ping(&f, now_us);
        wst__flight_heard(&f, 100 * KIB);
        now_us += 20 * MS;
        wst__flight_pong(&f, now_us, false);
        assert_int_equal(f.rtt_us, 20 * MS);
        assert_int_equal(f.rtt_min_us, 3 * MS);
    }
    for (int i = 0; i < WST__FLIGHT_CALM; i++) {
        wst__flight_heard(&f, 100 * KIB); /* before the ping */
        pass_round(&f, &now_us, 0, 20 * MS);
    }
    assert_int_equal(f.rtt_min_us, 20 * MS);
}

/* With losses, a long round trip is no queue: the limit does not fall for it, for some rounds. */
static void test_losses(void **state) {
    (void)state;
    enum { RTT = 100 * MS, BYTES = 10000 * KIB };
    wst__flight_t f;
    uint64_t now_us = 1;
    wst__flight_init(&f);
    pass_round(&f, &now_us, 0, RTT);
    for (int i = 0; i < 20; i++)
        pass_round(&f, &now_us, BYTES, 4 * RTT);
    assert_int_equal(f.limit, 2 * BYTES / 4);
    assert_int_equal(wst__flight_rate(&f), BYTES / 4 * 10);
    wst__flight_sent(&f, BYTES);
    wst__flight_ping(&f, now_us);
    now_us += 4 * RTT;
    wst__flight_confirmed(&f, BYTES);
    wst__flight_pong(&f, now_us, true);
    assert_int_equal(f.limit, 4 * (uint64_t)BYTES);
    for (int i = 1; i < WST__FLIGHT_LOSSY; i++) {
        pass_round(&f, &now_us, BYTES, 4 * RTT);
        assert_int_equal(f.limit, 4 * (uint64_t)BYTES);
    }
    for (int i = 0; i < WST__FLIGHT_ROUNDS; i++)
        pass_round(&f, &now_us, BYTES, 4 * RTT);
    assert_int_equal(f.limit, 2 * BYTES / 4);
}

/* A new carrier starts with a larger limit, until its rate does not grow any more though there is
 * enough to send. */
static void test_start(void **state) {
    (void)state;
    enum { PRODUCT = 10000 * KIB, SMALL = 100 };
    wst__flight_t f;
    uint64_t now_us = 1;
    wst__flight_init(&f);
    assert_int_equal(wst__flight_rate(&f), 0);
    for (int i = 0; i < 20; i++)
        pass_round(&f, &now_us, SMALL, MS); /* tells nothing about the rate */
    while (f.limit < 4 * PRODUCT) {
        uint64_t before = f.limit;
        pass_full_round(&f, &now_us, PRODUCT);
        assert_true(f.limit >= 2 * before || f.limit >= 4 * PRODUCT);
    }
    for (int i = 0; i < 5; i++) {
        pass_full_round(&f, &now_us, PRODUCT);
        assert_about(f.limit, 4 * PRODUCT);
        pass_round(&f, &now_us, SMALL, MS);
    }
    pass_full_round(&f, &now_us, PRODUCT);
    assert_about(f.limit, 2 * PRODUCT); /* the start is over */
    wst__flight_sent(&f, PRODUCT);
    assert_true(wst__flight_wants_round(&f));
    wst__flight_forgotten(&f, PRODUCT);
    for (int i = 0; i < WST__FLIGHT_ROUNDS; i++)
        pass_full_round(&f, &now_us, 2 * PRODUCT);
    assert_about(f.limit, 4 * PRODUCT);
}

/* TCP may find the rate and keep no queue: then what is in flight never comes near the limit. */
static void test_start_without_a_queue(void **state) {
    (void)state;
    enum { PRODUCT = 10000 * KIB };
    wst__flight_t f;
    uint64_t now_us = 1;
    wst__flight_init(&f);
    pass_round(&f, &now_us, 0, MS);
    for (int i = 0; i < 7; i++) {
        assert_int_equal(f.limit, i == 0 ? wst__flight_floor(&f) : 4 * PRODUCT);
        wst__flight_sent(&f, PRODUCT);
        assert_true(wst__flight_wants_round(&f));
        wst__flight_forgotten(&f, PRODUCT);
        pass_round(&f, &now_us, PRODUCT, MS);
    }
    assert_int_equal(f.limit, 2 * PRODUCT);
}

static void test_full(void **state) {
    (void)state;
    wst__flight_t f;
    wst__flight_init(&f);
    wst__flight_sent(&f, 128 * KIB);
    assert_false(wst__flight_wants_round(&f));
    wst__flight_sent(&f, 1);
    assert_true(wst__flight_wants_round(&f));
    wst__flight_ping(&f, 1);
    assert_false(wst__flight_wants_round(&f)); /* one at a time */
    f.streams = 3;
    wst__flight_sent(&f, 128 * KIB - 2);
    assert_false(wst__flight_is_full(&f));
    wst__flight_sent(&f, 1);
    assert_true(wst__flight_is_full(&f));
    wst__flight_forgotten(&f, 1);
    assert_false(wst__flight_is_full(&f));
    assert_int_equal(f.confirmed, 0);
}

/* A transfer and a keystroke need less than many streams, but no less than what the path carries.
 */
static void test_full_with_few_streams(void **state) {
    (void)state;
    wst__flight_t f;
    uint64_t now_us = 1;
    wst__flight_init(&f);
    f.streams = 2;
    wst__flight_sent(&f, 192 * KIB - 1);
    assert_false(wst__flight_is_full(&f));
    wst__flight_sent(&f, 1);
    assert_true(wst__flight_is_full(&f));
    f.streams = 3;
    assert_false(wst__flight_is_full(&f));
    wst__flight_forgotten(&f, 192 * KIB);
    pass_round(&f, &now_us, 0, MS);
    f.streams = 1;
    for (uint64_t product = 90 * KIB; product < 300 * KIB; product += 10 * KIB) {
        for (int i = 0; i < 20; i++)
            pass_full_round(&f, &now_us, product);
        uint64_t least = wst__flight_floor(&f) - 64 * KIB, twice = 2 * f.products[0];
        uint64_t limit = twice > least ? twice : least;
        wst__flight_sent(&f, limit - 1);
        assert_false(wst__flight_is_full(&f));
        wst__flight_sent(&f, 1);
        assert_true(wst__flight_is_full(&f));
        wst__flight_forgotten(&f, limit);
    }
}

enum { SHORT = 100, SHORT_PRODUCT = 100 * KIB, SHORT_MOST = 1000 * KIB };

/* Rounds of a path of 100 us that carries 1000 KiB in a millisecond, with a queue, for so long. */
static void pass_short_rounds(wst__flight_t *f, uint64_t *now_us, uint64_t us) {
    for (uint64_t until_us = *now_us + us; *now_us < until_us;)
        pass_round(f, now_us, 4 * SHORT_PRODUCT, 4 * SHORT);
}

static uint64_t limit_without_queue(const wst__flight_t *f) {
    return f->streams > WST__FLIGHT_FEW ? f->limit : f->limit_few;
}

/* Without sparse streams, what the path carries in a millisecond may be in flight. A sparse stream
 * takes it back at once, and for a second; so does a new carrier, of which nothing is known. */
static void test_without_sparse_streams(void **state) {
    (void)state;
    wst__flight_t f;
    uint64_t now_us = 10 * WST__FLIGHT_SPARSE_US;
    wst__flight_init(&f);
    pass_round(&f, &now_us, 0, SHORT);
    for (f.streams = 1; f.streams < 100; f.streams++) {
        pass_short_rounds(&f, &now_us, WST__FLIGHT_SPARSE_US - 4 * SHORT);
        assert_int_equal(wst__flight_limit(&f), limit_without_queue(&f));
        assert_true(wst__flight_limit(&f) < 260 * KIB);
        pass_short_rounds(&f, &now_us, 4 * SHORT);
        assert_about(wst__flight_limit(&f), SHORT_MOST);
        for (int i = 0; i < 20; i++) { /* the queue is no product */
            pass_round(&f, &now_us, SHORT_MOST, SHORT_MOST / SHORT_PRODUCT * SHORT);
            assert_about(wst__flight_limit(&f), SHORT_MOST);
        }
        wst__flight_note_sparse(&f);
        assert_int_equal(wst__flight_limit(&f), limit_without_queue(&f));
        pass_round(&f, &now_us, 4 * SHORT_PRODUCT, 4 * SHORT);
    }
}

/* The rate of a lossy round is too high, and a rate may be wrong. */
static void test_the_queue_is_bounded(void **state) {
    (void)state;
    wst__flight_t f;
    uint64_t now_us = 1;
    wst__flight_init(&f);
    pass_round(&f, &now_us, 0, SHORT);
    pass_short_rounds(&f, &now_us, 2 * WST__FLIGHT_SPARSE_US);
    assert_about(f.limit_queue, SHORT_MOST);
    wst__flight_sent(&f, SHORT_MOST);
    wst__flight_ping(&f, now_us);
    now_us += 200 * MS;
    wst__flight_confirmed(&f, SHORT_MOST);
    wst__flight_pong(&f, now_us, true);
    for (int i = 0; i < WST__FLIGHT_LOSSY - 1; i++) {
        assert_int_equal(f.limit_queue, 0);
        pass_round(&f, &now_us, 4 * SHORT_PRODUCT, 4 * SHORT);
    }
    pass_short_rounds(&f, &now_us, 100 * SHORT);
    assert_about(f.limit_queue, SHORT_MOST);
    pass_round(&f, &now_us, 1000 * SHORT_PRODUCT, SHORT);
    assert_int_equal(f.limit_queue, WST__FLIGHT_QUEUE_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_floor),
        cmocka_unit_test(test_follows_the_product_of_rate_and_round_trip),
        cmocka_unit_test(test_remembers_some_rounds),
        cmocka_unit_test(test_least_round_trip),
        cmocka_unit_test(test_receiving_is_not_calm),
        cmocka_unit_test(test_losses),
        cmocka_unit_test(test_start),
        cmocka_unit_test(test_start_without_a_queue),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_full_with_few_streams),
        cmocka_unit_test(test_without_sparse_streams),
        cmocka_unit_test(test_the_queue_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
