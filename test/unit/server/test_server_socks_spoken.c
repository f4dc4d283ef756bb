/* SPDX-License-Identifier: MIT */
/* SOCKS5, HTTP and TLS: what an address takes, and what it says to the rest. */
#include "socks_world.h"

#include "tls_setup.h"

#include <stdio.h>

#define SOCKS4_REFUSED "\0\133\0\0\0\0\0\0"
#define TLS_ALERT      "\25\3\1\0\2\2\50"
#define HEALTH         "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
#define HTTP_CONNECT   "CONNECT host:22 HTTP/1.1\r\n\r\n"

/* -- What is spoken where ---------------------------------------------------------------------- */

static void tell_at(socks_world_t *s, const char *address, const char *says, size_t says_len,
                    const char *told, size_t told_len) {
    server_client_t c;
    server_client_open_at(&s->w, &c, address);
    server_client_send(&c, says, says_len);
    socks_world_expect_last(&c, told, told_len);
}

static void test_both_at_one_address(void **state) {
    (void)state;
    socks_world_t s;
    server_client_t c;
    socks_world_open(&s);
    const char *both = socks_world_listen(&s, WST_ROLE_SOCKS | WST_ROLE_ALL);
    server_client_open_at(&s.w, &c, both);
    server_client_send(&c, SOCKS_BYTES(SOCKS_NO_LOGIN SOCKS_REQUEST "one"));
    server_client_expect_bytes(&c, SOCKS_BYTES("\5\0" SOCKS_CONNECTED));
    server_agent_expect(&s.a, "one");
    server_client_close(&c);
    server_client_open_at(&s.w, &c, both);
    server_client_send(&c, SOCKS_BYTES(HTTP_CONNECT "two"));
    server_client_expect(&c, "HTTP/1.1 200 ");
    server_agent_expect(&s.a, "two");
    server_client_close(&c);
    tell_at(&s, both, SOCKS_BYTES("\4\1\0\120\0\0\0\1\0"), SOCKS_BYTES(SOCKS4_REFUSED));
    socks_world_assert_logged(&s, "SOCKS4 is not served");
    tell_at(&s, both, SOCKS_BYTES("\26\3\1\0\5"), SOCKS_BYTES(TLS_ALERT));
    socks_world_assert_logged(
        &s, ": speaks TLS, which this address does not take: make it speak tls\n");
    socks_world_free(&s);
}

/* Who says nothing at an address of both is let go silently, in time. */
static void test_silent_at_both(void **state) {
    (void)state;
    socks_world_t s;
    server_client_t c;
    socks_world_init(&s);
    s.w.limits.head_timeout_ms = 30;
    socks_world_start(&s);
    server_client_open_at(&s.w, &c, socks_world_listen(&s, WST_ROLE_SOCKS | WST_ROLE_CONNECT));
    server_client_expect_end(&c);
    server_client_close(&c);
    server_world_until_connections(&s.w, 1);
    socks_world_free(&s);
}

static void test_strangers(void **state) {
    (void)state;
    static const unsigned http[] = {WST_ROLE_ALL, WST_ROLE_AGENTS, WST_ROLE_CONNECT,
                                    WST_ROLE_HEALTH};
    socks_world_t s;
    server_client_t c;
    socks_world_open(&s);
    for (size_t i = 0; i < 4; i++) {
        const char *address = socks_world_listen(&s, http[i]);
        s.log[0] = '\0';
        tell_at(&s, address, SOCKS_BYTES(SOCKS_NO_LOGIN), SOCKS_BYTES("\5\377"));
        socks_world_assert_logged(
            &s, ": speaks SOCKS5, which this address does not take: give it the role "
                "socks\n");
        assert_true(strncmp(s.log, "connection from 127.0.0.1:", 26) == 0);
        assert_int_equal(strchr(s.log, '\n') - s.log + 1, strlen(s.log)); /* one line */
        tell_at(&s, address, SOCKS_BYTES("\4\1"), SOCKS_BYTES(SOCKS4_REFUSED));
        tell_at(&s, address, SOCKS_BYTES("\26\3\1"), SOCKS_BYTES(TLS_ALERT));
    }
    s.log[0] = '\0';
    socks_world_client(&s, &c);
    server_client_say(&c, HEALTH);
    server_client_expect(&c, "HTTP/1.1 400 Bad Request: this address speaks SOCKS5\r\n"
                             "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 28\r\n"
                             "Connection: close\r\n\r\nThis address speaks SOCKS5.\n");
    server_client_expect_end(&c);
    server_client_close(&c);
    socks_world_assert_logged(
        &s, ": speaks HTTP, which this address does not take: give it a role of HTTP");
    tell_at(&s, s.address, SOCKS_BYTES("\26\3\1"), SOCKS_BYTES(TLS_ALERT));
    tell_at(&s, s.address, SOCKS_BYTES("\4\1"), SOCKS_BYTES(SOCKS4_REFUSED));
    assert_int_equal(s.w.refusals, 0);
    socks_world_free(&s);
}

