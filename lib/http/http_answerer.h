/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_HTTP_ANSWERER_H
#define WST_LIB_HTTP_ANSWERER_H
/* Who has answered a request: between two sides there may be proxies and front ends, which name
 * themselves in their answers. */
#include <wstunnel/http.h>

enum { WST__ANSWERER_MAX = 144 };

/*
 * Writes " (Server: nginx; Via: 1.1 gate)" for people, of those of the two fields (RFC 9110
 * sections 10.2.4 and 7.6.3) that the response has; "" if it has neither. Each value is cut at 60
 * bytes; bytes that are not printable ASCII become '?'.
 */
void wst__http_answerer(char out[WST__ANSWERER_MAX], const wst_http_head_t *response);

#endif
