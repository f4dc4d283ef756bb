/* SPDX-License-Identifier: MIT */
/*
 * Messages out. The order: pongs, goaway, control of streams, a ping, data.
 *
 * Data goes out by deficit round robin (Shreedhar and Varghese, 1995): a stream that sends small
 * frames gets as many bytes as one that sends large ones. A stream that is alone sends the largest
 * frames that the peer takes; several send no more than SHARED_FRAME at a time, so that none waits
 * long for its turn.
 */
#include "session_internal.h"

#include "codec.h"

enum { SHARED_FRAME = 16384 };

static size_t quantum(const wst__session_t *s) {
    return s->peer_max_frame < SHARED_FRAME ? s->peer_max_frame : (size_t)SHARED_FRAME;
}

/* Bytes that may be sent now. */
static size_t sendable(const wst__session_stream_t *st) {
    uint64_t queued_end = st->tx_acked + st->tx.len;
    uint64_t end = queued_end < st->tx_limit ? queued_end : st->tx_limit;
    return st->tx_sent < end ? (size_t)(end - st->tx_sent) : 0;
}

void wst__session_schedule(wst__session_stream_t *st) {
    wst__session_t *s = st->session;
    if (st->state != WST__OPEN || st->resync)
        return;
    wst__session_untell(st, WST__TELL_YIELD); /* its premises have changed */
    if (sendable(st) > 0) {
        if (wst__list_empty(&st->ready_node)) {
            bool was_idle = wst__list_empty(&s->ready);
            st->deficit = quantum(s);
            wst__list_append(&s->ready, &st->ready_node);
            if (was_idle)
                wst__session_wake(s);
        }
        return;
    }
    wst__list_remove(&st->ready_node);
    /* The end follows the last byte, and is repeated on a new carrier. */
    if (st->tx_ended && !st->tx_end_sent && !st->tx_end_acked &&
        st->tx_sent == st->tx_acked + st->tx.len)
        wst__session_tell(st, WST__TELL_END);
}

/* In binary, credit, end and yield fit into the head. */
static int encode_control(wst__session_t *s, const wst_message_t *m, wst__outgoing_t *out) {
    bool small =
        s->encoding == WST_ENCODING_BINARY &&
        (m->method == WST_MSG_CREDIT || m->method == WST_MSG_END || m->method == WST_MSG_YIELD);
    if (!small)
        return wst__outgoing_encode(out, s->o.pool, m, s->encoding, WST_JSON_CONTROL_MAX);
    int len = wst__message_encode(m, s->encoding, out->head, sizeof(out->head), &out->text);
    if (len < 0)
        return len;
    out->head_len = (size_t)len;
    out->payload = (wst_slice_t){NULL, NULL, 0};
    return 1;
}

static wst_str_t text_of(const wst__session_stream_t *st) {
    const char *text = st->text;
    return (wst_str_t){text, text != NULL ? strlen(text) : 0};
}

/* Encodes the next control message of a stream; clears its flag on success. */
static int next_of_stream(wst__session_stream_t *st, uint64_t now_us, wst__outgoing_t *out) {
    wst__session_t *s = st->session;
    wst_message_t m = {.size = sizeof(m), .id = st->id};
    unsigned what = st->tell & (0u - st->tell); /* the lowest flag comes first */
    uint64_t limit;
    switch (what) {
    case WST__TELL_OPEN:
        m.method = WST_MSG_HANDSHAKE;
        m.dest = (wst_str_t){st->dest, strlen(st->dest)};
        break;
    case WST__TELL_ANSWER:
        m.method = WST_MSG_COMPLETED;
        if (st->state == WST__REFUSED) {
            m.error = st->reason;
            m.error_text = text_of(st);
        } else {
            m.address = (wst_str_t){st->address, strlen(st->address)};
        }
        break;
    case WST__TELL_CREDIT:
        wst__window_judge(st, now_us);
        limit = st->rx_delivered + st->rx_window;
        m.method = WST_MSG_CREDIT;
        m.received = st->rx_received + (st->rx_ended ? 1 : 0);
        m.credit = limit > st->rx_limit ? limit : st->rx_limit;
        break;
    case WST__TELL_YIELD:
        m.method = WST_MSG_YIELD;
        m.credit = st->tx_limit;
        m.offset = st->tx_sent + s->peer_initial_credit;
        break;
    case WST__TELL_END:
        m.method = WST_MSG_END;
        m.offset = st->tx_sent;
        break;
    default:
        m.method = WST_MSG_RESET;
        m.error = st->reason;
        m.error_text = text_of(st);
        break;
    }
    int status = encode_control(s, &m, out);
    if (status < 0)
        return status;
    wst__session_untell(st, what);
    if (what == WST__TELL_OPEN)
        st->announced = true;
    if (what == WST__TELL_END)
        st->tx_end_sent = true;
    if (what == WST__TELL_CREDIT) {
        st->rx_told = m.received;
        st->rx_limit = m.credit;
    }
    if (what == WST__TELL_YIELD)
        st->tx_limit = m.offset;
    if (st->state == WST__REFUSED || st->state == WST__RESET) {
        wst__session_remove(st);
        wst__session_release_stream(st);
    } else {
        wst__session_check_done(st);
    }
    return 1;
}

