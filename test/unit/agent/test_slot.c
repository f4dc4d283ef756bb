/* SPDX-License-Identifier: MIT */
/*
 * A slot with uplinks of a fake kind, which do what the test says: one that carries many streams,
 * or some that are used up by one each. What it tries when, what it tells, draining and closing.
 */
#include "slot.h"
#include "env.h"
#include "request.h"

#include <stdio.h>
#include <wstunnel/listener.h>

enum { UPLINKS = 16 };

typedef struct rig rig_t;

typedef struct fake_uplink {
    wst__uplink_t base;
    rig_t *rig;
    wst_stream_t *stream;
    wst_hello_t hello; /* that it was made with */
    char fields[64];
    size_t load;
    size_t goaways, ends;
    bool closing, closed;
} fake_uplink_t;

typedef enum event { NOTHING, CREDENTIALS, UP, DOWN, EVENTS } event_t;

struct rig {
    test_env_t env;
    wst_listener_t *listener;
    wst__node_t node;
    wst__egress_t egress;
    wst__endpoint_t endpoint;
    wst__upgrade_t upgrade;
    wst__slot_options_t options;
    wst__slot_t slot;

    fake_uplink_t *uplinks[UPLINKS]; /* all that have been made */
    size_t made, gone;
    bool renews;
    int connect_status;
    const char *credentials; /* NULL: denied */

    event_t close_in, drain_in;
    size_t seen[EVENTS], drained, closed;
    wst_agent_failure_t failure; /* the last one; its text: */
    char detail[128];
};

/* -- The fake kind ---------------------------------------------------------------------------- */

static int fake_can_open(const wst__uplink_t *uplink) {
    (void)uplink;
    return WST_EGOAWAY;
}

static int fake_open(wst__uplink_t *uplink, wst__opening_t **out, const char *dest,
                     wst__opened_cb callback, void *user_data) {
    (void)uplink, (void)out, (void)dest, (void)callback, (void)user_data;
    return WST_EGOAWAY;
}

static size_t fake_load(const wst__uplink_t *uplink) {
    return ((const fake_uplink_t *)(const void *)uplink)->load;
}

static uint64_t fake_rtt_ms(const wst__uplink_t *uplink) {
    (void)uplink;
    return 0;
}

static bool fake_is_suspect(const wst__uplink_t *uplink) {
    (void)uplink;
    return false;
}

static void fake_goaway(wst__uplink_t *uplink) {
    ((fake_uplink_t *)(void *)uplink)->goaways++;
}

static void fake_end(wst__uplink_t *uplink, int code, const char *reason, bool lose) {
    assert_int_equal(code, 1001);
    assert_string_equal(reason, "drained");
    assert_false(lose);
    ((fake_uplink_t *)(void *)uplink)->ends++;
}

static void on_stream_closed(void *user_data) {
    fake_uplink_t *f = user_data;
    f->closed = true;
    f->rig->gone++;
    f->base.callbacks->on_closed(f->base.user_data);
}

static void fake_close(wst__uplink_t *uplink) {
    fake_uplink_t *f = (fake_uplink_t *)(void *)uplink;
    assert_false(f->closing); /* once */
    f->closing = true;
    wst_stream_close(f->stream, on_stream_closed);
}

static const wst__uplink_ops_t ops = {fake_can_open,   fake_open,   fake_load, fake_rtt_ms,
                                      fake_is_suspect, fake_goaway, fake_end,  fake_close};

/* There is one rig at a time. */
static rig_t *rig_of_kind;

static int fake_connect(wst__uplink_t **out, wst_ctx_t *ctx, wst_stream_t *stream,
                        const wst_websocket_options_t *websocket,
                        const wst__uplink_options_t *options) {
    (void)ctx;
    rig_t *r = rig_of_kind;
    assert_string_equal(websocket->path, "/way");
    assert_non_null(strstr(r->endpoint.authority, websocket->host));
    if (r->connect_status != 0)
        return r->connect_status;
    assert_true(r->made < UPLINKS);
    fake_uplink_t *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->base = (wst__uplink_t){.ops = &ops,
                              .callbacks = options->callbacks,
                              .user_data = options->user_data,
                              .renews = r->renews,
                              .peer = "server"};
    f->rig = r;
    f->stream = stream;
    f->hello = options->hello;
    snprintf(f->fields, sizeof(f->fields), "%s", websocket->fields);
    wst_stream_set_callbacks(stream, NULL, f);
    r->uplinks[r->made++] = f;
    *out = &f->base;
    return 0;
}

