/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_PROGRAM_H
#define EXAMPLES_PROGRAM_H
/* Shared by both programs: loop, context, signals. */
#include <uv.h>
#include <wstunnel/wstunnel.h>

#include "log.h"

enum { PROGRAM_SIGNALS = 5 };

typedef struct program {
    uv_loop_t loop;
    wst_ctx_t *ctx;
    uv_signal_t signals[PROGRAM_SIGNALS];
    uv_timer_t overdue; /* runs from the second signal on */
    unsigned signal_count;
    void (*on_stop)(void *user_data, bool now);
    void (*on_reload)(void *user_data);
    void (*on_upgrade)(void *user_data);
    void *user_data;
    int exit_status; /* 128 + number of the second signal, else 0 */
} program_t;

/*
 * Keeps passwords and keys out of dumps of the program's memory, and out of reach of other programs
 * of the same user. Call it first. It does nothing if the environment variable WSTUNNEL_CORE is
 * set, for those who need a dump. Root, and a debugger that has started the program, see its memory
 * all the same.
 */
void program_hide_memory(void);

/* Makes loop and context, which logs to the program's log; ignores SIGPIPE; raises the limit of
 * descriptors; catches SIGINT and SIGTERM. Starts the log and flushes it before each wait; the
 * caller ends it (log_end), even after an error here. The first signal calls on_stop to let open
 * connections finish, the second one to break them off (`now`): half a second later the program
 * exits, whatever is left. A third one exits at once. SIGUSR1 logs the context's figures.
 * memory_budget: as in wst_ctx_options. 0 or an error. */
int program_init(program_t *program, wst_log_level_t level, size_t memory_budget,
                 void (*on_stop)(void *user_data, bool now), void *user_data);

/* Has SIGHUP call on_reload, until the program has been told to stop. 0 or an error. */
int program_watch_reload(program_t *program, void (*on_reload)(void *user_data));

/* Has SIGUSR2 call on_upgrade, until the program has been told to stop. 0 or an error. */
int program_watch_upgrade(program_t *program, void (*on_upgrade)(void *user_data));

/* Lets open connections finish, as the first signal does: another process has taken over. */
void program_leave(program_t *program);

/* Closes the context and the signals; then the loop ends. */
void program_finish(program_t *program);

#endif
