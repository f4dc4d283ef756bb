/* SPDX-License-Identifier: MIT */
/*
 * What a CONNECT costs a server, by how many agents it has: from a client's connection to the end
 * of both, with a socket for the client, and agents that answer from memory. In a release build:
 *
 *     ninja -C build test/bench_connect && build/test/bench_connect [COUNT...]
 *
 * Prints microseconds of CPU time of a CONNECT: the median of 5 runs and their spread.
 */
#include "digest.h"
#include "env.h"
#include "fake_stream.h"
#include "fake_uplink.h"
#include "server.h"
#include "socket_pair.h"

#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <wstunnel/access.h>
#include <wstunnel/socket.h>

enum { RUNS = 5, CONNECTS = 3000 };

typedef struct agent {
    wst__member_t member;
    fake_uplink_t fake;
} agent_t;

typedef struct bench {
    test_env_t env;
    wst_server_t *server;
    wst_access_t *access; /* NULL: nobody is asked */
    agent_t *agents;
    size_t count, turn;
    size_t closed;

    /* The one stream at a time. */
    agent_t *asked;
    wst__opening_t opening;
    wst__defer_t defer;
    wst__opened_cb callback;
    void *user_data;
    fake_stream_t stream;
} bench_t;

static bench_t bench;

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* Agents ------------------------------------------------------------------------------------- */

static void change_load(agent_t *a, int by) {
    a->fake.load += (size_t)by;
    wst__remotes_changed(&bench.server->ingress.remotes, &a->member);
}

/* The destination hangs up at once. */
static void answer(wst__defer_t *defer) {
    (void)defer;
    assert_int_equal(fake_stream_open(&bench.stream, bench.env.ctx), 0);
    fake_stream_end(&bench.stream);
    bench.callback(0, (wst_str_t){"192.0.2.7", 9}, bench.stream.stream, bench.user_data);
}

static int open_stream(wst__uplink_t *uplink, wst__opening_t **out, const char *dest,
                       wst__budget_t *budget, wst__opened_cb callback, void *user_data) {
    (void)budget;
    (void)dest;
    bench.asked = WST__CONTAINER(uplink, agent_t, fake.uplink);
    bench.callback = callback;
    bench.user_data = user_data;
    *out = &bench.opening;
    wst__defer(bench.env.ctx, &bench.defer, answer);
    change_load(bench.asked, 1);
    return 0;
}

static void join(size_t i) {
    static wst__uplink_ops_t ops;
    agent_t *a = &bench.agents[i];
    char name[32];
    wst__member_t *replaced;
    bool is_new;
    snprintf(name, sizeof(name), "agent-%zu", i);
    fake_uplink_init(&a->fake, "192.0.2.1:5");
    ops = *a->fake.uplink.ops;
    ops.open = open_stream;
    a->fake.uplink.ops = &ops;
    wst_hello_t hello = {.size = sizeof(hello), .name = {name, strlen(name)}, .has_instance = true};
    memcpy(hello.instance, &i, sizeof(i));
    int status = wst__remotes_join(&bench.server->ingress.remotes, &a->member, &a->fake.uplink,
                                   &hello, "", NULL, &replaced, &is_new);
    assert_int_equal(status, 0);
}

/* The server --------------------------------------------------------------------------------- */

static void on_client_request(wst_server_t *server, wst_request_t *request, void *user_data) {
    (void)user_data;
    wst_access_client_request(bench.access, server, request);
}

static void on_choose(wst_server_t *server, wst_request_t *request, void *user_data) {
    (void)user_data;
    wst_access_choose(bench.access, server, request);
}

static void on_reached(wst_server_t *server, wst_request_t *request, void *user_data) {
    (void)user_data;
    wst_access_reached(bench.access, server, request);
}

static void make_access(void) {
    static const char *const token[] = {
        "bdbdd0b29057641e2383def192095799463363c5a3413b649e63495ee0497636", NULL};
    static const wst_access_user_t user = {.size = sizeof(user), .name = "alice", .password = "x"};
    static const wst_access_agent_t agents = {
        .size = sizeof(agents), .name = "*", .tokens_sha256 = token};
    const wst_access_options_t options = {.size = sizeof(options),
                                          .users = &user,
                                          .user_count = 1,
                                          .agents = &agents,
                                          .agent_count = 1,
                                          .user_selects_agent = true};
    assert_int_equal(wst_access_new(&bench.access, bench.env.ctx, &options, NULL), 0);
}

