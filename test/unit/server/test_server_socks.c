/* SPDX-License-Identifier: MIT */
/* SOCKS5 clients of a server: their flows, logins, ends, and what is spoken at which address. */
#include "server_world.h"

#include "ctx.h"
#include "early.h"
#include "tls_setup.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define BYTES(text)    text, sizeof(text) - 1
#define NO_LOGIN       "\5\1\0"
#define WITH_LOGIN     "\5\1\2"
#define EITHER         "\5\2\0\2"
#define ALICE          "\1\5alice\6secret"
#define WRONG          "\1\5alice\5guess"
#define REQUEST        "\5\1\0\3\4host\0\26"
#define REPLY(code)    "\5" code "\0\1\0\0\0\0\0\0"
#define CONNECTED      REPLY("\0")
#define SOCKS4_REFUSED "\0\133\0\0\0\0\0\0"
#define TLS_ALERT      "\25\3\1\0\2\2\50"
#define HEALTH         "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
#define HTTP_CONNECT   "CONNECT host:22 HTTP/1.1\r\n\r\n"

/* A world with an address for SOCKS alone. */
typedef struct socks_world {
    server_world_t w; /* the first member: the context's callbacks get it */
    server_agent_t a;
    char address[64];
    char log[4096];
} socks_world_t;

static void on_log(wst_log_level_t level, const char *line, void *user_data) {
    socks_world_t *s = user_data;
    size_t len = strlen(s->log);
    (void)level;
    snprintf(s->log + len, sizeof(s->log) - len, "%s\n", line);
    s->w.env.log_lines++;
}

static void world_init(socks_world_t *s) {
    memset(s, 0, sizeof(*s));
    server_world_init(&s->w);
    s->w.env.ctx->options.log = on_log;
    s->w.env.ctx->options.log_level = WST_LOG_INFO;
    s->w.headless = true;
}

/* One more address. */
static const char *listen_at(socks_world_t *s, unsigned roles) {
    size_t n = 0;
    assert_int_equal(wst_server_listen(s->w.server, "127.0.0.1:0", roles), 0);
    while (wst_server_address(s->w.server, n + 1) != NULL)
        n++;
    return wst_server_address(s->w.server, n);
}

static void world_start(socks_world_t *s) {
    server_world_start(&s->w);
    snprintf(s->address, sizeof(s->address), "%s", listen_at(s, WST_ROLE_SOCKS));
    server_agent_open(&s->w, &s->a, "one", 1);
    s->log[0] = '\0';
}

static void world_open(socks_world_t *s) {
    world_init(s);
    world_start(s);
}

static void world_free(socks_world_t *s) {
    server_agent_close(&s->a);
    server_world_free(&s->w);
}

static void open_client(socks_world_t *s, server_client_t *c) {
    server_client_open_at(&s->w, c, s->address);
}

/* It reads that, and then the end. */
static void expect_last(server_client_t *c, const char *bytes, size_t len) {
    server_client_expect_bytes(c, bytes, len);
    server_client_expect_end(c);
    server_client_close(c);
}

/* A conversation: what a new client says at once, and all that it is told. */
static void converse(socks_world_t *s, const char *says, size_t says_len, const char *told,
                     size_t told_len) {
    server_client_t c;
    open_client(s, &c);
    server_client_send(&c, says, says_len);
    expect_last(&c, told, told_len);
}

static void assert_logged(socks_world_t *s, const char *text) {
    if (strstr(s->log, text) == NULL)
        fail_msg("no line \"%s\" in:\n%s", text, s->log);
}

static wst_server_stats_t stats_of(const socks_world_t *s) {
    wst_server_stats_t stats = {.size = sizeof(stats)};
    wst_server_get_stats(s->w.server, &stats);
    return stats;
}

/* -- Tunnels ----------------------------------------------------------------------------------- */

static void test_tunnel(void **state) {
    (void)state;
    socks_world_t s;
    server_client_t c;
    world_open(&s);
    open_client(&s, &c);
    server_client_send(&c, BYTES(NO_LOGIN));
    server_client_expect_bytes(&c, BYTES("\5\0"));
    server_client_send(&c, BYTES(REQUEST));
    server_client_expect_bytes(&c, BYTES(CONNECTED));
    assert_string_equal(s.a.destination, "host:22"); /* the agent gets the name */
    server_world_assert_notice(&s.w, "open 1  host:22 one\n");
    assert_int_equal(stats_of(&s).connections, 2); /* the agent's, and still this one */
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
    world_free(&s);
}

/* Greeting, login, request and payload, cut in two at each byte, and all in single bytes. */
static void say_in_two(socks_world_t *s, size_t at) {
    static const char all[] = EITHER ALICE REQUEST "payload";
    size_t len = sizeof(all) - 1;
    server_client_t c;
    s->a.got_len = 0;
    open_client(s, &c);
    server_client_send(&c, all, at);
    test_env_turns(&s->w.env, 4);
    server_client_send(&c, all + at, len - at);
    server_client_expect_bytes(&c, BYTES("\5\2\1\0" CONNECTED));
    server_agent_expect(&s->a, "payload");
    assert_string_equal(s->w.login_what, "alice:secret");
    server_client_close(&c);
    test_env_until_count(&s->w.env, &s->w.closes, s->w.opens);
}

