/* SPDX-License-Identifier: MIT */
#include "flow_rig.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const wst_flow_options_t flow_rig_plain = {
    .size = sizeof(flow_rig_plain), .destination = "host:22", .peer = "192.0.2.1:5"};

static void note(flow_rig_t *r, const char *fmt, ...) WST_PRINTF(2, 3);

static void note(flow_rig_t *r, const char *fmt, ...) {
    size_t len = strlen(r->events);
    va_list args;
    va_start(args, fmt);
    vsnprintf(r->events + len, sizeof(r->events) - len, fmt, args);
    va_end(args);
}

void flow_rig_expect(flow_rig_t *r, const char *events) {
    assert_string_equal(r->events, events);
    r->events[0] = '\0';
}

/* -- The ingress' owner ----------------------------------------------------------------------- */

static bool wants(void *owner, wst__question_t question) {
    return ((flow_rig_t *)owner)->asks[question];
}

static void answer(flow_rig_t *r, wst__question_t question, wst_request_t *request) {
    if (question == WST__ASK_CHOOSE && r->networks != NULL)
        wst_request_set_networks(request, r->networks);
    if (question == WST__ASK_CHOOSE && r->allows_early)
        wst_request_allow_early(request);
    if (question == WST__ASK_CHOOSE)
        wst_request_choose(request, wst__ingress_best(&r->ingress, request, NULL, NULL, NULL));
    else
        wst_request_allow(request);
}

static void ask(void *owner, wst__question_t question, wst_request_t *request) {
    static const char *const names[] = {"client", "choose", "reached"};
    flow_rig_t *r = owner;
    const wst_remote_t *remote = wst_request_remote(request);
    note(r, "%s? %s for %s/%s at %s%s%s%s%s%s\n", names[question], wst_request_destination(request),
         wst_request_tenant(request), wst_request_user(request), wst_request_peer(request),
         wst_request_is_authenticated(request) ? ", authenticated" : "",
         remote != NULL ? ", by " : "", remote != NULL ? wst_remote_name(remote) : "",
         wst_request_address(request)[0] != '\0' ? ", reached " : "", wst_request_address(request));
    if (r->holds[question])
        r->question = request;
    else
        answer(r, question, request);
}

static void on_open(void *owner, const wst_stream_info_t *info) {
    note(owner, "open %llu: %s/%s to %s by %s at %s\n", (unsigned long long)info->id, info->tenant,
         info->user, info->destination, info->agent, info->address);
}

static void on_close(void *owner, const wst_stream_info_t *info) {
    note(owner, "close %llu: %llu up, %llu down, %s by %s%s%s\n", (unsigned long long)info->id,
         (unsigned long long)info->bytes_to_agent, (unsigned long long)info->bytes_to_client,
         info->status == 0 ? "ended" : wst_err_name(info->status), info->ended_by,
         info->detail[0] != '\0' ? ": " : "", info->detail);
}

static void on_refused(void *owner, const wst_refusal_info_t *info) {
    note(owner, "refused: %s: %d %s%s%s\n", info->destination, info->http_status, info->reason,
         info->detail[0] != '\0' ? ": " : "", info->detail);
}

static const char *address(void *owner, size_t n) {
    return n == 0 ? ((flow_rig_t *)owner)->listens : NULL;
}

static void on_drained(wst__node_t *node) {
    WST__CONTAINER(node, flow_rig_t, node)->drained = true;
}

static void on_closed(wst__node_t *node) {
    flow_rig_t *r = WST__CONTAINER(node, flow_rig_t, node);
    r->closed = true;
}

