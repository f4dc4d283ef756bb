/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_SOCKS5_SERVER_H
#define WST_LIB_SOCKS5_SERVER_H
/*
 * The server's side of SOCKS5 (RFC 1928) with user name and password (RFC 1929). Bytes go in,
 * events come out; the answer to each event is a function that returns the bytes to write.
 *
 *     greeting --GREETED, _choose--> (login --CREDENTIALS, _login-->) request --REQUEST, _reply-->
 *
 * A client may send all of its messages at once: a message is read only after the one before has
 * been answered. SOCKS4 is recognised and refused.
 */
#include <wstunnel/auth.h>

enum {
    WST__SOCKS5_SERVER_IN_MAX = 513, /* the longest message: a login of 255 bytes each */
    WST__SOCKS5_SERVER_HOST_MAX = 255
};

/* The message received. */
typedef enum wst__socks5_event {
    WST__SOCKS5_MORE,    /* needs more bytes */
    WST__SOCKS5_GREETED, /* `offers_none`, `offers_login`: answer by wst__socks5_server_choose */
    WST__SOCKS5_CREDENTIALS, /* `login`: answer by wst__socks5_server_login */
    WST__SOCKS5_REQUEST      /* `destination`: answer by wst__socks5_server_reply */
} wst__socks5_event_t;

typedef enum wst__socks5_phase {
    WST__SOCKS5_IN_GREETING,
    WST__SOCKS5_IN_LOGIN,
    WST__SOCKS5_IN_REQUEST,
    WST__SOCKS5_UNANSWERED, /* an event has not been answered yet */
    WST__SOCKS5_OVER
} wst__socks5_phase_t;

typedef struct wst__socks5_server {
    wst__socks5_phase_t phase;
    uint8_t in[WST__SOCKS5_SERVER_IN_MAX]; /* the message received so far */
    size_t in_len;

    bool offers_none, offers_login; /* GREETED: methods that the client can use */
    bool login_whole;               /* CREDENTIALS: `login` has no NUL byte */
    wst_auth_basic_t login;         /* CREDENTIALS: empty unless login_whole; wipe it */
    /* REQUEST, WST_EDEST: "host:port" or "[v6]:port", as wst_parse_authority takes it; after
     * WST_EDEST as requested, with '?' for bytes that are not printable ASCII, or "". */
    char destination[WST__SOCKS5_SERVER_HOST_MAX + sizeof("[]:65535")];

    /* After an error. */
    wst_str_t answer; /* bytes to write to the client; may be empty */
    const char *why;  /* for people; static */
} wst__socks5_server_t;

/*
 * Takes *used bytes, of one message at most. Zero the struct first. Returns an event, or
 *  - WST_EPROTO: the client does not speak SOCKS5;
 *  - WST_EDEST: a request that is not served: another command than CONNECT, an unknown type of
 *    address, a malformed destination;
 *  - WST_ESTATE: an event has not been answered, or no further message is expected.
 */
int wst__socks5_server_feed(wst__socks5_server_t *s, const uint8_t *data, size_t len, size_t *used);

/* The answer to a client that ends or falls silent before its messages are complete. */
wst_str_t wst__socks5_server_give_up(wst__socks5_server_t *s);

/* Answers GREETED, by a method of RFC 1928 section 3 (socks5_wire.h). */
wst_str_t wst__socks5_server_choose(wst__socks5_server_t *s, uint8_t method);

/* Answers CREDENTIALS. */
wst_str_t wst__socks5_server_login(wst__socks5_server_t *s, bool right);

/* Answers REQUEST, by a reply of section 6. */
wst_str_t wst__socks5_server_reply(wst__socks5_server_t *s, uint8_t reply);

/* What a client of SOCKS4 or SOCKS5 is told where its protocol is not served; static. */
wst_str_t wst__socks4_refusal(void);
wst_str_t wst__socks5_refusal(void);

/* The reply for an error code; 0: success. */
uint8_t wst__socks5_reply_of(int error);

/* Wipes all secrets. */
void wst__socks5_server_wipe(wst__socks5_server_t *s);

#endif
