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
    flow_rig_expect(&r,
                    "refused: host:22: 502 Connection refused by destination: nobody listens\n");
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

/* Who wants many streams of a missing agent leaves others some room to wait for theirs. */
static void test_many_wait_for_a_missing_agent(void **state) {
    (void)state;
    enum { MANY = 6 };
    flow_rig_t r;
    flow_rig_flow_t f[MANY], other;
    flow_rig_open(&r);
    wst__ingress_limits_t limits = r.ingress.limits;
    limits.max_pending = limits.max_flows = 2 * MANY;
    wst__ingress_set_limits(&r.ingress, &limits);
    flow_rig_uplink_t *missing = flow_rig_uplink(&r, "berlin", "", NULL);
    missing->status = WST__UPLINK_AWAY;
    wst__remotes_changed(&r.ingress.remotes, &missing->member);
    for (int i = 0; i < MANY; i++) {
        flow_rig_start(&r, &f[i], &flow_rig_plain);
        assert_int_equal(f[i].refused, i >= MANY * 2 / 3);
    }
    assert_int_equal(f[MANY - 1].http_status, 503);
    wst_flow_options_t o = flow_rig_plain;
    o.peer = "192.0.2.2:5";
    flow_rig_start(&r, &other, &o);
    assert_int_equal(other.refused, 0);
    missing->status = 0;
    missing->refuses = WST_ENOMEM;
    wst__remotes_changed(&r.ingress.remotes, &missing->member);
    wst__ingress_wake(&r.ingress);
    flow_rig_turns(&r, 4);
    assert_int_equal(other.refused, 1);
    assert_int_equal(r.ingress.accounts.away.used, 0);
    flow_rig_close(&r);
}

/* -- Turns ------------------------------------------------------------------------------------ */

/* An agent that opens one connection at a time, and a flow that it is opening. */
static flow_rig_uplink_t *open_crowded(flow_rig_t *r, flow_rig_flow_t *first) {
    flow_rig_open(r);
    r->ingress.turns.limit = 1;
    r->ingress.accounts.dials.limit = 9;
    flow_rig_uplink_t *agent = flow_rig_uplink(r, "berlin", "", NULL);
    flow_rig_start(r, first, &flow_rig_plain);
    assert_true(agent->asked);
    return agent;
}

static void test_waits_for_its_turn(void **state) {
    (void)state;
    for (int asks = 0; asks < 2; asks++) { /* with and without a policy that chooses */
        flow_rig_t r;
        flow_rig_flow_t f, g;
        flow_rig_uplink_t *agent = open_crowded(&r, &f);
        wst_flow_options_t other = flow_rig_plain;
        other.destination = "other:1";
        r.asks[WST__ASK_CHOOSE] = asks;
        flow_rig_start(&r, &g, &other);
        flow_rig_turns(&r, 2);
        assert_int_equal(g.refused, 0);
        assert_string_equal(agent->destination, "host:22");
        flow_rig_failed(agent, WST_EREFUSED, "nobody listens");
        flow_rig_turns(&r, 3);
        assert_int_equal(f.refused, 1);
        assert_string_equal(agent->destination, "other:1");
        wst_flow_cancel(g.flow);
        flow_rig_close(&r);
    }
}

static void test_turn_at_another_agent(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f, g;
    open_crowded(&r, &f);
    flow_rig_uplink_t *other = flow_rig_uplink(&r, "boston", "", NULL);
    r.uplinks[0].load = 0;
    other->load = 5; /* the first one is asked first, in vain */
    wst__remotes_changed(&r.ingress.remotes, &other->member);
    flow_rig_start(&r, &g, &flow_rig_plain);
    flow_rig_turns(&r, 2);
    assert_true(other->asked);
    wst_flow_cancel(f.flow);
    wst_flow_cancel(g.flow);
    flow_rig_close(&r);
}

/* All who wait prefer an agent that has no place for them. When one is free at the other agent, the
 * first of them uses it, rather than that it goes round. */
