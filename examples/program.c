/* SPDX-License-Identifier: MIT */
#include "program.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const level_names[] = {"error", "warn", "info", "debug"};

static void log_line(wst_log_level_t level, const char *line) {
    char stamp[32];
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &utc);
    fprintf(stderr, "%s %-5s %s\n", stamp, level_names[level], line);
}

static void on_library_log(wst_log_level_t level, const char *line, void *user_data) {
    (void)user_data;
    log_line(level, line);
}

void program_log(wst_log_level_t level, const char *fmt, ...) {
    char line[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    log_line(level, line);
}

bool program_parse_level(wst_log_level_t *level, const char *text) {
    for (int i = 0; i < 4; i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *level = (wst_log_level_t)i;
            return true;
        }
    }
    return false;
}

bool program_parse_protocol(wst_protocol_t *protocol, const char *text) {
    *protocol = strcmp(text, "talk") == 0 ? WST_PROTOCOL_TALK : WST_PROTOCOL_WSTUNNEL;
    return *protocol == WST_PROTOCOL_TALK || strcmp(text, "wstunnel") == 0;
}

static void on_signal(uv_signal_t *signal, int number) {
    program_t *p = signal->data;
    p->signal_count++;
    if (p->signal_count == 1) {
        program_log(WST_LOG_INFO, "leaving: finishing what is open; a second signal breaks it off");
        p->on_stop(p->user_data, false);
    } else if (p->signal_count == 2) {
        /* Not by _Exit: the kernel would end connections in order, and what is cut off would look
         * complete. */
        program_log(WST_LOG_WARN, "second signal: breaking off what is open");
        p->exit_status = 128 + number;
        p->on_stop(p->user_data, true);
    } else {
        _Exit(128 + number);
    }
}

int program_init(program_t *p, wst_log_level_t level, void (*on_stop)(void *, bool),
                 void *user_data) {
    p->signal_count = 0;
    p->exit_status = 0;
    p->on_stop = on_stop;
    p->user_data = user_data;
    signal(SIGPIPE, SIG_IGN); /* the library leaves this to its host */
    int status = uv_loop_init(&p->loop);
    if (status != 0)
        return status;
    const wst_ctx_options_t options = {.log = on_library_log, .log_level = level};
    status = wst_ctx_new(&p->ctx, &p->loop, &options);
    if (status != 0)
        return status;
    const int numbers[] = {SIGINT, SIGTERM};
    for (int i = 0; i < 2; i++) {
        uv_signal_init(&p->loop, &p->signals[i]);
        p->signals[i].data = p;
        uv_unref((uv_handle_t *)&p->signals[i]);
        status = uv_signal_start(&p->signals[i], on_signal, numbers[i]);
        if (status != 0)
            return status;
    }
    return 0;
}

void program_finish(program_t *p) {
    for (int i = 0; i < 2; i++)
        uv_close((uv_handle_t *)&p->signals[i], NULL);
    wst_ctx_close(p->ctx, NULL);
}

bool program_read_secret(char *out, size_t size, const char *path) {
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        program_log(WST_LOG_ERROR, "cannot open %s", path);
        return false;
    }
    bool ok = fgets(out, (int)size, file) != NULL;
    fclose(file);
    size_t len = ok ? strcspn(out, "\r\n") : 0;
    if (len == 0 || len == size - 1) {
        program_log(WST_LOG_ERROR, "%s: its first line must be 1 to %zu bytes long", path,
                    size - 2);
        return false;
    }
    out[len] = '\0';
    return true;
}
