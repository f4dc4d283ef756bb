/* SPDX-License-Identifier: MIT */
#include "program.h"

#include <signal.h>
#include <stdlib.h>

static void on_library_log(wst_log_level_t level, const char *line, void *user_data) {
    (void)user_data;
    log_line(level, "%s", line);
}

static void on_signal(uv_signal_t *signal, int number) {
    program_t *p = signal->data;
    if (number == SIGHUP) {
        if (p->signal_count == 0)
            p->on_reload(p->user_data);
        return;
    }
    p->signal_count++;
    if (p->signal_count == 1) {
        log_line(WST_LOG_INFO, "leaving: finishing what is open; a second signal breaks it off");
        p->on_stop(p->user_data, false);
    } else if (p->signal_count == 2) {
        /* Not by _Exit: the kernel would close connections in an orderly way, and a truncated
         * transfer would look complete. */
        log_line(WST_LOG_WARN, "second signal: breaking off what is open");
        p->exit_status = 128 + number;
        p->on_stop(p->user_data, true);
    } else {
        _Exit(128 + number);
    }
}

static int watch(program_t *p, uv_signal_t *signal, int number) {
    signal->data = p;
    uv_unref((uv_handle_t *)signal);
    return uv_signal_start(signal, on_signal, number);
}

int program_init(program_t *p, wst_log_level_t level, size_t memory_budget,
                 void (*on_stop)(void *, bool), void *user_data) {
    p->signal_count = 0;
    p->exit_status = 0;
    p->on_stop = on_stop;
    p->user_data = user_data;
    signal(SIGPIPE, SIG_IGN); /* the library leaves this to its host */
    int status = uv_loop_init(&p->loop);
    if (status != 0)
        return status;
    const wst_ctx_options_t options = {.size = sizeof(options),
                                       .log = on_library_log,
                                       .log_level = level,
                                       .memory_budget = memory_budget};
    status = wst_ctx_new(&p->ctx, &p->loop, &options);
    if (status != 0)
        return status;
    for (int i = 0; i < 3; i++)
        uv_signal_init(&p->loop, &p->signals[i]);
    status = watch(p, &p->signals[0], SIGINT);
    return status != 0 ? status : watch(p, &p->signals[1], SIGTERM);
}

int program_watch_reload(program_t *p, void (*on_reload)(void *user_data)) {
    p->on_reload = on_reload;
    return watch(p, &p->signals[2], SIGHUP);
}

void program_finish(program_t *p) {
    for (int i = 0; i < 3; i++)
        uv_close((uv_handle_t *)&p->signals[i], NULL);
    wst_ctx_close(p->ctx, NULL);
}
