/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_URL_H
#define WST_LIB_URL_H
/* A server's URL: ws://host[:port][/path], wss:// with TLS. */
#include <wstunnel/http.h>

enum { WST__AUTHORITY_MAX = 300 }; /* more than the longest host and port take */

typedef struct wst__url {
    wst_str_t host;      /* without brackets */
    wst_str_t authority; /* as written: the Host field */
    wst_str_t path;      /* with its query; "/websocket" if there is none */
    uint16_t port;       /* 80 if there is none, with TLS 443 */
    bool tls;            /* wss:// */
} wst__url_t;

/* As wst_parse_authority, but the port may be missing, and IPv6 needs its brackets. 0 or WST_EINVAL
 * (*why tells people). */
int wst__url_authority(wst_authority_t *out, wst_str_t authority, uint16_t default_port,
                       const char **why);

/* Takes a URL apart; text points into it. Whatever it accepts can stand in a request's head. 0 or
 * WST_EINVAL (*why tells people). */
int wst__url_parse(wst__url_t *out, const char *url, const char **why);

#endif