static void test_every_split(void **state) {
    (void)state;
    socks_world_t s;
    world_init(&s);
    s.w.logins = SERVER_ALLOW;
    world_start(&s);
    for (size_t at = 1; at < sizeof(EITHER ALICE REQUEST "payload") - 1; at++) {
        say_in_two(&s, at);
        s.w.notices[0] = '\0';
    }
    assert_int_equal(s.w.refusals, 0);
    world_free(&s);
}

static void test_single_bytes(void **state) {
    (void)state;
    static const char all[] = WITH_LOGIN ALICE REQUEST "payload";
    socks_world_t s;
    server_client_t c;
    world_init(&s);
    s.w.logins = SERVER_ALLOW;
    world_start(&s);
    open_client(&s, &c);
    for (size_t i = 0; i < sizeof(all) - 1; i++) {
        server_client_send(&c, all + i, 1);
        test_env_turns(&s.w.env, 3);
    }
    server_client_expect_bytes(&c, BYTES("\5\2\1\0" CONNECTED));
    server_agent_expect(&s.a, "payload");
    server_client_close(&c);
    world_free(&s);
}

/* All at once, with the end of the client's direction behind it. */
static void test_half_closed_ahead(void **state) {
    (void)state;
    socks_world_t s;
    server_client_t c;
    world_init(&s);
    s.w.logins = SERVER_HOLD;
    s.w.clients = SERVER_HOLD;
    world_start(&s);
    open_client(&s, &c);
    server_client_send(&c, BYTES(EITHER REQUEST "payload"));
    server_client_end(&c);
    test_env_until_count(&s.w.env, &s.w.login_questions, 1);
    test_env_turns(&s.w.env, 20);
    wst_request_allow(s.w.held);
    test_env_until_count(&s.w.env, &s.w.client_questions, 1);
    test_env_turns(&s.w.env, 20);
    wst_request_allow(s.w.held);
    server_client_expect_bytes(&c, BYTES("\5\0" CONNECTED));
    server_agent_expect(&s.a, "payload");
    test_env_until_count(&s.w.env, &s.a.stream_ended, 1);
    server_client_close(&c);
    world_free(&s);
}

/* More than is kept: the rest waits in the kernel, nothing is lost. */
static void test_much_ahead(void **state) {
    (void)state;
    static uint8_t data[60000];
    socks_world_t s;
    server_client_t c;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i % 251);
    world_init(&s);
    s.w.clients = SERVER_HOLD;
    s.w.logins = SERVER_HOLD;
    world_start(&s);
    open_client(&s, &c);
    server_client_send(&c, BYTES(NO_LOGIN REQUEST));
    server_client_send(&c, data, sizeof(data));
    test_env_until_count(&s.w.env, &s.w.login_questions, 1);
    test_env_turns(&s.w.env, 50);
    wst_request_allow(s.w.held);
    test_env_until_count(&s.w.env, &s.w.client_questions, 1);
    test_env_turns(&s.w.env, 50);
    wst_request_allow(s.w.held);
    server_client_expect_bytes(&c, BYTES("\5\0" CONNECTED));
    test_env_until_count(&s.w.env, &s.a.got_len, sizeof(data));
    assert_memory_equal(s.a.got, data, sizeof(data));
    server_client_close(&c);
    world_free(&s);
}

/* -- Refusals ---------------------------------------------------------------------------------- */

static void test_replies(void **state) {
    (void)state;
    static const struct {
        int reason;
        const char *told;
        int status;
    } rows[] = {
        {WST_EDENIED, "\5\0" REPLY("\2"), 403},      {WST_EUNREACHABLE, "\5\0" REPLY("\4"), 502},
        {WST_ENAME, "\5\0" REPLY("\4"), 502},        {WST_EREFUSED, "\5\0" REPLY("\5"), 502},
        {WST_EDIALTIMEOUT, "\5\0" REPLY("\6"), 504}, {WST_ENAMETIMEOUT, "\5\0" REPLY("\6"), 504},
        {WST_EINTERNAL, "\5\0" REPLY("\1"), 502},
    };
    socks_world_t s;
    char notice[64];
    world_open(&s);
    s.a.treatment = SERVER_AGENT_REFUSE;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        s.w.notices[0] = '\0';
        s.a.reason = rows[i].reason;
        converse(&s, BYTES(NO_LOGIN REQUEST), rows[i].told, 12);
        snprintf(notice, sizeof(notice), "refused host:22 %d ", rows[i].status);
        server_world_assert_notice(&s.w, notice);
    }
    server_world_until_connections(&s.w, 1);
    world_free(&s);
}

static void test_no_agent(void **state) {
    (void)state;
    socks_world_t s;
    world_open(&s);
    server_agent_close(&s.a);
    server_world_until_notice(&s.w, "down one");
    converse(&s, BYTES(NO_LOGIN REQUEST), BYTES("\5\0" REPLY("\1")));
    server_world_assert_notice(&s.w, "refused host:22 503 No agent available\n");
    server_world_free(&s.w);
}

