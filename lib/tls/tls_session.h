/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TLS_SESSION_H
#define WST_LIB_TLS_SESSION_H
/*
 * Which session a client may offer again: the last one, to the server that it is of, as long as the
 * certificate that was verified then is valid. The engine keeps the session itself.
 */
#include "tls_cert.h"

typedef struct wst__tls_last {
    char *of; /* NULL: there is none */
    wst__tls_cert_t *peer;
} wst__tls_last_t;

/* The key of a session: the name that is verified and the name that is asked for, which may be
 * NULL. NULL if there is no memory. */
char *wst__tls_session_key(const wst_allocator_t *allocator, const char *server_name,
                           const char *sni);

/* Remembers a session, in place of any; both are copied or referenced. False: no memory, and none
 * is remembered. */
bool wst__tls_last_set(wst__tls_last_t *last, const wst_allocator_t *allocator, const char *key,
                       wst__tls_cert_t *peer);
void wst__tls_last_drop(wst__tls_last_t *last, const wst_allocator_t *allocator);

/* Whether it is of this server, and its certificate valid at `now` (seconds since 1970). */
bool wst__tls_last_is_good(const wst__tls_last_t *last, const char *key, int64_t now);

#endif
