/* SPDX-License-Identifier: MIT */
/*
 * Opening connections. A dial looks the name up, then runs attempts, one socket each, until one is
 * connected, all have failed, time is up, or the owner cancels; that ends the dial. Attempts may
 * outlive it: an abandoned attempt is freed when libuv has completed its request.
 *
 *   resolving -> attempting (the next 250 ms after the last, or when that has failed) -> outcome
 */
#include "addr.h"
#include "ctx.h"
#include "defaults.h"
#include "happy_eyeballs.h"
#include "sized.h"
#include "socket.h"

#include <string.h>
#include <sys/un.h>
#include <wstunnel/dial.h>
#include <wstunnel/resolver.h>

enum { ADDRESSES_MAX = 16 };

typedef struct attempt {
    wst_ctx_t *ctx;   /* held by the socket */
    wst_dial_t *dial; /* NULL: abandoned */
    wst__list_t node;
    wst__socket_t *socket;
    uv_connect_t request;
} attempt_t;

struct wst_dial {
    wst_ctx_t *ctx;
    wst_resolve_t *resolve;   /* while the name is looked up */
    wst__deadline_t deadline; /* for the attempts; the look-up has the resolver's */
    uint64_t give_up_at_ms;
    wst__deadline_t next_attempt;
    struct sockaddr_storage *addresses; /* once they are known */
    size_t count, tried;
    uint16_t port;
    wst__list_t attempts; /* running attempts; the last is the newest */
    int error;            /* the most telling one so far */
    bool (*allow)(const char *address, void *user_data);
    wst_dial_cb callback;
    void *user_data;
};

/* libuv completes the request with UV_ECANCELED, which frees the attempt. */
static void abandon(attempt_t *attempt) {
    wst__list_remove(&attempt->node);
    attempt->dial = NULL;
    wst__socket_close(attempt->socket);
}

/* Ends all work and frees the dial; the hold on the context remains. */
static void take_apart(wst_dial_t *dial) {
    wst__list_t *node;
    while ((node = wst__list_first(&dial->attempts)) != NULL)
        abandon(WST__CONTAINER(node, attempt_t, node));
    if (dial->resolve != NULL)
        wst_resolve_cancel(dial->resolve);
    wst__deadline_clear(&dial->ctx->deadlines, &dial->deadline);
    wst__deadline_clear(&dial->ctx->deadlines, &dial->next_attempt);
    wst__free(&dial->ctx->allocator, dial->addresses);
    wst__free(&dial->ctx->allocator, dial);
}

static void finish_dial(wst_dial_t *dial, int status, wst_stream_t *stream) {
    wst_ctx_t *ctx = dial->ctx;
    wst_dial_cb callback = dial->callback;
    void *user_data = dial->user_data;
    take_apart(dial);
    callback(status, stream, user_data);
    wst__ctx_release(ctx);
}

void wst_dial_cancel(wst_dial_t *dial) {
    wst_ctx_t *ctx = dial->ctx;
    take_apart(dial);
    wst__ctx_release(ctx);
}

/* Attempts ----------------------------------------------------------------------------------- */

static void start_attempts(wst_dial_t *dial);

static void on_connect(uv_connect_t *request, int status) {
    attempt_t *attempt = WST__CONTAINER(request, attempt_t, request);
    wst_dial_t *dial = attempt->dial;
    wst__socket_t *socket = attempt->socket;
    bool newest = dial != NULL && dial->attempts.prev == &attempt->node;
    wst__turns_woken(&attempt->ctx->turns);
    wst__list_remove(&attempt->node);
    wst__free(&attempt->ctx->allocator, attempt);
    if (dial == NULL)
        return;
    wst_stream_t *stream = NULL;
    if (status == 0)
        status = wst__socket_stream(socket, &stream);
    if (status == 0) {
        finish_dial(dial, 0, stream);
        return;
    }
    wst__socket_close(socket);
    dial->error = wst__more_telling(dial->error, status);
    if (newest || wst__list_empty(&dial->attempts))
        start_attempts(dial);
}

/* Starts an attempt: to `address`, or if that is NULL to the Unix socket `path`. */
static int start_attempt(wst_dial_t *dial, const struct sockaddr_storage *address,
                         const char *path) {
    wst_ctx_t *ctx = dial->ctx;
    attempt_t *attempt = wst__zalloc(&ctx->allocator, sizeof(*attempt));
    if (attempt == NULL)
        return WST_ENOMEM;
    int status =
        wst__socket_new(&attempt->socket, ctx, address != NULL ? address->ss_family : AF_UNIX);
    if (status == 0 && address != NULL) {
        status = wst__socket_connect(attempt->socket, &attempt->request, address, on_connect);
        if (status != 0)
            wst__socket_close(attempt->socket);
    } else if (status == 0) {
        uv_pipe_connect(&attempt->request, wst__socket_pipe(attempt->socket), path, on_connect);
    }
    if (status != 0) {
        wst__free(&ctx->allocator, attempt);
        return status;
    }
    attempt->ctx = ctx;
    attempt->dial = dial;
    wst__list_init(&attempt->node);
    wst__list_append(&dial->attempts, &attempt->node);
    return 0;
}

