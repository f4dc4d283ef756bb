/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TLS_CHAIN_H
#define WST_LIB_TLS_CHAIN_H
/*
 * The certificates that a peer has sent, each with its faults, for wst_tls_handshake_chain. While
 * an engine verifies a chain, wst__tls_judge notes the faults of each certificate on the path; then
 * the engine adds what the peer sent. The two differ: a peer may send certificates that are not
 * needed, and a trusted one at the top is usually not sent.
 */
#include "tls_cert.h"

typedef struct wst__tls_chain wst__tls_chain_t;

/* NULL: no memory. The allocator is borrowed. */
wst__tls_chain_t *wst__tls_chain_new(const wst_allocator_t *allocator);
void wst__tls_chain_free(wst__tls_chain_t *chain); /* NULL is allowed */

/* Notes a certificate of the path and its faults, "" if it has none. */
void wst__tls_chain_judged(wst__tls_chain_t *chain, const wst__tls_x509_t *crt, const char *fault);

/* Adds a certificate that the peer sent, in its order, behind all notes; NULL: one that cannot be
 * read. Those behind WST_TLS_CHAIN_MAX are left out. False: no memory. */
bool wst__tls_chain_sent(wst__tls_chain_t *chain, const wst__tls_x509_t *crt);

/* The n-th one that was sent, valid as long as the chain; NULL: there are no more. */
const wst_tls_link_t *wst__tls_chain_link(const wst__tls_chain_t *chain, size_t n);

#endif
