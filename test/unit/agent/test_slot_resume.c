/* SPDX-License-Identifier: MIT */
/*
 * A slot with uplinks that outlive their connection: what is tried while one is suspended or
 * suspect, what becomes of it, and draining and closing meanwhile.
 */
#include "slot_rig.h"

static void open_resumable(slot_rig_t *r) {
    slot_rig_prepare(r);
    r->options.uplink.resumes = true;
    r->options.probe_after_ms = 5000;
    slot_rig_begin(r);
    slot_rig_until_made(r, 1);
    assert_non_null(strstr(r->uplinks[0]->fields, "Wstunnel-Session: new\r\n"));
    slot_rig_up(r, 0);
}

static void test_resumed(void **state) {
    (void)state;
    slot_rig_t r;
    open_resumable(&r);
    slot_rig_load(&r, 0, 1);
    for (size_t i = 1; i <= 3; i++) {
        slot_rig_suspended(&r, 0);
        assert_false(r.slot.is_up);
        slot_rig_until_made(&r, i + 1);
        assert_non_null(strstr(r.uplinks[i]->fields, "Wstunnel-Session: resume "));
        assert_int_equal(r.uplinks[i]->hello.epoch, i + 1);
        assert_ptr_equal(slot_rig_claim(&r, i, true), &r.uplinks[0]->base);
        slot_rig_resumed(&r, 0, i);
        assert_true(r.slot.is_up);
        slot_rig_expect_rest(&r);
    }
    assert_int_equal(r.seen[SLOT_SUSPEND], 3);
    assert_int_equal(r.seen[SLOT_RESUME], 3);
    assert_int_equal(r.seen[SLOT_UP], 1);
    assert_int_equal(r.seen[SLOT_DOWN], 0);
    slot_rig_free(&r);
}

/* Attempts go on; each failure says that the session waits. */
static void test_resume_fails(void **state) {
    (void)state;
    slot_rig_t r;
    open_resumable(&r);
    slot_rig_suspended(&r, 0);
    for (size_t i = 1; i <= 3; i++) {
        slot_rig_until_made(&r, i + 1);
        slot_rig_down(&r, i, WST_EREJECTED, 503, "not yet");
        assert_int_equal(r.seen[SLOT_DOWN], i);
        assert_true(r.failure.suspended);
    }
    slot_rig_until_made(&r, 5);
    slot_rig_down(&r, 0, UV_ECONNRESET, 0, "cut"); /* the grace has passed */
    assert_int_equal(r.seen[SLOT_DOWN], 4);
    assert_false(r.failure.suspended);
    assert_null(slot_rig_claim(&r, 4, false)); /* that attempt was under way */
    slot_rig_up(&r, 4);
    assert_int_equal(r.seen[SLOT_UP], 2);
    slot_rig_expect_rest(&r);
    slot_rig_free(&r);
}

/* The server has been restarted. */
static void test_not_known_any_more(void **state) {
    (void)state;
    slot_rig_t r;
    open_resumable(&r);
    slot_rig_suspended(&r, 0);
    slot_rig_until_made(&r, 2);
    assert_null(slot_rig_claim(&r, 1, false));
    assert_true(r.uplinks[0]->closing);
    assert_int_equal(r.seen[SLOT_DOWN], 1);
    assert_int_equal(r.failure.error, WST_ELOST);
    slot_rig_up(&r, 1);
    assert_int_equal(r.seen[SLOT_UP], 2);
    slot_rig_expect_rest(&r);
    slot_rig_free(&r);
}

/* Twice, since what the first deadline begins at once is due a moment later. */
static void let_probe(slot_rig_t *r) {
    slot_rig_pass(r, 5000);
    slot_rig_pass(r, 5001);
}

