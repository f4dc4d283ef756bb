/* SPDX-License-Identifier: MIT */
#include "egress_rig.h"

#include <stdio.h>

/* -- The far side ----------------------------------------------------------------------------- */

static int accept_asked(wst__incoming_t *incoming, const char *address, wst_stream_t **stream) {
    egress_asked_t *a = (egress_asked_t *)(void *)incoming;
    assert_int_equal(a->state, EGRESS_WAITING);
    int status = a->accept_status;
    if (status == 0)
        status = fake_stream_open(&a->tunnel, a->rig->env.ctx);
    if (status != 0)
        return status;
    a->state = EGRESS_ACCEPTED;
    snprintf(a->address, sizeof(a->address), "%s", address);
    *stream = a->tunnel.stream;
    return 0;
}

static void refuse_asked(wst__incoming_t *incoming, int reason, const char *text) {
    egress_asked_t *a = (egress_asked_t *)(void *)incoming;
    assert_int_equal(a->state, EGRESS_WAITING);
    a->state = EGRESS_REFUSED;
    a->reason = reason;
    snprintf(a->text, sizeof(a->text), "%s", text != NULL ? text : "");
}

static const wst__incoming_ops_t ops = {accept_asked, refuse_asked};

egress_asked_t *egress_rig_ask(egress_rig_t *r, size_t i, const char *dest) {
    egress_asked_t *a = &r->asked[i];
    a->base.ops = &ops;
    a->base.peer = "far side";
    a->rig = r;
    a->state = EGRESS_WAITING;
    if (r->networks != NULL)
        a->base.networks = (wst_str_t){r->networks, strlen(r->networks)};
    wst__egress_take(&r->egress, &a->base, (wst_str_t){dest, strlen(dest)});
    return a;
}

void egress_rig_withdraw(egress_asked_t *a, int reason) {
    a->state = EGRESS_WITHDRAWN;
    a->base.on_gone(&a->base, reason, a->base.user_data);
}

bool egress_rig_is_answered(void *arg) {
    return ((egress_asked_t *)arg)->state != EGRESS_WAITING;
}

void egress_rig_expect_refused(egress_rig_t *r, egress_asked_t *a, int reason, const char *text) {
    test_env_until(&r->env, egress_rig_is_answered, a);
    assert_int_equal(a->state, EGRESS_REFUSED);
    assert_int_equal(a->reason, reason);
    assert_string_equal(a->text, text);
    assert_int_equal(r->open_status, reason);
}

void egress_rig_expect_accepted(egress_rig_t *r, egress_asked_t *a) {
    test_env_until(&r->env, egress_rig_is_answered, a);
    assert_int_equal(a->state, EGRESS_ACCEPTED);
    assert_int_equal(r->open_status, 0);
}

/* -- The embedder ----------------------------------------------------------------------------- */

static void enter(egress_rig_t *r, egress_event_t event, const char *destination) {
    assert_int_equal(r->node.state != WST__NODE_CLOSING, true);
    r->seen[event]++;
    snprintf(r->destination, sizeof(r->destination), "%s", destination);
}

static void leave(egress_rig_t *r, egress_event_t event) {
    if (r->close_in == event)
        wst__node_close(&r->node);
}

static void on_request_gone(wst_request_t *request, void *user_data) {
    egress_rig_t *r = user_data;
    (void)request;
    r->held = NULL;
    r->gone++;
}

static void hold(egress_rig_t *r, wst_request_t *request) {
    r->held = request;
    wst_request_on_gone(request, on_request_gone, r);
}

void egress_rig_connect(egress_rig_t *r, wst_request_t *request) {
    assert_true(r->connections < EGRESS_ASKED);
    fake_stream_t *d = &r->destinations[r->connections];
    if (fake_stream_open(d, r->env.ctx) != 0) {
        wst_request_connected(request, WST_ENOMEM, NULL);
        return;
    }
    r->connections++;
    wst_request_connected(request, 0, d->stream);
}

static void answer(egress_rig_t *r, wst_request_t *request, egress_policy_t policy) {
    snprintf(r->peer, sizeof(r->peer), "%s", wst_request_peer(request));
    if (policy == EGRESS_HOLD)
        hold(r, request);
    else if (policy == EGRESS_DENY)
        wst_request_deny(request, 403, "no", NULL);
    else if (policy == EGRESS_FAIL)
        wst_request_connected(request, UV_ECONNREFUSED, NULL);
}

