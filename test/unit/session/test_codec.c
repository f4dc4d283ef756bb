/* SPDX-License-Identifier: MIT */
/*
 * Messages of all kinds: round trips, the pieces of a communication, what is not written, the
 * largest that is, texts that are made right.
 */
#include "support.h"

#include <wstunnel/codec.h>
#include <wstunnel/error.h>

#include "codec_feed.h"

#define MAX (WST_NUMBER_LIMIT - 1)
#define STR(literal)                                                                               \
    { literal, sizeof(literal) - 1 }

static codec_feed_result_t result;

static uint64_t random_number(uint64_t *seed, uint64_t least) {
    uint64_t value = test_random(seed) >> (11 + test_random(seed) % 53);
    return value < least ? least : value;
}

static void random_message(wst_message_t *m, wst_hello_t *hello, uint64_t *seed, char *text,
                           uint8_t *data) {
    static const int reasons[] = {WST_EINTERNAL, WST_EREFUSED, WST_EDEST, WST_EMEMORY};
    size_t len = test_random(seed) % (WST_ERROR_TEXT_MAX + 1);
    *m = (wst_message_t){.size = sizeof(*m)};
    m->method = (wst_method_t)(1 + test_random(seed) % 12);
    for (size_t i = 0; i < WST_DEST_MAX; i++)
        text[i] = (char)('!' + test_random(seed) % 94);
    wst_str_t error_text = {text, len};
    bool has_id =
        (m->method < WST_MSG_PING && m->method != WST_MSG_HELLO) || m->method == WST_MSG_YIELD;
    m->id = has_id ? random_number(seed, 1) : 0;
    switch (m->method) {
    case WST_MSG_HANDSHAKE:
        m->dest = (wst_str_t){text, 1 + test_random(seed) % WST_DEST_MAX};
        break;
    case WST_MSG_COMPLETED:
    case WST_MSG_RESET:
    case WST_MSG_GOAWAY:
    case WST_MSG_BYE:
        m->error = reasons[test_random(seed) % 4];
        m->error_text = error_text;
        m->last = m->method == WST_MSG_GOAWAY ? random_number(seed, 0) : 0;
        break;
    case WST_MSG_COMMUNICATION:
        m->len = 1 + test_random(seed) % 300;
        m->data = data;
        for (size_t i = 0; i < m->len; i++)
            data[i] = (uint8_t)test_random(seed);
        break;
    case WST_MSG_HELLO:
        *hello = (wst_hello_t){.size = sizeof(wst_hello_t),
                               .version = (uint32_t)(1 + (test_random(seed) >> 33)),
                               .max_frame = 1024,
                               .initial_credit = test_random(seed) >> 33,
                               .max_streams = (uint32_t)test_random(seed),
                               .yields = test_random(seed) % 2 == 0,
                               .early = test_random(seed) % 2 == 0,
                               .name = {"Az.09_-", test_random(seed) % 8},
                               .networks = test_random(seed) % 2 == 0,
                               .resumes = test_random(seed) % 2 == 0};
        if (hello->resumes && test_random(seed) % 2 == 0) {
            hello->has_session = true;
            memcpy(hello->session, text, sizeof(hello->session));
            memcpy(hello->secret, text + sizeof(hello->session), sizeof(hello->secret));
            hello->grace_ms = test_random(seed) % (WST_GRACE_MAX_MS + 1);
            hello->resumed = test_random(seed) % 2 == 0;
        }
        m->hello = hello;
        if (hello->name.len > 0) {
            hello->has_instance = true;
            memcpy(hello->instance, text, sizeof(hello->instance));
            hello->conn = (uint32_t)test_random(seed);
            hello->epoch = random_number(seed, 0);
        }
        break;
    case WST_MSG_CREDIT:
        m->received = random_number(seed, 0);
        m->credit = random_number(seed, 0);
        break;
    case WST_MSG_END:
        m->offset = random_number(seed, 0);
        break;
    case WST_MSG_YIELD:
        m->credit = random_number(seed, 0);
        m->offset = test_random(seed) % (m->credit + 1);
        break;
    default:
        m->seq = random_number(seed, 0);
    }
}

