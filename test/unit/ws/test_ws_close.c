/* SPDX-License-Identifier: MIT */
/* How a WebSocket ends: the closing handshake, calls from within callbacks, failures of our own. */
#include "mem.h"
#include "support.h"
#include "ws_peer.h"

#include <wstunnel/error.h>

/* Moves all output of one peer to the other, a byte at a time or at once. */
static int pass(ws_peer_t *from, ws_peer_t *to, bool bytewise) {
    uint8_t wire[4096];
    size_t len = ws_peer_output(from, wire, sizeof(wire));
    int status = 0;
    for (size_t at = 0; at < len && bytewise; at++)
        status = ws_peer_recv(to, wire + at, 1);
    return bytewise ? status : ws_peer_recv(to, wire, len);
}

static void open_pair(ws_peer_t *client, ws_peer_t *server) {
    assert_int_equal(ws_peer_init(client, false, 0, &wst__default_allocator), 0);
    assert_int_equal(ws_peer_init(server, true, 0, &wst__default_allocator), 0);
}

static void close_pair(ws_peer_t *client, ws_peer_t *server) {
    ws_peer_free(client);
    ws_peer_free(server);
}

/* Either side first; the code and the reason arrive, come back, and that is all. */
static void test_handshake(void **state) {
    (void)state;
    static const struct {
        int code;
        const char *reason;
    } cases[] = {{1000, NULL}, {1001, "going away"}, {3000, ""}, {4999, "gr\xc3\xbc\xc3\x9f"}};
    for (size_t i = 0; i < 16; i++) {
        ws_peer_t client, server, *first = i & 4 ? &client : &server,
                                  *second = i & 4 ? &server : &client;
        bool bytewise = i >= 8;
        const char *reason = cases[i % 4].reason != NULL ? cases[i % 4].reason : "";
        open_pair(&client, &server);
        assert_int_equal(ws_peer_send(first, true, NULL, 0, "bye", 3), 0);
        assert_int_equal(wst__ws_close(first->ws, cases[i % 4].code, cases[i % 4].reason), 0);
        assert_true(wst__ws_close_sent(first->ws));
        assert_false(wst__ws_close_received(first->ws));
        assert_int_equal(ws_peer_send(first, true, NULL, 0, "more", 4), WST_ESTATE);
        assert_int_equal(wst__ws_close(first->ws, 1002, "again"), 0);

        assert_int_equal(pass(first, second, bytewise), 0);
        assert_int_equal(second->complete, 1 + 3 + 9);
        assert_int_equal(second->closes, 1);
        assert_int_equal(second->code, cases[i % 4].code);
        assert_string_equal(second->reason, reason);
        assert_true(wst__ws_close_sent(second->ws));
        assert_true(wst__ws_close_received(second->ws));
        assert_int_equal(ws_peer_send(second, false, NULL, 0, "more", 4), WST_ESTATE);
        assert_int_equal(wst__ws_close(second->ws, 1002, "again"), 0);

        assert_int_equal(pass(second, first, bytewise), 0);
        assert_int_equal(first->closes, 1);
        assert_int_equal(first->code, cases[i % 4].code);
        assert_string_equal(first->reason, reason);
        assert_true(wst__ws_close_received(first->ws));
        assert_int_equal(wst__ws_pending(first->ws), 0);
        close_pair(&client, &server);
    }
}

/* Both at once: each gets the other's code, none answers any more. */
static void test_crossing(void **state) {
    (void)state;
    ws_peer_t client, server;
    open_pair(&client, &server);
    assert_int_equal(wst__ws_close(client.ws, 1000, "a"), 0);
    assert_int_equal(wst__ws_close(server.ws, 4000, "b"), 0);
    assert_int_equal(pass(&client, &server, true), 0);
    assert_int_equal(wst__ws_pending(server.ws), 2 + 3);
    assert_int_equal(pass(&server, &client, true), 0);
    assert_int_equal(wst__ws_pending(client.ws) + wst__ws_pending(server.ws), 0);
    assert_int_equal(client.code, 4000);
    assert_string_equal(client.reason, "b");
    assert_int_equal(server.code, 1000);
    assert_string_equal(server.reason, "a");
    close_pair(&client, &server);
}