static void test_authorisation_beyond_this_machine(void **state) {
    (void)state;
    static const struct {
        server_policy_t clients, logins;
        int status;
    } rows[] = {{SERVER_UNASKED, SERVER_UNASKED, WST_EINSECURE},
                {SERVER_UNASKED, SERVER_ALLOW, WST_EINSECURE},
                {SERVER_ALLOW, SERVER_UNASKED, 0}};
    for (size_t i = 0; i < 3; i++) {
        socks_world_t s;
        socks_world_init(&s);
        s.w.clients = rows[i].clients;
        s.w.logins = rows[i].logins;
        server_world_start(&s.w);
        assert_int_equal(wst_server_listen(s.w.server, "0.0.0.0:0", WST_ROLE_SOCKS),
                         rows[i].status);
        server_world_free(&s.w);
    }
}

/* -- TLS --------------------------------------------------------------------------------------- */

typedef struct shaking {
    server_client_t *client;
    size_t done;
} shaking_t;

static void on_shaken(int status, wst_stream_t *stream, const char *detail, void *user_data) {
    shaking_t *shaking = user_data;
    (void)detail;
    assert_int_equal(status, 0);
    shaking->done++;
    server_client_use(shaking->client->w, shaking->client, stream);
}

static void open_secure(socks_world_t *s, tls_setup_t *tls, server_client_t *c,
                        const char *address) {
    shaking_t shaking = {.client = c};
    wst_tls_handshake_t *handshake;
    server_client_open_at(&s->w, c, address);
    const wst_tls_handshake_options_t options = {
        .size = sizeof(options), .config = tls->client, .server_name = "server.test"};
    assert_int_equal(wst_tls_handshake(&handshake, c->stream, &options, on_shaken, &shaking), 0);
    test_env_until_count(&s->w.env, &shaking.done, 1);
}

static void tls_world_open(socks_world_t *s, tls_setup_t *tls) {
    socks_world_init(s);
    tls_setup_open(tls, s->w.env.ctx, s->w.env.ctx);
    s->w.options.tls = tls->server;
    server_world_start(&s->w);
    snprintf(s->w.address, sizeof(s->w.address), "%s",
             socks_world_listen(s, WST_ROLE_AGENTS | WST_LISTEN_PLAIN));
    server_agent_open(&s->w, &s->a, "one", 1);
    s->log[0] = '\0';
}

static void tls_world_free(socks_world_t *s, tls_setup_t *tls) {
    tls_setup_close(tls);
    socks_world_free(s);
}

static void serves_within_tls(socks_world_t *s, tls_setup_t *tls, const char *address) {
    server_client_t c;
    open_secure(s, tls, &c, address);
    server_client_send(&c, SOCKS_BYTES(SOCKS_NO_LOGIN SOCKS_REQUEST "within"));
    server_client_expect_bytes(&c, SOCKS_BYTES("\5\0" SOCKS_CONNECTED));
    server_agent_expect(&s->a, "within");
    server_client_close(&c);
}

