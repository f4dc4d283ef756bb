/* SPDX-License-Identifier: MIT */
/* What a peer may say about a stream and what ends the session: each rule by its breach. */
#include "session_rig.h"

#include "defaults.h"

#include <wstunnel/error.h>

static void breaks(session_rig_t *r, int status, const char *detail) {
    assert_int_equal(status, WST_EPROTO);
    assert_string_equal(wst__session_error_detail(r->s), detail);
    session_rig_says(r, ""); /* not a word any more */
    session_rig_stop(r);
}

/* -- Opening ---------------------------------------------------------------------------------- */

static void test_completed_opens_a_stream(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    session_rig_open(r);
    session_rig_says(r, "open 1 a:1");
    assert_int_equal(session_rig_say_completed(r, 1, 0), 0);
    session_rig_tells(r, "opened 1");
    breaks(r, session_rig_say_completed(r, 1, 0), "answered a stream twice");
}

static void test_completed_with_an_error_fails_it(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    session_rig_open(r);
    session_rig_ignores(r);
    assert_int_equal(session_rig_say_completed(r, 1, WST_ENAME), 0);
    session_rig_tells(r, "failed 1 -32003 why");
    assert_int_equal(wst__session_stream_count(r->s), 0);
    assert_int_equal(r->budget.used, 0);
    session_rig_says(r, "");
    session_rig_stop(r);
}

static void test_an_open_stream_cannot_fail_to_open(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    session_rig_stream(r, true);
    breaks(r, session_rig_say_completed(r, 1, WST_ENAME), "answered a stream twice");
}

static void test_the_opener_does_not_answer(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->answer = SESSION_RIG_LATER;
    session_rig_greet(r);
    assert_int_equal(session_rig_say_open(r, 2), 0);
    breaks(r, session_rig_say_completed(r, 2, 0), "answered an open of its own");
}

/* But early data, if both hellos name the feature (test_session_early.c). */
static void test_nothing_flows_before_the_answer(void **state) {
    (void)state;
    for (int local = 0; local < 2; local++) {
        uint64_t id = local != 0 ? 1 : 2;
        for (int which = 0; which < 3; which++) {
            session_rig_t *r = session_rig_new();
            r->answer = SESSION_RIG_LATER;
            session_rig_greet(r);
            if (local != 0)
                session_rig_open(r);
            else
                assert_int_equal(session_rig_say_open(r, id), 0);
            session_rig_ignores(r);
            if (which == 0)
                breaks(r, session_rig_say_data(r, id, "x"), "data before the stream was open");
            else if (which == 1)
                breaks(r, session_rig_say_credit(r, id, 0, 32768),
                       "credit before the stream was open");
            else
                breaks(r, session_rig_say_end(r, id, 0), "end before the stream was open");
        }
    }
}

static void test_a_reset_is_allowed_at_any_time(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->answer = SESSION_RIG_LATER;
    session_rig_greet(r);
    session_rig_open(r);                             /* 1, unanswered */
    assert_int_equal(session_rig_say_open(r, 2), 0); /* 2, unanswered */
    session_rig_ignores(r);
    assert_int_equal(session_rig_say_reset(r, 1, WST_ERESET), 0);
    assert_int_equal(session_rig_say_reset(r, 2, WST_ECANCELLED), 0);
    session_rig_tells(r, "failed 1 -32009 why; reset 2 -32010 why");
    r->answer = SESSION_RIG_ACCEPT;
    session_rig_stream(r, true);
    assert_int_equal(session_rig_say_reset(r, 3, WST_EIDLE), 0);
    session_rig_tells(r, "reset 3 -32011 why");
    session_rig_says(r, ""); /* a reset is not answered */
    assert_int_equal(wst__session_stream_count(r->s), 0);
    session_rig_stop(r);
}

/* -- Data and credit -------------------------------------------------------------------------- */

static void test_data_up_to_the_credit_and_not_beyond(void **state) {
    (void)state;
    for (int beyond = 0; beyond < 2; beyond++) {
        session_rig_t *r = session_rig_new();
        r->no_read = true;
        session_rig_greet(r);
        wst__session_stream_t *st = session_rig_stream(r, false);
        assert_int_equal(session_rig_say_bytes(r, 2, SESSION_RIG_WINDOW), 0);
        assert_true(wst__bufq_capacity(&st->rx) <= wst__bufq_bound_append(SESSION_RIG_WINDOW));
        session_rig_tells(r, "");
        if (beyond != 0) {
            breaks(r, session_rig_say_data(r, 2, "x"), "more data than credit");
            continue;
        }
        session_rig_says(r, "credit 2 32768/32768");
        wst__session_stream_read(st, true);
        wst__session_stream_deliver(st);
        session_rig_ignores(r);
        assert_int_equal(session_rig_say_data(r, 2, "x"), 0);
        session_rig_tells(r, "data 2 x");
        session_rig_stop(r);
    }
}

