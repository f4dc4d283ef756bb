/* SPDX-License-Identifier: MIT */
/*
 * A drain while agents have an address of their own: those whose connection is lost come back by it
 * to their streams, and nobody else is let in.
 */
#include "server.h"
#include "server_world.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wstunnel/socket.h>

#define UPGRADE(more)                                                                              \
    "GET /websocket HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"          \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"                 \
    "Sec-WebSocket-Protocol: wstunnel.v1.json\r\n" more "\r\n"
#define SHUTTING_DOWN                                                                              \
    "HTTP/1.1 503 Server is shutting down\r\nRetry-After: 5\r\nContent-Length: 0\r\n"              \
    "Connection: close\r\n\r\n"

#define HEALTH(status, length, body)                                                               \
    "HTTP/1.1 " status "\r\nCache-Control: no-store\r\n"                                           \
    "Content-Type: text/plain; charset=utf-8\r\nContent-Length: " length                           \
    "\r\nConnection: keep-alive\r\n\r\n" body

/* Where clients connect; agents do at the address of the world. */
static char for_clients[64];

/* The server listens for clients, and then for agents, by these roles. */
static void start_with(server_world_t *w, unsigned roles) {
    server_world_start(w);
    memcpy(for_clients, w->address, sizeof(for_clients));
    assert_int_equal(wst_server_listen(w->server, "127.0.0.1:0", roles), 0);
    snprintf(w->address, sizeof(w->address), "%s", wst_server_address(w->server, 1));
}

static void connect_client(server_world_t *w, server_client_t *c) {
    server_client_open_at(w, c, for_clients);
    server_client_say(c, "CONNECT host:22 HTTP/1.1\r\n\r\n");
    server_client_expect(c, "HTTP/1.1 200 Connection established\r\n\r\n");
}

/* The same, with an agent that has a stream. */
static void open_with(server_world_t *w, unsigned roles, server_agent_t *a, server_client_t *c) {
    start_with(w, roles);
    server_agent_open_lasting(w, a, "one", 1, 0);
    connect_client(w, c);
}

static void open_all(server_world_t *w, server_agent_t *a, server_client_t *c) {
    server_world_init(w);
    open_with(w, WST_ROLE_AGENTS, a, c);
}

static bool is_open(const char *address) {
    struct sockaddr_in there;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int port = (int)strtoul(strrchr(address, ':') + 1, NULL, 10);
    assert_int_equal(uv_ip4_addr("127.0.0.1", port, &there), 0);
    bool open = connect(fd, (const struct sockaddr *)&there, sizeof(there)) == 0;
    close(fd);
    return open;
}

/* A monitor asks at that address. */
static void expect_monitored(server_world_t *w, const char *address) {
    server_client_t monitor;
    server_client_open_at(w, &monitor, address);
    server_client_say(&monitor, "GET /healthz HTTP/1.1\r\n\r\n");
    server_client_expect(&monitor, HEALTH("200 OK", "3", "ok\n"));
    server_client_say(&monitor, "GET /readyz HTTP/1.1\r\n\r\n");
    server_client_expect(&monitor, HEALTH("503 Service Unavailable", "14", "shutting down\n"));
    server_client_close(&monitor);
}

/* The connection ends while the server drains, and the session waits. */
static void cut_and_drain(server_world_t *w, server_agent_t *a, bool drain_first) {
    if (!drain_first)
        server_agent_cut(a);
    wst_server_drain(w->server);
    if (drain_first) {
        test_env_until_count(&w->env, &a->goaways, 1);
        server_agent_cut(a);
    }
}

static void close_all(server_world_t *w, server_agent_t *a, server_client_t *c) {
    server_client_close(c);
    server_agent_close(a);
    server_world_free(w);
}

/* Coming back -------------------------------------------------------------------------------- */

