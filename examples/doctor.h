/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_DOCTOR_H
#define EXAMPLES_DOCTOR_H
/*
 * A diagnosis: steps, one after the other, and the report of them. Each step begins, waits for its
 * outcome, and passes or fails; what fails comes with advice. Nothing here knows the network.
 *
 * A program's `doctor` is no server: it runs its loop while it waits, and does one thing at a time.
 */
#include <uv.h>

#include "options.h"

enum {
    DOCTOR_STEPS_MAX = 160,
    DOCTOR_TARGETS_MAX = 18,
    DOCTOR_TARGET_MAX = 400,
    DOCTOR_TEXT_MAX = 640,
    DOCTOR_CERTIFICATES_MAX = DOCTOR_TARGETS_MAX * WST_TLS_CHAIN_MAX,
    DOCTOR_SECRETS_MAX = 64,
    DOCTOR_LOGINS_MAX = 8,
    DOCTOR_LOGIN_MAX = 2 * CONFIG_SECRET_MAX + 2, /* "USER:PASSWORD", terminated */
    DOCTOR_STEP_MS = 10000 /* bound of a step, unless the configuration has another one */
};

typedef enum doctor_outcome { DOCTOR_PASSED, DOCTOR_FAILED, DOCTOR_SKIPPED } doctor_outcome_t;

typedef struct doctor_step {
    const char *target; /* what is reached: a URL without secrets */
    const char *name;
    doctor_outcome_t outcome;
    uint64_t us;                /* how long it took */
    const char *advice;         /* what to do about a failure; NULL: none */
    char text[DOCTOR_TEXT_MAX]; /* what was found */
} doctor_step_t;

/* A certificate that the peer of a step has sent. */
typedef struct doctor_certificate {
    doctor_outcome_t outcome; /* skipped: it has not been verified */
    bool readable;            /* else only `fault` is set */
    char subject[512], issuer[512];
    int64_t not_after; /* seconds since 1970 */
    char pin[WST_TLS_PIN_MAX];
    char fault[DOCTOR_TEXT_MAX]; /* why it is not accepted; "": no fault */
    size_t step;                 /* set by doctor_add_certificate() */
} doctor_certificate_t;

/* How the steps are told. */
typedef enum doctor_format {
    DOCTOR_LINES,  /* each as soon as it is done */
    DOCTOR_JSON,   /* all of them at the end, as one object */
    DOCTOR_REPORT, /* at the end, with versions and the names of options, for others to read */
} doctor_format_t;

typedef struct doctor {
    const char *program;
    const options_t *options;
    doctor_format_t format;
    uint64_t timeout_ms; /* of a step */
    uv_loop_t loop;
    wst_ctx_t *ctx;
    uv_timer_t timer;
    bool late, failed;
    const char *secrets[DOCTOR_SECRETS_MAX];
    size_t secret_count;
    struct {
        char text[DOCTOR_LOGIN_MAX], basic[(DOCTOR_LOGIN_MAX + 2) / 3 * 4 + 1];
    } logins[DOCTOR_LOGINS_MAX];
    size_t login_count;
    char targets[DOCTOR_TARGETS_MAX][DOCTOR_TARGET_MAX];
    size_t target_count;
    const char *target, *name; /* of the step that has begun */
    uint64_t begun_ns;
    size_t count;
    doctor_step_t steps[DOCTOR_STEPS_MAX];
    size_t certificate_count;
    doctor_certificate_t certificates[DOCTOR_CERTIFICATES_MAX];
} doctor_t;

/* Makes loop and context, in a zeroed struct; all strings are borrowed. 0 or an error. */
int doctor_open(doctor_t *d, const char *program, const options_t *options, doctor_format_t format);

/* Ends the loop, and tells what has not been told. Returns the exit status: 1 if a step failed. */
int doctor_close(doctor_t *d);

/* Keeps a text out of all that is told, even if a peer sends it back; borrowed. NULL, and what is
 * shorter than 4 bytes, is not looked for. */
void doctor_hide(doctor_t *d, const char *secret);

/* The same for a user name and password, "USER:PASSWORD" or a URL that has them, also as Basic
 * sends them; copied. NULL, and a URL without, are allowed. */
void doctor_hide_login(doctor_t *d, const char *login);

/* The steps from now on reach this target; copied. There may be DOCTOR_TARGETS_MAX. */
void doctor_target(doctor_t *d, const char *target);

/* A step: it begins, then it passes or fails; or it is skipped. `name` is static. A failure makes
 * `doctor_close` return 1. The results are true and false, for the caller to return. */
void doctor_begin(doctor_t *d, const char *name);
bool doctor_pass(doctor_t *d, const char *fmt, ...) WST_PRINTF(2, 3);
bool doctor_fail(doctor_t *d, const char *advice, const char *fmt, ...) WST_PRINTF(3, 4);
void doctor_skip(doctor_t *d, const char *name, const char *fmt, ...) WST_PRINTF(3, 4);

/* Adds a certificate to the step that has begun; copied. There may be DOCTOR_CERTIFICATES_MAX. */
void doctor_add_certificate(doctor_t *d, const doctor_certificate_t *certificate);

/* Runs the loop until a callback sets `*done`, or, unless `timeout_ms` is 0, so much time has
 * passed. Returns `*done`. */
bool doctor_wait(doctor_t *d, const bool *done, uint64_t timeout_ms);

#endif
