/* SPDX-License-Identifier: MIT */
/* Agents: whose token it is; how many failures are allowed. */
#include "access_rig.h"

#include <stdio.h>
#include <wstunnel/tls.h>

#define PEER          "192.0.2.1:5"
#define LONG_TOKEN    "a token of 32 bytes: not guessed"  /* of 32 bytes */
#define WRONG_TOKEN   "a token of 32 bytes, and no other" /* longer */
#define BEARER(token) "Authorization: Bearer " token "\r\n"

/* SHA-256 of "berlin-1", "berlin-2" and "racks". */
static const char *const berlin[] = {
    "3314e077992afe81308d34afb95c5e4128ae5a017e7756c9db14ccd99fe39301",
    "65d241acd8448c15939df4b4f75576a2a1765228e194609ae9e9be59f87c41f8", NULL};
static const char *const racks[] = {
    "c1ad3bb9035ec0ce3fc661630ae0c8b8f40f0dadab3474e7f8b4d2b3da5c2180", NULL};

static const char *const labels[] = {"rack", "eu", NULL};

static const wst_access_agent_t agents[] = {
    {.size = sizeof(wst_access_agent_t),
     .name = "rack-*",
     .tokens_sha256 = racks,
     .tenant = "acme",
     .labels = labels},
    {.size = sizeof(wst_access_agent_t), .name = "berlin", .tokens_sha256 = berlin}};

static wst_access_options_t options_of(void) {
    return (wst_access_options_t){
        .size = sizeof(wst_access_options_t), .agents = agents, .agent_count = 2};
}

static void test_tokens(void **state) {
    (void)state;
    wst_access_options_t options = options_of();
    options.max_failures = SIZE_MAX;
    access_rig_t r;
    access_rig_open(&r, &options);
    assert_int_equal(access_rig_agent(&r, PEER, BEARER("berlin-1")), 0);
    assert_string_equal(r.user, "berlin");
    assert_string_equal(r.tenant, "");
    assert_string_equal(r.labels, "");
    assert_int_equal(access_rig_agent(&r, PEER, "authorization: BEARER berlin-2\r\n"), 0);
    assert_string_equal(r.user, "berlin");
    assert_int_equal(access_rig_agent(&r, PEER, BEARER("racks")), 0);
    assert_string_equal(r.user, "rack-*");
    assert_string_equal(r.tenant, "acme");
    assert_string_equal(r.labels, "rack eu ");
    static const char *const wrong[] = {
        BEARER("berlin-3"),
        BEARER("berlin-1x"),
        BEARER("3314e077992afe81308d34afb95c5e4128ae5a017e7756c9db14ccd99fe39301"), /* the hash
                                                                                       itself */
        "Authorization: Basic berlin-1\r\n",
        "Proxy-Authorization: Bearer berlin-1\r\n",
        "Authorization: Bearer\r\n",
        BEARER("berlin-1") BEARER("berlin-1"),
        "Authorization: Bearer a=b\r\n",
        "Authorization: Bearer  \r\n",
        "",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(access_rig_agent(&r, PEER, wrong[i]), 401);
        assert_string_equal(r.fields, "WWW-Authenticate: Bearer\r\n");
        assert_null(strstr(r.reason, "berlin"));
    }
    access_rig_reload(&r, &(wst_access_options_t){.size = sizeof(wst_access_options_t),
                                                  .agents = agents,
                                                  .agent_count = 1});
    assert_int_equal(access_rig_agent(&r, PEER, BEARER("berlin-1")), 401);
    /* Without any agents all may come, under any name. */
    access_rig_reload(&r,
                      &(wst_access_options_t){.size = sizeof(wst_access_options_t), .realm = "x"});
    assert_int_equal(access_rig_agent(&r, PEER, BEARER("berlin-1")), 0);
    assert_string_equal(r.user, "");
    access_rig_close(&r);
}

static void test_failures(void **state) {
    (void)state;
    wst_access_options_t options = options_of();
    options.max_failures = 3;
    access_rig_t r;
    access_rig_open(&r, &options);
    for (int i = 0; i < 10; i++) /* nothing is tried */
        assert_int_equal(access_rig_agent(&r, PEER, ""), 401);
    for (int i = 0; i < 3; i++)
        assert_int_equal(access_rig_agent(&r, PEER, BEARER("x")), 401);
    assert_int_equal(access_rig_agent(&r, PEER, BEARER("berlin-1")), 429);
    assert_int_equal(strncmp(r.fields, "Retry-After: ", 13), 0);
    assert_int_equal(access_rig_agent(&r, PEER, ""), 429);
    assert_int_equal(access_rig_agent(&r, "192.0.2.2:5", BEARER("berlin-1")), 0);
    /* From this machine, where a reverse proxy may stand for all of them, nobody is shut out. */
    for (int i = 0; i < 10; i++)
        assert_int_equal(access_rig_agent(&r, "unix:/run/x", BEARER("x")), 401);
    assert_int_equal(access_rig_agent(&r, "unix:/run/x", BEARER("berlin-1")), 0);
    access_rig_close(&r);
}

