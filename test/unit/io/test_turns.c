/* SPDX-License-Identifier: MIT */
/*
 * The lengths of the loop's turns. But for the last test the clock stands still, unless a callback
 * spends time (`spend`) or the loop waits (`wait_ns`).
 */
#include "ctx.h"
#include "sockets.h"

#include <sys/socket.h>
#include <unistd.h>
#include <wstunnel/listener.h>
#include <wstunnel/resolver.h>

uint64_t __real_uv_hrtime(void);
uint64_t __real_uv_now(const uv_loop_t *loop);
uint64_t __wrap_uv_hrtime(void);
uint64_t __wrap_uv_now(const uv_loop_t *loop);

#define MS ((uint64_t)1000000)

static struct {
    bool real;
    uint64_t now_ns;
    uint64_t loop_ns; /* when the loop's last wait ended */
} watch;

uint64_t __wrap_uv_hrtime(void) {
    return watch.real ? __real_uv_hrtime() : watch.now_ns;
}

uint64_t __wrap_uv_now(const uv_loop_t *loop) {
    return watch.real ? __real_uv_now(loop) : watch.loop_ns / MS;
}

static void spend(uint64_t ns) {
    watch.now_ns += ns;
}

/* A loop with a context ---------------------------------------------------------------------- */

typedef struct world {
    test_env_t env;
    uv_prepare_t last; /* runs right before the loop waits; keeps the loop alive */
    uint64_t wait_ns;  /* of each wait */
    uint64_t spend_ns; /* in the callback under test */
    size_t calls;
    wst__defer_t defer;
} world_t;

static void on_wait(uv_prepare_t *prepare) {
    const world_t *w = prepare->data;
    spend(w->wait_ns);
    watch.loop_ns = watch.now_ns;
}

static void open_world(world_t *w) {
    memset(w, 0, sizeof(*w));
    memset(&watch, 0, sizeof(watch));
    watch.now_ns = watch.loop_ns = 1000 * MS + 123;
    test_env_open(&w->env);
    /* libuv runs the handle that was started last first. */
    uv_prepare_stop(&w->env.ctx->turns.prepare);
    uv_prepare_init(&w->env.loop, &w->last);
    w->last.data = w;
    uv_prepare_start(&w->last, on_wait);
    uv_prepare_start(&w->env.ctx->turns.prepare, w->env.ctx->turns.prepare.prepare_cb);
    wst__defer_init(&w->defer);
}

static void close_world(world_t *w) {
    w->spend_ns = w->wait_ns = 0;
    uv_close((uv_handle_t *)&w->last, NULL);
    test_env_close(&w->env);
}

static wst_ctx_stats_t stats_of(const world_t *w) {
    wst_ctx_stats_t stats = {.size = sizeof(stats)};
    assert_int_equal(wst_ctx_get_stats(w->env.ctx, &stats), 0);
    return stats;
}

static void work(world_t *w) {
    w->calls++;
    spend(w->spend_ns);
}

static void on_defer(wst__defer_t *defer) {
    work(WST__CONTAINER(defer, world_t, defer));
}

/* Spends the time in a turn of its own: in a callback of the library that no event runs. */
static void turn_of(world_t *w, uint64_t ns) {
    w->spend_ns = ns;
    wst__defer(w->env.ctx, &w->defer, on_defer);
    test_env_turns(&w->env, 2);
}

/* Counting ----------------------------------------------------------------------------------- */

