/* SPDX-License-Identifier: MIT */
/*
 * The egress alone, as part of a bare node: streams that a far side asks for come from a fake
 * uplink, their destinations are scripted streams or a listener. Rules, questions, the dial, the
 * pump, the limits, and the end in each callback.
 */
#include "egress.h"
#include "env.h"
#include "fake_stream.h"
#include "request.h"

#include <stdio.h>
#include <wstunnel/listener.h>

enum { ASKED = 4 };

typedef struct rig rig_t;

/* A stream that the far side asks for. */
typedef struct asked {
    wst__incoming_t base;
    rig_t *rig;
    enum { IDLE, WAITING, ACCEPTED, REFUSED, WITHDRAWN } state;
    int accept_status; /* how accept is to end */
    int reason;
    char text[128], address[64];
    fake_stream_t tunnel; /* ACCEPTED */
} asked_t;

typedef enum policy { UNASKED, ALLOW, DENY, HOLD, MISFIT, FAIL } policy_t;
typedef enum event { NOTHING, DESTINATION, DIAL, OPENED, CLOSED, EVENTS } event_t;

struct rig {
    test_env_t env;
    wst__node_t node;
    wst__egress_t egress;
    wst__egress_options_t options;
    asked_t asked[ASKED];
    fake_stream_t destinations[ASKED]; /* that on_dial hands out, in this order */
    size_t connections;
    policy_t may, dial; /* how the questions are answered */
    wst_request_t *held;
    event_t close_in;
    size_t seen[EVENTS], gone;
    char destination[WST_DEST_MAX + 1], peer[64];
    int open_status, close_status;
    char open_reason[200];
    wst_rules_t *loopback;
    const char *networks; /* of what is asked for next */
    uint64_t to, from;
    size_t drained, closed;
};

/* -- The far side ----------------------------------------------------------------------------- */

static int accept_asked(wst__incoming_t *incoming, const char *address, wst_stream_t **stream) {
    asked_t *a = (asked_t *)(void *)incoming;
    assert_int_equal(a->state, WAITING);
    int status = a->accept_status;
    if (status == 0)
        status = fake_stream_open(&a->tunnel, a->rig->env.ctx);
    if (status != 0)
        return status;
    a->state = ACCEPTED;
    snprintf(a->address, sizeof(a->address), "%s", address);
    *stream = a->tunnel.stream;
    return 0;
}

static void refuse_asked(wst__incoming_t *incoming, int reason, const char *text) {
    asked_t *a = (asked_t *)(void *)incoming;
    assert_int_equal(a->state, WAITING);
    a->state = REFUSED;
    a->reason = reason;
    snprintf(a->text, sizeof(a->text), "%s", text != NULL ? text : "");
}

static const wst__incoming_ops_t ops = {accept_asked, refuse_asked};

static asked_t *ask_for(rig_t *r, size_t i, const char *dest) {
    asked_t *a = &r->asked[i];
    a->base.ops = &ops;
    a->base.peer = "far side";
    a->rig = r;
    a->state = WAITING;
    if (r->networks != NULL)
        a->base.networks = (wst_str_t){r->networks, strlen(r->networks)};
    wst__egress_take(&r->egress, &a->base, (wst_str_t){dest, strlen(dest)});
    return a;
}

static void withdraw(asked_t *a, int reason) {
    a->state = WITHDRAWN;
    a->base.on_gone(&a->base, reason, a->base.user_data);
}

static bool is_answered(void *arg) {
    return ((asked_t *)arg)->state != WAITING;
}

static void expect_refused(rig_t *r, asked_t *a, int reason, const char *text) {
    test_env_until(&r->env, is_answered, a);
    assert_int_equal(a->state, REFUSED);
    assert_int_equal(a->reason, reason);
    assert_string_equal(a->text, text);
    assert_int_equal(r->open_status, reason);
}

static void expect_accepted(rig_t *r, asked_t *a) {
    test_env_until(&r->env, is_answered, a);
    assert_int_equal(a->state, ACCEPTED);
    assert_int_equal(r->open_status, 0);
}

/* -- The embedder ----------------------------------------------------------------------------- */

static void enter(rig_t *r, event_t event, const char *destination) {
    assert_int_equal(r->node.state != WST__NODE_CLOSING, true);
    r->seen[event]++;
    snprintf(r->destination, sizeof(r->destination), "%s", destination);
}

static void leave(rig_t *r, event_t event) {
    if (r->close_in == event)
        wst__node_close(&r->node);
}

static void on_request_gone(wst_request_t *request, void *user_data) {
    rig_t *r = user_data;
    (void)request;
    r->held = NULL;
    r->gone++;
}

static void hold(rig_t *r, wst_request_t *request) {
    r->held = request;
    wst_request_on_gone(request, on_request_gone, r);
}

