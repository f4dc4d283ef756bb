/* SPDX-License-Identifier: MIT */
#ifndef TEST_LINK_RIG_H
#define TEST_LINK_RIG_H
/*
 * Two links joined by sockets in one loop, and what their streams tell. As in websocket_rig.h no
 * callback may run from inside a call to the library, none within another, and none but close_cb
 * after a close.
 */
#include "support.h"

#include "ctx.h"
#include "carrier.h"
#include "tunnel.h"

typedef enum link_event {
    LINK_NEVER,
    LINK_UP,
    LINK_INCOMING,
    LINK_GOAWAY,
    LINK_DOWN,
    LINK_ANSWER, /* to wst__tunnel_open */
    LINK_GONE,   /* an incoming stream */
    LINK_READ,
    LINK_END,
    LINK_DRAIN,
    LINK_SHUTDOWN,
    LINK_ERROR,
    LINK_EVENTS
} link_event_t;

typedef struct link_rig link_rig_t;
typedef struct link_side link_side_t;

/* A stream and what it told. */
typedef struct link_probe {
    link_rig_t *rig;
    wst_stream_t *stream; /* NULL: not open, or gone */
    uint8_t *received;
    size_t received_len, received_size;
    int reads, ends, drains, shutdowns, errors, closed;
    int error;
    bool closing;
} link_probe_t;

typedef enum link_policy { LINK_ACCEPT, LINK_REFUSE, LINK_HOLD } link_policy_t;

struct link_side {
    link_rig_t *rig;
    wst_stream_t *stream; /* not taken yet */
    wst_hijack_t *hijack;
    wst__link_t *link;
    wst__link_options_t options;
    const char *const *protocols;
    uint64_t close_timeout_ms;

    int ups, incomings, goaways, downs, closed;
    int up_result; /* of on_up */
    char name[65], dest[300];
    int goaway_reason, error, http_status;
    char detail[256];
    bool closing;

    link_policy_t policy;
    wst__incoming_t *incoming; /* held */
    int gone, gone_reason;
    wst__tunnel_open_t *open; /* waits for its answer */
    int answers, status;
    char text[300];
    link_probe_t probe; /* the last stream that was opened or accepted */
};

struct link_rig {
    uv_loop_t loop;
    uv_timer_t watchdog;
    wst_ctx_t *ctx;
    link_side_t client, server;
    int busy;
    void (*act)(link_rig_t *rig, link_side_t *side, link_event_t event); /* NULL, or in each */
    void *data;
};

/* All of these: false if there was no memory. */
bool link_rig_init(link_rig_t *rig);
bool link_rig_join(link_rig_t *rig, bool tcp);
bool link_rig_start(link_rig_t *rig); /* links, upgrade; run the loop then */

/* All of that, until both are up. */
void link_rig_up(link_rig_t *rig, bool json, bool tcp);

/* Closes what there is; afterwards nothing may be left. */
void link_rig_free(link_rig_t *rig);

void link_rig_turns(link_rig_t *rig, int n);
void link_rig_until(link_rig_t *rig, const int *counter, int n);
void link_rig_pass(link_rig_t *rig, uint64_t ms);

link_side_t *link_rig_other(link_side_t *side);

void link_side_close(link_side_t *side);
void link_side_end(link_side_t *side, int code, const char *reason);
int link_side_open(link_side_t *side, const char *dest);

/* The client asks, the server accepts: both probes have a stream. */
void link_rig_stream(link_rig_t *rig);

void link_probe_read(link_probe_t *probe, bool wanted);
int link_probe_write(link_probe_t *probe, const void *data, size_t len);
int link_probe_shutdown(link_probe_t *probe);
void link_probe_reset(link_probe_t *probe, int reason); /* 0: closes */

#endif