static const wst__uplink_kind_t kind = {.connect = fake_connect};

static void uplink_up(rig_t *r, size_t i) {
    fake_uplink_t *f = r->uplinks[i];
    const wst_hello_t hello = {.size = sizeof(hello)};
    assert_int_equal(f->base.callbacks->on_up(&f->base, &hello, f->base.user_data), 0);
}

static void uplink_down(rig_t *r, size_t i, int error, int http_status, const char *detail) {
    fake_uplink_t *f = r->uplinks[i];
    f->base.callbacks->on_down(&f->base, error, http_status, detail, f->base.user_data);
    assert_true(f->closing);
}

static void uplink_goaway(rig_t *r, size_t i, int reason) {
    fake_uplink_t *f = r->uplinks[i];
    f->base.callbacks->on_goaway(&f->base, reason, f->base.user_data);
}

static void uplink_load(rig_t *r, size_t i, size_t load) {
    fake_uplink_t *f = r->uplinks[i];
    f->load = load;
    f->base.callbacks->on_change(&f->base, f->base.user_data);
}

/* The only stream that it can carry. */
static void uplink_spent(rig_t *r, size_t i) {
    uplink_load(r, i, 1);
    uplink_goaway(r, i, 0);
}

/* -- The slot's owner ------------------------------------------------------------------------- */

static void leave(rig_t *r, event_t event) {
    if (r->drain_in == event)
        wst__node_drain(&r->node, 60000);
    if (r->close_in == event)
        wst__node_close(&r->node);
}

static void on_credentials(wst_request_t *request, void *user_data) {
    rig_t *r = user_data;
    assert_string_equal(wst_request_peer(request), r->endpoint.authority);
    r->seen[CREDENTIALS]++;
    if (r->credentials != NULL)
        wst_request_allow_with(request, r->credentials);
    else
        wst_request_deny(request, 403, NULL, NULL);
    leave(r, CREDENTIALS);
}

static void on_up(void *user_data) {
    rig_t *r = user_data;
    assert_true(r->slot.is_up);
    r->seen[UP]++;
    leave(r, UP);
}

static void on_down(const wst_agent_failure_t *failure, void *user_data) {
    rig_t *r = user_data;
    assert_false(r->slot.is_up);
    r->seen[DOWN]++;
    r->failure = *failure;
    snprintf(r->detail, sizeof(r->detail), "%s", failure->detail);
    leave(r, DOWN);
}

static void on_drained(wst__node_t *node) {
    WST__CONTAINER(node, rig_t, node)->drained++;
}

static void on_closed(wst__node_t *node) {
    WST__CONTAINER(node, rig_t, node)->closed++;
}

static void on_visitor_end(wst_stream_t *stream, void *user_data) {
    (void)user_data;
    wst_stream_close(stream, NULL);
}

static void on_visitor_error(wst_stream_t *stream, int error, void *user_data) {
    (void)error;
    on_visitor_end(stream, user_data);
}

/* Stays as long as the slot wants. */
static void on_accept(wst_listener_t *listener, wst_stream_t *stream, void *user_data) {
    static const wst_stream_callbacks_t visitor = {
        .size = sizeof(visitor), .on_end = on_visitor_end, .on_error = on_visitor_error};
    (void)listener;
    (void)user_data;
    wst_stream_set_callbacks(stream, &visitor, NULL);
    wst_stream_read_start(stream, 0);
}

