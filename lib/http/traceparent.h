/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TRACEPARENT_H
#define WST_LIB_TRACEPARENT_H
/* The field traceparent of a request (W3C Trace Context): which trace it belongs to. */
#include <wstunnel/http.h>

typedef struct wst__trace {
    char trace_id[33], span_id[17]; /* in lower-case hexadecimal; the span is the client's */
} wst__trace_t;

/*
 * Parses the value of a traceparent. Of a version that is not known yet only what it must have in
 * common with version 00 is looked at. False: it is malformed, or its version, trace or span is one
 * that nothing can have.
 */
bool wst__traceparent_parse(wst__trace_t *out, wst_str_t value);

/* The trace of a request. False: it has no traceparent, a malformed one, or several, of which none
 * is to be preferred. */
bool wst__trace_of_request(wst__trace_t *out, const wst_http_head_t *head);

#endif
