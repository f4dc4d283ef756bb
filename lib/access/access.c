/* SPDX-License-Identifier: MIT */
/* The life of an access object (access.h), and functions for both users and agents. */
#include "access.h"

#include "defaults.h"
#include "glob.h"
#include "sized.h"

#include <stdio.h>
#include <string.h>
#include <uv.h>
#include <wstunnel/tls.h>

struct wst__access_block {
    wst__access_block_t *next;
    size_t size; /* of the memory behind this struct */
};

void *wst__access_keep(wst_access_t *access, size_t size) {
    wst__access_block_t *block = wst__zalloc(wst_ctx_allocator(access->ctx), sizeof(*block) + size);
    if (block == NULL)
        return NULL;
    block->next = access->blocks;
    block->size = size;
    access->blocks = block;
    return block + 1;
}

/* Makes what counts the attempts of clients and agents: apart, so that neither can lock the other
 * out. */
static int prepare_attempts(wst_access_t *access, size_t max, uint64_t window_ms, uint64_t seed) {
    const wst_allocator_t *a = wst_ctx_allocator(access->ctx);
    wst__attempts_options_t options = {
        .max = max, .window_ms = window_ms, .seed = seed, .has_users = true};
    int status = wst__attempts_new(&access->client_attempts, a, &options);
    options.has_users = false;
    return status == 0 ? wst__attempts_new(&access->agent_attempts, a, &options) : status;
}

/* Makes the nonces and, unless failures are unlimited, what counts them. */
static int prepare(wst_access_t *access, const wst_access_options_t *o) {
    const wst_allocator_t *a = wst_ctx_allocator(access->ctx);
    size_t max = o->max_failures != 0 ? o->max_failures : WST__MAX_FAILURES;
    uint64_t window = o->failure_window_ms != 0 ? o->failure_window_ms : WST__FAILURE_WINDOW_MS;
    uint64_t seed;
    uint8_t key[32];
    int status = uv_random(NULL, NULL, &seed, sizeof(seed), 0, NULL);
    if (status == 0)
        status = uv_random(NULL, NULL, key, sizeof(key), 0, NULL);
    if (status == 0 && max != SIZE_MAX)
        status = prepare_attempts(access, max, window, seed);
    if (status == 0)
        status = wst__nonces_new(&access->nonces, a, key);
    wst__wipe(key, sizeof(key));
    return status;
}

int wst_access_new(wst_access_t **out, wst_ctx_t *ctx, const wst_access_options_t *given,
                   wst_access_error_t *error) {
    wst_access_options_t options;
    wst_access_error_t ignored;
    if (error == NULL)
        error = &ignored;
    *error = (wst_access_error_t){.list = "", .member = "size", .why = "not set"};
    if (wst__sized_read(&options, sizeof(options), given) != 0)
        return WST_EINVAL;
    wst_access_t *access = wst__zalloc(wst_ctx_allocator(ctx), sizeof(*access));
    if (access == NULL)
        return WST_ENOMEM;
    access->ctx = ctx;
    wst__list_init(&access->lookups);
    memset(access->nobody.ha1[WST__MD5], '0', 2 * wst__hash_len(WST__MD5));
    memset(access->nobody.ha1[WST__SHA256], '0', 2 * wst__hash_len(WST__SHA256));
    int status = wst__access_read(access, &options, error);
    if (status == 0)
        status = prepare(access, &options);
    if (status != 0) {
        wst_access_free(access);
        return status;
    }
    access->rules = options.rules;
    *out = access;
    return 0;
}

void wst_access_free(wst_access_t *access) {
    if (access == NULL)
        return;
    const wst_allocator_t *a = wst_ctx_allocator(access->ctx);
    wst__access_detach_lookups(access);
    wst_rules_free(access->rules);
    wst_rules_free(access->routes);
    wst__attempts_free(access->client_attempts);
    wst__attempts_free(access->agent_attempts);
    wst__nonces_free(access->nonces);
    while (access->blocks != NULL) {
        wst__access_block_t *block = access->blocks;
        access->blocks = block->next;
        wst__wipe(block + 1, block->size);
        wst__free(a, block);
    }
    wst__free(a, access);
}

bool wst_access_has_users(const wst_access_t *access) {
    return access->user_count > 0 || access->on_user != NULL;
}

bool wst_access_has_agents(const wst_access_t *access) {
    return access->agent_count > 0;
}

wst__attempt_t wst__access_attempt(const wst__attempts_t *attempts, const wst_request_t *request,
                                   const char *name) {
    wst__attempt_t attempt = {0};
    if (attempts != NULL)
        wst__attempt_describe(&attempt, attempts, wst_request_peer(request), name);
    return attempt;
}

bool wst__access_limited(const wst_access_t *access, const wst__attempts_t *attempts,
                         wst_request_t *request, const wst__attempt_t *attempt,
                         const char *claimed) {
    uint64_t wait;
    if (attempts == NULL || wst__attempt_admit(attempts, attempt, &wait, wst_ctx_now(access->ctx)))
        return false;
    char fields[64];
    snprintf(fields, sizeof(fields), "Retry-After: %llu\r\n",
             (unsigned long long)((wait + 999) / 1000));
    wst_request_deny_with(
        request, &(wst_request_denial_t){.size = sizeof(wst_request_denial_t),
                                         .status = 429,
                                         .reason = "Too many failed attempts to authenticate",
                                         .fields = fields,
                                         .claimed_user = claimed});
    return true;
}

void wst__access_checked(wst_access_t *access, wst__attempts_t *attempts, wst_request_t *request,
                         const wst__attempt_t *attempt, bool failed) {
    uint64_t wait, now = wst_ctx_now(access->ctx);
    if (attempts == NULL)
        return;
    wst__attempt_admit(attempts, attempt, &wait, now);
    wst__attempt_hold(attempts, wait, now);
    wst_request_delay(request, wait);
    if (!failed)
        return;
    wst__attempt_failed(attempts, attempt, now);
    wst__attempt_admit(attempts, attempt, &wait, now);
    if (wait > 0)
        wst_ctx_log(access->ctx, WST_LOG_WARN, "%s: too many failed attempts to authenticate",
                    wst_request_peer(request));
}

static bool has_name(const wst_tls_certificate_t *peer, wst_tls_name_kind_t kind,
                     const char *pattern) {
    for (size_t i = 0; i < peer->name_count; i++) {
        const char *text = peer->names[i].text;
        if (peer->names[i].kind == kind && wst__glob(pattern, (wst_str_t){text, strlen(text)}))
            return true;
    }
    return false;
}

bool wst__access_certificate(const char *pattern, const wst_request_t *request) {
    const wst_tls_info_t *tls = wst_request_tls(request);
    if (tls == NULL || !tls->peer_verified || tls->peer == NULL)
        return false;
    const char *name = strchr(pattern, ':') + 1; /* found: the pattern was checked when read */
    const char *common = tls->peer->common_name;
    switch (pattern[0]) {
    case 'C':
        return common[0] != '\0' && wst__glob(name, (wst_str_t){common, strlen(common)});
    case 'd':
        return has_name(tls->peer, WST_TLS_NAME_DNS, name);
    case 'e':
        return has_name(tls->peer, WST_TLS_NAME_EMAIL, name);
    default:
        return has_name(tls->peer, WST_TLS_NAME_URI, name);
    }
}
