/* SPDX-License-Identifier: MIT */
/* Streams through two muxes: opening, refusing and cancelling them, bytes and ends in both
 * directions, resets; joined to a socket by a pump. */
#include "mux_rig.h"
#include "session.h"
#include "socket_pair.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wstunnel/error.h>
#include <wstunnel/pump.h>
#include <wstunnel/socket.h>

/* --- opening --- */

static void test_open(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        mux_rig_t rig;
        mux_rig_up(&rig, i & 1, false);
        mux_side_t *from = i & 2 ? &rig.client : &rig.server, *to = mux_rig_other(from);
        assert_int_equal(mux_side_open(from, "[2001:db8::1]:443"), 0);
        assert_int_equal(from->answers, 0);
        mux_rig_until(&rig, &from->answers, 1);
        assert_int_equal(from->status, 0);
        assert_string_equal(to->dest, "[2001:db8::1]:443");
        assert_string_equal(wst_stream_peer(from->probe.stream),
                            i & 2 ? "tunnel 1 to [2001:db8::1]:443"
                                  : "tunnel 2 to [2001:db8::1]:443");
        assert_string_equal(wst_stream_peer(to->probe.stream), i & 2 ? "tunnel 1" : "tunnel 2");
        assert_ptr_equal(wst_stream_ctx(from->probe.stream), rig.ctx);
        mux_rig_free(&rig);
    }
}

/* Of a long destination a stream's peer shows the first 64 bytes. */
static void test_long_destination(void **state) {
    (void)state;
    char dest[128], shown[128];
    mux_rig_t rig;
    mux_rig_up(&rig, false, false);
    snprintf(dest, sizeof(dest), "%s.%s:1", "0123456789012345678901234567890123456789",
             "0123456789012345678901234567890123456789.test");
    assert_int_equal(mux_side_open(&rig.server, dest), 0);
    mux_rig_until(&rig, &rig.server.answers, 1);
    snprintf(shown, sizeof(shown), "tunnel 2 to %.64s", dest);
    assert_string_equal(wst_stream_peer(rig.server.probe.stream), shown);
    mux_rig_free(&rig);
}

static void test_refused(void **state) {
    (void)state;
    static char long_text[400];
    memset(long_text, 'x', sizeof(long_text) - 1);
    const char *texts[] = {"not today", "", NULL, "caf\xe9", long_text};
    for (size_t i = 0; i < 10; i++) {
        mux_rig_t rig;
        mux_rig_up(&rig, i % 2, false);
        rig.server.policy = MUX_HOLD;
        assert_int_equal(mux_side_open(&rig.client, "a:1"), 0);
        mux_rig_until(&rig, &rig.server.incomings, 1);
        mux_rig_turns(&rig, 5);
        assert_int_equal(rig.client.answers, 0);
        rig.busy++;
        rig.server.incoming->ops->refuse(rig.server.incoming, UV_EHOSTUNREACH, texts[i / 2]);
        rig.busy--;
        rig.server.incoming = NULL;
        mux_rig_until(&rig, &rig.client.answers, 1);
        assert_int_equal(rig.client.status, WST_EUNREACHABLE);
        static const char *const arrives[] = {"not today", "", "", "caf?"};
        if (i / 2 < 4)
            assert_string_equal(rig.client.text, arrives[i / 2]);
        else
            assert_int_equal(strlen(rig.client.text), WST_ERROR_TEXT_MAX);
        assert_int_equal(rig.client.downs + rig.server.downs, 0);
        mux_rig_free(&rig);
    }
}

/* The default: who does not say that it takes streams refuses them. */
static void test_none_taken(void **state) {
    (void)state;
    mux_rig_t rig;
    assert_true(mux_rig_init(&rig));
    assert_true(mux_rig_join(&rig, false));
    mux_side_takes_none(&rig.client);
    assert_true(mux_rig_start(&rig));
    mux_rig_until(&rig, &rig.server.ups, 1);
    assert_int_equal(mux_side_open(&rig.server, "a:1"), 0);
    mux_rig_until(&rig, &rig.server.answers, 1);
    assert_int_equal(rig.server.status, WST_EDENIED);
    mux_rig_free(&rig);
}

