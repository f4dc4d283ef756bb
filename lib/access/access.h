/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_ACCESS_H
#define WST_LIB_ACCESS_H
/*
 * The inside of an access object (wstunnel/access.h). It does not change once it is made, but for
 * the failures it has counted, the nonces it has seen and the look-ups of users under way.
 */
#include "digest.h"
#include "limiter.h"
#include "list.h"
#include "mem.h"
#include "nonces.h"

#include <wstunnel/access.h>
#include <wstunnel/auth.h>
#include <wstunnel/error.h>

enum { WST__ACCESS_NAME_MAX = 127 }; /* of a user, a tenant, ... */

typedef struct wst__access_user {
    const char *name, *tenant;   /* NULL: nobody's */
    const char *password;        /* kept where a hash does not do; else NULL */
    const char *certificate;     /* NULL: none */
    char ha1[2][WST__HASH_TEXT]; /* by wst__hash_t; "": not known */
    size_t index;                /* in what was given */
} wst__access_user_t;

typedef struct wst__access_agent {
    const char *name, *tenant;
    uint8_t (*tokens)[32];
    size_t token_count;
    const char *certificate;      /* NULL: none */
    uint8_t certificate_hash[32]; /* of that pattern: what its sessions are let in by */
    const char *const *labels;    /* NULL-terminated; NULL: none */
    size_t index;                 /* in the options */
} wst__access_agent_t;

typedef struct wst__access_block wst__access_block_t;

struct wst_access {
    wst_ctx_t *ctx;
    wst__access_block_t *blocks; /* all memory of what follows */
    const char *realm;
    wst__access_user_t *users; /* sorted by name */
    size_t user_count;
    wst__access_agent_t *agents;     /* sorted by tenant and name; those with a pattern come last */
    size_t agent_count, named_count; /* all; those without a pattern */
    const char *const **route_agents; /* of each route */
    wst_rules_t *routes;              /* their users and destinations, as rules that deny */
    wst_rules_t *rules;
    bool basic, digest[2], selects;
    wst__limiter_t *limiter; /* NULL: no limit */
    wst__nonces_t *nonces;
    wst__access_user_t nobody; /* refused in the same time as any user */

    void (*on_user)(wst_access_t *access, wst_access_lookup_t *lookup, void *user_data);
    void *user_data;
    wst__list_t lookups; /* not answered yet */
    size_t lookup_count, max_lookups;
    bool crowd_logged;
};

/* The verdict on a client. */
typedef enum wst__access_verdict {
    WST__ACCESS_RIGHT,
    WST__ACCESS_WRONG, /* or there are no credentials */
    WST__ACCESS_STALE, /* right, but for their nonce */
    WST__ACCESS_CROWDED,
    WST__ACCESS_UNKNOWN, /* the data base gave no answer */
    WST__ACCESS_BROKEN   /* no memory, no hash */
} wst__access_verdict_t;

/* -- access.c -------------------------------------------------------------------------------- */

/* Zeroed memory that lives as long as the object, and is wiped then. NULL: no memory. */
void *wst__access_keep(wst_access_t *access, size_t size);

/* Whether a name in the peer's verified certificate is one that the pattern stands for. */
bool wst__access_certificate(const char *pattern, const wst_request_t *request);

/* Whether the request was answered 429 because of too many failures. */
bool wst__access_limited(const wst_access_t *access, wst_request_t *request,
                         const wst__limiter_key_t *key);

/* Counts one more failure for the key. */
void wst__access_failed(wst_access_t *access, const wst__limiter_key_t *key, const char *peer);

/* -- access_read.c: what is given, checked and kept. 0, WST_EINVAL or WST_ENOMEM ------------- */

int wst__access_read(wst_access_t *access, const wst_access_options_t *options,
                     wst_access_error_t *error);

/* The order of agents, for bsearch(). */
int wst__access_compare_agents(const void *a, const void *b);

/* -- access_user.c --------------------------------------------------------------------------- */

/* Whether it is UTF-8 without control characters. */
bool wst__access_is_text(const char *text);

bool wst__access_is_user_name(const char *name);

/* What is wrong, for people; NULL: nothing. `*member`: of the struct. */
const char *wst__access_tenant_flaw(const char *tenant);
const char *wst__access_certificate_flaw(const char *pattern);
const char *wst__access_user_flaw(const wst_access_user_t *given, const char **member);

/* The hashes that are given, or those of the password. 0 or a negative error. */
int wst__access_hash_user(wst__access_user_t *user, const char *realm,
                          const wst_access_user_t *given);

/*
 * The user of a look-up; NULL: nobody, in the same time. It borrows from both; wipe it when done.
 * 0 or a negative error.
 */
int wst__access_take_user(wst__access_user_t *out, const wst_access_t *access, const char *name,
                          const wst_access_user_t *given);

/* The user of that very name in the list, or NULL. */
const wst__access_user_t *wst__access_find_user(const wst_access_t *access, const char *name);

/* How much of a name in credentials is the user's, if no user has all of it as a name: with "+" and
 * an agent's behind it, what stands before the last "+", for names of agents have none. */
size_t wst__access_user_part(const wst_access_t *access, const char *name);

/* The user of a name in credentials, or NULL. */
const wst__access_user_t *wst__access_find_claimed(const wst_access_t *access, const char *name);

/* The user of the peer's certificate, or NULL. */
const wst__access_user_t *wst__access_find_certified(const wst_access_t *access,
                                                     const wst_request_t *request);

/* -- access_client.c ------------------------------------------------------------------------- */

/* The user's name in the credentials, whether or not the rest is right; false: none. */
bool wst__access_claimed(const wst_request_t *request, char out[WST_AUTH_MAX]);

/* Answers a request of a client. `user`: of WST__ACCESS_RIGHT, else NULL. */
void wst__access_tell(wst_access_t *access, wst_request_t *request, wst__access_verdict_t verdict,
                      const wst__access_user_t *user);

/* The answer to a look-up: goes on with the request. `given`: NULL if there is no such user. */
void wst__access_found(wst_access_t *access, wst_request_t *request, const char *name,
                       const wst_access_user_t *given);

/* -- access_lookup.c ------------------------------------------------------------------------- */

/*
 * Looks up a user for a request. Then the request has been or will be answered, and the object may
 * be gone. False: there is no data base, or none asks it for such a name (`len` bytes).
 */
bool wst__access_look_up(wst_access_t *access, wst_request_t *request, const char *name,
                         size_t len);

/* Answers the requests that wait, and leaves their look-ups to the data base. */
void wst__access_detach_lookups(wst_access_t *access);

#endif
