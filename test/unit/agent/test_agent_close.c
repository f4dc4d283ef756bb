/* SPDX-License-Identifier: MIT */
/*
 * Closing an agent: inside each callback, in each phase, with streams in each of theirs. That
 * nothing leaks and no callback comes late is checked by agent_world.c.
 */
#include "agent_peers.h"

#include <stdio.h>

typedef struct rig {
    world_t w;
    place_t place;
    tunnel_t tunnels[4];
} rig_t;

typedef struct wish {
    world_t *w;
    event_t event;
    size_t count;
} wish_t;

static bool seen_or_closed(void *arg) {
    const wish_t *wish = arg;
    return wish->w->closed > 0 || wish->w->seen[wish->event] >= wish->count;
}

/* Whether there is still an agent when the event should have been seen so often. */
static bool goes_on(rig_t *r, event_t event, size_t count) {
    wish_t wish = {&r->w, event, count};
    test_env_until(&r->w.env, seen_or_closed, &wish);
    return !r->w.close_called;
}

/* --- inside each callback --- */

static void deny_first_credentials(world_t *w, event_t event) {
    if (event == CREDENTIALS)
        w->credentials = w->seen[CREDENTIALS] > 1 ? ALLOW : DENY;
}

/* A story in which every callback runs, in this order: each return is the end of a story in which
 * the agent was closed (or drained) somewhere. */
static void live(rig_t *r) {
    world_t *w = &r->w;
    world_agent(w);
    if (!goes_on(r, DOWN, 1) || !goes_on(r, UP, 1))
        return;
    tunnel_start(w, &r->tunnels[0], r->place.address);
    if (!goes_on(r, STREAM_OPEN, 1))
        return;
    test_env_until_count(&w->env, &r->place.count, 1);
    w->destinations = HOLD; /* and is never answered */
    tunnel_start(w, &r->tunnels[1], r->place.address);
    if (!goes_on(r, DESTINATION, 2))
        return;
    tunnel_close(&r->tunnels[1]);
    if (!goes_on(r, GONE, 1) || !goes_on(r, STREAM_OPEN, 2))
        return;
    if (w->drain_in == NOTHING)
        world_drain_agent(w);
    tunnel_close(&r->tunnels[0]);
    if (!goes_on(r, STREAM_CLOSE, 1) || !goes_on(r, DRAINED, 1))
        return;
    world_close_agent(w);
}

static void rig_open(rig_t *r) {
    memset(r, 0, sizeof(*r));
    world_open(&r->w);
    r->w.credentials = DENY;
    r->w.destinations = ALLOW;
    r->w.act = deny_first_credentials;
    world_serve(&r->w);
    place_open(&r->w, &r->place);
}

static void rig_free(rig_t *r) {
    for (size_t i = 0; i < sizeof(r->tunnels) / sizeof(r->tunnels[0]); i++)
        if (r->tunnels[i].w != NULL)
            tunnel_free(&r->tunnels[i]);
    place_free(&r->place);
    world_free(&r->w);
}

static void test_inside_callbacks(void **state) {
    (void)state;
    for (int event = NOTHING; event < EVENTS; event++) {
        if (event == DIAL)
            continue; /* below */
        rig_t r;
        rig_open(&r);
        r.w.close_in = (event_t)event;
        live(&r);
        world_until_closed(&r.w);
        if (event != NOTHING && r.w.seen[event] == 0)
            fail_msg("event %d has not been seen", event);
        rig_free(&r);
    }
}

/* The second time that the callback runs, with more going on. */
static void close_at_second(world_t *w, event_t event) {
    deny_first_credentials(w, event);
    if (event == STREAM_OPEN && w->seen[event] == 2)
        world_close_agent(w);
}

static void test_inside_a_later_callback(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    r.w.act = close_at_second;
    live(&r);
    world_until_closed(&r.w);
    assert_int_equal(r.w.seen[STREAM_OPEN], 2);
    rig_free(&r);
}

/* Whatever draining leads to, the agent can be closed afterwards, and is drained once. */
static void test_drained_inside_callbacks(void **state) {
    (void)state;
    static const event_t events[] = {CREDENTIALS, DOWN,         UP,  DESTINATION,
                                     STREAM_OPEN, STREAM_CLOSE, GONE};
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        rig_t r;
        rig_open(&r);
        r.w.drain_in = events[i];
        r.w.close_in = DRAINED;
        r.w.options.drain_timeout_ms = 50;
        world_agent(&r.w);
        bool with_stream = events[i] != CREDENTIALS && events[i] != DOWN && events[i] != UP;
        if (with_stream && goes_on(&r, UP, 1)) {
            tunnel_start(&r.w, &r.tunnels[0], r.place.address);
            if (events[i] == GONE) {
                r.w.destinations = HOLD;
                if (goes_on(&r, DESTINATION, 1))
                    tunnel_close(&r.tunnels[0]);
            } else if (goes_on(&r, STREAM_OPEN, 1)) {
                test_env_until_count(&r.w.env, &r.tunnels[0].done, 1);
                tunnel_close(&r.tunnels[0]);
            }
        }
        world_until_closed(&r.w);
        assert_int_equal(r.w.seen[DRAINED], 1);
        rig_free(&r);
    }
}