static void test_not_opened(void **state) {
    (void)state;
    mux_rig_t rig;
    assert_true(mux_rig_init(&rig));
    assert_true(mux_rig_join(&rig, false));
    rig.server.options.hello.max_streams = 1;
    assert_true(mux_rig_start(&rig));
    assert_int_equal(mux_side_open(&rig.client, "a:1"), WST_ELOST);
    mux_rig_until(&rig, &rig.client.ups, 1);
    char long_dest[WST_DEST_MAX + 2];
    memset(long_dest, 'a', sizeof(long_dest));
    long_dest[sizeof(long_dest) - 1] = '\0';
    const char *bad[] = {"", "a b:1", "a\n:1", "caf\xe9:1", long_dest};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(mux_side_open(&rig.client, bad[i]), WST_EDEST);
    mux_rig_turns(&rig, 5);
    assert_int_equal(rig.client.downs, 0);
    mux_rig_stream(&rig);
    assert_int_equal(mux_side_open(&rig.client, "b:1"), WST_ELIMIT);
    rig.ctx->budget.limit = rig.ctx->budget.used;
    assert_int_equal(mux_side_open(&rig.server, "b:1"), WST_EMEMORY);
    mux_rig_free(&rig);
}

static void cancel(mux_side_t *side) {
    side->rig->busy++;
    wst__opening_cancel(side->open);
    side->rig->busy--;
    side->open = NULL;
}

static void test_cancel(void **state) {
    (void)state;
    enum { AT_ONCE, HELD, ANSWERED, CASES };
    for (int i = 0; i < 2 * CASES; i++) {
        mux_rig_t rig;
        mux_rig_up(&rig, i % 2, false);
        rig.server.policy = i / 2 == AT_ONCE ? MUX_ACCEPT : MUX_HOLD;
        assert_int_equal(mux_side_open(&rig.client, "a:1"), 0);
        if (i / 2 != AT_ONCE)
            mux_rig_until(&rig, &rig.server.incomings, 1);
        if (i / 2 == ANSWERED) { /* the answer is under way and must not be heard of */
            rig.busy++;
            rig.server.incoming->ops->refuse(rig.server.incoming, WST_ENAME, NULL);
            rig.busy--;
            rig.server.incoming = NULL;
        }
        cancel(&rig.client);
        if (i / 2 == HELD) {
            mux_rig_until(&rig, &rig.server.gone, 1);
            assert_int_equal(rig.server.gone_reason, WST_ECANCELLED);
        }
        mux_rig_turns(&rig, 20);
        assert_int_equal(rig.client.answers, 0);
        assert_int_equal(rig.server.incomings, i / 2 != AT_ONCE);
        assert_int_equal(wst__session_stream_count(mux_side_session(&rig.client)), 0);
        assert_int_equal(wst__session_stream_count(mux_side_session(&rig.server)), 0);
        assert_int_equal(rig.client.downs + rig.server.downs, 0);
        mux_rig_free(&rig);
    }
}

static void test_accept_later(void **state) {
    (void)state;
    mux_rig_t rig;
    mux_rig_up(&rig, false, false);
    rig.server.policy = MUX_HOLD;
    assert_int_equal(mux_side_open(&rig.client, "a:1"), 0);
    mux_rig_until(&rig, &rig.server.incomings, 1);
    /* Bytes may be written at once; they follow the answer. */
    wst_stream_t *stream;
    assert_int_equal(rig.server.incoming->ops->accept(rig.server.incoming, "", &stream), 0);
    rig.server.incoming = NULL;
    wst_slice_t early = wst_slice_static("early", 5);
    assert_int_equal(wst_stream_write(stream, &early, 1), 0);
    assert_int_equal(wst_stream_shutdown(stream), 0);
    mux_rig_until(&rig, &rig.client.probe.ends, 1);
    assert_int_equal(rig.client.probe.received_len, 5);
    wst_stream_close(stream, NULL);
    mux_rig_free(&rig);
}