/* A close frame without a code is answered by one without, and known as 1005 (section 7.1.5). */
static void check_no_code(ws_peer_t *peer, int status, const void *arg) {
    (void)arg;
    uint8_t out[8];
    assert_int_equal(status, 0);
    assert_int_equal(peer->closes, 1);
    assert_int_equal(peer->code, 1005);
    assert_string_equal(peer->reason, "");
    assert_int_equal(ws_peer_output(peer, out, sizeof(out)), 2);
    assert_memory_equal(out, "\x88\x00", 2);
}

static void test_no_code(void **state) {
    (void)state;
    static const uint8_t wire[] = {0x88, 0x80, 1, 2, 3, 4};
    ws_each_split(true, 0, wire, sizeof(wire), check_no_code, NULL);
}

/* The longest reason, of characters of four bytes, which wslay would misjudge in parts; and behind
 * the close whatever: it is ignored (section 5.5.1). */
static void check_long_reason(ws_peer_t *peer, int status, const void *arg) {
    assert_int_equal(status, 0);
    assert_int_equal(peer->closes, 1);
    assert_int_equal(peer->code, 1001);
    assert_string_equal(peer->reason, arg);
    assert_int_equal(peer->log_len, 0);
    assert_int_equal(wst__ws_pending(peer->ws), 2 + 2 + strlen(arg));
    assert_int_equal(ws_peer_recv(peer, "\xff\xff\xff", 3), 0);
    assert_string_equal(wst__ws_error_detail(peer->ws), "");
}

/* What a peer gets that has received a close frame. */
typedef struct closed {
    int code; /* 0: none */
    const char *reason;
} closed_t;

static void check_closed(ws_peer_t *peer, int status, const void *arg) {
    const closed_t *expect = arg;
    char out[140], payload[126] = "";
    size_t len = 0;
    assert_int_equal(status, 0);
    assert_int_equal(peer->closes, 1);
    assert_int_equal(peer->code, expect->code != 0 ? expect->code : 1005);
    assert_string_equal(peer->reason, expect->reason);
    assert_string_equal(wst__ws_error_detail(peer->ws), "");
    assert_true(wst__ws_close_sent(peer->ws));
    if (expect->code != 0) {
        payload[0] = (char)(expect->code >> 8);
        payload[1] = (char)expect->code;
        memcpy(payload + 2, expect->reason, strlen(expect->reason));
        len = 2 + strlen(expect->reason);
    }
    assert_int_equal(ws_peer_output(peer, (uint8_t *)out, sizeof(out)), 2 + len);
    assert_int_equal((uint8_t)out[0], 0x88);
    assert_int_equal(out[1], len);
    assert_memory_equal(out + 2, payload, len);
}

/* Every code that may be in a close frame is told and sent back, with its reason, wherever the
 * frame is cut into reads. */
static void test_codes_received(void **state) {
    (void)state;
    static const closed_t cases[] = {
        {0, ""},
        {1000, ""},
        {1003, "no"},
        {1007, "no"},
        {1011, "error"},
        {1012, "restart"},
        {1013, "try again"},
        {1014, "bad gateway"},
        {1012, ""},
        {1013, ""},
        {1014, ""},
        {3000, "app"},
        {4999, "private"},
        {1012, "\xe2\x82\xac \xf0\x9f\x8c\x8d"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t payload[126], wire[150];
        payload[0] = (uint8_t)(cases[i].code >> 8);
        payload[1] = (uint8_t)cases[i].code;
        memcpy(payload + 2, cases[i].reason, strlen(cases[i].reason));
        size_t len = cases[i].code != 0 ? 2 + strlen(cases[i].reason) : 0;
        size_t n = ws_put_frame(wire, 0x88, true, payload, len);
        ws_each_split(true, 0, wire, n, check_closed, &cases[i]);
    }
}

static void test_long_reason_and_garbage(void **state) {
    (void)state;
    char payload[126] = "\x03\xe9";
    for (size_t i = 0; i < 30; i++)
        memcpy(payload + 2 + 4 * i, "\xf0\x9f\x8c\x8d", 4);
    memcpy(payload + 122, "end", 4);
    uint8_t wire[200];
    size_t n = ws_put_frame(wire, 0x88, true, payload, 125);
    n += ws_put_frame(wire + n, 0xf3, false, "garbage", 7);
    ws_each_split(true, 0, wire, n, check_long_reason, payload + 2);
}

/* Cut to 123 bytes, not within a character. */
static void test_reason_is_cut(void **state) {
    (void)state;
    for (size_t shift = 0; shift < 4; shift++) {
        char reason[200] = "xxx";
        ws_peer_t client, server;
        open_pair(&client, &server);
        for (size_t i = 0; i < 40; i++)
            memcpy(reason + shift + 4 * i, "\xf0\x9f\x8c\x8d", 4);
        assert_int_equal(wst__ws_close(client.ws, 1000, reason), 0);
        assert_int_equal(pass(&client, &server, false), 0);
        reason[shift + (123 - shift) / 4 * 4] = '\0';
        assert_string_equal(server.reason, reason);
        close_pair(&client, &server);
    }
}

static void test_codes_to_send(void **state) {
    (void)state;
    static const int bad[] = {-1, 0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 66536, 66548};
    static const int good[] = {1000, 1003, 1007, 1011, 1012, 1013, 1014, 3000, 4999};
    ws_peer_t client, server;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        open_pair(&client, &server);
        assert_int_equal(wst__ws_close(client.ws, bad[i], NULL), WST_EINVAL);
        assert_false(wst__ws_close_sent(client.ws));
        close_pair(&client, &server);
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        open_pair(&client, &server);
        assert_int_equal(wst__ws_close(client.ws, good[i], NULL), 0);
        assert_int_equal(pass(&client, &server, false), 0);
        assert_int_equal(server.code, good[i]);
        close_pair(&client, &server);
    }
}

