/* SPDX-License-Identifier: MIT */
/* SOCKS5 clients of a server: those that leave, fall silent, or see the server drain and close. */
#include "socks_world.h"

#include "ctx.h"

#include <stdio.h>

/* -- Clients that go away ---------------------------------------------------------------------- */

typedef enum leaving { BY_RESET, BY_END } leaving_t;

static void leave(server_client_t *c, leaving_t how) {
    if (how == BY_END)
        server_client_end(c);
    else
        server_client_close(c);
}

static void leave_while_dialling(leaving_t how, const char *early) {
    socks_world_t s;
    server_client_t c;
    socks_world_open(&s);
    s.a.treatment = SERVER_AGENT_KEEP;
    socks_world_client(&s, &c);
    server_client_send(&c, SOCKS_BYTES(SOCKS_NO_LOGIN SOCKS_REQUEST));
    server_client_say(&c, early);
    test_env_until_count(&s.w.env, &s.a.asked, 1);
    leave(&c, how);
    test_env_until_count(&s.w.env, &s.a.cancelled, 1); /* the agent stops dialling */
    assert_int_equal(server_world_stats(&s.w).pending, 0);
    server_world_until_connections(&s.w, 1);
    if (how == BY_END)
        server_client_close(&c);
    assert_int_equal(s.w.opens + s.w.refusals, 0);
    socks_world_free(&s);
}

static void test_gone_while_dialling(void **state) {
    (void)state;
    leave_while_dialling(BY_END, "");
    leave_while_dialling(BY_RESET, "");
    leave_while_dialling(BY_RESET, "early"); /* noticed behind early bytes, too */
}

static void leave_while_asked(leaving_t how, server_policy_t logins, const char *says, size_t len) {
    socks_world_t s;
    server_client_t c;
    socks_world_init(&s);
    s.w.logins = logins;
    s.w.clients = SERVER_HOLD;
    socks_world_start(&s);
    socks_world_client(&s, &c);
    server_client_send(&c, says, len);
    if (logins == SERVER_HOLD)
        test_env_until_count(&s.w.env, &s.w.login_questions, 1);
    else
        test_env_until_count(&s.w.env, &s.w.client_questions, 1);
    leave(&c, how);
    test_env_until_count(&s.w.env, &s.w.gone, 1);
    server_world_until_connections(&s.w, 1);
    if (how == BY_END)
        server_client_close(&c);
    assert_int_equal(s.w.opens + s.w.refusals, 0);
    socks_world_free(&s);
}

static void test_gone_while_asked(void **state) {
    (void)state;
    for (leaving_t how = BY_RESET; how <= BY_END; how++) {
        leave_while_asked(how, SERVER_HOLD, SOCKS_BYTES(SOCKS_NO_LOGIN));
        leave_while_asked(how, SERVER_ALLOW,
                          SOCKS_BYTES(SOCKS_WITH_LOGIN SOCKS_ALICE SOCKS_REQUEST));
    }
    leave_while_asked(BY_RESET, SERVER_HOLD, SOCKS_BYTES(SOCKS_NO_LOGIN SOCKS_REQUEST "early"));
}

/* The end came before the answer that lets it go on, and there is nothing for the destination. */
static void test_gone_before_its_request_is_read(void **state) {
    (void)state;
    socks_world_t s;
    server_client_t c;
    socks_world_init(&s);
    s.w.logins = SERVER_HOLD;
    socks_world_start(&s);
    socks_world_client(&s, &c);
    server_client_send(&c, SOCKS_BYTES(SOCKS_NO_LOGIN SOCKS_REQUEST));
    server_client_end(&c);
    test_env_until_count(&s.w.env, &s.w.login_questions, 1);
    test_env_turns(&s.w.env, 20);
    wst_request_allow(s.w.held);
    server_world_until_connections(&s.w, 1);
    assert_int_equal(s.a.asked, 0);
    server_client_close(&c);
    socks_world_free(&s);
}

static void end_behind(socks_world_t *s, const char *says, size_t len, const char *told,
                       size_t told_len) {
    server_client_t c;
    socks_world_client(s, &c);
    if (len > 0)
        server_client_send(&c, says, len);
    server_client_end(&c);
    socks_world_expect_last(&c, told, told_len);
}

