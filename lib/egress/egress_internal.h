/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_EGRESS_INTERNAL_H
#define WST_LIB_EGRESS_INTERNAL_H
/* A stream of an egress, for the files of this folder. */
#include "egress.h"

#include <wstunnel/dial.h>
#include <wstunnel/http.h>
#include <wstunnel/pump.h>

typedef enum wst__egress_phase {
    WST__EGRESS_ASKING,
    WST__EGRESS_DIALLING,
    WST__EGRESS_PUMPING,
    WST__EGRESS_ENDING,
    WST__EGRESS_CLOSING
} wst__egress_phase_t;

/* Kept small, since idle tunnels keep it. */
typedef struct wst__egress_stream {
    wst__list_t node;
    wst__egress_t *egress;
    wst__egress_phase_t phase;
    bool denied_by_asker;        /* the denial: by `networks`, not by the egress's own rules */
    bool denied_as_own;          /* the denial: this process listens there */
    wst__ticket_t hold, busy;    /* of the node */
    wst__ticket_t open, pending; /* of the egress */
    union {
        wst__incoming_t *incoming; /* until accepted or refused */
        wst_pump_t *pump;          /* WST__EGRESS_PUMPING */
    };
    wst_request_t *question; /* pending: on_destination, on_dial or on_ended */
    wst_dial_t *dial;
    wst_rules_verdict_t denial; /* of the last address denied */
    uint64_t id, since_ms;
    char *networks;            /* addresses that the far side lets be tried; NULL: all */
    wst_authority_t authority; /* of dest; points into it */
    char dest[];               /* as the far side named it; at most WST_DEST_MAX bytes */
} wst__egress_stream_t;

static inline wst_ctx_t *wst__egress_stream_ctx(const wst__egress_stream_t *s) {
    return s->egress->node->ctx;
}

/* Takes the stream out of its list: walks that would visit it next go on. */
void wst__egress_unlink(wst__egress_stream_t *s);

/* Adds the bytes that an open stream has moved so far. */
void wst__egress_count_bytes(const wst__egress_stream_t *s, uint64_t *to, uint64_t *from);

#endif
