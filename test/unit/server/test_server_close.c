/* SPDX-License-Identifier: MIT */
/* The end of a server: from inside each of its callbacks, and at every moment of its life. */
#include "server_world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wstunnel/agent.h>
#include <wstunnel/socket.h>

#define CONNECT "CONNECT host:22 HTTP/1.1\r\n\r\n"

/* Whatever happened to it, the connection of a client is over. */
static bool is_over(void *arg) {
    const server_client_t *c = arg;
    return c->ended + c->broken > 0;
}

static void close_in(char callback) {
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    server_world_init(&w);
    w.clients = w.agents = w.choice = SERVER_ALLOW;
    server_world_start(&w);
    w.close_at = callback;
    server_agent_init(&w, &a, "one", 1);
    server_agent_start(&a);
    if (callback == 'a' || callback == 'u') {
        test_env_until_count(&w.env, &w.closed, 1);
        server_agent_close(&a);
        server_world_free(&w);
        return;
    }
    server_world_until_notice(&w, "up one");
    if (callback == 'r')
        a.treatment = SERVER_AGENT_REFUSE;
    a.reason = WST_EREFUSED;
    if (callback == 'g')
        w.choice = SERVER_HOLD;
    server_client_open(&w, &c);
    server_client_say(&c, CONNECT);
    if (callback == 'e' || callback == 'd')
        server_client_expect(&c, "HTTP/1.1 200 ");
    if (callback == 'd')
        server_agent_close(&a);
    if (callback == 'e')
        wst_stream_reset(a.stream, WST_ERESET, NULL);
    if (callback == 'e')
        a.stream = NULL;
    if (callback == 'n')
        wst_server_drain(w.server);
    if (callback == 'g') {
        test_env_until_count(&w.env, &w.choice_questions, 1);
        server_client_close(&c);
    }
    test_env_until_count(&w.env, &w.closed, 1);
    if (callback != 'g') {
        test_env_until(&w.env, is_over, &c);
        server_client_close(&c);
    }
    if (callback != 'd')
        server_agent_close(&a);
    server_world_free(&w);
}

static void test_close_in_callbacks(void **state) {
    (void)state;
    for (const char *callback = "auchordeng"; *callback != '\0'; callback++)
        close_in(*callback);
}

/* The client reads the refusal although the server is closed right behind it. */
static void test_close_in_refused(void **state) {
    (void)state;
    server_world_t w;
    server_client_t c;
    server_world_open(&w);
    w.close_at = 'r';
    server_client_open(&w, &c);
    server_client_say(&c, CONNECT);
    test_env_until_count(&w.env, &w.closed, 1);
    test_env_until(&w.env, is_over, &c);
    server_client_close(&c);
    server_world_free(&w);
}

/* The same for an agent: by its request, and by its hello. */
static void test_close_in_agent_refused(void **state) {
    (void)state;
    server_world_t w;
    server_client_t c;
    server_agent_t a;
    server_world_open(&w);
    w.close_at = 'f';
    server_client_open(&w, &c);
    server_client_say(&c, "GET /websocket HTTP/1.1\r\n\r\n");
    test_env_until_count(&w.env, &w.closed, 1);
    test_env_until(&w.env, is_over, &c);
    server_client_close(&c);
    server_world_free(&w);

    server_world_open(&w);
    w.close_at = 'f';
    server_agent_init(&w, &a, "", 1);
    server_agent_start(&a);
    test_env_until_count(&w.env, &w.closed, 1);
    test_env_until_count(&w.env, &a.down, 1);
    server_agent_close(&a);
    server_world_free(&w);
}

static void test_close_unused(void **state) {
    (void)state;
    server_world_t w;
    server_world_open(&w);
    server_world_close(&w);
    assert_int_equal(w.closed, 0);    /* from the loop only */
    wst_server_close(w.server, NULL); /* the first one counts */
    wst_server_drain(w.server);
    assert_int_equal(wst_server_listen(w.server, "127.0.0.1:0", 0), WST_ESTATE);
    server_world_free(&w);
}

/* What was about to be told is not told any more. */
static void test_close_when_drained(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_world_open(&w);
    server_agent_open(&w, &a, "one", 1); /* takes time to close */
    wst_server_drain(w.server);
    server_world_close(&w);
    test_env_until_count(&w.env, &w.closed, 1);
    assert_int_equal(w.drained, 0);
    server_agent_close(&a);
    server_world_free(&w);
}

