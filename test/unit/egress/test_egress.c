/* SPDX-License-Identifier: MIT */
/*
 * A stream's way through the egress: questions, the dial, the pump, the limits, and the end in each
 * callback.
 */
#include "egress_rig.h"

#include <stdio.h>
#include <wstunnel/listener.h>

/* -- Streams that are opened ------------------------------------------------------------------ */

/* Bytes and ends go both ways; the notices tell what happened. */
static void test_pump(void **state) {
    (void)state;
    egress_rig_t r;
    egress_rig_open(&r, EGRESS_ALLOW, EGRESS_ALLOW);
    egress_asked_t *a = egress_rig_ask(&r, 0, "host.test:80");
    assert_int_equal(r.seen[EGRESS_DESTINATION], 1);
    assert_string_equal(r.peer, "far side");
    assert_int_equal(r.egress.streams.count, 1);
    assert_int_equal(r.egress.pending.count, 1);
    egress_rig_expect_accepted(&r, a);
    assert_string_equal(a->address, ""); /* an embedder who dials does not tell */
    assert_string_equal(r.destination, "host.test:80");
    assert_int_equal(r.egress.streams.count, 1);
    assert_int_equal(r.egress.pending.count, 0);
    fake_stream_t *d = &r.destinations[0];
    fake_stream_data(&a->tunnel, "hello", 5);
    fake_stream_end(&a->tunnel);
    fake_stream_data(d, "world!", 6);
    fake_stream_end(d);
    test_env_until_count(&r.env, &r.seen[EGRESS_CLOSED], 1);
    assert_memory_equal(d->written, "hello", 5);
    assert_memory_equal(a->tunnel.written, "world!", 6);
    assert_true(d->shutdown && a->tunnel.shutdown);
    assert_int_equal(r.close_status, 0);
    assert_int_equal(r.to, 5);
    assert_int_equal(r.from, 6);
    assert_int_equal(r.seen[EGRESS_OPENED], 1);
    assert_int_equal(r.egress.streams.count, 0);
    egress_rig_free(&r);
}

/* A side that breaks is reset to the other one. */
static void test_broken(void **state) {
    (void)state;
    for (int side = 0; side < 2; side++) {
        egress_rig_t r;
        egress_rig_open(&r, EGRESS_UNASKED, EGRESS_ALLOW);
        egress_asked_t *a = egress_rig_ask(&r, 0, "host.test:80");
        egress_rig_expect_accepted(&r, a);
        fake_stream_break(side == 0 ? &a->tunnel : &r.destinations[0], WST_ERESET);
        test_env_until_count(&r.env, &r.seen[EGRESS_CLOSED], 1);
        assert_int_equal(r.close_status, WST_ERESET);
        fake_stream_t *other = side == 0 ? &r.destinations[0] : &a->tunnel;
        assert_true(other->closed && other->reset_reason != 0);
        assert_false(other->shutdown);
        egress_rig_free(&r);
    }
}

typedef struct place {
    wst_listener_t *listener;
    wst_stream_t *visitor;
} place_t;

static void on_accept(wst_listener_t *listener, wst_stream_t *stream, void *user_data) {
    (void)listener;
    ((place_t *)user_data)->visitor = stream;
}

static bool is_visited(void *arg) {
    return ((place_t *)arg)->visitor != NULL;
}

/* Without on_dial the egress dials, and tells which address it reached. */
static void test_dialled(void **state) {
    (void)state;
    egress_rig_t r;
    place_t place = {NULL, NULL};
    egress_rig_open(&r, EGRESS_UNASKED, EGRESS_UNASKED);
    r.egress.rules = r.loopback = egress_rig_loopback_rules();
    const wst_listener_options_t options = {.size = sizeof(options),
                                            .address = "127.0.0.1:0",
                                            .on_accept = on_accept,
                                            .user_data = &place};
    assert_int_equal(wst_listener_new(&place.listener, r.env.ctx, &options), 0);
    egress_asked_t *a = egress_rig_ask(&r, 0, wst_listener_address(place.listener));
    egress_rig_expect_accepted(&r, a);
    assert_string_equal(a->address, "127.0.0.1");
    test_env_until(&r.env, is_visited, &place);
    wst_stream_close(place.visitor, NULL);
    char dead[64];
    snprintf(dead, sizeof(dead), "%s", wst_listener_address(place.listener));
    wst_listener_close(place.listener, NULL);
    test_env_turns(&r.env, 3);
    egress_rig_expect_refused(&r, egress_rig_ask(&r, 1, dead), UV_ECONNREFUSED,
                              "connection refused");
    egress_rig_free(&r);
}

/* -- Streams that are not --------------------------------------------------------------------- */

