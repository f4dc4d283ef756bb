/* SPDX-License-Identifier: MIT */
/* An agent and its real server: what they tell is noted, questions are answered by policy. */
#include "agent_world.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>

/* Contexts ----------------------------------------------------------------------------------- */

static void on_log(wst_log_level_t level, const char *line, void *user_data) {
    agent_world_t *w = user_data;
    (void)level;
    w->lines++;
    snprintf(w->env.log, sizeof(w->env.log), "%s", line);
    if (strstr(line, AGENT_SECRET) != NULL)
        fail_msg("the log has the secret: %s", line);
}

static void answer_many(agent_world_t *w, wst_lookup_t *lookup) {
    struct sockaddr_storage addresses[sizeof(w->many)] = {0};
    size_t n = 0;
    for (; n < sizeof(w->many) && w->many[n] != 0; n++) {
        struct sockaddr_in *in = (struct sockaddr_in *)&addresses[n];
        in->sin_family = AF_INET;
        in->sin_addr.s_addr = htonl((INADDR_LOOPBACK & 0xffffff00) | w->many[n]);
    }
    w->many_asked++;
    wst_lookup_answer(lookup, w->many_status, w->many_status == 0 ? addresses : NULL, n);
}

/* "none...": not found; "stuck...": no answer; everything else is this machine. */
static void on_resolve(wst_lookup_t *lookup, const char *host, void *user_data) {
    agent_world_t *w = user_data;
    struct sockaddr_storage address = {0};
    struct sockaddr_in *in = (struct sockaddr_in *)&address;
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (strncmp(host, "stuck", 5) == 0) {
        assert_true(w->stuck_count < sizeof(w->stuck) / sizeof(w->stuck[0]));
        w->stuck[w->stuck_count++] = lookup;
    } else if (strcmp(host, "many.test") == 0) {
        answer_many(w, lookup);
    } else if (strncmp(host, "none", 4) == 0) {
        wst_lookup_answer(lookup, UV_EAI_NONAME, NULL, 0);
    } else {
        wst_lookup_answer(lookup, 0, &address, 1);
    }
}

/* An agent denies its host's loopback addresses unless a rule names them. */
static wst_rules_t *make_rules(void) {
    static const char *const all[] = {"*", "127.0.0.0/8", "::1", NULL};
    const wst_rule_t rule = {.size = sizeof(rule), .allow = true, .destinations = all};
    const wst_rules_options_t options = {.size = sizeof(options), .rules = &rule, .count = 1};
    wst_rules_t *rules;
    assert_int_equal(wst_rules_new(&rules, &options, NULL), 0);
    return rules;
}

void agent_world_open(agent_world_t *w) {
    signal(SIGPIPE, SIG_IGN);
    memset(w, 0, sizeof(*w));
    assert_int_equal(uv_loop_init(&w->env.loop), 0);
    const wst_ctx_options_t options = {.size = sizeof(options),
                                       .allocator = &test_allocator,
                                       .log = on_log,
                                       .log_level = WST_LOG_DEBUG,
                                       .resolve = on_resolve,
                                       .user_data = w};
    assert_int_equal(wst_ctx_new(&w->env.ctx, &w->env.loop, &options), 0);
    const wst_ctx_options_t peers = {.size = sizeof(peers), .user_data = w};
    assert_int_equal(wst_ctx_new(&w->peers, &w->env.loop, &peers), 0);
    w->path = "";
    w->fields = "Authorization: Bearer " AGENT_SECRET "\r\n";
    w->options.size = sizeof(w->options);
    w->options.name = "probe";
    w->options.backoff_min_ms = 1;
    w->options.backoff_max_ms = 8;
    w->rules = make_rules();
    w->options.rules = w->rules;
}

static void on_peers_closed(void *user_data) {
    ((agent_world_t *)user_data)->peers_closed++;
}

void agent_world_free(agent_world_t *w) {
    if (w->agent != NULL && !w->close_called)
        agent_world_close_agent(w);
    if (w->agent != NULL)
        agent_world_until_closed(w);
    for (size_t i = 0; i < w->stuck_count; i++)
        wst_lookup_answer(w->stuck[i], UV_EAI_AGAIN, NULL, 0);
    wst_ctx_stats_t stats = {.size = sizeof(stats)};
    wst_ctx_get_stats(w->env.ctx, &stats);
    assert_int_equal(stats.handles, 0);
    assert_int_equal(stats.chunks, 0);
    assert_int_equal(stats.budget_used, 0);
    if (w->server != NULL)
        agent_world_stop_serving(w);
    wst_ctx_close(w->peers, on_peers_closed);
    test_env_until_count(&w->env, &w->peers_closed, 1);
    test_env_close(&w->env);
    assert_int_equal(w->closed, w->agent != NULL);
    wst_rules_free(w->rules);
}

void agent_world_pass(agent_world_t *w, uint64_t ms) {
    wst__deadlines_run(&w->env.ctx->deadlines, wst__now(w->env.ctx) + ms);
}

