/* SPDX-License-Identifier: MIT */
/*
 * A slot with uplinks whose server leaves and whose connection is lost: the streams go on with
 * another connection while the server is there, whatever the slot does beside.
 */
#include "slot_rig.h"

static void begin(slot_rig_t *r) {
    slot_rig_prepare(r);
    r->options.uplink.resumes = true;
    r->options.probe_after_ms = 5000;
    slot_rig_begin(r);
    slot_rig_until_made(r, 1);
}

/* The uplink is up, with a stream, and its server says goaway; the next one is being made. */
static void let_leave(slot_rig_t *r, size_t i) {
    slot_rig_up(r, i);
    slot_rig_load(r, i, 1);
    slot_rig_goaway(r, i, WST_EGOAWAY);
    slot_rig_until_made(r, i + 2);
}

/* With another one beside it, of another server. */
static void begin_beside(slot_rig_t *r) {
    begin(r);
    let_leave(r, 0);
    slot_rig_up(r, 1);
    slot_rig_load(r, 1, 1);
}

/* The i-th attempt is to continue the uplink, or to be a new one. */
static void expect_attempt(slot_rig_t *r, size_t i, uint32_t conn, bool resumes) {
    slot_rig_until_made(r, i + 1);
    assert_int_equal(r->uplinks[i]->hello.conn, conn);
    assert_int_equal(strstr(r->uplinks[i]->fields, "Wstunnel-Session: resume ") != NULL, resumes);
}

static void let_resume(slot_rig_t *r, size_t i, size_t by) {
    assert_ptr_equal(slot_rig_claim(r, by, true), &r->uplinks[i]->base);
    slot_rig_resumed(r, i, by);
}

/* Its server is the only one, and takes nobody else. */
static void test_alone(void **state) {
    (void)state;
    slot_rig_t r;
    begin(&r);
    let_leave(&r, 0);
    slot_rig_down(&r, 1, WST_EREJECTED, 503, "draining");
    assert_true(r.slot.is_up);
    for (size_t n = 1; n <= 3; n++) {
        slot_rig_suspended(&r, 0);
        assert_false(r.slot.is_up);
        assert_int_equal(r.seen[SLOT_DOWN], n);
        assert_int_equal(r.conns, 0);
        expect_attempt(&r, 2 * n, 3, true);
        let_resume(&r, 0, 2 * n);
        assert_true(r.slot.is_up);
        assert_int_equal(r.conns, 1 << 3);
        assert_int_equal(r.seen[SLOT_UP], n + 1);
        expect_attempt(&r, 2 * n + 1, 4, false);
        slot_rig_down(&r, 2 * n + 1, WST_EREJECTED, 503, "draining");
        assert_true(r.slot.is_up);
    }
    assert_false(r.uplinks[0]->closing);
    slot_rig_free(&r);
}

/* Another server has taken the slot; its connection is left alone, and nobody is told. */
static void test_beside(void **state) {
    (void)state;
    slot_rig_t r;
    begin_beside(&r);
    for (size_t n = 2; n < 6; n++) {
        slot_rig_suspended(&r, 0);
        expect_attempt(&r, n, 3, true);
        let_resume(&r, 0, n);
        slot_rig_expect_rest(&r);
        assert_true(r.slot.is_up);
        assert_int_equal(r.slot.conn, 4);
    }
    slot_rig_down(&r, 0, 0, 0, "drained");
    slot_rig_expect_rest(&r);
    assert_false(r.uplinks[1]->closing);
    assert_int_equal(r.seen[SLOT_UP], 1);
    assert_int_equal(r.seen[SLOT_DOWN] + r.seen[SLOT_SUSPEND] + r.seen[SLOT_RESUME], 0);
    slot_rig_free(&r);
}

/* Each connection that is up is told once to be gone: the one that is lost, also if its uplink is
 * given up later, and the others in a drain. */
