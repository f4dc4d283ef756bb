/* SPDX-License-Identifier: MIT */
/*
 * The least that a tunnel through one connection can cost, if what the far end sends is masked
 * (RFC 6455 section 5.3), and if a keystroke is not to wait behind a long queue: two of these
 * programs carry the streams of clients as frames, with at most FLIGHT bytes a direction that the
 * other has not passed on yet. Nothing is kept to be sent again, nobody is asked for a password or
 * a rule, and streams share alike.
 *
 *     bench_mux near CARRIER LISTEN...    where the clients are
 *     bench_mux far CARRIER TO...         connects to the carrier's address, and to TO: as many as
 *                                         the near end listens at         addresses: IPV4:PORT
 *
 * As with any tunnel whose far end may refuse a destination, the near end reads from a client when
 * the far end has said that it is connected.
 *
 * A frame: its kind (a byte); a number (3 bytes): of OPEN, which TO, of DATA the length of its
 * payload, of CONFIRM how many bytes were passed on; the stream's id (4 bytes); the payload.
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

enum {
    EVENTS = 256,
    TARGETS_MAX = 8,
    STREAMS_MAX = 1 << 20,
    HEAD = 8,
    PIECE = 1 << 16,
    FLIGHT = 1 << 18,
    OUT_MAX = 1 << 20, /* FLIGHT, and the frames without data of thousands of streams */
    CONFIRM_EVERY = 1 << 16
};
enum { OPEN = 1, OPENED, DATA, END, RESET, CONFIRM };

typedef struct stream {
    int fd;
    uint32_t id;
    struct stream *next; /* in the list of those that may have something to read */
    bool listed, open, said_end, heard_end;
    uint8_t *waiting; /* to be written */
    size_t begin, left;
} stream_t;

typedef struct frame {
    int kind;
    uint32_t number, id;
} frame_t;

static bool near;
static int poller, carrier = -1, listeners[TARGETS_MAX];
static struct sockaddr_in targets[TARGETS_MAX];
static stream_t *streams[STREAMS_MAX]; /* by id */
static uint32_t last_id;
static stream_t *first, **behind_last = &first; /* of the list */

static uint8_t out[OUT_MAX];
static size_t out_begin, out_end, in_flight, passed_on;

static uint8_t in_head[HEAD];
static size_t in_head_len;
static frame_t in_frame;
static size_t in_left; /* of its payload */

/* A fixed one costs as much as one that changes. */
static const uint8_t mask[4] = {0x4d, 0xa1, 0x36, 0xe5};

static void apply_mask(uint8_t *data, size_t len, size_t offset) {
    typedef uint64_t __attribute__((vector_size(16), aligned(1), may_alias)) vector_t;
    uint8_t pattern[sizeof(vector_t)];
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = mask[(offset + i) % 4];
    vector_t key;
    memcpy(&key, pattern, sizeof(key));
    for (; len >= 4 * sizeof(key); len -= 4 * sizeof(key), data += 4 * sizeof(key))
        for (int i = 0; i < 4; i++)
            ((vector_t *)data)[i] ^= key;
    for (size_t i = 0; i < len; i++)
        data[i] ^= pattern[i % 4];
}

/* Frames out --------------------------------------------------------------------------------- */

static void flush(void) {
    while (out_begin < out_end) {
        ssize_t n =
            send(carrier, out + out_begin, out_end - out_begin, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            wire_die("the carrier");
        out_begin += (size_t)n;
    }
    if (out_begin == out_end)
        out_begin = out_end = 0;
}

/* Moves the rest to the front if there is less room than that behind it. */
static void make_room(size_t len) {
    if (OUT_MAX - out_end >= len)
        return;
    memmove(out, out + out_begin, out_end - out_begin);
    out_end -= out_begin;
    out_begin = 0;
}

static void put_head(uint8_t *to, int kind, uint32_t number, uint32_t id) {
    uint32_t words[2] = {(uint32_t)kind << 24 | number, id};
    memcpy(to, words, HEAD); /* both ends are one machine's */
}

static void put_frame(int kind, uint32_t number, uint32_t id) {
    make_room(HEAD);
    if (OUT_MAX - out_end < HEAD)
        wire_die("too many frames");
    put_head(out + out_end, kind, number, id);
    out_end += HEAD;
}

/* Sockets ------------------------------------------------------------------------------------ */

/* Reno, as ours over loopback: BBR would set a timer for each piece. */
static void set_congestion(int fd) {
    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
}

static void set_nodelay(int fd) {
    int yes = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
}

static int new_socket(int flags) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (fd < 0)
        wire_die("a socket");
    set_congestion(fd);
    return fd;
}

/* Streams ------------------------------------------------------------------------------------ */

static stream_t *new_stream(int fd, uint32_t id) {
    stream_t *st = calloc(1, sizeof(*st));
    if (st == NULL || id >= STREAMS_MAX || streams[id] != NULL)
        wire_die("a stream");
    set_nodelay(fd);
    st->fd = fd;
    st->id = id;
    streams[id] = st;
    return st;
}

