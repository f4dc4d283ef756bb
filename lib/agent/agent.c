/* SPDX-License-Identifier: MIT */
/*
 * The agent: keeps a session with its server, for ever.
 *
 *     WAITING -> ASKING -> DIALLING -> CONNECTING -> UP
 *        ^----------------------------------------- | any failure: backoff, and again
 *
 * There is no state in which nothing is going to happen: each one has a deadline, its own or that
 * of what it waits for. In the talk's protocol an attempt makes one more connection that waits
 * (agent_talk.c): it ends in WAITING, where the agent rests as long as there are enough.
 */
#include "agent.h"
#include "session.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <wstunnel/websocket.h>

enum { MAGIC = 0x57534147 };

static void attempt(wst__deadline_t *deadline, uint64_t now_ms);

static wst_agent_t *self(void *user_data) {
    wst_agent_t *a = user_data;
    assert(a->magic == MAGIC);
    return a;
}

/* -- The end ---------------------------------------------------------------------------------- */

static void destroy(wst_agent_t *a) {
    wst_ctx_t *ctx = a->node.ctx;
    wst__deadline_clear(&ctx->deadlines, &a->retry);
    wst__endpoint_free(&a->endpoint);
    wst__upgrade_free(&a->upgrade);
    wst__free_secret(&ctx->allocator, a->fields);
    a->magic = 0;
    wst__free(&ctx->allocator, a);
}

static void on_node_closed(wst__node_t *node) {
    wst_agent_t *a = WST__CONTAINER(node, wst_agent_t, node);
    if (a->close_cb != NULL)
        a->close_cb(a->o.user_data);
    destroy(a);
}

static void on_drained(wst__node_t *node) {
    wst_agent_t *a = WST__CONTAINER(node, wst_agent_t, node);
    if (a->o.callbacks.on_drained != NULL)
        a->o.callbacks.on_drained(a, a->o.user_data);
}

static bool is_draining(const wst_agent_t *a) {
    return a->node.state == WST__NODE_DRAINING || a->node.state == WST__NODE_DRAINED;
}

/* Draining: with the last stream goes the uplink. */
static void leave_if_drained(wst_agent_t *a) {
    if (is_draining(a) && a->egress.streams.count == 0 && a->phase == WST__AGENT_UP)
        a->uplink->ops->end(a->uplink, 1001, "drained", false);
}

static void on_streams(wst__tally_t *streams) {
    leave_if_drained(WST__CONTAINER(streams, wst_agent_t, egress.streams));
}

void wst__agent_uplink_made(wst_agent_t *a) {
    if (a->uplinks++ == 0)
        wst__ticket_take(&a->hold, &a->node.holds);
}

void wst__agent_uplink_gone(wst_agent_t *a) {
    if (--a->uplinks == 0)
        wst__ticket_give_back(&a->hold);
}

static void on_closed(void *user_data) {
    wst__agent_uplink_gone(self(user_data));
}

static void close_uplink(wst_agent_t *a) {
    wst__ticket_give_back(&a->busy);
    if (a->uplink != NULL)
        a->uplink->ops->close(a->uplink);
    a->uplink = NULL;
}

/* -- Failing and trying again ----------------------------------------------------------------- */

/* Full jitter: any time up to the bound, so that a fleet does not come back all at once. */
static uint64_t backoff_ms(wst_agent_t *a) {
    uint64_t bound = a->o.backoff_min_ms, random = 0;
    for (unsigned i = 0; i < a->failures && bound < a->o.backoff_max_ms; i++)
        bound = bound <= UINT64_MAX / 2 ? bound * 2 : UINT64_MAX;
    if (bound > a->o.backoff_max_ms)
        bound = a->o.backoff_max_ms;
    if (wst__random(a->node.ctx, &random, sizeof(random)) != 0)
        return bound;
    return random % bound;
}

void wst__agent_attempt_in(wst_agent_t *a, uint64_t delay_ms) {
    wst__deadline_in(a->node.ctx, &a->retry, delay_ms, attempt);
}

