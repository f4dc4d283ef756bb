/* SPDX-License-Identifier: MIT */
/*
 * How socket streams end: what the other end sees of each way to close, resets coming in, and
 * closing inside every callback.
 */
#include "ctx.h"
#include "socket.h"
#include "sockets.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wstunnel/error.h>

/* A stream, and the other end as a plain descriptor. */
typedef struct rig {
    test_env_t env;
    sockets_owner_t a;
    int other;
} rig_t;

static void rig_open(rig_t *rig, bool is_unix) {
    memset(rig, 0, sizeof(*rig));
    int fds[2];
    test_env_open(&rig->env);
    sockets_pair(fds, is_unix);
    rig->other = fds[1];
    sockets_own(&rig->a, sockets_stream(&rig->env, fds[0], is_unix));
}

static void rig_close(rig_t *rig) {
    sockets_close_owned(&rig->a);
    assert_int_equal(rig->a.closed, 0); /* not before it is back in the loop */
    test_env_until_count(&rig->env, &rig->a.closed, 1);
    close(rig->other);
    test_env_close(&rig->env);
}

static bool unix_wanted(void **state) {
    return *state != NULL;
}

/* Writes until bytes must be queued. Returns how many were written. */
static size_t fill(wst_stream_t *stream) {
    size_t sent = 0;
    int status = 0;
    while (status == 0) {
        status = sockets_write_pattern(stream, sent, 65536);
        sent += 65536;
    }
    assert_int_equal(status, WST_WAIT);
    return sent;
}

/* Ends without a stream's own doing ---------------------------------------------------------- */

static void test_reset_comes_in(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig, false);
    wst_stream_read_start(rig.a.stream, 0);
    sockets_reset(rig.other);
    rig.other = -1;
    test_env_until_count(&rig.env, &rig.a.errors, 1);
    assert_int_equal(rig.a.error, UV_ECONNRESET);
    assert_int_equal(rig.a.ends, 0);
    assert_int_equal(sockets_write(rig.a.stream, "x", 1), WST_ESTATE);
    rig_close(&rig);
}

/* Regression: bytes and the reset behind them seen at once, which libuv tells as bytes and an end.
 */
static void test_reset_right_behind_bytes(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig, false);
    assert_int_equal(write(rig.other, "cut", 3), 3);
    sockets_reset(rig.other);
    rig.other = -1;
    wst_stream_read_start(rig.a.stream, 0);
    test_env_until_count(&rig.env, &rig.a.errors, 1);
    assert_int_equal(rig.a.error, UV_ECONNRESET);
    assert_int_equal(rig.a.ends, 0);
    assert_true(rig.a.received == 3 || rig.a.received == 0); /* systems differ */
    rig_close(&rig);
}

/* What a question gets in return. */
typedef enum { ANSWER_AND_END, ANSWER_AND_RESET } treatment_t;

/* Asks, and gets an answer with the end of the connection, all before the stream's next turn. */
static void ask(rig_t *rig, treatment_t treatment) {
    char question[3];
    wst__socket_look_for_end(rig->a.stream);
    assert_int_equal(sockets_write(rig->a.stream, "who", 3), 0);
    test_env_turns(&rig->env, 1);
    assert_int_equal(read(rig->other, question, 3), 3);
    assert_int_equal(write(rig->other, "me", 2), 2);
    if (treatment == ANSWER_AND_RESET)
        sockets_reset(rig->other);
    else
        close(rig->other);
    rig->other = -1;
}

static void test_answer_with_its_end(void **state) {
    rig_t rig;
    rig_open(&rig, unix_wanted(state));
    wst_stream_read_start(rig.a.stream, 0);
    ask(&rig, ANSWER_AND_END);
    test_env_turns(&rig.env, 1); /* one turn tells both */
    assert_int_equal(rig.a.received, 2);
    assert_int_equal(rig.a.ends, 1);
    test_env_turns(&rig.env, 3);
    assert_int_equal(rig.a.ends, 1);
    assert_int_equal(rig.a.errors, 0);
    rig_close(&rig);
}

