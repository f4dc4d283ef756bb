/* SPDX-License-Identifier: MIT */
/*
 * Many streams whose connection is cut, frozen and replaced at random: each gets all its bytes,
 * which follow from their place, and its end.
 */
#include "resume_rig.h"

#include <wstunnel/error.h>

enum { STREAMS = 8, TOTAL = 200000 };

typedef struct pipe {
    wst_stream_t *stream;
    uint32_t key; /* of the bytes that it sends; those that it gets are of key ^ 1 */
    size_t sent, got;
    bool waits, ended, reset;
} pipe_t;

typedef struct crowd {
    pipe_t pipes[2][STREAMS]; /* the client's, the server's */
    size_t count[2];
} crowd_t;

static uint8_t byte_at(uint32_t key, size_t offset) {
    return (uint8_t)((offset + key * 977) * 2654435761u >> 13);
}

static void feed(mux_rig_t *rig, pipe_t *p) {
    uint8_t piece[5000];
    while (!p->waits && p->sent < TOTAL) {
        wst_slice_t slice;
        size_t n = TOTAL - p->sent < sizeof(piece) ? TOTAL - p->sent : sizeof(piece);
        for (size_t i = 0; i < n; i++)
            piece[i] = byte_at(p->key, p->sent + i);
        assert_int_equal(wst_slice_copy(&slice, rig->ctx, piece, n), 0);
        int status = wst_stream_write(p->stream, &slice, 1);
        assert_true(status >= 0);
        p->sent += n;
        p->waits = status == WST_WAIT;
        if (p->sent == TOTAL)
            assert_int_equal(wst_stream_shutdown(p->stream), 0);
    }
}

static void pipe_on_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    pipe_t *p = user_data;
    (void)stream;
    for (size_t i = 0; i < data.len; i++)
        if (data.data[i] != byte_at(p->key ^ 1, p->got + i))
            fail_msg("wrong byte at %zu of stream %u", p->got + i, (unsigned)p->key);
    p->got += data.len;
}

static void pipe_on_end(wst_stream_t *stream, void *user_data) {
    pipe_t *p = user_data;
    (void)stream;
    assert_int_equal(p->got, TOTAL);
    assert_false(p->ended);
    p->ended = true;
}

static void pipe_on_drain(wst_stream_t *stream, void *user_data) {
    pipe_t *p = user_data;
    (void)stream;
    p->waits = false;
}

static void pipe_on_error(wst_stream_t *stream, int error, void *user_data) {
    (void)stream, (void)user_data;
    fail_msg("a stream is lost: %s", wst_err_name(error));
}

static void take(mux_side_t *side, wst_stream_t *stream) {
    static const wst_stream_callbacks_t callbacks = {.size = sizeof(callbacks),
                                                     .on_read = pipe_on_read,
                                                     .on_end = pipe_on_end,
                                                     .on_drain = pipe_on_drain,
                                                     .on_error = pipe_on_error};
    crowd_t *crowd = side->rig->data;
    unsigned i = side == &side->rig->server;
    size_t n = crowd->count[i]++;
    assert_true(n < STREAMS);
    crowd->pipes[i][n] = (pipe_t){.stream = stream, .key = (uint32_t)(2 * n + i)};
    wst_stream_set_callbacks(stream, &callbacks, &crowd->pipes[i][n]);
    wst_stream_read_start(stream, 0);
}

static bool is_done(const crowd_t *crowd) {
    for (int i = 0; i < 2; i++)
        for (size_t n = 0; n < STREAMS; n++)
            if (!crowd->pipes[i][n].ended)
                return false;
    return true;
}

/* The client's connection is bad: cut, frozen, or its next one dies in the middle of anything. */
static void do_harm(mux_rig_t *rig, uint64_t *seed) {
    mux_attempt_t *a = rig->attempt_count > 0 ? rig->attempts[rig->attempt_count - 1] : NULL;
    bool under_way = a != NULL && a->client.uplink != NULL && !a->client.closing;
    switch (test_random(seed) % 8) {
    case 0:
    case 1:
        if (rig->fds[0] >= 0 && !resume_is_suspended(&rig->client) &&
            !resume_is_suspended(&rig->server))
            mux_rig_cut(rig, test_random(seed) % 2);
        break;
    case 2:
        if (under_way) {
            a->client.closing = true;
            a->client.uplink->ops->close(a->client.uplink);
        }
        break;
    case 3:
        if (!resume_is_suspended(&rig->client))
            wst_websocket_read_stop(mux_side_websocket(&rig->client));
        break;
    case 4:
        if (!resume_is_suspended(&rig->server))
            wst_websocket_read_stop(mux_side_websocket(&rig->server));
        break;
    default:
        rig->client.options.encoding =
            test_random(seed) % 2 == 0 ? WST_ENCODING_JSON : WST_ENCODING_BINARY;
        if (!under_way && rig->attempt_count < MUX_ATTEMPTS)
            (void)mux_rig_attempt(rig);
    }
}

static void run_crowd(uint64_t first) {
    uint64_t seed = first;
    mux_rig_t rig;
    crowd_t crowd = {0};
    resume_rig_up(&rig);
    rig.data = &crowd;
    rig.take = take;
    for (int n = 0; n < STREAMS; n++) {
        assert_int_equal(mux_side_open(&rig.client, "b:1"), 0);
        mux_rig_until(&rig, &rig.client.answers, n + 1);
    }
    for (int turn = 0; !is_done(&crowd); turn++) {
        if (turn > 20000)
            fail_msg("seed %u: stuck", (unsigned)first);
        for (int i = 0; i < 2; i++)
            for (size_t n = 0; n < STREAMS; n++)
                feed(&rig, &crowd.pipes[i][n]);
        if (rig.attempt_count < MUX_ATTEMPTS - 2 && test_random(&seed) % 4 == 0) {
            do_harm(&rig, &seed);
        } else if (rig.attempt_count < MUX_ATTEMPTS && rig.attempt_count >= MUX_ATTEMPTS - 2 &&
                   turn % 50 == 0) { /* enough: two good ones */
            (void)mux_rig_attempt(&rig);
        }
        mux_rig_turns(&rig, 1 + (int)(test_random(&seed) % 3));
    }
    resume_rig_expect_well(&rig);
    for (int i = 0; i < 2; i++)
        for (size_t n = 0; n < STREAMS; n++)
            wst_stream_close(crowd.pipes[i][n].stream, NULL);
    mux_rig_free(&rig);
}

static void test_crowd(void **state) {
    (void)state;
    uint64_t first, count;
    test_seeds(&first, &count, 50);
    for (uint64_t seed = first; seed < first + count; seed++)
        run_crowd(seed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crowd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
