/* SPDX-License-Identifier: MIT */
/* SOCKS5 clients of a server: their tunnels, refusals and bounds. */
#include "socks_world.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* -- Tunnels ----------------------------------------------------------------------------------- */

static void test_tunnel(void **state) {
    (void)state;
    socks_world_t s;
    server_client_t c;
    socks_world_open(&s);
    socks_world_client(&s, &c);
    server_client_send(&c, SOCKS_BYTES(SOCKS_NO_LOGIN));
    server_client_expect_bytes(&c, SOCKS_BYTES("\5\0"));
    server_client_send(&c, SOCKS_BYTES(SOCKS_REQUEST));
    server_client_expect_bytes(&c, SOCKS_BYTES(SOCKS_CONNECTED));
    assert_string_equal(s.a.destination, "host:22"); /* the agent gets the name */
    server_world_assert_notice(&s.w, "open 1  host:22 one\n");
    assert_int_equal(server_world_stats(&s.w).connections, 2); /* the agent's, and still this one */
    server_client_say(&c, "question");
    server_agent_expect(&s.a, "question");
    wst_slice_t answer = wst_slice_static("answer", 6);
    assert_true(wst_stream_write(s.a.stream, &answer, 1) >= 0);
    server_client_expect(&c, "answer");
    server_client_end(&c);
    test_env_until_count(&s.w.env, &s.a.stream_ended, 1);
    assert_int_equal(wst_stream_shutdown(s.a.stream), 0);
    server_client_expect_end(&c);
    server_world_until_notice(&s.w, "close 1  host:22 one to_agent=8 to_client=6 0 by client\n");
    server_world_until_connections(&s.w, 1);
    server_client_close(&c);
    socks_world_free(&s);
}

/* Greeting, login, request and payload, cut in two at each byte, and all in single bytes. */
static void say_in_two(socks_world_t *s, size_t at) {
    static const char all[] = SOCKS_EITHER SOCKS_ALICE SOCKS_REQUEST "payload";
    size_t len = sizeof(all) - 1;
    server_client_t c;
    s->a.got_len = 0;
    socks_world_client(s, &c);
    server_client_send(&c, all, at);
    test_env_turns(&s->w.env, 4);
    server_client_send(&c, all + at, len - at);
    server_client_expect_bytes(&c, SOCKS_BYTES("\5\2\1\0" SOCKS_CONNECTED));
    server_agent_expect(&s->a, "payload");
    assert_string_equal(s->w.login_what, "alice:secret");
    server_client_close(&c);
    test_env_until_count(&s->w.env, &s->w.closes, s->w.opens);
}

static void test_every_split(void **state) {
    (void)state;
    socks_world_t s;
    socks_world_init(&s);
    s.w.logins = SERVER_ALLOW;
    socks_world_start(&s);
    for (size_t at = 1; at < sizeof(SOCKS_EITHER SOCKS_ALICE SOCKS_REQUEST "payload") - 1; at++) {
        say_in_two(&s, at);
        s.w.notices[0] = '\0';
    }
    assert_int_equal(s.w.refusals, 0);
    socks_world_free(&s);
}

static void test_single_bytes(void **state) {
    (void)state;
    static const char all[] = SOCKS_WITH_LOGIN SOCKS_ALICE SOCKS_REQUEST "payload";
    socks_world_t s;
    server_client_t c;
    socks_world_init(&s);
    s.w.logins = SERVER_ALLOW;
    socks_world_start(&s);
    socks_world_client(&s, &c);
    for (size_t i = 0; i < sizeof(all) - 1; i++) {
        server_client_send(&c, all + i, 1);
        test_env_turns(&s.w.env, 3);
    }
    server_client_expect_bytes(&c, SOCKS_BYTES("\5\2\1\0" SOCKS_CONNECTED));
    server_agent_expect(&s.a, "payload");
    server_client_close(&c);
    socks_world_free(&s);
}

/* All at once, with the end of the client's direction behind it. */
static void test_half_closed_ahead(void **state) {
    (void)state;
    socks_world_t s;
    server_client_t c;
    socks_world_init(&s);
    s.w.logins = SERVER_HOLD;
    s.w.clients = SERVER_HOLD;
    socks_world_start(&s);
    socks_world_client(&s, &c);
    server_client_send(&c, SOCKS_BYTES(SOCKS_EITHER SOCKS_REQUEST "payload"));
    server_client_end(&c);
    test_env_until_count(&s.w.env, &s.w.login_questions, 1);
    test_env_turns(&s.w.env, 20);
    wst_request_allow(s.w.held);
    test_env_until_count(&s.w.env, &s.w.client_questions, 1);
    test_env_turns(&s.w.env, 20);
    wst_request_allow(s.w.held);
    server_client_expect_bytes(&c, SOCKS_BYTES("\5\0" SOCKS_CONNECTED));
    server_agent_expect(&s.a, "payload");
    test_env_until_count(&s.w.env, &s.a.stream_ended, 1);
    server_client_close(&c);
    socks_world_free(&s);
}

