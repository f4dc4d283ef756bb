/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_FORWARDED_H
#define WST_LIB_FORWARDED_H
/* What proxies say about a request's client: Forwarded (RFC 7239) and X-Forwarded-For. */
#include "trusted.h"

#include <wstunnel/http.h>

/* The client that trusted proxies name. */
typedef struct wst__forwarded_client {
    wst__ip_t ip;
    uint16_t port; /* 0: not told */
} wst__forwarded_client_t;

typedef enum wst__forwarded {
    WST__FORWARDED_NONE,         /* no client is named; the connection's own address counts */
    WST__FORWARDED_FOUND,        /* *out is filled in */
    WST__FORWARDED_CONTRADICTORY /* the two fields differ; as NONE, but somebody forges one of them
                                  */
} wst__forwarded_t;

/* Whether the head has Forwarded or a field whose name begins with X-Forwarded-: the request came
 * by a proxy. */
bool wst__forwarded_any(const wst_http_head_t *head);

/*
 * Finds the client of a request that a trusted peer has sent: from the right, since each proxy
 * appends the address that it has seen, the first hop that is not trusted. If all are trusted, the
 * leftmost one. What stands before a hop that tells no address was written by nobody known, and
 * does not count.
 */
wst__forwarded_t wst__forwarded_client(wst__forwarded_client_t *out, const wst_http_head_t *head,
                                       const wst__trusted_t *trusted);

#endif
