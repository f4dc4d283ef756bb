/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_ACCESS_CREDENTIALS_H
#define WST_LIB_ACCESS_CREDENTIALS_H
/* The credentials that a client presents. */
#include "access.h"
#include "http_digest.h"

typedef struct wst__credentials {
    bool basic; /* else Digest */
    bool whole; /* well-formed */
    char name[WST_AUTH_MAX];
    wst_auth_basic_t pair;
    wst__digest_credentials_t digest;
} wst__credentials_t;

/* Reads the request's credentials. False: it has none (any more). They borrow from the request;
 * wipe them when done. */
bool wst__credentials_read(wst__credentials_t *out, const wst_request_t *request);

/* Whether the credentials are well-formed and of a scheme and hash that the challenge offers. */
bool wst__credentials_are_taken(const wst_access_t *access, const wst__credentials_t *c);

/* Checks whether the credentials are the user's: WST__ACCESS_RIGHT, _WRONG or _STALE, or a negative
 * error. */
int wst__credentials_check(wst_access_t *access, const wst__access_user_t *user,
                           const wst__credentials_t *c, const wst_request_t *request);

#endif