static void test_answer_with_a_reset(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig, false);
    wst_stream_read_start(rig.a.stream, 0);
    ask(&rig, ANSWER_AND_RESET);
    test_env_until_count(&rig.env, &rig.a.errors, 1);
    assert_int_equal(rig.a.error, UV_ECONNRESET);
    assert_int_equal(rig.a.ends, 0);
    rig_close(&rig);
}

static void thank(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    (void)data;
    (void)user_data;
    (void)sockets_write(stream, "thanks", 6);
}

static void note_error(wst_stream_t *stream, int error, void *user_data) {
    sockets_owner_t *owner = user_data;
    (void)stream;
    owner->error = error;
    owner->errors++;
}

/* Writing fails, too, but reading has met the cause before. */
static void test_answer_with_a_reset_to_a_writer(void **state) {
    static const wst_stream_callbacks_t callbacks = {
        .size = sizeof(callbacks), .on_read = thank, .on_error = note_error};
    (void)state;
    rig_t rig;
    rig_open(&rig, false);
    wst_stream_set_callbacks(rig.a.stream, &callbacks, &rig.a);
    wst_stream_read_start(rig.a.stream, 0);
    ask(&rig, ANSWER_AND_RESET);
    test_env_until_count(&rig.env, &rig.a.errors, 1);
    assert_int_equal(rig.a.error, UV_ECONNRESET);
    rig_close(&rig);
}

/* A reader that stops at the answer is told of the end when it reads on, one that closes never. */
static void test_answer_stops_its_reader(void **state) {
    rig_t rig;
    rig_open(&rig, unix_wanted(state));
    rig.a.pause_always = true;
    wst_stream_read_start(rig.a.stream, 0);
    ask(&rig, ANSWER_AND_END);
    test_env_turns(&rig.env, 5);
    assert_int_equal(rig.a.received, 2);
    assert_int_equal(rig.a.ends, 0);
    wst_stream_read_start(rig.a.stream, 0);
    test_env_until_count(&rig.env, &rig.a.ends, 1);
    rig_close(&rig);
}

static void test_answer_closes_its_reader(void **state) {
    rig_t rig;
    rig_open(&rig, unix_wanted(state));
    rig.a.close_at = 'r';
    wst_stream_read_start(rig.a.stream, 0);
    ask(&rig, ANSWER_AND_END);
    test_env_until_count(&rig.env, &rig.a.closed, 1);
    assert_int_equal(rig.a.received, 2);
    assert_int_equal(rig.a.ends + rig.a.errors, 0);
    test_env_close(&rig.env);
}

static void test_reset_meets_a_write(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig, false);
    sockets_reset(rig.other);
    rig.other = -1;
    int status = sockets_write(rig.a.stream, "x", 1);
    assert_true(status == UV_ECONNRESET || status == UV_EPIPE);
    assert_int_equal(sockets_write(rig.a.stream, "x", 1), WST_ESTATE);
    wst_stream_read_start(rig.a.stream, 0);
    test_env_turns(&rig.env, 5);
    assert_int_equal(rig.a.errors, 0); /* the write has told already */
    rig_close(&rig);
}

/* Whoever writes, and is reset by a peer that has said why, gets to read that first. */
static void test_last_words_before_a_reset(void **state) {
    (void)state;
    for (int queued = 0; queued < 2; queued++) {
        rig_t rig;
        rig_open(&rig, false);
        if (queued)
            fill(rig.a.stream);
        wst_stream_read_start(rig.a.stream, 0);
        assert_int_equal(write(rig.other, "no", 2), 2);
        sockets_reset(rig.other);
        rig.other = -1;
        assert_int_equal(sockets_write(rig.a.stream, "x", 1), WST_WAIT);
        assert_int_equal(sockets_write(rig.a.stream, "x", 1), WST_WAIT);
        if (!queued)
            assert_int_equal(wst_stream_room(rig.a.stream), 0);
        test_env_until_count(&rig.env, &rig.a.errors, 1);
        assert_true(rig.a.error == UV_ECONNRESET || rig.a.error == UV_EPIPE);
        assert_int_equal(rig.a.received, 2);
        assert_memory_equal(rig.a.first, "no", 2);
        assert_int_equal(rig.a.ends, 0);
        assert_int_equal(rig.a.drains, 0);
        assert_int_equal(sockets_write(rig.a.stream, "x", 1), WST_ESTATE);
        test_env_turns(&rig.env, 5);
        assert_int_equal(rig.a.errors, 1);
        rig_close(&rig);
    }
}

