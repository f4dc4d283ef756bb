/* SPDX-License-Identifier: MIT */
/*
 * Requests in absolute form that are served: every byte that the origin and the client get, and
 * which connections serve them.
 */
#include "fake_stream.h"
#include "forward_world.h"

#include "ctx.h"
#include "server.h"

#include <stdio.h>

#define HEAD(connection) "Via: 1.1 @\r\nConnection: " connection "\r\n\r\n"

/* --- one request --- */

static void test_get(void **state) {
    (void)state;
    forward_t f;
    forward_init(&f);
    f.w.clients = SERVER_ALLOW;
    forward_start(&f);
    server_client_say(&f.c,
                      "GET http://[::1]:8080/x?y HTTP/1.1\r\nHost: else\r\nA: b\r\n"
                      "Proxy-Authorization: Basic YTpi\r\nProxy-Connection: keep-alive\r\n\r\n");
    forward_asked(&f, "GET /x?y HTTP/1.1\r\nHost: [::1]:8080\r\nA: b\r\n" HEAD("keep-alive"));
    assert_string_equal(f.a.destination, "[::1]:8080");
    assert_string_equal(f.w.question, "[::1]:8080 ");
    server_world_assert_notice(&f.w, "open 1 alice [::1]:8080 one\n");
    wst_server_stats_t stats = server_world_stats(&f.w);
    assert_int_equal(stats.streams, 1);
    assert_int_equal(stats.connections, 2);
    forward_reply(&f, "HTTP/1.1 404 No\r\nB: c\r\nKeep-Alive: timeout=5\r\n");
    forward_reply(&f, "Content-Length: 5\r\n\r\nhel");
    forward_expect(&f, "HTTP/1.1 404 No\r\nB: c\r\nContent-Length: 5\r\n" HEAD("keep-alive") "hel");
    assert_int_equal(f.w.closes, 0);
    forward_reply(&f, "lo");
    forward_expect(&f, "lo");
    server_world_until_notice(&f.w, "close 1 alice [::1]:8080 one to_agent=1");
    server_world_assert_notice(&f.w, " 0 by agent\n");
    stats = server_world_stats(&f.w);
    assert_int_equal(stats.streams, 0);
    assert_int_equal(stats.connections, 2);
    forward_close(&f);
}

/* Heads and bodies may come in any pieces. */
static void test_byte_by_byte(void **state) {
    (void)state;
    static const char post[] = "POST http://site/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                               "3;a=b\r\nabc\r\n0\r\nT: u\r\n\r\n";
    static const char answer[] = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"
                                 "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nV: w\r\n"
                                 "Set-Cookie: x\r\nX: y\r\n\r\n";
    char piece[2] = "";
    forward_t f;
    forward_open(&f);
    for (size_t i = 0; post[i] != '\0'; i++) {
        piece[0] = post[i];
        server_client_say(&f.c, piece);
        test_env_turns(&f.w.env, 3);
    }
    forward_asked(&f, "POST / HTTP/1.1\r\nHost: site\r\nTransfer-Encoding: chunked\r\n" HEAD(
                          "keep-alive") "3;a=b\r\nabc\r\n0\r\nT: u\r\n\r\n");
    for (size_t i = 0; answer[i] != '\0'; i++) {
        piece[0] = answer[i];
        forward_reply(&f, piece);
        test_env_turns(&f.w.env, 3);
    }
    forward_expect(&f, "HTTP/1.1 100 Continue\r\nVia: 1.1 @\r\n\r\nHTTP/1.1 200 OK\r\n"
                       "Transfer-Encoding: chunked\r\n" HEAD("keep-alive") "2\r\nok\r\n0\r\n"
                                                                           "V: w\r\nX: y\r\n\r\n");
    forward_get(&f);
    forward_close(&f);
}

