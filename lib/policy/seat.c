/* SPDX-License-Identifier: MIT */
/* Seats of connections (seat.h). */
#include "seat.h"

#include "list.h"
#include "mem.h"
#include "mix.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <wstunnel/error.h>

enum { SOURCE_SHARE = 16 };

typedef struct source {
    wst__table_node_t node;
    wst__holding_t holding;
    wst__seats_t *seats;
    wst__ip_t ip; /* the network's first address; zero: no IP address */
    bool for_clients;
} source_t;

static source_t *source_of_node(wst__table_node_t *node) {
    return WST__CONTAINER(node, source_t, node);
}

/* All ---------------------------------------------------------------------------------------- */

void wst__seats_init(wst__seats_t *seats, const wst_allocator_t *allocator, uint64_t seed) {
    memset(seats, 0, sizeof(*seats));
    seats->allocator = allocator;
    seats->seed = seed;
    seats->clients.connections =
        (wst__budget_t){.within = &seats->all.connections, .share = SIZE_MAX};
    seats->clients.memory = (wst__budget_t){.within = &seats->all.memory, .share = SIZE_MAX};
    wst__table_init(&seats->sources, allocator);
}

void wst__seats_free(wst__seats_t *seats) {
    wst__table_free(&seats->sources);
}

void wst__seats_set_limits(wst__seats_t *seats, size_t connections, size_t memory, bool spare) {
    seats->all.connections.limit = connections;
    seats->all.memory.limit = memory;
    seats->clients.connections.limit = connections - (spare ? wst__budget_spare(connections) : 0);
    seats->clients.memory.limit = memory - (spare ? wst__budget_spare(memory) : 0);
}

size_t wst__seats_count(const wst__seats_t *seats) {
    return seats->all.connections.used;
}

bool wst__seats_are_full(const wst__seats_t *seats, bool for_clients) {
    const wst__holding_t *holding = for_clients ? &seats->clients : &seats->all;
    return wst__budget_obstacle(&holding->connections, 1) != NULL;
}

/* Sources ------------------------------------------------------------------------------------ */

/* Frees a source that holds nothing any more. */
static void settle_source(source_t *source) {
    if (source->holding.connections.used > 0 || source->holding.memory.used > 0)
        return;
    wst__table_remove(&source->seats->sources, &source->node);
    wst__free(source->seats->allocator, source);
}

static void on_connections_given_back(wst__budget_t *connections) {
    settle_source(WST__CONTAINER(connections, source_t, holding.connections));
}

static void on_memory_given_back(wst__budget_t *memory) {
    settle_source(WST__CONTAINER(memory, source_t, holding.memory));
}

static source_t *new_source(wst__seats_t *seats, bool for_clients, const wst__ip_t *ip,
                            uint64_t hash) {
    wst__holding_t *within = for_clients ? &seats->clients : &seats->all;
    source_t *source = wst__zalloc(seats->allocator, sizeof(*source));
    if (source == NULL)
        return NULL;
    source->seats = seats;
    source->ip = *ip;
    source->for_clients = for_clients;
    source->holding.connections = (wst__budget_t){.within = &within->connections,
                                                  .share = SOURCE_SHARE,
                                                  .emptied = on_connections_given_back};
    source->holding.memory = (wst__budget_t){
        .within = &within->memory, .share = SOURCE_SHARE, .emptied = on_memory_given_back};
    wst__table_insert(&seats->sources, &source->node, hash);
    return source;
}

/* NULL: no memory. A new source must be settled if nothing is reserved in it. */
static source_t *source_of_peer(wst__seats_t *seats, bool for_clients, const char *peer) {
    wst__ip_t ip;
    if (!wst__ip_source_of_peer(&ip, peer))
        ip = (wst__ip_t){{0}};
    uint64_t hash = wst__mix_bytes(seats->seed ^ for_clients, ip.bytes, sizeof(ip.bytes));
    wst__table_node_t *node = wst__table_first(&seats->sources, hash);
    for (; node != NULL; node = wst__table_next(node)) {
        source_t *source = source_of_node(node);
        if (source->for_clients == for_clients &&
            memcmp(source->ip.bytes, ip.bytes, sizeof(ip.bytes)) == 0)
            return source;
    }
    return new_source(seats, for_clients, &ip, hash);
}

