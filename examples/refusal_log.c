/* SPDX-License-Identifier: MIT */
#include "refusal_log.h"

enum { TIMER_MS = 1000 };

static struct {
    refusals_t refusals;
    refusals_more_cb more;
    uv_timer_t timer; /* runs while there are sources */
} counted;

static void on_timer(uv_timer_t *timer) {
    if (!refusals_end(&counted.refusals, uv_now(timer->loop), counted.more))
        uv_timer_stop(timer);
}

void refusal_log_start(uv_loop_t *loop, refusals_more_cb more) {
    counted.more = more;
    uv_timer_init(loop, &counted.timer);
    uv_unref((uv_handle_t *)&counted.timer);
}

void refusal_log_end(void) {
    refusals_end_all(&counted.refusals, uv_now(counted.timer.loop), counted.more);
    uv_close((uv_handle_t *)&counted.timer, NULL);
}

bool refusal_log_tells(const char *source) {
    uv_timer_t *timer = &counted.timer;
    if (!uv_is_active((uv_handle_t *)timer))
        uv_timer_start(timer, on_timer, TIMER_MS, TIMER_MS);
    return refusals_count(&counted.refusals, source, uv_now(timer->loop));
}
