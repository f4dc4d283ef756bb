/* SPDX-License-Identifier: MIT */
/* Heads on their way through a proxy: what is passed on, what is left out, what is said anew, and
 * what becomes of bodies and connections. */
#include "support.h"

#include "http_forward.h"

#include <stdio.h>
#include <wstunnel/error.h>

typedef struct exchange {
    wst_http_head_t request;
    wst_http_target_t target;
    wst__forward_t forward;
} exchange_t;

/* The request text must outlive the exchange. */
static void open_exchange(exchange_t *x, const char *text) {
    size_t len = strlen(text);
    int rc = wst_http_parse_request(&x->request, text, len, &(size_t){0}, NULL);
    if (rc != (int)len || wst_http_parse_target(&x->target, &x->request, NULL) != 0)
        fail_msg("bad vector: %s", text);
    assert_int_equal(x->target.form, WST_HTTP_ABSOLUTE);
    x->forward = (wst__forward_t){.request = &x->request,
                                  .target = &x->target,
                                  .pseudonym = "us",
                                  .keep_client = true,
                                  .keep_origin = true};
}

/* What the head becomes, or the error. Checked: it fits exactly, and into nothing smaller. */
static const char *rewrite(const exchange_t *x) {
    static char out[4096];
    int len = wst__forward_request(&x->forward, out, sizeof(out) - 1);
    if (len < 0)
        return len == WST_EINVAL ? "invalid" : "other error";
    out[len] = '\0';
    for (size_t size = 0; size <= (size_t)len; size++) {
        char *exact = malloc(size + 1);
        int rc = wst__forward_request(&x->forward, exact, size);
        assert_int_equal(rc, size == (size_t)len ? len : WST_EHEADBIG);
        free(exact);
    }
    return out;
}

typedef struct vector {
    const char *name, *input, *expect;
} vector_t;

#define VIA    "Via: 1.1 us\r\n"
#define KEPT   "Connection: keep-alive\r\n\r\n"
#define ASKED  "GET http://a/ HTTP/1.1\r\n"
#define PASSED "GET / HTTP/1.1\r\nHost: a\r\n"

