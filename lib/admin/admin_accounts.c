/* SPDX-License-Identifier: MIT */
/* The accounts of operators. Passwords are kept as digests, by a key of each admin. */
#include "admin.h"

#include "defaults.h"
#include "digest.h"
#include "sized.h"

#include <string.h>

/* Whether it is text of 1 to `max` bytes without control characters. */
static bool is_account_text(const char *text, size_t max) {
    size_t len = text != NULL ? strlen(text) : 0;
    if (len == 0 || len > max)
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return false;
    return true;
}

static bool is_account(const wst_admin_account_t *given) {
    return is_account_text(given->name, WST__ADMIN_NAME - 1) && strchr(given->name, ':') == NULL &&
           is_account_text(given->password, WST_AUTH_MAX - 1) &&
           (given->tenant == NULL || is_account_text(given->tenant, WST__ADMIN_NAME - 1));
}

/* 0 or an error. */
static int read_account(wst__admin_account_t *out, const wst_admin_t *a,
                        const wst_admin_account_t *given) {
    if (!is_account(given))
        return WST_EINVAL;
    memcpy(out->name, given->name, strlen(given->name) + 1);
    if (given->tenant != NULL)
        memcpy(out->tenant, given->tenant, strlen(given->tenant) + 1);
    out->read_only = given->read_only;
    return wst__hmac(out->password, a->key, sizeof(a->key), given->password,
                     strlen(given->password));
}

static int read_accounts(wst__admin_account_t *out, const wst_admin_t *a,
                         const wst_admin_account_t *given, size_t count) {
    for (size_t i = 0; i < count; i++) {
        wst_admin_account_t one;
        int status = wst__sized_read_at(&one, sizeof(one), given, i);
        if (status == 0 && one.tenant != NULL && a->options.agent != NULL)
            status = WST_EINVAL; /* agents know no tenants */
        if (status == 0)
            status = read_account(&out[i], a, &one);
        for (size_t j = 0; j < i && status == 0; j++)
            if (strcmp(out[i].name, out[j].name) == 0)
                status = WST_EINVAL;
        if (status != 0)
            return status;
    }
    return 0;
}

/* What limits wrong passwords; once made it stays. */
static int make_attempts(wst_admin_t *a) {
    wst__attempts_options_t options = {
        .max = WST__MAX_FAILURES, .window_ms = WST__FAILURE_WINDOW_MS, .has_users = true};
    if (a->attempts != NULL)
        return 0;
    int status = uv_random(NULL, NULL, &options.seed, sizeof(options.seed), 0, NULL);
    return status == 0 ? wst__attempts_new(&a->attempts, &a->allocator, &options) : status;
}

int wst_admin_set_accounts(wst_admin_t *a, const wst_admin_account_t *given, size_t count) {
    wst__admin_account_t *accounts = NULL;
    if (count > WST__ADMIN_ACCOUNTS || (count > 0 && given == NULL))
        return WST_EINVAL;
    if (count > 0) {
        accounts = wst__zalloc(&a->allocator, count * sizeof(*accounts));
        int status = accounts != NULL ? read_accounts(accounts, a, given, count) : WST_ENOMEM;
        if (status == 0)
            status = make_attempts(a);
        if (status != 0) {
            wst__free(&a->allocator, accounts);
            return status;
        }
    }
    wst__free(&a->allocator, a->accounts);
    a->accounts = accounts;
    a->account_count = count;
    return 0;
}

const wst__admin_account_t *wst__admin_find_account(const wst_admin_t *a,
                                                    const wst_auth_basic_t *c) {
    const wst__admin_account_t *found = NULL;
    uint8_t digest[32];
    if (wst__hmac(digest, a->key, sizeof(a->key), c->password, strlen(c->password)) != 0)
        return NULL;
    for (size_t i = 0; i < a->account_count; i++) {
        const wst__admin_account_t *account = &a->accounts[i];
        bool named = wst_auth_equal(account->name, c->user);
        bool right = wst__equal_constant_time(account->password, sizeof(account->password), digest,
                                              sizeof(digest));
        if (named && right)
            found = account;
    }
    wst__wipe(digest, sizeof(digest));
    return found;
}
