/* SPDX-License-Identifier: MIT */
/* Listeners: binding, accepting, pausing, running out of descriptors, files of Unix sockets. */
#include "addr.h"
#include "listener.h"
#include "sockets.h"
#include "env.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <wstunnel/error.h>
#include <wstunnel/listener.h>

typedef struct rig {
    test_env_t env;
    wst_listener_t *listener;
    size_t accepted, closed;
    size_t pause_at, close_at; /* in the callback of that connection */
    bool in_call;
    char peer[96]; /* of the last connection */
    char dir[64];
} rig_t;

static void on_closed(void *user_data) {
    rig_t *rig = user_data;
    assert_false(rig->in_call);
    rig->closed++;
}

static void close_listener(rig_t *rig) {
    rig->in_call = true;
    wst_listener_close(rig->listener, on_closed);
    wst_listener_close(rig->listener, NULL); /* again: nothing */
    rig->in_call = false;
}

static void on_accept(wst_listener_t *listener, wst_stream_t *stream, void *user_data) {
    rig_t *rig = user_data;
    assert_false(rig->in_call);
    assert_int_equal(rig->closed, 0);
    assert_ptr_equal(listener, rig->listener);
    rig->accepted++;
    snprintf(rig->peer, sizeof(rig->peer), "%s", wst_stream_peer(stream));
    wst_stream_close(stream, NULL);
    if (rig->accepted == rig->pause_at)
        wst_listener_pause(listener);
    if (rig->accepted == rig->close_at)
        close_listener(rig);
}

static int try_listen(rig_t *rig, const char *address) {
    wst_listener_options_t options = {
        .size = sizeof(options), .address = address, .on_accept = on_accept, .user_data = rig};
    rig->in_call = true;
    int status = wst_listener_new(&rig->listener, rig->env.ctx, &options);
    rig->in_call = false;
    return status;
}

static void rig_open(rig_t *rig, const char *address) {
    memset(rig, 0, sizeof(*rig));
    test_env_open(&rig->env);
    if (address != NULL)
        assert_int_equal(try_listen(rig, address), 0);
}

static void rig_close(rig_t *rig) {
    close_listener(rig);
    test_env_until_count(&rig->env, &rig->closed, 1);
    test_env_turns(&rig->env, 3);
    assert_int_equal(rig->closed, 1);
    test_env_close(&rig->env);
}

/* A blocking client of what a listener says it is bound to. -1 if that refuses. */
static int client(const char *address) {
    wst__addr_t addr;
    bool any;
    assert_int_equal(wst__addr_parse(&addr, &any, address), 0);
    int fd = socket(addr.storage.ss_family, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&addr.storage, addr.len) == 0)
        return fd;
    close(fd);
    return -1;
}

static int client_of(const rig_t *rig) {
    int fd = client(wst_listener_address(rig->listener));
    assert_true(fd >= 0);
    return fd;
}

/* TCP ---------------------------------------------------------------------------------------- */

static void test_accepts(void **state) {
    (void)state;
    static const struct {
        const char *address, *bound;
        bool local;
    } cases[] = {
        {"127.0.0.1:0", "127.0.0.1:", true},
        {"localhost:0", "127.0.0.1:", true},
        {"0.0.0.0:0", "0.0.0.0:", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        rig_t rig;
        rig_open(&rig, cases[i].address);
        const char *bound = wst_listener_address(rig.listener);
        assert_memory_equal(bound, cases[i].bound, strlen(cases[i].bound));
        assert_int_not_equal(atol(bound + strlen(cases[i].bound)), 0);
        assert_int_equal(wst_listener_is_local(rig.listener), cases[i].local);
        int first = client_of(&rig), second = client_of(&rig);
        assert_int_equal(rig.accepted, 0);
        test_env_until_count(&rig.env, &rig.accepted, 2);
        assert_memory_equal(rig.peer, "127.0.0.1:", 10);
        rig_close(&rig);
        close(first);
        close(second);
    }
}

/* Whether the descriptor is a connection to that peer. */
static bool leads_to(int fd, const struct sockaddr_in *peer) {
    struct sockaddr_in addr;
    socklen_t len = sizeof(addr);
    return getpeername(fd, (struct sockaddr *)&addr, &len) == 0 && addr.sin_family == AF_INET &&
           addr.sin_port == peer->sin_port;
}

static wst_stream_t *kept;

static void keep(wst_listener_t *listener, wst_stream_t *stream, void *user_data) {
    (void)listener;
    (*(size_t *)user_data)++;
    kept = stream;
}

static void test_options(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig, NULL);
    size_t accepted = 0;
    wst_listener_options_t options = {.size = sizeof(options),
                                      .address = "127.0.0.1:0",
                                      .on_accept = keep,
                                      .user_data = &accepted};
    assert_int_equal(wst_listener_new(&rig.listener, rig.env.ctx, &options), 0);
    int fd = client_of(&rig);
    struct sockaddr_in own;
    socklen_t len = sizeof(own);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&own, &len), 0);
    test_env_until_count(&rig.env, &accepted, 1);
    int found = 0;
    for (int other = 0; other < 1024; other++)
        if (leads_to(other, &own)) {
            sockets_expect_options(other);
            found++;
        }
    assert_int_equal(found, 1);
    wst_stream_close(kept, NULL);
    wst_listener_close(rig.listener, NULL);
    close(fd);
    test_env_turns(&rig.env, 3);
    test_env_close(&rig.env);
}

