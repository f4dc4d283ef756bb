/* SPDX-License-Identifier: MIT */
/*
 * An agent in the talk's protocol, and a real server for it: connections that wait and are
 * replaced, what the server is told by leaving, reconnecting, draining, closing inside each
 * callback.
 */
#include "agent_peers.h"
#include "proxy_rig.h"

#include <stdio.h>

typedef struct rig {
    agent_world_t w;
    agent_place_t place;
    agent_tunnel_t tunnels[8];
    size_t sessions; /* to wait for */
    uint64_t answered_ms;
} rig_t;

static void rig_init(rig_t *r) {
    memset(r, 0, sizeof(*r));
    agent_world_open(&r->w);
    r->w.options.name = "127.0.0.1"; /* as the server has it */
    r->w.options.protocol = r->w.server_options.protocol = WST_PROTOCOL_TALK;
    r->w.options.spare_connections = 3;
}

static void rig_open(rig_t *r) {
    rig_init(r);
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

static bool has_sessions(void *arg) {
    const rig_t *r = arg;
    wst_server_stats_t stats = {.size = sizeof(stats)};
    wst_server_get_stats(r->w.server, &stats);
    return stats.sessions == r->sessions;
}

/* Until the server has so many connections of the agent. */
static void until_sessions(rig_t *r, size_t n) {
    r->sessions = n;
    test_env_until(&r->w.env, has_sessions, r);
}

/* And until it stays at that. */
static void settle(rig_t *r, size_t n) {
    until_sessions(r, n);
    test_env_turns(&r->w.env, 50);
    assert_true(has_sessions(r));
}

static void use(rig_t *r, agent_tunnel_t *t, size_t place) {
    agent_tunnel_open(&r->w, t, r->place.address, 0);
    test_env_until_count(&r->w.env, &r->place.count, place + 1);
    assert_true(sockets_write_pattern(t->owner.stream, 0, 5000) >= 0);
    test_env_until_count(&r->w.env, &r->place.owners[place].received, 5000);
    assert_true(sockets_write_pattern(r->place.owners[place].stream, 0, 70000) >= 0);
    test_env_until_count(&r->w.env, &t->owner.received, 70000);
}

static void on_connection(int status, wst_stream_t *stream, void *user_data) {
    assert_int_equal(status, 0);
    *(wst_stream_t **)user_data = stream;
}

static bool is_there(void *arg) {
    return *(wst_stream_t **)arg != NULL;
}

/* A connection to the place, for on_dial. */
static wst_stream_t *connection_to(rig_t *r, size_t place) {
    wst_dial_t *dial;
    wst_stream_t *stream = NULL;
    const char *port = strrchr(r->place.address, ':') + 1;
    const wst_dial_options_t options = {
        .size = sizeof(options), .host = "127.0.0.1", .port = (uint16_t)strtoul(port, NULL, 10)};
    assert_int_equal(wst_dial(&dial, r->w.env.ctx, &options, on_connection, &stream), 0);
    test_env_until(&r->w.env, is_there, &stream);
    test_env_until_count(&r->w.env, &r->place.count, place + 1);
    return stream;
}

/* --- connections that wait --- */

static void test_spare_connections(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    agent_world_start(&r.w);
    assert_false(wst_agent_is_up(r.w.agent));
    settle(&r, 3);
    assert_int_equal(r.w.seen[AGENT_UP], 1);
    assert_true(wst_agent_is_up(r.w.agent));
    const wst_remote_t *remote = wst_server_next_agent(r.w.server, NULL);
    assert_string_equal(wst_remote_name(remote), "127.0.0.1");
    assert_null(wst_server_next_agent(r.w.server, remote));

    use(&r, &r.tunnels[0], 0);
    settle(&r, 4); /* the one in use is replaced */
    assert_int_equal(wst_remote_streams(remote), 1);
    assert_int_equal(wst_agent_streams(r.w.agent), 1);
    use(&r, &r.tunnels[1], 1);
    settle(&r, 5);
    agent_tunnel_free(&r.tunnels[0]);
    agent_world_until(&r.w, AGENT_STREAM_CLOSE, 1);
    assert_int_equal(r.w.bytes_to_destination, 5000);
    assert_int_equal(r.w.bytes_to_server, 70000);
    settle(&r, 4);
    assert_int_equal(r.w.seen[AGENT_DOWN], 0);
    rig_free(&r);
}

static void test_default(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    r.w.options.spare_connections = 0;
    agent_world_start(&r.w);
    settle(&r, 1);
    rig_free(&r);
}

/* The destination is connected, for the n-th tunnel. */
static void answer_dial(rig_t *r, size_t n) {
    wst_request_t *held = r->w.held;
    wst_stream_t *stream = connection_to(r, n);
    r->w.held = NULL;
    r->answered_ms = uv_hrtime() / 1000000;
    wst_request_connected(held, 0, stream);
    test_env_until_count(&r->w.env, &r->tunnels[n].done, 1);
}

/* It is not replaced, unless this machine is so slow that it should be. */
static void expect_unsettled(rig_t *r, size_t sessions) {
    test_env_turns(&r->w.env, 20);
    r->sessions = sessions;
    assert_true(has_sessions(r) || uv_hrtime() / 1000000 - r->answered_ms > 140);
}

/* The only one that waits is replaced when its tunnel is settled, not before. */
static void test_only_one(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    r.w.options.spare_connections = 1;
    r.w.dials = AGENT_HOLD;
    agent_world_start(&r.w);
    settle(&r, 1);
    agent_tunnel_start(&r.w, &r.tunnels[0], r.place.address); /* bytes come */
    agent_world_until(&r.w, AGENT_DIAL, 1);
    settle(&r, 1);
    answer_dial(&r, 0);
    expect_unsettled(&r, 1);
    assert_true(sockets_write_pattern(r.tunnels[0].owner.stream, 0, 1) >= 0);
    test_env_until_count(&r.w.env, &r.place.owners[0].received, 1);
    settle(&r, 2);

    agent_tunnel_start(&r.w, &r.tunnels[1], r.place.address); /* nothing comes, but time passes */
    agent_world_until(&r.w, AGENT_DIAL, 2);
    answer_dial(&r, 1);
    agent_world_pass(&r.w, 50);
    expect_unsettled(&r, 2);
    agent_world_pass(&r.w, 250);
    settle(&r, 3);

    agent_tunnel_start(&r.w, &r.tunnels[2], r.place.address); /* it is refused */
    agent_world_until(&r.w, AGENT_DIAL, 3);
    settle(&r, 3);
    wst_request_t *held = r.w.held;
    r.w.held = NULL;
    wst_request_deny(held, 403, NULL, NULL);
    test_env_until_count(&r.w.env, &r.tunnels[2].done, 1);
    settle(&r, 3);

    agent_tunnel_start(&r.w, &r.tunnels[3], r.place.address); /* the server loses interest */
    agent_world_until(&r.w, AGENT_DIAL, 4);
    settle(&r, 3);
    agent_tunnel_free(&r.tunnels[3]);
    agent_world_until(&r.w, AGENT_GONE, 1);
    settle(&r, 3);
    rig_free(&r);
}

static void test_no_such_protocol(void **state) {
    (void)state;
    agent_world_t w;
    agent_world_open(&w);
    snprintf(w.address, sizeof(w.address), "127.0.0.1:1");
    w.options.protocol = (wst_protocol_t)2;
    assert_int_equal(agent_world_try_start(&w), WST_EINVAL);
    agent_world_free(&w);
}

/* More at once than wait: the others wait for those that come. */
static void test_more_at_once(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    r.w.options.spare_connections = 1;
    agent_world_start(&r.w);
    until_sessions(&r, 1);
    for (size_t i = 0; i < 4; i++)
        agent_tunnel_start(&r.w, &r.tunnels[i], r.place.address);
    for (size_t i = 0; i < 4; i++) {
        test_env_until_count(&r.w.env, &r.tunnels[i].done, 1);
        assert_int_equal(r.tunnels[i].status, 0);
    }
    settle(&r, 5);
    rig_free(&r);
}

static void test_upgrade_request(void **state) {
    (void)state;
    rig_t r;
    agent_raw_t raw = {.manner = AGENT_RAW_SILENT};
    rig_init(&r);
    r.w.credentials = AGENT_ALLOW;
    agent_raw_open(&r.w, &raw);
    agent_world_start(&r.w);
    test_env_until_count(&r.w.env, &raw.heads, 1);
    assert_null(strstr(raw.head, "Sec-WebSocket-Protocol"));
    assert_non_null(strstr(raw.head, "GET /websocket HTTP/1.1\r\n"));
    assert_non_null(strstr(raw.head, "\r\nAuthorization: Bearer " AGENT_SECRET "\r\n"));
    agent_world_close_agent(&r.w);
    agent_raw_free(&raw);
    agent_world_free(&r.w);
}

/* --- no --- */

static void refuse(rig_t *r, const char *destination, size_t opens) {
    agent_tunnel_open(&r->w, &r->tunnels[7], destination, WST_EUNREACHABLE);
    agent_world_until(&r->w, AGENT_STREAM_OPEN, opens);
    settle(r, 3); /* that connection is gone, and replaced */
}

static void test_refusals(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    r.w.options.max_streams = 1;
    agent_world_start(&r.w);
    settle(&r, 3);
    refuse(&r, "none.test:1", 1);
    assert_int_equal(r.w.open_status, UV_EAI_NONAME);
    wst_agent_close(r.w.agent, NULL); /* another one, which asks */
    r.w.agent = NULL;
    until_sessions(&r, 0);
    r.w.destinations = AGENT_DENY;
    r.w.reason = "not there";
    agent_world_start(&r.w);
    settle(&r, 3);
    refuse(&r, r.place.address, 2);
    assert_int_equal(r.w.open_status, WST_EDENIED);
    assert_int_equal(r.place.count, 0);
    r.w.destinations = AGENT_ALLOW;
    use(&r, &r.tunnels[0], 0);
    settle(&r, 4);
    agent_tunnel_open(&r.w, &r.tunnels[1], r.place.address, WST_EUNREACHABLE); /* max_streams */
    settle(&r, 4);
    rig_free(&r);
}

static void test_server_loses_interest(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    r.w.destinations = AGENT_HOLD;
    agent_world_start(&r.w);
    settle(&r, 3);
    agent_tunnel_start(&r.w, &r.tunnels[0], r.place.address);
    agent_world_until(&r.w, AGENT_DESTINATION, 1);
    assert_string_equal(r.w.question_peer, r.w.address);
    agent_tunnel_free(&r.tunnels[0]);
    agent_world_until(&r.w, AGENT_GONE, 1);
    agent_world_until(&r.w, AGENT_STREAM_OPEN, 1);
    assert_int_equal(r.w.open_status, WST_ECANCELLED);
    settle(&r, 3);
    rig_free(&r);
}

/* --- coming back --- */

static void test_server_comes_back(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    agent_world_start(&r.w);
    settle(&r, 3);
    use(&r, &r.tunnels[0], 0);
    settle(&r, 4);
    agent_world_stop_serving(&r.w);
    assert_int_equal(r.tunnels[0].owner.error, WST_ELOST);
    agent_world_until(&r.w, AGENT_STREAM_CLOSE, 1);
    assert_true(r.w.close_status < 0);
    agent_world_until(&r.w, AGENT_DOWN, 3); /* nobody there */
    assert_int_equal(r.w.failure.error, UV_ECONNREFUSED);
    agent_world_serve(&r.w);
    agent_world_until(&r.w, AGENT_UP, 2);
    settle(&r, 3);
    rig_free(&r);
}

/* All of them are lost at once: that is one failure, with one pause behind it. */
static void test_one_failure(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    r.w.options.backoff_min_ms = r.w.options.backoff_max_ms = 600000;
    agent_world_start(&r.w);
    settle(&r, 3);
    agent_world_stop_serving(&r.w);
    agent_world_until(&r.w, AGENT_DOWN, 1);
    test_env_turns(&r.w.env, 50);
    assert_int_equal(r.w.seen[AGENT_DOWN], 1);
    assert_int_equal(r.w.failure.error, WST_EWSCLOSED);
    assert_false(wst_agent_is_up(r.w.agent));
    rig_free(&r);
}

static void test_refused_by_the_server(void **state) {
    (void)state;
    rig_t r;
    agent_raw_t raw = {.manner = AGENT_RAW_ANSWER, .answer = "HTTP/1.1 401 Unauthorized\r\n\r\n"};
    rig_init(&r);
    agent_raw_open(&r.w, &raw);
    agent_world_start(&r.w);
    agent_world_until(&r.w, AGENT_DOWN, 1);
    assert_int_equal(r.w.failure.http_status, 401);
    assert_true(r.w.failure.refused);
    assert_int_equal(r.w.failure.retry_in_ms, r.w.options.backoff_max_ms);
    agent_world_close_agent(&r.w);
    agent_raw_free(&raw);
    agent_world_free(&r.w);
}

/* --- the end --- */

static void test_drain(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    agent_world_start(&r.w);
    settle(&r, 3);
    use(&r, &r.tunnels[0], 0);
    settle(&r, 4);
    agent_world_drain_agent(&r.w);
    assert_false(wst_agent_is_up(r.w.agent));
    settle(&r, 1); /* those that wait leave */
    assert_int_equal(r.w.seen[AGENT_DRAINED], 0);
    assert_true(sockets_write_pattern(r.tunnels[0].owner.stream, 5000, 10) >= 0);
    test_env_until_count(&r.w.env, &r.place.owners[0].received, 5010);
    agent_tunnel_free(&r.tunnels[0]);
    agent_world_until(&r.w, AGENT_DRAINED, 1);
    assert_int_equal(r.w.seen[AGENT_DOWN], 0);
    rig_free(&r);
}

static void test_drain_early(void **state) {
    (void)state;
    static const agent_event_t events[] = {AGENT_CREDENTIALS, AGENT_UP};
    for (size_t i = 0; i < 2; i++) {
        rig_t r;
        rig_open(&r);
        r.w.credentials = AGENT_ALLOW;
        r.w.drain_in = events[i];
        agent_world_start(&r.w);
        agent_world_until(&r.w, AGENT_DRAINED, 1);
        settle(&r, 0);
        rig_free(&r);
    }
}

static bool seen_or_closed(void *arg) {
    const rig_t *r = arg;
    return r->w.closed > 0 || (r->place.count > 0 && r->w.seen[AGENT_STREAM_OPEN] > 0);
}

/* A story in which every callback runs; the agent is closed in one of them, or at the end. */
static void close_in(agent_event_t event) {
    rig_t r;
    rig_open(&r);
    r.w.credentials = AGENT_ALLOW;
    r.w.destinations = event == AGENT_GONE ? AGENT_HOLD : AGENT_ALLOW;
    r.w.close_in = event;
    agent_world_start(&r.w);
    if (event == AGENT_CREDENTIALS || event == AGENT_UP) {
        agent_world_until_closed(&r.w);
    } else {
        until_sessions(&r, 3);
        agent_tunnel_start(&r.w, &r.tunnels[0], r.place.address);
        if (event == AGENT_GONE)
            agent_world_until(&r.w, AGENT_DESTINATION, 1);
        else
            test_env_until(&r.w.env, seen_or_closed, &r);
        if (event == AGENT_DOWN)
            agent_world_stop_serving(&r.w);
        else if (event == AGENT_GONE || event == AGENT_STREAM_CLOSE)
            agent_tunnel_free(&r.tunnels[0]);
        else if (event == AGENT_DRAINED)
            agent_world_drain_agent(&r.w);
        if (event == AGENT_DRAINED) {
            test_env_until_count(&r.w.env, &r.tunnels[0].done, 1);
            agent_tunnel_free(&r.tunnels[0]);
        }
        if (event == AGENT_NOTHING)
            agent_world_close_agent(&r.w);
        agent_world_until_closed(&r.w);
    }
    if (event != AGENT_NOTHING)
        assert_int_equal(r.w.seen[event], 1);
    rig_free(&r);
}

static void test_close_in_callbacks(void **state) {
    (void)state;
    static const agent_event_t events[] = {
        AGENT_NOTHING,     AGENT_CREDENTIALS, AGENT_DESTINATION,  AGENT_UP,   AGENT_DOWN,
        AGENT_STREAM_OPEN, AGENT_DRAINED,     AGENT_STREAM_CLOSE, AGENT_GONE, AGENT_NOTHING};
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
        close_in(events[i]);
}

/* --- without memory --- */

static bool is_ready(void *arg) {
    const rig_t *r = arg;
    const wst_remote_t *remote = wst_server_next_agent(r->w.server, NULL);
    return remote != NULL && wst_remote_is_ready(remote);
}

/* Whatever fails, the agent is there later, and serves. */
static void test_without_memory(void **state) {
    (void)state;
    size_t n = 0;
    for (bool met = true; met; n++) {
        rig_t r;
        rig_open(&r);
        r.w.credentials = r.w.destinations = AGENT_ALLOW;
        r.w.options.spare_connections = 1;
        test_alloc_fail(n + 1);
        if (agent_world_try_start(&r.w) != 0)
            agent_world_start(&r.w);
        until_sessions(&r, 1);
        agent_tunnel_start(&r.w, &r.tunnels[0], r.place.address);
        test_env_until_count(&r.w.env, &r.tunnels[0].done, 1);
        if (r.tunnels[0].status == 0 &&
            sockets_write_pattern(r.tunnels[0].owner.stream, 0, 100) >= 0)
            test_env_turns(&r.w.env, 30);
        met = test_alloc_failed();
        test_alloc_fail(0);
        if (!met) {
            assert_int_equal(r.tunnels[0].status, 0);
            test_env_until_count(&r.w.env, &r.place.count, 1);
            test_env_until_count(&r.w.env, &r.place.owners[0].received, 100);
        }
        agent_tunnel_free(&r.tunnels[0]);
        test_env_until(&r.w.env, is_ready, &r);
        agent_tunnel_start(&r.w, &r.tunnels[1], r.place.address);
        test_env_until_count(&r.w.env, &r.tunnels[1].done, 1);
        assert_int_equal(r.tunnels[1].status, 0);
        rig_free(&r);
    }
    assert_true(n > 20);
}

static void test_through_a_proxy(void **state) {
    (void)state;
    agent_world_t w = {0};
    fake_proxy_t proxy;
    char url[128];
    agent_world_open(&w);
    fake_proxy_open(&proxy, &w.env);
    snprintf(url, sizeof(url), "socks5://%s", proxy.address);
    const wst_proxy_options_t options = {.size = sizeof(options), .url = url};
    w.options.name = "127.0.0.1"; /* which is all that the server will know of it */
    w.options.protocol = w.server_options.protocol = WST_PROTOCOL_TALK;
    w.options.proxy = &options;
    agent_world_serve(&w);
    proxy.relay = w.address;
    proxy.turns[0] = (fake_proxy_turn_t)PROXY_HEARS(3, "\5\0");
    proxy.turns[1] = (fake_proxy_turn_t){10, "\5\0\0\1\177\0\0\1\0\7", 10, PROXY_JOINS};
    agent_world_start(&w);
    agent_world_until(&w, AGENT_UP, 1);
    agent_world_close_agent(&w);
    agent_world_until_closed(&w);
    fake_proxy_close(&proxy, &w.env);
    agent_world_free(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_through_a_proxy),
        cmocka_unit_test(test_spare_connections),
        cmocka_unit_test(test_default),
        cmocka_unit_test(test_only_one),
        cmocka_unit_test(test_no_such_protocol),
        cmocka_unit_test(test_more_at_once),
        cmocka_unit_test(test_upgrade_request),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_server_loses_interest),
        cmocka_unit_test(test_server_comes_back),
        cmocka_unit_test(test_one_failure),
        cmocka_unit_test(test_refused_by_the_server),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_drain_early),
        cmocka_unit_test(test_close_in_callbacks),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests_name("agent_talk", tests, NULL, NULL);
}
