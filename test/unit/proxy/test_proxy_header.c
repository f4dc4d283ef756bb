/* SPDX-License-Identifier: MIT */
/* The header of the PROXY protocol: each form, at every split, and what is none. */
#include "proxy_header.h"
#include "support.h"

#include <stdio.h>
#include <string.h>
#include <wstunnel/error.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define FOUR      "\xc0\x00\x02\x07\xcb\x00\x71\x01\x12\x67\x01\xbb" /* 192.0.2.7:4711 */
#define SIX_FROM  "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"
#define SIX       SIX_FROM SIX_FROM "\x12\x67\x01\xbb"
#define TEN       "0123456789"
#define HUNDRED   TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

typedef struct outcome {
    int status;
    size_t used;
    char source[WST__IP_TEXT + 8]; /* "": the connection's own */
    const char *why;
} outcome_t;

/* Reads in pieces of these lengths, the last one over and over. */
static outcome_t read_in(const uint8_t *data, size_t len, size_t first, size_t piece) {
    wst__proxy_header_t h;
    outcome_t o = {.status = WST_WAIT};
    wst__proxy_header_init(&h);
    for (size_t n = first; o.used < len && o.status == WST_WAIT; n = piece) {
        size_t used;
        n = n < len - o.used ? n : len - o.used;
        o.status = wst__proxy_header_read(&h, data + o.used, n, &used, &o.why);
        assert_true(used <= n && (o.status != WST_WAIT || used == n));
        o.used += used;
    }
    if (o.status == 0 && h.has_source) {
        char ip[WST__IP_TEXT];
        wst__ip_text(ip, &h.source);
        snprintf(o.source, sizeof(o.source), "%s %u", ip, h.source_port);
    }
    return o;
}

/* The outcome, which is the same at every split. Reading behind the bytes would crash. */
static outcome_t read_header(const void *bytes, size_t len) {
    uint8_t *data = test_guarded(bytes, len);
    outcome_t whole = read_in(data, len, len, len);
    for (size_t first = 0; first <= len; first++) {
        outcome_t split = read_in(data, len, first > 0 ? first : 1, first > 0 ? len : 1);
        assert_int_equal(split.status, whole.status);
        assert_int_equal(split.used, whole.used);
        assert_string_equal(split.source, whole.source);
    }
    test_guarded_free(data, len);
    return whole;
}

typedef struct valid {
    const char *data;
    size_t len;
    const char *source;
} valid_t;

#define BYTES(text) text, sizeof(text) - 1

