/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_PAC_H
#define WSTUNNEL_PAC_H
/**
 * @file pac.h
 * A proxy auto-config file: a JavaScript function by which browsers, and operating systems, choose
 * for each URL between a proxy and a direct connection. It is made from patterns of destinations;
 * a server serves it (wst_server_set_pac). No I/O.
 *
 * What matches a pattern goes to the proxy, and only there; all else is reached directly. Patterns
 * are those of rules (rules.h) and mean the same, with one difference: a network matches addresses
 * only. The browser does not look up names for it, since their addresses are the agent's to find,
 * and its own network may know none or others. Port and address are those in the URL; an
 * IPv4-mapped IPv6 address counts as the IPv4 address.
 */
#include <wstunnel/common.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Bound of a file in bytes: 100 to 200 patterns. */
#define WST_PAC_MAX 16384

/** What a file is made of. */
typedef struct wst_pac wst_pac_t;

/** Options of a file; copied. */
typedef struct wst_pac_options {
    size_t size; /**< sizeof the struct (common.h) */
    /** Required: at least one pattern, as in wst_rule.destinations, in ASCII (browsers ask for
        names in other letters as xn--...); NULL-terminated. */
    const char *const *destinations;
    /** Optional. The proxy's URL: "http://HOST[:PORT]" or "https://HOST[:PORT]" (default ports 80
        and 443). NULL: host and port as the client that asks for the file has them in Host, with
        TLS if it asks by TLS. */
    const char *proxy;
    const wst_allocator_t *allocator; /**< NULL: the C library's; borrowed for the file's life */
} wst_pac_options_t;

/** What is wrong with the options. */
typedef struct wst_pac_error {
    const char *text; /**< the pattern or the proxy, as the options have it; NULL: the list */
    const char *why;  /**< for people; static */
} wst_pac_error_t;

/**
 * Makes a file.
 * @param error  NULL, or filled in if WST_EINVAL is returned
 * @return 0; WST_EINVAL: an option is malformed, or the file would be too long; WST_ENOMEM.
 */
WST_EXTERN WST_MUST_CHECK int wst_pac_new(wst_pac_t **out, const wst_pac_options_t *options,
                                          wst_pac_error_t *error);

/** Frees a file. NULL is allowed. */
WST_EXTERN void wst_pac_free(wst_pac_t *pac);

#ifdef __cplusplus
}
#endif
#endif
