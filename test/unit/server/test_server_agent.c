/* SPDX-License-Identifier: MIT */
/* Agents at the server: the upgrade, the hello, who replaces whom, how they leave. */
#include "server.h"
#include "server_world.h"

#include <stdio.h>

#define UPGRADE(more)                                                                              \
    "GET /websocket HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"          \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" more "\r\n"
#define JSON "Sec-WebSocket-Protocol: chat, wstunnel.v1.json\r\n"
#define PLAIN_HEAD(length)                                                                         \
    "Content-Type: text/plain; charset=utf-8\r\nContent-Length: " length                           \
    "\r\nConnection: close\r\n\r\n"

/* --- the upgrade --- */

static void test_upgrade_refused(void **state) {
    (void)state;
    static const struct {
        const char *request, *answer;
    } cases[] = {
        {UPGRADE(JSON "Origin: https://example.com\r\n"),
         "HTTP/1.1 403 Origin not allowed\r\n" PLAIN_HEAD(
             "38") "Agents do not connect from web pages.\n"},
        {UPGRADE(""), "HTTP/1.1 400 No subprotocol of ours\r\n" PLAIN_HEAD(
                          "80") "Offer one of these by Sec-WebSocket-Protocol: wstunnel.v1.bin, "
                                "wstunnel.v1.json\n"},
        {UPGRADE("Sec-WebSocket-Protocol: wstunnel.v2.bin\r\n"),
         "HTTP/1.1 400 No subprotocol of ours\r\n" PLAIN_HEAD(
             "80") "Offer one of these by Sec-WebSocket-Protocol: wstunnel.v1.bin, "
                   "wstunnel.v1.json\n"},
        {"GET /websocket HTTP/1.1\r\n\r\n",
         "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\n" PLAIN_HEAD(
             "35") "Agents connect here, by WebSocket.\n"},
    };
    server_world_t w;
    server_world_open(&w);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        server_client_ask(&w, cases[i].request, cases[i].answer);
    assert_string_equal(w.notices, "agent refused 403 Origin not allowed\n"
                                   "agent refused 400 No subprotocol of ours\n"
                                   "agent refused 400 No subprotocol of ours\n"
                                   "agent refused 426 Upgrade Required\n");
    server_world_free(&w);
}

/* A WebSocket, but not a valid one: the WebSocket says so itself. */
static void test_upgrade_invalid(void **state) {
    (void)state;
    server_world_t w;
    server_client_t c;
    server_world_open(&w);
    server_client_open(&w, &c);
    server_client_say(&c, "GET /websocket HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
                          "Sec-WebSocket-Protocol: wstunnel.v1.bin\r\n\r\n");
    server_client_expect(&c, "HTTP/1.1 400 ");
    test_env_until_count(&w.env, &c.ended, 1);
    server_client_close(&c);
    wst_server_stats_t stats = server_world_stats(&w);
    assert_int_equal(stats.sessions, 0);
    server_world_free(&w);
}

