/* SPDX-License-Identifier: MIT */
/*
 * A session outlives its carrier: what is said anew on the next one, and what follows from what the
 * peer says or does not say. The peer is ahead or behind by whatever was lost.
 */
#include "session_rig.h"

#include <wstunnel/error.h>

/* The carrier dies; what was waiting to be said dies with it. */
static void lose(session_rig_t *r) {
    session_rig_ignores(r);
    wst__session_detach(r->s);
}

static void reattach(session_rig_t *r) {
    lose(r);
    session_rig_attach(r);
}

/* The peer's account of its streams ends with its first ping. */
static void end_account(session_rig_t *r) {
    assert_int_equal(session_rig_say_ping(r, 1), 0);
}

static void test_a_session_without_streams(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    reattach(r);
    end_account(r);
    session_rig_says(r, "pong 1; ping 2");
    session_rig_open(r);
    session_rig_says(r, "open 1 a:1");
    session_rig_stop(r);
}

static void test_nothing_moves_while_detached(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    wst__session_stream_t *st = session_rig_stream(r, true);
    lose(r);
    session_rig_write(r, st, "abc");
    assert_int_equal(wst__session_stream_shutdown(st), 0);
    session_rig_says(r, "");
    int status;
    assert_null(session_rig_try_open(r, &status));
    assert_int_equal(status, WST_ESTATE);
    session_rig_attach(r);
    session_rig_says(r, "credit 1 0/32768; ping 2"); /* data only when the peer has spoken */
    assert_int_equal(session_rig_say_credit(r, 1, 0, 32768), 0);
    session_rig_says(r, "data 1 abc; end 1 3");
    session_rig_stop(r);
}

static void test_a_dead_carrier_can_be_replaced(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    session_rig_stream(r, true);
    session_rig_wait(r, 60000);
    session_rig_tells(r, "dead -10010");
    session_rig_says(r, "");
    wst__session_detach(r->s);
    session_rig_attach(r);
    session_rig_says(r, "credit 1 0/32768; ping 2");
    session_rig_stop(r);
}

static void test_a_broken_session_cannot_be_attached(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    assert_int_equal(session_rig_say_raw(r, true, "{", 1, true), WST_EPROTO);
    wst__session_detach(r->s);
    assert_int_equal(wst__session_attach(r->s, r->now * 1000, r->encoding, &r->peer_hello),
                     WST_EPROTO);
    session_rig_stop(r);
}

/* Streams rest on what the hellos stated: another hello is no continuation. The session waits for a
 * better carrier. */
static void test_the_peers_hello_must_be_the_same(void **state) {
    (void)state;
    for (int which = 0; which < 4; which++) {
        session_rig_t *r = session_rig_new();
        session_rig_greet(r);
        wst__session_stream_t *st = session_rig_stream(r, true);
        lose(r);
        wst_hello_t other = r->peer_hello;
        other.max_frame += which == 0;
        other.initial_credit -= which == 1;
        other.yields ^= which == 2;
        other.early ^= which == 3;
        assert_int_equal(wst__session_attach(r->s, r->now * 1000, r->encoding, &other), WST_EPROTO);
        session_rig_says(r, "");
        session_rig_tells(r, "");
        session_rig_attach(r);
        assert_int_equal(session_rig_say_credit(r, 1, 0, 32768), 0);
        session_rig_write(r, st, "on");
        session_rig_says(r, "credit 1 0/32768; ping 2; data 1 on");
        session_rig_stop(r);
    }
}

/* How many streams the peer takes, and who it is, may be new with each carrier; so may the
 * encoding. */
static void test_the_rest_of_a_hello_may_be_another(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    session_rig_stream(r, true);
    lose(r);
    r->peer_hello.max_streams = 1;
    r->peer_hello.epoch = 7;
    r->encoding = r->encoding == WST_ENCODING_JSON ? WST_ENCODING_BINARY : WST_ENCODING_JSON;
    session_rig_attach(r);
    session_rig_says(r, "credit 1 0/32768; ping 2");
    assert_int_equal(session_rig_say_credit(r, 1, 0, 32768), 0);
    assert_int_equal(session_rig_say_data(r, 1, "x"), 0);
    session_rig_tells(r, "data 1 x");
    assert_int_equal(wst__session_can_open(r->s), WST_ELIMIT);
    session_rig_stop(r);
}

