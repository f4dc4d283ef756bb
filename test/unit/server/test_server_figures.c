/* SPDX-License-Identifier: MIT */
/* What a server counts, what it tells of its agents, and how one is sent away. */
#include "server_world.h"

#include <string.h>

#define CONNECT "CONNECT host:22 HTTP/1.1\r\n\r\n"

static uint64_t refusals_of(const server_world_t *w, const char *kind) {
    const char *error;
    uint64_t count, found = UINT64_MAX;
    for (size_t n = 0; wst_server_refusals(w->server, n, &error, &count); n++)
        if (strcmp(error, kind) == 0)
            found = count;
    return found;
}

/* Bytes count while the tunnel is open, and still when it and its agent are gone. */
static void test_bytes(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    server_world_open(&w);
    server_agent_open(&w, &a, "one", 1);
    server_client_connect(&w, &c);
    server_client_say(&c, "12345");
    server_agent_expect(&a, "12345");
    server_agent_say(&a, "123");
    server_client_expect(&c, "123");
    const wst_remote_t *agent = wst_server_next_agent(w.server, NULL);
    assert_int_equal(wst_remote_bytes_to_agent(agent), 5);
    assert_int_equal(wst_remote_bytes_to_client(agent), 3);
    assert_int_equal(server_world_stats(&w).bytes_to_agents, 5);
    server_client_close(&c);
    server_agent_close(&a);
    server_world_until_notice(&w, "down one");
    const wst_server_stats_t stats = server_world_stats(&w);
    assert_int_equal(stats.bytes_to_agents, 5);
    assert_int_equal(stats.bytes_to_clients, 3);
    assert_int_equal(stats.streams_opened, 1);
    server_world_free(&w);
}

static void test_refusals(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    server_world_open(&w);
    server_client_open(&w, &c);
    server_client_say(&c, CONNECT);
    test_env_until_count(&w.env, &w.refusals, 1);
    server_client_close(&c);
    server_agent_init(&w, &a, "one", 1);
    a.treatment = SERVER_AGENT_REFUSE;
    a.reason = WST_EREFUSED;
    server_agent_start(&a);
    test_env_until_count(&w.env, &a.up, 1);
    for (int i = 0; i < 2; i++) {
        server_client_open(&w, &c);
        server_client_say(&c, CONNECT);
        test_env_until_count(&w.env, &w.refusals, (size_t)i + 2);
        server_client_close(&c);
    }
    assert_int_equal(refusals_of(&w, "destination_unavailable"), 1);
    assert_int_equal(refusals_of(&w, "connection_refused"), 2);
    assert_int_equal(refusals_of(&w, "other"), 0);
    assert_int_equal(server_world_stats(&w).refused, 3);
    server_agent_close(&a);
    server_world_free(&w);
}

static void test_refused_agent(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_world_init(&w);
    w.agents = SERVER_DENY;
    server_world_start(&w);
    server_agent_init(&w, &a, "one", 1);
    server_agent_start(&a);
    test_env_until_count(&w.env, &a.down, 1);
    assert_int_equal(server_world_stats(&w).agents_refused, 1);
    server_agent_close(&a);
    server_world_free(&w);
}

static void test_times(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    wst_histogram_t dials = {.size = sizeof(dials)}, pings = {.size = sizeof(pings)}, unset = {0};
    server_world_init(&w);
    w.limits.ping_interval_ms = 5;
    server_world_start(&w);
    server_agent_open(&w, &a, "one", 1);
    server_client_connect(&w, &c);
    assert_int_equal(wst_server_dial_times(w.server, &unset), WST_EINVAL);
    assert_int_equal(wst_server_dial_times(w.server, &dials), 0);
    assert_int_equal(wst_histogram_count(&dials), 1);
    do {
        test_env_turns(&w.env, 1);
        assert_int_equal(wst_server_round_trips(w.server, &pings), 0);
    } while (wst_histogram_count(&pings) == 0);
    assert_true(pings.sum_us > 0);
    server_client_close(&c);
    server_agent_close(&a);
    server_world_free(&w);
}

/* What an agent says of its software may be anything. */
static void test_software(void **state) {
    (void)state;
    static const char *const fields[][2] = {
        {"User-Agent: libwstunnel/1.2\r\n", "libwstunnel/1.2"},
        {"User-Agent: \xff\tx\r\n", "??x"},
        {"User-Agent: 1234567890123456789012345678901234567890123456789\r\n",
         "12345678901234567890123456789012345678901234567"},
        {NULL, ""},
    };
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        server_world_t w;
        server_agent_t a;
        server_world_open(&w);
        server_agent_init(&w, &a, "one", 1);
        a.fields = fields[i][0];
        server_agent_start(&a);
        test_env_until_count(&w.env, &a.up, 1);
        const wst_remote_t *agent = wst_server_next_agent(w.server, NULL);
        assert_string_equal(wst_remote_software(agent), fields[i][1]);
        assert_true(wst_remote_uptime_ms(agent) < 60000);
        server_agent_close(&a);
        server_world_free(&w);
    }
}

/* One agent is sent away, with its stream; its neighbour stays. */
static void test_end_agent(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a, b;
    server_client_t c;
    server_world_open(&w);
    server_agent_open(&w, &a, "one", 1);
    server_client_connect(&w, &c);
    server_agent_open(&w, &b, "two", 2);
    wst_server_end_agent(w.server, wst_server_find_agent(w.server, "", "one"));
    assert_int_equal(w.downs, 0); /* not from inside the call */
    test_env_until_count(&w.env, &w.downs, 1);
    server_client_expect_reset(&c);
    test_env_until_count(&w.env, &a.down, 1);
    assert_non_null(strstr(a.detail, "disconnected by the server's administrator"));
    assert_int_equal(b.down, 0);
    assert_null(wst_server_find_agent(w.server, "", "one"));
    server_client_close(&c);
    server_agent_close(&a);
    server_agent_close(&b);
    server_world_free(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),         cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_refused_agent), cmocka_unit_test(test_times),
        cmocka_unit_test(test_software),      cmocka_unit_test(test_end_agent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
