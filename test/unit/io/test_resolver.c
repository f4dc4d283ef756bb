/* SPDX-License-Identifier: MIT */
/*
 * The resolver with its threads, over a getaddrinfo of our own that can hang. uv_run() here ends
 * only when nothing keeps the loop alive, so each run also shows that no look-up does for longer
 * than somebody waits.
 */
#include "fake_getaddrinfo.h"
#include "support.h"

#include <arpa/inet.h>
#include <uv.h>
#include <wstunnel/error.h>
#include <wstunnel/resolver.h>

#include <stdatomic.h>

static uv_loop_t loop;
static wst_ctx_t *ctx;

/* How far the resolver's clock is put forward. */
static _Atomic uint64_t passed_ms;

uint64_t __real_uv_hrtime(void);
uint64_t __wrap_uv_hrtime(void);
uint64_t __wrap_uv_hrtime(void) {
    return __real_uv_hrtime() + atomic_load(&passed_ms) * 1000000;
}

/* One request and what came of it. */
typedef struct asked {
    wst_resolve_t *resolve;
    int calls, status;
    size_t count;
    struct sockaddr_storage addresses[WST_ADDRESSES_MAX];
    struct asked *cancel; /* in the callback */
    bool close_ctx;       /* in the callback */
} asked_t;

static int ctx_closed;
static bool waiting;

/* Runs until `*count` has come to `n`, which a callback of this file has to say by came(). */
static void run_until(const int *count, int n) {
    waiting = true;
    while (*count < n)
        assert_true(uv_run(&loop, UV_RUN_DEFAULT) != 0 || *count >= n);
    waiting = false;
}

static void came(int *count) {
    ++*count;
    if (waiting)
        uv_stop(&loop);
}

static void on_ctx_closed(void *user_data) {
    (void)user_data;
    ctx_closed++;
}

static void start(unsigned threads) {
    fake_getaddrinfo_reset();
    ctx_closed = 0;
    wst_ctx_options_t options = {
        .size = sizeof(options), .allocator = &test_allocator, .resolver_threads = threads};
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(wst_ctx_new(&ctx, &loop, &options), 0);
}

static void run(void) {
    uv_run(&loop, UV_RUN_DEFAULT);
}

/* Look-ups that hang are released only after the loop has been closed. */
static void stop(void) {
    wst_ctx_close(ctx, on_ctx_closed);
    run();
    assert_int_equal(ctx_closed, 1);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_int_equal(test_alloc_live(), 0);
    fake_getaddrinfo_release();
    fake_getaddrinfo_wait_no_threads();
}

static void on_resolved(int status, const struct sockaddr_storage *addresses, size_t count,
                        void *user_data) {
    asked_t *asked = user_data;
    came(&asked->calls);
    asked->status = status;
    asked->count = count;
    assert_true(status <= 0 && (count > 0) == (status == 0) && count <= WST_ADDRESSES_MAX);
    if (count > 0)
        memcpy(asked->addresses, addresses, count * sizeof(*addresses));
    if (asked->cancel != NULL)
        wst_resolve_cancel(asked->cancel->resolve);
    if (asked->close_ctx)
        wst_ctx_close(ctx, on_ctx_closed);
}

static void ask(asked_t *asked, const char *host, uint64_t timeout_ms) {
    int calls = asked->calls;
    assert_int_equal(wst_resolve(&asked->resolve, ctx, host, timeout_ms, on_resolved, asked), 0);
    assert_int_equal(asked->calls, calls); /* never from inside the call */
}

/* Asks, waits, and expects this answer. */
static void expect_status(const char *host, int status) {
    asked_t asked = {0};
    ask(&asked, host, 0);
    run();
    assert_int_equal(asked.calls, 1);
    assert_int_equal(asked.status, status);
}

