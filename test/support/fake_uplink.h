/* SPDX-License-Identifier: MIT */
#ifndef TEST_FAKE_UPLINK_H
#define TEST_FAKE_UPLINK_H
/* An uplink that answers what a test says. It carries no streams. */
#include "uplink.h"

typedef struct fake_uplink {
    wst__uplink_t uplink;
    int status; /* of can_open */
    size_t load;
    uint64_t rtt_ms, moved;
    bool suspect;
} fake_uplink_t;

/* It can open, has no streams and comes from there. */
void fake_uplink_init(fake_uplink_t *u, const char *peer);

#endif
