/* SPDX-License-Identifier: MIT */
/* The log of a program (log.h). */
#include "log.h"

#include "log_writer.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TEXT_MAX = 512, NUMBER_MAX = 64, END_TIMEOUT_MS = 250 };

/* 2026-01-31T12:34:56 */
enum { SECOND_LEN = 19, STAMP_SIZE = SECOND_LEN + sizeof(".123Z") };

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static const char *const level_columns[] = {" error ", " warn  ", " info  ", " debug "};

static struct {
    wst_log_level_t level;
    log_format_t format;
    bool started, journal; /* journal: stderr leads there */
} current = {.level = WST_LOG_INFO};

bool log_wants_event(wst_log_level_t level) {
    return current.format == LOG_JSON && level <= current.level;
}

/* A second by RFC 3339, in UTC; it is formatted when another one has begun. */
typedef struct stamp {
    time_t second;
    char text[SECOND_LEN + 1];
} stamp_t;

/* Writes the current time, to the millisecond or the second. */
static void write_time(stamp_t *stamp, char out[STAMP_SIZE], bool millis) {
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec != stamp->second || stamp->text[0] == '\0') {
        gmtime_r(&now.tv_sec, &utc);
        strftime(stamp->text, sizeof(stamp->text), "%Y-%m-%dT%H:%M:%S", &utc);
        stamp->second = now.tv_sec;
    }
    memcpy(out, stamp->text, SECOND_LEN);
    char *at = out + SECOND_LEN;
    if (millis) {
        long ms = now.tv_nsec / 1000000;
        *at++ = '.';
        *at++ = (char)('0' + ms / 100);
        *at++ = (char)('0' + ms / 10 % 10);
        *at++ = (char)('0' + ms % 10);
    }
    *at++ = 'Z';
    *at = '\0';
}

/* Only the loop's thread uses it: the notices, formatted by the writer's, have stamps of their own.
 */
static stamp_t line_stamp;

/* The journal -------------------------------------------------------------------------------- */

/* As systemd says that it has connected stderr, which may have been redirected since. */
static bool leads_to_journal(void) {
    struct stat file;
    char mine[2 * NUMBER_MAX];
    const char *stream = getenv("JOURNAL_STREAM");
    if (stream == NULL || fstat(STDERR_FILENO, &file) != 0)
        return false;
    snprintf(mine, sizeof(mine), "%" PRIu64 ":%" PRIu64, (uint64_t)file.st_dev,
             (uint64_t)file.st_ino);
    return strcmp(stream, mine) == 0;
}

/* What the journal takes from the beginning of a line: its priority (sd-daemon(3)). */
static const char *priority(wst_log_level_t level) {
    static const char *const priorities[] = {"<3>", "<4>", "<6>", "<7>"};
    return current.journal ? priorities[level] : "";
}

/* Life --------------------------------------------------------------------------------------- */

static size_t text_notice(char out[LOG_WRITER_NOTICE], uint64_t lines) {
    stamp_t own = {0};
    char stamp[STAMP_SIZE];
    write_time(&own, stamp, false);
    return (size_t)snprintf(out, LOG_WRITER_NOTICE,
                            "%s%s %-5s %" PRIu64 " lines of the log dropped: they could not be "
                            "written\n",
                            priority(WST_LOG_WARN), stamp, level_names[WST_LOG_WARN], lines);
}

static size_t json_notice(char out[LOG_WRITER_NOTICE], uint64_t lines) {
    stamp_t own = {0};
    char stamp[STAMP_SIZE];
    write_time(&own, stamp, true);
    return (size_t)snprintf(out, LOG_WRITER_NOTICE,
                            "%s{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"log_dropped\","
                            "\"lines\":%" PRIu64 "}\n",
                            priority(WST_LOG_WARN), stamp, level_names[WST_LOG_WARN], lines);
}

static log_writer_notice_cb notice_of(log_format_t format) {
    return format == LOG_JSON ? json_notice : text_notice;
}

void log_set(wst_log_level_t level, log_format_t format) {
    current.level = level;
    current.format = format;
    if (current.started)
        log_writer_set_notice(notice_of(format));
}

int log_start(void) {
    current.journal = leads_to_journal();
    int status = log_writer_start(STDERR_FILENO, notice_of(current.format));
    current.started = status == 0;
    return status;
}

void log_flush(void) {
    if (current.started)
        log_writer_flush();
}

void log_end(void) {
    if (current.started)
        log_writer_stop(END_TIMEOUT_MS);
    current.started = false;
}

/* Lines -------------------------------------------------------------------------------------- */

/* All at once: other processes may write there, too. */
static void put(wst_log_level_t level, const char *line, size_t len) {
    if (!current.started) {
        fwrite(line, 1, len, stderr);
        return;
    }
    log_writer_put(line, len);
    if (level <= WST_LOG_WARN)
        log_writer_flush();
}

/* Returns the end. */
static char *append(char *out, const char *text) {
    size_t len = strlen(text);
    memcpy(out, text, len);
    return out + len;
}

/* Writes the beginning of a line of text. Returns its length. */
static size_t write_prefix(char *out, wst_log_level_t level) {
    char *at = append(out, priority(level));
    write_time(&line_stamp, at, false);
    return (size_t)(append(at + strlen(at), level_columns[level]) - out);
}

void log_line(wst_log_level_t level, const char *fmt, ...) {
    char text[TEXT_MAX], line[2 * TEXT_MAX];
    if (level > current.level)
        return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (current.format == LOG_JSON) {
        log_event_t e;
        log_event_begin(&e, level, "log");
        log_event_text(&e, "message", text);
        log_event_end(&e);
        return;
    }
    size_t len = write_prefix(line, level);
    len += wst_log_escape(line + len, sizeof(line) - len - 1, text, strlen(text));
    line[len++] = '\n';
    put(level, line, len);
}

/* Events ------------------------------------------------------------------------------------- */

/* Whether there is room for `len` more bytes and the end. That is so for every event of these
 * programs; a member that would not fit is left out whole. */
static bool has_room(const log_event_t *e, size_t len) {
    return sizeof(e->text) - e->len > len + sizeof("}\n");
}

static void put_name(log_event_t *e, const char *name) {
    e->len += (size_t)snprintf(e->text + e->len, sizeof(e->text) - e->len,
                               "%s\"%s\":", e->text[e->len - 1] == '{' ? "" : ",", name);
}

void log_event_text(log_event_t *e, const char *name, const char *text) {
    size_t len = strlen(text);
    if (len > TEXT_MAX)
        len = TEXT_MAX;
    if (!has_room(e, strlen(name) + 6 * len + 8))
        return;
    put_name(e, name);
    e->len += wst_json_quote(e->text + e->len, sizeof(e->text) - e->len, text, len);
}

void log_event_number(log_event_t *e, const char *name, uint64_t number) {
    if (!has_room(e, strlen(name) + NUMBER_MAX))
        return;
    put_name(e, name);
    e->len += (size_t)snprintf(e->text + e->len, sizeof(e->text) - e->len, "%" PRIu64, number);
}

void log_event_begin(log_event_t *e, wst_log_level_t level, const char *name) {
    char stamp[STAMP_SIZE];
    e->level = level;
    write_time(&line_stamp, stamp, true);
    e->len = (size_t)snprintf(e->text, sizeof(e->text), "%s{", priority(level));
    log_event_text(e, "time", stamp);
    log_event_text(e, "level", level_names[level]);
    log_event_text(e, "event", name);
}

void log_event_end(log_event_t *e) {
    memcpy(e->text + e->len, "}\n", 2);
    put(e->level, e->text, e->len + 2);
}
