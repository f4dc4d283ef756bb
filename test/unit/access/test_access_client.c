/* SPDX-License-Identifier: MIT */
/* Clients: Basic and Digest, right, wrong, stale, replayed; how many failures are allowed. */
#include "access_rig.h"

#include "digest.h"
#include "http_digest.h"

#include <stdio.h>
#include <wstunnel/tls.h>

#define PEER    "192.0.2.1:5"
#define CONNECT "CONNECT host:443"

static const wst_access_user_t users[] = {
    {.size = sizeof(wst_access_user_t), .name = "carol", .password = "x", .tenant = "acme"},
    {.size = sizeof(wst_access_user_t), .name = "alice", .password = "open: sesame"},
    {.size = sizeof(wst_access_user_t), .name = "bob+x", .password = "y"},
    /* SHA-256 and MD5 of "dave:wstunnel:z" */
    {.size = sizeof(wst_access_user_t),
     .name = "dave",
     .ha1_sha256 = "73D524C88DA0F3BF44DF42C22828635FA33652B5625B3C1EAADC4B2AC6D27F38",
     .ha1_md5 = "09a506b3ad20b8253bebf356dcef5141"},
    {.size = sizeof(wst_access_user_t),
     .name = "erin",
     .ha1_md5 = "1777dd90d83c7c10d1d9b9285c46e3a0"}};

static wst_access_options_t options_of(void) {
    return (wst_access_options_t){.size = sizeof(wst_access_options_t),
                                  .users = users,
                                  .user_count = sizeof(users) / sizeof(users[0])};
}

static const access_login_t alice = {.user = "alice",
                                     .password = "open: sesame",
                                     .method = "CONNECT",
                                     .uri = "host:443",
                                     .hash = WST__SHA256,
                                     .nc = 1};

/* A request that a challenge is answered to. */
static wst__offer_t challenged(access_rig_t *r, wst__hash_t hash) {
    assert_int_equal(access_rig_client(r, PEER, CONNECT, ""), 407);
    return access_rig_offer(r, hash);
}

static void test_challenge(void **state) {
    (void)state;
    wst_access_options_t options = options_of();
    access_rig_t r;
    char expect[1024], nonce[128];
    access_rig_open(&r, &options);
    for (int i = 0; i < 100; i++) /* asking is no failure */
        assert_int_equal(access_rig_client(&r, PEER, CONNECT, ""), 407);
    assert_int_equal(sscanf(r.fields, "%*[^,], nonce=\"%127[0-9a-f]", nonce), 1);
    snprintf(expect, sizeof(expect),
             "Proxy-Authenticate: Digest realm=\"wstunnel\", nonce=\"%s\", qop=\"auth\", "
             "algorithm=SHA-256, charset=\"UTF-8\"\r\n"
             "Proxy-Authenticate: Digest realm=\"wstunnel\", nonce=\"%s\", qop=\"auth\", "
             "algorithm=MD5, charset=\"UTF-8\"\r\n"
             "Proxy-Authenticate: Basic realm=\"wstunnel\", charset=\"UTF-8\"\r\n",
             nonce, nonce);
    assert_string_equal(r.fields, expect);
    /* What nobody can use is not offered. */
    options = (wst_access_options_t){.size = sizeof(wst_access_options_t),
                                     .users = &users[4],
                                     .user_count = 1,
                                     .no_basic = true,
                                     .realm = "a b"};
    access_rig_reload(&r, &options);
    assert_int_equal(access_rig_client(&r, PEER, CONNECT, ""), 407);
    assert_null(strstr(r.fields, "SHA-256"));
    assert_null(strstr(r.fields, "Basic"));
    assert_int_equal(strncmp(r.fields, "Proxy-Authenticate: Digest realm=\"a b\", ", 40), 0);
    static const wst_access_user_t by_certificate = {
        .size = sizeof(by_certificate), .name = "frank", .certificate = "CN:frank"};
    options = (wst_access_options_t){
        .size = sizeof(wst_access_options_t), .users = &by_certificate, .user_count = 1};
    access_rig_reload(&r, &options);
    assert_int_equal(access_rig_client(&r, PEER, CONNECT, ""), 403);
    assert_string_equal(r.reason, "A client certificate is required");
    assert_int_equal(access_rig_client(&r, PEER, CONNECT, access_rig_basic("frank", "")), 403);
    access_rig_close(&r);
}

