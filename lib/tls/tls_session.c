/* SPDX-License-Identifier: MIT */
#include "tls_session.h"
#include "mem.h"

#include <stdio.h>
#include <string.h>

char *wst__tls_session_key(const wst_allocator_t *allocator, const char *server_name,
                           const char *sni) {
    if (server_name == NULL)
        server_name = "";
    if (sni == NULL)
        sni = "";
    size_t size = strlen(server_name) + strlen(sni) + 2;
    char *key = wst__alloc(allocator, size);
    if (key != NULL)
        snprintf(key, size, "%s/%s", server_name, sni);
    return key;
}

void wst__tls_last_drop(wst__tls_last_t *last, const wst_allocator_t *allocator) {
    wst__free(allocator, last->of);
    wst__tls_cert_unref(last->peer);
    *last = (wst__tls_last_t){NULL, NULL};
}

bool wst__tls_last_set(wst__tls_last_t *last, const wst_allocator_t *allocator, const char *key,
                       wst__tls_cert_t *peer) {
    wst__tls_last_drop(last, allocator);
    last->of = wst__strdup(allocator, key);
    if (last->of == NULL)
        return false;
    last->peer = wst__tls_cert_ref(peer);
    return true;
}

bool wst__tls_last_is_good(const wst__tls_last_t *last, const char *key, int64_t now) {
    if (last->of == NULL || strcmp(last->of, key) != 0)
        return false;
    const wst_tls_certificate_t *peer = wst__tls_cert_public(last->peer);
    return peer == NULL || peer->not_after >= now;
}
