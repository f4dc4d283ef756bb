/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_RESOLVER_H
#define WSTUNNEL_RESOLVER_H
/**
 * @file resolver.h
 * Name look-up. Every context has a resolver, which runs getaddrinfo (so /etc/hosts, mDNS and all
 * other sources of the system count) in threads of its own, started when needed. Callers that wait
 * for the same name share one look-up. A look-up that hangs delays neither names of other zones,
 * nor its caller's deadline, nor the end of the loop. IP literals need no thread. A resolver that
 * needs no threads, such as c-ares, fits behind the hook of wst_ctx_options; it is not the default,
 * since it reads /etc/hosts and DNS but none of the system's other sources.
 *
 * Bounds: one running look-up per thread (wst_ctx_options.resolver_threads), and 1024 names at a
 * time, running or waiting. Of both, a zone (the last two labels of the name) may have as many as
 * are free besides: half if it is alone, and less the more zones there are. Servers bound
 * what one user has an agent look up: see wst_server_limits (server.h).
 *
 * Names that nobody answers for are remembered briefly: a request gets WST_ENAMETIMEOUT at once
 * while the name's look-up has already run for 10 s, and for 10 s after a look-up that took more
 * than 1 s ended with UV_EAI_AGAIN or WST_ENAMETIMEOUT. At most 256 names are remembered.
 */
#include <wstunnel/ctx.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sockaddr_storage;

/** Most addresses of a name that are kept. */
#define WST_ADDRESSES_MAX 32

/** A look-up in progress. */
typedef struct wst_resolve wst_resolve_t;

/**
 * The answer: `count` (> 0) addresses in the order of preference of getaddrinfo (RFC 6724), with
 * port 0, valid during the call; or a negative status: UV_EAI_NONAME, ..., WST_ENAMETIMEOUT,
 * WST_ELIMIT (too many waiting), WST_ENOMEM.
 */
typedef void (*wst_resolve_cb)(int status, const struct sockaddr_storage *addresses, size_t count,
                               void *user_data);

/**
 * Looks up a host: a name or an IP literal (IPv6 without brackets).
 * @param timeout_ms  0: 10000. When it has passed the callback gets WST_ENAMETIMEOUT; the look-up
 *                    itself may go on for other callers.
 * @return 0 and later the callback, exactly once, never from inside this call; or WST_EINVAL (empty
 *         or longer than 255), WST_ENOMEM.
 */
WST_EXTERN WST_MUST_CHECK int wst_resolve(wst_resolve_t **out, wst_ctx_t *ctx, const char *host,
                                          uint64_t timeout_ms, wst_resolve_cb callback,
                                          void *user_data);

/** Cancels the request: the callback will not run. Only before the callback has run. */
WST_EXTERN void wst_resolve_cancel(wst_resolve_t *resolve);

/**
 * Ends a look-up that was handed to the hook of wst_ctx_options: status 0 with addresses (copied,
 * the first WST_ADDRESSES_MAX count; ports are ignored), or a negative status. Call it once:
 * it frees `lookup`. The callbacks of waiting callers run inside this call. The call is required,
 * and allowed, even after the context is gone: closing the context does not wait for the hook.
 */
WST_EXTERN void wst_lookup_answer(wst_lookup_t *lookup, int status,
                                  const struct sockaddr_storage *addresses, size_t count);

#ifdef __cplusplus
}
#endif
#endif