static void test_requests_that_are_not_served(void **state) {
    (void)state;
    socks_world_t s;
    world_open(&s);
    converse(&s, BYTES(NO_LOGIN "\5\2\0\3\1a\0\120"), BYTES("\5\0" REPLY("\7")));
    server_world_assert_notice(&s.w, "refused a:80 400 Bad Request: BIND is not supported\n");
    converse(&s, BYTES(NO_LOGIN "\5\3\0\1\0\0\0\0\0\0"), BYTES("\5\0" REPLY("\7")));
    converse(&s, BYTES(NO_LOGIN "\5\1\0\2xyz"), BYTES("\5\0" REPLY("\10")));
    server_world_assert_notice(&s.w, "refused ? 400 Bad Request: unknown type of address\n");
    converse(&s, BYTES(NO_LOGIN "\5\1\0\3\3a/b\0\120"), BYTES("\5\0" REPLY("\1")));
    server_world_assert_notice(&s.w, "refused a/b:80 400 Bad Request: character not allowed");
    converse(&s, BYTES(NO_LOGIN "\6"), BYTES("\5\0" REPLY("\1")));
    assert_logged(&s, "SOCKS: unknown version of the request");
    assert_int_equal(s.w.refusals, 4);
    assert_int_equal(s.a.asked, 0);
    world_free(&s);
}

/* What a client still sends does not keep it from reading why it was refused. */
static void test_refusal_is_read_by_who_sends_on(void **state) {
    (void)state;
    static uint8_t data[200000];
    socks_world_t s;
    server_client_t c;
    world_open(&s);
    open_client(&s, &c);
    server_client_send(&c, BYTES(NO_LOGIN "\5\2\0\3\1a\0\120"));
    server_client_send(&c, data, sizeof(data));
    server_client_expect_bytes(&c, BYTES("\5\0" REPLY("\7")));
    server_client_expect_end(&c);
    server_client_close(&c);
    server_world_until_connections(&s.w, 1);
    world_free(&s);
}

static void test_denied_flow(void **state) {
    (void)state;
    socks_world_t s;
    world_init(&s);
    s.w.clients = SERVER_DENY;
    s.w.deny_reason = "Not today";
    world_start(&s);
    converse(&s, BYTES(NO_LOGIN REQUEST), BYTES("\5\0" REPLY("\2")));
    server_world_assert_notice(&s.w, "refused host:22 403 Not today\n");
    world_free(&s);
}

static void test_max_pending(void **state) {
    (void)state;
    socks_world_t s;
    server_client_t c;
    world_init(&s);
    s.w.limits.max_pending = 1;
    world_start(&s);
    s.a.treatment = SERVER_AGENT_KEEP;
    open_client(&s, &c);
    server_client_send(&c, BYTES(NO_LOGIN REQUEST));
    test_env_until_count(&s.w.env, &s.a.asked, 1);
    converse(&s, BYTES(NO_LOGIN REQUEST), BYTES("\5\0" REPLY("\1")));
    server_world_assert_notice(&s.w, "refused host:22 503 Too many connections being opened\n");
    server_client_close(&c);
    world_free(&s);
}

/* -- Logging in -------------------------------------------------------------------------------- */

static void test_login(void **state) {
    (void)state;
    socks_world_t s;
    server_client_t c;
    world_init(&s);
    s.w.logins = SERVER_ALLOW;
    s.w.clients = SERVER_HOLD;
    s.w.client_tenant = "";
    world_start(&s);
    open_client(&s, &c);
    server_client_send(&c, BYTES(EITHER));
    server_client_expect_bytes(&c, BYTES("\5\2"));
    assert_string_equal(s.w.login_what, "");
    server_client_send(&c, BYTES(ALICE));
    server_client_expect_bytes(&c, BYTES("\1\0"));
    assert_string_equal(s.w.login_what, "alice:secret");
    server_client_send(&c, BYTES(REQUEST));
    test_env_until_count(&s.w.env, &s.w.client_questions, 1);
    assert_true(wst_request_is_authenticated(s.w.held));
    assert_string_equal(s.w.question, "host:22 alice");
    assert_null(wst_request_head(s.w.held));
    wst_auth_basic_t login;
    assert_true(wst_request_basic(s.w.held, &login));
    assert_string_equal(login.password, "secret");
    wst_request_allow(s.w.held);
    server_client_expect_bytes(&c, BYTES(CONNECTED));
    server_world_assert_notice(&s.w, "open 1 alice host:22 one\n");
    server_client_close(&c);
    world_free(&s);
}

static void test_wrong_login(void **state) {
    (void)state;
    socks_world_t s;
    world_init(&s);
    s.w.logins = SERVER_ALLOW;
    world_start(&s);
    converse(&s, BYTES(WITH_LOGIN WRONG REQUEST), BYTES("\5\2\1\1"));
    server_world_assert_notice(&s.w, "refused  407 Proxy Authentication Required\n");
    assert_logged(&s, ": login refused: 407 ");
    assert_int_equal(s.w.refusals, 1);
    converse(&s, BYTES(WITH_LOGIN "\1\6ali\0ce\6secret"), BYTES("\5\2\1\1"));
    server_world_assert_notice(&s.w, "refused  407 Malformed credentials\n");
    converse(&s, BYTES(WITH_LOGIN "\1\0\0"), BYTES("\5\2\1\1"));
    assert_string_equal(s.w.login_what, ":");
    converse(&s, BYTES(WITH_LOGIN "\2\5alice\6secret"), BYTES("\5\2\1\1"));
    assert_logged(&s, "SOCKS: unknown version of the login");
    assert_int_equal(s.a.asked, 0);
    world_free(&s);
}

