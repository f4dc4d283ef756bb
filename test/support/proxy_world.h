/* SPDX-License-Identifier: MIT */
#ifndef TEST_PROXY_WORLD_H
#define TEST_PROXY_WORLD_H
/*
 * Who dials "dest.test:443" through a fake proxy (proxy_rig.h), and what becomes of it. No callback
 * runs from inside a call, none after the end, and no text holds the password "s3cret".
 */
#include "proxy_rig.h"
#include "sockets.h"
#include "tls_setup.h"

#include <wstunnel/proxy.h>

#define PROXY_OK         "HTTP/1.1 200 Connection established\r\n\r\n"
#define PROXY_WANTED     "HTTP/1.1 407 Proxy Authentication Required\r\n"
#define PROXY_BASIC      "Proxy-Authenticate: Basic realm=\"x\"\r\n"
#define PROXY_NTLM       "Proxy-Authenticate: NTLM\r\n"
#define PROXY_EMPTY      "Content-Length: 0\r\n\r\n"
#define PROXY_SOCKS_OPEN "\5\0\0\1\177\0\0\1\0\7"

typedef enum proxy_answer {
    PROXY_ALLOW,
    PROXY_ALLOW_WITH,
    PROXY_DENY,
    PROXY_HOLD,
    PROXY_MISFIT
} proxy_answer_t;

typedef struct proxy_world {
    test_env_t env;
    fake_proxy_t proxy;
    tls_setup_t tls; /* with https:// */
    bool secure;
    const char *scheme; /* of the URL; with user information */
    const char *credentials, *fields;
    const char *host; /* NULL: dest.test */
    uint64_t timeout_ms;

    wst_proxy_dial_t *dial; /* NULL: over */
    sockets_owner_t owner;  /* of the tunnel */
    size_t done;
    int status, http_status;
    char detail[800];
    bool in_call;

    bool asks;
    proxy_answer_t answer;
    wst_request_t *question; /* held */
    size_t asked, gone;
    char question_text[200];
    bool cancel_when_asked;
} proxy_world_t;

/* With https:// the proxy has a certificate that the dial trusts. */
void proxy_world_open(proxy_world_t *w, const char *scheme);
void proxy_world_close(proxy_world_t *w);

int proxy_world_try(proxy_world_t *w);
void proxy_world_dial(proxy_world_t *w); /* must start */
void proxy_world_finish(proxy_world_t *w);
void proxy_world_cancel(proxy_world_t *w); /* if it is not over */

/* What the proxy has heard on its last connection must contain this. */
void proxy_world_heard(const proxy_world_t *w, const char *text);

/* The tunnel must be open, "early" come out of it, and then what is said into it. */
void proxy_world_use(proxy_world_t *w, const char *early);

void proxy_world_script(proxy_world_t *w, const fake_proxy_turn_t *turns, size_t count);

#define PROXY_SCRIPT(w, ...)                                                                       \
    proxy_world_script((w), (const fake_proxy_turn_t[]){__VA_ARGS__},                              \
                       sizeof((const fake_proxy_turn_t[]){__VA_ARGS__}) /                          \
                           sizeof(fake_proxy_turn_t))

#endif
