/* SPDX-License-Identifier: MIT */
/* Draining an agent: in each phase of reaching the server, with streams in each of theirs. */
#include "agent_peers.h"

#include <stdio.h>

/* Nothing is tried any more, however long one waits. */
static void expect_rest(agent_world_t *w) {
    size_t attempts = w->seen[AGENT_CREDENTIALS];
    for (int i = 0; i < 5; i++) {
        agent_world_pass(w, 3600000);
        test_env_turns(&w->env, 5);
    }
    assert_int_equal(w->seen[AGENT_CREDENTIALS], attempts);
    assert_int_equal(w->seen[AGENT_DRAINED], 1);
    assert_false(wst_agent_is_up(w->agent));
}

static void drain_and_rest(agent_world_t *w) {
    size_t downs = w->seen[AGENT_DOWN];
    agent_world_drain_agent(w);
    assert_int_equal(w->seen[AGENT_DRAINED], 0); /* not from inside */
    agent_world_drain_agent(w);                  /* again: nothing */
    agent_world_until(w, AGENT_DRAINED, 1);
    expect_rest(w);
    assert_int_equal(w->seen[AGENT_DOWN], downs); /* that was no failure */
}

/* --- without a session --- */

static void test_before_the_first_attempt(void **state) {
    (void)state;
    agent_world_t w;
    agent_world_open(&w);
    w.credentials = AGENT_ALLOW;
    snprintf(w.address, sizeof(w.address), "127.0.0.1:1");
    agent_world_start(&w);
    drain_and_rest(&w);
    assert_int_equal(w.seen[AGENT_CREDENTIALS], 0);
    agent_world_free(&w);
}

static void test_while_asking(void **state) {
    (void)state;
    agent_world_t w;
    agent_world_open(&w);
    w.credentials = AGENT_HOLD;
    snprintf(w.address, sizeof(w.address), "127.0.0.1:1");
    agent_world_start(&w);
    agent_world_until(&w, AGENT_CREDENTIALS, 1);
    drain_and_rest(&w);
    assert_int_equal(w.seen[AGENT_GONE], 1);
    agent_world_free(&w);
}

static void test_while_looking_up(void **state) {
    (void)state;
    agent_world_t w;
    agent_world_open(&w);
    w.options.url = "ws://stuck.test/";
    agent_world_start(&w);
    test_env_until_count(&w.env, &w.stuck_count, 1);
    drain_and_rest(&w);
    agent_world_free(&w);
}

static void test_while_connecting(void **state) {
    (void)state;
    static const agent_raw_manner_t manners[] = {
        AGENT_RAW_SILENT, AGENT_RAW_UPGRADE}; /* before the upgrade, before the hello */
    for (size_t i = 0; i < 2; i++) {
        agent_world_t w;
        agent_raw_t raw = {.manner = manners[i]};
        agent_world_open(&w);
        agent_raw_open(&w, &raw);
        agent_world_start(&w);
        test_env_until_count(&w.env, i == 0 ? &raw.heads : &raw.hellos, 1);
        drain_and_rest(&w);
        agent_raw_free(&raw); /* the agent has let go of it */
        agent_world_free(&w);
    }
}

/* What was to be told is not told any more. */
static void test_closed_at_once(void **state) {
    (void)state;
    agent_world_t w;
    agent_raw_t raw = {.manner = AGENT_RAW_SILENT};
    agent_world_open(&w);
    agent_raw_open(&w, &raw);
    agent_world_start(&w);
    test_env_until_count(&w.env, &raw.heads, 1);
    agent_world_drain_agent(&w);
    agent_world_close_agent(&w);
    agent_world_until_closed(&w);
    assert_int_equal(w.seen[AGENT_DRAINED], 0);
    agent_raw_free(&raw);
    agent_world_free(&w);
}

static void test_while_waiting(void **state) {
    (void)state;
    agent_world_t w;
    agent_world_open(&w);
    w.credentials = AGENT_DENY;
    w.options.backoff_min_ms = w.options.backoff_max_ms = 1000000;
    snprintf(w.address, sizeof(w.address), "127.0.0.1:1");
    agent_world_start(&w);
    agent_world_until(&w, AGENT_DOWN, 1);
    drain_and_rest(&w);
    agent_world_free(&w);
}

/* --- with a session --- */

static void test_idle(void **state) {
    (void)state;
    agent_world_t w;
    agent_world_open(&w);
    agent_world_serve(&w);
    agent_world_start_up(&w);
    drain_and_rest(&w);
    test_env_until_count(&w.env, &w.server_downs, 1);
    assert_int_equal(w.down_error, 0); /* it left in order */
    assert_int_equal(w.server_ups, 1);
    agent_world_free(&w);
}