static void test_counts(void **state) {
    (void)state;
    world_t w;
    open_world(&w);
    test_env_turns(&w.env, 1);
    assert_int_equal(stats_of(&w).turns, 0); /* the first turn has not ended */
    test_env_turns(&w.env, 10);
    assert_int_equal(stats_of(&w).turns, 10);
    assert_int_equal(stats_of(&w).turn_max_us, 0);
    static const uint64_t lengths[] = {999, 1 * MS, 1 * MS + 1, 10 * MS, 10 * MS + 1};
    static const wst_ctx_stats_t expected[] = {
        {.turn_max_us = 0},
        {.turn_max_us = 1000},
        {.turn_max_us = 1000, .turns_over_1ms = 1},
        {.turn_max_us = 10000, .turns_over_1ms = 2},
        {.turn_max_us = 10000, .turns_over_1ms = 3, .turns_over_10ms = 1},
    };
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        turn_of(&w, lengths[i]);
        wst_ctx_stats_t stats = stats_of(&w);
        assert_int_equal(stats.turn_max_us, expected[i].turn_max_us);
        assert_int_equal(stats.turns_over_1ms, expected[i].turns_over_1ms);
        assert_int_equal(stats.turns_over_10ms, expected[i].turns_over_10ms);
    }
    close_world(&w);
}

static void test_reset_of_the_peak(void **state) {
    (void)state;
    world_t w;
    open_world(&w);
    test_env_turns(&w.env, 1);
    turn_of(&w, 7 * MS);
    assert_int_equal(stats_of(&w).turn_peak_us, 7000);
    assert_int_equal(stats_of(&w).turn_peak_us, 7000); /* reading resets nothing */
    wst_ctx_reset_turn_peak(w.env.ctx);
    assert_int_equal(stats_of(&w).turn_peak_us, 0);
    turn_of(&w, 2 * MS);
    wst_ctx_stats_t stats = stats_of(&w);
    assert_int_equal(stats.turn_peak_us, 2000);
    assert_int_equal(stats.turn_max_us, 7000);
    assert_int_equal(stats.turns_over_1ms, 2);
    close_world(&w);
}

static void test_waiting_does_not_count(void **state) {
    (void)state;
    world_t w;
    open_world(&w);
    w.wait_ns = 500 * MS + 999999;
    test_env_turns(&w.env, 1);
    turn_of(&w, 3 * MS);
    test_env_turns(&w.env, 5);
    assert_int_equal(stats_of(&w).turn_max_us, 3000);
    close_world(&w);
}

static void test_keeps_no_loop_alive(void **state) {
    (void)state;
    world_t w;
    open_world(&w);
    uv_unref((uv_handle_t *)&w.last);
    assert_int_equal(uv_run(&w.env.loop, UV_RUN_DEFAULT), 0);
    close_world(&w);
}

/* Callbacks for events ----------------------------------------------------------------------- */

static void assert_seen(const world_t *w) {
    assert_int_equal(w->calls, 1);
    assert_int_equal(stats_of(w).turn_max_us, 20000);
    assert_int_equal(stats_of(w).turns_over_10ms, 1);
}

static void open_waiting(world_t *w) {
    open_world(w);
    w->wait_ns = 100 * MS;
    w->spend_ns = 20 * MS;
    test_env_turns(&w->env, 2);
}

static void until_called(world_t *w) {
    test_env_until_count(&w->env, &w->calls, 1);
    test_env_turns(&w->env, 2);
}

static void on_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    (void)stream, (void)data;
    work(user_data);
}

static void on_signalled(wst_stream_t *stream, void *user_data) {
    (void)stream;
    work(user_data);
}

static const wst_stream_callbacks_t callbacks = {.size = sizeof(callbacks),
                                                 .on_read = on_read,
                                                 .on_end = on_signalled,
                                                 .on_drain = on_signalled};

static wst_stream_t *open_socket(world_t *w, int *peer) {
    int fds[2];
    sockets_pair(fds, false);
    wst_stream_t *stream = sockets_stream(&w->env, fds[0], false);
    wst_stream_set_callbacks(stream, &callbacks, w);
    *peer = fds[1];
    return stream;
}

static void close_socket(world_t *w, wst_stream_t *stream, int peer) {
    wst_stream_close(stream, NULL);
    close(peer);
    close_world(w);
}

