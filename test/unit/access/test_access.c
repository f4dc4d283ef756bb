/* SPDX-License-Identifier: MIT */
/* Access objects: what is refused, with what is said of it; failing allocations. */
#include "access_rig.h"

#include <stdio.h>

#define SHA256 "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define OTHER  "aa7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define MD5    "900150983cd24fb0d6963f7d28e17f72"
#define LONG                                                                                       \
    "0123456789012345678901234567890123456789012345678901234567890123"                             \
    "0123456789012345678901234567890123456789012345678901234567890123"

static const char *const token[] = {SHA256, NULL};
static const char *const other_token[] = {OTHER, NULL};
static const char *const some[] = {"a*", "label:x", NULL};
static const char *const empty[] = {NULL};

/* "list[index].member item: why", or "" if the options are right. */
static const char *complaint(const wst_access_options_t *options) {
    static char text[512];
    test_env_t env;
    wst_access_t *access = NULL;
    wst_access_error_t e;
    test_env_open(&env);
    int status = wst_access_new(&access, env.ctx, options, &e);
    text[0] = '\0';
    if (status == WST_EINVAL)
        snprintf(text, sizeof(text), "%s[%zu].%s%s%s: %s", e.list, e.index, e.member,
                 e.item != NULL ? " " : "", e.item != NULL ? e.item : "", e.why);
    else
        assert_int_equal(status, 0);
    if (status != 0) {
        assert_null(access);
        assert_int_equal(wst_access_new(&access, env.ctx, options, NULL), WST_EINVAL);
    }
    wst_access_free(access);
    test_env_close(&env);
    return text;
}

static void assert_complaint(const wst_access_options_t *options, const char *expect) {
    assert_string_equal(complaint(options), expect);
}

static void test_users(void **state) {
    (void)state;
    static const char name[] =
        "users[1].name: not 1 to 127 bytes without control characters and colons";
    static const char password[] =
        "users[1].password: not 1 to 255 bytes without control characters";
    static const char tenant[] =
        "users[1].tenant: not at most 127 bytes without control characters";
    static const char certificate[] =
        "users[1].certificate: not CN:NAME, dns:NAME, email:NAME or uri:NAME";
    static const struct {
        wst_access_user_t user;
        const char *expect;
    } cases[] = {
        {{.size = sizeof(wst_access_user_t), .name = "bob", .password = "p"}, ""},
        {{.size = sizeof(wst_access_user_t), .name = "b+\xc3\xb6", .password = "\xc3\xb6 :+"}, ""},
        {{.size = sizeof(wst_access_user_t), .name = "bob", .ha1_sha256 = SHA256}, ""},
        {{.size = sizeof(wst_access_user_t), .name = "bob", .ha1_md5 = MD5, .tenant = "acme"}, ""},
        {{.size = sizeof(wst_access_user_t), .name = "bob", .ha1_sha256 = SHA256, .ha1_md5 = MD5},
         ""},
        {{.size = sizeof(wst_access_user_t), .name = "bob", .certificate = "CN:bob"}, ""},
        {{.size = sizeof(wst_access_user_t), .password = "p"}, name},
        {{.size = sizeof(wst_access_user_t), .name = "", .password = "p"}, name},
        {{.size = sizeof(wst_access_user_t), .name = "a:b", .password = "p"}, name},
        {{.size = sizeof(wst_access_user_t), .name = "a\nb", .password = "p"}, name},
        {{.size = sizeof(wst_access_user_t), .name = "a\xff", .password = "p"}, name},
        {{.size = sizeof(wst_access_user_t), .name = LONG, .password = "p"}, name},
        {{.size = sizeof(wst_access_user_t), .name = "alice", .password = "p"},
         "users[1].name: another user has this name"},
        {{.size = sizeof(wst_access_user_t), .name = "bob"},
         "users[1].password: neither it, nor its hashes, nor a certificate"},
        {{.size = sizeof(wst_access_user_t), .name = "bob", .password = ""}, password},
        {{.size = sizeof(wst_access_user_t), .name = "bob", .password = LONG LONG}, password},
        {{.size = sizeof(wst_access_user_t), .name = "bob", .password = "a\tb"}, password},
        {{.size = sizeof(wst_access_user_t), .name = "bob", .password = "p", .ha1_md5 = MD5},
         "users[1].password: either it or its hashes"},
        {{.size = sizeof(wst_access_user_t), .name = "bob", .ha1_md5 = SHA256},
         "users[1].ha1_md5: not 32 hexadecimal digits"},
        {{.size = sizeof(wst_access_user_t), .name = "bob", .ha1_sha256 = MD5},
         "users[1].ha1_sha256: not 64 hexadecimal digits"},
        {{.size = sizeof(wst_access_user_t), .name = "bob", .certificate = "bob"}, certificate},
        {{.size = sizeof(wst_access_user_t), .name = "bob", .certificate = "dns:"}, certificate},
        {{.size = sizeof(wst_access_user_t), .name = "bob", .certificate = "cn:bob"}, certificate},
        {{.size = sizeof(wst_access_user_t), .name = "bob", .password = "p", .tenant = LONG},
         tenant},
        {{.size = sizeof(wst_access_user_t), .name = "bob", .password = "p", .tenant = "a\x7f"},
         tenant},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const wst_access_user_t users[] = {
            {.size = sizeof(wst_access_user_t), .name = "alice", .password = "x"}, cases[i].user};
        const wst_access_options_t options = {
            .size = sizeof(options), .users = users, .user_count = 2};
        assert_complaint(&options, cases[i].expect);
    }
}

