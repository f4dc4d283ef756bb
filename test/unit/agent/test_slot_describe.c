/* SPDX-License-Identifier: MIT */
/* What a slot tells of its connections: up, suspended, leaving, and attempts to make one. */
#include "slot_rig.h"

static wst_agent_connection_status_t describe(const slot_rig_t *r, size_t n) {
    wst_agent_connection_status_t out = {.state = "none"};
    size_t left = n;
    if (wst__slot_describe(&r->slot, &left, &out))
        assert_int_equal(left, 0);
    return out;
}

static void is_state(const slot_rig_t *r, size_t n, const char *state) {
    assert_string_equal(describe(r, n).state, state);
}

static void test_attempts(void **state) {
    (void)state;
    slot_rig_t r;
    slot_rig_prepare(&r);
    r.options.backoff_min_ms = r.options.backoff_max_ms = 3600000;
    slot_rig_begin(&r);
    slot_rig_until_made(&r, 1);
    is_state(&r, 0, "connecting");
    is_state(&r, 1, "none");
    slot_rig_down(&r, 0, WST_EREJECTED, 503, "no");
    const wst_agent_connection_status_t s = describe(&r, 0);
    assert_string_equal(s.state, "waiting");
    assert_true(s.retry_in_ms <= 3600000);
    assert_int_equal(s.up_ms, 0);
    is_state(&r, 1, "none");
    slot_rig_free(&r);
}

static void test_suspended(void **state) {
    (void)state;
    slot_rig_t r;
    slot_rig_prepare(&r);
    r.options.uplink.resumes = true;
    slot_rig_begin(&r);
    slot_rig_until_made(&r, 1);
    slot_rig_up(&r, 0);
    slot_rig_load(&r, 0, 7);
    r.uplinks[0]->base.sent = 5;
    r.uplinks[0]->base.received = 6;
    wst_agent_connection_status_t s = describe(&r, 0);
    assert_string_equal(s.state, "up");
    assert_int_equal(s.streams, 7);
    assert_int_equal(s.bytes_to_server, 5);
    assert_int_equal(s.bytes_to_destinations, 6);
    assert_int_equal(s.outage_ms, 0);
    is_state(&r, 1, "none");
    slot_rig_suspended(&r, 0);
    s = describe(&r, 0);
    assert_string_equal(s.state, "suspended");
    assert_int_equal(s.streams, 7);
    assert_int_equal(s.up_ms, 0);
    is_state(&r, 1, "none");
    slot_rig_until_made(&r, 2);
    is_state(&r, 0, "suspended"); /* while an attempt is under way */
    is_state(&r, 1, "none");
    assert_ptr_equal(slot_rig_claim(&r, 1, true), &r.uplinks[0]->base);
    slot_rig_resumed(&r, 0, 1);
    is_state(&r, 0, "up");
    slot_rig_free(&r);
}

static void test_leaving(void **state) {
    (void)state;
    slot_rig_t r;
    slot_rig_open(&r);
    slot_rig_until_made(&r, 1);
    slot_rig_up(&r, 0);
    slot_rig_load(&r, 0, 1);
    slot_rig_goaway(&r, 0, WST_EGOAWAY);
    slot_rig_until_made(&r, 2);
    is_state(&r, 0, "leaving");
    is_state(&r, 1, "connecting");
    is_state(&r, 2, "none");
    slot_rig_up(&r, 1);
    is_state(&r, 0, "leaving");
    is_state(&r, 1, "up");
    assert_int_not_equal(describe(&r, 0).conn, describe(&r, 1).conn);
    is_state(&r, 2, "none");
    slot_rig_free(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_attempts),
                                       cmocka_unit_test(test_suspended),
                                       cmocka_unit_test(test_leaving)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
