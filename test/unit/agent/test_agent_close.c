/* SPDX-License-Identifier: MIT */
/*
 * Closing an agent: inside each callback, in each phase, with streams in each of theirs. That
 * nothing leaks and no callback comes late is checked by agent_world.c.
 */
#include "agent_peers.h"

#include <stdio.h>

typedef struct rig {
    agent_world_t w;
    agent_place_t place;
    agent_tunnel_t tunnels[4];
} rig_t;

typedef struct wish {
    agent_world_t *w;
    agent_event_t event;
    size_t count;
} wish_t;

static bool seen_or_closed(void *arg) {
    const wish_t *wish = arg;
    return wish->w->closed > 0 || wish->w->seen[wish->event] >= wish->count;
}

/* Whether there is still an agent when the event should have been seen so often. */
static bool goes_on(rig_t *r, agent_event_t event, size_t count) {
    wish_t wish = {&r->w, event, count};
    test_env_until(&r->w.env, seen_or_closed, &wish);
    return !r->w.close_called;
}

/* --- inside each callback --- */

static void deny_first_credentials(agent_world_t *w, agent_event_t event) {
    if (event == AGENT_CREDENTIALS)
        w->credentials = w->seen[AGENT_CREDENTIALS] > 1 ? AGENT_ALLOW : AGENT_DENY;
}

/* A story in which every callback runs, in this order: each return is the end of a story in which
 * the agent was closed (or drained) somewhere. */
static void live(rig_t *r) {
    agent_world_t *w = &r->w;
    agent_world_start(w);
    if (!goes_on(r, AGENT_DOWN, 1) || !goes_on(r, AGENT_UP, 1))
        return;
    agent_tunnel_start(w, &r->tunnels[0], r->place.address);
    if (!goes_on(r, AGENT_STREAM_OPEN, 1))
        return;
    test_env_until_count(&w->env, &r->place.count, 1);
    w->destinations = AGENT_HOLD; /* and is never answered */
    agent_tunnel_start(w, &r->tunnels[1], r->place.address);
    if (!goes_on(r, AGENT_DESTINATION, 2))
        return;
    agent_tunnel_close(&r->tunnels[1]);
    if (!goes_on(r, AGENT_GONE, 1) || !goes_on(r, AGENT_STREAM_OPEN, 2))
        return;
    if (w->drain_in == AGENT_NOTHING)
        agent_world_drain_agent(w);
    agent_tunnel_close(&r->tunnels[0]);
    if (!goes_on(r, AGENT_STREAM_CLOSE, 1) || !goes_on(r, AGENT_DRAINED, 1))
        return;
    agent_world_close_agent(w);
}

static void rig_open(rig_t *r) {
    memset(r, 0, sizeof(*r));
    agent_world_open(&r->w);
    r->w.credentials = AGENT_DENY;
    r->w.destinations = AGENT_ALLOW;
    r->w.act = deny_first_credentials;
    agent_world_serve(&r->w);
    agent_place_open(&r->w, &r->place);
}

static void rig_free(rig_t *r) {
    for (size_t i = 0; i < sizeof(r->tunnels) / sizeof(r->tunnels[0]); i++)
        if (r->tunnels[i].w != NULL)
            agent_tunnel_free(&r->tunnels[i]);
    agent_place_free(&r->place);
    agent_world_free(&r->w);
}

static void test_inside_callbacks(void **state) {
    (void)state;
    for (int event = AGENT_NOTHING; event < AGENT_EVENTS; event++) {
        if (event == AGENT_DIAL)
            continue; /* below */
        rig_t r;
        rig_open(&r);
        r.w.close_in = (agent_event_t)event;
        live(&r);
        agent_world_until_closed(&r.w);
        if (event != AGENT_NOTHING && r.w.seen[event] == 0)
            fail_msg("event %d has not been seen", event);
        rig_free(&r);
    }
}

/* The second time that the callback runs, with more going on. */
static void close_at_second(agent_world_t *w, agent_event_t event) {
    deny_first_credentials(w, event);
    if (event == AGENT_STREAM_OPEN && w->seen[event] == 2)
        agent_world_close_agent(w);
}

