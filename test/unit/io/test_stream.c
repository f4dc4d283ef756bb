/* SPDX-License-Identifier: MIT */
/* The stream base, with the scripted kind: what the owner is told, and what reaches the kind. */
#include "env.h"
#include "fake_stream.h"
#include "stream.h"

#include <wstunnel/error.h>

/* An owner that writes down what it is told: r(bytes) e(nd) d(rain) s(hutdown) x(error) c(losed).
 */
typedef struct owner {
    char trace[256];
    size_t len;
    int error;
    size_t closed;
    size_t largest;
    wst_stream_t *stream;

    char close_at;      /* closes in this callback */
    size_t stop_after;  /* stops reading when the trace is that long */
    bool unread_once;   /* puts back what it has just read */
    bool in_call;       /* no callback may come */
    size_t stray_calls; /* ... but one did */
} owner_t;

static void note(owner_t *owner, char c) {
    assert_true(owner->len < sizeof(owner->trace) - 1);
    owner->trace[owner->len++] = c;
    owner->stray_calls += owner->in_call;
}

static void on_closed(void *user_data) {
    owner_t *owner = user_data;
    note(owner, 'c');
    owner->closed++;
}

static void on_second_close(void *user_data) {
    note(user_data, '2');
}

static void act(owner_t *owner, char event) {
    if (owner->stop_after > 0 && owner->len >= owner->stop_after)
        wst_stream_read_stop(owner->stream);
    if (owner->close_at == event) {
        owner->in_call = true;
        wst_stream_close(owner->stream, on_closed);
        wst_stream_close(owner->stream, on_second_close);
        owner->in_call = false;
    }
}

static void on_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    owner_t *owner = user_data;
    assert_ptr_equal(stream, owner->stream);
    for (size_t i = 0; i < data.len; i++)
        note(owner, (char)data.data[i]);
    if (data.len > owner->largest)
        owner->largest = data.len;
    if (owner->unread_once) {
        owner->unread_once = false;
        note(owner, '<');
        owner->in_call = true;
        assert_int_equal(wst_stream_unread(stream, wst_slice_ref(data)), 0);
        owner->in_call = false;
    }
    act(owner, 'r');
}

static void on_end(wst_stream_t *stream, void *user_data) {
    (void)stream;
    note(user_data, 'e');
    act(user_data, 'e');
}

static void on_drain(wst_stream_t *stream, void *user_data) {
    (void)stream;
    note(user_data, 'd');
    act(user_data, 'd');
}

static void on_shutdown(wst_stream_t *stream, void *user_data) {
    (void)stream;
    note(user_data, 's');
    act(user_data, 's');
}

static void on_error(wst_stream_t *stream, int error, void *user_data) {
    owner_t *owner = user_data;
    (void)stream;
    note(owner, 'x');
    owner->error = error;
    act(owner, 'x');
}

static const wst_stream_callbacks_t callbacks = {sizeof(callbacks), on_read,     on_end,
                                                 on_drain,          on_shutdown, on_error};

typedef struct rig {
    test_env_t env;
    fake_stream_t fake;
    owner_t owner;
} rig_t;

static void rig_open(rig_t *rig) {
    memset(rig, 0, sizeof(*rig));
    test_env_open(&rig->env);
    assert_int_equal(fake_stream_open(&rig->fake, rig->env.ctx), 0);
    rig->owner.stream = rig->fake.stream;
    wst_stream_set_callbacks(rig->fake.stream, &callbacks, &rig->owner);
}

static void rig_close(rig_t *rig) {
    if (!rig->fake.closed)
        wst_stream_close(rig->fake.stream, on_closed);
    test_env_until_count(&rig->env, &rig->owner.closed, 1);
    test_env_turns(&rig->env, 5);
    assert_int_equal(rig->owner.closed, 1);
    assert_int_equal(rig->owner.stray_calls, 0);
    assert_int_equal(rig->owner.trace[rig->owner.len - 1], 'c'); /* nothing came after it */
    fake_stream_free(&rig->fake);
    test_env_close(&rig->env);
}

