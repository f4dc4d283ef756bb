/* SPDX-License-Identifier: MIT */
/* Users out of a data base: answered at once, later, never; after the client or the access object
 * has gone. */
#include "access_rig.h"
#include "http_digest.h"

#include <stdio.h>

#define PEER    "192.0.2.1:5"
#define CONNECT "CONNECT host:443"

/* The data base ------------------------------------------------------------------------------ */

enum { ASKED_MAX = 64 };

static const wst_access_user_t rows[] = {
    {.size = sizeof(wst_access_user_t),
     .name = "alice",
     .password = "open: sesame",
     .tenant = "acme"},
    {.size = sizeof(wst_access_user_t), .name = "bob+x", .password = "y"},
    /* SHA-256 and MD5 of "dave:wstunnel:z" */
    {.size = sizeof(wst_access_user_t),
     .name = "dave",
     .ha1_sha256 = "73D524C88DA0F3BF44DF42C22828635FA33652B5625B3C1EAADC4B2AC6D27F38",
     .ha1_md5 = "09a506b3ad20b8253bebf356dcef5141"},
    {.size = sizeof(wst_access_user_t),
     .name = "erin",
     .ha1_md5 = "1777dd90d83c7c10d1d9b9285c46e3a0"},      /* "w" */
    {.size = sizeof(wst_access_user_t), .name = "frank"}, /* may not log in */
};

typedef struct base {
    access_rig_t rig;
    bool at_once;
    bool frees; /* the access object, when it is asked */
    size_t asked;
    wst_access_lookup_t *lookups[ASKED_MAX];
} base_t;

