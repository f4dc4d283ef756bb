/* SPDX-License-Identifier: MIT */
/*
 * Our parser of heads and bodies held against llhttp (strict, without lenient flags) over seeds,
 * generated messages and mutations of them. What we accept and llhttp refuses must be listed in
 * `known`, with the reason; what both accept they must understand in the same way: request line or
 * status, fields, length on the wire and payload. Built only where llhttp 8 or 9 is.
 */
#include "support.h"

#include <llhttp.h>
#include <stdio.h>
#include <wstunnel/error.h>
#include <wstunnel/http_body.h>

enum { MESSAGE_MAX = 4096 };

typedef struct message {
    bool response;
    const char *method; /* of the request a response answers */
    char bytes[MESSAGE_MAX];
    size_t len;
} message_t;

/* ---- what the two make of a message ---- */

typedef struct text {
    char bytes[MESSAGE_MAX + 1];
    size_t len;
} text_t;

static void append(text_t *t, const char *bytes, size_t len) {
    assert_true(t->len + len < sizeof(t->bytes));
    if (len > 0)
        memcpy(t->bytes + t->len, bytes, len);
    t->len += len;
}

enum { REFUSED, INCOMPLETE, COMPLETE };

typedef struct reading {
    int end;
    bool head; /* the head was accepted */
    size_t wire;
    int status, minor_version;
    bool forbidden_trailer;
    text_t line, fields, payload; /* "METHOD target"; "name:value\n"... */

    /* llhttp's only */
    text_t name, value;
    bool skip_body;
    llhttp_errno_t error;
    const char *reason;
    size_t error_at;
} reading_t;

static void clear(reading_t *r) {
    r->end = REFUSED;
    r->head = r->forbidden_trailer = r->skip_body = false;
    r->wire = r->error_at = 0;
    r->status = r->minor_version = 0;
    r->line.len = r->fields.len = r->payload.len = r->name.len = r->value.len = 0;
    r->error = HPE_OK;
    r->reason = NULL;
}

static void add_field(reading_t *r, wst_str_t name, wst_str_t value) {
    append(&r->fields, name.ptr, name.len);
    append(&r->fields, ":", 1);
    append(&r->fields, value.ptr, value.len);
    append(&r->fields, "\n", 1);
}

static void our_body(reading_t *r, const message_t *m, wst_http_body_t *body) {
    r->end = INCOMPLETE;
    while (r->wire < m->len && !body->complete) {
        wst_str_t payload;
        int rc = wst_http_body_walk(body, m->bytes + r->wire, m->len - r->wire, &payload);
        if (rc < 0) {
            r->end = REFUSED;
            return;
        }
        append(&r->payload, payload.ptr, payload.len);
        r->wire += (size_t)rc;
    }
    r->forbidden_trailer = body->forbidden_trailer;
    if (wst_http_body_end(body) == 0)
        r->end = COMPLETE;
}

static void ours(reading_t *r, const message_t *m) {
    wst_http_head_t head;
    wst_http_target_t target;
    wst_http_body_t body;
    size_t scanned = 0;
    clear(r);
    int len = m->response ? wst_http_parse_response(&head, m->bytes, m->len, &scanned, NULL)
                          : wst_http_parse_request(&head, m->bytes, m->len, &scanned, NULL);
    if (len <= 0) {
        r->end = len == 0 ? INCOMPLETE : REFUSED;
        return;
    }
    if (m->response) {
        append(&r->line, head.reason.ptr, head.reason.len);
        wst_http_body_response(&body, &head, (wst_str_t){m->method, strlen(m->method)});
    } else {
        if (wst_http_parse_target(&target, &head, NULL) != 0)
            return;
        append(&r->line, head.method.ptr, head.method.len);
        append(&r->line, " ", 1);
        append(&r->line, head.target.ptr, head.target.len);
        wst_http_body_request(&body, &head);
    }
    for (size_t i = 0; i < head.header_count; i++)
        add_field(r, head.headers[i].name, head.headers[i].value);
    r->head = true;
    r->wire = (size_t)len;
    r->status = head.status;
    r->minor_version = head.minor_version;
    our_body(r, m, &body);
}

