/* SPDX-License-Identifier: MIT */
#ifndef TEST_SOCKS_WORLD_H
#define TEST_SOCKS_WORLD_H
/* A server with an address for SOCKS alone, an agent, and clients that speak SOCKS5 in raw bytes.
 */
#include "server_world.h"

#define SOCKS_BYTES(text) text, sizeof(text) - 1
#define SOCKS_NO_LOGIN    "\5\1\0"
#define SOCKS_WITH_LOGIN  "\5\1\2"
#define SOCKS_EITHER      "\5\2\0\2"
#define SOCKS_ALICE       "\1\5alice\6secret"
#define SOCKS_WRONG       "\1\5alice\5guess"
#define SOCKS_REQUEST     "\5\1\0\3\4host\0\26"
#define SOCKS_REPLY(code) "\5" code "\0\1\0\0\0\0\0\0"
#define SOCKS_CONNECTED   SOCKS_REPLY("\0")

typedef struct socks_world {
    server_world_t w; /* the first member: the context's callbacks get it */
    server_agent_t a;
    char address[64]; /* for SOCKS alone */
    char log[4096];
} socks_world_t;

/* Not started, so that what is asked can be set. */
void socks_world_init(socks_world_t *s);
void socks_world_start(socks_world_t *s);
void socks_world_open(socks_world_t *s); /* both */
void socks_world_free(socks_world_t *s);

/* Listens on one more address. */
const char *socks_world_listen(socks_world_t *s, unsigned roles);

/* A client of the address for SOCKS. */
void socks_world_client(socks_world_t *s, server_client_t *c);

/* The client reads these bytes and then the end. */
void socks_world_expect_last(server_client_t *c, const char *bytes, size_t len);

/* A conversation: what a new client says at once, and all that it is told. */
void socks_world_converse(socks_world_t *s, const char *says, size_t says_len, const char *told,
                          size_t told_len);

void socks_world_assert_logged(const socks_world_t *s, const char *text);

#endif
