/* SPDX-License-Identifier: MIT */
/*
 * A server and an agent for the hostile tests: as the programs in examples/, on the public
 * interface, but every time and bound can be set, and SIGUSR1 makes them print their figures. From
 * one SIGUSR2 to the next `fail` of a million allocations of the library fail, by `seed`:
 *
 *     quick server LISTEN [OPTION=NUMBER]...
 *     quick agent URL [NAME] [OPTION=NUMBER]...
 */
#include "../../examples/program.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct state {
    program_t program;
    uv_signal_t usr1, usr2;
    wst_server_t *server;
    wst_agent_t *agent;
    wst_rules_t *rules; /* the agent's: all, loopback too */
    wst_server_limits_t server_limits;
    wst_agent_options_t agent_options;
    size_t memory_budget;
    size_t json, no_resume;
    size_t fail, seed;
    bool failing;
} state_t;

/* Where an option goes; `size` is that of its number. */
typedef struct option {
    const char *name;
    size_t offset, size;
} option_t;

#define MEMBER(name, member)                                                                       \
    { name, offsetof(state_t, member), sizeof(((state_t *)NULL)->member) }

static const option_t of_server[] = {
    MEMBER("ping", server_limits.ping_interval_ms),
    MEMBER("dead", server_limits.dead_after_ms),
    MEMBER("head", server_limits.head_timeout_ms),
    MEMBER("hello", server_limits.hello_timeout_ms),
    MEMBER("dial", server_limits.dial_timeout_ms),
    MEMBER("half", server_limits.half_closed_timeout_ms),
    MEMBER("drain", server_limits.drain_timeout_ms),
    MEMBER("streams", server_limits.max_agent_streams),
    MEMBER("window_max", server_limits.stream_window_max),
    MEMBER("grace", server_limits.resume_grace_ms),
    MEMBER("no_resume", no_resume),
    MEMBER("budget", memory_budget),
    MEMBER("fail", fail),
    MEMBER("seed", seed),
    {0},
};

static const option_t of_agent[] = {
    MEMBER("ping", agent_options.ping_interval_ms),
    MEMBER("dead", agent_options.dead_after_ms),
    MEMBER("connect", agent_options.connect_timeout_ms),
    MEMBER("dial", agent_options.dial_timeout_ms),
    MEMBER("half", agent_options.half_closed_timeout_ms),
    MEMBER("drain", agent_options.drain_timeout_ms),
    MEMBER("streams", agent_options.max_streams),
    MEMBER("window_max", agent_options.stream_window_max),
    MEMBER("pending", agent_options.max_pending),
    MEMBER("backoff_min", agent_options.backoff_min_ms),
    MEMBER("backoff_max", agent_options.backoff_max_ms),
    MEMBER("budget", memory_budget),
    MEMBER("json", json),
    MEMBER("no_resume", no_resume),
    MEMBER("fail", fail),
    MEMBER("seed", seed),
    {0},
};

static bool set_option(state_t *s, const option_t *o, const char *text) {
    size_t len = strcspn(text, "=");
    while (o->name != NULL && !(strlen(o->name) == len && memcmp(o->name, text, len) == 0))
        o++;
    if (o->name == NULL || text[len] != '=')
        return false;
    uint64_t wide = strtoull(text + len + 1, NULL, 10);
    uint32_t narrow = (uint32_t)wide;
    if (o->size == sizeof(narrow))
        memcpy((char *)s + o->offset, &narrow, sizeof(narrow));
    else
        memcpy((char *)s + o->offset, &wide, sizeof(wide));
    return true;
}

/* An allocator that fails. LD_PRELOAD cannot do it under AddressSanitizer (failmalloc.c). */

static bool fails_now(void *user_data) {
    state_t *s = user_data;
    if (!s->failing)
        return false;
    s->seed = s->seed * 6364136223846793005u + 1442695040888963407u;
    return (s->seed >> 33) % 1000000 < s->fail;
}

static void *failing_malloc(size_t size, void *user_data) {
    return fails_now(user_data) ? NULL : malloc(size);
}

static void *failing_realloc(void *ptr, size_t size, void *user_data) {
    return fails_now(user_data) ? NULL : realloc(ptr, size);
}

static void plain_free(void *ptr, void *user_data) {
    (void)user_data;
    free(ptr);
}

static void on_log(wst_log_level_t level, const char *line, void *user_data) {
    (void)user_data;
    log_line(level, "%s", line);
}

/* Replaces the program's context by one with that allocator. */
static int make_context_fail(state_t *s) {
    const wst_allocator_t allocator = {failing_malloc, failing_realloc, plain_free, s};
    const wst_ctx_options_t options = {.size = sizeof(options),
                                       .allocator = &allocator,
                                       .log = on_log,
                                       .log_level = WST_LOG_INFO,
                                       .user_data = &s->program, /* as program_init: for its end */
                                       .memory_budget = s->memory_budget};
    wst_ctx_close(s->program.ctx, NULL);
    return wst_ctx_new(&s->program.ctx, &s->program.loop, &options);
}

static void on_usr2(uv_signal_t *signal, int number) {
    (void)number;
    state_t *s = signal->data;
    s->failing = !s->failing;
    log_line(WST_LOG_INFO, "allocations %s", s->failing ? "fail" : "succeed");
}