/* Hands out the next scripted stream as the destination. */
static void connect_to_fake(rig_t *r, wst_request_t *request) {
    assert_true(r->connections < ASKED);
    fake_stream_t *d = &r->destinations[r->connections];
    if (fake_stream_open(d, r->env.ctx) != 0) {
        wst_request_connected(request, WST_ENOMEM, NULL);
        return;
    }
    r->connections++;
    wst_request_connected(request, 0, d->stream);
}

static void answer(rig_t *r, wst_request_t *request, policy_t policy) {
    snprintf(r->peer, sizeof(r->peer), "%s", wst_request_peer(request));
    if (policy == HOLD)
        hold(r, request);
    else if (policy == DENY)
        wst_request_deny(request, 403, "no", NULL);
    else if (policy == FAIL)
        wst_request_connected(request, UV_ECONNREFUSED, NULL);
}

static void on_destination(wst_request_t *request, void *user_data) {
    rig_t *r = user_data;
    enter(r, DESTINATION, wst_request_destination(request));
    answer(r, request, r->may);
    if (r->may == ALLOW)
        wst_request_allow(request);
    else if (r->may == MISFIT)
        connect_to_fake(r, request);
    leave(r, DESTINATION);
}

static void on_dial(wst_request_t *request, void *user_data) {
    rig_t *r = user_data;
    enter(r, DIAL, wst_request_destination(request));
    answer(r, request, r->dial);
    if (r->dial == ALLOW)
        connect_to_fake(r, request);
    else if (r->dial == MISFIT)
        wst_request_allow(request);
    leave(r, DIAL);
}

static void on_stream_open(const char *destination, int status, const char *reason,
                           void *user_data) {
    rig_t *r = user_data;
    r->open_status = status;
    snprintf(r->open_reason, sizeof(r->open_reason), "%s", reason);
    enter(r, OPENED, destination);
    leave(r, OPENED);
}

static void on_stream_close(const char *destination, uint64_t to, uint64_t from, int status,
                            void *user_data) {
    rig_t *r = user_data;
    r->close_status = status;
    r->to = to;
    r->from = from;
    enter(r, CLOSED, destination);
    leave(r, CLOSED);
}

/* -- The rig ---------------------------------------------------------------------------------- */

static void on_drained(wst__node_t *node) {
    WST__CONTAINER(node, rig_t, node)->drained++;
}

static void on_closed(wst__node_t *node) {
    WST__CONTAINER(node, rig_t, node)->closed++;
}

static void rig_make(rig_t *r, policy_t may, policy_t dial) {
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
        .on_destination = may != UNASKED ? on_destination : NULL,
        .on_dial = dial != UNASKED ? on_dial : NULL,
        .on_stream_open = on_stream_open,
        .on_stream_close = on_stream_close,
        .user_data = r,
    };
}

static void rig_open(rig_t *r, policy_t may, policy_t dial) {
    memset(r, 0, sizeof(*r));
    test_env_open(&r->env);
    rig_make(r, may, dial);
    wst__node_init(&r->node, r->env.ctx, on_drained, on_closed);
    wst__egress_init(&r->egress, &r->node, &r->options);
}

/* Rules for tests that dial this machine. */
static wst_rules_t *open_loopback(void) {
    static const char *const loopback[] = {"127.0.0.0/8", NULL};
    const wst_rule_t rule = {.size = sizeof(rule), .allow = true, .destinations = loopback};
    const wst_rules_options_t options = {.size = sizeof(options), .rules = &rule, .count = 1};
    wst_rules_t *rules;
    assert_int_equal(wst_rules_new(&rules, &options, NULL), 0);
    return rules;
}

static void rig_free(rig_t *r) {
    wst__node_close(&r->node);
    test_env_until_count(&r->env, &r->closed, 1);
    assert_true(wst__list_empty(&r->egress.opening) && wst__list_empty(&r->egress.others));
    assert_int_equal(r->egress.streams.count, 0);
    assert_int_equal(r->egress.pending.count, 0);
    assert_int_equal(r->node.busy.count, r->node.in_service.tally != NULL);
    test_env_close(&r->env);
    for (size_t i = 0; i < ASKED; i++) {
        assert_int_not_equal(r->asked[i].state, WAITING);
        if (r->asked[i].tunnel.ctx != NULL && r->asked[i].state == ACCEPTED)
            fake_stream_free(&r->asked[i].tunnel);
        if (i < r->connections)
            fake_stream_free(&r->destinations[i]);
    }
    wst_rules_free(r->loopback);
}

/* -- Streams that are opened ------------------------------------------------------------------ */