static const wst_access_user_t *row_of(const char *name) {
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

static void answer(wst_access_lookup_t *lookup) {
    wst_access_lookup_answer(lookup, row_of(wst_access_lookup_name(lookup)));
}

static void on_user(wst_access_t *access, wst_access_lookup_t *lookup, void *user_data) {
    base_t *base = user_data;
    test_alloc_fail(0);
    assert_true(base->asked < ASKED_MAX);
    assert_true(base->rig.access == NULL || base->rig.access == access);
    base->lookups[base->asked++] = lookup;
    if (base->frees) {
        wst_access_free(access);
        base->rig.access = NULL;
    }
    if (base->at_once)
        answer(lookup);
}

static void open_base(base_t *base, wst_access_options_t *options) {
    memset(base, 0, sizeof(*base));
    options->on_user = on_user;
    options->user_data = base;
    access_rig_open(&base->rig, options);
}

/* The name that was asked for last. */
static const char *asked_name(const base_t *base) {
    return wst_access_lookup_name(base->lookups[base->asked - 1]);
}

/* A request with Basic credentials, which waits. */
static void begin(base_t *base, access_asking_t *a, const char *user, const char *password) {
    memset(a, 0, sizeof(*a));
    size_t asked = base->asked;
    access_rig_ask_client(&base->rig, a, PEER, CONNECT, access_rig_basic(user, password));
    test_env_turns(&base->rig.env, 3);
    assert_int_equal(base->asked, asked + 1);
    assert_int_equal(a->answers, base->at_once);
}

/* Such a request, which the data base is asked about and answers at once. */
static int basic(base_t *base, const char *user, const char *password) {
    size_t asked = base->asked;
    int status = access_rig_client(&base->rig, PEER, CONNECT, access_rig_basic(user, password));
    assert_int_equal(base->asked, asked + 1);
    return status;
}

/* By Digest, with a new nonce. */
static int digest(base_t *base, const char *user, const char *password, wst__hash_t hash) {
    const access_login_t login = {.user = user,
                                  .password = password,
                                  .method = "CONNECT",
                                  .uri = "host:443",
                                  .hash = hash,
                                  .nc = 1};
    assert_int_equal(access_rig_client(&base->rig, PEER, CONNECT, ""), 407);
    wst__offer_t offer = access_rig_offer(&base->rig, hash);
    return access_rig_client(&base->rig, PEER, CONNECT, access_rig_credentials(&offer, &login));
}

/* Counts how often the hash of a password is made; linked by --wrap. */
static size_t hashed;
int __real_wst__digest_ha1(char out[WST__HASH_TEXT], wst__hash_t hash, const char *user,
                           const char *realm, const char *password);
int __wrap_wst__digest_ha1(char out[WST__HASH_TEXT], wst__hash_t hash, const char *user,
                           const char *realm, const char *password);

int __wrap_wst__digest_ha1(char out[WST__HASH_TEXT], wst__hash_t hash, const char *user,
                           const char *realm, const char *password) {
    hashed++;
    return __real_wst__digest_ha1(out, hash, user, realm, password);
}

/* Who it is ---------------------------------------------------------------------------------- */

static void test_at_once(void **state) {
    (void)state;
    wst_access_options_t options = {.size = sizeof(options), .max_failures = SIZE_MAX};
    base_t base;
    open_base(&base, &options);
    base.at_once = true;
    assert_true(wst_access_has_users(base.rig.access));
    assert_int_equal(basic(&base, "alice", "open: sesame"), 0);
    assert_string_equal(base.rig.user, "alice");
    assert_string_equal(base.rig.tenant, "acme");
    assert_int_equal(basic(&base, "dave", "z"), 0);
    assert_string_equal(base.rig.user, "dave");
    assert_string_equal(base.rig.tenant, "");
    assert_int_equal(basic(&base, "erin", "w"), 0);
    assert_int_equal(basic(&base, "alice", "x"), 407);
    assert_int_equal(basic(&base, "dave", "x"), 407);
    assert_int_equal(basic(&base, "nobody", "x"), 407);
    assert_int_equal(basic(&base, "nobody", "password"), 407);
    assert_int_equal(basic(&base, "nobody", ""), 407);
    assert_int_equal(basic(&base, "frank", ""), 407);
    assert_int_equal(basic(&base, "frank", "password"), 407);
    access_rig_close(&base.rig);
}

static void test_digest(void **state) {
    (void)state;
    wst_access_options_t options = {.size = sizeof(options), .max_failures = SIZE_MAX};
    base_t base;
    open_base(&base, &options);
    base.at_once = true;
    for (int i = WST__MD5; i <= WST__SHA256; i++) {
        wst__hash_t hash = (wst__hash_t)i;
        assert_int_equal(digest(&base, "alice", "open: sesame", hash), 0);
        assert_string_equal(base.rig.user, "alice");
        assert_string_equal(base.rig.tenant, "acme");
        assert_int_equal(digest(&base, "dave", "z", hash), 0);
        assert_int_equal(digest(&base, "alice", "x", hash), 407);
        assert_null(strstr(base.rig.fields, "stale"));
        assert_int_equal(digest(&base, "nobody", "password", hash), 407);
        assert_int_equal(digest(&base, "frank", "password", hash), 407);
    }
    assert_int_equal(digest(&base, "erin", "w", WST__MD5), 0);
    assert_int_equal(digest(&base, "erin", "w", WST__SHA256), 407); /* which she has no hash for */
    access_rig_close(&base.rig);
}

/* The same credentials twice, looked up at the same time: only one request is let in. */
static void test_replayed(void **state) {
    (void)state;
    const access_login_t login = {.user = "dave",
                                  .password = "z",
                                  .method = "GET",
                                  .uri = "/a",
                                  .hash = WST__SHA256,
                                  .nc = 1};
    wst_access_options_t options = {.size = sizeof(options), .max_failures = 1};
    base_t base;
    access_asking_t a[2] = {{.rig = NULL}};
    open_base(&base, &options);
    assert_int_equal(access_rig_client(&base.rig, PEER, CONNECT, ""), 407);
    wst__offer_t offer = access_rig_offer(&base.rig, WST__SHA256);
    const char *field = access_rig_credentials(&offer, &login);
    for (size_t i = 0; i < 2; i++)
        access_rig_ask_client(&base.rig, &a[i], PEER, "GET http://host/a", field);
    answer(base.lookups[1]);
    assert_int_equal(access_rig_answer(&a[1]), 0);
    answer(base.lookups[0]);
    assert_int_equal(access_rig_answer(&a[0]), 407);
    assert_true(access_rig_offer(&base.rig, WST__SHA256).stale);
    access_rig_close(&base.rig);
}

static void test_later(void **state) {
    (void)state;
    static const char *const passwords[] = {"open: sesame", "x", "open: sesame"};
    wst_access_options_t options = {.size = sizeof(options)};
    base_t base;
    access_asking_t a[3];
    open_base(&base, &options);
    for (size_t i = 0; i < 3; i++)
        begin(&base, &a[i], "alice", passwords[i]);
    for (size_t i = 3; i-- > 0;) {
        answer(base.lookups[i]);
        assert_int_equal(a[i].answers, 0); /* never from inside */
        assert_int_equal(access_rig_answer(&a[i]), i == 1 ? 407 : 0);
        assert_string_equal(base.rig.user, i == 1 ? "" : "alice");
    }
    access_rig_close(&base.rig);
}

/* The list comes first, and who is in it is not looked up. */
static void test_list_and_data_base(void **state) {
    (void)state;
    static const wst_access_user_t users[] = {
        {.size = sizeof(wst_access_user_t), .name = "alice", .password = "mine"},
        {.size = sizeof(wst_access_user_t), .name = "root", .password = "r"}};
    wst_access_options_t options = {.size = sizeof(options), .users = users, .user_count = 2};
    base_t base;
    open_base(&base, &options);
    base.at_once = true;
    const char *field = access_rig_basic("alice", "mine");
    assert_int_equal(access_rig_client(&base.rig, PEER, CONNECT, field), 0);
    assert_string_equal(base.rig.tenant, "");
    field = access_rig_basic("alice", "open: sesame");
    assert_int_equal(access_rig_client(&base.rig, PEER, CONNECT, field), 407);
    assert_int_equal(access_rig_client(&base.rig, PEER, CONNECT, ""), 407);
    assert_int_equal(base.asked, 0);
    assert_int_equal(basic(&base, "dave", "z"), 0);
    access_rig_close(&base.rig);
}

/* Nobody is asked about credentials that lead nowhere, or about what is no user's name. */
static void test_not_asked(void **state) {
    (void)state;
    static const char *const fields[] = {
        "Proxy-Authorization: Basic !\r\n",
        "Proxy-Authorization: Bearer x\r\n",
        "Proxy-Authorization: Basic Y2Fyb2w6eA==\r\nProxy-Authorization: Basic Y2Fyb2w6eA==\r\n",
        "Proxy-Authorization: Basic Onk=\r\n",     /* ":y" */
        "Proxy-Authorization: Basic YQFiOnk=\r\n", /* "a\1b:y" */
        "Proxy-Authorization: Basic Yf9iOnk=\r\n", /* "a\xff" "b:y" */
        "Proxy-Authorization: Digest username=\"a:b\", realm=\"wstunnel\", nonce=\"n\", "
        "uri=\"host:443\", algorithm=MD5, response=\"00000000000000000000000000000000\", "
        "qop=auth, nc=00000001, cnonce=\"c\"\r\n",
    };
    char name[129];
    wst_access_options_t options = {.size = sizeof(options), .max_failures = SIZE_MAX};
    base_t base;
    open_base(&base, &options);
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        assert_int_equal(access_rig_client(&base.rig, PEER, CONNECT, fields[i]), 407);
    memset(name, 'a', 128);
    name[128] = '\0';
    assert_int_equal(access_rig_client(&base.rig, PEER, CONNECT, access_rig_basic(name, "x")), 407);
    assert_int_equal(base.asked, 0);
    base.at_once = true;
    name[127] = '\0';
    assert_int_equal(basic(&base, name, "x"), 407);
    options.no_basic = true;
    access_rig_reload(&base.rig, &options);
    const char *field = access_rig_basic("alice", "open: sesame");
    assert_int_equal(access_rig_client(&base.rig, PEER, CONNECT, field), 407);
    assert_int_equal(base.asked, 1);
    access_rig_close(&base.rig);
}

/* A wrong password costs as much, whether or not there is such a user and what is known of it. */
static void test_cost(void **state) {
    (void)state;
    static const char *const names[] = {"alice", "dave", "erin", "frank", "nobody"};
    wst_access_options_t options = {.size = sizeof(options), .max_failures = SIZE_MAX};
    base_t base;
    for (int selects = 0; selects < 2; selects++) {
        size_t expect[2] = {0, 0};
        options.user_selects_agent = selects;
        open_base(&base, &options);
        base.at_once = true;
        for (size_t i = 0; i < 5; i++) {
            size_t costs[2];
            hashed = 0;
            assert_int_equal(basic(&base, names[i], "x"), 407);
            costs[0] = hashed;
            assert_int_equal(digest(&base, names[i], "x", WST__SHA256), 407);
            costs[1] = hashed - costs[0];
            if (i == 0)
                memcpy(expect, costs, sizeof(costs));
            assert_memory_equal(costs, expect, sizeof(costs));
            assert_true(costs[0] > 0 && costs[1] > 0);
        }
        access_rig_close(&base.rig);
    }
}

/* What is offered, and what the data base's users can be checked by. */
static void test_algorithms(void **state) {
    (void)state;
    wst_access_options_t options = {
        .size = sizeof(options), .lookup_digests = WST_ACCESS_MD5, .max_failures = SIZE_MAX};
    base_t base;
    open_base(&base, &options);
    base.at_once = true;
    assert_int_equal(digest(&base, "alice", "open: sesame", WST__MD5), 0);
    assert_int_equal(basic(&base, "alice", "open: sesame"), 0); /* though SHA-256 is not used */
    assert_int_equal(basic(&base, "dave", "z"), 0);
    size_t asked = base.asked;
    assert_int_equal(digest(&base, "dave", "z", WST__SHA256), 407);
    assert_int_equal(base.asked, asked);
    assert_null(strstr(base.rig.fields, "SHA-256"));
    assert_non_null(strstr(base.rig.fields, "MD5"));
    options.lookup_digests = WST_ACCESS_SHA256;
    access_rig_reload(&base.rig, &options);
    assert_int_equal(digest(&base, "dave", "z", WST__SHA256), 0);
    assert_int_equal(basic(&base, "erin", "w"), 407);
    assert_null(strstr(base.rig.fields, "MD5"));
    /* Users in the list add what they have. */
    options.users = &rows[3];
    options.user_count = 1;
    access_rig_reload(&base.rig, &options);
    assert_int_equal(access_rig_client(&base.rig, PEER, CONNECT, ""), 407);
    assert_non_null(strstr(base.rig.fields, "MD5"));
    access_rig_close(&base.rig);
    wst_access_error_t error = {.why = ""};
    wst_access_t *access;
    test_env_t env;
    test_env_open(&env);
    options.lookup_digests = 4;
    assert_int_equal(wst_access_new(&access, env.ctx, &options, &error), WST_EINVAL);
    assert_string_equal(error.list, "");
    assert_string_equal(error.member, "lookup_digests");
    test_env_close(&env);
}

/* With an agent's name behind the user's, the user is looked up, once. */
static void test_selection(void **state) {
    (void)state;
    wst_access_options_t options = {
        .size = sizeof(options), .user_selects_agent = true, .max_failures = SIZE_MAX};
    static const struct {
        const char *sent, *password, *asked;
        int status;
    } cases[] = {
        {"alice+berlin", "open: sesame", "alice", 0},
        {"alice", "open: sesame", "alice", 0},
        {"alice+berlin", "x", "alice", 407},
        {"dave+berlin", "z", "dave", 0},
        {"bob+x", "y", "bob", 407},
        {"bob+x+berlin", "y", "bob+x", 0},
    };
    base_t base;
    access_asking_t a;
    open_base(&base, &options);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin(&base, &a, cases[i].sent, cases[i].password);
        assert_string_equal(asked_name(&base), cases[i].asked);
        answer(base.lookups[base.asked - 1]);
        assert_int_equal(access_rig_answer(&a), cases[i].status);
        assert_string_equal(base.rig.user, cases[i].status == 0 ? cases[i].asked : "");
    }
    size_t asked = base.asked;
    const char *field = access_rig_basic("+berlin", "x");
    assert_int_equal(access_rig_client(&base.rig, PEER, CONNECT, field), 407);
    assert_int_equal(base.asked, asked);
    base.at_once = true;
    assert_int_equal(digest(&base, "alice+berlin", "open: sesame", WST__SHA256), 0);
    assert_string_equal(base.rig.user, "alice");
    assert_int_equal(digest(&base, "alice+berlin", "x", WST__SHA256), 407);
    assert_int_equal(digest(&base, "dave+berlin", "z", WST__SHA256), 407); /* no password */
    options.user_selects_agent = false;
    access_rig_reload(&base.rig, &options);
    assert_int_equal(basic(&base, "bob+x", "y"), 0);
    assert_int_equal(basic(&base, "alice+berlin", "open: sesame"), 407);
    access_rig_close(&base.rig);
}