/* The body comes only when the origin has asked for it. */
static void test_expect_continue(void **state) {
    (void)state;
    forward_t f;
    forward_open(&f);
    server_client_say(&f.c,
                      "PUT http://site/ HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n"
                      "\r\n");
    forward_asked(&f, "PUT / HTTP/1.1\r\nHost: site\r\nExpect: 100-continue\r\n"
                      "Content-Length: 3\r\n" HEAD("keep-alive"));
    forward_reply(&f, "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n");
    forward_expect(&f, "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\nVia: 1.1 @\r\n\r\n"
                       "HTTP/1.1 100 Continue\r\nVia: 1.1 @\r\n\r\n");
    server_client_say(&f.c, "abc");
    forward_asked(&f, "abc");
    forward_reply(&f, FORWARD_OK);
    forward_expect(&f, FORWARD_OK_SENT);
    forward_close(&f);
}

/* Answers without a body, whatever their heads say. */
static void test_no_body(void **state) {
    (void)state;
    forward_t f;
    forward_open(&f);
    server_client_say(&f.c, "HEAD http://site/ HTTP/1.1\r\n\r\n");
    forward_asked(&f, "HEAD / HTTP/1.1\r\nHost: site\r\n" HEAD("keep-alive"));
    forward_reply(&f, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n");
    forward_expect(&f, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n" HEAD("keep-alive"));
    server_client_say(&f.c, FORWARD_GET);
    forward_asked(&f, FORWARD_GOT);
    forward_reply(&f, "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n");
    forward_expect(&f, "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n" HEAD("keep-alive"));
    server_client_say(&f.c, FORWARD_GET);
    forward_asked(&f, FORWARD_GOT);
    forward_reply(&f, "HTTP/1.1 204 No Content\r\n\r\n");
    forward_expect(&f, "HTTP/1.1 204 No Content\r\n" HEAD("keep-alive"));
    forward_get(&f);
    assert_int_equal(f.a.asked, 1); /* all on one connection */
    forward_close(&f);
}

#define CHUNKED(version)                                                                           \
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nVia: " version                               \
    " @\r\nConnection: keep-alive\r\n\r\n"

/* Only the end of the origin's connection tells where the body ends; the client is told by the last
 * chunk, which is missing if the way is cut anywhere. */
static void test_until_close(void **state) {
    (void)state;
    forward_t f;
    forward_open(&f);
    server_client_say(&f.c, FORWARD_GET);
    forward_asked(&f, FORWARD_GOT);
    forward_reply(&f, "HTTP/1.0 200 OK\r\n\r\nall of");
    forward_expect(&f, CHUNKED("1.0") "6\r\nall of\r\n");
    forward_reply(&f, " it");
    forward_expect(&f, "3\r\n it\r\n");
    forward_end(&f);
    forward_expect(&f, "0\r\n\r\n");
    test_env_until_count(&f.w.env, &f.a.stream_ended, 1);
    test_env_turns(&f.w.env, 20);
    assert_int_equal(f.a.stream_broken, 0); /* it ended in order */
    forward_get(&f);                        /* and the client's connection is kept */
    assert_int_equal(f.a.asked, 2);
    forward_close(&f);
}

static void test_until_close_empty(void **state) {
    (void)state;
    forward_t f;
    forward_open(&f);
    server_client_say(&f.c, FORWARD_GET);
    forward_asked(&f, FORWARD_GOT);
    forward_reply(&f, "HTTP/1.1 200 OK\r\n\r\n");
    forward_end(&f);
    forward_expect(&f, CHUNKED("1.1") "0\r\n\r\n");
    forward_close(&f);
}

/* A client of HTTP/1.0 gets the body as it is; its end is that of the connection. */
static void test_until_close_http10(void **state) {
    (void)state;
    forward_t f;
    forward_open(&f);
    server_client_say(&f.c, "GET http://site/ HTTP/1.0\r\n\r\n");
    forward_asked(&f,
                  "GET / HTTP/1.1\r\nHost: site\r\nVia: 1.0 @\r\nConnection: keep-alive\r\n\r\n");
    forward_reply(&f, "HTTP/1.1 200 OK\r\n\r\nall of");
    forward_expect(&f, "HTTP/1.0 200 OK\r\nVia: 1.1 @\r\nConnection: close\r\n\r\nall of");
    forward_reply(&f, " it");
    forward_end(&f);
    forward_expect(&f, " it");
    forward_expect_end(&f);
    test_env_until_count(&f.w.env, &f.a.stream_ended, 1);
    test_env_turns(&f.w.env, 20);
    assert_int_equal(f.a.stream_broken, 0); /* it ended in order, on both sides */
    forward_close(&f);
}

static int64_t example_clock(void) {
    return 784111777;
}

/* RFC 9110 section 6.6.1: an origin without a clock, then one with a clock; and our own answer. */
static void test_date(void **state) {
    (void)state;
    forward_t f;
    forward_open(&f);
    f.w.env.ctx->clock = example_clock;
    server_client_say(&f.c, FORWARD_GET);
    forward_asked(&f, FORWARD_GOT);
    forward_reply(&f, "HTTP/1.1 204 No\r\n\r\n");
    forward_expect(&f,
                   "HTTP/1.1 204 No\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n" HEAD("keep-alive"));
    server_client_say(&f.c, FORWARD_GET);
    forward_asked(&f, FORWARD_GOT);
    forward_reply(&f, "HTTP/1.1 204 No\r\nA: b\r\nDate: c\r\n\r\n");
    forward_expect(&f, "HTTP/1.1 204 No\r\nA: b\r\nDate: c\r\n" HEAD("keep-alive"));
    server_client_say(&f.c, "GET https://site/ HTTP/1.1\r\n\r\n");
    server_client_expect(&f.c, "HTTP/1.1 400 This scheme needs CONNECT\r\n"
                               "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    forward_close(&f);
}

/* A client that does not know chunks, nor that a connection may stay, nor interim answers. */
static void test_http10(void **state) {
    (void)state;
    forward_t f;
    forward_open(&f);
    server_client_say(&f.c, "GET http://site/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    forward_asked(&f,
                  "GET / HTTP/1.1\r\nHost: site\r\nVia: 1.0 @\r\nConnection: keep-alive\r\n\r\n");
    forward_reply(&f, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTrailer: V\r\n"
                      "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n4;x\r\n, g");
    forward_expect(&f, "HTTP/1.0 200 OK\r\nVia: 1.1 @\r\nConnection: close\r\n\r\nok, g");
    forward_reply(&f, "o\r\n0\r\nV: w\r\n\r\n");
    forward_expect(&f, "o");
    forward_expect_end(&f);
    test_env_until_count(&f.w.env, &f.a.stream_ended, 1);
    forward_close(&f);
}

/* It is answered before it has sent all: what else it sends is not another request. */
static void test_early_answer(void **state) {
    (void)state;
    forward_t f;
    forward_open(&f);
    server_client_say(&f.c, "POST http://site/ HTTP/1.1\r\nContent-Length: 100\r\n\r\nabc");
    forward_asked(
        &f, "POST / HTTP/1.1\r\nHost: site\r\nContent-Length: 100\r\n" HEAD("keep-alive") "abc");
    forward_reply(&f, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
    forward_expect(&f, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n" HEAD("close") "no");
    server_client_say(&f.c, FORWARD_GET);
    test_env_until_count(&f.w.env, &f.a.stream_broken, 1); /* half a request never looks whole */
    forward_expect_end(&f);
    assert_int_equal(f.a.stream_ended, 0);
    assert_int_equal(f.a.asked, 1);
    forward_close(&f);
}

/* A client that has finished sending still gets its answer. */
static void test_half_closed(void **state) {
    (void)state;
    forward_t f;
    forward_open(&f);
    server_client_say(&f.c, FORWARD_GET);
    server_client_end(&f.c);
    forward_asked(&f, FORWARD_GOT);
    test_env_turns(&f.w.env, 20);
    forward_reply(&f, FORWARD_OK);
    forward_expect(&f, FORWARD_OK_SENT);
    forward_expect_end(&f);
    assert_int_equal(f.a.stream_broken, 0);
    forward_close(&f);
}

/* Heads up to what is allowed pass. */
static void test_long_head(void **state) {
    (void)state;
    static char request[16384 + 1], answer[16384 + 1];
    size_t n = (size_t)snprintf(request, sizeof(request), "GET http://site/x HTTP/1.1\r\nA: ");
    memset(request + n, 'a', 16384 - 4 - n);
    memcpy(request + 16384 - 4, "\r\n\r\n", 5);
    n = (size_t)snprintf(answer, sizeof(answer), "HTTP/1.1 204 OK\r\nA: ");
    memset(answer + n, 'a', 16384 - 4 - n);
    memcpy(answer + 16384 - 4, "\r\n\r\n", 5);
    forward_t f;
    forward_open(&f);
    server_client_say(&f.c, request);
    forward_asked(&f, "GET /x HTTP/1.1\r\nHost: site\r\nA: aaa");
    forward_reply(&f, answer);
    forward_expect(&f, "HTTP/1.1 204 OK\r\nA: aaa");
    forward_close(&f);
}

/* --- several requests --- */

/* Answers come in order; the next request is sent when its predecessor has been answered. */
static void test_pipelining(void **state) {
    (void)state;
    forward_t f;
    forward_open(&f);
    server_client_say(&f.c, FORWARD_GET
                      "HEAD http://site/2 HTTP/1.1\r\n\r\nPOST http://site/3 HTTP/1.1\r\n"
                      "Content-Length: 4\r\n\r\nbody" FORWARD_GET);
    server_client_end(&f.c);
    forward_asked(&f, FORWARD_GOT);
    test_env_turns(&f.w.env, 20);
    assert_int_equal(f.a.got_len, 0);
    forward_reply(&f, FORWARD_OK);
    forward_asked(&f, "HEAD /2 HTTP/1.1\r\nHost: site\r\n" HEAD("keep-alive"));
    forward_reply(&f, FORWARD_OK); /* its body is none: more than was asked for */
    test_env_until_count(&f.w.env, &f.a.asked, 2);
    forward_asked(
        &f, "POST /3 HTTP/1.1\r\nHost: site\r\nContent-Length: 4\r\n" HEAD("keep-alive") "body");
    forward_reply(&f, FORWARD_OK);
    forward_asked(&f, FORWARD_GOT);
    forward_reply(&f, FORWARD_OK);
    forward_expect(&f, FORWARD_OK_SENT "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" HEAD("keep-alive")
                           FORWARD_OK_SENT FORWARD_OK_SENT);
    forward_expect_end(&f);
    assert_int_equal(f.a.asked, 2);
    forward_close(&f);
}

/* A request for another origin leaves the kept connection, in order. */
static void test_hosts(void **state) {
    (void)state;
    forward_t f;
    forward_open(&f);
    forward_get(&f);
    forward_get(&f);
    assert_int_equal(f.a.asked, 1);
    server_client_say(&f.c, "GET http://other/x HTTP/1.1\r\n\r\n");
    test_env_until_count(&f.w.env, &f.a.asked, 2);
    assert_int_equal(f.a.stream_ended, 1);
    assert_int_equal(f.a.stream_broken, 0);
    assert_string_equal(f.a.destination, "other:80");
    forward_asked(&f, "GET /x HTTP/1.1\r\nHost: other\r\n" HEAD("keep-alive"));
    forward_reply(&f, FORWARD_OK);
    forward_expect(&f, FORWARD_OK_SENT);
    forward_get(&f);
    assert_int_equal(f.a.asked, 3);
    forward_close(&f);
}

/* What may not be sent twice gets a connection that is surely alive. */
static void test_unrepeatable(void **state) {
    (void)state;
    static const char *const requests[] = {
        "POST http://site/ HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        "PUT http://site/ HTTP/1.1\r\nContent-Length: 1\r\n\r\na",
        "GET http://site/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "PATCH http://site/ HTTP/1.1\r\n\r\n"};
    forward_t f;
    forward_open(&f);
    forward_get(&f);
    for (size_t i = 0; i < 4; i++) {
        server_client_say(&f.c, requests[i]);
        test_env_until_count(&f.w.env, &f.a.asked, i + 2);
        test_env_until_count(&f.w.env, &f.a.got_len, 1);
        test_env_turns(&f.w.env, 20);
        f.a.got_len = 0;
        forward_reply(&f, FORWARD_OK);
        forward_expect(&f, FORWARD_OK_SENT);
    }
    forward_get(&f);
    assert_int_equal(f.a.asked, 5);
    forward_close(&f);
}

typedef enum staleness { ENDED, RESET, TALKS, ENDED_LATE, RESET_LATE } staleness_t;

/* A kept connection that has gone stale is noticed at once, or when it is used: nobody sees it. */
static void stale(staleness_t how) {
    forward_t f;
    forward_open(&f);
    forward_get(&f);
    if (how == ENDED)
        forward_end(&f);
    if (how == RESET)
        forward_reset(&f);
    if (how == TALKS)
        forward_reply(&f, FORWARD_OK);
    if (how <= TALKS)
        test_env_turns(&f.w.env, 50);
    server_client_say(&f.c, FORWARD_GET);
    if (how > TALKS)
        forward_asked(&f, FORWARD_GOT);
    if (how == ENDED_LATE)
        forward_end(&f);
    if (how == RESET_LATE)
        forward_reset(&f);
    test_env_until_count(&f.w.env, &f.a.asked, 2);
    forward_asked(&f, FORWARD_GOT);
    forward_reply(&f, FORWARD_OK);
    forward_expect(&f, FORWARD_OK_SENT);
    forward_get(&f);
    assert_int_equal(f.a.asked, 2);
    forward_close(&f);
}

static void test_stale(void **state) {
    (void)state;
    for (int how = ENDED; how <= RESET_LATE; how++)
        stale((staleness_t)how);
}

/* Who is asked is asked about each request; as long as the answers are the same, the origin's
 * connection is too. */
static void test_choice(void **state) {
    (void)state;
    forward_t f;
    forward_init(&f);
    f.w.choice = f.w.clients = f.w.reached = SERVER_ALLOW;
    forward_start(&f);
    f.a.address = "192.0.2.7";
    for (size_t i = 1; i <= 3; i++) {
        server_client_say(&f.c, FORWARD_GET);
        forward_asked(&f, FORWARD_GOT);
        forward_reply(&f, FORWARD_OK);
        forward_expect(&f, FORWARD_OK_SENT);
        assert_int_equal(f.w.client_questions, i);
        assert_int_equal(f.w.choice_questions, i);
        assert_int_equal(f.w.reached_questions, i);
        assert_string_equal(f.w.reached_what, "192.0.2.7 one");
        assert_int_equal(f.a.asked, 1);
    }
    f.w.reached = SERVER_DENY;
    server_client_say(&f.c, FORWARD_GET);
    forward_expect_refusal(&f, 403, "Forbidden", "http_request_denied", "");
    assert_int_equal(f.a.got_len, 0);
    forward_close(&f);
}

/* Another agent than the one that has opened the kept connection: it is not used. */
static void test_another_choice(void **state) {
    (void)state;
    forward_t f;
    server_agent_t b;
    forward_init(&f);
    f.w.choice = SERVER_HOLD;
    forward_start(&f);
    server_agent_open(&f.w, &b, "another", 2);
    wst_remote_t *one = wst_server_next_agent(f.w.server, NULL);
    server_client_say(&f.c, FORWARD_GET);
    test_env_until_count(&f.w.env, &f.w.choice_questions, 1);
    wst_request_choose(f.w.held, one);
    forward_asked(&f, FORWARD_GOT);
    forward_reply(&f, FORWARD_OK);
    forward_expect(&f, FORWARD_OK_SENT);
    server_client_say(&f.c, FORWARD_GET);
    test_env_until_count(&f.w.env, &f.w.choice_questions, 2);
    wst_request_choose(f.w.held, wst_server_next_agent(f.w.server, one));
    server_agent_expect(&b, "GET /x HTTP/1.1\r\n");
    test_env_until_count(&f.w.env, &f.a.stream_ended, 1);
    assert_int_equal(f.a.asked, 1);
    server_agent_close(&b);
    forward_close(&f);
}

/* The kept connection breaks while its use is being asked about: a new one, of the same agent. */
static void test_stale_while_asked(void **state) {
    (void)state;
    forward_t f;
    forward_init(&f);
    f.w.reached = SERVER_HOLD;
    forward_start(&f);
    for (size_t i = 1; i <= 2; i++) {
        server_client_say(&f.c, FORWARD_GET);
        test_env_until_count(&f.w.env, &f.w.reached_questions, i);
        if (i == 2) {
            forward_reset(&f);
            test_env_until_count(&f.w.env, &f.w.gone, 1);
            test_env_until_count(&f.w.env, &f.w.reached_questions, 3);
        }
        wst_request_allow(f.w.held);
        forward_asked(&f, FORWARD_GOT);
        forward_reply(&f, FORWARD_OK);
        forward_expect(&f, FORWARD_OK_SENT);
        assert_int_equal(f.a.asked, i);
    }
    forward_close(&f);
}

/* A request that is refused in between is no reason to give up what is kept; another user is. */
static void test_refused_between(void **state) {
    (void)state;
    forward_t f;
    forward_init(&f);
    f.w.clients = SERVER_ALLOW;
    f.w.deny_status = 407;
    forward_start(&f);
    forward_get(&f);
    f.w.clients = SERVER_DENY;
    server_client_say(&f.c, FORWARD_GET);
    server_client_expect(&f.c, "HTTP/1.1 407 ");
    test_env_until_count(&f.w.env, &f.w.refusals, 1);
    test_env_turns(&f.w.env, 5);
    f.c.got_len = 0;
    f.w.clients = SERVER_ALLOW;
    server_client_say(&f.c, FORWARD_GET);
    forward_asked(&f, FORWARD_GOT);
    assert_int_equal(f.a.asked, 1);
    forward_reply(&f, FORWARD_OK);
    forward_expect(&f, FORWARD_OK_SENT);
    f.w.client_tenant = "other";
    server_client_say(&f.c, FORWARD_GET);
    forward_expect_refusal(&f, 503, "No agent available", "destination_unavailable", "");
    assert_int_equal(f.a.got_len, 0);
    forward_close(&f);
}

/* A connection that was opened for one user is no reason to let in another one. */
static void test_each_request_is_asked(void **state) {
    (void)state;
    forward_t f;
    forward_init(&f);
    f.w.clients = SERVER_ALLOW;
    forward_start(&f);
    forward_get(&f);
    f.w.clients = SERVER_DENY;
    server_client_say(&f.c, FORWARD_GET);
    forward_expect_refusal(&f, 403, "Forbidden", "http_request_denied", "");
    assert_int_equal(f.a.got_len, 0);
    forward_close(&f);
}

/* 407 keeps the connection: clients try again on it. */
static void test_password(void **state) {
    (void)state;
    forward_t f;
    forward_init(&f);
    f.w.clients = SERVER_DENY;
    f.w.deny_status = 407;
    f.w.deny_fields = "Proxy-Authenticate: Basic realm=\"x\"\r\n";
    forward_start(&f);
    server_client_say(&f.c, FORWARD_GET);
    server_client_expect(&f.c, "HTTP/1.1 407 ");
    test_env_until_count(&f.w.env, &f.w.refusals, 1);
    assert_non_null(strstr(f.c.got, "Connection: keep-alive\r\n"));
    f.c.got_len = 0;
    f.w.clients = SERVER_ALLOW;
    forward_get(&f);
    forward_close(&f);
}

/* CONNECT on a connection that has served plain requests. */
static void test_connect_behind(void **state) {
    (void)state;
    forward_t f;
    forward_open(&f);
    forward_get(&f);
    server_client_say(&f.c, "CONNECT site:80 HTTP/1.1\r\n\r\nearly");
    forward_expect(&f, "HTTP/1.1 200 Connection established\r\n\r\n");
    forward_asked(&f, "early");
    assert_int_equal(f.a.asked, 2);
    forward_close(&f);
}

/* --- upgrades --- */

#define UPGRADE "GET ws://site/ HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
#define SWITCH  "HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"

/* Bytes behind both heads come through, then both ends. */
static void test_upgrade(void **state) {
    (void)state;
    forward_t f;
    forward_open(&f);
    server_client_say(&f.c, UPGRADE "first ");
    forward_asked(&f, "GET / HTTP/1.1\r\nHost: site\r\nVia: 1.1 @\r\nUpgrade: websocket\r\n"
                      "Connection: Upgrade\r\n\r\n");
    assert_int_equal(f.a.got_len, 0);
    forward_reply(&f, SWITCH "hello ");
    forward_expect(&f, "HTTP/1.1 101 Go\r\nVia: 1.1 @\r\nUpgrade: websocket\r\n"
                       "Connection: Upgrade\r\n\r\nhello ");
    server_client_say(&f.c, "second");
    server_client_end(&f.c);
    forward_asked(&f, "first second");
    test_env_until_count(&f.w.env, &f.a.stream_ended, 1);
    wst_server_stats_t stats = server_world_stats(&f.w);
    assert_int_equal(stats.streams, 1);
    assert_int_equal(stats.connections, 2);
    forward_reply(&f, "world");
    forward_end(&f);
    forward_expect(&f, "world");
    forward_expect_end(&f);
    server_world_until_notice(&f.w, "close 2  site:80 one to_agent=12 to_client=11 0 by client\n");
    server_world_until_connections(&f.w, 1);
    forward_close(&f);
}

/* An origin may as well say no. */
static void test_no_upgrade(void **state) {
    (void)state;
    forward_t f;
    forward_open(&f);
    server_client_say(&f.c, UPGRADE);
    forward_asked(&f, "GET / HTTP/1.1\r\n");
    test_env_turns(&f.w.env, 20);
    f.a.got_len = 0;
    forward_reply(&f, FORWARD_OK);
    forward_expect(&f, FORWARD_OK_SENT);
    forward_get(&f);
    forward_close(&f);
}

/* The agent is lost while a kept connection waits for its answer: the request is tried once more,
 * and there is nobody left. */
static void test_stale_by_the_agents_end(void **state) {
    (void)state;
    forward_t f;
    forward_open(&f);
    forward_get(&f);
    server_client_say(&f.c, FORWARD_GET);
    forward_asked(&f, FORWARD_GOT);
    f.a.stream = NULL;
    server_agent_close(&f.a);
    forward_expect_refusal(&f, 503, "No agent available", "destination_unavailable", "");
    server_world_free(&f.w);
}

/* A request for which a connection is kept, and whose client is asked about: closed in on_reached.
 */
static forward_t *reached_world;

static void close_in_reached(wst_server_t *server, wst_request_t *request, void *user_data) {
    (void)server, (void)user_data;
    wst_request_allow(request);
    server_world_close(&reached_world->w);
}

static void test_close_in_reached(void **state) {
    (void)state;
    for (int kept = 0; kept < 2; kept++) {
        forward_t f;
        forward_init(&f);
        reached_world = &f;
        forward_start(&f);
        if (kept)
            forward_get(&f);
        f.w.server->callbacks.on_reached = close_in_reached;
        server_client_say(&f.c, FORWARD_GET);
        test_env_until_count(&f.w.env, &f.w.closed, 1);
        forward_close(&f);
    }
}

int main(int argc, char **argv) {
    if (argc > 1) /* one test alone */
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_byte_by_byte),
        cmocka_unit_test(test_expect_continue),
        cmocka_unit_test(test_no_body),
        cmocka_unit_test(test_date),
        cmocka_unit_test(test_until_close),
        cmocka_unit_test(test_until_close_empty),
        cmocka_unit_test(test_until_close_http10),
        cmocka_unit_test(test_http10),
        cmocka_unit_test(test_early_answer),
        cmocka_unit_test(test_half_closed),
        cmocka_unit_test(test_long_head),
        cmocka_unit_test(test_pipelining),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_unrepeatable),
        cmocka_unit_test(test_stale),
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_another_choice),
        cmocka_unit_test(test_stale_while_asked),
        cmocka_unit_test(test_refused_between),
        cmocka_unit_test(test_each_request_is_asked),
        cmocka_unit_test(test_password),
        cmocka_unit_test(test_connect_behind),
        cmocka_unit_test(test_upgrade),
        cmocka_unit_test(test_no_upgrade),
        cmocka_unit_test(test_stale_by_the_agents_end),
        cmocka_unit_test(test_close_in_reached),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
