/* SPDX-License-Identifier: MIT */
/* Agents whose session outlives its connection: who may continue it, and what ends it. */
#include "server.h"
#include "server_world.h"

#define UPGRADE(more)                                                                              \
    "GET /websocket HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"          \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"                 \
    "Sec-WebSocket-Protocol: wstunnel.v1.json\r\n" more "\r\n"
#define CONNECT "CONNECT host:22 HTTP/1.1\r\n\r\n"

static void expect_attempt_down(server_attempt_t *t, const char *detail) {
    test_env_until_count(&t->agent->w->env, &t->down, 1);
    if (strstr(t->detail, detail) == NULL)
        fail_msg("down by %s: %s", wst_err_name(t->down_error), t->detail);
    server_attempt_close(t);
}

/* The field ---------------------------------------------------------------------------------- */

static void test_malformed(void **state) {
    (void)state;
    static const char *const requests[] = {
        UPGRADE("Wstunnel-Session: \r\n"),
        UPGRADE("Wstunnel-Session: old\r\n"),
        UPGRADE("Wstunnel-Session: new\r\nWstunnel-Session: new\r\n"),
        UPGRADE("Wstunnel-Session: new\r\nwstunnel-session: old\r\n"),
        UPGRADE("Wstunnel-Session: resume 7f3a09c2010b5c0e6f1d2a9b8c7d6e5f 12 ef80\r\n"),
        UPGRADE("Wstunnel-Session: resume 7f3a09c2010b5c0e6f1d2a9b8c7d6e5f 9007199254740992 "
                "ef80aec395a3065a6d434e8b4b1e723ed20fcee6a5f346953521763cb0c6e79a\r\n"),
    };
    for (int no_resume = 0; no_resume < 2; no_resume++) { /* a server that cannot is as strict */
        server_world_t w;
        server_world_init(&w);
        w.options.no_resume = no_resume;
        server_world_start(&w);
        for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
            server_client_ask(&w, requests[i],
                              "HTTP/1.1 400 Malformed Wstunnel-Session\r\nContent-Length: 0\r\n"
                              "Connection: close\r\n\r\n");
        assert_int_equal(server_world_stats(&w).sessions, 0);
        server_world_free(&w);
    }
}

/* Who may continue it ------------------------------------------------------------------------ */

/* Each becomes a session of its own, if at all, and leaves the suspended one alone. */
static void test_wrong_claims(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    server_attempt_t t;
    server_world_init(&w);
    w.agents = SERVER_ALLOW;
    server_world_start(&w);
    server_agent_open_lasting(&w, &a, "one", 1, 0);
    server_client_connect(&w, &c);
    server_agent_cut(&a);
    for (size_t i = 0; i < 4; i++) {
        server_attempt_init(&a, &t);
        switch (i) {
        case 0:
            t.hello.name = (wst_str_t){"two", 3};
            break;
        case 1:
            t.hello.instance[0]++;
            break;
        case 2:
            t.hello.conn = 1;
            break;
        default:
            w.agent_tenant = "other";
        }
        server_attempt_start(&t);
        test_env_until_count(&w.env, &t.up, 1);
        w.agent_tenant = "";
        assert_int_equal(t.resumed, 0);
        assert_int_equal(server_world_stats(&w).resumes_refused, i + 1);
        assert_int_equal(server_world_stats(&w).suspended, 1);
        server_world_assert_logged(&w, "claims a session of agent one without the right proof");
        server_attempt_close(&t);
    }
    server_agent_resume(&a);
    server_agent_expect_alive(&a, &c);
    server_client_close(&c);
    server_agent_close(&a);
    server_world_free(&w);
}

/* The same agent without its secret: its new session replaces the old one, as ever. */
static void test_wrong_proof(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    server_attempt_t t;
    for (int suspended = 0; suspended < 2; suspended++) {
        server_world_open_lasting(&w, &a);
        server_client_connect(&w, &c);
        if (suspended)
            server_agent_cut(&a);
        server_attempt_init(&a, &t);
        t.claim.proof[0] ^= 1;
        server_attempt_start(&t);
        test_env_until_count(&w.env, &t.up, 1);
        server_client_expect_reset(&c);
        assert_int_equal(w.ups, 1);
        assert_int_equal(w.downs, 0);
        test_env_turns(&w.env, 10);
        assert_int_equal(server_world_stats(&w).resumes_refused, 1);
        assert_int_equal(server_world_stats(&w).suspended, 0);
        server_attempt_close(&t);
        server_client_close(&c);
        server_agent_close(&a);
        server_world_free(&w);
    }
}

