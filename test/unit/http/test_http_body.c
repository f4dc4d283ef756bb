/* SPDX-License-Identifier: MIT */
/* Bodies of HTTP messages: how they are framed, where they end, what of them is payload, what is
 * refused; and that none of that depends on how the bytes come in. */
#include "support.h"

#include <stdio.h>
#include <wstunnel/error.h>

#include "http_body.h"

enum { INPUT_MAX = 20000 };

/* What a walk has come to. */
typedef struct walked {
    size_t wire; /* bytes that belong to the message */
    char payload[INPUT_MAX];
    size_t payload_len;
    int rc;
} walked_t;

/* Walks over one piece, in a copy that ends at a guarded page; with `runs`, run by run. */
static void walk_piece(wst_http_body_t *body, walked_t *w, const char *piece, size_t len,
                       bool runs) {
    const char *copy = (const char *)test_guarded(piece, len);
    size_t at = 0;
    while (at < len && !body->complete && w->rc >= 0) {
        wst_str_t payload = {NULL, 0};
        w->rc = wst_http_body_walk(body, copy + at, len - at, runs ? &payload : NULL);
        if (w->rc < 0)
            break;
        assert_true((size_t)w->rc <= len - at);
        assert_true(w->rc > 0);
        if (!runs)
            assert_true((size_t)w->rc == len - at || body->complete);
        if (payload.len > 0) {
            assert_true(payload.ptr >= copy + at && payload.ptr + payload.len <= copy + len);
            memcpy(w->payload + w->payload_len, payload.ptr, payload.len);
            w->payload_len += payload.len;
        }
        at += (size_t)w->rc;
    }
    w->wire += at;
    test_guarded_free((uint8_t *)(uintptr_t)copy, len);
}

/*
 * The result as text: "!why", or the payload with, behind a bar, "+3" (bytes that follow) or "..."
 * (incomplete), and "forbidden" for a forbidden trailer field.
 */
static void describe(char *out, size_t size, const wst_http_body_t *body, const walked_t *w,
                     size_t len) {
    if (w->rc < 0) {
        assert_int_equal(w->rc, WST_EHTTP);
        snprintf(out, size, "!%s", body->error);
        return;
    }
    assert_null(body->error);
    char rest[32] = "...";
    if (body->complete)
        snprintf(rest, sizeof(rest), "+%zu", len - w->wire);
    snprintf(out, size, "%.*s|%s%s", (int)w->payload_len, w->payload, rest,
             body->forbidden_trailer ? " forbidden" : "");
}

static walked_t walked; /* large */

/* Feeds `input` in pieces: up to `split`, then `step` bytes each. */
static void feed(wst_http_body_t *body, const char *input, size_t len, size_t split, size_t step,
                 bool runs) {
    walked.wire = walked.payload_len = 0;
    walked.rc = 0;
    walk_piece(body, &walked, input, split, runs);
    for (size_t at = split; at < len; at += step)
        walk_piece(body, &walked, input + at, len - at < step ? len - at : step, runs);
}

/* Whatever way it comes in, `input` behind the start of a body must give `expect`. */
static void check(const wst_http_body_t *start, const char *name, const char *input, size_t len,
                  const char *expect) {
    char got[INPUT_MAX + 64];
    for (size_t split = 0; split <= len; split++) {
        for (int way = 0; way < 4; way++) {
            wst_http_body_t body = *start;
            bool runs = way < 2;
            feed(&body, input, len, split, way % 2 == 0 ? len : 1, runs);
            describe(got, sizeof(got), &body, &walked, len);
            /* Without runs the payload is only counted. */
            if (!runs && walked.rc >= 0) {
                const char *bar = strchr(expect, '|');
                assert_non_null(bar);
                assert_string_equal(strchr(got, '|'), bar);
                assert_int_equal(body.payload_length, bar - expect);
            } else if (strcmp(got, expect) != 0) {
                fail_msg("%s: split at %zu gives %s", name, split, got);
            }
            if (walked.rc < 0) { /* it stays */
                assert_int_equal(wst_http_body_walk(&body, "0\r\n\r\n", 5, NULL), WST_EHTTP);
                assert_int_equal(wst_http_body_end(&body), WST_EHTTP);
            }
        }
    }
}

/* ---- how a message is framed ---- */

static wst_http_body_t of_request(const char *text) {
    wst_http_head_t head;
    wst_http_body_t body;
    size_t len = strlen(text);
    assert_int_equal(wst_http_parse_request(&head, text, len, &(size_t){0}, NULL), len);
    memset(&body, 0xa5, sizeof(body));
    wst_http_body_request(&body, &head);
    return body;
}

