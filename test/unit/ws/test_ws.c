/* SPDX-License-Identifier: MIT */
/* Messages through a WebSocket: the RFC's examples, all lengths, all splits, what is copied. */
#include "mem.h"
#include "support.h"
#include "ws_compare.h"
#include "ws_peer.h"

/* RFC 6455 section 5.7 */
static const uint8_t hello_plain[] = {0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f};
static const uint8_t hello_masked[] = {0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d,
                                       0x7f, 0x9f, 0x4d, 0x51, 0x58};
static const uint8_t hello_fragments[] = {0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f};
static const uint8_t ping_plain[] = {0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f};
static const uint8_t pong_masked[] = {0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d,
                                      0x7f, 0x9f, 0x4d, 0x51, 0x58};

/* Whether the log holds the messages of `expected`, and nothing else. */
static void assert_same_log(const ws_peer_t *peer, const ws_peer_t *expected) {
    assert_int_equal(peer->log_len, expected->log_len);
    if (peer->log_len > 0)
        assert_memory_equal(peer->log, expected->log, peer->log_len);
}

static void check_log(ws_peer_t *peer, int status, const void *arg) {
    uint8_t out[8];
    assert_int_equal(status, 0);
    assert_same_log(peer, arg);
    assert_int_equal(ws_peer_output(peer, out, sizeof(out)), 0);
}

static void test_examples_received(void **state) {
    (void)state;
    ws_peer_t expected = {0};
    ws_peer_note(&expected, true, "Hello", 5, true);
    ws_each_split(false, 0, hello_plain, sizeof(hello_plain), check_log, &expected);
    ws_each_split(true, 0, hello_masked, sizeof(hello_masked), check_log, &expected);
    ws_each_split(false, 0, hello_fragments, sizeof(hello_fragments), check_log, &expected);
    expected.log_len = 0;
    ws_each_split(true, 0, pong_masked, sizeof(pong_masked), check_log, &expected);
    free(expected.log);
}

static void check_pong(ws_peer_t *peer, int status, const void *arg) {
    (void)arg;
    uint8_t out[32];
    assert_int_equal(status, 0);
    assert_int_equal(peer->log_len, 0);
    /* The pong of a client, masked with a key of its own. */
    assert_int_equal(ws_peer_output(peer, out, sizeof(out)), 11);
    assert_int_equal(out[0], 0x8a);
    assert_int_equal(out[1], 0x85);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(out[6 + i] ^ out[2 + i % 4], "Hello"[i]);
}

static void test_example_of_a_ping(void **state) {
    (void)state;
    ws_each_split(false, 0, ping_plain, sizeof(ping_plain), check_pong, NULL);
}

static int fixed_key(void *buf, size_t len, void *user_data) {
    (void)user_data;
    assert_int_equal(len, 4);
    memcpy(buf, hello_masked + 2, 4);
    return 0;
}

static void test_examples_sent(void **state) {
    (void)state;
    for (int server = 0; server <= 1; server++) {
        wst__pool_t pool;
        wst__pool_init(&pool, &wst__default_allocator);
        wst__ws_options_t options = {.pool = &pool, .server = server, .random = fixed_key};
        wst__ws_t *ws;
        assert_int_equal(wst__ws_new(&ws, &options), 0);
        assert_int_equal(wst__ws_send(ws, true, "He", 2, wst_slice_static("llo", 3)), 0);
        uint8_t out[16];
        size_t len = 0;
        wst_slice_t slice;
        while (wst__ws_take(ws, &slice, 1) == 1) {
            memcpy(out + len, slice.data, slice.len);
            len += slice.len;
            wst_slice_unref(slice);
        }
        assert_int_equal(len, server ? sizeof(hello_plain) : sizeof(hello_masked));
        assert_memory_equal(out, server ? hello_plain : hello_masked, len);
        wst__ws_free(ws);
        wst__pool_free(&pool);
    }
}

