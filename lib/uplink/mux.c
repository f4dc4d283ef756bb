/* SPDX-License-Identifier: MIT */
/*
 * A session and the carrier that serves it (mux.h). The carrier passes received messages to the
 * session and pulls the session's messages. The streams are in tunnel.c.
 */
#include "mux.h"

#include "defaults.h"
#include "mux_resume.h"

#include <assert.h>
#include <stdio.h>

enum {
    MAGIC = 0x57534d58,
    WINDOW_LEAST = 1024,
    WINDOW_MOST = 1 << 30,
    MEMORY_SHARE = 128,
    OVERDUE_MS = 1000
};

struct wst__mux {
    wst__uplink_t base;
    uint32_t magic;
    size_t refs; /* of the mux itself and of its streams */
    wst_ctx_t *ctx;
    const wst__mux_streams_t *streams;
    wst__session_options_t session_options;
    wst__budget_t budget;    /* of an uplink that shares memory */
    wst__session_t *session; /* NULL: no carrier has been greeted yet */
    wst__carrier_t *carrier; /* NULL: suspended, handed over or closed */
    wst__mux_resume_t resume;
    wst__deadline_t grace; /* while suspended, or until the close frame that follows a bye */
    uint64_t grace_end_ms; /* while suspended: `grace` is not prolonged beyond that */
    uint64_t lost_at_ms;   /* when it was suspended; and why: */
    int loss;
    char loss_detail[160];
    wst__defer_t defer; /* ends or closes a mux without a carrier */
    bool goaway;        /* has been requested */
    bool final;         /* the session ends with its carrier: bye was said or heard */
    bool moved;         /* its carrier serves another mux now */
    bool paced;         /* its carrier is, while the peer's account of streams arrives */
    bool down;          /* on_down has run */
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
    wst__mux_resume_forget(&m->resume);
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
    wst__deadline_clear(&m->ctx->deadlines, &m->grace);
    wst__mux_resume_forget(&m->resume);
    if (m->carrier != NULL)
        wst__carrier_set_owner(m->carrier, NULL, NULL);
    drop_streams(m);
    changed(m);
    bool rejected = error == WST_EREJECTED && m->carrier != NULL;
    int http_status = rejected ? wst__carrier_http_status(m->carrier) : 0;
    if (!m->closing && m->base.callbacks->on_down != NULL)
        m->base.callbacks->on_down(&m->base, error, http_status, detail, m->base.user_data);
}

/* Detaches the old carrier first, so that its late bytes and timers have no effect. */
static void let_go(wst__mux_t *m) {
    wst__carrier_t *old = m->carrier;
    m->carrier = NULL;
    wst__carrier_set_owner(old, NULL, NULL);
    wst__carrier_close(old, NULL, NULL);
}

/* Whether the session has ended, or ends now. */
static bool is_over(const wst__mux_t *m) {
    return m->down || m->closing || m->final;
}

/* Suspended ---------------------------------------------------------------------------------- */

static bool is_suspended(const wst__uplink_t *uplink) {
    const wst__mux_t *m = mux_of(uplink);
    return m->session != NULL && m->carrier == NULL && !m->down && !m->closing && !m->moved;
}

/* Whether the session can wait for another carrier. If nothing came behind the agent's hello, the
 * agent may not even know its name: it may have left before it heard ours. No stream is open. */
static bool may_wait(const wst__mux_t *m) {
    const wst__uplink_callbacks_t *cb = m->base.callbacks;
    return m->resume.agreed && m->resume.keys.has_confirmed && !is_over(m) &&
           (cb->may_return == NULL || cb->may_return(&m->base, m->base.user_data));
}

static void on_grace(wst__deadline_t *deadline, uint64_t now_ms) {
    wst__mux_t *m = WST__CONTAINER(deadline, wst__mux_t, grace);
    const wst__uplink_callbacks_t *cb = m->base.callbacks;
    if (!is_over(m) && now_ms < m->grace_end_ms && cb->on_overdue != NULL &&
        cb->on_overdue(&m->base, m->base.user_data))
        wst__deadline_set(&m->ctx->deadlines, deadline, now_ms + OVERDUE_MS, on_grace);
    else
        go_down(m, m->loss, m->loss_detail);
}

