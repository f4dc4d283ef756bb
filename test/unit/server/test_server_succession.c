/* SPDX-License-Identifier: MIT */
/* Sockets that outlive the process: a server leaves its addresses to its successor. */
#include "server.h"
#include "server_world.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wstunnel/port.h>

/* The socket as the successor has it. */
static int copy_of(int fd) {
    assert_true(fd >= 0);
    int copy = dup(fd);
    assert_true(copy >= 0);
    return copy;
}

/* Whether a connection waits for the successor. */
static bool has_waiting(int copy) {
    struct pollfd readable = {.fd = copy, .events = POLLIN};
    return poll(&readable, 1, 0) == 1;
}

static int connect_to(const char *address) {
    struct sockaddr_in there;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int port = (int)strtoul(strrchr(address, ':') + 1, NULL, 10);
    assert_int_equal(uv_ip4_addr("127.0.0.1", port, &there), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&there, sizeof(there)), 0);
    return fd;
}

/* A connection that comes to the address waits. */
static void expect_left(server_world_t *w, const char *address, int copy) {
    int fd = connect_to(address);
    test_env_turns(&w->env, 5);
    assert_true(has_waiting(copy));
    close(fd);
    close(accept(copy, NULL, NULL));
}

static int new_socket(char *address, size_t size) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    assert_int_equal(listen(fd, 5), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    snprintf(address, size, "127.0.0.1:%u", (unsigned)ntohs(in.sin_port));
    return fd;
}

static void listen_on(server_world_t *w, int fd, unsigned roles) {
    char text[32];
    snprintf(text, sizeof(text), "fd:%d", fd);
    assert_int_equal(wst_server_listen(w->server, text, roles), 0);
}

/* Handing over ------------------------------------------------------------------------------- */

/* Connections accepted before are served until the drain, and tunnels to their end. */
static void test_hand_over(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t c;
    server_world_init(&w);
    w.limits.drain_delay_ms = 200;
    server_world_start(&w);
    server_agent_open(&w, &a, "one", 1);
    server_client_open(&w, &c);
    server_world_until_connections(&w, 2);
    int copy = copy_of(wst_server_descriptor(w.server, 0));
    assert_int_equal(wst_server_descriptor(w.server, 1), -1);
    wst_server_hand_over(w.server);
    expect_left(&w, w.address, copy);
    test_env_until_count(&w.env, &a.goaways, 1); /* it connects to the successor, too */
    wst_server_drain(w.server);
    server_client_say(&c, "CONNECT host:22 HTTP/1.1\r\n\r\n");
    server_client_expect(&c, "HTTP/1.1 200 Connection established\r\n\r\n");
    server_world_pass(&w, 300); /* the delay is over */
    expect_left(&w, w.address, copy);
    assert_int_equal(a.goaways, 1);
    server_client_say(&c, "still open");
    server_agent_expect(&a, "still open");
    server_client_close(&c);
    test_env_until_count(&w.env, &w.drained, 1);
    server_agent_close(&a);
    server_world_free(&w);
    close(connect_to(w.address));
    close(copy);
}

/* Addresses that stay open in a drain are the successor's, too, and so are ports. */
static void test_hand_over_all(void **state) {
    (void)state;
    static const unsigned roles[] = {WST_ROLE_HEALTH, WST_ROLE_AGENTS};
    server_world_t w;
    server_agent_t a;
    server_client_t tunnel;
    char addresses[3][64];
    int copies[3];
    server_world_init(&w);
    server_world_start(&w);
    server_agent_open_lasting(&w, &a, "one", 1, 0);
    server_client_connect(&w, &tunnel);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(wst_server_listen(w.server, "127.0.0.1:0", roles[i]), 0);
        snprintf(addresses[i], sizeof(addresses[i]), "%s",
                 wst_server_address(w.server, (size_t)i + 1));
        copies[i] = copy_of(wst_server_descriptor(w.server, (size_t)i + 1));
    }
    wst_port_t *port;
    const wst_port_options_t options = {
        .size = sizeof(options), .listen = "127.0.0.1:0", .destination = "host:22"};
    assert_int_equal(wst_port_new(&port, w.server, &options), 0);
    snprintf(addresses[2], sizeof(addresses[2]), "%s", wst_port_address(port));
    copies[2] = copy_of(wst_port_descriptor(port));
    wst_server_hand_over(w.server);
    for (int i = 0; i < 3; i++)
        expect_left(&w, addresses[i], copies[i]);
    wst_server_drain(w.server);
    assert_int_equal(wst_port_descriptor(port), -1);
    assert_null(wst_server_address(w.server, 0));
    for (int i = 0; i < 3; i++)
        expect_left(&w, addresses[i], copies[i]);
    server_client_close(&tunnel);
    test_env_until_count(&w.env, &w.drained, 1);
    server_agent_close(&a);
    server_world_free(&w);
    for (int i = 0; i < 3; i++)
        close(copies[i]);
}

/* Inherited sockets -------------------------------------------------------------------------- */

/* A drain leaves them to the successor before the delay, but for those that stay open in a drain;
 * sockets of the server's own are served meanwhile. */
static void test_inherited(void **state) {
    (void)state;
    server_world_t w;
    server_agent_t a;
    server_client_t monitor, c;
    char address[64], health[64];
    server_world_init(&w);
    w.limits.drain_delay_ms = 300;
    server_world_start(&w);
    int fd = new_socket(address, sizeof(address)), copy = copy_of(fd);
    listen_on(&w, fd, WST_ROLE_CONNECT);
    listen_on(&w, new_socket(health, sizeof(health)), WST_ROLE_HEALTH);
    assert_string_equal(wst_server_address(w.server, 1), address);
    server_agent_open(&w, &a, "one", 1);
    server_client_open_at(&w, &c, address);
    server_client_say(&c, "CONNECT host:22 HTTP/1.1\r\n\r\n");
    server_client_expect(&c, "HTTP/1.1 200 Connection established\r\n\r\n");
    server_client_close(&c);
    wst_server_drain(w.server);
    expect_left(&w, address, copy);
    server_client_connect(&w, &c);
    for (int i = 0; i < 2; i++) { /* in the delay, and in the drain */
        server_client_open_at(&w, &monitor, health);
        server_client_say(&monitor, "GET /readyz HTTP/1.0\r\n\r\n");
        server_client_expect(&monitor, "HTTP/1.0 503 Service Unavailable\r\n"
                                       "Cache-Control: no-store\r\n"
                                       "Content-Type: text/plain; charset=utf-8\r\n"
                                       "Content-Length: 14\r\nConnection: close\r\n\r\n"
                                       "shutting down\n");
        server_client_close(&monitor);
        test_env_until_count(&w.env, &a.goaways, 1);
    }
    expect_left(&w, address, copy);
    server_client_close(&c);
    test_env_until_count(&w.env, &w.drained, 1);
    server_agent_close(&a);
    server_world_free(&w);
    close(connect_to(address));
    close(copy);
}

/* Anybody who reaches the socket could use the server. */
static void test_insecure(void **state) {
    (void)state;
    struct sockaddr_in any = {.sin_family = AF_INET};
    server_world_t w;
    char text[32];
    server_world_init(&w);
    server_world_start(&w);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
    assert_int_equal(listen(fd, 5), 0);
    snprintf(text, sizeof(text), "fd:%d", fd);
    assert_int_equal(wst_server_listen(w.server, text, 0), WST_EINSECURE);
    server_world_free(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hand_over),
        cmocka_unit_test(test_hand_over_all),
        cmocka_unit_test(test_inherited),
        cmocka_unit_test(test_insecure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
