/* SPDX-License-Identifier: MIT */
/*
 * The server's handle: its options, addresses, limits, drain and end.
 *
 * Running -> draining (no new clients or agents; open tunnels go on) -> drained; closing, from any
 * of them: everything is told to end, and when the last thing that holds the server is gone,
 * close_cb runs.
 */
#include "server.h"
#include "session.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <wstunnel/listener.h>

enum {
    MAX_CONNECTIONS = 10000,
    SPARE_DESCRIPTORS = 64 /* for other things than connections; at most a quarter of all */
};

typedef struct listener {
    wst__list_t node;
    wst_server_t *server;
    wst_listener_t *handle;
    unsigned roles;
} listener_t;

/* Life --------------------------------------------------------------------------------------- */

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

int wst_server_new(wst_server_t **out, wst_ctx_t *ctx, const wst_server_options_t *options) {
    const char *path = options->path != NULL ? options->path : "/websocket";
    const wst__uplink_kind_t *kind = wst__uplink_kind(options->protocol);
    if (kind == NULL)
        wst__log(ctx, WST_LOG_ERROR, "that protocol has not been built in");
    if (path[0] != '/' || kind == NULL ||
        !wst__uplink_windows_valid(options->stream_window, options->stream_window_max))
        return WST_EINVAL;
    wst_server_t *s = wst__zalloc(&ctx->allocator, sizeof(*s));
    if (s == NULL)
        return WST_ENOMEM;
    uint64_t random;
    int status = wst__random(ctx, &random, sizeof(random));
    s->path = wst__strdup(&ctx->allocator, path);
    if (s->path == NULL || status != 0) {
        wst__free(&ctx->allocator, s->path);
        wst__free(&ctx->allocator, s);
        return status != 0 ? status : WST_ENOMEM;
    }
    s->ctx = ctx;
    s->kind = kind;
    snprintf(s->pseudonym, sizeof(s->pseudonym), "libwstunnel-%08x", (uint32_t)random);
    s->options = *options;
    s->options.path = s->path;
    wst_tls_config_ref(s->options.tls);
    set_defaults(&s->options);
    wst__list_init(&s->listeners);
    wst__list_init(&s->arrivals);
    wst__list_init(&s->handshake_queue);
    wst__list_init(&s->handshaking);
    wst__defer_init(&s->turns);
    wst__list_init(&s->conns);
    wst__list_init(&s->relays);
    wst__list_init(&s->sessions);
    wst__list_init(&s->dials);
    wst__remotes_init(&s->remotes, ctx, s->options.max_agent_streams, random);
    wst__defer_init(&s->defer);
    wst__ctx_hold(ctx);
    *out = s;
    return 0;
}

static void gone(wst__defer_t *defer) {
    wst_server_t *s = WST__CONTAINER(defer, wst_server_t, defer);
    wst_ctx_t *ctx = s->ctx;
    if (s->close_cb != NULL)
        s->close_cb(s->options.user_data);
    wst__remotes_free(&s->remotes);
    wst_tls_config_unref(s->options.tls);
    wst__free(&ctx->allocator, s->path);
    wst__free(&ctx->allocator, s);
    wst__ctx_release(ctx);
}

void wst__server_hold(wst_server_t *s) {
    s->holds++;
}

void wst__server_release(wst_server_t *s) {
    s->holds--;
    if (s->closing && s->holds == 0)
        wst__defer(s->ctx, &s->defer, gone);
}

/* Listeners ---------------------------------------------------------------------------------- */

static listener_t *first_listener(const wst_server_t *s) {
    wst__list_t *node = wst__list_first(&s->listeners);
    return node != NULL ? WST__CONTAINER(node, listener_t, node) : NULL;
}

static listener_t *next_listener(const wst_server_t *s, const listener_t *l) {
    wst__list_t *node = wst__list_next(&s->listeners, &l->node);
    return node != NULL ? WST__CONTAINER(node, listener_t, node) : NULL;
}

static void on_accept(wst_listener_t *handle, wst_stream_t *stream, void *user_data) {
    const listener_t *l = user_data;
    (void)handle;
    if (wst__server_receive(l->server, stream, l->roles) != 0)
        wst_stream_close(stream, NULL);
}

static void on_listener_closed(void *user_data) {
    listener_t *l = user_data;
    wst_server_t *s = l->server;
    wst__free(&s->ctx->allocator, l);
    wst__server_release(s);
}

static void close_listener(listener_t *l) {
    wst__list_remove(&l->node);
    wst_listener_close(l->handle, on_listener_closed);
}

/* Whether everybody may use a role that is offered there. */
static bool is_open(const wst_server_t *s, unsigned roles) {
    const wst_server_callbacks_t *cb = &s->options.callbacks;
    return ((roles & WST_ROLE_CONNECT) != 0 && cb->on_client_request == NULL) ||
           ((roles & WST_ROLE_AGENTS) != 0 && cb->on_agent_request == NULL);
}

int wst_server_listen(wst_server_t *s, const char *address, unsigned roles) {
    if (s->closing || s->draining)
        return WST_ESTATE;
    int status = wst__server_roles(s, &roles);
    if (status != 0)
        return status;
    listener_t *l = wst__zalloc(&s->ctx->allocator, sizeof(*l));
    if (l == NULL)
        return WST_ENOMEM;
    l->server = s;
    l->roles = roles;
    wst__list_init(&l->node);
    const wst_listener_options_t options = {
        .address = address, .on_accept = on_accept, .user_data = l};
    status = wst_listener_new(&l->handle, s->ctx, &options);
    if (status != 0) {
        wst__free(&s->ctx->allocator, l);
        return status;
    }
    wst__server_hold(s);
    wst__list_append(&s->listeners, &l->node);
    if (!s->options.allow_open && !wst_listener_is_local(l->handle) && is_open(s, roles)) {
        close_listener(l);
        return WST_EINSECURE;
    }
    if (s->paused)
        wst_listener_pause(l->handle);
    return 0;
}

