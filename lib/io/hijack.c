/* SPDX-License-Identifier: MIT */
/*
 * Takes over an HTTP connection. A hijack is
 *
 *   reading    a head, by a deadline; faults in it are answered here
 *   asked      on_request has run; no bytes are read unless watched; no deadline
 *   taken      the connection belongs to another owner
 *   finishing  the last answer is written: linger.h has the connection
 *   ended      on_done has run or is about to; the connection waits to be closed
 *   closing    only close_cb follows
 *
 * A head in one piece is parsed in place; a head in several is gathered. Either way the bytes
 * behind it are a part of the last piece and never copied.
 */
#include "hijack.h"

#include "ctx.h"
#include "defaults.h"
#include "early.h"
#include "hijack_answer.h"
#include "linger.h"
#include "sized.h"
#include "stream.h"

#include <assert.h>
#include <string.h>

enum { GATHER_MIN = 512 };

typedef enum state { READING, ASKED, TAKEN, FINISHING, ENDED, CLOSING } state_t;

struct wst_hijack {
    wst_ctx_t *ctx;
    wst_stream_t *stream; /* NULL once taken or gone */
    wst_hijack_options_t options;
    wst_http_limits_t limits;                                                       /* complete */
    wst_str_t (*on_stranger)(wst_hijack_t *hijack, uint8_t first, void *user_data); /* or NULL */
    state_t state;
    int status; /* finishing, ended: for on_done */

    wst_http_head_t head;
    size_t head_len;       /* of its text */
    size_t scanned;        /* see wst_http_parse_request */
    char *gathered;        /* a head in several pieces, `len` bytes so far */
    size_t len, cap;       /* cap is at most limits.head_max */
    wst__budget_t *budget; /* in which `cap` counts; NULL: none */
    wst_slice_t input;     /* holds the head, or its last piece */
    wst_slice_t rest;      /* the part of it behind the head */
    wst__early_t early;    /* watched: bytes received later */

    bool read_all; /* the client has ended, or further bytes do not matter */
    wst__linger_t linger;

    wst__deadline_t deadline;
    wst__defer_t defer; /* on_done, or the hijack's own end */
    wst_close_cb close_cb;
};

/* The end ------------------------------------------------------------------------------------ */

static void tell_done(wst__defer_t *defer) {
    wst_hijack_t *h = WST__CONTAINER(defer, wst_hijack_t, defer);
    h->options.on_done(h, h->status, h->options.user_data);
}

static void end_hijack(wst_hijack_t *h, int status) {
    h->state = ENDED;
    h->status = status;
    wst__deadline_clear(&h->ctx->deadlines, &h->deadline);
    wst_stream_read_stop(h->stream);
    wst__defer(h->ctx, &h->defer, tell_done);
}

static void forget_head(wst_hijack_t *h) {
    wst_slice_unref(h->input);
    wst__early_free(&h->early);
    h->input = h->rest = (wst_slice_t){0};
    wst__free(&h->ctx->allocator, h->gathered);
    if (h->budget != NULL && h->cap > 0)
        wst__budget_release(h->budget, h->cap);
    h->gathered = NULL;
    h->len = h->cap = h->scanned = 0;
}

static void on_lingered(wst__linger_t *linger, int error) {
    wst_hijack_t *h = WST__CONTAINER(linger, wst_hijack_t, linger);
    end_hijack(h, error != 0 ? error : h->status);
}

static void finish_hijack(wst_hijack_t *h, int status) {
    h->state = FINISHING;
    h->status = status;
    forget_head(h);
    wst__deadline_clear(&h->ctx->deadlines, &h->deadline);
    int rc = wst__linger_start(&h->linger, h->ctx, h->stream, h->read_all, on_lingered);
    if (rc < 0)
        end_hijack(h, rc);
}

/* Reading a head ----------------------------------------------------------------------------- */

/* Answers a faulty head and finishes. */
static void refuse_bad_head(wst_hijack_t *h, int error) {
    wst_slice_t answer;
    int rc = wst__answer_refusal(&answer, h->ctx, error, h->head.error, h->options.fields);
    if (rc == 0)
        rc = wst_stream_write(h->stream, &answer, 1);
    if (rc < 0)
        end_hijack(h, rc);
    else
        finish_hijack(h, error);
}

