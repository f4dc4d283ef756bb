/* SPDX-License-Identifier: MIT */
/* Flows: what is asked in which order, what a flow may say of itself, and how many there may be. */
#include "flow_rig.h"

#include <string.h>

static const wst_flow_options_t known = {.size = sizeof(known),
                                         .destination = "host:22",
                                         .peer = "192.0.2.1:5",
                                         .authenticated = true,
                                         .user = "alice",
                                         .tenant = "acme"};

/* -- Questions -------------------------------------------------------------------------------- */

static void test_questions_in_order(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    fake_stream_t site, client;
    flow_rig_open(&r);
    r.asks[0] = r.asks[1] = r.asks[2] = true;
    r.holds[WST__ASK_CLIENT] = true;
    flow_rig_uplink_t *u = flow_rig_uplink(&r, "berlin", "acme", NULL);
    flow_rig_start(&r, &f, &flow_rig_plain);
    flow_rig_expect(&r, "client? host:22 for / at 192.0.2.1:5\n");
    wst_request_set_user(r.question, "alice");
    wst_request_set_tenant(r.question, "acme");
    wst_request_allow(r.question);
    flow_rig_turns(&r, 3);
    flow_rig_expect(&r, "choose? host:22 for acme/alice at 192.0.2.1:5\n");
    assert_string_equal(u->destination, "host:22");
    assert_int_equal(wst__ingress_pending(&r.ingress), 1);
    flow_rig_opened(u, &site, "10.0.0.7");
    flow_rig_turns(&r, 2);
    flow_rig_expect(
        &r, "reached? host:22 for acme/alice at 192.0.2.1:5, by berlin, reached 10.0.0.7\n");
    assert_int_equal(f.established, 1);
    assert_int_equal(fake_stream_open(&client, r.env.ctx), 0);
    fake_stream_data(&client, "up", 2);
    fake_stream_end(&client);
    fake_stream_data(&site, "down!", 5);
    fake_stream_end(&site);
    assert_int_equal(wst_flow_relay(f.flow, client.stream), 0);
    assert_int_equal(wst__ingress_pending(&r.ingress), 0);
    assert_int_equal(wst__ingress_relaying(&r.ingress), 1);
    test_env_until_count(&r.env, &f.gone, 1);
    flow_rig_expect(&r, "open 1: acme/alice to host:22 by berlin at 10.0.0.7\n"
                        "close 1: 2 up, 5 down, ended by agent\n");
    assert_int_equal(f.info.bytes_to_agent, 2);
    assert_int_equal(f.info.bytes_to_client, 5);
    fake_stream_free(&client);
    fake_stream_free(&site);
    flow_rig_close(&r);
}

/* Who has been authenticated by whoever asks need not be asked for credentials. */
static void test_authenticated(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    flow_rig_open(&r);
    r.asks[WST__ASK_CLIENT] = true;
    flow_rig_uplink_t *u = flow_rig_uplink(&r, "berlin", "acme", NULL);
    flow_rig_start(&r, &f, &known);
    flow_rig_expect(&r, "client? host:22 for acme/alice at 192.0.2.1:5, authenticated\n");
    flow_rig_turns(&r, 2);
    assert_true(u->asked);
    wst_flow_cancel(f.flow);
    assert_true(u->cancelled);
    flow_rig_close(&r);
}

static void test_unasked(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    fake_stream_t site;
    wst_flow_options_t options = flow_rig_plain;
    options.unasked = true;
    flow_rig_open(&r);
    r.asks[0] = r.asks[1] = r.asks[2] = true;
    flow_rig_uplink_t *u = flow_rig_uplink(&r, "berlin", "", NULL);
    flow_rig_start(&r, &f, &options);
    flow_rig_opened(u, &site, "10.0.0.7");
    flow_rig_expect(&r, "");
    assert_int_equal(f.established, 1);
    wst_flow_cancel(f.flow);
    flow_rig_turns(&r, 3);
    fake_stream_free(&site);
    flow_rig_close(&r);
}

static void test_denied(void **state) {
    (void)state;
    for (int question = 0; question < 3; question++) {
        flow_rig_t r;
        flow_rig_flow_t f;
        fake_stream_t site;
        flow_rig_open(&r);
        r.asks[question] = r.holds[question] = true;
        flow_rig_uplink_t *u = flow_rig_uplink(&r, "berlin", "", NULL);
        flow_rig_start(&r, &f, &flow_rig_plain);
        if (question == WST__ASK_REACHED)
            flow_rig_opened(u, &site, "10.0.0.7");
        wst_request_deny(r.question, 407, "Who are you?", "X-Who: you\r\n");
        flow_rig_turns(&r, 2);
        assert_int_equal(f.refused, 1);
        assert_int_equal(f.code, WST_EDENIED);
        assert_int_equal(f.http_status, 407);
        assert_string_equal(f.reason, "Who are you?");
        assert_string_equal(f.fields, "X-Who: you\r\n");
        assert_non_null(strstr(r.events, "refused: host:22: 407 Who are you?\n"));
        if (question == WST__ASK_REACHED) {
            assert_true(site.closed);
            flow_rig_turns(&r, 2);
            fake_stream_free(&site);
        }
        flow_rig_close(&r);
    }
}

