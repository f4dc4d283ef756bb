/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_STATUS_CLIENT_H
#define EXAMPLES_STATUS_CLIENT_H
/*
 * Asks a server's address for operators for /status.json, again and again, on one connection as
 * long as that lasts: a server that drains accepts no other one. HTTP/1.1, with or without TLS.
 */
#include <uv.h>
#include <wstunnel/wstunnel.h>

enum {
    STATUS_ANSWER_MAX = 64 << 20, /* bytes of an answer */
    STATUS_SILENCE_MS = 15000     /* without a byte; the dial and the handshake have 10 s each */
};

/* Where to ask. Strings are borrowed until the client is closed. */
typedef struct status_place {
    const char *host; /* a name or an IP address without brackets */
    uint16_t port;
    const char *path;        /* a Unix socket; NULL: host and port */
    const char *server_name; /* in the certificate; NULL: whatever the configuration for TLS says,
                                and the server's first certificate */
    const char *user, *password; /* of an operator; NULL: none */
} status_place_t;

typedef struct status_client status_client_t;

/* What has come of a question. */
typedef struct status_client_callbacks {
    /* The body of an answer 200, during the call. */
    void (*on_answer)(const char *text, size_t len, void *user_data);
    /* There is none, for that reason, for people. `refused`: asking again will not help. */
    void (*on_failure)(const char *why, bool refused, void *user_data);
    void *user_data;
} status_client_callbacks_t;

/* Makes a client. `tls`: of a client, referenced; NULL: none. 0 or an error. */
int status_client_new(status_client_t **out, wst_ctx_t *ctx, const status_place_t *place,
                      wst_tls_config_t *tls, const status_client_callbacks_t *callbacks);

/* Asks, unless a question is under way. One of the callbacks follows, at once if it cannot be sent.
 */
void status_client_ask(status_client_t *client);

/* Closes and frees it, later: the loop must run on. No callback follows. */
void status_client_close(status_client_t *client);

#endif