static void on_head_deadline(wst__deadline_t *deadline, uint64_t now_ms) {
    wst_hijack_t *h = WST__CONTAINER(deadline, wst_hijack_t, deadline);
    (void)now_ms;
    if (h->len > 0)
        refuse_bad_head(h, WST_ETIMEOUT);
    else /* browsers connect ahead of need: no answer */
        finish_hijack(h, WST_ETIMEOUT);
}

static void await_head(wst_hijack_t *h) {
    h->state = READING;
    forget_head(h);
    wst__deadline_in(h->ctx, &h->deadline, h->options.head_timeout_ms, on_head_deadline);
}

/* Makes room for a head of `len` bytes. 0, WST_EMEMORY or WST_ENOMEM. */
static int make_room(wst_hijack_t *h, size_t len) {
    size_t max = h->limits.head_max, cap = h->cap < GATHER_MIN ? GATHER_MIN : 2 * h->cap;
    cap = cap > max ? max : cap;
    cap = cap < len ? len : cap;
    size_t more = cap - h->cap;
    if (h->budget != NULL && !wst__budget_reserve(h->budget, more))
        return WST_EMEMORY;
    char *moved = wst__realloc_array(&h->ctx->allocator, h->gathered, cap, 1);
    if (moved == NULL) {
        if (h->budget != NULL)
            wst__budget_release(h->budget, more);
        return WST_ENOMEM;
    }
    h->gathered = moved;
    h->cap = cap;
    return 0;
}

/* Copies the data, as far as the bound on heads allows. 0, WST_EMEMORY or WST_ENOMEM. */
static int gather_head(wst_hijack_t *h, wst_slice_t data) {
    size_t max = h->limits.head_max;
    size_t n = data.len < max - h->len ? data.len : max - h->len;
    int status = h->len + n > h->cap ? make_room(h, h->len + n) : 0;
    if (status != 0)
        return status;
    memcpy(h->gathered + h->len, data.data, n);
    h->len += n;
    return 0;
}

/* Looks for the head's end. As wst_http_parse_request; also WST_ENOMEM, WST_EMEMORY. */
static int find_head_end(wst_hijack_t *h, wst_slice_t data) {
    const wst_http_limits_t *limits = &h->limits;
    int rc = 0;
    if (h->len == 0) {
        rc = wst_http_parse_request(&h->head, (const char *)data.data, data.len, &h->scanned,
                                    limits);
        return rc != 0 ? rc : gather_head(h, data);
    }
    rc = gather_head(h, data);
    return rc < 0 ? rc : wst_http_parse_request(&h->head, h->gathered, h->len, &h->scanned, limits);
}

/* Whether it is another protocol, which no method's name could be, and has been answered so. */
static bool refuse_stranger(wst_hijack_t *h, uint8_t first) {
    if (first >= ' ' || first == '\r' || first == '\n' || h->on_stranger == NULL)
        return false;
    wst_str_t text = h->on_stranger(h, first, h->options.user_data);
    if (text.len == 0)
        return false;
    const wst_slice_t answer = wst_slice_static(text.ptr, text.len);
    int rc = wst_stream_write(h->stream, &answer, 1);
    if (rc < 0)
        end_hijack(h, rc);
    else
        finish_hijack(h, WST_EHTTP);
    return true;
}

static void read_head(wst_hijack_t *h, wst_slice_t data) {
    size_t before = h->len;
    if (before == 0 && refuse_stranger(h, data.data[0]))
        return;
    int rc = find_head_end(h, data);
    if (rc == 0)
        return;
    if (rc == WST_ENOMEM || rc == WST_EMEMORY) {
        end_hijack(h, rc);
        return;
    }
    if (rc < 0) {
        refuse_bad_head(h, rc);
        return;
    }
    size_t used = (size_t)rc - before;
    assert((size_t)rc > before && used <= data.len);
    h->head_len = (size_t)rc;
    h->input = wst_slice_ref(data);
    h->rest = (wst_slice_t){data.chunk, data.data + used, data.len - used};
    h->state = ASKED;
    wst__deadline_clear(&h->ctx->deadlines, &h->deadline);
    wst_stream_read_stop(h->stream);
    h->options.on_request(h, &h->head, h->options.user_data);
}