/* ":0" takes both families, or IPv4 on a machine without IPv6. */
static void test_any_address(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig, ":0");
    const char *bound = wst_listener_address(rig.listener);
    assert_false(wst_listener_is_local(rig.listener));
    bool ip6 = strncmp(bound, "[::]:", 5) == 0;
    assert_true(ip6 || strncmp(bound, "0.0.0.0:", 8) == 0);
    char address[64];
    snprintf(address, sizeof(address), "127.0.0.1:%s", strrchr(bound, ':') + 1);
    int fd = client(address), fd6 = -1;
    assert_true(fd >= 0);
    test_env_until_count(&rig.env, &rig.accepted, 1);
    assert_memory_equal(rig.peer, "127.0.0.1:", 10); /* not "[::ffff:127.0.0.1]:" */
    snprintf(address, sizeof(address), "[::1]:%s", strrchr(bound, ':') + 1);
    if (ip6 && (fd6 = client(address)) >= 0) {
        test_env_until_count(&rig.env, &rig.accepted, 2);
        assert_memory_equal(rig.peer, "[::1]:", 6);
    }
    rig_close(&rig);
    close(fd);
    close(fd6);
}

static void test_refusals(void **state) {
    (void)state;
    rig_t rig, second;
    rig_open(&rig, "127.0.0.1:0");
    memset(&second, 0, sizeof(second));
    second.env.ctx = rig.env.ctx;
    assert_int_equal(try_listen(&second, wst_listener_address(rig.listener)), UV_EADDRINUSE);
    assert_int_equal(try_listen(&second, "192.0.2.1:0"), UV_EADDRNOTAVAIL);
    assert_int_equal(try_listen(&second, "nonsense"), WST_EINVAL);
    assert_int_equal(try_listen(&second, NULL), WST_EINVAL);
    assert_int_equal(try_listen(&second, "unix:/no/such/directory/s"), UV_ENOENT);
    wst_listener_options_t options = {.size = sizeof(options), .address = "127.0.0.1:0"};
    assert_int_equal(wst_listener_new(&second.listener, rig.env.ctx, &options), WST_EINVAL);
    options.on_accept = on_accept;
    options.backlog = -1;
    assert_int_equal(wst_listener_new(&second.listener, rig.env.ctx, &options), WST_EINVAL);
    assert_null(second.listener);
    rig_close(&rig);
}

static void test_closed_means_refused(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig, "127.0.0.1:0");
    char address[64];
    snprintf(address, sizeof(address), "%s", wst_listener_address(rig.listener));
    rig_close(&rig);
    assert_int_equal(client(address), -1);
}

/* Pausing ------------------------------------------------------------------------------------ */

static void test_pause(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig, "127.0.0.1:0");
    wst_listener_pause(rig.listener);
    int first = client_of(&rig), second = client_of(&rig);
    test_env_turns(&rig.env, 5);
    assert_int_equal(rig.accepted, 0);
    rig.pause_at = 1; /* in the callback: the second one waits */
    wst_listener_resume(rig.listener);
    assert_int_equal(rig.accepted, 0);
    test_env_until_count(&rig.env, &rig.accepted, 1);
    test_env_turns(&rig.env, 5);
    assert_int_equal(rig.accepted, 1);
    wst_listener_resume(rig.listener);
    test_env_until_count(&rig.env, &rig.accepted, 2);
    rig_close(&rig);
    close(first);
    close(second);
}

static void test_close_inside_on_accept(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig, "127.0.0.1:0");
    int first = client_of(&rig), second = client_of(&rig);
    rig.close_at = 1;
    test_env_until_count(&rig.env, &rig.closed, 1);
    assert_int_equal(rig.accepted, 1);
    test_env_turns(&rig.env, 3);
    assert_int_equal(rig.closed, 1);
    test_env_close(&rig.env);
    close(first);
    close(second);
}

