/* SPDX-License-Identifier: MIT */
#include "fake_uplink.h"

static const fake_uplink_t *of(const wst__uplink_t *uplink) {
    return (const fake_uplink_t *)(const void *)uplink; /* its first member */
}

static int can_open(const wst__uplink_t *uplink) {
    return of(uplink)->status;
}

static size_t load(const wst__uplink_t *uplink) {
    return of(uplink)->load;
}

static uint64_t rtt_ms(const wst__uplink_t *uplink) {
    return of(uplink)->rtt_ms;
}

static uint64_t moved(const wst__uplink_t *uplink) {
    return of(uplink)->moved;
}

static bool is_suspect(const wst__uplink_t *uplink) {
    return of(uplink)->suspect;
}

void fake_uplink_init(fake_uplink_t *u, const char *peer) {
    static const wst__uplink_ops_t ops = {.can_open = can_open,
                                          .load = load,
                                          .rtt_ms = rtt_ms,
                                          .moved = moved,
                                          .is_suspect = is_suspect};
    *u = (fake_uplink_t){.uplink = {.ops = &ops, .peer = peer}};
}
