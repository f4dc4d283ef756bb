/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_EARLY_H
#define WST_LIB_EARLY_H
/*
 * Bytes that a client sends while the connection that it asked for is being opened: kept up to a
 * bound, and put back for the next owner of the client's stream. The stream is read as long as
 * there is room, so that a client that goes away is noticed.
 */
#include <wstunnel/stream.h>

/* Most bytes kept; more wait in the kernel. */
enum { WST__EARLY_MAX = 32768 };

/* Embedded and zeroed by its owner. */
typedef struct wst__early {
    wst_slice_t kept; /* in a chunk of WST__EARLY_MAX */
} wst__early_t;

/*
 * Keeps `data` as far as there is room, and puts the rest back into the stream. Reads on if there
 * is still room, else stops. 0 or WST_ENOMEM.
 */
int wst__early_keep(wst__early_t *early, wst_stream_t *stream, wst_slice_t data);

/* Drops the first `len` bytes kept. */
void wst__early_consume(wst__early_t *early, size_t len);

/* Puts the bytes kept back into the stream, before its unread bytes. Its next owner is told of its
 * end, too. 0 or WST_ENOMEM. */
int wst__early_put_back(wst__early_t *early, wst_stream_t *stream);

/* Drops the bytes kept. */
void wst__early_free(wst__early_t *early);

#endif
