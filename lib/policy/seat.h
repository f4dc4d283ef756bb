/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_SEAT_H
#define WST_LIB_SEAT_H
/*
 * Seats: bounds on what connections take before a user is known whom it could be charged to. Each
 * connection holds a seat from the moment it is accepted to its end. Until a request of it has been
 * admitted, the seat also reserves memory.
 *
 * Both are shared between sources: IPv4 addresses, IPv6 networks of 64 bits, and the peers on Unix
 * sockets, which are one. A source may take more while it has less than 16 times what is free
 * (budget.h), so none takes all. Connections at addresses that serve clients leave a spare part
 * (wst__budget_spare) to the others, at which agents or monitors connect, if there are such. A
 * source has a share of its own at either. Connections of proxies, which bring those of many, count
 * for no source.
 */
#include "budget.h"
#include "ip.h"
#include "table.h"

typedef struct wst__seats wst__seats_t;

/*
 * Memory of a connection, measured: of a plain one that has sent nothing, and what TLS adds. What
 * is gathered of a head comes on top.
 */
enum { WST__SEAT_MEMORY = 6 * 1024, WST__SEAT_TLS_MEMORY = 38 * 1024 };

/* What the connections of a source take, or those of all. */
typedef struct wst__holding {
    wst__budget_t connections, memory;
    size_t handshakes; /* of a source: of TLS, waiting or under way */
} wst__holding_t;

struct wst__seats {
    const wst_allocator_t *allocator;
    uint64_t seed;
    wst__table_t sources;
    wst__holding_t all;
    wst__holding_t clients; /* within `all` */
    /* Runs whenever the number of connections has changed; may be NULL. */
    void (*changed)(wst__seats_t *seats);
};

/* Embedded in its connection and zeroed: not taken. */
typedef struct wst__seat {
    wst__seats_t *seats; /* NULL: not taken */
    wst__holding_t *holding;
    size_t memory; /* reserved */
    bool for_clients, shakes;
} wst__seat_t;

/* Seats without limits; set them before any is taken. `seed`: random bits. Must not move. */
void wst__seats_init(wst__seats_t *seats, const wst_allocator_t *allocator, uint64_t seed);

/* All seats must have been given back. */
void wst__seats_free(wst__seats_t *seats);

/* Sets the limits; `spare`: whether to leave the spare part. */
void wst__seats_set_limits(wst__seats_t *seats, size_t connections, size_t memory, bool spare);

size_t wst__seats_count(const wst__seats_t *seats);

/* Whether no further connection fits at the addresses that serve clients, or at the others. */
bool wst__seats_are_full(const wst__seats_t *seats, bool for_clients);

/*
 * Takes a seat with WST__SEAT_MEMORY.
 * @param peer  its address tells the source (wst_stream_peer); NULL: counts for none
 * 0; WST_ELIMIT: too many connections; WST_EMEMORY: too much memory, of the source or of all;
 * WST_ENOMEM.
 */
int wst__seat_take(wst__seat_t *seat, wst__seats_t *seats, bool for_clients, const char *peer);

/* Lets the seat count for another peer's source. As wst__seat_take; if that fails the seat is not
 * taken any more. */
int wst__seat_move(wst__seat_t *seat, const char *peer);

/* Reserves more memory. Returns whether that fits. */
bool wst__seat_reserve(wst__seat_t *seat, size_t memory);

/* The connection waits for a TLS handshake, until wst__seat_shaken. Returns how many of its source
 * do, or have begun one; 0: it counts for no source. */
size_t wst__seat_shake(wst__seat_t *seat);
void wst__seat_shaken(wst__seat_t *seat);

/* In which further memory of the connection counts. It lasts as long as the seat is taken or
 * something is reserved in it. */
wst__budget_t *wst__seat_budget(wst__seat_t *seat);

/* A request of the connection was admitted: gives back its memory. */
void wst__seat_admit(wst__seat_t *seat);

/* Gives all back. Harmless if the seat is not taken. */
void wst__seat_give_back(wst__seat_t *seat);

/* Moves the seat to another object. `to` must not be taken. */
void wst__seat_hand_on(wst__seat_t *from, wst__seat_t *to);

#endif