static void turns(rig_t *rig) {
    test_env_turns(&rig->env, 20);
}

static int write_text(rig_t *rig, const char *text) {
    wst_slice_t slice;
    assert_int_equal(wst_slice_copy(&slice, rig->env.ctx, text, strlen(text)), 0);
    return wst_stream_write(rig->fake.stream, &slice, 1);
}

static int unread_text(rig_t *rig, const char *text) {
    wst_slice_t slice;
    assert_int_equal(wst_slice_copy(&slice, rig->env.ctx, text, strlen(text)), 0);
    rig->owner.in_call = true;
    int status = wst_stream_unread(rig->fake.stream, slice);
    rig->owner.in_call = false;
    return status;
}

static void read_start(rig_t *rig, size_t max) {
    rig->owner.in_call = true;
    wst_stream_read_start(rig->fake.stream, max);
    rig->owner.in_call = false;
}

/* Reading ------------------------------------------------------------------------------------ */

static void test_starts_paused(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig);
    fake_stream_data(&rig.fake, "abc", 3);
    fake_stream_end(&rig.fake);
    turns(&rig);
    assert_string_equal(rig.owner.trace, "");
    assert_false(wst_stream_reading(rig.fake.stream));
    read_start(&rig, 0);
    assert_true(wst_stream_reading(rig.fake.stream));
    turns(&rig);
    assert_string_equal(rig.owner.trace, "abce");
    assert_int_equal(wst_stream_bytes_read(rig.fake.stream), 3);
    /* The end is told once, and the kind is not bothered any more. */
    wst_stream_read_stop(rig.fake.stream);
    read_start(&rig, 7);
    turns(&rig);
    assert_string_equal(rig.owner.trace, "abce");
    assert_int_equal(rig.fake.starts, 1);
    assert_int_equal(rig.fake.stops, 0);
    rig_close(&rig);
}

static void test_max_reaches_the_kind(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig);
    read_start(&rig, 2);
    assert_int_equal(rig.fake.read_max, 2);
    read_start(&rig, 2); /* nothing new */
    assert_int_equal(rig.fake.starts, 1);
    fake_stream_data(&rig.fake, "abcde", 5);
    turns(&rig);
    assert_int_equal(rig.owner.largest, 2);
    read_start(&rig, 4);
    assert_int_equal(rig.fake.read_max, 4);
    assert_int_equal(rig.fake.stops, 0);
    rig_close(&rig);
}

static void test_stop_inside_on_read(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig);
    rig.owner.stop_after = 2;
    read_start(&rig, 1);
    fake_stream_data(&rig.fake, "abc", 3);
    fake_stream_end(&rig.fake);
    turns(&rig);
    assert_string_equal(rig.owner.trace, "ab");
    wst_stream_read_stop(rig.fake.stream); /* again: nothing */
    assert_int_equal(rig.fake.stops, 1);
    rig.owner.stop_after = 0;
    read_start(&rig, 1);
    turns(&rig);
    assert_string_equal(rig.owner.trace, "abce");
    rig_close(&rig);
}

/* Putting back ------------------------------------------------------------------------------- */

static void test_unread_comes_first(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig);
    fake_stream_data(&rig.fake, "def", 3);
    fake_stream_end(&rig.fake);
    assert_int_equal(unread_text(&rig, "c"), 0);
    assert_int_equal(unread_text(&rig, "ab"), 0); /* later, so before what is still there */
    read_start(&rig, 0);
    assert_false(wst_stream_reading(rig.fake.stream)); /* not the kind's turn */
    assert_string_equal(rig.owner.trace, "");
    turns(&rig);
    assert_string_equal(rig.owner.trace, "abcdefe");
    assert_int_equal(wst_stream_bytes_read(rig.fake.stream), 3);
    rig_close(&rig);
}