static void test_end_in_the_middle(void **state) {
    (void)state;
    socks_world_t s;
    socks_world_init(&s);
    s.w.logins = SERVER_ALLOW;
    socks_world_start(&s);
    end_behind(&s, SOCKS_BYTES(""), SOCKS_BYTES(""));
    assert_string_equal(s.log, "");
    end_behind(&s, SOCKS_BYTES("\5"), SOCKS_BYTES("\5\377"));
    end_behind(&s, SOCKS_BYTES(SOCKS_WITH_LOGIN "\1\5al"), SOCKS_BYTES("\5\2\1\1"));
    end_behind(&s, SOCKS_BYTES(SOCKS_WITH_LOGIN SOCKS_ALICE "\5\1"),
               SOCKS_BYTES("\5\2\1\0" SOCKS_REPLY("\1")));
    socks_world_assert_logged(&s, "SOCKS: it ended before its request was complete");
    server_world_until_connections(&s.w, 1);
    socks_world_free(&s);
}

/* -- Deadlines --------------------------------------------------------------------------------- */

static void fall_silent(socks_world_t *s, const char *says, size_t len, const char *told,
                        size_t told_len) {
    server_client_t c;
    socks_world_client(s, &c);
    if (len > 0)
        server_client_send(&c, says, len);
    socks_world_expect_last(&c, told, told_len);
}

static void test_head_timeout(void **state) {
    (void)state;
    socks_world_t s;
    socks_world_init(&s);
    s.w.limits.head_timeout_ms = 30;
    s.w.logins = SERVER_ALLOW;
    socks_world_start(&s);
    fall_silent(&s, SOCKS_BYTES(""), SOCKS_BYTES(""));
    assert_string_equal(s.log, "");
    fall_silent(&s, SOCKS_BYTES("\5"), SOCKS_BYTES("\5\377"));
    fall_silent(&s, SOCKS_BYTES(SOCKS_WITH_LOGIN), SOCKS_BYTES("\5\2\1\1"));
    fall_silent(&s, SOCKS_BYTES(SOCKS_WITH_LOGIN SOCKS_ALICE "\5\1\0\3\4ho"),
                SOCKS_BYTES("\5\2\1\0" SOCKS_REPLY("\1")));
    socks_world_assert_logged(&s, "SOCKS: no complete request in time");
    socks_world_free(&s);
}

/* Lets the loop's time pass, so that a deadline that is set anew is another one. */
static void pass(socks_world_t *s, uint64_t ms) {
    uint64_t start = uv_now(&s->w.env.loop);
    while (uv_now(&s->w.env.loop) < start + ms) {
        uv_run(&s->w.env.loop, UV_RUN_NOWAIT);
        uv_sleep(1);
    }
}

/* So that there is no other deadline than a client's. */
static void start_without_agent(socks_world_t *s) {
    server_world_start(&s->w);
    snprintf(s->address, sizeof(s->address), "%s", socks_world_listen(s, WST_ROLE_SOCKS));
}

/* The time is that of all messages together: none of them is given a new one. */
static void test_one_deadline_for_all_messages(void **state) {
    (void)state;
    socks_world_t s;
    server_client_t c;
    socks_world_init(&s);
    start_without_agent(&s);
    socks_world_client(&s, &c);
    server_world_until_connections(&s.w, 1);
    const uint64_t deadline = wst__deadlines_next(&s.w.env.ctx->deadlines);
    pass(&s, 5);
    server_client_send(&c, SOCKS_BYTES(SOCKS_WITH_LOGIN));
    server_client_expect_bytes(&c, SOCKS_BYTES("\5\2"));
    assert_int_equal(wst__deadlines_next(&s.w.env.ctx->deadlines), deadline);
    pass(&s, 5);
    server_client_send(&c, SOCKS_BYTES(SOCKS_ALICE));
    server_client_expect_bytes(&c, SOCKS_BYTES("\1\0"));
    assert_int_equal(wst__deadlines_next(&s.w.env.ctx->deadlines), deadline);
    server_client_close(&c);
    server_world_free(&s.w);
}

