/* SPDX-License-Identifier: MIT */
/*
 * Random schedules of two sessions over a link that splits, delays and dies (sim.h). Each has a
 * phase of chaos and one in which all must come to its end. TEST_SEEDS=n repeats schedule n.
 */
#include "sim.h"

#include "defaults.h"

#include <wstunnel/error.h>

static void start(sim_t *sim, uint64_t seed) {
    static const uint64_t windows[] = {1, 50, 1000, 5000, 32768, 32768, 70000};
    static const uint64_t maxima[] = {1, 3000, 100000, 0, 0};
    static const uint32_t frames[] = {1024, 5000, 16384, 16384, 65536};
    *sim = (sim_t){.seed = seed, .random = seed * UINT64_C(0x9E3779B97F4A7C15), .now = 1000};
    sim->capacity = (size_t)1 << sim_random(sim, 18);
    sim->reentrant = sim_chance(sim, 50);
    sim->limited = sim_chance(sim, 20);
    sim_link_init(sim);
    sim->encoding = sim_chance(sim, 25) ? WST_ENCODING_JSON : WST_ENCODING_BINARY;
    for (int i = 0; i < 2; i++) {
        sim_side_t *side = &sim->sides[i];
        side->sim = sim;
        side->index = i;
        wst__pool_init(&side->pool, &test_allocator);
        wst__session_options_t options = {.pool = &side->pool,
                                          .budget = &side->budget,
                                          .deadlines = &side->deadlines,
                                          .client = i == 0,
                                          .hello = {.initial_credit = windows[sim_random(sim, 7)],
                                                    .max_frame = frames[sim_random(sim, 5)],
                                                    .max_streams = WST__MAX_STREAMS},
                                          .window_max = maxima[sim_random(sim, 5)],
                                          .callbacks = sim_callbacks,
                                          .user_data = side};
        side->budget.limit = SIZE_MAX;
        if (sim->limited) {
            options.hello.max_streams = 1 + (uint32_t)sim_random(sim, 6);
            side->budget.limit =
                wst__session_stream_cost(options.hello.initial_credit) * (1 + sim_random(sim, 8));
        }
        assert_int_equal(wst__session_new(&side->s, &options), 0);
        sim_attach(sim, i);
    }
}

static void step(sim_t *sim, unsigned cut_permille) {
    int side = (int)sim_random(sim, 2);
    uint64_t dice = sim_random(sim, 1000);
    if (dice < 300)
        sim_pull(sim, side);
    else if (dice < 600)
        sim_deliver(sim, side, false);
    else if (dice < 900)
        sim_act(sim, side);
    else if (dice < 950)
        sim_pass(sim, sim_random(sim, 300));
    else if (dice < 952)
        sim_pass(sim, sim_random(sim, 16000));
    else if (dice < 970 && sim->cut)
        sim_detach(sim, side);
    else if (dice < 985)
        sim_attach(sim, side);
    else if (dice < 985 + cut_permille)
        sim_cut(sim);
}

static void run_dry(sim_t *sim) {
    bool any = true;
    while (any) {
        any = false;
        for (int i = 0; i < 2; i++) {
            any |= sim_finish(sim, i);
            while (sim_pull(sim, i))
                any = true;
            for (uint64_t n = sim_random(sim, 10); n > 0 && sim_deliver(sim, i, true); n--)
                any = true;
        }
        any |= sim->sides[0].out.first != NULL || sim->sides[1].out.first != NULL;
        sim_check(sim);
    }
}

/* Writers have nothing to say, some readers come back, pings go their way. What both sides say
 * crosses. */
static void fall_silent(sim_t *sim) {
    for (int i = 0; i < 40; i++) {
        sim_pass(sim, sim_random(sim, 5000));
        for (int side = 0; side < 2; side++) {
            while (sim_pull(sim, side))
                continue;
            sim_finish(sim, side);
            while (sim_pull(sim, side))
                continue;
        }
        for (int side = 0; side < 2; side++)
            for (uint64_t n = 1 + sim_random(sim, 10); n > 0 && sim_deliver(sim, side, true); n--)
                continue;
        sim_check(sim);
    }
}

/* The link is mended and all do their part: then everything must come to an end, without waiting
 * for any deadline. */
static void finish(sim_t *sim) {
    sim->finishing = true;
    for (int i = 0; i < 2; i++)
        if (sim->cut)
            sim_detach(sim, i);
    for (int i = 0; i < 2; i++)
        sim_attach(sim, i);
    sim->half = sim_chance(sim, 20);
    if (sim->half) {
        run_dry(sim);
        fall_silent(sim);
        sim->half = false;
    }
    run_dry(sim);
}

static void stop(sim_t *sim) {
    for (int i = 0; i < 2; i++) {
        sim_side_t *side = &sim->sides[i];
        wst__session_free(side->s);
        wst__greeting_end(&side->greeting);
        assert_int_equal(side->budget.used, 0);
        assert_int_equal(side->budget.lent, 0);
        assert_null(side->deadlines.root);
        wst__pool_free(&side->pool);
    }
    sim_link_free(sim);
    if (test_alloc_live() != 0)
        sim_fail(sim, "%zu blocks left", test_alloc_live());
}

/* The end of it all, in the middle: every stream is told, nothing is left. */
static void give_up(sim_t *sim) {
    sim->finishing = sim->given_up = true;
    for (int i = 0; i < 2; i++) {
        wst__session_drop_streams(sim->sides[i].s, WST_EINTERNAL);
        for (size_t k = 0; k < sim->pair_count; k++) {
            sim_end_t *end = &sim->pairs[k].ends[i];
            if (end->st == NULL)
                continue;
            if (!end->dead && !end->aborted && !(end->saw_end && end->saw_shutdown))
                sim_fail(sim, "stream %llu was not told", (unsigned long long)sim->pairs[k].id);
            wst__session_stream_close(end->st, 0);
        }
    }
}

static void run(uint64_t seed, unsigned cut_permille) {
    static sim_t sim;
    start(&sim, seed);
    uint64_t steps = 50 + sim_random(&sim, 1000);
    for (uint64_t i = 0; i < steps; i++) {
        step(&sim, cut_permille);
        sim_check(&sim);
    }
    if (sim_chance(&sim, 5)) {
        give_up(&sim);
    } else {
        finish(&sim);
        sim_check_finished(&sim);
    }
    stop(&sim);
}

static void run_all(unsigned cut_permille) {
    uint64_t first, count;
    test_seeds(&first, &count, 2000);
    print_message("seeds %llu to %llu\n", (unsigned long long)first,
                  (unsigned long long)(first + count - 1));
    for (uint64_t seed = first; seed < first + count; seed++)
        run(seed, cut_permille);
}

static void test_an_orderly_link(void **state) {
    (void)state;
    run_all(0);
}

static void test_a_link_that_dies(void **state) {
    (void)state;
    run_all(8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_orderly_link),
        cmocka_unit_test(test_a_link_that_dies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