static const vector_t requests[] = {
    /* RFC 9112 section 3.2: target and Host */
    {"plain", "GET http://a/b?c HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n",
     "GET /b?c HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n" VIA KEPT},
    {"no Host", ASKED "\r\n", PASSED VIA KEPT},
    {"traces pass as they are, malformed ones, too",
     ASKED "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
           "tracestate: a=1,b@c=2\r\ntracestate: d=3\r\nTraceParent: ff-0\r\n\r\n",
     PASSED "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
            "tracestate: a=1,b@c=2\r\ntracestate: d=3\r\nTraceParent: ff-0\r\n" VIA KEPT},
    {"another Host (3.2.2)", ASKED "A: b\r\nhOST: evil\r\n\r\n", PASSED "A: b\r\n" VIA KEPT},
    {"no path", "GET http://a HTTP/1.1\r\n\r\n", PASSED VIA KEPT},
    {"query without a path (3.2.1)", "GET http://a?b HTTP/1.1\r\n\r\n",
     "GET /?b HTTP/1.1\r\nHost: a\r\n" VIA KEPT},
    {"two slashes", "GET http://a//b HTTP/1.1\r\n\r\n", "GET //b HTTP/1.1\r\nHost: a\r\n" VIA KEPT},
    {"URI in the path", "GET http://a/http://b HTTP/1.1\r\n\r\n",
     "GET /http://b HTTP/1.1\r\nHost: a\r\n" VIA KEPT},
    {"port", "GET http://a:8080/ HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a:8080\r\n" VIA KEPT},
    {"default port", "GET http://a:80/ HTTP/1.1\r\n\r\n", PASSED VIA KEPT},
    {"empty port", "GET http://a:/ HTTP/1.1\r\n\r\n", PASSED VIA KEPT},
    {"443", "GET http://a:443/ HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a:443\r\n" VIA KEPT},
    {"IPv6", "GET http://[::1]/ HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: [::1]\r\n" VIA KEPT},
    {"IPv6 and port", "GET http://[::1]:81/ HTTP/1.1\r\n\r\n",
     "GET / HTTP/1.1\r\nHost: [::1]:81\r\n" VIA KEPT},
    {"ws", "GET ws://a/b HTTP/1.1\r\n\r\n", "GET /b HTTP/1.1\r\nHost: a\r\n" VIA KEPT},
    {"OPTIONS (3.2.4)", "OPTIONS http://a:8001 HTTP/1.1\r\n\r\n",
     "OPTIONS * HTTP/1.1\r\nHost: a:8001\r\n" VIA KEPT},
    {"OPTIONS of a query", "OPTIONS http://a?b HTTP/1.1\r\n\r\n",
     "OPTIONS /?b HTTP/1.1\r\nHost: a\r\n" VIA KEPT},
    {"OPTIONS of a path", "OPTIONS http://a/ HTTP/1.1\r\n\r\n",
     "OPTIONS / HTTP/1.1\r\nHost: a\r\n" VIA KEPT},
    {"any method", "M-SEARCH http://a/ HTTP/1.1\r\n\r\n",
     "M-SEARCH / HTTP/1.1\r\nHost: a\r\n" VIA KEPT},
    {"bare LF", "GET http://a/ HTTP/1.1\nA:b\n\n", PASSED "A: b\r\n" VIA KEPT},
    {"repeated fields in order", ASKED "A: 1\r\nB: 2\r\na: 3\r\n\r\n",
     PASSED "A: 1\r\nB: 2\r\na: 3\r\n" VIA KEPT},

    /* RFC 9110 section 7.6.1: fields of the connection */
    {"Connection", ASKED "Connection: close, X-Hop , keep-alive\r\nx-hop: 1\r\nX-Hop2: 2\r\n\r\n",
     PASSED "X-Hop2: 2\r\n" VIA KEPT},
    {"Connection twice", ASKED "B: 1\r\nConnection: A\r\nA: 2\r\nconnection: B\r\nC: 3\r\n\r\n",
     PASSED "C: 3\r\n" VIA KEPT},
    {"known ones",
     ASKED "Keep-Alive: 5\r\nProxy-Connection: x\r\nProxy-Authorization: Basic eA==\r\n"
           "Proxy-Authenticate: x\r\nProxy-Authentication-Info: x\r\nUpgrade: websocket\r\n"
           "TE: gzip\r\nAuthorization: Basic eA==\r\n\r\n",
     PASSED "Authorization: Basic eA==\r\n" VIA KEPT},
    {"TE: trailers (10.1.4)", ASKED "TE: gzip, trailers\r\nConnection: TE\r\n\r\n",
     PASSED "TE: trailers\r\n" VIA "Connection: keep-alive, TE\r\n\r\n"},
    {"Connection takes no framing away",
     "PUT http://a/ HTTP/1.1\r\nConnection: Content-Length, Host, Via\r\nContent-Length: 5\r\n\r\n",
     "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n" VIA KEPT},
    {"nor the other",
     "PUT http://a/ HTTP/1.1\r\nConnection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n"
     "\r\n",
     "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n" VIA KEPT},
    {"Expect (10.1.1)", ASKED "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n",
     PASSED "Expect: 100-continue\r\nContent-Length: 1\r\n" VIA KEPT},

    /* framing is said in one way */
    {"length", ASKED "content-length:   0005 \r\nA: b\r\n\r\n",
     PASSED "A: b\r\nContent-Length: 5\r\n" VIA KEPT},
    {"no length", ASKED "Content-Length: 0\r\n\r\n", PASSED "Content-Length: 0\r\n" VIA KEPT},
    {"chunked", ASKED "Transfer-Encoding:ChunKed  \r\nTrailer: X\r\n\r\n",
     PASSED "Trailer: X\r\nTransfer-Encoding: chunked\r\n" VIA KEPT},

    /* RFC 9110 section 7.6.3 */
    {"Via", ASKED "Via: 1.0 fred, 1.1 p.example.net (a, b)\r\nA: b\r\nvia: 1.1 x\r\nVia:\r\n\r\n",
     PASSED "A: b\r\nVia: 1.0 fred, 1.1 p.example.net (a, b), 1.1 x, 1.1 us\r\n" KEPT},

    /* section 7.6.2 */
    {"Max-Forwards", "OPTIONS http://a HTTP/1.1\r\nMax-Forwards: 10\r\nA: b\r\n\r\n",
     "OPTIONS * HTTP/1.1\r\nHost: a\r\nA: b\r\nMax-Forwards: 9\r\n" VIA KEPT},
    {"of TRACE, large", "TRACE http://a/ HTTP/1.1\r\nMax-Forwards: 99999999999999999999\r\n\r\n",
     "TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 2147483646\r\n" VIA KEPT},
    {"no number", "TRACE http://a/ HTTP/1.1\r\nMax-Forwards: -1\r\n\r\n",
     "TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: -1\r\n" VIA KEPT},
    {"of another method", ASKED "Max-Forwards: 0\r\n\r\n", PASSED "Max-Forwards: 0\r\n" VIA KEPT},

    /* section 7.8 */
    {"WebSocket",
     ASKED "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Key: x\r\n\r\n",
     PASSED "Sec-WebSocket-Key: x\r\n" VIA "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"},
    {"several", ASKED "Upgrade: a/1, b\r\nConnection: upgrade\r\nUpgrade: c\r\n\r\n",
     PASSED VIA "Upgrade: a/1, b, c\r\nConnection: Upgrade\r\n\r\n"},
    {"not for us to pass on", ASKED "Upgrade: websocket\r\n\r\n", PASSED VIA KEPT},
    {"to nothing", ASKED "Upgrade:\r\nConnection: upgrade\r\n\r\n", PASSED VIA KEPT},
    {"h2c",
     ASKED "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n",
     PASSED VIA KEPT},

    /* RFC 9110 sections 2.5 and 10.1.1, RFC 9112 section 9.3 */
    {"HTTP/1.0",
     "POST http://a/ HTTP/1.0\r\nConnection: keep-alive, upgrade\r\nUpgrade: websocket\r\n"
     "Expect: 100-continue\r\nTE: trailers\r\nContent-Length: 1\r\n\r\n",
     "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nVia: 1.0 us\r\n" KEPT},
};