/* A question does not use up the client's time. */
static void test_question_takes_its_own_time(void **state) {
    (void)state;
    socks_world_t s;
    server_client_t c;
    socks_world_init(&s);
    s.w.limits.decision_timeout_ms = 60000;
    s.w.logins = SERVER_HOLD;
    start_without_agent(&s);
    socks_world_client(&s, &c);
    server_world_until_connections(&s.w, 1);
    const uint64_t deadline = wst__deadlines_next(&s.w.env.ctx->deadlines);
    server_client_send(&c, SOCKS_BYTES(SOCKS_NO_LOGIN));
    test_env_until_count(&s.w.env, &s.w.login_questions, 1);
    assert_true(wst__deadlines_next(&s.w.env.ctx->deadlines) > deadline);
    pass(&s, 5);
    wst_request_allow(s.w.held);
    server_client_expect_bytes(&c, SOCKS_BYTES("\5\0"));
    assert_in_range(wst__deadlines_next(&s.w.env.ctx->deadlines), deadline + 5,
                    uv_now(&s.w.env.loop) + 10000);
    server_client_close(&c);
    server_world_free(&s.w);
}

static void test_no_decision(void **state) {
    (void)state;
    socks_world_t s;
    socks_world_init(&s);
    s.w.limits.decision_timeout_ms = 30;
    s.w.logins = SERVER_HOLD;
    socks_world_start(&s);
    socks_world_converse(&s, SOCKS_BYTES(SOCKS_NO_LOGIN SOCKS_REQUEST), SOCKS_BYTES("\5\377"));
    server_world_assert_notice(&s.w, "refused  504 No decision in time\n");
    assert_int_equal(s.w.gone, 1);
    socks_world_free(&s);
}

/* -- Draining and closing ---------------------------------------------------------------------- */

static void test_drain_lets_the_silent_go(void **state) {
    (void)state;
    socks_world_t s;
    server_client_t c, mixed;
    socks_world_open(&s);
    server_client_open_at(&s.w, &mixed, socks_world_listen(&s, WST_ROLE_SOCKS | WST_ROLE_CONNECT));
    socks_world_client(&s, &c);
    server_world_until_connections(&s.w, 3);
    wst_server_drain(s.w.server);
    server_client_expect_end(&c);
    server_client_expect_end(&mixed);
    test_env_until_count(&s.w.env, &s.w.drained, 1);
    server_client_close(&c);
    server_client_close(&mixed);
    socks_world_free(&s);
}

/* Who is asked about hears how that ended, and then that nothing new is taken. */
static void test_drain_waits_for_logins(void **state) {
    (void)state;
    socks_world_t s;
    server_client_t c;
    socks_world_init(&s);
    s.w.logins = SERVER_HOLD;
    socks_world_start(&s);
    socks_world_client(&s, &c);
    server_client_send(&c, SOCKS_BYTES(SOCKS_NO_LOGIN));
    test_env_until_count(&s.w.env, &s.w.login_questions, 1);
    wst_server_drain(s.w.server);
    test_env_turns(&s.w.env, 20);
    assert_int_equal(s.w.drained, 0);
    wst_request_allow(s.w.held);
    server_client_expect_bytes(&c, SOCKS_BYTES("\5\0"));
    assert_int_equal(s.w.drained, 0);
    server_client_send(&c, SOCKS_BYTES(SOCKS_REQUEST));
    server_client_expect_bytes(&c, SOCKS_BYTES(SOCKS_REPLY("\1")));
    server_world_assert_notice(&s.w, "refused host:22 503 Server is shutting down\n");
    server_client_expect_end(&c);
    server_client_close(&c);
    test_env_until_count(&s.w.env, &s.w.drained, 1);
    socks_world_free(&s);
}