static int on_method(llhttp_t *parser, const char *at, size_t len) {
    reading_t *r = parser->data;
    append(&r->line, at, len);
    return 0;
}

static int on_method_complete(llhttp_t *parser) {
    return on_method(parser, " ", 1);
}

static int on_line(llhttp_t *parser, const char *at, size_t len) {
    return on_method(parser, at, len);
}

static int on_name(llhttp_t *parser, const char *at, size_t len) {
    reading_t *r = parser->data;
    append(&r->name, at, len);
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t len) {
    reading_t *r = parser->data;
    append(&r->value, at, len);
    return 0;
}

static int on_field(llhttp_t *parser) {
    reading_t *r = parser->data;
    while (r->value.len > 0 && strchr(" \t", r->value.bytes[r->value.len - 1]) != NULL)
        r->value.len--; /* llhttp leaves that to its caller */
    if (!r->head)
        add_field(r, (wst_str_t){r->name.bytes, r->name.len},
                  (wst_str_t){r->value.bytes, r->value.len});
    r->name.len = r->value.len = 0;
    return 0;
}

/* Which responses have no body whatever their fields say, llhttp leaves to its caller too. */
static int on_head(llhttp_t *parser) {
    reading_t *r = parser->data;
    r->head = true;
    r->status = parser->type == HTTP_RESPONSE ? parser->status_code : 0;
    r->minor_version = parser->http_minor;
    bool none = r->status != 0 && (r->status < 200 || r->status == 204 || r->status == 304);
    return none || r->skip_body ? 1 : 0;
}

static int on_payload(llhttp_t *parser, const char *at, size_t len) {
    reading_t *r = parser->data;
    append(&r->payload, at, len);
    return 0;
}

static int on_complete(llhttp_t *parser) {
    reading_t *r = parser->data;
    r->end = COMPLETE;
    return HPE_PAUSED;
}

static void theirs(reading_t *r, const message_t *m) {
    static llhttp_settings_t settings;
    llhttp_t parser;
    clear(r);
    llhttp_settings_init(&settings);
    settings.on_method = on_method;
    settings.on_method_complete = on_method_complete;
    settings.on_url = on_line;
    settings.on_status = on_line;
    settings.on_header_field = on_name;
    settings.on_header_value = on_value;
    settings.on_header_value_complete = on_field;
    settings.on_headers_complete = on_head;
    settings.on_body = on_payload;
    settings.on_message_complete = on_complete;
    llhttp_init(&parser, m->response ? HTTP_RESPONSE : HTTP_REQUEST, &settings);
    parser.data = r;
    r->skip_body = m->response && strcmp(m->method, "HEAD") == 0;
    r->error = llhttp_execute(&parser, m->bytes, m->len);
    r->wire = m->len;
    if (r->error == HPE_OK && r->head) { /* until close; or not complete */
        llhttp_finish(&parser);
    } else if (r->error != HPE_OK) {
        r->wire = r->error_at = (size_t)(llhttp_get_error_pos(&parser) - m->bytes);
        r->reason = llhttp_get_error_reason(&parser);
    }
    if (r->end != COMPLETE)
        r->end = r->error == HPE_OK ? INCOMPLETE : REFUSED;
}

/* ---- what is known ---- */

static char byte_at_error(const message_t *m, const reading_t *t) {
    return t->error_at < m->len ? m->bytes[t->error_at] : '\0';
}

/* To llhttp PRI begins HTTP/2, whatever follows. */
static bool is_method(const message_t *m, const reading_t *t) {
    bool other = t->error == HPE_INVALID_METHOD ||
                 (t->error == HPE_INVALID_CONSTANT && strstr(t->reason, "method") != NULL);
    return !m->response && (other || (t->line.len >= 4 && memcmp(t->line.bytes, "PRI ", 4) == 0));
}