/* Waiting for the answer --------------------------------------------------------------------- */

static bool nothing_behind_head(const wst_hijack_t *h) {
    return h->rest.len == 0 && h->early.kept.len == 0;
}

void wst__hijack_watch(wst_hijack_t *h) {
    if (h->state == ASKED)
        wst_stream_read_start(h->stream, WST__EARLY_MAX);
}

/* The stream --------------------------------------------------------------------------------- */

static void on_hijack_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    wst_hijack_t *h = user_data;
    if (h->state == READING) {
        read_head(h, data);
        return;
    }
    int rc = wst__early_keep(&h->early, stream, data);
    if (rc < 0)
        end_hijack(h, rc);
}

static void on_hijack_end(wst_stream_t *stream, void *user_data) {
    wst_hijack_t *h = user_data;
    (void)stream;
    h->read_all = true;
    if (h->state == ASKED) {
        if (nothing_behind_head(h))
            end_hijack(h, 0);
    } else if (h->len == 0) {
        finish_hijack(h, 0);
    } else {
        h->head.error = "incomplete head";
        refuse_bad_head(h, WST_EHTTP);
    }
}

/* An answer on a kept connection had to wait until it was written. */
static void on_hijack_drain(wst_stream_t *stream, void *user_data) {
    wst_hijack_t *h = user_data;
    if (h->state == READING)
        wst_stream_read_start(stream, h->limits.head_max);
}

static void on_hijack_error(wst_stream_t *stream, int error, void *user_data) {
    wst_hijack_t *h = user_data;
    (void)stream;
    if (h->state != ENDED)
        end_hijack(h, error);
}

static const wst_stream_callbacks_t callbacks = {.size = sizeof(callbacks),
                                                 .on_read = on_hijack_read,
                                                 .on_end = on_hijack_end,
                                                 .on_drain = on_hijack_drain,
                                                 .on_error = on_hijack_error};

/* Interface ---------------------------------------------------------------------------------- */

int wst_hijack_new(wst_hijack_t **out, wst_ctx_t *ctx, wst_stream_t *connection,
                   const wst_hijack_options_t *given) {
    wst_hijack_options_t options;
    wst_http_limits_t limits;
    if (wst__sized_read(&options, sizeof(options), given) != 0 ||
        wst__sized_read(&limits, sizeof(limits), options.limits) != 0 ||
        options.on_request == NULL || options.on_done == NULL)
        return WST_EINVAL;
    wst_hijack_t *h = wst__zalloc(&ctx->allocator, sizeof(*h));
    if (h == NULL)
        return WST_ENOMEM;
    h->ctx = ctx;
    h->stream = connection;
    h->options = options;
    h->limits = limits;
    if (h->limits.head_max == 0)
        h->limits.head_max = WST__HEAD_MAX;
    if (h->options.head_timeout_ms == 0)
        h->options.head_timeout_ms = WST__STEP_TIMEOUT_MS;
    wst__defer_init(&h->defer);
    wst__ctx_hold(ctx);
    wst_stream_set_callbacks(connection, &callbacks, h);
    await_head(h);
    wst_stream_read_start(connection, h->limits.head_max);
    *out = h;
    return 0;
}

void wst__hijack_set_stranger(wst_hijack_t *h,
                              wst_str_t (*on_stranger)(wst_hijack_t *hijack, uint8_t first,
                                                       void *user_data)) {
    h->on_stranger = on_stranger;
}

void wst__hijack_set_budget(wst_hijack_t *h, wst__budget_t *budget) {
    assert(h->cap == 0);
    h->budget = budget;
}

const wst_http_head_t *wst_hijack_request(const wst_hijack_t *h) {
    return h->state == ASKED ? &h->head : NULL;
}

wst_str_t wst__hijack_head_text(const wst_hijack_t *h) {
    assert(h->state == ASKED);
    const char *text = h->len > 0 ? h->gathered : (const char *)h->input.data;
    return (wst_str_t){text, h->head_len};
}

