/* SPDX-License-Identifier: MIT */
/*
 * Rewrites heads on their way through a proxy. Drops what concerns one connection only and
 * writes it anew: the body's framing, the fate of the connection, Via. The framing is always
 * written as it was parsed, never copied, so no field that we skip or read differently can change
 * it, nor can `Connection: Content-Length` remove it.
 */
#include "http_forward.h"

#include <stdio.h>
#include <string.h>
#include <wstunnel/error.h>

#include "head_writer.h"
#include "http_text.h"

enum { HTTP_PORT = 80 };

/* What a request asks for -------------------------------------------------------------------- */

static bool has_scheme(const wst__forward_t *f, const char *a, const char *b) {
    return wst_str_ieq(f->target->scheme, a) || wst_str_ieq(f->target->scheme, b);
}

/* The second word of an element of Via (RFC 9110 section 7.6.3). */
static wst_str_t received_by(wst_str_t element) {
    const char *end = element.ptr + element.len, *at = element.ptr;
    while (at < end && *at != ' ' && *at != '\t')
        at++;
    wst_str_t word = wst__trim((wst_str_t){at, (size_t)(end - at)});
    for (size_t i = 0; i < word.len; i++) {
        if (word.ptr[i] == ' ' || word.ptr[i] == '\t')
            word.len = i;
    }
    return word;
}

/* Comments may hold commas. They are ignored on purpose: else a client that opens a comment could
 * hide our own element and make its request loop for ever. */
static bool is_loop(const wst__forward_t *f) {
    const wst_http_header_t *via = NULL;
    while ((via = wst_http_header(f->request, "Via", via)) != NULL) {
        wst_str_t rest = via->value, element;
        while (wst__http_list_next(&rest, &element)) {
            if (element.len > 0 && wst_str_ieq(received_by(element), f->pseudonym))
                return true;
        }
    }
    return false;
}

/* Max-Forwards, which counts for TRACE and OPTIONS only (RFC 9110 section 7.6.2); else -1. */
static int64_t max_forwards(const wst_http_head_t *request) {
    const wst_http_header_t *field = wst_http_header(request, "Max-Forwards", NULL);
    bool heeded = wst_str_eq(request->method, "TRACE") || wst_str_eq(request->method, "OPTIONS");
    if (!heeded || field == NULL || field->value.len == 0 || !wst__is_digits(field->value))
        return -1;
    int64_t value = 0;
    for (size_t i = 0; i < field->value.len; i++) {
        value = value * 10 + (field->value.ptr[i] - '0');
        if (value > INT32_MAX)
            return INT32_MAX; /* lower is allowed: the recipient's maximum */
    }
    return value;
}

/* Whether chunked is the only transfer coding. We support no other, and our requests do not allow
 * origins any other. */
static bool is_chunked_alone(const wst_http_head_t *head) {
    const wst_http_header_t *field = wst_http_header(head, "Transfer-Encoding", NULL);
    return field != NULL && wst_str_ieq(field->value, "chunked") &&
           wst_http_header(head, "Transfer-Encoding", field) == NULL;
}

wst__forward_verdict_t wst__forward_check(const wst__forward_t *f) {
    if (has_scheme(f, "https", "wss"))
        return WST__FORWARD_TLS;
    if (!has_scheme(f, "http", "ws"))
        return WST__FORWARD_SCHEME;
    if (is_loop(f))
        return WST__FORWARD_LOOP;
    if (f->request->chunked && !is_chunked_alone(f->request))
        return WST__FORWARD_CODING;
    return max_forwards(f->request) == 0 ? WST__FORWARD_LAST : WST__FORWARD_YES;
}

/* Whether the head names protocols to upgrade to, and not h2c: we would drop its settings with the
 * other fields of the connection, and it would speak HTTP past us. */
static bool names_protocol(const wst_http_head_t *head) {
    bool any = false;
    const wst_http_header_t *field = NULL;
    while ((field = wst_http_header(head, "Upgrade", field)) != NULL)
        any = any || field->value.len > 0;
    return any && !wst_http_has_token(head, "Upgrade", "h2c");
}

bool wst__forward_upgrades(const wst__forward_t *f) {
    const wst_http_head_t *request = f->request;
    return request->minor_version == 1 && /* RFC 9110 section 7.8 */
           wst_http_has_token(request, "Connection", "upgrade") && names_protocol(request);
}

/* Fields ------------------------------------------------------------------------------------- */

static bool is_one_of(wst_str_t name, const char *const *names) {
    for (; *names != NULL; names++) {
        if (wst_str_ieq(name, *names))
            return true;
    }
    return false;
}