/* After our own close the peer's data still arrive, of either kind. */
static void test_data_after_our_close(void **state) {
    (void)state;
    ws_peer_t client, server;
    open_pair(&client, &server);
    assert_int_equal(ws_peer_send(&client, false, NULL, 0, "late", 4), 0);
    assert_int_equal(ws_peer_send(&client, true, NULL, 0, "later", 5), 0);
    assert_int_equal(wst__ws_close(server.ws, 1000, NULL), 0);
    assert_int_equal(pass(&client, &server, false), 0);
    assert_int_equal(server.complete, (1 + 4 + 9) + (1 + 5 + 9));
    close_pair(&client, &server);
}

/* An error after our close is told, and no second close is sent. */
static void test_error_after_our_close(void **state) {
    (void)state;
    static const struct {
        const char *wire;
        int error;
    } cases[] = {{"\x83\x00", WST_EPROTO},
                 {"\x81\x01\xff", WST_EUTF8},
                 {"\x88\x02\x03\xed", WST_EPROTO},
                 {"\x88\x03\x03\xe8\xff", WST_EUTF8}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ws_peer_t peer;
        assert_int_equal(ws_peer_init(&peer, false, 0, &wst__default_allocator), 0);
        assert_int_equal(wst__ws_close(peer.ws, 1000, NULL), 0);
        size_t len = i == 0 ? 2 : 2 + (size_t)cases[i].wire[1];
        assert_int_equal(ws_peer_recv(&peer, cases[i].wire, len), cases[i].error);
        assert_int_equal(wst__ws_pending(peer.ws), 2 + 4 + 2);
        assert_int_equal(peer.closes, 0);
        ws_peer_free(&peer);
    }
}

/* From within on_data */
static int echo(ws_peer_t *peer, bool text, wst_slice_t piece, bool fin) {
    (void)fin;
    assert_int_equal(wst__ws_send(peer->ws, text, "> ", 2, wst_slice_ref(piece)), 0);
    return 0;
}

static void test_send_in_on_data(void **state) {
    (void)state;
    ws_peer_t client, server;
    open_pair(&client, &server);
    server.hook = echo;
    assert_int_equal(ws_peer_send(&client, true, NULL, 0, "text", 4), 0);
    assert_int_equal(ws_peer_send(&client, false, NULL, 0, "data", 4), 0);
    assert_int_equal(pass(&client, &server, false), 0);
    assert_int_equal(pass(&server, &client, false), 0);
    assert_int_equal(client.complete, 32);
    assert_memory_equal(client.log, "T> text", 7);
    assert_memory_equal(client.log + 16, "B> data", 7);
    close_pair(&client, &server);
}

static int close_and_go_on(ws_peer_t *peer, bool text, wst_slice_t piece, bool fin) {
    (void)text, (void)piece, (void)fin;
    assert_int_equal(wst__ws_close(peer->ws, 4001, "enough"), 0);
    return 0;
}

