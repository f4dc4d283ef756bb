/* SPDX-License-Identifier: MIT */
/* The set of agents, on uplinks that answer what is asked for: who replaces whom, who is found, and
 * who is chosen. */
#include "env.h"
#include "fake_uplink.h"

#include "remote.h"

#include <stdio.h>

typedef struct peer {
    wst__member_t member;
    fake_uplink_t fake;
    wst_hello_t hello;
    const char *tenant;
    const char *const *labels;
} peer_t;

typedef struct world {
    test_env_t env;
    wst__remotes_t set;
} world_t;

static void open_world(world_t *w, size_t max_streams) {
    test_env_open(&w->env);
    if (w->env.ctx != NULL)
        wst__remotes_init(&w->set, w->env.ctx, max_streams, 4711);
}

static void close_world(world_t *w) {
    if (w->env.ctx != NULL) {
        assert_int_equal(w->set.count, 0);
        assert_int_equal(w->set.ready, 0);
        assert_null(wst__remotes_next(&w->set, NULL));
        wst__remotes_free(&w->set);
    }
    test_env_close(&w->env);
}

static void make_peer(peer_t *p, const char *name, uint8_t instance, uint32_t conn,
                      uint64_t epoch) {
    *p = (peer_t){.tenant = ""};
    fake_uplink_init(&p->fake, "192.0.2.1:5");
    p->hello = (wst_hello_t){
        .name = {name, strlen(name)}, .has_instance = true, .conn = conn, .epoch = epoch};
    memset(p->hello.instance, instance, sizeof(p->hello.instance));
}

static int join(world_t *w, peer_t *p, wst__member_t **replaced, bool *is_new) {
    return wst__remotes_join(&w->set, &p->member, &p->fake.uplink, &p->hello, p->tenant, p->labels,
                             replaced, is_new);
}

/* Lets one join that has been made; whether its agent is new must be as expected. */
static void let_join(world_t *w, peer_t *p, bool expect_new) {
    wst__member_t *replaced;
    bool is_new;
    assert_int_equal(join(w, p, &replaced, &is_new), 0);
    assert_null(replaced);
    assert_int_equal(is_new, expect_new);
}

static void add_peer(world_t *w, peer_t *p, const char *name, uint8_t instance, uint32_t conn,
                     bool expect_new) {
    make_peer(p, name, instance, conn, 1);
    let_join(w, p, expect_new);
}

static void set_load(world_t *w, peer_t *p, size_t load) {
    p->fake.load = load;
    wst__remotes_changed(&w->set, &p->member);
}

static void set_status(world_t *w, peer_t *p, int status) {
    p->fake.status = status;
    wst__remotes_changed(&w->set, &p->member);
}

static void set_suspect(world_t *w, peer_t *p, bool suspect) {
    p->fake.suspect = suspect;
    wst__remotes_changed(&w->set, &p->member);
}

/* Leaves; whether that was its agent's last session must be as expected. */
static void remove_peer(world_t *w, peer_t *p, bool expect_last) {
    wst_remote_t *remote = p->member.remote;
    wst_remote_t *gone = wst__remotes_leave(&w->set, &p->member);
    assert_ptr_equal(gone, expect_last ? remote : NULL);
    if (gone != NULL)
        wst__remote_free(gone);
}

/* -- Coming and going -- */

static void test_sessions_of_an_agent(void **state) {
    (void)state;
    world_t w;
    peer_t a, b;
    open_world(&w, 100);
    add_peer(&w, &a, "one", 0xab, 0, true);
    add_peer(&w, &b, "one", 0xab, 1, false); /* another place */
    assert_ptr_equal(a.member.remote, b.member.remote);
    wst_remote_t *remote = a.member.remote;
    assert_string_equal(wst_remote_name(remote), "one");
    assert_string_equal(wst_remote_tenant(remote), "");
    assert_string_equal(wst_remote_instance(remote), "abababababababababababababababab");
    assert_string_equal(wst_remote_peer(remote), "192.0.2.1:5");
    assert_null(wst_remote_labels(remote)[0]);
    assert_null(wst_remote_data(remote));
    wst_remote_set_data(remote, &w);
    assert_ptr_equal(wst_remote_data(remote), &w);
    set_load(&w, &a, 2);
    set_load(&w, &b, 1);
    assert_int_equal(wst_remote_sessions(remote), 2);
    assert_int_equal(wst_remote_streams(remote), 3);
    assert_int_equal(wst_remote_rtt_ms(remote), 0);
    a.fake.rtt_ms = 30;
    assert_int_equal(wst_remote_rtt_ms(remote), 30);
    b.fake.rtt_ms = 20;
    assert_int_equal(wst_remote_rtt_ms(remote), 20); /* of the newer one */
    assert_true(wst_remote_is_ready(remote));
    assert_int_equal(w.set.count, 1);
    remove_peer(&w, &a, false);
    assert_int_equal(wst_remote_sessions(remote), 1);
    assert_int_equal(wst_remote_streams(remote), 1);
    assert_true(wst__remotes_has(&w.set, remote));
    remove_peer(&w, &b, true);
    assert_false(wst__remotes_has(&w.set, remote));
    close_world(&w);
}

