/* SPDX-License-Identifier: MIT */
#ifndef TEST_FORWARD_WORLD_H
#define TEST_FORWARD_WORLD_H
/*
 * Forwarded requests in the world of server_world.h: a client that speaks raw bytes, and an agent
 * that plays the origins. In expected texts '@' stands for the server's name in Via.
 */
#include "server_world.h"

/* What a request for "http://site/x" without fields becomes, and the answer below to that. */
#define FORWARD_GET "GET http://site/x HTTP/1.1\r\nHost: site\r\n\r\n"
#define FORWARD_GOT "GET /x HTTP/1.1\r\nHost: site\r\nVia: 1.1 @\r\nConnection: keep-alive\r\n\r\n"
#define FORWARD_OK  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define FORWARD_OK_SENT                                                                            \
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nVia: 1.1 @\r\nConnection: keep-alive\r\n\r\nok"

typedef struct forward {
    server_world_t w;
    server_agent_t a;
    server_client_t c;
} forward_t;

/* A server with an agent "one" and a client. */
void forward_open(forward_t *f);
/* The same in two steps: options and policies can be set in between. */
void forward_init(forward_t *f);
void forward_start(forward_t *f);
void forward_close(forward_t *f); /* the client if it is still there, the agent, the server */

/* A part of the answer or the request; nothing else may come before it. */
void forward_expect(forward_t *f, const char *text);
void forward_expect_end(forward_t *f);   /* the client's connection: nothing more, FIN */
void forward_expect_reset(forward_t *f); /* RST */
void forward_asked(forward_t *f, const char *text);

/* What the origin does. */
void forward_reply(forward_t *f, const char *text);
void forward_end(forward_t *f);
void forward_reset(forward_t *f);

/* GET and OK on a new connection, which is then kept on both sides. */
void forward_get(forward_t *f);

/* The whole refusal. `detail`: "" if there is none. */
void forward_expect_refusal(forward_t *f, int status, const char *reason, const char *error,
                            const char *detail);

#endif
