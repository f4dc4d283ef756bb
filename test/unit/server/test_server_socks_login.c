/* SPDX-License-Identifier: MIT */
/* SOCKS5 clients of a server: who must log in, and how. */
#include "socks_world.h"

/* -- Logging in -------------------------------------------------------------------------------- */

static void test_login(void **state) {
    (void)state;
    socks_world_t s;
    server_client_t c;
    socks_world_init(&s);
    s.w.logins = SERVER_ALLOW;
    s.w.clients = SERVER_HOLD;
    s.w.client_tenant = "";
    socks_world_start(&s);
    socks_world_client(&s, &c);
    server_client_send(&c, SOCKS_BYTES(SOCKS_EITHER));
    server_client_expect_bytes(&c, SOCKS_BYTES("\5\2"));
    assert_string_equal(s.w.login_what, "");
    server_client_send(&c, SOCKS_BYTES(SOCKS_ALICE));
    server_client_expect_bytes(&c, SOCKS_BYTES("\1\0"));
    assert_string_equal(s.w.login_what, "alice:secret");
    server_client_send(&c, SOCKS_BYTES(SOCKS_REQUEST));
    test_env_until_count(&s.w.env, &s.w.client_questions, 1);
    assert_true(wst_request_is_authenticated(s.w.held));
    assert_string_equal(s.w.question, "host:22 alice");
    assert_null(wst_request_head(s.w.held));
    wst_auth_basic_t login;
    assert_true(wst_request_basic(s.w.held, &login));
    assert_string_equal(login.password, "secret");
    wst_request_allow(s.w.held);
    server_client_expect_bytes(&c, SOCKS_BYTES(SOCKS_CONNECTED));
    server_world_assert_notice(&s.w, "open 1 alice host:22 one\n");
    server_client_close(&c);
    socks_world_free(&s);
}

static void test_wrong_login(void **state) {
    (void)state;
    socks_world_t s;
    socks_world_init(&s);
    s.w.logins = SERVER_ALLOW;
    socks_world_start(&s);
    socks_world_converse(&s, SOCKS_BYTES(SOCKS_WITH_LOGIN SOCKS_WRONG SOCKS_REQUEST),
                         SOCKS_BYTES("\5\2\1\1"));
    server_world_assert_notice(&s.w, "refused  407 Proxy Authentication Required\n");
    socks_world_assert_logged(&s, ": login refused: 407 ");
    assert_int_equal(s.w.refusals, 1);
    socks_world_converse(&s, SOCKS_BYTES(SOCKS_WITH_LOGIN "\1\6ali\0ce\6secret"),
                         SOCKS_BYTES("\5\2\1\1"));
    server_world_assert_notice(&s.w, "refused  407 Malformed credentials\n");
    socks_world_converse(&s, SOCKS_BYTES(SOCKS_WITH_LOGIN "\1\0\0"), SOCKS_BYTES("\5\2\1\1"));
    assert_string_equal(s.w.login_what, ":");
    socks_world_converse(&s, SOCKS_BYTES(SOCKS_WITH_LOGIN "\2\5alice\6secret"),
                         SOCKS_BYTES("\5\2\1\1"));
    socks_world_assert_logged(&s, "SOCKS: unknown version of the login");
    assert_int_equal(s.a.asked, 0);
    socks_world_free(&s);
}

static void test_must_log_in_but_cannot(void **state) {
    (void)state;
    socks_world_t s;
    socks_world_init(&s);
    s.w.logins = SERVER_ALLOW;
    socks_world_start(&s);
    socks_world_converse(&s, SOCKS_BYTES(SOCKS_NO_LOGIN), SOCKS_BYTES("\5\377"));
    server_world_assert_notice(&s.w, "refused  407 Proxy Authentication Required\n");
    socks_world_converse(&s, SOCKS_BYTES("\5\2\1\3"), SOCKS_BYTES("\5\377"));
    socks_world_converse(&s, SOCKS_BYTES("\5\0"), SOCKS_BYTES("\5\377"));
    socks_world_free(&s);
}

