/* SPDX-License-Identifier: MIT */
/* An agent of several connections: the loss of one, of all, and the end in each state. */
#include "agent_peers.h"

#include <stdio.h>

enum { CONNECTIONS = 3 };

typedef struct rig {
    agent_world_t w;
    agent_raw_t raw;
} rig_t;

/* A server that says hello, and nothing more. */
static void rig_open(rig_t *r, agent_raw_manner_t manner) {
    memset(r, 0, sizeof(*r));
    agent_world_open(&r->w);
    r->w.options.connections = CONNECTIONS;
    r->raw.manner = manner;
    r->raw.says[0] = agent_raw_hello;
    agent_raw_open(&r->w, &r->raw);
}

static void rig_free(rig_t *r) {
    if (r->w.agent != NULL && !r->w.close_called)
        agent_world_close_agent(&r->w);
    agent_raw_free(&r->raw);
    agent_world_free(&r->w);
}

static void until_up(agent_world_t *w, size_t conns) {
    test_env_until_count(&w->env, &w->conns_up, conns);
}

/* --- a real server --- */

static wst_remote_t *only_remote(agent_world_t *w) {
    wst_remote_t *remote = wst_server_next_agent(w->server, NULL);
    assert_non_null(remote);
    assert_null(wst_server_next_agent(w->server, remote));
    return remote;
}

static bool has_all(void *arg) {
    agent_world_t *w = arg;
    wst_remote_t *remote = wst_server_next_agent(w->server, NULL);
    return remote != NULL && wst_remote_sessions(remote) == w->options.connections;
}

/* They are sessions of one agent, which comes up once. */
static void test_one_agent(void **state) {
    (void)state;
    agent_world_t w;
    agent_place_t place;
    agent_tunnel_t tunnels[4];
    agent_world_open(&w);
    agent_world_serve(&w);
    agent_place_open(&w, &place);
    w.options.connections = CONNECTIONS;
    agent_world_start(&w);
    until_up(&w, CONNECTIONS);
    test_env_until(&w.env, has_all, &w);
    assert_int_equal(w.conns, 7); /* the lowest numbers */
    assert_int_equal(w.seen[AGENT_UP], 1);
    assert_int_equal(w.server_ups, 1);
    for (size_t i = 0; i < 4; i++)
        agent_tunnel_open(&w, &tunnels[i], place.address, 0);
    assert_int_equal(wst_remote_streams(only_remote(&w)), 4);
    assert_int_equal(wst_agent_streams(w.agent), 4);
    for (size_t i = 0; i < 4; i++)
        agent_tunnel_free(&tunnels[i]);
    agent_world_drain_agent(&w);
    agent_world_until(&w, AGENT_DRAINED, 1);
    assert_int_equal(w.seen[AGENT_DOWN], 0);
    agent_place_free(&place);
    agent_world_free(&w);
}

/* --- losses --- */

static void test_loss_of_one(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, AGENT_RAW_UPGRADE);
    agent_world_start(&r.w);
    until_up(&r.w, CONNECTIONS);
    agent_raw_leave(&r.raw, AGENT_RAW_THEN_RESET);
    test_env_until_count(&r.w.env, &r.w.conn_losses, 1);
    assert_non_null(strstr(r.w.env.log, "(connection "));
    assert_true(wst_agent_is_up(r.w.agent));
    until_up(&r.w, CONNECTIONS);
    assert_int_equal(r.w.conns, 7); /* it keeps its number */
    assert_int_equal(r.w.seen[AGENT_UP], 1);
    assert_int_equal(r.w.seen[AGENT_DOWN], 0);
    rig_free(&r);
}

static bool nothing_up(void *arg) {
    return ((agent_world_t *)arg)->conns_up == 0;
}

static void test_loss_of_all(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, AGENT_RAW_UPGRADE);
    agent_world_start(&r.w);
    until_up(&r.w, CONNECTIONS);
    r.raw.manner = AGENT_RAW_RESET;
    for (size_t i = 0; i < CONNECTIONS; i++) {
        assert_int_equal(r.w.seen[AGENT_DOWN], 0);
        agent_raw_cut(&r.raw, 1);
        test_env_until_count(&r.w.env, &r.w.conn_losses, r.w.conn_losses + 1);
    }
    test_env_until(&r.w.env, nothing_up, &r.w);
    agent_world_until(&r.w, AGENT_DOWN, 1);
    assert_false(wst_agent_is_up(r.w.agent));
    r.raw.manner = AGENT_RAW_UPGRADE;
    until_up(&r.w, CONNECTIONS);
    assert_int_equal(r.w.seen[AGENT_UP], 2);
    rig_free(&r);
}

/* A single connection has no number in the log. */
static void test_single(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, AGENT_RAW_UPGRADE);
    r.w.options.connections = 0;
    agent_world_start(&r.w);
    agent_world_until(&r.w, AGENT_UP, 1);
    assert_int_equal(r.w.conns_up, 1);
    agent_raw_leave(&r.raw, AGENT_RAW_THEN_RESET);
    agent_world_until(&r.w, AGENT_DOWN, 1);
    assert_null(strstr(r.w.env.log, "connection 0"));
    rig_free(&r);
}

