/* SPDX-License-Identifier: MIT */
/*
 * The context, which all handles of a loop share. It owns four libuv handles: a timer for the
 * earliest deadline, an idle handle that is active while callbacks are deferred, and two that
 * measure the loop's turns.
 *
 * Its end: closing; then every handle and request is gone (ctx->handles is 0); then the services
 * are closed one after another; then the libuv handles; then close_cb runs.
 */
#include "ctx.h"
#include "defaults.h"
#include "sized.h"
#include "utf8.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { MAX_THREADS = 1024, LINE_SIZE = 512, NS_PER_US = 1000, NS_PER_MS = 1000000 };

/* Deadlines ---------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer) {
    wst_ctx_t *ctx = timer->data;
    wst__deadlines_run(&ctx->deadlines, wst__now(ctx));
}

/* Arms the timer for the earliest deadline. Leaves a timer that is armed too early: so postponing a
 * deadline with every packet costs nothing, and a timer that finds nothing due calls this again. */
static void rearm_timer(wst__deadlines_t *deadlines) {
    wst_ctx_t *ctx = WST__CONTAINER(deadlines, wst_ctx_t, deadlines);
    uint64_t next = wst__deadlines_next(deadlines), now = wst__now(ctx);
    if (next == WST__NEVER) {
        uv_timer_stop(&ctx->timer);
        return;
    }
    uint64_t delay = next > now ? next - now : 0;
    if (!uv_is_active((uv_handle_t *)&ctx->timer) || uv_timer_get_due_in(&ctx->timer) > delay)
        uv_timer_start(&ctx->timer, on_timer, delay, 0);
}

/* Deferred callbacks ------------------------------------------------------------------------- */

/* Whether one more paced callback may run in this turn; counts it. */
static bool take_pace(wst_ctx_t *ctx) {
    if (ctx->paced_turn != ctx->turns.count)
        ctx->paced_count = 0;
    ctx->paced_turn = ctx->turns.count;
    if (ctx->paced_count == WST__PACE)
        return false;
    ctx->paced_count++;
    return true;
}

static void run_paced(wst_ctx_t *ctx) {
    wst__list_t *node;
    while ((node = wst__list_first(&ctx->paced)) != NULL && take_pace(ctx)) {
        wst__defer_t *defer = WST__CONTAINER(node, wst__defer_t, node);
        wst__list_remove(node);
        defer->cb(defer);
    }
}

static void on_idle(uv_idle_t *idle) {
    wst_ctx_t *ctx = idle->data;
    wst__list_t due, *node;
    /* Callbacks deferred meanwhile wait for the next turn; cancelled ones leave either list. */
    wst__list_take(&due, &ctx->deferred);
    while ((node = wst__list_first(&due)) != NULL) {
        wst__defer_t *defer = WST__CONTAINER(node, wst__defer_t, node);
        wst__list_remove(node);
        defer->cb(defer);
    }
    run_paced(ctx);
    if (wst__list_empty(&ctx->deferred) && wst__list_empty(&ctx->paced))
        uv_idle_stop(idle);
}

void wst__defer_init(wst__defer_t *defer) {
    wst__list_init(&defer->node);
    defer->cb = NULL;
}

void wst__defer(wst_ctx_t *ctx, wst__defer_t *defer, void (*cb)(wst__defer_t *defer)) {
    assert(!uv_is_closing((uv_handle_t *)&ctx->idle));
    defer->cb = cb;
    if (!wst__list_empty(&defer->node))
        return;
    wst__list_append(&ctx->deferred, &defer->node);
    uv_idle_start(&ctx->idle, on_idle);
}

void wst__pace(wst_ctx_t *ctx, wst__defer_t *defer, void (*cb)(wst__defer_t *defer)) {
    defer->cb = cb;
    if (!wst__list_empty(&defer->node))
        return;
    if (wst__list_empty(&ctx->paced) && take_pace(ctx)) {
        cb(defer);
        return;
    }
    assert(!uv_is_closing((uv_handle_t *)&ctx->idle));
    wst__list_append(&ctx->paced, &defer->node);
    uv_idle_start(&ctx->idle, on_idle);
}

void wst__defer_cancel(wst__defer_t *defer) {
    wst__list_remove(&defer->node);
}

/* Clocks ------------------------------------------------------------------------------------- */

static int64_t system_clock(void) {
    return (int64_t)time(NULL);
}

#ifdef CLOCK_BOOTTIME
static uint64_t boot_clock(void) {
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_BOOTTIME, &now); /* wst_ctx_new has seen it work */
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / NS_PER_MS;
}
#endif

