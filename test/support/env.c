/* SPDX-License-Identifier: MIT */
/* A loop and a context for tests, with a watchdog in place of sleeps. */
#include "env.h"

#include "ctx.h"

#include <signal.h>
#include <stdio.h>

enum { WATCHDOG_MS = 10000 };

static void on_log(wst_log_level_t level, const char *line, void *user_data) {
    test_env_t *env = user_data;
    (void)level;
    snprintf(env->log, sizeof(env->log), "%s", line);
    env->log_lines++;
}

void test_env_open(test_env_t *env) {
    signal(SIGPIPE, SIG_IGN);
    memset(env, 0, sizeof(*env));
    assert_int_equal(uv_loop_init(&env->loop), 0);
    wst_ctx_options_t options = {.size = sizeof(options),
                                 .allocator = &test_allocator,
                                 .log = on_log,
                                 .log_level = WST_LOG_WARN,
                                 .user_data = env};
    if (wst_ctx_new(&env->ctx, &env->loop, &options) != 0)
        env->ctx = NULL;
    else
        env->ctx->clock = NULL; /* no Date in messages, unless a test sets one */
}

void test_env_join(test_env_t *env, test_env_t *other) {
    assert_true(env->joined == NULL && other->joined == NULL);
    env->joined = other;
    other->joined = env;
}

/* A loop that is joined to another one does not wait, as the other one may have work to do. */
static void turn(test_env_t *env, uv_run_mode mode) {
    uv_run(&env->loop, env->joined == NULL ? mode : UV_RUN_NOWAIT);
    if (env->joined != NULL)
        uv_run(&env->joined->loop, UV_RUN_NOWAIT);
}

typedef struct wait {
    bool (*done)(void *arg);
    void *arg;
    bool late;
} wait_t;

static void on_watchdog(uv_timer_t *timer) {
    wait_t *wait = timer->data;
    wait->late = true;
}

/* A timer may have done it in this turn, which would then wait for the next event. */
static void on_prepare(uv_prepare_t *prepare) {
    wait_t *wait = prepare->data;
    if (wait->done(wait->arg))
        uv_stop(prepare->loop);
}

void test_env_until(test_env_t *env, bool (*done)(void *arg), void *arg) {
    wait_t wait = {done, arg, false};
    uv_timer_t watchdog;
    uv_prepare_t prepare;
    uv_timer_init(&env->loop, &watchdog);
    uv_prepare_init(&env->loop, &prepare);
    watchdog.data = prepare.data = &wait;
    uv_timer_start(&watchdog, on_watchdog, WATCHDOG_MS, 0);
    uv_prepare_start(&prepare, on_prepare);
    while (!done(arg) && !wait.late)
        turn(env, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&watchdog, NULL);
    uv_close((uv_handle_t *)&prepare, NULL);
    uv_run(&env->loop, UV_RUN_NOWAIT);
    if (wait.late)
        fail_msg("what was waited for did not happen");
}

typedef struct count {
    const size_t *value;
    size_t least;
} count_t;

static bool reached(void *arg) {
    const count_t *count = arg;
    return *count->value >= count->least;
}

void test_env_until_count(test_env_t *env, const size_t *value, size_t least) {
    count_t count = {value, least};
    test_env_until(env, reached, &count);
}

void test_env_turns(test_env_t *env, int n) {
    while (n-- > 0)
        turn(env, UV_RUN_NOWAIT);
}

static void on_ctx_closed(void *user_data) {
    test_env_t *env = user_data;
    env->close_cbs++;
}

void test_env_close(test_env_t *env) {
    if (env->ctx != NULL) {
        wst_ctx_close(env->ctx, on_ctx_closed);
        assert_int_equal(env->close_cbs, 0);
        test_env_until_count(env, &env->close_cbs, 1);
    }
    assert_int_equal(uv_run(&env->loop, UV_RUN_NOWAIT), 0);
    assert_int_equal(uv_loop_close(&env->loop), 0);
    assert_int_equal(env->close_cbs, env->ctx != NULL);
    if (env->joined != NULL)
        env->joined->joined = NULL;
    else
        assert_int_equal(test_alloc_live(), 0);
}
