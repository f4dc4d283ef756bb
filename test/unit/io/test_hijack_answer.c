/* SPDX-License-Identifier: MIT */
/* What the hijack says to clients: answers, refusals, deadlines, keep-alive, and how it ends. */
#include "hijack_world.h"

#include "ctx.h"

#include <stdio.h>

static void start_request(hijack_world_t *w, const char *text) {
    hijack_world_start(w);
    hijack_world_say(w, text);
    hijack_world_turns(w, 3);
    assert_int_equal(w->requests, 1);
}

static void answer(hijack_world_t *w, const wst_response_t *response) {
    assert_int_equal(wst_hijack_respond(w->hijack, response), 0);
}

/* The client hangs up; the hijack is done, and closing it is in order. */
static void expect_done(hijack_world_t *w, int status) {
    assert_int_equal(w->done, 0);
    assert_true(w->client.shutdown);
    fake_stream_end(&w->client);
    hijack_world_turns(w, 5);
    assert_int_equal(w->done, 1);
    assert_int_equal(w->status, status);
    hijack_world_free(w);
    assert_int_equal(w->client.reset_reason, 0);
}

/* --- answers --- */

static void test_answers(void **state) {
    (void)state;
    static const struct {
        const char *request;
        wst_response_t response;
        const char *expect;
    } cases[] = {
        {"CONNECT h:1 HTTP/1.1\r\n\r\n",
         {.size = sizeof(wst_response_t),
          .status = 403,
          .reason = "Not allowed: h:1",
          .fields = "Proxy-Status: x; error=y\r\nRetry-After: 3\r\n",
          .body = "You may not.\n"},
         "HTTP/1.1 403 Not allowed: h:1\r\nProxy-Status: x; error=y\r\nRetry-After: 3\r\n"
         "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 13\r\n"
         "Connection: close\r\n\r\nYou may not.\n"},
        {"CONNECT h:1 HTTP/1.0\r\n\r\n", /* old clients understand only their own version */
         {.size = sizeof(wst_response_t), .status = 502, .reason = ""},
         "HTTP/1.0 502 \r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
        {"HEAD / HTTP/1.1\r\n\r\n",
         {.size = sizeof(wst_response_t), .status = 200, .reason = "OK", .body = "fine\n"},
         "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\n"
         "Connection: close\r\n\r\n"},
        {"GET / HTTP/1.1\r\n\r\n",
         {.size = sizeof(wst_response_t), .status = 204, .reason = "OK", .body = "not sent"},
         "HTTP/1.1 204 OK\r\nConnection: close\r\n\r\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        hijack_world_t w;
        start_request(&w, cases[i].request);
        answer(&w, &cases[i].response);
        hijack_world_assert_written(&w, cases[i].expect);
        assert_int_equal(w.client.writes, 1);
        hijack_world_turns(&w, 3);
        expect_done(&w, 0);
    }
}

static int64_t example_clock(void) {
    return 784111777; /* of RFC 9110 section 5.6.7 */
}

static int64_t broken_clock(void) {
    return -1;
}

/* RFC 9110 section 6.6.1; a clock that is obviously wrong is none. */
static void test_date(void **state) {
    (void)state;
#define DATE "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    static const struct {
        int64_t (*clock)(void);
        const char *fields, *expect;
    } cases[] = {
        {example_clock, NULL, DATE},
        {example_clock, "A: Date: b\r\nUpdate: c\r\nDates: d\r\n",
         DATE "A: Date: b\r\nUpdate: c\r\nDates: d\r\n"},
        {example_clock, "A: b\r\ndate: now\r\n", "A: b\r\ndate: now\r\n"},
        {example_clock, "Date: now\r\nA: b\r\n", "Date: now\r\nA: b\r\n"},
        {broken_clock, "A: b\r\n", "A: b\r\n"},
        {NULL, "A: b\r\n", "A: b\r\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        hijack_world_t w;
        char expect[256];
        const wst_response_t response = {
            .size = sizeof(response), .status = 403, .reason = "No", .fields = cases[i].fields};
        start_request(&w, "GET / HTTP/1.1\r\n\r\n");
        w.ctx->clock = cases[i].clock;
        answer(&w, &response);
        snprintf(expect, sizeof(expect),
                 "HTTP/1.1 403 No\r\n%sContent-Length: 0\r\nConnection: close\r\n\r\n",
                 cases[i].expect);
        hijack_world_assert_written(&w, expect);
        hijack_world_turns(&w, 3);
        expect_done(&w, 0);
    }
}

/* Answers to faulty requests are made elsewhere. */
static void test_date_of_refusal(void **state) {
    (void)state;
    hijack_world_t w;
    hijack_world_start(&w);
    w.ctx->clock = example_clock;
    hijack_world_say(&w, "GET\r\n\r\n");
    hijack_world_turns(&w, 3);
    hijack_world_assert_written_has(&w, "HTTP/1.1 400 ");
    hijack_world_assert_written_has(&w, "\r\n" DATE);
    hijack_world_turns(&w, 3);
    expect_done(&w, WST_EHTTP);
}

/* Fields that all answers have, those to faulty requests among them; and a body of another type. */
static void test_fields_of_all(void **state) {
    (void)state;
    static const struct {
        const char *request, *expect;
    } cases[] = {
        {"GET / HTTP/1.1\r\n\r\n",
         "HTTP/1.1 200 OK\r\ncontent-type: text/x\r\nA: b\r\nC: d\r\nContent-Length: 3\r\n"
         "Connection: close\r\n\r\nhi\n"},
        {"GET /\r\n\r\n",
         "HTTP/1.1 400 Bad Request: no HTTP version in the request line\r\nProxy-Status: "
         "libwstunnel; error=http_request_error; details=\"Bad Request: no HTTP version in the "
         "request line\"\r\nA: b\r\nC: d\r\nContent-Type: text/plain; charset=utf-8\r\n"},
    };
    const wst_response_t response = {.size = sizeof(response),
                                     .status = 200,
                                     .reason = "OK",
                                     .fields = "content-type: text/x\r\n",
                                     .body = "hi\n"};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        hijack_world_t w;
        assert_true(hijack_world_init(&w));
        w.options.fields = "A: b\r\nC: d\r\n";
        assert_true(hijack_world_hijack(&w));
        hijack_world_say(&w, cases[i].request);
        hijack_world_turns(&w, 3);
        if (w.requests > 0)
            answer(&w, &response);
        hijack_world_assert_written_has(&w, cases[i].expect);
        hijack_world_turns(&w, 3);
        expect_done(&w, i == 0 ? 0 : WST_EHTTP);
    }
}

/* Malformed ones are the embedder's fault, which it learns. */
static void test_bad_fields_of_all(void **state) {
    (void)state;
    hijack_world_t w;
    assert_true(hijack_world_init(&w));
    w.options.fields = "A: b";
    assert_true(hijack_world_hijack(&w));
    hijack_world_say(&w, "GET\r\n\r\n");
    hijack_world_turns(&w, 5);
    assert_int_equal(w.client.written_len, 0);
    assert_int_equal(w.done, 1);
    assert_int_equal(w.status, WST_EINVAL);
    hijack_world_free(&w);
}

/* Nothing of the embedder's can break the head; and it can answer better afterwards. */
static void test_bad_answers(void **state) {
    (void)state;
    static char huge[70000];
    memset(huge, 'x', sizeof(huge) - 1);
    const wst_response_t bad[] = {
        {.size = sizeof(wst_response_t), .status = 199, .reason = "x"},
        {.size = sizeof(wst_response_t), .status = 600, .reason = "x"},
        {.size = sizeof(wst_response_t), .status = 403},
        {.size = sizeof(wst_response_t), .status = 403, .reason = "x\r\nEvil: 1"},
        {.size = sizeof(wst_response_t), .status = 403, .reason = "x\n"},
        {.size = sizeof(wst_response_t), .status = 403, .reason = "x", .fields = "Evil"},
        {.size = sizeof(wst_response_t),
         .status = 403,
         .reason = "x",
         .fields = "Name: no line end"},
        {.size = sizeof(wst_response_t), .status = 403, .reason = "x", .fields = "Name: value\n"},
        {.size = sizeof(wst_response_t), .status = 403, .reason = "x", .fields = "Name: a\rb\r\n"},
        {.size = sizeof(wst_response_t),
         .status = 403,
         .reason = "x",
         .fields = "Name: value\r\n\r\nbody"},
        {.size = sizeof(wst_response_t),
         .status = 403,
         .reason = "x",
         .fields = "Na me: value\r\n"},
        {.size = sizeof(wst_response_t), .status = 403, .reason = "x", .fields = ": value\r\n"},
        {.size = sizeof(wst_response_t), .status = 403, .reason = "x", .body = huge},
        {.size = sizeof(wst_response_t), .status = 403, .reason = huge},
        {.size = sizeof(wst_response_t), .status = 403, .reason = "x", .fields = huge}};
    hijack_world_t w;
    start_request(&w, "GET / HTTP/1.1\r\n\r\n");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(wst_hijack_respond(w.hijack, &bad[i]), WST_EINVAL);
    test_alloc_fail(1);
    huge[9000] = '\0'; /* larger than what the pool has at hand */
    const wst_response_t good = {.size = sizeof(good), .status = 403, .reason = "x", .body = huge};
    assert_int_equal(wst_hijack_respond(w.hijack, &good), WST_ENOMEM);
    test_alloc_fail(0);
    assert_int_equal(w.client.written_len, 0);
    answer(&w, &good);
    assert_true(w.client.written_len > 9000);
    expect_done(&w, 0);
}

/* --- refusals --- */

static void expect_refusal(hijack_world_t *w, int error, const char *reason) {
    hijack_world_turns(w, 5);
    assert_int_equal(w->requests, 0);
    char text[512];
    (void)snprintf(text, sizeof(text),
                   "HTTP/1.1 %s\r\n"
                   "Proxy-Status: libwstunnel; error=http_request_error; details=\"%s\"\r\n"
                   "Content-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n"
                   "Connection: close\r\n\r\n%s\n",
                   reason, reason + 4, strlen(reason + 4) + 1, reason + 4);
    hijack_world_assert_written(w, text);
    expect_done(w, error);
}

static void test_refusals(void **state) {
    (void)state;
    static const struct {
        const char *request, *reason;
        int error;
    } cases[] = {
        {"GET /\r\n\r\n", "400 Bad Request: no HTTP version in the request line", WST_EHTTP},
        {"CONNECT h:1 HTTP/1.1\r\nA : b\r\n\r\n", "400 Bad Request: space before colon", WST_EHTTP},
        {"GET /123456789012345678901234567890 HTTP/1.1\r\n\r\n", "414 URI Too Long",
         WST_ETARGETBIG},
        {"GET / HTTP/1.1\r\nA: 1234567890123456789012345678901234567890\r\n\r\n",
         "431 Request Header Fields Too Large", WST_EHEADBIG},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *request = cases[i].request;
        for (size_t cut = 1; cut <= strlen(request); cut++) {
            hijack_world_t w;
            assert_true(hijack_world_init(&w));
            w.options.limits = &(const wst_http_limits_t){
                .size = sizeof(wst_http_limits_t), .head_max = 50, .target_max = 20};
            assert_true(hijack_world_hijack(&w));
            assert_int_equal(w.client.read_max, 50);
            fake_stream_data(&w.client, request, cut);
            if (cut < strlen(request))
                hijack_world_say(&w, request + cut);
            expect_refusal(&w, cases[i].error, cases[i].reason);
        }
    }
}

/* However it comes in: a head without end is read to its bound and no further. */
static void test_endless_head(void **state) {
    (void)state;
    hijack_world_t w;
    hijack_world_start(&w);
    hijack_world_say(&w, "GET / HTTP/1.1\r\n");
    for (int i = 0; i < 2000; i++)
        hijack_world_say(&w, "A: 1234567\r\n");
    hijack_world_turns(&w, 1400);
    assert_in_range(w.client.delivered, 16384, 16384 + 12 * 50);
    hijack_world_assert_written_has(&w, "HTTP/1.1 431 ");
    hijack_world_free(&w);
}

static void test_head_cut_short(void **state) {
    (void)state;
    hijack_world_t w;
    hijack_world_start(&w);
    hijack_world_say(&w, "GET / HTTP/1.1\r\n");
    fake_stream_end(&w.client);
    hijack_world_turns(&w, 5);
    hijack_world_assert_written_has(&w, "HTTP/1.1 400 Bad Request: incomplete head\r\n");
    assert_int_equal(w.done, 1);
    assert_int_equal(w.status, WST_EHTTP);
    hijack_world_free(&w);
    assert_int_equal(w.client.reset_reason, 0);
}

/* --- the deadline for the head --- */

static void start_with_deadline(hijack_world_t *w) {
    assert_true(hijack_world_init(w));
    w->options.head_timeout_ms = 5;
    assert_true(hijack_world_hijack(w));
}

static void run_until_shutdown(hijack_world_t *w) {
    while (!w->client.shutdown)
        uv_run(&w->loop, UV_RUN_ONCE);
}

static void test_slow_head(void **state) {
    (void)state;
    hijack_world_t w;
    start_with_deadline(&w);
    hijack_world_say(&w, "GET / HT");
    run_until_shutdown(&w);
    expect_refusal(&w, WST_ETIMEOUT, "408 Request Timeout");
}

/* The deadline is for the whole head, not for its next byte. */
static void test_trickling_head(void **state) {
    (void)state;
    hijack_world_t w;
    start_with_deadline(&w);
    while (!w.client.shutdown) {
        if (fake_stream_idle(&w.client))
            hijack_world_say(&w, "G");
        uv_run(&w.loop, UV_RUN_ONCE);
        uv_sleep(1);
    }
    hijack_world_assert_written_has(&w, "HTTP/1.1 408 ");
    hijack_world_free(&w);
}

static void test_silent_client(void **state) {
    (void)state;
    hijack_world_t w;
    start_with_deadline(&w);
    run_until_shutdown(&w);
    assert_int_equal(w.client.written_len, 0);
    expect_done(&w, WST_ETIMEOUT);
}

static void test_deadline_values(void **state) {
    (void)state;
    static const uint64_t cases[][2] = {{0, 10000}, {7, 7}, {UINT64_MAX, WST__NEVER}};
    for (int i = 0; i < 3; i++) {
        hijack_world_t w;
        assert_true(hijack_world_init(&w));
        w.options.head_timeout_ms = cases[i][0];
        assert_true(hijack_world_hijack(&w));
        uint64_t expect = cases[i][1] == WST__NEVER ? WST__NEVER : uv_now(&w.loop) + cases[i][1];
        assert_true(wst__deadlines_next(&w.ctx->deadlines) == expect);
        hijack_world_free(&w);
    }
}

/* --- keep-alive --- */

static void test_keep_alive(void **state) {
    (void)state;
    static const char *const requests[] = {
        "CONNECT h:1 HTTP/1.1\r\n\r\n",
        "CONNECT h:1 HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        "CONNECT h:1 HTTP/1.0\r\nProxy-Connection: Keep-Alive\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        for (size_t cut = 1; cut < strlen(requests[i]); cut++) {
            hijack_world_t w;
            hijack_world_start(&w);
            fake_stream_data(&w.client, requests[i], cut);
            hijack_world_say(&w, requests[i] + cut);
            hijack_world_turns(&w, 5);
            assert_string_equal(w.target, "h:1");
            hijack_world_challenge(&w);
            hijack_world_assert_written_has(
                &w, " 407 Who are you?\r\nProxy-Authenticate: Basic realm=\"x\"\r\n"
                    "Content-Length: 0\r\nConnection: keep-alive\r\n\r\n");
            assert_int_equal(wst__deadlines_next(&w.ctx->deadlines), uv_now(&w.loop) + 10000);
            hijack_world_say(&w, "CONNECT h:2 HTTP/1.1\r\n\r\nbehind"); /* shorter than the first */
            hijack_world_turns(&w, 5);
            assert_int_equal(w.requests, 2);
            assert_string_equal(w.target, "h:2");
            hijack_world_take(&w);
            hijack_world_read(&w);
            hijack_world_turns(&w, 5);
            assert_int_equal(w.got_len, 6);
            assert_memory_equal(w.got, "behind", 6);
            hijack_world_free(&w);
        }
    }
}

/* Where something other than a new head could follow, or the client wants it so. */
static void test_not_kept_alive(void **state) {
    (void)state;
    static const char *const requests[] = {
        "CONNECT h:1 HTTP/1.0\r\n\r\n",
        "CONNECT h:1 HTTP/1.1\r\nConnection: close\r\n\r\n",
        "CONNECT h:1 HTTP/1.1\r\n\r\nGET /evil HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 23\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        hijack_world_t w;
        start_request(&w, requests[i]);
        hijack_world_challenge(&w);
        hijack_world_assert_written_has(&w, "Connection: close\r\n\r\n");
        hijack_world_say(&w, "GET /evil HTTP/1.1\r\n\r\n");
        hijack_world_turns(&w, 5);
        assert_true(fake_stream_idle(&w.client)); /* read, and forgotten */
        assert_int_equal(w.requests, 1);
        expect_done(&w, 0);
    }
}

/* Who does not read our answers gets no further ones. */
static void test_keep_alive_waits_for_drain(void **state) {
    (void)state;
    hijack_world_t w;
    start_request(&w, "GET /1 HTTP/1.1\r\n\r\n");
    w.client.write_status = WST_WAIT;
    hijack_world_challenge(&w);
    hijack_world_turns(&w, 5);
    assert_false(w.client.reading);
    fake_stream_drain(&w.client);
    hijack_world_say(&w, "GET /2 HTTP/1.1\r\n\r\n");
    hijack_world_turns(&w, 5);
    assert_int_equal(w.requests, 2);
    assert_string_equal(w.target, "/2");

    w.client.write_status = WST_WAIT; /* and not for ever */
    hijack_world_challenge(&w);
    hijack_world_pass(&w, 10000);
    assert_true(w.client.shutdown);
    hijack_world_free(&w);
}

static void test_client_leaves_after_answer(void **state) {
    (void)state;
    hijack_world_t w;
    start_request(&w, "GET /1 HTTP/1.1\r\n\r\n");
    hijack_world_challenge(&w);
    fake_stream_end(&w.client);
    hijack_world_turns(&w, 5);
    assert_int_equal(w.done, 1);
    assert_int_equal(w.status, 0);
    hijack_world_free(&w);
    assert_int_equal(w.client.reset_reason, 0);
}

/* --- how it ends --- */

static void start_lingering(hijack_world_t *w) {
    start_request(w, "GET / HTTP/1.1\r\n\r\n");
    const wst_response_t response = {.size = sizeof(response), .status = 403, .reason = "No"};
    answer(w, &response);
}

/* Not before the client has hung up, and not before it has been sent everything. */
static void test_waits_for_both_ends(void **state) {
    (void)state;
    for (int end_first = 0; end_first < 2; end_first++) {
        hijack_world_t w;
        start_request(&w, "GET / HTTP/1.1\r\n\r\n");
        w.client.hold_shutdown = true;
        const wst_response_t response = {.size = sizeof(response), .status = 403, .reason = "No"};
        answer(&w, &response);
        assert_int_equal(w.done, 0);
        for (int i = 0; i < 2; i++) {
            if (i == end_first)
                fake_stream_shutdown_done(&w.client);
            else
                fake_stream_end(&w.client);
            hijack_world_turns(&w, 5);
            assert_int_equal(w.done, i);
        }
        assert_int_equal(w.status, 0);
        hijack_world_free(&w);
    }
}

static void test_lingers_for_a_while(void **state) {
    (void)state;
    hijack_world_t w;
    start_lingering(&w);
    hijack_world_turns(&w, 5);
    uint64_t left = wst__deadlines_next(&w.ctx->deadlines) - uv_now(&w.loop);
    assert_in_range(left, 1, 5000);
    hijack_world_pass(&w, left - 1);
    assert_int_equal(w.done, 0);
    hijack_world_pass(&w, 5000);
    assert_int_equal(w.done, 1);
    assert_int_equal(w.status, 0);
    assert_false(w.client.reading);
    hijack_world_free(&w);
    assert_int_equal(w.client.reset_reason, 0);
}

/* The time to drain counts from when the answer is out. */
static void test_lingers_from_shutdown_on(void **state) {
    (void)state;
    hijack_world_t w;
    start_request(&w, "GET / HTTP/1.1\r\n\r\n");
    w.client.hold_shutdown = true;
    const wst_response_t response = {.size = sizeof(response), .status = 403, .reason = "No"};
    answer(&w, &response);
    uint64_t answered = uv_now(&w.loop);
    while (uv_now(&w.loop) == answered)
        hijack_world_turns(&w, 1);
    fake_stream_shutdown_done(&w.client);
    hijack_world_turns(&w, 3);
    assert_true(wst__deadlines_next(&w.ctx->deadlines) > answered + 5000);
    expect_done(&w, 0);
}

/* A client that does not even take the answer. */
static void test_answer_not_taken(void **state) {
    (void)state;
    hijack_world_t w;
    start_request(&w, "GET / HTTP/1.1\r\n\r\n");
    w.client.hold_shutdown = true;
    const wst_response_t response = {.size = sizeof(response), .status = 403, .reason = "No"};
    answer(&w, &response);
    hijack_world_pass(&w, 5000);
    assert_int_equal(w.done, 1);
    assert_int_equal(w.status, WST_ETIMEOUT);
    hijack_world_free(&w);
    assert_int_equal(w.client.reset_reason, WST_ECANCELLED);
}

static void test_ignores_only_so_much(void **state) {
    (void)state;
    static char much[1 << 20];
    hijack_world_t w;
    start_lingering(&w);
    for (int i = 0; i < 20; i++)
        fake_stream_data(&w.client, much, sizeof(much));
    hijack_world_turns(&w, 30);
    assert_int_equal(w.done, 1);
    assert_int_equal(w.status, 0);
    assert_in_range(w.client.delivered, 16777216, 16777216 + 2 * sizeof(much));
    hijack_world_free(&w);
}

/* The client hangs up hard, but has been answered. */
static void test_reset_after_answer(void **state) {
    (void)state;
    for (int sent = 0; sent < 2; sent++) {
        hijack_world_t w;
        start_request(&w, "GET / HTTP/1.1\r\n\r\n");
        w.client.hold_shutdown = !sent;
        const wst_response_t response = {.size = sizeof(response), .status = 403, .reason = "No"};
        answer(&w, &response);
        hijack_world_turns(&w, 3);
        fake_stream_error(&w.client, UV_ECONNRESET);
        hijack_world_turns(&w, 3);
        assert_int_equal(w.done, 1);
        assert_int_equal(w.status, sent ? 0 : UV_ECONNRESET);
        hijack_world_free(&w);
    }
}

/* It cannot be answered: told by on_done, which never runs inside the call. */
static void test_answer_fails(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        hijack_world_t w;
        start_request(&w, "GET / HTTP/1.1\r\n\r\n");
        if (i == 0)
            w.client.write_status = UV_EPIPE;
        else
            w.client.shutdown_status = UV_ENOTCONN;
        const wst_response_t response = {.size = sizeof(response), .status = 403, .reason = "No"};
        answer(&w, &response);
        assert_int_equal(w.done, 0);
        hijack_world_turns(&w, 3);
        assert_int_equal(w.done, 1);
        assert_int_equal(w.status, i == 0 ? UV_EPIPE : UV_ENOTCONN);
        hijack_world_free(&w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_date),
        cmocka_unit_test(test_date_of_refusal),
        cmocka_unit_test(test_fields_of_all),
        cmocka_unit_test(test_bad_fields_of_all),
        cmocka_unit_test(test_bad_answers),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_endless_head),
        cmocka_unit_test(test_head_cut_short),
        cmocka_unit_test(test_slow_head),
        cmocka_unit_test(test_trickling_head),
        cmocka_unit_test(test_silent_client),
        cmocka_unit_test(test_deadline_values),
        cmocka_unit_test(test_keep_alive),
        cmocka_unit_test(test_not_kept_alive),
        cmocka_unit_test(test_keep_alive_waits_for_drain),
        cmocka_unit_test(test_client_leaves_after_answer),
        cmocka_unit_test(test_waits_for_both_ends),
        cmocka_unit_test(test_lingers_for_a_while),
        cmocka_unit_test(test_lingers_from_shutdown_on),
        cmocka_unit_test(test_answer_not_taken),
        cmocka_unit_test(test_ignores_only_so_much),
        cmocka_unit_test(test_reset_after_answer),
        cmocka_unit_test(test_answer_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
