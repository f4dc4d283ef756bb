/* SPDX-License-Identifier: MIT */
/*
 * CONNECT through an HTTP proxy (proxy_http.h). The end of an answer matters twice: the tunnel
 * begins behind a 2xx, and the next answer behind the body of a 407, if the connection is kept, as
 * schemes of several legs require. A body that is too long, malformed, or ends with the connection
 * only costs a new connection.
 */
#include "proxy_http.h"
#include "head_writer.h"
#include "http_text.h"

#include <stdio.h>
#include <string.h>
#include <wstunnel/error.h>

enum { HEAD_MAX = 16384, GATHER_MIN = 1024, CREDENTIALS_MAX = 2048, TARGET_MAX = 600 };

void wst__proxy_http_init(wst__proxy_http_t *p, const wst_allocator_t *allocator,
                          const wst__proxy_http_options_t *options) {
    *p = (wst__proxy_http_t){.allocator = allocator, .o = *options};
}

static void drop_extra(wst__proxy_http_t *p) {
    wst__free_secret(p->allocator, p->extra);
    p->extra = NULL;
}

void wst__proxy_http_free(wst__proxy_http_t *p) {
    drop_extra(p);
    wst__free(p->allocator, p->buf);
    p->buf = NULL;
}

/* Requests ----------------------------------------------------------------------------------- */

int wst__proxy_http_check_fields(const char *fields, const char **why) {
    char head[WST__PROXY_REQUEST_MAX - CREDENTIALS_MAX - TARGET_MAX];
    wst__head_writer_t w;
    wst__head_init(&w, head, sizeof(head));
    wst__head_lines(&w, fields);
    int rc = wst__head_end(&w, NULL, 0);
    if (rc >= 0)
        return 0;
    *why = rc == WST_EHEADBIG ? "the fields are too long" : "the fields are not complete lines";
    return WST_EINVAL;
}

/* Writes the field that answers the last challenge, if there was one. 0 or an error. */
static int write_credentials(wst__proxy_http_t *p, wst__head_writer_t *w,
                             const uint8_t random[16]) {
    if (p->extra != NULL) {
        wst__head_lines(w, p->extra);
        return 0;
    }
    if (!p->tried)
        return 0;
    char value[CREDENTIALS_MAX];
    wst__offer_answer_t answer = {.user = p->o.user,
                                  .password = p->o.password,
                                  .method = "CONNECT",
                                  .uri = p->o.target,
                                  .nc = 1};
    memcpy(answer.cnonce, random, sizeof(answer.cnonce));
    int rc = wst__offer_answer(value, sizeof(value), &p->offer, &answer);
    if (rc >= 0)
        wst__head_field(w, "Proxy-Authorization", "%s", value);
    wst__wipe(value, sizeof(value));
    return rc < 0 ? rc : 0;
}

/* Says why a request cannot be written. */
static int cannot_ask(wst__proxy_http_t *p, int error) {
    if (p->extra != NULL && error == WST_EINVAL)
        snprintf(p->why, sizeof(p->why), "cannot be answered: fields that are not complete lines");
    else if (p->extra != NULL && error == WST_EHEADBIG)
        snprintf(p->why, sizeof(p->why), "cannot be answered: fields that are too long");
    else if (error == WST_EINVAL || error == WST_EHEADBIG)
        snprintf(p->why, sizeof(p->why), "asks for credentials in a way that has no answer");
    return error;
}

int wst__proxy_http_request(wst__proxy_http_t *p, char out[WST__PROXY_REQUEST_MAX],
                            const uint8_t random[16]) {
    wst__head_writer_t w;
    wst__head_init(&w, out, WST__PROXY_REQUEST_MAX);
    wst__head_request(&w, "CONNECT", p->o.target);
    wst__head_field(&w, "Host", "%s", p->o.target); /* RFC 9112 section 3.2 */
    /* Old proxies need this to keep the connection after a 407. */
    wst__head_field(&w, "Proxy-Connection", "Keep-Alive");
    wst__head_lines(&w, p->o.fields);
    int rc = write_credentials(p, &w, random);
    if (rc == 0)
        rc = wst__head_end(&w, NULL, 0);
    if (rc < 0)
        return cannot_ask(p, rc);
    drop_extra(p);
    p->len = p->scanned = 0;
    p->in_body = false;
    p->interim = 0;
    p->requests++;
    return rc;
}

/* Errors ------------------------------------------------------------------------------------- */

static void append_quote(wst__proxy_http_t *p, const char *text, size_t len) {
    for (size_t i = 0; i < len && p->quote_len < sizeof(p->quote) - 1; i++) {
        char c = text[i];
        p->quote[p->quote_len++] = (char)(c >= ' ' && c <= '~' ? c : '?');
    }
    p->quote[p->quote_len] = '\0';
}