static void test_half_a_message_dies_with_its_carrier(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    assert_int_equal(session_rig_say_raw(r, true, "{\"method\":", 10, false), 0);
    reattach(r);
    end_account(r);
    session_rig_stop(r);
}

/* -- Opens ------------------------------------------------------------------------------------ */

static void test_opens_are_said_again_in_order(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    for (int i = 0; i < 18; i++) /* 1 and 33 share a place in the table */
        session_rig_open(r);
    wst_message_t m = {.size = sizeof(m)};
    for (int i = 0; i < 5; i++)
        assert_true(session_rig_pull(r, &m));
    wst__session_detach(r->s);
    session_rig_attach(r);
    for (uint64_t i = 0; i < 18; i++) {
        assert_true(session_rig_pull(r, &m));
        assert_int_equal(m.method, WST_MSG_HANDSHAKE);
        assert_int_equal(m.id, 2 * i + 1);
    }
    session_rig_stop(r);
}

static void test_an_open_said_twice(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->answer = SESSION_RIG_LATER;
    session_rig_greet(r);
    assert_int_equal(session_rig_say_open(r, 2), 0); /* unanswered */
    assert_int_equal(session_rig_say_open(r, 4),
                     0); /* accepted, but that is lost, as is the data */
    session_rig_tells(r, "open 2 b:2; open 4 b:2");
    wst__session_stream_t *st = r->owned[1];
    wst__session_stream_accept(st, "");
    session_rig_write(r, st, "abc");
    assert_int_equal(wst__session_stream_shutdown(st), 0);
    session_rig_says(r, "completed 4; data 4 abc; end 4 3");
    reattach(r);
    session_rig_says(r, "completed 4; credit 4 0/32768; ping 2");
    assert_int_equal(session_rig_say_open(r, 2), 0);
    assert_int_equal(session_rig_say_open(r, 4), 0);
    session_rig_tells(r, ""); /* asked only once */
    session_rig_says(r, "data 4 abc; end 4 3");
    end_account(r);
    wst__session_stream_accept(r->owned[0], "");
    session_rig_write(r, r->owned[0], "d");
    session_rig_says(r, "pong 1; completed 2; data 2 d");
    session_rig_stop(r);
}

/* What only an opener that has the answer says tells that it has it, on any carrier. */
static void test_an_answer_that_has_arrived_is_not_said_again(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    for (int i = 0; i < 5; i++)
        session_rig_stream(r, false); /* 2, 4, 6, 8, 10 */
    session_rig_ignores(r);
    assert_int_equal(session_rig_say_credit(r, 2, 0, 32768), 0);
    assert_int_equal(session_rig_say_data(r, 4, "x"), 0);
    assert_int_equal(session_rig_say_end(r, 6, 0), 0);
    reattach(r);
    assert_int_equal(session_rig_say_credit(r, 8, 0, 32768), 0);
    session_rig_says(r, "credit 2 0/32768; credit 4 1/32769; credit 6 1/32768; "
                        "credit 8 0/32768; completed 10; credit 10 0/32768; ping 2");
    session_rig_stop(r);
}

/* Nothing that the peer says stands in for an answer that was never out. */
static void test_an_answer_that_cannot_have_arrived(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->answer = SESSION_RIG_LATER;
    session_rig_greet(r);
    assert_int_equal(session_rig_say_open(r, 2), 0);
    lose(r);
    wst__session_stream_accept(r->owned[0], "");
    session_rig_attach(r);
    assert_int_equal(session_rig_say_credit(r, 2, 0, 32768), 0);
    session_rig_says(r, "completed 2; credit 2 0/32768; ping 2");
    session_rig_stop(r);
}