static void check_room(mux_rig_t *rig, mux_side_t *side, mux_event_t event) {
    int *drained = rig->data;
    if (side == &rig->client && event == MUX_ANSWER)
        assert_int_equal(wst_stream_room(side->probe.stream), 0);
    *drained += side == &rig->client && event == MUX_DRAIN;
}

/* Bytes that go ahead of the answer, as many as a sender keeps without a loan; the others follow.
 * If the answer comes before they are confirmed, the writer waits. */
static void test_early(void **state) {
    (void)state;
    static char text[WST__SEND_LEAST + 1];
    memset(text, 'x', sizeof(text) - 1);
    for (int i = 0; i < 4; i++) {
        bool json = i % 2 == 1, hold = i >= 2;
        mux_rig_t rig;
        int drained = 0;
        mux_rig_up(&rig, json, false);
        rig.server.policy = hold ? MUX_HOLD : MUX_ACCEPT;
        assert_int_equal(mux_side_open(&rig.client, "a:1"), 0);
        assert_int_equal(mux_side_send_early(&rig.client, "abc"), 3);
        if (hold)
            mux_rig_until(&rig, &rig.server.incomings, 1);
        assert_int_equal(mux_side_send_early(&rig.client, text), WST__SEND_LEAST - 3);
        assert_int_equal(mux_side_send_early(&rig.client, "y"), 0);
        assert_int_equal(rig.client.uplink->sent, WST__SEND_LEAST);
        if (hold) {
            mux_rig_turns(&rig, 20);
            mux_side_accept(&rig.server);
        } else {
            rig.act = check_room;
            rig.data = &drained;
            mux_rig_until(&rig, &drained, 1);
        }
        mux_rig_until(&rig, &rig.client.answers, 1);
        assert_int_equal(mux_probe_write(&rig.client.probe, "z", 1), 0);
        assert_int_equal(mux_probe_shutdown(&rig.client.probe), 0);
        mux_rig_until(&rig, &rig.server.probe.ends, 1);
        assert_int_equal(rig.server.probe.received_len, WST__SEND_LEAST + 1);
        assert_memory_equal(rig.server.probe.received, "abcx", 4);
        assert_int_equal(rig.server.probe.received[WST__SEND_LEAST], 'z');
        mux_rig_free(&rig);
    }
}

/* Nothing of them was delivered. */
static void test_early_refused(void **state) {
    (void)state;
    for (int early = 0; early < 2; early++) {
        mux_rig_t rig;
        mux_rig_up(&rig, false, false);
        rig.server.policy = MUX_REFUSE;
        assert_int_equal(mux_side_open(&rig.client, "a:1"), 0);
        if (early)
            assert_int_equal(mux_side_send_early(&rig.client, "abc"), 3);
        mux_rig_until(&rig, &rig.client.answers, 1);
        assert_int_equal(rig.client.status, WST_EREFUSED);
        assert_false(rig.client.early_delivered);
        mux_rig_turns(&rig, 20);
        assert_int_equal(rig.client.downs + rig.server.downs, 0);
        mux_rig_free(&rig);
    }
}

/* The far side has accepted, and resets before its answer is out: for whatever reason. */
static void test_early_reset(void **state) {
    (void)state;
    for (int early = 0; early < 2; early++) {
        mux_rig_t rig;
        mux_rig_up(&rig, false, false);
        rig.server.policy = MUX_HOLD;
        assert_int_equal(mux_side_open(&rig.client, "a:1"), 0);
        if (early)
            assert_int_equal(mux_side_send_early(&rig.client, "abc"), 3);
        mux_rig_until(&rig, &rig.server.incomings, 1);
        mux_rig_turns(&rig, 5);
        mux_side_accept(&rig.server);
        mux_probe_reset(&rig.server.probe, WST_EMEMORY);
        mux_rig_until(&rig, &rig.client.answers, 1);
        assert_int_equal(rig.client.status, WST_EMEMORY);
        assert_int_equal(rig.client.early_delivered, early);
        mux_rig_free(&rig);
    }
}

