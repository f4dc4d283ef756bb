/* SPDX-License-Identifier: MIT */
/*
 * The pump, the only code that copies bytes between streams. It has two directions, each from one
 * side (its source) to the other (its destination).
 *
 * A direction: reading while the destination has room -> ended, once its source has ended and the
 * destination has been asked to shut down -> done, once the destination has shut down. The pump:
 * running -> finished (both directions done, or a failure; both streams are closed, on_done follows
 * from the loop) -> closing -> gone, when the streams' close_cbs have run.
 */
#include "pump.h"

#include "cork.h"
#include "defaults.h"
#include "sized.h"
#include "socket.h"

typedef struct side {
    wst_stream_t *stream;
    uint64_t bytes; /* copied from it to the other side */
    uint32_t max;   /* bytes that it may deliver at a time; 0: paused */
    bool is_b;      /* in wst_pump.sides: a, b */
    bool ended;     /* its on_end has run */
    bool passed;    /* and the other side has been asked to shut down */
    bool shut;      /* its on_shutdown has run */
} side_t;

/* Kept small, since idle tunnels keep it. */
struct wst_pump {
    wst_ctx_t *ctx;
    uint64_t idle_timeout_ms; /* WST__NEVER: none */
    uint64_t half_closed_timeout_ms;
    void (*on_done)(wst_pump_t *pump, int status, void *user_data);
    void *user_data;
    side_t sides[2]; /* a, b */
    int status;
    char first_end, failed_side;
    bool failed : 1;   /* with `status`; nothing is copied any more */
    bool finished : 1; /* both streams have been closed */
    bool closing : 1;
    uint8_t open;      /* streams whose close_cb has not run */
    uint64_t moved_ms; /* the last sign of life of either stream */
    wst__deadline_t deadline;
    wst__defer_t defer; /* settle_pump; then on_done, later the pump's own end */
    wst_close_cb close_cb;
};

static side_t *other(side_t *side) {
    return side->is_b ? side - 1 : side + 1;
}

static wst_pump_t *pump_of(side_t *side) {
    side_t *a = side->is_b ? side - 1 : side;
    return WST__CONTAINER(a, wst_pump_t, sides);
}

static char name_of(const side_t *side) {
    return side->is_b ? 'b' : 'a';
}

/* The end ------------------------------------------------------------------------------------ */

static void pump_gone(wst__defer_t *defer) {
    wst_pump_t *p = WST__CONTAINER(defer, wst_pump_t, defer);
    wst_ctx_t *ctx = p->ctx;
    if (p->close_cb != NULL)
        p->close_cb(p->user_data);
    wst__free(&ctx->allocator, p);
    wst__ctx_release(ctx);
}

static void on_side_closed(void *user_data) {
    wst_pump_t *p = pump_of(user_data);
    p->open--;
    if (p->open == 0 && p->closing)
        wst__defer(p->ctx, &p->defer, pump_gone);
}

static void tell_done(wst__defer_t *defer) {
    wst_pump_t *p = WST__CONTAINER(defer, wst_pump_t, defer);
    if (p->on_done != NULL)
        p->on_done(p, p->status, p->user_data);
}

/* Closes both streams, orderly if the pump has completed its work. */
static void finish_pump(wst_pump_t *p, int status) {
    p->finished = true;
    p->status = status;
    wst__deadline_clear(&p->ctx->deadlines, &p->deadline);
    wst__defer_cancel(&p->defer);
    if (status == 0) {
        wst_stream_close(p->sides[0].stream, on_side_closed);
        wst_stream_close(p->sides[1].stream, on_side_closed);
    } else {
        /* Cut-off data must not look complete: never an orderly end. */
        wst_stream_reset(p->sides[0].stream, wst_reason_of(status), on_side_closed);
        wst_stream_reset(p->sides[1].stream, wst_reason_of(status), on_side_closed);
    }
    wst__defer(p->ctx, &p->defer, tell_done);
}