static void test_twins_and_names(void **state) {
    (void)state;
    world_t w;
    peer_t a, twin, longer;
    open_world(&w, 100);
    add_peer(&w, &a, "one", 1, 0, true);
    add_peer(&w, &twin, "one", 2, 0, true);
    add_peer(&w, &longer, "one-more", 1, 0, true);
    assert_int_equal(w.set.count, 3);
    wst_remote_t *first = wst__remotes_next(&w.set, NULL);
    assert_ptr_equal(first, a.member.remote);
    assert_ptr_equal(wst__remotes_next(&w.set, first), twin.member.remote);
    remove_peer(&w, &a, true);
    remove_peer(&w, &twin, true);
    remove_peer(&w, &longer, true);
    close_world(&w);
}

static void test_same_host(void **state) {
    (void)state;
    assert_true(wst__same_host("192.0.2.1:5", "192.0.2.1:65535"));
    assert_false(wst__same_host("192.0.2.1:5", "192.0.2.12:5"));
    assert_false(wst__same_host("192.0.2.12:5", "192.0.2.1:5"));
    assert_true(wst__same_host("[2001:db8::1]:5", "[2001:db8::1]:6"));
    assert_false(wst__same_host("[2001:db8::1]:5", "[2001:db8::2]:5"));
    assert_true(wst__same_host("unix:/run/x", "unix:/run/x"));
    assert_false(wst__same_host("unix:/run/x", "unix:/run/xy"));
    assert_false(wst__same_host("unix:/run/xy", "unix:/run/x"));
    assert_false(wst__same_host("unix:", "192.0.2.1:5"));
    assert_true(wst__same_host("fake", "fake"));
}

static void test_elsewhere(void **state) {
    (void)state;
    world_t w;
    peer_t a, b, twin, other_tenant;
    open_world(&w, 100);
    make_peer(&other_tenant, "one", 1, 0, 1);
    other_tenant.tenant = "acme";
    other_tenant.fake.uplink.peer = "192.0.2.9:1";
    let_join(&w, &other_tenant, true);
    add_peer(&w, &a, "one", 1, 0, true);
    assert_null(wst__remotes_elsewhere(&w.set, &a.member, true));
    make_peer(&twin, "one", 2, 0, 1);
    twin.fake.uplink.peer = "192.0.2.2:1";
    let_join(&w, &twin, true);
    assert_null(wst__remotes_elsewhere(&w.set, &a.member, false));
    assert_ptr_equal(wst__remotes_elsewhere(&w.set, &a.member, true), &twin.member);
    make_peer(&b, "one", 1, 1, 1);
    b.fake.uplink.peer = "192.0.2.3:1";
    let_join(&w, &b, false);
    assert_ptr_equal(wst__remotes_elsewhere(&w.set, &a.member, false), &b.member);
    assert_ptr_equal(wst__remotes_elsewhere(&w.set, &b.member, false), &a.member);
    remove_peer(&w, &a, false);
    remove_peer(&w, &b, true);
    remove_peer(&w, &twin, true);
    remove_peer(&w, &other_tenant, true);
    close_world(&w);
}

/* Only the same name, instance and place with a higher epoch replaces. */
static void test_epochs(void **state) {
    (void)state;
    world_t w;
    peer_t old, p;
    wst__member_t *replaced;
    bool is_new;
    open_world(&w, 100);
    make_peer(&old, "one", 1, 3, 10);
    assert_int_equal(join(&w, &old, &replaced, &is_new), 0);
    wst_remote_t *remote = old.member.remote;
    set_load(&w, &old, 7);
    for (uint64_t epoch = 9; epoch <= 10; epoch++) {
        make_peer(&p, "one", 1, 3, epoch);
        assert_int_equal(join(&w, &p, &replaced, &is_new), WST_EREPLACED);
        assert_null(wst__remotes_leave(&w.set, &p.member)); /* it was never in */
    }
    assert_ptr_equal(old.member.remote, remote);
    make_peer(&p, "one", 1, 3, 11);
    assert_int_equal(join(&w, &p, &replaced, &is_new), 0);
    assert_ptr_equal(replaced, &old.member);
    assert_false(is_new);
    assert_ptr_equal(p.member.remote, remote); /* the embedder's pointer and data stay */
    assert_null(old.member.remote);
    set_load(&w, &old, 6); /* it does not count any more */
    assert_int_equal(wst_remote_streams(remote), 0);
    assert_int_equal(wst_remote_sessions(remote), 1);
    remove_peer(&w, &old, false);
    assert_int_equal(w.set.count, 1);
    remove_peer(&w, &p, true);
    close_world(&w);
}

