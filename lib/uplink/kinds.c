/* SPDX-License-Identifier: MIT */
/* The kinds of uplinks that are built in. */
#include "mux.h"
#include "talk.h"

const wst__uplink_kind_t *wst__uplink_kind(wst_protocol_t protocol) {
    switch (protocol) {
    case WST_PROTOCOL_WSTUNNEL:
        return &wst__mux_kind;
    case WST_PROTOCOL_TALK:
        return &wst__talk_kind;
    }
    return NULL;
}