/* A connection that does not answer gets another one beside it, which is dropped if it answers. */
static void test_suspect(void **state) {
    (void)state;
    slot_rig_t r;
    open_resumable(&r);
    slot_rig_suspect(&r, 0, true);
    slot_rig_suspect(&r, 0, false);
    slot_rig_expect_rest(&r);
    slot_rig_suspect(&r, 0, true);
    let_probe(&r);
    slot_rig_until_made(&r, 2);
    assert_true(r.slot.is_up);
    slot_rig_suspect(&r, 0, false); /* too late to stop it */
    assert_ptr_equal(slot_rig_claim(&r, 1, true), &r.uplinks[0]->base);
    slot_rig_resumed(&r, 0, 1);
    slot_rig_expect_rest(&r);
    slot_rig_suspect(&r, 0, true);
    let_probe(&r);
    slot_rig_until_made(&r, 3);
    slot_rig_down(&r, 2, UV_ECONNREFUSED, 0, "no"); /* the first one still is all there is */
    assert_true(r.slot.is_up);
    assert_int_equal(r.seen[SLOT_DOWN], 0);
    slot_rig_free(&r);
}

/* While draining only what can still be resumed is tried for. */
static void test_drained_in_the_outage(void **state) {
    (void)state;
    for (int how = 0; how < 4; how++) {
        slot_rig_t r;
        open_resumable(&r);
        slot_rig_load(&r, 0, 1);
        slot_rig_suspended(&r, 0);
        slot_rig_until_made(&r, 2);
        if (how == 3) /* between two attempts */
            slot_rig_down(&r, 1, UV_ECONNREFUSED, 0, "no");
        wst__node_drain(&r.node, 60000);
        assert_int_equal(r.drained, 0);
        if (how == 0) {
            slot_rig_until_made(&r, 2);
            if (r.uplinks[1]->closing) /* dropped with the drain, so there is another one */
                slot_rig_until_made(&r, 3);
            assert_ptr_equal(slot_rig_claim(&r, r.made - 1, true), &r.uplinks[0]->base);
            slot_rig_resumed(&r, 0, r.made - 1);
            assert_int_equal(r.uplinks[0]->goaways, 1);
            slot_rig_load(&r, 0, 0);
            test_env_turns(&r.env, 5);
            assert_int_equal(r.uplinks[0]->ends, 1);
            slot_rig_down(&r, 0, 0, 0, "");
        } else if (how == 1) { /* it is not known any more */
            if (r.uplinks[1]->closing)
                slot_rig_until_made(&r, 3);
            assert_null(slot_rig_claim(&r, r.made - 1, false));
            assert_int_equal(r.uplinks[r.made - 1]->ends, 1); /* no new session */
            slot_rig_down(&r, r.made - 1, WST_ECANCELLED, 0, "");
        } else { /* it is over */
            slot_rig_down(&r, 0, UV_ECONNRESET, 0, "cut");
        }
        slot_rig_expect_rest(&r);
        for (size_t i = 0; i < r.made; i++)
            assert_true(r.uplinks[i]->closing);
        assert_int_equal(r.drained, 1);
        assert_int_equal(r.seen[SLOT_UP], 1);
        slot_rig_free(&r);
    }
}

/* The owner closes in any of its callbacks. */
static void test_closed_in_the_outage(void **state) {
    (void)state;
    static const slot_rig_event_t events[] = {SLOT_SUSPEND, SLOT_RESUME, SLOT_DOWN};
    for (size_t k = 0; k < 6; k++) {
        slot_rig_t r;
        open_resumable(&r);
        slot_rig_load(&r, 0, 1);
        if (k < 3)
            r.close_in = events[k];
        else
            r.drain_in = events[k - 3];
        slot_rig_suspended(&r, 0);
        if (r.closed == 0 && events[k % 3] != SLOT_SUSPEND) {
            slot_rig_until_made(&r, 2);
            if (events[k % 3] == SLOT_RESUME) {
                assert_non_null(slot_rig_claim(&r, 1, true));
                slot_rig_resumed(&r, 0, 1);
            } else {
                assert_null(slot_rig_claim(&r, 1, false));
            }
        }
        test_env_turns(&r.env, 10);
        slot_rig_free(&r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resumed),
        cmocka_unit_test(test_resume_fails),
        cmocka_unit_test(test_not_known_any_more),
        cmocka_unit_test(test_suspect),
        cmocka_unit_test(test_drained_in_the_outage),
        cmocka_unit_test(test_closed_in_the_outage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