static void check_address(const struct sockaddr_storage *address, const char *text) {
    char found[INET6_ADDRSTRLEN];
    if (address->ss_family == AF_INET) {
        assert_int_equal(((const struct sockaddr_in *)address)->sin_port, 0);
        uv_ip4_name((const struct sockaddr_in *)address, found, sizeof(found));
    } else {
        assert_int_equal(address->ss_family, AF_INET6);
        assert_int_equal(((const struct sockaddr_in6 *)address)->sin6_port, 0);
        uv_ip6_name((const struct sockaddr_in6 *)address, found, sizeof(found));
    }
    assert_string_equal(found, text);
}

/* Answers ------------------------------------------------------------------------------------ */

static void test_literals(void **state) {
    (void)state;
    static const struct {
        const char *host, *address;
    } cases[] = {
        {"127.0.0.1", "127.0.0.1"},
        {"255.255.255.255", "255.255.255.255"},
        {"::1", "::1"},
        {"2001:db8:0:0::a", "2001:db8::a"},
        {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
        {"fe80::1%lo", "fe80::1"},
    };
    start(0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        asked_t asked = {0};
        ask(&asked, cases[i].host, 0);
        run();
        assert_int_equal(asked.calls, 1);
        assert_int_equal(asked.status, 0);
        assert_int_equal(asked.count, 1);
        check_address(&asked.addresses[0], cases[i].address);
        if (strchr(cases[i].host, '%') != NULL)
            assert_int_not_equal(((struct sockaddr_in6 *)asked.addresses)->sin6_scope_id, 0);
        assert_int_equal(fake_getaddrinfo_calls(cases[i].host), 0);
    }
    /* Nothing but a literal has a colon; so nobody need be asked. */
    static const char *const bad[] = {"1:2", "[::1]", "::1::", "host:80", ":"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        expect_status(bad[i], UV_EAI_NONAME);
        assert_int_equal(fake_getaddrinfo_calls(bad[i]), 0);
    }
    /* Looks like one, but is a name. */
    expect_status("1.2.3", 0);
    assert_int_equal(fake_getaddrinfo_calls("1.2.3"), 1);
    stop();
}

static void test_bad_arguments(void **state) {
    (void)state;
    wst_resolve_t *resolve = NULL;
    char host[257] = "";
    start(0);
    assert_int_equal(wst_resolve(&resolve, ctx, NULL, 0, on_resolved, NULL), WST_EINVAL);
    assert_int_equal(wst_resolve(&resolve, ctx, "", 0, on_resolved, NULL), WST_EINVAL);
    assert_int_equal(wst_resolve(&resolve, ctx, "a.test", 0, NULL, NULL), WST_EINVAL);
    memset(host, 'a', 256);
    assert_int_equal(wst_resolve(&resolve, ctx, host, 0, on_resolved, NULL), WST_EINVAL);
    assert_null(resolve);
    host[255] = '\0';
    expect_status(host, 0);
    stop();
}

static void test_names(void **state) {
    (void)state;
    asked_t asked = {0};
    start(0);
    ask(&asked, "good.test", 0);
    run();
    assert_int_equal(asked.status, 0);
    assert_int_equal(asked.count, 2);
    check_address(&asked.addresses[0], "192.0.2.1");
    check_address(&asked.addresses[1], "2001:db8::1");

    expect_status("none.test", UV_EAI_NONAME);
    assert_string_equal(wst_strerror(UV_EAI_NONAME), "name not found");
    expect_status("again.test", UV_EAI_AGAIN);
    expect_status("fail.test", UV_EAI_FAIL);
    expect_status("system.test", UV_EMFILE);
    expect_status("alien.test", UV_EAI_NODATA);

    ask(&asked, "many.test", 0);
    run();
    assert_int_equal(asked.count, WST_ADDRESSES_MAX);
    check_address(&asked.addresses[0], "192.0.2.1");
    check_address(&asked.addresses[31], "192.0.2.32");
    stop();
}

/* Sharing, hanging --------------------------------------------------------------------------- */

static void test_shared(void **state) {
    (void)state;
    asked_t asked[10] = {{0}}, other = {0};
    start(0);
    for (int i = 0; i < 10; i++)
        ask(&asked[i], "stuck.test", 0);
    ask(&other, "stuck-not.test", 0);
    fake_getaddrinfo_wait_stuck(2);
    fake_getaddrinfo_release();
    run();
    assert_int_equal(fake_getaddrinfo_calls("stuck.test"), 1);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(asked[i].calls, 1);
        assert_int_equal(asked[i].count, 2);
    }
    assert_int_equal(other.calls, 1);
    stop();
}

