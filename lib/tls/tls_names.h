/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TLS_NAMES_H
#define WST_LIB_TLS_NAMES_H
/* Host names as certificates and SNI have them (RFC 9525, RFC 6066 section 3). Bytes only. */
#include <stdbool.h>
#include <stddef.h>

enum { WST__TLS_NAME_MAX = 253 };

/*
 * The length of a host name without the dot that may end it; 0 if it is not a valid name: longer
 * than WST__TLS_NAME_MAX, an empty label, or another character than letters, digits, '-' and '_'.
 */
size_t wst__tls_name_len(const char *name, size_t len);

/*
 * Whether a name in a certificate matches a host. Case does not matter. "*" matches one label if it
 * is the whole first one of at least three (RFC 9525 section 6.3; no one owns "*.com").
 */
bool wst__tls_name_matches(const char *pattern, size_t pattern_len, const char *host,
                           size_t host_len);

#endif
