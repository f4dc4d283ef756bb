/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_PROGRAM_H
#define EXAMPLES_PROGRAM_H
/* What both programs need around the library: loop, context, log lines, signals, secrets. */
#include <uv.h>
#include <wstunnel/wstunnel.h>

typedef struct program {
    uv_loop_t loop;
    wst_ctx_t *ctx;
    uv_signal_t signals[2];
    unsigned signal_count;
    void (*on_stop)(void *user_data, bool now);
    void *user_data;
    int exit_status; /* 128 + signal if it was told to leave at once */
} program_t;

/* Loop, context with log on stderr, SIGPIPE ignored, SIGINT and SIGTERM caught: the first one calls
 * on_stop to finish what is open, the second one to break it off (`now`), a third one exits. 0 or
 * an error. */
int program_init(program_t *program, wst_log_level_t level,
                 void (*on_stop)(void *user_data, bool now), void *user_data);

/* Closes the context and the signals; the loop ends when all is closed. */
void program_finish(program_t *program);

/* One line on stderr: time, level, text. */
void program_log(wst_log_level_t level, const char *fmt, ...) WST_PRINTF(2, 3);

/* "error", "warn", "info" or "debug"; false if it is none of them. */
bool program_parse_level(wst_log_level_t *level, const char *text);

/* "wstunnel" or "talk"; false if it is none of them. */
bool program_parse_protocol(wst_protocol_t *protocol, const char *text);

/* Reads the first line of a file. On error says why and returns false. */
bool program_read_secret(char *out, size_t size, const char *path);

#endif