/* More than is kept: the rest waits in the kernel, nothing is lost. */
static void test_much_ahead(void **state) {
    (void)state;
    static uint8_t data[60000];
    socks_world_t s;
    server_client_t c;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i % 251);
    socks_world_init(&s);
    s.w.clients = SERVER_HOLD;
    s.w.logins = SERVER_HOLD;
    socks_world_start(&s);
    socks_world_client(&s, &c);
    server_client_send(&c, SOCKS_BYTES(SOCKS_NO_LOGIN SOCKS_REQUEST));
    server_client_send(&c, data, sizeof(data));
    test_env_until_count(&s.w.env, &s.w.login_questions, 1);
    test_env_turns(&s.w.env, 50);
    wst_request_allow(s.w.held);
    test_env_until_count(&s.w.env, &s.w.client_questions, 1);
    test_env_turns(&s.w.env, 50);
    wst_request_allow(s.w.held);
    server_client_expect_bytes(&c, SOCKS_BYTES("\5\0" SOCKS_CONNECTED));
    test_env_until_count(&s.w.env, &s.a.got_len, sizeof(data));
    assert_memory_equal(s.a.got, data, sizeof(data));
    server_client_close(&c);
    socks_world_free(&s);
}

/* -- Refusals ---------------------------------------------------------------------------------- */

static void test_replies(void **state) {
    (void)state;
    static const struct {
        int reason;
        const char *told;
        int status;
    } rows[] = {
        {WST_EDENIED, "\5\0" SOCKS_REPLY("\2"), 403},
        {WST_EUNREACHABLE, "\5\0" SOCKS_REPLY("\4"), 502},
        {WST_ENAME, "\5\0" SOCKS_REPLY("\4"), 502},
        {WST_EREFUSED, "\5\0" SOCKS_REPLY("\5"), 502},
        {WST_EDIALTIMEOUT, "\5\0" SOCKS_REPLY("\6"), 504},
        {WST_ENAMETIMEOUT, "\5\0" SOCKS_REPLY("\6"), 504},
        {WST_EINTERNAL, "\5\0" SOCKS_REPLY("\1"), 502},
    };
    socks_world_t s;
    char notice[64];
    socks_world_open(&s);
    s.a.treatment = SERVER_AGENT_REFUSE;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        s.w.notices[0] = '\0';
        s.a.reason = rows[i].reason;
        socks_world_converse(&s, SOCKS_BYTES(SOCKS_NO_LOGIN SOCKS_REQUEST), rows[i].told, 12);
        snprintf(notice, sizeof(notice), "refused host:22 %d ", rows[i].status);
        server_world_assert_notice(&s.w, notice);
    }
    server_world_until_connections(&s.w, 1);
    socks_world_free(&s);
}

static void test_no_agent(void **state) {
    (void)state;
    socks_world_t s;
    socks_world_open(&s);
    server_agent_close(&s.a);
    server_world_until_notice(&s.w, "down one");
    socks_world_converse(&s, SOCKS_BYTES(SOCKS_NO_LOGIN SOCKS_REQUEST),
                         SOCKS_BYTES("\5\0" SOCKS_REPLY("\1")));
    server_world_assert_notice(&s.w, "refused host:22 503 No agent available\n");
    server_world_free(&s.w);
}

