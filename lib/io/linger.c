/* SPDX-License-Identifier: MIT */
/* The end of a connection after its last bytes have been written (linger.h). */
#include "linger.h"

enum {
    LINGER_MS = 5000,
    /* More than the kernels' buffers between a client and us hold (4 + 6 MiB by default on Linux):
       the bytes that a client sends before it can see the answer. */
    LINGER_BYTES = 16777216
};

void wst__linger_stop(wst__linger_t *l) {
    if (l->stream == NULL)
        return;
    wst__deadline_clear(&l->ctx->deadlines, &l->deadline);
    wst_stream_read_stop(l->stream);
    wst_stream_set_callbacks(l->stream, NULL, NULL);
    l->stream = NULL;
}

static void end_linger(wst__linger_t *l, int error) {
    wst__linger_stop(l);
    l->on_done(l, error);
}

static void on_linger_deadline(wst__deadline_t *deadline, uint64_t now_ms) {
    wst__linger_t *l = WST__CONTAINER(deadline, wst__linger_t, deadline);
    (void)now_ms;
    end_linger(l, l->shut ? 0 : WST_ETIMEOUT);
}

static void end_if_quiet(wst__linger_t *l) {
    if (l->shut && l->read_all)
        end_linger(l, 0);
}

static void on_linger_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    wst__linger_t *l = user_data;
    l->ignored += data.len;
    if (l->ignored > LINGER_BYTES) {
        wst_stream_read_stop(stream);
        l->read_all = true;
        end_if_quiet(l);
    }
}

static void on_linger_end(wst_stream_t *stream, void *user_data) {
    wst__linger_t *l = user_data;
    (void)stream;
    l->read_all = true;
    end_if_quiet(l);
}

static void on_linger_shutdown(wst_stream_t *stream, void *user_data) {
    wst__linger_t *l = user_data;
    (void)stream;
    l->shut = true;
    wst__deadline_in(l->ctx, &l->deadline, LINGER_MS, on_linger_deadline);
    end_if_quiet(l);
}

static void on_linger_error(wst_stream_t *stream, int error, void *user_data) {
    wst__linger_t *l = user_data;
    (void)stream;
    end_linger(l, l->shut ? 0 : error);
}

int wst__linger_start(wst__linger_t *l, wst_ctx_t *ctx, wst_stream_t *stream, bool read_all,
                      void (*on_done)(wst__linger_t *linger, int error)) {
    static const wst_stream_callbacks_t callbacks = {.size = sizeof(callbacks),
                                                     .on_read = on_linger_read,
                                                     .on_end = on_linger_end,
                                                     .on_shutdown = on_linger_shutdown,
                                                     .on_error = on_linger_error};
    int status = wst_stream_shutdown(stream);
    if (status < 0)
        return status;
    *l = (wst__linger_t){.ctx = ctx, .stream = stream, .on_done = on_done, .read_all = read_all};
    wst_stream_set_callbacks(stream, &callbacks, l);
    wst__deadline_in(ctx, &l->deadline, LINGER_MS, on_linger_deadline);
    if (!read_all)
        wst_stream_read_start(stream, 0);
    return 0;
}
