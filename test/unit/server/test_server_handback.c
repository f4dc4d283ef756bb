/* SPDX-License-Identifier: MIT */
/*
 * Agents that reach a successor of their server, and are handed back. The world's server is the
 * predecessor; heirs of it run on the same loop. The agents' connections lead to the last heir.
 */
#include "server.h"
#include "server_world.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wstunnel/socket.h>

#define UPGRADE                                                                                    \
    "GET /websocket HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"          \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"                 \
    "Sec-WebSocket-Protocol: wstunnel.v1.json\r\n"

/* Heirs -------------------------------------------------------------------------------------- */

typedef struct heir {
    server_world_t *w;
    wst_server_t *server;
    const char *name, *tenant; /* of agents; NULL: nobody is asked */
    size_t questions, ups, refusals, drained, closed;
} heir_t;

static void on_agent_request(wst_server_t *server, wst_request_t *request, void *user_data) {
    static const char *const labels[] = {"handed", NULL};
    heir_t *h = user_data;
    (void)server;
    h->questions++;
    wst_request_set_user(request, h->name);
    wst_request_set_tenant(request, h->tenant);
    wst_request_set_labels(request, labels);
    wst_request_allow(request);
}

static void on_agent_up(wst_server_t *server, wst_remote_t *agent, void *user_data) {
    (void)server, (void)agent;
    ((heir_t *)user_data)->ups++;
}

static void on_agent_refused(wst_server_t *server, const wst_refusal_info_t *info,
                             void *user_data) {
    (void)server, (void)info;
    ((heir_t *)user_data)->refusals++;
}

static void on_drained(wst_server_t *server, void *user_data) {
    (void)server;
    ((heir_t *)user_data)->drained++;
}

static void on_closed(void *user_data) {
    ((heir_t *)user_data)->closed++;
}

/* The socket as the heir's process has it. */
static int copy_of(int fd) {
    assert_true(fd >= 0);
    int copy = dup(fd);
    assert_true(copy >= 0);
    return copy;
}

/* Starts the heir, to which agents come from now on. `fd`: of its predecessor; it is taken. */
static void heir_start(heir_t *h, server_world_t *w, int fd, uint64_t decision_timeout_ms) {
    const wst_server_callbacks_t callbacks = {.size = sizeof(callbacks),
                                              .on_agent_request =
                                                  h->name != NULL ? on_agent_request : NULL,
                                              .on_agent_up = on_agent_up,
                                              .on_agent_refused = on_agent_refused,
                                              .on_drained = on_drained};
    const wst_server_limits_t limits = {.size = sizeof(limits),
                                        .decision_timeout_ms = decision_timeout_ms};
    const wst_server_options_t options = {
        .size = sizeof(options), .callbacks = &callbacks, .user_data = h, .limits = &limits};
    h->w = w;
    assert_int_equal(wst_server_new(&h->server, w->env.ctx, &options), 0);
    assert_int_equal(wst_server_set_predecessor(h->server, fd), 0);
    assert_int_equal(wst_server_listen(h->server, "127.0.0.1:0", 0), 0);
    snprintf(w->address, sizeof(w->address), "%s", wst_server_address(h->server, 0));
}

static void heir_close(heir_t *h) {
    wst_server_close(h->server, on_closed);
    test_env_until_count(&h->w->env, &h->closed, 1);
}

static size_t connections_of(const heir_t *h) {
    wst_server_stats_t stats = {.size = sizeof(stats)};
    wst_server_get_stats(h->server, &stats);
    return stats.connections;
}

typedef struct awaited {
    const heir_t *heir;
    size_t connections;
} awaited_t;

static bool has_connections(void *arg) {
    const awaited_t *a = arg;
    return connections_of(a->heir) == a->connections;
}

static void until_connections(const heir_t *h, size_t n) {
    awaited_t a = {h, n};
    test_env_until(&h->w->env, has_connections, &a);
}

/* Scenes ------------------------------------------------------------------------------------- */

/* An agent with a tunnel, whose server has handed its addresses over. */
typedef struct scene {
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    heir_t heir;
} scene_t;

