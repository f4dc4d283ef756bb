/* SPDX-License-Identifier: MIT */
/* Opening streams through agents: who is chosen, who is tried next, and wst_server_dial(). */
#include "server.h"
#include "server_world.h"

#include <stdio.h>

#define CONNECT "CONNECT host:22 HTTP/1.1\r\n\r\n"
#define OK11    "HTTP/1.1 200 Connection established\r\n\r\n"

static void refused(char *out, size_t size, int status, const char *reason, const char *error) {
    snprintf(out, size,
             "HTTP/1.1 %d %s\r\nProxy-Status: libwstunnel; error=%s; details=\"%s\"\r\n%s"
             "Content-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n"
             "Connection: close\r\n\r\n%s\n",
             status, reason, error, reason, status == 503 ? "Retry-After: 5\r\n" : "",
             strlen(reason) + 1, reason);
}

/* --- fail-over --- */

/* Agents that have no room, or are leaving, are passed over; the client does not notice. */
static void test_fail_over(void **state) {
    (void)state;
    static const int reasons[] = {WST_ELIMIT, WST_EGOAWAY, WST_EMEMORY, WST_ELOST};
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        server_world_t w;
        server_agent_t a, b;
        server_client_t c;
        server_world_open(&w);
        server_agent_open(&w, &a, "a", 1);
        server_agent_open(&w, &b, "b", 1);
        a.treatment = SERVER_AGENT_REFUSE;
        a.reason = b.reason = reasons[i];
        server_client_open(&w, &c);
        server_client_say(&c, CONNECT "early");
        server_client_expect(&c, OK11);
        assert_int_equal(a.asked, 1);
        assert_int_equal(b.asked, 1);
        server_agent_expect(&b, "early"); /* nothing was lost or said twice */
        server_world_assert_notice(&w, "open 1  host:22 b\n");
        server_client_close(&c);
        server_agent_close(&a);
        server_agent_close(&b);
        server_world_free(&w);
    }
}

static void test_fail_over_lost(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a, b;
    server_client_t c;
    server_world_open(&w);
    server_agent_open(&w, &a, "a", 1);
    server_agent_open(&w, &b, "b", 1);
    a.treatment = SERVER_AGENT_KEEP;
    server_client_open(&w, &c);
    server_client_say(&c, CONNECT);
    test_env_until_count(&w.env, &a.asked, 1);
    server_agent_close(&a);
    server_client_expect(&c, OK11);
    assert_int_equal(b.asked, 1);
    server_client_close(&c);
    server_agent_close(&b);
    server_world_free(&w);
}

/* Each is tried once, then the last cause is told. */
static void test_nobody_left(void **state) {
    (void)state;
    char expected[1024];
    server_world_t w;
    server_agent_t a, b;
    server_world_open(&w);
    server_agent_open(&w, &a, "a", 1);
    server_agent_open(&w, &b, "b", 1);
    a.treatment = b.treatment = SERVER_AGENT_REFUSE;
    a.reason = WST_ELIMIT;
    b.reason = WST_EGOAWAY;
    refused(expected, sizeof(expected), 503, "Agent is shutting down", "destination_unavailable");
    server_client_ask(&w, CONNECT, expected);
    assert_int_equal(a.asked, 1);
    assert_int_equal(b.asked, 1);
    b.treatment = SERVER_AGENT_KEEP;
    b.asked = 0;
    server_client_t c;
    server_client_open(&w, &c);
    server_client_say(&c, CONNECT);
    test_env_until_count(&w.env, &b.asked, 1);
    server_agent_close(&b);
    refused(expected, sizeof(expected), 503, "Agent lost", "destination_unavailable");
    server_client_expect(&c, expected);
    server_client_close(&c);
    server_agent_close(&a);
    server_world_free(&w);
}