static void test_must_log_in_but_cannot(void **state) {
    (void)state;
    socks_world_t s;
    world_init(&s);
    s.w.logins = SERVER_ALLOW;
    world_start(&s);
    converse(&s, BYTES(NO_LOGIN), BYTES("\5\377"));
    server_world_assert_notice(&s.w, "refused  407 Proxy Authentication Required\n");
    converse(&s, BYTES("\5\2\1\3"), BYTES("\5\377"));
    converse(&s, BYTES("\5\0"), BYTES("\5\377"));
    world_free(&s);
}

static void test_may_not_come_in(void **state) {
    (void)state;
    socks_world_t s;
    world_init(&s);
    s.w.logins = SERVER_DENY;
    s.w.deny_status = 429;
    world_start(&s);
    converse(&s, BYTES(EITHER), BYTES("\5\377"));
    server_world_assert_notice(&s.w, "refused  429 Too Many Requests\n");
    assert_int_equal(s.w.login_questions, 1);
    world_free(&s);
}

/* Without a login the policy may know a client all the same; who insists on one is asked again. */
static void test_allowed_without_login(void **state) {
    (void)state;
    socks_world_t s;
    server_client_t c;
    world_init(&s);
    s.w.logins = SERVER_HOLD;
    world_start(&s);
    open_client(&s, &c);
    server_client_send(&c, BYTES(EITHER REQUEST));
    test_env_until_count(&s.w.env, &s.w.login_questions, 1);
    wst_request_set_user(s.w.held, "carol");
    wst_request_allow(s.w.held);
    server_client_expect_bytes(&c, BYTES("\5\0" CONNECTED));
    server_world_assert_notice(&s.w, "open 1 carol host:22 one\n");
    server_client_close(&c);

    open_client(&s, &c);
    server_client_send(&c, BYTES(WITH_LOGIN ALICE));
    test_env_until_count(&s.w.env, &s.w.login_questions, 2);
    wst_request_set_user(s.w.held, "carol");
    wst_request_allow(s.w.held);
    test_env_until_count(&s.w.env, &s.w.login_questions, 3);
    assert_string_equal(s.w.login_what, "alice:secret");
    wst_request_deny(s.w.held, 403, NULL, NULL);
    expect_last(&c, BYTES("\5\2\1\1"));
    world_free(&s);
}

/* Nobody is asked at the greeting: whoever insists on a login has one, and flows are asked about as
 * those of strangers. */
static void test_nobody_asks_for_a_login(void **state) {
    (void)state;
    socks_world_t s;
    server_client_t c;
    wst_auth_basic_t login;
    world_init(&s);
    s.w.clients = SERVER_HOLD;
    world_start(&s);
    open_client(&s, &c);
    server_client_send(&c, BYTES(EITHER REQUEST));
    test_env_until_count(&s.w.env, &s.w.client_questions, 1);
    assert_false(wst_request_is_authenticated(s.w.held));
    assert_false(wst_request_basic(s.w.held, &login));
    wst_request_allow(s.w.held);
    server_client_expect_bytes(&c, BYTES("\5\0" CONNECTED));
    server_client_close(&c);

    open_client(&s, &c);
    server_client_send(&c, BYTES(WITH_LOGIN WRONG REQUEST));
    test_env_until_count(&s.w.env, &s.w.client_questions, 2);
    assert_false(wst_request_is_authenticated(s.w.held));
    assert_true(wst_request_basic(s.w.held, &login));
    assert_string_equal(login.user, "alice");
    wst_request_allow(s.w.held);
    server_client_expect_bytes(&c, BYTES("\5\2\1\0" CONNECTED));
    server_client_close(&c);
    converse(&s, BYTES("\5\1\1"), BYTES("\5\377"));
    world_free(&s);
}

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
    world_open(&s);
    s.a.treatment = SERVER_AGENT_KEEP;
    open_client(&s, &c);
    server_client_send(&c, BYTES(NO_LOGIN REQUEST));
    server_client_say(&c, early);
    test_env_until_count(&s.w.env, &s.a.asked, 1);
    leave(&c, how);
    test_env_until_count(&s.w.env, &s.a.cancelled, 1); /* the agent stops dialling */
    assert_int_equal(stats_of(&s).pending, 0);
    server_world_until_connections(&s.w, 1);
    if (how == BY_END)
        server_client_close(&c);
    assert_int_equal(s.w.opens + s.w.refusals, 0);
    world_free(&s);
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
    world_init(&s);
    s.w.logins = logins;
    s.w.clients = SERVER_HOLD;
    world_start(&s);
    open_client(&s, &c);
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
    world_free(&s);
}

static void test_gone_while_asked(void **state) {
    (void)state;
    for (leaving_t how = BY_RESET; how <= BY_END; how++) {
        leave_while_asked(how, SERVER_HOLD, BYTES(NO_LOGIN));
        leave_while_asked(how, SERVER_ALLOW, BYTES(WITH_LOGIN ALICE REQUEST));
    }
    leave_while_asked(BY_RESET, SERVER_HOLD, BYTES(NO_LOGIN REQUEST "early"));
}

