/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes bodies. The first byte of the input chooses: bits 0 and 1 the framing ('0' chunked, '1' a
 * length of 20, '2' until close), the others how it is cut; the rest is what comes in behind a
 * head.
 *
 * Checked: neither the result nor the payload depends on how the input is cut; what is complete is
 * so with its last byte and stays; a decoder that has all before it, and is written in another way,
 * finds the same payload and the same end; what is passed on of a body is one with the same payload
 * and no forbidden trailer field, the very same if there was none.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http_body.h"
#include <wstunnel/error.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LENGTH = 20 };

typedef struct result {
    wst_http_body_t body;
    size_t wire;
    char *payload; /* NULL: only counted */
    size_t payload_len;
} result_t;

static void require(bool ok) {
    if (!ok)
        abort();
}

static wst_http_body_t start(uint8_t choice) {
    wst_http_head_t head = {.status = 200, .minor_version = 1, .content_length = -1};
    head.chunked = (choice & 3) == 0 || (choice & 3) == 3;
    if ((choice & 3) == 1)
        head.content_length = LENGTH;
    wst_http_body_t body;
    wst_http_body_response(&body, &head, (wst_str_t){"GET", 3});
    return body;
}

/* Feeds pieces of `step` bytes, each in a block of its own. */
static void feed(result_t *r, uint8_t choice, const uint8_t *data, size_t len, size_t step) {
    r->body = start(choice);
    r->wire = r->payload_len = 0;
    for (size_t at = 0, n; at < len && r->body.error == NULL; at += n) {
        n = len - at < step ? len - at : step;
        char *piece = malloc(n);
        require(piece != NULL);
        memcpy(piece, data + at, n);
        for (size_t taken = 0; taken < n && !r->body.complete;) {
            wst_str_t run = {NULL, 0};
            int rc = wst_http_body_walk(&r->body, piece + taken, n - taken,
                                        r->payload != NULL ? &run : NULL);
            require(rc > 0 || (rc == WST_EHTTP && r->body.error != NULL));
            if (rc < 0)
                break;
            require((size_t)rc <= n - taken && run.len <= (size_t)rc);
            if (r->payload == NULL) /* stops at the end of the message only */
                require((size_t)rc == n - taken || r->body.complete);
            if (run.len > 0) {
                require(run.ptr >= piece + taken && run.ptr + run.len <= piece + taken + rc);
                memcpy(r->payload + r->payload_len, run.ptr, run.len);
                r->payload_len += run.len;
            }
            taken += (size_t)rc;
            r->wire += (size_t)rc;
        }
        free(piece);
    }
    if (r->body.complete) {
        require(wst_http_body_walk(&r->body, "0\r\n\r\n", 5, NULL) == 0);
        wst_http_body_t copy = r->body;
        require(wst_http_body_end(&copy) == 0);
    }
}

static void require_same(const result_t *a, const result_t *b) {
    require(a->body.complete == b->body.complete && a->body.error == b->body.error);
    require(a->body.forbidden_trailer == b->body.forbidden_trailer);
    if (a->body.error == NULL)
        require(a->wire == b->wire);
    require(a->body.payload_length == b->body.payload_length);
}

/* The line that starts at *at, without its CR LF; NULL if there is none. */
static const uint8_t *line(const uint8_t *data, size_t len, size_t *at, size_t *line_len) {
    for (size_t i = *at; i + 1 < len; i++) {
        if (data[i] == '\r' && data[i + 1] == '\n') {
            const uint8_t *found = data + *at;
            *line_len = i - *at;
            *at = i + 2;
            return found;
        }
    }
    return NULL;
}

/* A chunked body by the letter: lines and counts. The length on the wire, 0 if it is none. */
static size_t decode(const uint8_t *data, size_t len, uint8_t *payload, size_t *payload_len) {
    size_t at = 0, n;
    *payload_len = 0;
    for (;;) {
        const uint8_t *text = line(data, len, &at, &n);
        char digits[20] = "", *end;
        if (text == NULL || n == 0)
            return 0;
        memcpy(digits, text, n < 17 ? n : 17);
        unsigned long long size = strtoull(digits, &end, 16);
        if (end == digits || size > len - at)
            return 0;
        if (size == 0)
            break;
        if (len - at < size + 2 || memcmp(data + at + size, "\r\n", 2) != 0)
            return 0;
        memcpy(payload + *payload_len, data + at, (size_t)size);
        *payload_len += (size_t)size;
        at += (size_t)size + 2;
    }
    const uint8_t *field;
    do
        field = line(data, len, &at, &n);
    while (field != NULL && n > 0);
    return field != NULL ? at : 0;
}

