/* SPDX-License-Identifier: MIT */
/* Life of a session: its beginning, liveness, goaway, ids, and the limits on streams. */
#include "session_rig.h"

#include "defaults.h"

#include <wstunnel/error.h>

/* -- Beginning -------------------------------------------------------------------------------- */

static void test_nothing_is_opened_before_a_carrier_is_there(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_start(r);
    wst__session_detach(r->s);
    int status;
    assert_null(session_rig_try_open(r, &status));
    assert_int_equal(status, WST_ESTATE);
    session_rig_says(r, "");
    session_rig_attach(r);
    session_rig_open(r);
    session_rig_says(r, "open 1 a:1; ping 1");
    session_rig_stop(r);
}

static void test_options_out_of_range_are_refused(void **state) {
    (void)state;
    const wst_hello_t wrong[] = {
        {.size = sizeof(wst_hello_t), .max_frame = WST_FRAME_MIN_LIMIT - 1},
        {.size = sizeof(wst_hello_t), .max_frame = WST_FRAME_MAX_LIMIT + 1},
        {.size = sizeof(wst_hello_t), .initial_credit = (UINT64_C(1) << 31) + 1}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        session_rig_t *r = session_rig_new();
        r->hello = wrong[i];
        assert_int_equal(session_rig_start_new(r), WST_EINVAL);
        r->s = NULL;
        session_rig_stop(r);
    }
}

/* The first one was the greeting's. */
static void test_hello_must_not_come_twice(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    const wst_message_t hello = {
        .size = sizeof(hello), .method = WST_MSG_HELLO, .hello = &r->peer_hello};
    assert_int_equal(session_rig_say(r, hello), WST_EPROTO);
    assert_string_equal(wst__session_error_detail(r->s), "second hello");
    assert_int_equal(session_rig_say_ping(r, 1), WST_EPROTO); /* for good */
    session_rig_says(r, "");
    session_rig_wait(r, 100000); /* an ended session is not declared dead as well */
    session_rig_tells(r, "");
    session_rig_stop(r);
}

static void test_malformed_messages_end_the_session(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    assert_int_equal(session_rig_say_raw(r, true, "{", 1, true), WST_EPROTO);
    assert_true(strlen(wst__session_error_detail(r->s)) > 0);
    session_rig_stop(r);
}

static void test_unknown_methods_are_ignored(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    assert_int_equal(session_rig_say_raw(r, true, "{\"method\":77}", 13, true), 0);
    session_rig_says(r, "");
    session_rig_tells(r, "");
    session_rig_stop(r);
}

/* -- Liveness --------------------------------------------------------------------------------- */

static void test_pings_are_answered_and_timed(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_start(r);
    session_rig_says(r, "ping 1");
    session_rig_wait(r, 30);
    assert_int_equal(session_rig_say_pong(r, 7), 0); /* not the one that was asked for */
    assert_int_equal(wst__session_rtt_us(r->s), 0);
    assert_int_equal(session_rig_say_pong(r, 1), 0);
    assert_int_equal(wst__session_rtt_us(r->s), 30000);
    session_rig_wait(r, 5);
    assert_int_equal(session_rig_say_pong(r, 1), 0); /* only once */
    assert_int_equal(wst__session_rtt_us(r->s), 30000);
    assert_int_equal(session_rig_say_ping(r, 99), 0);
    session_rig_says(r, "pong 99");
    session_rig_wait(r, 15000 - 35 - 1);
    session_rig_says(r, "");
    session_rig_wait(r, 1);
    session_rig_says(r, "ping 2");
    session_rig_stop(r);
}

static void test_pings_may_be_frequent(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->ping_interval_ms = 100;
    session_rig_greet(r);
    session_rig_wait(r, 100);
    session_rig_says(r, "ping 2");
    session_rig_stop(r);
}

