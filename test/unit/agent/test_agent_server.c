/* SPDX-License-Identifier: MIT */
/* Servers that refuse, talk nonsense, fall silent or vanish, in each phase: the agent says why, and
 * tries again. */
#include "agent_peers.h"

#include <stdio.h>

typedef struct rig {
    agent_world_t w;
    agent_raw_t raw;
} rig_t;

static void rig_open(rig_t *r, agent_raw_manner_t manner) {
    memset(r, 0, sizeof(*r));
    agent_world_open(&r->w);
    r->w.credentials = AGENT_ALLOW;
    r->w.path = "/x?token=" AGENT_SECRET; /* it is not to be seen in the log either */
    r->raw.manner = manner;
    agent_raw_open(&r->w, &r->raw);
}

static void rig_free(rig_t *r) {
    if (r->w.agent != NULL && !r->w.close_called)
        agent_world_close_agent(&r->w);
    agent_raw_free(&r->raw);
    agent_world_free(&r->w);
}

/* It fails twice, for this reason, and then comes up at a good server. */
static void expect_failure(rig_t *r, int error, const char *detail) {
    agent_world_until(&r->w, AGENT_DOWN, 2);
    if (r->w.failure.error != error)
        fail_msg("%s (%s) instead of %s", wst_err_name(r->w.failure.error), r->w.detail,
                 wst_err_name(error));
    if (detail != NULL)
        assert_string_equal(r->w.detail, detail);
    r->raw.manner = AGENT_RAW_UPGRADE;
    r->raw.sequel = AGENT_RAW_STAY;
    memset(r->raw.says, 0, sizeof(r->raw.says));
    r->raw.says[0] = agent_raw_hello;
    size_t ups = r->w.seen[AGENT_UP];
    agent_world_until(&r->w, AGENT_UP, ups + 1);
    assert_true(r->w.seen[AGENT_CREDENTIALS] > 2);
}

/* --- refusals --- */

static void test_refused(void **state) {
    (void)state;
    static const struct {
        int status;
        const char *reason;
        bool refused;
    } cases[] = {
        {401, "Unauthorized", true}, {403, "Forbidden", true}, {400, "Bad Request", false},
        {404, "Not Found", false},   {407, "Proxy", false},    {426, "Upgrade Required", false},
        {200, "OK", false},          {302, "Found", false},    {500, "Oops", false},
        {503, "Later", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        rig_t r;
        char answer[128], detail[64];
        snprintf(answer, sizeof(answer), "HTTP/1.1 %d %s\r\nContent-Length: 4\r\n\r\nbody",
                 cases[i].status, cases[i].reason);
        snprintf(detail, sizeof(detail), "the server answered %d %s", cases[i].status,
                 cases[i].reason);
        rig_open(&r, AGENT_RAW_ANSWER);
        r.raw.answer = answer;
        r.w.options.backoff_max_ms = 33;
        agent_world_start(&r.w);
        expect_failure(&r, WST_EREJECTED, detail);
        assert_int_equal(r.w.failure.http_status, cases[i].status);
        assert_int_equal(r.w.failure.refused, cases[i].refused);
        if (cases[i].refused)
            assert_int_equal(r.w.failure.retry_in_ms, 33);
        else
            assert_true(r.w.failure.retry_in_ms <= (uint64_t)1 << r.w.seen[AGENT_DOWN]);
        rig_free(&r);
    }
}

/* The longest wait after a refusal is a wait indeed. */
static void test_refused_waits(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, AGENT_RAW_ANSWER);
    r.raw.answer = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
    r.w.options.backoff_max_ms = 1000000;
    agent_world_start(&r.w);
    agent_world_until(&r.w, AGENT_DOWN, 1);
    assert_int_equal(r.w.failure.retry_in_ms, 1000000);
    agent_world_pass(&r.w, 990000);
    test_env_turns(&r.w.env, 10);
    assert_int_equal(r.raw.accepted, 1);
    agent_world_pass(&r.w, 1000000);
    agent_world_until(&r.w, AGENT_DOWN, 2);
    assert_int_equal(r.raw.accepted, 2);
    rig_free(&r);
}

