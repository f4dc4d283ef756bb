/* SPDX-License-Identifier: MIT */
/* What suspended sessions may keep from others: memory, and for how long. */
#include "server.h"
#include "server_world.h"

#include <stdio.h>

enum { STREAMS = 10, GRACE_MS = 20000 };

typedef struct rig {
    server_world_t w;
    wst_ctx_t *agents; /* they have memory of their own */
    size_t agents_closed;
    server_client_t clients[2 * STREAMS];
    size_t count;
} rig_t;

static rig_t r; /* large */

static void rig_init(void) {
    memset(&r, 0, sizeof(r));
    server_world_init(&r.w);
    const wst_ctx_options_t options = {.size = sizeof(options), .user_data = &r};
    assert_int_equal(wst_ctx_new(&r.agents, &r.w.env.loop, &options), 0);
    r.w.choice = SERVER_UNASKED;
    r.w.limits.resume_grace_ms = GRACE_MS;
}

/* A server with memory for that many streams. */
static void rig_open(size_t streams) {
    rig_init();
    server_world_start(&r.w);
    /* As much remains free for the agents' own bounds. */
    r.w.env.ctx->budget.limit = (streams + 1) * r.w.server->ingress.limits.stream_memory;
}

static void on_agents_closed(void *user_data) {
    ((rig_t *)user_data)->agents_closed++;
}

static void rig_close(void) {
    for (size_t i = 0; i < r.count; i++)
        server_client_close(&r.clients[i]);
    wst_ctx_close(r.agents, on_agents_closed);
    test_env_until_count(&r.w.env, &r.agents_closed, 1);
    server_world_free(&r.w);
}

static void open_agent(server_agent_t *a, const char *name, uint8_t instance) {
    char up[64];
    server_agent_init(&r.w, a, name, instance);
    a->resumes = true;
    a->ctx = r.agents;
    server_agent_start(a);
    snprintf(up, sizeof(up), "up %s", name);
    server_world_until_notice(&r.w, up);
    test_env_until_count(&r.w.env, &a->up, 1);
}

/* Streams at the agent that has the fewest. */
static void connect_some(server_agent_t *a, size_t n) {
    for (size_t i = 0; i < n; i++) {
        server_client_connect(&r.w, &r.clients[r.count++]);
        assert_non_null(a->stream);
        a->stream = NULL; /* it stays open */
    }
}

static bool is_suspended(void *arg) {
    return server_world_stats(&r.w).suspended == *(const size_t *)arg;
}

static void until_suspended(size_t n) {
    test_env_until(&r.w.env, is_suspended, &n);
}

static void expect_answer(const char *answer) {
    static server_client_t c; /* large */
    server_client_open(&r.w, &c);
    server_client_say(&c, "CONNECT host:22 HTTP/1.1\r\n\r\n");
    server_client_expect(&c, answer);
    server_client_close(&c);
}

/* There is no memory for one more. */
static void expect_refused(void) {
    expect_answer("HTTP/1.1 503 Out of memory\r\n");
}

/* -- Memory ----------------------------------------------------------------------------------- */

/* Whoever is away for the longest time makes room, but only beyond half of the memory. */
static void test_longest_makes_room(void **state) {
    (void)state;
    server_agent_t idle, one, two, three;
    size_t cost;
    rig_open(STREAMS);
    cost = r.w.server->ingress.limits.stream_memory;
    open_agent(&idle, "idle", 4);
    server_agent_cut(&idle); /* it has nothing to give */
    until_suspended(1);
    open_agent(&one, "one", 1);
    connect_some(&one, 4);
    open_agent(&two, "two", 2);
    connect_some(&two, 3);
    server_agent_cut(&one);
    until_suspended(2);
    server_agent_cut(&two);
    until_suspended(3);
    assert_int_equal(server_world_stats(&r.w).suspended_bytes, 7 * cost);
    open_agent(&three, "three", 3);
    connect_some(&three, 3); /* all is taken */
    assert_null(strstr(r.w.notices, "down"));
    connect_some(&three, 1);
    server_world_until_notice(&r.w, "down one");
    assert_int_equal(server_world_stats(&r.w).suspended, 2);
    assert_int_equal(server_world_stats(&r.w).suspended_lost, 1);
    assert_int_equal(server_world_stats(&r.w).suspended_bytes, 3 * cost);
    connect_some(&three, 3);
    expect_refused(); /* the living have their half */
    assert_int_equal(server_world_stats(&r.w).suspended, 2);
    assert_null(strstr(r.w.notices, "down two"));
    for (size_t i = 0; i < 4; i++)
        test_env_until_count(&r.w.env, &r.clients[i].broken, 1);
    for (size_t i = 4; i < r.count; i++)
        assert_int_equal(r.clients[i].broken + r.clients[i].ended, 0);
    server_agent_close(&idle);
    server_agent_close(&one);
    server_agent_close(&two);
    server_agent_close(&three);
    rig_close();
}

/* One after another goes, until it fits. */
static void test_several_make_room(void **state) {
    (void)state;
    server_agent_t agents[STREAMS], living;
    rig_open(STREAMS);
    for (size_t i = 0; i < STREAMS; i++) {
        char name[2] = {(char)('a' + i), '\0'};
        open_agent(&agents[i], name, (uint8_t)(1 + i));
        connect_some(&agents[i], 1);
        server_agent_cut(&agents[i]);
        until_suspended(i + 1);
    }
    open_agent(&living, "z", 99);
    connect_some(&living, 5);
    assert_int_equal(server_world_stats(&r.w).suspended, 5);
    expect_refused();
    assert_int_equal(server_world_stats(&r.w).suspended, 5);
    for (size_t i = 0; i < STREAMS; i++) {
        char down[16];
        snprintf(down, sizeof(down), "down %c", (char)('a' + i));
        assert_int_equal(strstr(r.w.notices, down) != NULL, i < 5);
    }
    for (size_t i = 0; i < STREAMS; i++)
        server_agent_close(&agents[i]);
    server_agent_close(&living);
    rig_close();
}

