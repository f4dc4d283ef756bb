/* SPDX-License-Identifier: MIT */
/* Rules: what their patterns match, in which order, before and after the address is known. */
#include "networks.h"
#include "support.h"

#include <stdio.h>
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

/* Loopback is guarded where the connection is made, and nowhere else. A rule must name it, by a
 * network within, or for the host name that always leads there. */
static void test_guarded_loopback(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *host, *address;
        bool allow;
    } cases[] = {
        {"*", "127.0.0.1", NULL, false},
        {"*", "0.0.0.0", NULL, false},
        {"*", "::1", NULL, false},
        {"*", "::", NULL, false},
        {"*", "::ffff:127.0.0.1", NULL, false},
        {"*", "::ffff:0.0.0.0", NULL, false},
        {"*", "64:ff9b::7f00:1", NULL, false},
        {"*", "64:ff9b::", NULL, false},
        {"*", "name", "127.255.255.255", false},
        {"*", "name", "::1", false},
        {"*", "name", "126.0.0.1", true},
        {"*", "name", "::2", true},
        {"*", "name", NULL, true}, /* may yet be another address */
        {"name", "name", "127.0.0.1", false},
        {"local*", "localhost", "127.0.0.1", false},
        {"0.0.0.0/0", "name", "127.0.0.1", false},
        {"126.0.0.0/7", "name", "127.0.0.1", false},
        {"::/0", "name", "::1", false},
        {"127.0.0.0/8", "name", "127.0.0.1", true},
        {"127.0.0.0/8", "0.0.0.0", NULL, true},
        {"127.0.0.0/8", "::ffff:127.0.0.2", NULL, true},
        {"127.0.0.0/8", "64:ff9b::7f00:1", NULL, true},
        {"127.0.0.0/8", "name", "::1", false},
        {"127.0.0.1", "name", "127.0.0.1", true},
        {"127.0.0.1", "name", "127.0.0.2", false},
        {"127.0.0.1:80", "name", "127.0.0.1", true},
        {"127.0.0.1:81", "name", "127.0.0.1", false},
        {"[::1]:80", "::", NULL, true},
        {"[::1]:81", "::1", NULL, false},
        {"localhost", "localhost", "127.0.0.1", true},
        {"localhost.:80", "LocalHost.", "::1", true},
        {"localhost:81", "localhost", "::1", false},
        {"localhost", "localhost", "169.254.169.254", false},
        {"localhost", "127.0.0.1", NULL, false},
        {"localhost", "name", "127.0.0.1", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const wst_rule_t rule = {
            .size = sizeof(rule), .allow = true, .destinations = LIST(cases[i].pattern)};
        wst_rules_t *r = make(false, &rule, 1);
        wst_rules_query_t query = {.size = sizeof(query),
                                   .user = "",
                                   .agent = "a",
                                   .host = cases[i].host,
                                   .port = 80,
                                   .address = cases[i].address,
                                   .dials = true};
        wst_rules_verdict_t v = wst_rules_decide(r, &query);
        if (v.allow != cases[i].allow)
            fail_msg("%s for %s (%s)", cases[i].pattern, cases[i].host,
                     cases[i].address != NULL ? cases[i].address : "?");
        query.dials = false;
        assert_true(wst_rules_decide(r, &query).allow || !cases[i].allow);
        wst_rules_free(r);
    }
    wst_rules_query_t query = {
        .size = sizeof(query), .user = "", .agent = "a", .host = "0.0.0.0", .port = 80};
    assert_verdict(wst_rules_decide(NULL, &query), true, WST_RULES_DEFAULT, 0);
    query.dials = true;
    assert_verdict(wst_rules_decide(NULL, &query), false, WST_RULES_LOOPBACK, 0);
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

static wst_rules_verdict_t by_networks(const char *text, const char *address) {
    const wst_rules_query_t query = {
        .size = sizeof(query), .host = "name", .port = 80, .address = address};
    return wst__networks_decide((wst_str_t){text, strlen(text)}, NULL, &query);
}

enum { SOME_RULES = 5 };

static wst_rules_t *random_rules(uint64_t *seed) {
    static const char *const destinations[] = {
        "10.0.0.0/8",     "10.1.0.0/16:80",  "10.2.0.0/16:81", "0.0.0.0/0", "::/0", "2001:db8::/32",
        "169.254.0.0/16", "169.254.169.254", "64:ff9b::/96",   "*",         "name", "other",
        "*:81",           "127.0.0.0/8",     "fe80::/10"};
    static const char *const bob[] = {"bob", NULL}, *const label[] = {"label:e*", NULL};
    const size_t kinds = sizeof(destinations) / sizeof(destinations[0]);
    const char *lists[SOME_RULES][3] = {{0}};
    wst_rule_t rules[SOME_RULES];
    size_t count = test_random(seed) % (SOME_RULES + 1);
    for (size_t i = 0; i < count; i++) {
        lists[i][0] = destinations[test_random(seed) % kinds];
        lists[i][1] = destinations[test_random(seed) % kinds];
        rules[i] = (wst_rule_t){.size = sizeof(rules[i]),
                                .allow = test_random(seed) % 2 == 0,
                                .users = test_random(seed) % 4 == 0 ? bob : NULL,
                                .agents = test_random(seed) % 4 == 0 ? label : NULL,
                                .destinations = test_random(seed) % 8 == 0 ? NULL : lists[i]};
    }
    return make(test_random(seed) % 2 == 0, rules, count);
}

/* What is written of rules for a name decides on each address as the rules do. */
static void test_networks(void **state) {
    (void)state;
    static const char *const addresses[] = {"10.0.0.1",        "10.1.2.3",      "10.2.0.1",
                                            "192.0.2.1",       "2001:db8::1",   "2001:db9::1",
                                            "169.254.169.254", "169.254.1.1",   "64:ff9b::a00:1",
                                            "fe80::1",         "127.0.0.1",     "::1",
                                            "0.0.0.0",         "2002:a01:203::"};
    uint64_t first, count, denials = 0;
    test_seeds(&first, &count, 3000);
    for (uint64_t n = 0; n < count; n++) {
        uint64_t seed = first + n + 1;
        wst_rules_t *r = random_rules(&seed);
        char text[WST_NETWORKS_MAX + 1];
        const wst_rules_query_t query = {.size = sizeof(query),
                                         .user = "alice",
                                         .agent = "a",
                                         .labels = LIST("eu"),
                                         .host = "name",
                                         .port = 80};
        int len = wst_rules_networks(r, &query, text, sizeof(text));
        assert_true(len > 0 && (size_t)len == strlen(text));
        for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
            wst_rules_verdict_t whole = ask(r, "alice", "a", "name", addresses[i]),
                                rest = by_networks(text, addresses[i]);
            denials += !whole.allow;
            if (whole.allow != rest.allow || whole.reason != rest.reason || whole.rule != rest.rule)
                fail_msg("seed %llu: %s by %s", (unsigned long long)(first + n), addresses[i],
                         text);
        }
        assert_int_equal(by_networks(text, "").allow, ask(r, "alice", "a", "name", "").allow);
        assert_int_equal(by_networks(text, NULL).allow, ask(r, "alice", "a", "name", NULL).allow);
        wst_rules_free(r);
    }
    assert_in_range(denials, count, 13 * count);
}

