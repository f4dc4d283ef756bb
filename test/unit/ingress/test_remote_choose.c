/* SPDX-License-Identifier: MIT */
/* Which agent of the set is chosen, and through which of its uplinks. */
#include "remote_rig.h"

static wst__member_t *chosen(const remote_rig_t *r, uint64_t only, const uint64_t *tried,
                             size_t count, int status) {
    return remote_rig_choose(r, (wst__choice_t){.only = only, .tried = tried, .tried_count = count},
                             status);
}

static void test_least_loaded(void **state) {
    (void)state;
    remote_rig_t r;
    remote_rig_peer_t a, b0, b1;
    remote_rig_open(&r, 100);
    chosen(&r, 0, NULL, 0, WST_ENOAGENT);
    remote_rig_add(&r, &a, "a", 1, 0, true);
    remote_rig_add(&r, &b0, "b", 1, 0, true);
    remote_rig_add(&r, &b1, "b", 1, 1, false);
    assert_ptr_equal(chosen(&r, 0, NULL, 0, 0), &a.member);
    remote_rig_set_load(&r, &a, 3);
    assert_ptr_equal(chosen(&r, 0, NULL, 0, 0), &b0.member);
    remote_rig_set_load(&r, &b0, 2);
    assert_ptr_equal(chosen(&r, 0, NULL, 0, 0), &b1.member); /* of b, whose sum is 2 */
    remote_rig_set_load(&r, &b1, 2);
    assert_ptr_equal(chosen(&r, 0, NULL, 0, 0), &a.member); /* 3 against 4, though b1 has 2 */

    uint64_t serial = wst__remote_serial(b0.member.remote);
    assert_ptr_equal(chosen(&r, serial, NULL, 0, 0), &b0.member);
    const uint64_t tried[] = {a.member.serial, b0.member.serial, b1.member.serial};
    assert_ptr_equal(chosen(&r, 0, tried, 1, 0), &b0.member);
    assert_ptr_equal(chosen(&r, 0, tried, 2, 0), &b1.member);
    chosen(&r, 0, tried, 3, WST_ENOAGENT);
    chosen(&r, wst__remote_serial(a.member.remote), tried, 1, WST_ENOAGENT);
    chosen(&r, 12345, NULL, 0, WST_ENOAGENT);
    remote_rig_remove(&r, &a, true);
    remote_rig_remove(&r, &b0, false);
    remote_rig_remove(&r, &b1, true);
    remote_rig_close(&r);
}

/* Idle agents take turns. */
static void test_turns(void **state) {
    (void)state;
    remote_rig_t r;
    remote_rig_peer_t peers[3];
    remote_rig_open(&r, 100);
    for (size_t i = 0; i < 3; i++)
        remote_rig_add(&r, &peers[i], "one", (uint8_t)i, 0, true);
    for (size_t i = 0; i < 10; i++) {
        remote_rig_peer_t *next = &peers[i % 3];
        assert_ptr_equal(chosen(&r, 0, NULL, 0, 0), &next->member);
        wst__remotes_changed(&r.set, &next->member); /* nothing is different */
        assert_ptr_equal(chosen(&r, 0, NULL, 0, 0), &next->member);
        remote_rig_set_load(&r, next, 1);
        remote_rig_set_load(&r, next, 0);
    }
    for (size_t i = 0; i < 3; i++)
        remote_rig_remove(&r, &peers[i], true);
    remote_rig_close(&r);
}

/* Sessions that take no stream are passed over, and the answer says why there is none. */
/* So do the idle sessions of an agent. */
static void test_sessions_in_turn(void **state) {
    (void)state;
    remote_rig_t r;
    remote_rig_peer_t peers[3];
    remote_rig_open(&r, 100);
    for (uint32_t i = 0; i < 3; i++)
        remote_rig_add(&r, &peers[i], "one", 1, i, i == 0);
    for (size_t i = 0; i < 10; i++) {
        remote_rig_peer_t *next = &peers[i % 3];
        assert_ptr_equal(chosen(&r, 0, NULL, 0, 0), &next->member);
        remote_rig_set_load(&r, next, 1);
        remote_rig_set_load(&r, next, 0);
    }
    remote_rig_set_load(&r, &peers[1], 1); /* its turn counts less than its load */
    remote_rig_set_load(&r, &peers[2], 1);
    remote_rig_set_load(&r, &peers[0], 1);
    remote_rig_set_load(&r, &peers[0], 0);
    assert_ptr_equal(chosen(&r, 0, NULL, 0, 0), &peers[0].member);
    for (size_t i = 0; i < 3; i++)
        remote_rig_remove(&r, &peers[i], i == 2);
    remote_rig_close(&r);
}

