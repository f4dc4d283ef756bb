/* SPDX-License-Identifier: MIT */
/* Compares two clocks, of which one counts the machine's sleep (wake.h). */
#include "wake.h"

/* By how much the clock that counts sleep is ahead. The loop's own time would not do: it lags
 * behind during a long turn. */
static uint64_t ahead_ms(const wst_ctx_t *ctx) {
    return ctx->boot_clock() - wst__now_us() / 1000;
}

static void look(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    wst__wake_t *w = WST__CONTAINER(deadline, wst__wake_t, look);
    uint64_t ahead = ahead_ms(w->ctx), slept = ahead - w->ahead_ms;
    w->ahead_ms = ahead;
    wst__deadline_in(w->ctx, &w->look, WST__WAKE_LOOK_MS, look);
    if (slept > WST__SLEEP_MS && slept <= INT64_MAX) /* else the clocks differ by their rounding */
        w->on_wake(w, slept);
}

static void close_wake(wst__part_t *part) {
    wst__wake_t *w = WST__CONTAINER(part, wst__wake_t, part);
    wst__deadline_clear(&w->ctx->deadlines, &w->look);
}

void wst__wake_init(wst__wake_t *w, wst__node_t *node,
                    void (*on_wake)(wst__wake_t *wake, uint64_t slept_ms)) {
    *w = (wst__wake_t){.part = {.close = close_wake}, .ctx = node->ctx, .on_wake = on_wake};
    wst__node_add(node, &w->part);
    if (w->ctx->boot_clock == NULL)
        return;
    w->ahead_ms = ahead_ms(w->ctx);
    wst__deadline_in(w->ctx, &w->look, WST__WAKE_LOOK_MS, look);
}
