/* SPDX-License-Identifier: MIT */
/* Flows: what is asked, through whom, what came of it; cancelled and closed in every state. */
#include "flow_rig.h"

#include <string.h>

static const wst_flow_options_t plain = {.destination = "host:22", .peer = "192.0.2.1:5"};

static const wst_flow_options_t known = {.destination = "host:22",
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
    flow_rig_start(&r, &f, &plain);
    flow_rig_expect(&r, "client? host:22 for / at 192.0.2.1:5\n");
    wst_request_set_user(r.question, "alice");
    wst_request_set_tenant(r.question, "acme");
    wst_request_allow(r.question);
    flow_rig_turns(&r, 3);
    flow_rig_expect(&r, "choose? host:22 for acme/alice at 192.0.2.1:5\n");
    assert_string_equal(u->destination, "host:22");
    assert_int_equal(r.ingress.pending.count, 1);
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
    assert_int_equal(r.ingress.pending.count, 0);
    assert_int_equal(r.ingress.relaying.count, 1);
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
    wst_flow_options_t options = plain;
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
        flow_rig_start(&r, &f, &plain);
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

/* -- Through whom ----------------------------------------------------------------------------- */

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
        const wst_flow_options_t
            any = {.destination = "a:1", .timeout_ms = asked},
            named = {.destination = "a:1", .agent = "boston", .timeout_ms = asked},
            nobody = {.destination = "a:1", .agent = "paris", .timeout_ms = asked},
            labelled = {.destination = "a:1", .labels = us, .timeout_ms = asked},
            racked = {.destination = "a:1", .labels = racks, .timeout_ms = asked},
            none = {.destination = "a:1", .labels = both, .timeout_ms = asked},
            tenant = {.destination = "a:1", .tenant = "acme", .timeout_ms = asked},
            foreign = {.destination = "a:1",
                       .tenant = "acme",
                       .agent = "berlin",
                       .timeout_ms = asked},
            one = {.destination = "a:1", .remote = third, .timeout_ms = asked};
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
    wst_flow_options_t options = plain;
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
    wst_flow_options_t options = plain;
    options.agent = "berlin";
    flow_rig_open(&r);
    r.asks[WST__ASK_CHOOSE] = r.holds[WST__ASK_CHOOSE] = true;
    flow_rig_uplink(&r, "berlin", "", NULL);
    flow_rig_uplink_t *boston = flow_rig_uplink(&r, "boston", "", NULL);
    flow_rig_start(&r, &f, &plain);
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

static void test_another_uplink(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    flow_rig_open(&r);
    flow_rig_uplink_t *first = flow_rig_uplink(&r, "berlin", "", NULL);
    flow_rig_uplink_t *second = flow_rig_uplink(&r, "boston", "", NULL);
    flow_rig_start(&r, &f, &plain);
    assert_true(first->asked);
    flow_rig_failed(first, WST_EMEMORY, "");
    flow_rig_turns(&r, 2);
    assert_true(second->asked);
    flow_rig_failed(second, WST_EREFUSED, "nobody listens");
    assert_int_equal(f.code, WST_EREFUSED);
    flow_rig_expect(&r, "refused: host:22: 502 Connection refused by destination\n");
    flow_rig_close(&r);
}

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
    flow_rig_start(&r, &f, &plain);
    flow_rig_start(&r, &g, &plain);
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
    flow_rig_start(&r, &f, &plain);
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
    flow_rig_start(&r, &f, &plain);
    wst__node_drain(&r.node, 100000);
    flow_rig_turns(&r, 3);
    assert_int_equal(f.code, WST_ELIMIT);
    assert_true(r.drained);
    flow_rig_close(&r);
}

/* -- Bounds and the self check ---------------------------------------------------------------- */

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
        flow_rig_start(&r, &f[i], &plain);
    }
    assert_int_equal(r.ingress.pending.count, 2);
    assert_int_equal(f[2].code, WST_ELIMIT);
    assert_string_equal(f[2].reason, "Too many connections being opened");
    wst_flow_cancel(f[0].flow);
    wst_flow_cancel(f[1].flow);
    flow_rig_close(&r);
}

