/* SPDX-License-Identifier: MIT */
/*
 * Structs that can grow (wstunnel/common.h), as the public functions take them: from a program of
 * today, from one that forgot the size, and from a later one, whose structs are longer.
 */
#include "env.h"
#include "fake_stream.h"
#include "support.h"

#include <wstunnel/wstunnel.h>

#include <stdlib.h>
#include <string.h>

enum { MORE = 24 }; /* bytes that later structs have behind ours */

static test_env_t env;

/* What is tried: a struct of today, and a function that hands it over and ends what it made. */
typedef struct growing {
    const char *name;
    const void *today;
    int (*hand_over)(const void *given);
} growing_t;

#define GROWING(type, ...)                                                                         \
    &(const type) {                                                                                \
        .size = sizeof(type), __VA_ARGS__                                                          \
    }

/* -- Handing over ------------------------------------------------------------------------------ */

static int make_ctx(const void *given) {
    wst_ctx_t *ctx;
    int status = wst_ctx_new(&ctx, &env.loop, given);
    if (status == 0)
        wst_ctx_close(ctx, NULL);
    return status;
}

static void ignore_accept(wst_listener_t *listener, wst_stream_t *stream, void *user_data) {
    (void)listener, (void)user_data;
    wst_stream_close(stream, NULL);
}

static int make_listener(const void *given) {
    wst_listener_t *listener;
    int status = wst_listener_new(&listener, env.ctx, given);
    if (status == 0)
        wst_listener_close(listener, NULL);
    return status;
}

static void ignore_dial(int status, wst_stream_t *stream, void *user_data) {
    (void)status, (void)user_data;
    wst_stream_close(stream, NULL);
}

static int make_dial(const void *given) {
    wst_dial_t *dial;
    int status = wst_dial(&dial, env.ctx, given, ignore_dial, NULL);
    if (status == 0)
        wst_dial_cancel(dial);
    return status;
}

static void ignore_proxy_dial(int status, wst_stream_t *stream, const wst_proxy_failure_t *failure,
                              void *user_data) {
    (void)status, (void)failure, (void)user_data;
    wst_stream_close(stream, NULL);
}

static int make_proxy_dial(const void *given) {
    wst_proxy_dial_t *dial;
    int status = wst_proxy_dial(&dial, env.ctx, given, NULL, ignore_proxy_dial, NULL);
    if (status == 0)
        wst_proxy_dial_cancel(dial);
    return status;
}

static int make_proxy_dial_by(const void *given) {
    const wst_proxy_dial_options_t options = {
        .size = sizeof(options), .proxy = given, .host = "h", .port = 1};
    return make_proxy_dial(&options);
}

static int make_pump(const void *given) {
    fake_stream_t a, b;
    wst_pump_t *pump;
    assert_int_equal(fake_stream_open(&a, env.ctx), 0);
    assert_int_equal(fake_stream_open(&b, env.ctx), 0);
    int status = wst_pump_new(&pump, env.ctx, a.stream, b.stream, given);
    if (status == 0)
        wst_pump_close(pump, NULL);
    else
        wst_stream_close(a.stream, NULL), wst_stream_close(b.stream, NULL);
    test_env_turns(&env, 5);
    fake_stream_free(&a);
    fake_stream_free(&b);
    return status;
}

static int set_stream_callbacks(const void *given) {
    fake_stream_t fake;
    assert_int_equal(fake_stream_open(&fake, env.ctx), 0);
    int status = wst_stream_set_callbacks(fake.stream, given, NULL);
    wst_stream_close(fake.stream, NULL);
    test_env_turns(&env, 5);
    fake_stream_free(&fake);
    return status;
}

static void no_start(wst_stream_t *stream, size_t max, void *impl) {
    (void)stream, (void)max, (void)impl;
}

static void no_stop(wst_stream_t *stream, void *impl) {
    (void)stream, (void)impl;
}

static int no_write(wst_stream_t *stream, const wst_slice_t *slices, size_t count, void *impl) {
    (void)stream, (void)slices, (void)count, (void)impl;
    return WST_ESTATE;
}

