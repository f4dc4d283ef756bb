/* SPDX-License-Identifier: MIT */
/* An outage of an agent: what its clients see, how long it may last, and what requests wait for. */
#include "server_world.h"

#define CONNECT   "CONNECT host:22 HTTP/1.1\r\n\r\n"
#define CONNECTED "HTTP/1.1 200 Connection established\r\n\r\n"

/* An outage ---------------------------------------------------------------------------------- */

static void test_outage(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    server_world_open_lasting(&w, &a);
    wst_ctx_set_log_level(w.env.ctx, WST_LOG_INFO);
    server_client_connect(&w, &c);
    wst_remote_t *remote = w.last_up;
    assert_false(wst_remote_is_suspended(remote));
    server_agent_cut(&a);
    server_world_assert_notice(&w, "suspended one 0 streams=1\n");
    assert_int_equal(w.last_suspended.grace_ms, 60000);
    assert_true(wst_remote_is_suspended(remote));
    assert_false(wst_remote_is_ready(remote));
    wst_server_stats_t stats = server_world_stats(&w);
    assert_int_equal(stats.suspended, 1);
    assert_int_equal(stats.sessions, 1);
    assert_int_equal(stats.agents, 1);
    assert_true(stats.suspended_bytes > 0);
    server_client_say(&c, "said in the outage");
    test_env_turns(&w.env, 20);
    server_agent_resume(&a);
    server_world_assert_logged(&w, "agent one (01010101) resumed after 0.");
    server_world_assert_notice(&w, "resumed one 0 streams=1\n");
    server_agent_expect(&a, "said in the outage");
    server_agent_expect_alive(&a, &c);
    assert_false(wst_remote_is_suspended(remote));
    assert_true(wst_remote_is_ready(remote));
    stats = server_world_stats(&w);
    assert_int_equal(stats.suspended, 0);
    assert_int_equal(stats.suspended_bytes, 0);
    assert_int_equal(stats.resumes, 1);
    assert_int_equal(stats.resumes_refused + stats.suspended_lost, 0);
    assert_int_equal(w.ups, 1);
    assert_int_equal(w.downs, 0);
    server_client_close(&c);
    server_agent_close(&a);
    server_world_until_notice(&w, "down one ");
    server_world_free(&w);
}

/* The agent noticed first: the server takes the old connection for a good one. */
static void test_take_over(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    server_world_open_lasting(&w, &a);
    server_client_connect(&w, &c);
    for (size_t i = 1; i <= 3; i++) {
        server_agent_resume(&a);
        assert_int_equal(w.suspensions, 0);
        assert_int_equal(w.last_resumed.outage_ms, 0);
        assert_int_equal(server_world_stats(&w).resumes, i);
        server_agent_expect_alive(&a, &c);
    }
    assert_int_equal(server_world_stats(&w).sessions, 1);
    server_client_close(&c);
    server_agent_close(&a);
    server_world_free(&w);
}

static void test_grace(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    server_attempt_t t;
    server_world_init(&w);
    w.limits.resume_grace_ms = 40000;
    server_world_start(&w);
    server_agent_open_lasting(&w, &a, "one", 1, 0);
    server_client_connect(&w, &c);
    server_agent_cut(&a);
    server_attempt_init(&a, &t);
    server_world_pass(&w, 39000);
    assert_int_equal(w.downs, 0);
    server_world_pass(&w, 40001);
    assert_int_equal(w.downs, 1);
    server_client_expect_reset(&c);
    wst_server_stats_t stats = server_world_stats(&w);
    assert_int_equal(stats.suspended, 0);
    assert_int_equal(stats.suspended_lost, 1);
    assert_int_equal(stats.agents, 0);
    server_attempt_start(&t); /* too late */
    test_env_until_count(&w.env, &t.up, 1);
    assert_int_equal(w.ups, 2);
    assert_int_equal(server_world_stats(&w).resumes_refused, 1);
    server_attempt_close(&t);
    server_client_close(&c);
    server_agent_close(&a);
    server_world_free(&w);
}

/* Without streams a session waits no longer than a client would. */
static void test_grace_when_idle(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_world_open_lasting(&w, &a);
    server_agent_cut(&a);
    assert_int_equal(w.last_suspended.grace_ms, 15000);
    server_world_pass(&w, 15001);
    assert_int_equal(w.downs, 1);
    server_agent_close(&a);
    server_world_free(&w);
}

