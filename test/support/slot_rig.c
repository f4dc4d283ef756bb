/* SPDX-License-Identifier: MIT */
#include "slot_rig.h"

#include <stdio.h>

/* -- The fake kind ---------------------------------------------------------------------------- */

static int fake_can_open(const wst__uplink_t *uplink) {
    (void)uplink;
    return WST_EGOAWAY;
}

static int fake_open(wst__uplink_t *uplink, wst__opening_t **out, const char *dest,
                     wst__budget_t *budget, wst__opened_cb callback, void *user_data) {
    (void)uplink, (void)out, (void)dest, (void)budget, (void)callback, (void)user_data;
    return WST_EGOAWAY;
}

static size_t fake_load(const wst__uplink_t *uplink) {
    return ((const slot_rig_uplink_t *)(const void *)uplink)->load;
}

static uint64_t fake_rtt_ms(const wst__uplink_t *uplink) {
    (void)uplink;
    return 0;
}

static bool fake_is_suspect(const wst__uplink_t *uplink) {
    return ((const slot_rig_uplink_t *)(const void *)uplink)->suspect;
}

static void fake_goaway(wst__uplink_t *uplink) {
    ((slot_rig_uplink_t *)(void *)uplink)->goaways++;
}

static void fake_end(wst__uplink_t *uplink, int code, const char *reason, bool lose) {
    assert_int_equal(code, 1001);
    assert_string_equal(reason, "drained");
    assert_false(lose);
    ((slot_rig_uplink_t *)(void *)uplink)->ends++;
}

static void on_stream_closed(void *user_data) {
    slot_rig_uplink_t *f = user_data;
    f->closed = true;
    f->rig->gone++;
    f->base.callbacks->on_closed(f->base.user_data);
}

static void fake_close(wst__uplink_t *uplink) {
    slot_rig_uplink_t *f = (slot_rig_uplink_t *)(void *)uplink;
    assert_false(f->closing); /* once */
    f->closing = true;
    wst_stream_close(f->stream, on_stream_closed);
}

const wst__uplink_ops_t slot_rig_plain = {.can_open = fake_can_open,
                                          .open = fake_open,
                                          .load = fake_load,
                                          .rtt_ms = fake_rtt_ms,
                                          .is_suspect = fake_is_suspect,
                                          .goaway = fake_goaway,
                                          .end = fake_end,
                                          .close = fake_close};

static bool fake_is_suspended(const wst__uplink_t *uplink) {
    return ((const slot_rig_uplink_t *)(const void *)uplink)->suspended;
}

static int fake_claim(const wst__uplink_t *uplink, uint64_t epoch, wst__resume_field_t *out) {
    const slot_rig_uplink_t *f = (const slot_rig_uplink_t *)(const void *)uplink;
    *out = (wst__resume_field_t){.kind = WST__RESUME_OLD, .epoch = epoch};
    memcpy(out->sid, f->sid, sizeof(out->sid));
    return 0;
}

static const uint8_t *fake_sid(const wst__uplink_t *uplink) {
    return ((const slot_rig_uplink_t *)(const void *)uplink)->sid;
}

static const wst__uplink_resume_ops_t resume = {
    .is_suspended = fake_is_suspended, .claim = fake_claim, .sid = fake_sid};

const wst__uplink_ops_t slot_rig_resumable = {.can_open = fake_can_open,
                                              .open = fake_open,
                                              .load = fake_load,
                                              .rtt_ms = fake_rtt_ms,
                                              .is_suspect = fake_is_suspect,
                                              .goaway = fake_goaway,
                                              .end = fake_end,
                                              .close = fake_close,
                                              .resume = &resume};

/* There is one rig at a time. */
static slot_rig_t *rig_of_kind;