static void test_one_message_beyond_the_credit(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->hello.initial_credit = 3;
    session_rig_greet(r);
    session_rig_stream(r, false);
    breaks(r, session_rig_say_data(r, 2, "four"), "more data than credit");
}

static void test_data_in_pieces(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    session_rig_stream(r, false);
    r->pieces = 1;
    assert_int_equal(session_rig_say_data(r, 2, "abc"), 0);
    session_rig_tells(r, session_rig_encoding == WST_ENCODING_JSON
                             ? "data 2 abc"
                             : "data 2 a; data 2 b; data 2 c");
    r->pieces = 1000;
    assert_int_equal(session_rig_say_bytes(r, 2, 16384 - 3), 0);
    session_rig_says(r, "credit 2 16384/49152");
    session_rig_stop(r);
}

static void test_a_reader_that_pauses_gets_all_later(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    wst__session_stream_t *st = session_rig_stream(r, false);
    wst__session_stream_read(st, false);
    assert_int_equal(session_rig_say_data(r, 2, "a"), 0);
    assert_int_equal(session_rig_say_data(r, 2, "b"), 0);
    assert_int_equal(session_rig_say_end(r, 2, 2), 0);
    session_rig_says(r,
                     "credit 2 3/32768"); /* received, if not read: the peer may forget the bytes */
    session_rig_tells(r, "");
    wst__session_stream_read(st, true);
    session_rig_tells(r, "");
    wst__session_stream_deliver(st);
    session_rig_tells(r, "data 2 ab; end 2");
    wst__session_stream_deliver(st);
    session_rig_tells(r, "");
    session_rig_says(r, "");
    session_rig_stop(r);
}

static void test_credit_comes_at_half_a_window_at_the_latest(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->hello.initial_credit = 10;
    session_rig_greet(r);
    session_rig_stream(r, false);
    assert_int_equal(session_rig_say_data(r, 2, "1234"), 0);
    session_rig_says(r, "");
    assert_int_equal(session_rig_say_data(r, 2, "5"), 0);
    session_rig_says(r, "credit 2 5/15");
    assert_int_equal(session_rig_say_data(r, 2, "6789abcdef"), 0);
    session_rig_says(r, "credit 2 15/25");
    session_rig_stop(r);
}

static void test_a_window_of_one_byte(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->hello.initial_credit = 1;
    session_rig_greet(r);
    session_rig_stream(r, false);
    assert_int_equal(session_rig_say_data(r, 2, "a"), 0);
    session_rig_says(r, "credit 2 1/2");
    session_rig_stop(r);
}

static void test_the_rest_is_acknowledged_with_the_next_ping(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    session_rig_stream(r, false);
    session_rig_stream(r, false);
    assert_int_equal(session_rig_say_data(r, 2, "abc"), 0);
    session_rig_says(r, "");
    session_rig_wait(r, 15000);
    session_rig_says(r, "credit 2 3/32771; ping 2");
    assert_int_equal(session_rig_say_pong(r, 2), 0);
    session_rig_wait(r, 15000);
    session_rig_says(r, "ping 3");
    session_rig_stop(r);
}

static void test_credit_must_not_be_taken_back(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    session_rig_stream(r, true);
    assert_int_equal(session_rig_say_credit(r, 1, 0, 40000), 0);
    assert_int_equal(session_rig_say_credit(r, 1, 0, 40000), 0);
    breaks(r, session_rig_say_credit(r, 1, 0, 39999), "credit was taken back");
}

static const char *const bad_ack = "credit acknowledges what was not sent, or takes back";

static void test_credit_acknowledges_what_was_sent_only(void **state) {
    (void)state;
    for (uint64_t received = 0; received < 6; received++) {
        session_rig_t *r = session_rig_new();
        session_rig_greet(r);
        wst__session_stream_t *st = session_rig_stream(r, true);
        session_rig_write(r, st, "abc");
        session_rig_says(r, "data 1 abc");
        session_rig_write(r, st, "d"); /* not sent */
        assert_int_equal(session_rig_say_credit(r, 1, 2, 40000), 0);
        int status = session_rig_say_credit(r, 1, received, 40000);
        if (received < 2 || received > 3) {
            breaks(r, status, bad_ack);
            continue;
        }
        assert_int_equal(status, 0);
        session_rig_stop(r);
    }
}

/* -- End -------------------------------------------------------------------------------------- */

static void test_nothing_comes_behind_an_end(void **state) {
    (void)state;
    for (int which = 0; which < 2; which++) {
        session_rig_t *r = session_rig_new();
        session_rig_greet(r);
        session_rig_stream(r, true);
        assert_int_equal(session_rig_say_data(r, 1, "abc"), 0);
        assert_int_equal(session_rig_say_end(r, 1, 3), 0);
        session_rig_tells(r, "data 1 abc; end 1");
        session_rig_says(r, "credit 1 4/32771");
        if (which == 0)
            breaks(r, session_rig_say_data(r, 1, "x"), "data behind the end of its stream");
        else
            breaks(r, session_rig_say_end(r, 1, 3), "second end of a stream");
    }
}