static wst_http_body_t of_response(const char *text, const char *method) {
    wst_http_head_t head;
    wst_http_body_t body;
    size_t len = strlen(text);
    assert_int_equal(wst_http_parse_response(&head, text, len, &(size_t){0}, NULL), len);
    memset(&body, 0xa5, sizeof(body));
    wst_http_body_response(&body, &head, (wst_str_t){method, strlen(method)});
    return body;
}

static wst_http_body_t chunked(void) {
    return of_request("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
}

static void test_framing_of_requests(void **state) {
    (void)state;
    static const struct {
        const char *head;
        wst_http_framing_t framing;
        bool complete;
    } vectors[] = {
        /* RFC 9112 section 6.3, items 7, 4, 6 */
        {"GET / HTTP/1.1\r\n\r\n", WST_HTTP_NO_BODY, true},
        {"POST / HTTP/1.0\r\n\r\n", WST_HTTP_NO_BODY, true},
        {"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", WST_HTTP_CHUNKED, false},
        {"GET / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", WST_HTTP_CHUNKED, false},
        {"HEAD / HTTP/1.1\r\nContent-Length: 1\r\n\r\n", WST_HTTP_LENGTH, false},
        {"PUT / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", WST_HTTP_LENGTH, true},
        /* RFC 9110 section 9.3.6 */
        {"CONNECT a:1 HTTP/1.1\r\nContent-Length: 5\r\n\r\n", WST_HTTP_NO_BODY, true},
        {"CONNECT a:1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", WST_HTTP_NO_BODY, true},
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        wst_http_body_t body = of_request(vectors[i].head);
        if (body.framing != vectors[i].framing || body.complete != vectors[i].complete)
            fail_msg("%s: %d", vectors[i].head, (int)body.framing);
        assert_int_equal(body.payload_length, 0);
        assert_false(body.forbidden_trailer);
        assert_null(body.error);
    }
}

static void test_framing_of_responses(void **state) {
    (void)state;
    static const struct {
        const char *method, *head;
        wst_http_framing_t framing;
    } vectors[] = {
        /* RFC 9112 section 6.3, item 1 */
        {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", WST_HTTP_NO_BODY},
        {"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", WST_HTTP_NO_BODY},
        {"HEAD", "HTTP/1.1 404 No\r\n\r\n", WST_HTTP_NO_BODY},
        {"POST", "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n", WST_HTTP_NO_BODY},
        {"GET", "HTTP/1.1 101 Switch\r\nTransfer-Encoding: chunked\r\n\r\n", WST_HTTP_NO_BODY},
        {"GET", "HTTP/1.1 199 What\r\n\r\n", WST_HTTP_NO_BODY},
        {"PUT", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", WST_HTTP_NO_BODY},
        {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", WST_HTTP_NO_BODY},
        /* item 2 */
        {"CONNECT", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", WST_HTTP_NO_BODY},
        {"CONNECT", "HTTP/1.1 299 OK\r\nTransfer-Encoding: chunked\r\n\r\n", WST_HTTP_NO_BODY},
        {"CONNECT", "HTTP/1.1 300 No\r\nContent-Length: 5\r\n\r\n", WST_HTTP_LENGTH},
        {"CONNECT", "HTTP/1.1 407 No\r\n\r\n", WST_HTTP_UNTIL_CLOSE},
        /* items 4, 6, 8 */
        {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", WST_HTTP_CHUNKED},
        {"GET", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", WST_HTTP_LENGTH},
        {"GET", "HTTP/1.1 200 OK\r\n\r\n", WST_HTTP_UNTIL_CLOSE},
        {"GET", "HTTP/1.1 205 Reset\r\n\r\n", WST_HTTP_UNTIL_CLOSE},
        /* methods are compared with their case */
        {"head", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", WST_HTTP_LENGTH},
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        wst_http_body_t body = of_response(vectors[i].head, vectors[i].method);
        if (body.framing != vectors[i].framing)
            fail_msg("%s: %s: %d", vectors[i].method, vectors[i].head, (int)body.framing);
        assert_int_equal(body.complete, body.framing == WST_HTTP_NO_BODY);
    }
}

static void test_no_body(void **state) {
    (void)state;
    wst_http_body_t body = of_request("GET / HTTP/1.1\r\n\r\n");
    check(&body, "pipelined", "GET /2", 6, "|+6");
    wst_str_t payload = {"x", 1};
    assert_int_equal(wst_http_body_walk(&body, "GET /2", 6, &payload), 0);
    assert_int_equal(payload.len, 0);
    assert_int_equal(wst_http_body_end(&body), 0);
}

static void test_length(void **state) {
    (void)state;
    wst_http_body_t five = of_request("PUT / HTTP/1.1\r\nContent-Length: 5\r\n\r\n");
    check(&five, "exact", "hello", 5, "hello|+0");
    check(&five, "more", "helloGET", 8, "hello|+3");
    check(&five, "less", "hell", 4, "hell|...");
    check(&five, "no framing", "0\r\n\r\n", 5, "0\r\n\r\n|+0");
    wst_http_body_t none = of_request("PUT / HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
    check(&none, "none", "GET", 3, "|+3");
    wst_http_body_t most =
        of_request("PUT / HTTP/1.1\r\nContent-Length: 9223372036854775807\r\n\r\n");
    check(&most, "greatest", "x", 1, "x|...");
}

static void test_end_of_connection(void **state) {
    (void)state;
    wst_http_body_t open = of_response("HTTP/1.1 200 OK\r\n\r\n", "GET");
    check(&open, "until close", "0\r\n\r\n", 5, "0\r\n\r\n|...");
    assert_false(open.complete);
    assert_int_equal(wst_http_body_end(&open), 0);
    assert_true(open.complete);
    assert_int_equal(wst_http_body_walk(&open, "x", 1, NULL), 0);

    wst_http_body_t five = of_request("PUT / HTTP/1.1\r\nContent-Length: 5\r\n\r\n");
    assert_int_equal(wst_http_body_walk(&five, "hello", 4, NULL), 4);
    wst_http_body_t cut = five;
    assert_int_equal(wst_http_body_end(&cut), WST_EHTTP);
    assert_string_equal(cut.error, "connection closed within the body");
    assert_int_equal(wst_http_body_walk(&cut, "o", 1, NULL), WST_EHTTP);
    assert_int_equal(wst_http_body_walk(&five, "o", 1, NULL), 1);
    assert_int_equal(wst_http_body_end(&five), 0);

    /* RFC 9112 section 8: a chunked one is complete with its very last byte, not before. */
    const char *text = "3\r\nabc\r\n0\r\nA: b\r\n\r\n";
    for (size_t len = 0; len <= strlen(text); len++) {
        wst_http_body_t body = chunked();
        assert_int_equal(wst_http_body_walk(&body, text, len, NULL), len);
        bool all = len == strlen(text);
        assert_int_equal(body.complete, all);
        assert_int_equal(wst_http_body_end(&body), all ? 0 : WST_EHTTP);
    }
}

/* ---- chunked ---- */

typedef struct vector {
    const char *name, *input, *expect;
} vector_t;

static const char not_hex[] = "!chunk size is not a hexadecimal number";
static const char too_large[] = "!chunk size too large";
static const char extension[] = "!malformed chunk extension";
static const char no_lf[] = "!carriage return without line feed";
static const char no_crlf[] = "!no CR LF behind a chunk";
static const char no_field[] = "!trailer field is not a token followed by a colon";

static const vector_t chunks[] = {
    /* RFC 9112 section 7.1 */
    {"one", "5\r\nhello\r\n0\r\n\r\n", "hello|+0"},
    {"none", "0\r\n\r\n", "|+0"},
    {"two, and what follows", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nGET", "abcde|+3"},
    {"hexadecimal", "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789|+0"},
    {"two digits", "10\r\n0123456789abcdef\r\n0\r\n\r\n", "0123456789abcdef|+0"},
    {"padded", "0000000000000003\r\nabc\r\n0000000000000000\r\n\r\n", "abc|+0"},
    {"framing inside", "9\r\n0\r\n\r\n5\r\nx\r\n0\r\n\r\n", "0\r\n\r\n5\r\nx|+0"},
    {"greatest", "7fffffffffffffff\r\nx", "x|..."},
    {"incomplete", "3\r\nab", "ab|..."},
    {"no last chunk", "3\r\nabc\r\n", "abc|..."},
    {"empty trailer to come", "0\r\n", "|..."},
    {"half of the end", "0\r\n\r", "|..."},

    {"too large by one", "8000000000000000\r\n", too_large},
    {"wraps to 5 in 64 bits", "10000000000000005\r\nhello\r\n0\r\n\r\n", too_large},
    {"wraps to 5 in 32 bits", "100000005\r\nhello\r\n0\r\n\r\n", "hello\r\n0\r\n\r\n|..."},
    {"17 digits", "00000000000000003\r\nabc\r\n0\r\n\r\n", too_large},
    {"17 zeros", "00000000000000000\r\n\r\n", too_large},
    {"prefix", "0x3\r\nabc\r\n0\r\n\r\n", not_hex},
    {"sign", "+3\r\nabc\r\n0\r\n\r\n", not_hex},
    {"minus", "-1\r\n", not_hex},
    {"no size", "\r\nabc\r\n0\r\n\r\n", not_hex},
    {"only an extension", ";a\r\n", not_hex},
    {"no hexadecimal", "g\r\n", not_hex},
    {"underscore", "1_0\r\n", not_hex},
    {"space before", " 3\r\nabc\r\n0\r\n\r\n", not_hex},
    {"tab before", "\t3\r\nabc\r\n0\r\n\r\n", not_hex},
    {"space behind", "3 \r\nabc\r\n0\r\n\r\n", not_hex},
    {"tab behind", "3\t\r\nabc\r\n0\r\n\r\n", not_hex},
    {"vertical tab", "3\x0b\r\nabc\r\n0\r\n\r\n", not_hex},
    {"comma", "3,\r\nabc\r\n0\r\n\r\n", not_hex},
    {"bare LF", "3\nabc\r\n0\r\n\r\n", not_hex},
    {"bare CR", "3\rabc\r\n0\r\n\r\n", no_lf},
    {"two CR", "3\r\r\nabc\r\n0\r\n\r\n", no_lf},
    {"chunk too long", "3\r\nabcd\r\n0\r\n\r\n", no_crlf},
    {"chunk too short", "3\r\nab\r\n0\r\n\r\n", no_crlf},
    {"bare LF behind it", "3\r\nabc\n0\r\n\r\n", no_crlf},
    {"bare CR behind it", "3\r\nabc\r0\r\n\r\n", no_crlf},
    {"nothing behind it", "3\r\nabc0\r\n\r\n", no_crlf},
    {"bare LF at last", "0\n\n", not_hex},
    {"bare LF at the very last", "0\r\n\n", no_field},
    {"bare CR at the very last", "0\r\n\rGET", no_lf},

    /* section 7.1.1: extensions */
    {"name", "3;a\r\nabc\r\n0;last\r\n\r\n", "abc|+0"},
    {"value", "3;a=b\r\nabc\r\n0\r\n\r\n", "abc|+0"},
    {"quoted", "3;a=\"b;\tc\xff\"\r\nabc\r\n0\r\n\r\n", "abc|+0"},
    {"escaped", "3;a=\"\\\"\\\\\"\r\nabc\r\n0\r\n\r\n", "abc|+0"},
    {"empty string", "3;a=\"\"\r\nabc\r\n0\r\n\r\n", "abc|+0"},
    {"several", "3;a;b=c;d=\"e\";f\r\nabc\r\n0;g=1;h\r\n\r\n", "abc|+0"},
    {"empty", "3;\r\nabc\r\n0\r\n\r\n", extension},
    {"empty between", "3;a;;b\r\n", extension},
    {"no value", "3;a=\r\n", extension},
    {"no value, another", "3;a=;b\r\n", extension},
    {"no name", "3;=b\r\n", extension},
    {"space before", "3 ;a\r\n", not_hex},
    {"space before the name", "3; a\r\n", extension},
    {"space behind the name", "3;a \r\n", extension},
    {"space before =", "3;a =b\r\n", extension},
    {"space behind =", "3;a= b\r\n", extension},
    {"space behind the value", "3;a=b \r\n", extension},
    {"space behind the string", "3;a=\"b\" \r\n", extension},
    {"text behind the string", "3;a=\"b\"c\r\n", extension},
    {"value no token", "3;a=b=c\r\n", extension},
    {"bare LF in it", "3;a\nabc\r\n0\r\n\r\n", extension},
    {"bare LF in a value", "3;a=b\n", extension},
    {"bare LF in a string", "3;a=\"\n\"\r\n", extension},
    {"line end in a string", "3;a=\"\r\n0\r\n\r\n", extension},
    {"escaped CR", "3;a=\"\\\r\n", extension},
    {"bare CR", "3;a\rabc", no_lf},

    /* section 7.1.2: the trailer section */
    {"trailer", "0\r\nA: b\r\n\r\nGET", "|+3"},
    {"two", "3\r\nabc\r\n0\r\nA: b\r\nX-Checksum:\t c\xff \r\n\r\n", "abc|+0"},
    {"empty value", "0\r\nA:\r\n\r\n", "|+0"},
    {"nearly forbidden", "0\r\nHos: a\r\nHost2: b\r\nX-Host: c\r\n\r\n", "|+0"},
    {"forbidden name, longer by one", "0\r\nIf-Unmodified-Since2: a\r\n\r\n", "|+0"},
    {"long name",
     "0\r\nContent-LengthContent-LengthContent-LengthContent-Length: 5\r\n"
     "XXXXXXXXXXXXXXXXXXXXHost: a\r\n\r\n",
     "|+0"},
    {"forbidden: framing (9110, 6.5.1)", "0\r\nA: b\r\ncontent-LENGTH: 5\r\nC: d\r\n\r\n",
     "|+0 forbidden"},
    {"forbidden: routing", "0\r\nHost: a\r\n\r\n", "|+0 forbidden"},
    {"forbidden: the longest", "0\r\nIf-Unmodified-Since: a\r\n\r\n", "|+0 forbidden"},
    {"forbidden: known when named", "0\r\nTransfer-Encoding:", "|... forbidden"},
    {"folded (5.2)", "0\r\nA: b\r\n c\r\n\r\n", no_field},
    {"folded, tab", "0\r\nA: b\r\n\tc\r\n\r\n", no_field},
    {"space before the colon", "0\r\nA : b\r\n\r\n", no_field},
    {"no colon", "0\r\nA\r\n\r\n", no_field},
    {"no name", "0\r\n: b\r\n\r\n", no_field},
    {"a request behind", "0\r\nGET / HTTP/1.1\r\n\r\n", no_field},
    {"another chunk behind", "0\r\n3\r\nabc\r\n", no_field},
    {"bare LF behind a field", "0\r\nA: b\n\r\n", "!control character in a trailer field"},
    {"bare CR in a field", "0\r\nA: b\rc\r\n\r\n", no_lf},
    {"control character", "0\r\nA: \x01\r\n\r\n", "!control character in a trailer field"},
};

static void test_chunks(void **state) {
    (void)state;
    wst_http_body_t start = chunked();
    for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++)
        check(&start, chunks[i].name, chunks[i].input, strlen(chunks[i].input), chunks[i].expect);
}

/* Each byte value at a place of a chunked body: taken exactly if it is among `legal`. */
static void check_bytes(const char *before, const char *behind, const char *legal) {
    for (unsigned c = 0; c < 256; c++) {
        char input[100];
        int len = snprintf(input, sizeof(input), "%s%c%s", before, 'x', behind);
        input[strlen(before)] = (char)c;
        wst_http_body_t body = chunked();
        int rc = wst_http_body_walk(&body, input, (size_t)len, NULL);
        bool ok = c != 0 && strchr(legal, (int)c) != NULL;
        if ((rc == len && body.complete) != ok)
            fail_msg("byte %02x behind \"%s\": %d %s", c, before, rc, ok ? body.error : "");
    }
}

#define DIGITS  "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define TCHARS  "!#$%&'*+-.^_`|~" DIGITS LETTERS

static void test_every_byte(void **state) {
    (void)state;
    char text[256];
    size_t n = 0;
    text[n++] = '\t';
    for (unsigned c = 0x20; c < 256; c++) {
        if (c != 0x7f && c != '"' && c != '\\')
            text[n++] = (char)c;
    }
    text[n] = '\0';
    check_bytes("", "1\r\n0123456789abcdef0\r\n0\r\n\r\n", "1");
    check_bytes("0", "0\r\n\r\n", "0;"); /* behind other digits data would have to come */
    check_bytes("0;", "b\r\n\r\n", TCHARS);
    check_bytes("0;a", "b\r\n\r\n", TCHARS ";=");
    check_bytes("0;a=", "b\r\n\r\n", TCHARS);
    check_bytes("0;a=b", "c\r\n\r\n", TCHARS ";");
    check_bytes("0;a=\"", "\"\r\n\r\n", text);
    check_bytes("0;a=\"\"", "a\r\n\r\n", ";");
    check_bytes("0\r\n", "b:c\r\n\r\n", TCHARS);
    check_bytes("0\r\nA", "b:c\r\n\r\n", TCHARS ":");
    strcat(text, "\\");
    check_bytes("0;a=\"b", "c\"\r\n\r\n", text);
    strcat(text, "\"");
    check_bytes("0;a=\"\\", "c\"\r\n\r\n", text);
    check_bytes("0\r\nA:b", "c\r\n\r\n", text);
}

/* ---- borders ---- */

static char big[INPUT_MAX];

/* Writes `before`, `n` times a letter, and `behind`. Returns the length. */
static size_t make(const char *before, size_t n, const char *behind) {
    size_t a = strlen(before), b = strlen(behind);
    assert_true(a + n + b < sizeof(big));
    memcpy(big, before, a);
    memset(big + a, 'x', n);
    memcpy(big + a + n, behind, b + 1);
    return a + n + b;
}

/* Byte by byte: complete with the last, or refused at byte `at`. */
static void check_border(size_t len, size_t at, const char *error) {
    wst_http_body_t body = chunked(), whole = body;
    size_t fed = 0;
    int rc = 0;
    while (fed < len && !body.complete && (rc = wst_http_body_walk(&body, big + fed, 1, NULL)) >= 0)
        fed++;
    int all = wst_http_body_walk(&whole, big, len, NULL);
    if (error == NULL) {
        assert_true(body.complete && whole.complete);
        assert_int_equal(fed, len);
        assert_int_equal(all, len);
        return;
    }
    assert_int_equal(rc, WST_EHTTP);
    assert_int_equal(all, WST_EHTTP);
    assert_int_equal(fed + 1, at);
    assert_string_equal(body.error, error);
    assert_string_equal(whole.error, error);
}

static void test_borders(void **state) {
    (void)state;
    static const char line[] = "line of a chunk too long";
    /* The line of the last chunk: "0;" + name + CR LF. */
    check_border(make("0;", WST_HTTP_CHUNK_LINE_MAX - 4, "\r\n\r\n"), 0, NULL);
    check_border(make("0;", WST_HTTP_CHUNK_LINE_MAX - 3, "\r\n\r\n"), 1025, line);
    check_border(make("0;", 5000, "\r\n\r\n"), 1025, line);
    /* It is counted anew for each chunk, without what is behind the last. */
    check_border(make("1\r\na\r\n0;", WST_HTTP_CHUNK_LINE_MAX - 4, "\r\n\r\n"), 0, NULL);
    check_border(make("1\r\na\r\n0;", WST_HTTP_CHUNK_LINE_MAX - 3, "\r\n\r\n"), 6 + 1025, line);
    check_border(make("0;a=\"", WST_HTTP_CHUNK_LINE_MAX - 8, "\"\r\n\r\n"), 0, NULL);

    static const char trailer[] = "trailer section too long";
    check_border(make("0\r\nA:", WST_HTTP_TRAILER_MAX - 6, "\r\n\r\n"), 0, NULL);
    check_border(make("0\r\nA:", WST_HTTP_TRAILER_MAX - 5, "\r\n\r\n"), 3 + 8193, trailer);
    check_border(make("0\r\nA:", 15000, "\r\n\r\n"), 3 + 8193, trailer);
    check_border(make("0\r\n", 15000, "\r\n\r\n"), 3 + 8193, trailer);
    /* It is the section that is bounded, not each line. */
    check_border(make("0\r\nA: b\r\nB: c\r\nC:", WST_HTTP_TRAILER_MAX - 18, "\r\n\r\n"), 0, NULL);
    check_border(make("0\r\nA: b\r\nB: c\r\nC:", WST_HTTP_TRAILER_MAX - 17, "\r\n\r\n"), 3 + 8193,
                 trailer);
}

/* Walking costs the same however much is fed; what is payload is not looked at. */
static void test_payload_is_not_touched(void **state) {
    (void)state;
    wst_http_body_t body = of_request("PUT / HTTP/1.1\r\nContent-Length: 100\r\n\r\n");
    const char *nowhere = (const char *)test_guarded("", 0);
    wst_str_t payload;
    assert_int_equal(wst_http_body_walk(&body, nowhere, 60, &payload), 60);
    assert_ptr_equal(payload.ptr, nowhere);
    assert_int_equal(payload.len, 60);
    assert_int_equal(wst_http_body_walk(&body, nowhere, 60, NULL), 40);
    assert_true(body.complete);
    test_guarded_free((uint8_t *)(uintptr_t)nowhere, 0);
}

/* Runs come one at a time: framing, payload, stop. */
static void test_runs(void **state) {
    (void)state;
    wst_http_body_t body = chunked();
    const char *text = "3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\nGET";
    wst_str_t payload;
    assert_int_equal(wst_http_body_walk(&body, text, strlen(text), &payload), 6);
    assert_ptr_equal(payload.ptr, text + 3);
    assert_int_equal(payload.len, 3);
    assert_int_equal(wst_http_body_walk(&body, text + 6, strlen(text) - 6, &payload), 9);
    assert_ptr_equal(payload.ptr, text + 13);
    assert_int_equal(payload.len, 2);
    assert_int_equal(wst_http_body_walk(&body, text + 15, strlen(text) - 15, &payload), 7);
    assert_int_equal(payload.len, 0);
    assert_true(body.complete);
    assert_int_equal(body.payload_length, 5);
    /* What precedes a fault is given first. */
    body = chunked();
    assert_int_equal(wst_http_body_walk(&body, "1\r\naX", 5, &payload), 4);
    assert_int_equal(payload.len, 1);
    assert_int_equal(wst_http_body_walk(&body, "X", 1, &payload), WST_EHTTP);
}

/* ---- filter ---- */

/* Feeds one piece to the filter, and adds what it passes on to `walked`. */
static void filter_piece(wst_http_body_t *body, const char *piece, size_t len) {
    const char *copy = (const char *)test_guarded(piece, len);
    size_t at = 0;
    while (at < len && !body->complete && walked.rc >= 0) {
        wst_str_t held, run;
        walked.rc = wst__http_body_filter(body, copy + at, len - at, &held, &run);
        if (walked.rc < 0)
            break;
        assert_in_range(walked.rc, 1, len - at);
        assert_true(run.len == 0 || (run.ptr >= copy + at && run.len <= (size_t)walked.rc));
        if (held.len > 0)
            memcpy(walked.payload + walked.payload_len, held.ptr, held.len);
        walked.payload_len += held.len;
        memcpy(walked.payload + walked.payload_len, run.ptr, run.len);
        walked.payload_len += run.len;
        at += (size_t)walked.rc;
    }
    walked.wire += at;
    test_guarded_free((uint8_t *)(uintptr_t)copy, len);
}

/* What is passed on of it, in pieces up to both cuts and byte by byte behind. */
static void check_filter(const char *name, const char *input, const char *expect) {
    size_t len = strlen(input);
    for (size_t a = 0; a <= len; a++) {
        for (size_t b = a; b <= len; b++) {
            wst_http_body_t body = chunked();
            walked.wire = walked.payload_len = 0;
            walked.rc = 0;
            filter_piece(&body, input, a);
            filter_piece(&body, input + a, b - a);
            for (size_t at = b; at < len; at++)
                filter_piece(&body, input + at, 1);
            if (expect == NULL) {
                assert_int_equal(walked.rc, WST_EHTTP);
                continue;
            }
            walked.payload[walked.payload_len] = '\0';
            if (strcmp(walked.payload, expect) != 0)
                fail_msg("%s: cut at %zu and %zu gives %s", name, a, b, walked.payload);
            assert_true(body.complete && !body.forbidden_trailer);
            assert_memory_equal(input + walked.wire, "GET", strlen(input + walked.wire));
        }
    }
}

static void test_filter(void **state) {
    (void)state;
    static const vector_t vectors[] = {
        {"none", "3;x=y\r\nabc\r\n0\r\n\r\nGET", "3;x=y\r\nabc\r\n0\r\n\r\n"},
        {"legal", "0;x\r\nA: b\r\nDigest: c\r\n\r\n", "0;x\r\nA: b\r\nDigest: c\r\n\r\n"},
        {"forbidden", "1\r\na\r\n0\r\nHost: a\r\n\r\nGET", "1\r\na\r\n0\r\n\r\n"},
        {"in the middle", "0\r\nA: b\r\ncontent-LENGTH: 5\r\nC: d\r\n\r\n",
         "0\r\nA: b\r\nC: d\r\n\r\n"},
        {"first and last", "0\r\nVia: a\r\nA: b\r\nSet-Cookie:\r\n\r\n", "0\r\nA: b\r\n\r\n"},
        {"one behind the other", "0\r\nTE: a\r\nAge: 1\r\nTE: b\r\n\r\n", "0\r\n\r\n"},
        {"the longest", "0\r\nIf-Unmodified-Since: a\r\n\r\n", "0\r\n\r\n"},
        {"longer by one", "0\r\nIf-Unmodified-Since2: a\r\n\r\n",
         "0\r\nIf-Unmodified-Since2: a\r\n\r\n"},
        {"nearly", "0\r\nHos: Host\r\nHost2: Host: a\r\n\r\n",
         "0\r\nHos: Host\r\nHost2: Host: a\r\n\r\n"},
        {"in the payload", "9\r\nHost: a\r\n\r\n0\r\n\r\n", "9\r\nHost: a\r\n\r\n0\r\n\r\n"},
        {"fault in one that is left out", "0\r\nHost: \x01\r\n\r\n", NULL},
        {"fault in a name", "0\r\nHost : a\r\n\r\n", NULL},
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
        check_filter(vectors[i].name, vectors[i].input, vectors[i].expect);
}

/* What is left out counts too. */
static void test_filter_is_bounded(void **state) {
    (void)state;
    wst_str_t held, run;
    for (size_t more = 0; more < 2; more++) {
        size_t len = make("0\r\nHost:", WST_HTTP_TRAILER_MAX - 9 + more, "\r\n\r\n"), at = 0;
        wst_http_body_t body = chunked();
        int rc = 0;
        while (at < len && rc >= 0) {
            rc = wst__http_body_filter(&body, big + at, len - at, &held, &run);
            at += rc > 0 ? (size_t)rc : 0;
        }
        assert_int_equal(rc == WST_EHTTP, more == 1);
        assert_int_equal(body.complete, more == 0);
    }
}

/* ---- round trip ---- */

/* Random payload in random chunks, with extensions and trailers; read in random pieces. */
static void run_round_trip(uint64_t seed) {
    uint64_t random = seed;
    static char payload[4000], wire[INPUT_MAX];
    size_t payload_len = test_random(&random) % sizeof(payload), len = 0;
    for (size_t i = 0; i < payload_len; i++)
        payload[i] = "0\r\n;\"aF "[test_random(&random) % 8];
    static const char *const formats[] = {"%zx\r\n", "%zX\r\n", "%016zx\r\n", "%zx;a=\"\\\"\"\r\n"};
    for (size_t at = 0, n; at < payload_len; at += n) {
        n = 1 + test_random(&random) % (test_random(&random) % 2 == 0 ? 20 : 1500);
        n = n < payload_len - at ? n : payload_len - at;
        if (len + n > sizeof(wire) - 200) /* the rest in one */
            n = payload_len - at;
        int size = snprintf(wire + len, 64, formats[test_random(&random) % 4], n);
        memcpy(wire + len + (size_t)size, payload + at, n);
        len += (size_t)size + n;
        memcpy(wire + len, "\r\n", 2);
        len += 2;
    }
    len += (size_t)snprintf(wire + len, 64, "0\r\n%s\r\n",
                            test_random(&random) % 2 == 0 ? "" : "A: b\r\n");
    size_t all = len + (size_t)snprintf(wire + len, 64, "GET / HTTP/1.1\r\n");

    for (int runs = 0; runs < 2; runs++) {
        wst_http_body_t body = chunked();
        walked.wire = walked.payload_len = 0;
        walked.rc = 0;
        for (size_t at = 0, n; at < all; at += n) {
            n = 1 + test_random(&random) % 700;
            n = n < all - at ? n : all - at;
            walk_piece(&body, &walked, wire + at, n, runs == 1);
        }
        if (!body.complete || walked.rc < 0 || walked.wire != len ||
            body.payload_length != payload_len)
            fail_msg("seed %llu", (unsigned long long)seed);
        if (runs == 1) {
            assert_int_equal(walked.payload_len, payload_len);
            assert_memory_equal(walked.payload, payload, payload_len);
        }
    }
}

static void test_round_trip(void **state) {
    (void)state;
    uint64_t first, count;
    test_seeds(&first, &count, 300);
    for (uint64_t seed = first; seed < first + count; seed++)
        run_round_trip(seed);
}

/* ---- writing ---- */

static size_t write_chunks(char *wire, const char *payload, size_t len, size_t split) {
    size_t at = 0;
    const size_t parts[] = {split, len - split};
    for (size_t i = 0; i < 2; i++) {
        if (parts[i] == 0)
            continue;
        at += wst__http_chunk_line(wire + at, parts[i]);
        memcpy(wire + at, payload, parts[i]);
        payload += parts[i];
        at += parts[i];
        at += (size_t)snprintf(wire + at, 8, WST__CHUNK_END);
    }
    return at + (size_t)snprintf(wire + at, 8, WST__CHUNKS_END);
}

/* A body written in chunks, wherever it is split, reads as the same; cut anywhere, it is not
 * complete. */
static void test_written(void **state) {
    (void)state;
    static const char payload[] = "0\r\n\r\n3\r\nbody with what looks like framing\r\n0\r\n\r\n";
    size_t len = sizeof(payload) - 1;
    for (size_t split = 0; split <= len; split++) {
        char wire[200];
        size_t all = write_chunks(wire, payload, len, split);
        for (size_t cut = 0; cut <= all; cut++) {
            wst_http_body_t body = chunked();
            feed(&body, wire, cut, cut, 1, true);
            assert_true(walked.rc >= 0);
            assert_memory_equal(walked.payload, payload, walked.payload_len);
            assert_int_equal(body.complete, cut == all);
            assert_int_equal(wst_http_body_end(&body), cut == all ? 0 : WST_EHTTP);
        }
        assert_int_equal(walked.payload_len, len);
    }
}

static void test_written_sizes(void **state) {
    (void)state;
    for (unsigned bit = 0; bit < 8 * sizeof(size_t); bit++) {
        for (size_t less = 0; less < 2; less++) {
            size_t size = ((size_t)1 << bit) - less;
            char expect[64];
            int n = snprintf(expect, sizeof(expect), "%zx\r\n", size);
            char *line = (char *)test_guarded(expect, WST__CHUNK_LINE_MAX);
            assert_int_equal(wst__http_chunk_line(line, size), n);
            assert_memory_equal(line, expect, (size_t)n);
            test_guarded_free((uint8_t *)line, WST__CHUNK_LINE_MAX);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_framing_of_requests),
        cmocka_unit_test(test_framing_of_responses),
        cmocka_unit_test(test_no_body),
        cmocka_unit_test(test_length),
        cmocka_unit_test(test_end_of_connection),
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_borders),
        cmocka_unit_test(test_payload_is_not_touched),
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_filter),
        cmocka_unit_test(test_filter_is_bounded),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_written),
        cmocka_unit_test(test_written_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
