/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_WS_H
#define WST_LIB_WS_H
/*
 * The WebSocket protocol (RFC 6455) without I/O: bytes in, messages out, and the other way round.
 * The opening handshake is in ws_handshake.h.
 *
 * Parses and checks the heads of frames. Binary messages, the hot path, bypass wslay: they are
 * masked word-wise and handed on without copying. Text, pings and pongs go through wslay, which
 * checks UTF-8 and answers pings. Close frames are checked here: their codes are those of section
 * 7.4 and, of IANA's registry, 1012 to 1014. Messages are never buffered: pieces are handed on as
 * they arrive.
 */
#include "bufq.h"

typedef struct wst__ws wst__ws_t;

typedef struct wst__ws_options {
    wst__pool_t *pool;
    bool server;        /* we are the server: the peer's frames must be masked, ours are not */
    size_t max_message; /* bytes of a received message, fragments together; 0: 1 MiB. Beyond: close
                           1009, WST_EMSGBIG */

    /* Fills `buf` with unpredictable bytes (mask keys; clients only). 0 or a negative error. */
    int (*random)(void *buf, size_t len, void *user_data);

    /*
     * A piece of a message, lent for the call; `fin` marks the last one (which may be empty).
     * Pieces of different messages do not interleave. Text is valid UTF-8 up to there. A
     * negative result stops wst__ws_recv, which returns it. It may call wst__ws_send and
     * wst__ws_close, but not wst__ws_recv or wst__ws_free.
     */
    int (*on_data)(wst__ws_t *ws, bool text, wst_slice_t piece, bool fin, void *user_data);

    /*
     * The peer's close frame: `code` is 1005 if it held none, `reason` is valid during the call.
     * The answering close frame is already in the output. It may call the same functions as
     * on_data.
     */
    void (*on_close)(wst__ws_t *ws, int code, wst_str_t reason, void *user_data);

    /*
     * Optional. A ping has arrived while 16 pongs wait in the output: it may take output
     * (wst__ws_take, nothing else). If it takes no pong, the peer does not read: WST_EFLOOD.
     */
    void (*on_full)(wst__ws_t *ws, void *user_data);

    void *user_data;
} wst__ws_options_t;

/* 0 or WST_ENOMEM. */
int wst__ws_new(wst__ws_t **out, const wst__ws_options_t *options);

/* Drops the output, too. NULL is allowed. */
void wst__ws_free(wst__ws_t *ws);

/*
 * Takes in bytes from the peer. The slice is lent, lies in a chunk, and no one else may hold a part
 * of it: payload is unmasked in place, and the pieces handed on are slices of the same chunk. All
 * bytes are consumed unless an error is returned. After our own close frame data still arrive;
 * after the peer's, all input is ignored (RFC 6455 section 5.5.1).
 *
 * Errors are final; every later call returns the same one: WST_EPROTO, WST_EUTF8, WST_EMSGBIG,
 * WST_EFLOOD (a close frame with code 1002, 1007, 1009 or 1008 is in the output), WST_ENOMEM or the
 * error of `random` (1011 if that was possible), or what on_data returned (1011); unless a close
 * was sent before.
 */
int wst__ws_recv(wst__ws_t *ws, wst_slice_t in);

/*
 * Sends one message: `head_len` bytes (at most 64) at `head`, copied, followed by `payload`, one
 * reference of which is taken, on error too. The frame is in the output when this returns.
 * 0; WST_ESTATE after a close was sent or received or recv failed; WST_ENOMEM or the error of
 * `random` (nothing is in the output then).
 */
int wst__ws_send(wst__ws_t *ws, bool text, const void *head, size_t head_len, wst_slice_t payload);

/*
 * Sends a close frame, once; later calls do nothing. `code` 1000..1003, 1007..1014 or 3000..4999,
 * `reason` at most 123 bytes of UTF-8 (cut if longer), or NULL.
 * 0; WST_EINVAL: no such code; WST_ENOMEM or the error of `random`: the peer will not be told.
 */
int wst__ws_close(wst__ws_t *ws, int code, const char *reason);

/* Bytes of output that wait to be taken. */
size_t wst__ws_pending(const wst__ws_t *ws);

/* Whether a pong waits there. */
bool wst__ws_pong_pending(const wst__ws_t *ws);

/* Takes up to `max` slices of output, in order; the caller owns their references. Returns how many.
 */
size_t wst__ws_take(wst__ws_t *ws, wst_slice_t *slices, size_t max);

bool wst__ws_close_sent(const wst__ws_t *ws);
bool wst__ws_close_received(const wst__ws_t *ws);

/* The peer's violation of the protocol, as a static text for people; "" if none. */
const char *wst__ws_error_detail(const wst__ws_t *ws);

#endif
