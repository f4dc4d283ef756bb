/* SPDX-License-Identifier: MIT */
/*
 * Life of a session, its deadlines, and the table of its streams.
 *
 * Streams that die while callbacks are on the stack wait in a graveyard until the outermost call
 * returns, so no code here ever looks at freed memory.
 */
#include "session_internal.h"

#include "defaults.h"

/* Few bytes may be all that a stream sends for a long time, and are kept until they are confirmed.
 */
enum { SMALL_MAX = 512 };

size_t wst__session_stream_cost(size_t window) {
    return wst__bufq_bound_append(window) + wst__bufq_bound_append(WST__SEND_LEAST);
}

static uint64_t or_default(uint64_t value, uint64_t fallback) {
    return value != 0 ? value : fallback;
}

int wst__session_new(wst__session_t **out, const wst__session_options_t *options) {
    wst__session_t *s = wst__zalloc(options->pool->allocator, sizeof(*s));
    if (s == NULL)
        return WST_ENOMEM;
    s->o = *options;
    s->detail = "";
    int status = wst__hello_complete(&s->o.hello);
    s->o.hello.name = (wst_str_t){NULL, 0};
    s->o.window_max = or_default(s->o.window_max, WST__STREAM_WINDOW_MAX);
    s->o.ping_interval_ms = or_default(s->o.ping_interval_ms, WST__PING_INTERVAL_MS);
    s->o.dead_after_ms = or_default(s->o.dead_after_ms, WST__DEAD_AFTER_MS);
    wst__list_init(&s->streams);
    wst__list_init(&s->control);
    wst__list_init(&s->fresh);
    wst__list_init(&s->ready);
    wst__list_init(&s->flying);
    wst__list_init(&s->pinged);
    wst__flight_init(&s->flight);
    s->bucket_count = 16;
    s->buckets = wst__zalloc(s->o.pool->allocator, s->bucket_count * sizeof(s->buckets[0]));
    if (s->buckets == NULL)
        status = WST_ENOMEM;
    if (status != 0) {
        wst__session_free(s);
        return status;
    }
    *out = s;
    return 0;
}

void wst__session_free(wst__session_t *s) {
    if (s == NULL)
        return;
    assert(s->depth == 0);
    wst__session_detach(s);
    wst__session_stream_t *st;
    while ((st = wst__session_first_stream(s)) != NULL) {
        st->owned = false;
        wst__session_remove(st);
        wst__session_release_stream(st);
    }
    wst_decoder_free(s->decoder);
    wst__free(s->o.pool->allocator, s->bye_text);
    wst__free(s->o.pool->allocator, s->buckets);
    wst__free(s->o.pool->allocator, s);
}

static void clear_deadlines(wst__session_t *s) {
    wst__deadline_clear(s->o.deadlines, &s->deadline);
    wst__deadline_clear(s->o.deadlines, &s->confirming);
}

int wst__session_fail(wst__session_t *s, int error, const char *detail) {
    if (s->error == 0) {
        s->error = error;
        s->detail = detail;
        clear_deadlines(s);
        wst__session_changed(s);
    }
    return s->error;
}

const char *wst__session_error_detail(const wst__session_t *s) {
    return s->detail;
}

void wst__session_wake(wst__session_t *s) {
    if (s->attached && (s->error == 0 || s->bye_said) && s->o.callbacks.on_wakeup != NULL)
        s->o.callbacks.on_wakeup(s, s->o.user_data);
}

void wst__session_changed(wst__session_t *s) {
    if (s->o.callbacks.on_change != NULL)
        s->o.callbacks.on_change(s, s->o.user_data);
}

/* Deadlines ---------------------------------------------------------------------------------- */

static void on_liveness_deadline(wst__deadline_t *deadline, uint64_t now_ms);

/* When a silent peer becomes suspect while a ping is unanswered. */
static uint64_t suspect_at(const wst__session_t *s) {
    uint64_t ping_sent_ms = s->ping_sent_us / 1000;
    uint64_t since = ping_sent_ms > s->last_recv_ms ? ping_sent_ms : s->last_recv_ms;
    return since + WST__SUSPECT_MS;
}

bool wst__session_is_suspect(const wst__session_t *s, uint64_t now_us) {
    return s->ping_unanswered && now_us / 1000 >= suspect_at(s);
}

