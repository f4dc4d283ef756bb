/* SPDX-License-Identifier: MIT */
/*
 * CONNECT through an HTTP proxy, leg by leg: what is sent, on which connection, what comes of each
 * answer, and that none of it depends on how the bytes come in.
 */
#include "support.h"

#include "proxy_http.h"

#include <stdio.h>
#include <wstunnel/error.h>

#define OK     "HTTP/1.1 200 Connection established\r\n\r\n"
#define WANTED "HTTP/1.1 407 Proxy Authentication Required\r\n"
#define BASIC  "Proxy-Authenticate: Basic realm=\"x\"\r\n"
#define MD5    "Proxy-Authenticate: Digest realm=\"x\", nonce=\"n1\", qop=\"auth\"\r\n"
#define STALE  "Proxy-Authenticate: Digest realm=\"x\", nonce=\"n2\", qop=\"auth\", stale=true\r\n"
#define EMPTY  "Content-Length: 0\r\n\r\n"
/* "ann:secret" */
#define BASIC_ANN "Basic YW5uOnNlY3JldA=="

enum { ANSWERS_MAX = 10, BROKEN = -104 };

typedef struct talk {
    const char *user, *password; /* NULL: none */
    const char *fields;
    const char *allow[4]; /* the embedder's answers; "": no fields. asks if the first is set */
    /* What the proxy says to each request; a '|' at its end: and ends the connection, a '!': and
     * breaks it (BROKEN). */
    const char *answers[ANSWERS_MAX];
    /* What came of it: for each request "=" (same connection) or "+" (new one) and what it
     * authenticates by; then the outcome. */
    const char *expect;
} talk_t;

typedef struct played {
    char text[2000];
    size_t len;
    char request[WST__PROXY_REQUEST_MAX + 1]; /* the last */
    int http_status;
    bool no_memory;
} played_t;

static played_t played; /* large */

static void note(const char *format, const char *text) {
    played.len +=
        (size_t)snprintf(played.text + played.len, sizeof(played.text) - played.len, format, text);
    assert_true(played.len < sizeof(played.text));
}

/* What a request authenticates by: Basic as it is, of Digest the hash and the nonce. */
static void note_request(const char *head) {
    static const char field[] = "Proxy-Authorization: ";
    const char *value = strstr(head, field);
    char text[200] = "-";
    if (value != NULL) {
        value += strlen(field);
        const char *nonce = strstr(value, "nonce=\"");
        if (strncmp(value, "Digest ", 7) == 0)
            snprintf(text, sizeof(text), "Digest %.2s", nonce + strlen("nonce=\""));
        else
            snprintf(text, sizeof(text), "%.*s", (int)strcspn(value, "\r"), value);
    }
    note("%s ", text);
}

static int send_request(wst__proxy_http_t *p, bool same) {
    static const uint8_t random[16] = {1, 2, 3};
    int len = wst__proxy_http_request(p, played.request, random);
    if (len < 0)
        return len;
    played.request[len] = '\0';
    note("%s", same ? "=" : "+");
    note_request(played.request);
    return WST__PROXY_READ;
}

/* Gives the answer in pieces: up to `split`, then `step` bytes each. Counts what is taken. */
static int give(wst__proxy_http_t *p, const char *answer, size_t len, size_t split, size_t step,
                size_t *taken) {
    int rc = WST__PROXY_READ;
    *taken = 0;
    for (size_t at = 0; at < len && rc == WST__PROXY_READ;) {
        size_t n = at < split ? split - at : step, used;
        n = n < len - at ? n : len - at;
        uint8_t *piece = test_guarded(answer + at, n);
        rc = wst__proxy_http_feed(p, (const char *)piece, n, &used);
        test_guarded_free(piece, n);
        assert_true(used <= n);
        assert_true(rc != WST__PROXY_READ || used == n);
        at += used;
        *taken = at;
    }
    return rc;
}

/* wst_err_name() is above the line. */
static const char *error_name(int error) {
    switch (error) {
    case WST_EPROXY:
        return "EPROXY";
    case WST_EPROXYAUTH:
        return "EPROXYAUTH";
    case WST_EHTTP:
        return "EHTTP";
    case WST_EHEADBIG:
        return "EHEADBIG";
    case WST_EINVAL:
        return "EINVAL";
    case BROKEN:
        return "BROKEN";
    default:
        return "other";
    }
}

