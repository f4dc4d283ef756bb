/* SPDX-License-Identifier: MIT */
/* What an owner may do with a stream, and when: cancel, refuse, close, from anywhere. */
#include "session_rig.h"

#include <stdio.h>
#include <wstunnel/error.h>

/* -- Opening ---------------------------------------------------------------------------------- */

static void test_destinations_are_checked(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    char lengthy[WST_DEST_MAX + 2];
    memset(lengthy, 'a', sizeof(lengthy));
    lengthy[WST_DEST_MAX + 1] = '\0';
    const char *const wrong[] = {"", "a b:1", "a:1\n", "a\x7f:1", "a\xff:1", lengthy};
    wst__session_stream_t *st;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(wst__session_open(r->s, &st, wrong[i], NULL, r), WST_EDEST);
    assert_int_equal(r->budget.used, 0);
    session_rig_says(r, "");
    lengthy[WST_DEST_MAX] = '\0';
    assert_int_equal(wst__session_open(r->s, &st, lengthy, NULL, r), 0);
    wst_message_t m = {.size = sizeof(m)};
    assert_true(session_rig_pull(r, &m));
    assert_int_equal(m.dest.len, WST_DEST_MAX);
    wst__session_stream_close(st, 0);
    session_rig_stop(r);
}

static void test_cancel_before_the_open_is_out(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    wst__session_stream_t *st = session_rig_open(r);
    session_rig_write(r, st, "abc");
    session_rig_close(r, st, WST_ECANCELLED);
    assert_int_equal(wst__session_stream_count(r->s), 0);
    assert_int_equal(r->budget.used, 0);
    session_rig_says(r, ""); /* the peer never hears of it */
    session_rig_open(r);
    session_rig_says(r, "open 3 a:1");
    session_rig_stop(r);
}

static void test_cancel_after_the_open_is_out(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    wst__session_stream_t *st = session_rig_open(r);
    session_rig_write(r, st, "abc");
    session_rig_says(r, "open 1 a:1");
    session_rig_close(r, st, 0);
    assert_int_equal(session_rig_say_completed(r, 1, 0), 0); /* it crossed the reset */
    assert_int_equal(session_rig_say_data(r, 1, "x"), 0);
    session_rig_says(r, "reset 1 -32010");
    assert_int_equal(wst__session_stream_count(r->s), 0);
    assert_int_equal(session_rig_say_data(r, 1, "x"), 0);
    session_rig_tells(r, "");
    session_rig_stop(r);
}

static void test_refusals_carry_reason_and_text(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->answer = SESSION_RIG_LATER;
    session_rig_greet(r);
    char lengthy[300];
    memset(lengthy, 'e', sizeof(lengthy));
    memcpy(lengthy + 254, "\xe2\x82\xac", 4); /* a euro sign across the bound */
    const char *const texts[] = {"not from here", "", NULL, "bad\xff", lengthy};
    const int reasons[] = {WST_EDENIED, WST_ENAME, WST_EDIALTIMEOUT, WST_EMEMORY, -7};
    for (uint64_t i = 0; i < 5; i++) {
        assert_int_equal(session_rig_say_open(r, 2 + 2 * i), 0);
        wst__session_stream_t *st = r->owned[0];
        wst__session_stream_refuse(st, reasons[i], texts[i]);
        wst__session_stream_accept(st, ""); /* answered already */
        wst__session_stream_refuse(st, WST_EREFUSED, NULL);
        session_rig_close(r, st, WST_EIDLE);
    }
    session_rig_tells(r, "open 2 b:2; open 4 b:2; open 6 b:2; open 8 b:2; open 10 b:2");
    lengthy[254] = '\0';
    char expected[500];
    snprintf(expected, sizeof(expected),
             "refused 2 -32006 not from here; refused 4 -32003; refused 6 -32005; "
             "refused 8 -32013 bad?; refused 10 -32000 %s",
             lengthy);
    session_rig_says(r, expected);
    assert_int_equal(wst__session_stream_count(r->s), 0);
    session_rig_stop(r);
}

static void test_close_without_an_answer_refuses(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->answer = SESSION_RIG_LATER;
    session_rig_greet(r);
    for (uint64_t id = 2; id < 6; id += 2) {
        assert_int_equal(session_rig_say_open(r, id), 0);
        session_rig_close(r, r->owned[0], id == 2 ? 0 : WST_EDENIED);
    }
    session_rig_says(r, "refused 2 -32010; refused 4 -32006");
    session_rig_stop(r);
}

static void test_the_asker_vanishes(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->answer = SESSION_RIG_LATER;
    r->keep = true;
    session_rig_greet(r);
    assert_int_equal(session_rig_say_open(r, 2), 0);
    assert_int_equal(session_rig_say_reset(r, 2, WST_ECANCELLED), 0);
    session_rig_tells(r, "open 2 b:2; reset 2 -32010 why");
    wst__session_stream_t *st = r->owned[0];
    wst__session_stream_accept(st, ""); /* nothing happens to a dead stream */
    wst__session_stream_refuse(st, WST_EDENIED, NULL);
    wst__session_stream_read(st, true);
    wst__session_stream_deliver(st);
    assert_int_equal(wst__session_stream_room(st), 0);
    assert_int_equal(wst__session_stream_shutdown(st), WST_ESTATE);
    wst_slice_t slice;
    assert_int_equal(wst__pool_copy(&r->pool, &slice, "x", 1), 0);
    assert_int_equal(wst__session_stream_write(st, slice), WST_ESTATE);
    assert_int_equal(r->pool.live, 0); /* a write takes its reference on error too */
    session_rig_close(r, st, WST_EIDLE);
    session_rig_says(r, "");
    session_rig_stop(r);
}