static void test_bad_options(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    flow_rig_open(&r);
    const wst_flow_options_t nowhere = {0}, wrong = {.destination = "host"};
    assert_int_equal(flow_rig_try(&r, &f, &nowhere), WST_EINVAL);
    assert_int_equal(flow_rig_try(&r, &f, &wrong), WST_EDEST);
    wst__ticket_t hold = {0};
    wst__ticket_take(&hold, &r.node.holds);
    wst__node_close(&r.node);
    assert_int_equal(flow_rig_try(&r, &f, &plain), WST_ESTATE);
    wst__ticket_give_back(&hold);
    flow_rig_close(&r);
}

/* The destination may not be this node, whoever asks. */
static void test_self(void **state) {
    (void)state;
    for (int unasked = 0; unasked < 2; unasked++) {
        flow_rig_t r;
        flow_rig_flow_t f;
        fake_stream_t site;
        wst_flow_options_t options = {.destination = "name:8080", .unasked = unasked != 0};
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

/* -- Drain ------------------------------------------------------------------------------------ */

static void test_drain_refuses_and_waits(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f, late;
    fake_stream_t site, client;
    flow_rig_open(&r);
    flow_rig_uplink_t *u = flow_rig_uplink(&r, "berlin", "", NULL);
    flow_rig_start(&r, &f, &plain);
    wst__node_drain(&r.node, 100000);
    flow_rig_start(&r, &late, &plain);
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

/* -- A stream that is taken ------------------------------------------------------------------- */

static void take(flow_rig_t *r, flow_rig_flow_t *f, fake_stream_t *site, wst_stream_t **stream) {
    flow_rig_open(r);
    flow_rig_uplink_t *u = flow_rig_uplink(r, "berlin", "", NULL);
    flow_rig_start(r, f, &plain);
    flow_rig_opened(u, site, "10.0.0.7");
    *stream = wst_flow_take(f->flow);
    flow_rig_expect(r, "open 1: / to host:22 by berlin at 10.0.0.7\n");
    assert_int_equal(r->ingress.relaying.count, 1);
}

static void test_taken(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    fake_stream_t site;
    wst_stream_t *stream;
    take(&r, &f, &site, &stream);
    wst__node_drain(&r.node, 100000);
    fake_stream_data(&site, "abc", 3);
    fake_stream_end(&site);
    const wst_slice_t hi = wst_slice_static("hi", 2);
    assert_int_equal(wst_stream_write(stream, &hi, 1), 0);
    wst_stream_read_start(stream, 0);
    assert_int_equal(wst_stream_shutdown(stream), 0);
    flow_rig_turns(&r, 5);
    assert_int_equal(f.gone, 0);
    assert_false(r.drained); /* it lasts until it is closed */
    wst_stream_close(stream, NULL);
    test_env_until_count(&r.env, &f.gone, 1);
    flow_rig_expect(&r, "close 1: 2 up, 3 down, ended by client\n");
    flow_rig_turns(&r, 2);
    assert_true(r.drained);
    fake_stream_free(&site);
    flow_rig_close(&r);
}

static void test_taken_breaks(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    fake_stream_t site;
    wst_stream_t *stream;
    take(&r, &f, &site, &stream);
    fake_stream_break(&site, WST_ERESET);
    flow_rig_turns(&r, 3);
    wst_stream_close(stream, NULL);
    test_env_until_count(&r.env, &f.gone, 1);
    flow_rig_expect(&r, "close 1: 0 up, 0 down, WST_ERESET by agent\n");
    fake_stream_free(&site);
    flow_rig_close(&r);
}

/* A stream that was taken is its owner's, also when the flow is given up or the server closes. */
static void test_taken_outlives(void **state) {
    (void)state;
    for (int closes = 0; closes < 2; closes++) {
        flow_rig_t r;
        flow_rig_flow_t f;
        fake_stream_t site;
        wst_stream_t *stream;
        take(&r, &f, &site, &stream);
        if (closes)
            wst__node_close(&r.node);
        else
            wst_flow_cancel(f.flow);
        flow_rig_turns(&r, 3);
        assert_false(site.closed);
        assert_int_equal(f.gone, closes);
        wst_stream_close(stream, NULL);
        flow_rig_turns(&r, 3);
        fake_stream_free(&site);
        flow_rig_close(&r);
    }
}

/* -- Giving up, in every state ---------------------------------------------------------------- */

enum { NEW, ASKING, CHOOSING, OPENING, REACHED, ESTABLISHED, RELAYING, STATES };

/* Brings a flow into a state. */
static void reach(flow_rig_t *r, flow_rig_flow_t *f, int state, fake_stream_t *site,
                  fake_stream_t *client) {
    flow_rig_open(r);
    for (int q = 0; q < 3; q++)
        r->asks[q] = true;
    r->holds[WST__ASK_CLIENT] = state == ASKING;
    r->holds[WST__ASK_CHOOSE] = state == CHOOSING;
    r->holds[WST__ASK_REACHED] = state == REACHED;
    flow_rig_uplink_t *u = flow_rig_uplink(r, "berlin", "", NULL);
    assert_int_equal(flow_rig_try(r, f, &plain), 0);
    if (state == NEW)
        return;
    flow_rig_turns(r, 6);
    if (state < REACHED)
        return;
    flow_rig_opened(u, site, "10.0.0.7");
    flow_rig_turns(r, 2);
    if (state == RELAYING) {
        assert_int_equal(fake_stream_open(client, r->env.ctx), 0);
        assert_int_equal(wst_flow_relay(f->flow, client->stream), 0);
    }
}

static void leave(flow_rig_t *r, int state, fake_stream_t *site, fake_stream_t *client) {
    flow_rig_turns(r, 5);
    if (state >= REACHED) {
        assert_true(site->closed && site->reset_reason != 0);
        fake_stream_free(site);
    }
    if (state == RELAYING) {
        assert_true(client->closed && client->reset_reason != 0);
        fake_stream_free(client);
    }
    flow_rig_close(r);
}

static void test_cancel_in_every_state(void **state) {
    (void)state;
    for (int s = NEW; s < STATES; s++) {
        flow_rig_t r;
        flow_rig_flow_t f;
        fake_stream_t site, client;
        reach(&r, &f, s, &site, &client);
        wst_flow_cancel(f.flow);
        assert_int_equal(r.ingress.pending.count + r.ingress.relaying.count, 0);
        assert_int_equal(r.uplinks[0].cancelled, s == OPENING);
        flow_rig_turns(&r, 4);
        assert_int_equal(f.refused + f.gone, 0);
        assert_int_equal(strstr(r.events, "close 1: 0 up, 0 down, WST_ECANCELLED by client\n") !=
                             NULL,
                         s == RELAYING);
        leave(&r, s, &site, &client);
    }
}

static void test_close_in_every_state(void **state) {
    (void)state;
    for (int s = NEW; s < STATES; s++) {
        flow_rig_t r;
        flow_rig_flow_t f;
        fake_stream_t site, client;
        reach(&r, &f, s, &site, &client);
        wst__node_close(&r.node);
        assert_int_equal(f.refused + f.gone, 0); /* never from inside the call */
        flow_rig_turns(&r, 5);
        assert_int_equal(f.refused, s != RELAYING);
        assert_int_equal(f.gone, s == RELAYING);
        assert_int_equal(s == RELAYING ? f.info.status : f.code, WST_ECANCELLED);
        assert_null(strstr(r.events, "close")); /* a server that is closed tells nothing */
        assert_null(strstr(r.events, "refused"));
        leave(&r, s, &site, &client);
    }
}

/* The destination's connection breaks while somebody is asked about it, or before the front goes
 * on. */
static void test_breaks_before_the_relay(void **state) {
    (void)state;
    for (int s = REACHED; s <= ESTABLISHED; s++) {
        flow_rig_t r;
        flow_rig_flow_t f;
        fake_stream_t site, client;
        reach(&r, &f, s, &site, &client);
        fake_stream_break(&site, WST_ERESET);
        flow_rig_turns(&r, 3);
        assert_int_equal(f.refused, 1);
        assert_int_equal(f.code, WST_ERESET);
        leave(&r, s, &site, &client);
    }
}

/* -- No memory -------------------------------------------------------------------------------- */

/* Fails the n-th allocation from the first call to the relay; false: there were not so many. */
static bool run_without_memory(size_t n) {
    static const char *const labels[] = {"eu", NULL};
    flow_rig_t r;
    flow_rig_flow_t f;
    fake_stream_t site, client;
    wst_flow_options_t options = plain;
    options.labels = labels;
    flow_rig_open(&r);
    r.asks[0] = r.asks[1] = r.asks[2] = true;
    flow_rig_uplink_t *u = flow_rig_uplink(&r, "berlin", "", labels);
    assert_int_equal(fake_stream_open(&client, r.env.ctx), 0);
    assert_int_equal(fake_stream_open(&site, r.env.ctx), 0);
    test_alloc_fail(n);
    bool begun = flow_rig_try(&r, &f, &options) == 0;
    flow_rig_turns(&r, 6);
    bool asked = u->asked;
    if (asked)
        flow_rig_opened_as(u, &site, "10.0.0.7");
    flow_rig_turns(&r, 2);
    bool relays = f.established > 0 && f.flow != NULL && wst_flow_relay(f.flow, client.stream) == 0;
    bool failed = test_alloc_failed();
    test_alloc_fail(0);
    assert_true(!begun || f.refused == 1 || f.established == 1);
    assert_true(relays == !failed);
    if (f.flow != NULL)
        wst_flow_cancel(f.flow);
    if (!relays)
        wst_stream_close(client.stream, NULL);
    if (!asked)
        wst_stream_close(site.stream, NULL);
    flow_rig_turns(&r, 5);
    fake_stream_free(&site);
    fake_stream_free(&client);
    flow_rig_close(&r);
    return failed;
}

static void test_no_memory(void **state) {
    (void)state;
    size_t n = 1;
    while (run_without_memory(n))
        n++;
    assert_true(n > 5);
}

/* -- Given up from inside a notice, and other moments ------------------------------------------ */

static wst__ingress_hooks_t noticed;
static flow_rig_flow_t *noticed_flow;

static void cancel_in_notice(void *owner, const wst_stream_info_t *info) {
    (void)owner, (void)info;
    wst_flow_t *flow = noticed_flow->flow;
    noticed_flow->flow = NULL;
    wst_flow_cancel(flow);
}

static void hook_notices(flow_rig_t *r, flow_rig_flow_t *f, bool open, bool close) {
    noticed = *r->ingress.hooks;
    noticed_flow = f;
    if (open)
        noticed.on_open = cancel_in_notice;
    if (close)
        noticed.on_close = cancel_in_notice;
    r->ingress.hooks = &noticed;
}

/* on_stream_close cancels the flow of a stream that was taken: no callback runs any more. */
static void test_cancel_in_close_notice_taken(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    fake_stream_t site;
    wst_stream_t *stream;
    take(&r, &f, &site, &stream);
    hook_notices(&r, &f, false, true);
    wst_stream_close(stream, NULL);
    flow_rig_turns(&r, 4);
    assert_int_equal(f.gone, 0);
    fake_stream_free(&site);
    flow_rig_close(&r);
}

/* The same while it is pumped. */
static void test_cancel_in_close_notice_pumped(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    fake_stream_t site, client;
    reach(&r, &f, RELAYING, &site, &client);
    hook_notices(&r, &f, false, true);
    fake_stream_end(&site);
    fake_stream_end(&client);
    flow_rig_turns(&r, 6);
    assert_null(f.flow);
    assert_int_equal(f.gone, 0); /* on_gone may not run behind wst_flow_cancel */
    fake_stream_free(&site);
    fake_stream_free(&client);
    flow_rig_close(&r);
}

/* on_stream_open cancels it, while it begins to be pumped. */
static void test_cancel_in_open_notice(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    fake_stream_t site, client;
    reach(&r, &f, ESTABLISHED, &site, &client);
    assert_int_equal(fake_stream_open(&client, r.env.ctx), 0);
    hook_notices(&r, &f, true, false);
    assert_int_equal(wst_flow_relay(f.flow, client.stream), 0);
    leave(&r, RELAYING, &site, &client);
}

/* The server is closed between on_established and the front's turn. */
static void test_relay_behind_close(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    fake_stream_t site, client;
    reach(&r, &f, ESTABLISHED, &site, &client);
    assert_int_equal(fake_stream_open(&client, r.env.ctx), 0);
    wst__node_close(&r.node);
    int status = wst_flow_relay(f.flow, client.stream);
    assert_int_not_equal(status, 0);
    wst_stream_close(client.stream, NULL);
    flow_rig_turns(&r, 4);
    assert_int_equal(f.refused, 1);
    fake_stream_free(&client);
    fake_stream_free(&site);
    flow_rig_close(&r);
}

/* A label that no agent can have, since it is too long, is one that none has. */
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
    const wst_flow_options_t options = {.destination = "a:1", .labels = labels};
    assert_int_equal(flow_rig_try(&r, &f, &options), WST_EINVAL);
    flow_rig_turns(&r, 2);
    assert_false(u->asked);
    flow_rig_close(&r);
}

/* So is a name that is too long. */
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
    const wst_flow_options_t options = {.destination = "a:1", .agent = name};
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
    const wst_flow_options_t user = {.destination = "a:1", .user = name},
                             tenant = {.destination = "a:1", .tenant = name};
    assert_int_equal(flow_rig_try(&r, &f, &user), WST_EINVAL);
    assert_int_equal(flow_rig_try(&r, &f, &tenant), WST_EINVAL);
    flow_rig_close(&r);
}

/* "What is known of it now". */
static void test_info_of_now(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    fake_stream_t site, client;
    wst_stream_info_t info;
    reach(&r, &f, RELAYING, &site, &client);
    fake_stream_data(&site, "down!", 5);
    flow_rig_turns(&r, 3);
    wst_flow_get_info(f.flow, &info);
    assert_int_equal(info.bytes_to_client, 5);
    wst_flow_cancel(f.flow);
    leave(&r, RELAYING, &site, &client);
}

/* What a stream has moved that was taken is told, also if its flow is given up. */
static void test_taken_cancelled_figures(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    fake_stream_t site;
    wst_stream_t *stream;
    take(&r, &f, &site, &stream);
    const wst_slice_t hi = wst_slice_static("hi", 2);
    assert_int_equal(wst_stream_write(stream, &hi, 1), 0);
    flow_rig_turns(&r, 2);
    wst_flow_cancel(f.flow);
    wst_stream_close(stream, NULL);
    flow_rig_turns(&r, 3);
    fake_stream_free(&site);
    assert_string_equal(r.events, "close 1: 2 up, 0 down, WST_ECANCELLED by client\n");
    flow_rig_close(&r);
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
    wst_flow_options_t options = plain;
    options.tls = tls;
    options.head = &head;
    flow_rig_open(&r);
    flow_rig_uplink_t *u = flow_rig_uplink(&r, "berlin", "", NULL);
    noticed = *r.ingress.hooks;
    noticed.ask = note_tls;
    r.ingress.hooks = &noticed;
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

static void choose_none(void *owner, wst__question_t question, wst_request_t *request) {
    flow_rig_t *r = owner;
    (void)question;
    assert_non_null(wst__ingress_best(&r->ingress, request, NULL, NULL, NULL));
    wst_request_choose(request, NULL);
}

/* "NULL: none can serve it (503)": said although there is one that could, nothing is waited for. */
static void test_none_is_none(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    flow_rig_open(&r);
    flow_rig_uplink_t *used = flow_rig_uplink(&r, "berlin", "", NULL);
    flow_rig_uplink_t *fresh = &r.uplinks[r.uplink_count++]; /* of the same agent */
    *fresh = (flow_rig_uplink_t){.rig = &r, .uplink = used->uplink};
    const wst_hello_t hello = {
        .name = {"berlin", 6}, .has_instance = true, .instance = {1}, .conn = 1, .epoch = 1};
    wst__member_t *replaced;
    bool is_new;
    assert_int_equal(wst__remotes_join(&r.ingress.remotes, &fresh->member, &fresh->uplink, &hello,
                                       "", NULL, &replaced, &is_new),
                     0);
    assert_false(is_new);
    used->uplink.renews = true;
    used->status = WST_ELIMIT;
    wst__remotes_changed(&r.ingress.remotes, &used->member);
    noticed = *r.ingress.hooks;
    noticed.ask = choose_none;
    r.ingress.hooks = &noticed;
    r.asks[WST__ASK_CHOOSE] = true;
    flow_rig_start(&r, &f, &plain);
    flow_rig_turns(&r, 3);
    int code = f.code;
    if (f.flow != NULL)
        wst_flow_cancel(f.flow);
    flow_rig_close(&r);
    assert_int_equal(code, WST_ENOAGENT);
}

/* Flows whose client is being asked about are bounded like all others. */
static void test_asking_is_bounded(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f[3];
    flow_rig_open(&r);
    r.asks[WST__ASK_CLIENT] = r.holds[WST__ASK_CLIENT] = true;
    for (int i = 0; i < 3; i++)
        flow_rig_start(&r, &f[i], &plain);
    int code = f[2].code;
    for (int i = 0; i < 3; i++)
        if (f[i].flow != NULL)
            wst_flow_cancel(f[i].flow);
    flow_rig_turns(&r, 3);
    flow_rig_close(&r);
    assert_int_equal(code, WST_ELIMIT);
}

int main(int argc, char **argv) {
    if (argc > 1) /* one test alone */
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_questions_in_order),
        cmocka_unit_test(test_authenticated),
        cmocka_unit_test(test_unasked),
        cmocka_unit_test(test_denied),
        cmocka_unit_test(test_selectors),
        cmocka_unit_test(test_choice_outside),
        cmocka_unit_test(test_choice_by_name),
        cmocka_unit_test(test_another_uplink),
        cmocka_unit_test(test_waits),
        cmocka_unit_test(test_comes_meanwhile),
        cmocka_unit_test(test_drain_ends_the_wait),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_self),
        cmocka_unit_test(test_drain_refuses_and_waits),
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_taken_breaks),
        cmocka_unit_test(test_taken_outlives),
        cmocka_unit_test(test_cancel_in_every_state),
        cmocka_unit_test(test_close_in_every_state),
        cmocka_unit_test(test_breaks_before_the_relay),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_cancel_in_close_notice_taken),
        cmocka_unit_test(test_cancel_in_close_notice_pumped),
        cmocka_unit_test(test_cancel_in_open_notice),
        cmocka_unit_test(test_relay_behind_close),
        cmocka_unit_test(test_long_label),
        cmocka_unit_test(test_long_name),
        cmocka_unit_test(test_long_user),
        cmocka_unit_test(test_info_of_now),
        cmocka_unit_test(test_taken_cancelled_figures),
        cmocka_unit_test(test_tls_of_the_second_try),
        cmocka_unit_test(test_none_is_none),
        cmocka_unit_test(test_asking_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
