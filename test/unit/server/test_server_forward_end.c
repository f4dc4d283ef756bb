/* SPDX-License-Identifier: MIT */
/*
 * Forwarded requests that are refused or come to a bad end, drain, back-pressure, the end of the
 * server in every moment, and without memory.
 */
#include "fake_stream.h"
#include "forward_world.h"

#include "http_forward.h"
#include "server.h"

#include <stdio.h>

#define HEAD(connection) "Via: 1.1 @\r\nConnection: " connection "\r\n\r\n"

/* --- refused --- */

static void test_refused(void **state) {
    (void)state;
    static const char tls[] = "https and wss go through a tunnel: ask for it by CONNECT";
    static const char other[] =
        "only http is forwarded; other protocols go through a tunnel, by CONNECT";
    static const struct {
        const char *request;
        int status;
        const char *reason, *error, *detail;
    } cases[] = {
        {"GET https://site/ HTTP/1.1\r\n\r\n", 400, "This scheme needs CONNECT",
         "http_request_error", tls},
        {"GET wss://site/ HTTP/1.1\r\n\r\n", 400, "This scheme needs CONNECT", "http_request_error",
         tls},
        {"GET ftp://site:21/ HTTP/1.1\r\n\r\n", 400, "This scheme needs CONNECT",
         "http_request_error", other},
        {"TRACE http://site/ HTTP/1.1\r\nMax-Forwards: 0\r\n\r\n", 501,
         "May not be forwarded further", "proxy_internal_response", "Max-Forwards has reached 0"},
        {"POST http://site/ HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501,
         "Transfer coding not supported", "proxy_internal_response",
         "a transfer coding other than chunked"},
        {FORWARD_GET FORWARD_GET, 503, "No agent available", "destination_unavailable", ""},
        {"GET http:///x HTTP/1.1\r\n\r\n", 400, "Bad Request: no host", "http_request_error", ""},
    };
    forward_t f;
    forward_init(&f);
    server_world_start(&f.w);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        server_client_open(&f.w, &f.c);
        server_client_say(&f.c, cases[i].request);
        forward_expect_refusal(&f, cases[i].status, cases[i].reason, cases[i].error,
                               cases[i].detail);
    }
    assert_int_equal(f.w.refusals, 6);
    server_world_assert_notice(&f.w, "refused site:21 400 This scheme needs CONNECT\n");
    server_world_free(&f.w);
}

static void test_loop(void **state) {
    (void)state;
    char request[200];
    forward_t f;
    forward_open(&f);
    snprintf(request, sizeof(request), "GET http://site/ HTTP/1.1\r\nVia: 1.1 a, 1.1 %s\r\n\r\n",
             f.w.server->pseudonym);
    server_client_say(&f.c, request);
    forward_expect_refusal(&f, 502, "Proxy loop detected", "proxy_loop_detected",
                           "the request has come back to this proxy");
    forward_close(&f);
}

static void test_agent_refuses(void **state) {
    (void)state;
    forward_t f;
    forward_open(&f);
    f.a.treatment = SERVER_AGENT_REFUSE;
    f.a.reason = WST_EREFUSED;
    f.a.text = "";
    server_client_say(&f.c,
                      "POST http://site/ HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc" FORWARD_GET);
    forward_expect_refusal(&f, 502, "Connection refused by destination", "connection_refused", "");
    assert_int_equal(f.a.asked, 1);
    forward_close(&f);
}

/* --- the origin --- */

static void expect_502(forward_t *f, const char *reason, const char *error, const char *detail) {
    forward_expect_refusal(f, 502, reason, error, detail);
    assert_int_equal(f->w.closes, 1);
    assert_int_equal(f->w.refusals, 1);
    assert_int_equal(f->a.asked, 1);
}

