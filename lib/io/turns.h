/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TURNS_H
#define WST_LIB_TURNS_H
/*
 * Measures the turns of a loop: each begins at the end of the loop's wait for events and ends at
 * the beginning of the next wait (see wst_ctx_stats_t). libuv has no hook between its wait and the
 * callbacks for events. So each callback of the library for an event calls wst__turns_woken first.
 */
#include <uv.h>

typedef struct wst__turns {
    uv_prepare_t prepare;
    uv_check_t check;
    uint64_t woken_ns; /* uv_hrtime() at the library's first callback since the wait; 0: none */
    uint64_t begun_ns; /* uv_hrtime() at the beginning of the running turn; 0: waiting */
    uint64_t count, over_1ms, over_10ms;
    uint64_t max_ns, peak_ns;
} wst__turns_t;

/* Starts measuring. The caller sets `data` of the two handles and closes them. */
void wst__turns_init(wst__turns_t *turns, uv_loop_t *loop);

/* Notes the end of the wait. */
static inline void wst__turns_woken(wst__turns_t *turns) {
    if (turns->woken_ns == 0)
        turns->woken_ns = uv_hrtime();
}

#endif