static void on_closed(void *user_data) {
    state_t *s = user_data;
    s->failing = false;
    uv_close((uv_handle_t *)&s->usr1, NULL);
    uv_close((uv_handle_t *)&s->usr2, NULL);
    program_finish(&s->program);
}

static void close_all(state_t *s) {
    if (s->server != NULL)
        wst_server_close(s->server, on_closed);
    else
        wst_agent_close(s->agent, on_closed);
}

static void on_server_drained(wst_server_t *server, void *user_data) {
    (void)server;
    close_all(user_data);
}

static void on_agent_drained(wst_agent_t *agent, void *user_data) {
    (void)agent;
    close_all(user_data);
}

static void on_stop(void *user_data, bool now) {
    state_t *s = user_data;
    if (now)
        close_all(s);
    else if (s->server != NULL)
        wst_server_drain(s->server);
    else
        wst_agent_drain(s->agent);
}

static void on_usr1(uv_signal_t *signal, int number) {
    (void)number;
    const state_t *s = signal->data;
    wst_ctx_stats_t ctx = {.size = sizeof(ctx)};
    wst_ctx_get_stats(s->program.ctx, &ctx);
    wst_server_stats_t server = {.size = sizeof(server)};
    if (s->server != NULL)
        wst_server_get_stats(s->server, &server);
    size_t streams = s->server != NULL ? server.streams : wst_agent_streams(s->agent);
    size_t sessions = s->server != NULL ? server.sessions : wst_agent_is_up(s->agent);
    log_line(WST_LOG_INFO,
             "stats streams=%zu sessions=%zu agents=%zu connections=%zu pending=%zu chunks=%zu "
             "handles=%zu budget_used=%zu",
             streams, sessions, server.agents, server.connections, server.pending, ctx.chunks,
             ctx.handles, ctx.budget_used);
}

static int start_server(state_t *s, const char *address) {
    static const wst_server_callbacks_t callbacks = {.size = sizeof(callbacks),
                                                     .on_drained = on_server_drained};
    s->server_limits.size = sizeof(s->server_limits);
    const wst_server_options_t options = {.size = sizeof(options),
                                          .callbacks = &callbacks,
                                          .limits = &s->server_limits,
                                          .allow_open = true,
                                          .no_resume = s->no_resume != 0,
                                          .user_data = s};
    int status = wst_server_new(&s->server, s->program.ctx, &options);
    if (status == 0)
        status = wst_server_listen(s->server, address, WST_ROLE_ALL);
    if (status == 0)
        log_line(WST_LOG_INFO, "listening on %s", wst_server_address(s->server, 0));
    return status;
}

static int start_agent(state_t *s, const char *url) {
    static const wst_agent_callbacks_t callbacks = {.size = sizeof(callbacks),
                                                    .on_drained = on_agent_drained};
    static const char *const all[] = {"*", "127.0.0.0/8", "::1", NULL};
    static const wst_rule_t rule = {.size = sizeof(rule), .allow = true, .destinations = all};
    const wst_rules_options_t options = {.size = sizeof(options), .rules = &rule, .count = 1};
    s->agent_options.size = sizeof(s->agent_options);
    s->agent_options.callbacks = &callbacks;
    s->agent_options.user_data = s;
    s->agent_options.url = url;
    s->agent_options.no_resume = s->no_resume != 0;
    s->agent_options.encoding = s->json != 0 ? WST_ENCODING_JSON : WST_ENCODING_BINARY;
    int status = wst_rules_new(&s->rules, &options, NULL);
    s->agent_options.rules = s->rules;
    return status != 0 ? status : wst_agent_new(&s->agent, s->program.ctx, &s->agent_options);
}

static int watch(state_t *s, uv_signal_t *signal, uv_signal_cb callback, int number) {
    int status = uv_signal_init(&s->program.loop, signal);
    signal->data = s;
    uv_unref((uv_handle_t *)signal);
    return status != 0 ? status : uv_signal_start(signal, callback, number);
}

int main(int argc, char **argv) {
    static state_t s;
    bool is_server = argc > 2 && strcmp(argv[1], "server") == 0;
    if (argc < 3 || (!is_server && strcmp(argv[1], "agent") != 0)) {
        fputs("usage: quick server LISTEN | agent URL [NAME] [OPTION=NUMBER]...\n", stderr);
        return 2;
    }
    for (int i = 3; i < argc; i++) {
        if (!is_server && strchr(argv[i], '=') == NULL) {
            s.agent_options.name = argv[i];
        } else if (!set_option(&s, is_server ? of_server : of_agent, argv[i])) {
            fprintf(stderr, "quick: unknown option %s\n", argv[i]);
            return 2;
        }
    }
    int status = program_init(&s.program, WST_LOG_INFO, s.memory_budget, on_stop, &s);
    if (status == 0 && s.fail > 0)
        status = make_context_fail(&s);
    if (status == 0)
        status = watch(&s, &s.usr1, on_usr1, SIGUSR1);
    if (status == 0)
        status = watch(&s, &s.usr2, on_usr2, SIGUSR2);
    if (status == 0)
        status = is_server ? start_server(&s, argv[2]) : start_agent(&s, argv[2]);
    if (status != 0) {
        log_line(WST_LOG_ERROR, "cannot start: %s", wst_strerror(status));
        log_end();
        return 1;
    }
    uv_run(&s.program.loop, UV_RUN_DEFAULT);
    wst_rules_free(s.rules);
    uv_loop_close(&s.program.loop);
    log_end();
    return s.program.exit_status;
}
