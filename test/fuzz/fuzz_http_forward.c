/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes the rewriting of heads. The first byte of the input chooses: bit 0 that the client's
 * connection may stay, bit 1 the origin's ('3': both); then a request of absolute form, and right
 * behind it the response.
 *
 * Checked: what is written is no longer than promised and reads as the same message, framed in the
 * same way; fields for the receiver are there, in order, and no others but ours; it names us in
 * Via; what is said of the connections is what was answered.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http_forward.h"
#include "http_text.h"
#include <wstunnel/error.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const wst_http_limits_t wide = {
    .size = sizeof(wide), .head_max = 100000, .target_max = 100000};

static void require(bool ok) {
    if (!ok)
        abort();
}

static bool same(wst_str_t a, wst_str_t b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static bool is_ours(wst_str_t name) {
    static const char *const ours[] = {"Connection",
                                       "Keep-Alive",
                                       "Proxy-Connection",
                                       "Proxy-Authenticate",
                                       "Content-Length",
                                       "Upgrade",
                                       "Transfer-Encoding",
                                       "Proxy-Authentication-Info",
                                       "Max-Forwards",
                                       "Via",
                                       "TE",
                                       "Proxy-Authorization"};
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        if (wst_str_ieq(name, ours[i]))
            return true;
    }
    return false;
}

#define DATE "Sun, 06 Nov 1994 08:49:37 GMT"

static bool is_dropped(const wst_http_head_t *head, const wst_http_header_t *field,
                       const char *also, const char *and_also) {
    char name[20000];
    snprintf(name, sizeof(name), "%.*s", (int)field->name.len, field->name.ptr);
    return is_ours(field->name) || wst_str_ieq(field->name, also) ||
           wst_str_ieq(field->name, and_also) || wst_http_has_token(head, "Connection", name);
}

/* The fields of `in` that are for the receiver are those of `out` that are not ours. */
static void check_fields(const wst_http_head_t *in, const wst_http_head_t *out, const char *also,
                         const char *and_also) {
    size_t at = 0;
    for (size_t i = 0; i < in->header_count; i++) {
        const wst_http_header_t *field = &in->headers[i];
        if (is_dropped(in, field, also, and_also))
            continue;
        while (at < out->header_count &&
               (is_ours(out->headers[at].name) || wst_str_ieq(out->headers[at].name, also)))
            at++;
        require(at < out->header_count && same(out->headers[at].name, field->name));
        require(same(out->headers[at].value, field->value));
        at++;
    }
    for (; at < out->header_count; at++)
        require(is_ours(out->headers[at].name) || wst_str_ieq(out->headers[at].name, also));
    const char *const never[] = {"Keep-Alive", "Proxy-Connection", "Proxy-Authorization",
                                 "Proxy-Authenticate", "Proxy-Authentication-Info"};
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
        require(wst_http_header(out, never[i], NULL) == NULL);
    const wst_http_header_t *via = wst_http_header(out, "Via", NULL);
    require(via != NULL && wst_http_header(out, "Via", via) == NULL && via->value.len >= 6);
    require(memcmp(via->value.ptr + via->value.len - 3, " us", 3) == 0);
}

/* Room for our own fields, when it is read again. */
static bool has_room(const wst_http_head_t *head) {
    return head->header_count <= WST_HTTP_MAX_HEADERS - 8;
}

static void check_request(const wst__forward_t *f, size_t in_len) {
    const wst_http_head_t *request = f->request;
    char *out = malloc(in_len + WST__FORWARD_EXTRA);
    require(out != NULL);
    int len = wst__forward_request(f, out, in_len + WST__FORWARD_EXTRA);
    require(len > 0);
    wst_http_head_t again;
    wst_http_target_t target;
    if (has_room(request)) {
        int rc = wst_http_parse_request(&again, out, (size_t)len, &(size_t){0}, &wide);
        require(rc == len && again.minor_version == 1);
        require(same(again.method, request->method));
        require(again.chunked == request->chunked);
        require(again.content_length == request->content_length);
        bool upgrade = wst__forward_upgrades(f);
        require(again.keep_alive == (f->keep_origin || upgrade));
        require(wst_http_has_token(&again, "Connection", "upgrade") == upgrade);
        require((wst_http_header(&again, "Upgrade", NULL) != NULL) == upgrade);
        check_fields(request, &again, "Host", request->minor_version == 0 ? "Expect" : "");
        require(wst_http_parse_target(&target, &again, NULL) == 0);
        wst_str_t path = target.path;
        if (f->target->path.ptr[0] == '?') /* then it has got its "/" */
            path = (wst_str_t){path.ptr + 1, path.len - 1};
        if (target.form == WST_HTTP_ORIGIN)
            require(same(path, f->target->path));
        else
            require(target.form == WST_HTTP_ASTERISK);

        /* Host names the destination; and a proxy it is sent to again sees it was here. */
        const wst_http_header_t *host = wst_http_header(&again, "Host", NULL);
        require(host != NULL);
        char uri[9000];
        int n = snprintf(uri, sizeof(uri), "ws://%.*s/", (int)host->value.len, host->value.ptr);
        again.target = (wst_str_t){uri, (size_t)n};
        require(wst_http_parse_target(&target, &again, NULL) == 0);
        require(same(target.authority.host, f->target->authority.host));
        require(target.authority.port == f->target->authority.port);
        wst__forward_t back = *f;
        back.request = &again;
        back.target = &target;
        require(wst__forward_check(&back) == WST__FORWARD_LOOP);
    }
    free(out);
}

