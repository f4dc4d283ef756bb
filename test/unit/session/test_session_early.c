/* SPDX-License-Identifier: MIT */
/* Early data (PROTOCOL.md): bytes behind an open that has not been answered. */
#include "session_rig.h"

#include <stdio.h>
#include <wstunnel/error.h>

/* A session whose peer takes early data, and obeys networks. */
static session_rig_t *rig(void) {
    session_rig_t *r = session_rig_new();
    r->peer_hello.early = r->peer_hello.networks = true;
    r->answer = SESSION_RIG_LATER;
    return r;
}

static session_rig_t *greeted(void) {
    session_rig_t *r = rig();
    session_rig_greet(r);
    return r;
}

/* A stream of ours with the early bytes "abc". */
static wst__session_stream_t *open_abc(session_rig_t *r) {
    wst__session_stream_t *st = session_rig_open(r);
    session_rig_write(r, st, "abc");
    session_rig_says(r, "open 1 a:1; data 1 abc");
    return st;
}

/* -- Sending ---------------------------------------------------------------------------------- */

static void test_bytes_do_not_wait_for_the_answer(void **state) {
    (void)state;
    session_rig_t *r = greeted();
    wst__session_stream_t *st = session_rig_open(r);
    assert_true(wst__session_stream_takes_early(st));
    assert_false(wst__session_stream_early_delivered(st));
    session_rig_write(r, st, "abc");
    session_rig_says(r, "open 1 a:1; data 1 abc");
    assert_true(wst__session_stream_early_delivered(st));
    session_rig_write(r, st, "d");
    session_rig_says(r, "data 1 d");
    assert_int_equal(session_rig_say_completed(r, 1, 0), 0);
    session_rig_tells(r, "opened 1");
    assert_false(wst__session_stream_takes_early(st));
    session_rig_write(r, st, "e");
    session_rig_says(r, "data 1 e");
    assert_int_equal(session_rig_say_credit(r, 1, 5, 40000), 0);
    session_rig_stop(r);
}

static void test_a_peer_without_the_feature(void **state) {
    (void)state;
    session_rig_t *r = rig();
    r->peer_hello.early = false;
    session_rig_greet(r);
    wst__session_stream_t *st = session_rig_open(r);
    assert_false(wst__session_stream_takes_early(st));
    session_rig_write(r, st, "abc");
    session_rig_says(r, "open 1 a:1");
    assert_int_equal(session_rig_say_completed(r, 1, 0), 0);
    session_rig_says(r, "data 1 abc");
    assert_false(wst__session_stream_early_delivered(st));
    session_rig_stop(r);
}

/* Where the peer may not try all addresses, it must obey that. */
static void test_a_peer_that_does_not_obey_networks(void **state) {
    (void)state;
    for (int obeys = 0; obeys < 2; obeys++) {
        session_rig_t *r = rig();
        r->peer_hello.networks = obeys != 0;
        session_rig_greet(r);
        wst__session_stream_t *st = session_rig_open(r);
        assert_int_equal(wst__session_stream_set_networks(st, "1+*"), 0);
        assert_int_equal(wst__session_stream_takes_early(st), obeys);
        session_rig_write(r, st, "abc");
        session_rig_says(r, obeys ? "open 1 a:1; data 1 abc" : "open 1 a:1");
        session_rig_stop(r);
    }
}

static void test_no_more_than_the_first_window(void **state) {
    (void)state;
    session_rig_t *r = rig();
    r->peer_hello.initial_credit = 2;
    session_rig_greet(r);
    wst__session_stream_t *st = session_rig_open(r);
    assert_int_equal(session_rig_write(r, st, "abc"), WST_WAIT);
    session_rig_says(r, "open 1 a:1; data 1 ab; ping 2");
    session_rig_tells(r, "");
    assert_int_equal(session_rig_say_completed(r, 1, 0), 0);
    session_rig_tells(r, "opened 1"); /* there is no room yet */
    assert_int_equal(session_rig_say_credit(r, 1, 2, 20), 0);
    session_rig_tells(r, "drain 1");
    session_rig_says(r, "data 1 c");
    session_rig_stop(r);
}

/* A pong confirms early bytes, too, but the writer is told only when the stream is open. */
static void test_a_pong_makes_room(void **state) {
    (void)state;
    session_rig_t *r = greeted();
    wst__session_stream_t *st = session_rig_open(r);
    size_t lent = r->budget.lent;
    assert_int_equal(session_rig_write_bytes(r, st, WST__SEND_LEAST), WST_WAIT);
    assert_int_equal(r->budget.lent, lent); /* nothing is lent before the answer */
    session_rig_says(r, "open 1 a:1; data 1 +4096; ping 2");
    assert_int_equal(session_rig_say_pong(r, 2), 0);
    session_rig_tells(r, "");
    assert_int_equal(wst__session_stream_room(st), WST__SEND_LEAST);
    assert_int_equal(session_rig_say_completed(r, 1, 0), 0);
    session_rig_tells(r, "opened 1; drain 1");
    session_rig_stop(r);
}

