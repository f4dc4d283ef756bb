/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_PROXY_HEADER_H
#define WST_LIB_PROXY_HEADER_H
/*
 * The receiver's side of the PROXY protocol, versions 1 and 2 (HAProxy's doc/proxy-protocol.txt,
 * edition of 2020/03/05): a header before the first byte of a connection, by which a proxy tells
 * whose connection it is.
 */
#include "ip.h"

enum {
    WST__PROXY_TEXT_MAX = 107,   /* bytes of a header of version 1 (section 2.1) */
    WST__PROXY_HEADER_MAX = 4096 /* of any header that is taken; the specification sets no bound */
};

typedef struct wst__proxy_header {
    /* The result, once the header is complete. */
    bool has_source;  /* else the connection's own addresses count */
    wst__ip_t source; /* the client */
    uint16_t source_port;

    /* Private. */
    uint8_t kept[WST__PROXY_TEXT_MAX]; /* the header as far as it is read, but for its TLVs */
    size_t kept_len;
    size_t skip;   /* bytes of the header still to be skipped */
    bool skipping; /* the rest of the header does not matter */
} wst__proxy_header_t;

void wst__proxy_header_init(wst__proxy_header_t *header);

/*
 * Reads bytes of the connection. Bytes behind the header are not touched.
 * @param used  how many bytes belong to the header
 * @param why   filled in on error: for people, static
 * 0: the header is complete; WST_WAIT: it needs more bytes; WST_EPROTO: it is malformed, too long
 * or not there.
 */
int wst__proxy_header_read(wst__proxy_header_t *header, const uint8_t *data, size_t len,
                           size_t *used, const char **why);

#endif
