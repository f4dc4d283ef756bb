/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_NAMES_H
#define WST_LIB_NAMES_H
/*
 * What keeps names apart that a resolver looks up: the zone of a name, and a brief memory of names
 * that nobody answers for. Knows no thread and no clock.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Identifies the last two labels of a name, whatever their case: the part that most often decides
 * which name servers answer, so names that hang together are counted together. `seed` is
 * unpredictable, so that nobody can choose names whose zones collide.
 */
uint64_t wst__zone_of(const char *host, uint64_t seed);

/*
 * Whether one more of a zone may take one of `limit` places. `same` are taken by the zone, `taken`
 * by all. A zone may have as many as are free besides (a dynamic threshold with a factor of 1): one
 * that is alone gets half of the places, the next one half of the rest, so that a new zone finds
 * one until there are nearly as many zones as places.
 */
bool wst__zone_may_take(size_t same, size_t taken, size_t limit);

/*
 * A look-up that has run for WST__NAME_HANGS_MS hangs: new requests for the name fail at once. A
 * look-up that ended without an answer after WST__NAME_SLOW_MS is remembered for
 * WST__NAME_MEMORY_MS; requests for the name fail at once until then.
 */
enum {
    WST__NAME_HANGS_MS = 10000,
    WST__NAME_SLOW_MS = 1000,
    WST__NAME_MEMORY_MS = 10000,
    WST__NAMES_REMEMBERED = 256 /* a further one takes the place of the oldest */
};

typedef struct wst__name_memory {
    struct {
        uint64_t name;     /* its hash */
        uint64_t until_ms; /* 0: none */
    } entries[WST__NAMES_REMEMBERED];
    size_t next;
} wst__name_memory_t;

/* Takes note of how a look-up ended that took `ran_ms`: remembers the name if nobody answered. */
void wst__names_note(wst__name_memory_t *memory, const char *host, uint64_t seed, int status,
                     uint64_t ran_ms, uint64_t now_ms);

/* Whether the name is remembered as one that nobody answers for. */
bool wst__names_recall(const wst__name_memory_t *memory, const char *host, uint64_t seed,
                       uint64_t now_ms);

#endif