static void test_requests_that_are_not_served(void **state) {
    (void)state;
    socks_world_t s;
    socks_world_open(&s);
    socks_world_converse(&s, SOCKS_BYTES(SOCKS_NO_LOGIN "\5\2\0\3\1a\0\120"),
                         SOCKS_BYTES("\5\0" SOCKS_REPLY("\7")));
    server_world_assert_notice(&s.w, "refused a:80 400 Bad Request: BIND is not supported\n");
    socks_world_converse(&s, SOCKS_BYTES(SOCKS_NO_LOGIN "\5\3\0\1\0\0\0\0\0\0"),
                         SOCKS_BYTES("\5\0" SOCKS_REPLY("\7")));
    socks_world_converse(&s, SOCKS_BYTES(SOCKS_NO_LOGIN "\5\1\0\2xyz"),
                         SOCKS_BYTES("\5\0" SOCKS_REPLY("\10")));
    server_world_assert_notice(&s.w, "refused ? 400 Bad Request: unknown type of address\n");
    socks_world_converse(&s, SOCKS_BYTES(SOCKS_NO_LOGIN "\5\1\0\3\3a/b\0\120"),
                         SOCKS_BYTES("\5\0" SOCKS_REPLY("\1")));
    server_world_assert_notice(&s.w, "refused a/b:80 400 Bad Request: character not allowed");
    socks_world_converse(&s, SOCKS_BYTES(SOCKS_NO_LOGIN "\6"),
                         SOCKS_BYTES("\5\0" SOCKS_REPLY("\1")));
    socks_world_assert_logged(&s, "SOCKS: unknown version of the request");
    assert_int_equal(s.w.refusals, 4);
    assert_int_equal(s.a.asked, 0);
    socks_world_free(&s);
}

/* What a client still sends does not keep it from reading why it was refused. */
static void test_refusal_is_read_by_who_sends_on(void **state) {
    (void)state;
    static uint8_t data[200000];
    socks_world_t s;
    server_client_t c;
    socks_world_open(&s);
    socks_world_client(&s, &c);
    server_client_send(&c, SOCKS_BYTES(SOCKS_NO_LOGIN "\5\2\0\3\1a\0\120"));
    server_client_send(&c, data, sizeof(data));
    server_client_expect_bytes(&c, SOCKS_BYTES("\5\0" SOCKS_REPLY("\7")));
    server_client_expect_end(&c);
    server_client_close(&c);
    server_world_until_connections(&s.w, 1);
    socks_world_free(&s);
}

static void test_denied_flow(void **state) {
    (void)state;
    socks_world_t s;
    socks_world_init(&s);
    s.w.clients = SERVER_DENY;
    s.w.deny_reason = "Not today";
    socks_world_start(&s);
    socks_world_converse(&s, SOCKS_BYTES(SOCKS_NO_LOGIN SOCKS_REQUEST),
                         SOCKS_BYTES("\5\0" SOCKS_REPLY("\2")));
    server_world_assert_notice(&s.w, "refused host:22 403 Not today\n");
    socks_world_free(&s);
}

static void test_max_pending(void **state) {
    (void)state;
    socks_world_t s;
    server_client_t c;
    socks_world_init(&s);
    s.w.limits.max_pending = 1;
    socks_world_start(&s);
    s.a.treatment = SERVER_AGENT_KEEP;
    socks_world_client(&s, &c);
    server_client_send(&c, SOCKS_BYTES(SOCKS_NO_LOGIN SOCKS_REQUEST));
    test_env_until_count(&s.w.env, &s.a.asked, 1);
    socks_world_converse(&s, SOCKS_BYTES(SOCKS_NO_LOGIN SOCKS_REQUEST),
                         SOCKS_BYTES("\5\0" SOCKS_REPLY("\1")));
    server_world_assert_notice(&s.w, "refused host:22 503 Too many connections being opened\n");
    server_client_close(&c);
    socks_world_free(&s);
}

/* -- Bounds ------------------------------------------------------------------------------------ */

static void test_max_connections(void **state) {
    (void)state;
    socks_world_t s;
    server_client_t c[2];
    socks_world_init(&s);
    s.w.limits.max_connections = 2; /* the agent's is one */
    socks_world_start(&s);
    socks_world_client(&s, &c[0]);
    socks_world_client(&s, &c[1]);
    server_client_send(&c[1], SOCKS_BYTES(SOCKS_NO_LOGIN));
    server_client_send(&c[0], SOCKS_BYTES(SOCKS_NO_LOGIN));
    server_client_expect_bytes(&c[0], SOCKS_BYTES("\5\0"));
    test_env_turns(&s.w.env, 20);
    assert_int_equal(c[1].got_len, 0);
    server_client_close(&c[0]);
    server_client_expect_bytes(&c[1], SOCKS_BYTES("\5\0"));
    server_client_close(&c[1]);
    socks_world_free(&s);
}

/* A client whose own side allocates nothing. */
typedef struct raw {
    int fd;
    char got[64];
    size_t len;
    bool over;
} raw_t;

static void raw_open(raw_t *raw, const char *address) {
    struct sockaddr_in there;
    *raw = (raw_t){.fd = socket(AF_INET, SOCK_STREAM, 0)};
    const int port = (int)strtoul(strrchr(address, ':') + 1, NULL, 10);
    assert_int_equal(uv_ip4_addr("127.0.0.1", port, &there), 0);
    assert_int_equal(connect(raw->fd, (const struct sockaddr *)&there, sizeof(there)), 0);
}

