/* SPDX-License-Identifier: MIT */
/* A client's CONNECT, from the request to the end of the tunnel: every byte that the client gets.
 */
#include "fake_stream.h"
#include "server_world.h"

#include <stdio.h>
#include <unistd.h>
#include <wstunnel/socket.h>

#define OK11    "HTTP/1.1 200 Connection established\r\n\r\n"
#define CONNECT "CONNECT host:22 HTTP/1.1\r\nHost: host:22\r\n\r\n"

/* --- the tunnel --- */

static void test_tunnel(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    server_world_init(&w);
    w.clients = SERVER_ALLOW;
    server_world_start(&w);
    server_agent_open(&w, &a, "one", 1);
    server_client_open(&w, &c);
    server_client_say(&c, CONNECT);
    server_client_expect(&c, OK11);
    assert_string_equal(w.question, "host:22 ");
    assert_string_equal(a.destination, "host:22");
    server_world_assert_notice(&w, "open 1 alice host:22 one\n");
    wst_server_stats_t stats = server_world_stats(&w);
    assert_int_equal(stats.streams, 1);
    assert_int_equal(stats.connections, 2);
    assert_int_equal(stats.pending, 0);
    assert_int_equal(wst_remote_streams(w.last_up), 1);

    server_client_say(&c, "question");
    server_agent_expect(&a, "question");
    wst_slice_t reply = wst_slice_static("answer", 6);
    assert_int_equal(wst_stream_write(a.stream, &reply, 1), 0);
    server_client_expect(&c, "answer");

    server_client_end(&c);
    test_env_until_count(&w.env, &a.stream_ended, 1);
    reply = wst_slice_static("late", 4); /* the other direction goes on */
    assert_int_equal(wst_stream_write(a.stream, &reply, 1), 0);
    assert_int_equal(wst_stream_shutdown(a.stream), 0);
    server_client_expect(&c, "late");
    server_client_expect_end(&c);
    server_world_until_notice(&w,
                              "close 1 alice host:22 one to_agent=8 to_client=10 0 by client\n");
    stats = server_world_stats(&w);
    assert_int_equal(stats.streams, 0);
    server_client_close(&c);
    server_world_until_connections(&w, 1); /* the agent's */
    server_agent_close(&a);
    server_world_until_connections(&w, 0);
    server_world_free(&w);
}

/* Some clients lose, or refuse, bytes of the destination that come with the answer; so it is a
 * write of its own even if the destination has spoken already. */
static void test_answer_is_written_alone(void **state) {
    (void)state;
    static const char head[] = CONNECT, all[] = OK11 "220 hello";
    const wst_slice_t hello = wst_slice_static("220 hello", 9);
    server_world_t w;
    server_agent_t a;
    fake_stream_t client;
    server_world_open(&w);
    server_agent_open(&w, &a, "one", 1);
    a.treatment = SERVER_AGENT_KEEP;
    assert_int_equal(fake_stream_open(&client, w.env.ctx), 0);
    fake_stream_data(&client, head, sizeof(head) - 1);
    assert_int_equal(wst_server_adopt(w.server, client.stream, 0), 0);
    test_env_until_count(&w.env, &a.asked, 1);
    assert_int_equal(a.incoming->ops->accept(a.incoming, "", &a.stream), 0);
    assert_int_equal(wst_stream_write(a.stream, &hello, 1), 0);
    test_env_until_count(&w.env, &client.written_len, sizeof(all) - 1);
    assert_memory_equal(client.written, all, sizeof(all) - 1);
    assert_int_equal(client.writes, 2);
    fake_stream_break(&client, UV_ECONNRESET);
    server_world_until_connections(&w, 1);
    fake_stream_free(&client);
    server_agent_close(&a);
    server_world_free(&w);
}

/* Nothing but the line and the empty line; to HTTP/1.0 in its version. */
static void test_http10(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    server_world_open(&w);
    server_agent_open(&w, &a, "one", 1);
    server_client_open(&w, &c);
    server_client_say(&c, "CONNECT [2001:db8::1]:443 HTTP/1.0\r\n\r\n");
    server_client_expect(&c, "HTTP/1.0 200 Connection established\r\n\r\n");
    assert_string_equal(a.destination, "[2001:db8::1]:443");
    server_client_close(&c);
    server_agent_close(&a);
    server_world_free(&w);
}

