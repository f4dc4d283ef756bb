/* SPDX-License-Identifier: MIT */
/* Rules: what their patterns match, in which order, before and after the address is known. */
#include "support.h"

#include <string.h>
#include <wstunnel/error.h>
#include <wstunnel/rules.h>

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

static wst_rules_t *make(bool deny_by_default, const wst_rule_t *rules, size_t count) {
    wst_rules_t *r;
    const wst_rules_options_t options = {.size = sizeof(options),
                                         .rules = rules,
                                         .count = count,
                                         .deny_by_default = deny_by_default};
    assert_int_equal(wst_rules_new(&r, &options, NULL), 0);
    return r;
}

static bool one(const char *pattern, const char *host, uint16_t port, const char *address) {
    const wst_rule_t rule = {.size = sizeof(rule), .allow = true, .destinations = LIST(pattern)};
    wst_rules_t *r = make(true, &rule, 1);
    const wst_rules_query_t query = {.size = sizeof(query),
                                     .user = "",
                                     .agent = "a",
                                     .host = host,
                                     .port = port,
                                     .address = address};
    bool allow = wst_rules_decide(r, &query).allow;
    wst_rules_free(r);
    return allow;
}

static void test_destinations(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *host;
        uint16_t port;
        const char *address;
        bool allow;
    } cases[] = {
        {"example.com", "example.com", 443, "192.0.2.1", true},
        {"example.com", "EXAMPLE.com.", 443, "192.0.2.1", true},
        {"Example.COM.", "example.com", 443, "192.0.2.1", true},
        {"example.com", "example.com.evil", 443, "192.0.2.1", false},
        {"example.com", "xexample.com", 443, "192.0.2.1", false},
        {"example.com:443", "example.com", 443, "192.0.2.1", true},
        {"example.com:443", "example.com", 444, "192.0.2.1", false},
        {"example.com:80,8000-8999", "example.com", 8000, "192.0.2.1", true},
        {"example.com:80,8000-8999", "example.com", 8999, "192.0.2.1", true},
        {"example.com:80,8000-8999", "example.com", 9000, "192.0.2.1", false},
        {"example.com:80,8000-8999", "example.com", 7999, "192.0.2.1", false},
        {"example.com:*", "example.com", 1, "192.0.2.1", true},
        {"*.example.com", "a.example.com", 1, "192.0.2.1", true},
        {"*.example.com", "a.b.example.com", 1, "192.0.2.1", true},
        {"*.example.com", "example.com", 1, "192.0.2.1", false},
        {"a*b*c.x", "aXbYbZc.x", 1, "192.0.2.1", true},
        {"a*b*c.x", "aXbYbZ.x", 1, "192.0.2.1", false},
        {"*:22", "anything", 22, "192.0.2.1", true},
        {"*", "192.0.2.1", 22, NULL, true},
        {"**.:22", "192.0.2.1", 22, NULL, true},
        {"***", "name", 22, "192.0.2.1", true},
        {"1*", "192.0.2.1", 22, NULL, false}, /* no pattern of addresses */
        {"*.2.*", "192.0.2.1", 22, NULL, false},
        {"1*", "1st.example", 22, NULL, true},
        {"3-5", "3-5", 22, NULL, true},
        {"10.0.0.0/8", "10.255.0.1", 22, NULL, true},
        {"10.0.0.0/8", "11.0.0.1", 22, NULL, false},
        {"10.0.0.0/8", "name", 22, NULL, true}, /* may yet be */
        {"10.0.0.0/8", "name", 22, "10.1.2.3", true},
        {"10.0.0.0/8", "name", 22, "192.0.2.1", false},
        {"10.0.0.0/8", "name", 22, "", false},
        {"10.0.0.0/8:22", "name", 22, "10.1.2.3", true},
        {"10.0.0.0/8:22", "name", 23, NULL, false},
        {"10.128.0.0/9", "10.127.255.255", 22, NULL, false},
        {"10.128.0.0/9", "10.128.0.0", 22, NULL, true},
        {"0.0.0.0/0", "192.0.2.1", 22, NULL, true},
        {"0.0.0.0/0", "2001:db8::1", 22, NULL, false},
        {"::/0", "192.0.2.1", 22, NULL, false},
        {"::/0", "name", 22, "192.0.2.1", false},
        {"::/0", "64:ff9b::a00:1", 22, NULL, false}, /* it is 10.0.0.1 */
        {"::/0", "2001:db8::1", 22, NULL, true},
        {"::/64", "::ffff:192.0.2.1", 22, NULL, false},
        {"192.0.2.7", "192.0.2.7", 22, NULL, true},
        {"192.0.2.7", "192.0.2.8", 22, NULL, false},
        {"192.0.2.7:22", "192.0.2.7", 22, NULL, true},
        {"2001:db8::/32", "2001:db8:1::", 22, NULL, true},
        {"2001:db8::/32", "2001:db9::", 22, NULL, false},
        {"2001:db8::1", "2001:db8::1", 22, NULL, true},
        {"[2001:db8::1]", "2001:db8::1", 22, NULL, true},
        {"[2001:db8::1]:22", "2001:DB8:0::1", 22, NULL, true},
        {"[2001:db8::1]:22", "2001:db8::1", 23, NULL, false},
        {"[2001:db8::]/32:22", "2001:db8::9", 22, NULL, true},
        {"10.0.0.0/8", "::ffff:10.0.0.1", 22, NULL, true},
        {"10.0.0.0/8", "64:ff9b::a00:1", 22, NULL, true},
        {"64:ff9b::/96", "64:ff9b::a00:1", 22, NULL, false}, /* it is 10.0.0.1 */
        {"127.0.0.1", "0.0.0.0", 22, NULL, true},
        {"::1", "::", 22, NULL, true},
        {"fe80::/10", "fe80::1%eth0", 22, NULL, true},
        {"*", "name", 22, "not an address", false},
        {"_sip._tcp.example", "_sip._tcp.example", 22, "192.0.2.1", true},
        {"b\xc3\xbc.example", "b\xc3\xbc.example", 22, "192.0.2.1", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (one(cases[i].pattern, cases[i].host, cases[i].port, cases[i].address) != cases[i].allow)
            fail_msg("%s for %s:%u (%s)", cases[i].pattern, cases[i].host, cases[i].port,
                     cases[i].address != NULL ? cases[i].address : "?");
    }
}