static void test_round_trip(void **state) {
    (void)state;
    uint64_t first, count;
    test_seeds(&first, &count, 2000);
    wst_decoder_t *decoders[2] = {codec_feed_decoder(WST_ENCODING_BINARY, 0),
                                  codec_feed_decoder(WST_ENCODING_JSON, 0)};
    for (uint64_t n = first; n < first + count; n++) {
        uint64_t seed = n * 7919;
        wst_message_t m = {.size = sizeof(m)};
        wst_hello_t hello;
        char string[WST_DEST_MAX];
        uint8_t data[300], buf[WST_JSON_CONTROL_MAX];
        random_message(&m, &hello, &seed, string, data);
        for (int encoding = 0; encoding < 2; encoding++) {
            bool text;
            int len = wst_message_encode(&m, (wst_encoding_t)encoding, buf, sizeof(buf), &text);
            assert_true(len > 0);
            size_t size = (size_t)len;
            if (!text && m.len > 0) {
                memcpy(buf + size, m.data, m.len);
                size += m.len;
            }
            codec_feed(&result, decoders[encoding], (wst_encoding_t)encoding, text, buf, size,
                       test_random(&seed) % (size + 1), 1 + test_random(&seed) % size);
            if (result.status != 1 || !codec_feed_same(&result.m, &m))
                fail_msg("seed %llu: %d %s", (unsigned long long)n, result.status,
                         wst_decoder_error_detail(decoders[encoding]));
        }
    }
    wst_decoder_free(decoders[0]);
    wst_decoder_free(decoders[1]);
}

/* Each piece of a binary communication gives a message, of what the piece holds. */
static void test_communication_pieces(void **state) {
    (void)state;
    wst_decoder_t *d = codec_feed_decoder(WST_ENCODING_BINARY, 0);
    wst_message_t m = {.size = sizeof(m)};
    const uint8_t pieces[] = "\x03\xac\x02"
                             "abcd";
    assert_int_equal(wst_decoder_push(d, false, pieces, 2, false, &m), 0);
    assert_int_equal(wst_decoder_push(d, false, pieces + 2, 1, false, &m), 0);
    assert_int_equal(wst_decoder_push(d, false, pieces + 3, 3, false, &m), 1);
    assert_ptr_equal(m.data, pieces + 3);
    assert_int_equal(m.len, 3);
    assert_int_equal(wst_decoder_push(d, false, pieces, 0, false, &m), 0);
    assert_int_equal(wst_decoder_push(d, false, pieces + 6, 1, false, &m), 1);
    assert_int_equal(m.id, 300);
    assert_ptr_equal(m.data, pieces + 6);
    assert_int_equal(m.len, 1);
    assert_int_equal(wst_decoder_push(d, false, NULL, 0, true, &m), 0);
    assert_int_equal(wst_decoder_push(d, false, (const uint8_t *)"\x06\x02\x01", 3, true, &m), 1);
    assert_int_equal(m.method, WST_MSG_END);
    wst_decoder_free(d);
}

