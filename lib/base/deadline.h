/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_DEADLINE_H
#define WST_LIB_DEADLINE_H
/*
 * Deadlines on a clock that is passed in: an intrusive pairing heap, so setting one needs no
 * memory. Times are milliseconds of any steady clock. The context drives one heap with one timer;
 * tests drive theirs with virtual time.
 */
#include <stdbool.h>
#include <stdint.h>

#define WST__NEVER UINT64_MAX

typedef struct wst__deadline wst__deadline_t;
typedef void (*wst__deadline_cb)(wst__deadline_t *deadline, uint64_t now_ms);

/* Embedded and zeroed by its owner. */
struct wst__deadline {
    uint64_t at_ms;
    wst__deadline_cb cb;
    wst__deadline_t *child, *next, *prev; /* prev: left sibling, or the parent of a first child */
    bool set;
};

typedef struct wst__deadlines {
    wst__deadline_t *root;
    uint64_t earliest; /* during a run: earlier deadlines are put off until then */
    /* Called when the earliest deadline may have moved; may be NULL. */
    void (*changed)(struct wst__deadlines *deadlines);
} wst__deadlines_t;

/* Sets or moves a deadline. `cb` runs once, from wst__deadlines_run, unless cleared before. */
void wst__deadline_set(wst__deadlines_t *h, wst__deadline_t *d, uint64_t at_ms,
                       wst__deadline_cb cb);

/* Harmless if not set. */
void wst__deadline_clear(wst__deadlines_t *h, wst__deadline_t *d);

/* The earliest time set, or WST__NEVER. */
uint64_t wst__deadlines_next(const wst__deadlines_t *h);

/*
 * Runs the deadlines due at `now_ms`, earliest first. Callbacks may set and clear any deadline. A
 * deadline that they set for `now_ms` or earlier is put off to `now_ms` + 1, so a run always ends.
 */
void wst__deadlines_run(wst__deadlines_t *h, uint64_t now_ms);

#endif