/* Bytes and ends go both ways; the notices tell what happened. */
static void test_pump(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, ALLOW, ALLOW);
    asked_t *a = ask_for(&r, 0, "host.test:80");
    assert_int_equal(r.seen[DESTINATION], 1);
    assert_string_equal(r.peer, "far side");
    assert_int_equal(r.egress.streams.count, 1);
    assert_int_equal(r.egress.pending.count, 1);
    expect_accepted(&r, a);
    assert_string_equal(a->address, ""); /* an embedder who dials does not tell */
    assert_string_equal(r.destination, "host.test:80");
    assert_int_equal(r.egress.streams.count, 1);
    assert_int_equal(r.egress.pending.count, 0);
    fake_stream_t *d = &r.destinations[0];
    fake_stream_data(&a->tunnel, "hello", 5);
    fake_stream_end(&a->tunnel);
    fake_stream_data(d, "world!", 6);
    fake_stream_end(d);
    test_env_until_count(&r.env, &r.seen[CLOSED], 1);
    assert_memory_equal(d->written, "hello", 5);
    assert_memory_equal(a->tunnel.written, "world!", 6);
    assert_true(d->shutdown && a->tunnel.shutdown);
    assert_int_equal(r.close_status, 0);
    assert_int_equal(r.to, 5);
    assert_int_equal(r.from, 6);
    assert_int_equal(r.seen[OPENED], 1);
    assert_int_equal(r.egress.streams.count, 0);
    rig_free(&r);
}

/* A side that breaks is reset to the other one. */
static void test_broken(void **state) {
    (void)state;
    for (int side = 0; side < 2; side++) {
        rig_t r;
        rig_open(&r, UNASKED, ALLOW);
        asked_t *a = ask_for(&r, 0, "host.test:80");
        expect_accepted(&r, a);
        fake_stream_break(side == 0 ? &a->tunnel : &r.destinations[0], WST_ERESET);
        test_env_until_count(&r.env, &r.seen[CLOSED], 1);
        assert_int_equal(r.close_status, WST_ERESET);
        fake_stream_t *other = side == 0 ? &r.destinations[0] : &a->tunnel;
        assert_true(other->closed && other->reset_reason != 0);
        assert_false(other->shutdown);
        rig_free(&r);
    }
}

typedef struct place {
    wst_listener_t *listener;
    wst_stream_t *visitor;
} place_t;

static void on_accept(wst_listener_t *listener, wst_stream_t *stream, void *user_data) {
    (void)listener;
    ((place_t *)user_data)->visitor = stream;
}

static bool is_visited(void *arg) {
    return ((place_t *)arg)->visitor != NULL;
}

/* Without on_dial the egress dials, and tells which address it reached. */
static void test_dialled(void **state) {
    (void)state;
    rig_t r;
    place_t place = {NULL, NULL};
    rig_open(&r, UNASKED, UNASKED);
    r.egress.rules = r.loopback = open_loopback();
    const wst_listener_options_t options = {.size = sizeof(options),
                                            .address = "127.0.0.1:0",
                                            .on_accept = on_accept,
                                            .user_data = &place};
    assert_int_equal(wst_listener_new(&place.listener, r.env.ctx, &options), 0);
    asked_t *a = ask_for(&r, 0, wst_listener_address(place.listener));
    expect_accepted(&r, a);
    assert_string_equal(a->address, "127.0.0.1");
    test_env_until(&r.env, is_visited, &place);
    wst_stream_close(place.visitor, NULL);
    char dead[64];
    snprintf(dead, sizeof(dead), "%s", wst_listener_address(place.listener));
    wst_listener_close(place.listener, NULL);
    test_env_turns(&r.env, 3);
    expect_refused(&r, ask_for(&r, 1, dead), UV_ECONNREFUSED, "connection refused");
    rig_free(&r);
}

/* -- Streams that are not --------------------------------------------------------------------- */

static void test_malformed(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, ALLOW, ALLOW);
    expect_refused(&r, ask_for(&r, 0, "host"), WST_EDEST, "no port");
    expect_refused(&r, ask_for(&r, 1, ":80"), WST_EDEST, "no host");
    assert_int_equal(r.seen[DESTINATION], 0);
    assert_string_equal(r.destination, ":80");
    rig_free(&r);
}

static void test_denied(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, DENY, ALLOW);
    expect_refused(&r, ask_for(&r, 0, "host.test:80"), WST_EDENIED, "no");
    r.may = MISFIT; /* a connection does not say that it may be opened, and is closed */
    expect_refused(&r, ask_for(&r, 1, "host.test:80"), WST_EDENIED, "");
    test_env_turns(&r.env, 3);
    assert_true(r.destinations[0].gone);
    assert_int_equal(r.seen[DIAL], 0);
    rig_free(&r);
}