/* Flows of clients that are authenticated already: their tenant is that of the user. */
static void test_flows(void **state) {
    (void)state;
    wst_access_options_t options = {.size = sizeof(options), .user_selects_agent = true};
    base_t base;
    access_asking_t a = {.rig = NULL};
    open_base(&base, &options);
    access_rig_ask_flow(&base.rig, &a, "alice", NULL);
    test_env_turns(&base.rig.env, 3);
    assert_int_equal(a.answers, 0);
    answer(base.lookups[0]);
    assert_int_equal(access_rig_answer(&a), 0);
    assert_string_equal(base.rig.user, "alice");
    assert_string_equal(base.rig.tenant, "acme");
    a = (access_asking_t){.rig = NULL};
    access_rig_ask_flow(&base.rig, &a, "alice", NULL); /* nobody knows whose she is */
    wst_access_lookup_fail(base.lookups[1]);
    assert_int_equal(access_rig_answer(&a), 503);
    base.at_once = true;
    assert_int_equal(access_rig_flow(&base.rig, "frank", NULL), 0);
    assert_string_equal(base.rig.tenant, "");
    assert_int_equal(access_rig_flow(&base.rig, "nobody", NULL), 403);
    assert_int_equal(access_rig_flow(&base.rig, "nobody", "acme"), 403);
    assert_int_equal(access_rig_flow(&base.rig, "bob+x", NULL), 0);
    assert_int_equal(base.asked, 6);
    assert_int_equal(access_rig_flow(&base.rig, "alice", "other"), 0);
    assert_string_equal(base.rig.tenant, "other");
    assert_int_equal(access_rig_flow(&base.rig, NULL, NULL), 407);
    assert_int_equal(base.asked, 7);
    access_rig_close(&base.rig);
}