static int close_and_stop(ws_peer_t *peer, bool text, wst_slice_t piece, bool fin) {
    close_and_go_on(peer, text, piece, fin);
    return -77;
}

static int stop(ws_peer_t *peer, bool text, wst_slice_t piece, bool fin) {
    (void)peer, (void)text, (void)piece, (void)fin;
    return -77;
}

/* A result of on_data stops at once and for good; the peer is told 1011 unless told before. */
static void test_close_and_stop_in_on_data(void **state) {
    (void)state;
    static const struct {
        int (*hook)(ws_peer_t *peer, bool text, wst_slice_t piece, bool fin);
        int status, code;
        size_t pieces;
    } cases[] = {
        {close_and_go_on, 0, 4001, 3}, {close_and_stop, -77, 4001, 1}, {stop, -77, 1011, 1}};
    for (size_t i = 0; i < 6; i++) {
        ws_peer_t client, server;
        open_pair(&client, &server);
        server.hook = cases[i / 2].hook;
        for (int k = 0; k < 3; k++)
            assert_int_equal(ws_peer_send(&client, i % 2 == 0, NULL, 0, "data", 4), 0);
        assert_int_equal(pass(&client, &server, false), cases[i / 2].status);
        assert_int_equal(server.pieces, cases[i / 2].pieces);
        assert_int_equal(ws_peer_recv(&server, "\x82\x80zzzz", 6), cases[i / 2].status);
        assert_int_equal(ws_peer_send(&server, false, NULL, 0, "x", 1), WST_ESTATE);
        assert_int_equal(pass(&server, &client, false), 0);
        assert_int_equal(client.closes, 1);
        assert_int_equal(client.code, cases[i / 2].code);
        close_pair(&client, &server);
    }
}

/* Without a key nothing of a client's may go out. */
static void test_no_random(void **state) {
    (void)state;
    ws_peer_t client, server;
    open_pair(&client, &server);
    client.random_status = -88;
    assert_int_equal(ws_peer_send(&client, false, NULL, 0, "x", 1), -88);
    assert_int_equal(wst__ws_pending(client.ws), 0);
    client.random_status = 0;
    assert_int_equal(ws_peer_send(&client, false, NULL, 0, "x", 1), 0);
    assert_int_equal(wst__ws_pending(client.ws), 7);

    client.random_status = -88;
    assert_int_equal(wst__ws_close(client.ws, 1000, NULL), -88);
    assert_false(wst__ws_close_sent(client.ws));
    assert_int_equal(wst__ws_close(client.ws, 1000, NULL), -88);
    assert_int_equal(wst__ws_pending(client.ws), 7);
    close_pair(&client, &server);

    open_pair(&client, &server);
    client.random_status = -88;
    assert_int_equal(ws_peer_recv(&client, "\x89\x01x", 3), -88);
    client.random_status = 0;
    assert_int_equal(ws_peer_recv(&client, "\x89\x01x", 3), -88);
    assert_int_equal(ws_peer_send(&client, false, NULL, 0, "x", 1), WST_ESTATE);
    assert_int_equal(wst__ws_pending(client.ws), 0);
    close_pair(&client, &server);
}

/* What a peer gets, as far as it gets, is whole frames: nothing half sent survives a failure. */
static void check_output(ws_peer_t *from, bool server, const uint8_t *taken, size_t taken_len) {
    static uint8_t wire[200000];
    ws_peer_t to;
    memcpy(wire, taken, taken_len);
    size_t len = taken_len + ws_peer_output(from, wire + taken_len, sizeof(wire) - taken_len);
    assert_int_equal(ws_peer_init(&to, !server, 0, &wst__default_allocator), 0);
    for (size_t at = 0; at < len; at += 50000)
        assert_int_equal(ws_peer_recv(&to, wire + at, len - at < 50000 ? len - at : 50000), 0);
    assert_int_equal(to.log_len, to.complete);
    assert_int_equal(to.closes, wst__ws_close_sent(from->ws));
    ws_peer_free(&to);
}

/* Takes the first slice of the output. */
static size_t take_one(ws_peer_t *peer, uint8_t *buf) {
    wst_slice_t slice;
    if (wst__ws_take(peer->ws, &slice, 1) == 0)
        return 0;
    memcpy(buf, slice.data, slice.len);
    wst_slice_unref(slice);
    return slice.len;
}

