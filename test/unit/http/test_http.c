/* SPDX-License-Identifier: MIT */
/* Heads of HTTP messages: what is accepted and what it means, what is refused and why, and that
 * neither depends on how the bytes come in. */
#include "support.h"

#include <stdio.h>
#include <wstunnel/error.h>
#include <wstunnel/http.h>

typedef int (*parse_fn)(wst_http_head_t *head, const char *buf, size_t len, size_t *scanned,
                        const wst_http_limits_t *limits);

typedef struct text {
    char bytes[4096];
    size_t len;
} text_t;

static void WST_PRINTF(2, 3) add(text_t *out, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(out->bytes + out->len, sizeof(out->bytes) - out->len, fmt, args);
    va_end(args);
    assert_true(n >= 0 && (size_t)n < sizeof(out->bytes) - out->len);
    out->len += (size_t)n;
}

/*
 * A result as text: "!why" for WST_EHTTP, "too big", "target too big", "incomplete", or e.g.
 * "GET / 1.1 keep-alive chunked length=5 {Name=value} +3", the 3 being the bytes behind the head.
 */
static void describe(text_t *out, const wst_http_head_t *head, int rc, size_t len) {
    out->len = 0;
    if (rc == WST_EHTTP)
        add(out, "!%s", head->error);
    else if (rc == WST_EHEADBIG)
        add(out, "too big");
    else if (rc == WST_ETARGETBIG)
        add(out, "target too big");
    else if (rc == 0)
        add(out, "incomplete");
    if (rc <= 0)
        return;
    assert_null(head->error);
    if (head->status == 0)
        add(out, "%.*s %.*s", (int)head->method.len, head->method.ptr, (int)head->target.len,
            head->target.ptr);
    else
        add(out, "%d '%.*s'", head->status, (int)head->reason.len, head->reason.ptr);
    add(out, " 1.%d%s%s", head->minor_version, head->keep_alive ? " keep-alive" : "",
        head->chunked ? " chunked" : "");
    if (head->content_length != -1)
        add(out, " length=%lld", (long long)head->content_length);
    for (size_t i = 0; i < head->header_count; i++) {
        wst_str_t name = head->headers[i].name, value = head->headers[i].value;
        add(out, " {%.*s=%.*s}", (int)name.len, name.ptr, (int)value.len, value.ptr);
    }
    if ((size_t)rc < len)
        add(out, " +%zu", len - (size_t)rc);
}

/* Parses the first `len` bytes of `input` in a copy of their own, which ends at a guarded page. */
static int parse_piece(parse_fn parse, text_t *out, const char *input, size_t len,
                       size_t *scanned) {
    wst_http_head_t head;
    memset(&head, 0xa5, sizeof(head));
    uint8_t *copy = test_guarded(input, len);
    int rc = parse(&head, (const char *)copy, len, scanned, NULL);
    describe(out, &head, rc, len);
    test_guarded_free(copy, len);
    return rc;
}

/* Whatever way it comes in, `input` must give `expect` (which is about the whole of it). */
static void check(parse_fn parse, const char *name, const char *input, const char *expect) {
    size_t len = strlen(input), scanned = 0;
    text_t whole, piece;
    int rc = parse_piece(parse, &whole, input, len, &scanned);
    if (strcmp(whole.bytes, expect) != 0)
        fail_msg("%s: %s", name, whole.bytes);

    size_t at = 0;
    int first = 0;
    for (scanned = 0; first == 0 && at < len;)
        first = parse_piece(parse, &piece, input, ++at, &scanned);
    if (first != rc || (rc > 0 && (size_t)rc != at))
        fail_msg("%s: byte by byte gives %s after %zu bytes", name, piece.bytes, at);

    for (size_t split = 0; split <= len; split++) {
        scanned = 0;
        if (parse_piece(parse, &piece, input, split, &scanned) == 0)
            parse_piece(parse, &piece, input, len, &scanned);
        else
            parse_piece(parse, &piece, input, len, &(size_t){0});
        if (strcmp(piece.bytes, expect) != 0)
            fail_msg("%s: split at %zu gives %s", name, split, piece.bytes);
    }
}