static void test_older_attempt(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    server_attempt_t t;
    for (int suspended = 0; suspended < 2; suspended++) {
        server_world_open_lasting(&w, &a);
        server_client_connect(&w, &c);
        server_agent_resume(&a); /* epoch 2 */
        if (suspended)
            server_agent_cut(&a);
        for (uint64_t epoch = 1; epoch <= 2; epoch++) {
            server_attempt_init(&a, &t);
            t.hello.epoch = epoch;
            assert_int_equal(a.uplink->ops->resume->claim(a.uplink, epoch, &t.claim), 0);
            server_attempt_start(&t);
            expect_attempt_down(&t, "1008 older attempt");
            server_world_assert_notice(&w, "agent refused 0 older attempt\n");
        }
        server_attempt_init(&a, &t);
        t.hello.epoch++;
        server_attempt_start(&t);
        expect_attempt_down(&t, "1008 the epochs of request and hello differ");
        a.hello.epoch++;
        if (suspended)
            server_agent_resume(&a);
        server_agent_expect_alive(&a, &c);
        assert_int_equal(w.suspensions, suspended);
        server_client_close(&c);
        server_agent_close(&a);
        server_world_free(&w);
    }
}

/* Whoever is let in must be let in anew; what is refused ends nothing. */
static void test_refused_meanwhile(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    server_attempt_t t;
    server_world_init(&w);
    w.agents = SERVER_ALLOW;
    server_world_start(&w);
    server_agent_open_lasting(&w, &a, "one", 1, 0);
    server_client_connect(&w, &c);
    server_agent_cut(&a);
    w.agents = SERVER_DENY;
    w.deny_status = 401;
    server_attempt_init(&a, &t);
    server_attempt_start(&t);
    expect_attempt_down(&t, "401");
    assert_int_equal(t.http_status, 401);
    assert_int_equal(server_world_stats(&w).suspended, 1);
    w.agents = SERVER_ALLOW;
    w.agent_name = "two*"; /* of other agents now */
    server_attempt_init(&a, &t);
    server_attempt_start(&t);
    expect_attempt_down(&t, "1008 these credentials are those of an agent of another name");
    assert_int_equal(t.asked, 0); /* it heard no hello, which would have ended its session */
    assert_int_equal(server_world_stats(&w).suspended, 1);
    w.agent_name = "o*";
    server_agent_resume(&a);
    server_agent_expect_alive(&a, &c);
    server_client_close(&c);
    server_agent_close(&a);
    server_world_free(&w);
}

/* Reviews ------------------------------------------------------------------------------------ */

typedef struct review {
    size_t sessions;
    uint8_t valid; /* first byte of the credential that is */
    uint8_t seen[4];
} review_t;

static bool is_valid(const wst_admission_t *admission, void *user_data) {
    review_t *r = user_data;
    r->seen[r->sessions++] = admission->credential[0];
    return admission->credential[0] == r->valid;
}

static review_t review(server_world_t *w, uint8_t valid) {
    review_t r = {.valid = valid};
    wst_server_review_agents(w->server, is_valid, &r);
    return r;
}

static void let_in(server_world_t *w, size_t question, uint8_t credential) {
    uint8_t hash[WST__CREDENTIAL_LEN] = {credential};
    test_env_until_count(&w->env, &w->agent_questions, question);
    wst_request_set_credential(w->held, hash);
    wst_request_allow(w->held);
}

static void open_with_credential(server_world_t *w, server_agent_t *a) {
    server_world_init(w);
    w->agents = SERVER_HOLD;
    server_world_start(w);
    server_agent_init(w, a, "one", 1);
    a->resumes = true;
    server_agent_start(a);
    let_in(w, 1, 'a');
    test_env_until_count(&w->env, &a->up, 1);
}