static int fake_connect(wst__uplink_t **out, wst_ctx_t *ctx, wst_stream_t *stream,
                        const wst_websocket_options_t *websocket,
                        const wst__uplink_options_t *options) {
    (void)ctx;
    slot_rig_t *r = rig_of_kind;
    assert_string_equal(websocket->path, "/way");
    assert_non_null(strstr(r->endpoint.authority, websocket->host));
    if (r->connect_status != 0)
        return r->connect_status;
    assert_true(r->made < SLOT_RIG_UPLINKS);
    slot_rig_uplink_t *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->base = (wst__uplink_t){.ops = options->resumes ? &slot_rig_resumable : &slot_rig_plain,
                              .callbacks = options->callbacks,
                              .user_data = options->user_data,
                              .renews = r->renews,
                              .peer = "server"};
    f->rig = r;
    f->stream = stream;
    f->hello = options->hello;
    f->sid[0] = (uint8_t)r->made;
    snprintf(f->fields, sizeof(f->fields), "%s", websocket->fields);
    wst_stream_set_callbacks(stream, NULL, f);
    r->uplinks[r->made++] = f;
    *out = &f->base;
    return 0;
}

static const wst__uplink_kind_t kind = {.connect = fake_connect};

void slot_rig_up(slot_rig_t *r, size_t i) {
    slot_rig_uplink_t *f = r->uplinks[i];
    const wst_hello_t hello = {.size = sizeof(hello)};
    assert_int_equal(f->base.callbacks->on_up(&f->base, &hello, f->base.user_data), 0);
}

void slot_rig_down(slot_rig_t *r, size_t i, int error, int http_status, const char *detail) {
    slot_rig_uplink_t *f = r->uplinks[i];
    f->base.callbacks->on_down(&f->base, error, http_status, detail, f->base.user_data);
    assert_true(f->closing);
}

void slot_rig_goaway(slot_rig_t *r, size_t i, int reason) {
    slot_rig_uplink_t *f = r->uplinks[i];
    f->base.callbacks->on_goaway(&f->base, reason, f->base.user_data);
}

void slot_rig_load(slot_rig_t *r, size_t i, size_t load) {
    slot_rig_uplink_t *f = r->uplinks[i];
    f->load = load;
    f->base.callbacks->on_change(&f->base, f->base.user_data);
}

void slot_rig_spent(slot_rig_t *r, size_t i) {
    slot_rig_load(r, i, 1);
    slot_rig_goaway(r, i, 0);
}

void slot_rig_suspended(slot_rig_t *r, size_t i) {
    slot_rig_uplink_t *f = r->uplinks[i];
    f->suspended = true;
    f->base.callbacks->on_suspended(&f->base, UV_ECONNRESET, "cut", 60000, f->base.user_data);
}

wst__uplink_t *slot_rig_claim(slot_rig_t *r, size_t i, bool resumed) {
    slot_rig_uplink_t *f = r->uplinks[i];
    const wst_hello_t hello = {.size = sizeof(hello), .resumed = resumed};
    return f->base.callbacks->on_claim(&f->base, &hello, f->base.user_data);
}

void slot_rig_resumed(slot_rig_t *r, size_t i, size_t from) {
    slot_rig_uplink_t *f = r->uplinks[i], *other = r->uplinks[from];
    f->suspended = false;
    f->base.callbacks->on_resumed(&f->base, &other->base, 5, f->base.user_data);
    assert_true(other->closing);
}

void slot_rig_suspect(slot_rig_t *r, size_t i, bool suspect) {
    slot_rig_uplink_t *f = r->uplinks[i];
    f->suspect = suspect;
    f->base.callbacks->on_change(&f->base, f->base.user_data);
    test_env_turns(&r->env, 3);
}

/* -- The slot's owner ------------------------------------------------------------------------- */

static void leave(slot_rig_t *r, slot_rig_event_t event) {
    if (r->drain_in == event)
        wst__node_drain(&r->node, 60000);
    if (r->close_in == event)
        wst__node_close(&r->node);
}

void slot_rig_on_credentials(wst_request_t *request, void *user_data) {
    slot_rig_t *r = user_data;
    assert_string_equal(wst_request_peer(request), r->endpoint.authority);
    r->seen[SLOT_CREDENTIALS]++;
    if (r->credentials != NULL)
        wst_request_allow_with(request, r->credentials);
    else
        wst_request_deny(request, 403, NULL, NULL);
    leave(r, SLOT_CREDENTIALS);
}

