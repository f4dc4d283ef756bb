/* SPDX-License-Identifier: MIT */
/* The agent: a node whose parts are an egress and the slots that keep uplinks to its servers. */
#include "defaults.h"
#include "egress.h"
#include "session.h"
#include "sized.h"
#include "site.h"
#include "sockopt.h"
#include "wake.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <wstunnel/agent.h>

enum { MAGIC = 0x57534147, CONNECTIONS_MAX = 64, URLS_MAX = 16 };

struct wst_agent {
    uint32_t magic;
    wst__node_t node;
    wst_agent_options_t o; /* with defaults filled in */
    wst_agent_callbacks_t callbacks;
    char name[WST_NAME_MAX + 1];
    wst__egress_t egress;
    wst__site_t *sites;
    size_t site_count;
    uint32_t next_conn;
    wst__wake_t wake;
    bool up; /* on_up has run, and no on_down since that says that all is over */
    uint64_t suspensions, resumes;
    wst_close_cb close_cb;
};

static wst_agent_t *checked_agent(void *user_data) {
    wst_agent_t *a = user_data;
    assert(a->magic == MAGIC);
    return a;
}

/* Callbacks of the parts --------------------------------------------------------------------- */

static void on_destination(wst_request_t *request, void *user_data) {
    wst_agent_t *a = checked_agent(user_data);
    a->callbacks.on_destination(a, request, a->o.user_data);
}

static void on_dial(wst_request_t *request, void *user_data) {
    wst_agent_t *a = checked_agent(user_data);
    a->callbacks.on_dial(a, request, a->o.user_data);
}

static wst_agent_t *agent_of(const wst__site_slot_t *one) {
    return checked_agent(one->site->owner);
}

static bool is_open(const wst_agent_t *a) {
    return a->node.state != WST__NODE_CLOSING;
}

/* `failure`: why it is not up, else NULL. */
static void on_slot_connection(uint32_t conn, const wst_agent_failure_t *failure, void *user_data) {
    const wst__site_slot_t *one = user_data;
    wst_agent_t *a = agent_of(one);
    const wst_agent_connection_info_t info = {.size = sizeof(info),
                                              .conn = conn,
                                              .url = one->site->url,
                                              .up = failure == NULL,
                                              .failure = failure};
    if (a->callbacks.on_connection != NULL)
        a->callbacks.on_connection(a, &info, a->o.user_data);
}

/* The first slot is up. */
static void tell_up(wst_agent_t *a) {
    if (a->up || !is_open(a))
        return;
    a->up = true;
    if (a->callbacks.on_up != NULL)
        a->callbacks.on_up(a, a->o.user_data);
}

/* No slot is up. */
static void tell_down(wst_agent_t *a, const wst_agent_failure_t *failure) {
    if (wst_agent_is_up(a) || !is_open(a))
        return;
    a->up = a->up && failure->suspended;
    if (a->callbacks.on_down != NULL)
        a->callbacks.on_down(a, failure, a->o.user_data);
}

static void on_slot_credentials(wst_request_t *request, void *user_data) {
    wst_agent_t *a = agent_of(user_data);
    a->callbacks.on_credentials(a, request, a->o.user_data);
}

static void on_slot_up(void *user_data) {
    tell_up(agent_of(user_data));
}

static void on_slot_suspended(const wst_agent_failure_t *failure, size_t streams, void *user_data) {
    wst_agent_t *a = agent_of(user_data);
    a->suspensions++;
    if (a->callbacks.on_suspended != NULL && is_open(a))
        a->callbacks.on_suspended(a, failure, streams, a->o.user_data);
}

static void on_slot_resumed(uint64_t outage_ms, void *user_data) {
    wst_agent_t *a = agent_of(user_data);
    a->resumes++;
    tell_up(a);
    if (a->callbacks.on_resumed != NULL && is_open(a))
        a->callbacks.on_resumed(a, outage_ms, a->o.user_data);
}

static void on_slot_down(const wst_agent_failure_t *failure, void *user_data) {
    tell_down(agent_of(user_data), failure);
}

static void on_wake(wst__wake_t *wake, uint64_t slept_ms) {
    wst_agent_t *a = WST__CONTAINER(wake, wst_agent_t, wake);
    wst_ctx_log(a->node.ctx, WST_LOG_INFO, "the machine has slept for %llu s",
                (unsigned long long)(slept_ms / 1000));
    wst_agent_reconnect(a);
}