static const struct wst_tls_info *seen_tls;

static void note_tls(void *owner, wst__question_t question, wst_request_t *request) {
    flow_rig_t *r = owner;
    (void)question;
    seen_tls = wst_request_tls(request);
    wst_request_choose(request, wst__ingress_best(&r->ingress, request, NULL, NULL, NULL));
}

/* A request that is tried once more, since its kept connection had gone stale: the questions show
 * the client's TLS session as those before. */
static void test_tls_of_the_second_try(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    fake_stream_t site;
    const struct wst_tls_info *tls = (const struct wst_tls_info *)8; /* is not looked into */
    const wst_http_head_t head = {0};
    wst_flow_options_t options = flow_rig_plain;
    options.tls = tls;
    options.head = &head;
    flow_rig_open(&r);
    flow_rig_uplink_t *u = flow_rig_uplink(&r, "berlin", "", NULL);
    wst__ingress_hooks_t hooks = *r.ingress.hooks;
    hooks.ask = note_tls;
    r.ingress.hooks = &hooks;
    r.asks[WST__ASK_CHOOSE] = true;
    flow_rig_start(&r, &f, &options);
    assert_ptr_equal(seen_tls, tls);
    flow_rig_turns(&r, 2);
    flow_rig_opened(u, &site, "10.0.0.7");
    wst_stream_close(wst__flow_release(f.flow), NULL);
    wst__flow_begin(f.flow);
    wst__flow_over(f.flow, WST_ERESET, "agent");
    wst__flow_dial(f.flow, &head, tls); /* as forward.c does then */
    const struct wst_tls_info *second = seen_tls;
    flow_rig_turns(&r, 3);
    wst_flow_cancel(f.flow);
    flow_rig_turns(&r, 3);
    fake_stream_free(&site);
    flow_rig_close(&r);
    assert_ptr_equal(second, tls);
}

/* -- Options ---------------------------------------------------------------------------------- */

static void test_bad_options(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    flow_rig_open(&r);
    const wst_flow_options_t nowhere = {.size = sizeof(nowhere)},
                             wrong = {.size = sizeof(wrong), .destination = "host"};
    assert_int_equal(flow_rig_try(&r, &f, &nowhere), WST_EINVAL);
    assert_int_equal(flow_rig_try(&r, &f, &wrong), WST_EDEST);
    wst__ticket_t hold = {0};
    wst__ticket_take(&hold, &r.node.holds);
    wst__node_close(&r.node);
    assert_int_equal(flow_rig_try(&r, &f, &flow_rig_plain), WST_ESTATE);
    wst__ticket_give_back(&hold);
    flow_rig_close(&r);
}

/* No agent can have a label of 199 bytes. */
static void test_long_label(void **state) {
    (void)state;
    char text[200];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    const char *const labels[] = {text, NULL};
    flow_rig_t r;
    flow_rig_flow_t f;
    flow_rig_open(&r);
    flow_rig_uplink_t *u = flow_rig_uplink(&r, "berlin", "", NULL);
    const wst_flow_options_t options = {
        .size = sizeof(options), .destination = "a:1", .labels = labels};
    assert_int_equal(flow_rig_try(&r, &f, &options), WST_EINVAL);
    flow_rig_turns(&r, 2);
    assert_false(u->asked);
    flow_rig_close(&r);
}

/* An agent whose name is as long as names may be is not found by a longer name. */
static void test_long_name(void **state) {
    (void)state;
    char name[WST_NAME_MAX + 2];
    flow_rig_t r;
    flow_rig_flow_t f;
    memset(name, 'x', sizeof(name) - 1);
    name[WST_NAME_MAX] = '\0';
    flow_rig_open(&r);
    flow_rig_uplink_t *u = flow_rig_uplink(&r, name, "", NULL);
    name[WST_NAME_MAX] = 'y';
    name[WST_NAME_MAX + 1] = '\0';
    const wst_flow_options_t options = {
        .size = sizeof(options), .destination = "a:1", .agent = name};
    assert_int_equal(flow_rig_try(&r, &f, &options), WST_EINVAL);
    flow_rig_turns(&r, 2);
    assert_false(u->asked);
    flow_rig_close(&r);
}