static void test_no_resume(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    server_world_init(&w);
    w.options.no_resume = true;
    server_world_start(&w);
    server_agent_open_lasting(&w, &a, "one", 1, 0);
    server_client_connect(&w, &c);
    shutdown(a.fd, SHUT_RDWR);
    server_client_expect_reset(&c);
    server_world_until_notice(&w, "down one ");
    test_env_until_count(&w.env, &a.down, 1);
    assert_int_equal(a.suspended, 0);
    assert_int_equal(w.suspensions, 0);
    server_client_close(&c);
    server_agent_close(&a);
    server_world_free(&w);
}

/* Requests meanwhile ------------------------------------------------------------------------- */

static void test_requests_wait(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    server_world_open_lasting(&w, &a);
    for (int by_take_over = 0; by_take_over < 2; by_take_over++) {
        server_agent_cut(&a);
        server_client_open(&w, &c);
        server_client_say(&c, CONNECT);
        test_env_turns(&w.env, 20);
        assert_int_equal(c.got_len, 0);
        server_agent_resume(&a);
        server_client_expect(&c, CONNECTED);
        server_agent_expect_alive(&a, &c);
        server_client_close(&c);
    }
    server_agent_close(&a);
    server_world_free(&w);
}

/* One that had been asked, and had not answered. */
static void test_asked_before_the_outage(void **state) {
    (void)state;
    for (int other = 0; other < 2; other++) {
        server_world_t w;
        server_agent_t a, b;
        server_client_t c;
        server_world_open_lasting(&w, &a);
        a.treatment = SERVER_AGENT_KEEP;
        server_client_open(&w, &c);
        server_client_say(&c, CONNECT);
        test_env_until_count(&w.env, &a.asked, 1);
        if (other)
            server_agent_open_lasting(&w, &b, "two", 1, 0);
        server_agent_cut(&a);
        if (other) {
            server_client_expect(&c, CONNECTED); /* at once */
            server_agent_expect_alive(&b, &c);
            server_agent_close(&b);
        } else {
            test_env_turns(&w.env, 20);
            assert_int_equal(c.got_len, 0);
            a.treatment = SERVER_AGENT_ACCEPT;
            server_agent_resume(&a);
            server_client_expect(&c, CONNECTED);
            server_agent_expect_alive(&a, &c);
            test_env_until_count(&w.env, &a.cancelled, 1); /* the first try */
        }
        server_client_close(&c);
        server_agent_close(&a);
        server_world_free(&w);
    }
}

#define RECONNECTING                                                                               \
    "HTTP/1.1 503 Agent is reconnecting\r\n"                                                       \
    "Proxy-Status: libwstunnel; error=destination_unavailable; "                                   \
    "details=\"Agent is reconnecting\"\r\nRetry-After: 5\r\n"

static void test_wait_in_vain(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t keeper, c;
    server_world_init(&w);
    w.limits.dial_timeout_ms = 100;
    server_world_start(&w);
    server_agent_open_lasting(&w, &a, "one", 1, 0);
    server_client_connect(&w, &keeper);
    server_agent_cut(&a);
    uint64_t start = uv_now(&w.env.loop);
    server_client_open(&w, &c);
    server_client_say(&c, CONNECT);
    server_client_expect(&c, RECONNECTING);
    assert_true(uv_now(&w.env.loop) - start >= 100);
    server_world_assert_notice(&w, "refused host:22 503 Agent is reconnecting\n");
    server_client_close(&c);
    server_agent_resume(&a);
    server_agent_expect_alive(&a, &keeper);
    server_client_close(&keeper);
    server_agent_close(&a);
    server_world_free(&w);
}

/* They may wait for long, so they leave room for others. */
static void test_few_wait(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c[3];
    server_world_init(&w);
    w.limits.max_pending = 4;
    server_world_start(&w);
    server_agent_open_lasting(&w, &a, "one", 1, 0);
    server_agent_cut(&a);
    for (int round = 0; round < 2; round++) { /* places are given back */
        for (size_t i = 0; i < 2; i++) {
            server_client_open(&w, &c[i]);
            server_client_say(&c[i], CONNECT);
            test_env_turns(&w.env, 20);
            assert_int_equal(c[i].got_len, 0);
        }
        server_client_open(&w, &c[2]);
        server_client_say(&c[2], CONNECT);
        server_client_expect(&c[2], RECONNECTING);
        server_client_close(&c[2]);
        if (round == 0) {
            server_client_close(&c[0]); /* they do not wait for it */
            server_client_close(&c[1]);
            test_env_turns(&w.env, 20);
        }
    }
    server_agent_resume(&a);
    server_client_expect(&c[0], CONNECTED);
    server_client_expect(&c[1], CONNECTED);
    server_client_close(&c[0]);
    server_client_close(&c[1]);
    server_agent_close(&a);
    server_world_free(&w);
}

