/* SPDX-License-Identifier: MIT */
/* The set of agents: who joins, who replaces whom, who leaves and who is found. */
#include "remote_rig.h"

static void test_sessions_of_an_agent(void **state) {
    (void)state;
    remote_rig_t r;
    remote_rig_peer_t a, b;
    remote_rig_open(&r, 100);
    remote_rig_add(&r, &a, "one", 0xab, 0, true);
    remote_rig_add(&r, &b, "one", 0xab, 1, false); /* another place */
    assert_ptr_equal(a.member.remote, b.member.remote);
    wst_remote_t *remote = a.member.remote;
    assert_string_equal(wst_remote_name(remote), "one");
    assert_string_equal(wst_remote_tenant(remote), "");
    assert_string_equal(wst_remote_instance(remote), "abababababababababababababababab");
    assert_string_equal(wst_remote_peer(remote), "192.0.2.1:5");
    assert_null(wst_remote_labels(remote)[0]);
    assert_null(wst_remote_data(remote));
    wst_remote_set_data(remote, &r);
    assert_ptr_equal(wst_remote_data(remote), &r);
    remote_rig_set_load(&r, &a, 2);
    remote_rig_set_load(&r, &b, 1);
    assert_int_equal(wst_remote_sessions(remote), 2);
    assert_int_equal(wst_remote_streams(remote), 3);
    assert_int_equal(wst_remote_rtt_ms(remote), 0);
    a.fake.rtt_ms = 30;
    assert_int_equal(wst_remote_rtt_ms(remote), 30);
    b.fake.rtt_ms = 20;
    assert_int_equal(wst_remote_rtt_ms(remote), 20); /* of the newer one */
    assert_true(wst_remote_is_ready(remote));
    assert_int_equal(r.set.count, 1);
    remote_rig_remove(&r, &a, false);
    assert_int_equal(wst_remote_sessions(remote), 1);
    assert_int_equal(wst_remote_streams(remote), 1);
    assert_true(wst__remotes_has(&r.set, remote));
    remote_rig_remove(&r, &b, true);
    assert_false(wst__remotes_has(&r.set, remote));
    remote_rig_close(&r);
}

static void test_twins_and_names(void **state) {
    (void)state;
    remote_rig_t r;
    remote_rig_peer_t a, twin, longer;
    remote_rig_open(&r, 100);
    remote_rig_add(&r, &a, "one", 1, 0, true);
    remote_rig_add(&r, &twin, "one", 2, 0, true);
    remote_rig_add(&r, &longer, "one-more", 1, 0, true);
    assert_int_equal(r.set.count, 3);
    wst_remote_t *first = wst__remotes_next(&r.set, NULL);
    assert_ptr_equal(first, a.member.remote);
    assert_ptr_equal(wst__remotes_next(&r.set, first), twin.member.remote);
    remote_rig_remove(&r, &a, true);
    remote_rig_remove(&r, &twin, true);
    remote_rig_remove(&r, &longer, true);
    remote_rig_close(&r);
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
    remote_rig_t r;
    remote_rig_peer_t a, b, twin, other_tenant;
    remote_rig_open(&r, 100);
    remote_rig_make(&other_tenant, "one", 1, 0, 1);
    other_tenant.tenant = "acme";
    other_tenant.fake.uplink.peer = "192.0.2.9:1";
    remote_rig_let_join(&r, &other_tenant, true);
    remote_rig_add(&r, &a, "one", 1, 0, true);
    assert_null(wst__remotes_elsewhere(&r.set, &a.member, true));
    remote_rig_make(&twin, "one", 2, 0, 1);
    twin.fake.uplink.peer = "192.0.2.2:1";
    remote_rig_let_join(&r, &twin, true);
    assert_null(wst__remotes_elsewhere(&r.set, &a.member, false));
    assert_ptr_equal(wst__remotes_elsewhere(&r.set, &a.member, true), &twin.member);
    remote_rig_make(&b, "one", 1, 1, 1);
    b.fake.uplink.peer = "192.0.2.3:1";
    remote_rig_let_join(&r, &b, false);
    assert_ptr_equal(wst__remotes_elsewhere(&r.set, &a.member, false), &b.member);
    assert_ptr_equal(wst__remotes_elsewhere(&r.set, &b.member, false), &a.member);
    remote_rig_remove(&r, &a, false);
    remote_rig_remove(&r, &b, true);
    remote_rig_remove(&r, &twin, true);
    remote_rig_remove(&r, &other_tenant, true);
    remote_rig_close(&r);
}

