/* SPDX-License-Identifier: MIT */
/* The life of a mux and its carrier: up, ended, broken, closed; what each side and its streams are
 * told then. */
#include "carrier.h"
#include "mux_rig.h"
#include "websocket.h"

#include <stdio.h>
#include <wstunnel/error.h>

/* Sends what the session would never send. */
static void send_raw(mux_side_t *side, bool text, const void *data, size_t len) {
    side->rig->busy++;
    assert_true(wst_websocket_send(mux_side_websocket(side), text, wst_slice_static(data, len)) >=
                0);
    side->rig->busy--;
}

static void test_up(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        mux_rig_t rig;
        mux_rig_up(&rig, i & 1, i & 2);
        assert_string_equal(rig.server.name, "agent-7");
        assert_string_equal(rig.client.name, "");
        mux_rig_free(&rig);
        assert_int_equal(rig.client.ups, 1);
        assert_int_equal(rig.server.ups, 1);
        assert_int_equal(rig.client.downs + rig.server.downs, 0);
    }
}

/* What the kernel keeps unsent: enough for a turn of the loop that is late, and on a long path for
 * TCP never to run out of bytes. */
static void test_unsent(void **state) {
    (void)state;
    enum { GIGABIT = 125000000 };
    assert_int_equal(wst__carrier_unsent(0, 0), 131072);
    assert_int_equal(wst__carrier_unsent(GIGABIT, 0), 500000);
    assert_int_equal(wst__carrier_unsent(GIGABIT, 200000), 3625000);
    assert_int_equal(wst__carrier_unsent(GIGABIT, 10000000), 4194304);
    assert_int_equal(wst__carrier_unsent(UINT64_MAX / 1000000, 1), 4194304);
}

/* The encoding follows from the subprotocol: a binary message is an error in JSON. */
static void test_encoding(void **state) {
    (void)state;
    for (int json = 0; json < 2; json++) {
        mux_rig_t rig;
        mux_rig_up(&rig, json, false);
        send_raw(&rig.client, false, "\x05\x63\x01\x01", 4); /* credit for stream 99 */
        mux_rig_until(&rig, &rig.server.downs, 1);
        assert_int_equal(rig.server.error, WST_EPROTO);
        assert_string_equal(rig.server.detail,
                            json ? "binary message where all are text"
                                 : "message about a stream that was never opened");
        mux_rig_free(&rig);
    }
}

/* A server that upgrades without a subprotocol of ours. */
static void test_no_protocol(void **state) {
    (void)state;
    mux_rig_t rig;
    assert_true(mux_rig_init(&rig));
    assert_true(mux_rig_join(&rig, false));
    rig.server.plain = true;
    rig.server.protocols = NULL;
    assert_true(mux_rig_start(&rig));
    mux_rig_until(&rig, &rig.client.downs, 1);
    mux_rig_until(&rig, &rig.server.downs, 1);
    assert_int_equal(rig.client.error, WST_EHANDSHAKE);
    assert_string_equal(rig.client.detail, "the server speaks none of our subprotocols");
    assert_int_equal(rig.client.ups, 0);
    mux_rig_free(&rig);
}

static void test_rejected(void **state) {
    (void)state;
    static const char *const strange[] = {"strange", NULL};
    mux_rig_t rig;
    assert_true(mux_rig_init(&rig));
    assert_true(mux_rig_join(&rig, false));
    rig.server.plain = true;
    rig.server.protocols = strange;
    assert_true(mux_rig_start(&rig));
    mux_rig_until(&rig, &rig.client.downs, 1);
    assert_int_equal(rig.client.error, WST_EREJECTED);
    assert_int_equal(rig.client.http_status, 400);
    assert_non_null(strstr(rig.client.detail, "400"));
    mux_rig_free(&rig);
}

