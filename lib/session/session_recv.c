/* SPDX-License-Identifier: MIT */
/*
 * Messages in. Checks each rule of lib/PROTOCOL.md and names each breach.
 *
 * A message may be about a stream that is not in the table. At or below the highest id seen, the
 * stream has finished: the message is late and ignored. Above it, only an open is allowed.
 */
#include "session_internal.h"

#include "codec.h"

static int breach(wst__session_t *s, const char *detail) {
    return wst__session_fail(s, WST_EPROTO, detail);
}

static bool is_local_id(const wst__session_t *s, uint64_t id) {
    return (id % 2 == 1) == s->o.client;
}

/* Refuses by a stream of its own, since control is state here, too. */
static int refuse_open(wst__session_t *s, uint64_t id, int reason) {
    if (s->refusal_count >= WST__REFUSALS_MAX)
        return wst__session_fail(s, WST_EFLOOD, "too many opens whose refusals are not read");
    wst__session_stream_t *st;
    int status = wst__session_add(s, &st, id, false);
    if (status != 0)
        return wst__session_fail(s, status, "no memory to refuse a stream");
    wst__session_stream_refuse(st, reason, NULL);
    return 0;
}

/* The first message about a stream on a new carrier: continue where the peer stands. */
static void resume_stream(wst__session_stream_t *st) {
    st->resync = false;
    st->tx_sent = st->tx_acked;
    st->tx_end_sent = st->tx_end_acked;
    wst__session_schedule(st);
}

static int on_msg_handshake(wst__session_t *s, const wst_message_t *m) {
    if (is_local_id(s, m->id))
        return breach(s, "opened a stream with an id of ours");
    if (m->id <= s->peer_highest) {
        if (!s->resyncing)
            return breach(s, "opened a stream with an id that is not above the last");
        wst__session_stream_t *known = wst__session_find(s, m->id);
        if (known == NULL) /* our answer was lost with the old carrier */
            return refuse_open(s, m->id, WST_ELOST);
        if (known->resync)
            resume_stream(known); /* still pending for the peer: it has received nothing of ours */
        return 0;
    }
    s->peer_highest = m->id;
    if (s->goaway_said)
        return refuse_open(s, m->id, WST_EGOAWAY);
    if (s->o.callbacks.on_open == NULL)
        return refuse_open(s, m->id, WST_EDENIED);
    if (s->peer_count - s->refusal_count >= s->o.hello.max_streams)
        return refuse_open(s, m->id, WST_ELIMIT);
    size_t cost = wst__session_stream_cost(s->o.hello.initial_credit);
    if (!wst__session_reserve(s, NULL, cost))
        return refuse_open(s, m->id, WST_EMEMORY);
    wst__session_stream_t *st;
    if (wst__session_add(s, &st, m->id, false) != 0) {
        wst__session_unreserve(s, NULL, cost);
        return wst__session_fail(s, WST_ENOMEM, "no memory for a stream");
    }
    st->reserved = cost;
    st->owned = true;
    s->asked_networks = m->networks;
    s->o.callbacks.on_open(s, st, m->dest, s->o.user_data);
    return 0;
}

static int on_msg_completed(wst__session_t *s, wst__session_stream_t *st, const wst_message_t *m) {
    if (!st->local)
        return breach(s, "answered an open of its own");
    if (st->state == WST__RESET)
        return 0;
    if (st->state != WST__PENDING)
        return s->resyncing ? 0 : breach(s, "answered a stream twice");
    if ((st->tell & WST__TELL_OPEN) != 0) {
        /* Completed on an earlier carrier; the peer expects a message about it on this one. */
        wst__session_untell(st, WST__TELL_OPEN);
        wst__session_tell(st, WST__TELL_CREDIT);
    }
    if (m->error != 0) {
        st->early = st->early && m->error == WST_ELOST; /* else nothing was delivered */
        wst__session_kill_stream(st, m->error, m->error_text);
        return 0;
    }
    st->state = WST__OPEN;
    s->o.callbacks.on_opened(st, m->address, st->data);
    wst__session_forget_open(st);
    wst__session_schedule(st);
    wst__session_drain(st); /* early bytes may have made room */
    return 0;
}