static void conclude(wst__proxy_http_t *p, int rc, const char *answer, size_t len, size_t taken) {
    char text[40];
    played.http_status = p->http_status;
    played.no_memory = rc == WST_ENOMEM;
    if (rc == WST__PROXY_OPEN) {
        snprintf(text, sizeof(text), "open:%.*s", (int)(len - taken), answer + taken);
        note("%s", text);
    } else if (rc == WST__PROXY_READ) {
        note("%s", "waits");
    } else {
        note("%s", error_name(rc));
        note(" %s", p->why);
    }
}

static void play(const talk_t *talk, size_t split, size_t step) {
    wst__proxy_http_t *p = malloc(sizeof(*p));
    assert_non_null(p);
    const wst__proxy_http_options_t options = {.target = "h:443",
                                               .user = talk->user,
                                               .password = talk->password,
                                               .fields = talk->fields,
                                               .asks = talk->allow[0] != NULL};
    wst__proxy_http_init(p, &test_allocator, &options);
    played.len = 0;
    played.text[0] = '\0';
    size_t asked = 0, taken = 0, len = 0;
    const char *answer = "";
    int rc = WST__PROXY_RECONNECT;
    for (size_t i = 0; rc == WST__PROXY_SEND || rc == WST__PROXY_RECONNECT; i++) {
        rc = send_request(p, rc == WST__PROXY_SEND);
        if (rc != WST__PROXY_READ)
            break;
        answer = i < ANSWERS_MAX && talk->answers[i] != NULL ? talk->answers[i] : "";
        len = strlen(answer);
        char last = len > 0 ? answer[len - 1] : '.';
        bool ends = last == '|', breaks = last == '!';
        len -= ends || breaks ? 1 : 0;
        rc = give(p, answer, len, split, step, &taken);
        if (rc == WST__PROXY_READ && (ends || breaks))
            rc = wst__proxy_http_end(p, breaks ? BROKEN : 0);
        if (rc == WST__PROXY_CHALLENGED) {
            const char *fields = asked < 4 ? talk->allow[asked++] : NULL;
            assert_non_null(fields);
            rc = wst__proxy_http_answer(p, fields[0] != '\0' ? fields : NULL);
        }
    }
    conclude(p, rc, answer, len, taken);
    wst__proxy_http_free(p);
    free(p);
    assert_int_equal(test_alloc_live(), 0);
}

/* Whatever way the answers come in. */
static void check(const talk_t *talk) {
    size_t longest = 0;
    for (size_t i = 0; i < ANSWERS_MAX && talk->answers[i] != NULL; i++)
        longest = strlen(talk->answers[i]) > longest ? strlen(talk->answers[i]) : longest;
    for (size_t split = 0; split <= longest; split += longest > 2000 ? 331 : 1) {
        play(talk, split, SIZE_MAX);
        if (strcmp(played.text, talk->expect) != 0)
            fail_msg("split at %zu:\n  %s\ninstead of\n  %s", split, played.text, talk->expect);
    }
    for (size_t step = 1; step <= 3 && longest <= 20000; step++) {
        play(talk, 0, step);
        if (strcmp(played.text, talk->expect) != 0)
            fail_msg("in steps of %zu:\n  %s\ninstead of\n  %s", step, played.text, talk->expect);
    }
}

static void check_all(const talk_t *talks, size_t count) {
    for (size_t i = 0; i < count; i++)
        check(&talks[i]);
}

#define CHECK(...)                                                                                 \
    do {                                                                                           \
        const talk_t talks[] = {__VA_ARGS__};                                                      \
        check_all(talks, sizeof(talks) / sizeof(talks[0]));                                        \
    } while (0)

