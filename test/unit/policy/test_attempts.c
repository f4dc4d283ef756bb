/* SPDX-License-Identifier: MIT */
/* Guessers and those who share their addresses, in virtual time. */
#include "attempts.h"
#include "support.h"

#include <stdio.h>
#include <wstunnel/error.h>

enum { MAX = 20, WINDOW = 60000, PART = WINDOW / MAX, HELD = WST__ATTEMPT_HELD_MS };

typedef struct rig {
    wst__attempts_t *a;
    uint64_t now;
    uint64_t wait; /* of the last attempt */
} rig_t;

static rig_t rig_with(size_t max, bool has_users) {
    const wst__attempts_options_t options = {
        .max = max, .window_ms = WINDOW, .seed = 0x1234567890abcdef, .has_users = has_users};
    rig_t r = {.now = 1000};
    assert_int_equal(wst__attempts_new(&r.a, &test_allocator, &options), 0);
    return r;
}

static rig_t rig_new(void) {
    return rig_with(MAX, true);
}

static void rig_free(rig_t *r) {
    wst__attempts_free(r->a);
    assert_int_equal(test_alloc_live(), 0);
}

/* An attempt, as it is made; its answer is held back for r->wait then. False: it is refused. */
static bool attempt(rig_t *r, const char *peer, const char *name, bool right) {
    wst__attempt_t t;
    wst__attempt_describe(&t, r->a, peer, name);
    if (!wst__attempt_admit(r->a, &t, &r->wait, r->now))
        return false;
    wst__attempt_hold(r->a, r->wait, r->now);
    if (right)
        wst__attempt_succeeded(r->a, &t, r->now);
    else
        wst__attempt_failed(r->a, &t, r->now);
    return true;
}

static bool guess(rig_t *r, const char *peer, const char *name) {
    return attempt(r, peer, name, false);
}

/* Guesses until one is not answered at once; how many were. */
static int at_once(rig_t *r, const char *peer, const char *name) {
    int n = 0;
    while (n < 10000 && guess(r, peer, name) && r->wait == 0)
        n++;
    return n;
}

static const char *home_of(unsigned n) {
    static char peer[64];
    snprintf(peer, sizeof(peer), "[2001:db8:%x:%x::1]:5", n >> 16, n & 0xffff);
    return peer;
}

/* One user from one address: so many at once, then two whose answers are held back, then none
 * until time passes, and one for each part of the window. */
static void test_pair(void **state) {
    (void)state;
    rig_t r = rig_new();
    assert_int_equal(at_once(&r, "192.0.2.1:5", "alice"), MAX);
    assert_int_equal(r.wait, PART);
    assert_false(guess(&r, "192.0.2.1:6", "alice"));
    assert_int_equal(r.wait, 2 * PART - HELD);
    assert_false(attempt(&r, "192.0.2.1:6", "alice", true)); /* right or wrong */
    int checked = 0;
    for (int s = 0; s < 600; s++) {
        r.now += 1000;
        checked += guess(&r, "192.0.2.1:7", "alice");
    }
    assert_in_range(checked, 600000 / PART - 2, 600000 / PART + 2);
    r.now += 2 * WINDOW;
    assert_int_equal(at_once(&r, "192.0.2.1:5", "alice"), MAX);
    rig_free(&r);
}

/* A shared address after the bad passwords of others, one of whom goes on. */
static void test_shared_address(void **state) {
    (void)state;
    static const char nat[] = "192.0.2.1:5";
    rig_t r = rig_new();
    assert_true(attempt(&r, nat, "alice", true));
    for (int i = 0; i < 200; i++)
        guess(&r, nat, "mallory");
    /* Those who were there before and those who come are admitted, at once. */
    assert_true(attempt(&r, nat, "alice", true));
    assert_int_equal(r.wait, 0);
    assert_true(attempt(&r, nat, "bob", true));
    assert_int_equal(r.wait, 0);
    /* Mallory tries many names: that delays those who come, and nobody who was there. */
    for (int i = 0; i < 2 * MAX; i++) {
        char name[16];
        snprintf(name, sizeof(name), "user%d", i);
        guess(&r, nat, name);
    }
    r.now += HELD;
    assert_true(attempt(&r, nat, "carol", true));
    assert_true(attempt(&r, nat, "alice", true));
    assert_int_equal(r.wait, 0);
    assert_true(attempt(&r, nat, "bob", true));
    assert_int_equal(r.wait, 0);
    for (int s = 0; s < 3600; s++) {
        char name[16];
        snprintf(name, sizeof(name), "other%d", s);
        guess(&r, nat, name);
        guess(&r, nat, name);
        r.now += 1000;
        assert_true(attempt(&r, nat, "alice", true) && r.wait == 0);
    }
    rig_free(&r);
}