/* What one end sends, of all lengths that matter, the other gets, however it is cut. */
static void exchange(bool from_server, size_t step, uint64_t seed) {
    static const size_t lens[] = {0, 1, 7, 125, 126, 127, 4096, 65535, 65536, 70001};
    enum { MAX = 70001, TOTAL = 300000 };
    uint8_t *data = malloc(MAX), *wire = malloc(TOTAL);
    ws_peer_t from, to, expected = {0};
    assert_int_equal(ws_peer_init(&from, from_server, 0, &wst__default_allocator), 0);
    assert_int_equal(ws_peer_init(&to, !from_server, 0, &wst__default_allocator), 0);
    for (size_t i = 0; i < MAX; i++)
        data[i] = (uint8_t)(test_random(&seed) >> 40) & 0x7f; /* UTF-8 too */
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        bool text = i % 3 == 1;
        size_t head = lens[i] < 64 ? lens[i] : i * 7;
        assert_int_equal(ws_peer_send(&from, text, data, head, data + head, lens[i] - head), 0);
        ws_peer_note(&expected, text, data, lens[i], true);
    }
    size_t len = ws_peer_output(&from, wire, TOTAL);
    for (size_t at = 0, n; at < len; at += n) {
        n = step != 0 ? step : 1 + test_random(&seed) % 30000;
        if (n > len - at)
            n = len - at;
        assert_int_equal(ws_peer_recv(&to, wire + at, n), 0);
    }
    assert_same_log(&to, &expected);
    ws_peer_free(&from);
    ws_peer_free(&to);
    free(expected.log);
    free(data);
    free(wire);
}

static void test_exchange(void **state) {
    (void)state;
    uint64_t first, count;
    test_seeds(&first, &count, 20);
    for (int from_server = 0; from_server <= 1; from_server++) {
        exchange(from_server, 300000, 1);
        exchange(from_server, 1, 1);
        exchange(from_server, 13, 1);
        for (uint64_t seed = first; seed < first + count; seed++)
            exchange(from_server, 0, seed);
    }
}

/* Control frames between and within messages of either kind, empty fragments, empty messages. */
static void test_interleaved(void **state) {
    (void)state;
    for (int server = 0; server <= 1; server++) {
        uint8_t wire[600];
        size_t n = 0;
        ws_peer_t expected = {0};
        const char *text = "gr\xc3\xbc\xc3\x9f";
        n += ws_put_frame(wire + n, 0x01, server, text, 3); /* within a character */
        n += ws_put_frame(wire + n, 0x8a, server, "pong", 4);
        n += ws_put_frame(wire + n, 0x00, server, text + 3, 2);
        n += ws_put_frame(wire + n, 0x00, server, NULL, 0);
        n += ws_put_frame(wire + n, 0x8a, server, NULL, 0);
        n += ws_put_frame(wire + n, 0x80, server, text + 5, 1);
        ws_peer_note(&expected, true, text, 6, true);
        n += ws_put_frame(wire + n, 0x02, server, NULL, 0);
        n += ws_put_frame(wire + n, 0x00, server, "\xff\x00\xfe", 3);
        n += ws_put_frame(wire + n, 0x8a, server, "\xff", 1);
        n += ws_put_frame(wire + n, 0x80, server, NULL, 0);
        ws_peer_note(&expected, false, "\xff\x00\xfe", 3, true);
        n += ws_put_frame(wire + n, 0x81, server, NULL, 0);
        ws_peer_note(&expected, true, NULL, 0, true);
        n += ws_put_frame(wire + n, 0x82, server, NULL, 0);
        ws_peer_note(&expected, false, NULL, 0, true);
        n += ws_put_frame(wire + n, 0x82, server, wire, 130);
        ws_peer_note(&expected, false, wire, 130, true);
        ws_each_split(server, 0, wire, n, check_log, &expected);
        free(expected.log);
    }
}