/* Resets a stream: tells the owner now, the peer later. */
static void abort_stream(wst__session_stream_t *st, int reason, const char *text) {
    wst__session_t *s = st->session;
    wst__session_last_word(st, st->state == WST__PENDING ? WST__REFUSED : WST__RESET, reason, text);
    s->o.callbacks.on_reset(st, reason, (wst_str_t){text, strlen(text)}, st->data);
}

/* The piece as a slice: in the carrier's chunk if the payload is there, else a copy. */
static int payload_slice(wst__session_t *s, const wst_message_t *m, wst_slice_t piece,
                         wst_slice_t *data) {
    if (s->encoding == WST_ENCODING_BINARY) {
        *data = wst_slice_ref((wst_slice_t){piece.chunk, m->data, m->len});
        return 0;
    }
    return wst__pool_copy(s->o.pool, data, m->data, m->len);
}

static int on_msg_communication(wst__session_t *s, wst__session_stream_t *st, uint64_t now_us,
                                const wst_message_t *m, wst_slice_t piece) {
    if (st->state >= WST__REFUSED)
        return 0;
    if (st->state == WST__PENDING && (st->local || !s->takes_early))
        return breach(s, "data before the stream was open");
    if (st->rx_ended)
        return breach(s, "data behind the end of its stream");
    if (m->len > st->rx_limit - st->rx_received)
        return breach(s, "more data than credit");
    if (st->resync)
        return breach(s, "data on a new carrier before the stream was restated");
    if (st->rx_received == 0)
        st->rx_epoch_us = now_us;
    st->rx_received += m->len;
    wst__flight_heard(&s->flight, m->len);
    if (st->state == WST__OPEN && st->reading && st->rx.len == 0) {
        wst_slice_t data;
        if (payload_slice(s, m, piece, &data) != 0) {
            abort_stream(st, WST_EMEMORY, "no memory for received data");
            return 0;
        }
        st->rx_delivered += data.len;
        s->o.callbacks.on_data(st, data, st->data);
        wst_slice_unref(data);
    } else if (wst__bufq_append(&st->rx, m->data, m->len) != 0) {
        /* Always a copy: the carrier's chunk is shared with other streams. */
        abort_stream(st, WST_EMEMORY, "no memory for received data");
        return 0;
    }
    wst__session_update_credit(st);
    return 0;
}

/* Drops the bytes up to `received`, which need not be kept any longer. */
static int acknowledge(wst__session_t *s, wst__session_stream_t *st, uint64_t received) {
    uint64_t end = st->tx_acked + st->tx.len;
    bool end_acked = st->tx_end_sent && received == end + 1;
    if (end_acked)
        received = end;
    if (received < st->tx_told || received > st->tx_sent || (st->tx_end_acked && !end_acked))
        return breach(s, "credit acknowledges what was not sent, or takes back");
    st->tx_told = received;
    st->tx_end_acked = end_acked;
    if (received > st->tx_acked) /* else a pong has confirmed more */
        wst__flight_confirm(st, received);
    return 0;
}

static int on_msg_credit(wst__session_t *s, wst__session_stream_t *st, const wst_message_t *m) {
    if (st->state >= WST__REFUSED)
        return 0;
    if (st->state == WST__PENDING && !(st->local && st->resync))
        return breach(s, "credit before the stream was open");
    if (m->credit < st->tx_limit)
        return breach(s, "credit was taken back");
    bool was_acked = st->tx_end_acked;
    int status = acknowledge(s, st, m->received);
    if (status != 0)
        return status;
    st->tx_limit = m->credit;
    if (st->resync)
        resume_stream(st);
    else
        wst__session_schedule(st);
    wst__session_drain(st);
    if (!was_acked && st->tx_end_acked && st->state == WST__OPEN)
        s->o.callbacks.on_shutdown(st, st->data);
    if (st->state == WST__OPEN)
        wst__session_check_done(st);
    return 0;
}

