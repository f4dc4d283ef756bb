/* SPDX-License-Identifier: MIT */
/* Seats of connections: what one source gets, what is left to others, and that none outlives its
 * use. */
#include "list.h"
#include "seat.h"
#include "support.h"

#include <stdio.h>
#include <wstunnel/error.h>

enum { CONNECTIONS = 170, MEMORY = 170 * WST__SEAT_MEMORY, PLACES = 400 };

typedef struct rig {
    wst__seats_t seats;
    wst__seat_t taken[PLACES];
    size_t changes;
} rig_t;

static void on_changed(wst__seats_t *seats) {
    WST__CONTAINER(seats, rig_t, seats)->changes++;
}

static void open_rig(rig_t *r, size_t connections, size_t memory, bool spare) {
    memset(r, 0, sizeof(*r));
    wst__seats_init(&r->seats, &test_allocator, 7);
    wst__seats_set_limits(&r->seats, connections, memory, spare);
    r->seats.changed = on_changed;
}

static void close_rig(rig_t *r) {
    for (int i = 0; i < PLACES; i++)
        wst__seat_give_back(&r->taken[i]);
    assert_int_equal(wst__seats_count(&r->seats), 0);
    assert_int_equal(r->seats.all.memory.used + r->seats.clients.memory.used, 0);
    assert_int_equal(r->seats.sources.count, 0);
    wst__seats_free(&r->seats);
    assert_int_equal(test_alloc_live(), 0);
}

static wst__seat_t *next_place(rig_t *r) {
    for (int i = 0; i < PLACES; i++)
        if (r->taken[i].seats == NULL)
            return &r->taken[i];
    fail_msg("no place");
    return NULL;
}

static int take(rig_t *r, bool for_clients, const char *peer) {
    return wst__seat_take(next_place(r), &r->seats, for_clients, peer);
}

/* Takes seats until one is refused: how many. */
static size_t fill(rig_t *r, bool for_clients, const char *peer, int *status) {
    size_t n = 0;
    while ((*status = take(r, for_clients, peer)) == 0)
        n++;
    return n;
}

static void test_one_source_never_has_all(void **state) {
    (void)state;
    static rig_t r;
    int status;
    open_rig(&r, CONNECTIONS, 100 * MEMORY, false);
    assert_int_equal(fill(&r, true, "10.0.0.1:5", &status), CONNECTIONS * 16 / 17);
    assert_int_equal(status, WST_ELIMIT);
    assert_int_equal(take(&r, true, "10.0.0.1:6"), WST_ELIMIT);
    assert_int_equal(take(&r, true, "[::ffff:10.0.0.1]:6"), WST_ELIMIT);
    assert_int_equal(take(&r, true, "10.0.0.2:5"), 0);
    assert_int_equal(take(&r, true, "unix:/path"), 0);
    assert_false(wst__seats_are_full(&r.seats, true));
    close_rig(&r);
}

static void test_ipv6_network(void **state) {
    (void)state;
    static rig_t r;
    int status;
    open_rig(&r, CONNECTIONS, 100 * MEMORY, false);
    assert_true(fill(&r, true, "[2001:db8:0:1::1]:5", &status) > 0);
    assert_int_equal(take(&r, true, "[2001:db8:0:1:ff::2]:5"), WST_ELIMIT);
    assert_int_equal(take(&r, true, "[2001:db8:0:2::1]:5"), 0);
    close_rig(&r);
}

/* Peers without an IP address are one source, which a proxy's claim of :: is not. */
static void test_peers_without_address(void **state) {
    (void)state;
    static rig_t r;
    int status;
    open_rig(&r, CONNECTIONS, 100 * MEMORY, false);
    assert_true(fill(&r, true, "unix:/a", &status) > 0);
    assert_int_equal(take(&r, true, "unix:/b"), WST_ELIMIT);
    assert_int_equal(take(&r, true, ""), WST_ELIMIT);
    assert_int_equal(take(&r, true, "10.0.0.1:5"), 0);
    close_rig(&r);
}

