/* SPDX-License-Identifier: MIT */
/* Zones of names, their shares, and the memory of names that nobody answers for. */
#include "names.h"
#include "support.h"

#include <stdio.h>
#include <uv.h>
#include <wstunnel/error.h>

static void test_zones(void **state) {
    (void)state;
    static const struct {
        const char *a, *b;
        bool same;
    } cases[] = {
        {"a.example.test", "b.example.test", true},
        {"a.b.c.example.test", "example.test", true},
        {"a.EXAMPLE.Test", "b.example.test", true},
        {"a.example.test.", "b.example.test", true},
        {"example.test", "example2.test", false},
        {"a.example.test", "a.example.org", false},
        {"host", "host", true},
        {"host", "host.", true},
        {"host", "host2", false},
        {"host", "a.host", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_true((wst__zone_of(cases[i].a, 7) == wst__zone_of(cases[i].b, 7)) == cases[i].same);
    assert_true(wst__zone_of("example.test", 1) != wst__zone_of("example.test", 2));
}

/* Fills places with as many zones as want all they can get; returns what the n-th gets. */
static size_t share_of(size_t n, size_t limit) {
    size_t taken = 0, same = 0;
    for (size_t zone = 0; zone < n; zone++)
        for (same = 0; wst__zone_may_take(same, taken, limit); same++)
            taken++;
    return same;
}

static void test_shares(void **state) {
    (void)state;
    assert_int_equal(share_of(1, 32), 16);
    assert_int_equal(share_of(2, 32), 8);
    assert_int_equal(share_of(5, 32), 1);
    assert_int_equal(share_of(1, 1), 1);
    assert_int_equal(share_of(2, 1), 0);
    assert_int_equal(share_of(1, 2), 1);
    assert_int_equal(share_of(2, 2), 1);
    assert_int_equal(share_of(1, 0), 0);
    /* Zones that want one place each get one, whatever others hang. */
    size_t taken = 0;
    while (wst__zone_may_take(0, taken, 32))
        taken++;
    assert_int_equal(taken, 32);
}

static wst__name_memory_t memory;

static void note(const char *host, int status, uint64_t ran_ms, uint64_t now_ms) {
    wst__names_note(&memory, host, 7, status, ran_ms, now_ms);
}

static bool recall(const char *host, uint64_t now_ms) {
    return wst__names_recall(&memory, host, 7, now_ms);
}

static void test_memory(void **state) {
    (void)state;
    memset(&memory, 0, sizeof(memory));
    assert_false(recall("a.test", 1));
    note("a.test", UV_EAI_AGAIN, 1000, 5000);
    note("b.test", WST_ENAMETIMEOUT, 1000, 5000);
    note("quick.test", UV_EAI_AGAIN, 999, 5000);
    note("none.test", UV_EAI_NONAME, 20000, 5000);
    note("good.test", 0, 20000, 5000);
    assert_true(recall("a.test", 14999));
    assert_true(recall("A.test", 14999));
    assert_true(recall("b.test", 5000));
    assert_false(recall("a.test.", 5000)); /* a name of its own: not one of a search domain */
    assert_false(recall("c.a.test", 5000));
    assert_false(recall("a.test", 15000));
    assert_false(recall("quick.test", 5000));
    assert_false(recall("none.test", 5000));
    assert_false(recall("good.test", 5000));
}

static void test_memory_is_bounded(void **state) {
    (void)state;
    char host[32];
    memset(&memory, 0, sizeof(memory));
    for (int i = 0; i <= WST__NAMES_REMEMBERED; i++) {
        snprintf(host, sizeof(host), "%d.test", i);
        note(host, UV_EAI_AGAIN, 5000, 1);
    }
    assert_false(recall("0.test", 1));
    assert_true(recall("1.test", 1));
    assert_true(recall(host, 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zones),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
