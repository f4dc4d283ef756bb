/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_PROXY_CHOOSE_H
#define WSTUNNEL_PROXY_CHOOSE_H
/**
 * @file proxy_choose.h
 * Chooses the proxy for a server by the conventional environment variables. proxy.h, which dials
 * through a proxy, includes this header.
 */
#include <wstunnel/common.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The values of the environment variables, which the program reads; NULL or "": not set. */
typedef struct wst_proxy_env {
    const char *http_proxy;  /**< for ws:// */
    const char *https_proxy; /**< for wss:// */
    const char *all_proxy;   /**< for either scheme whose variable is not set */
    /** Servers to reach directly: a list, separated by commas or spaces, of
        - `*`: all servers;
        - `example.com`, `.example.com` or `*.example.com`: that name and all names below it;
        - `192.0.2.7`, `2001:db8::7` or `[2001:db8::7]`: that address;
        - `192.0.2.0/24`, `2001:db8::/32`: addresses in that network.
        A name or an address may have a `:port` (IPv6 then in brackets). Names are compared as
        texts, never looked up. Any other element matches nothing. */
    const char *no_proxy;
} wst_proxy_env_t;

/**
 * Chooses the proxy for a server's URL (ws:// or wss://). This machine (localhost and names below
 * it, 127.0.0.0/8, ::1) is always reached directly.
 * @return one of the texts in `env`, for wst_proxy_options.url; NULL: none, or a bad URL.
 */
WST_EXTERN const char *wst_proxy_choose(const wst_proxy_env_t *env, const char *url);

#ifdef __cplusplus
}
#endif
#endif
