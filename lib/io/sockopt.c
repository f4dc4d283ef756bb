/* SPDX-License-Identifier: MIT */
/*
 * System calls on sockets that libuv does not offer, for POSIX systems. Listening is among
 * them: libuv accepts at once, drops waiting connections when descriptors run out, and cannot be
 * paused.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* accept4 */
#endif
#include "sockopt.h"

#include "budget.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

enum { SPARE_DESCRIPTORS = 64 };

static int last_error(void) {
    return uv_translate_sys_error(errno);
}

void wst__sockopt_reset_on_close(int fd, bool on) {
    struct linger linger = {on, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

void wst__sockopt_notsent_lowat(int fd, size_t bytes) {
#ifdef TCP_NOTSENT_LOWAT
    int value = bytes < INT_MAX ? (int)bytes : INT_MAX;
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, sizeof(value));
#else
    (void)fd;
    (void)bytes;
#endif
}

void wst__sockopt_congestion(int fd, const wst__addr_t *addr) {
#ifdef TCP_CONGESTION
    static const char reno[] = "reno"; /* needs no privilege, unless the system was told so */
    if (addr->storage.ss_family != AF_UNIX && wst__addr_is_local(addr))
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, reno, sizeof(reno) - 1);
#else
    (void)fd;
    (void)addr;
#endif
}

void wst__sockopt_ack_now(int fd) {
#ifdef TCP_QUICKACK
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
#else
    (void)fd;
#endif
}

size_t wst__sockopt_descriptors(size_t wanted) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
        limit.rlim_cur >= wanted + SPARE_DESCRIPTORS)
        return wanted;
    size_t all = (size_t)limit.rlim_cur;
    size_t spare = all / 4 < SPARE_DESCRIPTORS ? all / 4 : SPARE_DESCRIPTORS;
    return all > spare ? all - spare : 1;
}

bool wst__sockopt_only_spare(int fd) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return false;
    int lowest = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (lowest < 0)
        return errno == EMFILE;
    close(lowest);
    size_t all = (size_t)limit.rlim_cur;
    return (size_t)lowest >= all - wst__budget_spare(all);
}

uint32_t wst__sockopt_retransmits(int fd) {
#ifdef TCP_INFO
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 ? info.tcpi_total_retrans : 0;
#else
    (void)fd;
    return 0;
#endif
}

size_t wst__sockopt_readable(int fd) {
    int bytes = 0;
    return ioctl(fd, FIONREAD, &bytes) == 0 && bytes > 0 ? (size_t)bytes : 0;
}

#ifdef __linux__

static bool set_int(int fd, int level, int name, int value) {
    return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

/* The interval and the count are those of uv_tcp_keepalive. */
bool wst__sockopt_tune(int fd) {
    wst__sockopt_reset_on_close(fd, true);
    return set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1) && set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1) &&
           set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, WST__KEEPALIVE_S) &&
           set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, 1) && set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, 10);
}

#else

bool wst__sockopt_tune(int fd) {
    (void)fd;
    return false;
}

#endif

void wst__sockopt_user_timeout(int fd, unsigned ms) {
#ifdef TCP_USER_TIMEOUT
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
#else
    (void)fd;
    (void)ms;
#endif
}

int wst__sockopt_error(int fd) {
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        return last_error();
    return error != 0 ? uv_translate_sys_error(error) : 0;
}

int wst__sockopt_at_end(int fd) {
    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n >= 0)
        return n > 0 ? 0 : (int)UV_EOF;
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : last_error();
}

size_t wst__sockopt_take(int fd, void *to, size_t size) {
    ssize_t n = recv(fd, to, size, MSG_DONTWAIT);
    return n > 0 ? (size_t)n : 0;
}

int wst__sockopt_shut_down(int fd) {
    return shutdown(fd, SHUT_WR) == 0 ? 0 : last_error();
}

bool wst__sockopt_is_broken(int fd) {
    return send(fd, "", 0, MSG_NOSIGNAL) < 0 && errno != EAGAIN && errno != EWOULDBLOCK &&
           errno != ENOBUFS && errno != ENOMEM;
}

#ifdef SOCK_CLOEXEC

static int new_socket(int family) {
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd >= 0 ? fd : last_error();
}

int wst__sockopt_accept(int fd) {
    int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    return conn >= 0 ? conn : last_error();
}

#else

static int prepare(int fd) {
    if (fd >= 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
        return fd;
    int status = last_error();
    if (fd >= 0)
        close(fd);
    return status;
}

static int new_socket(int family) {
    return prepare(socket(family, SOCK_STREAM, 0));
}

int wst__sockopt_accept(int fd) {
    return prepare(accept(fd, NULL, NULL));
}

#endif

static int bind_and_listen(int fd, const wst__addr_t *addr, int backlog) {
    const int on = 1, off = 0;
    int family = addr->storage.ss_family;
    if (family != AF_UNIX && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
        return last_error();
    if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) != 0)
        return last_error();
    wst__sockopt_congestion(fd, addr);
    if (bind(fd, (const struct sockaddr *)&addr->storage, addr->len) != 0 ||
        listen(fd, backlog) != 0)
        return last_error();
    return 0;
}

int wst__sockopt_listen(const wst__addr_t *addr, int backlog) {
    int fd = new_socket(addr->storage.ss_family);
    if (fd < 0)
        return fd;
    int status = bind_and_listen(fd, addr, backlog);
    if (status == 0)
        return fd;
    close(fd);
    return status;
}

static int int_option(int fd, int name, int *value) {
    socklen_t len = sizeof(*value);
    return getsockopt(fd, SOL_SOCKET, name, value, &len) == 0 ? 0 : last_error();
}

/* Adds a flag of fcntl. */
static int add_flag(int fd, int get, int set, int flag) {
    int flags = fcntl(fd, get);
    return flags >= 0 && fcntl(fd, set, flags | flag) == 0 ? 0 : last_error();
}

int wst__sockopt_prepare(int fd) {
    int status = add_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK);
    return status == 0 ? add_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC) : status;
}

int wst__sockopt_inherit(int fd, wst__addr_t *addr) {
    int type = 0, listens = 0;
    int status = int_option(fd, SO_TYPE, &type);
    if (status == 0)
        status = int_option(fd, SO_ACCEPTCONN, &listens);
    if (status == 0)
        status = wst__sockopt_sockname(fd, addr);
    if (status != 0)
        return status;
    int family = addr->storage.ss_family;
    if (type != SOCK_STREAM || !listens ||
        (family != AF_INET && family != AF_INET6 && family != AF_UNIX))
        return UV_ENOTSUP;
    wst__sockopt_congestion(fd, addr);
    return wst__sockopt_prepare(fd);
}

int wst__sockopt_probe(const wst__addr_t *addr) {
    int fd = new_socket(addr->storage.ss_family);
    if (fd < 0)
        return fd;
    int status = connect(fd, (const struct sockaddr *)&addr->storage, addr->len);
    if (status != 0)
        status = last_error();
    close(fd);
    return status;
}

int wst__sockopt_peername(int fd, wst__addr_t *addr) {
    memset(addr, 0, sizeof(*addr));
    addr->len = sizeof(addr->storage);
    return getpeername(fd, (struct sockaddr *)&addr->storage, &addr->len) == 0 ? 0 : last_error();
}

int wst__sockopt_sockname(int fd, wst__addr_t *addr) {
    memset(addr, 0, sizeof(*addr));
    addr->len = sizeof(addr->storage);
    return getsockname(fd, (struct sockaddr *)&addr->storage, &addr->len) == 0 ? 0 : last_error();
}
