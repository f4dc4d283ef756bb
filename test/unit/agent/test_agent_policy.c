/* SPDX-License-Identifier: MIT */
/* What the agent asks about a destination: may it be opened, and how. Each answer, early, late or
 * never, and what the server sees of it. */
#include "agent_peers.h"

#include <errno.h>
#include <stdio.h>

typedef struct rig {
    agent_world_t w;
    agent_raw_t raw;
    agent_place_t place;
    unsigned id; /* of the last stream */
} rig_t;

static void rig_open(rig_t *r, agent_policy_t destinations, agent_policy_t dials) {
    memset(r, 0, sizeof(*r));
    agent_world_open(&r->w);
    r->w.destinations = destinations;
    r->w.dials = dials;
    r->w.options.encoding = WST_ENCODING_JSON;
    r->raw.manner = AGENT_RAW_UPGRADE;
    r->raw.says[0] = agent_raw_hello;
    agent_raw_open(&r->w, &r->raw);
    agent_place_open(&r->w, &r->place);
}

static void rig_up(rig_t *r) {
    agent_world_start(&r->w);
    agent_world_until(&r->w, AGENT_UP, 1);
}

static void rig_free(rig_t *r) {
    agent_place_free(&r->place);
    if (!r->w.close_called)
        agent_world_close_agent(&r->w);
    agent_raw_free(&r->raw);
    agent_world_free(&r->w);
}

static void ask_for(rig_t *r, const char *destination) {
    char text[400];
    wst_slice_t slice;
    r->id += 2;
    snprintf(text, sizeof(text), "{\"method\":1,\"id\":%u,\"dest\":\"%s\"}", r->id, destination);
    assert_int_equal(wst_slice_copy(&slice, r->w.peers, text, strlen(text)), 0);
    assert_true(wst_websocket_send(r->raw.ws, true, slice) >= 0);
}

/* The answer to the last stream: it is open at the place, by a dial of the agent's. */
static void expect_dialled(rig_t *r) {
    char text[80];
    snprintf(text, sizeof(text), "{\"method\":2,\"id\":%u,\"address\":\"127.0.0.1\"}\n", r->id);
    agent_raw_expect(&r->raw, text);
}

/* Open in a way of the embedder's, or an error ("code":..., as it is on the wire). */
static void expect_answer(rig_t *r, const char *error) {
    char text[400];
    if (error == NULL)
        snprintf(text, sizeof(text), "{\"method\":2,\"id\":%u}\n", r->id);
    else
        snprintf(text, sizeof(text), "{\"method\":2,\"id\":%u,\"error\":{%s}}\n", r->id, error);
    agent_raw_expect(&r->raw, text);
}

/* A stream of ours, whose other end is a plain descriptor. */
static int own_connection(rig_t *r) {
    int fds[2];
    sockets_pair(fds, false);
    r->w.connection = sockets_stream(&r->w.env, fds[0], false);
    return fds[1];
}

/* Waits until the end of a connection is seen at its descriptor; that must be a reset. */
static void expect_cut(int fd) {
    uint8_t byte;
    size_t len;
    assert_int_equal(sockets_read_all(fd, &byte, 1, &len), ECONNRESET);
    assert_int_equal(len, 0);
    sockets_reset(fd);
}

/* --- may it be opened --- */

static void test_allowed(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, AGENT_ALLOW, AGENT_UNASKED);
    rig_up(&r);
    ask_for(&r, r.place.address);
    expect_dialled(&r);
    assert_int_equal(r.w.seen[AGENT_DESTINATION], 1);
    assert_string_equal(r.w.question_peer, r.w.address);
    assert_int_equal(r.w.open_status, 0);
    rig_free(&r);
}

static void test_denied(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, AGENT_DENY, AGENT_UNASKED);
    r.w.reason = "not on \"Sundays\"";
    rig_up(&r);
    ask_for(&r, r.place.address);
    expect_answer(&r, "\"code\":-32006,\"message\":\"not on \\\"Sundays\\\"\"");
    assert_int_equal(r.w.open_status, WST_EDENIED);
    assert_string_equal(r.w.destination, r.place.address);
    r.w.reason = NULL;
    ask_for(&r, r.place.address);
    expect_answer(&r, "\"code\":-32006,\"message\":\"\"");
    assert_int_equal(r.place.count, 0);
    assert_int_equal(wst_agent_streams(r.w.agent), 0);
    rig_free(&r);
}

