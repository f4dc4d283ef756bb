/* SPDX-License-Identifier: MIT */
/* Host names in certificates (tls_names.h). */
#include "tls_names.h"

#include <string.h>

static char fold_name_case(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool in_label(char c) {
    c = fold_name_case(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static bool equal(const char *a, const char *b, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (fold_name_case(a[i]) != fold_name_case(b[i]))
            return false;
    return true;
}

size_t wst__tls_name_len(const char *name, size_t len) {
    if (len > 0 && name[len - 1] == '.')
        len--;
    if (len > WST__TLS_NAME_MAX)
        return 0;
    bool empty = true;
    for (size_t i = 0; i < len; i++) {
        if (name[i] == '.' ? empty : !in_label(name[i]))
            return 0;
        empty = name[i] == '.';
    }
    return empty ? 0 : len;
}

bool wst__tls_name_matches(const char *pattern, size_t pattern_len, const char *host,
                           size_t host_len) {
    host_len = wst__tls_name_len(host, host_len);
    if (host_len == 0)
        return false;
    bool wildcard = pattern_len > 2 && pattern[0] == '*' && pattern[1] == '.';
    if (wildcard) {
        const char *dot = memchr(host, '.', host_len);
        if (dot == NULL)
            return false;
        host_len -= (size_t)(dot + 1 - host);
        host = dot + 1;
        pattern += 2;
        pattern_len -= 2;
    }
    pattern_len = wst__tls_name_len(pattern, pattern_len);
    if (wildcard && memchr(pattern, '.', pattern_len) == NULL)
        return false;
    return pattern_len == host_len && equal(pattern, host, host_len);
}
