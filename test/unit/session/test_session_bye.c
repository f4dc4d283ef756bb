/* SPDX-License-Identifier: MIT */
/* The word that ends a session for good, said and heard. */
#include "session_rig.h"

#include <stdio.h>

#include <wstunnel/error.h>

static void test_bye_goes_ahead_and_nothing_follows(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    wst__session_stream_t *st = session_rig_stream(r, true);
    session_rig_open(r);
    session_rig_write(r, st, "data");
    wst__session_goaway(r->s, WST_EGOAWAY);
    assert_int_equal(session_rig_say_ping(r, 7), 0);
    unsigned wakeups = r->wakeups;
    wst__session_bye(r->s, WST_EGOAWAY, "drained");
    assert_true(r->wakeups > wakeups);
    session_rig_says(r, "bye -32008 drained");
    session_rig_write(r, st, "more");
    wst__session_goaway(r->s, WST_EGOAWAY);
    session_rig_close(r, r->owned[1], 0);
    session_rig_wait(r, 20000); /* no ping either */
    session_rig_says(r, "");
    session_rig_tells(r, ""); /* the owner decides when the streams go */
    wst__session_drop_streams(r->s, WST_ELOST);
    session_rig_tells(r, "reset 1 -32012");
    session_rig_stop(r);
}

static void test_the_first_bye_counts(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    wst__session_bye(r->s, WST_EIDLE, NULL);
    wst__session_bye(r->s, WST_EGOAWAY, "again");
    session_rig_says(r, "bye -32011");
    wst__session_bye(r->s, WST_EGOAWAY, "again");
    session_rig_says(r, "");
    session_rig_stop(r);
}

static void test_reason_and_text_are_made_right(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    char longest[WST_ERROR_TEXT_MAX + 2] = {0}, expected[sizeof(longest) + 16];
    memset(longest, 'x', sizeof(longest) - 1);
    longest[0] = '\xff';
    wst__session_bye(r->s, WST_EPROTO, longest); /* no reason that a peer knows */
    snprintf(expected, sizeof(expected), "bye -32000 ?%.*s", WST_ERROR_TEXT_MAX - 1, longest + 1);
    session_rig_says(r, expected);
    session_rig_stop(r);
}

static void test_what_follows_a_bye_of_ours_is_ignored(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    wst__session_stream_t *st = session_rig_stream(r, true);
    wst__session_bye(r->s, WST_EGOAWAY, "");
    assert_int_equal(session_rig_say_data(r, wst__session_stream_id(st), "late"), 0);
    assert_int_equal(session_rig_say_open(r, 2), 0);
    assert_int_equal(session_rig_say_ping(r, 7), 0);
    assert_int_equal(session_rig_say_bye(r), 0);
    assert_int_equal(session_rig_say_raw(r, true, "{", 1, true), 0);
    session_rig_tells(r, "");
    session_rig_says(r, "bye -32008");
    session_rig_stop(r);
}

static void test_no_stream_is_opened_any_more(void **state) {
    (void)state;
    for (int heard = 0; heard < 2; heard++) {
        session_rig_t *r = session_rig_new();
        session_rig_greet(r);
        unsigned changes = r->changes;
        if (heard != 0)
            assert_int_equal(session_rig_say_bye(r), 0);
        else
            wst__session_bye(r->s, WST_EGOAWAY, NULL);
        assert_true(r->changes > changes);
        assert_int_equal(wst__session_can_open(r->s), WST_ESTATE);
        session_rig_stop(r);
    }
}

/* The next carrier has it in place of the account; it may have been lost with the one before. */
static void test_a_bye_without_a_carrier_waits_for_one(void **state) {
    (void)state;
    for (int was_out = 0; was_out < 2; was_out++) {
        session_rig_t *r = session_rig_new();
        session_rig_greet(r);
        session_rig_stream(r, true);
        session_rig_stream(r, false);
        if (was_out != 0) {
            wst__session_bye(r->s, WST_EGOAWAY, "drained");
            session_rig_says(r, "bye -32008 drained");
        }
        wst__session_detach(r->s);
        wst__session_bye(r->s, WST_EGOAWAY, "drained");
        session_rig_says(r, "");
        session_rig_attach(r);
        session_rig_says(r, "bye -32008 drained");
        session_rig_stop(r);
    }
}