/* Up to 16 connections in all, nothing is kept back from a source that is alone. */
static void test_few_connections(void **state) {
    (void)state;
    static rig_t r;
    int status;
    for (size_t max = 1; max <= 16; max++) {
        open_rig(&r, max, MEMORY, false);
        assert_int_equal(fill(&r, true, "10.0.0.1:5", &status), max);
        assert_true(wst__seats_are_full(&r.seats, true));
        close_rig(&r);
    }
}

static void test_spare_part(void **state) {
    (void)state;
    static const struct {
        size_t connections, for_clients;
    } cases[] = {{1, 1}, {2, 1}, {3, 2}, {4, 2}, {8, 4}, {9, 5}, {64, 60}, {160, 150}};
    static rig_t r;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t n = 0, all = cases[i].connections;
        open_rig(&r, all, 100 * MEMORY, true);
        for (; !wst__seats_are_full(&r.seats, true); n++) {
            char peer[32];
            snprintf(peer, sizeof(peer), "10.0.%zu.1:5", n);
            assert_int_equal(take(&r, true, peer), 0);
        }
        assert_int_equal(n, cases[i].for_clients);
        assert_int_equal(take(&r, true, "10.1.0.1:5"), WST_ELIMIT);
        for (; n < all; n++)
            assert_int_equal(take(&r, false, NULL), 0);
        assert_true(wst__seats_are_full(&r.seats, false));
        assert_int_equal(take(&r, false, NULL), WST_ELIMIT);
        close_rig(&r);
    }
}

/* What a source takes at the addresses of clients does not count at the others. */
static void test_share_at_either(void **state) {
    (void)state;
    static rig_t r;
    int status;
    open_rig(&r, CONNECTIONS, 100 * MEMORY, true);
    assert_true(fill(&r, true, "10.0.0.1:5", &status) > 0);
    size_t more = fill(&r, false, "10.0.0.1:5", &status);
    assert_in_range(more, 10, 20);
    assert_int_equal(take(&r, false, "10.0.0.2:5"), 0);
    close_rig(&r);
}

static void test_memory(void **state) {
    (void)state;
    static rig_t r;
    int status;
    open_rig(&r, 10 * CONNECTIONS, MEMORY, false);
    assert_int_equal(fill(&r, true, "10.0.0.1:5", &status), 160);
    assert_int_equal(status, WST_EMEMORY);
    assert_int_equal(take(&r, true, "10.0.0.2:5"), 0);
    assert_false(wst__seat_reserve(&r.taken[0], WST__SEAT_MEMORY));
    wst__seat_admit(&r.taken[1]);
    wst__seat_admit(&r.taken[1]); /* again: nothing */
    assert_true(wst__seat_reserve(&r.taken[0], WST__SEAT_MEMORY));
    assert_int_equal(wst__seats_count(&r.seats), 161);
    close_rig(&r);
}

/* The first connection of a source may be the one that finds no room. */
static void test_refused_at_once(void **state) {
    (void)state;
    static rig_t r;
    open_rig(&r, 2, WST__SEAT_MEMORY, false);
    assert_int_equal(take(&r, true, "10.0.0.1:5"), 0);
    assert_int_equal(take(&r, true, "10.0.0.2:5"), WST_EMEMORY);
    assert_int_equal(r.seats.sources.count, 1);
    wst__seats_set_limits(&r.seats, 1, 2 * WST__SEAT_MEMORY, false);
    assert_int_equal(take(&r, true, "10.0.0.2:5"), WST_ELIMIT);
    assert_int_equal(r.seats.sources.count, 1);
    assert_int_equal(r.changes, 1);
    close_rig(&r);
}