static void test_may_not_come_in(void **state) {
    (void)state;
    socks_world_t s;
    socks_world_init(&s);
    s.w.logins = SERVER_DENY;
    s.w.deny_status = 429;
    socks_world_start(&s);
    socks_world_converse(&s, SOCKS_BYTES(SOCKS_EITHER), SOCKS_BYTES("\5\377"));
    server_world_assert_notice(&s.w, "refused  429 Too Many Requests\n");
    assert_int_equal(s.w.login_questions, 1);
    socks_world_free(&s);
}

/* Without a login the policy may know a client all the same; who insists on one is asked again. */
static void test_allowed_without_login(void **state) {
    (void)state;
    socks_world_t s;
    server_client_t c;
    socks_world_init(&s);
    s.w.logins = SERVER_HOLD;
    socks_world_start(&s);
    socks_world_client(&s, &c);
    server_client_send(&c, SOCKS_BYTES(SOCKS_EITHER SOCKS_REQUEST));
    test_env_until_count(&s.w.env, &s.w.login_questions, 1);
    wst_request_set_user(s.w.held, "carol");
    wst_request_allow(s.w.held);
    server_client_expect_bytes(&c, SOCKS_BYTES("\5\0" SOCKS_CONNECTED));
    server_world_assert_notice(&s.w, "open 1 carol host:22 one\n");
    server_client_close(&c);

    socks_world_client(&s, &c);
    server_client_send(&c, SOCKS_BYTES(SOCKS_WITH_LOGIN SOCKS_ALICE));
    test_env_until_count(&s.w.env, &s.w.login_questions, 2);
    wst_request_set_user(s.w.held, "carol");
    wst_request_allow(s.w.held);
    test_env_until_count(&s.w.env, &s.w.login_questions, 3);
    assert_string_equal(s.w.login_what, "alice:secret");
    wst_request_deny(s.w.held, 403, NULL, NULL);
    socks_world_expect_last(&c, SOCKS_BYTES("\5\2\1\1"));
    socks_world_free(&s);
}

/* Nobody is asked at the greeting: whoever insists on a login has one, and flows are asked about as
 * those of strangers. */
static void test_nobody_asks_for_a_login(void **state) {
    (void)state;
    socks_world_t s;
    server_client_t c;
    wst_auth_basic_t login;
    socks_world_init(&s);
    s.w.clients = SERVER_HOLD;
    socks_world_start(&s);
    socks_world_client(&s, &c);
    server_client_send(&c, SOCKS_BYTES(SOCKS_EITHER SOCKS_REQUEST));
    test_env_until_count(&s.w.env, &s.w.client_questions, 1);
    assert_false(wst_request_is_authenticated(s.w.held));
    assert_false(wst_request_basic(s.w.held, &login));
    wst_request_allow(s.w.held);
    server_client_expect_bytes(&c, SOCKS_BYTES("\5\0" SOCKS_CONNECTED));
    server_client_close(&c);

    socks_world_client(&s, &c);
    server_client_send(&c, SOCKS_BYTES(SOCKS_WITH_LOGIN SOCKS_WRONG SOCKS_REQUEST));
    test_env_until_count(&s.w.env, &s.w.client_questions, 2);
    assert_false(wst_request_is_authenticated(s.w.held));
    assert_true(wst_request_basic(s.w.held, &login));
    assert_string_equal(login.user, "alice");
    wst_request_allow(s.w.held);
    server_client_expect_bytes(&c, SOCKS_BYTES("\5\2\1\0" SOCKS_CONNECTED));
    server_client_close(&c);
    socks_world_converse(&s, SOCKS_BYTES("\5\1\1"), SOCKS_BYTES("\5\377"));
    socks_world_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_login),
        cmocka_unit_test(test_wrong_login),
        cmocka_unit_test(test_must_log_in_but_cannot),
        cmocka_unit_test(test_may_not_come_in),
        cmocka_unit_test(test_allowed_without_login),
        cmocka_unit_test(test_nobody_asks_for_a_login),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