/* on_dial answers at once with a stream, which is closed with all the rest. */
static void test_inside_on_dial(void **state) {
    (void)state;
    for (int way = ALLOW; way <= HOLD; way++) {
        rig_t r;
        int fds[2];
        rig_open(&r);
        sockets_pair(fds, false);
        r.w.connection = sockets_stream(&r.w.env, fds[0], false);
        r.w.dials = (policy_t)way;
        r.w.close_in = DIAL;
        world_agent(&r.w);
        assert_true(goes_on(&r, UP, 1));
        tunnel_start(&r.w, &r.tunnels[0], r.place.address);
        world_until_closed(&r.w);
        if (way != ALLOW)
            wst_stream_close(r.w.connection, NULL);
        sockets_reset(fds[1]);
        rig_free(&r);
    }
}

/* --- in each phase --- */

static void test_at_once(void **state) {
    (void)state;
    world_t w;
    world_open(&w);
    w.credentials = ALLOW;
    snprintf(w.address, sizeof(w.address), "127.0.0.1:1");
    world_agent(&w);
    world_close_agent(&w);
    assert_int_equal(w.closed, 0); /* not from inside */
    world_until_closed(&w);
    assert_int_equal(w.seen[CREDENTIALS], 0);
    world_free(&w);
}

static void test_while_connecting(void **state) {
    (void)state;
    static const manner_t manners[] = {SILENT, UPGRADE, UPGRADE};
    static const char *const says[] = {NULL, NULL, raw_hello};
    for (size_t i = 0; i < 3; i++) {
        /* After so many turns of the loop: all steps in between. */
        for (int turns = 0; turns < 12; turns++) {
            world_t w;
            raw_t raw = {.manner = manners[i], .says = {says[i]}};
            world_open(&w);
            w.credentials = ALLOW;
            raw_open(&w, &raw);
            world_agent(&w);
            test_env_turns(&w.env, turns);
            world_close_agent(&w);
            world_until_closed(&w);
            raw_free(&raw);
            world_free(&w);
        }
    }
}

static void test_while_looking_up(void **state) {
    (void)state;
    world_t w;
    world_open(&w);
    w.options.url = "ws://stuck.test/";
    world_agent(&w);
    test_env_until_count(&w.env, &w.stuck_count, 1);
    world_close_agent(&w);
    world_until_closed(&w);
    world_free(&w);
}

/* One stream in each phase: asked about, being dialled, open, and over but not gone. */
static void test_with_streams(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    world_agent(&r.w);
    assert_true(goes_on(&r, UP, 1));
    tunnel_open(&r.w, &r.tunnels[0], r.place.address, 0);
    tunnel_start(&r.w, &r.tunnels[1], "stuck.test:80");
    test_env_until_count(&r.w.env, &r.w.stuck_count, 1);
    r.w.destinations = HOLD;
    tunnel_start(&r.w, &r.tunnels[2], r.place.address);
    world_until(&r.w, DESTINATION, 3);
    test_env_until_count(&r.w.env, &r.place.count, 1);
    assert_int_equal(wst_agent_streams(r.w.agent), 3);
    world_close_agent(&r.w);
    world_until_closed(&r.w);
    assert_int_equal(r.w.seen[GONE], 1);
    assert_int_equal(r.w.seen[STREAM_OPEN], 1);
    assert_int_equal(r.w.seen[STREAM_CLOSE], 0);
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
    r.w.close_in = UP;
    world_agent(&r.w);
    world_until(&r.w, UP, 1);
    r.w.close_in = NOTHING;
    world_until(&r.w, UP, 2);
    world_close_agent(&r.w);
    world_until_closed(&r.w);
    rig_free(&r);
}

static void test_without_callbacks(void **state) {
    (void)state;
    world_t w;
    world_open(&w);
    world_serve(&w);
    char url[96];
    wst_agent_t *agent;
    snprintf(url, sizeof(url), "ws://%s", w.address);
    const wst_agent_options_t options = {
        .url = url, .name = "probe", .backoff_min_ms = 1, .backoff_max_ms = 2};
    assert_int_equal(wst_agent_new(&agent, w.env.ctx, &options), 0);
    test_env_until_count(&w.env, &w.server_ups, 1);
    tunnel_t t;
    tunnel_open(&w, &t, "none.test:1", WST_ENAME);
    world_stop_serving(&w);
    world_serve(&w);
    test_env_until_count(&w.env, &w.server_ups, 2);
    wst_agent_drain(agent);
    test_env_until_count(&w.env, &w.server_downs, 1);
    wst_agent_close(agent, NULL);
    test_env_turns(&w.env, 20);
    world_free(&w);
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