static void scene_open(scene_t *s) {
    server_world_open_lasting(&s->w, &s->a);
    server_client_connect(&s->w, &s->c);
    heir_start(&s->heir, &s->w, copy_of(wst_server_successor_socket(s->w.server)), 0);
    wst_server_hand_over(s->w.server);
    test_env_until_count(&s->w.env, &s->a.goaways, 1);
}

/* The same with an heir whose predecessor keeps silent: `silent` is in its place. */
static void scene_open_silent(scene_t *s, int *silent, uint64_t decision_timeout_ms) {
    uint8_t tags[1 + WST__TAG_LEN] = {WST__SUCCESSION_VERSION};
    int pair[2];
    server_world_open_lasting(&s->w, &s->a);
    server_client_connect(&s->w, &s->c);
    memcpy(tags + 1, s->a.uplink->ops->resume->sid(s->a.uplink), WST__TAG_LEN);
    assert_int_equal(wst__passing_pair(pair), 0);
    assert_int_equal(wst__passing_send(pair[0], tags, sizeof(tags), -1), 0);
    heir_start(&s->heir, &s->w, pair[1], decision_timeout_ms);
    *silent = pair[0];
}

static void scene_close(scene_t *s) {
    server_client_close(&s->c);
    server_agent_close(&s->a);
    if (s->heir.closed == 0)
        heir_close(&s->heir);
    server_world_free(&s->w);
}

static void expect_attempt_down(server_attempt_t *t, const char *detail) {
    test_env_until_count(&t->agent->w->env, &t->down, 1);
    if (strstr(t->detail, detail) == NULL)
        fail_msg("down by %s: %s", wst_err_name(t->down_error), t->detail);
    server_attempt_close(t);
}

/* The agent comes to the heir for its session, and gets a new one. */
static void expect_new_session(scene_t *s) {
    server_attempt_t t;
    server_attempt_init(&s->a, &t);
    server_attempt_start(&t);
    test_env_until_count(&s->w.env, &t.up, 1);
    test_env_until_count(&s->w.env, &s->heir.ups, 1);
    assert_int_equal(t.resumed, 0);
    assert_null(wst_server_next_agent(s->heir.server, wst_server_next_agent(s->heir.server, NULL)));
    server_attempt_close(&t);
}

/* Coming back -------------------------------------------------------------------------------- */

/* Again and again, also while the predecessor drains; it is gone when the tunnel ends. */
static void test_resumes(void **state) {
    (void)state;
    scene_t s = {.heir = {.name = "o*", .tenant = ""}};
    scene_open(&s);
    for (size_t i = 1; i <= 3; i++) {
        server_agent_cut(&s.a);
        server_agent_resume(&s.a);
        server_agent_expect_alive(&s.a, &s.c);
        assert_int_equal(s.heir.questions, i);
        assert_int_equal(s.heir.ups, 0);
        assert_memory_equal(wst_remote_peer(s.w.last_up), "127.0.0.1:", 10);
        assert_string_equal(wst_remote_labels(s.w.last_up)[0], "handed");
        until_connections(&s.heir, 1);
        if (i == 1)
            wst_server_drain(s.w.server);
    }
    assert_int_equal(s.w.resumes, 3);
    assert_int_equal(server_world_stats(&s.w).resumes_refused, 0);
    assert_true(s.a.goaways > 0);
    server_client_close(&s.c);
    test_env_until_count(&s.w.env, &s.w.drained, 1);
    server_world_close(&s.w);
    until_connections(&s.heir, 0);
    server_agent_close(&s.a);
    heir_close(&s.heir);
    server_world_free(&s.w);
}

/* From the moment that the socket is made, since the heir listens before the addresses are left;
 * and with a connection that has not been missed yet. */
static void test_before_hand_over(void **state) {
    (void)state;
    scene_t s = {.heir = {.name = NULL}};
    server_world_open_lasting(&s.w, &s.a);
    server_client_connect(&s.w, &s.c);
    heir_start(&s.heir, &s.w, copy_of(wst_server_successor_socket(s.w.server)), 0);
    server_agent_resume(&s.a);
    server_agent_expect_alive(&s.a, &s.c);
    assert_int_equal(s.w.suspensions, 0);
    assert_int_equal(s.heir.ups, 0);
    scene_close(&s);
}

