/* SPDX-License-Identifier: MIT */
/* How fast flows are: what has passed since a status last looked at them. */
#include "admin.h"

enum { LOOK_MS = 1000 };

static uint64_t per_second(uint64_t bytes, uint64_t ms) {
    return (uint64_t)((double)bytes * 1000 / (double)(ms > 0 ? ms : 1));
}

uint64_t wst__admin_rate(wst_admin_t *a, uint64_t id, uint64_t bytes, uint64_t open_ms) {
    uint64_t since_opened = per_second(bytes, open_ms), now = wst_ctx_now(a->ctx);
    if (a->rates == NULL)
        a->rates = wst__zalloc(&a->allocator, WST__ADMIN_RATES * sizeof(*a->rates));
    if (a->rates == NULL)
        return since_opened;
    wst__admin_rate_t *r = &a->rates[id % WST__ADMIN_RATES];
    if (r->id != id)
        *r = (wst__admin_rate_t){id, bytes, now, since_opened};
    else if (now - r->at_ms >= LOOK_MS)
        *r = (wst__admin_rate_t){id, bytes, now, per_second(bytes - r->bytes, now - r->at_ms)};
    return r->rate;
}
