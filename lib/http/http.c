/* SPDX-License-Identifier: MIT */
/*
 * Heads of HTTP/1 messages (RFC 9112), parsed in place. Two steps:
 *
 *   find   runs from left to right, over each byte once however the head is cut; it refuses
 *          control characters and parts that outgrow their bounds, and finds the empty line. The
 *          first fault decides, so the result does not depend on the cuts.
 *   parse  takes the complete head apart, once.
 *
 * Targets and authorities: http_target.c.
 */
#include <wstunnel/http.h>

#include <limits.h>
#include <string.h>
#include <wstunnel/error.h>

#include "defaults.h"
#include "http_text.h"
#include "sized.h"

enum {
    /* Empty lines and the method must end within these bytes. find scans them again in each call,
     * so only this bound keeps it linear. */
    PREAMBLE_MAX = 64
};

static int refuse_head(wst_http_head_t *head, const char *error) {
    head->error = error;
    return WST_EHTTP;
}

/* Find --------------------------------------------------------------------------------------- */

/* Where the target of a request starts: behind empty lines, the method and one space. 0: not known
 * yet, or WST_EHTTP. The first byte of the method is checked at once, so a client that speaks TLS
 * gets an answer before a deadline. */
static int find_target(wst_http_head_t *head, const char *buf, size_t len) {
    size_t n = len < PREAMBLE_MAX ? len : PREAMBLE_MAX;
    size_t at = 0;
    for (; at < n && (buf[at] == '\r' || buf[at] == '\n'); at++) {
        if (buf[at] == '\r' && at + 1 < n && buf[at + 1] != '\n')
            return refuse_head(head, "carriage return without line feed");
    }
    size_t method = at;
    while (at < n && wst__is_tchar(buf[at]))
        at++;
    if (at == PREAMBLE_MAX)
        return refuse_head(head, method < at ? "method too long" : "too many empty lines");
    if (at == n)
        return 0;
    if (at == method || buf[at] != ' ')
        return refuse_head(head, "method is not a token followed by a space");
    return (int)at + 1;
}

/* The same for a response: where its minor version is or will be. */
static int find_version(wst_http_head_t *head, const char *buf, size_t len) {
    static const char prefix[] = "HTTP/1.";
    size_t n = sizeof(prefix) - 1;
    if (len > 0 && memcmp(buf, prefix, len < n ? len : n) != 0)
        return refuse_head(head, "not a response of HTTP/1");
    return (int)n;
}

static bool is_one_word(const char *text, size_t len) {
    return memchr(text, ' ', len) == NULL && memchr(text, '\n', len) == NULL &&
           memchr(text, '\r', len) == NULL;
}

/*
 * Finds the empty line that ends the head, from `*scanned` on. `start` is what find_target or
 * find_version found. Returns the length of the head, 0 and the new *scanned, or an error.
 */
static int find_end(wst_http_head_t *head, const char *buf, size_t len, size_t start,
                    size_t target_max, size_t *scanned) {
    for (size_t i = *scanned > start ? *scanned : start; i < len; i++) {
        char c = buf[i], before = buf[i - 1];
        if (before == '\r' && c != '\n') /* RFC 9112 section 2.2 */
            return refuse_head(head, "carriage return without line feed");
        if (c == '\n') {
            if (before == '\n' || (before == '\r' && buf[i - 2] == '\n'))
                return (int)i + 1;
        } else if (wst__is_ctl(c) && c != '\t' && c != '\r') { /* RFC 9110 section 5.5 */
            return refuse_head(head, "control character");
        }
        if (i - start == target_max && is_one_word(buf + start, target_max + 1))
            return WST_ETARGETBIG;
    }
    *scanned = len;
    return 0;
}

static size_t bound(size_t wanted, size_t fallback) {
    if (wanted == 0)
        return fallback;
    return wanted < INT_MAX ? wanted : INT_MAX;
}

/* The step for either kind of head. The length of the head, 0, or an error. */
static int find_head(wst_http_head_t *head, const char *buf, size_t len, size_t *scanned,
                     const wst_http_limits_t *given, bool request) {
    wst_http_limits_t limits;
    if (wst__sized_read(&limits, sizeof(limits), given) != 0)
        return WST_EINVAL;
    size_t head_max = bound(limits.head_max, WST__HEAD_MAX);
    size_t target_max = bound(limits.target_max, WST__TARGET_MAX);
    if (len > head_max)
        len = head_max;
    int found = request ? find_target(head, buf, len) : find_version(head, buf, len);
    if (found > 0)
        found = find_end(head, buf, len, (size_t)found, request ? target_max : SIZE_MAX, scanned);
    return found == 0 && len == head_max ? WST_EHEADBIG : found;
}

/* Parse -------------------------------------------------------------------------------------- */