static void test_unanswered(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, HOLD, HOLD);
    r.egress.o.timeout_ms = r.egress.o.dial_timeout_ms = 20;
    expect_refused(&r, ask_for(&r, 0, "host.test:80"), WST_EDENIED,
                   "the agent's policy did not answer in time");
    r.may = ALLOW;
    expect_refused(&r, ask_for(&r, 1, "host.test:80"), WST_EDIALTIMEOUT, "");
    assert_int_equal(r.gone, 2);
    rig_free(&r);
}

static void test_not_connected(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, UNASKED, FAIL);
    expect_refused(&r, ask_for(&r, 0, "host.test:80"), UV_ECONNREFUSED, "connection refused");
    r.dial = DENY;
    expect_refused(&r, ask_for(&r, 1, "host.test:80"), WST_EDENIED, "no");
    r.dial = MISFIT;
    expect_refused(&r, ask_for(&r, 2, "host.test:80"), WST_EDENIED, "");
    assert_int_equal(r.egress.streams.count, 0);
    rig_free(&r);
}

/* The far side's stream cannot be had: the destination is cut off, the far side is told. */
static void test_not_accepted(void **state) {
    (void)state;
    static const int statuses[] = {WST_ENOMEM, WST_ELOST}, reasons[] = {WST_EMEMORY, WST_ELOST};
    for (size_t i = 0; i < 2; i++) {
        rig_t r;
        rig_open(&r, UNASKED, ALLOW);
        r.asked[0].accept_status = statuses[i];
        expect_refused(&r, ask_for(&r, 0, "host.test:80"), reasons[i], "");
        assert_true(r.destinations[0].closed && r.destinations[0].reset_reason != 0);
        rig_free(&r);
    }
}

/* -- Rules ------------------------------------------------------------------------------------ */

/* By name before anybody is asked; by the address that a name leads to before that is tried. */
static void test_rules(void **state) {
    (void)state;
    rig_t r;
    const char *const secret[] = {"*.secret", NULL};
    const char *const loopback[] = {"127.0.0.0/8", "::1", NULL};
    const char *const ours[] = {"probe", NULL}, *const names[] = {"localhost", NULL};
    const wst_rule_t rules[] = {
        {.size = sizeof(wst_rule_t), .allow = false, .destinations = secret},
        {.size = sizeof(wst_rule_t), .allow = false, .destinations = loopback},
        {.size = sizeof(wst_rule_t), .allow = true, .agents = ours, .destinations = names}};
    wst_rules_t *made;
    const wst_rules_options_t options = {
        .size = sizeof(options), .rules = rules, .count = 3, .deny_by_default = true};
    assert_int_equal(wst_rules_new(&made, &options, NULL), 0);
    rig_open(&r, ALLOW, UNASKED);
    r.egress.rules = made;
    r.egress.o.role = "server";
    expect_refused(&r, ask_for(&r, 0, "x.secret:80"), WST_EDENIED, "denied by the server's rule 1");
    expect_refused(&r, ask_for(&r, 1, "192.0.2.1:80"), WST_EDENIED,
                   "no rule of the server allows it");
    assert_int_equal(r.seen[DESTINATION], 0);
    expect_refused(&r, ask_for(&r, 2, "localhost:80"), WST_EDENIED,
                   "denied by the server's rule 2");
    assert_int_equal(r.seen[DESTINATION], 1);
    r.egress.rules = NULL;
    expect_refused(&r, ask_for(&r, 3, "169.254.169.254:80"), WST_EDENIED,
                   "the server denies link-local and metadata addresses unless a rule names them "
                   "(option)");
    rig_free(&r);
    wst_rules_free(made);
}

/* This host's own services are out of reach unless a rule names them, however they are written. */
static void test_loopback(void **state) {
    (void)state;
    static const char *const destinations[] = {"127.0.0.1:80",
                                               "127.9.9.9:80",
                                               "[::1]:80",
                                               "0.0.0.0:80",
                                               "[::]:80",
                                               "[::ffff:127.0.0.1]:80",
                                               "[::ffff:0.0.0.0]:80",
                                               "[64:ff9b::7f00:1]:80",
                                               "localhost:80"};
    const char *const wide[] = {"*", "localhost.test", "0.0.0.0/0", "::/0", NULL};
    const wst_rule_t rule = {.size = sizeof(rule), .allow = true, .destinations = wide};
    const wst_rules_options_t options = {.size = sizeof(options), .rules = &rule, .count = 1};
    wst_rules_t *made;
    rig_t r;
    size_t count = sizeof(destinations) / sizeof(destinations[0]);
    assert_int_equal(wst_rules_new(&made, &options, NULL), 0);
    for (size_t i = 0; i < 2 * count; i++) {
        rig_open(&r, ALLOW, UNASKED);
        r.egress.rules = i < count ? NULL : made;
        expect_refused(&r, ask_for(&r, 0, destinations[i % count]), WST_EDENIED,
                       "the agent denies its own loopback addresses unless a rule names them "
                       "(option)");
        assert_int_equal(r.open_status, WST_EDENIED);
        assert_string_equal(r.open_reason, "the agent denies its own loopback addresses unless a "
                                           "rule names them (option)");
        rig_free(&r);
    }
    wst_rules_free(made);
}

