/* SPDX-License-Identifier: MIT */
#include "url.h"

#include <string.h>
#include <wstunnel/error.h>

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

int wst__url_parse(wst__url_t *out, const char *url, const char **why) {
    static const char scheme[] = "ws://", fallback_path[] = "/websocket";
    wst__url_t u = {.port = 80};
    if (strncmp(url, scheme, sizeof(scheme) - 1) != 0) {
        *why = strncmp(url, "wss://", 6) == 0 ? "wss:// is not supported" : "not a ws:// URL";
        return WST_EINVAL;
    }
    url += sizeof(scheme) - 1;
    u.authority = (wst_str_t){url, strcspn(url, "/?#")};
    const char *path = url + u.authority.len;
    if (*path == '#' || *path == '?' || strchr(path, '#') != NULL) {
        *why = "a path must come before a query, and no fragment";
        return WST_EINVAL;
    }
    u.path = *path != '\0' ? (wst_str_t){path, strlen(path)}
                           : (wst_str_t){fallback_path, sizeof(fallback_path) - 1};
    /* The parser of authorities wants a port. */
    char text[300];
    bool port_given = has_port(u.authority);
    if (u.authority.len > sizeof(text) - 4) {
        *why = "host too long";
        return WST_EINVAL;
    }
    memcpy(text, u.authority.ptr, u.authority.len);
    memcpy(text + u.authority.len, ":80", 3);
    wst_authority_t a;
    if (wst_parse_authority(&a, (wst_str_t){text, u.authority.len + (port_given ? 0 : 3)}, why) !=
        0)
        return WST_EINVAL;
    u.host = (wst_str_t){u.authority.ptr + (a.host.ptr - text), a.host.len};
    u.port = a.port;
    *out = u;
    return 0;
}
