/* SPDX-License-Identifier: MIT */
/* Accounts of users, sources and tenants: who shares one, what is refused for whose sake, and that
 * none outlives its use. */
#include "support.h"

#include "account.h"
#include "refusal.h"

#include <wstunnel/error.h>

enum { MEMORY = 1000000, FLOWS = 1000, DIALS = 70, COST = 1000 };

typedef struct rig {
    wst__budget_t memory;
    wst__accounts_t accounts;
    wst__claim_t claims[FLOWS];
} rig_t;

static void open_rig(rig_t *r) {
    memset(r, 0, sizeof(*r));
    r->memory.limit = MEMORY;
    wst__accounts_init(&r->accounts, &test_allocator, 7, &r->memory);
    r->accounts.flows.limit = FLOWS;
    r->accounts.dials.limit = DIALS;
}

static void close_rig(rig_t *r) {
    for (int i = 0; i < FLOWS; i++)
        wst__claim_drop(&r->claims[i]);
    assert_int_equal(r->accounts.table.count, 0);
    assert_int_equal(r->memory.used, 0);
    assert_int_equal(r->accounts.flows.used + r->accounts.dials.used, 0);
    wst__accounts_free(&r->accounts);
    assert_int_equal(test_alloc_live(), 0);
}

static wst__claim_t *next_claim(rig_t *r) {
    for (int i = 0; i < FLOWS; i++)
        if (r->claims[i].account == NULL)
            return &r->claims[i];
    return NULL;
}

static int take(rig_t *r, const char *tenant, const char *user, const char *peer) {
    return wst__claim_take(next_claim(r), &r->accounts, tenant, user, peer, COST);
}

/* Takes and opens flows until one is refused: the cause; `*count` of them. */
static int open_many(rig_t *r, const char *tenant, const char *user, const char *peer,
                     size_t *count) {
    for (*count = 0;; ++*count) {
        wst__claim_t *claim = next_claim(r);
        int cause = wst__claim_take(claim, &r->accounts, tenant, user, peer, COST);
        if (cause != 0)
            return cause;
        wst__claim_opened(claim);
    }
}

static void assert_same(rig_t *r, bool same, const char *user_a, const char *peer_a,
                        const char *user_b, const char *peer_b) {
    wst__account_t *a = wst__account_get(&r->accounts, "", user_a, peer_a),
                   *b = wst__account_get(&r->accounts, "", user_b, peer_b);
    assert_true((a == b) == same);
    wst__account_unref(a);
    wst__account_unref(b);
}

static void test_who_shares_an_account(void **state) {
    (void)state;
    static rig_t r;
    open_rig(&r);
    assert_same(&r, true, "alice", "10.0.0.1:5", "alice", "[2001:db8::1]:6");
    assert_same(&r, false, "alice", "10.0.0.1:5", "bob", "10.0.0.1:5");
    assert_same(&r, true, "", "10.0.0.1:5", "", "10.0.0.1:6");
    assert_same(&r, false, "", "10.0.0.1:5", "", "10.0.0.2:5");
    assert_same(&r, true, "", "10.0.0.1:5", "", "[::ffff:10.0.0.1]:6");
    assert_same(&r, true, "", "[2001:db8:0:1::1]:5", "", "[2001:db8:0:1:ff::2]:5");
    assert_same(&r, false, "", "[2001:db8:0:1::1]:5", "", "[2001:db8:0:2::1]:5");
    assert_same(&r, true, "", "unix:", "", "");
    assert_same(&r, false, "10.0.0.1", "", "", "10.0.0.1:5"); /* no user can pose as a source */
    wst__account_t *a = wst__account_get(&r.accounts, "acme", "alice", ""),
                   *b = wst__account_get(&r.accounts, "other", "alice", "");
    assert_ptr_not_equal(a, b);
    wst__account_unref(a);
    wst__account_unref(b);
    close_rig(&r);
}

