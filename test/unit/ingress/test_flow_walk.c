/* SPDX-License-Identifier: MIT */
/* Walks over flows, and the end of one by its number. */
#include "flow_rig.h"

#include <stdio.h>
#include <string.h>

enum { FLOWS = 5 };

/* An agent that has opened the streams of some flows, as far as a test says. */
typedef struct scene {
    flow_rig_t r;
    flow_rig_uplink_t *u;
    flow_rig_flow_t flows[FLOWS];
    fake_stream_t sites[FLOWS], clients[FLOWS];
    char seen[512]; /* destinations, numbers and states */
} scene_t;

static void visit(const wst_stream_info_t *info, void *user_data) {
    scene_t *s = user_data;
    size_t len = strlen(s->seen);
    snprintf(s->seen + len, sizeof(s->seen) - len, "%s %llu %s\n", info->destination,
             (unsigned long long)info->id, info->state);
}

static void start_flow(scene_t *s, int i) {
    char destination[16];
    snprintf(destination, sizeof(destination), "host:%d", i + 1);
    const wst_flow_options_t options = {.size = sizeof(options), .destination = destination};
    flow_rig_start(&s->r, &s->flows[i], &options);
    flow_rig_turns(&s->r, 2);
}

static void relay(scene_t *s, int i) {
    flow_rig_opened(s->u, &s->sites[i], "10.0.0.7");
    flow_rig_turns(&s->r, 2);
    assert_int_equal(fake_stream_open(&s->clients[i], s->r.env.ctx), 0);
    assert_int_equal(wst_flow_relay(s->flows[i].flow, s->clients[i].stream), 0);
}

static void open_scene(scene_t *s) {
    memset(s, 0, sizeof(*s));
    flow_rig_open(&s->r);
    s->u = flow_rig_uplink(&s->r, "berlin", "", NULL);
}

static void expect_seen(scene_t *s, const char *seen) {
    assert_string_equal(s->seen, seen);
    s->seen[0] = '\0';
}

static void close_scene(scene_t *s) {
    for (int i = 0; i < FLOWS; i++)
        if (s->flows[i].flow != NULL && s->flows[i].gone + s->flows[i].refused == 0)
            wst_flow_cancel(s->flows[i].flow);
    flow_rig_turns(&s->r, 5);
    for (int i = 0; i < FLOWS; i++) {
        if (s->sites[i].stream != NULL)
            fake_stream_free(&s->sites[i]);
        if (s->clients[i].stream != NULL)
            fake_stream_free(&s->clients[i]);
    }
    flow_rig_close(&s->r);
}

static void relay_some(scene_t *s, int count) {
    for (int i = 0; i < count; i++) {
        start_flow(s, i);
        relay(s, i);
    }
}

static void test_states(void **state) {
    (void)state;
    scene_t s;
    wst_flow_walk_t *walk;
    open_scene(&s);
    s.r.asks[WST__ASK_CLIENT] = s.r.holds[WST__ASK_CLIENT] = true;
    start_flow(&s, 0);
    wst_request_t *question = s.r.question;
    s.r.asks[WST__ASK_CLIENT] = s.r.holds[WST__ASK_CLIENT] = false;
    start_flow(&s, 1);
    relay(&s, 1);
    start_flow(&s, 2);
    assert_int_equal(wst_flow_walk_new(&walk, &s.r.ingress), 0);
    assert_false(wst_flow_walk_next(walk, 10, visit, &s));
    expect_seen(&s, "host:1 0 asking\nhost:2 1 relaying\nhost:3 0 opening\n");
    wst_flow_walk_free(walk);
    wst_request_deny(question, 403, NULL, NULL);
    close_scene(&s);
}

static void test_some_at_a_time(void **state) {
    (void)state;
    scene_t s;
    wst_flow_walk_t *walk;
    open_scene(&s);
    relay_some(&s, 3);
    assert_int_equal(wst_flow_walk_new(&walk, &s.r.ingress), 0);
    assert_true(wst_flow_walk_next(walk, 2, visit, &s));
    expect_seen(&s, "host:1 1 relaying\nhost:2 2 relaying\n");
    assert_false(wst_flow_walk_next(walk, 2, visit, &s));
    expect_seen(&s, "host:3 3 relaying\n");
    assert_false(wst_flow_walk_next(walk, 2, visit, &s));
    expect_seen(&s, "");
    wst_flow_walk_free(walk);
    close_scene(&s);
}

/* The flow to be visited next ends, and so does one that has been visited; new ones do not make the
 * walk endless. */