/* An agent may not know that an IPv6 address stands for an IPv4 one. */
static void test_networks_suffice(void **state) {
    (void)state;
    static const char *const nat64[] = {"2001:db8:64::/96", NULL};
    for (int known = 0; known < 2; known++) {
        const wst_rules_options_t o = {.size = sizeof(o), .nat64 = known ? nat64 : NULL};
        wst_rules_t *r;
        assert_int_equal(wst_rules_new(&r, &o, NULL), 0);
        assert_int_equal(wst_rules_networks_suffice(r, "name"), !known);
        assert_true(wst_rules_networks_suffice(r, "10.0.0.1"));
        assert_true(wst_rules_networks_suffice(r, "2001:db8:64::a00:1"));
        wst_rules_free(r);
    }
    assert_true(wst_rules_networks_suffice(NULL, "name"));
}

static void test_networks_as_text(void **state) {
    (void)state;
    const wst_rule_t rules[] = {
        {.size = sizeof(wst_rule_t), .destinations = LIST("10.0.0.0/8", "10.1.0.0/16:81")},
        {.size = sizeof(wst_rule_t), .allow = true, .destinations = LIST("[2001:db8::]/32:80")},
        {.size = sizeof(wst_rule_t), .users = LIST("eve")},
        {.size = sizeof(wst_rule_t), .allow = true, .destinations = LIST("other", "name")}};
    static const char expected[] = "1-10.0.0.0/8 2+2001:db8::/32 4+*";
    wst_rules_t *r = make(true, rules, 4);
    wst_rules_query_t query = {
        .size = sizeof(query), .user = "alice", .agent = "a", .host = "name", .port = 80};
    char text[sizeof(expected)];
    assert_int_equal(wst_rules_networks(r, &query, text, sizeof(text)), strlen(expected));
    assert_string_equal(text, expected);
    assert_int_equal(wst_rules_networks(r, &query, text, sizeof(text) - 1), WST_EMSGBIG);
    assert_int_equal(wst_rules_networks(NULL, &query, text, sizeof(text)), 3);
    assert_string_equal(text, "0+*");
    query.user = "eve";
    assert_true(wst_rules_networks(r, &query, text, sizeof(text)) > 0);
    assert_string_equal(text, "1-10.0.0.0/8 2+2001:db8::/32 3-*");
    query.host = "unknown";
    query.user = "alice";
    assert_true(wst_rules_networks(r, &query, text, sizeof(text)) > 0);
    assert_string_equal(text, "1-10.0.0.0/8 2+2001:db8::/32 0-*");
    query.host = "192.0.2.1"; /* decided already */
    assert_int_equal(wst_rules_networks(r, &query, text, sizeof(text)), 0);
    assert_string_equal(text, "");
    query.agent = NULL;
    assert_int_equal(wst_rules_networks(r, &query, text, sizeof(text)), WST_EINVAL);
    wst_rules_free(r);
    static const char *const malformed[] = {
        "*",         "+*",       "1*",         "1+",           "x+*",
        " 1+*",      "1+name",   "1+10.0.0.0", "1+10.0.0.1/8", "1+10.0.0.0/8:80",
        "1+[::]/0x", "1000000+*"};
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        char whole[64];
        snprintf(whole, sizeof(whole), "1+192.0.2.0/24 %s", malformed[i]);
        if (by_networks(whole, "10.0.0.1").reason != WST_RULES_QUERY)
            fail_msg("accepted: %s", whole);
    }
    assert_verdict(by_networks("", "10.0.0.1"), false, WST_RULES_DEFAULT, 0);
    assert_verdict(by_networks("1+10.0.0.0/8", "192.0.2.1"), false, WST_RULES_DEFAULT, 0);
}

