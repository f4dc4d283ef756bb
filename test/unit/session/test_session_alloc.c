/* SPDX-License-Identifier: MIT */
/*
 * A full life of two sessions with every allocation failed in turn. What may happen: a call says so
 * and can be repeated; a stream is reset; a session ends. What may not: a leak, a crash, data or an
 * end that is not what was written, a stream of which nothing is heard any more.
 */
#include "session_rig.h"

#include "defaults.h"

#include <wstunnel/error.h>

typedef struct side {
    wst__session_t *s;
    wst__session_stream_t *st[3]; /* by who asked for it and what comes of it */
    size_t got;
    bool ended, arrived;
    bool failed, paused, over;
} side_t;

enum { GOOD, REFUSED, BACK, TOTAL = 9000 };

static struct {
    wst_encoding_t encoding;
    wst__pool_t pool;
    wst__budget_t budget;
    wst__deadlines_t deadlines;
    side_t sides[2];
    bool broken; /* a session has ended */
} w;

static uint8_t byte_at(size_t n) {
    return (uint8_t)(n * 7 + n / 256);
}

static void close_stream(side_t *side, wst__session_stream_t *st) {
    for (int i = 0; i < 3; i++)
        if (side->st[i] == st)
            side->st[i] = NULL;
    wst__session_stream_close(st, 0);
}

static void on_open(wst__session_t *s, wst__session_stream_t *st, wst_str_t dest, void *user_data) {
    (void)s;
    side_t *side = user_data;
    wst__session_stream_set_data(st, side);
    if (dest.ptr[0] == 'n') {
        wst__session_stream_refuse(st, WST_EDENIED, "not from here");
        wst__session_stream_close(st, 0);
        return;
    }
    side->st[dest.ptr[0] == 'g' ? GOOD : BACK] = st;
    wst__session_stream_read(st, !side->paused);
    wst__session_stream_accept(st, "");
}

static void on_opened(wst__session_stream_t *st, wst_str_t address, void *data) {
    (void)address;
    (void)st;
    (void)data;
}

static void on_gone(wst__session_stream_t *st, int reason, wst_str_t text, void *data) {
    side_t *side = data;
    (void)text;
    if (st == side->st[REFUSED])
        assert_true(reason == WST_EDENIED || reason == WST_ELOST || w.broken);
    else
        side->failed = true;
    close_stream(side, st);
}

static void on_data(wst__session_stream_t *st, wst_slice_t data, void *user_data) {
    side_t *side = user_data;
    if (st != side->st[GOOD])
        return;
    for (size_t i = 0; i < data.len; i++)
        assert_int_equal(data.data[i], byte_at(side->got + i));
    side->got += data.len;
}

static void on_end(wst__session_stream_t *st, void *data) {
    side_t *side = data;
    if (st != side->st[GOOD])
        return;
    assert_int_equal(side->got, TOTAL);
    side->ended = true;
}

static void on_drain(wst__session_stream_t *st, void *data) {
    (void)st;
    (void)data;
}

static void on_shutdown(wst__session_stream_t *st, void *data) {
    side_t *side = data;
    if (st == side->st[GOOD])
        side->arrived = true;
}

/* Its text is not worth an error. */
static void on_bye(wst__session_t *s, int reason, wst_str_t text, void *user_data) {
    (void)s;
    assert_int_equal(reason, WST_EGOAWAY);
    assert_true(text.len == 4 || (text.len == 0 && test_alloc_failed()));
    ((side_t *)user_data)->over = true;
}

static void make(int i) {
    wst__session_options_t options = {.pool = &w.pool,
                                      .budget = &w.budget,
                                      .deadlines = &w.deadlines,
                                      .client = i == 0,
                                      .hello = {.max_streams = 1024},
                                      .callbacks = {.on_open = on_open,
                                                    .on_opened = on_opened,
                                                    .on_failed = on_gone,
                                                    .on_data = on_data,
                                                    .on_end = on_end,
                                                    .on_drain = on_drain,
                                                    .on_shutdown = on_shutdown,
                                                    .on_reset = on_gone,
                                                    .on_bye = on_bye},
                                      .user_data = &w.sides[i]};
    int status = wst__session_new(&w.sides[i].s, &options);
    if (status == WST_ENOMEM) /* it fails once */
        status = wst__session_new(&w.sides[i].s, &options);
    assert_int_equal(status, 0);
}

static void attach(int i) {
    if (w.broken)
        return;
    wst_hello_t peer = {.size = sizeof(peer), .max_streams = 1024};
    assert_int_equal(wst__hello_complete(&peer), 0);
    int status = wst__session_attach(w.sides[i].s, 1000000, w.encoding, &peer);
    if (status == WST_ENOMEM)
        status = wst__session_attach(w.sides[i].s, 1000000, w.encoding, &peer);
    assert_int_equal(status, 0);
}

/* Carries one message; false if there is none. */
static bool carry(int from) {
    static uint8_t buf[WST_JSON_DATA_MAX(WST__MAX_FRAME) + WST_JSON_CONTROL_MAX];
    wst__outgoing_t out;
    int status = wst__session_next(w.sides[from].s, 1000000, &out);
    if (status == WST_ENOMEM) /* nothing has changed */
        status = wst__session_next(w.sides[from].s, 1000000, &out);
    assert_true(status >= 0);
    if (status == 0)
        return false;
    memcpy(buf, out.head, out.head_len);
    if (out.payload.len > 0)
        memcpy(buf + out.head_len, out.payload.data, out.payload.len);
    size_t len = out.head_len + out.payload.len;
    wst_slice_unref(out.payload);
    status =
        wst__session_recv(w.sides[1 - from].s, 1000000, out.text, wst_slice_static(buf, len), true);
    if (status != 0) {
        assert_int_equal(status, WST_ENOMEM);
        assert_true(test_alloc_failed());
        w.broken = true;
    }
    return true;
}

