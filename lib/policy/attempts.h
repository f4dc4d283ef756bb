/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_ATTEMPTS_H
#define WST_LIB_ATTEMPTS_H
/*
 * Decides about attempts to authenticate, so that guessing is slow and no guesser locks others out.
 * Failures are counted
 *
 *     by user and address  the user whose name is tried, from that address        max
 *     by user              that user, from anywhere                               max * 2
 *     by address           any user, from that address                            max * 2
 *     by network           any user, from the addresses around it                 max * 8
 *
 * in a window each. An address is one of IPv4 or the first 64 bits of one of IPv6, the network the
 * first 24 bits or 48 bits. An address of this machine, or one that is not of IP, does not tell
 * peers apart; from there only users are counted.
 *
 * An attempt beyond a limit waits for its turn: its answer, right or wrong, is held back up to
 * WST__ATTEMPT_HELD_MS. If the turn does not come in that time, or WST__ATTEMPTS_HELD answers are
 * held already, the attempt is refused unchecked. An attempt for a user from an address from which
 * this user has succeeded within WST__ATTEMPT_LATELY_MS is measured by the first of the limits
 * only: what others do, there or elsewhere, neither delays nor refuses it.
 *
 * Where no user is told, as with agents' tokens, the limits are max by address and max * 8 by
 * network.
 *
 * All tables are bounded. The counts are kept for 4096 pairs of user and address, 4096 users, 4096
 * addresses and 1024 networks; those with the fewest failures are forgotten first. Successes are
 * kept for 4096 pairs in 256 parts of 16; all pairs of a user belong to one part, in which the
 * oldest success is forgotten first, so that a user with many addresses displaces few others.
 */
#include <wstunnel/common.h>

enum {
    WST__ATTEMPT_HELD_MS = 5000,                     /* the longest delay of an answer */
    WST__ATTEMPTS_HELD = 64,                         /* answers held back at a time */
    WST__ATTEMPT_LATELY_MS = 7 * 24 * 60 * 60 * 1000 /* how long a success counts */
};

typedef struct wst__attempts wst__attempts_t;

typedef struct wst__attempts_options {
    size_t max; /* 1 or more */
    uint64_t window_ms;
    uint64_t seed;  /* unpredictable, so that no peer can choose what is forgotten */
    bool has_users; /* attempts name users */
} wst__attempts_options_t;

/* 0 or WST_ENOMEM. */
int wst__attempts_new(wst__attempts_t **out, const wst_allocator_t *allocator,
                      const wst__attempts_options_t *options);
void wst__attempts_free(wst__attempts_t *attempts);

/* An attempt: the keys it is counted by. */
typedef struct wst__attempt {
    bool has_user, has_address;
    uint64_t pair, user, address, network;
} wst__attempt_t;

/*
 * Describes an attempt.
 * @param peer  wst_stream_peer
 * @param name  of the user; NULL: none is told
 */
void wst__attempt_describe(wst__attempt_t *out, const wst__attempts_t *attempts, const char *peer,
                           const char *name);

/*
 * How long the answer has to be held back. Returns false if the attempt is to be refused; then
 * `*wait_ms` is the time after which another one may be admitted.
 */
bool wst__attempt_admit(const wst__attempts_t *attempts, const wst__attempt_t *attempt,
                        uint64_t *wait_ms, uint64_t now_ms);

/* Counts an admitted attempt's answer among those held back for `wait_ms`. */
void wst__attempt_hold(wst__attempts_t *attempts, uint64_t wait_ms, uint64_t now_ms);

/* Notes an admitted attempt's outcome. */
void wst__attempt_failed(wst__attempts_t *attempts, const wst__attempt_t *attempt, uint64_t now_ms);
void wst__attempt_succeeded(wst__attempts_t *attempts, const wst__attempt_t *attempt,
                            uint64_t now_ms);

#endif
