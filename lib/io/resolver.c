/* SPDX-License-Identifier: MIT */
/*
 * The resolver of a context: a table of the names being looked up, each with its waiters, and the
 * threads, or the embedder's hook, that do the work. A look-up stays in the table until it is
 * answered, even without waiters: further requests for the name join it. Only a look-up that has
 * not begun is dropped with its last waiter.
 *
 *   wst_resolve -> literal: answered by a deferred callback
 *               -> name: joins a look-up or makes one -> answer, deadline or cancel
 */
#include "ctx.h"
#include "defaults.h"
#include "lookup_threads.h"
#include "names.h"

#include <string.h>
#include <wstunnel/resolver.h>

enum { HOST_MAX = 255, NAMES_MAX = 1024, THREAD_IDLE_MS = 10000, NS_PER_MS = 1000000 };

typedef struct wst__resolver {
    wst__service_t service;
    wst_ctx_t *ctx;
    wst__lookup_threads_t *threads; /* NULL before the first name, and always with a hook */
    uv_async_t done;                /* lives with the threads */
    wst__list_t lookups;
    size_t names;   /* their number */
    size_t waiting; /* requests that wait for a look-up */
    uint64_t seed;
    wst__name_memory_t memory;
} wst__resolver_t;

/* A name being looked up. */
struct wst_lookup {
    wst__list_t node;
    wst__resolver_t *resolver; /* NULL: the context is gone; only the hook's answer is missing */
    wst_allocator_t allocator; /* a copy, for that case */
    wst__list_t waiters;
    wst__lookup_job_t *job;  /* NULL: the hook's */
    wst__defer_t defer;      /* calls the hook */
    uint64_t hook_called_ns; /* 0: not yet */
    uint64_t zone;
    char host[];
};

struct wst_resolve {
    wst_ctx_t *ctx;
    wst_lookup_t *lookup; /* NULL: the result is known and `defer` delivers it */
    wst__list_t node;
    wst__deadline_t deadline;
    wst__defer_t defer;
    int status;
    struct sockaddr_storage literal;
    wst_resolve_cb callback;
    void *user_data;
};

/* Addresses ---------------------------------------------------------------------------------- */

/* Copies an address of a family that we can dial, without its port. */
static size_t copy_address(struct sockaddr_storage *out, const struct sockaddr *address) {
    memset(out, 0, sizeof(*out));
    if (address->sa_family == AF_INET) {
        struct sockaddr_in *copy = (struct sockaddr_in *)out;
        memcpy(copy, address, sizeof(*copy));
        copy->sin_port = 0;
        return 1;
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 *copy = (struct sockaddr_in6 *)out;
        memcpy(copy, address, sizeof(*copy));
        copy->sin6_port = 0;
        return 1;
    }
    return 0;
}

static size_t copy_info(struct sockaddr_storage *out, const struct addrinfo *info) {
    size_t count = 0;
    for (; info != NULL && count < WST_ADDRESSES_MAX; info = info->ai_next)
        count += copy_address(&out[count], info->ai_addr);
    return count;
}

/* Whether the host is an IP literal, valid or not; then *status and *out are the answer. */
static bool read_literal(const char *host, int *status, struct sockaddr_storage *out) {
    memset(out, 0, sizeof(*out));
    if (uv_ip4_addr(host, 0, (struct sockaddr_in *)out) == 0) {
        *status = 0;
        return true;
    }
    if (strchr(host, ':') == NULL)
        return false;
    /* Sends no query, so it does not block, and knows zones ("fe80::1%eth0"). */
    struct addrinfo *info;
    *status = wst__getaddrinfo(&info, host, AI_NUMERICHOST);
    if (*status == 0) {
        copy_address(out, info->ai_addr);
        freeaddrinfo(info);
    }
    return true;
}

/* Requests ----------------------------------------------------------------------------------- */

static void leave_lookup(wst_resolve_t *resolve);

/* Ends a request that is in no list, deadline or defer any more. */
static void tell_resolved(wst_resolve_t *resolve, int status,
                          const struct sockaddr_storage *addresses, size_t count) {
    wst_ctx_t *ctx = resolve->ctx;
    resolve->callback(status, addresses, count, resolve->user_data);
    wst__free(&ctx->allocator, resolve);
    wst__ctx_release(ctx);
}

static void on_known(wst__defer_t *defer) {
    wst_resolve_t *resolve = WST__CONTAINER(defer, wst_resolve_t, defer);
    if (resolve->status == 0)
        tell_resolved(resolve, 0, &resolve->literal, 1);
    else
        tell_resolved(resolve, resolve->status, NULL, 0);
}