/* The ways in which clients write IPv6 all name one destination. */
static void test_destinations(void **state) {
    (void)state;
    static const char *const forms[] = {"[2001:db8::1]:443", "2001:db8::1:443",
                                        "[2001:db8::1]:443]"};
    server_world_t w;
    server_agent_t a;
    server_world_open(&w);
    server_agent_open(&w, &a, "one", 1);
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        server_client_t c;
        char request[128];
        snprintf(request, sizeof(request), "CONNECT %s HTTP/1.1\r\nHost: other:1\r\n\r\n",
                 forms[i]);
        server_client_open(&w, &c);
        server_client_say(&c, request);
        server_client_expect(&c, OK11);
        assert_string_equal(a.destination, "[2001:db8::1]:443");
        server_client_close(&c);
    }
    server_agent_close(&a);
    server_world_free(&w);
}

/* --- bytes ahead of the answer --- */

/* In the packet of the request, and behind it, before the agent has answered. */
static void test_early_bytes(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    server_world_open(&w);
    server_agent_open(&w, &a, "one", 1);
    a.treatment = SERVER_AGENT_KEEP;
    server_client_open(&w, &c);
    server_client_say(&c, CONNECT "first ");
    test_env_until_count(&w.env, &a.asked, 1);
    server_client_say(&c, "second ");
    server_client_say(&c, "third");
    server_client_end(&c); /* behind bytes: the end of a direction, not of the wish */
    test_env_turns(&w.env, 20);
    assert_int_equal(a.cancelled, 0);
    assert_int_equal(c.got_len, 0);

    wst_stream_t *stream;
    wst__incoming_t *incoming = a.incoming;
    assert_int_equal(incoming->ops->accept(incoming, "", &stream), 0);
    server_client_expect(&c, OK11);
    assert_int_equal(wst_stream_shutdown(stream), 0);
    server_client_expect_end(&c);
    wst_stream_reset(stream, WST_ERESET, NULL);
    server_client_close(&c);
    server_agent_close(&a);
    server_world_free(&w);
}

static void test_early_bytes_arrive(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    server_world_init(&w);
    w.clients = SERVER_HOLD;
    server_world_start(&w);
    server_agent_open(&w, &a, "one", 1);
    server_client_open(&w, &c);
    server_client_say(&c, CONNECT "first ");
    test_env_until_count(&w.env, &w.client_questions, 1);
    server_client_say(&c, "second");
    server_client_end(&c);
    test_env_turns(&w.env, 20);
    wst_request_allow(w.held);
    server_client_expect(&c, OK11);
    server_agent_expect(&a, "first second");
    test_env_until_count(&w.env, &a.stream_ended, 1);
    server_client_close(&c);
    server_agent_close(&a);
    server_world_free(&w);
}

/* More than is kept: the rest waits in the kernel, nothing is lost. */
static void test_much_ahead(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    static uint8_t data[60000];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i % 251);
    server_world_init(&w);
    w.clients = SERVER_HOLD;
    server_world_start(&w);
    server_agent_open(&w, &a, "one", 1);
    server_client_open(&w, &c);
    server_client_say(&c, CONNECT);
    server_client_send(&c, data, sizeof(data));
    test_env_until_count(&w.env, &w.client_questions, 1);
    test_env_turns(&w.env, 50);
    wst_request_allow(w.held);
    server_client_expect(&c, OK11);
    test_env_until_count(&w.env, &a.got_len, sizeof(data));
    assert_memory_equal(a.got, data, sizeof(data));
    server_client_close(&c);
    server_agent_close(&a);
    server_world_free(&w);
}

/* --- a client that goes away --- */

typedef enum leaving { BY_RESET, BY_END } leaving_t;

static void leave_while_dialling(leaving_t how, const char *early) {
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    server_world_open(&w);
    server_agent_open(&w, &a, "one", 1);
    a.treatment = SERVER_AGENT_KEEP;
    server_client_open(&w, &c);
    server_client_say(&c, CONNECT);
    server_client_say(&c, early);
    test_env_until_count(&w.env, &a.asked, 1);
    if (how == BY_END)
        server_client_end(&c);
    else
        server_client_close(&c);
    test_env_until_count(&w.env, &a.cancelled, 1); /* the agent stops dialling */
    wst_server_stats_t stats = server_world_stats(&w);
    assert_int_equal(stats.pending, 0);
    if (how == BY_END)
        server_client_close(&c);
    assert_int_equal(w.opens + w.refusals, 0);
    server_agent_close(&a);
    server_world_free(&w);
}

