/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TRUSTED_H
#define WST_LIB_TRUSTED_H
/* A set of networks: the peers that are trusted to tell on whose behalf they connect. */
#include "ip.h"

typedef struct wst__trusted wst__trusted_t;

/* What is wrong with a list of networks. */
typedef struct wst__trusted_error {
    const char *text; /* the element, verbatim */
    const char *why;  /* static */
} wst__trusted_error_t;

/*
 * Makes a set.
 * @param texts  NULL-terminated, or NULL: no elements. Each is an address ("192.0.2.7"), a network
 *               ("192.0.2.0/24", "2001:db8::/32") or "unix:", for all peers on Unix sockets
 * 0, WST_EINVAL (filling in *error) or WST_ENOMEM.
 */
int wst__trusted_new(wst__trusted_t **out, const wst_allocator_t *allocator,
                     const char *const *texts, wst__trusted_error_t *error);
void wst__trusted_free(wst__trusted_t *networks);

bool wst__trusted_is_empty(const wst__trusted_t *networks);

/* Whether the address is in one of them. "::/0" does not contain IPv4 addresses. */
bool wst__trusted_has(const wst__trusted_t *networks, const wst__ip_t *ip);

/* Whether the peer of a stream (wst_stream_peer) is in one of them. */
bool wst__trusted_has_peer(const wst__trusted_t *networks, const char *peer);

#endif