void flow_rig_open(flow_rig_t *r) {
    static const wst__ingress_hooks_t hooks = {.wants = wants,
                                               .ask = ask,
                                               .on_open = on_open,
                                               .on_close = on_close,
                                               .on_refused = on_refused,
                                               .address = address};
    *r = (flow_rig_t){0};
    test_env_open(&r->env);
    wst__node_init(&r->node, r->env.ctx, on_drained, on_closed);
    wst__ingress_init(&r->ingress, &r->node, &hooks, r, 1);
    const wst__ingress_limits_t limits = {.max_pending = 2,
                                          .max_flows = 4,
                                          .decision_timeout_ms = 10000,
                                          .dial_timeout_ms = 10000,
                                          .half_closed_timeout_ms = 10000};
    wst__ingress_set_limits(&r->ingress, &limits);
    wst__remotes_set_max_streams(&r->ingress.remotes, 16);
}

void flow_rig_turns(flow_rig_t *r, int n) {
    test_env_turns(&r->env, n);
}

static bool is_closed(void *arg) {
    return ((flow_rig_t *)arg)->closed;
}

void flow_rig_close(flow_rig_t *r) {
    wst__node_close(&r->node);
    test_env_until(&r->env, is_closed, r);
    assert_int_equal(wst__ingress_pending(&r->ingress), 0);
    assert_int_equal(wst__ingress_relaying(&r->ingress), 0);
    for (size_t i = 0; i < r->uplink_count; i++)
        flow_rig_lose(&r->uplinks[i]);
    wst__ingress_free(&r->ingress);
    test_env_close(&r->env);
}

/* -- Uplinks ---------------------------------------------------------------------------------- */

static flow_rig_uplink_t *uplink_of(const wst__uplink_t *uplink) {
    return WST__CONTAINER((wst__uplink_t *)(uintptr_t)uplink, flow_rig_uplink_t, uplink);
}

static int can_open(const wst__uplink_t *uplink) {
    return uplink_of(uplink)->status;
}

static bool may_fit(const wst__uplink_t *uplink, size_t memory) {
    (void)memory;
    return !uplink_of(uplink)->quota;
}

static size_t load(const wst__uplink_t *uplink) {
    return uplink_of(uplink)->load;
}

static uint64_t rtt_ms(const wst__uplink_t *uplink) {
    (void)uplink;
    return 0;
}

static bool is_suspect(const wst__uplink_t *uplink) {
    return uplink_of(uplink)->suspect;
}

static void cancel(wst__opening_t *opening) {
    flow_rig_uplink_t *u = WST__CONTAINER(opening, flow_rig_uplink_t, opening);
    u->asked = false;
    u->cancelled = true;
}

static int limit(wst__opening_t *opening, const char *networks) {
    flow_rig_uplink_t *u = WST__CONTAINER(opening, flow_rig_uplink_t, opening);
    snprintf(u->networks, sizeof(u->networks), "%s", networks);
    return 0;
}

static size_t send_early(wst__opening_t *opening, wst_slice_t data) {
    flow_rig_uplink_t *u = WST__CONTAINER(opening, flow_rig_uplink_t, opening);
    size_t had = strlen(u->early), room = u->takes_early - had;
    size_t n = data.len < room ? data.len : room;
    memcpy(u->early + had, data.data, n);
    u->early[had + n] = '\0';
    return n;
}

static int open_stream(wst__uplink_t *uplink, wst__opening_t **out, const char *dest,
                       wst__budget_t *budget, wst__opened_cb callback, void *user_data) {
    flow_rig_uplink_t *u = uplink_of(uplink);
    u->budget = budget;
    if (u->refuses != 0)
        return u->refuses;
    assert_false(u->asked);
    u->asked = true;
    u->cancelled = false;
    u->opening = (wst__opening_t){
        .cancel = cancel, .limit = limit, .send_early = u->takes_early > 0 ? send_early : NULL};
    u->networks[0] = u->early[0] = '\0';
    u->callback = callback;
    u->user_data = user_data;
    snprintf(u->destination, sizeof(u->destination), "%s", dest);
    *out = &u->opening;
    return 0;
}

