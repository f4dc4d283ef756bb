/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes heads, targets and authorities. The first byte of the input chooses: bit 0 a response, bit
 * 1 tight limits ('0' to '3' in the corpus); the rest is the message.
 *
 * Checked: the result does not depend on how the input is cut; all pieces lie inside the head and
 * hold only what may stand in their place; the head written anew reads the same; a destination
 * written anew is the same destination. Input lies at the end of a heap block of its exact size.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "head_writer.h"
#include "http_text.h"
#include <wstunnel/error.h>
#include <wstunnel/http.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct message {
    bool response;
    const wst_http_limits_t *limits;
    const char *bytes; /* in a block of its own, which the parsed head points into */
    size_t len;
} message_t;

static void require(bool ok) {
    if (!ok)
        abort();
}

static char *copy_of(const void *bytes, size_t len) {
    char *copy = malloc(len > 0 ? len : 1);
    require(copy != NULL);
    if (len > 0)
        memcpy(copy, bytes, len);
    return copy + (len > 0 ? 0 : 1);
}

static void free_copy(char *copy, size_t len) {
    free(copy - (len > 0 ? 0 : 1));
}

static int parse(const message_t *m, wst_http_head_t *head, const char *bytes, size_t len,
                 size_t *scanned) {
    return m->response ? wst_http_parse_response(head, bytes, len, scanned, m->limits)
                       : wst_http_parse_request(head, bytes, len, scanned, m->limits);
}

/* Feeds prefixes growing by `step`, each in a block of its own; the first result is the one of the
 * whole, in time: a head is complete with its last byte. */
static void check_cut(const message_t *m, int expect, const char *error, size_t step) {
    wst_http_head_t head;
    size_t scanned = 0, fed = 0;
    int rc = 0;
    while (rc == 0 && fed < m->len) {
        fed = m->len - fed < step ? m->len : fed + step;
        char *copy = copy_of(m->bytes, fed);
        rc = parse(m, &head, copy, fed, &scanned);
        free_copy(copy, fed);
    }
    require(rc == expect);
    require(rc <= 0 || fed - (size_t)rc < step);
    require(rc != WST_EHTTP || head.error == error);
}

static void check_piece(const message_t *m, int len, wst_str_t piece) {
    require(piece.ptr >= m->bytes && piece.ptr + piece.len <= m->bytes + len);
    for (size_t i = 0; i < piece.len; i++)
        require(!wst__is_ctl(piece.ptr[i]) || piece.ptr[i] == '\t');
}

static void check_pieces(const message_t *m, const wst_http_head_t *head, int len) {
    require(head->error == NULL && head->header_count <= WST_HTTP_MAX_HEADERS);
    require(len >= 2 && (size_t)len <= m->len && m->bytes[len - 1] == '\n');
    if (m->response) {
        require(head->status >= 100 && head->status <= 999);
        check_piece(m, len, head->reason);
    } else {
        check_piece(m, len, head->method);
        check_piece(m, len, head->target);
        require(wst__is_token(head->method) && head->target.len > 0);
        require(memchr(head->target.ptr, ' ', head->target.len) == NULL);
    }
    for (size_t i = 0; i < head->header_count; i++) {
        wst_str_t name = head->headers[i].name, value = head->headers[i].value;
        check_piece(m, len, name);
        check_piece(m, len, value);
        require(wst__is_token(name) && wst__trim(value).len == value.len);
    }
    require(!head->chunked || head->content_length == -1);
    require(head->content_length >= -1);
}

