/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_SOCKS5_H
#define WST_LIB_SOCKS5_H
/*
 * The client's side of SOCKS5 (RFC 1928) with user name and password (RFC 1929): bytes in, bytes
 * out. Write what is in `out`, feed what comes in until something else than WST__SOCKS5_READ comes
 * of it.
 */
#include <wstunnel/common.h>

enum { WST__SOCKS5_MESSAGE_MAX = 516 }; /* the longest one: user and password of 255 bytes each */

typedef enum wst__socks5_state {
    WST__SOCKS5_METHOD,
    WST__SOCKS5_LOGIN,
    WST__SOCKS5_REPLY,
    WST__SOCKS5_DONE
} wst__socks5_state_t; /* what is waited for */

typedef struct wst__socks5 {
    const char *host, *user, *password; /* borrowed; user NULL: none */
    uint16_t port;
    wst__socks5_state_t state;
    uint8_t out[WST__SOCKS5_MESSAGE_MAX]; /* to be written, `out_len` bytes */
    size_t out_len;
    uint8_t in[WST__SOCKS5_MESSAGE_MAX]; /* the message that comes in, so far */
    size_t in_len;
    char why[96]; /* after an error: for people, goes behind "the proxy" */
} wst__socks5_t;

typedef enum wst__socks5_step {
    WST__SOCKS5_READ,  /* more bytes are wanted */
    WST__SOCKS5_WRITE, /* `out` is to be written first */
    WST__SOCKS5_OPEN   /* what follows is of the destination */
} wst__socks5_step_t;

/* Starts: `out` is to be written. Host: a name or an IP literal, at most 255 bytes; user and
 * password: 1 to 255. */
void wst__socks5_init(wst__socks5_t *s, const char *host, uint16_t port, const char *user,
                      const char *password);

/*
 * Takes the bytes of one message at most; *used tells how many. A step, or WST_EPROXY (it refused),
 * WST_EPROXYAUTH, WST_EPROTO: `why` tells.
 */
int wst__socks5_feed(wst__socks5_t *s, const uint8_t *data, size_t len, size_t *used);

#endif