/* A proxy's connection counts for the client that it tells, as soon as it has. */
static void test_move(void **state) {
    (void)state;
    static rig_t r;
    int status;
    open_rig(&r, CONNECTIONS, 100 * MEMORY, false);
    assert_int_equal(take(&r, true, NULL), 0);
    assert_int_equal(wst__seat_move(&r.taken[0], "10.0.0.1:5"), 0);
    assert_int_equal(r.seats.sources.count, 1);
    assert_int_equal(r.taken[0].memory, WST__SEAT_MEMORY);
    size_t n = fill(&r, true, "10.0.0.1:5", &status);
    assert_int_equal(n, CONNECTIONS * 16 / 17 - 1);
    wst__seat_t *last = next_place(&r);
    assert_int_equal(wst__seat_take(last, &r.seats, true, NULL), 0);
    size_t changes = r.changes;
    assert_int_equal(wst__seat_move(last, "10.0.0.1:5"), WST_ELIMIT);
    assert_null(last->seats);
    assert_int_equal(r.changes, changes + 1);
    close_rig(&r);
}

/* Memory that its connection's owner has reserved keeps the source when the seat is gone. */
static void test_budget_outlives_seat(void **state) {
    (void)state;
    static rig_t r;
    open_rig(&r, CONNECTIONS, MEMORY, false);
    assert_int_equal(take(&r, true, "10.0.0.1:5"), 0);
    wst__budget_t *budget = wst__seat_budget(&r.taken[0]);
    assert_true(wst__budget_reserve(budget, 1000));
    wst__seat_give_back(&r.taken[0]);
    assert_int_equal(r.seats.sources.count, 1);
    wst__budget_release(budget, 1000);
    close_rig(&r);
}

static void test_hand_on(void **state) {
    (void)state;
    static rig_t r;
    open_rig(&r, CONNECTIONS, MEMORY, false);
    assert_int_equal(take(&r, true, "10.0.0.1:5"), 0);
    wst__seat_hand_on(&r.taken[0], &r.taken[5]);
    wst__seat_give_back(&r.taken[0]); /* nothing */
    assert_int_equal(wst__seats_count(&r.seats), 1);
    close_rig(&r);
}

/* Handshakes count by source, each once; those of proxies' connections for none. */
static void test_shake(void **state) {
    (void)state;
    static rig_t r;
    open_rig(&r, CONNECTIONS, MEMORY, false);
    for (int i = 0; i < 4; i++)
        assert_int_equal(take(&r, true, i < 3 ? "10.0.0.1:5" : "10.0.0.2:5"), 0);
    assert_int_equal(wst__seat_shake(&r.taken[0]), 1);
    assert_int_equal(wst__seat_shake(&r.taken[1]), 2);
    assert_int_equal(wst__seat_shake(&r.taken[3]), 1);
    wst__seat_shaken(&r.taken[0]);
    wst__seat_shaken(&r.taken[0]); /* again: nothing */
    assert_int_equal(wst__seat_shake(&r.taken[2]), 2);
    wst__seat_give_back(&r.taken[1]);
    assert_int_equal(wst__seat_shake(&r.taken[0]), 2);
    assert_int_equal(take(&r, true, NULL), 0);
    assert_int_equal(wst__seat_shake(&r.taken[1]), 0);
    wst__seat_shaken(&r.taken[1]);
    close_rig(&r);
}

static void test_allocations(void **state) {
    (void)state;
    static rig_t r;
    open_rig(&r, CONNECTIONS, MEMORY, false);
    assert_int_equal(take(&r, true, NULL), 0);
    test_alloc_fail(1);
    assert_int_equal(take(&r, true, "10.0.0.1:5"), WST_ENOMEM);
    test_alloc_fail(1);
    assert_int_equal(wst__seat_move(&r.taken[0], "10.0.0.1:5"), WST_ENOMEM);
    test_alloc_fail(0);
    assert_int_equal(wst__seats_count(&r.seats), 0);
    close_rig(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_source_never_has_all),
        cmocka_unit_test(test_ipv6_network),
        cmocka_unit_test(test_peers_without_address),
        cmocka_unit_test(test_few_connections),
        cmocka_unit_test(test_spare_part),
        cmocka_unit_test(test_share_at_either),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_refused_at_once),
        cmocka_unit_test(test_move),
        cmocka_unit_test(test_budget_outlives_seat),
        cmocka_unit_test(test_hand_on),
        cmocka_unit_test(test_shake),
        cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