/* The same from the real server. */
static void on_agent_request(wst_server_t *server, wst_request_t *request, void *user_data) {
    (void)server;
    (void)user_data;
    const wst_http_header_t *field =
        wst_http_header(wst_request_head(request), "Authorization", NULL);
    if (field != NULL && wst_str_eq(field->value, "Bearer " AGENT_SECRET))
        wst_request_allow(request);
    else
        wst_request_deny(request, 401, "Who are you?", "WWW-Authenticate: Bearer\r\n");
}

static void test_refused_by_real_server(void **state) {
    (void)state;
    agent_world_t w;
    agent_world_open(&w);
    w.credentials = AGENT_ALLOW;
    w.fields = "Authorization: Bearer wrong\r\n";
    w.server_callbacks.on_agent_request = on_agent_request;
    agent_world_serve(&w);
    agent_world_start(&w);
    agent_world_until(&w, AGENT_DOWN, 2);
    assert_int_equal(w.failure.error, WST_EREJECTED);
    assert_int_equal(w.failure.http_status, 401);
    assert_true(w.failure.refused);
    assert_int_equal(w.failure.retry_in_ms, w.options.backoff_max_ms);
    assert_string_equal(w.detail, "the server answered 401 Who are you?");
    w.fields = "Authorization: Bearer " AGENT_SECRET "\r\n";
    agent_world_until(&w, AGENT_UP, 1);
    agent_world_free(&w);

    agent_world_open(&w); /* another path is no place for agents */
    w.path = "/elsewhere";
    agent_world_serve(&w);
    agent_world_start(&w);
    agent_world_until(&w, AGENT_DOWN, 1);
    assert_int_equal(w.failure.error, WST_EREJECTED);
    assert_false(w.failure.refused);
    assert_true(w.failure.http_status >= 400);
    agent_world_free(&w);
}

/* --- nonsense --- */

static void test_garbage(void **state) {
    (void)state;
    static char endless[20000];
    memset(endless, 'a', sizeof(endless) - 1);
    memcpy(endless, "HTTP/1.1 200 OK\r\nA: ", 20);
    const char *const answers[] = {
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "\x16\x03\x01\x02\x05garbage\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        "Sec-WebSocket-Protocol: wstunnel.v1.bin\r\n\r\n",
        "HTTP/1.1 101\nUpgrade : websocket\r\n\r\n",
        endless,
    };
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        rig_t r;
        rig_open(&r, AGENT_RAW_ANSWER);
        r.raw.answer = answers[i];
        agent_world_start(&r.w);
        expect_failure(&r, WST_EHANDSHAKE, NULL);
        assert_int_equal(r.w.failure.http_status, 0);
        rig_free(&r);
    }
}

/* What is no message of the protocol, before the hello or behind it. */
static void test_breaches(void **state) {
    (void)state;
    static const struct {
        const char *first, *second;
        size_t ups;
    } cases[] = {
        {"hello", NULL, 0},
        {"{\"method\":4}", NULL, 0},
        {"{\"method\":1,\"id\":2,\"dest\":\"host:1\"}", NULL, 0},
        {agent_raw_hello, "{\"method\":1,\"id\":3,\"dest\":\"host:1\"}", 1},
        {agent_raw_hello, "{\"method\":2,\"id\":1}", 1},
        {agent_raw_hello, "}", 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        rig_t r;
        rig_open(&r, AGENT_RAW_UPGRADE);
        r.raw.says[0] = cases[i].first;
        r.raw.says[1] = cases[i].second;
        agent_world_start(&r.w);
        expect_failure(&r, WST_EPROTO, NULL);
        assert_true(r.w.seen[AGENT_UP] >= 2 * cases[i].ups);
        assert_int_equal(r.raw.over_error, WST_EWSCLOSED); /* 1002: it was told */
        assert_int_equal(r.w.seen[AGENT_STREAM_OPEN], 0);
        rig_free(&r);
    }
}

/* A server that agrees on no subprotocol, or closes for a reason of its own. */
static void test_closed_with_a_code(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, AGENT_RAW_UPGRADE);
    r.raw.says[0] = agent_raw_hello;
    agent_world_start(&r.w);
    agent_world_until(&r.w, AGENT_UP, 1);
    wst_websocket_end(r.raw.ws, 1008, "not you");
    agent_world_until(&r.w, AGENT_DOWN, 1);
    assert_int_equal(r.w.failure.error, WST_EWSCLOSED);
    assert_string_equal(r.w.detail, "closed by the peer: 1008 not you");
    agent_world_until(&r.w, AGENT_UP, 2);
    rig_free(&r);
}

