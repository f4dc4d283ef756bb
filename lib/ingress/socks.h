/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_SOCKS_H
#define WST_LIB_SOCKS_H
/*
 * The front end for SOCKS5 clients, a part of a node: it logs a client in, makes a flow of its
 * request, and the flow relays. A client's connection is
 *
 *     READING     one of its messages
 *     ASKING      the embedder is asked about the client (on_client_login)
 *     CONNECTING  the flow has not reached its destination
 *     LEAVING     the last word has been said (linger.h)
 *     CLOSING     it ends, or has become the flow's
 *
 * The connection is read in ASKING and CONNECTING, too: a client that goes away is noticed, and up
 * to WST__EARLY_MAX bytes that it sends ahead are kept.
 */
#include "flow.h"

typedef struct wst__socks_front wst__socks_front_t;

struct wst__socks_front {
    wst__part_t part;
    wst_ingress_t *ingress;
    wst__tally_t *connections; /* of the owner */
    wst__list_t clients;
    uint64_t head_timeout_ms; /* from the connection to the end of the request, but for questions */
    /* The first byte is not one of SOCKS: what to answer; static, may be empty. */
    wst_str_t (*on_stranger)(wst__socks_front_t *front, const wst_stream_t *stream, uint8_t first);
};

/* Becomes a part of the node, and has to before the ingress; the owner sets the other members. */
void wst__socks_init(wst__socks_front_t *front, wst__node_t *node, wst_ingress_t *ingress,
                     wst__tally_t *connections);

/* A connection on which SOCKS5 is to be spoken. Takes the stream on success. 0 or WST_ENOMEM. */
int wst__socks_accept(wst__socks_front_t *front, wst_stream_t *stream);

#endif
