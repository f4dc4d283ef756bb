/* SPDX-License-Identifier: MIT */
/*
 * Messages of the talk's protocol: byte for byte as the talk's programs write them, read back from
 * memory that ends where they end; what is wrong, odd but right, or too much.
 */
#include "support.h"

#include "codec_talk.h"
#include <wstunnel/error.h>

/* Reads a text that ends at an inaccessible page. `*m` points into `*copy`, to be freed. */
static int read_guarded(wst_message_t *m, const char *text, size_t len, uint8_t **copy,
                        const char **why) {
    *copy = test_guarded(text, len);
    *why = "";
    return wst__talk_read(m, (char *)*copy, len, why);
}

static wst_message_t handshake(const char *dest) {
    return (wst_message_t){
        .size = sizeof(wst_message_t), .method = WST_MSG_HANDSHAKE, .dest = {dest, strlen(dest)}};
}

static wst_message_t communication(const void *data, size_t len) {
    return (wst_message_t){
        .size = sizeof(wst_message_t), .method = WST_MSG_COMMUNICATION, .data = data, .len = len};
}

/* Writes into every size of buffer; only one that is large enough will do. */
static void expect_written(const wst_message_t *m, const char *text) {
    size_t len = strlen(text);
    for (size_t cap = 0; cap <= len + 8; cap++) {
        uint8_t *buf = malloc(cap + 1); /* another block for each, so that ASan sees more */
        assert_non_null(buf);
        int status = wst__talk_write(m, buf, cap);
        if (cap < len)
            assert_int_equal(status, WST_EINVAL);
        else
            assert_int_equal(status, (int)len);
        if (status > 0)
            assert_memory_equal(buf, text, len);
        free(buf);
    }
}

static void test_written(void **state) {
    (void)state;
    wst_message_t m = handshake("example.com:443");
    expect_written(&m, "{\"method\":1,\"dest\":\"example.com:443\",\"data\":null}");
    m = handshake("a\"\\b:1");
    expect_written(&m, "{\"method\":1,\"dest\":\"a\\\"\\\\b:1\",\"data\":null}");
    m = (wst_message_t){.size = sizeof(wst_message_t), .method = WST_MSG_COMPLETED};
    expect_written(&m, "{\"method\":2,\"dest\":\"\",\"data\":null}");
    m = communication("hi\0\xff", 4);
    expect_written(&m, "{\"method\":3,\"dest\":\"\",\"data\":\"aGkA/w==\"}");
}

static void test_not_written(void **state) {
    (void)state;
    static uint8_t data[WST__TALK_DATA_MAX + 1];
    static char buf[2 * WST__TALK_MESSAGE_MAX];
    char dest[WST_DEST_MAX + 2];
    memset(dest, 'a', sizeof(dest) - 1);
    dest[sizeof(dest) - 1] = '\0';
    const wst_message_t wrong[] = {{.size = sizeof(wst_message_t), .method = (wst_method_t)0},
                                   {.size = sizeof(wst_message_t), .method = WST_MSG_HELLO},
                                   {.size = sizeof(wst_message_t), .method = WST_MSG_END, .id = 2},
                                   handshake(""),
                                   handshake("a b:1"),
                                   handshake("a\n:1"),
                                   handshake(dest),
                                   communication("", 0),
                                   communication(data, sizeof(data))};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(wst__talk_write(&wrong[i], buf, sizeof(buf)), WST_EINVAL);
    wst_message_t m = handshake(dest + 1); /* the longest */
    assert_true(wst__talk_write(&m, buf, WST__TALK_CONTROL_MAX) > 0);
}