static void test_arguments(void **state) {
    (void)state;
    mux_rig_t rig;
    assert_true(mux_rig_init(&rig));
    assert_true(mux_rig_join(&rig, false));
    char name[WST_NAME_MAX + 1];
    memset(name, 'x', sizeof(name));
    rig.client.options.hello.name = (wst_str_t){name, sizeof(name)};
    assert_int_equal(mux_side_dial(&rig.client), WST_EINVAL);
    assert_null(rig.client.uplink);
    rig.client.options.hello.name.len--;
    assert_true(mux_rig_start(&rig));
    /* Nothing can be done with it before it is up. */
    assert_int_equal(mux_side_open(&rig.client, "a:1"), WST_ELOST);
    assert_int_equal(rig.client.uplink->ops->load(rig.client.uplink), 0);
    assert_int_equal(rig.client.uplink->ops->rtt_ms(rig.client.uplink), 0);
    assert_false(rig.client.uplink->ops->is_suspect(rig.client.uplink));
    assert_false(rig.client.uplink->renews);
    mux_rig_free(&rig);
}

/* --- ends --- */

/* Either side ends it: both go down in order, streams are lost, and a goaway has come before. */
static void test_end(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        mux_rig_t rig;
        mux_rig_up(&rig, i & 2, i & 2);
        mux_side_t *first = i & 1 ? &rig.client : &rig.server, *second = mux_rig_other(first);
        mux_rig_stream(&rig);
        mux_side_goaway(first);
        mux_side_end(first, 1001, "drained", false);
        assert_int_equal(first->downs, 0);
        assert_int_equal(first->probe.errors, 0);
        mux_rig_until(&rig, &first->downs, 1);
        mux_rig_until(&rig, &second->downs, 1);
        assert_int_equal(second->goaways, 1);
        assert_int_equal(second->goaway_reason, WST_EGOAWAY);
        assert_int_equal(first->error, 0);
        assert_int_equal(second->error, 0);
        assert_string_equal(second->detail, "closed by the peer: 1001 drained");
        assert_int_equal(first->probe.error, WST_ELOST);
        assert_int_equal(second->probe.error, WST_ELOST);
        assert_int_equal(mux_side_open(&rig.client, "a:1"), WST_ELOST);
        mux_rig_free(&rig);
    }
}

/* Its own streams need not wait for the peer, who may be gone. */
static void test_end_and_lose(void **state) {
    (void)state;
    mux_rig_t rig;
    mux_rig_up(&rig, false, false);
    mux_rig_stream(&rig);
    wst_websocket_read_stop(mux_side_websocket(&rig.server));
    rig.busy--; /* they are told inside the call */
    mux_side_end(&rig.client, 1000, "replaced", true);
    rig.busy++;
    assert_int_equal(rig.client.probe.error, WST_ELOST);
    assert_int_equal(rig.client.downs, 0);
    wst_websocket_read_start(mux_side_websocket(&rig.server));
    mux_rig_until(&rig, &rig.client.downs, 1);
    mux_rig_until(&rig, &rig.server.downs, 1);
    assert_string_equal(rig.server.detail, "closed by the peer: 1000 replaced");
    mux_rig_free(&rig);
}

/* One that is not up yet remembers that it takes no streams. */
static void test_goaway_before_hello(void **state) {
    (void)state;
    mux_rig_t rig;
    assert_true(mux_rig_init(&rig));
    assert_true(mux_rig_join(&rig, false));
    assert_true(mux_rig_start(&rig));
    mux_side_goaway(&rig.client);
    mux_rig_until(&rig, &rig.server.goaways, 1);
    assert_int_equal(rig.server.ups, 1);
    assert_int_equal(mux_side_open(&rig.server, "a:1"), WST_EGOAWAY);
    mux_rig_free(&rig);
}

/* Whoever counts on what a mux answers is told when that changes. */
static void test_changes(void **state) {
    (void)state;
    mux_rig_t rig;
    mux_rig_up(&rig, false, false);
    wst__uplink_t *uplink = rig.client.uplink;
    int changes = rig.client.changes;
    assert_true(changes > 0); /* it is up */
    assert_int_equal(uplink->ops->can_open(uplink), 0);
    mux_rig_stream(&rig);
    assert_int_equal(uplink->ops->load(uplink), 1);
    assert_true(rig.client.changes > changes);
    changes = rig.client.changes;
    mux_probe_reset(&rig.client.probe, WST_EIDLE);
    mux_rig_until(&rig, &rig.server.probe.errors, 1);
    assert_int_equal(uplink->ops->load(uplink), 0);
    assert_true(rig.client.changes > changes);
    changes = rig.client.changes;
    mux_side_end(&rig.client, 1000, NULL, false);
    assert_true(rig.client.changes > changes);
    assert_int_equal(uplink->ops->can_open(uplink), WST_ELOST);
    changes = rig.server.changes;
    mux_rig_until(&rig, &rig.server.downs, 1);
    assert_true(rig.server.changes > changes);
    mux_rig_free(&rig);
}

