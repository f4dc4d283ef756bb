/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_PROXY_CHOOSE_H
#define WSTUNNEL_PROXY_CHOOSE_H
/**
 * @file proxy_choose.h
 * Which proxy the environment wants for a server. proxy.h, which dials through one, includes it.
 */
#include <wstunnel/common.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The conventional environment variables; NULL or "": not set. Reading them is the program's
    business. */
typedef struct wst_proxy_env {
    const char *http_proxy;  /**< for ws:// */
    const char *https_proxy; /**< for wss:// */
    const char *all_proxy;   /**< where the one above is not set */
    /** What is reached directly: a list, separated by commas or spaces, of
        - `*`: everything;
        - `example.com`, `.example.com` or `*.example.com`: that name and all below it;
        - `192.0.2.7`, `2001:db8::7` or in brackets: that address;
        - `192.0.2.0/24`, `2001:db8::/32`: addresses in that network;
        each but the last with an optional `:port` (IPv6 in brackets then). Names are compared as
        they are written, never looked up; an element that is none of these matches nothing. */
    const char *no_proxy;
} wst_proxy_env_t;

/**
 * Which proxy the environment wants for a server's URL. This machine itself (localhost and what is
 * below it, 127.0.0.0/8, ::1) is always reached directly.
 * @return one of the texts in `env`, for wst_proxy_options.url; NULL: none, or the URL is none.
 */
WST_EXTERN const char *wst_proxy_choose(const wst_proxy_env_t *env, const char *url);

#ifdef __cplusplus
}
#endif
#endif
