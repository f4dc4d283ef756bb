/* SPDX-License-Identifier: MIT */
#include "turns.h"
#include "list.h"

enum { NS_PER_MS = 1000000 };

static void count_turn(wst__turns_t *turns, uint64_t length_ns) {
    turns->count++;
    turns->over_1ms += length_ns > NS_PER_MS;
    turns->over_10ms += length_ns > 10 * NS_PER_MS;
    if (length_ns > turns->peak_ns)
        turns->peak_ns = length_ns;
    if (length_ns > turns->max_ns)
        turns->max_ns = length_ns;
}

/* The loop is about to wait. */
static void on_turn_end(uv_prepare_t *prepare) {
    wst__turns_t *turns = WST__CONTAINER(prepare, wst__turns_t, prepare);
    if (turns->begun_ns != 0)
        count_turn(turns, uv_hrtime() - turns->begun_ns);
    turns->begun_ns = turns->woken_ns = 0;
}

/* The callbacks for events have run. The host's may have run before the library's first one, so the
 * loop's time is an upper bound for the beginning: libuv sets it at the end of the wait, truncates
 * it to milliseconds, and may read it from a clock that is up to 1 ms late. */
static void on_events_done(uv_check_t *check) {
    wst__turns_t *turns = WST__CONTAINER(check, wst__turns_t, check);
    uint64_t latest_ns = (uv_now(check->loop) + 2) * NS_PER_MS;
    wst__turns_woken(turns);
    turns->begun_ns = turns->woken_ns < latest_ns ? turns->woken_ns : latest_ns;
}

void wst__turns_init(wst__turns_t *turns, uv_loop_t *loop) {
    uv_prepare_init(loop, &turns->prepare); /* none of these can fail (libuv's guide) */
    uv_check_init(loop, &turns->check);
    uv_prepare_start(&turns->prepare, on_turn_end);
    uv_check_start(&turns->check, on_events_done);
    uv_unref((uv_handle_t *)&turns->prepare);
    uv_unref((uv_handle_t *)&turns->check);
}
