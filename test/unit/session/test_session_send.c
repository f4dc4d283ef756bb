/* SPDX-License-Identifier: MIT */
/* What a session says: the order, whose turn it is, what it keeps, and that it wakes its carrier.
 */
#include "session_rig.h"

#include "defaults.h"

#include <wstunnel/error.h>

static void test_the_order_of_messages(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_start(r);
    r->answer = SESSION_RIG_LATER;
    assert_int_equal(session_rig_say_open(r, 2), 0);
    assert_int_equal(session_rig_say_ping(r, 7), 0);
    wst__session_stream_t *theirs = r->owned[0];
    wst__session_stream_accept(theirs, "");
    session_rig_write(r, theirs, "data");
    wst__session_stream_t *ours = session_rig_open(r);
    session_rig_write(r, ours, "early");
    wst__session_goaway(r->s, WST_EGOAWAY);
    session_rig_says(r, "pong 7; goaway 2 -32008; completed 2; open 1 a:1; ping 1; data 2 data");
    assert_int_equal(session_rig_say_completed(r, 1, 0), 0);
    session_rig_says(r, "data 1 early"); /* not before it was open */
    session_rig_stop(r);
}

static void test_the_order_within_a_stream(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->answer = SESSION_RIG_LATER;
    r->hello.initial_credit = 2;
    session_rig_greet(r);
    assert_int_equal(session_rig_say_open(r, 2), 0);
    wst__session_stream_t *st = r->owned[0];
    session_rig_write(r, st, "abc");
    assert_int_equal(wst__session_stream_shutdown(st), 0);
    wst__session_stream_accept(st, "");
    session_rig_says(r, "completed 2; data 2 abc; end 2 3");
    /* An empty direction: its end goes out at once, before a credit has room to matter. */
    assert_int_equal(session_rig_say_open(r, 4), 0);
    st = r->owned[1];
    wst__session_stream_accept(st, "");
    assert_int_equal(wst__session_stream_shutdown(st), 0);
    assert_int_equal(session_rig_say_data(r, 4, "xy"), 0);
    session_rig_says(r, "completed 4; credit 4 2/4; end 4 0");
    session_rig_stop(r);
}

static void test_data_stop_at_the_credit(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->peer_hello.initial_credit = 4;
    session_rig_greet(r);
    wst__session_stream_t *st = session_rig_stream(r, true);
    assert_int_equal(wst__session_stream_room(st), 4);
    assert_int_equal(session_rig_write(r, st, "abcdef"), WST_WAIT);
    assert_int_equal(wst__session_stream_room(st), 0);
    assert_int_equal(wst__session_stream_shutdown(st), 0);
    session_rig_says(r, "data 1 abcd");
    assert_int_equal(session_rig_say_credit(r, 1, 0, 5), 0);
    session_rig_says(r, "data 1 e");
    assert_int_equal(session_rig_say_credit(r, 1, 5, 9), 0);
    session_rig_says(r, "data 1 f; end 1 6");
    session_rig_stop(r);
}

static void test_small_writes_go_out_as_one(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    wst__session_stream_t *st = session_rig_stream(r, true);
    for (int i = 0; i < 5; i++)
        session_rig_write(r, st, "ab");
    assert_int_equal(wst__bufq_capacity(&st->tx), WST__CHUNK_MIN); /* not five chunks */
    session_rig_says(r, "data 1 ababababab");
    session_rig_stop(r);
}