static void test_the_end_waits_for_the_answer(void **state) {
    (void)state;
    session_rig_t *r = greeted();
    wst__session_stream_t *st = open_abc(r);
    assert_int_equal(wst__session_stream_shutdown(st), 0);
    session_rig_says(r, "");
    assert_int_equal(session_rig_say_completed(r, 1, 0), 0);
    session_rig_says(r, "end 1 3");
    session_rig_stop(r);
}

static bool may_be_delivered;

static void see_failure(session_rig_t *r, const char *event, wst__session_stream_t *st) {
    (void)r;
    if (strcmp(event, "failed") == 0)
        may_be_delivered = wst__session_stream_early_delivered(st);
}

/* Only a refusal and a goaway prove that the bytes were not delivered. */
static void test_an_open_with_early_bytes_fails(void **state) {
    (void)state;
    enum { REFUSED, FORGOTTEN, RESET, AWAY, LOST, CASES };
    static const char *const told[] = {"failed 1 -32001 why", "failed 1 -32012 why",
                                       "failed 1 -32009 why", "failed 1 -32008; goaway -32008",
                                       "failed 1 -32012"};
    for (int how = 0; how < CASES; how++) {
        session_rig_t *r = greeted();
        open_abc(r);
        r->hook = see_failure;
        if (how == REFUSED)
            assert_int_equal(session_rig_say_completed(r, 1, WST_EREFUSED), 0);
        else if (how == FORGOTTEN)
            assert_int_equal(session_rig_say_completed(r, 1, WST_ELOST), 0);
        else if (how == RESET)
            assert_int_equal(session_rig_say_reset(r, 1, WST_ERESET), 0);
        else if (how == AWAY)
            assert_int_equal(session_rig_say_goaway(r, 0), 0);
        else
            wst__session_drop_streams(r->s, WST_ELOST);
        session_rig_tells(r, told[how]);
        assert_int_equal(may_be_delivered, how != REFUSED && how != AWAY);
        assert_int_equal(r->s->flight.in_flight, 0);
        session_rig_stop(r);
    }
}

static void test_an_open_with_early_bytes_is_cancelled(void **state) {
    (void)state;
    session_rig_t *r = greeted();
    wst__session_stream_t *st = open_abc(r);
    session_rig_close(r, st, 0);
    session_rig_says(r, "reset 1 -32010");
    assert_int_equal(session_rig_say_completed(r, 1, 0), 0); /* late */
    assert_int_equal(session_rig_say_credit(r, 1, 3, 40000), 0);
    session_rig_tells(r, "");
    session_rig_stop(r);
}

/* -- Being asked ------------------------------------------------------------------------------ */

static wst__session_stream_t *asked_with(session_rig_t *r, const char *text) {
    assert_int_equal(session_rig_say_open(r, 2), 0);
    assert_int_equal(session_rig_say_data(r, 2, text), 0);
    session_rig_tells(r, "open 2 b:2");
    return r->owned[0];
}

static void test_early_bytes_are_kept_until_accepted(void **state) {
    (void)state;
    session_rig_t *r = greeted();
    wst__session_stream_t *st = asked_with(r, "abc");
    assert_int_equal(session_rig_say_data(r, 2, "d"), 0);
    wst__session_stream_deliver(st); /* it is not open */
    session_rig_tells(r, "");
    session_rig_wait(r, 20000); /* no credit before the answer */
    session_rig_says(r, "ping 2");
    wst__session_stream_accept(st, "");
    session_rig_tells(r, "");
    session_rig_says(r, "completed 2");
    wst__session_stream_deliver(st);
    session_rig_tells(r, "data 2 abcd");
    assert_int_equal(session_rig_say_data(r, 2, "e"), 0);
    session_rig_tells(r, "data 2 e");
    session_rig_stop(r);
}

/* Half a window is acknowledged at once, even if it is not read. */
static void test_much_is_acknowledged_with_the_answer(void **state) {
    (void)state;
    session_rig_t *r = rig();
    r->hello.initial_credit = 8;
    r->no_read = true;
    session_rig_greet(r);
    wst__session_stream_t *st = asked_with(r, "abcd");
    wst__session_stream_accept(st, "");
    session_rig_says(r, "completed 2; credit 2 4/8");
    session_rig_stop(r);
}