/* Of sessions with as many streams, one that moves much comes last; that counts less than a stream.
 */
static void test_busy_session(void **state) {
    (void)state;
    remote_rig_t r;
    remote_rig_peer_t peers[4];
    remote_rig_open(&r, 100);
    for (uint32_t i = 0; i < 4; i++)
        remote_rig_add(&r, &peers[i], "one", 1, i, i == 0);
    for (size_t i = 0; i < 4; i++)
        remote_rig_set_load(&r, &peers[i], 1); /* 0 would be the next one */
    peers[0].fake.moved = 50 << 20;
    peers[1].fake.moved = 100000; /* little more than the others */
    for (size_t i = 0; i < 6; i++) {
        remote_rig_peer_t *next = &peers[1 + i % 3];
        assert_ptr_equal(chosen(&r, 0, NULL, 0, 0), &next->member);
        remote_rig_set_load(&r, next, 2);
        remote_rig_set_load(&r, next, 1);
    }
    for (size_t i = 1; i < 4; i++)
        remote_rig_set_load(&r, &peers[i], 2);
    assert_ptr_equal(chosen(&r, 0, NULL, 0, 0), &peers[0].member);
    for (size_t i = 0; i < 4; i++)
        remote_rig_remove(&r, &peers[i], i == 3);
    remote_rig_close(&r);
}

static void test_not_ready(void **state) {
    (void)state;
    remote_rig_t r;
    remote_rig_peer_t small, busy, leaving;
    remote_rig_open(&r, 3);
    remote_rig_add(&r, &small, "small", 1, 0, true);
    remote_rig_add(&r, &busy, "busy", 1, 0, true);
    remote_rig_add(&r, &leaving, "leaving", 1, 0, true);
    assert_int_equal(r.set.ready, 3);
    small.fake.load = 1;
    remote_rig_set_status(&r, &small, WST_ELIMIT); /* what the agent states */
    remote_rig_set_load(&r, &busy, 3);             /* what we allow */
    assert_false(wst_remote_is_ready(small.member.remote));
    assert_false(wst_remote_is_ready(busy.member.remote));
    assert_int_equal(r.set.ready, 1);
    assert_ptr_equal(chosen(&r, 0, NULL, 0, 0), &leaving.member);
    remote_rig_set_status(&r, &leaving, WST_EGOAWAY);
    assert_false(wst_remote_is_ready(leaving.member.remote));
    assert_int_equal(r.set.ready, 0);
    chosen(&r, 0, NULL, 0, WST_ELIMIT); /* busy now, but there */
    const uint64_t tried[] = {small.member.serial, busy.member.serial};
    chosen(&r, 0, tried, 1, WST_ELIMIT);
    chosen(&r, 0, tried, 2, WST_EGOAWAY);
    remote_rig_remove(&r, &small, true);
    remote_rig_remove(&r, &busy, true);
    chosen(&r, 0, NULL, 0, WST_EGOAWAY);
    remote_rig_set_status(&r, &leaving, WST_ELOST);
    chosen(&r, 0, NULL, 0, WST_ENOAGENT);
    remote_rig_remove(&r, &leaving, true);
    remote_rig_close(&r);
}

/* An agent is as good as its best session. */
static void test_mixed_sessions(void **state) {
    (void)state;
    remote_rig_t r;
    remote_rig_peer_t full, leaving, other;
    remote_rig_open(&r, 100);
    remote_rig_add(&r, &full, "a", 1, 0, true);
    remote_rig_add(&r, &leaving, "a", 1, 1, false);
    remote_rig_add(&r, &other, "b", 1, 0, true);
    remote_rig_set_status(&r, &full, WST_ELIMIT);
    remote_rig_set_load(&r, &other, 1);
    assert_ptr_equal(chosen(&r, 0, NULL, 0, 0), &leaving.member);
    const uint64_t tried[] = {leaving.member.serial, other.member.serial};
    assert_ptr_equal(chosen(&r, 0, tried, 1, 0), &other.member);
    chosen(&r, 0, tried, 2, WST_ELIMIT);
    remote_rig_set_status(&r, &leaving, WST_EGOAWAY);
    assert_ptr_equal(chosen(&r, 0, NULL, 0, 0), &other.member);
    remote_rig_remove(&r, &full, false);
    remote_rig_remove(&r, &other, true);
    chosen(&r, 0, NULL, 0, WST_EGOAWAY);
    remote_rig_remove(&r, &leaving, true);
    remote_rig_close(&r);
}

