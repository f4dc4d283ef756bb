/* SPDX-License-Identifier: MIT */
#include "link_line.h"

#include "link_packet.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK = 1 << 20 };

/* A packet under way; its bytes follow. */
typedef struct record {
    uint64_t due;
    uint32_t len;
    uint32_t wire;
    uint32_t segments;
    uint32_t padding;
} record_t;

struct line_block {
    line_block_t *next;
    size_t read, write; /* offsets of the first record and of the next one */
    uint8_t data[BLOCK];
};

/* Segments of one packet that stay together. */
typedef struct run {
    size_t first, count, wire;
} run_t;

void line_init(line_t *line, const line_options_t *options) {
    *line = (line_t){.options = *options, .random = options->seed};
}

static void free_blocks(line_block_t *block) {
    while (block != NULL) {
        line_block_t *next = block->next;
        free(block);
        block = next;
    }
}

void line_free(line_t *line) {
    free_blocks(line->first);
    free_blocks(line->spare);
    *line = (line_t){0};
}

/* Storage ------------------------------------------------------------------------------------ */

static line_block_t *take_block(line_t *line) {
    line_block_t *block = line->spare;
    if (block != NULL)
        line->spare = block->next;
    else
        block = malloc(sizeof(*block));
    if (block != NULL) {
        block->next = NULL;
        block->read = block->write = 0;
    }
    return block;
}

static bool has_room(const line_block_t *block) {
    return BLOCK - block->write >= sizeof(record_t) + PACKET_MAX;
}

uint8_t *line_space(line_t *line) {
    if (line->last == NULL || !has_room(line->last)) {
        line_block_t *block = take_block(line);
        if (block == NULL)
            return NULL;
        if (line->last != NULL)
            line->last->next = block;
        else
            line->first = block;
        line->last = block;
    }
    return line->last->data + line->last->write + sizeof(record_t);
}

/* Appends the packet in line_space(). */
static void commit(line_t *line, size_t len, const run_t *run) {
    const record_t record = {
        .due = line->idle_at + line->options.delay_ns,
        .len = (uint32_t)len,
        .wire = (uint32_t)run->wire,
        .segments = (uint32_t)run->count,
    };
    line_block_t *block = line->last;
    memcpy(block->data + block->write, &record, sizeof(record));
    block->write += (sizeof(record) + len + 7) / 8 * 8;
}

static record_t first_record(const line_block_t *block) {
    record_t record;
    memcpy(&record, block->data + block->read, sizeof(record));
    return record;
}

/* The first block is skipped when it is read up and another follows. */
static const line_block_t *front_block(const line_t *line) {
    const line_block_t *block = line->first;
    while (block != NULL && block->read == block->write)
        block = block->next;
    return block;
}

const uint8_t *line_front(const line_t *line, size_t *len, uint64_t *due) {
    const line_block_t *block = front_block(line);
    if (block == NULL)
        return NULL;
    const record_t record = first_record(block);
    *len = record.len;
    *due = record.due;
    return block->data + block->read + sizeof(record);
}

static void release_first(line_t *line) {
    line_block_t *block = line->first;
    line->first = block->next;
    if (line->first == NULL)
        line->last = NULL;
    block->next = line->spare;
    line->spare = block;
}

void line_pop(line_t *line) {
    while (line->first->read == line->first->write)
        release_first(line);
    line_block_t *block = line->first;
    const record_t record = first_record(block);
    line->stats.packets += record.segments;
    line->stats.bytes += record.wire;
    block->read += (sizeof(record) + record.len + 7) / 8 * 8;
    if (block->read == block->write)
        release_first(line);
}

/* Loss, queue and rate ----------------------------------------------------------------------- */

/* splitmix64 */
static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static bool is_lost(line_t *line) {
    const bool lost = (double)(next_random(&line->random) >> 11) * 0x1p-53 < line->options.loss;
    line->stats.lost += lost;
    return lost;
}

/* The time that the line needs for `bytes`, rounded up: the rate is never exceeded. */
static uint64_t sending_ns(const line_t *line, uint64_t bytes) {
    const double ns = (double)bytes * 8e9 / (double)line->options.rate;
    const uint64_t whole = (uint64_t)ns;
    return whole + (ns > (double)whole);
}

static uint64_t queued_bytes(const line_t *line, uint64_t now) {
    return (uint64_t)((double)(line->idle_at - now) * (double)line->options.rate / 8e9);
}

/* Puts `wire` bytes into the queue, or drops them. */
static bool enqueue(line_t *line, uint64_t now, size_t wire) {
    const uint64_t begin = line->idle_at > now ? line->idle_at : now;
    const uint64_t end = begin + sending_ns(line, wire);
    if (end - now > sending_ns(line, line->options.queue)) {
        line->stats.dropped++;
        return false;
    }
    line->idle_at = end;
    const uint64_t queued = queued_bytes(line, now);
    if (queued > line->stats.queue_most)
        line->stats.queue_most = queued;
    return true;
}

/* The next neighbours that survive, at `from` or later. An empty run: no segment survives. */
static run_t next_run(line_t *line, uint64_t now, const packet_t *p, size_t from) {
    run_t run = {.first = from};
    for (size_t i = from; i < p->segments; i++) {
        const size_t wire = packet_wire(p, i);
        if (!is_lost(line) && enqueue(line, now, wire)) {
            run.count++;
            run.wire += wire;
        } else if (run.count > 0) {
            return run;
        } else {
            run.first = i + 1;
        }
    }
    return run;
}

/* Appends `run` and all later runs of the packet, each as a packet of its own. */
static bool push_runs(line_t *line, uint64_t now, const packet_t *p, run_t run) {
    while (run.count > 0) {
        uint8_t *space = line_space(line);
        if (space == NULL)
            return false;
        commit(line, packet_cut(p, run.first, run.count, space), &run);
        run = next_run(line, now, p, run.first + run.count + 1);
    }
    return true;
}

bool line_push(line_t *line, uint64_t now, size_t len) {
    static uint8_t copy[PACKET_MAX];
    uint8_t *space = line_space(line);
    if (space == NULL)
        return false;
    const packet_t whole = packet_of(space, len);
    const run_t run = next_run(line, now, &whole, 0);
    if (run.count == whole.segments) {
        commit(line, len, &run);
        return true;
    }
    memcpy(copy, space, len);
    const packet_t p = packet_of(copy, len);
    return push_runs(line, now, &p, run);
}