/* A name server that never answers holds up nobody else, no deadline, no loop, no close. */
static void test_stuck(void **state) {
    (void)state;
    asked_t stuck = {0}, again = {0}, good = {0};
    start(2);
    ask(&stuck, "stuck.test", 20);
    fake_getaddrinfo_wait_stuck(1);
    ask(&good, "good.test", 0);
    run();
    assert_int_equal(good.status, 0);
    assert_int_equal(stuck.calls, 1);
    assert_int_equal(stuck.status, WST_ENAMETIMEOUT);

    /* It still hangs: who asks again joins it, with a deadline of his own. */
    ask(&again, "stuck.test", 20);
    run();
    assert_int_equal(again.status, WST_ENAMETIMEOUT);
    assert_int_equal(fake_getaddrinfo_calls("stuck.test"), 1);

    /* And when it comes back after all, it answers. */
    ask(&again, "stuck.test", 0);
    fake_getaddrinfo_release();
    run();
    assert_int_equal(again.calls, 2);
    assert_int_equal(again.status, 0);
    stop();

    start(2);
    ask(&stuck, "stuck1.test", 10);
    ask(&again, "stuck2.test", 10);
    fake_getaddrinfo_wait_stuck(2);
    run();
    stop();
}

static void release_later(uv_timer_t *timer) {
    (void)timer;
    fake_getaddrinfo_release();
}

/* The loop goes on while somebody waits, even with no deadline to speak of. */
static void test_loop_waits(void **state) {
    (void)state;
    asked_t asked = {0};
    uv_timer_t timer;
    start(1);
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, release_later, 20, 0);
    uv_unref((uv_handle_t *)&timer);
    ask(&asked, "stuck.test", UINT64_MAX);
    run();
    assert_int_equal(asked.calls, 1);
    assert_int_equal(asked.status, 0);
    uv_close((uv_handle_t *)&timer, NULL);
    stop();
}

/* All threads hang: names wait for one, and those given up are not looked up any more. */
static void test_all_stuck(void **state) {
    (void)state;
    asked_t stuck = {0}, late = {0}, cancelled = {0}, patient = {0};
    start(1);
    ask(&stuck, "stuck.test", 0);
    fake_getaddrinfo_wait_stuck(1);
    ask(&late, "late.test", 10);
    ask(&cancelled, "cancelled.test", 0);
    ask(&patient, "patient.test", 0);
    wst_resolve_cancel(cancelled.resolve);
    run_until(&late.calls, 1);
    assert_int_equal(late.status, WST_ENAMETIMEOUT);
    fake_getaddrinfo_release();
    run();
    assert_int_equal(stuck.status, 0);
    assert_int_equal(patient.status, 0);
    assert_int_equal(fake_getaddrinfo_calls("late.test"), 0);
    assert_int_equal(fake_getaddrinfo_calls("cancelled.test"), 0);
    assert_int_equal(cancelled.calls, 0);
    stop();
}

static void test_limit(void **state) {
    (void)state;
    enum { NAMES = 1024 };
    asked_t *asked = calloc(NAMES + 2, sizeof(*asked));
    start(1);
    for (int i = 0; i < NAMES; i++) {
        char host[32];
        snprintf(host, sizeof(host), "stuck%d.test", i);
        ask(&asked[i], host, 0);
    }
    fake_getaddrinfo_wait_stuck(1);
    ask(&asked[NAMES], "one-too-many.test", 0);
    ask(&asked[NAMES + 1], "stuck1023.test", 0); /* no new name */
    fake_getaddrinfo_release();
    run();
    for (int i = 0; i < NAMES + 2; i++) {
        assert_int_equal(asked[i].calls, 1);
        assert_int_equal(asked[i].status, i == NAMES ? WST_ELIMIT : 0);
    }
    expect_status("one-too-many.test", 0); /* there is room again */
    stop();
    free(asked);
}

