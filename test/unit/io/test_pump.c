/* SPDX-License-Identifier: MIT */
/* The pump between two scripted streams: each thing that pump.h promises. */
#include "fake_stream.h"
#include "support.h"

#include "ctx.h"
#include "pump.h"

typedef struct world {
    uv_loop_t loop;
    wst_ctx_t *ctx;
    fake_stream_t a, b;
    wst_pump_t *pump;
    wst_pump_options_t options;
    bool close_in_done;
    int done, status; /* calls of on_done, and the last one's status */
    int closed;       /* calls of close_cb */
    uint64_t done_ms;
    wst_pump_stats_t stats; /* at the end */
} world_t;

static void on_pump_closed(void *user_data) {
    world_t *w = user_data;
    w->closed++;
    assert_true(w->a.gone && w->b.gone);
    wst_pump_get_stats(w->pump, &w->stats);
}

static void on_done(wst_pump_t *pump, int status, void *user_data) {
    world_t *w = user_data;
    assert_ptr_equal(pump, w->pump);
    assert_int_equal(w->closed, 0);
    assert_true(w->a.closed && w->b.closed);
    w->done++;
    w->status = status;
    w->done_ms = uv_now(&w->loop);
    if (w->close_in_done)
        wst_pump_close(pump, on_pump_closed);
}

/* Everything but the pump. False if there was no memory. */
static bool world_init(world_t *w) {
    memset(w, 0, sizeof(*w));
    assert_int_equal(uv_loop_init(&w->loop), 0);
    w->stats.size = sizeof(w->stats);
    w->options = (wst_pump_options_t){
        .size = sizeof(wst_pump_options_t), .on_done = on_done, .user_data = w};
    const wst_ctx_options_t options = {.size = sizeof(options), .allocator = &test_allocator};
    if (wst_ctx_new(&w->ctx, &w->loop, &options) != 0)
        return false;
    return fake_stream_open(&w->a, w->ctx) == 0 && fake_stream_open(&w->b, w->ctx) == 0;
}

static bool world_pump(world_t *w) {
    int rc = wst_pump_new(&w->pump, w->ctx, w->a.stream, w->b.stream, &w->options);
    assert_true(rc == 0 || rc == WST_ENOMEM);
    return rc == 0;
}

static void turns(world_t *w, int n) {
    for (int i = 0; i < n; i++)
        uv_run(&w->loop, UV_RUN_NOWAIT);
}

