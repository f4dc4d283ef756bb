/* SPDX-License-Identifier: MIT */
/* The end of a port: closed alone, with its server, drained; from inside callbacks; without memory.
 */
#include "server_world.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include <wstunnel/agent.h>
#include <wstunnel/error.h>
#include <wstunnel/port.h>
#include <wstunnel/socket.h>

typedef struct port {
    wst_port_t *port;
    char address[64];
    size_t closed;
} port_t;

static void on_port_closed(void *user_data) {
    ((port_t *)user_data)->closed++;
}

static void port_open(server_world_t *w, port_t *p) {
    const wst_port_options_t options = {
        .size = sizeof(options), .listen = "127.0.0.1:0", .destination = "host:22", .user_data = p};
    *p = (port_t){.closed = 0};
    assert_int_equal(wst_port_new(&p->port, w->server, &options), 0);
    snprintf(p->address, sizeof(p->address), "%s", wst_port_address(p->port));
}

/* Connects by itself: whether the kernel takes it. */
static bool is_listened_on(const char *address) {
    struct sockaddr_in there;
    assert_int_equal(
        uv_ip4_addr("127.0.0.1", (int)strtoul(strrchr(address, ':') + 1, NULL, 10), &there), 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool connected = connect(fd, (struct sockaddr *)&there, sizeof(there)) == 0;
    assert_true(connected || errno == ECONNREFUSED);
    close(fd);
    return connected;
}

typedef struct rig {
    server_world_t w;
    server_agent_t a;
    server_client_t relayed, pending;
    port_t port;
} rig_t;

/* A port with a client that is relayed and one whose destination has not been reached. */
static void rig_open(rig_t *r) {
    server_world_open(&r->w);
    server_agent_open(&r->w, &r->a, "one", 1);
    port_open(&r->w, &r->port);
    server_client_open_at(&r->w, &r->relayed, r->port.address);
    server_client_say(&r->relayed, "x");
    server_agent_expect(&r->a, "x");
    r->a.treatment = SERVER_AGENT_KEEP;
    server_client_open_at(&r->w, &r->pending, r->port.address);
    test_env_until_count(&r->w.env, &r->a.asked, 2);
}

static void expect_relayed(rig_t *r) {
    server_client_say(&r->relayed, "question");
    server_agent_expect(&r->a, "question");
    server_agent_say(&r->a, "answer");
    server_client_expect(&r->relayed, "answer");
}

static void rig_close(rig_t *r) {
    server_client_close(&r->relayed);
    server_client_close(&r->pending);
    server_agent_close(&r->a);
    server_world_free(&r->w);
}

/* -- One alone -------------------------------------------------------------------------------- */

/* It stops listening and ends what is not established; what is relayed goes on. */
static void test_close(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    wst_port_close(r.port.port, on_port_closed);
    wst_port_close(r.port.port, NULL);  /* does nothing */
    assert_int_equal(r.port.closed, 0); /* not from inside the call */
    assert_false(is_listened_on(r.port.address));
    test_env_until_count(&r.w.env, &r.port.closed, 1);
    server_client_expect_reset(&r.pending);
    test_env_until_count(&r.w.env, &r.a.cancelled, 1);
    expect_relayed(&r);
    assert_int_equal(r.w.refusals + r.w.closes, 0);
    assert_int_equal(r.port.closed, 1);
    rig_close(&r);
}

/* The address is free at once for another one, as a reload wants it. */
static void test_replace(void **state) {
    (void)state;
    rig_t r;
    wst_port_t *other;
    server_client_t c;
    rig_open(&r);
    r.a.treatment = SERVER_AGENT_REFUSE;
    r.a.reason = WST_EREFUSED;
    const wst_port_options_t options = {
        .size = sizeof(options), .listen = r.port.address, .destination = "other:22"};
    assert_int_equal(wst_port_new(&other, r.w.server, &options), UV_EADDRINUSE);
    wst_port_close(r.port.port, NULL);
    assert_int_equal(wst_port_new(&other, r.w.server, &options), 0);
    server_client_open_at(&r.w, &c, r.port.address);
    server_client_expect_reset(&c);
    assert_string_equal(r.a.destination, "other:22");
    server_client_close(&c);
    expect_relayed(&r);
    rig_close(&r);
}

/* -- With the server -------------------------------------------------------------------------- */

static void test_server_closes(void **state) {
    (void)state;
    rig_t r;
    port_t closing;
    rig_open(&r);
    port_open(&r.w, &closing);
    wst_port_close(closing.port, on_port_closed);
    server_world_close(&r.w);
    assert_false(is_listened_on(r.port.address));
    server_client_expect_reset(&r.relayed);
    server_client_expect_reset(&r.pending);
    test_env_until_count(&r.w.env, &r.w.closed, 1);
    assert_int_equal(closing.closed, 1); /* its own end is told all the same */
    rig_close(&r);
}

/* Nobody comes in any more; flows under way are established and finish, then it is drained. */
static void test_drain(void **state) {
    (void)state;
    for (int close_early = 0; close_early < 2; close_early++) {
        rig_t r;
        rig_open(&r);
        wst_server_drain(r.w.server);
        assert_false(is_listened_on(r.port.address));
        wst_port_t *late;
        const wst_port_options_t options = {
            .size = sizeof(options), .listen = "127.0.0.1:0", .destination = "host:22"};
        assert_int_equal(wst_port_new(&late, r.w.server, &options), WST_ESTATE);
        assert_string_equal(wst_port_address(r.port.port), r.port.address);
        expect_relayed(&r);
        server_client_close(&r.relayed);
        test_env_until_count(&r.w.env, &r.w.closes, 1);
        test_env_turns(&r.w.env, 20);
        assert_int_equal(r.w.drained, 0);
        if (close_early == 1) { /* ends what the drain waits for */
            wst_port_close(r.port.port, on_port_closed);
            server_client_expect_reset(&r.pending);
            test_env_until_count(&r.w.env, &r.port.closed, 1);
        } else {
            server_agent_accept(&r.a);
            server_client_say(&r.pending, "question");
            server_agent_expect(&r.a, "question");
            assert_int_equal(r.w.drained, 0);
            server_client_close(&r.pending);
        }
        test_env_until_count(&r.w.env, &r.w.drained, 1);
        if (close_early == 1)
            server_client_close(&r.pending);
        server_agent_close(&r.a);
        server_world_free(&r.w);
    }
}

/* -- From inside callbacks --------------------------------------------------------------------- */

static bool is_over(void *arg) {
    const server_client_t *c = arg;
    return c->ended + c->broken > 0;
}

/* The server is closed in a callback that runs for a port's client: 'c' on_client_request, 'h'
 * on_choose, 'o' on_stream_open, 'e' on_stream_close, 'r' on_refused (and on_reached), 'g' on_gone
 * of a question. */
static void close_server_in(char callback) {
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    port_t port;
    server_world_init(&w);
    w.headless = true;
    w.clients = w.choice = SERVER_ALLOW;
    if (callback == 'g')
        w.clients = SERVER_HOLD;
    server_world_start(&w);
    server_agent_open(&w, &a, "one", 1);
    port_open(&w, &port);
    w.close_at = callback;
    if (callback == 'r')
        a.treatment = SERVER_AGENT_REFUSE;
    a.reason = WST_EREFUSED;
    server_client_open_at(&w, &c, port.address);
    if (callback == 'g')
        test_env_until_count(&w.env, &w.client_questions, 1);
    if (callback == 'e')
        test_env_until_count(&w.env, &w.opens, 1);
    if (callback == 'g' || callback == 'e')
        server_client_close(&c);
    test_env_until_count(&w.env, &w.closed, 1);
    if (callback != 'g' && callback != 'e') {
        test_env_until(&w.env, is_over, &c);
        server_client_close(&c);
    }
    server_agent_close(&a);
    server_world_free(&w);
}

static void test_close_server_in_callbacks(void **state) {
    (void)state;
    for (const char *callback = "choerg"; *callback != '\0'; callback++)
        close_server_in(*callback);
}

static port_t *to_close;

static void close_port(server_world_t *w) {
    (void)w;
    wst_port_close(to_close->port, on_port_closed);
}

/* The port is closed while one of its clients is being asked about; the answer is not heard. */
static void test_close_in_choice(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    port_t port;
    server_world_init(&w);
    w.headless = true;
    w.choice = SERVER_HOLD;
    w.in_choice = close_port;
    server_world_start(&w);
    server_agent_open(&w, &a, "one", 1);
    port_open(&w, &port);
    to_close = &port;
    server_client_open_at(&w, &c, port.address);
    server_client_expect_reset(&c);
    test_env_until_count(&w.env, &port.closed, 1);
    assert_int_equal(w.gone, 1);
    assert_int_equal(a.asked + w.refusals, 0);
    server_client_close(&c);
    server_agent_close(&a);
    server_world_free(&w);
}

/* -- Without memory ---------------------------------------------------------------------------- */

static bool is_up_or_failed(void *arg) {
    const server_world_t *w = arg;
    return w->ups > 0 || test_alloc_failed();
}

/* The destination: a socket that has a word for each client. */
static void on_agent_dial(wst_agent_t *agent, wst_request_t *request, void *user_data) {
    const server_world_t *w = user_data;
    wst_stream_t *stream = NULL;
    int fds[2];
    (void)agent;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(write(fds[1], "hello", 5), 5);
    close(fds[1]);
    int status = wst_socket_open(&stream, w->env.ctx, fds[0], true);
    if (status != 0)
        close(fds[0]);
    wst_request_connected(request, status, status == 0 ? stream : NULL);
}

typedef struct raw {
    int fd;
    char got[16];
    size_t len;
    bool over;
} raw_t;

static bool has_word_or_end(void *arg) {
    raw_t *r = arg;
    ssize_t n = recv(r->fd, r->got + r->len, sizeof(r->got) - r->len, MSG_DONTWAIT);
    if (n > 0)
        r->len += (size_t)n;
    r->over = n == 0 || (n < 0 && errno != EAGAIN);
    return r->over || r->len == 5;
}

static int raw_connect(const char *address) {
    struct sockaddr_in there;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(
        uv_ip4_addr("127.0.0.1", (int)strtoul(strrchr(address, ':') + 1, NULL, 10), &there), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&there, sizeof(there)), 0);
    return fd;
}