/* What an agent says of the destination is final. */
static void test_real_answer(void **state) {
    (void)state;
    static const int reasons[] = {WST_EREFUSED, WST_EDENIED, WST_ENAME, WST_EDIALTIMEOUT,
                                  WST_EINTERNAL};
    server_world_t w;
    server_agent_t a, b;
    server_world_open(&w);
    server_agent_open(&w, &a, "a", 1);
    server_agent_open(&w, &b, "b", 1);
    a.treatment = b.treatment = SERVER_AGENT_REFUSE;
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        server_client_t c;
        a.reason = b.reason = reasons[i];
        server_client_open(&w, &c);
        server_client_say(&c, CONNECT);
        server_client_expect(&c, "HTTP/1.1 ");
        server_client_close(&c);
    }
    assert_int_equal(a.asked + b.asked, 5); /* one of them for each request */
    server_agent_close(&a);
    server_agent_close(&b);
    server_world_free(&w);
}

/* Trying has an end also where agents abound. */
static void test_tries_are_bounded(void **state) {
    (void)state;
    enum { AGENTS = 10 };
    char expected[1024];
    server_world_t w;
    server_agent_t *a = calloc(AGENTS, sizeof(*a));
    size_t asked = 0;
    server_world_open(&w);
    for (uint8_t i = 0; i < AGENTS; i++) {
        server_agent_open(&w, &a[i], "a", i);
        a[i].treatment = SERVER_AGENT_REFUSE;
        a[i].reason = WST_ELIMIT;
    }
    refused(expected, sizeof(expected), 503, "Agent has too many streams",
            "connection_limit_reached");
    server_client_ask(&w, CONNECT, expected);
    for (size_t i = 0; i < AGENTS; i++)
        asked += a[i].asked;
    assert_int_equal(asked, 8);
    for (size_t i = 0; i < AGENTS; i++)
        server_agent_close(&a[i]);
    server_world_free(&w);
    free(a);
}

/* The deadline is one for all tries. */
static void test_one_deadline(void **state) {
    (void)state;
    char expected[1024];
    server_world_t w;
    server_agent_t a, b;
    server_client_t c;
    server_world_init(&w);
    w.limits.dial_timeout_ms = 200;
    server_world_start(&w);
    server_agent_open(&w, &a, "a", 1);
    server_agent_open(&w, &b, "b", 1);
    a.treatment = b.treatment = SERVER_AGENT_KEEP;
    server_client_open(&w, &c);
    server_client_say(&c, CONNECT);
    test_env_until_count(&w.env, &a.asked, 1);
    uint64_t start = uv_now(&w.env.loop);
    while (uv_now(&w.env.loop) < start + 120)
        uv_run(&w.env.loop, UV_RUN_NOWAIT);
    a.incoming->ops->refuse(a.incoming, WST_ELIMIT, NULL);
    refused(expected, sizeof(expected), 504, "Agent did not answer in time", "connection_timeout");
    server_client_expect(&c, expected);
    assert_int_equal(b.asked, 1);
    assert_true(uv_now(&w.env.loop) - start < 310);
    server_client_close(&c);
    server_agent_close(&a);
    server_agent_close(&b);
    server_world_free(&w);
}

/* --- on_choose --- */

static void choose_in_turn(server_world_t *w) {
    /* The n-th question is answered with the n-th agent. */
    wst_remote_t *remote = wst_server_next_agent(w->server, NULL);
    for (size_t i = 1; i < w->choice_questions; i++)
        remote = wst_server_next_agent(w->server, remote);
    wst_request_choose(w->held, remote);
}