/* Nothing leads to what this process listens at, whatever rules allow and however it is written. */
static void test_own_address(void **state) {
    (void)state;
    static const struct {
        const char *guarded, *destination;
        bool refused;
    } cases[] = {
        {"127.0.0.1:81", "127.0.0.1:81", true},  {"127.0.0.1:81", "[::ffff:127.0.0.1]:81", true},
        {"127.0.0.1:81", "0.0.0.0:81", true},    {"127.0.0.1:81", "localhost:81", true},
        {"127.0.0.1:81", "127.0.0.2:81", false}, {"127.0.0.1:81", "127.0.0.1:82", false},
        {"0.0.0.0:81", "127.0.0.2:81", true},    {"[::]:81", "127.0.0.1:81", true}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        rig_t r;
        rig_open(&r, UNASKED, UNASKED);
        static const char *const local[] = {"127.0.0.0/8", "0.0.0.0", "localhost", NULL};
        const wst_rule_t rule = {.size = sizeof(rule), .allow = true, .destinations = local};
        const wst_rules_options_t options = {.size = sizeof(options), .rules = &rule, .count = 1};
        assert_int_equal(wst_rules_new(&r.loopback, &options, NULL), 0);
        r.egress.rules = r.loopback;
        assert_int_equal(wst__egress_guard(&r.egress, "192.0.2.1:1"), 0);
        assert_int_equal(wst__egress_guard(&r.egress, cases[i].guarded), 0);
        asked_t *a = ask_for(&r, 0, cases[i].destination);
        test_env_until(&r.env, is_answered, a);
        bool as_own = strcmp(a->text, "it is an address of the agent itself") == 0;
        if (a->state != REFUSED || as_own != cases[i].refused)
            fail_msg("%s at %s: %s", cases[i].destination, cases[i].guarded, a->text);
        assert_int_equal(a->reason == WST_EDENIED, cases[i].refused);
        rig_free(&r);
    }
}

static void test_guards(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, UNASKED, UNASKED);
    assert_int_equal(wst__egress_guard(&r.egress, "unix:/run/x"), WST_EINVAL);
    assert_int_equal(wst__egress_guard(&r.egress, "127.0.0.1"), WST_EINVAL);
    assert_int_equal(wst__egress_guard(&r.egress, "name:80"), WST_EINVAL);
    for (size_t i = 0; i < WST__EGRESS_OWN_MAX; i++)
        assert_int_equal(wst__egress_guard(&r.egress, "[2001:db8::1]:80"), 0);
    assert_int_equal(wst__egress_guard(&r.egress, "127.0.0.1:80"), WST_ELIMIT);
    rig_free(&r);
}

/* -- Figures ---------------------------------------------------------------------------------- */

static void note_seen(const wst__egress_seen_t *seen, void *user_data) {
    char *out = user_data, text[200];
    snprintf(text, sizeof(text), "%llu %s %s %llu/%llu;", (unsigned long long)seen->id,
             seen->destination, seen->state, (unsigned long long)seen->bytes_to_destination,
             (unsigned long long)seen->bytes_from_destination);
    strcat(out, text);
}

static const char *walk_all(rig_t *r, size_t max) {
    static char out[1000];
    wst__egress_walk_t walk;
    out[0] = '\0';
    wst__egress_walk_begin(&walk, &r->egress);
    while (wst__egress_walk_next(&walk, max, note_seen, out))
        ;
    wst__egress_walk_end(&walk);
    return out;
}

static void test_walk(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, UNASKED, ALLOW);
    assert_string_equal(walk_all(&r, 1), "");
    asked_t *first = ask_for(&r, 0, "one.test:1");
    expect_accepted(&r, first);
    fake_stream_data(&first->tunnel, "abc", 3);
    expect_accepted(&r, ask_for(&r, 1, "two.test:2"));
    r.dial = HOLD;
    asked_t *held = ask_for(&r, 2, "three.test:3");
    test_env_until_count(&r.env, (const size_t *)&r.seen[DIAL], 3);
    for (size_t max = 1; max < 5; max++)
        assert_string_equal(walk_all(&r, max), "1 one.test:1 open 3/0;2 two.test:2 open 0/0;"
                                               "3 three.test:3 dialling 0/0;");
    withdraw(held, WST_ECANCELLED);
    assert_string_equal(walk_all(&r, 9), "1 one.test:1 open 3/0;2 two.test:2 open 0/0;");
    rig_free(&r);
}

