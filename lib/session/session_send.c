/* SPDX-License-Identifier: MIT */
/*
 * Messages out. The order: pongs, goaway, control of streams, a ping, data. A bye goes ahead of all
 * and ends them.
 *
 * Data goes out by deficit round robin with the largest frame as the quantum (Shreedhar and
 * Varghese, 1995): a stream that sends small frames gets as many bytes as one that sends large
 * ones. A stream that has had nothing to send for a round goes ahead of the others, for one quantum
 * (RFC 8290 section 4.2): so a keystroke does not wait behind downloads.
 */
#include "session_internal.h"

#include "codec.h"

/* Bytes that may be sent now. */
static size_t sendable(const wst__session_stream_t *st) {
    uint64_t queued_end = st->tx_acked + st->tx.len;
    uint64_t end = queued_end < st->tx_limit ? queued_end : st->tx_limit;
    return st->tx_sent < end ? (size_t)(end - st->tx_sent) : 0;
}

/* Whether data may be sent: on an open stream, or early. */
static bool takes_data(const wst__session_stream_t *st) {
    return (st->state == WST__OPEN || wst__session_stream_takes_early(st)) && !st->resync;
}

void wst__session_schedule(wst__session_stream_t *st) {
    wst__session_t *s = st->session;
    if (!takes_data(st))
        return;
    wst__session_untell(st, WST__TELL_YIELD); /* its premises have changed */
    if (sendable(st) > 0) {
        if (wst__list_empty(&st->ready_node)) {
            st->deficit = s->peer_max_frame;
            wst__list_append(&s->fresh, &st->ready_node);
        }
        wst__session_wake(s);
        return;
    }
    /* The end follows the last byte, and is repeated on a new carrier. */
    if (st->state == WST__OPEN && st->tx_ended && !st->tx_end_sent && !st->tx_end_acked &&
        st->tx_sent == st->tx_acked + st->tx.len)
        wst__session_tell(st, WST__TELL_END);
}

bool wst__session_has_data(const wst__session_t *s) {
    return !wst__list_empty(&s->fresh) || !wst__list_empty(&s->ready);
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

static wst_str_t text_of(const char *text) {
    return (wst_str_t){text, text != NULL ? strlen(text) : 0};
}

static wst_str_t address_of(const wst__session_stream_t *st, char text[WST__IP_TEXT]) {
    if (!st->has_address)
        return (wst_str_t){NULL, 0};
    wst__ip_text(text, &st->address);
    return (wst_str_t){text, strlen(text)};
}

/* Encodes the next control message of a stream; clears its flag on success. */
static int next_of_stream(wst__session_stream_t *st, uint64_t now_us, wst__outgoing_t *out) {
    wst__session_t *s = st->session;
    wst_message_t m = {.size = sizeof(m), .id = st->id};
    unsigned what = st->tell & (0u - st->tell); /* the lowest flag comes first */
    char address[WST__IP_TEXT];
    uint64_t limit;
    switch (what) {
    case WST__TELL_OPEN:
        m.method = WST_MSG_HANDSHAKE;
        m.dest = (wst_str_t){st->dest, strlen(st->dest)};
        if (st->networks != NULL && s->peer_filters)
            m.networks = (wst_str_t){st->networks, strlen(st->networks)};
        break;
    case WST__TELL_ANSWER:
        m.method = WST_MSG_COMPLETED;
        if (st->state == WST__REFUSED) {
            m.error = st->reason;
            m.error_text = text_of(st->text);
        } else {
            m.address = address_of(st, address);
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
        m.error_text = text_of(st->text);
        break;
    }
    int status = encode_control(s, &m, out);
    if (status < 0)
        return status;
    wst__session_untell(st, what);
    if (what == WST__TELL_OPEN)
        st->announced = true;
    if (what == WST__TELL_ANSWER)
        st->answered = true;
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

/* Messages of fresh streams in a row, while others wait: new streams must not starve old ones. */
enum { FRESH_TURNS = 16 };

/* The stream whose turn it is; NULL: none has anything to send. A stream that has run dry stays in
 * `ready` until its turn comes, so that it does not count as fresh before. */
static wst__session_stream_t *next_in_turn(wst__session_t *s) {
    for (;;) {
        bool others = !wst__list_empty(&s->ready);
        bool fresh = !wst__list_empty(&s->fresh) && !(others && s->fresh_turns >= FRESH_TURNS);
        wst__list_t *node = wst__list_first(fresh ? &s->fresh : &s->ready);
        if (node == NULL)
            return NULL;
        wst__session_stream_t *st = WST__CONTAINER(node, wst__session_stream_t, ready_node);
        bool dry = sendable(st) == 0;
        if (!dry && st->deficit > 0) {
            s->fresh_turns = fresh ? s->fresh_turns + 1 : 0;
            return st;
        }
        wst__list_remove(node);
        if (fresh || !dry)
            wst__list_append(&s->ready, node);
        st->deficit = s->peer_max_frame;
    }
}

/* A stream that has at most so many bytes to send is sparse: a keystroke, a request. */
enum { SPARSE = 2048 };

/* Whether the stream whose turn it is has little to send, and had nothing before. */
static bool is_sparse(const wst__session_stream_t *st) {
    const wst__session_t *s = st->session;
    bool first = st->deficit == s->peer_max_frame;
    return s->fresh_turns > 0 && first && st->tx_acked + st->tx.len - st->tx_sent <= SPARSE;
}

static int next_data(wst__session_t *s, wst__outgoing_t *out) {
    wst__session_stream_t *st = wst__flight_is_full(&s->flight) ? NULL : next_in_turn(s);
    if (st == NULL)
        return 0;
    bool sparse = is_sparse(st);
    size_t n = sendable(st);
    n = n < st->deficit ? n : st->deficit;
    wst_slice_t data = wst__bufq_seek(&st->tx, (size_t)(st->tx_sent - st->tx_acked), n);
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
    st->early = st->early || st->state == WST__PENDING;
    st->deficit -= (uint32_t)data.len;
    wst__flight_note_sent(st, data.len);
    if (sparse && s->flight.streams > 1)
        wst__flight_note_sparse(&s->flight);
    if (st->tx_waiting && sendable(st) == 0)
        s->short_of_room = true;
    if (sendable(st) == 0)
        wst__session_schedule(st); /* its end may follow */
    return 1;
}

static int next_message(wst__session_t *s, uint64_t now_us, wst__outgoing_t *out) {
    int status;
    if (s->bye_said) {
        if (!s->bye_due)
            return 0;
        const wst_message_t m = {.size = sizeof(m),
                                 .method = WST_MSG_BYE,
                                 .error = s->bye_reason,
                                 .error_text = text_of(s->bye_text)};
        status = encode_control(s, &m, out);
        s->bye_due = status < 0;
        return status;
    }
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
            s->ping_due = s->restating = false;
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
    if (!s->attached || s->peer_bye || (s->error != 0 && !s->bye_said))
        return 0;
    wst__session_enter(s);
    int status = next_message(s, now_us, out);
    wst__session_leave(s);
    return status;
}