static void check_decoded(const result_t *r, const uint8_t *data, size_t len) {
    uint8_t *payload = malloc(len + 1);
    size_t payload_len;
    require(payload != NULL);
    require(decode(data, len, payload, &payload_len) == r->wire);
    require(payload_len == r->payload_len && memcmp(payload, r->payload, payload_len) == 0);
    free(payload);
}

/* What is passed on of a body, fed as by feed(). Its length. */
static size_t filter(uint8_t choice, const uint8_t *data, size_t len, size_t step, char *out) {
    wst_http_body_t body = start(choice);
    size_t written = 0;
    for (size_t at = 0, n; at < len && !body.complete; at += n) {
        n = len - at < step ? len - at : step;
        char *piece = malloc(n);
        require(piece != NULL);
        memcpy(piece, data + at, n);
        for (size_t taken = 0; taken < n && !body.complete;) {
            wst_str_t held, run;
            int rc = wst__http_body_filter(&body, piece + taken, n - taken, &held, &run);
            require(rc > 0 && (size_t)rc <= n - taken && run.len <= (size_t)rc);
            memcpy(out + written, held.ptr, held.len);
            memcpy(out + written + held.len, run.ptr, run.len);
            written += held.len + run.len;
            taken += (size_t)rc;
        }
        free(piece);
    }
    return written;
}

/* Of a complete body, `r`. */
static void check_filter(const result_t *r, uint8_t choice, const uint8_t *data, size_t len) {
    char *once = malloc(len + 1), *cut = malloc(len + 1);
    require(once != NULL && cut != NULL);
    size_t n = filter(choice, data, len, len, once);
    require(filter(choice, data, len, choice / 4 + 1U, cut) == n && memcmp(once, cut, n) == 0);
    require(filter(choice, data, len, 1, cut) == n && memcmp(once, cut, n) == 0);
    if (r->body.forbidden_trailer)
        require(n < r->wire);
    else
        require(n == r->wire && memcmp(once, data, n) == 0);
    result_t again = {.payload = cut};
    feed(&again, choice, (const uint8_t *)once, n, n);
    require(again.body.complete && again.wire == n && !again.body.forbidden_trailer);
    require(again.payload_len == r->payload_len);
    require(memcmp(again.payload, r->payload, r->payload_len) == 0);
    free(once);
    free(cut);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    uint8_t choice = *data++;
    size_t len = size - 1, step = choice / 4 + 1U;
    char *first = malloc(size), *second = malloc(size);
    require(first != NULL && second != NULL);
    result_t whole = {.payload = first}, cut = {.payload = second}, counted = {.payload = NULL};
    feed(&whole, choice, data, len, size);
    feed(&cut, choice, data, len, step);
    require_same(&whole, &cut);
    require(whole.payload_len == cut.payload_len);
    require(memcmp(first, second, whole.payload_len) == 0);
    require(whole.payload_len == whole.body.payload_length);
    feed(&cut, choice, data, len, 1);
    require_same(&whole, &cut);
    feed(&counted, choice, data, len, size);
    require_same(&whole, &counted);

    if (whole.body.complete && len > 0)
        check_filter(&whole, choice, data, len);
    if (whole.body.complete) { /* not a byte earlier */
        feed(&cut, choice, data, whole.wire - 1, size);
        require(!cut.body.complete && cut.body.error == NULL);
        if (whole.body.framing == WST_HTTP_CHUNKED)
            check_decoded(&whole, data, len);
    }
    if (whole.body.framing == WST_HTTP_LENGTH)
        require(whole.wire == (len < LENGTH ? len : LENGTH) && whole.body.error == NULL);
    if (whole.body.framing == WST_HTTP_UNTIL_CLOSE)
        require(whole.wire == len && wst_http_body_end(&whole.body) == 0);
    free(first);
    free(second);
    return 0;
}