flow_rig_uplink_t *flow_rig_uplink(flow_rig_t *r, const char *name, const char *tenant,
                                   const char *const *labels) {
    static const wst__uplink_ops_t ops = {.can_open = can_open,
                                          .may_fit = may_fit,
                                          .open = open_stream,
                                          .load = load,
                                          .rtt_ms = rtt_ms,
                                          .is_suspect = is_suspect};
    flow_rig_uplink_t *u = &r->uplinks[r->uplink_count++];
    *u = (flow_rig_uplink_t){.rig = r, .uplink = {.ops = &ops, .peer = "192.0.2.9:1"}};
    const wst_hello_t hello = {.size = sizeof(hello),
                               .name = {name, strlen(name)},
                               .has_instance = true,
                               .instance = {(uint8_t)r->uplink_count},
                               .epoch = 1};
    wst__member_t *replaced;
    bool is_new;
    assert_int_equal(wst__remotes_join(&r->ingress.remotes, &u->member, &u->uplink, &hello, tenant,
                                       labels, &replaced, &is_new),
                     0);
    wst__ingress_wake(&r->ingress);
    return u;
}

void flow_rig_lose(flow_rig_uplink_t *u) {
    wst_remote_t *gone = wst__remotes_leave(&u->rig->ingress.remotes, &u->member);
    if (u->asked)
        flow_rig_failed(u, WST_ELOST, "");
    if (gone != NULL)
        wst__remote_free(gone);
}

void flow_rig_opened(flow_rig_uplink_t *u, fake_stream_t *stream, const char *address_text) {
    assert_int_equal(fake_stream_open(stream, u->rig->env.ctx), 0);
    flow_rig_opened_as(u, stream, address_text);
}

void flow_rig_opened_as(flow_rig_uplink_t *u, fake_stream_t *stream, const char *address_text) {
    assert_true(u->asked);
    u->asked = false;
    u->callback(0, (wst_str_t){address_text, strlen(address_text)}, stream->stream, u->user_data);
}

void flow_rig_failed(flow_rig_uplink_t *u, int error, const char *text) {
    assert_true(u->asked);
    u->asked = false;
    u->callback(error, (wst_str_t){text, strlen(text)}, NULL, u->user_data);
}

/* -- Flows ------------------------------------------------------------------------------------ */

static void on_established(wst_flow_t *flow, void *user_data) {
    flow_rig_flow_t *f = user_data;
    assert_ptr_equal(flow, f->flow);
    f->established++;
}

static void on_flow_refused(wst_flow_t *flow, const wst_refusal_info_t *refusal, void *user_data) {
    flow_rig_flow_t *f = user_data;
    assert_ptr_equal(flow, f->flow);
    f->flow = NULL;
    f->refused++;
    f->code = refusal->code;
    f->http_status = refusal->http_status;
    snprintf(f->reason, sizeof(f->reason), "%s", refusal->reason);
    snprintf(f->fields, sizeof(f->fields), "%s", refusal->fields);
}

static void on_gone(wst_flow_t *flow, const wst_stream_info_t *info, void *user_data) {
    flow_rig_flow_t *f = user_data;
    assert_ptr_equal(flow, f->flow);
    f->flow = NULL;
    f->gone++;
    f->info = *info;
    f->info.client = f->info.user = f->info.tenant = f->info.destination = f->info.address = NULL;
    f->info.agent = NULL;
}

int flow_rig_try(flow_rig_t *r, flow_rig_flow_t *f, const wst_flow_options_t *options) {
    static const wst_flow_callbacks_t callbacks = {.size = sizeof(callbacks),
                                                   .on_established = on_established,
                                                   .on_refused = on_flow_refused,
                                                   .on_gone = on_gone};
    *f = (flow_rig_flow_t){.rig = r};
    return wst_flow_new(&f->flow, &r->ingress, options, &callbacks, f);
}

void flow_rig_start(flow_rig_t *r, flow_rig_flow_t *f, const wst_flow_options_t *options) {
    assert_int_equal(flow_rig_try(r, f, options), 0);
    assert_int_equal(f->established + f->refused, 0); /* never from inside the call */
    flow_rig_turns(r, 2);
}
