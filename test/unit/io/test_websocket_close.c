/* SPDX-License-Identifier: MIT */
/* How WebSockets end: the closing handshake from either side and from both, what on_over says of
 * it, breaches of the protocol, and that the peer gets to read why. */
#include "socket_pair.h"
#include "websocket_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wstunnel/error.h>

#define REQUEST                                                                                    \
    "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                   \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

/* A server on a scripted stream that is open. Returns how much it has written so far. */
static size_t start_server(websocket_rig_t *rig) {
    assert_true(websocket_rig_init(rig));
    assert_true(websocket_side_fake(&rig->server));
    assert_int_equal(websocket_rig_serve(rig), 0);
    websocket_side_script(&rig->server, REQUEST, strlen(REQUEST));
    websocket_rig_until(rig, &rig->server.opens, 1);
    websocket_rig_turns(rig, 2);
    return rig->server.fake.written_len;
}

static void end(websocket_side_t *side, int code, const char *reason) {
    websocket_rig_call(side->rig);
    wst_websocket_end(side->ws, code, reason);
    websocket_rig_called(side->rig);
}

/* Payload of a close frame. */
static size_t close_payload(uint8_t *out, int code, const char *reason) {
    out[0] = (uint8_t)(code >> 8);
    out[1] = (uint8_t)code;
    memcpy(out + 2, reason, strlen(reason));
    return 2 + strlen(reason);
}

static void script_close(websocket_side_t *side, int code, const char *reason) {
    uint8_t payload[125], frame[140];
    size_t len = code != 0 ? close_payload(payload, code, reason) : 0;
    websocket_side_script(
        side, frame, websocket_rig_frame(frame, 8, true, side == &side->rig->server, payload, len));
}

/* The server has written this close frame from `from` on, and nothing behind it. */
static void assert_close_frame(const websocket_rig_t *rig, size_t from, int code,
                               const char *reason) {
    uint8_t payload[125], frame[140];
    size_t len = websocket_rig_frame(frame, 8, true, false, payload,
                                     code != 0 ? close_payload(payload, code, reason) : 0);
    assert_int_equal(rig->server.fake.written_len, from + len);
    assert_memory_equal(rig->server.fake.written + from, frame, len);
}

/* --- the handshake between two of ours --- */

static void test_either_side(void **state) {
    (void)state;
    static const struct {
        int code, error; /* error: at the other side */
    } table[] = {{1000, 0}, {1001, 0}, {1008, WST_EWSCLOSED}, {4321, WST_EWSCLOSED}};
    for (int i = 0; i < 16; i++) {
        websocket_rig_t rig;
        websocket_rig_start(&rig, i & 1);
        websocket_side_t *first = i & 2 ? &rig.client : &rig.server;
        websocket_side_t *second = i & 2 ? &rig.server : &rig.client;
        int code = table[i / 4].code;
        static uint8_t data[50000];
        assert_true(websocket_side_send(first, false, data, sizeof(data)) >= 0);
        end(first, code, "why");
        end(first, 4999, "again"); /* changes nothing */
        assert_int_equal(websocket_side_send(first, false, "x", 1), WST_ESTATE);
        websocket_rig_until(&rig, &first->overs, 1);
        websocket_rig_until(&rig, &second->overs, 1);
        /* What was sent before comes before. */
        assert_int_equal(second->received_len, sizeof(data));
        assert_int_equal(first->error, 0);
        assert_int_equal(second->error, table[i / 4].error);
        char detail[64];
        snprintf(detail, sizeof(detail), "closed by the peer: %d why", code);
        assert_string_equal(second->detail, detail);
        assert_int_equal(websocket_side_send(second, false, "x", 1), WST_ESTATE);
        websocket_rig_free(&rig);
    }
}

/* Both at once, with different codes. */
static void test_simultaneous(void **state) {
    (void)state;
    websocket_rig_t rig;
    websocket_rig_start(&rig, true);
    end(&rig.client, 1000, NULL);
    end(&rig.server, 4000, "mine");
    websocket_rig_until(&rig, &rig.client.overs, 1);
    websocket_rig_until(&rig, &rig.server.overs, 1);
    assert_int_equal(rig.server.error, 0);
    assert_int_equal(rig.client.error, WST_EWSCLOSED);
    assert_string_equal(rig.client.detail, "closed by the peer: 4000 mine");
    websocket_rig_free(&rig);
}

static void end_when_open(websocket_side_t *side, websocket_event_t event) {
    if (event == WEBSOCKET_OPEN)
        end(side, 1000, "at once");
    else if (event == WEBSOCKET_OVER)
        websocket_side_close(side);
}

