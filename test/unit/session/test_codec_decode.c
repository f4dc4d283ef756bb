/* SPDX-License-Identifier: MIT */
/*
 * Messages from a peer that are wrong, odd but right, or to be ignored: each whole, byte by byte
 * and split at every point, with the reason that is given; and the bounds.
 */
#include "support.h"

#include <wstunnel/codec.h>
#include <wstunnel/error.h>

#include "codec_feed.h"

static codec_feed_result_t result;

/* Expects `status`, and the detail if there is one, in whatever pieces the message comes. */
static void expect(wst_encoding_t encoding, bool text, const char *bytes, size_t len, int status,
                   const char *detail) {
    for (size_t first = 0; first <= len + 1; first++) {
        bool single = first > len; /* byte by byte */
        wst_decoder_t *d = codec_feed_decoder(encoding, 0);
        codec_feed(&result, d, encoding, text, bytes, len, single ? 1 : first, single ? 1 : len);
        const char *got = wst_decoder_error_detail(d);
        if (result.status != status || (detail != NULL && strcmp(got, detail) != 0))
            fail_msg("\"%.*s\", encoding %d, cut at %zu: %d \"%s\"", (int)len, bytes, encoding,
                     first, result.status, got);
        wst_decoder_free(d);
    }
}

typedef struct refused {
    const char *text, *detail;
} refused_t;

#define NUMBER "a number is missing, malformed or out of range"