static int next_data(wst__session_t *s, wst__outgoing_t *out) {
    wst__list_t *node = wst__list_first(&s->ready);
    if (node == NULL || wst__flight_is_full(&s->flight))
        return 0;
    wst__session_stream_t *st = WST__CONTAINER(node, wst__session_stream_t, ready_node);
    bool alone = wst__list_next(&s->ready, node) == NULL;
    size_t n = sendable(st), most = alone ? s->peer_max_frame : st->deficit;
    n = n < most ? n : most;
    wst_slice_t data = wst__bufq_peek(&st->tx, (size_t)(st->tx_sent - st->tx_acked), n);
    wst_message_t m = {.size = sizeof(m),
                       .method = WST_MSG_COMMUNICATION,
                       .id = st->id,
                       .data = data.data,
                       .len = data.len};
    int status;
    if (s->encoding == WST_ENCODING_JSON) {
        status = wst__outgoing_encode(out, s->o.pool, &m, s->encoding, WST_JSON_DATA_MAX(data.len));
    } else {
        status = wst__message_encode(&m, s->encoding, out->head, sizeof(out->head), &out->text);
        out->head_len = status > 0 ? (size_t)status : 0;
        if (status > 0)
            out->payload = wst_slice_ref(data);
    }
    if (status < 0)
        return status;
    st->tx_sent += data.len;
    st->deficit -= alone ? 0 : data.len;
    wst__flight_note_sent(st, data.len);
    if (st->tx_waiting && sendable(st) == 0)
        s->short_of_room = true;
    if (sendable(st) == 0) {
        wst__session_schedule(st);
    } else if (st->deficit == 0) {
        /* Its turn is over: to the back, with a new quantum. */
        wst__list_remove(&st->ready_node);
        wst__list_append(&s->ready, &st->ready_node);
        st->deficit = quantum(s);
    }
    return 1;
}

static int next_message(wst__session_t *s, uint64_t now_us, wst__outgoing_t *out) {
    int status;
    if (s->pong_count > 0) {
        const wst_message_t m = {.size = sizeof(m), .method = WST_MSG_PONG, .seq = s->pongs[0]};
        status = encode_control(s, &m, out);
        if (status > 0)
            memmove(s->pongs, s->pongs + 1, --s->pong_count * sizeof(s->pongs[0]));
        return status;
    }
    if (s->goaway_due) {
        const wst_message_t m = {.size = sizeof(m),
                                 .method = WST_MSG_GOAWAY,
                                 .last = s->peer_highest,
                                 .error = s->goaway_reason};
        status = encode_control(s, &m, out);
        s->goaway_due = status < 0;
        return status;
    }
    wst__list_t *node = wst__list_first(&s->control);
    if (node != NULL)
        return next_of_stream(WST__CONTAINER(node, wst__session_stream_t, control_node), now_us,
                              out);
    if (s->ping_due || wst__flight_wants_ping(s)) {
        const wst_message_t m = {.size = sizeof(m), .method = WST_MSG_PING, .seq = s->ping_seq + 1};
        status = encode_control(s, &m, out);
        if (status > 0) {
            s->ping_due = false;
            s->ping_seq++;
            s->ping_unanswered = true;
            s->ping_sent_us = now_us;
            wst__flight_pinged(s, now_us);
            wst__session_arm(s);
        }
        return status;
    }
    return next_data(s, out);
}

int wst__session_next(wst__session_t *s, uint64_t now_us, wst__outgoing_t *out) {
    if (!s->attached || s->error != 0)
        return 0;
    wst__session_enter(s);
    int status = next_message(s, now_us, out);
    wst__session_leave(s);
    return status;
}