/* Lost before the drain, or in it, and again and again; then nobody is left to wait for. */
static void test_come_back(void **state) {
    (void)state;
    for (int drain_first = 0; drain_first < 2; drain_first++) {
        server_world_t w;
        server_agent_t a;
        server_client_t c;
        open_all(&w, &a, &c);
        cut_and_drain(&w, &a, drain_first);
        assert_false(is_open(for_clients));
        assert_true(is_open(w.address));
        assert_string_equal(wst_server_address(w.server, 0), w.address);
        for (int i = 0; i < 3; i++) {
            server_world_pass(&w, 3000);
            server_agent_resume(&a);
            server_agent_expect_alive(&a, &c);
            assert_int_equal(a.goaways, 1); /* one told before the drain is told now */
            server_agent_cut(&a);
        }
        server_agent_resume(&a);
        assert_int_equal(w.drained, 0);
        assert_true(is_open(w.address));
        server_client_close(&c);
        test_env_until_count(&w.env, &w.drained, 1);
        assert_false(is_open(w.address));
        assert_int_equal(w.downs, 0);
        server_agent_close(&a);
        server_world_free(&w);
    }
}

/* The server does not know yet that the connection is of no use. */
static void test_take_over(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    open_all(&w, &a, &c);
    wst_server_drain(w.server);
    test_env_until_count(&w.env, &a.goaways, 1);
    server_agent_resume(&a);
    assert_int_equal(w.suspensions, 0);
    server_agent_expect_alive(&a, &c);
    close_all(&w, &a, &c);
}

/* The agent that connected just before the drain may be the one that comes back. */
static void test_arrived_before(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c, silent, stranger;
    server_world_init(&w);
    open_with(&w, WST_ROLE_AGENTS, &a, &c);
    server_agent_cut(&a);
    server_client_open(&w, &silent);
    server_client_open_at(&w, &stranger, for_clients);
    test_env_turns(&w.env, 10);
    wst_server_drain(w.server);
    server_client_say(&silent, UPGRADE("Wstunnel-Session: new\r\n"));
    server_client_expect(&silent, SHUTTING_DOWN);
    server_agent_resume(&a);
    server_agent_expect_alive(&a, &c);
    server_client_close(&stranger);
    server_client_close(&silent);
    close_all(&w, &a, &c);
}

/* Who is not let in -------------------------------------------------------------------------- */

static void test_others(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    server_attempt_t t;
    open_all(&w, &a, &c);
    cut_and_drain(&w, &a, true);
    server_client_ask(&w, UPGRADE(""), SHUTTING_DOWN);
    server_client_ask(&w, UPGRADE("Wstunnel-Session: new\r\n"), SHUTTING_DOWN);
    server_client_ask(&w,
                      UPGRADE("Wstunnel-Session: resume 7f3a09c2010b5c0e6f1d2a9b8c7d6e5f 12 "
                              "ef80aec395a3065a6d434e8b4b1e723ed20fcee6a5f346953521763cb0c6e79a"
                              "\r\n"),
                      SHUTTING_DOWN); /* another server's, or one that is over */
    server_world_assert_notice(&w, "agent refused 503 Server is shutting down\n");
    for (uint32_t conn = 0; conn < 2; conn++) { /* the name of a session is public */
        server_attempt_init(&a, &t);
        t.claim.proof[0] ^= 1;
        t.hello.conn = conn;
        server_attempt_start(&t);
        test_env_until_count(&w.env, &t.down, 1);
        assert_non_null(strstr(t.detail, "1008 server is shutting down"));
        assert_int_equal(t.asked, 0); /* it would take the hello for the end of its session */
        server_attempt_close(&t);
    }
    test_env_turns(&w.env, 10);
    assert_int_equal(server_world_stats(&w).sessions, 1);
    server_agent_resume(&a);
    server_agent_expect_alive(&a, &c);
    close_all(&w, &a, &c);
}

/* The embedder is asked about it as ever. */
static void test_denied(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    server_attempt_t t;
    server_world_init(&w);
    w.agents = SERVER_ALLOW;
    open_with(&w, WST_ROLE_AGENTS, &a, &c);
    cut_and_drain(&w, &a, true);
    w.agents = SERVER_DENY;
    w.deny_status = 401;
    server_attempt_init(&a, &t);
    server_attempt_start(&t);
    test_env_until_count(&w.env, &t.down, 1);
    assert_int_equal(t.http_status, 401);
    server_attempt_close(&t);
    w.agents = SERVER_ALLOW;
    server_agent_resume(&a);
    server_agent_expect_alive(&a, &c);
    close_all(&w, &a, &c);
}

