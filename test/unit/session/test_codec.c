/* SPDX-License-Identifier: MIT */
/*
 * Messages that are right: the vectors of PROTOCOL.md both ways, round trips, borders on writing,
 * pieces, bounds, lack of memory.
 */
#include "support.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <wstunnel/codec.h>
#include <wstunnel/error.h>

#include "codec_feed.h"

enum { BIN = 1, JSON = 2, BOTH = 3 };

typedef struct vector {
    const char *bytes;
    size_t len; /* 0: terminated */
    int encodings;
    bool text;
    wst_message_t message;
} vector_t;

#define MAX (WST_NUMBER_LIMIT - 1)
#define STR(literal)                                                                               \
    { literal, sizeof(literal) - 1 }
#define DATA(literal) .data = (const uint8_t *)(literal), .len = sizeof(literal) - 1

/* The vectors of PROTOCOL.md come first. */
static const vector_t vectors[] = {
    {"{\"method\":4,\"version\":1,\"features\":[\"yield\"],\"max_frame\":65536,"
     "\"initial_credit\":12288,\"max_streams\":0}",
     0,
     BOTH,
     true,
     {.size = sizeof(wst_message_t),
      .method = WST_MSG_HELLO,
      .hello =
          &(const wst_hello_t){
              sizeof(wst_hello_t), 1, 65536, 12288, 0, true, {NULL, 0}, {0}, false, 0, 0}}},
    {"{\"method\":4,\"version\":1,\"features\":[\"yield\"],\"max_frame\":65536,"
     "\"initial_credit\":12288,"
     "\"max_streams\":1024,\"name\":\"build-7.lan\",\"instance\":"
     "\"000102030405060708090a0b0c0d0eff\",\"conn\":0,\"epoch\":1}",
     0,
     BOTH,
     true,
     {.size = sizeof(wst_message_t),
      .method = WST_MSG_HELLO,
      .hello = &(const wst_hello_t){sizeof(wst_hello_t),
                                    1,
                                    65536,
                                    12288,
                                    1024,
                                    true,
                                    STR("build-7.lan"),
                                    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255},
                                    true,
                                    0,
                                    1}}},
    {"{\"method\":1,\"id\":2,\"dest\":\"example.com:443\"}",
     0,
     BOTH,
     true,
     {.size = sizeof(wst_message_t),
      .method = WST_MSG_HANDSHAKE,
      .id = 2,
      .dest = STR("example.com:443")}},
    {"{\"method\":2,\"id\":2}",
     0,
     BOTH,
     true,
     {.size = sizeof(wst_message_t), .method = WST_MSG_COMPLETED, .id = 2}},
    {"{\"method\":2,\"id\":2,\"address\":\"2001:db8::7\"}",
     0,
     BOTH,
     true,
     {.size = sizeof(wst_message_t),
      .method = WST_MSG_COMPLETED,
      .id = 2,
      .address = STR("2001:db8::7")}},
    {"{\"method\":2,\"id\":2,\"error\":{\"code\":-32001,\"message\":\"connection refused\"}}",
     0,
     BOTH,
     true,
     {.size = sizeof(wst_message_t),
      .method = WST_MSG_COMPLETED,
      .id = 2,
      .error = WST_EREFUSED,
      .error_text = STR("connection refused")}},
    {"{\"method\":8,\"seq\":1}",
     0,
     BOTH,
     true,
     {.size = sizeof(wst_message_t), .method = WST_MSG_PING, .seq = 1}},
    {"{\"method\":9,\"seq\":1}",
     0,
     BOTH,
     true,
     {.size = sizeof(wst_message_t), .method = WST_MSG_PONG, .seq = 1}},
    {"{\"method\":10,\"last\":7,\"error\":{\"code\":-32008,\"message\":\"going away\"}}",
     0,
     BOTH,
     true,
     {.size = sizeof(wst_message_t),
      .method = WST_MSG_GOAWAY,
      .last = 7,
      .error = WST_EGOAWAY,
      .error_text = STR("going away")}},
    {"{\"method\":3,\"id\":300,\"data\":\"aGkA/w==\"}",
     0,
     JSON,
     true,
     {.size = sizeof(wst_message_t), .method = WST_MSG_COMMUNICATION, .id = 300, DATA("hi\0\xff")}},
    {"\x03\xac\x02hi\0\xff",
     7,
     BIN,
     false,
     {.size = sizeof(wst_message_t), .method = WST_MSG_COMMUNICATION, .id = 300, DATA("hi\0\xff")}},
    {"{\"method\":5,\"id\":2,\"received\":5,\"credit\":32773}",
     0,
     JSON,
     true,
     {.size = sizeof(wst_message_t),
      .method = WST_MSG_CREDIT,
      .id = 2,
      .received = 5,
      .credit = 32773}},
    {"\x05\x02\x05\x85\x80\x02",
     6,
     BIN,
     false,
     {.size = sizeof(wst_message_t),
      .method = WST_MSG_CREDIT,
      .id = 2,
      .received = 5,
      .credit = 32773}},
    {"{\"method\":6,\"id\":2,\"offset\":127}",
     0,
     JSON,
     true,
     {.size = sizeof(wst_message_t), .method = WST_MSG_END, .id = 2, .offset = 127}},
    {"\x06\x02\x7f",
     3,
     BIN,
     false,
     {.size = sizeof(wst_message_t), .method = WST_MSG_END, .id = 2, .offset = 127}},
    {"{\"method\":7,\"id\":2,\"error\":{\"code\":-32009,\"message\":\"say \\\"n\xc3\xb6\\\"\"}}",
     0,
     JSON,
     true,
     {.size = sizeof(wst_message_t),
      .method = WST_MSG_RESET,
      .id = 2,
      .error = WST_ERESET,
      .error_text = STR("say \"n\xc3\xb6\"")}},
    {"\x07\x02\x89\xfa\x01say \"n\xc3\xb6\"",
     14,
     BIN,
     false,
     {.size = sizeof(wst_message_t),
      .method = WST_MSG_RESET,
      .id = 2,
      .error = WST_ERESET,
      .error_text = STR("say \"n\xc3\xb6\"")}},
    {"{\"method\":11,\"id\":2,\"credit\":4227072,\"offset\":65537}",
     0,
     JSON,
     true,
     {.size = sizeof(wst_message_t),
      .method = WST_MSG_YIELD,
      .id = 2,
      .credit = 4227072,
      .offset = 65537}},
    {"\x0b\x02\x80\x80\x82\x02\x81\x80\x04",
     9,
     BIN,
     false,
     {.size = sizeof(wst_message_t),
      .method = WST_MSG_YIELD,
      .id = 2,
      .credit = 4227072,
      .offset = 65537}},
    /* not in PROTOCOL.md */
    {"{\"method\":4,\"version\":1,\"features\":[],\"max_frame\":1024,\"initial_credit\":1,"
     "\"max_streams\":0}",
     0,
     BOTH,
     true,
     {.size = sizeof(wst_message_t),
      .method = WST_MSG_HELLO,
      .hello =
          &(const wst_hello_t){
              sizeof(wst_hello_t), 1, 1024, 1, 0, false, {NULL, 0}, {0}, false, 0, 0}}},
    {"\x07\x02\x8a\xfa\x01",
     5,
     BIN,
     false,
     {.size = sizeof(wst_message_t), .method = WST_MSG_RESET, .id = 2, .error = WST_ECANCELLED}},
    {"{\"method\":7,\"id\":2,\"error\":{\"code\":-32010,\"message\":\"\"}}",
     0,
     JSON,
     true,
     {.size = sizeof(wst_message_t), .method = WST_MSG_RESET, .id = 2, .error = WST_ECANCELLED}},
    {"\x06\x80\x01\xff\xff\xff\xff\xff\xff\xff\x0f",
     11,
     BIN,
     false,
     {.size = sizeof(wst_message_t), .method = WST_MSG_END, .id = 128, .offset = MAX}},
    {"\x06\xff\xff\xff\xff\xff\xff\xff\x0f\x00",
     10,
     BIN,
     false,
     {.size = sizeof(wst_message_t), .method = WST_MSG_END, .id = MAX, .offset = 0}},
    {"\x03\xff\xff\xff\xff\xff\xff\xff\x0f\x00",
     10,
     BIN,
     false,
     {.size = sizeof(wst_message_t), .method = WST_MSG_COMMUNICATION, .id = MAX, DATA("\0")}},
    {"{\"method\":3,\"id\":9007199254740991,\"data\":\"AA==\"}",
     0,
     JSON,
     true,
     {.size = sizeof(wst_message_t), .method = WST_MSG_COMMUNICATION, .id = MAX, DATA("\0")}},
    {"{\"method\":5,\"id\":1,\"received\":0,\"credit\":9007199254740991}",
     0,
     JSON,
     true,
     {.size = sizeof(wst_message_t),
      .method = WST_MSG_CREDIT,
      .id = 1,
      .received = 0,
      .credit = MAX}},
    {"{\"method\":1,\"id\":1,\"dest\":\"\\\"b\xc3\xbc\\\\:1\"}",
     0,
     BOTH,
     true,
     {.size = sizeof(wst_message_t),
      .method = WST_MSG_HANDSHAKE,
      .id = 1,
      .dest = STR("\"b\xc3\xbc\\:1")}},
    {"{\"method\":7,\"id\":2,\"error\":{\"code\":-32013,\"message\":\"\\u0001\\u000a\\u001f\x7f\"}"
     "}",
     0,
     JSON,
     true,
     {.size = sizeof(wst_message_t),
      .method = WST_MSG_RESET,
      .id = 2,
      .error = WST_EMEMORY,
      .error_text = STR("\x01\n\x1f\x7f")}},
};
enum { VECTOR_COUNT = sizeof(vectors) / sizeof(vectors[0]) };

