/* SPDX-License-Identifier: MIT */
/*
 * Bodies of HTTP/1 messages. Takes payload in runs, chunk framing byte by byte:
 *
 *        +--------------------------------------------+
 *        v                                            |
 *     SIZE --> (EXTENSION) --> SIZE_LF --> PAYLOAD --> PAYLOAD_CR --> PAYLOAD_LF
 *                                 |
 *                       last one  +--> TRAILER fields --> END_LF --> END
 *
 * With a length, or until the connection ends, only PAYLOAD and END occur.
 */
#include "http_body.h"

#include <limits.h>
#include <string.h>
#include <wstunnel/error.h>

#include "http_text.h"

enum { SIZE_DIGITS_MAX = 16 };

enum step {
    SIZE,
    EXTENSION_START, /* behind a semicolon */
    EXTENSION_NAME,
    EXTENSION_VALUE, /* behind '=' */
    EXTENSION_TOKEN,
    EXTENSION_QUOTED,
    EXTENSION_ESCAPED, /* behind a backslash */
    EXTENSION_CLOSED,  /* behind the closing quote */
    SIZE_LF,
    PAYLOAD,
    PAYLOAD_CR,
    PAYLOAD_LF,
    TRAILER_START,
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF,
    END
};

/* Start -------------------------------------------------------------------------------------- */

static void finish_body(wst_http_body_t *body) {
    body->complete = true;
    body->step = END;
}

static void start_body(wst_http_body_t *body, wst_http_framing_t framing, int64_t length) {
    *body = (wst_http_body_t){.framing = framing};
    body->left = framing == WST_HTTP_LENGTH ? (uint64_t)length : UINT64_MAX;
    body->step = framing == WST_HTTP_CHUNKED ? SIZE : PAYLOAD;
    if (framing == WST_HTTP_NO_BODY || body->left == 0)
        finish_body(body);
}

void wst_http_body_request(wst_http_body_t *body, const wst_http_head_t *request) {
    wst_http_framing_t framing = WST_HTTP_NO_BODY;
    bool tunnel = wst_str_eq(request->method, "CONNECT"); /* RFC 9110 section 9.3.6 */
    if (!tunnel && request->chunked)
        framing = WST_HTTP_CHUNKED;
    else if (!tunnel && request->content_length >= 0)
        framing = WST_HTTP_LENGTH;
    start_body(body, framing, request->content_length);
}

void wst_http_body_response(wst_http_body_t *body, const wst_http_head_t *response,
                            wst_str_t method) {
    int status = response->status;
    wst_http_framing_t framing = WST_HTTP_UNTIL_CLOSE;
    /* RFC 9112 section 6.3, in its order. */
    if (wst_str_eq(method, "HEAD") || status < 200 || status == 204 || status == 304)
        framing = WST_HTTP_NO_BODY;
    else if (wst_str_eq(method, "CONNECT") && status < 300)
        framing = WST_HTTP_NO_BODY;
    else if (response->chunked)
        framing = WST_HTTP_CHUNKED;
    else if (response->content_length >= 0)
        framing = WST_HTTP_LENGTH;
    start_body(body, framing, response->content_length);
}

/* Chunk lines -------------------------------------------------------------------------------- */

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The end of a size or an extension; false if `c` is not one. */
static bool end_element(wst_http_body_t *body, char c) {
    if (c == ';')
        body->step = EXTENSION_START;
    else if (c == '\r')
        body->step = SIZE_LF;
    return c == ';' || c == '\r';
}

/* RFC 9112 section 7.1. Some parsers tolerate white space or "0x", or let sizes wrap. NULL or an
 * error text, as below. */
static const char *take_size(wst_http_body_t *body, char c) {
    int digit = hex_digit(c);
    if (digit < 0) {
        bool any = body->line_len > 1;
        return any && end_element(body, c) ? NULL : "chunk size is not a hexadecimal number";
    }
    if (body->line_len == 1)
        body->left = 0;
    if (body->line_len > SIZE_DIGITS_MAX || body->left > INT64_MAX >> 4)
        return "chunk size too large";
    body->left = body->left << 4 | (uint64_t)digit;
    return NULL;
}

/* Section 7.1.1: names, perhaps with a token or a quoted string (RFC 9110 section 5.6.4). No peer
 * uses extensions; they are parsed so that every receiver reads the forwarded bytes alike. Refuses
 * the white space that section 7.1.1 calls bad. */
