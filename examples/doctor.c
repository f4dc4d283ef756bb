/* SPDX-License-Identifier: MIT */
#include "doctor.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "log.h"

enum { SECRET_MIN = 4, DAY_S = 86400, DATE_MAX = 32 };

static const char *const outcomes[] = {"ok", "FAIL", "skip"};
static const char *const outcome_words[] = {"passed", "failed", "skipped"};

/* Life --------------------------------------------------------------------------------------- */

static void on_library_log(wst_log_level_t level, const char *line, void *user_data) {
    (void)user_data;
    log_line(level, "%s", line);
}

int doctor_open(doctor_t *d, const char *program, const options_t *options,
                doctor_format_t format) {
    d->program = program;
    d->options = options;
    d->format = format;
    d->timeout_ms = DOCTOR_STEP_MS;
    d->target = "";
    signal(SIGPIPE, SIG_IGN); /* the library leaves this to its host */
    int status = uv_loop_init(&d->loop);
    if (status != 0)
        return status;
    const wst_ctx_options_t ctx = {
        .size = sizeof(ctx), .log = on_library_log, .log_level = WST_LOG_ERROR};
    status = wst_ctx_new(&d->ctx, &d->loop, &ctx);
    if (status == 0)
        status = uv_timer_init(&d->loop, &d->timer);
    d->timer.data = d;
    return status;
}

static void on_late(uv_timer_t *timer) {
    ((doctor_t *)timer->data)->late = true;
}

bool doctor_wait(doctor_t *d, const bool *done, uint64_t timeout_ms) {
    d->late = false;
    uv_update_time(&d->loop);
    if (timeout_ms > 0)
        uv_timer_start(&d->timer, on_late, timeout_ms, 0);
    while (!*done && !d->late)
        uv_run(&d->loop, UV_RUN_ONCE);
    uv_timer_stop(&d->timer);
    return *done;
}

/* Secrets ------------------------------------------------------------------------------------ */

void doctor_hide(doctor_t *d, const char *secret) {
    if (secret != NULL && strlen(secret) >= SECRET_MIN && d->secret_count < DOCTOR_SECRETS_MAX)
        d->secrets[d->secret_count++] = secret;
}

/* Writes a text as base64 (RFC 4648 section 4). */
static void encode(char *out, const char *text, size_t len) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < len; i += 3) {
        uint32_t bits = 0;
        for (size_t j = 0; j < 3; j++)
            bits = bits << 8 | (i + j < len ? (unsigned char)text[i + j] : 0u);
        for (size_t j = 0; j < 4; j++)
            *out++ = i + j > len ? '=' : digits[bits >> (18 - 6 * j) & 63];
    }
    *out = '\0';
}

static void hide_login(doctor_t *d, const char *login, size_t len) {
    if (len == 0 || len >= DOCTOR_LOGIN_MAX || d->login_count == DOCTOR_LOGINS_MAX)
        return;
    char *text = d->logins[d->login_count].text, *basic = d->logins[d->login_count].basic;
    d->login_count++;
    memcpy(text, login, len);
    text[len] = '\0';
    encode(basic, text, len);
    const char *password = strchr(text, ':');
    doctor_hide(d, basic);
    doctor_hide(d, text);
    doctor_hide(d, password != NULL ? password + 1 : NULL);
}

void doctor_hide_login(doctor_t *d, const char *login) {
    const char *scheme = login != NULL ? strstr(login, "://") : NULL;
    const char *begin = scheme != NULL ? scheme + 3 : login;
    const char *at = begin != NULL ? strrchr(begin, '@') : NULL;
    if (at != NULL) /* a URL, with or without a scheme; or a password with that character */
        hide_login(d, begin, (size_t)(at - begin));
    if (login != NULL && scheme == NULL)
        hide_login(d, login, strlen(login));
}

static void hide_all(const doctor_t *d, char *text) {
    for (size_t i = 0; i < d->secret_count; i++) {
        size_t len = strlen(d->secrets[i]);
        for (char *at = text; (at = strstr(at, d->secrets[i])) != NULL;) {
            memcpy(at, "***", 3);
            memmove(at + 3, at + len, strlen(at + len) + 1);
        }
    }
}

/* Lines -------------------------------------------------------------------------------------- */

static void print_text(const char *text) {
    char escaped[6 * DOCTOR_TEXT_MAX + 1];
    wst_log_escape(escaped, sizeof(escaped), text, strlen(text));
    fputs(escaped, stdout);
}