/* Linux' clock that goes on while the machine sleeps, if the kernel has it. */
static uint64_t (*find_boot_clock(void))(void) {
#ifdef CLOCK_BOOTTIME
    struct timespec now;
    if (clock_gettime(CLOCK_BOOTTIME, &now) == 0)
        return boot_clock;
#endif
    return NULL;
}

bool wst__date(const wst_ctx_t *ctx, char out[WST__HTTP_DATE]) {
    out[0] = '\0';
    return ctx->clock != NULL && wst__http_date(out, ctx->clock());
}

/* Life --------------------------------------------------------------------------------------- */

int wst_ctx_new(wst_ctx_t **out, uv_loop_t *loop, const wst_ctx_options_t *given) {
    wst_ctx_options_t options;
    if (wst__sized_read(&options, sizeof(options), given) != 0)
        return WST_EINVAL;
    const wst_allocator_t *allocator =
        options.allocator != NULL ? options.allocator : &wst__default_allocator;
    wst_ctx_t *ctx = wst__zalloc(allocator, sizeof(*ctx));
    if (ctx == NULL)
        return WST_ENOMEM;
    int status = uv_timer_init(loop, &ctx->timer);
    if (status == 0)
        status = uv_idle_init(
            loop, &ctx->idle); /* cannot fail, nor can the call before (libuv's guide) */
    assert(status == 0);
    wst__turns_init(&ctx->turns, loop);
    ctx->timer.data = ctx->idle.data = ctx->turns.prepare.data = ctx->turns.check.data = ctx;
    ctx->uv_handles = 4;
    ctx->loop = loop;
    ctx->clock = system_clock;
    ctx->boot_clock = find_boot_clock();
    ctx->allocator = *allocator;
    ctx->options = options;
    ctx->options.allocator = &ctx->allocator;
    if (ctx->options.memory_budget == 0)
        ctx->options.memory_budget = wst__budget_default(WST__MEMORY_BUDGET, uv_get_total_memory(),
                                                         uv_get_constrained_memory());
    if (ctx->options.resolver_threads == 0)
        ctx->options.resolver_threads = WST__RESOLVER_THREADS;
    if (ctx->options.resolver_threads > MAX_THREADS)
        ctx->options.resolver_threads = MAX_THREADS;
    ctx->budget.limit = ctx->options.memory_budget;
    ctx->deadlines.changed = rearm_timer;
    ctx->random_used = sizeof(ctx->random);
    wst__pool_init(&ctx->pool, &ctx->allocator);
    wst__list_init(&ctx->deferred);
    wst__list_init(&ctx->paced);
    wst__list_init(&ctx->services);
    wst__list_init(&ctx->corked);
    *out = ctx;
    return 0;
}

static void on_uv_closed(uv_handle_t *handle) {
    wst_ctx_t *ctx = handle->data;
    if (--ctx->uv_handles > 0)
        return;
    if (ctx->close_cb != NULL)
        ctx->close_cb(ctx->options.user_data);
    wst__pool_free(&ctx->pool);
    wst_allocator_t allocator = ctx->allocator;
    wst__free(&allocator, ctx);
}

static void finish_if_unused(wst_ctx_t *ctx) {
    if (!ctx->closing || ctx->handles > 0)
        return;
    wst__list_t *node = wst__list_first(&ctx->services);
    if (node != NULL) {
        wst__service_t *service = WST__CONTAINER(node, wst__service_t, node);
        wst__list_remove(node);
        /* The service may hold the context until its libuv handles are closed; its release calls
         * this again. */
        wst__ctx_hold(ctx);
        service->close(service);
        wst__ctx_release(ctx);
        return;
    }
    assert(wst__list_empty(&ctx->deferred) && wst__list_empty(&ctx->paced) &&
           ctx->deadlines.root == NULL);
    uv_close((uv_handle_t *)&ctx->timer, on_uv_closed);
    uv_close((uv_handle_t *)&ctx->idle, on_uv_closed);
    uv_close((uv_handle_t *)&ctx->turns.prepare, on_uv_closed);
    uv_close((uv_handle_t *)&ctx->turns.check, on_uv_closed);
}

void wst_ctx_close(wst_ctx_t *ctx, wst_close_cb close_cb) {
    if (ctx->closing)
        return;
    ctx->closing = true;
    ctx->close_cb = close_cb;
    finish_if_unused(ctx);
}

void wst__ctx_hold(wst_ctx_t *ctx) {
    ctx->handles++;
}

void wst__ctx_release(wst_ctx_t *ctx) {
    assert(ctx->handles > 0);
    ctx->handles--;
    finish_if_unused(ctx);
}