/* The proxy's answer, for people: "403 Forbidden: the first line of the text". */
static void describe_answer(const wst__proxy_http_t *p, char *out, size_t size) {
    char reason[100];
    size_t n = 0;
    for (; n < p->head.reason.len && n < sizeof(reason) - 1; n++) {
        char c = p->head.reason.ptr[n];
        reason[n] = (char)(c >= ' ' && c <= '~' ? c : '?');
    }
    reason[n] = '\0';
    bool more = p->quote_len > 0 && strcmp(p->quote, reason) != 0;
    snprintf(out, size, "%d%s%s%s%s", p->head.status, n > 0 ? " " : "", reason, more ? ": " : "",
             more ? p->quote : "");
}

/* Quotes a field that tells the cause, where the text is for browsers. */
static void quote_field(wst__proxy_http_t *p) {
    static const char *const names[] = {"Proxy-Status" /* RFC 9209 */, "X-Squid-Error"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && p->quote_len == 0; i++) {
        const wst_http_header_t *field = wst_http_header(&p->head, names[i], NULL);
        if (field != NULL)
            append_quote(p, field->value.ptr, field->value.len);
    }
}

static int refused(wst__proxy_http_t *p) {
    char said[280];
    if (p->quote_len == 0)
        quote_field(p);
    describe_answer(p, said, sizeof(said));
    if (p->head.status == 401 && p->tried) { /* tinyproxy's answer to wrong credentials */
        snprintf(p->why, sizeof(p->why), "refused the user name or password (%s)", said);
        return WST_EPROXYAUTH;
    }
    snprintf(p->why, sizeof(p->why), "answered %s", said);
    return WST_EPROXY;
}

static int unauthenticated(wst__proxy_http_t *p) {
    const char *schemes = p->offer.schemes;
    char said[280];
    describe_answer(p, said, sizeof(said));
    if (p->tried)
        snprintf(p->why, sizeof(p->why), "refused the user name or password (%s); it offers: %s",
                 said, schemes);
    else if (schemes[0] == '\0')
        snprintf(p->why, sizeof(p->why), "wants authentication, but offers no scheme (%s)", said);
    else if (p->offer.kind == WST__OFFER_NONE)
        snprintf(p->why, sizeof(p->why),
                 "wants authentication and offers: %s; Basic and Digest are built in", schemes);
    else
        snprintf(p->why, sizeof(p->why), "wants a user name and password and offers: %s", schemes);
    return WST_EPROXYAUTH;
}

/* Answers ------------------------------------------------------------------------------------ */

static int next_request(wst__proxy_http_t *p) {
    if (p->requests >= WST__PROXY_REQUESTS_MAX) {
        snprintf(p->why, sizeof(p->why), "still wants authentication after %u requests",
                 p->requests);
        return WST_EPROXYAUTH;
    }
    p->kept = p->reusable;
    p->http_status = 0;
    return p->reusable ? WST__PROXY_SEND : WST__PROXY_RECONNECT;
}

/* Answers a challenge with the user name and password: once, and again if only the nonce was too
 * old (RFC 7616 section 3.3). */
static int answer_ourselves(wst__proxy_http_t *p) {
    bool again = p->offer.kind == WST__OFFER_DIGEST && p->offer.stale && !p->tried_again;
    if (p->o.user == NULL || p->offer.kind == WST__OFFER_NONE || (p->tried && !again))
        return unauthenticated(p);
    p->tried_again = p->tried;
    p->tried = true;
    return next_request(p);
}

static int challenged(wst__proxy_http_t *p) {
    wst__offer_read(&p->offer, &p->head, "Proxy-Authenticate");
    return p->o.asks ? WST__PROXY_CHALLENGED : answer_ourselves(p);
}

int wst__proxy_http_answer(wst__proxy_http_t *p, const char *fields) {
    if (fields == NULL)
        return answer_ourselves(p);
    p->extra = wst__strdup(p->allocator, fields);
    return p->extra != NULL ? next_request(p) : WST_ENOMEM;
}

/* Skips the body of a 407: to its end, or the connection is not reused. */
static int skip_body(wst__proxy_http_t *p, const char *data, size_t len, size_t *used) {
    int rc = wst_http_body_walk(&p->body, data, len, NULL);
    *used += rc > 0 ? (size_t)rc : 0;
    p->eaten += rc > 0 ? (size_t)rc : 0;
    if (rc >= 0 && !p->body.complete && p->eaten <= WST__PROXY_BODY_MAX)
        return WST__PROXY_READ;
    p->reusable = p->body.complete && p->eaten <= WST__PROXY_BODY_MAX;
    return challenged(p);
}

