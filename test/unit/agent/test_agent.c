/* SPDX-License-Identifier: MIT */
/* How an agent comes up, and how it comes back: hello, credentials, backoff. */
#include "agent_peers.h"

#include <stdio.h>

typedef struct rig {
    agent_world_t w; /* the first member: its hook gets the rig */
    agent_raw_t raw;
} rig_t;

static void rig_open(rig_t *r, agent_raw_manner_t manner) {
    memset(r, 0, sizeof(*r));
    agent_world_open(&r->w);
    r->raw.manner = manner;
    agent_raw_open(&r->w, &r->raw);
}

static void rig_free(rig_t *r) {
    if (r->w.agent != NULL && !r->w.close_called)
        agent_world_close_agent(&r->w);
    agent_raw_free(&r->raw);
    agent_world_free(&r->w);
}

/* --- making one --- */

static void refuse_options(agent_world_t *w, const wst_agent_options_t *options) {
    w->options = *options;
    assert_int_equal(agent_world_try_start(w), WST_EINVAL);
    assert_null(w->agent);
}

static void test_options(void **state) {
    (void)state;
    agent_world_t w;
    agent_world_open(&w);
    snprintf(w.address, sizeof(w.address), "127.0.0.1:1");
    static const char *const names[] = {
        "", "a b", "caf\xc3\xa9", "a/b",
        "12345678901234567890123456789012345678901234567890123456789012345"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        refuse_options(
            &w, &(wst_agent_options_t){.size = sizeof(wst_agent_options_t), .name = names[i]});
    refuse_options(
        &w, &(wst_agent_options_t){.size = sizeof(wst_agent_options_t), .stream_window = 1023});
    refuse_options(&w, &(wst_agent_options_t){.size = sizeof(wst_agent_options_t),
                                              .stream_window = ((size_t)1 << 30) + 1});
    assert_int_equal(w.lines, 0);
    refuse_options(
        &w, &(wst_agent_options_t){.size = sizeof(wst_agent_options_t), .url = "https://host/"});
    assert_int_equal(w.lines, 1); /* says why */

    wst_agent_t *agent;
    const wst_agent_options_t no_url = {.size = sizeof(no_url)};
    assert_int_equal(wst_agent_new(&agent, w.env.ctx, &no_url), WST_EINVAL);
    agent_world_free(&w);
}

static void test_default_name(void **state) {
    (void)state;
    agent_world_t w;
    char host[256];
    size_t size = sizeof(host);
    agent_world_open(&w);
    snprintf(w.address, sizeof(w.address), "127.0.0.1:1");
    w.options.name = NULL;
    agent_world_start(&w);
    const char *name = wst_agent_name(w.agent);
    assert_int_equal(uv_os_gethostname(host, &size), 0);
    assert_true(strlen(name) >= 1 && strlen(name) <= 64);
    for (size_t i = 0; name[i] != '\0'; i++)
        assert_true(name[i] == host[i] || name[i] == '-');
    assert_true(strlen(name) == strlen(host) || strlen(name) == 64);
    agent_world_free(&w);
}

static void test_up(void **state) {
    (void)state;
    static const wst_encoding_t encodings[] = {WST_ENCODING_BINARY, WST_ENCODING_JSON};
    for (size_t i = 0; i < 2; i++) {
        agent_world_t w;
        agent_world_open(&w);
        w.options.encoding = encodings[i];
        agent_world_serve(&w);
        agent_world_start(&w);
        assert_false(wst_agent_is_up(w.agent));
        agent_world_until(&w, AGENT_UP, 1);
        test_env_until_count(&w.env, &w.server_ups, 1);
        assert_true(wst_agent_is_up(w.agent));
        assert_string_equal(wst_agent_name(w.agent), "probe");
        assert_int_equal(wst_agent_streams(w.agent), 0);
        agent_world_close_agent(&w);
        assert_false(wst_agent_is_up(w.agent));
        agent_world_close_agent(&w); /* again: nothing */
        test_env_until_count(&w.env, &w.server_downs, 1);
        assert_int_equal(w.seen[AGENT_UP], 1);
        assert_int_equal(w.seen[AGENT_DOWN], 0);
        agent_world_free(&w);
    }
}

/* --- what it says --- */

static void test_request(void **state) {
    (void)state;
    rig_t r;
    char expected[128];
    rig_open(&r, AGENT_RAW_SILENT);
    r.w.path = "/a/b?token=" AGENT_SECRET;
    r.w.credentials = AGENT_ALLOW;
    agent_world_start(&r.w);
    test_env_until_count(&r.w.env, &r.raw.heads, 1);
    snprintf(expected, sizeof(expected), "GET /a/b?token=" AGENT_SECRET " HTTP/1.1\r\nHost: %s\r\n",
             r.w.address);
    assert_memory_equal(r.raw.head, expected, strlen(expected));
    assert_non_null(strstr(r.raw.head, "\r\nAuthorization: Bearer " AGENT_SECRET "\r\n"));
    assert_non_null(strstr(r.raw.head, "\r\nSec-WebSocket-Protocol: wstunnel.v1.bin\r\n"));
    assert_non_null(strstr(r.raw.head, "\r\nSec-WebSocket-Protocol: wstunnel.v1.json\r\n"));
    assert_string_equal(r.w.question_peer, r.w.address);
    rig_free(&r);

    rig_open(&r, AGENT_RAW_SILENT); /* without credentials, JSON alone, the default path */
    r.w.options.encoding = WST_ENCODING_JSON;
    agent_world_start(&r.w);
    test_env_until_count(&r.w.env, &r.raw.heads, 1);
    assert_memory_equal(r.raw.head, "GET /websocket HTTP/1.1\r\n", 25);
    assert_null(strstr(r.raw.head, "Authorization"));
    assert_null(strstr(r.raw.head, "wstunnel.v1.bin"));
    assert_non_null(strstr(r.raw.head, "wstunnel.v1.json"));
    rig_free(&r);
}

/* The numbers are those of its options; the epoch is that of the attempt, all else stays. */
static void check_hello(agent_world_t *w, agent_event_t event) {
    rig_t *r = (rig_t *)w;
    static char first[512];
    char *epoch = strstr(r->raw.hello, ",\"epoch\":");
    if (event != AGENT_DOWN)
        return;
    assert_non_null(epoch);
    assert_int_equal(strtoul(epoch + 9, NULL, 10), w->seen[AGENT_DOWN]);
    *epoch = '\0';
    if (w->seen[AGENT_DOWN] == 1)
        snprintf(first, sizeof(first), "%s", r->raw.hello);
    assert_string_equal(r->raw.hello, first);
}

static void test_hello(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, AGENT_RAW_UPGRADE);
    r.w.options.max_streams = 77;
    r.w.options.stream_window = 4096;
    r.raw.sequel = AGENT_RAW_THEN_RESET;
    r.w.act = check_hello;
    agent_world_start(&r.w);
    agent_world_until(&r.w, AGENT_DOWN, 5);
    assert_non_null(strstr(r.raw.hello, "\"initial_credit\":4096,\"max_streams\":77,"
                                        "\"name\":\"probe\",\"instance\":\""));
    assert_non_null(strstr(r.raw.hello, ",\"conn\":0"));
    assert_int_equal(r.w.seen[AGENT_UP], 0);
    r.w.act = NULL;
    rig_free(&r);
}