/* The answer finds no memory for a stream. */
static void test_open_without_memory(void **state) {
    (void)state;
    for (size_t n = 1; n < 20; n++) {
        mux_rig_t rig;
        mux_rig_up(&rig, false, false);
        rig.server.policy = MUX_HOLD;
        assert_int_equal(mux_side_open(&rig.client, "a:1"), 0);
        assert_int_equal(mux_side_send_early(&rig.client, "abc"), 3);
        mux_rig_until(&rig, &rig.server.incomings, 1);
        mux_rig_turns(&rig, 5);
        mux_side_accept(&rig.server);
        test_alloc_fail(n);
        mux_rig_turns(&rig, 20);
        test_alloc_fail(0);
        if (rig.client.answers > 0 && rig.client.status == WST_ENOMEM) {
            assert_true(rig.client.early_delivered);
            n = 20;
        }
        assert_true(n != 19);
        mux_rig_free(&rig);
    }
}

/* --- bytes --- */

typedef struct flow {
    uint64_t sent, total;
    bool waiting;
} flow_t;

static uint8_t byte_at(uint64_t offset) {
    return (uint8_t)(offset * 2654435761u >> 13);
}

static void send_more(mux_probe_t *probe, flow_t *flow) {
    static uint8_t piece[30011];
    while (!flow->waiting && flow->sent < flow->total) {
        size_t room = wst_stream_room(probe->stream);
        assert_true(room > 0 && room <= 32768);
        size_t n = room < sizeof(piece) ? room : sizeof(piece);
        if (n > flow->total - flow->sent)
            n = (size_t)(flow->total - flow->sent);
        for (size_t i = 0; i < n; i++)
            piece[i] = byte_at(flow->sent + i);
        int status = mux_probe_write(probe, piece, n);
        assert_true(status >= 0);
        flow->sent += n;
        flow->waiting = status == WST_WAIT;
    }
    if (flow->sent == flow->total && flow->total > 0) {
        flow->total = 0;
        assert_int_equal(mux_probe_shutdown(probe), 0);
    }
}

static void keep_flowing(mux_rig_t *rig, mux_side_t *side, mux_event_t event) {
    flow_t *flows = rig->data;
    flow_t *flow = &flows[side == &rig->server];
    if (event == MUX_DRAIN) {
        assert_true(flow->waiting);
        flow->waiting = false;
        send_more(&side->probe, flow);
    }
}

static void assert_received(const mux_probe_t *probe, size_t len) {
    assert_int_equal(probe->received_len, len);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(probe->received[i], byte_at(i));
}

static void test_bytes_both_ways(void **state) {
    (void)state;
    enum { TOTAL = 1500000 };
    for (int i = 0; i < 4; i++) {
        mux_rig_t rig;
        mux_rig_up(&rig, i & 1, i & 2);
        mux_rig_stream(&rig);
        flow_t flows[2] = {{.total = TOTAL}, {.total = TOTAL}};
        rig.data = flows;
        rig.act = keep_flowing;
        send_more(&rig.client.probe, &flows[0]);
        send_more(&rig.server.probe, &flows[1]);
        mux_rig_until(&rig, &rig.client.probe.ends, 1);
        mux_rig_until(&rig, &rig.server.probe.ends, 1);
        mux_rig_until(&rig, &rig.client.probe.shutdowns, 1);
        mux_rig_until(&rig, &rig.server.probe.shutdowns, 1);
        assert_received(&rig.client.probe, TOTAL);
        assert_received(&rig.server.probe, TOTAL);
        assert_int_equal(wst_stream_bytes_read(rig.client.probe.stream), TOTAL);
        assert_int_equal(wst_stream_bytes_written(rig.client.probe.stream), TOTAL);
        /* Both directions are done: nothing is left of it in the sessions. */
        mux_probe_reset(&rig.client.probe, 0);
        mux_probe_reset(&rig.server.probe, 0);
        mux_rig_turns(&rig, 10);
        assert_int_equal(rig.client.probe.errors + rig.server.probe.errors, 0);
        assert_int_equal(wst__session_stream_count(mux_side_session(&rig.client)), 0);
        assert_int_equal(wst__session_stream_count(mux_side_session(&rig.server)), 0);
        mux_rig_free(&rig);
    }
}