static void test_notices(void **state) {
    (void)state;
    for (int how = 0; how < 3; how++) {
        slot_rig_t r;
        begin_beside(&r);
        assert_int_equal(r.conns, 1 << 3 | 1 << 4);
        slot_rig_suspended(&r, 0);
        assert_int_equal(r.conns, 1 << 4);
        expect_attempt(&r, 2, 3, true);
        if (how == 0) { /* it goes on */
            let_resume(&r, 0, 2);
            assert_int_equal(r.conns, 1 << 3 | 1 << 4);
            slot_rig_down(&r, 0, 0, 0, "drained");
        } else if (how == 1) { /* the way leads to another server */
            assert_null(slot_rig_claim(&r, 2, false));
            slot_rig_down(&r, 2, WST_ECANCELLED, 0, "drained");
        } else { /* its time is over */
            slot_rig_down(&r, 2, WST_EREJECTED, 503, "draining");
            slot_rig_down(&r, 0, UV_ECONNRESET, 0, "cut");
        }
        slot_rig_expect_rest(&r);
        assert_int_equal(r.conns, 1 << 4);
        assert_int_equal(r.seen[SLOT_DOWN], 0);
        slot_rig_load(&r, 1, 0);
        wst__node_drain(&r.node, 60000);
        slot_rig_down(&r, 1, 0, 0, "drained");
        assert_int_equal(r.conns, 0);
        assert_int_equal(r.seen[SLOT_DOWN], 0);
        slot_rig_free(&r);
    }
}

/* It is refused as long as the session waits, and then no more attempts are made. */
static void test_refused(void **state) {
    (void)state;
    for (int under_way = 0; under_way < 2; under_way++) {
        slot_rig_t r;
        begin_beside(&r);
        slot_rig_suspended(&r, 0);
        for (size_t i = 2; i < 8; i++) {
            expect_attempt(&r, i, 3, true);
            slot_rig_down(&r, i, WST_EREJECTED, 503, "draining");
        }
        if (under_way)
            expect_attempt(&r, 8, 3, true);
        slot_rig_down(&r, 0, UV_ECONNRESET, 0, "cut");
        if (under_way) { /* a server that does not know it: another one is there already */
            assert_null(slot_rig_claim(&r, 8, false));
            assert_int_equal(r.uplinks[8]->ends, 1);
            slot_rig_down(&r, 8, WST_ECANCELLED, 0, "drained");
        }
        slot_rig_expect_rest(&r);
        assert_true(r.slot.is_up);
        assert_false(r.uplinks[1]->closing);
        assert_int_equal(r.seen[SLOT_DOWN], 0);
        slot_rig_free(&r);
    }
}

/* The way leads to a server that does not know the session: then that is lost. */
static void test_unknown_beside(void **state) {
    (void)state;
    slot_rig_t r;
    begin_beside(&r);
    slot_rig_suspended(&r, 0);
    expect_attempt(&r, 2, 3, true);
    assert_null(slot_rig_claim(&r, 2, false));
    assert_true(r.uplinks[0]->closing);
    assert_int_equal(r.uplinks[2]->ends, 1); /* it is not needed */
    slot_rig_down(&r, 2, WST_ECANCELLED, 0, "drained");
    slot_rig_expect_rest(&r);
    assert_false(r.uplinks[1]->closing);
    assert_int_equal(r.seen[SLOT_DOWN], 0);
    slot_rig_free(&r);
}

/* There is no other connection: the new session is what the slot wants anyway. */
static void test_unknown(void **state) {
    (void)state;
    slot_rig_t r;
    begin(&r);
    let_leave(&r, 0);
    slot_rig_down(&r, 1, WST_EREJECTED, 503, "draining");
    slot_rig_suspended(&r, 0);
    expect_attempt(&r, 2, 3, true);
    assert_null(slot_rig_claim(&r, 2, false));
    assert_true(r.uplinks[0]->closing);
    assert_int_equal(r.uplinks[2]->ends, 0);
    slot_rig_up(&r, 2);
    assert_int_equal(r.slot.conn, 3);
    assert_int_equal(r.seen[SLOT_UP], 2);
    slot_rig_expect_rest(&r);
    slot_rig_load(&r, 2, 1);
    slot_rig_suspended(&r, 2); /* it can be resumed as any other */
    expect_attempt(&r, 3, 3, true);
    let_resume(&r, 2, 3);
    slot_rig_expect_rest(&r);
    slot_rig_free(&r);
}