/* The peer gives credit back, unless it has been granted more meanwhile. */
static int on_msg_yield(wst__session_t *s, wst__session_stream_t *st, const wst_message_t *m) {
    if (st->state >= WST__REFUSED)
        return 0;
    if (st->state == WST__PENDING)
        return breach(s, "yield before the stream was open");
    if (st->resync)
        return breach(s, "yield on a new carrier before the stream was restated");
    if (st->rx_ended)
        return breach(s, "yield behind the end of its stream");
    if (m->credit > st->rx_limit || m->offset < st->rx_received)
        return breach(s, "yield of credit that was not given, or was used");
    if (m->credit == st->rx_limit) {
        st->rx_limit = m->offset;
        wst__window_shrink(st);
        wst__session_update_credit(st); /* the peer may have given back more than is due */
    }
    return 0;
}

static int on_msg_end(wst__session_t *s, wst__session_stream_t *st, const wst_message_t *m) {
    if (st->state >= WST__REFUSED)
        return 0;
    if (st->state == WST__PENDING)
        return breach(s, "end before the stream was open");
    if (st->resync)
        return breach(s, "end on a new carrier before the stream was restated");
    if (st->rx_ended)
        return breach(s, "second end of a stream");
    if (m->offset != st->rx_received)
        return breach(s, "end at another offset than the data's");
    st->rx_ended = true;
    wst__session_confirm_end(st);
    wst__session_stream_deliver(st);
    return 0;
}

static int on_msg_goaway(wst__session_t *s, const wst_message_t *m) {
    bool first = !s->peer_goaway; /* each carrier repeats it */
    s->peer_goaway = true;
    wst__session_changed(s);
    /* The peer will not serve these streams; another peer may. */
    wst__session_fail_opens(s, m->last, true, WST_EGOAWAY, m->error_text);
    if (first && s->o.callbacks.on_goaway != NULL)
        s->o.callbacks.on_goaway(s, m->error, s->o.user_data);
    return 0;
}

static int on_msg_bye(wst__session_t *s, const wst_message_t *m) {
    s->peer_bye = true;
    wst__session_changed(s);
    if (s->o.callbacks.on_bye != NULL)
        s->o.callbacks.on_bye(s, m->error, m->error_text, s->o.user_data);
    return 0;
}

/*
 * The peer has forgotten a stream that is still in our table. It has finished there if the peer can
 * have received our end and our acknowledgement of its own end; else it is lost.
 */
static void forgotten_by_peer(wst__session_stream_t *st) {
    wst__session_t *s = st->session;
    if (!st->tx_end_sent || st->rx_told <= st->rx_received) {
        wst__session_kill_stream(st, WST_ELOST, (wst_str_t){NULL, 0});
        return;
    }
    bool was_acked = st->tx_end_acked;
    st->tx_end_acked = true;
    if (!was_acked)
        s->o.callbacks.on_shutdown(st, st->data);
    wst__session_check_done(st);
}

/* The first ping on a new carrier ends the peer's account of its streams. */
static void end_resync(wst__session_t *s) {
    /* Apart, since a callback may close any of them. None of them is ready to send. */
    wst__list_t unmentioned, *node;
    wst__list_init(&unmentioned);
    s->resyncing = false;
    WST__LIST_EACH(wst__session_stream_t, st, &s->streams, node)
        if (st->resync)
            wst__list_append(&unmentioned, &st->ready_node);
    while ((node = wst__list_first(&unmentioned)) != NULL) {
        wst__session_stream_t *st = WST__CONTAINER(node, wst__session_stream_t, ready_node);
        wst__list_remove(node);
        if (st->state == WST__PENDING && st->local) { /* no early byte has arrived */
            resume_stream(st);
            continue;
        }
        wst__flight_confirm(st, st->tx_sent); /* or lost, which comes to the same */
        st->resync = false;
        forgotten_by_peer(st);
    }
}