static void test_basic(void **state) {
    (void)state;
    wst_access_options_t options = options_of();
    options.max_failures = SIZE_MAX;
    access_rig_t r;
    access_rig_open(&r, &options);
    assert_int_equal(
        access_rig_client(&r, PEER, CONNECT, access_rig_basic("alice", "open: sesame")), 0);
    assert_string_equal(r.user, "alice");
    assert_string_equal(r.tenant, "");
    assert_int_equal(access_rig_client(&r, PEER, CONNECT, access_rig_basic("carol", "x")), 0);
    assert_string_equal(r.tenant, "acme");
    assert_int_equal(access_rig_client(&r, PEER, CONNECT, access_rig_basic("dave", "z")), 0);
    assert_int_equal(access_rig_client(&r, PEER, CONNECT, access_rig_basic("erin", "w")), 0);
    static const char *const wrong[][2] = {
        {"alice", ""},
        {"alice", "open: sesam"},
        {"alice", "open: sesame "},
        {"alic", "x"},
        {"alicea", "x"},
        {"", ""},
        {"nobody", "x"},
        {"carol", "y"},
        {"dave", "73d524c88da0f3bf44df42c22828635fa33652b5625b3c1eaadc4b2ac6d27f38"},
        {"alice+x", "open: sesame"},
        {"bob", "y"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(
            access_rig_client(&r, PEER, CONNECT, access_rig_basic(wrong[i][0], wrong[i][1])), 407);
        assert_null(strstr(r.fields, "stale"));
    }
    static const char *const malformed[] = {
        "Proxy-Authorization: Basic\r\n",
        "Proxy-Authorization: Basic !\r\n",
        "Proxy-Authorization: Bearer x\r\n",
        "Proxy-Authorization: Digest x=y\r\n",
        "Proxy-Authorization: ,\r\n",
        "Proxy-Authorization: Basic Y2Fyb2w6eA==\r\nProxy-Authorization: Basic Y2Fyb2w6eA==\r\n",
        "Proxy-Authorization: Basic Y2Fyb2w6eA==, Basic Y2Fyb2w6eA==\r\n",
        "Authorization: Basic Y2Fyb2w6eA==\r\n",
    };
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
        assert_int_equal(access_rig_client(&r, PEER, CONNECT, malformed[i]), 407);
    options.no_basic = true;
    access_rig_reload(&r, &options);
    assert_int_equal(
        access_rig_client(&r, PEER, CONNECT, access_rig_basic("alice", "open: sesame")), 407);
    access_rig_close(&r);
}

static void test_digest(void **state) {
    (void)state;
    const wst_access_options_t options = options_of();
    access_rig_t r;
    access_rig_open(&r, &options);
    for (int hash = WST__MD5; hash <= WST__SHA256; hash++) {
        wst__offer_t offer = challenged(&r, (wst__hash_t)hash);
        access_login_t t = alice;
        for (t.nc = 1; t.nc < 5; t.nc++) {
            assert_int_equal(
                access_rig_client(&r, PEER, CONNECT, access_rig_credentials(&offer, &t)), 0);
            assert_string_equal(r.user, "alice");
        }
        offer = challenged(&r, (wst__hash_t)hash);
        t = alice;
        t.user = "dave";
        t.password = "z";
        assert_int_equal(access_rig_client(&r, PEER, CONNECT, access_rig_credentials(&offer, &t)),
                         0);
    }
    wst__offer_t offer = challenged(&r, WST__MD5);
    access_login_t t = alice;
    t.user = "erin";
    t.password = "w";
    assert_int_equal(access_rig_client(&r, PEER, CONNECT, access_rig_credentials(&offer, &t)), 0);
    offer = challenged(&r, WST__SHA256); /* of which only the other hash is known */
    assert_int_equal(access_rig_client(&r, PEER, CONNECT, access_rig_credentials(&offer, &t)), 407);
    access_rig_close(&r);
}

static void test_digest_wrong(void **state) {
    (void)state;
    wst_access_options_t options = options_of();
    options.max_failures = SIZE_MAX;
    access_rig_t r;
    access_rig_open(&r, &options);
    access_login_t wrong[5] = {alice, alice, alice, alice, alice};
    wrong[0].password = "open: sesam";
    wrong[1].user = "nobody";
    wrong[2].method = "GET";
    wrong[3].uri = "host:444";
    wrong[4].user = "alice+x"; /* nobody may select agents */
    for (size_t i = 0; i < 5; i++) {
        wst__offer_t offer = challenged(&r, WST__SHA256);
        assert_int_equal(
            access_rig_client(&r, PEER, CONNECT, access_rig_credentials(&offer, &wrong[i])), 407);
        assert_null(strstr(r.fields, "stale"));
    }
    /* Of another realm. */
    wst__offer_t offer = challenged(&r, WST__SHA256);
    snprintf(offer.realm, sizeof(offer.realm), "other");
    assert_int_equal(access_rig_client(&r, PEER, CONNECT, access_rig_credentials(&offer, &alice)),
                     407);
    access_rig_close(&r);
}

/* What stands in for the hash of those whose hash is not known lets nobody in. */
static void test_hash_of_nobody(void **state) {
    (void)state;
    static const char *const names[] = {"nobody", "erin", "dave+berlin"};
    wst_access_options_t options = options_of();
    options.user_selects_agent = true;
    access_rig_t r;
    access_rig_open(&r, &options);
    for (size_t i = 0; i < 3; i++) {
        char ha1[WST__HASH_TEXT], response[WST__HASH_TEXT], field[1024];
        wst__offer_t offer = challenged(&r, WST__SHA256);
        memset(ha1, '0', sizeof(ha1) - 1);
        ha1[sizeof(ha1) - 1] = '\0';
        const wst__digest_input_t input = {.hash = WST__SHA256,
                                           .ha1 = ha1,
                                           .method = {"CONNECT", 7},
                                           .uri = {"host:443", 8},
                                           .nonce = {offer.nonce, strlen(offer.nonce)},
                                           .cnonce = {"c", 1},
                                           .nc = 1};
        assert_int_equal(wst__digest_response(response, &input), 0);
        snprintf(field, sizeof(field),
                 "Proxy-Authorization: Digest username=\"%s\", realm=\"wstunnel\", nonce=\"%s\", "
                 "uri=\"host:443\", algorithm=SHA-256, response=%s, qop=auth, nc=00000001, "
                 "cnonce=c\r\n",
                 names[i], offer.nonce, response);
        assert_int_equal(access_rig_client(&r, PEER, CONNECT, field), 407);
    }
    access_rig_close(&r);
}

/* RFC 7616 section 3.4.6: credentials are for one target. Of an absolute one the path will do. */
static void test_target(void **state) {
    (void)state;
    static const struct {
        const char *line, *uri;
        int expect;
    } cases[] = {
        {"CONNECT host:443", "host:443", 0},
        {"CONNECT host:443", "HOST:443", 407},
        {"CONNECT host:443", "/", 407},
        {"GET http://host/a?b", "http://host/a?b", 0},
        {"GET http://host/a?b", "/a?b", 0},
        {"GET http://host/a?b", "/a", 407},
        {"GET http://host/a?b", "http://other/a?b", 407},
        {"GET http://host", "/", 0},
        {"GET http://host", "http://host", 0},
        {"GET http://host?b", "/?b", 0},
        {"GET http://host?b", "?b", 0},
        {"GET http://host/?b", "?b", 407},
    };
    wst_access_options_t options = options_of();
    options.max_failures = SIZE_MAX;
    access_rig_t r;
    access_rig_open(&r, &options);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        access_login_t t = alice;
        t.method = cases[i].line[0] == 'G' ? "GET" : "CONNECT";
        t.uri = cases[i].uri;
        wst__offer_t offer = challenged(&r, WST__SHA256);
        if (access_rig_client(&r, PEER, cases[i].line, access_rig_credentials(&offer, &t)) !=
            cases[i].expect)
            fail_msg("%s, %s: %d", cases[i].line, cases[i].uri, r.status);
    }
    access_rig_close(&r);
}