static void test_early_bytes_are_bounded(void **state) {
    (void)state;
    session_rig_t *r = rig();
    r->hello.initial_credit = 8;
    session_rig_greet(r);
    asked_with(r, "abcdefgh");
    assert_int_equal(session_rig_say_data(r, 2, "i"), WST_EPROTO);
    assert_string_equal(wst__session_error_detail(r->s), "more data than credit");
    session_rig_stop(r);
}

static void test_a_refusal_drops_early_bytes(void **state) {
    (void)state;
    session_rig_t *r = greeted();
    wst__session_stream_t *st = asked_with(r, "abc");
    wst__session_stream_refuse(st, WST_EDENIED, "no");
    session_rig_close(r, st, 0);
    assert_int_equal(r->budget.used, 0);
    assert_int_equal(session_rig_say_data(r, 2, "d"), 0); /* was on its way */
    session_rig_says(r, "refused 2 -32006 no");
    assert_int_equal(session_rig_say_data(r, 2, "e"), 0);
    session_rig_tells(r, "");
    session_rig_stop(r);
}

/* -- Another carrier -------------------------------------------------------------------------- */

/* The open waits on; what the peer says of it on the next carrier, and what follows. */
static void test_an_open_outlives_its_carrier(void **state) {
    (void)state;
    enum { PART, NOTHING, ACCEPTED, REFUSED, UNKNOWN, CASES };
    static const char *const told[] = {"", "", "opened 1", "failed 1 -32001 why",
                                       "failed 1 -32012 why"};
    static const char *const said[] = {"data 1 bc", "data 1 abc", "data 1 c", "", ""};
    for (int which = 0; which < CASES; which++) {
        session_rig_t *r = greeted();
        wst__session_stream_t *st = open_abc(r);
        wst__session_suspend(r->s);
        session_rig_tells(r, "");
        session_rig_attach(r);
        session_rig_says(r, "open 1 a:1; ping 2"); /* no data before the peer's account */
        if (which == PART)
            assert_int_equal(session_rig_say_credit(r, 1, 1, SESSION_RIG_WINDOW), 0);
        if (which == ACCEPTED) {
            assert_int_equal(session_rig_say_completed(r, 1, 0), 0);
            assert_int_equal(session_rig_say_credit(r, 1, 2, SESSION_RIG_WINDOW), 0);
        }
        if (which >= REFUSED)
            assert_int_equal(
                session_rig_say_completed(r, 1, which == REFUSED ? WST_EREFUSED : WST_ELOST), 0);
        assert_int_equal(session_rig_say_ping(r, 1), 0);
        session_rig_tells(r, told[which]);
        char expected[40];
        snprintf(expected, sizeof(expected), "pong 1%s%s", said[which][0] != '\0' ? "; " : "",
                 said[which]);
        session_rig_says(r, expected);
        if (which < ACCEPTED) {
            assert_int_equal(session_rig_say_completed(r, 1, 0), 0);
            session_rig_tells(r, "opened 1");
        }
        if (which < REFUSED) {
            session_rig_write(r, st, "d");
            session_rig_says(r, "data 1 d");
        }
        session_rig_stop(r);
    }
}

/* The peer's account arrives before ours is out: the handshake is not needed any more. */
static void test_an_answer_before_the_open_is_repeated(void **state) {
    (void)state;
    session_rig_t *r = greeted();
    open_abc(r);
    wst__session_suspend(r->s);
    session_rig_attach(r);
    assert_int_equal(session_rig_say_completed(r, 1, 0), 0);
    assert_int_equal(session_rig_say_credit(r, 1, 3, SESSION_RIG_WINDOW), 0);
    session_rig_says(r, "credit 1 0/32768; ping 2");
    session_rig_stop(r);
}

/* Only what the peer may have delivered waits. */
static void test_an_open_whose_bytes_were_not_sent_fails(void **state) {
    (void)state;
    session_rig_t *r = greeted();
    wst__session_stream_t *st = session_rig_open(r);
    session_rig_write(r, st, "abc");
    wst__session_suspend(r->s);
    session_rig_tells(r, "failed 1 -32012");
    session_rig_stop(r);
}