static void test_gone_while_dialling(void **state) {
    (void)state;
    leave_while_dialling(BY_END, "");
    leave_while_dialling(BY_RESET, "");
    leave_while_dialling(BY_RESET, "early"); /* noticed behind early bytes too */
}

static void leave_while_asked(server_policy_t clients, server_policy_t choice) {
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    server_world_init(&w);
    w.clients = clients;
    w.choice = choice;
    server_world_start(&w);
    server_agent_open(&w, &a, "one", 1);
    server_client_open(&w, &c);
    server_client_say(&c, CONNECT);
    test_env_until_count(&w.env, clients == SERVER_HOLD ? &w.client_questions : &w.choice_questions,
                         1);
    server_client_close(&c);
    test_env_until_count(&w.env, &w.gone, 1);
    assert_int_equal(a.asked, 0);
    server_agent_close(&a);
    server_world_free(&w);
}

static void test_gone_while_asked(void **state) {
    (void)state;
    leave_while_asked(SERVER_HOLD, SERVER_UNASKED);
    leave_while_asked(SERVER_ALLOW, SERVER_HOLD);
}

/* So many turns after the decision, or after the agent has opened the stream. Whether what follows
 * from it came first. */
static bool leave_after(bool allowed, bool opened, int turns) {
    static const char head[] = CONNECT;
    server_world_t w;
    server_agent_t a;
    fake_stream_t client;
    server_world_init(&w);
    w.clients = SERVER_HOLD;
    w.choice = SERVER_ALLOW;
    server_world_start(&w);
    server_agent_open(&w, &a, "one", 1);
    assert_int_equal(fake_stream_open(&client, w.env.ctx), 0);
    fake_stream_data(&client, head, sizeof(head) - 1);
    assert_int_equal(wst_server_adopt(w.server, client.stream, 0), 0);
    test_env_until_count(&w.env, &w.client_questions, 1);
    if (allowed)
        wst_request_allow(w.held);
    else
        wst_request_deny(w.held, 403, NULL, NULL);
    if (opened) {
        a.treatment = SERVER_AGENT_KEEP;
        test_env_until_count(&w.env, &a.asked, 1);
        assert_int_equal(a.incoming->ops->accept(a.incoming, "", &a.stream), 0);
        a.asked = 0;
    }
    test_env_turns(&w.env, turns);
    bool through = a.asked + w.refusals + w.opens > 0;
    size_t refusals = w.refusals, opens = w.opens;
    fake_stream_break(&client, UV_ECONNRESET);
    server_world_until_connections(&w, 1);
    assert_int_equal(w.refusals, refusals);
    assert_int_equal(w.opens, opens);
    fake_stream_free(&client);
    server_agent_close(&a);
    server_world_free(&w);
    return through;
}

/* Nobody is asked, or told, about a client that is not there any more. */
static void test_gone_after_decision(void **state) {
    (void)state;
    for (int turns = 0; !leave_after(false, false, turns); turns++)
        assert_true(turns < 100);
    for (int turns = 0; !leave_after(true, false, turns); turns++)
        assert_true(turns < 100);
    for (int turns = 0; !leave_after(true, true, turns); turns++)
        assert_true(turns < 100);
}

/* --- refusals: exact bytes --- */

static void answer_text(char *out, size_t size, int status, const char *reason, const char *error,
                        const char *detail, bool retry) {
    char body[512];
    snprintf(body, sizeof(body), "%s\n%s%s", reason, detail, detail[0] != '\0' ? "\n" : "");
    snprintf(out, size,
             "HTTP/1.1 %d %s\r\nProxy-Status: libwstunnel; error=%s; details=\"%s\"\r\n%s"
             "Content-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n"
             "Connection: close\r\n\r\n%s",
             status, reason, error, detail[0] != '\0' ? detail : reason,
             retry ? "Retry-After: 5\r\n" : "", strlen(body), body);
}

