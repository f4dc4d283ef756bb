/* SPDX-License-Identifier: MIT */
/*
 * A slot with uplinks that carry many streams, or that are used up by one each: what it tries
 * when, what it tells, draining and closing.
 */
#include "slot_rig.h"

#include <wstunnel/version.h>

/* -- One uplink that carries many streams ----------------------------------------------------- */

static void test_up(void **state) {
    (void)state;
    slot_rig_t r;
    slot_rig_open(&r);
    assert_int_equal(r.slot.phase, WST__SLOT_WAITING);
    slot_rig_until_made(&r, 1);
    assert_int_equal(r.slot.phase, WST__SLOT_CONNECTING);
    assert_false(r.slot.is_up);
    slot_rig_up(&r, 0);
    assert_int_equal(r.seen[SLOT_UP], 1);
    assert_int_equal(r.slot.phase, WST__SLOT_UP);
    assert_string_equal(r.uplinks[0]->fields,
                        "User-Agent: libwstunnel/" WST_VERSION "\r\nX-Fixed: 1\r\n");
    assert_int_equal(r.uplinks[0]->hello.conn, 3);
    assert_int_equal(r.uplinks[0]->hello.epoch, 1);
    slot_rig_load(&r, 0, 5);
    slot_rig_expect_rest(&r);
    slot_rig_free(&r);
    assert_int_equal(r.seen[SLOT_DOWN], 0);
}

static void test_lost(void **state) {
    (void)state;
    slot_rig_t r;
    slot_rig_open(&r);
    r.options.spare = 3; /* of no meaning here */
    slot_rig_until_made(&r, 1);
    slot_rig_up(&r, 0);
    slot_rig_down(&r, 0, 0, 0, "");
    assert_int_equal(r.seen[SLOT_DOWN], 1);
    assert_int_equal(r.failure.error, WST_EWSCLOSED);
    assert_string_equal(r.detail, wst_strerror(WST_EWSCLOSED));
    assert_false(r.failure.refused);
    slot_rig_until_made(&r, 2);
    assert_int_equal(r.uplinks[1]->hello.epoch, 2);
    slot_rig_up(&r, 1);
    assert_int_equal(r.seen[SLOT_UP], 2);
    slot_rig_expect_rest(&r);
    slot_rig_free(&r);
}

/* -- Attempts that fail ----------------------------------------------------------------------- */

static void test_refused(void **state) {
    (void)state;
    static const struct {
        int error, http_status;
        bool refused;
    } cases[] = {{WST_EREJECTED, 401, true},
                 {WST_EREJECTED, 403, true},
                 {WST_EREJECTED, 500, false},
                 {WST_EPROXY, 403, false},
                 {WST_EPROXYAUTH, 407, true}};
    slot_rig_t r;
    slot_rig_open(&r);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        slot_rig_until_made(&r, i + 1);
        slot_rig_down(&r, i, cases[i].error, cases[i].http_status, "no");
        assert_int_equal(r.seen[SLOT_DOWN], i + 1);
        assert_int_equal(r.failure.error, cases[i].error);
        assert_int_equal(r.failure.http_status, cases[i].http_status);
        assert_int_equal(r.failure.refused, cases[i].refused);
        if (cases[i].refused)
            assert_int_equal(r.failure.retry_in_ms, 8);
    }
    assert_int_equal(r.seen[SLOT_UP], 0);
    slot_rig_free(&r);
}

static void test_not_reached(void **state) {
    (void)state;
    slot_rig_t r;
    slot_rig_open(&r);
    wst_listener_close(r.listener, NULL);
    r.listener = NULL;
    test_env_until_count(&r.env, &r.seen[SLOT_DOWN], 2);
    assert_int_equal(r.failure.error, UV_ECONNREFUSED);
    assert_int_equal(r.made, 0);
    slot_rig_free(&r);
}