/* Only the same name, instance and place with a higher epoch replaces. */
static void test_epochs(void **state) {
    (void)state;
    remote_rig_t r;
    remote_rig_peer_t old, p;
    wst__member_t *replaced;
    bool is_new;
    remote_rig_open(&r, 100);
    remote_rig_make(&old, "one", 1, 3, 10);
    assert_int_equal(remote_rig_join(&r, &old, &replaced, &is_new), 0);
    wst_remote_t *remote = old.member.remote;
    remote_rig_set_load(&r, &old, 7);
    for (uint64_t epoch = 9; epoch <= 10; epoch++) {
        remote_rig_make(&p, "one", 1, 3, epoch);
        assert_int_equal(remote_rig_join(&r, &p, &replaced, &is_new), WST_EREPLACED);
        assert_null(wst__remotes_leave(&r.set, &p.member)); /* it was never in */
    }
    assert_ptr_equal(old.member.remote, remote);
    remote_rig_make(&p, "one", 1, 3, 11);
    assert_int_equal(remote_rig_join(&r, &p, &replaced, &is_new), 0);
    assert_ptr_equal(replaced, &old.member);
    assert_false(is_new);
    assert_ptr_equal(p.member.remote, remote); /* the embedder's pointer and data stay */
    assert_null(old.member.remote);
    remote_rig_set_load(&r, &old, 6); /* it does not count any more */
    assert_int_equal(wst_remote_streams(remote), 0);
    assert_int_equal(wst_remote_sessions(remote), 1);
    remote_rig_remove(&r, &old, false);
    assert_int_equal(r.set.count, 1);
    remote_rig_remove(&r, &p, true);
    remote_rig_close(&r);
}

/* Until the loop has turned, no other agent can be at the address of one that left. */
static void test_address_is_not_reused(void **state) {
    (void)state;
    static const char *const labels[] = {"eu", NULL};
    remote_rig_t r;
    remote_rig_peer_t a, b;
    remote_rig_open(&r, 100);
    remote_rig_make(&a, "one", 1, 0, 1);
    a.labels = labels;
    remote_rig_let_join(&r, &a, true);
    wst_remote_t *left = a.member.remote;
    uint64_t serial = wst__remote_serial(left);
    assert_ptr_equal(wst__remotes_find(&r.set, serial), left);
    remote_rig_remove(&r, &a, true);
    assert_null(wst__remotes_next(&r.set, left));
    assert_string_equal(wst_remote_peer(left), "192.0.2.1:5"); /* on_agent_down may ask */
    assert_string_equal(wst_remote_labels(left)[0], "eu");
    assert_int_equal(wst_remote_streams(left), 0);
    assert_int_equal(wst_remote_sessions(left), 0);
    assert_false(wst_remote_is_ready(left));
    remote_rig_add(&r, &b, "two", 1, 0, true);
    assert_false(wst__remotes_has(&r.set, left));
    assert_null(wst__remotes_find(&r.set, serial));
    remote_rig_remove(&r, &b, true);
    remote_rig_close(&r);
}

enum { MANY = 200 };

/* Of many twins the first ones are looked at. */
static void test_many_twins(void **state) {
    (void)state;
    static remote_rig_peer_t peers[MANY];
    remote_rig_t r;
    remote_rig_open(&r, 100);
    for (size_t i = 0; i < MANY; i++)
        remote_rig_add(&r, &peers[i], "one", (uint8_t)i, 0, true);
    remote_rig_peer_t *elsewhere = &peers[0];
    elsewhere->fake.uplink.peer = "192.0.2.2:1";
    remote_rig_set_load(&r, elsewhere, 1); /* the last one by that */
    assert_null(wst__remotes_elsewhere(&r.set, &peers[9].member, true));
    for (size_t i = WST__TWINS_MAX; i < MANY; i++)
        remote_rig_set_load(&r, &peers[i], 2);
    assert_ptr_equal(wst__remotes_elsewhere(&r.set, &peers[9].member, true), &elsewhere->member);
    for (size_t i = 0; i < MANY; i++)
        remote_rig_remove(&r, &peers[i], true);
    remote_rig_close(&r);
}

/* -- No memory -------------------------------------------------------------------------------- */

/* Without memory nobody joins, nobody is replaced, and those who are there stay as they are. */
static void scenario(void *arg) {
    (void)arg;
    static const char *const some[] = {"eu", "lab", NULL}, *const others[] = {"lab", "x", NULL};
    remote_rig_t r;
    remote_rig_peer_t a, b;
    wst__member_t *replaced;
    bool is_new;
    remote_rig_open(&r, 100);
    remote_rig_make(&a, "one", 1, 0, 1);
    remote_rig_make(&b, "one", 1, 0, 2);
    a.labels = some;
    b.labels = others;
    if (r.env.ctx != NULL) {
        int status = remote_rig_join(&r, &a, &replaced, &is_new);
        assert_int_equal(status, r.set.count == 1 ? 0 : WST_ENOMEM);
        assert_true(status == 0 || test_alloc_failed());
        int second = remote_rig_join(&r, &b, &replaced, &is_new);
        if (status == 0 && second != 0) {
            assert_int_equal(second, WST_ENOMEM);
            assert_non_null(a.member.remote);
            assert_string_equal(wst_remote_labels(a.member.remote)[0], "eu");
            assert_ptr_equal(remote_rig_choose(&r, (wst__choice_t){.labels = some}, 0), &a.member);
            remote_rig_choose(&r, (wst__choice_t){.labels = others}, WST_ENOAGENT);
            remote_rig_remove(&r, &a, true);
        } else {
            assert_int_equal(second, 0);
            assert_ptr_equal(remote_rig_choose(&r, (wst__choice_t){.labels = others}, 0),
                             &b.member);
            remote_rig_remove(&r, &b, true);
        }
    }
    remote_rig_close(&r);
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
        cmocka_unit_test(test_many_twins),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
