/* SPDX-License-Identifier: MIT */
/*
 * Who a client is (RFC 9110 section 11.7). Wrong credentials, credentials of nobody and malformed
 * ones are answered alike, and take as long.
 */
#include "access.h"
#include "http_auth.h"
#include "http_digest.h"

#include <stdio.h>
#include <string.h>

/* What becomes of credentials. */
typedef enum outcome { RIGHT, WRONG, STALE } outcome_t;

/* What was presented, taken apart. */
typedef struct presented {
    bool basic; /* else Digest */
    bool whole; /* it is not malformed */
    char name[WST_AUTH_MAX];
    wst_auth_basic_t pair;
    wst__digest_credentials_t digest;
} presented_t;

/* False: there are no credentials. `head`: NULL if no HTTP request is at hand. */
static bool read_presented(presented_t *out, const wst_http_head_t *head) {
    const wst_http_header_t *h =
        head != NULL ? wst_http_header(head, "Proxy-Authorization", NULL) : NULL;
    wst__auth_t auth;
    *out = (presented_t){.basic = false};
    if (h == NULL)
        return false;
    if (wst_http_header(head, "Proxy-Authorization", h) != NULL ||
        wst__auth_read(&auth, h->value) != 0)
        return true;
    out->basic = wst_str_ieq(auth.scheme, "Basic");
    if (out->basic)
        out->whole = wst_auth_basic_parse(&out->pair, head, "Proxy-Authorization");
    else
        out->whole = wst__digest_read(&out->digest, &auth) == 0;
    if (out->whole)
        memcpy(out->name, out->basic ? out->pair.user : out->digest.user, sizeof(out->name));
    return true;
}

bool wst__access_claimed(const wst_http_head_t *head, char out[WST_AUTH_MAX]) {
    presented_t p;
    bool found = read_presented(&p, head) && p.whole;
    memcpy(out, p.name, WST_AUTH_MAX);
    wst__wipe(&p, sizeof(p));
    return found;
}

/* Users -------------------------------------------------------------------------------------- */

