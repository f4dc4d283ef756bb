/* SPDX-License-Identifier: MIT */
/* An agent with connections to all addresses of its server's name: they come and go. */
#include "address_set.h"
#include "agent_peers.h"

#include <stdio.h>

typedef struct rig {
    agent_world_t w;
    agent_raw_t raw; /* at all addresses of this host */
    char url[64];
} rig_t;

static void rig_open(rig_t *r) {
    memset(r, 0, sizeof(*r));
    agent_world_open(&r->w);
    snprintf(r->w.address, sizeof(r->w.address), "0.0.0.0:0");
    r->raw.manner = AGENT_RAW_UPGRADE;
    r->raw.says[0] = agent_raw_hello;
    agent_raw_open(&r->w, &r->raw);
    snprintf(r->url, sizeof(r->url), "ws://many.test%s", strrchr(r->w.address, ':'));
    r->w.options.url = r->url;
    r->w.options.all_addresses = true;
    r->w.credentials = AGENT_ALLOW;
    memcpy(r->w.many, (const uint8_t[]){1, 2, 3, 0}, 4);
}

static void rig_free(rig_t *r) {
    if (r->w.agent != NULL && !r->w.close_called)
        agent_world_close_agent(&r->w);
    agent_raw_free(&r->raw);
    agent_world_free(&r->w);
}

/* Has the addresses looked up again. */
static void look_again(rig_t *r, const char *many) {
    size_t asked = r->w.many_asked;
    memset(r->w.many, 0, sizeof(r->w.many));
    memcpy(r->w.many, many, strlen(many));
    agent_world_pass(&r->w, 30000);
    test_env_until_count(&r->w.env, &r->w.many_asked, asked + 1);
    test_env_turns(&r->w.env, 5);
}

/* Until addresses that the answers lack are gone. */
static void look_until_gone(rig_t *r, const char *many) {
    for (int i = 0; i < WST__ADDRESS_MISSES; i++)
        look_again(r, many);
}

static bool is_alone(void *arg) {
    return ((rig_t *)arg)->raw.live == 1;
}

static void test_each(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    r.w.options.connections = 2;
    agent_world_start(&r.w);
    test_env_until_count(&r.w.env, &r.w.conns_up, 6);
    assert_int_equal(r.w.seen[AGENT_UP], 1);
    assert_string_equal(r.w.conn_url, r.url);
    assert_non_null(strstr(r.w.env.log, " at 127.0.0."));
    test_env_turns(&r.w.env, 20);
    assert_int_equal(r.raw.accepted, 6);
    assert_int_equal(r.w.many_asked, 1);
    rig_free(&r);
}

/* After half a minute one is new; two are missed, and gone after some look-ups. */
static void test_changed(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    agent_world_start(&r.w);
    test_env_until_count(&r.w.env, &r.w.conns_up, 3);
    memcpy(r.w.many, (const uint8_t[]){4, 2, 0}, 3);
    agent_world_pass(&r.w, 29000);
    assert_int_equal(r.w.many_asked, 1);
    agent_world_pass(&r.w, 30000);
    test_env_until_count(&r.w.env, &r.raw.opens, 4);
    assert_int_equal(r.raw.live, 4);
    look_until_gone(&r, "\4\2");
    test_env_until_count(&r.w.env, &r.raw.overs, 2); /* in order, since they have no stream */
    assert_int_equal(r.raw.over_error, 0);
    assert_int_equal(r.raw.live, 2);
    assert_int_equal(r.w.seen[AGENT_DOWN], 0);
    assert_int_equal(r.w.conn_losses, 2); /* each is told, though nothing is wrong */
    rig_free(&r);
}

/* The name is what certificates and answers are for: a failed look-up changes nothing. */
static void test_lookup_fails(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    agent_world_start(&r.w);
    test_env_until_count(&r.w.env, &r.w.conns_up, 3);
    r.w.many_status = UV_EAI_NONAME;
    look_again(&r, "");
    assert_int_equal(r.w.conns_up, 3);
    assert_int_equal(r.w.seen[AGENT_DOWN], 0);
    rig_free(&r);
}