static void test_requests(void **state) {
    (void)state;
    exchange_t x;
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        open_exchange(&x, requests[i].input);
        if (wst__forward_check(&x.forward) != WST__FORWARD_YES)
            fail_msg("%s: refused", requests[i].name);
        const char *got = rewrite(&x);
        if (strcmp(got, requests[i].expect) != 0)
            fail_msg("%s:\n%s", requests[i].name, got);
    }
    open_exchange(&x, ASKED "\r\n");
    x.forward.keep_origin = false;
    assert_string_equal(rewrite(&x), PASSED VIA "Connection: close\r\n\r\n");
}

static void test_verdicts(void **state) {
    (void)state;
    static const struct {
        const char *text;
        wst__forward_verdict_t verdict;
    } vectors[] = {
        {"GET HTTP://a/ HTTP/1.1\r\n\r\n", WST__FORWARD_YES},
        {"GET Ws://a/ HTTP/1.1\r\n\r\n", WST__FORWARD_YES},
        {"GET https://a/ HTTP/1.1\r\n\r\n", WST__FORWARD_TLS},
        {"GET WSS://a/ HTTP/1.1\r\n\r\n", WST__FORWARD_TLS},
        {"GET ftp://a/ HTTP/1.1\r\n\r\n", WST__FORWARD_SCHEME},
        {"GET httpx://a/ HTTP/1.1\r\n\r\n", WST__FORWARD_SCHEME},
        /* RFC 9110 section 7.6.3 */
        {ASKED "Via: 1.1 us\r\n\r\n", WST__FORWARD_LOOP},
        {ASKED "Via: 1.0 fred, HTTP/1.1 \t US (comment)\r\n\r\n", WST__FORWARD_LOOP},
        {ASKED "Via: 1.1 a\r\nVia: ,, 1.1\tus\t(x),1.1 b\r\n\r\n", WST__FORWARD_LOOP},
        {ASKED "Via: 1.1 open (, 1.1 us\r\n\r\n", WST__FORWARD_LOOP},
        {ASKED "Via: 1.1 \"a, 1.1 us\r\n\r\n", WST__FORWARD_LOOP},
        {ASKED "Via: 1.1 us2, 1.1 u, us, 1.1 a us, 1.1\r\nX-Via: 1.1 us\r\n\r\n", WST__FORWARD_YES},
        /* section 7.6.2 */
        {"OPTIONS http://a HTTP/1.1\r\nMax-Forwards: 0\r\n\r\n", WST__FORWARD_LAST},
        {"TRACE http://a/ HTTP/1.1\r\nMax-Forwards: 000\r\n\r\n", WST__FORWARD_LAST},
        {"TRACE http://a/ HTTP/1.1\r\nMax-Forwards: 1\r\n\r\n", WST__FORWARD_YES},
        {"TRACE http://a/ HTTP/1.1\r\nMax-Forwards:\r\n\r\n", WST__FORWARD_YES},
        {ASKED "Max-Forwards: 0\r\n\r\n", WST__FORWARD_YES},
        /* RFC 9112 section 6.1 */
        {ASKED "Transfer-Encoding: chunked\r\n\r\n", WST__FORWARD_YES},
        {ASKED "Transfer-Encoding: gzip, chunked\r\n\r\n", WST__FORWARD_CODING},
        {ASKED "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
         WST__FORWARD_CODING},
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        exchange_t x;
        open_exchange(&x, vectors[i].text);
        if (wst__forward_check(&x.forward) != vectors[i].verdict)
            fail_msg("%s: %d", vectors[i].text, (int)wst__forward_check(&x.forward));
    }
}