/* Breaks one rule each of what may be written. */
static void test_encode_refuses(void **state) {
    (void)state;
    char longest[WST_DEST_MAX + 1];
    memset(longest, 'a', sizeof(longest));
    const wst_message_t refused[] = {
        {.size = sizeof(wst_message_t), .method = (wst_method_t)0, .id = 1},
        {.size = sizeof(wst_message_t), .method = (wst_method_t)12, .id = 1},
        {.size = sizeof(wst_message_t), .method = WST_MSG_COMPLETED, .id = 0},
        {.size = sizeof(wst_message_t), .method = WST_MSG_COMPLETED, .id = WST_NUMBER_LIMIT},
        {.size = sizeof(wst_message_t), .method = WST_MSG_HANDSHAKE, .id = 1},
        {.size = sizeof(wst_message_t),
         .method = WST_MSG_HANDSHAKE,
         .id = 1,
         .dest = {longest, WST_DEST_MAX + 1}},
        {.size = sizeof(wst_message_t), .method = WST_MSG_HANDSHAKE, .id = 1, .dest = STR("a b:1")},
        {.size = sizeof(wst_message_t),
         .method = WST_MSG_HANDSHAKE,
         .id = 1,
         .dest = STR("a\x7f:1")},
        {.size = sizeof(wst_message_t), .method = WST_MSG_HANDSHAKE, .id = 1, .dest = STR("a\0:1")},
        {.size = sizeof(wst_message_t),
         .method = WST_MSG_HANDSHAKE,
         .id = 1,
         .dest = STR("a\xff:1")},
        {.size = sizeof(wst_message_t), .method = WST_MSG_COMPLETED, .id = 1, .error = 1},
        {.size = sizeof(wst_message_t),
         .method = WST_MSG_COMPLETED,
         .id = 1,
         .address = STR("example.com")},
        {.size = sizeof(wst_message_t),
         .method = WST_MSG_COMPLETED,
         .id = 1,
         .address = STR("[::1]")},
        {.size = sizeof(wst_message_t),
         .method = WST_MSG_COMPLETED,
         .id = 1,
         .address = STR("fe80::1%eth0")},
        {.size = sizeof(wst_message_t),
         .method = WST_MSG_COMPLETED,
         .id = 1,
         .address = STR("127.0.0.1\0")},
        {.size = sizeof(wst_message_t), .method = WST_MSG_COMPLETED, .id = 1, .error = -1},
        {.size = sizeof(wst_message_t), .method = WST_MSG_RESET, .id = 1, .error = 0},
        {.size = sizeof(wst_message_t), .method = WST_MSG_RESET, .id = 1, .error = WST_EPROTO},
        {.size = sizeof(wst_message_t), .method = WST_MSG_GOAWAY, .last = 1, .error = 0},
        {.size = sizeof(wst_message_t),
         .method = WST_MSG_GOAWAY,
         .last = WST_NUMBER_LIMIT,
         .error = WST_EGOAWAY},
        {.size = sizeof(wst_message_t), .method = WST_MSG_BYE, .error = 0},
        {.size = sizeof(wst_message_t), .method = WST_MSG_BYE, .error = WST_EPROTO},
        {.size = sizeof(wst_message_t), .method = WST_MSG_COMMUNICATION, .id = 1},
        {.size = sizeof(wst_message_t),
         .method = WST_MSG_COMMUNICATION,
         .id = 1,
         .data = result.data,
         .len = WST_FRAME_MAX_LIMIT + 1},
        {.size = sizeof(wst_message_t),
         .method = WST_MSG_CREDIT,
         .id = 1,
         .received = WST_NUMBER_LIMIT},
        {.size = sizeof(wst_message_t),
         .method = WST_MSG_CREDIT,
         .id = 1,
         .credit = WST_NUMBER_LIMIT},
        {.size = sizeof(wst_message_t), .method = WST_MSG_END, .id = 1, .offset = WST_NUMBER_LIMIT},
        {.size = sizeof(wst_message_t),
         .method = WST_MSG_YIELD,
         .id = 1,
         .credit = WST_NUMBER_LIMIT},
        {.size = sizeof(wst_message_t), .method = WST_MSG_YIELD, .id = 1, .credit = 1, .offset = 2},
        {.size = sizeof(wst_message_t), .method = WST_MSG_YIELD, .credit = 2, .offset = 1},
        {.size = sizeof(wst_message_t), .method = WST_MSG_PING, .seq = WST_NUMBER_LIMIT},
        {.size = sizeof(wst_message_t), .method = WST_MSG_PONG, .seq = WST_NUMBER_LIMIT},
        {.size = sizeof(wst_message_t),
         .method = WST_MSG_HELLO,
         .hello =
             &(const wst_hello_t){.size = sizeof(wst_hello_t), .version = 0, .max_frame = 1024}},
        {.size = sizeof(wst_message_t),
         .method = WST_MSG_HELLO,
         .hello =
             &(const wst_hello_t){.size = sizeof(wst_hello_t), .version = 1, .max_frame = 1023}},
        {.size = sizeof(wst_message_t),
         .method = WST_MSG_HELLO,
         .hello =
             &(const wst_hello_t){.size = sizeof(wst_hello_t), .version = 1, .max_frame = 65537}},
        {.size = sizeof(wst_message_t),
         .method = WST_MSG_HELLO,
         .hello = &(const wst_hello_t){.size = sizeof(wst_hello_t),
                                       .version = 1,
                                       .max_frame = 1024,
                                       .initial_credit = (UINT64_C(1) << 31) + 1}},
        {.size = sizeof(wst_message_t),
         .method = WST_MSG_HELLO,
         .hello = &(const wst_hello_t){.size = sizeof(wst_hello_t),
                                       .version = 1,
                                       .max_frame = 1024,
                                       .name = {longest, WST_NAME_MAX + 1}}},
        {.size = sizeof(wst_message_t),
         .method = WST_MSG_HELLO,
         .hello =
             &(const wst_hello_t){
                 .size = sizeof(wst_hello_t), .version = 1, .max_frame = 1024, .name = STR("a/b")}},
        {.size = sizeof(wst_message_t),
         .method = WST_MSG_HELLO,
         .hello = &(const wst_hello_t){.size = sizeof(wst_hello_t),
                                       .version = 1,
                                       .max_frame = 1024,
                                       .name = STR("a"),
                                       .epoch = WST_NUMBER_LIMIT}}};
    static uint8_t buf[WST_JSON_DATA_MAX(WST_FRAME_MAX_LIMIT + 1)];
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        for (int encoding = 0; encoding < 2; encoding++) {
            bool text;
            if (wst_message_encode(&refused[i], (wst_encoding_t)encoding, buf, sizeof(buf),
                                   &text) != WST_EINVAL)
                fail_msg("message %zu was written, encoding %d", i, encoding);
        }
    }
}

