/* SPDX-License-Identifier: MIT */
/* How socket streams begin: accepting, and connecting as dial does. */
#include "ctx.h"
#include "socket.h"
#include "sockets.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wstunnel/error.h>

typedef struct server {
    union {
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    test_env_t *env;
    sockets_owner_t owner;
    int status;
    size_t connections;
} server_t;

static void on_connection(uv_stream_t *handle, int status) {
    server_t *server = handle->data;
    assert_int_equal(status, 0);
    wst_stream_t *stream;
    server->status = wst_socket_accept(&stream, server->env->ctx, handle);
    server->connections++;
    if (server->status != 0)
        return;
    sockets_own(&server->owner, stream);
    wst_stream_read_start(stream, 0);
}

static void listen_tcp(test_env_t *env, server_t *server, struct sockaddr_in *addr) {
    memset(server, 0, sizeof(*server));
    server->env = env;
    uv_tcp_init(&env->loop, &server->uv.tcp);
    server->uv.stream.data = server;
    assert_int_equal(uv_ip4_addr("127.0.0.1", 0, addr), 0);
    assert_int_equal(uv_tcp_bind(&server->uv.tcp, (struct sockaddr *)addr, 0), 0);
    assert_int_equal(uv_listen(&server->uv.stream, 5, on_connection), 0);
    int len = sizeof(*addr);
    assert_int_equal(uv_tcp_getsockname(&server->uv.tcp, (struct sockaddr *)addr, &len), 0);
}

typedef struct attempt {
    uv_connect_t req;
    size_t done;
    int status;
} attempt_t;

static void on_connect(uv_connect_t *req, int status) {
    attempt_t *attempt = req->data;
    attempt->done++;
    attempt->status = status;
}

static void connect_tcp(wst__socket_t *socket, attempt_t *attempt, const struct sockaddr_in *to) {
    struct sockaddr_storage address = {0};
    memcpy(&address, to, sizeof(*to));
    assert_int_equal(wst__socket_connect(socket, &attempt->req, &address, on_connect), 0);
}

static void test_connect_and_accept(void **state) {
    (void)state;
    test_env_t env;
    server_t server;
    struct sockaddr_in addr;
    test_env_open(&env);
    listen_tcp(&env, &server, &addr);
    wst__socket_t *socket;
    attempt_t attempt = {.done = 0};
    attempt.req.data = &attempt;
    assert_int_equal(wst__socket_new(&socket, env.ctx, AF_INET), 0);
    connect_tcp(socket, &attempt, &addr);
    test_env_until_count(&env, &attempt.done, 1);
    assert_int_equal(attempt.status, 0);
    wst_stream_t *stream;
    assert_int_equal(wst__socket_stream(socket, &stream), 0);
    sockets_owner_t a = {.received = 0};
    sockets_own(&a, stream);
    wst_ctx_stats_t stats = {.size = sizeof(stats)};
    wst_ctx_get_stats(env.ctx, &stats);
    assert_in_range(stats.handles, 1, 2);
    assert_int_equal(sockets_write(stream, "hello", 5), 0);
    test_env_until_count(&env, &server.owner.received, 5);
    assert_memory_equal(server.owner.first, "hello", 5);
    assert_int_equal(strncmp(wst_stream_peer(server.owner.stream), "127.0.0.1:", 10), 0);
    sockets_close_owned(&a);
    test_env_until_count(&env, &server.owner.errors, 1);
    sockets_close_owned(&server.owner);
    uv_close((uv_handle_t *)&server.uv, NULL);
    test_env_until_count(&env, &server.owner.closed, 1);
    test_env_close(&env);
}

/* What has arrived is taken without the loop, up to a bound; a reader gets the rest, and the end or
 * the error. */
static void test_take(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        bool is_unix = i % 2 == 1, reset = i >= 2;
        test_env_t env;
        int fds[2];
        test_env_open(&env);
        sockets_pair(fds, is_unix);
        wst_stream_t *stream = sockets_stream(&env, fds[0], is_unix);
        assert_int_equal(wst__socket_take(stream, 4).len, 0);
        assert_int_equal(write(fds[1], "abcdef", 6), 6);
        wst_slice_t taken = wst__socket_take(stream, 4);
        assert_int_equal(taken.len, 4);
        assert_memory_equal(taken.data, "abcd", 4);
        assert_true(wst_chunk_capacity(taken.chunk) >= 4);
        wst_slice_unref(taken);
        assert_int_equal(wst_stream_bytes_read(stream), 4);
        sockets_owner_t owner = {.received = 0};
        sockets_own(&owner, stream);
        wst_stream_read_start(stream, 0);
        test_env_until_count(&env, &owner.received, 2);
        assert_memory_equal(owner.first, "ef", 2);
        wst_stream_read_stop(stream);
        if (reset && !is_unix)
            sockets_reset(fds[1]);
        else
            close(fds[1]);
        test_env_turns(&env, 3);
        assert_int_equal(wst__socket_take(stream, 4).len, 0); /* leaves the end and the error */
        wst_stream_read_start(stream, 0);
        test_env_until_count(&env, reset && !is_unix ? &owner.errors : &owner.ends, 1);
        sockets_close_owned(&owner);
        test_env_until_count(&env, &owner.closed, 1);
        test_env_close(&env);
    }
}

