/* SPDX-License-Identifier: MIT */
/* What operators see: agents and flows that come and go while they are written, rates, figures. */
#include "admin_rig.h"

#include "fake_stream.h"

#include <stdio.h>
#include <wstunnel/json.h>

/* The whole body, asked for without chunks, at the clock's present time. */
static const char *body_of(admin_rig_t *r, const char *path) {
    server_client_t c;
    char text[200];
    snprintf(text, sizeof(text), "GET %s HTTP/1.0\r\n" ADMIN_HOST "\r\n", path);
    admin_rig_client(r, &c);
    server_client_say(&c, text);
    test_env_until_count(&r->w.env, &c.ended, 1);
    snprintf(r->answer, sizeof(r->answer), "%.*s", (int)c.got_len, c.got);
    server_client_close(&c);
    const char *body = strstr(r->answer, "\r\n\r\n");
    assert_non_null(body);
    return body + 4;
}

static const char *status_of(admin_rig_t *r) {
    const char *body = body_of(r, "/status.json");
    assert_int_equal(wst_json_check(body, strlen(body), NULL), 0);
    return body;
}

static void test_status(void **state) {
    static const char *const labels[] = {"lab", "x\"y", NULL};
    server_agent_t a;
    server_client_t c;
    admin_rig_t r;
    (void)state;
    admin_rig_init(&r);
    r.w.clients = r.w.agents = SERVER_ALLOW;
    r.w.agent_labels = labels;
    r.w.client_tenant = r.w.agent_tenant = "acme";
    admin_rig_start(&r);
    const char *body = status_of(&r);
    assert_non_null(strstr(body, "\"agents\":[],\n\"gone\":[],\n\"flows\":[],\n"));
    assert_non_null(strstr(body, "\"certificate_days\":null"));
    server_agent_open(&r.w, &a, "one", 1);
    server_client_connect(&r.w, &c);
    server_client_say(&c, "12345");
    server_agent_expect(&a, "12345");
    body = status_of(&r);
    assert_non_null(
        strstr(body, "\"operator\":{\"name\":\"\",\"tenant\":\"\",\"read_only\":false}"));
    assert_non_null(strstr(body, "{\"name\":\"one\",\"instance\":\"01"));
    assert_non_null(strstr(body, "\"labels\":[\"lab\",\"x\\\"y\"],\"sessions\":1,"));
    assert_non_null(strstr(body, "\"streams\":1,\"bytes_to_agent\":5,\"bytes_to_client\":0,"
                                 "\"state\":\"ready\"}"));
    assert_non_null(strstr(body, "{\"id\":1,\"user\":\"alice\",\"tenant\":\"acme\",\"client\":"
                                 "\"127.0.0.1:"));
    assert_non_null(strstr(body, "\"destination\":\"host:22\""));
    assert_non_null(strstr(body, "\"state\":\"relaying\"}]"));
    assert_non_null(strstr(body, "\"refusals\":{\""));
    assert_non_null(strstr(body, "\"streams_opened\":1,"));
    server_client_close(&c);
    server_agent_close(&a);
    server_world_until_notice(&r.w, "down one");
    body = status_of(&r);
    assert_non_null(
        strstr(body, "\"agents\":[],\n\"gone\":[\n{\"name\":\"one\",\"instance\":\"01"));
    assert_non_null(strstr(body, "\"ago_ms\":"));
    admin_rig_free(&r);
}

static int64_t expiry;

static int64_t get_expiry(void *user_data) {
    (void)user_data;
    return expiry;
}

/* Days are rounded down: less than a day is none, a second too late is -1. */
static void test_certificate(void **state) {
    static const struct {
        int64_t left;
        const char *days;
    } cases[] = {{86400 * 7 + 100, ":7,"}, {86000, ":0,"}, {-10, ":-1,"}, {-86400 - 10, ":-2,"}};
    uv_timeval64_t clock;
    admin_rig_t r;
    (void)state;
    admin_rig_init(&r);
    r.options.certificate_expires = get_expiry;
    admin_rig_start(&r);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[64];
        assert_int_equal(uv_gettimeofday(&clock), 0);
        expiry = clock.tv_sec + cases[i].left;
        snprintf(text, sizeof(text), "\"certificate_days\"%s", cases[i].days);
        assert_non_null(strstr(status_of(&r), text));
        snprintf(text, sizeof(text), "\nwstunnel_certificate_expiry_timestamp_seconds %lld\n",
                 (long long)expiry);
        assert_non_null(strstr(body_of(&r, "/metrics"), text));
    }
    expiry = INT64_MAX;
    assert_non_null(strstr(status_of(&r), "\"certificate_days\":null"));
    assert_null(strstr(body_of(&r, "/metrics"), "certificate"));
    admin_rig_free(&r);
}

/* What has passed since a look of at least a second before; at first, since the beginning. */
static uint64_t rate_of(admin_rig_t *r, const wst_stream_info_t *info) {
    return wst__admin_rate(r->admin, info->id, info->bytes_to_agent + info->bytes_to_client,
                           info->duration_ms);
}

static void test_rate(void **state) {
    admin_rig_t r;
    wst_stream_info_t info = {.size = sizeof(info),
                              .id = 5,
                              .duration_ms = 2000,
                              .bytes_to_agent = 1000,
                              .bytes_to_client = 3000};
    (void)state;
    admin_rig_open(&r);
    assert_int_equal(rate_of(&r, &info), 2000);
    info.bytes_to_client += 500;
    assert_int_equal(rate_of(&r, &info), 2000); /* too soon */
    r.admin->rates[5].at_ms -= 2000;
    assert_int_equal(rate_of(&r, &info), 250);
    assert_int_equal(rate_of(&r, &info), 250);
    info.id += WST__ADMIN_RATES; /* takes the other one's place */
    info.duration_ms = 0;
    assert_int_equal(rate_of(&r, &info), 4500000);
    admin_rig_free(&r);
}

