/* SPDX-License-Identifier: MIT */
/* The server's handle: what its addresses offer, its limits, its drain. */
#include "server.h"
#include "server_world.h"

#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>
#include <wstunnel/socket.h>

#define CONNECT "CONNECT host:22 HTTP/1.1\r\n\r\n"
#define PLAIN_HEAD(length, connection)                                                             \
    "Content-Type: text/plain; charset=utf-8\r\nContent-Length: " length                           \
    "\r\nConnection: " connection "\r\n\r\n"
#define NOT_FOUND "HTTP/1.1 404 Not Found\r\n" PLAIN_HEAD("24", "close") "Nothing is served here.\n"
#define BAD_HOST                                                                                   \
    "HTTP/1.1 400 Bad Request: the field Host must be HOST or HOST:PORT\r\n"                       \
    "Proxy-Status: libwstunnel; error=http_request_error; "                                        \
    "details=\"Bad Request: the field Host must be HOST or HOST:PORT\"\r\n" PLAIN_HEAD(            \
        "54", "close") "Bad Request: the field Host must be HOST or HOST:PORT\n"
#define HEALTH(status, length, connection, body)                                                   \
    "HTTP/1.1 " status "\r\nCache-Control: no-store\r\n" PLAIN_HEAD(length, connection) body

/* --- options and addresses --- */

static void test_options(void **state) {
    (void)state;
    static const wst_server_limits_t small = {.size = sizeof(small), .stream_window = 1023};
    static const wst_server_limits_t large = {.size = sizeof(large),
                                              .stream_window = ((size_t)1 << 30) + 1};
    static const wst_server_options_t bad[] = {
        {.size = sizeof(wst_server_options_t), .path = "websocket"},
        {.size = sizeof(wst_server_options_t), .path = ""},
        {.size = sizeof(wst_server_options_t), .limits = &small},
        {.size = sizeof(wst_server_options_t), .limits = &large}};
    server_world_t w;
    server_world_init(&w);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(wst_server_new(&w.server, w.env.ctx, &bad[i]), WST_EINVAL);
    server_world_start(&w);
    assert_int_equal(wst_server_listen(w.server, "nowhere", 0), WST_EINVAL);
    assert_int_equal(wst_server_listen(w.server, w.address, 0), UV_EADDRINUSE);
    assert_int_equal(wst_server_listen(w.server, "127.0.0.1:0", WST_ROLE_HEALTH), 0);
    assert_string_equal(wst_server_address(w.server, 0), w.address);
    assert_non_null(wst_server_address(w.server, 1));
    assert_string_not_equal(wst_server_address(w.server, 1), w.address);
    assert_null(wst_server_address(w.server, 2));
    server_world_free(&w);
}