/* Drops the carrier. The session waits for another one, for as long as the grace. */
static void put_aside(wst__mux_t *m, int error, const char *detail) {
    bool idle = wst__session_stream_count(m->session) == 0;
    uint64_t grace_ms = idle && m->resume.idle_grace_ms < m->resume.grace_ms
                            ? m->resume.idle_grace_ms
                            : m->resume.grace_ms;
    m->lost_at_ms = wst__now(m->ctx);
    m->loss = error;
    snprintf(m->loss_detail, sizeof(m->loss_detail), "%s", detail);
    let_go(m);
    m->grace_end_ms = m->lost_at_ms + 2 * grace_ms;
    wst__deadline_in(m->ctx, &m->grace, grace_ms, on_grace);
    wst__session_detach(m->session);
    changed(m);
}

/* No other carrier is at hand. Calls back those whose opens fail, and they may end the mux. */
static void suspend(wst__mux_t *m) {
    if (is_over(m))
        return;
    uint64_t grace_ms = m->grace.at_ms - m->lost_at_ms;
    wst__session_suspend(m->session);
    if (!is_over(m) && m->base.callbacks->on_suspended != NULL)
        m->base.callbacks->on_suspended(&m->base, m->loss, m->loss_detail, grace_ms,
                                        m->base.user_data);
}

/* The carrier is lost, whatever the reason: what closes it may stand between the two sides. */
static void lose(wst__mux_t *m, int error, const char *detail) {
    if (m->down)
        return;
    if (!may_wait(m)) {
        go_down(m, error, detail);
        return;
    }
    put_aside(m, error, detail);
    suspend(m);
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
    lose(checked_mux(user_data), error, wst__session_error_detail(s));
}

static void on_session_bye(wst__session_t *s, int reason, wst_str_t text, void *user_data) {
    (void)s;
    (void)reason;
    wst__mux_t *m = checked_mux(user_data);
    m->final = true;
    m->loss = WST_ELOST; /* unless the close frame follows */
    snprintf(m->loss_detail, sizeof(m->loss_detail), "ended by the peer: %.*s", (int)text.len,
             text.len > 0 ? text.ptr : "");
    wst__deadline_in(m->ctx, &m->grace, WST__CLOSE_TIMEOUT_MS, on_grace);
    drop_streams(m);
    changed(m);
}

static void on_session_wakeup(wst__session_t *s, void *user_data) {
    (void)s;
    const wst__mux_t *m = checked_mux(user_data);
    if (m->carrier != NULL)
        wst__carrier_wake(m->carrier);
}

static bool on_session_round(wst__session_t *s, uint64_t rtt_us, void *user_data) {
    const wst__mux_t *m = checked_mux(user_data);
    wst__carrier_t *carrier = m->carrier;
    const wst__uplink_callbacks_t *cb = m->base.callbacks;
    if (cb->on_round_trip != NULL)
        cb->on_round_trip(m->base.user_data, rtt_us);
    wst__carrier_set_path(carrier, wst__session_rate(s), wst__session_least_rtt_us(s));
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
    /* No session: on_claim ends the mux. */
    return m->session != NULL ? wst__session_next(m->session, wst__now_us(), out) : 0;
}

/* The account of many streams comes in several turns. */
static void pace(wst__mux_t *m, wst__carrier_t *carrier) {
    bool paced = wst__session_awaits_account(m->session);
    if (paced != m->paced)
        wst__carrier_pace(carrier, paced);
    m->paced = paced;
}

static void on_carrier_message(wst__carrier_t *carrier, bool text, wst_slice_t piece, bool fin,
                               void *owner) {
    wst__mux_t *m = checked_mux(owner);
    if (m->final) /* behind a bye */
        return;
    wst__resume_confirm(&m->resume.keys);
    int status = wst__session_recv(m->session, wst__now_us(), text, piece, fin);
    if (status < 0)
        wst__carrier_fail(carrier, status, wst__session_error_detail(m->session));
    else if (m->carrier == carrier)
        pace(m, carrier);
}

/* Whether the far side would wait for another carrier. */
static bool can_say_bye(const wst__mux_t *m) {
    return m->carrier != NULL && m->resume.agreed && !is_over(m);
}

static void say_bye(wst__mux_t *m, int reason, const char *text) {
    wst__session_bye(m->session, reason, text);
    wst__carrier_flush(m->carrier);
}

static void on_carrier_broken(wst__carrier_t *carrier, int error, const char *detail, void *owner) {
    (void)carrier;
    wst__mux_t *m = checked_mux(owner);
    bool says_bye = can_say_bye(m);
    m->final = true; /* a breach of the protocol, or no memory */
    if (says_bye)
        say_bye(m, error, detail);
    drop_streams(m);
    changed(m);
}