/* Messages that come between our close frame and the peer's do no harm. */
static void test_end_while_talking(void **state) {
    (void)state;
    mux_rig_t rig;
    mux_rig_up(&rig, false, false);
    mux_rig_stream(&rig);
    static uint8_t data[10000]; /* within the window */
    assert_true(mux_probe_write(&rig.server.probe, data, sizeof(data)) >= 0);
    assert_true(mux_probe_write(&rig.client.probe, data, sizeof(data)) >= 0);
    mux_side_end(&rig.client, 1000, NULL, false);
    assert_true(mux_probe_write(&rig.client.probe, data, 1) >= 0);
    mux_rig_until(&rig, &rig.client.downs, 1);
    mux_rig_until(&rig, &rig.server.downs, 1);
    assert_int_equal(rig.client.error, 0);
    assert_int_equal(rig.server.error, 0);
    /* What was written before the end was said. */
    assert_int_equal(rig.server.probe.received_len, sizeof(data));
    mux_rig_free(&rig);
}

/* The output is full of data that nobody takes: the goaway still comes out once it is read. */
static void test_end_behind_data(void **state) {
    (void)state;
    enum { STREAMS = 60 };
    mux_rig_t rig;
    assert_true(mux_rig_init(&rig));
    assert_true(mux_rig_join(&rig, false));
    assert_true(mux_rig_start(&rig));
    mux_rig_until(&rig, &rig.client.ups, 1);
    mux_rig_until(&rig, &rig.server.ups, 1);
    static uint8_t data[32768];
    wst_stream_t *streams[STREAMS][2];
    for (int i = 0; i < STREAMS; i++) {
        mux_rig_stream(&rig);
        streams[i][0] = rig.client.probe.stream;
        streams[i][1] = rig.server.probe.stream;
        wst_stream_set_callbacks(streams[i][0], NULL, NULL);
        wst_stream_set_callbacks(streams[i][1], NULL, NULL);
        rig.client.probe.stream = rig.server.probe.stream = NULL;
    }
    wst_websocket_read_stop(mux_side_websocket(&rig.server));
    for (int i = 0; i < STREAMS; i++) {
        wst_slice_t slice;
        assert_int_equal(wst_slice_copy(&slice, rig.ctx, data, sizeof(data)), 0);
        assert_true(wst_stream_write(streams[i][0], &slice, 1) >= 0);
    }
    mux_rig_turns(&rig, 20);
    size_t queued = wst__websocket_queued(mux_side_websocket(&rig.client));
    assert_true(queued < 2 * 65536 + 100); /* the rest is still the session's to order */
    mux_side_goaway(&rig.client);
    mux_side_end(&rig.client, 1001, "drained", false);
    wst_websocket_read_start(mux_side_websocket(&rig.server));
    mux_rig_until(&rig, &rig.client.downs, 1);
    mux_rig_until(&rig, &rig.server.downs, 1);
    assert_int_equal(rig.server.goaways, 1);
    assert_int_equal(rig.client.error, 0);
    for (int i = 0; i < STREAMS; i++) {
        wst_stream_close(streams[i][0], NULL);
        wst_stream_close(streams[i][1], NULL);
    }
    mux_rig_free(&rig);
}

/* Before it is up an end is an end, too. */
static void test_end_early(void **state) {
    (void)state;
    mux_rig_t rig;
    assert_true(mux_rig_init(&rig));
    assert_true(mux_rig_join(&rig, false));
    assert_true(mux_rig_start(&rig));
    mux_side_end(&rig.client, 1001, NULL, false);
    assert_int_equal(rig.client.downs, 0);
    mux_rig_until(&rig, &rig.client.downs, 1);
    assert_int_equal(rig.client.error, WST_ECANCELLED);
    mux_rig_free(&rig);
    assert_int_equal(rig.client.ups, 0);
}