/* Right credentials but for their nonce: the client is told to use another one, and may at once. */
static void test_stale(void **state) {
    (void)state;
    const wst_access_options_t options = options_of();
    access_rig_t r;
    access_rig_open(&r, &options);
    wst__offer_t offer = challenged(&r, WST__SHA256);
    access_login_t t = alice;
    assert_int_equal(access_rig_client(&r, PEER, CONNECT, access_rig_credentials(&offer, &t)), 0);
    for (int i = 0; i < 100; i++) { /* replayed; that is no failure */
        assert_int_equal(access_rig_client(&r, PEER, CONNECT, access_rig_credentials(&offer, &t)),
                         407);
        assert_true(access_rig_offer(&r, WST__SHA256).stale);
    }
    offer = access_rig_offer(&r, WST__SHA256);
    assert_int_equal(access_rig_client(&r, PEER, CONNECT, access_rig_credentials(&offer, &t)), 0);
    /* Wrong ones are no more than wrong. */
    t.password = "x";
    assert_int_equal(access_rig_client(&r, PEER, CONNECT, access_rig_credentials(&offer, &t)), 407);
    assert_false(access_rig_offer(&r, WST__SHA256).stale);
    /* Five minutes later. */
    t = alice;
    t.nc = 2;
    r.late_ms = 299000;
    assert_int_equal(access_rig_client(&r, PEER, CONNECT, access_rig_credentials(&offer, &t)), 0);
    t.nc = 3;
    r.late_ms = 301000;
    assert_int_equal(access_rig_client(&r, PEER, CONNECT, access_rig_credentials(&offer, &t)), 407);
    assert_true(access_rig_offer(&r, WST__SHA256).stale);
    /* A nonce of the server that was here before. */
    r.late_ms = 0;
    offer = challenged(&r, WST__SHA256);
    access_rig_reload(&r, &options);
    assert_int_equal(access_rig_client(&r, PEER, CONNECT, access_rig_credentials(&offer, &alice)),
                     407);
    assert_true(access_rig_offer(&r, WST__SHA256).stale);
    access_rig_close(&r);
}