static void test_request(void **state) {
    (void)state;
    const talk_t plain = {.answers = {OK}};
    play(&plain, 0, SIZE_MAX);
    assert_string_equal(played.request, "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n"
                                        "Proxy-Connection: Keep-Alive\r\n\r\n");
    const talk_t fields = {.user = "ann",
                           .password = "secret",
                           .fields = "User-Agent: me\r\nX: y\r\n",
                           .answers = {WANTED BASIC EMPTY, OK}};
    play(&fields, 0, SIZE_MAX);
    assert_string_equal(played.request, "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n"
                                        "Proxy-Connection: Keep-Alive\r\nUser-Agent: me\r\nX: y\r\n"
                                        "Proxy-Authorization: " BASIC_ANN "\r\n\r\n");
    CHECK({.allow = {"Proxy-Authorization: x"},
           .answers = {WANTED EMPTY},
           .expect = "+- EINVAL cannot be answered: fields that are not complete lines"},
          {.user = "ann",
           .password = "secret",
           .answers = {WANTED "Proxy-Authenticate: Digest realm=\"x\", nonce=\"a\tb\", "
                              "qop=\"auth\"\r\n" EMPTY},
           .expect = "+- EINVAL asks for credentials in a way that has no answer"});
}

static void test_fields(void **state) {
    (void)state;
    static const char *const bad[] = {"no line", "A: b", "A: b\n",
                                      "A: b\r\n\r\nGET / HTTP/1.1\r\n"};
    static char big[20000];
    const char *why;
    assert_int_equal(wst__proxy_http_check_fields(NULL, &why), 0);
    assert_int_equal(wst__proxy_http_check_fields("A: b\r\nC: d\r\n", &why), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(wst__proxy_http_check_fields(bad[i], &why), WST_EINVAL);
        assert_string_equal(why, "the fields are not complete lines");
    }
    snprintf(big, sizeof(big), "A: %015000d\r\n", 0);
    assert_int_equal(wst__proxy_http_check_fields(big, &why), WST_EINVAL);
    assert_string_equal(why, "the fields are too long");
    /* What is let through fits into a request, whatever else is in there. */
    snprintf(big, sizeof(big), "A: %013000d\r\n", 0);
    assert_int_equal(wst__proxy_http_check_fields(big, &why), 0);
    const talk_t talk = {.user = "ann",
                         .password = "secret",
                         .fields = big,
                         .answers = {WANTED MD5 EMPTY, OK},
                         .expect = "+- =Digest n1 open:"};
    play(&talk, 0, SIZE_MAX);
    assert_string_equal(played.text, talk.expect);
}

