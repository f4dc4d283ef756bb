/* SPDX-License-Identifier: MIT */
/* A WebSocket and its greeting (carrier.h). */
#include "carrier.h"
#include "cork.h"
#include "defaults.h"
#include "websocket.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum {
    MAGIC = 0x57534341,
    UNSENT_LEAST = 131072, /* bounds of the bytes not yet sent that the kernel keeps */
    UNSENT_MOST = 4194304,
    /* Between them: what goes out in this time and in a part of the least round trip. We may be
     * late to add more, and BBR does not find the rate of a long path if it runs out of bytes. */
    UNSENT_US = 4000,
    UNSENT_PART = 8,
    TURN_MESSAGES =
        512, /* sent in a turn of the loop: short ones cost time, whatever their bytes */
    TURN_BYTES_PACED = 4096, /* received in a turn while short messages are expected */
    ANSWERS = 4              /* sent at most before the next message is received */
};

const char *const wst__carrier_protocols[] = {"wstunnel.v1.bin", "wstunnel.v1.json", NULL};
const char *const wst__carrier_protocols_json[] = {"wstunnel.v1.json", NULL};

typedef enum state {
    OPENING,
    GREETING,
    RUNNING,
    ENDING, /* the closing handshake runs; no more messages are moved */
    OVER    /* on_over has run */
} state_t;

struct wst__carrier {
    uint32_t magic;
    state_t state;
    wst_ctx_t *ctx;
    const wst__carrier_callbacks_t *callbacks; /* NULL: no owner */
    void *owner;
    wst__greeting_t greeting;
    uint64_t hello_timeout_ms;
    wst__deadline_t late; /* deadline of the peer's hello */
    wst_websocket_t *websocket;
    wst__defer_t defer;   /* pull */
    size_t unsent_max;    /* as set */
    uint32_t retransmits; /* as of the last wst__carrier_has_lost */
    int error;            /* what broke the carrier, or 0 */
    char detail[160];
    bool closing;
    wst_close_cb close_cb;
    void *close_data;
};

static wst__carrier_t *checked_carrier(void *user_data) {
    wst__carrier_t *c = user_data;
    assert(c->magic == MAGIC);
    return c;
}

/* Whether neither side has ended the carrier. */
static bool is_alive(const wst__carrier_t *c) {
    return c->state < ENDING && !c->closing;
}

/* Stops moving messages. */
static void stop(wst__carrier_t *c, state_t state) {
    c->state = state;
    wst__defer_cancel(&c->defer);
    wst__deadline_clear(&c->ctx->deadlines, &c->late);
}

static void over(wst__carrier_t *c, int error, const char *detail) {
    if (c->state == OVER || c->closing)
        return;
    stop(c, OVER);
    if (c->callbacks != NULL)
        c->callbacks->on_over(c, error, detail, c->owner);
}

void wst__carrier_fail(wst__carrier_t *c, int error, const char *detail) {
    if (!is_alive(c))
        return;
    stop(c, ENDING);
    c->error = error;
    snprintf(c->detail, sizeof(c->detail), "%s", detail);
    if (c->callbacks != NULL)
        c->callbacks->on_broken(c, error, c->detail, c->owner);
    if (!c->closing)
        wst_websocket_end(c->websocket, wst__websocket_code_of(error), c->detail);
}

/* Messages out ------------------------------------------------------------------------------- */

static int next(wst__carrier_t *c, wst__outgoing_t *out) {
    if (!c->greeting.said)
        return wst__greeting_next(&c->greeting, out);
    bool greeted = c->greeting.heard && c->callbacks != NULL;
    return greeted ? c->callbacks->next(c, out, c->owner) : 0;
}

/* Moves messages into the WebSocket's output until it holds `limit` bytes or `most` messages have
 * been moved (1), or no message is left (0); or returns an error. */