/* Takes the next line off a complete head, without its end. */
static wst_str_t take_line(wst_str_t *rest) {
    const char *end = memchr(rest->ptr, '\n', rest->len);
    size_t len = (size_t)(end - rest->ptr);
    wst_str_t line = {rest->ptr, len > 0 && end[-1] == '\r' ? len - 1 : len};
    *rest = (wst_str_t){end + 1, rest->len - len - 1};
    return line;
}

/* Takes the next word off a line, and the space behind it; false if there is no space. */
static bool take_word(wst_str_t *rest, wst_str_t *word) {
    const char *space = rest->len > 0 ? memchr(rest->ptr, ' ', rest->len) : NULL;
    if (space == NULL)
        return false;
    *word = (wst_str_t){rest->ptr, (size_t)(space - rest->ptr)};
    *rest = (wst_str_t){space + 1, rest->len - word->len - 1};
    return true;
}

static bool parse_version(wst_http_head_t *head, wst_str_t text) {
    head->minor_version = wst_str_eq(text, "HTTP/1.1");
    return head->minor_version == 1 || wst_str_eq(text, "HTTP/1.0");
}

/* RFC 9112 section 3. Section 3 allows other white space than single spaces; attackers
 * have used it to make two parsers see two targets. */
static int parse_request_line(wst_http_head_t *head, wst_str_t line) {
    if (!take_word(&line, &head->method) || !take_word(&line, &head->target))
        return refuse_head(head, "no HTTP version in the request line");
    if (head->target.len == 0 || memchr(head->target.ptr, '\t', head->target.len) != NULL ||
        (line.len > 0 && memchr(line.ptr, ' ', line.len) != NULL))
        return refuse_head(head,
                           "request line is not method, target and version with single spaces");
    if (!parse_version(head, line))
        return refuse_head(head, "HTTP version other than 1.0 and 1.1");
    return 0;
}

/* RFC 9112 section 4. Many servers omit the space before an empty reason. */
static int parse_status_line(wst_http_head_t *head, wst_str_t line) {
    wst_str_t version, status;
    if (!take_word(&line, &version))
        return refuse_head(head, "no status in the status line");
    if (!parse_version(head, version))
        return refuse_head(head, "HTTP version other than 1.0 and 1.1");
    if (take_word(&line, &status)) {
        head->reason = line;
    } else {
        status = line;
        head->reason = (wst_str_t){line.ptr + line.len, 0};
    }
    if (status.len != 3 || !wst__is_digits(status) || status.ptr[0] == '0')
        return refuse_head(head, "status is not a number from 100 to 999");
    head->status = (status.ptr[0] - '0') * 100 + (status.ptr[1] - '0') * 10 + (status.ptr[2] - '0');
    return 0;
}

/* RFC 9112 section 5. find_end has refused control characters. */
static int parse_field(wst_http_head_t *head, wst_str_t line) {
    if (line.ptr[0] == ' ' || line.ptr[0] == '\t') {
        return refuse_head(head, head->header_count == 0 ? "white space before the first field"
                                                         : "obsolete line folding");
    }
    const char *colon = memchr(line.ptr, ':', line.len);
    if (colon == NULL)
        return refuse_head(head, "field without colon");
    wst_str_t name = {line.ptr, (size_t)(colon - line.ptr)};
    if (name.len > 0 && (colon[-1] == ' ' || colon[-1] == '\t')) /* section 5.1 */
        return refuse_head(head, "space before colon");
    if (!wst__is_token(name))
        return refuse_head(head, "field name is not a token");
    if (head->header_count == WST_HTTP_MAX_HEADERS)
        return WST_EHEADBIG;
    wst_http_header_t *field = &head->headers[head->header_count++];
    field->name = name;
    field->value = wst__trim((wst_str_t){colon + 1, line.len - name.len - 1});
    return 0;
}

/* The RFC allows tabs as white space in these fields, but no client sends them, and some parsers
 * read the field differently then. Scans the whole line, since values are trimmed. */
static bool has_tab(const wst_http_header_t *field) {
    const char *at = field->name.ptr + field->name.len;
    while (*at != '\t' && *at != '\r' && *at != '\n')
        at++;
    return *at == '\t';
}

/* RFC 9110 section 8.6. -1: malformed. */
static int64_t parse_length(wst_str_t text) {
    if (text.len == 0 || !wst__is_digits(text))
        return -1;
    int64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = text.ptr[i] - '0';
        if (value > (INT64_MAX - digit) / 10)
            return -1;
        value = value * 10 + digit;
    }
    return value;
}

/* RFC 9112 section 6.1. Codings have no parameters: `trailers` and `q` belong to TE. Refuses empty
 * elements, which lists may have, because not every parser skips them here. */