/* Any 2xx opens the tunnel, and all that is behind its head belongs to that. */
static void test_open(void **state) {
    (void)state;
    CHECK({.answers = {OK}, .expect = "+- open:"}, {.answers = {OK "xyz"}, .expect = "+- open:xyz"},
          {.answers = {OK "HTTP/1.1 500 no\r\n\r\n"}, .expect = "+- open:HTTP/1.1 500 no\r\n\r\n"},
          {.answers = {"HTTP/1.0 200\r\nContent-Length: 5\r\n\r\nxyz"}, .expect = "+- open:xyz"},
          {.answers = {"HTTP/1.1 299 x\r\nTransfer-Encoding: chunked\r\n\r\n5"},
           .expect = "+- open:5"},
          {.answers = {"HTTP/1.1 200 ok\nA: b\n\nxyz"}, .expect = "+- open:xyz"},
          {.answers = {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 \r\nA: b\r\n\r\n" OK "xyz"},
           .expect = "+- open:xyz"},
          {.user = "ann", .password = "secret", .answers = {OK}, .expect = "+- open:"});
}

/* The connection is kept exactly if the answer ends where both sides know it, and says so. */
static void test_connections(void **state) {
    (void)state;
    const char *const same = "+- =" BASIC_ANN " open:x", *const anew = "+- +" BASIC_ANN " open:x";
    const struct {
        const char *answer, *expect;
    } cases[] = {
        {WANTED BASIC EMPTY, same},
        {WANTED BASIC "Content-Length: 5\r\n\r\n<html", same},
        {WANTED BASIC "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n", same},
        {"HTTP/1.0 407 no\r\nProxy-Connection: keep-alive\r\n" BASIC EMPTY, same},
        {"HTTP/1.0 407 no\r\n" BASIC EMPTY, anew},
        {"HTTP/1.0 407 no\r\n" BASIC "\r\nsome text|", anew},
        {WANTED BASIC "\r\n", anew}, /* it goes on until the end, which is not waited for */
        {WANTED BASIC "\r\nsome text|", anew},
        {WANTED BASIC "Connection: close\r\nContent-Length: 5\r\n\r\n<h", anew},
        {WANTED BASIC "Proxy-Connection: close\r\n" EMPTY, anew},
        {WANTED BASIC "Content-Length: 5\r\n\r\n<h|", anew}, /* it broke its word */
        {WANTED BASIC "Content-Length: 5\r\n\r\n<h!", anew},
        {WANTED BASIC "Transfer-Encoding: chunked\r\n\r\nxyz", anew},
        {WANTED BASIC "Content-Length: 5\r\n\r\n<htmlHTTP/1.1 200 ok\r\n\r\n", anew},
        {WANTED BASIC EMPTY "x", anew},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        /* In pieces, what comes too early may come when it is too late. */
        const talk_t talk = {.user = "ann",
                             .password = "secret",
                             .answers = {cases[i].answer, OK "x"},
                             .expect = cases[i].expect};
        if (i + 2 < sizeof(cases) / sizeof(cases[0]))
            check(&talk);
        play(&talk, 0, SIZE_MAX);
        assert_string_equal(played.text, talk.expect);
    }
}

/* A connection that was to be kept may be gone when the next request comes. */
static void test_kept_in_vain(void **state) {
    (void)state;
    CHECK({.user = "ann",
           .password = "secret",
           .answers = {WANTED BASIC EMPTY, "|", OK},
           .expect = "+- =" BASIC_ANN " +" BASIC_ANN " open:"},
          {.user = "ann",
           .password = "secret",
           .answers = {WANTED MD5 EMPTY, "!", OK},
           .expect = "+- =Digest n1 +Digest n1 open:"},
          {.user = "ann",
           .password = "secret",
           .answers = {WANTED BASIC EMPTY, "HTTP|"},
           .expect = "+- =" BASIC_ANN " EPROXY ended the connection without an answer"},
          {.user = "ann",
           .password = "secret",
           .answers = {WANTED BASIC EMPTY, "|", "|"},
           .expect =
               "+- =" BASIC_ANN " +" BASIC_ANN " EPROXY ended the connection without an answer"},
          {.allow = {"Proxy-Authorization: NTLM 1\r\n", "Proxy-Authorization: NTLM 2\r\n"},
           .answers = {WANTED "Proxy-Authenticate: NTLM\r\n" EMPTY, "|",
                       WANTED "Proxy-Authenticate: NTLM\r\n" EMPTY, OK},
           .expect = "+- =NTLM 1 +- =NTLM 2 open:"});
}

/* A body is eaten up to a bound, then a new connection is the cheaper way. */
static void test_big_bodies(void **state) {
    (void)state;
    enum { HEAD = 200 };
    static char answer[WST__PROXY_BODY_MAX + HEAD];
    for (int over = 0; over <= 1; over++) {
        size_t size = (size_t)(WST__PROXY_BODY_MAX + over);
        int head =
            snprintf(answer, sizeof(answer), WANTED BASIC "Content-Length: %zu\r\n\r\n", size);
        memset(answer + head, 'x', size);
        answer[(size_t)head + size] = '\0';
        const talk_t talk = {.user = "ann",
                             .password = "secret",
                             .answers = {answer, OK "x"},
                             .expect =
                                 over ? "+- +" BASIC_ANN " open:x" : "+- =" BASIC_ANN " open:x"};
        play(&talk, 1000, 4096);
        assert_string_equal(played.text, talk.expect);
    }
}

static void test_schemes(void **state) {
    (void)state;
    CHECK({.user = "ann",
           .password = "secret",
           .answers = {WANTED BASIC MD5 EMPTY, OK},
           .expect = "+- =Digest n1 open:"},
          {.user = "ann",
           .password = "secret",
           .answers = {WANTED MD5 BASIC EMPTY, WANTED STALE BASIC EMPTY, OK},
           .expect = "+- =Digest n1 =Digest n2 open:"},
          /* once only: who calls every nonce stale would ask for ever */
          {.user = "ann",
           .password = "secret",
           .answers = {WANTED MD5 EMPTY, WANTED STALE EMPTY, WANTED STALE EMPTY},
           .expect = "+- =Digest n1 =Digest n2 EPROXYAUTH refused the user name or password "
                     "(407 Proxy Authentication Required); it offers: Digest"},
          /* not by a weaker scheme, either */
          {.user = "ann",
           .password = "secret",
           .answers = {WANTED MD5 BASIC EMPTY, WANTED MD5 BASIC EMPTY},
           .expect = "+- =Digest n1 EPROXYAUTH refused the user name or password "
                     "(407 Proxy Authentication Required); it offers: Digest, Basic"},
          {.user = "ann",
           .password = "secret",
           .answers = {WANTED BASIC EMPTY, WANTED BASIC EMPTY},
           .expect = "+- =" BASIC_ANN " EPROXYAUTH refused the user name or password "
                     "(407 Proxy Authentication Required); it offers: Basic"},
          {.user = "ann",
           .password = "secret",
           .answers = {WANTED "Proxy-Authenticate: Negotiate, NTLM\r\n" EMPTY},
           .expect = "+- EPROXYAUTH wants authentication and offers: Negotiate, NTLM; Basic and "
                     "Digest are built in"},
          {.answers = {WANTED "Proxy-Authenticate: Negotiate\r\n" BASIC EMPTY},
           .expect = "+- EPROXYAUTH wants a user name and password and offers: Negotiate, Basic"},
          {.answers = {WANTED "Proxy-Authenticate: NTLM\r\n" EMPTY},
           .expect = "+- EPROXYAUTH wants authentication and offers: NTLM; Basic and Digest are "
                     "built in"},
          {.answers = {WANTED EMPTY},
           .expect = "+- EPROXYAUTH wants authentication, but offers no scheme "
                     "(407 Proxy Authentication Required)"});
    assert_int_equal(played.http_status, 407);
}

#define NTLM(text) "Proxy-Authenticate: NTLM" text "\r\n"

static void test_embedder(void **state) {
    (void)state;
    CHECK({.allow = {"Proxy-Authorization: NTLM one\r\n", "Proxy-Authorization: NTLM three\r\n"},
           .answers = {WANTED NTLM("") "Content-Length: 3\r\n\r\nabc", WANTED NTLM(" two") EMPTY,
                       OK "x"},
           .expect = "+- =NTLM one =NTLM three open:x"},
          /* no fields: what is built in */
          {.user = "ann",
           .password = "secret",
           .allow = {""},
           .answers = {WANTED NTLM("") BASIC EMPTY, OK},
           .expect = "+- =" BASIC_ANN " open:"},
          {.allow = {""},
           .answers = {WANTED NTLM("") BASIC EMPTY},
           .expect = "+- EPROXYAUTH wants a user name and password and offers: NTLM, Basic"},
          /* it may come to that in the end */
          {.user = "ann",
           .password = "secret",
           .allow = {"Proxy-Authorization: NTLM one\r\n", "", ""},
           .answers = {WANTED NTLM("") BASIC EMPTY, WANTED BASIC EMPTY, WANTED BASIC EMPTY},
           .expect = "+- =NTLM one =" BASIC_ANN " EPROXYAUTH refused the user name or password "
                     "(407 Proxy Authentication Required); it offers: Basic"});
}

/* Whoever asks for ever is not answered for ever. */
static void test_bounds(void **state) {
    (void)state;
    const talk_t endless = {.allow = {"A: 1\r\n", "A: 2\r\n", "A: 3\r\n", "A: 4\r\n"}};
    talk_t talk = endless;
    for (int i = 0; i < ANSWERS_MAX; i++)
        talk.answers[i] = WANTED NTLM("") EMPTY;
    wst__proxy_http_t *p = malloc(sizeof(*p));
    assert_non_null(p);
    const wst__proxy_http_options_t options = {.target = "h:443", .asks = true};
    wst__proxy_http_init(p, &test_allocator, &options);
    int requests = 0, rc = WST__PROXY_SEND;
    while (rc == WST__PROXY_SEND && requests < 100) {
        size_t used;
        requests++;
        assert_int_equal(send_request(p, true), WST__PROXY_READ);
        rc = wst__proxy_http_feed(p, talk.answers[0], strlen(talk.answers[0]), &used);
        assert_int_equal(rc, WST__PROXY_CHALLENGED);
        rc = wst__proxy_http_answer(p, "A: 1\r\n");
    }
    assert_int_equal(rc, WST_EPROXYAUTH);
    assert_int_equal(requests, WST__PROXY_REQUESTS_MAX);
    assert_string_equal(p->why, "still wants authentication after 8 requests");
    wst__proxy_http_free(p);
    free(p);
    assert_int_equal(test_alloc_live(), 0);

    /* Answers that are none, without end. */
    char interim[9 * 30 + 1] = "";
    for (int i = 0; i < 8; i++)
        strcat(interim, "HTTP/1.1 102 wait\r\n\r\n");
    char eight[sizeof(interim) + sizeof(OK)];
    snprintf(eight, sizeof(eight), "%s%s", interim, OK);
    strcat(interim, "HTTP/1.1 102 wait\r\n\r\n");
    CHECK({.answers = {eight}, .expect = "+- open:"},
          {.answers = {interim}, .expect = "+- EPROXY answered 102 wait"});

    static char big[20000];
    memset(big, 'x', sizeof(big) - 1);
    memcpy(big, "HTTP/1.1 200 ok\r\nA: ", 20);
    CHECK(
        {.answers = {big}, .expect = "+- EHEADBIG answered with a head of more than 16384 bytes"});
}

static void test_refusals(void **state) {
    (void)state;
#define TEXT "Content-Type: text/plain; charset=utf-8\r\n"
    CHECK(
        {.answers = {"HTTP/1.1 403 Forbidden\r\n" EMPTY},
         .expect = "+- EPROXY answered 403 Forbidden"},
        {.answers = {"HTTP/1.1 403\r\n" EMPTY}, .expect = "+- EPROXY answered 403"},
        {.answers = {"HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\n\r\n<html>"},
         .expect = "+- EPROXY answered 403 Forbidden"},
        {.answers = {"HTTP/1.1 502 no\r\n" TEXT "Content-Length: 20\r\n\r\nhost unknown\nsecond"},
         .expect = "+- EPROXY answered 502 no: host unknown"},
        {.answers = {"HTTP/1.1 502 no\r\n" TEXT "Content-Length: 5\r\n\r\nthis and that"},
         .expect = "+- EPROXY answered 502 no: this "},
        {.answers = {"HTTP/1.1 502 no\r\n" TEXT "\r\nuntil the end|"},
         .expect = "+- EPROXY answered 502 no: until the end"},
        {.answers = {"HTTP/1.1 502 no\r\n" TEXT "\r\nuntil it breaks!"},
         .expect = "+- EPROXY answered 502 no: until it breaks"},
        {.answers = {"HTTP/1.1 502 no\r\n" TEXT "\r\n|"}, .expect = "+- EPROXY answered 502 no"},
        {.answers = {"HTTP/1.1 502 no\r\n" TEXT "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\n"
                     "cd\n\r\n0\r\n\r\n"},
         .expect = "+- EPROXY answered 502 no: abcd"},
        {.answers = {"HTTP/1.1 502 no\r\n" TEXT "Transfer-Encoding: chunked\r\n\r\n2\r\nabcd"},
         .expect = "+- EPROXY answered 502 no: ab"},
        {.answers = {"HTTP/1.1 502 no such host\r\n" TEXT
                     "Content-Length: 13\r\n\r\nno such host\n"},
         .expect = "+- EPROXY answered 502 no such host"},
        {.answers = {"HTTP/1.1 503 Service Unavailable\r\nX-Squid-Error: ERR_CONNECT_FAIL 111\r\n"
                     "Content-Type: text/html\r\nContent-Length: 9999\r\n\r\n"},
         .expect = "+- EPROXY answered 503 Service Unavailable: ERR_CONNECT_FAIL 111"},
        {.answers = {"HTTP/1.1 502 no\r\nProxy-Status: p; error=dns_error\r\n" EMPTY},
         .expect = "+- EPROXY answered 502 no: p; error=dns_error"},
        {.answers = {"HTTP/1.1 302 Found\r\nLocation: /login\r\n" EMPTY},
         .expect = "+- EPROXY answered 302 Found"},
        {.answers = {"HTTP/1.1 101 Switching\r\n\r\n"},
         .expect = "+- EPROXY answered 101 Switching"},
        {.answers = {"HTTP/1.1 401 Unauthorized\r\n" BASIC EMPTY},
         .user = "ann",
         .password = "secret",
         .expect = "+- EPROXY answered 401 Unauthorized"},
        {.answers = {WANTED BASIC EMPTY, "HTTP/1.1 401 Unauthorized\r\n" EMPTY},
         .user = "ann",
         .password = "secret",
         .expect =
             "+- =" BASIC_ANN " EPROXYAUTH refused the user name or password (401 Unauthorized)"},
        /* nothing of it can do harm where it is shown */
        {.answers = {"HTTP/1.1 502 \x9b[31m\tx\r\n" TEXT
                     "Content-Length: 9\r\n\r\na\tb\x1b]0;\x07\n"},
         .expect = "+- EPROXY answered 502 ?[31m?x: a?b?]0;?"});
}

/* What is quoted is bounded. */
static void test_long_quotes(void **state) {
    (void)state;
    static char answer[3000];
    snprintf(answer, sizeof(answer), "HTTP/1.1 502 %0500d\r\n" TEXT "\r\n%0900d", 0, 0);
    const talk_t talk = {.answers = {answer}};
    play(&talk, 0, SIZE_MAX);
    char expect[600];
    snprintf(expect, sizeof(expect), "+- EPROXY answered 502 %099d: %0159d", 0, 0);
    assert_string_equal(played.text, expect);
    play(&talk, 0, 1);
    assert_string_equal(played.text, expect);
}

static void test_garbage(void **state) {
    (void)state;
    CHECK({.answers = {"SSH-2.0-OpenSSH_9.2\r\n\r\n"},
           .expect = "+- EHTTP answered what is not HTTP: not a response of HTTP/1"},
          {.answers = {"HTTP/1.1 200 ok\r\nA b\r\n\r\n"},
           .expect = "+- EHTTP answered what is not HTTP: field without colon"},
          {.answers = {"|"}, .expect = "+- EPROXY ended the connection without an answer"},
          {.answers = {"HTTP/1.1 200 ok\r\n|"},
           .expect = "+- EPROXY ended the connection without an answer"},
          {.answers = {"HTTP/1.1 100 Continue\r\n\r\n|"},
           .expect = "+- EPROXY ended the connection without an answer"},
          {.answers = {"HTTP/1.1 200 ok\r\n!"}, .expect = "+- BROKEN "},
          {.answers = {"HTTP/1.1 200 ok\r\n"}, .expect = "+- waits"});
}

static void run_whole(void *arg) {
    play(arg, 700, 100);
    assert_true(played.no_memory || strcmp(played.text, ((const talk_t *)arg)->expect) == 0);
}

static void test_no_memory(void **state) {
    (void)state;
    static char big[6000];
    snprintf(big, sizeof(big), "HTTP/1.1 407 no\r\n" NTLM("") "A: %04000d\r\n" EMPTY, 0);
    talk_t talk = {
        .allow = {"Proxy-Authorization: NTLM one\r\n", "Proxy-Authorization: NTLM 3\r\n"},
        .answers = {big, WANTED NTLM(" two") EMPTY, OK "x"},
        .expect = "+- =NTLM one =NTLM 3 open:x"};
    assert_true(test_alloc_each(run_whole, &talk) >= 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request),      cmocka_unit_test(test_fields),
        cmocka_unit_test(test_open),         cmocka_unit_test(test_connections),
        cmocka_unit_test(test_kept_in_vain), cmocka_unit_test(test_big_bodies),
        cmocka_unit_test(test_schemes),      cmocka_unit_test(test_embedder),
        cmocka_unit_test(test_bounds),       cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_long_quotes),  cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
