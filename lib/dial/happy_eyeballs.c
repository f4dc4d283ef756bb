/* SPDX-License-Identifier: MIT */
/* The order of addresses and the choice among errors; dial.c acts on them. */
#include "happy_eyeballs.h"

#include <stdbool.h>
#include <string.h>
#include <wstunnel/error.h>

static bool same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b) {
    if (a->ss_family != b->ss_family)
        return false;
    if (a->ss_family == AF_INET) {
        const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)b;
        return memcmp(&a4->sin_addr, &b4->sin_addr, sizeof(a4->sin_addr)) == 0;
    }
    const struct sockaddr_in6 *a6 = (const void *)a, *b6 = (const void *)b;
    return memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr)) == 0 &&
           a6->sin6_scope_id == b6->sin6_scope_id;
}

static bool seen_before(const struct sockaddr_storage *addresses, size_t i) {
    for (size_t j = 0; j < i; j++)
        if (same_address(&addresses[j], &addresses[i]))
            return true;
    return false;
}

/* The first new address from `i` on that is of the given family (`like`), or of another (not). */
static size_t next_of(const struct sockaddr_storage *addresses, size_t count, size_t i, int family,
                      bool like) {
    while (i < count && ((addresses[i].ss_family == family) != like || seen_before(addresses, i)))
        i++;
    return i;
}

size_t wst__happy_eyeballs_order(struct sockaddr_storage *out, size_t max,
                                 const struct sockaddr_storage *addresses, size_t count) {
    if (count == 0)
        return 0;
    int family = addresses[0].ss_family;
    size_t next[2] = {next_of(addresses, count, 0, family, false),
                      next_of(addresses, count, 0, family, true)};
    size_t written = 0;
    bool first = true; /* whether it is the turn of the first address's family */
    while (written < max && (next[0] < count || next[1] < count)) {
        if (next[first] < count) {
            out[written++] = addresses[next[first]];
            next[first] = next_of(addresses, count, next[first] + 1, family, first);
        }
        first = !first;
    }
    return written;
}

static int rank(int error) {
    switch (error) {
    case UV_EMFILE:
    case UV_ENFILE:
    case UV_ENOBUFS:
    case WST_ENOMEM:
        return 4;
    case UV_ECONNREFUSED:
    case UV_ECONNRESET:
        return 3;
    case UV_ENETUNREACH:
    case UV_EADDRNOTAVAIL:
    case UV_EAFNOSUPPORT:
    case UV_EINVAL: /* a link-local address without a zone */
        return 1;
    default:
        return 2;
    }
}

int wst__more_telling(int error, int last) {
    return error != 0 && rank(error) > rank(last) ? error : last;
}
