/* SPDX-License-Identifier: MIT */
/* What operators do, and what nobody makes them do. */
#include "admin_rig.h"

#include <stdio.h>

#define CAT "Authorization: Basic Y2F0OmM=\r\n" /* of the tenant acme */
#define ANN "Authorization: Basic YW5uOnNlY3JldA==\r\n"

static const wst_admin_account_t accounts[] = {
    {.size = sizeof(wst_admin_account_t), .name = "ann", .password = "secret"},
    {.size = sizeof(wst_admin_account_t), .name = "cat", .password = "c", .tenant = "acme"}};

static void test_forged(void **state) {
    static const struct {
        const char *fields;
        int status;
    } cases[] = {
        {ADMIN_HOST, 403},
        {ADMIN_HOST "Wstunnel-Admin: 0\r\n", 403},
        {ADMIN_MARK, 200},
        {ADMIN_MARK "Origin: http://localhost\r\n", 200},
        {ADMIN_MARK "Origin: https://localhost\r\n", 200},
        {ADMIN_MARK "Origin: http://localhost:81\r\n", 403},
        {ADMIN_MARK "Origin: http://evil.example\r\n", 403},
        {ADMIN_MARK "Origin: null\r\n", 403},
        {ADMIN_MARK "Sec-Fetch-Site: same-origin\r\n", 200},
        {ADMIN_MARK "Sec-Fetch-Site: none\r\n", 200},
        {ADMIN_MARK "Sec-Fetch-Site: same-site\r\n", 403},
        {ADMIN_MARK "Sec-Fetch-Site: cross-site\r\n", 403},
    };
    admin_rig_t r;
    (void)state;
    admin_rig_open(&r);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(admin_rig_status(&r, "POST /drain", cases[i].fields, NULL),
                         cases[i].status);
    assert_int_equal(r.drains, 5);
    assert_string_equal(r.done, " drain the server 0");
    admin_rig_free(&r);
}

static void test_forms(void **state) {
    static char long_form[WST__ADMIN_FORM_MAX + 2];
    static const struct {
        const char *request, *fields, *body;
        int status;
    } cases[] = {
        {"POST /end-flow", ADMIN_MARK ADMIN_FORM, "id=1", 404},
        {"POST /end-flow",
         ADMIN_MARK "Content-Type: APPLICATION/x-www-form-urlencoded ; "
                    "charset=utf-8\r\n",
         "id=1", 404},
        {"POST /end-flow", ADMIN_MARK, "id=1", 415},
        {"POST /end-flow", ADMIN_MARK "Content-Type: application/json\r\n", "{}", 415},
        {"POST /end-flow", ADMIN_MARK ADMIN_FORM, NULL, 400},
        {"POST /end-flow", ADMIN_MARK ADMIN_FORM, "", 400},
        {"POST /end-flow", ADMIN_MARK ADMIN_FORM, "id=x", 400},
        {"POST /end-flow", ADMIN_MARK ADMIN_FORM, "id=0", 400},
        {"POST /end-flow", ADMIN_MARK ADMIN_FORM, long_form, 413},
        {"POST /end-flow", ADMIN_MARK ADMIN_FORM, long_form + 1, 400},
        {"POST /end-flow", ADMIN_MARK ADMIN_FORM "Transfer-Encoding: chunked\r\n", NULL, 411},
        {"POST /end-user", ADMIN_MARK ADMIN_FORM, "user=", 400},
        {"POST /end-user", ADMIN_MARK ADMIN_FORM, "user=x&tenant=%00", 400},
        {"POST /end-user", ADMIN_MARK ADMIN_FORM, "user=x", 404},
        {"POST /end-agent", ADMIN_MARK ADMIN_FORM, "name=x", 400},
        {"POST /end-agent", ADMIN_MARK ADMIN_FORM, "name=x&instance=00", 404},
    };
    admin_rig_t r;
    (void)state;
    memset(long_form, 'x', sizeof(long_form) - 1);
    admin_rig_open(&r);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(admin_rig_status(&r, cases[i].request, cases[i].fields, cases[i].body),
                         cases[i].status);
    assert_string_equal(r.done, "");
    admin_rig_free(&r);
}

/* A tunnel of alice, of the tenant acme. */
static void open_tunnel(admin_rig_t *r, server_agent_t *a, server_client_t *c) {
    admin_rig_init(r);
    r->options.accounts = accounts;
    r->options.account_count = 2;
    r->w.clients = r->w.agents = SERVER_ALLOW;
    r->w.client_tenant = r->w.agent_tenant = "acme";
    admin_rig_start(r);
    server_agent_open(&r->w, a, "one", 1);
    server_client_connect(&r->w, c);
}

static void close_tunnel(admin_rig_t *r, server_agent_t *a, server_client_t *c) {
    server_client_close(c);
    server_agent_close(a);
    admin_rig_free(r);
}

static void test_end_flow(void **state) {
    server_agent_t a;
    server_client_t c;
    admin_rig_t r;
    (void)state;
    open_tunnel(&r, &a, &c);
    assert_int_equal(admin_rig_status(&r, "POST /end-flow", ANN ADMIN_MARK ADMIN_FORM, "id=2"),
                     404);
    assert_int_equal(admin_rig_status(&r, "POST /end-flow", ANN ADMIN_MARK ADMIN_FORM, "id=1"),
                     200);
    assert_non_null(strstr(r.answer, "\r\n\r\n{\"count\":1}\n"));
    assert_int_equal(strncmp(r.done, "ann end-flow 1: alice at 127.0.0.1:", 35), 0);
    assert_non_null(strstr(r.done, " to host:22 1"));
    server_client_expect_reset(&c);
    server_world_until_notice(&r.w, "close ");
    assert_int_equal(r.w.last_close.status, WST_EDENIED);
    close_tunnel(&r, &a, &c);
}

