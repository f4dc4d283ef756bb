/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_LINGER_H
#define WST_LIB_LINGER_H
/*
 * The end of a connection after its last bytes have been written. Closing it at once could make the
 * kernel reset it before the peer has read them. So ends our direction first, then reads and
 * ignores the peer's bytes until its end, for 5 s and 16 MiB at most (RFC 9112 section 9.6).
 */
#include "ctx.h"

#include <wstunnel/stream.h>

typedef struct wst__linger wst__linger_t;

/* Embedded and zeroed by its owner. */
struct wst__linger {
    wst_ctx_t *ctx;
    wst_stream_t *stream;
    /* Close the stream now. `error` 0: the peer has received all bytes, as far as known; else why
     * it may not have. Runs once, from the loop. */
    void (*on_done)(wst__linger_t *linger, int error);
    wst__deadline_t deadline;
    bool shut;      /* on_shutdown has run */
    bool read_all;  /* the peer has ended, or further bytes do not matter */
    size_t ignored; /* bytes read */
};

/*
 * Takes over the callbacks of the stream until on_done, and its reading.
 * @param read_all  on_end has run, or further bytes do not matter
 * 0, or the error of wst_stream_shutdown: on_done does not follow.
 */
int wst__linger_start(wst__linger_t *linger, wst_ctx_t *ctx, wst_stream_t *stream, bool read_all,
                      void (*on_done)(wst__linger_t *linger, int error));

/* Stops lingering. Harmless if it has not been started. */
void wst__linger_stop(wst__linger_t *linger);

#endif