static codec_feed_result_t result, other;

static size_t len_of(const vector_t *v) {
    return v->len > 0 ? v->len : strlen(v->bytes);
}

static wst_decoder_t *new_decoder(wst_encoding_t encoding, uint32_t max_frame) {
    wst_decoder_t *decoder;
    const wst_decoder_options_t options = {sizeof(options), encoding, NULL, max_frame};
    assert_int_equal(wst_decoder_new(&decoder, &options), 0);
    return decoder;
}

static bool has_encoding(const vector_t *v, wst_encoding_t encoding) {
    return (v->encodings & (encoding == WST_ENCODING_BINARY ? BIN : JSON)) != 0;
}

/* What goes out of a vector: all of it but the payload of a binary communication. */
static size_t written_len(const vector_t *v) {
    return v->text ? len_of(v) : len_of(v) - v->message.len;
}

/* Byte for byte; and into no smaller buffer, behind which lies an inaccessible page. */
static void test_vectors_encode(void **state) {
    (void)state;
    static const uint8_t room[WST_JSON_CONTROL_MAX];
    for (size_t i = 0; i < VECTOR_COUNT; i++) {
        const vector_t *v = &vectors[i];
        for (int encoding = 0; encoding < 2; encoding++) {
            if (!has_encoding(v, (wst_encoding_t)encoding))
                continue;
            size_t len = written_len(v);
            for (size_t cap = 0; cap <= len + 1; cap++) {
                uint8_t *buf = test_guarded(room, cap);
                bool text = !v->text;
                int n = wst_message_encode(&v->message, (wst_encoding_t)encoding, buf, cap, &text);
                if (cap < len) {
                    assert_int_equal(n, WST_EINVAL);
                    assert_int_equal(text, !v->text);
                } else {
                    assert_int_equal(n, len);
                    assert_memory_equal(buf, v->bytes, len);
                    assert_int_equal(text, v->text);
                }
                test_guarded_free(buf, cap);
            }
        }
    }
}

