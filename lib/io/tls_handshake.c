/* SPDX-License-Identifier: MIT */
/*
 * Handshakes: from a transport to a TLS stream.
 *
 *   shaking    records are exchanged
 *   lingering  it has failed and the peer is being told: the transport is shut down, and read until
 *              the peer closes, for a short while; closed at once, it could be reset before the
 *              alert has been read
 *
 * and gone as soon as the callback has run.
 */
#include "defaults.h"
#include "ip.h"
#include "sized.h"
#include "tls_chain.h"
#include "tls_config.h"
#include "tls_names.h"
#include "tls_stream.h"

#include <string.h>

enum { LINGER_MS = 1000 };

struct wst_tls_handshake {
    wst_ctx_t *ctx;
    wst__tls_wire_t *wire;
    wst__tls_chain_t *chain; /* NULL: it is not to be kept */
    int failure;             /* 0: shaking */
    bool shut, read_all;
    uint64_t give_up_at_ms;
    wst__deadline_t deadline;
    wst_tls_handshake_cb callback;
    void *user_data;
};

/* Tells the outcome and frees the handshake. On success the stream owns the wire. */
static void finish_handshake(wst_tls_handshake_t *h, int status, wst_stream_t *stream,
                             const char *detail) {
    wst_ctx_t *ctx = h->ctx;
    wst__deadline_clear(&ctx->deadlines, &h->deadline);
    if (stream == NULL)
        wst_stream_close(h->wire->transport, NULL);
    wst__tls_conn_keep_chain(h->wire->conn, NULL);
    h->callback(status, stream, detail, h->user_data);
    if (stream == NULL)
        wst__tls_wire_free(h->wire);
    wst__tls_chain_free(h->chain);
    wst__free(&ctx->allocator, h);
    wst__ctx_release(ctx);
}

static void give_up(wst_tls_handshake_t *h, int status, const char *detail) {
    finish_handshake(h, status, NULL, detail != NULL ? detail : wst_strerror(status));
}

/* Ends lingering. */
static void give_up_for_failure(wst_tls_handshake_t *h) {
    const char *detail = wst__tls_conn_info(h->wire->conn)->failure;
    give_up(h, h->failure, detail[0] != '\0' ? detail : NULL);
}

static void on_handshake_deadline(wst__deadline_t *deadline, uint64_t now_ms) {
    wst_tls_handshake_t *h = WST__CONTAINER(deadline, wst_tls_handshake_t, deadline);
    (void)now_ms;
    if (h->failure != 0)
        give_up_for_failure(h);
    else
        give_up(h, WST_ETIMEOUT, "TLS handshake timed out");
}

static void linger(wst_tls_handshake_t *h, int failure) {
    h->failure = failure;
    if (wst_stream_shutdown(h->wire->transport) != 0) {
        give_up_for_failure(h);
        return;
    }
    uint64_t until = wst__now(h->ctx) + LINGER_MS;
    wst__deadline_set(&h->ctx->deadlines, &h->deadline,
                      until < h->give_up_at_ms ? until : h->give_up_at_ms, on_handshake_deadline);
}

static void handshake_succeeded(wst_tls_handshake_t *h) {
    wst_stream_t *stream;
    wst_stream_read_stop(h->wire->transport);
    int status = wst__tls_wire_give_back(h->wire);
    if (status == 0)
        status = wst__tls_stream_new(&stream, h->wire);
    if (status != 0)
        give_up(h, status, NULL);
    else
        finish_handshake(h, 0, stream, "");
}

/* Continues the handshake: as wst__tls_conn_handshake, or the transport's error. */
static int continue_handshake(wst_tls_handshake_t *h) {
    int status = wst__tls_conn_handshake(h->wire->conn);
    int sent = wst__tls_wire_flush(h->wire);
    return status >= 0 && sent != 0 ? sent : status;
}

static void on_handshake_read(wst_stream_t *transport, wst_slice_t data, void *user_data) {
    wst_tls_handshake_t *h = user_data;
    (void)transport;
    if (h->failure != 0)
        return;
    h->wire->input = data;
    int status = continue_handshake(h);
    if (status == 0) {
        handshake_succeeded(h);
        return;
    }
    h->wire->input = (wst_slice_t){0};
    if (status < 0)
        linger(h, status);
}

static void on_handshake_end(wst_stream_t *transport, void *user_data) {
    wst_tls_handshake_t *h = user_data;
    (void)transport;
    h->read_all = true;
    if (h->failure == 0)
        give_up(h, WST_ETLS, "the peer closed the connection during the handshake");
    else if (h->shut)
        give_up_for_failure(h);
}