static void test_max_streams(void **state) {
    (void)state;
    remote_rig_t r;
    remote_rig_peer_t a, b;
    remote_rig_open(&r, 2);
    remote_rig_add(&r, &a, "a", 1, 0, true);
    remote_rig_add(&r, &b, "b", 1, 0, true);
    remote_rig_set_load(&r, &a, 3);
    remote_rig_set_load(&r, &b, 2);
    chosen(&r, 0, NULL, 0, WST_ELIMIT);
    wst__remotes_set_max_streams(&r.set, 3);
    assert_int_equal(r.set.ready, 1);
    assert_ptr_equal(chosen(&r, 0, NULL, 0, 0), &b.member);
    wst__remotes_set_max_streams(&r.set, 1);
    chosen(&r, 0, NULL, 0, WST_ELIMIT);
    assert_int_equal(r.set.ready, 0);
    remote_rig_remove(&r, &a, true);
    remote_rig_remove(&r, &b, true);
    remote_rig_close(&r);
}

/* One that does not answer a ping comes last, however few streams it has. */
static void test_suspect(void **state) {
    (void)state;
    remote_rig_t r;
    remote_rig_peer_t a, b, c0, c1;
    remote_rig_open(&r, 100);
    remote_rig_add(&r, &a, "a", 1, 0, true);
    remote_rig_add(&r, &b, "b", 1, 0, true);
    remote_rig_set_suspect(&r, &a, true);
    remote_rig_set_load(&r, &b, 2);
    assert_ptr_equal(chosen(&r, 0, NULL, 0, 0), &b.member);
    assert_int_equal(r.set.ready, 2);
    remote_rig_remove(&r, &b, true);
    assert_ptr_equal(chosen(&r, 0, NULL, 0, 0), &a.member); /* better than none */
    /* Of an agent whose other session answers, it is as good as that of an agent without one. */
    remote_rig_set_load(&r, &a, 3);
    remote_rig_add(&r, &c0, "c", 1, 0, true);
    remote_rig_add(&r, &c1, "c", 1, 1, false);
    remote_rig_set_suspect(&r, &c0, true);
    remote_rig_set_load(&r, &c1, 2);
    const uint64_t tried[] = {c1.member.serial};
    assert_ptr_equal(chosen(&r, 0, NULL, 0, 0), &c1.member);
    assert_ptr_equal(chosen(&r, 0, tried, 1, 0), &c0.member);
    remote_rig_set_load(&r, &c1, 4);
    assert_ptr_equal(chosen(&r, 0, tried, 1, 0), &a.member);
    remote_rig_set_suspect(&r, &a, false);
    assert_ptr_equal(chosen(&r, 0, NULL, 0, 0), &a.member);
    remote_rig_remove(&r, &a, true);
    remote_rig_remove(&r, &c0, false);
    remote_rig_remove(&r, &c1, true);
    remote_rig_close(&r);
}

/* One that is used up by an open is replaced by its far side: that may be waited for. */
static void test_awaited(void **state) {
    (void)state;
    remote_rig_t r;
    remote_rig_peer_t full, used;
    wst__member_t *member;
    bool awaited;
    remote_rig_open(&r, 1);
    remote_rig_add(&r, &full, "a", 1, 0, true);
    remote_rig_add(&r, &used, "b", 1, 0, true);
    remote_rig_set_load(&r, &full, 1);
    remote_rig_set_status(&r, &used, WST_ELIMIT);
    chosen(&r, 0, NULL, 0, WST_ELIMIT);
    used.fake.uplink.renews = true;
    wst__remotes_changed(&r.set, &used.member);
    wst__choice_t choice = {.tenant = ""};
    assert_int_equal(wst__remotes_choose(&r.set, &choice, &member, &awaited), WST_ELIMIT);
    assert_true(awaited);
    chosen(&r, wst__remote_serial(full.member.remote), NULL, 0, WST_ELIMIT); /* not this one */
    choice.only = wst__remote_serial(used.member.remote);
    assert_int_equal(wst__remotes_choose(&r.set, &choice, &member, &awaited), WST_ELIMIT);
    assert_true(awaited);
    const uint64_t tried[] = {used.member.serial};
    chosen(&r, 0, tried, 1, WST_ELIMIT);
    remote_rig_remove(&r, &full, true);
    chosen(&r, 0, tried, 1, WST_ENOAGENT);
    remote_rig_remove(&r, &used, true);
    remote_rig_close(&r);
}