static bool is_bare_lf(const message_t *m, const reading_t *t) {
    size_t at = t->error_at;
    if (at > 0 && m->bytes[at - 1] == '\n')
        at--; /* it has gone on behind it */
    return !t->head && at < m->len && m->bytes[at] == '\n' && (at == 0 || m->bytes[at - 1] != '\r');
}

static bool is_utf8_target(const message_t *m, const reading_t *t) {
    return t->error == HPE_INVALID_URL && (byte_at_error(m, t) & 0x80) != 0;
}

static bool is_scheme(const message_t *m, const reading_t *t) {
    char c = byte_at_error(m, t);
    return t->error == HPE_INVALID_URL && c != '\0' && strchr("0123456789+-.", c) != NULL &&
           strstr(t->reason, "schema") != NULL;
}

static bool is_extension(const message_t *m, const reading_t *t) {
    size_t at = t->error_at;
    bool value = false; /* on this line, before */
    while (at > 0 && m->bytes[at - 1] != '\n')
        value = m->bytes[--at] == '=' || value;
    return t->head && t->reason != NULL && value &&
           (strstr(t->reason, "chunk extensions") != NULL ||
            strcmp(t->reason, "Invalid character in chunk size") == 0);
}

static bool is_framing_trailer(const message_t *m, const reading_t *t) {
    (void)m;
    return t->head &&
           (t->error == HPE_INVALID_CONTENT_LENGTH || t->error == HPE_UNEXPECTED_CONTENT_LENGTH ||
            t->error == HPE_INVALID_TRANSFER_ENCODING);
}

static struct known {
    const char *what, *why;
    bool (*applies)(const message_t *m, const reading_t *t);
    bool noted; /* and we note a forbidden trailer field */
    int mended; /* in this version of llhttp; 0: in none */
    size_t met;
} known[] = {
    {"methods it has no name for", "any token is a method (RFC 9110 section 9.1)", is_method, false,
     0, 0},
    {"bare LF as the end of a line", "RFC 9112 section 2.2 allows it; scripts send it", is_bare_lf,
     false, 0, 0},
    {"bytes from 0x80 on in a target", "clients send IDNA names and paths as they are typed",
     is_utf8_target, false, 0, 0},
    {"digits and signs in a scheme", "RFC 3986 section 3.1; who forwards refuses such schemes",
     is_scheme, false, 0, 0},
    {"extensions behind one with a token as value, escapes in strings",
     "RFC 9112 section 7.1.1; it confuses them with sizes, and knows no escapes", is_extension,
     false, 9, 0},
    {"trailer fields about framing",
     "it reads them like those of a head; we note them as forbidden, and none is passed on",
     is_framing_trailer, true, 0, 0},
};

static bool is_known(const message_t *m, const reading_t *o, const reading_t *t) {
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (known[i].applies(m, t) && (o->forbidden_trailer || !known[i].noted)) {
            known[i].met++;
            return true;
        }
    }
    return false;
}

/* ---- compare ---- */

static reading_t our, their; /* large */
static size_t both_accept, both_refuse, only_they;

static void WST_PRINTF(2, 3) differ(const message_t *m, const char *fmt, ...) {
    char why[200];
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof(why), fmt, args);
    va_end(args);
    fprintf(stderr, "%s, answer to %s:\n", m->response ? "response" : "request", m->method);
    for (size_t i = 0; i < m->len; i++) {
        unsigned char c = (unsigned char)m->bytes[i];
        if (c == '\n')
            fprintf(stderr, "\\n\n");
        else if (c >= 0x20 && c < 0x7f)
            fputc(c, stderr);
        else
            fprintf(stderr, "\\x%02x", c);
    }
    fail_msg("%s; llhttp: %s (%s) at %zu", why, llhttp_errno_name(their.error),
             their.reason != NULL ? their.reason : "", their.error_at);
}