/* The connection is silent: another one takes its place, if the way leads to its server. */
static void test_suspect(void **state) {
    (void)state;
    slot_rig_t r;
    begin_beside(&r);
    slot_rig_suspect(&r, 0, true);
    expect_attempt(&r, 2, 3, true);
    r.uplinks[0]->suspect = false;
    let_resume(&r, 0, 2);
    slot_rig_expect_rest(&r);
    slot_rig_suspect(&r, 0, true);
    expect_attempt(&r, 3, 3, true);
    assert_null(slot_rig_claim(&r, 3, false));
    assert_false(r.uplinks[0]->closing); /* it may still answer */
    assert_int_equal(r.uplinks[3]->ends, 1);
    slot_rig_down(&r, 3, WST_ECANCELLED, 0, "drained");
    slot_rig_expect_rest(&r);
    slot_rig_suspended(&r, 0); /* or be lost, later */
    expect_attempt(&r, 4, 3, true);
    let_resume(&r, 0, 4);
    assert_false(r.uplinks[1]->closing);
    assert_int_equal(r.seen[SLOT_DOWN], 0);
    slot_rig_free(&r);
}

/* A silent one keeps its connection, and the way leads to another server. The next session there
 * has a conn of its own: each attempt to continue the silent one would replace it otherwise. */
static void test_conn_is_taken(void **state) {
    (void)state;
    slot_rig_t r;
    begin(&r);
    let_leave(&r, 0);
    slot_rig_down(&r, 1, WST_EREJECTED, 503, "draining");
    slot_rig_suspect(&r, 0, true);
    expect_attempt(&r, 2, 3, true);
    assert_null(slot_rig_claim(&r, 2, false));
    assert_false(r.uplinks[0]->closing);
    assert_int_equal(r.uplinks[2]->ends, 1);
    slot_rig_down(&r, 2, WST_ECANCELLED, 0, "drained");
    assert_true(r.slot.is_up);
    expect_attempt(&r, 3, 4, false);
    slot_rig_up(&r, 3);
    slot_rig_load(&r, 3, 1);
    assert_int_equal(r.conns, 1 << 3 | 1 << 4);
    slot_rig_suspended(&r, 0);
    assert_int_equal(r.conns, 1 << 4);
    expect_attempt(&r, 4, 3, true);
    assert_null(slot_rig_claim(&r, 4, false)); /* led there again */
    assert_true(r.uplinks[0]->closing);
    assert_int_equal(r.uplinks[4]->ends, 1);
    slot_rig_down(&r, 4, WST_ECANCELLED, 0, "drained");
    slot_rig_expect_rest(&r);
    assert_true(r.slot.is_up);
    assert_false(r.uplinks[3]->closing);
    assert_int_equal(r.seen[SLOT_DOWN], 0);
    assert_int_equal(r.conns, 1 << 4);
    slot_rig_free(&r);
}

static wst_request_t *question;

static void keep_question(wst_request_t *request, void *user_data) {
    question = request;
    ((slot_rig_t *)user_data)->seen[SLOT_CREDENTIALS]++;
}

/* The other server cannot resume: an attempt that is not needed any more must not replace its
 * connection. */
static void test_settled(void **state) {
    (void)state;
    slot_rig_t r;
    begin_beside(&r);
    r.uplinks[1]->base.ops = &slot_rig_plain;
    r.options.on_credentials = keep_question;
    for (size_t n = 1; n <= 2; n++) {
        slot_rig_suspect(&r, 0, true);
        test_env_until_count(&r.env, &r.seen[SLOT_CREDENTIALS], n);
        r.uplinks[0]->suspect = n == 2;
        wst_request_allow_with(question, "");
        if (n == 1)
            slot_rig_expect_rest(&r);
        assert_int_equal(r.made, 2);
    }
    expect_attempt(&r, 2, 3, true);
    slot_rig_free(&r);
}