/* Streams end, and open, between its steps. */
static void test_walk_goes_on(void **state) {
    (void)state;
    char out[1000] = "";
    rig_t r;
    wst__egress_walk_t walk;
    rig_open(&r, UNASKED, ALLOW);
    asked_t *one = ask_for(&r, 0, "one.test:1");
    expect_accepted(&r, one);
    asked_t *two = ask_for(&r, 1, "two.test:2");
    expect_accepted(&r, two);
    r.dial = HOLD;
    ask_for(&r, 2, "three.test:3");
    wst__egress_walk_begin(&walk, &r.egress);
    assert_true(wst__egress_walk_next(&walk, 1, note_seen, out));
    fake_stream_break(&two->tunnel, WST_ERESET); /* the next one */
    test_env_until_count(&r.env, &r.seen[CLOSED], 1);
    test_env_turns(&r.env, 3);
    connect_to_fake(&r, r.held); /* it is open now, behind what there was */
    test_env_until_count(&r.env, &r.seen[OPENED], 3);
    while (wst__egress_walk_next(&walk, 1, note_seen, out))
        ;
    wst__egress_walk_end(&walk);
    assert_memory_equal(out, "1 one.test:1 open 0/0;", 22);
    assert_null(strstr(out, "two"));
    assert_string_equal(walk_all(&r, 1), "1 one.test:1 open 0/0;3 three.test:3 open 0/0;");
    rig_free(&r);
}

static void test_figures(void **state) {
    (void)state;
    rig_t r;
    uint64_t to, from;
    rig_open(&r, UNASKED, ALLOW);
    asked_t *one = ask_for(&r, 0, "one.test:1");
    expect_accepted(&r, one);
    fake_stream_data(&one->tunnel, "abc", 3);
    fake_stream_data(&r.destinations[0], "defgh", 5);
    r.dial = FAIL;
    expect_refused(&r, ask_for(&r, 1, "two.test:2"), UV_ECONNREFUSED, "connection refused");
    wst__egress_bytes(&r.egress, &to, &from);
    assert_int_equal(to, 3);
    assert_int_equal(from, 5);
    fake_stream_break(&one->tunnel, WST_ERESET);
    test_env_until_count(&r.env, &r.seen[CLOSED], 1);
    wst__egress_bytes(&r.egress, &to, &from);
    assert_int_equal(to, 3);
    assert_int_equal(from, 5);
    assert_int_equal(r.egress.opened, 1);
    assert_int_equal(r.egress.refused, 1);
    rig_free(&r);
}

/* What the far side's networks deny is not dialled, and the refusal is in the far side's words. */
static void test_networks(void **state) {
    (void)state;
    static const struct {
        const char *networks, *text;
    } cases[] = {
        {"3-127.0.0.0/8 4-::/0 0+*", "Denied by rule 3 of the server"},
        {"1+10.0.0.0/8 0-*", "No rule of the server allows it"},
        {"1+10.0.0.0/8", "No rule of the server allows it"},
        {"1+*", NULL},
        {"nonsense", "Malformed networks"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        rig_t r;
        rig_open(&r, UNASKED, UNASKED);
        r.egress.rules = r.loopback = open_loopback();
        r.networks = cases[i].networks;
        if (cases[i].text != NULL)
            expect_refused(&r, ask_for(&r, 0, "127.0.0.1:1"), WST_EFILTERED, cases[i].text);
        else
            expect_refused(&r, ask_for(&r, 0, "127.0.0.1:1"), UV_ECONNREFUSED,
                           "connection refused");
        rig_free(&r);
    }
}

/* Nobody knows where a name leads if the embedder dials: no network lets it through, and one that
 * is denied does not let it pass. */
static void test_rules_with_a_dial_of_their_own(void **state) {
    (void)state;
    rig_t r;
    const char *const loopback[] = {"127.0.0.0/8", "*.site", NULL}, *const all[] = {"*", NULL};
    const wst_rule_t allow = {.size = sizeof(allow), .allow = true, .destinations = loopback};
    const wst_rule_t deny[] = {
        {.size = sizeof(wst_rule_t), .allow = false, .destinations = loopback},
        {.size = sizeof(wst_rule_t), .allow = true, .destinations = all}};
    wst_rules_t *first, *second;
    wst_rules_options_t options = {
        .size = sizeof(options), .rules = &allow, .count = 1, .deny_by_default = true};
    assert_int_equal(wst_rules_new(&first, &options, NULL), 0);
    options = (wst_rules_options_t){
        .size = sizeof(wst_rules_options_t), .rules = deny, .count = 2, .deny_by_default = true};
    assert_int_equal(wst_rules_new(&second, &options, NULL), 0);
    rig_open(&r, UNASKED, DENY);
    r.egress.rules = first;
    expect_refused(&r, ask_for(&r, 0, "name:80"), WST_EDENIED, "no rule of the agent allows it");
    assert_int_equal(r.seen[DIAL], 0);
    expect_refused(&r, ask_for(&r, 0, "name.site:80"), WST_EDENIED, "no");
    expect_refused(&r, ask_for(&r, 0, "127.0.0.1:80"), WST_EDENIED, "no");
    assert_int_equal(r.seen[DIAL], 2);
    r.egress.rules = second;
    expect_refused(&r, ask_for(&r, 0, "name:80"), WST_EDENIED, "denied by the agent's rule 1");
    expect_refused(&r, ask_for(&r, 0, "192.0.2.1:80"), WST_EDENIED, "no");
    rig_free(&r);
    wst_rules_free(first);
    wst_rules_free(second);
}

/* -- Limits ----------------------------------------------------------------------------------- */

static void test_max_pending(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, HOLD, ALLOW);
    r.egress.o.max_pending = 1;
    asked_t *first = ask_for(&r, 0, "host.test:80");
    expect_refused(&r, ask_for(&r, 1, "host.test:80"), WST_ELIMIT,
                   "too many destinations are being opened");
    wst_request_allow(r.held);
    expect_accepted(&r, first); /* open: it takes no room */
    r.may = ALLOW;
    expect_accepted(&r, ask_for(&r, 2, "host.test:80"));
    rig_free(&r);
}