/* Fair shares -------------------------------------------------------------------------------- */

/* Eight names that hang, of one zone or of eight: names of other zones are looked up at once. */
static void test_names_that_hang_hold_up_nobody(void **state) {
    (void)state;
    static const char *const forms[] = {"stuck%d.slow.test", "stuck%d.test"};
    for (size_t form = 0; form < 2; form++) {
        asked_t stuck[8] = {{0}}, good[6] = {{0}};
        char host[32];
        start(0);
        for (int i = 0; i < 8; i++) {
            snprintf(host, sizeof(host), forms[form], i);
            ask(&stuck[i], host, 0);
        }
        fake_getaddrinfo_wait_stuck(8);
        for (int i = 0; i < 6; i++) {
            snprintf(host, sizeof(host), "good%d.test", i);
            ask(&good[i], host, 0);
            run_until(&good[i].calls, 1);
            assert_int_equal(good[i].status, 0);
            assert_int_equal(stuck[i].calls, 0);
        }
        for (int i = 0; i < 8; i++)
            wst_resolve_cancel(stuck[i].resolve);
        stop();
    }
}

/* Nor do names that wait: a zone gets half of the table. */
static void test_zone_gets_half_of_the_names(void **state) {
    (void)state;
    enum { NAMES = 520 };
    asked_t *asked = calloc(NAMES, sizeof(*asked)), good = {0};
    start(8);
    for (int i = 0; i < NAMES; i++) {
        char host[32];
        snprintf(host, sizeof(host), "stuck%d.slow.test", i);
        ask(&asked[i], host, 0);
    }
    ask(&good, "good.test", 0);
    run_until(&good.calls, 1);
    assert_int_equal(good.status, 0);
    fake_getaddrinfo_release();
    run();
    for (int i = 0; i < NAMES; i++)
        assert_int_equal(asked[i].status, i < 512 ? 0 : WST_ELIMIT);
    stop();
    free(asked);
}

/* Names that nobody answers for -------------------------------------------------------------- */

/* While a look-up hangs, later requests do not wait for it; when it comes back, it is used. */
static void test_hanging_name_fails_at_once(void **state) {
    (void)state;
    asked_t first = {0}, later = {0};
    start(2);
    ask(&first, "stuck.test", 0);
    fake_getaddrinfo_wait_stuck(1);
    atomic_fetch_add(&passed_ms, 9900);
    ask(&later, "stuck.test", 1);
    run_until(&later.calls, 1);
    assert_int_equal(later.status, WST_ENAMETIMEOUT); /* by its own deadline */
    atomic_fetch_add(&passed_ms, 200);
    ask(&later, "stuck.test", UINT64_MAX);
    run_until(&later.calls, 2);
    assert_int_equal(later.status, WST_ENAMETIMEOUT);
    assert_int_equal(first.calls, 0); /* who waits goes on waiting */
    fake_getaddrinfo_release();
    run();
    assert_int_equal(first.status, 0);
    expect_status("stuck.test", 0);
    stop();
}

/* A look-up that ends without an answer after some time is remembered for 10 s. */
static void test_unanswered_name_is_remembered(void **state) {
    (void)state;
    asked_t first = {0};
    start(2);
    ask(&first, "stuck-again.test", 0);
    fake_getaddrinfo_wait_stuck(1);
    atomic_fetch_add(&passed_ms, 1000);
    fake_getaddrinfo_release();
    run();
    assert_int_equal(first.status, UV_EAI_AGAIN);
    expect_status("stuck-again.test", WST_ENAMETIMEOUT);
    atomic_fetch_add(&passed_ms, 9000);
    expect_status("STUCK-again.test", WST_ENAMETIMEOUT);
    assert_int_equal(fake_getaddrinfo_calls("stuck-again.test"), 1);
    atomic_fetch_add(&passed_ms, 1001);
    expect_status("stuck-again.test", UV_EAI_AGAIN);
    assert_int_equal(fake_getaddrinfo_calls("stuck-again.test"), 2);

    /* One that is refused at once is not: the next attempt costs little. */
    expect_status("again.test", UV_EAI_AGAIN);
    expect_status("again.test", UV_EAI_AGAIN);
    stop();
}

