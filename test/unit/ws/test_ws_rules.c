/* SPDX-License-Identifier: MIT */
/* What a peer must not do: each violation and bound, with its error and the close code it earns. */
#include "mem.h"
#include "support.h"
#include "ws_peer.h"

#include <stdio.h>
#include <wstunnel/error.h>

typedef struct expect {
    const char *name;
    bool server;
    int error, code;
    size_t complete; /* of the log */
} expect_t;

/* The only output is a close frame with that code and the reason; nothing goes on from there. */
static void check_failure(ws_peer_t *peer, int status, const void *arg) {
    const expect_t *expect = arg;
    uint8_t out[140];
    if (status != expect->error)
        fail_msg("%s: %d, not %d", expect->name, status, expect->error);
    assert_true(wst__ws_error_detail(peer->ws)[0] != '\0');
    assert_int_equal(peer->complete, expect->complete);
    assert_int_equal(peer->closes, 0);
    assert_true(wst__ws_close_sent(peer->ws));
    assert_false(wst__ws_close_received(peer->ws));
    const char *why = wst__ws_error_detail(peer->ws);
    if (strcmp(why, "text is not UTF-8") == 0)
        why = ""; /* it is wslay that has found that, and it gives no reasons */
    size_t n = ws_peer_output(peer, out, sizeof(out)), at = expect->server ? 2 : 6;
    size_t len = 2 + strlen(why);
    assert_int_equal(n, at + len);
    assert_int_equal(out[0], 0x88);
    assert_int_equal(out[1], len | (expect->server ? 0 : 0x80));
    for (size_t i = 0; i < len && !expect->server; i++)
        out[at + i] ^= out[2 + i % 4];
    assert_memory_equal(out + at + 2, why, len - 2);
    if (out[at] * 256 + out[at + 1] != expect->code)
        fail_msg("%s: close %d", expect->name, out[at] * 256 + out[at + 1]);

    assert_int_equal(ws_peer_recv(peer, "\x82\x00", 2), expect->error);
    assert_int_equal(ws_peer_send(peer, false, NULL, 0, "x", 1), WST_ESTATE);
    assert_int_equal(wst__ws_close(peer->ws, 1000, NULL), 0);
    assert_int_equal(wst__ws_pending(peer->ws), 0);
}

/* Behind a good message, and with more behind it. */
static void fails(expect_t expect, const uint8_t *bad, size_t len) {
    uint8_t wire[700];
    size_t n = ws_put_frame(wire, 0x82, expect.server, "good", 4);
    memcpy(wire + n, bad, len);
    n += len;
    n += ws_put_frame(wire + n, 0x82, expect.server, "more", 4);
    expect.complete = 1 + 4 + 8 + 1;
    ws_each_split(expect.server, 0, wire, n, check_failure, &expect);
}

/* One frame, from either side. */
static void frame_fails(const char *name, uint8_t first, const void *payload, size_t len, int error,
                        int code) {
    for (int server = 0; server <= 1; server++) {
        uint8_t bad[300];
        size_t n = ws_put_frame(bad, first, server, payload, len);
        fails((expect_t){name, server, error, code, 0}, bad, n);
    }
}

static void test_heads(void **state) {
    (void)state;
    static const uint8_t zeros[200];
    frame_fails("RSV1", 0xc2, "abc", 3, WST_EPROTO, 1002);
    frame_fails("RSV2", 0xa1, "abc", 3, WST_EPROTO, 1002);
    frame_fails("RSV3", 0x99, "", 0, WST_EPROTO, 1002);
    frame_fails("RSV of close", 0xc8, "", 0, WST_EPROTO, 1002);
    for (int opcode = 3; opcode < 16; opcode++)
        if (opcode < 8 || opcode > 10)
            frame_fails("opcode", (uint8_t)(0x80 | opcode), "a", 1, WST_EPROTO, 1002);
    frame_fails("fragmented ping", 0x09, "a", 1, WST_EPROTO, 1002);
    frame_fails("fragmented close", 0x08, "", 0, WST_EPROTO, 1002);
    frame_fails("long ping", 0x89, zeros, 126, WST_EPROTO, 1002);
    frame_fails("long pong", 0x8a, zeros, 200, WST_EPROTO, 1002);
    frame_fails("half a code", 0x88, "\x03", 1, WST_EPROTO, 1002);
    frame_fails("continuation", 0x80, "a", 1, WST_EPROTO, 1002);
    frame_fails("continuation goes on", 0x00, "", 0, WST_EPROTO, 1002);
}