/* A reader that pauses stops its writer, and nobody else's. */
static void test_back_pressure(void **state) {
    (void)state;
    enum { TOTAL = 300000 };
    mux_rig_t rig;
    mux_rig_up(&rig, false, true);
    mux_rig_stream(&rig);
    mux_probe_read(&rig.server.probe, false);
    flow_t flows[2] = {{.total = TOTAL}, {.total = TOTAL}};
    rig.data = flows;
    rig.act = keep_flowing;
    send_more(&rig.client.probe, &flows[0]);
    send_more(&rig.server.probe, &flows[1]);
    mux_rig_until(&rig, &rig.client.probe.ends, 1);
    assert_received(&rig.client.probe, TOTAL);
    mux_rig_turns(&rig, 50);
    assert_true(flows[0].waiting);
    /* A window there, an allowance here. */
    assert_true(flows[0].sent <= 65536);
    assert_int_equal(rig.server.probe.reads, 0);
    mux_probe_read(&rig.server.probe, true);
    assert_int_equal(rig.server.probe.reads, 0);
    mux_rig_until(&rig, &rig.server.probe.reads, 1);
    /* What has come in meanwhile, and no more, once it pauses again. */
    mux_probe_read(&rig.server.probe, false);
    int reads = rig.server.probe.reads;
    mux_rig_turns(&rig, 50);
    assert_int_equal(rig.server.probe.reads, reads);
    mux_probe_read(&rig.server.probe, true);
    mux_rig_until(&rig, &rig.server.probe.ends, 1);
    assert_received(&rig.server.probe, TOTAL);
    mux_rig_free(&rig);
}

static void pause_in_read(mux_rig_t *rig, mux_side_t *side, mux_event_t event) {
    (void)rig;
    if (event == MUX_READ)
        wst_stream_read_stop(side->probe.stream);
}

/* Stopping inside on_read holds back the very next piece. */
static void test_pause_in_read(void **state) {
    (void)state;
    enum { TOTAL = 12000 }; /* within the window */
    mux_rig_t rig;
    mux_rig_up(&rig, false, false);
    mux_rig_stream(&rig);
    mux_probe_read(&rig.server.probe, false);
    flow_t flow = {.total = TOTAL};
    send_more(&rig.client.probe, &flow);
    mux_rig_turns(&rig, 30);
    rig.act = pause_in_read;
    while (rig.server.probe.received_len < TOTAL) {
        int reads = rig.server.probe.reads;
        mux_probe_read(&rig.server.probe, true);
        mux_rig_until(&rig, &rig.server.probe.reads, reads + 1);
        mux_rig_turns(&rig, 3);
        assert_int_equal(rig.server.probe.reads, reads + 1);
    }
    assert_true(rig.server.probe.reads > 1);
    assert_int_equal(rig.server.probe.ends, 0);
    mux_probe_read(&rig.server.probe, true);
    mux_rig_until(&rig, &rig.server.probe.ends, 1);
    assert_received(&rig.server.probe, TOTAL);
    mux_rig_free(&rig);
}

/* --- ends --- */