static void test_token_replaced(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    server_attempt_t t;
    open_with_credential(&w, &a);
    server_client_connect(&w, &c);
    server_agent_cut(&a);
    server_attempt_init(&a, &t);
    server_attempt_start(&t);
    let_in(&w, 2, 'b');
    test_env_until_count(&w.env, &t.resumed, 1);
    test_env_until_count(&w.env, &t.closed, 1);
    test_env_turns(&w.env, 10);
    review_t r = review(&w, 'b');
    assert_int_equal(r.sessions, 1);
    assert_int_equal(r.seen[0], 'b');
    server_agent_expect_alive(&a, &c);
    server_client_close(&c);
    server_agent_close(&a);
    server_world_free(&w);
}

static void test_token_withdrawn(void **state) {
    (void)state;
    for (int suspended = 0; suspended < 2; suspended++) {
        server_world_t w;
        server_agent_t a;
        server_client_t c;
        open_with_credential(&w, &a);
        server_client_connect(&w, &c);
        if (suspended)
            server_agent_cut(&a);
        assert_int_equal(review(&w, 'b').sessions, 1);
        server_client_expect_reset(&c);
        server_world_until_notice(&w, "down one ");
        assert_int_equal(server_world_stats(&w).suspended, 0);
        if (!suspended)
            test_env_until_count(&w.env, &a.down, 1); /* by bye: it does not wait */
        server_client_close(&c);
        server_agent_close(&a);
        server_world_free(&w);
    }
}

/* An agent whose connection is lost, with a tunnel, and what comes for it. */
typedef struct taken_over {
    server_world_t w;
    server_agent_t a;
    server_client_t c, asker;
    server_attempt_t t;
} taken_over_t;

/* So many turns after the agent's new connection was let in, by that credential, `act` runs in the
 * turn in which other things are read. */
static void act_at_take_over(taken_over_t *o, int turns, uint8_t credential,
                             void (*act)(server_world_t *w)) {
    open_with_credential(&o->w, &o->a);
    server_client_connect(&o->w, &o->c);
    server_client_open(&o->w, &o->asker);
    server_agent_cut(&o->a);
    server_attempt_init(&o->a, &o->t);
    server_attempt_start(&o->t);
    let_in(&o->w, 2, credential);
    test_env_turns(&o->w.env, turns);
    o->w.in_agent_request = act;
    server_client_say(&o->asker, UPGRADE(""));
    test_env_until_count(&o->w.env, &o->w.agent_questions, 3);
}

static void end_take_over(taken_over_t *o) {
    server_attempt_close(&o->t);
    server_client_close(&o->asker);
    server_client_close(&o->c);
    server_agent_close(&o->a);
    server_world_free(&o->w);
}

static void withdraw_new_one(server_world_t *w) {
    (void)review(w, 'a');
}

/* The review comes at any time while the session goes on: its new credential is withdrawn. */
static void test_review_at_take_over(void **state) {
    (void)state;
    for (int when = 0; when < 20; when++) {
        taken_over_t o;
        act_at_take_over(&o, when, 'b', withdraw_new_one);
        test_env_turns(&o.w.env, 30);
        if (o.w.downs == 0) /* the attempt was revoked before */
            assert_int_equal(server_world_stats(&o.w).suspended, 1);
        end_take_over(&o);
    }
}

static void end_agent(server_world_t *w) {
    if (w->downs == 0)
        wst_server_end_agent(w->server, w->last_up);
}

/* The administrator ends the agent at any time while its session goes on. */
static void test_ended_at_take_over(void **state) {
    (void)state;
    for (int when = 0; when < 20; when++) {
        taken_over_t o;
        act_at_take_over(&o, when, 'a', end_agent);
        server_client_expect_reset(&o.c);
        end_take_over(&o);
    }
}

/* Limits that have changed are those of new sessions. */
static void test_limits_changed(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    server_world_open_lasting(&w, &a);
    server_client_connect(&w, &c);
    for (size_t i = 0; i < 2; i++) {
        server_agent_cut(&a);
        w.limits.stream_window = i == 0 ? 4096 : 65536;
        assert_int_equal(wst_server_set_limits(w.server, &w.limits), 0);
        server_agent_resume(&a);
        server_agent_expect_alive(&a, &c);
    }
    server_client_close(&c);
    server_agent_close(&a);
    server_world_free(&w);
}

/* Draining and closing ----------------------------------------------------------------------- */