const char *wst_server_address(const wst_server_t *s, size_t n) {
    const listener_t *l = first_listener(s);
    while (l != NULL && n-- > 0)
        l = next_listener(s, l);
    return l != NULL ? wst_listener_address(l->handle) : NULL;
}

int wst_server_adopt(wst_server_t *s, wst_stream_t *connection, unsigned roles) {
    if (s->closing || s->draining)
        return WST_ESTATE;
    if (s->connections >= s->options.max_connections)
        return WST_ELIMIT;
    int status = wst__server_roles(s, &roles);
    return status == 0 ? wst__server_receive(s, connection, roles) : status;
}

/* Further clients wait in the kernel while there are too many. */
static void update_paused(wst_server_t *s) {
    bool full = s->connections >= s->options.max_connections;
    if (full == s->paused)
        return;
    s->paused = full;
    if (full && !s->limit_logged) {
        s->limit_logged = true;
        wst__log(s->ctx, WST_LOG_WARN, "%zu connections: further ones wait (said once)",
                 s->connections);
    }
    for (listener_t *l = first_listener(s); l != NULL; l = next_listener(s, l)) {
        if (full)
            wst_listener_pause(l->handle);
        else
            wst_listener_resume(l->handle);
    }
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
    wst__remotes_set_max_streams(&s->remotes, o.max_agent_streams);
    update_paused(s);
    return 0;
}

void wst__server_count_connection(wst_server_t *s) {
    s->connections++;
    update_paused(s);
}

void wst__server_uncount_connection(wst_server_t *s) {
    s->connections--;
    update_paused(s);
}

/* Questions ---------------------------------------------------------------------------------- */

int wst__server_verdict(const wst__answer_t *answer, wst__answer_kind_t expected) {
    if (answer->kind == expected)
        return 0;
    if (answer->kind == WST__DENIED)
        return WST_EDENIED;
    if (answer->kind == WST__UNANSWERED)
        return WST__NO_DECISION;
    if (answer->stream != NULL) /* it was handed to us all the same */
        wst_stream_close(answer->stream, NULL);
    return WST__BAD_ANSWER;
}

/* Drain and end ------------------------------------------------------------------------------ */

static void tell_drained(wst__defer_t *defer) {
    wst_server_t *s = WST__CONTAINER(defer, wst_server_t, defer);
    if (s->options.callbacks.on_drained != NULL)
        s->options.callbacks.on_drained(s, s->options.user_data);
}

static void set_drained(wst_server_t *s) {
    s->drained = true;
    wst__deadline_clear(&s->ctx->deadlines, &s->drain_deadline);
    wst__defer(s->ctx, &s->defer, tell_drained);
}

static void on_drain_deadline(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    set_drained(WST__CONTAINER(deadline, wst_server_t, drain_deadline));
}

void wst__server_check_drained(wst_server_t *s) {
    if (s->draining && !s->drained && !s->closing && s->streams == 0 && s->pending == 0 &&
        s->leaving == 0)
        set_drained(s);
}

static void close_listeners(wst_server_t *s) {
    listener_t *l;
    while ((l = first_listener(s)) != NULL)
        close_listener(l);
}

void wst_server_drain(wst_server_t *s) {
    if (s->draining || s->closing)
        return;
    s->draining = true;
    wst__deadline_in(s->ctx, &s->drain_deadline, s->options.drain_timeout_ms, on_drain_deadline);
    close_listeners(s);
    wst__agents_goaway(s);
    for (wst__list_t *node = wst__list_first(&s->conns); node != NULL;
         node = wst__list_next(&s->conns, node))
        wst__conn_drain(WST__CONTAINER(node, wst__conn_t, node));
    wst__server_check_drained(s);
}

void wst_server_close(wst_server_t *s, wst_close_cb close_cb) {
    if (s->closing)
        return;
    s->closing = true;
    s->close_cb = close_cb;
    wst__server_hold(s);
    wst__deadline_clear(&s->ctx->deadlines, &s->drain_deadline);
    wst__defer_cancel(&s->defer);
    close_listeners(s);
    wst__arrivals_close(s);
    for (wst__list_t *node = wst__list_first(&s->conns); node != NULL;
         node = wst__list_next(&s->conns, node))
        wst__conn_close(WST__CONTAINER(node, wst__conn_t, node));
    wst__dials_close(s);
    wst__relays_close(s);
    wst__agents_close(s);
    wst__server_release(s);
}

/* Figures ------------------------------------------------------------------------------------ */

void wst_server_get_stats(const wst_server_t *s, wst_server_stats_t *stats) {
    *stats = (wst_server_stats_t){
        .connections = s->connections,
        .agents = s->remotes.count,
        .sessions = s->session_count,
        .streams = s->streams,
        .pending = s->pending,
        .handshakes = s->handshakes,
        .tls_failures = s->tls_failures,
    };
}

wst_remote_t *wst_server_next_agent(const wst_server_t *s, const wst_remote_t *after) {
    return wst__remotes_next(&s->remotes, after);
}