void wst__agent_fail(wst_agent_t *a, int error, int http_status, const char *detail) {
    uint64_t now_ms = wst__now(a->node.ctx);
    if (a->phase == WST__AGENT_UP && now_ms - a->up_since_ms >= a->o.backoff_max_ms)
        a->failures = 0;
    a->phase = WST__AGENT_WAITING;
    a->up_told = false;
    close_uplink(a);
    if (is_draining(a))
        return;
    if (a->failures < 64) /* by then any bound has been reached */
        a->failures++;
    const bool refused = error == WST_EPROXYAUTH ||
                         (error != WST_EPROXY && (http_status == 401 || http_status == 403));
    const wst_agent_failure_t failure = {.error = error,
                                         .http_status = http_status,
                                         .refused = refused,
                                         .detail = detail[0] != '\0' ? detail : wst_strerror(error),
                                         .retry_in_ms =
                                             refused ? a->o.backoff_max_ms : backoff_ms(a)};
    wst__agent_attempt_in(a, failure.retry_in_ms);
    wst__log(a->node.ctx, WST_LOG_WARN, "server %s: %s; next attempt in %llu ms",
             a->endpoint.authority, failure.detail, (unsigned long long)failure.retry_in_ms);
    if (a->o.callbacks.on_down != NULL)
        a->o.callbacks.on_down(a, &failure, a->o.user_data);
}

/* -- The uplink ------------------------------------------------------------------------------- */

static int on_up(wst__uplink_t *uplink, const wst_hello_t *hello, void *user_data) {
    (void)uplink;
    (void)hello;
    wst_agent_t *a = self(user_data);
    a->phase = WST__AGENT_UP;
    a->up_since_ms = wst__now(a->node.ctx);
    wst__ticket_take(&a->busy, &a->node.busy);
    wst__log(a->node.ctx, WST_LOG_INFO, "connected to %s as %s", a->endpoint.authority, a->name);
    if (a->o.callbacks.on_up != NULL)
        a->o.callbacks.on_up(a, a->o.user_data);
    return 0;
}

static void on_incoming(wst__uplink_t *uplink, wst__incoming_t *incoming, wst_str_t dest,
                        void *user_data) {
    (void)uplink;
    wst__egress_take(&self(user_data)->egress, incoming, dest);
}

static void on_goaway(wst__uplink_t *uplink, int reason, void *user_data) {
    (void)uplink;
    wst_agent_t *a = self(user_data);
    wst__log(a->node.ctx, WST_LOG_INFO, "the server takes no more streams: %s",
             wst_strerror(reason));
}

static void on_down(wst__uplink_t *uplink, int error, int http_status, const char *detail,
                    void *user_data) {
    (void)uplink;
    wst__agent_fail(self(user_data), error != 0 ? error : WST_EWSCLOSED, http_status, detail);
}

static const wst__uplink_callbacks_t callbacks = {.on_up = on_up,
                                                  .on_incoming = on_incoming,
                                                  .on_goaway = on_goaway,
                                                  .on_down = on_down,
                                                  .on_closed = on_closed};

/* Makes the uplink, on a stream which is taken on success. */
static int connect_uplink(wst_agent_t *a, wst_stream_t *stream,
                          const wst_websocket_options_t *websocket) {
    wst__uplink_options_t options = {.callbacks = &callbacks,
                                     .user_data = a,
                                     .encoding = a->o.encoding,
                                     .window_max = a->o.stream_window_max,
                                     .hello_timeout_ms = a->o.connect_timeout_ms,
                                     .ping_interval_ms = a->o.ping_interval_ms,
                                     .dead_after_ms = a->o.dead_after_ms};
    wst_hello_t *hello = &options.hello;
    hello->name = (wst_str_t){a->name, strlen(a->name)};
    memcpy(hello->instance, a->instance, sizeof(hello->instance));
    hello->has_instance = true;
    hello->epoch = a->epoch;
    hello->max_streams = a->o.max_streams;
    hello->initial_credit = a->o.stream_window;
    int status = a->kind->connect(&a->uplink, a->node.ctx, stream, websocket, &options);
    if (status == 0)
        wst__agent_uplink_made(a);
    return status;
}

/* -- An attempt ------------------------------------------------------------------------------- */

static int connect_websocket(wst_agent_t *a, wst_stream_t *stream) {
    char *fields = wst__upgrade_fields(&a->upgrade, a->fields);
    if (fields == NULL)
        return WST_ENOMEM;
    wst_websocket_options_t options = {.open_timeout_ms = a->o.connect_timeout_ms,
                                       .host = a->upgrade.host,
                                       .path = a->upgrade.path,
                                       .fields = fields};
    int status = a->o.protocol == WST_PROTOCOL_TALK ? wst__agent_talk_connect(a, stream, &options)
                                                    : connect_uplink(a, stream, &options);
    wst__free_secret(&a->node.ctx->allocator, fields);
    return status;
}

static void on_reached(wst_stream_t *stream, const wst__reach_failure_t *failure, void *user_data) {
    wst_agent_t *a = self(user_data);
    a->reach = NULL;
    if (stream == NULL) {
        wst__agent_fail(a, failure->error, failure->http_status, failure->detail);
        return;
    }
    a->phase = WST__AGENT_CONNECTING;
    int status = connect_websocket(a, stream);
    if (status == 0)
        return;
    wst_stream_close(stream, NULL);
    wst__agent_fail(a, status, 0,
                    status == WST_EINVAL ? "the fields given are not complete lines" : "");
}