static void test_not_made(void **state) {
    (void)state;
    slot_rig_t r;
    slot_rig_open(&r);
    r.connect_status = WST_EINVAL;
    test_env_until_count(&r.env, &r.seen[SLOT_DOWN], 1);
    assert_string_equal(r.detail, "the fields given are not complete lines");
    r.connect_status = WST_EHEADBIG;
    test_env_until_count(&r.env, &r.seen[SLOT_DOWN], r.seen[SLOT_DOWN] + 2);
    assert_string_equal(r.detail, wst_strerror(WST_EHEADBIG));
    r.connect_status = 0;
    slot_rig_until_made(&r, 1);
    slot_rig_free(&r);
}

static void test_credentials(void **state) {
    (void)state;
    slot_rig_t r;
    slot_rig_prepare(&r);
    r.options.on_credentials = slot_rig_on_credentials;
    slot_rig_begin(&r);
    test_env_until_count(&r.env, &r.seen[SLOT_DOWN], 1);
    assert_int_equal(r.failure.error, WST_ECANCELLED);
    assert_string_equal(r.detail, "no credentials");
    assert_int_equal(r.made, 0);
    r.credentials = "X-Key: s3cret\r\n";
    slot_rig_until_made(&r, 1);
    assert_string_equal(r.uplinks[0]->fields, "User-Agent: libwstunnel/" WST_VERSION
                                              "\r\nX-Fixed: 1\r\nX-Key: s3cret\r\n");
    assert_null(r.slot.fields); /* not kept longer than needed */
    slot_rig_free(&r);
}

/* -- Uplinks that one stream uses up ---------------------------------------------------------- */

static void open_spares(slot_rig_t *r, size_t spare) {
    slot_rig_open(r);
    r->renews = true;
    r->options.spare = spare;
    for (size_t i = 0; i < spare; i++) {
        slot_rig_until_made(r, i + 1);
        test_env_turns(&r->env, 10);
        assert_int_equal(r->made, i + 1); /* one after the other */
        slot_rig_up(r, i);
    }
    assert_int_equal(r->seen[SLOT_UP], 1);
}

static void test_spares(void **state) {
    (void)state;
    slot_rig_t r;
    open_spares(&r, 3);
    slot_rig_expect_rest(&r);
    slot_rig_spent(&r, 1);
    slot_rig_until_made(&r, 4);
    slot_rig_spent(&r, 0); /* meanwhile: its turn comes */
    assert_true(r.slot.is_up);
    slot_rig_up(&r, 3);
    slot_rig_until_made(&r, 5);
    slot_rig_up(&r, 4);
    slot_rig_expect_rest(&r);
    slot_rig_down(&r, 1, 0, 0, ""); /* its stream is over: that is no failure */
    slot_rig_down(&r, 0, WST_ELOST, 0, "");
    slot_rig_expect_rest(&r);
    assert_int_equal(r.seen[SLOT_UP], 1);
    assert_int_equal(r.seen[SLOT_DOWN], 0);
    slot_rig_free(&r);
}

/* All are lost at once: that is one failure. */
static void test_spares_lost(void **state) {
    (void)state;
    slot_rig_t r;
    open_spares(&r, 3);
    r.options.backoff_min_ms = r.options.backoff_max_ms = 600000;
    for (size_t i = 0; i < 3; i++)
        slot_rig_down(&r, i, WST_EWSCLOSED, 0, "");
    assert_int_equal(r.seen[SLOT_DOWN], 1);
    assert_false(r.slot.is_up);
    slot_rig_pass(&r, 600000);
    slot_rig_until_made(&r, 4);
    slot_rig_up(&r, 3);
    assert_int_equal(r.seen[SLOT_UP], 2);
    slot_rig_free(&r);
}