static const refused_t refused_json[] = {
    {"", "empty message"},
    {"[]", "not a JSON object"},
    {"{\"method\":8,\"seq\":1}x", "text behind the JSON object"},
    {"{}", "method is missing or no number"},
    {"{\"method\":null}", "method is missing or no number"},
    {"{\"method\":\"8\",\"seq\":1}", "method is missing or no number"},
    {"{\"method\":8.0,\"seq\":1}", "method is missing or no number"},
    {"{\"method\":8e0,\"seq\":1}", "method is missing or no number"},
    {"{\"method\":-8,\"seq\":1}", "method is missing or no number"},
    {"{\"method\":9007199254740992}", "method is missing or no number"},
    {"{\"Method\":8,\"seq\":1}", "method is missing or no number"},
    {"{\"method\":8,\"seq\":1,\"seq\":2}", "duplicate member in a JSON object"},
    {"{\"method\":8,\"seq\":1,\"\\u0073eq\":2}", "duplicate member in a JSON object"},

    /* numbers at their borders, and everything that is no number */
    {"{\"method\":8}", NUMBER},
    {"{\"method\":8,\"SEQ\":1}", NUMBER},
    {"{\"method\":8,\"seq\":null}", NUMBER},
    {"{\"method\":8,\"seq\":-1}", NUMBER},
    {"{\"method\":8,\"seq\":-0}", NUMBER},
    {"{\"method\":8,\"seq\":1.0}", NUMBER},
    {"{\"method\":8,\"seq\":1e1}", NUMBER},
    {"{\"method\":8,\"seq\":\"1\"}", NUMBER},
    {"{\"method\":8,\"seq\":true}", NUMBER},
    {"{\"method\":8,\"seq\":[1]}", NUMBER},
    {"{\"method\":8,\"seq\":9007199254740992}", NUMBER},
    {"{\"method\":8,\"seq\":18446744073709551617}", NUMBER},
    {"{\"method\":9}", NUMBER},
    {"{\"method\":9,\"seq\":9007199254740992}", NUMBER},
    {"{\"method\":10,\"error\":{\"code\":-32008}}", NUMBER},
    {"{\"method\":10,\"last\":9007199254740992,\"error\":{\"code\":-32008}}", NUMBER},
    {"{\"method\":1,\"dest\":\"a:1\"}", NUMBER},
    {"{\"method\":1,\"id\":0,\"dest\":\"a:1\"}", "stream id out of range"},
    {"{\"method\":1,\"id\":9007199254740992,\"dest\":\"a:1\"}", NUMBER},
    {"{\"method\":2,\"id\":0}", "stream id out of range"},

    /* destinations */
    {"{\"method\":1,\"id\":1}", "malformed destination"},
    {"{\"method\":1,\"id\":1,\"dest\":null}", "malformed destination"},
    {"{\"method\":1,\"id\":1,\"dest\":7}", "malformed destination"},
    {"{\"method\":1,\"id\":1,\"dest\":\"\"}", "malformed destination"},
    {"{\"method\":1,\"id\":1,\"dest\":\"a b:1\"}", "malformed destination"},
    {"{\"method\":1,\"id\":1,\"dest\":\"a:1\\r\\n\"}", "malformed destination"},
    {"{\"method\":1,\"id\":1,\"dest\":\"a\\u007f:1\"}", "malformed destination"},
    {"{\"method\":1,\"id\":1,\"dest\":\"a\\u0000:1\"}", "U+0000 in a JSON string"},

    /* errors */
    {"{\"method\":2,\"id\":1,\"error\":0}", "error is not an object"},
    {"{\"method\":2,\"id\":1,\"error\":\"no\"}", "error is not an object"},
    {"{\"method\":2,\"id\":1,\"error\":[]}", "error is not an object"},
    {"{\"method\":2,\"id\":1,\"error\":{}}", "error without a negative code"},
    {"{\"method\":2,\"id\":1,\"error\":1.5}", "error without a negative code"},
    {"{\"method\":2,\"id\":1,\"error\":{\"code\":0}}", "error without a negative code"},
    {"{\"method\":2,\"id\":1,\"error\":{\"code\":1}}", "error without a negative code"},
    {"{\"method\":2,\"id\":1,\"error\":{\"code\":-32001.0}}", "error without a negative code"},
    {"{\"method\":2,\"id\":1,\"error\":{\"code\":\"-32001\"}}", "error without a negative code"},
    {"{\"method\":2,\"id\":1,\"error\":{\"code\":-9007199254740992}}",
     "error without a negative code"},
    {"{\"method\":2,\"id\":1,\"error\":{\"code\":-32001,\"message\":7}}",
     "error with a message that is no text or too long"},
    {"{\"method\":10,\"last\":1}", "error is not an object"},
    {"{\"method\":10,\"last\":1,\"error\":null}", "error is not an object"},
    {"{\"method\":12}", "error is not an object"},
    {"{\"method\":12,\"error\":null}", "error is not an object"},
    {"{\"method\":12,\"error\":{\"code\":0}}", "error without a negative code"},

    {"{\"method\":1,\"id\":1,\"dest\":\"a:1\",\"networks\":1}",
     "handshake with malformed networks"},
    {"{\"method\":1,\"id\":1,\"dest\":\"a:1\",\"networks\":[]}",
     "handshake with malformed networks"},
    {"{\"method\":1,\"id\":1,\"dest\":\"a:1\",\"networks\":\"1+*\\n\"}",
     "handshake with malformed networks"},
    {"{\"method\":1,\"id\":1,\"dest\":\"a:1\",\"networks\":\"\xc3\xbc\"}",
     "handshake with malformed networks"},

    /* hello; its numbers at their borders are below */
    {"{\"method\":4}", "hello with a number missing or out of range"},
    {"{\"method\":4,\"version\":1,\"max_frame\":1024,\"initial_credit\":1,\"max_streams\":0,"
     "\"features\":{}}",
     "hello with features that are no array of strings"},
    {"{\"method\":4,\"version\":1,\"max_frame\":1024,\"initial_credit\":1,\"max_streams\":0,"
     "\"features\":[\"a\",1]}",
     "hello with features that are no array of strings"},
    {"{\"method\":4,\"version\":1,\"max_frame\":1024,\"initial_credit\":1,\"max_streams\":0,"
     "\"features\":[\"a\",0.5]}",
     "hello with features that are no array of strings"},
};