typedef struct rig {
    agent_world_t w;
    agent_place_t place;
    agent_tunnel_t t, second;
} rig_t;

static void rig_open(rig_t *r, agent_policy_t destinations, uint64_t timeout_ms) {
    memset(r, 0, sizeof(*r));
    agent_world_open(&r->w);
    r->w.destinations = destinations;
    r->w.options.drain_timeout_ms = timeout_ms;
    agent_world_serve(&r->w);
    agent_world_start_up(&r->w);
    agent_place_open(&r->w, &r->place);
}

static void rig_free(rig_t *r) {
    agent_tunnel_free(&r->t);
    agent_place_free(&r->place);
    agent_world_free(&r->w);
}

/* Both ways, then both ends. */
static void finish_stream(rig_t *r, size_t index) {
    sockets_owner_t *client = &r->t.owner, *place = &r->place.owners[index];
    assert_true(sockets_write_pattern(client->stream, 0, 20000) >= 0);
    test_env_until_count(&r->w.env, &place->received, 20000);
    assert_true(sockets_write_pattern(place->stream, 0, 10000) >= 0);
    assert_int_equal(wst_stream_shutdown(place->stream), 0);
    test_env_until_count(&r->w.env, &client->ends, 1);
    assert_int_equal(client->received, 10000);
    assert_int_equal(r->w.seen[AGENT_DRAINED], 0);
    assert_int_equal(wst_stream_shutdown(client->stream), 0);
    test_env_until_count(&r->w.env, &place->ends, 1);
    test_env_until_count(&r->w.env, &client->shutdowns, 1);
    assert_int_equal(client->errors + place->errors, 0);
}

static void drained_after_streams(agent_world_t *w, agent_event_t event) {
    if (event == AGENT_DRAINED) {
        assert_int_equal(wst_agent_streams(w->agent), 0);
        assert_int_equal(w->seen[AGENT_STREAM_CLOSE], 1);
    }
}

static void test_open_stream(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, AGENT_UNASKED, 0);
    r.w.act = drained_after_streams;
    agent_tunnel_open(&r.w, &r.t, r.place.address, 0);
    test_env_until_count(&r.w.env, &r.place.count, 1);
    agent_world_drain_agent(&r.w);
    wst_remote_t *remote = wst_server_next_agent(r.w.server, NULL);
    while (wst_remote_is_ready(remote))
        uv_run(&r.w.env.loop, UV_RUN_ONCE);
    assert_true(wst_agent_is_up(r.w.agent));
    agent_tunnel_start(&r.w, &r.second, r.place.address); /* no new ones */
    test_env_until_count(&r.w.env, &r.second.done, 1);
    assert_true(r.second.status < 0);
    assert_int_equal(r.w.seen[AGENT_STREAM_OPEN], 1);
    finish_stream(&r, 0);
    agent_world_until(&r.w, AGENT_DRAINED, 1);
    assert_int_equal(r.w.close_status, 0);
    test_env_until_count(&r.w.env, &r.w.server_downs, 1);
    assert_int_equal(r.w.down_error, 0);
    expect_rest(&r.w);
    rig_free(&r);
}

/* One that is being opened is finished, too. */
static void test_pending_stream(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, AGENT_HOLD, 0);
    r.w.act = drained_after_streams;
    agent_tunnel_start(&r.w, &r.t, r.place.address);
    agent_world_until(&r.w, AGENT_DESTINATION, 1);
    agent_world_drain_agent(&r.w);
    test_env_turns(&r.w.env, 20);
    assert_int_equal(r.w.seen[AGENT_DRAINED], 0);
    assert_int_equal(r.w.seen[AGENT_GONE], 0);
    wst_request_t *request = r.w.held;
    r.w.held = NULL;
    wst_request_allow(request);
    test_env_until_count(&r.w.env, &r.t.done, 1);
    assert_int_equal(r.t.status, 0);
    test_env_until_count(&r.w.env, &r.place.count, 1);
    finish_stream(&r, 0);
    agent_world_until(&r.w, AGENT_DRAINED, 1);
    expect_rest(&r.w);
    rig_free(&r);
}

