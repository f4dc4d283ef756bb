/* SPDX-License-Identifier: MIT */
/* Which agent a flow goes through: what the flow asks for, what the policy chooses, and waiting for
 * an agent that renews itself. */
#include "flow_rig.h"

static void expect_through(const wst_flow_options_t *options, int which, int code) {
    static const char *const eu[] = {"eu", "rack", NULL}, *const us[] = {"us", "rack", NULL};
    flow_rig_t r;
    flow_rig_flow_t f;
    flow_rig_open(&r);
    r.asks[WST__ASK_CHOOSE] = options->timeout_ms == 1; /* the same with a policy that chooses */
    flow_rig_uplink(&r, "berlin", "", eu);
    flow_rig_uplink(&r, "boston", "", us);
    flow_rig_uplink(&r, "acme-1", "acme", NULL);
    wst_flow_options_t o = *options;
    o.timeout_ms = 0;
    if (o.remote != NULL)
        o.remote = r.uplinks[2].member.remote;
    flow_rig_start(&r, &f, &o);
    flow_rig_turns(&r, 2);
    for (int i = 0; i < 3; i++)
        assert_int_equal(r.uplinks[i].asked, i == which);
    assert_int_equal(f.code, code);
    if (f.flow != NULL)
        wst_flow_cancel(f.flow);
    flow_rig_close(&r);
}

static void test_selectors(void **state) {
    (void)state;
    static const char *const us[] = {"us", NULL}, *const both[] = {"us", "eu", NULL},
                             *const racks[] = {"rack", "eu", NULL};
    static wst_remote_t *const third = (wst_remote_t *)8; /* replaced by the third agent */
    for (uint64_t asked = 0; asked < 2; asked++) {
        const wst_flow_options_t any = {.size = sizeof(any),
                                        .destination = "a:1",
                                        .timeout_ms = asked},
                                 named = {.size = sizeof(named),
                                          .destination = "a:1",
                                          .agent = "boston",
                                          .timeout_ms = asked},
                                 nobody = {.size = sizeof(nobody),
                                           .destination = "a:1",
                                           .agent = "paris",
                                           .timeout_ms = asked},
                                 labelled = {.size = sizeof(labelled),
                                             .destination = "a:1",
                                             .labels = us,
                                             .timeout_ms = asked},
                                 racked = {.size = sizeof(racked),
                                           .destination = "a:1",
                                           .labels = racks,
                                           .timeout_ms = asked},
                                 none = {.size = sizeof(none),
                                         .destination = "a:1",
                                         .labels = both,
                                         .timeout_ms = asked},
                                 tenant = {.size = sizeof(tenant),
                                           .destination = "a:1",
                                           .tenant = "acme",
                                           .timeout_ms = asked},
                                 foreign = {.size = sizeof(foreign),
                                            .destination = "a:1",
                                            .tenant = "acme",
                                            .agent = "berlin",
                                            .timeout_ms = asked},
                                 one = {.size = sizeof(one),
                                        .destination = "a:1",
                                        .remote = third,
                                        .timeout_ms = asked};
        expect_through(&any, 0, 0);
        expect_through(&named, 1, 0);
        expect_through(&nobody, -1, WST_ENOAGENT);
        expect_through(&labelled, 1, 0);
        expect_through(&racked, 0, 0);
        expect_through(&none, -1, WST_ENOAGENT);
        expect_through(&tenant, 2, 0);
        expect_through(&foreign, -1, WST_ENOAGENT);
        expect_through(&one, 2,
                       0); /* an agent's tenant is the flow's, unless it says another one */
    }
}

/* A policy may not choose outside of what the flow asked for. */
static void test_choice_outside(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    wst_flow_options_t options = flow_rig_plain;
    options.agent = "berlin";
    flow_rig_open(&r);
    r.asks[WST__ASK_CHOOSE] = r.holds[WST__ASK_CHOOSE] = true;
    flow_rig_uplink(&r, "berlin", "", NULL);
    flow_rig_uplink_t *other = flow_rig_uplink(&r, "boston", "", NULL);
    flow_rig_start(&r, &f, &options);
    wst_request_choose(r.question, other->member.remote);
    flow_rig_turns(&r, 2);
    assert_int_equal(f.code, WST_ENOAGENT);
    assert_false(other->asked);
    flow_rig_close(&r);
}

static bool count_and_admit(const wst_remote_t *remote, void *user_data) {
    (void)remote;
    ++*(size_t *)user_data;
    return true;
}

/* A policy that knows the name is asked about no other agent; a name that the flow does not want is
 * nobody's. */
static void test_choice_by_name(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f, g;
    size_t asked = 0;
    wst_flow_options_t options = flow_rig_plain;
    options.agent = "berlin";
    flow_rig_open(&r);
    r.asks[WST__ASK_CHOOSE] = r.holds[WST__ASK_CHOOSE] = true;
    flow_rig_uplink(&r, "berlin", "", NULL);
    flow_rig_uplink_t *boston = flow_rig_uplink(&r, "boston", "", NULL);
    flow_rig_start(&r, &f, &flow_rig_plain);
    assert_null(wst__ingress_best(&r.ingress, r.question, "paris", count_and_admit, &asked));
    assert_int_equal(asked, 0);
    wst_remote_t *best =
        wst__ingress_best(&r.ingress, r.question, "boston", count_and_admit, &asked);
    assert_ptr_equal(best, boston->member.remote);
    assert_int_equal(asked, 1);
    wst_request_choose(r.question, best);
    flow_rig_turns(&r, 2);
    assert_true(boston->asked);
    wst_flow_cancel(f.flow);
    flow_rig_start(&r, &g, &options);
    assert_null(wst__ingress_best(&r.ingress, r.question, "boston", count_and_admit, &asked));
    assert_int_equal(asked, 1);
    wst_request_choose(r.question, NULL);
    flow_rig_turns(&r, 2);
    assert_int_equal(g.code, WST_ENOAGENT);
    flow_rig_close(&r);
}