static void test_upgrade_accepted(void **state) {
    (void)state;
    server_world_t w;
    server_client_t c;
    server_world_init(&w);
    w.options.path = "/agents";
    w.options.allow_origin = true;
    server_world_start(&w);
    server_client_open(&w, &c);
    server_client_say(&c, "GET /agents?x HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
                          "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" JSON
                          "Origin: https://example.com\r\n\r\n");
    server_client_expect(&c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                             "Connection: Upgrade\r\n"
                             "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                             "Sec-WebSocket-Protocol: wstunnel.v1.json\r\n\r\n");
    server_client_close(&c);
    server_world_free(&w);
}

static void test_upgrade_denied(void **state) {
    (void)state;
    server_world_t w;
    server_client_t c;
    server_world_init(&w);
    w.agents = SERVER_DENY;
    w.deny_status = 401;
    w.deny_fields = "WWW-Authenticate: Bearer\r\n";
    server_world_start(&w);
    server_client_open(&w, &c);
    server_client_say(&c, UPGRADE(JSON));
    server_client_expect(&c, "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\n"
                             "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 13\r\n"
                             "Connection: close\r\n\r\nUnauthorized\n");
    server_client_expect_end(&c);
    server_client_close(&c);
    assert_int_equal(w.refusals, 0); /* these are clients' */
    server_world_free(&w);
}

/* The decision takes its time; or the agent does not wait for it. */
static void test_upgrade_later(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    server_world_init(&w);
    w.agents = SERVER_HOLD;
    server_world_start(&w);
    server_agent_init(&w, &a, "one", 1);
    server_agent_start(&a);
    test_env_until_count(&w.env, &w.agent_questions, 1);
    assert_string_equal(w.question, " ");
    wst_request_allow(w.held);
    server_world_until_notice(&w, "up one 01010101010101010101010101010101\n");
    server_agent_close(&a);

    server_client_open(&w, &c);
    server_client_say(&c, UPGRADE(JSON));
    test_env_until_count(&w.env, &w.agent_questions, 2);
    server_client_close(&c);
    test_env_until_count(&w.env, &w.gone, 1);
    server_world_free(&w);
}

static void test_upgrade_no_decision(void **state) {
    (void)state;
    server_world_t w;
    server_world_init(&w);
    w.agents = SERVER_HOLD;
    w.limits.decision_timeout_ms = 30;
    server_world_start(&w);
    server_client_ask(
        &w, UPGRADE(JSON),
        "HTTP/1.1 504 No decision in time\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_int_equal(w.gone, 1);
    server_world_free(&w);
}

static void test_max_sessions(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_world_init(&w);
    w.limits.max_agent_sessions = 1;
    server_world_start(&w);
    server_agent_open(&w, &a, "one", 1);
    server_client_ask(&w, UPGRADE(JSON),
                      "HTTP/1.1 503 Too many agents\r\nRetry-After: 5\r\nContent-Length: 0\r\n"
                      "Connection: close\r\n\r\n");
    server_agent_close(&a);
    server_world_until_notice(&w, "down one");
    test_env_turns(&w.env, 10);
    server_agent_open(&w, &a, "two", 1); /* there is a place again */
    wst_server_drain(w.server);
    server_agent_close(&a);
    server_world_free(&w);
}

/* --- hello --- */

static void expect_down(server_agent_t *a, int error, const char *detail) {
    test_env_until_count(&a->w->env, &a->down, 1);
    if (a->down_error != error || strstr(a->detail, detail) == NULL)
        fail_msg("down by %s: %s", wst_err_name(a->down_error), a->detail);
}

static void test_no_hello(void **state) {
    (void)state;
    server_world_t w;
    server_client_t c;
    server_world_init(&w);
    w.limits.hello_timeout_ms = 30;
    server_world_start(&w);
    server_client_open(&w, &c);
    server_client_say(&c, UPGRADE(JSON));
    server_client_expect(&c, "HTTP/1.1 101 ");
    test_env_until_count(&w.env, &c.broken, 1);
    server_client_close(&c);
    assert_int_equal(w.ups, 0);
    assert_int_equal(w.downs, 0); /* it was never there */
    server_world_free(&w);
}

static void test_hello_without_name(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_world_open(&w);
    server_agent_init(&w, &a, "", 1);
    server_agent_start(&a);
    expect_down(&a, WST_EWSCLOSED, "1008 an agent needs a name");
    assert_int_equal(w.ups, 0);
    server_agent_close(&a);
    test_env_turns(&w.env, 20);
    assert_int_equal(w.downs, 0);
    server_world_free(&w);
}

/* The server's limits and those that the agent states hold for the streams opened through it. */
static void test_hello_numbers(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c, d;
    server_world_init(&w);
    w.limits.max_agent_streams = 1;
    server_world_start(&w);
    server_agent_open(&w, &a, "one", 1);
    assert_true(wst_remote_is_ready(w.last_up));
    server_client_connect(&w, &c);
    assert_false(wst_remote_is_ready(w.last_up));
    server_client_open(&w, &d);
    server_client_say(&d, "CONNECT host:22 HTTP/1.1\r\n\r\n");
    server_client_expect(&d, "HTTP/1.1 503 Agent has too many streams\r\n");
    server_client_close(&d);
    server_client_close(&c);
    server_agent_close(&a);
    server_world_free(&w);
}

/* --- replacement and twins --- */

/* A higher epoch takes over at once, dials under way included; nobody is told of up or down. */
static void test_replaced(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t old, new;
    server_client_t c, d;
    server_world_open(&w);
    server_agent_open(&w, &old, "one", 1);
    wst_remote_t *remote = w.last_up;
    wst_remote_set_data(remote, &w);
    server_client_connect(&w, &c);
    old.treatment = SERVER_AGENT_KEEP;
    server_client_open(&w, &d);
    server_client_say(&d, "CONNECT host:22 HTTP/1.1\r\n\r\n");
    test_env_until_count(&w.env, &old.asked, 2);

    server_agent_init(&w, &new, "one", 1);
    new.hello.epoch = 2;
    server_agent_start(&new);
    expect_down(&old, 0, "1000 replaced");
    server_client_expect_reset(&c);
    server_world_until_notice(&w,
                              "close 1  host:22 one to_agent=0 to_client=0 WST_ELOST by agent\n");
    server_client_expect(&d, "HTTP/1.1 200 Connection established\r\n\r\n");
    assert_int_equal(new.asked, 1);
    assert_int_equal(w.ups, 1);
    assert_int_equal(w.downs, 0);
    assert_ptr_equal(wst_server_next_agent(w.server, NULL), remote);
    assert_ptr_equal(wst_remote_data(remote), &w);
    wst_server_stats_t stats = server_world_stats(&w);
    assert_int_equal(stats.agents, 1);
    server_client_close(&c);
    server_client_close(&d);
    server_agent_close(&old);
    server_agent_close(&new);
    server_world_until_notice(&w, "down one ");
    server_world_free(&w);
}

/* The predecessor's peer is gone without a word: what it carried is lost at once all the same. */
static void test_replaced_silent(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t old, new;
    server_client_t c;
    server_world_open(&w);
    server_agent_open(&w, &old, "one", 1);
    server_client_connect(&w, &c);
    wst_websocket_read_stop(server_agent_websocket(&old));
    server_agent_init(&w, &new, "one", 1);
    new.hello.epoch = 2;
    server_agent_start(&new);
    test_env_until_count(&w.env, &new.up, 1);
    uint64_t start = uv_now(&w.env.loop);
    server_client_expect_reset(&c);
    assert_true(uv_now(&w.env.loop) - start < 2000); /* a closing handshake has 5 s */
    server_client_close(&c);
    server_agent_close(&old);
    server_agent_close(&new);
    server_world_free(&w);
}

static void test_not_replaced(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a, late;
    server_client_t c;
    server_world_open(&w);
    server_agent_open(&w, &a, "one", 1);
    for (uint64_t epoch = 0; epoch <= 1; epoch++) {
        server_agent_init(&w, &late, "one", 1);
        late.hello.epoch = epoch;
        server_agent_start(&late);
        expect_down(&late, WST_EWSCLOSED, "1008 ");
        server_agent_close(&late);
        server_world_assert_notice(&w, "agent refused 0 this agent has a connection with that "
                                       "epoch or a higher one\n");
        assert_string_equal(w.last_refusal, "||one||http_request_denied|");
    }
    server_client_connect(&w, &c); /* the first one serves on */
    assert_int_equal(a.asked, 1);
    server_client_close(&c);
    server_agent_close(&a);
    server_world_free(&w);
}

/* The last warning: that an agent at the first address has to do with one at the second. */
static void expect_warning(server_world_t *w, const char *at, const char *what, const char *other) {
    char text[256];
    unsigned port, other_port;
    snprintf(text, sizeof(text), "agent one at %s:%%u %s %s:%%u", at, what, other);
    if (sscanf(w->env.log, text, &port, &other_port) != 2)
        fail_msg("%s", w->env.log);
    w->env.log_lines = 0;
}

/* Credentials used from another address, to take over or beside their owner: somebody should know.
 * From the same address nobody need. */
static void test_elsewhere(void **state) {
    (void)state;
    static const char other[] = "127.0.0.2";
    server_world_t w;
    server_agent_t first, twin, taker, adder, near;
    server_world_open(&w);
    server_agent_open(&w, &first, "one", 1);
    server_agent_open(&w, &near, "one", 2);
    server_agent_close(&near);
    server_agent_open(&w, &near, "two", 1);
    assert_int_equal(w.env.log_lines, 0);

    server_agent_init(&w, &twin, "one", 3);
    server_agent_start_from(&twin, other);
    test_env_until_count(&w.env, &twin.up, 1);
    expect_warning(&w, other, "has the name and the credentials of the one at", "127.0.0.1");
    server_agent_close(&twin);

    server_agent_init(&w, &adder, "one", 1);
    adder.hello.conn = 7;
    server_agent_start_from(&adder, other);
    test_env_until_count(&w.env, &adder.up, 1);
    expect_warning(&w, other, "adds to the sessions of the one at", "127.0.0.1");
    server_agent_close(&adder);

    server_agent_init(&w, &taker, "one", 1);
    taker.hello.epoch = 2;
    server_agent_start_from(&taker, other);
    expect_down(&first, 0, "1000 replaced");
    expect_warning(&w, other, "takes over from the one at", "127.0.0.1");
    server_agent_close(&first);

    /* One that is refused is not warned of; its own line is of level debug. */
    server_agent_open(&w, &twin, "three", 1);
    server_agent_init(&w, &adder, "one", 1);
    wst_ctx_set_log_level(w.env.ctx, WST_LOG_DEBUG);
    server_agent_start(&adder);
    expect_down(&adder, WST_EWSCLOSED, "1008 ");
    assert_non_null(strstr(w.env.log, "refused: this agent has a connection with that epoch"));
    server_agent_close(&adder);
    server_agent_close(&twin);
    server_agent_close(&taker);
    server_agent_close(&near);
    server_world_free(&w);
}

/* Another instance is another agent, another conn one more session. */
static void test_twins(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a, twin, second;
    server_client_t c[3];
    server_world_open(&w);
    server_agent_open(&w, &a, "one", 1);
    server_agent_open(&w, &twin, "one", 2);
    server_agent_init(&w, &second, "one", 1);
    second.hello.conn = 1;
    server_agent_start(&second);
    test_env_until_count(&w.env, &second.up, 1);
    wst_server_stats_t stats = server_world_stats(&w);
    assert_int_equal(stats.agents, 2);
    assert_int_equal(stats.sessions, 3);
    assert_int_equal(w.ups, 2);
    for (size_t i = 0; i < 3; i++)
        server_client_connect(&w, &c[i]);
    assert_int_equal(a.asked, 1);
    assert_int_equal(twin.asked, 1);
    assert_int_equal(second.asked + a.asked + twin.asked, 3);

    server_agent_close(&a); /* not its last session */
    server_client_expect_reset(&c[0]);
    assert_int_equal(w.downs, 0);
    server_agent_close(&second);
    server_world_until_notice(&w, "down one ");
    assert_int_equal(w.downs, 1);
    stats = server_world_stats(&w);
    assert_int_equal(stats.agents, 1);
    server_agent_close(&twin);
    for (size_t i = 0; i < 3; i++)
        server_client_close(&c[i]);
    server_world_free(&w);
}

/* --- how they leave --- */

static void test_down(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_world_init(&w);
    w.limits.ping_interval_ms = 10;
    w.limits.dead_after_ms = 40;
    server_world_start(&w);
    server_agent_open(&w, &a, "orderly", 1);
    a.uplink->ops->end(a.uplink, 1000, "bye", false);
    server_world_until_notice(&w, "down orderly 0\n");
    server_agent_close(&a);

    server_agent_open(&w, &a, "rude", 1);
    server_agent_close(&a);
    server_world_until_notice(&w, "down rude ECONNRESET\n");

    server_agent_open(&w, &a, "dead", 1);
    wst_websocket_read_stop(server_agent_websocket(&a)); /* it does not answer */
    server_world_until_notice(&w, "down dead WST_ETIMEOUT\n");
    server_agent_close(&a);
    server_world_free(&w);
}

static bool is_not_ready(void *arg) {
    return !wst_remote_is_ready(arg);
}

/* What let the sessions in, as the embedder sees it. */
typedef struct review {
    size_t sessions;
    wst_admission_t last;
    char name[64], tenant[64];
    bool valid;
} review_t;

static bool is_valid(const wst_admission_t *admission, void *user_data) {
    review_t *r = user_data;
    r->sessions++;
    r->last = *admission;
    snprintf(r->name, sizeof(r->name), "%s", admission->name);
    snprintf(r->tenant, sizeof(r->tenant), "%s", admission->tenant);
    return r->valid;
}

/* The embedder decides by the credential that it gave when it let the agent in. */
static void test_review(void **state) {
    (void)state;
    static const uint8_t hash[32] = "0123456789abcdef0123456789abcdef";
    server_world_t w;
    server_agent_t a;
    review_t r = {.valid = true};
    server_world_init(&w);
    w.agents = SERVER_HOLD;
    server_world_start(&w);
    wst_server_review_agents(w.server, is_valid, &r);
    assert_int_equal(r.sessions, 0);
    server_agent_init(&w, &a, "berlin", 1);
    server_agent_start(&a);
    test_env_until_count(&w.env, &w.agent_questions, 1);
    wst_request_set_tenant(w.held, "acme");
    wst_request_set_credential(w.held, hash);
    wst_request_allow(w.held);
    test_env_until_count(&w.env, &a.up, 1);
    wst_server_review_agents(w.server, is_valid, &r);
    assert_int_equal(r.sessions, 1);
    assert_string_equal(r.name, "berlin");
    assert_string_equal(r.tenant, "acme");
    assert_memory_equal(r.last.credential, hash, sizeof(hash));
    test_env_turns(&w.env, 5);
    assert_int_equal(a.down, 0);
    r.valid = false;
    wst_server_review_agents(w.server, is_valid, &r);
    test_env_until_count(&w.env, &a.down, 1);
    assert_non_null(strstr(a.detail, "1008 its credentials are not valid any more"));
    server_agent_close(&a);
    server_world_free(&w);
}

/* One that takes no more streams stays until its own are over. */
static void expect_answer(server_world_t *w, const char *request, const char *begin) {
    server_client_t c;
    server_client_open(w, &c);
    server_client_say(&c, request);
    server_client_expect(&c, begin);
    server_client_close(&c);
}

/* Its max_streams is 0: it comes to look. It counts neither as ready nor as an agent to choose. */
static void test_takes_no_streams(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t visitor, a;
    server_client_t c;
    server_world_init(&w);
    w.choice = SERVER_UNASKED;
    server_world_start(&w);
    wst_ctx_set_log_level(w.env.ctx, WST_LOG_INFO);
    server_agent_init(&w, &visitor, "one", 1);
    visitor.hello.max_streams = 0;
    server_agent_start(&visitor);
    server_world_until_notice(&w, "up one");
    server_world_assert_logged(&w, ", takes no streams");
    expect_answer(&w, "GET /readyz HTTP/1.0\r\n\r\n", "HTTP/1.0 503 Service Unavailable");
    expect_answer(&w, "CONNECT host:22 HTTP/1.1\r\n\r\n", "HTTP/1.1 503 No agent");
    server_agent_open(&w, &a, "one", 2);
    assert_int_equal(w.downs, 0); /* neither replaces the other */
    server_client_connect(&w, &c);
    assert_non_null(a.stream);
    assert_int_equal(visitor.asked, 0);
    server_client_close(&c);
    server_agent_close(&a);
    server_world_until_notice(&w, "down one");
    expect_answer(&w, "CONNECT host:22 HTTP/1.1\r\n\r\n", "HTTP/1.1 503 No agent");
    server_agent_close(&visitor);
    server_world_free(&w);
}

static void test_goaway(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    server_world_open(&w);
    server_agent_open(&w, &a, "one", 1);
    server_client_connect(&w, &c);
    a.uplink->ops->goaway(a.uplink);
    test_env_until(&w.env, is_not_ready, w.last_up);
    server_client_ask(&w, "CONNECT host:22 HTTP/1.1\r\n\r\n",
                      "HTTP/1.1 503 Agent is shutting down\r\n"
                      "Proxy-Status: libwstunnel; error=destination_unavailable; "
                      "details=\"Agent is shutting down\"\r\nRetry-After: 5\r\n" PLAIN_HEAD(
                          "23") "Agent is shutting down\n");
    server_client_say(&c, "still here");
    server_agent_expect(&a, "still here");
    server_client_close(&c);
    server_agent_close(&a);
    server_world_free(&w);
}

/* An agent may not open streams at the server, and learns so from its hello. One that asks all the
 * same is refused: see test_agents.py. */
static void test_stream_to_the_server(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    wst__opening_t *open;
    server_world_open(&w);
    server_agent_open(&w, &a, "one", 1);
    assert_int_equal(a.uplink->ops->open(a.uplink, &open, "host:1", NULL, NULL, NULL),
                     WST_ENOAGENT);
    server_agent_close(&a);
    server_world_free(&w);
}

/* -- Notices: codes and fields ------------------------------------------------------------------
 */

static int refused_code;
static char refused_fields[128];

static void note_refusal(wst_server_t *server, const wst_refusal_info_t *info, void *user_data) {
    (void)server, (void)user_data;
    refused_code = info->code;
    snprintf(refused_fields, sizeof(refused_fields), "%s", info->fields);
}

/* "fields: header fields that belong to it, as complete lines (a challenge)" */
static void test_refused_with_challenge(void **state) {
    (void)state;
    server_world_t w;
    server_client_t c;
    server_world_init(&w);
    w.agents = SERVER_DENY;
    w.deny_status = 401;
    w.deny_fields = "WWW-Authenticate: Bearer\r\n";
    server_world_start(&w);
    w.server->callbacks.on_agent_refused = note_refusal;
    server_client_open(&w, &c);
    server_client_say(&c, UPGRADE(JSON));
    server_client_expect(&c, "HTTP/1.1 401 ");
    server_client_close(&c);
    server_world_free(&w);
    assert_string_equal(refused_fields, "WWW-Authenticate: Bearer\r\n");
}

/* "code: [...] WST_ELIMIT": too many agents are no denial, and it may be different soon. */
static void test_refused_by_bound(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    server_world_init(&w);
    w.limits.max_agent_sessions = 1;
    server_world_start(&w);
    w.server->callbacks.on_agent_refused = note_refusal;
    server_agent_open(&w, &a, "one", 1);
    server_client_open(&w, &c);
    server_client_say(&c, UPGRADE(JSON));
    server_client_expect(&c, "HTTP/1.1 503 ");
    server_client_close(&c);
    server_agent_close(&a);
    server_world_free(&w);
    assert_int_equal(refused_code, WST_ELIMIT);
}

static review_t down_review;

static void review_in_down(wst_server_t *server, wst_remote_t *agent,
                           const wst_agent_down_info_t *info, void *user_data) {
    (void)agent, (void)info, (void)user_data;
    down_review = (review_t){.valid = false};
    wst_server_review_agents(server, is_valid, &down_review);
}

/* on_agent_down looks through the sessions, among them the one that is down. */
static void test_review_in_down(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_world_init(&w);
    server_world_start(&w);
    w.server->callbacks.on_agent_down = review_in_down;
    server_agent_open(&w, &a, "one", 1);
    server_agent_close(&a);
    server_world_until_connections(&w, 0);
    test_env_turns(&w.env, 5);
    server_world_free(&w);
}

int main(int argc, char **argv) {
    if (argc > 1) /* one test alone */
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_upgrade_refused),
        cmocka_unit_test(test_upgrade_invalid),
        cmocka_unit_test(test_upgrade_accepted),
        cmocka_unit_test(test_upgrade_denied),
        cmocka_unit_test(test_upgrade_later),
        cmocka_unit_test(test_upgrade_no_decision),
        cmocka_unit_test(test_max_sessions),
        cmocka_unit_test(test_no_hello),
        cmocka_unit_test(test_hello_without_name),
        cmocka_unit_test(test_hello_numbers),
        cmocka_unit_test(test_replaced),
        cmocka_unit_test(test_replaced_silent),
        cmocka_unit_test(test_not_replaced),
        cmocka_unit_test(test_elsewhere),
        cmocka_unit_test(test_twins),
        cmocka_unit_test(test_down),
        cmocka_unit_test(test_review),
        cmocka_unit_test(test_takes_no_streams),
        cmocka_unit_test(test_goaway),
        cmocka_unit_test(test_stream_to_the_server),
        cmocka_unit_test(test_refused_with_challenge),
        cmocka_unit_test(test_refused_by_bound),
        cmocka_unit_test(test_review_in_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
