/* SPDX-License-Identifier: MIT */
/*
 * The vectors of PROTOCOL.md, and some more: byte for byte as they are written; read whole, in
 * pieces, from memory that ends where they end, and with no memory to be had.
 */
#include "support.h"

#include <cjson/cJSON.h>
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
    {"{\"method\":4,\"version\":1,\"features\":[\"yield\",\"early\"],"
     "\"max_frame\":65536,\"initial_credit\":12288,\"max_streams\":0}",
     0,
     BOTH,
     true,
     {.size = sizeof(wst_message_t),
      .method = WST_MSG_HELLO,
      .hello = &(const wst_hello_t){.size = sizeof(wst_hello_t),
                                    .version = 1,
                                    .max_frame = 65536,
                                    .initial_credit = 12288,
                                    .yields = true,
                                    .early = true}}},
    {"{\"method\":4,\"version\":1,\"features\":[\"yield\",\"resume\",\"early\"],"
     "\"max_frame\":65536,\"initial_credit\":12288,\"max_streams\":0,"
     "\"session\":\"7f3a09c2010b5c0e6f1d2a9b8c7d6e5f\",\"secret\":"
     "\"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\","
     "\"grace\":60000,\"resumed\":true}",
     0,
     BOTH,
     true,
     {.size = sizeof(wst_message_t),
      .method = WST_MSG_HELLO,
      .hello = &(const wst_hello_t){.size = sizeof(wst_hello_t),
                                    .version = 1,
                                    .max_frame = 65536,
                                    .initial_credit = 12288,
                                    .yields = true,
                                    .resumes = true,
                                    .has_session = true,
                                    .session = {0x7f, 0x3a, 0x09, 0xc2, 0x01, 0x0b, 0x5c, 0x0e,
                                                0x6f, 0x1d, 0x2a, 0x9b, 0x8c, 0x7d, 0x6e, 0x5f},
                                    .secret = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                               11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                                               22, 23, 24, 25, 26, 27, 28, 29, 30, 31},
                                    .grace_ms = 60000,
                                    .resumed = true,
                                    .early = true}}},
    {"{\"method\":4,\"version\":1,\"features\":[\"yield\",\"networks\",\"early\"],"
     "\"max_frame\":65536,\"initial_credit\":12288,"
     "\"max_streams\":1024,\"name\":\"build-7.lan\",\"instance\":"
     "\"000102030405060708090a0b0c0d0eff\",\"conn\":0,\"epoch\":1}",
     0,
     BOTH,
     true,
     {.size = sizeof(wst_message_t),
      .method = WST_MSG_HELLO,
      .hello =
          &(const wst_hello_t){.size = sizeof(wst_hello_t),
                               .version = 1,
                               .max_frame = 65536,
                               .initial_credit = 12288,
                               .max_streams = 1024,
                               .yields = true,
                               .name = STR("build-7.lan"),
                               .instance = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255},
                               .has_instance = true,
                               .epoch = 1,
                               .networks = true,
                               .early = true}}},
    {"{\"method\":1,\"id\":2,\"dest\":\"example.com:443\"}",
     0,
     BOTH,
     true,
     {.size = sizeof(wst_message_t),
      .method = WST_MSG_HANDSHAKE,
      .id = 2,
      .dest = STR("example.com:443")}},
    {"{\"method\":1,\"id\":2,\"dest\":\"db.intranet:22\","
     "\"networks\":\"1-10.0.0.0/8 2+2001:db8::/32 3+*\"}",
     0,
     BOTH,
     true,
     {.size = sizeof(wst_message_t),
      .method = WST_MSG_HANDSHAKE,
      .id = 2,
      .dest = STR("db.intranet:22"),
      .networks = STR("1-10.0.0.0/8 2+2001:db8::/32 3+*")}},
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
    {"{\"method\":12,\"error\":{\"code\":-32008,\"message\":\"drained\"}}",
     0,
     BOTH,
     true,
     {.size = sizeof(wst_message_t),
      .method = WST_MSG_BYE,
      .error = WST_EGOAWAY,
      .error_text = STR("drained")}},
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
              .size = sizeof(wst_hello_t), .version = 1, .max_frame = 1024, .initial_credit = 1}}},
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
        wst_decoder_t *d = codec_feed_decoder((wst_encoding_t)encoding, 0);
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
            wst_decoder_t *d = codec_feed_decoder(encoding, 0);
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
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
