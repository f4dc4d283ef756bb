/* SPDX-License-Identifier: MIT */
/* What the egress tells of its streams, one by one and in sum; and the end of a single one. */
#include "egress_rig.h"

#include <stdio.h>

static void note_seen(const wst__egress_seen_t *seen, void *user_data) {
    char *out = user_data, text[200];
    snprintf(text, sizeof(text), "%llu %s %s %llu/%llu;", (unsigned long long)seen->id,
             seen->destination, seen->state, (unsigned long long)seen->bytes_to_destination,
             (unsigned long long)seen->bytes_from_destination);
    strcat(out, text);
}

static const char *walk_all(egress_rig_t *r, size_t max) {
    static char out[1000];
    wst__egress_walk_t walk;
    out[0] = '\0';
    wst__egress_walk_begin(&walk, &r->egress);
    while (wst__egress_walk_next(&walk, max, note_seen, out))
        ;
    wst__egress_walk_end(&walk);
    return out;
}

static void test_walk(void **state) {
    (void)state;
    egress_rig_t r;
    egress_rig_open(&r, EGRESS_UNASKED, EGRESS_ALLOW);
    assert_string_equal(walk_all(&r, 1), "");
    egress_asked_t *first = egress_rig_ask(&r, 0, "one.test:1");
    egress_rig_expect_accepted(&r, first);
    fake_stream_data(&first->tunnel, "abc", 3);
    egress_rig_expect_accepted(&r, egress_rig_ask(&r, 1, "two.test:2"));
    r.dial = EGRESS_HOLD;
    egress_asked_t *held = egress_rig_ask(&r, 2, "three.test:3");
    test_env_until_count(&r.env, (const size_t *)&r.seen[EGRESS_DIAL], 3);
    for (size_t max = 1; max < 5; max++)
        assert_string_equal(walk_all(&r, max), "1 one.test:1 open 3/0;2 two.test:2 open 0/0;"
                                               "3 three.test:3 dialling 0/0;");
    egress_rig_withdraw(held, WST_ECANCELLED);
    assert_string_equal(walk_all(&r, 9), "1 one.test:1 open 3/0;2 two.test:2 open 0/0;");
    egress_rig_free(&r);
}

/* Streams end, and open, between its steps. */
static void test_walk_goes_on(void **state) {
    (void)state;
    char out[1000] = "";
    egress_rig_t r;
    wst__egress_walk_t walk;
    egress_rig_open(&r, EGRESS_UNASKED, EGRESS_ALLOW);
    egress_asked_t *one = egress_rig_ask(&r, 0, "one.test:1");
    egress_rig_expect_accepted(&r, one);
    egress_asked_t *two = egress_rig_ask(&r, 1, "two.test:2");
    egress_rig_expect_accepted(&r, two);
    r.dial = EGRESS_HOLD;
    egress_rig_ask(&r, 2, "three.test:3");
    wst__egress_walk_begin(&walk, &r.egress);
    assert_true(wst__egress_walk_next(&walk, 1, note_seen, out));
    fake_stream_break(&two->tunnel, WST_ERESET); /* the next one */
    test_env_until_count(&r.env, &r.seen[EGRESS_CLOSED], 1);
    test_env_turns(&r.env, 3);
    egress_rig_connect(&r, r.held); /* it is open now, behind what there was */
    test_env_until_count(&r.env, &r.seen[EGRESS_OPENED], 3);
    while (wst__egress_walk_next(&walk, 1, note_seen, out))
        ;
    wst__egress_walk_end(&walk);
    assert_memory_equal(out, "1 one.test:1 open 0/0;", 22);
    assert_null(strstr(out, "two"));
    assert_string_equal(walk_all(&r, 1), "1 one.test:1 open 0/0;3 three.test:3 open 0/0;");
    egress_rig_free(&r);
}

static void test_figures(void **state) {
    (void)state;
    egress_rig_t r;
    uint64_t to, from;
    egress_rig_open(&r, EGRESS_UNASKED, EGRESS_ALLOW);
    egress_asked_t *one = egress_rig_ask(&r, 0, "one.test:1");
    egress_rig_expect_accepted(&r, one);
    fake_stream_data(&one->tunnel, "abc", 3);
    fake_stream_data(&r.destinations[0], "defgh", 5);
    r.dial = EGRESS_FAIL;
    egress_rig_expect_refused(&r, egress_rig_ask(&r, 1, "two.test:2"), UV_ECONNREFUSED,
                              "connection refused");
    wst__egress_bytes(&r.egress, &to, &from);
    assert_int_equal(to, 3);
    assert_int_equal(from, 5);
    fake_stream_break(&one->tunnel, WST_ERESET);
    test_env_until_count(&r.env, &r.seen[EGRESS_CLOSED], 1);
    wst__egress_bytes(&r.egress, &to, &from);
    assert_int_equal(to, 3);
    assert_int_equal(from, 5);
    assert_int_equal(r.egress.opened, 1);
    assert_int_equal(r.egress.refused, 1);
    egress_rig_free(&r);
}