static void test_choose(void **state) {
    (void)state;
    char expected[1024];
    server_world_t w;
    server_agent_t a, b;
    server_client_t c;
    server_world_init(&w);
    w.clients = SERVER_ALLOW;
    w.choice = SERVER_HOLD;
    w.in_choice = choose_in_turn;
    server_world_start(&w);
    server_agent_open(&w, &a, "a", 1);
    server_agent_open(&w, &b, "b", 1);
    a.treatment = SERVER_AGENT_REFUSE;
    a.reason = WST_EGOAWAY;
    server_client_open(&w, &c);
    server_client_say(&c, CONNECT);
    server_client_expect(&c, OK11); /* asked again when the first one did not serve */
    assert_int_equal(w.choice_questions, 2);
    assert_string_equal(w.question, "host:22 alice"); /* the user is known by then */
    assert_int_equal(b.asked, 1);
    server_client_close(&c);
    refused(expected, sizeof(expected), 503, "No agent available", "destination_unavailable");
    server_client_ask(&w, CONNECT, expected); /* the third is none */
    server_agent_close(&a);
    server_agent_close(&b);
    server_world_free(&w);
}

/* Insisting on one that cannot serve leads nowhere, in finite time. */
static void test_choose_again(void **state) {
    (void)state;
    char expected[1024];
    server_world_t w;
    server_agent_t a, b;
    server_world_init(&w);
    w.choice = SERVER_ALLOW; /* always the first one */
    server_world_start(&w);
    server_agent_open(&w, &a, "a", 1);
    server_agent_open(&w, &b, "b", 1);
    a.treatment = SERVER_AGENT_REFUSE;
    a.reason = WST_ELIMIT;
    refused(expected, sizeof(expected), 503, "Agent has too many streams",
            "connection_limit_reached");
    server_client_ask(&w, CONNECT, expected);
    assert_int_equal(w.choice_questions, 2);
    assert_int_equal(a.asked, 1);
    assert_int_equal(b.asked, 0);
    server_agent_close(&a);
    server_agent_close(&b);
    server_world_free(&w);
}

/* The agent goes between the answer and what follows from it: the question is put again. */
static void test_chosen_is_gone(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a, b;
    server_client_t c;
    server_world_init(&w);
    w.choice = SERVER_HOLD;
    server_world_start(&w);
    server_agent_open(&w, &a, "a", 1);
    server_client_open(&w, &c);
    server_client_say(&c, CONNECT);
    test_env_until_count(&w.env, &w.choice_questions, 1);
    wst_remote_t *remote = w.last_up;
    wst_request_t *held = w.held;
    server_agent_close(&a);
    server_world_until_notice(&w, "down a ");
    w.choice = SERVER_ALLOW;
    wst_request_choose(held, remote); /* its answer is not looked at any more, only compared */
    server_agent_open(&w, &b, "b", 1);
    test_env_turns(&w.env, 10);
    assert_true(w.choice_questions >= 2);
    server_client_close(&c);
    server_agent_close(&b);
    server_world_free(&w);
}

static void test_choose_denied(void **state) {
    (void)state;
    char expected[1024];
    server_world_t w;
    server_agent_t a;
    server_world_init(&w);
    w.choice = SERVER_DENY;
    w.deny_reason = "No agent for alice";
    server_world_start(&w);
    server_agent_open(&w, &a, "a", 1);
    refused(expected, sizeof(expected), 403, "No agent for alice", "http_request_denied");
    server_client_ask(&w, CONNECT, expected);
    assert_int_equal(a.asked, 0);
    server_agent_close(&a);
    server_world_free(&w);
}

/* --- wst_server_dial --- */

typedef struct dialled {
    server_world_t *w;
    wst_server_dial_t *dial;
    wst_stream_t *stream;
    int status;
    size_t called;
    bool close_server;
} dialled_t;

static void on_dialled(int status, wst_stream_t *stream, void *user_data) {
    dialled_t *d = user_data;
    d->called++;
    d->status = status;
    d->stream = stream;
    assert_int_equal(stream != NULL, status == 0);
    if (d->close_server)
        server_world_close(d->w);
}

static void start_dial_as(server_world_t *w, dialled_t *d, const wst_flow_options_t *options) {
    *d = (dialled_t){.w = w};
    assert_int_equal(wst_server_dial(&d->dial, w->server, options, on_dialled, d), 0);
    assert_int_equal(d->called, 0);
}

