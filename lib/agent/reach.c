/* SPDX-License-Identifier: MIT */
/* Connects to an endpoint (reach.h), step by step. */
#include "reach.h"

#include <wstunnel/dial.h>

struct wst__reach {
    const wst__endpoint_t *endpoint;
    const char *host; /* to dial */
    uint64_t timeout_ms;
    wst__reach_cb callback;
    void *user_data;
    /* The current step; the other two are NULL. */
    wst_dial_t *dial;
    wst_proxy_dial_t *proxy_dial;
    wst_tls_handshake_t *handshake;
};

/* The outcome -------------------------------------------------------------------------------- */

static void finish_reach(wst__reach_t *r, wst_stream_t *stream,
                         const wst__reach_failure_t *failure) {
    wst__reach_cb callback = r->callback;
    void *user_data = r->user_data;
    wst__free(&r->endpoint->ctx->allocator, r);
    callback(stream, failure, user_data);
}

static void fail_reach(wst__reach_t *r, int error, int http_status, const char *detail) {
    const wst__reach_failure_t failure = {error, http_status, detail};
    finish_reach(r, NULL, &failure);
}

/* TLS ---------------------------------------------------------------------------------------- */

static void on_tls(int status, wst_stream_t *stream, const char *detail, void *user_data) {
    wst__reach_t *r = user_data;
    r->handshake = NULL;
    if (status == 0)
        finish_reach(r, stream, NULL);
    else
        fail_reach(r, status, 0, detail);
}

/* Takes the stream. */
static void start_tls(wst__reach_t *r, wst_stream_t *stream) {
    const wst__endpoint_t *e = r->endpoint;
    const wst_tls_handshake_options_t options = {.size = sizeof(options),
                                                 .config = e->tls,
                                                 .server_name = e->host,
                                                 .sni = e->sni,
                                                 .timeout_ms = r->timeout_ms};
    int status = wst_tls_handshake(&r->handshake, stream, &options, on_tls, r);
    if (status == 0)
        return;
    wst_stream_close(stream, NULL);
    fail_reach(r, status, 0, "");
}

/* The connection ----------------------------------------------------------------------------- */

/* Takes the stream. */
static void connected(wst__reach_t *r, wst_stream_t *stream) {
    if (r->endpoint->tls != NULL)
        start_tls(r, stream);
    else
        finish_reach(r, stream, NULL);
}

static void on_dialled(int status, wst_stream_t *stream, void *user_data) {
    wst__reach_t *r = user_data;
    r->dial = NULL;
    if (status == 0)
        connected(r, stream);
    else
        fail_reach(r, status, 0, "");
}

static void on_proxy_dialled(int status, wst_stream_t *stream, const wst_proxy_failure_t *failure,
                             void *user_data) {
    wst__reach_t *r = user_data;
    r->proxy_dial = NULL;
    if (status == 0)
        connected(r, stream);
    else
        fail_reach(r, status, failure->http_status, failure->detail);
}

static int dial(wst__reach_t *r) {
    const wst__endpoint_t *e = r->endpoint;
    const wst_dial_options_t options = {
        .size = sizeof(options), .host = r->host, .port = e->port, .timeout_ms = r->timeout_ms};
    return wst_dial(&r->dial, e->ctx, &options, on_dialled, r);
}

static int dial_proxy(wst__reach_t *r) {
    const wst__endpoint_t *e = r->endpoint;
    const wst_proxy_dial_options_t options = {.size = sizeof(options),
                                              .proxy = &e->proxy,
                                              .host = r->host,
                                              .port = e->port,
                                              .timeout_ms = r->timeout_ms};
    return wst_proxy_dial(&r->proxy_dial, e->ctx, &options, NULL, on_proxy_dialled, r);
}

int wst__reach(wst__reach_t **out, const wst__endpoint_t *endpoint, const char *address,
               uint64_t timeout_ms, wst__reach_cb callback, void *user_data) {
    wst__reach_t *r = wst__zalloc(&endpoint->ctx->allocator, sizeof(*r));
    if (r == NULL)
        return WST_ENOMEM;
    r->endpoint = endpoint;
    r->host = address != NULL ? address : endpoint->host;
    r->timeout_ms = timeout_ms;
    r->callback = callback;
    r->user_data = user_data;
    int status = endpoint->proxy.url != NULL ? dial_proxy(r) : dial(r);
    if (status == 0)
        *out = r;
    else
        wst__free(&endpoint->ctx->allocator, r);
    return status;
}

void wst__reach_cancel(wst__reach_t *r) {
    if (r->dial != NULL)
        wst_dial_cancel(r->dial);
    if (r->proxy_dial != NULL)
        wst_proxy_dial_cancel(r->proxy_dial);
    if (r->handshake != NULL)
        wst_tls_handshake_cancel(r->handshake);
    wst__free(&r->endpoint->ctx->allocator, r);
}