/* Much data, both ways, through three processes. */
static void test_bulk(void **state) {
    (void)state;
    enum { SIZE = 4 * 1024 * 1024 };
    static char block[65536];
    scene_t s = {.heir = {.name = NULL}};
    scene_open(&s);
    server_agent_cut(&s.a);
    server_agent_resume(&s.a);
    s.a.forgets = true;
    for (size_t sent = 0; sent < SIZE; sent += sizeof(block))
        server_client_send(&s.c, block, sizeof(block));
    test_env_until_count(&s.w.env, &s.a.forgotten, SIZE);
    scene_close(&s);
}

/* All agents at once, as after an outage of the network. */
static void test_crowd(void **state) {
    (void)state;
    enum { CROWD = 60 };
    static server_agent_t agents[CROWD];
    static server_attempt_t attempts[CROWD];
    server_world_t w;
    heir_t heir = {.name = NULL};
    server_world_open(&w);
    for (size_t i = 0; i < CROWD; i++)
        server_agent_open_lasting(&w, &agents[i], "one", (uint8_t)i, 0);
    heir_start(&heir, &w, copy_of(wst_server_successor_socket(w.server)), 0);
    wst_server_hand_over(w.server);
    for (size_t i = 0; i < CROWD; i++)
        server_agent_cut(&agents[i]);
    for (size_t i = 0; i < CROWD; i++) {
        server_attempt_init(&agents[i], &attempts[i]);
        server_attempt_start(&attempts[i]);
    }
    test_env_until_count(&w.env, &w.resumes, CROWD);
    assert_int_equal(heir.ups, 0);
    for (size_t i = 0; i < CROWD; i++) {
        test_env_until_count(&w.env, &attempts[i].closed, 1);
        assert_int_equal(agents[i].resumed, 1);
        server_agent_close(&agents[i]);
    }
    heir_close(&heir);
    server_world_free(&w);
}

/* An agent comes back by two heirs. The first one, which drains, stays as long as it may be needed
 * for that. */
static void test_chain(void **state) {
    (void)state;
    scene_t s = {.heir = {.name = NULL}};
    heir_t last = {.name = NULL};
    scene_open(&s);
    heir_start(&last, &s.w, copy_of(wst_server_successor_socket(s.heir.server)), 0);
    wst_server_hand_over(s.heir.server);
    for (int i = 0; i < 3; i++) {
        server_agent_cut(&s.a);
        until_connections(&s.heir, 0);
        server_agent_resume(&s.a);
        server_agent_expect_alive(&s.a, &s.c);
        until_connections(&s.heir, 1);
        until_connections(&last, 1);
        if (i == 0)
            wst_server_drain(s.heir.server);
    }
    wst_server_drain(s.w.server);
    assert_int_equal(s.heir.drained, 0);
    server_client_close(&s.c);
    test_env_until_count(&s.w.env, &s.w.drained, 1);
    server_world_close(&s.w);
    test_env_until_count(&s.w.env, &s.heir.drained, 1);
    until_connections(&last, 0);
    assert_int_equal(last.ups, 0);
    server_agent_close(&s.a);
    heir_close(&s.heir);
    heir_close(&last);
    server_world_free(&s.w);
}

/* The heir between is gone, or drains and nobody can come to it any more. */
static void test_broken_chain(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        scene_t s = {.heir = {.name = NULL}};
        heir_t last = {.name = NULL};
        server_attempt_t t;
        scene_open(&s);
        heir_start(&last, &s.w, copy_of(wst_server_successor_socket(s.heir.server)), 0);
        wst_server_hand_over(s.heir.server);
        server_agent_cut(&s.a);
        if (i == 0) {
            heir_close(&s.heir);
            server_attempt_init(&s.a, &t);
            server_attempt_start(&t);
            test_env_until_count(&s.w.env, &t.up, 1);
            assert_int_equal(last.ups, 1);
            server_attempt_close(&t);
            heir_close(&last);
        } else {
            wst_server_drain(s.heir.server);
            test_env_turns(&s.w.env, 10);
            assert_int_equal(s.heir.drained, 0);
            heir_close(&last);
            test_env_until_count(&s.w.env, &s.heir.drained, 1);
        }
        scene_close(&s);
    }
}

