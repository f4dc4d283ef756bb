/* SPDX-License-Identifier: MIT */
/*
 * Windows that follow the product of bandwidth and delay (PROTOCOL.md, "Windows that grow").
 *
 * The receiver keeps a window at least twice as large as the data of a round trip: with less, the
 * sender must have waited. The sender keeps as much as it is granted, since it keeps all bytes
 * until they are acknowledged. Both borrow from the budget; if that lends no more, their bounds do
 * not grow. A sender that falls silent gives back, and tells the receiver.
 */
#include "session_internal.h"

static size_t window_loan(const wst__session_stream_t *st, uint64_t window) {
    return wst__bufq_bound_append((size_t)window) -
           wst__bufq_bound_append((size_t)st->session->o.hello.initial_credit);
}

static size_t allowance_loan(size_t allowance) {
    return wst__bufq_bound_push(allowance) - wst__bufq_bound_push(WST__SEND_ALLOWANCE);
}

void wst__window_init(wst__session_stream_t *st) {
    st->rx_window = st->session->o.hello.initial_credit;
    st->tx_allowance = WST__SEND_ALLOWANCE;
}

static void set_window(wst__session_stream_t *st, uint64_t window) {
    wst__budget_give_back(st->session->o.budget,
                          window_loan(st, st->rx_window) - window_loan(st, window));
    st->rx_window = window;
}

static void reset_allowance(wst__session_stream_t *st) {
    wst__budget_give_back(st->session->o.budget, allowance_loan(st->tx_allowance));
    st->tx_allowance = WST__SEND_ALLOWANCE;
}

void wst__window_release(wst__session_stream_t *st) {
    set_window(st, st->session->o.hello.initial_credit);
    reset_allowance(st);
}

void wst__window_judge(wst__session_stream_t *st, uint64_t now_us) {
    wst__session_t *s = st->session;
    uint64_t taken = st->rx_delivered - st->rx_epoch, elapsed_us = now_us - st->rx_epoch_us;
    if (!s->peer_yields || s->rtt_min_us == UINT64_MAX || st->rx_ended || taken < st->rx_window / 2)
        return;
    /* A round trip carries taken / elapsed * rtt bytes; a window below twice that is too small. */
    bool fast = st->rx_window * elapsed_us < 2 * taken * s->rtt_min_us;
    uint64_t window = 2 * st->rx_window < s->o.window_max ? 2 * st->rx_window : s->o.window_max;
    st->rx_epoch = st->rx_delivered;
    st->rx_epoch_us = now_us;
    if (fast && window > st->rx_window &&
        wst__budget_borrow(s->o.budget, window_loan(st, window) - window_loan(st, st->rx_window)))
        st->rx_window = window;
}

void wst__window_shrink(wst__session_stream_t *st) {
    uint64_t initial = st->session->o.hello.initial_credit;
    uint64_t ahead = (st->rx_ended ? st->rx_received : st->rx_limit) - st->rx_delivered;
    if (ahead < st->rx_window)
        set_window(st, ahead > initial ? ahead : initial);
}

void wst__allowance_judge(wst__session_stream_t *st) {
    uint64_t granted = wst__session_granted(st);
    uint64_t wanted = 2 * (uint64_t)st->tx_allowance;
    if (st->tx.len < st->tx_allowance || granted <= st->tx_allowance)
        return;
    wanted = wanted < granted ? wanted : granted;
    wanted = wanted < st->session->o.window_max ? wanted : st->session->o.window_max;
    if (wanted > st->tx_allowance &&
        wst__budget_borrow(st->session->o.budget,
                           allowance_loan((size_t)wanted) - allowance_loan(st->tx_allowance)))
        st->tx_allowance = (size_t)wanted;
}

void wst__window_tick(wst__session_stream_t *st) {
    wst__session_t *s = st->session;
    bool silent = st->tx.len == 0 && st->tx_sent == st->tx_ticked;
    st->tx_ticked = st->tx_sent;
    if (st->state != WST__OPEN || st->resync || !silent)
        return;
    reset_allowance(st);
    if (s->peer_yields && !st->tx_ended && st->tx_limit > st->tx_sent + s->peer_initial_credit)
        wst__session_tell(st, WST__TELL_YIELD);
}