/* Until the loop has turned, no other agent can be at the address of one that left. */
static void test_address_is_not_reused(void **state) {
    (void)state;
    static const char *const labels[] = {"eu", NULL};
    world_t w;
    peer_t a, b;
    open_world(&w, 100);
    make_peer(&a, "one", 1, 0, 1);
    a.labels = labels;
    let_join(&w, &a, true);
    wst_remote_t *left = a.member.remote;
    uint64_t serial = wst__remote_serial(left);
    assert_ptr_equal(wst__remotes_find(&w.set, serial), left);
    remove_peer(&w, &a, true);
    assert_null(wst__remotes_next(&w.set, left));
    assert_string_equal(wst_remote_peer(left), "192.0.2.1:5"); /* on_agent_down may ask */
    assert_string_equal(wst_remote_labels(left)[0], "eu");
    assert_int_equal(wst_remote_streams(left), 0);
    assert_int_equal(wst_remote_sessions(left), 0);
    assert_false(wst_remote_is_ready(left));
    add_peer(&w, &b, "two", 1, 0, true);
    assert_false(wst__remotes_has(&w.set, left));
    assert_null(wst__remotes_find(&w.set, serial));
    remove_peer(&w, &b, true);
    close_world(&w);
}

/* -- Choosing -- */

static wst__member_t *choose(const world_t *w, wst__choice_t choice, int status) {
    wst__member_t *member = NULL;
    bool awaited = true;
    if (choice.tenant == NULL && choice.only == 0)
        choice.tenant = "";
    assert_int_equal(wst__remotes_choose(&w->set, &choice, &member, &awaited), status);
    if (status != 0) {
        assert_null(member);
        assert_false(awaited);
    }
    return member;
}

static wst__member_t *chosen(const world_t *w, uint64_t only, const uint64_t *tried, size_t count,
                             int status) {
    return choose(w, (wst__choice_t){.only = only, .tried = tried, .tried_count = count}, status);
}

static void test_least_loaded(void **state) {
    (void)state;
    world_t w;
    peer_t a, b0, b1;
    open_world(&w, 100);
    chosen(&w, 0, NULL, 0, WST_ENOAGENT);
    add_peer(&w, &a, "a", 1, 0, true);
    add_peer(&w, &b0, "b", 1, 0, true);
    add_peer(&w, &b1, "b", 1, 1, false);
    assert_ptr_equal(chosen(&w, 0, NULL, 0, 0), &a.member);
    set_load(&w, &a, 3);
    assert_ptr_equal(chosen(&w, 0, NULL, 0, 0), &b0.member);
    set_load(&w, &b0, 2);
    assert_ptr_equal(chosen(&w, 0, NULL, 0, 0), &b1.member); /* of b, whose sum is 2 */
    set_load(&w, &b1, 2);
    assert_ptr_equal(chosen(&w, 0, NULL, 0, 0), &a.member); /* 3 against 4, though b1 has 2 */

    uint64_t serial = wst__remote_serial(b0.member.remote);
    assert_ptr_equal(chosen(&w, serial, NULL, 0, 0), &b0.member);
    const uint64_t tried[] = {a.member.serial, b0.member.serial, b1.member.serial};
    assert_ptr_equal(chosen(&w, 0, tried, 1, 0), &b0.member);
    assert_ptr_equal(chosen(&w, 0, tried, 2, 0), &b1.member);
    chosen(&w, 0, tried, 3, WST_ENOAGENT);
    chosen(&w, wst__remote_serial(a.member.remote), tried, 1, WST_ENOAGENT);
    chosen(&w, 12345, NULL, 0, WST_ENOAGENT);
    remove_peer(&w, &a, true);
    remove_peer(&w, &b0, false);
    remove_peer(&w, &b1, true);
    close_world(&w);
}

/* Idle agents take turns. */
static void test_turns(void **state) {
    (void)state;
    world_t w;
    peer_t peers[3];
    open_world(&w, 100);
    for (size_t i = 0; i < 3; i++)
        add_peer(&w, &peers[i], "one", (uint8_t)i, 0, true);
    for (size_t i = 0; i < 10; i++) {
        peer_t *next = &peers[i % 3];
        assert_ptr_equal(chosen(&w, 0, NULL, 0, 0), &next->member);
        wst__remotes_changed(&w.set, &next->member); /* nothing is different */
        assert_ptr_equal(chosen(&w, 0, NULL, 0, 0), &next->member);
        set_load(&w, next, 1);
        set_load(&w, next, 0);
    }
    for (size_t i = 0; i < 3; i++)
        remove_peer(&w, &peers[i], true);
    close_world(&w);
}