/* What we write is what we find when it comes back, even behind what was meant to hide it. */
static void test_loop(void **state) {
    (void)state;
    static const char *const vias[] = {"", "Via: 1.1 a (\r\n", "Via: \"\r\n", "Via: 1.0 b (\\\r\n"};
    for (size_t i = 0; i < sizeof(vias) / sizeof(vias[0]); i++) {
        char text[400], again[800];
        exchange_t x;
        snprintf(text, sizeof(text), ASKED "%s\r\n", vias[i]);
        open_exchange(&x, text);
        const char *got = rewrite(&x);
        snprintf(again, sizeof(again), "GET http://a%s", got + 4);
        open_exchange(&x, again);
        assert_int_equal(wst__forward_check(&x.forward), WST__FORWARD_LOOP);
        x.forward.pseudonym = "other";
        assert_int_equal(wst__forward_check(&x.forward), WST__FORWARD_YES);
    }
}

/* ---- responses ---- */

/*
 * The response as text: the head for the client and what becomes of the rest, e.g.
 * "... [chunked keep-client keep-origin]".
 */
static const char *answer(const exchange_t *x, const char *text) {
    static char out[4200];
    static const char *const framings[] = {"none", "length", "chunked", "until close"};
    wst_http_head_t head;
    wst__reply_t reply;
    size_t size = strlen(text);
    assert_int_equal(wst_http_parse_response(&head, text, size, &(size_t){0}, NULL), size);
    memset(&reply, 0xa5, sizeof(reply));
    wst__forward_t forward = x->forward;
    int len = wst__forward_response(&reply, &forward, &head, out, 4000);
    if (len < 0) {
        snprintf(out, sizeof(out), "!%s",
                 len == WST_EHTTP    ? reply.error
                 : len == WST_EINVAL ? "invalid"
                                     : "other error");
        return out;
    }
    assert_null(reply.error);
    snprintf(out + len, sizeof(out) - (size_t)len, "[%s%s%s%s%s%s%s]", framings[reply.body.framing],
             reply.interim ? " interim" : "", reply.upgrade ? " upgrade" : "",
             reply.decode ? " decode" : "", reply.encode ? " encode" : "",
             reply.keep_client ? " keep-client" : "", reply.keep_origin ? " keep-origin" : "");
    for (size_t room = 0; room < (size_t)len; room++) {
        char *exact = malloc(room + 1);
        forward = x->forward;
        assert_int_equal(wst__forward_response(&reply, &forward, &head, exact, room), WST_EHEADBIG);
        free(exact);
    }
    return out;
}

static void check_answers(const char *request, const vector_t *vectors, size_t count) {
    exchange_t x;
    open_exchange(&x, request);
    for (size_t i = 0; i < count; i++) {
        const char *got = answer(&x, vectors[i].input);
        if (strcmp(got, vectors[i].expect) != 0)
            fail_msg("%s:\n%s", vectors[i].name, got);
    }
}

#define OK "HTTP/1.1 200 OK\r\n"