/* 20 bad passwords of others delay nobody at their address. */
static void test_twenty(void **state) {
    (void)state;
    rig_t r = rig_new();
    for (int i = 0; i < MAX; i++) {
        char name[16];
        snprintf(name, sizeof(name), "user%d", i);
        assert_true(guess(&r, "192.0.2.1:5", name));
    }
    assert_true(attempt(&r, "192.0.2.1:5", "alice", true));
    assert_int_equal(r.wait, 0);
    rig_free(&r);
}

/* 4000 guesses at one user from 1000 networks of /64 are checked at the user's rate; the user comes
 * in from where she was before, and is no worse off after it. */
static void test_one_user_from_everywhere(void **state) {
    (void)state;
    for (int seconds = 0; seconds <= 600; seconds += 600) {
        rig_t r = rig_new();
        assert_true(attempt(&r, "203.0.113.9:5", "alice", true));
        int checked = 0;
        uint64_t before = r.now;
        for (unsigned i = 0; i < 4000; i++) {
            char peer[64]; /* each in a /48 of its own */
            snprintf(peer, sizeof(peer), "[2001:db8:%x::1]:5", i / 4);
            checked += guess(&r, peer, "alice");
            r.now = before + (uint64_t)seconds * 1000 * i / 4000;
            assert_true(attempt(&r, "203.0.113.9:5", "alice", true) && r.wait == 0);
        }
        int most = 2 * MAX * (seconds * 1000 + WINDOW) / WINDOW + HELD * 2 * MAX / WINDOW + 2;
        assert_in_range(checked, 2 * MAX, most);
        /* From elsewhere she has to wait, or to try again. */
        attempt(&r, "198.51.100.1:5", "alice", true);
        assert_true(r.wait > 0);
        /* Others do not. */
        assert_true(attempt(&r, "198.51.100.1:5", "bob", true));
        assert_int_equal(r.wait, 0);
        rig_free(&r);
    }
}

/* Many users, many addresses of one /48, or of one /24. */
static void test_one_network(void **state) {
    (void)state;
    for (int v4 = 0; v4 < 2; v4++) {
        rig_t r = rig_new();
        int checked = 0;
        for (unsigned i = 0; i < 4000; i++) {
            char peer[64], name[16];
            snprintf(peer, sizeof(peer), v4 ? "192.0.2.%u:5" : "[2001:db8:7:%x::1]:5", i % 250);
            snprintf(name, sizeof(name), "user%u", i);
            checked += guess(&r, peer, name);
        }
        assert_in_range(checked, 8 * MAX, 8 * MAX + HELD * 8 * MAX / WINDOW + 1);
        assert_true(attempt(&r, v4 ? "192.0.3.1:5" : "[2001:db8:8::1]:5", "alice", true));
        assert_int_equal(r.wait, 0);
        rig_free(&r);
    }
}