/* Another carrier in its place at once. Of what the peer may know it must speak first. */
static void test_early_bytes_not_sent_yet(void **state) {
    (void)state;
    for (int announced = 0; announced < 2; announced++) {
        session_rig_t *r = greeted();
        wst__session_stream_t *st = session_rig_open(r);
        if (announced)
            session_rig_says(r, "open 1 a:1");
        session_rig_write(r, st, "abc");
        wst__session_detach(r->s);
        session_rig_attach(r);
        session_rig_says(r, announced ? "open 1 a:1; ping 2" : "open 1 a:1; ping 2; data 1 abc");
        session_rig_write(r, st, "d");
        session_rig_says(r, announced ? "" : "data 1 d");
        assert_int_equal(session_rig_say_ping(r, 1), 0);
        session_rig_says(r, announced ? "pong 1; data 1 abcd" : "pong 1");
        session_rig_stop(r);
    }
}

static void test_the_account_of_an_open_of_the_peer(void **state) {
    (void)state;
    for (int arrived = 0; arrived < 2; arrived++) {
        session_rig_t *r = greeted();
        assert_int_equal(session_rig_say_open(r, 2), 0);
        if (arrived)
            assert_int_equal(session_rig_say_data(r, 2, "ab"), 0);
        session_rig_ignores(r);
        wst__session_suspend(r->s);
        session_rig_attach(r);
        session_rig_says(r, arrived ? "credit 2 2/32768; ping 2" : "ping 2");
        assert_int_equal(session_rig_say_data(r, 2, "c"), WST_EPROTO);
        wst__session_suspend(r->s);
        session_rig_stop(r);
    }
}

/* Until our account is complete, the peer counts on a credit behind each answer. */
static void test_an_answer_within_the_account(void **state) {
    (void)state;
    for (int late = 0; late < 2; late++) {
        session_rig_t *r = greeted();
        wst__session_stream_t *st = asked_with(r, "ab");
        wst__session_suspend(r->s);
        session_rig_attach(r);
        if (!late)
            wst__session_stream_accept(st, "");
        session_rig_says(r, late ? "credit 2 2/32768; ping 2"
                                 : "completed 2; credit 2 2/32768; ping 2");
        assert_int_equal(session_rig_say_open(r, 2), 0);
        assert_int_equal(session_rig_say_ping(r, 1), 0);
        if (late)
            wst__session_stream_accept(st, "");
        session_rig_says(r, late ? "pong 1; completed 2" : "pong 1");
        assert_int_equal(session_rig_say_data(r, 2, "c"), 0);
        wst__session_stream_deliver(st);
        session_rig_tells(r, "data 2 abc");
        session_rig_stop(r);
    }
}

/* A byte may be early, so it does not prove that the opener has the answer; a credit does. */
static void test_what_proves_the_answer(void **state) {
    (void)state;
    for (int proof = 0; proof < 2; proof++) {
        session_rig_t *r = greeted();
        r->answer = SESSION_RIG_ACCEPT;
        assert_int_equal(session_rig_say_open(r, 2), 0);
        session_rig_says(r, "completed 2");
        assert_int_equal(session_rig_say_data(r, 2, "ab"), 0);
        if (proof)
            assert_int_equal(session_rig_say_credit(r, 2, 0, 40000), 0);
        wst__session_suspend(r->s);
        session_rig_attach(r);
        session_rig_says(r, proof ? "credit 2 2/32770; ping 2"
                                  : "completed 2; credit 2 2/32770; ping 2");
        session_rig_stop(r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_do_not_wait_for_the_answer),
        cmocka_unit_test(test_a_peer_without_the_feature),
        cmocka_unit_test(test_a_peer_that_does_not_obey_networks),
        cmocka_unit_test(test_no_more_than_the_first_window),
        cmocka_unit_test(test_a_pong_makes_room),
        cmocka_unit_test(test_the_end_waits_for_the_answer),
        cmocka_unit_test(test_an_open_with_early_bytes_fails),
        cmocka_unit_test(test_an_open_with_early_bytes_is_cancelled),
        cmocka_unit_test(test_early_bytes_are_kept_until_accepted),
        cmocka_unit_test(test_much_is_acknowledged_with_the_answer),
        cmocka_unit_test(test_early_bytes_are_bounded),
        cmocka_unit_test(test_a_refusal_drops_early_bytes),
        cmocka_unit_test(test_an_open_outlives_its_carrier),
        cmocka_unit_test(test_an_answer_before_the_open_is_repeated),
        cmocka_unit_test(test_an_open_whose_bytes_were_not_sent_fails),
        cmocka_unit_test(test_early_bytes_not_sent_yet),
        cmocka_unit_test(test_the_account_of_an_open_of_the_peer),
        cmocka_unit_test(test_an_answer_within_the_account),
        cmocka_unit_test(test_what_proves_the_answer),
    };
    int failures = cmocka_run_group_tests_name("binary", tests, NULL, NULL);
    session_rig_encoding = WST_ENCODING_JSON;
    return failures + cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