/* An heir that only drains does not wait for a predecessor whose agents it does not reach. */
static void test_heir_drains(void **state) {
    (void)state;
    scene_t s = {.heir = {.name = NULL}};
    scene_open(&s);
    wst_server_drain(s.heir.server);
    test_env_until_count(&s.w.env, &s.heir.drained, 1);
    scene_close(&s);
}

/* Nobody else -------------------------------------------------------------------------------- */

/* Who has no proof, or is another tenant's or of another name, gets nowhere; the session waits. */
static void test_refused(void **state) {
    (void)state;
    scene_t s = {.heir = {.name = "", .tenant = ""}};
    server_attempt_t t;
    scene_open(&s);
    server_agent_cut(&s.a);
    for (int draining = 0; draining < 2; draining++) {
        for (int i = 0; i < 3; i++) {
            server_attempt_init(&s.a, &t);
            t.claim.proof[0] ^= i == 0;
            s.heir.tenant = i == 1 ? "other" : "";
            s.heir.name = i == 2 ? "two*" : "";
            server_attempt_start(&t);
            expect_attempt_down(&t, i == 2 ? "1008 these credentials are those of an agent of "
                                             "another name"
                                           : "1008 server is shutting down");
            assert_int_equal(server_world_stats(&s.w).suspended, 1);
            assert_int_equal(t.resumed + t.up, 0);
        }
        if (!draining)
            wst_server_drain(s.w.server);
    }
    assert_int_equal(s.w.ups, 1);
    assert_int_equal(s.heir.ups, 0);
    s.heir.name = "";
    server_agent_resume(&s.a);
    server_agent_expect_alive(&s.a, &s.c);
    scene_close(&s);
}

/* A name that bears the predecessor's tag, but is not of a session there: a new session, here. */
static void test_unknown(void **state) {
    (void)state;
    scene_t s = {.heir = {.name = "one", .tenant = "acme"}};
    server_attempt_t t;
    scene_open(&s);
    server_attempt_init(&s.a, &t);
    t.claim.sid[WST__SID_LEN - 1] ^= 1;
    server_attempt_start(&t);
    test_env_until_count(&s.w.env, &t.up, 1);
    test_env_until_count(&s.w.env, &s.heir.ups, 1);
    assert_string_equal(wst_remote_tenant(wst_server_next_agent(s.heir.server, NULL)), "acme");
    assert_string_equal(wst_remote_labels(wst_server_next_agent(s.heir.server, NULL))[0], "handed");
    server_attempt_close(&t);
    server_world_assert_notice(&s.w, "agent refused 503 Server is shutting down\n");
    server_agent_expect_alive(&s.a, &s.c);
    scene_close(&s);
}

/* Any other tag is none of the predecessor's business. */
static void test_other_tag(void **state) {
    (void)state;
    scene_t s = {.heir = {.name = NULL}};
    server_attempt_t t;
    scene_open(&s);
    server_attempt_init(&s.a, &t);
    t.claim.sid[0] ^= 1;
    server_attempt_start(&t);
    test_env_until_count(&s.w.env, &t.up, 1);
    assert_int_equal(s.heir.ups, 1);
    server_attempt_close(&t);
    assert_null(strstr(s.w.notices, "refused"));
    scene_close(&s);
}

/* Says a request by the successor's socket, and reads the first line of the answer. */
static void expect_answer(server_world_t *w, int fd, const char *request, const char *answer) {
    char message[WST__INTRODUCTION_MAX];
    size_t len = wst__introduction_write(message, "192.0.2.7:4711", NULL);
    server_client_t c;
    wst_stream_t *stream;
    int pair[2];
    assert_int_equal(wst__passing_connection(pair), 0);
    assert_int_equal(wst__passing_send(fd, message, len, pair[1]), 0);
    close(pair[1]);
    assert_int_equal(wst_socket_open(&stream, w->env.ctx, pair[0], true), 0);
    server_client_use(w, &c, stream);
    server_client_say(&c, request);
    test_env_until_count(&w->env, &c.ended, 1);
    if (strncmp(c.got, answer, strlen(answer)) != 0)
        fail_msg("%s", c.got);
    server_client_close(&c);
}