static void on_site_failed(const wst_agent_failure_t *failure, void *owner) {
    tell_down(checked_agent(owner), failure);
}

static void on_stream_open(const char *destination, int status, const char *reason,
                           void *user_data) {
    wst_agent_t *a = checked_agent(user_data);
    const wst_agent_stream_info_t info = {.size = sizeof(info),
                                          .destination = destination,
                                          .status = status,
                                          .reason = reason,
                                          .state = ""};
    a->callbacks.on_stream_open(a, &info, a->o.user_data);
}

static void on_stream_close(const char *destination, uint64_t bytes_to_destination,
                            uint64_t bytes_from_destination, int status, void *user_data) {
    wst_agent_t *a = checked_agent(user_data);
    const wst_agent_stream_info_t info = {.size = sizeof(info),
                                          .destination = destination,
                                          .status = status,
                                          .reason = status == 0 ? "" : wst_strerror(status),
                                          .bytes_to_destination = bytes_to_destination,
                                          .bytes_to_server = bytes_from_destination,
                                          .state = ""};
    if (a->callbacks.on_stream_close != NULL)
        a->callbacks.on_stream_close(a, &info, a->o.user_data);
}

static void on_agent_drained(wst__node_t *node) {
    wst_agent_t *a = WST__CONTAINER(node, wst_agent_t, node);
    if (a->callbacks.on_drained != NULL)
        a->callbacks.on_drained(a, a->o.user_data);
}

/* Life --------------------------------------------------------------------------------------- */

static void free_agent(wst_agent_t *a) {
    wst_ctx_t *ctx = a->node.ctx;
    for (size_t i = 0; i < a->site_count; i++)
        wst__site_free(&a->sites[i]);
    wst__free(&ctx->allocator, a->sites);
    a->magic = 0;
    wst__free(&ctx->allocator, a);
}

static void on_agent_closed(wst__node_t *node) {
    wst_agent_t *a = WST__CONTAINER(node, wst_agent_t, node);
    if (a->close_cb != NULL)
        a->close_cb(a->o.user_data);
    free_agent(a);
}

static uint64_t or_default(uint64_t value, uint64_t fallback) {
    return value != 0 ? value : fallback;
}

static void set_defaults(wst_agent_options_t *o) {
    o->max_streams =
        (uint32_t)or_default(o->max_streams, wst__sockopt_descriptors(WST__MAX_STREAMS));
    o->connections = (uint32_t)or_default(o->connections, WST__CONNECTIONS);
    o->max_pending = (size_t)or_default(o->max_pending, WST__MAX_PENDING_DESTINATIONS);
    o->spare_connections = (size_t)or_default(o->spare_connections, WST__SPARE_CONNECTIONS);
    o->stream_window = (size_t)or_default(o->stream_window, WST__STREAM_WINDOW);
    o->stream_window_max = (size_t)or_default(o->stream_window_max, WST__STREAM_WINDOW_MAX);
    o->dial_timeout_ms = or_default(o->dial_timeout_ms, WST__STEP_TIMEOUT_MS);
    o->connect_timeout_ms = or_default(o->connect_timeout_ms, WST__STEP_TIMEOUT_MS);
    o->half_closed_timeout_ms = or_default(o->half_closed_timeout_ms, WST__HALF_CLOSED_TIMEOUT_MS);
    o->backoff_min_ms = or_default(o->backoff_min_ms, WST__BACKOFF_MIN_MS);
    o->backoff_max_ms = or_default(o->backoff_max_ms, WST__BACKOFF_MAX_MS);
    o->probe_after_ms = or_default(o->probe_after_ms, WST__PROBE_AFTER_MS);
    o->drain_timeout_ms = or_default(o->drain_timeout_ms, WST__DRAIN_TIMEOUT_MS);
}

static bool name_is_valid(const char *name) {
    size_t len = strlen(name);
    return len >= 1 && len <= WST_NAME_MAX &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == len;
}