typedef struct vector {
    const char *name, *input, *expect;
} vector_t;

static const vector_t requests[] = {
    /* RFC 9112 section 3: the request line */
    {"plain", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / 1.1 keep-alive {Host=a}"},
    {"no field", "GET / HTTP/1.1\r\n\r\n", "GET / 1.1 keep-alive"},
    {"curl", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nProxy-Connection: Keep-Alive\r\n\r\n",
     "CONNECT a:443 1.1 keep-alive {Host=a:443} {Proxy-Connection=Keep-Alive}"},
    {"nc, ncat, old Python", "CONNECT a:443 HTTP/1.0\r\n\r\n", "CONNECT a:443 1.0"},
    {"TLS hello in the same packet", "CONNECT a:443 HTTP/1.1\r\n\r\n\x16\x03\x01",
     "CONNECT a:443 1.1 keep-alive +3"},
    {"pipelined", "GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n", "GET /1 1.1 keep-alive +19"},
    {"bare LF (2.2)", "GET / HTTP/1.1\nHost: a\n\n", "GET / 1.1 keep-alive {Host=a}"},
    {"mixed line ends", "GET / HTTP/1.1\nHost: a\r\n\nx", "GET / 1.1 keep-alive {Host=a} +1"},
    {"empty lines before (2.2)", "\r\n\n\r\nGET / HTTP/1.1\r\n\r\n", "GET / 1.1 keep-alive"},
    {"method's case is its own", "gEt / HTTP/1.1\r\n\r\n", "gEt / 1.1 keep-alive"},
    {"any token is a method", "M-SEARCH!#$%&'*+^_`|~ * HTTP/1.1\r\n\r\n",
     "M-SEARCH!#$%&'*+^_`|~ * 1.1 keep-alive"},
    {"IDNA bytes", "CONNECT b\xc3\xbc.example:80 HTTP/1.1\r\n\r\n",
     "CONNECT b\xc3\xbc.example:80 1.1 keep-alive"},
    {"nothing", "", "incomplete"},
    {"empty lines only", "\r\n\r\n\r\n", "incomplete"},
    {"nc: line first", "CONNECT a:443 HTTP/1.0\r\n", "incomplete"},
    {"half of the last line end", "GET / HTTP/1.1\r\n\r", "incomplete"},
    {"HTTP/0.9", "GET /\r\n\r\n", "!no HTTP version in the request line"},
    {"no target", "GET HTTP/1.1\r\n\r\n", "!no HTTP version in the request line"},
    {"method only", "GET\r\n\r\n", "!method is not a token followed by a space"},
    {"starts with a space", " GET / HTTP/1.1\r\n\r\n",
     "!method is not a token followed by a space"},
    {"method no token", "G(T / HTTP/1.1\r\n\r\n", "!method is not a token followed by a space"},
    {"tab behind the method", "GET\t/ HTTP/1.1\r\n\r\n",
     "!method is not a token followed by a space"},
    {"TLS on the plain port", "\x16\x03\x01\x02", "!method is not a token followed by a space"},
    {"two spaces", "GET  / HTTP/1.1\r\n\r\n",
     "!request line is not method, target and version with single spaces"},
    {"empty target", "GET  HTTP/1.1\r\n\r\n",
     "!request line is not method, target and version with single spaces"},
    {"two spaces behind", "GET /  HTTP/1.1\r\n\r\n",
     "!request line is not method, target and version with single spaces"},
    {"space in the target", "GET /a b HTTP/1.1\r\n\r\n",
     "!request line is not method, target and version with single spaces"},
    {"tab in the target", "GET /a\tb HTTP/1.1\r\n\r\n",
     "!request line is not method, target and version with single spaces"},
    {"space behind the version", "GET / HTTP/1.1 \r\n\r\n",
     "!request line is not method, target and version with single spaces"},
    {"version empty", "GET / \r\n\r\n", "!HTTP version other than 1.0 and 1.1"},
    {"version 2", "PRI * HTTP/2.0\r\n\r\n", "!HTTP version other than 1.0 and 1.1"},
    {"version 1.2", "GET / HTTP/1.2\r\n\r\n", "!HTTP version other than 1.0 and 1.1"},
    {"version 1.10", "GET / HTTP/1.10\r\n\r\n", "!HTTP version other than 1.0 and 1.1"},
    {"version 01.1", "GET / HTTP/01.1\r\n\r\n", "!HTTP version other than 1.0 and 1.1"},
    {"version in small letters (2.3)", "GET / http/1.1\r\n\r\n",
     "!HTTP version other than 1.0 and 1.1"},
    {"bare CR (2.2)", "GET / HTTP/1.1\rHost: a\r\n\r\n", "!carriage return without line feed"},
    {"bare CR in front", "\rGET / HTTP/1.1\r\n\r\n", "!carriage return without line feed"},
    {"bare CR in a value", "GET / HTTP/1.1\r\nA: x\ry\r\n\r\n",
     "!carriage return without line feed"},
    {"doubled CR", "GET / HTTP/1.1\r\r\n\r\n", "!carriage return without line feed"},
    {"control character", "GET /\x7f HTTP/1.1\r\n\r\n", "!control character"},

    /* RFC 9112 section 5: fields */
    {"white space around a value", "GET / HTTP/1.1\r\nA: \t x\ty \t\r\nB:z\r\nC:\r\nD: \t\r\n\r\n",
     "GET / 1.1 keep-alive {A=x\ty} {B=z} {C=} {D=}"},
    {"colons in a value", "GET / HTTP/1.1\r\nA:: b:c\r\n\r\n", "GET / 1.1 keep-alive {A=: b:c}"},
    {"obs-text in a value (9110, 5.5)", "GET / HTTP/1.1\r\nA: \xff\x80\r\n\r\n",
     "GET / 1.1 keep-alive {A=\xff\x80}"},
    {"space before colon (5.1)", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", "!space before colon"},
    {"tab before colon", "GET / HTTP/1.1\r\nHost\t: a\r\n\r\n", "!space before colon"},
    {"folded field (5.2)", "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", "!obsolete line folding"},
    {"folded field, tab", "GET / HTTP/1.1\r\nA: b\r\n\tc: d\r\n\r\n", "!obsolete line folding"},
    {"line of a space", "GET / HTTP/1.1\r\nA: b\r\n \r\n\r\n", "!obsolete line folding"},
    {"space before the first field (2.2)", "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
     "!white space before the first field"},
    {"no colon", "GET / HTTP/1.1\r\nHost\r\n\r\n", "!field without colon"},
    {"no name", "GET / HTTP/1.1\r\n: a\r\n\r\n", "!field name is not a token"},
    {"space in a name", "GET / HTTP/1.1\r\nA B: c\r\n\r\n", "!field name is not a token"},
    {"byte of 0x80 in a name", "GET / HTTP/1.1\r\nA\x80: c\r\n\r\n", "!field name is not a token"},
    {"two Hosts (3.2)", "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", "!more than one Host"},

    /* RFC 9112 section 6: framing */
    {"length", "PUT / HTTP/1.1\r\nContent-Length: 005\r\n\r\nhello",
     "PUT / 1.1 keep-alive length=5 {Content-Length=005} +5"},
    {"greatest length", "PUT / HTTP/1.1\r\ncontent-length: 9223372036854775807\r\n\r\n",
     "PUT / 1.1 keep-alive length=9223372036854775807 {content-length=9223372036854775807}"},
    {"length beyond", "PUT / HTTP/1.1\r\nContent-Length: 9223372036854775808\r\n\r\n",
     "!malformed Content-Length"},
    {"length that wraps", "PUT / HTTP/1.1\r\nContent-Length: 18446744073709551621\r\n\r\n",
     "!malformed Content-Length"},
    {"signed", "PUT / HTTP/1.1\r\nContent-Length: +5\r\n\r\n", "!malformed Content-Length"},
    {"negative", "PUT / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "!malformed Content-Length"},
    {"hex", "PUT / HTTP/1.1\r\nContent-Length: 0x5\r\n\r\n", "!malformed Content-Length"},
    {"no length", "PUT / HTTP/1.1\r\nContent-Length:\r\n\r\n", "!malformed Content-Length"},
    {"spaces around it", "PUT / HTTP/1.1\r\nContent-Length:  5 \r\n\r\n",
     "PUT / 1.1 keep-alive length=5 {Content-Length=5}"},
    {"tab before it", "PUT / HTTP/1.1\r\nContent-Length:\t5\r\n\r\n", "!malformed Content-Length"},
    {"tab behind it", "PUT / HTTP/1.1\r\nContent-Length: 5 \t\n\n", "!malformed Content-Length"},
    {"list of lengths", "PUT / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\n",
     "!malformed Content-Length"},
    {"length twice", "PUT / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
     "!more than one Content-Length"},
    {"chunked", "PUT / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n",
     "PUT / 1.1 keep-alive chunked {Transfer-Encoding=Chunked}"},
    {"gzip, chunked", "PUT / HTTP/1.1\r\nTransfer-Encoding: gzip ,  chunked \r\n\r\n",
     "PUT / 1.1 keep-alive chunked {Transfer-Encoding=gzip ,  chunked}"},
    {"tab before the coding", "PUT / HTTP/1.1\r\nTransfer-Encoding:\t chunked\r\n\r\n",
     "!tab in Transfer-Encoding"},
    {"tab behind the coding", "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\t\r\n\r\n",
     "!tab in Transfer-Encoding"},
    {"tab between codings",
     "PUT / HTTP/1.1\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: a,\tchunked\r\n\r\n",
     "!tab in Transfer-Encoding"},
    {"over two fields",
     "PUT / HTTP/1.1\r\nTransfer-Encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n",
     "PUT / 1.1 keep-alive chunked {Transfer-Encoding=gzip} {transfer-encoding=chunked}"},
    {"both (6.1)",
     "PUT / HTTP/1.1\r\nContent-Length: 5\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n",
     "!Content-Length with Transfer-Encoding"},
    {"both, other order",
     "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
     "!Content-Length with Transfer-Encoding"},
    {"in 1.0 (6.1)", "PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
     "!Transfer-Encoding in HTTP/1.0"},
    {"not chunked", "PUT / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
     "!final transfer coding is not chunked"},
    {"nearly chunked", "PUT / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n",
     "!final transfer coding is not chunked"},
    {"identity", "PUT / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n",
     "!final transfer coding is not chunked"},
    {"chunked not last", "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
     "!transfer coding behind chunked"},
    {"chunked twice",
     "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
     "!transfer coding behind chunked"},
    {"empty element", "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked,\r\n\r\n",
     "!malformed Transfer-Encoding"},
    {"no coding", "PUT / HTTP/1.1\r\nTransfer-Encoding:\r\n\r\n", "!malformed Transfer-Encoding"},
    {"control character hidden in it",
     "PUT / HTTP/1.1\r\nTransfer-Encoding: \x0b"
     "chunked\r\n\r\n",
     "!control character"},
    {"quoted", "PUT / HTTP/1.1\r\nTransfer-Encoding: \"chunked\"\r\n\r\n",
     "!malformed Transfer-Encoding"},

    /* RFC 9112 section 9.3: persistence */
    {"close", "GET / HTTP/1.1\r\nConnection: Close\r\n\r\n", "GET / 1.1 {Connection=Close}"},
    {"close in a list", "GET / HTTP/1.1\r\nConnection: TE, close\r\n\r\n",
     "GET / 1.1 {Connection=TE, close}"},
    {"close wins", "GET / HTTP/1.1\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n",
     "GET / 1.1 {Connection=keep-alive} {Connection=close}"},
    {"not quite close", "GET / HTTP/1.1\r\nConnection: closed\r\n\r\n",
     "GET / 1.1 keep-alive {Connection=closed}"},
    {"proxy's close", "GET / HTTP/1.1\r\nProxy-Connection: close\r\n\r\n",
     "GET / 1.1 {Proxy-Connection=close}"},
    {"1.0 that stays", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
     "GET / 1.0 keep-alive {Connection=Keep-Alive}"},
    {"1.0 that stays, proxy", "GET / HTTP/1.0\r\nProxy-Connection: keep-alive\r\n\r\n",
     "GET / 1.0 keep-alive {Proxy-Connection=keep-alive}"},
    {"1.0, both", "GET / HTTP/1.0\r\nConnection: close, keep-alive\r\n\r\n",
     "GET / 1.0 {Connection=close, keep-alive}"},
};

static const vector_t responses[] = {
    /* RFC 9112 section 4 */
    {"plain", "HTTP/1.1 200 OK\r\n\r\n", "200 'OK' 1.1 keep-alive"},
    {"reason with spaces", "HTTP/1.0 200 Connection  established \r\n\r\nx",
     "200 'Connection  established ' 1.0 +1"},
    {"empty reason", "HTTP/1.1 101 \r\n\r\n", "101 '' 1.1 keep-alive"},
    {"no space before it", "HTTP/1.1 204\nA: b\n\n", "204 '' 1.1 keep-alive {A=b}"},
    {"obs-text in it", "HTTP/1.1 999 \xe9\t!\r\n\r\n", "999 '\xe9\t!' 1.1 keep-alive"},
    {"Hosts are no matter", "HTTP/1.1 200 OK\r\nHost: a\r\nHost: b\r\n\r\n",
     "200 'OK' 1.1 keep-alive {Host=a} {Host=b}"},
    {"407 that stays", "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
     "407 'Proxy Authentication Required' 1.1 keep-alive length=0 {Content-Length=0}"},
    {"proxy's close", "HTTP/1.1 200 OK\r\nProxy-Connection: close\r\n\r\n",
     "200 'OK' 1.1 {Proxy-Connection=close}"},
    {"prefix", "HTTP/1", "incomplete"},
    {"status line", "HTTP/1.1 200 OK\r\n", "incomplete"},
    {"other protocol", "SSH-2.0-OpenSSH_9.2\r\n", "!not a response of HTTP/1"},
    {"version 2", "HTTP/2 200\r\n\r\n", "!not a response of HTTP/1"},
    {"empty line before", "\r\nHTTP/1.1 200 OK\r\n\r\n", "!not a response of HTTP/1"},
    {"version 1.2", "HTTP/1.2 200 OK\r\n\r\n", "!HTTP version other than 1.0 and 1.1"},
    {"version 1.", "HTTP/1. 200 OK\r\n\r\n", "!HTTP version other than 1.0 and 1.1"},
    {"no status", "HTTP/1.1\r\n\r\n", "!no status in the status line"},
    {"empty status", "HTTP/1.1 \r\n\r\n", "!status is not a number from 100 to 999"},
    {"two digits", "HTTP/1.1 20 OK\r\n\r\n", "!status is not a number from 100 to 999"},
    {"four digits", "HTTP/1.1 2000 OK\r\n\r\n", "!status is not a number from 100 to 999"},
    {"below 100", "HTTP/1.1 099 OK\r\n\r\n", "!status is not a number from 100 to 999"},
    {"no number", "HTTP/1.1 2x0 OK\r\n\r\n", "!status is not a number from 100 to 999"},
    {"two spaces", "HTTP/1.1  200 OK\r\n\r\n", "!status is not a number from 100 to 999"},
    {"folded", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "!obsolete line folding"},
    {"lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
     "!more than one Content-Length"},
    {"both", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
     "!Content-Length with Transfer-Encoding"},
    {"bare CR", "HTTP/1.1 200 O\rK\r\n\r\n", "!carriage return without line feed"},
};

static void test_requests(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
        check(wst_http_parse_request, requests[i].name, requests[i].input, requests[i].expect);
}

static void test_responses(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(responses) / sizeof(responses[0]); i++)
        check(wst_http_parse_response, responses[i].name, responses[i].input, responses[i].expect);
}

/* Each byte value at a place of a head: accepted exactly if `legal` says so. */
static void check_bytes(parse_fn parse, const char *before, const char *behind,
                        bool (*legal)(unsigned char c)) {
    for (unsigned c = 0; c < 256; c++) {
        text_t input = {.len = 0}, out;
        add(&input, "%s", before);
        input.bytes[input.len++] = (char)c;
        add(&input, "%s", behind);
        size_t scanned = 0;
        int rc = parse_piece(parse, &out, input.bytes, input.len, &scanned);
        int expect = legal((unsigned char)c) ? (int)input.len : WST_EHTTP;
        if (rc != expect)
            fail_msg("byte %02x behind \"%s\": %s", c, before, out.bytes);
    }
}

/* RFC 9110 section 5.6.2 */
static bool in_token(unsigned char c) {
    const char *tchars = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                         "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    return c != 0 && strchr(tchars, c) != NULL;
}

/* A colon ends the name early. */
static bool in_name(unsigned char c) {
    return in_token(c) || c == ':';
}

static bool in_text(unsigned char c) {
    return c == '\t' || (c >= 0x20 && c != 0x7f);
}

static bool in_target(unsigned char c) {
    return c > 0x20 && c != 0x7f;
}

static void test_every_byte(void **state) {
    (void)state;
    check_bytes(wst_http_parse_request, "G", "T / HTTP/1.1\r\n\r\n", in_token);
    check_bytes(wst_http_parse_request, "GET /", "x HTTP/1.1\r\n\r\n", in_target);
    check_bytes(wst_http_parse_request, "GET / HTTP/1.1\r\nA", "b: c\r\n\r\n", in_name);
    check_bytes(wst_http_parse_request, "GET / HTTP/1.1\r\nA: b", "c\r\n\r\n", in_text);
    check_bytes(wst_http_parse_response, "HTTP/1.1 200 a", "b\r\n\r\n", in_text);
}

/* A request of `target_len` bytes of target and `value_len` bytes of value: 20 + both long. */
static char *make_request(size_t target_len, size_t value_len) {
    size_t len = 20 + target_len + value_len;
    char *text = malloc(len + 1), *at = text;
    if (text == NULL)
        abort();
    memcpy(at, "GET ", 4);
    memset(at += 4, '/', target_len);
    memcpy(at += target_len, " HTTP/1.1\nA:", 12);
    memset(at += 12, 'v', value_len);
    memcpy(at += value_len, "\r\n\r\n", 5);
    return text;
}

/* Feeds a request of that shape whole and in steps; both must give `expect`. Returns how many bytes
 * it took. */
static size_t check_limits(size_t target_len, size_t value_len, const wst_http_limits_t *limits,
                           size_t step, int expect) {
    wst_http_head_t head;
    char *text = make_request(target_len, value_len);
    size_t len = strlen(text), fed = 0, scanned = 0;
    assert_int_equal(wst_http_parse_request(&head, text, len, &scanned, limits), expect);
    int rc = 0;
    for (scanned = 0; rc == 0 && fed < len;) {
        fed = len - fed < step ? len : fed + step;
        rc = wst_http_parse_request(&head, text, fed, &scanned, limits);
    }
    assert_int_equal(rc, expect);
    free(text);
    return fed;
}

static void test_limits(void **state) {
    (void)state;
    wst_http_limits_t small = {.size = sizeof(small), .head_max = 100, .target_max = 10};
    check_limits(10, 70, &small, 1, 100);
    /* One byte too many is refused once it is certain, not when the head is complete. */
    assert_int_equal(check_limits(10, 71, &small, 1, WST_EHEADBIG), 100);
    assert_int_equal(check_limits(10, 5000, &small, 1, WST_EHEADBIG), 100);
    assert_int_equal(check_limits(11, 0, &small, 1, WST_ETARGETBIG), 15);
    assert_int_equal(check_limits(5000, 0, &small, 1, WST_ETARGETBIG), 15);
    /* Whichever bound is met first. */
    wst_http_limits_t tight = {.size = sizeof(tight), .head_max = 10, .target_max = 10};
    assert_int_equal(check_limits(50, 0, &tight, 1, WST_EHEADBIG), 10);
    wst_http_limits_t tiny = {.size = sizeof(tiny), .head_max = 3};
    assert_int_equal(check_limits(50, 0, &tiny, 1, WST_EHEADBIG), 3);

    wst_http_limits_t defaults = {.size = sizeof(defaults)},
                      huge = {.size = sizeof(huge), .head_max = SIZE_MAX, .target_max = SIZE_MAX};
    const wst_http_limits_t *same[] = {NULL, &defaults};
    for (size_t i = 0; i < 2; i++) {
        check_limits(8192, 8172, same[i], 1, 16384);
        assert_int_equal(check_limits(8192, 8173, same[i], 1, WST_EHEADBIG), 16384);
        assert_int_equal(check_limits(8193, 0, same[i], 1, WST_ETARGETBIG), 8197);
    }
    check_limits(20000, 100000, &huge, 1000, 120020);
}

/* What lies behind a head does not count towards its size. */
static void test_body_is_no_head(void **state) {
    (void)state;
    wst_http_head_t head;
    wst_http_limits_t limits = {.size = sizeof(limits), .head_max = 18};
    size_t scanned = 0;
    const char *text = "GET / HTTP/1.1\r\n\r\nbody, body, body";
    int rc = wst_http_parse_request(&head, text, strlen(text), &scanned, &limits);
    assert_int_equal(rc, 18);
}

/* A response has no target. */
static void test_response_limits(void **state) {
    (void)state;
    wst_http_head_t head;
    wst_http_limits_t limits = {.size = sizeof(limits), .head_max = 33, .target_max = 1};
    const char *text = "HTTP/1.1 200 Looooooooooooong\r\n\r\n";
    assert_int_equal(wst_http_parse_response(&head, text, 33, &(size_t){0}, &limits), 33);
    const char *version = "HTTP/1.1x 200 OK\r\n\r\n";
    assert_int_equal(wst_http_parse_response(&head, version, 20, &(size_t){0}, &limits), WST_EHTTP);
    limits.head_max = 32;
    assert_int_equal(wst_http_parse_response(&head, text, 33, &(size_t){0}, &limits), WST_EHEADBIG);
}

/* Empty lines and the method are bounded, so that each call may look at them again. */
static void test_preamble(void **state) {
    (void)state;
    text_t input = {.len = 0}, out;
    for (int i = 0; i < 30; i++)
        add(&input, "\r\n");
    add(&input, "GET / HTTP/1.1\r\n\r\n");
    check(wst_http_parse_request, "30 empty lines", input.bytes, "GET / 1.1 keep-alive");
    char *lines = input.bytes;
    memset(lines, '\n', 63);
    memcpy(lines + 63, "GET / HTTP/1.1\r\n\r\n", 19);
    check(wst_http_parse_request, "G within", lines, "!method too long");
    memset(lines, '\n', 64);
    check(wst_http_parse_request, "64 empty lines", lines, "!too many empty lines");
    memset(lines, 'M', 64);
    memcpy(lines + 63, " / HTTP/1.1\r\n\r\n", 16);
    size_t scanned = 0;
    assert_int_equal(parse_piece(wst_http_parse_request, &out, lines, 78, &scanned), 78);
    memset(lines, 'M', 64);
    check(wst_http_parse_request, "method of 64", lines, "!method too long");
}

/* Linear by construction: what was scanned is not looked at again until the head is complete, so
 * spoiling it goes unnoticed. */
static void test_scans_once(void **state) {
    (void)state;
    wst_http_head_t head;
    char text[] = "GET /path HTTP/1.1\r\nName: value\r\n\r\n";
    size_t len = strlen(text), scanned = 0;
    for (size_t fed = 1; fed < len; fed++) {
        assert_int_equal(wst_http_parse_request(&head, text, fed, &scanned, NULL), 0);
        /* The last two bytes are needed to know the head's end. */
        if (fed > 7)
            text[fed - 3] = '\x01';
    }
    assert_int_equal(scanned, len - 1);
}

static void test_too_many_fields(void **state) {
    (void)state;
    text_t input = {.len = 0}, out;
    add(&input, "GET / HTTP/1.1\r\n");
    for (int i = 0; i < WST_HTTP_MAX_HEADERS; i++)
        add(&input, "A: %d\r\n", i);
    size_t scanned = 0, full = input.len;
    add(&input, "\r\n");
    assert_true(parse_piece(wst_http_parse_request, &out, input.bytes, input.len, &scanned) > 0);
    input.len = full;
    add(&input, "A: more\r\n\r\n");
    check(wst_http_parse_request, "101 fields", input.bytes, "too big");
}

static void test_look_up(void **state) {
    (void)state;
    wst_http_head_t head;
    size_t scanned = 0;
    const char *text = "GET / HTTP/1.1\r\nA: 1\r\nB: 2\r\na: 3\r\nUpgrade: x/1 , ,WebSocket,\r\n"
                       "upgrade:\r\nUPGRADE: y z\r\n\r\n";
    assert_true(wst_http_parse_request(&head, text, strlen(text), &scanned, NULL) > 0);
    const wst_http_header_t *first = wst_http_header(&head, "a", NULL);
    assert_ptr_equal(first, &head.headers[0]);
    assert_ptr_equal(wst_http_header(&head, "A", first), &head.headers[2]);
    assert_null(wst_http_header(&head, "A", &head.headers[2]));
    assert_null(wst_http_header(&head, "AA", NULL));
    assert_null(wst_http_header(&head, "", NULL));
    assert_true(wst_http_has_token(&head, "Upgrade", "websocket"));
    assert_true(wst_http_has_token(&head, "upgrade", "X/1"));
    assert_true(wst_http_has_token(&head, "Upgrade", "Y Z"));
    assert_false(wst_http_has_token(&head, "Upgrade", "web"));
    assert_false(wst_http_has_token(&head, "Upgrade", "y"));
    assert_false(wst_http_has_token(&head, "Connection", "x/1"));
}

static void test_compare(void **state) {
    (void)state;
    wst_str_t absent = {0}, text = {"aZ[x", 4};
    assert_true(wst_str_eq(absent, ""));
    assert_true(wst_str_ieq(absent, ""));
    assert_false(wst_str_eq(absent, "a"));
    assert_true(wst_str_eq(text, "aZ[x"));
    assert_false(wst_str_eq(text, "az[x"));
    assert_false(wst_str_eq(text, "aZ["));
    assert_true(wst_str_ieq(text, "Az[X"));
    assert_false(wst_str_ieq(text, "az{x")); /* '[' and '{' differ by the same bit as letters */
    assert_false(wst_str_ieq(text, "az[xy"));
    assert_false(wst_str_eq((wst_str_t){"a\0b", 3}, "a"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),        cmocka_unit_test(test_responses),
        cmocka_unit_test(test_every_byte),      cmocka_unit_test(test_limits),
        cmocka_unit_test(test_body_is_no_head), cmocka_unit_test(test_response_limits),
        cmocka_unit_test(test_preamble),        cmocka_unit_test(test_scans_once),
        cmocka_unit_test(test_too_many_fields), cmocka_unit_test(test_look_up),
        cmocka_unit_test(test_compare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
