/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_WEBSOCKET_H
#define WSTUNNEL_WEBSOCKET_H
/**
 * @file websocket.h
 * A WebSocket (RFC 6455) over any stream, as client or server. Messages are delivered in pieces as
 * they arrive, never buffered whole. Pings are answered automatically.
 */
#include <wstunnel/hijack.h>
#include <wstunnel/http.h>
#include <wstunnel/stream.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A WebSocket. */
typedef struct wst_websocket wst_websocket_t;

/** Notices of a WebSocket to its owner. */
typedef struct wst_websocket_callbacks {
    size_t size; /**< sizeof the struct (common.h) */
    /** The opening handshake is done; `protocol` is the subprotocol agreed on, "" for none; valid
        as long as the WebSocket. */
    void (*on_open)(wst_websocket_t *ws, const char *protocol, void *user_data);
    /** A piece of a message, lent; `fin` marks the last one, which may be empty. Text is UTF-8. */
    void (*on_message)(wst_websocket_t *ws, bool text, wst_slice_t piece, bool fin,
                       void *user_data);
    /** After a send had answered WST_WAIT: go on. */
    void (*on_drain)(wst_websocket_t *ws, void *user_data);
    /**
     * The WebSocket has ended. Runs once; only close_cb follows. `error` is 0 after a closing
     * handshake with code 1000 or 1001 or none, or the one given to wst_websocket_end;
     * WST_EWSCLOSED if the peer closed with another code; WST_EREJECTED if the server answered the
     * upgrade with another status (wst_websocket_http_status); WST_EHANDSHAKE, WST_EPROTO,
     * WST_EUTF8, WST_EMSGBIG, WST_EFLOOD, WST_ETIMEOUT, WST_ENOMEM; UV_EOF if the connection ended
     * without a closing handshake; WST_ECANCELLED if wst_websocket_end was called before on_open;
     * else the stream's error. `detail` says more, for people; valid during the call.
     */
    void (*on_over)(wst_websocket_t *ws, int error, const char *detail, void *user_data);
} wst_websocket_callbacks_t;

/** Options of a WebSocket, client or server. */
typedef struct wst_websocket_options {
    size_t size;                                /**< sizeof the struct (common.h) */
    const wst_websocket_callbacks_t *callbacks; /**< Required: on_over; the others are optional. */
    void *user_data;                            /**< For the callbacks and close_cb. */
    size_t max_message;           /**< Optional (default 1 MiB). Longest message received. */
    uint64_t open_timeout_ms;     /**< Client: Optional (default 10000). For the server's answer. */
    uint64_t close_timeout_ms;    /**< Optional (default 5000). For the peer's close frame, and then
                                       for the end of the connection. */
    const char *host;             /**< Client, required: value of the Host field. */
    const char *path;             /**< Client: Optional (default "/"). */
    const char *const *protocols; /**< Optional: subprotocols, NULL-terminated, best first: those
                                       a client offers, those a server accepts. */
    const char *fields;           /**< Client, optional: more fields, as complete lines. */
} wst_websocket_options_t;

/**
 * Client: opens a WebSocket on a connected stream, which is taken on success.
 * @return 0 (on_open or on_over follows); WST_EINVAL (an option is missing, or invalid in a
 *         head); WST_EHEADBIG (more than 16 KiB); WST_ENOMEM; the stream's error.
 */
WST_EXTERN WST_MUST_CHECK int wst_websocket_connect(wst_websocket_t **out, wst_ctx_t *ctx,
                                                    wst_stream_t *stream,
                                                    const wst_websocket_options_t *options);

/**
 * Server: accepts the upgrade request that `hijack` holds, unanswered; takes its connection and
 * answers 101. The hijack remains the caller's to close. The first of our protocols that the client
 * offers is chosen; if there are `protocols` and the client offers none of them, the request is
 * refused.
 * @return 0 (on_open or on_over follows); WST_EHANDSHAKE: not a valid upgrade, already answered
 *         with 400, 405 or 426 by the hijack (its on_done follows); WST_ESTATE: the hijack holds no
 *         request; WST_EINVAL; WST_ENOMEM; the stream's error. If wst_hijack_request still has the
 *         request afterwards, it can be answered in another way.
 */
WST_EXTERN WST_MUST_CHECK int wst_websocket_accept(wst_websocket_t **out, wst_ctx_t *ctx,
                                                   wst_hijack_t *hijack,
                                                   const wst_websocket_options_t *options);

/** Whether a request asks for a WebSocket upgrade. */
WST_EXTERN bool wst_websocket_is_upgrade(const wst_http_head_t *request);

/**
 * Sends one message. Takes one reference of the slice, on error too.
 * @return 0: go on; WST_WAIT: taken, on_drain follows unless it closes; WST_ESTATE: not open;
 *         another error: the WebSocket is broken, close it (on_over does not follow).
 */
WST_EXTERN WST_MUST_CHECK int wst_websocket_send(wst_websocket_t *ws, bool text,
                                                 wst_slice_t payload);

/** Pauses reading; bytes already read are still delivered. A paused WebSocket notices nothing of
   its peer: no close frame, no end of the connection. */
WST_EXTERN void wst_websocket_read_stop(wst_websocket_t *ws);
/** Resumes reading. A WebSocket starts in this state. */
WST_EXTERN void wst_websocket_read_start(wst_websocket_t *ws);

/**
 * Begins the closing handshake: messages sent before go out first, then a close frame; on_over
 * follows, even if this call fails. Messages of the peer still come until its close frame.
 * @param code    1000..1003, 1007..1011, 3000..4999 (RFC 6455 section 7.4), 1012..1014 (IANA)
 * @param reason  NULL or UTF-8, cut at 123 bytes
 */
WST_EXTERN void wst_websocket_end(wst_websocket_t *ws, int code, const char *reason);

/** Closes at once: unless the closing handshake is done, the connection is reset. */
WST_EXTERN void wst_websocket_close(wst_websocket_t *ws, wst_close_cb close_cb);

/** Client: the status that the server answered the upgrade with; 0: none yet. */
WST_EXTERN int wst_websocket_http_status(const wst_websocket_t *ws);

/** The peer; see wst_stream_peer. */
WST_EXTERN const char *wst_websocket_peer(const wst_websocket_t *ws);

#ifdef __cplusplus
}
#endif
#endif
