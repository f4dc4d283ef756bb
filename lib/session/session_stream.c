/* SPDX-License-Identifier: MIT */
/*
 * The calls of a stream's owner. Only deliver runs callbacks. A call sets flags in the stream; the
 * messages for the peer are made of them later.
 *
 *     PENDING --completed--> OPEN --both directions done--> DEAD
 *        |  \--refused--> REFUSED --told--> DEAD
 *        +---- reset by us, from either: RESET --told--> DEAD; by the peer: DEAD at once
 */
#include "session_internal.h"

enum {
    COPY_MAX = 4096,        /* copying such a slice costs less than pinning its chunk */
    ROOM_ENOUGH = 64 * 1024 /* a writer waits for so much room, or for half its bound */
};

static_assert((int)WST__SEND_LEAST <= (int)COPY_MAX, "who sends early bytes may move them");

int wst__session_can_open(const wst__session_t *s) {
    if (!s->attached || s->error != 0 || s->bye_said || s->peer_bye)
        return WST_ESTATE;
    if (s->peer_goaway)
        return WST_EGOAWAY;
    if (s->peer_max_streams == 0)
        return WST_ENOAGENT;
    if (s->local_count >= s->peer_max_streams)
        return WST_ELIMIT;
    return 0;
}

int wst__session_open(wst__session_t *s, wst__session_stream_t **out, const char *dest,
                      wst__budget_t *budget, void *stream_data) {
    int status = wst__session_can_open(s);
    if (status != 0)
        return status;
    size_t cost = wst__session_stream_cost(s->o.hello.initial_credit);
    if (!wst__dest_is_valid((wst_str_t){dest, strlen(dest)}))
        return WST_EDEST;
    if (!wst__session_reserve(s, budget, cost))
        return WST_EMEMORY;
    uint64_t id = s->local_highest > 0 ? s->local_highest + 2 : s->o.client ? 1 : 2;
    char *copy = wst__strdup(s->o.pool->allocator, dest);
    wst__session_stream_t *st;
    status = copy != NULL ? wst__session_add(s, &st, id, true) : WST_ENOMEM;
    if (status != 0) {
        wst__session_unreserve(s, budget, cost);
        wst__free(s->o.pool->allocator, copy);
        return status;
    }
    s->local_highest = id;
    st->budget = budget;
    st->reserved = cost;
    st->dest = copy;
    st->data = stream_data;
    st->owned = true;
    wst__session_tell(st, WST__TELL_OPEN);
    *out = st;
    return 0;
}

int wst__session_stream_set_networks(wst__session_stream_t *st, const char *networks) {
    st->networks = wst__strdup(st->session->o.pool->allocator, networks);
    return st->networks != NULL ? 0 : WST_ENOMEM;
}

wst_str_t wst__session_asked_networks(const wst__session_t *s) {
    return s->asked_networks;
}

void wst__session_stream_set_data(wst__session_stream_t *st, void *stream_data) {
    st->data = stream_data;
}

uint64_t wst__session_stream_id(const wst__session_stream_t *st) {
    return st->id;
}

const char *wst__session_stream_dest(const wst__session_stream_t *st) {
    return st->local && st->dest != NULL ? st->dest : "";
}

void wst__session_stream_accept(wst__session_stream_t *st, const char *address) {
    if (st->local || st->state != WST__PENDING)
        return;
    st->has_address = wst__ip_parse(&st->address, address, strlen(address));
    st->state = WST__OPEN;
    wst__session_tell(st, WST__TELL_ANSWER);
    if (st->session->restating)
        wst__session_tell(st, WST__TELL_CREDIT);
    wst__session_update_credit(st); /* of early bytes */
    wst__session_schedule(st);
}

void wst__session_stream_refuse(wst__session_stream_t *st, int reason, const char *text) {
    if (st->local || st->state != WST__PENDING)
        return;
    wst__session_last_word(st, WST__REFUSED, reason, text);
}

bool wst__session_stream_takes_early(const wst__session_stream_t *st) {
    const wst__session_t *s = st->session;
    return st->local && st->state == WST__PENDING && s->takes_early &&
           (st->networks == NULL || s->peer_filters);
}

bool wst__session_stream_early_delivered(const wst__session_stream_t *st) {
    return st->early;
}

uint64_t wst__session_granted(const wst__session_stream_t *st) {
    return st->tx_limit > st->tx_acked ? st->tx_limit - st->tx_acked : 0;
}

/* Bound of tx.len. */
static size_t tx_bound(const wst__session_stream_t *st) {
    uint64_t granted = wst__session_granted(st);
    return granted < st->tx_allowance ? (size_t)granted : st->tx_allowance;
}

size_t wst__session_stream_room(const wst__session_stream_t *st) {
    if (st->state > WST__OPEN || st->tx_ended)
        return 0;
    size_t bound = tx_bound(st);
    return bound > st->tx.len ? bound - st->tx.len : 0;
}

