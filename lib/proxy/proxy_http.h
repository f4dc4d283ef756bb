/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_PROXY_HTTP_H
#define WST_LIB_PROXY_HTTP_H
/*
 * CONNECT through an HTTP proxy, leg by leg (RFC 9110 section 9.3.6): writes the requests, reads
 * the answers and says what to do next. No sockets; random bytes are passed in.
 *
 *     init -> request -> feed ... -> WST__PROXY_OPEN, or a negative error
 *                ^         | SEND (on this connection), RECONNECT (on another one)
 *                +---------+ CHALLENGED -> answer -> SEND, RECONNECT or an error
 */
#include "http_offer.h"
#include "mem.h"

#include <wstunnel/http_body.h>

enum {
    WST__PROXY_REQUEST_MAX = 16384,
    WST__PROXY_BODY_MAX = 65536, /* of a 407; beyond, a new connection is cheaper */
    WST__PROXY_REQUESTS_MAX = 8,
    WST__PROXY_INTERIM_MAX = 8, /* answers 1xx per request */
    WST__PROXY_WHY_MAX = 480
};

/* The destination and the credentials; all borrowed. */
typedef struct wst__proxy_http_options {
    const char *target;          /* "host:port" */
    const char *user, *password; /* user NULL: none */
    const char *fields;          /* NULL, or complete lines for each request */
    bool asks;                   /* a challenge leads to WST__PROXY_CHALLENGED first */
} wst__proxy_http_options_t;

typedef enum wst__proxy_step {
    WST__PROXY_READ,       /* needs more bytes */
    WST__PROXY_OPEN,       /* further bytes are the destination's */
    WST__PROXY_CHALLENGED, /* `head` is a 407 */
    WST__PROXY_SEND,       /* send the next request on this connection */
    WST__PROXY_RECONNECT   /* send the next request on a new connection */
} wst__proxy_step_t;

typedef struct wst__proxy_http {
    const wst_allocator_t *allocator;
    wst__proxy_http_options_t o;
    unsigned requests, interim;
    bool kept;               /* this connection has carried an answer before */
    char *extra;             /* the embedder's fields for the next request */
    bool tried, tried_again; /* our own credentials; the same with a fresh nonce */

    char *buf; /* the head, maybe still incomplete */
    size_t len, cap, scanned;
    wst_http_head_t head;
    wst_http_body_t body;
    bool in_body;
    bool reusable; /* the connection, after this answer */
    size_t eaten;
    wst__offer_t offer; /* of the last 407 */

    int http_status;
    char quote[160]; /* first line of a refusal's body */
    size_t quote_len;
    char why[WST__PROXY_WHY_MAX]; /* after an error: for people, to follow "the proxy" */
} wst__proxy_http_t;

/* 0 if the fields can be sent or are NULL; else WST_EINVAL, with a text for people in *why. */
int wst__proxy_http_check_fields(const char *fields, const char **why);

void wst__proxy_http_init(wst__proxy_http_t *p, const wst_allocator_t *allocator,
                          const wst__proxy_http_options_t *options);
void wst__proxy_http_free(wst__proxy_http_t *p);

/* Writes the next request; `random` is fresh. Returns its length; WST_EINVAL (fields that are not
 * complete lines, credentials that cannot be sent), WST_EHEADBIG, WST_ENOMEM, WST_EINTERNAL. */
int wst__proxy_http_request(wst__proxy_http_t *p, char out[WST__PROXY_REQUEST_MAX],
                            const uint8_t random[16]);

/*
 * Takes *used of the bytes received. Returns a step, or WST_EPROXY, WST_EPROXYAUTH, WST_EHTTP,
 * WST_EHEADBIG, WST_ENOMEM, with a text in `why`.
 */
int wst__proxy_http_feed(wst__proxy_http_t *p, const char *data, size_t len, size_t *used);

/* The connection has ended: orderly (0) or by this error, which is returned unless there is a next
 * step or a better error. */
int wst__proxy_http_end(wst__proxy_http_t *p, int error);

/* The embedder's answer to a challenge: fields (copied), or NULL for the built-in schemes. */
int wst__proxy_http_answer(wst__proxy_http_t *p, const char *fields);

#endif