/* Where a quota stands in the way, nobody is ended for nothing. */
static void test_quota_ends_nobody(void **state) {
    (void)state;
    server_agent_t one, two;
    rig_open(STREAMS);
    open_agent(&one, "one", 1);
    connect_some(&one, 6);
    server_agent_cut(&one);
    until_suspended(1);
    open_agent(&two, "two", 2);
    connect_some(&two, 1);
    wst_server_limits_t limits = r.w.limits;
    limits.size = sizeof(limits);
    limits.max_user_memory = 7 * r.w.server->ingress.limits.stream_memory;
    assert_int_equal(wst_server_set_limits(r.w.server, &limits), 0);
    expect_answer("HTTP/1.1 429 Your share of the memory budget is used up\r\n");
    assert_int_equal(server_world_stats(&r.w).suspended, 1);
    server_agent_close(&one);
    server_agent_close(&two);
    rig_close();
}

/* The end of a stream may close the server, from inside. */
static void test_close_meanwhile(void **state) {
    (void)state;
    server_agent_t one, two;
    rig_open(4);
    open_agent(&one, "one", 1);
    connect_some(&one, 4);
    server_agent_cut(&one);
    until_suspended(1);
    open_agent(&two, "two", 2);
    r.w.close_at = 'e';
    server_client_open(&r.w, &r.clients[r.count]);
    server_client_say(&r.clients[r.count++], "CONNECT host:22 HTTP/1.1\r\n\r\n");
    test_env_until_count(&r.w.env, &r.w.closed, 1);
    server_agent_close(&one);
    server_agent_close(&two);
    rig_close();
}

/* -- Time ------------------------------------------------------------------------------------- */

static void open_suspended(server_agent_t *a) {
    rig_init();
    r.w.limits.dial_timeout_ms = GRACE_MS;
    r.w.limits.head_timeout_ms = 100 * GRACE_MS; /* a client stays */
    r.w.limits.max_connections = 1;
    server_world_start(&r.w);
    open_agent(a, "one", 1);
    server_agent_cut(a);
    until_suspended(1);
}

static void hold_agents(void) {
    server_client_open(&r.w, &r.clients[0]);
    server_world_until_connections(&r.w, 1);
    assert_true(wst__addresses_hold_agents(r.w.server));
}

static void test_grace(void **state) {
    (void)state;
    server_agent_t a;
    open_suspended(&a);
    assert_false(wst__addresses_hold_agents(r.w.server));
    server_world_pass(&r.w, GRACE_MS - 1000);
    assert_int_equal(server_world_stats(&r.w).suspended, 1);
    server_world_pass(&r.w, GRACE_MS + 1000);
    assert_int_equal(server_world_stats(&r.w).suspended, 0);
    assert_int_equal(r.w.downs, 1);
    server_agent_close(&a);
    rig_close();
}

/* Who waits because the server is full is still expected. */
static void test_grace_while_full(void **state) {
    (void)state;
    server_agent_t a;
    open_suspended(&a);
    hold_agents();
    server_world_pass(&r.w, GRACE_MS + 1000);
    server_world_pass(&r.w, GRACE_MS + 3000);
    assert_int_equal(server_world_stats(&r.w).suspended, 1);
    server_client_close(&r.clients[0]);
    server_world_until_connections(&r.w, 0);
    server_world_pass(&r.w, GRACE_MS + 5000);
    assert_int_equal(server_world_stats(&r.w).suspended, 0);
    server_agent_close(&a);
    rig_close();
}

/* But not for ever. */
static void test_grace_while_full_for_long(void **state) {
    (void)state;
    server_agent_t a;
    open_suspended(&a);
    hold_agents();
    server_world_pass(&r.w, 2 * GRACE_MS - 2000);
    assert_int_equal(server_world_stats(&r.w).suspended, 1);
    server_world_pass(&r.w, 2 * GRACE_MS + 2000);
    assert_int_equal(server_world_stats(&r.w).suspended, 0);
    server_agent_close(&a);
    server_client_close(&r.clients[0]);
    rig_close();
}

/* Nor if the agent has been started anew. */
static void test_grace_of_a_restarted_agent(void **state) {
    (void)state;
    server_agent_t a, again;
    open_suspended(&a);
    open_agent(&again, "one", 2); /* takes the only place */
    assert_true(wst__addresses_hold_agents(r.w.server));
    server_world_pass(&r.w, 6000);
    assert_int_equal(server_world_stats(&r.w).suspended, 0);
    server_agent_close(&a);
    server_agent_close(&again);
    rig_close();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_longest_makes_room),
        cmocka_unit_test(test_several_make_room),
        cmocka_unit_test(test_quota_ends_nobody),
        cmocka_unit_test(test_close_meanwhile),
        cmocka_unit_test(test_grace),
        cmocka_unit_test(test_grace_while_full),
        cmocka_unit_test(test_grace_while_full_for_long),
        cmocka_unit_test(test_grace_of_a_restarted_agent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