/* A writer that went on for every byte of room would write in small pieces. */
bool wst__session_has_room(const wst__session_stream_t *st) {
    size_t room = wst__session_stream_room(st), half = tx_bound(st) / 2;
    return room > 0 && room >= (half < ROOM_ENOUGH ? half : (size_t)ROOM_ENOUGH);
}

void wst__session_drain(wst__session_stream_t *st) {
    if (st->state != WST__OPEN || !st->tx_waiting || !wst__session_has_room(st))
        return;
    st->tx_waiting = false;
    st->session->o.callbacks.on_drain(st, st->data);
}

int wst__session_stream_write(wst__session_stream_t *st, wst_slice_t data) {
    if (st->state > WST__OPEN || st->tx_ended) {
        wst_slice_unref(data);
        return WST_ESTATE;
    }
    /* Kept until acknowledged, so copying a short slice costs less than tracking it. */
    bool copy = data.chunk != NULL && data.len <= COPY_MAX;
    int status =
        copy ? wst__bufq_append(&st->tx, data.data, data.len) : wst__bufq_push(&st->tx, data);
    if (copy)
        wst_slice_unref(data);
    if (status != 0)
        return status;
    wst__session_schedule(st);
    if (!wst__session_has_room(st) && st->state == WST__OPEN)
        wst__allowance_judge(st);
    /* A writer that was told to wait is told by on_drain when to go on, even if it did not wait. */
    st->tx_waiting = st->tx_waiting || !wst__session_has_room(st);
    return st->tx_waiting ? WST_WAIT : 0;
}

int wst__session_stream_shutdown(wst__session_stream_t *st) {
    if (st->state > WST__OPEN || st->tx_ended)
        return WST_ESTATE;
    st->tx_ended = true;
    wst__session_schedule(st);
    return 0;
}

void wst__session_stream_read(wst__session_stream_t *st, bool wanted) {
    st->reading = wanted;
}

/*
 * A credit is due when what the peer does not know of has grown to half a first window, or to
 * WST__ACK_EVERY: a sender keeps at least twice that, so neither side can wait for the other.
 */
void wst__session_update_credit(wst__session_stream_t *st) {
    if (st->state != WST__OPEN || st->rx_ended) /* nothing more will come */
        return;
    uint64_t initial = st->session->o.hello.initial_credit;
    uint64_t step = initial / 2 < WST__ACK_EVERY ? initial / 2 : WST__ACK_EVERY;
    uint64_t limit = st->rx_delivered + st->rx_window;
    if (step == 0)
        step = 1;
    if (limit >= st->rx_limit + step || st->rx_received - st->rx_told >= step)
        wst__session_tell(st, WST__TELL_CREDIT);
    wst__window_settle(st);
}

void wst__session_stream_deliver(wst__session_stream_t *st) {
    wst__session_t *s = st->session;
    const wst__session_callbacks_t *cb = &s->o.callbacks;
    wst__session_enter(s);
    while (st->state == WST__OPEN && st->reading && st->rx.len > 0) {
        /* A reference, since the callback may reset the stream. */
        wst_slice_t data = wst_slice_ref(wst__bufq_peek(&st->rx, 0, SIZE_MAX));
        wst__bufq_consume(&st->rx, data.len);
        st->rx_delivered += data.len;
        cb->on_data(st, data, st->data);
        wst_slice_unref(data);
    }
    wst__session_update_credit(st);
    if (st->state == WST__OPEN && st->rx_ended)
        wst__window_shrink(st);
    if (st->state == WST__OPEN && st->reading && st->rx_ended && !st->rx_end_delivered &&
        st->rx.len == 0) {
        st->rx_end_delivered = true;
        cb->on_end(st, st->data);
    }
    wst__session_check_done(st);
    wst__session_leave(s);
}

void wst__session_check_done(wst__session_stream_t *st) {
    if (st->state == WST__OPEN && st->tx_end_acked && st->rx_end_delivered && st->tell == 0) {
        wst__session_remove(st);
        wst__session_release_stream(st);
    }
}

void wst__session_stream_close(wst__session_stream_t *st, int reset_reason) {
    wst__session_t *s = st->session;
    st->owned = false;
    wst__session_enter(s);
    if (st->state == WST__PENDING || st->state == WST__OPEN) {
        if (st->state == WST__PENDING && !st->local) {
            wst__session_stream_refuse(st, reset_reason != 0 ? reset_reason : WST_ECANCELLED, NULL);
        } else if (st->state == WST__PENDING && (st->tell & WST__TELL_OPEN) != 0) {
            /* The peer does not know the stream, or only by another carrier: then it drops a stream
             * that is not mentioned on this one. */
            wst__session_remove(st);
        } else if (reset_reason != 0 || !st->tx_end_acked || !st->rx_end_delivered) {
            wst__session_last_word(st, WST__RESET,
                                   reset_reason != 0 ? reset_reason : WST_ECANCELLED, NULL);
        }
    }
    wst__session_release_stream(st);
    wst__session_leave(s);
}