/* The server --------------------------------------------------------------------------------- */

static void on_agent_up(wst_server_t *server, wst_remote_t *agent, void *user_data) {
    agent_world_t *w = user_data;
    (void)server;
    assert_string_equal(wst_remote_name(agent), w->options.name);
    w->server_ups++;
}

static void on_agent_down(wst_server_t *server, wst_remote_t *agent,
                          const wst_agent_down_info_t *info, void *user_data) {
    agent_world_t *w = user_data;
    (void)server;
    (void)agent;
    w->server_downs++;
    w->down_error = info->error;
}

void agent_world_serve(agent_world_t *w) {
    w->server_callbacks.on_agent_up = on_agent_up;
    w->server_callbacks.on_agent_down = on_agent_down;
    w->server_options.size = sizeof(w->server_options);
    w->server_callbacks.size = sizeof(w->server_callbacks);
    w->server_limits.size = sizeof(w->server_limits);
    w->server_options.callbacks = &w->server_callbacks;
    w->server_options.limits = &w->server_limits;
    w->server_options.user_data = w;
    assert_int_equal(wst_server_new(&w->server, w->peers, &w->server_options), 0);
    const char *address = w->address[0] != '\0' ? w->address : "127.0.0.1:0";
    assert_int_equal(wst_server_listen(w->server, address, 0), 0);
    snprintf(w->address, sizeof(w->address), "%s", wst_server_address(w->server, 0));
}

static void on_server_closed(void *user_data) {
    ((agent_world_t *)user_data)->server_closed++;
}

void agent_world_stop_serving(agent_world_t *w) {
    size_t before = w->server_closed;
    wst_server_close(w->server, on_server_closed);
    w->server = NULL;
    test_env_until_count(&w->env, &w->server_closed, before + 1);
}

/* The agent ---------------------------------------------------------------------------------- */

static void on_closed(void *user_data) {
    agent_world_t *w = user_data;
    assert_false(w->busy);
    assert_null(w->held);
    w->closed++;
    if (w->restart) {
        w->restart = false;
        w->closed = 0;
        w->close_called = false;
        agent_world_start(w);
    }
}

void agent_world_close_agent(agent_world_t *w) {
    bool was_busy = w->busy;
    w->close_called = w->busy = true;
    wst_agent_close(w->agent, on_closed);
    w->busy = was_busy;
}

void agent_world_drain_agent(agent_world_t *w) {
    bool was_busy = w->busy;
    w->busy = true;
    wst_agent_drain(w->agent);
    w->busy = was_busy;
}

/* Each callback begins and ends here. */
static void enter(agent_world_t *w, agent_event_t event) {
    assert_false(w->busy);
    assert_int_equal(w->closed, 0);
    assert_true(!w->close_called || event == AGENT_GONE);
    w->seen[event]++;
}

static void leave(agent_world_t *w, agent_event_t event) {
    if (w->act != NULL)
        w->act(w, event);
    if (w->drain_in == event && !w->close_called)
        agent_world_drain_agent(w);
    if (w->close_in == event && !w->close_called)
        agent_world_close_agent(w);
}

static void on_gone(wst_request_t *request, void *user_data) {
    agent_world_t *w = user_data;
    enter(w, AGENT_GONE);
    if (w->held == request)
        w->held = NULL;
    leave(w, AGENT_GONE);
}

/* The connection, once. */
static void hand_over(agent_world_t *w, wst_request_t *request) {
    wst_stream_t *connection = w->connection;
    w->connection = NULL;
    if (connection != NULL)
        wst_request_connected(request, 0, connection);
    else
        wst_request_deny(request, 403, NULL, NULL);
}

/* All but what allows. */
static void answer(agent_world_t *w, wst_request_t *request, agent_policy_t policy) {
    snprintf(w->question_peer, sizeof(w->question_peer), "%s", wst_request_peer(request));
    snprintf(w->destination, sizeof(w->destination), "%s", wst_request_destination(request));
    if (policy == AGENT_HOLD) {
        w->held = request;
        wst_request_on_gone(request, on_gone, w);
    } else if (policy == AGENT_DENY) {
        wst_request_deny(request, 403, w->reason, NULL);
    }
}

static void on_credentials(wst_agent_t *agent, wst_request_t *request, void *user_data) {
    agent_world_t *w = user_data;
    assert_ptr_equal(agent, w->agent);
    enter(w, AGENT_CREDENTIALS);
    answer(w, request, w->credentials);
    if (w->credentials == AGENT_ALLOW)
        wst_request_allow_with(request, w->fields);
    else if (w->credentials == AGENT_MISFIT)
        hand_over(w, request);
    leave(w, AGENT_CREDENTIALS);
}

static void on_destination(wst_agent_t *agent, wst_request_t *request, void *user_data) {
    agent_world_t *w = user_data;
    assert_ptr_equal(agent, w->agent);
    enter(w, AGENT_DESTINATION);
    answer(w, request, w->destinations);
    if (w->destinations == AGENT_ALLOW)
        wst_request_allow(request);
    else if (w->destinations == AGENT_MISFIT)
        hand_over(w, request);
    leave(w, AGENT_DESTINATION);
}

