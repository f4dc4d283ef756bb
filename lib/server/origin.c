/* SPDX-License-Identifier: MIT */
/*
 * Connections to origins that no exchange has any more: one is kept for the client's next request,
 * the others end. An orderly end takes a while: ours is said, and theirs awaited, or the agent
 * would reset the connection under an origin that is still reading.
 */
#include "server.h"

#include <stdio.h>
#include <string.h>

enum { ENDING_MS = 5000 };

/* Ending ------------------------------------------------------------------------------------- */

/* Nobody owns it: the deadline, or at the latest the end of the agent's session, is its end. */
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

static void on_deadline(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    over(WST__CONTAINER(deadline, ending_t, deadline));
}

/* Whatever it says now, nobody has asked for it. */
static void on_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    (void)stream, (void)data;
    over(user_data);
}

static void on_end(wst_stream_t *stream, void *user_data) {
    ending_t *e = user_data;
    (void)stream;
    e->ended = true;
    if (e->shut)
        over(e);
}

static void on_shutdown(wst_stream_t *stream, void *user_data) {
    ending_t *e = user_data;
    (void)stream;
    e->shut = true;
    if (e->ended)
        over(e);
}

static void on_error(wst_stream_t *stream, int error, void *user_data) {
    (void)stream, (void)error;
    over(user_data);
}

void wst__origin_end(wst_stream_t *origin) {
    static const wst_stream_callbacks_t callbacks = {
        .on_read = on_read, .on_end = on_end, .on_shutdown = on_shutdown, .on_error = on_error};
    wst_ctx_t *ctx = wst_stream_ctx(origin);
    ending_t *e = wst__zalloc(&ctx->allocator, sizeof(*e));
    int status = e != NULL ? wst_stream_shutdown(origin) : WST_ENOMEM;
    if (status == 0) /* its end, if it has been told already, is told again */
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
    wst__deadline_in(ctx, &e->deadline, ENDING_MS, on_deadline);
}

/* Keeping ------------------------------------------------------------------------------------ */

void wst__origin_drop(wst__conn_t *c) {
    if (c->kept.stream != NULL)
        wst__origin_end(c->kept.stream);
    c->kept.stream = NULL;
}

/* An origin that ends or says something unasked is of no use any more. */
static void on_kept_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    wst__conn_t *c = user_data;
    (void)data;
    c->kept.stream = NULL;
    wst_stream_close(stream, NULL);
}

static void on_kept_end(wst_stream_t *stream, void *user_data) {
    (void)stream;
    wst__origin_drop(user_data);
}

static void on_kept_error(wst_stream_t *stream, int error, void *user_data) {
    wst__conn_t *c = user_data;
    (void)error;
    c->kept.stream = NULL;
    wst_stream_close(stream, NULL);
}

void wst__origin_keep(wst__conn_t *c, const wst__origin_t *origin) {
    static const wst_stream_callbacks_t callbacks = {
        .on_read = on_kept_read, .on_end = on_kept_end, .on_error = on_kept_error};
    c->kept = *origin;
    snprintf(c->kept_destination, sizeof(c->kept_destination), "%s", c->destination);
    snprintf(c->kept_user, sizeof(c->kept_user), "%s", c->user);
    snprintf(c->kept_tenant, sizeof(c->kept_tenant), "%s", c->tenant);
    wst_stream_set_callbacks(origin->stream, &callbacks, c);
    wst_stream_read_start(origin->stream, 0);
}

bool wst__origin_take(wst__conn_t *c, wst__origin_t *out) {
    /* What one user's request led to is not for another one. */
    if (c->kept.stream == NULL || strcmp(c->kept_destination, c->destination) != 0 ||
        strcmp(c->kept_user, c->user) != 0 || strcmp(c->kept_tenant, c->tenant) != 0)
        return false;
    *out = c->kept;
    c->kept.stream = NULL;
    wst_stream_read_stop(out->stream);
    wst_stream_set_callbacks(out->stream, NULL, NULL);
    return true;
}