/* A session of two is suspended: the other one serves. */
static void test_two_sessions(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a, second;
    server_client_t c;
    server_world_open_lasting(&w, &a);
    server_agent_open_lasting(&w, &second, "one", 1, 1);
    server_agent_cut(&a);
    assert_false(wst_remote_is_suspended(w.last_up));
    assert_true(wst_remote_is_ready(w.last_up));
    server_client_connect(&w, &c);
    server_agent_expect_alive(&second, &c);
    server_agent_cut(&second);
    assert_true(wst_remote_is_suspended(w.last_up));
    server_world_assert_notice(&w, "suspended one 1 streams=1\n");
    server_agent_resume(&second);
    server_agent_expect_alive(&second, &c);
    assert_false(wst_remote_is_suspended(w.last_up));
    server_client_close(&c);
    server_agent_close(&second);
    test_env_turns(&w.env, 20);
    assert_true(wst_remote_is_suspended(w.last_up)); /* the first one still is */
    server_agent_close(&a);
    server_world_free(&w);
}

#define GET "GET http://site/x HTTP/1.1\r\nHost: site\r\n\r\n"
#define OK  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static void serve_get(server_world_t *w, server_agent_t *a, server_client_t *c, size_t asked) {
    test_env_until_count(&w->env, &a->asked, asked);
    server_agent_expect(a, "GET /x HTTP/1.1\r\nHost: site\r\n");
    while (strstr(a->got, "\r\n\r\n") == NULL)
        test_env_turns(&w->env, 1);
    a->got_len = 0;
    a->got[0] = '\0';
    server_agent_say(a, OK);
    server_client_expect(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n");
    while (strstr(c->got, "\r\n\r\nok") == NULL)
        test_env_turns(&w->env, 1);
    c->got_len = 0;
    c->got[0] = '\0';
}

/* A connection to an origin that is kept by an agent that is away is of no use. */
static void test_kept(void **state) {
    (void)state;
    for (int other = 0; other < 2; other++) {
        server_world_t w;
        server_agent_t a, b;
        server_client_t c;
        server_world_open_lasting(&w, &a);
        server_client_open(&w, &c);
        server_client_say(&c, GET);
        serve_get(&w, &a, &c, 1);
        server_client_say(&c, GET);
        serve_get(&w, &a, &c, 1); /* by the kept one */
        server_agent_cut(&a);
        if (other)
            server_agent_open_lasting(&w, &b, "two", 1, 0);
        server_client_say(&c, GET);
        if (other) {
            serve_get(&w, &b, &c, 1);
            server_agent_close(&b);
        } else {
            test_env_turns(&w.env, 20);
            assert_int_equal(c.got_len, 0);
            server_agent_resume(&a);
            serve_get(&w, &a, &c, 2);
        }
        server_client_close(&c);
        server_agent_close(&a);
        server_world_free(&w);
    }
}

/* Nor by a session that is away, of an agent that has another one. */
static void test_kept_by_one_of_two(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a, second;
    server_client_t c;
    server_world_open_lasting(&w, &a);
    server_client_open(&w, &c);
    server_client_say(&c, GET);
    serve_get(&w, &a, &c, 1);
    server_agent_open_lasting(&w, &second, "one", 1, 1);
    server_agent_cut(&a);
    server_client_say(&c, GET);
    serve_get(&w, &second, &c, 1);
    server_agent_resume(&a);
    server_client_say(&c, GET);
    serve_get(&w, &second, &c, 1); /* by the one that it keeps */
    server_client_close(&c);
    server_agent_close(&second);
    server_agent_close(&a);
    server_world_free(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outage),
        cmocka_unit_test(test_take_over),
        cmocka_unit_test(test_grace),
        cmocka_unit_test(test_grace_when_idle),
        cmocka_unit_test(test_no_resume),
        cmocka_unit_test(test_requests_wait),
        cmocka_unit_test(test_asked_before_the_outage),
        cmocka_unit_test(test_wait_in_vain),
        cmocka_unit_test(test_few_wait),
        cmocka_unit_test(test_two_sessions),
        cmocka_unit_test(test_kept),
        cmocka_unit_test(test_kept_by_one_of_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