static bool same(wst_str_t a, wst_str_t b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* What is left of a head when it is written in its plainest form is the same head. */
static void check_rewritten(const message_t *m, const wst_http_head_t *head, int len) {
    static char out[40000], first[20000], second[20000];
    wst_http_limits_t wide = {
        .size = sizeof(wide), .head_max = sizeof(out), .target_max = sizeof(out)};
    wst__head_writer_t w;
    wst__head_init(&w, out, sizeof(out));
    require((size_t)len <= sizeof(first)); /* the default limit is smaller */
    if (m->response) {
        snprintf(first, sizeof(first), "%.*s", (int)head->reason.len, head->reason.ptr);
        wst__head_response(&w, head->minor_version, head->status, first);
    } else {
        snprintf(first, sizeof(first), "%.*s", (int)head->method.len, head->method.ptr);
        snprintf(second, sizeof(second), "%.*s", (int)head->target.len, head->target.ptr);
        wst__head_request(&w, first, second);
    }
    for (size_t i = 0; i < head->header_count; i++) {
        wst_str_t name = head->headers[i].name, value = head->headers[i].value;
        snprintf(first, sizeof(first), "%.*s", (int)name.len, name.ptr);
        wst__head_field(&w, first, "%.*s", (int)value.len, value.ptr);
    }
    int written = wst__head_end(&w, NULL, 0);
    require(written > 0);

    wst_http_head_t again;
    message_t copy = {m->response, &wide, out, (size_t)written};
    require(parse(&copy, &again, out, (size_t)written, &(size_t){0}) == written);
    require(same(again.method, head->method) && same(again.target, head->target));
    require(again.status == head->status && same(again.reason, head->reason));
    require(again.chunked == head->chunked && again.content_length == head->content_length);
    require(again.header_count == head->header_count);
    for (size_t i = 0; i < head->header_count; i++) {
        require(same(again.headers[i].name, head->headers[i].name));
        require(same(again.headers[i].value, head->headers[i].value));
    }
    /* The writer's requests are all HTTP/1.1. */
    if (again.minor_version == head->minor_version)
        require(again.keep_alive == head->keep_alive);
}

static void check_authority(const wst_authority_t *a, wst_str_t text) {
    require(a->port >= 1 && a->host.len >= 1 && a->host.len <= 255);
    require(a->host.ptr >= text.ptr && a->host.ptr + a->host.len <= text.ptr + text.len);
    require(a->ipv6 == (memchr(a->host.ptr, ':', a->host.len) != NULL));
    char out[300];
    int n = snprintf(out, sizeof(out), a->ipv6 ? "[%.*s]:%u" : "%.*s:%u", (int)a->host.len,
                     a->host.ptr, (unsigned)a->port);
    wst_authority_t again;
    require(wst_parse_authority(&again, (wst_str_t){out, (size_t)n}, NULL) == 0);
    require(same(again.host, a->host) && again.port == a->port && again.ipv6 == a->ipv6);
}

static void check_target(const wst_http_head_t *head) {
    wst_http_target_t t;
    const char *why = NULL;
    int rc = wst_http_parse_target(&t, head, &why);
    require(rc == 0 || (rc == WST_EHTTP && why != NULL));
    if (rc != 0)
        return;
    bool connect = wst_str_eq(head->method, "CONNECT");
    require(connect == (t.form == WST_HTTP_AUTHORITY));
    if (t.form == WST_HTTP_ABSOLUTE || connect)
        check_authority(&t.authority, head->target);
    if (t.form == WST_HTTP_ORIGIN || t.form == WST_HTTP_ABSOLUTE)
        require(t.path.len > 0 &&
                (t.path.ptr[0] == '/' || (t.form == WST_HTTP_ABSOLUTE && t.path.ptr[0] == '?')));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const wst_http_limits_t tight = {
        .size = sizeof(tight), .head_max = 120, .target_max = 20};
    if (size == 0)
        return 0;
    size_t len = size - 1;
    char *bytes = copy_of(data + 1, len);
    message_t m = {(data[0] & 1) != 0, (data[0] & 2) != 0 ? &tight : NULL, bytes, len};

    wst_http_head_t head = {0};
    int rc = parse(&m, &head, bytes, len, &(size_t){0});
    require(rc >= 0 || rc == WST_EHTTP || rc == WST_EHEADBIG || rc == WST_ETARGETBIG);
    require(rc != WST_EHTTP || head.error != NULL);
    /* Every prefix of short inputs, some hundred of long ones. */
    check_cut(&m, rc, head.error, len / 400 + 1);
    check_cut(&m, rc, head.error, data[0] / 4 + 1U);
    if (rc > 0) {
        check_pieces(&m, &head, rc);
        check_rewritten(&m, &head, rc);
        if (!m.response)
            check_target(&head);
    }

    wst_authority_t authority;
    wst_str_t text = {bytes, len};
    if (wst_parse_authority(&authority, text, NULL) == 0)
        check_authority(&authority, text);
    free_copy(bytes, len);
    return 0;
}
