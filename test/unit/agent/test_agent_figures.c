/* SPDX-License-Identifier: MIT */
/* What an agent tells when it is asked: figures, connections, streams; what it guards; and the end
 * of a single stream. */
#include "agent_peers.h"

#include <stdio.h>

typedef struct seen {
    size_t count;
    wst_agent_stream_info_t last;
    char destination[300], state[16];
} seen_t;

static void on_visit(const wst_agent_stream_info_t *info, void *user_data) {
    seen_t *s = user_data;
    s->count++;
    assert_int_equal(info->size, sizeof(*info));
    s->last = *info;
    snprintf(s->destination, sizeof(s->destination), "%s", info->destination);
    snprintf(s->state, sizeof(s->state), "%s", info->state);
}

static seen_t walk_streams(const agent_world_t *w) {
    seen_t s = {0};
    wst_agent_walk_t *walk;
    assert_int_equal(wst_agent_walk_new(&walk, w->agent), 0);
    while (wst_agent_walk_next(walk, 1, on_visit, &s))
        ;
    wst_agent_walk_free(walk);
    wst_agent_walk_free(NULL);
    return s;
}

static wst_agent_stats_t stats_of(const agent_world_t *w) {
    wst_agent_stats_t s = {.size = sizeof(s)};
    assert_int_equal(wst_agent_get_stats(w->agent, &s), 0);
    return s;
}

static void test_figures(void **state) {
    (void)state;
    agent_world_t w;
    agent_place_t place;
    agent_tunnel_t t;
    wst_agent_connection_status_t c = {.size = sizeof(c)}, unsized = {.size = 0};
    wst_agent_stats_t no_stats = {.size = 0};
    agent_world_open(&w);
    agent_world_serve(&w);
    agent_world_start_up(&w);
    agent_place_open(&w, &place);
    assert_int_equal(walk_streams(&w).count, 0);
    agent_tunnel_open(&w, &t, place.address, 0);
    test_env_until_count(&w.env, &place.count, 1);
    assert_int_equal(sockets_write_pattern(t.owner.stream, 0, 100), 0);
    test_env_until_count(&w.env, &place.owners[0].received, 100);
    const seen_t seen = walk_streams(&w);
    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.destination, place.address);
    assert_string_equal(seen.state, "open");
    assert_int_equal(seen.last.id, 1);
    assert_int_equal(seen.last.bytes_to_destination, 100);
    assert_int_equal(seen.last.bytes_to_server, 0);
    const wst_agent_stats_t s = stats_of(&w);
    assert_int_equal(s.streams, 1);
    assert_int_equal(s.pending, 0);
    assert_int_equal(s.streams_opened, 1);
    assert_int_equal(s.bytes_to_destinations, 100);
    assert_true(wst_agent_connection(w.agent, 0, &c));
    assert_string_equal(c.state, "up");
    assert_string_equal(c.server, w.address);
    assert_string_equal(c.address, "");
    assert_int_equal(c.streams, 1);
    assert_int_equal(c.bytes_to_destinations, 100);
    assert_false(wst_agent_connection(w.agent, 1, &c));
    assert_false(wst_agent_connection(w.agent, 0, &unsized));
    assert_int_equal(wst_agent_get_stats(w.agent, &no_stats), WST_EINVAL);
    assert_false(wst_agent_is_draining(w.agent));
    wst_agent_drain(w.agent);
    assert_true(wst_agent_is_draining(w.agent));
    agent_tunnel_free(&t);
    agent_place_free(&place);
    agent_world_free(&w);
}

static void test_guard(void **state) {
    (void)state;
    agent_world_t w;
    agent_place_t place;
    agent_tunnel_t t;
    agent_world_open(&w);
    agent_world_serve(&w);
    agent_world_start_up(&w);
    agent_place_open(&w, &place);
    assert_int_equal(wst_agent_guard(w.agent, "unix:/run/x"), WST_EINVAL);
    assert_int_equal(wst_agent_guard(w.agent, place.address), 0);
    agent_tunnel_open(&w, &t, place.address, WST_EDENIED);
    assert_int_equal(stats_of(&w).streams_refused, 1);
    assert_int_equal(place.count, 0);
    agent_tunnel_free(&t);
    agent_place_free(&place);
    agent_world_free(&w);
}