/* Takes the given name, or the host's name with invalid characters replaced. */
static int choose_name(wst_agent_t *a) {
    if (a->o.name != NULL) {
        if (!name_is_valid(a->o.name))
            return WST_EINVAL;
        memcpy(a->name, a->o.name, strlen(a->o.name) + 1);
        return 0;
    }
    char host[UV_MAXHOSTNAMESIZE];
    size_t size = sizeof(host);
    int status = uv_os_gethostname(host, &size);
    if (status != 0)
        return status;
    snprintf(a->name, sizeof(a->name), "%.*s", WST_NAME_MAX, host);
    for (char *c = a->name; *c != '\0'; c++)
        if (!name_is_valid((char[]){*c, '\0'}))
            *c = '-';
    return a->name[0] != '\0' ? 0 : WST_EINVAL;
}

/* How many URLs there are; 0: none, or they are given in both ways, or too many. */
static size_t count_urls(const wst_agent_options_t *o) {
    size_t n = 0;
    if (o->urls == NULL || o->url != NULL)
        return o->urls == NULL && o->url != NULL;
    while (n <= URLS_MAX && o->urls[n] != NULL)
        n++;
    return n <= URLS_MAX ? n : 0;
}

/* The system's trust store, if a site has read it. */
static wst_tls_config_t *shared_trust(const wst_agent_t *a) {
    for (size_t i = 0; i < a->site_count; i++)
        if (a->sites[i].endpoint.tls != NULL)
            return a->sites[i].endpoint.tls;
    return NULL;
}

static int init_sites(wst_agent_t *a) {
    const wst_agent_options_t *o = &a->o;
    size_t count = count_urls(o);
    int status = 0;
    a->sites = wst__zalloc(&a->node.ctx->allocator, count * sizeof(*a->sites));
    if (a->sites == NULL)
        return WST_ENOMEM;
    for (size_t i = 0; i < count && status == 0; i++) {
        const wst__site_options_t options = {.owner = a,
                                             .url = o->urls != NULL ? o->urls[i] : o->url,
                                             .tls = o->tls,
                                             .trust = shared_trust(a),
                                             .sni = o->sni,
                                             .proxy = o->proxy,
                                             .host = o->host,
                                             .fields = o->fields,
                                             .connections = o->connections,
                                             .all_addresses = o->all_addresses,
                                             .on_failed = on_site_failed};
        status = wst__site_init(&a->sites[a->site_count++], a->node.ctx, &options);
    }
    return status;
}

/* Sets our name and what it takes to reach the servers. */
static int init_agent(wst_agent_t *a) {
    const wst_agent_options_t *o = &a->o;
    if (!wst__uplink_windows_valid(o->stream_window, o->stream_window_max) ||
        o->connections > CONNECTIONS_MAX)
        return WST_EINVAL;
    int status = choose_name(a);
    return status == 0 ? init_sites(a) : status;
}

static void init_egress(wst_agent_t *a) {
    const wst_agent_options_t *o = &a->o;
    const wst__egress_options_t options = {
        .role = "agent",
        .name = a->name,
        .opener = "wstunnel-agent --allow",
        .max_streams = o->max_streams,
        .max_pending = o->max_pending,
        .timeout_ms = o->connect_timeout_ms,
        .dial_timeout_ms = o->dial_timeout_ms,
        .half_closed_timeout_ms = o->half_closed_timeout_ms,
        .on_destination = a->callbacks.on_destination != NULL ? on_destination : NULL,
        .on_dial = a->callbacks.on_dial != NULL ? on_dial : NULL,
        .on_stream_open = a->callbacks.on_stream_open != NULL ? on_stream_open : NULL,
        .on_stream_close = on_stream_close,
        .user_data = a,
    };
    wst__egress_init(&a->egress, &a->node, &options);
    a->egress.rules = o->rules;
}

/* Sets the options of each uplink. 0 or libuv's error. */
static int init_uplink(wst_agent_t *a, wst__uplink_options_t *uplink) {
    const wst_agent_options_t *o = &a->o;
    *uplink = (wst__uplink_options_t){
        .encoding = o->encoding,
        .hello = {.name = {a->name, strlen(a->name)},
                  .has_instance = true,
                  .networks = true,
                  .max_streams = o->max_streams,
                  .initial_credit = o->stream_window},
        .single = o->spare_connections == 1,
        .resumes = !o->no_resume && o->protocol == WST_PROTOCOL_WSTUNNEL,
        .window_max = o->stream_window_max,
        .hello_timeout_ms = o->connect_timeout_ms,
        .ping_interval_ms = o->ping_interval_ms,
        .dead_after_ms = o->dead_after_ms,
        .half_closed_timeout_ms = o->half_closed_timeout_ms,
    };
    return wst__random(a->node.ctx, uplink->hello.instance, sizeof(uplink->hello.instance));
}

