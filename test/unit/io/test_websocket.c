/* SPDX-License-Identifier: MIT */
/* Open WebSockets joined by sockets: messages, back-pressure, pausing, closing in each callback,
 * and each allocation failing. */
#include "websocket_rig.h"

#include <stdio.h>
#include <wstunnel/error.h>

#include "websocket.h"

static websocket_side_t *peer_of(websocket_side_t *side) {
    return side == &side->rig->client ? &side->rig->server : &side->rig->client;
}

/* --- messages --- */

static void test_messages(void **state) {
    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        websocket_rig_t rig;
        websocket_rig_start(&rig, tcp);
        static uint8_t big[100000];
        for (size_t i = 0; i < sizeof(big); i++)
            big[i] = (uint8_t)(i * 7 + i / 256);
        websocket_rig_pass(&rig, 3600000); /* an open one has no deadline */
        websocket_side_t *sides[] = {&rig.client, &rig.server};
        for (int s = 0; s < 2; s++) {
            websocket_side_t *to = peer_of(sides[s]);
            assert_true(websocket_side_send(sides[s], true, "gr\xc3\xbc\xc3\x9f", 6) >= 0);
            assert_true(websocket_side_send(sides[s], false, "", 0) >= 0);
            assert_true(websocket_side_send(sides[s], false, big, sizeof(big)) >= 0);
            websocket_rig_until(&rig, &to->messages, 3);
            assert_int_equal(to->texts, 1);
            assert_int_equal(to->received_len, 6 + sizeof(big));
            assert_memory_equal(to->received, "gr\xc3\xbc\xc3\x9f", 6);
            assert_memory_equal(to->received + 6, big, sizeof(big));
        }
        websocket_rig_free(&rig);
        assert_int_equal(rig.client.overs + rig.server.overs, 0);
    }
}

/* Several messages that begin with a head each go out by one flush. */
static void test_queue_and_flush(void **state) {
    (void)state;
    websocket_rig_t rig;
    assert_true(websocket_rig_init(&rig));
    assert_true(websocket_side_fake(&rig.client));
    assert_int_equal(websocket_rig_connect(&rig), 0);
    char answer[512];
    size_t len =
        websocket_side_answer(&rig.client,
                              "HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                              "Sec-WebSocket-Accept: @\r\n\r\n",
                              answer, sizeof(answer));
    websocket_side_script(&rig.client, answer, len);
    websocket_rig_until(&rig, &rig.client.opens, 1);
    size_t writes = rig.client.fake.writes, before = rig.client.fake.written_len;
    for (int i = 0; i < 10; i++)
        assert_int_equal(
            wst__websocket_queue(rig.client.ws, false, "head", 4, wst_slice_static("payload", 7)),
            0);
    size_t queued = wst__websocket_queued(rig.client.ws);
    assert_int_equal(queued, 10 * (2 + 4 + 11));
    assert_int_equal(rig.client.fake.writes, writes);
    websocket_side_script(&rig.client, "\x81\x01x", 3); /* what arrives does not flush it */
    websocket_rig_until(&rig, &rig.client.messages, 1);
    assert_int_equal(rig.client.fake.writes, writes);
    assert_int_equal(wst__websocket_flush(rig.client.ws), 0);
    assert_int_equal(rig.client.fake.writes, writes + 1);
    assert_int_equal(rig.client.fake.written_len, before + queued);
    assert_int_equal(wst__websocket_queued(rig.client.ws), 0);
    websocket_side_script(&rig.client, "\x89\x00", 2); /* but a ping is answered at once */
    while (rig.client.fake.writes < writes + 2)
        websocket_rig_turns(&rig, 1);
    websocket_rig_free(&rig);
}

/* --- back-pressure --- */

enum { PIECE = 40000, PIECES = 100 };

typedef struct sender {
    int sent, waits;
    bool waiting;
} sender_t;