/* The largest that may be written of each kind fits where the header says it fits. */
static void test_encode_largest(void **state) {
    (void)state;
    char longest[WST_DEST_MAX], controls[WST_ERROR_TEXT_MAX];
    memset(longest, '"', sizeof(longest));
    memset(controls, '\x1f', sizeof(controls));
    static uint8_t data[WST_FRAME_MAX_LIMIT], buf[WST_JSON_DATA_MAX(WST_FRAME_MAX_LIMIT)];
    const wst_message_t largest[] = {
        {.size = sizeof(wst_message_t),
         .method = WST_MSG_HANDSHAKE,
         .id = MAX,
         .dest = {longest, sizeof(longest)}},
        {.size = sizeof(wst_message_t),
         .method = WST_MSG_COMPLETED,
         .id = MAX,
         .error = WST_EDEST,
         .error_text = {controls, sizeof(controls)}},
        {.size = sizeof(wst_message_t),
         .method = WST_MSG_COMMUNICATION,
         .id = MAX,
         .data = data,
         .len = sizeof(data)},
        {.size = sizeof(wst_message_t),
         .method = WST_MSG_COMMUNICATION,
         .id = MAX,
         .data = data,
         .len = 1},
        {.size = sizeof(wst_message_t),
         .method = WST_MSG_CREDIT,
         .id = MAX,
         .received = MAX,
         .credit = MAX},
        {.size = sizeof(wst_message_t),
         .method = WST_MSG_GOAWAY,
         .last = MAX,
         .error = WST_EDEST,
         .error_text = {controls, sizeof(controls)}},
        {.size = sizeof(wst_message_t),
         .method = WST_MSG_BYE,
         .error = WST_EDEST,
         .error_text = {controls, sizeof(controls)}},
        {.size = sizeof(wst_message_t),
         .method = WST_MSG_HELLO,
         .hello = &(const wst_hello_t){
             .size = sizeof(wst_hello_t),
             .version = UINT32_MAX,
             .max_frame = 65536,
             .initial_credit = UINT64_C(1) << 31,
             .max_streams = UINT32_MAX,
             .yields = true,
             .name = {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 64},
             .has_instance = true,
             .conn = UINT32_MAX,
             .epoch = MAX,
             .networks = true,
             .resumes = true,
             .has_session = true,
             .grace_ms = WST_GRACE_MAX_MS}}};
    for (size_t i = 0; i < sizeof(largest) / sizeof(largest[0]); i++) {
        const wst_message_t *m = &largest[i];
        for (int encoding = 0; encoding < 2; encoding++) {
            bool json = encoding == WST_ENCODING_JSON, text;
            bool small = m->method == WST_MSG_COMMUNICATION || m->method == WST_MSG_CREDIT;
            size_t cap = json && m->len > 0 ? WST_JSON_DATA_MAX(m->len)
                         : !json && small   ? WST_BINARY_HEAD_MAX
                                            : WST_JSON_CONTROL_MAX;
            int len = wst_message_encode(m, (wst_encoding_t)encoding, buf, cap, &text);
            assert_true(len > 0);
            if (!json && small)
                continue;
            wst_decoder_t *d = codec_feed_decoder((wst_encoding_t)encoding, WST_FRAME_MAX_LIMIT);
            codec_feed(&result, d, (wst_encoding_t)encoding, text, buf, (size_t)len, 1, 1000);
            assert_int_equal(result.status, 1);
            assert_true(codec_feed_same(&result.m, m));
            wst_decoder_free(d);
        }
    }
}

