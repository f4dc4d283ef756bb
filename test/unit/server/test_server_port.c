/* SPDX-License-Identifier: MIT */
/* Ports: what becomes of a connection that comes in at one. */
#include "early.h"
#include "server_world.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/un.h>
#include <unistd.h>

#include <wstunnel/error.h>
#include <wstunnel/port.h>
#include <wstunnel/socket.h>

static wst_port_t *open_port(server_world_t *w, const wst_port_options_t *options) {
    wst_port_options_t o = *options;
    wst_port_t *port;
    o.size = sizeof(o);
    o.listen = o.listen != NULL ? o.listen : "127.0.0.1:0";
    o.destination = o.destination != NULL ? o.destination : "host:22";
    assert_int_equal(wst_port_new(&port, w->server, &o), 0);
    return port;
}

/* A server with an agent "one" and a port to host:22. */
static wst_port_t *open_world(server_world_t *w, server_agent_t *a, server_treatment_t treatment) {
    server_world_open(w);
    server_agent_open(w, a, "one", 1);
    a->treatment = treatment;
    return open_port(w, &(wst_port_options_t){.user = NULL});
}

static void connect_to(server_world_t *w, server_client_t *c, const wst_port_t *port) {
    server_client_open_at(w, c, wst_port_address(port));
}

static void close_world(server_world_t *w, server_agent_t *a) {
    server_world_until_connections(w, 1); /* the agent's */
    server_agent_close(a);
    server_world_free(w);
}

/* -- Established ------------------------------------------------------------------------------ */

/* The server speaks first; then each side ends when it likes. */
static void test_relays(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    wst_port_t *port = open_world(&w, &a, SERVER_AGENT_ACCEPT);
    connect_to(&w, &c, port);
    test_env_until_count(&w.env, &a.asked, 1);
    assert_string_equal(a.destination, "host:22");
    server_agent_say(&a, "220 ready\r\n");
    server_client_expect(&c, "220 ready\r\n");
    server_client_say(&c, "question");
    server_client_end(&c);
    server_agent_expect(&a, "question");
    test_env_until_count(&w.env, &a.stream_ended, 1);
    server_agent_say(&a, "answer");
    server_client_expect(&c, "answer");
    assert_int_equal(wst_stream_shutdown(a.stream), 0);
    server_client_expect_end(&c);
    server_world_until_notice(&w, "close 1  host:22 one to_agent=8 to_client=17 0 by client\n");
    assert_int_equal(w.opens, 1);
    server_client_close(&c);
    close_world(&w, &a);
}

/* Bytes of the client that are there before the destination is; in any pieces, with an end behind
 * them or without. */
static void test_data_ahead(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        bool pieces = i % 2 == 1, end = i >= 2;
        server_world_t w;
        server_agent_t a;
        server_client_t c;
        wst_port_t *port = open_world(&w, &a, SERVER_AGENT_KEEP);
        connect_to(&w, &c, port);
        for (const char *at = "early bird"; *at != '\0'; at += pieces ? 1 : 10) {
            server_client_send(&c, at, pieces ? 1 : 10);
            if (pieces)
                test_env_turns(&w.env, 5);
        }
        if (end)
            server_client_end(&c);
        test_env_until_count(&w.env, &a.asked, 1);
        test_env_turns(&w.env, 20);
        assert_int_equal(a.cancelled, 0);
        server_agent_accept(&a);
        server_agent_expect(&a, "early bird");
        if (end)
            test_env_until_count(&w.env, &a.stream_ended, 1);
        assert_int_equal(a.stream_ended, end);
        server_agent_say(&a, "answer");
        server_client_expect(&c, "answer");
        assert_int_equal(wst_stream_shutdown(a.stream), 0);
        server_client_expect_end(&c);
        if (end)
            server_world_until_notice(&w,
                                      "close 1  host:22 one to_agent=10 to_client=6 0 by client\n");
        server_client_close(&c);
        close_world(&w, &a);
    }
}

enum { BYTES_RECEIVED = 128 /* tcpi_bytes_received, of the kernel's struct tcp_info */ };