static void test_calls_after_close(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig, "127.0.0.1:0");
    int fd = client_of(&rig);
    close_listener(&rig);
    wst_listener_pause(rig.listener);
    wst_listener_resume(rig.listener);
    test_env_until_count(&rig.env, &rig.closed, 1);
    assert_int_equal(rig.accepted, 0);
    test_env_close(&rig.env);
    close(fd);
}

/* Scarcity ----------------------------------------------------------------------------------- */

/* Forbids all but so many further descriptors. Returns the limit to go back to. */
static struct rlimit leave_descriptors(int count) {
    struct rlimit old, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    int next = open("/dev/null", O_RDONLY); /* the lowest free one */
    assert_true(next >= 0);
    close(next);
    none = old;
    none.rlim_cur = (rlim_t)(next + count);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    return old;
}

static void test_out_of_descriptors(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig, "127.0.0.1:0");
    int fd = client_of(&rig);
    struct rlimit old = leave_descriptors(0);
    test_env_until_count(&rig.env, &rig.env.log_lines, 1);
    test_env_turns(&rig.env, 5); /* paused: no storm */
    assert_non_null(strstr(rig.env.log, wst_listener_address(rig.listener)));
    uint64_t before = uv_now(&rig.env.loop);
    /* Another attempt fails, and says nothing: wait for the deadline behind it. */
    while (uv_now(&rig.env.loop) < before + 150)
        uv_run(&rig.env.loop, UV_RUN_ONCE);
    assert_int_equal(rig.env.log_lines, 1);
    assert_int_equal(rig.accepted, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    test_env_until_count(&rig.env, &rig.accepted, 1); /* it was kept, not thrown away */
    /* The next time is news again. */
    test_env_turns(&rig.env, 3);
    int second = client_of(&rig);
    old = leave_descriptors(0);
    test_env_until_count(&rig.env, &rig.env.log_lines, 2);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    rig_close(&rig); /* while it waits for the deadline */
    close(fd);
    close(second);
}

/* The last descriptors, of which there are four, are for listeners that do not leave them. */
static void test_spare_descriptors(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig, "127.0.0.1:0");
    wst__listener_leave_spare(rig.listener, true);
    int first = client_of(&rig), second = client_of(&rig);
    test_env_until_count(&rig.env, &rig.accepted, 2); /* there are enough */
    int third = client_of(&rig);
    struct rlimit old = leave_descriptors(4);
    test_env_until_count(&rig.env, &rig.env.log_lines, 1);
    assert_non_null(strstr(rig.env.log, "the last descriptors are left to other addresses"));
    test_env_turns(&rig.env, 20);
    assert_int_equal(rig.accepted, 2);
    wst__listener_leave_spare(rig.listener, false);
    test_env_until_count(&rig.env, &rig.accepted, 3);
    wst__listener_leave_spare(rig.listener, true);
    int fourth = client_of(&rig);
    test_env_until_count(&rig.env, &rig.env.log_lines, 2);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    test_env_until_count(&rig.env, &rig.accepted, 4); /* it was kept, not thrown away */
    rig_close(&rig);
    close(first);
    close(second);
    close(third);
    close(fourth);
}

static void one_life(void *arg) {
    rig_t rig;
    memset(&rig, 0, sizeof(rig));
    test_env_open(&rig.env);
    int status = WST_ENOMEM;
    if (rig.env.ctx != NULL)
        status = try_listen(&rig, arg);
    if (status == 0) {
        /* A connection there is no memory for is dropped, the next one comes through. */
        int first = client_of(&rig), second = -1;
        test_env_turns(&rig.env, 2);
        if (rig.accepted == 0) {
            assert_true(test_alloc_failed());
            assert_int_equal(rig.env.log_lines, 1);
            uint8_t byte;
            assert_true(read(first, &byte, 1) <= 0);
            second = client_of(&rig);
        }
        test_env_until_count(&rig.env, &rig.accepted, 1);
        close_listener(&rig);
        close(first);
        close(second);
    } else {
        assert_int_equal(status, WST_ENOMEM);
    }
    test_env_turns(&rig.env, 3);
    test_env_close(&rig.env);
}

static void test_allocations(void **state) {
    (void)state;
    /* Context, listener, socket, stream. */
    assert_int_equal(test_alloc_each(one_life, (void *)"127.0.0.1:0"), 4);
}

/* Files of Unix sockets ---------------------------------------------------------------------- */