static void raw_reset(raw_t *raw) {
    const struct linger none = {.l_onoff = 1};
    assert_int_equal(setsockopt(raw->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none)), 0);
    close(raw->fd);
}

static bool is_over_or_served(void *arg) {
    raw_t *raw = arg;
    ssize_t n = recv(raw->fd, raw->got + raw->len, sizeof(raw->got) - raw->len, MSG_DONTWAIT);
    raw->over = n == 0 || (n < 0 && errno != EAGAIN);
    raw->len += n > 0 ? (size_t)n : 0;
    return raw->over || raw->len >= 14;
}

static bool only_agents_are_left(void *arg) {
    return server_world_stats(arg).connections <= 1;
}

/* One allocation fails; whether it has, and whether the client heard all of `told`. It hears the
 * beginning of that, a refusal, or sees the end, and nothing is left. */
static bool run_out(socks_world_t *s, raw_t *raw, size_t nth, const char *told, bool *heard) {
    test_alloc_fail(nth);
    test_env_until(&s->w.env, is_over_or_served, raw);
    bool failed = test_alloc_failed();
    test_alloc_fail(0);
    *heard = raw->len == 14 && memcmp(raw->got, told, 14) == 0;
    assert_true(raw->len == 0 || raw->got[0] == 5);
    raw_reset(raw);
    test_env_until(&s->w.env, only_agents_are_left, &s->w);
    return failed;
}

/* From the greeting to the agent's refusal. */
static bool refused_without_memory(size_t nth, bool *heard) {
    static const char all[] = SOCKS_EITHER SOCKS_ALICE SOCKS_REQUEST "payload";
    socks_world_t s;
    raw_t raw;
    socks_world_init(&s);
    s.w.limits.dial_timeout_ms = 200; /* for when it is the agent that fails */
    s.w.logins = s.w.clients = SERVER_ALLOW;
    socks_world_start(&s);
    s.a.treatment = SERVER_AGENT_REFUSE;
    s.a.reason = WST_EREFUSED;
    raw_open(&raw, s.address);
    server_world_until_connections(&s.w, 2);
    assert_int_equal(write(raw.fd, all, sizeof(all) - 1), sizeof(all) - 1);
    bool failed = run_out(&s, &raw, nth, "\5\2\1\0" SOCKS_REPLY("\5"), heard);
    socks_world_free(&s);
    return failed;
}

/* From the agent's answer on, with early bytes. */
static bool connected_without_memory(size_t nth, bool *heard) {
    static const char all[] = SOCKS_WITH_LOGIN SOCKS_ALICE SOCKS_REQUEST "payload";
    socks_world_t s;
    raw_t raw;
    wst_stream_t *stream;
    socks_world_init(&s);
    s.w.limits.dial_timeout_ms = 200;
    s.w.logins = SERVER_ALLOW;
    socks_world_start(&s);
    s.a.treatment = SERVER_AGENT_KEEP;
    raw_open(&raw, s.address);
    assert_int_equal(write(raw.fd, all, sizeof(all) - 1), sizeof(all) - 1);
    test_env_until_count(&s.w.env, &s.a.asked, 1);
    assert_int_equal(s.a.incoming->ops->accept(s.a.incoming, "", &stream), 0);
    bool failed = run_out(&s, &raw, nth, "\5\2\1\0" SOCKS_CONNECTED, heard);
    wst_stream_reset(stream, WST_ERESET, NULL);
    socks_world_free(&s);
    return failed;
}

static void test_no_memory(void **state) {
    (void)state;
    bool heard;
    size_t nth = 1, unheard = 0;
    for (; refused_without_memory(nth, &heard); nth++)
        unheard += !heard;
    assert_true(heard && unheard >= 5); /* client, early bytes, two questions, flow, its question */
    unheard = 0;
    for (nth = 1; connected_without_memory(nth, &heard); nth++)
        unheard += !heard;
    assert_true(heard && unheard >= 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tunnel),
        cmocka_unit_test(test_every_split),
        cmocka_unit_test(test_single_bytes),
        cmocka_unit_test(test_half_closed_ahead),
        cmocka_unit_test(test_much_ahead),
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_no_agent),
        cmocka_unit_test(test_requests_that_are_not_served),
        cmocka_unit_test(test_refusal_is_read_by_who_sends_on),
        cmocka_unit_test(test_denied_flow),
        cmocka_unit_test(test_max_pending),
        cmocka_unit_test(test_max_connections),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
