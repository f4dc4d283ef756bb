/* SPDX-License-Identifier: MIT */
/* The agent: a node whose parts are an egress and the slots that keep uplinks to its server. */
#include "defaults.h"
#include "egress.h"
#include "session.h"
#include "sized.h"
#include "slot.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <wstunnel/agent.h>

enum { MAGIC = 0x57534147, SLOTS = 1 };

struct wst_agent {
    uint32_t magic;
    wst__node_t node;
    wst_agent_options_t o; /* with defaults filled in */
    wst_agent_callbacks_t callbacks;
    char name[WST_NAME_MAX + 1];
    wst__endpoint_t endpoint;
    wst__upgrade_t upgrade;
    wst__egress_t egress;
    wst__slot_options_t slot_options;
    wst__slot_t slots[SLOTS];
    wst_close_cb close_cb;
};

static wst_agent_t *checked_agent(void *user_data) {
    wst_agent_t *a = user_data;
    assert(a->magic == MAGIC);
    return a;
}

/* Callbacks of the parts --------------------------------------------------------------------- */

static void on_slot_credentials(wst_request_t *request, void *user_data) {
    wst_agent_t *a = checked_agent(user_data);
    a->callbacks.on_credentials(a, request, a->o.user_data);
}

static void on_destination(wst_request_t *request, void *user_data) {
    wst_agent_t *a = checked_agent(user_data);
    a->callbacks.on_destination(a, request, a->o.user_data);
}

static void on_dial(wst_request_t *request, void *user_data) {
    wst_agent_t *a = checked_agent(user_data);
    a->callbacks.on_dial(a, request, a->o.user_data);
}

static void on_slot_up(void *user_data) {
    wst_agent_t *a = checked_agent(user_data);
    if (a->callbacks.on_up != NULL)
        a->callbacks.on_up(a, a->o.user_data);
}

static void on_slot_down(const wst_agent_failure_t *failure, void *user_data) {
    wst_agent_t *a = checked_agent(user_data);
    if (a->callbacks.on_down != NULL)
        a->callbacks.on_down(a, failure, a->o.user_data);
}

static void on_stream_open(const char *destination, int status, void *user_data) {
    wst_agent_t *a = checked_agent(user_data);
    const wst_agent_stream_info_t info = {
        .size = sizeof(info), .destination = destination, .status = status};
    if (a->callbacks.on_stream_open != NULL)
        a->callbacks.on_stream_open(a, &info, a->o.user_data);
}