static const refused_t refused_hot[] = {
    {"{\"method\":3,\"data\":\"aGk=\"}", "stream id out of range"},
    {"{\"method\":3,\"id\":null,\"data\":\"aGk=\"}", "stream id out of range"},
    {"{\"method\":3,\"id\":0,\"data\":\"aGk=\"}", "stream id out of range"},
    {"{\"method\":3,\"id\":-1,\"data\":\"aGk=\"}", "stream id out of range"},
    {"{\"method\":3,\"id\":1.0,\"data\":\"aGk=\"}", "stream id out of range"},
    {"{\"method\":3,\"id\":1e0,\"data\":\"aGk=\"}", "stream id out of range"},
    {"{\"method\":3,\"id\":\"1\",\"data\":\"aGk=\"}", "stream id out of range"},
    {"{\"method\":3,\"id\":9007199254740992,\"data\":\"aGk=\"}", "stream id out of range"},
    {"{\"method\":3,\"ID\":1,\"data\":\"aGk=\"}", "stream id out of range"},
    {"{\"method\":3,\"id\":1}", "data is not base64"},
    {"{\"method\":3,\"id\":1,\"data\":null}", "data is not base64"},
    {"{\"method\":3,\"id\":1,\"data\":5}", "data is not base64"},
    {"{\"method\":3,\"id\":1,\"x\":{\"data\":\"aGk=\"}}", "data is not base64"},
    {"{\"method\":3,\"id\":1,\"data\":\"\"}", "communication without data or with too much"},
    {"{\"method\":3,\"id\":1,\"data\":\"aGk\"}", "data is not base64"},
    {"{\"method\":3,\"id\":1,\"data\":\"aGk= \"}", "data is not base64"},
    {"{\"method\":3,\"id\":1,\"data\":\"aG\\nk=\"}", "data is not base64"},
    {"{\"method\":3,\"id\":1,\"data\":\"aGl=\"}", "data is not base64"},
    {"{\"method\":3,\"id\":1,\"data\":\"a===\"}", "data is not base64"},
    {"{\"method\":3,\"id\":1,\"data\":\"====\"}", "data is not base64"},
    {"{\"method\":3,\"id\":1,\"data\":\"aG=k\"}", "data is not base64"},
    {"{\"method\":3,\"id\":1,\"data\":\"aGk=aGk=\"}", "data is not base64"},
    {"{\"method\":3,\"id\":1,\"data\":\"_-_-\"}", "data is not base64"},
    {"{\"method\":3,\"id\":1,\"data\":\"aGk=\",\"data\":\"aGk=\"}",
     "duplicate member in a JSON object"},
    {"{\"method\":5,\"id\":1,\"received\":1}", NUMBER},
    {"{\"method\":5,\"id\":1,\"credit\":1}", NUMBER},
    {"{\"method\":5,\"id\":1,\"received\":-1,\"credit\":1}", NUMBER},
    {"{\"method\":5,\"id\":1,\"received\":1,\"credit\":9007199254740992}", NUMBER},
    {"{\"method\":5,\"id\":1,\"received\":9007199254740992,\"credit\":1}", NUMBER},
    {"{\"method\":5,\"id\":0,\"received\":1,\"credit\":1}", "stream id out of range"},
    {"{\"method\":6,\"id\":1}", NUMBER},
    {"{\"method\":6,\"id\":1,\"offset\":9007199254740992}", NUMBER},
    {"{\"method\":6,\"id\":0,\"offset\":1}", "stream id out of range"},
    {"{\"method\":7,\"id\":1}", "error is not an object"},
    {"{\"method\":7,\"id\":1,\"error\":null}", "error is not an object"},
    {"{\"method\":7,\"id\":0,\"error\":{\"code\":-1}}", "stream id out of range"},
};

static void test_refused_json(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(refused_json) / sizeof(refused_json[0]); i++) {
        const refused_t *r = &refused_json[i];
        expect(WST_ENCODING_JSON, true, r->text, strlen(r->text), WST_EPROTO, r->detail);
        expect(WST_ENCODING_BINARY, true, r->text, strlen(r->text), WST_EPROTO, r->detail);
    }
    for (size_t i = 0; i < sizeof(refused_hot) / sizeof(refused_hot[0]); i++)
        expect(WST_ENCODING_JSON, true, refused_hot[i].text, strlen(refused_hot[i].text),
               WST_EPROTO, refused_hot[i].detail);
}

#define A_SECRET "\"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\""