/* Sets the next deadline. Received messages do not move it: it checks them when it passes. */
void wst__session_arm(wst__session_t *s) {
    uint64_t at = s->last_recv_ms + s->o.dead_after_ms;
    if (s->ping_due_ms < at)
        at = s->ping_due_ms;
    if (s->ping_unanswered && !s->suspect && suspect_at(s) < at)
        at = suspect_at(s);
    wst__deadline_set(s->o.deadlines, &s->deadline, at, on_liveness_deadline);
}

/* Bytes of data, both ways, on this carrier. */
static uint64_t bytes_moved(const wst__session_t *s) {
    return s->flight.heard + s->flight.confirmed;
}

uint64_t wst__session_moved(const wst__session_t *s) {
    return s->attached ? bytes_moved(s) - s->moved_before : 0;
}

/* Acknowledges bytes received since the last credit with each ping at the latest, so that the
 * sender of an idle stream does not keep its last bytes for ever, nor unused credit.
 */
static void tick_streams(wst__session_t *s) {
    WST__LIST_EACH(wst__session_stream_t, st, &s->streams, node) {
        if (st->state == WST__OPEN && st->rx_received > st->rx_told)
            wst__session_tell(st, WST__TELL_CREDIT);
        wst__window_tick(st);
    }
}

static void on_liveness_deadline(wst__deadline_t *deadline, uint64_t now_ms) {
    wst__session_t *s = WST__CONTAINER(deadline, wst__session_t, deadline);
    /* The clock of deadlines may lag a little behind that of messages. */
    if (now_ms >= s->last_recv_ms + s->o.dead_after_ms) {
        wst__session_fail(s, WST_ETIMEOUT, "nothing received for too long");
        wst__session_enter(s);
        if (s->o.callbacks.on_dead != NULL)
            s->o.callbacks.on_dead(s, s->error, s->o.user_data);
        wst__session_leave(s);
        return;
    }
    if (!s->suspect && wst__session_is_suspect(s, now_ms * 1000)) {
        s->suspect = true;
        wst__session_changed(s);
    }
    bool tick = now_ms >= s->ping_due_ms;
    if (tick)
        s->ping_due_ms = now_ms + s->o.ping_interval_ms;
    wst__session_arm(s);
    if (tick) {
        /* One at a time: a second ping would tell nothing new. */
        s->ping_due |= !s->ping_unanswered;
        s->moved_before = s->moved;
        s->moved = bytes_moved(s);
        tick_streams(s);
        wst__session_wake(s);
    }
}

/* Sets a stream's flags anew: messages in either direction may have been lost on the old carrier.
 */
static void restate(wst__session_stream_t *st) {
    if (st->state == WST__RESET && st->local && st->dest != NULL) {
        /* The peer may not know the stream, and drops streams that are not mentioned: say nothing.
         */
        wst__session_remove(st);
        wst__session_release_stream(st);
        return;
    }
    wst__list_remove(&st->ready_node);
    bool known = !st->local || (st->announced && st->session->takes_early);
    st->resync = st->state == WST__OPEN || (st->state == WST__PENDING && known);
    wst__session_untell(st, WST__TELL_OPEN | WST__TELL_CREDIT | WST__TELL_YIELD | WST__TELL_END);
    if (st->state == WST__PENDING && st->local)
        wst__session_tell(st, WST__TELL_OPEN);
    if (st->state == WST__OPEN && !st->local && !st->agreed)
        wst__session_tell(st, WST__TELL_ANSWER);
    if (st->state == WST__OPEN || (st->state == WST__PENDING && st->rx_received > 0))
        wst__session_tell(st, WST__TELL_CREDIT);
    wst__session_schedule(st);
}

static bool takes_early(const wst__session_t *s, const wst_hello_t *peer) {
    return s->o.hello.early && peer->early;
}

/* Streams rely on these values, so they must be the same on each carrier. */
static bool has_changed(const wst__session_t *s, const wst_hello_t *peer) {
    return s->peer_max_frame != 0 &&
           (peer->max_frame != s->peer_max_frame ||
            peer->initial_credit != s->peer_initial_credit || peer->yields != s->peer_yields ||
            takes_early(s, peer) != s->takes_early);
}