static void start_dial(server_world_t *w, dialled_t *d, wst_remote_t *agent, uint64_t timeout_ms) {
    const wst_flow_options_t options = {.size = sizeof(options),
                                        .destination = "host:22",
                                        .remote = agent,
                                        .timeout_ms = timeout_ms,
                                        .unasked = true};
    start_dial_as(w, d, &options);
}

static void expect_dialled(server_world_t *w, dialled_t *d, int status) {
    test_env_until_count(&w->env, &d->called, 1);
    assert_int_equal(d->status, status);
    wst_server_stats_t stats = server_world_stats(w);
    assert_int_equal(stats.pending, 0);
}

static void test_dial(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a, b;
    dialled_t d;
    server_world_init(&w);
    w.clients = w.choice = SERVER_DENY; /* nobody is asked */
    server_world_start(&w);
    const wst_flow_options_t wrong = {.size = sizeof(wrong), .destination = "host"};
    assert_int_equal(wst_server_dial(&d.dial, w.server, &wrong, on_dialled, &d), WST_EDEST);
    start_dial(&w, &d, NULL, 0);
    expect_dialled(&w, &d, WST_ENOAGENT);
    server_agent_open(&w, &a, "a", 1);
    wst_remote_t *first = w.last_up;
    server_agent_open(&w, &b, "b", 1);

    start_dial(&w, &d, NULL, 0);
    expect_dialled(&w, &d, 0);
    assert_int_equal(a.asked, 1);
    wst_slice_t slice = wst_slice_static("hello", 5);
    assert_int_equal(wst_stream_write(d.stream, &slice, 1), 0);
    server_agent_expect(&a, "hello");
    wst_stream_close(d.stream, NULL);
    test_env_until_count(&w.env, &a.streams_closed, 1);

    a.treatment = SERVER_AGENT_REFUSE;
    a.reason = WST_ELIMIT;
    start_dial(&w, &d, NULL, 0);
    expect_dialled(&w, &d, 0); /* another one */
    wst_stream_close(d.stream, NULL);
    start_dial(&w, &d, first, 0);
    expect_dialled(&w, &d, WST_ELIMIT); /* no other one */
    a.reason = WST_EREFUSED;
    start_dial(&w, &d, first, 0);
    expect_dialled(&w, &d, WST_EREFUSED);
    a.treatment = SERVER_AGENT_KEEP;
    start_dial(&w, &d, first, 30);
    expect_dialled(&w, &d, WST_EDIALTIMEOUT);
    test_env_until_count(&w.env, &a.cancelled, 1);
    assert_int_equal(w.client_questions + w.choice_questions, 0);
    server_agent_close(&a);
    server_agent_close(&b);
    server_world_free(&w);
}

/* Unless it says otherwise a dial is asked about like any client's request; who asks need not be
 * known, or may be known already. */
static void test_dial_asked(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    dialled_t d;
    wst_flow_options_t options = {
        .size = sizeof(options), .destination = "host:22", .peer = "127.0.0.1:7"};
    server_world_init(&w);
    w.clients = SERVER_DENY;
    server_world_start(&w);
    server_agent_open(&w, &a, "a", 1);
    start_dial_as(&w, &d, &options);
    expect_dialled(&w, &d, WST_EDENIED);
    assert_int_equal(w.client_questions, 1);
    assert_int_equal(w.refusals, 1);
    assert_int_equal(a.asked, 0);
    options.unasked = true;
    start_dial_as(&w, &d, &options);
    expect_dialled(&w, &d, 0);
    assert_int_equal(w.client_questions, 1);
    assert_int_equal(w.refusals, 1);
    wst_stream_close(d.stream, NULL);
    server_agent_close(&a);
    server_world_free(&w);
}