/* Frames of all kinds, some of them wrong, mean the same whole, split, and to wslay alone. */
static size_t random_stream(uint8_t *to, size_t cap, bool server, uint64_t *seed) {
    static const uint8_t firsts[] = {0x82, 0x81, 0x02, 0x01, 0x00, 0x80, 0x80, 0x89, 0x8a};
    static const char text[] =
        "plain, gr\xc3\xbc\xc3\x9f, \xe4\xb8\x96\xe7\x95\x8c \xf0\x9f\x8c\x8d";
    size_t n = 0;
    while (n + 300 < cap) {
        uint64_t r = test_random(seed);
        uint8_t first = firsts[(r >> 8) % sizeof(firsts)];
        size_t len = (r >> 16) % 4 == 0 ? (r >> 20) % 250 : (r >> 20) % sizeof(text);
        uint8_t payload[250];
        for (size_t i = 0; i < len; i++)
            payload[i] = (uint8_t)text[i % (sizeof(text) - 1)];
        if (first >= 0x88 && len > 125)
            len = 125;
        if ((r >> 40) % 40 == 0) { /* a close, perhaps with a code that is none */
            first = 0x88;
            len = 2 + len % 20;
            payload[0] = 3;
            payload[1] = (uint8_t)(0xe8 + (r >> 44) % 4);
        }
        size_t frame = ws_put_frame(to + n, first, server, payload, len);
        if ((r >> 48) % 64 == 0)
            to[n + (r >> 54) % frame] ^= (uint8_t)(1 << (r >> 60) % 8);
        n += frame;
    }
    return n;
}

static void test_as_wslay_alone(void **state) {
    (void)state;
    uint64_t first, count;
    test_seeds(&first, &count, 400);
    for (uint64_t seed = first; seed < first + count; seed++) {
        for (int server = 0; server <= 1; server++) {
            uint8_t wire[2000];
            uint64_t r = seed;
            size_t len = random_stream(wire, 400 + seed % 1600, server, &r);
            const char *difference =
                ws_compare(server, seed % 5 == 0 ? 300 : 4096, wire, len, seed);
            if (difference != NULL)
                fail_msg("seed %llu: %s", (unsigned long long)seed, difference);
        }
    }
}

static int note_piece(ws_peer_t *peer, bool text, wst_slice_t piece, bool fin) {
    (void)text, (void)fin;
    wst_slice_t *kept = peer->hook_data;
    *kept = wst_slice_ref(piece);
    return 0;
}

/* What is received is handed on from where it was read to, and may be kept. */
static void test_received_without_copy(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        bool server = i % 2 != 0, text = i >= 2;
        ws_peer_t peer;
        wst_slice_t kept = {0};
        assert_int_equal(ws_peer_init(&peer, server, 0, &wst__default_allocator), 0);
        peer.hook = note_piece;
        peer.hook_data = &kept;
        wst_chunk_t *chunk = wst__pool_chunk(&peer.pool, 4096);
        uint8_t *bytes = wst_chunk_data(chunk);
        bytes[0] = 0xaa;
        size_t n = ws_put_frame(bytes + 1, text ? 0x81 : 0x82, server, "where am I?", 11);
        bytes[1 + n] = 0x55;
        assert_int_equal(wst__ws_recv(peer.ws, (wst_slice_t){chunk, bytes + 1, n}), 0);
        assert_ptr_equal(kept.chunk, chunk);
        assert_ptr_equal(kept.data, bytes + 1 + n - 11);
        assert_int_equal(kept.len, 11);
        assert_int_equal(bytes[0], 0xaa); /* nothing but what was lent has changed */
        assert_int_equal(bytes[1 + n], 0x55);
        wst_chunk_unref(chunk);
        assert_memory_equal(kept.data, "where am I?", 11);
        wst_slice_unref(kept);
        ws_peer_free(&peer);
    }
}

static void test_server_sends_by_reference(void **state) {
    (void)state;
    ws_peer_t peer;
    wst_slice_t payload, out[4];
    static const uint8_t data[1025] = {1, 2, 3};
    assert_int_equal(ws_peer_init(&peer, true, 0, &wst__default_allocator), 0);
    assert_int_equal(wst__pool_copy(&peer.pool, &payload, data, sizeof(data)), 0);
    assert_int_equal(wst__ws_send(peer.ws, false, "ab", 2, payload), 0);
    assert_int_equal(wst__ws_pending(peer.ws), 6 + sizeof(data));
    assert_int_equal(wst__ws_take(peer.ws, out, 4), 2);
    assert_int_equal(out[0].len, 6);
    assert_memory_equal(out[0].data,
                        "\x82\x7e\x04\x03"
                        "ab",
                        6);
    assert_ptr_equal(out[1].chunk, payload.chunk);
    assert_ptr_equal(out[1].data, payload.data);
    wst_slice_unref(out[0]);
    wst_slice_unref(out[1]);
    ws_peer_free(&peer);
}

