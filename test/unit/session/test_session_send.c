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
    session_rig_says(r, "pong 7; goaway 2 -32008; completed 2; credit 2 0/32768; open 1 a:1; "
                        "ping 1; data 2 data");
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
    session_rig_says(r, "data 1 abcd; ping 2");
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
    assert_int_equal(wst__bufq_capacity(&st->tx), 64); /* a small chunk, and not five */
    session_rig_says(r, "data 1 ababababab");
    session_rig_stop(r);
}

static void test_what_is_sent_is_kept_until_acknowledged(void **state) {
    (void)state;
    enum { ALLOWANCE = 32768 };
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    wst__session_stream_t *st = session_rig_stream(r, true);
    assert_int_equal(session_rig_write_bytes(r, st, 16384), 0);
    assert_int_equal(session_rig_write_bytes(r, st, 16384), WST_WAIT);
    session_rig_ignores(r);
    assert_int_equal(wst__session_stream_room(st), 0);
    assert_int_equal(st->tx.len, ALLOWANCE);
    assert_int_equal(session_rig_say_credit(r, 1, 0, 100000), 0); /* credit alone makes no room */
    session_rig_tells(r, "");
    assert_int_equal(session_rig_say_credit(r, 1, ALLOWANCE / 2 - 1, 100000), 0);
    session_rig_tells(r, ""); /* not worth a write yet */
    assert_int_equal(session_rig_say_credit(r, 1, ALLOWANCE / 2, 100000), 0);
    session_rig_tells(r, "drain 1");
    assert_int_equal(wst__session_stream_room(st), ALLOWANCE / 2);
    assert_int_equal(session_rig_say_credit(r, 1, ALLOWANCE, 100000), 0);
    session_rig_tells(r, ""); /* told once */
    assert_int_equal(wst__session_stream_room(st), ALLOWANCE);
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
    static const uint8_t zeros[SESSION_RIG_FRAME];
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
    const size_t pieces[] = {700, 4000, 3000};
    uint64_t sent[3] = {0};
    run_turns(r, sts, pieces, 3, sent, 2000);
    for (size_t k = 1; k < 3; k++) {
        uint64_t more = sent[k] > sent[0] ? sent[k] - sent[0] : sent[0] - sent[k];
        if (more > 2 * SESSION_RIG_FRAME)
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
    session_rig_says(r, "data 1 +16384; data 1 +16384; ping 2"); /* never acknowledged */
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
    session_rig_says(r, "pong 1; reset 3 -32011; open 5 a:1; data 1 +16384; ping 2");
    session_rig_stop(r);
}

/* -- In flight -------------------------------------------------------------------------------- */

/* A stream with credit and allowance for `bytes`. */
static wst__session_stream_t *wide_stream(session_rig_t *r, uint64_t bytes) {
    wst__session_stream_t *st = session_rig_stream(r, true);
    assert_int_equal(session_rig_say_credit(r, st->id, 0, bytes), 0);
    while (st->tx.len < bytes && wst__session_stream_room(st) > 0)
        session_rig_write_bytes(r, st, wst__session_stream_room(st));
    return st;
}

/* Pulls messages to the last one; returns how many bytes of data were among them. */
static uint64_t pull_all(session_rig_t *r, unsigned *pings) {
    wst_message_t m = {.size = sizeof(m)};
    uint64_t bytes = 0;
    while (session_rig_pull(r, &m)) {
        bytes += m.method == WST_MSG_COMMUNICATION ? m.len : 0;
        *pings += m.method == WST_MSG_PING;
    }
    return bytes;
}

/* Which stream the next message is of. */
static uint64_t whose_turn(session_rig_t *r) {
    wst_message_t m = {.size = sizeof(m)};
    do
        assert_true(session_rig_pull(r, &m));
    while (m.method != WST_MSG_COMMUNICATION);
    return m.id;
}

/* A keystroke does not wait behind downloads; but who types all the time takes turns like them. */
static void test_a_sparse_stream_goes_first(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->window_max = 4 << 20;
    session_rig_greet(r);
    wst__session_stream_t *a = session_rig_stream(r, true), *b = session_rig_stream(r, true);
    wst__session_stream_t *sparse = session_rig_stream(r, true);
    for (int i = 0; i < 6; i++) { /* a quantum each */
        assert_int_equal(session_rig_say_credit(r, a->id, 0, 100000), 0);
        assert_int_equal(session_rig_say_credit(r, b->id, 0, 100000), 0);
        session_rig_write_bytes(r, a, SESSION_RIG_FRAME);
        session_rig_write_bytes(r, b, SESSION_RIG_FRAME);
    }
    assert_int_equal(whose_turn(r), a->id);
    assert_int_equal(whose_turn(r), b->id);
    session_rig_write(r, sparse, "x");
    assert_int_equal(whose_turn(r), sparse->id);
    assert_int_not_equal(whose_turn(r), sparse->id);
    session_rig_write(r, sparse, "y");
    assert_int_not_equal(whose_turn(r), sparse->id);
    assert_int_equal(whose_turn(r), sparse->id);
    for (int i = 0; i < 2; i++)
        assert_int_not_equal(whose_turn(r), sparse->id); /* a round without anything to send */
    session_rig_write(r, sparse, "z");
    assert_int_equal(whose_turn(r), sparse->id);
    session_rig_stop(r);
}

/* A stream is sparse if it is fresh and has little to send, and other streams are there to delay
 * it. */
static void test_sparse_streams(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    wst__session_stream_t *st = session_rig_stream(r, true), *other = session_rig_stream(r, true);
    unsigned pings = 0;
    session_rig_write(r, st, "alone");
    pull_all(r, &pings);
    assert_false(r->s->flight.sparse);
    session_rig_write_bytes(r, other, 2049);
    pull_all(r, &pings);
    assert_false(r->s->flight.sparse);
    /* The rest of what a busy stream has to send is small, too. */
    session_rig_write_bytes(r, other, SESSION_RIG_FRAME + 10);
    pull_all(r, &pings);
    assert_false(r->s->flight.sparse);
    /* A message is small, too, where a chunk ends. */
    session_rig_write(r, st, "x");
    session_rig_write_bytes(r, st, 5000);
    pull_all(r, &pings);
    assert_false(r->s->flight.sparse);
    session_rig_write(r, st, "x");
    session_rig_write_bytes(r, st, 2047);
    pull_all(r, &pings);
    assert_true(r->s->flight.sparse);
    /* Its pong begins the second without a queue. */
    r->now += 7;
    assert_int_equal(session_rig_say_pong(r, r->s->ping_seq), 0);
    assert_false(r->s->flight.sparse);
    assert_int_equal(r->s->flight.sparse_us, r->now * 1000);
    session_rig_stop(r);
}

static void test_a_pong_confirms_what_was_sent_before_its_ping(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    wst__session_stream_t *st = session_rig_stream(r, true), *other = session_rig_stream(r, true);
    assert_int_equal(session_rig_write(r, st, "abc"), 0);
    session_rig_says(r, "data 1 abc");
    session_rig_wait(r, 15000);
    session_rig_says(r, "ping 2");
    assert_int_equal(session_rig_write(r, st, "de"), 0);
    assert_int_equal(session_rig_write(r, other, "f"), 0);
    session_rig_says(r, "data 1 de; data 3 f");
    assert_int_equal(r->s->flight.in_flight, 6);
    assert_int_equal(session_rig_say_pong(r, 2), 0);
    assert_int_equal(st->tx_acked, 3);
    assert_int_equal(st->tx.len, 2);
    assert_int_equal(other->tx.len, 1);
    assert_int_equal(r->s->flight.in_flight, 3);
    /* A credit that was on its way acknowledges less, and may do so; but may take nothing back. */
    assert_int_equal(session_rig_say_credit(r, 1, 2, 100000), 0);
    assert_int_equal(st->tx_acked, 3);
    session_rig_wait(r, 15000);
    session_rig_says(r, "ping 3");
    assert_int_equal(session_rig_say_pong(r, 3), 0);
    assert_int_equal(r->s->flight.in_flight, 0);
    assert_int_equal(r->pool.live, 0);
    assert_int_equal(session_rig_say_credit(r, 1, 1, 100000), WST_EPROTO);
    session_rig_stop(r);
}

static void test_the_flight_is_bounded(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->window_max = 4 << 20;
    session_rig_greet(r);
    uint64_t limit = r->s->flight.limit_few;
    wst__session_stream_t *st = wide_stream(r, 1 << 20);
    unsigned pings = 0;
    uint64_t sent = pull_all(r, &pings);
    assert_in_range(sent, limit, limit + SESSION_RIG_FRAME);
    assert_int_equal(pings, 1);
    /* Control does not wait for it. */
    session_rig_open(r);
    session_rig_says(r, "open 3 a:1");
    r->wakeups = 0;
    r->now += 5;
    assert_int_equal(session_rig_say_pong(r, 2), 0);
    assert_true(r->wakeups > 0);
    sent += pull_all(r, &pings);
    assert_true(sent > limit + limit / 2 - SESSION_RIG_FRAME);
    assert_int_equal(r->s->flight.in_flight, sent - st->tx_acked);
    /* A credit makes room for as much as it confirms. */
    r->wakeups = 0;
    assert_int_equal(session_rig_say_credit(r, 1, st->tx_sent, 1 << 20), 0);
    assert_true(r->wakeups > 0);
    assert_int_equal(r->s->flight.in_flight, 0);
    assert_true(pull_all(r, &pings) > 0);
    session_rig_stop(r);
}

/* Three streams share a larger flight. When one of them leaves, so that it is too large for the
 * others, they go on. */
static void test_the_flight_of_many_streams(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->window_max = 4 << 20;
    session_rig_greet(r);
    wst__session_stream_t *st[3];
    for (int i = 0; i < 3; i++) {
        st[i] = session_rig_stream(r, true);
        assert_int_equal(session_rig_say_credit(r, st[i]->id, 0, 1 << 20), 0);
    }
    static const size_t bytes[] = {256 * 1024, 128 * 1024, 1};
    for (int i = 0; i < 3; i++)
        session_rig_write_bytes(r, st[i], bytes[i]);
    unsigned pings = 0;
    uint64_t sent = pull_all(r, &pings), limit = r->s->flight.limit;
    assert_in_range(sent, limit, limit + SESSION_RIG_FRAME);
    assert_int_equal(r->s->flight.streams, 3);
    assert_int_equal(session_rig_say_reset(r, st[2]->id, WST_ECANCELLED), 0);
    assert_int_equal(r->s->flight.streams, 2);
    assert_true(wst__flight_is_full(&r->s->flight));
    assert_int_equal(pull_all(r, &pings), 0);
    r->wakeups = 0;
    assert_int_equal(session_rig_say_pong(r, 2), 0);
    assert_true(r->wakeups > 0);
    assert_true(pull_all(r, &pings) > 0);
    session_rig_stop(r);
}

/* Bytes of a stream that has gone confirm nothing, and hold nothing up. */
static void test_the_flight_of_a_lost_stream(void **state) {
    (void)state;
    for (int which = 0; which < 3; which++) {
        session_rig_t *r = session_rig_new();
        r->window_max = 4 << 20;
        session_rig_greet(r);
        wst__session_stream_t *st = wide_stream(r, 1 << 20);
        unsigned pings = 0;
        pull_all(r, &pings);
        assert_true(wst__flight_is_full(&r->s->flight));
        if (which == 0)
            session_rig_close(r, st, WST_EIDLE);
        else if (which == 1)
            assert_int_equal(session_rig_say_reset(r, 1, WST_EIDLE), 0);
        else
            wst__session_detach(r->s);
        if (which == 2)
            session_rig_attach(r);
        assert_int_equal(r->s->flight.in_flight, 0);
        session_rig_ignores(r);
        assert_int_equal(session_rig_say_pong(r, which == 2 ? 3 : 2), 0);
        session_rig_ignores(r);
        assert_int_equal(r->s->flight.in_flight, 0);
        session_rig_stop(r);
    }
}

/* What a stream had in flight makes room for others when it goes. */
static void test_a_lost_stream_wakes_what_waits_behind_it(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->window_max = 4 << 20;
    session_rig_greet(r);
    wst__session_stream_t *waiting = session_rig_stream(r, true);
    wst__session_stream_t *full = wide_stream(r, 1 << 20);
    unsigned pings = 0;
    pull_all(r, &pings);
    session_rig_write(r, waiting, "x");
    assert_int_equal(pull_all(r, &pings), 0);
    r->wakeups = 0;
    assert_int_equal(session_rig_say_reset(r, full->id, WST_EIDLE), 0);
    assert_true(r->wakeups > 0);
    assert_int_equal(pull_all(r, &pings), 1);
    session_rig_stop(r);
}

/* New streams go first, but do not starve old ones. */
static void test_newcomers_do_not_starve_others(void **state) {
    (void)state;
    enum { NEW = 40 };
    session_rig_t *r = session_rig_new();
    r->peer_hello.initial_credit = 100000;
    session_rig_greet(r);
    wst__session_stream_t *old = session_rig_stream(r, true), *new[NEW];
    for (int i = 0; i < NEW; i++)
        new[i] = session_rig_stream(r, true);
    for (int i = 0; i < 4; i++)
        session_rig_write_bytes(r, old, SESSION_RIG_FRAME);
    assert_int_equal(whose_turn(r), old->id);
    for (int i = 0; i < NEW; i++)
        session_rig_write(r, new[i], "x");
    int served = 0;
    for (int i = 0; i < NEW; i++)
        served += whose_turn(r) == old->id;
    assert_in_range(served, 2, 3);
    session_rig_stop(r);
}

/* A peer acknowledges each 16 KiB at the latest, which is more than the budget lets us keep. */
static void test_a_short_allowance_asks_for_a_pong(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->budget_limit = 4 * wst__session_stream_cost(SESSION_RIG_WINDOW);
    session_rig_greet(r);
    r->budget.lent = r->budget.limit / 4; /* others have it all */
    r->budget.used = r->budget.lent;
    wst__session_stream_t *st = session_rig_stream(r, true);
    assert_int_equal(wst__session_stream_room(st), WST__SEND_LEAST);
    for (uint64_t seq = 2; seq < 8; seq++) {
        assert_int_equal(session_rig_write_bytes(r, st, WST__SEND_LEAST), WST_WAIT);
        unsigned pings = 0;
        assert_int_equal(pull_all(r, &pings), WST__SEND_LEAST);
        assert_int_equal(pings, 1);
        assert_int_equal(session_rig_say_pong(r, seq), 0);
        session_rig_tells(r, "drain 1");
    }
    r->budget.used -= r->budget.lent;
    r->budget.lent = 0;
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

/* The end of few bytes is confirmed with what is said next, and soon if nothing is; at once if our
 * own end has been said, for then the confirmation may be what the stream waits for. */
static void test_a_confirmed_end_wakes_late(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    wst__session_stream_t *st[3];
    for (int i = 0; i < 3; i++)
        st[i] = session_rig_stream(r, true);
    session_rig_ignores(r);
    r->wakeups = 0;
    assert_int_equal(session_rig_say_data(r, 1, "abc"), 0);
    assert_int_equal(session_rig_say_end(r, 1, 3), 0);
    assert_int_equal(r->wakeups, 0);
    session_rig_wait(r, WST__CONFIRM_MS - 1);
    assert_int_equal(r->wakeups, 0);
    session_rig_wait(r, 1);
    wakes(r, "credit 1 4/32771");
    /* Another one's end before that: both go out. */
    assert_int_equal(session_rig_say_end(r, 3, 0), 0);
    assert_int_equal(r->wakeups, 0);
    wst__session_stream_shutdown(st[0]);
    wakes(r, "credit 3 1/32768; end 1 0");
    session_rig_wait(r, WST__CONFIRM_MS);
    assert_int_equal(r->wakeups, 0);
    /* Many bytes are acknowledged at once, since the sender keeps them. */
    assert_int_equal(session_rig_say_bytes(r, 5, WST__CONFIRM_LEAST + 1), 0);
    assert_int_equal(session_rig_say_end(r, 5, WST__CONFIRM_LEAST + 1), 0);
    wakes(r, "credit 5 4098/36865");
    wst__session_stream_shutdown(st[2]);
    wakes(r, "end 5 0");
    assert_int_equal(session_rig_say_open(r, 2), 0);
    wst__session_stream_shutdown(r->owned[r->owned_count - 1]);
    wakes(r, "completed 2; end 2 0");
    assert_int_equal(session_rig_say_end(r, 2, 0), 0);
    wakes(r, "credit 2 1/32768");
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
    wakes(r, "data 1 a; ping 2");
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
        cmocka_unit_test(test_a_sparse_stream_goes_first),
        cmocka_unit_test(test_sparse_streams),
        cmocka_unit_test(test_a_pong_confirms_what_was_sent_before_its_ping),
        cmocka_unit_test(test_the_flight_is_bounded),
        cmocka_unit_test(test_the_flight_of_many_streams),
        cmocka_unit_test(test_the_flight_of_a_lost_stream),
        cmocka_unit_test(test_a_lost_stream_wakes_what_waits_behind_it),
        cmocka_unit_test(test_newcomers_do_not_starve_others),
        cmocka_unit_test(test_a_short_allowance_asks_for_a_pong),
        cmocka_unit_test(test_the_carrier_is_woken_for_each_kind_of_message),
        cmocka_unit_test(test_a_confirmed_end_wakes_late),
        cmocka_unit_test(test_credit_wakes_what_waits_for_it),
    };
    int failures = cmocka_run_group_tests_name("binary", tests, NULL, NULL);
    session_rig_encoding = WST_ENCODING_JSON;
    return failures + cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