static int no_shutdown(wst_stream_t *stream, void *impl) {
    (void)stream, (void)impl;
    return WST_ESTATE;
}

static void no_close(wst_stream_t *stream, int reset_reason, void *impl) {
    (void)stream, (void)reset_reason, (void)impl;
}

static int make_stream(const void *given) {
    wst_stream_t *stream;
    int status = wst_stream_new(&stream, env.ctx, given, NULL, NULL);
    if (status == 0) {
        wst_stream_close(stream, NULL);
        wst_stream_closed(stream);
    }
    return status;
}

static void ignore_request(wst_hijack_t *hijack, const wst_http_head_t *head, void *user_data) {
    (void)hijack, (void)head, (void)user_data;
}

static void ignore_done(wst_hijack_t *hijack, int status, void *user_data) {
    (void)hijack, (void)status, (void)user_data;
}

static int make_hijack(const void *given) {
    fake_stream_t fake;
    wst_hijack_t *hijack;
    assert_int_equal(fake_stream_open(&fake, env.ctx), 0);
    int status = wst_hijack_new(&hijack, env.ctx, fake.stream, given);
    if (status == 0)
        wst_hijack_close(hijack, NULL);
    else
        wst_stream_close(fake.stream, NULL);
    test_env_turns(&env, 5);
    fake_stream_free(&fake);
    return status;
}

static int make_hijack_within(const void *given) {
    const wst_hijack_options_t options = {.size = sizeof(options),
                                          .limits = given,
                                          .on_request = ignore_request,
                                          .on_done = ignore_done};
    return make_hijack(&options);
}

static int parse_within(const void *given) {
    wst_http_head_t head;
    size_t scanned = 0;
    static const char text[] = "GET / HTTP/1.1\r\n\r\n";
    int n = wst_http_parse_request(&head, text, sizeof(text) - 1, &scanned, given);
    return n > 0 ? 0 : n;
}

static void ignore_over(wst_websocket_t *ws, int error, const char *detail, void *user_data) {
    (void)ws, (void)error, (void)detail, (void)user_data;
}

static int make_websocket(const void *given) {
    fake_stream_t fake;
    wst_websocket_t *ws;
    assert_int_equal(fake_stream_open(&fake, env.ctx), 0);
    int status = wst_websocket_connect(&ws, env.ctx, fake.stream, given);
    if (status == 0)
        wst_websocket_close(ws, NULL);
    else
        wst_stream_close(fake.stream, NULL);
    test_env_turns(&env, 5);
    fake_stream_free(&fake);
    return status;
}

static int make_websocket_with(const void *given) {
    const wst_websocket_options_t options = {
        .size = sizeof(options), .callbacks = given, .host = "h"};
    return make_websocket(&options);
}

static int encode(const void *given) {
    uint8_t buf[WST_JSON_CONTROL_MAX];
    bool text;
    int n = wst_message_encode(given, WST_ENCODING_JSON, buf, sizeof(buf), &text);
    return n > 0 ? 0 : n;
}

static int encode_hello(const void *given) {
    const wst_message_t message = {
        .size = sizeof(message), .method = WST_MSG_HELLO, .hello = given};
    return encode(&message);
}

static int make_decoder(const void *given) {
    wst_decoder_t *decoder;
    int status = wst_decoder_new(&decoder, given);
    if (status == 0)
        wst_decoder_free(decoder);
    return status;
}

static int make_rules(const void *given) {
    wst_rules_t *rules;
    int status = wst_rules_new(&rules, given, NULL);
    if (status == 0)
        wst_rules_free(rules);
    return status;
}

static int make_rules_of(const void *given) {
    const wst_rules_options_t options = {.size = sizeof(options), .rules = given, .count = 1};
    return make_rules(&options);
}

static int decide(const void *given) {
    wst_rules_verdict_t verdict = wst_rules_decide(NULL, given);
    assert_true(verdict.allow == (verdict.reason != WST_RULES_QUERY));
    return verdict.allow ? 0 : WST_EINVAL;
}

static int make_server(const void *given) {
    wst_server_t *server;
    int status = wst_server_new(&server, env.ctx, given);
    if (status == 0)
        wst_server_close(server, NULL);
    return status;
}

