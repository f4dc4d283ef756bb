/* SPDX-License-Identifier: MIT */
/*
 * Writes HTTP heads. Checks every text against the grammar of its place (RFC 9110 sections 5.1 and
 * 5.5, RFC 9112 sections 3 and 4), so no value can end its line and smuggle in another. The first
 * error stays; nothing is written after it.
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

static void fail_head(wst__head_writer_t *w, int error) {
    if (w->status == 0)
        w->status = error;
}

static wst_str_t text(const char *chars) {
    return (wst_str_t){chars, strlen(chars)};
}

static void put_part(wst__head_writer_t *w, wst_str_t part) {
    if (part.len > w->cap - w->len)
        fail_head(w, WST_EHEADBIG);
    if (w->status != 0 || part.len == 0)
        return;
    memcpy(w->buf + w->len, part.ptr, part.len);
    w->len += part.len;
}

static void put_token(wst__head_writer_t *w, wst_str_t part) {
    if (!wst__is_token(part))
        fail_head(w, WST_EINVAL);
    put_part(w, part);
}

/* Refuses control characters other than HTAB in the text written since `start`. */
static void check_text(wst__head_writer_t *w, size_t start) {
    for (size_t i = start; i < w->len; i++) {
        if (wst__is_ctl(w->buf[i]) && w->buf[i] != '\t')
            fail_head(w, WST_EINVAL);
    }
}

static void put_text(wst__head_writer_t *w, wst_str_t part) {
    size_t start = w->len;
    put_part(w, part);
    check_text(w, start);
}

static void end_line(wst__head_writer_t *w) {
    put_part(w, text("\r\n"));
}

void wst__head_copy_response(wst__head_writer_t *w, int minor_version, int status,
                             wst_str_t reason) {
    if (minor_version < 0 || minor_version > 1 || status < 100 || status > 999) {
        fail_head(w, WST_EINVAL);
        return;
    }
    char digits[] = {(char)('0' + status / 100), (char)('0' + status / 10 % 10),
                     (char)('0' + status % 10), ' '};
    put_part(w, text(minor_version == 1 ? "HTTP/1.1 " : "HTTP/1.0 "));
    put_part(w, (wst_str_t){digits, sizeof(digits)});
    put_text(w, reason);
    end_line(w);
}

void wst__head_response(wst__head_writer_t *w, int minor_version, int status, const char *reason) {
    wst__head_copy_response(w, minor_version, status, text(reason));
}

void wst__head_copy_request(wst__head_writer_t *w, wst_str_t method, const char *root,
                            wst_str_t rest) {
    put_token(w, method);
    put_part(w, text(" "));
    put_text(w, text(root));
    put_text(w, rest);
    if (rest.len == 0 || memchr(rest.ptr, ' ', rest.len) != NULL ||
        memchr(rest.ptr, '\t', rest.len) != NULL)
        fail_head(w, WST_EINVAL);
    put_part(w, text(" HTTP/1.1\r\n"));
}

void wst__head_request(wst__head_writer_t *w, const char *method, const char *target) {
    wst__head_copy_request(w, text(method), "", text(target));
}

void wst__head_copy_field(wst__head_writer_t *w, wst_str_t name, wst_str_t value) {
    put_token(w, name);
    put_part(w, text(": "));
    put_text(w, value);
    end_line(w);
}

void wst__head_list(wst__head_writer_t *w, const char *name) {
    w->elements = 0;
    put_token(w, text(name));
    put_part(w, text(": "));
}

void wst__head_element(wst__head_writer_t *w, wst_str_t element) {
    if (element.len == 0)
        return;
    if (w->elements++ > 0)
        put_part(w, text(", "));
    put_text(w, element);
}

void wst__head_list_end(wst__head_writer_t *w) {
    end_line(w);
}

void wst__head_field(wst__head_writer_t *w, const char *name, const char *fmt, ...) {
    put_token(w, text(name));
    put_part(w, text(": "));
    if (w->status != 0)
        return;
    size_t start = w->len, room = w->cap - w->len;
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(w->buf + start, room, fmt, args);
    va_end(args);
    if (n < 0) {
        fail_head(w, WST_EINVAL);
        return;
    }
    if ((size_t)n >= room) { /* the terminator may take the place of the line end */
        fail_head(w, WST_EHEADBIG);
        return;
    }
    w->len += (size_t)n;
    check_text(w, start);
    end_line(w);
}

void wst__head_lines(wst__head_writer_t *w, const char *lines) {
    while (lines != NULL && *lines != '\0' && w->status == 0) {
        const char *end = strstr(lines, "\r\n");
        size_t name_len = strcspn(lines, ":\r\n");
        if (end == NULL || lines[name_len] != ':' || !wst__is_token((wst_str_t){lines, name_len})) {
            fail_head(w, WST_EINVAL);
            return;
        }
        put_text(w, (wst_str_t){lines, (size_t)(end - lines)});
        end_line(w);
        lines = end + 2;
    }
}

int wst__head_end(wst__head_writer_t *w, const char *body, size_t body_len) {
    end_line(w);
    put_part(w, (wst_str_t){body, body_len});
    return w->status != 0 ? w->status : (int)w->len;
}
