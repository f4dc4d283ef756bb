/* SPDX-License-Identifier: MIT */
/* Where the egress may lead: rules, the far side's networks, and what is never reached. */
#include "egress_rig.h"

/* By name before anybody is asked; by the address that a name leads to before that is tried. */
static void test_rules(void **state) {
    (void)state;
    egress_rig_t r;
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
    egress_rig_open(&r, EGRESS_ALLOW, EGRESS_UNASKED);
    r.egress.rules = made;
    r.egress.o.role = "server";
    egress_rig_expect_refused(&r, egress_rig_ask(&r, 0, "x.secret:80"), WST_EDENIED,
                              "denied by the server's rule 1");
    egress_rig_expect_refused(&r, egress_rig_ask(&r, 1, "192.0.2.1:80"), WST_EDENIED,
                              "no rule of the server allows it");
    assert_int_equal(r.seen[EGRESS_DESTINATION], 0);
    egress_rig_expect_refused(&r, egress_rig_ask(&r, 2, "localhost:80"), WST_EDENIED,
                              "denied by the server's rule 2");
    assert_int_equal(r.seen[EGRESS_DESTINATION], 1);
    r.egress.rules = NULL;
    egress_rig_expect_refused(
        &r, egress_rig_ask(&r, 3, "169.254.169.254:80"), WST_EDENIED,
        "the server denies link-local and metadata addresses unless a rule names them "
        "(option)");
    egress_rig_free(&r);
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
    egress_rig_t r;
    size_t count = sizeof(destinations) / sizeof(destinations[0]);
    assert_int_equal(wst_rules_new(&made, &options, NULL), 0);
    for (size_t i = 0; i < 2 * count; i++) {
        egress_rig_open(&r, EGRESS_ALLOW, EGRESS_UNASKED);
        r.egress.rules = i < count ? NULL : made;
        egress_rig_expect_refused(
            &r, egress_rig_ask(&r, 0, destinations[i % count]), WST_EDENIED,
            "the agent denies its own loopback addresses unless a rule names them "
            "(option)");
        assert_int_equal(r.open_status, WST_EDENIED);
        assert_string_equal(r.open_reason, "the agent denies its own loopback addresses unless a "
                                           "rule names them (option)");
        egress_rig_free(&r);
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
        egress_rig_t r;
        egress_rig_open(&r, EGRESS_UNASKED, EGRESS_UNASKED);
        static const char *const local[] = {"127.0.0.0/8", "0.0.0.0", "localhost", NULL};
        const wst_rule_t rule = {.size = sizeof(rule), .allow = true, .destinations = local};
        const wst_rules_options_t options = {.size = sizeof(options), .rules = &rule, .count = 1};
        assert_int_equal(wst_rules_new(&r.loopback, &options, NULL), 0);
        r.egress.rules = r.loopback;
        assert_int_equal(wst__egress_guard(&r.egress, "192.0.2.1:1"), 0);
        assert_int_equal(wst__egress_guard(&r.egress, cases[i].guarded), 0);
        egress_asked_t *a = egress_rig_ask(&r, 0, cases[i].destination);
        test_env_until(&r.env, egress_rig_is_answered, a);
        bool as_own = strcmp(a->text, "it is an address of the agent itself") == 0;
        if (a->state != EGRESS_REFUSED || as_own != cases[i].refused)
            fail_msg("%s at %s: %s", cases[i].destination, cases[i].guarded, a->text);
        assert_int_equal(a->reason == WST_EDENIED, cases[i].refused);
        egress_rig_free(&r);
    }
}

static void test_guards(void **state) {
    (void)state;
    egress_rig_t r;
    egress_rig_open(&r, EGRESS_UNASKED, EGRESS_UNASKED);
    assert_int_equal(wst__egress_guard(&r.egress, "unix:/run/x"), WST_EINVAL);
    assert_int_equal(wst__egress_guard(&r.egress, "127.0.0.1"), WST_EINVAL);
    assert_int_equal(wst__egress_guard(&r.egress, "name:80"), WST_EINVAL);
    for (size_t i = 0; i < WST__EGRESS_OWN_MAX; i++)
        assert_int_equal(wst__egress_guard(&r.egress, "[2001:db8::1]:80"), 0);
    assert_int_equal(wst__egress_guard(&r.egress, "127.0.0.1:80"), WST_ELIMIT);
    egress_rig_free(&r);
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
        egress_rig_t r;
        egress_rig_open(&r, EGRESS_UNASKED, EGRESS_UNASKED);
        r.egress.rules = r.loopback = egress_rig_loopback_rules();
        r.networks = cases[i].networks;
        if (cases[i].text != NULL)
            egress_rig_expect_refused(&r, egress_rig_ask(&r, 0, "127.0.0.1:1"), WST_EFILTERED,
                                      cases[i].text);
        else
            egress_rig_expect_refused(&r, egress_rig_ask(&r, 0, "127.0.0.1:1"), UV_ECONNREFUSED,
                                      "connection refused");
        egress_rig_free(&r);
    }
}

/* Nobody knows where a name leads if the embedder dials: no network lets it through, and one that
 * is denied does not let it pass. */
static void test_rules_with_a_dial_of_their_own(void **state) {
    (void)state;
    egress_rig_t r;
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
    egress_rig_open(&r, EGRESS_UNASKED, EGRESS_DENY);
    r.egress.rules = first;
    egress_rig_expect_refused(&r, egress_rig_ask(&r, 0, "name:80"), WST_EDENIED,
                              "no rule of the agent allows it");
    assert_int_equal(r.seen[EGRESS_DIAL], 0);
    egress_rig_expect_refused(&r, egress_rig_ask(&r, 0, "name.site:80"), WST_EDENIED, "no");
    egress_rig_expect_refused(&r, egress_rig_ask(&r, 0, "127.0.0.1:80"), WST_EDENIED, "no");
    assert_int_equal(r.seen[EGRESS_DIAL], 2);
    r.egress.rules = second;
    egress_rig_expect_refused(&r, egress_rig_ask(&r, 0, "name:80"), WST_EDENIED,
                              "denied by the agent's rule 1");
    egress_rig_expect_refused(&r, egress_rig_ask(&r, 0, "192.0.2.1:80"), WST_EDENIED, "no");
    egress_rig_free(&r);
    wst_rules_free(first);
    wst_rules_free(second);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),       cmocka_unit_test(test_loopback),
        cmocka_unit_test(test_own_address), cmocka_unit_test(test_guards),
        cmocka_unit_test(test_networks),    cmocka_unit_test(test_rules_with_a_dial_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