static int start_sites(wst_agent_t *a, const wst__uplink_kind_t *kind) {
    const wst_agent_options_t *o = &a->o;
    wst__slot_options_t options = {
        .node = &a->node,
        .egress = &a->egress,
        .kind = kind,
        .next_conn = &a->next_conn,
        .several = o->connections > 1 || a->site_count > 1 || o->all_addresses,
        .spare = o->spare_connections,
        .timeout_ms = o->connect_timeout_ms,
        .backoff_min_ms = o->backoff_min_ms,
        .backoff_max_ms = o->backoff_max_ms,
        .on_credentials = a->callbacks.on_credentials != NULL ? on_slot_credentials : NULL,
        .probe_after_ms = o->probe_after_ms,
        .max_age_ms = o->max_age_ms,
        .on_connection = on_slot_connection,
        .on_up = on_slot_up,
        .on_suspended = on_slot_suspended,
        .on_resumed = on_slot_resumed,
        .on_down = on_slot_down,
    };
    int status = init_uplink(a, &options.uplink);
    for (size_t i = 0; i < a->site_count && status == 0; i++)
        wst__site_start(&a->sites[i], &options);
    return status;
}

/* Forgets pointers to the caller's data: what is still needed has been copied. */
static void forget_texts(wst_agent_options_t *o) {
    o->url = o->name = o->sni = o->host = o->fields = NULL;
    o->urls = NULL;
    o->proxy = NULL;
    o->tls = NULL;
    o->callbacks = NULL;
}

int wst_agent_new(wst_agent_t **out, wst_ctx_t *ctx, const wst_agent_options_t *given) {
    wst_agent_options_t options;
    wst_agent_callbacks_t callbacks;
    if (wst__sized_read(&options, sizeof(options), given) != 0 ||
        wst__sized_read(&callbacks, sizeof(callbacks), options.callbacks) != 0)
        return WST_EINVAL;
    const wst__uplink_kind_t *kind = wst__uplink_kind(options.protocol);
    if (kind == NULL)
        wst_ctx_log(ctx, WST_LOG_ERROR, "that protocol has not been built in");
    if (count_urls(&options) == 0 || kind == NULL)
        return WST_EINVAL;
    wst_agent_t *a = wst__zalloc(&ctx->allocator, sizeof(*a));
    if (a == NULL)
        return WST_ENOMEM;
    a->magic = MAGIC;
    a->o = options;
    a->callbacks = callbacks;
    set_defaults(&a->o);
    wst__node_init(&a->node, ctx, on_agent_drained, on_agent_closed);
    int status = init_agent(a);
    init_egress(a);
    if (status == 0)
        status = start_sites(a, kind);
    if (status == 0)
        wst__wake_init(&a->wake, &a->node, on_wake);
    if (status != 0) {
        wst__node_undo(&a->node);
        free_agent(a);
        return status;
    }
    forget_texts(&a->o);
    *out = a;
    return 0;
}

void wst_agent_drain(wst_agent_t *a) {
    wst__node_drain(&a->node, a->o.drain_timeout_ms);
}

void wst_agent_close(wst_agent_t *a, wst_close_cb close_cb) {
    if (a->node.state == WST__NODE_CLOSING)
        return;
    a->close_cb = close_cb;
    wst__node_close(&a->node);
}

/* Questions and settings --------------------------------------------------------------------- */

const char *wst_agent_name(const wst_agent_t *a) {
    return a->name;
}

bool wst_agent_is_up(const wst_agent_t *a) {
    for (size_t i = 0; i < a->site_count; i++)
        if (wst__site_is_up(&a->sites[i]))
            return true;
    return false;
}

bool wst_agent_is_draining(const wst_agent_t *a) {
    return a->node.state != WST__NODE_RUNNING;
}

size_t wst_agent_streams(const wst_agent_t *a) {
    return a->egress.streams.count;
}