static void format_date(char out[DATE_MAX], const char *format, int64_t at) {
    time_t seconds = (time_t)at;
    struct tm utc = {0};
    gmtime_r(&seconds, &utc);
    strftime(out, DATE_MAX, format, &utc);
}

/* Seconds until then; negative if it is past. */
static long long seconds_until(int64_t at) {
    return (long long)at - (long long)time(NULL);
}

static void print_certificate(const doctor_certificate_t *c, size_t number) {
    char date[DATE_MAX];
    long long left = seconds_until(c->not_after);
    printf("        %zu %-4s  ", number, outcomes[c->outcome]);
    if (c->readable) {
        format_date(date, "%Y-%m-%d", c->not_after);
        print_text(c->subject[0] != '\0' ? c->subject : "no subject");
        printf(", issued by ");
        print_text(c->issuer);
        if (left < 0)
            printf(", expired on %s (%lld days ago)", date, -left / DAY_S);
        else
            printf(", valid until %s (%lld days left)", date, left / DAY_S);
        printf(", pin %s%s", c->pin, c->fault[0] != '\0' ? ": " : "");
    }
    print_text(c->fault);
    putchar('\n');
}

static void print_certificates(const doctor_t *d, size_t step) {
    size_t number = 0;
    for (size_t i = 0; i < d->certificate_count; i++)
        if (d->certificates[i].step == step)
            print_certificate(&d->certificates[i], ++number);
}

static void print_step(const doctor_t *d, size_t step) {
    const doctor_step_t *s = &d->steps[step];
    printf("  %-4s  %-10s  ", outcomes[s->outcome], s->name);
    if (s->outcome == DOCTOR_SKIPPED)
        printf("%11s  ", "");
    else
        printf("%8.1f ms  ", (double)s->us / 1000);
    print_text(s->text);
    putchar('\n');
    print_certificates(d, step);
    if (s->advice != NULL)
        printf("        -> %s\n", s->advice);
}

static void print_target(const char *target) {
    print_text(target);
    putchar('\n');
}

/* The steps ---------------------------------------------------------------------------------- */

void doctor_target(doctor_t *d, const char *target) {
    if (d->target_count == DOCTOR_TARGETS_MAX)
        return;
    char *copy = d->targets[d->target_count++];
    snprintf(copy, DOCTOR_TARGET_MAX, "%s", target);
    d->target = copy;
    if (d->format == DOCTOR_LINES)
        print_target(copy);
}

void doctor_begin(doctor_t *d, const char *name) {
    d->name = name;
    d->begun_ns = uv_hrtime();
}

static void end_step(doctor_t *d, doctor_outcome_t outcome, const char *advice, const char *fmt,
                     va_list args) {
    uint64_t us = (uv_hrtime() - d->begun_ns) / 1000;
    d->failed = d->failed || outcome == DOCTOR_FAILED;
    if (d->count == DOCTOR_STEPS_MAX)
        return;
    doctor_step_t *s = &d->steps[d->count++];
    char whole[2 * DOCTOR_TEXT_MAX]; /* so that no part of a secret is left at the end */
    vsnprintf(whole, sizeof(whole), fmt, args);
    hide_all(d, whole);
    s->target = d->target;
    s->name = d->name;
    s->outcome = outcome;
    s->us = outcome == DOCTOR_SKIPPED ? 0 : us;
    s->advice = advice;
    snprintf(s->text, sizeof(s->text), "%.*s", DOCTOR_TEXT_MAX - 1, whole);
    if (d->format != DOCTOR_LINES)
        return;
    print_step(d, d->count - 1);
    fflush(stdout);
}

bool doctor_pass(doctor_t *d, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    end_step(d, DOCTOR_PASSED, NULL, fmt, args);
    va_end(args);
    return true;
}

bool doctor_fail(doctor_t *d, const char *advice, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    end_step(d, DOCTOR_FAILED, advice, fmt, args);
    va_end(args);
    return false;
}

void doctor_skip(doctor_t *d, const char *name, const char *fmt, ...) {
    va_list args;
    doctor_begin(d, name);
    va_start(args, fmt);
    end_step(d, DOCTOR_SKIPPED, NULL, fmt, args);
    va_end(args);
}

