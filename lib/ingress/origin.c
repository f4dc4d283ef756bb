/* SPDX-License-Identifier: MIT */
/* The orderly end of a connection to an origin (origin.h). An ending connection has no owner: its
 * deadline closes it, or the end of the agent's session, at the latest. */
#include "origin.h"

#include "ctx.h"

enum { ENDING_MS = 5000 };

typedef struct ending {
    wst_ctx_t *ctx;
    wst_stream_t *stream;
    wst__deadline_t deadline;
    bool ended, shut;
} ending_t;

static void over(ending_t *e) {
    wst_ctx_t *ctx = e->ctx;
    wst__deadline_clear(&ctx->deadlines, &e->deadline);
    wst_stream_close(e->stream, NULL);
    wst__free(&ctx->allocator, e);
}

static void on_origin_deadline(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    over(WST__CONTAINER(deadline, ending_t, deadline));
}

/* Unrequested bytes: closes at once. */
static void on_origin_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    (void)stream, (void)data;
    over(user_data);
}

static void on_origin_end(wst_stream_t *stream, void *user_data) {
    ending_t *e = user_data;
    (void)stream;
    e->ended = true;
    if (e->shut)
        over(e);
}

static void on_origin_shutdown(wst_stream_t *stream, void *user_data) {
    ending_t *e = user_data;
    (void)stream;
    e->shut = true;
    if (e->ended)
        over(e);
}

static void on_origin_error(wst_stream_t *stream, int error, void *user_data) {
    (void)stream, (void)error;
    over(user_data);
}

void wst__origin_end(wst_stream_t *origin) {
    static const wst_stream_callbacks_t callbacks = {.size = sizeof(callbacks),
                                                     .on_read = on_origin_read,
                                                     .on_end = on_origin_end,
                                                     .on_shutdown = on_origin_shutdown,
                                                     .on_error = on_origin_error};
    wst_ctx_t *ctx = wst_stream_ctx(origin);
    ending_t *e = wst__zalloc(&ctx->allocator, sizeof(*e));
    int status = e != NULL ? wst_stream_shutdown(origin) : WST_ENOMEM;
    if (status == 0) /* repeats on_end if it has run already */
        status = wst_stream_unread(origin, wst_slice_static("", 0));
    if (status != 0) {
        wst__free(&ctx->allocator, e);
        wst_stream_close(origin, NULL);
        return;
    }
    e->ctx = ctx;
    e->stream = origin;
    wst_stream_set_callbacks(origin, &callbacks, e);
    wst_stream_read_start(origin, 0);
    wst__deadline_in(ctx, &e->deadline, ENDING_MS, on_origin_deadline);
}
