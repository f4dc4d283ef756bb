/* SPDX-License-Identifier: MIT */
/*
 * Request targets (RFC 9112 section 3.2) and authorities (RFC 3986 section 3.2). The result is a
 * destination that rules are applied to and that is dialled, so a host that a resolver might read
 * differently than we do is refused.
 */
#include "http_target.h"

#include <string.h>
#include <wstunnel/error.h>

#include "http_text.h"
#include "ip.h"
#include "text.h"

enum { HOST_MAX = 255 };

static int refuse_target(const char **why, int error, const char *text) {
    if (why != NULL)
        *why = text;
    return error;
}

static bool is_alpha(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_hex(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_ip4(wst_str_t host) {
    uint8_t bytes[4];
    return wst__ip4_parse(bytes, host.ptr, host.len);
}

static bool is_ip6(wst_str_t host) {
    uint8_t bytes[16];
    return wst__ip6_parse(bytes, host.ptr, host.len);
}

/* Whether a resolver may take the name for a number: "127.1" and "0x7f000001" are 127.0.0.1 to
 * inet_aton. No top-level domain is numeric (RFC 1123 section 2.1), so the last label decides. */
static bool is_numeric(wst_str_t name) {
    if (name.ptr[name.len - 1] == '.')
        name.len--;
    wst_str_t label = {name.ptr + name.len, 0};
    while (label.ptr > name.ptr && label.ptr[-1] != '.') {
        label.ptr--;
        label.len++;
    }
    if (wst__is_digits(label))
        return true;
    if (label.len < 2 || label.ptr[0] != '0' || (label.ptr[1] != 'x' && label.ptr[1] != 'X'))
        return false;
    size_t i = 2;
    while (i < label.len && is_hex(label.ptr[i]))
        i++;
    return i == label.len;
}

/* Checks a name or an IPv4 address. NULL or an error text. */
static const char *check_name(wst_str_t host) {
    if (is_ip4(host))
        return NULL;
    if (host.len == 0)
        return "no host";
    if (host.len > HOST_MAX)
        return "host name too long";
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        bool ok = is_alpha(c) || is_digit(c) || c == '-' || c == '_' || c == '.' ||
                  (unsigned char)c >= 0x80;
        if (!ok)
            return "character not allowed in a host name";
        if (c == '.' && (i == 0 || host.ptr[i - 1] == '.'))
            return "empty label in the host name";
    }
    return is_numeric(host) ? "not an IPv4 address" : NULL;
}

static bool parse_port(uint16_t *out, wst_str_t text) {
    if (text.len > 5 || !wst__is_digits(text)) /* an empty text is 0 below */
        return false;
    uint32_t port = 0;
    for (size_t i = 0; i < text.len; i++)
        port = port * 10 + (uint32_t)(text.ptr[i] - '0');
    *out = (uint16_t)port;
    return port >= 1 && port <= UINT16_MAX;
}

/* Cuts at the colon of the port; port->ptr is NULL without one. NULL or an error text. */
static const char *split(wst_str_t text, wst_str_t *host, wst_str_t *port, bool *brackets) {
    if (text.len == 0)
        return "no host";
    const char *end = text.ptr + text.len;
    *brackets = text.ptr[0] == '[';
    *port = (wst_str_t){0};
    const char *at = end;
    if (*brackets) {
        const char *close = memchr(text.ptr, ']', text.len);
        if (close == NULL)
            return "no closing bracket";
        *host = (wst_str_t){text.ptr + 1, (size_t)(close - text.ptr) - 1};
        at = close + 1;
        if (at < end && *at != ':')
            return "text behind the closing bracket";
    } else {
        for (const char *p = text.ptr; p < end; p++) {
            if (*p == ':')
                at = p;
        }
        *host = (wst_str_t){text.ptr, (size_t)(at - text.ptr)};
    }
    if (at < end)
        *port = (wst_str_t){at + 1, (size_t)(end - at) - 1};
    return NULL;
}

/* The host as `split` found it. NULL or an error text. */
static const char *parse_host(wst_authority_t *out, wst_str_t host, bool brackets) {
    out->host = host;
    out->ipv6 = brackets || memchr(host.ptr, ':', host.len) != NULL;
    if (!out->ipv6)
        return check_name(host);
    if (is_ip6(host))
        return NULL;
    return brackets ? "not an IPv6 address" : "colon in a host that is no IPv6 address";
}

int wst_parse_authority(wst_authority_t *out, wst_str_t text, const char **why) {
    wst_authority_t found = {0};
    wst_str_t host, port;
    bool brackets;
    const char *error = split(text, &host, &port, &brackets);
    if (error == NULL && port.ptr == NULL)
        error = "no port";
    if (error == NULL)
        error = parse_host(&found, host, brackets);
    if (error != NULL)
        return refuse_target(why, WST_EDEST, error);
    if (brackets && port.len > 0 && port.ptr[port.len - 1] == ']')
        port.len--; /* ncat sends "[::1]:443]" */
    if (!parse_port(&found.port, port))
        return refuse_target(why, WST_EDEST, "port is not a number from 1 to 65535");
    *out = found;
    return 0;
}

/* The authority of a URI: its port may be missing or empty (RFC 3986 section 3.2.3). NULL or an
 * error text. */
static const char *parse_uri_authority(wst_http_target_t *out, wst_str_t text) {
    wst_str_t host, port;
    bool brackets;
    if (memchr(text.ptr, '@', text.len) != NULL) /* RFC 9110 section 4.2.4 */
        return "user information in the target";
    const char *error = split(text, &host, &port, &brackets);
    if (error == NULL)
        error = parse_host(&out->authority, host, brackets);
    if (error != NULL)
        return error;
    if (out->authority.ipv6 && !brackets)
        return "IPv6 address without brackets";
    if (port.len == 0) {
        bool tls = wst_str_ieq(out->scheme, "https") || wst_str_ieq(out->scheme, "wss");
        out->authority.port = tls ? 443 : 80;
        return NULL;
    }
    return parse_port(&out->authority.port, port) ? NULL : "port is not a number from 1 to 65535";
}

static bool is_scheme_char(char c) {
    return is_alpha(c) || is_digit(c) || c == '+' || c == '-' || c == '.';
}

/* The length of a scheme that "://" follows (RFC 3986 section 3.1), or 0. */
static size_t scheme_len(wst_str_t target) {
    size_t n = 0;
    while (n < target.len && is_scheme_char(target.ptr[n]))
        n++;
    bool ok = n > 0 && is_alpha(target.ptr[0]) && target.len - n >= 3 &&
              memcmp(target.ptr + n, "://", 3) == 0;
    return ok ? n : 0;
}

/* RFC 9112 section 3.2.2. NULL or an error text. */
static const char *parse_absolute(wst_http_target_t *out, wst_str_t target) {
    size_t n = scheme_len(target);
    if (n == 0)
        return "target is neither a path nor an absolute URI";
    out->form = WST_HTTP_ABSOLUTE;
    out->scheme = (wst_str_t){target.ptr, n};
    const char *start = target.ptr + n + 3, *end = target.ptr + target.len, *slash = start;
    while (slash < end && *slash != '/' && *slash != '?')
        slash++;
    if (slash == end)
        out->path = (wst_str_t){"/", 1};
    else
        out->path = (wst_str_t){slash, (size_t)(end - slash)};
    return parse_uri_authority(out, (wst_str_t){start, (size_t)(slash - start)});
}

int wst_http_parse_target(wst_http_target_t *out, const wst_http_head_t *head, const char **why) {
    wst_http_target_t found = {0};
    wst_str_t target = head->target;
    const char *error = NULL;
    if (wst_str_eq(head->method, "CONNECT")) { /* section 3.2.3 */
        found.form = WST_HTTP_AUTHORITY;
        if (wst_parse_authority(&found.authority, target, why) != 0)
            return WST_EHTTP;
    } else if (wst_str_eq(target, "*")) { /* section 3.2.4 */
        found.form = WST_HTTP_ASTERISK;
        if (!wst_str_eq(head->method, "OPTIONS"))
            error = "target * with another method than OPTIONS";
    } else if (target.len > 0 && memchr(target.ptr, '#', target.len) != NULL) {
        error = "fragment in the target";                /* section 3.2 has none */
    } else if (target.len > 0 && target.ptr[0] == '/') { /* section 3.2.1 */
        found.form = WST_HTTP_ORIGIN;
        found.path = target;
    } else {
        error = parse_absolute(&found, target);
    }
    if (error != NULL)
        return refuse_target(why, WST_EHTTP, error);
    *out = found;
    return 0;
}

void wst__authority_write(char *out, size_t size, const wst_authority_t *a) {
    char digits[WST__DECIMAL_MAX];
    const char *end = wst__text_decimal(digits, a->port);
    const wst_str_t pieces[] = {{"[", a->ipv6 ? 1 : 0},
                                a->host,
                                {"]", a->ipv6 ? 1 : 0},
                                {":", 1},
                                {digits, (size_t)(end - digits)}};
    size_t n = 0;
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        wst__text_copy(out + n, size - n, pieces[i]);
        n += strlen(out + n);
    }
}