/* Streams to a destination that does not answer leave room for those to others. */
static void test_destinations_share_what_is_pending(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, HOLD, ALLOW);
    r.egress.o.max_pending = 3;
    asked_t *first = ask_for(&r, 0, "silent.test:80"), *second = ask_for(&r, 1, "silent.test:80");
    expect_refused(&r, ask_for(&r, 2, "silent.test:80"), WST_ELIMIT,
                   "too many connections to it are being opened");
    r.may = ALLOW;
    expect_accepted(&r, ask_for(&r, 3, "host.test:80"));
    withdraw(first, WST_ECANCELLED);
    withdraw(second, WST_ECANCELLED);
    assert_int_equal(r.egress.pending.count, 0);
    rig_free(&r);
}

static void test_max_streams(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, UNASKED, ALLOW);
    r.egress.o.max_streams = 1;
    asked_t *first = ask_for(&r, 0, "host.test:80");
    expect_accepted(&r, first);
    expect_refused(&r, ask_for(&r, 1, "host.test:80"), WST_ELIMIT, "");
    fake_stream_break(&first->tunnel, WST_ERESET);
    test_env_until_count(&r.env, &r.seen[CLOSED], 1);
    expect_accepted(&r, ask_for(&r, 2, "host.test:80")); /* at once */
    rig_free(&r);
}

/* -- The far side loses interest -------------------------------------------------------------- */

static void test_withdrawn(void **state) {
    (void)state;
    for (int dialling = 0; dialling < 2; dialling++) {
        rig_t r;
        rig_open(&r, dialling ? UNASKED : HOLD, HOLD);
        asked_t *a = ask_for(&r, 0, "host.test:80");
        withdraw(a, WST_ECANCELLED);
        assert_int_equal(r.seen[OPENED], 1);
        assert_int_equal(r.open_status, WST_ECANCELLED);
        assert_int_equal(r.egress.streams.count, 0);
        test_env_turns(&r.env, 3);
        assert_int_equal(r.gone, 1);
        rig_free(&r);
    }
}

/* After the answer, before it has been heard of: a connection in it is cut off. */
static void test_answered_and_withdrawn(void **state) {
    (void)state;
    static const policy_t policies[][2] = {
        {ALLOW, UNASKED}, {DENY, UNASKED}, {MISFIT, UNASKED}, {UNASKED, ALLOW}, {UNASKED, DENY}};
    for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
        rig_t r;
        rig_open(&r, policies[i][0], policies[i][1]);
        withdraw(ask_for(&r, 0, "host.test:80"), WST_ELOST);
        assert_int_equal(r.seen[OPENED], 1);
        assert_int_equal(r.open_status, WST_ELOST);
        if (r.connections > 0)
            assert_true(r.destinations[0].closed && r.destinations[0].reset_reason != 0);
        rig_free(&r);
        assert_int_equal(r.seen[OPENED], 1);
    }
}

static void test_withdrawn_while_dialling(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, UNASKED, UNASKED);
    r.egress.rules = r.loopback = open_loopback();
    withdraw(ask_for(&r, 0, "127.0.0.1:1"), WST_ELOST);
    assert_int_equal(r.open_status, WST_ELOST);
    test_env_turns(&r.env, 5);
    assert_int_equal(r.seen[OPENED], 1);
    rig_free(&r);
}

