/* SPDX-License-Identifier: MIT */
/*
 * The server program's configuration, read and then reloaded several times as on SIGHUP. The input
 * is the contents of the file at each time, separated by bytes 0xff, which no JSON text has.
 *
 * Checked: a faulty file has a text that says why, and changes nothing; after a good one its users
 * are admitted with the passwords that it states, and no others are; what takes effect at the next
 * start only is told in full. Nothing is left behind.
 */
#define _GNU_SOURCE
#include "../../examples/server_config.h"

#include "request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <uv.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILES_MAX = 8, QUESTIONS_MAX = 4 };

typedef struct fuzz {
    wst_ctx_t *ctx;
    int fd;            /* of the file, which has no name but the one below */
    options_t options; /* the command line: the name of the file */
    char path[32];
    server_config_t started, now; /* as at the start; in force */
    bool reloaded;                /* `now` has memory of its own */
    wst_access_t *access;         /* in force; NULL: not started yet */
    uint32_t peer;                /* each question comes from another address */
    bool answered;
    wst__answer_kind_t kind;
    char user[WST__USER_MAX + 1], tenant[WST__TENANT_MAX + 1];
} fuzz_t;

static void require(bool holds, const char *what) {
    if (holds)
        return;
    fprintf(stderr, "fuzz_reload: %s\n", what);
    abort();
}

static void set_up(fuzz_t *f) {
    if (f->ctx != NULL)
        return;
    require(wst_ctx_new(&f->ctx, uv_default_loop(), NULL) == 0, "no context");
    f->fd = memfd_create("configuration", MFD_CLOEXEC);
    require(f->fd >= 0, "no file");
    snprintf(f->path, sizeof(f->path), "/proc/self/fd/%d", f->fd);
    f->options.config_file = f->path;
}

/* Questions ---------------------------------------------------------------------------------- */

static void on_answer(const wst__answer_t *answer, void *user_data) {
    fuzz_t *f = user_data;
    require(!f->answered, "answered twice");
    f->answered = true;
    f->kind = answer->kind;
    snprintf(f->user, sizeof(f->user), "%s", answer->user);
    snprintf(f->tenant, sizeof(f->tenant), "%s", answer->tenant);
}

/* Whether the access object in force admits a client with these credentials. */
static bool admits(fuzz_t *f, const char *user, const char *password) {
    static wst_auth_basic_t login;
    char peer[32];
    wst_request_t *request;
    snprintf(login.user, sizeof(login.user), "%s", user);
    snprintf(login.password, sizeof(login.password), "%s", password);
    uint32_t n = ++f->peer;
    snprintf(peer, sizeof(peer), "10.%u.%u.%u:1", n >> 16 & 255, n >> 8 & 255, n & 255);
    const wst__ask_t ask = {.login = &login, .peer = peer, .on_answer = on_answer, .user_data = f};
    require(wst__request_new(&request, f->ctx, &ask) == 0, "no memory");
    f->answered = false;
    wst_access_client_login(f->access, NULL, request);
    while (!f->answered)
        uv_run(uv_default_loop(), UV_RUN_ONCE);
    return f->kind == WST__ALLOWED;
}

/* With user_selects_agent the part of a name behind its last "+" is an agent's. */
static bool is_plain(const wst_access_user_t *user) {
    return user->password != NULL && strchr(user->name, '+') == NULL &&
           strlen(user->password) < WST_AUTH_MAX && strlen(user->name) < WST_AUTH_MAX;
}

static void check_in_force(fuzz_t *f) {
    const access_config_t *access = &f->now.access;
    const size_t count = access->options.user_count;
    require(wst_access_has_users(f->access) == (count > 0), "other users than those of the file");
    require(wst_access_has_agents(f->access) == (access->options.agent_count > 0),
            "other agents than those of the file");
    if (count == 0 || access->options.no_basic)
        return;
    require(!admits(f, "nobody of this name", "x"), "an unknown user is admitted");
    for (size_t i = 0; i < count && i < QUESTIONS_MAX; i++) {
        const wst_access_user_t *user = &access->users[i];
        if (!is_plain(user))
            continue;
        require(admits(f, user->name, user->password), "a user of the file is not admitted");
        require(strcmp(f->user, user->name) == 0, "as another user");
        require(strcmp(f->tenant, user->tenant != NULL ? user->tenant : "") == 0,
                "as another tenant's");
    }
}

