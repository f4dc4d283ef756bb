/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_SOCKS5_H
#define WST_LIB_SOCKS5_H
/*
 * The client's side of SOCKS5 (RFC 1928) with user name and password (RFC 1929): bytes in, bytes
 * out. Write `out`, then feed the bytes received until the result is not WST__SOCKS5_READ.
 */
#include <wstunnel/common.h>

enum { WST__SOCKS5_MESSAGE_MAX = 516 }; /* a user and a password of 255 bytes each */

typedef enum wst__socks5_state {
    WST__SOCKS5_METHOD,
    WST__SOCKS5_LOGIN,
    WST__SOCKS5_REPLY,
    WST__SOCKS5_DONE
} wst__socks5_state_t; /* the message expected next */

typedef struct wst__socks5 {
    const char *host, *user, *password; /* borrowed; user NULL: none */
    uint16_t port;
    wst__socks5_state_t state;
    uint8_t out[WST__SOCKS5_MESSAGE_MAX]; /* `out_len` bytes to write */
    size_t out_len;
    uint8_t in[WST__SOCKS5_MESSAGE_MAX]; /* the message received so far */
    size_t in_len;
    char why[96]; /* after an error: for people, to follow "the proxy" */
} wst__socks5_t;

typedef enum wst__socks5_step {
    WST__SOCKS5_READ,  /* needs more bytes */
    WST__SOCKS5_WRITE, /* write `out` first */
    WST__SOCKS5_OPEN   /* further bytes are the destination's */
} wst__socks5_step_t;

/* Starts: write `out` first. Host: a name or an IP literal, at most 255 bytes; user and
 * password: 1 to 255. */
void wst__socks5_init(wst__socks5_t *s, const char *host, uint16_t port, const char *user,
                      const char *password);

/*
 * Takes *used bytes, of one message at most. Returns a step, or WST_EPROXY (refused),
 * WST_EPROXYAUTH or WST_EPROTO, with a text in `why`.
 */
int wst__socks5_feed(wst__socks5_t *s, const uint8_t *data, size_t len, size_t *used);

#endif
