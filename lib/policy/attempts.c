/* SPDX-License-Identifier: MIT */
/* Attempts to authenticate (attempts.h). */
#include "attempts.h"

#include "ip.h"
#include "limiter.h"
#include "mem.h"
#include "mix.h"

#include <string.h>
#include <wstunnel/error.h>

enum { KEYS = 4096, NETWORKS = 1024, SETS = 256, WAYS = 16 };

/* That a user has succeeded from an address. */
typedef struct success {
    uint64_t pair;
    uint64_t until_ms;
} success_t;

struct wst__attempts {
    const wst_allocator_t *allocator;
    uint64_t seed;
    wst__limiter_t *pairs, *users; /* NULL: no users are told */
    wst__limiter_t *addresses, *networks;
    uint64_t held_until_ms[WST__ATTEMPTS_HELD];
    success_t successes[SETS][WAYS]; /* by user */
};

static size_t times(size_t max, size_t factor) {
    return max < SIZE_MAX / factor ? max * factor : SIZE_MAX;
}

int wst__attempts_new(wst__attempts_t **out, const wst_allocator_t *allocator,
                      const wst__attempts_options_t *o) {
    wst__attempts_t *a = wst__zalloc(allocator, sizeof(*a));
    if (a == NULL)
        return WST_ENOMEM;
    a->allocator = allocator;
    a->seed = o->seed;
    int status = wst__limiter_new(&a->addresses, allocator, times(o->max, o->has_users ? 2 : 1),
                                  o->window_ms, KEYS);
    if (status == 0)
        status =
            wst__limiter_new(&a->networks, allocator, times(o->max, 8), o->window_ms, NETWORKS);
    if (status == 0 && o->has_users)
        status = wst__limiter_new(&a->pairs, allocator, o->max, o->window_ms, KEYS);
    if (status == 0 && o->has_users)
        status = wst__limiter_new(&a->users, allocator, times(o->max, 2), o->window_ms, KEYS);
    if (status != 0) {
        wst__attempts_free(a);
        return status;
    }
    *out = a;
    return 0;
}

void wst__attempts_free(wst__attempts_t *a) {
    if (a == NULL)
        return;
    wst__limiter_free(a->pairs);
    wst__limiter_free(a->users);
    wst__limiter_free(a->addresses);
    wst__limiter_free(a->networks);
    wst__free(a->allocator, a);
}

/* Keys --------------------------------------------------------------------------------------- */

enum { HERE = 1, ADDRESS, NETWORK, USER }; /* what a key is of */

static uint64_t key_of(const wst__attempts_t *a, uint64_t kind, const void *data, size_t len) {
    return wst__mix_bytes(wst__mix(a->seed ^ kind), data, len);
}

void wst__attempt_describe(wst__attempt_t *out, const wst__attempts_t *a, const char *peer,
                           const char *name) {
    wst__ip_t ip;
    uint64_t from = key_of(a, HERE, NULL, 0);
    *out = (wst__attempt_t){.has_user = name != NULL && a->users != NULL,
                            .has_address = wst__ip_of_peer(&ip, peer) && !wst__ip_is_loopback(&ip)};
    if (out->has_address) {
        bool v4 = wst__ip_is_v4(&ip);
        from = out->address = key_of(a, ADDRESS, ip.bytes, v4 ? 16 : 8);
        out->network = key_of(a, NETWORK, ip.bytes, v4 ? 15 : 6);
    }
    if (out->has_user) {
        out->user = key_of(a, USER, name, strlen(name));
        out->pair = wst__mix(out->user ^ wst__mix(from));
    }
}

/* Successes ---------------------------------------------------------------------------------- */

static success_t *set_of(wst__attempts_t *a, const wst__attempt_t *t) {
    return a->successes[t->user % SETS];
}

static bool has_succeeded(const wst__attempts_t *a, const wst__attempt_t *t, uint64_t now_ms) {
    const success_t *set = a->successes[t->user % SETS];
    for (size_t i = 0; i < WAYS; i++)
        if (set[i].pair == t->pair && set[i].until_ms > now_ms)
            return true;
    return false;
}

void wst__attempt_succeeded(wst__attempts_t *a, const wst__attempt_t *t, uint64_t now_ms) {
    if (!t->has_user)
        return;
    success_t *set = set_of(a, t), *s = &set[0];
    for (size_t i = 0; i < WAYS && s->pair != t->pair; i++)
        if (set[i].pair == t->pair || set[i].until_ms < s->until_ms)
            s = &set[i];
    *s = (success_t){.pair = t->pair, .until_ms = now_ms + WST__ATTEMPT_LATELY_MS};
}

/* Limits ------------------------------------------------------------------------------------- */

static uint64_t longest(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

/* How long the attempt must wait for its turn. */
static uint64_t turn_of(const wst__attempts_t *a, const wst__attempt_t *t, uint64_t now_ms) {
    uint64_t wait = 0;
    if (t->has_user) {
        wait = wst__limiter_wait_ms(a->pairs, t->pair, now_ms);
        if (has_succeeded(a, t, now_ms))
            return wait;
        wait = longest(wait, wst__limiter_wait_ms(a->users, t->user, now_ms));
    }
    if (t->has_address) {
        wait = longest(wait, wst__limiter_wait_ms(a->addresses, t->address, now_ms));
        wait = longest(wait, wst__limiter_wait_ms(a->networks, t->network, now_ms));
    }
    return wait;
}

/* The place among the answers held back that is free first. */
static size_t first_free(const wst__attempts_t *a) {
    size_t first = 0;
    for (size_t i = 1; i < WST__ATTEMPTS_HELD; i++)
        if (a->held_until_ms[i] < a->held_until_ms[first])
            first = i;
    return first;
}

bool wst__attempt_admit(const wst__attempts_t *a, const wst__attempt_t *t, uint64_t *wait_ms,
                        uint64_t now_ms) {
    *wait_ms = turn_of(a, t, now_ms);
    if (*wait_ms == 0)
        return true;
    if (*wait_ms > WST__ATTEMPT_HELD_MS) {
        *wait_ms -= WST__ATTEMPT_HELD_MS;
        return false;
    }
    return a->held_until_ms[first_free(a)] <= now_ms;
}

void wst__attempt_hold(wst__attempts_t *a, uint64_t wait_ms, uint64_t now_ms) {
    if (wait_ms > 0)
        a->held_until_ms[first_free(a)] = now_ms + wait_ms;
}

void wst__attempt_failed(wst__attempts_t *a, const wst__attempt_t *t, uint64_t now_ms) {
    if (t->has_user) {
        wst__limiter_fail(a->pairs, t->pair, now_ms, WST__ATTEMPT_HELD_MS);
        wst__limiter_fail(a->users, t->user, now_ms, WST__ATTEMPT_HELD_MS);
    }
    if (t->has_address) {
        wst__limiter_fail(a->addresses, t->address, now_ms, WST__ATTEMPT_HELD_MS);
        wst__limiter_fail(a->networks, t->network, now_ms, WST__ATTEMPT_HELD_MS);
    }
}