static int make_server_with_callbacks(const void *given) {
    const wst_server_options_t options = {.size = sizeof(options), .callbacks = given};
    return make_server(&options);
}

static int make_server_within(const void *given) {
    const wst_server_options_t options = {.size = sizeof(options), .limits = given};
    return make_server(&options);
}

static int set_limits(const void *given) {
    const wst_server_options_t options = {.size = sizeof(options)};
    wst_server_t *server;
    assert_int_equal(wst_server_new(&server, env.ctx, &options), 0);
    int status = wst_server_set_limits(server, given);
    wst_server_close(server, NULL);
    return status;
}

static int make_port(const void *given) {
    const wst_server_options_t options = {.size = sizeof(options)};
    wst_server_t *server;
    wst_port_t *port;
    assert_int_equal(wst_server_new(&server, env.ctx, &options), 0);
    int status = wst_port_new(&port, server, given);
    if (status == 0)
        wst_port_close(port, NULL);
    wst_server_close(server, NULL);
    return status;
}

static int dial_by_server(const void *given) {
    const wst_server_options_t options = {.size = sizeof(options)};
    wst_server_t *server;
    wst_server_dial_t *dial;
    assert_int_equal(wst_server_new(&server, env.ctx, &options), 0);
    int status = wst_server_dial(&dial, server, given, ignore_dial, NULL);
    if (status == 0)
        wst_server_dial_cancel(dial);
    wst_server_close(server, NULL);
    return status;
}

static void ignore_established(wst_flow_t *flow, void *user_data) {
    (void)flow, (void)user_data;
}

static void ignore_refused(wst_flow_t *flow, const wst_refusal_info_t *info, void *user_data) {
    (void)flow, (void)info, (void)user_data;
}

static int make_flow(const void *given) {
    const wst_server_options_t options = {.size = sizeof(options)};
    const wst_flow_options_t flow_options = {.size = sizeof(flow_options), .destination = "a:1"};
    wst_server_t *server;
    wst_flow_t *flow;
    assert_int_equal(wst_server_new(&server, env.ctx, &options), 0);
    int status = wst_flow_new(&flow, wst_server_ingress(server), &flow_options, given, NULL);
    if (status == 0)
        wst_flow_cancel(flow);
    wst_server_close(server, NULL);
    return status;
}

static int make_agent(const void *given) {
    wst_agent_t *agent;
    int status = wst_agent_new(&agent, env.ctx, given);
    if (status == 0)
        wst_agent_close(agent, NULL);
    return status;
}

static int make_agent_with(const void *given) {
    const wst_agent_options_t options = {
        .size = sizeof(options), .url = "ws://127.0.0.1:9", .callbacks = given};
    return make_agent(&options);
}

static int make_agent_by(const void *given) {
    const wst_agent_options_t options = {
        .size = sizeof(options), .url = "ws://127.0.0.1:9", .proxy = given};
    return make_agent(&options);
}

static int make_access(const void *given) {
    wst_access_t *access;
    int status = wst_access_new(&access, env.ctx, given, NULL);
    if (status == 0)
        wst_access_free(access);
    return status;
}

static int make_access_of_user(const void *given) {
    const wst_access_options_t options = {.size = sizeof(options), .users = given, .user_count = 1};
    return make_access(&options);
}

static int make_access_of_agent(const void *given) {
    const wst_access_options_t options = {
        .size = sizeof(options), .agents = given, .agent_count = 1};
    return make_access(&options);
}

static int make_access_of_route(const void *given) {
    const wst_access_options_t options = {
        .size = sizeof(options), .routes = given, .route_count = 1};
    return make_access(&options);
}

static int make_tls_client(const void *given) {
    wst_tls_config_t *config;
    int status = wst_tls_client_config(&config, env.ctx, given, NULL);
    if (status == 0)
        wst_tls_config_unref(config);
    return status;
}