/* Which of two is at fault does not depend on their order: the later one is. */
static void test_agents_that_meet(void **state) {
    (void)state;
    const wst_access_agent_t names[] = {
        {.size = sizeof(wst_access_agent_t), .name = "z", .certificate = "CN:1"},
        {.size = sizeof(wst_access_agent_t), .name = "a*", .certificate = "CN:2"},
        {.size = sizeof(wst_access_agent_t), .name = "m", .certificate = "CN:3"},
        {.size = sizeof(wst_access_agent_t), .name = "ab", .certificate = "CN:4", .tenant = "t"},
        {.size = sizeof(wst_access_agent_t), .name = "m", .certificate = "CN:5", .tenant = "t"},
        {.size = sizeof(wst_access_agent_t), .name = "abc", .certificate = "CN:6"}};
    wst_access_options_t options = {.size = sizeof(options), .agents = names, .agent_count = 5};
    assert_complaint(&options, "");
    options.agent_count = 6;
    assert_complaint(&options,
                     "agents[5].name: another agent of this tenant may have the same name");
    const wst_access_agent_t tokens[] = {
        {.size = sizeof(wst_access_agent_t), .name = "z", .tokens_sha256 = token},
        {.size = sizeof(wst_access_agent_t), .name = "c", .tokens_sha256 = other_token},
        {.size = sizeof(wst_access_agent_t), .name = "a", .tokens_sha256 = token, .tenant = "t"}};
    options = (wst_access_options_t){
        .size = sizeof(wst_access_options_t), .agents = tokens, .agent_count = 2};
    assert_complaint(&options, "");
    options.agent_count = 3;
    assert_complaint(&options, "agents[2].tokens_sha256: this token is there already");
}