static void test_drain(void **state) {
    (void)state;
    for (int suspended = 0; suspended < 2; suspended++) {
        server_world_t w;
        server_agent_t a;
        server_client_t c;
        server_world_open_lasting(&w, &a);
        server_client_connect(&w, &c);
        if (suspended) {
            server_agent_cut(&a);
            wst_server_drain(w.server);
        } else {
            wst_server_drain(w.server);
            test_env_until_count(&w.env, &a.goaways, 1);
            server_agent_expect_alive(&a, &c);
            shutdown(a.fd, SHUT_RDWR);
        }
        server_client_expect_reset(&c); /* nobody could come back */
        server_world_until_notice(&w, "down one ");
        test_env_until_count(&w.env, &w.drained, 1);
        assert_int_equal(w.suspensions, (size_t)suspended);
        server_client_close(&c);
        server_agent_close(&a);
        server_world_free(&w);
    }
}

static void test_close(void **state) {
    (void)state;
    for (char at = 0; at < 4; at++) {
        server_world_t w;
        server_agent_t a;
        server_client_t c;
        server_attempt_t t;
        server_world_init(&w);
        w.close_at = "\0smd"[(int)at];
        server_world_start(&w);
        server_agent_open_lasting(&w, &a, "one", 1, 0);
        server_client_connect(&w, &c);
        server_agent_cut(&a);
        if (at == 0) {
            server_world_close(&w);
        } else if (at == 2) {
            server_attempt_init(&a, &t);
            server_attempt_start(&t);
        } else if (at == 3) {
            server_world_pass(&w, 60001);
        }
        test_env_until_count(&w.env, &w.closed, 1);
        test_env_until_count(&w.env, &c.broken, 1);
        if (at == 2) {
            test_env_turns(&w.env, 20);
            server_attempt_close(&t);
        }
        server_client_close(&c);
        server_agent_close(&a);
        server_world_free(&w);
    }
}

/* The session ends, so there is nothing to wait for. */
static void test_wait_for_one_that_ends(void **state) {
    (void)state;
    for (int drained = 0; drained < 2; drained++) {
        server_world_t w;
        server_agent_t a;
        server_client_t c;
        server_world_open_lasting(&w, &a);
        server_agent_cut(&a);
        server_client_open(&w, &c);
        server_client_say(&c, CONNECT);
        test_env_turns(&w.env, 20);
        assert_int_equal(c.got_len, 0);
        uint64_t start = uv_now(&w.env.loop);
        if (drained)
            wst_server_drain(w.server);
        else
            assert_int_equal(review(&w, 'x').sessions, 1);
        server_client_expect(&c, drained ? "HTTP/1.1 503 " : "HTTP/1.1 503 No agent");
        assert_true(uv_now(&w.env.loop) - start < 5000);
        assert_int_equal(w.downs, 1);
        server_client_close(&c);
        server_agent_close(&a);
        server_world_free(&w);
    }
}

/* Bounds ------------------------------------------------------------------------------------- */

static void test_max_sessions(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    server_attempt_t t;
    server_world_init(&w);
    w.limits.max_agent_sessions = 1;
    server_world_start(&w);
    server_agent_open_lasting(&w, &a, "one", 1, 0);
    server_client_connect(&w, &c);
    server_agent_cut(&a);
    server_client_ask(&w, UPGRADE("Wstunnel-Session: new\r\n"),
                      "HTTP/1.1 503 Too many agents\r\nRetry-After: 5\r\nContent-Length: 0\r\n"
                      "Connection: close\r\n\r\n");
    server_agent_resume(&a); /* it has its place */
    server_agent_expect_alive(&a, &c);
    /* The name of a session is public: it gets nobody past the bound. */
    for (uint32_t conn = 0; conn < 2; conn++) {
        server_attempt_init(&a, &t);
        t.claim.proof[0] ^= 1;
        t.hello.conn = conn;
        server_attempt_start(&t);
        expect_attempt_down(&t, "1008 too many agents");
        assert_int_equal(t.asked, 0);
        server_world_assert_notice(&w, "agent refused 0 too many agents\n");
        test_env_turns(&w.env, 10);
        assert_int_equal(server_world_stats(&w).sessions, 1);
    }
    server_agent_expect_alive(&a, &c);
    server_agent_resume(&a);
    server_client_close(&c);
    server_agent_close(&a);
    server_world_free(&w);
}