static bool same(const text_t *a, const text_t *b) {
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

static void compare(const message_t *m) {
    ours(&our, m);
    theirs(&their, m);
    bool we = our.head && our.end != REFUSED, they = their.head && their.end != REFUSED;
    both_refuse += !we && !they;
    only_they += !we && they;
    both_accept += we && they;
    if (!we)
        return;
    if (!they) {
        if (!is_known(m, &our, &their))
            differ(m, "we accept it");
        return;
    }
    if (our.end != their.end)
        differ(m, "%s for us", our.end == COMPLETE ? "complete" : "incomplete");
    if (!same(&our.line, &their.line))
        differ(m, "line \"%.*s\" for us", (int)our.line.len, our.line.bytes);
    if (our.status != their.status || our.minor_version != their.minor_version)
        differ(m, "status %d, version 1.%d for us", our.status, our.minor_version);
    if (!same(&our.fields, &their.fields))
        differ(m, "fields for us:\n%.*s", (int)our.fields.len, our.fields.bytes);
    if (!same(&our.payload, &their.payload))
        differ(m, "payload of %zu for us, %zu for them", our.payload.len, their.payload.len);
    if (our.end == COMPLETE && our.wire != their.wire)
        differ(m, "ends at %zu for us, at %zu for them", our.wire, their.wire);
}

/* ---- messages ---- */

static const char *const requests[] = {
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET http://a:81/b?c HTTP/1.1\r\nHost: a\r\nProxy-Connection: keep-alive\r\n\r\n",
    "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n\x16\x03\x01",
    "CONNECT [::1]:443 HTTP/1.0\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n\r\n",
    "PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET",
    "PUT / HTTP/1.1\r\nTransfer-Encoding: a, chunked\r\n\r\n2;b=\"c\";d\r\nab\r\n0;g\r\n\r\n",
    "PUT / HTTP/1.1\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "PUT / HTTP/1.1\r\nContent-Length: 5\r\ncontent-length: 6\r\n\r\nhello",
    "POST / HTTP/1.0\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi",
    "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81",
    "POST / HTTP/1.1\r\nUpgrade: x\r\nConnection: Upgrade\r\nContent-Length: 3\r\n\r\nabcdef",
    "FROBNICATE / HTTP/1.1\r\n\r\n",
    "GET /\xc3\xbc HTTP/1.1\r\nA: \xc3\xbc\r\n\r\n",
    "GET h2+x://a/ HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\nA: b\n\n",
    "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b;c=\"\\\"\"\r\nx\r\n0\r\n\r\n",
    "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: x\r\n\r\n",
};

static const char *const responses[] = {
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\nHTTP",
    "HTTP/1.0 200 OK\r\nServer: a\r\n\r\nuntil the end",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nHTTP/1.1",
    "HTTP/1.1 204\r\n\r\nHTTP/1.1",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x01",
    "HTTP/1.1 407 Authenticate\r\nProxy-Authenticate: Basic\r\nConnection: close\r\n\r\n",
    "HTTP/1.1 200 \xe9 reason\r\nSet-Cookie: a=b; c\r\nSet-Cookie: d\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
};

/* Fields that smuggling is made of (RFC 9112 section 11.2): any name, separator, value and end. */
static const char *const names[] = {"Content-Length",
                                    "content-length",
                                    "Transfer-Encoding",
                                    "TRANSFER-ENCODING",
                                    "Transfer_Encoding",
                                    "X: y\rTransfer-Encoding",
                                    "X: y\nContent-Length",
                                    " Transfer-Encoding",
                                    "Host",
                                    "X"};
static const char *const separators[] = {": ",     ":",      " : ", ":  ", ":\t",
                                         ":\r\n ", "\r\n: ", ":\v", ""};
static const char *const values[] = {"chunked",
                                     "xchunked",
                                     "Chunked",
                                     "gzip, chunked",
                                     "gzip ,chunked",
                                     "chunked, gzip",
                                     "chunked, chunked",
                                     "gzip",
                                     ",chunked",
                                     "chunked,",
                                     "\"chunked\"",
                                     "chunked;q=1",
                                     "",
                                     "5",
                                     "0",
                                     "05",
                                     "+5",
                                     "-5",
                                     "0x5",
                                     "5, 5",
                                     "5 5",
                                     "9223372036854775807",
                                     "18446744073709551621"};
static const char *const ends[] = {"\r\n", " \r\n", "\t\r\n", "\n", "\r", "\r\n \r\n", "\r\r\n"};

/* Pieces of anything. */
static const char *const pieces[] = {"\r\n",
                                     "\n",
                                     "\r",
                                     "\r\n\r\n",
                                     " ",
                                     "\t",
                                     "\v",
                                     ":",
                                     ",",
                                     ";",
                                     "=",
                                     "\"",
                                     "\\",
                                     "0",
                                     "1",
                                     "a",
                                     "F",
                                     "0x5",
                                     "+5",
                                     " 5",
                                     "5 ",
                                     "000005",
                                     "100000005",
                                     "FFFFFFFFFFFFFFFF",
                                     "\x80",
                                     "#",
                                     "?",
                                     "0\r\n\r\n",
                                     "5\r\nhello\r\n",
                                     "3;a=b\r\nabc\r\n",
                                     "3;a=\"b\"\r\nabc\r\n",
                                     "Connection: close\r\n",
                                     "Connection: Upgrade\r\n",
                                     "Upgrade: websocket\r\n",
                                     "A: b\r\n c\r\n",
                                     "HTTP/1.0",
                                     "HTTP/2.0",
                                     "GET ",
                                     "CONNECT ",
                                     "PRI ",
                                     "http://a",
                                     "https://b:4",
                                     "[::1]",
                                     "*"};

enum {
    REQUESTS = sizeof(requests) / sizeof(requests[0]),
    RESPONSES = sizeof(responses) / sizeof(responses[0]),
    NAMES = sizeof(names) / sizeof(names[0]),
    SEPARATORS = sizeof(separators) / sizeof(separators[0]),
    VALUES = sizeof(values) / sizeof(values[0]),
    ENDS = sizeof(ends) / sizeof(ends[0]),
    FIELDS = NAMES * SEPARATORS * VALUES * ENDS,
    PIECES = sizeof(pieces) / sizeof(pieces[0])
};

/* The n-th field of all. */
static const char *field(size_t n) {
    static char text[200];
    snprintf(text, sizeof(text), "%s%s%s%s", names[n % NAMES], separators[n / NAMES % SEPARATORS],
             values[n / NAMES / SEPARATORS % VALUES], ends[n / NAMES / SEPARATORS / VALUES % ENDS]);
    return text;
}

static size_t pick(uint64_t *random, size_t n) {
    return (size_t)(test_random(random) % n);
}

/* Replaces `cut` bytes at `at`. */
static void splice(message_t *m, size_t at, size_t cut, const char *bytes, size_t len) {
    if (m->len - cut + len > MESSAGE_MAX / 4) /* so that a few of them make no text overflow */
        return;
    memmove(m->bytes + at + len, m->bytes + at + cut, m->len - at - cut);
    memcpy(m->bytes + at, bytes, len);
    m->len = m->len - cut + len;
}

/* Where lines begin, most of the time: there fields and chunks go in whole. */
static size_t place(const message_t *m, uint64_t *random) {
    size_t at = pick(random, m->len + 1);
    if (pick(random, 3) > 0) {
        while (at > 0 && m->bytes[at - 1] != '\n')
            at--;
    }
    return at;
}

static void mutate(message_t *m, uint64_t *random) {
    char copy[64];
    size_t at = place(m, random), left = m->len - at;
    const char *piece = pieces[pick(random, PIECES)];
    switch (pick(random, 7)) {
    case 0: /* a byte */
        copy[0] = (char)pick(random, 256);
        splice(m, at, left > 0 ? 1 : 0, copy, 1);
        break;
    case 1: /* less */
        splice(m, at, left > 0 ? 1 + pick(random, left < 8 ? left : 8) : 0, "", 0);
        break;
    case 2: /* something again */
        left = left < sizeof(copy) ? left : sizeof(copy);
        left = left > 0 ? 1 + pick(random, left) : 0;
        memcpy(copy, m->bytes + at, left);
        splice(m, place(m, random), 0, copy, left);
        break;
    case 3: /* a line's end changed or cut off */
        while (at < m->len && m->bytes[at] != '\r')
            at++;
        left = m->len - at < 2 ? m->len - at : 1 + pick(random, 2);
        splice(m, at, left, &"\n\r \t"[left], pick(random, 2));
        break;
    case 4:
        piece = field(pick(random, FIELDS));
        splice(m, at, 0, piece, strlen(piece));
        break;
    default:
        splice(m, at, 0, piece, strlen(piece));
        break;
    }
}

static void begin(message_t *m, const char *text, bool response, const char *method) {
    m->response = response;
    m->method = method;
    m->len = strlen(text);
    memcpy(m->bytes, text, m->len);
}

static void test_seeds_alike(void **state) {
    (void)state;
    static message_t m;
    for (size_t i = 0; i < REQUESTS; i++) {
        begin(&m, requests[i], false, "");
        for (size_t len = m.len; len > 0; len--) {
            m.len = len;
            compare(&m);
        }
    }
    for (size_t i = 0; i < RESPONSES; i++) {
        for (int head = 0; head < 2; head++) {
            begin(&m, responses[i], true, head == 1 ? "HEAD" : "GET");
            for (size_t len = m.len; len > 0; len--) {
                m.len = len;
                compare(&m);
            }
        }
    }
}

static const char *seed_text(size_t n) {
    return n < REQUESTS ? requests[n] : responses[n - REQUESTS];
}

/* Each piece in each place of each seed. */
static void test_pieces(void **state) {
    (void)state;
    static message_t m;
    for (size_t i = 0; i < PIECES; i++) {
        for (size_t j = 0; j < REQUESTS + RESPONSES; j++) {
            size_t len = strlen(seed_text(j));
            for (size_t at = 0; at <= len; at++) {
                begin(&m, seed_text(j), j >= REQUESTS, "GET");
                splice(&m, at, 0, pieces[i], strlen(pieces[i]));
                compare(&m);
            }
        }
    }
}

/* Each field as the first of each seed, and as the first trailer field if that is chunked. */
static void test_fields(void **state) {
    (void)state;
    static message_t m;
    for (size_t i = 0; i < FIELDS; i++) {
        const char *text = field(i);
        for (size_t j = 0; j < REQUESTS + RESPONSES; j++) {
            const char *last = strstr(seed_text(j), "0\r\n");
            begin(&m, seed_text(j), j >= REQUESTS, "GET");
            splice(&m, strcspn(m.bytes, "\n") + 1, 0, text, strlen(text));
            compare(&m);
            if (last == NULL)
                continue;
            begin(&m, seed_text(j), j >= REQUESTS, "GET");
            splice(&m, (size_t)(last - seed_text(j)) + 3, 0, text, strlen(text));
            compare(&m);
        }
    }
}

static void test_mutations(void **state) {
    (void)state;
    static message_t m;
    uint64_t first, count;
    test_seeds(&first, &count, 200000);
    for (uint64_t seed = first; seed < first + count; seed++) {
        uint64_t random = seed * 2654435761U + 1;
        const char *method = pick(&random, 4) == 0 ? "HEAD" : "GET";
        size_t n = pick(&random, REQUESTS + RESPONSES);
        begin(&m, seed_text(n), n >= REQUESTS, method);
        for (n = 1 + pick(&random, 4); n > 0; n--)
            mutate(&m, &random);
        compare(&m);
    }
}

/* The list holds nothing that has ceased to be, and the comparison has something to compare. */
static void test_known(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        print_message("# %zu times we accept and llhttp refuses: %s (%s)\n", known[i].met,
                      known[i].what, known[i].why);
        bool mended = known[i].mended != 0 && known[i].mended <= LLHTTP_VERSION_MAJOR;
        assert_true(known[i].met > 0 || mended);
    }
    print_message("# both accept %zu, both refuse %zu, only llhttp accepts %zu\n", both_accept,
                  both_refuse, only_they);
    assert_true(both_accept > 1000 && both_refuse > 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seeds_alike), cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_fields),      cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