static void test_later(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, AGENT_HOLD, AGENT_UNASKED);
    rig_up(&r);
    ask_for(&r, r.place.address);
    agent_world_until(&r.w, AGENT_DESTINATION, 1);
    test_env_turns(&r.w.env, 5);
    assert_int_equal(r.place.count, 0);
    wst_request_t *request = r.w.held;
    r.w.held = NULL;
    wst_request_allow(request);
    expect_dialled(&r);

    ask_for(&r, r.place.address);
    agent_world_until(&r.w, AGENT_DESTINATION, 2);
    request = r.w.held;
    r.w.held = NULL;
    wst_request_deny(request, 403, "no", NULL);
    expect_answer(&r, "\"code\":-32006,\"message\":\"no\"");
    assert_int_equal(r.w.seen[AGENT_GONE], 0);
    rig_free(&r);
}

static void test_never(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, AGENT_HOLD, AGENT_UNASKED);
    r.w.options.connect_timeout_ms = 200;
    rig_up(&r);
    ask_for(&r, r.place.address);
    expect_answer(&r, "\"code\":-32006,\"message\":\"the agent's policy did not answer in time\"");
    assert_int_equal(r.w.seen[AGENT_GONE], 1);
    assert_int_equal(r.w.open_status, WST_EDENIED);
    rig_free(&r);
}

/* The agent's own rules hold whatever the server wants, by name before anybody is asked, ... */
static void test_rules(void **state) {
    (void)state;
    rig_t r;
    const char *const secret[] = {"*.secret", NULL},
                      *const loopback[] = {"127.0.0.0/8", "::1", NULL}, *const all[] = {"*", NULL};
    const wst_rule_t rules[] = {
        {.size = sizeof(wst_rule_t), .allow = false, .destinations = secret},
        {.size = sizeof(wst_rule_t), .allow = true, .destinations = loopback}};
    const wst_rule_t others[] = {
        {.size = sizeof(wst_rule_t), .allow = false, .destinations = loopback},
        {.size = sizeof(wst_rule_t), .allow = true, .destinations = all}};
    wst_rules_t *first, *second;
    wst_rules_options_t options = {
        .size = sizeof(options), .rules = rules, .count = 2, .deny_by_default = true};
    assert_int_equal(wst_rules_new(&first, &options, NULL), 0);
    options.rules = others;
    assert_int_equal(wst_rules_new(&second, &options, NULL), 0);
    rig_open(&r, AGENT_ALLOW, AGENT_UNASKED);
    r.w.options.rules = first;
    rig_up(&r);
    ask_for(&r, "x.secret:80");
    expect_answer(&r, "\"code\":-32006,\"message\":\"denied by the agent's rule 1\"");
    ask_for(&r, "192.0.2.1:80");
    expect_answer(&r, "\"code\":-32006,\"message\":\"no rule of the agent allows it\"");
    assert_int_equal(r.w.seen[AGENT_DESTINATION], 0);
    ask_for(&r, r.place.address);
    expect_dialled(&r);

    /* ... and by address, whatever the name is. */
    wst_agent_set_rules(r.w.agent, second);
    char named[80];
    snprintf(named, sizeof(named), "localhost%s", strchr(r.place.address, ':'));
    ask_for(&r, named);
    expect_answer(&r, "\"code\":-32006,\"message\":\"denied by the agent's rule 1\"");
    assert_int_equal(r.w.open_status, WST_EDENIED);
    wst_agent_set_rules(r.w.agent, NULL);
    ask_for(&r, "169.254.169.254:80");
    expect_answer(&r, "\"code\":-32006,\"message\":\"the agent denies link-local and metadata "
                      "addresses unless a rule names them (wstunnel-agent --allow)\"");
    assert_int_equal(r.place.count, 1);
    rig_free(&r);
    wst_rules_free(first);
    wst_rules_free(second);
}

