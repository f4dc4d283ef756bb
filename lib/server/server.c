/* SPDX-License-Identifier: MIT */
/*
 * The server's handle: assembles the parts (server.h) and passes the options on to them.
 */
#include "server.h"

#include "defaults.h"
#include "session.h"
#include "sized.h"
#include "sockopt.h"

#include <stdio.h>
#include <string.h>
#include <wstunnel/json.h>

/* Options ------------------------------------------------------------------------------------ */

static void default_size(size_t *value, size_t fallback) {
    *value = *value != 0 ? *value : fallback;
}

static void default_ms(uint64_t *value, uint64_t fallback) {
    *value = *value != 0 ? *value : fallback;
}

static void set_defaults(wst_server_limits_t *l) {
    if (l->max_connections == 0)
        l->max_connections = wst__sockopt_descriptors(WST__MAX_CONNECTIONS);
    default_size(&l->max_pending, WST__MAX_PENDING_FLOWS);
    default_size(&l->max_streams, WST__MAX_STREAMS);
    default_size(&l->max_agent_sessions, WST__MAX_AGENT_SESSIONS);
    default_size(&l->max_handshakes, WST__MAX_HANDSHAKES);
    default_size(&l->stream_window, WST__STREAM_WINDOW);
    default_size(&l->stream_window_max, WST__STREAM_WINDOW_MAX);
    if (l->max_agent_streams == 0)
        l->max_agent_streams = WST__MAX_STREAMS;
    default_ms(&l->tls_timeout_ms, WST__STEP_TIMEOUT_MS);
    default_ms(&l->head_timeout_ms, WST__STEP_TIMEOUT_MS);
    default_ms(&l->decision_timeout_ms, WST__STEP_TIMEOUT_MS);
    default_ms(&l->hello_timeout_ms, WST__STEP_TIMEOUT_MS);
    default_ms(&l->dial_timeout_ms, WST__SERVER_DIAL_TIMEOUT_MS);
    default_ms(&l->half_closed_timeout_ms, WST__HALF_CLOSED_TIMEOUT_MS);
    default_ms(&l->ping_interval_ms, WST__PING_INTERVAL_MS);
    default_ms(&l->dead_after_ms, WST__DEAD_AFTER_MS);
    default_ms(&l->resume_grace_ms, WST__RESUME_GRACE_MS);
    default_ms(&l->drain_timeout_ms, WST__DRAIN_TIMEOUT_MS);
}

/* The caller's limits, complete. NULL: the defaults. 0 or WST_EINVAL. */
static int read_limits(wst_server_limits_t *limits, const wst_server_limits_t *given) {
    if (wst__sized_read(limits, sizeof(*limits), given) != 0 ||
        !wst__uplink_windows_valid(limits->stream_window, limits->stream_window_max) ||
        limits->resume_grace_ms > WST_GRACE_MAX_MS)
        return WST_EINVAL;
    set_defaults(limits);
    return 0;
}

/* Updates the parts that keep copies of limits. */
static void hand_out_limits(wst_server_t *s) {
    const wst_server_limits_t *l = &s->limits;
    const wst__ingress_limits_t limits = {
        .max_pending = l->max_pending,
        .max_flows = l->max_streams,
        .stream_memory = wst__session_stream_cost(l->stream_window),
        .user = {.memory = l->max_user_memory, .flows = l->max_user_streams},
        .tenant = {.memory = l->max_tenant_memory, .flows = l->max_tenant_streams},
        .decision_timeout_ms = l->decision_timeout_ms,
        .dial_timeout_ms = l->dial_timeout_ms,
        .half_closed_timeout_ms = l->half_closed_timeout_ms};
    wst__ingress_set_limits(&s->ingress, &limits);
    wst__remotes_set_max_streams(&s->ingress.remotes, s->limits.max_agent_streams);
    s->socks.head_timeout_ms = s->limits.head_timeout_ms;
}