int wst__session_attach(wst__session_t *s, uint64_t now_us, wst_encoding_t encoding,
                        const wst_hello_t *peer) {
    assert(!s->attached && s->depth == 0);
    if (s->error != 0 && s->error != WST_ETIMEOUT)
        return s->error;
    if (s->peer_bye)
        return WST_ELOST;
    if (has_changed(s, peer))
        return WST_EPROTO;
    const wst_decoder_options_t options = {.size = sizeof(options),
                                           .encoding = encoding,
                                           .allocator = s->o.pool->allocator,
                                           .max_frame = s->o.hello.max_frame};
    wst_decoder_t *decoder;
    int status = wst_decoder_new(&decoder, &options);
    if (status != 0)
        return status;
    wst_decoder_free(s->decoder);
    s->decoder = decoder;
    s->encoding = encoding;
    s->error = 0;
    s->detail = "";
    s->attached = true;
    s->peer_max_frame = peer->max_frame;
    s->peer_max_streams = peer->max_streams;
    s->peer_initial_credit = peer->initial_credit;
    s->peer_yields = peer->yields;
    s->peer_filters = peer->networks;
    s->takes_early = takes_early(s, peer);
    s->ping_due = true;
    s->ping_due_ms = now_us / 1000 + s->o.ping_interval_ms;
    s->ping_unanswered = false;
    s->suspect = false;
    wst__flight_reset(s);
    s->moved_before = s->moved = 0;
    s->pong_count = 0;
    s->goaway_due = s->goaway_said;
    s->bye_due = s->bye_said;
    s->last_recv_ms = now_us / 1000;
    s->resyncing = s->local_highest + s->peer_highest > 0;
    s->restating = true; /* the peer may have streams that we have not heard of */
    WST__LIST_EACH_SAFE(wst__session_stream_t, st, &s->streams, node)
        restate(st);
    wst__session_arm(s);
    wst__session_wake(s);
    wst__session_changed(s);
    return 0;
}

void wst__session_detach(wst__session_t *s) {
    s->attached = false;
    s->ping_unanswered = false;
    clear_deadlines(s);
    wst__session_changed(s);
}

void wst__session_suspend(wst__session_t *s) {
    wst__session_detach(s);
    wst__session_enter(s);
    wst__session_fail_opens(s, 0, false, WST_ELOST, (wst_str_t){NULL, 0});
    WST__LIST_EACH(wst__session_stream_t, st, &s->streams, node)
        wst__window_suspend(st);
    wst__session_leave(s);
}

void wst__session_goaway(wst__session_t *s, int reason) {
    if (s->goaway_said)
        return;
    s->goaway_said = s->goaway_due = true;
    s->goaway_reason = wst_is_reason(reason) ? reason : WST_EGOAWAY;
    wst__session_wake(s);
    wst__session_changed(s);
}

/* For the peer: cleaned; NULL: no text, or no memory for one. */
static char *clean_copy(const wst_allocator_t *a, const char *text) {
    if (text == NULL || text[0] == '\0')
        return NULL;
    char clean[WST_ERROR_TEXT_MAX];
    size_t len = wst__error_text_clean(clean, (wst_str_t){text, strlen(text)});
    return wst__strndup(a, clean, len);
}

void wst__session_bye(wst__session_t *s, int reason, const char *text) {
    if (s->bye_said)
        return;
    s->bye_said = s->bye_due = true;
    s->bye_reason = wst_is_reason(reason) ? reason : WST_EINTERNAL;
    s->bye_text = clean_copy(s->o.pool->allocator, text);
    wst__session_wake(s);
    wst__session_changed(s);
}

/* Streams ------------------------------------------------------------------------------------ */

size_t wst__session_stream_count(const wst__session_t *s) {
    return s->stream_count;
}

bool wst__session_awaits_account(const wst__session_t *s) {
    return s->attached && s->resyncing;
}

uint64_t wst__session_rtt_us(const wst__session_t *s) {
    return s->flight.rtt_us;
}

uint64_t wst__session_least_rtt_us(const wst__session_t *s) {
    return wst__flight_least_rtt_us(&s->flight);
}

uint64_t wst__session_rate(const wst__session_t *s) {
    return wst__flight_rate(&s->flight);
}

static size_t bucket_of(size_t bucket_count, uint64_t id) {
    return (size_t)(id >> 1) & (bucket_count - 1);
}

wst__session_stream_t *wst__session_find(const wst__session_t *s, uint64_t id) {
    wst__session_stream_t *st = s->buckets[bucket_of(s->bucket_count, id)];
    while (st != NULL && st->id != id)
        st = st->hash_next;
    return st;
}

static wst__session_stream_t *stream_of(wst__list_t *node) {
    return node != NULL ? WST__CONTAINER(node, wst__session_stream_t, node) : NULL;
}

wst__session_stream_t *wst__session_first_stream(const wst__session_t *s) {
    return stream_of(wst__list_first(&s->streams));
}

