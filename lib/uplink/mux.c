/* SPDX-License-Identifier: MIT */
/*
 * A session and the carrier that serves it (mux.h). The carrier passes received messages to the
 * session and pulls the session's messages. The streams are in tunnel.c.
 */
#include "mux.h"

#include <assert.h>
#include <stdio.h>

enum { MAGIC = 0x57534d58, WINDOW_LEAST = 1024, WINDOW_MOST = 1 << 30 };

struct wst__mux {
    wst__uplink_t base;
    uint32_t magic;
    size_t refs; /* of the mux itself and of its streams */
    wst_ctx_t *ctx;
    const wst__mux_streams_t *streams;
    wst__session_options_t session_options;
    wst__session_t *session; /* NULL: no carrier has been greeted yet */
    wst__carrier_t *carrier; /* NULL: closed */
    bool goaway;             /* requested before there was a session */
    bool down;               /* on_down has run */
    bool closing;
    char peer[96];
};

static wst__mux_t *checked_mux(void *user_data) {
    wst__mux_t *m = user_data;
    assert(m->magic == MAGIC);
    return m;
}

wst__mux_t *wst__mux_of(wst__uplink_t *uplink) {
    return checked_mux(WST__CONTAINER(uplink, wst__mux_t, base));
}

static const wst__mux_t *mux_of(const wst__uplink_t *uplink) {
    return WST__CONTAINER(uplink, const wst__mux_t, base);
}

void wst__mux_ref(wst__mux_t *m) {
    m->refs++;
}

void wst__mux_unref(wst__mux_t *m) {
    if (--m->refs > 0)
        return;
    wst_ctx_t *ctx = m->ctx;
    wst__session_free(m->session);
    m->magic = 0;
    wst__free(&ctx->allocator, m);
    wst__ctx_release(ctx);
}

static void drop_streams(wst__mux_t *m) {
    if (m->session != NULL)
        wst__session_drop_streams(m->session, WST_ELOST);
}

static void changed(wst__mux_t *m) {
    if (!m->closing && m->base.callbacks->on_change != NULL)
        m->base.callbacks->on_change(&m->base, m->base.user_data);
}

static void go_down(wst__mux_t *m, int error, const char *detail) {
    if (m->down)
        return;
    m->down = true;
    wst__carrier_set_owner(m->carrier, NULL, NULL);
    drop_streams(m);
    changed(m);
    int http_status = error == WST_EREJECTED ? wst__carrier_http_status(m->carrier) : 0;
    if (!m->closing && m->base.callbacks->on_down != NULL)
        m->base.callbacks->on_down(&m->base, error, http_status, detail, m->base.user_data);
}

/* What the session tells --------------------------------------------------------------------- */

static void on_session_goaway(wst__session_t *s, int reason, void *user_data) {
    (void)s;
    wst__mux_t *m = checked_mux(user_data);
    if (m->base.callbacks->on_goaway != NULL)
        m->base.callbacks->on_goaway(&m->base, reason, m->base.user_data);
}

static void on_session_dead(wst__session_t *s, int error, void *user_data) {
    /* A dead peer would not answer a close frame either. */
    go_down(checked_mux(user_data), error, wst__session_error_detail(s));
}

static void on_session_wakeup(wst__session_t *s, void *user_data) {
    (void)s;
    wst__carrier_wake(checked_mux(user_data)->carrier);
}

static bool on_session_round(wst__session_t *s, void *user_data) {
    wst__carrier_t *carrier = checked_mux(user_data)->carrier;
    wst__carrier_set_rate(carrier, wst__session_rate(s));
    return wst__carrier_has_lost(carrier);
}

static void on_session_change(wst__session_t *s, void *user_data) {
    (void)s;
    changed(checked_mux(user_data));
}

/* What the carrier tells --------------------------------------------------------------------- */

static int next(wst__carrier_t *carrier, wst__outgoing_t *out, void *owner) {
    (void)carrier;
    const wst__mux_t *m = checked_mux(owner);
    return wst__session_next(m->session, wst__now_us(), out);
}

static void on_carrier_message(wst__carrier_t *carrier, bool text, wst_slice_t piece, bool fin,
                               void *owner) {
    wst__mux_t *m = checked_mux(owner);
    int status = wst__session_recv(m->session, wst__now_us(), text, piece, fin);
    if (status < 0)
        wst__carrier_fail(carrier, status, wst__session_error_detail(m->session));
}

static void on_carrier_broken(wst__carrier_t *carrier, void *owner) {
    (void)carrier;
    wst__mux_t *m = checked_mux(owner);
    drop_streams(m);
    changed(m);
}

static void on_carrier_over(wst__carrier_t *carrier, int error, const char *detail, void *owner) {
    (void)carrier;
    go_down(checked_mux(owner), error, detail);
}