static void test_what_is_sent_is_kept_until_acknowledged(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    wst__session_stream_t *st = session_rig_stream(r, true);
    size_t allowance = WST__SEND_ALLOWANCE;
    assert_int_equal(session_rig_write_bytes(r, st, 16384), 0);
    assert_int_equal(session_rig_write_bytes(r, st, 16384), WST_WAIT);
    session_rig_ignores(r);
    assert_int_equal(wst__session_stream_room(st), 0);
    assert_int_equal(st->tx.len, allowance);
    assert_int_equal(session_rig_say_credit(r, 1, 0, 100000), 0); /* credit alone makes no room */
    session_rig_tells(r, "");
    assert_int_equal(session_rig_say_credit(r, 1, 1, 100000), 0);
    session_rig_tells(r, "drain 1");
    assert_int_equal(wst__session_stream_room(st), 1);
    assert_int_equal(session_rig_say_credit(r, 1, 32768, 100000), 0);
    session_rig_tells(r, ""); /* told once */
    assert_int_equal(wst__session_stream_room(st), allowance);
    assert_int_equal(st->tx.len, 0);
    assert_int_equal(r->pool.live, 0);
    session_rig_says(r, "");
    session_rig_stop(r);
}

static void test_frames_are_at_most_what_the_peer_takes(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->peer_hello.max_frame = WST_FRAME_MIN_LIMIT;
    session_rig_greet(r);
    wst__session_stream_t *st = session_rig_stream(r, true);
    session_rig_write_bytes(r, st, 4096);
    session_rig_says(r, "data 1 +1024; data 1 +1024; data 1 +1024; data 1 +1024");
    session_rig_stop(r);
}

static void test_binary_data_are_not_copied(void **state) {
    (void)state;
    if (session_rig_encoding == WST_ENCODING_JSON)
        return;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    wst__session_stream_t *st = session_rig_stream(r, true);
    static const char literal[] = "abc";
    assert_int_equal(wst__session_stream_write(st, wst_slice_static(literal, 3)), 0);
    wst__outgoing_t out;
    assert_int_equal(wst__session_next(r->s, r->now * 1000, &out), 1);
    assert_false(out.text);
    assert_int_equal(out.head_len, 2);
    assert_ptr_equal(out.payload.data, literal);
    session_rig_stop(r);
}

/* -- Turns ------------------------------------------------------------------------------------ */

/* The peer takes all and acknowledges it; the streams never run dry. */
static void run_turns(session_rig_t *r, wst__session_stream_t *const *sts, const size_t *pieces,
                      size_t count, uint64_t *sent, unsigned messages) {
    static const uint8_t zeros[WST__MAX_FRAME];
    for (unsigned i = 0; i < messages; i++) {
        for (size_t k = 0; k < count; k++)
            while (wst__session_stream_room(sts[k]) >= pieces[k])
                assert_true(wst__session_stream_write(sts[k], wst_slice_static(zeros, pieces[k])) >=
                            0);
        wst_message_t m = {.size = sizeof(m)};
        assert_true(session_rig_pull(r, &m));
        assert_int_equal(m.method, WST_MSG_COMMUNICATION);
        size_t k = 0;
        while (wst__session_stream_id(sts[k]) != m.id)
            k++;
        sent[k] += m.len;
        assert_int_equal(session_rig_say_credit(r, m.id, sent[k], sent[k] + 100000), 0);
    }
}

static void test_turns_are_equal_in_bytes(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    wst__session_stream_t *sts[] = {session_rig_stream(r, true), session_rig_stream(r, true),
                                    session_rig_stream(r, false)};
    const size_t pieces[] = {700, 16384, 5000};
    uint64_t sent[3] = {0};
    run_turns(r, sts, pieces, 3, sent, 2000);
    for (size_t k = 1; k < 3; k++) {
        uint64_t more = sent[k] > sent[0] ? sent[k] - sent[0] : sent[0] - sent[k];
        if (more > 2 * WST__MAX_FRAME)
            fail_msg("%llu and %llu bytes", (unsigned long long)sent[0],
                     (unsigned long long)sent[k]);
    }
    session_rig_stop(r);
}

static void test_a_stalled_stream_stalls_no_other(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    wst__session_stream_t *stalled = session_rig_stream(r, true);
    wst__session_stream_t *sts[] = {session_rig_stream(r, true), session_rig_stream(r, true)};
    session_rig_write_bytes(r, stalled, 32768);
    session_rig_says(r, "data 1 +16384; data 1 +16384"); /* never acknowledged */
    const size_t pieces[] = {1000, 1000};
    uint64_t sent[2] = {0};
    run_turns(r, sts, pieces, 2, sent, 500);
    assert_true(sent[0] > 200000 && sent[1] > 200000);
    assert_int_equal(wst__session_stream_room(stalled), 0);
    session_rig_stop(r);
}

