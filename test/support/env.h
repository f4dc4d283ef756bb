/* SPDX-License-Identifier: MIT */
#ifndef TEST_ENV_H
#define TEST_ENV_H
/*
 * A loop and a context on it, made of test_allocator. Its end checks that nothing is left: no
 * handle of libuv, no chunk, no block.
 */
#include "support.h"

#include <uv.h>
#include <wstunnel/ctx.h>

typedef struct test_env {
    uv_loop_t loop;
    wst_ctx_t *ctx; /* NULL if there was no memory for it */
    char log[512];  /* the last line */
    size_t log_lines;
    size_t close_cbs;
    struct test_env *joined; /* see test_env_join */
} test_env_t;

/* SIGPIPE is ignored from here on, as hosts of the library must. */
void test_env_open(test_env_t *env);

/*
 * Joins two open environments in one test: whenever one of them runs its loop, the other one does
 * so too, so that a world can wait for what another one has to do. The one that is closed last
 * checks that no block is left.
 */
void test_env_join(test_env_t *env, test_env_t *other);

/* Runs the loop until `done` answers true; fails the test after 10 seconds. */
void test_env_until(test_env_t *env, bool (*done)(void *arg), void *arg);

/* Runs the loop until `*value` is at least `least`; fails the test after 10 seconds. */
void test_env_until_count(test_env_t *env, const size_t *value, size_t least);

/* Runs `n` turns of the loop, never waiting: whatever is due happens. */
void test_env_turns(test_env_t *env, int n);

/* Closes the context and the loop. All handles must have been closed, at least by a close call. */
void test_env_close(test_env_t *env);

#endif