int wst_agent_get_stats(const wst_agent_t *a, wst_agent_stats_t *stats) {
    const wst__egress_t *e = &a->egress;
    wst_agent_stats_t now = {.size = sizeof(now),
                             .streams = e->streams.count,
                             .pending = e->pending.count,
                             .streams_opened = e->opened,
                             .streams_refused = e->refused,
                             .suspensions = a->suspensions,
                             .resumes = a->resumes};
    wst__egress_bytes(e, &now.bytes_to_destinations, &now.bytes_to_server);
    return wst__sized_write(stats, &now);
}

bool wst_agent_connection(const wst_agent_t *a, size_t n, wst_agent_connection_status_t *status) {
    wst_agent_connection_status_t now = {.size = sizeof(now)};
    for (size_t i = 0; i < a->site_count; i++)
        if (wst__site_describe(&a->sites[i], &n, &now))
            return wst__sized_write(status, &now) == 0;
    return false;
}

void wst_agent_reconnect(wst_agent_t *a) {
    for (size_t i = 0; i < a->site_count; i++)
        wst__site_reconnect(&a->sites[i]);
}

/* The first site with wss://, or with ws://; NULL: none. */
static wst__site_t *find_site(const wst_agent_t *a, bool secure) {
    for (size_t i = 0; i < a->site_count; i++)
        if (a->sites[i].endpoint.secure == secure)
            return &a->sites[i];
    return NULL;
}

int wst_agent_set_tls(wst_agent_t *a, wst_tls_config_t *tls) {
    /* What can fail comes first, and is done once. */
    wst__site_t *insecure = find_site(a, false), *first = find_site(a, true);
    if (tls != NULL && insecure != NULL)
        return wst__endpoint_set_tls(&insecure->endpoint, tls);
    int status = first != NULL ? wst__endpoint_set_tls(&first->endpoint, tls) : 0;
    for (size_t i = 0; i < a->site_count && status == 0; i++) {
        wst__endpoint_t *e = &a->sites[i].endpoint;
        if (e->secure && e != &first->endpoint)
            status = wst__endpoint_set_tls(e, first->endpoint.tls);
    }
    return status;
}

void wst_agent_set_rules(wst_agent_t *a, const wst_rules_t *rules) {
    a->egress.rules = rules;
}

int wst_agent_guard(wst_agent_t *a, const char *address) {
    return wst__egress_guard(&a->egress, address);
}

int wst_agent_end_stream(wst_agent_t *a, uint64_t id) {
    return wst__egress_end(&a->egress, id);
}

/* Walks -------------------------------------------------------------------------------------- */

struct wst_agent_walk {
    wst_ctx_t *ctx;
    wst__egress_walk_t streams;
};

int wst_agent_walk_new(wst_agent_walk_t **out, wst_agent_t *a) {
    wst_agent_walk_t *w = wst__zalloc(&a->node.ctx->allocator, sizeof(*w));
    if (w == NULL)
        return WST_ENOMEM;
    w->ctx = a->node.ctx;
    wst__egress_walk_begin(&w->streams, &a->egress);
    *out = w;
    return 0;
}

typedef struct visitor {
    wst_agent_visit_cb visit;
    void *user_data;
} visitor_t;

static void on_seen(const wst__egress_seen_t *seen, void *user_data) {
    const visitor_t *v = user_data;
    const wst_agent_stream_info_t info = {.size = sizeof(info),
                                          .destination = seen->destination,
                                          .reason = "",
                                          .bytes_to_destination = seen->bytes_to_destination,
                                          .bytes_to_server = seen->bytes_from_destination,
                                          .id = seen->id,
                                          .age_ms = seen->age_ms,
                                          .state = seen->state};
    v->visit(&info, v->user_data);
}

bool wst_agent_walk_next(wst_agent_walk_t *w, size_t max, wst_agent_visit_cb visit,
                         void *user_data) {
    visitor_t v = {visit, user_data};
    return wst__egress_walk_next(&w->streams, max, on_seen, &v);
}

void wst_agent_walk_free(wst_agent_walk_t *w) {
    if (w == NULL)
        return;
    wst__egress_walk_end(&w->streams);
    wst__free(&w->ctx->allocator, w);
}
