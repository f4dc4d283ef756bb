/* SPDX-License-Identifier: MIT */
/*
 * A session, and the greeting of each of its carriers, between a peer and an owner that do
 * anything. Input: a byte of settings, then a schedule: each step is a byte that says what, and
 * what that needs. The peer sends raw pieces, well-formed messages that may make no sense, and ones
 * that do; the owner uses its streams as it may, from inside callbacks too.
 *
 * Checked: memory stays within its bounds, what the session sends is well-formed and within the
 * credit it was given, callbacks come in order and never for a closed stream, errors are final.
 */
#include "session_internal.h"

#include "defaults.h"

#include <stdio.h>
#include <stdlib.h>
#include <wstunnel/error.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STREAMS = 64, HEAP = 65536 };

typedef struct stream {
    struct fuzz *f;
    wst__session_stream_t *st; /* NULL: closed */
    bool opened, gone, ended, arrived, shut;
} stream_t;

typedef struct fuzz {
    const uint8_t *at, *end;
    wst__pool_t pool;
    wst__budget_t budget;
    wst__deadlines_t deadlines;
    wst__greeting_t greeting; /* of the carrier */
    wst__session_t *s;
    wst_decoder_t *ear;
    wst_hello_t peer;
    wst_encoding_t encoding;
    uint64_t now;
    bool carried;     /* there is a carrier */
    int error;        /* what recv has returned */
    uint8_t reaction; /* what the next callback does */
    stream_t streams[STREAMS];
    size_t count;
} fuzz_t;