/* The connections to both servers are lost: new streams come by the one that stays. */
static void test_both(void **state) {
    (void)state;
    for (int first = 0; first < 2; first++) {
        slot_rig_t r;
        begin_beside(&r);
        slot_rig_suspended(&r, first == 0 ? 0 : 1);
        slot_rig_suspended(&r, first == 0 ? 1 : 0);
        assert_int_equal(r.conns, 0);
        expect_attempt(&r, 2, 4, true);
        let_resume(&r, 1, 2);
        expect_attempt(&r, 3, 3, true);
        let_resume(&r, 0, 3);
        slot_rig_expect_rest(&r);
        assert_int_equal(r.conns, 1 << 3 | 1 << 4);
        assert_true(r.slot.is_up);
        assert_int_equal(r.seen[SLOT_SUSPEND], 1);
        assert_int_equal(r.seen[SLOT_RESUME], 1);
        assert_int_equal(r.seen[SLOT_DOWN], 0);
        slot_rig_free(&r);
    }
}

/* The other connection is lost for good, while attempts are refused. */
static void test_other_over(void **state) {
    (void)state;
    slot_rig_t r;
    begin_beside(&r);
    slot_rig_suspended(&r, 0);
    expect_attempt(&r, 2, 3, true);
    slot_rig_down(&r, 2, WST_EREJECTED, 503, "draining");
    slot_rig_down(&r, 1, WST_EWSCLOSED, 0, "bye");
    assert_false(r.slot.is_up);
    assert_int_equal(r.seen[SLOT_DOWN], 1);
    expect_attempt(&r, 3, 3, true);
    let_resume(&r, 0, 3);
    expect_attempt(&r, 4, 4, false);
    slot_rig_up(&r, 4);
    slot_rig_expect_rest(&r);
    assert_int_equal(r.seen[SLOT_UP], 2);
    slot_rig_free(&r);
}

/* Each of several has its turn: one of them may be out of reach. */
static void test_several(void **state) {
    (void)state;
    slot_rig_t r;
    begin(&r);
    let_leave(&r, 0);
    let_leave(&r, 1);
    slot_rig_up(&r, 2);
    slot_rig_suspended(&r, 0);
    slot_rig_suspended(&r, 1);
    expect_attempt(&r, 3, 3, true);
    slot_rig_down(&r, 3, WST_EREJECTED, 503, "draining");
    expect_attempt(&r, 4, 4, true);
    let_resume(&r, 1, 4);
    expect_attempt(&r, 5, 3, true);
    slot_rig_down(&r, 5, WST_EREJECTED, 503, "draining");
    expect_attempt(&r, 6, 3, true);
    let_resume(&r, 0, 6);
    slot_rig_expect_rest(&r);
    assert_int_equal(r.slot.conn, 5);
    slot_rig_free(&r);
}

/* The other connection becomes so old that it is to be replaced, meanwhile or when the server has
 * just left: it is, afterwards. */
static void test_age(void **state) {
    (void)state;
    for (int left = 0; left < 2; left++) {
        slot_rig_t r;
        slot_rig_prepare(&r);
        r.options.uplink.resumes = true;
        r.options.max_age_ms = 100000;
        slot_rig_begin(&r);
        slot_rig_until_made(&r, 1);
        let_leave(&r, 0);
        slot_rig_up(&r, 1);
        slot_rig_load(&r, 1, 1);
        if (left) {
            slot_rig_pass(&r, 100001);
            assert_int_equal(r.slot.phase, WST__SLOT_WAITING);
            slot_rig_down(&r, 0, 0, 0, "drained");
            assert_int_equal(r.slot.phase, WST__SLOT_UP);
            assert_int_equal(r.made, 2);
        } else {
            slot_rig_suspended(&r, 0);
            expect_attempt(&r, 2, 3, true);
            slot_rig_pass(&r, 100001);
            let_resume(&r, 0, 2);
            test_env_turns(&r.env, 5);
            assert_int_equal(r.made, 3);
        }
        size_t next = r.made;
        slot_rig_pass(&r, 200000);
        slot_rig_pass(&r, 200001); /* what was to begin at once */
        expect_attempt(&r, next, 4, true);
        let_resume(&r, 1, next);
        slot_rig_free(&r);
    }
}

