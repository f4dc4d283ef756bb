/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_STREAM_H
#define WSTUNNEL_STREAM_H
/**
 * @file stream.h
 * The byte stream: full-duplex, with back-pressure, half-close in each direction, and reset. TCP
 * connections, Unix sockets and tunnel streams are streams; an embedder can add a kind of its own
 * (the lower half of this file).
 *
 * A stream starts paused. Its callbacks run from the loop only. Two of them end something:
 *  - on_end: the peer has finished sending, all its bytes have been delivered. Writing goes on.
 *  - on_error: the stream is dead in both directions. Nothing but close_cb follows.
 * A stream never closes itself; its owner does, and an owner that closes before both directions are
 * finished (on_end seen, on_shutdown seen) resets the connection, so that the peer does not take a
 * broken stream for a complete one. A Unix socket cannot carry a reset: its peer sees an end,
 * unless it has sent bytes that were not read.
 */
#include <wstunnel/chunk.h>
#include <wstunnel/common.h>
#include <wstunnel/ctx.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A byte stream. */
typedef struct wst_stream wst_stream_t;

/** Notices of a stream to its owner. Each member may be NULL; every callback may do anything. */
typedef struct wst_stream_callbacks {
    size_t size; /**< sizeof the struct (common.h) */
    /** Bytes came in (len > 0). The slice is lent: wst_slice_ref() keeps it. */
    void (*on_read)(wst_stream_t *stream, wst_slice_t data, void *user_data);
    /** The peer finished sending. Once. */
    void (*on_end)(wst_stream_t *stream, void *user_data);
    /** After a write had answered WST_WAIT: go on writing. */
    void (*on_drain)(wst_stream_t *stream, void *user_data);
    /** After wst_stream_shutdown: all written bytes and the end have been handed over (to the
        kernel; for a tunnel stream: to the other end of the tunnel). Once. */
    void (*on_shutdown)(wst_stream_t *stream, void *user_data);
    /** The stream broke (negative code): reset by the peer, session lost, ... Once, and last. */
    void (*on_error)(wst_stream_t *stream, int error, void *user_data);
} wst_stream_callbacks_t;

/**
 * Sets callbacks, which are copied, and their user_data; NULL for none. May be changed at any time.
 * @return 0; WST_EINVAL: `callbacks->size` is not set; then the stream has no callbacks, and a log
 *         line says so.
 */
WST_EXTERN int wst_stream_set_callbacks(wst_stream_t *stream,
                                        const wst_stream_callbacks_t *callbacks, void *user_data);

/** The stream's context. */
WST_EXTERN wst_ctx_t *wst_stream_ctx(const wst_stream_t *stream);

/** The peer, for people: "192.0.2.7:4711", "unix:/run/x", "tunnel 12 to host:22". */
WST_EXTERN const char *wst_stream_peer(const wst_stream_t *stream);

/**
 * Starts or resumes delivery of on_read and on_end.
 * @param max  most bytes to deliver by one on_read, as far as the kind can tell beforehand; 0: as
 *             the stream likes. A hint that keeps a reader's buffers within its bounds.
 */
WST_EXTERN void wst_stream_read_start(wst_stream_t *stream, size_t max);

/** Pauses delivery: after this call no on_read and no on_end until the next start. */
WST_EXTERN void wst_stream_read_stop(wst_stream_t *stream);

/**
 * Puts bytes back: they are delivered before all other undelivered bytes. If on_end has run, it
 * runs again after them (an empty slice asks for just that). Takes one reference of the slice, on
 * error too. For an owner that has read a head and hands the stream on.
 * @return 0 or WST_ENOMEM.
 */
WST_EXTERN WST_MUST_CHECK int wst_stream_unread(wst_stream_t *stream, wst_slice_t data);

/**
 * Writes slices in order. Takes one reference of each, on error too.
 * @return 0: taken, go on; WST_WAIT: taken, on_drain will tell when to go on (writing more is legal
 *         but has no bound); WST_ESTATE after shutdown, error or close; another error if nothing
 *         more can be written (then nothing was, or the stream is broken: close it; no on_error
 *         follows).
 */
WST_EXTERN WST_MUST_CHECK int wst_stream_write(wst_stream_t *stream, const wst_slice_t *slices,
                                               size_t count);

/** Bytes that a write may carry now while the stream's buffers stay within their bounds; 0 only
    while on_drain is pending: a write that leaves no room answers WST_WAIT. */
WST_EXTERN size_t wst_stream_room(const wst_stream_t *stream);