static void test_read(void **state) {
    (void)state;
    world_t w;
    int peer;
    open_waiting(&w);
    wst_stream_t *stream = open_socket(&w, &peer);
    wst_stream_read_start(stream, 0);
    assert_int_equal(write(peer, "x", 1), 1);
    until_called(&w);
    assert_seen(&w);
    close_socket(&w, stream, peer);
}

static void test_end(void **state) {
    (void)state;
    world_t w;
    int peer;
    open_waiting(&w);
    wst_stream_t *stream = open_socket(&w, &peer);
    wst_stream_read_start(stream, 0);
    assert_int_equal(shutdown(peer, SHUT_WR), 0);
    until_called(&w);
    assert_seen(&w);
    close_socket(&w, stream, peer);
}

static void test_drain(void **state) {
    (void)state;
    world_t w;
    int peer;
    open_waiting(&w);
    wst_stream_t *stream = open_socket(&w, &peer);
    int status;
    do
        status = sockets_write_pattern(stream, 0, 65536);
    while (status == 0);
    assert_int_equal(status, WST_WAIT);
    uint8_t buf[65536];
    while (w.calls == 0) {
        (void)recv(peer, buf, sizeof(buf), MSG_DONTWAIT);
        test_env_turns(&w.env, 1);
    }
    test_env_turns(&w.env, 2);
    assert_seen(&w);
    close_socket(&w, stream, peer);
}

static void on_accept(wst_listener_t *listener, wst_stream_t *stream, void *user_data) {
    (void)listener;
    wst_stream_close(stream, NULL);
    work(user_data);
}