/* Of several servers and connections each is there. */
static void test_several(void **state) {
    (void)state;
    agent_world_t w;
    wst_agent_connection_status_t c = {.size = sizeof(c)};
    static const char *const urls[] = {"ws://127.0.0.1:1", "ws://127.0.0.1:2/x?secret", NULL};
    agent_world_open(&w);
    w.options.urls = urls;
    w.options.connections = 3;
    agent_world_start(&w);
    for (size_t n = 0; n < 6; n++) {
        assert_true(wst_agent_connection(w.agent, n, &c));
        assert_string_equal(c.server, n < 3 ? "127.0.0.1:1" : "127.0.0.1:2");
        assert_true(strcmp(c.state, "waiting") == 0 || strcmp(c.state, "connecting") == 0);
    }
    assert_false(wst_agent_connection(w.agent, 6, &c));
    agent_world_free(&w);
}

static void test_names(void **state) {
    (void)state;
    agent_world_t w;
    agent_tunnel_t t;
    wst_ctx_stats_t s = {.size = sizeof(s)};
    agent_world_open(&w);
    agent_world_serve(&w);
    agent_world_start_up(&w);
    agent_tunnel_start(&w, &t, "stuck.test:80");
    test_env_until_count(&w.env, &w.stuck_count, 1);
    wst_ctx_get_stats(w.env.ctx, &s);
    assert_int_equal(s.names, 1);
    assert_int_equal(stats_of(&w).pending, 1);
    const seen_t seen = walk_streams(&w);
    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.state, "dialling");
    agent_tunnel_free(&t);
    agent_world_free(&w);
}

/* Both sides see the end of a stream, and no other one's. */
static void test_end_stream(void **state) {
    (void)state;
    agent_world_t w;
    agent_place_t place;
    agent_tunnel_t one, two;
    agent_world_open(&w);
    agent_world_serve(&w);
    agent_world_start_up(&w);
    agent_place_open(&w, &place);
    agent_tunnel_open(&w, &one, place.address, 0);
    agent_tunnel_open(&w, &two, place.address, 0);
    test_env_until_count(&w.env, &place.count, 2);
    assert_int_equal(wst_agent_end_stream(w.agent, 3), WST_ESTATE);
    w.busy = true;
    assert_int_equal(wst_agent_end_stream(w.agent, 1), 0);
    w.busy = false;
    assert_int_equal(wst_agent_end_stream(w.agent, 1), WST_ESTATE);
    test_env_until_count(&w.env, &one.owner.errors, 1);
    assert_int_equal(one.owner.error, WST_ECANCELLED);
    test_env_until_count(&w.env, &place.owners[0].errors, 1);
    agent_world_until(&w, AGENT_STREAM_CLOSE, 1);
    assert_int_equal(w.close_status, WST_ECANCELLED);
    assert_int_equal(two.owner.errors + place.owners[1].errors, 0);
    assert_int_equal(stats_of(&w).streams, 1);
    agent_tunnel_free(&one);
    agent_tunnel_free(&two);
    agent_place_free(&place);
    agent_world_free(&w);
}

/* The server is told that the stream is not opened. */
static void test_end_opening(void **state) {
    (void)state;
    agent_world_t w;
    agent_tunnel_t t;
    agent_world_open(&w);
    agent_world_serve(&w);
    agent_world_start_up(&w);
    agent_tunnel_start(&w, &t, "stuck.test:80");
    test_env_until_count(&w.env, &w.stuck_count, 1);
    assert_int_equal(wst_agent_end_stream(w.agent, 1), 0);
    test_env_until_count(&w.env, &t.done, 1);
    assert_int_equal(t.status, WST_ECANCELLED);
    assert_int_equal(w.seen[AGENT_STREAM_OPEN], 1);
    assert_int_equal(w.open_status, WST_ECANCELLED);
    assert_int_equal(stats_of(&w).streams, 0);
    agent_tunnel_free(&t);
    agent_world_free(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_figures),    cmocka_unit_test(test_guard),
        cmocka_unit_test(test_several),    cmocka_unit_test(test_names),
        cmocka_unit_test(test_end_stream), cmocka_unit_test(test_end_opening)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