/* Beyond this machine each role that is offered must have somebody who decides. */
static void test_insecure(void **state) {
    (void)state;
    static const struct {
        server_policy_t clients, agents;
        bool allow_open;
        unsigned roles;
        int status;
    } cases[] = {
        {SERVER_UNASKED, SERVER_UNASKED, false, 0, WST_EINSECURE},
        {SERVER_UNASKED, SERVER_UNASKED, true, 0, 0},
        {SERVER_UNASKED, SERVER_UNASKED, false, WST_ROLE_HEALTH, 0},
        {SERVER_ALLOW, SERVER_UNASKED, false, 0, WST_EINSECURE},
        {SERVER_ALLOW, SERVER_UNASKED, false, WST_ROLE_AGENTS, WST_EINSECURE},
        {SERVER_ALLOW, SERVER_UNASKED, false, WST_ROLE_CONNECT | WST_ROLE_HEALTH, 0},
        {SERVER_UNASKED, SERVER_ALLOW, false, WST_ROLE_CONNECT, WST_EINSECURE},
        {SERVER_UNASKED, SERVER_ALLOW, false, WST_ROLE_AGENTS, 0},
        {SERVER_ALLOW, SERVER_ALLOW, false, 0, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        server_world_t w;
        server_world_init(&w);
        w.clients = cases[i].clients;
        w.agents = cases[i].agents;
        w.options.allow_open = cases[i].allow_open;
        server_world_start(&w);
        assert_int_equal(wst_server_listen(w.server, "0.0.0.0:0", cases[i].roles), cases[i].status);
        assert_int_equal(wst_server_address(w.server, 1) != NULL, cases[i].status == 0);
        server_world_free(&w);
    }
}

/* --- what is answered without an agent or a tunnel --- */

static void test_health(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    server_world_open(&w);
    server_client_open(&w, &c);
    server_client_say(&c, "GET /healthz HTTP/1.1\r\n\r\n"); /* one connection for all */
    server_client_expect(&c, HEALTH("200 OK", "3", "keep-alive", "ok\n"));
    server_client_say(&c, "GET /readyz HTTP/1.1\r\n\r\n");
    server_client_expect(
        &c, HEALTH("503 Service Unavailable", "19", "keep-alive", "no agent available\n"));
    server_agent_open(&w, &a, "one", 1);
    server_client_say(&c, "GET /readyz?verbose HTTP/1.1\r\n\r\n");
    server_client_expect(&c, HEALTH("200 OK", "6", "keep-alive", "ready\n"));
    server_client_say(&c, "HEAD /readyz HTTP/1.1\r\nConnection: close\r\n\r\n");
    server_client_expect(&c, HEALTH("200 OK", "6", "close", ""));
    server_client_expect_end(&c);
    server_client_close(&c);
    server_agent_close(&a);
    server_world_until_notice(&w, "down one");
    server_client_ask(&w, "GET /readyz HTTP/1.0\r\n\r\n",
                      "HTTP/1.0 503 Service Unavailable\r\nCache-Control: no-store\r\n" PLAIN_HEAD(
                          "19", "close") "no agent available\n");
    server_world_free(&w);
}

static void ask_at(server_world_t *w, size_t n, const char *request, const char *answer) {
    char saved[sizeof(w->address)];
    memcpy(saved, w->address, sizeof(saved));
    snprintf(w->address, sizeof(w->address), "%s", wst_server_address(w->server, n));
    server_client_ask(w, request, answer);
    memcpy(w->address, saved, sizeof(saved));
}

static void set_pac(server_world_t *w, const char *pattern, const char *proxy) {
    const char *const destinations[] = {pattern, NULL};
    const wst_pac_options_t options = {
        .size = sizeof(options), .destinations = destinations, .proxy = proxy};
    wst_pac_t *pac;
    assert_int_equal(wst_pac_new(&pac, &options, NULL), 0);
    wst_server_set_pac(w->server, pac);
}

/* Gets the proxy auto-config file; nobody else gets a word of it. */
static void expect_pac(server_world_t *w, const char *request, const char *proxy,
                       const char *condition) {
    server_client_t c;
    server_client_open(w, &c);
    server_client_say(&c, request);
    test_env_until_count(&w->env, &c.ended, 1);
    assert_int_equal(strncmp(c.got, "HTTP/1.1 200 OK\r\n", 17), 0);
    assert_non_null(strstr(c.got, "\r\nContent-Type: application/x-ns-proxy-autoconfig\r\n"));
    assert_non_null(strstr(c.got, "\r\nCache-Control: no-store\r\n"));
    assert_non_null(strstr(c.got, "\r\nX-Content-Type-Options: nosniff\r\n"));
    assert_non_null(strstr(c.got, "\r\nCross-Origin-Resource-Policy: same-origin\r\n"));
    assert_null(strstr(c.got, "text/plain"));
    assert_int_equal(strstr(c.got, proxy) != NULL, request[0] == 'G');
    assert_int_equal(strstr(c.got, condition) != NULL, request[0] == 'G');
    server_client_close(&c);
}

#define PAC "/proxy.pac HTTP/1.1\r\nConnection: close\r\n"

static void test_pac(void **state) {
    (void)state;
    server_world_t w;
    server_world_init(&w);
    w.clients = SERVER_DENY; /* it needs no credentials */
    server_world_start(&w);
    server_client_ask(&w, "GET " PAC "Host: p:8080\r\n\r\n", NOT_FOUND); /* off by default */
    set_pac(&w, "wiki", NULL);
    expect_pac(&w, "GET " PAC "Host: p:8080\r\n\r\n", "\"PROXY p:8080\"", "\"wiki\"");
    expect_pac(&w, "GET /proxy.pac?x HTTP/1.1\r\nConnection: close\r\nHost: p\r\n\r\n",
               "\"PROXY p:80\"", "\"wiki\"");
    expect_pac(&w, "HEAD " PAC "Host: p:8080\r\n\r\n", "PROXY", "wiki");
    server_client_ask(&w, "POST " PAC "Host: p:8080\r\n\r\n",
                      "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD\r\n"
                      "Content-Length: 0\r\nConnection: close\r\n\r\n");
    server_client_ask(&w, "GET " PAC "\r\n", BAD_HOST);
    server_client_ask(&w, "GET " PAC "Host: a\"; evil()\r\n\r\n", BAD_HOST);
    set_pac(&w, "10.0.0.0/8", "https://q"); /* replaces the other */
    expect_pac(&w, "GET " PAC "\r\n", "\"HTTPS q:443\"", "10.0.0.0");
    assert_int_equal(wst_server_listen(w.server, "127.0.0.1:0", WST_ROLE_HEALTH), 0);
    ask_at(&w, 1, "GET " PAC "Host: p:8080\r\n\r\n", NOT_FOUND);
    wst_server_set_pac(w.server, NULL);
    server_client_ask(&w, "GET " PAC "Host: p:8080\r\n\r\n", NOT_FOUND);
    set_pac(&w, "wiki", NULL); /* freed with the server */
    assert_int_equal(w.client_questions, 0);
    server_world_free(&w);
}

static void test_not_served(void **state) {
    (void)state;
    static const struct {
        const char *request, *answer;
    } cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", NOT_FOUND},
        {"POST /x HTTP/1.1\r\nContent-Length: 2\r\n\r\nab", NOT_FOUND},
        {"GET /healthz/ HTTP/1.1\r\n\r\n", NOT_FOUND},
        {"POST /healthz HTTP/1.1\r\n\r\n",
         "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD\r\nContent-Length: 0\r\n"
         "Connection: close\r\n\r\n"},
        {"POST /websocket HTTP/1.1\r\n\r\n",
         "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET\r\nContent-Length: 0\r\n"
         "Connection: close\r\n\r\n"},
        {"OPTIONS * HTTP/1.1\r\n\r\n",
         "HTTP/1.1 405 Method Not Allowed\r\nAllow: CONNECT, GET\r\nContent-Length: 0\r\n"
         "Connection: close\r\n\r\n"},
    };
    server_world_t w;
    server_world_open(&w);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        server_client_ask(&w, cases[i].request, cases[i].answer);
    assert_int_equal(w.refusals, 0);
    server_world_free(&w);
}

