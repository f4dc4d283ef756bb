/* SPDX-License-Identifier: MIT */
/* SOCKS clients: with and without credentials, by certificate, guessing, where passwords in clear
 * are not taken, and what the question about their flows makes of them. */
#include "access_rig.h"

#include <stdio.h>
#include <wstunnel/tls.h>

#define PEER  "192.0.2.1:5"
#define LOCAL "127.0.0.1:5"

static const wst_access_user_t users[] = {
    {.size = sizeof(wst_access_user_t), .name = "alice", .password = "open: sesame"},
    {.size = sizeof(wst_access_user_t), .name = "bob", .password = "y", .tenant = "acme"},
    {.size = sizeof(wst_access_user_t),
     .name = "erin",
     .ha1_md5 = "1777dd90d83c7c10d1d9b9285c46e3a0",
     .certificate = "CN:erin"}};

static wst_access_options_t options_of(void) {
    return (wst_access_options_t){.size = sizeof(wst_access_options_t),
                                  .users = users,
                                  .user_count = sizeof(users) / sizeof(users[0])};
}

static void test_login(void **state) {
    (void)state;
    wst_access_options_t options = options_of();
    options.max_failures = SIZE_MAX;
    access_rig_t r;
    char longest[256];
    memset(longest, 'x', 255);
    longest[255] = '\0';
    access_rig_open(&r, &options);
    assert_int_equal(access_rig_login(&r, PEER, NULL, NULL), 407);
    assert_int_equal(access_rig_login(&r, PEER, "alice", "open: sesame"), 0);
    assert_string_equal(r.user, "alice");
    assert_string_equal(r.tenant, "");
    assert_int_equal(access_rig_login(&r, PEER, "bob", "y"), 0);
    assert_string_equal(r.user, "bob");
    assert_string_equal(r.tenant, "acme");
    assert_int_equal(access_rig_login(&r, PEER, "alice", "y"), 407);
    assert_int_equal(access_rig_login(&r, PEER, "alice", "open: sesame "), 407);
    assert_int_equal(access_rig_login(&r, PEER, "alice", ""), 407);
    assert_int_equal(access_rig_login(&r, PEER, "", "y"), 407);
    assert_int_equal(access_rig_login(&r, PEER, "", ""), 407);
    assert_int_equal(access_rig_login(&r, PEER, "nobody", "y"), 407);
    assert_int_equal(access_rig_login(&r, PEER, "alice+berlin", "open: sesame"), 407);
    assert_int_equal(access_rig_login(&r, PEER, longest, longest), 407);
    assert_string_equal(r.user, "");
    access_rig_close(&r);
}

static void test_selection(void **state) {
    (void)state;
    wst_access_options_t options = options_of();
    options.user_selects_agent = true;
    access_rig_t r;
    access_rig_open(&r, &options);
    assert_int_equal(access_rig_login(&r, PEER, "alice+berlin", "open: sesame"), 0);
    assert_string_equal(r.user, "alice");
    assert_int_equal(access_rig_login(&r, PEER, "+alice", "open: sesame"), 407);
    access_rig_close(&r);
}

/* The limits are those of HTTP, and the failures are counted together. */
static void test_limit(void **state) {
    (void)state;
    static const char basic[] = "Proxy-Authorization: Basic YWxpY2U6bm8=\r\n"; /* alice:no */
    wst_access_options_t options = options_of();
    options.max_failures = 3;
    access_rig_t r;
    access_rig_open(&r, &options);
    for (int i = 0; i < 10; i++) /* greeting is no failure */
        assert_int_equal(access_rig_login(&r, PEER, NULL, NULL), 407);
    assert_int_equal(access_rig_login(&r, PEER, "alice", "x"), 407);
    assert_int_equal(access_rig_client(&r, PEER, "CONNECT host:443", basic), 407);
    assert_int_equal(access_rig_login(&r, PEER, "", ""), 407);
    assert_int_equal(access_rig_login(&r, PEER, "alice", "y"), 407);
    assert_int_equal(access_rig_login(&r, PEER, "alice", "open: sesame"), 429);
    assert_int_equal(access_rig_login(&r, PEER, NULL, NULL), 407);
    assert_int_equal(access_rig_client(&r, PEER, "CONNECT host:443", basic), 429);
    assert_int_equal(access_rig_login(&r, "192.0.2.2:5", "alice", "open: sesame"), 0);
    /* From this machine by the name that is tried. */
    for (int i = 0; i < 3; i++)
        assert_int_equal(access_rig_login(&r, LOCAL, "bob", "x"), 407);
    assert_int_equal(access_rig_login(&r, LOCAL, "bob", "y"), 429);
    assert_int_equal(access_rig_login(&r, LOCAL, NULL, NULL), 407);
    assert_int_equal(access_rig_login(&r, LOCAL, "alice", "open: sesame"), 0);
    access_rig_close(&r);
}

static void test_no_basic(void **state) {
    (void)state;
    const wst_tls_certificate_t peer = {.size = sizeof(peer), .common_name = "erin"};
    const wst_tls_info_t verified = {
        .size = sizeof(verified), .peer_verified = true, .peer = &peer};
    wst_access_options_t options = options_of();
    options.no_basic = true;
    access_rig_t r;
    access_rig_open(&r, &options);
    assert_int_equal(access_rig_login(&r, PEER, NULL, NULL), 403);
    assert_string_equal(r.reason, "Passwords in clear, as SOCKS sends them, are not taken");
    assert_int_equal(access_rig_login(&r, PEER, "alice", "open: sesame"), 403);
    r.tls = &verified;
    assert_int_equal(access_rig_login(&r, PEER, NULL, NULL), 0);
    assert_string_equal(r.user, "erin");
    assert_int_equal(access_rig_login(&r, PEER, "alice", "wrong"), 0); /* as by HTTP */
    assert_string_equal(r.user, "erin");
    r.tls = NULL;
    const wst_access_user_t frank = {
        .size = sizeof(frank), .name = "frank", .certificate = "CN:frank"};
    options = (wst_access_options_t){
        .size = sizeof(wst_access_options_t), .users = &frank, .user_count = 1};
    access_rig_reload(&r, &options);
    assert_int_equal(access_rig_login(&r, PEER, NULL, NULL), 403);
    assert_string_equal(r.reason, "A client certificate is required");
    access_rig_close(&r);
}

/* A server that does not ask at the greeting: the question about the flow decides. */
static void test_flows_without_login(void **state) {
    (void)state;
    wst_access_options_t options = options_of();
    access_rig_t r;
    access_rig_open(&r, &options);
    assert_int_equal(access_rig_headless(&r, PEER, NULL, NULL), 407);
    assert_int_equal(access_rig_headless(&r, PEER, "alice", "x"), 407);
    assert_int_equal(access_rig_headless(&r, PEER, "alice", "open: sesame"), 0);
    assert_string_equal(r.user, "alice");
    options.no_basic = true;
    access_rig_reload(&r, &options);
    assert_int_equal(access_rig_headless(&r, PEER, "alice", "open: sesame"), 407);
    options = (wst_access_options_t){.size = sizeof(wst_access_options_t),
                                     .user_count = 0}; /* the callback should not have been set */
    access_rig_reload(&r, &options);
    assert_int_equal(access_rig_headless(&r, PEER, NULL, NULL), 403);
    assert_int_equal(access_rig_login(&r, PEER, NULL, NULL), 403);
    assert_int_equal(access_rig_login(&r, PEER, "", ""), 403);
    access_rig_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_login),
        cmocka_unit_test(test_selection),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_no_basic),
        cmocka_unit_test(test_flows_without_login),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