static void test_turn_is_used(void **state) {
    (void)state;
    enum { WAITING = 6 };
    flow_rig_t r;
    flow_rig_flow_t f, g, waiting[WAITING];
    wst_flow_options_t other = flow_rig_plain;
    other.destination = "other:1";
    flow_rig_uplink_t *agent = open_crowded(&r, &f);
    r.ingress.accounts.dials.limit = r.ingress.accounts.flows.limit = 30;
    flow_rig_uplink_t *preferred = flow_rig_uplink(&r, "boston", "", NULL);
    agent->load = 5;
    wst__remotes_changed(&r.ingress.remotes, &agent->member);
    flow_rig_start(&r, &g, &flow_rig_plain);
    assert_true(preferred->asked);
    for (int i = 0; i < WAITING; i++)
        flow_rig_start(&r, &waiting[i], &other);
    flow_rig_turns(&r, 4);
    flow_rig_failed(agent, WST_EREFUSED, "");
    flow_rig_turns(&r, 3 * WAITING);
    assert_true(agent->asked);
    assert_string_equal(agent->destination, "other:1");
    wst_flow_cancel(g.flow);
    for (int i = 0; i < WAITING; i++)
        wst_flow_cancel(waiting[i].flow);
    flow_rig_close(&r);
}

/* A turn is to come at one agent; another one is missing, and need not come back. */
static void test_turn_comes_before_a_missing_agent(void **state) {
    (void)state;
    for (int asks = 0; asks < 2; asks++) {
        flow_rig_t r;
        flow_rig_flow_t f, g;
        wst_flow_options_t other = flow_rig_plain;
        other.destination = "other:1";
        flow_rig_uplink_t *agent = open_crowded(&r, &f);
        flow_rig_uplink_t *missing = flow_rig_uplink(&r, "boston", "", NULL);
        missing->status = WST__UPLINK_AWAY;
        wst__remotes_changed(&r.ingress.remotes, &missing->member);
        r.asks[WST__ASK_CHOOSE] = asks;
        flow_rig_start(&r, &g, &other);
        flow_rig_turns(&r, 4);
        assert_int_equal(g.refused, 0);
        flow_rig_failed(agent, WST_EREFUSED, "");
        flow_rig_turns(&r, 4);
        assert_true(agent->asked);
        assert_string_equal(agent->destination, "other:1");
        wst_flow_cancel(g.flow);
        flow_rig_close(&r);
    }
}

/* Another agent comes before the turn does. */
static void test_an_agent_comes_before_the_turn(void **state) {
    (void)state;
    for (int missed = 0; missed < 2; missed++) { /* it was there, or it is new */
        flow_rig_t r;
        flow_rig_flow_t f, g, h;
        flow_rig_uplink_t *other = NULL;
        open_crowded(&r, &f);
        if (missed) {
            other = flow_rig_uplink(&r, "boston", "", NULL);
            other->status = WST__UPLINK_AWAY;
            wst__remotes_changed(&r.ingress.remotes, &other->member);
        }
        flow_rig_start(&r, &g, &flow_rig_plain);
        flow_rig_start(&r, &h, &flow_rig_plain);
        flow_rig_turns(&r, 4);
        if (missed) {
            other->status = 0;
            wst__remotes_changed(&r.ingress.remotes, &other->member);
            wst__ingress_wake(&r.ingress);
        } else {
            other = flow_rig_uplink(&r, "boston", "", NULL);
        }
        flow_rig_turns(&r, 8);
        assert_true(other->asked);
        assert_int_equal(g.refused + h.refused, 0);
        flow_rig_failed(other, WST_EREFUSED, ""); /* for the first of them; the other is next */
        flow_rig_turns(&r, 8);
        assert_int_equal(g.refused, 1);
        assert_true(other->asked);
        wst_flow_cancel(f.flow);
        wst_flow_cancel(h.flow);
        flow_rig_close(&r);
    }
}

/* All tries were in vain: they begin anew. */
static void test_tries_before_the_turn(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t busy[WST__TRIES_MAX], g;
    flow_rig_open(&r);
    r.ingress.turns.limit = 1;
    r.ingress.accounts.dials.limit = r.ingress.accounts.flows.limit = 90;
    for (int i = 0; i < WST__TRIES_MAX; i++) {
        flow_rig_uplink(&r, "berlin", "", NULL);
        flow_rig_start(&r, &busy[i], &flow_rig_plain);
        flow_rig_turns(&r, 2 * WST__TRIES_MAX);
        assert_true(r.uplinks[i].asked);
        r.uplinks[i].load = 1;
        wst__remotes_changed(&r.ingress.remotes, &r.uplinks[i].member);
    }
    flow_rig_start(&r, &g, &flow_rig_plain);
    flow_rig_turns(&r, 2 * WST__TRIES_MAX);
    assert_int_equal(g.flow->search->tries, WST__TRIES_MAX);
    flow_rig_uplink_t *last = flow_rig_uplink(&r, "berlin", "", NULL);
    flow_rig_turns(&r, 2 * WST__TRIES_MAX + 2);
    assert_true(last->asked);
    assert_int_equal(g.flow->search->tries, 1);
    for (int i = 0; i < WST__TRIES_MAX; i++)
        wst_flow_cancel(busy[i].flow);
    wst_flow_cancel(g.flow);
    flow_rig_close(&r);
}