static void test_a_peer_says_bye(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    wst__session_stream_t *st = session_rig_stream(r, true);
    r->told[0] = '\0';
    session_rig_write(r, st, "data");
    assert_int_equal(session_rig_say_bye(r), 0);
    session_rig_tells(r, "bye -32008 why");
    session_rig_says(r, ""); /* it listens no more */
    assert_int_equal(session_rig_say_bye(r), 0);
    assert_int_equal(session_rig_say_data(r, 1, "x"), 0);
    assert_int_equal(session_rig_say_raw(r, true, "{", 1, true), 0);
    session_rig_tells(r, "");
    assert_int_equal(wst__session_stream_count(r->s), 1); /* until the owner drops it */
    wst__session_detach(r->s);
    assert_int_equal(wst__session_attach(r->s, r->now * 1000, r->encoding, &r->peer_hello),
                     WST_ELOST);
    session_rig_stop(r);
}

static void drop(session_rig_t *r, const char *event, wst__session_stream_t *st) {
    (void)st;
    if (strcmp(event, "bye") == 0)
        wst__session_drop_streams(r->s, WST_ELOST);
}

static void test_streams_are_dropped_in_the_callback(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    session_rig_stream(r, true);
    session_rig_open(r);
    session_rig_ignores(r);
    r->hook = drop;
    assert_int_equal(session_rig_say_bye(r), 0);
    session_rig_tells(r, "bye -32008 why; reset 1 -32012; failed 3 -32012");
    assert_int_equal(wst__session_pinned(r->s), 0);
    session_rig_stop(r);
}

static void test_bye_in_the_middle_of_the_account(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    session_rig_stream(r, true);
    session_rig_stream(r, true);
    session_rig_ignores(r);
    wst__session_detach(r->s);
    session_rig_attach(r);
    wst_message_t m = {.size = sizeof(m)};
    assert_true(session_rig_pull(r, &m));
    assert_int_equal(m.method, WST_MSG_CREDIT);
    wst__session_bye(r->s, WST_EGOAWAY, NULL);
    assert_int_equal(session_rig_say_credit(r, 1, 0, 32768), 0);
    session_rig_says(r, "bye -32008");
    session_rig_tells(r, "");
    session_rig_stop(r);
}

/* A peer that cannot be reached is still noticed, so a bye does not wait for ever. */
static void test_a_bye_that_does_not_get_out(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    wst__session_bye(r->s, WST_EGOAWAY, NULL);
    session_rig_wait(r, 60000);
    session_rig_tells(r, "dead -10010");
    wst__session_detach(r->s);
    session_rig_says(r, "");
    session_rig_stop(r);
}

/* An error ends the session, too: the peer need not find out by another attempt. */
static void test_bye_behind_an_error(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    session_rig_stream(r, true);
    assert_int_equal(session_rig_say_completed(r, 1, 0), WST_EPROTO);
    session_rig_says(r, "");
    unsigned wakeups = r->wakeups;
    wst__session_bye(r->s, WST_EINTERNAL, wst__session_error_detail(r->s));
    assert_true(r->wakeups > wakeups);
    session_rig_says(r, "bye -32000 answered a stream twice");
    assert_int_equal(session_rig_say_ping(r, 7), WST_EPROTO);
    session_rig_says(r, "");
    session_rig_stop(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bye_goes_ahead_and_nothing_follows),
        cmocka_unit_test(test_the_first_bye_counts),
        cmocka_unit_test(test_reason_and_text_are_made_right),
        cmocka_unit_test(test_what_follows_a_bye_of_ours_is_ignored),
        cmocka_unit_test(test_no_stream_is_opened_any_more),
        cmocka_unit_test(test_a_bye_without_a_carrier_waits_for_one),
        cmocka_unit_test(test_a_peer_says_bye),
        cmocka_unit_test(test_streams_are_dropped_in_the_callback),
        cmocka_unit_test(test_bye_in_the_middle_of_the_account),
        cmocka_unit_test(test_a_bye_that_does_not_get_out),
        cmocka_unit_test(test_bye_behind_an_error),
    };
    int failures = cmocka_run_group_tests_name("binary", tests, NULL, NULL);
    session_rig_encoding = WST_ENCODING_JSON;
    return failures + cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
