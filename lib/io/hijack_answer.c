/* SPDX-License-Identifier: MIT */
/*
 * A hijack's answers to a client: the embedder's, and those to faulty requests. Each has its cause
 * in the reason phrase, since most clients of a proxy show nothing else.
 */
#include "hijack_answer.h"

#include "ctx.h"
#include "head_writer.h"

#include <stdio.h>
#include <string.h>
#include <wstunnel/error.h>

enum { OWN_FIELDS = 256 }; /* more than the fixed parts of the status line and our own fields */

/* The length of an optional text, counted up to WST__ANSWER_MAX. */
static size_t length(const char *text) {
    return text != NULL ? strnlen(text, WST__ANSWER_MAX) : 0;
}

/* Whether the embedder gives that field. */
static bool has_field(const char *lines, const char *name) {
    size_t len = strlen(name);
    for (; lines != NULL; lines = strstr(lines, "\r\n")) {
        lines += lines[0] == '\r' ? 2 : 0;
        if (strnlen(lines, len + 1) > len && lines[len] == ':' &&
            wst_str_ieq((wst_str_t){lines, len}, name))
            return true;
    }
    return false;
}

int wst__answer(wst_slice_t *out, wst_ctx_t *ctx, const wst_http_head_t *head,
                const wst_response_t *response, const char *more_fields, bool keep_alive) {
    if (response->status < 200 || response->status > 599 || response->reason == NULL)
        return WST_EINVAL;
    size_t body_len = length(response->body);
    size_t size = OWN_FIELDS + length(response->reason) + length(response->fields) +
                  length(more_fields) + body_len;
    if (size > WST__ANSWER_MAX)
        return WST_EINVAL;
    wst_chunk_t *chunk = wst_chunk_new(ctx, size);
    if (chunk == NULL)
        return WST_ENOMEM;

    char date[WST__HTTP_DATE];
    wst__head_writer_t w;
    wst__head_init(&w, (char *)wst_chunk_data(chunk), size);
    wst__head_response(&w, head->minor_version, response->status, response->reason);
    if (!has_field(response->fields, "Date") && wst__date(ctx, date))
        wst__head_field(&w, "Date", "%s", date); /* RFC 9110 section 6.6.1 */
    wst__head_lines(&w, response->fields);
    wst__head_lines(&w, more_fields);
    if (response->status == 204 || response->status == 304) {
        body_len = 0; /* RFC 9110 section 8.6: not even a length */
    } else {
        if (body_len > 0 && !has_field(response->fields, "Content-Type"))
            wst__head_field(&w, "Content-Type", "text/plain; charset=utf-8");
        wst__head_field(&w, "Content-Length", "%zu", body_len);
    }
    wst__head_field(&w, "Connection", keep_alive ? "keep-alive" : "close");
    if (wst_str_eq(head->method, "HEAD")) /* RFC 9110 section 9.3.2 */
        body_len = 0;
    int len = wst__head_end(&w, response->body, body_len);
    if (len < 0) {
        wst_chunk_unref(chunk);
        return WST_EINVAL;
    }
    *out = (wst_slice_t){chunk, wst_chunk_data(chunk), (size_t)len};
    return 0;
}

int wst__answer_refusal(wst_slice_t *out, wst_ctx_t *ctx, int error, const char *why,
                        const char *more_fields) {
    static const struct refusal {
        int error, status;
        const char *reason;
    } refusals[] = {
        {WST_EHEADBIG, 431, "Request Header Fields Too Large"},
        {WST_ETARGETBIG, 414, "URI Too Long"},
        {WST_ETIMEOUT, 408, "Request Timeout"},
        {WST_EHTTP, 400, "Bad Request"}, /* the last one: for the rest */
    };
    const struct refusal *r = refusals;
    while (r->error != error && r->error != WST_EHTTP)
        r++;
    /* RFC 9209 section 2.3.16. The texts are ours, with nothing to escape in a string. */
    char reason[128], fields[256], body[132];
    bool say_why = error == WST_EHTTP && why != NULL;
    (void)snprintf(reason, sizeof(reason), "%s%s%s", r->reason, say_why ? ": " : "",
                   say_why ? why : "");
    (void)snprintf(fields, sizeof(fields),
                   "Proxy-Status: libwstunnel; error=http_request_error; details=\"%s\"\r\n",
                   reason);
    (void)snprintf(body, sizeof(body), "%s\n", reason);
    wst_response_t response = {.size = sizeof(response),
                               .status = r->status,
                               .reason = reason,
                               .fields = fields,
                               .body = body};
    wst_http_head_t unknown = {.minor_version = 1};
    return wst__answer(out, ctx, &unknown, &response, more_fields, false);
}