/* -- Closing ---------------------------------------------------------------------------------- */

static void test_close_of_a_stream_that_is_not_done_resets_it(void **state) {
    (void)state;
    for (int which = 0; which < 4; which++) {
        session_rig_t *r = session_rig_new();
        session_rig_greet(r);
        wst__session_stream_t *st = session_rig_stream(r, true);
        session_rig_write(r, st, "abc");
        if (which >= 1)
            assert_int_equal(wst__session_stream_shutdown(st), 0);
        session_rig_ignores(r);
        if (which >= 2)
            assert_int_equal(session_rig_say_end(r, 1, 0), 0);
        session_rig_ignores(r);
        assert_int_equal(wst__session_stream_write(st, wst_slice_static("x", 1)),
                         which >= 1 ? WST_ESTATE : 0);
        if (which == 3) {
            assert_int_equal(session_rig_say_credit(r, 1, 4, 32768), 0);
            session_rig_tells(r, "shutdown 1");
        }
        session_rig_close(r, st, 0);
        session_rig_says(r, which < 3 ? "reset 1 -32010" : "");
        assert_int_equal(wst__session_stream_count(r->s), 0);
        session_rig_stop(r);
    }
}

static void test_close_still_says_that_the_end_was_received(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    wst__session_stream_t *st = session_rig_stream(r, true);
    assert_int_equal(wst__session_stream_shutdown(st), 0);
    session_rig_says(r, "end 1 0");
    assert_int_equal(session_rig_say_credit(r, 1, 1, 32768), 0);
    assert_int_equal(session_rig_say_end(r, 1, 0), 0);
    session_rig_tells(r, "shutdown 1; end 1");
    session_rig_close(r, st, 0);
    assert_int_equal(wst__session_stream_count(r->s), 1);
    session_rig_says(r, "credit 1 1/32768");
    assert_int_equal(wst__session_stream_count(r->s), 0);
    session_rig_stop(r);
}

static void test_close_with_unread_data_resets(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->no_read = true;
    session_rig_greet(r);
    wst__session_stream_t *st = session_rig_stream(r, true);
    assert_int_equal(wst__session_stream_shutdown(st), 0);
    session_rig_ignores(r);
    assert_int_equal(session_rig_say_credit(r, 1, 1, 32768), 0);
    assert_int_equal(session_rig_say_data(r, 1, "abc"), 0);
    assert_int_equal(session_rig_say_end(r, 1, 3), 0);
    session_rig_close(r, st, 0);
    session_rig_says(r, "reset 1 -32010");
    session_rig_stop(r);
}

static void test_a_lost_session_fails_all_streams(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    r->answer = SESSION_RIG_LATER;
    session_rig_greet(r);
    session_rig_open(r);
    session_rig_stream(r, true);
    assert_int_equal(session_rig_say_open(r, 2), 0);
    session_rig_ignores(r);
    wst__session_drop_streams(r->s, WST_ELOST);
    session_rig_tells(r, "failed 1 -32012; reset 3 -32012; reset 2 -32012");
    int status;
    assert_null(session_rig_try_open(r, &status));
    assert_int_equal(status, WST_ESTATE);
    session_rig_stop(r);
}

static void test_freeing_a_session_frees_its_streams(void **state) {
    (void)state;
    session_rig_t *r = session_rig_new();
    session_rig_greet(r);
    session_rig_write(r, session_rig_stream(r, true), "abc");
    assert_int_equal(session_rig_say_open(r, 2), 0);
    session_rig_close(r, session_rig_stream(r, false), WST_EIDLE);
    r->told[0] = '\0';
    wst__session_free(r->s);
    session_rig_tells(r, ""); /* without a word */
    r->s = NULL;
    r->owned_count = 0;
    session_rig_stop(r);
}

/* -- From inside callbacks -------------------------------------------------------------------- */

static const char *acts_on;
static int act;
static bool acted;

enum {
    CLOSE,
    RESET,
    CLOSE_OTHERS,
    OPEN,
    WRITE,
    SHUTDOWN,
    PAUSE,
    DELIVER,
    GOAWAY,
    DROP,
    DETACH,
    ACTS
};

