/* SPDX-License-Identifier: MIT */
/* The session's counterpart in unit tests (session_rig.h). */
#include "session_rig.h"

#include "defaults.h"

#include <stdio.h>
#include <wstunnel/error.h>

/* -- Notes ------------------------------------------------------------------------------------ */

static void note(char *notes, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void note(char *notes, const char *format, ...) {
    const size_t cap = SESSION_RIG_NOTES;
    size_t len = strlen(notes);
    va_list args;
    va_start(args, format);
    len += (size_t)snprintf(notes + len, cap - len, "%s", len > 0 ? "; " : "");
    len += (size_t)vsnprintf(notes + len, cap - len, format, args);
    va_end(args);
    assert_true(len < cap);
}

/* Short data are noted as they are, long ones by their length. */
static void note_data(char *notes, uint64_t id, const uint8_t *data, size_t len) {
    if (len <= 24)
        note(notes, "data %llu %.*s", (unsigned long long)id, (int)len, (const char *)data);
    else
        note(notes, "data %llu +%zu", (unsigned long long)id, len);
}

static void check(char *notes, const char *expected) {
    if (strcmp(notes, expected) != 0)
        fail_msg("\n     got: %s\nexpected: %s", notes, expected);
    notes[0] = '\0';
}

/* -- Callbacks -------------------------------------------------------------------------------- */

static void hook(session_rig_t *r, const char *event, wst__session_stream_t *st) {
    if (r->hook != NULL)
        r->hook(r, event, st);
}

static bool is_owned(const session_rig_t *r, const wst__session_stream_t *st) {
    for (size_t i = 0; i < r->owned_count; i++)
        if (r->owned[i] == st)
            return true;
    return false;
}

static void own(session_rig_t *r, wst__session_stream_t *st) {
    assert_true(r->owned_count < sizeof(r->owned) / sizeof(r->owned[0]));
    r->owned[r->owned_count++] = st;
    wst__session_stream_read(st, !r->no_read);
}

static unsigned long long id_of(const wst__session_stream_t *st) {
    return (unsigned long long)wst__session_stream_id(st);
}

static void on_open(wst__session_t *s, wst__session_stream_t *st, wst_str_t dest, void *user_data) {
    (void)s;
    session_rig_t *r = user_data;
    note(r->told, "open %llu %.*s", id_of(st), (int)dest.len, dest.ptr);
    wst__session_stream_set_data(st, r);
    own(r, st);
    hook(r, "open", st);
    if (!is_owned(r, st))
        return;
    if (r->answer == SESSION_RIG_ACCEPT) {
        wst__session_stream_accept(st, "");
    } else if (r->answer < 0) {
        wst__session_stream_refuse(st, r->answer, "no");
        session_rig_close(r, st, 0);
    }
}

static void on_opened(wst__session_stream_t *st, wst_str_t address, void *data) {
    (void)address;
    session_rig_t *r = data;
    note(r->told, "opened %llu", id_of(st));
    hook(r, "opened", st);
}

/* Failed or reset: the stream is dead, and is closed unless the test keeps it. */
static void on_gone(const char *event, wst__session_stream_t *st, int reason, wst_str_t text,
                    session_rig_t *r) {
    note(r->told, "%s %llu %d%s%.*s", event, id_of(st), reason, text.len > 0 ? " " : "",
         (int)text.len, text.len > 0 ? text.ptr : "");
    hook(r, event, st);
    if (!r->keep && is_owned(r, st))
        session_rig_close(r, st, 0);
}

static void on_failed(wst__session_stream_t *st, int reason, wst_str_t text, void *data) {
    on_gone("failed", st, reason, text, data);
}

static void on_reset(wst__session_stream_t *st, int reason, wst_str_t text, void *data) {
    on_gone("reset", st, reason, text, data);
}

static void on_data(wst__session_stream_t *st, wst_slice_t slice, void *data) {
    session_rig_t *r = data;
    note_data(r->told, wst__session_stream_id(st), slice.data, slice.len);
    hook(r, "data", st);
}

static void on_end(wst__session_stream_t *st, void *data) {
    session_rig_t *r = data;
    note(r->told, "end %llu", id_of(st));
    hook(r, "end", st);
}

static void on_drain(wst__session_stream_t *st, void *data) {
    session_rig_t *r = data;
    note(r->told, "drain %llu", id_of(st));
    hook(r, "drain", st);
}

static void on_shutdown(wst__session_stream_t *st, void *data) {
    session_rig_t *r = data;
    note(r->told, "shutdown %llu", id_of(st));
    hook(r, "shutdown", st);
}

static void on_goaway(wst__session_t *s, int reason, void *user_data) {
    (void)s;
    session_rig_t *r = user_data;
    note(r->told, "goaway %d", reason);
    hook(r, "goaway", NULL);
}

static void on_bye(wst__session_t *s, int reason, wst_str_t text, void *user_data) {
    (void)s;
    session_rig_t *r = user_data;
    note(r->told, "bye %d%s%.*s", reason, text.len > 0 ? " " : "", (int)text.len,
         text.len > 0 ? text.ptr : "");
    hook(r, "bye", NULL);
}

static void on_dead(wst__session_t *s, int error, void *user_data) {
    (void)s;
    session_rig_t *r = user_data;
    note(r->told, "dead %d", error);
    hook(r, "dead", NULL);
}

static void on_wakeup(wst__session_t *s, void *user_data) {
    (void)s;
    ((session_rig_t *)user_data)->wakeups++;
}

static void on_change(wst__session_t *s, void *user_data) {
    (void)s;
    ((session_rig_t *)user_data)->changes++;
}

static bool on_round(wst__session_t *s, uint64_t rtt_us, void *user_data) {
    (void)rtt_us;
    (void)s;
    session_rig_t *r = user_data;
    r->rounds++;
    return r->lossy;
}

/* -- Life ------------------------------------------------------------------------------------- */

wst_encoding_t session_rig_encoding;

session_rig_t *session_rig_new(void) {
    static session_rig_t rig;
    memset(&rig, 0, sizeof(rig));
    rig.encoding = session_rig_encoding;
    rig.window_max = 1; /* windows do not grow */
    rig.hello.max_frame = SESSION_RIG_FRAME;
    rig.hello.initial_credit = SESSION_RIG_WINDOW;
    rig.live = test_alloc_live();
    return &rig;
}

static int new_ear(session_rig_t *r) {
    const wst_decoder_options_t options = {.size = sizeof(options),
                                           .encoding = r->encoding,
                                           .allocator = &wst__default_allocator,
                                           .max_frame = r->peer_hello.max_frame};
    wst_decoder_free(r->ear);
    return wst_decoder_new(&r->ear, &options);
}

int session_rig_start_new(session_rig_t *r) {
    wst_hello_t *h = &r->peer_hello;
    h->size = sizeof(*h);
    h->version = WST_PROTOCOL_VERSION;
    h->max_frame = h->max_frame != 0 ? h->max_frame : SESSION_RIG_FRAME;
    h->initial_credit = h->initial_credit != 0 ? h->initial_credit : SESSION_RIG_WINDOW;
    if (h->max_streams == 0 && !r->peer_takes_none)
        h->max_streams = WST__MAX_STREAMS;
    if (r->hello.max_streams == 0 && !r->takes_none)
        r->hello.max_streams = WST__MAX_STREAMS;
    h->yields = !r->peer_keeps;
    wst__pool_init(&r->pool, &test_allocator);
    r->budget.limit = r->budget_limit != 0 ? r->budget_limit : SIZE_MAX;
    r->now = 1000;
    assert_int_equal(new_ear(r), 0);
    const wst__session_options_t options = {.pool = &r->pool,
                                            .budget = &r->budget,
                                            .deadlines = &r->deadlines,
                                            .client = !r->server,
                                            .hello = r->hello,
                                            .ping_interval_ms = r->ping_interval_ms,
                                            .window_max = r->window_max,
                                            .callbacks = {r->no_open ? NULL : on_open, on_opened,
                                                          on_failed, on_data, on_end, on_drain,
                                                          on_shutdown, on_reset, on_goaway, on_bye,
                                                          on_dead, on_wakeup, on_change, on_round},
                                            .user_data = r};
    int status = wst__session_new(&r->s, &options);
    return status == 0 ? wst__session_attach(r->s, r->now * 1000, r->encoding, &r->peer_hello)
                       : status;
}

void session_rig_start(session_rig_t *r) {
    assert_int_equal(session_rig_start_new(r), 0);
}

static void greet(session_rig_t *r, uint64_t rtt_ms) {
    session_rig_start(r);
    session_rig_says(r, "ping 1");
    r->now += rtt_ms;
    assert_int_equal(session_rig_say_pong(r, 1), 0);
}

void session_rig_greet(session_rig_t *r) {
    greet(r, 0);
}

session_rig_t *session_rig_greet_over(session_rig_t *r, uint64_t rtt_ms) {
    if (r->window_max == 1)
        r->window_max = WST__STREAM_WINDOW_MAX;
    greet(r, rtt_ms);
    return r;
}

void session_rig_attach(session_rig_t *r) {
    assert_int_equal(new_ear(r), 0);
    assert_int_equal(wst__session_attach(r->s, r->now * 1000, r->encoding, &r->peer_hello), 0);
}

void session_rig_stop(session_rig_t *r) {
    r->hook = NULL;
    r->keep = false;
    if (r->s != NULL)
        wst__session_drop_streams(r->s, WST_ELOST);
    while (r->owned_count > 0)
        session_rig_close(r, r->owned[0], 0);
    wst__session_free(r->s);
    wst_decoder_free(r->ear);
    assert_int_equal(r->budget.used, 0);
    assert_int_equal(r->pool.live, 0);
    assert_null(r->deadlines.root);
    wst__pool_free(&r->pool);
    assert_int_equal(test_alloc_live(), r->live);
}

void session_rig_wait(session_rig_t *r, uint64_t ms) {
    r->now += ms;
    wst__deadlines_run(&r->deadlines, r->now);
}

/* -- The peer speaks -------------------------------------------------------------------------- */

/* Each piece is a chunk of its own, so that reading behind it is found. */
static int recv_piece(session_rig_t *r, bool text, const uint8_t *bytes, size_t len, bool fin) {
    wst__pool_t plain;
    wst__pool_init(&plain, &wst__default_allocator);
    wst_slice_t slice;
    assert_int_equal(wst__pool_copy(&plain, &slice, bytes, len), 0);
    int status = wst__session_recv(r->s, r->now * 1000, text, slice, fin);
    wst_slice_unref(slice);
    assert_int_equal(plain.live, 0); /* the session copies what it keeps, callbacks keep nothing */
    wst__pool_free(&plain);
    return status;
}

int session_rig_say_raw(session_rig_t *r, bool text, const void *bytes, size_t len, bool fin) {
    const uint8_t *from = bytes;
    size_t step = r->pieces != 0 ? r->pieces : len;
    int status = 0;
    while (len > step && status == 0) {
        status = recv_piece(r, text, from, step, false);
        from += step;
        len -= step;
    }
    return status == 0 ? recv_piece(r, text, from, len, fin) : status;
}

int session_rig_say(session_rig_t *r, wst_message_t m) {
    static uint8_t buf[WST_JSON_DATA_MAX(WST_FRAME_MAX_LIMIT) + WST_JSON_CONTROL_MAX];
    bool text;
    int n = wst_message_encode(&m, r->encoding, buf, sizeof(buf), &text);
    assert_true(n > 0);
    size_t len = (size_t)n;
    if (m.method == WST_MSG_COMMUNICATION && !text) {
        memcpy(buf + len, m.data, m.len);
        len += m.len;
    }
    return session_rig_say_raw(r, text, buf, len, true);
}

int session_rig_say_open(session_rig_t *r, uint64_t id) {
    return session_rig_say(r, (wst_message_t){.size = sizeof(wst_message_t),
                                              .method = WST_MSG_HANDSHAKE,
                                              .id = id,
                                              .dest = {"b:2", 3}});
}

int session_rig_say_completed(session_rig_t *r, uint64_t id, int error) {
    wst_message_t m = {.size = sizeof(m), .method = WST_MSG_COMPLETED, .id = id, .error = error};
    if (error != 0)
        m.error_text = (wst_str_t){"why", 3};
    return session_rig_say(r, m);
}

int session_rig_say_data(session_rig_t *r, uint64_t id, const char *text) {
    return session_rig_say(r, (wst_message_t){.size = sizeof(wst_message_t),
                                              .method = WST_MSG_COMMUNICATION,
                                              .id = id,
                                              .data = (const uint8_t *)text,
                                              .len = strlen(text)});
}

int session_rig_say_bytes(session_rig_t *r, uint64_t id, size_t len) {
    int status = 0;
    while (len > 0 && status == 0) {
        size_t n = len < SESSION_RIG_FRAME ? len : SESSION_RIG_FRAME;
        status = session_rig_say(r, (wst_message_t){.size = sizeof(wst_message_t),
                                                    .method = WST_MSG_COMMUNICATION,
                                                    .id = id,
                                                    .data = (const uint8_t *)r->data,
                                                    .len = n});
        len -= n;
    }
    return status;
}

int session_rig_say_credit(session_rig_t *r, uint64_t id, uint64_t received, uint64_t credit) {
    return session_rig_say(r, (wst_message_t){.size = sizeof(wst_message_t),
                                              .method = WST_MSG_CREDIT,
                                              .id = id,
                                              .received = received,
                                              .credit = credit});
}

int session_rig_say_end(session_rig_t *r, uint64_t id, uint64_t offset) {
    return session_rig_say(
        r, (wst_message_t){
               .size = sizeof(wst_message_t), .method = WST_MSG_END, .id = id, .offset = offset});
}

int session_rig_say_yield(session_rig_t *r, uint64_t id, uint64_t credit, uint64_t offset) {
    return session_rig_say(r, (wst_message_t){.size = sizeof(wst_message_t),
                                              .method = WST_MSG_YIELD,
                                              .id = id,
                                              .credit = credit,
                                              .offset = offset});
}

int session_rig_say_reset(session_rig_t *r, uint64_t id, int error) {
    return session_rig_say(r, (wst_message_t){.size = sizeof(wst_message_t),
                                              .method = WST_MSG_RESET,
                                              .id = id,
                                              .error = error,
                                              .error_text = {"why", 3}});
}

int session_rig_say_ping(session_rig_t *r, uint64_t seq) {
    return session_rig_say(
        r, (wst_message_t){.size = sizeof(wst_message_t), .method = WST_MSG_PING, .seq = seq});
}

int session_rig_say_pong(session_rig_t *r, uint64_t seq) {
    return session_rig_say(
        r, (wst_message_t){.size = sizeof(wst_message_t), .method = WST_MSG_PONG, .seq = seq});
}

int session_rig_say_goaway(session_rig_t *r, uint64_t last) {
    return session_rig_say(r, (wst_message_t){.size = sizeof(wst_message_t),
                                              .method = WST_MSG_GOAWAY,
                                              .last = last,
                                              .error = WST_EGOAWAY});
}

int session_rig_say_bye(session_rig_t *r) {
    return session_rig_say(r, (wst_message_t){.size = sizeof(wst_message_t),
                                              .method = WST_MSG_BYE,
                                              .error = WST_EGOAWAY,
                                              .error_text = {"why", 3}});
}

/* -- The session speaks ----------------------------------------------------------------------- */

static void note_message(session_rig_t *r, const wst_message_t *m) {
    unsigned long long id = (unsigned long long)m->id;
    int text_len = (int)m->error_text.len;
    const char *text = text_len > 0 ? m->error_text.ptr : "", *gap = text_len > 0 ? " " : "";
    switch (m->method) {
    case WST_MSG_HELLO:
        note(r->said, "hello");
        return;
    case WST_MSG_HANDSHAKE:
        note(r->said, "open %llu %.*s", id, (int)m->dest.len, m->dest.ptr);
        return;
    case WST_MSG_COMPLETED:
        if (m->error == 0)
            note(r->said, "completed %llu", id);
        else
            note(r->said, "refused %llu %d%s%.*s", id, m->error, gap, text_len, text);
        return;
    case WST_MSG_COMMUNICATION:
        note_data(r->said, m->id, m->data, m->len);
        return;
    case WST_MSG_CREDIT:
        note(r->said, "credit %llu %llu/%llu", id, (unsigned long long)m->received,
             (unsigned long long)m->credit);
        return;
    case WST_MSG_YIELD:
        note(r->said, "yield %llu %llu/%llu", id, (unsigned long long)m->credit,
             (unsigned long long)m->offset);
        return;
    case WST_MSG_END:
        note(r->said, "end %llu %llu", id, (unsigned long long)m->offset);
        return;
    case WST_MSG_RESET:
        note(r->said, "reset %llu %d%s%.*s", id, m->error, gap, text_len, text);
        return;
    case WST_MSG_PING:
        note(r->said, "ping %llu", (unsigned long long)m->seq);
        return;
    case WST_MSG_PONG:
        note(r->said, "pong %llu", (unsigned long long)m->seq);
        return;
    case WST_MSG_GOAWAY:
        note(r->said, "goaway %llu %d", (unsigned long long)m->last, m->error);
        return;
    case WST_MSG_BYE:
        note(r->said, "bye %d%s%.*s", m->error, gap, text_len, text);
        return;
    }
}

bool session_rig_pull(session_rig_t *r, wst_message_t *m) {
    static uint8_t buf[WST_JSON_DATA_MAX(WST_FRAME_MAX_LIMIT) + WST_JSON_CONTROL_MAX];
    wst__outgoing_t out;
    int status = wst__session_next(r->s, r->now * 1000, &out);
    assert_true(status >= 0);
    if (status == 0)
        return false;
    memcpy(buf, out.head, out.head_len);
    if (out.payload.len > 0)
        memcpy(buf + out.head_len, out.payload.data, out.payload.len);
    size_t len = out.head_len + out.payload.len;
    wst_slice_unref(out.payload);
    if (wst_decoder_push(r->ear, out.text, buf, len, true, m) != 1)
        fail_msg("sent: %s", wst_decoder_error_detail(r->ear));
    return true;
}

static void hear(session_rig_t *r) {
    wst_message_t m = {.size = sizeof(m)};
    while (session_rig_pull(r, &m))
        note_message(r, &m);
}

void session_rig_says(session_rig_t *r, const char *expected) {
    hear(r);
    check(r->said, expected);
}

void session_rig_tells(session_rig_t *r, const char *expected) {
    check(r->told, expected);
}

void session_rig_ignores(session_rig_t *r) {
    hear(r);
    r->said[0] = r->told[0] = '\0';
}

/* -- Streams ---------------------------------------------------------------------------------- */

wst__session_stream_t *session_rig_try_open(session_rig_t *r, int *status) {
    wst__session_stream_t *st = NULL;
    *status = wst__session_open(r->s, &st, "a:1", NULL, r);
    if (*status == 0)
        own(r, st);
    return st;
}

wst__session_stream_t *session_rig_open(session_rig_t *r) {
    int status;
    wst__session_stream_t *st = session_rig_try_open(r, &status);
    assert_int_equal(status, 0);
    return st;
}

wst__session_stream_t *session_rig_stream(session_rig_t *r, bool local) {
    wst__session_stream_t *st;
    if (local) {
        st = session_rig_open(r);
        session_rig_ignores(r);
        assert_int_equal(session_rig_say_completed(r, wst__session_stream_id(st), 0), 0);
    } else {
        uint64_t id = r->s->peer_highest + (r->s->peer_highest > 0 ? 2 : r->server ? 1 : 2);
        assert_int_equal(session_rig_say_open(r, id), 0);
        st = r->owned[r->owned_count - 1];
    }
    session_rig_ignores(r);
    return st;
}

int session_rig_write(session_rig_t *r, wst__session_stream_t *st, const char *text) {
    wst_chunk_t *chunk = wst__pool_chunk(&r->pool, WST__CHUNK_MIN);
    assert_non_null(chunk);
    size_t len = strlen(text);
    memcpy(wst_chunk_data(chunk), text, len);
    int status = wst__session_stream_write(st, (wst_slice_t){chunk, wst_chunk_data(chunk), len});
    assert_true(status >= 0);
    return status;
}

int session_rig_write_bytes(session_rig_t *r, wst__session_stream_t *st, size_t len) {
    wst_chunk_t *chunk = wst__pool_chunk(&r->pool, len);
    assert_non_null(chunk);
    memset(wst_chunk_data(chunk), 'x', len);
    int status = wst__session_stream_write(st, (wst_slice_t){chunk, wst_chunk_data(chunk), len});
    assert_true(status >= 0);
    return status;
}

void session_rig_close(session_rig_t *r, wst__session_stream_t *st, int reset_reason) {
    for (size_t i = 0; i < r->owned_count; i++)
        if (r->owned[i] == st)
            r->owned[i] = r->owned[--r->owned_count];
    wst__session_stream_close(st, reset_reason);
}
