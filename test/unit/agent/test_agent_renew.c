/* SPDX-License-Identifier: MIT */
/*
 * Connections that an agent replaces although they look well: the network has changed, the machine
 * has slept, or the connection is old. Its streams go on, and a connection that could not hand them
 * over stays.
 */
#include "agent_peers.h"

enum { DAY_MS = 86400000, AGE_MS = 100000 };

static uint64_t slept_ms;

/* A machine that has slept for so long. */
static uint64_t boot_clock(void) {
    return uv_hrtime() / 1000000 + slept_ms;
}

typedef struct rig {
    agent_world_t w;
    agent_place_t place;
    agent_tunnel_t tunnel;
} rig_t;

static size_t resumed;

static void on_agent_resumed(wst_server_t *server, wst_remote_t *agent,
                             const wst_agent_resumed_info_t *info, void *user_data) {
    (void)server, (void)agent, (void)user_data;
    assert_int_equal(info->outage_ms, 0);
    resumed++;
}

static void rig_open(rig_t *r) {
    memset(r, 0, sizeof(*r));
    slept_ms = 0;
    resumed = 0;
    agent_world_open(&r->w);
    r->w.credentials = AGENT_ALLOW; /* counts the attempts */
    r->w.env.ctx->boot_clock = boot_clock;
    r->w.server_callbacks.on_agent_resumed = on_agent_resumed;
    /* No ping, and no probe, ends a connection while a test lets time pass. */
    r->w.options.ping_interval_ms = r->w.options.dead_after_ms = DAY_MS;
    r->w.options.probe_after_ms = DAY_MS;
}

static void rig_start(rig_t *r) {
    agent_world_serve(&r->w);
    agent_world_start_up(&r->w);
    assert_int_equal(r->w.seen[AGENT_CREDENTIALS], 1);
}

static void rig_start_tunnel(rig_t *r) {
    rig_start(r);
    agent_place_open(&r->w, &r->place);
    agent_tunnel_open(&r->w, &r->tunnel, r->place.address, 0);
}

static void rig_free(rig_t *r) {
    agent_tunnel_free(&r->tunnel);
    if (r->place.listener != NULL)
        agent_place_free(&r->place);
    agent_world_free(&r->w);
}

/* Twice, since what is to happen at once happens a moment later. */
static void let_pass(rig_t *r, uint64_t ms) {
    agent_world_pass(&r->w, ms);
    agent_world_pass(&r->w, ms + 1);
}

/* The stream in the tunnel has not noticed. */
static void expect_resumed(rig_t *r, size_t times) {
    test_env_until_count(&r->w.env, &resumed, times);
    test_env_turns(&r->w.env, 20);
    assert_int_equal(resumed, times);
    assert_true(wst_agent_is_up(r->w.agent));
    assert_int_equal(r->w.seen[AGENT_DOWN], 0);
    assert_int_equal(r->w.server_downs, 0);
    assert_int_equal(r->tunnel.owner.errors, 0);
}

static void expect_attempts(rig_t *r, size_t attempts) {
    test_env_turns(&r->w.env, 50);
    assert_int_equal(r->w.seen[AGENT_CREDENTIALS], attempts);
}

/* --- the network has changed --- */

static void test_reconnect(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    rig_start_tunnel(&r);
    wst_agent_reconnect(r.w.agent);
    wst_agent_reconnect(r.w.agent); /* one attempt does */
    expect_resumed(&r, 1);
    expect_attempts(&r, 2);
    assert_int_equal(wst_agent_streams(r.w.agent), 1);
    wst_agent_reconnect(r.w.agent);
    expect_resumed(&r, 2);
    rig_free(&r);
}

/* An attempt that fails leaves the connection alone. */
static void test_reconnect_in_vain(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    rig_start_tunnel(&r);
    r.w.credentials = AGENT_DENY;
    wst_agent_reconnect(r.w.agent);
    agent_world_until(&r.w, AGENT_CREDENTIALS, 2);
    expect_attempts(&r, 2);
    expect_resumed(&r, 0);
    rig_free(&r);
}

