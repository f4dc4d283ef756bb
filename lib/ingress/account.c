/* SPDX-License-Identifier: MIT */
/* Accounts of users and tenants (account.h). */
#include "account.h"

#include "ip.h"
#include "mem.h"
#include "mix.h"
#include "refusal.h"

#include <string.h>
#include <wstunnel/error.h>

/* Shares, see budget.h. One user alone gets 16/17 of memory and flows. */
enum { USER_SHARE = 16, TENANT_SHARE = 64, TENANT_DIAL_SHARE = 8 };

struct wst__account {
    wst__table_node_t node;
    wst__list_t list_node;
    wst__accounts_t *accounts;
    wst__account_t *within; /* the tenant's, referenced; NULL: this one is a tenant's */
    wst__budget_t memory;
    wst__budget_t flows; /* that are being opened or relay */
    wst__budget_t dials; /* flows that are being opened */
    wst__budget_t away;  /* of these, flows that wait for missing agents */
    size_t refs;
    bool source; /* not a user */
    char name[]; /* of the user or the source, or the tenant's with `within` NULL */
};

void wst__accounts_init(wst__accounts_t *accounts, const wst_allocator_t *allocator, uint64_t seed,
                        wst__budget_t *memory) {
    memset(accounts, 0, sizeof(*accounts));
    accounts->allocator = allocator;
    accounts->seed = seed;
    accounts->memory = memory;
    wst__table_init(&accounts->table, allocator);
    wst__list_init(&accounts->list);
}

void wst__accounts_free(wst__accounts_t *accounts) {
    wst__table_free(&accounts->table);
}

static void set_quota(wst__account_t *a) {
    const wst__quota_t *quota = a->within != NULL ? &a->accounts->user : &a->accounts->tenant;
    a->memory.limit = quota->memory;
    a->flows.limit = quota->flows;
}

void wst__accounts_set_quotas(wst__accounts_t *accounts, wst__quota_t user, wst__quota_t tenant) {
    accounts->user = user;
    accounts->tenant = tenant;
    for (wst__list_t *node = accounts->list.next; node != &accounts->list; node = node->next)
        set_quota(WST__CONTAINER(node, wst__account_t, list_node));
}

/* One account -------------------------------------------------------------------------------- */

/* Frees an account in which nothing counts any more. */
static void settle_account(wst__account_t *a) {
    if (a->refs > 0 || a->memory.used > 0)
        return;
    wst__account_t *tenant = a->within;
    wst__table_remove(&a->accounts->table, &a->node);
    wst__list_remove(&a->list_node);
    wst__free(a->accounts->allocator, a);
    if (tenant != NULL)
        wst__account_unref(tenant);
}

static void on_memory_given_back(wst__budget_t *memory) {
    settle_account(WST__CONTAINER(memory, wst__account_t, memory));
}

void wst__account_ref(wst__account_t *a) {
    a->refs++;
}

void wst__account_unref(wst__account_t *a) {
    a->refs--;
    settle_account(a);
}

wst__budget_t *wst__account_memory(wst__account_t *a) {
    return &a->memory;
}

static uint64_t hash_of(const wst__accounts_t *accounts, const wst__account_t *within,
                        const char *name, bool source) {
    uint64_t seed = wst__mix(accounts->seed ^ (uint64_t)(uintptr_t)within) ^ source;
    return wst__mix_bytes(seed, name, strlen(name));
}

static wst__account_t *new_account(wst__accounts_t *accounts, wst__account_t *within,
                                   const char *name, bool source, uint64_t hash) {
    size_t size = strlen(name) + 1;
    wst__account_t *a = wst__zalloc(accounts->allocator, sizeof(*a) + size);
    if (a == NULL)
        return NULL;
    memcpy(a->name, name, size);
    a->source = source;
    a->accounts = accounts;
    a->within = within;
    a->memory = (wst__budget_t){.within = within != NULL ? &within->memory : accounts->memory,
                                .share = within != NULL ? USER_SHARE : TENANT_SHARE,
                                .emptied = on_memory_given_back};
    a->flows = (wst__budget_t){.within = within != NULL ? &within->flows : &accounts->flows,
                               .share = within != NULL ? USER_SHARE : TENANT_SHARE};
    a->dials = (wst__budget_t){.within = within != NULL ? &within->dials : &accounts->dials,
                               .share = within != NULL ? WST__DIAL_SHARE : TENANT_DIAL_SHARE};
    a->away = (wst__budget_t){.within = within != NULL ? &within->away : &accounts->away,
                              .share = a->dials.share};
    set_quota(a);
    if (within != NULL)
        within->refs++;
    wst__table_insert(&accounts->table, &a->node, hash);
    wst__list_append(&accounts->list, &a->list_node);
    return a;
}

