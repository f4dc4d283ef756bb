/* SPDX-License-Identifier: MIT */
/*
 * Certificate files of a server, and the configuration made of them (tls_files.h).
 *
 *     new: read, must be right --> CURRENT --interval, reload--> read: new content? --> parse -->
 *     swap, or keep what there is and say why
 *
 * A fault may be temporary: a tool that renews certificates replaces one file after the other, and
 * for a moment key and certificate do not match.
 */
#include "ctx.h"
#include "defaults.h"
#include "digest.h"
#include "read_file.h"
#include "sized.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <wstunnel/tls_files.h>

enum {
    FILE_MAX = 1024 * 1024,
    PAIRS_MAX = 32,
    FILES_MAX = 2 * PAIRS_MAX + 1,
    WARN_DAYS = 14,
    DAY_S = 24 * 60 * 60
};

struct wst_tls_files {
    wst_ctx_t *ctx;
    wst_tls_files_options_t o;
    char *paths[FILES_MAX]; /* chain, key, chain, key, ..., client_ca */
    size_t count;
    wst_tls_config_t *config;
    uint8_t tried[WST__HASH_MAX]; /* hash of the content last tried; zeroes: try again */
    wst_tls_error_t complaint;    /* the last one since a success, or "" */
    int64_t warned;               /* when about the expiry, in seconds since 1970; 0: not yet */
    bool closing;
    wst__deadline_t check;
    wst__defer_t defer; /* reload, or the end */
    wst_close_cb close_cb;
};

/* Reading ------------------------------------------------------------------------------------ */

static void free_all(wst_tls_files_t *f, wst__file_t *files) {
    for (size_t i = 0; i < f->count; i++)
        wst__file_free(&files[i], f->ctx);
}

WST_PRINTF(2, 3)
static void explain_fault(wst_tls_error_t *why, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    vsnprintf(why->text, sizeof(why->text), fmt, args);
    va_end(args);
}

/* A path, or its end if it is long, to leave room for the fault. */
static const char *shown(const char *path) {
    enum { SHOWN_MAX = 90 };
    size_t len = strlen(path);
    return len > SHOWN_MAX ? path + len - SHOWN_MAX : path;
}

static const char *read_error(int status) {
    switch (status) {
    case WST_EMSGBIG:
        return "larger than 1 MiB";
    case UV_EFTYPE:
        return "not a text file";
    default:
        return wst_strerror(status);
    }
}

/* 0; or WST_ETLS or WST_ENOMEM, with no file held. */
static int read_files(wst_tls_files_t *f, wst__file_t *files, wst_tls_error_t *why) {
    memset(files, 0, sizeof(*files) * FILES_MAX);
    for (size_t i = 0; i < f->count; i++) {
        int status = wst__read_file(&files[i], f->ctx, f->paths[i], FILE_MAX);
        if (status == 0)
            continue;
        explain_fault(why, "%s: %s", shown(f->paths[i]), read_error(status));
        free_all(f, files);
        return status == WST_ENOMEM ? status : WST_ETLS;
    }
    return 0;
}

/* 0 or an error. Includes the terminators, which mark the files' ends. */
static int digest_files(const wst_tls_files_t *f, const wst__file_t *files, uint8_t *out) {
    wst_str_t parts[FILES_MAX];
    for (size_t i = 0; i < f->count; i++)
        parts[i] = (wst_str_t){files[i].text, files[i].len + 1};
    return wst__hash(WST__SHA256, out, parts, f->count);
}

/* Certificates ------------------------------------------------------------------------------- */

static void write_date(char out[16], int64_t seconds) {
    time_t when = (time_t)seconds;
    struct tm utc;
    if (gmtime_r(&when, &utc) == NULL || strftime(out, 16, "%Y-%m-%d", &utc) == 0)
        snprintf(out, 16, "?");
}

/* Tries a single pair, to find whose fault it is and when the certificate expires. */
static int make_single(wst_tls_files_t *f, const wst__file_t *files, size_t pair,
                       wst_tls_config_t **out, wst_tls_error_t *why) {
    static const char prefix[] = "identity 1: ";
    const wst_tls_identity_t identity = {sizeof(identity), files[2 * pair].text,
                                         files[2 * pair + 1].text};
    const wst_tls_server_options_t options = {
        .size = sizeof(options), .identities = &identity, .identity_count = 1};
    wst_tls_error_t wrong;
    int status = wst_tls_server_config(out, f->ctx, &options, &wrong);
    if (status == WST_ETLS) {
        size_t skip = strncmp(wrong.text, prefix, strlen(prefix)) == 0 ? strlen(prefix) : 0;
        explain_fault(why, "%s, %s: %s", shown(f->paths[2 * pair]), shown(f->paths[2 * pair + 1]),
                      wrong.text + skip);
    }
    return status;
}