/* --- silence: each phase has its deadline --- */

static void test_silent_name(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, AGENT_RAW_SILENT);
    r.w.options.connect_timeout_ms = 20;
    r.w.options.url = "ws://stuck.test:1/";
    agent_world_start(&r.w);
    agent_world_until(&r.w, AGENT_DOWN, 2);
    assert_int_equal(r.w.failure.error, WST_ENAMETIMEOUT);
    rig_free(&r);
}

static void test_silent_upgrade(void **state) {
    (void)state;
    static const char *const parts[] = {"", "H", "HTTP/1.1 101 Switching Protocols\r\nUpgrade:"};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        rig_t r;
        rig_open(&r, AGENT_RAW_ANSWER);
        r.raw.answer = parts[i];
        r.w.options.connect_timeout_ms = 20;
        agent_world_start(&r.w);
        expect_failure(&r, WST_ETIMEOUT, "the upgrade was not answered in time");
        rig_free(&r);
    }
}

static void test_silent_hello(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, AGENT_RAW_UPGRADE);
    r.w.options.connect_timeout_ms = 20;
    agent_world_start(&r.w);
    expect_failure(&r, WST_ETIMEOUT, "no hello in time");
    rig_free(&r);
}

/* It says hello, and then nothing, not even to a ping. */
static void test_silent_when_up(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, AGENT_RAW_UPGRADE);
    r.raw.says[0] = agent_raw_hello;
    r.w.options.ping_interval_ms = 10;
    r.w.options.dead_after_ms = 50;
    agent_world_start(&r.w);
    agent_raw_expect(&r.raw, "{\"method\":8,\"seq\":");
    expect_failure(&r, WST_ETIMEOUT, "nothing received for too long");
    rig_free(&r);
}

/* One that answers pings lives on. */
static void answer_pings(uv_timer_t *timer) {
    rig_t *r = timer->data;
    if (r->raw.ws != NULL)
        agent_raw_say(&r->raw, "{\"method\":9,\"seq\":1}");
}

static void test_not_silent(void **state) {
    (void)state;
    rig_t r;
    uv_timer_t timer;
    rig_open(&r, AGENT_RAW_UPGRADE);
    r.raw.says[0] = agent_raw_hello;
    r.w.options.ping_interval_ms = 20;
    r.w.options.dead_after_ms = 500;
    agent_world_start(&r.w);
    agent_world_until(&r.w, AGENT_UP, 1);
    uv_timer_init(&r.w.env.loop, &timer);
    timer.data = &r;
    uv_timer_start(&timer, answer_pings, 20, 20);
    uint64_t since = uv_now(&r.w.env.loop);
    while (uv_now(&r.w.env.loop) - since < 700)
        uv_run(&r.w.env.loop, UV_RUN_ONCE);
    assert_int_equal(r.w.seen[AGENT_DOWN], 0);
    assert_true(wst_agent_is_up(r.w.agent));
    agent_raw_expect(&r.raw, "{\"method\":8,\"seq\":2}"); /* the next one, at its time */
    uv_close((uv_handle_t *)&timer, NULL);
    rig_free(&r);
}