/* Whose turn it is, and whose agent is gone, waits for that without a place. */
static void test_missing_at_its_turn(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f, g, h;
    flow_rig_uplink_t *agent = open_crowded(&r, &f);
    r.ingress.accounts.away.limit = 9;
    flow_rig_start(&r, &g, &flow_rig_plain);
    flow_rig_start(&r, &h, &flow_rig_plain);
    agent->status = WST__UPLINK_AWAY;
    wst__remotes_changed(&r.ingress.remotes, &agent->member);
    flow_rig_failed(agent, WST_ELOST, "");
    flow_rig_turns(&r, 8);
    assert_int_equal(f.refused + g.refused + h.refused, 0);
    assert_int_equal(r.ingress.accounts.away.used, 3);
    assert_int_equal(r.ingress.turns.agents.count, 0);
    agent->status = 0;
    wst__remotes_changed(&r.ingress.remotes, &agent->member);
    wst__ingress_wake(&r.ingress);
    flow_rig_turns(&r, 4);
    assert_true(agent->asked);
    wst_flow_cancel(f.flow);
    wst_flow_cancel(g.flow);
    wst_flow_cancel(h.flow);
    flow_rig_close(&r);
}

static void test_turn_that_does_not_come(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f, g;
    flow_rig_uplink_t *agent = open_crowded(&r, &f);
    wst_flow_options_t hasty = flow_rig_plain;
    hasty.timeout_ms = 1;
    flow_rig_start(&r, &g, &hasty);
    while (g.refused == 0)
        flow_rig_turns(&r, 1);
    assert_int_equal(g.http_status, 429);
    assert_int_equal(g.code, WST_ELIMIT);
    flow_rig_failed(agent, WST_EREFUSED, "");
    flow_rig_close(&r);
}

/* The agent leaves: those who wait are refused, since there is no other. */
static void test_turn_at_an_agent_that_leaves(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f, g, h;
    flow_rig_uplink_t *agent = open_crowded(&r, &f);
    flow_rig_start(&r, &g, &flow_rig_plain);
    flow_rig_start(&r, &h, &flow_rig_plain);
    flow_rig_lose(agent);
    flow_rig_turns(&r, 8);
    assert_int_equal(f.refused + g.refused + h.refused, 3);
    assert_int_equal(h.http_status, 503);
    flow_rig_close(&r);
}

static void test_leaves_before_its_turn(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f, g, h;
    flow_rig_uplink_t *agent = open_crowded(&r, &f);
    wst_flow_options_t other = flow_rig_plain;
    other.destination = "other:1";
    flow_rig_start(&r, &g, &flow_rig_plain);
    flow_rig_start(&r, &h, &other);
    wst_flow_cancel(g.flow);
    flow_rig_failed(agent, WST_EREFUSED, "");
    flow_rig_turns(&r, 6);
    assert_string_equal(agent->destination, "other:1");
    wst_flow_cancel(h.flow);
    flow_rig_close(&r);
}

/* How a flow ends whose agent has not opened its stream. */
typedef enum ending { GIVEN_UP, TIMED_OUT, UNANSWERED, KNOWN, ANSWERED } ending_t;

static void end_flow(flow_rig_uplink_t *agent, flow_rig_flow_t *f, ending_t ending) {
    if (ending == UNANSWERED)
        f->flow->asked_ms -= 1000; /* the agent has waited for the name's servers */
    if (ending == GIVEN_UP)
        wst_flow_cancel(f->flow);
    else if (ending == TIMED_OUT)
        wst__flow_refuse(f->flow, WST_ETIMEOUT, (wst_str_t){NULL, 0});
    else
        flow_rig_failed(agent, ending == ANSWERED ? WST_EREFUSED : WST_ENAMETIMEOUT, "");
}