static void test_malformed(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *why;
    } cases[] = {
        {"", "no host"},
        {":80", "no host"},
        {"a b", "character not allowed in a host name"},
        {"http://x", "ports must be numbers from 1 to 65535, ranges of them, or *"},
        {"x:", "ports must be numbers from 1 to 65535, ranges of them, or *"},
        {"x:0", "ports must be numbers from 1 to 65535, ranges of them, or *"},
        {"x:65536", "ports must be numbers from 1 to 65535, ranges of them, or *"},
        {"x:123456", "ports must be numbers from 1 to 65535, ranges of them, or *"},
        {"x:80-", "not a range of ports"},
        {"x:80-79", "not a range of ports"},
        {"x:80,", "ports must be numbers from 1 to 65535, ranges of them, or *"},
        {"x:80 ", "text behind the ports"},
        {"x:1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", "more than 16 ranges of ports"},
        {"10.0.0.0/33", "the network's length must be 0 to 32"},
        {"10.0.0.0/", "the network's length must be 0 to 32"},
        {"10.0.0.0/8x", "the network's length must be 0 to 32"},
        {"10.0.0.1/8", "the address has bits behind the network's length"},
        {"::/129", "the network's length must be 0 to 128"},
        {"2001:db8::1/64", "the address has bits behind the network's length"},
        {"10.0.0/8", "not an address"},
        {"x/8", "not an address"},
        {"[2001:db8::1", "not an address"},
        {"[x]", "not an address"},
        {"[2001:db8::1]x", "not an address"},
        {"fe80::1%eth0", "character not allowed in a host name"},
        {"10.*", "not an address, nor a network such as 10.0.0.0/8"},
        {"10.0.0.*:22", "not an address, nor a network such as 10.0.0.0/8"},
        {"10.0.0", "not an address, nor a network such as 10.0.0.0/8"},
        {"10.0.0.1.", "not an address, nor a network such as 10.0.0.0/8"},
        {"10.0.0.256", "not an address, nor a network such as 10.0.0.0/8"},
        {"010.0.0.1", "not an address, nor a network such as 10.0.0.0/8"},
        {"10.0.0.1-10.0.0.9", "not an address, nor a network such as 10.0.0.0/8"},
        {"167772161", "not an address, nor a network such as 10.0.0.0/8"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const wst_rule_t rules[] = {
            {.size = sizeof(wst_rule_t), .allow = true},
            {.size = sizeof(wst_rule_t), .destinations = LIST("fine", cases[i].pattern)}};
        const wst_rules_options_t options = {.size = sizeof(options), .rules = rules, .count = 2};
        wst_rules_error_t error;
        wst_rules_t *r;
        if (wst_rules_new(&r, &options, &error) != WST_EINVAL)
            fail_msg("accepted: %s", cases[i].pattern);
        assert_int_equal(error.rule, 1);
        assert_string_equal(error.pattern, cases[i].pattern);
        assert_string_equal(error.why, cases[i].why);
    }
}

