/* SPDX-License-Identifier: MIT */
/* The set of agents: who replaces whom, and who is chosen. */
#include "env.h"
#include "fake_uplink.h"

#include "remote.h"

typedef struct peer {
    wst__member_t member;
    fake_uplink_t up;
    wst_hello_t hello;
} peer_t;

typedef struct world {
    test_env_t env;
    wst__remotes_t set;
} world_t;

static void open_world(world_t *w, size_t max_streams) {
    test_env_open(&w->env);
    wst__remotes_init(&w->set, w->env.ctx, max_streams);
}

static void close_world(world_t *w) {
    assert_int_equal(w->set.count, 0);
    assert_null(wst__remotes_next(&w->set, NULL));
    test_env_close(&w->env);
}

/* An uplink whose far side has said hello. */
static void make_peer(peer_t *p, const char *name, uint8_t instance, uint32_t conn,
                      uint64_t epoch) {
    memset(p, 0, sizeof(*p));
    fake_uplink_init(&p->up, "peer");
    p->hello = (wst_hello_t){
        .name = {name, strlen(name)}, .has_instance = true, .conn = conn, .epoch = epoch};
    memset(p->hello.instance, instance, sizeof(p->hello.instance));
}

static int join(world_t *w, peer_t *p, wst__member_t **replaced, bool *is_new) {
    return wst__remotes_join(&w->set, &p->member, &p->up.uplink, &p->hello, "", "peer", replaced,
                             is_new);
}

/* Makes one and lets it join; whether its agent is new must be as expected. */
static void add_peer(world_t *w, peer_t *p, const char *name, uint8_t instance, uint32_t conn,
                     bool expect_new) {
    wst__member_t *replaced;
    bool is_new;
    make_peer(p, name, instance, conn, 1);
    assert_int_equal(join(w, p, &replaced, &is_new), 0);
    assert_null(replaced);
    assert_int_equal(is_new, expect_new);
}

static void open_streams(peer_t *p, size_t n) {
    p->up.load += n;
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
    assert_string_equal(wst_remote_instance(remote), "abababababababababababababababab");
    assert_string_equal(wst_remote_peer(remote), "peer");
    assert_null(wst_remote_data(remote));
    wst_remote_set_data(remote, &w);
    assert_ptr_equal(wst_remote_data(remote), &w);
    open_streams(&a, 2);
    open_streams(&b, 1);
    assert_int_equal(wst_remote_streams(remote), 3);
    assert_int_equal(wst_remote_rtt_ms(remote), 0);
    assert_true(wst_remote_is_ready(remote));
    assert_int_equal(w.set.count, 1);
    remove_peer(&w, &a, false);
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
    remove_peer(&w, &old, false);
    assert_int_equal(w.set.count, 1);
    remove_peer(&w, &p, true);
    close_world(&w);
}

/* Until the loop has turned, no other agent can be at the address of one that left. */
static void test_address_is_not_reused(void **state) {
    (void)state;
    world_t w;
    peer_t a, b;
    open_world(&w, 100);
    add_peer(&w, &a, "one", 1, 0, true);
    wst_remote_t *left = a.member.remote;
    remove_peer(&w, &a, true);
    assert_null(wst__remotes_next(&w.set, left));
    assert_string_equal(wst_remote_peer(left), "peer"); /* on_agent_down may ask */
    assert_int_equal(wst_remote_streams(left), 0);
    assert_false(wst_remote_is_ready(left));
    add_peer(&w, &b, "two", 1, 0, true);
    assert_false(wst__remotes_has(&w.set, left));
    remove_peer(&w, &b, true);
    close_world(&w);
}

/* -- Choosing -- */

static wst__member_t *chosen(world_t *w, uint64_t only, const uint64_t *tried, size_t count,
                             int status) {
    const wst__choice_t choice = {.only = only, .tried = tried, .tried_count = count};
    wst__member_t *member = NULL;
    assert_int_equal(wst__remotes_choose(&w->set, &choice, &member), status);
    return member;
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
    open_streams(&a, 3);
    assert_ptr_equal(chosen(&w, 0, NULL, 0, 0), &b0.member);
    open_streams(&b0, 2);
    assert_ptr_equal(chosen(&w, 0, NULL, 0, 0), &b1.member); /* of b, whose sum is 2 */
    open_streams(&b1, 2);
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

/* Sessions that take no stream are passed over, and the answer says why there is none. */
static void test_not_ready(void **state) {
    (void)state;
    world_t w;
    peer_t small, busy, leaving;
    wst__member_t *replaced;
    bool is_new;
    open_world(&w, 3);
    make_peer(&small, "small", 1, 0, 1);
    small.up.status = WST_ELIMIT; /* what the agent states */
    assert_int_equal(join(&w, &small, &replaced, &is_new), 0);
    add_peer(&w, &busy, "busy", 1, 0, true);
    add_peer(&w, &leaving, "leaving", 1, 0, true);
    open_streams(&small, 1);
    open_streams(&busy, 3); /* what we allow */
    assert_false(wst_remote_is_ready(small.member.remote));
    assert_false(wst_remote_is_ready(busy.member.remote));
    assert_ptr_equal(chosen(&w, 0, NULL, 0, 0), &leaving.member);
    leaving.up.status = WST_EGOAWAY;
    assert_false(wst_remote_is_ready(leaving.member.remote));
    chosen(&w, 0, NULL, 0, WST_ELIMIT); /* busy now, but there */
    remove_peer(&w, &small, true);
    remove_peer(&w, &busy, true);
    chosen(&w, 0, NULL, 0, WST_EGOAWAY);
    leaving.up.status = WST_ELOST;
    chosen(&w, 0, NULL, 0, WST_ENOAGENT);
    remove_peer(&w, &leaving, true);
    close_world(&w);
}

/* One that does not answer a ping comes last, however few streams it has. */
static void test_suspect(void **state) {
    (void)state;
    world_t w;
    peer_t a, b;
    open_world(&w, 100);
    add_peer(&w, &a, "a", 1, 0, true);
    add_peer(&w, &b, "b", 1, 0, true);
    a.up.suspect = true;
    open_streams(&b, 2);
    assert_ptr_equal(chosen(&w, 0, NULL, 0, 0), &b.member);
    remove_peer(&w, &b, true);
    assert_ptr_equal(chosen(&w, 0, NULL, 0, 0), &a.member); /* better than none */
    remove_peer(&w, &a, true);
    close_world(&w);
}

/* Without memory nobody joins, and nobody is replaced. */
static void scenario(void *arg) {
    (void)arg;
    world_t w;
    wst__member_t member, *replaced;
    bool is_new;
    const wst_hello_t hello = {.name = {"one", 3}};
    open_world(&w, 100);
    if (w.env.ctx != NULL) {
        int status =
            wst__remotes_join(&w.set, &member, NULL, &hello, "", "peer", &replaced, &is_new);
        assert_int_equal(status, test_alloc_failed() ? WST_ENOMEM : 0);
        if (status == 0)
            wst__remote_free(wst__remotes_leave(&w.set, &member));
        assert_int_equal(w.set.count, 0);
    }
    test_env_close(&w.env);
}

static void test_no_memory(void **state) {
    (void)state;
    assert_true(test_alloc_each(scenario, NULL) >= 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sessions_of_an_agent),
        cmocka_unit_test(test_twins_and_names),
        cmocka_unit_test(test_same_host),
        cmocka_unit_test(test_epochs),
        cmocka_unit_test(test_address_is_not_reused),
        cmocka_unit_test(test_least_loaded),
        cmocka_unit_test(test_not_ready),
        cmocka_unit_test(test_suspect),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
