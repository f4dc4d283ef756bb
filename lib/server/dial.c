/* SPDX-License-Identifier: MIT */
/* wst_server_dial: a flow without a client; its stream is handed to the caller. */
#include "server.h"

struct wst_server_dial {
    wst_ctx_t *ctx;
    wst_flow_t *flow;
    wst_dial_cb callback;
    void *user_data;
    bool taking;    /* the stream is being taken, ... */
    bool cancelled; /* ... and the dial has been cancelled */
};

static void finish_dial(wst_server_dial_t *d, int status, wst_stream_t *stream) {
    wst_dial_cb callback = d->callback;
    void *user_data = d->user_data;
    wst__free(&d->ctx->allocator, d);
    callback(status, stream, user_data);
}

static void on_dial_established(wst_flow_t *flow, void *user_data) {
    wst_server_dial_t *d = user_data;
    d->taking = true;
    wst_stream_t *stream = wst_flow_take(flow);
    if (!d->cancelled) {
        finish_dial(d, 0, stream);
        return;
    }
    wst_stream_close(stream, NULL);
    wst__free(&d->ctx->allocator, d);
}

static void on_dial_refused(wst_flow_t *flow, const wst_refusal_info_t *refusal, void *user_data) {
    (void)flow;
    finish_dial(user_data, refusal->code == WST_ETIMEOUT ? WST_EDIALTIMEOUT : refusal->code, NULL);
}

int wst_server_dial(wst_server_dial_t **out, wst_server_t *s, const wst_flow_options_t *options,
                    wst_dial_cb callback, void *user_data) {
    static const wst_flow_callbacks_t callbacks = {.size = sizeof(callbacks),
                                                   .on_established = on_dial_established,
                                                   .on_refused = on_dial_refused};
    wst_ctx_t *ctx = s->node.ctx;
    wst_server_dial_t *d = wst__zalloc(&ctx->allocator, sizeof(*d));
    if (d == NULL)
        return WST_ENOMEM;
    int status = wst_flow_new(&d->flow, &s->ingress, options, &callbacks, d);
    if (status != 0) {
        wst__free(&ctx->allocator, d);
        return status;
    }
    d->ctx = ctx;
    d->callback = callback;
    d->user_data = user_data;
    *out = d;
    return 0;
}

void wst_server_dial_cancel(wst_server_dial_t *d) {
    if (d->taking) {
        d->cancelled = true;
        return;
    }
    wst_flow_cancel(d->flow);
    wst__free(&d->ctx->allocator, d);
}