/* Each address has its own roles. */
static void test_roles(void **state) {
    (void)state;
    static const char no_connect[] =
        "HTTP/1.1 403 Clients are not served at this address\r\n"
        "Proxy-Status: libwstunnel; error=http_request_denied; "
        "details=\"Clients are not served at this address\"\r\n" PLAIN_HEAD(
            "39", "close") "Clients are not served at this address\n";
    server_world_t w;
    server_world_init(&w);
    w.clients = SERVER_DENY;
    server_world_start(&w);
    assert_int_equal(wst_server_listen(w.server, "127.0.0.1:0", WST_ROLE_HEALTH), 0);
    assert_int_equal(wst_server_listen(w.server, "127.0.0.1:0", WST_ROLE_CONNECT), 0);
    assert_int_equal(wst_server_listen(w.server, "127.0.0.1:0", WST_ROLE_AGENTS), 0);
    ask_at(&w, 1, CONNECT, no_connect);
    ask_at(&w, 3, CONNECT, no_connect);
    ask_at(&w, 1, "GET /websocket HTTP/1.1\r\n\r\n", NOT_FOUND);
    ask_at(&w, 2, "GET /websocket HTTP/1.1\r\n\r\n", NOT_FOUND);
    ask_at(&w, 2, "GET /healthz HTTP/1.1\r\n\r\n", NOT_FOUND);
    ask_at(&w, 3, "GET /readyz HTTP/1.1\r\n\r\n", NOT_FOUND);
    /* Where there is no proxy, the absolute form is just another way to name the path. */
    ask_at(&w, 1, "GET http://server/healthz HTTP/1.1\r\nConnection: close\r\n\r\n",
           HEALTH("200 OK", "3", "close", "ok\n"));
    assert_int_equal(w.client_questions, 0);
    server_world_free(&w);
}

