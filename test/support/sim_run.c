/* SPDX-License-Identifier: MIT */
/* A whole schedule: a phase of chaos, then one in which all must come to its end, or is ended. */
#include "sim.h"

#include "defaults.h"

#include <wstunnel/error.h>

static void start(sim_t *sim) {
    static const uint64_t windows[] = {1, 50, 1000, 5000, 32768, 32768, 70000};
    static const uint64_t maxima[] = {1, 3000, 100000, 0, 0};
    static const uint32_t frames[] = {1024, 5000, 16384, 16384, 65536};
    sim->now = 1000;
    sim->capacity = (size_t)1 << sim_random(sim, 18);
    sim->reentrant = sim_chance(sim, 50);
    sim->limited = sim_chance(sim, 20);
    sim->suspends = sim_chance(sim, 75);
    sim->waits = sim_chance(sim, 70);
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
        side->opener.limit = side->budget.limit;
        assert_int_equal(wst__session_new(&side->s, &options), 0);
        if (options.hello.max_frame == WST_FRAME_MIN_LIMIT)
            side->s->o.hello.early = false; /* as one of before */
    }
    sim_dial(sim);
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
    else if (dice < 970)
        sim_find_out(sim, side);
    else if (dice < 985 && (sim_is_away(sim) || (cut_permille > 0 && sim_chance(sim, 20))))
        sim_dial(sim);
    else if (dice >= 985 && dice < 985 + cut_permille)
        sim_cut(sim);
}

/* Both sides see which links are dead, and side 0 dials if it has none. */
static bool mend(sim_t *sim) {
    bool any = sim_find_out(sim, 0);
    any |= sim_find_out(sim, 1);
    if (!sim_is_away(sim))
        return any;
    sim_dial(sim);
    return true;
}

/* Whether anything has happened, or may still. */
static bool go_on(sim_t *sim) {
    bool any = mend(sim);
    for (int i = 0; i < 2; i++) {
        any |= sim_finish(sim, i);
        while (sim_pull(sim, i))
            any = true;
        for (uint64_t n = sim_random(sim, 10); n > 0 && sim_deliver(sim, i, true); n--)
            any = true;
    }
    sim_check(sim);
    return any || sim_has_mail(sim);
}

/* Until nothing happens any more, and nothing happens a little later. */
static void run_dry(sim_t *sim) {
    do {
        while (go_on(sim))
            continue;
        sim_pass(sim, WST__CONFIRM_MS);
    } while (go_on(sim));
}

/* Writers have nothing to say, some readers come back, pings go their way. What both sides say
 * crosses. */
static void fall_silent(sim_t *sim) {
    for (int i = 0; i < 40; i++) {
        sim_pass(sim, sim_random(sim, 5000));
        mend(sim);
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

/* No link dies any more and all do their part: then everything must come to an end, without waiting
 * for any deadline but that of ends that are still to be confirmed. */
static void finish(sim_t *sim) {
    sim->finishing = true;
    sim->half = sim_chance(sim, 20);
    if (sim->half) {
        run_dry(sim);
        fall_silent(sim);
        sim->half = false;
    }
    run_dry(sim);
}

static void stop(sim_t *sim) {
    sim_link_free(sim);
    for (int i = 0; i < 2; i++) {
        sim_side_t *side = &sim->sides[i];
        wst__session_free(side->s);
        assert_int_equal(side->budget.used, 0);
        assert_int_equal(side->budget.lent, 0);
        assert_null(side->deadlines.root);
        wst__pool_free(&side->pool);
    }
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

/* One side ends the session, at any time and whatever the links do; the other one hears of it. So
 * may both at once: then either hears nothing any more. */
static void say_goodbye(sim_t *sim, unsigned cut_permille) {
    int first = (int)sim_random(sim, 2);
    bool both = sim_chance(sim, 20);
    sim->finishing = true;
    sim_say_bye(sim, first);
    if (both)
        sim_say_bye(sim, 1 - first);
    for (int i = 0; both ? i < 300 : !sim->sides[1 - first].heard_bye; i++) {
        int side = (int)sim_random(sim, 2);
        if (i > 100000)
            sim_fail(sim, "side %d: does not hear the bye", 1 - first);
        if (i < 1000 && sim_random(sim, 1000) < cut_permille)
            sim_cut(sim);
        if (sim_chance(sim, 5))
            mend(sim);
        if (!sim->sides[side].said_bye && sim_chance(sim, 10))
            sim_finish(sim, side);
        sim_pull(sim, side);
        sim_deliver(sim, side, false);
        sim_check(sim);
    }
    give_up(sim);
}

static void come_to_an_end(sim_t *sim, unsigned cut_permille) {
    if (sim_chance(sim, 5)) {
        give_up(sim);
    } else if (sim_chance(sim, 10)) {
        say_goodbye(sim, cut_permille);
    } else {
        finish(sim);
        sim_check_finished(sim);
    }
    stop(sim);
}

void sim_run(uint64_t seed, unsigned cut_permille) {
    static sim_t sim;
    sim = (sim_t){.seed = seed, .random = seed * UINT64_C(0x9E3779B97F4A7C15)};
    start(&sim);
    uint64_t steps = 50 + sim_random(&sim, 1000);
    for (uint64_t i = 0; i < steps; i++) {
        step(&sim, cut_permille);
        sim_check(&sim);
    }
    come_to_an_end(&sim, cut_permille);
}

void sim_run_input(const uint8_t *input, size_t size) {
    static sim_t sim;
    sim = (sim_t){.random = 1, .input = input, .input_end = input + size};
    start(&sim);
    while (sim.input < sim.input_end) {
        step(&sim, 15);
        sim_check(&sim);
    }
    come_to_an_end(&sim, 15);
}
