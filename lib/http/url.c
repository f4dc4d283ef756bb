/* SPDX-License-Identifier: MIT */
/* URLs of servers (RFC 3986, RFC 6455 section 3). Faults are reported at once, not at
 * each attempt to connect. */
#include "url.h"

#include "defaults.h"

#include <stdio.h>
#include <string.h>
#include <wstunnel/error.h>

enum { PATH_LEN_MAX = 8000 }; /* every server should take this (RFC 9112 section 3) */

static bool has_scheme(const char *url, const char *scheme) {
    size_t len = strlen(scheme);
    return strnlen(url, len) == len && wst_str_ieq((wst_str_t){url, len}, scheme);
}

/* Whether the authority ends in a port: a colon that is not part of an IPv6 literal. */
static bool has_port(wst_str_t authority) {
    for (size_t i = authority.len; i > 0; i--) {
        if (authority.ptr[i - 1] == ':')
            return true;
        if (authority.ptr[i - 1] == ']')
            return false;
    }
    return false;
}

int wst__url_authority(wst_authority_t *out, wst_str_t authority, uint16_t default_port,
                       const char **why) {
    char text[WST__AUTHORITY_MAX + sizeof(":65535")]; /* wst_parse_authority needs a port */
    if (authority.len > WST__AUTHORITY_MAX) {
        *why = "host too long";
        return WST_EINVAL;
    }
    int len = snprintf(text, sizeof(text), "%.*s", (int)authority.len, authority.ptr);
    if (!has_port(authority))
        len += snprintf(text + len, sizeof(text) - (size_t)len, ":%u", default_port);
    wst_authority_t a;
    if (wst_parse_authority(&a, (wst_str_t){text, (size_t)len}, why) != 0)
        return WST_EINVAL;
    if (a.ipv6 && text[0] != '[') { /* RFC 3986 section 3.2.2 */
        *why = "IPv6 address without brackets";
        return WST_EINVAL;
    }
    a.host.ptr = authority.ptr + (a.host.ptr - text);
    *out = a;
    return 0;
}

static const char *check_path(const char *path) {
    if (*path == '?')
        return "a query needs a path before it";
    if (strnlen(path, PATH_LEN_MAX + 1) > PATH_LEN_MAX)
        return "path too long";
    for (; *path != '\0'; path++) {
        if (*path == '#') /* RFC 6455 section 3 */
            return "a fragment makes no sense here";
        if ((unsigned char)*path <= ' ' || *path == 0x7f)
            return "space or control character in the path";
    }
    return NULL;
}

int wst__url_parse(wst__url_t *out, const char *url, const char **why) {
    static const char default_path[] = WST__AGENTS_PATH;
    wst__url_t u = {.tls = has_scheme(url, "wss://")};
    if (!u.tls && !has_scheme(url, "ws://")) {
        *why = "not a ws:// or wss:// URL";
        return WST_EINVAL;
    }
    url += strlen(u.tls ? "wss://" : "ws://");
    u.authority = (wst_str_t){url, strcspn(url, "/?#")};
    const char *path = url + u.authority.len;
    wst_authority_t a;
    if (wst__url_authority(&a, u.authority, u.tls ? 443 : 80, why) != 0)
        return WST_EINVAL;
    u.host = a.host;
    u.port = a.port;
    const char *wrong = check_path(path);
    if (wrong != NULL) {
        *why = wrong;
        return WST_EINVAL;
    }
    if (*path == '\0')
        path = default_path;
    u.path = (wst_str_t){path, strlen(path)};
    *out = u;
    return 0;
}