static void note_end(side_t *side) {
    wst_pump_t *p = pump_of(side);
    if (p->first_end == 0)
        p->first_end = name_of(side);
}

static void settle_pump(wst__defer_t *defer);

/* The pump is finished in this turn or, if many end together, in a later one. */
static void fail_pump(wst_pump_t *p, int error) {
    p->failed = true;
    p->status = error;
    wst__deadline_clear(&p->ctx->deadlines, &p->deadline);
    wst__pace(p->ctx, &p->defer, settle_pump);
}

static void fail_side(side_t *side, int error) {
    wst_pump_t *p = pump_of(side);
    if (p->failed)
        return;
    note_end(side);
    p->failed_side = name_of(side);
    wst_stream_read_stop(other(side)->stream);
    fail_pump(p, error);
}

bool wst__pump_break(wst_pump_t *p, int error) {
    if (p->failed || p->finished)
        return false;
    wst_stream_read_stop(p->sides[0].stream);
    wst_stream_read_stop(p->sides[1].stream);
    fail_pump(p, error);
    return true;
}

/* Timeouts ----------------------------------------------------------------------------------- */

/* The timeout that applies now; WST__NEVER: none. */
static uint64_t current_timeout(const wst_pump_t *p) {
    uint64_t idle = p->idle_timeout_ms, half = p->half_closed_timeout_ms;
    return (p->sides[0].ended || p->sides[1].ended) && half < idle ? half : idle;
}

/* Packets do not move the deadline: when it fires, it checks how long the pump has been silent. */
static void on_pump_deadline(wst__deadline_t *deadline, uint64_t now_ms) {
    wst_pump_t *p = WST__CONTAINER(deadline, wst_pump_t, deadline);
    uint64_t silent = now_ms - p->moved_ms, limit = current_timeout(p);
    if (silent >= limit)
        finish_pump(p, WST_EIDLE);
    else if (limit != WST__NEVER)
        wst__deadline_in(p->ctx, deadline, limit - silent, on_pump_deadline);
}

/* The timeout that applies has changed; restarts it. */
static void restart_timeout(wst_pump_t *p) {
    uint64_t limit = current_timeout(p);
    if (limit != WST__NEVER)
        wst__deadline_in(p->ctx, &p->deadline, limit, on_pump_deadline);
}

/* The two directions ------------------------------------------------------------------------- */

/* Lets `from` deliver as much as the other side has room for; nothing while `wait`. */
static void adjust_reading(side_t *from, bool wait) {
    size_t room = wait ? 0 : wst_stream_room(other(from)->stream);
    uint32_t max = room < WST__PIECE_MAX ? (uint32_t)room : (uint32_t)WST__PIECE_MAX;
    if (max == from->max)
        return;
    from->max = max;
    if (max > 0)
        wst_stream_read_start(from->stream, max);
    else
        wst_stream_read_stop(from->stream);
}

static void on_pump_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    side_t *from = user_data;
    wst_pump_t *p = pump_of(from);
    (void)stream;
    if (p->failed)
        return;
    p->moved_ms = wst__now(p->ctx);
    data = wst_slice_ref(data);
    int rc = wst_stream_write(other(from)->stream, &data, 1);
    if (rc < 0) {
        fail_side(other(from), rc);
        return;
    }
    from->bytes += data.len;
    adjust_reading(from, rc == WST_WAIT);
}

static void on_pump_drain(wst_stream_t *stream, void *user_data) {
    side_t *from = other(user_data);
    wst_pump_t *p = pump_of(from);
    (void)stream;
    if (p->failed)
        return;
    p->moved_ms = wst__now(p->ctx);
    adjust_reading(from, false);
}

static void on_pump_end(wst_stream_t *stream, void *user_data) {
    side_t *from = user_data;
    wst_pump_t *p = pump_of(from);
    (void)stream;
    p->moved_ms = wst__now(p->ctx);
    from->ended = true;
    note_end(from);
    wst__pace(p->ctx, &p->defer, settle_pump);
}

