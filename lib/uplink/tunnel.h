/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TUNNEL_H
#define WST_LIB_TUNNEL_H
/* Streams of a mux as wst_stream_t: opening one, or accepting one that the far side asks for. */
#include "mux.h"

extern const wst__mux_streams_t wst__tunnels;

#endif
