/* SPDX-License-Identifier: MIT */
#include "program.h"

#include "notify.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

enum {
    DESCRIPTORS = 32768,
    BREAK_OFF_MS = 500 /* from the second signal, for what peers have to do with a close */
};

/* 0 or -1. Where memory cannot be hidden, at least no dump of it is written to a file: programs
 * that the kernel pipes dumps into need not heed the limit. */
static int forbid_dumps(void) {
    const struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) != 0)
        return -1;
#ifdef __linux__
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#else
    return 0;
#endif
}

void program_hide_memory(void) {
    if (getenv("WSTUNNEL_CORE") == NULL && forbid_dumps() != 0)
        log_line(WST_LOG_WARN, "a crash may leave passwords and keys in a dump of memory: %s",
                 strerror(errno));
}

static void on_library_log(wst_log_level_t level, const char *line, void *user_data) {
    (void)user_data;
    log_line(level, "%s", line);
}

static void log_figures_event(const wst_ctx_stats_t *stats) {
    log_event_t e;
    log_event_begin(&e, WST_LOG_INFO, "figures");
    log_event_number(&e, "turns", stats->turns);
    log_event_number(&e, "turns_over_1ms", stats->turns_over_1ms);
    log_event_number(&e, "turns_over_10ms", stats->turns_over_10ms);
    log_event_number(&e, "turn_max_us", stats->turn_max_us);
    log_event_number(&e, "turn_peak_us", stats->turn_peak_us);
    log_event_number(&e, "memory_used", stats->budget_used);
    log_event_number(&e, "memory_budget", stats->budget_limit);
    log_event_number(&e, "chunks", stats->chunks);
    log_event_number(&e, "handles", stats->handles);
    log_event_end(&e);
}

static void log_figures_line(const wst_ctx_stats_t *stats) {
    log_line(WST_LOG_INFO,
             "loop: %llu turns, %llu above 1 ms, %llu above 10 ms; the longest %llu us, since the "
             "last report %llu us; memory: %zu of %zu bytes reserved, %zu chunks, %zu handles",
             (unsigned long long)stats->turns, (unsigned long long)stats->turns_over_1ms,
             (unsigned long long)stats->turns_over_10ms, (unsigned long long)stats->turn_max_us,
             (unsigned long long)stats->turn_peak_us, stats->budget_used, stats->budget_limit,
             stats->chunks, stats->handles);
}

/* Reports the context's figures. The next report tells the longest turn from here on. */
static void on_report(uv_signal_t *signal, int number) {
    const program_t *p = signal->data;
    wst_ctx_stats_t stats = {.size = sizeof(stats)};
    (void)number;
    wst_ctx_get_stats(p->ctx, &stats);
    wst_ctx_reset_turn_peak(p->ctx);
    if (log_wants_event(WST_LOG_INFO))
        log_figures_event(&stats);
    else
        log_figures_line(&stats);
}

/* What was cut off does not look complete: until a stream's end has been written, the kernel resets
 * its TCP connection when it closes it for us. A Unix socket has no reset. */
static void exit_now(const program_t *p) {
    log_end();
    _Exit(p->exit_status);
}

/* Peers take part in an orderly close: agents answer close frames, for one. These peers do not. */
static void on_overdue(uv_timer_t *timer) {
    log_line(WST_LOG_WARN, "peers do not answer: leaving without them");
    exit_now(timer->data);
}

static void break_off(program_t *p, int number) {
    log_line(WST_LOG_WARN, "second signal: breaking off what is open");
    p->exit_status = 128 + number;
    uv_timer_start(&p->overdue, on_overdue, BREAK_OFF_MS, 0);
    p->on_stop(p->user_data, true);
}

static void on_signal(uv_signal_t *signal, int number) {
    program_t *p = signal->data;
    if (number == SIGHUP) {
        if (p->signal_count > 0)
            return;
        notify_reloading();
        p->on_reload(p->user_data);
        notify_ready();
        return;
    }
    if (number == SIGUSR2) {
        if (p->signal_count == 0)
            p->on_upgrade(p->user_data);
        return;
    }
    p->signal_count++;
    if (p->signal_count == 1) {
        log_line(WST_LOG_INFO, "leaving: finishing what is open; a second signal breaks it off");
        notify_stopping();
        p->on_stop(p->user_data, false);
    } else if (p->signal_count == 2) {
        break_off(p, number);
    } else {
        exit_now(p);
    }
}

static int watch(program_t *p, uv_signal_t *signal, uv_signal_cb callback, int number) {
    signal->data = p;
    uv_unref((uv_handle_t *)signal);
    return uv_signal_start(signal, callback, number);
}

/* Raises the soft limit of descriptors, which is often 1024, since each tunnel takes one. */
static void raise_descriptors(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= DESCRIPTORS)
        return;
    limit.rlim_cur = limit.rlim_max < DESCRIPTORS ? limit.rlim_max : DESCRIPTORS;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* the default bounds follow what there is */
}

int program_init(program_t *p, wst_log_level_t level, size_t memory_budget,
                 void (*on_stop)(void *, bool), void *user_data) {
    p->signal_count = 0;
    p->exit_status = 0;
    p->on_stop = on_stop;
    p->user_data = user_data;
    signal(SIGPIPE, SIG_IGN); /* the library leaves this to its host */
    raise_descriptors();
    int status = uv_loop_init(&p->loop);
    if (status == 0)
        status = log_start();
    if (status != 0)
        return status;
    const wst_ctx_options_t options = {.size = sizeof(options),
                                       .log = on_library_log,
                                       .log_level = level,
                                       .user_data = p,
                                       .memory_budget = memory_budget};
    status = wst_ctx_new(&p->ctx, &p->loop, &options);
    if (status != 0)
        return status;
    for (int i = 0; i < PROGRAM_SIGNALS; i++)
        uv_signal_init(&p->loop, &p->signals[i]);
    uv_timer_init(&p->loop, &p->overdue);
    p->overdue.data = p;
    status = watch(p, &p->signals[0], on_signal, SIGINT);
    if (status == 0)
        status = watch(p, &p->signals[1], on_signal, SIGTERM);
    return status != 0 ? status : watch(p, &p->signals[2], on_report, SIGUSR1);
}

int program_watch_reload(program_t *p, void (*on_reload)(void *user_data)) {
    p->on_reload = on_reload;
    return watch(p, &p->signals[3], on_signal, SIGHUP);
}

int program_watch_upgrade(program_t *p, void (*on_upgrade)(void *user_data)) {
    p->on_upgrade = on_upgrade;
    return watch(p, &p->signals[4], on_signal, SIGUSR2);
}

void program_leave(program_t *p) {
    p->signal_count = 1;
    p->on_stop(p->user_data, false);
}

static void on_ctx_closed(void *user_data) {
    program_t *p = user_data;
    uv_close((uv_handle_t *)&p->overdue, NULL);
}

void program_finish(program_t *p) {
    notify_end();
    for (int i = 0; i < PROGRAM_SIGNALS; i++)
        uv_close((uv_handle_t *)&p->signals[i], NULL);
    wst_ctx_close(p->ctx, on_ctx_closed);
}