static bool denied_by(const char *pattern, const char *address, const char *const *nat64) {
    const wst_rule_t rules[] = {{.size = sizeof(wst_rule_t), .destinations = LIST(pattern)},
                                {.size = sizeof(wst_rule_t), .allow = true}};
    const wst_rules_options_t options = {
        .size = sizeof(options), .rules = rules, .count = 2, .nat64 = nat64};
    wst_rules_t *r;
    assert_int_equal(wst_rules_new(&r, &options, NULL), 0);
    bool allow = ask(r, "", "a", "name", address).allow;
    assert_int_equal(ask(r, "", "a", address, NULL).allow, allow);
    wst_rules_free(r);
    return !allow;
}

static bool allowed_by(const char *pattern, const char *address, const char *const *nat64) {
    const wst_rule_t rule = {.size = sizeof(rule), .allow = true, .destinations = LIST(pattern)};
    const wst_rules_options_t options = {.size = sizeof(options),
                                         .rules = &rule,
                                         .count = 1,
                                         .deny_by_default = true,
                                         .nat64 = nat64};
    wst_rules_t *r;
    assert_int_equal(wst_rules_new(&r, &options, NULL), 0);
    bool allow = ask(r, "", "a", "name", address).allow;
    wst_rules_free(r);
    return allow;
}