/* Who shares an address, a network, or neither. */
static void test_keys(void **state) {
    (void)state;
    static const struct {
        const char *a, *b;
        bool same_address, same_network;
    } cases[] = {
        {"192.0.2.1:5", "192.0.2.1:6", true, true},
        {"192.0.2.1:5", "[::ffff:192.0.2.1]:5", true, true},
        {"192.0.2.1:5", "192.0.2.2:5", false, true},
        {"192.0.2.1:5", "192.0.3.1:5", false, false},
        {"[2001:db8::1]:5", "[2001:db8::ffff:0:0:2]:6", true, true},
        {"[2001:db8::1]:5", "[2001:db8:0:1::1]:5", false, true},
        {"[2001:db8::1]:5", "[2001:db8:1::1]:5", false, false},
        {"[fe80::1%eth0]:5", "[fe80::2]:5", true, true},
    };
    rig_t r = rig_new();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        wst__attempt_t a, b;
        wst__attempt_describe(&a, r.a, cases[i].a, "alice");
        wst__attempt_describe(&b, r.a, cases[i].b, "alice");
        assert_true(a.has_address && b.has_address && a.has_user);
        assert_int_equal(a.address == b.address, cases[i].same_address);
        assert_int_equal(a.pair == b.pair, cases[i].same_address);
        assert_int_equal(a.network == b.network, cases[i].same_network);
        assert_true(a.user == b.user);
        wst__attempt_describe(&b, r.a, cases[i].a, "alicea");
        assert_true(a.user != b.user && a.pair != b.pair);
    }
    rig_free(&r);
}

/* This machine, and what is no address of IP: by user alone. */
static void test_here(void **state) {
    (void)state;
    static const char *const local[] = {"127.0.0.1:5", "127.1.2.3:5", "[::1]:5",
                                        "unix:/run/x", "unix:",       "[::ffff:127.0.0.1]:5"};
    rig_t r = rig_new();
    for (size_t i = 0; i < 1000; i++) {
        char name[16];
        snprintf(name, sizeof(name), "user%zu", i);
        assert_true(guess(&r, local[i % 6], name) && r.wait == 0);
        assert_true(guess(&r, local[i % 6], NULL) && r.wait == 0);
    }
    assert_int_equal(at_once(&r, local[0], "alice"), MAX);
    assert_false(guess(&r, local[3], "alice"));
    assert_true(attempt(&r, local[0], "bob", true) && r.wait == 0);
    rig_free(&r);
}

/* Without a name: by address and network. */
static void test_no_name(void **state) {
    (void)state;
    rig_t r = rig_new();
    assert_int_equal(at_once(&r, "192.0.2.1:5", NULL), 2 * MAX);
    assert_int_equal(at_once(&r, "192.0.2.2:5", NULL), 2 * MAX);
    rig_free(&r);
    r = rig_with(MAX, false);
    assert_int_equal(at_once(&r, "192.0.2.1:5", NULL), MAX);
    assert_int_equal(at_once(&r, "192.0.2.2:5", NULL), MAX);
    attempt(&r, "192.0.2.2:5", NULL, true);
    rig_free(&r);
}

/* A success counts for a week, and for its own user and address. */
static void test_lately(void **state) {
    (void)state;
    rig_t r = rig_new();
    assert_true(attempt(&r, "[2001:db8::1]:5", "alice", true));
    for (unsigned i = 0; i < 200; i++)
        guess(&r, home_of(i + 0x50000), "alice");
    assert_true(attempt(&r, "[2001:db8::2]:5", "alice", true) && r.wait == 0);
    attempt(&r, "[2001:db8:0:9::1]:5", "alice", true);
    assert_true(r.wait > 0);
    uint64_t since = r.now;
    r.now = since + WST__ATTEMPT_LATELY_MS - 1;
    at_once(&r, home_of(0x90000), "alice");
    at_once(&r, home_of(0xa0000), "alice");
    at_once(&r, home_of(0xb0000), "alice");
    assert_true(attempt(&r, "[2001:db8::2]:5", "bob", false) && r.wait == 0);
    wst__attempt_t t;
    wst__attempt_describe(&t, r.a, "[2001:db8::3]:5", "alice");
    assert_true(wst__attempt_admit(r.a, &t, &r.wait, r.now) && r.wait == 0);
    wst__attempt_admit(r.a, &t, &r.wait, r.now + 2);
    assert_true(r.wait > 0);
    rig_free(&r);
}