static void test_malformed(void **state) {
    (void)state;
    egress_rig_t r;
    egress_rig_open(&r, EGRESS_ALLOW, EGRESS_ALLOW);
    egress_rig_expect_refused(&r, egress_rig_ask(&r, 0, "host"), WST_EDEST, "no port");
    egress_rig_expect_refused(&r, egress_rig_ask(&r, 1, ":80"), WST_EDEST, "no host");
    assert_int_equal(r.seen[EGRESS_DESTINATION], 0);
    assert_string_equal(r.destination, ":80");
    egress_rig_free(&r);
}

static void test_denied(void **state) {
    (void)state;
    egress_rig_t r;
    egress_rig_open(&r, EGRESS_DENY, EGRESS_ALLOW);
    egress_rig_expect_refused(&r, egress_rig_ask(&r, 0, "host.test:80"), WST_EDENIED, "no");
    r.may = EGRESS_MISFIT; /* a connection does not say that it may be opened, and is closed */
    egress_rig_expect_refused(&r, egress_rig_ask(&r, 1, "host.test:80"), WST_EDENIED, "");
    test_env_turns(&r.env, 3);
    assert_true(r.destinations[0].gone);
    assert_int_equal(r.seen[EGRESS_DIAL], 0);
    egress_rig_free(&r);
}

static void test_unanswered(void **state) {
    (void)state;
    egress_rig_t r;
    egress_rig_open(&r, EGRESS_HOLD, EGRESS_HOLD);
    r.egress.o.timeout_ms = r.egress.o.dial_timeout_ms = 20;
    egress_rig_expect_refused(&r, egress_rig_ask(&r, 0, "host.test:80"), WST_EDENIED,
                              "the agent's policy did not answer in time");
    r.may = EGRESS_ALLOW;
    egress_rig_expect_refused(&r, egress_rig_ask(&r, 1, "host.test:80"), WST_EDIALTIMEOUT, "");
    assert_int_equal(r.gone, 2);
    egress_rig_free(&r);
}

static void test_not_connected(void **state) {
    (void)state;
    egress_rig_t r;
    egress_rig_open(&r, EGRESS_UNASKED, EGRESS_FAIL);
    egress_rig_expect_refused(&r, egress_rig_ask(&r, 0, "host.test:80"), UV_ECONNREFUSED,
                              "connection refused");
    r.dial = EGRESS_DENY;
    egress_rig_expect_refused(&r, egress_rig_ask(&r, 1, "host.test:80"), WST_EDENIED, "no");
    r.dial = EGRESS_MISFIT;
    egress_rig_expect_refused(&r, egress_rig_ask(&r, 2, "host.test:80"), WST_EDENIED, "");
    assert_int_equal(r.egress.streams.count, 0);
    egress_rig_free(&r);
}

/* The far side's stream cannot be had: the destination is cut off, the far side is told. */
static void test_not_accepted(void **state) {
    (void)state;
    static const int statuses[] = {WST_ENOMEM, WST_ELOST}, reasons[] = {WST_EMEMORY, WST_ELOST};
    for (size_t i = 0; i < 2; i++) {
        egress_rig_t r;
        egress_rig_open(&r, EGRESS_UNASKED, EGRESS_ALLOW);
        r.asked[0].accept_status = statuses[i];
        egress_rig_expect_refused(&r, egress_rig_ask(&r, 0, "host.test:80"), reasons[i], "");
        assert_true(r.destinations[0].closed && r.destinations[0].reset_reason != 0);
        egress_rig_free(&r);
    }
}

/* -- Limits ----------------------------------------------------------------------------------- */

static void test_max_pending(void **state) {
    (void)state;
    egress_rig_t r;
    egress_rig_open(&r, EGRESS_HOLD, EGRESS_ALLOW);
    r.egress.o.max_pending = 1;
    egress_asked_t *first = egress_rig_ask(&r, 0, "host.test:80");
    egress_rig_expect_refused(&r, egress_rig_ask(&r, 1, "host.test:80"), WST_ELIMIT,
                              "too many destinations are being opened");
    wst_request_allow(r.held);
    egress_rig_expect_accepted(&r, first); /* open: it takes no room */
    r.may = EGRESS_ALLOW;
    egress_rig_expect_accepted(&r, egress_rig_ask(&r, 2, "host.test:80"));
    egress_rig_free(&r);
}

