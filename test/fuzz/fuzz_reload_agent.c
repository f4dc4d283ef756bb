/* SPDX-License-Identifier: MIT */
/*
 * The agent program's configuration, read and then reloaded several times as on SIGHUP. The input
 * is the contents of the file at each time, separated by bytes 0xff, which no JSON text has.
 *
 * Checked: a faulty file has a text that says why; of a good one the rules decide as they are
 * listed, with this host's own services guarded; the token, the fields and the proxy are those of
 * the file; what takes effect at the next start only is told in full. Nothing is left behind.
 */
#define _GNU_SOURCE
#include "../../examples/agent_config.h"
#include "../../examples/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <uv.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILES_MAX = 8 };

typedef struct fuzz {
    wst_ctx_t *ctx;
    int fd;            /* of the file, which has no name but the one below */
    options_t options; /* the command line: the name of the file */
    char path[32];
    agent_config_t started, reloaded;
    const agent_config_t *now; /* in force; NULL: not started yet */
} fuzz_t;

static void require(bool holds, const char *what) {
    if (holds)
        return;
    fprintf(stderr, "fuzz_reload_agent: %s\n", what);
    abort();
}

static void set_up(fuzz_t *f) {
    static const char *const variables[] = {"http_proxy",         "https_proxy", "HTTPS_PROXY",
                                            "all_proxy",          "ALL_PROXY",   "WSTUNNEL_TOKEN",
                                            "WSTUNNEL_PROXY_USER"};
    if (f->ctx != NULL)
        return;
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
        unsetenv(variables[i]);
    log_set(WST_LOG_ERROR, LOG_TEXT);
    require(wst_ctx_new(&f->ctx, uv_default_loop(), NULL) == 0, "no context");
    f->fd = memfd_create("configuration", MFD_CLOEXEC);
    require(f->fd >= 0, "no file");
    snprintf(f->path, sizeof(f->path), "/proc/self/fd/%d", f->fd);
    f->options.config_file = f->path;
}

/* What a good file says ------------------------------------------------------------------------ */

static bool allows(const agent_config_t *config, const char *host) {
    const wst_rules_query_t query = {
        .size = sizeof(query), .host = host, .port = 65000, .dials = true};
    return wst_rules_decide(config->rules, &query).allow;
}

/* Whether some pattern could name one of these: it has a digit or a colon, or "localhost". */
static bool names_an_address(const rules_config_t *listed) {
    for (size_t i = 0; i < listed->count; i++)
        for (const char *const *at = listed->list[i].destinations; *at != NULL; at++)
            if (strpbrk(*at, "0123456789:") != NULL || strcasestr(*at, "localhost") != NULL)
                return true;
    return false;
}

static void check_rules(const agent_config_t *config) {
    const rules_config_t *listed = &config->listed;
    bool any_allowed = false;
    require(listed->count == 0 || listed->given, "rules that are not given");
    require((config->rules != NULL) == (listed->given || listed->nat64 != NULL),
            "rules that were not made, or without a list");
    for (size_t i = 0; i < listed->count; i++)
        any_allowed = any_allowed || listed->list[i].allow;
    if (listed->given && !any_allowed)
        require(!allows(config, "192.0.2.1") && !allows(config, "nowhere.test"),
                "allowed, though no rule allows anything");
    if (!listed->given)
        require(allows(config, "192.0.2.1") && allows(config, "nowhere.test"),
                "denied, though there are no rules");
    if (!names_an_address(listed))
        require(!allows(config, "127.0.0.1") && !allows(config, "::1") &&
                    !allows(config, "169.254.169.254") && !allows(config, "0.0.0.0"),
                "a guarded address that no rule names is allowed");
}

static void check_fields(const agent_config_t *config) {
    const char *at = config->options.fields;
    require((at != NULL) == (config->headers != NULL), "headers without fields");
    for (size_t i = 0; at != NULL && config->headers[i] != NULL; i++) {
        size_t len = strlen(config->headers[i]);
        require(strncmp(at, config->headers[i], len) == 0 && strncmp(at + len, "\r\n", 2) == 0,
                "not the headers of the file");
        at += len + 2;
    }
    require(at == NULL || *at == '\0', "more fields than headers");
}