static void test_unread_many(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig);
    static const char *const parts[] = {"z", "xy", "w", "tuv", "s", "", "qr", "p", "o", "mn", "l"};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        assert_int_equal(unread_text(&rig, parts[i]), 0);
    read_start(&rig, 0);
    turns(&rig);
    assert_string_equal(rig.owner.trace, "lmnopqrstuvwxyz");
    rig_close(&rig);
}

static void test_unread_is_cut_to_max(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig);
    assert_int_equal(unread_text(&rig, "abcdefgh"), 0);
    rig.owner.stop_after = 3;
    read_start(&rig, 3);
    turns(&rig);
    assert_string_equal(rig.owner.trace, "abc"); /* the rest waits */
    assert_int_equal(unread_text(&rig, "12"), 0);
    rig.owner.stop_after = 0;
    read_start(&rig, 3);
    fake_stream_data(&rig.fake, "i", 1);
    turns(&rig);
    assert_string_equal(rig.owner.trace, "abc12defghi");
    assert_int_equal(rig.owner.largest, 3);
    rig_close(&rig);
}

static void test_unread_inside_on_read(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig);
    rig.owner.unread_once = true;
    fake_stream_data(&rig.fake, "ab", 2);
    fake_stream_data(&rig.fake, "cd", 2);
    fake_stream_end(&rig.fake);
    read_start(&rig, 0);
    turns(&rig);
    assert_string_equal(rig.owner.trace, "ab<abcde");
    assert_int_equal(wst_stream_bytes_read(rig.fake.stream), 4); /* each byte counts once */
    rig_close(&rig);
}

static void test_unread_repeats_the_end(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig);
    fake_stream_end(&rig.fake);
    read_start(&rig, 0);
    turns(&rig);
    assert_string_equal(rig.owner.trace, "e");
    assert_int_equal(unread_text(&rig, "ab"), 0);
    assert_string_equal(rig.owner.trace, "e");
    turns(&rig);
    assert_string_equal(rig.owner.trace, "eabe");
    wst_stream_read_stop(rig.fake.stream);
    assert_int_equal(unread_text(&rig, ""), 0); /* no bytes: the end alone */
    turns(&rig);
    assert_string_equal(rig.owner.trace, "eabe");
    read_start(&rig, 0);
    turns(&rig);
    assert_string_equal(rig.owner.trace, "eabee");
    rig_close(&rig);
}

static void test_unread_pins_little(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig);
    rig.env.ctx->pool.keep = WST__POOL_KEEP; /* with sanitizers, too */
    for (int i = 0; i < 3; i++) {
        wst_chunk_t *big = wst_chunk_new(rig.env.ctx, 65536);
        assert_non_null(big);
        wst_chunk_data(big)[0] = (uint8_t)('a' + i);
        wst_slice_t slice = {big, wst_chunk_data(big), 1};
        assert_int_equal(wst_stream_unread(rig.fake.stream, slice), 0);
    }
    /* The big chunks have gone back to the pool: they are the ones handed out now. */
    size_t live = test_alloc_live();
    wst_chunk_t *again = wst_chunk_new(rig.env.ctx, 65536);
    assert_int_equal(test_alloc_live(), live);
    wst_chunk_unref(again);
    read_start(&rig, 0);
    turns(&rig);
    assert_string_equal(rig.owner.trace, "cba");
    rig_close(&rig);
}

/* Writing ------------------------------------------------------------------------------------ */

static void test_write_and_drain(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig);
    assert_int_equal(write_text(&rig, "ab"), 0);
    fake_stream_drain(&rig.fake); /* nobody waits for it */
    turns(&rig);
    assert_string_equal(rig.owner.trace, "");
    rig.fake.write_status = WST_WAIT;
    assert_int_equal(write_text(&rig, "cd"), WST_WAIT);
    assert_int_equal(write_text(&rig, "ef"), WST_WAIT);
    fake_stream_drain(&rig.fake);
    turns(&rig);
    fake_stream_drain(&rig.fake);
    turns(&rig);
    assert_string_equal(rig.owner.trace, "d");
    assert_int_equal(rig.fake.written_len, 6);
    assert_memory_equal(rig.fake.written, "abcdef", 6);
    assert_int_equal(wst_stream_bytes_written(rig.fake.stream), 6);
    assert_int_equal(rig.fake.writes, 3);
    assert_int_equal(write_text(&rig, ""), 0); /* nothing to do */
    assert_int_equal(rig.fake.writes, 3);
    rig.fake.room = 77;
    assert_int_equal(wst_stream_room(rig.fake.stream), 77);
    rig_close(&rig);
}

