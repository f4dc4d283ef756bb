/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_ACCESS_CREDENTIALS_H
#define WST_LIB_ACCESS_CREDENTIALS_H
/* The credentials that a client presents. */
#include "access.h"
#include "http_digest.h"

typedef struct wst__credentials {
    bool basic; /* else Digest */
    bool whole; /* they are not malformed */
    char name[WST_AUTH_MAX];
    wst_auth_basic_t pair;
    wst__digest_credentials_t digest;
} wst__credentials_t;

/* False: the request has none (any more). Wipe them when done; they borrow from the request. */
bool wst__credentials_read(wst__credentials_t *out, const wst_request_t *request);

/* Whether they are of a kind that the challenge offers. */
bool wst__credentials_are_taken(const wst_access_t *access, const wst__credentials_t *c);

/* Whether they are that user's: WST__ACCESS_RIGHT, _WRONG or _STALE, or a negative error. */
int wst__credentials_check(wst_access_t *access, const wst__access_user_t *user,
                           const wst__credentials_t *c, const wst_request_t *request);

#endif