static void test_control_goes_ahead_of_data(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    wst__session_stream_t *busy = session_rig_stream(r, true), *other = session_rig_stream(r, true);
    session_rig_write_bytes(r, busy, 32768);
    wst_message_t m = {.size = sizeof(m)};
    assert_true(session_rig_pull(r, &m));
    assert_int_equal(m.method, WST_MSG_COMMUNICATION);
    session_rig_close(r, other, WST_EIDLE);
    assert_int_equal(session_rig_say_ping(r, 1), 0);
    session_rig_open(r);
    session_rig_says(r, "pong 1; reset 3 -32011; open 5 a:1; data 1 +16384");
    session_rig_stop(r);
}

/* -- Waking ----------------------------------------------------------------------------------- */

static void wakes(session_rig_t *r, const char *said) {
    assert_true(r->wakeups > 0);
    session_rig_says(r, said);
    r->wakeups = 0;
}

static void test_the_carrier_is_woken_for_each_kind_of_message(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_start(r);
    wakes(r, "ping 1");
    assert_int_equal(session_rig_say_pong(r, 1), 0);
    assert_int_equal(r->wakeups, 0);
    wst__session_stream_t *ours = session_rig_open(r);
    wakes(r, "open 1 a:1");
    session_rig_write(r, ours, "abc");
    assert_int_equal(r->wakeups, 0);
    assert_int_equal(session_rig_say_completed(r, 1, 0), 0);
    wakes(r, "data 1 abc");
    assert_int_equal(session_rig_say_open(r, 2), 0);
    wakes(r, "completed 2");
    assert_int_equal(session_rig_say_bytes(r, 2, 16384), 0);
    wakes(r, "credit 2 16384/49152");
    wst__session_stream_shutdown(ours);
    wakes(r, "end 1 3");
    session_rig_close(r, ours, WST_EIDLE);
    wakes(r, "reset 1 -32011");
    assert_int_equal(session_rig_say_ping(r, 3), 0);
    wakes(r, "pong 3");
    wst__session_goaway(r->s, WST_EGOAWAY);
    wakes(r, "goaway 2 -32008");
    session_rig_wait(r, 15000);
    wakes(r, "ping 2");
    session_rig_stop(r);
}

static void test_credit_wakes_what_waits_for_it(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->peer_hello.initial_credit = 1;
    session_rig_greet(r);
    wst__session_stream_t *st = session_rig_stream(r, true);
    r->wakeups = 0;
    session_rig_write(r, st, "ab");
    wakes(r, "data 1 a");
    assert_int_equal(session_rig_say_credit(r, 1, 1, 2), 0);
    wakes(r, "data 1 b");
    session_rig_stop(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_order_of_messages),
        cmocka_unit_test(test_the_order_within_a_stream),
        cmocka_unit_test(test_data_stop_at_the_credit),
        cmocka_unit_test(test_small_writes_go_out_as_one),
        cmocka_unit_test(test_what_is_sent_is_kept_until_acknowledged),
        cmocka_unit_test(test_frames_are_at_most_what_the_peer_takes),
        cmocka_unit_test(test_binary_data_are_not_copied),
        cmocka_unit_test(test_turns_are_equal_in_bytes),
        cmocka_unit_test(test_a_stalled_stream_stalls_no_other),
        cmocka_unit_test(test_control_goes_ahead_of_data),
        cmocka_unit_test(test_the_carrier_is_woken_for_each_kind_of_message),
        cmocka_unit_test(test_credit_wakes_what_waits_for_it),
    };
    int failures = cmocka_run_group_tests_name("binary", tests, NULL, NULL);
    session_rig_encoding = WST_ENCODING_JSON;
    return failures + cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