/* Cancel and close --------------------------------------------------------------------------- */

static void test_cancel(void **state) {
    (void)state;
    asked_t asked[5] = {{0}};
    start(1);
    ask(&asked[0], "127.0.0.1", 0);
    ask(&asked[1], "stuck.test", 0);
    fake_getaddrinfo_wait_stuck(1);
    ask(&asked[2], "stuck.test", 0);
    ask(&asked[3], "queued.test", 0);
    ask(&asked[4], "queued.test", 0);
    for (int i = 0; i < 5; i++)
        wst_resolve_cancel(asked[i].resolve);
    run(); /* ends although it hangs */
    fake_getaddrinfo_release();
    expect_status("good.test", 0); /* behind it, so its answer to nobody has come too */
    for (int i = 0; i < 5; i++)
        assert_int_equal(asked[i].calls, 0);

    ask(&asked[0], "good.test", 0);
    fake_getaddrinfo_wait_returned(3); /* answered, but not told yet */
    wst_resolve_cancel(asked[0].resolve);
    ask(&asked[1], "good.test", 0);
    run();
    assert_int_equal(asked[0].calls, 0);
    assert_int_equal(asked[1].calls, 1);
    stop();
}

/* One callback cancels another that waits for the same name, and one for another name. */
static void test_cancel_in_callback(void **state) {
    (void)state;
    asked_t asked[4] = {{0}};
    asked[0].cancel = &asked[1];
    asked[2].cancel = &asked[3];
    start(1);
    for (int i = 0; i < 3; i++)
        ask(&asked[i], "good.test", 0);
    ask(&asked[3], "stuck.test", 0);
    fake_getaddrinfo_wait_stuck(1);
    run();
    assert_int_equal(asked[0].calls, 1);
    assert_int_equal(asked[1].calls, 0);
    assert_int_equal(asked[2].calls, 1);
    assert_int_equal(asked[3].calls, 0);

    /* In the callback of a deadline, of a literal. */
    memset(asked, 0, sizeof(asked));
    asked[0].cancel = &asked[1];
    asked[2].cancel = &asked[3];
    ask(&asked[0], "stuck.test", 10);
    ask(&asked[1], "stuck.test", 10);
    ask(&asked[2], "::1", 0);
    ask(&asked[3], "::1", 0);
    run();
    assert_int_equal(asked[0].status, WST_ENAMETIMEOUT);
    assert_int_equal(asked[0].calls, 1);
    assert_int_equal(asked[1].calls, 0);
    assert_int_equal(asked[2].calls, 1);
    assert_int_equal(asked[3].calls, 0);
    stop();
}

static void again(int status, const struct sockaddr_storage *addresses, size_t count,
                  void *user_data) {
    asked_t *asked = user_data;
    on_resolved(status, addresses, count, asked);
    if (asked->calls < 3)
        assert_int_equal(wst_resolve(&asked->resolve, ctx, "good.test", 0, again, asked), 0);
}

/* Asking for the same name within its callback begins anew. */
static void test_ask_in_callback(void **state) {
    (void)state;
    asked_t asked = {0};
    start(1);
    assert_int_equal(wst_resolve(&asked.resolve, ctx, "good.test", 0, again, &asked), 0);
    run();
    assert_int_equal(asked.calls, 3);
    assert_int_equal(fake_getaddrinfo_calls("good.test"), 3);
    stop();
}