static int parse_codings(wst_http_head_t *head, const wst_http_header_t *field) {
    if (head->minor_version == 0)
        return refuse_head(head, "Transfer-Encoding in HTTP/1.0");
    for (; field != NULL; field = wst_http_header(head, "Transfer-Encoding", field)) {
        wst_str_t rest = field->value, coding;
        if (has_tab(field))
            return refuse_head(head, "tab in Transfer-Encoding");
        while (wst__http_list_next(&rest, &coding)) {
            if (!wst__is_token(coding))
                return refuse_head(head, "malformed Transfer-Encoding");
            if (head->chunked)
                return refuse_head(head, "transfer coding behind chunked");
            head->chunked = wst_str_ieq(coding, "chunked");
        }
    }
    return head->chunked ? 0 : refuse_head(head, "final transfer coding is not chunked");
}

/* The length of the body (RFC 9112 section 6.3), as far as the head tells. */
static int parse_framing(wst_http_head_t *head) {
    const wst_http_header_t *length = wst_http_header(head, "Content-Length", NULL);
    const wst_http_header_t *codings = wst_http_header(head, "Transfer-Encoding", NULL);
    head->content_length = -1;
    if (codings != NULL && length != NULL)
        return refuse_head(head, "Content-Length with Transfer-Encoding");
    if (codings != NULL)
        return parse_codings(head, codings);
    if (length == NULL)
        return 0;
    if (wst_http_header(head, "Content-Length", length) != NULL)
        return refuse_head(head, "more than one Content-Length");
    head->content_length = has_tab(length) ? -1 : parse_length(length->value);
    return head->content_length >= 0 ? 0 : refuse_head(head, "malformed Content-Length");
}

/* RFC 9112 section 9.3. Proxy-Connection is not standard, but curl and browsers send it to proxies
 * (and curl heeds it in the answer). */
static bool says_keep_alive(const wst_http_head_t *head) {
    if (wst_http_has_token(head, "Connection", "close") ||
        wst_http_has_token(head, "Proxy-Connection", "close"))
        return false;
    return head->minor_version == 1 || wst_http_has_token(head, "Connection", "keep-alive") ||
           wst_http_has_token(head, "Proxy-Connection", "keep-alive");
}

static int parse_fields(wst_http_head_t *head, wst_str_t rest) {
    for (wst_str_t line = take_line(&rest); line.len > 0; line = take_line(&rest)) {
        int rc = parse_field(head, line);
        if (rc != 0)
            return rc;
    }
    head->keep_alive = says_keep_alive(head);
    return parse_framing(head);
}

int wst_http_parse_request(wst_http_head_t *head, const char *buf, size_t len, size_t *scanned,
                           const wst_http_limits_t *limits) {
    int end = find_head(head, buf, len, scanned, limits, true);
    if (end <= 0)
        return end;
    memset(head, 0, sizeof(*head));
    wst_str_t rest = {buf, (size_t)end}, line;
    do
        line = take_line(&rest);
    while (line.len == 0); /* section 2.2; find_target ensured that another line follows */
    int rc = parse_request_line(head, line);
    if (rc == 0)
        rc = parse_fields(head, rest);
    if (rc != 0)
        return rc;
    const wst_http_header_t *host = wst_http_header(head, "Host", NULL);
    if (host != NULL && wst_http_header(head, "Host", host) != NULL) /* section 3.2 */
        return refuse_head(head, "more than one Host");
    return end;
}

int wst_http_parse_response(wst_http_head_t *head, const char *buf, size_t len, size_t *scanned,
                            const wst_http_limits_t *limits) {
    int end = find_head(head, buf, len, scanned, limits, false);
    if (end <= 0)
        return end;
    memset(head, 0, sizeof(*head));
    wst_str_t rest = {buf, (size_t)end};
    int rc = parse_status_line(head, take_line(&rest));
    if (rc == 0)
        rc = parse_fields(head, rest);
    return rc == 0 ? end : rc;
}

/* Look up ------------------------------------------------------------------------------------ */

const wst_http_header_t *wst_http_header(const wst_http_head_t *head, const char *name,
                                         const wst_http_header_t *after) {
    const wst_http_header_t *end = head->headers + head->header_count;
    for (const wst_http_header_t *h = after != NULL ? after + 1 : head->headers; h < end; h++) {
        if (wst_str_ieq(h->name, name))
            return h;
    }
    return NULL;
}

bool wst_http_has_token(const wst_http_head_t *head, const char *name, const char *token) {
    const wst_http_header_t *field = NULL;
    while ((field = wst_http_header(head, name, field)) != NULL) {
        wst_str_t rest = field->value, element;
        while (wst__http_list_next(&rest, &element)) {
            if (wst_str_ieq(element, token))
                return true;
        }
    }
    return false;
}