/* False: there was no memory for it. */
static bool make_target(rig_t *r) {
    const wst_listener_options_t listener = {
        .size = sizeof(listener), .address = "127.0.0.1:0", .on_accept = on_accept};
    if (wst_listener_new(&r->listener, r->env.ctx, &listener) != 0)
        return false;
    char text[64];
    wst__url_t url;
    const char *why;
    snprintf(text, sizeof(text), "ws://%s/way", wst_listener_address(r->listener));
    assert_int_equal(wst__url_parse(&url, text, &why), 0);
    const wst__endpoint_options_t options = {.url = &url};
    return wst__endpoint_init(&r->endpoint, r->env.ctx, &options) == 0 &&
           wst__upgrade_init(&r->upgrade, r->env.ctx, &url, NULL, "X-Fixed: 1\r\n") == 0;
}

static void rig_prepare(rig_t *r) {
    memset(r, 0, sizeof(*r));
    rig_of_kind = r;
    r->options = (wst__slot_options_t){.node = &r->node,
                                       .egress = &r->egress,
                                       .kind = &kind,
                                       .endpoint = &r->endpoint,
                                       .upgrade = &r->upgrade,
                                       .uplink.hello.name = {"probe", 5},
                                       .spare = 1,
                                       .timeout_ms = 10000,
                                       .backoff_min_ms = 1,
                                       .backoff_max_ms = 8,
                                       .on_up = on_up,
                                       .on_down = on_down,
                                       .user_data = r};
}

static void rig_start(rig_t *r) {
    const wst__egress_options_t egress = {.role = "agent", .name = "probe"};
    wst__node_init(&r->node, r->env.ctx, on_drained, on_closed);
    wst__egress_init(&r->egress, &r->node, &egress);
    wst__slot_init(&r->slot, &r->options, 3);
}

static void rig_open(rig_t *r) {
    rig_prepare(r);
    test_env_open(&r->env);
    assert_true(make_target(r));
    rig_start(r);
}

static void rig_close(rig_t *r) {
    wst__node_close(&r->node);
    test_env_until_count(&r->env, &r->closed, 1);
    assert_int_equal(r->gone, r->made);
    assert_true(wst__list_empty(&r->slot.uplinks));
}

static void rig_free(rig_t *r) {
    if (r->node.ctx != NULL)
        rig_close(r);
    for (size_t i = 0; i < r->made; i++)
        free(r->uplinks[i]);
    wst__endpoint_free(&r->endpoint);
    wst__upgrade_free(&r->upgrade);
    if (r->listener != NULL)
        wst_listener_close(r->listener, NULL);
    test_env_close(&r->env);
}

static void until_made(rig_t *r, size_t n) {
    test_env_until_count(&r->env, &r->made, n);
}

/* Nothing more is tried, however long one waits. */
static void expect_rest(rig_t *r) {
    size_t made = r->made;
    for (int i = 0; i < 3; i++) {
        wst__deadlines_run(&r->env.ctx->deadlines, wst__now(r->env.ctx) + 3600000);
        test_env_turns(&r->env, 10);
    }
    assert_int_equal(r->made, made);
}

/* -- One uplink that carries many streams ----------------------------------------------------- */

static void test_up(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    assert_int_equal(r.slot.phase, WST__SLOT_WAITING);
    until_made(&r, 1);
    assert_int_equal(r.slot.phase, WST__SLOT_CONNECTING);
    assert_false(r.slot.is_up);
    uplink_up(&r, 0);
    assert_int_equal(r.seen[UP], 1);
    assert_int_equal(r.slot.phase, WST__SLOT_UP);
    assert_string_equal(r.uplinks[0]->fields, "X-Fixed: 1\r\n");
    assert_int_equal(r.uplinks[0]->hello.conn, 3);
    assert_int_equal(r.uplinks[0]->hello.epoch, 1);
    uplink_load(&r, 0, 5);
    expect_rest(&r);
    rig_free(&r);
    assert_int_equal(r.seen[DOWN], 0);
}

static void test_lost(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    r.options.spare = 3; /* of no meaning here */
    until_made(&r, 1);
    uplink_up(&r, 0);
    uplink_down(&r, 0, 0, 0, "");
    assert_int_equal(r.seen[DOWN], 1);
    assert_int_equal(r.failure.error, WST_EWSCLOSED);
    assert_string_equal(r.detail, wst_strerror(WST_EWSCLOSED));
    assert_false(r.failure.refused);
    until_made(&r, 2);
    assert_int_equal(r.uplinks[1]->hello.epoch, 2);
    uplink_up(&r, 1);
    assert_int_equal(r.seen[UP], 2);
    expect_rest(&r);
    rig_free(&r);
}