static void on_carrier_greeted(wst__carrier_t *carrier, void *owner) {
    wst__mux_t *m = checked_mux(owner);
    const wst__uplink_callbacks_t *cb = m->base.callbacks;
    int status = wst__mux_attach(m, carrier);
    if (status != 0) {
        wst__carrier_fail(carrier, status, wst_strerror(status));
        return;
    }
    status = cb->on_up != NULL
                 ? cb->on_up(&m->base, &wst__carrier_greeting(carrier)->peer, m->base.user_data)
                 : 0;
    if (status < 0)
        wst__carrier_fail(carrier, status, "hello not accepted");
}

static const wst__carrier_callbacks_t carrier_callbacks = {
    on_carrier_greeted, next, on_carrier_message, on_carrier_broken, on_carrier_over};

/* Carriers come and go ----------------------------------------------------------------------- */

static int make_session(wst__mux_t *m) {
    int status = wst__session_new(&m->session, &m->session_options);
    if (status == 0 && m->goaway)
        wst__session_goaway(m->session, WST_EGOAWAY);
    return status;
}

/* Detaches the old carrier first, so that its late bytes and timers have no effect. */
static void let_go(wst__mux_t *m) {
    wst__carrier_t *old = m->carrier;
    m->carrier = NULL;
    wst__carrier_set_owner(old, NULL, NULL);
    wst__carrier_close(old, NULL, NULL);
}

int wst__mux_attach(wst__mux_t *m, wst__carrier_t *carrier) {
    const wst__greeting_t *greeting = wst__carrier_greeting(carrier);
    if (m->down || m->closing)
        return WST_ESTATE;
    if (m->session != NULL)
        wst__session_detach(m->session);
    if (m->carrier != NULL && m->carrier != carrier)
        let_go(m);
    m->carrier = carrier;
    wst__carrier_set_owner(carrier, &carrier_callbacks, m);
    snprintf(m->peer, sizeof(m->peer), "%s", wst__carrier_peer(carrier));
    int status = m->session == NULL ? make_session(m) : 0;
    return status == 0
               ? wst__session_attach(m->session, wst__now_us(), greeting->encoding, &greeting->peer)
               : status;
}

/* What an uplink can do ---------------------------------------------------------------------- */

static int can_open(const wst__uplink_t *uplink) {
    const wst__mux_t *m = mux_of(uplink);
    if (m->session == NULL || m->closing || !wst__carrier_is_running(m->carrier))
        return WST_ELOST;
    int status = wst__session_can_open(m->session);
    return status == WST_ESTATE ? WST_ELOST : status;
}

static int open_mux_stream(wst__uplink_t *uplink, wst__opening_t **out, const char *dest,
                           wst__opened_cb callback, void *user_data) {
    wst__mux_t *m = wst__mux_of(uplink);
    int status = can_open(uplink);
    return status == 0 ? m->streams->open(m, out, dest, callback, user_data) : status;
}

static size_t load(const wst__uplink_t *uplink) {
    const wst__mux_t *m = mux_of(uplink);
    return m->session != NULL ? wst__session_stream_count(m->session) : 0;
}

static uint64_t rtt_ms(const wst__uplink_t *uplink) {
    const wst__mux_t *m = mux_of(uplink);
    return m->session != NULL ? (wst__session_rtt_us(m->session) + 999) / 1000 : 0;
}

static bool is_suspect(const wst__uplink_t *uplink) {
    const wst__mux_t *m = mux_of(uplink);
    return m->session != NULL && wst__session_is_suspect(m->session, wst__now_us());
}

static void goaway(wst__uplink_t *uplink) {
    wst__mux_t *m = wst__mux_of(uplink);
    m->goaway = true;
    if (m->session != NULL) /* else it follows the hello */
        wst__session_goaway(m->session, WST_EGOAWAY);
}

static void end(wst__uplink_t *uplink, int code, const char *reason, bool lose) {
    wst__mux_t *m = wst__mux_of(uplink);
    if (m->closing) /* the carrier may be gone */
        return;
    wst__carrier_end(m->carrier, code, reason);
    if (lose)
        drop_streams(m);
    changed(m);
}

static void on_carrier_closed(void *user_data) {
    wst__mux_t *m = checked_mux(user_data);
    m->carrier = NULL;
    drop_streams(m);
    m->base.callbacks->on_closed(m->base.user_data);
    wst__mux_unref(m);
}

static void close_mux(wst__uplink_t *uplink) {
    wst__mux_t *m = wst__mux_of(uplink);
    if (m->closing)
        return;
    m->closing = true;
    wst__carrier_close(m->carrier, on_carrier_closed, m);
}

static const wst__uplink_ops_t ops = {can_open,   open_mux_stream, load, rtt_ms,
                                      is_suspect, goaway,          end,  close_mux};