/* Use starts the count of failures anew; so does being up for long. */
static void test_failures_forgotten(void **state) {
    (void)state;
    slot_rig_t r;
    open_spares(&r, 1);
    r.slot.failures = 10;
    slot_rig_spent(&r, 0);
    assert_int_equal(r.slot.failures, 0);
    slot_rig_until_made(&r, 2);
    slot_rig_up(&r, 1);
    r.slot.failures = 10;
    slot_rig_down(&r, 1, WST_ELOST, 0, "");
    assert_int_equal(r.slot.failures, 11);
    slot_rig_until_made(&r, 3);
    slot_rig_up(&r, 2);
    uint64_t since = wst__now(r.env.ctx);
    while (wst__now(r.env.ctx) - since < r.options.backoff_max_ms)
        uv_run(&r.env.loop, UV_RUN_NOWAIT);
    slot_rig_down(&r, 2, WST_ELOST, 0, "");
    assert_int_equal(r.slot.failures, 1);
    slot_rig_free(&r);
}

/* -- Draining --------------------------------------------------------------------------------- */

static void expect_drained(slot_rig_t *r) {
    test_env_until_count(&r->env, &r->drained, 1);
    assert_false(r->slot.is_up);
    slot_rig_expect_rest(r);
    assert_int_equal(r->seen[SLOT_DOWN], 0);
}

static void test_drain_idle(void **state) {
    (void)state;
    slot_rig_t r;
    slot_rig_open(&r);
    slot_rig_until_made(&r, 1);
    slot_rig_up(&r, 0);
    wst__node_drain(&r.node, 60000);
    assert_int_equal(r.uplinks[0]->goaways, 1);
    assert_int_equal(r.uplinks[0]->ends, 1);
    test_env_turns(&r.env, 5);
    assert_int_equal(r.drained, 0); /* it is still ending */
    slot_rig_down(&r, 0, 0, 0, "");
    expect_drained(&r);
    slot_rig_free(&r);
}

static void test_drain_with_streams(void **state) {
    (void)state;
    slot_rig_t r;
    slot_rig_open(&r);
    slot_rig_until_made(&r, 1);
    slot_rig_up(&r, 0);
    slot_rig_load(&r, 0, 2);
    wst__node_drain(&r.node, 60000);
    assert_int_equal(r.uplinks[0]->goaways, 1);
    slot_rig_load(&r, 0, 1);
    test_env_turns(&r.env, 5);
    assert_int_equal(r.uplinks[0]->ends, 0);
    assert_true(r.slot.is_up);
    slot_rig_load(&r, 0, 0);
    assert_int_equal(r.uplinks[0]->ends, 0); /* it only takes note in there */
    test_env_turns(&r.env, 5);
    assert_int_equal(r.uplinks[0]->ends, 1);
    slot_rig_down(&r, 0, 0, 0, "");
    expect_drained(&r);
    slot_rig_free(&r);
}

/* Those that wait leave; those in use do so by themselves. */
static void test_drain_spares(void **state) {
    (void)state;
    slot_rig_t r;
    open_spares(&r, 2);
    slot_rig_spent(&r, 0);
    slot_rig_until_made(&r, 3);
    wst__node_drain(&r.node, 60000);
    assert_false(r.slot.is_up);
    assert_int_equal(r.uplinks[0]->goaways + r.uplinks[0]->ends, 0);
    assert_int_equal(r.uplinks[1]->ends, 1);
    assert_true(r.uplinks[2]->closing); /* was not up yet */
    slot_rig_down(&r, 1, 0, 0, "");
    expect_drained(&r);
    slot_rig_down(&r, 0, 0, 0, "");
    slot_rig_free(&r);
}