static void test_what_was_moved_lately(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    wst__session_stream_t *st = session_rig_stream(r, true);
    assert_int_equal(session_rig_say_bytes(r, 1, 5000), 0);
    assert_int_equal(wst__session_moved(r->s), 5000); /* at once */
    session_rig_write_bytes(r, st, 300);
    session_rig_ignores(r);
    assert_int_equal(wst__session_moved(r->s), 5000);
    assert_int_equal(session_rig_say_credit(r, 1, 300, 33000), 0);
    assert_int_equal(wst__session_moved(r->s), 5300);
    for (uint64_t i = 2; i < 4; i++) {
        session_rig_wait(r, 15000);
        session_rig_ignores(r);
        assert_int_equal(session_rig_say_pong(r, i), 0);
        assert_int_equal(wst__session_moved(r->s), i == 2 ? 5300 : 0);
    }
    assert_int_equal(session_rig_say_bytes(r, 1, 7), 0);
    assert_int_equal(wst__session_moved(r->s), 7);
    wst__session_detach(r->s);
    assert_int_equal(wst__session_moved(r->s), 0);
    session_rig_attach(r);
    assert_int_equal(wst__session_moved(r->s), 0);
    session_rig_stop(r);
}

static void test_silence_is_suspect_and_then_dead(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    session_rig_wait(r, 15000);
    session_rig_says(r, "ping 2");
    assert_false(wst__session_is_suspect(r->s, (r->now + 1999) * 1000));
    assert_true(wst__session_is_suspect(r->s, (r->now + 2000) * 1000));
    session_rig_wait(r, 15000);
    session_rig_says(r, "");                                   /* one ping at a time */
    assert_true(wst__session_is_suspect(r->s, r->now * 1000)); /* and no less suspect */
    session_rig_wait(r, 14999);
    session_rig_tells(r, "");
    session_rig_wait(r, 1);
    session_rig_tells(r, "dead -10010");
    assert_string_equal(wst__session_error_detail(r->s), "nothing received for too long");
    session_rig_stop(r);
}

static void test_any_byte_is_a_sign_of_life(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    session_rig_wait(r, 15000);
    session_rig_says(r, "ping 2");
    session_rig_wait(r, 10);
    assert_int_equal(session_rig_say_raw(r, true, "{", 1, false), 0);
    assert_false(wst__session_is_suspect(r->s, (r->now + 1999) * 1000));
    /* Regression: who froze between something else and its pong was not suspect until it was dead.
     */
    assert_true(wst__session_is_suspect(r->s, (r->now + 2000) * 1000));
    session_rig_wait(r, 44999);
    session_rig_tells(r, "");
    session_rig_wait(r, 1);
    session_rig_tells(r, "dead -10010");
    session_rig_stop(r);
}

static void changes(session_rig_t *r, bool expected) {
    assert_int_equal(r->changes > 0, expected);
    r->changes = 0;
}

/* Who keeps sessions in order of what they can do is told when to look again. */
static void test_changes_are_told(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    changes(r, true); /* it is attached */
    wst__session_stream_t *ours = session_rig_open(r);
    changes(r, true);
    session_rig_ignores(r);
    assert_int_equal(session_rig_say_completed(r, 1, 0), 0);
    session_rig_write(r, ours, "abc");
    session_rig_ignores(r);
    changes(r, false);
    assert_int_equal(session_rig_say_open(r, 2), 0);
    changes(r, true);
    session_rig_close(r, ours, WST_EIDLE);
    session_rig_says(r, "completed 2; reset 1 -32011");
    changes(r, true);
    assert_int_equal(session_rig_say_goaway(r, 0), 0);
    changes(r, true);
    wst__session_goaway(r->s, WST_EGOAWAY);
    changes(r, true);
    wst__session_detach(r->s);
    changes(r, true);
    session_rig_attach(r);
    changes(r, true);
    assert_int_equal(session_rig_say_raw(r, true, "{", 1, true), WST_EPROTO);
    changes(r, true);
    session_rig_stop(r);
}