/* One whose connection is lost is awaited, also by those who have tried it before. */
static void test_missing(void **state) {
    (void)state;
    remote_rig_t r;
    remote_rig_peer_t away, second, full;
    wst__member_t *member;
    bool awaited;
    remote_rig_open(&r, 100);
    remote_rig_add(&r, &away, "a", 1, 0, true);
    remote_rig_add(&r, &second, "a", 1, 1, false);
    remote_rig_add(&r, &full, "b", 1, 0, true);
    remote_rig_set_status(&r, &full, WST_ELIMIT);
    const uint64_t tried[] = {away.member.serial, second.member.serial};
    remote_rig_set_status(&r, &away, WST__UPLINK_AWAY);
    assert_false(wst_remote_is_suspended(away.member.remote));
    assert_int_equal(r.set.ready, 1);
    assert_ptr_equal(chosen(&r, 0, tried, 1, 0), &second.member);
    remote_rig_set_status(&r, &second, WST__UPLINK_AWAY);
    assert_true(wst_remote_is_suspended(away.member.remote));
    assert_int_equal(r.set.ready, 0);
    const wst__choice_t choice = {.tenant = "", .tried = tried, .tried_count = 2};
    assert_int_equal(wst__remotes_choose(&r.set, &choice, &member, &awaited), WST__UPLINK_AWAY);
    assert_true(awaited);
    remote_rig_set_load(&r, &away, 100); /* however many streams wait with it */
    assert_int_equal(wst__remotes_choose(&r.set, &choice, &member, &awaited), WST__UPLINK_AWAY);
    remote_rig_set_load(&r, &away, 1);
    away.fake.status = 0;
    wst__remotes_resumed(&r.set, &away.member, 7);
    assert_int_equal(away.member.epoch, 7);
    assert_ptr_equal(chosen(&r, 0, tried, 2, 0), &away.member);
    remote_rig_remove(&r, &away, false);
    assert_true(wst_remote_is_suspended(second.member.remote));
    remote_rig_remove(&r, &second, true);
    remote_rig_remove(&r, &full, true);
    remote_rig_close(&r);
}

/* What lets the new connection in says which labels the agent has. */
static void test_resumed_with_other_labels(void **state) {
    (void)state;
    static const char *const eu[] = {"eu", NULL}, *const lab[] = {"lab", NULL};
    remote_rig_t r;
    remote_rig_peer_t a;
    remote_rig_open(&r, 100);
    remote_rig_make(&a, "a", 1, 0, 1);
    a.labels = eu;
    remote_rig_let_join(&r, &a, true);
    a.fake.uplink.peer = "192.0.2.9:4711";
    assert_int_equal(wst__remotes_relabel(&r.set, &a.member, lab), 0);
    wst__remotes_resumed(&r.set, &a.member, 2);
    assert_int_equal(a.member.epoch, 2);
    assert_string_equal(wst_remote_peer(a.member.remote), "192.0.2.9:4711");
    remote_rig_choose(&r, (wst__choice_t){.labels = eu}, WST_ENOAGENT);
    assert_ptr_equal(remote_rig_choose(&r, (wst__choice_t){.labels = lab}, 0), &a.member);
    test_alloc_fail(1);
    assert_int_equal(wst__remotes_relabel(&r.set, &a.member, eu), WST_ENOMEM);
    assert_true(test_alloc_failed());
    test_alloc_fail(0);
    assert_ptr_equal(remote_rig_choose(&r, (wst__choice_t){.labels = lab}, 0), &a.member);
    remote_rig_remove(&r, &a, true);
    remote_rig_close(&r);
}

/* -- Groups: tenants, names and labels -------------------------------------------------------- */