static void decode_vector(wst_decoder_t *d, const vector_t *v, wst_encoding_t encoding,
                          size_t first, size_t step) {
    codec_feed(&result, d, encoding, v->text, v->bytes, len_of(v), first, step);
    if (result.status != 1 || !codec_feed_same(&result.m, &v->message))
        fail_msg("vector %zu, encoding %d, pieces %zu, %zu: %d %s", (size_t)(v - vectors), encoding,
                 first, step, result.status, wst_decoder_error_detail(d));
}

/* All through one decoder, whole, split at every point, byte by byte. */
static void test_vectors_decode(void **state) {
    (void)state;
    for (int encoding = 0; encoding < 2; encoding++) {
        wst_decoder_t *d = new_decoder((wst_encoding_t)encoding, 0);
        for (size_t i = 0; i < VECTOR_COUNT; i++) {
            if (!has_encoding(&vectors[i], (wst_encoding_t)encoding))
                continue;
            size_t len = len_of(&vectors[i]);
            for (size_t first = 0; first <= len; first++)
                decode_vector(d, &vectors[i], (wst_encoding_t)encoding, first, len);
            decode_vector(d, &vectors[i], (wst_encoding_t)encoding, 1, 1);
        }
        wst_decoder_free(d);
    }
}

/* Ends at an inaccessible page; and so do all beginnings, which are no messages but one. */
static void test_vectors_guarded(void **state) {
    (void)state;
    for (size_t i = 0; i < VECTOR_COUNT; i++) {
        const vector_t *v = &vectors[i];
        wst_encoding_t encoding =
            (v->encodings & BIN) != 0 ? WST_ENCODING_BINARY : WST_ENCODING_JSON;
        for (size_t len = 1; len <= len_of(v); len++) {
            uint8_t *copy = test_guarded(v->bytes, len);
            wst_decoder_t *d = new_decoder(encoding, 0);
            wst_message_t m = {.size = sizeof(m)};
            int status = wst_decoder_push(d, v->text, copy, len, true, &m);
            /* Only what ends in payload or text is a message when cut there. */
            if (len == len_of(v) || (!v->text && len > written_len(v)))
                assert_int_equal(status, 1);
            else if (v->text || v->message.method != WST_MSG_RESET)
                assert_int_equal(status, WST_EPROTO);
            wst_decoder_free(d);
            test_guarded_free(copy, len);
        }
    }
}

