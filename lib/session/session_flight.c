/* SPDX-License-Identifier: MIT */
/*
 * What a session has in flight on its carrier (flight.h), and what confirms it.
 *
 * Credits confirm the bytes of their stream, but the last ones of each stream late, if at all. A
 * pong confirms all bytes that were sent before its ping, since messages arrive in order. So a
 * stream with bytes in flight is in a list: `flying` until a ping is sent, then `pinged` until its
 * pong arrives.
 */
#include "session_internal.h"

void wst__flight_note_sent(wst__session_stream_t *st, size_t len) {
    wst__session_t *s = st->session;
    wst__flight_sent(&s->flight, len);
    if (!wst__list_empty(&st->flight_node))
        return;
    wst__list_append(&s->flying, &st->flight_node);
    s->flight.streams++;
}

static void leave_flight(wst__session_stream_t *st) {
    st->session->flight.streams -= !wst__list_empty(&st->flight_node);
    wst__list_remove(&st->flight_node);
}

/* Wakes the carrier if a full flight has become less. */
static void wake_if_room(wst__session_t *s, bool was_full) {
    if (was_full && !wst__flight_is_full(&s->flight) && wst__session_has_data(s))
        wst__session_wake(s);
}

void wst__flight_drop(wst__session_stream_t *st) {
    wst__session_t *s = st->session;
    bool was_full = wst__flight_is_full(&s->flight);
    if (!st->resync)
        wst__flight_forgotten(&s->flight, st->tx_sent - st->tx_acked);
    leave_flight(st);
    wake_if_room(s, was_full);
}

void wst__flight_reset(wst__session_t *s) {
    WST__LIST_EACH(wst__session_stream_t, st, &s->streams, node)
        leave_flight(st);
    wst__flight_init(&s->flight);
    s->short_of_room = false;
}

void wst__flight_confirm(wst__session_stream_t *st, uint64_t offset) {
    wst__session_t *s = st->session;
    uint64_t bytes = offset - st->tx_acked;
    bool was_full = wst__flight_is_full(&s->flight);
    wst__bufq_consume(&st->tx, (size_t)bytes);
    wst__allowance_settle(st);
    st->tx_acked = offset;
    if (st->resync) /* sent on the carrier before */
        return;
    wst__flight_confirmed(&s->flight, bytes);
    wake_if_room(s, was_full);
}

bool wst__flight_wants_ping(const wst__session_t *s) {
    return !s->ping_unanswered && (s->short_of_room || wst__flight_wants_round(&s->flight));
}

void wst__flight_pinged(wst__session_t *s, uint64_t now_us) {
    wst__flight_ping(&s->flight, now_us);
    s->short_of_room = false;
    wst__list_take(&s->pinged, &s->flying);
    WST__LIST_EACH(wst__session_stream_t, st, &s->pinged, flight_node)
        st->tx_pinged = st->tx_sent;
}

void wst__flight_ponged(wst__session_t *s, uint64_t now_us) {
    wst__list_t confirmed, *node;
    wst__list_take(&confirmed, &s->pinged);
    WST__LIST_EACH(wst__session_stream_t, st, &confirmed, flight_node)
        if (st->tx_pinged > st->tx_acked)
            wst__flight_confirm(st, st->tx_pinged);
    const wst__session_callbacks_t *cb = &s->o.callbacks;
    uint64_t rtt_us = wst__flight_round_us(&s->flight, now_us);
    bool lossy = cb->on_round != NULL && cb->on_round(s, rtt_us, s->o.user_data);
    wst__flight_pong(&s->flight, now_us, lossy);
    /* Callbacks run only now: they may send, even the next ping. */
    while ((node = wst__list_first(&confirmed)) != NULL) {
        wst__session_stream_t *st = WST__CONTAINER(node, wst__session_stream_t, flight_node);
        wst__list_remove(node);
        if (st->tx_sent > st->tx_acked)
            wst__list_append(&s->flying, node);
        else
            s->flight.streams--;
        wst__session_drain(st);
    }
    if (wst__flight_wants_ping(s) || wst__session_has_data(s))
        wst__session_wake(s);
}