static void test_drain_early(void **state) {
    (void)state;
    static const slot_rig_event_t events[] = {SLOT_NOTHING, SLOT_CREDENTIALS, SLOT_DOWN};
    for (size_t i = 0; i < 3; i++) {
        slot_rig_t r;
        slot_rig_prepare(&r);
        r.options.on_credentials = slot_rig_on_credentials;
        r.drain_in = events[i];
        slot_rig_begin(&r);
        if (events[i] == SLOT_NOTHING)
            wst__node_drain(&r.node, 60000);
        test_env_until_count(&r.env, &r.drained, 1);
        size_t asked = r.seen[SLOT_CREDENTIALS];
        slot_rig_expect_rest(&r);
        assert_int_equal(r.seen[SLOT_CREDENTIALS], asked);
        slot_rig_free(&r);
    }
}

static void test_drain_lost(void **state) {
    (void)state;
    slot_rig_t r;
    slot_rig_open(&r);
    slot_rig_until_made(&r, 1);
    slot_rig_up(&r, 0);
    slot_rig_load(&r, 0, 2);
    wst__node_drain(&r.node, 60000);
    slot_rig_down(&r, 0, WST_ELOST, 0, "");
    expect_drained(&r);
    slot_rig_free(&r);
}

/* -- Closing ---------------------------------------------------------------------------------- */

static void test_close_in_callbacks(void **state) {
    (void)state;
    for (int event = SLOT_CREDENTIALS; event <= SLOT_DOWN; event++) {
        slot_rig_t r;
        slot_rig_prepare(&r);
        r.options.on_credentials = slot_rig_on_credentials;
        r.credentials = event == SLOT_DOWN ? NULL : "";
        r.close_in = (slot_rig_event_t)event;
        slot_rig_begin(&r);
        if (event == SLOT_UP) {
            slot_rig_until_made(&r, 1);
            slot_rig_up(&r, 0);
        }
        test_env_until_count(&r.env, &r.closed, 1);
        assert_int_equal(r.seen[event], 1);
        slot_rig_free(&r);
    }
}

/* After so many turns of the loop: each step of an attempt. */
static void test_close_in_between(void **state) {
    (void)state;
    for (int turns = 0; turns < 8; turns++) {
        slot_rig_t r;
        slot_rig_open(&r);
        test_env_turns(&r.env, turns);
        slot_rig_free(&r);
    }
}

static void test_close_with_all(void **state) {
    (void)state;
    slot_rig_t r;
    open_spares(&r, 3);
    slot_rig_spent(&r, 0);
    slot_rig_until_made(&r, 4); /* one spent, two ready, one opening */
    slot_rig_down(&r, 1, WST_ELOST, 0, "");
    slot_rig_free(&r);
    assert_int_equal(r.seen[SLOT_DOWN], 0);
}

/* -- Without memory --------------------------------------------------------------------------- */

/* Whatever fails, an uplink is made in the end. */
static void one_life(void *arg) {
    slot_rig_t r;
    (void)arg;
    slot_rig_prepare(&r);
    r.options.on_credentials = slot_rig_on_credentials;
    r.credentials = "X-Key: s3cret\r\n";
    test_env_open(&r.env);
    if (r.env.ctx != NULL && slot_rig_make_target(&r)) {
        slot_rig_start(&r);
        slot_rig_until_made(&r, 1);
        assert_non_null(strstr(r.uplinks[0]->fields, "X-Key: s3cret\r\n"));
        slot_rig_up(&r, 0);
    }
    slot_rig_free(&r);
}

static void test_allocations(void **state) {
    (void)state;
    assert_true(test_alloc_each(one_life, NULL) > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_up),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_not_reached),
        cmocka_unit_test(test_not_made),
        cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_spares),
        cmocka_unit_test(test_spares_lost),
        cmocka_unit_test(test_failures_forgotten),
        cmocka_unit_test(test_drain_idle),
        cmocka_unit_test(test_drain_with_streams),
        cmocka_unit_test(test_drain_spares),
        cmocka_unit_test(test_drain_early),
        cmocka_unit_test(test_drain_lost),
        cmocka_unit_test(test_close_in_callbacks),
        cmocka_unit_test(test_close_in_between),
        cmocka_unit_test(test_close_with_all),
        cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