wst__session_stream_t *wst__session_next_stream(const wst__session_stream_t *st) {
    return stream_of(wst__list_next(&st->session->streams, &st->node));
}

/* Doubles the table; without memory look-ups only get slower. */
static void grow_table(wst__session_t *s) {
    size_t count = s->bucket_count * 2;
    wst__session_stream_t **buckets = wst__zalloc(s->o.pool->allocator, count * sizeof(buckets[0]));
    if (buckets == NULL)
        return;
    for (size_t i = 0; i < s->bucket_count; i++) {
        while (s->buckets[i] != NULL) {
            wst__session_stream_t *st = s->buckets[i];
            s->buckets[i] = st->hash_next;
            size_t b = bucket_of(count, st->id);
            st->hash_next = buckets[b];
            buckets[b] = st;
        }
    }
    wst__free(s->o.pool->allocator, s->buckets);
    s->buckets = buckets;
    s->bucket_count = count;
}

int wst__session_add(wst__session_t *s, wst__session_stream_t **out, uint64_t id, bool local) {
    wst__session_stream_t *st = wst__zalloc(s->o.pool->allocator, sizeof(*st));
    if (st == NULL)
        return WST_ENOMEM;
    st->session = s;
    st->id = id;
    st->local = local;
    wst__list_init(&st->node);
    wst__list_init(&st->control_node);
    wst__list_init(&st->ready_node);
    wst__list_init(&st->flight_node);
    wst__bufq_init(&st->tx, s->o.pool);
    st->tx.small_max = SMALL_MAX;
    wst__bufq_init(&st->rx, s->o.pool);
    st->tx_limit = s->peer_initial_credit;
    st->rx_limit = s->o.hello.initial_credit;
    wst__window_init(st);
    if (s->stream_count >= s->bucket_count)
        grow_table(s);
    size_t b = bucket_of(s->bucket_count, id);
    st->hash_next = s->buckets[b];
    s->buckets[b] = st;
    wst__list_append(&s->streams, &st->node);
    s->stream_count++;
    if (local)
        s->local_count++;
    else
        s->peer_count++;
    wst__session_changed(s);
    *out = st;
    return 0;
}

static void release_budget(wst__session_stream_t *st) {
    wst__window_release(st);
    wst__session_unreserve(st->session, st->budget, st->reserved);
    st->budget = NULL;
    st->reserved = 0;
}

void wst__session_remove(wst__session_stream_t *st) {
    wst__session_t *s = st->session;
    wst__session_stream_t **at = &s->buckets[bucket_of(s->bucket_count, st->id)];
    while (*at != st)
        at = &(*at)->hash_next;
    *at = st->hash_next;
    wst__list_remove(&st->node);
    s->stream_count--;
    if (st->local)
        s->local_count--;
    else
        s->peer_count--;
    if (st->state == WST__REFUSED)
        s->refusal_count--;
    st->state = WST__DEAD;
    st->tell = 0;
    wst__list_remove(&st->control_node);
    wst__list_remove(&st->ready_node);
    wst__flight_drop(st);
    wst__bufq_reset(&st->tx);
    wst__bufq_reset(&st->rx);
    release_budget(st);
    wst__session_changed(s);
}

void wst__session_forget_open(wst__session_stream_t *st) {
    const wst_allocator_t *a = st->session->o.pool->allocator;
    if (!st->local)
        return;
    wst__free(a, st->dest);
    wst__free(a, st->networks);
    st->dest = st->networks = NULL;
}

static void free_stream(wst__session_stream_t *st) {
    const wst_allocator_t *a = st->session->o.pool->allocator;
    wst__session_forget_open(st);
    wst__free(a, st->text);
    wst__free(a, st);
}

void wst__session_release_stream(wst__session_stream_t *st) {
    if (st->state != WST__DEAD || st->owned)
        return;
    wst__session_t *s = st->session;
    if (s->depth == 0) {
        free_stream(st);
        return;
    }
    st->hash_next = s->graveyard;
    s->graveyard = st;
}

void wst__session_enter(wst__session_t *s) {
    s->depth++;
}

void wst__session_leave(wst__session_t *s) {
    if (--s->depth > 0)
        return;
    while (s->graveyard != NULL) {
        wst__session_stream_t *st = s->graveyard;
        s->graveyard = st->hash_next;
        free_stream(st);
    }
}