/* Likewise, whoever ends. */
static void test_last_words_before_a_shutdown(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig, false);
    wst_stream_read_start(rig.a.stream, 0);
    assert_int_equal(write(rig.other, "no", 2), 2);
    sockets_reset(rig.other);
    rig.other = -1;
    assert_int_equal(wst_stream_shutdown(rig.a.stream), 0);
    test_env_until_count(&rig.env, &rig.a.errors, 1);
    assert_int_equal(rig.a.error, UV_ECONNRESET);
    assert_int_equal(rig.a.received, 2);
    assert_int_equal(rig.a.ends + rig.a.shutdowns, 0);
    test_env_turns(&rig.env, 5);
    assert_int_equal(rig.a.errors, 1);
    rig_close(&rig);
}

static int drain_fd;
static size_t drained;

/* The other end reads all just when a request to libuv is made, which then succeeds at once. */
static void *drain_and_malloc(size_t size, void *user_data) {
    static char bytes[65536];
    ssize_t n;
    while (size == sizeof(uv_write_t) &&
           (n = recv(drain_fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
        drained += (size_t)n;
    return test_allocator.malloc(size, user_data);
}

/*
 * Regression: libuv writes at once, and tells of it in its next turn. If a reset ends such a write,
 * the kernel has told its error, libuv not yet, and what is read in between looked like an end.
 * With `ended`, the peer has even sent an end before.
 */
static void test_reset_known_to_libuv_alone(void **state) {
    (void)state;
    for (int ended = 0; ended < 2; ended++) {
        rig_t rig;
        rig_open(&rig, false);
        drain_fd = rig.other;
        drained = 0;
        rig.env.ctx->allocator.malloc = drain_and_malloc;
        wst_stream_read_start(rig.a.stream, 0);
        fill(rig.a.stream);
        rig.env.ctx->allocator = test_allocator;
        assert_true(drained > 0);
        assert_int_equal(write(rig.other, "no", 2), 2);
        if (ended)
            assert_int_equal(shutdown(rig.other, SHUT_WR), 0);
        sockets_reset(rig.other);
        rig.other = -1;
        assert_int_equal(sockets_write(rig.a.stream, "x", 1), WST_WAIT); /* libuv's next write */
        test_env_until_count(&rig.env, &rig.a.errors, 1);
        assert_true(rig.a.error == UV_ECONNRESET || rig.a.error == UV_EPIPE);
        assert_int_equal(rig.a.received, 2);
        assert_int_equal(rig.a.ends, 0);
        test_env_turns(&rig.env, 5);
        assert_int_equal(rig.a.errors, 1);
        rig_close(&rig);
    }
}

/* Who stops reading is told all the same; who closes, or ends, meanwhile, is not bothered. */
static void test_write_error_without_a_reader(void **state) {
    (void)state;
    for (int how = 0; how < 4; how++) {
        rig_t rig;
        rig_open(&rig, false);
        rig.a.pause_always = how == 3;
        wst_stream_read_start(rig.a.stream, 0);
        assert_int_equal(write(rig.other, "no", 2), 2);
        sockets_reset(rig.other);
        rig.other = -1;
        assert_int_equal(sockets_write(rig.a.stream, "x", 1), WST_WAIT);
        if (how == 0)
            wst_stream_read_stop(rig.a.stream);
        else if (how == 1)
            assert_int_equal(wst_stream_shutdown(rig.a.stream), 0);
        else if (how == 2)
            sockets_close_owned(&rig.a);
        assert_int_equal(rig.a.errors, 0);
        test_env_until_count(&rig.env, how == 2 ? &rig.a.closed : &rig.a.errors, 1);
        assert_int_equal(rig.a.errors, how != 2);
        assert_int_equal(rig.a.received, how == 0 || how == 2 ? 0 : 2);
        assert_int_equal(rig.a.shutdowns, 0);
        if (how != 2) {
            rig_close(&rig);
        } else {
            test_env_close(&rig.env);
        }
    }
}

typedef struct late_owner late_owner_t;

struct late_owner {
    rig_t rig;
    void (*act)(late_owner_t *w);
    uv_check_t check; /* runs between reading and what is put off to the next turn */
    size_t errors;
    int status;
};

static void reset_while_reading(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    late_owner_t *w = user_data;
    (void)stream;
    (void)data;
    sockets_reset(w->rig.other);
    w->rig.other = -1;
}

static void count_error(wst_stream_t *stream, int error, void *user_data) {
    late_owner_t *w = user_data;
    (void)stream;
    (void)error;
    w->errors++;
}

static void write_late(late_owner_t *w) {
    w->status = sockets_write(w->rig.a.stream, "x", 1);
}

/* The reader wants other pieces. */
static void read_late(late_owner_t *w) {
    wst_stream_read_start(w->rig.a.stream, 8);
}

/* The reader had stopped. */
static void resume_late(late_owner_t *w) {
    wst_stream_read_stop(w->rig.a.stream);
    wst_stream_read_start(w->rig.a.stream, 4);
}

static void act_late(uv_check_t *check) {
    late_owner_t *w = check->data;
    if (w->rig.other >= 0)
        return;
    w->act(w);
    uv_close((uv_handle_t *)check, NULL);
}

/* Does that between a reset's being read and its being told, which is done once. */
static int act_between_reset_and_error(void (*act)(late_owner_t *w)) {
    static const wst_stream_callbacks_t callbacks = {
        .size = sizeof(callbacks), .on_read = reset_while_reading, .on_error = count_error};
    late_owner_t w = {.status = 1, .act = act};
    rig_open(&w.rig, false);
    fill(w.rig.a.stream);
    w.check.data = &w;
    uv_check_init(&w.rig.env.loop, &w.check);
    uv_check_start(&w.check, act_late);
    wst_stream_set_callbacks(w.rig.a.stream, &callbacks, &w);
    assert_int_equal(write(w.rig.other, "full", 4), 4);
    wst_stream_read_start(w.rig.a.stream, 4); /* a full buffer is read on from at once */
    test_env_until_count(&w.rig.env, &w.errors, 1);
    test_env_turns(&w.rig.env, 5);
    assert_int_equal(w.errors, 1);
    sockets_own(&w.rig.a, w.rig.a.stream);
    rig_close(&w.rig);
    return w.status;
}

/* Regression: the queue was dropped while libuv had it. */
static void test_write_between_reset_and_error(void **state) {
    (void)state;
    assert_int_equal(act_between_reset_and_error(write_late), WST_WAIT);
}

/* Regression: libuv does not read any more, and an assertion failed. */
static void test_read_between_reset_and_error(void **state) {
    (void)state;
    act_between_reset_and_error(read_late);
    act_between_reset_and_error(resume_late);
}

static void test_end_goes_while_bytes_are_queued(void **state) {
    rig_t rig;
    rig_open(&rig, unix_wanted(state));
    fill(rig.a.stream);
    if (unix_wanted(state))
        close(rig.other);
    else
        sockets_reset(rig.other);
    rig.other = -1;
    test_env_until_count(&rig.env, &rig.a.errors, 1); /* though nothing is read */
    assert_true(rig.a.error == UV_ECONNRESET || rig.a.error == UV_EPIPE);
    test_env_turns(&rig.env, 5);
    assert_int_equal(rig.a.errors, 1);
    assert_int_equal(rig.a.drains, 0);
    rig_close(&rig);
}

/* What the other end sees -------------------------------------------------------------------- */

static int other_end(rig_t *rig, size_t *len) {
    uint8_t first[64];
    int status = sockets_read_all(rig->other, first, sizeof(first), len);
    for (size_t i = 0; i < *len && i < sizeof(first); i++)
        assert_int_equal(first[i], sockets_pattern(i));
    return status;
}

static void test_orderly_close(void **state) {
    rig_t rig;
    rig_open(&rig, unix_wanted(state));
    assert_int_equal(sockets_write_pattern(rig.a.stream, 0, 1000), 0);
    assert_int_equal(wst_stream_shutdown(rig.a.stream), 0);
    test_env_until_count(&rig.env, &rig.a.shutdowns, 1);
    sockets_close_owned(&rig.a);
    test_env_until_count(&rig.env, &rig.a.closed, 1);
    size_t len;
    assert_int_equal(other_end(&rig, &len), 0);
    assert_int_equal(len, 1000);
    close(rig.other);
    test_env_close(&rig.env);
}

/* Closing too early must not look like an end. */
static void test_close_without_shutdown_resets(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig, false);
    assert_int_equal(sockets_write_pattern(rig.a.stream, 0, 1000), 0);
    sockets_close_owned(&rig.a);
    test_env_until_count(&rig.env, &rig.a.closed, 1);
    size_t len;
    assert_int_equal(other_end(&rig, &len), ECONNRESET);
    close(rig.other);
    test_env_close(&rig.env);
}

static void test_close_with_pending_shutdown_resets(void **state) {
    (void)state;
    for (int queued = 0; queued < 2; queued++) {
        rig_t rig;
        rig_open(&rig, false);
        if (queued)
            fill(rig.a.stream);
        assert_int_equal(wst_stream_shutdown(rig.a.stream), 0);
        sockets_close_owned(&rig.a);
        test_env_until_count(&rig.env, &rig.a.closed, 1);
        assert_int_equal(rig.a.shutdowns + rig.a.errors + rig.a.drains, 0);
        size_t len;
        assert_int_equal(other_end(&rig, &len), ECONNRESET);
        close(rig.other);
        test_env_close(&rig.env);
    }
}

static void test_reset_after_shutdown(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig, false);
    assert_int_equal(wst_stream_shutdown(rig.a.stream), 0);
    test_env_until_count(&rig.env, &rig.a.shutdowns, 1);
    uint8_t byte;
    assert_int_equal(read(rig.other, &byte, 1), 0); /* the end has arrived */
    wst_stream_reset(rig.a.stream, WST_ELOST, NULL);
    test_env_turns(&rig.env, 3);
    /* A reset behind it: the first write may still go, the next sees it. */
    (void)!write(rig.other, "x", 1);
    assert_int_equal(write(rig.other, "x", 1), -1);
    close(rig.other);
    test_env_close(&rig.env);
}

/* Whoever is killed has no time to reset anything: the system does, unless all was said before. */
static void test_killed(void **state) {
    (void)state;
    for (int ended = 0; ended < 2; ended++) {
        rig_t rig = {0};
        int fds[2];
        sockets_pair(fds, false);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            close(fds[1]);
            test_env_open(&rig.env);
            sockets_own(&rig.a, sockets_stream(&rig.env, fds[0], false));
            bool ok = sockets_write_pattern(rig.a.stream, 0, 1000) == 0;
            if (ended) {
                ok = ok && wst_stream_shutdown(rig.a.stream) == 0;
                test_env_until_count(&rig.env, &rig.a.shutdowns, 1);
            }
            raise(ok ? SIGKILL : SIGABRT);
        }
        close(fds[0]);
        rig.other = fds[1];
        size_t len;
        assert_int_equal(other_end(&rig, &len), ended ? 0 : ECONNRESET);
        assert_true(!ended || len == 1000);
        close(fds[1]);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
}

/* Unix sockets know no reset; closing one with bytes queued must still end it. */
static void test_unix_close_with_queue(void **state) {
    (void)state;
    rig_t rig;
    rig_open(&rig, true);
    size_t sent = fill(rig.a.stream), len;
    sockets_close_owned(&rig.a);
    test_env_until_count(&rig.env, &rig.a.closed, 1);
    assert_int_equal(other_end(&rig, &len), 0);
    assert_true(len < sent);
    close(rig.other);
    test_env_close(&rig.env);
}

static void test_shutdown_waits_for_the_queue(void **state) {
    rig_t rig;
    rig_open(&rig, unix_wanted(state));
    size_t sent = fill(rig.a.stream);
    assert_int_equal(wst_stream_shutdown(rig.a.stream), 0);
    test_env_turns(&rig.env, 5);
    assert_int_equal(rig.a.shutdowns, 0);
    sockets_owner_t b = {.patterned = true};
    sockets_own(&b, sockets_stream(&rig.env, rig.other, unix_wanted(state)));
    rig.other = -1;
    wst_stream_read_start(b.stream, 0);
    test_env_until_count(&rig.env, &b.ends, 1);
    assert_int_equal(b.received, sent);
    assert_int_equal(rig.a.shutdowns, 1);
    sockets_close_owned(&b);
    rig_close(&rig);
    assert_int_equal(b.closed, 1);
}

/* Closing inside each callback --------------------------------------------------------------- */

static void test_close_in_every_callback(void **state) {
    for (const char *at = "redsx"; *at != '\0'; at++) {
        if (*at == 'x' && unix_wanted(state))
            continue; /* no reset to receive */
        rig_t rig;
        rig_open(&rig, unix_wanted(state));
        rig.a.close_at = *at;
        size_t sent = 0;
        uint8_t sink[65536];
        switch (*at) {
        case 'r':
            memset(sink, 'x', sizeof(sink));
            assert_int_equal(write(rig.other, sink, 30000), 30000); /* more than one read */
            break;
        case 'e':
            shutdown(rig.other, SHUT_WR);
            break;
        case 'd':
            sent = fill(rig.a.stream);
            break;
        case 's':
            assert_int_equal(wst_stream_shutdown(rig.a.stream), 0);
            break;
        default:
            sockets_reset(rig.other);
            rig.other = -1;
        }
        wst_stream_read_start(rig.a.stream, 0);
        test_env_turns(&rig.env, 1);
        while (sent > 0 && rig.a.drains == 0) {
            assert_true(read(rig.other, sink, sizeof(sink)) > 0);
            test_env_turns(&rig.env, 1);
        }
        test_env_until_count(&rig.env, &rig.a.closed, 1);
        test_env_turns(&rig.env, 3);
        assert_int_equal(rig.a.closed, 1);
        assert_int_equal(rig.a.reads + rig.a.ends + rig.a.drains + rig.a.shutdowns + rig.a.errors,
                         1);
        close(rig.other);
        test_env_close(&rig.env);
    }
}

#define BOTH(test)                                                                                 \
    cmocka_unit_test(test), {                                                                      \
#test " (unix)", test, NULL, NULL, (void *)"unix"                                          \
    }

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reset_comes_in),
        cmocka_unit_test(test_reset_right_behind_bytes),
        BOTH(test_answer_with_its_end),
        cmocka_unit_test(test_answer_with_a_reset),
        cmocka_unit_test(test_answer_with_a_reset_to_a_writer),
        BOTH(test_answer_stops_its_reader),
        BOTH(test_answer_closes_its_reader),
        cmocka_unit_test(test_reset_meets_a_write),
        cmocka_unit_test(test_last_words_before_a_reset),
        cmocka_unit_test(test_last_words_before_a_shutdown),
        cmocka_unit_test(test_reset_known_to_libuv_alone),
        cmocka_unit_test(test_write_error_without_a_reader),
        cmocka_unit_test(test_write_between_reset_and_error),
        cmocka_unit_test(test_read_between_reset_and_error),
        BOTH(test_end_goes_while_bytes_are_queued),
        BOTH(test_orderly_close),
        cmocka_unit_test(test_close_without_shutdown_resets),
        cmocka_unit_test(test_close_with_pending_shutdown_resets),
        cmocka_unit_test(test_reset_after_shutdown),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_unix_close_with_queue),
        BOTH(test_shutdown_waits_for_the_queue),
        BOTH(test_close_in_every_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
