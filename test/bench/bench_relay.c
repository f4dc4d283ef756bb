/* SPDX-License-Identifier: MIT */
/*
 * The least that a hop can cost: connections to the first address of a pair go to the second.
 * 256 KiB are read and written at once; a connection has memory of its own only while the other
 * side does not take what was read. End is passed on as end, an error as an error.
 *
 *     bench_relay [--spoil N | --cut N] LISTEN=TO...     addresses: IPV4:PORT
 *
 * Prints "listening IPV4:PORT" for each pair. So that a test can fail, --spoil changes the byte
 * behind the first N of each direction, and --cut ends the connection there.
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

enum { EVENTS = 256, PAIRS_MAX = 8 };

typedef struct hop hop_t;

/* One of the two sockets of a hop; `left` of them wait to be written to it. */
typedef struct side {
    hop_t *hop;
    struct side *other;
    int fd;
    uint32_t events;
    uint8_t *waiting;
    size_t begin, left;
    uint64_t taken;
    bool connected, ended; /* it has no more to say */
} side_t;

struct hop {
    side_t client, target;
    bool over;
    hop_t *next_over;
};

typedef struct pair {
    side_t accepts; /* only its fd; hop NULL */
    struct sockaddr_in to;
} pair_t;

static int poller;
static hop_t *over; /* to be freed after this turn, for events may still name them */
static uint64_t spoil_at = UINT64_MAX, cut_at = UINT64_MAX;

static void set_nodelay(int fd) {
    int yes = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
}

static void end_hop(hop_t *h) {
    if (h->over)
        return;
    h->over = true;
    close(h->client.fd);
    close(h->target.fd);
    h->next_over = over;
    over = h;
}

static void reset_hop(hop_t *h) {
    struct linger linger = {.l_onoff = 1};
    setsockopt(h->client.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    setsockopt(h->target.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    end_hop(h);
}

static void free_over(void) {
    while (over != NULL) {
        hop_t *h = over;
        over = h->next_over;
        free(h->client.waiting);
        free(h->target.waiting);
        free(h);
    }
}

/* A side is read while the other has nothing that waits. */
static void watch(side_t *s) {
    uint32_t events = s->left > 0 || !s->connected ? EPOLLOUT : 0;
    if (s->connected && s->other->connected && !s->ended && s->other->left == 0)
        events |= EPOLLIN;
    if (events == s->events || s->hop->over)
        return;
    struct epoll_event event = {.events = events, .data.ptr = s};
    s->events = events;
    if (epoll_ctl(poller, EPOLL_CTL_MOD, s->fd, &event) != 0)
        wire_die("epoll_ctl");
}

static int write_some(side_t *s, const uint8_t *data, size_t len, size_t *written) {
    ssize_t n = send(s->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    *written = n > 0 ? (size_t)n : 0;
    return n >= 0 || errno == EAGAIN ? 0 : -1;
}

static int keep(side_t *s, const uint8_t *data, size_t len) {
    s->waiting = malloc(len);
    if (s->waiting == NULL)
        return -1;
    memcpy(s->waiting, data, len);
    s->begin = 0;
    s->left = len;
    return 0;
}

static int deliver(side_t *s, const uint8_t *data, size_t len) {
    size_t written;
    if (write_some(s, data, len, &written) != 0)
        return -1;
    return written < len ? keep(s, data + written, len - written) : 0;
}

static int flush(side_t *s) {
    size_t written;
    if (write_some(s, s->waiting + s->begin, s->left, &written) != 0)
        return -1;
    s->begin += written;
    s->left -= written;
    if (s->left == 0) {
        free(s->waiting);
        s->waiting = NULL;
    }
    return 0;
}

/* As a broken tunnel would. */
static int harm(side_t *s, size_t len) {
    if (spoil_at >= s->taken && spoil_at - s->taken < len)
        wire_buffer[spoil_at - s->taken] ^= 1;
    s->taken += len;
    return s->taken > cut_at ? -1 : 0;
}

static int on_end(side_t *s) {
    s->ended = true;
    shutdown(s->other->fd, SHUT_WR);
    if (s->other->ended)
        end_hop(s->hop);
    return 0;
}

static int on_readable(side_t *s) {
    int n = wire_read(s->fd);
    if (n < 0)
        return errno == 0 ? on_end(s) : -1;
    if (n > 0 && harm(s, (size_t)n) != 0)
        return -1;
    return n > 0 ? deliver(s->other, wire_buffer, (size_t)n) : 0;
}

static int on_connected(side_t *s) {
    int error;
    socklen_t len = sizeof(error);
    s->connected = true;
    return getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0 ? 0 : -1;
}

static void on_event(side_t *s, uint32_t events) {
    int status = 0;
    if (s->hop->over)
        return;
    if (!s->connected)
        status = on_connected(s);
    else if ((events & EPOLLOUT) != 0 && s->left > 0)
        status = flush(s);
    else if ((events & EPOLLERR) != 0 || s->other->left == 0)
        status = on_readable(s);
    if (status != 0)
        reset_hop(s->hop);
    watch(s);
    watch(s->other);
}

/* Connections -------------------------------------------------------------------------------- */

static void add_side(hop_t *h, side_t *s, side_t *other, int fd) {
    s->hop = h;
    s->other = other;
    s->fd = fd;
    struct epoll_event event = {.events = 0, .data.ptr = s};
    set_nodelay(fd);
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) != 0)
        wire_die("epoll_ctl");
}

static void open_hop(int client, const struct sockaddr_in *to) {
    hop_t *h = calloc(1, sizeof(*h));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (h == NULL || fd < 0)
        wire_die("a connection");
    add_side(h, &h->client, &h->target, client);
    add_side(h, &h->target, &h->client, fd);
    h->client.connected = true;
    if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) != 0 && errno != EINPROGRESS)
        reset_hop(h);
    watch(&h->target);
}