/* Where the embedder dials a name leads nobody knows where: no network lets it through. */
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
    rig_open(&r, AGENT_UNASKED, AGENT_DENY);
    r.w.reason = "asked";
    r.w.options.rules = first;
    rig_up(&r);
    ask_for(&r, "name:80");
    expect_answer(&r, "\"code\":-32006,\"message\":\"no rule of the agent allows it\"");
    assert_int_equal(r.w.seen[AGENT_DIAL], 0);
    ask_for(&r, "name.site:80");
    expect_answer(&r, "\"code\":-32006,\"message\":\"asked\"");
    ask_for(&r, "127.0.0.1:80");
    expect_answer(&r, "\"code\":-32006,\"message\":\"asked\"");
    assert_int_equal(r.w.seen[AGENT_DIAL], 2);
    wst_agent_set_rules(r.w.agent, second);
    ask_for(&r, "name:80");
    expect_answer(&r, "\"code\":-32006,\"message\":\"denied by the agent's rule 1\"");
    ask_for(&r, "192.0.2.1:80");
    expect_answer(&r, "\"code\":-32006,\"message\":\"asked\"");
    rig_free(&r);
    wst_rules_free(first);
    wst_rules_free(second);
}

/* A connection is no answer to "may it be opened": nothing is opened, nothing leaks. */
static void test_misfit(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, AGENT_MISFIT, AGENT_UNASKED);
    rig_up(&r);
    int fd = own_connection(&r);
    ask_for(&r, r.place.address);
    expect_answer(&r, "\"code\":-32006,\"message\":\"\"");
    test_env_turns(&r.w.env, 3);
    expect_cut(fd);
    rig_free(&r);
}

/* The server loses interest in the middle of the question. */
static void test_cancelled_while_asked(void **state) {
    (void)state;
    static const agent_policy_t policies[][2] = {{AGENT_HOLD, AGENT_UNASKED},
                                                 {AGENT_ALLOW, AGENT_HOLD}};
    for (size_t i = 0; i < 2; i++) {
        rig_t r;
        rig_open(&r, policies[i][0], policies[i][1]);
        rig_up(&r);
        ask_for(&r, r.place.address);
        agent_world_until(&r.w, i == 0 ? AGENT_DESTINATION : AGENT_DIAL, 1);
        agent_raw_say(&r.raw, "{\"method\":7,\"id\":2,\"error\":{\"code\":-32010}}");
        agent_world_until(&r.w, AGENT_GONE, 1);
        assert_int_equal(r.w.seen[AGENT_STREAM_OPEN], 1);
        assert_int_equal(r.w.open_status, WST_ECANCELLED);
        assert_int_equal(wst_agent_streams(r.w.agent), 0);
        assert_int_equal(r.raw.heard_len, strlen(r.raw.heard));
        assert_null(strstr(r.raw.heard, "\"method\":2")); /* there is nothing to answer */
        rig_free(&r);
    }
}

/* An answer and the cancellation in the same turn. */
static void answer_and_cancel(agent_world_t *w, agent_event_t event) {
    rig_t *r = (rig_t *)w;
    if (event == AGENT_DESTINATION || event == AGENT_DIAL)
        agent_raw_leave(&r->raw, AGENT_RAW_THEN_RESET);
}

static void test_answered_and_lost(void **state) {
    (void)state;
    static const agent_policy_t policies[][2] = {{AGENT_ALLOW, AGENT_UNASKED},
                                                 {AGENT_DENY, AGENT_UNASKED},
                                                 {AGENT_MISFIT, AGENT_UNASKED},
                                                 {AGENT_UNASKED, AGENT_ALLOW},
                                                 {AGENT_UNASKED, AGENT_DENY}};
    for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
        rig_t r;
        rig_open(&r, policies[i][0], policies[i][1]);
        rig_up(&r);
        int fd = own_connection(&r);
        bool used = policies[i][0] == AGENT_MISFIT || policies[i][1] == AGENT_ALLOW;
        r.w.act = answer_and_cancel;
        ask_for(&r, r.place.address);
        agent_world_until(&r.w, AGENT_DOWN, 1);
        r.w.act = NULL;
        assert_int_equal(r.w.seen[AGENT_STREAM_OPEN], 1);
        if (!used)
            wst_stream_close(r.w.connection, NULL);
        test_env_turns(&r.w.env, 5);
        expect_cut(fd);
        agent_world_until(&r.w, AGENT_UP, 2);
        rig_free(&r);
    }
}

