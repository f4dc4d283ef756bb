/* SPDX-License-Identifier: MIT */
/*
 * Authentication of a client. Its credentials name a user, which is found in the list at once, or
 * by a look-up (access_lookup.c) that ends in wst__access_found(). Then the credentials are checked
 * and the request is answered.
 */
#include "access_credentials.h"

#include <stdio.h>
#include <string.h>

bool wst__access_claimed(const wst_request_t *request, char out[WST_AUTH_MAX]) {
    wst__credentials_t c;
    bool found = wst__credentials_read(&c, request) && c.whole;
    memcpy(out, c.name, WST_AUTH_MAX);
    wst__wipe(&c, sizeof(c));
    return found;
}

/* Answering ---------------------------------------------------------------------------------- */

/* Writes the challenges offered, strongest first: clients take the first or the strongest known. */
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

/* Asks for credentials, or for others. `claimed` and `cause` are reported only: the client must not
 * learn which users exist. */
static void challenge(wst_access_t *access, wst_request_t *request, bool stale, const char *claimed,
                      const char *cause) {
    char fields[1024];
    wst_request_denial_t denial = {.size = sizeof(denial),
                                   .status = 407,
                                   .fields = fields,
                                   .claimed_user = claimed,
                                   .cause = cause};
    if (write_challenges(fields, sizeof(fields), access, stale) != 0) {
        denial.status = 500;
        denial.fields = NULL;
    } else if (fields[0] == '\0') {
        denial.status = 403;
        denial.reason = "A client certificate is required";
        denial.fields = NULL;
    }
    wst_request_deny_with(request, &denial);
}

/* Why credentials are not accepted. `user`: the one they name, or wst_access.nobody. */
static const char *why_refused(const wst_access_t *access, const wst__credentials_t *c,
                               const wst__access_user_t *user, bool stale) {
    if (!c->whole)
        return "malformed credentials";
    if (!wst__credentials_are_taken(access, c))
        return "scheme not offered";
    if (stale)
        return "stale nonce";
    return user->name == NULL ? "unknown user" : "wrong password";
}

/* The user could not be looked up. Answers 503, so that the client tries again. */
static void postpone(wst_request_t *request, const char *error, const char *reason) {
    wst_request_deny_with(request, &(wst_request_denial_t){.size = sizeof(wst_request_denial_t),
                                                           .status = 503,
                                                           .error = error,
                                                           .reason = reason,
                                                           .fields = "Retry-After: 5\r\n"});
}

static void allow(wst_request_t *request, const wst__access_user_t *user) {
    wst_request_set_user(request, user->name);
    wst_request_set_tenant(request, user->tenant);
    wst_request_allow(request);
}

void wst__access_tell(wst_request_t *request, wst__access_verdict_t verdict,
                      const wst__access_user_t *user) {
    switch (verdict) {
    case WST__ACCESS_RIGHT:
        allow(request, user);
        break;
    case WST__ACCESS_CROWDED:
        postpone(request, "connection_limit_reached", "Too many users being looked up");
        break;
    case WST__ACCESS_UNKNOWN:
        postpone(request, "proxy_internal_error", "Users cannot be looked up now");
        break;
    default:
        wst_request_deny(request, 500, NULL, NULL);
        break;
    }
}

/* Judging ------------------------------------------------------------------------------------ */

/* The attempt that the credentials make. For "user+agent" the part before the first "+" is counted,
 * so that it does not reveal which users exist. */
static wst__attempt_t attempt_of(const wst_access_t *access, const wst_request_t *request,
                                 const wst__credentials_t *c) {
    char name[WST_AUTH_MAX];
    memcpy(name, c->name, sizeof(name));
    if (access->selects)
        name[strcspn(name, "+")] = '\0';
    return wst__access_attempt(access->client_attempts, request, c->name[0] != '\0' ? name : NULL);
}

/* Checked before a look-up and again after it, since many guesses may be under way at once. */
static bool is_limited(wst_access_t *access, wst_request_t *request, const wst__credentials_t *c) {
    const wst__attempt_t attempt = attempt_of(access, request, c);
    return wst__access_limited(access, access->client_attempts, request, &attempt, c->name);
}

