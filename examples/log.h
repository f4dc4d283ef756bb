/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_LOG_H
#define EXAMPLES_LOG_H
/*
 * A program's log, on stderr: lines for people, or, with --log-format json, one object a line,
 * which is valid whatever bytes its texts have. Contains no secrets. Where systemd has connected
 * stderr to its journal (JOURNAL_STREAM), each line begins with its priority, "<6>", which the
 * journal takes away.
 */
#include <wstunnel/wstunnel.h>

/* The words of --log-format and --log-level, as configurations list them. */
typedef enum log_format { LOG_TEXT, LOG_JSON } log_format_t;
#define LOG_FORMATS "text|json"
#define LOG_LEVELS  "error|warn|info|debug" /* as wst_log_level_t */

/* Sets level and format from now on. At first they are info and text. */
void log_set(wst_log_level_t level, log_format_t format);

/* From now on no call here waits for stderr: a thread writes (log_writer.h has its bounds), errors
 * and warnings at once, other lines within LOG_WRITER_REST_MS. Before this call lines are written
 * at once. 0 or libuv's error. */
int log_start(void);

/* Has the lines so far written at once. Does not wait for that. */
void log_flush(void);

/* Writes what is left, or gives up after 250 ms if nobody reads. Nothing may be logged after that.
 */
void log_end(void);

/* Logs a line for people: time, level, text. In JSON: {"event":"log","message":...}. */
void log_line(wst_log_level_t level, const char *fmt, ...) WST_PRINTF(2, 3);

/* Whether events of this level are logged as objects. */
bool log_wants_event(wst_log_level_t level);

/* An object: begin, members, end. Texts longer than 512 bytes are cut. */
typedef struct log_event {
    char text[16384];
    size_t len;
    wst_log_level_t level;
} log_event_t;
void log_event_begin(log_event_t *e, wst_log_level_t level, const char *name);
void log_event_text(log_event_t *e, const char *name, const char *text);
void log_event_number(log_event_t *e, const char *name, uint64_t number);
void log_event_end(log_event_t *e);

#endif