/* A bad password of her own does not put her behind others. */
static void test_own_mistakes(void **state) {
    (void)state;
    rig_t r = rig_new();
    assert_true(attempt(&r, "192.0.2.1:5", "alice", true));
    for (unsigned i = 0; i < 400; i++)
        guess(&r, home_of(i << 16), "alice");
    for (int i = 0; i < MAX - 1; i++)
        assert_true(guess(&r, "192.0.2.1:5", "alice") && r.wait == 0);
    assert_true(attempt(&r, "192.0.2.1:5", "alice", true) && r.wait == 0);
    rig_free(&r);
}

/* So many answers are held back at a time; beyond that attempts are refused, and only those that
 * would have to wait. */
static void test_held(void **state) {
    (void)state;
    rig_t r = rig_new();
    int held = 0;
    for (unsigned i = 0; i < 1000; i++) {
        char name[16];
        snprintf(name, sizeof(name), "user%u", i);
        if (at_once(&r, home_of(i << 16), name) == MAX)
            held += r.wait == PART && i < WST__ATTEMPTS_HELD;
    }
    assert_int_equal(held, WST__ATTEMPTS_HELD);
    assert_false(guess(&r, home_of(70 << 16), "user70"));
    assert_int_equal(r.wait, PART);
    assert_true(attempt(&r, "192.0.2.1:5", "alice", true) && r.wait == 0);
    r.now += PART;
    assert_true(guess(&r, home_of(0), "user0"));
    rig_free(&r);
}

/* Whoever fails or succeeds in great numbers displaces little of what counts. */
static void test_bounded(void **state) {
    (void)state;
    rig_t r = rig_new();
    enum { USERS = 500 };
    for (unsigned i = 0; i < USERS; i++) {
        char name[16], peer[32];
        snprintf(name, sizeof(name), "user%u", i);
        snprintf(peer, sizeof(peer), "198.51.%u.%u:5", 100 + i / 250, i % 250);
        assert_true(attempt(&r, peer, name, true));
    }
    assert_int_equal(at_once(&r, "192.0.2.1:5", "victim"), MAX);
    size_t live = test_alloc_live();
    for (unsigned i = 0; i < 100000; i++) {
        char name[16];
        snprintf(name, sizeof(name), "name%u", i);
        r.now += i % 100 == 0;
        guess(&r, home_of(i), name);
        wst__attempt_t t;
        wst__attempt_describe(&t, r.a, home_of(i), "traveller");
        wst__attempt_succeeded(r.a, &t, r.now);
    }
    assert_int_equal(test_alloc_live(), live);
    guess(&r, "192.0.2.1:5", "victim");
    assert_true(r.wait > PART);
    /* Those who share a part of the table with the traveller lose what they had. */
    int lost = 0;
    for (unsigned i = 0; i < USERS; i++) {
        char name[16], peer[32];
        snprintf(name, sizeof(name), "user%u", i);
        snprintf(peer, sizeof(peer), "198.51.%u.%u:5", 100 + i / 250, i % 250);
        for (unsigned n = 0; n < 60; n++)
            guess(&r, home_of(n << 16 | i), name);
        wst__attempt_t t;
        wst__attempt_describe(&t, r.a, peer, name);
        lost += !wst__attempt_admit(r.a, &t, &r.wait, r.now) || r.wait > 0;
    }
    assert_in_range(lost, 0, USERS / 20);
    rig_free(&r);
}

static void one_life(void *arg) {
    (void)arg;
    wst__attempts_t *a = NULL;
    const wst__attempts_options_t options = {.max = 1, .window_ms = 1, .has_users = true};
    int status = wst__attempts_new(&a, &test_allocator, &options);
    assert_int_equal(status, test_alloc_failed() ? WST_ENOMEM : 0);
    wst__attempts_free(a);
}

static void test_no_memory(void **state) {
    (void)state;
    assert_int_equal(test_alloc_each(one_life, NULL), 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pair),        cmocka_unit_test(test_shared_address),
        cmocka_unit_test(test_twenty),      cmocka_unit_test(test_one_user_from_everywhere),
        cmocka_unit_test(test_one_network), cmocka_unit_test(test_keys),
        cmocka_unit_test(test_here),        cmocka_unit_test(test_no_name),
        cmocka_unit_test(test_lately),      cmocka_unit_test(test_own_mistakes),
        cmocka_unit_test(test_held),        cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
