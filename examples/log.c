/* SPDX-License-Identifier: MIT */
/* The log of a program (log.h). */
#include "log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { TEXT_MAX = 512, NUMBER_MAX = 64 };

static const char *const level_names[] = {"error", "warn", "info", "debug"};

static struct {
    wst_log_level_t level;
    log_format_t format;
} current = {WST_LOG_INFO, LOG_TEXT};

void log_set(wst_log_level_t level, log_format_t format) {
    current.level = level;
    current.format = format;
}

bool log_wants_event(wst_log_level_t level) {
    return current.format == LOG_JSON && level <= current.level;
}

/* Writes the time by RFC 3339, in UTC, to the millisecond or the second. */
static void write_time(char *out, size_t size, bool millis) {
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t n = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &utc);
    if (millis)
        snprintf(out + n, size - n, ".%03ldZ", now.tv_nsec / 1000000);
    else
        snprintf(out + n, size - n, "Z");
}

void log_line(wst_log_level_t level, const char *fmt, ...) {
    char line[TEXT_MAX], stamp[64];
    if (level > current.level)
        return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    if (current.format == LOG_JSON) {
        log_event_t e;
        log_event_begin(&e, level, "log");
        log_event_text(&e, "message", line);
        log_event_end(&e);
        return;
    }
    for (char *at = line; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?'; /* a line of the log stays one line */
    write_time(stamp, sizeof(stamp), false);
    fprintf(stderr, "%s %-5s %s\n", stamp, level_names[level], line);
}

/* Events ------------------------------------------------------------------------------------- */

/* Whether there is room for `len` more bytes and the end. That is so for every event of these
 * programs; a member that would not fit is left out whole. */
static bool has_room(const log_event_t *e, size_t len) {
    return sizeof(e->text) - e->len > len + sizeof("}\n");
}

static void put_name(log_event_t *e, const char *name) {
    e->len += (size_t)snprintf(e->text + e->len, sizeof(e->text) - e->len,
                               "%s\"%s\":", e->len > 1 ? "," : "", name);
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
    char stamp[64];
    write_time(stamp, sizeof(stamp), true);
    e->text[0] = '{';
    e->len = 1;
    log_event_text(e, "time", stamp);
    log_event_text(e, "level", level_names[level]);
    log_event_text(e, "event", name);
}

void log_event_end(log_event_t *e) {
    memcpy(e->text + e->len, "}\n", 2);
    fwrite(e->text, 1, e->len + 2, stderr); /* in one write, since stderr is not buffered */
}