void doctor_add_certificate(doctor_t *d, const doctor_certificate_t *certificate) {
    if (d->certificate_count == DOCTOR_CERTIFICATES_MAX)
        return;
    doctor_certificate_t *c = &d->certificates[d->certificate_count++];
    *c = *certificate;
    hide_all(d, c->subject);
    hide_all(d, c->issuer);
    hide_all(d, c->fault);
    c->step = d->count;
}

/* JSON --------------------------------------------------------------------------------------- */

static void put_member(const char *name, const char *text, const char *end) {
    char quoted[6 * DOCTOR_TEXT_MAX + 3];
    wst_json_quote(quoted, sizeof(quoted), text, strlen(text));
    printf("\"%s\":%s%s", name, quoted, end);
}

static void put_certificate(const doctor_certificate_t *c) {
    char date[DATE_MAX];
    long long left = seconds_until(c->not_after);
    format_date(date, "%Y-%m-%dT%H:%M:%SZ", c->not_after);
    printf("{");
    put_member("outcome", outcome_words[c->outcome], "");
    if (c->readable) {
        printf(",");
        put_member("subject", c->subject, ",");
        put_member("issuer", c->issuer, ",");
        put_member("not_after", date, ",");
        /* Rounded down, so that what expired today has a negative number. */
        printf("\"days_left\":%lld,", (left < 0 ? left - DAY_S + 1 : left) / DAY_S);
        put_member("pin", c->pin, "");
    }
    if (c->fault[0] != '\0') {
        printf(",");
        put_member("fault", c->fault, "");
    }
    printf("}");
}

/* The member "certificates", unless the step has none. */
static void put_certificates(const doctor_t *d, size_t step) {
    const char *before = ",\"certificates\":[\n  ", *after = "";
    for (size_t i = 0; i < d->certificate_count; i++) {
        if (d->certificates[i].step != step)
            continue;
        printf("%s", before);
        put_certificate(&d->certificates[i]);
        before = ",\n  ";
        after = "]";
    }
    printf("%s", after);
}

static void print_json(const doctor_t *d) {
    printf("{");
    put_member("program", d->program, ",");
    put_member("version", wst_version(), ",");
    printf("\"ok\":%s,\"steps\":[", d->failed ? "false" : "true");
    for (size_t i = 0; i < d->count; i++) {
        const doctor_step_t *s = &d->steps[i];
        printf("%s\n {", i > 0 ? "," : "");
        put_member("target", s->target, ",");
        put_member("step", s->name, ",");
        put_member("outcome", outcome_words[s->outcome], ",");
        printf("\"ms\":%" PRIu64 ".%03u,", s->us / 1000, (unsigned)(s->us % 1000));
        put_member("text", s->text, "");
        put_certificates(d, i);
        if (s->advice != NULL) {
            printf(",");
            put_member("advice", s->advice, "");
        }
        printf("}");
    }
    puts("\n]}");
}

/* The report --------------------------------------------------------------------------------- */

/* The options by their names: their values may be secrets, or nobody's business. */
static void print_options(const options_t *o) {
    printf("options (their values are left out):%s",
           o->config_file == NULL && o->count == 0 ? " none" : "");
    if (o->config_file != NULL)
        printf(" config");
    for (size_t i = 0; i < o->count; i++)
        printf(" %s", o->given[i].field->name);
    putchar('\n');
}

static void print_report(const doctor_t *d) {
    struct utsname host;
    const char *target = "";
    printf("%s %s (%s, libuv %s)", d->program, wst_version(), wst_tls_engine(),
           uv_version_string());
    if (uname(&host) == 0)
        printf(", %s %s %s", host.sysname, host.release, host.machine);
    putchar('\n');
    print_options(d->options);
    for (size_t i = 0; i < d->count; i++) {
        if (strcmp(target, d->steps[i].target) != 0)
            print_target(d->steps[i].target);
        target = d->steps[i].target;
        print_step(d, i);
    }
}

/* The end ------------------------------------------------------------------------------------ */

int doctor_close(doctor_t *d) {
    uv_close((uv_handle_t *)&d->timer, NULL);
    wst_ctx_close(d->ctx, NULL);
    uv_run(&d->loop, UV_RUN_DEFAULT);
    uv_loop_close(&d->loop);
    if (d->format == DOCTOR_JSON)
        print_json(d);
    else if (d->format == DOCTOR_REPORT)
        print_report(d);
    config_wipe(d->logins, sizeof(d->logins));
    return d->failed || fflush(stdout) != 0 ? 1 : 0;
}
