/* SPDX-License-Identifier: MIT */
/* Congestion control of sockets that listen or connect. */
#include "addr.h"
#include "env.h"
#include "socket.h"
#include "sockopt.h"
#include "support.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#ifdef TCP_CONGESTION
static void congestion_of(int fd, char name[16]) {
    socklen_t len = 15;
    memset(name, 0, 16);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len), 0);
}

static int listen_at(const char *text, wst__addr_t *addr) {
    bool any;
    assert_int_equal(wst__addr_parse(addr, &any, text), 0);
    int fd = wst__sockopt_listen(addr, 5);
    assert_true(fd >= 0);
    assert_int_equal(wst__sockopt_sockname(fd, addr), 0);
    return fd;
}

static void ignore(uv_connect_t *request, int status) {
    (void)request;
    (void)status;
}

/* Skips the test where a process may not choose Reno, or where all have it anyway. */
static void need_another_system(void) {
    char name[16];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    congestion_of(fd, name);
    bool refused = setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4) != 0;
    close(fd);
    if (refused || strcmp(name, "reno") == 0)
        skip();
}

/* Both ends of a connection to it. */
static void expect_reno(const char *at) {
    test_env_t env;
    test_env_open(&env);
    wst__addr_t addr;
    char name[16];
    int listener = listen_at(at, &addr), accepted;
    wst__socket_t *socket;
    uv_connect_t request;
    assert_int_equal(wst__socket_new(&socket, env.ctx, addr.storage.ss_family), 0);
    assert_int_equal(wst__socket_connect(socket, &request, &addr.storage, ignore), 0);
    uv_os_fd_t fd;
    assert_int_equal(uv_fileno((uv_handle_t *)request.handle, &fd), 0);
    congestion_of(fd, name);
    assert_string_equal(name, "reno");
    while ((accepted = wst__sockopt_accept(listener)) == UV_EAGAIN)
        test_env_turns(&env, 1);
    assert_true(accepted >= 0);
    congestion_of(accepted, name);
    assert_string_equal(name, "reno");
    wst__socket_close(socket);
    close(accepted);
    close(listener);
    test_env_close(&env);
}

static bool has_ip6(void) {
    struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool has = fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0;
    close(fd);
    return has;
}

/* A connection over loopback is not paced, whatever the system's congestion control is. */
static void test_loopback(void **state) {
    (void)state;
    need_another_system();
    expect_reno("127.0.0.1:0");
    expect_reno("127.1.2.3:0");
    if (has_ip6())
        expect_reno("[::1]:0");
}

/* Nor if another process made the listener. */
static void test_inherited(void **state) {
    (void)state;
    need_another_system();
    wst__addr_t addr;
    char name[16];
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fd, 5), 0);
    assert_int_equal(wst__sockopt_inherit(fd, &addr), 0);
    congestion_of(fd, name);
    assert_string_equal(name, "reno");
    close(fd);
}

/* Elsewhere it stays the system's. */
static void test_other_addresses(void **state) {
    (void)state;
    wst__addr_t addr;
    char system[16], name[16];
    int untouched = socket(AF_INET, SOCK_STREAM, 0);
    congestion_of(untouched, system);
    close(untouched);
    int listener = listen_at("0.0.0.0:0", &addr);
    congestion_of(listener, name);
    assert_string_equal(name, system);
    close(listener);
    wst__addr_t far;
    bool any;
    assert_int_equal(wst__addr_parse(&far, &any, "192.0.2.7:80"), 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    wst__sockopt_congestion(fd, &far);
    congestion_of(fd, name);
    assert_string_equal(name, system);
    close(fd);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loopback),
        cmocka_unit_test(test_inherited),
        cmocka_unit_test(test_other_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void) {
    return 77; /* skipped */
}

#endif