static void test_inside_a_later_callback(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    r.w.act = close_at_second;
    live(&r);
    agent_world_until_closed(&r.w);
    assert_int_equal(r.w.seen[AGENT_STREAM_OPEN], 2);
    rig_free(&r);
}

/* Whatever draining leads to, the agent can be closed afterwards, and is drained once. */
static void test_drained_inside_callbacks(void **state) {
    (void)state;
    static const agent_event_t events[] = {AGENT_CREDENTIALS, AGENT_DOWN,        AGENT_UP,
                                           AGENT_DESTINATION, AGENT_STREAM_OPEN, AGENT_STREAM_CLOSE,
                                           AGENT_GONE};
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        rig_t r;
        rig_open(&r);
        r.w.drain_in = events[i];
        r.w.close_in = AGENT_DRAINED;
        r.w.options.drain_timeout_ms = 50;
        agent_world_start(&r.w);
        bool with_stream =
            events[i] != AGENT_CREDENTIALS && events[i] != AGENT_DOWN && events[i] != AGENT_UP;
        if (with_stream && goes_on(&r, AGENT_UP, 1)) {
            agent_tunnel_start(&r.w, &r.tunnels[0], r.place.address);
            if (events[i] == AGENT_GONE) {
                r.w.destinations = AGENT_HOLD;
                if (goes_on(&r, AGENT_DESTINATION, 1))
                    agent_tunnel_close(&r.tunnels[0]);
            } else if (goes_on(&r, AGENT_STREAM_OPEN, 1)) {
                test_env_until_count(&r.w.env, &r.tunnels[0].done, 1);
                agent_tunnel_close(&r.tunnels[0]);
            }
        }
        agent_world_until_closed(&r.w);
        assert_int_equal(r.w.seen[AGENT_DRAINED], 1);
        rig_free(&r);
    }
}

/* on_dial answers at once with a stream, which is closed with all the rest. */
static void test_inside_on_dial(void **state) {
    (void)state;
    for (int way = AGENT_ALLOW; way <= AGENT_HOLD; way++) {
        rig_t r;
        int fds[2];
        rig_open(&r);
        sockets_pair(fds, false);
        r.w.connection = sockets_stream(&r.w.env, fds[0], false);
        r.w.dials = (agent_policy_t)way;
        r.w.close_in = AGENT_DIAL;
        agent_world_start(&r.w);
        assert_true(goes_on(&r, AGENT_UP, 1));
        agent_tunnel_start(&r.w, &r.tunnels[0], r.place.address);
        agent_world_until_closed(&r.w);
        if (way != AGENT_ALLOW)
            wst_stream_close(r.w.connection, NULL);
        sockets_reset(fds[1]);
        rig_free(&r);
    }
}

/* --- in each phase --- */

static void test_at_once(void **state) {
    (void)state;
    agent_world_t w;
    agent_world_open(&w);
    w.credentials = AGENT_ALLOW;
    snprintf(w.address, sizeof(w.address), "127.0.0.1:1");
    agent_world_start(&w);
    agent_world_close_agent(&w);
    assert_int_equal(w.closed, 0); /* not from inside */
    agent_world_until_closed(&w);
    assert_int_equal(w.seen[AGENT_CREDENTIALS], 0);
    agent_world_free(&w);
}

static void test_while_connecting(void **state) {
    (void)state;
    static const agent_raw_manner_t manners[] = {AGENT_RAW_SILENT, AGENT_RAW_UPGRADE,
                                                 AGENT_RAW_UPGRADE};
    static const char *const says[] = {NULL, NULL, agent_raw_hello};
    for (size_t i = 0; i < 3; i++) {
        /* After so many turns of the loop: all steps in between. */
        for (int turns = 0; turns < 12; turns++) {
            agent_world_t w;
            agent_raw_t raw = {.manner = manners[i], .says = {says[i]}};
            agent_world_open(&w);
            w.credentials = AGENT_ALLOW;
            agent_raw_open(&w, &raw);
            agent_world_start(&w);
            test_env_turns(&w.env, turns);
            agent_world_close_agent(&w);
            agent_world_until_closed(&w);
            agent_raw_free(&raw);
            agent_world_free(&w);
        }
    }
}