static void test_drain_waits_for_tunnels(void **state) {
    (void)state;
    socks_world_t s;
    server_client_t c;
    socks_world_open(&s);
    socks_world_client(&s, &c);
    server_client_send(&c, SOCKS_BYTES(SOCKS_NO_LOGIN SOCKS_REQUEST));
    server_client_expect_bytes(&c, SOCKS_BYTES("\5\0" SOCKS_CONNECTED));
    wst_server_drain(s.w.server);
    test_env_turns(&s.w.env, 20);
    assert_int_equal(s.w.drained, 0);
    server_client_say(&c, "on and on");
    server_agent_expect(&s.a, "on and on");
    server_client_close(&c);
    test_env_until_count(&s.w.env, &s.w.drained, 1);
    socks_world_free(&s);
}

static bool is_over(void *arg) {
    const server_client_t *c = arg;
    return c->ended + c->broken > 0;
}

/* Where a client may be when the server is closed. */
static void test_close(void **state) {
    (void)state;
    static const struct {
        const char *says;
        size_t len;
        server_policy_t logins;
        server_treatment_t agent;
    } rows[] = {
        {SOCKS_BYTES(""), SERVER_UNASKED, SERVER_AGENT_ACCEPT},
        {SOCKS_BYTES("\5"), SERVER_UNASKED, SERVER_AGENT_ACCEPT},
        {SOCKS_BYTES(SOCKS_NO_LOGIN), SERVER_HOLD, SERVER_AGENT_ACCEPT},
        {SOCKS_BYTES(SOCKS_WITH_LOGIN), SERVER_ALLOW, SERVER_AGENT_ACCEPT},
        {SOCKS_BYTES(SOCKS_NO_LOGIN SOCKS_REQUEST "early"), SERVER_UNASKED, SERVER_AGENT_KEEP},
        {SOCKS_BYTES(SOCKS_NO_LOGIN SOCKS_REQUEST), SERVER_UNASKED, SERVER_AGENT_ACCEPT},
        {SOCKS_BYTES(SOCKS_NO_LOGIN "\5\2\0\3\1a\0\120"), SERVER_UNASKED, SERVER_AGENT_ACCEPT},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        socks_world_t s;
        server_client_t c;
        socks_world_init(&s);
        s.w.logins = rows[i].logins;
        socks_world_start(&s);
        s.a.treatment = rows[i].agent;
        socks_world_client(&s, &c);
        if (rows[i].len > 0)
            server_client_send(&c, rows[i].says, rows[i].len);
        server_world_until_connections(&s.w, 2);
        test_env_turns(&s.w.env, 30);
        server_world_close(&s.w);
        test_env_until(&s.w.env, is_over, &c);
        server_client_close(&c);
        socks_world_free(&s);
    }
}

/* In on_client_login, on_client_request, on_stream_open, on_refused. */
static void test_close_in_callbacks(void **state) {
    (void)state;
    for (const char *callback = "lcor"; *callback != '\0'; callback++) {
        socks_world_t s;
        server_client_t c;
        socks_world_init(&s);
        s.w.logins = s.w.clients = SERVER_ALLOW;
        s.w.close_at = *callback;
        socks_world_start(&s);
        if (*callback == 'r')
            s.a.treatment = SERVER_AGENT_REFUSE;
        s.a.reason = WST_EREFUSED;
        socks_world_client(&s, &c);
        server_client_send(&c, SOCKS_BYTES(SOCKS_WITH_LOGIN SOCKS_ALICE SOCKS_REQUEST));
        test_env_until_count(&s.w.env, &s.w.closed, 1);
        test_env_until(&s.w.env, is_over, &c);
        server_client_close(&c);
        socks_world_free(&s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gone_while_dialling),
        cmocka_unit_test(test_gone_while_asked),
        cmocka_unit_test(test_gone_before_its_request_is_read),
        cmocka_unit_test(test_end_in_the_middle),
        cmocka_unit_test(test_head_timeout),
        cmocka_unit_test(test_one_deadline_for_all_messages),
        cmocka_unit_test(test_question_takes_its_own_time),
        cmocka_unit_test(test_no_decision),
        cmocka_unit_test(test_drain_lets_the_silent_go),
        cmocka_unit_test(test_drain_waits_for_logins),
        cmocka_unit_test(test_drain_waits_for_tunnels),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_close_in_callbacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