static void on_dial(wst_agent_t *agent, wst_request_t *request, void *user_data) {
    agent_world_t *w = user_data;
    assert_ptr_equal(agent, w->agent);
    enter(w, AGENT_DIAL);
    answer(w, request, w->dials);
    if (w->dials == AGENT_ALLOW)
        hand_over(w, request);
    else if (w->dials == AGENT_MISFIT)
        wst_request_allow(request);
    leave(w, AGENT_DIAL);
}

static void on_up(wst_agent_t *agent, void *user_data) {
    agent_world_t *w = user_data;
    enter(w, AGENT_UP);
    assert_true(wst_agent_is_up(agent));
    leave(w, AGENT_UP);
}

static void on_down(wst_agent_t *agent, const wst_agent_failure_t *failure, void *user_data) {
    agent_world_t *w = user_data;
    enter(w, AGENT_DOWN);
    assert_false(wst_agent_is_up(agent));
    assert_true(failure->error < 0);
    assert_true(failure->detail[0] != '\0');
    w->failure = *failure;
    snprintf(w->detail, sizeof(w->detail), "%s", failure->detail);
    leave(w, AGENT_DOWN);
}

/* The caller's own count of the connections that are up. */
static void on_connection(wst_agent_t *agent, const wst_agent_connection_info_t *info,
                          void *user_data) {
    agent_world_t *w = user_data;
    (void)agent;
    enter(w, AGENT_CONNECTION);
    assert_int_equal(info->up, info->failure == NULL);
    uint64_t bit = (uint64_t)1 << (info->conn % 64);
    w->conns = info->up ? w->conns | bit : w->conns & ~bit;
    w->conns_up = (size_t)__builtin_popcountll(w->conns);
    w->conn_losses += !info->up;
    w->conn = info->conn;
    snprintf(w->conn_url, sizeof(w->conn_url), "%s", info->url);
    leave(w, AGENT_CONNECTION);
}

static void on_stream_open(wst_agent_t *agent, const wst_agent_stream_info_t *info,
                           void *user_data) {
    agent_world_t *w = user_data;
    (void)agent;
    enter(w, AGENT_STREAM_OPEN);
    w->open_status = info->status;
    snprintf(w->destination, sizeof(w->destination), "%s", info->destination);
    leave(w, AGENT_STREAM_OPEN);
}

static void on_stream_close(wst_agent_t *agent, const wst_agent_stream_info_t *info,
                            void *user_data) {
    agent_world_t *w = user_data;
    (void)agent;
    enter(w, AGENT_STREAM_CLOSE);
    w->close_status = info->status;
    w->bytes_to_destination = info->bytes_to_destination;
    w->bytes_to_server = info->bytes_to_server;
    snprintf(w->destination, sizeof(w->destination), "%s", info->destination);
    leave(w, AGENT_STREAM_CLOSE);
}

static void on_drained(wst_agent_t *agent, void *user_data) {
    agent_world_t *w = user_data;
    (void)agent;
    enter(w, AGENT_DRAINED);
    leave(w, AGENT_DRAINED);
}

int agent_world_try_start(agent_world_t *w) {
    char url[128];
    wst_agent_t *agent;
    snprintf(url, sizeof(url), "ws://%s%s", w->address, w->path);
    wst_agent_options_t options = w->options;
    if (options.url == NULL && options.urls == NULL)
        options.url = url;
    options.user_data = w;
    const wst_agent_callbacks_t callbacks = {
        .size = sizeof(callbacks),
        .on_credentials = w->credentials != AGENT_UNASKED ? on_credentials : NULL,
        .on_destination = w->destinations != AGENT_UNASKED ? on_destination : NULL,
        .on_dial = w->dials != AGENT_UNASKED ? on_dial : NULL,
        .on_up = on_up,
        .on_down = on_down,
        .on_stream_open = on_stream_open,
        .on_stream_close = on_stream_close,
        .on_drained = on_drained,
        .on_connection = on_connection};
    options.callbacks = &callbacks;
    w->busy = true;
    int status = wst_agent_new(&agent, w->env.ctx, &options);
    w->busy = false;
    memset(url, 'x', sizeof(url)); /* it has been copied */
    if (status == 0)
        w->agent = agent;
    return status;
}

void agent_world_start(agent_world_t *w) {
    assert_int_equal(agent_world_try_start(w), 0);
}

void agent_world_start_up(agent_world_t *w) {
    size_t ups = w->server_ups;
    agent_world_start(w);
    agent_world_until(w, AGENT_UP, w->seen[AGENT_UP] + 1);
    test_env_until_count(&w->env, &w->server_ups, ups + 1);
}

void agent_world_until(agent_world_t *w, agent_event_t event, size_t count) {
    test_env_until_count(&w->env, &w->seen[event], count);
}

void agent_world_until_closed(agent_world_t *w) {
    test_env_until_count(&w->env, &w->closed, 1);
}