/* Agents -----------------------------------------------------------------------------------------
 */

static const wst__admin_operator_t everybody;

static const char *next_name(wst__admin_walk_t *walk, admin_rig_t *r) {
    const wst_remote_t *agent;
    r->admin->turn++;
    agent = wst__admin_next_agent(walk, r->admin, &everybody);
    return agent != NULL ? wst_remote_name(agent) : "";
}

/* Agents leave and come between the steps of a walk; none is visited twice. */
static void test_walk(void **state) {
    server_agent_t a[5];
    wst__admin_walk_t walk = {0};
    admin_rig_t r;
    (void)state;
    admin_rig_open(&r);
    assert_string_equal(next_name(&walk, &r), "");
    for (int i = 0; i < 4; i++)
        server_agent_open(&r.w, &a[i], (const char *[]){"a", "b", "c", "d"}[i], (uint8_t)i);
    assert_string_equal(next_name(&walk, &r), "a");
    server_agent_close(&a[0]); /* visited, and last */
    server_world_until_notice(&r.w, "down a");
    assert_string_equal(next_name(&walk, &r), "b");
    server_agent_close(&a[2]); /* not visited */
    server_world_until_notice(&r.w, "down c");
    server_agent_open(&r.w, &a[4], "e", 4);
    assert_string_equal(next_name(&walk, &r), "d");
    assert_string_equal(next_name(&walk, &r), "e");
    assert_string_equal(next_name(&walk, &r), "");
    server_agent_close(&a[1]);
    server_agent_close(&a[3]);
    server_agent_close(&a[4]);
    admin_rig_free(&r);
}

/* The last ones that have left, as many as are kept. */
static void test_gone(void **state) {
    enum { LEFT = WST__ADMIN_GONE + 2 };
    server_agent_t a;
    admin_rig_t r;
    (void)state;
    admin_rig_open(&r);
    for (int i = 0; i < LEFT; i++) {
        char name[8];
        snprintf(name, sizeof(name), "n%d", i);
        r.w.notices[0] = '\0';
        server_agent_open(&r.w, &a, name, (uint8_t)i);
        server_agent_close(&a);
        server_world_until_notice(&r.w, "down ");
    }
    const char *body = status_of(&r);
    assert_null(strstr(body, "\"n1\""));
    const char *first = strstr(body, "\"n2\""), *last = strstr(body, "\"n65\"");
    assert_true(first != NULL && last != NULL && first < last);
    admin_rig_free(&r);
}

/* Turns ------------------------------------------------------------------------------------------
 */

static size_t flows_in(const fake_stream_t *fake) {
    size_t count = 0;
    for (size_t i = 0; i + 6 <= fake->written_len; i++)
        count += memcmp(fake->written + i, "{\"id\":", 6) == 0;
    return count;
}

/* However many flows there are, few are written in a turn, and by one of two operators. */
static void test_turns(void **state) {
    enum { FLOWS = 100, A_TURN = 32 };
    static const char said[] = "GET /status.json HTTP/1.1\r\n" ADMIN_HOST "\r\n";
    static server_client_t clients[FLOWS];
    server_agent_t agent;
    fake_stream_t fakes[2];
    admin_rig_t r;
    (void)state;
    admin_rig_init(&r);
    r.options.allow_open = true;
    admin_rig_start(&r);
    server_agent_open(&r.w, &agent, "one", 1);
    agent.treatment = SERVER_AGENT_KEEP;
    for (size_t i = 0; i < FLOWS; i++) {
        server_client_open(&r.w, &clients[i]);
        server_client_say(&clients[i], "CONNECT host:22 HTTP/1.1\r\n\r\n");
    }
    test_env_until_count(&r.w.env, &agent.asked, FLOWS);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fake_stream_open(&fakes[i], r.w.env.ctx), 0);
        fake_stream_data(&fakes[i], said, strlen(said));
        fake_stream_end(&fakes[i]);
        wst_admin_serve(r.admin, fakes[i].stream);
    }
    size_t before = 0, now = 0, turns = 0;
    for (; !fakes[0].gone || !fakes[1].gone; turns++) {
        test_env_turns(&r.w.env, 1);
        now = flows_in(&fakes[0]) + flows_in(&fakes[1]);
        assert_true(now <= before + A_TURN);
        before = now;
    }
    assert_int_equal(now, 2 * FLOWS);
    for (int i = 0; i < 2; i++)
        fake_stream_free(&fakes[i]);
    for (size_t i = 0; i < FLOWS; i++)
        server_client_close(&clients[i]);
    server_agent_close(&agent);
    admin_rig_free(&r);
}

/* Descriptors ------------------------------------------------------------------------------------
 */

/* Where the kernel does not tell their number, they are counted; both come to the same. */
static void test_descriptors(void **state) {
    wst__admin_count_t asked = {0}, counted = {0};
    (void)state;
    while (wst__admin_count_descriptors(&asked)) {
    }
    counted.limit = asked.limit;
    while (wst__admin_count_descriptors(&counted)) {
    }
    assert_true(asked.open >= 3);
    assert_true(asked.open - counted.open <= 1); /* one is open while it is asked */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status),      cmocka_unit_test(test_certificate),
        cmocka_unit_test(test_rate),        cmocka_unit_test(test_walk),
        cmocka_unit_test(test_gone),        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