/* Two agents of one name are two instances. */
static void test_instances(void **state) {
    (void)state;
    agent_world_t w;
    wst_agent_t *first;
    char instance[33];
    agent_world_open(&w);
    agent_world_serve(&w);
    agent_world_start_up(&w);
    first = w.agent;
    snprintf(instance, sizeof(instance), "%s",
             wst_remote_instance(wst_server_next_agent(w.server, NULL)));
    agent_world_start_up(&w);
    const wst_remote_t *a = wst_server_next_agent(w.server, NULL);
    const wst_remote_t *b = wst_server_next_agent(w.server, a);
    assert_non_null(b);
    assert_string_not_equal(wst_remote_instance(a), wst_remote_instance(b));
    assert_true(strcmp(wst_remote_instance(a), instance) == 0 ||
                strcmp(wst_remote_instance(b), instance) == 0);
    assert_int_equal(w.server_downs, 0);
    wst_agent_close(first, NULL);
    test_env_until_count(&w.env, &w.server_downs, 1);
    agent_world_free(&w);
}

/* A server that has JSON alone. */
static void test_json_only_server(void **state) {
    (void)state;
    static const char *const json[] = {"wstunnel.v1.json", NULL};
    rig_t r;
    rig_open(&r, AGENT_RAW_UPGRADE);
    r.raw.protocols = json;
    r.raw.says[0] = agent_raw_hello;
    agent_world_start(&r.w);
    agent_world_until(&r.w, AGENT_UP, 1);
    agent_raw_say(&r.raw, "{\"method\":1,\"id\":2,\"dest\":\"x\"}");
    agent_raw_expect(&r.raw, "\"code\":-32602");
    assert_int_equal(r.raw.binaries, 0);
    rig_free(&r);
}

