/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_HTTP_DIGEST_H
#define WST_LIB_HTTP_DIGEST_H
/*
 * The arithmetic of Digest (RFC 7616) with MD5 and SHA-256 and qop "auth". The form of RFC 2069,
 * without qop, is not supported: it lacks all protection against replays.
 */
#include "digest.h"
#include "http_auth.h"

#include <wstunnel/auth.h>

/* The hash's name as a value of `algorithm`. */
const char *wst__digest_name(wst__hash_t hash);

/* Hash of "user:realm:password", in hex. 0 or a negative error. */
int wst__digest_ha1(char out[WST__HASH_TEXT], wst__hash_t hash, const char *user, const char *realm,
                    const char *password);

/* Input of a response; `ha1` stands for the password. */
typedef struct wst__digest_input {
    wst__hash_t hash;
    const char *ha1; /* in hex, lower case */
    bool session;    /* of the variant "-sess", with this very nonce and cnonce */
    wst_str_t method, uri, nonce, cnonce;
    uint32_t nc;
} wst__digest_input_t;

/* The response (section 3.4.1), in hex. 0 or a negative error. */
int wst__digest_response(char out[WST__HASH_TEXT], const wst__digest_input_t *input);

/* Credentials of a client. */
typedef struct wst__digest_credentials {
    wst__hash_t hash;
    char user[WST_AUTH_MAX];
    char realm[WST_AUTH_MAX];
    wst_str_t uri, nonce, cnonce; /* borrowed from the field */
    uint32_t nc;
    uint8_t response[WST__HASH_MAX];
} wst__digest_credentials_t;

/*
 * Parses credentials of the Digest scheme. 0; WST_EHTTP: a parameter is missing, malformed, too
 * long, repeated or not supported (nor are -sess and userhash, which we do not offer).
 */
int wst__digest_read(wst__digest_credentials_t *out, const wst__auth_t *auth);

#endif