/* The last word about a stream that is refused gets out before the link ends. */
static void test_refused_stream(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, AGENT_HOLD, 0);
    agent_tunnel_start(&r.w, &r.t, r.place.address);
    agent_world_until(&r.w, AGENT_DESTINATION, 1);
    agent_world_drain_agent(&r.w);
    wst_request_t *request = r.w.held;
    r.w.held = NULL;
    wst_request_deny(request, 403, "closing time", NULL);
    test_env_until_count(&r.w.env, &r.t.done, 1);
    assert_int_equal(r.t.status, WST_EDENIED);
    agent_world_until(&r.w, AGENT_DRAINED, 1);
    test_env_until_count(&r.w.env, &r.w.server_downs, 1);
    assert_int_equal(r.w.down_error, 0);
    rig_free(&r);
}

/* The deadline only tells: what is open goes on until the agent is closed. */
static void test_deadline(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, AGENT_UNASKED, 20);
    agent_tunnel_open(&r.w, &r.t, r.place.address, 0);
    test_env_until_count(&r.w.env, &r.place.count, 1);
    agent_world_drain_agent(&r.w);
    agent_world_until(&r.w, AGENT_DRAINED, 1);
    assert_int_equal(wst_agent_streams(r.w.agent), 1);
    r.w.seen[AGENT_DRAINED] = 0;
    finish_stream(&r, 0);
    agent_world_until(&r.w, AGENT_STREAM_CLOSE, 1);
    test_env_until_count(&r.w.env, &r.w.server_downs, 1);
    test_env_turns(&r.w.env, 20);
    assert_int_equal(r.w.seen[AGENT_DRAINED], 0); /* not again */
    r.w.seen[AGENT_DRAINED] = 1;
    expect_rest(&r.w);
    rig_free(&r);
}

static void test_closed_at_the_deadline(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, AGENT_UNASKED, 20);
    r.w.close_in = AGENT_DRAINED;
    agent_tunnel_open(&r.w, &r.t, r.place.address, 0);
    test_env_until_count(&r.w.env, &r.place.count, 1);
    agent_world_drain_agent(&r.w);
    agent_world_until_closed(&r.w);
    test_env_until_count(&r.w.env, &r.t.owner.errors, 1); /* cut off, and both ends know */
    assert_int_equal(r.t.owner.ends, 0);
    test_env_until_count(&r.w.env, &r.place.owners[0].errors, 1);
    assert_int_equal(r.place.owners[0].ends, 0);
    rig_free(&r);
}

/* The session is lost meanwhile: that ends it, with the streams. */
static void test_lost(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, AGENT_UNASKED, 0);
    r.w.act = drained_after_streams;
    agent_tunnel_open(&r.w, &r.t, r.place.address, 0);
    test_env_until_count(&r.w.env, &r.place.count, 1);
    agent_world_drain_agent(&r.w);
    test_env_turns(&r.w.env, 10);
    agent_world_stop_serving(&r.w);
    agent_world_until(&r.w, AGENT_DRAINED, 1);
    assert_int_equal(r.w.close_status, WST_ELOST);
    test_env_until_count(&r.w.env, &r.place.owners[0].errors, 1);
    assert_int_equal(r.w.seen[AGENT_DOWN], 0);
    expect_rest(&r.w);
    rig_free(&r);
}

/* A server that does not answer the closing handshake does not hold it up for ever. */
static void test_server_does_not_answer(void **state) {
    (void)state;
    agent_world_t w;
    agent_raw_t raw = {.manner = AGENT_RAW_UPGRADE, .says = {agent_raw_hello}};
    agent_world_open(&w);
    w.options.drain_timeout_ms = 30;
    agent_raw_open(&w, &raw);
    agent_world_start(&w);
    agent_world_until(&w, AGENT_UP, 1);
    test_env_until_count(&w.env, &raw.hellos, 1);
    wst_websocket_read_stop(raw.ws);
    agent_world_drain_agent(&w);
    agent_world_until(&w, AGENT_DRAINED, 1);
    assert_int_equal(w.seen[AGENT_DOWN], 0);
    wst_websocket_read_start(raw.ws);
    agent_world_close_agent(&w);
    agent_raw_free(&raw);
    agent_world_free(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_before_the_first_attempt),
        cmocka_unit_test(test_while_asking),
        cmocka_unit_test(test_while_looking_up),
        cmocka_unit_test(test_while_connecting),
        cmocka_unit_test(test_closed_at_once),
        cmocka_unit_test(test_while_waiting),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_open_stream),
        cmocka_unit_test(test_pending_stream),
        cmocka_unit_test(test_refused_stream),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_closed_at_the_deadline),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_server_does_not_answer),
    };
    return cmocka_run_group_tests_name("agent_drain", tests, NULL, NULL);
}