/* The end came before the answer that lets it go on, and there is nothing for the destination. */
static void test_gone_before_its_request_is_read(void **state) {
    (void)state;
    socks_world_t s;
    server_client_t c;
    world_init(&s);
    s.w.logins = SERVER_HOLD;
    world_start(&s);
    open_client(&s, &c);
    server_client_send(&c, BYTES(NO_LOGIN REQUEST));
    server_client_end(&c);
    test_env_until_count(&s.w.env, &s.w.login_questions, 1);
    test_env_turns(&s.w.env, 20);
    wst_request_allow(s.w.held);
    server_world_until_connections(&s.w, 1);
    assert_int_equal(s.a.asked, 0);
    server_client_close(&c);
    world_free(&s);
}

static void end_behind(socks_world_t *s, const char *says, size_t len, const char *told,
                       size_t told_len) {
    server_client_t c;
    open_client(s, &c);
    if (len > 0)
        server_client_send(&c, says, len);
    server_client_end(&c);
    expect_last(&c, told, told_len);
}

static void test_end_in_the_middle(void **state) {
    (void)state;
    socks_world_t s;
    world_init(&s);
    s.w.logins = SERVER_ALLOW;
    world_start(&s);
    end_behind(&s, BYTES(""), BYTES(""));
    assert_string_equal(s.log, "");
    end_behind(&s, BYTES("\5"), BYTES("\5\377"));
    end_behind(&s, BYTES(WITH_LOGIN "\1\5al"), BYTES("\5\2\1\1"));
    end_behind(&s, BYTES(WITH_LOGIN ALICE "\5\1"), BYTES("\5\2\1\0" REPLY("\1")));
    assert_logged(&s, "SOCKS: it ended before its request was complete");
    server_world_until_connections(&s.w, 1);
    world_free(&s);
}

/* -- Deadlines --------------------------------------------------------------------------------- */

static void fall_silent(socks_world_t *s, const char *says, size_t len, const char *told,
                        size_t told_len) {
    server_client_t c;
    open_client(s, &c);
    if (len > 0)
        server_client_send(&c, says, len);
    expect_last(&c, told, told_len);
}

static void test_head_timeout(void **state) {
    (void)state;
    socks_world_t s;
    world_init(&s);
    s.w.limits.head_timeout_ms = 30;
    s.w.logins = SERVER_ALLOW;
    world_start(&s);
    fall_silent(&s, BYTES(""), BYTES(""));
    assert_string_equal(s.log, "");
    fall_silent(&s, BYTES("\5"), BYTES("\5\377"));
    fall_silent(&s, BYTES(WITH_LOGIN), BYTES("\5\2\1\1"));
    fall_silent(&s, BYTES(WITH_LOGIN ALICE "\5\1\0\3\4ho"), BYTES("\5\2\1\0" REPLY("\1")));
    assert_logged(&s, "SOCKS: no complete request in time");
    world_free(&s);
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
    snprintf(s->address, sizeof(s->address), "%s", listen_at(s, WST_ROLE_SOCKS));
}

/* The time is that of all messages together: none of them is given a new one. */
static void test_one_deadline_for_all_messages(void **state) {
    (void)state;
    socks_world_t s;
    server_client_t c;
    world_init(&s);
    start_without_agent(&s);
    open_client(&s, &c);
    server_world_until_connections(&s.w, 1);
    const uint64_t deadline = wst__deadlines_next(&s.w.env.ctx->deadlines);
    pass(&s, 5);
    server_client_send(&c, BYTES(WITH_LOGIN));
    server_client_expect_bytes(&c, BYTES("\5\2"));
    assert_int_equal(wst__deadlines_next(&s.w.env.ctx->deadlines), deadline);
    pass(&s, 5);
    server_client_send(&c, BYTES(ALICE));
    server_client_expect_bytes(&c, BYTES("\1\0"));
    assert_int_equal(wst__deadlines_next(&s.w.env.ctx->deadlines), deadline);
    server_client_close(&c);
    server_world_free(&s.w);
}

/* A question does not use up the client's time. */
static void test_question_takes_its_own_time(void **state) {
    (void)state;
    socks_world_t s;
    server_client_t c;
    world_init(&s);
    s.w.limits.decision_timeout_ms = 60000;
    s.w.logins = SERVER_HOLD;
    start_without_agent(&s);
    open_client(&s, &c);
    server_world_until_connections(&s.w, 1);
    const uint64_t deadline = wst__deadlines_next(&s.w.env.ctx->deadlines);
    server_client_send(&c, BYTES(NO_LOGIN));
    test_env_until_count(&s.w.env, &s.w.login_questions, 1);
    assert_true(wst__deadlines_next(&s.w.env.ctx->deadlines) > deadline);
    pass(&s, 5);
    wst_request_allow(s.w.held);
    server_client_expect_bytes(&c, BYTES("\5\0"));
    assert_in_range(wst__deadlines_next(&s.w.env.ctx->deadlines), deadline + 5,
                    uv_now(&s.w.env.loop) + 10000);
    server_client_close(&c);
    server_world_free(&s.w);
}

