/* SPDX-License-Identifier: MIT */
#ifndef TEST_BENCH_LINK_LINE_H
#define TEST_BENCH_LINK_LINE_H
/*
 * One direction of the emulated link, without devices or a clock: what comes in is lost at random,
 * waits in a drop-tail queue, leaves it at the line's rate and arrives `delay_ns` later. Packets
 * arrive in the order in which they came. A packet that is a run of TCP segments is treated segment
 * by segment; neighbours that survive stay one packet, which arrives with its last byte.
 *
 * Memory follows what is under way: at most rate x delay + queue bytes on the wire, and 48 bytes a
 * packet.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct line_options {
    uint64_t delay_ns; /* one way */
    uint64_t rate;     /* bit/s of IP packets; at least 1 */
    uint64_t queue;    /* bytes, with what is left of the packet that is being sent */
    double loss;       /* 0 to 1, drawn once a segment, before the queue */
    uint64_t seed; /* of splitmix64; the n-th segment is lost if its n-th number / 2^64 < loss */
} line_options_t;

/* Segments as they are on the wire, and the bytes of their IP packets. */
typedef struct line_stats {
    uint64_t packets, bytes; /* delivered */
    uint64_t lost;           /* at random */
    uint64_t dropped;        /* by the full queue */
    uint64_t queue_most;     /* bytes */
} line_stats_t;

typedef struct line_block line_block_t;

typedef struct line {
    line_options_t options;
    line_stats_t stats;
    uint64_t random;
    uint64_t idle_at;           /* when all in the queue is sent */
    line_block_t *first, *last; /* packets under way */
    line_block_t *spare;        /* emptied blocks */
} line_t;

void line_init(line_t *line, const line_options_t *options);
void line_free(line_t *line);

/* Room for the next packet, PACKET_MAX bytes; valid until the next call. NULL: out of memory. */
uint8_t *line_space(line_t *line);

/* The packet of `len` bytes in line_space() comes in at `now`, which never goes back. False: out of
 * memory. */
bool line_push(line_t *line, uint64_t now, size_t len);

/* The first packet under way and when it arrives, or NULL. It is valid until line_pop(). */
const uint8_t *line_front(const line_t *line, size_t *len, uint64_t *due);

/* The first packet has arrived. */
void line_pop(line_t *line);

#endif