static const growing_t all[] = {
    {"ctx_options", GROWING(wst_ctx_options_t, .memory_budget = 1 << 20), make_ctx},
    {"listener_options",
     GROWING(wst_listener_options_t, .address = "127.0.0.1:0", .on_accept = ignore_accept),
     make_listener},
    {"dial_options", GROWING(wst_dial_options_t, .host = "127.0.0.1", .port = 9), make_dial},
    {"proxy_dial_options",
     GROWING(wst_proxy_dial_options_t,
             .proxy = GROWING(wst_proxy_options_t, .url = "http://127.0.0.1"), .host = "h",
             .port = 1),
     make_proxy_dial},
    {"proxy_options", GROWING(wst_proxy_options_t, .url = "http://127.0.0.1"), make_proxy_dial_by},
    {"pump_options", GROWING(wst_pump_options_t, .idle_timeout_ms = 5), make_pump},
    {"stream_callbacks", GROWING(wst_stream_callbacks_t, .on_read = NULL), set_stream_callbacks},
    {"stream_ops",
     GROWING(wst_stream_ops_t, .read_start = no_start, .read_stop = no_stop, .write = no_write,
             .shutdown = no_shutdown, .close = no_close),
     make_stream},
    {"flow_callbacks",
     GROWING(wst_flow_callbacks_t, .on_established = ignore_established,
             .on_refused = ignore_refused),
     make_flow},
    {"hijack_options",
     GROWING(wst_hijack_options_t, .on_request = ignore_request, .on_done = ignore_done),
     make_hijack},
    {"http_limits of a hijack", GROWING(wst_http_limits_t, .head_max = 100), make_hijack_within},
    {"http_limits", GROWING(wst_http_limits_t, .head_max = 100), parse_within},
    {"websocket_options",
     GROWING(wst_websocket_options_t,
             .callbacks = GROWING(wst_websocket_callbacks_t, .on_over = ignore_over), .host = "h"),
     make_websocket},
    {"websocket_callbacks", GROWING(wst_websocket_callbacks_t, .on_over = ignore_over),
     make_websocket_with},
    {"message", GROWING(wst_message_t, .method = WST_MSG_PING, .seq = 1), encode},
    {"hello", GROWING(wst_hello_t, .version = 1, .max_frame = 1024, .initial_credit = 1),
     encode_hello},
    {"decoder_options", GROWING(wst_decoder_options_t, .max_frame = 1024), make_decoder},
    {"rules_options", GROWING(wst_rules_options_t, .deny_by_default = true), make_rules},
    {"rule", GROWING(wst_rule_t, .allow = true), make_rules_of},
    {"rules_query", GROWING(wst_rules_query_t, .host = "a.example", .port = 1), decide},
    {"server_options", GROWING(wst_server_options_t, .path = "/x"), make_server},
    {"server_callbacks", GROWING(wst_server_callbacks_t, .on_choose = NULL),
     make_server_with_callbacks},
    {"server_limits of a new server", GROWING(wst_server_limits_t, .max_pending = 1),
     make_server_within},
    {"server_limits", GROWING(wst_server_limits_t, .max_pending = 1), set_limits},
    {"port_options",
     GROWING(wst_port_options_t, .listen = "127.0.0.1:0", .destination = "a.example:1"), make_port},
    {"flow_options", GROWING(wst_flow_options_t, .destination = "a.example:1"), dial_by_server},
    {"agent_options", GROWING(wst_agent_options_t, .url = "ws://127.0.0.1:9"), make_agent},
    {"agent_callbacks", GROWING(wst_agent_callbacks_t, .on_up = NULL), make_agent_with},
    {"proxy_options of an agent", GROWING(wst_proxy_options_t, .url = "http://127.0.0.1:9"),
     make_agent_by},
    {"access_options", GROWING(wst_access_options_t, .realm = "r"), make_access},
    {"access_user", GROWING(wst_access_user_t, .name = "u", .password = "p"), make_access_of_user},
    {"access_agent", GROWING(wst_access_agent_t, .name = "a", .certificate = "CN:a"),
     make_access_of_agent},
    {"access_route", GROWING(wst_access_route_t, .agents = (const char *const[]){"a", NULL}),
     make_access_of_route},
    {"tls_client_options", GROWING(wst_tls_client_options_t, .insecure = true), make_tls_client},
};

/* -- Reading ----------------------------------------------------------------------------------- */

