/* SPDX-License-Identifier: MIT */
/*
 * What it costs to choose an agent, by how many there are: a stream is opened through the one that
 * is chosen and the oldest one open is closed, so that loads change all the time. In a release
 * build:
 *
 *     ninja -C build test/bench_remotes && build/test/bench_remotes [COUNT...]
 *
 * Prints nanoseconds of a cycle: the median of 5 runs and their spread.
 */
#include "env.h"
#include "fake_uplink.h"

#include "remote.h"

#include <stdio.h>
#include <time.h>

enum { RUNS = 5, OPEN = 64, CYCLES = 200000, JOINS = 50000, TENANTS = 2, NAMES = 2, SITES = 2 };

typedef struct agent {
    wst__member_t member;
    fake_uplink_t fake;
} agent_t;

typedef struct fleet {
    test_env_t env;
    wst__remotes_t set;
    agent_t *agents;
    size_t count;
    wst__member_t *open[OPEN]; /* streams; a ring */
    size_t next;
} fleet_t;

static double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* A fleet ------------------------------------------------------------------------------------ */

/* Twins share a name, sites a label; a tenant has all of that. */
static void join(fleet_t *f, size_t i) {
    agent_t *a = &f->agents[i];
    char name[32], tenant[32], site[32];
    const char *labels[] = {"all", site, NULL};
    wst__member_t *replaced;
    bool is_new;
    snprintf(tenant, sizeof(tenant), "tenant-%zu", i % TENANTS);
    snprintf(name, sizeof(name), "agent-%zu", i / TENANTS % NAMES);
    snprintf(site, sizeof(site), "site-%zu", i / TENANTS % SITES);
    fake_uplink_init(&a->fake, "192.0.2.1:5");
    wst_hello_t hello = {.size = sizeof(hello), .name = {name, strlen(name)}, .has_instance = true};
    memcpy(hello.instance, &i, sizeof(i));
    assert_int_equal(wst__remotes_join(&f->set, &a->member, &a->fake.uplink, &hello, tenant, labels,
                                       &replaced, &is_new),
                     0);
}

static void open_fleet(fleet_t *f, size_t count) {
    memset(f, 0, sizeof(*f));
    test_env_open(&f->env);
    wst__remotes_init(&f->set, f->env.ctx, 1024, 4711);
    f->count = count;
    f->agents = calloc(count, sizeof(*f->agents));
    assert_non_null(f->agents);
    for (size_t i = 0; i < count; i++)
        join(f, i);
}

static void close_fleet(fleet_t *f) {
    for (size_t i = 0; i < f->count; i++)
        wst__remote_free(wst__remotes_leave(&f->set, &f->agents[i].member));
    wst__remotes_free(&f->set);
    test_env_close(&f->env);
    free(f->agents);
}

static void change(fleet_t *f, wst__member_t *member, int by) {
    agent_t *a = WST__CONTAINER(member, agent_t, member);
    a->fake.load += (size_t)by;
    wst__remotes_changed(&f->set, member);
}

static void cycle(fleet_t *f, const wst__choice_t *choice) {
    wst__member_t *member, **oldest = &f->open[f->next++ % OPEN];
    bool awaited;
    assert_int_equal(wst__remotes_choose(&f->set, choice, &member, &awaited), 0);
    change(f, member, 1);
    if (*oldest != NULL)
        change(f, *oldest, -1);
    *oldest = member;
}

/* What is measured --------------------------------------------------------------------------- */

static bool admit_all(const wst_remote_t *remote, void *user_data) {
    (void)user_data;
    return wst_remote_name(remote)[0] != '\0';
}

static bool admit_some(const wst_remote_t *remote, void *user_data) {
    (void)user_data;
    return wst__remote_serial(remote) % 4 == 1;
}

static bool admit_none(const wst_remote_t *remote, void *user_data) {
    (void)remote, (void)user_data;
    return false;
}

typedef struct variant {
    const char *name;
    wst__choice_t choice;
} variant_t;

static const char *const site[] = {"site-0", NULL}, *const both[] = {"all", "site-0", NULL};

static const variant_t variants[] = {
    {"of a tenant", {.tenant = "tenant-0"}},
    {"of a name", {.tenant = "tenant-0", .name = "agent-0"}},
    {"of a label", {.tenant = "tenant-0", .labels = site}},
    {"of two labels", {.tenant = "tenant-0", .labels = both}},
    {"admits says yes", {.tenant = "tenant-0", .admits = admit_all}},
    {"admits says yes to half", {.tenant = "tenant-0", .admits = admit_some}},
};
enum { VARIANTS = sizeof(variants) / sizeof(variants[0]) };

static int compare(const void *a, const void *b) {
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void print_median(const char *what, size_t count, double ns[RUNS]) {
    qsort(ns, RUNS, sizeof(ns[0]), compare);
    printf("%-30s %8zu agents  %10.0f ns  (%.0f..%.0f)\n", what, count, ns[RUNS / 2], ns[0],
           ns[RUNS - 1]);
}

static void bench_variant(fleet_t *f, const variant_t *v) {
    double ns[RUNS];
    for (int run = -1; run < RUNS; run++) { /* the first one is not counted */
        double start = now_ns();
        for (size_t i = 0; i < CYCLES; i++)
            cycle(f, &v->choice);
        if (run >= 0)
            ns[run] = (now_ns() - start) / CYCLES;
    }
    print_median(v->name, f->count, ns);
}

/* All are looked at, which is as bad as it gets. */
static void bench_refusal(const fleet_t *f) {
    static const wst__choice_t choice = {.tenant = "tenant-0", .admits = admit_none};
    const size_t times = 2000000 / f->count + 1;
    double ns[RUNS];
    for (int run = 0; run < RUNS; run++) {
        double start = now_ns();
        for (size_t i = 0; i < times; i++) {
            wst__member_t *member;
            bool awaited;
            assert_int_equal(wst__remotes_choose(&f->set, &choice, &member, &awaited),
                             WST_ENOAGENT);
        }
        ns[run] = (now_ns() - start) / (double)times;
    }
    print_median("admits says no to all (a scan)", f->count, ns);
}

/* One after the other leaves and comes again. */
static void bench_join(fleet_t *f) {
    double ns[RUNS];
    for (int run = 0; run < RUNS; run++) {
        double start = now_ns();
        for (size_t i = 0; i < JOINS; i++) {
            wst__remote_free(wst__remotes_leave(&f->set, &f->agents[i % f->count].member));
            join(f, i % f->count);
            if (i % 100 == 0)
                test_env_turns(&f->env, 1); /* frees those that have left */
        }
        ns[run] = (now_ns() - start) / JOINS;
    }
    print_median("one leaves and comes again", f->count, ns);
}

int main(int argc, char **argv) {
    static const char *const defaults[] = {"10", "1000", "100000"};
    size_t counts = argc > 1 ? (size_t)argc - 1 : 3;
    for (size_t v = 0; v < VARIANTS + 2; v++) {
        for (size_t i = 0; i < counts; i++) {
            size_t count = strtoul(argc > 1 ? argv[i + 1] : defaults[i], NULL, 10);
            fleet_t f;
            open_fleet(&f, count);
            if (v < VARIANTS)
                bench_variant(&f, &variants[v]);
            else if (v == VARIANTS)
                bench_refusal(&f);
            else
                bench_join(&f);
            close_fleet(&f);
        }
    }
    return 0;
}