/* Streams to a destination that does not answer leave room for those to others. */
static void test_destinations_share_what_is_pending(void **state) {
    (void)state;
    egress_rig_t r;
    egress_rig_open(&r, EGRESS_HOLD, EGRESS_ALLOW);
    r.egress.o.max_pending = 3;
    egress_asked_t *first = egress_rig_ask(&r, 0, "silent.test:80"),
                   *second = egress_rig_ask(&r, 1, "silent.test:80");
    egress_rig_expect_refused(&r, egress_rig_ask(&r, 2, "silent.test:80"), WST_ELIMIT,
                              "too many connections to it are being opened");
    r.may = EGRESS_ALLOW;
    egress_rig_expect_accepted(&r, egress_rig_ask(&r, 3, "host.test:80"));
    egress_rig_withdraw(first, WST_ECANCELLED);
    egress_rig_withdraw(second, WST_ECANCELLED);
    assert_int_equal(r.egress.pending.count, 0);
    egress_rig_free(&r);
}

static void test_max_streams(void **state) {
    (void)state;
    egress_rig_t r;
    egress_rig_open(&r, EGRESS_UNASKED, EGRESS_ALLOW);
    r.egress.o.max_streams = 1;
    egress_asked_t *first = egress_rig_ask(&r, 0, "host.test:80");
    egress_rig_expect_accepted(&r, first);
    egress_rig_expect_refused(&r, egress_rig_ask(&r, 1, "host.test:80"), WST_ELIMIT, "");
    fake_stream_break(&first->tunnel, WST_ERESET);
    test_env_until_count(&r.env, &r.seen[EGRESS_CLOSED], 1);
    egress_rig_expect_accepted(&r, egress_rig_ask(&r, 2, "host.test:80")); /* at once */
    egress_rig_free(&r);
}

/* -- The far side loses interest -------------------------------------------------------------- */

static void test_withdrawn(void **state) {
    (void)state;
    for (int dialling = 0; dialling < 2; dialling++) {
        egress_rig_t r;
        egress_rig_open(&r, dialling ? EGRESS_UNASKED : EGRESS_HOLD, EGRESS_HOLD);
        egress_asked_t *a = egress_rig_ask(&r, 0, "host.test:80");
        egress_rig_withdraw(a, WST_ECANCELLED);
        assert_int_equal(r.seen[EGRESS_OPENED], 1);
        assert_int_equal(r.open_status, WST_ECANCELLED);
        assert_int_equal(r.egress.streams.count, 0);
        test_env_turns(&r.env, 3);
        assert_int_equal(r.gone, 1);
        egress_rig_free(&r);
    }
}

/* After the answer, before it has been heard of: a connection in it is cut off. */
static void test_answered_and_withdrawn(void **state) {
    (void)state;
    static const egress_policy_t policies[][2] = {{EGRESS_ALLOW, EGRESS_UNASKED},
                                                  {EGRESS_DENY, EGRESS_UNASKED},
                                                  {EGRESS_MISFIT, EGRESS_UNASKED},
                                                  {EGRESS_UNASKED, EGRESS_ALLOW},
                                                  {EGRESS_UNASKED, EGRESS_DENY}};
    for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
        egress_rig_t r;
        egress_rig_open(&r, policies[i][0], policies[i][1]);
        egress_rig_withdraw(egress_rig_ask(&r, 0, "host.test:80"), WST_ELOST);
        assert_int_equal(r.seen[EGRESS_OPENED], 1);
        assert_int_equal(r.open_status, WST_ELOST);
        if (r.connections > 0)
            assert_true(r.destinations[0].closed && r.destinations[0].reset_reason != 0);
        egress_rig_free(&r);
        assert_int_equal(r.seen[EGRESS_OPENED], 1);
    }
}

static void test_withdrawn_while_dialling(void **state) {
    (void)state;
    egress_rig_t r;
    egress_rig_open(&r, EGRESS_UNASKED, EGRESS_UNASKED);
    r.egress.rules = r.loopback = egress_rig_loopback_rules();
    egress_rig_withdraw(egress_rig_ask(&r, 0, "127.0.0.1:1"), WST_ELOST);
    assert_int_equal(r.open_status, WST_ELOST);
    test_env_turns(&r.env, 5);
    assert_int_equal(r.seen[EGRESS_OPENED], 1);
    egress_rig_free(&r);
}

/* -- Draining and closing --------------------------------------------------------------------- */

/* A stream keeps the node busy until it is gone, opening or open. */
static void test_drain(void **state) {
    (void)state;
    egress_rig_t r;
    egress_rig_open(&r, EGRESS_HOLD, EGRESS_ALLOW);
    egress_asked_t *a = egress_rig_ask(&r, 0, "host.test:80");
    wst__node_drain(&r.node, 60000);
    test_env_turns(&r.env, 5);
    wst_request_allow(r.held);
    egress_rig_expect_accepted(&r, a);
    test_env_turns(&r.env, 5);
    assert_int_equal(r.drained, 0);
    fake_stream_break(&a->tunnel, WST_ERESET);
    test_env_until_count(&r.env, &r.drained, 1);
    assert_int_equal(r.seen[EGRESS_CLOSED], 1);
    egress_rig_free(&r);
}

