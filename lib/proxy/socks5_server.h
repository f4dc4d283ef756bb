/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_SOCKS5_SERVER_H
#define WST_LIB_SOCKS5_SERVER_H
/*
 * The server's side of SOCKS5 (RFC 1928) with user name and password (RFC 1929). Bytes go in,
 * events come out, and each event is answered by a function that returns what is to be written.
 *
 *     greeting --GREETED, _choose--> (login --CREDENTIALS, _login-->) request --REQUEST, _reply-->
 *
 * A client may send all of its messages at once: none is read before the one ahead of it has been
 * answered. SOCKS4 is told apart and refused.
 */
#include <wstunnel/auth.h>

enum {
    WST__SOCKS5_SERVER_IN_MAX = 513, /* the longest message: a login of 255 bytes each */
    WST__SOCKS5_SERVER_HOST_MAX = 255
};

/* What has come in. */
typedef enum wst__socks5_event {
    WST__SOCKS5_MORE,    /* not yet a message: more bytes are wanted */
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
    uint8_t in[WST__SOCKS5_SERVER_IN_MAX]; /* the message that comes in, so far */
    size_t in_len;

    bool offers_none, offers_login; /* GREETED: methods that the client can use */
    bool login_whole;               /* CREDENTIALS: there is no NUL byte in it */
    wst_auth_basic_t login;         /* CREDENTIALS: empty if it is not whole; wipe it */
    /* REQUEST, WST_EDEST: "host:port" or "[v6]:port", as wst_parse_authority takes it; after
     * WST_EDEST as it was asked for, with '?' for what is not printable ASCII, or "". */
    char destination[WST__SOCKS5_SERVER_HOST_MAX + sizeof("[]:65535")];

    /* After an error. */
    wst_str_t answer; /* what the client is to be told; may be empty */
    const char *why;  /* for people; static */
} wst__socks5_server_t;

/*
 * Takes the bytes of one message at most; *used tells how many. Zero the struct first. An event, or
 *  - WST_EPROTO: what the client says is not SOCKS5;
 *  - WST_EDEST: a request that is not served: another command than CONNECT, an unknown type of
 *    address, a malformed destination;
 *  - WST_ESTATE: an event has not been answered, or nothing more is to be read.
 */
int wst__socks5_server_feed(wst__socks5_server_t *s, const uint8_t *data, size_t len, size_t *used);

/* What to tell the client that goes away or says nothing more in the middle of its messages. */
wst_str_t wst__socks5_server_give_up(wst__socks5_server_t *s);

/* Answers GREETED, by a method of RFC 1928 section 3 (socks5_wire.h). */
wst_str_t wst__socks5_server_choose(wst__socks5_server_t *s, uint8_t method);

/* Answers CREDENTIALS. */
wst_str_t wst__socks5_server_login(wst__socks5_server_t *s, bool right);

/* Answers REQUEST, by a reply of section 6. */
wst_str_t wst__socks5_server_reply(wst__socks5_server_t *s, uint8_t reply);

/* The reply that stands for an error code; 0: success. */
uint8_t wst__socks5_reply_of(int error);

/* Forgets what is secret. */
void wst__socks5_server_wipe(wst__socks5_server_t *s);

#endif