/* `size` bytes at the end of their memory, the first of which are `today`; the rest is `fill`. */
static int hand_over(const growing_t *g, size_t said, size_t size, uint8_t fill) {
    size_t today;
    memcpy(&today, g->today, sizeof(today));
    uint8_t *bytes = malloc(size);
    assert_non_null(bytes);
    memset(bytes, fill, size);
    memcpy(bytes, g->today, today < size ? today : size);
    memcpy(bytes, &said, sizeof(said));
    uint8_t *given = test_guarded(bytes, size);
    free(bytes);
    int status = g->hand_over(given);
    test_guarded_free(given, size);
    return status;
}

static void test_read(void **state) {
    (void)state;
    test_env_open(&env);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        size_t today;
        memcpy(&today, all[i].today, sizeof(today));
        if (hand_over(&all[i], today, today, 0) != 0)
            fail_msg("%s: as it is", all[i].name);
        if (hand_over(&all[i], 0, today, 0) != WST_EINVAL)
            fail_msg("%s: without its size", all[i].name);
        if (hand_over(&all[i], today + MORE, today + MORE, 0) != 0)
            fail_msg("%s: a longer one, whose new members are zero", all[i].name);
        if (hand_over(&all[i], today + MORE, today + MORE, 1) != WST_EINVAL)
            fail_msg("%s: a longer one, whose new members are set", all[i].name);
    }
    test_env_close(&env);
}

/* A struct of the first release stays good when it ends before the last members of today. */
static void test_shorter(void **state) {
    (void)state;
    test_env_open(&env);
    const growing_t ctx = {"ctx", GROWING(wst_ctx_options_t, .memory_budget = 1 << 20), make_ctx};
    size_t size = offsetof(wst_ctx_options_t, resolve);
    assert_int_equal(hand_over(&ctx, size, size, 0), 0);
    const growing_t limits = {"limits", GROWING(wst_server_limits_t, .max_pending = 1), set_limits};
    size = offsetof(wst_server_limits_t, hello_timeout_ms);
    assert_int_equal(hand_over(&limits, size, size, 0), 0);
    test_env_close(&env);
}

/* -- Writing ----------------------------------------------------------------------------------- */

static void test_written(void **state) {
    (void)state;
    test_env_open(&env);
    wst_ctx_stats_t stats = {.size = sizeof(stats)};
    struct {
        wst_ctx_stats_t stats;
        uint8_t more[MORE];
    } later = {.stats.size = sizeof(later)};
    memset(later.more, 0x55, sizeof(later.more));
    assert_int_equal(wst_ctx_get_stats(env.ctx, &stats), 0);
    assert_true(stats.size == sizeof(stats) && stats.budget_limit > 0);
    assert_int_equal(wst_ctx_get_stats(env.ctx, &later.stats), 0);
    assert_true(later.stats.size == sizeof(later));
    assert_int_equal(later.stats.budget_limit, stats.budget_limit);
    for (size_t i = 0; i < MORE; i++)
        assert_int_equal(later.more[i], 0);
    wst_ctx_stats_t older = {.size = offsetof(wst_ctx_stats_t, chunks), .chunks = 99};
    assert_int_equal(wst_ctx_get_stats(env.ctx, &older), 0);
    assert_true(older.budget_limit == stats.budget_limit && older.chunks == 99);
    wst_ctx_stats_t unset = {.chunks = 99};
    assert_int_equal(wst_ctx_get_stats(env.ctx, &unset), WST_EINVAL);
    assert_int_equal(unset.chunks, 99);
    wst_server_t *server;
    wst_server_stats_t none = {.agents = 99}, figures = {.size = sizeof(figures), .agents = 99};
    const wst_server_options_t options = {.size = sizeof(options)};
    assert_int_equal(wst_server_new(&server, env.ctx, &options), 0);
    assert_int_equal(wst_server_get_stats(server, &none), WST_EINVAL);
    assert_int_equal(none.agents, 99);
    assert_int_equal(wst_server_get_stats(server, &figures), 0);
    assert_int_equal(figures.agents, 0);
    wst_server_close(server, NULL);
    test_env_close(&env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_shorter),
        cmocka_unit_test(test_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