static void on_destination(wst_request_t *request, void *user_data) {
    egress_rig_t *r = user_data;
    enter(r, EGRESS_DESTINATION, wst_request_destination(request));
    answer(r, request, r->may);
    if (r->may == EGRESS_ALLOW)
        wst_request_allow(request);
    else if (r->may == EGRESS_MISFIT)
        egress_rig_connect(r, request);
    leave(r, EGRESS_DESTINATION);
}

static void on_dial(wst_request_t *request, void *user_data) {
    egress_rig_t *r = user_data;
    enter(r, EGRESS_DIAL, wst_request_destination(request));
    answer(r, request, r->dial);
    if (r->dial == EGRESS_ALLOW)
        egress_rig_connect(r, request);
    else if (r->dial == EGRESS_MISFIT)
        wst_request_allow(request);
    leave(r, EGRESS_DIAL);
}

static void on_stream_open(const char *destination, int status, const char *reason,
                           void *user_data) {
    egress_rig_t *r = user_data;
    r->open_status = status;
    snprintf(r->open_reason, sizeof(r->open_reason), "%s", reason);
    enter(r, EGRESS_OPENED, destination);
    leave(r, EGRESS_OPENED);
}

static void on_stream_close(const char *destination, uint64_t to, uint64_t from, int status,
                            void *user_data) {
    egress_rig_t *r = user_data;
    r->close_status = status;
    r->to = to;
    r->from = from;
    enter(r, EGRESS_CLOSED, destination);
    leave(r, EGRESS_CLOSED);
}

/* -- The rig ---------------------------------------------------------------------------------- */

static void on_drained(wst__node_t *node) {
    WST__CONTAINER(node, egress_rig_t, node)->drained++;
}

static void on_closed(wst__node_t *node) {
    WST__CONTAINER(node, egress_rig_t, node)->closed++;
}

static void rig_make(egress_rig_t *r, egress_policy_t may, egress_policy_t dial) {
    r->may = may;
    r->dial = dial;
    r->options = (wst__egress_options_t){
        .role = "agent",
        .name = "probe",
        .opener = "option",
        .max_streams = 100,
        .max_pending = 100,
        .timeout_ms = 10000,
        .dial_timeout_ms = 10000,
        .on_destination = may != EGRESS_UNASKED ? on_destination : NULL,
        .on_dial = dial != EGRESS_UNASKED ? on_dial : NULL,
        .on_stream_open = on_stream_open,
        .on_stream_close = on_stream_close,
        .user_data = r,
    };
}

void egress_rig_begin(egress_rig_t *r, egress_policy_t may, egress_policy_t dial) {
    rig_make(r, may, dial);
    wst__node_init(&r->node, r->env.ctx, on_drained, on_closed);
    wst__egress_init(&r->egress, &r->node, &r->options);
}

void egress_rig_open(egress_rig_t *r, egress_policy_t may, egress_policy_t dial) {
    memset(r, 0, sizeof(*r));
    test_env_open(&r->env);
    egress_rig_begin(r, may, dial);
}

wst_rules_t *egress_rig_loopback_rules(void) {
    static const char *const loopback[] = {"127.0.0.0/8", NULL};
    const wst_rule_t rule = {.size = sizeof(rule), .allow = true, .destinations = loopback};
    const wst_rules_options_t options = {.size = sizeof(options), .rules = &rule, .count = 1};
    wst_rules_t *rules;
    assert_int_equal(wst_rules_new(&rules, &options, NULL), 0);
    return rules;
}

void egress_rig_free(egress_rig_t *r) {
    wst__node_close(&r->node);
    test_env_until_count(&r->env, &r->closed, 1);
    assert_true(wst__list_empty(&r->egress.opening) && wst__list_empty(&r->egress.others));
    assert_int_equal(r->egress.streams.count, 0);
    assert_int_equal(r->egress.pending.count, 0);
    assert_int_equal(r->node.busy.count, r->node.in_service.tally != NULL);
    test_env_close(&r->env);
    for (size_t i = 0; i < EGRESS_ASKED; i++) {
        assert_int_not_equal(r->asked[i].state, EGRESS_WAITING);
        if (r->asked[i].tunnel.ctx != NULL && r->asked[i].state == EGRESS_ACCEPTED)
            fake_stream_free(&r->asked[i].tunnel);
        if (i < r->connections)
            fake_stream_free(&r->destinations[i]);
    }
    wst_rules_free(r->loopback);
}