/* The socket leads to sessions that are there, and to nothing else. */
static void test_nothing_else(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_world_init(&w);
    w.proxied = true;
    server_world_start(&w);
    server_agent_open(&w, &a, "one", 1);
    int fd = copy_of(wst_server_successor_socket(w.server));
    for (int handed_over = 0; handed_over < 2; handed_over++) {
        expect_answer(&w, fd, UPGRADE "\r\n", "HTTP/1.1 503 Server is shutting down\r\n");
        expect_answer(&w, fd, UPGRADE "Wstunnel-Session: new\r\n\r\n",
                      "HTTP/1.1 503 Server is shutting down\r\n");
        expect_answer(&w, fd, "CONNECT host:22 HTTP/1.1\r\n\r\n",
                      "HTTP/1.1 403 Clients are not served at this address\r\n");
        expect_answer(&w, fd, "GET http://host/ HTTP/1.1\r\nHost: host\r\n\r\n",
                      "HTTP/1.1 404 Not Found\r\n");
        expect_answer(&w, fd, "GET /healthz HTTP/1.1\r\n\r\n", "HTTP/1.1 404 Not Found\r\n");
        if (!handed_over)
            wst_server_hand_over(w.server);
    }
    assert_int_equal(server_world_stats(&w).sessions, 1);
    server_agent_close(&a);
    close(fd);
    server_world_free(&w);
}

/* What is no introduction, or too much, is closed unheard. */
static void test_malformed_messages(void **state) {
    (void)state;
    server_world_t w;
    server_world_open(&w);
    int fd = copy_of(wst_server_successor_socket(w.server)), pair[2];
    static const char long_message[WST__PASSING_MAX + 1];
    char byte;
    static const struct {
        const char *text;
        size_t len;
    } messages[] = {{"x", 1}, {"a\0b\0c\0d\0", 8}, {long_message, sizeof(long_message)}};
    for (size_t i = 0; i < sizeof(messages) / sizeof(*messages); i++) {
        assert_int_equal(wst__passing_connection(pair), 0);
        assert_int_equal(wst__passing_send(fd, messages[i].text, messages[i].len, pair[1]), 0);
        close(pair[1]);
        test_env_turns(&w.env, 10);
        assert_int_equal(read(pair[0], &byte, 1), 0);
        close(pair[0]);
    }
    assert_int_equal(wst__passing_send(fd, "no descriptor", 13, -1), 0);
    test_env_turns(&w.env, 10);
    assert_int_equal(server_world_stats(&w).connections, 0);
    close(fd);
    server_world_free(&w);
}

/* The predecessor fails ---------------------------------------------------------------------- */

/* It is gone. */
static void test_gone(void **state) {
    (void)state;
    scene_t s = {.heir = {.name = NULL}};
    scene_open(&s);
    server_agent_cut(&s.a);
    server_world_close(&s.w);
    test_env_until_count(&s.w.env, &s.w.closed, 1);
    expect_new_session(&s);
    scene_close(&s);
}

/* Its streams have ended, so it lets nobody in. */
static void test_finished(void **state) {
    (void)state;
    scene_t s = {.heir = {.name = NULL}};
    scene_open(&s);
    server_client_close(&s.c);
    wst_server_drain(s.w.server);
    test_env_until_count(&s.w.env, &s.w.drained, 1);
    expect_new_session(&s);
    server_agent_close(&s.a);
    heir_close(&s.heir);
    server_world_free(&s.w);
}

/* It does not answer, or closes the connection; or the agent does not wait for that. */
static void test_silent(void **state) {
    (void)state;
    scene_t s = {.heir = {.name = NULL}};
    char message[WST__INTRODUCTION_MAX];
    int silent, passed;
    scene_open_silent(&s, &silent, 50);
    expect_new_session(&s);
    assert_true(wst__passing_receive(silent, message, sizeof(message), &passed) > 0);
    close(passed);
    close(silent);
    scene_close(&s);

    s = (scene_t){.heir = {.name = NULL}};
    scene_open_silent(&s, &silent, 0);
    server_attempt_t t;
    server_attempt_init(&s.a, &t);
    server_attempt_start(&t);
    until_connections(&s.heir, 1);
    ssize_t len;
    while ((len = wst__passing_receive(silent, message, sizeof(message), &passed)) < 0)
        test_env_turns(&s.w.env, 1);
    close(passed);
    test_env_until_count(&s.w.env, &t.up, 1);
    assert_int_equal(s.heir.ups, 1);
    server_attempt_close(&t);
    until_connections(&s.heir, 0);

    for (int closes = 0; closes < 2; closes++) {
        server_attempt_init(&s.a, &t);
        server_attempt_start(&t);
        until_connections(&s.heir, 1);
        while (wst__passing_receive(silent, message, sizeof(message), &passed) < 0)
            test_env_turns(&s.w.env, 1);
        if (closes)
            heir_close(&s.heir);
        server_attempt_close(&t);
        if (!closes)
            until_connections(&s.heir, 0);
        close(passed);
    }
    close(silent);
    scene_close(&s);
}