static void test_while_looking_up(void **state) {
    (void)state;
    agent_world_t w;
    agent_world_open(&w);
    w.options.url = "ws://stuck.test/";
    agent_world_start(&w);
    test_env_until_count(&w.env, &w.stuck_count, 1);
    agent_world_close_agent(&w);
    agent_world_until_closed(&w);
    agent_world_free(&w);
}

/* One stream in each phase: asked about, being dialled, open, and over but not gone. */
static void test_with_streams(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    agent_world_start(&r.w);
    assert_true(goes_on(&r, AGENT_UP, 1));
    agent_tunnel_open(&r.w, &r.tunnels[0], r.place.address, 0);
    agent_tunnel_start(&r.w, &r.tunnels[1], "stuck.test:80");
    test_env_until_count(&r.w.env, &r.w.stuck_count, 1);
    r.w.destinations = AGENT_HOLD;
    agent_tunnel_start(&r.w, &r.tunnels[2], r.place.address);
    agent_world_until(&r.w, AGENT_DESTINATION, 3);
    test_env_until_count(&r.w.env, &r.place.count, 1);
    assert_int_equal(wst_agent_streams(r.w.agent), 3);
    agent_world_close_agent(&r.w);
    agent_world_until_closed(&r.w);
    assert_int_equal(r.w.seen[AGENT_GONE], 1);
    assert_int_equal(r.w.seen[AGENT_STREAM_OPEN], 1);
    assert_int_equal(r.w.seen[AGENT_STREAM_CLOSE], 0);
    test_env_until_count(&r.w.env, &r.place.owners[0].errors, 1); /* reset, not ended */
    assert_int_equal(r.place.owners[0].ends, 0);
    test_env_until_count(&r.w.env, &r.tunnels[0].owner.errors, 1);
    test_env_until_count(&r.w.env, &r.tunnels[1].done, 1); /* no agent is left for these */
    test_env_until_count(&r.w.env, &r.tunnels[2].done, 1);
    assert_true(r.tunnels[1].status < 0 && r.tunnels[2].status < 0);
    rig_free(&r);
}

static void test_another_one_in_close_cb(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    r.w.restart = true;
    r.w.close_in = AGENT_UP;
    agent_world_start(&r.w);
    agent_world_until(&r.w, AGENT_UP, 1);
    r.w.close_in = AGENT_NOTHING;
    agent_world_until(&r.w, AGENT_UP, 2);
    agent_world_close_agent(&r.w);
    agent_world_until_closed(&r.w);
    rig_free(&r);
}

static void test_without_callbacks(void **state) {
    (void)state;
    agent_world_t w;
    agent_world_open(&w);
    agent_world_serve(&w);
    char url[96];
    wst_agent_t *agent;
    snprintf(url, sizeof(url), "ws://%s", w.address);
    const wst_agent_options_t options = {.size = sizeof(options),
                                         .url = url,
                                         .name = "probe",
                                         .backoff_min_ms = 1,
                                         .backoff_max_ms = 2};
    assert_int_equal(wst_agent_new(&agent, w.env.ctx, &options), 0);
    test_env_until_count(&w.env, &w.server_ups, 1);
    agent_tunnel_t t;
    agent_tunnel_open(&w, &t, "none.test:1", WST_ENAME);
    agent_world_stop_serving(&w);
    agent_world_serve(&w);
    test_env_until_count(&w.env, &w.server_ups, 2);
    wst_agent_drain(agent);
    test_env_until_count(&w.env, &w.server_downs, 1);
    wst_agent_close(agent, NULL);
    test_env_turns(&w.env, 20);
    agent_world_free(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inside_callbacks),
        cmocka_unit_test(test_inside_a_later_callback),
        cmocka_unit_test(test_drained_inside_callbacks),
        cmocka_unit_test(test_inside_on_dial),
        cmocka_unit_test(test_at_once),
        cmocka_unit_test(test_while_connecting),
        cmocka_unit_test(test_while_looking_up),
        cmocka_unit_test(test_with_streams),
        cmocka_unit_test(test_another_one_in_close_cb),
        cmocka_unit_test(test_without_callbacks),
    };
    return cmocka_run_group_tests_name("agent_close", tests, NULL, NULL);
}