static void test_no_decision(void **state) {
    (void)state;
    socks_world_t s;
    world_init(&s);
    s.w.limits.decision_timeout_ms = 30;
    s.w.logins = SERVER_HOLD;
    world_start(&s);
    converse(&s, BYTES(NO_LOGIN REQUEST), BYTES("\5\377"));
    server_world_assert_notice(&s.w, "refused  504 No decision in time\n");
    assert_int_equal(s.w.gone, 1);
    world_free(&s);
}

/* -- Draining and closing ---------------------------------------------------------------------- */

static void test_drain_lets_the_silent_go(void **state) {
    (void)state;
    socks_world_t s;
    server_client_t c, mixed;
    world_open(&s);
    server_client_open_at(&s.w, &mixed, listen_at(&s, WST_ROLE_SOCKS | WST_ROLE_CONNECT));
    open_client(&s, &c);
    server_world_until_connections(&s.w, 3);
    wst_server_drain(s.w.server);
    server_client_expect_end(&c);
    server_client_expect_end(&mixed);
    test_env_until_count(&s.w.env, &s.w.drained, 1);
    server_client_close(&c);
    server_client_close(&mixed);
    world_free(&s);
}

/* Who is asked about hears how that ended, and then that nothing new is taken. */
static void test_drain_waits_for_logins(void **state) {
    (void)state;
    socks_world_t s;
    server_client_t c;
    world_init(&s);
    s.w.logins = SERVER_HOLD;
    world_start(&s);
    open_client(&s, &c);
    server_client_send(&c, BYTES(NO_LOGIN));
    test_env_until_count(&s.w.env, &s.w.login_questions, 1);
    wst_server_drain(s.w.server);
    test_env_turns(&s.w.env, 20);
    assert_int_equal(s.w.drained, 0);
    wst_request_allow(s.w.held);
    server_client_expect_bytes(&c, BYTES("\5\0"));
    assert_int_equal(s.w.drained, 0);
    server_client_send(&c, BYTES(REQUEST));
    server_client_expect_bytes(&c, BYTES(REPLY("\1")));
    server_world_assert_notice(&s.w, "refused host:22 503 Server is shutting down\n");
    server_client_expect_end(&c);
    server_client_close(&c);
    test_env_until_count(&s.w.env, &s.w.drained, 1);
    world_free(&s);
}

static void test_drain_waits_for_tunnels(void **state) {
    (void)state;
    socks_world_t s;
    server_client_t c;
    world_open(&s);
    open_client(&s, &c);
    server_client_send(&c, BYTES(NO_LOGIN REQUEST));
    server_client_expect_bytes(&c, BYTES("\5\0" CONNECTED));
    wst_server_drain(s.w.server);
    test_env_turns(&s.w.env, 20);
    assert_int_equal(s.w.drained, 0);
    server_client_say(&c, "on and on");
    server_agent_expect(&s.a, "on and on");
    server_client_close(&c);
    test_env_until_count(&s.w.env, &s.w.drained, 1);
    world_free(&s);
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
        {BYTES(""), SERVER_UNASKED, SERVER_AGENT_ACCEPT},
        {BYTES("\5"), SERVER_UNASKED, SERVER_AGENT_ACCEPT},
        {BYTES(NO_LOGIN), SERVER_HOLD, SERVER_AGENT_ACCEPT},
        {BYTES(WITH_LOGIN), SERVER_ALLOW, SERVER_AGENT_ACCEPT},
        {BYTES(NO_LOGIN REQUEST "early"), SERVER_UNASKED, SERVER_AGENT_KEEP},
        {BYTES(NO_LOGIN REQUEST), SERVER_UNASKED, SERVER_AGENT_ACCEPT},
        {BYTES(NO_LOGIN "\5\2\0\3\1a\0\120"), SERVER_UNASKED, SERVER_AGENT_ACCEPT},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        socks_world_t s;
        server_client_t c;
        world_init(&s);
        s.w.logins = rows[i].logins;
        world_start(&s);
        s.a.treatment = rows[i].agent;
        open_client(&s, &c);
        if (rows[i].len > 0)
            server_client_send(&c, rows[i].says, rows[i].len);
        server_world_until_connections(&s.w, 2);
        test_env_turns(&s.w.env, 30);
        server_world_close(&s.w);
        test_env_until(&s.w.env, is_over, &c);
        server_client_close(&c);
        world_free(&s);
    }
}

/* In on_client_login, on_client_request, on_stream_open, on_refused. */
static void test_close_in_callbacks(void **state) {
    (void)state;
    for (const char *callback = "lcor"; *callback != '\0'; callback++) {
        socks_world_t s;
        server_client_t c;
        world_init(&s);
        s.w.logins = s.w.clients = SERVER_ALLOW;
        s.w.close_at = *callback;
        world_start(&s);
        if (*callback == 'r')
            s.a.treatment = SERVER_AGENT_REFUSE;
        s.a.reason = WST_EREFUSED;
        open_client(&s, &c);
        server_client_send(&c, BYTES(WITH_LOGIN ALICE REQUEST));
        test_env_until_count(&s.w.env, &s.w.closed, 1);
        test_env_until(&s.w.env, is_over, &c);
        server_client_close(&c);
        world_free(&s);
    }
}

/* -- Bounds ------------------------------------------------------------------------------------ */

