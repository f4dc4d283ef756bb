/* SPDX-License-Identifier: MIT */
/* The one connection to an origin that a client's connection keeps for its next request. */
#include "http_client.h"

#include <stdio.h>
#include <string.h>

void wst__kept_drop(wst__client_t *c) {
    if (c->kept.origin.stream != NULL)
        wst__origin_end(c->kept.origin.stream);
    c->kept.origin.stream = NULL;
}

/* An origin that sends unrequested bytes cannot be used again. */
static void on_kept_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    wst__client_t *c = user_data;
    (void)data;
    c->kept.origin.stream = NULL;
    wst_stream_close(stream, NULL);
}

static void on_kept_end(wst_stream_t *stream, void *user_data) {
    (void)stream;
    wst__kept_drop(user_data);
}

static void on_kept_error(wst_stream_t *stream, int error, void *user_data) {
    wst__client_t *c = user_data;
    (void)error;
    c->kept.origin.stream = NULL;
    wst_stream_close(stream, NULL);
}

void wst__kept_put(wst__client_t *c, const wst_flow_t *flow, const wst__origin_t *origin) {
    static const wst_stream_callbacks_t callbacks = {.size = sizeof(callbacks),
                                                     .on_read = on_kept_read,
                                                     .on_end = on_kept_end,
                                                     .on_error = on_kept_error};
    wst__kept_t *kept = &c->kept;
    kept->origin = *origin;
    snprintf(kept->destination, sizeof(kept->destination), "%s", flow->destination);
    snprintf(kept->user, sizeof(kept->user), "%s", flow->user);
    snprintf(kept->tenant, sizeof(kept->tenant), "%s", flow->tenant);
    wst_stream_set_callbacks(origin->stream, &callbacks, c);
    wst_stream_read_start(origin->stream, 0);
}

bool wst__kept_take(wst__client_t *c, const wst_flow_t *flow, wst__origin_t *out) {
    wst__kept_t *kept = &c->kept;
    /* A connection that was opened for one user is never given to another. */
    if (kept->origin.stream == NULL || strcmp(kept->destination, flow->destination) != 0 ||
        strcmp(kept->user, flow->user) != 0 || strcmp(kept->tenant, flow->tenant) != 0)
        return false;
    *out = kept->origin;
    kept->origin.stream = NULL;
    wst_stream_read_stop(out->stream);
    wst_stream_set_callbacks(out->stream, NULL, NULL);
    return true;
}
