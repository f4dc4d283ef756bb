/* SPDX-License-Identifier: MIT */
/* What an idle tunnel takes of memory, at the server and the agent together. */
#include "agent_world.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    FIRST = 16, /* tables and pools have grown with these */
    MORE = 64,
    /* Blocks of a tunnel; what 10,000 of them take of a process is a tenth more. */
    BYTES_MAX = 3680
};

typedef struct rig {
    agent_world_t w;
    int destination; /* listens, and never accepts */
    uint16_t port;
    int clients[FIRST + MORE];
    size_t count;
} rig_t;

static struct sockaddr_in loopback(uint16_t port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static void open_destination(rig_t *r) {
    struct sockaddr_in address = loopback(0);
    socklen_t len = sizeof(address);
    r->destination = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(r->destination, (const struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(r->destination, FIRST + MORE), 0);
    assert_int_equal(getsockname(r->destination, (struct sockaddr *)&address, &len), 0);
    r->port = ntohs(address.sin_port);
}

/* Opens a tunnel, whose answer is read to the end of its head. */
static void open_tunnel(rig_t *r) {
    const struct sockaddr_in address =
        loopback((uint16_t)strtoul(strrchr(r->w.address, ':') + 1, NULL, 10));
    char text[256];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    int len =
        snprintf(text, sizeof(text), "CONNECT 127.0.0.1:%u HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n",
                 r->port, r->port);
    assert_int_equal(send(fd, text, (size_t)len, MSG_NOSIGNAL), len);
    size_t opened = r->w.seen[AGENT_STREAM_OPEN];
    agent_world_until(&r->w, AGENT_STREAM_OPEN, opened + 1);
    ssize_t got;
    while ((got = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT)) < 0)
        uv_run(&r->w.env.loop, UV_RUN_ONCE);
    text[got] = '\0';
    assert_non_null(strstr(text, " 200 "));
    assert_non_null(strstr(text, "\r\n\r\n"));
    test_env_turns(&r->w.env, 3);
    r->clients[r->count++] = fd;
}

static void test_idle_tunnel(void **state) {
    (void)state;
    static rig_t r;
    agent_world_open(&r.w);
    agent_world_serve(&r.w);
    agent_world_start_up(&r.w);
    open_destination(&r);
    while (r.count < FIRST)
        open_tunnel(&r);
    size_t before = test_alloc_bytes();
    while (r.count < FIRST + MORE)
        open_tunnel(&r);
    size_t each = (test_alloc_bytes() - before) / MORE;
    if (each > BYTES_MAX)
        fail_msg("an idle tunnel takes %zu bytes", each);
    while (r.count > 0)
        close(r.clients[--r.count]);
    close(r.destination);
    agent_world_free(&r.w);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_idle_tunnel)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