static void choose_none(void *owner, wst__question_t question, wst_request_t *request) {
    flow_rig_t *r = owner;
    (void)question;
    assert_non_null(wst__ingress_best(&r->ingress, request, NULL, NULL, NULL));
    wst_request_choose(request, NULL);
}

/* A policy that chooses NULL although an agent could serve the flow: the flow does not wait. */
static void test_none_is_none(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    flow_rig_open(&r);
    flow_rig_uplink_t *used = flow_rig_uplink(&r, "berlin", "", NULL);
    flow_rig_uplink_t *fresh = &r.uplinks[r.uplink_count++]; /* of the same agent */
    *fresh = (flow_rig_uplink_t){.rig = &r, .uplink = used->uplink};
    const wst_hello_t hello = {.size = sizeof(hello),
                               .name = {"berlin", 6},
                               .has_instance = true,
                               .instance = {1},
                               .conn = 1,
                               .epoch = 1};
    wst__member_t *replaced;
    bool is_new;
    assert_int_equal(wst__remotes_join(&r.ingress.remotes, &fresh->member, &fresh->uplink, &hello,
                                       "", NULL, &replaced, &is_new),
                     0);
    assert_false(is_new);
    used->uplink.renews = true;
    used->status = WST_ELIMIT;
    wst__remotes_changed(&r.ingress.remotes, &used->member);
    wst__ingress_hooks_t hooks = *r.ingress.hooks;
    hooks.ask = choose_none;
    r.ingress.hooks = &hooks;
    r.asks[WST__ASK_CHOOSE] = true;
    flow_rig_start(&r, &f, &flow_rig_plain);
    flow_rig_turns(&r, 3);
    int code = f.code;
    if (f.flow != NULL)
        wst_flow_cancel(f.flow);
    flow_rig_close(&r);
    assert_int_equal(code, WST_ENOAGENT);
}

static void test_another_uplink(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    flow_rig_open(&r);
    flow_rig_uplink_t *first = flow_rig_uplink(&r, "berlin", "", NULL);
    flow_rig_uplink_t *second = flow_rig_uplink(&r, "boston", "", NULL);
    flow_rig_start(&r, &f, &flow_rig_plain);
    assert_true(first->asked);
    flow_rig_failed(first, WST_EMEMORY, "");
    flow_rig_turns(&r, 2);
    assert_true(second->asked);
    flow_rig_failed(second, WST_EREFUSED, "nobody listens");
    assert_int_equal(f.code, WST_EREFUSED);
    flow_rig_expect(&r, "refused: host:22: 502 Connection refused by destination\n");
    flow_rig_close(&r);
}

/* -- Waiting ---------------------------------------------------------------------------------- */

/* An agent that replaces what is used up is waited for. */
static void test_waits(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f, g;
    flow_rig_open(&r);
    flow_rig_uplink_t *used = flow_rig_uplink(&r, "berlin", "", NULL);
    used->uplink.renews = true;
    used->status = WST_ELIMIT;
    wst__remotes_changed(&r.ingress.remotes, &used->member);
    flow_rig_start(&r, &f, &flow_rig_plain);
    flow_rig_start(&r, &g, &flow_rig_plain);
    assert_int_equal(f.refused, 0);
    wst_flow_cancel(g.flow);
    flow_rig_uplink_t *fresh = flow_rig_uplink(&r, "berlin", "", NULL);
    flow_rig_turns(&r, 2);
    assert_true(fresh->asked);
    wst_flow_cancel(f.flow);
    flow_rig_close(&r);
}

/* It comes while the embedder's answer, that there is none, is on its way. */
static void test_comes_meanwhile(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    flow_rig_open(&r);
    r.asks[WST__ASK_CHOOSE] = r.holds[WST__ASK_CHOOSE] = true;
    flow_rig_uplink_t *used = flow_rig_uplink(&r, "berlin", "", NULL);
    used->uplink.renews = true;
    used->status = WST_ELIMIT;
    wst__remotes_changed(&r.ingress.remotes, &used->member);
    flow_rig_start(&r, &f, &flow_rig_plain);
    wst_request_choose(r.question, wst__ingress_best(&r.ingress, r.question, NULL, NULL, NULL));
    r.holds[WST__ASK_CHOOSE] = false;
    flow_rig_uplink_t *fresh = flow_rig_uplink(&r, "berlin", "", NULL);
    flow_rig_turns(&r, 4);
    assert_true(fresh->asked);
    wst_flow_cancel(f.flow);
    flow_rig_close(&r);
}

static void test_drain_ends_the_wait(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    flow_rig_open(&r);
    flow_rig_uplink_t *used = flow_rig_uplink(&r, "berlin", "", NULL);
    used->uplink.renews = true;
    used->status = WST_ELIMIT;
    wst__remotes_changed(&r.ingress.remotes, &used->member);
    flow_rig_start(&r, &f, &flow_rig_plain);
    wst__node_drain(&r.node, 100000);
    flow_rig_turns(&r, 3);
    assert_int_equal(f.code, WST_ELIMIT);
    assert_true(r.drained);
    flow_rig_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_selectors),       cmocka_unit_test(test_choice_outside),
        cmocka_unit_test(test_choice_by_name),  cmocka_unit_test(test_none_is_none),
        cmocka_unit_test(test_another_uplink),  cmocka_unit_test(test_waits),
        cmocka_unit_test(test_comes_meanwhile), cmocka_unit_test(test_drain_ends_the_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
