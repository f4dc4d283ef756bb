/* SPDX-License-Identifier: MIT */
/*
 * The pump between two streams that behave at random, from a seed: pieces of any size, buffers that
 * fill and drain at any time, ends and breaks at any time. Each stream checks what it is given:
 * every byte once and in order, nothing beyond its room, nothing while it makes the writer wait,
 * the end behind all of it, and the very bytes that were delivered instead of a copy of them.
 */
#include "support.h"

#include <uv.h>
#include <wstunnel/error.h>
#include <wstunnel/pump.h>

enum { MOST_BYTES = 20000, MOST_BUFFERED = 3000, MOST_TURNS = 2000000 };

typedef struct end {
    struct world *w;
    struct end *other;
    wst_stream_t *stream;
    uint8_t key; /* tells its bytes from the other's */
    /* What it delivers. */
    size_t total, sent, max;
    bool reading, ended;
    /* What it takes. */
    size_t got, queued, capacity;
    const uint8_t *last; /* where what is being delivered to the pump lies */
    bool waiting, shutdown, shutdown_done;
    bool failed, closed;
    int reset_reason;
} end_t;

typedef struct world {
    uv_loop_t loop;
    uv_idle_t idle;
    wst_ctx_t *ctx;
    end_t a, b;
    wst_pump_t *pump;
    uint64_t random;
    bool breaks; /* one of them will, maybe */
    int broke;   /* with that error */
    int done, status, closed;
} world_t;

static size_t upto(world_t *w, size_t n) {
    return n == 0 ? 0 : (size_t)(test_random(&w->random) % (n + 1));
}

static bool sometimes(world_t *w, unsigned one_in) {
    return test_random(&w->random) % one_in == 0;
}

static uint8_t byte_at(uint8_t key, size_t offset) {
    return (uint8_t)(key ^ (offset * 7 + offset / 251));
}

/* --- the kind of stream --- */

static void end_read_start(wst_stream_t *stream, size_t max, void *impl) {
    end_t *e = impl;
    (void)stream;
    assert_true(max > 0);
    e->reading = true;
    e->max = max;
}

static void end_read_stop(wst_stream_t *stream, void *impl) {
    end_t *e = impl;
    (void)stream;
    e->reading = false;
}

static size_t end_room(const wst_stream_t *stream, const void *impl) {
    const end_t *e = impl;
    (void)stream;
    return e->capacity - e->queued;
}

static int end_write(wst_stream_t *stream, const wst_slice_t *slices, size_t count, void *impl) {
    end_t *e = impl;
    (void)stream;
    assert_false(e->waiting || e->shutdown || e->failed || e->closed);
    assert_int_equal(count, 1);
    assert_ptr_equal(slices[0].data, e->other->last);
    assert_true(slices[0].len <= e->capacity - e->queued);
    for (size_t i = 0; i < slices[0].len; i++)
        assert_int_equal(slices[0].data[i], byte_at(e->other->key, e->got + i));
    e->got += slices[0].len;
    e->queued += slices[0].len;
    wst_slice_unref(slices[0]);
    e->waiting = e->queued == e->capacity || sometimes(e->w, 6);
    return e->waiting ? WST_WAIT : 0;
}

static int end_shutdown(wst_stream_t *stream, void *impl) {
    end_t *e = impl;
    (void)stream;
    assert_true(e->other->ended);
    assert_int_equal(e->got, e->other->total);
    e->shutdown = true;
    return 0;
}

static void end_close(wst_stream_t *stream, int reset_reason, void *impl) {
    end_t *e = impl;
    (void)stream;
    e->closed = true;
    e->reset_reason = reset_reason;
}

static const wst_stream_ops_t ops = {
    sizeof(ops), end_read_start, end_read_stop, end_write, end_room, end_shutdown, end_close,
};

/* --- chance --- */

static void deliver(end_t *e) {
    size_t n = 1 + upto(e->w, e->max - 1);
    if (n > e->total - e->sent)
        n = e->total - e->sent;
    wst_chunk_t *chunk = wst_chunk_new(e->w->ctx, n);
    assert_non_null(chunk);
    uint8_t *data = wst_chunk_data(chunk);
    for (size_t i = 0; i < n; i++)
        data[i] = byte_at(e->key, e->sent + i);
    e->sent += n;
    e->last = data;
    wst_stream_emit_read(e->stream, (wst_slice_t){chunk, data, n});
    e->last = NULL;
    wst_chunk_unref(chunk);
}

static void drain(end_t *e) {
    e->queued -= upto(e->w, e->queued);
    if (e->waiting && e->queued < e->capacity && sometimes(e->w, 3)) {
        e->waiting = false;
        wst_stream_emit_drain(e->stream);
    }
}