static void test_agent_refuses(void **state) {
    (void)state;
    static const struct {
        int reason;
        const char *text;
        int status;
        const char *phrase, *error;
    } cases[] = {
        {WST_EREFUSED, "10.0.0.1:22", 502, "Connection refused by destination",
         "connection_refused"},
        {WST_EUNREACHABLE, "", 502, "Destination unreachable", "destination_ip_unroutable"},
        {WST_ENAME, "", 502, "Name of destination not found", "dns_error"},
        {WST_ENAMETIMEOUT, "", 504, "Name lookup of destination timed out", "dns_timeout"},
        {WST_EDIALTIMEOUT, "", 504, "Connection to destination timed out", "connection_timeout"},
        {WST_ERESET, "", 502, "Connection reset by destination", "connection_terminated"},
        {WST_EDENIED, "not from here", 403, "Destination denied by the agent",
         "http_request_denied"},
        {WST_EDEST, "", 400, "Invalid destination", "http_request_error"},
        {WST_EINTERNAL, "", 502, "Agent failed to connect", "proxy_internal_error"},
    };
    server_world_t w;
    server_agent_t a;
    server_world_open(&w);
    server_agent_open(&w, &a, "one", 1);
    a.treatment = SERVER_AGENT_REFUSE;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char expected[1024], notice[128];
        a.reason = cases[i].reason;
        a.text = cases[i].text;
        answer_text(expected, sizeof(expected), cases[i].status, cases[i].phrase, cases[i].error,
                    cases[i].text, false);
        server_client_ask(&w, CONNECT, expected);
        snprintf(notice, sizeof(notice), "refused host:22 %d %s\n", cases[i].status,
                 cases[i].phrase);
        server_world_assert_notice(&w, notice);
        w.notices[0] = '\0';
        snprintf(notice, sizeof(notice), "||one||%s|%s", cases[i].error, cases[i].text);
        assert_string_equal(w.last_refusal, notice);
    }
    server_agent_close(&a);
    server_world_free(&w);
}

static void test_no_agent(void **state) {
    (void)state;
    char expected[1024];
    server_world_t w;
    server_world_open(&w);
    answer_text(expected, sizeof(expected), 503, "No agent available", "destination_unavailable",
                "", true);
    server_client_ask(&w, CONNECT, expected);
    server_client_ask(&w, CONNECT "more", expected); /* what came behind it is not a request */
    server_world_free(&w);
}

static void test_malformed(void **state) {
    (void)state;
    static const struct {
        const char *request, *phrase, *notice;
    } cases[] = {
        {"CONNECT host HTTP/1.1\r\n\r\n", "Bad Request: no port", "refused host 400"},
        {"CONNECT host:0 HTTP/1.1\r\n\r\n", "Bad Request: port is not a number from 1 to 65535",
         "refused host:0 400"},
        {"CONNECT /x HTTP/1.1\r\n\r\n", "Bad Request: no port", "refused /x 400"},
        {"CONNECT host:1 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
         "Bad Request: CONNECT with a body", "refused host:1 400"},
        {"GET #x HTTP/1.1\r\n\r\n", "Bad Request: fragment in the target", ""},
    };
    char expected[1024];
    server_world_t w;
    server_world_open(&w);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        answer_text(expected, sizeof(expected), 400, cases[i].phrase, "http_request_error", "",
                    false);
        server_client_ask(&w, cases[i].request, expected);
        server_world_assert_notice(&w, cases[i].notice);
    }
    assert_int_equal(w.refusals, 4);
    server_world_free(&w);
}

/* --- decisions --- */

static void test_denied(void **state) {
    (void)state;
    server_world_t w;
    server_world_init(&w);
    w.clients = SERVER_DENY;
    w.deny_status = 429;
    w.deny_reason = "Zu viel f\xc3\xbcr \"heute\"";
    w.deny_fields = "Retry-After: 60\r\nX-Why: quota\r\n";
    server_world_start(&w);
    server_client_ask(
        &w, CONNECT,
        "HTTP/1.1 429 Zu viel f?r \"heute\"\r\n"
        "Proxy-Status: libwstunnel; error=http_request_denied; "
        "details=\"Zu viel f?r \\\"heute\\\"\"\r\n"
        "Retry-After: 60\r\nX-Why: quota\r\n"
        "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 41\r\n"
        "Connection: close\r\n\r\nZu viel f?r \"heute\"\nZu viel f\xc3\xbcr \"heute\"\n");
    server_world_assert_notice(&w, "refused host:22 429 Zu viel f?r \"heute\"\n");
    assert_string_equal(w.last_refusal, "||||http_request_denied|");
    server_world_free(&w);
}