/* The context closed by the first of two callbacks waits for the second. */
static void test_close_in_callback(void **state) {
    (void)state;
    static const char *const hosts[] = {"good.test", "none.test", "::1"};
    for (size_t i = 0; i < sizeof(hosts) / sizeof(*hosts); i++) {
        asked_t first = {.close_ctx = true}, second = {0};
        start(1);
        ask(&first, hosts[i], 0);
        ask(&second, hosts[i], 0);
        run();
        assert_int_equal(first.calls, 1);
        assert_int_equal(second.calls, 1);
        assert_int_equal(ctx_closed, 1);
        assert_int_equal(uv_loop_close(&loop), 0);
        assert_int_equal(test_alloc_live(), 0);
        fake_getaddrinfo_wait_no_threads();
    }
}

static void test_requests_are_counted(void **state) {
    (void)state;
    asked_t asked[3] = {{0}};
    wst_ctx_stats_t stats = {.size = sizeof(stats)};
    start(1);
    ask(&asked[0], "::1", 0);
    ask(&asked[1], "stuck.test", 10);
    ask(&asked[2], "stuck.test", 10);
    fake_getaddrinfo_wait_stuck(1);
    wst_ctx_get_stats(ctx, &stats);
    assert_int_equal(stats.handles, 3);
    wst_resolve_cancel(asked[2].resolve);
    run();
    wst_ctx_get_stats(ctx, &stats);
    assert_int_equal(stats.handles, 0);
    stop();
}

/* Many names in many threads at once: for the sanitizers. */
static void test_many_threads(void **state) {
    (void)state;
    enum { NAMES = 200 };
    asked_t *asked = calloc(NAMES, sizeof(*asked));
    start(16);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < NAMES; i++) {
            char host[32];
            snprintf(host, sizeof(host), "%s%d.test", i % 3 == 0 ? "none" : "good", i);
            ask(&asked[i], host, 0);
        }
        run();
        for (int i = 0; i < NAMES; i++) {
            assert_int_equal(asked[i].calls, round + 1);
            assert_int_equal(asked[i].status, i % 3 == 0 ? UV_EAI_NONAME : 0);
        }
    }
    stop();
    free(asked);
}

/* Memory ------------------------------------------------------------------------------------- */

static void scenario(void *arg) {
    const char *host = arg;
    asked_t asked[2] = {{0}};
    wst_ctx_options_t options = {
        .size = sizeof(options), .allocator = &test_allocator, .resolver_threads = 1};
    fake_getaddrinfo_reset();
    assert_int_equal(uv_loop_init(&loop), 0);
    if (wst_ctx_new(&ctx, &loop, &options) == 0) {
        int status[2];
        for (int i = 0; i < 2; i++) {
            status[i] = wst_resolve(&asked[i].resolve, ctx, host, 0, on_resolved, &asked[i]);
            assert_true(status[i] == 0 || status[i] == WST_ENOMEM);
        }
        run();
        for (int i = 0; i < 2; i++)
            assert_int_equal(asked[i].calls, status[i] == 0);
        wst_ctx_close(ctx, NULL);
        run();
    }
    assert_int_equal(uv_loop_close(&loop), 0);
    fake_getaddrinfo_wait_no_threads();
}

static void test_no_memory(void **state) {
    (void)state;
    static char name[] = "good.test", literal[] = "127.0.0.1";
    /* the context; two requests; the resolver and the name */
    assert_int_equal(test_alloc_each(scenario, literal), 3);
    assert_int_equal(test_alloc_each(scenario, name), 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_literals),
        cmocka_unit_test(test_bad_arguments),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_shared),
        cmocka_unit_test(test_stuck),
        cmocka_unit_test(test_loop_waits),
        cmocka_unit_test(test_all_stuck),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_names_that_hang_hold_up_nobody),
        cmocka_unit_test(test_zone_gets_half_of_the_names),
        cmocka_unit_test(test_hanging_name_fails_at_once),
        cmocka_unit_test(test_unanswered_name_is_remembered),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_cancel_in_callback),
        cmocka_unit_test(test_ask_in_callback),
        cmocka_unit_test(test_close_in_callback),
        cmocka_unit_test(test_requests_are_counted),
        cmocka_unit_test(test_many_threads),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