static void open_bench(size_t count, bool with_access) {
    static const wst_server_callbacks_t callbacks = {.size = sizeof(callbacks),
                                                     .on_client_request = on_client_request,
                                                     .on_choose = on_choose,
                                                     .on_reached = on_reached};
    wst_server_options_t options = {.size = sizeof(options)};
    memset(&bench, 0, sizeof(bench));
    test_env_open(&bench.env);
    wst__defer_init(&bench.defer);
    if (with_access) {
        make_access();
        options.callbacks = &callbacks;
    }
    assert_int_equal(wst_server_new(&bench.server, bench.env.ctx, &options), 0);
    bench.count = count;
    bench.agents = calloc(count, sizeof(*bench.agents));
    assert_non_null(bench.agents);
    for (size_t i = 0; i < count; i++)
        join(i);
}

static void on_closed(void *user_data) {
    (void)user_data;
    bench.closed++;
}

static void close_bench(void) {
    for (size_t i = 0; i < bench.count; i++)
        wst__remote_free(
            wst__remotes_leave(&bench.server->ingress.remotes, &bench.agents[i].member));
    wst_server_close(bench.server, on_closed);
    test_env_until_count(&bench.env, &bench.closed, 1);
    wst_access_free(bench.access);
    test_env_close(&bench.env);
    free(bench.agents);
}

/* A client ----------------------------------------------------------------------------------- */

static void write_request(char *out, size_t size, bool named) {
    char login[64] = "alice:x", base64[128];
    if (named)
        snprintf(login, sizeof(login), "alice+agent-%zu:x", bench.turn * 7919 % bench.count);
    wst__base64_encode(base64, login, strlen(login));
    snprintf(out, size,
             "CONNECT host.example:22 HTTP/1.1\r\nHost: host.example:22\r\n"
             "Proxy-Authorization: Basic %s\r\n\r\n",
             base64);
}

/* Until the client has seen the end, and the agent, too. */
static void run(int client) {
    char got[1024];
    size_t len = 0;
    ssize_t n;
    do {
        uv_run(&bench.env.loop, UV_RUN_NOWAIT);
        n = recv(client, got + len, sizeof(got) - 1 - len, MSG_DONTWAIT);
        len += n > 0 ? (size_t)n : 0;
    } while (n != 0);
    got[len] = '\0';
    assert_true(strncmp(got, "HTTP/1.1 200 ", 13) == 0);
    close(client);
    while (!bench.stream.gone)
        uv_run(&bench.env.loop, UV_RUN_NOWAIT);
    fake_stream_free(&bench.stream);
    change_load(bench.asked, -1);
}

static void do_connect(bool named) {
    int fds[2];
    char request[512];
    wst_stream_t *stream;
    bench.turn++;
    write_request(request, sizeof(request), named);
    socket_pair(fds, false);
    assert_int_equal(wst_socket_open(&stream, bench.env.ctx, fds[1], true), 0);
    assert_int_equal(wst_server_adopt(bench.server, stream, WST_ROLE_CONNECT), 0);
    assert_int_equal(write(fds[0], request, strlen(request)), strlen(request));
    run(fds[0]);
}

/* What is measured --------------------------------------------------------------------------- */

typedef struct variant {
    const char *name;
    bool access, named;
} variant_t;

static const variant_t variants[] = {
    {"nobody is asked", false, false},
    {"reference policy", true, false},
    {"reference policy, a named agent", true, true},
};
enum { VARIANTS = sizeof(variants) / sizeof(variants[0]) };

static int compare(const void *a, const void *b) {
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void bench_variant(const variant_t *v, size_t count) {
    double us[RUNS];
    open_bench(count, v->access);
    for (int run = -1; run < RUNS; run++) { /* the first one is not counted */
        double start = now_us();
        for (size_t i = 0; i < CONNECTS; i++)
            do_connect(v->named);
        if (run >= 0)
            us[run] = (now_us() - start) / CONNECTS;
    }
    close_bench();
    qsort(us, RUNS, sizeof(us[0]), compare);
    printf("%-32s %8zu agents  %8.1f us  (%.1f..%.1f)\n", v->name, count, us[RUNS / 2], us[0],
           us[RUNS - 1]);
}

int main(int argc, char **argv) {
    static const char *const defaults[] = {"10", "1000", "100000"};
    size_t counts = argc > 1 ? (size_t)argc - 1 : 3;
    for (size_t v = 0; v < VARIANTS; v++) {
        for (size_t i = 0; i < counts; i++)
            bench_variant(&variants[v], strtoul(argc > 1 ? argv[i + 1] : defaults[i], NULL, 10));
    }
    return 0;
}