/* The addresses of RFC 6052 section 2.4 and others are 192.0.2.33 to rules. */
static void test_nat64(void **state) {
    (void)state;
    static const struct {
        const char *prefix, *address;
        enum { ELSEWHERE, THERE, PERHAPS_THERE } leads; /* the last: to others as well */
    } cases[] = {
        {"2001:db8::/32", "2001:db8:c000:221::", THERE},
        {"2001:db8:100::/40", "2001:db8:1c0:2:21::", THERE},
        {"2001:db8:122::/48", "2001:db8:122:c000:2:2100::", THERE},
        {"2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::", THERE},
        {"2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::", THERE},
        {"2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33", THERE},
        {"2001:db8::/32", "2001:db8:c000:221:ff00::dead",
         THERE}, /* what has to be zero is ignored */
        {"2001:db8::/32", "2001:db9:c000:221::", ELSEWHERE},
        {"2001:db8::/32", "2001:db8:c000:222::", ELSEWHERE},
        {NULL, "2001:db8:c000:221::", ELSEWHERE},
        {NULL, "64:ff9b::c000:221", THERE},
        {NULL, "64:ff9c::c000:221", ELSEWHERE},
        {NULL, "2002:c000:221::1", THERE},
        {NULL, "2002:c000:222::1", ELSEWHERE},
        {NULL, "64:ff9b:1::c000:221", THERE},
        {NULL, "64:ff9b:1:c000:2:2100::", PERHAPS_THERE},
        {NULL, "64:ff9b:1:c0:0:221::", THERE},
        {NULL, "64:ff9b:1:0:c0:2:2100::", PERHAPS_THERE},
        {NULL, "64:ff9b:1::c000:222", ELSEWHERE},
        {NULL, "64:ff9b:2::c000:221", ELSEWHERE},
        {"64:ff9b:1:c000::/96", "64:ff9b:1:c000:2:2100:a00:1", PERHAPS_THERE},
        {"64:ff9b:1::/48", "64:ff9b:1:c000:2:2100:a00:1", THERE},
        {"64:ff9b:1:c000::/96", "64:ff9b:1:c000::a00:1", ELSEWHERE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *const prefixes[] = {"2001:db8:ffff::/96", cases[i].prefix, NULL};
        if (denied_by("192.0.2.33", cases[i].address, prefixes) != (cases[i].leads != ELSEWHERE) ||
            allowed_by("192.0.2.33", cases[i].address, prefixes) != (cases[i].leads == THERE))
            fail_msg("%s behind %s", cases[i].address,
                     cases[i].prefix != NULL ? cases[i].prefix : "no prefix");
    }
    /* The longest prefix counts; the address as it is written can still be denied. */
    const char *const nested[] = {"2001:db8::/32", "2001:db8:0:1::/64", NULL};
    assert_true(allowed_by("10.1.2.3", "2001:db8:0:1:a:102:300::", nested));
    assert_false(denied_by("0.0.0.1", "2001:db8:0:1:a:102:300::", nested));
    assert_true(denied_by("2001:db8::/32", "2001:db8:0:1:a:102:300::", nested));
    assert_false(allowed_by("2001:db8::/32", "2001:db8:0:1:a:102:300::", nested));
    assert_true(denied_by("2002::/16", "2002:a00:1::", NULL));
    assert_false(allowed_by("2002::/16", "2002:a00:1::", NULL));
    /* Guarded addresses stay guarded behind a prefix. */
    static const char *const guarded[] = {"2002:a9fe:a9fe::", "64:ff9b:1::a9fe:a9fe",
                                          "2001:db8:a9fe:a9fe::"};
    assert_false(allowed_by("*", "64:ff9b:1:a9:fe:a9fe::", NULL)); /* perhaps */
    for (size_t i = 0; i < sizeof(guarded) / sizeof(guarded[0]); i++) {
        assert_false(allowed_by("*", guarded[i], nested));
        assert_true(allowed_by("169.254.169.254", guarded[i], nested));
    }
}

static void test_malformed_nat64(void **state) {
    (void)state;
    static const char *const cases[] = {"",
                                        "name",
                                        "2001:db8::",
                                        "2001:db8::/31",
                                        "2001:db8::/33",
                                        "2001:db8::/72",
                                        "2001:db8::/128",
                                        "2001:db8:0:0:ff00::/96",
                                        "::ffff:0:0/96",
                                        "10.0.0.0/8",
                                        "2001:db8::1/96",
                                        "[2001:db8::]/96:80"};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const wst_rules_options_t options = {.size = sizeof(options),
                                             .nat64 = LIST("2001:db8::/96", cases[i])};
        wst_rules_error_t error;
        wst_rules_t *r;
        if (wst_rules_new(&r, &options, &error) != WST_EINVAL)
            fail_msg("accepted: %s", cases[i]);
        assert_string_equal(error.pattern, cases[i]);
        assert_int_equal(error.rule, 0);
    }
    const char *many[18] = {0};
    for (size_t i = 0; i < 17; i++)
        many[i] = "2001:db8::/96";
    const wst_rules_options_t options = {.size = sizeof(options), .nat64 = many};
    wst_rules_error_t error;
    wst_rules_t *r;
    assert_int_equal(wst_rules_new(&r, &options, &error), WST_EINVAL);
    assert_string_equal(error.why, "more than 16 prefixes of NAT64");
    many[16] = NULL;
    assert_int_equal(wst_rules_new(&r, &options, &error), 0);
    wst_rules_free(r);
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
        cmocka_unit_test(test_guarded_loopback),
        cmocka_unit_test(test_denied_networks),
        cmocka_unit_test(test_nat64),
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_networks_suffice),
        cmocka_unit_test(test_networks_as_text),
        cmocka_unit_test(test_malformed_nat64),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