/* Makes a directory and the address of a socket in it; path is behind "unix:". */
static char *unix_address(rig_t *rig, char *address, size_t size) {
    rig_open(rig, NULL);
    snprintf(rig->dir, sizeof(rig->dir), "/tmp/wst-test-XXXXXX");
    assert_non_null(mkdtemp(rig->dir));
    snprintf(address, size, "unix:%s/s", rig->dir);
    return address + 5;
}

static void remove_dir(rig_t *rig) {
    assert_int_equal(rmdir(rig->dir), 0); /* and it is empty */
}

static void test_unix(void **state) {
    (void)state;
    rig_t rig;
    char address[96];
    const char *path = unix_address(&rig, address, sizeof(address));
    assert_int_equal(try_listen(&rig, address), 0);
    assert_string_equal(wst_listener_address(rig.listener), address);
    assert_true(wst_listener_is_local(rig.listener));
    int fd = client_of(&rig);
    test_env_until_count(&rig.env, &rig.accepted, 1);
    assert_string_equal(rig.peer, address);
    assert_int_equal(access(path, F_OK), 0);
    rig_close(&rig);
    assert_int_equal(access(path, F_OK), -1);
    close(fd);
    remove_dir(&rig);
}

static void test_unix_stale_file_is_replaced(void **state) {
    (void)state;
    rig_t rig;
    char address[96];
    const char *path = unix_address(&rig, address, sizeof(address));
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    memcpy(addr.sun_path, path, strlen(path));
    int left = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(left, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(listen(left, 1), 0);
    close(left); /* as after a crash */
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(try_listen(&rig, address), 0);
    int fd = client_of(&rig);
    test_env_until_count(&rig.env, &rig.accepted, 1);
    rig_close(&rig);
    close(fd);
    remove_dir(&rig);
}

static void test_unix_live_socket_is_left_alone(void **state) {
    (void)state;
    rig_t rig, second;
    char address[96];
    unix_address(&rig, address, sizeof(address));
    assert_int_equal(try_listen(&rig, address), 0);
    memset(&second, 0, sizeof(second));
    second.env.ctx = rig.env.ctx;
    assert_int_equal(try_listen(&second, address), UV_EADDRINUSE);
    int fd = client_of(&rig);
    test_env_until_count(&rig.env, &rig.accepted, 2); /* the one that asked, too */
    rig_close(&rig);
    close(fd);
    remove_dir(&rig);
}

static void test_unix_other_files_are_left_alone(void **state) {
    (void)state;
    rig_t rig;
    char address[96];
    const char *path = unix_address(&rig, address, sizeof(address));
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, "data", 4), 4);
    close(fd);
    assert_int_equal(try_listen(&rig, address), UV_EADDRINUSE);
    struct stat file;
    assert_int_equal(lstat(path, &file), 0);
    assert_int_equal(file.st_size, 4);
    unlink(path);
    /* A link to a socket is no socket either. */
    assert_int_equal(symlink("/nowhere", path), 0);
    assert_int_equal(try_listen(&rig, address), UV_EADDRINUSE);
    assert_int_equal(unlink(path), 0);
    remove_dir(&rig);
    test_env_close(&rig.env);
}

static void test_unix_successor_is_not_removed(void **state) {
    (void)state;
    rig_t rig;
    char address[96];
    const char *path = unix_address(&rig, address, sizeof(address));
    assert_int_equal(try_listen(&rig, address), 0);
    assert_int_equal(unlink(path), 0);
    int fd = open(path, O_CREAT | O_WRONLY, 0600); /* somebody else's now */
    close(fd);
    rig_close(&rig);
    assert_int_equal(unlink(path), 0);
    remove_dir(&rig);
}

/* Descriptors of others ---------------------------------------------------------------------- */

/* A socket of that kind, bound to `address` unless it is NULL; it listens if `listens`. */
static int other_socket(int type, const char *address, bool listens) {
    wst__addr_t addr;
    bool any;
    int family = AF_INET;
    if (address != NULL) {
        assert_int_equal(wst__addr_parse(&addr, &any, address), 0);
        family = addr.storage.ss_family;
    }
    int fd = socket(family, type, 0);
    assert_true(fd >= 0);
    if (address != NULL)
        assert_int_equal(bind(fd, (struct sockaddr *)&addr.storage, addr.len), 0);
    if (listens)
        assert_int_equal(listen(fd, 5), 0);
    return fd;
}

static int try_descriptor(rig_t *rig, int fd) {
    char address[32];
    snprintf(address, sizeof(address), "fd:%d", fd);
    return try_listen(rig, address);
}