static void test_tenants_and_names(void **state) {
    (void)state;
    remote_rig_t r;
    remote_rig_peer_t ours, twin, theirs;
    remote_rig_open(&r, 100);
    remote_rig_add(&r, &ours, "one", 1, 0, true);
    remote_rig_add(&r, &twin, "one", 2, 0, true);
    remote_rig_make(&theirs, "one", 1, 0, 1); /* the instance is the same, too */
    theirs.tenant = "acme";
    remote_rig_let_join(&r, &theirs, true);
    remote_rig_set_load(&r, &ours, 2);
    remote_rig_set_load(&r, &twin, 1);
    assert_ptr_equal(remote_rig_choose(&r, (wst__choice_t){.tenant = "acme"}, 0), &theirs.member);
    assert_ptr_equal(remote_rig_choose(&r, (wst__choice_t){.name = "one"}, 0), &twin.member);
    remote_rig_choose(&r, (wst__choice_t){.tenant = "acme", .name = "two"}, WST_ENOAGENT);
    remote_rig_choose(&r, (wst__choice_t){.tenant = "other"}, WST_ENOAGENT);
    uint64_t serial = wst__remote_serial(theirs.member.remote);
    remote_rig_choose(&r, (wst__choice_t){.tenant = "", .only = serial}, WST_ENOAGENT);
    remote_rig_choose(&r, (wst__choice_t){.name = "two", .only = serial}, WST_ENOAGENT);
    assert_ptr_equal(remote_rig_choose(&r, (wst__choice_t){.only = serial}, 0), &theirs.member);
    assert_ptr_equal(wst__remotes_find_named(&r.set, "", "one"), twin.member.remote);
    remote_rig_set_load(&r, &twin, 3);
    assert_ptr_equal(wst__remotes_find_named(&r.set, "", "one"), ours.member.remote);
    assert_ptr_equal(wst__remotes_find_named(&r.set, "acme", "one"), theirs.member.remote);
    assert_null(wst__remotes_find_named(&r.set, "acme", "on"));
    remote_rig_set_status(&r, &theirs, WST_EGOAWAY); /* found all the same */
    assert_ptr_equal(wst__remotes_find_named(&r.set, "acme", "one"), theirs.member.remote);
    remote_rig_remove(&r, &ours, true);
    remote_rig_remove(&r, &twin, true);
    remote_rig_remove(&r, &theirs, true);
    assert_null(wst__remotes_find_named(&r.set, "acme", "one"));
    remote_rig_close(&r);
}

static void test_labels(void **state) {
    (void)state;
    static const char *const eu[] = {"eu", NULL}, *const lab[] = {"lab", NULL};
    static const char *const both[] = {"lab", "eu", NULL}, *const none[] = {NULL};
    static const char *const unknown[] = {"eu", "nowhere", NULL};
    remote_rig_t r;
    remote_rig_peer_t a, b, c, elsewhere;
    remote_rig_open(&r, 100);
    remote_rig_make(&a, "a", 1, 0, 1);
    remote_rig_make(&b, "b", 1, 0, 1);
    remote_rig_make(&c, "c", 1, 0, 1);
    remote_rig_make(&elsewhere, "a", 1, 0, 1);
    a.labels = eu;
    b.labels = both;
    elsewhere.labels = lab;
    elsewhere.tenant = "acme";
    remote_rig_let_join(&r, &a, true);
    remote_rig_let_join(&r, &b, true);
    remote_rig_let_join(&r, &c, true);
    remote_rig_let_join(&r, &elsewhere, true);
    assert_string_equal(wst_remote_labels(b.member.remote)[1], "eu");
    remote_rig_set_load(&r, &a, 1);
    remote_rig_set_load(&r, &b, 2);
    assert_ptr_equal(remote_rig_choose(&r, (wst__choice_t){.labels = none}, 0), &c.member);
    assert_ptr_equal(remote_rig_choose(&r, (wst__choice_t){.labels = eu}, 0), &a.member);
    assert_ptr_equal(remote_rig_choose(&r, (wst__choice_t){.labels = lab}, 0), &b.member);
    assert_ptr_equal(remote_rig_choose(&r, (wst__choice_t){.labels = both}, 0), &b.member);
    assert_ptr_equal(remote_rig_choose(&r, (wst__choice_t){.labels = eu, .name = "b"}, 0),
                     &b.member);
    remote_rig_choose(&r, (wst__choice_t){.labels = lab, .name = "a"}, WST_ENOAGENT);
    remote_rig_choose(&r, (wst__choice_t){.labels = unknown}, WST_ENOAGENT);
    remote_rig_choose(&r, (wst__choice_t){.labels = eu, .tenant = "acme"}, WST_ENOAGENT);
    uint64_t serial = wst__remote_serial(c.member.remote);
    remote_rig_choose(&r, (wst__choice_t){.labels = eu, .only = serial}, WST_ENOAGENT);
    remote_rig_set_status(&r, &b, WST_ELIMIT);
    remote_rig_choose(&r, (wst__choice_t){.labels = both}, WST_ELIMIT);
    remote_rig_remove(&r, &a, true);
    remote_rig_remove(&r, &b, true);
    remote_rig_remove(&r, &c, true);
    remote_rig_remove(&r, &elsewhere, true);
    remote_rig_close(&r);
}

