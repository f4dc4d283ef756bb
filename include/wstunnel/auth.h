/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_AUTH_H
#define WSTUNNEL_AUTH_H
/**
 * @file auth.h
 * Reads credentials from request heads: Basic (RFC 7617) and bearer tokens (RFC 6750). Compares
 * secrets in a time that does not reveal how much of a guess is right. For callbacks that authorise
 * (server.h).
 */
#include <wstunnel/http.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Size in bytes of a user name or password in wst_auth_basic, with the terminator. */
#define WST_AUTH_MAX 256

/** A decoded Basic credential. */
typedef struct wst_auth_basic {
    char user[WST_AUTH_MAX];     /**< terminated */
    char password[WST_AUTH_MAX]; /**< terminated; a secret */
} wst_auth_basic_t;

/**
 * Reads Basic credentials from a field of a request.
 * @param field  "Proxy-Authorization" for a proxy's clients, "Authorization" otherwise
 * @return true if the field occurs exactly once and holds a valid Basic credential that fits. Wipe
 *         `*out` after use.
 */
WST_EXTERN WST_MUST_CHECK bool wst_auth_basic_parse(wst_auth_basic_t *out,
                                                    const wst_http_head_t *head, const char *field);

/** Whether the request carries `Authorization: Bearer <token>` with exactly this token. */
WST_EXTERN WST_MUST_CHECK bool wst_auth_bearer_matches(const wst_http_head_t *head,
                                                       const char *token);

/** Whether two secrets are equal, in a time that depends on their lengths only. */
WST_EXTERN WST_MUST_CHECK bool wst_auth_equal(const char *a, const char *b);

/** Size in bytes of a hash in hex, with the terminator. */
#define WST_AUTH_HASH_MAX 65

/** Writes the SHA-256 of a secret in hex, for instance to store the hash of a token instead of the
    token. @return 0 or a negative error (the hash is not available). */
WST_EXTERN WST_MUST_CHECK int wst_auth_sha256(char out[WST_AUTH_HASH_MAX], const char *secret);

#ifdef __cplusplus
}
#endif
#endif