static void test_end_user(void **state) {
    server_agent_t a;
    server_client_t c;
    admin_rig_t r;
    (void)state;
    open_tunnel(&r, &a, &c);
    assert_int_equal(admin_rig_status(&r, "POST /end-user", ANN ADMIN_MARK ADMIN_FORM,
                                      "user=alice&tenant=other"),
                     404);
    assert_int_equal(admin_rig_status(&r, "POST /end-user", CAT ADMIN_MARK ADMIN_FORM,
                                      "user=alice&tenant=other"),
                     404);
    assert_int_equal(
        admin_rig_status(&r, "POST /end-user", CAT ADMIN_MARK ADMIN_FORM, "user=alice"), 200);
    assert_string_equal(r.done, "cat end-user alice of tenant acme 1");
    server_client_expect_reset(&c);
    close_tunnel(&r, &a, &c);
}

static void test_end_agent(void **state) {
    server_agent_t a;
    server_client_t c;
    admin_rig_t r;
    (void)state;
    open_tunnel(&r, &a, &c);
    assert_int_equal(admin_rig_status(&r, "GET /status.json", ANN, NULL), 200);
    const char *instance = wst_remote_instance(wst_server_next_agent(r.w.server, NULL));
    char own[100];
    snprintf(own, sizeof(own), "name=one&instance=%s", instance);
    assert_int_equal(
        admin_rig_status(&r, "POST /end-agent", ANN ADMIN_MARK ADMIN_FORM, "name=one&instance=00"),
        404);
    assert_int_equal(admin_rig_status(&r, "POST /end-agent", CAT ADMIN_MARK ADMIN_FORM, own), 200);
    assert_int_equal(strncmp(r.done, "cat end-agent one at 127.0.0.1:", 31), 0);
    server_world_until_notice(&r.w, "down one");
    assert_int_equal(admin_rig_status(&r, "GET /status.json", ANN, NULL), 200);
    assert_non_null(strstr(r.answer, " it was disconnected by the server's administrator\"}]"));
    close_tunnel(&r, &a, &c);
}

/* An operator of a tenant reaches nothing of others. */
static void test_other_tenant(void **state) {
    server_agent_t a;
    server_client_t c;
    admin_rig_t r;
    char own[100];
    (void)state;
    admin_rig_init(&r);
    r.options.accounts = accounts;
    r.options.account_count = 2;
    r.w.clients = r.w.agents = SERVER_ALLOW;
    r.w.client_tenant = r.w.agent_tenant = "zoo";
    admin_rig_start(&r);
    server_agent_open(&r.w, &a, "one", 1);
    server_client_connect(&r.w, &c);
    snprintf(own, sizeof(own), "name=one&instance=%s",
             wst_remote_instance(wst_server_next_agent(r.w.server, NULL)));
    assert_int_equal(admin_rig_status(&r, "POST /end-agent", CAT ADMIN_MARK ADMIN_FORM, own), 404);
    assert_int_equal(admin_rig_status(&r, "POST /end-flow", CAT ADMIN_MARK ADMIN_FORM, "id=1"),
                     404);
    assert_int_equal(
        admin_rig_status(&r, "POST /end-user", CAT ADMIN_MARK ADMIN_FORM, "user=alice"), 404);
    assert_int_equal(admin_rig_status(&r, "GET /status.json", CAT, NULL), 200);
    assert_non_null(strstr(r.answer, "\"agents\":[]"));
    assert_non_null(strstr(r.answer, "\"flows\":[]"));
    assert_null(strstr(r.answer, "\"health\""));
    assert_null(strstr(r.answer, "\"totals\""));
    assert_int_equal(admin_rig_status(&r, "GET /metrics", CAT, NULL), 200);
    assert_null(strstr(r.answer, "wstunnel_streams"));
    assert_null(strstr(r.answer, "zoo"));
    server_agent_expect_alive(&a, &c);
    close_tunnel(&r, &a, &c);
}

/* The server drains, once the answer is on its way; who is there can watch. */
static void test_drain(void **state) {
    server_client_t watching;
    admin_rig_t r;
    (void)state;
    admin_rig_init(&r);
    r.options.on_drain = NULL;
    admin_rig_start(&r);
    admin_rig_client(&r, &watching);
    server_client_say(&watching, "GET /status.json HTTP/1.1\r\n" ADMIN_HOST "\r\n");
    admin_rig_until(&r, &watching, "\"draining\":false");
    assert_int_equal(admin_rig_status(&r, "POST /drain", ADMIN_MARK, NULL), 200);
    assert_true(wst_server_is_draining(r.w.server));
    server_client_say(&watching, "GET /status.json HTTP/1.1\r\n" ADMIN_HOST "\r\n");
    admin_rig_until(&r, &watching, "\"draining\":true");
    server_client_close(&watching);
    admin_rig_free(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forged),    cmocka_unit_test(test_forms),
        cmocka_unit_test(test_end_flow),  cmocka_unit_test(test_end_user),
        cmocka_unit_test(test_end_agent), cmocka_unit_test(test_other_tenant),
        cmocka_unit_test(test_drain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