/* -- Draining and closing --------------------------------------------------------------------- */

/* A stream keeps the node busy until it is gone, opening or open. */
static void test_drain(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, HOLD, ALLOW);
    asked_t *a = ask_for(&r, 0, "host.test:80");
    wst__node_drain(&r.node, 60000);
    test_env_turns(&r.env, 5);
    wst_request_allow(r.held);
    expect_accepted(&r, a);
    test_env_turns(&r.env, 5);
    assert_int_equal(r.drained, 0);
    fake_stream_break(&a->tunnel, WST_ERESET);
    test_env_until_count(&r.env, &r.drained, 1);
    assert_int_equal(r.seen[CLOSED], 1);
    rig_free(&r);
}

/* One stream in each phase: none is told of any more, and what is open is reset. */
static void test_close(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, ALLOW, ALLOW);
    asked_t *open = ask_for(&r, 0, "host.test:80");
    expect_accepted(&r, open);
    r.dial = HOLD;
    asked_t *dialling = ask_for(&r, 1, "host.test:80");
    test_env_until_count(&r.env, &r.seen[DIAL], 2);
    r.may = HOLD;
    asked_t *asking = ask_for(&r, 2, "host.test:80");
    wst__node_close(&r.node);
    assert_int_equal(dialling->reason, WST_ECANCELLED);
    assert_int_equal(asking->reason, WST_ECANCELLED);
    assert_true(open->tunnel.closed && open->tunnel.reset_reason != 0);
    assert_true(r.destinations[0].closed && r.destinations[0].reset_reason != 0);
    rig_free(&r);
    assert_int_equal(r.seen[OPENED], 1);
    assert_int_equal(r.seen[CLOSED], 0);
}

static void test_close_in_callbacks(void **state) {
    (void)state;
    for (int event = DESTINATION; event < EVENTS; event++) {
        rig_t r;
        rig_open(&r, ALLOW, ALLOW);
        r.close_in = (event_t)event;
        asked_t *a = ask_for(&r, 0, "host.test:80");
        if (event == CLOSED) {
            expect_accepted(&r, a);
            fake_stream_break(&a->tunnel, WST_ERESET);
        }
        test_env_until_count(&r.env, &r.closed, 1);
        assert_int_equal(r.seen[event], 1);
        assert_true(event >= OPENED || a->reason == WST_ECANCELLED);
        rig_free(&r);
    }
}

/* A refusal is told, too, and the node may be closed in there. */
static void test_close_when_refused(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, UNASKED, ALLOW);
    r.close_in = OPENED;
    asked_t *a = ask_for(&r, 0, "host");
    assert_int_equal(a->reason, WST_EDEST);
    assert_int_equal(r.node.state, WST__NODE_CLOSING);
    rig_free(&r);
}

/* -- Without memory --------------------------------------------------------------------------- */

static bool is_through(void *arg) {
    const rig_t *r = arg;
    return r->destinations[0].written_len == 5 || r->seen[CLOSED] > 0;
}

static void one_stream(void *arg) {
    rig_t r;
    (void)arg;
    memset(&r, 0, sizeof(r));
    test_env_open(&r.env);
    if (r.env.ctx == NULL) {
        test_env_close(&r.env);
        return;
    }
    rig_make(&r, ALLOW, ALLOW);
    wst__node_init(&r.node, r.env.ctx, on_drained, on_closed);
    wst__egress_init(&r.egress, &r.node, &r.options);
    asked_t *a = ask_for(&r, 0, "host.test:80");
    test_env_until(&r.env, is_answered, a);
    if (a->state == ACCEPTED && r.open_status == 0) {
        fake_stream_data(&a->tunnel, "hello", 5);
        test_env_until(&r.env, is_through, &r);
    }
    rig_free(&r);
}

static void test_allocations(void **state) {
    (void)state;
    assert_true(test_alloc_each(one_stream, NULL) > 8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pump),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_dialled),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_denied),
        cmocka_unit_test(test_unanswered),
        cmocka_unit_test(test_not_connected),
        cmocka_unit_test(test_not_accepted),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_loopback),
        cmocka_unit_test(test_own_address),
        cmocka_unit_test(test_guards),
        cmocka_unit_test(test_walk),
        cmocka_unit_test(test_walk_goes_on),
        cmocka_unit_test(test_figures),
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_rules_with_a_dial_of_their_own),
        cmocka_unit_test(test_max_pending),
        cmocka_unit_test(test_destinations_share_what_is_pending),
        cmocka_unit_test(test_max_streams),
        cmocka_unit_test(test_withdrawn),
        cmocka_unit_test(test_answered_and_withdrawn),
        cmocka_unit_test(test_withdrawn_while_dialling),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_close_in_callbacks),
        cmocka_unit_test(test_close_when_refused),
        cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