static void test_an_open_whose_refusal_was_lost(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->answer = WST_EDENIED;
    session_rig_greet(r);
    assert_int_equal(session_rig_say_open(r, 2), 0);
    session_rig_says(r, "refused 2 -32006 no");
    session_rig_ignores(r);
    reattach(r);
    assert_int_equal(session_rig_say_open(r, 2), 0);
    session_rig_tells(r, ""); /* it is not tried again */
    session_rig_says(r, "refused 2 -32012; ping 2");
    end_account(r);
    assert_int_equal(session_rig_say_open(r, 2), WST_EPROTO);
    session_rig_stop(r);
}

static void test_a_refusal_that_was_not_out_yet(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->answer = WST_EDENIED;
    session_rig_greet(r);
    assert_int_equal(session_rig_say_open(r, 2), 0);
    wst__session_detach(r->s);
    r->told[0] = '\0';
    session_rig_attach(r);
    assert_int_equal(session_rig_say_open(r, 2), 0);
    session_rig_says(r, "refused 2 -32006 no; ping 2");
    session_rig_stop(r);
}

static void test_lost_refusals_cannot_flood(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    assert_int_equal(session_rig_say_open(r, 2000), 0);
    reattach(r);
    for (uint64_t i = 1; i <= WST__REFUSALS_MAX; i++)
        assert_int_equal(session_rig_say_open(r, 2 * i), 0);
    assert_int_equal(session_rig_say_open(r, 1998), WST_EFLOOD);
    session_rig_stop(r);
}

static void test_an_answer_that_comes_before_the_open_is_said_again(void **state) {
    (void)state;
    for (int late = 0; late < 2; late++) {
        session_rig_t *r = session_rig_new();
        session_rig_greet(r);
        wst__session_stream_t *st = session_rig_open(r);
        session_rig_write(r, st, "abc");
        reattach(r);
        if (late != 0) /* the peer has heard of it on the old carrier and takes its time */
            end_account(r);
        assert_int_equal(session_rig_say_completed(r, 1, 0), 0);
        session_rig_tells(r, "opened 1");
        /* It must be mentioned before data: the peer waits for that. */
        session_rig_says(r, late != 0 ? "pong 1; credit 1 0/32768; ping 2; data 1 abc"
                                      : "credit 1 0/32768; ping 2; data 1 abc");
        session_rig_stop(r);
    }
}

static void test_a_cancelled_open_is_not_mentioned(void **state) {
    (void)state;
    for (int when = 0; when < 3; when++) {
        session_rig_t *r = session_rig_new();
        session_rig_greet(r);
        wst__session_stream_t *st = session_rig_open(r);
        session_rig_says(r, "open 1 a:1"); /* it may have arrived or not */
        if (when == 0)
            session_rig_close(r, st, 0);
        wst__session_detach(r->s);
        if (when == 1)
            session_rig_close(r, st, 0);
        session_rig_attach(r);
        if (when == 2)
            session_rig_close(r, st, 0);
        session_rig_says(r, "ping 2");
        assert_int_equal(wst__session_stream_count(r->s), 0);
        assert_int_equal(session_rig_say_completed(r, 1, 0), 0); /* if it had */
        session_rig_stop(r);
    }
}

static void test_a_pending_open_that_the_peer_forgot(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->answer = SESSION_RIG_LATER;
    session_rig_greet(r);
    assert_int_equal(session_rig_say_open(r, 2), 0);
    reattach(r);
    end_account(r);
    session_rig_tells(r, "reset 2 -32012");
    session_rig_stop(r);
}

/* -- Data ------------------------------------------------------------------------------------- */

