/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_ACCESS_H
#define WST_LIB_ACCESS_H
/*
 * The inside of an access object (wstunnel/access.h). Once it is made, only its counted failures,
 * its nonces and its pending look-ups change.
 */
#include "attempts.h"
#include "digest.h"
#include "list.h"
#include "mem.h"
#include "nonces.h"

#include <wstunnel/access.h>
#include <wstunnel/auth.h>
#include <wstunnel/error.h>

enum { WST__ACCESS_NAME_MAX = 127 }; /* bytes, of a user, a tenant, ... */

typedef struct wst__access_user {
    const char *name, *tenant;   /* NULL in wst_access.nobody */
    const char *password;        /* kept only where hashes do not suffice; else NULL */
    const char *certificate;     /* NULL: none */
    char ha1[2][WST__HASH_TEXT]; /* by wst__hash_t; "": unknown */
    size_t index;                /* in the options */
} wst__access_user_t;

typedef struct wst__access_agent {
    const char *name, *tenant;
    uint8_t (*tokens)[32];
    size_t token_count;
    const char *certificate;      /* NULL: none */
    uint8_t certificate_hash[32]; /* of that pattern; the credential of its sessions */
    const char *const *labels;    /* NULL-terminated; NULL: none */
    size_t index;                 /* in the options */
} wst__access_agent_t;

typedef struct wst__access_block wst__access_block_t;

struct wst_access {
    wst_ctx_t *ctx;
    wst__access_block_t *blocks; /* all memory of wst__access_keep */
    const char *realm;
    wst__access_user_t *users; /* sorted by name */
    size_t user_count;
    wst__access_agent_t *agents;     /* sorted by tenant and name; those with a pattern come last */
    size_t agent_count, named_count; /* all; those without a pattern */
    const char *const **route_agents; /* by route; NULL-terminated lists */
    wst_rules_t *routes;              /* users and destinations of the routes, as denying rules */
    wst_rules_t *rules;
    bool basic, digest[2], selects;
    wst__attempts_t *client_attempts, *agent_attempts; /* NULL: no limit */
    wst__nonces_t *nonces;
    wst__access_user_t nobody; /* an unknown user; refused in the same time as any user */

    void (*on_user)(wst_access_t *access, wst_access_lookup_t *lookup, void *user_data);
    void *user_data;
    wst__list_t lookups; /* not answered yet */
    size_t lookup_count, max_lookups;
    bool crowd_logged;
};

/* The verdict on a client. */
typedef enum wst__access_verdict {
    WST__ACCESS_RIGHT,
    WST__ACCESS_WRONG,   /* wrong credentials */
    WST__ACCESS_STALE,   /* right credentials, but a stale nonce */
    WST__ACCESS_CROWDED, /* too many look-ups are pending */
    WST__ACCESS_UNKNOWN, /* the database gave no valid answer */
    WST__ACCESS_BROKEN   /* out of memory, or hashing failed */
} wst__access_verdict_t;

/* -- access.c -------------------------------------------------------------------------------- */

/* Allocates zeroed memory, which is wiped and freed with the object. NULL: no memory. */
void *wst__access_keep(wst_access_t *access, size_t size);

/* Whether a name in the peer's verified certificate matches the pattern. */
bool wst__access_certificate(const char *pattern, const wst_request_t *request);

/* Describes a request's attempt to authenticate. `attempts` NULL: there is no limit. */
wst__attempt_t wst__access_attempt(const wst__attempts_t *attempts, const wst_request_t *request,
                                   const char *name);

/* Answers the request 429 if the attempt may not be checked. Returns whether it did. `claimed`: the
 * user's name in the credentials, to be reported; NULL: none. */
bool wst__access_limited(const wst_access_t *access, const wst__attempts_t *attempts,
                         wst_request_t *request, const wst__attempt_t *attempt,
                         const char *claimed);

/* Notes that the credentials have been checked: holds the answer back if the attempt was beyond a
 * limit, counts a failure and logs the peer if it must wait now. Call it before the answer. */
void wst__access_checked(wst_access_t *access, wst__attempts_t *attempts, wst_request_t *request,
                         const wst__attempt_t *attempt, bool failed);

/* -- access_read.c --------------------------------------------------------------------------- */

/* Checks the options and keeps copies of them. 0, WST_EINVAL (filling in *error) or WST_ENOMEM. */
int wst__access_read(wst_access_t *access, const wst_access_options_t *options,
                     wst_access_error_t *error);

/* The order of agents, for bsearch(). */
int wst__access_compare_agents(const void *a, const void *b);

/* -- access_user.c --------------------------------------------------------------------------- */

/* Whether the text is UTF-8 without control characters. */
bool wst__access_is_text(const char *text);

bool wst__access_is_user_name(const char *name);

/* What is wrong with the value, for people; NULL: nothing. `*member`: the struct's wrong member. */
const char *wst__access_tenant_flaw(const char *tenant);
const char *wst__access_certificate_flaw(const char *pattern);
const char *wst__access_user_flaw(const wst_access_user_t *given, const char **member);

/* Sets the user's hashes: those given, or those of the given password. 0 or a negative error. */
int wst__access_hash_user(wst__access_user_t *user, const char *realm,
                          const wst_access_user_t *given);

/*
 * Makes a user from the answer to a look-up. `given` NULL (no such user): makes a copy of `nobody`,
 * in the same time. The user borrows from `name` and `given`; wipe it when done. 0 or a negative
 * error.
 */
int wst__access_take_user(wst__access_user_t *out, const wst_access_t *access, const char *name,
                          const wst_access_user_t *given);

/* The user of exactly this name in the list, or NULL. */
const wst__access_user_t *wst__access_find_user(const wst_access_t *access, const char *name);

/* Length of the user's part of a name in credentials, if that is not a user's name as a whole: in
 * "user+agent" (if clients may select agents) the part before the last "+", since agents' names
 * have none; else all of it. */
size_t wst__access_user_part(const wst_access_t *access, const char *name);

/* The user in the list that a name in credentials means, with or without "+agent"; or NULL. */
const wst__access_user_t *wst__access_find_claimed(const wst_access_t *access, const char *name);

/* The user in the list whose pattern the peer's certificate matches, or NULL. */
const wst__access_user_t *wst__access_find_certified(const wst_access_t *access,
                                                     const wst_request_t *request);

/* -- access_client.c ------------------------------------------------------------------------- */

/* Copies the name in the request's credentials, which are not checked. False: the credentials are
 * missing or malformed. */
bool wst__access_claimed(const wst_request_t *request, char out[WST_AUTH_MAX]);

/* Answers a client's request unless its credentials are wrong. `user`: required for
 * WST__ACCESS_RIGHT, else ignored. */
void wst__access_tell(wst_request_t *request, wst__access_verdict_t verdict,
                      const wst__access_user_t *user);

/* Continues a request after its look-up. `given`: the user; NULL: there is no such user. */
void wst__access_found(wst_access_t *access, wst_request_t *request, const char *name,
                       const wst_access_user_t *given);

/* -- access_lookup.c ------------------------------------------------------------------------- */

/*
 * Looks up the user of a name (`len` bytes) for a request. True: the request has been or will be
 * answered, and the object may be gone. False, and nothing happens: there is no database, or no
 * user can have such a name.
 */
bool wst__access_look_up(wst_access_t *access, wst_request_t *request, const char *name,
                         size_t len);

/* Answers the waiting requests. Their look-ups stay until the database answers. */
void wst__access_detach_lookups(wst_access_t *access);

#endif