static void on_resolve_deadline(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    wst_resolve_t *resolve = WST__CONTAINER(deadline, wst_resolve_t, deadline);
    leave_lookup(resolve);
    tell_resolved(resolve, WST_ENAMETIMEOUT, NULL, 0);
}

void wst_resolve_cancel(wst_resolve_t *resolve) {
    wst_ctx_t *ctx = resolve->ctx;
    if (resolve->lookup != NULL)
        leave_lookup(resolve);
    wst__list_remove(&resolve->node);
    wst__defer_cancel(&resolve->defer);
    wst__free(&ctx->allocator, resolve);
    wst__ctx_release(ctx);
}

/* Look-ups ----------------------------------------------------------------------------------- */

/* The async handle keeps the loop alive only while requests wait. */
static void count_waiter(wst__resolver_t *resolver, bool comes) {
    resolver->waiting = comes ? resolver->waiting + 1 : resolver->waiting - 1;
    if (resolver->threads == NULL)
        return;
    if (resolver->waiting > 0)
        uv_ref((uv_handle_t *)&resolver->done);
    else
        uv_unref((uv_handle_t *)&resolver->done);
}

static void detach_waiter(wst_resolve_t *resolve) {
    wst__list_remove(&resolve->node);
    wst__deadline_clear(&resolve->ctx->deadlines, &resolve->deadline);
    resolve->lookup = NULL;
}

static void remove_lookup(wst_lookup_t *lookup) {
    wst__list_remove(&lookup->node);
    lookup->resolver->names--;
}

static void free_lookup(wst_lookup_t *lookup) {
    wst_allocator_t allocator = lookup->allocator;
    wst__free(&allocator, lookup);
}

/* Whether the look-up has begun, and so will be answered. */
static bool begun(wst_lookup_t *lookup) {
    if (lookup->job == NULL)
        return lookup->hook_called_ns != 0;
    return !wst__lookup_threads_withdraw(lookup->resolver->threads, lookup->job);
}

/* For how long the system, or the hook, has not answered. */
static uint64_t ran_ms(const wst_lookup_t *lookup) {
    if (lookup->job != NULL)
        return wst__lookup_threads_ran_ms(lookup->resolver->threads, lookup->job);
    return lookup->hook_called_ns == 0 ? 0 : (uv_hrtime() - lookup->hook_called_ns) / NS_PER_MS;
}

static void leave_lookup(wst_resolve_t *resolve) {
    wst_lookup_t *lookup = resolve->lookup;
    detach_waiter(resolve);
    count_waiter(lookup->resolver, false);
    if (!wst__list_empty(&lookup->waiters) || begun(lookup))
        return;
    wst__defer_cancel(&lookup->defer);
    remove_lookup(lookup);
    free_lookup(lookup);
}

/* Answers all waiters. Their callbacks may do anything: uses nothing after the last one. `ran`:
 * how long the look-up took, in ms. */
static void finish_lookup(wst_lookup_t *lookup, uint64_t ran, int status,
                          const struct sockaddr_storage *addresses, size_t count) {
    wst__resolver_t *resolver = lookup->resolver;
    wst__list_t waiters;
    wst__names_note(&resolver->memory, lookup->host, resolver->seed, status, ran,
                    uv_hrtime() / NS_PER_MS);
    remove_lookup(lookup);
    wst__list_take(&waiters, &lookup->waiters);
    free_lookup(lookup);
    WST__LIST_EACH(wst_resolve_t, resolve, &waiters, node) {
        /* The waiters are on a list of their own; a request that a callback cancels leaves it. */
        wst__deadline_clear(&resolve->ctx->deadlines, &resolve->deadline);
        resolve->lookup = NULL;
        count_waiter(resolver, false);
    }
    wst__list_t *node;
    while ((node = wst__list_first(&waiters)) != NULL) {
        wst__list_remove(node);
        tell_resolved(WST__CONTAINER(node, wst_resolve_t, node), status, addresses, count);
    }
}

static wst_lookup_t *find_lookup(const wst__resolver_t *resolver, const char *host) {
    WST__LIST_EACH(wst_lookup_t, lookup, &resolver->lookups, node) {
        if (strcmp(lookup->host, host) == 0)
            return lookup;
    }
    return NULL;
}