/* Sessions that take no stream are passed over, and the answer says why there is none. */
static void test_not_ready(void **state) {
    (void)state;
    world_t w;
    peer_t small, busy, leaving;
    open_world(&w, 3);
    add_peer(&w, &small, "small", 1, 0, true);
    add_peer(&w, &busy, "busy", 1, 0, true);
    add_peer(&w, &leaving, "leaving", 1, 0, true);
    assert_int_equal(w.set.ready, 3);
    small.fake.load = 1;
    set_status(&w, &small, WST_ELIMIT); /* what the agent states */
    set_load(&w, &busy, 3);             /* what we allow */
    assert_false(wst_remote_is_ready(small.member.remote));
    assert_false(wst_remote_is_ready(busy.member.remote));
    assert_int_equal(w.set.ready, 1);
    assert_ptr_equal(chosen(&w, 0, NULL, 0, 0), &leaving.member);
    set_status(&w, &leaving, WST_EGOAWAY);
    assert_false(wst_remote_is_ready(leaving.member.remote));
    assert_int_equal(w.set.ready, 0);
    chosen(&w, 0, NULL, 0, WST_ELIMIT); /* busy now, but there */
    const uint64_t tried[] = {small.member.serial, busy.member.serial};
    chosen(&w, 0, tried, 1, WST_ELIMIT);
    chosen(&w, 0, tried, 2, WST_EGOAWAY);
    remove_peer(&w, &small, true);
    remove_peer(&w, &busy, true);
    chosen(&w, 0, NULL, 0, WST_EGOAWAY);
    set_status(&w, &leaving, WST_ELOST);
    chosen(&w, 0, NULL, 0, WST_ENOAGENT);
    remove_peer(&w, &leaving, true);
    close_world(&w);
}

/* An agent is as good as its best session. */
static void test_mixed_sessions(void **state) {
    (void)state;
    world_t w;
    peer_t full, leaving, other;
    open_world(&w, 100);
    add_peer(&w, &full, "a", 1, 0, true);
    add_peer(&w, &leaving, "a", 1, 1, false);
    add_peer(&w, &other, "b", 1, 0, true);
    set_status(&w, &full, WST_ELIMIT);
    set_load(&w, &other, 1);
    assert_ptr_equal(chosen(&w, 0, NULL, 0, 0), &leaving.member);
    const uint64_t tried[] = {leaving.member.serial, other.member.serial};
    assert_ptr_equal(chosen(&w, 0, tried, 1, 0), &other.member);
    chosen(&w, 0, tried, 2, WST_ELIMIT);
    set_status(&w, &leaving, WST_EGOAWAY);
    assert_ptr_equal(chosen(&w, 0, NULL, 0, 0), &other.member);
    remove_peer(&w, &full, false);
    remove_peer(&w, &other, true);
    chosen(&w, 0, NULL, 0, WST_EGOAWAY);
    remove_peer(&w, &leaving, true);
    close_world(&w);
}

static void test_max_streams(void **state) {
    (void)state;
    world_t w;
    peer_t a, b;
    open_world(&w, 2);
    add_peer(&w, &a, "a", 1, 0, true);
    add_peer(&w, &b, "b", 1, 0, true);
    set_load(&w, &a, 3);
    set_load(&w, &b, 2);
    chosen(&w, 0, NULL, 0, WST_ELIMIT);
    wst__remotes_set_max_streams(&w.set, 3);
    assert_int_equal(w.set.ready, 1);
    assert_ptr_equal(chosen(&w, 0, NULL, 0, 0), &b.member);
    wst__remotes_set_max_streams(&w.set, 1);
    chosen(&w, 0, NULL, 0, WST_ELIMIT);
    assert_int_equal(w.set.ready, 0);
    remove_peer(&w, &a, true);
    remove_peer(&w, &b, true);
    close_world(&w);
}

/* One that does not answer a ping comes last, however few streams it has. */
static void test_suspect(void **state) {
    (void)state;
    world_t w;
    peer_t a, b, c0, c1;
    open_world(&w, 100);
    add_peer(&w, &a, "a", 1, 0, true);
    add_peer(&w, &b, "b", 1, 0, true);
    set_suspect(&w, &a, true);
    set_load(&w, &b, 2);
    assert_ptr_equal(chosen(&w, 0, NULL, 0, 0), &b.member);
    assert_int_equal(w.set.ready, 2);
    remove_peer(&w, &b, true);
    assert_ptr_equal(chosen(&w, 0, NULL, 0, 0), &a.member); /* better than none */
    /* Of an agent whose other session answers, it is as good as that of an agent without one. */
    set_load(&w, &a, 3);
    add_peer(&w, &c0, "c", 1, 0, true);
    add_peer(&w, &c1, "c", 1, 1, false);
    set_suspect(&w, &c0, true);
    set_load(&w, &c1, 2);
    const uint64_t tried[] = {c1.member.serial};
    assert_ptr_equal(chosen(&w, 0, NULL, 0, 0), &c1.member);
    assert_ptr_equal(chosen(&w, 0, tried, 1, 0), &c0.member);
    set_load(&w, &c1, 4);
    assert_ptr_equal(chosen(&w, 0, tried, 1, 0), &a.member);
    set_suspect(&w, &a, false);
    assert_ptr_equal(chosen(&w, 0, NULL, 0, 0), &a.member);
    remove_peer(&w, &a, true);
    remove_peer(&w, &c0, false);
    remove_peer(&w, &c1, true);
    close_world(&w);
}