static void on_stream_close(const char *destination, uint64_t bytes_to_destination,
                            uint64_t bytes_from_destination, int status, void *user_data) {
    wst_agent_t *a = checked_agent(user_data);
    const wst_agent_stream_info_t info = {.size = sizeof(info),
                                          .destination = destination,
                                          .status = status,
                                          .bytes_to_destination = bytes_to_destination,
                                          .bytes_to_server = bytes_from_destination};
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
    wst__endpoint_free(&a->endpoint);
    wst__upgrade_free(&a->upgrade);
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
    o->max_streams = (uint32_t)or_default(o->max_streams, WST__MAX_STREAMS);
    o->max_pending = (size_t)or_default(o->max_pending, WST__MAX_PENDING_DESTINATIONS);
    o->spare_connections = (size_t)or_default(o->spare_connections, WST__SPARE_CONNECTIONS);
    o->stream_window = (size_t)or_default(o->stream_window, WST__STREAM_WINDOW);
    o->stream_window_max = (size_t)or_default(o->stream_window_max, WST__STREAM_WINDOW_MAX);
    o->dial_timeout_ms = or_default(o->dial_timeout_ms, WST__STEP_TIMEOUT_MS);
    o->connect_timeout_ms = or_default(o->connect_timeout_ms, WST__STEP_TIMEOUT_MS);
    o->half_closed_timeout_ms = or_default(o->half_closed_timeout_ms, WST__HALF_CLOSED_TIMEOUT_MS);
    o->backoff_min_ms = or_default(o->backoff_min_ms, WST__BACKOFF_MIN_MS);
    o->backoff_max_ms = or_default(o->backoff_max_ms, WST__BACKOFF_MAX_MS);
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

/* Sets what it takes to reach the server: our name, the upgrade request, the endpoint. */
static int init_target(wst_agent_t *a) {
    wst_ctx_t *ctx = a->node.ctx;
    const wst_agent_options_t *o = &a->o;
    wst__url_t url;
    const char *why = "";
    int status = wst__url_parse(&url, o->url, &why);
    if (status != 0) {
        wst_ctx_log(ctx, WST_LOG_ERROR, "server URL: %s", why);
        return status;
    }
    if (!wst__uplink_windows_valid(o->stream_window, o->stream_window_max))
        return WST_EINVAL;
    status = choose_name(a);
    if (status == 0)
        status = wst__upgrade_init(&a->upgrade, ctx, &url, o->host, o->fields);
    const wst__endpoint_options_t options = {
        .url = &url, .tls = o->tls, .sni = o->sni, .proxy = o->proxy};
    return status == 0 ? wst__endpoint_init(&a->endpoint, ctx, &options) : status;
}

static void init_egress(wst_agent_t *a) {
    const wst_agent_options_t *o = &a->o;
    const wst__egress_options_t options = {
        .role = "agent",
        .name = a->name,
        .max_streams = o->max_streams,
        .max_pending = o->max_pending,
        .timeout_ms = o->connect_timeout_ms,
        .dial_timeout_ms = o->dial_timeout_ms,
        .half_closed_timeout_ms = o->half_closed_timeout_ms,
        .on_destination = a->callbacks.on_destination != NULL ? on_destination : NULL,
        .on_dial = a->callbacks.on_dial != NULL ? on_dial : NULL,
        .on_stream_open = on_stream_open,
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
                  .max_streams = o->max_streams,
                  .initial_credit = o->stream_window},
        .single = o->spare_connections == 1,
        .window_max = o->stream_window_max,
        .hello_timeout_ms = o->connect_timeout_ms,
        .ping_interval_ms = o->ping_interval_ms,
        .dead_after_ms = o->dead_after_ms,
        .half_closed_timeout_ms = o->half_closed_timeout_ms,
    };
    return wst__random(a->node.ctx, uplink->hello.instance, sizeof(uplink->hello.instance));
}

static int init_slots(wst_agent_t *a, const wst__uplink_kind_t *kind) {
    const wst_agent_options_t *o = &a->o;
    a->slot_options = (wst__slot_options_t){
        .node = &a->node,
        .egress = &a->egress,
        .kind = kind,
        .endpoint = &a->endpoint,
        .upgrade = &a->upgrade,
        .spare = o->spare_connections,
        .timeout_ms = o->connect_timeout_ms,
        .backoff_min_ms = o->backoff_min_ms,
        .backoff_max_ms = o->backoff_max_ms,
        .on_credentials = a->callbacks.on_credentials != NULL ? on_slot_credentials : NULL,
        .on_up = on_slot_up,
        .on_down = on_slot_down,
        .user_data = a,
    };
    int status = init_uplink(a, &a->slot_options.uplink);
    if (status != 0)
        return status;
    for (uint32_t i = 0; i < SLOTS; i++)
        wst__slot_init(&a->slots[i], &a->slot_options, i);
    return 0;
}

/* Forgets pointers to the caller's data: what is still needed has been copied. */
static void forget_texts(wst_agent_options_t *o) {
    o->url = o->name = o->sni = o->host = o->fields = NULL;
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
    if (options.url == NULL || kind == NULL)
        return WST_EINVAL;
    wst_agent_t *a = wst__zalloc(&ctx->allocator, sizeof(*a));
    if (a == NULL)
        return WST_ENOMEM;
    a->magic = MAGIC;
    a->o = options;
    a->callbacks = callbacks;
    set_defaults(&a->o);
    wst__node_init(&a->node, ctx, on_agent_drained, on_agent_closed);
    int status = init_target(a);
    init_egress(a);
    if (status == 0)
        status = init_slots(a, kind);
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
    for (size_t i = 0; i < SLOTS; i++)
        if (a->slots[i].is_up)
            return true;
    return false;
}

size_t wst_agent_streams(const wst_agent_t *a) {
    return a->egress.streams.count;
}

int wst_agent_set_tls(wst_agent_t *a, wst_tls_config_t *tls) {
    return wst__endpoint_set_tls(&a->endpoint, tls);
}

void wst_agent_set_rules(wst_agent_t *a, const wst_rules_t *rules) {
    a->egress.rules = rules;
}