static void test_end_in_open(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) {
        websocket_rig_t rig;
        assert_true(websocket_rig_init(&rig));
        assert_true(websocket_rig_join(&rig, false));
        rig.client.act = i != 0 ? end_when_open : NULL;
        rig.server.act = i != 1 ? end_when_open : NULL;
        assert_int_equal(websocket_rig_serve(&rig), 0);
        assert_int_equal(websocket_rig_connect(&rig), 0);
        websocket_rig_until(&rig, &rig.client.overs, 1);
        websocket_rig_until(&rig, &rig.server.overs, 1);
        assert_int_equal(rig.client.error, 0);
        assert_int_equal(rig.server.error, 0);
        websocket_rig_free(&rig);
    }
}

/* --- the handshake, step by step --- */

static void test_peer_closes(void **state) {
    (void)state;
    static const struct {
        int code; /* 0: none */
        int error;
        const char *detail;
    } table[] = {
        {1000, 0, "closed by the peer: 1000 bye"},
        {1001, 0, "closed by the peer: 1001 bye"},
        {0, 0, "closed by the peer: 1005"},
        {1002, WST_EWSCLOSED, "closed by the peer: 1002 bye"},
        {1011, WST_EWSCLOSED, "closed by the peer: 1011 bye"},
        {1012, WST_EWSCLOSED, "closed by the peer: 1012 bye"},
        {1013, WST_EWSCLOSED, "closed by the peer: 1013 bye"},
        {1014, WST_EWSCLOSED, "closed by the peer: 1014 bye"},
        {4999, WST_EWSCLOSED, "closed by the peer: 4999 bye"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        websocket_rig_t rig;
        size_t from = start_server(&rig);
        rig.server.fake.hold_shutdown = true;
        script_close(&rig.server, table[i].code, "bye");
        websocket_rig_turns(&rig, 3);
        /* It is answered, then the stream is shut down, and over when both ends are through. */
        assert_close_frame(&rig, from, table[i].code, table[i].code != 0 ? "bye" : "");
        assert_true(rig.server.fake.shutdown);
        assert_int_equal(rig.server.overs, 0);
        if (i % 2 == 0) {
            fake_stream_shutdown_done(&rig.server.fake);
            websocket_rig_turns(&rig, 3);
            assert_int_equal(rig.server.overs, 0);
            fake_stream_end(&rig.server.fake);
        } else {
            fake_stream_end(&rig.server.fake);
            websocket_rig_turns(&rig, 3);
            assert_int_equal(rig.server.overs, 0);
            fake_stream_shutdown_done(&rig.server.fake);
        }
        websocket_rig_turns(&rig, 3);
        assert_int_equal(rig.server.overs, 1);
        assert_int_equal(rig.server.error, table[i].error);
        assert_string_equal(rig.server.detail, table[i].detail);
        websocket_rig_free(&rig);
        assert_int_equal(rig.server.fake.reset_reason, 0);
    }
}

/* While the stream waits, an answered close does not: the frame and the end are handed over. */
static void test_peer_closes_while_waiting(void **state) {
    (void)state;
    websocket_rig_t rig;
    size_t from = start_server(&rig);
    rig.server.fake.write_status = WST_WAIT;
    assert_int_equal(websocket_side_send(&rig.server, false, "a", 1), WST_WAIT);
    assert_int_equal(websocket_side_send(&rig.server, false, "b", 1), WST_WAIT);
    script_close(&rig.server, 1000, "");
    fake_stream_end(&rig.server.fake);
    websocket_rig_until(&rig, &rig.server.overs, 1);
    assert_close_frame(&rig, from + 6, 1000, "");
    assert_int_equal(rig.server.error, 0);
    assert_int_equal(rig.server.drains, 0);
    websocket_rig_free(&rig);
}

/* The peer does not keep up its part of the handshake. */
static void test_deadlines(void **state) {
    (void)state;
    enum { NO_ANSWER, NO_END, NO_SHUTDOWN, EOF_INSTEAD, RESET_INSTEAD, RESET_BEHIND, CASES };
    static const int errors[] = {WST_ETIMEOUT, 0, WST_ETIMEOUT, UV_EOF, UV_ECONNRESET, 0};
    for (int i = 0; i < CASES; i++) {
        websocket_rig_t rig;
        size_t from = start_server(&rig);
        rig.server.fake.hold_shutdown = i == NO_SHUTDOWN;
        end(&rig.server, 1001, "going");
        assert_close_frame(&rig, from, 1001, "going");
        if (i == NO_END || i == NO_SHUTDOWN || i == RESET_BEHIND)
            script_close(&rig.server, 1001, "going");
        if (i == EOF_INSTEAD)
            fake_stream_end(&rig.server.fake);
        if (i == RESET_INSTEAD || i == RESET_BEHIND)
            fake_stream_error(&rig.server.fake, UV_ECONNRESET);
        websocket_rig_turns(&rig, 5);
        if (i < EOF_INSTEAD) {
            websocket_rig_pass(&rig, 4900);
            assert_int_equal(rig.server.overs, 0);
            websocket_rig_pass(&rig, 5100);
        }
        assert_int_equal(rig.server.overs, 1);
        assert_int_equal(rig.server.error, errors[i]);
        websocket_rig_free(&rig);
        bool orderly = i == NO_END; /* our direction was shut down */
        assert_int_equal(rig.server.fake.reset_reason, orderly ? 0 : WST_ECANCELLED);
    }
}

/* After our close frame messages of the peer still come; nothing does after its own. */
static void test_messages_and_closes(void **state) {
    (void)state;
    websocket_rig_t rig;
    uint8_t frame[64];
    start_server(&rig);
    end(&rig.server, 1000, NULL);
    websocket_side_script(&rig.server, frame, websocket_rig_frame(frame, 2, true, true, "a", 1));
    script_close(&rig.server, 1000, "");
    websocket_side_script(&rig.server, frame, websocket_rig_frame(frame, 2, true, true, "b", 1));
    fake_stream_end(&rig.server.fake);
    websocket_rig_until(&rig, &rig.server.overs, 1);
    assert_int_equal(rig.server.messages, 1);
    assert_int_equal(rig.server.error, 0);
    websocket_rig_free(&rig);
}

static void pause_in_message(websocket_side_t *side, websocket_event_t event) {
    if (event == WEBSOCKET_MESSAGE)
        wst_websocket_read_stop(side->ws);
}

/* Paused by a message right before the close frame: the end is noticed all the same. */
static void test_paused_before_close(void **state) {
    (void)state;
    websocket_rig_t rig;
    uint8_t frames[64];
    start_server(&rig);
    rig.server.act = pause_in_message;
    size_t len = websocket_rig_frame(frames, 2, true, true, "a", 1);
    len += websocket_rig_frame(frames + len, 8, true, true, NULL, 0);
    websocket_side_script(&rig.server, frames, len);
    fake_stream_end(&rig.server.fake);
    websocket_rig_turns(&rig, 10); /* no deadline passes */
    assert_int_equal(rig.server.overs, 1);
    assert_int_equal(rig.server.error, 0);
    websocket_rig_free(&rig);
}

/* What fails within wst_websocket_end is told from the loop. */
static void test_end_fails(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        websocket_rig_t rig;
        uint8_t frame[64];
        start_server(&rig);
        if (i == 0)
            rig.server.fake.write_status = UV_EPIPE;
        end(&rig.server, i == 0 ? 1000 : 1006, NULL); /* 1006 must not be sent */
        websocket_side_script(&rig.server, frame,
                              websocket_rig_frame(frame, 2, true, true, "a", 1));
        assert_int_equal(websocket_side_send(&rig.server, true, "x", 1), WST_ESTATE);
        assert_int_equal(rig.server.overs, 0);
        websocket_rig_until(&rig, &rig.server.overs, 1);
        assert_int_equal(rig.server.error, i == 0 ? UV_EPIPE : WST_EINVAL);
        assert_int_equal(rig.server.messages, 0);
        websocket_rig_free(&rig);
    }
}