/* A server that leaves is not replaced before it has gone. */
static void test_goaway(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    until_made(&r, 1);
    uplink_up(&r, 0);
    uplink_goaway(&r, 0, WST_EGOAWAY);
    assert_true(r.slot.is_up);
    expect_rest(&r);
    uplink_down(&r, 0, WST_ELOST, 0, "gone");
    assert_string_equal(r.detail, "gone");
    until_made(&r, 2);
    rig_free(&r);
}

/* -- Attempts that fail ----------------------------------------------------------------------- */

static void test_refused(void **state) {
    (void)state;
    static const struct {
        int error, http_status;
        bool refused;
    } cases[] = {{WST_EREJECTED, 401, true},
                 {WST_EREJECTED, 403, true},
                 {WST_EREJECTED, 500, false},
                 {WST_EPROXY, 403, false},
                 {WST_EPROXYAUTH, 407, true}};
    rig_t r;
    rig_open(&r);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        until_made(&r, i + 1);
        uplink_down(&r, i, cases[i].error, cases[i].http_status, "no");
        assert_int_equal(r.seen[DOWN], i + 1);
        assert_int_equal(r.failure.error, cases[i].error);
        assert_int_equal(r.failure.http_status, cases[i].http_status);
        assert_int_equal(r.failure.refused, cases[i].refused);
        if (cases[i].refused)
            assert_int_equal(r.failure.retry_in_ms, 8);
    }
    assert_int_equal(r.seen[UP], 0);
    rig_free(&r);
}

static void test_not_reached(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    wst_listener_close(r.listener, NULL);
    r.listener = NULL;
    test_env_until_count(&r.env, &r.seen[DOWN], 2);
    assert_int_equal(r.failure.error, UV_ECONNREFUSED);
    assert_int_equal(r.made, 0);
    rig_free(&r);
}

static void test_not_made(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    r.connect_status = WST_EINVAL;
    test_env_until_count(&r.env, &r.seen[DOWN], 1);
    assert_string_equal(r.detail, "the fields given are not complete lines");
    r.connect_status = WST_EHEADBIG;
    test_env_until_count(&r.env, &r.seen[DOWN], r.seen[DOWN] + 2);
    assert_string_equal(r.detail, wst_strerror(WST_EHEADBIG));
    r.connect_status = 0;
    until_made(&r, 1);
    rig_free(&r);
}

static void test_credentials(void **state) {
    (void)state;
    rig_t r;
    rig_prepare(&r);
    r.options.on_credentials = on_credentials;
    test_env_open(&r.env);
    assert_true(make_target(&r));
    rig_start(&r);
    test_env_until_count(&r.env, &r.seen[DOWN], 1);
    assert_int_equal(r.failure.error, WST_ECANCELLED);
    assert_string_equal(r.detail, "no credentials");
    assert_int_equal(r.made, 0);
    r.credentials = "X-Key: s3cret\r\n";
    until_made(&r, 1);
    assert_string_equal(r.uplinks[0]->fields, "X-Fixed: 1\r\nX-Key: s3cret\r\n");
    assert_null(r.slot.fields); /* not kept longer than needed */
    rig_free(&r);
}

/* -- Uplinks that one stream uses up ---------------------------------------------------------- */

static void rig_open_spares(rig_t *r, size_t spare) {
    rig_open(r);
    r->renews = true;
    r->options.spare = spare;
    for (size_t i = 0; i < spare; i++) {
        until_made(r, i + 1);
        test_env_turns(&r->env, 10);
        assert_int_equal(r->made, i + 1); /* one after the other */
        uplink_up(r, i);
    }
    assert_int_equal(r->seen[UP], 1);
}