int wst_hijack_take(wst_hijack_t *h, wst_stream_t **connection) {
    if (h->state != ASKED)
        return WST_ESTATE;
    wst_stream_read_stop(h->stream);
    int rc = wst__early_put_back(&h->early, h->stream);
    if (rc < 0)
        return rc;
    if (h->rest.len > 0) {
        rc = wst_stream_unread(h->stream, wst_slice_ref(h->rest));
        if (rc < 0)
            return rc;
    }
    wst_stream_set_callbacks(h->stream, NULL, NULL);
    *connection = h->stream;
    h->stream = NULL;
    h->state = TAKEN;
    return 0;
}

void wst__hijack_return(wst_hijack_t *h, wst_stream_t *connection, wst__return_t how) {
    if (h->state != TAKEN) {
        wst_stream_close(connection, NULL);
        return;
    }
    h->stream = connection;
    h->rest = (wst_slice_t){0}; /* it was put back into the connection */
    wst_stream_set_callbacks(connection, &callbacks, h);
    wst_stream_read_stop(connection);
    switch (how) {
    case WST__RETURN_UNANSWERED:
        h->state = ASKED;
        break;
    case WST__RETURN_NEXT:
        await_head(h);
        wst_stream_read_start(connection, h->limits.head_max);
        break;
    case WST__RETURN_FINISHED:
        finish_hijack(h, 0);
        break;
    }
}

bool wst__hijack_retire(wst_hijack_t *h) {
    if (h->state != READING || h->len > 0)
        return false;
    wst_stream_read_stop(h->stream);
    h->read_all = true;
    finish_hijack(h, 0);
    return true;
}

/* Whether another request may follow: only a new head can come behind this one. */
static bool may_persist(const wst_hijack_t *h) {
    return h->head.keep_alive && nothing_behind_head(h) && !h->read_all && !h->head.chunked &&
           h->head.content_length <= 0;
}

int wst_hijack_respond(wst_hijack_t *h, const wst_response_t *given) {
    wst_response_t response;
    if (h->state != ASKED)
        return WST_ESTATE;
    if (wst__sized_read(&response, sizeof(response), given) != 0)
        return WST_EINVAL;
    bool keep_alive = response.keep_alive && may_persist(h);
    wst_slice_t answer;
    int rc = wst__answer(&answer, h->ctx, &h->head, &response, h->options.fields, keep_alive);
    if (rc < 0)
        return rc;
    wst_stream_read_stop(h->stream);
    rc = wst_stream_write(h->stream, &answer, 1);
    if (rc < 0) {
        end_hijack(h, rc); /* on_done tells */
    } else if (!keep_alive) {
        finish_hijack(h, 0);
    } else {
        await_head(h);
        if (rc != WST_WAIT)
            wst_stream_read_start(h->stream, h->limits.head_max);
    }
    return 0;
}

const wst_stream_t *wst_hijack_connection(const wst_hijack_t *h) {
    return h->stream;
}

int wst__hijack_set_peer(wst_hijack_t *h, const char *peer) {
    return wst__stream_set_peer(h->stream, peer);
}

static void hijack_gone(wst_hijack_t *h) {
    wst_ctx_t *ctx = h->ctx;
    if (h->close_cb != NULL)
        h->close_cb(h->options.user_data);
    forget_head(h);
    wst__free(&ctx->allocator, h);
    wst__ctx_release(ctx);
}

static void gone_later(wst__defer_t *defer) {
    hijack_gone(WST__CONTAINER(defer, wst_hijack_t, defer));
}

static void on_hijack_stream_closed(void *user_data) {
    wst_hijack_t *h = user_data;
    h->stream = NULL;
    hijack_gone(h);
}

void wst_hijack_close(wst_hijack_t *h, wst_close_cb close_cb) {
    if (h->state == CLOSING)
        return;
    h->state = CLOSING;
    h->close_cb = close_cb;
    wst__deadline_clear(&h->ctx->deadlines, &h->deadline);
    wst__defer_cancel(&h->defer);
    wst__linger_stop(&h->linger);
    if (h->stream != NULL) {
        wst_stream_set_callbacks(h->stream, NULL, h);
        wst_stream_close(h->stream, on_hijack_stream_closed);
    } else {
        wst__defer(h->ctx, &h->defer, gone_later);
    }
}