/* A suspicion comes with time, at its time, and goes with the first byte. */
static void test_a_suspicion_is_a_change(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    session_rig_wait(r, 15000);
    session_rig_says(r, "ping 2");
    r->changes = 0;
    session_rig_wait(r, 1000);
    assert_int_equal(session_rig_say_raw(r, true, "{", 1, false), 0);
    session_rig_wait(r, 1999);
    changes(r, false);
    session_rig_wait(r, 1);
    changes(r, true);
    assert_true(wst__session_is_suspect(r->s, r->now * 1000));
    session_rig_wait(r, 5000);
    changes(r, false);
    assert_int_equal(session_rig_say_raw(r, true, "\"method\":77}", 12, true), 0);
    changes(r, true);
    assert_false(wst__session_is_suspect(r->s, r->now * 1000));
    session_rig_wait(r, 2000);
    changes(r, true); /* it still has not answered */
    assert_int_equal(session_rig_say_pong(r, 2), 0);
    changes(r, true);
    session_rig_wait(r, 2000);
    changes(r, false);
    session_rig_says(r, "");
    session_rig_stop(r);
}

/* Regression: who looked when its time had come, but the deadline had not run yet, never learned
 * that it had gone. */
static void test_a_suspicion_that_was_seen_first_goes_too(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    session_rig_wait(r, 15000);
    session_rig_says(r, "ping 2");
    r->now += 2000;
    assert_true(wst__session_is_suspect(r->s, r->now * 1000));
    r->changes = 0;
    assert_int_equal(session_rig_say_raw(r, true, "{", 1, false), 0);
    changes(r, true);
    assert_false(wst__session_is_suspect(r->s, r->now * 1000));
    session_rig_wait(r, 1999);
    changes(r, false);
    session_rig_wait(r, 1);
    changes(r, true);
    session_rig_stop(r);
}

static void test_a_detached_session_does_not_die(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    wst__session_detach(r->s);
    session_rig_wait(r, 1000000);
    session_rig_tells(r, "");
    session_rig_stop(r);
}

static void test_pings_cannot_flood(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    for (uint64_t i = 0; i < WST__PONGS_MAX; i++)
        assert_int_equal(session_rig_say_ping(r, i), 0);
    session_rig_says(
        r, "pong 0; pong 1; pong 2; pong 3; pong 4; pong 5; pong 6; pong 7; pong 8; pong 9; "
           "pong 10; pong 11; pong 12; pong 13; pong 14; pong 15");
    for (uint64_t i = 0; i < WST__PONGS_MAX; i++)
        assert_int_equal(session_rig_say_ping(r, i), 0);
    assert_int_equal(session_rig_say_ping(r, 99), WST_EFLOOD);
    session_rig_stop(r);
}

/* -- Goaway ----------------------------------------------------------------------------------- */

static void test_goaway_of_the_peer_fails_what_it_will_not_serve(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    wst__session_stream_t *first = session_rig_stream(r, true);
    session_rig_open(r);
    session_rig_open(r);
    session_rig_open(r);
    session_rig_ignores(r);
    assert_int_equal(session_rig_say_goaway(r, 3), 0);
    session_rig_tells(r, "failed 5 -32008; failed 7 -32008; goaway -32008");
    int status;
    assert_null(session_rig_try_open(r, &status));
    assert_int_equal(status, WST_EGOAWAY);
    assert_int_equal(session_rig_say_completed(r, 3, 0), 0); /* it is still served */
    assert_int_equal(session_rig_say_completed(r, 5, 0), 0); /* late */
    session_rig_tells(r, "opened 3");
    session_rig_write(r, first, "on");
    session_rig_says(r, "data 1 on");
    assert_int_equal(session_rig_say_goaway(r, 1), 0); /* told once */
    session_rig_tells(r, "");
    session_rig_stop(r);
}

static void close_others(session_rig_t *r, const char *event, wst__session_stream_t *st) {
    if (strcmp(event, "failed") != 0)
        return;
    r->hook = NULL;
    for (size_t i = r->owned_count; i > 0; i--)
        if (r->owned[i - 1] != st)
            session_rig_close(r, r->owned[i - 1], 0);
}