static void test_failures(void **state) {
    (void)state;
    wst_access_options_t options = options_of();
    options.max_failures = 3;
    options.failure_window_ms = 30000;
    access_rig_t r;
    access_rig_open(&r, &options);
    wst__offer_t offer = challenged(&r, WST__SHA256);
    access_login_t wrong = alice;
    wrong.password = "x";
    assert_int_equal(access_rig_client(&r, PEER, CONNECT, access_rig_basic("alice", "x")), 407);
    assert_int_equal(
        access_rig_client(&r, "192.0.2.1:6", CONNECT, access_rig_credentials(&offer, &wrong)), 407);
    assert_int_equal(access_rig_client(&r, PEER, CONNECT, access_rig_basic("carol", "x")),
                     0); /* clears nothing */
    assert_int_equal(access_rig_client(&r, PEER, CONNECT, access_rig_basic("alice", "y")), 407);
    assert_int_equal(r.env.log_lines, 1);
    assert_string_equal(r.env.log, PEER ": too many failed attempts to authenticate");
    /* Now right or wrong; asking is no attempt. */
    assert_int_equal(access_rig_client(&r, PEER, CONNECT, ""), 407);
    for (size_t i = 0; i < 2; i++) {
        const char *sent = access_rig_basic("alice", i == 0 ? "open: sesame" : "x");
        assert_int_equal(access_rig_client(&r, PEER, CONNECT, sent), 429);
        assert_string_equal(r.reason, "Too many failed attempts to authenticate");
        assert_int_equal(strncmp(r.fields, "Retry-After: ", 13), 0);
        long seconds = strtol(r.fields + 13, NULL, 10);
        assert_true(seconds >= 1 && seconds <= 10);
    }
    assert_int_equal(
        access_rig_client(&r, "192.0.2.2:5", CONNECT, access_rig_basic("alice", "open: sesame")),
        0);
    r.late_ms = 10000;
    assert_int_equal(
        access_rig_client(&r, PEER, CONNECT, access_rig_basic("alice", "open: sesame")), 0);
    access_rig_close(&r);
}

/* Behind a shared address the bad passwords of others do not keep a user out, nor do those that
 * come from everywhere for her. */
