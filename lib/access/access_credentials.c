/* SPDX-License-Identifier: MIT */
/*
 * Reads and checks the credentials of a client (RFC 9110 section 11.7). Wrong and malformed ones
 * and those of unknown users get the same answer. Checking a password takes the same time whether
 * or not the user exists.
 */
#include "access_credentials.h"

#include <string.h>

/* Reads the login of a SOCKS client, which is checked as Basic credentials are. */
static bool read_socks_login(wst__credentials_t *out, const wst_request_t *request) {
    out->basic = out->whole = wst_request_basic(request, &out->pair);
    memcpy(out->name, out->pair.user, sizeof(out->name));
    return out->whole;
}

bool wst__credentials_read(wst__credentials_t *out, const wst_request_t *request) {
    static const char field[] = "Proxy-Authorization";
    const wst_http_head_t *head = wst_request_head(request);
    *out = (wst__credentials_t){.basic = false};
    if (head == NULL)
        return read_socks_login(out, request);
    const wst_http_header_t *h = wst_http_header(head, field, NULL);
    wst__auth_t auth;
    if (h == NULL)
        return false;
    if (wst_http_header(head, field, h) != NULL || wst__auth_read(&auth, h->value) != 0)
        return true;
    out->basic = wst_str_ieq(auth.scheme, "Basic");
    if (out->basic)
        out->whole = wst_auth_basic_parse(&out->pair, head, field);
    else
        out->whole = wst__digest_read(&out->digest, &auth) == 0;
    if (out->whole)
        memcpy(out->name, out->basic ? out->pair.user : out->digest.user, sizeof(out->name));
    return true;
}

bool wst__credentials_are_taken(const wst_access_t *access, const wst__credentials_t *c) {
    return c->whole && (c->basic ? access->basic : access->digest[c->digest.hash]);
}

static bool same_hash(const char *a, const char *b) {
    return wst__equal_constant_time(a, strlen(a), b, strlen(b));
}

/* Compares hashes, so that passwords need not be kept. Computes all hashes that the challenge
 * offers, so that the time does not depend on the user. */
static int check_basic(const wst_access_t *access, const wst__access_user_t *user,
                       const wst__credentials_t *p) {
    bool sha256 = access->digest[WST__SHA256] && user->ha1[WST__SHA256][0] != '\0';
    wst__hash_t strongest = sha256 ? WST__SHA256 : WST__MD5;
    const char *name = user->name != NULL ? user->name : p->name;
    char ha1[WST__HASH_TEXT];
    bool same = false;
    int status = 0;
    for (int i = WST__MD5; i <= WST__SHA256 && status == 0; i++) {
        wst__hash_t hash = (wst__hash_t)i;
        if (!access->digest[hash])
            continue;
        status = wst__digest_ha1(ha1, hash, name, access->realm, p->pair.password);
        if (status == 0 && hash == strongest)
            same = same_hash(ha1, user->ha1[hash]);
    }
    wst__wipe(ha1, sizeof(ha1));
    if (status != 0)
        return status;
    return same && user->name != NULL ? WST__ACCESS_RIGHT : WST__ACCESS_WRONG;
}

/* Whether the digest's `uri` is the request's target (RFC 7616 section 3.4.6). Of a target in
 * absolute form, some clients (curl, Chromium) send only the path. */
static bool is_target(const wst_http_head_t *head, wst_str_t uri) {
    wst_http_target_t target;
    if (uri.len == head->target.len && memcmp(uri.ptr, head->target.ptr, uri.len) == 0)
        return true;
    if (wst_http_parse_target(&target, head, NULL) != 0 || target.form != WST_HTTP_ABSOLUTE)
        return false;
    if (target.path.ptr[0] == '?' && uri.ptr[0] == '/') /* the target has no path */
        uri = (wst_str_t){uri.ptr + 1, uri.len - 1};
    return uri.len == target.path.len && memcmp(uri.ptr, target.path.ptr, uri.len) == 0;
}

/* Sets `out` to the hash of the name as sent: the stored one, or for "user+agent" one made from the
 * password. Without either, `*known` is false and the hash is nobody's. If clients may select
 * agents, a hash is made for every name, so that the time does not depend on the user. 0 or an
 * error. */
static int digest_ha1(char out[WST__HASH_TEXT], bool *known, const wst_access_t *access,
                      const wst__access_user_t *user, const wst__credentials_t *p) {
    wst__hash_t hash = p->digest.hash;
    const char *password = user->password != NULL ? user->password : "";
    bool as_stored = user->name != NULL && strcmp(p->name, user->name) == 0;
    *known = as_stored ? user->ha1[hash][0] != '\0' : user->password != NULL;
    int status = 0;
    if (access->selects)
        status = wst__digest_ha1(out, hash, p->name, access->realm, password);
    if (as_stored || !*known)
        memcpy(out, *known ? user->ha1[hash] : access->nobody.ha1[hash], WST__HASH_TEXT);
    return status;
}

static int check_digest(wst_access_t *access, const wst__access_user_t *user,
                        const wst__credentials_t *p, const wst_http_head_t *head) {
    const wst__digest_credentials_t *c = &p->digest;
    size_t len = wst__hash_len(c->hash);
    uint8_t right[WST__HASH_MAX];
    char ha1[WST__HASH_TEXT] = "", response[WST__HASH_TEXT];
    bool known;
    int status = digest_ha1(ha1, &known, access, user, p);
    const wst__digest_input_t input = {.hash = c->hash,
                                       .ha1 = ha1,
                                       .method = head->method,
                                       .uri = c->uri,
                                       .nonce = c->nonce,
                                       .cnonce = c->cnonce,
                                       .nc = c->nc};
    if (status == 0)
        status = wst__digest_response(response, &input);
    wst__wipe(ha1, sizeof(ha1));
    if (status != 0)
        return status;
    if (!wst__hex_decode(right, len, (wst_str_t){response, strlen(response)}) ||
        !wst__equal_constant_time(right, len, c->response, len) || !known ||
        !is_target(head, c->uri))
        return WST__ACCESS_WRONG;
    status = wst__nonces_use(access->nonces, c->nonce, c->nc, wst_ctx_now(access->ctx));
    return status < 0 ? status : status == 1 ? WST__ACCESS_RIGHT : WST__ACCESS_STALE;
}

int wst__credentials_check(wst_access_t *access, const wst__access_user_t *user,
                           const wst__credentials_t *c, const wst_request_t *request) {
    if (!wst__credentials_are_taken(access, c))
        return WST__ACCESS_WRONG;
    return c->basic ? check_basic(access, user, c)
                    : check_digest(access, user, c, wst_request_head(request));
}
