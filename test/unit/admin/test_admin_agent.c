/* SPDX-License-Identifier: MIT */
/* The operators of an agent: what they see and do; its own connections serve them as a server's. */
#include "admin_rig.h"

#include <stdio.h>
#include <wstunnel/agent.h>
#include <wstunnel/listener.h>

typedef struct agent_rig {
    admin_rig_t r;
    wst_agent_t *agent;
    char url[96];
    size_t agent_closed;
    wst_rules_t *rules;
    wst_listener_t *place;
    wst_stream_t *destination; /* the last one's end of a stream */
} agent_rig_t;

/* The admin is that of an agent of the world's server, at whose address operators are served. */
static void agent_rig_open(agent_rig_t *a, const wst_admin_account_t *account) {
    memset(a, 0, sizeof(*a));
    admin_rig_open(&a->r);
    admin_rig_close(&a->r);
    snprintf(a->url, sizeof(a->url), "ws://%s", a->r.w.address);
    const wst_agent_options_t options = {
        .size = sizeof(options), .url = a->url, .name = "berlin", .user_data = a};
    assert_int_equal(wst_agent_new(&a->agent, a->r.w.env.ctx, &options), 0);
    a->r.options.server = NULL;
    a->r.options.agent = a->agent;
    a->r.options.accounts = account;
    a->r.options.account_count = account != NULL;
    a->r.closed = 0;
    assert_int_equal(wst_admin_new(&a->r.admin, a->r.w.env.ctx, &a->r.options), 0);
    a->r.w.admin = a->r.admin;
    server_world_until_notice(&a->r.w, "up berlin");
}

static void on_accept(wst_listener_t *listener, wst_stream_t *stream, void *user_data) {
    (void)listener;
    ((agent_rig_t *)user_data)->destination = stream;
}

/* A destination. */
static wst_listener_t *agent_rig_listen(agent_rig_t *a) {
    const wst_listener_options_t options = {
        .size = sizeof(options), .address = "127.0.0.1:0", .on_accept = on_accept, .user_data = a};
    wst_listener_t *listener;
    assert_int_equal(wst_listener_new(&listener, a->r.w.env.ctx, &options), 0);
    return listener;
}

static void on_agent_gone(void *user_data) {
    ((agent_rig_t *)user_data)->agent_closed++;
}

static void agent_rig_free(agent_rig_t *a) {
    admin_rig_close(&a->r);
    wst_agent_close(a->agent, on_agent_gone);
    test_env_until_count(&a->r.w.env, &a->agent_closed, 1);
    admin_rig_free(&a->r);
}

