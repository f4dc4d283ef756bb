/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_REFUSALS_H
#define EXAMPLES_REFUSALS_H
/*
 * Bounds how many refusals a log tells one by one: of each source, an IPv4 address or the /64 of an
 * IPv6 address, REFUSALS_EACH in REFUSALS_WINDOW_MS. Further ones are counted, for one line at the
 * end of that time. REFUSALS_SOURCES sources are told apart; those for which there is no room are
 * counted together. Knows no clock.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    REFUSALS_SOURCES = 64,
    REFUSALS_EACH = 20,
    REFUSALS_WINDOW_MS = 10000,
    REFUSALS_SOURCE_SIZE = 64
};

typedef struct refusal_source {
    char name[REFUSALS_SOURCE_SIZE];
    uint64_t since_ms;
    uint64_t count; /* since then; 0: a free place */
} refusal_source_t;

/* Zeroed: nothing has been refused. */
typedef struct refusals {
    refusal_source_t sources[REFUSALS_SOURCES + 1]; /* the last one: all others */
} refusals_t;

/* Receives that `more` refusals of a source were not told one by one in the last `seconds`. */
typedef void (*refusals_more_cb)(const char *source, uint64_t more, uint64_t seconds);

/* Counts a refusal of a client (an address with its port). Returns whether to tell it. */
bool refusals_count(refusals_t *refusals, const char *client, uint64_t now_ms);

/* Ends the windows that are over and tells what they kept back. Returns whether others go on: call
 * this again within a second or so. At the end of the log, refusals_end_all instead. */
bool refusals_end(refusals_t *refusals, uint64_t now_ms, refusals_more_cb more);
void refusals_end_all(refusals_t *refusals, uint64_t now_ms, refusals_more_cb more);

#endif