/* The newest session says which labels its agent has. */
static void test_relabelled(void **state) {
    (void)state;
    static const char *const old[] = {"old", "eu", NULL}, *const new[] = {"eu", "new", NULL};
    static const char *const eu[] = {"eu", NULL}, *const reordered[] = {"new", "eu", NULL};
    remote_rig_t r;
    remote_rig_peer_t a, b, c, d;
    remote_rig_open(&r, 100);
    remote_rig_make(&a, "a", 1, 0, 1);
    a.labels = old;
    remote_rig_let_join(&r, &a, true);
    remote_rig_make(&b, "a", 1, 1, 1);
    b.labels = new;
    remote_rig_let_join(&r, &b, false);
    remote_rig_choose(&r, (wst__choice_t){.labels = old}, WST_ENOAGENT);
    assert_ptr_equal(remote_rig_choose(&r, (wst__choice_t){.labels = new}, 0), &a.member);
    assert_ptr_equal(remote_rig_choose(&r, (wst__choice_t){.labels = eu}, 0), &a.member);
    const char *const *labels = wst_remote_labels(a.member.remote);
    remote_rig_make(&c, "a", 1, 2, 1);
    c.labels = reordered; /* the same: nothing moves */
    remote_rig_let_join(&r, &c, false);
    assert_ptr_equal(wst_remote_labels(a.member.remote), labels);
    remote_rig_add(&r, &d, "a", 1, 3, false);
    remote_rig_choose(&r, (wst__choice_t){.labels = eu}, WST_ENOAGENT);
    assert_ptr_equal(chosen(&r, 0, NULL, 0, 0), &a.member);
    remote_rig_remove(&r, &a, false);
    remote_rig_remove(&r, &b, false);
    remote_rig_remove(&r, &c, false);
    remote_rig_remove(&r, &d, true);
    remote_rig_close(&r);
}

/* -- What the embedder admits ----------------------------------------------------------------- */

typedef struct embedder {
    remote_rig_t *r;
    const remote_rig_peer_t *wanted; /* NULL: none */
    remote_rig_peer_t *lost;         /* leaves in the midst of it */
    char asked[16];                  /* first letters of names, in order */
} embedder_t;

static bool admits(const wst_remote_t *remote, void *user_data) {
    embedder_t *e = user_data;
    size_t n = strlen(e->asked);
    assert_true(n + 1 < sizeof(e->asked));
    e->asked[n] = wst_remote_name(remote)[0];
    if (e->lost != NULL && e->lost->member.remote == remote)
        remote_rig_remove(e->r, e->lost, true);
    return e->wanted != NULL && e->wanted->member.remote == remote;
}

static wst__member_t *choose_admitted(embedder_t *e, int status) {
    memset(e->asked, 0, sizeof(e->asked));
    return remote_rig_choose(e->r, (wst__choice_t){.admits = admits, .user_data = e}, status);
}