static void test_write_error_is_the_last_word(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig);
    read_start(&rig, 0);
    rig.fake.write_status = WST_ERESET;
    assert_int_equal(write_text(&rig, "ab"), WST_ERESET);
    assert_int_equal(wst_stream_bytes_written(rig.fake.stream), 0);
    assert_int_equal(write_text(&rig, "ab"), WST_ESTATE);
    assert_int_equal(wst_stream_shutdown(rig.fake.stream), WST_ESTATE);
    assert_int_equal(wst_stream_room(rig.fake.stream), 0);
    /* The kind may still report what it likes. */
    fake_stream_data(&rig.fake, "x", 1);
    fake_stream_break(&rig.fake, WST_ELOST);
    turns(&rig);
    read_start(&rig, 0);
    turns(&rig);
    assert_string_equal(rig.owner.trace, "");
    rig_close(&rig);
    assert_int_equal(rig.fake.reset_reason, WST_ECANCELLED);
}

static void test_shutdown(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig);
    rig.fake.write_status = WST_WAIT;
    assert_int_equal(write_text(&rig, "ab"), WST_WAIT);
    rig.owner.in_call = true;
    assert_int_equal(wst_stream_shutdown(rig.fake.stream), 0);
    rig.owner.in_call = false;
    assert_int_equal(wst_stream_shutdown(rig.fake.stream), WST_ESTATE);
    assert_int_equal(write_text(&rig, "cd"), WST_ESTATE);
    assert_int_equal(wst_stream_room(rig.fake.stream), 0);
    fake_stream_drain(&rig.fake); /* no news for who does not write any more */
    turns(&rig);
    assert_string_equal(rig.owner.trace, "s");
    /* Reading goes on. */
    fake_stream_data(&rig.fake, "x", 1);
    read_start(&rig, 0);
    turns(&rig);
    assert_string_equal(rig.owner.trace, "sx");
    rig_close(&rig);
    assert_int_equal(rig.fake.reset_reason, 0);
}

static void test_shutdown_error(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig);
    rig.fake.shutdown_status = WST_ELOST;
    assert_int_equal(wst_stream_shutdown(rig.fake.stream), WST_ELOST);
    assert_int_equal(write_text(&rig, "x"), WST_ESTATE);
    turns(&rig);
    assert_string_equal(rig.owner.trace, "");
    rig_close(&rig);
    assert_int_equal(rig.fake.reset_reason, WST_ECANCELLED);
}

/* Errors and closing ------------------------------------------------------------------------- */

static void test_nothing_after_an_error(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig);
    rig.fake.write_status = WST_WAIT;
    assert_int_equal(write_text(&rig, "ab"), WST_WAIT);
    assert_int_equal(unread_text(&rig, "put back"), 0);
    fake_stream_break(&rig.fake, WST_ERESET); /* told although nothing is read */
    turns(&rig);
    assert_string_equal(rig.owner.trace, "x");
    assert_int_equal(rig.owner.error, WST_ERESET);
    fake_stream_break(&rig.fake, WST_ELOST);
    fake_stream_drain(&rig.fake);
    read_start(&rig, 0);
    assert_int_equal(unread_text(&rig, "more"), 0);
    assert_int_equal(write_text(&rig, "cd"), WST_ESTATE);
    assert_int_equal(wst_stream_shutdown(rig.fake.stream), WST_ESTATE);
    turns(&rig);
    assert_string_equal(rig.owner.trace, "x");
    rig_close(&rig);
}

