/* SPDX-License-Identifier: MIT */
/* The uplink kind of a mux with tunnels as its streams. */
#include "mux.h"
#include "tunnel.h"

static int connect_mux(wst__uplink_t **out, wst_ctx_t *ctx, wst_stream_t *stream,
                       const wst_websocket_options_t *websocket,
                       const wst__uplink_options_t *options) {
    return wst__mux_connect(out, ctx, stream, websocket, options, &wst__tunnels);
}

static int accept_mux(wst__uplink_t **out, wst_ctx_t *ctx, wst_hijack_t *hijack,
                      const wst__uplink_options_t *options) {
    return wst__mux_accept(out, ctx, hijack, options, &wst__tunnels);
}

const wst__uplink_kind_t wst__mux_kind = {wst__carrier_protocols, connect_mux, accept_mux};