void wst__ctx_add_service(wst_ctx_t *ctx, wst__service_t *service,
                          void (*close)(wst__service_t *service)) {
    service->close = close;
    wst__list_init(&service->node);
    wst__list_append(&ctx->services, &service->node);
}

wst__service_t *wst__ctx_service(const wst_ctx_t *ctx, void (*close)(wst__service_t *service)) {
    WST__LIST_EACH(wst__service_t, service, &ctx->services, node) {
        if (service->close == close)
            return service;
    }
    return NULL;
}

/* What handles share ------------------------------------------------------------------------- */

uv_loop_t *wst_ctx_loop(const wst_ctx_t *ctx) {
    return ctx->loop;
}

uint64_t wst_ctx_now(const wst_ctx_t *ctx) {
    return wst__now(ctx);
}

const wst_allocator_t *wst_ctx_allocator(const wst_ctx_t *ctx) {
    return &ctx->allocator;
}

int wst_ctx_get_stats(const wst_ctx_t *ctx, wst_ctx_stats_t *stats) {
    const wst_ctx_stats_t now = {.size = sizeof(now),
                                 .budget_limit = ctx->budget.limit,
                                 .budget_used = ctx->budget.used,
                                 .chunks = ctx->pool.live,
                                 .handles = ctx->handles,
                                 .turns = ctx->turns.count,
                                 .turns_over_1ms = ctx->turns.over_1ms,
                                 .turns_over_10ms = ctx->turns.over_10ms,
                                 .turn_max_us = ctx->turns.max_ns / NS_PER_US,
                                 .turn_peak_us = ctx->turns.peak_ns / NS_PER_US,
                                 .names = wst__ctx_names(ctx)};
    return wst__sized_write(stats, &now);
}

void wst_ctx_reset_turn_peak(wst_ctx_t *ctx) {
    ctx->turns.peak_ns = 0;
}

wst_chunk_t *wst_chunk_new(wst_ctx_t *ctx, size_t capacity) {
    return wst__pool_chunk(&ctx->pool, capacity);
}

int wst_slice_copy(wst_slice_t *out, wst_ctx_t *ctx, const void *data, size_t len) {
    return wst__pool_copy(&ctx->pool, out, data, len);
}

int wst__random(wst_ctx_t *ctx, void *buf, size_t len) {
    if (len > sizeof(ctx->random))
        return uv_random(NULL, NULL, buf, len, 0, NULL);
    if (len > sizeof(ctx->random) - ctx->random_used) {
        ctx->random_used = sizeof(ctx->random);
        int status = uv_random(NULL, NULL, ctx->random, sizeof(ctx->random), 0, NULL);
        if (status != 0)
            return status;
        ctx->random_used = 0;
    }
    uint8_t *from = ctx->random + ctx->random_used;
    memcpy(buf, from, len);
    memset(from, 0, len); /* no spent secret stays in memory */
    ctx->random_used += len;
    return 0;
}

/* Writes one character, or the escape of one byte, into `out`. Returns how many bytes it took. */
static size_t escape_one(char out[8], const char *at, size_t len, size_t *used) {
    uint32_t code;
    *used = wst__utf8_get(&code, at, len);
    if (*used == 0) {
        *used = 1;
        return (size_t)snprintf(out, 8, "\\x%02x", (unsigned char)*at);
    }
    if (wst__utf8_is_control(code))
        return (size_t)snprintf(out, 8, "\\u%04x", (unsigned)code);
    memcpy(out, at, *used);
    return *used;
}

size_t wst_log_escape(char *out, size_t size, const char *text, size_t len) {
    size_t n = 0, i = 0;
    while (i < len) {
        size_t left = len - i, room = size - 1 - n, used;
        size_t plain = wst__utf8_plain(text + i, left < room ? left : room);
        memcpy(out + n, text + i, plain);
        n += plain;
        i += plain;
        if (i == len)
            break;
        char piece[8];
        size_t more = escape_one(piece, text + i, len - i, &used);
        if (n + more >= size)
            break;
        memcpy(out + n, piece, more);
        n += more;
        i += used;
    }
    out[n] = '\0';
    return n;
}

void wst_ctx_set_log_level(wst_ctx_t *ctx, wst_log_level_t level) {
    ctx->options.log_level = level;
}

void wst_ctx_log(wst_ctx_t *ctx, wst_log_level_t level, const char *fmt, ...) {
    if (ctx->options.log == NULL || level > ctx->options.log_level)
        return;
    char raw[LINE_SIZE], line[LINE_SIZE];
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(raw, sizeof(raw), fmt, args);
    va_end(args);
    if (len < 0)
        return;
    wst_log_escape(line, sizeof(line), raw, strlen(raw));
    ctx->options.log(level, line, ctx->options.user_data);
}