static void check_reply(const wst__forward_t *f, const wst_http_head_t *response,
                        const wst__reply_t *reply, const char *out, int len) {
    wst_http_head_t again;
    wst_http_body_t body;
    require(wst_http_parse_response(&again, out, (size_t)len, &(size_t){0}, &wide) == len);
    require(again.status == response->status && same(again.reason, response->reason));
    require(again.minor_version == f->request->minor_version);
    /* Ours is written first. */
    bool dated = response->status >= 200 && again.header_count > 0 &&
                 wst_str_eq(again.headers[0].name, "Date") &&
                 wst_str_eq(again.headers[0].value, DATE);
    bool theirs = wst_http_header(response, "Date", NULL) != NULL &&
                  !wst_http_has_token(response, "Connection", "date");
    require(theirs || dated == (response->status >= 200));
    if (dated && !theirs)
        memmove(&again.headers[0], &again.headers[1],
                --again.header_count * sizeof(again.headers[0]));
    check_fields(response, &again, "", reply->decode || reply->encode ? "Trailer" : "");
    /* The client sees the body end where we do. */
    wst_http_body_response(&body, &again, f->request->method);
    if (reply->decode)
        require(body.framing == WST_HTTP_UNTIL_CLOSE && !reply->keep_client);
    else if (reply->encode)
        require(body.framing == WST_HTTP_CHUNKED && !reply->keep_origin);
    else
        require(body.framing == reply->body.framing && body.left == reply->body.left);
    bool old = f->request->minor_version == 0;
    require(reply->encode == (!old && reply->body.framing == WST_HTTP_UNTIL_CLOSE));
    require(!old || !reply->keep_client);
    require(reply->upgrade == (response->status == 101));
    require(reply->interim == (response->status < 200 && !reply->upgrade));
    if (!reply->interim && !reply->upgrade)
        require(again.keep_alive == reply->keep_client);
    require(!reply->keep_client || (f->keep_client && f->request->keep_alive));
    require(!reply->keep_origin || (f->keep_origin && response->keep_alive));
}

static void check_response(const wst__forward_t *f, const char *text, size_t size) {
    wst_http_head_t response;
    wst__reply_t reply;
    int end = wst_http_parse_response(&response, text, size, &(size_t){0}, NULL);
    if (end <= 0)
        return;
    size_t cap = (size_t)end + WST__FORWARD_EXTRA;
    char *out = malloc(cap);
    require(out != NULL);
    wst__forward_t once = *f;
    int len = wst__forward_response(&reply, &once, &response, out, cap);
    require(len >= 0 || (len == WST_EHTTP && reply.error != NULL));
    require(len != 0 || (response.status < 200 && f->request->minor_version == 0));
    if (len > 0 && has_room(&response))
        check_reply(f, &response, &reply, out, len);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    char *text = malloc(size);
    require(text != NULL);
    memcpy(text, data + 1, size - 1);
    wst_http_head_t request;
    wst_http_target_t target;
    int end = wst_http_parse_request(&request, text, size - 1, &(size_t){0}, NULL);
    if (end > 0 && wst_http_parse_target(&target, &request, NULL) == 0 &&
        target.form == WST_HTTP_ABSOLUTE) {
        const wst__forward_t f = {.request = &request,
                                  .target = &target,
                                  .pseudonym = "us",
                                  .date = DATE,
                                  .keep_client = (data[0] & 1) != 0,
                                  .keep_origin = (data[0] & 2) != 0};
        if (wst__forward_check(&f) == WST__FORWARD_YES) {
            check_request(&f, (size_t)end);
            check_response(&f, text + end, size - 1 - (size_t)end);
        }
    }
    free(text);
    return 0;
}