/* Quotes the first line of a refusal's body. */
static int quote_body(wst__proxy_http_t *p, const char *data, size_t len, size_t *used) {
    size_t at = 0;
    while (at < len && !p->body.complete) {
        wst_str_t text;
        int rc = wst_http_body_walk(&p->body, data + at, len - at, &text);
        if (rc < 0)
            return refused(p);
        at += (size_t)rc;
        *used += (size_t)rc;
        size_t line = 0;
        while (line < text.len && text.ptr[line] != '\r' && text.ptr[line] != '\n')
            line++;
        append_quote(p, text.ptr, line);
        if (line < text.len || p->quote_len == sizeof(p->quote) - 1)
            return refused(p);
    }
    return p->body.complete ? refused(p) : WST__PROXY_READ;
}

static bool is_plain_text(const wst_http_head_t *head) {
    static const char plain[] = "text/plain";
    const wst_http_header_t *type = wst_http_header(head, "Content-Type", NULL);
    size_t len = sizeof(plain) - 1;
    return type != NULL && type->value.len >= len &&
           wst_str_ieq((wst_str_t){type->value.ptr, len}, plain);
}

/* A head is complete. */
static int on_head(wst__proxy_http_t *p) {
    int status = p->head.status;
    if (status >= 100 && status < 200 && status != 101 && p->interim < WST__PROXY_INTERIM_MAX) {
        p->interim++;
        p->len = p->scanned = 0;
        return WST__PROXY_READ;
    }
    if (status >= 200 && status < 300) /* without a body, whatever the head says */
        return WST__PROXY_OPEN;
    p->http_status = status;
    wst_http_body_response(&p->body, &p->head, (wst_str_t){"CONNECT", 7});
    p->in_body = true;
    p->eaten = 0;
    bool ends = p->body.framing != WST_HTTP_UNTIL_CLOSE;
    if (status == 407) {
        p->reusable = p->head.keep_alive && ends;
        return p->reusable && !p->body.complete ? WST__PROXY_READ : challenged(p);
    }
    return is_plain_text(&p->head) && !p->body.complete ? WST__PROXY_READ : refused(p);
}

/* Copies the data, as far as the bound on heads allows. 0 or WST_ENOMEM. */
static int gather_head(wst__proxy_http_t *p, const char *data, size_t len) {
    size_t n = len < HEAD_MAX - p->len ? len : HEAD_MAX - p->len;
    if (p->len + n > p->cap) {
        size_t cap = p->cap == 0 ? GATHER_MIN : 2 * p->cap;
        cap = cap > HEAD_MAX ? HEAD_MAX : cap;
        cap = cap < p->len + n ? p->len + n : cap;
        char *moved = wst__realloc_array(p->allocator, p->buf, cap, 1);
        if (moved == NULL)
            return WST_ENOMEM;
        p->buf = moved;
        p->cap = cap;
    }
    memcpy(p->buf + p->len, data, n);
    p->len += n;
    return 0;
}

static int read_head(wst__proxy_http_t *p, const char *data, size_t len, size_t *used) {
    const wst_http_limits_t limits = {.size = sizeof(limits), .head_max = HEAD_MAX};
    size_t before = p->len;
    int rc = gather_head(p, data, len);
    if (rc == 0)
        rc = wst_http_parse_response(&p->head, p->buf, p->len, &p->scanned, &limits);
    if (rc == WST_EHTTP)
        snprintf(p->why, sizeof(p->why), "answered what is not HTTP: %s", p->head.error);
    else if (rc == WST_EHEADBIG)
        snprintf(p->why, sizeof(p->why), "answered with a head of more than %d bytes", HEAD_MAX);
    if (rc < 0)
        return rc;
    *used += rc > 0 ? (size_t)rc - before : p->len - before;
    return rc > 0 ? on_head(p) : WST__PROXY_READ;
}

int wst__proxy_http_feed(wst__proxy_http_t *p, const char *data, size_t len, size_t *used) {
    *used = 0;
    int rc = WST__PROXY_READ;
    while (rc == WST__PROXY_READ && *used < len) {
        const char *rest = data + *used;
        size_t rest_len = len - *used;
        if (!p->in_body)
            rc = read_head(p, rest, rest_len, used);
        else if (p->head.status == 407)
            rc = skip_body(p, rest, rest_len, used);
        else
            rc = quote_body(p, rest, rest_len, used);
    }
    if (*used < len && (rc == WST__PROXY_SEND || rc == WST__PROXY_CHALLENGED)) {
        /* The proxy has answered before a request: do not use the connection again. */
        p->reusable = p->kept = false;
        return rc == WST__PROXY_SEND ? WST__PROXY_RECONNECT : rc;
    }
    return rc;
}

int wst__proxy_http_end(wst__proxy_http_t *p, int error) {
    if (p->in_body) {
        p->reusable = false;
        return p->head.status == 407 ? challenged(p) : refused(p);
    }
    /* The proxy ended a kept connection while our request was under way (RFC 9112 section 9.3.1).
     */
    if (p->kept && p->len == 0 && p->interim == 0) {
        p->reusable = false;
        return next_request(p);
    }
    if (error != 0)
        return error;
    snprintf(p->why, sizeof(p->why), "ended the connection without an answer");
    return WST_EPROXY;
}