/* No answer, or none that is one ------------------------------------------------------------- */

static void assert_postponed(const base_t *base) {
    assert_int_equal(base->rig.status, 503);
    assert_string_equal(base->rig.reason, "Users cannot be looked up now");
    assert_string_equal(base->rig.error, "proxy_internal_error");
    assert_string_equal(base->rig.fields, "Retry-After: 5\r\n");
}

/* It is not the client's fault. */
static void test_data_base_fails(void **state) {
    (void)state;
    wst_access_options_t options = {.size = sizeof(options), .max_failures = 1};
    base_t base;
    access_asking_t a;
    open_base(&base, &options);
    for (int i = 0; i < 10; i++) {
        begin(&base, &a, "alice", "x");
        wst_access_lookup_fail(base.lookups[i]);
        assert_int_equal(access_rig_answer(&a), 503);
        assert_postponed(&base);
        assert_string_equal(base.rig.user, "");
    }
    assert_int_equal(base.rig.env.log_lines, 0);
    access_rig_close(&base.rig);
}

static void test_unfit_answers(void **state) {
    (void)state;
    static const struct {
        wst_access_user_t user;
        const char *log; /* NULL: it is just nobody */
    } cases[] = {
        {{.size = sizeof(wst_access_user_t), .name = "ALICE", .password = "x"}, NULL},
        {{.size = sizeof(wst_access_user_t), .name = "alice ", .password = "x"}, NULL},
        {{.size = sizeof(wst_access_user_t), .name = "bob", .password = "x"}, NULL},
        {{.name = "alice", .password = "x"}, "size: not set, or a member is unknown here"},
        {{.size = sizeof(wst_access_user_t), .password = "x"},
         "name: not 1 to 127 bytes without control characters and colons"},
        {{.size = sizeof(wst_access_user_t), .name = "alice", .password = ""},
         "password: not 1 to 255 bytes without control characters"},
        {{.size = sizeof(wst_access_user_t), .name = "alice", .password = "x", .ha1_md5 = "x"},
         "password: either it or its hashes"},
        {{.size = sizeof(wst_access_user_t), .name = "alice", .ha1_md5 = "x"},
         "ha1_md5: not 32 hexadecimal digits"},
        {{.size = sizeof(wst_access_user_t), .name = "alice", .ha1_sha256 = "x"},
         "ha1_sha256: not 64 hexadecimal digits"},
        {{.size = sizeof(wst_access_user_t), .name = "alice", .password = "x", .tenant = "\n"},
         "tenant: not at most 127 bytes without control characters"},
    };
    wst_access_options_t options = {.size = sizeof(options), .max_failures = SIZE_MAX};
    base_t base;
    access_asking_t a;
    open_base(&base, &options);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin(&base, &a, "alice", "x");
        wst_access_lookup_answer(base.lookups[i], &cases[i].user);
        int status = access_rig_answer(&a);
        if (cases[i].log == NULL) {
            assert_int_equal(status, 407);
            assert_int_equal(base.rig.env.log_lines, 0);
        } else {
            char expect[200];
            snprintf(expect, sizeof(expect), "look-up of user alice: %s", cases[i].log);
            assert_postponed(&base);
            assert_string_equal(base.rig.env.log, expect);
        }
    }
    access_rig_close(&base.rig);
}

