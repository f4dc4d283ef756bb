/* SPDX-License-Identifier: MIT */
#include "remote_rig.h"

void remote_rig_open(remote_rig_t *r, size_t max_streams) {
    test_env_open(&r->env);
    if (r->env.ctx != NULL)
        wst__remotes_init(&r->set, r->env.ctx, max_streams, 4711);
}

void remote_rig_close(remote_rig_t *r) {
    if (r->env.ctx != NULL) {
        assert_int_equal(r->set.count, 0);
        assert_int_equal(r->set.ready, 0);
        assert_null(wst__remotes_next(&r->set, NULL));
        wst__remotes_free(&r->set);
    }
    test_env_close(&r->env);
}

void remote_rig_make(remote_rig_peer_t *p, const char *name, uint8_t instance, uint32_t conn,
                     uint64_t epoch) {
    *p = (remote_rig_peer_t){.tenant = ""};
    fake_uplink_init(&p->fake, "192.0.2.1:5");
    p->hello = (wst_hello_t){.size = sizeof(wst_hello_t),
                             .name = {name, strlen(name)},
                             .has_instance = true,
                             .conn = conn,
                             .epoch = epoch};
    memset(p->hello.instance, instance, sizeof(p->hello.instance));
}

int remote_rig_join(remote_rig_t *r, remote_rig_peer_t *p, wst__member_t **replaced, bool *is_new) {
    return wst__remotes_join(&r->set, &p->member, &p->fake.uplink, &p->hello, p->tenant, p->labels,
                             replaced, is_new);
}

void remote_rig_let_join(remote_rig_t *r, remote_rig_peer_t *p, bool expect_new) {
    wst__member_t *replaced;
    bool is_new;
    assert_int_equal(remote_rig_join(r, p, &replaced, &is_new), 0);
    assert_null(replaced);
    assert_int_equal(is_new, expect_new);
}

void remote_rig_add(remote_rig_t *r, remote_rig_peer_t *p, const char *name, uint8_t instance,
                    uint32_t conn, bool expect_new) {
    remote_rig_make(p, name, instance, conn, 1);
    remote_rig_let_join(r, p, expect_new);
}

void remote_rig_set_load(remote_rig_t *r, remote_rig_peer_t *p, size_t load) {
    p->fake.load = load;
    wst__remotes_changed(&r->set, &p->member);
}

void remote_rig_set_status(remote_rig_t *r, remote_rig_peer_t *p, int status) {
    p->fake.status = status;
    wst__remotes_changed(&r->set, &p->member);
}

void remote_rig_set_suspect(remote_rig_t *r, remote_rig_peer_t *p, bool suspect) {
    p->fake.suspect = suspect;
    wst__remotes_changed(&r->set, &p->member);
}

void remote_rig_remove(remote_rig_t *r, remote_rig_peer_t *p, bool expect_last) {
    wst_remote_t *remote = p->member.remote;
    wst_remote_t *gone = wst__remotes_leave(&r->set, &p->member);
    assert_ptr_equal(gone, expect_last ? remote : NULL);
    if (gone != NULL)
        wst__remote_free(gone);
}

wst__member_t *remote_rig_choose(const remote_rig_t *r, wst__choice_t choice, int status) {
    wst__member_t *member = NULL;
    bool awaited = true;
    if (choice.tenant == NULL && choice.only == 0)
        choice.tenant = "";
    assert_int_equal(wst__remotes_choose(&r->set, &choice, &member, &awaited), status);
    if (status != 0) {
        assert_null(member);
        assert_false(awaited);
    }
    return member;
}