static int fill(wst__carrier_t *c, size_t limit, size_t most) {
    for (size_t i = 0; i < most && wst__websocket_queued(c->websocket) < limit; i++) {
        wst__outgoing_t out;
        int status = next(c, &out);
        if (status <= 0)
            return status;
        status = wst__websocket_queue(c->websocket, out.text, out.head, out.head_len, out.payload);
        if (status != 0)
            return status;
    }
    return 1;
}

static size_t batch_of(const wst__carrier_t *c) {
    size_t most = wst__websocket_turn_max(c->websocket);
    return most > 0 && most < WST__BATCH_MAX ? most : (size_t)WST__BATCH_MAX;
}

/* After fill, whose result is `status`. A message that found no memory is lost, so the carrier is,
 * too. */
static void flush(wst__carrier_t *c, int status) {
    int written = 0;
    if (status >= 0)
        written = wst__websocket_flush(c->websocket);
    if (status > 0 && written == 0)
        wst__carrier_wake(c);
    if (written < 0)
        over(c, written, wst_strerror(written));
    else if (status < 0 && status != WST_ESTATE) /* ESTATE: closing, on_over follows */
        wst__carrier_fail(c, status, wst_strerror(status));
}

/* A batch in each turn of the loop. */
static void pull(wst__defer_t *defer) {
    wst__carrier_t *c = WST__CONTAINER(defer, wst__carrier_t, defer);
    flush(c, fill(c, batch_of(c), TURN_MESSAGES));
}

void wst__carrier_name_session(wst__carrier_t *c, const wst_hello_t *session) {
    wst__greeting_name_session(&c->greeting, session);
    wst__carrier_wake(c);
}

void wst__carrier_wake(wst__carrier_t *c) {
    if (is_alive(c) && c->state >= GREETING)
        wst__defer(c->ctx, &c->defer, pull);
}

/* Messages in -------------------------------------------------------------------------------- */

static void on_late(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    /* A dead peer would not answer a close frame either. */
    over(WST__CONTAINER(deadline, wst__carrier_t, late), WST_ETIMEOUT, "no hello in time");
}

static void begin_greeting(wst__carrier_t *c, wst_encoding_t encoding) {
    int status = wst__greeting_begin(&c->greeting, encoding);
    if (status != 0) {
        wst__carrier_fail(c, status, wst_strerror(status));
        return;
    }
    c->state = GREETING;
    wst__deadline_in(c->ctx, &c->late, c->hello_timeout_ms, on_late);
    wst__carrier_wake(c);
}

static void greet(wst__carrier_t *c, bool text, wst_slice_t piece, bool fin) {
    int status = wst__greeting_recv(&c->greeting, text, piece, fin);
    if (status < 0)
        wst__carrier_fail(c, status, c->greeting.detail);
    if (status <= 0)
        return;
    c->state = RUNNING;
    wst__greeting_end(&c->greeting);
    wst__deadline_clear(&c->ctx->deadlines, &c->late);
    if (c->callbacks != NULL)
        c->callbacks->on_greeted(c, c->owner);
    wst__greeting_forget_secret(&c->greeting);
}

static void receive(wst__carrier_t *c, bool text, wst_slice_t piece, bool fin) {
    /* Queue what is ready before reading more. What the owner adds later (pongs, refusals) then
     * waits for a peer that does not read, not for the end of this turn. */
    bool waits = !wst__list_empty(&c->defer.node);
    int status = text && waits ? fill(c, batch_of(c), ANSWERS) : 0;
    if (status < 0 || (status > 0 && wst__websocket_queued(c->websocket) >= batch_of(c)))
        flush(c, status);
    if (!is_alive(c))
        return;
    if (c->state == GREETING)
        greet(c, text, piece, fin);
    else if (c->callbacks != NULL)
        c->callbacks->on_message(c, text, piece, fin, c->owner);
}

/* The WebSocket ------------------------------------------------------------------------------ */

/* TCP_NOTSENT_LOWAT. */
static void set_unsent_max(wst__carrier_t *c, size_t bytes) {
    c->unsent_max = bytes;
    wst__websocket_set_notsent_lowat(c->websocket, bytes);
}