static void test_never(void **state) {
    (void)state;
    wst_access_options_t options = {.size = sizeof(options), .max_failures = 1};
    base_t base;
    access_asking_t a = {.timeout_ms = 1};
    open_base(&base, &options);
    access_rig_ask_client(&base.rig, &a, PEER, CONNECT, access_rig_basic("alice", "x"));
    assert_int_equal(access_rig_answer(&a), -1);
    assert_string_equal(asked_name(&base), "alice"); /* the look-up is there still */
    answer(base.lookups[0]);
    assert_int_equal(a.answers, 1);
    base.at_once = true;
    assert_int_equal(basic(&base, "alice", "open: sesame"), 0); /* it was no failure */
    access_rig_close(&base.rig);
}

/* Who is no more ----------------------------------------------------------------------------- */

/* The client leaves: before the answer, and before the request knows. */
static void test_client_leaves(void **state) {
    (void)state;
    static void (*const ends[])(wst_access_lookup_t *) = {answer, wst_access_lookup_fail};
    wst_access_options_t options = {.size = sizeof(options), .max_failures = 1};
    base_t base;
    access_asking_t a;
    open_base(&base, &options);
    for (size_t i = 0; i < 8; i++) {
        begin(&base, &a, i < 4 ? "alice" : "nobody", "x");
        access_rig_leave(&a);
        if (i % 2 != 0)
            test_env_turns(&base.rig.env, 3);
        ends[i / 2 % 2](base.lookups[i]);
        test_env_turns(&base.rig.env, 3);
        assert_int_equal(a.answers, 0);
    }
    access_asking_t flow = {.rig = NULL};
    access_rig_ask_flow(&base.rig, &flow, "alice", NULL);
    access_rig_leave(&flow);
    answer(base.lookups[8]);
    test_env_turns(&base.rig.env, 3);
    assert_int_equal(flow.answers, 0);
    base.at_once = true;
    assert_int_equal(basic(&base, "alice", "open: sesame"), 0);
    access_rig_close(&base.rig);
}