int wst_server_set_limits(wst_server_t *s, const wst_server_limits_t *given) {
    wst_server_limits_t limits;
    if (read_limits(&limits, given) != 0)
        return WST_EINVAL;
    s->limits = limits;
    hand_out_limits(s);
    wst__conns_update(s);
    wst__addresses_update(s);
    return 0;
}

void wst_server_set_tls(wst_server_t *s, wst_tls_config_t *config) {
    wst_tls_config_t *old = s->tls;
    s->tls = wst_tls_config_ref(config);
    wst_tls_config_unref(old);
}

void wst_server_set_pac(wst_server_t *s, wst_pac_t *pac) {
    wst_pac_free(s->pac);
    s->pac = pac;
}

/* Hooks of the ingress ----------------------------------------------------------------------- */

typedef void (*question_cb)(wst_server_t *server, wst_request_t *request, void *user_data);

static question_cb callback_of(const wst_server_t *s, wst__question_t question) {
    const wst_server_callbacks_t *cb = &s->callbacks;
    switch (question) {
    case WST__ASK_LOGIN:
        return cb->on_client_login;
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

static void ask_embedder(void *owner, wst__question_t question, wst_request_t *request) {
    wst_server_t *s = owner;
    callback_of(s, question)(s, request, s->user_data);
}

static void on_stream_open(void *owner, const wst_stream_info_t *info) {
    wst_server_t *s = owner;
    if (s->callbacks.on_stream_open != NULL)
        s->callbacks.on_stream_open(s, info, s->user_data);
}

static void on_stream_close(void *owner, const wst_stream_info_t *info) {
    wst_server_t *s = owner;
    if (s->callbacks.on_stream_close != NULL)
        s->callbacks.on_stream_close(s, info, s->user_data);
}

static void log_refused(wst_ctx_t *ctx, wst_log_level_t level, const wst_refusal_info_t *info) {
    if (info->http_status == 0) {
        wst_ctx_log(ctx, level,
                    info->retry ? "client %s: connection closed: %s" : "connection from %s: %s",
                    info->client, info->reason);
        return;
    }
    char name[6 * WST__USER_MAX + 3];
    bool named = info->claimed_user[0] != '\0', caused = info->cause[0] != '\0';
    wst_json_quote(name, sizeof(name), info->claimed_user, strlen(info->claimed_user));
    wst_ctx_log(ctx, level, "%s%s%s%s refused: %d %s%s%s%s%s%s%s",
                info->client[0] != '\0' ? "client " : "", info->client,
                info->client[0] != '\0' ? ": " : "",
                info->destination[0] != '\0' ? info->destination : "login", info->http_status,
                info->reason, named || caused ? " (" : "", info->cause, named && caused ? ", " : "",
                named ? "user " : "", named ? name : "", named || caused ? ")" : "");
}

static void on_ingress_refused(void *owner, const wst_refusal_info_t *info) {
    wst_server_t *s = owner;
    bool told = s->callbacks.on_refused != NULL; /* then its line is the embedder's to write */
    if (info->http_status != 0)
        wst__refusals_count(&s->refusals, info->error);
    log_refused(s->node.ctx, told ? WST_LOG_DEBUG : WST_LOG_INFO, info);
    if (told)
        s->callbacks.on_refused(s, info, s->user_data);
}

static const char *address(void *owner, size_t n) {
    return wst__addresses_nth(owner, n);
}

static bool find_room(void *owner) {
    return wst__agents_make_room(owner);
}

static const wst__ingress_hooks_t hooks = {.wants = wants,
                                           .ask = ask_embedder,
                                           .on_open = on_stream_open,
                                           .on_close = on_stream_close,
                                           .on_refused = on_ingress_refused,
                                           .address = address,
                                           .make_room = find_room};

/* Life --------------------------------------------------------------------------------------- */

static void free_server(wst_server_t *s) {
    wst_ctx_t *ctx = s->node.ctx;
    wst__ingress_free(&s->ingress);
    wst__seats_free(&s->seats);
    wst__table_free(&s->agents.names);
    wst_tls_config_unref(s->tls);
    wst__trusted_free(s->trust);
    wst_pac_free(s->pac);
    wst__free(&ctx->allocator, s->path);
    wst__free(&ctx->allocator, s);
}

static void tell_drained(wst__node_t *node) {
    wst_server_t *s = WST__CONTAINER(node, wst_server_t, node);
    wst__addresses_close_last(s); /* a callback to the embedder may close the server */
    if (s->node.state != WST__NODE_CLOSING && s->callbacks.on_drained != NULL)
        s->callbacks.on_drained(s, s->user_data);
}

static void tell_closed(wst__node_t *node) {
    wst_server_t *s = WST__CONTAINER(node, wst_server_t, node);
    if (s->close_cb != NULL)
        s->close_cb(s->user_data);
    free_server(s);
}

/* On an address that offers only SOCKS. */
static wst_str_t on_socks_stranger(wst__socks_front_t *front, const wst_stream_t *stream,
                                   uint8_t first) {
    wst_server_t *s = WST__CONTAINER(front, wst_server_t, socks);
    return wst__spoken_refuse(s, stream, WST_ROLE_SOCKS, wst__spoken_of(first));
}

/* Parts drain and close in this order: first those that let connections in, last the uplinks that
 * all streams run through. */
static void assemble(wst_server_t *s, uint64_t seed, uint32_t tag) {
    wst__successor_init(s);
    wst__addresses_init(s, seed);
    wst__arrivals_init(s);
    wst__conns_init(s);
    wst__predecessor_init(s);
    wst__ports_init(s);
    wst__socks_init(&s->socks, &s->node, &s->ingress);
    s->socks.on_stranger = on_socks_stranger;
    wst__ingress_init(&s->ingress, &s->node, &hooks, s, seed);
    hand_out_limits(s);
    wst__agents_init(s, tag);
}

/* Copies the caller's options and completes them. 0 or WST_EINVAL. */
static int read_options(wst_server_t *s, wst_server_options_t *o,
                        const wst_server_options_t *given) {
    if (wst__sized_read(o, sizeof(*o), given) != 0 ||
        wst__sized_read(&s->callbacks, sizeof(s->callbacks), o->callbacks) != 0 ||
        wst__sized_read(&s->http, sizeof(s->http), o->http) != 0 ||
        read_limits(&s->limits, o->limits) != 0 || (o->path != NULL && o->path[0] != '/'))
        return WST_EINVAL;
    default_size(&s->http.head_max, WST__HEAD_MAX);
    s->user_data = o->user_data;
    s->allow_open = o->allow_open;
    s->no_resume = o->no_resume;
    s->allow_origin = o->allow_origin;
    s->kind = wst__uplink_kind(o->protocol);
    if (s->kind != NULL)
        return 0;
    wst_ctx_log(s->node.ctx, WST_LOG_ERROR, "that protocol has not been built in");
    return WST_EINVAL;
}

static int read_trust(wst_server_t *s, const char *const *trust) {
    wst__trusted_error_t error;
    int status = wst__trusted_new(&s->trust, &s->node.ctx->allocator, trust, &error);
    if (status == WST_EINVAL)
        wst_ctx_log(s->node.ctx, WST_LOG_ERROR, "trust: '%s': %s", error.text, error.why);
    return status;
}

int wst_server_new(wst_server_t **out, wst_ctx_t *ctx, const wst_server_options_t *given) {
    wst_server_options_t o;
    wst_server_t *s = wst__zalloc(&ctx->allocator, sizeof(*s));
    if (s == NULL)
        return WST_ENOMEM;
    s->node.ctx = ctx;
    uint64_t random[2]; /* the first one is public, in two halves */
    int status = read_options(s, &o, given);
    if (status == 0)
        status = read_trust(s, o.trust);
    if (status == 0)
        status = wst__random(ctx, random, sizeof(random));
    if (status == 0) {
        s->path = wst__strdup(&ctx->allocator, o.path != NULL ? o.path : WST__AGENTS_PATH);
        status = s->path != NULL ? 0 : WST_ENOMEM;
    }
    if (status != 0) {
        wst__trusted_free(s->trust);
        wst__free(&ctx->allocator, s);
        return status;
    }
    snprintf(s->pseudonym, sizeof(s->pseudonym), "libwstunnel-%08x", (uint32_t)random[0]);
    s->tls = wst_tls_config_ref(o.tls);
    wst__node_init(&s->node, ctx, tell_drained, tell_closed);
    assemble(s, random[1], (uint32_t)(random[0] >> 32));
    *out = s;
    return 0;
}

static void on_delayed(wst__deadline_t *deadline, uint64_t now_ms) {
    wst_server_t *s = WST__CONTAINER(deadline, wst_server_t, leave);
    (void)now_ms;
    wst__node_drain(&s->node, s->limits.drain_timeout_ms);
}

void wst_server_drain(wst_server_t *s) {
    if (s->leaving || s->node.state != WST__NODE_RUNNING)
        return;
    s->leaving = true;
    wst__addresses_leave_inherited(s);
    if (s->limits.drain_delay_ms > 0)
        wst__deadline_in(s->node.ctx, &s->leave, s->limits.drain_delay_ms, on_delayed);
    else
        wst__node_drain(&s->node, s->limits.drain_timeout_ms);
}

bool wst_server_is_draining(const wst_server_t *s) {
    return s->leaving || s->node.state != WST__NODE_RUNNING;
}

void wst_server_close(wst_server_t *s, wst_close_cb close_cb) {
    if (s->node.state == WST__NODE_CLOSING)
        return;
    wst__deadline_clear(&s->node.ctx->deadlines, &s->leave);
    s->close_cb = close_cb;
    wst__node_close(&s->node);
}

/* Figures and agents ------------------------------------------------------------------------- */

int wst_server_get_stats(const wst_server_t *s, wst_server_stats_t *stats) {
    const wst__traffic_t traffic = wst__remotes_traffic(&s->ingress.remotes);
    const wst_server_stats_t now = {.size = sizeof(now),
                                    .connections = wst__seats_count(&s->seats),
                                    .agents = s->ingress.remotes.count,
                                    .sessions = s->agents.sessions.count,
                                    .streams = wst__ingress_relaying(&s->ingress),
                                    .pending = wst__ingress_pending(&s->ingress),
                                    .handshakes = wst__arrivals_shaking(s),
                                    .tls_failures = s->arrivals.failures,
                                    .turned_away = s->ingress.turned_away,
                                    .suspended = s->agents.suspended,
                                    .suspended_bytes = wst__agents_suspended_bytes(s),
                                    .resumes = s->agents.resumed,
                                    .resumes_refused = s->agents.refused,
                                    .suspended_lost = s->agents.lost,
                                    .streams_opened = s->ingress.flow_ids,
                                    .refused = s->refusals.count,
                                    .agents_refused = s->agents.turned_down,
                                    .bytes_to_agents = traffic.to_agents,
                                    .bytes_to_clients = traffic.to_clients};
    return wst__sized_write(stats, &now);
}

void wst_server_review_flows(wst_server_t *s, wst_flow_review_cb review, void *user_data) {
    wst__ingress_review(&s->ingress, review, user_data);
}

bool wst_server_refusals(const wst_server_t *s, size_t n, const char **error, uint64_t *count) {
    return wst__refusals_nth(&s->refusals, n, error, count);
}

int wst_server_dial_times(const wst_server_t *s, wst_histogram_t *histogram) {
    return wst__sized_write(histogram, &s->ingress.dial_times);
}

int wst_server_round_trips(const wst_server_t *s, wst_histogram_t *histogram) {
    return wst__sized_write(histogram, &s->agents.round_trips);
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
