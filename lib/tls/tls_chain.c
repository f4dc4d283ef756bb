/* SPDX-License-Identifier: MIT */
/* The certificates that a peer has sent (tls_chain.h). */
#include "tls_chain.h"
#include "digest.h"
#include "mem.h"

#include <stdio.h>
#include <string.h>

/* A certificate of the path. */
typedef struct note {
    uint8_t digest[32]; /* of its DER */
    char fault[WST__TLS_FAULT_TEXT];
} note_t;

struct wst__tls_chain {
    const wst_allocator_t *allocator;
    bool no_memory;                  /* a note could not be taken */
    note_t notes[WST_TLS_CHAIN_MAX]; /* the last ones: a longer path loses its top */
    size_t note_count;               /* of all that have been taken */
    wst__tls_cert_t *certs[WST_TLS_CHAIN_MAX];
    wst_tls_link_t links[WST_TLS_CHAIN_MAX];
    size_t count; /* of `certs` and `links` */
};

wst__tls_chain_t *wst__tls_chain_new(const wst_allocator_t *allocator) {
    wst__tls_chain_t *chain = wst__zalloc(allocator, sizeof(*chain));
    if (chain != NULL)
        chain->allocator = allocator;
    return chain;
}

void wst__tls_chain_free(wst__tls_chain_t *chain) {
    if (chain == NULL)
        return;
    for (size_t i = 0; i < chain->count; i++)
        wst__tls_cert_unref(chain->certs[i]);
    wst__free(chain->allocator, chain);
}

/* Fails for lack of memory only. */
static bool digest_of(uint8_t digest[32], const wst__tls_x509_t *crt) {
    return wst__hash(WST__SHA256, digest, &crt->der, 1) == 0;
}

void wst__tls_chain_judged(wst__tls_chain_t *chain, const wst__tls_x509_t *crt, const char *fault) {
    note_t *note = &chain->notes[chain->note_count++ % WST_TLS_CHAIN_MAX];
    chain->no_memory = chain->no_memory || !digest_of(note->digest, crt);
    snprintf(note->fault, sizeof(note->fault), "%s", fault);
}

static const note_t *note_of(const wst__tls_chain_t *chain, const uint8_t digest[32]) {
    for (size_t i = 0; i < chain->note_count && i < WST_TLS_CHAIN_MAX; i++)
        if (memcmp(chain->notes[i].digest, digest, sizeof(chain->notes[i].digest)) == 0)
            return &chain->notes[i];
    return NULL;
}

bool wst__tls_chain_sent(wst__tls_chain_t *chain, const wst__tls_x509_t *crt) {
    if (chain->no_memory)
        return false;
    if (chain->count == WST_TLS_CHAIN_MAX)
        return true;
    wst_tls_link_t link = {.size = sizeof(link), .fault = crt == NULL ? WST__TLS_UNREADABLE : ""};
    wst__tls_cert_t *cert = NULL;
    if (crt != NULL) {
        uint8_t digest[32];
        if (!digest_of(digest, crt) || (cert = wst__tls_cert_new(chain->allocator, crt)) == NULL)
            return false;
        const note_t *note = note_of(chain, digest);
        link.certificate = wst__tls_cert_public(cert);
        link.used = note != NULL;
        link.fault = note != NULL ? note->fault : "";
    }
    chain->certs[chain->count] = cert;
    chain->links[chain->count++] = link;
    return true;
}

const wst_tls_link_t *wst__tls_chain_link(const wst__tls_chain_t *chain, size_t n) {
    return n < chain->count ? &chain->links[n] : NULL;
}
