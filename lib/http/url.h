/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_URL_H
#define WST_LIB_URL_H
/* A server's URL: ws://host[:port][/path], wss:// with TLS. */
#include <wstunnel/http.h>

enum { WST__AUTHORITY_MAX = 300 }; /* longer than any valid host and port */

typedef struct wst__url {
    wst_str_t host;      /* without brackets */
    wst_str_t authority; /* as written: the Host field */
    wst_str_t path;      /* with its query; "/websocket" if absent */
    uint16_t port;       /* 80 if absent, with TLS 443 */
    bool tls;            /* wss:// */
} wst__url_t;

/* As wst_parse_authority, but the port may be missing, and IPv6 needs brackets. 0 or WST_EINVAL
 * (*why is a text for people). */
int wst__url_authority(wst_authority_t *out, wst_str_t authority, uint16_t default_port,
                       const char **why);

/* Parses a URL; the result points into it. All parts may be written to a request's head. 0 or
 * WST_EINVAL (*why is a text for people). */
int wst__url_parse(wst__url_t *out, const char *url, const char **why);

#endif