static void test_agents(void **state) {
    (void)state;
    static const char *const twice[] = {OTHER, OTHER, NULL};
    static const char *const malformed[] = {OTHER, "secret", NULL};
    static const char *const bad_label[] = {"x", "", NULL};
    static const char name[] =
        "agents[1].name: not 1 to 64 of letters, digits, '.', '_', '-' and '*'";
    static const char same[] =
        "agents[1].name: another agent of this tenant may have the same name";
    static const struct {
        wst_access_agent_t agent;
        const char *expect;
    } cases[] = {
        {{.size = sizeof(wst_access_agent_t), .name = "paris", .tokens_sha256 = other_token}, ""},
        {{.size = sizeof(wst_access_agent_t),
          .name = "p*",
          .tokens_sha256 = other_token,
          .labels = some,
          .tenant = "t"},
         ""},
        {{.size = sizeof(wst_access_agent_t),
          .name = "*",
          .tokens_sha256 = other_token,
          .tenant = "t"},
         ""},
        {{.size = sizeof(wst_access_agent_t),
          .name = "berlin",
          .tokens_sha256 = other_token,
          .tenant = "t"},
         ""},
        {{.size = sizeof(wst_access_agent_t),
          .name = "paris",
          .certificate = "dns:*.agents.example"},
         ""},
        {{.size = sizeof(wst_access_agent_t), .tokens_sha256 = other_token}, name},
        {{.size = sizeof(wst_access_agent_t), .name = "", .tokens_sha256 = other_token}, name},
        {{.size = sizeof(wst_access_agent_t), .name = "a b", .tokens_sha256 = other_token}, name},
        {{.size = sizeof(wst_access_agent_t), .name = "a+b", .tokens_sha256 = other_token}, name},
        {{.size = sizeof(wst_access_agent_t), .name = LONG, .tokens_sha256 = other_token}, name},
        {{.size = sizeof(wst_access_agent_t), .name = "berlin", .tokens_sha256 = other_token},
         same},
        {{.size = sizeof(wst_access_agent_t), .name = "*", .tokens_sha256 = other_token}, same},
        {{.size = sizeof(wst_access_agent_t), .name = "b*n", .tokens_sha256 = other_token}, same},
        {{.size = sizeof(wst_access_agent_t), .name = "paris"},
         "agents[1].tokens_sha256: neither a token nor a certificate"},
        {{.size = sizeof(wst_access_agent_t), .name = "paris", .tokens_sha256 = empty},
         "agents[1].tokens_sha256: neither a token nor a certificate"},
        {{.size = sizeof(wst_access_agent_t), .name = "paris", .tokens_sha256 = malformed},
         "agents[1].tokens_sha256: not 64 hexadecimal digits"},
        {{.size = sizeof(wst_access_agent_t), .name = "paris", .tokens_sha256 = twice},
         "agents[1].tokens_sha256: this token is there already"},
        {{.size = sizeof(wst_access_agent_t), .name = "paris", .tokens_sha256 = token},
         "agents[1].tokens_sha256: this token is there already"},
        {{.size = sizeof(wst_access_agent_t),
          .name = "paris",
          .tokens_sha256 = other_token,
          .labels = bad_label},
         "agents[1].labels : not 1 to 127 bytes without control characters"},
        {{.size = sizeof(wst_access_agent_t), .name = "paris", .certificate = "x"},
         "agents[1].certificate: not CN:NAME, dns:NAME, email:NAME or uri:NAME"},
        {{.size = sizeof(wst_access_agent_t),
          .name = "paris",
          .tokens_sha256 = other_token,
          .tenant = LONG},
         "agents[1].tenant: not at most 127 bytes without control characters"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const wst_access_agent_t agents[] = {
            {.size = sizeof(wst_access_agent_t), .name = "berlin", .tokens_sha256 = token},
            cases[i].agent};
        const wst_access_options_t options = {
            .size = sizeof(options), .agents = agents, .agent_count = 2};
        assert_complaint(&options, cases[i].expect);
    }
}

static void test_routes_and_options(void **state) {
    (void)state;
    static const char *const bad[] = {"a", "host:0", NULL};
    static const wst_access_route_t routes[][2] = {
        {{.size = sizeof(wst_access_route_t), .agents = some},
         {.size = sizeof(wst_access_route_t), .destinations = bad, .agents = some}},
        {{.size = sizeof(wst_access_route_t), .agents = some},
         {.size = sizeof(wst_access_route_t), .destinations = some}},
        {{.size = sizeof(wst_access_route_t), .agents = some},
         {.size = sizeof(wst_access_route_t), .agents = empty}},
        {{.size = sizeof(wst_access_route_t), .agents = some},
         {.size = sizeof(wst_access_route_t), .users = some, .destinations = some, .agents = some}},
    };
    static const char *const expect[] = {
        "routes[1].destinations host:0: ports must be numbers from 1 to 65535, ranges of them, or "
        "*",
        "routes[1].agents: no agent",
        "routes[1].agents: no agent",
        /* "label:x" is a host there, with a port that is none. */
        "routes[1].destinations label:x: ports must be numbers from 1 to 65535, ranges of them, or "
        "*",
    };
    for (size_t i = 0; i < 4; i++) {
        const wst_access_options_t options = {
            .size = sizeof(options), .routes = routes[i], .route_count = 2};
        assert_complaint(&options, expect[i]);
    }
    static const char *const realms[] = {"", "a\"b", "a\\b", "a\nb", "\xc3\xb6", LONG};
    for (size_t i = 0; i < sizeof(realms) / sizeof(realms[0]); i++) {
        const wst_access_options_t options = {.size = sizeof(options), .realm = realms[i]};
        assert_complaint(&options,
                         "[0].realm: not 1 to 127 printable characters without \" and \\");
    }
    const wst_access_options_t nothing = {.size = sizeof(nothing), .realm = "a b"};
    assert_complaint(&nothing, "");
}

static void test_has(void **state) {
    (void)state;
    static const wst_access_user_t user = {.size = sizeof(user), .name = "alice", .password = "x"};
    static const wst_access_agent_t agent = {
        .size = sizeof(agent), .name = "berlin", .tokens_sha256 = token};
    access_rig_t r;
    access_rig_open(&r, &(wst_access_options_t){
                            .size = sizeof(wst_access_options_t), .users = &user, .user_count = 1});
    assert_true(wst_access_has_users(r.access));
    assert_false(wst_access_has_agents(r.access));
    access_rig_reload(&r, &(wst_access_options_t){.size = sizeof(wst_access_options_t),
                                                  .agents = &agent,
                                                  .agent_count = 1});
    assert_false(wst_access_has_users(r.access));
    assert_true(wst_access_has_agents(r.access));
    access_rig_close(&r);
}

static void make_and_free(void *arg) {
    (void)arg;
    static const wst_access_user_t users[] = {
        {.size = sizeof(wst_access_user_t), .name = "bob", .ha1_md5 = MD5},
        {.size = sizeof(wst_access_user_t), .name = "alice", .password = "x", .tenant = "t"}};
    static const wst_access_agent_t agents[] = {
        {.size = sizeof(wst_access_agent_t),
         .name = "paris",
         .tokens_sha256 = other_token,
         .labels = some},
        {.size = sizeof(wst_access_agent_t), .name = "berlin", .tokens_sha256 = token}};
    static const char *const destinations[] = {"*.example:443", NULL};
    static const wst_access_route_t routes[] = {
        {.size = sizeof(wst_access_route_t), .destinations = destinations, .agents = some}};
    const wst_access_options_t options = {.size = sizeof(options),
                                          .users = users,
                                          .user_count = 2,
                                          .agents = agents,
                                          .agent_count = 2,
                                          .routes = routes,
                                          .route_count = 1,
                                          .user_selects_agent = true};
    test_env_t env;
    wst_access_t *access = NULL;
    test_env_open(&env);
    if (env.ctx != NULL) {
        int status = wst_access_new(&access, env.ctx, &options, NULL);
        assert_int_equal(status, test_alloc_failed() ? WST_ENOMEM : 0);
        assert_true((access != NULL) == (status == 0));
    }
    wst_access_free(access);
    test_env_close(&env);
}

static void test_no_memory(void **state) {
    (void)state;
    assert_true(test_alloc_each(make_and_free, NULL) > 20);
    wst_access_free(NULL);
}

/* If it is not made, the rules are still the caller's. */
static void test_rules_are_taken_on_success(void **state) {
    (void)state;
    test_env_t env;
    wst_rules_t *rules;
    wst_access_t *access;
    test_env_open(&env);
    const wst_rules_options_t none = {.size = sizeof(none), .allocator = &test_allocator};
    assert_int_equal(wst_rules_new(&rules, &none, NULL), 0);
    wst_access_options_t options = {.size = sizeof(options), .rules = rules, .realm = ""};
    assert_int_equal(wst_access_new(&access, env.ctx, &options, NULL), WST_EINVAL);
    options.realm = NULL;
    assert_int_equal(wst_access_new(&access, env.ctx, &options, NULL), 0);
    wst_access_free(access);
    test_env_close(&env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_users),
        cmocka_unit_test(test_agents),
        cmocka_unit_test(test_agents_that_meet),
        cmocka_unit_test(test_routes_and_options),
        cmocka_unit_test(test_has),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_rules_are_taken_on_success),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