/* Closes what there is; afterwards nothing may be left. */
static void world_free(world_t *w) {
    if (w->pump != NULL)
        wst_pump_close(w->pump, on_pump_closed);
    else {
        if (w->a.stream != NULL)
            wst_stream_close(w->a.stream, NULL);
        if (w->b.stream != NULL)
            wst_stream_close(w->b.stream, NULL);
    }
    if (w->ctx != NULL)
        wst_ctx_close(w->ctx, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    assert_int_equal(w->closed, w->pump != NULL);
    if (w->a.gone)
        fake_stream_free(&w->a);
    if (w->b.gone)
        fake_stream_free(&w->b);
    assert_int_equal(test_alloc_live(), 0);
}

static void world_start(world_t *w) {
    assert_true(world_init(w));
    assert_true(world_pump(w));
}

static void say(fake_stream_t *fake, const char *text) {
    fake_stream_data(fake, text, strlen(text));
}

static void assert_written(const fake_stream_t *fake, const char *text) {
    assert_int_equal(fake->written_len, strlen(text));
    assert_memory_equal(fake->written, text, strlen(text));
}

/* --- the two directions --- */

static void test_both_ways(void **state) {
    (void)state;
    world_t w;
    world_start(&w);
    say(&w.a, "from a ");
    say(&w.a, "and more");
    fake_stream_end(&w.a);
    say(&w.b, "from b");
    fake_stream_end(&w.b);
    turns(&w, 20);
    assert_written(&w.b, "from a and more");
    assert_written(&w.a, "from b");
    assert_int_equal(w.done, 1);
    assert_int_equal(w.status, 0);
    assert_true(w.a.gone && w.b.gone);
    assert_int_equal(w.a.reset_reason, 0);
    assert_int_equal(w.b.reset_reason, 0);
    world_free(&w);
    assert_int_equal(w.done, 1);
    assert_int_equal(w.stats.bytes_a_to_b, 15);
    assert_int_equal(w.stats.bytes_b_to_a, 6);
    assert_int_equal(w.stats.failed_side, 0);
}

/* The end of one direction is passed on alone, the other goes on for as long as it likes. */
static void test_half_close(void **state) {
    (void)state;
    world_t w;
    world_start(&w);
    say(&w.b, "question");
    fake_stream_end(&w.b);
    turns(&w, 10);
    assert_written(&w.a, "question");
    assert_true(w.a.shutdown);
    assert_false(w.b.shutdown);
    assert_int_equal(w.done, 0);
    wst_pump_get_stats(w.pump, &w.stats);
    assert_int_equal(w.stats.first_end, 'b');
    say(&w.a, "a long answer");
    turns(&w, 10);
    assert_written(&w.b, "a long answer");
    assert_int_equal(w.done, 0);
    fake_stream_end(&w.a);
    turns(&w, 10);
    assert_int_equal(w.done, 1);
    assert_int_equal(w.status, 0);
    world_free(&w);
    assert_int_equal(w.stats.first_end, 'b');
}

/* Closing before all has been handed over would cut it short. */
static void test_waits_for_shutdown(void **state) {
    (void)state;
    world_t w;
    world_start(&w);
    w.b.hold_shutdown = true;
    say(&w.a, "slowly");
    fake_stream_end(&w.a);
    fake_stream_end(&w.b);
    turns(&w, 20);
    assert_true(w.a.shutdown && w.b.shutdown);
    assert_int_equal(w.done, 0);
    assert_false(w.a.closed || w.b.closed);
    fake_stream_shutdown_done(&w.b);
    turns(&w, 10);
    assert_int_equal(w.done, 1);
    assert_int_equal(w.b.reset_reason, 0);
    world_free(&w);
}

static void test_back_pressure(void **state) {
    (void)state;
    world_t w;
    world_start(&w);
    w.b.write_status = WST_WAIT;
    say(&w.a, "one");
    say(&w.a, "two");
    fake_stream_end(&w.a);
    turns(&w, 10);
    assert_written(&w.b, "one");
    assert_false(w.a.reading);
    assert_false(w.b.shutdown);
    say(&w.b, "the other way");
    turns(&w, 10);
    assert_written(&w.a, "the other way");
    fake_stream_drain(&w.b);
    turns(&w, 10);
    assert_written(&w.b, "onetwo");
    assert_true(w.b.shutdown);
    world_free(&w);
}

/* A reader must not deliver more than the writer's buffers have room for. */
static void test_room_bounds_reading(void **state) {
    (void)state;
    world_t w;
    assert_true(world_init(&w));
    w.b.room = 5;
    w.a.room = 1000;
    assert_true(world_pump(&w));
    assert_int_equal(w.a.read_max, 5);
    assert_int_equal(w.b.read_max, 1000);
    say(&w.a, "123456789");
    turns(&w, 1);
    assert_written(&w.b, "12345");
    w.b.room = 3; /* looked at again after each write */
    turns(&w, 1);
    assert_written(&w.b, "123456789");
    assert_int_equal(w.a.read_max, 3);
    size_t starts = w.a.starts;
    say(&w.a, "x");
    turns(&w, 2);
    assert_int_equal(w.a.starts, starts); /* no more ado than needed */
    world_free(&w);
}

/* Somebody before us has filled the stream; its drain is ours. */
static void test_no_room_at_first(void **state) {
    (void)state;
    world_t w;
    assert_true(world_init(&w));
    w.b.write_status = WST_WAIT;
    wst_slice_t greeting = wst_slice_static("greeting ", 9);
    assert_int_equal(wst_stream_write(w.b.stream, &greeting, 1), WST_WAIT);
    w.b.room = 0;
    assert_true(world_pump(&w));
    say(&w.a, "hello");
    turns(&w, 10);
    assert_written(&w.b, "greeting ");
    w.b.room = 100;
    fake_stream_drain(&w.b);
    turns(&w, 10);
    assert_written(&w.b, "greeting hello");
    world_free(&w);
}

/* What was put back into a stream before it came to us goes first. */
static void test_unread_goes_first(void **state) {
    (void)state;
    world_t w;
    assert_true(world_init(&w));
    w.b.room = 4;
    assert_int_equal(wst_stream_unread(w.a.stream, wst_slice_static("unread ", 7)), 0);
    assert_true(world_pump(&w));
    say(&w.a, "rest");
    fake_stream_end(&w.a);
    turns(&w, 10);
    assert_written(&w.b, "unread rest");
    assert_true(w.b.shutdown);
    world_free(&w);
}

/* --- breaking --- */

static void expect_broken(world_t *w, int status, int reason, char side) {
    turns(w, 10);
    assert_int_equal(w->done, 1);
    assert_int_equal(w->status, status);
    assert_int_equal((side == 'a' ? &w->b : &w->a)->reset_reason, reason);
    assert_int_not_equal((side == 'a' ? &w->a : &w->b)->reset_reason, 0);
    world_free(w);
    assert_int_equal(w->stats.failed_side, side);
}

static void test_error_resets_the_other(void **state) {
    (void)state;
    for (char side = 'a'; side <= 'b'; side++) {
        world_t w;
        world_start(&w);
        say(&w.a, "x");
        say(&w.b, "y");
        fake_stream_error(side == 'a' ? &w.a : &w.b, UV_ECONNRESET);
        expect_broken(&w, UV_ECONNRESET, WST_ERESET, side);
        assert_int_equal(w.stats.first_end, side);
        assert_false(w.a.shutdown || w.b.shutdown);
    }
}

/* Also if the other one has been told the end already: it may not have got it. */
static void test_error_behind_an_end(void **state) {
    (void)state;
    world_t w;
    world_start(&w);
    fake_stream_end(&w.a);
    turns(&w, 5);
    fake_stream_error(&w.b, WST_ELOST);
    expect_broken(&w, WST_ELOST, WST_ELOST, 'b');
    assert_int_equal(w.stats.first_end, 'a');
}

static void test_write_error(void **state) {
    (void)state;
    world_t w;
    world_start(&w);
    w.b.write_status = UV_EPIPE;
    say(&w.a, "x");
    say(&w.a, "never read");
    expect_broken(&w, UV_EPIPE, wst_reason_of(UV_EPIPE), 'b');
    assert_int_equal(w.a.delivered, 1);
    assert_int_equal(w.stats.bytes_a_to_b, 0);
}

static void test_shutdown_error(void **state) {
    (void)state;
    world_t w;
    world_start(&w);
    w.a.shutdown_status = UV_ENOTCONN;
    fake_stream_end(&w.b);
    expect_broken(&w, UV_ENOTCONN, wst_reason_of(UV_ENOTCONN), 'a');
}

/* It is broken off from outside, once. */
static void test_break(void **state) {
    (void)state;
    world_t w;
    world_start(&w);
    say(&w.a, "before");
    turns(&w, 10);
    assert_true(wst__pump_break(w.pump, WST_ECANCELLED));
    assert_false(wst__pump_break(w.pump, WST_EDENIED));
    assert_int_equal(w.done, 0);
    turns(&w, 10);
    assert_int_equal(w.done, 1);
    assert_int_equal(w.status, WST_ECANCELLED);
    assert_written(&w.b, "before");
    assert_int_equal(w.a.reset_reason, WST_ECANCELLED);
    assert_int_equal(w.b.reset_reason, WST_ECANCELLED);
    assert_false(wst__pump_break(w.pump, WST_EDENIED));
    world_free(&w);
    assert_int_equal(w.done, 1);
    assert_int_equal(w.stats.first_end, 0);
    assert_int_equal(w.stats.failed_side, 0);
}

/* --- timeouts --- */

static void run_until_done(world_t *w) {
    while (w->done == 0)
        uv_run(&w->loop, UV_RUN_ONCE);
}

static void expect_idle(world_t *w) {
    assert_int_equal(w->status, WST_EIDLE);
    assert_int_equal(w->a.reset_reason, WST_EIDLE);
    assert_int_equal(w->b.reset_reason, WST_EIDLE);
    world_free(w);
    assert_int_equal(w->stats.failed_side, 0);
}

static void test_idle(void **state) {
    (void)state;
    world_t w;
    assert_true(world_init(&w));
    w.options.idle_timeout_ms = 5;
    assert_true(world_pump(&w));
    run_until_done(&w);
    expect_idle(&w);
    assert_int_equal(w.stats.first_end, 0);
}

enum { TICKS = 8, TICK_MS = 3, IDLE_MS = 10 };

typedef struct ticker {
    uv_timer_t timer;
    world_t *w;
    int count;
    uint64_t at[TICKS];
} ticker_t;

/* Both directions in turn. */
static void on_tick(uv_timer_t *timer) {
    ticker_t *t = timer->data;
    if (t->count == TICKS || t->w->done > 0) {
        uv_timer_stop(timer);
        return;
    }
    t->at[t->count] = uv_now(&t->w->loop);
    fake_stream_data(t->count % 2 == 0 ? &t->w->a : &t->w->b, "x", 1);
    t->count++;
}

/* Between the last byte that moved and the end lies the timeout. How many have moved. */
static size_t idle_after_ticks(void) {
    world_t w;
    assert_true(world_init(&w));
    w.options.idle_timeout_ms = IDLE_MS;
    assert_true(world_pump(&w));
    ticker_t t = {.w = &w};
    uv_timer_init(&w.loop, &t.timer);
    t.timer.data = &t;
    uv_timer_start(&t.timer, on_tick, TICK_MS, TICK_MS);
    run_until_done(&w);
    size_t moved = w.a.written_len + w.b.written_len;
    assert_true(moved == 0 || w.done_ms >= t.at[moved - 1] + IDLE_MS);
    uv_close((uv_handle_t *)&t.timer, NULL);
    expect_idle(&w);
    return moved;
}

static void test_idle_is_put_off(void **state) {
    (void)state;
    int tries = 100; /* on a machine that is too late for the first byte */
    while (tries > 0 && idle_after_ticks() == 0)
        tries--;
    assert_true(tries > 0);
}

static void test_half_closed_timeout(void **state) {
    (void)state;
    world_t w;
    assert_true(world_init(&w));
    w.options.half_closed_timeout_ms = 5;
    assert_true(world_pump(&w));
    turns(&w, 3);
    assert_true(wst__deadlines_next(&w.ctx->deadlines) == WST__NEVER); /* open streams may idle */
    say(&w.a, "x");
    fake_stream_end(&w.a);
    run_until_done(&w);
    assert_true(w.b.shutdown);
    expect_idle(&w);
    assert_int_equal(w.stats.first_end, 'a');
}

/* It counts even if both have ended and one never takes what it was sent. */
static void test_stuck_shutdown_times_out(void **state) {
    (void)state;
    world_t w;
    assert_true(world_init(&w));
    w.options.half_closed_timeout_ms = 5;
    w.b.hold_shutdown = true;
    assert_true(world_pump(&w));
    fake_stream_end(&w.a);
    fake_stream_end(&w.b);
    run_until_done(&w);
    expect_idle(&w);
}

static void test_timeout_values(void **state) {
    (void)state;
    static const struct {
        uint64_t idle, half, open_in, half_closed_in;
    } cases[] = {
        {0, 0, WST__NEVER, 600000}, /* the default */
        {0, UINT64_MAX, WST__NEVER, WST__NEVER},
        {0, UINT64_MAX - 1, WST__NEVER, WST__NEVER}, /* must not wrap around */
        {5000, 0, 5000, 5000},
        {900000, 7000, 900000, 7000},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        world_t w;
        assert_true(world_init(&w));
        w.options.idle_timeout_ms = cases[i].idle;
        w.options.half_closed_timeout_ms = cases[i].half;
        assert_true(world_pump(&w));
        uint64_t never = WST__NEVER, next = wst__deadlines_next(&w.ctx->deadlines);
        assert_true(next ==
                    (cases[i].open_in == never ? never : uv_now(&w.loop) + cases[i].open_in));
        fake_stream_end(&w.b);
        while (!w.a.shutdown)
            turns(&w, 1);
        next = wst__deadlines_next(&w.ctx->deadlines);
        if (cases[i].half_closed_in == never)
            assert_true(next == never);
        else
            assert_in_range(next, uv_now(&w.loop), uv_now(&w.loop) + cases[i].half_closed_in);
        world_free(&w);
    }
}

/* --- life --- */

/* A run that meets everything: data, a wait, a drain, both ends. */
static void script(world_t *w) {
    w->b.write_status = WST_WAIT;
    say(&w->a, "one");
    say(&w->a, "two");
    fake_stream_end(&w->a);
    say(&w->b, "three");
    fake_stream_drain(&w->b);
    fake_stream_end(&w->b);
}

/* After any number of turns, in every state: one close_cb, nothing after it, no on_done after. */
static void test_close_at_each_turn(void **state) {
    (void)state;
    bool saw_done = false;
    for (int n = 0; !saw_done || n < 20; n++) {
        world_t w;
        world_start(&w);
        script(&w);
        turns(&w, n);
        int done = w.done;
        saw_done = saw_done || done > 0;
        bool finished = w.a.closed;
        wst_pump_close(w.pump, on_pump_closed);
        wst_pump_close(w.pump, NULL); /* the first one counts */
        assert_int_equal(w.closed, 0);
        turns(&w, 5);
        assert_int_equal(w.closed, 1);
        assert_int_equal(w.done, done);
        assert_int_equal(w.a.reset_reason, finished ? 0 : WST_ECANCELLED);
        assert_int_equal(w.b.reset_reason, finished ? 0 : WST_ECANCELLED);
        w.pump = NULL;
        w.closed = 0;
        world_free(&w);
        assert_true(n < 100);
    }
}

static void test_close_in_done(void **state) {
    (void)state;
    for (int broken = 0; broken < 2; broken++) {
        world_t w;
        world_start(&w);
        w.close_in_done = true;
        script(&w);
        if (broken)
            fake_stream_error(&w.b, UV_ECONNRESET);
        turns(&w, 30);
        assert_int_equal(w.done, 1);
        assert_int_equal(w.closed, 1);
        w.pump = NULL;
        w.closed = 0;
        world_free(&w);
    }
}

static void each_allocation(void *arg) {
    (void)arg;
    world_t w;
    if (world_init(&w) && world_pump(&w)) {
        script(&w);
        for (int i = 0; i < 100 && w.done == 0; i++)
            turns(&w, 1);
        assert_int_equal(w.done, 1);
        assert_true(w.status == 0 || test_alloc_failed());
        assert_true((w.status == 0) == (w.a.reset_reason == 0));
        assert_true((w.status == 0) == (w.b.reset_reason == 0));
    } else {
        assert_true(test_alloc_failed());
        assert_false(w.a.closed || w.b.closed); /* streams are taken on success only */
    }
    world_free(&w);
}

static void test_each_allocation(void **state) {
    (void)state;
    assert_true(test_alloc_each(each_allocation, NULL) >= 4);
}

/* --- crowds --- */

enum { CROWD = 4 * WST__PACE };

static wst__defer_t crowd[CROWD];
static size_t left;

static void leave(wst__defer_t *defer) {
    (void)defer;
    left++;
}

/* So many others end in this turn that a pump has to wait for three turns. */
static void let_a_crowd_end(world_t *w) {
    left = 0;
    for (int i = 0; i < CROWD; i++) {
        wst__defer_init(&crowd[i]);
        wst__pace(w->ctx, &crowd[i], leave);
    }
}

static void test_end_in_a_crowd(void **state) {
    (void)state;
    world_t w;
    world_start(&w);
    say(&w.a, "from a");
    turns(&w, 2);
    let_a_crowd_end(&w);
    fake_stream_end(&w.a);
    say(&w.b, "from b");
    turns(&w, 2);
    assert_false(w.b.shutdown);
    assert_written(&w.b, "from a");
    assert_written(&w.a, "from b"); /* bytes do not wait */
    turns(&w, 8);
    assert_int_equal(left, CROWD);
    assert_true(w.b.shutdown);
    world_free(&w);
}

static void test_error_in_a_crowd(void **state) {
    (void)state;
    world_t w;
    world_start(&w);
    let_a_crowd_end(&w);
    fake_stream_error(&w.a, UV_ECONNRESET);
    turns(&w, 2);
    assert_false(w.a.closed || w.b.closed);
    say(&w.b, "to nobody");
    fake_stream_drain(&w.a);
    turns(&w, 8);
    assert_int_equal(w.a.written_len, 0);
    assert_int_equal(w.done, 1);
    assert_int_equal(w.status, UV_ECONNRESET);
    assert_int_equal(w.b.reset_reason, WST_ERESET);
    world_free(&w);
}

/* What arrives until it is its turn is not passed on. */
static void test_break_in_a_crowd(void **state) {
    (void)state;
    world_t w;
    world_start(&w);
    let_a_crowd_end(&w);
    assert_true(wst__pump_break(w.pump, WST_ECANCELLED));
    assert_false(wst__pump_break(w.pump, WST_EDENIED));
    say(&w.a, "to nobody");
    turns(&w, 2);
    assert_false(w.a.closed || w.b.closed);
    assert_int_equal(w.b.written_len, 0);
    turns(&w, 8);
    assert_int_equal(w.done, 1);
    assert_int_equal(w.status, WST_ECANCELLED);
    world_free(&w);
}

static void test_closed_in_a_crowd(void **state) {
    (void)state;
    for (int error = 0; error < 2; error++) {
        world_t w;
        world_start(&w);
        let_a_crowd_end(&w);
        if (error)
            fake_stream_error(&w.a, UV_ECONNRESET);
        else
            fake_stream_end(&w.a);
        turns(&w, 1);
        assert_int_equal(w.done, 0);
        for (int i = 0; i < CROWD; i++)
            wst__defer_cancel(&crowd[i]);
        world_free(&w); /* closes it */
        assert_int_equal(w.stats.first_end, 'a');
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_waits_for_shutdown),
        cmocka_unit_test(test_back_pressure),
        cmocka_unit_test(test_room_bounds_reading),
        cmocka_unit_test(test_no_room_at_first),
        cmocka_unit_test(test_unread_goes_first),
        cmocka_unit_test(test_error_resets_the_other),
        cmocka_unit_test(test_error_behind_an_end),
        cmocka_unit_test(test_write_error),
        cmocka_unit_test(test_shutdown_error),
        cmocka_unit_test(test_break),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_idle_is_put_off),
        cmocka_unit_test(test_half_closed_timeout),
        cmocka_unit_test(test_stuck_shutdown_times_out),
        cmocka_unit_test(test_timeout_values),
        cmocka_unit_test(test_close_at_each_turn),
        cmocka_unit_test(test_close_in_done),
        cmocka_unit_test(test_each_allocation),
        cmocka_unit_test(test_end_in_a_crowd),
        cmocka_unit_test(test_error_in_a_crowd),
        cmocka_unit_test(test_break_in_a_crowd),
        cmocka_unit_test(test_closed_in_a_crowd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