/* All lengths around the borders of base64, and the largest, which fits the bound exactly so. */
static void test_data_comes_back(void **state) {
    (void)state;
    static uint8_t data[WST__TALK_DATA_MAX];
    static char buf[WST__TALK_MESSAGE_MAX];
    uint64_t random = 7;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)test_random(&random);
    const size_t lens[] = {1,   2,    3,    4,     5,     6,     57,    100,
                           255, 4096, 9999, 32765, 32766, 32767, 32768, 0};
    for (size_t i = 0; lens[i] != 0; i++) {
        wst_message_t m = communication(data, lens[i]), back;
        int len = wst__talk_write(&m, buf, WST_JSON_DATA_MAX(lens[i]));
        assert_true(len > 0);
        uint8_t *copy;
        const char *why;
        assert_int_equal(read_guarded(&back, buf, (size_t)len, &copy, &why), 0);
        assert_int_equal(back.method, WST_MSG_COMMUNICATION);
        assert_int_equal(back.len, lens[i]);
        assert_memory_equal(back.data, data, lens[i]);
        test_guarded_free(copy, (size_t)len);
    }
}

static void test_odd_but_right(void **state) {
    (void)state;
    static const struct {
        const char *text;
        wst_method_t method;
        const char *content;
    } rows[] = {
        {"{\"method\":2}", WST_MSG_COMPLETED, ""},
        {" {\t\"dest\" : 7 , \"data\":[1.5], \"method\":2 }\r\n", WST_MSG_COMPLETED, ""},
        {"{\"method\":2,\"dest\":\"x y\",\"data\":\"?\"}", WST_MSG_COMPLETED, ""},
        {"{\"method\":1,\"dest\":\"a:1\"}", WST_MSG_HANDSHAKE, "a:1"},
        {"{\"method\":1,\"dest\":\"\\u0061\\u0026\\/:1\"}", WST_MSG_HANDSHAKE, "a&/:1"},
        {"{\"m\\u0065thod\":1,\"dest\":\"[::1]:1\",\"data\":null}", WST_MSG_HANDSHAKE, "[::1]:1"},
        {"{\"method\":3,\"data\":\"aGk=\"}", WST_MSG_COMMUNICATION, "hi"},
        {"{\"method\":3,\"dest\":null,\"data\":\"a\\u0047k\\u003d\",\"Data\":1}",
         WST_MSG_COMMUNICATION, "hi"},
        {"{\"method\":3,\"data\":\"Pz8\\/\"}", WST_MSG_COMMUNICATION, "???"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        wst_message_t m = {.size = sizeof(m)};
        uint8_t *copy;
        const char *why;
        size_t len = strlen(rows[i].text), expected = strlen(rows[i].content);
        if (read_guarded(&m, rows[i].text, len, &copy, &why) != 0)
            fail_msg("%s: %s", rows[i].text, why);
        assert_int_equal(m.method, rows[i].method);
        assert_int_equal(m.len + m.dest.len, expected);
        if (expected > 0)
            assert_memory_equal(m.len > 0 ? (const char *)m.data : m.dest.ptr, rows[i].content,
                                expected);
        test_guarded_free(copy, len);
    }
}

#define NO_METHOD "method is missing or no number"
#define NO_DEST   "handshake without a destination"
#define BAD_DEST  "malformed destination"
#define NO_BASE64 "data is not base64"
#define BAD_DATA  "communication without data or with too much"

static const struct refused {
    const char *text, *why;
} refused[] = {
    {"x", "not a JSON object"},
    {"[]", "not a JSON object"},
    {"{}", NO_METHOD},
    {"{\"method\":\"2\"}", NO_METHOD},
    {"{\"method\":null}", NO_METHOD},
    {"{\"method\":2.0}", NO_METHOD},
    {"{\"method\":-2}", NO_METHOD},
    {"{\"Method\":2}", NO_METHOD},
    {"{\"method\":2,\"method\":2}", "duplicate member in a JSON object"},
    {"{\"method\":2}x", "text behind the JSON object"},
    {"{\"method\":2", "',' or '}' expected in a JSON object"},
    {"{\"method\":2,\"a\":\"\\u0000\"}", "U+0000 in a JSON string"},
    {"{\"method\":2,\"a\":\"\xff\"}", "JSON text is not UTF-8"},
    {"{\"method\":0}", "unknown method"},
    {"{\"method\":4}", "unknown method"},
    {"{\"method\":4294967298}", "unknown method"}, /* 2 in 32 bits */
    {"{\"method\":1}", NO_DEST},
    {"{\"method\":1,\"dest\":null}", NO_DEST},
    {"{\"method\":1,\"dest\":1}", NO_DEST},
    {"{\"method\":1,\"dest\":\"\"}", BAD_DEST},
    {"{\"method\":1,\"dest\":\"a b:1\"}", BAD_DEST},
    {"{\"method\":1,\"dest\":\"a\\n:1\"}", BAD_DEST},
    {"{\"method\":1,\"DEST\":\"a:1\"}", NO_DEST},
    {"{\"method\":3}", NO_BASE64},
    {"{\"method\":3,\"data\":null}", NO_BASE64},
    {"{\"method\":3,\"data\":[\"aGk=\"]}", NO_BASE64},
    {"{\"method\":3,\"data\":\"aGk\"}", NO_BASE64},
    {"{\"method\":3,\"data\":\"aG k=\"}", NO_BASE64},
    {"{\"method\":3,\"data\":\"aGl=\"}", NO_BASE64}, /* unused bits */
    {"{\"method\":3,\"data\":\"aGk=\\n\"}", NO_BASE64},
    {"{\"method\":3,\"data\":\"_w==\"}", NO_BASE64},
    {"{\"method\":3,\"data\":\"\"}", BAD_DATA},
};

static void test_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        wst_message_t m = {.size = sizeof(m)};
        uint8_t *copy;
        const char *why;
        size_t len = strlen(refused[i].text);
        int status = read_guarded(&m, refused[i].text, len, &copy, &why);
        if (status != WST_EPROTO || strcmp(why, refused[i].why) != 0)
            fail_msg("%s: %d, %s", refused[i].text, status, why);
        test_guarded_free(copy, len);
    }
}

