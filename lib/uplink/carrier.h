/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_LINK_H
#define WST_LIB_LINK_H
/*
 * A WebSocket that carries a session. It moves messages between the two, no more: it pulls from the
 * session as much as the socket takes, and feeds it what comes in. Streams of the session are
 * opened and accepted as wst_stream_t (tunnel.h).
 */
#include "ctx.h"
#include "session.h"

#include <wstunnel/websocket.h>

typedef struct wst__link wst__link_t;
typedef struct wst__tunnel wst__incoming_t;

typedef struct wst__link_options {
    bool client; /* we dialled: the agent */
    wst_encoding_t encoding;
    wst_hello_t hello;                                    /* as wst__greeting_init takes it */
    uint64_t hello_timeout_ms;                            /* 0: 10000 */
    uint64_t ping_interval_ms, dead_after_ms, window_max; /* as a session's */

    /* The session is up. A negative result ends it with that error. */
    int (*on_up)(wst__link_t *link, const wst_hello_t *hello, void *user_data);
    /* The peer asks for a stream (tunnel.h: accept, refuse, on_gone). NULL: all are refused. */
    void (*on_incoming)(wst__link_t *link, wst__incoming_t *incoming, wst_str_t dest,
                        void *user_data);
    /* The peer takes no more streams. */
    void (*on_goaway)(wst__link_t *link, int reason, void *user_data);
    /* It is over, once, with or without on_up before: error as of a websocket's on_over or a
     * session's. All its streams have failed with WST_ELOST. Close the link. */
    void (*on_down)(wst__link_t *link, int error, const char *detail, void *user_data);
    void *user_data;
} wst__link_options_t;

/* Whether these may be stream_window and stream_window_max of a server or an agent; 0 stands for
 * the default. */
bool wst__link_windows_valid(size_t first, size_t most);

/*
 * Makes a link whose WebSocket is still to be made with the callbacks of
 * wst__link_websocket_options and then given by wst__link_attach. 0, WST_ENOMEM, WST_EINVAL.
 */
int wst__link_new(wst__link_t **out, wst_ctx_t *ctx, const wst__link_options_t *options);

/* The callbacks, user_data and max_message that the link's WebSocket is to be made with. */
void wst__link_websocket_options(wst__link_t *link, wst_websocket_options_t *options);

/* Gives it its WebSocket, made with those; it starts when that is open. */
void wst__link_attach(wst__link_t *link, wst_websocket_t *websocket);

/* Our subprotocols, NULL-terminated, best first. Which one is agreed on decides the encoding. */
extern const char *const wst__link_protocols[];      /* bin, json */
extern const char *const wst__link_protocols_json[]; /* json */

wst__session_t *wst__link_session(const wst__link_t *link);    /* NULL before on_up */
wst_websocket_t *wst__link_websocket(const wst__link_t *link); /* NULL before attach */
wst_ctx_t *wst__link_ctx(const wst__link_t *link);

/* tunnel.c: streams of a link may outlive it; its memory stays until the last one is closed. */
void wst__link_ref(wst__link_t *link);
void wst__link_unref(wst__link_t *link);

/*
 * Ends in an orderly way: what the session has to say comes first (a goaway, last answers, and data
 * as far as a batch holds it), then the closing handshake, then on_down with 0, or WST_ECANCELLED
 * if the WebSocket was not open yet. What the peer says meanwhile is ignored. Streams are lost.
 */
void wst__link_end(wst__link_t *link, int code, const char *reason);

/* Closes; streams fail with WST_ELOST before close_cb runs. */
void wst__link_close(wst__link_t *link, wst_close_cb close_cb);

#endif