static void test_an_end_names_where_it_is(void **state) {
    (void)state;
    for (uint64_t offset = 2; offset < 5; offset += 2) {
        session_rig_t *r = session_rig_new();
        session_rig_greet(r);
        session_rig_stream(r, true);
        assert_int_equal(session_rig_say_data(r, 1, "abc"), 0);
        breaks(r, session_rig_say_end(r, 1, offset), "end at another offset than the data's");
    }
}

static void test_our_end_is_acknowledged_by_one_more(void **state) {
    (void)state;
    for (int which = 0; which < 4; which++) {
        session_rig_t *r = session_rig_new();
        session_rig_greet(r);
        wst__session_stream_t *st = session_rig_stream(r, true);
        session_rig_write(r, st, "abc");
        session_rig_ignores(r);
        if (which == 0) { /* there was no end yet */
            breaks(r, session_rig_say_credit(r, 1, 4, 40000), bad_ack);
            continue;
        }
        assert_int_equal(wst__session_stream_shutdown(st), 0);
        if (which == 1) { /* it has not been sent yet */
            breaks(r, session_rig_say_credit(r, 1, 4, 40000), bad_ack);
            continue;
        }
        session_rig_says(r, "end 1 3");
        assert_int_equal(session_rig_say_credit(r, 1, 3, 40000), 0);
        session_rig_tells(r, "");
        assert_int_equal(session_rig_say_credit(r, 1, 4, 40000), 0);
        session_rig_tells(r, "shutdown 1");
        if (which == 2) {
            breaks(r, session_rig_say_credit(r, 1, 3, 40000), bad_ack);
            continue;
        }
        assert_int_equal(session_rig_say_credit(r, 1, 4, 40000), 0); /* nothing new */
        session_rig_tells(r, "");
        session_rig_stop(r);
    }
}

static void test_both_ends_in_either_order(void **state) {
    (void)state;
    for (int ours_first = 0; ours_first < 2; ours_first++) {
        for (int local = 0; local < 2; local++) {
            session_rig_t *r = session_rig_new();
            session_rig_greet(r);
            wst__session_stream_t *st = session_rig_stream(r, local != 0);
            uint64_t id = wst__session_stream_id(st);
            for (int step = 0; step < 2; step++) {
                if (step == ours_first) {
                    assert_int_equal(session_rig_say_data(r, id, "abc"), 0);
                    assert_int_equal(session_rig_say_end(r, id, 3), 0);
                    session_rig_tells(r, local != 0 ? "data 1 abc; end 1" : "data 2 abc; end 2");
                    session_rig_says(r, local != 0 ? "credit 1 4/32771" : "credit 2 4/32771");
                } else {
                    session_rig_write(r, st, "de");
                    assert_int_equal(wst__session_stream_shutdown(st), 0);
                    session_rig_says(r, local != 0 ? "data 1 de; end 1 2" : "data 2 de; end 2 2");
                    assert_int_equal(session_rig_say_credit(r, id, 3, 40000), 0);
                    session_rig_tells(r, local != 0 ? "shutdown 1" : "shutdown 2");
                }
                /* The other direction goes on; after both there is nothing left. */
                assert_int_equal(wst__session_stream_count(r->s), step == 0 ? 1 : 0);
            }
            assert_int_equal(r->budget.used, 0);
            session_rig_close(r, st, 0);
            session_rig_says(r, "");
            session_rig_stop(r);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_completed_opens_a_stream),
        cmocka_unit_test(test_completed_with_an_error_fails_it),
        cmocka_unit_test(test_an_open_stream_cannot_fail_to_open),
        cmocka_unit_test(test_the_opener_does_not_answer),
        cmocka_unit_test(test_nothing_flows_before_the_answer),
        cmocka_unit_test(test_a_reset_is_allowed_at_any_time),
        cmocka_unit_test(test_data_up_to_the_credit_and_not_beyond),
        cmocka_unit_test(test_one_message_beyond_the_credit),
        cmocka_unit_test(test_data_in_pieces),
        cmocka_unit_test(test_a_reader_that_pauses_gets_all_later),
        cmocka_unit_test(test_credit_comes_at_half_a_window_at_the_latest),
        cmocka_unit_test(test_a_window_of_one_byte),
        cmocka_unit_test(test_the_rest_is_acknowledged_with_the_next_ping),
        cmocka_unit_test(test_credit_must_not_be_taken_back),
        cmocka_unit_test(test_credit_acknowledges_what_was_sent_only),
        cmocka_unit_test(test_nothing_comes_behind_an_end),
        cmocka_unit_test(test_an_end_names_where_it_is),
        cmocka_unit_test(test_our_end_is_acknowledged_by_one_more),
        cmocka_unit_test(test_both_ends_in_either_order),
    };
    int failures = cmocka_run_group_tests_name("binary", tests, NULL, NULL);
    session_rig_encoding = WST_ENCODING_JSON;
    return failures + cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
