/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_ACCOUNT_H
#define WST_LIB_ACCOUNT_H
/*
 * Accounts of those who use a server: a user, or clients without a user's name from one source (an
 * IPv4 address, an IPv6 /64, or this machine). Accounts of users lie within that of their tenant.
 * Each holds shares (budget.h) of what all flows of the server may take, so that nobody takes what
 * others need. An account exists while a flow or a byte of memory counts in it, or while it has a
 * place at an agent (late_place.h).
 */
#include "budget.h"
#include "list.h"
#include "table.h"

typedef struct wst__account wst__account_t;

/* Of a user, of what is being opened: in all, of that what waits for missing agents, and at one
 * agent (dial_queue.h). One alone gets two thirds: places are free again soon, and what others need
 * of them must be there at once. */
enum { WST__DIAL_SHARE = 2 };

/* What a single user or tenant may take; 0: no bound beside its share. */
typedef struct wst__quota {
    size_t memory, flows;
} wst__quota_t;

typedef struct wst__accounts {
    const wst_allocator_t *allocator;
    uint64_t seed;
    wst__budget_t *memory;            /* of all */
    wst__budget_t flows, dials, away; /* of all */
    wst__quota_t user, tenant;
    wst__table_t table;
    wst__list_t list;
} wst__accounts_t;

/* `memory` is borrowed. The limits of `flows`, `dials` and `away` are set by the caller. */
void wst__accounts_init(wst__accounts_t *accounts, const wst_allocator_t *allocator, uint64_t seed,
                        wst__budget_t *memory);

/* All accounts must be gone. */
void wst__accounts_free(wst__accounts_t *accounts);

/* Sets the quotas, of accounts that exist, too. */
void wst__accounts_set_quotas(wst__accounts_t *accounts, wst__quota_t user, wst__quota_t tenant);

/* The account of a user or, if `user` is "", of the source in `peer` (wst_stream_peer). It is
 * returned with a reference. NULL: no memory. */
wst__account_t *wst__account_get(wst__accounts_t *accounts, const char *tenant, const char *user,
                                 const char *peer);
void wst__account_ref(wst__account_t *account);
void wst__account_unref(wst__account_t *account);

/* Whether so much more memory would fit in the account if enough were free: no quota refuses it.
 * False, too, if there is no memory to find out. */
bool wst__account_may_fit(wst__accounts_t *accounts, const char *tenant, const char *user,
                          const char *peer, size_t memory);

/* In which the memory of the account's streams counts. It keeps the account. */
wst__budget_t *wst__account_memory(wst__account_t *account);

/* What a flow has taken of an account's shares. Embedded and zeroed. */
typedef struct wst__claim {
    wst__account_t *account; /* referenced; NULL: nothing is taken */
    bool dials;              /* counts as being opened, too */
    bool away;               /* and waits for a missing agent */
} wst__claim_t;

/*
 * Takes a place for a flow that is being opened, and checks that there is memory for its stream,
 * of `memory` bytes. What the claim held before is given back. 0; WST_ENOMEM; or what is missing,
 * as a cause of refusal.h, and the claim then holds nothing.
 */
int wst__claim_take(wst__claim_t *claim, wst__accounts_t *accounts, const char *tenant,
                    const char *user, const char *peer, size_t memory);

/* The flow, which is being opened, waits for an agent whose connection is lost. Returns whether it
 * may; wst__claim_waited: it does no longer. Harmless if it does not. */
bool wst__claim_wait(wst__claim_t *claim);
void wst__claim_waited(wst__claim_t *claim);

/* The flow is open. */
void wst__claim_opened(wst__claim_t *claim);

/* Gives all back. Harmless if nothing is held. */
void wst__claim_drop(wst__claim_t *claim);

#endif
