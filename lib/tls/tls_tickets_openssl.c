/* SPDX-License-Identifier: MIT */
#include "tls_tickets_openssl.h"
#include "mem.h"
#include "tls_options.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <string.h>
#include <time.h>

static bool make_ticket_key(wst__tls_ticket_key_t *key, int64_t now) {
    key->made = now;
    return RAND_bytes(key->name, sizeof(key->name)) == 1 &&
           RAND_bytes(key->cipher, sizeof(key->cipher)) == 1 &&
           RAND_bytes(key->mac, sizeof(key->mac)) == 1;
}

/* The key for a new ticket; NULL: there are no random bytes. */
static const wst__tls_ticket_key_t *sealing_key(wst__tls_tickets_t *tickets) {
    int64_t now = (int64_t)time(NULL);
    wst__tls_ticket_key_t key;
    if (now - tickets->now.made < WST__TLS_TICKET_LIFETIME_S && now >= tickets->now.made)
        return &tickets->now;
    if (!make_ticket_key(&key, now))
        return NULL;
    tickets->before = tickets->now;
    tickets->now = key;
    wst__wipe(&key, sizeof(key));
    return &tickets->now;
}

/* The key that has this name and is not too old; NULL: none. */
static const wst__tls_ticket_key_t *opening_key(const wst__tls_tickets_t *tickets,
                                                const uint8_t name[16]) {
    const wst__tls_ticket_key_t *keys[] = {&tickets->now, &tickets->before};
    int64_t now = (int64_t)time(NULL);
    for (size_t i = 0; i < 2; i++)
        if (keys[i]->made != 0 && memcmp(keys[i]->name, name, sizeof(keys[i]->name)) == 0 &&
            now - keys[i]->made < 2 * WST__TLS_TICKET_LIFETIME_S)
            return keys[i];
    return NULL;
}

/*
 * 1: use the key; 2: and send a new ticket; 0: there is none, do a full handshake; -1: failed. With
 * TLS 1.3 a ticket is for one use (RFC 8446 appendix C.4).
 */
static int on_ticket(SSL *ssl, uint8_t *name, uint8_t *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                     int sealing) {
    wst__tls_tickets_t *tickets = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const wst__tls_ticket_key_t *key = sealing ? sealing_key(tickets) : opening_key(tickets, name);
    if (key == NULL)
        return sealing ? -1 : 0;
    if (sealing) {
        memcpy(name, key->name, sizeof(key->name));
        if (RAND_bytes(iv, EVP_MAX_IV_LENGTH) != 1)
            return -1;
    }
    uint8_t mac_key[sizeof(key->mac)];
    char sha256[] = "SHA256";
    memcpy(mac_key, key->mac, sizeof(mac_key));
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, mac_key, sizeof(mac_key)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, sha256, 0),
        OSSL_PARAM_construct_end()};
    bool good = EVP_MAC_CTX_set_params(mac, params) == 1 &&
                EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv, sealing) == 1;
    wst__wipe(mac_key, sizeof(mac_key));
    bool renew = !sealing && (SSL_version(ssl) == TLS1_3_VERSION || key == &tickets->before);
    return good ? 1 + renew : -1;
}

bool wst__tls_tickets_init(wst__tls_tickets_t *tickets, SSL_CTX *ctx) {
    return make_ticket_key(&tickets->now, (int64_t)time(NULL)) &&
           SSL_CTX_set_app_data(ctx, tickets) == 1 &&
           SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) == 1;
}

void wst__tls_tickets_wipe(wst__tls_tickets_t *tickets) {
    wst__wipe(tickets, sizeof(*tickets));
}