static void test_mask_bit(void **state) {
    (void)state;
    static const uint8_t firsts[] = {0x82, 0x81, 0x01, 0x89, 0x88};
    for (size_t i = 0; i < sizeof(firsts); i++) {
        for (int server = 0; server <= 1; server++) {
            for (size_t len = 0; len <= 4; len += 4) {
                uint8_t bad[16];
                size_t n = ws_put_frame(bad, firsts[i], !server, "\x03\xe8 a", len);
                fails((expect_t){"mask", server, WST_EPROTO, 1002, 0}, bad, n);
            }
        }
    }
}

static void test_lengths(void **state) {
    (void)state;
    static const uint8_t bad[][10] = {
        {0x82, 126, 0, 125},
        {0x81, 126, 0, 0},
        {0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff},
        {0x01, 127, 0, 0, 0, 0, 0, 0, 0, 1},
        {0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0},
        {0x81, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t wire[14] = {0};
        size_t n = bad[i][1] == 126 ? 4 : 10;
        memcpy(wire, bad[i], n);
        fails((expect_t){"length", false, WST_EPROTO, 1002, 0}, wire, n);
        wire[1] |= 0x80;
        fails((expect_t){"length", true, WST_EPROTO, 1002, 0}, wire, n + 4);
    }
}

/* Section 5.4: fragments of messages do not mix. */
static void test_nested_messages(void **state) {
    (void)state;
    for (int i = 0; i < 16; i++) {
        bool server = i & 1;
        uint8_t bad[64], outer = i & 2 ? 0x01 : 0x02, inner = i & 4 ? 0x81 : 0x82;
        size_t n = ws_put_frame(bad, outer, server, "a", i & 8 ? 1 : 0);
        n += ws_put_frame(bad + n, inner, server, "b", i & 8 ? 1 : 0);
        fails((expect_t){"nested", server, WST_EPROTO, 1002, 0}, bad, n);
    }
}

static void test_text_is_utf8(void **state) {
    (void)state;
    static const char *const bad[] = {
        "\xff", "a\x80", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "ok \xe4\xb8"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        frame_fails(bad[i], 0x81, bad[i], strlen(bad[i]), WST_EUTF8, 1007);
    for (int server = 0; server <= 1; server++) {
        uint8_t wire[64];
        size_t n = ws_put_frame(wire, 0x01, server, "\xe4\xb8", 2);
        n += ws_put_frame(wire + n, 0x80, server, "", 0);
        fails((expect_t){"cut at the end", server, WST_EUTF8, 1007, 0}, wire, n);
        n = ws_put_frame(wire, 0x01, server, "\xe4", 1);
        n += ws_put_frame(wire + n, 0x8a, server, "\x80", 1);
        n += ws_put_frame(wire + n, 0x80, server, "\xe4", 1);
        fails((expect_t){"in a fragment", server, WST_EUTF8, 1007, 0}, wire, n);
    }
}

static void test_close_frames(void **state) {
    (void)state;
    static const uint16_t codes[] = {0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        uint8_t payload[] = {(uint8_t)(codes[i] >> 8), (uint8_t)codes[i], 'w', 'h', 'y'};
        frame_fails("code", 0x88, payload, 2, WST_EPROTO, 1002);
        frame_fails("code and reason", 0x88, payload, 5, WST_EPROTO, 1002);
    }
    frame_fails("reason", 0x88, "\x03\xe8 \xc3\x28", 5, WST_EUTF8, 1007);
    frame_fails("reason cut", 0x88, "\x03\xe8\xe4\xb8", 4, WST_EUTF8, 1007);
    frame_fails("reason of 1012", 0x88, "\x03\xf4\xed\xa0\x80", 5, WST_EUTF8, 1007);
    frame_fails("code and reason wrong", 0x88, "\x03\xf7\xff", 3, WST_EUTF8, 1007);
}

static void check_fine(ws_peer_t *peer, int status, const void *arg) {
    assert_int_equal(status, 0);
    assert_int_equal(peer->complete, *(const size_t *)arg);
    assert_int_equal(peer->log_len, peer->complete);
}

/* The bound is for a message, however it comes, not for control frames, and exact. */
static void test_max_message(void **state) {
    (void)state;
    enum { MAX = 100 };
    static const char data[126];
    for (int i = 0; i < 4; i++) {
        bool server = i & 1;
        uint8_t kind = i & 2 ? 1 : 2, wire[900];
        for (int over = 0; over <= 1; over++) {
            size_t n = ws_put_frame(wire, kind | 0x80, server, data, MAX); /* sums start anew */
            n += ws_put_frame(wire + n, kind, server, data, 60);
            n += ws_put_frame(wire + n, 0x8a, server, data, 125);
            n += ws_put_frame(wire + n, 0x00, server, data, 39);
            n += ws_put_frame(wire + n, 0x80, server, data, over ? 2 : 1);
            size_t message = 1 + MAX + 9, both = 2 * message;
            expect_t expect = {"fragments", server, WST_EMSGBIG, 1009, message};
            ws_each_split(server, MAX, wire, n, over ? check_failure : check_fine,
                          over ? (const void *)&expect : &both);
        }
        expect_t expect = {"one frame", server, WST_EMSGBIG, 1009, 0};
        size_t n = ws_put_frame(wire, kind | 0x80, server, data, MAX + 1);
        ws_each_split(server, MAX, wire, n, check_failure, &expect);
        /* The head is enough, and what it says does not overflow. */
        uint8_t head[14] = {kind, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
        if (server)
            head[1] |= 0x80;
        ws_each_split(server, MAX, head, server ? 14 : 10, check_failure, &expect);
        ws_each_split(server, 0, head, server ? 14 : 10, check_failure, &expect);
        n = ws_put_frame(wire, kind, server, data, 1);
        memcpy(wire + n, head, 14);
        wire[n] = 0x80;
        ws_each_split(server, MAX, wire, n + (server ? 14 : 10), check_failure, &expect);
    }
}

/* 1 MiB if nothing else is said. */
static void test_default_max_message(void **state) {
    (void)state;
    static const uint8_t fits[] = {0x82, 127, 0, 0, 0, 0, 0, 0x10, 0, 0};
    static const uint8_t big[] = {0x82, 127, 0, 0, 0, 0, 0, 0x10, 0, 1};
    ws_peer_t peer;
    assert_int_equal(ws_peer_init(&peer, false, 0, &wst__default_allocator), 0);
    assert_int_equal(ws_peer_recv(&peer, fits, sizeof(fits)), 0);
    ws_peer_free(&peer);
    assert_int_equal(ws_peer_init(&peer, false, 0, &wst__default_allocator), 0);
    assert_int_equal(ws_peer_recv(&peer, big, sizeof(big)), WST_EMSGBIG);
    ws_peer_free(&peer);
}

static int send_ping(ws_peer_t *peer, bool server, const void *payload, size_t len) {
    uint8_t wire[140];
    return ws_peer_recv(peer, wire, ws_put_frame(wire, 0x89, server, payload, len));
}

/* As many pongs may wait as are documented; those that have been taken count no longer. */
static void test_flood(void **state) {
    (void)state;
    static uint8_t out[16 * 140 + 2000], data[2000] = {1, 2, 3};
    uint8_t expected[16 * 140];
    for (int server = 0; server <= 1; server++) {
        ws_peer_t peer;
        assert_int_equal(ws_peer_init(&peer, server, 0, &wst__default_allocator), 0);
        peer.zero_keys = true;
        for (int round = 0; round < 3; round++) {
            size_t n = 0;
            for (size_t i = 0; i < 16; i++) {
                assert_int_equal(send_ping(&peer, server, data, i * 8), 0);
                n += ws_put_frame(expected + n, 0x8a, false, data, i * 8);
            }
            assert_int_equal(wst__ws_pending(peer.ws), n + (server ? 0 : 16 * 4));
            size_t len = ws_peer_output(&peer, out, sizeof(out));
            if (server)
                assert_memory_equal(out, expected, len);
        }
        /* A slice taken holds the pongs up to it; what came later waits. */
        wst_slice_t slice;
        for (int i = 0; i < 10; i++)
            assert_int_equal(send_ping(&peer, server, data, 125), 0);
        assert_int_equal(ws_peer_send(&peer, false, NULL, 0, data, sizeof(data)), 0);
        for (int i = 0; i < 6; i++)
            assert_int_equal(send_ping(&peer, server, data, 125), 0);
        assert_int_equal(wst__ws_take(peer.ws, &slice, 1), 1);
        wst_slice_unref(slice);
        for (int i = 0; i < 10; i++)
            assert_int_equal(send_ping(&peer, server, data, 125), 0);
        assert_int_equal(send_ping(&peer, server, data, 1), WST_EFLOOD);
        assert_true(wst__ws_error_detail(peer.ws)[0] != '\0');
        assert_int_equal(send_ping(&peer, server, data, 1), WST_EFLOOD);
        size_t len = ws_peer_output(&peer, out, sizeof(out));
        static const char last[] = "\x03\xf0more pings than we can answer"; /* 1008 */
        assert_memory_equal(out + len - (sizeof(last) - 1), last, sizeof(last) - 1);
        ws_peer_free(&peer);
    }
}

static void take_all(wst__ws_t *ws, void *user_data) {
    wst_slice_t slice;
    size_t *times = user_data;
    ++*times;
    while (wst__ws_take(ws, &slice, 1) > 0)
        wst_slice_unref(slice);
}

/* Who reads may ask more often than pongs may wait, though it all comes at once. */
static void test_burst(void **state) {
    (void)state;
    uint8_t wire[100 * 8];
    size_t n = 0, times = 0;
    ws_peer_t peer;
    assert_int_equal(ws_peer_init(&peer, true, 0, &wst__default_allocator), 0);
    wst__ws_t *ws;
    const wst__ws_options_t options = {
        .pool = &peer.pool, .server = true, .on_full = take_all, .user_data = &times};
    assert_int_equal(wst__ws_new(&ws, &options), 0);
    for (int i = 0; i < 100; i++)
        n += ws_put_frame(wire + n, 0x89, true, "?", 1);
    wst_slice_t in;
    assert_int_equal(wst__pool_copy(&peer.pool, &in, wire, n), 0);
    assert_int_equal(wst__ws_recv(ws, in), 0);
    assert_int_equal(times, (100 - 1) / 16);
    wst_slice_unref(in);
    wst__ws_free(ws);
    ws_peer_free(&peer);
}

/* After our close no ping is answered, so none is too many. */
static void test_no_pong_after_close(void **state) {
    (void)state;
    uint8_t out[2000];
    ws_peer_t peer;
    assert_int_equal(ws_peer_init(&peer, true, 0, &wst__default_allocator), 0);
    for (int i = 0; i < 16; i++)
        assert_int_equal(send_ping(&peer, true, "x", 1), 0);
    assert_int_equal(wst__ws_close(peer.ws, 1001, NULL), 0);
    for (int i = 0; i < 40; i++)
        assert_int_equal(send_ping(&peer, true, "x", 1), 0);
    assert_int_equal(ws_peer_output(&peer, out, sizeof(out)), 16 * 3 + 4);
    ws_peer_free(&peer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_mask_bit),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_nested_messages),
        cmocka_unit_test(test_text_is_utf8),
        cmocka_unit_test(test_close_frames),
        cmocka_unit_test(test_max_message),
        cmocka_unit_test(test_default_max_message),
        cmocka_unit_test(test_flood),
        cmocka_unit_test(test_burst),
        cmocka_unit_test(test_no_pong_after_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