/* --- breaches --- */

static void test_breaches(void **state) {
    (void)state;
    static const struct {
        int opcode;
        bool fin, masked;
        const char *payload;
        size_t len;
        int error, code;
        const char *why, *reason; /* reason: in the close frame */
    } table[] = {
        {2, true, false, "x", 1, WST_EPROTO, 1002, "frame from a client without a mask",
         "frame from a client without a mask"},
        {3, true, true, "x", 1, WST_EPROTO, 1002, "reserved opcode", "reserved opcode"},
        {0, true, true, "x", 1, WST_EPROTO, 1002, "continuation of no message",
         "continuation of no message"},
        {9, false, true, "x", 1, WST_EPROTO, 1002, "fragmented control frame",
         "fragmented control frame"},
        {1, true, true, "\xff", 1, WST_EUTF8, 1007, "text is not UTF-8", ""},
        {2, true, true, "0123456789", 11, WST_EMSGBIG, 1009, "message too big", "message too big"},
        {8, true, true, "\x03\xed", 2, WST_EPROTO, 1002, "close code that may not be sent",
         "close code that may not be sent"},
        {8, true, true, "\x03\xf4\xff", 3, WST_EUTF8, 1007, "close reason is not UTF-8",
         "close reason is not UTF-8"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        websocket_rig_t rig;
        assert_true(websocket_rig_init(&rig));
        rig.server.options.max_message = 10;
        assert_true(websocket_side_fake(&rig.server));
        assert_int_equal(websocket_rig_serve(&rig), 0);
        websocket_side_script(&rig.server, REQUEST, strlen(REQUEST));
        websocket_rig_until(&rig, &rig.server.opens, 1);
        size_t from = rig.server.fake.written_len;
        uint8_t bytes[64];
        size_t len = websocket_rig_frame(bytes, table[i].opcode, table[i].fin, table[i].masked,
                                         table[i].payload, table[i].len);
        websocket_side_script(&rig.server, bytes, len);
        len = websocket_rig_frame(bytes, 2, true, true, "more", 4);
        websocket_side_script(&rig.server, bytes, len);
        websocket_rig_turns(&rig, 10);
        /* The peer is told; the connection ends when it has had the chance to read it. */
        assert_close_frame(&rig, from, table[i].code, table[i].reason);
        assert_true(rig.server.fake.shutdown);
        assert_int_equal(rig.server.overs, 0);
        fake_stream_end(&rig.server.fake);
        websocket_rig_until(&rig, &rig.server.overs, 1);
        assert_int_equal(rig.server.error, table[i].error);
        assert_string_equal(rig.server.detail, table[i].why);
        assert_int_equal(rig.server.messages, 0);
        websocket_rig_free(&rig);
        assert_int_equal(rig.server.fake.reset_reason, 0);
    }
}

/* A breach is read by a peer that keeps sending: the kernel has nothing to reset for. */
static void test_breach_reaches_peer(void **state) {
    (void)state;
    websocket_rig_t rig;
    assert_true(websocket_rig_init(&rig));
    int fds[2];
    socket_pair(fds, true);
    assert_true(websocket_side_open(&rig.server, fds[1], false));
    assert_int_equal(websocket_rig_serve(&rig), 0);
    int fd = fds[0];
    assert_int_equal(write(fd, REQUEST, strlen(REQUEST)), (ssize_t)strlen(REQUEST));
    websocket_rig_until(&rig, &rig.server.opens, 1);
    rig.server.close_in = WEBSOCKET_OVER;
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    static uint8_t garbage[400000];
    memset(garbage, 0x7f, sizeof(garbage));
    for (int i = 0; i < 20; i++) {
        ssize_t n = send(fd, garbage, sizeof(garbage), MSG_NOSIGNAL);
        assert_true(n > 0 || errno == EAGAIN);
        websocket_rig_turns(&rig, 2);
    }
    assert_int_equal(rig.server.closed, 0);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    websocket_rig_until(&rig, &rig.server.closed, 1);
    assert_int_equal(rig.server.error, WST_EPROTO);
    assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
    uint8_t got[1024];
    size_t len = 0;
    ssize_t n;
    while ((n = read(fd, got + len, sizeof(got) - len)) > 0)
        len += (size_t)n;
    assert_int_equal(n, 0); /* not ECONNRESET */
    static const char last[] = "\x88\x12\x03\xeareserved bit set";
    assert_true(len > sizeof(last) - 1);
    assert_memory_equal(got + len - (sizeof(last) - 1), last, sizeof(last) - 1);
    close(fd);
    websocket_rig_free(&rig);
}

/* Without a closing handshake a close is a reset. */
static void test_close_resets(void **state) {
    (void)state;
    websocket_rig_t rig;
    websocket_rig_start(&rig, true);
    websocket_side_close(&rig.client);
    websocket_rig_until(&rig, &rig.server.overs, 1);
    assert_int_equal(rig.server.error, UV_ECONNRESET);
    websocket_rig_free(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_either_side),
        cmocka_unit_test(test_simultaneous),
        cmocka_unit_test(test_end_in_open),
        cmocka_unit_test(test_peer_closes),
        cmocka_unit_test(test_peer_closes_while_waiting),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_messages_and_closes),
        cmocka_unit_test(test_paused_before_close),
        cmocka_unit_test(test_end_fails),
        cmocka_unit_test(test_breaches),
        cmocka_unit_test(test_breach_reaches_peer),
        cmocka_unit_test(test_close_resets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