static const char *take_extension(wst_http_body_t *body, char c) {
    bool ok = true;
    switch (body->step) {
    case EXTENSION_START:
        ok = wst__is_tchar(c);
        body->step = EXTENSION_NAME;
        break;
    case EXTENSION_NAME:
        if (c == '=')
            body->step = EXTENSION_VALUE;
        else
            ok = wst__is_tchar(c) || end_element(body, c);
        break;
    case EXTENSION_VALUE:
        ok = c == '"' || wst__is_tchar(c);
        body->step = c == '"' ? EXTENSION_QUOTED : EXTENSION_TOKEN;
        break;
    case EXTENSION_TOKEN:
        ok = wst__is_tchar(c) || end_element(body, c);
        break;
    case EXTENSION_QUOTED:
        ok = c == '\t' || !wst__is_ctl(c);
        if (c == '"')
            body->step = EXTENSION_CLOSED;
        else if (c == '\\')
            body->step = EXTENSION_ESCAPED;
        break;
    case EXTENSION_ESCAPED:
        ok = c == '\t' || !wst__is_ctl(c);
        body->step = EXTENSION_QUOTED;
        break;
    default: /* EXTENSION_CLOSED */
        ok = end_element(body, c);
        break;
    }
    return ok ? NULL : "malformed chunk extension";
}

static const char *take_size_lf(wst_http_body_t *body, char c) {
    if (c != '\n')
        return "carriage return without line feed";
    body->line_len = 0;
    body->step = body->left > 0 ? PAYLOAD : TRAILER_START;
    return NULL;
}

static const char *take_payload_end(wst_http_body_t *body, char c) {
    if (c != (body->step == PAYLOAD_CR ? '\r' : '\n'))
        return "no CR LF behind a chunk";
    body->step = body->step == PAYLOAD_CR ? PAYLOAD_LF : SIZE;
    return NULL;
}

/* Trailer section ---------------------------------------------------------------------------- */

/* The kinds are those of RFC 9110 section 6.5.1, the connection's fields those of 7.6.1. */
static bool is_forbidden(wst_str_t name) {
    static const char *const forbidden[] = {
        /* framing and connection */
        "Content-Length", "Transfer-Encoding", "Trailer", "TE", "Connection", "Keep-Alive",
        "Proxy-Connection", "Upgrade",
        /* routing and what modifies a request */
        "Host", "Via", "Max-Forwards", "Expect", "Cache-Control", "Pragma", "Range", "If-Match",
        "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range",
        /* authentication */
        "Authorization", "Proxy-Authorization", "WWW-Authenticate", "Proxy-Authenticate", "Cookie",
        "Set-Cookie",
        /* what controls a response */
        "Age", "Date", "Expires", "Location", "Retry-After", "Vary", "Warning",
        /* how to process the content */
        "Content-Encoding", "Content-Type", "Content-Range"};
    for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
        if (wst_str_ieq(name, forbidden[i]))
            return true;
    }
    return false;
}

/* A name that does not fit is longer than any forbidden one. */
static void keep_name(wst_http_body_t *body, char c) {
    if (body->name_len < sizeof(body->name))
        body->name[body->name_len++] = c;
}

static void end_name(wst_http_body_t *body) {
    if (is_forbidden((wst_str_t){body->name, body->name_len}))
        body->forbidden_trailer = true;
    body->step = TRAILER_VALUE;
}

/* RFC 9112 section 7.1.2: fields as in a head, read as strictly. */
static const char *take_trailer(wst_http_body_t *body, char c) {
    if (body->step == TRAILER_START)
        body->name_len = 0;
    switch (body->step) {
    case TRAILER_START:
    case TRAILER_NAME:
        if (c == '\r' && body->step == TRAILER_START) {
            body->step = END_LF;
        } else if (c == ':' && body->step == TRAILER_NAME) {
            end_name(body);
        } else if (wst__is_tchar(c)) {
            keep_name(body, c);
            body->step = TRAILER_NAME;
        } else {
            return "trailer field is not a token followed by a colon";
        }
        break;
    case TRAILER_VALUE:
        if (c == '\r')
            body->step = TRAILER_LF;
        else if (wst__is_ctl(c) && c != '\t')
            return "control character in a trailer field";
        break;
    default: /* TRAILER_LF, END_LF */
        if (c != '\n')
            return "carriage return without line feed";
        if (body->step == END_LF)
            finish_body(body);
        else
            body->step = TRAILER_START;
        break;
    }
    return NULL;
}

/* Walk --------------------------------------------------------------------------------------- */

