/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TALK_H
#define WST_LIB_TALK_H
/*
 * A WebSocket that carries one tunnel, in the talk's protocol (PROTOCOL.md): no session, no ids.
 *
 *     server:  OPENING -> WAITING --ask--> ASKED --completed--> STREAM
 *     agent:   OPENING -> WAITING --handshake--> ASKED --accept--> STREAM
 *
 * As a stream it belongs to whoever has that stream. What the stream cannot do is what the protocol
 * cannot: the WebSocket's close (1000) is the end of both directions, so a shutdown breaks off what
 * the peer still had to say (WST_EWSCLOSED); everything else that ends it is a reset.
 */
#include "ctx.h"
#include "uplink.h"

#include <wstunnel/websocket.h>

typedef struct wst__talk wst__talk_t;

typedef struct wst__talk_options {
    /* How long the peer may take to read what it was sent, once our direction has ended. */
    uint64_t close_timeout_ms;

    /* The WebSocket is open: it waits. */
    void (*on_open)(wst__talk_t *talk, void *user_data);
    /* Agent: the server names a destination. Accept it, or end. */
    void (*on_handshake)(wst__talk_t *talk, wst_str_t dest, void *user_data);
    /* The first bytes of the peer are there. May be NULL. */
    void (*on_data)(wst__talk_t *talk, void *user_data);
    /* It is over before it was a stream, and before it was ended or closed here. */
    void (*on_down)(wst__talk_t *talk, int error, const char *detail, void *user_data);
    /* It is gone: once, last, however it went. */
    void (*on_closed)(void *user_data);
    void *user_data;
} wst__talk_options_t;

/*
 * Agent: opens one on a connected stream, which is taken on success; server: on the upgrade request
 * that the hijack holds. `websocket` as for wst_websocket_connect and _accept, whose errors these
 * return; callbacks and user_data in it are set here. After an error there is no talk, and no
 * callback comes.
 */
int wst__talk_connect(wst__talk_t **out, wst_ctx_t *ctx, wst_stream_t *stream,
                      const wst_websocket_options_t *websocket, const wst__talk_options_t *options);
int wst__talk_upgrade(wst__talk_t **out, wst_ctx_t *ctx, wst_hijack_t *hijack,
                      const wst_websocket_options_t *websocket, const wst__talk_options_t *options);

/*
 * Server: asks for a connection to `dest` through one that waits. 0 and later the callback, once
 * and never from inside this call, unless it is ended or closed before: with the stream, paused,
 * which is the callee's; or WST_EUNREACHABLE if the agent goes away, which is how it says no, and
 * on_down follows; WST_EPROTO, WST_ENOMEM. Or WST_ELOST: it cannot be asked any more; WST_ENOMEM.
 */
int wst__talk_ask(wst__talk_t *talk, const char *dest, wst__opened_cb callback, void *user_data);

/* Agent: told instead of on_down if the server loses interest before the answer. */
void wst__talk_on_gone(wst__talk_t *talk,
                       void (*on_gone)(wst__talk_t *talk, int reason, void *user_data),
                       void *user_data);

/* Agent: the destination is connected. 0 and a stream, paused; or an error (still to be ended). */
int wst__talk_accept(wst__talk_t *talk, wst_stream_t **stream);

/* Ends one that is no stream (else does nothing), by the closing handshake; the reason is for
 * people. Nothing but on_closed follows. */
void wst__talk_end(wst__talk_t *talk, int code, const char *reason);

/* Closes at once. Nothing but on_closed follows; a stream fails with WST_ELOST. */
void wst__talk_close(wst__talk_t *talk);

/* For the peer's name and the upgrade's status. Valid until on_closed. */
wst_websocket_t *wst__talk_websocket(const wst__talk_t *talk);

/* That of its options. */
void *wst__talk_user_data(const wst__talk_t *talk);

#endif