/* Restarted ---------------------------------------------------------------------------------- */

static void test_restarted(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a, elsewhere, again;
    server_client_t c;
    server_world_open_lasting(&w, &a);
    server_client_connect(&w, &c);
    server_agent_cut(&a);
    server_agent_init(&w, &elsewhere, "one", 2);
    elsewhere.resumes = true;
    server_agent_start_from(&elsewhere, "127.0.0.2"); /* a twin */
    test_env_until_count(&w.env, &elsewhere.up, 1);
    server_world_pass(&w, 6000);
    assert_int_equal(w.downs, 0);
    server_agent_open_lasting(&w, &again, "one", 3, 0);
    server_world_pass(&w, 4000);
    assert_int_equal(w.downs, 0);
    server_world_pass(&w, 5001);
    assert_int_equal(w.downs, 1);
    server_client_expect_reset(&c);
    server_client_close(&c);
    server_agent_close(&again);
    server_agent_close(&elsewhere);
    server_agent_close(&a);
    server_world_free(&w);
}

/* One that takes no streams has not been started in place of the agent. */
static void test_visited(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a, visitor;
    server_client_t c;
    server_world_open_lasting(&w, &a);
    server_client_connect(&w, &c);
    server_agent_cut(&a);
    server_agent_init(&w, &visitor, "one", 2);
    visitor.hello.max_streams = 0;
    server_agent_start(&visitor);
    test_env_until_count(&w.env, &visitor.up, 1);
    server_world_pass(&w, 6000);
    assert_int_equal(w.downs, 0);
    server_agent_resume(&a);
    server_agent_expect_alive(&a, &c);
    server_client_close(&c);
    server_agent_close(&visitor);
    server_agent_close(&a);
    server_world_free(&w);
}

/* Memory ------------------------------------------------------------------------------------- */

/* Whatever fails while the session goes on: the agent gets in by its next attempt. It has the
 * labels of the latest connection that goes on with its session. */
static bool resume_without_memory(size_t n) {
    static const char *const eu[] = {"eu", NULL}, *const lab[] = {"lab", NULL};
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    server_attempt_t t;
    server_world_init(&w);
    w.agents = SERVER_ALLOW;
    w.agent_labels = eu;
    server_world_start(&w);
    server_agent_open_lasting(&w, &a, "one", 1, 0);
    server_client_connect(&w, &c);
    w.agent_labels = lab;
    if (n % 2 == 0)
        server_agent_cut(&a);
    server_attempt_init(&a, &t);
    server_attempt_start(&t);
    test_alloc_fail(n);
    for (int i = 0; i < 300 && !test_alloc_failed() && w.resumes == 0; i++)
        test_env_turns(&w.env, 1);
    test_env_turns(&w.env, 50);
    bool failed = test_alloc_failed();
    test_alloc_fail(0);
    const wst_remote_t *remote = wst_server_next_agent(w.server, NULL);
    if (w.resumes > 0 && remote != NULL)
        assert_string_equal(wst_remote_labels(remote)[0], "lab");
    server_attempt_close(&t);
    if (a.down == 0 && w.downs == 0 && !c.broken) {
        server_agent_resume(&a);
        server_agent_expect_alive(&a, &c);
        assert_int_equal(w.ups, 1);
    } else { /* an error in the account, or behind it */
        assert_true(failed);
    }
    server_client_close(&c);
    server_agent_close(&a);
    server_world_free(&w);
    return failed;
}

static void test_no_memory(void **state) {
    (void)state;
    size_t n = 1, misses = 0;
    for (; misses < 2; n++)
        misses = resume_without_memory(n) ? 0 : misses + 1;
    assert_true(n > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_wrong_claims),
        cmocka_unit_test(test_wrong_proof),
        cmocka_unit_test(test_older_attempt),
        cmocka_unit_test(test_refused_meanwhile),
        cmocka_unit_test(test_token_replaced),
        cmocka_unit_test(test_token_withdrawn),
        cmocka_unit_test(test_review_at_take_over),
        cmocka_unit_test(test_ended_at_take_over),
        cmocka_unit_test(test_limits_changed),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_max_sessions),
        cmocka_unit_test(test_wait_for_one_that_ends),
        cmocka_unit_test(test_restarted),
        cmocka_unit_test(test_visited),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