static void on_event(session_rig_t *r, const char *event, wst__session_stream_t *st) {
    if (acted || strcmp(event, acts_on) != 0)
        return;
    acted = true;
    int status;
    switch (act) {
    case CLOSE:
    case RESET:
        if (st != NULL)
            session_rig_close(r, st, act == RESET ? WST_EIDLE : 0);
        break;
    case CLOSE_OTHERS:
        for (size_t i = r->owned_count; i-- > 0;)
            if (r->owned[i] != st)
                session_rig_close(r, r->owned[i], WST_EIDLE);
        break;
    case OPEN:
        for (int i = 0; i < 20; i++) /* enough for the table to grow */
            session_rig_try_open(r, &status);
        break;
    case WRITE:
        if (st != NULL && wst__session_stream_write(st, wst_slice_static("w", 1)) < 0)
            assert_int_equal(wst__session_stream_room(st), 0);
        break;
    case SHUTDOWN:
        if (st != NULL)
            (void)wst__session_stream_shutdown(st);
        break;
    case PAUSE:
        if (st != NULL)
            wst__session_stream_read(st, false);
        break;
    case DELIVER:
        if (st != NULL)
            wst__session_stream_deliver(st);
        break;
    case GOAWAY:
        wst__session_goaway(r->s, WST_EGOAWAY);
        break;
    case DROP:
        wst__session_drop_streams(r->s, WST_ELOST);
        break;
    default:
        wst__session_detach(r->s);
        break;
    }
}

static bool hears(session_rig_t *r) {
    return r->s->attached && r->s->error == 0;
}

/* What the peer says is legal as long as nothing was done; then it may be late, but nothing breaks.
 */
static void play(session_rig_t *r) {
    r->answer = SESSION_RIG_LATER;
    if (hears(r) && session_rig_say_open(r, 2) == 0 && r->owned_count > 0) {
        wst__session_stream_t *st = r->owned[r->owned_count - 1];
        if (wst__session_stream_id(st) == 2 && hears(r))
            assert_int_equal(session_rig_say_reset(r, 2, WST_ECANCELLED), 0);
    }
    r->answer = SESSION_RIG_ACCEPT;
    int status;
    wst__session_stream_t *st = session_rig_try_open(r, &status),
                          *failing = session_rig_try_open(r, &status),
                          *away = session_rig_try_open(r, &status);
    if (st == NULL || failing == NULL || away == NULL)
        return;
    uint64_t id = wst__session_stream_id(st), failing_id = wst__session_stream_id(failing);
    session_rig_write_bytes(r, st, 32768);
    session_rig_ignores(r);
    if (hears(r))
        assert_int_equal(session_rig_say_completed(r, id, 0), 0);
    if (hears(r))
        assert_int_equal(session_rig_say_completed(r, failing_id, WST_EREFUSED), 0);
    session_rig_ignores(r);
    if (hears(r))
        assert_int_equal(session_rig_say_data(r, id, "abc"), 0);
    if (hears(r))
        assert_int_equal(session_rig_say_goaway(r, failing_id), 0);
    wst__session_stream_t *found = wst__session_find(r->s, id);
    uint64_t sent = found != NULL ? found->tx_sent : 0;
    if (hears(r) && sent > 0)
        assert_int_equal(session_rig_say_credit(r, id, sent, 100000), 0);
    found = wst__session_find(r->s, id);
    if (found != NULL && found->owned)
        (void)wst__session_stream_shutdown(found);
    session_rig_ignores(r);
    if (hears(r) && (found = wst__session_find(r->s, id)) != NULL && found->tx_end_sent)
        assert_int_equal(session_rig_say_credit(r, id, found->tx_sent + 1, 100000), 0);
    session_rig_ignores(r);
    if (hears(r))
        assert_int_equal(session_rig_say_end(r, id, 3), 0);
    session_rig_ignores(r);
}

static void test_anything_may_be_done_in_any_callback(void **state) {
    (void)state;
    const char *const events[] = {"open",  "opened",   "failed", "data",   "end",
                                  "drain", "shutdown", "reset",  "goaway", "dead"};
    for (size_t e = 0; e < sizeof(events) / sizeof(events[0]); e++) {
        for (act = 0; act < ACTS; act++) {
            session_rig_t *r = session_rig_new();
            acts_on = events[e];
            acted = false;
            r->hook = on_event;
            session_rig_start(r);
            play(r);
            session_rig_wait(r, 50000);
            if (!acted)
                fail_msg("no callback %s", acts_on);
            session_rig_stop(r);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_destinations_are_checked),
        cmocka_unit_test(test_cancel_before_the_open_is_out),
        cmocka_unit_test(test_cancel_after_the_open_is_out),
        cmocka_unit_test(test_refusals_carry_reason_and_text),
        cmocka_unit_test(test_close_without_an_answer_refuses),
        cmocka_unit_test(test_the_asker_vanishes),
        cmocka_unit_test(test_close_of_a_stream_that_is_not_done_resets_it),
        cmocka_unit_test(test_close_still_says_that_the_end_was_received),
        cmocka_unit_test(test_close_with_unread_data_resets),
        cmocka_unit_test(test_a_lost_session_fails_all_streams),
        cmocka_unit_test(test_freeing_a_session_frees_its_streams),
        cmocka_unit_test(test_anything_may_be_done_in_any_callback),
    };
    int failures = cmocka_run_group_tests_name("binary", tests, NULL, NULL);
    session_rig_encoding = WST_ENCODING_JSON;
    return failures + cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