static void reach(wst_agent_t *a) {
    a->phase = WST__AGENT_DIALLING;
    int status = wst__reach(&a->reach, &a->endpoint, a->o.connect_timeout_ms, on_reached, a);
    if (status != 0)
        wst__agent_fail(a, status, 0, "");
}

static void on_credentials(const wst__answer_t *answer, void *user_data) {
    wst_agent_t *a = self(user_data);
    a->question = NULL;
    if (answer->stream != NULL) /* no answer to this question */
        wst_stream_close(answer->stream, NULL);
    if (answer->kind != WST__ALLOWED) {
        bool late = answer->kind == WST__UNANSWERED;
        wst__agent_fail(a, late ? WST_ETIMEOUT : WST_ECANCELLED, 0,
                        late                     ? "no credentials in time"
                        : answer->reason != NULL ? answer->reason
                                                 : "no credentials");
        return;
    }
    wst__free_secret(&a->node.ctx->allocator, a->fields);
    a->fields = wst__strdup(&a->node.ctx->allocator, answer->fields);
    if (answer->fields != NULL && a->fields == NULL)
        wst__agent_fail(a, WST_ENOMEM, 0, "");
    else
        reach(a);
}

static void attempt(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    wst_agent_t *a = WST__CONTAINER(deadline, wst_agent_t, retry);
    a->epoch++;
    if (a->o.callbacks.on_credentials == NULL) {
        reach(a);
        return;
    }
    a->phase = WST__AGENT_ASKING;
    const wst__ask_t ask = {.peer = a->endpoint.authority,
                            .timeout_ms = a->o.connect_timeout_ms,
                            .on_answer = on_credentials,
                            .user_data = a};
    int status = wst__request_new(&a->question, a->node.ctx, &ask);
    if (status != 0)
        wst__agent_fail(a, status, 0, "");
    else
        a->o.callbacks.on_credentials(a, a->question, a->o.user_data);
}

/* -- The part --------------------------------------------------------------------------------- */

/* Ends an attempt that has not come as far as an uplink. */
static void cancel_attempt(wst_agent_t *a) {
    wst__deadline_clear(&a->node.ctx->deadlines, &a->retry);
    if (a->question != NULL)
        wst__request_cancel(a->question);
    a->question = NULL;
    if (a->reach != NULL)
        wst__reach_cancel(a->reach);
    a->reach = NULL;
}

static void drain_uplinks(wst__part_t *part) {
    wst_agent_t *a = WST__CONTAINER(part, wst_agent_t, part);
    cancel_attempt(a);
    if (a->phase == WST__AGENT_UP) {
        a->uplink->ops->goaway(a->uplink);
    } else {
        close_uplink(a);
        wst__agent_talks_end(a);
        a->phase = WST__AGENT_WAITING;
    }
    leave_if_drained(a);
}

static void close_uplinks(wst__part_t *part) {
    wst_agent_t *a = WST__CONTAINER(part, wst_agent_t, part);
    cancel_attempt(a);
    wst__agent_talks_close(a);
    close_uplink(a);
    a->phase = WST__AGENT_WAITING;
}

/* -- What the egress asks and tells ----------------------------------------------------------- */

static void on_destination(wst_request_t *request, void *user_data) {
    wst_agent_t *a = self(user_data);
    a->o.callbacks.on_destination(a, request, a->o.user_data);
}

static void on_dial(wst_request_t *request, void *user_data) {
    wst_agent_t *a = self(user_data);
    a->o.callbacks.on_dial(a, request, a->o.user_data);
}

static void on_stream_open(const char *destination, int status, void *user_data) {
    wst_agent_t *a = self(user_data);
    if (a->o.callbacks.on_stream_open != NULL)
        a->o.callbacks.on_stream_open(a, destination, status, a->o.user_data);
}

static void on_stream_close(const char *destination, uint64_t bytes_to_destination,
                            uint64_t bytes_from_destination, int status, void *user_data) {
    wst_agent_t *a = self(user_data);
    if (a->o.callbacks.on_stream_close != NULL)
        a->o.callbacks.on_stream_close(a, destination, bytes_to_destination, bytes_from_destination,
                                       status, a->o.user_data);
}

/* -- Public ----------------------------------------------------------------------------------- */

static uint64_t or_default(uint64_t value, uint64_t fallback) {
    return value != 0 ? value : fallback;
}