/* A token that nobody can guess is right whatever others try from its address; and what agents do
 * is nothing to clients. */
static void test_long_tokens(void **state) {
    (void)state;
    char hash[65];
    assert_int_equal(wst_auth_sha256(hash, LONG_TOKEN), 0);
    const char *const hashes[] = {hash, NULL};
    const wst_access_agent_t both[] = {
        {.size = sizeof(wst_access_agent_t), .name = "paris", .tokens_sha256 = hashes},
        {.size = sizeof(wst_access_agent_t), .name = "berlin", .tokens_sha256 = berlin}};
    const wst_access_user_t users[] = {
        {.size = sizeof(wst_access_user_t), .name = "alice", .password = "x"}};
    const wst_access_options_t options = {.size = sizeof(options),
                                          .agents = both,
                                          .agent_count = 2,
                                          .users = users,
                                          .user_count = 1,
                                          .max_failures = 3};
    access_rig_t r;
    access_rig_open(&r, &options);
    for (int i = 0; i < 3; i++)
        assert_int_equal(access_rig_agent(&r, PEER, BEARER(WRONG_TOKEN)), 401);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(access_rig_agent(&r, PEER, BEARER(WRONG_TOKEN)), 429);
        assert_int_equal(access_rig_agent(&r, PEER, BEARER("berlin-1")), 429);
        assert_int_equal(access_rig_agent(&r, PEER, BEARER(LONG_TOKEN)), 0);
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            access_rig_client(&r, PEER, "CONNECT a:1", access_rig_basic("alice", "no")), 407);
    assert_int_equal(access_rig_client(&r, PEER, "CONNECT a:1", access_rig_basic("alice", "x")),
                     429);
    assert_int_equal(access_rig_agent(&r, "192.0.2.9:5", BEARER("berlin-1")), 0);
    access_rig_close(&r);

    /* The other way round. */
    access_rig_open(&r, &options);
    for (int i = 0; i < 7; i++)
        access_rig_client(&r, PEER, "CONNECT a:1", "Proxy-Authorization: x\r\n");
    assert_int_equal(access_rig_client(&r, PEER, "CONNECT a:1", "Proxy-Authorization: x\r\n"), 429);
    assert_int_equal(access_rig_agent(&r, PEER, BEARER("berlin-1")), 0);
    access_rig_close(&r);
}

static void test_certificate(void **state) {
    (void)state;
    static const wst_access_agent_t by_certificate[] = {{.size = sizeof(wst_access_agent_t),
                                                         .name = "*",
                                                         .certificate = "dns:*.agents.example",
                                                         .tenant = "acme"},
                                                        {.size = sizeof(wst_access_agent_t),
                                                         .name = "berlin",
                                                         .certificate = "CN:berlin",
                                                         .tokens_sha256 = berlin}};
    static const wst_tls_name_t name = {WST_TLS_NAME_DNS, "x.agents.example"};
    static const wst_tls_certificate_t peers[] = {
        {.size = sizeof(wst_tls_certificate_t), .common_name = "berlin"},
        {.size = sizeof(wst_tls_certificate_t),
         .common_name = "x",
         .names = &name,
         .name_count = 1},
        {.size = sizeof(wst_tls_certificate_t), .common_name = "paris"}};
    static const char *const users[] = {"berlin", "*", ""};
    access_rig_t r;
    access_rig_open(&r, &(wst_access_options_t){.size = sizeof(wst_access_options_t),
                                                .agents = by_certificate,
                                                .agent_count = 2});
    for (size_t i = 0; i < 3; i++) {
        const wst_tls_info_t info = {
            .size = sizeof(info), .peer_verified = true, .peer = &peers[i]};
        r.tls = &info;
        assert_int_equal(access_rig_agent(&r, PEER, ""), i < 2 ? 0 : 401);
        assert_string_equal(r.user, users[i]);
        assert_int_equal(access_rig_agent(&r, PEER, BEARER("berlin-1")), 0);
        assert_string_equal(r.user, i < 2 ? users[i] : "berlin"); /* the certificate comes first */
    }
    access_rig_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_long_tokens),
        cmocka_unit_test(test_certificate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