/* The peer does not answer the close frame. */
static void test_end_unanswered(void **state) {
    (void)state;
    mux_rig_t rig;
    mux_rig_up(&rig, false, false);
    wst_websocket_read_stop(mux_side_websocket(&rig.server));
    mux_side_end(&rig.client, 1001, NULL, false);
    mux_rig_turns(&rig, 5);
    assert_int_equal(rig.client.downs, 0);
    mux_rig_pass(&rig, 6000);
    assert_int_equal(rig.client.downs, 1);
    assert_int_equal(rig.client.error, WST_ETIMEOUT);
    mux_rig_free(&rig);
}

/* --- breaks --- */

/* The session's error goes out with the close frame. */
static void test_session_errors(void **state) {
    (void)state;
    static const char too_long[WST_JSON_CONTROL_MAX + 10] = {'{'};
    static const struct {
        bool text;
        const char *data;
        size_t len;
        int error, code;
    } table[] = {
        {false, "\x03\x63hello", 7, WST_EPROTO, 1002},
        {true, "{", 1, WST_EPROTO, 1002},
        {true, "{\"method\":4,\"version\":1}", 24, WST_EPROTO, 1002},
        {true, too_long, sizeof(too_long), WST_EMSGBIG, 1009},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        mux_rig_t rig;
        mux_rig_up(&rig, false, i % 2 == 0);
        mux_rig_stream(&rig);
        send_raw(&rig.client, table[i].text, table[i].data, table[i].len);
        send_raw(&rig.client, true, "{", 1); /* what follows is not looked at */
        mux_rig_until(&rig, &rig.server.downs, 1);
        mux_rig_until(&rig, &rig.client.downs, 1);
        assert_int_equal(rig.server.error, table[i].error);
        assert_true(rig.server.detail[0] != '\0');
        assert_int_equal(rig.client.error, WST_EWSCLOSED);
        char detail[300];
        snprintf(detail, sizeof(detail), "closed by the peer: %d %s", table[i].code,
                 rig.server.detail);
        assert_string_equal(rig.client.detail, detail);
        assert_int_equal(rig.client.probe.error, WST_ELOST);
        assert_int_equal(rig.server.probe.error, WST_ELOST);
        mux_rig_free(&rig);
    }
}

/* A hello that is not wanted. */
static void test_up_refused(void **state) {
    (void)state;
    mux_rig_t rig;
    assert_true(mux_rig_init(&rig));
    assert_true(mux_rig_join(&rig, false));
    rig.server.up_result = WST_EREPLACED;
    assert_true(mux_rig_start(&rig));
    mux_rig_until(&rig, &rig.server.downs, 1);
    mux_rig_until(&rig, &rig.client.downs, 1);
    assert_int_equal(rig.server.error, WST_EREPLACED);
    assert_int_equal(rig.client.error, WST_EWSCLOSED);
    assert_string_equal(rig.client.detail, "closed by the peer: 1008 hello not accepted");
    mux_rig_free(&rig);
}

static void test_no_hello(void **state) {
    (void)state;
    mux_rig_t rig;
    assert_true(mux_rig_init(&rig));
    assert_true(mux_rig_join(&rig, false));
    rig.client.options.hello_timeout_ms = 3000;
    rig.server.plain = true;
    assert_true(mux_rig_start(&rig));
    mux_rig_turns(&rig, 20);
    /* The beginning of a message is no hello. */
    rig.busy++;
    assert_true(wst_websocket_send(rig.server.websocket, true, wst_slice_static("{", 1)) >= 0);
    rig.busy--;
    mux_rig_pass(&rig, 2900);
    assert_int_equal(rig.client.downs, 0);
    mux_rig_pass(&rig, 3100);
    assert_int_equal(rig.client.downs, 1);
    assert_int_equal(rig.client.error, WST_ETIMEOUT);
    assert_string_equal(rig.client.detail, "no hello in time");
    assert_int_equal(rig.client.ups, 0);
    mux_rig_free(&rig);
}