static bool name_is_valid(const char *name) {
    size_t len = strlen(name);
    return len >= 1 && len <= WST_NAME_MAX &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == len;
}

/* The name given, or the host's with what a name may not hold replaced. */
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

static void set_defaults(wst_agent_options_t *o) {
    o->max_streams = (uint32_t)or_default(o->max_streams, WST__MAX_STREAMS);
    o->max_pending = (size_t)or_default(o->max_pending, 256);
    o->spare_connections = (size_t)or_default(o->spare_connections, 1);
    o->stream_window = (size_t)or_default(o->stream_window, WST__INITIAL_CREDIT);
    o->stream_window_max = (size_t)or_default(o->stream_window_max, WST__WINDOW_MAX);
    o->dial_timeout_ms = or_default(o->dial_timeout_ms, 10000);
    o->connect_timeout_ms = or_default(o->connect_timeout_ms, 10000);
    o->half_closed_timeout_ms = or_default(o->half_closed_timeout_ms, 600000);
    o->backoff_min_ms = or_default(o->backoff_min_ms, 500);
    o->backoff_max_ms = or_default(o->backoff_max_ms, 30000);
    o->drain_timeout_ms = or_default(o->drain_timeout_ms, 30000);
}

/* The server, and how it is reached. */
static int init_target(wst_agent_t *a) {
    const wst_agent_options_t *o = &a->o;
    wst__url_t url;
    const char *why = "";
    int status = wst__url_parse(&url, o->url, &why);
    if (status != 0) {
        wst__log(a->node.ctx, WST_LOG_ERROR, "server URL: %s", why);
        return status;
    }
    if (!wst__uplink_windows_valid(o->stream_window, o->stream_window_max))
        return WST_EINVAL;
    status = choose_name(a);
    if (status == 0)
        status = wst__upgrade_init(&a->upgrade, a->node.ctx, &url, o->host, o->fields);
    const wst__endpoint_options_t options = {
        .url = &url, .tls = o->tls, .sni = o->sni, .proxy = o->proxy};
    return status == 0 ? wst__endpoint_init(&a->endpoint, a->node.ctx, &options) : status;
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
        .on_destination = o->callbacks.on_destination != NULL ? on_destination : NULL,
        .on_dial = o->callbacks.on_dial != NULL ? on_dial : NULL,
        .on_stream_open = on_stream_open,
        .on_stream_close = on_stream_close,
        .user_data = a,
    };
    wst__egress_init(&a->egress, &a->node, &options);
    a->egress.rules = o->rules;
    a->egress.streams.changed = on_streams;
}

/* What these point to is the caller's, and has been copied where it is needed. */
static void forget_texts(wst_agent_options_t *o) {
    o->url = o->name = o->sni = o->host = o->fields = NULL;
    o->proxy = NULL;
    o->tls = NULL;
}

int wst_agent_new(wst_agent_t **out, wst_ctx_t *ctx, const wst_agent_options_t *options) {
    const wst__uplink_kind_t *kind = wst__uplink_kind(options->protocol);
    if (kind == NULL)
        wst__log(ctx, WST_LOG_ERROR, "that protocol has not been built in");
    if (options->url == NULL || kind == NULL)
        return WST_EINVAL;
    wst_agent_t *a = wst__zalloc(&ctx->allocator, sizeof(*a));
    if (a == NULL)
        return WST_ENOMEM;
    a->magic = MAGIC;
    a->kind = kind;
    a->o = *options;
    set_defaults(&a->o);
    a->part = (wst__part_t){.drain = drain_uplinks, .close = close_uplinks};
    wst__list_init(&a->talks);
    wst__node_init(&a->node, ctx, on_drained, on_node_closed);
    init_egress(a);
    wst__node_add(&a->node, &a->part);
    int status = init_target(a);
    if (status == 0)
        status = wst__random(ctx, a->instance, sizeof(a->instance));
    if (status != 0) {
        wst__node_undo(&a->node);
        destroy(a);
        return status;
    }
    forget_texts(&a->o);
    wst__agent_attempt_in(a, 0);
    *out = a;
    return 0;
}

int wst_agent_set_tls(wst_agent_t *a, wst_tls_config_t *tls) {
    return wst__endpoint_set_tls(&a->endpoint, tls);
}

void wst_agent_set_rules(wst_agent_t *a, const wst_rules_t *rules) {
    a->egress.rules = rules;
}

const char *wst_agent_name(const wst_agent_t *a) {
    return a->name;
}

bool wst_agent_is_up(const wst_agent_t *a) {
    return a->phase == WST__AGENT_UP || a->up_told;
}

size_t wst_agent_streams(const wst_agent_t *a) {
    return a->egress.streams.count;
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