static void on_pump_shutdown(wst_stream_t *stream, void *user_data) {
    side_t *side = user_data;
    wst_pump_t *p = pump_of(side);
    (void)stream;
    p->moved_ms = wst__now(p->ctx);
    side->shut = true;
    if (other(side)->shut)
        wst__pace(p->ctx, &p->defer, settle_pump);
}

static void pass_end(side_t *from) {
    wst_pump_t *p = pump_of(from);
    if (!from->ended || from->passed || p->failed)
        return;
    from->passed = true;
    int rc = wst_stream_shutdown(other(from)->stream);
    if (rc < 0)
        fail_side(other(from), rc);
    else
        restart_timeout(p);
}

/* Does what the ends and the error noted call for. */
static void settle_pump(wst__defer_t *defer) {
    wst_pump_t *p = WST__CONTAINER(defer, wst_pump_t, defer);
    if (p->failed || (p->sides[0].shut && p->sides[1].shut)) {
        finish_pump(p, p->status);
        return;
    }
    pass_end(&p->sides[0]);
    pass_end(&p->sides[1]);
}

static void on_pump_error(wst_stream_t *stream, int error, void *user_data) {
    (void)stream;
    fail_side(user_data, error);
}

static const wst_stream_callbacks_t callbacks = {
    sizeof(callbacks), on_pump_read, on_pump_end, on_pump_drain, on_pump_shutdown, on_pump_error};

/* Interface ---------------------------------------------------------------------------------- */

int wst_pump_new(wst_pump_t **out, wst_ctx_t *ctx, wst_stream_t *a, wst_stream_t *b,
                 const wst_pump_options_t *given) {
    wst_pump_options_t options;
    if (wst__sized_read(&options, sizeof(options), given) != 0)
        return WST_EINVAL;
    wst_pump_t *p = wst__zalloc(&ctx->allocator, sizeof(*p));
    if (p == NULL)
        return WST_ENOMEM;
    p->ctx = ctx;
    p->idle_timeout_ms = options.idle_timeout_ms != 0 ? options.idle_timeout_ms : WST__NEVER;
    p->half_closed_timeout_ms = options.half_closed_timeout_ms != 0
                                    ? options.half_closed_timeout_ms
                                    : (uint64_t)WST__HALF_CLOSED_TIMEOUT_MS;
    p->on_done = options.on_done;
    p->user_data = options.user_data;
    p->sides[0] = (side_t){.stream = a};
    p->sides[1] = (side_t){.stream = b, .is_b = true};
    p->open = 2;
    p->moved_ms = wst__now(ctx);
    wst__defer_init(&p->defer);
    wst__ctx_hold(ctx);
    wst_stream_set_callbacks(a, &callbacks, &p->sides[0]);
    wst_stream_set_callbacks(b, &callbacks, &p->sides[1]);
    wst__socket_look_for_end(a);
    wst__socket_look_for_end(b);
    adjust_reading(&p->sides[0], false);
    adjust_reading(&p->sides[1], false);
    restart_timeout(p);
    *out = p;
    return 0;
}

int wst_pump_get_stats(const wst_pump_t *p, wst_pump_stats_t *stats) {
    const wst_pump_stats_t now = {.size = sizeof(now),
                                  .bytes_a_to_b = p->sides[0].bytes,
                                  .bytes_b_to_a = p->sides[1].bytes,
                                  .first_end = p->first_end,
                                  .failed_side = p->failed_side};
    return wst__sized_write(stats, &now);
}

void wst_pump_close(wst_pump_t *p, wst_close_cb close_cb) {
    if (p->closing)
        return;
    if (!p->finished)
        finish_pump(p, WST_ECANCELLED);
    p->closing = true;
    p->close_cb = close_cb;
    wst__defer_cancel(&p->defer);
    if (p->open == 0)
        wst__defer(p->ctx, &p->defer, pump_gone);
}