static void accept_all(pair_t *p) {
    int fd;
    while ((fd = accept4(p->accepts.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        open_hop(fd, &p->to);
}

static void add_pair(pair_t *p, char *text) {
    char *to = strchr(text, '=');
    if (to == NULL)
        wire_die("LISTEN=TO is needed");
    *to = '\0';
    p->to = wire_address(to + 1);
    p->accepts.fd = wire_listen(text);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &p->accepts};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, p->accepts.fd, &event) != 0)
        wire_die("epoll_ctl");
}

static int take_options(int argc, char **argv) {
    int first = 1;
    for (; first + 1 < argc && strncmp(argv[first], "--", 2) == 0; first += 2) {
        uint64_t at = strtoull(argv[first + 1], NULL, 10);
        if (strcmp(argv[first], "--spoil") == 0)
            spoil_at = at;
        else if (strcmp(argv[first], "--cut") == 0)
            cut_at = at;
        else
            return argc;
    }
    return first;
}

static void run(void) {
    struct epoll_event events[EVENTS];
    for (;;) {
        int n = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            side_t *s = events[i].data.ptr;
            if (s->hop == NULL)
                accept_all((pair_t *)s); /* its first member */
            else
                on_event(s, events[i].events);
        }
        free_over();
    }
}

int main(int argc, char **argv) {
    static pair_t pairs[PAIRS_MAX];
    int first = take_options(argc, argv);
    if (first >= argc || argc - first > PAIRS_MAX) {
        fprintf(stderr, "usage: %s [--spoil N | --cut N] IPV4:PORT=IPV4:PORT...\n", argv[0]);
        return 2;
    }
    wire_raise_limits();
    poller = epoll_create1(EPOLL_CLOEXEC);
    for (int i = first; i < argc; i++)
        add_pair(&pairs[i - first], argv[i]);
    run();
}
