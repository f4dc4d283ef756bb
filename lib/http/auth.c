/* SPDX-License-Identifier: MIT */
/* Credentials in request heads. */
#include "digest.h"
#include "http_auth.h"
#include "mem.h"

#include <string.h>
#include <wstunnel/auth.h>

/* "USER:PASSWORD" */
static bool cut_pair(wst_auth_basic_t *out, const uint8_t *pair, size_t len) {
    const uint8_t *colon = memchr(pair, ':', len);
    if (colon == NULL || memchr(pair, '\0', len) != NULL)
        return false;
    size_t user_len = (size_t)(colon - pair), password_len = len - user_len - 1;
    if (user_len >= WST_AUTH_MAX || password_len >= WST_AUTH_MAX)
        return false;
    memcpy(out->user, pair, user_len);
    out->user[user_len] = '\0';
    memcpy(out->password, colon + 1, password_len);
    out->password[password_len] = '\0';
    return true;
}

bool wst_auth_basic_parse(wst_auth_basic_t *out, const wst_http_head_t *head, const char *field) {
    enum { PAIR_MAX = 2 * WST_AUTH_MAX };
    wst_str_t text;
    uint8_t pair[PAIR_MAX];
    size_t len;
    bool found = wst__auth_text(&text, head, field, "Basic") &&
                 text.len <= WST__BASE64_LEN(PAIR_MAX - 4) &&
                 wst__base64_decode(pair, &len, text.ptr, text.len) && cut_pair(out, pair, len);
    wst__wipe(pair, sizeof(pair));
    return found;
}

bool wst_auth_bearer_matches(const wst_http_head_t *head, const char *token) {
    wst_str_t text;
    return wst__auth_text(&text, head, "Authorization", "Bearer") &&
           wst__equal_constant_time(text.ptr, text.len, token, strlen(token));
}

bool wst_auth_equal(const char *a, const char *b) {
    return wst__equal_constant_time(a, strlen(a), b, strlen(b));
}

int wst_auth_sha256(char out[WST_AUTH_HASH_MAX], const char *secret) {
    const wst_str_t part = {secret, strlen(secret)};
    uint8_t hash[WST__HASH_MAX];
    int status = wst__hash(WST__SHA256, hash, &part, 1);
    if (status == 0)
        wst__hex_encode(out, hash, wst__hash_len(WST__SHA256));
    return status;
}
