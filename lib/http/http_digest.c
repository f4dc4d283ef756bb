/* SPDX-License-Identifier: MIT */
/* Digest (http_digest.h). */
#include "http_digest.h"
#include "mem.h"

#include <stdio.h>
#include <string.h>
#include <wstunnel/error.h>

const char *wst__digest_name(wst__hash_t hash) {
    return hash == WST__MD5 ? "MD5" : "SHA-256";
}

static wst_str_t text_of(const char *text) {
    return (wst_str_t){text, strlen(text)};
}

/* The hash of the texts joined by colons, in hex. */
static int hash_joined(char out[WST__HASH_TEXT], wst__hash_t hash, const wst_str_t *texts,
                       size_t count) {
    enum { TEXTS_MAX = 6 };
    wst_str_t parts[2 * TEXTS_MAX];
    uint8_t digest[WST__HASH_MAX];
    for (size_t i = 0; i < count; i++) {
        parts[2 * i] = texts[i];
        parts[2 * i + 1] = text_of(":");
    }
    int status = wst__hash(hash, digest, parts, 2 * count - 1);
    if (status == 0)
        wst__hex_encode(out, digest, wst__hash_len(hash));
    wst__wipe(digest, sizeof(digest));
    return status;
}

int wst__digest_ha1(char out[WST__HASH_TEXT], wst__hash_t hash, const char *user, const char *realm,
                    const char *password) {
    const wst_str_t texts[] = {text_of(user), text_of(realm), text_of(password)};
    return hash_joined(out, hash, texts, 3);
}

int wst__digest_response(char out[WST__HASH_TEXT], const wst__digest_input_t *in) {
    char ha1[WST__HASH_TEXT], ha2[WST__HASH_TEXT], nc[9];
    const wst_str_t a1[] = {text_of(in->ha1), in->nonce, in->cnonce};
    const wst_str_t a2[] = {in->method, in->uri};
    snprintf(ha1, sizeof(ha1), "%s", in->ha1);
    snprintf(nc, sizeof(nc), "%08x", in->nc);
    int status = in->session ? hash_joined(ha1, in->hash, a1, 3) : 0;
    if (status == 0)
        status = hash_joined(ha2, in->hash, a2, 2);
    if (status == 0) {
        const wst_str_t all[] = {text_of(ha1), in->nonce,       text_of(nc),
                                 in->cnonce,   text_of("auth"), text_of(ha2)};
        status = hash_joined(out, in->hash, all, 6);
    }
    wst__wipe(ha1, sizeof(ha1));
    return status;
}

/* Reads a value that is hashed as sent. Refuses escapes, which no such value needs. */
static bool read_plain(const wst__auth_t *auth, const char *name, wst_str_t *out) {
    return wst__auth_param(auth, name, out) == 1 && out->len > 0 &&
           memchr(out->ptr, '\\', out->len) == NULL;
}

static bool read_hash(const wst__auth_t *auth, wst__hash_t *hash) {
    wst_str_t algorithm;
    int found = wst__auth_param(auth, "algorithm", &algorithm);
    *hash = WST__MD5;
    if (found == 1 && wst_str_ieq(algorithm, wst__digest_name(WST__SHA256)))
        *hash = WST__SHA256;
    else if (found != 0)
        return found == 1 && wst_str_ieq(algorithm, wst__digest_name(WST__MD5));
    return true;
}

int wst__digest_read(wst__digest_credentials_t *out, const wst__auth_t *auth) {
    wst_str_t qop, nc, response, userhash;
    uint8_t count[4];
    if (!wst_str_ieq(auth->scheme, "Digest") || !read_hash(auth, &out->hash) ||
        wst__auth_param_copy(auth, "username", out->user, sizeof(out->user)) != 1 ||
        wst__auth_param_copy(auth, "realm", out->realm, sizeof(out->realm)) != 1 ||
        !read_plain(auth, "uri", &out->uri) || !read_plain(auth, "nonce", &out->nonce) ||
        !read_plain(auth, "cnonce", &out->cnonce))
        return WST_EHTTP;
    if (wst__auth_param(auth, "qop", &qop) != 1 || !wst_str_ieq(qop, "auth") ||
        wst__auth_param(auth, "nc", &nc) != 1 || !wst__hex_decode(count, sizeof(count), nc) ||
        wst__auth_param(auth, "response", &response) != 1 ||
        !wst__hex_decode(out->response, wst__hash_len(out->hash), response))
        return WST_EHTTP;
    int hashed = wst__auth_param(auth, "userhash", &userhash);
    if (hashed < 0 || (hashed == 1 && !wst_str_ieq(userhash, "false")))
        return WST_EHTTP;
    out->nc = (uint32_t)count[0] << 24 | (uint32_t)count[1] << 16 | (uint32_t)count[2] << 8 |
              (uint32_t)count[3];
    return 0;
}