/* What the kernel has received for the port's end of the client's connection, in this process, and
 * what of it has been read. */
static void received(const wst_port_t *port, size_t *all, size_t *read) {
    uint8_t info[256];
    struct sockaddr_storage own, peer;
    char text[64];
    uint64_t bytes;
    for (int fd = 3; fd < 256; fd++) {
        socklen_t len = sizeof(own), peer_len = sizeof(peer), info_len = sizeof(info);
        int unread;
        if (getsockname(fd, (struct sockaddr *)&own, &len) != 0 || own.ss_family != AF_INET ||
            getpeername(fd, (struct sockaddr *)&peer, &peer_len) != 0)
            continue;
        snprintf(text, sizeof(text), "127.0.0.1:%u",
                 (unsigned)ntohs(((struct sockaddr_in *)&own)->sin_port));
        if (strcmp(text, wst_port_address(port)) != 0)
            continue;
        assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &info_len), 0);
        assert_true(info_len >= BYTES_RECEIVED + sizeof(bytes));
        memcpy(&bytes, info + BYTES_RECEIVED, sizeof(bytes));
        assert_int_equal(ioctl(fd, FIONREAD, &unread), 0);
        *all = (size_t)bytes;
        *read = *all - (size_t)unread;
        return;
    }
    *all = *read = 0;
}

typedef struct ahead {
    const wst_port_t *port;
    size_t least;
} ahead_t;

static bool has_received(void *arg) {
    const ahead_t *ahead = arg;
    size_t all, read;
    received(ahead->port, &all, &read);
    return all >= ahead->least;
}

/* Of a client that sends without end so much is read and no more; then all of it arrives. */
static void test_bound_ahead(void **state) {
    (void)state;
    enum { LEN = 4 * WST__EARLY_MAX };
    static char data[LEN + 1];
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    size_t all, read;
    memset(data, 'x', LEN);
    wst_port_t *port = open_world(&w, &a, SERVER_AGENT_KEEP);
    connect_to(&w, &c, port);
    server_client_say(&c, data);
    ahead_t ahead = {port, 2 * WST__EARLY_MAX};
    test_env_until(&w.env, has_received, &ahead);
    test_env_turns(&w.env, 50);
    received(port, &all, &read);
    assert_int_equal(read, WST__EARLY_MAX);
    a.forgets = true;
    server_agent_accept(&a);
    test_env_until_count(&w.env, &a.forgotten, LEN);
    server_client_close(&c);
    close_world(&w, &a);
}

