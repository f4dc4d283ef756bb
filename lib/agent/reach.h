/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_REACH_H
#define WST_LIB_REACH_H
/* Reaching an endpoint: a connection to it, through its proxy if it has one, then TLS if it is
 * secure. */
#include "endpoint.h"

#include <wstunnel/stream.h>

typedef struct wst__reach wst__reach_t;

/* Why it failed. Valid during the call. */
typedef struct wst__reach_failure {
    int error;          /* of the dial, through a proxy or not, or of TLS; WST_ENOMEM */
    int http_status;    /* what a proxy answered instead of 2xx; or 0 */
    const char *detail; /* for people; may be empty */
} wst__reach_failure_t;

/* The outcome: a stream, paused, which the callee owns; or NULL, and why. */
typedef void (*wst__reach_cb)(wst_stream_t *stream, const wst__reach_failure_t *failure,
                              void *user_data);

/*
 * Starts. The endpoint is borrowed until the outcome; its TLS configuration is looked at when that
 * step begins. `timeout_ms` is that of each step. 0 and later the callback, once and never from
 * inside this call; or an error of wst_dial or wst_proxy_dial.
 */
int wst__reach(wst__reach_t **out, const wst__endpoint_t *endpoint, uint64_t timeout_ms,
               wst__reach_cb callback, void *user_data);

/* Gives up: the callback will not run. Only before it has run. */
void wst__reach_cancel(wst__reach_t *reach);

#endif