/* --- several servers --- */

/* Connections to each; one server is down, and comes back. */
static void test_urls(void **state) {
    (void)state;
    rig_t r;
    agent_raw_t other = {.manner = AGENT_RAW_UPGRADE, .says[0] = agent_raw_hello};
    char first[80], second[80];
    rig_open(&r, AGENT_RAW_UPGRADE);
    snprintf(first, sizeof(first), "ws://%s/one", r.w.address);
    r.w.address[0] = '\0';
    agent_raw_open(&r.w, &other);
    snprintf(second, sizeof(second), "ws://%s/two", r.w.address);
    const char *urls[] = {first, second, NULL};
    r.w.options.urls = urls;
    r.w.options.connections = 2;
    agent_world_start(&r.w);
    memset(first, 'x', sizeof(first) - 1); /* it has been copied */
    until_up(&r.w, 4);
    assert_int_equal(r.raw.opens, 2);
    assert_int_equal(other.opens, 2);
    assert_int_equal(r.w.conns, 15);
    other.manner = AGENT_RAW_RESET;
    agent_raw_cut(&other, 2);
    test_env_until_count(&r.w.env, &r.w.conn_losses, 4);
    assert_string_equal(r.w.conn_url, second);
    assert_int_equal(r.w.conns_up, 2);
    assert_int_equal(r.w.seen[AGENT_DOWN], 0);
    other.manner = AGENT_RAW_UPGRADE;
    until_up(&r.w, 4);
    assert_int_equal(r.w.seen[AGENT_UP], 1);
    agent_world_close_agent(&r.w);
    agent_raw_free(&other);
    rig_free(&r);
}

static void expect_refused(agent_world_t *w, const char *url, const char *const *urls) {
    w->options.url = url;
    w->options.urls = urls;
    assert_int_equal(agent_world_try_start(w), WST_EINVAL);
}

static void test_wrong_urls(void **state) {
    (void)state;
    agent_world_t w;
    static const char one[] = "ws://127.0.0.1:1";
    const char *many[18] = {NULL};
    agent_world_open(&w);
    expect_refused(&w, NULL, (const char *const[]){NULL});
    expect_refused(&w, one, (const char *const[]){one, NULL});
    expect_refused(&w, NULL, (const char *const[]){one, "http://127.0.0.1", NULL});
    w.options.sni = "x";
    expect_refused(&w, NULL, (const char *const[]){"wss://127.0.0.1:1", one, NULL});
    w.options.sni = NULL;
    for (size_t i = 0; i < 17; i++)
        many[i] = one;
    expect_refused(&w, NULL, many);
    many[16] = NULL;
    agent_world_start(&w);
    agent_world_free(&w);
}

/* --- numbers out of range --- */

static void test_too_many(void **state) {
    (void)state;
    agent_world_t w;
    agent_world_open(&w);
    snprintf(w.address, sizeof(w.address), "127.0.0.1:1");
    w.options.connections = 65;
    assert_int_equal(agent_world_try_start(&w), WST_EINVAL);
    w.options.connections = 64;
    agent_world_start(&w);
    agent_world_free(&w);
}

/* --- draining and closing with connections in each state --- */

static void test_end_in_each_state(void **state) {
    (void)state;
    static const agent_raw_manner_t manners[] = {AGENT_RAW_SILENT, AGENT_RAW_RESET,
                                                 AGENT_RAW_UPGRADE};
    for (size_t ups = 0; ups < CONNECTIONS; ups++) {
        for (size_t i = 0; i < 2 * sizeof(manners) / sizeof(manners[0]); i++) {
            rig_t r;
            rig_open(&r, AGENT_RAW_UPGRADE);
            agent_world_start(&r.w);
            until_up(&r.w, CONNECTIONS);
            r.raw.manner = manners[i / 2];
            if (r.raw.manner == AGENT_RAW_UPGRADE)
                r.raw.says[0] = NULL; /* before the hello */
            size_t heads = r.raw.heads + r.raw.overs, lost = CONNECTIONS - ups;
            agent_raw_cut(&r.raw, lost);
            test_env_until_count(&r.w.env, &r.w.conn_losses, lost);
            if (r.raw.manner != AGENT_RAW_RESET)
                test_env_until_count(&r.w.env, &r.raw.heads, heads + 1);
            if (i % 2 == 0) {
                agent_world_drain_agent(&r.w);
                agent_world_until(&r.w, AGENT_DRAINED, 1);
            }
            rig_free(&r);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_agent),   cmocka_unit_test(test_loss_of_one),
        cmocka_unit_test(test_loss_of_all), cmocka_unit_test(test_single),
        cmocka_unit_test(test_urls),        cmocka_unit_test(test_wrong_urls),
        cmocka_unit_test(test_too_many),    cmocka_unit_test(test_end_in_each_state)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