/**
 * Finishes sending: the end follows all written bytes. on_shutdown reports completion.
 * @return 0; WST_ESTATE if shut down before, broken or closed.
 */
WST_EXTERN WST_MUST_CHECK int wst_stream_shutdown(wst_stream_t *stream);

/**
 * Closes with a reset (TCP: RST), with a reason for the peer where the kind can carry one.
 * Otherwise like wst_stream_close.
 * @param reason  a negative error code; wst_reason_of() of it travels
 */
WST_EXTERN void wst_stream_reset(wst_stream_t *stream, int reason, wst_close_cb close_cb);

/**
 * Closes. Orderly if our direction is finished (on_shutdown has run); else as wst_stream_reset with
 * WST_ECANCELLED. `close_cb` (may be NULL) gets the user_data of wst_stream_set_callbacks. Closing
 * again does nothing; the first close_cb counts.
 */
WST_EXTERN void wst_stream_close(wst_stream_t *stream, wst_close_cb close_cb);

/** Bytes delivered so far; those that were put back count once. */
WST_EXTERN uint64_t wst_stream_bytes_read(const wst_stream_t *stream);
/** Bytes accepted for writing so far. */
WST_EXTERN uint64_t wst_stream_bytes_written(const wst_stream_t *stream);

/**
 * @name A stream kind of your own
 *
 * Fill a wst_stream_ops and make the stream by wst_stream_new(). The library calls the ops as
 * described here, and only in a legal state. Report events by the functions wst_stream_emit_*, from
 * the loop, never from inside one of your ops.
 * @{
 */

/** Operations of a kind. All members but `room` are required. */
typedef struct wst_stream_ops {
    size_t size; /**< sizeof the struct (common.h) */
    /** Start delivering: at most `max` bytes a piece if possible (0: no wish). Called again while
        started when `max` has changed. */
    void (*read_start)(wst_stream_t *stream, size_t max, void *impl);
    /** Stop: wst_stream_emit_read and _end must not be called until the next start. */
    void (*read_stop)(wst_stream_t *stream, void *impl);
    /** Write; take one reference of each slice, on error too. 0, WST_WAIT (then emit_drain must
        follow, unless an error does), or a negative error. */
    int (*write)(wst_stream_t *stream, const wst_slice_t *slices, size_t count, void *impl);
    /** See wst_stream_room; NULL: 65536. */
    size_t (*room)(const wst_stream_t *stream, const void *impl);
    /** Finish sending after all written bytes, then wst_stream_emit_shutdown. 0 or an error. */
    int (*shutdown)(wst_stream_t *stream, void *impl);
    /** Release everything, then, later from the loop, wst_stream_closed. `reset_reason` is 0 for an
        orderly close, else the connection must be reset. Nothing may be emitted after this call. */
    void (*close)(wst_stream_t *stream, int reset_reason, void *impl);
} wst_stream_ops_t;

/**
 * Makes a stream of a kind of your own.
 * @param ops   lives as long as the stream; borrowed
 * @param impl  handed to the ops; freed by you, in or after `close`
 * @param peer  see wst_stream_peer; copied, cut at 95 bytes; NULL: ""
 * @return 0; WST_EINVAL: `ops` lacks its size or a required member; WST_ENOMEM.
 */
WST_EXTERN WST_MUST_CHECK int wst_stream_new(wst_stream_t **out, wst_ctx_t *ctx,
                                             const wst_stream_ops_t *ops, void *impl,
                                             const char *peer);

/** The stream's `impl`. */
WST_EXTERN void *wst_stream_impl(const wst_stream_t *stream);

/** Delivers bytes; the slice is lent to the reader. The reader may have stopped or closed the
    stream on return. */
WST_EXTERN void wst_stream_emit_read(wst_stream_t *stream, wst_slice_t data);
/** The peer finished sending. Neither read_start nor read_stop is called after it. */
WST_EXTERN void wst_stream_emit_end(wst_stream_t *stream);
/** Writing may go on. */
WST_EXTERN void wst_stream_emit_drain(wst_stream_t *stream);
/** Our end has been handed over. */
WST_EXTERN void wst_stream_emit_shutdown(wst_stream_t *stream);
/** The stream is broken. */
WST_EXTERN void wst_stream_emit_error(wst_stream_t *stream, int error);
/** Everything is released: runs close_cb and frees the stream. Not from inside `close`. */
WST_EXTERN void wst_stream_closed(wst_stream_t *stream);
/** Whether delivery is wanted now (started, not stopped, not closed). */
WST_EXTERN bool wst_stream_reading(const wst_stream_t *stream);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
