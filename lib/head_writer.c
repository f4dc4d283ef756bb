/* SPDX-License-Identifier: MIT */
/*
 * Writes HTTP heads. Every text is checked against what may stand in its place (RFC 9110 sections
 * 5.1 and 5.5, RFC 9112 sections 3 and 4), so no value can end its line and smuggle in another. The
 * first thing that goes wrong sticks; what follows is then not written.
 */
#include "head_writer.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <wstunnel/error.h>

#include "http_text.h"

void wst__head_init(wst__head_writer_t *w, char *buf, size_t cap) {
    *w = (wst__head_writer_t){.buf = buf, .cap = cap < INT_MAX ? cap : INT_MAX};
}

static void fail(wst__head_writer_t *w, int error) {
    if (w->status == 0)
        w->status = error;
}

static void put(wst__head_writer_t *w, const char *text, size_t len) {
    if (len > w->cap - w->len)
        fail(w, WST_EHEADBIG);
    if (w->status != 0 || len == 0)
        return;
    memcpy(w->buf + w->len, text, len);
    w->len += len;
}

static void put_text(wst__head_writer_t *w, const char *text) {
    put(w, text, strlen(text));
}

static void put_token(wst__head_writer_t *w, const char *text) {
    if (!wst__is_token((wst_str_t){text, strlen(text)}))
        fail(w, WST_EINVAL);
    put_text(w, text);
}

/* Refuses control characters but HTAB in what was written since `start`. */
static void check_text(wst__head_writer_t *w, size_t start) {
    for (size_t i = start; i < w->len; i++) {
        if (wst__is_ctl(w->buf[i]) && w->buf[i] != '\t')
            fail(w, WST_EINVAL);
    }
}

void wst__head_response(wst__head_writer_t *w, int minor_version, int status, const char *reason) {
    if (minor_version < 0 || minor_version > 1 || status < 100 || status > 999) {
        fail(w, WST_EINVAL);
        return;
    }
    char digits[] = {(char)('0' + status / 100), (char)('0' + status / 10 % 10),
                     (char)('0' + status % 10), ' '};
    put_text(w, minor_version == 1 ? "HTTP/1.1 " : "HTTP/1.0 ");
    put(w, digits, sizeof(digits));
    size_t start = w->len;
    put_text(w, reason);
    check_text(w, start);
    put_text(w, "\r\n");
}

void wst__head_request(wst__head_writer_t *w, const char *method, const char *target) {
    put_token(w, method);
    put_text(w, " ");
    size_t start = w->len;
    put_text(w, target);
    check_text(w, start);
    if (target[0] == '\0' || strpbrk(target, " \t") != NULL)
        fail(w, WST_EINVAL);
    put_text(w, " HTTP/1.1\r\n");
}

void wst__head_field(wst__head_writer_t *w, const char *name, const char *fmt, ...) {
    put_token(w, name);
    put_text(w, ": ");
    if (w->status != 0)
        return;
    size_t start = w->len, room = w->cap - w->len;
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(w->buf + start, room, fmt, args);
    va_end(args);
    if (n < 0) {
        fail(w, WST_EINVAL);
        return;
    }
    if ((size_t)n >= room) { /* the terminator's place is the line end's */
        fail(w, WST_EHEADBIG);
        return;
    }
    w->len += (size_t)n;
    check_text(w, start);
    put_text(w, "\r\n");
}

void wst__head_lines(wst__head_writer_t *w, const char *lines) {
    while (lines != NULL && *lines != '\0' && w->status == 0) {
        const char *end = strstr(lines, "\r\n");
        size_t start = w->len, name_len = strcspn(lines, ":\r\n");
        if (end == NULL || lines[name_len] != ':' ||
            !wst__is_token((wst_str_t){lines, name_len})) {
            fail(w, WST_EINVAL);
            return;
        }
        put(w, lines, (size_t)(end - lines));
        check_text(w, start);
        put_text(w, "\r\n");
        lines = end + 2;
    }
}

int wst__head_end(wst__head_writer_t *w, const char *body, size_t body_len) {
    put_text(w, "\r\n");
    put(w, body, body_len);
    return w->status != 0 ? w->status : (int)w->len;
}
