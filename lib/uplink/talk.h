/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TALK_H
#define WST_LIB_TALK_H
/*
 * The uplink of the talk's protocol (PROTOCOL.md): a WebSocket that waits until the server needs
 * it, carries one stream, and is not used again. There is no session, no hello, no id.
 *
 *     server:  OPENING -> WAITING --open--> ASKED --completed--> STREAM
 *     agent:   OPENING -> WAITING --handshake--> ASKED --accept--> STREAM
 *
 * Only the server opens streams. The protocol limits the stream: the WebSocket's close (1000) ends
 * both directions, so a shutdown cuts off the peer's remaining data (WST_EWSCLOSED). Any other end
 * is a reset.
 *
 * For the agent the uplink is spent, and may be replaced, as soon as the server has named a
 * destination. But the talk's own server knows only the newest connection and looks it up at each
 * step of opening a stream: a new connection in between would break the opening. So a `single`
 * uplink is spent when the stream is settled: client bytes have arrived, SETTLE_MS have passed
 * since the agent's answer, or the connection is gone.
 */
#include "uplink.h"

extern const wst__uplink_kind_t wst__talk_kind;

#endif