static void test_failures_of_others(void **state) {
    (void)state;
    wst_access_options_t options = options_of();
    options.max_failures = 20;
    access_rig_t r;
    access_rig_open(&r, &options);
    const char *right = access_rig_basic("alice", "open: sesame");
    for (int i = 0; i < 20; i++)
        assert_int_equal(access_rig_client(&r, PEER, CONNECT, access_rig_basic("bob", "no")), 407);
    right = access_rig_basic("alice", "open: sesame");
    assert_int_equal(access_rig_client(&r, PEER, CONNECT, right), 0); /* for the first time */
    static access_asking_t guesses[4000];
    size_t answered = 0;
    for (unsigned i = 0; i < 4000; i++) {
        char peer[64];
        guesses[i] = (access_asking_t){0};
        snprintf(peer, sizeof(peer), "[2001:db8:%x::1]:5", i / 4);
        access_rig_ask_client(&r, &guesses[i], peer, CONNECT, access_rig_basic("alice", "no"));
        if (i >= 3999)
            test_env_turns(&r.env, 5);
    }
    size_t limited = 0;
    for (unsigned i = 0; i < 4000; i++) {
        answered += guesses[i].answers;
        limited += guesses[i].answers && guesses[i].status == 429;
        if (!guesses[i].answers)
            access_rig_leave(&guesses[i]); /* it is held back */
    }
    assert_in_range(answered - limited, 40, 40);
    assert_in_range(limited, 3950, 3960);
    assert_int_equal(
        access_rig_client(&r, PEER, CONNECT, access_rig_basic("alice", "open: sesame")), 0);
    test_env_turns(&r.env, 5);
    access_rig_close(&r);
}

/* An answer that is held back is the right one in the end, and is right or wrong. */
static void test_held_back(void **state) {
    (void)state;
    for (int right = 0; right < 2; right++) {
        wst_access_options_t options = options_of();
        options.max_failures = 10;
        options.failure_window_ms = 1000;
        access_rig_t r;
        access_rig_open(&r, &options);
        for (int i = 0; i < 10; i++)
            assert_int_equal(access_rig_client(&r, PEER, CONNECT, access_rig_basic("alice", "no")),
                             407);
        static access_asking_t asking;
        asking = (access_asking_t){0};
        uint64_t asked_ms = uv_now(&r.env.loop);
        access_rig_ask_client(&r, &asking, PEER, CONNECT,
                              access_rig_basic("alice", right ? "open: sesame" : "no"));
        test_env_turns(&r.env, 5);
        assert_int_equal(asking.answers, 0);
        assert_int_equal(access_rig_answer(&asking), right ? 0 : 407);
        assert_true(uv_now(&r.env.loop) - asked_ms >= 50);
        access_rig_close(&r);
    }
}

/* From here, where a reverse proxy may stand for everybody, by name: others are not shut out. */
static void test_failures_from_here(void **state) {
    (void)state;
    wst_access_options_t options = options_of();
    options.max_failures = 3;
    options.user_selects_agent = true; /* that does not make another user of her */
    static const char *const names[] = {"alice", "alice+1", "alice+2"};
    access_rig_t r;
    access_rig_open(&r, &options);
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            access_rig_client(&r, "127.0.0.1:5", CONNECT, access_rig_basic(names[i], "x")), 407);
    assert_int_equal(
        access_rig_client(&r, "127.0.0.1:5", CONNECT, access_rig_basic("alice", "open: sesame")),
        429);
    assert_int_equal(access_rig_client(&r, "127.0.0.1:5", CONNECT, access_rig_basic("carol", "x")),
                     0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(
            access_rig_client(&r, "127.0.0.1:5", CONNECT, "Proxy-Authorization: x\r\n"), 407);
    assert_int_equal(access_rig_client(&r, "127.0.0.1:5", CONNECT, ""), 407);
    access_rig_close(&r);
}

/* What is told of a name that is no user's is what is told of one that is, by any number of tries.
 */
static void test_unknown_users_from_here(void **state) {
    (void)state;
    wst_access_options_t options = options_of();
    options.max_failures = 3;
    options.user_selects_agent = true;
    static const char *const names[][4] = {{"carol+1", "carol+2", "carol+3", "carol+4"},
                                           {"nobody+1", "nobody+2", "nobody+3", "nobody+4"},
                                           {"bob+x", "bob+x+1", "bob+x", "bob"},
                                           {"+1", "+2", "+3", "+4"}};
    access_rig_t r;
    access_rig_open(&r, &options);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        for (size_t n = 0; n < 3; n++)
            assert_int_equal(
                access_rig_client(&r, "127.0.0.1:5", CONNECT, access_rig_basic(names[i][n], "no")),
                407);
        assert_int_equal(
            access_rig_client(&r, "127.0.0.1:5", CONNECT, access_rig_basic(names[i][3], "no")),
            429);
    }
    access_rig_close(&r);
}