static uint64_t random_number(uint64_t *seed, uint64_t least) {
    uint64_t value = test_random(seed) >> (11 + test_random(seed) % 53);
    return value < least ? least : value;
}

static void random_message(wst_message_t *m, wst_hello_t *hello, uint64_t *seed, char *text,
                           uint8_t *data) {
    static const int reasons[] = {WST_EINTERNAL, WST_EREFUSED, WST_EDEST, WST_EMEMORY};
    size_t len = test_random(seed) % (WST_ERROR_TEXT_MAX + 1);
    *m = (wst_message_t){.size = sizeof(*m)};
    m->method = (wst_method_t)(1 + test_random(seed) % 11);
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
        *hello = (wst_hello_t){sizeof(wst_hello_t),
                               (uint32_t)(1 + (test_random(seed) >> 33)),
                               1024,
                               test_random(seed) >> 33,
                               (uint32_t)test_random(seed),
                               test_random(seed) % 2 == 0,
                               {"Az.09_-", test_random(seed) % 8},
                               {0},
                               false,
                               0,
                               0};
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
    wst_decoder_t *decoders[2] = {new_decoder(WST_ENCODING_BINARY, 0),
                                  new_decoder(WST_ENCODING_JSON, 0)};
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
    wst_decoder_t *d = new_decoder(WST_ENCODING_BINARY, 0);
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
         .method = WST_MSG_HELLO,
         .hello = &(const wst_hello_t){
             sizeof(wst_hello_t),
             UINT32_MAX,
             65536,
             UINT64_C(1) << 31,
             UINT32_MAX,
             true,
             {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 64},
             {0},
             true,
             UINT32_MAX,
             MAX}}};
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
            wst_decoder_t *d = new_decoder((wst_encoding_t)encoding, WST_FRAME_MAX_LIMIT);
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
        wst_decoder_t *d = new_decoder((wst_encoding_t)encoding, 0);
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

/* Every allocation fails in turn, the decoder's own and cJSON's. */
static void *hook_malloc(size_t size) {
    return test_allocator.malloc(size, NULL);
}

static void hook_free(void *ptr) {
    test_allocator.free(ptr, NULL);
}

static void decode_all(void *arg) {
    wst_encoding_t encoding = *(wst_encoding_t *)arg;
    const wst_decoder_options_t options = {sizeof(options), encoding, &test_allocator, 0};
    wst_decoder_t *d;
    int status = wst_decoder_new(&d, &options);
    if (status != 0) {
        assert_int_equal(status, WST_ENOMEM);
        return;
    }
    for (size_t i = 0; i < VECTOR_COUNT && status == 0; i++) {
        if (!has_encoding(&vectors[i], encoding))
            continue;
        codec_feed(&other, d, encoding, vectors[i].text, vectors[i].bytes, len_of(&vectors[i]), 1,
                   100);
        if (other.status == 1)
            assert_true(codec_feed_same(&other.m, &vectors[i].message));
        else
            status = other.status;
    }
    assert_int_equal(status, test_alloc_failed() ? WST_ENOMEM : 0);
    wst_decoder_free(d);
}

static void test_no_memory(void **state) {
    (void)state;
    cJSON_Hooks hooks = {hook_malloc, hook_free};
    cJSON_InitHooks(&hooks);
    for (int encoding = 0; encoding < 2; encoding++) {
        wst_encoding_t arg = (wst_encoding_t)encoding;
        assert_true(test_alloc_each(decode_all, &arg) > 50);
    }
    cJSON_InitHooks(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors_encode),
        cmocka_unit_test(test_vectors_decode),
        cmocka_unit_test(test_vectors_guarded),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_communication_pieces),
        cmocka_unit_test(test_encode_refuses),
        cmocka_unit_test(test_encode_largest),
        cmocka_unit_test(test_error_text_is_cleaned),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