/* One that is used up by an open is replaced by its far side: that may be waited for. */
static void test_awaited(void **state) {
    (void)state;
    world_t w;
    peer_t full, used;
    wst__member_t *member;
    bool awaited;
    open_world(&w, 1);
    add_peer(&w, &full, "a", 1, 0, true);
    add_peer(&w, &used, "b", 1, 0, true);
    set_load(&w, &full, 1);
    set_status(&w, &used, WST_ELIMIT);
    chosen(&w, 0, NULL, 0, WST_ELIMIT);
    used.fake.uplink.renews = true;
    wst__remotes_changed(&w.set, &used.member);
    wst__choice_t choice = {.tenant = ""};
    assert_int_equal(wst__remotes_choose(&w.set, &choice, &member, &awaited), WST_ELIMIT);
    assert_true(awaited);
    chosen(&w, wst__remote_serial(full.member.remote), NULL, 0, WST_ELIMIT); /* not this one */
    choice.only = wst__remote_serial(used.member.remote);
    assert_int_equal(wst__remotes_choose(&w.set, &choice, &member, &awaited), WST_ELIMIT);
    assert_true(awaited);
    const uint64_t tried[] = {used.member.serial};
    chosen(&w, 0, tried, 1, WST_ELIMIT);
    remove_peer(&w, &full, true);
    chosen(&w, 0, tried, 1, WST_ENOAGENT);
    remove_peer(&w, &used, true);
    close_world(&w);
}

/* -- Groups -- */

static void test_tenants_and_names(void **state) {
    (void)state;
    world_t w;
    peer_t ours, twin, theirs;
    open_world(&w, 100);
    add_peer(&w, &ours, "one", 1, 0, true);
    add_peer(&w, &twin, "one", 2, 0, true);
    make_peer(&theirs, "one", 1, 0, 1); /* the instance is the same, too */
    theirs.tenant = "acme";
    let_join(&w, &theirs, true);
    set_load(&w, &ours, 2);
    set_load(&w, &twin, 1);
    assert_ptr_equal(choose(&w, (wst__choice_t){.tenant = "acme"}, 0), &theirs.member);
    assert_ptr_equal(choose(&w, (wst__choice_t){.name = "one"}, 0), &twin.member);
    choose(&w, (wst__choice_t){.tenant = "acme", .name = "two"}, WST_ENOAGENT);
    choose(&w, (wst__choice_t){.tenant = "other"}, WST_ENOAGENT);
    uint64_t serial = wst__remote_serial(theirs.member.remote);
    choose(&w, (wst__choice_t){.tenant = "", .only = serial}, WST_ENOAGENT);
    choose(&w, (wst__choice_t){.name = "two", .only = serial}, WST_ENOAGENT);
    assert_ptr_equal(choose(&w, (wst__choice_t){.only = serial}, 0), &theirs.member);
    assert_ptr_equal(wst__remotes_find_named(&w.set, "", "one"), twin.member.remote);
    set_load(&w, &twin, 3);
    assert_ptr_equal(wst__remotes_find_named(&w.set, "", "one"), ours.member.remote);
    assert_ptr_equal(wst__remotes_find_named(&w.set, "acme", "one"), theirs.member.remote);
    assert_null(wst__remotes_find_named(&w.set, "acme", "on"));
    set_status(&w, &theirs, WST_EGOAWAY); /* found all the same */
    assert_ptr_equal(wst__remotes_find_named(&w.set, "acme", "one"), theirs.member.remote);
    remove_peer(&w, &ours, true);
    remove_peer(&w, &twin, true);
    remove_peer(&w, &theirs, true);
    assert_null(wst__remotes_find_named(&w.set, "acme", "one"));
    close_world(&w);
}