/* Passwords are nowhere in memory that has been given back. */
static void test_secrets_wiped(void **state) {
    (void)state;
    wst_access_options_t options = options_of();
    options.user_selects_agent = true; /* needs the passwords */
    test_alloc_watch("open: sesame");
    access_rig_t r;
    access_rig_open(&r, &options);
    assert_int_equal(
        access_rig_client(&r, PEER, CONNECT, access_rig_basic("alice", "open: sesame")), 0);
    access_login_t t = alice;
    t.user = "alice+berlin";
    wst__offer_t offer = challenged(&r, WST__SHA256);
    assert_int_equal(access_rig_client(&r, PEER, CONNECT, access_rig_credentials(&offer, &t)), 0);
    access_rig_close(&r);
    assert_int_equal(test_alloc_spilled(), 0);
    test_alloc_watch(NULL);
}

/* "alice+berlin" is alice. By Digest only if her password is known. */
static void test_selection(void **state) {
    (void)state;
    wst_access_options_t options = options_of();
    options.user_selects_agent = true;
    access_rig_t r;
    access_rig_open(&r, &options);
    assert_int_equal(
        access_rig_client(&r, PEER, CONNECT, access_rig_basic("alice+berlin", "open: sesame")), 0);
    assert_string_equal(r.user, "alice");
    assert_int_equal(access_rig_client(&r, PEER, CONNECT, access_rig_basic("bob+x", "y")),
                     0); /* a name with it */
    assert_string_equal(r.user, "bob+x");
    assert_int_equal(access_rig_client(&r, PEER, CONNECT, access_rig_basic("bob+x+berlin", "y")),
                     0);
    assert_string_equal(r.user, "bob+x");
    assert_int_equal(access_rig_client(&r, PEER, CONNECT, access_rig_basic("dave+berlin", "z")), 0);
    assert_int_equal(access_rig_client(&r, PEER, CONNECT, access_rig_basic("alice+berlin", "x")),
                     407);
    assert_int_equal(
        access_rig_client(&r, PEER, CONNECT, access_rig_basic("+alice", "open: sesame")), 407);
    access_login_t t = alice;
    t.user = "alice+berlin";
    wst__offer_t offer = challenged(&r, WST__SHA256);
    assert_int_equal(access_rig_client(&r, PEER, CONNECT, access_rig_credentials(&offer, &t)), 0);
    assert_string_equal(r.user, "alice");
    t.nc = 2;
    t.password = "x";
    assert_int_equal(access_rig_client(&r, PEER, CONNECT, access_rig_credentials(&offer, &t)), 407);
    t.user = "dave+berlin";
    t.password = "z";
    assert_int_equal(access_rig_client(&r, PEER, CONNECT, access_rig_credentials(&offer, &t)), 407);
    access_rig_close(&r);
}

/* A verified certificate needs no password, whatever else is sent or was tried. */
static void test_certificate(void **state) {
    (void)state;
    static const wst_access_user_t by_certificate[] = {
        {.size = sizeof(wst_access_user_t), .name = "alice", .certificate = "email:alice@*"},
        {.size = sizeof(wst_access_user_t),
         .name = "bob",
         .certificate = "CN:bob",
         .tenant = "acme"},
        {.size = sizeof(wst_access_user_t),
         .name = "carol",
         .certificate = "dns:*.carol.example",
         .password = "x"},
        {.size = sizeof(wst_access_user_t), .name = "dave", .certificate = "uri:urn:dave"}};
    static const struct {
        const char *common_name;
        wst_tls_name_t name;
        const char *user; /* NULL: nobody */
    } cases[] = {
        {"x", {WST_TLS_NAME_EMAIL, "alice@a.example"}, "alice"},
        {"x", {WST_TLS_NAME_DNS, "alice@a.example"}, NULL},
        {"bob", {WST_TLS_NAME_IP, "192.0.2.1"}, "bob"},
        {"bobby", {WST_TLS_NAME_DNS, "bob"}, NULL},
        {"", {WST_TLS_NAME_DNS, "a.carol.example"}, "carol"},
        {"", {WST_TLS_NAME_DNS, "carol.example"}, NULL},
        {"", {WST_TLS_NAME_URI, "urn:dave"}, "dave"},
        {"urn:dave", {WST_TLS_NAME_EMAIL, "urn:dave"}, NULL},
    };
    const wst_access_options_t options = {
        .size = sizeof(options), .users = by_certificate, .user_count = 4, .max_failures = 1};
    access_rig_t r;
    access_rig_open(&r, &options);
    assert_int_equal(access_rig_client(&r, PEER, CONNECT, access_rig_basic("carol", "y")), 407);
    assert_int_equal(access_rig_client(&r, PEER, CONNECT, access_rig_basic("carol", "x")), 429);
    const char *carol = "Proxy-Authorization: Basic Y2Fyb2w6eQ==\r\n"; /* carol:y */
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const wst_tls_certificate_t peer = {.size = sizeof(peer),
                                            .common_name = cases[i].common_name,
                                            .names = &cases[i].name,
                                            .name_count = 1};
        const wst_tls_info_t verified = {
            .size = sizeof(verified), .peer_verified = true, .peer = &peer};
        const wst_tls_info_t unverified = {.size = sizeof(unverified), .peer = &peer};
        r.tls = &verified;
        int status = access_rig_client(&r, PEER, CONNECT, access_rig_basic("carol", "y"));
        assert_int_equal(status, cases[i].user != NULL ? 0 : 429);
        assert_string_equal(r.user, cases[i].user != NULL ? cases[i].user : "");
        r.tls = &unverified;
        assert_int_equal(access_rig_client(&r, PEER, CONNECT, carol), 429);
    }
    const wst_tls_info_t none = {.size = sizeof(none), .peer_verified = true};
    r.tls = &none;
    assert_int_equal(access_rig_client(&r, PEER, CONNECT, carol), 429);
    access_rig_close(&r);
}