static bool is_operator_there(void *w) {
    return ((server_world_t *)w)->admin_stream != NULL;
}

/* The connections of operators are the embedder's, at addresses of their own. */
static void test_operators(void **state) {
    (void)state;
    server_world_t w;
    server_client_t c;
    server_world_init(&w);
    w.admits_operators = true;
    server_world_start(&w);
    assert_int_equal(wst_server_listen(w.server, "127.0.0.1:0", WST_ROLE_ADMIN | WST_ROLE_HEALTH),
                     WST_EINVAL);
    assert_int_equal(wst_server_listen(w.server, "127.0.0.1:0", WST_ROLE_ADMIN), 0);
    server_client_open_at(&w, &c, wst_server_address(w.server, 1));
    test_env_until(&w.env, is_operator_there, &w);
    assert_string_equal(w.notices, "");
    wst_stream_close(w.admin_stream, NULL);
    server_client_close(&c);
    server_world_free(&w);
    server_world_open(&w);
    assert_int_equal(wst_server_listen(w.server, "127.0.0.1:0", WST_ROLE_ADMIN), WST_EINVAL);
    server_world_free(&w);
}

/* Bounds and deadlines of a head are the hijack's; here they only have to arrive. */
static void test_head_options(void **state) {
    (void)state;
    char request[300];
    server_client_t c;
    server_world_t w;
    server_world_init(&w);
    w.http.head_max = 200;
    w.limits.head_timeout_ms = 30;
    server_world_start(&w);
    snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nX: %0250d", 1);
    server_client_open(&w, &c);
    server_client_say(&c, request);
    server_client_expect(&c, "HTTP/1.1 431 ");
    server_client_close(&c);
    server_client_open(&w, &c);
    server_client_say(&c, "GET /");
    server_client_expect(&c, "HTTP/1.1 408 ");
    server_client_close(&c);
    server_world_free(&w);
}

/* --- connections brought along --- */

static void test_adopt(void **state) {
    (void)state;
    server_world_t w;
    server_world_open(&w);
    int fds[2];
    assert_int_equal(uv_socketpair(SOCK_STREAM, 0, fds, 0, 0), 0);
    wst_stream_t *ours, *theirs;
    assert_int_equal(wst_socket_open(&ours, w.env.ctx, fds[0], true), 0);
    assert_int_equal(wst_socket_open(&theirs, w.env.ctx, fds[1], true), 0);
    assert_int_equal(wst_server_adopt(w.server, theirs, WST_ROLE_HEALTH), 0);
    server_client_t c;
    server_client_use(&w, &c, ours);
    server_client_say(&c, "GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n");
    server_client_expect(&c, HEALTH("200 OK", "3", "close", "ok\n"));
    server_client_expect_end(&c);
    server_client_close(&c);
    server_world_free(&w);
}

/* --- limits --- */