/* --- credentials --- */

/* Anew at each attempt. */
static void test_credentials_anew(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, AGENT_RAW_SILENT);
    r.w.credentials = AGENT_ALLOW;
    r.w.options.connect_timeout_ms = 20;
    agent_world_start(&r.w);
    assert_int_equal(r.w.seen[AGENT_CREDENTIALS], 0);
    test_env_until_count(&r.w.env, &r.raw.heads, 1);
    r.w.fields = "Authorization: other\r\n";
    agent_world_until(&r.w, AGENT_CREDENTIALS, 3);
    test_env_until_count(&r.w.env, &r.raw.heads, 3);
    assert_non_null(strstr(r.raw.head, "\r\nAuthorization: other\r\n"));
    r.w.fields = NULL; /* none after all, and not the old ones */
    agent_world_until(&r.w, AGENT_CREDENTIALS, 5);
    test_env_until_count(&r.w.env, &r.raw.heads, 5);
    assert_null(strstr(r.raw.head, "Authorization"));
    rig_free(&r);
}

static void test_credentials_later(void **state) {
    (void)state;
    agent_world_t w;
    agent_world_open(&w);
    w.credentials = AGENT_HOLD;
    agent_world_serve(&w);
    agent_world_start(&w);
    agent_world_until(&w, AGENT_CREDENTIALS, 1);
    test_env_turns(&w.env, 5);
    assert_int_equal(w.server_ups, 0);
    wst_request_t *request = w.held;
    w.held = NULL;
    wst_request_allow_with(request, w.fields);
    agent_world_until(&w, AGENT_UP, 1);
    assert_int_equal(w.seen[AGENT_GONE], 0);
    agent_world_free(&w);
}

/* What is left of them in memory is the head that was sent, once. */
static void test_credentials_wiped(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, AGENT_RAW_SILENT);
    r.w.credentials = AGENT_ALLOW;
    r.w.options.fields = "X-Key: fixed-" AGENT_SECRET "\r\n";
    r.w.fields = "Authorization: Bearer current-" AGENT_SECRET "\r\n";
    test_alloc_watch(AGENT_SECRET);
    agent_world_start(&r.w);
    test_env_until_count(&r.w.env, &r.raw.heads, 1);
    rig_free(&r);
    assert_int_equal(test_alloc_spilled(), 1);
    test_alloc_watch(NULL);
}

static void test_credentials_denied(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, AGENT_RAW_SILENT);
    r.w.credentials = AGENT_DENY;
    r.w.reason = "no token file";
    agent_world_start(&r.w);
    agent_world_until(&r.w, AGENT_DOWN, 1);
    assert_int_equal(r.w.failure.error, WST_ECANCELLED);
    assert_false(r.w.failure.refused);
    assert_int_equal(r.w.failure.http_status, 0);
    assert_string_equal(r.w.detail, "no token file");
    r.w.reason = NULL;
    agent_world_until(&r.w, AGENT_DOWN,
                      r.w.seen[AGENT_DOWN] + 2); /* the next one may have been asked already */
    assert_string_equal(r.w.detail, "no credentials");
    assert_int_equal(r.raw.accepted, 0);
    r.w.credentials = AGENT_ALLOW;
    test_env_until_count(&r.w.env, &r.raw.heads, 1);
    rig_free(&r);
}

static void test_credentials_never(void **state) {
    (void)state;
    agent_world_t w;
    agent_world_open(&w);
    w.credentials = AGENT_HOLD;
    w.options.connect_timeout_ms = 20;
    agent_world_serve(&w);
    agent_world_start(&w);
    agent_world_until(&w, AGENT_DOWN, 2);
    assert_int_equal(w.failure.error, WST_ETIMEOUT);
    assert_string_equal(w.detail, "no credentials in time");
    assert_true(w.seen[AGENT_GONE] >= 2);
    w.credentials = AGENT_ALLOW; /* a later attempt succeeds */
    agent_world_until(&w, AGENT_UP, 1);
    agent_world_free(&w);
}