/* A hello that is right but perhaps for the value of `member`. */
static void expect_hello(const char *member, const char *value, int status) {
    static const char *const members[][2] = {{"version", "1"},
                                             {"max_frame", "1024"},
                                             {"initial_credit", "1"},
                                             {"max_streams", "0"},
                                             {"name", "\"a\""},
                                             {"conn", "0"},
                                             {"instance", "\"00112233445566778899aabbccddeeff\""},
                                             {"epoch", "0"},
                                             {"features", "[\"resume\"]"},
                                             {"session", "\"00112233445566778899aabbccddeeff\""},
                                             {"secret", A_SECRET},
                                             {"grace", "0"},
                                             {"resumed", "false"}};
    char text[900] = "{\"method\":4";
    size_t len = strlen(text);
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        const char *used = strcmp(member, members[i][0]) == 0 ? value : members[i][1];
        const char *parts[] = {",\"", members[i][0], "\":", used};
        for (size_t j = 0; j < 4; j++) {
            memcpy(text + len, parts[j], strlen(parts[j]));
            len += strlen(parts[j]);
        }
    }
    text[len++] = '}';
    expect(WST_ENCODING_JSON, true, text, len, status, NULL);
}

static void test_hello_borders(void **state) {
    (void)state;
    static const char name_64[] =
        "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"";
    static const char name_65[] =
        "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"";
    static const char *const cases[][4] = {
        /* member, right, wrong below or otherwise, wrong above */
        {"version", "1", "0", "4294967296"},
        {"version", "4294967295", "null", "-1"},
        {"max_frame", "1024", "1023", "null"},
        {"max_frame", "65536", "\"1024\"", "65537"},
        {"initial_credit", "1", "0", "null"},
        {"initial_credit", "2147483648", "1.5", "2147483649"},
        {"max_streams", "0", "-1", "null"},
        {"max_streams", "4294967295", "[]", "4294967296"},
        {"name", "\"AZaz09._-\"", "\"\"", "\"a b\""},
        {"name", name_64, "7", name_65},
        {"name", "null", "\"\xc3\xa4\"", "\"a@\""},
        {"instance", "null", "\"\"", "7"},
        {"instance", "\"ABCDEFabcdef01234567890123456789\"", "\"0123456789012345678901234567890\"",
         "\"012345678901234567890123456789012\""},
        {"instance", NULL, "\"0123456789012345678901234567890g\"",
         "\"0123456789012345678901234567890:\""},
        {"conn", "4294967295", "-1", "4294967296"},
        {"conn", "null", "\"0\"", "1.0"},
        {"epoch", "9007199254740991", "-1", "9007199254740992"},
        {"epoch", "null", "{}", "false"},
        {"session", "null", "\"\"", "\"00112233445566778899aabbccddeefg\""},
        {"session", NULL, "7", "\"00112233445566778899aabbccddeeff00\""},
        {"secret", NULL, "null", "\"00112233445566778899aabbccddeeff\""},
        {"grace", "86400000", "86400001", "null"},
        {"resumed", "true", "null", "\"true\""},
        {"features", "[]", "[7]", "{}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (cases[i][1] != NULL)
            expect_hello(cases[i][0], cases[i][1], 1);
        for (size_t j = 2; j < 4; j++)
            if (cases[i][j] != NULL)
                expect_hello(cases[i][0], cases[i][j], WST_EPROTO);
    }
}

/* Odd, but right: as good as the plain text next to it. */
static void test_odd_json(void **state) {
    (void)state;
    static const char *const pairs[][2] = {
        {" {\t\"seq\" : 1 ,\r\n\"method\" : 8 } \n", "{\"method\":8,\"seq\":1}"},
        {"{\"\\u006dethod\":8,\"s\\u0065q\":1}", "{\"method\":8,\"seq\":1}"},
        {"{\"method\":8,\"seq\":1,\"SEQ\":2,\"x\":{\"seq\":[3.5,-0,1e400,{}]},\"y\":"
         "12345678901234567"
         "890123456789012345678901234567890123456789012345678901234567890}",
         "{\"method\":8,\"seq\":1}"},
        {"{\"id\":7,\"error\":{\"code\":-32001,\"message\":null},\"last\":\"\",\"method\":12}",
         "{\"method\":12,\"error\":{\"code\":-32001}}"},
        {"{\"method\":8,\"seq\":1,\"id\":null,\"dest\":\"\",\"data\":null,\"error\":null}",
         "{\"method\":8,\"seq\":1}"},
        {"{\"method\":2,\"id\":2,\"dest\":\"\",\"data\":null,\"error\":null}",
         "{\"method\":2,\"id\":2}"},
        {"{\"method\":7,\"id\":2,\"error\":{\"code\":-32001}}",
         "{\"method\":7,\"id\":2,\"error\":{\"code\":-32001,\"message\":\"\",\"data\":[1]}}"},
        {"{\"method\":7,\"id\":2,\"error\":{\"code\":-32001,\"message\":null}}",
         "{\"method\":7,\"id\":2,\"error\":{\"code\":-32001,\"message\":\"\"}}"},
        /* unknown codes are internal errors */
        {"{\"method\":7,\"id\":2,\"error\":{\"code\":-1}}",
         "{\"method\":7,\"id\":2,\"error\":{\"code\":-32000}}"},
        {"{\"method\":7,\"id\":2,\"error\":{\"code\":-9007199254740991}}",
         "{\"method\":7,\"id\":2,\"error\":{\"code\":-32000}}"},
        {"{\"method\":7,\"id\":2,\"error\":{\"code\":-4294999297}}", /* -32001 - 2^32 */
         "{\"method\":7,\"id\":2,\"error\":{\"code\":-32000}}"},
        {"{\"method\":7,\"id\":2,\"error\":{\"code\":-1,\"message\":\"\\ud83d\\ude00\\/\\u00e4\"}}",
         "{\"method\":7,\"id\":2,\"error\":{\"code\":-1,\"message\":\"\xf0\x9f\x98\x80/"
         "\xc3\xa4\"}}"},
        {"{\"data\":\"\\u002b\\/\\u002B/\",\"method\":3,\"id\":1}",
         "{\"method\":3,\"id\":1,\"data\":\"+/+/\"}"},
        {"{\"x\":{\"id\":7,\"data\":7},\"method\":3,\"dest\":\"\",\"id\":1,\"data\":\"aGk=\"}",
         "{\"method\":3,\"id\":1,\"data\":\"aGk=\"}"},
        {"{\"method\":4,\"version\":1,\"max_frame\":1024,\"initial_credit\":1,\"max_streams\":0,"
         "\"conn\":5,\"epoch\":-1,\"instance\":\"?\",\"name\":null,\"features\":[\"a\",\"\"]}",
         "{\"method\":4,\"version\":1,\"max_frame\":1024,\"initial_credit\":1,\"max_streams\":0}"},
    };
    static codec_feed_result_t plain;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        size_t len = strlen(pairs[i][1]);
        wst_decoder_t *d = codec_feed_decoder(WST_ENCODING_JSON, 0);
        codec_feed(&plain, d, WST_ENCODING_JSON, true, pairs[i][1], len, len, 1);
        wst_decoder_free(d);
        assert_int_equal(plain.status, 1);
        expect(WST_ENCODING_JSON, true, pairs[i][0], strlen(pairs[i][0]), 1, "");
        if (!codec_feed_same(&result.m, &plain.m))
            fail_msg("%s is not %s", pairs[i][0], pairs[i][1]);
    }
}

