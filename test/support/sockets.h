/* SPDX-License-Identifier: MIT */
#ifndef TEST_SOCKETS_H
#define TEST_SOCKETS_H
/* Connected pairs of sockets, and an owner that records what a stream tells it. */
#include "env.h"

#include <wstunnel/socket.h>
#include <wstunnel/stream.h>

/* Two connected descriptors, blocking: over loopback TCP, or Unix if `is_unix`. */
void sockets_pair(int fds[2], bool is_unix);

/* A stream on a descriptor; the test fails if there is none. */
wst_stream_t *sockets_stream(test_env_t *env, int fd, bool is_unix);

/* All that can be read from a blocking descriptor until its end (0) or error (errno); at most
 * `size` bytes are kept, all are counted. */
int sockets_read_all(int fd, uint8_t *buf, size_t size, size_t *len);

/* Closes a descriptor with RST. */
void sockets_reset(int fd);

/* That a connection of TCP, dialled or accepted, has the options of all. */
void sockets_expect_options(int fd);

/* The byte at `offset` of the sequence that tests send, whose period is not a power of two. */
uint8_t sockets_pattern(size_t offset);

/* What the owner of a stream has seen. */
typedef struct sockets_owner {
    wst_stream_t *stream;
    size_t received; /* bytes; checked against the pattern if `patterned` */
    bool patterned;
    uint8_t first[64]; /* the first of them */
    size_t largest;    /* piece */
    size_t reads;
    size_t ends, drains, shutdowns, errors, closed;
    int error;

    char close_at;     /* closes in this callback: r e d s x */
    bool pause_always; /* stops in each on_read */
} sockets_owner_t;

/* Sets an owner's callbacks on a stream. */
void sockets_own(sockets_owner_t *owner, wst_stream_t *stream);

/* Closes; owner->closed counts it. */
void sockets_close_owned(sockets_owner_t *owner);

/* Writes a copy of `len` bytes. */
int sockets_write(wst_stream_t *stream, const void *data, size_t len);

/* Writes `len` bytes of the pattern from `offset` on, in one slice. */
int sockets_write_pattern(wst_stream_t *stream, size_t offset, size_t len);

#endif