/* While the agent waits for its next attempt, that begins at once. */
static void test_reconnect_while_waiting(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    snprintf(r.w.address, sizeof(r.w.address), "127.0.0.1:1");
    r.w.options.backoff_min_ms = r.w.options.backoff_max_ms = DAY_MS;
    agent_world_start(&r.w);
    agent_world_until(&r.w, AGENT_DOWN, 1);
    wst_agent_reconnect(r.w.agent);
    agent_world_until(&r.w, AGENT_DOWN, 2);
    rig_free(&r);
}

/* The server would end the streams of a session that cannot be resumed: it stays, unless it has
 * none. */
static void test_reconnect_without_resume(void **state) {
    (void)state;
    for (int at_server = 0; at_server < 2; at_server++) {
        rig_t r;
        rig_open(&r);
        r.w.server_options.no_resume = at_server != 0;
        r.w.options.no_resume = at_server == 0;
        rig_start_tunnel(&r);
        wst_agent_reconnect(r.w.agent);
        expect_attempts(&r, 1);
        assert_int_equal(r.tunnel.owner.errors, 0);
        agent_tunnel_close(&r.tunnel);
        agent_world_until(&r.w, AGENT_STREAM_CLOSE, 1);
        test_env_turns(&r.w.env, 20);
        wst_agent_reconnect(r.w.agent);
        agent_world_until(&r.w, AGENT_CREDENTIALS, 2);
        expect_attempts(&r, 2);
        assert_true(wst_agent_is_up(r.w.agent));
        assert_int_equal(resumed, 0);
        rig_free(&r);
    }
}

/* An attempt because the connection does not answer is given up when it does; one that is wanted
 * for another reason as well is not. */
static void test_reconnect_while_probing(void **state) {
    (void)state;
    for (int wanted = 0; wanted < 2; wanted++) {
        agent_world_t w;
        agent_raw_t raw = {.manner = AGENT_RAW_UPGRADE};
        raw.says[0] =
            "{\"method\":4,\"version\":1,\"features\":[\"resume\"],\"max_frame\":16384,"
            "\"initial_credit\":32768,\"max_streams\":0,"
            "\"session\":\"7f3a09c2010b5c0e6f1d2a9b8c7d6e5f\","
            "\"secret\":\"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\","
            "\"grace\":60000,\"resumed\":false}";
        agent_world_open(&w);
        w.credentials = AGENT_ALLOW;
        w.options.ping_interval_ms = 10;
        w.options.dead_after_ms = DAY_MS;
        w.options.probe_after_ms = 1;
        agent_raw_open(&w, &raw);
        agent_world_start(&w);
        agent_world_until(&w, AGENT_UP, 1);
        w.credentials = AGENT_HOLD;
        agent_world_until(&w, AGENT_CREDENTIALS, 2);
        if (wanted)
            wst_agent_reconnect(w.agent);
        agent_raw_say(&raw, "{\"method\":9,\"seq\":1}");
        uint64_t until = uv_hrtime() + 100000000;
        while (uv_hrtime() < until)
            uv_run(&w.env.loop, UV_RUN_NOWAIT);
        assert_int_equal(w.seen[AGENT_GONE], wanted ? 0 : 1);
        assert_true(wst_agent_is_up(w.agent));
        agent_world_close_agent(&w);
        agent_world_until_closed(&w);
        agent_raw_free(&raw);
        agent_world_free(&w);
    }
}

/* --- the machine has slept --- */

static void test_sleep(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    rig_start_tunnel(&r);
    slept_ms = 8 * 3600000;
    let_pass(&r, 4000);
    expect_attempts(&r, 1); /* it has not looked yet */
    let_pass(&r, 6000);
    expect_resumed(&r, 1);
    for (int i = 0; i < 3; i++) /* that was one sleep */
        let_pass(&r, 6000);
    expect_attempts(&r, 2);
    slept_ms += 5500;
    let_pass(&r, 12000);
    expect_resumed(&r, 2);
    rig_free(&r);
}