typedef struct binary {
    const char *bytes;
    size_t len;
    int status;
    const char *detail;
} binary_t;

/* The bytes of a literal without its end. */
#define BYTES(literal) literal, sizeof(literal) - 1

static const binary_t binaries[] = {
    {BYTES(""), WST_EPROTO, "empty message"},
    /* methods that are text; unknown ones are ignored */
    {BYTES("\x01\x02"), WST_EPROTO, "binary message with a method that is text"},
    {BYTES("\x02\x02"), WST_EPROTO, "binary message with a method that is text"},
    {BYTES("\x04"), WST_EPROTO, "binary message with a method that is text"},
    {BYTES("\x08\x02"), WST_EPROTO, "binary message with a method that is text"},
    {BYTES("\x09\x02"), WST_EPROTO, "binary message with a method that is text"},
    {BYTES("\x0a\x02"), WST_EPROTO, "binary message with a method that is text"},
    {BYTES("\x00"), 0, ""},
    {BYTES("\x0c"), WST_EPROTO, "binary message with a method that is text"},
    {BYTES("\x0d"), 0, ""},
    {BYTES("\x0d\x80\x00"), 0, ""},
    {BYTES("\xff{}"), 0, ""},
    {BYTES("{\"method\":8,\"seq\":1}"), 0, ""},
    /* ids */
    {BYTES("\x03"), WST_EPROTO, "communication without data"},
    {BYTES("\x03\x80"), WST_EPROTO, "communication without data"},
    {BYTES("\x03\x02"), WST_EPROTO, "communication without data"},
    {BYTES("\x03\x00x"), WST_EPROTO, "stream id out of range"},
    {BYTES("\x03\x82\x00x"), WST_EPROTO, "stream id out of range"},
    {BYTES("\x03\x80\x80\x01x"), 1, ""},
    {BYTES("\x03\xff\xff\xff\xff\xff\xff\xff\x0fx"), 1, ""},
    {BYTES("\x03\x80\x80\x80\x80\x80\x80\x80\x10x"), WST_EPROTO, "stream id out of range"},
    {BYTES("\x03\xff\xff\xff\xff\xff\xff\xff\x8f\x00x"), WST_EPROTO, "stream id out of range"},
    {BYTES("\x06\x00\x01"), WST_EPROTO, "stream id out of range"},
    {BYTES("\x0b\x00\x01\x01"), WST_EPROTO, "stream id out of range"},
    {BYTES("\x0b\x01\x01\x02"), WST_EPROTO, "offset out of range"},
    {BYTES("\x0b\x01\x01"), WST_EPROTO, "malformed number"},
    {BYTES("\x0b\x01\x01\x01\x01"), WST_EPROTO, "bytes behind the message"},
    {BYTES("\x05\x00\x01\x01"), WST_EPROTO, "stream id out of range"},
    {BYTES("\x07\x00\x01"), WST_EPROTO, "stream id out of range"},
    /* other numbers; missing ones */
    {BYTES("\x06"), WST_EPROTO, "malformed number"},
    {BYTES("\x06\x02"), WST_EPROTO, "malformed number"},
    {BYTES("\x06\x02\x80"), WST_EPROTO, "malformed number"},
    {BYTES("\x06\x02\x80\x00"), WST_EPROTO, "malformed number"},
    {BYTES("\x06\x02\x80\x80\x80\x80\x80\x80\x80\x10"), WST_EPROTO, "malformed number"},
    {BYTES("\x06\x80\x00\x01"), WST_EPROTO, "malformed number"},
    {BYTES("\x06\x02\x00"), 1, ""},
    {BYTES("\x05\x02"), WST_EPROTO, "malformed number"},
    {BYTES("\x05\x02\x01"), WST_EPROTO, "malformed number"},
    {BYTES("\x05\x02\x01\x82\x00"), WST_EPROTO, "malformed number"},
    {BYTES("\x07\x02"), WST_EPROTO, "malformed error code"},
    {BYTES("\x07\x02\x00"), WST_EPROTO, "malformed error code"},
    {BYTES("\x07\x02\x81"), WST_EPROTO, "malformed error code"},
    /* bytes behind */
    {BYTES("\x06\x02\x01\x00"), WST_EPROTO, "bytes behind the message"},
    {BYTES("\x05\x02\x01\x01\x00"), WST_EPROTO, "bytes behind the message"},
    /* error texts */
    {BYTES("\x07\x02\x01\xff"), WST_EPROTO, "error text not UTF-8 or too long"},
    {BYTES("\x07\x02\x01"
           "a\xc3"),
     WST_EPROTO, "error text not UTF-8 or too long"},
    {BYTES("\x07\x02\x01"
           "a\0"),
     WST_EPROTO, "error text not UTF-8 or too long"},
};

