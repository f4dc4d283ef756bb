/* SPDX-License-Identifier: MIT */
/* Early data: bytes of a client that go ahead of the agent's answer; when they may, and what
 * happens to them if the agent refuses or is lost. */
#include "flow_rig.h"

#include <string.h>

typedef struct rig {
    flow_rig_t r;
    flow_rig_flow_t f;
    flow_rig_uplink_t *one, *two;
} rig_t;

static wst_slice_t early(const wst_flow_t *flow, void *user_data) {
    const flow_rig_flow_t *f = user_data;
    assert_ptr_equal(flow, f->flow);
    return wst_slice_static(f->early, strlen(f->early));
}

static void open_rig(rig_t *t) {
    flow_rig_open(&t->r);
    t->one = flow_rig_uplink(&t->r, "berlin", "", NULL);
    t->two = flow_rig_uplink(&t->r, "boston", "", NULL);
    t->one->takes_early = t->two->takes_early = 8;
}

/* A flow whose client has sent that. */
static void start(rig_t *t, const char *text) {
    assert_int_equal(flow_rig_try(&t->r, &t->f, &flow_rig_plain), 0);
    t->f.early = text;
    t->f.flow->early = early;
    flow_rig_turns(&t->r, 3);
    assert_true(t->one->asked);
}

static void say(rig_t *t, const char *text) {
    t->f.early = text;
    wst__flow_send_early(t->f.flow);
}

static void close_rig(rig_t *t) {
    if (t->f.flow != NULL)
        wst_flow_cancel(t->f.flow);
    flow_rig_close(&t->r);
}

/* -- When ------------------------------------------------------------------------------------- */

static void test_bytes_go_ahead(void **state) {
    (void)state;
    rig_t t;
    open_rig(&t);
    start(&t, "abc");
    assert_string_equal(t.one->early, "abc");
    say(&t, "abc");
    assert_string_equal(t.one->early, "abc"); /* once */
    say(&t, "abcdef");
    assert_string_equal(t.one->early, "abcdef");
    say(&t, "abcdefghijk");
    assert_string_equal(t.one->early, "abcdefgh"); /* as far as the agent takes them */
    assert_int_equal(t.f.flow->early_sent, 8);
    close_rig(&t);
}

static void test_nothing_to_send(void **state) {
    (void)state;
    rig_t t;
    open_rig(&t);
    start(&t, "");
    assert_string_equal(t.one->early, "");
    t.f.flow->early = NULL; /* another front */
    say(&t, "abc");
    assert_string_equal(t.one->early, "");
    close_rig(&t);
}

static void test_an_uplink_that_takes_none(void **state) {
    (void)state;
    rig_t t;
    open_rig(&t);
    t.one->takes_early = 0;
    start(&t, "abc");
    say(&t, "abcd");
    assert_int_equal(t.f.flow->early_sent, 0);
    close_rig(&t);
}

/* Who judges the address reached must give leave. */
static void test_addresses_to_be_judged(void **state) {
    (void)state;
    static const struct {
        const char *networks;
        bool allowed;
    } cases[] = {{NULL, false}, {NULL, true}, {"1-10.0.0.0/8 0+*", true}, {"0+*", false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        rig_t t;
        open_rig(&t);
        t.r.asks[WST__ASK_CHOOSE] = t.r.asks[WST__ASK_REACHED] = true;
        t.r.networks = cases[i].networks;
        t.r.allows_early = cases[i].allowed;
        start(&t, "abc");
        assert_string_equal(t.one->networks, cases[i].networks != NULL ? cases[i].networks : "");
        assert_string_equal(t.one->early, cases[i].allowed ? "abc" : "");
        close_rig(&t);
    }
}

/* -- What then -------------------------------------------------------------------------------- */

/* The front sends the rest; all is counted. */
static void test_bytes_are_counted(void **state) {
    (void)state;
    rig_t t;
    fake_stream_t site, client;
    open_rig(&t);
    start(&t, "abcdefghijk");
    flow_rig_opened(t.one, &site, "10.0.0.7");
    flow_rig_turns(&t.r, 2);
    assert_int_equal(t.f.established, 1);
    say(&t, "abcdefghijkl"); /* too late, and harmless */
    assert_int_equal(t.f.flow->early_sent, 8);
    assert_int_equal(fake_stream_open(&client, t.r.env.ctx), 0);
    fake_stream_data(&client, "ijk", 3);
    fake_stream_end(&client);
    fake_stream_end(&site);
    assert_int_equal(wst_flow_relay(t.f.flow, client.stream), 0);
    wst_stream_info_t info = {.size = sizeof(info)};
    wst_flow_get_info(t.f.flow, &info);
    assert_int_equal(info.bytes_to_agent, 8);
    test_env_until_count(&t.r.env, &t.f.gone, 1);
    assert_int_equal(t.f.info.bytes_to_agent, 11);
    fake_stream_free(&client);
    fake_stream_free(&site);
    close_rig(&t);
}

/* Another agent gets all bytes, unless the first one may have delivered some. */
static void test_failures(void **state) {
    (void)state;
    static const int reasons[] = {WST_EGOAWAY, WST_ELIMIT, WST_EMEMORY, WST_ELOST};
    for (size_t i = 0; i < 2 * sizeof(reasons) / sizeof(reasons[0]); i++) {
        bool delivered = i % 2 == 1;
        rig_t t;
        open_rig(&t);
        start(&t, "abc");
        t.one->opening.early_delivered = delivered;
        flow_rig_failed(t.one, reasons[i / 2], "");
        flow_rig_turns(&t.r, 2);
        assert_int_equal(t.two->asked, !delivered);
        assert_int_equal(t.f.code, delivered ? reasons[i / 2] : 0);
        if (!delivered) {
            assert_string_equal(t.two->early, "abc");
            say(&t, "abcd");
            assert_string_equal(t.two->early, "abcd");
        }
        close_rig(&t);
    }
}

/* However much of it is confirmed before the answer. */
static void test_bound(void **state) {
    (void)state;
    static char text[WST__EARLY_SENT_MAX + 2];
    memset(text, 'x', sizeof(text) - 1);
    rig_t t;
    open_rig(&t);
    t.one->takes_early = sizeof(t.one->early) - 1;
    start(&t, text);
    say(&t, text);
    assert_int_equal(t.f.flow->early_sent, WST__EARLY_SENT_MAX);
    close_rig(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_go_ahead),
        cmocka_unit_test(test_nothing_to_send),
        cmocka_unit_test(test_an_uplink_that_takes_none),
        cmocka_unit_test(test_addresses_to_be_judged),
        cmocka_unit_test(test_bytes_are_counted),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