/* RFC 9110 section 7.6.1: Connection names the fields that are for us only. */
static bool is_named_by_connection(const wst_http_head_t *head, wst_str_t name) {
    const wst_http_header_t *field = NULL;
    while ((field = wst_http_header(head, "Connection", field)) != NULL) {
        wst_str_t rest = field->value, option;
        while (wst__http_list_next(&rest, &option)) {
            if (wst__same_text(option, name))
                return true;
        }
    }
    return false;
}

/* Copies the end-to-end fields; the caller writes those named in `ours`. */
static void copy_fields(wst__head_writer_t *w, const wst_http_head_t *head,
                        const char *const *ours) {
    static const char *const dropped[] = {"Connection",
                                          "Keep-Alive",
                                          "Proxy-Connection",
                                          "Proxy-Authenticate",
                                          "Proxy-Authentication-Info",
                                          "Proxy-Authorization",
                                          "TE",
                                          "Upgrade",
                                          "Content-Length",
                                          "Transfer-Encoding",
                                          "Via",
                                          "Wstunnel-Session", /* proves whose a session is */
                                          NULL};
    for (size_t i = 0; i < head->header_count; i++) {
        const wst_http_header_t *field = &head->headers[i];
        if (!is_one_of(field->name, dropped) && !is_one_of(field->name, ours) &&
            !is_named_by_connection(head, field->name))
            wst__head_copy_field(w, field->name, field->value);
    }
}

/* Joins all fields of that name, as some receivers read the first only. */
static void put_elements(wst__head_writer_t *w, const wst_http_head_t *head, const char *name) {
    const wst_http_header_t *field = NULL;
    wst__head_list(w, name);
    while ((field = wst_http_header(head, name, field)) != NULL)
        wst__head_element(w, field->value);
}

/* RFC 9110 section 7.6.3 */
static void put_via(wst__head_writer_t *w, const wst_http_head_t *head, const char *pseudonym) {
    char us[sizeof("1.1 ") + WST__PSEUDONYM_MAX];
    int len = snprintf(us, sizeof(us), "1.%d %s", head->minor_version, pseudonym);
    put_elements(w, head, "Via");
    wst__head_element(w, (wst_str_t){us, (size_t)len});
    wst__head_list_end(w);
}

static void put_upgrade(wst__head_writer_t *w, const wst_http_head_t *head) {
    put_elements(w, head, "Upgrade");
    wst__head_list_end(w);
}

static void put_option(wst__head_writer_t *w, const char *option) {
    wst__head_element(w, (wst_str_t){option, strlen(option)});
}

static void put_length(wst__head_writer_t *w, const wst_http_head_t *head) {
    if (head->content_length >= 0)
        wst__head_field(w, "Content-Length", "%lld", (long long)head->content_length);
}

/* RFC 9110 section 6.6.1: the time of receipt, if the origin has no clock. */
static void put_date(wst__head_writer_t *w, const wst_http_head_t *head, const char *date) {
    static const wst_str_t name = {"Date", 4};
    bool passed =
        wst_http_header(head, name.ptr, NULL) != NULL && !is_named_by_connection(head, name);
    if (!passed && date != NULL && date[0] != '\0')
        wst__head_field(w, name.ptr, "%s", date);
}

static bool is_pseudonym(const char *text) {
    wst_str_t name = {text, strlen(text)};
    return name.len <= WST__PSEUDONYM_MAX && wst__is_token(name);
}

/* Request ------------------------------------------------------------------------------------ */

/* RFC 9112 sections 3.2.1 and 3.2.4. */
static wst_str_t origin_target(const wst__forward_t *f) {
    wst_str_t uri = f->request->target, path = f->target->path;
    /* A path outside the URI's text stands for an empty path without a query. */
    bool absent = path.ptr + path.len != uri.ptr + uri.len;
    if (absent && wst_str_eq(f->request->method, "OPTIONS"))
        return (wst_str_t){"*", 1};
    return path;
}

/* RFC 9112 section 3.2.2: the target decides, not the client's Host field. */
static void put_host(wst__head_writer_t *w, const wst_authority_t *a) {
    const char *open = a->ipv6 ? "[" : "", *close = a->ipv6 ? "]" : "";
    int len = (int)a->host.len;
    if (a->port == HTTP_PORT)
        wst__head_field(w, "Host", "%s%.*s%s", open, len, a->host.ptr, close);
    else
        wst__head_field(w, "Host", "%s%.*s%s:%u", open, len, a->host.ptr, close, (unsigned)a->port);
}