/* Files are for other tests: who knows what the name of a mutated one leads to. */
static void check_credentials(fuzz_t *f, const agent_config_t *config) {
    config_t scratch = {0};
    wst_proxy_options_t proxy;
    if (config->token_file == NULL)
        require(agent_config_token(&scratch, config) == config->token, "another token");
    require(config->token == NULL || config->token_file == NULL, "two tokens");
    if (config->proxy_user_file == NULL && config->proxy_ca == NULL) {
        require(agent_config_proxy(&proxy, &scratch, config, f->ctx), "no proxy");
        const char *url = config->proxy;
        url = url != NULL && strcmp(url, "none") == 0 ? NULL : url;
        require(proxy.url == url && proxy.tls == NULL, "another proxy");
        require(url == NULL || proxy.credentials == config->proxy_user, "other credentials");
    }
    require(scratch.error_count == 0, "a fault in what was read without one");
    config_free(&scratch);
}

static void check_tls(fuzz_t *f, const agent_config_t *config) {
    wst_tls_config_t *tls = NULL;
    bool none = config->ca == NULL && config->cert == NULL && config->pins == NULL;
    if (!none)
        return;
    require(agent_config_tls(&tls, config, f->ctx), "TLS without a file cannot be set up");
    require((tls != NULL) == config->insecure, "TLS, or none, though the file says otherwise");
    wst_tls_config_unref(tls);
}

/* Reloads -------------------------------------------------------------------------------------- */

static void check_faults(const config_t *c) {
    require(c->error_count > 0, "refused without a fault");
    for (size_t i = 0; i < c->error_count && i < CONFIG_ERRORS_MAX; i++) {
        require(c->errors[i] != NULL && strlen(c->errors[i]) > 4, "a fault without a text");
        for (const char *at = c->errors[i]; *at != '\0'; at++)
            require((unsigned char)*at >= 0x20 && *at != 0x7f, "a fault of several lines");
    }
}

/* Whether a list of names that ", " separates has this one. */
static bool has_name(const char *list, const char *name) {
    size_t len = strlen(name);
    for (const char *at = list; at != NULL; at = strstr(at, ", ")) {
        at += at != list ? 2 : 0;
        if (strncmp(at, name, len) == 0 && (at[len] == ',' || at[len] == '\0'))
            return true;
    }
    return false;
}

static bool same_text(const char *a, const char *b) {
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_list(const char *const *a, const char *const *b) {
    while (*a != NULL && same_text(*a, *b)) {
        a++;
        b++;
    }
    return same_text(*a, *b);
}

static void check_comparison(const agent_config_t *started, const agent_config_t *now) {
    char fixed[512];
    agent_config_compare(fixed, sizeof(fixed), now, now);
    require(fixed[0] == '\0', "it differs from itself");
    agent_config_compare(fixed, sizeof(fixed), started, now);
    size_t len = strlen(fixed);
    require(len < sizeof(fixed) - 1, "the fixed options do not fit");
    require(len == 0 || fixed[len - 1] != ' ', "a name is missing behind the last comma");
    require(has_name(fixed, "url") == !same_list(started->urls, now->urls) &&
                has_name(fixed, "name") == !same_text(started->options.name, now->options.name) &&
                has_name(fixed, "max_streams") ==
                    (started->options.max_streams != now->options.max_streams),
            "a fixed option that differs is not told, or one that does not is");
    require(!has_name(fixed, "rules") && !has_name(fixed, "token"), "it takes effect at once");
}

static void use(fuzz_t *f, const agent_config_t *config) {
    if (f->now == NULL) {
        f->started = *config;
        f->now = &f->started;
    } else {
        agent_config_free(&f->reloaded);
        f->reloaded = *config;
        f->now = &f->reloaded;
    }
    check_rules(f->now);
    check_fields(f->now);
    check_credentials(f, f->now);
    check_tls(f, f->now);
    check_comparison(&f->started, f->now);
}

static void reload(fuzz_t *f, const uint8_t *text, size_t len) {
    agent_config_t config;
    require(ftruncate(f->fd, 0) == 0, "truncate");
    require(pwrite(f->fd, text, len, 0) == (ssize_t)len, "write");
    if (agent_config_read(&config, &f->options)) {
        use(f, &config);
        return;
    }
    check_faults(&config.config);
    agent_config_free(&config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static fuzz_t f;
    if (size == 0)
        return 0;
    set_up(&f);
    const uint8_t *at = data, *end = data + size;
    for (int i = 0; i < FILES_MAX && at < end; i++) {
        const uint8_t *next = memchr(at, 0xff, (size_t)(end - at));
        next = next != NULL ? next : end;
        reload(&f, at, (size_t)(next - at));
        at = next + (next < end);
    }
    f.now = NULL;
    agent_config_free(&f.reloaded);
    agent_config_free(&f.started);
    return 0;
}
