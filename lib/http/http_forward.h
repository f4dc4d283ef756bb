/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_HTTP_FORWARD_H
#define WST_LIB_HTTP_FORWARD_H
/*
 * Forwarding HTTP as a proxy (RFC 9110 section 7.6, RFC 9112 section 3.2): writes the head of a
 * request for the origin and those of its responses for the client, and tells what is to be done
 * with their bodies. No I/O; bodies are passed on as they are (http_body.h), with two exceptions:
 * a chunked one cannot go to a client of HTTP/1.0, and some trailer fields are for nobody.
 *
 *   wst__forward_check        may it be forwarded?
 *   wst__forward_request      its head; then the body by wst_http_body_request
 *   wst__forward_response     for each head that comes back: some interim ones perhaps, then the
 *                             final one, with its body
 */
#include <wstunnel/http_body.h>

enum {
    WST__PSEUDONYM_MAX = 64,
    WST__INTERIM_MAX = 100, /* responses before the final one */
    /* A head that was written is at most this much longer than the one that was read. */
    WST__FORWARD_EXTRA = 1024
};

/* A request and how to forward it. All that is pointed to stays until its final response. */
typedef struct wst__forward {
    const wst_http_head_t *request;
    const wst_http_target_t *target; /* the request's, of absolute form */
    const char *pseudonym; /* what this proxy, and no other, is called in Via: a token of at most
                              WST__PSEUDONYM_MAX bytes */
    bool keep_client;      /* the client's connection may be used again, if its head agrees */
    bool keep_origin;      /* ask the origin to keep its connection */
    unsigned interims;     /* responses so far; wst__forward_response counts */
} wst__forward_t;

typedef enum wst__forward_verdict {
    WST__FORWARD_YES,
    WST__FORWARD_TLS,    /* https or wss: the client must ask for a tunnel by CONNECT */
    WST__FORWARD_SCHEME, /* neither those nor http or ws */
    WST__FORWARD_LOOP,   /* it has been here before (RFC 9209: proxy_loop_detected) */
    WST__FORWARD_LAST,   /* Max-Forwards is 0: the answer is ours (RFC 9110 section 7.6.2) */
    WST__FORWARD_CODING  /* transfer codings other than chunked alone: 501, RFC 9112 section 6.1 */
} wst__forward_verdict_t;

wst__forward_verdict_t wst__forward_check(const wst__forward_t *f);

/*
 * Whether the client asks for another protocol on the connection and that is passed on. Not from
 * HTTP/1.0, and not h2c, which would speak HTTP past us and is obsolete (RFC 9113 section 3.1).
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
    bool keep_client; /* the head said that the client's connection stays: true only if the end of
                         the body can be told without closing */
    bool keep_origin; /* the origin's connection can be used again once the body is complete */
    wst_http_body_t body;
    const char *error; /* after WST_EHTTP: what is wrong, static text for people */
} wst__reply_t;

/*
 * Writes the head for the client of a response from the origin. Returns its length; 0: there is
 * nothing to send, for a client of HTTP/1.0 knows no interim response (RFC 9110 section 15.2);
 * WST_EHEADBIG; WST_EINVAL (the pseudonym); WST_EHTTP: it cannot be forwarded, an upgrade that was
 * not asked for, transfer codings other than chunked alone, or more than WST__INTERIM_MAX interim
 * responses.
 */
int wst__forward_response(wst__reply_t *reply, wst__forward_t *f, const wst_http_head_t *response,
                          char *buf, size_t cap);

#endif