static void send_more(websocket_side_t *side) {
    sender_t *s = side->data;
    static uint8_t piece[PIECE];
    while (!s->waiting && s->sent < PIECES) {
        memset(piece, s->sent++, PIECE);
        int status = websocket_side_send(side, false, piece, PIECE);
        assert_true(status >= 0);
        s->waiting = status == WST_WAIT;
        s->waits += s->waiting;
    }
}

static void go_on_sending(websocket_side_t *side, websocket_event_t event) {
    if (event != WEBSOCKET_DRAIN)
        return;
    sender_t *s = side->data;
    assert_true(s->waiting); /* drain is told only to who was told to wait */
    s->waiting = false;
    send_more(side);
}

/* Stops after each piece it gets. */
static void read_slowly(websocket_side_t *side, websocket_event_t event) {
    if (event == WEBSOCKET_MESSAGE)
        wst_websocket_read_stop(side->ws);
}

static void test_back_pressure(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        websocket_rig_t rig;
        websocket_rig_start(&rig, i % 2 == 1);
        websocket_side_t *from = i < 2 ? &rig.client : &rig.server, *to = peer_of(from);
        sender_t sender = {0};
        from->data = &sender;
        from->act = go_on_sending;
        to->act = read_slowly;
        websocket_rig_call(&rig);
        wst_websocket_read_stop(to->ws);
        send_more(from);
        websocket_rig_called(&rig);
        websocket_rig_turns(&rig, 50);
        /* A reader that does not read stops the sender, within the kernel's buffers. */
        assert_true(sender.waiting);
        assert_true(sender.sent < PIECES);
        assert_int_equal(to->pieces, 0);
        while (to->messages < PIECES) {
            int pieces = to->pieces;
            websocket_rig_call(&rig);
            wst_websocket_read_start(to->ws);
            websocket_rig_called(&rig);
            websocket_rig_until(&rig, &to->pieces, pieces + 1);
            pieces = to->pieces;
            websocket_rig_turns(&rig, 1);
            assert_int_equal(to->pieces, pieces); /* stopped is stopped */
        }
        assert_int_equal(sender.sent, PIECES);
        assert_int_equal(to->received_len, PIECE * PIECES);
        for (size_t k = 0; k < to->received_len; k++)
            assert_int_equal(to->received[k], (uint8_t)(k / PIECE));
        assert_true(from->drains <= sender.waits && from->drains >= sender.waits - 1);
        websocket_rig_free(&rig);
    }
}

/* What is sent while the stream waits stays in the output, in order, and goes out on drain. */
static void test_waiting_stream(void **state) {
    (void)state;
    websocket_rig_t rig;
    assert_true(websocket_rig_init(&rig));
    assert_true(websocket_side_fake(&rig.client));
    assert_int_equal(websocket_rig_connect(&rig), 0);
    char answer[512];
    size_t len =
        websocket_side_answer(&rig.client,
                              "HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                              "Sec-WebSocket-Accept: @\r\n\r\n",
                              answer, sizeof(answer));
    websocket_side_script(&rig.client, answer, len);
    websocket_rig_until(&rig, &rig.client.opens, 1);
    fake_stream_t *fake = &rig.client.fake;
    size_t before = fake->written_len;
    fake->write_status = WST_WAIT;
    assert_int_equal(websocket_side_send(&rig.client, false, "a", 1), WST_WAIT);
    assert_int_equal(fake->written_len, before + 7);
    assert_int_equal(websocket_side_send(&rig.client, false, "b", 1), WST_WAIT);
    assert_int_equal(fake->written_len, before + 7);
    assert_int_equal(rig.client.drains, 0);
    fake_stream_drain(fake);
    websocket_rig_turns(&rig, 2);
    assert_int_equal(fake->written_len, before + 14);
    assert_int_equal(rig.client.drains, 1);
    assert_int_equal(websocket_side_send(&rig.client, false, "c", 1), 0);
    websocket_rig_turns(&rig, 2);
    assert_int_equal(rig.client.drains, 1);
    /* A write that fails is told by the call, and by nothing else. */
    fake->write_status = UV_EPIPE;
    assert_int_equal(websocket_side_send(&rig.client, false, "d", 1), UV_EPIPE);
    websocket_rig_turns(&rig, 2);
    assert_int_equal(rig.client.overs, 0);
    websocket_rig_free(&rig);
}