/* The same if it has sent all that before the server accepts it. */
static void test_bound_before_accept(void **state) {
    (void)state;
    static char data[2 * WST__EARLY_MAX];
    server_world_t w;
    server_agent_t a;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    size_t all, read;
    wst_port_t *port = open_world(&w, &a, SERVER_AGENT_KEEP);
    to.sin_port = htons((uint16_t)atoi(strrchr(wst_port_address(port), ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(send(fd, data, sizeof(data), 0), sizeof(data));
    test_env_until_count(&w.env, &a.asked, 1);
    test_env_turns(&w.env, 50);
    received(port, &all, &read);
    assert_int_equal(all, sizeof(data));
    assert_int_equal(read, WST__EARLY_MAX);
    a.forgets = true;
    server_agent_accept(&a);
    test_env_until_count(&w.env, &a.forgotten, sizeof(data));
    const struct linger reset = {.l_onoff = 1};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    close(fd);
    close_world(&w, &a);
}

/* -- Refused ---------------------------------------------------------------------------------- */

/* The client is reset; the notice and the log tell why. */
static void test_refused(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    wst_port_t *port = open_world(&w, &a, SERVER_AGENT_REFUSE);
    a.reason = WST_EREFUSED;
    wst_ctx_set_log_level(w.env.ctx, WST_LOG_DEBUG);
    connect_to(&w, &c, port);
    server_client_say(&c, "early bird");
    server_client_expect_reset(&c);
    assert_int_equal(w.refusals, 1);
    server_world_assert_notice(&w, "refused host:22 502 Connection refused");
    assert_non_null(strstr(w.env.log, ": host:22 refused: 502 Connection refused"));
    assert_non_null(strstr(w.env.log, "client 127.0.0.1:"));
    server_client_close(&c);
    close_world(&w, &a);
}

/* The port is there whether or not an agent is. */
static void test_agent_comes_and_goes(void **state) {
    (void)state;
    server_world_t w;
    server_world_open(&w);
    wst_port_t *port = open_port(&w, &(wst_port_options_t){.user = NULL});
    for (uint8_t i = 1; i <= 2; i++) {
        server_agent_t a;
        server_client_t c;
        connect_to(&w, &c, port);
        server_client_expect_reset(&c);
        server_world_assert_notice(&w, "refused host:22 503 No agent available\n");
        server_client_close(&c);
        server_agent_open(&w, &a, "one", i);
        connect_to(&w, &c, port);
        server_client_say(&c, "question");
        server_agent_expect(&a, "question");
        server_agent_close(&a);
        server_client_expect_reset(&c);
        server_client_close(&c);
        server_world_until_connections(&w, 0);
    }
    server_world_free(&w);
}

/* An agent that is lost before it has answered: another one serves the client, unless bytes have
 * gone ahead, which may be delivered. */
static void test_agent_lost(void **state) {
    (void)state;
    for (int says = 0; says < 2; says++) {
        server_world_t w;
        server_agent_t agents[2];
        server_client_t c;
        server_world_init(&w);
        w.agents = SERVER_ALLOW;
        server_world_start(&w);
        server_agent_open(&w, &agents[0], "one", 1);
        server_agent_open(&w, &agents[1], "two", 2);
        agents[0].treatment = agents[1].treatment = SERVER_AGENT_KEEP;
        connect_to(&w, &c, open_port(&w, &(wst_port_options_t){.user = NULL}));
        if (says)
            server_client_say(&c, "early bird");
        test_env_turns(&w.env, 50);
        assert_int_equal(agents[0].asked + agents[1].asked, 1);
        server_agent_t *asked = &agents[agents[1].asked], *other = &agents[agents[0].asked];
        server_agent_close(asked);
        if (says) {
            server_client_expect_reset(&c);
            server_world_assert_notice(&w, "refused host:22 503 Agent lost\n");
        } else {
            test_env_until_count(&w.env, &other->asked, 1);
            server_agent_accept(other);
            server_client_say(&c, "question");
            server_agent_expect(other, "question");
        }
        assert_int_equal(other->asked, !says);
        server_client_close(&c);
        close_world(&w, other);
    }
}

/* A client that goes away while its flow is under way cancels it; nobody was refused. */
static void test_client_leaves(void **state) {
    (void)state;
    static const struct {
        const char *says;
        bool by_end;
    } cases[] = {{"", true}, {"", false}, {"early", false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        server_world_t w;
        server_agent_t a;
        server_client_t c;
        wst_port_t *port = open_world(&w, &a, SERVER_AGENT_KEEP);
        connect_to(&w, &c, port);
        if (cases[i].says[0] != '\0')
            server_client_say(&c, cases[i].says);
        test_env_until_count(&w.env, &a.asked, 1);
        test_env_turns(&w.env, 10);
        if (cases[i].by_end) {
            server_client_end(&c);
            test_env_until_count(&w.env, &a.cancelled, 1);
            server_client_close(&c);
        } else {
            server_client_close(&c);
            test_env_until_count(&w.env, &a.cancelled, 1);
        }
        assert_int_equal(w.refusals + w.opens, 0);
        close_world(&w, &a);
    }
}

/* Also while the embedder is still being asked, who is told. */
static void test_client_leaves_question(void **state) {
    (void)state;
    server_world_t w;
    server_client_t c;
    server_world_init(&w);
    w.clients = SERVER_HOLD;
    server_world_start(&w);
    wst_port_t *port = open_port(&w, &(wst_port_options_t){.user = NULL});
    connect_to(&w, &c, port);
    test_env_until_count(&w.env, &w.client_questions, 1);
    server_client_close(&c);
    test_env_until_count(&w.env, &w.gone, 1);
    server_world_until_connections(&w, 0);
    server_world_free(&w);
}

/* -- Through whom, for whom ------------------------------------------------------------------- */

/* An agent of the name, or with the labels, that the port asks for. */
static void test_agents(void **state) {
    (void)state;
    static const char *const eu[] = {"eu", NULL}, *const us[] = {"us", "big", NULL};
    static const char *const big[] = {"big", NULL}, *const both[] = {"eu", "big", NULL};
    server_world_t w;
    server_agent_t one, two;
    server_client_t c;
    server_world_init(&w);
    w.agents = SERVER_ALLOW;
    server_world_start(&w);
    w.agent_labels = eu;
    server_agent_open(&w, &one, "one", 1);
    w.agent_labels = us;
    server_agent_open(&w, &two, "two", 1);
    const wst_port_options_t of_two[] = {{.agent = "two"}, {.labels = big}};
    for (size_t i = 0; i < 2; i++) {
        wst_port_t *port = open_port(&w, &of_two[i]);
        for (size_t n = 1; n <= 3; n++) { /* by default the two would take turns */
            connect_to(&w, &c, port);
            test_env_until_count(&w.env, &two.asked, 3 * i + n);
            server_client_say(&c, "x");
            server_agent_expect(&two, "x");
            server_client_close(&c);
        }
    }
    assert_int_equal(one.asked, 0);
    const wst_port_options_t of_none[] = {{.agent = "three"}, {.labels = both}};
    for (size_t i = 0; i < 2; i++) {
        connect_to(&w, &c, open_port(&w, &of_none[i]));
        server_client_expect_reset(&c);
        server_client_close(&c);
    }
    assert_int_equal(w.refusals, 2);
    server_agent_close(&one);
    server_agent_close(&two);
    server_world_free(&w);
}

/* Without users a port can name whose it is all the same: agents of others do not serve it. */
static void test_tenant(void **state) {
    (void)state;
    static const struct {
        wst_port_options_t port;
        const char *notice;
    } cases[] = {
        {{.tenant = "acme"}, "open 1  host:22 one\n"},
        {{.user = "alice", .tenant = "acme"}, "open 1 alice host:22 one\n"},
        {{.user = "alice"}, "refused host:22 503 No agent available\n"},
        {{.tenant = "other"}, "refused host:22 503 No agent available\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        server_world_t w;
        server_agent_t a;
        server_client_t c;
        server_world_init(&w);
        w.agents = SERVER_ALLOW;
        w.agent_tenant = "acme";
        server_world_start(&w);
        server_agent_open(&w, &a, "one", 1);
        connect_to(&w, &c, open_port(&w, &cases[i].port));
        server_world_until_notice(&w, cases[i].notice);
        server_client_close(&c);
        close_world(&w, &a);
    }
}

/* The port's user is asked about, chosen for, and asked about again; by the rules of an access
 * object. A port for nobody, or for a user that there is not (any more), serves nobody. */
static void test_users(void **state) {
    (void)state;
    static const wst_access_user_t users[] = {
        {.size = sizeof(wst_access_user_t), .name = "alice", .password = "x", .tenant = "acme"},
        {.size = sizeof(wst_access_user_t), .name = "bob", .password = "x", .tenant = "acme"}};
    static const char *const alice[] = {"alice", NULL}, *const ssh[] = {"host:22", NULL};
    static const wst_rule_t rule = {
        .size = sizeof(rule), .allow = true, .destinations = ssh, .users = alice};
    const struct {
        wst_port_options_t port;
        const char *notice;
    } cases[] = {
        {{.user = "alice"}, "open 1 alice host:22 one\n"},
        {{.user = "alice", .destination = "host:23"},
         "refused host:23 403 No rule of the server allows it\n"},
        {{.user = "bob"}, "refused host:22 403 No rule of the server allows it\n"},
        {{.user = "carol"}, "refused host:22 403 No such user"},
        {{.user = "carol", .tenant = "acme"}, "refused host:22 403 No such user"},
        {{.user = NULL}, "refused host:22 407 Proxy Authentication Required"},
        {{.user = "", .tenant = "acme"}, "refused host:22 407 Proxy Authentication Required"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        server_world_t w;
        server_agent_t a;
        server_client_t c;
        wst_access_options_t options = {.size = sizeof(options), .users = users, .user_count = 2};
        const wst_rules_options_t rules = {.size = sizeof(rules),
                                           .rules = &rule,
                                           .count = 1,
                                           .deny_by_default = true,
                                           .allocator = &test_allocator};
        server_world_init(&w);
        assert_int_equal(wst_rules_new(&options.rules, &rules, NULL), 0);
        assert_int_equal(wst_access_new(&w.access, w.env.ctx, &options, NULL), 0);
        w.agents = SERVER_ALLOW;
        w.agent_tenant = "acme";
        w.clients = w.choice = w.reached = SERVER_ACCESS;
        w.headless = true;
        server_world_start(&w);
        server_agent_open(&w, &a, "one", 1);
        a.address = "192.0.2.7";
        connect_to(&w, &c, open_port(&w, &cases[i].port));
        server_world_until_notice(&w, cases[i].notice);
        assert_int_equal(a.asked, i == 0);
        if (i == 0)
            assert_string_equal(w.reached_what, "192.0.2.7 one");
        server_client_close(&c);
        close_world(&w, &a);
    }
}

/* A port does not lead back to the server: to an address of HTTP, or to a port. */
static void test_not_to_itself(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    wst_port_t *other = open_world(&w, &a, SERVER_AGENT_ACCEPT);
    a.address = "127.0.0.1";
    const char *const own[] = {w.address, wst_port_address(other)};
    for (size_t i = 0; i < 2; i++) {
        const wst_port_options_t options = {.destination = own[i]};
        connect_to(&w, &c, open_port(&w, &options));
        server_client_expect_reset(&c);
        server_client_close(&c);
        assert_int_equal(w.refusals, i + 1);
        assert_non_null(strstr(w.last_refusal, "proxy_loop_detected"));
    }
    assert_null(wst_server_address(w.server, 1)); /* that lists those of HTTP */
    close_world(&w, &a);
}

/* -- Where ------------------------------------------------------------------------------------ */

/* Connections are among max_connections from the first moment to the last; the others wait. */
static void test_max_connections(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c, waits, http;
    server_world_init(&w);
    w.limits.max_connections = 2;
    server_world_start(&w);
    wst_port_t *port = open_port(&w, &(wst_port_options_t){.user = NULL});
    server_agent_open(&w, &a, "one", 1);
    a.treatment = SERVER_AGENT_KEEP;
    connect_to(&w, &c, port);
    test_env_until_count(&w.env, &a.asked, 1);
    connect_to(&w, &waits, port);
    server_client_say(&waits, "here I am");
    test_env_turns(&w.env, 20);
    assert_int_equal(a.asked, 1); /* while the flow is under way */
    server_agent_accept(&a);
    test_env_until_count(&w.env, &w.opens, 1);
    wst_port_t *late = open_port(&w, &(wst_port_options_t){.destination = "late:22"});
    connect_to(&w, &http, late);
    test_env_turns(&w.env, 20);
    assert_int_equal(a.asked, 1); /* and while it relays; at a port that is new as well */
    server_client_close(&http);
    a.treatment = SERVER_AGENT_ACCEPT;
    server_client_close(&c);
    server_agent_expect(&a, "here I am");
    server_client_close(&waits);
    close_world(&w, &a);
}

static void test_unix_socket(void **state) {
    (void)state;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    char path[64];
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    wst_stream_t *stream;
    server_world_open(&w);
    server_agent_open(&w, &a, "one", 1);
    snprintf(path, sizeof(path), "unix:/tmp/test_server_port.%ld", (long)getpid());
    snprintf(un.sun_path, sizeof(un.sun_path), "%s", path + 5);
    wst_port_t *port = open_port(&w, &(wst_port_options_t){.listen = path});
    assert_string_equal(wst_port_address(port), path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    assert_int_equal(wst_socket_open(&stream, w.env.ctx, fd, true), 0);
    server_client_use(&w, &c, stream);
    server_client_say(&c, "question");
    server_agent_expect(&a, "question");
    server_client_end(&c);
    assert_int_equal(wst_stream_shutdown(a.stream), 0);
    server_client_expect_end(&c);
    server_client_close(&c);
    wst_port_close(port, NULL);
    assert_int_equal(access(un.sun_path, F_OK), -1);
    close_world(&w, &a);
}

static int try_port(server_world_t *w, wst_port_options_t options) {
    wst_port_t *port;
    if (options.size == 0)
        options.size = sizeof(options);
    int status = wst_port_new(&port, w->server, &options);
    if (status == 0)
        wst_port_close(port, NULL);
    return status;
}

#define PORT(...)                                                                                  \
    try_port(&w,                                                                                   \
             (wst_port_options_t){.listen = "127.0.0.1:0", .destination = "host:22", __VA_ARGS__})

static void test_options(void **state) {
    (void)state;
    static char at_most[128], more[129];
    static const char *const fits[] = {at_most, NULL}, *const too_long[] = {more, NULL};
    const char *many[34] = {NULL};
    server_world_t w;
    server_world_open(&w);
    memset(at_most, 'x', 127);
    memset(more, 'x', 128);
    for (int i = 0; i < 33; i++)
        many[i] = "label";
    assert_int_equal(PORT(.user = at_most, .tenant = at_most, .labels = fits), 0);
    assert_int_equal(PORT(.agent = at_most + 63), 0);
    assert_int_equal(PORT(.user = more), WST_EINVAL);
    assert_int_equal(PORT(.tenant = more), WST_EINVAL);
    assert_int_equal(PORT(.agent = at_most + 62), WST_EINVAL);
    assert_int_equal(PORT(.labels = too_long), WST_EINVAL);
    assert_int_equal(PORT(.labels = many), WST_EINVAL);
    assert_int_equal(PORT(.size = 1), WST_EINVAL);
    assert_int_equal(try_port(&w, (wst_port_options_t){.listen = "127.0.0.1:0"}), WST_EINVAL);
    assert_int_equal(try_port(&w, (wst_port_options_t){.destination = "host:22"}), WST_EINVAL);
    static const char *const nowhere[] = {"",       "host",       "host:", ":22",
                                          "host:0", "host:65536", "a b:1"};
    for (size_t i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++) {
        const wst_port_options_t o = {.listen = "127.0.0.1:0", .destination = nowhere[i]};
        assert_int_equal(try_port(&w, o), WST_EDEST);
    }
    wst_port_options_t all = {.listen = "0.0.0.0:0", .destination = "host:22"};
    assert_int_equal(try_port(&w, all), WST_EINSECURE);
    all.listen = ":0";
    assert_int_equal(try_port(&w, all), WST_EINSECURE);
    all.open = true;
    assert_int_equal(try_port(&w, all), 0);
    all.listen = "host:22";
    assert_int_equal(try_port(&w, all), WST_EINVAL);
    all.listen = w.address;
    assert_int_equal(try_port(&w, all), UV_EADDRINUSE);
    server_world_free(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_relays),
        cmocka_unit_test(test_data_ahead),
        cmocka_unit_test(test_bound_ahead),
        cmocka_unit_test(test_bound_before_accept),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_agent_comes_and_goes),
        cmocka_unit_test(test_agent_lost),
        cmocka_unit_test(test_client_leaves),
        cmocka_unit_test(test_client_leaves_question),
        cmocka_unit_test(test_agents),
        cmocka_unit_test(test_tenant),
        cmocka_unit_test(test_users),
        cmocka_unit_test(test_not_to_itself),
        cmocka_unit_test(test_max_connections),
        cmocka_unit_test(test_unix_socket),
        cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