/* Small differences of the clocks, a clock that goes back, and a system without such a clock. */
static void test_no_sleep(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    slept_ms = 1000000;
    rig_start(&r);
    /* Each pass ends later than the one before, even if the real time stands still: deadlines that
     * one sets are due in the next. */
    uint64_t pass_ms = 6000;
    for (int i = 0; i < 5; i++, pass_ms += 6000) {
        slept_ms += 4500;
        let_pass(&r, pass_ms);
        expect_attempts(&r, 1);
    }
    slept_ms -= 20000;
    let_pass(&r, pass_ms);
    expect_attempts(&r, 1);
    rig_free(&r);

    rig_open(&r);
    r.w.env.ctx->boot_clock = NULL;
    rig_start(&r);
    slept_ms = DAY_MS;
    let_pass(&r, 6000);
    expect_attempts(&r, 1);
    rig_free(&r);
}

/* The system's own clock agrees with the loop's while the machine is awake. */
static void test_awake(void **state) {
    (void)state;
    agent_world_t w;
    agent_world_open(&w);
#ifdef __linux__
    assert_non_null(w.env.ctx->boot_clock);
#endif
    agent_world_serve(&w);
    w.credentials = AGENT_ALLOW;
    agent_world_start_up(&w);
    for (int i = 0; i < 3; i++)
        agent_world_pass(&w, 6000);
    test_env_turns(&w.env, 20);
    assert_int_equal(w.seen[AGENT_CREDENTIALS], 1);
    agent_world_free(&w);
}

/* --- age --- */

static void test_age(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    r.w.options.max_age_ms = AGE_MS;
    rig_start_tunnel(&r);
    for (size_t i = 1; i <= 3; i++) {
        let_pass(&r, AGE_MS * 9 / 10 - 1000); /* a tenth less at most */
        expect_attempts(&r, i);
        let_pass(&r, AGE_MS);
        expect_resumed(&r, i);
    }
    rig_free(&r);
}

/* They do not all come again at once. */
static void test_age_varies(void **state) {
    (void)state;
    size_t early = 0;
    enum { AGENTS = 24 };
    for (int i = 0; i < AGENTS; i++) {
        rig_t r;
        rig_open(&r);
        r.w.options.max_age_ms = AGE_MS;
        rig_start(&r);
        let_pass(&r, AGE_MS * 95 / 100);
        test_env_turns(&r.w.env, 5);
        early += r.w.seen[AGENT_CREDENTIALS] > 1;
        rig_free(&r);
    }
    assert_true(early > 0 && early < AGENTS); /* but for one run in 8 million */
}

/* A connection that could not be replaced is tried again. */
static void test_age_in_vain(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    r.w.options.max_age_ms = AGE_MS;
    rig_start_tunnel(&r);
    r.w.credentials = AGENT_DENY;
    let_pass(&r, AGE_MS);
    agent_world_until(&r.w, AGENT_CREDENTIALS, 4);
    assert_int_equal(resumed, 0);
    assert_true(wst_agent_is_up(r.w.agent));
    r.w.credentials = AGENT_ALLOW;
    expect_resumed(&r, 1);
    rig_free(&r);
}

/* Nothing is replaced without the option, or if the session cannot be resumed. */
static void test_no_age(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        rig_t r;
        rig_open(&r);
        r.w.options.max_age_ms = i == 0 ? 0 : AGE_MS;
        r.w.options.no_resume = i == 1;
        rig_start(&r);
        let_pass(&r, AGE_MS * 100);
        expect_attempts(&r, 1);
        rig_free(&r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reconnect),
        cmocka_unit_test(test_reconnect_in_vain),
        cmocka_unit_test(test_reconnect_while_waiting),
        cmocka_unit_test(test_reconnect_without_resume),
        cmocka_unit_test(test_reconnect_while_probing),
        cmocka_unit_test(test_sleep),
        cmocka_unit_test(test_no_sleep),
        cmocka_unit_test(test_awake),
        cmocka_unit_test(test_age),
        cmocka_unit_test(test_age_varies),
        cmocka_unit_test(test_age_in_vain),
        cmocka_unit_test(test_no_age),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
