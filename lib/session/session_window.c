/* SPDX-License-Identifier: MIT */
/*
 * Windows that follow the product of bandwidth and delay (PROTOCOL.md, "Windows that grow").
 *
 * The receiver gives a busy stream the carrier's floor at once, then keeps its window at least four
 * times as large as the data of a round trip: with less, the sender may have to wait, and credits
 * arrive late. While a stream is busy the receiver pings, since its pongs come behind the data: so
 * the round trip contains what a lost packet delays. The sender keeps as much as it is granted,
 * since it keeps all bytes until they are confirmed. Both borrow from the budget; if that lends no
 * more, their bounds do not grow.
 *
 * At each tick a stream that has not used half of a bound gives a part of it back. A sender that
 * falls silent gives back all, and tells the receiver.
 */
#include "session_internal.h"

enum {
    BUSY_US = 1000 * 1000, /* half a window within this, or within round trips, means busy */
    BUSY_ROUND_TRIPS = 4,
    SHARE_LEAST = 32768,  /* of a sender's allowance, however many streams there are */
    PING_US = 500 * 1000, /* between pings of a receiver */
    MARGIN = 4            /* of a window over the data of a round trip */
};

static uint64_t initial_window(const wst__session_stream_t *st) {
    return st->session->o.hello.initial_credit;
}