static void test_what_was_lost_is_sent_again_and_nothing_else(void **state) {
    (void)state;
    for (uint64_t received = 2; received <= 6; received++) {
        static const char *const again[] = {
            "", "", "data 1 cdef", "data 1 def", "data 1 ef", "data 1 f", ""};
        session_rig_t *r = session_rig_new();
        session_rig_greet(r);
        wst__session_stream_t *st = session_rig_stream(r, true);
        session_rig_write(r, st, "abcdef");
        session_rig_says(r, "data 1 abcdef");
        assert_int_equal(session_rig_say_credit(r, 1, 2, 32768), 0);
        reattach(r);
        session_rig_says(r, "credit 1 0/32768; ping 2");
        assert_int_equal(session_rig_say_credit(r, 1, received, 32768), 0);
        session_rig_says(r, again[received]);
        session_rig_stop(r);
    }
}

static void test_acknowledging_less_than_before_is_a_breach(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    wst__session_stream_t *st = session_rig_stream(r, true);
    session_rig_write(r, st, "abcdef");
    session_rig_ignores(r);
    assert_int_equal(session_rig_say_credit(r, 1, 2, 32768), 0);
    reattach(r);
    assert_int_equal(session_rig_say_credit(r, 1, 1, 32768), WST_EPROTO);
    session_rig_stop(r);
}

static void test_two_carriers_lost_in_a_row(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    wst__session_stream_t *st = session_rig_stream(r, true);
    session_rig_write(r, st, "abcdef");
    assert_int_equal(wst__session_stream_shutdown(st), 0);
    session_rig_says(r, "data 1 abcdef; end 1 6");
    reattach(r); /* nothing is heard on this one, on the next one that all had arrived */
    reattach(r);
    assert_int_equal(session_rig_say_credit(r, 1, 7, 32768), 0);
    session_rig_tells(r, "shutdown 1");
    session_rig_says(r, "credit 1 0/32768; ping 3");
    session_rig_stop(r);
}

static void test_lost_credit_is_said_again(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    session_rig_stream(r, true);
    assert_int_equal(session_rig_say_bytes(r, 1, 20000), 0);
    session_rig_says(r, "credit 1 20000/52768"); /* lost */
    session_rig_ignores(r);
    reattach(r);
    session_rig_says(r, "credit 1 20000/52768; ping 2");
    session_rig_stop(r);
}

static void test_streams_must_be_mentioned_before_data(void **state) {
    (void)state;
    for (int end = 0; end < 2; end++) {
        session_rig_t *r = session_rig_new();
        session_rig_greet(r);
        session_rig_stream(r, true);
        reattach(r);
        assert_int_equal(end != 0 ? session_rig_say_end(r, 1, 0) : session_rig_say_data(r, 1, "x"),
                         WST_EPROTO);
        session_rig_stop(r);
    }
}

static void test_a_drain_that_was_lost(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    wst__session_stream_t *st = session_rig_stream(r, true);
    assert_int_equal(session_rig_write_bytes(r, st, 32768), WST_WAIT);
    reattach(r);
    assert_int_equal(session_rig_say_credit(r, 1, 16384, 49152), 0);
    session_rig_tells(r, "drain 1");
    session_rig_stop(r);
}

/* -- Ends ------------------------------------------------------------------------------------- */

static void test_a_lost_end_is_sent_again(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    wst__session_stream_t *st = session_rig_stream(r, true);
    session_rig_write(r, st, "abc");
    assert_int_equal(wst__session_stream_shutdown(st), 0);
    reattach(r);
    assert_int_equal(session_rig_say_credit(r, 1, 3, 32768), 0);
    session_rig_says(r, "credit 1 0/32768; end 1 3; ping 2");
    assert_int_equal(session_rig_say_credit(r, 1, 4, 32768), 0);
    session_rig_tells(r, "shutdown 1");
    session_rig_stop(r);
}

