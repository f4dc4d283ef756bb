/* SPDX-License-Identifier: MIT */
/*
 * The server's handle: it assembles the parts (server.h) and gives them what the options say.
 */
#include "server.h"

#include "session.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

enum {
    MAX_CONNECTIONS = 10000,
    SPARE_DESCRIPTORS = 64 /* for other things than connections; at most a quarter of all */
};

/* Options ------------------------------------------------------------------------------------ */

/* As many as there are, or what the descriptors allow. */
static size_t default_connections(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
        limit.rlim_cur >= MAX_CONNECTIONS + SPARE_DESCRIPTORS)
        return MAX_CONNECTIONS;
    size_t all = (size_t)limit.rlim_cur;
    size_t spare = all / 4 < SPARE_DESCRIPTORS ? all / 4 : SPARE_DESCRIPTORS;
    return all > spare ? all - spare : 1;
}

static void default_size(size_t *value, size_t fallback) {
    *value = *value != 0 ? *value : fallback;
}

static void default_ms(uint64_t *value, uint64_t fallback) {
    *value = *value != 0 ? *value : fallback;
}

static void set_defaults(wst_server_options_t *o) {
    if (o->max_connections == 0)
        o->max_connections = default_connections();
    default_size(&o->http.head_max, 16384);
    default_size(&o->max_pending, 1024);
    default_size(&o->max_agent_sessions, 1024);
    default_size(&o->max_handshakes, 512);
    default_size(&o->stream_window, WST__INITIAL_CREDIT);
    default_size(&o->stream_window_max, WST__WINDOW_MAX);
    if (o->max_agent_streams == 0)
        o->max_agent_streams = WST__MAX_STREAMS;
    default_ms(&o->tls_timeout_ms, 10000);
    default_ms(&o->head_timeout_ms, 10000);
    default_ms(&o->decision_timeout_ms, 10000);
    default_ms(&o->hello_timeout_ms, 10000);
    default_ms(&o->dial_timeout_ms, 15000);
    default_ms(&o->half_closed_timeout_ms, 600000);
    default_ms(&o->ping_interval_ms, 15000);
    default_ms(&o->dead_after_ms, 45000);
    default_ms(&o->drain_timeout_ms, 30000);
}

static wst__ingress_limits_t ingress_limits(const wst_server_options_t *o) {
    return (wst__ingress_limits_t){.max_pending = o->max_pending,
                                   .decision_timeout_ms = o->decision_timeout_ms,
                                   .dial_timeout_ms = o->dial_timeout_ms,
                                   .half_closed_timeout_ms = o->half_closed_timeout_ms};
}

int wst_server_set_limits(wst_server_t *s, const wst_server_options_t *options) {
    wst_server_options_t o = *options;
    if (!wst__uplink_windows_valid(options->stream_window, options->stream_window_max))
        return WST_EINVAL;
    o.callbacks = s->options.callbacks;
    o.user_data = s->options.user_data;
    o.protocol = s->options.protocol;
    o.tls = s->options.tls;
    o.path = s->options.path;
    o.http = s->options.http;
    o.allow_open = s->options.allow_open;
    o.allow_origin = s->options.allow_origin;
    set_defaults(&o);
    s->options = o;
    s->ingress.limits = ingress_limits(&o);
    wst__remotes_set_max_streams(&s->ingress.remotes, o.max_agent_streams);
    wst__conns_update(s);
    wst__addresses_update(s);
    return 0;
}

void wst_server_set_tls(wst_server_t *s, wst_tls_config_t *config) {
    wst_tls_config_t *old = s->options.tls;
    s->options.tls = wst_tls_config_ref(config);
    wst_tls_config_unref(old);
}

/* What the ingress asks and tells ------------------------------------------------------------- */

typedef void (*question_cb)(wst_server_t *server, wst_request_t *request, void *user_data);

static question_cb callback_of(const wst_server_t *s, wst__question_t question) {
    const wst_server_callbacks_t *cb = &s->options.callbacks;
    switch (question) {
    case WST__ASK_CLIENT:
        return cb->on_client_request;
    case WST__ASK_CHOOSE:
        return cb->on_choose;
    default:
        return cb->on_reached;
    }
}

static bool wants(void *owner, wst__question_t question) {
    return callback_of(owner, question) != NULL;
}

static void ask(void *owner, wst__question_t question, wst_request_t *request) {
    wst_server_t *s = owner;
    callback_of(s, question)(s, request, s->options.user_data);
}

static void on_open(void *owner, const wst_stream_info_t *info) {
    wst_server_t *s = owner;
    if (s->options.callbacks.on_stream_open != NULL)
        s->options.callbacks.on_stream_open(s, info, s->options.user_data);
}

static void on_close(void *owner, const wst_stream_info_t *info) {
    wst_server_t *s = owner;
    if (s->options.callbacks.on_stream_close != NULL)
        s->options.callbacks.on_stream_close(s, info, s->options.user_data);
}

static void on_refused(void *owner, const wst_refusal_info_t *info) {
    wst_server_t *s = owner;
    if (s->options.callbacks.on_refused != NULL)
        s->options.callbacks.on_refused(s, info, s->options.user_data);
}