/* What is short does not pin a chunk each: a peer that does not read would make that a lot. */
static void test_server_copies_what_is_short(void **state) {
    (void)state;
    ws_peer_t peer;
    wst_slice_t out[2];
    assert_int_equal(ws_peer_init(&peer, true, 0, &wst__default_allocator), 0);
    for (int i = 0; i < 100; i++) {
        wst_chunk_t *chunk = wst__pool_chunk(&peer.pool, 4096);
        const wst_slice_t payload = {chunk, wst_chunk_data(chunk), 10};
        memset(wst_chunk_data(chunk), 'x', 10);
        assert_int_equal(wst__ws_send(peer.ws, true, "ab", 2, payload), 0);
    }
    assert_int_equal(peer.pool.live, 1);
    assert_int_equal(wst__ws_take(peer.ws, out, 2), 1);
    assert_int_equal(out[0].len, 100 * 14);
    assert_memory_equal(out[0].data,
                        "\x81\x0c"
                        "abxxxxxxxxxx"
                        "\x81\x0c"
                        "ab",
                        18);
    wst_slice_unref(out[0]);
    ws_peer_free(&peer);
}

/* Many frames of a client leave as one slice; once they have, nothing is held. */
static void test_client_gathers(void **state) {
    (void)state;
    ws_peer_t peer;
    wst_slice_t out[2];
    static const uint8_t payload[16384];
    assert_int_equal(ws_peer_init(&peer, false, 0, &wst__default_allocator), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            wst__ws_send(peer.ws, false, NULL, 0, wst_slice_static(payload, sizeof(payload))), 0);
    assert_int_equal(peer.pool.live, 1);
    assert_int_equal(wst__ws_take(peer.ws, out, 1), 1);
    assert_int_equal(out[0].len, 3 * (8 + sizeof(payload)));
    assert_memory_not_equal(out[0].data + 4, out[0].data + 4 + 8 + sizeof(payload), 4); /* keys */
    assert_int_equal(wst__ws_pending(peer.ws), 0);
    wst_slice_unref(out[0]);
    assert_int_equal(peer.pool.live, 0);

    /* A small frame, a large one that does not fit behind it, one larger than any chunk. */
    assert_int_equal(ws_peer_send(&peer, false, "x", 1, payload, 10), 0);
    assert_int_equal(ws_peer_send(&peer, false, NULL, 0, payload, 16384), 0);
    wst_slice_t large;
    wst_chunk_t *chunk = wst__pool_chunk(&peer.pool, 300000);
    memset(wst_chunk_data(chunk), 'y', 300000);
    large = (wst_slice_t){chunk, wst_chunk_data(chunk), 300000};
    assert_int_equal(wst__ws_send(peer.ws, false, NULL, 0, large), 0);
    assert_int_equal(wst__ws_pending(peer.ws), 6 + 11 + 8 + 16384 + 14 + 300000);
    assert_int_equal(wst__ws_take(peer.ws, out, 2), 2);
    assert_int_equal(out[0].len, 17);
    assert_int_equal(out[1].len, 8 + 16384);
    assert_int_equal(wst__ws_pending(peer.ws), 14 + 300000);
    wst_slice_unref(out[0]);
    wst_slice_unref(out[1]);
    assert_int_equal(wst__ws_take(peer.ws, out, 2), 1);
    assert_int_equal(out[0].data[13] ^ out[0].data[14 + 299999], 'y');
    wst_slice_unref(out[0]);
    assert_int_equal(peer.pool.live, 0);
    ws_peer_free(&peer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples_received),
        cmocka_unit_test(test_example_of_a_ping),
        cmocka_unit_test(test_examples_sent),
        cmocka_unit_test(test_exchange),
        cmocka_unit_test(test_interleaved),
        cmocka_unit_test(test_as_wslay_alone),
        cmocka_unit_test(test_received_without_copy),
        cmocka_unit_test(test_server_sends_by_reference),
        cmocka_unit_test(test_server_copies_what_is_short),
        cmocka_unit_test(test_client_gathers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