static const valid_t valid[] = {
    {BYTES("PROXY TCP4 192.0.2.7 203.0.113.1 4711 443\r\n"), "192.0.2.7 4711"},
    {BYTES("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), "255.255.255.255 65535"},
    {BYTES("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"), "0.0.0.0 0"},
    {BYTES("PROXY TCP6 2001:DB8::7 2001:db8::1 4711 443\r\n"), "2001:db8::7 4711"},
    {BYTES("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
           "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
     "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535"},
    {BYTES("PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n"), "192.0.2.7 1"},
    {BYTES("PROXY TCP6 2001:db8::7 127.0.0.1 4711 443\r\n"), "2001:db8::7 4711"}, /* nginx */
    {BYTES("PROXY UNKNOWN\r\n"), ""},
    {BYTES("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
           "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
     ""},
    {BYTES("PROXY UNKNOWN what\rever\r\n"), ""},
    {BYTES(SIGNATURE "\x21\x11\0\x0c" FOUR), "192.0.2.7 4711"},
    {BYTES(SIGNATURE "\x21\x11\0\x11" FOUR "\x04\0\x02xx"), "192.0.2.7 4711"},
    {BYTES(SIGNATURE "\x21\x11\0\x0f" FOUR "\xff\xff\xff"), "192.0.2.7 4711"}, /* not read */
    {BYTES(SIGNATURE "\x21\x21\0\x24" SIX), "2001:db8::7 4711"},
    {BYTES(SIGNATURE "\x21\x21\0\x2e" SIX TEN), "2001:db8::7 4711"},
    {BYTES(SIGNATURE "\x21\x31\0\xd8" HUNDRED HUNDRED TEN "123456"), ""}, /* AF_UNIX */
    {BYTES(SIGNATURE "\x21\x32\0\xdb" HUNDRED HUNDRED TEN "123456789"), ""},
    {BYTES(SIGNATURE "\x21\x12\0\x0c" FOUR), ""}, /* UDP: falls back to UNSPEC */
    {BYTES(SIGNATURE "\x21\x22\0\x24" SIX), ""},
    {BYTES(SIGNATURE "\x21\x00\0\x00"), ""},
    {BYTES(SIGNATURE "\x21\x00\0\x0a" TEN), ""},
    {BYTES(SIGNATURE "\x21\x01\0\x00"), ""},
    {BYTES(SIGNATURE "\x21\x10\0\x00"), ""},
    {BYTES(SIGNATURE "\x20\x00\0\x00"), ""}, /* LOCAL: whatever the family */
    {BYTES(SIGNATURE "\x20\x11\0\x0c" FOUR), ""},
    {BYTES(SIGNATURE "\x20\x11\0\x00"), ""},
    {BYTES(SIGNATURE "\x20\xff\0\x0a" TEN), ""},
};
enum { VALID = sizeof(valid) / sizeof(valid[0]) };

static void test_valid(void **state) {
    (void)state;
    static const char behind[] = "PROXY TCP4 \r\n";
    for (size_t i = 0; i < VALID; i++) {
        char both[512];
        outcome_t o = read_header(valid[i].data, valid[i].len);
        if (o.status != 0 || o.used != valid[i].len || strcmp(o.source, valid[i].source) != 0)
            fail_msg("%zu: %d, %zu used, '%s'", i, o.status, o.used, o.source);
        /* What follows is not looked at. */
        memcpy(both, valid[i].data, valid[i].len);
        memcpy(both + valid[i].len, behind, sizeof(behind));
        o = read_header(both, valid[i].len + sizeof(behind));
        assert_int_equal(o.status, 0);
        assert_int_equal(o.used, valid[i].len);
        /* Without its last byte it is not complete. */
        assert_int_equal(read_header(valid[i].data, valid[i].len - 1).status, WST_WAIT);
    }
}

static void test_invalid(void **state) {
    (void)state;
    static const struct {
        const char *data;
        size_t len, used; /* until it is refused */
        const char *why;
    } cases[] = {
        {BYTES("GET / HTTP/1.1\r\n"), 1, "no PROXY header"},
        {BYTES("\x16\x03\x01"), 1, "no PROXY header"},
        {BYTES("\5\1\0"), 1, "no PROXY header"},
        {BYTES("POST /"), 2, "no PROXY header"},
        {BYTES("PROXy TCP4"), 5, "no PROXY header"},
        {BYTES("PROXY\tTCP4"), 6, "no PROXY header"},
        {BYTES("\r\nGET / HTTP/1.1\r\n"), 3, "no PROXY header"},
        {BYTES("\r\n\r\n\0\r\nQUIT\r"), 12, "no PROXY header"},
        {BYTES("PROXY \r\n"), 8, "malformed PROXY header"},
        {BYTES("PROXY UNKNOWN\n"), 14, "malformed PROXY header"},
        {BYTES("PROXY \n"), 7, "malformed PROXY header"},
        {BYTES("PROXY unknown\r\n"), 15, "malformed PROXY header"},
        {BYTES("PROXY UNKNOWNS\r\n"), 16, "malformed PROXY header"},
        {BYTES("PROXY TCP4\r\n"), 12, "malformed PROXY header"},
        {BYTES("PROXY  TCP4 1.2.3.4 1.2.3.4 1 1\r\n"), 33, "malformed PROXY header"},
        {BYTES("PROXY TCP4  1.2.3.4 1.2.3.4 1 1\r\n"), 33, "malformed PROXY header"},
        {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 1 \r\n"), 33, "malformed PROXY header"},
        {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 1 1\r\n"), 34, "malformed PROXY header"},
        {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"), 30, "malformed PROXY header"},
        {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n"), 31, "malformed PROXY header"},
        {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n"), 36, "malformed PROXY header"},
        {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n"), 33, "malformed PROXY header"},
        {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 +1 1\r\n"), 33, "malformed PROXY header"},
        {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 000001\r\n"), 37, "malformed PROXY header"},
        {BYTES("PROXY TCP4 1.2.3.04 1.2.3.4 1 1\r\n"), 33, "malformed PROXY header"},
        {BYTES("PROXY TCP4 1.2.3 1.2.3.4 1 1\r\n"), 30, "malformed PROXY header"},
        {BYTES("PROXY TCP4 ::1 ::1 1 1\r\n"), 24, "malformed PROXY header"},
        {BYTES("PROXY TCP6 1.2.3.4 1.2.3.4 1 1\r\n"), 32, "malformed PROXY header"},
        {BYTES("PROXY TCP6 fe80::1%lo ::1 1 1\r\n"), 31, "malformed PROXY header"},
        {BYTES("PROXY TCP6 [::1] ::1 1 1\r\n"), 26, "malformed PROXY header"},
        {BYTES("PROXY UDP4 1.2.3.4 1.2.3.4 1 1\r\n"), 32, "malformed PROXY header"},
        {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 1\rX\r\n"), 34, "malformed PROXY header"},
        {BYTES("PROXY TCP4 1.2.3.4\0 1.2.3.4 1 1\r\n"), 33, "malformed PROXY header"},
        {BYTES("PROXY UNKNOWN " HUNDRED "\r\n"), 107, "PROXY header too long"},
        {BYTES(SIGNATURE "\x11\x11\0\x0c" FOUR), 16, "malformed PROXY header"}, /* version */
        {BYTES(SIGNATURE "\x31\x11\0\x0c" FOUR), 16, "malformed PROXY header"},
        {BYTES(SIGNATURE "\x22\x11\0\x0c" FOUR), 16, "malformed PROXY header"}, /* command */
        {BYTES(SIGNATURE "\x21\x41\0\x0c" FOUR), 16, "malformed PROXY header"}, /* family */
        {BYTES(SIGNATURE "\x21\x13\0\x0c" FOUR), 16, "malformed PROXY header"}, /* transport */
        {BYTES(SIGNATURE "\x21\x11\0\x0b" FOUR), 16, "malformed PROXY header"}, /* length */
        {BYTES(SIGNATURE "\x21\x12\0\x0b" FOUR), 16, "malformed PROXY header"},
        {BYTES(SIGNATURE "\x21\x21\0\x23" SIX), 16, "malformed PROXY header"},
        {BYTES(SIGNATURE "\x21\x31\0\xd7" HUNDRED HUNDRED TEN "123456"), 16,
         "malformed PROXY header"},
        {BYTES(SIGNATURE "\x21\x11\x0f\xf1" FOUR), 16, "PROXY header too long"},
        {BYTES(SIGNATURE "\x20\x00\xff\xff"), 16, "PROXY header too long"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        outcome_t o = read_header(cases[i].data, cases[i].len);
        if (o.status != WST_EPROTO || o.used != cases[i].used || strcmp(o.why, cases[i].why) != 0)
            fail_msg("%zu: %d, %zu used, %s", i, o.status, o.used, o.why);
    }
}

/* As long as is taken, and no byte of it kept. */
static void test_longest(void **state) {
    (void)state;
    enum { LEN = WST__PROXY_HEADER_MAX };
    static uint8_t data[LEN + 1];
    memcpy(data, SIGNATURE "\x21\x11\x0f\xf0" FOUR, 28);
    outcome_t o = read_in(data, sizeof(data), 1, 1);
    assert_int_equal(o.status, 0);
    assert_int_equal(o.used, LEN);
    assert_string_equal(o.source, "192.0.2.7 4711");
    assert_int_equal(read_in(data, LEN - 1, 700, 700).status, WST_WAIT);
}

static size_t below(uint64_t *seed, size_t bound) {
    return (size_t)(test_random(seed) % bound);
}

/* Headers changed at random: the same outcome however they are split, within the bounds, and never
 * a source without a whole header. */
static void test_random_changes(void **state) {
    (void)state;
    enum { ROUNDS = 200000 };
    size_t complete = 0, refused = 0;
    uint64_t seed, count;
    test_seeds(&seed, &count, 1);
    for (int i = 0; i < ROUNDS * (int)count; i++) {
        uint8_t data[640];
        const valid_t *v = &valid[below(&seed, VALID)];
        size_t len = v->len + below(&seed, 8);
        memset(data, 0x55, sizeof(data));
        memcpy(data, v->data, v->len);
        for (size_t n = below(&seed, 4); n > 0; n--)
            data[below(&seed, len)] = (uint8_t)below(&seed, 256);
        if (below(&seed, 4) == 0)
            len = below(&seed, len + 1);
        outcome_t a = read_in(data, len, len, len);
        outcome_t b = read_in(data, len, 1 + below(&seed, 20), 1 + below(&seed, 40));
        assert_int_equal(a.status, b.status);
        assert_int_equal(a.used, b.used);
        assert_string_equal(a.source, b.source);
        assert_true(a.status == 0 || a.status == WST_WAIT || a.status == WST_EPROTO);
        assert_true(a.status != WST_WAIT || a.used == len);
        complete += a.status == 0;
        refused += a.status == WST_EPROTO;
    }
    assert_true(complete > ROUNDS / 20 && refused > ROUNDS / 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_longest),
        cmocka_unit_test(test_random_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
