/* SPDX-License-Identifier: MIT */
/* Successors, which are shells here: one that listens, one that ends, one that does neither. */
#include "log.h"
#include "notify.h"
#include "succession.h"
#include "support.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define READY "printf 1 >&$WSTUNNEL_READY; "
#define WAIT  "exec sleep 1000"

static char logged[256];

void log_line(wst_log_level_t level, const char *fmt, ...) {
    va_list args;
    (void)level;
    va_start(args, fmt);
    vsnprintf(logged, sizeof(logged), fmt, args);
    va_end(args);
}

const char *notify_address(void) {
    return "";
}

static int ready_pid;

static void on_ready(int pid, void *user_data) {
    (void)user_data;
    ready_pid = pid;
}

static int start(uv_loop_t *loop, char *script) {
    char shell[] = "/bin/sh", option[] = "-c";
    char *argv[] = {shell, option, script, NULL};
    logged[0] = '\0';
    ready_pid = 0;
    return succession_start(loop, argv, NULL, 0, on_ready, NULL);
}

/* Runs the loop until the successor listens, or has failed, and its handles are closed. */
static void run(uv_loop_t *loop) {
    uv_run(loop, UV_RUN_DEFAULT);
}

/* Whether this process has a child that has not been waited for; if so, waits for it. */
static bool has_child(void) {
    pid_t pid = waitpid(-1, NULL, 0);
    assert_true(pid > 0 || errno == ECHILD);
    return pid > 0;
}

static void run_out(uv_handle_t *handle, void *arg) {
    (void)arg;
    if (handle->type != UV_TIMER)
        return;
    uv_timer_set_repeat((uv_timer_t *)handle, 1);
    uv_timer_again((uv_timer_t *)handle);
}

static void test_listens(void **state) {
    static char script[] = READY WAIT;
    uv_loop_t loop;
    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(start(&loop, script), 0);
    assert_int_equal(start(&loop, script), UV_EALREADY);
    run(&loop);
    assert_true(ready_pid > 0);
    assert_string_equal(logged, "");
    kill(ready_pid, SIGKILL);
    assert_true(has_child());
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void test_ends(void **state) {
    static char script[] = "exit 2";
    uv_loop_t loop;
    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(start(&loop, script), 0);
        run(&loop);
        assert_int_equal(ready_pid, 0);
        assert_string_equal(logged,
                            "the successor has ended before it listened: nothing has changed");
        assert_false(has_child());
    }
    assert_int_equal(uv_loop_close(&loop), 0);
}

/* It is killed, and leaves no zombie behind. */
static void test_hangs(void **state) {
    static char script[] = WAIT;
    uv_loop_t loop;
    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(start(&loop, script), 0);
    uv_walk(&loop, run_out, NULL);
    run(&loop);
    assert_int_equal(ready_pid, 0);
    assert_string_equal(logged,
                        "the successor did not listen in time and was killed: nothing has changed");
    assert_false(has_child());
    assert_int_equal(uv_loop_close(&loop), 0);
}

/* What is no descriptor of a predecessor is left alone. */
static void test_no_predecessor(void **state) {
    int fds[2];
    (void)state;
    assert_int_equal(pipe(fds), 0);
    int output = dup(STDOUT_FILENO);
    assert_int_equal(dup2(fds[1], STDOUT_FILENO), STDOUT_FILENO);
    setenv("WSTUNNEL_READY", "1", 1);
    succession_tell_ready();
    bool open = write(STDOUT_FILENO, "x", 1) == 1;
    assert_int_equal(dup2(output, STDOUT_FILENO), STDOUT_FILENO);
    assert_true(open);
    assert_null(getenv("WSTUNNEL_READY"));
    close(output);
    close(fds[0]);
    close(fds[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_listens),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_hangs),
        cmocka_unit_test(test_no_predecessor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