/* What one callback closes is not told again, and the peer hears of it. */
static void test_opens_are_closed_while_goaway_fails_others(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    for (int i = 0; i < 4; i++)
        session_rig_open(r);
    session_rig_ignores(r);
    r->hook = close_others;
    assert_int_equal(session_rig_say_goaway(r, 1), 0);
    session_rig_tells(r, "failed 3 -32008; goaway -32008");
    session_rig_says(r, "reset 7 -32010; reset 5 -32010; reset 1 -32010");
    assert_int_equal(wst__session_stream_count(r->s), 0);
    session_rig_stop(r);
}

static void test_goaway_of_ours_refuses_new_streams_only(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    wst__session_stream_t *st = session_rig_stream(r, false);
    wst__session_goaway(r->s, WST_EGOAWAY);
    wst__session_goaway(r->s, WST_EGOAWAY);
    session_rig_says(r, "goaway 2 -32008");
    assert_int_equal(session_rig_say_open(r, 4), 0);
    session_rig_tells(r, "");
    session_rig_says(r, "refused 4 -32008");
    session_rig_write(r, st, "on");
    session_rig_says(r, "data 2 on");
    session_rig_open(r); /* for what was promised before, say */
    session_rig_says(r, "open 1 a:1");
    session_rig_stop(r);
}

/* -- Ids -------------------------------------------------------------------------------------- */

static void test_each_side_opens_ids_of_its_parity(void **state) {
    (void)state;
    for (int server = 0; server < 2; server++) {
        session_rig_t *r = session_rig_new();
        r->server = server != 0;
        session_rig_greet(r);
        for (int i = 0; i < 2; i++)
            session_rig_open(r);
        session_rig_says(r, server != 0 ? "open 2 a:1; open 4 a:1" : "open 1 a:1; open 3 a:1");
        assert_int_equal(session_rig_say_open(r, server != 0 ? 2 : 1), WST_EPROTO);
        assert_string_equal(wst__session_error_detail(r->s), "opened a stream with an id of ours");
        session_rig_stop(r);
    }
}

static void test_ids_must_rise(void **state) {
    (void)state;
    const uint64_t wrong[] = {8, 6, 2};
    for (size_t i = 0; i < 3; i++) {
        session_rig_t *r = session_rig_new();
        session_rig_greet(r);
        assert_int_equal(session_rig_say_open(r, 8), 0); /* gaps are fine */
        assert_int_equal(session_rig_say_open(r, wrong[i]), WST_EPROTO);
        assert_string_equal(wst__session_error_detail(r->s),
                            "opened a stream with an id that is not above the last");
        session_rig_stop(r);
    }
}

static int say_any(session_rig_t *r, unsigned which, uint64_t id) {
    switch (which) {
    case 0:
        return session_rig_say_completed(r, id, 0);
    case 1:
        return session_rig_say_completed(r, id, WST_EREFUSED);
    case 2:
        return session_rig_say_data(r, id, "x");
    case 3:
        return session_rig_say_credit(r, id, 0, 32768);
    case 4:
        return session_rig_say_end(r, id, 0);
    default:
        return session_rig_say_reset(r, id, WST_ERESET);
    }
}

static void test_messages_about_streams_never_opened(void **state) {
    (void)state;
    const uint64_t ids[] = {1, 3, 4, 6}; /* 1: opened by us, but the peer cannot know of it yet */
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned which = 0; which < 6; which++) {
            session_rig_t *r = session_rig_new();
            session_rig_greet(r);
            session_rig_stream(r, false); /* 2 */
            session_rig_open(r);
            assert_int_equal(say_any(r, which, ids[i]), WST_EPROTO);
            assert_string_equal(wst__session_error_detail(r->s),
                                "message about a stream that was never opened");
            session_rig_stop(r);
        }
    }
}