/* It is counted and noticed as long as its stream is open, and the server's drain waits for it. */
static void test_dial_counts(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    dialled_t d;
    server_world_open(&w);
    server_agent_open(&w, &a, "a", 1);
    start_dial(&w, &d, NULL, 0);
    expect_dialled(&w, &d, 0);
    assert_int_equal(w.opens, 1);
    wst_server_stats_t stats = server_world_stats(&w);
    assert_int_equal(stats.streams, 1);
    wst_server_drain(w.server);
    dialled_t late;
    start_dial(&w, &late, NULL, 0);
    expect_dialled(&w, &late, WST_EGOAWAY);
    test_env_turns(&w.env, 10);
    assert_int_equal(w.drained, 0);
    wst_stream_close(d.stream, NULL);
    test_env_until_count(&w.env, &w.drained, 1);
    assert_int_equal(w.closes, 1);
    stats = server_world_stats(&w);
    assert_int_equal(stats.streams, 0);
    server_agent_close(&a);
    server_world_free(&w);
}

static void test_find_agent(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a, b;
    dialled_t d;
    server_world_open(&w);
    assert_null(wst_server_find_agent(w.server, "", "a"));
    server_agent_open(&w, &a, "a", 1);
    wst_remote_t *first = w.last_up;
    server_agent_open(&w, &b, "a", 2); /* a twin */
    wst_remote_t *second = w.last_up;
    const wst_flow_options_t through_first = {
        .size = sizeof(through_first), .destination = "host:22", .remote = first};
    start_dial_as(&w, &d, &through_first);
    expect_dialled(&w, &d, 0);
    assert_ptr_equal(wst_server_find_agent(w.server, "", "a"), second);
    assert_null(wst_server_find_agent(w.server, "", "b"));
    assert_null(wst_server_find_agent(w.server, "acme", "a"));
    wst_stream_close(d.stream, NULL);
    server_agent_close(&a);
    server_agent_close(&b);
    server_world_free(&w);
}

static void test_dial_cancel(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    dialled_t d;
    server_world_open(&w);
    server_agent_open(&w, &a, "a", 1);
    a.treatment = SERVER_AGENT_KEEP;
    start_dial(&w, &d, NULL, 0);
    wst_server_dial_cancel(d.dial); /* at once */
    start_dial(&w, &d, NULL, 0);
    test_env_until_count(&w.env, &a.asked, 1);
    wst_server_dial_cancel(d.dial); /* while the agent tries */
    test_env_until_count(&w.env, &a.cancelled, 1);
    assert_int_equal(d.called, 0);
    server_agent_close(&a);
    server_world_free(&w);
}

/* A dial's agent goes before the dial has begun. */
static void test_dial_agent_gone(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    dialled_t d;
    server_world_open(&w);
    server_agent_open(&w, &a, "a", 1);
    a.treatment = SERVER_AGENT_KEEP;
    start_dial(&w, &d, w.last_up, 0);
    test_env_until_count(&w.env, &a.asked, 1);
    server_agent_close(&a);
    expect_dialled(&w, &d, WST_ELOST);
    server_world_free(&w);
}

/* The server's end is the end of its dials, and they are told. */
static void test_dial_and_close(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    dialled_t first, second, open;
    server_world_open(&w);
    server_agent_open(&w, &a, "a", 1);
    start_dial(&w, &open, NULL, 0);
    expect_dialled(&w, &open, 0); /* is the embedder's, also after the server */
    a.stream = NULL;
    a.treatment = SERVER_AGENT_KEEP;
    start_dial(&w, &first, NULL, 0);
    test_env_until_count(&w.env, &a.asked, 2);
    start_dial(&w, &second, NULL, 0);
    server_world_close(&w);
    assert_int_equal(first.called + second.called, 0);
    dialled_t late;
    const wst_flow_options_t options = {.size = sizeof(options), .destination = "host:22"};
    assert_int_equal(wst_server_dial(&late.dial, w.server, &options, on_dialled, &late),
                     WST_ESTATE);
    test_env_until_count(&w.env, &w.closed, 1);
    assert_int_equal(first.status, WST_ECANCELLED);
    assert_int_equal(second.status, WST_ECANCELLED);
    wst_stream_close(open.stream, NULL);
    server_agent_close(&a);
    server_world_free(&w);
}

