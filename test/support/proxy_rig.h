/* SPDX-License-Identifier: MIT */
#ifndef TEST_PROXY_RIG_H
#define TEST_PROXY_RIG_H
/*
 * A proxy that does what it is told, over real sockets: for each message that comes in it has an
 * answer, and when it has said all it sends back what it gets, or joins the connection with another
 * one, as a proxy does. It has a context of its own, made of the C library's allocator.
 */
#include "env.h"

#include <wstunnel/dial.h>
#include <wstunnel/listener.h>
#include <wstunnel/pump.h>
#include <wstunnel/stream.h>
#include <wstunnel/tls.h>

enum { FAKE_PROXY_TURNS = 10, FAKE_PROXY_HEARD = 8192 };

/* What it does when a message is complete, and none is before. */
typedef struct fake_proxy_turn {
    size_t bytes; /* of the message; 0: up to an empty line */
    const char *says;
    size_t len;
    enum { PROXY_STAYS, PROXY_ENDS, PROXY_RESETS, PROXY_JOINS } then;
} fake_proxy_turn_t;

/* Answers to a head, and to so many bytes. */
#define PROXY_HEARS_HEAD(text)                                                                     \
    { 0, text, sizeof(text) - 1, PROXY_STAYS }
#define PROXY_HEARS(n, text)                                                                       \
    { n, text, sizeof(text) - 1, PROXY_STAYS }

typedef struct fake_proxy {
    wst_ctx_t *ctx;
    wst_listener_t *listener;
    char address[64];
    wst_tls_config_t *tls; /* NULL: speaks in clear */
    const char *relay;     /* "127.0.0.1:PORT" to join with; NULL: sends back */
    wst_dial_t *dial;
    wst_pump_t *pump; /* the last one */
    bool mute;        /* says nothing, no TLS either */
    wst_tls_handshake_t *handshake;
    fake_proxy_turn_t turns[FAKE_PROXY_TURNS]; /* the first with neither bytes nor text ends it */
    size_t turn;                               /* the next one; goes on over connections */
    char heard[FAKE_PROXY_HEARD];              /* of the last connection; terminated */
    size_t heard_len, message;                 /* where the message begins */
    wst_stream_t *stream;                      /* the last connection; NULL: it is over */
    size_t accepted, closed, ctx_closed;
} fake_proxy_t;

void fake_proxy_open(fake_proxy_t *proxy, test_env_t *env);
void fake_proxy_close(fake_proxy_t *proxy, test_env_t *env);

/* Breaks the last connection. */
void fake_proxy_reset(fake_proxy_t *proxy);

/* Says something unasked. */
void fake_proxy_say(fake_proxy_t *proxy, const char *text, size_t len);

#endif
