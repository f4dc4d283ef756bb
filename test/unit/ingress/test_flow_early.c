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

/* Who judges the address reached must have said which ones may be tried. */
static void test_addresses_to_be_judged(void **state) {
    (void)state;
    static const struct {
        const char *networks, *limit, *early;
    } cases[] = {{NULL, "", ""}, {"", "", "abc"}, {"1-10.0.0.0/8 0+*", "1-10.0.0.0/8 0+*", "abc"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        rig_t t;
        open_rig(&t);
        t.r.asks[WST__ASK_CHOOSE] = t.r.asks[WST__ASK_REACHED] = true;
        t.r.networks = cases[i].networks;
        start(&t, "abc");
        assert_string_equal(t.one->networks, cases[i].limit);
        assert_string_equal(t.one->early, cases[i].early);
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

/* Nothing was delivered: another agent gets all bytes. */
static void test_a_refusal_is_tried_elsewhere(void **state) {
    (void)state;
    static const int reasons[] = {WST_EGOAWAY, WST_ELIMIT, WST_EMEMORY};
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        rig_t t;
        open_rig(&t);
        start(&t, "abc");
        t.one->opening.was_early = true;
        flow_rig_failed(t.one, reasons[i], "");
        flow_rig_turns(&t.r, 2);
        assert_true(t.two->asked);
        assert_string_equal(t.two->early, "abc");
        say(&t, "abcd");
        assert_string_equal(t.two->early, "abcd");
        close_rig(&t);
    }
}

/* A lost agent may have delivered what was sent to it. */
static void test_a_loss_is_tried_elsewhere_if_nothing_was_sent(void **state) {
    (void)state;
    for (int sent = 0; sent < 2; sent++) {
        rig_t t;
        open_rig(&t);
        start(&t, "abc");
        t.one->opening.was_early = sent != 0;
        flow_rig_failed(t.one, WST_ELOST, "");
        flow_rig_turns(&t.r, 2);
        assert_int_equal(t.two->asked, !sent);
        assert_int_equal(t.f.refused, sent);
        assert_int_equal(t.f.code, sent ? WST_ELOST : 0);
        close_rig(&t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_go_ahead),
        cmocka_unit_test(test_nothing_to_send),
        cmocka_unit_test(test_an_uplink_that_takes_none),
        cmocka_unit_test(test_addresses_to_be_judged),
        cmocka_unit_test(test_bytes_are_counted),
        cmocka_unit_test(test_a_refusal_is_tried_elsewhere),
        cmocka_unit_test(test_a_loss_is_tried_elsewhere_if_nothing_was_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