static void test_within_tls(void **state) {
    (void)state;
    static const unsigned roles[] = {WST_ROLE_SOCKS, WST_ROLE_SOCKS | WST_ROLE_CONNECT};
    socks_world_t s;
    tls_setup_t tls;
    server_client_t c;
    tls_world_open(&s, &tls);
    for (size_t i = 0; i < 2; i++) {
        const char *address = socks_world_listen(&s, roles[i] | WST_LISTEN_TLS);
        serves_within_tls(&s, &tls, address);
        tell_at(&s, address, SOCKS_BYTES(SOCKS_NO_LOGIN),
                SOCKS_BYTES("\5\377")); /* not without it */
        socks_world_assert_logged(
            &s, ": speaks SOCKS5 without TLS, which this address does not take: ");
        tell_at(&s, address, SOCKS_BYTES("\4\1"), SOCKS_BYTES(SOCKS4_REFUSED));
        server_client_open_at(&s.w, &c, address);
        server_client_say(&c, HEALTH);
        server_client_expect(&c, "HTTP/1.1 400 Bad Request: this address speaks TLS");
        server_client_close(&c);
        socks_world_assert_logged(&s,
                                  ": speaks HTTP without TLS, which this address does not take: ");
        s.log[0] = '\0';
    }
    open_secure(&s, &tls, &c, wst_server_address(s.w.server, 3));
    server_client_say(&c, HTTP_CONNECT);
    server_client_expect(&c, "HTTP/1.1 200 ");
    server_client_close(&c);
    open_secure(&s, &tls, &c, wst_server_address(s.w.server, 2));
    server_client_say(&c, HTTP_CONNECT);
    server_client_expect(&c, "HTTP/1.1 400 Bad Request: this address speaks SOCKS5\r\n");
    server_client_close(&c);
    tls_world_free(&s, &tls);
}

static void test_with_and_without_tls(void **state) {
    (void)state;
    socks_world_t s;
    tls_setup_t tls;
    server_client_t c;
    tls_world_open(&s, &tls);
    const char *all =
        socks_world_listen(&s, WST_ROLE_SOCKS | WST_ROLE_ALL | WST_LISTEN_TLS | WST_LISTEN_PLAIN);
    serves_within_tls(&s, &tls, all);
    server_client_open_at(&s.w, &c, all);
    server_client_send(&c, SOCKS_BYTES(SOCKS_NO_LOGIN SOCKS_REQUEST));
    server_client_expect_bytes(&c, SOCKS_BYTES("\5\0" SOCKS_CONNECTED));
    server_client_close(&c);
    server_client_open_at(&s.w, &c, all);
    server_client_say(&c, HEALTH);
    server_client_expect(&c, "HTTP/1.1 200 OK\r\n");
    server_client_close(&c);
    const char *alone = socks_world_listen(&s, WST_ROLE_SOCKS | WST_LISTEN_TLS | WST_LISTEN_PLAIN);
    serves_within_tls(&s, &tls, alone);
    tell_at(&s, alone, SOCKS_BYTES(SOCKS_NO_LOGIN "\5\2\0\3\1a\0\120"),
            SOCKS_BYTES("\5\0" SOCKS_REPLY("\7")));
    tls_world_free(&s, &tls);
}

/* Within TLS nothing is said, at an address of both: silently, in time, and at the drain. */
static void test_silent_within_tls(void **state) {
    (void)state;
    socks_world_t s;
    tls_setup_t tls;
    server_client_t c;
    tls_world_open(&s, &tls);
    wst_ctx_set_log_level(s.w.env.ctx, WST_LOG_INFO);
    const char *both = socks_world_listen(&s, WST_ROLE_SOCKS | WST_ROLE_CONNECT | WST_LISTEN_TLS);
    open_secure(&s, &tls, &c, both);
    server_world_until_connections(&s.w, 2);
    test_env_turns(&s.w.env, 5);
    assert_int_equal(server_world_stats(&s.w).handshakes, 0);
    wst_server_drain(s.w.server);
    server_client_expect_end(&c);
    server_client_close(&c);
    test_env_until_count(&s.w.env, &s.w.drained, 1);
    assert_string_equal(s.log, "");
    tls_world_free(&s, &tls);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_at_one_address),
        cmocka_unit_test(test_silent_at_both),
        cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_authorisation_beyond_this_machine),
        cmocka_unit_test(test_within_tls),
        cmocka_unit_test(test_with_and_without_tls),
        cmocka_unit_test(test_silent_within_tls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
