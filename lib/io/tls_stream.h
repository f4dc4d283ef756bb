/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TLS_STREAM_H
#define WST_LIB_TLS_STREAM_H
/* The inside of TLS streams. */
#include "tls_wire.h"

/*
 * Makes the stream of a connection after its handshake, paused. Takes the wire and its transport on
 * success, neither on error. 0 or WST_ENOMEM.
 */
int wst__tls_stream_new(wst_stream_t **out, wst__tls_wire_t *wire);

#endif