static void test_responses(void **state) {
    (void)state;
    static const vector_t vectors[] = {
        {"length", OK "Content-Length: 05\r\nA: b\r\n\r\n",
         OK "A: b\r\nContent-Length: 5\r\n" VIA KEPT "[length keep-client keep-origin]"},
        {"chunked", OK "Transfer-Encoding: CHUNKED\r\nTrailer: A\r\n\r\n",
         OK "Trailer: A\r\nTransfer-Encoding: chunked\r\n" VIA KEPT
            "[chunked keep-client keep-origin]"},
        {"until close", OK "\r\n",
         OK "Transfer-Encoding: chunked\r\n" VIA KEPT "[until close encode keep-client]"},
        {"until close, HTTP/1.0", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n",
         OK "Transfer-Encoding: chunked\r\nVia: 1.0 us\r\n" KEPT
            "[until close encode keep-client]"},
        {"until close, trailers announced", OK "Trailer: A\r\nB: c\r\n\r\n",
         OK "B: c\r\nTransfer-Encoding: chunked\r\n" VIA KEPT "[until close encode keep-client]"},
        {"until close, an error", "HTTP/1.1 500 No\r\n\r\n",
         "HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n" VIA KEPT
         "[until close encode keep-client]"},
        {"origin closes", OK "Content-Length: 0\r\nConnection: close\r\n\r\n",
         OK "Content-Length: 0\r\n" VIA KEPT "[length keep-client]"},
        {"HTTP/1.0", "HTTP/1.0 200\r\nContent-Length: 1\r\n\r\n",
         "HTTP/1.1 200 \r\nContent-Length: 1\r\nVia: 1.0 us\r\n" KEPT "[length keep-client]"},
        {"fields of the connection (9110, 7.6.1)",
         OK "Keep-Alive: timeout=5\r\nConnection: X, Content-Length\r\nX: 1\r\nProxy-Connection: "
            "x\r\nUpgrade: h2,h2c\r\nProxy-Authenticate: Basic\r\nProxy-Authentication-Info: x\r\n"
            "Content-Length: 1\r\nWWW-Authenticate: Basic\r\nVia: 1.1 o\r\n\r\n",
         OK "WWW-Authenticate: Basic\r\nContent-Length: 1\r\nVia: 1.1 o, 1.1 us\r\n" KEPT
            "[length keep-client keep-origin]"},
        {"cookies stay apart", OK "Set-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
         OK "Set-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 0\r\n" VIA KEPT
            "[length keep-client keep-origin]"},
        {"304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
         "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n" VIA KEPT
         "[none keep-client keep-origin]"},
        {"204 with a length (9110, 8.6)", "HTTP/1.1 204 None\r\nContent-Length: 5\r\n\r\n",
         "HTTP/1.1 204 None\r\n" VIA KEPT "[none keep-client keep-origin]"},
        {"204, chunked (9112, 6.1)", "HTTP/1.1 204 None\r\nTransfer-Encoding: chunked\r\n\r\n",
         "HTTP/1.1 204 None\r\n" VIA KEPT "[none keep-client keep-origin]"},
        {"100", "HTTP/1.1 100 Continue\r\nConnection: A\r\nA: b\r\nC: d\r\n\r\n",
         "HTTP/1.1 100 Continue\r\nC: d\r\n" VIA "\r\n[none interim keep-client keep-origin]"},
        {"103 with a length", "HTTP/1.1 103 Early Hints\r\nLink: x\r\nContent-Length: 5\r\n\r\n",
         "HTTP/1.1 103 Early Hints\r\nLink: x\r\n" VIA
         "\r\n[none interim keep-client keep-origin]"},
        {"101 unasked (9110, 7.8)",
         "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
         "!upgrade that was not asked for"},
        {"gzip, chunked (9112, 7.4)", OK "Transfer-Encoding: gzip, chunked\r\n\r\n",
         "!transfer coding other than chunked"},
        {"426 (9110, 15.5.22)",
         "HTTP/1.1 426 Upgrade Required\r\nUpgrade: TLS/1.2\r\nConnection: Upgrade\r\n"
         "Content-Length: 0\r\n\r\n",
         "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n" VIA
         "Upgrade: TLS/1.2\r\nConnection: Upgrade, keep-alive\r\n\r\n"
         "[length keep-client keep-origin]"},
        {"426 without", "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n",
         "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n" VIA KEPT
         "[length keep-client keep-origin]"},
        {"reason", "HTTP/1.1 599 \xe9\t  x \r\nContent-Length: 0\r\n\r\n",
         "HTTP/1.1 599 \xe9\t  x \r\nContent-Length: 0\r\n" VIA KEPT
         "[length keep-client keep-origin]"},
    };
    check_answers(ASKED "Upgrade: websocket\r\n\r\n", vectors,
                  sizeof(vectors) / sizeof(vectors[0]));
}

