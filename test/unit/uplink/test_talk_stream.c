/* SPDX-License-Identifier: MIT */
/*
 * The stream of a talk: bytes both ways in order and in messages of a bounded size, back-pressure,
 * what a paused reader finds later, and all the ways in which it ends.
 */
#include "talk_rig.h"

#include <wstunnel/error.h>

#include "codec_talk.h"

static const char completed[] = "{\"method\":2,\"dest\":\"\",\"data\":null}";

/* A server's stream whose agent is a plain WebSocket. */
static void start(websocket_rig_t *rig, talk_side_t *server, bool reading) {
    assert_true(websocket_rig_init(rig) && websocket_rig_join(rig, false));
    talk_serve(rig, server);
    server->ask_early = "host:1";
    assert_int_equal(websocket_rig_connect(rig), 0);
    websocket_rig_until(rig, &rig->client.messages, 1);
    rig->client.received_len = 0;
    rig->client.messages = 0;
    assert_true(websocket_side_send(&rig->client, true, completed, strlen(completed)) >= 0);
    websocket_rig_until(rig, &server->answers, 1);
    assert_int_equal(server->status, 0);
    if (reading)
        wst_stream_read_start(server->owner.stream, 0);
}

/* Sends bytes of the pattern as one message. */
static void say_data(websocket_rig_t *rig, size_t offset, size_t len) {
    static uint8_t data[WST__TALK_DATA_MAX];
    static char text[WST__TALK_MESSAGE_MAX];
    for (size_t i = 0; i < len; i++)
        data[i] = sockets_pattern(offset + i);
    const wst_message_t m = {
        .size = sizeof(m), .method = WST_MSG_COMMUNICATION, .data = data, .len = len};
    int n = wst__talk_write(&m, text, sizeof(text));
    assert_true(n > 0);
    assert_true(websocket_side_send(&rig->client, false, text, (size_t)n) >= 0);
}

static int write_to(talk_side_t *side, size_t offset, size_t len) {
    websocket_rig_call(side->rig);
    int status = sockets_write_pattern(side->owner.stream, offset, len);
    websocket_rig_called(side->rig);
    return status;
}

static void shut_down(talk_side_t *side) {
    websocket_rig_call(side->rig);
    assert_int_equal(wst_stream_shutdown(side->owner.stream), 0);
    websocket_rig_called(side->rig);
}

/* Bytes ---------------------------------------------------------------------------------------- */

static void test_both_ways(void **state) {
    (void)state;
    websocket_rig_t rig;
    talk_side_t agent = {0}, server = {0};
    talk_start_stream(&rig, &agent, &server, true);
    const size_t lens[] = {1, 2, 3, 1000, 32767, 32768, 32769, 65536, 100000};
    size_t sent = 0;
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        assert_true(write_to(&agent, sent, lens[i]) >= 0);
        assert_true(write_to(&server, sent, lens[i]) >= 0);
        sent += lens[i];
        talk_until(&rig, &agent.owner.received, sent);
        talk_until(&rig, &server.owner.received, sent);
    }
    assert_int_equal(agent.owner.received, sent);
    assert_int_equal(agent.owner.largest, WST__TALK_DATA_MAX);
    assert_int_equal(wst_stream_bytes_written(agent.owner.stream), sent);
    talk_free(&rig, &agent, &server);
}

/* A reader such as the talk's takes no more than 32 KiB of a message. */
static void test_messages_are_bounded(void **state) {
    (void)state;
    websocket_rig_t rig;
    talk_side_t server = {0};
    start(&rig, &server, true);
    assert_true(write_to(&server, 0, 70000) >= 0);
    websocket_rig_until(&rig, &rig.client.messages, 3);
    assert_int_equal(rig.client.texts, 1); /* the handshake: data is binary, as the talk has it */
    size_t expected = 0, left = 70000;
    while (left > 0) {
        size_t n = left < 32768 ? left : 32768;
        expected += (n + 2) / 3 * 4 + strlen("{\"method\":3,\"dest\":\"\",\"data\":\"\"}");
        left -= n;
    }
    assert_int_equal(rig.client.received_len, expected);
    talk_free(&rig, NULL, &server);
}

static void test_empty_write(void **state) {
    (void)state;
    websocket_rig_t rig;
    talk_side_t server = {0};
    start(&rig, &server, true);
    const wst_slice_t slices[] = {wst_slice_static("", 0), wst_slice_static("a", 1),
                                  wst_slice_static("", 0)};
    assert_true(wst_stream_write(server.owner.stream, slices, 3) >= 0);
    websocket_rig_until(&rig, &rig.client.messages, 1);
    websocket_rig_turns(&rig, 3);
    assert_int_equal(rig.client.messages,
                     1); /* an empty one would be an end to the talk's reader */
    talk_free(&rig, NULL, &server);
}