static void test_an_acknowledged_end_stays_acknowledged(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    wst__session_stream_t *st = session_rig_stream(r, true);
    assert_int_equal(wst__session_stream_shutdown(st), 0);
    session_rig_ignores(r);
    assert_int_equal(session_rig_say_credit(r, 1, 1, 32768), 0);
    session_rig_tells(r, "shutdown 1");
    reattach(r);
    assert_int_equal(session_rig_say_credit(r, 1, 1, 32768), 0);
    session_rig_says(r, "credit 1 0/32768; ping 2"); /* no second end */
    session_rig_tells(r, "");
    assert_int_equal(session_rig_say_data(r, 1, "x"), 0); /* the other direction goes on */
    session_rig_tells(r, "data 1 x");
    session_rig_stop(r);
}

/* Both directions have ended; `told`: our acknowledgement of the peer's end was said. Whether it,
 * or our end, has arrived is not known. */
static wst__session_stream_t *both_ended(session_rig_t *r, bool end_said, bool told) {
    session_rig_greet(r);
    wst__session_stream_t *st = session_rig_stream(r, true);
    session_rig_write(r, st, "abc");
    if (end_said) {
        assert_int_equal(wst__session_stream_shutdown(st), 0);
        session_rig_says(r, "data 1 abc; end 1 3");
    }
    assert_int_equal(session_rig_say_end(r, 1, 0), 0);
    session_rig_tells(r, "end 1");
    if (told)
        session_rig_says(r, end_said ? "credit 1 1/32768" : "credit 1 1/32768; data 1 abc");
    if (!end_said)
        assert_int_equal(wst__session_stream_shutdown(st), 0);
    wst__session_detach(r->s);
    session_rig_attach(r);
    return st;
}

static void test_a_stream_that_has_finished_for_the_peer(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    wst__session_stream_t *st = both_ended(r, true, true);
    end_account(r);
    session_rig_tells(r, "shutdown 1");
    session_rig_ignores(r);
    assert_int_equal(wst__session_stream_count(r->s), 0);
    assert_int_equal(r->budget.used, 0);
    session_rig_close(r, st, 0);
    session_rig_stop(r);
}

static void test_a_stream_that_cannot_have_finished_for_the_peer(void **state) {
    (void)state;
    for (int which = 0; which < 2; which++) {
        session_rig_t *r = session_rig_new();
        both_ended(r, which == 0, which == 1);
        end_account(r);
        session_rig_tells(r, "reset 1 -32012");
        session_rig_stop(r);
    }
}

static void test_a_finished_stream_still_delivers(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->no_read = true;
    session_rig_greet(r);
    wst__session_stream_t *st = session_rig_stream(r, false);
    assert_int_equal(wst__session_stream_shutdown(st), 0);
    session_rig_ignores(r);
    assert_int_equal(session_rig_say_credit(r, 2, 1, 32768), 0);
    assert_int_equal(session_rig_say_data(r, 2, "abc"), 0);
    assert_int_equal(session_rig_say_end(r, 2, 3), 0);
    session_rig_tells(r, "shutdown 2");
    reattach(r);
    end_account(r); /* the peer has forgotten it rightly */
    session_rig_tells(r, "");
    reattach(r);
    end_account(r);
    session_rig_ignores(r);
    assert_int_equal(wst__session_stream_count(r->s), 1);
    wst__session_stream_read(st, true);
    wst__session_stream_deliver(st);
    session_rig_tells(r, "data 2 abc; end 2");
    assert_int_equal(wst__session_stream_count(r->s), 0);
    session_rig_stop(r);
}

static void test_a_stream_that_the_peer_has_lost(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    session_rig_stream(r, true);
    session_rig_stream(r, false);
    session_rig_stream(r, true);
    reattach(r);
    assert_int_equal(session_rig_say_credit(r, 2, 0, 32768), 0);
    session_rig_tells(r, "");
    end_account(r);
    session_rig_tells(r, "reset 1 -32012; reset 3 -32012");
    session_rig_stop(r);
}

static void close_the_next(session_rig_t *r, const char *event, wst__session_stream_t *st) {
    (void)st;
    if (strcmp(event, "reset") == 0)
        session_rig_close(r, r->owned[1], 0);
    r->hook = NULL;
}