int wst__forward_request(const wst__forward_t *f, char *buf, size_t cap) {
    const wst_http_head_t *request = f->request;
    bool old = request->minor_version == 0, upgrade = wst__forward_upgrades(f);
    bool trailers = !old && wst_http_has_token(request, "TE", "trailers");
    int64_t forwards = max_forwards(request);
    /* A client of HTTP/1.0 does not wait for 100 (RFC 9110 section 10.1.1). */
    const char *const ours[] = {"Host", forwards >= 0 ? "Max-Forwards" : "", old ? "Expect" : "",
                                NULL};
    if (!is_pseudonym(f->pseudonym))
        return WST_EINVAL;

    wst__head_writer_t w;
    wst__head_init(&w, buf, cap);
    wst_str_t target = origin_target(f);
    wst__head_copy_request(&w, request->method, target.ptr[0] == '?' ? "/" : "", target);
    put_host(&w, &f->target->authority);
    copy_fields(&w, request, ours);
    if (forwards >= 0)
        wst__head_field(&w, "Max-Forwards", "%lld", (long long)forwards - 1);
    put_length(&w, request);
    if (request->chunked)
        wst__head_field(&w, "Transfer-Encoding", "chunked");
    if (trailers)
        wst__head_field(&w, "TE", "trailers");
    put_via(&w, request, f->pseudonym);
    if (upgrade)
        put_upgrade(&w, request);
    wst__head_list(&w, "Connection");
    put_option(&w, upgrade ? "Upgrade" : f->keep_origin ? "keep-alive" : "close");
    put_option(&w, trailers ? "TE" : ""); /* RFC 9110 section 10.1.4 */
    wst__head_list_end(&w);
    return wst__head_end(&w, NULL, 0);
}

/* Response ----------------------------------------------------------------------------------- */

static int refuse_response(wst__reply_t *reply, const char *error) {
    reply->error = error;
    return WST_EHTTP;
}

/* Decides on both connections and on the body. */
static void judge(wst__reply_t *reply, const wst__forward_t *f, const wst_http_head_t *response) {
    const wst_http_head_t *request = f->request;
    bool old = request->minor_version == 0;
    *reply = (wst__reply_t){0};
    wst_http_body_response(&reply->body, response, request->method);
    bool delimited = reply->body.framing != WST_HTTP_UNTIL_CLOSE;
    reply->upgrade = response->status == 101;
    reply->interim = response->status < 200 && !reply->upgrade;
    reply->decode = old && reply->body.framing == WST_HTTP_CHUNKED;
    reply->encode = !old && !delimited;
    /* RFC 9112 section 9.3: a proxy keeps no connection with a client of HTTP/1.0. */
    reply->keep_client = f->keep_client && !old && request->keep_alive;
    reply->keep_origin = f->keep_origin && response->keep_alive && delimited;
}

static void put_connection(wst__head_writer_t *w, const wst__reply_t *reply, bool upgrade) {
    wst__head_list(w, "Connection");
    put_option(w, upgrade ? "Upgrade" : "");
    if (!reply->upgrade)
        put_option(w, reply->keep_client ? "keep-alive" : "close");
    wst__head_list_end(w);
}

int wst__forward_response(wst__reply_t *reply, wst__forward_t *f, const wst_http_head_t *response,
                          char *buf, size_t cap) {
    const char *const none[] = {NULL}, *const trailer[] = {"Trailer", NULL};
    int status = response->status;
    judge(reply, f, response);
    bool chunked = reply->body.framing == WST_HTTP_CHUNKED;
    bool no_trailers = reply->decode || reply->encode;
    if (reply->upgrade && !(wst__forward_upgrades(f) && names_protocol(response)))
        return refuse_response(reply, "upgrade that was not asked for");
    if (chunked && !is_chunked_alone(response))
        return refuse_response(reply, "transfer coding other than chunked");
    if (reply->interim && ++f->interims > WST__INTERIM_MAX)
        return refuse_response(reply, "too many interim responses");
    if (!is_pseudonym(f->pseudonym))
        return WST_EINVAL;
    if (reply->interim && f->request->minor_version == 0)
        return 0;

    wst__head_writer_t w;
    wst__head_init(&w, buf, cap);
    wst__head_copy_response(&w, f->request->minor_version, status, response->reason);
    if (status >= 200)
        put_date(&w, response, f->date);
    copy_fields(&w, response, no_trailers ? trailer : none);
    if (status >= 200 && status != 204) /* RFC 9110 section 8.6 */
        put_length(&w, response);
    if (reply->encode || (chunked && !reply->decode))
        wst__head_field(&w, "Transfer-Encoding", "chunked");
    put_via(&w, response, f->pseudonym);
    /* A 426 names the protocol it requires in Upgrade (RFC 9110 section 15.5.22). */
    bool upgrade = (reply->upgrade || status == 426) && names_protocol(response);
    if (upgrade)
        put_upgrade(&w, response);
    if (!reply->interim)
        put_connection(&w, reply, upgrade);
    return wst__head_end(&w, NULL, 0);
}
