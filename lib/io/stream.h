/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_STREAM_H
#define WST_LIB_STREAM_H
/* The inside of the stream base. Kinds of stream use the public interface only, except for
 * `transport` and `explain`. */
#include "bufq.h"
#include "ctx.h"

#include <wstunnel/stream.h>

enum { WST__STREAM_MAGIC = 0x57535354 };

struct wst_stream {
    uint32_t magic;
    wst_ctx_t *ctx;
    const wst_stream_ops_t *ops;
    void *impl;
    wst_stream_callbacks_t callbacks;
    void *user_data;
    wst_close_cb close_cb;

    bool reading;     /* the owner wants on_read and on_end */
    bool ops_reading; /* the kind has been told so */
    size_t read_max;
    wst__bufq_t unread;  /* put back: delivered before bytes of the kind */
    wst__defer_t replay; /* delivers `unread`, and repeats an end */
    bool ended;          /* the kind has emitted its end */
    bool end_told;       /* and on_end has run (unread undoes this) */
    bool waiting;        /* a write has answered WST_WAIT, on_drain has not run */
    bool shutdown_called, shutdown_done;
    bool failed; /* on_error has run */
    bool closing;

    uint64_t bytes_read, bytes_written;
    int error; /* the cause of `failed` */
    void (*watch)(wst_stream_t *stream, void *user_data);
    void *watch_data;

    /* Set by kinds that run over another stream. */
    wst_stream_t *transport; /* NULL: none */
    /* May be NULL. Tells people why the stream broke; NULL if only the code is known. */
    const char *(*explain)(const void *impl, int error);
    char peer[]; /* of exact size, since idle tunnels keep it */
};

/* The bottom of a stream: its transport's transport, and so on; without one, the stream itself. */
wst_stream_t *wst__stream_bottom(wst_stream_t *stream);

/* The text of a stream's error: the explanation of its kind, or of a kind below; else the standard
 * text. */
const char *wst__stream_why(const wst_stream_t *stream, int error);

/* Tells another object when the stream is gone, before close_cb; NULL ends that. */
void wst__stream_watch(wst_stream_t *stream,
                       void (*on_closed)(wst_stream_t *stream, void *user_data), void *user_data);

/* The outcome of a closed stream: 0 if both directions had ended; the error that broke it; or
 * WST_ECANCELLED if its owner closed it first. */
int wst__stream_outcome(const wst_stream_t *stream);

#endif