/* The drain begins at any time while an agent comes back. */
static void test_drain_meanwhile(void **state) {
    (void)state;
    bool early = true;
    for (int turns = 0; early; turns++) {
        server_world_t w;
        server_agent_t a;
        server_client_t c;
        server_attempt_t t;
        open_all(&w, &a, &c);
        server_agent_cut(&a);
        server_attempt_init(&a, &t);
        server_attempt_start(&t);
        test_env_turns(&w.env, turns);
        early = w.resumes == 0;
        wst_server_drain(w.server);
        test_env_until_count(&w.env, &t.resumed, 1);
        test_env_until_count(&w.env, &a.goaways, 1);
        server_agent_expect_alive(&a, &c);
        server_attempt_close(&t);
        close_all(&w, &a, &c);
    }
}

/* For how long ------------------------------------------------------------------------------- */

/* The end of the drain, or of the grace, whichever comes first. */
static void test_nobody_comes(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        bool drain_first = i & 1, by_grace = i & 2;
        uint64_t ms = by_grace ? 20000 : 30000;
        server_world_t w;
        server_agent_t a;
        server_client_t c;
        server_world_init(&w);
        if (by_grace)
            w.limits.resume_grace_ms = ms;
        open_with(&w, WST_ROLE_AGENTS, &a, &c);
        cut_and_drain(&w, &a, drain_first);
        if (drain_first)
            assert_in_range(w.last_suspended.grace_ms, ms - 5000, ms);
        server_world_pass(&w, ms - 5000);
        assert_int_equal(w.drained, 0);
        assert_int_equal(c.broken, 0);
        assert_true(is_open(w.address));
        server_world_pass(&w, ms + 1);
        server_client_expect_reset(&c);
        test_env_until_count(&w.env, &w.drained, 1);
        assert_false(is_open(w.address));
        assert_int_equal(w.downs, 1);
        assert_int_equal(server_world_stats(&w).suspended, 0);
        close_all(&w, &a, &c);
    }
}

/* The address closes before the drain ends when there is nothing more to come back to. */
static void test_nothing_left(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a, other;
    server_client_t c, tunnel;
    open_all(&w, &a, &c);
    server_agent_init(&w, &other, "two", 2); /* cannot resume */
    server_agent_start(&other);
    test_env_until_count(&w.env, &other.up, 1);
    connect_client(&w, &tunnel); /* by the agent with the fewest streams */
    assert_int_equal(other.asked, 1);
    assert_int_equal(wst_server_listen(w.server, "127.0.0.1:0", WST_ROLE_HEALTH), 0);
    cut_and_drain(&w, &a, true);
    server_agent_resume(&a);
    server_world_pass(&w, 2000);
    assert_true(is_open(w.address));
    server_client_close(&c);
    test_env_until_count(&w.env, &a.streams_closed, 1);
    server_agent_cut(&a);
    server_world_pass(&w, 4000);
    assert_false(is_open(w.address));
    expect_monitored(&w, wst_server_address(w.server, 0));
    assert_int_equal(w.drained, 0);
    assert_int_equal(server_world_stats(&w).suspended, 0);
    server_agent_expect_alive(&other, &tunnel);
    server_client_close(&tunnel);
    test_env_until_count(&w.env, &w.drained, 1);
    server_agent_close(&other);
    server_agent_close(&a);
    server_world_free(&w);
}

/* There is no way back by an address that has another role, too, and none for agents that could not
 * resume, or have nothing to resume. */
static void test_no_way_back(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) {
        bool idle = i == 2;
        server_world_t w;
        server_agent_t a;
        server_client_t c;
        server_world_init(&w);
        w.options.no_resume = i == 1;
        open_with(&w, i == 0 ? WST_ROLE_AGENTS | WST_ROLE_HEALTH : WST_ROLE_AGENTS, &a, &c);
        if (idle) {
            server_client_close(&c);
            test_env_until_count(&w.env, &a.streams_closed, 1);
        }
        wst_server_drain(w.server);
        assert_false(is_open(w.address));
        if (!idle) {
            test_env_until_count(&w.env, &a.goaways, 1);
            server_agent_expect_alive(&a, &c);
            shutdown(a.fd, SHUT_RDWR);
            server_client_expect_reset(&c);
            server_client_close(&c);
        }
        test_env_until_count(&w.env, &w.drained, 1);
        assert_int_equal(w.suspensions, 0);
        server_agent_close(&a);
        server_world_free(&w);
    }
}