/* The stream breaks while it is open; or the answer to a ping cannot be written. */
static void test_stream_breaks(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) {
        websocket_rig_t rig;
        assert_true(websocket_rig_init(&rig));
        assert_true(websocket_side_fake(&rig.client));
        assert_int_equal(websocket_rig_connect(&rig), 0);
        uint8_t bytes[512];
        size_t len =
            websocket_side_answer(&rig.client,
                                  "HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                  "Sec-WebSocket-Accept: @\r\n\r\n",
                                  (char *)bytes, sizeof(bytes));
        websocket_side_script(&rig.client, bytes, len);
        websocket_rig_until(&rig, &rig.client.opens, 1);
        if (i == 0) {
            fake_stream_error(&rig.client.fake, UV_ECONNRESET);
        } else if (i == 1) {
            rig.client.fake.write_status = UV_EPIPE;
            websocket_side_script(&rig.client, bytes,
                                  websocket_rig_frame(bytes, 9, true, false, "?", 1));
        } else {
            fake_stream_end(&rig.client.fake);
        }
        websocket_rig_until(&rig, &rig.client.overs, 1);
        static const int errors[] = {UV_ECONNRESET, UV_EPIPE, UV_EOF};
        assert_int_equal(rig.client.error, errors[i]);
        assert_true(rig.client.detail[0] != '\0');
        websocket_rig_free(&rig);
        assert_int_equal(rig.client.fake.reset_reason, WST_ECANCELLED);
    }
}

/* A ping is answered even while nobody sends. */
static void test_ping(void **state) {
    (void)state;
    websocket_rig_t rig;
    assert_true(websocket_rig_init(&rig));
    assert_true(websocket_side_fake(&rig.server));
    assert_int_equal(websocket_rig_serve(&rig), 0);
    static const char head[] = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
                               "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    websocket_side_script(&rig.server, head, strlen(head));
    websocket_rig_until(&rig, &rig.server.opens, 1);
    uint8_t bytes[64];
    size_t before = rig.server.fake.written_len;
    websocket_side_script(&rig.server, bytes, websocket_rig_frame(bytes, 9, true, true, "ping", 4));
    websocket_rig_turns(&rig, 5);
    size_t len = websocket_rig_frame(bytes, 10, true, false, "ping", 4);
    assert_int_equal(rig.server.fake.written_len, before + len);
    assert_memory_equal(rig.server.fake.written + before, bytes, len);
    websocket_rig_free(&rig);
}

/* --- a whole life, with something done in it --- */

static void scenario_act(websocket_side_t *side, websocket_event_t event) {
    websocket_side_t *client = &side->rig->client;
    if (side == client && event == WEBSOCKET_MESSAGE && side->messages == 1 &&
        side->received_len == 200)
        wst_websocket_end(side->ws, 1000, "enough");
    if (side != client && event == WEBSOCKET_MESSAGE && side->messages == 1)
        (void)websocket_side_send(side, false, side->received, 200);
    if (event == WEBSOCKET_OVER)
        websocket_side_close(side);
}

/* Both close when it is over: a message there, one back, the closing handshake. */
static void scenario(websocket_rig_t *rig) {
    if (!websocket_rig_init(rig) || !websocket_rig_join(rig, false))
        return;
    rig->client.act = rig->server.act = scenario_act;
    if (websocket_rig_serve(rig) != 0 || websocket_rig_connect(rig) != 0)
        return;
    static const uint8_t zeros[200];
    bool sent = false;
    for (int i = 0; i < 60; i++) {
        websocket_rig_turns(rig, 1);
        if (rig->client.opens == 1 && !sent && !rig->client.closing) {
            sent = true;
            if (websocket_side_send(&rig->client, true, zeros, sizeof(zeros)) < 0 &&
                !rig->client.closing)
                websocket_side_close(&rig->client);
        }
    }
}