/* epoll tells changes only (EPOLLET), so a stream is listed until it has nothing to read. */
static void watch(stream_t *st) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.u64 = st->id};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, st->fd, &event) != 0)
        wire_die("epoll_ctl");
}

static void list(stream_t *st) {
    if (st->listed)
        return;
    st->listed = true;
    st->next = NULL;
    *behind_last = st;
    behind_last = &st->next;
}

static stream_t *take_first(void) {
    stream_t *st = first;
    first = st->next;
    if (first == NULL)
        behind_last = &first;
    st->listed = false;
    return st;
}

static void end_stream(stream_t *st) {
    if (streams[st->id] == NULL)
        return;
    passed_on += st->left;
    free(st->waiting);
    streams[st->id] = NULL;
    close(st->fd);
    st->fd = -1;
    if (!st->listed) /* else once it is taken from there */
        free(st);
    else
        st->said_end = true;
}

static void reset_stream(stream_t *st) {
    struct linger linger = {.l_onoff = 1};
    setsockopt(st->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    end_stream(st);
}

static void break_stream(stream_t *st) {
    put_frame(RESET, 0, st->id);
    reset_stream(st);
}

static void end_if_both_have(stream_t *st) {
    if (st->heard_end && st->left == 0 && st->said_end)
        end_stream(st);
}

/* Reading from sockets ----------------------------------------------------------------------- */

/* Reads a piece into a frame. */
static void read_piece(stream_t *st) {
    make_room(HEAD + PIECE);
    uint8_t *payload = out + out_end + HEAD;
    size_t most = FLIGHT - in_flight < PIECE ? FLIGHT - in_flight : PIECE;
    ssize_t n = recv(st->fd, payload, most, 0);
    if (n < 0) {
        if (errno != EAGAIN)
            break_stream(st);
        return;
    }
    if (n == 0) {
        st->said_end = true;
        put_frame(END, 0, st->id);
        end_if_both_have(st);
        return;
    }
    if (!near)
        apply_mask(payload, (size_t)n, 0);
    put_head(out + out_end, DATA, (uint32_t)n, st->id);
    out_end += HEAD + (size_t)n;
    in_flight += (size_t)n;
    list(st);
}

static void read_streams(void) {
    while (first != NULL && in_flight < FLIGHT && out_end - out_begin + HEAD + PIECE <= OUT_MAX) {
        stream_t *st = take_first();
        if (st->fd < 0)
            free(st);
        else if (!st->said_end)
            read_piece(st);
    }
}

/* Writing to sockets ------------------------------------------------------------------------- */

static bool write_some(stream_t *st, const uint8_t *data, size_t len, size_t *written) {
    ssize_t n = send(st->fd, data, len, MSG_NOSIGNAL);
    *written = n > 0 ? (size_t)n : 0;
    passed_on += *written;
    if (n >= 0 || errno == EAGAIN)
        return true;
    break_stream(st);
    return false;
}

static void keep(stream_t *st, const uint8_t *data, size_t len) {
    uint8_t *grown = malloc(st->left + len);
    if (grown == NULL)
        wire_die("memory");
    if (st->left > 0)
        memcpy(grown, st->waiting + st->begin, st->left);
    memcpy(grown + st->left, data, len);
    free(st->waiting);
    st->waiting = grown;
    st->begin = 0;
    st->left += len;
}

static void finish_end(stream_t *st) {
    shutdown(st->fd, SHUT_WR);
    end_if_both_have(st);
}

static void write_waiting(stream_t *st) {
    size_t written;
    if (st->left == 0 || !write_some(st, st->waiting + st->begin, st->left, &written))
        return;
    st->begin += written;
    st->left -= written;
    if (st->left > 0)
        return;
    free(st->waiting);
    st->waiting = NULL;
    if (st->heard_end)
        finish_end(st);
}

static void deliver(stream_t *st, uint8_t *data, size_t len) {
    size_t written = 0;
    if (st == NULL) {
        passed_on += len;
        return;
    }
    if (st->left == 0 && !write_some(st, data, len, &written)) {
        passed_on += len;
        return;
    }
    if (written < len)
        keep(st, data + written, len - written);
}

/* Frames in ---------------------------------------------------------------------------------- */

static void open_target(uint32_t id, uint32_t number) {
    int fd = new_socket(SOCK_NONBLOCK);
    stream_t *st = new_stream(fd, id);
    const struct sockaddr *to = (const struct sockaddr *)&targets[number];
    if (connect(fd, to, sizeof(targets[number])) != 0 && errno != EINPROGRESS)
        break_stream(st);
    else
        watch(st);
}

static void obey(const frame_t *f) {
    stream_t *st = f->id < STREAMS_MAX ? streams[f->id] : NULL;
    if (f->kind == OPEN)
        open_target(f->id, f->number);
    if (f->kind == CONFIRM)
        in_flight -= f->number;
    if (st == NULL)
        return;
    if (f->kind == RESET)
        reset_stream(st);
    if (f->kind == OPENED) {
        st->open = true;
        watch(st);
        list(st);
    }
    if (f->kind == END) {
        st->heard_end = true;
        if (st->left == 0)
            finish_end(st);
    }
}

static size_t read_head(const uint8_t *data, size_t len) {
    size_t n = HEAD - in_head_len < len ? HEAD - in_head_len : len;
    memcpy(in_head + in_head_len, data, n);
    in_head_len += n;
    if (in_head_len < HEAD)
        return n;
    uint32_t words[2];
    memcpy(words, in_head, HEAD);
    in_frame = (frame_t){(int)(words[0] >> 24), words[0] & 0xffffff, words[1]};
    in_head_len = 0;
    if (in_frame.kind == DATA)
        in_left = in_frame.number;
    else
        obey(&in_frame);
    return n;
}

static size_t read_payload(uint8_t *data, size_t len) {
    size_t n = in_left < len ? in_left : len;
    if (near)
        apply_mask(data, n, in_frame.number - in_left);
    deliver(streams[in_frame.id], data, n);
    in_left -= n;
    return n;
}

static void confirm(size_t least) {
    if (passed_on < least)
        return;
    put_frame(CONFIRM, (uint32_t)passed_on, 0);
    passed_on = 0;
}

static void read_carrier(void) {
    int len = wire_read(carrier);
    if (len < 0)
        exit(0); /* the other end has ended */
    for (size_t used = 0; used < (size_t)len;) {
        uint8_t *data = wire_buffer + used;
        used += in_left > 0 ? read_payload(data, (size_t)len - used)
                            : read_head(data, (size_t)len - used);
        confirm(CONFIRM_EVERY);
    }
}

/* The loop ----------------------------------------------------------------------------------- */

static void on_stream(stream_t *st, uint32_t events) {
    if (!st->open) {
        int error = 0;
        socklen_t len = sizeof(error);
        if (getsockopt(st->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0) {
            break_stream(st);
            return;
        }
        if ((events & EPOLLOUT) == 0)
            return;
        st->open = true;
        put_frame(OPENED, 0, st->id);
    }
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0)
        list(st);
    if ((events & EPOLLOUT) != 0)
        write_waiting(st);
}

static void accept_all(uint32_t number) {
    int fd;
    while ((fd = accept4(listeners[number], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        last_id = last_id + 1 < STREAMS_MAX ? last_id + 1 : 1;
        put_frame(OPEN, number, new_stream(fd, last_id)->id);
    }
}

enum { CARRIER = 1 << 30, LISTENER }; /* in the data of events; below: streams' numbers */

static void add(int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) != 0)
        wire_die("epoll_ctl");
}

static void watch_carrier(bool also_writable) {
    static bool now = false;
    struct epoll_event event = {.events = EPOLLIN | (also_writable ? (uint32_t)EPOLLOUT : 0),
                                .data.u64 = CARRIER};
    if (also_writable != now && epoll_ctl(poller, EPOLL_CTL_MOD, carrier, &event) != 0)
        wire_die("epoll_ctl");
    now = also_writable;
}

static void run(void) {
    struct epoll_event events[EVENTS];
    for (;;) {
        int n = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            uint64_t data = events[i].data.u64;
            if (data >= LISTENER)
                accept_all((uint32_t)(data - LISTENER));
            else if (data == CARRIER && (events[i].events & EPOLLIN) != 0)
                read_carrier();
            else if (data < STREAMS_MAX && streams[data] != NULL)
                on_stream(streams[data], events[i].events);
        }
        confirm(1);
        read_streams();
        flush();
        watch_carrier(out_begin < out_end);
    }
}

