/* SPDX-License-Identifier: MIT */
/* The scripted stream: an idle handle plays one step of the script each turn of the loop. */
#include "fake_stream.h"
#include "support.h"

#include <wstunnel/error.h>

typedef enum { STEP_DATA, STEP_END, STEP_ERROR } step_kind_t;

struct fake_stream_step {
    fake_stream_step_t *next;
    step_kind_t kind;
    int error;
    size_t len, done;
    uint8_t data[];
};

static void on_idle(uv_idle_t *idle);

static bool commanded(const fake_stream_t *fake) {
    return fake->drain_due || fake->shutdown_due || fake->break_due != 0;
}

/* Plays on as long as something can happen. */
static void update(fake_stream_t *fake) {
    if (fake->closed)
        return;
    const fake_stream_step_t *step = fake->first;
    if (commanded(fake) || (step != NULL && (step->kind == STEP_ERROR || fake->reading)))
        uv_idle_start(&fake->idle, on_idle);
    else
        uv_idle_stop(&fake->idle);
}

static void drop_first(fake_stream_t *fake) {
    fake_stream_step_t *step = fake->first;
    fake->first = step->next;
    free(step);
}

static void deliver(fake_stream_t *fake, fake_stream_step_t *step) {
    size_t n = step->len - step->done;
    if (fake->read_max > 0 && n > fake->read_max)
        n = fake->read_max;
    wst_slice_t slice;
    if (wst_slice_copy(&slice, fake->ctx, step->data + step->done, n) != 0) {
        wst_stream_emit_error(fake->stream, WST_ENOMEM);
        return;
    }
    fake->delivered += n;
    step->done += n;
    if (step->done == step->len)
        drop_first(fake);
    wst_stream_emit_read(fake->stream, slice);
    wst_slice_unref(slice);
}

static void obey(fake_stream_t *fake) {
    if (fake->break_due != 0) {
        int error = fake->break_due;
        fake->break_due = 0;
        wst_stream_emit_error(fake->stream, error);
    } else if (fake->drain_due) {
        fake->drain_due = false;
        fake->write_status = 0;
        wst_stream_emit_drain(fake->stream);
    } else {
        fake->shutdown_due = false;
        wst_stream_emit_shutdown(fake->stream);
    }
}

static void play(fake_stream_t *fake) {
    fake_stream_step_t *step = fake->first;
    if (step->kind == STEP_DATA) {
        deliver(fake, step);
        return;
    }
    bool end = step->kind == STEP_END;
    int error = step->error;
    drop_first(fake);
    if (end) {
        fake->reading = false;
        wst_stream_emit_end(fake->stream);
    } else {
        wst_stream_emit_error(fake->stream, error);
    }
}

static void on_idle(uv_idle_t *idle) {
    fake_stream_t *fake = idle->data;
    if (commanded(fake))
        obey(fake);
    else
        play(fake);
    update(fake);
}

/* What the base calls ------------------------------------------------------------------------ */

static void fake_read_start(wst_stream_t *stream, size_t max, void *impl) {
    fake_stream_t *fake = impl;
    (void)stream;
    fake->starts++;
    fake->reading = true;
    fake->read_max = max;
    update(fake);
}

static void fake_read_stop(wst_stream_t *stream, void *impl) {
    fake_stream_t *fake = impl;
    (void)stream;
    fake->stops++;
    fake->reading = false;
    update(fake);
}

static void record(fake_stream_t *fake, wst_slice_t slice) {
    if (fake->written_len + slice.len > fake->written_size) {
        fake->written_size = 2 * (fake->written_len + slice.len);
        fake->written = realloc(fake->written, fake->written_size);
        assert_non_null(fake->written);
    }
    if (slice.len > 0)
        memcpy(fake->written + fake->written_len, slice.data, slice.len);
    fake->written_len += slice.len;
}

static int fake_write(wst_stream_t *stream, const wst_slice_t *slices, size_t count, void *impl) {
    fake_stream_t *fake = impl;
    (void)stream;
    assert_false(fake->shutdown);
    fake->writes++;
    for (size_t i = 0; i < count; i++) {
        if (fake->write_status >= 0)
            record(fake, slices[i]);
        wst_slice_unref(slices[i]);
    }
    return fake->write_status;
}

static size_t fake_room(const wst_stream_t *stream, const void *impl) {
    const fake_stream_t *fake = impl;
    (void)stream;
    return fake->room;
}

static int fake_shutdown(wst_stream_t *stream, void *impl) {
    fake_stream_t *fake = impl;
    (void)stream;
    assert_false(fake->shutdown);
    fake->shutdown = true;
    if (fake->shutdown_status == 0 && !fake->hold_shutdown)
        fake_stream_shutdown_done(fake);
    return fake->shutdown_status;
}

static void on_idle_closed(uv_handle_t *handle) {
    fake_stream_t *fake = handle->data;
    while (fake->first != NULL)
        drop_first(fake);
    wst_stream_t *stream = fake->stream;
    fake->stream = NULL;
    fake->gone = true;
    wst_stream_closed(stream);
}

static void fake_close(wst_stream_t *stream, int reset_reason, void *impl) {
    fake_stream_t *fake = impl;
    (void)stream;
    assert_false(fake->closed);
    fake->closed = true;
    fake->reset_reason = reset_reason;
    uv_close((uv_handle_t *)&fake->idle, on_idle_closed);
}

static const wst_stream_ops_t ops = {.size = sizeof(ops),
                                     .read_start = fake_read_start,
                                     .read_stop = fake_read_stop,
                                     .write = fake_write,
                                     .room = fake_room,
                                     .shutdown = fake_shutdown,
                                     .close = fake_close};

/* What the test calls ------------------------------------------------------------------------ */

int fake_stream_open(fake_stream_t *fake, wst_ctx_t *ctx) {
    memset(fake, 0, sizeof(*fake));
    fake->ctx = ctx;
    fake->room = 65536;
    int status = wst_stream_new(&fake->stream, ctx, &ops, fake, "fake");
    if (status != 0)
        return status;
    uv_idle_init(wst_ctx_loop(ctx), &fake->idle);
    fake->idle.data = fake;
    return 0;
}

static void add(fake_stream_t *fake, step_kind_t kind, int error, const void *data, size_t len) {
    fake_stream_step_t *step = calloc(1, sizeof(*step) + len);
    assert_non_null(step);
    step->kind = kind;
    step->error = error;
    step->len = len;
    if (len > 0)
        memcpy(step->data, data, len);
    if (fake->first == NULL)
        fake->first = step;
    else
        fake->last->next = step;
    fake->last = step;
    update(fake);
}

void fake_stream_data(fake_stream_t *fake, const void *data, size_t len) {
    assert_true(len > 0);
    add(fake, STEP_DATA, 0, data, len);
}

void fake_stream_end(fake_stream_t *fake) {
    add(fake, STEP_END, 0, NULL, 0);
}

void fake_stream_error(fake_stream_t *fake, int error) {
    add(fake, STEP_ERROR, error, NULL, 0);
}

void fake_stream_drain(fake_stream_t *fake) {
    fake->drain_due = true;
    update(fake);
}

void fake_stream_shutdown_done(fake_stream_t *fake) {
    fake->shutdown_due = true;
    update(fake);
}

void fake_stream_break(fake_stream_t *fake, int error) {
    fake->break_due = error;
    update(fake);
}

bool fake_stream_idle(const fake_stream_t *fake) {
    return fake->first == NULL && !commanded(fake);
}

void fake_stream_free(fake_stream_t *fake) {
    assert_true(fake->gone);
    free(fake->written);
    fake->written = NULL;
}