/* The client leaves after its answer was given, but before it was told. */
static void test_client_leaves_late(void **state) {
    (void)state;
    wst_access_options_t options = {.size = sizeof(options)};
    base_t base;
    access_asking_t a;
    open_base(&base, &options);
    begin(&base, &a, "alice", "open: sesame");
    answer(base.lookups[0]);
    access_rig_leave(&a);
    test_env_turns(&base.rig.env, 3);
    assert_int_equal(a.answers, 0);
    access_rig_close(&base.rig);
}

/* Another access object takes the place of the one that has asked. */
static void test_access_replaced(void **state) {
    (void)state;
    wst_access_options_t options = {.size = sizeof(options), .max_failures = 1};
    base_t base;
    access_asking_t a[4], flow = {.rig = NULL};
    open_base(&base, &options);
    for (size_t i = 0; i < 4; i++)
        begin(&base, &a[i], "alice", i < 2 ? "open: sesame" : "x");
    access_rig_ask_flow(&base.rig, &flow, "alice", NULL);
    access_rig_leave(&a[1]);
    access_rig_reload(&base.rig, &options);
    answer(base.lookups[0]);
    for (size_t i = 0; i < 4; i++) {
        if (i != 1)
            assert_int_equal(access_rig_answer(&a[i]), 503);
    }
    assert_int_equal(access_rig_answer(&flow), 503);
    assert_postponed(&base);
    answer(base.lookups[1]);
    answer(base.lookups[2]);
    wst_access_lookup_fail(base.lookups[3]);
    answer(base.lookups[4]);
    base.at_once = true;
    assert_int_equal(basic(&base, "alice", "open: sesame"), 0);
    access_rig_close(&base.rig);
}