static void test_first_lookup_fails(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    r.w.many_status = UV_EAI_NONAME;
    static const uint64_t waits[] = {10000, 20000, 30000}; /* agent_world_pass() alone ends them */
    r.w.options.backoff_min_ms = waits[0];
    r.w.options.backoff_max_ms = 60000;
    agent_world_start(&r.w);
    for (size_t n = 1; n <= 3; n++) {
        agent_world_until(&r.w, AGENT_DOWN, n);
        assert_int_equal(r.w.failure.error, UV_EAI_NONAME);
        assert_int_equal(r.w.failure.retry_in_ms, waits[n - 1]);
        assert_string_equal(r.w.detail, wst_strerror(UV_EAI_NONAME));
        if (n == 3)
            r.w.many_status = 0;
        agent_world_pass(&r.w, waits[n - 1]);
    }
    test_env_until_count(&r.w.env, &r.w.conns_up, 3);
    rig_free(&r);
}

/* Slots that retire are bounded: what is new waits. */
static void test_streams_finish(void **state) {
    (void)state;
    rig_t r;
    agent_place_t place;
    rig_open(&r);
    agent_place_open(&r.w, &place);
    memset(r.w.many, 0, sizeof(r.w.many));
    r.w.many[0] = 1;
    agent_world_start(&r.w);
    test_env_until_count(&r.w.env, &r.w.conns_up, 1);
    char open[128];
    snprintf(open, sizeof(open), "{\"method\":1,\"id\":2,\"dest\":\"%s\"}", place.address);
    agent_raw_say(&r.raw, open);
    test_env_until_count(&r.w.env, &place.count, 1);
    agent_raw_expect(&r.raw, "\"method\":2");
    look_until_gone(&r, "\2");
    test_env_until_count(&r.w.env, &r.raw.opens, 2);
    agent_raw_expect(&r.raw, "\"method\":10"); /* goaway */
    assert_int_equal(r.raw.live, 2);
    assert_int_equal(wst_agent_streams(r.w.agent), 1);
    look_again(&r, "\1\2"); /* it comes back, beside */
    test_env_until_count(&r.w.env, &r.raw.opens, 3);
    assert_int_equal(r.raw.live, 3);
    look_until_gone(&r, "\2");
    test_env_until_count(&r.w.env, &r.raw.overs, 1);
    assert_int_equal(r.raw.live, 2);
    agent_place_free(&place);
    test_env_until(&r.w.env, is_alone, &r);
    rig_free(&r);
}

/* At most 16 addresses. */
static void test_bound(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    for (uint8_t i = 0; i < 20; i++)
        r.w.many[i] = (uint8_t)(i + 1);
    agent_world_start(&r.w);
    test_env_until_count(&r.w.env, &r.w.conns_up, 16);
    test_env_turns(&r.w.env, 20);
    assert_int_equal(r.raw.accepted, 16);
    rig_free(&r);
}

/* --- draining and closing --- */

static void test_end(void **state) {
    (void)state;
    for (int i = 0; i < 8; i++) {
        rig_t r;
        rig_open(&r);
        if (i / 2 == 0) { /* while looking up */
            r.w.options.url = "ws://stuck.test/";
            agent_world_start(&r.w);
            test_env_until_count(&r.w.env, &r.w.stuck_count, 1);
        } else if (i / 2 == 1) { /* before that */
            agent_world_start(&r.w);
        } else if (i / 2 == 2) { /* while asking for credentials of each */
            r.w.credentials = AGENT_HOLD;
            agent_world_start(&r.w);
            agent_world_until(&r.w, AGENT_CREDENTIALS, 3);
            r.w.held = NULL; /* the last one only is kept */
        } else {             /* with some that retire */
            agent_world_start(&r.w);
            test_env_until_count(&r.w.env, &r.w.conns_up, 3);
            memcpy(r.w.many, (const uint8_t[]){4, 0}, 2);
            wst_agent_reconnect(r.w.agent);
            test_env_until_count(&r.w.env, &r.w.many_asked, 2);
        }
        if (i % 2 == 0) {
            agent_world_drain_agent(&r.w);
            agent_world_until(&r.w, AGENT_DRAINED, 1);
        }
        rig_free(&r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each),
                                       cmocka_unit_test(test_changed),
                                       cmocka_unit_test(test_lookup_fails),
                                       cmocka_unit_test(test_first_lookup_fails),
                                       cmocka_unit_test(test_streams_finish),
                                       cmocka_unit_test(test_bound),
                                       cmocka_unit_test(test_end)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