/* A text that is cut anywhere is no text. */
static void test_cut(void **state) {
    (void)state;
    static const char *const whole[] = {
        "{\"method\":1,\"dest\":\"a:1\",\"data\":null}",
        "{\"method\":3,\"dest\":\"\",\"data\":\"aGkA/w==\"}",
    };
    for (size_t i = 0; i < 2; i++) {
        for (size_t len = 0; len <= strlen(whole[i]); len++) {
            wst_message_t m = {.size = sizeof(m)};
            uint8_t *copy;
            const char *why;
            int status = read_guarded(&m, whole[i], len, &copy, &why);
            assert_int_equal(status, len < strlen(whole[i]) ? WST_EPROTO : 0);
            assert_true(status == 0 || why[0] != '\0');
            test_guarded_free(copy, len);
        }
    }
}

static void test_too_much_data(void **state) {
    (void)state;
    static char text[WST__TALK_MESSAGE_MAX + 8];
    static const char head[] = "{\"method\":3,\"data\":\"", tail[] = "\"}";
    size_t len = sizeof(head) - 1, base64 = (WST__TALK_DATA_MAX / 3 + 1) * 4;
    memcpy(text, head, len);
    memset(text + len, 'A', base64);
    len += base64;
    memcpy(text + len, tail, sizeof(tail) - 1);
    len += sizeof(tail) - 1;
    wst_message_t m = {.size = sizeof(m)};
    const char *why;
    /* 32769 bytes */
    assert_int_equal(wst__talk_read(&m, text, len, &why), WST_EPROTO);
    assert_string_equal(why, BAD_DATA);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written),         cmocka_unit_test(test_not_written),
        cmocka_unit_test(test_data_comes_back), cmocka_unit_test(test_odd_but_right),
        cmocka_unit_test(test_refused),         cmocka_unit_test(test_cut),
        cmocka_unit_test(test_too_much_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