static void test_close_in_dial(void **state) {
    (void)state;
    for (int success = 0; success < 2; success++) {
        server_world_t w;
        server_agent_t a;
        dialled_t d;
        server_world_open(&w);
        server_agent_open(&w, &a, "a", 1);
        a.treatment = success ? SERVER_AGENT_ACCEPT : SERVER_AGENT_REFUSE;
        a.reason = WST_EREFUSED;
        start_dial(&w, &d, NULL, 0);
        d.close_server = true;
        test_env_until_count(&w.env, &d.called, 1);
        if (success)
            wst_stream_close(d.stream, NULL);
        server_agent_close(&a);
        server_world_free(&w);
    }
}

/* -- The dial's end from inside of notices ------------------------------------------------------
 */

static server_world_t *dial_world;
static dialled_t *dial_under_way;

static void cancel_dial_in_open(wst_server_t *server, const wst_stream_info_t *info,
                                void *user_data) {
    (void)server, (void)info, (void)user_data;
    wst_server_dial_cancel(dial_under_way->dial);
}

/* "Gives up: [...] the callback will not run. Only before it has run.": it has not, when
 * on_stream_open tells that the stream is there. */
static void test_dial_cancel_in_open_notice(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    dialled_t d;
    server_world_init(&w);
    server_world_start(&w);
    server_agent_open(&w, &a, "a", 1);
    dial_under_way = &d;
    dial_world = &w;
    w.server->callbacks.on_stream_open = cancel_dial_in_open;
    start_dial(&w, &d, NULL, 0);
    test_env_until_count(&w.env, &a.streams_closed, 1); /* nobody has it: it is closed */
    test_env_turns(&w.env, 5);
    assert_int_equal(d.called, 0);
    server_agent_close(&a);
    server_world_free(&w);
}

/* A server that is closed by that notice ends its dials with WST_ECANCELLED. */
static void close_in_open(wst_server_t *server, const wst_stream_info_t *info, void *user_data) {
    (void)server, (void)info, (void)user_data;
    server_world_close(dial_world);
}

static void test_dial_close_in_open_notice(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    dialled_t d;
    server_world_init(&w);
    server_world_start(&w);
    server_agent_open(&w, &a, "a", 1);
    dial_world = &w;
    w.server->callbacks.on_stream_open = close_in_open;
    start_dial(&w, &d, NULL, 0);
    test_env_until_count(&w.env, &d.called, 1);
    if (d.stream != NULL)
        wst_stream_close(d.stream, NULL);
    server_agent_close(&a);
    server_world_free(&w);
}

int main(int argc, char **argv) {
    if (argc > 1) /* one test alone */
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fail_over),
        cmocka_unit_test(test_fail_over_lost),
        cmocka_unit_test(test_nobody_left),
        cmocka_unit_test(test_real_answer),
        cmocka_unit_test(test_tries_are_bounded),
        cmocka_unit_test(test_one_deadline),
        cmocka_unit_test(test_choose),
        cmocka_unit_test(test_choose_again),
        cmocka_unit_test(test_chosen_is_gone),
        cmocka_unit_test(test_choose_denied),
        cmocka_unit_test(test_dial),
        cmocka_unit_test(test_dial_asked),
        cmocka_unit_test(test_dial_counts),
        cmocka_unit_test(test_find_agent),
        cmocka_unit_test(test_dial_cancel),
        cmocka_unit_test(test_dial_agent_gone),
        cmocka_unit_test(test_dial_and_close),
        cmocka_unit_test(test_close_in_dial),
        cmocka_unit_test(test_dial_cancel_in_open_notice),
        cmocka_unit_test(test_dial_close_in_open_notice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