static int on_msg_ping(wst__session_t *s, const wst_message_t *m) {
    if (s->resyncing)
        end_resync(s);
    if (s->pong_count == WST__PONGS_MAX)
        return wst__session_fail(s, WST_EFLOOD, "too many pings");
    s->pongs[s->pong_count++] = m->seq;
    wst__session_wake(s);
    return 0;
}

/* Whether the opener says what may only follow our answer. */
static bool follows_answer(const wst__session_t *s, wst_method_t method) {
    return method != WST_MSG_COMPLETED && method != WST_MSG_RESET &&
           !(method == WST_MSG_COMMUNICATION && s->takes_early);
}

/* The opener has our answer, so that no later carrier need repeat it. */
static void note_agreed(wst__session_stream_t *st) {
    if (st->local || st->agreed || !st->answered || st->state != WST__OPEN)
        return;
    st->agreed = true;
    wst__session_untell(st, WST__TELL_ANSWER);
}

static int dispatch_to_stream(wst__session_t *s, uint64_t now_us, const wst_message_t *m,
                              wst_slice_t piece) {
    wst__session_stream_t *st = wst__session_find(s, m->id);
    if (st == NULL) {
        uint64_t highest = is_local_id(s, m->id) ? s->local_highest : s->peer_highest;
        return m->id <= highest ? 0 : breach(s, "message about a stream that was never opened");
    }
    if (st->local && !st->announced)
        return breach(s, "message about a stream that was never opened");
    if (follows_answer(s, m->method))
        note_agreed(st);
    switch (m->method) {
    case WST_MSG_COMPLETED:
        return on_msg_completed(s, st, m);
    case WST_MSG_COMMUNICATION:
        return on_msg_communication(s, st, now_us, m, piece);
    case WST_MSG_CREDIT:
        return on_msg_credit(s, st, m);
    case WST_MSG_END:
        return on_msg_end(s, st, m);
    case WST_MSG_YIELD:
        return on_msg_yield(s, st, m);
    default:
        if (st->state < WST__REFUSED)
            wst__session_kill_stream(st, m->error, m->error_text);
        return 0;
    }
}

static int dispatch_message(wst__session_t *s, uint64_t now_us, const wst_message_t *m,
                            wst_slice_t piece) {
    switch (m->method) {
    case WST_MSG_HELLO:
        return breach(s, "second hello");
    case WST_MSG_HANDSHAKE:
        return on_msg_handshake(s, m);
    case WST_MSG_PING:
        return on_msg_ping(s, m);
    case WST_MSG_PONG:
        if (s->ping_unanswered && m->seq == s->ping_seq) {
            s->ping_unanswered = false;
            wst__flight_ponged(s, now_us);
        }
        return 0;
    case WST_MSG_GOAWAY:
        return on_msg_goaway(s, m);
    case WST_MSG_BYE:
        return on_msg_bye(s, m);
    default:
        return dispatch_to_stream(s, now_us, m, piece);
    }
}

/* The peer has sent something, if not the pong. */
static void clear_suspicion(wst__session_t *s) {
    s->suspect = false;
    wst__session_arm(s);
    wst__session_changed(s);
}

int wst__session_recv(wst__session_t *s, uint64_t now_us, bool text, wst_slice_t piece, bool fin) {
    if (s->error != 0)
        return s->error;
    assert(s->attached && s->depth == 0);
    /* is_suspect may have answered true before the deadline that tells it by on_change. */
    bool suspect = wst__session_is_suspect(s, now_us);
    s->last_recv_ms = now_us / 1000;
    if (suspect)
        clear_suspicion(s);
    if (s->bye_said || s->peer_bye)
        return 0;
    wst_message_t m;
    int status = wst__decoder_push(s->decoder, text, piece.data, piece.len, fin, &m);
    if (status <= 0) {
        return status == 0 ? 0 : wst__session_fail(s, status, wst_decoder_error_detail(s->decoder));
    }
    wst__session_enter(s);
    status = dispatch_message(s, now_us, &m, piece);
    wst__session_leave(s);
    return s->error != 0 ? s->error : status;
}