static void test_an_owner_that_closes_another_lost_stream(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    for (int i = 0; i < 3; i++)
        session_rig_stream(r, true);
    reattach(r);
    session_rig_ignores(r);
    r->hook = close_the_next;
    end_account(r);
    session_rig_tells(r, "reset 1 -32012; reset 5 -32012");
    session_rig_says(r, "pong 1; reset 3 -32010");
    session_rig_stop(r);
}

static void test_a_reset_that_was_not_out_yet(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    wst__session_stream_t *st = session_rig_stream(r, true), *other = session_rig_stream(r, true);
    session_rig_close(r, st, WST_EIDLE);
    wst__session_detach(r->s);
    session_rig_close(r, other, WST_EDENIED);
    session_rig_attach(r);
    assert_int_equal(session_rig_say_credit(r, 1, 0, 32768), 0);
    session_rig_says(r, "reset 1 -32011; reset 3 -32006; ping 2");
    session_rig_stop(r);
}

static void test_goaway_is_said_again(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    session_rig_stream(r, false);
    wst__session_goaway(r->s, WST_EGOAWAY);
    session_rig_says(r, "goaway 2 -32008");
    reattach(r);
    session_rig_says(r, "goaway 2 -32008; completed 2; credit 2 0/32768; ping 2");
    assert_int_equal(session_rig_say_open(r, 4), 0); /* it was on its way */
    session_rig_says(r, "refused 4 -32008");
    session_rig_stop(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_session_without_streams),
        cmocka_unit_test(test_nothing_moves_while_detached),
        cmocka_unit_test(test_a_dead_carrier_can_be_replaced),
        cmocka_unit_test(test_a_broken_session_cannot_be_attached),
        cmocka_unit_test(test_the_peers_hello_must_be_the_same),
        cmocka_unit_test(test_the_rest_of_a_hello_may_be_another),
        cmocka_unit_test(test_half_a_message_dies_with_its_carrier),
        cmocka_unit_test(test_opens_are_said_again_in_order),
        cmocka_unit_test(test_an_open_said_twice),
        cmocka_unit_test(test_an_answer_that_has_arrived_is_not_said_again),
        cmocka_unit_test(test_an_answer_that_cannot_have_arrived),
        cmocka_unit_test(test_an_open_whose_refusal_was_lost),
        cmocka_unit_test(test_a_refusal_that_was_not_out_yet),
        cmocka_unit_test(test_lost_refusals_cannot_flood),
        cmocka_unit_test(test_an_answer_that_comes_before_the_open_is_said_again),
        cmocka_unit_test(test_a_cancelled_open_is_not_mentioned),
        cmocka_unit_test(test_a_pending_open_that_the_peer_forgot),
        cmocka_unit_test(test_what_was_lost_is_sent_again_and_nothing_else),
        cmocka_unit_test(test_acknowledging_less_than_before_is_a_breach),
        cmocka_unit_test(test_two_carriers_lost_in_a_row),
        cmocka_unit_test(test_lost_credit_is_said_again),
        cmocka_unit_test(test_streams_must_be_mentioned_before_data),
        cmocka_unit_test(test_a_drain_that_was_lost),
        cmocka_unit_test(test_a_lost_end_is_sent_again),
        cmocka_unit_test(test_an_acknowledged_end_stays_acknowledged),
        cmocka_unit_test(test_a_stream_that_has_finished_for_the_peer),
        cmocka_unit_test(test_a_stream_that_cannot_have_finished_for_the_peer),
        cmocka_unit_test(test_a_finished_stream_still_delivers),
        cmocka_unit_test(test_a_stream_that_the_peer_has_lost),
        cmocka_unit_test(test_an_owner_that_closes_another_lost_stream),
        cmocka_unit_test(test_a_reset_that_was_not_out_yet),
        cmocka_unit_test(test_goaway_is_said_again),
    };
    int failures = cmocka_run_group_tests_name("binary", tests, NULL, NULL);
    session_rig_encoding = WST_ENCODING_JSON;
    return failures + cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