static void call_hook(wst__defer_t *defer) {
    wst_lookup_t *lookup = WST__CONTAINER(defer, wst_lookup_t, defer);
    const wst_ctx_options_t *options = &lookup->resolver->ctx->options;
    lookup->hook_called_ns = uv_hrtime();
    options->resolve(lookup, lookup->host, options->user_data);
}

void wst_lookup_answer(wst_lookup_t *lookup, int status, const struct sockaddr_storage *addresses,
                       size_t count) {
    if (lookup->resolver == NULL) {
        free_lookup(lookup);
        return;
    }
    struct sockaddr_storage copies[WST_ADDRESSES_MAX];
    size_t copied = 0;
    for (size_t i = 0; status == 0 && i < count && copied < WST_ADDRESSES_MAX; i++)
        copied += copy_address(&copies[copied], (const struct sockaddr *)&addresses[i]);
    if (status == 0 && copied == 0)
        status = UV_EAI_NODATA;
    finish_lookup(lookup, ran_ms(lookup), status, status == 0 ? copies : NULL, copied);
}

/* Threads ------------------------------------------------------------------------------------ */

static void on_lookups_done(uv_async_t *done) {
    wst__resolver_t *resolver = done->data;
    wst_ctx_t *ctx = resolver->ctx;
    wst__lookup_job_t *job;
    wst__turns_woken(&ctx->turns);
    wst__ctx_hold(ctx); /* the last callback may free the context and the resolver */
    while ((job = wst__lookup_threads_take(resolver->threads)) != NULL) {
        struct sockaddr_storage addresses[WST_ADDRESSES_MAX];
        wst_lookup_t *lookup = job->owner;
        int status = job->status;
        uint64_t ran = job->ran_ms;
        size_t count = status == 0 ? copy_info(addresses, job->info) : 0;
        wst__lookup_job_free(resolver->threads, job);
        if (status == 0 && count == 0)
            status = UV_EAI_NODATA;
        finish_lookup(lookup, ran, status, status == 0 ? addresses : NULL, count);
    }
    wst__ctx_release(ctx);
}

static int start_threads(wst__resolver_t *resolver) {
    if (resolver->threads != NULL)
        return 0;
    wst_ctx_t *ctx = resolver->ctx;
    /*
     * The threads' memory comes from the C library: the context's allocator need not be
     * thread-safe, nor exist any more when a stuck thread ends.
     */
    wst__lookup_threads_t *threads;
    int status =
        wst__lookup_threads_new(&threads, &wst__default_allocator, ctx->options.resolver_threads,
                                THREAD_IDLE_MS, &resolver->done);
    if (status != 0)
        return status;
    status = uv_async_init(ctx->loop, &resolver->done, on_lookups_done);
    if (status != 0) {
        wst__lookup_threads_let_go(threads);
        return status;
    }
    resolver->done.data = resolver;
    resolver->threads = threads;
    uv_unref((uv_handle_t *)&resolver->done);
    return 0;
}

/* The resolver itself ------------------------------------------------------------------------ */

static void on_async_closed(uv_handle_t *handle) {
    wst__resolver_t *resolver = handle->data;
    wst_ctx_t *ctx = resolver->ctx;
    wst__free(&ctx->allocator, resolver);
    wst__ctx_release(ctx);
}

/* Cancels all look-ups and lets go of the threads. */
static void close_resolver(wst__service_t *service) {
    wst__resolver_t *resolver = WST__CONTAINER(service, wst__resolver_t, service);
    wst__list_t *node;
    while ((node = wst__list_first(&resolver->lookups)) != NULL) {
        wst_lookup_t *lookup = WST__CONTAINER(node, wst_lookup_t, node);
        remove_lookup(lookup);
        if (lookup->hook_called_ns != 0)
            lookup->resolver = NULL;
        else
            free_lookup(lookup);
    }
    if (resolver->threads == NULL) {
        wst__free(&resolver->ctx->allocator, resolver);
        return;
    }
    wst__lookup_threads_let_go(resolver->threads);
    wst__ctx_hold(resolver->ctx);
    uv_close((uv_handle_t *)&resolver->done, on_async_closed);
}

size_t wst__ctx_names(const wst_ctx_t *ctx) {
    const wst__service_t *service = wst__ctx_service(ctx, close_resolver);
    return service != NULL ? WST__CONTAINER(service, const wst__resolver_t, service)->names : 0;
}