/* Back-pressure -------------------------------------------------------------------------------- */

static void fill(talk_side_t *from, size_t *sent) {
    int status = 0;
    while (status == 0) {
        size_t room = wst_stream_room(from->owner.stream);
        assert_true(room > 0);
        status = write_to(from, *sent, room);
        *sent += room;
    }
    assert_int_equal(status, WST_WAIT);
    assert_int_equal(wst_stream_room(from->owner.stream), 0);
}

static void test_a_reader_that_stops_stops_the_writer(void **state) {
    (void)state;
    for (int up = 0; up < 2; up++) {
        websocket_rig_t rig;
        talk_side_t agent = {0}, server = {0};
        talk_start_stream(&rig, &agent, &server, false);
        talk_side_t *from = up ? &agent : &server, *to = up ? &server : &agent;
        size_t sent = 0, drains = 0;
        fill(from, &sent);
        /* What the sockets hold, and then nothing moves any more. */
        for (int i = 0; i < 1000 && drains < 100; i++) {
            websocket_rig_turns(&rig, 1);
            if (from->owner.drains > drains) {
                drains = from->owner.drains;
                fill(from, &sent);
            }
        }
        assert_true(drains < 100 && sent < 8000000);
        assert_int_equal(to->owner.received, 0);
        wst_ctx_stats_t stats = {.size = sizeof(stats)};
        wst_ctx_get_stats(rig.ctx, &stats);
        assert_true(stats.chunks < 20);
        wst_stream_read_start(to->owner.stream, 0);
        talk_until(&rig, &to->owner.received, sent);
        talk_until(&rig, &from->owner.drains, drains + 1);
        assert_true(write_to(from, sent, 10) >= 0);
        talk_until(&rig, &to->owner.received, sent + 10);
        talk_free(&rig, &agent, &server);
    }
}

/* A reader that takes one piece and stops gets all, in order, and the end last. */
static void test_stopping_at_each_piece(void **state) {
    (void)state;
    websocket_rig_t rig;
    talk_side_t server = {0};
    start(&rig, &server, false);
    server.owner.pause_always = true;
    size_t sent = 0;
    for (size_t len = 1; len < 60; len++) {
        say_data(&rig, sent, len);
        sent += len;
    }
    wst_websocket_end(rig.client.ws, 1000, NULL);
    websocket_rig_turns(&rig, 10);
    assert_int_equal(server.owner.reads, 0);
    while (server.owner.received < sent) {
        size_t reads = server.owner.reads;
        wst_stream_read_start(server.owner.stream, 0);
        talk_until(&rig, &server.owner.reads, reads + 1);
        assert_int_equal(server.owner.reads, reads + 1);
        assert_int_equal(server.owner.ends, 0);
    }
    websocket_rig_turns(&rig, 10);
    assert_int_equal(server.owner.ends, 0);
    wst_stream_read_start(server.owner.stream, 0);
    talk_until(&rig, &server.owner.ends, 1);
    talk_free(&rig, NULL, &server);
}

/* Ends ----------------------------------------------------------------------------------------- */

static void test_peer_ends_first(void **state) {
    (void)state;
    websocket_rig_t rig;
    talk_side_t server = {0};
    start(&rig, &server, true);
    say_data(&rig, 0, 100);
    wst_websocket_end(rig.client.ws, 1000, "done");
    talk_until(&rig, &server.owner.ends, 1);
    assert_int_equal(server.owner.received, 100);
    /* Our end goes with it. */
    shut_down(&server);
    talk_until(&rig, &server.owner.shutdowns, 1);
    assert_int_equal(server.owner.errors, 0);
    sockets_close_owned(&server.owner);
    websocket_rig_until(&rig, &server.closed, 1);
    websocket_rig_until(&rig, &rig.client.overs, 1);
    assert_int_equal(rig.client.error, 0);
    talk_free(&rig, NULL, &server);
}

static void test_no_writing_behind_the_peers_end(void **state) {
    (void)state;
    websocket_rig_t rig;
    talk_side_t server = {0};
    start(&rig, &server, true);
    wst_websocket_end(rig.client.ws, 1000, NULL);
    talk_until(&rig, &server.owner.ends, 1);
    assert_int_equal(write_to(&server, 0, 1), WST_EWSCLOSED);
    talk_free(&rig, NULL, &server);
}