/* It has many that it has not looked at yet: the agent is to come again. */
static void test_busy(void **state) {
    (void)state;
    scene_t s = {.heir = {.name = NULL}};
    server_attempt_t t;
    char message[WST__INTRODUCTION_MAX];
    int silent, passed;
    scene_open_silent(&s, &silent, 0);
    while (wst__passing_send(s.heir.server->predecessor.fd, "x", 1, -1) == 0)
        ;
    server_attempt_init(&s.a, &t);
    server_attempt_start(&t);
    expect_attempt_down(&t, "503");
    assert_int_equal(t.http_status, 503);
    assert_int_equal(s.heir.ups, 0);
    while (wst__passing_receive(silent, message, sizeof(message), &passed) > 0)
        ;
    close(silent); /* and now it is gone */
    expect_new_session(&s);
    scene_close(&s);
}

/* The successor fails ------------------------------------------------------------------------ */

/* It ends with what it hands back: the session waits. */
static void test_heir_ends(void **state) {
    (void)state;
    scene_t s = {.heir = {.name = NULL}};
    scene_open(&s);
    server_agent_cut(&s.a);
    server_agent_resume(&s.a);
    heir_close(&s.heir);
    test_env_until_count(&s.w.env, &s.w.suspensions, 2);
    test_env_until_count(&s.w.env, &s.a.suspended, 2);
    assert_int_equal(server_world_stats(&s.w).suspended, 1);
    scene_close(&s);
}

/* A drain does not wait for agents that can come by nobody any more. */
static void test_heir_ends_in_drain(void **state) {
    (void)state;
    scene_t s = {.heir = {.name = NULL}};
    scene_open(&s);
    server_agent_cut(&s.a);
    wst_server_drain(s.w.server);
    test_env_turns(&s.w.env, 10);
    assert_int_equal(s.w.drained, 0);
    heir_close(&s.heir);
    server_client_expect_reset(&s.c);
    test_env_until_count(&s.w.env, &s.w.drained, 1);
    scene_close(&s);
}

/* One that did not start is not waited for, and another one may be started. */
static void test_never_started(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    char byte;
    int passed;
    server_world_open_lasting(&w, &a);
    server_client_connect(&w, &c);
    int first = copy_of(wst_server_successor_socket(w.server));
    assert_true(wst__passing_receive(first, &byte, 1, &passed) == UV_EMSGSIZE);
    assert_true(wst_server_successor_socket(w.server) >= 0);
    assert_int_equal(wst__passing_receive(first, &byte, 1, &passed), 0); /* the end */
    close(first);
    wst_server_drain(w.server);
    assert_int_equal(wst_server_successor_socket(w.server), WST_ESTATE);
    shutdown(a.fd, SHUT_RDWR);
    server_client_expect_reset(&c);
    test_env_until_count(&w.env, &w.drained, 1);
    assert_int_equal(w.suspensions, 0);
    server_client_close(&c);
    server_agent_close(&a);
    server_world_free(&w);
}

/* The socket --------------------------------------------------------------------------------- */