static void on_websocket_open(wst_websocket_t *ws, const char *protocol, void *user_data) {
    wst__carrier_t *c = checked_carrier(user_data);
    bool json = strcmp(protocol, wst__carrier_protocols[1]) == 0;
    if (!json && strcmp(protocol, wst__carrier_protocols[0]) != 0) {
        wst__carrier_fail(c, WST_EHANDSHAKE, "the server speaks none of our subprotocols");
        return;
    }
    set_unsent_max(c, UNSENT_LEAST);
    wst__websocket_ack_at_once(ws);
    begin_greeting(c, json ? WST_ENCODING_JSON : WST_ENCODING_BINARY);
}

static void on_websocket_message(wst_websocket_t *ws, bool text, wst_slice_t piece, bool fin,
                                 void *user_data) {
    (void)ws;
    wst__carrier_t *c = checked_carrier(user_data);
    if (is_alive(c))
        receive(c, text, piece, fin);
}

static void on_websocket_drain(wst_websocket_t *ws, void *user_data) {
    (void)ws;
    wst__carrier_t *c = checked_carrier(user_data);
    if (is_alive(c))
        pull(&c->defer);
}

static void on_websocket_over(wst_websocket_t *ws, int error, const char *detail, void *user_data) {
    (void)ws;
    wst__carrier_t *c = checked_carrier(user_data);
    if (c->error != 0)
        over(c, c->error, c->detail);
    else
        over(c, error, detail);
}

static void free_carrier(wst__carrier_t *c) {
    wst_ctx_t *ctx = c->ctx;
    wst__greeting_end(&c->greeting);
    c->magic = 0;
    wst__free(&ctx->allocator, c);
}

static void on_carrier_websocket_closed(void *user_data) {
    wst__carrier_t *c = checked_carrier(user_data);
    wst_close_cb close_cb = c->close_cb;
    void *close_data = c->close_data;
    free_carrier(c);
    if (close_cb != NULL)
        close_cb(close_data);
}

static int new_carrier(wst__carrier_t **out, wst_ctx_t *ctx,
                       const wst__carrier_options_t *options) {
    wst__carrier_t *c = wst__zalloc(&ctx->allocator, sizeof(*c));
    if (c == NULL)
        return WST_ENOMEM;
    c->magic = MAGIC;
    c->ctx = ctx;
    c->callbacks = options->callbacks;
    c->owner = options->owner;
    c->hello_timeout_ms =
        options->hello_timeout_ms != 0 ? options->hello_timeout_ms : WST__STEP_TIMEOUT_MS;
    wst__defer_init(&c->defer);
    int status = wst__greeting_init(&c->greeting, &ctx->pool, &options->hello);
    if (options->holds_hello)
        wst__greeting_hold(&c->greeting);
    if (status != 0)
        free_carrier(c);
    else
        *out = c;
    return status;
}

static wst_websocket_options_t options_of(wst__carrier_t *c,
                                          const wst_websocket_options_t *websocket) {
    static const wst_websocket_callbacks_t websocket_callbacks = {
        sizeof(websocket_callbacks), on_websocket_open, on_websocket_message, on_websocket_drain,
        on_websocket_over};
    wst_websocket_options_t options = *websocket;
    options.callbacks = &websocket_callbacks;
    options.user_data = c;
    /* The largest text is a frame in JSON. The codec's bounds are tighter. */
    options.max_message = WST_JSON_DATA_MAX(WST_FRAME_MAX_LIMIT);
    return options;
}

static int hand_out_carrier(wst__carrier_t *c, int status, wst__carrier_t **out) {
    if (status != 0)
        free_carrier(c);
    else
        *out = c;
    return status;
}

