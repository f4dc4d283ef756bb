/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_EARLY_H
#define WST_LIB_EARLY_H
/*
 * What a client sends while the connection it asked for is being opened: kept up to a bound, and
 * put back for whoever gets the client's stream then. As long as there is room the stream is read,
 * so that a client that goes away is noticed.
 */
#include <wstunnel/stream.h>

/* Most bytes kept; more wait in the kernel. */
enum { WST__EARLY_MAX = 32768 };

/* Embed it; zero it; nothing is kept. */
typedef struct wst__early {
    wst_slice_t kept; /* in a chunk of WST__EARLY_MAX */
} wst__early_t;

/*
 * Keeps what has been read, as far as there is room; the rest goes back into the stream. Goes on
 * reading if there is still room, stops if not. 0 or WST_ENOMEM.
 */
int wst__early_keep(wst__early_t *early, wst_stream_t *stream, wst_slice_t data);

/* The first bytes have been used: the others move to the front. */
void wst__early_consume(wst__early_t *early, size_t len);

/* Puts all of it back into the stream, in front of what has not been read. 0 or WST_ENOMEM. */
int wst__early_put_back(wst__early_t *early, wst_stream_t *stream);

/* Drops what is kept. */
void wst__early_free(wst__early_t *early);

#endif