static int make_whole(wst_tls_files_t *f, const wst__file_t *files, wst_tls_config_t **out,
                      wst_tls_error_t *why) {
    wst_tls_identity_t identities[PAIRS_MAX];
    for (size_t i = 0; i < f->o.pair_count; i++)
        identities[i] = (wst_tls_identity_t){sizeof(wst_tls_identity_t), files[2 * i].text,
                                             files[2 * i + 1].text};
    const bool has_ca = f->o.client_cert != WST_TLS_CLIENT_NONE;
    const wst_tls_server_options_t options = {.size = sizeof(options),
                                              .identities = identities,
                                              .identity_count = f->o.pair_count,
                                              .client_cert = f->o.client_cert,
                                              .client_ca_pem =
                                                  has_ca ? files[f->count - 1].text : NULL};
    wst_tls_error_t wrong;
    int status = wst_tls_server_config(out, f->ctx, &options, &wrong);
    if (status == WST_ETLS)
        explain_fault(why, "%s%s%s", has_ca ? shown(f->o.client_ca) : "", has_ca ? ": " : "",
                      wrong.text);
    return status;
}

static void tell_pair(wst_tls_files_t *f, const wst__file_t *files, size_t pair,
                      const wst_tls_config_t *single) {
    const wst_tls_certificate_t *certificate = wst_tls_config_certificate(single, 0);
    char date[16];
    write_date(date, certificate->not_after);
    wst_ctx_log(f->ctx, WST_LOG_INFO, "certificate %s: %s, expires on %s, pin %s",
                f->paths[2 * pair], certificate->subject, date, certificate->pin);
    if (files[2 * pair + 1].everybody)
        wst_ctx_log(f->ctx, WST_LOG_WARN, "key file %s: every user of this system may read it",
                    f->paths[2 * pair + 1]);
}

static int make_config(wst_tls_files_t *f, const wst__file_t *files, wst_tls_config_t **out,
                       wst_tls_error_t *why) {
    wst_tls_config_t *singles[PAIRS_MAX] = {NULL};
    int status = 0;
    for (size_t i = 0; i < f->o.pair_count && status == 0; i++)
        status = make_single(f, files, i, &singles[i], why);
    if (status == 0)
        status = make_whole(f, files, out, why);
    for (size_t i = 0; i < f->o.pair_count; i++) {
        if (status == 0)
            tell_pair(f, files, i, singles[i]);
        wst_tls_config_unref(singles[i]);
    }
    return status;
}

static void warn_of_expiry(wst_tls_files_t *f) {
    const char *subject;
    int64_t now = (int64_t)time(NULL), expiry = wst_tls_config_expiry(f->config, &subject);
    if (expiry - now >= (int64_t)WARN_DAYS * DAY_S || (f->warned != 0 && now - f->warned < DAY_S))
        return;
    f->warned = now;
    char date[16];
    write_date(date, expiry);
    wst_ctx_log(f->ctx, WST_LOG_WARN, "the certificate of %s %s on %s", subject,
                expiry < now ? "has expired" : "expires", date);
}

/* Checking ----------------------------------------------------------------------------------- */

/* Loads changed files; `changed` tells of a new configuration. 0, WST_ETLS or another error. */
static int load_changed(wst_tls_files_t *f, bool whatever, bool *changed, wst_tls_error_t *why) {
    wst__file_t files[FILES_MAX];
    uint8_t hash[WST__HASH_MAX];
    *changed = false;
    int status = read_files(f, files, why);
    if (status != 0) {
        memset(f->tried, 0, sizeof(f->tried));
        return status;
    }
    status = digest_files(f, files, hash);
    if (status == 0 && (whatever || memcmp(hash, f->tried, sizeof(hash)) != 0)) {
        wst_tls_config_t *config;
        status = make_config(f, files, &config, why);
        if (status == 0) {
            wst_tls_config_unref(f->config);
            f->config = config;
            f->warned = 0;
            *changed = true;
        }
        if (status == 0 || status == WST_ETLS)
            memcpy(f->tried, hash, sizeof(hash));
    }
    free_all(f, files);
    return status;
}

static void on_check(wst__deadline_t *deadline, uint64_t now_ms);