static const char *address(void *owner, size_t n) {
    return wst_server_address(owner, n);
}

static const wst__ingress_hooks_t hooks = {.wants = wants,
                                           .ask = ask,
                                           .on_open = on_open,
                                           .on_close = on_close,
                                           .on_refused = on_refused,
                                           .address = address};

/* Life --------------------------------------------------------------------------------------- */

static void free_server(wst_server_t *s) {
    wst_ctx_t *ctx = s->node.ctx;
    wst__ingress_free(&s->ingress);
    wst_tls_config_unref(s->options.tls);
    wst__free(&ctx->allocator, s->path);
    wst__free(&ctx->allocator, s);
}

static void tell_drained(wst__node_t *node) {
    wst_server_t *s = WST__CONTAINER(node, wst_server_t, node);
    if (s->options.callbacks.on_drained != NULL)
        s->options.callbacks.on_drained(s, s->options.user_data);
}

static void tell_closed(wst__node_t *node) {
    wst_server_t *s = WST__CONTAINER(node, wst_server_t, node);
    if (s->close_cb != NULL)
        s->close_cb(s->options.user_data);
    free_server(s);
}

/* In the order in which they are told to drain and to close: first whoever lets in, last the
 * uplinks that all else runs through. */
static void assemble(wst_server_t *s, uint64_t seed) {
    wst__addresses_init(s);
    wst__arrivals_init(s);
    wst__conns_init(s);
    wst__ingress_init(&s->ingress, &s->node, &hooks, s, seed);
    s->ingress.limits = ingress_limits(&s->options);
    wst__remotes_set_max_streams(&s->ingress.remotes, s->options.max_agent_streams);
    wst__agents_init(s);
}

static int check(const wst_server_options_t *o, wst_ctx_t *ctx) {
    if ((o->path != NULL && o->path[0] != '/') ||
        !wst__uplink_windows_valid(o->stream_window, o->stream_window_max))
        return WST_EINVAL;
    if (wst__uplink_kind(o->protocol) != NULL)
        return 0;
    wst_ctx_log(ctx, WST_LOG_ERROR, "that protocol has not been built in");
    return WST_EINVAL;
}

int wst_server_new(wst_server_t **out, wst_ctx_t *ctx, const wst_server_options_t *options) {
    int status = check(options, ctx);
    if (status != 0)
        return status;
    wst_server_t *s = wst__zalloc(&ctx->allocator, sizeof(*s));
    if (s == NULL)
        return WST_ENOMEM;
    uint64_t random[2]; /* the first one is told to the world */
    status = wst__random(ctx, random, sizeof(random));
    s->path = wst__strdup(&ctx->allocator, options->path != NULL ? options->path : "/websocket");
    if (s->path == NULL || status != 0) {
        wst__free(&ctx->allocator, s->path);
        wst__free(&ctx->allocator, s);
        return status != 0 ? status : WST_ENOMEM;
    }
    snprintf(s->pseudonym, sizeof(s->pseudonym), "libwstunnel-%08x", (uint32_t)random[0]);
    s->kind = wst__uplink_kind(options->protocol);
    s->options = *options;
    s->options.path = s->path;
    wst_tls_config_ref(s->options.tls);
    set_defaults(&s->options);
    wst__node_init(&s->node, ctx, tell_drained, tell_closed);
    assemble(s, random[1]);
    *out = s;
    return 0;
}

void wst_server_drain(wst_server_t *s) {
    wst__node_drain(&s->node, s->options.drain_timeout_ms);
}

void wst_server_close(wst_server_t *s, wst_close_cb close_cb) {
    if (s->node.state == WST__NODE_CLOSING)
        return;
    s->close_cb = close_cb;
    wst__node_close(&s->node);
}

/* Figures and agents ------------------------------------------------------------------------- */

void wst_server_get_stats(const wst_server_t *s, wst_server_stats_t *stats) {
    *stats = (wst_server_stats_t){
        .connections = s->connections.count,
        .agents = s->ingress.remotes.count,
        .sessions = s->agents.sessions.count,
        .streams = s->ingress.relaying.count,
        .pending = s->ingress.pending.count,
        .handshakes = s->arrivals.under_way,
        .tls_failures = s->arrivals.failures,
    };
}

wst_ingress_t *wst_server_ingress(wst_server_t *s) {
    return &s->ingress;
}

wst_remote_t *wst_server_next_agent(const wst_server_t *s, const wst_remote_t *after) {
    return wst__remotes_next(&s->ingress.remotes, after);
}

wst_remote_t *wst_server_find_agent(const wst_server_t *s, const char *tenant, const char *name) {
    return wst__remotes_find_named(&s->ingress.remotes, tenant, name);
}

wst_remote_t *wst_server_best_agent(wst_server_t *s, const wst_request_t *request,
                                    bool (*admits)(const wst_remote_t *agent, void *user_data),
                                    void *user_data) {
    return wst__ingress_best(&s->ingress, request, NULL, admits, user_data);
}

wst_remote_t *wst_server_best_named(wst_server_t *s, const wst_request_t *request, const char *name,
                                    bool (*admits)(const wst_remote_t *agent, void *user_data),
                                    void *user_data) {
    return wst__ingress_best(&s->ingress, request, name, admits, user_data);
}
