/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TLS_TICKETS_OPENSSL_H
#define WST_LIB_TLS_TICKETS_OPENSSL_H
/*
 * OpenSSL: the keys that a server seals session tickets with (RFC 5077 section 4). OpenSSL's own
 * are as old as the configuration; these are replaced when a ticket's lifetime has passed, and
 * forgotten after another, so that what a key protects ends with it.
 */
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct wst__tls_ticket_key {
    uint8_t name[16], cipher[32], mac[32];
    int64_t made; /* seconds since 1970; 0: there is none */
} wst__tls_ticket_key_t;

typedef struct wst__tls_tickets {
    wst__tls_ticket_key_t now, before;
} wst__tls_tickets_t;

/* Makes the first key, and lets the configuration use `tickets`, which must outlive it. False:
 * there are no random bytes. */
bool wst__tls_tickets_init(wst__tls_tickets_t *tickets, SSL_CTX *ctx);
void wst__tls_tickets_wipe(wst__tls_tickets_t *tickets);

#endif