static void test_labels(void **state) {
    (void)state;
    static const char *const eu[] = {"eu", NULL}, *const lab[] = {"lab", NULL};
    static const char *const both[] = {"lab", "eu", NULL}, *const none[] = {NULL};
    static const char *const unknown[] = {"eu", "nowhere", NULL};
    world_t w;
    peer_t a, b, c, elsewhere;
    open_world(&w, 100);
    make_peer(&a, "a", 1, 0, 1);
    make_peer(&b, "b", 1, 0, 1);
    make_peer(&c, "c", 1, 0, 1);
    make_peer(&elsewhere, "a", 1, 0, 1);
    a.labels = eu;
    b.labels = both;
    elsewhere.labels = lab;
    elsewhere.tenant = "acme";
    let_join(&w, &a, true);
    let_join(&w, &b, true);
    let_join(&w, &c, true);
    let_join(&w, &elsewhere, true);
    assert_string_equal(wst_remote_labels(b.member.remote)[1], "eu");
    set_load(&w, &a, 1);
    set_load(&w, &b, 2);
    assert_ptr_equal(choose(&w, (wst__choice_t){.labels = none}, 0), &c.member);
    assert_ptr_equal(choose(&w, (wst__choice_t){.labels = eu}, 0), &a.member);
    assert_ptr_equal(choose(&w, (wst__choice_t){.labels = lab}, 0), &b.member);
    assert_ptr_equal(choose(&w, (wst__choice_t){.labels = both}, 0), &b.member);
    assert_ptr_equal(choose(&w, (wst__choice_t){.labels = eu, .name = "b"}, 0), &b.member);
    choose(&w, (wst__choice_t){.labels = lab, .name = "a"}, WST_ENOAGENT);
    choose(&w, (wst__choice_t){.labels = unknown}, WST_ENOAGENT);
    choose(&w, (wst__choice_t){.labels = eu, .tenant = "acme"}, WST_ENOAGENT);
    uint64_t serial = wst__remote_serial(c.member.remote);
    choose(&w, (wst__choice_t){.labels = eu, .only = serial}, WST_ENOAGENT);
    set_status(&w, &b, WST_ELIMIT);
    choose(&w, (wst__choice_t){.labels = both}, WST_ELIMIT);
    remove_peer(&w, &a, true);
    remove_peer(&w, &b, true);
    remove_peer(&w, &c, true);
    remove_peer(&w, &elsewhere, true);
    close_world(&w);
}

/* The newest session says which labels its agent has. */
static void test_relabelled(void **state) {
    (void)state;
    static const char *const old[] = {"old", "eu", NULL}, *const new[] = {"eu", "new", NULL};
    static const char *const eu[] = {"eu", NULL}, *const reordered[] = {"new", "eu", NULL};
    world_t w;
    peer_t a, b, c, d;
    open_world(&w, 100);
    make_peer(&a, "a", 1, 0, 1);
    a.labels = old;
    let_join(&w, &a, true);
    make_peer(&b, "a", 1, 1, 1);
    b.labels = new;
    let_join(&w, &b, false);
    choose(&w, (wst__choice_t){.labels = old}, WST_ENOAGENT);
    assert_ptr_equal(choose(&w, (wst__choice_t){.labels = new}, 0), &a.member);
    assert_ptr_equal(choose(&w, (wst__choice_t){.labels = eu}, 0), &a.member);
    const char *const *labels = wst_remote_labels(a.member.remote);
    make_peer(&c, "a", 1, 2, 1);
    c.labels = reordered; /* the same: nothing moves */
    let_join(&w, &c, false);
    assert_ptr_equal(wst_remote_labels(a.member.remote), labels);
    add_peer(&w, &d, "a", 1, 3, false);
    choose(&w, (wst__choice_t){.labels = eu}, WST_ENOAGENT);
    assert_ptr_equal(chosen(&w, 0, NULL, 0, 0), &a.member);
    remove_peer(&w, &a, false);
    remove_peer(&w, &b, false);
    remove_peer(&w, &c, false);
    remove_peer(&w, &d, true);
    close_world(&w);
}

/* -- What the embedder admits -- */

typedef struct embedder {
    world_t *w;
    const peer_t *wanted; /* NULL: none */
    peer_t *lost;         /* leaves in the midst of it */
    char asked[16];       /* first letters of names, in order */
} embedder_t;

static bool admits(const wst_remote_t *remote, void *user_data) {
    embedder_t *e = user_data;
    size_t n = strlen(e->asked);
    assert_true(n + 1 < sizeof(e->asked));
    e->asked[n] = wst_remote_name(remote)[0];
    if (e->lost != NULL && e->lost->member.remote == remote)
        remove_peer(e->w, e->lost, true);
    return e->wanted != NULL && e->wanted->member.remote == remote;
}

static wst__member_t *choose_admitted(embedder_t *e, int status) {
    memset(e->asked, 0, sizeof(e->asked));
    return choose(e->w, (wst__choice_t){.admits = admits, .user_data = e}, status);
}