static void test_max_connections(void **state) {
    (void)state;
    socks_world_t s;
    server_client_t c[2];
    world_init(&s);
    s.w.limits.max_connections = 2; /* the agent's is one */
    world_start(&s);
    open_client(&s, &c[0]);
    open_client(&s, &c[1]);
    server_client_send(&c[1], BYTES(NO_LOGIN));
    server_client_send(&c[0], BYTES(NO_LOGIN));
    server_client_expect_bytes(&c[0], BYTES("\5\0"));
    test_env_turns(&s.w.env, 20);
    assert_int_equal(c[1].got_len, 0);
    server_client_close(&c[0]);
    server_client_expect_bytes(&c[1], BYTES("\5\0"));
    server_client_close(&c[1]);
    world_free(&s);
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
    return stats_of(arg).connections <= 1;
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
    test_env_until(&s->w.env, only_agents_are_left, s);
    return failed;
}

/* From the greeting to the agent's refusal. */
static bool refused_without_memory(size_t nth, bool *heard) {
    static const char all[] = EITHER ALICE REQUEST "payload";
    socks_world_t s;
    raw_t raw;
    world_init(&s);
    s.w.limits.dial_timeout_ms = 200; /* for when it is the agent that fails */
    s.w.logins = s.w.clients = SERVER_ALLOW;
    world_start(&s);
    s.a.treatment = SERVER_AGENT_REFUSE;
    s.a.reason = WST_EREFUSED;
    raw_open(&raw, s.address);
    server_world_until_connections(&s.w, 2);
    assert_int_equal(write(raw.fd, all, sizeof(all) - 1), sizeof(all) - 1);
    bool failed = run_out(&s, &raw, nth, "\5\2\1\0" REPLY("\5"), heard);
    world_free(&s);
    return failed;
}