/* One stream in each phase: none is told of any more, and what is open is reset. */
static void test_close(void **state) {
    (void)state;
    egress_rig_t r;
    egress_rig_open(&r, EGRESS_ALLOW, EGRESS_ALLOW);
    egress_asked_t *open = egress_rig_ask(&r, 0, "host.test:80");
    egress_rig_expect_accepted(&r, open);
    r.dial = EGRESS_HOLD;
    egress_asked_t *dialling = egress_rig_ask(&r, 1, "host.test:80");
    test_env_until_count(&r.env, &r.seen[EGRESS_DIAL], 2);
    r.may = EGRESS_HOLD;
    egress_asked_t *asking = egress_rig_ask(&r, 2, "host.test:80");
    wst__node_close(&r.node);
    assert_int_equal(dialling->reason, WST_ECANCELLED);
    assert_int_equal(asking->reason, WST_ECANCELLED);
    assert_true(open->tunnel.closed && open->tunnel.reset_reason != 0);
    assert_true(r.destinations[0].closed && r.destinations[0].reset_reason != 0);
    egress_rig_free(&r);
    assert_int_equal(r.seen[EGRESS_OPENED], 1);
    assert_int_equal(r.seen[EGRESS_CLOSED], 0);
}

static void test_close_in_callbacks(void **state) {
    (void)state;
    for (int event = EGRESS_DESTINATION; event < EGRESS_EVENTS; event++) {
        egress_rig_t r;
        egress_rig_open(&r, EGRESS_ALLOW, EGRESS_ALLOW);
        r.close_in = (egress_event_t)event;
        egress_asked_t *a = egress_rig_ask(&r, 0, "host.test:80");
        if (event == EGRESS_CLOSED) {
            egress_rig_expect_accepted(&r, a);
            fake_stream_break(&a->tunnel, WST_ERESET);
        }
        test_env_until_count(&r.env, &r.closed, 1);
        assert_int_equal(r.seen[event], 1);
        assert_true(event >= EGRESS_OPENED || a->reason == WST_ECANCELLED);
        egress_rig_free(&r);
    }
}

/* A refusal is told, too, and the node may be closed in there. */
static void test_close_when_refused(void **state) {
    (void)state;
    egress_rig_t r;
    egress_rig_open(&r, EGRESS_UNASKED, EGRESS_ALLOW);
    r.close_in = EGRESS_OPENED;
    egress_asked_t *a = egress_rig_ask(&r, 0, "host");
    assert_int_equal(a->reason, WST_EDEST);
    assert_int_equal(r.node.state, WST__NODE_CLOSING);
    egress_rig_free(&r);
}

/* -- Without memory --------------------------------------------------------------------------- */

static bool is_through(void *arg) {
    const egress_rig_t *r = arg;
    return r->destinations[0].written_len == 5 || r->seen[EGRESS_CLOSED] > 0;
}

static void one_stream(void *arg) {
    egress_rig_t r;
    (void)arg;
    memset(&r, 0, sizeof(r));
    test_env_open(&r.env);
    if (r.env.ctx == NULL) {
        test_env_close(&r.env);
        return;
    }
    egress_rig_begin(&r, EGRESS_ALLOW, EGRESS_ALLOW);
    egress_asked_t *a = egress_rig_ask(&r, 0, "host.test:80");
    test_env_until(&r.env, egress_rig_is_answered, a);
    if (a->state == EGRESS_ACCEPTED && r.open_status == 0) {
        fake_stream_data(&a->tunnel, "hello", 5);
        test_env_until(&r.env, is_through, &r);
    }
    egress_rig_free(&r);
}

static void test_allocations(void **state) {
    (void)state;
    assert_true(test_alloc_each(one_stream, NULL) > 8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pump),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_dialled),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_denied),
        cmocka_unit_test(test_unanswered),
        cmocka_unit_test(test_not_connected),
        cmocka_unit_test(test_not_accepted),
        cmocka_unit_test(test_max_pending),
        cmocka_unit_test(test_destinations_share_what_is_pending),
        cmocka_unit_test(test_max_streams),
        cmocka_unit_test(test_withdrawn),
        cmocka_unit_test(test_answered_and_withdrawn),
        cmocka_unit_test(test_withdrawn_while_dialling),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_close_in_callbacks),
        cmocka_unit_test(test_close_when_refused),
        cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