/* For a name that has not been answered, the agent may still have a thread that looks it up. */
static void test_place_of_an_unanswered_name(void **state) {
    (void)state;
    static const struct {
        const char *destination;
        ending_t ending;
        bool kept;
    } cases[] = {
        {"host:22", GIVEN_UP, true},
        {"host:22", TIMED_OUT, true},
        {"host:22", UNANSWERED, true},
        {"host:22", KNOWN, false},
        {"host:22", ANSWERED, false},
        {"192.0.2.1:22", GIVEN_UP, false},
        {"[2001:db8::1]:22", TIMED_OUT, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        flow_rig_t r;
        flow_rig_flow_t f, g;
        flow_rig_open(&r);
        r.ingress.turns.limit = 1;
        r.ingress.accounts.dials.limit = 9;
        flow_rig_uplink_t *agent = flow_rig_uplink(&r, "berlin", "", NULL);
        wst_flow_options_t first = flow_rig_plain, second = flow_rig_plain;
        first.destination = cases[i].destination;
        second.destination = "other:1";
        second.timeout_ms = 100000;
        wst__deadlines_t *deadlines = &r.env.ctx->deadlines;
        uint64_t now = wst_ctx_now(r.env.ctx);
        flow_rig_start(&r, &f, &first);
        flow_rig_start(&r, &g, &second);
        end_flow(agent, &f, cases[i].ending);
        wst__deadlines_run(deadlines, now + WST__LATE_MS - 1);
        flow_rig_turns(&r, 3);
        assert_int_equal(strcmp(agent->destination, "other:1") != 0, cases[i].kept);
        wst__deadlines_run(deadlines, now + 2 * WST__LATE_MS);
        flow_rig_turns(&r, 3);
        assert_string_equal(agent->destination, "other:1");
        end_flow(agent, &g, GIVEN_UP); /* its place goes with the ingress */
        flow_rig_close(&r);
    }
}

/* Without memory for that, the place is free at once. */
static void test_no_memory_to_keep_a_place(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    open_crowded(&r, &f);
    test_alloc_fail(1);
    wst_flow_cancel(f.flow);
    test_alloc_fail(0);
    assert_int_equal(r.ingress.turns.agents.count, 0);
    flow_rig_close(&r);
}

/* -- Room for a stream ------------------------------------------------------------------------ */

enum { COST = 1000 };

/* Of the owner of the flows. */
static struct {
    size_t pinned; /* what it could give back, */
    size_t piece;  /* so much at a time */
    size_t asked;
} owner;

static bool make_room(void *user_data) {
    flow_rig_t *r = user_data;
    size_t piece = owner.pinned < owner.piece ? owner.pinned : owner.piece;
    owner.asked++;
    owner.pinned -= piece;
    wst__budget_release(&r->env.ctx->budget, piece);
    return piece > 0;
}

/* All memory is in use, of which the owner can give so much back. */
static void take_memory(flow_rig_t *r, size_t pinned) {
    size_t all = r->env.ctx->budget.limit - r->env.ctx->budget.used;
    assert_true(wst__budget_reserve(&r->env.ctx->budget, all));
    owner.pinned = pinned;
    owner.piece = COST / 2;
    owner.asked = 0;
}

static flow_rig_uplink_t *open_full(flow_rig_t *r, wst__ingress_hooks_t *hooks) {
    flow_rig_open(r);
    r->ingress.limits.stream_memory = COST;
    *hooks = *r->ingress.hooks;
    hooks->make_room = make_room;
    r->ingress.hooks = hooks;
    return flow_rig_uplink(r, "berlin", "", NULL);
}

static void close_full(flow_rig_t *r) {
    wst__budget_release(&r->env.ctx->budget, r->env.ctx->budget.used);
    flow_rig_close(r);
}

/* The flow tries again whenever some is given back, and ends if nothing is. */
static void test_room(void **state) {
    (void)state;
    for (int questions = 0; questions < 2; questions++) {
        flow_rig_t r;
        flow_rig_flow_t f, g;
        wst__ingress_hooks_t hooks;
        flow_rig_uplink_t *agent = open_full(&r, &hooks);
        r.asks[WST__ASK_CLIENT] = questions != 0;
        take_memory(&r, 2 * COST);
        flow_rig_start(&r, &f, &flow_rig_plain);
        flow_rig_turns(&r, 6);
        assert_true(agent->asked);
        assert_int_equal(owner.asked, 2); /* half of it each time */
        wst_flow_cancel(f.flow);
        take_memory(&r, COST / 2);
        agent->asked = false;
        flow_rig_start(&r, &g, &flow_rig_plain);
        flow_rig_turns(&r, 6);
        assert_false(agent->asked);
        assert_int_equal(owner.asked, 2);
        assert_int_equal(g.code, WST_EMEMORY);
        close_full(&r);
    }
}

/* The memory is gone when the stream is opened. */
static void test_room_for_the_open(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    wst__ingress_hooks_t hooks;
    flow_rig_uplink_t *agent = open_full(&r, &hooks);
    r.asks[WST__ASK_CHOOSE] = r.holds[WST__ASK_CHOOSE] = true;
    flow_rig_start(&r, &f, &flow_rig_plain);
    take_memory(&r, COST / 2);
    agent->refuses = WST_EMEMORY;
    wst_request_choose(r.question, agent->member.remote);
    r.question = NULL;
    r.holds[WST__ASK_CHOOSE] = false;
    flow_rig_turns(&r, 1);
    agent->refuses = 0;
    flow_rig_turns(&r, 4);
    assert_true(agent->asked);
    assert_int_equal(owner.asked, 1);
    wst_flow_cancel(f.flow);
    close_full(&r);
}

/* The uplink's own quota: no room is made. */
static void test_no_room_at_the_uplink(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    wst__ingress_hooks_t hooks;
    flow_rig_uplink_t *agent = open_full(&r, &hooks);
    take_memory(&r, 4 * COST);
    wst__budget_release(&r.env.ctx->budget, 2 * COST);
    agent->refuses = WST_EMEMORY;
    agent->quota = true;
    flow_rig_start(&r, &f, &flow_rig_plain);
    flow_rig_turns(&r, 4);
    assert_int_equal(f.code, WST_EMEMORY);
    assert_int_equal(owner.asked, 0);
    close_full(&r);
}

static void test_no_room_beyond_a_quota(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    wst__ingress_hooks_t hooks;
    open_full(&r, &hooks);
    wst__accounts_set_quotas(&r.ingress.accounts, (wst__quota_t){.memory = COST - 1},
                             (wst__quota_t){0});
    take_memory(&r, 4 * COST);
    flow_rig_start(&r, &f, &flow_rig_plain);
    flow_rig_turns(&r, 4);
    assert_int_equal(f.refused, 1);
    assert_int_equal(owner.asked, 0);
    close_full(&r);
}

/* Leaving, or closing all, while the flow waits for the next turn. */
static void test_leaves_before_there_is_room(void **state) {
    (void)state;
    for (int closes = 0; closes < 2; closes++) {
        flow_rig_t r;
        flow_rig_flow_t f;
        wst__ingress_hooks_t hooks;
        flow_rig_uplink_t *agent = open_full(&r, &hooks);
        take_memory(&r, 4 * COST);
        flow_rig_start(&r, &f, &flow_rig_plain);
        if (closes == 0)
            wst_flow_cancel(f.flow);
        else
            wst__node_close(&r.node);
        flow_rig_turns(&r, 4);
        assert_false(agent->asked);
        close_full(&r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_selectors),
        cmocka_unit_test(test_choice_outside),
        cmocka_unit_test(test_choice_by_name),
        cmocka_unit_test(test_none_is_none),
        cmocka_unit_test(test_another_uplink),
        cmocka_unit_test(test_waits),
        cmocka_unit_test(test_comes_meanwhile),
        cmocka_unit_test(test_drain_ends_the_wait),
        cmocka_unit_test(test_many_wait_for_a_missing_agent),
        cmocka_unit_test(test_waits_for_its_turn),
        cmocka_unit_test(test_turn_at_another_agent),
        cmocka_unit_test(test_turn_is_used),
        cmocka_unit_test(test_turn_comes_before_a_missing_agent),
        cmocka_unit_test(test_an_agent_comes_before_the_turn),
        cmocka_unit_test(test_tries_before_the_turn),
        cmocka_unit_test(test_missing_at_its_turn),
        cmocka_unit_test(test_turn_that_does_not_come),
        cmocka_unit_test(test_turn_at_an_agent_that_leaves),
        cmocka_unit_test(test_leaves_before_its_turn),
        cmocka_unit_test(test_place_of_an_unanswered_name),
        cmocka_unit_test(test_no_memory_to_keep_a_place),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_room_for_the_open),
        cmocka_unit_test(test_no_room_at_the_uplink),
        cmocka_unit_test(test_no_room_beyond_a_quota),
        cmocka_unit_test(test_leaves_before_there_is_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