/* How each way to end reaches the kind. */
static void test_reset_reasons(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig);
    rig_close(&rig);
    assert_int_equal(rig.fake.reset_reason, WST_ECANCELLED);

    rig_open(&rig); /* asked to shut down, but not done */
    rig.fake.hold_shutdown = true;
    assert_int_equal(wst_stream_shutdown(rig.fake.stream), 0);
    turns(&rig);
    rig_close(&rig);
    assert_int_equal(rig.fake.reset_reason, WST_ECANCELLED);

    rig_open(&rig);
    assert_int_equal(wst_stream_shutdown(rig.fake.stream), 0);
    turns(&rig);
    wst_stream_reset(rig.fake.stream, WST_EIDLE, on_closed);
    rig_close(&rig);
    assert_int_equal(rig.fake.reset_reason, WST_EIDLE);

    rig_open(&rig); /* finished, then broken */
    assert_int_equal(wst_stream_shutdown(rig.fake.stream), 0);
    turns(&rig);
    fake_stream_break(&rig.fake, WST_ERESET);
    turns(&rig);
    rig_close(&rig);
    assert_int_equal(rig.fake.reset_reason, WST_ECANCELLED);
}

static void test_calls_after_close(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig);
    fake_stream_data(&rig.fake, "abc", 3);
    read_start(&rig, 0);
    assert_int_equal(unread_text(&rig, "x"), 0);
    wst_stream_close(rig.fake.stream, on_closed);
    assert_int_equal(write_text(&rig, "x"), WST_ESTATE);
    assert_int_equal(unread_text(&rig, "x"), 0);
    assert_int_equal(wst_stream_shutdown(rig.fake.stream), WST_ESTATE);
    read_start(&rig, 0);
    wst_stream_read_stop(rig.fake.stream);
    wst_stream_reset(rig.fake.stream, WST_EIDLE, on_second_close);
    assert_false(wst_stream_reading(rig.fake.stream));
    rig_close(&rig);
    assert_string_equal(rig.owner.trace, "c");
    assert_int_equal(rig.fake.reset_reason, WST_ECANCELLED);
}

/* Closing in each callback: only close_cb follows, whatever else was about to happen. */
static void test_close_in_every_callback(void **state) {
    (void)state;
    static const struct {
        char at;
        bool put_back, ended;
        const char *trace;
    } cases[] = {
        {'r', false, false, "abc"}, {'r', true, false, "12c"}, {'e', false, false, "abec"},
        {'e', true, true, "eabec"}, {'d', false, false, "dc"}, {'s', false, false, "sc"},
        {'x', false, false, "xc"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        rig_t rig;
        rig_open(&rig);
        if (cases[i].ended) {
            fake_stream_end(&rig.fake);
            read_start(&rig, 0);
            turns(&rig);
            assert_int_equal(unread_text(&rig, "ab"), 0);
        } else if (cases[i].put_back) {
            assert_int_equal(unread_text(&rig, "1234"), 0);
            read_start(&rig, 2);
        }
        rig.owner.close_at = cases[i].at;
        rig.fake.write_status = WST_WAIT;
        if (cases[i].at == 'd') {
            assert_int_equal(write_text(&rig, "x"), WST_WAIT);
            fake_stream_drain(&rig.fake);
        } else if (cases[i].at == 's') {
            assert_int_equal(wst_stream_shutdown(rig.fake.stream), 0);
        } else if (cases[i].at == 'x') {
            fake_stream_break(&rig.fake, WST_ELOST);
        } else if (!cases[i].ended) {
            fake_stream_data(&rig.fake, "ab", 2);
            if (cases[i].at == 'r')
                fake_stream_data(&rig.fake, "de", 2);
            fake_stream_end(&rig.fake);
            read_start(&rig, 2);
        }
        test_env_until_count(&rig.env, &rig.owner.closed, 1);
        rig_close(&rig);
        assert_string_equal(rig.owner.trace, cases[i].trace);
    }
}

/* What else ------------------------------------------------------------------------------------ */

static void test_without_callbacks(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig);
    wst_stream_set_callbacks(rig.fake.stream, NULL, NULL);
    rig.fake.write_status = WST_WAIT;
    assert_int_equal(write_text(&rig, "x"), WST_WAIT);
    fake_stream_drain(&rig.fake);
    turns(&rig);
    assert_int_equal(wst_stream_shutdown(rig.fake.stream), 0);
    fake_stream_data(&rig.fake, "abc", 3);
    fake_stream_end(&rig.fake);
    assert_int_equal(unread_text(&rig, "12"), 0);
    read_start(&rig, 0);
    turns(&rig);
    assert_true(fake_stream_idle(&rig.fake));
    fake_stream_break(&rig.fake, WST_ELOST);
    turns(&rig);
    wst_stream_close(rig.fake.stream, NULL);
    turns(&rig);
    assert_true(rig.fake.gone);
    fake_stream_free(&rig.fake);
    test_env_close(&rig.env);
}