/* With a reference; NULL: no memory. */
static wst__account_t *find_or_make(wst__accounts_t *accounts, wst__account_t *within,
                                    const char *name, bool source) {
    uint64_t hash = hash_of(accounts, within, name, source);
    wst__table_node_t *node = wst__table_first(&accounts->table, hash);
    wst__account_t *a = NULL;
    for (; node != NULL && a == NULL; node = wst__table_next(node)) {
        wst__account_t *other = WST__CONTAINER(node, wst__account_t, node);
        if (other->within == within && other->source == source && strcmp(other->name, name) == 0)
            a = other;
    }
    if (a == NULL)
        a = new_account(accounts, within, name, source, hash);
    if (a != NULL)
        a->refs++;
    return a;
}

/* The source in `peer`, "" for this machine. */
static void name_source(char out[WST__IP_TEXT], const char *peer) {
    wst__ip_t ip;
    out[0] = '\0';
    if (wst__ip_source_of_peer(&ip, peer))
        wst__ip_text(out, &ip);
}

wst__account_t *wst__account_get(wst__accounts_t *accounts, const char *tenant, const char *user,
                                 const char *peer) {
    char source[WST__IP_TEXT];
    bool named = user[0] != '\0';
    wst__account_t *within = find_or_make(accounts, NULL, tenant, false);
    if (within == NULL)
        return NULL;
    name_source(source, peer);
    wst__account_t *a = find_or_make(accounts, within, named ? user : source, !named);
    wst__account_unref(within);
    return a;
}

bool wst__account_may_fit(wst__accounts_t *accounts, const char *tenant, const char *user,
                          const char *peer, size_t memory) {
    wst__account_t *a = wst__account_get(accounts, tenant, user, peer);
    if (a == NULL)
        return false;
    bool may_fit = wst__budget_may_fit(&a->memory, memory);
    wst__account_unref(a);
    return may_fit;
}

/* Claims ------------------------------------------------------------------------------------- */

/* Picks the cause that fits the holder of the budget that has no room. */
static int cause_of(const wst__account_t *a, const wst__budget_t *obstacle, const int causes[3]) {
    if (obstacle->within == NULL)
        return causes[2];
    bool user = obstacle == &a->memory || obstacle == &a->flows || obstacle == &a->dials;
    return causes[user ? 0 : 1];
}

/* What the account lacks for one more flow, as a cause, or 0. */
static int lack(const wst__account_t *a, size_t memory) {
    static const int of_dials[] = {WST__USER_DIALS, WST__TENANT_DIALS, WST__TOO_MANY_PENDING},
                     of_flows[] = {WST__USER_FLOWS, WST__TENANT_FLOWS, WST__TOO_MANY_FLOWS},
                     of_memory[] = {WST__USER_MEMORY, WST__TENANT_MEMORY, WST_EMEMORY};
    const wst__budget_t *obstacle = wst__budget_obstacle(&a->dials, 1);
    if (obstacle != NULL)
        return cause_of(a, obstacle, of_dials);
    obstacle = wst__budget_obstacle(&a->flows, 1);
    if (obstacle != NULL)
        return cause_of(a, obstacle, of_flows);
    obstacle = wst__budget_obstacle(&a->memory, memory);
    return obstacle != NULL ? cause_of(a, obstacle, of_memory) : 0;
}

int wst__claim_take(wst__claim_t *claim, wst__accounts_t *accounts, const char *tenant,
                    const char *user, const char *peer, size_t memory) {
    wst__account_t *a = wst__account_get(accounts, tenant, user, peer);
    wst__claim_drop(claim);
    if (a == NULL)
        return WST_ENOMEM;
    int cause = lack(a, memory);
    if (cause != 0) {
        wst__account_unref(a);
        return cause;
    }
    (void)wst__budget_reserve(&a->dials, 1); /* both fit: see lack() */
    (void)wst__budget_reserve(&a->flows, 1);
    claim->account = a;
    claim->dials = true;
    return 0;
}

bool wst__claim_wait(wst__claim_t *claim) {
    claim->away = wst__budget_reserve(&claim->account->away, 1);
    return claim->away;
}

void wst__claim_waited(wst__claim_t *claim) {
    if (claim->away)
        wst__budget_release(&claim->account->away, 1);
    claim->away = false;
}

void wst__claim_opened(wst__claim_t *claim) {
    wst__claim_waited(claim);
    if (claim->dials)
        wst__budget_release(&claim->account->dials, 1);
    claim->dials = false;
}

void wst__claim_drop(wst__claim_t *claim) {
    if (claim->account == NULL)
        return;
    wst__claim_opened(claim);
    wst__budget_release(&claim->account->flows, 1);
    wst__account_unref(claim->account);
    claim->account = NULL;
}