/* Further clients wait in the kernel until there is a place; whatever the places were used for. */
static void test_max_connections(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t tunnel, idle, waiting;
    server_world_init(&w);
    w.limits.max_connections = 3;
    server_world_start(&w);
    server_agent_open(&w, &a, "one", 1);
    server_client_connect(&w, &tunnel);
    server_client_open(&w, &idle);
    server_world_until_connections(&w, 3);
    server_client_open(&w, &waiting);
    server_client_say(&waiting, "GET /healthz HTTP/1.1\r\n\r\n");
    test_env_turns(&w.env, 50);
    assert_int_equal(waiting.got_len, 0);
    wst_server_stats_t stats = server_world_stats(&w);
    assert_int_equal(stats.connections, 3);
    assert_int_equal(wst_server_listen(w.server, "127.0.0.1:0", 0), 0); /* it waits as well */
    server_client_t second;
    server_client_open_at(&w, &second, wst_server_address(w.server, 1));
    server_client_say(&second, "GET /healthz HTTP/1.1\r\n\r\n");
    test_env_turns(&w.env, 50);
    assert_int_equal(second.got_len, 0);

    int fds[2];
    assert_int_equal(uv_socketpair(SOCK_STREAM, 0, fds, 0, 0), 0);
    wst_stream_t *ours, *theirs;
    assert_int_equal(wst_socket_open(&ours, w.env.ctx, fds[0], true), 0);
    assert_int_equal(wst_socket_open(&theirs, w.env.ctx, fds[1], true), 0);
    assert_int_equal(wst_server_adopt(w.server, theirs, 0), WST_ELIMIT);
    wst_stream_close(ours, NULL);
    wst_stream_close(theirs, NULL);

    server_client_close(&tunnel);
    server_client_close(&idle);
    server_client_expect(&waiting, HEALTH("200 OK", "3", "keep-alive", "ok\n"));
    server_client_expect(&second, HEALTH("200 OK", "3", "keep-alive", "ok\n"));
    server_client_close(&waiting);
    server_client_close(&second);
    server_agent_close(&a);
    server_world_free(&w);
}

/* Without a limit given, the descriptors of the process are one. */
/* Bounds can be moved while the server is at them. */
static void test_set_limits(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t tunnel, waiting, refused, second;
    server_world_init(&w);
    w.limits.max_connections = 2;
    w.limits.max_agent_streams = 1;
    server_world_start(&w);
    server_agent_open(&w, &a, "one", 1);
    server_client_connect(&w, &tunnel);
    assert_false(wst_remote_is_ready(w.last_up));
    server_client_open(&w, &waiting);
    server_client_say(&waiting, "GET /healthz HTTP/1.1\r\n\r\n");
    test_env_turns(&w.env, 50);
    assert_int_equal(waiting.got_len, 0);

    wst_server_limits_t limits = {
        .size = sizeof(limits), .stream_window = 1023, .max_connections = 100};
    assert_int_equal(wst_server_set_limits(w.server, &limits), WST_EINVAL);
    test_env_turns(&w.env, 20);
    assert_int_equal(waiting.got_len, 0);
    limits =
        (wst_server_limits_t){.size = sizeof(limits), .max_connections = 4, .max_agent_streams = 2};
    assert_int_equal(wst_server_set_limits(w.server, &limits), 0);
    server_client_expect(&waiting, HEALTH("200 OK", "3", "keep-alive", "ok\n"));
    assert_true(wst_remote_is_ready(w.last_up));
    server_client_connect(&w, &second);
    server_client_close(&waiting);

    limits.max_agent_streams = 1; /* below what is open, which goes on */
    limits.max_connections = 0;   /* the default */
    assert_int_equal(wst_server_set_limits(w.server, &limits), 0);
    server_client_open(&w, &refused);
    server_client_say(&refused, "CONNECT host:22 HTTP/1.1\r\n\r\n");
    server_client_expect(&refused, "HTTP/1.1 503 Agent has too many streams\r\n");
    server_client_close(&refused);
    server_client_say(&second, "still there");
    server_agent_expect(&a, "still there");
    server_client_close(&tunnel);
    server_client_close(&second);
    server_agent_close(&a);
    server_world_free(&w);
}

static int raw_connect(const char *address) {
    struct sockaddr_in there;
    int fd = socket(AF_INET, SOCK_STREAM, 0),
        port = (int)strtoul(strrchr(address, ':') + 1, NULL, 10);
    assert_int_equal(uv_ip4_addr("127.0.0.1", port, &there), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&there, sizeof(there)), 0);
    return fd;
}