static void pump(void) {
    while (!w.broken && (carry(0) || carry(1)))
        continue;
}

static void write_all(side_t *side, size_t from, size_t to, size_t step) {
    while (from < to && side->st[GOOD] != NULL) {
        size_t n = to - from < step ? to - from : step;
        wst_chunk_t *chunk = wst__pool_chunk(&w.pool, n);
        if (chunk == NULL)
            continue;
        for (size_t i = 0; i < n; i++)
            wst_chunk_data(chunk)[i] = byte_at(from + i);
        int status = wst__session_stream_write(side->st[GOOD],
                                               (wst_slice_t){chunk, wst_chunk_data(chunk), n});
        if (status == WST_ENOMEM)
            continue; /* nothing of it was taken */
        assert_true(status >= 0);
        from += n;
        pump();
    }
}

static void open_one(side_t *side, int which, const char *dest) {
    int status = wst__session_open(side->s, &side->st[which], dest, NULL, side);
    if (status == WST_ENOMEM)
        status = wst__session_open(side->s, &side->st[which], dest, NULL, side);
    assert_true(status == 0 || w.broken);
    if (status == 0)
        wst__session_stream_read(side->st[which], true);
}

static void shut(side_t *side) {
    if (side->st[GOOD] != NULL)
        assert_int_equal(wst__session_stream_shutdown(side->st[GOOD]), 0);
}

static void resume(side_t *side) {
    side->paused = false;
    if (side->st[GOOD] == NULL)
        return;
    wst__session_stream_read(side->st[GOOD], true);
    wst__session_stream_deliver(side->st[GOOD]);
}

static void live(void *arg) {
    wst_encoding_t encoding = *(wst_encoding_t *)arg;
    memset(&w, 0, sizeof(w));
    w.encoding = encoding;
    side_t *a = &w.sides[0], *b = &w.sides[1];
    wst__pool_init(&w.pool, &test_allocator);
    w.budget.limit = SIZE_MAX;
    make(0);
    make(1);
    attach(0);
    attach(1);
    pump();
    b->paused = true;
    open_one(a, GOOD, "good:1");
    open_one(a, REFUSED, "no:1");
    pump();
    write_all(a, 0, 4000, 700);      /* copied together */
    write_all(a, 4000, TOTAL, 4096); /* kept as they are; queued by the paused reader */
    open_one(b, BACK, "back:1");
    pump();
    /* The carrier dies, with all that waits. */
    if (b->st[GOOD] != NULL)
        write_all(b, 0, 1000, 1000);
    wst__session_detach(a->s);
    wst__session_detach(b->s);
    attach(0);
    attach(1);
    pump();
    resume(b);
    pump();
    shut(a);
    pump();
    write_all(b, 1000, TOTAL, 4096);
    shut(b);
    pump();
    wst__session_stream_t *many[40] = {NULL}; /* enough for the table to grow */
    for (int i = 0; i < 40 && !w.broken; i++) {
        int status = wst__session_open(a->s, &many[i], "no:2", NULL, a);
        assert_true(status == 0 || (status == WST_ENOMEM && test_alloc_failed()));
    }
    for (int i = 0; i < 40; i++)
        if (many[i] != NULL)
            wst__session_stream_close(many[i], 0);
    if (!w.broken && !a->failed && !b->failed)
        assert_true(a->ended && a->arrived && b->ended && b->arrived);
    if (!w.broken) /* one side cannot have failed and the other know nothing of it */
        assert_int_equal(a->failed, b->failed);
    wst__session_bye(a->s, WST_EGOAWAY, "over");
    pump();
    assert_true(w.broken || b->over);
    for (int i = 0; i < 2; i++) {
        w.broken = true;
        wst__session_drop_streams(w.sides[i].s, WST_ELOST);
        for (int k = 0; k < 3; k++)
            if (w.sides[i].st[k] != NULL)
                close_stream(&w.sides[i], w.sides[i].st[k]);
        wst__session_free(w.sides[i].s);
    }
    assert_int_equal(w.budget.used, 0);
    wst__pool_free(&w.pool);
}

static void test_every_allocation_fails_in_turn(void **state) {
    (void)state;
    wst_encoding_t binary = WST_ENCODING_BINARY, json = WST_ENCODING_JSON;
    assert_true(test_alloc_each(live, &binary) > 30);
    assert_true(test_alloc_each(live, &json) > 60);
}

static void test_a_refusal_needs_memory(void **state) {
    (void)state;
    for (size_t n = 1;; n++) {
        session_rig_t *r = session_rig_new();
        r->no_open = true;
        session_rig_greet(r);
        test_alloc_fail(n);
        int status = session_rig_say_open(r, 2);
        bool met = test_alloc_failed();
        test_alloc_fail(0);
        assert_int_equal(status, met ? WST_ENOMEM : 0);
        session_rig_says(r, met ? "" : "refused 2 -32006");
        session_rig_stop(r);
        if (!met) {
            assert_true(n > 1);
            return;
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_allocation_fails_in_turn),
        cmocka_unit_test(test_a_refusal_needs_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
