/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TLS_STREAM_H
#define WST_LIB_TLS_STREAM_H
/* The inside of TLS streams. */
#include "tls_wire.h"

/*
 * Makes the stream of a connection whose handshake is done, paused. Takes the wire and its
 * transport on success, none on error. 0 or WST_ENOMEM.
 */
int wst__tls_stream_new(wst_stream_t **out, wst__tls_wire_t *wire);

/* What is at the bottom of a stream: a TLS stream's transport (or that one's, ...), else itself. */
wst_stream_t *wst__tls_bottom(wst_stream_t *stream);

/* The text for an error that a stream of any kind has told: why TLS failed, if that is it. */
const char *wst__tls_why(const wst_stream_t *stream, int error);

#endif
