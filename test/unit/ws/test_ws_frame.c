/* SPDX-License-Identifier: MIT */
/* Heads of frames and masking, each byte of which must be right at every length and offset. */
#include "support.h"
#include "ws_frame.h"

/* RFC 6455 section 5.7: the lengths at which the form of a head changes. */
static void test_write_and_parse(void **state) {
    (void)state;
    static const uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d};
    static const struct {
        uint64_t len;
        size_t head_len;
        uint8_t bytes[10];
    } cases[] = {
        {0, 2, {0x82, 0}},
        {125, 2, {0x82, 125}},
        {126, 4, {0x82, 126, 0, 126}},
        {256, 4, {0x82, 126, 1, 0}},
        {65535, 4, {0x82, 126, 0xff, 0xff}},
        {65536, 10, {0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0}},
        {INT64_MAX, 10, {0x82, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (int masked = 0; masked <= 1; masked++) {
            uint8_t head[WST__FRAME_HEAD_MAX];
            uint8_t expected[WST__FRAME_HEAD_MAX];
            size_t n = cases[i].head_len;
            memcpy(expected, cases[i].bytes, n);
            if (masked) {
                expected[1] |= 0x80;
                memcpy(expected + n, key, 4);
                n += 4;
            }
            assert_int_equal(
                wst__frame_write(head, WST__OP_BINARY, cases[i].len, masked ? key : NULL), n);
            assert_memory_equal(head, expected, n);
            assert_int_equal(wst__frame_head_len(head), n);

            uint8_t *guarded = test_guarded(head, n);
            wst__frame_t frame;
            assert_null(wst__frame_parse(&frame, guarded, masked));
            assert_int_equal(frame.opcode, WST__OP_BINARY);
            assert_true(frame.fin);
            assert_int_equal(frame.masked, masked);
            assert_int_equal(frame.len, cases[i].len);
            if (masked)
                assert_memory_equal(frame.key, key, 4);
            assert_non_null(wst__frame_parse(&frame, guarded, !masked));
            test_guarded_free(guarded, n);
        }
    }
}

/* All first bytes: only five opcodes, no reserved bit, no fragment of a control frame. */
static void test_first_byte(void **state) {
    (void)state;
    for (unsigned first = 0; first < 256; first++) {
        const uint8_t head[2] = {(uint8_t)first, 3};
        unsigned opcode = first & 15;
        bool data = opcode <= 2, control = opcode >= 8 && opcode <= 10;
        bool good = (first & 0x70) == 0 && (data || (control && (first & 0x80) != 0));
        wst__frame_t frame;
        assert_int_equal(wst__frame_parse(&frame, head, false) == NULL, good);
        assert_int_equal(frame.opcode, opcode);
        assert_int_equal(frame.fin, first >> 7);
        assert_int_equal(wst__frame_is_control(&frame), opcode >= 8);
    }
}

static void test_lengths_refused(void **state) {
    (void)state;
    static const uint8_t bad[][10] = {
        {0x82, 126, 0, 0},
        {0x82, 126, 0, 125},
        {0x82, 127, 0, 0, 0, 0, 0, 0, 0, 0},
        {0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff},
        {0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0},
        {0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
        {0x89, 126, 0, 126},
        {0x8a, 127, 0, 0, 0, 0, 0, 1, 0, 0},
        {0x88, 1},
    };
    wst__frame_t frame;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_non_null(wst__frame_parse(&frame, bad[i], false));
}

static void test_mask(void **state) {
    (void)state;
    enum { MAX = 200 };
    static const uint8_t key[4] = {0x01, 0x23, 0x45, 0x89};
    uint8_t plain[MAX], expected[MAX], out[MAX];
    uint64_t seed = 3;
    for (size_t i = 0; i < MAX; i++)
        plain[i] = (uint8_t)(test_random(&seed) >> 24);
    for (size_t len = 0; len <= MAX; len++) {
        uint8_t *guarded = test_guarded(plain, len);
        for (uint64_t offset = 0; offset < 9; offset++) {
            for (size_t i = 0; i < len; i++)
                expected[i] = plain[i] ^ key[(offset + i) % 4];
            memset(out, 0, sizeof(out));
            wst__frame_mask(out, guarded, len, key, offset);
            assert_memory_equal(out, expected, len);
            if (len < MAX)
                assert_int_equal(out[len], 0); /* not one byte more */
            wst__frame_mask(guarded, guarded, len, key, offset);
            assert_memory_equal(guarded, expected, len);
            wst__frame_mask(guarded, guarded, len, key, offset);
            assert_memory_equal(guarded, plain, len);
        }
        test_guarded_free(guarded, len);
    }
}

/* In two parts it is the same as in one, far into a frame too. */
static void test_mask_in_parts(void **state) {
    (void)state;
    static const uint8_t key[4] = {0xde, 0xad, 0xbe, 0xef};
    for (size_t split = 0; split <= 150; split++) {
        uint8_t whole[150] = {0}, parts[150] = {0};
        uint64_t offset = UINT64_C(0xfffffffffe) + split;
        wst__frame_mask(whole, whole, sizeof(whole), key, offset);
        wst__frame_mask(parts, parts, split, key, offset);
        wst__frame_mask(parts + split, parts + split, sizeof(parts) - split, key, offset + split);
        assert_memory_equal(whole, parts, sizeof(whole));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_and_parse), cmocka_unit_test(test_first_byte),
        cmocka_unit_test(test_lengths_refused), cmocka_unit_test(test_mask),
        cmocka_unit_test(test_mask_in_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