static void test_responses_to_head(void **state) {
    (void)state;
    static const vector_t vectors[] = {
        {"length", OK "Content-Length: 5\r\n\r\n",
         OK "Content-Length: 5\r\n" VIA KEPT "[none keep-client keep-origin]"},
        {"chunked", OK "Transfer-Encoding: chunked\r\n\r\n",
         OK VIA KEPT "[none keep-client keep-origin]"},
        {"none", OK "\r\n", OK VIA KEPT "[none keep-client keep-origin]"},
    };
    check_answers("HEAD http://a/ HTTP/1.1\r\n\r\n", vectors, 3);
}

static void test_responses_to_upgrade(void **state) {
    (void)state;
    static const char asked[] = ASKED "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    static const vector_t vectors[] = {
        {"101",
         "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade, X\r\nX: 1\r\n"
         "Sec-WebSocket-Accept: x\r\nContent-Length: 5\r\n\r\n",
         "HTTP/1.1 101 Switching\r\nSec-WebSocket-Accept: x\r\n" VIA
         "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
         "[none upgrade keep-client keep-origin]"},
        {"to h2c", "HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
         "!upgrade that was not asked for"},
        {"to nothing", "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\n\r\n",
         "!upgrade that was not asked for"},
        {"100 first", "HTTP/1.1 100 Continue\r\n\r\n",
         "HTTP/1.1 100 Continue\r\n" VIA "\r\n[none interim keep-client keep-origin]"},
        {"no", "HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n",
         "HTTP/1.1 400 No\r\nContent-Length: 0\r\n" VIA KEPT "[length keep-client keep-origin]"},
    };
    check_answers(asked, vectors, 5);
}

/* RFC 9110 sections 2.5 and 15.2, RFC 9112 sections 6.1 and 9.3 */
static void test_responses_to_1_0(void **state) {
    (void)state;
    static const char asked[] =
        "GET http://a/ HTTP/1.0\r\nConnection: keep-alive, upgrade\r\nUpgrade: websocket\r\n\r\n";
    static const vector_t vectors[] = {
        {"length", OK "Content-Length: 5\r\n\r\n",
         "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n" VIA
         "Connection: close\r\n\r\n[length keep-origin]"},
        {"chunked is for us to decode",
         OK "Transfer-Encoding: chunked\r\nTrailer: A\r\nB: c\r\n\r\n",
         "HTTP/1.0 200 OK\r\nB: c\r\n" VIA "Connection: close\r\n\r\n[chunked decode keep-origin]"},
        {"until close stays so", OK "B: c\r\n\r\n",
         "HTTP/1.0 200 OK\r\nB: c\r\n" VIA "Connection: close\r\n\r\n[until close]"},
        {"interim", "HTTP/1.1 100 Continue\r\n\r\n", "[none interim keep-origin]"},
        {"101", "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\n\r\n",
         "!upgrade that was not asked for"},
    };
    check_answers(asked, vectors, sizeof(vectors) / sizeof(vectors[0]));
}

/* RFC 9110 section 6.6.1 */
static void test_date(void **state) {
    (void)state;
#define NOW  "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
#define THEN "Date: Mon, 01 Jan 1990 00:00:00 GMT\r\n"
#define BODY "Content-Length: 0\r\n"
#define REST BODY VIA KEPT "[length keep-client keep-origin]"
    static const vector_t vectors[] = {
        {"none", OK "A: b\r\n" BODY "\r\n", OK NOW "A: b\r\n" REST},
        {"the origin's", OK "A: b\r\n" THEN BODY "\r\n", OK "A: b\r\n" THEN REST},
        {"any case", OK "dATE: x\r\n" BODY "\r\n", OK "dATE: x\r\n" REST},
        {"for us only", OK "Connection: date\r\n" THEN BODY "\r\n", OK NOW REST},
        {"an error", "HTTP/1.1 500 No\r\n" BODY "\r\n", "HTTP/1.1 500 No\r\n" NOW REST},
        {"304", "HTTP/1.1 304 No\r\n\r\n",
         "HTTP/1.1 304 No\r\n" NOW VIA KEPT "[none keep-client keep-origin]"},
        {"interim", "HTTP/1.1 103 Early\r\n\r\n",
         "HTTP/1.1 103 Early\r\n" VIA "\r\n[none interim keep-client keep-origin]"},
        {"upgrade", "HTTP/1.1 101 Yes\r\nUpgrade: x\r\n\r\n",
         "HTTP/1.1 101 Yes\r\n" VIA "Upgrade: x\r\nConnection: Upgrade\r\n\r\n"
         "[none upgrade keep-client keep-origin]"},
    };
    exchange_t x;
    open_exchange(&x, ASKED "Connection: upgrade\r\nUpgrade: x\r\n\r\n");
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        x.forward.date = "Sun, 06 Nov 1994 08:49:37 GMT";
        const char *got = answer(&x, vectors[i].input);
        if (strcmp(got, vectors[i].expect) != 0)
            fail_msg("%s:\n%s", vectors[i].name, got);
    }
    x.forward.date = ""; /* there is no clock */
    assert_string_equal(answer(&x, OK BODY "\r\n"), OK REST);
}