/* A stream is no credentials: it is closed, and the attempt fails. */
static void test_credentials_misfit(void **state) {
    (void)state;
    rig_t r;
    int fds[2];
    rig_open(&r, AGENT_RAW_SILENT);
    sockets_pair(fds, false);
    r.w.connection = sockets_stream(&r.w.env, fds[0], false);
    r.w.credentials = AGENT_MISFIT;
    agent_world_start(&r.w);
    agent_world_until(&r.w, AGENT_DOWN, 1);
    assert_int_equal(r.w.failure.error, WST_ECANCELLED);
    agent_world_close_agent(&r.w);
    sockets_reset(fds[1]);
    rig_free(&r);
}

static void test_credentials_malformed(void **state) {
    (void)state;
    static const char *const fields[] = {"Authorization: x", "A: b\r\nbad\r\n", "a b: c\r\n",
                                         "\r\n"};
    rig_t r;
    rig_open(&r, AGENT_RAW_SILENT);
    r.w.credentials = AGENT_ALLOW;
    r.w.fields = fields[0];
    agent_world_start(&r.w);
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        r.w.fields = fields[i];
        agent_world_until(&r.w, AGENT_DOWN,
                          r.w.seen[AGENT_DOWN] + 2); /* the last one had these fields */
        assert_int_equal(r.w.failure.error, WST_EINVAL);
        assert_string_equal(r.w.detail, "the fields given are not complete lines");
    }
    char *many = malloc(20000);
    memset(many, 'a', 20000);
    memcpy(many, "A: ", 3);
    memcpy(many + 19997, "\r\n", 3);
    r.w.fields = many;
    agent_world_until(&r.w, AGENT_DOWN, r.w.seen[AGENT_DOWN] + 2);
    assert_int_equal(r.w.failure.error, WST_EHEADBIG);
    assert_int_equal(r.raw.heads, 0);
    rig_free(&r);
    free(many);
}

static void test_fields_too_long(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, AGENT_RAW_SILENT);
    char *many = malloc(20000);
    memset(many, 'a', 20000);
    memcpy(many, "A: ", 3);
    memcpy(many + 19997, "\r\n", 3);
    r.w.options.fields = many;
    assert_int_equal(agent_world_try_start(&r.w), WST_EINVAL);
    assert_string_equal(r.w.env.log, "the header fields given are longer than 16 KiB");
    rig_free(&r);
    free(many);
}

/* --- backoff --- */

/* Nobody listens there any more. */
static void find_dead_address(agent_world_t *w) {
    agent_raw_t raw = {0};
    agent_raw_open(w, &raw);
    agent_raw_free(&raw);
}

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static void test_backoff(void **state) {
    (void)state;
    enum { MIN_MS = 1000, MAX_MS = 100000, ROUNDS = 60 };
    agent_world_t w;
    size_t large = 0, small = 0;
    agent_world_open(&w);
    find_dead_address(&w);
    w.credentials = AGENT_ALLOW;
    w.options.backoff_min_ms = MIN_MS;
    w.options.backoff_max_ms = MAX_MS;
    agent_world_start(&w);
    for (size_t n = 1; n <= ROUNDS; n++) {
        agent_world_until(&w, AGENT_DOWN, n);
        n = w.seen[AGENT_DOWN]; /* a short wait may be over already */
        assert_int_equal(w.failure.error, UV_ECONNREFUSED);
        assert_int_equal(w.failure.http_status, 0);
        uint64_t bound = least(MAX_MS, MIN_MS * ((uint64_t)1 << least(n, 30)));
        uint64_t retry = w.failure.retry_in_ms;
        assert_true(retry <= bound);
        large += retry > bound / 2;
        small += retry <= bound / 2;
        agent_world_pass(&w, retry / 2); /* not earlier than it said */
        assert_true(w.seen[AGENT_CREDENTIALS] == n || retry < 100);
        agent_world_pass(&w, retry);
        test_env_turns(&w.env, 2); /* a retry of 0 is put off by a millisecond */
    }
    /* Any time up to the bound: not all early, not all late. */
    assert_true(large > 5);
    assert_true(small > 5);
    agent_world_free(&w);
}

