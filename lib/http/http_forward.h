/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_HTTP_FORWARD_H
#define WST_LIB_HTTP_FORWARD_H
/*
 * Forwarding HTTP as a proxy (RFC 9110 section 7.6, RFC 9112 section 3.2): writes the head of a
 * request for the origin and those of its responses for the client, and tells how to handle their
 * bodies. No I/O. Bodies are passed on unchanged (http_body.h), with three exceptions: a client of
 * HTTP/1.0 cannot take a chunked body; a body that ends with the origin's connection is sent in
 * chunks, so that a cut anywhere on the way is seen; and some trailer fields are dropped.
 *
 *   wst__forward_check        may the request be forwarded?
 *   wst__forward_request      its head; then the body by wst_http_body_request
 *   wst__forward_response     for each head that comes back: any interim ones, then the final one,
 *                             with its body
 */
#include <wstunnel/http_body.h>

enum {
    WST__PSEUDONYM_MAX = 64,
    WST__INTERIM_MAX = 100, /* responses before the final one */
    /* A head written is at most this many bytes longer than the head read. */
    WST__FORWARD_EXTRA = 1024
};

/* A request and how to forward it. Everything pointed to must stay valid until
 * the final response. */
typedef struct wst__forward {
    const wst_http_head_t *request;
    const wst_http_target_t *target; /* the request's, of absolute form */
    const char *pseudonym; /* this proxy's unique name in Via: a token of at most WST__PSEUDONYM_MAX
                              bytes */
    const char *date;      /* for a response without Date; NULL or "": there is no clock */
    bool keep_client;      /* the client's connection may be kept if the request allows it */
    bool keep_origin;      /* ask the origin to keep its connection */
    unsigned interims;     /* responses so far; wst__forward_response counts */
} wst__forward_t;

typedef enum wst__forward_verdict {
    WST__FORWARD_YES,
    WST__FORWARD_TLS,    /* https or wss: the client must ask for a tunnel by CONNECT */
    WST__FORWARD_SCHEME, /* unknown: not http or ws either */
    WST__FORWARD_LOOP,   /* the request has passed here before (RFC 9209: proxy_loop_detected) */
    WST__FORWARD_LAST,   /* Max-Forwards is 0: this proxy answers (RFC 9110 section 7.6.2) */
    WST__FORWARD_CODING  /* transfer codings other than chunked alone: 501, RFC 9112 section 6.1 */
} wst__forward_verdict_t;

wst__forward_verdict_t wst__forward_check(const wst__forward_t *f);

/*
 * Whether the client asks for an upgrade that is passed on. Not from HTTP/1.0, and not to h2c,
 * which would speak HTTP past us and is obsolete (RFC 9113 section 3.1).
 */
bool wst__forward_upgrades(const wst__forward_t *f);

/*
 * Writes the head for the origin: origin-form target, Host as in the target, without the fields
 * that concern our connection with the client. Returns its length, WST_EHEADBIG, or WST_EINVAL
 * (the pseudonym).
 */
int wst__forward_request(const wst__forward_t *f, char *buf, size_t cap);

typedef struct wst__reply {
    bool interim;     /* 1xx but 101: another head follows */
    bool upgrade;     /* 101: both connections now speak another protocol, a tunnel */
    bool decode;      /* send the payload only, and close: the client does not know chunks */
    bool encode;      /* send the payload in chunks, and their end when the origin has ended */
    bool keep_client; /* the head written keeps the client's connection: only if the body has an
                         end other than the connection's */
    bool keep_origin; /* the origin's connection can be used again once the body is complete */
    wst_http_body_t body;
    const char *error; /* after WST_EHTTP: a static text for people */
} wst__reply_t;

/*
 * Writes the head of an origin's response for the client. Returns its length; 0: nothing to send,
 * as a client of HTTP/1.0 knows no interim response (RFC 9110 section 15.2); WST_EHEADBIG;
 * WST_EINVAL (the pseudonym); WST_EHTTP: the response has an upgrade that the client did not ask
 * for, transfer codings other than chunked alone, or is beyond WST__INTERIM_MAX interim responses.
 */
int wst__forward_response(wst__reply_t *reply, wst__forward_t *f, const wst_http_head_t *response,
                          char *buf, size_t cap);

#endif
