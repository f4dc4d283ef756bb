/* SPDX-License-Identifier: MIT */
/* The kinds of uplinks that are built in, without the talk's protocol. */
#include "mux.h"

const wst__uplink_kind_t *wst__uplink_kind(wst_protocol_t protocol) {
    return protocol == WST_PROTOCOL_WSTUNNEL ? &wst__mux_kind : NULL;
}