static void test_late_messages_are_ignored(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    wst__session_stream_t *sts[] = {session_rig_stream(r, true), session_rig_stream(r, false),
                                    session_rig_stream(r, true)};
    for (size_t i = 0; i < 3; i++)
        session_rig_close(r, sts[i], WST_EIDLE);
    r->answer = WST_EDENIED;
    assert_int_equal(session_rig_say_open(r, 8), 0);
    for (int told = 0; told < 2; told++) { /* still to be told, then gone */
        for (unsigned which = 0; which < 6; which++)
            for (uint64_t id = 1; id <= 3; id++)
                if (which > 1 || id != 2)
                    assert_int_equal(say_any(r, which, id), 0);
        for (unsigned which = 2; which < 6; which++) {
            assert_int_equal(say_any(r, which, 8), 0);
            assert_int_equal(say_any(r, which, 6), 0); /* skipped: as good as finished */
        }
        if (told == 0)
            session_rig_says(r,
                             "reset 1 -32011; reset 2 -32011; reset 3 -32011; refused 8 -32006 no");
        session_rig_tells(r, told == 0 ? "open 8 b:2" : "");
    }
    assert_int_equal(wst__session_stream_count(r->s), 0);
    session_rig_says(r, "");
    session_rig_stop(r);
}

/* -- Limits ----------------------------------------------------------------------------------- */

static void test_streams_of_the_peer_are_limited(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->hello.max_streams = 2;
    session_rig_greet(r);
    wst__session_stream_t *st = session_rig_stream(r, false);
    session_rig_stream(r, false);
    assert_int_equal(session_rig_say_open(r, 6), 0);
    assert_int_equal(session_rig_say_open(r, 8), 0);
    session_rig_tells(r, "");
    session_rig_says(r, "refused 6 -32007; refused 8 -32007");
    session_rig_close(r, st, WST_ERESET);
    session_rig_ignores(r);
    assert_int_equal(session_rig_say_open(r, 10), 0);
    session_rig_tells(r, "open 10 b:2");
    session_rig_stop(r);
}

static void test_streams_of_ours_are_limited(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->peer_hello.max_streams = 2;
    session_rig_greet(r);
    session_rig_open(r);
    session_rig_open(r);
    session_rig_ignores(r);
    int status;
    assert_int_equal(wst__session_can_open(r->s), WST_ELIMIT);
    assert_null(session_rig_try_open(r, &status));
    assert_int_equal(status, WST_ELIMIT);
    assert_int_equal(session_rig_say_completed(r, 1, WST_EREFUSED), 0);
    session_rig_tells(r, "failed 1 -32001 why");
    session_rig_open(r);
    session_rig_says(r, "open 5 a:1");
    session_rig_stop(r);
}

/* max_streams 0: none, ever. */
static void test_who_takes_no_streams(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->takes_none = r->peer_takes_none = true;
    session_rig_greet(r);
    int status;
    assert_int_equal(wst__session_can_open(r->s), WST_ENOAGENT);
    assert_null(session_rig_try_open(r, &status));
    assert_int_equal(status, WST_ENOAGENT);
    assert_int_equal(session_rig_say_open(r, 2), 0);
    session_rig_tells(r, "");
    session_rig_says(r, "refused 2 -32007");
    session_rig_stop(r);
}

static void test_budget_is_shared_and_exhausted_gently(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    size_t cost = wst__session_stream_cost(SESSION_RIG_WINDOW);
    r->budget_limit = 3 * cost - 1;
    session_rig_greet(r);
    wst__session_stream_t *ours = session_rig_stream(r, true),
                          *theirs = session_rig_stream(r, false);
    assert_int_equal(r->budget.used, 2 * cost);
    assert_int_equal(session_rig_say_open(r, 4), 0);
    session_rig_tells(r, "");
    session_rig_says(r, "refused 4 -32013");
    int status;
    assert_null(session_rig_try_open(r, &status));
    assert_int_equal(status, WST_EMEMORY);
    /* What is open goes on. */
    session_rig_write(r, ours, "a");
    session_rig_write(r, theirs, "b");
    assert_int_equal(session_rig_say_data(r, 1, "c"), 0);
    session_rig_says(r, "data 1 a; data 2 b");
    session_rig_tells(r, "data 1 c");
    session_rig_close(r, ours, WST_ERESET);
    assert_int_equal(r->budget.used, cost); /* before the reset is out */
    assert_int_equal(session_rig_say_open(r, 6), 0);
    session_rig_tells(r, "open 6 b:2");
    session_rig_stop(r);
}