static bool is_descriptor_open(int fd) {
    return fcntl(fd, F_GETFD) >= 0;
}

static void test_descriptor(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig, NULL);
    int fd = other_socket(SOCK_STREAM, "127.0.0.1:0", true);
    int copy = dup(fd); /* as another process has it */
    assert_int_equal(try_descriptor(&rig, fd), 0);
    assert_int_equal(wst_listener_descriptor(rig.listener), fd);
    assert_true(wst_listener_is_local(rig.listener));
    assert_memory_equal(wst_listener_address(rig.listener), "127.0.0.1:", 10);
    assert_int_not_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    assert_int_not_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    int first = client_of(&rig);
    test_env_until_count(&rig.env, &rig.accepted, 1);
    char address[64];
    snprintf(address, sizeof(address), "%s", wst_listener_address(rig.listener));
    rig_close(&rig);
    assert_false(is_descriptor_open(fd));
    int second = client(address); /* the other process's */
    assert_true(second >= 0);
    close(first);
    close(second);
    close(copy);
}

static void test_descriptor_far(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig, NULL);
    assert_int_equal(try_descriptor(&rig, other_socket(SOCK_STREAM, "0.0.0.0:0", true)), 0);
    assert_false(wst_listener_is_local(rig.listener));
    rig_close(&rig);
}

/* What is refused stays the caller's. */
static void test_descriptor_refusals(void **state) {
    (void)state;
    static const char *const malformed[] = {"fd:", "fd:-1", "fd:3x", "fd: 3", "fd:9999999999"};
    rig_t rig;
    rig_open(&rig, NULL);
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
        assert_int_equal(try_listen(&rig, malformed[i]), WST_EINVAL);
    assert_int_equal(try_descriptor(&rig, 99999), UV_EBADF);
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(try_descriptor(&rig, pipes[0]), UV_ENOTSOCK);
    int others[] = {other_socket(SOCK_DGRAM, "127.0.0.1:0", false),
                    other_socket(SOCK_STREAM, "127.0.0.1:0", false)};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(try_descriptor(&rig, others[i]), UV_ENOTSUP);
        assert_true(is_descriptor_open(others[i]));
        close(others[i]);
    }
    close(pipes[0]);
    close(pipes[1]);
    int fd = other_socket(SOCK_STREAM, "127.0.0.1:0", true);
    assert_int_equal(try_descriptor(&rig, fd), 0);
    rig_t again = {.env.ctx = rig.env.ctx};
    assert_int_equal(try_descriptor(&again, fd), UV_EEXIST);
    assert_true(is_descriptor_open(fd));
    rig_close(&rig);
}

/* Who has bound it removes the file. */
static void test_descriptor_of_unix(void **state) {
    (void)state;
    rig_t rig;
    char address[96];
    const char *path = unix_address(&rig, address, sizeof(address));
    assert_int_equal(try_descriptor(&rig, other_socket(SOCK_STREAM, address, true)), 0);
    assert_string_equal(wst_listener_address(rig.listener), address);
    int fd = client_of(&rig);
    test_env_until_count(&rig.env, &rig.accepted, 1);
    close(fd);
    rig_close(&rig);
    assert_int_equal(unlink(path), 0);
    remove_dir(&rig);
}

/* Another process listens on it from now on. */
static void test_shared_file_stays(void **state) {
    (void)state;
    rig_t rig;
    char address[96];
    const char *path = unix_address(&rig, address, sizeof(address));
    assert_int_equal(try_listen(&rig, address), 0);
    wst__listener_share(rig.listener);
    rig_close(&rig);
    assert_int_equal(unlink(path), 0);
    remove_dir(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_any_address),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_closed_means_refused),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_close_inside_on_accept),
        cmocka_unit_test(test_calls_after_close),
        cmocka_unit_test(test_out_of_descriptors),
        cmocka_unit_test(test_spare_descriptors),
        cmocka_unit_test(test_allocations),
        cmocka_unit_test(test_unix),
        cmocka_unit_test(test_unix_stale_file_is_replaced),
        cmocka_unit_test(test_unix_live_socket_is_left_alone),
        cmocka_unit_test(test_unix_other_files_are_left_alone),
        cmocka_unit_test(test_unix_successor_is_not_removed),
        cmocka_unit_test(test_descriptor),
        cmocka_unit_test(test_descriptor_far),
        cmocka_unit_test(test_descriptor_refusals),
        cmocka_unit_test(test_descriptor_of_unix),
        cmocka_unit_test(test_shared_file_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
