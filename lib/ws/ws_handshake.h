/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_WS_HANDSHAKE_H
#define WST_LIB_WS_HANDSHAKE_H
/* The WebSocket opening handshake (RFC 6455 section 4) over parsed HTTP heads. No I/O. */
#include <wstunnel/http.h>

enum { WST__WS_KEY_LEN = 24, WST__WS_ACCEPT_LEN = 28 };

/* The Sec-WebSocket-Key for 16 random bytes; terminated. */
void wst__ws_key(char key[WST__WS_KEY_LEN + 1], const uint8_t random[16]);

/* The Sec-WebSocket-Accept that answers a key; terminated. 0 or a negative error. */
int wst__ws_accept(char accept[WST__WS_ACCEPT_LEN + 1], wst_str_t key);

/* Whether the request asks for a WebSocket at all (GET with Upgrade: websocket). */
bool wst__ws_is_upgrade(const wst_http_head_t *request);

/*
 * Checks a client's upgrade request (RFC 6455 section 4.2.1) and writes the accept value.
 * 0, or WST_EHANDSHAKE with the HTTP status to answer with (400, 405, 426: version not 13, 500) in
 * *http_status and a text for people in *why. Ignores offers of extensions.
 */
int wst__ws_check_request(const wst_http_head_t *request, char accept[WST__WS_ACCEPT_LEN + 1],
                          int *http_status, const char **why);

/*
 * Checks the server's answer to `key` (section 4.1): 101, Upgrade, Connection, accept value, no
 * extension, and a subprotocol (Sec-WebSocket-Protocol, absent = empty) among those `offered` (a
 * NULL-terminated array; NULL: none offered, so none is allowed). 0, or WST_EHANDSHAKE (*why), or
 * WST_EREJECTED for any status but 101. *protocol is the chosen subprotocol, or empty.
 */
int wst__ws_check_response(const wst_http_head_t *response, const char *key,
                           const char *const *offered, wst_str_t *protocol, const char **why);

/*
 * The first of our `supported` protocols (NULL-terminated, the preferred first) that the request
 * offers in its Sec-WebSocket-Protocol fields, or NULL.
 */
const char *wst__ws_choose_protocol(const wst_http_head_t *request, const char *const *supported);

#endif
