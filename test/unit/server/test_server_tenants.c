/* SPDX-License-Identifier: MIT */
/* Tenants: several share a server without meeting; and agents that must have a certain name. */
#include "server_world.h"

#include <string.h>

#define CONNECT "CONNECT host:22 HTTP/1.1\r\n\r\n"
#define OK11    "HTTP/1.1 200 Connection established\r\n\r\n"
#define NO_AGENT                                                                                   \
    "HTTP/1.1 503 No agent available\r\nProxy-Status: libwstunnel; "                               \
    "error=destination_unavailable; details=\"No agent available\"\r\nRetry-After: 5\r\n"          \
    "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 19\r\nConnection: close\r\n\r\n"   \
    "No agent available\n"

static void open_world(server_world_t *w) {
    server_world_init(w);
    w->clients = w->agents = SERVER_ALLOW;
    server_world_start(w);
}

static void open_agent_of(server_world_t *w, server_agent_t *a, const char *tenant,
                          const char *name) {
    w->agent_tenant = tenant;
    server_agent_open(w, a, name, 1);
}

/* A client of a tenant is served by that tenant's agents and by no others. */
static void test_apart(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a, b;
    server_client_t c;
    open_world(&w);
    open_agent_of(&w, &a, "acme", "berlin");
    w.client_tenant = "globex";
    server_client_ask(&w, CONNECT, NO_AGENT);
    w.client_tenant = "";
    server_client_ask(&w, CONNECT, NO_AGENT);
    w.client_tenant = "acm";
    server_client_ask(&w, CONNECT, NO_AGENT);
    assert_int_equal(a.asked, 0);
    /* The same name, instance and all: another agent nevertheless, which replaces nothing. */
    open_agent_of(&w, &b, "globex", "berlin");
    assert_int_equal(w.ups, 2);
    assert_int_equal(a.down, 0);
    assert_string_equal(wst_remote_tenant(w.last_up), "globex");
    for (int i = 0; i < 3; i++) {
        w.client_tenant = "globex";
        server_client_open(&w, &c);
        server_client_say(&c, CONNECT);
        server_client_expect(&c, OK11);
        server_client_close(&c);
    }
    assert_int_equal(a.asked, 0);
    assert_int_equal(b.asked, 3);
    server_agent_close(&b);
    server_client_ask(&w, CONNECT, NO_AGENT);
    server_agent_close(&a);
    server_world_free(&w);
}

/* Whoever chooses cannot choose across. */
static void choose_first(server_world_t *w) {
    wst_request_choose(w->held, wst_server_next_agent(w->server, NULL));
}

static void test_choice_is_checked(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_world_init(&w);
    w.clients = w.agents = SERVER_ALLOW;
    w.choice = SERVER_HOLD;
    w.in_choice = choose_first;
    server_world_start(&w);
    open_agent_of(&w, &a, "acme", "berlin");
    w.client_tenant = "globex";
    server_client_ask(&w, CONNECT, NO_AGENT);
    assert_int_equal(w.choice_questions, 1);
    assert_int_equal(a.asked, 0);
    server_agent_close(&a);
    server_world_free(&w);
}

static void on_dialled(int status, wst_stream_t *stream, void *user_data) {
    *(int *)user_data = status;
    if (stream != NULL)
        wst_stream_close(stream, NULL);
}

/* A dial without a client: any agent if it is named, else only those of no tenant. */
static void test_dial(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    wst_server_dial_t *dial;
    open_world(&w);
    open_agent_of(&w, &a, "acme", "berlin");
    int status = 1;
    wst_flow_options_t options = {.size = sizeof(options), .destination = "x:1", .unasked = true};
    assert_int_equal(wst_server_dial(&dial, w.server, &options, on_dialled, &status), 0);
    while (status == 1)
        uv_run(&w.env.loop, UV_RUN_ONCE);
    assert_int_equal(status, WST_ENOAGENT);
    status = 1;
    options.remote = w.last_up;
    assert_int_equal(wst_server_dial(&dial, w.server, &options, on_dialled, &status), 0);
    while (status == 1)
        uv_run(&w.env.loop, UV_RUN_ONCE);
    assert_int_equal(status, 0);
    server_agent_close(&a);
    server_world_free(&w);
}

/* An agent's credentials may be good for one name only. */
static void test_name(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a, b;
    open_world(&w);
    w.agent_name = "berlin";
    server_agent_init(&w, &a, "paris", 1);
    server_agent_start(&a);
    test_env_until_count(&w.env, &a.down, 1);
    assert_non_null(strstr(a.detail, "these credentials are those of an agent of another name"));
    server_world_assert_notice(&w, "agent refused 0 these credentials are those of an agent of "
                                   "another name\n");
    assert_non_null(strstr(w.last_refusal, "|http_request_denied|"));
    assert_int_equal(w.ups, 0);
    server_agent_close(&a);
    server_agent_open(&w, &b, "berlin", 1);
    server_agent_close(&b);
    server_world_free(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_apart),
        cmocka_unit_test(test_choice_is_checked),
        cmocka_unit_test(test_dial),
        cmocka_unit_test(test_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