static void test_half_close(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        mux_rig_t rig;
        mux_rig_up(&rig, i & 1, false);
        mux_rig_stream(&rig);
        mux_probe_t *first = i & 2 ? &rig.client.probe : &rig.server.probe;
        mux_probe_t *second = i & 2 ? &rig.server.probe : &rig.client.probe;
        assert_int_equal(mux_probe_write(first, "question", 8), 0);
        assert_int_equal(mux_probe_shutdown(first), 0);
        assert_int_equal(mux_probe_shutdown(first), WST_ESTATE);
        assert_int_equal(mux_probe_write(first, "x", 1), WST_ESTATE);
        mux_rig_until(&rig, &second->ends, 1);
        assert_int_equal(second->received_len, 8);
        mux_rig_until(&rig, &first->shutdowns, 1);
        mux_rig_turns(&rig, 10);
        assert_int_equal(first->ends, 0);
        /* The other direction goes on. */
        assert_int_equal(mux_probe_write(second, "an answer", 9), 0);
        assert_int_equal(mux_probe_shutdown(second), 0);
        mux_rig_until(&rig, &first->ends, 1);
        assert_int_equal(first->received_len, 9);
        mux_rig_until(&rig, &second->shutdowns, 1);
        mux_probe_reset(first, 0);
        mux_rig_turns(&rig, 10);
        assert_int_equal(second->errors, 0);
        mux_rig_free(&rig);
    }
}

static void test_reset(void **state) {
    (void)state;
    static const struct {
        int reason, error;
    } table[] = {{0, WST_ECANCELLED},
                 {WST_EIDLE, WST_EIDLE},
                 {UV_ECONNRESET, WST_ERESET},
                 {WST_EPROTO, WST_EINTERNAL}};
    for (int i = 0; i < 16; i++) {
        mux_rig_t rig;
        mux_rig_up(&rig, i & 1, false);
        mux_rig_stream(&rig);
        mux_probe_t *first = i & 2 ? &rig.client.probe : &rig.server.probe;
        mux_probe_t *second = i & 2 ? &rig.server.probe : &rig.client.probe;
        assert_int_equal(mux_probe_write(second, "unread", 6), 0);
        mux_probe_reset(first, table[i / 4].reason);
        assert_int_equal(first->closed, 0);
        mux_rig_until(&rig, &first->closed, 1);
        mux_rig_until(&rig, &second->errors, 1);
        assert_int_equal(second->error, table[i / 4].error);
        assert_int_equal(second->ends, 0);
        assert_int_equal(mux_probe_write(second, "x", 1), WST_ESTATE);
        assert_int_equal(first->reads + first->errors, 0);
        mux_rig_free(&rig);
    }
}

/* The mux goes first: the stream is told, and stays until its owner closes it. */
static void test_outlives_mux(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        mux_rig_t rig;
        mux_rig_up(&rig, false, false);
        mux_rig_stream(&rig);
        mux_side_close(&rig.client);
        if (i == 1) /* written into a mux that is closing */
            assert_true(mux_probe_write(&rig.client.probe, "x", 1) >= 0);
        mux_rig_until(&rig, &rig.client.closed, 1);
        assert_int_equal(rig.client.probe.error, WST_ELOST);
        mux_rig_turns(&rig, 5);
        assert_int_equal(mux_probe_write(&rig.client.probe, "x", 1), WST_ESTATE);
        assert_int_equal(wst_stream_room(rig.client.probe.stream), 0);
        mux_probe_read(&rig.client.probe, true);
        mux_probe_read(&rig.client.probe, false);
        assert_int_equal(mux_probe_shutdown(&rig.client.probe), WST_ESTATE);
        mux_probe_reset(&rig.client.probe, i == 0 ? 0 : WST_EIDLE);
        mux_rig_until(&rig, &rig.client.probe.closed, 1);
        mux_rig_free(&rig);
    }
}

/* --- closing the stream in each of its callbacks --- */

