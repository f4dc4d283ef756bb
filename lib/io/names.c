/* SPDX-License-Identifier: MIT */
#include "names.h"

#include "mix.h"

#include <string.h>
#include <uv.h>
#include <wstunnel/error.h>

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static uint64_t hash_name(const char *at, const char *end, uint64_t seed) {
    for (; at < end; at++) {
        char c = lower(*at);
        seed = wst__mix_bytes(seed, &c, 1);
    }
    return seed;
}

/* Behind the last character, without the dot of a name that is complete ("host.example."). */
static const char *end_of(const char *host) {
    size_t len = strlen(host);
    return host + (len > 1 && host[len - 1] == '.' ? len - 1 : len);
}

uint64_t wst__zone_of(const char *host, uint64_t seed) {
    const char *end = end_of(host), *at = end;
    int dots = 0;
    while (at > host && (dots += at[-1] == '.') < 2)
        at--;
    return hash_name(at, end, seed);
}

bool wst__zone_may_take(size_t same, size_t taken, size_t limit) {
    return taken < limit && same < limit - taken;
}

/* "host" and "host." are two names: the first may be one of a search domain. */
static uint64_t key_of(const char *host, uint64_t seed) {
    return hash_name(host, host + strlen(host), seed);
}

void wst__names_note(wst__name_memory_t *memory, const char *host, uint64_t seed, int status,
                     uint64_t ran_ms, uint64_t now_ms) {
    if ((status != UV_EAI_AGAIN && status != WST_ENAMETIMEOUT) || ran_ms < WST__NAME_SLOW_MS)
        return;
    size_t n = memory->next++ % WST__NAMES_REMEMBERED;
    memory->entries[n].name = key_of(host, seed);
    memory->entries[n].until_ms = now_ms + WST__NAME_MEMORY_MS;
}

bool wst__names_recall(const wst__name_memory_t *memory, const char *host, uint64_t seed,
                       uint64_t now_ms) {
    uint64_t name = key_of(host, seed);
    for (size_t i = 0; i < WST__NAMES_REMEMBERED; i++)
        if (memory->entries[i].name == name && memory->entries[i].until_ms > now_ms)
            return true;
    return false;
}