int wst__carrier_connect(wst__carrier_t **out, wst_ctx_t *ctx, wst_stream_t *stream,
                         const wst_websocket_options_t *websocket,
                         const wst__carrier_options_t *options) {
    wst__carrier_t *c;
    int status = new_carrier(&c, ctx, options);
    if (status != 0)
        return status;
    const wst_websocket_options_t ws_options = options_of(c, websocket);
    return hand_out_carrier(c, wst_websocket_connect(&c->websocket, ctx, stream, &ws_options), out);
}

int wst__carrier_accept(wst__carrier_t **out, wst_ctx_t *ctx, wst_hijack_t *hijack,
                        const wst_websocket_options_t *websocket,
                        const wst__carrier_options_t *options) {
    wst__carrier_t *c;
    int status = new_carrier(&c, ctx, options);
    if (status != 0)
        return status;
    const wst_websocket_options_t ws_options = options_of(c, websocket);
    return hand_out_carrier(c, wst_websocket_accept(&c->websocket, ctx, hijack, &ws_options), out);
}

/* An error shows up in the loop. */
static void fill_last(wst__carrier_t *c) {
    (void)fill(c, wst__websocket_queued(c->websocket) + WST__BATCH_MAX, TURN_MESSAGES);
}

void wst__carrier_end(wst__carrier_t *c, int code, const char *reason) {
    if (!is_alive(c))
        return;
    bool open = c->state >= GREETING;
    stop(c, ENDING);
    /* A goaway and last answers go out before all data. */
    if (open)
        fill_last(c);
    wst_websocket_end(c->websocket, code, reason);
}

void wst__carrier_flush(wst__carrier_t *c) {
    if (c->closing || (c->state != RUNNING && c->state != ENDING))
        return;
    fill_last(c);
    (void)wst__websocket_flush(c->websocket);
}

void wst__carrier_close(wst__carrier_t *c, wst_close_cb close_cb, void *user_data) {
    if (c->closing)
        return;
    stop(c, c->state);
    c->closing = true;
    c->close_cb = close_cb;
    c->close_data = user_data;
    wst_websocket_close(c->websocket, on_carrier_websocket_closed);
}

size_t wst__carrier_unsent(uint64_t rate, uint64_t rtt_us) {
    uint64_t unsent = rate * (UNSENT_US + rtt_us / UNSENT_PART) / 1000000;
    unsent = unsent > UNSENT_LEAST ? unsent : UNSENT_LEAST;
    return (size_t)(unsent < UNSENT_MOST ? unsent : UNSENT_MOST);
}

void wst__carrier_set_path(wst__carrier_t *c, uint64_t rate, uint64_t rtt_us) {
    size_t unsent = wst__carrier_unsent(rate, rtt_us);
    if (unsent > c->unsent_max || unsent < c->unsent_max / 2)
        set_unsent_max(c, unsent);
}

void wst__carrier_pace(wst__carrier_t *c, bool paced) {
    wst__websocket_set_read_turn(c->websocket, paced ? TURN_BYTES_PACED : 0);
}

bool wst__carrier_has_lost(wst__carrier_t *c) {
    uint32_t retransmits = wst__websocket_retransmits(c->websocket);
    bool lost = retransmits != c->retransmits;
    c->retransmits = retransmits;
    return lost;
}

const char *wst__carrier_peer(const wst__carrier_t *c) {
    return wst_websocket_peer(c->websocket);
}

int wst__carrier_http_status(const wst__carrier_t *c) {
    return wst_websocket_http_status(c->websocket);
}

wst_websocket_t *wst__carrier_websocket(const wst__carrier_t *c) {
    return c->websocket;
}

/* The owner ---------------------------------------------------------------------------------- */

void wst__carrier_set_owner(wst__carrier_t *c, const wst__carrier_callbacks_t *callbacks,
                            void *owner) {
    c->callbacks = callbacks;
    c->owner = owner;
}

bool wst__carrier_is_running(const wst__carrier_t *c) {
    return c->state == RUNNING && !c->closing;
}

const wst__greeting_t *wst__carrier_greeting(const wst__carrier_t *c) {
    return &c->greeting;
}