/* From the agent's answer on, with early bytes. */
static bool connected_without_memory(size_t nth, bool *heard) {
    static const char all[] = WITH_LOGIN ALICE REQUEST "payload";
    socks_world_t s;
    raw_t raw;
    wst_stream_t *stream;
    world_init(&s);
    s.w.limits.dial_timeout_ms = 200;
    s.w.logins = SERVER_ALLOW;
    world_start(&s);
    s.a.treatment = SERVER_AGENT_KEEP;
    raw_open(&raw, s.address);
    assert_int_equal(write(raw.fd, all, sizeof(all) - 1), sizeof(all) - 1);
    test_env_until_count(&s.w.env, &s.a.asked, 1);
    assert_int_equal(s.a.incoming->ops->accept(s.a.incoming, "", &stream), 0);
    bool failed = run_out(&s, &raw, nth, "\5\2\1\0" CONNECTED, heard);
    wst_stream_reset(stream, WST_ERESET, NULL);
    world_free(&s);
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

/* -- What is spoken where ---------------------------------------------------------------------- */

static void tell_at(socks_world_t *s, const char *address, const char *says, size_t says_len,
                    const char *told, size_t told_len) {
    server_client_t c;
    server_client_open_at(&s->w, &c, address);
    server_client_send(&c, says, says_len);
    expect_last(&c, told, told_len);
}

static void test_both_at_one_address(void **state) {
    (void)state;
    socks_world_t s;
    server_client_t c;
    world_open(&s);
    const char *both = listen_at(&s, WST_ROLE_SOCKS | WST_ROLE_ALL);
    server_client_open_at(&s.w, &c, both);
    server_client_send(&c, BYTES(NO_LOGIN REQUEST "one"));
    server_client_expect_bytes(&c, BYTES("\5\0" CONNECTED));
    server_agent_expect(&s.a, "one");
    server_client_close(&c);
    server_client_open_at(&s.w, &c, both);
    server_client_send(&c, BYTES(HTTP_CONNECT "two"));
    server_client_expect(&c, "HTTP/1.1 200 ");
    server_agent_expect(&s.a, "two");
    server_client_close(&c);
    tell_at(&s, both, BYTES("\4\1\0\120\0\0\0\1\0"), BYTES(SOCKS4_REFUSED));
    assert_logged(&s, "SOCKS4 is not served");
    tell_at(&s, both, BYTES("\26\3\1\0\5"), BYTES(TLS_ALERT));
    assert_logged(&s, ": speaks TLS, which this address does not take: make it speak tls\n");
    world_free(&s);
}

/* Who says nothing at an address of both is let go silently, in time. */
static void test_silent_at_both(void **state) {
    (void)state;
    socks_world_t s;
    server_client_t c;
    world_init(&s);
    s.w.limits.head_timeout_ms = 30;
    world_start(&s);
    server_client_open_at(&s.w, &c, listen_at(&s, WST_ROLE_SOCKS | WST_ROLE_CONNECT));
    server_client_expect_end(&c);
    server_client_close(&c);
    server_world_until_connections(&s.w, 1);
    world_free(&s);
}

static void test_strangers(void **state) {
    (void)state;
    static const unsigned http[] = {WST_ROLE_ALL, WST_ROLE_AGENTS, WST_ROLE_CONNECT,
                                    WST_ROLE_HEALTH};
    socks_world_t s;
    server_client_t c;
    world_open(&s);
    for (size_t i = 0; i < 4; i++) {
        const char *address = listen_at(&s, http[i]);
        s.log[0] = '\0';
        tell_at(&s, address, BYTES(NO_LOGIN), BYTES("\5\377"));
        assert_logged(&s, ": speaks SOCKS5, which this address does not take: give it the role "
                          "socks\n");
        assert_true(strncmp(s.log, "connection from 127.0.0.1:", 26) == 0);
        assert_int_equal(strchr(s.log, '\n') - s.log + 1, strlen(s.log)); /* one line */
        tell_at(&s, address, BYTES("\4\1"), BYTES(SOCKS4_REFUSED));
        tell_at(&s, address, BYTES("\26\3\1"), BYTES(TLS_ALERT));
    }
    s.log[0] = '\0';
    open_client(&s, &c);
    server_client_say(&c, HEALTH);
    server_client_expect(&c, "HTTP/1.1 400 Bad Request: this address speaks SOCKS5\r\n"
                             "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 28\r\n"
                             "Connection: close\r\n\r\nThis address speaks SOCKS5.\n");
    server_client_expect_end(&c);
    server_client_close(&c);
    assert_logged(&s, ": speaks HTTP, which this address does not take: give it a role of HTTP");
    tell_at(&s, s.address, BYTES("\26\3\1"), BYTES(TLS_ALERT));
    tell_at(&s, s.address, BYTES("\4\1"), BYTES(SOCKS4_REFUSED));
    assert_int_equal(s.w.refusals, 0);
    world_free(&s);
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
        world_init(&s);
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
    world_init(s);
    tls_setup_open(tls, s->w.env.ctx, s->w.env.ctx);
    s->w.options.tls = tls->server;
    server_world_start(&s->w);
    snprintf(s->w.address, sizeof(s->w.address), "%s",
             listen_at(s, WST_ROLE_AGENTS | WST_LISTEN_PLAIN));
    server_agent_open(&s->w, &s->a, "one", 1);
    s->log[0] = '\0';
}

static void tls_world_free(socks_world_t *s, tls_setup_t *tls) {
    tls_setup_close(tls);
    world_free(s);
}

static void serves_within_tls(socks_world_t *s, tls_setup_t *tls, const char *address) {
    server_client_t c;
    open_secure(s, tls, &c, address);
    server_client_send(&c, BYTES(NO_LOGIN REQUEST "within"));
    server_client_expect_bytes(&c, BYTES("\5\0" CONNECTED));
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
        const char *address = listen_at(&s, roles[i] | WST_LISTEN_TLS);
        serves_within_tls(&s, &tls, address);
        tell_at(&s, address, BYTES(NO_LOGIN), BYTES("\5\377")); /* not without it */
        assert_logged(&s, ": speaks SOCKS5 without TLS, which this address does not take: ");
        tell_at(&s, address, BYTES("\4\1"), BYTES(SOCKS4_REFUSED));
        server_client_open_at(&s.w, &c, address);
        server_client_say(&c, HEALTH);
        server_client_expect(&c, "HTTP/1.1 400 Bad Request: this address speaks TLS");
        server_client_close(&c);
        assert_logged(&s, ": speaks HTTP without TLS, which this address does not take: ");
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
        listen_at(&s, WST_ROLE_SOCKS | WST_ROLE_ALL | WST_LISTEN_TLS | WST_LISTEN_PLAIN);
    serves_within_tls(&s, &tls, all);
    server_client_open_at(&s.w, &c, all);
    server_client_send(&c, BYTES(NO_LOGIN REQUEST));
    server_client_expect_bytes(&c, BYTES("\5\0" CONNECTED));
    server_client_close(&c);
    server_client_open_at(&s.w, &c, all);
    server_client_say(&c, HEALTH);
    server_client_expect(&c, "HTTP/1.1 200 OK\r\n");
    server_client_close(&c);
    const char *alone = listen_at(&s, WST_ROLE_SOCKS | WST_LISTEN_TLS | WST_LISTEN_PLAIN);
    serves_within_tls(&s, &tls, alone);
    tell_at(&s, alone, BYTES(NO_LOGIN "\5\2\0\3\1a\0\120"), BYTES("\5\0" REPLY("\7")));
    tls_world_free(&s, &tls);
}

/* Within TLS nothing is said, at an address of both: silently, in time, and at the drain. */
static void test_silent_within_tls(void **state) {
    (void)state;
    socks_world_t s;
    tls_setup_t tls;
    server_client_t c;
    tls_world_open(&s, &tls);
    const char *both = listen_at(&s, WST_ROLE_SOCKS | WST_ROLE_CONNECT | WST_LISTEN_TLS);
    open_secure(&s, &tls, &c, both);
    server_world_until_connections(&s.w, 2);
    test_env_turns(&s.w.env, 5);
    assert_int_equal(stats_of(&s).handshakes, 0);
    wst_server_drain(s.w.server);
    server_client_expect_end(&c);
    server_client_close(&c);
    test_env_until_count(&s.w.env, &s.w.drained, 1);
    assert_string_equal(s.log, "");
    tls_world_free(&s, &tls);
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
        cmocka_unit_test(test_login),
        cmocka_unit_test(test_wrong_login),
        cmocka_unit_test(test_must_log_in_but_cannot),
        cmocka_unit_test(test_may_not_come_in),
        cmocka_unit_test(test_allowed_without_login),
        cmocka_unit_test(test_nobody_asks_for_a_login),
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
        cmocka_unit_test(test_max_connections),
        cmocka_unit_test(test_no_memory),
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