/* What is no hello, before the hello. */
static void test_breach_before_hello(void **state) {
    (void)state;
    static const char ping[] = "{\"method\":8,\"seq\":1}";
    mux_rig_t rig;
    assert_true(mux_rig_init(&rig));
    assert_true(mux_rig_join(&rig, false));
    rig.server.plain = true;
    assert_true(mux_rig_start(&rig));
    mux_rig_turns(&rig, 20);
    rig.busy++;
    assert_true(wst_websocket_send(rig.server.websocket, true,
                                   wst_slice_static(ping, sizeof(ping) - 1)) >= 0);
    rig.busy--;
    mux_rig_until(&rig, &rig.client.downs, 1);
    mux_rig_until(&rig, &rig.server.downs, 1);
    assert_int_equal(rig.client.error, WST_EPROTO);
    assert_string_equal(rig.server.detail,
                        "closed by the peer: 1002 the first message was not hello");
    mux_rig_free(&rig);
}

static void test_dead_peer(void **state) {
    (void)state;
    mux_rig_t rig;
    mux_rig_up(&rig, false, true);
    mux_rig_stream(&rig);
    assert_int_equal(mux_side_open(&rig.client, "b:1"), 0);
    mux_rig_pass(&rig, 46000);
    assert_int_equal(rig.client.downs, 1);
    assert_int_equal(rig.client.error, WST_ETIMEOUT);
    assert_int_equal(rig.client.probe.error, WST_ELOST);
    assert_int_equal(rig.client.answers, 2);
    assert_int_equal(rig.client.status, WST_ELOST);
    mux_rig_free(&rig);
}

/* The deadline passes just when the mux has been closed. */
static void test_dead_when_closed(void **state) {
    (void)state;
    mux_rig_t rig;
    mux_rig_up(&rig, false, false);
    mux_rig_stream(&rig);
    mux_side_close(&rig.client);
    mux_side_close(&rig.server);
    mux_rig_pass(&rig, 46000);
    mux_rig_until(&rig, &rig.client.closed, 1);
    mux_rig_until(&rig, &rig.server.closed, 1);
    mux_rig_free(&rig);
    assert_int_equal(rig.client.downs + rig.server.downs, 0);
}

/* The connection breaks: by a reset, and by an end without a word. */
static void test_connection_breaks(void **state) {
    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        mux_rig_t rig;
        mux_rig_up(&rig, false, tcp);
        mux_rig_stream(&rig);
        rig.server.policy = MUX_HOLD;
        assert_int_equal(mux_side_open(&rig.client, "b:1"), 0);
        mux_rig_until(&rig, &rig.server.incomings, 2);
        mux_side_close(&rig.client);
        assert_int_equal(rig.client.answers, 1);
        mux_rig_until(&rig, &rig.server.downs, 1);
        assert_int_equal(rig.server.error, tcp ? UV_ECONNRESET : UV_EOF);
        assert_int_equal(rig.server.probe.error, WST_ELOST);
        assert_int_equal(rig.server.gone, 1);
        assert_int_equal(rig.server.gone_reason, WST_ELOST);
        /* Closing is told to streams in the same way, before the mux is gone. */
        assert_int_equal(rig.client.probe.error, WST_ELOST);
        assert_int_equal(rig.client.answers, 2);
        assert_int_equal(rig.client.status, WST_ELOST);
        mux_rig_free(&rig);
    }
}

/* --- closing in callbacks --- */

typedef struct plan {
    bool client; /* whose mux */
    mux_event_t event;
    bool done;
} plan_t;

static void close_mux_in(mux_rig_t *rig, mux_side_t *side, mux_event_t event) {
    plan_t *plan = rig->data;
    mux_side_t *whose = plan->client ? &rig->client : &rig->server;
    if (side != whose || event != plan->event || plan->done)
        return;
    plan->done = true;
    mux_side_close(side);
}

static bool is_usable(const mux_side_t *side) {
    return side->ups == 1 && side->downs == 0 && !side->closing;
}

static bool is_alive(const mux_probe_t *probe) {
    return probe->stream != NULL && !probe->closing && probe->errors == 0;
}