/* It goes in the very callback. */
static void test_freed_when_asked(void **state) {
    (void)state;
    wst_access_options_t options = {.size = sizeof(options)};
    base_t base;
    for (int at_once = 0; at_once < 2; at_once++) {
        access_asking_t a = {.rig = NULL};
        open_base(&base, &options);
        base.frees = true;
        base.at_once = at_once;
        access_rig_ask_client(&base.rig, &a, PEER, CONNECT,
                              access_rig_basic("alice", "open: sesame"));
        assert_int_equal(access_rig_answer(&a), 503);
        if (!at_once)
            answer(base.lookups[0]);
        access_rig_close(&base.rig);
    }
}

/* A look-up needs neither a context nor a loop to end. */
static void test_context_gone(void **state) {
    (void)state;
    wst_access_options_t options = {.size = sizeof(options)};
    base_t base;
    test_env_t other; /* which looks last for what is left */
    access_asking_t a;
    test_env_open(&other);
    open_base(&base, &options);
    test_env_join(&base.rig.env, &other);
    begin(&base, &a, "alice", "open: sesame");
    begin(&base, &a, "alice", "open: sesame");
    access_rig_close(&base.rig);
    assert_string_equal(asked_name(&base), "alice");
    answer(base.lookups[0]);
    wst_access_lookup_fail(base.lookups[1]);
    test_env_close(&other);
}

/* Bounds ------------------------------------------------------------------------------------- */

static void test_failures(void **state) {
    (void)state;
    wst_access_options_t options = {.size = sizeof(options), .max_failures = 3};
    base_t base;
    open_base(&base, &options);
    base.at_once = true;
    assert_int_equal(basic(&base, "alice", "x"), 407);
    assert_int_equal(basic(&base, "alice", "y"), 407);
    assert_int_equal(basic(&base, "alice", "open: sesame"), 0);
    assert_int_equal(digest(&base, "alice", "x", WST__MD5), 407);
    assert_string_equal(base.rig.env.log, PEER ": too many failed attempts to authenticate");
    size_t asked = base.asked;
    const char *field = access_rig_basic("alice", "open: sesame");
    assert_int_equal(access_rig_client(&base.rig, PEER, CONNECT, field), 429);
    assert_int_equal(base.asked, asked); /* nor is the data base bothered any more */
    access_rig_close(&base.rig);
}

/* Guesses made at once are no more than those made one by one; the right one comes too late. */
static void test_guesses_at_once(void **state) {
    (void)state;
    enum { GUESSES = 10, ALLOWED = 3 };
    static access_asking_t a[GUESSES];
    wst_access_options_t options = {.size = sizeof(options), .max_failures = ALLOWED};
    base_t base;
    open_base(&base, &options);
    for (size_t i = 0; i < GUESSES; i++)
        begin(&base, &a[i], "alice", i == GUESSES - 1 ? "open: sesame" : "x");
    for (size_t i = 0; i < GUESSES; i++) {
        answer(base.lookups[i]);
        assert_int_equal(access_rig_answer(&a[i]), i < ALLOWED ? 407 : 429);
    }
    assert_string_equal(base.rig.user, "");
    access_rig_close(&base.rig);
}

static void test_crowd(void **state) {
    (void)state;
    wst_access_options_t options = {.size = sizeof(options), .max_lookups = 3, .max_failures = 1};
    base_t base;
    access_asking_t a[3], more = {.rig = NULL};
    open_base(&base, &options);
    for (size_t i = 0; i < 3; i++)
        begin(&base, &a[i], "alice", "open: sesame");
    access_rig_leave(&a[2]); /* the look-up stays */
    const char *field = access_rig_basic("alice", "x");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(access_rig_client(&base.rig, PEER, CONNECT, field), 503);
        assert_string_equal(base.rig.reason, "Too many users being looked up");
        assert_string_equal(base.rig.error, "connection_limit_reached");
        assert_string_equal(base.rig.fields, "Retry-After: 5\r\n");
        assert_int_equal(base.rig.env.log_lines, 1);
    }
    assert_int_equal(access_rig_flow(&base.rig, "alice", NULL), 503);
    assert_int_equal(base.asked, 3);
    assert_string_equal(base.rig.env.log,
                        "3 look-ups of users: further clients are refused (said once)");
    answer(base.lookups[2]);
    access_rig_ask_client(&base.rig, &more, PEER, CONNECT,
                          access_rig_basic("alice", "open: sesame"));
    assert_int_equal(base.asked, 4);
    answer(base.lookups[0]);
    wst_access_lookup_fail(base.lookups[1]);
    answer(base.lookups[3]);
    assert_int_equal(access_rig_answer(&a[0]), 0);
    assert_int_equal(access_rig_answer(&a[1]), 503);
    assert_int_equal(access_rig_answer(&more), 0);
    access_rig_close(&base.rig);
}