static void check_files(wst_tls_files_t *f, bool asked) {
    wst_tls_error_t why = {""};
    bool changed;
    int status = load_changed(f, asked, &changed, &why);
    if (status != 0 && why.text[0] == '\0')
        snprintf(why.text, sizeof(why.text), "%s", wst_strerror(status));
    if (changed)
        f->complaint.text[0] = '\0';
    if (status != 0 && (asked || strcmp(why.text, f->complaint.text) != 0)) {
        f->complaint = why;
        wst_ctx_log(f->ctx, WST_LOG_ERROR, "the certificates stay as they are: %s", why.text);
    }
    warn_of_expiry(f);
    wst__deadline_in(f->ctx, &f->check, f->o.check_interval_ms, on_check);
    if (changed && f->o.on_config != NULL)
        f->o.on_config(f, f->config, f->o.user_data);
}

static void on_check(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    check_files(WST__CONTAINER(deadline, wst_tls_files_t, check), false);
}

static void on_reload(wst__defer_t *defer) {
    check_files(WST__CONTAINER(defer, wst_tls_files_t, defer), true);
}

/* Public ------------------------------------------------------------------------------------- */

static void destroy_tls_files(wst_tls_files_t *f) {
    wst_ctx_t *ctx = f->ctx;
    wst_tls_config_unref(f->config);
    for (size_t i = 0; i < f->count; i++)
        wst__free(&ctx->allocator, f->paths[i]);
    wst__free(&ctx->allocator, f);
}

static bool add_path(wst_tls_files_t *f, const char *path) {
    f->paths[f->count] = wst__strdup(&f->ctx->allocator, path);
    return f->paths[f->count] != NULL && ++f->count > 0;
}

static int copy_paths(wst_tls_files_t *f) {
    wst_tls_file_pair_t pair;
    for (size_t i = 0; i < f->o.pair_count; i++)
        if (wst__sized_read_at(&pair, sizeof(pair), f->o.pairs, i) != 0 ||
            !add_path(f, pair.chain) || !add_path(f, pair.key))
            return WST_ENOMEM;
    if (f->o.client_cert != WST_TLS_CLIENT_NONE && !add_path(f, f->o.client_ca))
        return WST_ENOMEM;
    f->o.pairs = NULL;
    f->o.client_ca = f->paths[f->count - 1];
    return 0;
}

static bool is_complete(const wst_tls_files_options_t *o) {
    if (o->pair_count < 1 || o->pair_count > PAIRS_MAX ||
        (o->client_cert != WST_TLS_CLIENT_NONE && o->client_ca == NULL))
        return false;
    wst_tls_file_pair_t pair;
    for (size_t i = 0; i < o->pair_count; i++)
        if (wst__sized_read_at(&pair, sizeof(pair), o->pairs, i) != 0 || pair.chain == NULL ||
            pair.key == NULL)
            return false;
    return true;
}

int wst_tls_files_new(wst_tls_files_t **out, wst_ctx_t *ctx, const wst_tls_files_options_t *given,
                      wst_tls_error_t *why) {
    wst_tls_files_options_t options;
    if (wst__sized_read(&options, sizeof(options), given) != 0 || !is_complete(&options))
        return WST_EINVAL;
    wst_tls_files_t *f = wst__zalloc(&ctx->allocator, sizeof(*f));
    if (f == NULL)
        return WST_ENOMEM;
    f->ctx = ctx;
    f->o = options;
    if (f->o.check_interval_ms == 0)
        f->o.check_interval_ms = WST__FILES_CHECK_INTERVAL_MS;
    wst__defer_init(&f->defer);
    wst_tls_error_t wrong = {""};
    bool changed;
    int status = copy_paths(f);
    if (status == 0)
        status = load_changed(f, true, &changed, &wrong);
    if (status != 0) {
        destroy_tls_files(f);
        if (why != NULL)
            *why = wrong;
        return status;
    }
    wst__ctx_hold(ctx);
    warn_of_expiry(f);
    wst__deadline_in(ctx, &f->check, f->o.check_interval_ms, on_check);
    *out = f;
    return 0;
}

wst_tls_config_t *wst_tls_files_config(const wst_tls_files_t *f) {
    return f->config;
}

void wst_tls_files_reload(wst_tls_files_t *f) {
    if (!f->closing)
        wst__defer(f->ctx, &f->defer, on_reload);
}

static void tls_files_gone(wst__defer_t *defer) {
    wst_tls_files_t *f = WST__CONTAINER(defer, wst_tls_files_t, defer);
    wst_ctx_t *ctx = f->ctx;
    if (f->close_cb != NULL)
        f->close_cb(f->o.user_data);
    destroy_tls_files(f);
    wst__ctx_release(ctx);
}

void wst_tls_files_close(wst_tls_files_t *f, wst_close_cb close_cb) {
    if (f->closing)
        return;
    f->closing = true;
    f->close_cb = close_cb;
    wst__deadline_clear(&f->ctx->deadlines, &f->check);
    wst__defer(f->ctx, &f->defer, tls_files_gone);
}
