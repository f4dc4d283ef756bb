/* SPDX-License-Identifier: MIT */
/* The context: its life, deferred callbacks, deadlines on the timer, random bytes, the log. */
#include "ctx.h"
#include "env.h"

#include <stdio.h>

/* Life --------------------------------------------------------------------------------------- */

static void test_default_options(void **state) {
    (void)state;
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    wst_ctx_t *ctx;
    assert_int_equal(wst_ctx_new(&ctx, &loop, NULL), 0);
    assert_ptr_equal(wst_ctx_loop(ctx), &loop);
    assert_int_equal(wst_ctx_now(ctx), uv_now(&loop));
    assert_ptr_equal(wst_ctx_allocator(ctx)->malloc, wst__default_allocator.malloc);
    wst_ctx_stats_t stats = {.size = sizeof(stats)};
    wst_ctx_get_stats(ctx, &stats);
    assert_int_equal(
        stats.budget_limit,
        wst__budget_default(512 * 1024 * 1024, uv_get_total_memory(), uv_get_constrained_memory()));
    assert_int_equal(stats.budget_used, 0);
    assert_int_equal(stats.chunks, 0);
    assert_int_equal(stats.handles, 0);
    assert_int_equal(ctx->options.resolver_threads, 256);
    wst_ctx_close(ctx, NULL);
    wst_ctx_close(ctx, NULL); /* again: nothing */
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void test_options(void **state) {
    (void)state;
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    wst_ctx_t *ctx;
    wst_ctx_options_t options = {
        .size = sizeof(options), .memory_budget = 12345, .resolver_threads = 5000};
    assert_int_equal(wst_ctx_new(&ctx, &loop, &options), 0);
    wst_ctx_stats_t stats = {.size = sizeof(stats)};
    wst_ctx_get_stats(ctx, &stats);
    assert_int_equal(stats.budget_limit, 12345);
    assert_int_equal(ctx->options.resolver_threads, 1024);
    wst_ctx_close(ctx, NULL);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void count_close(void *user_data) {
    test_env_t *env = user_data;
    env->close_cbs++;
}

static void test_close_waits_for_handles(void **state) {
    (void)state;
    test_env_t env;
    test_env_open(&env);
    wst__ctx_hold(env.ctx);
    wst__ctx_hold(env.ctx);
    wst_ctx_stats_t stats = {.size = sizeof(stats)};
    wst_ctx_get_stats(env.ctx, &stats);
    assert_int_equal(stats.handles, 2);
    wst_ctx_close(env.ctx, count_close);
    test_env_turns(&env, 3);
    wst__ctx_release(env.ctx);
    test_env_turns(&env, 3);
    assert_int_equal(env.close_cbs, 0);
    wst__ctx_release(env.ctx);
    assert_int_equal(env.close_cbs, 0); /* never from inside a call */
    test_env_turns(&env, 3);
    assert_int_equal(env.close_cbs, 1);
    assert_int_equal(uv_loop_close(&env.loop), 0);
    assert_int_equal(test_alloc_live(), 0);
}

/* Two services, the first of which takes a while to close. */
typedef struct service {
    wst__service_t base;
    wst_ctx_t *ctx;
    wst__defer_t defer;
    int closed, gone;
} service_t;

static void service_gone(wst__defer_t *defer) {
    service_t *s = WST__CONTAINER(defer, service_t, defer);
    s->gone++;
    wst__ctx_release(s->ctx);
}

static void close_slowly(wst__service_t *base) {
    service_t *s = WST__CONTAINER(base, service_t, base);
    s->closed++;
    wst__ctx_hold(s->ctx);
    wst__defer(s->ctx, &s->defer, service_gone);
}

static void close_at_once(wst__service_t *base) {
    WST__CONTAINER(base, service_t, base)->closed++;
}

static void test_services(void **state) {
    (void)state;
    test_env_t env;
    test_env_open(&env);
    service_t slow = {.ctx = env.ctx}, quick = {.ctx = env.ctx};
    wst__defer_init(&slow.defer);
    assert_null(wst__ctx_service(env.ctx, close_slowly));
    wst__ctx_add_service(env.ctx, &slow.base, close_slowly);
    wst__ctx_add_service(env.ctx, &quick.base, close_at_once);
    assert_ptr_equal(wst__ctx_service(env.ctx, close_slowly), &slow.base);
    assert_ptr_equal(wst__ctx_service(env.ctx, close_at_once), &quick.base);
    wst__ctx_hold(env.ctx);
    wst_ctx_close(env.ctx, count_close);
    assert_int_equal(slow.closed, 0); /* not before all else is gone */
    wst__ctx_release(env.ctx);
    assert_int_equal(slow.closed, 1);
    assert_int_equal(quick.closed, 0); /* one after another */
    test_env_turns(&env, 3);
    assert_int_equal(slow.gone, 1);
    assert_int_equal(quick.closed, 1);
    assert_int_equal(env.close_cbs, 1);
    assert_int_equal(uv_loop_close(&env.loop), 0);
    assert_int_equal(test_alloc_live(), 0);
}

static void one_life(void *arg) {
    (void)arg;
    test_env_t env;
    test_env_open(&env);
    wst_slice_t slice;
    if (env.ctx != NULL && wst_slice_copy(&slice, env.ctx, "abc", 3) == 0) {
        assert_memory_equal(slice.data, "abc", 3);
        wst_slice_unref(slice);
    }
    test_env_close(&env);
}

static void test_allocations(void **state) {
    (void)state;
    assert_int_equal(test_alloc_each(one_life, NULL), 2);
}

/* Deferred callbacks ------------------------------------------------------------------------- */

typedef struct job {
    wst__defer_t defer;
    wst_ctx_t *ctx;
    struct job *other;
    char name;
} job_t;

static char trace[32];

static void note(char c) {
    size_t len = strlen(trace);
    assert_true(len + 1 < sizeof(trace));
    trace[len] = c;
}

static job_t make_job(test_env_t *env, char name) {
    job_t job = {.ctx = env->ctx, .name = name};
    return job;
}

static void open_with_jobs(test_env_t *env, job_t *a, job_t *b) {
    memset(trace, 0, sizeof(trace));
    test_env_open(env);
    *a = make_job(env, 'a');
    *b = make_job(env, 'b');
    wst__defer_init(&a->defer);
    wst__defer_init(&b->defer);
    a->other = b;
    b->other = a;
}

static void run_job(wst__defer_t *defer) {
    note(WST__CONTAINER(defer, job_t, defer)->name);
}

static void run_upper(wst__defer_t *defer) {
    note((char)(WST__CONTAINER(defer, job_t, defer)->name - 'a' + 'A'));
}

static void run_and_cancel_other(wst__defer_t *defer) {
    run_job(defer);
    wst__defer_cancel(&WST__CONTAINER(defer, job_t, defer)->other->defer);
}

static void run_and_repeat(wst__defer_t *defer) {
    run_job(defer);
    wst__defer(WST__CONTAINER(defer, job_t, defer)->ctx, defer, run_upper);
}

static void test_defer_runs_later_and_once(void **state) {
    (void)state;
    test_env_t env;
    job_t a, b;
    open_with_jobs(&env, &a, &b);
    wst__defer(env.ctx, &a.defer, run_job);
    wst__defer(env.ctx, &b.defer, run_job);
    wst__defer(env.ctx, &a.defer, run_upper); /* replaces, keeps its place */
    assert_string_equal(trace, "");
    test_env_turns(&env, 1);
    assert_string_equal(trace, "Ab");
    test_env_turns(&env, 2);
    assert_string_equal(trace, "Ab");
    /* Nothing keeps the loop alive now. */
    assert_int_equal(uv_run(&env.loop, UV_RUN_NOWAIT), 0);
    test_env_close(&env);
}

static size_t paced;

static void count_paced(wst__defer_t *defer) {
    (void)defer;
    paced++;
}

/* Of a crowd, WST__PACE at once and as many in each turn; deferred callbacks do not wait for it. */
static void test_pace(void **state) {
    (void)state;
    enum { CROWD = 5 * WST__PACE };
    test_env_t env;
    job_t a, b;
    wst__defer_t crowd[CROWD];
    open_with_jobs(&env, &a, &b);
    paced = 0;
    for (size_t i = 0; i < CROWD; i++) {
        wst__defer_init(&crowd[i]);
        wst__pace(env.ctx, &crowd[i], count_paced);
    }
    wst__pace(env.ctx, &crowd[CROWD - 1], count_paced); /* waits already */
    assert_int_equal(paced, WST__PACE);
    wst__defer_cancel(&crowd[CROWD / 2]);
    wst__defer(env.ctx, &a.defer, run_job);
    size_t before = paced;
    test_env_turns(&env, 1);
    assert_string_equal(trace, "a");
    assert_true(paced - before <= WST__PACE);
    for (int turn = 0; turn < 5; turn++) {
        before = paced;
        test_env_turns(&env, 1);
        assert_true(paced - before <= WST__PACE);
    }
    assert_int_equal(paced, CROWD - 1);
    assert_int_equal(uv_run(&env.loop, UV_RUN_NOWAIT), 0);
    test_env_close(&env);
}

static void test_defer_again_is_for_the_next_turn(void **state) {
    (void)state;
    test_env_t env;
    job_t a, b;
    open_with_jobs(&env, &a, &b);
    wst__defer(env.ctx, &a.defer, run_and_repeat);
    wst__defer(env.ctx, &b.defer, run_job);
    test_env_turns(&env, 1);
    assert_string_equal(trace, "ab");
    test_env_turns(&env, 1);
    assert_string_equal(trace, "abA");
    test_env_close(&env);
}

static void test_defer_cancel(void **state) {
    (void)state;
    test_env_t env;
    job_t a, b;
    open_with_jobs(&env, &a, &b);
    wst__defer(env.ctx, &a.defer, run_and_cancel_other);
    wst__defer(env.ctx, &b.defer, run_job);
    test_env_turns(&env, 2);
    assert_string_equal(trace, "a");
    wst__defer(env.ctx, &b.defer, run_job);
    wst__defer_cancel(&b.defer);
    wst__defer_cancel(&b.defer);
    test_env_turns(&env, 2);
    assert_string_equal(trace, "a");
    assert_int_equal(uv_run(&env.loop, UV_RUN_NOWAIT), 0);
    test_env_close(&env);
}

/* Deadlines ---------------------------------------------------------------------------------- */

typedef struct alarm_at {
    wst__deadline_t deadline;
    wst_ctx_t *ctx;
    uint64_t due;
    char name;
} alarm_t;

static size_t alarms;

static void on_alarm(wst__deadline_t *deadline, uint64_t now_ms) {
    alarm_t *alarm = WST__CONTAINER(deadline, alarm_t, deadline);
    assert_true(now_ms >= alarm->due);
    assert_true(now_ms == wst__now(alarm->ctx));
    note(alarm->name);
    alarms++;
}

static void set_alarm(test_env_t *env, alarm_t *alarm, uint64_t delay) {
    alarm->ctx = env->ctx;
    alarm->due = wst__now(env->ctx) + delay;
    wst__deadline_in(env->ctx, &alarm->deadline, delay, on_alarm);
}

static void test_deadlines(void **state) {
    (void)state;
    test_env_t env;
    test_env_open(&env);
    memset(trace, 0, sizeof(trace));
    alarms = 0;
    alarm_t a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c'}, d = {.name = 'd'};
    set_alarm(&env, &a, 5);
    set_alarm(&env, &b, 100000);
    set_alarm(&env, &c, 1);
    set_alarm(&env, &d, 3);
    set_alarm(&env, &a, 20); /* later: the armed timer comes too early */
    set_alarm(&env, &b, 10); /* sooner: the timer must be armed anew */
    wst__deadline_clear(&env.ctx->deadlines, &d.deadline);
    test_env_until_count(&env, &alarms, 3);
    assert_string_equal(trace, "cba");
    /* A sooner one need not wait for the timer of a later one. */
    set_alarm(&env, &b, 100000);
    set_alarm(&env, &d, 1);
    test_env_until_count(&env, &alarms, 4);
    wst__deadline_clear(&env.ctx->deadlines, &b.deadline);
    /* None is left: the timer does not keep the loop alive. */
    assert_int_equal(uv_run(&env.loop, UV_RUN_NOWAIT), 0);
    set_alarm(&env, &a, 100000);
    assert_int_not_equal(uv_run(&env.loop, UV_RUN_NOWAIT), 0);
    wst__deadline_clear(&env.ctx->deadlines, &a.deadline);
    assert_int_equal(uv_run(&env.loop, UV_RUN_NOWAIT), 0);
    test_env_close(&env);
}

/* Services ----------------------------------------------------------------------------------- */

static void test_random_bytes(void **state) {
    (void)state;
    test_env_t env;
    test_env_open(&env);
    uint8_t seen[200][16], big[4096] = {0};
    for (size_t i = 0; i < 200; i++) {
        assert_int_equal(wst__random(env.ctx, seen[i], 16), 0);
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(seen[i], seen[k], 16);
    }
    /* What has been handed out is not kept. */
    for (size_t i = 0; i < env.ctx->random_used; i++)
        assert_int_equal(env.ctx->random[i], 0);
    assert_int_equal(wst__random(env.ctx, big, sizeof(big)), 0);
    size_t zeros = 0;
    for (size_t i = 0; i < sizeof(big); i++)
        zeros += big[i] == 0;
    assert_in_range(zeros, 0, 100); /* 16 expected */
    test_env_close(&env);
}

static void test_log(void **state) {
    (void)state;
    test_env_t env;
    test_env_open(&env);
    wst_ctx_log(env.ctx, WST_LOG_INFO, "above the level");
    assert_int_equal(env.log_lines, 0);
    wst_ctx_log(env.ctx, WST_LOG_WARN, "%s: %d", "a\nb\x7f\x1b[0m", 7);
    assert_string_equal(env.log, "a\\u000ab\\u007f\\u001b[0m: 7");
    wst_ctx_log(env.ctx, WST_LOG_ERROR, "%s", "h\xc3\xa9 \xff\xc2\x9b!");
    assert_string_equal(env.log, "h\xc3\xa9 \\xff\\u009b!");
    char text[1024];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    memcpy(text + 509, "\xe2\x82\xac", 3); /* cut in the middle of its three bytes */
    wst_ctx_log(env.ctx, WST_LOG_ERROR, "%s", text);
    assert_int_equal(strlen(env.log), 509);
    assert_string_equal(env.log + 507, "xx");
    test_env_close(&env);
}

static void test_log_escape(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},
        {"plain \"\\", "plain \"\\"},
        {"\x01\n\x1f\x7f", "\\u0001\\u000a\\u001f\\u007f"},
        {"\xc2\x80\xc2\x9f\xc2\xa0", "\\u0080\\u009f\xc2\xa0"},
        {"\xd8\x9c\xe2\x80\x8e\xe2\x80\x8f", "\\u061c\\u200e\\u200f"},
        {"\xe2\x80\x8d\xe2\x80\x90", "\xe2\x80\x8d\xe2\x80\x90"}, /* U+200D, U+2010 */
        {"\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa", "\\u2028\\u2029\\u202a"},
        {"\xe2\x80\xab\xe2\x80\xac\xe2\x80\xad", "\\u202b\\u202c\\u202d"},
        {"\xe2\x80\xae\xe2\x80\xaf", "\\u202e\xe2\x80\xaf"},
        {"\xe2\x81\xa5\xe2\x81\xa6\xe2\x81\xa7", "\xe2\x81\xa5\\u2066\\u2067"},
        {"\xe2\x81\xa8\xe2\x81\xa9\xe2\x81\xaa", "\\u2068\\u2069\xe2\x81\xaa"},
        {"\xff|\xe2\x80|\xed\xa0\x80", "\\xff|\\xe2\\x80|\\xed\\xa0\\x80"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char out[64], twice[64];
        size_t len = strlen(cases[i][0]);
        uint8_t *copy = test_guarded(cases[i][0], len);
        size_t n = wst_log_escape(out, sizeof(out), (const char *)copy, len);
        test_guarded_free(copy, len);
        assert_string_equal(out, cases[i][1]);
        assert_int_equal(n, strlen(out));
        wst_log_escape(twice, sizeof(twice), out, n);
        assert_string_equal(twice, out);
    }
    static const char plain[] = "all of it is plain";
    for (size_t size = 1; size <= sizeof(plain); size++) {
        char *out = malloc(size);
        assert_int_equal(wst_log_escape(out, size, plain, sizeof(plain) - 1), size - 1);
        assert_int_equal(strlen(out), size - 1);
        assert_memory_equal(out, plain, size - 1);
        free(out);
    }
    static const char text[] = "a\xe2\x80\xae\xf0\x90\x80\x80",
                      whole[] = "a\\u202e\xf0\x90\x80\x80";
    for (size_t size = 1; size <= sizeof(whole); size++) {
        char *out = malloc(size);
        size_t n = wst_log_escape(out, size, text, strlen(text));
        assert_int_equal(n, size == sizeof(whole) ? 11 : size > 7 ? 7 : size > 1 ? 1 : 0);
        assert_int_equal(strlen(out), n);
        assert_memory_equal(out, whole, n);
        free(out);
    }
}

static void test_no_log(void **state) {
    (void)state;
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    wst_ctx_t *ctx;
    assert_int_equal(wst_ctx_new(&ctx, &loop, NULL), 0);
    wst_ctx_log(ctx, WST_LOG_ERROR, "to nobody");
    wst_ctx_close(ctx, NULL);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default_options),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_close_waits_for_handles),
        cmocka_unit_test(test_services),
        cmocka_unit_test(test_allocations),
        cmocka_unit_test(test_defer_runs_later_and_once),
        cmocka_unit_test(test_pace),
        cmocka_unit_test(test_defer_again_is_for_the_next_turn),
        cmocka_unit_test(test_defer_cancel),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_random_bytes),
        cmocka_unit_test(test_log),
        cmocka_unit_test(test_log_escape),
        cmocka_unit_test(test_no_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