/* A `conn` that is up is not told to be up again. */
static void on_connection(uint32_t conn, const wst_agent_failure_t *failure, void *user_data) {
    slot_rig_t *r = user_data;
    assert_in_range(conn, 0, 63);
    uint64_t bit = (uint64_t)1 << conn;
    assert_true(failure != NULL || (r->conns & bit) == 0);
    r->conns = failure == NULL ? r->conns | bit : r->conns & ~bit;
}

static void on_up(void *user_data) {
    slot_rig_t *r = user_data;
    assert_true(r->slot.is_up);
    r->seen[SLOT_UP]++;
    leave(r, SLOT_UP);
}

static void on_down(const wst_agent_failure_t *failure, void *user_data) {
    slot_rig_t *r = user_data;
    assert_false(r->slot.is_up);
    r->seen[SLOT_DOWN]++;
    r->failure = *failure;
    snprintf(r->detail, sizeof(r->detail), "%s", failure->detail);
    leave(r, SLOT_DOWN);
}

static void on_suspended(const wst_agent_failure_t *failure, size_t streams, void *user_data) {
    slot_rig_t *r = user_data;
    (void)streams;
    assert_true(failure->suspended);
    r->seen[SLOT_SUSPEND]++;
    r->failure = *failure;
    leave(r, SLOT_SUSPEND);
}

static void on_resumed(uint64_t outage_ms, void *user_data) {
    slot_rig_t *r = user_data;
    assert_int_equal(outage_ms, 5);
    r->seen[SLOT_RESUME]++;
    leave(r, SLOT_RESUME);
}

static void on_drained(wst__node_t *node) {
    WST__CONTAINER(node, slot_rig_t, node)->drained++;
}

static void on_closed(wst__node_t *node) {
    WST__CONTAINER(node, slot_rig_t, node)->closed++;
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

bool slot_rig_make_target(slot_rig_t *r) {
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

void slot_rig_prepare(slot_rig_t *r) {
    memset(r, 0, sizeof(*r));
    rig_of_kind = r;
    r->next_conn = 3;
    r->options = (wst__slot_options_t){.node = &r->node,
                                       .egress = &r->egress,
                                       .kind = &kind,
                                       .endpoint = &r->endpoint,
                                       .upgrade = &r->upgrade,
                                       .next_conn = &r->next_conn,
                                       .uplink.hello.name = {"probe", 5},
                                       .spare = 1,
                                       .timeout_ms = 10000,
                                       .backoff_min_ms = 1,
                                       .backoff_max_ms = 8,
                                       .on_connection = on_connection,
                                       .on_up = on_up,
                                       .on_suspended = on_suspended,
                                       .on_resumed = on_resumed,
                                       .on_down = on_down,
                                       .user_data = r};
}

void slot_rig_start(slot_rig_t *r) {
    const wst__egress_options_t egress = {.role = "agent", .name = "probe"};
    wst__node_init(&r->node, r->env.ctx, on_drained, on_closed);
    wst__egress_init(&r->egress, &r->node, &egress);
    wst__slot_init(&r->slot, &r->options);
}

void slot_rig_begin(slot_rig_t *r) {
    test_env_open(&r->env);
    assert_true(slot_rig_make_target(r));
    slot_rig_start(r);
}

void slot_rig_open(slot_rig_t *r) {
    slot_rig_prepare(r);
    slot_rig_begin(r);
}

static void rig_close(slot_rig_t *r) {
    wst__node_close(&r->node);
    test_env_until_count(&r->env, &r->closed, 1);
    assert_int_equal(r->gone, r->made);
    assert_true(wst__list_empty(&r->slot.uplinks));
}

void slot_rig_free(slot_rig_t *r) {
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

void slot_rig_until_made(slot_rig_t *r, size_t n) {
    test_env_until_count(&r->env, &r->made, n);
}

void slot_rig_pass(slot_rig_t *r, uint64_t ms) {
    wst__deadlines_run(&r->env.ctx->deadlines, wst__now(r->env.ctx) + ms);
}

void slot_rig_expect_rest(slot_rig_t *r) {
    size_t made = r->made;
    for (int i = 0; i < 3; i++) {
        slot_rig_pass(r, 3600000);
        test_env_turns(&r->env, 10);
    }
    assert_int_equal(r->made, made);
}