/* Bounds at the end of what can be counted neither divide by zero nor spin. */
static void test_backoff_extremes(void **state) {
    (void)state;
    static const uint64_t mins[] = {1, UINT64_MAX / 2, UINT64_MAX, 1000, 1};
    static const uint64_t maxes[] = {UINT64_MAX, UINT64_MAX, UINT64_MAX, 1, 1};
    for (size_t i = 0; i < sizeof(mins) / sizeof(mins[0]); i++) {
        agent_world_t w;
        agent_world_open(&w);
        find_dead_address(&w);
        w.options.backoff_min_ms = mins[i];
        w.options.backoff_max_ms = maxes[i];
        agent_world_start(&w);
        for (size_t n = 1; n <= 70; n++) {
            agent_world_until(&w, AGENT_DOWN, n);
            assert_true(w.failure.retry_in_ms <= maxes[i]);
            if (i == 2)
                assert_true(w.failure.retry_in_ms > 1000000);
            wst__deadlines_run(&w.env.ctx->deadlines, WST__NEVER - 1);
        }
        agent_world_free(&w);
    }
}

/* A session that held for as long as the longest wait starts the count anew, a short one does not.
 */
static void test_backoff_reset(void **state) {
    (void)state;
    enum { ROUNDS = 12 };
    rig_t r;
    bool grew = false;
    rig_open(&r, AGENT_RAW_UPGRADE);
    r.raw.says[0] = agent_raw_hello;
    r.w.options.backoff_min_ms = 1;
    r.w.options.backoff_max_ms = 64;
    agent_world_start(&r.w);
    for (size_t n = 1; n <= 2 * ROUNDS; n++) {
        agent_world_until(&r.w, AGENT_UP, n);
        test_env_until_count(&r.w.env, &r.raw.hellos, n);
        uint64_t since = uv_now(&r.w.env.loop);
        while (n > ROUNDS && uv_now(&r.w.env.loop) - since < 64 + 5)
            uv_run(&r.w.env.loop, UV_RUN_NOWAIT);
        wst_websocket_end(r.raw.ws, 1000, NULL);
        agent_world_until(&r.w, AGENT_DOWN, n);
        assert_int_equal(r.w.failure.error, WST_EWSCLOSED);
        if (n > ROUNDS)
            assert_true(r.w.failure.retry_in_ms <= 2);
        else
            grew |= r.w.failure.retry_in_ms > 2;
    }
    assert_true(grew);
    rig_free(&r);
}

/* --- coming back --- */

static int first_error; /* since it was up */

static void note_first_error(agent_world_t *w, agent_event_t event) {
    if (event == AGENT_UP)
        first_error = 0;
    else if (event == AGENT_DOWN && first_error == 0)
        first_error = w->failure.error;
}

static void test_restarted_server(void **state) {
    (void)state;
    agent_world_t w;
    agent_world_open(&w);
    w.act = note_first_error;
    agent_world_serve(&w);
    agent_world_start_up(&w);
    for (size_t n = 1; n <= 3; n++) {
        size_t downs = w.seen[AGENT_DOWN];
        agent_world_stop_serving(&w);
        agent_world_until(&w, AGENT_DOWN, downs + 1);
        assert_int_equal(first_error, WST_EWSCLOSED);
        agent_world_serve(&w);
        agent_world_until(&w, AGENT_UP, n + 1);
        test_env_until_count(&w.env, &w.server_ups, n + 1);
    }
    agent_world_free(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_default_name),
        cmocka_unit_test(test_up),
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_hello),
        cmocka_unit_test(test_instances),
        cmocka_unit_test(test_json_only_server),
        cmocka_unit_test(test_credentials_anew),
        cmocka_unit_test(test_credentials_later),
        cmocka_unit_test(test_credentials_wiped),
        cmocka_unit_test(test_credentials_denied),
        cmocka_unit_test(test_credentials_never),
        cmocka_unit_test(test_credentials_misfit),
        cmocka_unit_test(test_credentials_malformed),
        cmocka_unit_test(test_fields_too_long),
        cmocka_unit_test(test_backoff),
        cmocka_unit_test(test_backoff_extremes),
        cmocka_unit_test(test_backoff_reset),
        cmocka_unit_test(test_restarted_server),
    };
    return cmocka_run_group_tests_name("agent", tests, NULL, NULL);
}
