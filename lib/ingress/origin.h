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
    char agent[WST_NAME_MAX + 1];
    char address[WST__IP_TEXT]; /* that was reached, or "" */
} wst__origin_t;

/* Ends a connection that has been sent nothing but whole requests in an orderly way, which takes a
 * while: ours is said, and theirs awaited, or the agent would reset the connection under an origin
 * that is still reading. */
void wst__origin_end(wst_stream_t *origin);

#endif