static void use_carrier(int fd) {
    set_nodelay(fd);
    carrier = fd;
    add(fd, EPOLLIN, CARRIER);
}

static void begin_near(char **addresses, int count) {
    int waits = wire_listen(addresses[0]);
    set_congestion(waits); /* accepted sockets inherit it */
    for (int i = 1; i < count; i++) {
        listeners[i - 1] = wire_listen(addresses[i]);
        set_congestion(listeners[i - 1]);
    }
    int fd;
    while ((fd = accept4(waits, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) < 0)
        usleep(1000);
    use_carrier(fd);
    for (int i = 1; i < count; i++)
        add(listeners[i - 1], EPOLLIN, (uint64_t)LISTENER + (uint64_t)(i - 1));
}

static void begin_far(char **addresses, int count) {
    for (int i = 1; i < count; i++)
        targets[i - 1] = wire_address(addresses[i]);
    struct sockaddr_in to = wire_address(addresses[0]);
    int fd = new_socket(0);
    if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0)
        wire_die("the carrier");
    use_carrier(fd);
}

int main(int argc, char **argv) {
    near = argc > 1 && strcmp(argv[1], "near") == 0;
    if (argc < 4 || argc - 3 > TARGETS_MAX || (!near && strcmp(argv[1], "far") != 0)) {
        fprintf(stderr, "usage: %s near CARRIER LISTEN... | far CARRIER TO...\n", argv[0]);
        return 2;
    }
    wire_raise_limits();
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (near)
        begin_near(argv + 2, argc - 2);
    else
        begin_far(argv + 2, argc - 2);
    run();
}
