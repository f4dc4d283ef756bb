/* SPDX-License-Identifier: MIT */
#include "bench_wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

/* Blocks, one after the other: a piece can begin anywhere in the first. */
static uint8_t blocks[WIRE_PIECE + WIRE_BLOCK];
uint8_t wire_buffer[WIRE_PIECE];
size_t wire_piece = WIRE_PIECE;

enum { HEAD = 9 }; /* of a block: 0 if it is the last, and then how many there are */

static void put_u64(uint8_t *out, uint64_t value) {
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(value >> (56 - 8 * i));
}

static uint64_t get_u64(const uint8_t *in) {
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = value << 8 | in[i];
    return value;
}

void wire_init(void) {
    uint32_t x = 2463534242;
    for (size_t i = HEAD; i < WIRE_BLOCK; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        blocks[i] = (uint8_t)x;
    }
    blocks[0] = 1;
    for (size_t i = WIRE_BLOCK; i < sizeof(blocks); i += WIRE_BLOCK)
        memcpy(blocks + i, blocks, WIRE_BLOCK);
}

/* The last block, that begins at `position`. */
static const uint8_t *last_block(uint64_t position) {
    static uint8_t block[WIRE_BLOCK];
    memcpy(block, blocks, WIRE_BLOCK);
    block[0] = 0;
    put_u64(block + 1, position / WIRE_BLOCK + 1);
    return block;
}

void wire_write_request(uint8_t out[WIRE_REQUEST], int verb, uint64_t count) {
    memcpy(out, "bench-1", 7);
    out[7] = (uint8_t)verb;
    put_u64(out + 8, count);
}

int wire_read_request(const uint8_t in[WIRE_REQUEST], uint64_t *count) {
    if (memcmp(in, "bench-1", 7) != 0)
        return -1;
    *count = get_u64(in + 8);
    return in[7];
}

/* Sending ------------------------------------------------------------------------------------ */

void wire_sender_init(wire_sender_t *s, uint64_t count) {
    s->position = 0;
    s->last = count > 0 ? (count - 1) * WIRE_BLOCK : UINT64_MAX;
}

void wire_sender_stop(wire_sender_t *s) {
    uint64_t next = (s->position + WIRE_BLOCK - 1) / WIRE_BLOCK * WIRE_BLOCK;
    if (next < s->last)
        s->last = next;
}

bool wire_sender_done(const wire_sender_t *s) {
    return s->last != UINT64_MAX && s->position == s->last + WIRE_BLOCK;
}

int wire_send(wire_sender_t *s, int fd) {
    const uint8_t *data = blocks + s->position % WIRE_BLOCK;
    uint64_t left = s->last - s->position;
    if (s->position >= s->last) {
        data = last_block(s->last) + (s->position - s->last);
        left = s->last + WIRE_BLOCK - s->position;
    }
    ssize_t n =
        send(fd, data, left < wire_piece ? (size_t)left : wire_piece, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    s->position += (uint64_t)n;
    return 0;
}

/* Receiving ---------------------------------------------------------------------------------- */

void wire_receiver_init(wire_receiver_t *r) {
    r->position = 0;
    r->last = UINT64_MAX;
}

bool wire_receiver_done(const wire_receiver_t *r) {
    return r->last != UINT64_MAX && r->position == r->last + WIRE_BLOCK;
}

static size_t equal_bytes(const uint8_t *a, const uint8_t *b, size_t len) {
    size_t i = 0;
    if (memcmp(a, b, len) == 0)
        return len;
    while (a[i] == b[i])
        i++;
    return i;
}

/* All of the last block that is there. */
static int receive_last(wire_receiver_t *r, const uint8_t *data, size_t len) {
    size_t at = (size_t)(r->position - r->last);
    if (len > WIRE_BLOCK - at || memcmp(data, last_block(r->last) + at, len) != 0)
        return -1;
    r->position += len;
    return 0;
}

int wire_receive(wire_receiver_t *r, const uint8_t *data, size_t len) {
    if (r->last != UINT64_MAX)
        return receive_last(r, data, len);
    size_t n = equal_bytes(data, blocks + r->position % WIRE_BLOCK, len);
    r->position += n;
    if (n == len)
        return 0;
    if (r->position % WIRE_BLOCK != 0)
        return -1;
    r->last = r->position;
    return receive_last(r, data + n, len - n);
}

/* Sockets ------------------------------------------------------------------------------------ */

int wire_read(int fd) {
    ssize_t n = recv(fd, wire_buffer, wire_piece, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n == 0)
        errno = 0;
    return n > 0 ? (int)n : -1;
}

double wire_now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct sockaddr_in wire_address(const char *text) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    char host[32];
    unsigned port;
    if (sscanf(text, "%31[0-9.]:%u", host, &port) != 2 || port > 65535 ||
        inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        fprintf(stderr, "%s: not IPV4:PORT\n", text);
        exit(2);
    }
    address.sin_port = htons((uint16_t)port);
    return address;
}

int wire_listen(const char *text) {
    struct sockaddr_in address = wire_address(text);
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), yes = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0 ||
        bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, 4096) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        wire_die(text);
    printf("listening %s:%u\n", inet_ntoa(address.sin_addr), ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

void wire_raise_limits(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        wire_die("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        wire_die("setrlimit");
}

void wire_die(const char *what) {
    perror(what);
    exit(1);
}
