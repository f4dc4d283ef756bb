/* SPDX-License-Identifier: MIT */
/* What an agent has reached: the embedder may refuse it still, and it is never the server itself.
 */
#include "server_world.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define CONNECT "CONNECT host:22 HTTP/1.1\r\n\r\n"
#define OK11    "HTTP/1.1 200 Connection established\r\n\r\n"

static void refused(char *out, size_t size, int status, const char *reason, const char *error) {
    snprintf(out, size,
             "HTTP/1.1 %d %s\r\nProxy-Status: libwstunnel; error=%s; details=\"%s\"\r\n%s"
             "Content-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n"
             "Connection: close\r\n\r\n%s\n",
             status, reason, error, reason, status == 503 ? "Retry-After: 5\r\n" : "",
             strlen(reason) + 1, reason);
}

static void open_world(server_world_t *w, server_agent_t *a, server_policy_t reached) {
    server_world_init(w);
    w->clients = SERVER_ALLOW;
    w->reached = reached;
    server_world_start(w);
    server_agent_init(w, a, "berlin", 1);
    a->address = "192.0.2.7";
    server_agent_start(a);
    test_env_until_count(&w->env, &w->ups, 1);
}

static void test_allowed(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    open_world(&w, &a, SERVER_ALLOW);
    server_client_open(&w, &c);
    server_client_say(&c, CONNECT "early");
    server_client_expect(&c, OK11);
    server_agent_expect(&a, "early");
    assert_string_equal(w.question, "host:22 alice");
    assert_string_equal(w.reached_what, "192.0.2.7 berlin");
    server_client_close(&c);
    a.address = "no address";
    server_client_open(&w, &c);
    server_client_say(&c, CONNECT);
    server_client_expect(&c, OK11);
    assert_string_equal(w.reached_what, " berlin");
    server_client_close(&c);
    server_agent_close(&a);
    server_world_free(&w);
}

/* Denied: the client gets that answer, the destination not a byte, and its stream goes. */
static void test_denied(void **state) {
    (void)state;
    char expected[1024];
    server_world_t w;
    server_agent_t a;
    open_world(&w, &a, SERVER_DENY);
    w.deny_reason = "Address denied by rule 3";
    refused(expected, sizeof(expected), 403, w.deny_reason, "http_request_denied");
    server_client_ask(&w, CONNECT "early", expected);
    test_env_until_count(&w.env, &a.stream_broken, 1);
    assert_int_equal(a.got_len, 0);
    assert_int_equal(w.opens, 0);
    server_agent_close(&a);
    server_world_free(&w);
}

static void test_later(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    open_world(&w, &a, SERVER_HOLD);
    server_client_open(&w, &c);
    server_client_say(&c, CONNECT);
    test_env_until_count(&w.env, &w.reached_questions, 1);
    test_env_turns(&w.env, 5);
    assert_int_equal(c.got_len, 0);
    wst_request_allow(w.held);
    server_client_expect(&c, OK11);
    server_client_close(&c);
    server_agent_close(&a);
    server_world_free(&w);
}

/* While it is asked, any of the two may go. */
static void test_gone_meanwhile(void **state) {
    (void)state;
    char expected[1024];
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    open_world(&w, &a, SERVER_HOLD);
    server_client_open(&w, &c);
    server_client_say(&c, CONNECT);
    test_env_until_count(&w.env, &w.reached_questions, 1);
    server_client_close(&c);
    test_env_until_count(&w.env, &w.gone, 1);
    test_env_until_count(&w.env, &a.stream_broken, 1);

    server_client_open(&w, &c);
    server_client_say(&c, CONNECT);
    test_env_until_count(&w.env, &w.reached_questions, 2);
    server_agent_close(&a);
    refused(expected, sizeof(expected), 503, "Agent lost", "destination_unavailable");
    server_client_expect(&c, expected);
    assert_int_equal(w.gone, 2);
    server_client_close(&c);
    server_world_free(&w);
}

