/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_ORIGIN_H
#define WST_LIB_ORIGIN_H
#include "ip.h"

#include <wstunnel/codec.h>
#include <wstunnel/stream.h>

/* A connection to an origin that can serve one more request. */
typedef struct wst__origin {
    wst_stream_t *stream; /* NULL: none */
    uint64_t agent_serial;
    uint32_t conn; /* of the agent's session that carries it */
    char agent[WST_NAME_MAX + 1];
    char address[WST__IP_TEXT]; /* the address reached, or "" */
} wst__origin_t;

/* Ends a connection in order, after whole requests only: sends our end and waits for the origin's,
 * a few seconds at most. Takes the stream. An immediate close would make the agent reset the
 * connection while the origin may still be reading. */
void wst__origin_end(wst_stream_t *origin);

#endif