void wst__session_kill_stream(wst__session_stream_t *st, int reason, wst_str_t text) {
    wst__session_t *s = st->session;
    bool pending = st->state == WST__PENDING && st->local;
    bool tell_owner = st->owned && st->state != WST__REFUSED && st->state != WST__RESET;
    const wst__session_callbacks_t *cb = &s->o.callbacks;
    wst__session_remove(st);
    if (tell_owner && pending)
        cb->on_failed(st, reason, text, st->data);
    else if (tell_owner)
        cb->on_reset(st, reason, text, st->data);
    else
        wst__session_release_stream(st);
}

void wst__session_fail_opens(wst__session_t *s, uint64_t above, bool early, int reason,
                             wst_str_t text) {
    /* Apart, since a callback may close any of them. */
    wst__list_t failing, *node;
    wst__list_init(&failing);
    WST__LIST_EACH_SAFE(wst__session_stream_t, st, &s->streams, node) {
        if (st->local && st->state == WST__PENDING && st->id > above && (early || !st->early)) {
            wst__list_remove(&st->node);
            wst__list_append(&failing, &st->node);
        }
    }
    while ((node = wst__list_first(&failing)) != NULL) {
        wst__session_stream_t *st = stream_of(node);
        wst__list_remove(node);
        wst__list_append(&s->streams, node);
        if (st->state == WST__PENDING) {
            st->early = st->early && !early; /* a goaway: nothing was delivered */
            wst__session_kill_stream(st, reason, text);
        }
    }
}

/* Keeps the reason of a stream's end for the peer; without memory only the code. */
static void set_reason(wst__session_stream_t *st, int reason, const char *text) {
    const wst_allocator_t *a = st->session->o.pool->allocator;
    st->reason = wst_is_reason(reason) ? reason : WST_EINTERNAL;
    wst__free(a, st->text);
    st->text = clean_copy(a, text);
}

void wst__session_last_word(wst__session_stream_t *st, wst__session_state_t state, int reason,
                            const char *text) {
    set_reason(st, reason, text);
    st->session->refusal_count += state == WST__REFUSED;
    st->state = state;
    wst__list_remove(&st->ready_node);
    wst__flight_drop(st);
    st->tx_acked = st->tx_sent; /* nothing is in flight any more */
    st->resync = false;
    wst__bufq_reset(&st->tx);
    wst__bufq_reset(&st->rx);
    release_budget(st);
    wst__list_remove(&st->control_node);
    st->tell = 0;
    wst__session_tell(st, state == WST__REFUSED ? WST__TELL_ANSWER : WST__TELL_RESET);
}

void wst__session_drop_streams(wst__session_t *s, int reason) {
    wst__session_detach(s); /* so that callbacks cannot open new streams */
    wst__session_enter(s);
    wst__session_stream_t *st;
    while ((st = wst__session_first_stream(s)) != NULL)
        wst__session_kill_stream(st, reason, (wst_str_t){NULL, 0});
    wst__session_leave(s);
}

/* Sets the flags. Returns whether the carrier has not been woken for what control held before. */
static bool note(wst__session_stream_t *st, unsigned what) {
    wst__session_t *s = st->session;
    bool asleep = wst__list_empty(&s->control) || s->unhurried;
    if (st->tell == 0)
        wst__list_append(&s->control, &st->control_node);
    st->tell = (uint8_t)(st->tell | what);
    return asleep;
}

void wst__session_tell(wst__session_stream_t *st, unsigned what) {
    wst__session_t *s = st->session;
    bool asleep = note(st, what);
    s->unhurried = false;
    if (asleep)
        wst__session_wake(s);
}

static void on_confirming(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    wst__session_t *s = WST__CONTAINER(deadline, wst__session_t, confirming);
    if (!wst__list_empty(&s->control) && s->unhurried)
        wst__session_wake(s);
    s->unhurried = false;
}

/* Nobody misses it while our own direction goes on: the peer keeps the stream anyhow. */
void wst__session_confirm_end(wst__session_stream_t *st) {
    wst__session_t *s = st->session;
    if (st->tx_ended || st->rx_received - st->rx_told > WST__CONFIRM_LEAST) {
        wst__session_tell(st, WST__TELL_CREDIT);
        return;
    }
    s->unhurried = note(st, WST__TELL_CREDIT);
    if (!s->confirming.set)
        wst__deadline_set(s->o.deadlines, &s->confirming, s->last_recv_ms + WST__CONFIRM_MS,
                          on_confirming);
}

void wst__session_untell(wst__session_stream_t *st, unsigned what) {
    st->tell = (uint8_t)(st->tell & ~what);
    if (st->tell == 0)
        wst__list_remove(&st->control_node);
}
