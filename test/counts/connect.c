/* SPDX-License-Identifier: MIT */
/* CONNECTs through a real server and a real agent, all on one loop, to a destination that echoes.
 */
#include "agent_world.h"
#include "counts.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wstunnel/listener.h>
#include <wstunnel/stream.h>

enum { CONNECTS = 10, SMALL = 64 };

static struct {
    agent_world_t w;
    wst_listener_t *destination;
    size_t listener_closed, ended; /* connections that the destination has closed */
} world;

/* The destination ------------------------------------------------------------------------------ */

static void on_data(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    (void)user_data;
    const wst_slice_t slice = wst_slice_ref(data);
    assert_int_equal(wst_stream_write(stream, &slice, 1), 0);
}

static void on_gone(void *user_data) {
    (void)user_data;
    world.ended++;
}

static void on_end(wst_stream_t *stream, void *user_data) {
    (void)user_data;
    assert_int_equal(wst_stream_shutdown(stream), 0);
}

static void on_shutdown(wst_stream_t *stream, void *user_data) {
    (void)user_data;
    wst_stream_close(stream, on_gone);
}

static void on_accept(wst_listener_t *listener, wst_stream_t *stream, void *user_data) {
    static const wst_stream_callbacks_t callbacks = {.size = sizeof(callbacks),
                                                     .on_read = on_data,
                                                     .on_end = on_end,
                                                     .on_shutdown = on_shutdown};
    (void)listener, (void)user_data;
    assert_int_equal(wst_stream_set_callbacks(stream, &callbacks, NULL), 0);
    wst_stream_read_start(stream, 0);
}

/* Life ----------------------------------------------------------------------------------------- */

static void open_world(void) {
    const wst_listener_options_t options = {
        .size = sizeof(options), .address = "127.0.0.1:0", .on_accept = on_accept};
    agent_world_open(&world.w);
    wst_ctx_set_log_level(world.w.env.ctx, WST_LOG_ERROR);
    agent_world_serve(&world.w);
    agent_world_start_up(&world.w);
    assert_int_equal(wst_listener_new(&world.destination, world.w.peers, &options), 0);
}

static void on_listener_closed(void *user_data) {
    (void)user_data;
    world.listener_closed++;
}

static void close_world(void) {
    wst_listener_close(world.destination, on_listener_closed);
    test_env_until_count(&world.w.env, &world.listener_closed, 1);
    agent_world_free(&world.w);
}

/* The client ----------------------------------------------------------------------------------- */

static int dial_server(void) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    const char *port = strrchr(world.w.address, ':') + 1;
    address.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void say(int fd, const char *bytes, size_t len) {
    assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), len);
}

/* What comes before `until`, and that; the end if it is NULL. */
static void hear(int fd, const char *until) {
    char got[1024];
    size_t len = 0;
    for (;;) {
        ssize_t n = recv(fd, got + len, sizeof(got) - 1 - len, MSG_DONTWAIT);
        if (n == 0 && until == NULL)
            return;
        assert_int_not_equal(n, 0);
        len += n > 0 ? (size_t)n : 0;
        got[len] = '\0';
        if (until != NULL && strstr(got, until) != NULL)
            return;
        uv_run(&world.w.env.loop, n > 0 ? UV_RUN_NOWAIT : UV_RUN_ONCE);
    }
}

static void do_connect(void) {
    static const char bytes[SMALL + 1] =
        "................................................................";
    const char *destination = wst_listener_address(world.destination);
    char head[256];
    size_t ended = world.ended;
    int fd = dial_server();
    int len = snprintf(head, sizeof(head), "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", destination,
                       destination);
    say(fd, head, (size_t)len);
    hear(fd, "\r\n\r\n");
    say(fd, bytes, SMALL);
    hear(fd, bytes);
    shutdown(fd, SHUT_WR);
    hear(fd, NULL);
    close(fd);
    while (world.ended == ended)
        uv_run(&world.w.env.loop, UV_RUN_ONCE);
}

static void do_connects(void) {
    for (int i = 0; i < CONNECTS; i++)
        do_connect();
}

const counts_work_t counts_connect = {"connect", open_world, do_connects, close_world};