static void test_scenario(void **state) {
    (void)state;
    websocket_rig_t rig;
    scenario(&rig);
    assert_int_equal(rig.server.messages, 1);
    assert_int_equal(rig.client.messages, 1);
    assert_int_equal(rig.client.overs, 1);
    assert_int_equal(rig.server.overs, 1);
    assert_int_equal(rig.client.error, 0);
    assert_int_equal(rig.server.error, 0);
    assert_string_equal(rig.server.detail, "closed by the peer: 1000 enough");
    websocket_rig_free(&rig);
}

static void test_close_in_callbacks(void **state) {
    (void)state;
    for (int s = 0; s < 2; s++) {
        for (int event = WEBSOCKET_OPEN; event <= WEBSOCKET_OVER; event++) {
            websocket_rig_t rig;
            assert_true(websocket_rig_init(&rig));
            assert_true(websocket_rig_join(&rig, s == 1));
            websocket_side_t *side = s == 0 ? &rig.client : &rig.server, *peer = peer_of(side);
            side->close_in = (websocket_event_t)event;
            sender_t sender = {0};
            side->data = &sender;
            assert_int_equal(websocket_rig_serve(&rig), 0);
            assert_int_equal(websocket_rig_connect(&rig), 0);
            websocket_rig_until(&rig, event == WEBSOCKET_OPEN ? &side->opens : &peer->opens, 1);
            websocket_rig_until(&rig, &side->opens, 1);
            if (event == WEBSOCKET_MESSAGE) {
                /* Two in one write: the second must not be heard of. */
                for (int i = 0; i < 2; i++)
                    assert_int_equal(
                        wst__websocket_queue(peer->ws, true, NULL, 0, wst_slice_static("x", 1)), 0);
                assert_int_equal(wst__websocket_flush(peer->ws), 0);
            } else if (event == WEBSOCKET_DRAIN) {
                websocket_rig_call(&rig);
                send_more(side);
                websocket_rig_called(&rig);
                assert_true(sender.waiting);
            } else if (event == WEBSOCKET_OVER) {
                websocket_rig_call(&rig);
                wst_websocket_end(peer->ws, 1001, NULL);
                websocket_rig_called(&rig);
            }
            websocket_rig_until(&rig, &side->closed, 1);
            websocket_rig_turns(&rig, 5);
            if (event == WEBSOCKET_MESSAGE)
                assert_int_equal(side->messages, 1);
            websocket_rig_free(&rig);
        }
    }
}

/* Twice is once, the first close_cb counts; and never from inside. */
static void test_close_twice(void **state) {
    (void)state;
    websocket_rig_t rig;
    websocket_rig_start(&rig, false);
    wst_websocket_t *ws = rig.client.ws;
    websocket_side_close(&rig.client);
    wst_websocket_close(ws, NULL);
    wst_websocket_end(ws, 1000, NULL);
    wst_websocket_read_stop(ws);
    wst_websocket_read_start(ws);
    assert_int_equal(websocket_side_send(&rig.client, true, "x", 1), WST_ESTATE);
    assert_int_equal(rig.client.closed, 0);
    websocket_rig_until(&rig, &rig.client.closed, 1);
    websocket_rig_until(&rig, &rig.server.overs, 1);
    websocket_rig_free(&rig);
}

static void run_scenario(void *arg) {
    (void)arg;
    websocket_rig_t rig;
    scenario(&rig);
    websocket_rig_free(&rig);
}

static void test_no_memory(void **state) {
    (void)state;
    assert_true(test_alloc_each(run_scenario, NULL) > 15);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),      cmocka_unit_test(test_queue_and_flush),
        cmocka_unit_test(test_back_pressure), cmocka_unit_test(test_waiting_stream),
        cmocka_unit_test(test_stream_breaks), cmocka_unit_test(test_ping),
        cmocka_unit_test(test_scenario),      cmocka_unit_test(test_close_in_callbacks),
        cmocka_unit_test(test_close_twice),   cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