static void test_long_user(void **state) {
    (void)state;
    char name[129];
    flow_rig_t r;
    flow_rig_flow_t f;
    memset(name, 'x', sizeof(name) - 1);
    name[128] = '\0';
    flow_rig_open(&r);
    const wst_flow_options_t user = {.size = sizeof(user), .destination = "a:1", .user = name},
                             tenant = {
                                 .size = sizeof(tenant), .destination = "a:1", .tenant = name};
    assert_int_equal(flow_rig_try(&r, &f, &user), WST_EINVAL);
    assert_int_equal(flow_rig_try(&r, &f, &tenant), WST_EINVAL);
    flow_rig_close(&r);
}

/* -- Bounds ----------------------------------------------------------------------------------- */

static void test_bounds(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f[3];
    flow_rig_open(&r);
    flow_rig_uplink(&r, "berlin", "", NULL);
    flow_rig_uplink(&r, "boston", "", NULL);
    for (int i = 0; i < 3; i++) {
        r.uplinks[0].load = r.uplinks[0].asked;
        wst__remotes_changed(&r.ingress.remotes, &r.uplinks[0].member);
        flow_rig_start(&r, &f[i], &flow_rig_plain);
    }
    assert_int_equal(wst__ingress_pending(&r.ingress), 2);
    assert_int_equal(f[2].code, WST_ELIMIT);
    assert_string_equal(f[2].reason, "Too many connections being opened");
    wst_flow_cancel(f[0].flow);
    wst_flow_cancel(f[1].flow);
    flow_rig_close(&r);
}

/* Flows whose client is being asked about are bounded like all others. */
static void test_asking_is_bounded(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f[3];
    flow_rig_open(&r);
    r.asks[WST__ASK_CLIENT] = r.holds[WST__ASK_CLIENT] = true;
    for (int i = 0; i < 3; i++)
        flow_rig_start(&r, &f[i], &flow_rig_plain);
    int code = f[2].code;
    for (int i = 0; i < 3; i++)
        if (f[i].flow != NULL)
            wst_flow_cancel(f[i].flow);
    flow_rig_turns(&r, 3);
    flow_rig_close(&r);
    assert_int_equal(code, WST_ELIMIT);
}

/* The destination may not be this node, whoever asks. */
static void test_self(void **state) {
    (void)state;
    for (int unasked = 0; unasked < 2; unasked++) {
        flow_rig_t r;
        flow_rig_flow_t f;
        fake_stream_t site;
        wst_flow_options_t options = {
            .size = sizeof(options), .destination = "name:8080", .unasked = unasked != 0};
        flow_rig_open(&r);
        r.listens = "198.51.100.7:8080";
        flow_rig_uplink_t *u = flow_rig_uplink(&r, "berlin", "", NULL);
        flow_rig_start(&r, &f, &options);
        flow_rig_opened(u, &site, "198.51.100.7");
        assert_int_equal(f.code, WST_EDENIED);
        assert_string_equal(f.reason, "The destination is this proxy");
        flow_rig_turns(&r, 2);
        fake_stream_free(&site);
        flow_rig_close(&r);
    }
}

static void test_drain_refuses_and_waits(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f, late;
    fake_stream_t site, client;
    flow_rig_open(&r);
    flow_rig_uplink_t *u = flow_rig_uplink(&r, "berlin", "", NULL);
    flow_rig_start(&r, &f, &flow_rig_plain);
    wst__node_drain(&r.node, 100000);
    flow_rig_start(&r, &late, &flow_rig_plain);
    assert_int_equal(late.code, WST_EGOAWAY);
    assert_int_equal(late.http_status, 503);
    flow_rig_opened(u, &site, "10.0.0.7");
    assert_int_equal(fake_stream_open(&client, r.env.ctx), 0);
    assert_int_equal(wst_flow_relay(f.flow, client.stream), 0);
    flow_rig_turns(&r, 3);
    assert_false(r.drained);
    fake_stream_end(&site);
    fake_stream_end(&client);
    test_env_until_count(&r.env, &f.gone, 1);
    flow_rig_turns(&r, 3);
    assert_true(r.drained);
    fake_stream_free(&client);
    fake_stream_free(&site);
    flow_rig_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_questions_in_order),
        cmocka_unit_test(test_authenticated),
        cmocka_unit_test(test_unasked),
        cmocka_unit_test(test_denied),
        cmocka_unit_test(test_tls_of_the_second_try),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_long_label),
        cmocka_unit_test(test_long_name),
        cmocka_unit_test(test_long_user),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_asking_is_bounded),
        cmocka_unit_test(test_self),
        cmocka_unit_test(test_drain_refuses_and_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