static void judge(wst_access_t *access, wst_request_t *request, const wst__credentials_t *c,
                  const wst__access_user_t *user) {
    const wst__attempt_t attempt = attempt_of(access, request, c);
    int outcome = wst__credentials_check(access, user, c, request);
    wst__access_checked(access, access->client_attempts, request, &attempt,
                        outcome == WST__ACCESS_WRONG);
    if (outcome == WST__ACCESS_RIGHT && access->client_attempts != NULL)
        wst__attempt_succeeded(access->client_attempts, &attempt, wst_ctx_now(access->ctx));
    bool stale = outcome == WST__ACCESS_STALE;
    if (outcome == WST__ACCESS_WRONG || stale)
        challenge(access, request, stale, c->name, why_refused(access, c, user, stale));
    else
        wst__access_tell(request, outcome < 0 ? WST__ACCESS_BROKEN : (wst__access_verdict_t)outcome,
                         user);
}

/* Finds the user in the list or by look-up. Only acceptable credentials cause a look-up. */
static void find_user(wst_access_t *access, wst_request_t *request, const wst__credentials_t *c) {
    const wst__access_user_t *user = wst__access_find_claimed(access, c->name);
    size_t len = wst__access_user_part(access, c->name);
    if (user == NULL && wst__credentials_are_taken(access, c) &&
        wst__access_look_up(access, request, c->name, len))
        return;
    judge(access, request, c, user != NULL ? user : &access->nobody);
}

static void authenticate(wst_access_t *access, wst_request_t *request) {
    wst__credentials_t c;
    if (!wst__credentials_read(&c, request))
        challenge(access, request, false, "", "no credentials"); /* no attempt */
    else if (!is_limited(access, request, &c))
        find_user(access, request, &c);
    wst__wipe(&c, sizeof(c));
}

static void judge_looked_up(wst_access_t *access, wst_request_t *request,
                            const wst__credentials_t *c, const char *name,
                            const wst_access_user_t *given) {
    wst__access_user_t user;
    if (wst__access_take_user(&user, access, name, given) != 0)
        wst__access_tell(request, WST__ACCESS_BROKEN, NULL);
    else
        judge(access, request, c, &user);
    wst__wipe(&user, sizeof(user));
}

/* A request without credentials has been cancelled during the look-up, and needs no answer. */
static void authenticate_looked_up(wst_access_t *access, wst_request_t *request, const char *name,
                                   const wst_access_user_t *given) {
    wst__credentials_t c;
    if (wst__credentials_read(&c, request) && !is_limited(access, request, &c))
        judge_looked_up(access, request, &c, name, given);
    wst__wipe(&c, sizeof(c));
}

/* Authenticated already ---------------------------------------------------------------------- */

/* `user_tenant`: the tenant of the request's user; NULL: there is no such user. */
static void answer_authenticated(wst_request_t *request, const char *user_tenant) {
    if (user_tenant == NULL) {
        wst_request_deny(request, 403, "No such user", NULL);
        return;
    }
    if (wst_request_tenant(request)[0] == '\0')
        wst_request_set_tenant(request, user_tenant);
    wst_request_allow(request);
}

/* The front end has authenticated the client already, so it needs no credentials. Its user must
 * still exist: the client of a removed user is refused. */
static void check_authenticated(wst_access_t *access, wst_request_t *request) {
    const char *name = wst_request_user(request);
    const wst__access_user_t *user = wst__access_find_user(access, name);
    if (user != NULL)
        answer_authenticated(request, user->tenant);
    else if (name[0] == '\0' || !wst_access_has_users(access))
        answer_authenticated(request, "");
    else if (!wst__access_look_up(access, request, name, strlen(name)))
        answer_authenticated(request, NULL);
}

/* The server's questions --------------------------------------------------------------------- */

void wst__access_found(wst_access_t *access, wst_request_t *request, const char *name,
                       const wst_access_user_t *given) {
    const char *tenant = given != NULL && given->tenant != NULL ? given->tenant : "";
    if (wst_request_is_authenticated(request))
        answer_authenticated(request, given != NULL ? tenant : NULL);
    else
        authenticate_looked_up(access, request, name, given);
}

void wst_access_client_request(wst_access_t *access, wst_server_t *server, wst_request_t *request) {
    (void)server;
    const wst__access_user_t *user = NULL;
    if (wst_request_is_authenticated(request))
        check_authenticated(access, request);
    else if ((user = wst__access_find_certified(access, request)) != NULL)
        wst__access_tell(request, WST__ACCESS_RIGHT, user);
    else
        authenticate(access, request);
}

void wst_access_client_login(wst_access_t *access, wst_server_t *server, wst_request_t *request) {
    bool passwords = access->digest[WST__MD5] || access->digest[WST__SHA256];
    if (access->basic || wst__access_find_certified(access, request) != NULL)
        wst_access_client_request(access, server, request);
    else
        wst_request_deny(request, 403,
                         passwords ? "Passwords in clear, as SOCKS sends them, are not taken"
                                   : "A client certificate is required",
                         NULL);
}