static void expect_error_text(const char *given, size_t given_len, const char *expect) {
    const wst_message_t m = {.size = sizeof(m),
                             .method = WST_MSG_RESET,
                             .id = 1,
                             .error = WST_ERESET,
                             .error_text = {given, given_len}};
    for (int encoding = 0; encoding < 2; encoding++) {
        uint8_t buf[WST_JSON_CONTROL_MAX];
        bool text;
        int len = wst_message_encode(&m, (wst_encoding_t)encoding, buf, sizeof(buf), &text);
        assert_true(len > 0);
        wst_decoder_t *d = codec_feed_decoder((wst_encoding_t)encoding, 0);
        codec_feed(&result, d, (wst_encoding_t)encoding, text, buf, (size_t)len, (size_t)len, 1);
        assert_int_equal(result.status, 1);
        assert_int_equal(result.m.error_text.len, strlen(expect));
        assert_memory_equal(result.m.error_text.ptr, expect, strlen(expect));
        wst_decoder_free(d);
    }
}

/* Texts come from anywhere, so they are made right instead of refused. */
static void test_error_text_is_cleaned(void **state) {
    (void)state;
    char given[300], expect[257] = "";
    expect_error_text("a\xff"
                      "b\xc3",
                      4, "a?b?");
    expect_error_text("a\0b", 3, "a?b");
    expect_error_text("\xed\xa0\x80", 3, "???");
    memset(given, 'x', sizeof(given));
    memset(expect, 'x', 256);
    expect_error_text(given, 256, expect);
    expect_error_text(given, 257, expect);
    memcpy(given + 254, "\xe2\x82\xac", 3); /* would end at 257 */
    expect[254] = '\0';
    expect_error_text(given, sizeof(given), expect);
    memcpy(given + 253, "\xe2\x82\xac", 3); /* ends at 256 */
    memcpy(expect + 253, "\xe2\x82\xac", 4);
    expect_error_text(given, sizeof(given), expect);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_communication_pieces),
        cmocka_unit_test(test_encode_refuses),
        cmocka_unit_test(test_encode_largest),
        cmocka_unit_test(test_error_text_is_cleaned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