/* A writer that waits is woken, to learn that. */
static void test_peer_ends_while_we_wait(void **state) {
    (void)state;
    websocket_rig_t rig;
    talk_side_t server = {0};
    start(&rig, &server, true);
    wst_websocket_end(rig.client.ws, 1000, NULL); /* before it is told to stop reading */
    wst_websocket_read_stop(rig.client.ws);
    size_t sent = 0;
    fill(&server, &sent);
    websocket_rig_turns(&rig, 5);
    wst_websocket_read_start(rig.client.ws);
    talk_until(&rig, &server.owner.ends, 1);
    assert_int_equal(server.owner.drains, 1);
    talk_free(&rig, NULL, &server);
}

static void test_we_end_first(void **state) {
    (void)state;
    for (int up = 0; up < 2; up++) {
        websocket_rig_t rig;
        talk_side_t agent = {0}, server = {0};
        talk_start_stream(&rig, &agent, &server, true);
        talk_side_t *first = up ? &agent : &server, *second = up ? &server : &agent;
        assert_true(write_to(first, 0, 100000) >= 0);
        shut_down(first);
        talk_until(&rig, &second->owner.ends, 1);
        assert_int_equal(second->owner.received, 100000);
        assert_int_equal(second->owner.errors, 0);
        talk_until(&rig, &first->owner.shutdowns, 1);
        /* What the other one had to say will never be known. */
        talk_until(&rig, &first->owner.errors, 1);
        assert_int_equal(first->owner.error, WST_EWSCLOSED);
        assert_int_equal(first->owner.ends, 0);
        shut_down(second);
        talk_until(&rig, &second->owner.shutdowns, 1);
        sockets_close_owned(&first->owner);
        sockets_close_owned(&second->owner);
        websocket_rig_until(&rig, &agent.closed, 1);
        websocket_rig_until(&rig, &server.closed, 1);
        talk_free(&rig, &agent, &server);
    }
}

/* What the peer had sent before it learnt of our end still comes. */
static void test_data_crosses_our_end(void **state) {
    (void)state;
    websocket_rig_t rig;
    talk_side_t agent = {0}, server = {0};
    talk_start_stream(&rig, &agent, &server, true);
    assert_true(write_to(&agent, 0, 50000) >= 0);
    shut_down(&server);
    talk_until(&rig, &server.owner.errors, 1);
    assert_int_equal(server.owner.received, 50000);
    talk_free(&rig, &agent, &server);
}

/* The peer's close frame is seen, but its end not yet told: a shutdown then is the second one. */
static void test_shutdown_within_the_peers_end(void **state) {
    (void)state;
    websocket_rig_t rig;
    talk_side_t server = {0};
    uint8_t bytes[200];
    assert_true(websocket_rig_init(&rig) && websocket_side_fake(&rig.server));
    static const char upgrade[] = "GET /websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
                                  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    server.ask_early = "host:1";
    talk_serve(&rig, &server);
    websocket_side_script(&rig.server, upgrade, strlen(upgrade));
    websocket_side_script(&rig.server, bytes,
                          websocket_rig_frame(bytes, 1, true, true, completed, strlen(completed)));
    websocket_rig_until(&rig, &server.answers, 1);
    wst_stream_read_start(server.owner.stream, 0);
    websocket_side_script(&rig.server, bytes,
                          websocket_rig_frame(bytes, 8, true, true, "\x03\xe8", 2));
    websocket_rig_turns(&rig, 20); /* the connection itself does not end */
    assert_int_equal(server.owner.ends, 0);
    shut_down(&server);
    websocket_rig_turns(&rig, 3);
    assert_int_equal(server.owner.shutdowns, 0);
    fake_stream_end(&rig.server.fake);
    talk_until(&rig, &server.owner.ends, 1);
    assert_int_equal(server.owner.shutdowns, 1);
    assert_int_equal(server.owner.errors, 0);
    talk_free(&rig, NULL, &server);
}

static void expect_broken(int code, bool reset, int error) {
    websocket_rig_t rig;
    talk_side_t server = {0};
    start(&rig, &server, true);
    say_data(&rig, 0, 10);
    talk_until(&rig, &server.owner.received, 10);
    if (code != 0)
        wst_websocket_end(rig.client.ws, code, NULL);
    else if (reset)
        websocket_side_close(&rig.client);
    talk_until(&rig, &server.owner.errors, 1);
    if (error != 0)
        assert_int_equal(server.owner.error, error);
    assert_int_equal(server.owner.ends, 0);
    talk_free(&rig, NULL, &server);
}

static void test_what_is_no_end(void **state) {
    (void)state;
    expect_broken(1001, false, WST_EWSCLOSED);
    expect_broken(1011, false, WST_EWSCLOSED);
    expect_broken(4000, false, WST_EWSCLOSED);
    expect_broken(0, true, 0);
}