static const wst__access_user_t *find(const wst_access_t *access, const char *name, size_t len) {
    size_t low = 0, high = access->user_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const char *other = access->users[middle].name;
        int order = strncmp(name, other, len);
        if (order == 0 && other[len] == '\0')
            return &access->users[middle];
        if (order > 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* Whose name it is: a user's own, or with "+" and an agent's behind it; the last "+", for names of
 * agents have none. */
static const wst__access_user_t *user_of(const wst_access_t *access, const char *name) {
    const wst__access_user_t *user = find(access, name, strlen(name));
    const char *plus = strrchr(name, '+');
    if (user == NULL && access->selects && plus != NULL)
        user = find(access, name, (size_t)(plus - name));
    return user != NULL ? user : &access->nobody;
}

static const wst__access_user_t *user_by_certificate(const wst_access_t *access,
                                                     const wst_request_t *request) {
    for (size_t i = 0; i < access->user_count; i++) {
        const char *pattern = access->users[i].certificate;
        if (pattern != NULL && wst__access_certificate(pattern, request))
            return &access->users[i];
    }
    return NULL;
}

/* Checking ----------------------------------------------------------------------------------- */

static bool same_hash(const char *a, const char *b) {
    return wst__equal_constant_time(a, strlen(a), b, strlen(b));
}

/* The hash of what was said is compared, so that passwords need not be kept. All hashes that any
 * user has are made, for a time that does not depend on the user. */
static int check_basic(const wst_access_t *access, const wst__access_user_t *user,
                       const presented_t *p) {
    wst__hash_t strongest = user->ha1[WST__SHA256][0] != '\0' ? WST__SHA256 : WST__MD5;
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
    return same && user != &access->nobody ? RIGHT : WRONG;
}

/* Section 3.4.6 of RFC 7616: it must be the target. In absolute form some clients (curl, Chromium)
 * mean its path. */
static bool is_target(const wst_http_head_t *head, wst_str_t uri) {
    wst_http_target_t target;
    if (uri.len == head->target.len && memcmp(uri.ptr, head->target.ptr, uri.len) == 0)
        return true;
    if (wst_http_parse_target(&target, head, NULL) != 0 || target.form != WST_HTTP_ABSOLUTE)
        return false;
    if (target.path.ptr[0] == '?' && uri.ptr[0] == '/') /* the path was left out */
        uri = (wst_str_t){uri.ptr + 1, uri.len - 1};
    return uri.len == target.path.len && memcmp(uri.ptr, target.path.ptr, uri.len) == 0;
}

/* The hash of the name as it was sent; that of nobody, and `*known` is false, if there is none.
 * With an agent's name behind the user's it must be made, and is, if only for the time, in any
 * case. 0 or an error. */
static int digest_ha1(char out[WST__HASH_TEXT], bool *known, const wst_access_t *access,
                      const wst__access_user_t *user, const presented_t *p) {
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

static int check_digest(wst_access_t *access, const wst__access_user_t *user, const presented_t *p,
                        const wst_http_head_t *head) {
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
        return WRONG;
    status = wst__nonces_use(access->nonces, c->nonce, c->nc, wst_ctx_now(access->ctx));
    return status < 0 ? status : status == 1 ? RIGHT : STALE;
}

/* Answering ---------------------------------------------------------------------------------- */

/* Those offered, the strongest first: clients take the first one or the strongest they know. */
static int write_challenges(char *out, size_t size, wst_access_t *access, bool stale) {
    static const wst__hash_t order[] = {WST__SHA256, WST__MD5};
    char nonce[WST__NONCE_TEXT];
    size_t len = 0;
    int status = wst__nonces_issue(access->nonces, nonce, wst_ctx_now(access->ctx));
    out[0] = '\0';
    for (size_t i = 0; i < 2 && status == 0; i++) {
        if (access->digest[order[i]])
            len += (size_t)snprintf(out + len, size - len,
                                    "Proxy-Authenticate: Digest realm=\"%s\", nonce=\"%s\", "
                                    "qop=\"auth\", algorithm=%s, charset=\"UTF-8\"%s\r\n",
                                    access->realm, nonce, wst__digest_name(order[i]),
                                    stale ? ", stale=true" : "");
    }
    if (access->basic)
        snprintf(out + len, size - len,
                 "Proxy-Authenticate: Basic realm=\"%s\", charset=\"UTF-8\"\r\n", access->realm);
    return status;
}

static void challenge(wst_access_t *access, wst_request_t *request, bool stale) {
    char fields[1024];
    if (write_challenges(fields, sizeof(fields), access, stale) != 0)
        wst_request_deny(request, 500, NULL, NULL);
    else if (fields[0] == '\0')
        wst_request_deny(request, 403, "A client certificate is required", NULL);
    else
        wst_request_deny(request, 407, NULL, fields);
}

/* Whom failures are counted for; false: nobody. Of a name that an agent's may stand behind it is
 * what comes before the first "+", so that it does not show whether there is such a user. */
static bool key_of(const wst_access_t *access, wst__limiter_key_t *key,
                   const wst_request_t *request, const presented_t *p) {
    char name[WST_AUTH_MAX];
    memcpy(name, p->name, sizeof(name));
    if (access->selects)
        name[strcspn(name, "+")] = '\0';
    return access->limiter != NULL &&
           wst__limiter_key(access->limiter, key, wst_request_peer(request),
                            p->name[0] != '\0' ? name : NULL);
}

static void allow(wst_request_t *request, const wst__access_user_t *user) {
    wst_request_set_user(request, user->name);
    wst_request_set_tenant(request, user->tenant);
    wst_request_allow(request);
}

static int check(wst_access_t *access, const wst__access_user_t *user, const presented_t *p,
                 const wst_http_head_t *head) {
    if (!p->whole || (p->basic && !access->basic))
        return WRONG;
    return p->basic ? check_basic(access, user, p) : check_digest(access, user, p, head);
}

static void authenticate(wst_access_t *access, wst_request_t *request, const presented_t *p) {
    const wst__access_user_t *user = user_of(access, p->name);
    int outcome = check(access, user, p, wst_request_head(request));
    wst__limiter_key_t key;
    if (outcome < 0) {
        wst_request_deny(request, 500, NULL, NULL);
    } else if (outcome == RIGHT) {
        allow(request, user);
    } else {
        if (outcome == WRONG && key_of(access, &key, request, p))
            wst__access_failed(access, &key, wst_request_peer(request));
        challenge(access, request, outcome == STALE);
    }
}

/* Whoever asks has authenticated the client already: it needs no credentials, and is of the tenant
 * that the request says or, if it says none, of that of the user of this name. */
static void allow_authenticated(const wst_access_t *access, wst_request_t *request) {
    const char *name = wst_request_user(request);
    const wst__access_user_t *user = find(access, name, strlen(name));
    if (user != NULL && wst_request_tenant(request)[0] == '\0')
        wst_request_set_tenant(request, user->tenant);
    wst_request_allow(request);
}

void wst_access_client_request(wst_access_t *access, wst_server_t *server, wst_request_t *request) {
    (void)server;
    if (wst_request_is_authenticated(request)) {
        allow_authenticated(access, request);
        return;
    }
    const wst__access_user_t *user = user_by_certificate(access, request);
    presented_t presented;
    wst__limiter_key_t key;
    if (user != NULL) {
        allow(request, user);
        return;
    }
    bool any = read_presented(&presented, wst_request_head(request));
    bool limited =
        key_of(access, &key, request, &presented) && wst__access_limited(access, request, &key);
    if (any && !limited)
        authenticate(access, request, &presented);
    else if (!limited)
        challenge(access, request, false);
    wst__wipe(&presented, sizeof(presented));
}