static void unused_start(wst_stream_t *stream, size_t max, void *impl) {
    (void)stream;
    (void)max;
    (void)impl;
}

static void close_nothing(wst_stream_t *stream, int reset_reason, void *impl) {
    (void)stream;
    (void)reset_reason;
    (void)impl;
}

static void unused_stop(wst_stream_t *stream, void *impl) {
    (void)stream, (void)impl;
}

static int unused_write(wst_stream_t *stream, const wst_slice_t *slices, size_t count, void *impl) {
    (void)stream, (void)slices, (void)count, (void)impl;
    return WST_ESTATE;
}

static int unused_shutdown(wst_stream_t *stream, void *impl) {
    (void)stream, (void)impl;
    return WST_ESTATE;
}

static const wst_stream_ops_t unused_ops = {.size = sizeof(unused_ops),
                                            .read_start = unused_start,
                                            .read_stop = unused_stop,
                                            .write = unused_write,
                                            .shutdown = unused_shutdown,
                                            .close = close_nothing};

static void test_names(void **state) {
    (void)state;
    char peer[200], impl;
    memset(peer, 'p', sizeof(peer));
    peer[199] = '\0';
    test_env_t env;
    test_env_open(&env);
    wst_stream_t *stream;
    assert_int_equal(wst_stream_new(&stream, env.ctx, &unused_ops, &impl, peer), 0);
    assert_int_equal(strlen(wst_stream_peer(stream)), 95);
    assert_ptr_equal(wst_stream_impl(stream), &impl);
    assert_ptr_equal(wst_stream_ctx(stream), env.ctx);
    assert_int_equal(wst_stream_room(stream), 65536); /* a kind without an opinion */
    /* A proxy tells another peer, and yet another. */
    assert_int_equal(wst__stream_set_peer(stream, "192.0.2.7:1"), 0);
    assert_string_equal(wst_stream_peer(stream), "192.0.2.7:1");
    test_alloc_fail(1);
    assert_int_equal(wst__stream_set_peer(stream, "192.0.2.8:1"), WST_ENOMEM);
    assert_string_equal(wst_stream_peer(stream), "192.0.2.7:1");
    assert_int_equal(wst__stream_set_peer(stream, peer), 0);
    assert_int_equal(strlen(wst_stream_peer(stream)), 95);
    wst_stream_close(stream, NULL);
    wst_stream_closed(stream);
    assert_int_equal(wst_stream_new(&stream, env.ctx, &unused_ops, &impl, NULL), 0);
    assert_string_equal(wst_stream_peer(stream), "");
    wst_stream_close(stream, NULL);
    wst_stream_closed(stream);
    test_env_close(&env);
}

static const char *explain(const void *impl, int error) {
    return error == WST_ETLS ? impl : NULL;
}

