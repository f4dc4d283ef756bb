/* SPDX-License-Identifier: MIT */
#ifndef TEST_BENCH_LINK_LINE_H
#define TEST_BENCH_LINK_LINE_H
/*
 * One direction of the emulated link, without devices or a clock. A packet is lost at random or
 * waits in a drop-tail queue, leaves the queue at the line's rate and arrives `delay_ns` later. The
 * line keeps the order of packets. It treats a run of TCP segments segment by segment; neighbours
 * that survive stay one packet, which arrives with its last byte.
 *
 * The line holds at most rate x delay + queue bytes of IP packets, with 48 bytes more for each.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct line_options {
    uint64_t delay_ns; /* one way */
    uint64_t rate;     /* bit/s of IP packets; at least 1 */
    uint64_t queue;    /* bytes, including the rest of the packet that is being sent */
    double loss;       /* 0 to 1, drawn once a segment, before the queue */
    uint64_t seed; /* of splitmix64; the n-th segment is lost if its n-th number / 2^64 < loss */
} line_options_t;

/* Counts of packets as on a wire: each segment of a run counts. */
typedef struct line_stats {
    uint64_t packets, bytes; /* delivered */
    uint64_t lost;           /* at random */
    uint64_t dropped;        /* by the full queue */
    uint64_t queue_most;     /* bytes in the queue at most */
} line_stats_t;

typedef struct line_block line_block_t;

typedef struct line {
    line_options_t options;
    line_stats_t stats;
    uint64_t random;
    uint64_t idle_at;           /* when the queue will be empty */
    line_block_t *first, *last; /* packets under way */
    line_block_t *spare;        /* emptied blocks */
} line_t;

void line_init(line_t *line, const line_options_t *options);
void line_free(line_t *line);

/* Room for the next packet, PACKET_MAX bytes; valid until the next call. NULL: out of memory. */
uint8_t *line_space(line_t *line);

/* Takes the packet of `len` bytes that was written to line_space(). `now` is its arrival at the
 * line and never decreases. False: out of memory. */
bool line_push(line_t *line, uint64_t now, size_t len);

/* The first packet on the line and the time when it is due, or NULL. Valid until line_pop(). */
const uint8_t *line_front(const line_t *line, size_t *len, uint64_t *due);

/* Removes the first packet and counts it as delivered. */
void line_pop(line_t *line);

#endif