static void test_opens_are_refused_without_a_callback(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->no_open = true;
    session_rig_greet(r);
    assert_int_equal(session_rig_say_open(r, 2), 0);
    session_rig_says(r, "refused 2 -32006");
    assert_int_equal(wst__session_stream_count(r->s), 0);
    session_rig_stop(r);
}

static void test_refusals_cannot_flood(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->no_open = true;
    session_rig_greet(r);
    for (uint64_t i = 1; i <= WST__REFUSALS_MAX; i++)
        assert_int_equal(session_rig_say_open(r, 2 * i), 0);
    wst_message_t m = {.size = sizeof(m)};
    assert_true(session_rig_pull(r, &m)); /* one leaves, one may come */
    assert_int_equal(session_rig_say_open(r, 2000), 0);
    assert_int_equal(session_rig_say_open(r, 2002), WST_EFLOOD);
    session_rig_stop(r);
}

static void test_the_table_grows_and_finds_all(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    wst__session_stream_t *sts[60];
    for (uint64_t i = 0; i < 60; i++)
        sts[i] = session_rig_stream(r, i % 3 == 0);
    for (size_t i = 0; i < 60; i++) {
        assert_ptr_equal(wst__session_find(r->s, wst__session_stream_id(sts[i])), sts[i]);
        session_rig_write(r, sts[i], "x");
    }
    assert_int_equal(wst__session_stream_count(r->s), 60);
    session_rig_stop(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_opened_before_a_carrier_is_there),
        cmocka_unit_test(test_options_out_of_range_are_refused),
        cmocka_unit_test(test_hello_must_not_come_twice),
        cmocka_unit_test(test_malformed_messages_end_the_session),
        cmocka_unit_test(test_unknown_methods_are_ignored),
        cmocka_unit_test(test_pings_are_answered_and_timed),
        cmocka_unit_test(test_pings_may_be_frequent),
        cmocka_unit_test(test_what_was_moved_lately),
        cmocka_unit_test(test_silence_is_suspect_and_then_dead),
        cmocka_unit_test(test_any_byte_is_a_sign_of_life),
        cmocka_unit_test(test_changes_are_told),
        cmocka_unit_test(test_a_suspicion_is_a_change),
        cmocka_unit_test(test_a_suspicion_that_was_seen_first_goes_too),
        cmocka_unit_test(test_a_detached_session_does_not_die),
        cmocka_unit_test(test_pings_cannot_flood),
        cmocka_unit_test(test_goaway_of_the_peer_fails_what_it_will_not_serve),
        cmocka_unit_test(test_opens_are_closed_while_goaway_fails_others),
        cmocka_unit_test(test_goaway_of_ours_refuses_new_streams_only),
        cmocka_unit_test(test_each_side_opens_ids_of_its_parity),
        cmocka_unit_test(test_ids_must_rise),
        cmocka_unit_test(test_messages_about_streams_never_opened),
        cmocka_unit_test(test_late_messages_are_ignored),
        cmocka_unit_test(test_streams_of_the_peer_are_limited),
        cmocka_unit_test(test_streams_of_ours_are_limited),
        cmocka_unit_test(test_who_takes_no_streams),
        cmocka_unit_test(test_budget_is_shared_and_exhausted_gently),
        cmocka_unit_test(test_opens_are_refused_without_a_callback),
        cmocka_unit_test(test_refusals_cannot_flood),
        cmocka_unit_test(test_the_table_grows_and_finds_all),
    };
    int failures = cmocka_run_group_tests_name("binary", tests, NULL, NULL);
    session_rig_encoding = WST_ENCODING_JSON;
    return failures + cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