/* All come from one source, which gets 16 of 17; the next one is reset. */
static void test_default_connections(void **state) {
    (void)state;
    enum { CLIENTS = 71 }; /* of 75, as a quarter is spare */
    char byte;
    struct rlimit old, few;
    server_world_t w;
    server_client_t *c = calloc(CLIENTS, sizeof(*c));
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    few = old;
    few.rlim_cur = 100;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    server_world_open(&w);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    for (size_t i = 0; i < CLIENTS; i++)
        server_client_open(&w, &c[i]);
    test_env_turns(&w.env, 50);
    wst_server_stats_t stats = server_world_stats(&w);
    assert_int_equal(stats.connections, CLIENTS);
    int fd = raw_connect(w.address);
    test_env_until_count(&w.env, &w.refusals, 1);
    assert_int_equal(recv(fd, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    close(fd);
    server_world_assert_notice(&w, "refused  0 Too many connections from this source\n");
    stats = server_world_stats(&w);
    assert_int_equal(stats.connections, CLIENTS);
    assert_int_equal(stats.turned_away, 1);
    for (size_t i = 0; i < CLIENTS; i++)
        server_client_close(&c[i]);
    server_world_free(&w);
    free(c);
}

static void test_max_pending(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    server_world_init(&w);
    w.limits.max_pending = 1;
    server_world_start(&w);
    server_agent_open(&w, &a, "one", 1);
    a.treatment = SERVER_AGENT_KEEP;
    server_client_open(&w, &c);
    server_client_say(&c, CONNECT);
    test_env_until_count(&w.env, &a.asked, 1);
    server_client_ask(
        &w, CONNECT,
        "HTTP/1.1 503 Too many connections being opened\r\n"
        "Proxy-Status: libwstunnel; error=connection_limit_reached; "
        "details=\"Too many connections being opened\"\r\n"
        "Retry-After: 5\r\n" PLAIN_HEAD("34", "close") "Too many connections being opened\n");
    server_client_close(&c);
    test_env_until_count(&w.env, &a.cancelled, 1);
    a.treatment = SERVER_AGENT_ACCEPT;
    server_client_connect(&w, &c);
    server_client_close(&c);
    server_agent_close(&a);
    server_world_free(&w);
}

/* --- drain --- */

#define SHUTTING_DOWN                                                                              \
    "HTTP/1.1 503 Server is shutting down\r\n"                                                     \
    "Proxy-Status: libwstunnel; error=proxy_internal_response; "                                   \
    "details=\"Server is shutting down\"\r\n"                                                      \
    "Retry-After: 5\r\n" PLAIN_HEAD("24", "close") "Server is shutting down\n"

static void test_drain(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t tunnel, monitor, late;
    server_world_open(&w);
    server_agent_open(&w, &a, "one", 1);
    server_client_connect(&w, &tunnel);
    server_client_open(&w, &monitor);
    server_client_open(&w, &late);
    server_client_say(&monitor, "GET /readyz HTTP/1.1\r\n\r\n");
    server_client_expect(&monitor, HEALTH("200 OK", "6", "keep-alive", "ready\n"));
    server_client_say(&late, "CONN");
    test_env_turns(&w.env, 10);
    assert_false(wst_server_is_draining(w.server));
    wst_server_drain(w.server);
    assert_true(wst_server_is_draining(w.server));
    wst_server_drain(w.server);
    assert_null(wst_server_address(w.server, 0));
    assert_int_equal(wst_server_listen(w.server, "127.0.0.1:0", 0), WST_ESTATE);
    test_env_until_count(&w.env, &a.goaways, 1);
    server_client_say(&monitor, "GET /readyz HTTP/1.1\r\n\r\n");
    server_client_expect(&monitor,
                         HEALTH("503 Service Unavailable", "14", "keep-alive", "shutting down\n"));
    server_client_say(&late, "ECT host:22 HTTP/1.1\r\n\r\n");
    server_client_expect(&late, SHUTTING_DOWN);
    server_client_expect_end(&late);
    server_client_say(&tunnel, "still open");
    server_agent_expect(&a, "still open");
    test_env_turns(&w.env, 10);
    assert_int_equal(w.drained, 0);
    server_client_close(&tunnel);
    test_env_until_count(&w.env, &w.drained, 1);
    test_env_turns(&w.env, 10);
    assert_int_equal(w.drained, 1);
    server_client_close(&monitor);
    server_client_close(&late);
    server_agent_close(&a);
    server_world_free(&w);
}

/* Monitors see that the server is about to leave; all others are served until the delay ends. */
static void test_drain_delay(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a, b;
    server_client_t monitor, c;
    server_world_init(&w);
    w.limits.drain_delay_ms = 200;
    server_world_start(&w);
    server_agent_open(&w, &a, "one", 1);
    wst_server_drain(w.server);
    server_client_open(&w, &monitor);
    server_client_say(&monitor, "GET /readyz HTTP/1.1\r\n\r\n");
    server_client_expect(&monitor,
                         HEALTH("503 Service Unavailable", "14", "keep-alive", "shutting down\n"));
    server_agent_open(&w, &b, "two", 2);
    server_client_connect(&w, &c);
    assert_int_equal(a.goaways + b.goaways, 0);
    test_env_until_count(&w.env, &a.goaways, 1);
    assert_null(wst_server_address(w.server, 0));
    server_client_close(&c);
    test_env_until_count(&w.env, &w.drained, 1);
    server_client_close(&monitor);
    server_agent_close(&a);
    server_agent_close(&b);
    server_world_free(&w);
}

/* A close does not wait for the delay. */
static void test_close_in_drain_delay(void **state) {
    (void)state;
    server_world_t w;
    server_world_init(&w);
    w.limits.drain_delay_ms = 3600000;
    server_world_start(&w);
    wst_server_drain(w.server);
    test_env_turns(&w.env, 5);
    assert_int_equal(w.drained, 0);
    assert_non_null(wst_server_address(w.server, 0));
    server_world_free(&w);
}

/* Nothing is open: it is done at once, but not from inside the call. */
static void test_drain_idle(void **state) {
    (void)state;
    server_world_t w;
    server_world_open(&w);
    wst_server_drain(w.server);
    assert_int_equal(w.drained, 0);
    test_env_until_count(&w.env, &w.drained, 1);
    server_world_free(&w);
}

static bool is_told_or_down(void *arg) {
    const server_agent_t *a = arg;
    return a->goaways + a->down > 0;
}

/* A dial under way is waited for, and for its tunnel; the deadline ends the wait. */
static void test_drain_deadline(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    server_world_init(&w);
    w.limits.drain_timeout_ms = 50;
    server_world_start(&w);
    server_agent_open(&w, &a, "one", 1);
    a.treatment = SERVER_AGENT_KEEP;
    server_client_open(&w, &c);
    server_client_say(&c, CONNECT);
    test_env_until_count(&w.env, &a.asked, 1);
    wst_server_drain(w.server);
    test_env_until_count(&w.env, &a.goaways, 1);
    assert_int_equal(w.drained, 0);
    wst_stream_t *stream;
    wst__incoming_t *incoming = a.incoming;
    assert_int_equal(incoming->ops->accept(incoming, "", &stream), 0);
    server_client_expect(&c, "HTTP/1.1 200 Connection established\r\n\r\n");
    test_env_until_count(&w.env, &w.drained, 1);
    assert_int_equal(w.closes, 0);
    wst_stream_close(stream, NULL);
    server_client_close(&c);
    server_agent_close(&a);
    test_env_turns(&w.env, 20);
    assert_int_equal(w.drained, 1);
    server_world_free(&w);
}

/* An agent that was about to say hello when the drain began learns of it. */
static void test_drain_during_hello(void **state) {
    (void)state;
    bool early = true;
    for (int turns = 0; early; turns++) {
        server_world_t w;
        server_agent_t a;
        server_world_open(&w);
        server_agent_init(&w, &a, "one", 1);
        server_agent_start(&a);
        test_env_until_count(&w.env, &a.connected, 1);
        test_env_turns(&w.env, turns);
        early = w.ups == 0;
        wst_server_drain(w.server);
        test_env_until(&w.env, is_told_or_down, &a);
        server_agent_close(&a);
        server_world_free(&w);
    }
}

/* One that was still being decided on is not let in. */
static void test_drain_during_upgrade(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_world_init(&w);
    w.agents = SERVER_HOLD;
    server_world_start(&w);
    server_agent_init(&w, &a, "one", 1);
    server_agent_start(&a);
    test_env_until_count(&w.env, &w.agent_questions, 1);
    wst_server_drain(w.server);
    wst_request_allow(w.held);
    test_env_until_count(&w.env, &a.down, 1);
    assert_int_equal(a.down_error, WST_EREJECTED);
    assert_non_null(strstr(a.detail, "503 Server is shutting down"));
    assert_int_equal(w.ups, 0);
    server_agent_close(&a);
    server_world_free(&w);
}

/* A question that is answered after the drain began. */
static void test_drain_during_question(void **state) {
    (void)state;
    server_world_t w;
    server_client_t c;
    server_world_init(&w);
    w.clients = SERVER_HOLD;
    server_world_start(&w);
    server_client_open(&w, &c);
    server_client_say(&c, CONNECT);
    test_env_until_count(&w.env, &w.client_questions, 1);
    wst_server_drain(w.server);
    wst_request_allow(w.held);
    server_client_expect(&c, SHUTTING_DOWN);
    server_client_close(&c);
    server_world_free(&w);
}

/* A drain waits for the answer about a client, so that the client gets its own answer, too. */
static void test_drained_during_question(void **state) {
    (void)state;
    server_world_t w;
    server_client_t c;
    server_world_init(&w);
    w.clients = SERVER_HOLD;
    server_world_start(&w);
    server_client_open(&w, &c);
    server_client_say(&c, CONNECT);
    test_env_until_count(&w.env, &w.client_questions, 1);
    wst_server_drain(w.server);
    test_env_turns(&w.env, 20);
    assert_int_equal(w.drained, 0); /* it waits for the answer, so that the client gets its own */
    wst_request_allow(w.held);
    server_client_expect(&c, "HTTP/1.1 503 Server is shutting down\r\n");
    server_client_close(&c);
    test_env_until_count(&w.env, &w.drained, 1);
    server_world_free(&w);
}

static int not_served_code;

static void note_code(wst_server_t *server, const wst_refusal_info_t *info, void *user_data) {
    (void)server, (void)user_data;
    not_served_code = info->code;
}

/* A client where none are served is denied; its request is not malformed. */
static void test_not_offered_code(void **state) {
    (void)state;
    server_world_t w;
    server_client_t c;
    server_world_open(&w);
    w.server->callbacks.on_refused = note_code;
    assert_int_equal(wst_server_listen(w.server, "127.0.0.1:0", WST_ROLE_HEALTH), 0);
    server_client_open_at(&w, &c, wst_server_address(w.server, 1));
    server_client_say(&c, "CONNECT host:22 HTTP/1.1\r\n\r\n");
    server_client_expect(&c, "HTTP/1.1 403 ");
    server_client_close(&c);
    server_world_free(&w);
    assert_int_equal(not_served_code, WST_EDENIED);
}

int main(int argc, char **argv) {
    if (argc > 1) /* one test alone */
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_insecure),
        cmocka_unit_test(test_health),
        cmocka_unit_test(test_pac),
        cmocka_unit_test(test_not_served),
        cmocka_unit_test(test_roles),
        cmocka_unit_test(test_operators),
        cmocka_unit_test(test_not_offered_code),
        cmocka_unit_test(test_drained_during_question),
        cmocka_unit_test(test_head_options),
        cmocka_unit_test(test_adopt),
        cmocka_unit_test(test_max_connections),
        cmocka_unit_test(test_set_limits),
        cmocka_unit_test(test_default_connections),
        cmocka_unit_test(test_max_pending),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_drain_delay),
        cmocka_unit_test(test_close_in_drain_delay),
        cmocka_unit_test(test_drain_idle),
        cmocka_unit_test(test_drain_deadline),
        cmocka_unit_test(test_drain_during_question),
        cmocka_unit_test(test_drain_during_hello),
        cmocka_unit_test(test_drain_during_upgrade),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