/* In the order of load, until the first yes; if there is none all are asked, to tell why. */
static void test_admits(void **state) {
    (void)state;
    world_t w;
    peer_t a, b, c, d, e;
    embedder_t embedder = {.w = &w};
    open_world(&w, 100);
    add_peer(&w, &a, "a", 1, 0, true);
    add_peer(&w, &b, "b", 1, 0, true);
    add_peer(&w, &c, "c", 1, 0, true);
    add_peer(&w, &d, "d", 1, 0, true);
    add_peer(&w, &e, "e", 1, 0, true);
    set_load(&w, &a, 2);
    set_load(&w, &b, 1);
    set_load(&w, &c, 3);
    set_status(&w, &d, WST_ELIMIT);
    set_status(&w, &e, WST_EGOAWAY);
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
    remove_peer(&w, &b, true);
    remove_peer(&w, &c, true);
    remove_peer(&w, &d, true);
    remove_peer(&w, &e, true);
    close_world(&w);
}

/* -- Many -- */

enum { MANY = 200 };

static const char *const names[] = {"n0", "n1", "n2", "n3", "n4"};
static const char *const tenants[] = {"", "acme", "globex"};
static const char *const label_sets[][3] = {{NULL}, {"x", NULL}, {"y", "x", NULL}, {"y", NULL}};

/* An agent of one session, or two. */
static void make_one_of_many(peer_t *p, size_t i) {
    make_peer(p, names[i / 2 % 5], (uint8_t)(i / 2), (uint32_t)(i % 2), 1);
    p->tenant = tenants[i / 2 % 3];
    p->labels = label_sets[i / 2 % 4];
}

static void change_one(world_t *w, peer_t *p, uint64_t *seed) {
    static const int statuses[] = {0, 0, 0, 0, WST_ELIMIT, WST_EGOAWAY, WST_ELOST};
    wst__member_t *replaced;
    bool is_new;
    switch (test_random(seed) % 8) {
    case 0:
        if (p->member.remote != NULL) {
            wst_remote_t *gone = wst__remotes_leave(&w->set, &p->member);
            if (gone != NULL)
                wst__remote_free(gone);
        } else {
            assert_int_equal(join(w, p, &replaced, &is_new), 0);
        }
        break;
    case 1:
        set_status(w, p, statuses[test_random(seed) % 7]);
        break;
    case 2:
        set_suspect(w, p, test_random(seed) % 4 == 0);
        break;
    case 3:
        set_load(w, p, test_random(seed) % 12);
        break;
    default:
        set_load(w, p, p->fake.load + (test_random(seed) % 2 == 0 || p->fake.load == 0 ? 1 : -1ul));
        break;
    }
}

/* The answer by looking at everything. Less is better; SIZE_MAX: it cannot be taken. */
static size_t rank_of(const peer_t *p, size_t max_streams) {
    if (p->fake.load >= max_streams || p->fake.status != 0)
        return SIZE_MAX;
    return ((size_t)p->fake.suspect * 1000 + wst_remote_streams(p->member.remote)) * 1000 +
           p->fake.load;
}

static bool has_labels(const peer_t *p, const char *const *labels) {
    for (; labels != NULL && *labels != NULL; labels++) {
        size_t i = 0;
        while (p->labels[i] != NULL && strcmp(p->labels[i], *labels) != 0)
            i++;
        if (p->labels[i] == NULL)
            return false;
    }
    return true;
}

static void check_choice(const world_t *w, const peer_t *peers, const wst__choice_t *choice) {
    size_t best = SIZE_MAX;
    int status = WST_ENOAGENT;
    for (size_t i = 0; i < MANY; i++) {
        const peer_t *p = &peers[i];
        if (p->member.remote == NULL || strcmp(p->tenant, choice->tenant) != 0 ||
            (choice->name != NULL && !wst_str_eq(p->hello.name, choice->name)) ||
            !has_labels(p, choice->labels) || p->member.serial == choice->tried[0])
            continue;
        size_t rank = rank_of(p, w->set.max_streams);
        best = rank < best ? rank : best;
        if (p->fake.load >= w->set.max_streams || p->fake.status == WST_ELIMIT)
            status = WST_ELIMIT;
        else if (p->fake.status == WST_EGOAWAY && status != WST_ELIMIT)
            status = WST_EGOAWAY;
    }
    wst__member_t *member;
    bool awaited;
    int answer = wst__remotes_choose(&w->set, choice, &member, &awaited);
    assert_int_equal(answer, best != SIZE_MAX ? 0 : status);
    if (answer == 0) {
        const peer_t *p = WST__CONTAINER(member, peer_t, member);
        /* Which of two sessions it is does not matter across agents of the same load. */
        assert_int_equal(rank_of(p, w->set.max_streams) / 1000, best / 1000);
    }
}

static void check_finding(const world_t *w, const peer_t *peers) {
    size_t ready = 0, count = 0;
    for (wst_remote_t *r = wst__remotes_next(&w->set, NULL); r != NULL;
         r = wst__remotes_next(&w->set, r)) {
        assert_true(wst__remotes_has(&w->set, r));
        assert_ptr_equal(wst__remotes_find(&w->set, wst__remote_serial(r)), r);
        ready += wst_remote_is_ready(r);
        count++;
    }
    assert_int_equal(w->set.ready, ready);
    assert_int_equal(w->set.count, count);
    for (size_t i = 0; i < MANY; i += 2) {
        if (peers[i].member.remote != NULL && peers[i + 1].member.remote != NULL)
            assert_ptr_equal(peers[i].member.remote, peers[i + 1].member.remote);
    }
}

