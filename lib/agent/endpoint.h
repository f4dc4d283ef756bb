/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_ENDPOINT_H
#define WST_LIB_ENDPOINT_H
/* An endpoint: the address of a server, and the way to it (TLS, a proxy). */
#include "ctx.h"
#include "url.h"

#include <wstunnel/proxy.h>
#include <wstunnel/tls.h>

/* The endpoint owns all its texts. */
typedef struct wst__endpoint {
    wst_ctx_t *ctx;
    char *authority; /* host and port as written, for people */
    char *host;
    uint16_t port;
    bool secure;               /* wss:// */
    wst_tls_config_t *tls;     /* NULL: not secure */
    char *sni;                 /* NULL: the host */
    wst_proxy_options_t proxy; /* `url` NULL: no proxy */
} wst__endpoint_t;

typedef struct wst__endpoint_options {
    const wst__url_t *url;
    wst_tls_config_t *tls;            /* NULL: the system's trust store */
    const char *sni;                  /* or NULL */
    const wst_proxy_options_t *proxy; /* or NULL */
} wst__endpoint_options_t;

/* Copies and checks the options; reads the trust store once, for all attempts. 0, or an error,
 * logged unless it is WST_ENOMEM or that of a proxy struct without its size. Free the endpoint
 * after an error, too. */
int wst__endpoint_init(wst__endpoint_t *endpoint, wst_ctx_t *ctx,
                       const wst__endpoint_options_t *options);

/* Frees the texts and configurations. A zeroed endpoint is allowed. */
void wst__endpoint_free(wst__endpoint_t *endpoint);

/* As wst_agent_set_tls. */
int wst__endpoint_set_tls(wst__endpoint_t *endpoint, wst_tls_config_t *tls);

#endif
