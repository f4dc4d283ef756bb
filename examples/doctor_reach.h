/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_DOCTOR_REACH_H
#define EXAMPLES_DOCTOR_REACH_H
/* How a diagnosis reaches a host: look-up, TCP, a proxy on the way, TLS. */
#include "doctor.h"

enum { DOCTOR_HOST_MAX = 256, DOCTOR_SCHEMES_MAX = 128 };

/* Where a URL leads. */
typedef struct doctor_place {
    char host[DOCTOR_HOST_MAX]; /* without brackets */
    uint16_t port;
    bool tls;
    char authority[DOCTOR_HOST_MAX + 8]; /* host and port, as written */
    const char *path;                    /* of the URL, with its query; "": none */
    char where[DOCTOR_TARGET_MAX];       /* the URL for people: no user information, no query */
} doctor_place_t;

/* Takes a URL apart: ws, wss, http, https, socks5, socks5h; without a scheme it is http. User
 * information is skipped. `why`: the fault. */
bool doctor_place_parse(doctor_place_t *out, const char *url, const char **why);

/* The steps "name" and "tcp". The connection; NULL: a step has failed. `proxy_hint` is the advice
 * if nothing answers, since a firewall may let only a proxy out; NULL: none. */
wst_stream_t *doctor_connect(doctor_t *d, const doctor_place_t *place, const char *proxy_hint);

/* What came of a dial through a proxy. */
typedef struct doctor_proxied {
    int status, http_status;
    wst_stream_t *stream;             /* NULL: an error */
    char schemes[DOCTOR_SCHEMES_MAX]; /* of the authentication that the proxy asks for; "": none */
    char detail[DOCTOR_TEXT_MAX];     /* of an error */
} doctor_proxied_t;

/* Connects through a proxy, without a step. `proxy`: the options but for on_challenge. */
void doctor_proxy_dial(doctor_t *d, doctor_proxied_t *out, const wst_proxy_options_t *proxy,
                       const char *host, uint16_t port);

/* What to do about a proxy that has refused; NULL: its text says enough. */
const char *doctor_proxy_advice(const doctor_proxied_t *proxied, const char *credentials_hint);

/* What a step "tls" needs. */
typedef struct doctor_tls {
    wst_tls_config_t *config;
    const char *server_name, *sni; /* sni NULL: as server_name */
    bool insecure;                 /* `config` does not verify */
    const char *(*advice)(int error, const char *detail);
    const char *gap_advice; /* if the issuer of a certificate is neither sent nor trusted */
} doctor_tls_t;

/* The step "tls", with all certificates that the peer sends: takes the transport. The stream over
 * it; NULL: the step has failed. */
wst_stream_t *doctor_secure(doctor_t *d, wst_stream_t *transport, const doctor_tls_t *tls);

#endif
