/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_STREAM_H
#define WST_LIB_STREAM_H
/* The inside of the stream base. Kinds of stream use the public interface only, except for
 * `layer` and wst__stream_begin_full. */
#include "bufq.h"
#include "ctx.h"

#include <wstunnel/stream.h>

enum { WST__STREAM_MAGIC = 0x57535354 };

/* Set by a kind that runs over another stream; owned by it. */
typedef struct wst__stream_layer {
    wst_stream_t *transport;
    size_t turn_max; /* bytes of a turn of the loop, since they cost time; 0: no bound */
    /* May be NULL. Tells people why the stream broke; NULL if only the code is known. */
    const char *(*explain)(const void *impl, int error);
} wst__stream_layer_t;

/* The members of wst_stream_callbacks_t, without its size. */
typedef struct wst__stream_notices {
    void (*on_read)(wst_stream_t *stream, wst_slice_t data, void *user_data);
    void (*on_end)(wst_stream_t *stream, void *user_data);
    void (*on_drain)(wst_stream_t *stream, void *user_data);
    void (*on_shutdown)(wst_stream_t *stream, void *user_data);
    void (*on_error)(wst_stream_t *stream, int error, void *user_data);
} wst__stream_notices_t;

/* Kept small: an idle tunnel has two at either end. */
struct wst_stream {
    uint32_t magic;
    int error; /* told by on_error, or by the call that failed; 0: the stream is not broken */
    wst_ctx_t *ctx;
    const wst_stream_ops_t *ops;
    void *impl;
    wst__stream_notices_t callbacks;
    void *user_data;
    wst_close_cb close_cb;

    bool reading;     /* the owner wants on_read and on_end */
    bool ops_reading; /* the kind has been told so */
    bool ended;       /* the kind has emitted its end */
    bool end_told;    /* and on_end has run (unread undoes this) */
    bool waiting;     /* a write has answered WST_WAIT, on_drain has not run */
    bool shutdown_called, shutdown_done;
    bool closing;
    size_t read_max;
    wst__bufq_t *unread; /* put back: delivered before bytes of the kind; NULL: none */
    wst__defer_t replay; /* delivers `unread`, and repeats an end */

    uint64_t bytes_read, bytes_written;
    void (*watch)(wst_stream_t *stream, void *user_data);
    void *watch_data;

    const wst__stream_layer_t *layer; /* NULL: none */
    char *told_peer;                  /* in place of `peer`; NULL: none */
    char peer[];                      /* of exact size */
};

/* Replaces the name of the peer (wst_stream_peer), cut at 95 bytes: a proxy has told it. 0 or
 * WST_ENOMEM. */
int wst__stream_set_peer(wst_stream_t *stream, const char *peer);

/* The bottom of a stream: its transport's transport, and so on; without one, the stream itself. */
wst_stream_t *wst__stream_bottom(wst_stream_t *stream);

/* The text of a stream's error: the explanation of its kind, or of a kind below; else the standard
 * text. */
const char *wst__stream_why(const wst_stream_t *stream, int error);

/* A new stream has no room yet: on_drain is pending, as after a write. */
void wst__stream_begin_full(wst_stream_t *stream);

/* Tells another object when the stream is gone, before close_cb; NULL ends that. */
void wst__stream_watch(wst_stream_t *stream,
                       void (*on_closed)(wst_stream_t *stream, void *user_data), void *user_data);

/* The outcome of a closed stream: 0 if both directions had ended; the error that broke it; or
 * WST_ECANCELLED if its owner closed it first. */
int wst__stream_outcome(const wst_stream_t *stream);

#endif