/* The embedder closes the server in a notice that the end of the drain brings. */
static void test_close_at_the_end(void **state) {
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        server_world_t w;
        server_agent_t a;
        server_client_t c;
        server_world_init(&w);
        w.close_at = "eds"[i];
        open_with(&w, WST_ROLE_AGENTS, &a, &c);
        wst_server_drain(w.server);
        if (i == 2)
            shutdown(a.fd, SHUT_RDWR);
        else
            server_agent_cut(&a);
        if (i < 2)
            server_world_pass(&w, 30001);
        test_env_until_count(&w.env, &w.closed, 1);
        test_env_until_count(&w.env, &c.broken, 1);
        close_all(&w, &a, &c);
    }
}

typedef struct dialled {
    server_world_t *w;
    wst_stream_t *stream;
    size_t called, broken;
} dialled_t;

static void on_dialled_error(wst_stream_t *stream, int error, void *user_data) {
    dialled_t *d = user_data;
    assert_int_equal(error, WST_ELOST);
    d->broken++;
    wst_stream_close(stream, NULL);
    server_world_close(d->w);
}

static void on_dialled(int status, wst_stream_t *stream, void *user_data) {
    static const wst_stream_callbacks_t callbacks = {.size = sizeof(callbacks),
                                                     .on_error = on_dialled_error};
    assert_int_equal(status, 0);
    ((dialled_t *)user_data)->called++;
    wst_stream_set_callbacks(stream, &callbacks, user_data);
}

/* The same when its own stream fails, within the server's call. */
static void test_close_by_a_stream(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    wst_server_dial_t *dial;
    server_world_init(&w);
    start_with(&w, WST_ROLE_AGENTS);
    server_agent_open_lasting(&w, &a, "one", 1, 0);
    dialled_t d = {.w = &w};
    const wst_flow_options_t options = {
        .size = sizeof(options), .destination = "host:22", .unasked = true};
    assert_int_equal(wst_server_dial(&dial, w.server, &options, on_dialled, &d), 0);
    test_env_until_count(&w.env, &d.called, 1);
    cut_and_drain(&w, &a, true);
    server_world_pass(&w, 30001);
    test_env_until_count(&w.env, &d.broken, 1);
    test_env_until_count(&w.env, &w.closed, 1);
    assert_int_equal(w.drained, 0);
    server_agent_close(&a);
    server_world_free(&w);
}

/* They have an address of their own to the end. It is no way back for agents. */
static void test_monitors(void **state) {
    (void)state;
    for (int lost = 0; lost < 2; lost++) {
        server_world_t w;
        server_agent_t a;
        server_client_t c;
        server_world_init(&w);
        server_world_start(&w);
        memcpy(for_clients, w.address, sizeof(for_clients));
        assert_int_equal(wst_server_listen(w.server, "127.0.0.1:0", WST_ROLE_HEALTH), 0);
        server_agent_open_lasting(&w, &a, "one", 1, 0);
        connect_client(&w, &c);
        wst_server_drain(w.server);
        assert_false(is_open(for_clients));
        snprintf(w.address, sizeof(w.address), "%s", wst_server_address(w.server, 0));
        expect_monitored(&w, w.address);
        test_env_until_count(&w.env, &a.goaways, 1);
        server_world_pass(&w, 3000); /* it is not looked at whether it is needed */
        expect_monitored(&w, w.address);
        if (lost) {
            shutdown(a.fd, SHUT_RDWR);
            server_client_expect_reset(&c);
        }
        server_client_close(&c);
        test_env_until_count(&w.env, &w.drained, 1);
        assert_int_equal(w.suspensions, 0);
        assert_false(is_open(w.address));
        server_agent_close(&a);
        server_world_free(&w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_come_back),
        cmocka_unit_test(test_take_over),
        cmocka_unit_test(test_arrived_before),
        cmocka_unit_test(test_others),
        cmocka_unit_test(test_denied),
        cmocka_unit_test(test_drain_meanwhile),
        cmocka_unit_test(test_nobody_comes),
        cmocka_unit_test(test_nothing_left),
        cmocka_unit_test(test_no_way_back),
        cmocka_unit_test(test_close_at_the_end),
        cmocka_unit_test(test_close_by_a_stream),
        cmocka_unit_test(test_monitors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