/* Gone before it has answered, with or without a part of a head. */
static void gone_early(const char *part) {
    forward_t f;
    for (int how = 0; how < 3; how++) {
        forward_open(&f);
        server_client_say(&f.c, FORWARD_GET);
        forward_asked(&f, FORWARD_GOT);
        if (part[0] != '\0')
            forward_reply(&f, part);
        test_env_turns(&f.w.env, 20);
        if (how == 0) {
            forward_end(&f);
            expect_502(&f, "Destination closed without an answer", "connection_terminated", "");
            server_world_assert_notice(&f.w, "to_client=0 EOF by agent\n");
        } else if (how == 1) {
            forward_reset(&f);
            expect_502(&f, "Connection reset by destination", "connection_terminated", "");
            server_world_assert_notice(&f.w, "to_client=0 WST_ERESET by agent\n");
        } else {
            f.a.uplink->ops->end(f.a.uplink, 1001, "", false);
            forward_expect_refusal(&f, 503, "Agent lost", "destination_unavailable", "");
            server_world_assert_notice(&f.w, "to_client=0 WST_ELOST by agent\n");
        }
        forward_close(&f);
    }
}

static void test_gone_early(void **state) {
    (void)state;
    gone_early("");
    gone_early("HTTP/1.1 200 OK\r\nA:");
}

/* A stale kept connection is replaced once, not for ever. */
static void test_stale_twice(void **state) {
    (void)state;
    forward_t f;
    forward_open(&f);
    forward_get(&f);
    server_client_say(&f.c, FORWARD_GET);
    forward_asked(&f, FORWARD_GOT);
    forward_end(&f);
    test_env_until_count(&f.w.env, &f.a.asked, 2);
    forward_asked(&f, FORWARD_GOT);
    forward_end(&f);
    forward_expect_refusal(&f, 502, "Destination closed without an answer", "connection_terminated",
                           "");
    assert_int_equal(f.a.asked, 2);
    forward_close(&f);
}