static void on_handshake_shutdown(wst_stream_t *transport, void *user_data) {
    wst_tls_handshake_t *h = user_data;
    (void)transport;
    h->shut = true;
    if (h->read_all)
        give_up_for_failure(h);
}

static void on_handshake_error(wst_stream_t *transport, int error, void *user_data) {
    wst_tls_handshake_t *h = user_data;
    (void)transport;
    if (h->failure != 0)
        give_up_for_failure(h);
    else
        give_up(h, error, NULL);
}

/* Checks the names of a client's handshake; `*sni` is the name to ask for, or NULL. */
static bool valid_names(const wst_tls_handshake_options_t *o, const char **sni) {
    const char *name = o->server_name;
    wst__ip_t ip;
    *sni = o->sni;
    if (name == NULL && !wst__tls_engine_is_insecure(o->config->engine))
        return false;
    bool is_ip = name != NULL && wst__ip_parse(&ip, name, strlen(name));
    if (name != NULL && !is_ip && wst__tls_name_len(name, strlen(name)) == 0)
        return false;
    if (*sni == NULL && !is_ip)
        *sni = name;
    if (*sni != NULL && (*sni)[0] == '\0')
        *sni = NULL;
    return *sni == NULL || wst__tls_name_len(*sni, strlen(*sni)) > 0;
}

int wst_tls_handshake(wst_tls_handshake_t **out, wst_stream_t *transport,
                      const wst_tls_handshake_options_t *given, wst_tls_handshake_cb callback,
                      void *user_data) {
    wst_tls_handshake_options_t options;
    static const wst_stream_callbacks_t callbacks = {.size = sizeof(callbacks),
                                                     .on_read = on_handshake_read,
                                                     .on_end = on_handshake_end,
                                                     .on_shutdown = on_handshake_shutdown,
                                                     .on_error = on_handshake_error};
    const char *name = NULL, *sni = NULL;
    if (wst__sized_read(&options, sizeof(options), given) != 0 || options.config == NULL ||
        callback == NULL)
        return WST_EINVAL;
    if (!wst__tls_engine_is_server(options.config->engine)) {
        if (!valid_names(&options, &sni))
            return WST_EINVAL;
        name = options.server_name;
    }
    wst_ctx_t *ctx = wst_stream_ctx(transport);
    wst_tls_handshake_t *h = wst__zalloc(&ctx->allocator, sizeof(*h));
    if (h == NULL)
        return WST_ENOMEM;
    h->ctx = ctx;
    h->callback = callback;
    h->user_data = user_data;
    int status = 0;
    if (options.keep_chain && (h->chain = wst__tls_chain_new(&ctx->allocator)) == NULL)
        status = WST_ENOMEM;
    if (status == 0)
        status = wst__tls_wire_new(&h->wire, transport, options.config, name, sni);
    if (status == 0) {
        wst__tls_conn_keep_chain(h->wire->conn, h->chain);
        status = continue_handshake(h); /* a client's hello */
        if (status < 0)
            wst__tls_wire_free(h->wire);
    }
    if (status < 0) {
        wst__tls_chain_free(h->chain);
        wst__free(&ctx->allocator, h);
        return status;
    }
    uint64_t now = wst__now(ctx), timeout = options.timeout_ms;
    timeout = timeout != 0 ? timeout : (uint64_t)WST__STEP_TIMEOUT_MS;
    h->give_up_at_ms = timeout < WST__NEVER - now ? now + timeout : WST__NEVER;
    wst__deadline_set(&ctx->deadlines, &h->deadline, h->give_up_at_ms, on_handshake_deadline);
    wst__ctx_hold(ctx);
    wst_stream_set_callbacks(transport, &callbacks, h);
    wst_stream_read_start(transport, 0);
    *out = h;
    return 0;
}

const wst_tls_link_t *wst_tls_handshake_chain(const wst_tls_handshake_t *h, size_t n) {
    return h->chain != NULL ? wst__tls_chain_link(h->chain, n) : NULL;
}

void wst_tls_handshake_cancel(wst_tls_handshake_t *h) {
    wst_ctx_t *ctx = h->ctx;
    wst__deadline_clear(&ctx->deadlines, &h->deadline);
    wst_stream_reset(h->wire->transport, WST_ECANCELLED, NULL);
    wst__tls_wire_free(h->wire);
    wst__tls_chain_free(h->chain);
    wst__free(&ctx->allocator, h);
    wst__ctx_release(ctx);
}