static void on_carrier_over(wst__carrier_t *carrier, int error, const char *detail, void *owner) {
    (void)carrier;
    lose(checked_mux(owner), error, detail);
}

/* Tells the far side which session the mux is, or takes note of that. */
static void name_session(wst__mux_t *m, wst__carrier_t *carrier) {
    const wst_hello_t *peer = &wst__carrier_greeting(carrier)->peer;
    wst_hello_t session;
    if (m->resume.client) {
        wst__mux_resume_hear(&m->resume, peer);
    } else if (!wst__mux_resume_offer(&m->resume, m->ctx, peer, false, &session)) {
        wst__carrier_name_session(carrier, NULL);
    } else {
        wst__carrier_name_session(carrier, &session);
        wst__wipe(&session, sizeof(session));
    }
}

/* The same for a session that goes on. Completes `hello`, for the side that accepts; the far side
 * must not take the session for a new one, so without it the mux must not be attached. The options
 * may have changed since the session began. */
static int rename_session(wst__mux_t *m, const wst_hello_t *peer, wst_hello_t *hello) {
    if (m->resume.client)
        return wst__mux_resume_is_named(&m->resume, peer) ? 0 : WST_EPROTO;
    if (!wst__mux_resume_offer(&m->resume, m->ctx, peer, true, hello))
        return WST_ENOMEM;
    hello->max_frame = m->session_options.hello.max_frame;
    hello->initial_credit = m->session_options.hello.initial_credit;
    return 0;
}

/* Attaches the carrier of `from` to the mux, and says or hears its hello. */
static int take_carrier(wst__mux_t *m, wst__mux_t *from) {
    wst__carrier_t *carrier = from->carrier;
    const wst_hello_t *peer = &wst__carrier_greeting(carrier)->peer;
    wst_hello_t hello;
    int status = is_over(m) ? (int)WST_ESTATE : rename_session(m, peer, &hello);
    if (status == 0)
        status = wst__mux_attach(m, carrier);
    if (status == 0 && m->resume.client)
        wst__mux_resume_hear(&m->resume, peer);
    else if (status == 0)
        wst__carrier_name_session(carrier, &hello);
    wst__wipe(&hello, sizeof(hello));
    return status;
}

/* The carrier of `from` continues another mux. */
static void hand_over(wst__mux_t *from, wst__mux_t *to) {
    bool was_suspended = is_suspended(&to->base);
    uint64_t outage_ms = was_suspended ? wst__now(to->ctx) - to->lost_at_ms : 0;
    int status = take_carrier(to, from);
    if (status != 0) {
        wst__carrier_fail(from->carrier, status, wst_strerror(status));
        if (!was_suspended && is_suspended(&to->base))
            suspend(to);
        return;
    }
    from->carrier = NULL;
    from->moved = true;
    to->base.callbacks->on_resumed(&to->base, &from->base, outage_ms, to->base.user_data);
}

static void begin_session(wst__mux_t *m, wst__carrier_t *carrier) {
    const wst__uplink_callbacks_t *cb = m->base.callbacks;
    int status = wst__mux_attach(m, carrier);
    if (status != 0) {
        wst__carrier_fail(carrier, status, wst_strerror(status));
        return;
    }
    name_session(m, carrier);
    status = cb->on_up != NULL
                 ? cb->on_up(&m->base, &wst__carrier_greeting(carrier)->peer, m->base.user_data)
                 : 0;
    if (status < 0)
        wst__carrier_fail(carrier, status, "hello not accepted");
}