/* Secrets and memory ------------------------------------------------------------------------- */

static void test_secrets_wiped(void **state) {
    (void)state;
    wst_access_options_t options = {.size = sizeof(options), .user_selects_agent = true};
    base_t base;
    access_asking_t a;
    test_alloc_watch("open: sesame");
    open_base(&base, &options);
    begin(&base, &a, "alice+berlin", "open: sesame");
    answer(base.lookups[0]);
    assert_int_equal(access_rig_answer(&a), 0);
    access_rig_close(&base.rig);
    assert_int_equal(test_alloc_spilled(), 0);
    test_alloc_watch(NULL);
}

static void test_no_memory(void **state) {
    (void)state;
    wst_access_options_t options = {.size = sizeof(options)};
    base_t base;
    access_asking_t a;
    open_base(&base, &options);
    base.rig.fail = true; /* for the look-up */
    const char *field = access_rig_basic("alice", "open: sesame");
    assert_int_equal(access_rig_client(&base.rig, PEER, CONNECT, field), 500);
    assert_int_equal(access_rig_flow(&base.rig, "alice", NULL), 500);
    assert_true(test_alloc_failed());
    assert_int_equal(base.asked, 0);
    base.rig.fail = false; /* and for what is said to a wrong password, or without an answer */
    begin(&base, &a, "alice", "x");
    test_alloc_fail(1);
    answer(base.lookups[0]);
    assert_int_equal(access_rig_answer(&a), 500);
    begin(&base, &a, "alice", "x");
    test_alloc_fail(1);
    wst_access_lookup_fail(base.lookups[1]);
    assert_int_equal(access_rig_answer(&a), 500);
    assert_string_equal(base.rig.fields, "");
    access_rig_close(&base.rig);
}

/* SOCKS clients are looked up by their login; a greeting looks up nobody. */
static void test_socks(void **state) {
    (void)state;
    wst_access_options_t options = {.size = sizeof(options), .max_failures = 3};
    base_t base;
    open_base(&base, &options);
    base.at_once = true;
    assert_int_equal(access_rig_login(&base.rig, PEER, NULL, NULL), 407);
    assert_int_equal(base.asked, 0);
    assert_int_equal(access_rig_login(&base.rig, PEER, "alice", "open: sesame"), 0);
    assert_string_equal(base.rig.user, "alice");
    assert_string_equal(base.rig.tenant, "acme");
    assert_int_equal(access_rig_login(&base.rig, PEER, "alice", "x"), 407);
    assert_int_equal(access_rig_login(&base.rig, PEER, "nobody", "x"), 407);
    assert_int_equal(access_rig_login(&base.rig, PEER, "frank", ""), 407);
    assert_int_equal(base.asked, 4);
    for (int i = 0; i < 2; i++)
        assert_int_equal(access_rig_login(&base.rig, PEER, "alice", "x"), 407);
    base.asked = 4;
    assert_int_equal(access_rig_login(&base.rig, PEER, "alice", "open: sesame"), 429);
    assert_int_equal(base.asked, 4);
    access_rig_close(&base.rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_at_once),
        cmocka_unit_test(test_digest),
        cmocka_unit_test(test_replayed),
        cmocka_unit_test(test_later),
        cmocka_unit_test(test_list_and_data_base),
        cmocka_unit_test(test_not_asked),
        cmocka_unit_test(test_cost),
        cmocka_unit_test(test_algorithms),
        cmocka_unit_test(test_selection),
        cmocka_unit_test(test_flows),
        cmocka_unit_test(test_data_base_fails),
        cmocka_unit_test(test_unfit_answers),
        cmocka_unit_test(test_never),
        cmocka_unit_test(test_client_leaves),
        cmocka_unit_test(test_client_leaves_late),
        cmocka_unit_test(test_access_replaced),
        cmocka_unit_test(test_freed_when_asked),
        cmocka_unit_test(test_context_gone),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_guesses_at_once),
        cmocka_unit_test(test_crowd),
        cmocka_unit_test(test_secrets_wiped),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_socks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