/* A seat ------------------------------------------------------------------------------------- */

static void tell_changed(wst__seats_t *seats) {
    if (seats->changed != NULL)
        seats->changed(seats);
}

/* Reserves a connection and its memory. 0, WST_ELIMIT or WST_EMEMORY; what holds nothing then may
 * be freed. */
static int occupy_holding(wst__holding_t *holding, size_t memory) {
    if (!wst__budget_reserve(&holding->connections, 1))
        return WST_ELIMIT;
    if (wst__budget_reserve(&holding->memory, memory))
        return 0;
    wst__budget_release(&holding->connections, 1);
    return WST_EMEMORY;
}

static void vacate(wst__seat_t *seat) {
    wst__budget_t *connections = &seat->holding->connections;
    wst__seat_shaken(seat);
    wst__seat_admit(seat);
    wst__budget_release(connections, 1); /* last: it may free the source */
}

/* Takes the seat with so much memory. As wst__seat_take. */
static int sit(wst__seat_t *seat, wst__seats_t *seats, bool for_clients, const char *peer,
               size_t memory) {
    wst__holding_t *holding = for_clients ? &seats->clients : &seats->all;
    source_t *source = NULL;
    if (peer != NULL) {
        source = source_of_peer(seats, for_clients, peer);
        if (source == NULL)
            return WST_ENOMEM;
        holding = &source->holding;
    }
    int status = occupy_holding(holding, memory);
    if (status == 0)
        *seat = (wst__seat_t){
            .seats = seats, .holding = holding, .memory = memory, .for_clients = for_clients};
    else if (status == WST_ELIMIT && source != NULL)
        settle_source(source);
    return status;
}

int wst__seat_take(wst__seat_t *seat, wst__seats_t *seats, bool for_clients, const char *peer) {
    assert(seat->seats == NULL);
    int status = sit(seat, seats, for_clients, peer, WST__SEAT_MEMORY);
    if (status == 0)
        tell_changed(seats);
    return status;
}

int wst__seat_move(wst__seat_t *seat, const char *peer) {
    wst__seat_t old = *seat;
    vacate(seat);
    *seat = (wst__seat_t){0};
    int status = sit(seat, old.seats, old.for_clients, peer, old.memory);
    if (status != 0)
        tell_changed(old.seats);
    return status;
}

bool wst__seat_reserve(wst__seat_t *seat, size_t memory) {
    bool fits = wst__budget_reserve(&seat->holding->memory, memory);
    if (fits)
        seat->memory += memory;
    return fits;
}

size_t wst__seat_shake(wst__seat_t *seat) {
    const wst__seats_t *seats = seat->seats;
    assert(!seat->shakes);
    if (seat->holding == &seats->all || seat->holding == &seats->clients)
        return 0;
    seat->shakes = true;
    return ++seat->holding->handshakes;
}

void wst__seat_shaken(wst__seat_t *seat) {
    if (seat->shakes)
        seat->holding->handshakes--;
    seat->shakes = false;
}

wst__budget_t *wst__seat_budget(wst__seat_t *seat) {
    return &seat->holding->memory;
}

void wst__seat_admit(wst__seat_t *seat) {
    size_t memory = seat->memory;
    seat->memory = 0;
    if (memory > 0)
        wst__budget_release(&seat->holding->memory, memory);
}

void wst__seat_give_back(wst__seat_t *seat) {
    wst__seats_t *seats = seat->seats;
    if (seats == NULL)
        return;
    vacate(seat);
    *seat = (wst__seat_t){0};
    tell_changed(seats); /* last: the callback may free the object */
}

void wst__seat_hand_on(wst__seat_t *from, wst__seat_t *to) {
    assert(to->seats == NULL);
    *to = *from;
    *from = (wst__seat_t){0};
}