/* In the order of load, until the first yes; if there is none all are asked, to tell why. */
static void test_admits(void **state) {
    (void)state;
    remote_rig_t r;
    remote_rig_peer_t a, b, c, d, e;
    embedder_t embedder = {.r = &r};
    remote_rig_open(&r, 100);
    remote_rig_add(&r, &a, "a", 1, 0, true);
    remote_rig_add(&r, &b, "b", 1, 0, true);
    remote_rig_add(&r, &c, "c", 1, 0, true);
    remote_rig_add(&r, &d, "d", 1, 0, true);
    remote_rig_add(&r, &e, "e", 1, 0, true);
    remote_rig_set_load(&r, &a, 2);
    remote_rig_set_load(&r, &b, 1);
    remote_rig_set_load(&r, &c, 3);
    remote_rig_set_status(&r, &d, WST_ELIMIT);
    remote_rig_set_status(&r, &e, WST_EGOAWAY);
    embedder.wanted = &a;
    assert_ptr_equal(choose_admitted(&embedder, 0), &a.member);
    assert_string_equal(embedder.asked, "ba");
    embedder.wanted = NULL;
    choose_admitted(&embedder, WST_ENOAGENT);
    assert_string_equal(embedder.asked, "bacde");
    embedder.wanted = &d;
    choose_admitted(&embedder, WST_ELIMIT);
    assert_string_equal(embedder.asked, "bacde");
    embedder.wanted = &e;
    choose_admitted(&embedder, WST_EGOAWAY);
    embedder.wanted = NULL;
    embedder.lost = &a; /* the rest is not known then */
    choose_admitted(&embedder, WST_ENOAGENT);
    assert_string_equal(embedder.asked, "ba");
    remote_rig_remove(&r, &b, true);
    remote_rig_remove(&r, &c, true);
    remote_rig_remove(&r, &d, true);
    remote_rig_remove(&r, &e, true);
    remote_rig_close(&r);
}

/* -- Many, against a model -------------------------------------------------------------------- */

enum { MANY = 200 };

static const char *const names[] = {"n0", "n1", "n2", "n3", "n4"};

static const char *const tenants[] = {"", "acme", "globex"};

static const char *const label_sets[][3] = {{NULL}, {"x", NULL}, {"y", "x", NULL}, {"y", NULL}};

/* An agent of one session, or two. */
static void make_one_of_many(remote_rig_peer_t *p, size_t i) {
    remote_rig_make(p, names[i / 2 % 5], (uint8_t)(i / 2), (uint32_t)(i % 2), 1);
    p->tenant = tenants[i / 2 % 3];
    p->labels = label_sets[i / 2 % 4];
}

static void change_one(remote_rig_t *r, remote_rig_peer_t *p, uint64_t *seed) {
    static const int statuses[] = {0,          0,           0,         0,
                                   WST_ELIMIT, WST_EGOAWAY, WST_ELOST, WST__UPLINK_AWAY};
    wst__member_t *replaced;
    bool is_new;
    switch (test_random(seed) % 8) {
    case 0:
        if (p->member.remote != NULL) {
            wst_remote_t *gone = wst__remotes_leave(&r->set, &p->member);
            if (gone != NULL)
                wst__remote_free(gone);
        } else {
            assert_int_equal(remote_rig_join(r, p, &replaced, &is_new), 0);
        }
        break;
    case 1:
        remote_rig_set_status(r, p, statuses[test_random(seed) % 8]);
        break;
    case 2:
        remote_rig_set_suspect(r, p, test_random(seed) % 4 == 0);
        break;
    case 3:
        remote_rig_set_load(r, p, test_random(seed) % 12);
        break;
    default:
        remote_rig_set_load(
            r, p, p->fake.load + (test_random(seed) % 2 == 0 || p->fake.load == 0 ? 1 : -1ul));
        break;
    }
}

/* The answer by looking at everything. Less is better; SIZE_MAX: it cannot be taken. */
static size_t rank_of(const remote_rig_peer_t *p, size_t max_streams) {
    if (p->fake.load >= max_streams || p->fake.status != 0)
        return SIZE_MAX;
    return ((size_t)p->fake.suspect * 1000 + wst_remote_streams(p->member.remote)) * 1000 +
           p->fake.load;
}

/* Why no stream can be opened there; or 0. */
static int status_of(const remote_rig_peer_t *p, size_t max_streams) {
    return p->fake.status == 0 && p->fake.load >= max_streams ? WST_ELIMIT : p->fake.status;
}

/* Of several causes the one of most weight is told. */
static int weight_of(int status) {
    return status == WST__UPLINK_AWAY ? 3
           : status == WST_ELIMIT     ? 2
           : status == WST_EGOAWAY    ? 1
                                      : 0;
}

static bool has_labels(const remote_rig_peer_t *p, const char *const *labels) {
    for (; labels != NULL && *labels != NULL; labels++) {
        size_t i = 0;
        while (p->labels[i] != NULL && strcmp(p->labels[i], *labels) != 0)
            i++;
        if (p->labels[i] == NULL)
            return false;
    }
    return true;
}