/* Reloads ------------------------------------------------------------------------------------ */

static void check_faults(const config_t *c) {
    require(c->error_count > 0, "refused without a fault");
    for (size_t i = 0; i < c->error_count && i < CONFIG_ERRORS_MAX; i++) {
        require(c->errors[i] != NULL && strlen(c->errors[i]) > 4, "a fault without a text");
        for (const char *at = c->errors[i]; *at != '\0'; at++)
            require((unsigned char)*at >= 0x20 && *at != 0x7f, "a fault of several lines");
    }
}

/* As the program does: all that can fail comes before anything changes. */
static bool make(fuzz_t *f, server_config_t *config, wst_access_t **access) {
    if (server_config_make_access(config, f->ctx, access) != 0)
        return false;
    if (f->access == NULL || (wst_access_has_users(*access) == wst_access_has_users(f->access) &&
                              wst_access_has_agents(*access) == wst_access_has_agents(f->access)))
        return true;
    config_fault(&config->config, NULL, "cannot change without a new start");
    wst_access_free(*access);
    return false;
}

static void check_comparison(const server_config_t *started, const server_config_t *now) {
    char fixed[512];
    server_config_compare(fixed, sizeof(fixed), now, now);
    require(fixed[0] == '\0', "it differs from itself");
    require(server_config_same_pairs(now, now), "its certificates differ from themselves");
    server_config_compare(fixed, sizeof(fixed), started, now);
    size_t len = strlen(fixed);
    require(len < sizeof(fixed) - 1, "the fixed options do not fit");
    require(len == 0 || fixed[len - 1] != ' ', "a name is missing behind the last comma");
    (void)server_config_same_pairs(started, now);
}

static void use(fuzz_t *f, const server_config_t *config, wst_access_t *access) {
    bool first = f->access == NULL;
    wst_access_free(f->access);
    f->access = access;
    check_comparison(first ? config : &f->started, config);
    if (first) {
        f->started = f->now = *config;
        return;
    }
    if (f->reloaded)
        server_config_free(&f->now);
    f->now = *config;
    f->reloaded = true;
}

static void write_file(fuzz_t *f, const uint8_t *text, size_t len) {
    require(ftruncate(f->fd, 0) == 0, "truncate");
    require(pwrite(f->fd, text, len, 0) == (ssize_t)len, "write");
}

static void reload(fuzz_t *f, const uint8_t *text, size_t len) {
    server_config_t config;
    wst_access_t *access;
    write_file(f, text, len);
    if (server_config_read(&config, &f->options) && make(f, &config, &access)) {
        use(f, &config, access);
    } else {
        check_faults(&config.config);
        server_config_free(&config);
    }
    if (f->access != NULL)
        check_in_force(f);
}

/* Names of other files are for other tests: who knows what a mutated one leads to. */
static bool names_file(const uint8_t *text, size_t len) {
    for (size_t i = 0; i + 5 <= len; i++)
        if (memcmp(text + i, "_file", 5) == 0)
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static fuzz_t f;
    if (size == 0 || names_file(data, size))
        return 0;
    set_up(&f);
    f.peer = 0;
    const uint8_t *at = data, *end = data + size;
    for (int i = 0; i < FILES_MAX && at < end; i++) {
        const uint8_t *next = memchr(at, 0xff, (size_t)(end - at));
        next = next != NULL ? next : end;
        reload(&f, at, (size_t)(next - at));
        at = next + (next < end);
    }
    wst_access_free(f.access);
    f.access = NULL;
    if (f.reloaded)
        server_config_free(&f.now);
    f.reloaded = false;
    server_config_free(&f.started);
    return 0;
}
