/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TALK_H
#define WST_LIB_TALK_H
/*
 * The uplink of the talk's protocol (PROTOCOL.md): a WebSocket that waits until the server has a
 * use for it, carries one stream, and is not used again. There is no session, no hello, no id.
 *
 *     server:  OPENING -> WAITING --open--> ASKED --completed--> STREAM
 *     agent:   OPENING -> WAITING --handshake--> ASKED --accept--> STREAM
 *
 * Only the server opens streams. What the stream cannot do is what the protocol cannot: the
 * WebSocket's close (1000) is the end of both directions, so a shutdown breaks off what the peer
 * still had to say (WST_EWSCLOSED); everything else that ends it is a reset.
 *
 * To the agent the uplink is spent, and may be replaced, as soon as the server has named a
 * destination. But the talk's own server knows one connection, the newest, and looks it up at each
 * step of opening a stream: a new one in the middle of that would break it. So a `single` uplink is
 * spent when the stream is settled: bytes of the client have come, or SETTLE_MS have passed since
 * our answer, or the connection is gone.
 */
#include "uplink.h"

extern const wst__uplink_kind_t wst__talk_kind;

#endif