static void use_port(server_world_t *w, bool *served) {
    static const char *const labels[] = {"eu", NULL};
    wst_port_t *port;
    const wst_port_options_t options = {.size = sizeof(options),
                                        .listen = "127.0.0.1:0",
                                        .destination = "host:22",
                                        .labels = labels};
    int status = wst_port_new(&port, w->server, &options);
    assert_int_equal(status, status == 0 ? 0 : WST_ENOMEM);
    if (status != 0)
        return;
    raw_t raw = {.fd = raw_connect(wst_port_address(port))};
    assert_int_equal(send(raw.fd, "early", 5, 0), 5);
    test_env_until(&w->env, has_word_or_end, &raw);
    *served = raw.len == 5 && memcmp(raw.got, "hello", 5) == 0;
    assert_true(*served || test_alloc_failed());
    close(raw.fd);
}

/* A client of a port, through a real agent. One allocation fails on the way: the client gets the
 * destination's word or a reset, and nothing is left behind. */
static void scenario(void *arg) {
    static const char *const labels[] = {"eu", NULL};
    server_world_t w;
    wst_agent_t *agent = NULL;
    server_world_init(&w);
    w.agents = SERVER_ALLOW;
    w.agent_labels = labels;
    if (w.env.ctx != NULL && server_world_try_start(&w)) {
        char url[96];
        snprintf(url, sizeof(url), "ws://%s", w.address);
        static const wst_agent_callbacks_t callbacks = {.size = sizeof(callbacks),
                                                        .on_dial = on_agent_dial};
        wst_agent_options_t options = {.size = sizeof(options),
                                       .callbacks = &callbacks,
                                       .user_data = &w,
                                       .url = url,
                                       .name = "one",
                                       .backoff_min_ms = 1,
                                       .backoff_max_ms = 2};
        if (wst_agent_new(&agent, w.env.ctx, &options) == 0)
            test_env_until(&w.env, is_up_or_failed, &w);
        use_port(&w, arg);
    }
    if (agent != NULL)
        wst_agent_close(agent, NULL);
    if (w.env.ctx != NULL && w.server != NULL) {
        server_world_close(&w);
        test_env_until_count(&w.env, &w.closed, 1);
    }
    test_env_close(&w.env);
}

static void test_no_memory(void **state) {
    (void)state;
    bool served = false;
    assert_true(test_alloc_each(scenario, &served) > 40);
    assert_true(served); /* when none failed */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_replace),
        cmocka_unit_test(test_server_closes),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_close_server_in_callbacks),
        cmocka_unit_test(test_close_in_choice),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