static void test_binary(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(binaries) / sizeof(binaries[0]); i++)
        expect(WST_ENCODING_BINARY, false, binaries[i].bytes, binaries[i].len, binaries[i].status,
               binaries[i].detail);
}

static void test_binary_unknown_codes(void **state) {
    (void)state;
    expect(WST_ENCODING_BINARY, false, BYTES("\x07\x02\x01"), 1, "");
    assert_int_equal(result.m.error, WST_EINTERNAL);
    expect(WST_ENCODING_BINARY, false, BYTES("\x07\x02\xff\xff\xff\xff\xff\xff\xff\x0f"), 1, "");
    assert_int_equal(result.m.error, WST_EINTERNAL);
    /* 2^32 + 32001 */
    expect(WST_ENCODING_BINARY, false, BYTES("\x07\x02\x81\xfa\x81\x80\x10"), 1, "");
    assert_int_equal(result.m.error, WST_EINTERNAL);
}

/* Either kind in the other's shape. */
static void test_wrong_shape(void **state) {
    (void)state;
    static const char *const hot[] = {
        "{\"method\":3,\"id\":2,\"data\":\"aGk=\"}",
        "{\"method\":5,\"id\":2,\"received\":1,\"credit\":1}",
        "{\"method\":6,\"id\":2,\"offset\":1}",
        "{\"method\":7,\"id\":2,\"error\":{\"code\":-1}}",
    };
    for (size_t i = 0; i < sizeof(hot) / sizeof(hot[0]); i++) {
        expect(WST_ENCODING_JSON, true, hot[i], strlen(hot[i]), 1, "");
        expect(WST_ENCODING_BINARY, true, hot[i], strlen(hot[i]), WST_EPROTO,
               "text message with a method that is binary");
    }
    const char *detail = "binary message where all are text";
    expect(WST_ENCODING_JSON, false, BYTES("\x03\x02hi"), WST_EPROTO, detail);
    expect(WST_ENCODING_JSON, false, BYTES("\xff"), WST_EPROTO, detail);
    expect(WST_ENCODING_JSON, false, BYTES(""), WST_EPROTO, detail);
    expect(WST_ENCODING_JSON, false, hot[0], strlen(hot[0]), WST_EPROTO, detail);
}