/* The context's resolver, made at the first look-up; NULL without memory or random bytes. */
static wst__resolver_t *resolver_of(wst_ctx_t *ctx) {
    wst__service_t *service = wst__ctx_service(ctx, close_resolver);
    if (service != NULL)
        return WST__CONTAINER(service, wst__resolver_t, service);
    wst__resolver_t *resolver = wst__zalloc(&ctx->allocator, sizeof(*resolver));
    if (resolver == NULL)
        return NULL;
    resolver->ctx = ctx;
    if (wst__random(ctx, &resolver->seed, sizeof(resolver->seed)) != 0) {
        wst__free(&ctx->allocator, resolver);
        return NULL;
    }
    wst__list_init(&resolver->lookups);
    wst__ctx_add_service(ctx, &resolver->service, close_resolver);
    return resolver;
}

/* Asking ------------------------------------------------------------------------------------- */

static size_t count_names(const wst__resolver_t *resolver, uint64_t zone) {
    size_t n = 0;
    WST__LIST_EACH(wst_lookup_t, lookup, &resolver->lookups, node) {
        n += lookup->zone == zone;
    }
    return n;
}

static int make_lookup(wst_lookup_t **out, wst__resolver_t *resolver, const char *host) {
    wst_ctx_t *ctx = resolver->ctx;
    uint64_t zone = wst__zone_of(host, resolver->seed);
    if (!wst__zone_may_take(count_names(resolver, zone), resolver->names, NAMES_MAX))
        return WST_ELIMIT;
    size_t size = strlen(host) + 1;
    wst_lookup_t *lookup = wst__zalloc(&ctx->allocator, sizeof(*lookup) + size);
    if (lookup == NULL)
        return WST_ENOMEM;
    lookup->resolver = resolver;
    lookup->zone = zone;
    lookup->allocator = ctx->allocator;
    wst__list_init(&lookup->node);
    wst__list_init(&lookup->waiters);
    wst__defer_init(&lookup->defer);
    memcpy(lookup->host, host, size);
    if (ctx->options.resolve != NULL) {
        wst__defer(ctx, &lookup->defer, call_hook);
    } else {
        int status = start_threads(resolver);
        if (status == 0)
            status =
                wst__lookup_threads_submit(resolver->threads, &lookup->job, host, zone, lookup);
        if (status != 0) {
            free_lookup(lookup);
            return status;
        }
    }
    wst__list_append(&resolver->lookups, &lookup->node);
    resolver->names++;
    *out = lookup;
    return 0;
}

static int join_lookup(wst_resolve_t *resolve, const char *host, uint64_t timeout_ms) {
    wst_ctx_t *ctx = resolve->ctx;
    wst__resolver_t *resolver = resolver_of(ctx);
    if (resolver == NULL)
        return WST_ENOMEM;
    wst_lookup_t *lookup = find_lookup(resolver, host);
    if (lookup != NULL && ran_ms(lookup) >= WST__NAME_HANGS_MS)
        return WST_ENAMETIMEOUT;
    if (lookup == NULL) {
        if (wst__names_recall(&resolver->memory, host, resolver->seed, uv_hrtime() / NS_PER_MS))
            return WST_ENAMETIMEOUT;
        int status = make_lookup(&lookup, resolver, host);
        if (status != 0)
            return status;
    }
    resolve->lookup = lookup;
    wst__list_append(&lookup->waiters, &resolve->node);
    count_waiter(resolver, true);
    wst__deadline_in(ctx, &resolve->deadline, timeout_ms != 0 ? timeout_ms : WST__STEP_TIMEOUT_MS,
                     on_resolve_deadline);
    return 0;
}

int wst_resolve(wst_resolve_t **out, wst_ctx_t *ctx, const char *host, uint64_t timeout_ms,
                wst_resolve_cb callback, void *user_data) {
    if (host == NULL || host[0] == '\0' || strlen(host) > HOST_MAX || callback == NULL)
        return WST_EINVAL;
    wst_resolve_t *resolve = wst__zalloc(&ctx->allocator, sizeof(*resolve));
    if (resolve == NULL)
        return WST_ENOMEM;
    resolve->ctx = ctx;
    resolve->callback = callback;
    resolve->user_data = user_data;
    wst__list_init(&resolve->node);
    wst__defer_init(&resolve->defer);
    if (!read_literal(host, &resolve->status, &resolve->literal))
        resolve->status = join_lookup(resolve, host, timeout_ms);
    if (resolve->status == WST_ENOMEM) {
        wst__free(&ctx->allocator, resolve);
        return WST_ENOMEM;
    }
    if (resolve->lookup == NULL)
        wst__defer(ctx, &resolve->defer, on_known);
    wst__ctx_hold(ctx);
    *out = resolve;
    return 0;
}