static void test_spares(void **state) {
    (void)state;
    rig_t r;
    rig_open_spares(&r, 3);
    expect_rest(&r);
    uplink_spent(&r, 1);
    until_made(&r, 4);
    uplink_spent(&r, 0); /* meanwhile: its turn comes */
    assert_true(r.slot.is_up);
    uplink_up(&r, 3);
    until_made(&r, 5);
    uplink_up(&r, 4);
    expect_rest(&r);
    uplink_down(&r, 1, 0, 0, ""); /* its stream is over: that is no failure */
    uplink_down(&r, 0, WST_ELOST, 0, "");
    expect_rest(&r);
    assert_int_equal(r.seen[UP], 1);
    assert_int_equal(r.seen[DOWN], 0);
    rig_free(&r);
}

/* All are lost at once: that is one failure. */
static void test_spares_lost(void **state) {
    (void)state;
    rig_t r;
    rig_open_spares(&r, 3);
    r.options.backoff_min_ms = r.options.backoff_max_ms = 600000;
    for (size_t i = 0; i < 3; i++)
        uplink_down(&r, i, WST_EWSCLOSED, 0, "");
    assert_int_equal(r.seen[DOWN], 1);
    assert_false(r.slot.is_up);
    wst__deadlines_run(&r.env.ctx->deadlines, wst__now(r.env.ctx) + 600000);
    until_made(&r, 4);
    uplink_up(&r, 3);
    assert_int_equal(r.seen[UP], 2);
    rig_free(&r);
}

/* Use starts the count of failures anew; so does being up for long. */
static void test_failures_forgotten(void **state) {
    (void)state;
    rig_t r;
    rig_open_spares(&r, 1);
    r.slot.failures = 10;
    uplink_spent(&r, 0);
    assert_int_equal(r.slot.failures, 0);
    until_made(&r, 2);
    uplink_up(&r, 1);
    r.slot.failures = 10;
    uplink_down(&r, 1, WST_ELOST, 0, "");
    assert_int_equal(r.slot.failures, 11);
    until_made(&r, 3);
    uplink_up(&r, 2);
    uint64_t since = wst__now(r.env.ctx);
    while (wst__now(r.env.ctx) - since < r.options.backoff_max_ms)
        uv_run(&r.env.loop, UV_RUN_NOWAIT);
    uplink_down(&r, 2, WST_ELOST, 0, "");
    assert_int_equal(r.slot.failures, 1);
    rig_free(&r);
}

/* -- Draining --------------------------------------------------------------------------------- */

static void expect_drained(rig_t *r) {
    test_env_until_count(&r->env, &r->drained, 1);
    assert_false(r->slot.is_up);
    expect_rest(r);
    assert_int_equal(r->seen[DOWN], 0);
}

static void test_drain_idle(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    until_made(&r, 1);
    uplink_up(&r, 0);
    wst__node_drain(&r.node, 60000);
    assert_int_equal(r.uplinks[0]->goaways, 1);
    assert_int_equal(r.uplinks[0]->ends, 1);
    test_env_turns(&r.env, 5);
    assert_int_equal(r.drained, 0); /* it is still ending */
    uplink_down(&r, 0, 0, 0, "");
    expect_drained(&r);
    rig_free(&r);
}

static void test_drain_with_streams(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    until_made(&r, 1);
    uplink_up(&r, 0);
    uplink_load(&r, 0, 2);
    wst__node_drain(&r.node, 60000);
    assert_int_equal(r.uplinks[0]->goaways, 1);
    uplink_load(&r, 0, 1);
    test_env_turns(&r.env, 5);
    assert_int_equal(r.uplinks[0]->ends, 0);
    assert_true(r.slot.is_up);
    uplink_load(&r, 0, 0);
    assert_int_equal(r.uplinks[0]->ends, 0); /* it only takes note in there */
    test_env_turns(&r.env, 5);
    assert_int_equal(r.uplinks[0]->ends, 1);
    uplink_down(&r, 0, 0, 0, "");
    expect_drained(&r);
    rig_free(&r);
}

/* Those that wait leave; those in use do so by themselves. */
static void test_drain_spares(void **state) {
    (void)state;
    rig_t r;
    rig_open_spares(&r, 2);
    uplink_spent(&r, 0);
    until_made(&r, 3);
    wst__node_drain(&r.node, 60000);
    assert_false(r.slot.is_up);
    assert_int_equal(r.uplinks[0]->goaways + r.uplinks[0]->ends, 0);
    assert_int_equal(r.uplinks[1]->ends, 1);
    assert_true(r.uplinks[2]->closing); /* was not up yet */
    uplink_down(&r, 1, 0, 0, "");
    expect_drained(&r);
    uplink_down(&r, 0, 0, 0, "");
    rig_free(&r);
}

