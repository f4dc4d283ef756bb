/* SPDX-License-Identifier: MIT */
/* Each allocation of an agent failed in turn: nothing leaks, nothing is stuck, and one failure
 * later everything works, for it is tried again. */
#include "agent_peers.h"

#include <stdio.h>

/* What the server and the destination allocate is not counted: they have another allocator. */
typedef struct rig {
    agent_world_t w;
    agent_place_t place;
    agent_tunnel_t t;
    bool answered[4];
} rig_t;

static void rig_open(rig_t *r) {
    memset(r, 0, sizeof(*r));
    agent_world_open(&r->w);
    r->w.credentials = r->w.destinations = AGENT_ALLOW;
    agent_world_serve(&r->w);
    agent_place_open(&r->w, &r->place);
}

static void rig_free(rig_t *r) {
    agent_tunnel_free(&r->t);
    agent_place_free(&r->place);
    agent_world_free(&r->w);
}

/* The destination answers whoever has said three bytes. */
static bool echoed(void *arg) {
    rig_t *r = arg;
    for (size_t i = 0; i < r->place.count; i++) {
        sockets_owner_t *owner = &r->place.owners[i];
        if (owner->received == 3 && !r->answered[i])
            assert_true(sockets_write_pattern(owner->stream, 0, 3) >= 0);
        r->answered[i] = owner->received == 3;
    }
    return r->t.owner.errors > 0 || r->t.owner.received == 3;
}

static bool is_up(void *arg) {
    const rig_t *r = arg;
    return wst_agent_is_up(r->w.agent) && wst_server_next_agent(r->w.server, NULL) != NULL;
}

/* Opens a stream, and sends three bytes there and back. False: that broke somewhere. */
static bool use(rig_t *r) {
    test_env_until(&r->w.env, is_up, r);
    agent_tunnel_start(&r->w, &r->t, r->place.address);
    test_env_until_count(&r->w.env, &r->t.done, 1);
    if (r->t.status != 0)
        return false;
    sockets_owner_t *client = &r->t.owner;
    if (sockets_write_pattern(client->stream, 0, 3) >= 0)
        test_env_until(&r->w.env, echoed, r);
    bool whole = client->received == 3;
    agent_tunnel_free(&r->t);
    return whole;
}

static void test_each(void **state) {
    (void)state;
    size_t n = 0;
    for (bool met = true; met;) {
        rig_t r;
        rig_open(&r);
        test_alloc_fail(++n);
        int status = agent_world_try_start(&r.w);
        if (status != 0) {
            assert_int_equal(status, WST_ENOMEM);
            assert_true(test_alloc_failed());
            agent_world_start(&r.w);
        }
        size_t uses = 1;
        while (!use(&r))
            assert_true(uses++ < 3);
        met = test_alloc_failed();
        test_alloc_fail(0);
        assert_true(met || uses == 1);
        if (r.w.seen[AGENT_DOWN] > 0)
            assert_true(met);
        rig_free(&r);
    }
    assert_true(n > 30);
}

/* The same for the start alone: the call says so, and nothing is there. */
static void test_new(void **state) {
    (void)state;
    agent_world_t w;
    agent_world_open(&w);
    size_t before = test_alloc_live(), n = 0;
    int status;
    snprintf(w.address, sizeof(w.address), "127.0.0.1:1");
    do {
        test_alloc_fail(++n);
        status = agent_world_try_start(&w);
        test_alloc_fail(0);
        if (status != 0) {
            assert_int_equal(status, WST_ENOMEM);
            assert_int_equal(test_alloc_live(), before);
        }
    } while (status != 0);
    assert_true(n > 1);
    agent_world_free(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new),
        cmocka_unit_test(test_each),
    };
    return cmocka_run_group_tests_name("agent_alloc", tests, NULL, NULL);
}