static void must(bool condition, const char *what) {
    if (condition)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static uint8_t u8(fuzz_t *f) {
    return f->at < f->end ? *f->at++ : 0;
}

static uint64_t number(fuzz_t *f) {
    uint64_t high = u8(f);
    return high < 128 ? high : (high - 128) << 8 | u8(f);
}

/* -- The owner -------------------------------------------------------------------------------- */

static void close_stream(stream_t *stream, int reason) {
    wst__session_stream_t *st = stream->st;
    stream->st = NULL;
    wst__session_stream_close(st, reason);
}

static void write_some(stream_t *stream, size_t n) {
    size_t room = wst__session_stream_room(stream->st);
    if (n > room)
        n = room + n % 4; /* a little too much: it must wait for credit */
    wst_chunk_t *chunk = wst__pool_chunk(&stream->f->pool, n + 1);
    must(chunk != NULL, "no memory");
    memset(wst_chunk_data(chunk), 'x', n);
    int status =
        wst__session_stream_write(stream->st, (wst_slice_t){chunk, wst_chunk_data(chunk), n});
    must(status >= 0 || stream->shut || stream->gone || room == 0, "write refused");
}

static void use(stream_t *stream, uint8_t how) {
    fuzz_t *f = stream->f;
    if (stream->st == NULL)
        return;
    switch (how % 9) {
    case 0:
        close_stream(stream, how > 127 ? WST_EIDLE : 0);
        break;
    case 1:
        stream->opened |= !stream->st->local && stream->st->state == WST__PENDING;
        wst__session_stream_accept(stream->st, "");
        break;
    case 2:
        stream->gone |= !stream->st->local && stream->st->state == WST__PENDING;
        wst__session_stream_refuse(stream->st, WST_EDENIED, how > 127 ? "no" : NULL);
        break;
    case 3:
        write_some(stream, number(f));
        break;
    case 4:
        write_some(stream, SIZE_MAX);
        break;
    case 5:
        stream->shut |= wst__session_stream_shutdown(stream->st) == 0;
        break;
    case 6:
        wst__session_stream_read(stream->st, false);
        break;
    case 7:
        wst__session_stream_read(stream->st, true);
        wst__session_stream_deliver(stream->st);
        break;
    default:
        if (how > 200)
            wst__session_drop_streams(f->s, WST_ELOST);
        else if (how > 150)
            wst__session_goaway(f->s, WST_EGOAWAY);
        break;
    }
}

static void open_one(fuzz_t *f) {
    if (f->count == STREAMS)
        return;
    stream_t *stream = &f->streams[f->count];
    if (wst__session_open(f->s, &stream->st, "a:1", NULL, stream) != 0)
        return;
    stream->f = f;
    f->count++;
    wst__session_stream_read(stream->st, true);
}

static void react(stream_t *stream) {
    uint8_t how = stream->f->reaction;
    stream->f->reaction = 0;
    if (how >= 250)
        open_one(stream->f);
    else if (how != 0)
        use(stream, how);
}

static stream_t *alive(const wst__session_stream_t *st, void *data) {
    stream_t *stream = data;
    must(stream->st == st && !stream->gone, "callback for a stream that is closed or gone");
    return stream;
}

static void on_open(wst__session_t *s, wst__session_stream_t *st, wst_str_t dest, void *user_data) {
    fuzz_t *f = user_data;
    (void)s;
    (void)dest;
    if (f->count == STREAMS) {
        wst__session_stream_close(st, WST_ELIMIT);
        return;
    }
    stream_t *stream = &f->streams[f->count++];
    *stream = (stream_t){.f = f, .st = st};
    wst__session_stream_set_data(st, stream);
    wst__session_stream_read(st, true);
    react(stream);
}

static void on_opened(wst__session_stream_t *st, wst_str_t address, void *data) {
    (void)address;
    stream_t *stream = alive(st, data);
    must(!stream->opened, "opened twice");
    stream->opened = true;
    react(stream);
}

static void on_gone(wst__session_stream_t *st, int reason, wst_str_t text, void *data) {
    stream_t *stream = alive(st, data);
    (void)text;
    must(wst_is_reason(reason), "not a reason");
    stream->gone = true;
    react(stream);
}

static void on_data(wst__session_stream_t *st, wst_slice_t data, void *user_data) {
    stream_t *stream = alive(st, user_data);
    must(stream->opened && !stream->ended && st->reading && data.len > 0, "data out of place");
    react(stream);
}

static void on_end(wst__session_stream_t *st, void *data) {
    stream_t *stream = alive(st, data);
    must(stream->opened && !stream->ended && st->rx_delivered == st->rx_received,
         "end out of place");
    stream->ended = true;
    react(stream);
}

static void on_drain(wst__session_stream_t *st, void *data) {
    must(wst__session_stream_room(st) > 0, "drain without room");
    react(alive(st, data));
}

static void on_shutdown(wst__session_stream_t *st, void *data) {
    stream_t *stream = alive(st, data);
    must(stream->shut && !stream->arrived, "shutdown out of place");
    stream->arrived = true;
    react(stream);
}

/* -- The peer --------------------------------------------------------------------------------- */

/* A piece for the greeting, and what follows from it. */
static int greet(fuzz_t *f, bool text, wst_slice_t piece, bool fin) {
    int status = wst__greeting_recv(&f->greeting, text, piece, fin);
    must(status <= 0 || f->greeting.heard, "greeted without a hello");
    if (status == 1)
        status = wst__session_attach(f->s, f->now * 1000, f->encoding, &f->greeting.peer);
    return status;
}

static void say_piece(fuzz_t *f, bool text, const uint8_t *bytes, size_t len, bool fin) {
    bool greeting = !f->greeting.heard;
    if (!f->carried || (!greeting && !f->s->attached))
        return;
    wst__pool_t plain;
    wst_slice_t slice;
    wst__pool_init(&plain, &wst__default_allocator);
    must(wst__pool_copy(&plain, &slice, bytes, len) == 0, "no memory");
    int status = greeting ? greet(f, text, slice, fin)
                          : wst__session_recv(f->s, f->now * 1000, text, slice, fin);
    wst_slice_unref(slice);
    must(plain.live == 0, "a piece was kept");
    wst__pool_free(&plain);
    must(status <= 0 && (f->error == 0 || status == f->error), "an error was not final");
    f->error = status;
}

static void say(fuzz_t *f, const wst_message_t *m, size_t split) {
    static uint8_t buf[HEAP * 2];
    bool text;
    int n = wst_message_encode(m, f->encoding, buf, sizeof(buf), &text);
    if (n < 0)
        return;
    size_t len = (size_t)n;
    if (m->method == WST_MSG_COMMUNICATION && !text) {
        memcpy(buf + len, m->data, m->len);
        len += m->len;
    }
    if (split > 0 && split < len) {
        say_piece(f, text, buf, split, false);
        say_piece(f, text, buf + split, len - split, true);
    } else {
        say_piece(f, text, buf, len, true);
    }
}

static void say_anything(fuzz_t *f) {
    static const uint8_t data[HEAP];
    static const int errors[] = {0, WST_EREFUSED, WST_ERESET, WST_EGOAWAY};
    size_t split = u8(f);
    uint8_t method = u8(f);
    wst_message_t m = {.size = sizeof(m),
                       .method = method == UINT8_MAX ? WST_MSG_BYE : (wst_method_t)(method % 12),
                       .id = u8(f) % 32,
                       .hello = &f->peer};
    m.dest = (wst_str_t){"b:2", 3};
    m.error = errors[split % 4];
    m.data = data;
    m.received = m.seq = m.offset = m.last = number(f);
    m.credit = m.received + number(f); /* of a yield: at or beyond its offset */
    m.len = (size_t)m.received;
    say(f, &m, split);
}

/* Something that a peer might say about the stream at that time. */
static void say_sense(fuzz_t *f, const stream_t *stream) {
    static const uint8_t data[HEAP];
    const wst__session_stream_t *st = stream->st;
    uint8_t what = u8(f);
    if (st == NULL)
        return;
    uint64_t room = st->rx_limit - st->rx_received;
    wst_message_t m = {.size = sizeof(m), .id = st->id};
    switch (what % 6) {
    case 0:
        m.method = st->local ? WST_MSG_COMPLETED : WST_MSG_HANDSHAKE;
        m.dest = (wst_str_t){"b:2", 3};
        break;
    case 1:
        m.method = WST_MSG_CREDIT;
        m.received = st->tx_sent + (st->tx_end_sent ? 1 : 0);
        m.credit = st->tx_limit + what;
        break;
    case 2:
        m.method = WST_MSG_COMMUNICATION;
        m.data = data;
        m.len = room < WST__MAX_FRAME ? (size_t)room : (size_t)WST__MAX_FRAME;
        break;
    case 3:
        m.method = WST_MSG_END;
        m.offset = st->rx_received;
        break;
    case 4:
        m.method = WST_MSG_YIELD;
        m.credit = st->rx_limit;
        m.offset = room > 0 ? st->rx_received + what % room : st->rx_received;
        break;
    default:
        m.method = WST_MSG_RESET;
        m.error = WST_ERESET;
        break;
    }
    say(f, &m, 0);
}

static void check_message(fuzz_t *f, const wst_message_t *m) {
    if (m->method != WST_MSG_COMMUNICATION)
        return;
    const wst__session_stream_t *st = wst__session_find(f->s, m->id);
    bool early = st != NULL && st->local && st->state == WST__PENDING && f->peer.early;
    must(st != NULL && (st->state == WST__OPEN || early) && !st->resync,
         "data of a stream that is not open");
    must(st->tx_sent <= st->tx_limit, "data beyond the credit");
    must(m->len <= f->greeting.peer.max_frame, "a frame too large");
    must(!st->tx_end_sent, "data behind the end");
}

static int next(fuzz_t *f, wst__outgoing_t *out) {
    if (!f->greeting.said)
        return wst__greeting_next(&f->greeting, out);
    int status = wst__session_next(f->s, f->now * 1000, out);
    must(status != 1 || (f->s->attached && (f->s->error == 0 || f->s->bye_said)),
         "a word of a session that has ended");
    return status;
}

static void hear(fuzz_t *f, unsigned most) {
    static uint8_t buf[HEAP * 2];
    wst__outgoing_t out;
    while (most-- > 0 && next(f, &out) == 1) {
        memcpy(buf, out.head, out.head_len);
        if (out.payload.len > 0)
            memcpy(buf + out.head_len, out.payload.data, out.payload.len);
        size_t len = out.head_len + out.payload.len;
        wst_slice_unref(out.payload);
        wst_message_t m = {.size = sizeof(m)};
        must(wst_decoder_push(f->ear, out.text, buf, len, true, &m) == 1, "malformed");
        must(m.method == WST_MSG_HELLO || (m.method == WST_MSG_BYE) == f->s->bye_said,
             "a word behind bye");
        check_message(f, &m);
    }
}

/* -- The schedule ----------------------------------------------------------------------------- */

static void attach(fuzz_t *f, bool hello) {
    wst__greeting_end(&f->greeting);
    must(wst__greeting_init(&f->greeting, &f->pool, &f->s->o.hello) == 0 &&
             wst__greeting_begin(&f->greeting, f->encoding) == 0,
         "no memory");
    const wst_decoder_options_t options = {
        .size = sizeof(options), .encoding = f->encoding, .max_frame = WST_FRAME_MAX_LIMIT};
    wst_decoder_free(f->ear);
    must(wst_decoder_new(&f->ear, &options) == 0, "no memory");
    f->carried = true;
    f->error = 0;
    const wst_message_t m = {.size = sizeof(m), .method = WST_MSG_HELLO, .hello = &f->peer};
    if (hello)
        say(f, &m, 0);
}

static void check(const fuzz_t *f) {
    size_t reserved = 0, count = 0;
    uint64_t in_flight = 0;
    const wst__session_stream_t *st = wst__session_first_stream(f->s);
    for (; st != NULL; st = wst__session_next_stream(st)) {
        reserved += st->reserved;
        count++;
        in_flight += st->resync ? 0 : st->tx_sent - st->tx_acked;
        must(st->rx.len <= st->rx_reserved && st->rx_received <= st->rx_limit,
             "more than was reserved");
        must(st->rx_ended || st->rx_limit - st->rx_delivered <= st->rx_reserved ||
                 st->state != WST__OPEN,
             "more granted than was reserved");
        must(wst__bufq_capacity(&st->rx) <= wst__bufq_bound_append(st->rx_reserved),
             "rx pins too much");
        must(st->tx_allowance <= st->tx_reserved &&
                 wst__bufq_capacity(&st->tx) <= wst__bufq_bound_push(st->tx_reserved),
             "tx pins too much");
    }
    must(count == wst__session_stream_count(f->s), "streams miscounted");
    must(in_flight == f->s->flight.in_flight, "bytes in flight miscounted");
    must(reserved + f->budget.lent == f->budget.used, "budget");
    must(f->budget.used == wst__session_pinned(f->s), "pinned");
    must(f->budget.used <= f->budget.limit && f->budget.lent <= f->budget.limit / 4, "budget");
    must(f->s->refusal_count <= WST__REFUSALS_MAX, "too many refusals");
}

static void step(fuzz_t *f) {
    uint8_t what = u8(f), which = u8(f);
    stream_t *stream = f->count > 0 ? &f->streams[which % f->count] : NULL;
    switch (what % 10) {
    case 0: {
        size_t len = which < f->end - f->at ? which : (size_t)(f->end - f->at);
        const uint8_t *bytes = f->at;
        f->at += len;
        say_piece(f, (what & 128) != 0, bytes, len, (what & 64) != 0);
        break;
    }
    case 1:
        say_anything(f);
        break;
    case 2:
    case 3:
        if (stream != NULL)
            say_sense(f, stream);
        break;
    case 4:
        if (stream != NULL)
            use(stream, u8(f));
        break;
    case 5:
        open_one(f);
        break;
    case 6:
        hear(f, which);
        break;
    case 7:
        f->now += which * 100u;
        wst__deadlines_run(&f->deadlines, f->now);
        if (f->s->attached)
            f->error = f->s->error;
        break;
    case 8:
        f->reaction = which;
        break;
    default:
        if (what < 128)
            wst__session_detach(f->s);
        else
            wst__session_suspend(f->s);
        if (which == 255)
            wst__session_bye(f->s, WST_EGOAWAY, "over");
        attach(f, which < 200);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static fuzz_t f;
    if (size < 1 || size > 4096)
        return 0;
    f = (fuzz_t){.at = data + 1, .end = data + size, .now = 1000};
    f.peer = (wst_hello_t){.size = sizeof(wst_hello_t),
                           .version = WST_PROTOCOL_VERSION,
                           .max_frame = (data[0] & 1) != 0 ? 1024 : 16384,
                           .initial_credit = (data[0] & 2) != 0 ? 100 : 32768,
                           .max_streams = 20,
                           .yields = (data[0] & 64) == 0,
                           .early = (data[0] & 128) != 0};
    f.encoding = (data[0] & 4) != 0 ? WST_ENCODING_JSON : WST_ENCODING_BINARY;
    wst__pool_init(&f.pool, &wst__default_allocator);
    wst__session_options_t options = {
        .pool = &f.pool,
        .budget = &f.budget,
        .deadlines = &f.deadlines,
        .client = (data[0] & 8) != 0,
        .hello = {.initial_credit = (data[0] & 16) != 0 ? 10 : 32768, .max_streams = 8},
        .callbacks = {.on_open = on_open,
                      .on_opened = on_opened,
                      .on_failed = on_gone,
                      .on_data = on_data,
                      .on_end = on_end,
                      .on_drain = on_drain,
                      .on_shutdown = on_shutdown,
                      .on_reset = on_gone},
        .user_data = &f};
    f.budget.limit = wst__session_stream_cost(32768) * 12;
    must(wst__session_new(&f.s, &options) == 0, "no memory");
    attach(&f, (data[0] & 32) == 0);
    while (f.at < f.end) {
        step(&f);
        check(&f);
    }
    f.reaction = 0;
    wst__session_drop_streams(f.s, WST_ELOST);
    for (size_t i = 0; i < f.count; i++)
        if (f.streams[i].st != NULL)
            close_stream(&f.streams[i], 0);
    must(wst__session_stream_count(f.s) == 0, "streams left");
    wst__session_free(f.s);
    wst__greeting_end(&f.greeting);
    wst_decoder_free(f.ear);
    must(f.budget.used == 0 && f.budget.lent == 0 && f.pool.live == 0 && f.deadlines.root == NULL,
         "something is left");
    wst__pool_free(&f.pool);
    return 0;
}