static void on_next_attempt(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    start_attempts(WST__CONTAINER(deadline, wst_dial_t, next_attempt));
}

/* Starts the next address; with none left and none pending, the dial fails. */
static void start_attempts(wst_dial_t *dial) {
    wst__deadline_clear(&dial->ctx->deadlines, &dial->next_attempt);
    while (dial->tried < dial->count) {
        int status = start_attempt(dial, &dial->addresses[dial->tried++], NULL);
        if (status == 0) {
            if (dial->tried < dial->count)
                wst__deadline_in(dial->ctx, &dial->next_attempt, WST__ATTEMPT_DELAY_MS,
                                 on_next_attempt);
            return;
        }
        dial->error = wst__more_telling(dial->error, status);
    }
    if (wst__list_empty(&dial->attempts))
        finish_dial(dial, dial->error, NULL);
}

/* Dials -------------------------------------------------------------------------------------- */

static void on_dial_deadline(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    finish_dial(WST__CONTAINER(deadline, wst_dial_t, deadline), WST_EDIALTIMEOUT, NULL);
}

/* Keeps the allowed addresses. */
static void filter_addresses(wst_dial_t *dial) {
    size_t kept = 0;
    for (size_t i = 0; i < dial->count; i++) {
        char text[WST__IP_TEXT] = "";
        wst__ip_t ip;
        uint16_t port;
        if (wst__addr_ip(&ip, &port, (const struct sockaddr *)&dial->addresses[i]))
            wst__ip_text(text, &ip);
        if (dial->allow(text, dial->user_data))
            dial->addresses[kept++] = dial->addresses[i];
    }
    dial->count = kept;
}

static void on_resolved(int status, const struct sockaddr_storage *addresses, size_t count,
                        void *user_data) {
    wst_dial_t *dial = user_data;
    dial->resolve = NULL;
    if (status != 0) {
        finish_dial(dial, status, NULL);
        return;
    }
    size_t max = count < ADDRESSES_MAX ? count : (size_t)ADDRESSES_MAX;
    dial->addresses = wst__alloc(&dial->ctx->allocator, max * sizeof(*dial->addresses));
    if (dial->addresses == NULL) {
        finish_dial(dial, WST_ENOMEM, NULL);
        return;
    }
    dial->count = wst__happy_eyeballs_order(dial->addresses, max, addresses, count);
    for (size_t i = 0; i < dial->count; i++) {
        struct sockaddr_storage *address = &dial->addresses[i];
        if (address->ss_family == AF_INET)
            ((struct sockaddr_in *)address)->sin_port = htons(dial->port);
        else
            ((struct sockaddr_in6 *)address)->sin6_port = htons(dial->port);
    }
    if (dial->allow != NULL)
        filter_addresses(dial);
    if (dial->count == 0) {
        finish_dial(dial, WST_EDENIED, NULL);
        return;
    }
    wst__deadline_set(&dial->ctx->deadlines, &dial->deadline, dial->give_up_at_ms,
                      on_dial_deadline);
    start_attempts(dial);
}

static bool valid(const wst_dial_options_t *options) {
    /* libuv would cut a path that is too long. */
    if (options->path != NULL)
        return options->path[0] != '\0' &&
               strlen(options->path) < sizeof(((struct sockaddr_un *)NULL)->sun_path);
    return options->port != 0; /* the resolver checks the host */
}

int wst_dial(wst_dial_t **out, wst_ctx_t *ctx, const wst_dial_options_t *given,
             wst_dial_cb callback, void *user_data) {
    wst_dial_options_t options;
    if (wst__sized_read(&options, sizeof(options), given) != 0 || !valid(&options) ||
        callback == NULL)
        return WST_EINVAL;
    wst_dial_t *dial = wst__zalloc(&ctx->allocator, sizeof(*dial));
    if (dial == NULL)
        return WST_ENOMEM;
    uint64_t timeout_ms = options.timeout_ms != 0 ? options.timeout_ms : WST__STEP_TIMEOUT_MS;
    dial->ctx = ctx;
    dial->port = options.port;
    dial->allow = options.allow;
    dial->callback = callback;
    dial->user_data = user_data;
    wst__list_init(&dial->attempts);
    int status;
    if (options.path != NULL) {
        status = start_attempt(dial, NULL, options.path);
        if (status == 0)
            wst__deadline_in(ctx, &dial->deadline, timeout_ms, on_dial_deadline);
    } else {
        uint64_t now = wst__now(ctx);
        dial->give_up_at_ms = timeout_ms < WST__NEVER - now ? now + timeout_ms : WST__NEVER;
        status = wst_resolve(&dial->resolve, ctx, options.host, timeout_ms, on_resolved, dial);
    }
    if (status != 0) {
        wst__free(&ctx->allocator, dial);
        return status;
    }
    wst__ctx_hold(ctx);
    *out = dial;
    return 0;
}