/* Takes a byte of framing. NULL or an error text. */
static const char *take_framing(wst_http_body_t *body, char c) {
    if (body->step == PAYLOAD_CR || body->step == PAYLOAD_LF)
        return take_payload_end(body, c);
    body->line_len++;
    if (body->step > PAYLOAD) {
        bool fits = body->line_len <= WST_HTTP_TRAILER_MAX;
        return fits ? take_trailer(body, c) : "trailer section too long";
    }
    if (body->line_len > WST_HTTP_CHUNK_LINE_MAX)
        return "line of a chunk too long";
    if (body->step == SIZE)
        return take_size(body, c);
    return body->step == SIZE_LF ? take_size_lf(body, c) : take_extension(body, c);
}

/* Takes the payload among `len` bytes. Returns its length. */
static size_t take_payload(wst_http_body_t *body, size_t len) {
    if (body->framing != WST_HTTP_UNTIL_CLOSE) {
        if (len > body->left)
            len = (size_t)body->left;
        body->left -= len;
    }
    body->payload_length += len;
    if (body->left == 0 && body->framing == WST_HTTP_CHUNKED)
        body->step = PAYLOAD_CR;
    else if (body->left == 0)
        finish_body(body);
    return len;
}

int wst_http_body_walk(wst_http_body_t *body, const char *buf, size_t len, wst_str_t *payload) {
    size_t at = 0;
    wst_str_t run = {NULL, 0};
    if (len > INT_MAX)
        len = INT_MAX;
    while (at < len && !body->complete && body->error == NULL) {
        if (body->step != PAYLOAD) {
            body->error = take_framing(body, buf[at++]);
            continue;
        }
        run = (wst_str_t){buf + at, take_payload(body, len - at)};
        at += run.len;
        if (payload != NULL)
            break;
    }
    if (body->error != NULL)
        return WST_EHTTP;
    if (payload != NULL)
        *payload = run;
    return (int)at;
}

/* Filter ------------------------------------------------------------------------------------- */

/* Whether a trailer field's name, incomplete, may still turn out forbidden: all forbidden names fit
 * into `name`. */
static bool is_undecided(const wst_http_body_t *body) {
    return body->step == TRAILER_NAME && body->name_len < sizeof(body->name);
}

/* Skips a forbidden field. Returns how many of the bytes belong to it. */
static size_t skip_field(wst_http_body_t *body, const char *buf, size_t len) {
    size_t at = 0;
    while (at < len && body->step != TRAILER_START && body->error == NULL)
        body->error = take_framing(body, buf[at++]);
    if (body->step == TRAILER_START)
        body->forbidden_trailer = false;
    return at;
}

/* Goes up to a field that proves forbidden, or past a name begun earlier that does not. */
static size_t pass_fields(wst_http_body_t *body, const char *buf, size_t len, wst_str_t *held,
                          wst_str_t *run) {
    size_t at = 0, name_at = 0, begun = is_undecided(body) ? body->name_len : 0;
    bool decided = false;
    while (at < len && !decided && !body->complete && body->error == NULL) {
        if (body->step == PAYLOAD) {
            at += take_payload(body, len - at);
            continue;
        }
        if (body->step == TRAILER_START)
            name_at = at;
        body->error = take_framing(body, buf[at++]);
        decided = body->forbidden_trailer || (begun > 0 && !is_undecided(body));
    }
    bool open = body->forbidden_trailer || is_undecided(body);
    *held = (wst_str_t){body->name, open ? 0 : begun};
    *run = (wst_str_t){buf, open ? name_at : at};
    return at;
}

int wst__http_body_filter(wst_http_body_t *body, const char *buf, size_t len, wst_str_t *held,
                          wst_str_t *run) {
    if (len > INT_MAX)
        len = INT_MAX;
    *held = *run = (wst_str_t){buf, 0};
    size_t at = body->forbidden_trailer ? skip_field(body, buf, len)
                                        : pass_fields(body, buf, len, held, run);
    return body->error != NULL ? WST_EHTTP : (int)at;
}

int wst_http_body_end(wst_http_body_t *body) {
    if (body->framing == WST_HTTP_UNTIL_CLOSE)
        finish_body(body);
    else if (!body->complete && body->error == NULL)
        body->error = "connection closed within the body";
    return body->complete ? 0 : WST_EHTTP;
}

/* Writing ------------------------------------------------------------------------------------ */

size_t wst__http_chunk_line(char line[WST__CHUNK_LINE_MAX], size_t len) {
    size_t digits = 1;
    while (digits < 2 * sizeof(len) && len >> 4 * digits != 0)
        digits++;
    for (size_t i = 0; i < digits; i++)
        line[i] = "0123456789abcdef"[len >> 4 * (digits - 1 - i) & 15];
    memcpy(line + digits, WST__CHUNK_END, 2);
    return digits + 2;
}