/* A flow whose front end has authenticated the client is that user's, if there is such a user; one
 * whose front end knows nothing is challenged, though it has no HTTP request. */
static void test_flows(void **state) {
    (void)state;
    const wst_access_user_t one[] = {{.size = sizeof(wst_access_user_t),
                                      .name = "alice",
                                      .password = "secret",
                                      .tenant = "acme"}};
    const wst_access_options_t options = {.size = sizeof(options), .users = one, .user_count = 1};
    access_rig_t r;
    access_rig_open(&r, &options);
    assert_int_equal(access_rig_flow(&r, "alice", NULL), 0);
    assert_string_equal(r.user, "alice");
    assert_string_equal(r.tenant, "acme");
    assert_int_equal(access_rig_flow(&r, "alice", "other"), 0);
    assert_string_equal(r.tenant, "other");
    assert_int_equal(access_rig_flow(&r, "somebody", NULL), 403);
    assert_int_equal(access_rig_flow(&r, "somebody", "acme"), 403);
    assert_int_equal(access_rig_flow(&r, "", NULL), 0); /* vouched for without a name */
    assert_string_equal(r.user, "");
    for (int i = 0; i < 30; i++) /* never 429: it is no failure */
        assert_int_equal(access_rig_flow(&r, NULL, NULL), 407);
    access_rig_close(&r);
}

/* Without users any name is somebody's. */
static void test_flows_without_users(void **state) {
    (void)state;
    const wst_access_options_t options = {.size = sizeof(options), .user_count = 0};
    access_rig_t r;
    access_rig_open(&r, &options);
    assert_int_equal(access_rig_flow(&r, "somebody", NULL), 0);
    assert_string_equal(r.user, "somebody");
    assert_string_equal(r.tenant, "");
    access_rig_close(&r);
}

/* Without memory for an answer nobody is let in, and nothing is said of who it may be. */
static void test_no_memory(void **state) {
    (void)state;
    const wst_access_options_t options = options_of();
    access_rig_t r;
    access_rig_open(&r, &options);
    r.fail = true;
    assert_int_equal(access_rig_client(&r, PEER, CONNECT, ""), 500);
    assert_string_equal(r.fields, "");
    assert_true(test_alloc_failed());
    access_rig_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_challenge),
        cmocka_unit_test(test_basic),
        cmocka_unit_test(test_digest),
        cmocka_unit_test(test_digest_wrong),
        cmocka_unit_test(test_hash_of_nobody),
        cmocka_unit_test(test_target),
        cmocka_unit_test(test_stale),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_failures_of_others),
        cmocka_unit_test(test_held_back),
        cmocka_unit_test(test_failures_from_here),
        cmocka_unit_test(test_unknown_users_from_here),
        cmocka_unit_test(test_secrets_wiped),
        cmocka_unit_test(test_selection),
        cmocka_unit_test(test_certificate),
        cmocka_unit_test(test_flows),
        cmocka_unit_test(test_flows_without_users),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