static void test_unanswered(void **state) {
    (void)state;
    char expected[1024];
    server_world_t w;
    server_agent_t a;
    server_world_init(&w);
    w.reached = SERVER_HOLD;
    w.limits.decision_timeout_ms = 100;
    server_world_start(&w);
    server_agent_open(&w, &a, "berlin", 1);
    refused(expected, sizeof(expected), 504, "No decision in time", "proxy_internal_response");
    server_client_ask(&w, CONNECT, expected);
    test_env_until_count(&w.env, &a.stream_broken, 1);
    server_agent_close(&a);
    server_world_free(&w);
}

/* An agent on this machine that reaches one of the server's own addresses, by whatever name. */
static void test_never_itself(void **state) {
    (void)state;
    char expected[1024], request[200];
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    open_world(&w, &a, SERVER_ALLOW);
    const char *port = strchr(w.address, ':') + 1;
    refused(expected, sizeof(expected), 403, "The destination is this proxy",
            "proxy_loop_detected");
    snprintf(request, sizeof(request), "CONNECT some.name:%s HTTP/1.1\r\n\r\n", port);
    a.address = "127.0.0.1";
    server_client_ask(&w, request, expected);
    assert_int_equal(w.reached_questions, 0);
    a.address = "::ffff:127.0.0.1";
    server_client_ask(&w, request, expected);
    a.address = "0.0.0.0";
    server_client_ask(&w, request, expected);
    a.address = ""; /* not told: as far as can be seen */
    snprintf(request, sizeof(request), "CONNECT 127.0.0.1:%s HTTP/1.1\r\n\r\n", port);
    server_client_ask(&w, request, expected);
    /* Others are reached. */
    a.address = "127.0.0.2";
    server_client_open(&w, &c);
    server_client_say(&c, request);
    server_client_expect(&c, OK11);
    server_client_close(&c);
    a.address = "127.0.0.1";
    server_client_open(&w, &c);
    server_client_say(&c, CONNECT);
    server_client_expect(&c, OK11);
    server_client_close(&c);

    /* Listening everywhere, it is at each address of the machine. */
    assert_int_equal(wst_server_listen(w.server, ":0", 0), WST_EINSECURE);
    server_agent_close(&a);
    server_world_free(&w);

    server_world_init(&w);
    w.options.allow_open = true;
    server_world_start(&w);
    assert_int_equal(wst_server_listen(w.server, ":0", 0), 0);
    server_agent_open(&w, &a, "berlin", 1);
    port = strrchr(wst_server_address(w.server, 1), ':') + 1;
    snprintf(request, sizeof(request), "CONNECT some.name:%s HTTP/1.1\r\n\r\n", port);
    a.address = "::1";
    server_client_ask(&w, request, expected);
    a.address = "127.0.0.1";
    server_client_ask(&w, request, expected);
    a.address = "192.0.2.7";
    server_client_open(&w, &c);
    server_client_say(&c, request);
    server_client_expect(&c, OK11);
    server_client_close(&c);

    /* It takes no chances if it cannot find out which these are. */
    struct rlimit limit, none;
    server_client_open(&w, &c);
    server_client_say(&c, "GET /healthz HTTP/1.1\r\n\r\n");
    test_env_until_count(&w.env, &c.got_len, 1); /* it is accepted */
    size_t before = c.got_len;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    server_client_say(&c, request);
    test_env_until_count(&w.env, &c.got_len, before + strlen(expected));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_memory_equal(c.got + c.got_len - strlen(expected), expected, strlen(expected));
    server_client_close(&c);
    server_agent_close(&a);
    server_world_free(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allowed),    cmocka_unit_test(test_denied),
        cmocka_unit_test(test_later),      cmocka_unit_test(test_gone_meanwhile),
        cmocka_unit_test(test_unanswered), cmocka_unit_test(test_never_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