/* Agents are told: 1001. Tunnels are reset, whoever waits for an answer too. */
static void test_close_with_all(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a, silent;
    server_client_t tunnel, dialling, idle, half;
    server_world_open(&w);
    server_agent_open(&w, &a, "one", 1);
    server_client_connect(&w, &tunnel);
    a.treatment = SERVER_AGENT_KEEP;
    server_client_open(&w, &dialling);
    server_client_say(&dialling, CONNECT);
    test_env_until_count(&w.env, &a.asked, 2);
    server_client_open(&w, &idle);
    server_client_open(&w, &half);
    server_client_say(&half, "GET /");
    server_agent_init(&w, &silent, "two", 1);
    server_agent_start(&silent); /* somewhere on its way */
    test_env_turns(&w.env, 4);
    server_world_close(&w);
    test_env_until_count(&w.env, &a.down, 1);
    assert_int_equal(a.down_error, 0);
    assert_non_null(strstr(a.detail, "1001"));
    server_client_expect_reset(&tunnel);
    server_client_expect_reset(&dialling);
    test_env_until(&w.env, is_over, &idle);
    test_env_until(&w.env, is_over, &half);
    test_env_until_count(&w.env, &silent.connected, 1);
    server_agent_close(&a);
    server_agent_close(&silent);
    server_client_close(&tunnel);
    server_client_close(&dialling);
    server_client_close(&idle);
    server_client_close(&half);
    server_world_free(&w);
}

/* Closes after so many turns of an agent's coming, or of a client's then. Whether it had got
 * through by then. */
static bool close_after(int turns, bool with_client) {
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    server_world_init(&w);
    w.clients = w.agents = w.choice = SERVER_ALLOW;
    server_world_start(&w);
    if (with_client) {
        server_agent_open(&w, &a, "one", 1);
        server_client_open(&w, &c);
        server_client_say(&c, CONNECT);
    } else {
        server_agent_init(&w, &a, "one", 1);
        server_agent_start(&a);
        test_env_until_count(&w.env, &a.connected, 1);
    }
    test_env_turns(&w.env, turns);
    bool through = with_client ? w.opens > 0 : w.ups > 0;
    server_world_close(&w);
    test_env_until_count(&w.env, &w.closed, 1);
    if (with_client) {
        test_env_until(&w.env, is_over, &c);
        server_client_close(&c);
    }
    server_agent_close(&a);
    server_world_free(&w);
    return through;
}

static void test_close_at_each_turn(void **state) {
    (void)state;
    for (int with_client = 0; with_client < 2; with_client++) {
        int turns = 0;
        while (!close_after(turns, with_client))
            assert_true(++turns < 1000);
        assert_true(turns > 1);
    }
}

/* -- Without memory -- */

/* A blocking, raw connection: memory of the context plays no role in it. */
static int raw_connect(const char *address) {
    struct sockaddr_in to;
    const char *port = strrchr(address, ':') + 1;
    uv_ip4_addr("127.0.0.1", (int)strtoul(port, NULL, 10), &to);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(write(fd, CONNECT, strlen(CONNECT)), strlen(CONNECT));
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

typedef struct raw {
    int fd;
    char got[64];
    ssize_t n;
} raw_t;

static bool has_answer(void *arg) {
    raw_t *raw = arg;
    raw->n = recv(raw->fd, raw->got, sizeof(raw->got) - 1, MSG_PEEK);
    return raw->n >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

/* The agent opens what it is asked for in no time: by one end of a pair. */
static void on_agent_dial(wst_agent_t *agent, wst_request_t *request, void *user_data) {
    server_world_t *w = user_data;
    int fds[2];
    wst_stream_t *stream;
    (void)agent;
    assert_int_equal(uv_socketpair(SOCK_STREAM, 0, fds, 0, 0), 0);
    close(fds[1]);
    int status = wst_socket_open(&stream, w->env.ctx, fds[0], true);
    if (status != 0)
        close(fds[0]);
    wst_request_connected(request, status, status == 0 ? stream : NULL);
}

static bool is_up_or_failed(void *arg) {
    const server_world_t *w = arg;
    return w->ups > 0 || test_alloc_failed();
}

/* A client's tunnel through a real agent. One allocation fails on the way: the client gets an
 * answer or the end of its connection all the same, and nothing is left behind. */
static void scenario(void *arg) {
    bool *served = arg;
    server_world_t w;
    wst_agent_t *agent = NULL;
    server_world_init(&w);
    if (w.env.ctx != NULL && server_world_try_start(&w)) {
        char url[96];
        snprintf(url, sizeof(url), "ws://%s", w.address);
        wst_agent_options_t options = {
            .size = sizeof(options),
            .callbacks = &(const wst_agent_callbacks_t){.size = sizeof(wst_agent_callbacks_t),
                                                        .on_dial = on_agent_dial},
            .user_data = &w,
            .url = url,
            .name = "one",
            .backoff_min_ms = 1,
            .backoff_max_ms = 2};
        if (wst_agent_new(&agent, w.env.ctx, &options) == 0)
            test_env_until(&w.env, is_up_or_failed, &w);
        raw_t raw = {.fd = raw_connect(w.address)};
        test_env_until(&w.env, has_answer, &raw);
        *served = raw.n > 0 && memcmp(raw.got, "HTTP/1.1 200 ", 13) == 0;
        if (raw.n > 0)
            assert_memory_equal(raw.got, "HTTP/1.1 ", 9);
        close(raw.fd);
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
        cmocka_unit_test(test_close_in_callbacks),     cmocka_unit_test(test_close_in_refused),
        cmocka_unit_test(test_close_in_agent_refused), cmocka_unit_test(test_close_unused),
        cmocka_unit_test(test_close_when_drained),     cmocka_unit_test(test_close_with_all),
        cmocka_unit_test(test_close_at_each_turn),     cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