static void test_wrong_sockets(void **state) {
    (void)state;
    static const uint8_t newer[1 + WST__TAG_LEN] = {WST__SUCCESSION_VERSION + 1};
    static const uint8_t odd[2 + WST__TAG_LEN] = {WST__SUCCESSION_VERSION};
    server_world_t w;
    int pair[2], pipes[2];
    server_world_open(&w);
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(wst_server_set_predecessor(w.server, pipes[0]), UV_ENOTSOCK);
    close(pipes[0]);
    close(pipes[1]);
    assert_int_equal(wst__passing_pair(pair), 0);
    assert_int_equal(wst_server_set_predecessor(w.server, pair[1]), UV_EAGAIN);
    assert_int_equal(wst__passing_send(pair[0], newer, sizeof(newer), -1), 0);
    assert_int_equal(wst_server_set_predecessor(w.server, pair[1]), WST_EPROTO);
    assert_int_equal(wst__passing_send(pair[0], odd, sizeof(odd), -1), 0);
    assert_int_equal(wst_server_set_predecessor(w.server, pair[1]), WST_EPROTO);
    close(pair[0]);
    assert_int_equal(wst_server_set_predecessor(w.server, pair[1]), WST_EPROTO);
    close(pair[1]);
    server_world_free(&w);
}

/* Of a long chain the youngest are known. */
static void test_tags(void **state) {
    (void)state;
    enum { CHAIN = WST__TAGS_MAX + 3 };
    server_world_t w;
    heir_t heirs[CHAIN];
    server_world_open(&w);
    wst_server_t *before = w.server;
    for (size_t i = 0; i < CHAIN; i++) {
        heirs[i] = (heir_t){.name = NULL};
        heir_start(&heirs[i], &w, copy_of(wst_server_successor_socket(before)), 0);
        before = heirs[i].server;
        size_t count = before->predecessor.tag_count;
        assert_int_equal(count, i + 1 < WST__TAGS_MAX ? i + 1 : WST__TAGS_MAX);
        for (size_t n = 0; n < count; n++) {
            const wst_server_t *older = n < i ? heirs[i - 1 - n].server : w.server;
            assert_memory_equal(before->predecessor.tags[n], older->agents.tag, WST__TAG_LEN);
        }
    }
    for (size_t i = 0; i < CHAIN; i++)
        heir_close(&heirs[i]);
    server_world_free(&w);
}

/* Memory ------------------------------------------------------------------------------------- */

/* An agent's request for which an allocation fails is answered, or closed; the session waits. */
static void test_no_memory(void **state) {
    (void)state;
    size_t refused = 0;
    bool failed = true;
    scene_t s = {.heir = {.name = NULL}};
    scene_open(&s);
    server_agent_cut(&s.a);
    for (size_t n = 1; failed; n++) {
        char claim[WST__RESUME_FIELD_MAX], request[512];
        wst__resume_field_t field;
        server_client_t c;
        assert_int_equal(s.a.uplink->ops->resume->claim(s.a.uplink, 2, &field), 0);
        wst__resume_field_write(claim, &field);
        snprintf(request, sizeof(request), UPGRADE "Wstunnel-Session: %s\r\n\r\n", claim);
        server_client_open_at(&s.w, &c, s.w.address);
        until_connections(&s.heir, 1);
        server_client_say(&c, request);
        test_alloc_fail(n);
        test_env_turns(&s.w.env, 50);
        failed = test_alloc_failed();
        test_alloc_fail(0);
        assert_true(c.got_len > 0 || c.ended > 0 || c.broken > 0);
        bool accepted = strncmp(c.got, "HTTP/1.1 101 ", 13) == 0;
        refused += !accepted;
        assert_true(failed || accepted);
        server_client_close(&c);
        until_connections(&s.heir, 0);
    }
    assert_true(refused >= 3);
    server_agent_resume(&s.a);
    server_agent_expect_alive(&s.a, &s.c);
    scene_close(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resumes),       cmocka_unit_test(test_before_hand_over),
        cmocka_unit_test(test_bulk),          cmocka_unit_test(test_crowd),
        cmocka_unit_test(test_chain),         cmocka_unit_test(test_broken_chain),
        cmocka_unit_test(test_heir_drains),   cmocka_unit_test(test_refused),
        cmocka_unit_test(test_unknown),       cmocka_unit_test(test_other_tag),
        cmocka_unit_test(test_nothing_else),  cmocka_unit_test(test_malformed_messages),
        cmocka_unit_test(test_gone),          cmocka_unit_test(test_finished),
        cmocka_unit_test(test_silent),        cmocka_unit_test(test_busy),
        cmocka_unit_test(test_heir_ends),     cmocka_unit_test(test_heir_ends_in_drain),
        cmocka_unit_test(test_never_started), cmocka_unit_test(test_wrong_sockets),
        cmocka_unit_test(test_tags),          cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