static void on_carrier_greeted(wst__carrier_t *carrier, void *owner) {
    wst__mux_t *m = checked_mux(owner);
    const wst_hello_t *peer = &wst__carrier_greeting(carrier)->peer;
    bool can_resume = m->resume.client || (m->resume.able && peer->resumes);
    wst__uplink_t *to = can_resume && m->base.callbacks->on_claim != NULL
                            ? m->base.callbacks->on_claim(&m->base, peer, m->base.user_data)
                            : NULL;
    if (!wst__carrier_is_running(carrier)) /* on_claim has ended it */
        return;
    if (to != NULL)
        hand_over(m, wst__mux_of(to));
    else if (peer->resumed)
        wst__carrier_fail(carrier, WST_EPROTO, "the session was not asked for");
    else
        begin_session(m, carrier);
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

int wst__mux_attach(wst__mux_t *m, wst__carrier_t *carrier) {
    const wst__greeting_t *greeting = wst__carrier_greeting(carrier);
    if (m->carrier != NULL && m->carrier != carrier && !is_over(m))
        put_aside(m, WST_EREPLACED, wst_strerror(WST_EREPLACED)); /* even if the new one fails */
    if (is_over(m))
        return WST_ESTATE;
    int status = m->session == NULL ? make_session(m) : 0;
    if (status == 0)
        status =
            wst__session_attach(m->session, wst__now_us(), greeting->encoding, &greeting->peer);
    if (status != 0)
        return status;
    m->carrier = carrier;
    wst__deadline_clear(&m->ctx->deadlines, &m->grace);
    wst__carrier_set_owner(carrier, &carrier_callbacks, m);
    wst__carrier_wake(carrier); /* the session had none to wake */
    m->paced = false;
    pace(m, carrier);
    snprintf(m->peer, sizeof(m->peer), "%s", wst__carrier_peer(carrier));
    return 0;
}

/* What an uplink can do ---------------------------------------------------------------------- */

static int can_open(const wst__uplink_t *uplink) {
    const wst__mux_t *m = mux_of(uplink);
    if (is_over(m))
        return WST_ELOST;
    if (is_suspended(uplink))
        return WST__UPLINK_AWAY;
    if (m->session == NULL || m->carrier == NULL || !wst__carrier_is_running(m->carrier))
        return WST_ELOST;
    int status = wst__session_can_open(m->session);
    return status == WST_ESTATE ? WST_ELOST : status;
}

static int open_mux_stream(wst__uplink_t *uplink, wst__opening_t **out, const char *dest,
                           wst__budget_t *budget, wst__opened_cb callback, void *user_data) {
    wst__mux_t *m = wst__mux_of(uplink);
    int status = can_open(uplink);
    return status == 0 ? m->streams->open(m, out, dest, budget, callback, user_data) : status;
}

static bool may_fit(const wst__uplink_t *uplink, size_t memory) {
    return wst__budget_may_fit(mux_of(uplink)->session_options.budget, memory);
}

static size_t load(const wst__uplink_t *uplink) {
    const wst__mux_t *m = mux_of(uplink);
    return m->session != NULL ? wst__session_stream_count(m->session) : 0;
}

static uint64_t rtt_ms(const wst__uplink_t *uplink) {
    const wst__mux_t *m = mux_of(uplink);
    return m->session != NULL ? (wst__session_rtt_us(m->session) + 999) / 1000 : 0;
}

static uint64_t moved_lately(const wst__uplink_t *uplink) {
    const wst__mux_t *m = mux_of(uplink);
    return m->session != NULL ? wst__session_moved(m->session) : 0;
}

static bool is_suspect(const wst__uplink_t *uplink) {
    const wst__mux_t *m = mux_of(uplink);
    return m->carrier != NULL && m->session != NULL &&
           wst__session_is_suspect(m->session, wst__now_us());
}

static void on_ended(wst__defer_t *defer) {
    wst__mux_t *m = WST__CONTAINER(defer, wst__mux_t, defer);
    go_down(m, 0, m->loss_detail);
}

static void goaway(wst__uplink_t *uplink) {
    wst__mux_t *m = wst__mux_of(uplink);
    m->goaway = true;
    if (m->session != NULL) /* else it follows the hello */
        wst__session_goaway(m->session, WST_EGOAWAY);
}

static void end(wst__uplink_t *uplink, int code, const char *reason, bool lose) {
    wst__mux_t *m = wst__mux_of(uplink);
    if (m->closing || m->down || m->moved) /* the carrier may be gone */
        return;
    bool final = m->final;
    m->final = true;
    if (m->carrier == NULL) {
        snprintf(m->loss_detail, sizeof(m->loss_detail), "%s", reason);
        wst__defer(m->ctx, &m->defer, on_ended);
    } else {
        if (m->resume.agreed && !final)
            wst__session_bye(m->session, WST_EGOAWAY, reason);
        wst__carrier_end(m->carrier, code, reason);
    }
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

static void on_closed_without_carrier(wst__defer_t *defer) {
    on_carrier_closed(WST__CONTAINER(defer, wst__mux_t, defer));
}

static void close_mux(wst__uplink_t *uplink) {
    wst__mux_t *m = wst__mux_of(uplink);
    if (m->closing)
        return;
    bool says_bye = can_say_bye(m);
    m->closing = true; /* first, since no callback runs inside this call */
    if (says_bye)
        say_bye(m, WST_EGOAWAY, NULL);
    wst__deadline_clear(&m->ctx->deadlines, &m->grace);
    wst__mux_resume_forget(&m->resume);
    wst__defer_cancel(&m->defer);
    if (m->carrier != NULL)
        wst__carrier_close(m->carrier, on_carrier_closed, m);
    else
        wst__defer(m->ctx, &m->defer, on_closed_without_carrier);
}

/* Resuming ----------------------------------------------------------------------------------- */

static int claim(const wst__uplink_t *uplink, uint64_t epoch, wst__resume_field_t *out) {
    const wst__mux_t *m = mux_of(uplink);
    return is_over(m)
               ? (int)WST_ESTATE
               : wst__mux_resume_claim(&m->resume, m->session_options.hello.conn, epoch, out);
}

static const uint8_t *sid(const wst__uplink_t *uplink) {
    const wst__mux_t *m = mux_of(uplink);
    return m->resume.agreed && !is_over(m) ? m->resume.keys.sid : NULL;
}

static wst__claim_verdict_t check(wst__uplink_t *uplink, const wst__resume_field_t *field,
                                  uint32_t conn) {
    return wst__mux_resume_check(&wst__mux_of(uplink)->resume, field, conn);
}

static void hasten(wst__uplink_t *uplink, uint64_t grace_ms) {
    wst__mux_t *m = wst__mux_of(uplink);
    if (!is_suspended(uplink))
        return;
    m->grace_end_ms = 0;
    if (m->grace.at_ms > wst__now(m->ctx) + grace_ms)
        wst__deadline_in(m->ctx, &m->grace, grace_ms, on_grace);
}

static size_t pinned(const wst__uplink_t *uplink) {
    const wst__mux_t *m = mux_of(uplink);
    return m->session != NULL ? wst__session_pinned(m->session) : 0;
}

static const wst__uplink_resume_ops_t resume_ops = {is_suspended, claim,  sid,
                                                    check,        hasten, pinned};

static const wst__uplink_ops_t ops = {.can_open = can_open,
                                      .open = open_mux_stream,
                                      .may_fit = may_fit,
                                      .load = load,
                                      .rtt_ms = rtt_ms,
                                      .moved = moved_lately,
                                      .is_suspect = is_suspect,
                                      .goaway = goaway,
                                      .end = end,
                                      .close = close_mux,
                                      .resume = &resume_ops};

/* Making one --------------------------------------------------------------------------------- */

static bool is_window(size_t bytes) {
    return bytes == 0 || (bytes >= WINDOW_LEAST && bytes <= WINDOW_MOST);
}

bool wst__uplink_windows_valid(size_t first, size_t most) {
    return is_window(first) && is_window(most);
}

static wst__budget_t *budget_of(wst__mux_t *m, const wst__uplink_options_t *options) {
    m->budget = (wst__budget_t){.within = &m->ctx->budget,
                                .apart = true,
                                .share = MEMORY_SHARE,
                                .limit = options->memory_max};
    return options->shares_memory ? &m->budget : &m->ctx->budget;
}

static wst__session_options_t session_options_of(wst__mux_t *m, bool client,
                                                 const wst__uplink_options_t *options) {
    wst__session_options_t o = {.pool = &m->ctx->pool,
                                .budget = budget_of(m, options),
                                .deadlines = &m->ctx->deadlines,
                                .client = client,
                                .hello = options->hello,
                                .ping_interval_ms = options->ping_interval_ms,
                                .dead_after_ms = options->dead_after_ms,
                                .window_max = options->window_max,
                                .callbacks = m->streams->session,
                                .user_data = m};
    o.hello.name = (wst_str_t){NULL, 0};
    (void)wst__hello_complete(&o.hello); /* an error is the carrier's to tell */
    if (options->callbacks->on_incoming == NULL)
        o.callbacks.on_open = NULL; /* the session refuses all streams */
    o.callbacks.on_goaway = on_session_goaway;
    o.callbacks.on_dead = on_session_dead;
    o.callbacks.on_bye = on_session_bye;
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
    wst__mux_resume_init(&m->resume, client, options);
    wst__defer_init(&m->defer);
    wst__ctx_hold(ctx);
    return m;
}

static wst__carrier_options_t carrier_options_of(wst__mux_t *m,
                                                 const wst__uplink_options_t *options) {
    wst__carrier_options_t o = {.callbacks = &carrier_callbacks,
                                .owner = m,
                                .hello = options->hello,
                                .holds_hello = m->resume.able && !m->resume.client,
                                .hello_timeout_ms = options->hello_timeout_ms};
    o.hello.resumes = m->resume.able && m->resume.client; /* a server tells it with the session */
    return o;
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
