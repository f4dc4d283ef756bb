/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_CTX_H
#define WST_LIB_CTX_H
/* The inside of a context, for the layers above the sans-IO line. */
#include "budget.h"
#include "deadline.h"
#include "http_date.h"
#include "list.h"
#include "mem.h"
#include "pool.h"
#include "turns.h"

#include <uv.h>
#include <wstunnel/ctx.h>
#include <wstunnel/error.h>

struct wst_ctx {
    wst_allocator_t allocator;
    wst__pool_t pool;
    wst__budget_t budget;
    wst__deadlines_t deadlines; /* on uv_now() of the loop; use wst__deadline_in() */
    uv_loop_t *loop;
    uv_timer_t timer; /* for the earliest deadline */
    uv_idle_t idle;   /* active while callbacks are deferred */
    wst__turns_t turns;
    wst__list_t deferred; /* wst__defer_t */
    wst__list_t paced;    /* wst__defer_t */
    uint64_t paced_turn;  /* of turns.count: in which ... */
    size_t paced_count;   /* ... so many have run */
    wst__list_t services; /* wst__service_t */
    wst__list_t corked;   /* wst__corked_t */
    unsigned corks;       /* see cork.h */
    size_t handles;       /* handles and requests that are not gone yet */
    size_t uv_handles;    /* timer, idle, and the two of turns */
    uint8_t random[1024]; /* from the system; the bytes before random_used are spent */
    size_t random_used;
    uint64_t serial;              /* the last one given */
    int64_t (*clock)(void);       /* seconds since 1970; NULL: there is none */
    uint64_t (*boot_clock)(void); /* milliseconds, also those of a sleep; NULL: there is none */
    wst_ctx_options_t options;
    wst_close_cb close_cb;
    bool closing;
};

typedef struct wst__corked wst__corked_t;

/* A callback deferred to the loop's next turn; embedded in its object. */
typedef struct wst__defer wst__defer_t;
struct wst__defer {
    wst__list_t node;
    void (*cb)(wst__defer_t *defer);
};

void wst__defer_init(wst__defer_t *defer);

/* Runs `cb` from the loop, once; replaces the callback of a `defer` that is waiting. */
void wst__defer(wst_ctx_t *ctx, wst__defer_t *defer, void (*cb)(wst__defer_t *defer));
void wst__defer_cancel(wst__defer_t *defer);

/*
 * For work that is small, but comes in crowds, such as the ends of connections: runs `cb` right now
 * if less than WST__PACE such callbacks have run in this turn of the loop, or else in a later turn,
 * WST__PACE in each. So a crowd holds nothing else up for longer than these take. A `defer` that
 * waits keeps its place. wst__defer_cancel cancels it.
 */
enum { WST__PACE = 16 };
void wst__pace(wst_ctx_t *ctx, wst__defer_t *defer, void (*cb)(wst__defer_t *defer));

/* The loop's time in milliseconds. */
static inline uint64_t wst__now(const wst_ctx_t *ctx) {
    return uv_now(ctx->loop);
}

/* The time right now in microseconds, on the same clock: for measuring. */
static inline uint64_t wst__now_us(void) {
    return uv_hrtime() / 1000;
}

/* Sets a deadline `delay_ms` from now; one beyond the range of the clock never comes. */
static inline void wst__deadline_in(wst_ctx_t *ctx, wst__deadline_t *d, uint64_t delay_ms,
                                    wst__deadline_cb cb) {
    uint64_t now = wst__now(ctx);
    wst__deadline_set(&ctx->deadlines, d, delay_ms < WST__NEVER - now ? now + delay_ms : WST__NEVER,
                      cb);
}

/* The date for messages made now. False, and "": there is no clock, or it is wrong; then they bear
 * none (RFC 9110 section 6.6.1). */
bool wst__date(const wst_ctx_t *ctx, char out[WST__HTTP_DATE]);

/* A number that the context has not given before. */
static inline uint64_t wst__serial(wst_ctx_t *ctx) {
    return ++ctx->serial;
}

/* Unpredictable bytes. 0 or libuv's error. */
int wst__random(wst_ctx_t *ctx, void *buf, size_t len);

/* Counts a handle or request in and out: the context stays until all are gone. */
void wst__ctx_hold(wst_ctx_t *ctx);
void wst__ctx_release(wst_ctx_t *ctx);

/*
 * A part of the library that a context keeps (the resolver): made at its first use, embedded in
 * that part's struct, and found by its function `close`. `close` runs when all handles and requests
 * of the context are gone. It may hold the context until the service's own libuv handles are
 * closed.
 */
typedef struct wst__service wst__service_t;
struct wst__service {
    wst__list_t node;
    void (*close)(wst__service_t *service);
};

void wst__ctx_add_service(wst_ctx_t *ctx, wst__service_t *service,
                          void (*close)(wst__service_t *service));

/* The names that the context's resolver looks up now. */
size_t wst__ctx_names(const wst_ctx_t *ctx);

/* The service of a context with that `close`, or NULL. */
wst__service_t *wst__ctx_service(const wst_ctx_t *ctx, void (*close)(wst__service_t *service));

#endif