static void scenario(void *arg) {
    bool server = *(const bool *)arg;
    static uint8_t taken[5000];
    size_t len = 0;
    static const uint8_t data[70000];
    ws_peer_t peer;
    int status = ws_peer_init(&peer, server, 0, &test_allocator);
    if (status != 0) {
        assert_int_equal(status, WST_ENOMEM);
        wst__pool_free(&peer.pool);
        return;
    }
    uint8_t wire[400];
    size_t n = ws_put_frame(wire, 0x89, server, data, 100);
    n += ws_put_frame(wire + n, 0x81, server, "text", 4);
    n += ws_put_frame(wire + n, 0x82, server, "data", 4);
    for (int i = 0; i < 8; i++) {
        size_t before = wst__ws_pending(peer.ws);
        status = ws_peer_send(&peer, i % 2 == 0, data, 64, data, i == 3 ? 70000 : 4000);
        assert_true(status == 0 || (status == WST_ENOMEM && test_alloc_failed()));
        if (status != 0)
            assert_int_equal(wst__ws_pending(peer.ws), before);
        if (i == 0) /* the queue grows at another point */
            len = take_one(&peer, taken);
    }
    for (int i = 0; i < 3 && status == 0; i++)
        status = ws_peer_recv(&peer, wire, n);
    assert_true(status == 0 || (status == WST_ENOMEM && test_alloc_failed()));
    status = wst__ws_close(peer.ws, 1000, "bye");
    assert_true(status == 0 || (status == WST_ENOMEM && test_alloc_failed()));
    assert_int_equal(wst__ws_close_sent(peer.ws), status == 0);
    assert_int_equal(wst__ws_close(peer.ws, 1000, NULL), status); /* what is lost stays so */
    check_output(&peer, server, taken, len);
    ws_peer_free(&peer);
}

static void test_each_allocation_fails(void **state) {
    (void)state;
    for (int i = 0; i <= 1; i++) {
        bool server = i;
        assert_true(test_alloc_each(scenario, &server) > 5);
    }
}

/* Only the pong's allocation fails, so that the close that says why can be sent. */
static void test_pong_without_memory(void **state) {
    (void)state;
    uint8_t out[16];
    ws_peer_t peer;
    wst_slice_t in;
    assert_int_equal(ws_peer_init(&peer, false, 0, &test_allocator), 0);
    assert_int_equal(wst__pool_copy(&peer.pool, &in, "\x89\x01x", 3), 0);
    test_alloc_fail(1);
    assert_int_equal(wst__ws_recv(peer.ws, in), WST_ENOMEM);
    assert_true(test_alloc_failed());
    test_alloc_fail(0);
    wst_slice_unref(in);
    assert_int_equal(ws_peer_output(&peer, out, sizeof(out)), 8);
    assert_int_equal(out[0], 0x88);
    assert_int_equal((out[6] ^ out[2]) * 256 + (out[7] ^ out[3]), 1011);
    ws_peer_free(&peer);
    assert_int_equal(test_alloc_live(), 0);
}

/* A close that is lost is not sent later either: it says so each time. */
static void test_close_without_memory(void **state) {
    (void)state;
    ws_peer_t peer;
    assert_int_equal(ws_peer_init(&peer, true, 0, &test_allocator), 0);
    test_alloc_fail(1);
    assert_int_equal(wst__ws_close(peer.ws, 1000, NULL), WST_ENOMEM);
    assert_int_equal(wst__ws_close(peer.ws, 1000, NULL), WST_ENOMEM);
    assert_false(wst__ws_close_sent(peer.ws));
    assert_int_equal(wst__ws_pending(peer.ws), 0);
    ws_peer_free(&peer);
    assert_int_equal(test_alloc_live(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handshake),
        cmocka_unit_test(test_crossing),
        cmocka_unit_test(test_no_code),
        cmocka_unit_test(test_codes_received),
        cmocka_unit_test(test_long_reason_and_garbage),
        cmocka_unit_test(test_reason_is_cut),
        cmocka_unit_test(test_codes_to_send),
        cmocka_unit_test(test_data_after_our_close),
        cmocka_unit_test(test_error_after_our_close),
        cmocka_unit_test(test_send_in_on_data),
        cmocka_unit_test(test_close_and_stop_in_on_data),
        cmocka_unit_test(test_no_random),
        cmocka_unit_test(test_each_allocation_fails),
        cmocka_unit_test(test_pong_without_memory),
        cmocka_unit_test(test_close_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
