/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_REACH_H
#define WST_LIB_REACH_H
/* Connects to an endpoint: dials it, through its proxy if it has one, then starts TLS if it is
 * secure. */
#include "endpoint.h"

#include <wstunnel/stream.h>

typedef struct wst__reach wst__reach_t;

/* Why an endpoint was not reached. Valid during the callback. */
typedef struct wst__reach_failure {
    int error;          /* of the dial, direct or by proxy, or of TLS; WST_ENOMEM */
    int http_status;    /* the proxy's, instead of 2xx; else 0 */
    const char *detail; /* for people; may be empty */
} wst__reach_failure_t;

/* The outcome: a paused stream, owned by the callee; or NULL and the failure. */
typedef void (*wst__reach_cb)(wst_stream_t *stream, const wst__reach_failure_t *failure,
                              void *user_data);

/*
 * Starts to connect. `address`: of the endpoint's host, to dial; NULL: any. The endpoint and the
 * address are borrowed until the outcome; the TLS configuration is read when the TLS step begins.
 * `timeout_ms` bounds each step. 0: the callback runs later, exactly once and never from inside
 * this call, unless cancelled; or an error of wst_dial or wst_proxy_dial.
 */
int wst__reach(wst__reach_t **out, const wst__endpoint_t *endpoint, const char *address,
               uint64_t timeout_ms, wst__reach_cb callback, void *user_data);

/* Cancels: the callback will not run. Only before it has run. */
void wst__reach_cancel(wst__reach_t *reach);

#endif