static wst_rules_verdict_t ask(const wst_rules_t *r, const char *user, const char *agent,
                               const char *host, const char *address) {
    const wst_rules_query_t query = {.size = sizeof(query),
                                     .user = user,
                                     .agent = agent,
                                     .labels = LIST("eu", "lab"),
                                     .host = host,
                                     .port = 80,
                                     .address = address};
    return wst_rules_decide(r, &query);
}

static void assert_verdict(wst_rules_verdict_t v, bool allow, wst_rules_reason_t reason,
                           size_t rule) {
    assert_int_equal(v.allow, allow);
    assert_int_equal(v.reason, reason);
    assert_int_equal(v.rule, rule);
}

static void test_first_match_decides(void **state) {
    (void)state;
    const wst_rule_t rules[] = {{.size = sizeof(wst_rule_t), .allow = false, .users = LIST("eve")},
                                {.size = sizeof(wst_rule_t),
                                 .allow = true,
                                 .users = LIST("alice", "b*"),
                                 .agents = LIST("berlin", "label:la?")},
                                {.size = sizeof(wst_rule_t),
                                 .allow = true,
                                 .agents = LIST("label:e*"),
                                 .destinations = LIST("wiki", "10.0.0.0/8")}};
    wst_rules_t *r = make(true, rules, 3);
    assert_verdict(ask(r, "eve", "berlin", "wiki", NULL), false, WST_RULES_RULE, 0);
    assert_verdict(ask(r, "alice", "berlin", "x", "192.0.2.1"), true, WST_RULES_RULE, 1);
    assert_verdict(ask(r, "bob", "berlin", "x", "192.0.2.1"), true, WST_RULES_RULE, 1);
    assert_verdict(ask(r, "Bob", "berlin", "x", "192.0.2.1"), false, WST_RULES_DEFAULT, 0);
    assert_verdict(ask(r, "bob", "Berlin", "x", "192.0.2.1"), false, WST_RULES_DEFAULT, 0);
    assert_verdict(ask(r, "", "paris", "wiki", "192.0.2.1"), true, WST_RULES_RULE, 2);
    assert_verdict(ask(r, "", "paris", "x", "10.0.0.1"), true, WST_RULES_RULE, 2);
    assert_verdict(ask(r, "", "paris", "x", "192.0.2.1"), false, WST_RULES_DEFAULT, 0);
    wst_rules_free(r);
}

/* Nothing is denied for what is not known yet, and nothing is overlooked once it is. */
static void test_stages(void **state) {
    (void)state;
    const wst_rule_t rules[] = {
        {.size = sizeof(wst_rule_t), .allow = false, .destinations = LIST("10.0.0.0/8")},
        {.size = sizeof(wst_rule_t),
         .allow = true,
         .agents = LIST("berlin"),
         .destinations = LIST("172.16.0.0/12")},
        {.size = sizeof(wst_rule_t), .allow = false, .destinations = LIST("*.secret")},
        {.size = sizeof(wst_rule_t), .allow = true, .users = LIST("alice")}};
    wst_rules_t *r = make(true, rules, 4);
    assert_true(ask(r, "alice", NULL, "name", NULL).allow);
    assert_true(ask(r, "alice", "paris", "name", NULL).allow);
    assert_false(ask(r, "alice", "paris", "name", "10.0.0.1").allow);
    assert_true(ask(r, "alice", "paris", "name", "172.16.0.1").allow);
    assert_true(ask(r, "bob", NULL, "x.secret", NULL).allow); /* by rule 1, perhaps */
    assert_true(ask(r, "bob", "berlin", "x.secret", NULL).allow);
    assert_true(ask(r, "bob", "berlin", "x.secret", "172.16.0.1").allow);
    assert_false(ask(r, "bob", "berlin", "x.secret", "172.32.0.1").allow);
    assert_verdict(ask(r, "alice", "paris", "x.secret", NULL), false, WST_RULES_RULE, 2);
    assert_verdict(ask(r, "bob", "paris", "name", NULL), false, WST_RULES_DEFAULT, 0);
    /* An address nobody will know might be any. */
    assert_verdict(ask(r, "alice", "paris", "name", ""), false, WST_RULES_RULE, 0);
    assert_verdict(ask(r, "alice", "paris", "192.0.2.1", ""), true, WST_RULES_RULE, 3);
    wst_rules_free(r);
}