/* --- vanishing, in each phase --- */

static void test_vanishes(void **state) {
    (void)state;
    static const struct {
        agent_raw_manner_t manner;
        agent_raw_sequel_t sequel;
        const char *answer, *says;
        int error, other_error; /* which of the two is a matter of luck */
    } cases[] = {
        {AGENT_RAW_RESET, AGENT_RAW_STAY, NULL, NULL, UV_ECONNRESET, UV_EPIPE},
        {AGENT_RAW_END, AGENT_RAW_STAY, NULL, NULL, UV_EOF, UV_EOF},
        {AGENT_RAW_ANSWER, AGENT_RAW_THEN_RESET, "", NULL, UV_ECONNRESET, UV_ECONNRESET},
        {AGENT_RAW_ANSWER, AGENT_RAW_THEN_END, "", NULL, UV_EOF, UV_EOF},
        {AGENT_RAW_ANSWER, AGENT_RAW_THEN_RESET, "HTTP/1.1 10", NULL, UV_ECONNRESET, UV_ECONNRESET},
        {AGENT_RAW_ANSWER, AGENT_RAW_THEN_END, "HTTP/1.1 101 X\r\nA: b", NULL, UV_EOF, UV_EOF},
        {AGENT_RAW_UPGRADE, AGENT_RAW_THEN_RESET, NULL, NULL, UV_ECONNRESET, UV_ECONNRESET},
        {AGENT_RAW_UPGRADE, AGENT_RAW_THEN_END, NULL, NULL, WST_EWSCLOSED, WST_EWSCLOSED},
        {AGENT_RAW_UPGRADE, AGENT_RAW_THEN_RESET, NULL, agent_raw_hello, UV_ECONNRESET,
         UV_ECONNRESET},
        {AGENT_RAW_UPGRADE, AGENT_RAW_THEN_END, NULL, agent_raw_hello, WST_EWSCLOSED,
         WST_EWSCLOSED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        rig_t r;
        rig_open(&r, cases[i].manner);
        r.raw.sequel = cases[i].sequel;
        r.raw.answer = cases[i].answer;
        r.raw.says[0] = cases[i].says;
        agent_world_start(&r.w);
        agent_world_until(&r.w, AGENT_DOWN, 2);
        expect_failure(
            &r, r.w.failure.error == cases[i].other_error ? cases[i].other_error : cases[i].error,
            NULL);
        rig_free(&r);
    }
}

static void test_nobody_there(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, AGENT_RAW_SILENT);
    agent_raw_stop_listening(&r.raw);
    agent_world_start(&r.w);
    agent_world_until(&r.w, AGENT_DOWN, 2);
    assert_int_equal(r.w.failure.error, UV_ECONNREFUSED);
    r.raw.manner = AGENT_RAW_UPGRADE;
    r.raw.says[0] = agent_raw_hello;
    agent_raw_open(&r.w, &r.raw);
    agent_world_until(&r.w, AGENT_UP, 1);
    rig_free(&r);
}

static void test_unknown_name(void **state) {
    (void)state;
    agent_world_t w;
    agent_world_open(&w);
    w.options.url = "ws://none.test/";
    agent_world_start(&w);
    agent_world_until(&w, AGENT_DOWN, 2);
    assert_int_equal(w.failure.error, UV_EAI_NONAME);
    agent_world_free(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_refused_waits),
        cmocka_unit_test(test_refused_by_real_server),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_breaches),
        cmocka_unit_test(test_closed_with_a_code),
        cmocka_unit_test(test_silent_name),
        cmocka_unit_test(test_silent_upgrade),
        cmocka_unit_test(test_silent_hello),
        cmocka_unit_test(test_silent_when_up),
        cmocka_unit_test(test_not_silent),
        cmocka_unit_test(test_vanishes),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_unknown_name),
    };
    return cmocka_run_group_tests_name("agent_server", tests, NULL, NULL);
}