static void test_dials_of_one_user(void **state) {
    (void)state;
    static rig_t r;
    open_rig(&r);
    int cause, count = 0;
    while ((cause = take(&r, "", "greedy", "")) == 0)
        count++;
    assert_int_equal(cause, WST__USER_DIALS);
    assert_in_range(count, DIALS / 2, DIALS * 2 / 3 + 1);
    wst__claim_opened(&r.claims[0]); /* once open it is no dial any more */
    assert_int_equal(take(&r, "", "greedy", ""), 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(take(&r, "", "alice", ""), 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(take(&r, "other", "greedy", ""), 0);
    close_rig(&r);
}

static void test_flows_of_one_user(void **state) {
    (void)state;
    static rig_t r;
    size_t count;
    open_rig(&r);
    assert_int_equal(open_many(&r, "acme", "greedy", "", &count), WST__USER_FLOWS);
    assert_in_range(count, FLOWS * 9 / 10, FLOWS - 1);
    assert_int_equal(take(&r, "acme", "alice", ""), 0);
    for (int i = 0; i < 20; i++)
        assert_int_equal(take(&r, "", "", "10.0.0.1:5"), 0);
    close_rig(&r);
}

/* Many users of a tenant together are bounded as well. */
static void test_flows_of_one_tenant(void **state) {
    (void)state;
    static rig_t r;
    size_t count;
    char user[8] = "user0";
    int cause = 0;
    open_rig(&r);
    for (; user[4] < '9' && cause != WST__TENANT_FLOWS; user[4]++)
        cause = open_many(&r, "acme", user, "", &count);
    assert_int_equal(cause, WST__TENANT_FLOWS);
    assert_int_equal(take(&r, "other", "alice", ""), 0);
    close_rig(&r);
}

static void test_quotas(void **state) {
    (void)state;
    static rig_t r;
    size_t count;
    open_rig(&r);
    assert_int_equal(take(&r, "acme", "alice", ""), 0); /* before they are set */
    wst__accounts_set_quotas(&r.accounts, (wst__quota_t){.flows = 10}, (wst__quota_t){.flows = 15});
    assert_int_equal(open_many(&r, "acme", "alice", "", &count), WST__USER_FLOWS);
    assert_int_equal(count, 9);
    assert_int_equal(open_many(&r, "acme", "bob", "", &count), WST__TENANT_FLOWS);
    assert_int_equal(count, 5);
    wst__accounts_set_quotas(&r.accounts, (wst__quota_t){.memory = COST - 1}, (wst__quota_t){0});
    assert_int_equal(take(&r, "acme", "alice", ""), WST__USER_MEMORY);
    wst__accounts_set_quotas(&r.accounts, (wst__quota_t){0}, (wst__quota_t){.memory = COST - 1});
    assert_int_equal(take(&r, "acme", "alice", ""), WST__TENANT_MEMORY);
    close_rig(&r);
}

static void test_bounds_of_all(void **state) {
    (void)state;
    static rig_t r;
    open_rig(&r);
    r.accounts.dials.limit = 0;
    assert_int_equal(take(&r, "", "alice", ""), WST__TOO_MANY_PENDING);
    r.accounts.dials.limit = DIALS;
    r.accounts.flows.limit = 0;
    assert_int_equal(take(&r, "", "alice", ""), WST__TOO_MANY_FLOWS);
    r.accounts.flows.limit = FLOWS;
    r.memory.limit = COST - 1;
    assert_int_equal(take(&r, "", "alice", ""), WST_EMEMORY);
    close_rig(&r);
}

/* A stream may be older than its flow, and so its memory. */
static void test_memory_keeps_the_account(void **state) {
    (void)state;
    static rig_t r;
    open_rig(&r);
    assert_int_equal(take(&r, "", "alice", ""), 0);
    wst__budget_t *memory = wst__account_memory(r.claims[0].account);
    assert_true(wst__budget_reserve(memory, COST));
    wst__claim_drop(&r.claims[0]);
    assert_int_equal(r.accounts.table.count, 2);
    assert_int_equal(r.memory.used, COST);
    assert_int_equal(take(&r, "", "alice", ""), 0);
    assert_ptr_equal(wst__account_memory(r.claims[0].account), memory);
    wst__claim_drop(&r.claims[0]);
    wst__budget_release(memory, COST); /* frees it */
    assert_int_equal(r.accounts.table.count, 0);
    close_rig(&r);
}

/* A claim that moves to another account gives back what it had in the first. */
static void test_claim_moves(void **state) {
    (void)state;
    static rig_t r;
    open_rig(&r);
    wst__claim_t *claim = &r.claims[0];
    assert_int_equal(wst__claim_take(claim, &r.accounts, "", "", "10.0.0.1:5", COST), 0);
    assert_int_equal(wst__claim_take(claim, &r.accounts, "", "alice", "10.0.0.1:5", COST), 0);
    assert_int_equal(r.accounts.dials.used, 1);
    assert_int_equal(r.accounts.flows.used, 1);
    assert_int_equal(r.accounts.table.count, 2); /* alice and her tenant */
    r.accounts.flows.limit = 0;
    assert_true(wst__claim_take(claim, &r.accounts, "", "alice", "", COST) != 0);
    assert_null(claim->account);
    close_rig(&r);
}

static void test_no_memory(void **state) {
    (void)state;
    static rig_t r;
    for (size_t n = 1; n <= 2; n++) {
        open_rig(&r);
        test_alloc_fail(n);
        assert_int_equal(take(&r, "acme", "alice", ""), WST_ENOMEM);
        test_alloc_fail(0);
        close_rig(&r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_shares_an_account),
        cmocka_unit_test(test_dials_of_one_user),
        cmocka_unit_test(test_flows_of_one_user),
        cmocka_unit_test(test_flows_of_one_tenant),
        cmocka_unit_test(test_quotas),
        cmocka_unit_test(test_bounds_of_all),
        cmocka_unit_test(test_memory_keeps_the_account),
        cmocka_unit_test(test_claim_moves),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