static void test_accept(void **state) {
    (void)state;
    world_t w;
    open_waiting(&w);
    wst_listener_t *listener;
    const wst_listener_options_t options = {
        .size = sizeof(options), .address = "127.0.0.1:0", .on_accept = on_accept, .user_data = &w};
    assert_int_equal(wst_listener_new(&listener, w.env.ctx, &options), 0);
    struct sockaddr_in address;
    const char *port = strrchr(wst_listener_address(listener), ':') + 1;
    assert_int_equal(uv_ip4_addr("127.0.0.1", (int)strtol(port, NULL, 10), &address), 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    until_called(&w);
    assert_seen(&w);
    close(fd);
    wst_listener_close(listener, NULL);
    close_world(&w);
}

static void on_resolved(int status, const struct sockaddr_storage *addresses, size_t count,
                        void *user_data) {
    (void)status, (void)addresses, (void)count;
    work(user_data);
}

static void test_lookup(void **state) {
    (void)state;
    world_t w;
    open_waiting(&w);
    wst_resolve_t *resolve;
    assert_int_equal(wst_resolve(&resolve, w.env.ctx, "localhost", 0, on_resolved, &w), 0);
    until_called(&w);
    assert_seen(&w);
    close_world(&w);
}

/* Callbacks of the host ---------------------------------------------------------------------- */

typedef struct host {
    world_t *w;
    uv_poll_t poll;
    int fds[2];
} host_t;

static void on_host_poll(uv_poll_t *poll, int status, int events) {
    const host_t *host = poll->data;
    char c;
    (void)status, (void)events;
    assert_int_equal(read(host->fds[0], &c, 1), 1);
    work(host->w);
}

static void open_host(host_t *host, world_t *w) {
    host->w = w;
    sockets_pair(host->fds, false);
    assert_int_equal(uv_poll_init(&w->env.loop, &host->poll, host->fds[0]), 0);
    host->poll.data = host;
    uv_poll_start(&host->poll, UV_READABLE, on_host_poll);
}

static void close_host(host_t *host) {
    uv_close((uv_handle_t *)&host->poll, NULL);
    close(host->fds[1]);
    test_env_turns(&host->w->env, 1);
    close(host->fds[0]);
}

static void test_host_alone(void **state) {
    (void)state;
    world_t w;
    host_t host;
    open_waiting(&w);
    open_host(&host, &w);
    assert_int_equal(write(host.fds[1], "x", 1), 1);
    until_called(&w);
    /* The loop's time, whole milliseconds, may be late: 20 ms less 2. */
    assert_in_range(stats_of(&w).turn_max_us, 18000, 19000);
    assert_int_equal(stats_of(&w).turns_over_10ms, 1);
    close_host(&host);
    close_world(&w);
}

static void test_host_less_than_its_margin(void **state) {
    (void)state;
    world_t w;
    host_t host;
    open_waiting(&w);
    w.spend_ns = MS;
    open_host(&host, &w);
    assert_int_equal(write(host.fds[1], "x", 1), 1);
    until_called(&w);
    assert_int_equal(stats_of(&w).turn_max_us, 0);
    close_host(&host);
    close_world(&w);
}

/* Neither of the two comes first for certain. */
static void test_host_beside_the_library(void **state) {
    (void)state;
    world_t w;
    host_t host;
    int peer;
    open_waiting(&w);
    wst_stream_t *stream = open_socket(&w, &peer);
    wst_stream_read_start(stream, 0);
    open_host(&host, &w);
    assert_int_equal(write(host.fds[1], "x", 1), 1);
    assert_int_equal(write(peer, "x", 1), 1);
    until_called(&w);
    assert_int_equal(w.calls, 2);
    assert_in_range(stats_of(&w).turn_max_us, 38000, 40000);
    close_host(&host);
    close_socket(&w, stream, peer);
}

static void on_host_timer(uv_timer_t *timer) {
    work(timer->data);
}

static void test_host_timer(void **state) {
    (void)state;
    world_t w;
    open_waiting(&w);
    uv_timer_t timer;
    uv_timer_init(&w.env.loop, &timer);
    timer.data = &w;
    uv_timer_start(&timer, on_host_timer, 0, 0);
    until_called(&w);
    assert_seen(&w);
    uv_close((uv_handle_t *)&timer, NULL);
    test_env_turns(&w.env, 1);
    close_world(&w);
}

static void on_host_closed(uv_handle_t *handle) {
    work(handle->data);
}

static void test_host_close_callback(void **state) {
    (void)state;
    world_t w;
    open_waiting(&w);
    uv_timer_t timer;
    uv_timer_init(&w.env.loop, &timer);
    timer.data = &w;
    uv_close((uv_handle_t *)&timer, on_host_closed);
    until_called(&w);
    assert_seen(&w);
    close_world(&w);
}

/* The clock of the system -------------------------------------------------------------------- */

static void on_busy(wst__defer_t *defer) {
    uint64_t until = __real_uv_hrtime() + 20 * MS;
    while (__real_uv_hrtime() < until)
        continue;
    WST__CONTAINER(defer, world_t, defer)->calls++;
}

static void test_busy_callback(void **state) {
    (void)state;
    world_t w;
    open_world(&w);
    watch.real = true;
    test_env_turns(&w.env, 2);
    wst__defer(w.env.ctx, &w.defer, on_busy);
    until_called(&w);
    assert_true(stats_of(&w).turn_max_us >= 20000);
    assert_true(stats_of(&w).turn_peak_us >= 20000);
    assert_true(stats_of(&w).turns_over_10ms >= 1);
    assert_true(stats_of(&w).turns_over_1ms >= 1);
    close_world(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_reset_of_the_peak),
        cmocka_unit_test(test_waiting_does_not_count),
        cmocka_unit_test(test_keeps_no_loop_alive),
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_end),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_accept),
        cmocka_unit_test(test_lookup),
        cmocka_unit_test(test_host_alone),
        cmocka_unit_test(test_host_less_than_its_margin),
        cmocka_unit_test(test_host_beside_the_library),
        cmocka_unit_test(test_host_timer),
        cmocka_unit_test(test_host_close_callback),
        cmocka_unit_test(test_busy_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
