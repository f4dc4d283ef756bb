/* SPDX-License-Identifier: MIT */
/* Sets of networks (trusted.h). */
#include "trusted.h"

#include "mem.h"

#include <string.h>
#include <wstunnel/error.h>

typedef struct network {
    wst__ip_t ip;
    unsigned prefix; /* of 128 bits */
} network_t;

struct wst__trusted {
    const wst_allocator_t *allocator;
    bool unix_sockets;
    size_t count;
    network_t list[];
};

static const char scheme[] = "unix:";

/* NULL, or what is wrong with the text. */
static const char *read_network(network_t *out, const char *text) {
    size_t len = strcspn(text, "/");
    if (memchr(text, '%', len) != NULL || !wst__ip_parse(&out->ip, text, len))
        return "not an address, a network such as 10.0.0.0/8, or unix:";
    out->prefix = 128;
    if (text[len] == '\0')
        return NULL;
    const char *prefix = text + len + 1;
    return wst__ip_read_prefix(&out->prefix, &out->ip, (wst_str_t){prefix, strlen(prefix)});
}

int wst__trusted_new(wst__trusted_t **out, const wst_allocator_t *allocator,
                     const char *const *texts, wst__trusted_error_t *error) {
    size_t count = 0;
    while (texts != NULL && texts[count] != NULL)
        count++;
    wst__trusted_t *n = wst__zalloc(allocator, sizeof(*n) + count * sizeof(n->list[0]));
    if (n == NULL)
        return WST_ENOMEM;
    n->allocator = allocator;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(texts[i], scheme) == 0) {
            n->unix_sockets = true;
            continue;
        }
        const char *why = read_network(&n->list[n->count++], texts[i]);
        if (why != NULL) {
            *error = (wst__trusted_error_t){texts[i], why};
            wst__trusted_free(n);
            return WST_EINVAL;
        }
    }
    *out = n;
    return 0;
}

void wst__trusted_free(wst__trusted_t *n) {
    if (n != NULL)
        wst__free(n->allocator, n);
}

bool wst__trusted_is_empty(const wst__trusted_t *n) {
    return n->count == 0 && !n->unix_sockets;
}

bool wst__trusted_has(const wst__trusted_t *n, const wst__ip_t *ip) {
    for (size_t i = 0; i < n->count; i++) {
        const network_t *of = &n->list[i];
        if (wst__ip_is_v4(ip) == wst__ip_is_v4(&of->ip) && wst__ip_within(ip, &of->ip, of->prefix))
            return true;
    }
    return false;
}

bool wst__trusted_has_peer(const wst__trusted_t *n, const char *peer) {
    wst__ip_t ip;
    if (strncmp(peer, scheme, strlen(scheme)) == 0)
        return n->unix_sockets;
    return wst__ip_of_peer(&ip, peer) && wst__trusted_has(n, &ip);
}
