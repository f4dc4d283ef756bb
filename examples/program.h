/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_PROGRAM_H
#define EXAMPLES_PROGRAM_H
/* Shared by both programs: loop, context, signals. */
#include <uv.h>
#include <wstunnel/wstunnel.h>

#include "log.h"

enum { PROGRAM_SIGNALS = 4 };

typedef struct program {
    uv_loop_t loop;
    wst_ctx_t *ctx;
    uv_signal_t signals[PROGRAM_SIGNALS];
    unsigned signal_count;
    void (*on_stop)(void *user_data, bool now);
    void (*on_reload)(void *user_data);
    void *user_data;
    int exit_status; /* 128 + number of the second signal, else 0 */
} program_t;

/* Makes loop and context, which logs to the program's log; ignores SIGPIPE; catches SIGINT and
 * SIGTERM. The first signal calls on_stop to let open connections finish, the second one to break
 * them off (`now`); a third one exits. SIGUSR1 logs the context's figures. memory_budget: as in
 * wst_ctx_options. 0 or an error. */
int program_init(program_t *program, wst_log_level_t level, size_t memory_budget,
                 void (*on_stop)(void *user_data, bool now), void *user_data);

/* Has SIGHUP call on_reload, until the program has been told to stop. 0 or an error. */
int program_watch_reload(program_t *program, void (*on_reload)(void *user_data));

/* Closes the context and the signals; then the loop ends. */
void program_finish(program_t *program);

#endif