static void test_many(void **state) {
    (void)state;
    static peer_t peers[MANY];
    for (uint64_t run = 1; run <= 10; run++) {
        uint64_t seed = run;
        world_t w;
        open_world(&w, 10);
        for (size_t i = 0; i < MANY; i++)
            make_one_of_many(&peers[i], i);
        for (int i = 0; i < 2000; i++) {
            change_one(&w, &peers[test_random(&seed) % MANY], &seed);
            const uint64_t tried[] = {peers[test_random(&seed) % MANY].member.serial};
            const wst__choice_t choice = {
                .tenant = tenants[test_random(&seed) % 3],
                .name = test_random(&seed) % 2 == 0 ? names[test_random(&seed) % 5] : NULL,
                .labels = label_sets[test_random(&seed) % 4],
                .tried = tried,
                .tried_count = 1};
            check_choice(&w, peers, &choice);
            if (i % 100 == 0)
                check_finding(&w, peers);
        }
        for (size_t i = 0; i < MANY; i++) {
            wst_remote_t *gone = wst__remotes_leave(&w.set, &peers[i].member);
            if (gone != NULL)
                wst__remote_free(gone);
        }
        close_world(&w);
    }
}

/* Of many twins the first ones are looked at. */
static void test_many_twins(void **state) {
    (void)state;
    static peer_t peers[MANY];
    world_t w;
    open_world(&w, 100);
    for (size_t i = 0; i < MANY; i++)
        add_peer(&w, &peers[i], "one", (uint8_t)i, 0, true);
    peer_t *elsewhere = &peers[0];
    elsewhere->fake.uplink.peer = "192.0.2.2:1";
    set_load(&w, elsewhere, 1); /* the last one by that */
    assert_null(wst__remotes_elsewhere(&w.set, &peers[9].member, true));
    for (size_t i = WST__TWINS_MAX; i < MANY; i++)
        set_load(&w, &peers[i], 2);
    assert_ptr_equal(wst__remotes_elsewhere(&w.set, &peers[9].member, true), &elsewhere->member);
    for (size_t i = 0; i < MANY; i++)
        remove_peer(&w, &peers[i], true);
    close_world(&w);
}

/* Without memory nobody joins, nobody is replaced, and those who are there stay as they are. */
static void scenario(void *arg) {
    (void)arg;
    static const char *const some[] = {"eu", "lab", NULL}, *const others[] = {"lab", "x", NULL};
    world_t w;
    peer_t a, b;
    wst__member_t *replaced;
    bool is_new;
    open_world(&w, 100);
    make_peer(&a, "one", 1, 0, 1);
    make_peer(&b, "one", 1, 0, 2);
    a.labels = some;
    b.labels = others;
    if (w.env.ctx != NULL) {
        int status = join(&w, &a, &replaced, &is_new);
        assert_int_equal(status, w.set.count == 1 ? 0 : WST_ENOMEM);
        assert_true(status == 0 || test_alloc_failed());
        int second = join(&w, &b, &replaced, &is_new);
        if (status == 0 && second != 0) {
            assert_int_equal(second, WST_ENOMEM);
            assert_non_null(a.member.remote);
            assert_string_equal(wst_remote_labels(a.member.remote)[0], "eu");
            assert_ptr_equal(choose(&w, (wst__choice_t){.labels = some}, 0), &a.member);
            choose(&w, (wst__choice_t){.labels = others}, WST_ENOAGENT);
            remove_peer(&w, &a, true);
        } else {
            assert_int_equal(second, 0);
            assert_ptr_equal(choose(&w, (wst__choice_t){.labels = others}, 0), &b.member);
            remove_peer(&w, &b, true);
        }
    }
    close_world(&w);
}

static void test_no_memory(void **state) {
    (void)state;
    assert_true(test_alloc_each(scenario, NULL) >= 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sessions_of_an_agent),
        cmocka_unit_test(test_twins_and_names),
        cmocka_unit_test(test_same_host),
        cmocka_unit_test(test_elsewhere),
        cmocka_unit_test(test_epochs),
        cmocka_unit_test(test_address_is_not_reused),
        cmocka_unit_test(test_least_loaded),
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_not_ready),
        cmocka_unit_test(test_mixed_sessions),
        cmocka_unit_test(test_max_streams),
        cmocka_unit_test(test_suspect),
        cmocka_unit_test(test_awaited),
        cmocka_unit_test(test_tenants_and_names),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_relabelled),
        cmocka_unit_test(test_admits),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_many_twins),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
