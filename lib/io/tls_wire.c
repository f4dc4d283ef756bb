/* SPDX-License-Identifier: MIT */
/* Between the engine and the transport (tls_wire.h). */
#include "tls_wire.h"
#include "tls_config.h"

#include <string.h>

enum { OUT_MAX = 65536 };

static size_t pull(void *arg, uint8_t *buf, size_t len) {
    wst__tls_wire_t *wire = arg;
    size_t n = len < wire->input.len ? len : wire->input.len;
    if (n == 0)
        return 0;
    memcpy(buf, wire->input.data, n);
    wire->input.data += n;
    wire->input.len -= n;
    return n;
}

/* Room for `len` bytes of records behind those in `out`. */
static int make_room(wst__tls_wire_t *wire, size_t len) {
    if (wire->out != NULL && len <= wst_chunk_capacity(wire->out) - wire->out_len)
        return 0;
    int status = wst__tls_wire_flush(wire);
    if (status != 0)
        return status;
    size_t size = wire->out_expected < OUT_MAX ? wire->out_expected : (size_t)OUT_MAX;
    wire->out = wst_chunk_new(wire->ctx, size > len ? size : len);
    return wire->out != NULL ? 0 : (int)WST_ENOMEM;
}

static int push(void *arg, const uint8_t *data, size_t len) {
    wst__tls_wire_t *wire = arg;
    int status = make_room(wire, len);
    if (status != 0)
        return status;
    memcpy(wst_chunk_data(wire->out) + wire->out_len, data, len);
    wire->out_len += len;
    wire->out_expected -= len < wire->out_expected ? len : wire->out_expected;
    return 0;
}

static const wst__tls_io_t io = {pull, push};

int wst__tls_wire_new(wst__tls_wire_t **out, wst_stream_t *transport, wst_tls_config_t *config,
                      const char *server_name, const char *sni) {
    wst_ctx_t *ctx = wst_stream_ctx(transport);
    wst__tls_wire_t *wire = wst__zalloc(&ctx->allocator, sizeof(*wire));
    if (wire == NULL)
        return WST_ENOMEM;
    int status = wst__tls_conn_new(&wire->conn, config->engine, &io, wire, server_name, sni);
    if (status != 0) {
        wst__free(&ctx->allocator, wire);
        return status;
    }
    wire->ctx = ctx;
    wire->transport = transport;
    wire->config = wst_tls_config_ref(config);
    *out = wire;
    return 0;
}

void wst__tls_wire_free(wst__tls_wire_t *wire) {
    wst_ctx_t *ctx = wire->ctx;
    wst_chunk_unref(wire->out);
    wst__tls_conn_free(wire->conn);
    wst_tls_config_unref(wire->config);
    wst__free(&ctx->allocator, wire);
}

int wst__tls_wire_flush(wst__tls_wire_t *wire) {
    if (wire->out == NULL)
        return 0;
    const wst_slice_t slice = {wire->out, wst_chunk_data(wire->out), wire->out_len};
    wire->out = NULL;
    wire->out_len = 0;
    int status = wst_stream_write(wire->transport, &slice, 1);
    if (status == WST_WAIT)
        wire->waiting = true;
    return status < 0 ? status : 0;
}

int wst__tls_wire_give_back(wst__tls_wire_t *wire) {
    const wst_slice_t rest = wire->input;
    wire->input = (wst_slice_t){0};
    return rest.len > 0 ? wst_stream_unread(wire->transport, wst_slice_ref(rest)) : 0;
}