static void test_guarded_addresses(void **state) {
    (void)state;
    static const char *const addresses[] = {
        "169.254.169.254", "169.254.0.1",  "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe",
        "fe80::1",         "febf::1",      "fe80::1%eth0",           "fd00:ec2::254",
        "fd00:ec2::23",    "fd20:ce::254", "100.100.100.200",        "168.63.129.16",
        "192.0.0.192"};
    const wst_rule_t wide[] = {
        {.size = sizeof(wst_rule_t), .allow = true, .destinations = LIST("name", "*", "0.0.0.0/0")},
        {.size = sizeof(wst_rule_t), .allow = true, .destinations = LIST("::/0")}};
    const wst_rule_t narrow[] = {
        {.size = sizeof(wst_rule_t), .allow = true},
        {.size = sizeof(wst_rule_t),
         .allow = true,
         .agents = LIST("a"),
         .destinations = LIST("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32", "fd20:ce::254",
                              "100.100.100.200", "168.63.129.16", "192.0.0.192")}};
    wst_rules_t *open = make(false, wide, 2), *named = make(false, narrow, 2);
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        assert_verdict(ask(NULL, "", "a", "name", addresses[i]), false, WST_RULES_GUARDED, 0);
        assert_verdict(ask(NULL, "", "a", addresses[i], NULL), false, WST_RULES_GUARDED, 0);
        assert_verdict(ask(open, "", "a", "name", addresses[i]), false, WST_RULES_GUARDED, 0);
        assert_verdict(ask(open, "", "a", addresses[i], NULL), false, WST_RULES_GUARDED, 0);
        assert_verdict(ask(named, "", "a", "name", addresses[i]), true, WST_RULES_RULE, 1);
        assert_verdict(ask(named, "", "b", "name", addresses[i]), false, WST_RULES_GUARDED, 0);
        assert_verdict(ask(named, "", NULL, addresses[i], NULL), true, WST_RULES_DEFAULT, 0);
    }
    assert_true(ask(NULL, "", "a", "name", "169.253.255.255").allow);
    assert_true(ask(NULL, "", "a", "name", "fec0::1").allow);
    assert_true(ask(NULL, "", "a", "name", "100.100.100.201").allow);
    assert_true(ask(NULL, "", "a", "name", NULL).allow);
    wst_rules_free(open);
    wst_rules_free(named);
}

/* A denial fails closed: it holds for an address as it is written and for the one that it leads to.
 */
static void test_denied_networks(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *address;
        bool allow;
    } cases[] = {
        {"64:ff9b::/96", "64:ff9b::a00:1", false},
        {"64:ff9b::/32", "64:ff9b::a00:1", false},
        {"64:ff9b::a00:1", "64:ff9b::a00:1", false},
        {"::/0", "64:ff9b::a00:1", false},
        {"10.0.0.0/8", "64:ff9b::a00:1", false},
        {"64:ff9b::/96", "10.0.0.1", true},
        {"0.0.0.0", "0.0.0.0", false},
        {"0.0.0.0/8", "0.0.0.0", false},
        {"127.0.0.1", "0.0.0.0", false},
        {"0.0.0.0", "127.0.0.1", true},
        {"::", "::", false},
        {"::1", "::", false},
        {"::/0", "2001:db8::1", false},
        {"::/0", "192.0.2.1", true},
        {"0.0.0.0/0", "2001:db8::1", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const wst_rule_t rules[] = {
            {.size = sizeof(wst_rule_t), .destinations = LIST(cases[i].pattern)},
            {.size = sizeof(wst_rule_t), .allow = true}};
        wst_rules_t *r = make(true, rules, 2);
        if (ask(r, "", "a", cases[i].address, NULL).allow != cases[i].allow ||
            ask(r, "", "a", "name", cases[i].address).allow != cases[i].allow)
            fail_msg("%s for %s", cases[i].pattern, cases[i].address);
        wst_rules_free(r);
    }
}

static void make_and_free(void *arg) {
    (void)arg;
    const wst_rule_t rules[] = {
        {.size = sizeof(wst_rule_t), .allow = true, .users = LIST("a"), .agents = LIST("b")},
        {.size = sizeof(wst_rule_t), .destinations = LIST("x:1", "10.0.0.0/8", "y")}};
    const wst_rules_options_t options = {
        .size = sizeof(options), .rules = rules, .count = 2, .allocator = &test_allocator};
    wst_rules_t *r = NULL;
    int status = wst_rules_new(&r, &options, NULL);
    assert_int_equal(status, test_alloc_failed() ? WST_ENOMEM : 0);
    wst_rules_free(r);
}

static void test_memory(void **state) {
    (void)state;
    assert_in_range(test_alloc_each(make_and_free, NULL), 6, 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_destinations),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_first_match_decides),
        cmocka_unit_test(test_stages),
        cmocka_unit_test(test_guarded_addresses),
        cmocka_unit_test(test_denied_networks),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
