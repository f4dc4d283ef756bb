/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_PROGRAM_H
#define EXAMPLES_PROGRAM_H
/* What both programs need around the library: loop, context, signals. */
#include <uv.h>
#include <wstunnel/wstunnel.h>

#include "log.h"

typedef struct program {
    uv_loop_t loop;
    wst_ctx_t *ctx;
    uv_signal_t signals[3];
    unsigned signal_count;
    void (*on_stop)(void *user_data, bool now);
    void (*on_reload)(void *user_data);
    void *user_data;
    int exit_status; /* 128 + signal if it was told to leave at once */
} program_t;

/* Loop, context with its log in ours, SIGPIPE ignored, SIGINT and SIGTERM caught: the first one
 * calls on_stop to finish what is open, the second one to break it off (`now`), a third one exits.
 * memory_budget: as in wst_ctx_options. 0 or an error. */
int program_init(program_t *program, wst_log_level_t level, size_t memory_budget,
                 void (*on_stop)(void *user_data, bool now), void *user_data);

/* SIGHUP calls on_reload, as long as it has not been told to stop. 0 or an error. */
int program_watch_reload(program_t *program, void (*on_reload)(void *user_data));

/* Closes the context and the signals; the loop ends when all is closed. */
void program_finish(program_t *program);

#endif