/* -- The end of one --------------------------------------------------------------------------- */

static void test_end_open(void **state) {
    (void)state;
    egress_rig_t r;
    uint64_t to, from;
    egress_rig_open(&r, EGRESS_UNASKED, EGRESS_ALLOW);
    egress_asked_t *one = egress_rig_ask(&r, 0, "one.test:1"), *two;
    egress_rig_expect_accepted(&r, one);
    egress_rig_expect_accepted(&r, two = egress_rig_ask(&r, 1, "two.test:2"));
    fake_stream_data(&two->tunnel, "abc", 3);
    test_env_until_count(&r.env, &r.destinations[1].written_len, 3);
    assert_int_equal(wst__egress_end(&r.egress, 0), WST_ESTATE);
    assert_int_equal(wst__egress_end(&r.egress, 3), WST_ESTATE);
    assert_int_equal(wst__egress_end(&r.egress, 2), 0);
    assert_int_equal(wst__egress_end(&r.egress, 2), WST_ESTATE); /* not once more */
    assert_int_equal(r.seen[EGRESS_CLOSED], 0);                  /* nor from inside the call */
    test_env_until_count(&r.env, &r.seen[EGRESS_CLOSED], 1);
    assert_string_equal(r.destination, "two.test:2");
    assert_int_equal(r.close_status, WST_ECANCELLED);
    assert_int_equal(two->tunnel.reset_reason, WST_ECANCELLED);
    assert_int_equal(r.destinations[1].reset_reason, WST_ECANCELLED);
    assert_int_equal(wst__egress_end(&r.egress, 2), WST_ESTATE);
    wst__egress_bytes(&r.egress, &to, &from);
    assert_int_equal(to, 3);
    assert_string_equal(walk_all(&r, 9), "1 one.test:1 open 0/0;");
    egress_rig_free(&r);
}

/* A stream that waits for an answer to on_destination, or to on_dial. */
static void test_end_opening(void **state) {
    (void)state;
    for (int dials = 0; dials < 2; dials++) {
        egress_rig_t r;
        egress_rig_open(&r, dials ? EGRESS_UNASKED : EGRESS_HOLD, EGRESS_HOLD);
        egress_asked_t *a = egress_rig_ask(&r, 0, "one.test:1");
        test_env_until_count(&r.env, &r.seen[dials ? EGRESS_DIAL : EGRESS_DESTINATION], 1);
        assert_int_equal(wst__egress_end(&r.egress, 1), 0);
        assert_int_equal(wst__egress_end(&r.egress, 1), WST_ESTATE);
        assert_int_equal(r.seen[EGRESS_OPENED], 0);
        assert_string_equal(walk_all(&r, 9), "");
        egress_rig_expect_refused(&r, a, WST_ECANCELLED, "ended by the agent's administrator");
        test_env_turns(&r.env, 3);
        assert_int_equal(r.seen[EGRESS_OPENED], 1);
        assert_int_equal(r.gone, 1); /* the question */
        assert_int_equal(r.egress.streams.count + r.egress.pending.count, 0);
        egress_rig_free(&r);
    }
}

/* One that wst_dial opens is not connected any more. */
static void test_end_dial(void **state) {
    (void)state;
    egress_rig_t r;
    egress_rig_open(&r, EGRESS_UNASKED, EGRESS_UNASKED);
    r.egress.rules = r.loopback = egress_rig_loopback_rules();
    egress_asked_t *a = egress_rig_ask(&r, 0, "127.0.0.1:1");
    assert_int_equal(wst__egress_end(&r.egress, 1), 0);
    egress_rig_expect_refused(&r, a, WST_ECANCELLED, "ended by the agent's administrator");
    egress_rig_free(&r);
}

/* The far side, or everybody, goes before it has been told. */
static void test_end_twice(void **state) {
    (void)state;
    for (int closes = 0; closes < 2; closes++) {
        egress_rig_t r;
        egress_rig_open(&r, EGRESS_HOLD, EGRESS_ALLOW);
        egress_asked_t *a = egress_rig_ask(&r, 0, "one.test:1");
        assert_int_equal(wst__egress_end(&r.egress, 1), 0);
        if (closes)
            wst__node_close(&r.node);
        else
            egress_rig_withdraw(a, WST_ERESET);
        test_env_turns(&r.env, 3);
        assert_int_equal(a->state, closes ? EGRESS_REFUSED : EGRESS_WITHDRAWN);
        assert_int_equal(r.seen[EGRESS_OPENED], !closes);
        egress_rig_free(&r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walk),        cmocka_unit_test(test_walk_goes_on),
        cmocka_unit_test(test_figures),     cmocka_unit_test(test_end_open),
        cmocka_unit_test(test_end_opening), cmocka_unit_test(test_end_dial),
        cmocka_unit_test(test_end_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