static void test_malformed(void **state) {
    (void)state;
    static const struct {
        const char *answer, *detail;
    } cases[] = {
        {"SSH-2.0-x\r\n", "not a response of HTTP/1"},
        {"HTTP/2 200\r\n\r\n", "not a response of HTTP/1"},
        {"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "space before colon"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na",
         "more than one Content-Length"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
         "transfer coding other than chunked"},
        {"HTTP/1.1 101 Go\r\nUpgrade: x\r\n\r\n", "upgrade that was not asked for"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        forward_t f;
        forward_open(&f);
        server_client_say(&f.c, FORWARD_GET);
        forward_asked(&f, FORWARD_GOT);
        forward_reply(&f, cases[i].answer);
        expect_502(&f, "Malformed answer of destination", "http_protocol_error", cases[i].detail);
        server_world_assert_notice(&f.w, "to_client=0 WST_EHTTP by agent\n");
        test_env_until_count(&f.w.env, &f.a.stream_broken, 1);
        forward_close(&f);
    }
}

static void test_endless_head(void **state) {
    (void)state;
    static char head[16384 + 1];
    forward_t f;
    memset(head, 'a', sizeof(head) - 1);
    memcpy(head, "HTTP/1.1 200 OK\r\nA:", 19);
    forward_open(&f);
    server_client_say(&f.c, FORWARD_GET);
    forward_asked(&f, FORWARD_GOT);
    forward_reply(&f, head);
    expect_502(&f, "Malformed answer of destination", "http_protocol_error", "HTTP head too large");
    forward_close(&f);
}

/* An origin that says it works on it, again and again, is given up. */
static void test_endless_interim(void **state) {
    (void)state;
    forward_t f;
    forward_open(&f);
    server_client_say(&f.c, FORWARD_GET);
    forward_asked(&f, FORWARD_GOT);
    for (int i = 0; i < WST__INTERIM_MAX; i++) {
        forward_reply(&f, "HTTP/1.1 102 Processing\r\n\r\n");
        forward_expect(&f, "HTTP/1.1 102 Processing\r\nVia: 1.1 @\r\n\r\n");
    }
    forward_reply(&f, "HTTP/1.1 102 Processing\r\n\r\n");
    forward_expect_refusal(&f, 502, "Malformed answer of destination", "http_protocol_error",
                           "too many interim responses");
    forward_close(&f);
}

/* What is cut short is reset: no client takes it for the whole. */
static void cut_short(const char *request, const char *answer, const char *more) {
    for (int how = more != NULL ? 2 : 0; how < (more != NULL ? 3 : 2); how++) {
        forward_t f;
        forward_open(&f);
        server_client_say(&f.c, request);
        test_env_until_count(&f.w.env, &f.a.got_len, 1);
        forward_reply(&f, answer);
        server_client_expect(&f.c, "HTTP/1.");
        if (how == 0)
            forward_end(&f);
        else if (how == 1)
            forward_reset(&f);
        else
            forward_reply(&f, more);
        forward_expect_reset(&f);
        server_world_until_notice(&f.w, how == 0   ? "EOF by agent\n"
                                        : how == 1 ? "WST_ERESET by agent\n"
                                                   : "WST_EHTTP by agent\n");
        assert_int_equal(f.w.refusals, 0);
        forward_close(&f);
    }
}

static void test_cut_short(void **state) {
    (void)state;
    static const char chunked[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc";
    static const char old[] = "GET http://site/ HTTP/1.0\r\n\r\n";
    cut_short(FORWARD_GET, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", NULL);
    cut_short(FORWARD_GET, chunked, NULL);
    cut_short(old, chunked, NULL);
    cut_short(FORWARD_GET, chunked, "de");
    cut_short(old, chunked, "de");
}

/* Only the end of the origin's connection would tell that this is all; a reset does not. */
static void test_cut_until_close(void **state) {
    (void)state;
    static const struct {
        const char *request, *answer;
    } cases[] = {
        {FORWARD_GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nVia: 1.1 @\r\n"
                      "Connection: keep-alive\r\n\r\n3\r\nabc\r\n"},
        {"GET http://site/x HTTP/1.0\r\nHost: site\r\n\r\n",
         "HTTP/1.0 200 OK\r\nVia: 1.1 @\r\nConnection: close\r\n\r\nabc"},
    };
    for (size_t i = 0; i < 2; i++) {
        forward_t f;
        forward_open(&f);
        server_client_say(&f.c, cases[i].request);
        test_env_until_count(&f.w.env, &f.a.asked, 1);
        forward_reply(&f, "HTTP/1.1 200 OK\r\n\r\nabc");
        forward_expect(&f, cases[i].answer);
        forward_reset(&f);
        server_client_expect_reset(&f.c);
        assert_int_equal(f.c.got_len, 0); /* no last chunk came before it */
        server_client_close(&f.c);
        forward_close(&f);
    }
}

/* --- the client --- */

#define POST "POST http://site/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"

static void test_malformed_body(void **state) {
    (void)state;
    static const struct {
        const char *body, *detail;
    } cases[] = {
        {"x\r\n", "chunk size is not a hexadecimal number"},
        {"1\r\nab", "no CR LF behind a chunk"},
        {"0\r\nProxy-Authorization: a\r\n",
         "field in the trailer section that belongs into the head"},
        {NULL, "connection closed within the body"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        forward_t f;
        forward_open(&f);
        server_client_say(&f.c, POST "1\r\na\r\n");
        forward_asked(&f, "POST / HTTP/1.1\r\nHost: site\r\nTransfer-Encoding: chunked\r\n" HEAD(
                              "keep-alive") "1\r\na\r\n");
        if (cases[i].body != NULL)
            server_client_say(&f.c, cases[i].body);
        else
            server_client_end(&f.c);
        forward_expect_refusal(&f, 400, "Malformed body of the request", "http_request_error",
                               cases[i].detail);
        test_env_until_count(&f.w.env, &f.a.stream_broken, 1);
        assert_int_equal(f.a.stream_ended, 0);
        assert_int_equal(f.a.got_len, 0);
        server_world_assert_notice(&f.w, "WST_EHTTP by client\n");
        forward_close(&f);
    }
}

/* Its reset reaches the origin, before the answer and within it. */
static void test_client_gone(void **state) {
    (void)state;
    for (int begun = 0; begun < 2; begun++) {
        forward_t f;
        forward_open(&f);
        server_client_say(&f.c, FORWARD_GET);
        forward_asked(&f, FORWARD_GOT);
        if (begun) {
            forward_reply(&f, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
            server_client_expect(&f.c, "HTTP/1.1 200 OK\r\n");
        }
        server_client_close(&f.c);
        test_env_until_count(&f.w.env, &f.a.stream_broken, 1);
        server_world_assert_notice(&f.w, "ECONNRESET by client\n");
        server_world_until_connections(&f.w, 1);
        assert_int_equal(f.w.refusals, 0);
        forward_close(&f);
    }
}

/* --- deadlines --- */

enum { SILENCE_MS = 2000 };

static void test_silence(void **state) {
    (void)state;
    for (int begun = 0; begun < 2; begun++) {
        forward_t f;
        forward_init(&f);
        f.w.limits.half_closed_timeout_ms = SILENCE_MS;
        forward_start(&f);
        server_client_say(&f.c, FORWARD_GET);
        forward_asked(&f, FORWARD_GOT);
        if (begun) {
            forward_reply(&f, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
            server_client_expect(&f.c, "HTTP/1.1 200 OK\r\n");
        }
        server_world_pass(&f.w, SILENCE_MS);
        if (begun) {
            forward_expect_reset(&f);
        } else {
            forward_expect_refusal(&f, 504, "Connection to destination timed out",
                                   "connection_timeout", "");
        }
        server_world_assert_notice(&f.w, "WST_EIDLE by server\n");
        forward_close(&f);
    }
}

/* --- back-pressure --- */

static void open_with_fake(forward_t *f, fake_stream_t *client) {
    forward_open(f);
    server_client_close(&f->c);
    assert_int_equal(fake_stream_open(client, f->w.env.ctx), 0);
    assert_int_equal(wst_server_adopt(f->w.server, client->stream, 0), 0);
}

static bool is_gone(void *arg) {
    const fake_stream_t *fake = arg;
    return fake->gone;
}

static void close_with_fake(forward_t *f, fake_stream_t *client) {
    if (!client->gone)
        fake_stream_break(client, UV_ECONNRESET);
    test_env_until(&f->w.env, is_gone, client);
    fake_stream_free(client);
    forward_close(f);
}

/* From an origin nothing is read that the client does not take. */
static void test_slow_client(void **state) {
    (void)state;
    static char body[20000];
    forward_t f;
    fake_stream_t client;
    open_with_fake(&f, &client);
    memset(body, 'a', sizeof(body) - 1);
    fake_stream_data(&client, FORWARD_GET FORWARD_GET, strlen(FORWARD_GET FORWARD_GET));
    forward_asked(&f, FORWARD_GOT);
    client.write_status = WST_WAIT;
    forward_reply(&f, "HTTP/1.1 200 OK\r\nContent-Length: 40001\r\n\r\n");
    forward_reply(&f, body);
    forward_reply(&f, body);
    forward_reply(&f, "end");
    test_env_turns(&f.w.env, 50);
    assert_in_range(client.written_len, 1, 17000); /* what one frame brought */
    fake_stream_drain(&client);
    forward_asked(&f, FORWARD_GOT);
    assert_memory_equal(client.written + client.written_len - 4, "aend", 4);
    assert_in_range(client.written_len, 40001, 40200);
    close_with_fake(&f, &client);
}

/* The origin has ended while the client had no room: the client still gets all, the last chunk, and
 * then the next answer. */
static void test_slow_client_until_close(void **state) {
    (void)state;
    static const char end[] = "4\r\nbody\r\n0\r\n\r\n";
    forward_t f;
    fake_stream_t client;
    open_with_fake(&f, &client);
    fake_stream_data(&client, FORWARD_GET FORWARD_GET, strlen(FORWARD_GET FORWARD_GET));
    forward_asked(&f, FORWARD_GOT);
    client.write_status = WST_WAIT;
    forward_reply(&f, "HTTP/1.1 200 OK\r\n\r\nbody");
    forward_end(&f);
    test_env_turns(&f.w.env, 50);
    assert_int_equal(f.a.asked, 1);
    assert_int_equal(f.w.closes, 0);
    while (f.w.closes == 0) { /* it has room for one write at a time */
        fake_stream_drain(&client);
        client.write_status = WST_WAIT;
        test_env_turns(&f.w.env, 20);
    }
    assert_memory_equal(client.written + client.written_len - strlen(end), end, strlen(end));
    forward_asked(&f, FORWARD_GOT);
    close_with_fake(&f, &client);
}

/* The answer is complete, but the client is still to take it: no further request is read, nothing
 * is over yet, and everything else may still happen. */
static void test_slow_client_fails(void **state) {
    (void)state;
    for (int how = 0; how < 4; how++) {
        forward_t f;
        fake_stream_t client;
        open_with_fake(&f, &client);
        f.w.server->ingress.limits.half_closed_timeout_ms = how == 0 ? SILENCE_MS : 1000000;
        fake_stream_data(&client, FORWARD_GET FORWARD_GET, strlen(FORWARD_GET FORWARD_GET));
        forward_asked(&f, FORWARD_GOT);
        client.write_status = WST_WAIT;
        forward_reply(&f, FORWARD_OK);
        test_env_turns(&f.w.env, 50);
        assert_int_equal(client.writes, 2); /* head and body */
        assert_int_equal(f.w.closes, 0);
        if (how == 0)
            server_world_pass(&f.w, SILENCE_MS);
        if (how == 1)
            fake_stream_break(&client, UV_ECONNRESET);
        if (how == 2)
            forward_end(&f); /* the origin's connection, which was kept */
        if (how == 3)
            server_world_close(&f.w);
        if (how == 2) {
            test_env_turns(&f.w.env, 20);
            fake_stream_drain(&client);
            test_env_until_count(&f.w.env, &f.a.asked, 2);
            assert_int_equal(f.w.closes, 1);
        } else {
            test_env_until(&f.w.env, is_gone, &client);
            assert_int_not_equal(client.reset_reason, 0);
        }
        close_with_fake(&f, &client);
    }
}

static void test_slow_origin(void **state) {
    (void)state;
    enum { SIZE = 500000 };
    static char body[SIZE + 1];
    static const char head[] = "PUT http://site/ HTTP/1.1\r\nContent-Length: 500000\r\n\r\n";
    forward_t f;
    fake_stream_t client;
    open_with_fake(&f, &client);
    memset(body, 'a', SIZE);
    fake_stream_data(&client, head, strlen(head));
    forward_asked(&f,
                  "PUT / HTTP/1.1\r\nHost: site\r\nContent-Length: 500000\r\n" HEAD("keep-alive"));
    wst_stream_read_stop(f.a.stream);
    fake_stream_data(&client, body, SIZE);
    test_env_turns(&f.w.env, 200);
    assert_in_range(client.delivered, 12288, 70000); /* a window, and a piece */
    assert_false(client.reading);
    f.a.forgets = true;
    wst_stream_read_start(f.a.stream, 0);
    test_env_until_count(&f.w.env, &f.a.forgotten, SIZE);
    forward_reply(&f, FORWARD_OK);
    server_world_until_notice(&f.w, "close 1 ");
    close_with_fake(&f, &client);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_loop),
        cmocka_unit_test(test_agent_refuses),
        cmocka_unit_test(test_gone_early),
        cmocka_unit_test(test_stale_twice),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_endless_head),
        cmocka_unit_test(test_endless_interim),
        cmocka_unit_test(test_cut_short),
        cmocka_unit_test(test_malformed_body),
        cmocka_unit_test(test_client_gone),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_slow_client),
        cmocka_unit_test(test_slow_client_fails),
        cmocka_unit_test(test_slow_origin),
        cmocka_unit_test(test_cut_until_close),
        cmocka_unit_test(test_slow_client_until_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