/* Making one --------------------------------------------------------------------------------- */

static bool is_window(size_t bytes) {
    return bytes == 0 || (bytes >= WINDOW_LEAST && bytes <= WINDOW_MOST);
}

bool wst__uplink_windows_valid(size_t first, size_t most) {
    return is_window(first) && is_window(most);
}

static wst__session_options_t session_options_of(wst__mux_t *m, bool client,
                                                 const wst__uplink_options_t *options) {
    wst__session_options_t o = {.pool = &m->ctx->pool,
                                .budget = &m->ctx->budget,
                                .deadlines = &m->ctx->deadlines,
                                .client = client,
                                .hello = options->hello,
                                .ping_interval_ms = options->ping_interval_ms,
                                .dead_after_ms = options->dead_after_ms,
                                .window_max = options->window_max,
                                .callbacks = m->streams->session,
                                .user_data = m};
    o.hello.name = (wst_str_t){NULL, 0};
    if (options->callbacks->on_incoming == NULL)
        o.callbacks.on_open = NULL; /* the session refuses all streams */
    o.callbacks.on_goaway = on_session_goaway;
    o.callbacks.on_dead = on_session_dead;
    o.callbacks.on_wakeup = on_session_wakeup;
    o.callbacks.on_round = on_session_round;
    o.callbacks.on_change = on_session_change;
    return o;
}

static wst__mux_t *new_mux(wst_ctx_t *ctx, bool client, const wst__uplink_options_t *options,
                           const wst__mux_streams_t *streams) {
    wst__mux_t *m = wst__zalloc(&ctx->allocator, sizeof(*m));
    if (m == NULL)
        return NULL;
    m->base = (wst__uplink_t){.ops = &ops,
                              .callbacks = options->callbacks,
                              .user_data = options->user_data,
                              .peer = m->peer};
    m->magic = MAGIC;
    m->refs = 1;
    m->ctx = ctx;
    m->streams = streams;
    m->session_options = session_options_of(m, client, options);
    wst__ctx_hold(ctx);
    return m;
}

static wst__carrier_options_t carrier_options_of(wst__mux_t *m,
                                                 const wst__uplink_options_t *options) {
    return (wst__carrier_options_t){.callbacks = &carrier_callbacks,
                                    .owner = m,
                                    .hello = options->hello,
                                    .hello_timeout_ms = options->hello_timeout_ms};
}

/* Frees the mux if its carrier could not be made, else hands it out. */
static int hand_out_mux(wst__mux_t *m, int status, wst__uplink_t **out) {
    if (status != 0) {
        wst__mux_unref(m);
        return status;
    }
    snprintf(m->peer, sizeof(m->peer), "%s", wst__carrier_peer(m->carrier));
    *out = &m->base;
    return 0;
}

int wst__mux_connect(wst__uplink_t **out, wst_ctx_t *ctx, wst_stream_t *stream,
                     const wst_websocket_options_t *websocket, const wst__uplink_options_t *options,
                     const wst__mux_streams_t *streams) {
    wst__mux_t *m = new_mux(ctx, true, options, streams);
    if (m == NULL)
        return WST_ENOMEM;
    const wst__carrier_options_t carrier_options = carrier_options_of(m, options);
    wst_websocket_options_t ws_options = *websocket;
    ws_options.protocols = options->encoding == WST_ENCODING_JSON ? wst__carrier_protocols_json
                                                                  : wst__carrier_protocols;
    return hand_out_mux(
        m, wst__carrier_connect(&m->carrier, ctx, stream, &ws_options, &carrier_options), out);
}

int wst__mux_accept(wst__uplink_t **out, wst_ctx_t *ctx, wst_hijack_t *hijack,
                    const wst__uplink_options_t *options, const wst__mux_streams_t *streams) {
    wst__mux_t *m = new_mux(ctx, false, options, streams);
    if (m == NULL)
        return WST_ENOMEM;
    const wst__carrier_options_t carrier_options = carrier_options_of(m, options);
    const wst_websocket_options_t ws_options = {.size = sizeof(ws_options),
                                                .protocols = wst__carrier_protocols};
    return hand_out_mux(
        m, wst__carrier_accept(&m->carrier, ctx, hijack, &ws_options, &carrier_options), out);
}

/* For the streams ---------------------------------------------------------------------------- */

wst_ctx_t *wst__mux_ctx(const wst__mux_t *m) {
    return m->ctx;
}

wst__uplink_t *wst__mux_uplink(wst__mux_t *m) {
    return &m->base;
}

wst__session_t *wst__mux_session(const wst__mux_t *m) {
    return m->session;
}

wst__carrier_t *wst__mux_carrier(const wst__mux_t *m) {
    return m->carrier;
}
