/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_SOCKS_H
#define WST_LIB_SOCKS_H
/*
 * The front end for SOCKS5 clients, a part of a node: it authenticates a client and makes a flow
 * of its request; the flow relays. States of a client's connection:
 *
 *     READING     one of the client's messages is read
 *     ASKING      the embedder is asked about the client (on_client_login)
 *     CONNECTING  the flow has not reached its destination
 *     LEAVING     the last answer has been written (linger.h)
 *     CLOSING     the connection ends, or belongs to the flow
 *
 * ASKING and CONNECTING read the connection, too, to notice a client that leaves. Up to
 * WST__EARLY_MAX bytes that arrive early are kept.
 */
#include "flow.h"

typedef struct wst__socks_front wst__socks_front_t;

struct wst__socks_front {
    wst__part_t part;
    wst_ingress_t *ingress;
    wst__list_t clients;
    uint64_t head_timeout_ms; /* until the request is complete, without the time of questions */
    /* Returns the answer to a client whose first byte is not of SOCKS; static, may be empty. */
    wst_str_t (*on_stranger)(wst__socks_front_t *front, const wst_stream_t *stream, uint8_t first);
};

/* Adds the front to the node; call before wst__ingress_init. The owner sets head_timeout_ms and
 * on_stranger. */
void wst__socks_init(wst__socks_front_t *front, wst__node_t *node, wst_ingress_t *ingress);

/* Serves a connection by SOCKS5. Takes the stream and its seat on success. 0 or WST_ENOMEM. */
int wst__socks_accept(wst__socks_front_t *front, wst_stream_t *stream, wst__seat_t *seat);

#endif