/* They count among those that leave. */
static void test_bound(void **state) {
    (void)state;
    slot_rig_t r;
    begin(&r);
    for (size_t i = 0; i < 4; i++)
        let_leave(&r, i);
    slot_rig_up(&r, 4);
    slot_rig_load(&r, 4, 1);
    slot_rig_suspended(&r, 0);
    expect_attempt(&r, 5, 3, true);
    r.options.backoff_min_ms = r.options.backoff_max_ms = 100000;
    slot_rig_down(&r, 5, WST_EREJECTED, 503, "draining");
    slot_rig_goaway(&r, 4, WST_EGOAWAY);
    test_env_turns(&r.env, 3);
    assert_int_equal(r.slot.conn, 7);
    slot_rig_pass(&r, 100000);
    expect_attempt(&r, 6, 3, true);
    let_resume(&r, 0, 6);
    slot_rig_expect_rest(&r);
    assert_int_equal(r.slot.conn, 7);
    slot_rig_free(&r);
}

/* There is nothing to come back for. */
static void test_idle(void **state) {
    (void)state;
    slot_rig_t r;
    begin_beside(&r);
    slot_rig_load(&r, 0, 0);
    slot_rig_suspect(&r, 0, true);
    slot_rig_suspect(&r, 0, false);
    slot_rig_suspended(&r, 0);
    assert_true(r.uplinks[0]->closing);
    slot_rig_expect_rest(&r);
    assert_int_equal(r.seen[SLOT_DOWN], 0);
    slot_rig_free(&r);
}

/* The agent drains, too. */
static void test_drain(void **state) {
    (void)state;
    for (int how = 0; how < 3; how++) {
        slot_rig_t r;
        begin_beside(&r);
        slot_rig_load(&r, 1, 0);
        slot_rig_suspended(&r, 0);
        expect_attempt(&r, 2, 3, true);
        wst__node_drain(&r.node, 60000);
        assert_int_equal(r.uplinks[1]->ends, 1);
        slot_rig_down(&r, 1, 0, 0, "drained");
        assert_int_equal(r.drained, 0);
        assert_false(r.uplinks[2]->closing);
        if (how == 0) {
            let_resume(&r, 0, 2);
            assert_int_equal(r.uplinks[0]->goaways, 1);
            slot_rig_expect_rest(&r);
            slot_rig_load(&r, 0, 0);
            test_env_turns(&r.env, 5);
            assert_int_equal(r.uplinks[0]->ends, 1);
            slot_rig_down(&r, 0, 0, 0, "drained");
        } else if (how == 1) { /* it is not known */
            assert_null(slot_rig_claim(&r, 2, false));
            assert_int_equal(r.uplinks[2]->ends, 1);
            slot_rig_down(&r, 2, WST_ECANCELLED, 0, "drained");
        } else { /* it is over */
            slot_rig_down(&r, 0, UV_ECONNRESET, 0, "cut");
        }
        slot_rig_expect_rest(&r);
        for (size_t i = 0; i < r.made; i++)
            assert_true(r.uplinks[i]->closing);
        assert_int_equal(r.drained, 1);
        assert_int_equal(r.conns, 0);
        slot_rig_free(&r);
    }
}

/* The owner closes in any of its callbacks, or at any other time. */
static void test_close(void **state) {
    (void)state;
    static const slot_rig_event_t events[] = {SLOT_NOTHING, SLOT_DOWN, SLOT_UP};
    for (size_t k = 0; k < 6; k++) {
        slot_rig_t r;
        begin(&r);
        let_leave(&r, 0);
        slot_rig_down(&r, 1, WST_EREJECTED, 503, "draining");
        *(k < 3 ? &r.close_in : &r.drain_in) = events[k % 3];
        slot_rig_suspended(&r, 0);
        if (events[k % 3] != SLOT_DOWN) {
            expect_attempt(&r, 2, 3, true);
            let_resume(&r, 0, 2);
        }
        test_env_turns(&r.env, 10);
        slot_rig_free(&r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alone),         cmocka_unit_test(test_beside),
        cmocka_unit_test(test_refused),       cmocka_unit_test(test_unknown_beside),
        cmocka_unit_test(test_unknown),       cmocka_unit_test(test_suspect),
        cmocka_unit_test(test_conn_is_taken), cmocka_unit_test(test_settled),
        cmocka_unit_test(test_both),          cmocka_unit_test(test_other_over),
        cmocka_unit_test(test_several),       cmocka_unit_test(test_bound),
        cmocka_unit_test(test_age),           cmocka_unit_test(test_idle),
        cmocka_unit_test(test_drain),         cmocka_unit_test(test_close),
        cmocka_unit_test(test_notices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