/* --- how --- */

static void test_dial_hook(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, AGENT_ALLOW, AGENT_ALLOW);
    rig_up(&r);
    int fd = own_connection(&r);
    ask_for(&r, "a.name.of.its.own:7");
    expect_answer(&r, NULL);
    assert_int_equal(r.w.seen[AGENT_DESTINATION], 1);
    assert_int_equal(r.w.seen[AGENT_DIAL], 1);
    assert_string_equal(r.w.destination, "a.name.of.its.own:7");
    agent_raw_say(&r.raw, "{\"method\":3,\"id\":2,\"data\":\"aGVsbG8=\"}");
    agent_raw_say(&r.raw, "{\"method\":6,\"id\":2,\"offset\":5}");
    test_env_turns(&r.w.env, 20);
    uint8_t got[16];
    size_t len;
    assert_int_equal(sockets_read_all(fd, got, sizeof(got), &len), 0);
    assert_int_equal(len, 5);
    assert_memory_equal(got, "hello", 5);
    sockets_reset(fd);
    agent_world_until(&r.w, AGENT_STREAM_CLOSE, 1);
    assert_int_equal(r.w.bytes_to_destination, 5);
    assert_int_equal(r.w.close_status, UV_ECONNRESET);
    agent_raw_expect(&r.raw, "{\"method\":7,\"id\":2,\"error\":{\"code\":-32009");
    rig_free(&r);
}

static void test_dial_hook_denies(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, AGENT_UNASKED, AGENT_DENY);
    r.w.reason = "no route there";
    rig_up(&r);
    ask_for(&r, "host:1");
    expect_answer(&r, "\"code\":-32006,\"message\":\"no route there\"");
    r.w.dials = AGENT_MISFIT; /* allowing opens nothing */
    ask_for(&r, "host:1");
    expect_answer(&r, "\"code\":-32006,\"message\":\"\"");
    rig_free(&r);
}

static void test_dial_hook_fails(void **state) {
    (void)state;
    static const struct {
        int status;
        const char *answer;
    } cases[] = {
        {UV_ECONNREFUSED, "\"code\":-32001,\"message\":\"connection refused\""},
        {WST_EUNREACHABLE, "\"code\":-32002,\"message\":\"destination unreachable\""},
        {UV_EISDIR, "\"code\":-32000,\"message\":\"illegal operation on a directory\""},
    };
    rig_t r;
    rig_open(&r, AGENT_UNASKED, AGENT_HOLD);
    rig_up(&r);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ask_for(&r, "host:1");
        agent_world_until(&r.w, AGENT_DIAL, i + 1);
        wst_request_t *request = r.w.held;
        r.w.held = NULL;
        wst_request_connected(request, cases[i].status, NULL);
        expect_answer(&r, cases[i].answer);
        assert_int_equal(r.w.open_status, cases[i].status);
    }
    rig_free(&r);
}

static void test_dial_hook_never_answers(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, AGENT_UNASKED, AGENT_HOLD);
    r.w.options.dial_timeout_ms = 20;
    rig_up(&r);
    ask_for(&r, "host:1");
    expect_answer(&r, "\"code\":-32005,\"message\":\"\"");
    assert_int_equal(r.w.open_status, WST_EDIALTIMEOUT);
    assert_int_equal(r.w.seen[AGENT_GONE], 1);
    rig_free(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allowed),
        cmocka_unit_test(test_denied),
        cmocka_unit_test(test_later),
        cmocka_unit_test(test_never),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_rules_with_a_dial_of_their_own),
        cmocka_unit_test(test_misfit),
        cmocka_unit_test(test_cancelled_while_asked),
        cmocka_unit_test(test_answered_and_lost),
        cmocka_unit_test(test_dial_hook),
        cmocka_unit_test(test_dial_hook_denies),
        cmocka_unit_test(test_dial_hook_fails),
        cmocka_unit_test(test_dial_hook_never_answers),
    };
    return cmocka_run_group_tests_name("agent_policy", tests, NULL, NULL);
}