/* One thing that may happen to a stream. */
static void happen(end_t *e) {
    if (e->stream == NULL)
        return;
    if (e->closed) {
        wst_stream_t *stream = e->stream;
        e->stream = NULL;
        wst_stream_closed(stream);
        return;
    }
    if (e->failed)
        return;
    if (e->w->breaks && sometimes(e->w, 100)) {
        e->w->breaks = false;
        e->w->broke = UV_ECONNRESET;
        e->failed = true;
        wst_stream_emit_error(e->stream, UV_ECONNRESET);
        return;
    }
    switch (test_random(&e->w->random) % 4) {
    case 0:
    case 1:
        if (e->reading && e->sent < e->total) {
            deliver(e);
        } else if (e->reading && !e->ended) {
            e->ended = true;
            e->reading = false;
            wst_stream_emit_end(e->stream);
        }
        break;
    case 2:
        drain(e);
        break;
    default:
        if (e->shutdown && e->queued == 0 && !e->shutdown_done) {
            e->shutdown_done = true;
            wst_stream_emit_shutdown(e->stream);
        }
        break;
    }
}

static void on_idle(uv_idle_t *idle) {
    world_t *w = idle->data;
    happen(sometimes(w, 2) ? &w->a : &w->b);
}

/* --- a run --- */

static void on_pump_closed(void *user_data) {
    world_t *w = user_data;
    wst_pump_stats_t stats = {.size = sizeof(stats)};
    wst_pump_get_stats(w->pump, &stats);
    assert_int_equal(stats.bytes_a_to_b, w->b.got);
    assert_int_equal(stats.bytes_b_to_a, w->a.got);
    w->closed++;
    uv_close((uv_handle_t *)&w->idle, NULL);
    wst_ctx_close(w->ctx, NULL);
}

static void on_done(wst_pump_t *pump, int status, void *user_data) {
    world_t *w = user_data;
    w->done++;
    w->status = status;
    wst_pump_close(pump, on_pump_closed);
}

static void open_end(world_t *w, end_t *e, end_t *other, uint8_t key) {
    e->w = w;
    e->other = other;
    e->key = key;
    e->total = sometimes(w, 8) ? 0 : upto(w, MOST_BYTES);
    e->capacity = 1 + upto(w, MOST_BUFFERED);
    assert_int_equal(wst_stream_new(&e->stream, w->ctx, &ops, e, "random"), 0);
}

static void run(uint64_t seed) {
    world_t w = {.random = seed};
    assert_int_equal(uv_loop_init(&w.loop), 0);
    uv_idle_init(&w.loop, &w.idle);
    w.idle.data = &w;
    uv_idle_start(&w.idle, on_idle);
    const wst_ctx_options_t options = {.size = sizeof(options), .allocator = &test_allocator};
    assert_int_equal(wst_ctx_new(&w.ctx, &w.loop, &options), 0);
    for (int i = 0; i < 4; i++) /* small seeds begin alike */
        test_random(&w.random);
    open_end(&w, &w.a, &w.b, 0x00);
    open_end(&w, &w.b, &w.a, 0xa5);
    w.breaks = sometimes(&w, 3);
    const wst_pump_options_t pump_options = {
        .size = sizeof(pump_options), .on_done = on_done, .user_data = &w};
    assert_int_equal(wst_pump_new(&w.pump, w.ctx, w.a.stream, w.b.stream, &pump_options), 0);

    for (int n = 0; w.closed == 0; n++) {
        if (n == MOST_TURNS)
            fail_msg("the pump is stuck");
        uv_run(&w.loop, UV_RUN_NOWAIT);
    }
    uv_run(&w.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w.loop), 0);
    assert_int_equal(w.done, 1);
    assert_int_equal(w.closed, 1);
    assert_int_equal(w.status, w.broke);
    if (w.broke == 0) {
        assert_int_equal(w.a.got, w.b.total);
        assert_int_equal(w.b.got, w.a.total);
        assert_true(w.a.shutdown_done && w.b.shutdown_done);
    }
    int reason = w.broke == 0 ? 0 : wst_reason_of(w.broke);
    assert_int_equal(w.a.reset_reason, reason);
    assert_int_equal(w.b.reset_reason, reason);
    assert_int_equal(test_alloc_live(), 0);
}

static uint64_t current_seed;

static void test_random_schedules(void **state) {
    (void)state;
    uint64_t first, count;
    test_seeds(&first, &count, 300);
    for (current_seed = first; current_seed < first + count; current_seed++)
        run(current_seed);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_schedules)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (failed != 0)
        print_error("TEST_SEEDS=%llu\n", (unsigned long long)current_seed);
    return failed;
}
