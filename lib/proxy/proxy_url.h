/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_PROXY_URL_H
#define WST_LIB_PROXY_URL_H
/* A proxy's URL: [scheme://][user[:password]@]host[:port][/]. */
#include "url.h"

enum { WST__PROXY_HOST_MAX = 256, WST__PROXY_CREDENTIAL_MAX = 256 }; /* with terminator */

typedef enum wst__proxy_kind {
    WST__PROXY_HTTP,
    WST__PROXY_HTTPS,
    WST__PROXY_SOCKS5
} wst__proxy_kind_t;

typedef struct wst__proxy_url {
    wst__proxy_kind_t kind;
    char host[WST__PROXY_HOST_MAX]; /* without brackets */
    uint16_t port;
    char name[WST__PROXY_HOST_MAX + 8]; /* "host:port", for people */
    bool has_credentials;
    char user[WST__PROXY_CREDENTIAL_MAX], password[WST__PROXY_CREDENTIAL_MAX];
} wst__proxy_url_t;

/*
 * Parses a proxy's URL. `credentials`, "user:password" unencoded, replace those in the URL; NULL:
 * none. 0 or WST_EINVAL (*why is a text for people, without secrets); wipe *out after use.
 */
int wst__proxy_url_parse(wst__proxy_url_t *out, const char *url, const char *credentials,
                         const char **why);

#endif