static void test_reset(void **state) {
    (void)state;
    for (int up = 0; up < 2; up++) {
        websocket_rig_t rig;
        talk_side_t agent = {0}, server = {0};
        talk_start_stream(&rig, &agent, &server, true);
        talk_side_t *first = up ? &agent : &server, *second = up ? &server : &agent;
        wst_stream_reset(first->owner.stream, WST_ERESET, NULL);
        first->owner.closed = 1;
        talk_until(&rig, &second->owner.errors, 1);
        assert_int_equal(second->owner.ends, 0);
        websocket_rig_until(&rig, &first->closed, 1);
        talk_free(&rig, &agent, &server);
    }
}

/* A peer that does not answer our close frame is waited for as long as it takes to read. */
static void test_patience(void **state) {
    (void)state;
    websocket_rig_t rig;
    talk_side_t server = {.patience_ms = 60000};
    start(&rig, &server, true);
    wst_websocket_read_stop(rig.client.ws);
    shut_down(&server);
    websocket_rig_turns(&rig, 5);
    websocket_rig_pass(&rig, 59000);
    websocket_rig_turns(&rig, 5);
    assert_int_equal(server.owner.errors, 0);
    websocket_rig_pass(&rig, 60001);
    talk_until(&rig, &server.owner.errors, 1);
    assert_int_equal(server.owner.error, WST_ETIMEOUT);
    talk_free(&rig, NULL, &server);
}

/* Whoever made the connection closes it: the owner of the stream is told, and may be slow. */
static void test_closed_from_below(void **state) {
    (void)state;
    for (int late = 0; late < 2; late++) {
        websocket_rig_t rig;
        talk_side_t server = {0};
        start(&rig, &server, true);
        talk_close(&server);
        assert_int_equal(server.owner.errors, 0); /* not from inside the call */
        assert_int_equal(write_to(&server, 0, 1), WST_EWSCLOSED);
        if (!late) {
            sockets_close_owned(&server.owner);
        } else {
            websocket_rig_until(&rig, &server.closed, 1);
            assert_int_equal(server.owner.errors, 0); /* the write has said it */
        }
        talk_free(&rig, NULL, &server);
    }
    websocket_rig_t rig;
    talk_side_t server = {0};
    start(&rig, &server, false);
    talk_close(&server);
    wst_stream_read_start(server.owner.stream, 0);
    wst_stream_read_stop(server.owner.stream);
    shut_down(&server);
    talk_until(&rig, &server.owner.errors, 1);
    assert_int_equal(server.owner.error, WST_ELOST);
    websocket_rig_until(&rig, &server.closed, 1);
    talk_free(&rig, NULL, &server);
}

/* In each callback ------------------------------------------------------------------------------
 */

static void test_closing_in_callbacks(void **state) {
    (void)state;
    static const char events[] = "redsx";
    for (const char *event = events; *event != '\0'; event++) {
        websocket_rig_t rig;
        talk_side_t agent = {0}, server = {0};
        talk_start_stream(&rig, &agent, &server, false);
        server.owner.close_at = *event;
        size_t sent = 0;
        fill(&server, &sent); /* for a drain, once the agent reads */
        assert_true(write_to(&agent, 0, 100) >= 0);
        if (*event == 'e')
            shut_down(&agent);
        if (*event == 's' || *event == 'x')
            shut_down(&server);
        wst_stream_read_start(agent.owner.stream, 0);
        wst_stream_read_start(server.owner.stream, 0);
        talk_until(&rig, &server.owner.closed, 1);
        websocket_rig_until(&rig, &server.closed, 1);
        const size_t counts[] = {server.owner.reads, server.owner.ends, server.owner.drains,
                                 server.owner.shutdowns, server.owner.errors};
        assert_true(counts[event - events] == 1);
        talk_free(&rig, &agent, &server);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_messages_are_bounded),
        cmocka_unit_test(test_empty_write),
        cmocka_unit_test(test_a_reader_that_stops_stops_the_writer),
        cmocka_unit_test(test_stopping_at_each_piece),
        cmocka_unit_test(test_peer_ends_first),
        cmocka_unit_test(test_no_writing_behind_the_peers_end),
        cmocka_unit_test(test_peer_ends_while_we_wait),
        cmocka_unit_test(test_we_end_first),
        cmocka_unit_test(test_data_crosses_our_end),
        cmocka_unit_test(test_shutdown_within_the_peers_end),
        cmocka_unit_test(test_what_is_no_end),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_patience),
        cmocka_unit_test(test_closed_from_below),
        cmocka_unit_test(test_closing_in_callbacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