static uint64_t least_of(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static uint64_t most_of(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

void wst__window_init(wst__session_stream_t *st) {
    st->rx_window = st->rx_reserved = initial_window(st);
    st->tx_allowance = st->tx_reserved = WST__SEND_LEAST;
}

/* The receiver's window ---------------------------------------------------------------------- */

static size_t window_loan(const wst__session_stream_t *st, uint64_t window) {
    return wst__bufq_bound_append((size_t)window) -
           wst__bufq_bound_append((size_t)initial_window(st));
}

/* What must be reserved: bytes not delivered yet, here or granted. */
static uint64_t outstanding(const wst__session_stream_t *st) {
    return (st->rx_ended ? st->rx_received : st->rx_limit) - st->rx_delivered;
}

/* Reserves for a window of `wanted` bytes or what is outstanding, whichever is more. Shrinking
 * never fails. */
static bool reserve_window(wst__session_stream_t *st, uint64_t wanted) {
    uint64_t need = most_of(wanted, most_of(outstanding(st), initial_window(st)));
    size_t has = window_loan(st, st->rx_reserved), needs = window_loan(st, need);
    if (needs > has && !wst__session_borrow(st, needs - has))
        return false;
    if (needs < has)
        wst__session_give_back(st, has - needs);
    st->rx_reserved = need;
    return true;
}

static bool set_window(wst__session_stream_t *st, uint64_t window) {
    if (!reserve_window(st, window))
        return false;
    st->rx_window = window;
    return true;
}

void wst__window_settle(wst__session_stream_t *st) {
    if (st->rx_reserved > st->rx_window)
        (void)reserve_window(st, st->rx_window);
}

/* What the stream could use, going by the bytes taken in the time elapsed. */
static uint64_t wanted_window(const wst__session_stream_t *st, uint64_t taken,
                              uint64_t elapsed_us) {
    const wst__session_t *s = st->session;
    uint64_t rtt_us = s->flight.rtt_us;
    uint64_t floor = wst__flight_floor(&s->flight), window = st->rx_window;
    if (elapsed_us > BUSY_US + BUSY_ROUND_TRIPS * rtt_us)
        return window;
    if (window < floor)
        window = floor;
    else if (window * elapsed_us < MARGIN * taken * rtt_us)
        window *= 2;
    return most_of(least_of(window, s->o.window_max), st->rx_window);
}

void wst__window_judge(wst__session_stream_t *st, uint64_t now_us) {
    uint64_t taken = st->rx_delivered - st->rx_epoch, elapsed_us = now_us - st->rx_epoch_us;
    if (!st->session->peer_yields || st->rx_ended || taken == 0 || taken < st->rx_window / 2)
        return;
    wst__session_t *s = st->session;
    if (!s->ping_unanswered && now_us - s->ping_sent_us >= PING_US)
        s->ping_due = true; /* the caller is sending */
    uint64_t wanted = wanted_window(st, taken, elapsed_us);
    while (wanted > st->rx_window && !set_window(st, wanted))
        wanted = wanted * 3 / 4; /* as much as the budget lends */
    st->rx_epoch = st->rx_delivered;
    st->rx_epoch_us = now_us;
}

void wst__window_shrink(wst__session_stream_t *st) {
    uint64_t ahead = outstanding(st);
    if (ahead < st->rx_window)
        (void)set_window(st, most_of(ahead, initial_window(st)));
}

/* The sender's allowance --------------------------------------------------------------------- */

static size_t allowance_loan(size_t allowance) {
    return allowance > WST__SEND_LEAST
               ? wst__bufq_bound_push(allowance) - wst__bufq_bound_append(WST__SEND_LEAST)
               : 0;
}

static void give_back_allowance(wst__session_stream_t *st, size_t rest) {
    wst__session_give_back(st, allowance_loan(st->tx_reserved) - allowance_loan(rest));
    st->tx_reserved = (uint32_t)rest;
}

/* The whole first chunk is pinned, however much of it has been acknowledged. */
void wst__allowance_settle(wst__session_stream_t *st) {
    if (st->tx_reserved == st->tx_allowance)
        return;
    const wst_chunk_t *first = wst__bufq_peek(&st->tx, 0, 1).chunk;
    uint64_t pins = most_of(st->tx.len, first != NULL ? wst_chunk_capacity(first) : 0);
    uint64_t needs = most_of(st->tx_allowance, pins);
    if (needs < st->tx_reserved)
        give_back_allowance(st, (size_t)needs);
}

/* A smaller one does not give back at once what the queue pins. */
static bool set_allowance(wst__session_stream_t *st, size_t allowance) {
    if (allowance > st->tx_reserved) {
        size_t has = allowance_loan(st->tx_reserved), needs = allowance_loan(allowance);
        if (!wst__session_borrow(st, needs - has))
            return false;
        st->tx_reserved = (uint32_t)allowance;
    }
    st->tx_allowance = (uint32_t)allowance;
    wst__allowance_settle(st);
    return true;
}

/*
 * What many streams may have in flight, and as much again that follows at once, shared by those
 * that have something there. More would only wait here instead of at its source.
 */
static uint64_t fair_allowance(const wst__session_t *s) {
    uint64_t most = most_of(s->flight.limit, wst__flight_limit(&s->flight));
    return most_of(2 * most / most_of(s->flight.streams, 1), SHARE_LEAST);
}

void wst__allowance_judge(wst__session_stream_t *st) {
    const wst__session_t *s = st->session;
    if (!s->attached) /* more would only wait here */
        return;
    uint64_t own = most_of(s->o.window_max, initial_window(st));
    uint64_t most = least_of(wst__session_granted(st), own);
    uint64_t used = most_of(2 * (uint64_t)st->tx_allowance, st->tx.len);
    uint64_t fair = fair_allowance(s);
    if (fair < st->tx_allowance / 2)
        (void)set_allowance(st, (size_t)fair);
    uint64_t wanted = least_of(2 * used, least_of(most, fair));
    while (wanted > st->tx_allowance && !set_allowance(st, (size_t)wanted))
        wanted = wanted * 3 / 4;
}

/* Both --------------------------------------------------------------------------------------- */

void wst__window_release(wst__session_stream_t *st) {
    wst__session_give_back(st, window_loan(st, st->rx_reserved));
    st->rx_window = st->rx_reserved = initial_window(st);
    st->tx_allowance = WST__SEND_LEAST;
    give_back_allowance(st, WST__SEND_LEAST);
}

void wst__window_suspend(wst__session_stream_t *st) {
    wst__window_shrink(st);
    /* Room is left for a writer that was not told to wait. */
    uint64_t need = most_of(2 * (uint64_t)st->tx.len, WST__SEND_LEAST);
    if (need < st->tx_allowance)
        (void)set_allowance(st, (size_t)need);
}

static void shrink_unused(wst__session_stream_t *st) {
    uint64_t received = st->rx_received - st->rx_ticked, sent = st->tx_sent - st->tx_ticked;
    /* Not below a credit that is due and acknowledges nothing: it would repeat the last one, and
     * could cross a yield. */
    bool grants = (st->tell & WST__TELL_CREDIT) != 0 && st->rx_received == st->rx_told;
    if (!grants && received < st->rx_window / 2 && st->rx_window > initial_window(st))
        (void)set_window(st, most_of(st->rx_window / 2, initial_window(st)));
    size_t half = st->tx_allowance / 2;
    if (sent < half && st->tx.len < half)
        (void)set_allowance(st, half > WST__SEND_LEAST ? half : (size_t)WST__SEND_LEAST);
}

void wst__window_tick(wst__session_stream_t *st) {
    wst__session_t *s = st->session;
    /* Once all is acknowledged by credits, no credit that a yield could cross is on its way. */
    bool silent = st->tx.len == 0 && st->tx_told == st->tx_sent && st->tx_sent == st->tx_ticked;
    if (st->state == WST__OPEN && !st->resync)
        shrink_unused(st);
    st->rx_ticked = st->rx_received;
    st->tx_ticked = st->tx_sent;
    if (st->state != WST__OPEN || st->resync || !silent)
        return;
    (void)set_allowance(st, WST__SEND_LEAST);
    if (s->peer_yields && !st->tx_ended && st->tx_limit > st->tx_sent + s->peer_initial_credit)
        wst__session_tell(st, WST__TELL_YIELD);
}
