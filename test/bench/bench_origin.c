/* SPDX-License-Identifier: MIT */
/*
 * The destination behind the tunnels that are measured: bench_wire.h says what it answers.
 *
 *     bench_origin IPV4:PORT
 *
 * Prints "listening IPV4:PORT", and runs until it is killed.
 */
#include "bench_wire.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256 };

typedef struct visitor {
    int fd;
    int verb; /* 0: the request is not complete yet */
    uint8_t request[WIRE_REQUEST];
    size_t got; /* of it */
    wire_sender_t sender;
    wire_receiver_t receiver;
} visitor_t;

static int poller;

static void watch(visitor_t *v, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = v};
    if (epoll_ctl(poller, EPOLL_CTL_MOD, v->fd, &event) != 0)
        wire_die("epoll_ctl");
}

/* Few enough bytes to fit into any socket's buffer. Returns 0, or -1. */
static int say(visitor_t *v, const void *data, size_t len) {
    return send(v->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len ? 0 : -1;
}

static int say_receipt(visitor_t *v, bool right) {
    uint8_t receipt = right ? WIRE_RIGHT : WIRE_WRONG;
    return say(v, &receipt, WIRE_RECEIPT);
}

/* -1: the conversation is over. */
static int take_blocks(visitor_t *v, const uint8_t *data, size_t len) {
    if (wire_receive(&v->receiver, data, len) != 0) {
        say_receipt(v, false);
        return -1;
    }
    return wire_receiver_done(&v->receiver) ? say_receipt(v, true) : 0;
}

static int begin(visitor_t *v) {
    uint64_t blocks;
    v->verb = wire_read_request(v->request, &blocks);
    switch (v->verb) {
    case WIRE_GET:
        wire_sender_init(&v->sender, blocks);
        watch(v, EPOLLIN | EPOLLOUT);
        return 0;
    case WIRE_PUT:
        wire_receiver_init(&v->receiver);
        return 0;
    case WIRE_ECHO:
        return 0;
    case WIRE_BYE:
        say_receipt(v, true);
        return -1;
    default:
        return -1;
    }
}

static int take(visitor_t *v, const uint8_t *data, size_t len) {
    switch (v->verb) {
    case WIRE_GET:
        wire_sender_stop(&v->sender);
        return 0;
    case WIRE_PUT:
        return take_blocks(v, data, len);
    default:
        return say(v, data, len);
    }
}

static int take_request(visitor_t *v, const uint8_t *data, size_t len) {
    size_t n = WIRE_REQUEST - v->got;
    n = len < n ? len : n;
    memcpy(v->request + v->got, data, n);
    v->got += n;
    if (v->got < WIRE_REQUEST)
        return 0;
    if (begin(v) != 0)
        return -1;
    return len > n ? take(v, data + n, len - n) : 0;
}

static int on_readable(visitor_t *v) {
    int n = wire_read(v->fd);
    if (n <= 0)
        return n;
    return v->verb == 0 ? take_request(v, wire_buffer, (size_t)n) : take(v, wire_buffer, (size_t)n);
}

static int on_writable(visitor_t *v) {
    if (wire_send(&v->sender, v->fd) != 0)
        return -1;
    if (wire_sender_done(&v->sender))
        watch(v, EPOLLIN);
    return 0;
}

static void on_event(visitor_t *v, uint32_t events) {
    int status = 0;
    if ((events & ~(uint32_t)EPOLLOUT) != 0)
        status = on_readable(v);
    if (status == 0 && (events & EPOLLOUT) != 0)
        status = on_writable(v);
    if (status != 0) {
        close(v->fd);
        free(v);
    }
}

static void accept_all(int listener) {
    int fd, yes = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        visitor_t *v = calloc(1, sizeof(*v));
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = v};
        if (v == NULL || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)) != 0 ||
            epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) != 0)
            wire_die("a connection");
        v->fd = fd;
    }
    if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
        wire_die("accept");
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s IPV4:PORT\n", argv[0]);
        return 2;
    }
    wire_init();
    wire_raise_limits();
    poller = epoll_create1(EPOLL_CLOEXEC);
    int listener = wire_listen(argv[1]);
    struct epoll_event events[EVENTS], event = {.events = EPOLLIN, .data.ptr = NULL};
    if (poller < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event) != 0)
        wire_die("epoll");
    for (;;) {
        int n = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == NULL)
                accept_all(listener);
            else
                on_event(events[i].data.ptr, events[i].events);
        }
    }
}