static void test_paths(void **state) {
    static const struct {
        const char *request;
        int status;
    } cases[] = {{"GET /status.json", 200}, {"GET /metrics", 200},
                 {"HEAD /metrics", 200},    {"GET /", 200},
                 {"GET /view.js", 200},     {"GET /drain", 405},
                 {"POST /end-flow", 404},   {"POST /end-user", 404},
                 {"POST /drain", 403},      {"GET /end-stream", 405},
                 {"POST /end-stream", 403}};
    agent_rig_t a;
    (void)state;
    agent_rig_open(&a, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(admin_rig_status(&a.r, cases[i].request, ADMIN_HOST, NULL),
                         cases[i].status);
    agent_rig_free(&a);
}

static void test_status(void **state) {
    agent_rig_t a;
    (void)state;
    agent_rig_open(&a, NULL);
    char server[128];
    snprintf(server, sizeof(server), "\"server\":\"%s\",\"address\":\"\",\"state\":\"up\"",
             a.r.w.address);
    const char *status = admin_rig_ask(&a.r, "GET /status.json", ADMIN_HOST, NULL);
    assert_non_null(strstr(status, "\"agent\":\"berlin\",\"up\":true,"));
    assert_non_null(strstr(status, server));
    assert_non_null(strstr(status, "\"streams\":[],"));
    assert_non_null(strstr(status, "\"health\":{\"names\":0,\"memory_used\":"));
    assert_non_null(strstr(status, "\"totals\":{\"streams\":0,"));
    const char *metrics = admin_rig_ask(&a.r, "GET /metrics", ADMIN_HOST, NULL);
    assert_non_null(strstr(metrics, "\nwstunnel_server_connections{state=\"up\"} 1\n"));
    assert_non_null(strstr(metrics, "\nwstunnel_server_connections{state=\"suspended\"} 0\n"));
    assert_non_null(strstr(metrics, "\nwstunnel_streams_opened_total 0\n"));
    assert_non_null(strstr(metrics, "\nwstunnel_pending_names 0\n"));
    assert_non_null(strstr(metrics, "\n# EOF\n"));
    agent_rig_free(&a);
}

/* Opens a stream through the agent, as its first, to a destination that its rules allow. */
static void open_stream(agent_rig_t *a, server_client_t *c) {
    static const char *const local[] = {"127.0.0.0/8", NULL};
    const wst_rule_t rule = {.size = sizeof(rule), .allow = true, .destinations = local};
    const wst_rules_options_t options = {.size = sizeof(options), .rules = &rule, .count = 1};
    char text[256];
    assert_int_equal(wst_rules_new(&a->rules, &options, NULL), 0);
    wst_agent_set_rules(a->agent, a->rules);
    a->place = agent_rig_listen(a);
    server_client_open(&a->r.w, c);
    snprintf(text, sizeof(text), "CONNECT %s HTTP/1.1\r\n\r\n", wst_listener_address(a->place));
    server_client_say(c, text);
    server_client_expect(c, "HTTP/1.1 200 ");
}

static void close_stream(agent_rig_t *a, server_client_t *c) {
    server_client_close(c);
    wst_listener_close(a->place, NULL);
    wst_stream_close(a->destination, NULL);
    agent_rig_free(a);
    wst_rules_free(a->rules);
}

static void test_streams(void **state) {
    agent_rig_t a;
    server_client_t c;
    char text[256];
    (void)state;
    agent_rig_open(&a, NULL);
    open_stream(&a, &c);
    snprintf(text, sizeof(text), "{\"id\":1,\"destination\":\"%s\",\"state\":\"open\",",
             wst_listener_address(a.place));
    assert_non_null(strstr(admin_rig_ask(&a.r, "GET /status.json", ADMIN_HOST, NULL), text));
    assert_non_null(strstr(admin_rig_ask(&a.r, "GET /metrics", ADMIN_HOST, NULL),
                           "\nwstunnel_streams_opened_total 1\n"));
    close_stream(&a, &c);
}

static void test_end_stream(void **state) {
    static const struct {
        const char *fields, *body;
        int status;
    } cases[] = {{ADMIN_HOST ADMIN_FORM, "id=1", 403},
                 {ADMIN_MARK ADMIN_FORM "Origin: http://evil.example\r\n", "id=1", 403},
                 {ADMIN_MARK ADMIN_FORM, "id=2", 404},
                 {ADMIN_MARK ADMIN_FORM, "id=0", 400},
                 {ADMIN_MARK ADMIN_FORM, "id=x", 400},
                 {ADMIN_MARK, NULL, 400}};
    agent_rig_t a;
    server_client_t c;
    char text[256];
    (void)state;
    agent_rig_open(&a, NULL);
    open_stream(&a, &c);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(admin_rig_status(&a.r, "POST /end-stream", cases[i].fields, cases[i].body),
                         cases[i].status);
    assert_string_equal(a.r.done, "");
    assert_int_equal(wst_agent_streams(a.agent), 1);
    assert_int_equal(admin_rig_status(&a.r, "POST /end-stream", ADMIN_MARK ADMIN_FORM, "id=1"),
                     200);
    assert_non_null(strstr(a.r.answer, "\r\n\r\n{\"count\":1}\n"));
    snprintf(text, sizeof(text), " end-stream 1: to %s 1", wst_listener_address(a.place));
    assert_string_equal(a.r.done, text);
    server_client_expect_reset(&c);
    assert_int_equal(admin_rig_status(&a.r, "POST /end-stream", ADMIN_MARK ADMIN_FORM, "id=1"),
                     404);
    close_stream(&a, &c);
}

static void test_orders(void **state) {
    agent_rig_t a;
    (void)state;
    agent_rig_open(&a, NULL);
    assert_int_equal(admin_rig_status(&a.r, "POST /reconnect", ADMIN_MARK, NULL), 200);
    assert_string_equal(a.r.done, " reconnect the agent 0");
    a.r.admin->options.on_drain = NULL;
    assert_int_equal(admin_rig_status(&a.r, "POST /drain", ADMIN_MARK, NULL), 200);
    assert_string_equal(a.r.done, " drain the agent 0");
    assert_true(wst_agent_is_draining(a.agent));
    agent_rig_free(&a);
}

static void test_accounts(void **state) {
    const wst_admin_account_t ann = {
        .size = sizeof(ann), .name = "ann", .password = "x", .read_only = true};
    const wst_admin_account_t of_tenant = {
        .size = sizeof(ann), .name = "bob", .password = "x", .tenant = "acme"};
    agent_rig_t a;
    (void)state;
    agent_rig_open(&a, &ann);
    assert_int_equal(admin_rig_status(&a.r, "GET /status.json", ADMIN_HOST, NULL), 401);
    assert_int_equal(admin_rig_status(&a.r, "GET /status.json",
                                      ADMIN_HOST "Authorization: Basic YW5uOng=\r\n", NULL),
                     200);
    assert_int_equal(admin_rig_status(&a.r, "POST /end-stream",
                                      ADMIN_MARK ADMIN_FORM "Authorization: Basic YW5uOng=\r\n",
                                      "id=1"),
                     403);
    assert_int_equal(wst_admin_set_accounts(a.r.admin, &of_tenant, 1), WST_EINVAL);
    agent_rig_free(&a);
}

static void test_neither(void **state) {
    admin_rig_t r;
    wst_admin_t *admin;
    (void)state;
    admin_rig_open(&r);
    wst_admin_options_t options = {.size = sizeof(options)};
    assert_int_equal(wst_admin_new(&admin, r.w.env.ctx, &options), WST_EINVAL);
    admin_rig_free(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),      cmocka_unit_test(test_status),
        cmocka_unit_test(test_streams),    cmocka_unit_test(test_orders),
        cmocka_unit_test(test_end_stream), cmocka_unit_test(test_accounts),
        cmocka_unit_test(test_neither)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