/* Fields that are none cannot be sent; what is sent is not what was meant either. */
static void test_denied_with_bad_fields(void **state) {
    (void)state;
    server_world_t w;
    server_world_init(&w);
    w.clients = SERVER_DENY;
    w.deny_fields = "not a field\r\n";
    server_world_start(&w);
    server_client_ask(
        &w, CONNECT,
        "HTTP/1.1 500 Malformed answer\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    server_world_free(&w);
}

#define NEEDS_PASSWORD(connection)                                                                 \
    "HTTP/1.1 407 Proxy Authentication Required\r\n"                                               \
    "Proxy-Status: libwstunnel; error=http_request_denied; "                                       \
    "details=\"Proxy Authentication Required\"\r\n"                                                \
    "Proxy-Authenticate: Basic realm=\"x\"\r\n"                                                    \
    "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 30\r\n"                            \
    "Connection: " connection "\r\n\r\nProxy Authentication Required\n"

static void open_with_password(server_world_t *w) {
    server_world_init(w);
    w->clients = SERVER_DENY;
    w->deny_status = 407;
    w->deny_fields = "Proxy-Authenticate: Basic realm=\"x\"\r\n";
    server_world_start(w);
}

/* 407 keeps the connection for another try, unless something came behind the head. */
static void test_password(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    open_with_password(&w);
    server_agent_open(&w, &a, "one", 1);
    server_client_open(&w, &c);
    server_client_say(&c, CONNECT);
    server_client_expect(&c, NEEDS_PASSWORD("keep-alive"));
    w.clients = SERVER_ALLOW;
    server_client_say(&c, CONNECT "early");
    server_client_expect(&c, OK11);
    server_agent_expect(&a, "early");
    server_client_close(&c);
    w.clients = SERVER_DENY;
    server_client_ask(&w, CONNECT "early", NEEDS_PASSWORD("close"));
    server_agent_close(&a);
    server_world_free(&w);
}

/* The same for bytes that came while the question was open, and for an end. */
static void test_password_later(void **state) {
    (void)state;
    server_world_t w;
    server_client_t c;
    open_with_password(&w);
    w.clients = SERVER_HOLD;
    server_client_open(&w, &c);
    server_client_say(&c, CONNECT);
    test_env_until_count(&w.env, &w.client_questions, 1);
    server_client_say(&c, CONNECT); /* is a request, but may just as well be data */
    test_env_turns(&w.env, 20);
    wst_request_deny(w.held, 407, NULL, w.deny_fields);
    server_client_expect(&c, NEEDS_PASSWORD("close"));
    server_client_expect_end(&c);
    server_client_close(&c);

    server_client_open(&w, &c);
    server_client_say(&c, CONNECT);
    test_env_until_count(&w.env, &w.client_questions, 2);
    wst_request_deny(w.held, 407, NULL, w.deny_fields);
    server_client_expect(&c, NEEDS_PASSWORD("keep-alive"));
    server_client_say(&c, CONNECT);
    test_env_until_count(&w.env, &w.client_questions, 3);
    wst_request_deny(w.held, 407, NULL, w.deny_fields);
    server_client_expect(&c, NEEDS_PASSWORD("keep-alive"));
    server_client_end(&c);
    server_client_expect_end(&c);
    server_client_close(&c);
    server_world_free(&w);
}

static void test_wrong_answer(void **state) {
    (void)state;
    char expected[1024];
    server_world_t w;
    server_client_t c;
    server_world_init(&w);
    w.clients = SERVER_HOLD;
    server_world_start(&w);
    server_client_open(&w, &c);
    server_client_say(&c, CONNECT);
    test_env_until_count(&w.env, &w.client_questions, 1);
    wst_request_choose(w.held, NULL);
    answer_text(expected, sizeof(expected), 500, "Unfit decision", "proxy_internal_error", "",
                false);
    server_client_expect(&c, expected);
    server_client_expect_end(&c);
    server_client_close(&c);

    /* What was handed over with it is not left open. */
    int fds[2];
    wst_stream_t *given;
    assert_int_equal(uv_socketpair(SOCK_STREAM, 0, fds, 0, 0), 0);
    assert_int_equal(wst_socket_open(&given, w.env.ctx, fds[0], true), 0);
    server_client_open(&w, &c);
    server_client_say(&c, CONNECT);
    test_env_until_count(&w.env, &w.client_questions, 2);
    wst_request_connected(w.held, 0, given);
    server_client_expect(&c, expected);
    close(fds[1]);
    server_client_expect_end(&c);
    server_client_close(&c);
    server_world_free(&w);
}

/* --- deadlines --- */

static void no_decision(server_policy_t clients, server_policy_t choice) {
    char expected[1024];
    server_world_t w;
    server_world_init(&w);
    w.clients = clients;
    w.choice = choice;
    w.limits.decision_timeout_ms = 30;
    server_world_start(&w);
    answer_text(expected, sizeof(expected), 504, "No decision in time", "proxy_internal_response",
                "", false);
    server_client_ask(&w, CONNECT, expected);
    assert_int_equal(w.gone, 1);
    server_world_free(&w);
}

static void test_no_decision(void **state) {
    (void)state;
    no_decision(SERVER_HOLD, SERVER_UNASKED);
    no_decision(SERVER_ALLOW, SERVER_HOLD);
}

static void test_dial_timeout(void **state) {
    (void)state;
    char expected[1024];
    server_world_t w;
    server_agent_t a;
    server_world_init(&w);
    w.limits.dial_timeout_ms = 30;
    server_world_start(&w);
    server_agent_open(&w, &a, "one", 1);
    a.treatment = SERVER_AGENT_KEEP;
    answer_text(expected, sizeof(expected), 504, "Agent did not answer in time",
                "connection_timeout", "", false);
    server_client_ask(&w, CONNECT, expected);
    assert_int_equal(a.cancelled, 1);
    server_agent_close(&a);
    server_world_free(&w);
}

/* --- ends --- */

static void test_broken_ends(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    server_world_open(&w);
    server_agent_open(&w, &a, "one", 1);

    server_client_connect(&w, &c);
    server_client_say(&c, "abc");
    server_agent_expect(&a, "abc");
    server_client_close(&c); /* RST */
    server_world_until_notice(&w,
                              "close 1  host:22 one to_agent=3 to_client=0 ECONNRESET by client\n");
    test_env_until_count(&w.env, &a.stream_broken, 1);

    server_client_connect(&w, &c);
    wst_stream_reset(a.stream, WST_ERESET, NULL);
    a.stream = NULL;
    server_world_until_notice(&w,
                              "close 2  host:22 one to_agent=0 to_client=0 WST_ERESET by agent\n");
    server_client_expect_reset(&c);
    server_client_close(&c);

    server_client_connect(&w, &c);
    server_agent_close(&a);
    server_world_until_notice(&w,
                              "close 3  host:22 one to_agent=0 to_client=0 WST_ELOST by agent\n");
    server_client_expect_reset(&c);
    server_client_close(&c);
    server_world_free(&w);
}

static void test_half_closed_timeout(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    server_world_init(&w);
    w.limits.half_closed_timeout_ms = 30;
    server_world_start(&w);
    server_agent_open(&w, &a, "one", 1);
    server_client_connect(&w, &c);
    server_client_end(&c);
    server_world_until_notice(&w,
                              "close 1  host:22 one to_agent=0 to_client=0 WST_EIDLE by server\n");
    server_client_expect_reset(&c);
    server_client_close(&c);
    server_agent_close(&a);
    server_world_free(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tunnel),
        cmocka_unit_test(test_answer_is_written_alone),
        cmocka_unit_test(test_http10),
        cmocka_unit_test(test_destinations),
        cmocka_unit_test(test_early_bytes),
        cmocka_unit_test(test_early_bytes_arrive),
        cmocka_unit_test(test_much_ahead),
        cmocka_unit_test(test_gone_while_dialling),
        cmocka_unit_test(test_gone_while_asked),
        cmocka_unit_test(test_gone_after_decision),
        cmocka_unit_test(test_agent_refuses),
        cmocka_unit_test(test_no_agent),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_denied),
        cmocka_unit_test(test_denied_with_bad_fields),
        cmocka_unit_test(test_password),
        cmocka_unit_test(test_password_later),
        cmocka_unit_test(test_wrong_answer),
        cmocka_unit_test(test_no_decision),
        cmocka_unit_test(test_dial_timeout),
        cmocka_unit_test(test_broken_ends),
        cmocka_unit_test(test_half_closed_timeout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