static void test_unknown_methods(void **state) {
    (void)state;
    static const char *const unknown[] = {"{\"method\":0}",
                                          "{\"method\":13,\"id\":\"\",\"data\":{\"a\":[]}}",
                                          "{\"method\":9007199254740991}"};
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        expect(WST_ENCODING_JSON, true, unknown[i], strlen(unknown[i]), 0, "");
        expect(WST_ENCODING_BINARY, true, unknown[i], strlen(unknown[i]), 0, "");
    }
    /* only as far as they are JSON */
    expect(WST_ENCODING_JSON, true, BYTES("{\"method\":13,}"), WST_EPROTO,
           "JSON member name expected");
    expect(WST_ENCODING_JSON, true, BYTES("{\"method\":13,\"x\":\"\xff\"}"), WST_EPROTO,
           "JSON text is not UTF-8");
}

/* Feeds `len` bytes that start with `head`, go on with `fill` and end with `tail`. */
static void expect_long(wst_encoding_t encoding, uint32_t max_frame, bool text, const char *head,
                        char fill, const char *tail, size_t len, int status) {
    const size_t steps[] = {1, 1000, 100000};
    static char bytes[100000];
    memset(bytes, fill, len);
    memcpy(bytes, head, strlen(head));
    memcpy(bytes + len - strlen(tail), tail, strlen(tail));
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        wst_decoder_t *d = codec_feed_decoder(encoding, max_frame);
        codec_feed(&result, d, encoding, text, bytes, len, steps[i], steps[i]);
        if (result.status != status)
            fail_msg("%zu bytes %s: %d %s", len, head, result.status, wst_decoder_error_detail(d));
        wst_decoder_free(d);
    }
}