static void step(mux_side_t *side, int turn) {
    static uint8_t data[40000];
    mux_probe_t *probe = &side->probe;
    bool server = side == &side->rig->server;
    switch (turn) {
    case 10: /* one of the client's, one that the client refuses */
    case 33:
        if (is_usable(side))
            (void)mux_side_open(side, "a:1");
        break;
    case 15:
        if (is_alive(probe) && mux_probe_write(probe, data, sizeof(data)) < 0)
            mux_probe_reset(probe, 0);
        break;
    case 25:
        if (is_alive(probe))
            (void)mux_probe_shutdown(probe);
        break;
    case 31:
        if (probe->stream != NULL && !probe->closing)
            mux_probe_reset(probe, 0);
        break;
    case 38: /* one that is held while another one is open */
        side->rig->server.policy = MUX_HOLD;
        if (is_usable(side) && !server && side->open == NULL)
            (void)mux_side_open(side, "b:1");
        break;
    case 43:
        if (is_usable(side) && server)
            mux_side_goaway(side);
        break;
    case 46:
        if (is_usable(side) && server)
            mux_side_end(side, 1000, NULL, false);
        break;
    }
}

/* Everything that can happen to a mux. */
static void live(mux_rig_t *rig) {
    rig->client.policy = MUX_REFUSE;
    for (int turn = 0; turn < 60; turn++) {
        mux_rig_turns(rig, 1);
        step(&rig->client, turn);
        step(&rig->server, turn);
    }
}

static void test_close_in_callbacks(void **state) {
    (void)state;
    for (int i = 0; i < 2 * MUX_EVENTS; i++) {
        mux_rig_t rig;
        plan_t plan = {.client = i % 2 == 0, .event = (mux_event_t)(i / 2)};
        assert_true(mux_rig_init(&rig));
        assert_true(mux_rig_join(&rig, i % 4 < 2));
        rig.act = close_mux_in;
        rig.data = &plan;
        assert_true(mux_rig_start(&rig));
        live(&rig);
        bool never = plan.event == MUX_NEVER || plan.event == MUX_CLAIM ||
                     plan.event == MUX_SUSPENDED || plan.event == MUX_RESUMED ||
                     (plan.event == MUX_GOAWAY && !plan.client) ||
                     (plan.event == MUX_GONE && plan.client);
        assert_int_equal(plan.done, !never);
        mux_rig_free(&rig);
    }
}

/* --- memory --- */

static void run_life(void *arg) {
    const bool *json = arg;
    mux_rig_t rig;
    if (mux_rig_init(&rig) && mux_rig_join(&rig, false)) {
        if (*json)
            rig.client.options.encoding = WST_ENCODING_JSON;
        if (mux_rig_start(&rig)) {
            live(&rig);
            /* Whatever failed, no mux hangs: at the latest a deadline ends it. */
            mux_rig_pass(&rig, 60000);
            mux_rig_turns(&rig, 3);
            assert_int_equal(rig.client.downs, 1);
            assert_true(rig.server.ups == 0 || rig.server.downs == 1);
        }
    }
    mux_rig_free(&rig);
}

static void test_no_memory(void **state) {
    (void)state;
    for (int json = 0; json < 2; json++) {
        bool arg = json;
        assert_true(test_alloc_each(run_life, &arg) > 60);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_up),
        cmocka_unit_test(test_unsent),
        cmocka_unit_test(test_encoding),
        cmocka_unit_test(test_no_protocol),
        cmocka_unit_test(test_rejected),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_end),
        cmocka_unit_test(test_end_and_lose),
        cmocka_unit_test(test_goaway_before_hello),
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_end_while_talking),
        cmocka_unit_test(test_end_behind_data),
        cmocka_unit_test(test_end_early),
        cmocka_unit_test(test_end_unanswered),
        cmocka_unit_test(test_session_errors),
        cmocka_unit_test(test_up_refused),
        cmocka_unit_test(test_no_hello),
        cmocka_unit_test(test_breach_before_hello),
        cmocka_unit_test(test_dead_peer),
        cmocka_unit_test(test_dead_when_closed),
        cmocka_unit_test(test_connection_breaks),
        cmocka_unit_test(test_close_in_callbacks),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
