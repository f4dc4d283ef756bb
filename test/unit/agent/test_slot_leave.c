/* SPDX-License-Identifier: MIT */
/*
 * A slot whose uplinks' servers leave: another uplink is made beside the one that leaves, and what
 * it carries may go on to its end.
 */
#include "slot_rig.h"

/* The uplink is up, with a stream, and its server says goaway. */
static void let_leave(slot_rig_t *r, size_t i) {
    slot_rig_up(r, i);
    slot_rig_load(r, i, 1);
    slot_rig_goaway(r, i, WST_EGOAWAY);
}

/* Another one is made beside it, at once, under another number; the server ends it. */
static void test_goaway(void **state) {
    (void)state;
    slot_rig_t r;
    slot_rig_open(&r);
    slot_rig_until_made(&r, 1);
    let_leave(&r, 0);
    assert_true(r.slot.is_up);
    slot_rig_until_made(&r, 2);
    assert_int_equal(r.uplinks[0]->hello.conn, 3);
    assert_int_equal(r.uplinks[1]->hello.conn, 4);
    assert_true(r.slot.is_up);
    assert_int_equal(r.conns, 1 << 3);
    slot_rig_up(&r, 1);
    slot_rig_expect_rest(&r);
    assert_int_equal(r.conns, 1 << 3 | 1 << 4);
    assert_int_equal(r.uplinks[0]->ends, 0);
    slot_rig_load(&r, 0, 0);
    slot_rig_expect_rest(&r);
    assert_int_equal(r.uplinks[0]->ends, 0); /* a client may just have come to the server */
    slot_rig_down(&r, 0, 0, 0, "drained");
    slot_rig_expect_rest(&r);
    assert_int_equal(r.conns, 1 << 4);
    assert_int_equal(r.seen[SLOT_UP], 1);
    assert_int_equal(r.seen[SLOT_DOWN], 0);
    wst__node_drain(&r.node, 60000);
    slot_rig_down(&r, 1, 0, 0, "drained");
    assert_int_equal(r.conns, 0);
    assert_int_equal(r.seen[SLOT_DOWN], 0);
    slot_rig_free(&r);
}

static void test_goaway_idle(void **state) {
    (void)state;
    slot_rig_t r;
    slot_rig_open(&r);
    slot_rig_until_made(&r, 1);
    slot_rig_up(&r, 0);
    slot_rig_goaway(&r, 0, WST_EGOAWAY);
    slot_rig_until_made(&r, 2);
    assert_int_equal(r.uplinks[0]->ends, 0);
    slot_rig_free(&r);
}

/* While the server leaves it refuses; when it has left the next attempt is near again. */
static void test_goaway_refused(void **state) {
    (void)state;
    slot_rig_t r;
    slot_rig_open(&r);
    r.options.backoff_min_ms = 1000;
    r.options.backoff_max_ms = 1000000000;
    slot_rig_until_made(&r, 1);
    let_leave(&r, 0);
    for (size_t i = 1; i <= 12; i++) {
        slot_rig_until_made(&r, i + 1);
        assert_int_equal(r.uplinks[i]->hello.conn, 4); /* has not been used up */
        slot_rig_down(&r, i, WST_EREJECTED, 503, "draining");
        assert_int_equal(r.slot.failures, i);
        if (i < 12)
            slot_rig_pass(&r, 10000000);
    }
    assert_true(r.slot.is_up);
    assert_int_equal(r.seen[SLOT_DOWN], 0);
    assert_int_equal(r.uplinks[0]->ends, 0);
    slot_rig_down(&r, 0, WST_EWSCLOSED, 0, "gone");
    assert_false(r.slot.is_up);
    assert_int_equal(r.conns, 0);
    assert_int_equal(r.seen[SLOT_DOWN], 1);
    assert_true(r.failure.retry_in_ms < 1000);
    slot_rig_pass(&r, 1000);
    slot_rig_until_made(&r, 14);
    slot_rig_up(&r, 13);
    assert_int_equal(r.seen[SLOT_UP], 2);
    slot_rig_free(&r);
}

/* One that leaves beyond the bound is replaced when another one has ended. */
static void test_goaway_bound(void **state) {
    (void)state;
    slot_rig_t r;
    slot_rig_open(&r);
    for (size_t i = 0; i < 5; i++) {
        slot_rig_until_made(&r, i + 1);
        let_leave(&r, i);
    }
    slot_rig_expect_rest(&r);
    assert_int_equal(r.made, 5);
    assert_true(r.slot.is_up);
    slot_rig_down(&r, 2, WST_EWSCLOSED, 0, "gone");
    slot_rig_until_made(&r, 6);
    assert_int_equal(r.uplinks[5]->hello.conn, 8);
    slot_rig_up(&r, 5);
    slot_rig_expect_rest(&r);
    slot_rig_free(&r);
}

/* What connects already has the number of the one that leaves; that is awaited. */
static void test_goaway_while_connecting(void **state) {
    (void)state;
    slot_rig_t r;
    slot_rig_open(&r);
    slot_rig_until_made(&r, 1);
    slot_rig_up(&r, 0);
    slot_rig_load(&r, 0, 1);
    r.uplinks[0]->base.ops = &slot_rig_resumable;
    wst__slot_reconnect(&r.slot);
    slot_rig_until_made(&r, 2);
    slot_rig_goaway(&r, 0, WST_EGOAWAY);
    test_env_turns(&r.env, 3);
    assert_int_equal(r.slot.conn, 3);
    slot_rig_down(&r, 1, WST_EREJECTED, 503, "draining");
    slot_rig_until_made(&r, 3);
    assert_int_equal(r.uplinks[2]->hello.conn, 4);
    slot_rig_up(&r, 2);
    assert_int_equal(r.seen[SLOT_DOWN], 0);
    slot_rig_free(&r);
}

static void test_goaway_and_drain(void **state) {
    (void)state;
    slot_rig_t r;
    slot_rig_open(&r);
    slot_rig_until_made(&r, 1);
    let_leave(&r, 0);
    slot_rig_until_made(&r, 2);
    slot_rig_up(&r, 1);
    slot_rig_load(&r, 1, 1);
    wst__node_drain(&r.node, 60000);
    assert_int_equal(r.uplinks[0]->goaways + r.uplinks[1]->goaways, 2);
    assert_int_equal(r.uplinks[0]->ends + r.uplinks[1]->ends, 0);
    slot_rig_load(&r, 0, 0);
    slot_rig_load(&r, 1, 0);
    test_env_turns(&r.env, 3);
    assert_int_equal(r.uplinks[0]->ends + r.uplinks[1]->ends, 2);
    assert_int_equal(r.drained, 0);
    slot_rig_down(&r, 0, 0, 0, "drained");
    slot_rig_down(&r, 1, 0, 0, "drained");
    test_env_until_count(&r.env, &r.drained, 1);
    slot_rig_free(&r);
}

static void test_goaway_and_close(void **state) {
    (void)state;
    for (size_t made = 1; made <= 2; made++) {
        slot_rig_t r;
        slot_rig_open(&r);
        slot_rig_until_made(&r, 1);
        let_leave(&r, 0);
        slot_rig_until_made(&r, made);
        slot_rig_free(&r);
        assert_int_equal(r.seen[SLOT_DOWN], 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goaway),
        cmocka_unit_test(test_goaway_idle),
        cmocka_unit_test(test_goaway_refused),
        cmocka_unit_test(test_goaway_bound),
        cmocka_unit_test(test_goaway_while_connecting),
        cmocka_unit_test(test_goaway_and_drain),
        cmocka_unit_test(test_goaway_and_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