static void test_bounds(void **state) {
    (void)state;
    const wst_encoding_t bin = WST_ENCODING_BINARY, json = WST_ENCODING_JSON;
    const char *ping = "{\"method\":8,\"seq\":1", *other = "{\"method\":13";
    for (int encoding = 0; encoding < 2; encoding++) {
        wst_encoding_t e = (wst_encoding_t)encoding;
        expect_long(e, 0, true, ping, ' ', "}", WST_JSON_CONTROL_MAX, 1);
        expect_long(e, 0, true, ping, ' ', "}", WST_JSON_CONTROL_MAX + 1, WST_EMSGBIG);
        expect_long(e, 0, true, other, ' ', "}", WST_JSON_CONTROL_MAX, 0);
        expect_long(e, 0, true, other, ' ', "}", WST_JSON_CONTROL_MAX + 1, WST_EMSGBIG);
    }
    expect_long(bin, 0, false, "\x0d", ' ', "", WST_JSON_CONTROL_MAX, 0);
    expect_long(bin, 0, false, "\x0d", ' ', "", WST_JSON_CONTROL_MAX + 1, WST_EMSGBIG);
    expect_long(bin, 0, false, "\x07\x02\x01", ' ', "", 3 + WST_ERROR_TEXT_MAX, 1);
    expect_long(bin, 0, false, "\x07\x02\x01", ' ', "", 4 + WST_ERROR_TEXT_MAX, WST_EPROTO);

    /* binary communications: max_frame of payload, 65536 if not said */
    expect_long(bin, 0, false, "\x03\x02", ' ', "", 2 + 65536, 1);
    expect_long(bin, 0, false, "\x03\x02", ' ', "", 3 + 65536, WST_EMSGBIG);
    expect_long(bin, 1024, false, "\x03\x82\x01", ' ', "", 3 + 1024, 1);
    expect_long(bin, 1024, false, "\x03\x82\x01", ' ', "", 4 + 1024, WST_EMSGBIG);
    expect_long(bin, UINT32_MAX, false, "\x03\x02", ' ', "", 3 + 65536, WST_EMSGBIG);

    /* JSON communications: max_frame of data, and of text WST_JSON_DATA_MAX or a control's */
    const char *data = "{\"method\":3,\"id\":2,\"data\":\"";
    size_t around = strlen(data) + 2;
    expect_long(json, 1026, true, data, 'A', "\"}", around + 1368, 1);
    expect_long(json, 1026, true, data, 'A', "\"}", around + 1372, WST_EMSGBIG);
    expect_long(json, 1025, true, data, 'A', "\"}", around + 1368, WST_EMSGBIG);
    expect_long(json, 1026, true, "{\"method\":3,\"id\":2,\"data\":\"AAAA\"", ' ', "}",
                WST_JSON_CONTROL_MAX, 1);
    expect_long(json, 1026, true, "{\"method\":3,\"id\":2,\"data\":\"AAAA\"", ' ', "}",
                WST_JSON_CONTROL_MAX + 1, WST_EMSGBIG);
    expect_long(json, 0, true, data, 'A', "\"}", around + 21844, 1);
    expect_long(json, 0, true, "{\"method\":3,\"id\":2,\"data\":\"AAAA\"", ' ', "}",
                WST_JSON_DATA_MAX(65536), 1);
    expect_long(json, 0, true, "{\"method\":3,\"id\":2,\"data\":\"AAAA\"", ' ', "}",
                WST_JSON_DATA_MAX(65536) + 1, WST_EMSGBIG);
    expect_long(json, UINT32_MAX, true, data, 'A', "\"}", around + 87380, 1);
    expect_long(json, UINT32_MAX, true, data, 'A', "\"}", around + 87384, WST_EMSGBIG);

    /* strings */
    const char *dest = "{\"method\":1,\"id\":1,\"dest\":\"";
    around = strlen(dest) + 2;
    expect_long(json, 0, true, dest, 'a', "\"}", around + WST_DEST_MAX, 1);
    expect_long(json, 0, true, dest, 'a', "\"}", around + WST_DEST_MAX + 1, WST_EPROTO);
    expect_long(json, 0, true, dest, 'a', "\"}", WST_JSON_CONTROL_MAX, WST_EPROTO);
    const char *error = "{\"method\":2,\"id\":1,\"error\":{\"code\":-32001,\"message\":\"";
    around = strlen(error) + 3;
    expect_long(json, 0, true, error, 'a', "\"}}", around + WST_ERROR_TEXT_MAX, 1);
    expect_long(json, 0, true, error, 'a', "\"}}", around + WST_ERROR_TEXT_MAX + 1, WST_EPROTO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_json),
        cmocka_unit_test(test_hello_borders),
        cmocka_unit_test(test_odd_json),
        cmocka_unit_test(test_binary),
        cmocka_unit_test(test_binary_unknown_codes),
        cmocka_unit_test(test_wrong_shape),
        cmocka_unit_test(test_unknown_methods),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