typedef struct plan {
    bool client;
    mux_event_t event;
    bool done;
} plan_t;

static void close_stream_in(mux_rig_t *rig, mux_side_t *side, mux_event_t event) {
    plan_t *plan = rig->data;
    mux_side_t *whose = plan->client ? &rig->client : &rig->server;
    if (side != whose || event != plan->event || plan->done || side->probe.stream == NULL)
        return;
    plan->done = true;
    mux_probe_reset(&side->probe, 0);
}

static bool is_alive(const mux_probe_t *probe) {
    return probe->stream != NULL && !probe->closing && probe->errors == 0;
}

static void test_close_in_callbacks(void **state) {
    (void)state;
    static uint8_t data[40000];
    for (int i = 0; i < 2 * MUX_EVENTS; i++) {
        plan_t plan = {.client = i % 2 == 0, .event = (mux_event_t)(i / 2)};
        bool of_stream =
            plan.event >= MUX_READ || plan.event == (plan.client ? MUX_ANSWER : MUX_INCOMING);
        if (!of_stream)
            continue;
        mux_rig_t rig;
        mux_rig_up(&rig, i & 2, false);
        rig.act = close_stream_in;
        rig.data = &plan;
        assert_int_equal(mux_side_open(&rig.client, "a:1"), 0);
        mux_rig_until(&rig, &rig.client.answers, 1);
        mux_probe_t *probes[] = {&rig.client.probe, &rig.server.probe};
        for (int p = 0; p < 2; p++)
            if (is_alive(probes[p]))
                assert_int_equal(mux_probe_write(probes[p], data, sizeof(data)), WST_WAIT);
        mux_rig_turns(&rig, 20);
        for (int p = 0; p < 2; p++)
            if (is_alive(probes[p]) && plan.event != MUX_ERROR)
                assert_int_equal(mux_probe_shutdown(probes[p]), 0);
        mux_rig_turns(&rig, 20);
        if (plan.event == MUX_ERROR)
            mux_probe_reset(probes[plan.client], WST_EIDLE);
        mux_rig_turns(&rig, 20);
        assert_true(plan.done);
        mux_probe_t *closed = probes[!plan.client], *other = probes[plan.client];
        assert_int_equal(closed->closed, 1);
        /* Only one that was through in both directions may end in order. */
        bool through = closed->ends == 1 && closed->shutdowns == 1;
        if (plan.event != MUX_ERROR && other->stream != NULL)
            assert_int_equal(other->errors, !through);
        mux_rig_free(&rig);
    }
}

/* --- joined to a socket --- */

static void on_pumped(wst_pump_t *pump, int status, void *user_data) {
    (void)pump;
    *(int *)user_data = status == 0 ? 1 : status;
}

/* A pump between the server's stream and a socket, the other end of which is returned. */
static int start_pump(mux_rig_t *rig, wst_pump_t **pump, int *status) {
    int fds[2];
    socket_pair(fds, true);
    wst_stream_t *sock;
    assert_int_equal(wst_socket_open(&sock, rig->ctx, fds[1], false), 0);
    const wst_pump_options_t options = {
        .size = sizeof(options), .on_done = on_pumped, .user_data = status};
    *status = 0;
    assert_int_equal(wst_pump_new(pump, rig->ctx, rig->server.probe.stream, sock, &options), 0);
    rig->server.probe.stream = NULL;
    assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    return fds[0];
}