/* What runs over another stream leads to it, and tells what went wrong in either. */
static void test_layers(void **state) {
    (void)state;
    char why[] = "why";
    test_env_t env;
    test_env_open(&env);
    wst_stream_t *streams[3];
    wst__stream_layer_t layers[3] = {0};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(wst_stream_new(&streams[i], env.ctx, &unused_ops, why, NULL), 0);
        if (i > 0) {
            layers[i].transport = streams[i - 1];
            streams[i]->layer = &layers[i];
        }
    }
    assert_ptr_equal(wst__stream_bottom(streams[0]), streams[0]);
    assert_ptr_equal(wst__stream_bottom(streams[2]), streams[0]);
    assert_string_equal(wst__stream_why(streams[2], WST_ETLS), wst_strerror(WST_ETLS));
    layers[1].explain = explain;
    assert_ptr_equal(wst__stream_why(streams[2], WST_ETLS), why);
    assert_string_equal(wst__stream_why(streams[2], WST_ERESET), wst_strerror(WST_ERESET));
    assert_string_equal(wst__stream_why(streams[0], WST_ETLS), wst_strerror(WST_ETLS));
    for (size_t i = 0; i < 3; i++) {
        wst_stream_close(streams[i], NULL);
        wst_stream_closed(streams[i]);
    }
    test_env_close(&env);
}

/* A kind that is quick to go must not leave anything behind that is still to run. */
static void test_closed_before_the_replay(void **state) {
    (void)state;
    test_env_t env;
    test_env_open(&env);
    wst_stream_t *stream;
    assert_int_equal(wst_stream_new(&stream, env.ctx, &unused_ops, NULL, NULL), 0);
    assert_int_equal(wst_stream_unread(stream, wst_slice_static("x", 1)), 0);
    wst_stream_read_start(stream, 0);
    wst_stream_close(stream, NULL);
    wst_stream_closed(stream);
    test_env_turns(&env, 3);
    test_env_close(&env);
}

/* Any allocation may fail: then the call says so, and what was there before is still there. */
static void one_life(void *arg) {
    (void)arg;
    rig_t rig;
    memset(&rig, 0, sizeof(rig));
    test_env_open(&rig.env);
    if (rig.env.ctx != NULL && fake_stream_open(&rig.fake, rig.env.ctx) == 0) {
        rig.owner.stream = rig.fake.stream;
        wst_stream_set_callbacks(rig.fake.stream, &callbacks, &rig.owner);
        char expected[16] = "";
        static const char *const parts[] = {"e", "d", "c", "b", "a"};
        for (size_t i = 0; i < 5; i++) {
            wst_slice_t slice;
            if (wst_slice_copy(&slice, rig.env.ctx, parts[i], 1) != 0)
                continue;
            if (wst_stream_unread(rig.fake.stream, slice) == 0) {
                memmove(expected + 1, expected, strlen(expected) + 1);
                expected[0] = parts[i][0];
            }
        }
        wst_stream_read_start(rig.fake.stream, 0);
        turns(&rig);
        assert_string_equal(rig.owner.trace, expected);
        wst_stream_close(rig.fake.stream, NULL);
        turns(&rig);
        fake_stream_free(&rig.fake);
    }
    test_env_close(&rig.env);
}

static void test_allocations(void **state) {
    (void)state;
    assert_in_range(test_alloc_each(one_life, NULL), 7, 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_starts_paused),
        cmocka_unit_test(test_max_reaches_the_kind),
        cmocka_unit_test(test_stop_inside_on_read),
        cmocka_unit_test(test_unread_comes_first),
        cmocka_unit_test(test_unread_many),
        cmocka_unit_test(test_unread_is_cut_to_max),
        cmocka_unit_test(test_unread_inside_on_read),
        cmocka_unit_test(test_unread_repeats_the_end),
        cmocka_unit_test(test_unread_pins_little),
        cmocka_unit_test(test_write_and_drain),
        cmocka_unit_test(test_write_error_is_the_last_word),
        cmocka_unit_test(test_shutdown),
        cmocka_unit_test(test_shutdown_error),
        cmocka_unit_test(test_nothing_after_an_error),
        cmocka_unit_test(test_reset_reasons),
        cmocka_unit_test(test_calls_after_close),
        cmocka_unit_test(test_close_in_every_callback),
        cmocka_unit_test(test_without_callbacks),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_layers),
        cmocka_unit_test(test_closed_before_the_replay),
        cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