static void test_accept_from_unix(void **state) {
    (void)state;
    test_env_t env;
    test_env_open(&env);
    char path[64] = "/tmp/wst-test-XXXXXX";
    assert_non_null(mkdtemp(path));
    char dir[64];
    memcpy(dir, path, sizeof(dir));
    memcpy(path + strlen(path), "/s", 3);
    server_t server = {.env = &env};
    uv_pipe_init(&env.loop, &server.uv.pipe, 0);
    server.uv.stream.data = &server;
    assert_int_equal(uv_pipe_bind(&server.uv.pipe, path), 0);
    assert_int_equal(uv_listen(&server.uv.stream, 5, on_connection), 0);
    wst__socket_t *socket;
    attempt_t attempt = {.done = 0};
    attempt.req.data = &attempt;
    assert_int_equal(wst__socket_new(&socket, env.ctx, AF_UNIX), 0);
    uv_pipe_connect(&attempt.req, wst__socket_pipe(socket), path, on_connect);
    test_env_until_count(&env, &attempt.done, 1);
    assert_int_equal(attempt.status, 0);
    wst_stream_t *stream;
    assert_int_equal(wst__socket_stream(socket, &stream), 0);
    test_env_until_count(&env, &server.connections, 1);
    /* The end without a name is called after ours. */
    const char *peer = wst_stream_peer(server.owner.stream);
    assert_string_equal(wst_stream_peer(stream), peer);
    assert_memory_equal(peer, "unix:", 5);
    assert_string_equal(peer + 5, path);
    wst_stream_close(stream, NULL);
    test_env_until_count(&env, &server.owner.ends, 1);
    sockets_close_owned(&server.owner);
    uv_close((uv_handle_t *)&server.uv, NULL);
    test_env_until_count(&env, &server.owner.closed, 1);
    rmdir(dir);
    test_env_close(&env);
}

/* A dial's loser: closed while it connects. Its request is told, its memory goes later. */
static void test_close_while_connecting(void **state) {
    (void)state;
    test_env_t env;
    server_t server;
    struct sockaddr_in addr;
    test_env_open(&env);
    listen_tcp(&env, &server, &addr);
    wst__socket_t *socket;
    attempt_t attempt = {.done = 0};
    attempt.req.data = &attempt;
    assert_int_equal(wst__socket_new(&socket, env.ctx, AF_INET), 0);
    connect_tcp(socket, &attempt, &addr);
    wst__socket_close(socket);
    test_env_until_count(&env, &attempt.done, 1);
    assert_int_equal(attempt.status, UV_ECANCELED);
    assert_int_equal(wst__socket_new(&socket, env.ctx, AF_UNIX), 0); /* never connected at all */
    wst_stream_t *stream;
    assert_int_equal(wst__socket_stream(socket, &stream), UV_EBADF);
    wst__socket_close(socket);
    uv_close((uv_handle_t *)&server.uv, NULL);
    test_env_turns(&env, 5);
    if (server.owner.stream != NULL)
        sockets_close_owned(&server.owner);
    test_env_close(&env);
}

/* Without memory the connection waits, or is dropped; calling again goes on. */
static void accept_one(void *arg) {
    (void)arg;
    test_env_t env;
    test_env_open(&env);
    if (env.ctx != NULL) {
        server_t server;
        struct sockaddr_in addr;
        listen_tcp(&env, &server, &addr);
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
        test_env_until_count(&env, &server.connections, 1);
        if (server.status == WST_ENOMEM)
            on_connection(&server.uv.stream, 0);
        assert_true(server.status == 0 || server.status == UV_EAGAIN);
        if (server.status == 0)
            sockets_close_owned(&server.owner);
        uv_close((uv_handle_t *)&server.uv, NULL);
        test_env_turns(&env, 5);
        close(fd);
    }
    test_env_close(&env);
}

static void test_accept_allocations(void **state) {
    (void)state;
    assert_int_equal(test_alloc_each(accept_one, NULL), 3); /* context, socket, stream */
}

static void test_accept_takes_listeners_only(void **state) {
    (void)state;
    test_env_t env;
    test_env_open(&env);
    uv_tty_t odd = {.type = UV_TTY};
    wst_stream_t *stream;
    assert_int_equal(wst_socket_accept(&stream, env.ctx, (uv_stream_t *)&odd), WST_EINVAL);
    test_env_close(&env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connect_and_accept),
        cmocka_unit_test(test_accept_from_unix),
        cmocka_unit_test(test_take),
        cmocka_unit_test(test_close_while_connecting),
        cmocka_unit_test(test_accept_allocations),
        cmocka_unit_test(test_accept_takes_listeners_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