static void test_changes_on_the_way(void **state) {
    (void)state;
    scene_t s;
    wst_flow_walk_t *walk;
    open_scene(&s);
    relay_some(&s, 3);
    assert_int_equal(wst_flow_walk_new(&walk, &s.r.ingress), 0);
    assert_true(wst_flow_walk_next(walk, 1, visit, &s));
    wst_flow_cancel(s.flows[0].flow);
    wst_flow_cancel(s.flows[1].flow);
    s.flows[0].flow = s.flows[1].flow = NULL;
    flow_rig_turns(&s.r, 5);
    s.seen[0] = '\0';
    assert_false(wst_flow_walk_next(walk, 1, visit, &s));
    expect_seen(&s, "host:3 3 relaying\n");
    start_flow(&s, 3);
    assert_false(wst_flow_walk_next(walk, 10, visit, &s));
    expect_seen(&s, "");
    wst_flow_walk_free(walk);
    close_scene(&s);
}

static const char *pick_two(const wst_stream_info_t *info, void *user_data) {
    visit(info, user_data);
    return strcmp(info->destination, "host:2") == 0 || strcmp(info->destination, "host:4") == 0
               ? "enough"
               : NULL;
}

/* Of flows that relay and that are being opened; one is not allowed yet. */
static void test_end_some(void **state) {
    (void)state;
    scene_t s;
    wst_flow_walk_t *walk;
    open_scene(&s);
    s.r.asks[WST__ASK_CLIENT] = s.r.holds[WST__ASK_CLIENT] = true;
    start_flow(&s, 0);
    wst_request_t *question = s.r.question;
    s.r.asks[WST__ASK_CLIENT] = s.r.holds[WST__ASK_CLIENT] = false;
    for (int i = 1; i < 3; i++) {
        start_flow(&s, i);
        relay(&s, i);
    }
    start_flow(&s, 3);
    assert_int_equal(wst_flow_walk_new(&walk, &s.r.ingress), 0);
    assert_true(wst_flow_walk_end(walk, 3, pick_two, &s));
    expect_seen(&s, "host:2 1 relaying\nhost:3 2 relaying\n");
    assert_false(wst_flow_walk_end(walk, 3, pick_two, &s));
    expect_seen(&s, "host:4 0 opening\n");
    wst_flow_walk_free(walk);
    assert_int_equal(wst_flow_walk_new(&walk, &s.r.ingress), 0);
    assert_false(wst_flow_walk_end(walk, 10, pick_two, &s)); /* not once more */
    expect_seen(&s, "host:3 2 relaying\n");
    wst_flow_walk_free(walk);
    flow_rig_turns(&s.r, 5);
    assert_int_equal(s.flows[1].gone, 1);
    assert_int_equal(s.flows[3].refused, 1);
    assert_int_equal(s.flows[0].refused + s.flows[2].gone, 0);
    wst_request_deny(question, 403, NULL, NULL);
    close_scene(&s);
}

/* All flows end while a walk is under way, and the walk outlives them. */
static void test_all_end(void **state) {
    (void)state;
    scene_t s;
    wst_flow_walk_t *walk, *empty;
    open_scene(&s);
    assert_int_equal(wst_flow_walk_new(&empty, &s.r.ingress), 0);
    relay_some(&s, 2);
    assert_int_equal(wst_flow_walk_new(&walk, &s.r.ingress), 0);
    for (int i = 0; i < 2; i++) {
        wst_flow_cancel(s.flows[i].flow);
        s.flows[i].flow = NULL;
    }
    flow_rig_turns(&s.r, 5);
    assert_false(wst_flow_walk_next(walk, 10, visit, &s));
    assert_false(wst_flow_walk_next(empty, 10, visit, &s));
    expect_seen(&s, "");
    wst_flow_walk_free(walk);
    wst_flow_walk_free(empty);
    wst_flow_walk_free(NULL);
    close_scene(&s);
}

static void test_end_one(void **state) {
    (void)state;
    scene_t s;
    open_scene(&s);
    relay_some(&s, 2);
    start_flow(&s, 2);
    assert_int_equal(wst_flow_end(&s.r.ingress, 0, "x"), WST_ESTATE); /* it is being opened */
    assert_int_equal(wst_flow_end(&s.r.ingress, 3, "x"), WST_ESTATE);
    assert_int_equal(wst_flow_end(&s.r.ingress, 2, "asked for"), 0);
    assert_int_equal(wst_flow_end(&s.r.ingress, 2, "again"), WST_ESTATE);
    test_env_until_count(&s.r.env, &s.flows[1].gone, 1);
    assert_int_equal(s.flows[1].info.status, WST_EDENIED);
    assert_int_equal(s.flows[0].gone, 0);
    assert_int_equal(wst_flow_end(&s.r.ingress, 2, "x"), WST_ESTATE);
    close_scene(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_some_at_a_time),
        cmocka_unit_test(test_changes_on_the_way),
        cmocka_unit_test(test_end_some),
        cmocka_unit_test(test_all_end),
        cmocka_unit_test(test_end_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