static void test_pump(void **state) {
    (void)state;
    enum { TOTAL = 700000 };
    for (int json = 0; json < 2; json++) {
        mux_rig_t rig;
        mux_rig_up(&rig, json, true);
        mux_rig_stream(&rig);
        wst_pump_t *pump;
        int status;
        int fd = start_pump(&rig, &pump, &status);
        flow_t flow = {.total = TOTAL};
        rig.data = &flow;
        rig.act = keep_flowing;
        send_more(&rig.client.probe, &flow);
        static uint8_t echo[4096];
        size_t len = 0;
        bool ended = false;
        /* The far end sends back what it gets, and then its end. */
        for (int i = 0; i < 100000 && rig.client.probe.ends == 0; i++) {
            mux_rig_turns(&rig, 1);
            if (len == 0 && !ended) {
                ssize_t n = read(fd, echo, sizeof(echo));
                assert_true(n >= 0 || errno == EAGAIN);
                len = n > 0 ? (size_t)n : 0;
                ended = n == 0;
                if (ended)
                    assert_int_equal(shutdown(fd, SHUT_WR), 0);
            }
            if (len > 0) {
                ssize_t n = send(fd, echo, len, MSG_NOSIGNAL);
                if (n > 0) {
                    len -= (size_t)n;
                    memmove(echo, echo + n, len);
                }
            }
        }
        assert_received(&rig.client.probe, TOTAL);
        mux_rig_until(&rig, &rig.client.probe.shutdowns, 1);
        mux_rig_until(&rig, &status, 1);
        wst_pump_close(pump, NULL);
        close(fd);
        mux_rig_free(&rig);
    }
}

/* A reset on one side arrives at the other as one. */
static void test_pump_reset(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        mux_rig_t rig;
        mux_rig_up(&rig, false, true);
        mux_rig_stream(&rig);
        wst_pump_t *pump;
        int status;
        int fd = start_pump(&rig, &pump, &status);
        if (i == 0) {
            const struct linger linger = {1, 0};
            assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
            close(fd);
            mux_rig_until(&rig, &rig.client.probe.errors, 1);
            assert_int_equal(rig.client.probe.error, WST_ERESET);
            assert_int_equal(status, UV_ECONNRESET);
        } else {
            mux_probe_reset(&rig.client.probe, WST_EIDLE);
            while (status == 0)
                mux_rig_turns(&rig, 1);
            assert_int_equal(status, WST_EIDLE);
            mux_rig_turns(&rig, 3);
            uint8_t byte;
            assert_int_equal(read(fd, &byte, 1), -1);
            assert_int_equal(errno, ECONNRESET);
            close(fd);
        }
        wst_pump_close(pump, NULL);
        mux_rig_free(&rig);
    }
}

/* Regression: it asked the carrier, which was gone, and crashed. */
static void ask_all(mux_rig_t *rig, mux_side_t *side, mux_event_t event) {
    (void)rig;
    if (event != MUX_ANSWER)
        return;
    assert_int_equal(side->uplink->ops->can_open(side->uplink), WST_ELOST);
    assert_int_equal(mux_side_open(side, "b.test:80"), WST_ELOST);
    mux_side_goaway(side);
    mux_side_end(side, 1001, "over", true);
}

static void test_open_again_when_it_is_closed(void **state) {
    (void)state;
    mux_rig_t rig;
    mux_rig_up(&rig, false, false);
    rig.server.policy = MUX_HOLD;
    assert_int_equal(mux_side_open(&rig.client, "a.test:80"), 0);
    mux_rig_until(&rig, &rig.server.incomings, 1);
    rig.act = ask_all;
    mux_side_close(&rig.client);
    mux_rig_until(&rig, &rig.client.answers, 1);
    assert_int_equal(rig.client.status, WST_ELOST);
    mux_rig_free(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_again_when_it_is_closed),
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_long_destination),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_none_taken),
        cmocka_unit_test(test_not_opened),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_accept_later),
        cmocka_unit_test(test_early),
        cmocka_unit_test(test_early_refused),
        cmocka_unit_test(test_early_reset),
        cmocka_unit_test(test_open_without_memory),
        cmocka_unit_test(test_bytes_both_ways),
        cmocka_unit_test(test_back_pressure),
        cmocka_unit_test(test_pause_in_read),
        cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_outlives_mux),
        cmocka_unit_test(test_close_in_callbacks),
        cmocka_unit_test(test_pump),
        cmocka_unit_test(test_pump_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
