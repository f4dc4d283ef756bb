/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_ACCESS_H
#define WST_LIB_ACCESS_H
/*
 * The inside of an access object (wstunnel/access.h). It does not change once it is made, but for
 * the failures it has counted and the nonces it has seen.
 */
#include "digest.h"
#include "limiter.h"
#include "mem.h"
#include "nonces.h"

#include <wstunnel/access.h>
#include <wstunnel/auth.h>
#include <wstunnel/error.h>

typedef struct wst__access_user {
    const char *name, *tenant;
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
    wst__access_user_t nobody; /* whom it takes as long to refuse as anybody else */
};

/* -- access.c -- */

/* Zeroed memory that lives as long as the object, and is wiped then. NULL: no memory. */
void *wst__access_keep(wst_access_t *access, size_t size);

/* Whether a name in the peer's verified certificate is one that the pattern stands for. */
bool wst__access_certificate(const char *pattern, const wst_request_t *request);

/* Whether it has been answered 429 because there were too many failures. */
bool wst__access_limited(const wst_access_t *access, wst_request_t *request,
                         const wst__limiter_key_t *key);

/* One more failure of whoever that is. */
void wst__access_failed(wst_access_t *access, const wst__limiter_key_t *key, const char *peer);

/* -- access_read.c: what is given, checked and kept. 0, WST_EINVAL or WST_ENOMEM -- */

int wst__access_read(wst_access_t *access, const wst_access_options_t *options,
                     wst_access_error_t *error);

/* The order of agents, for bsearch(). */
int wst__access_compare_agents(const void *a, const void *b);

/* -- access_client.c -- */

/* The user's name in Proxy-Authorization, whether or not the rest is right; false: none. */
bool wst__access_claimed(const wst_http_head_t *head, char out[WST_AUTH_MAX]);

#endif
