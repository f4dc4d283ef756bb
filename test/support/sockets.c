/* SPDX-License-Identifier: MIT */
/* Socket pairs and a recording owner. */
#include "sockets.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

static void tcp_pair(int fds[2]) {
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(addr);
    int server = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(server, (struct sockaddr *)&addr, len), 0);
    assert_int_equal(listen(server, 1), 0);
    assert_int_equal(getsockname(server, (struct sockaddr *)&addr, &len), 0);
    fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fds[0], (struct sockaddr *)&addr, len), 0);
    fds[1] = accept(server, NULL, NULL);
    assert_true(fds[1] >= 0);
    close(server);
}

void sockets_pair(int fds[2], bool is_unix) {
    if (is_unix)
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    else
        tcp_pair(fds);
}

wst_stream_t *sockets_stream(test_env_t *env, int fd, bool is_unix) {
    wst_stream_t *stream;
    assert_int_equal(wst_socket_open(&stream, env->ctx, fd, is_unix), 0);
    return stream;
}

int sockets_read_all(int fd, uint8_t *buf, size_t size, size_t *len) {
    uint8_t piece[65536];
    *len = 0;
    for (;;) {
        ssize_t n = read(fd, piece, sizeof(piece));
        if (n <= 0)
            return n == 0 ? 0 : errno;
        for (size_t i = 0; i < (size_t)n && *len + i < size; i++)
            buf[*len + i] = piece[i];
        *len += (size_t)n;
    }
}

void sockets_reset(int fd) {
    struct linger linger = {1, 0};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
    close(fd);
}

static void expect_option(int fd, int level, int name, int expected) {
    int value = -1;
    socklen_t len = sizeof(value);
    assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
    assert_int_equal(value, expected);
}

void sockets_expect_options(int fd) {
    struct linger linger = {0};
    socklen_t len = sizeof(linger);
    expect_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    expect_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    expect_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 60);
    expect_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 1);
    expect_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 10);
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &len), 0);
    assert_true(linger.l_onoff != 0 && linger.l_linger == 0);
}

uint8_t sockets_pattern(size_t offset) {
    return (uint8_t)(offset % 251);
}

static void on_closed(void *user_data) {
    sockets_owner_t *owner = user_data;
    owner->closed++;
}

void sockets_close_owned(sockets_owner_t *owner) {
    wst_stream_close(owner->stream, on_closed);
}

static void act(sockets_owner_t *owner, char event) {
    assert_int_equal(owner->closed, 0);
    if (owner->close_at == event)
        sockets_close_owned(owner);
}

static void on_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    sockets_owner_t *owner = user_data;
    for (size_t i = 0; i < data.len; i++) {
        size_t at = owner->received + i;
        if (at < sizeof(owner->first))
            owner->first[at] = data.data[i];
        if (owner->patterned && data.data[i] != sockets_pattern(at))
            fail_msg("byte %zu is wrong", at);
    }
    owner->received += data.len;
    owner->reads++;
    if (data.len > owner->largest)
        owner->largest = data.len;
    if (owner->pause_always)
        wst_stream_read_stop(stream);
    act(owner, 'r');
}

static void on_end(wst_stream_t *stream, void *user_data) {
    sockets_owner_t *owner = user_data;
    (void)stream;
    owner->ends++;
    act(owner, 'e');
}

static void on_drain(wst_stream_t *stream, void *user_data) {
    sockets_owner_t *owner = user_data;
    (void)stream;
    owner->drains++;
    act(owner, 'd');
}

static void on_shutdown(wst_stream_t *stream, void *user_data) {
    sockets_owner_t *owner = user_data;
    (void)stream;
    owner->shutdowns++;
    act(owner, 's');
}

static void on_error(wst_stream_t *stream, int error, void *user_data) {
    sockets_owner_t *owner = user_data;
    (void)stream;
    owner->errors++;
    owner->error = error;
    act(owner, 'x');
}

void sockets_own(sockets_owner_t *owner, wst_stream_t *stream) {
    static const wst_stream_callbacks_t callbacks = {sizeof(callbacks), on_read,     on_end,
                                                     on_drain,          on_shutdown, on_error};
    owner->stream = stream;
    wst_stream_set_callbacks(stream, &callbacks, owner);
}

int sockets_write(wst_stream_t *stream, const void *data, size_t len) {
    wst_slice_t slice;
    assert_int_equal(wst_slice_copy(&slice, wst_stream_ctx(stream), data, len), 0);
    return wst_stream_write(stream, &slice, 1);
}

int sockets_write_pattern(wst_stream_t *stream, size_t offset, size_t len) {
    wst_chunk_t *chunk = wst_chunk_new(wst_stream_ctx(stream), len);
    assert_non_null(chunk);
    uint8_t *data = wst_chunk_data(chunk);
    for (size_t i = 0; i < len; i++)
        data[i] = sockets_pattern(offset + i);
    wst_slice_t slice = {chunk, data, len};
    return wst_stream_write(stream, &slice, 1);
}