static void check_choice(const remote_rig_t *r, const remote_rig_peer_t *peers,
                         const wst__choice_t *choice) {
    size_t best = SIZE_MAX;
    int status = WST_ENOAGENT;
    for (size_t i = 0; i < MANY; i++) {
        const remote_rig_peer_t *p = &peers[i];
        if (p->member.remote == NULL || strcmp(p->tenant, choice->tenant) != 0 ||
            (choice->name != NULL && !wst_str_eq(p->hello.name, choice->name)) ||
            !has_labels(p, choice->labels) || p->member.serial == choice->tried[0])
            continue;
        size_t rank = rank_of(p, r->set.max_streams);
        best = rank < best ? rank : best;
        if (weight_of(status_of(p, r->set.max_streams)) > weight_of(status))
            status = status_of(p, r->set.max_streams);
    }
    wst__member_t *member;
    bool awaited;
    int answer = wst__remotes_choose(&r->set, choice, &member, &awaited);
    assert_int_equal(answer, best != SIZE_MAX ? 0 : status);
    assert_true(answer == 0 || awaited == (status == WST__UPLINK_AWAY));
    if (answer == 0) {
        const remote_rig_peer_t *p = WST__CONTAINER(member, remote_rig_peer_t, member);
        /* Which of two sessions it is does not matter across agents of the same load. */
        assert_int_equal(rank_of(p, r->set.max_streams) / 1000, best / 1000);
    }
}

static void check_finding(const remote_rig_t *r, const remote_rig_peer_t *peers) {
    size_t ready = 0, count = 0;
    for (wst_remote_t *remote = wst__remotes_next(&r->set, NULL); remote != NULL;
         remote = wst__remotes_next(&r->set, remote)) {
        assert_true(wst__remotes_has(&r->set, remote));
        assert_ptr_equal(wst__remotes_find(&r->set, wst__remote_serial(remote)), remote);
        ready += wst_remote_is_ready(remote);
        count++;
    }
    assert_int_equal(r->set.ready, ready);
    assert_int_equal(r->set.count, count);
    for (size_t i = 0; i < MANY; i += 2) {
        if (peers[i].member.remote != NULL && peers[i + 1].member.remote != NULL)
            assert_ptr_equal(peers[i].member.remote, peers[i + 1].member.remote);
    }
}

static void test_many(void **state) {
    (void)state;
    static remote_rig_peer_t peers[MANY];
    for (uint64_t run = 1; run <= 10; run++) {
        uint64_t seed = run;
        remote_rig_t r;
        remote_rig_open(&r, 10);
        for (size_t i = 0; i < MANY; i++)
            make_one_of_many(&peers[i], i);
        for (int i = 0; i < 2000; i++) {
            change_one(&r, &peers[test_random(&seed) % MANY], &seed);
            const uint64_t tried[] = {peers[test_random(&seed) % MANY].member.serial};
            const wst__choice_t choice = {
                .tenant = tenants[test_random(&seed) % 3],
                .name = test_random(&seed) % 2 == 0 ? names[test_random(&seed) % 5] : NULL,
                .labels = label_sets[test_random(&seed) % 4],
                .tried = tried,
                .tried_count = 1};
            check_choice(&r, peers, &choice);
            if (i % 100 == 0)
                check_finding(&r, peers);
        }
        for (size_t i = 0; i < MANY; i++) {
            wst_remote_t *gone = wst__remotes_leave(&r.set, &peers[i].member);
            if (gone != NULL)
                wst__remote_free(gone);
        }
        remote_rig_close(&r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_least_loaded),     cmocka_unit_test(test_turns),
        cmocka_unit_test(test_sessions_in_turn), cmocka_unit_test(test_busy_session),
        cmocka_unit_test(test_not_ready),        cmocka_unit_test(test_mixed_sessions),
        cmocka_unit_test(test_max_streams),      cmocka_unit_test(test_suspect),
        cmocka_unit_test(test_awaited),          cmocka_unit_test(test_tenants_and_names),
        cmocka_unit_test(test_labels),           cmocka_unit_test(test_relabelled),
        cmocka_unit_test(test_admits),           cmocka_unit_test(test_many),
        cmocka_unit_test(test_missing),          cmocka_unit_test(test_resumed_with_other_labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