static void test_drain_early(void **state) {
    (void)state;
    static const event_t events[] = {NOTHING, CREDENTIALS, DOWN};
    for (size_t i = 0; i < 3; i++) {
        rig_t r;
        rig_prepare(&r);
        r.options.on_credentials = on_credentials;
        r.drain_in = events[i];
        test_env_open(&r.env);
        assert_true(make_target(&r));
        rig_start(&r);
        if (events[i] == NOTHING)
            wst__node_drain(&r.node, 60000);
        test_env_until_count(&r.env, &r.drained, 1);
        size_t asked = r.seen[CREDENTIALS];
        expect_rest(&r);
        assert_int_equal(r.seen[CREDENTIALS], asked);
        rig_free(&r);
    }
}

static void test_drain_lost(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    until_made(&r, 1);
    uplink_up(&r, 0);
    uplink_load(&r, 0, 2);
    wst__node_drain(&r.node, 60000);
    uplink_down(&r, 0, WST_ELOST, 0, "");
    expect_drained(&r);
    rig_free(&r);
}

/* -- Closing ---------------------------------------------------------------------------------- */

static void test_close_in_callbacks(void **state) {
    (void)state;
    for (int event = CREDENTIALS; event < EVENTS; event++) {
        rig_t r;
        rig_prepare(&r);
        r.options.on_credentials = on_credentials;
        r.credentials = event == DOWN ? NULL : "";
        r.close_in = (event_t)event;
        test_env_open(&r.env);
        assert_true(make_target(&r));
        rig_start(&r);
        if (event == UP) {
            until_made(&r, 1);
            uplink_up(&r, 0);
        }
        test_env_until_count(&r.env, &r.closed, 1);
        assert_int_equal(r.seen[event], 1);
        rig_free(&r);
    }
}

/* After so many turns of the loop: each step of an attempt. */
static void test_close_in_between(void **state) {
    (void)state;
    for (int turns = 0; turns < 8; turns++) {
        rig_t r;
        rig_open(&r);
        test_env_turns(&r.env, turns);
        rig_free(&r);
    }
}

static void test_close_with_all(void **state) {
    (void)state;
    rig_t r;
    rig_open_spares(&r, 3);
    uplink_spent(&r, 0);
    until_made(&r, 4); /* one spent, two ready, one opening */
    uplink_down(&r, 1, WST_ELOST, 0, "");
    rig_free(&r);
    assert_int_equal(r.seen[DOWN], 0);
}

/* -- Without memory --------------------------------------------------------------------------- */

/* Whatever fails, an uplink is made in the end. */
static void one_life(void *arg) {
    rig_t r;
    (void)arg;
    rig_prepare(&r);
    r.options.on_credentials = on_credentials;
    r.credentials = "X-Key: s3cret\r\n";
    test_env_open(&r.env);
    if (r.env.ctx != NULL && make_target(&r)) {
        rig_start(&r);
        until_made(&r, 1);
        assert_non_null(strstr(r.uplinks[0]->fields, "X-Key: s3cret\r\n"));
        uplink_up(&r, 0);
    }
    rig_free(&r);
}

static void test_allocations(void **state) {
    (void)state;
    assert_true(test_alloc_each(one_life, NULL) > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_up),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_goaway),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_not_reached),
        cmocka_unit_test(test_not_made),
        cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_spares),
        cmocka_unit_test(test_spares_lost),
        cmocka_unit_test(test_failures_forgotten),
        cmocka_unit_test(test_drain_idle),
        cmocka_unit_test(test_drain_with_streams),
        cmocka_unit_test(test_drain_spares),
        cmocka_unit_test(test_drain_early),
        cmocka_unit_test(test_drain_lost),
        cmocka_unit_test(test_close_in_callbacks),
        cmocka_unit_test(test_close_in_between),
        cmocka_unit_test(test_close_with_all),
        cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