/* They are bounded, of whatever kind and whether they are sent on; the final one still comes. */
static void test_interim_responses(void **state) {
    (void)state;
    static const char *const texts[] = {"HTTP/1.1 100 Continue\r\n\r\n",
                                        "HTTP/1.1 103 Early Hints\r\n\r\n"};
    static const char *const asked[] = {ASKED "\r\n", "GET http://a/ HTTP/1.0\r\n\r\n"};
    for (int old = 0; old < 2; old++) {
        exchange_t x;
        wst_http_head_t head;
        wst__reply_t reply;
        char out[200];
        open_exchange(&x, asked[old]);
        for (int i = 0; i <= WST__INTERIM_MAX; i++) {
            size_t size = strlen(texts[i % 2]);
            assert_int_equal(wst_http_parse_response(&head, texts[i % 2], size, &(size_t){0}, NULL),
                             size);
            int len = wst__forward_response(&reply, &x.forward, &head, out, sizeof(out));
            if (i < WST__INTERIM_MAX) {
                assert_int_equal(len > 0, !old);
                assert_true(len >= 0 && reply.interim);
                continue;
            }
            assert_int_equal(len, WST_EHTTP);
            assert_string_equal(reply.error, "too many interim responses");
        }
        x.forward.interims = WST__INTERIM_MAX;
        assert_non_null(strstr(answer(&x, OK "Content-Length: 0\r\n\r\n"), " 200 OK\r\n"));
    }
}

/* The connections close if anybody wants so. */
static void test_keep(void **state) {
    (void)state;
    const char *ok = OK "Content-Length: 0\r\n\r\n";
    const char *closed = OK "Content-Length: 0\r\n" VIA "Connection: close\r\n\r\n";
    char expect[200];
    exchange_t x;
    open_exchange(&x, ASKED "Connection: close\r\n\r\n");
    snprintf(expect, sizeof(expect), "%s[length keep-origin]", closed);
    assert_string_equal(answer(&x, ok), expect);
    open_exchange(&x, ASKED "\r\n");
    x.forward.keep_client = false;
    assert_string_equal(answer(&x, ok), expect);
    x.forward.keep_origin = false;
    snprintf(expect, sizeof(expect), "%s[length]", closed);
    assert_string_equal(answer(&x, ok), expect);
}

static void test_pseudonyms(void **state) {
    (void)state;
    exchange_t x;
    char name[WST__PSEUDONYM_MAX + 2];
    memset(name, 'n', sizeof(name));
    name[WST__PSEUDONYM_MAX + 1] = '\0';
    open_exchange(&x, ASKED "\r\n");
    x.forward.pseudonym = name + 1;
    char expect[200];
    snprintf(expect, sizeof(expect), PASSED "Via: 1.1 %s\r\n" KEPT, name + 1);
    assert_string_equal(rewrite(&x), expect);
    const char *const bad[] = {name, "", "a b", "a\r\nb", "a,b"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        x.forward.pseudonym = bad[i];
        assert_string_equal(rewrite(&x), "invalid");
        assert_string_equal(answer(&x, OK "\r\n"), "!invalid");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_loop),
        cmocka_unit_test(test_responses),
        cmocka_unit_test(test_responses_to_head),
        cmocka_unit_test(test_responses_to_upgrade),
        cmocka_unit_test(test_responses_to_1_0),
        cmocka_unit_test(test_date),
        cmocka_unit_test(test_interim_responses),
        cmocka_unit_test(test_keep),
        cmocka_unit_test(test_pseudonyms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
