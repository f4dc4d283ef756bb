/* SPDX-License-Identifier: MIT */
/*
 * The server of the server's tests, and its clients. `close_at`, which callback closes it: 'a'
 * on_agent_request, 'c' on_client_request, 'h' on_choose, 'u' on_agent_up, 'd' on_agent_down, 'o'
 * on_stream_open, 'e' on_stream_close, 'r' on_refused, 'f' on_agent_refused, 'n' on_drained, 'g'
 * on_gone of a question, 'l' on_client_login, 's' on_agent_suspended, 'm' on_agent_resumed.
 */
#include "server_world.h"

#include <stdio.h>

/* The server --------------------------------------------------------------------------------- */

static void on_closed(void *user_data) {
    server_world_t *w = user_data;
    w->closed++;
}

void server_world_close(server_world_t *w) {
    if (w->close_called)
        return;
    w->close_called = true;
    wst_server_close(w->server, on_closed);
}

/* Every callback comes by here: none may run after the server was closed. */
static void enter(server_world_t *w) {
    assert_false(w->close_called);
    assert_int_equal(w->closed, 0);
}

static void leave(server_world_t *w, char callback) {
    if (w->close_at == callback)
        server_world_close(w);
}

static void note(server_world_t *w, const char *fmt, ...) {
    size_t len = strlen(w->notices);
    va_list args;
    va_start(args, fmt);
    vsnprintf(w->notices + len, sizeof(w->notices) - len, fmt, args);
    va_end(args);
}

static const char *error_name(int error) {
    return error == 0 ? "0" : wst_err_name(error);
}

static void on_gone(wst_request_t *request, void *user_data) {
    server_world_t *w = user_data;
    (void)request;
    w->gone++;
    if (w->held == request)
        w->held = NULL;
    if (w->close_at == 'g')
        server_world_close(w);
}

static void answer(server_world_t *w, wst_request_t *request, server_policy_t policy) {
    snprintf(w->question, sizeof(w->question), "%s %s", wst_request_destination(request),
             wst_request_user(request));
    snprintf(w->asked_by, sizeof(w->asked_by), "%s", wst_request_peer(request));
    if (policy == SERVER_HOLD) {
        w->held = request;
        wst_request_on_gone(request, on_gone, w);
    } else if (policy == SERVER_DENY) {
        wst_request_deny(request, w->deny_status, w->deny_reason, w->deny_fields);
    }
}

static void on_agent_request(wst_server_t *server, wst_request_t *request, void *user_data) {
    server_world_t *w = user_data;
    enter(w);
    w->agent_questions++;
    if (w->in_agent_request != NULL)
        w->in_agent_request(w);
    answer(w, request, w->agents);
    if (w->agents == SERVER_ALLOW) {
        wst_request_set_user(request, w->agent_name);
        wst_request_set_tenant(request, w->agent_tenant);
        wst_request_set_labels(request, w->agent_labels);
        wst_request_allow(request);
    }
    if (w->agents == SERVER_ACCESS)
        wst_access_agent_request(w->access, server, request);
    leave(w, 'a');
}

static void on_client_request(wst_server_t *server, wst_request_t *request, void *user_data) {
    server_world_t *w = user_data;
    enter(w);
    w->client_questions++;
    answer(w, request, w->clients);
    if (w->clients == SERVER_ALLOW) {
        wst_request_set_user(request, "alice");
        wst_request_set_tenant(request, w->client_tenant);
        wst_request_allow(request);
    }
    if (w->clients == SERVER_ACCESS)
        wst_access_client_request(w->access, server, request);
    leave(w, 'c');
}

/* At once: users log in with the password "secret"; `deny_status` of those who do not. */
static void answer_login(server_world_t *w, wst_request_t *request, const wst_auth_basic_t *login) {
    if (strcmp(login->password, "secret") == 0) {
        wst_request_set_user(request, login->user);
        wst_request_set_tenant(request, w->client_tenant);
        wst_request_allow(request);
    } else {
        wst_request_deny(request, 407, NULL, NULL);
    }
}

static void on_client_login(wst_server_t *server, wst_request_t *request, void *user_data) {
    server_world_t *w = user_data;
    wst_auth_basic_t login = {.user = ""};
    enter(w);
    assert_null(wst_request_head(request));
    assert_string_equal(wst_request_destination(request), "");
    w->login_questions++;
    w->login_what[0] = '\0';
    if (wst_request_basic(request, &login))
        snprintf(w->login_what, sizeof(w->login_what), "%s:%s", login.user, login.password);
    answer(w, request, w->logins);
    if (w->logins == SERVER_ALLOW)
        answer_login(w, request, &login);
    if (w->logins == SERVER_ACCESS)
        wst_access_client_login(w->access, server, request);
    leave(w, 'l');
}

static void on_choose(wst_server_t *server, wst_request_t *request, void *user_data) {
    server_world_t *w = user_data;
    enter(w);
    assert_int_equal(wst_request_head(request) == NULL, w->headless);
    w->choice_questions++;
    answer(w, request, w->choice);
    if (w->in_choice != NULL)
        w->in_choice(w);
    if (w->choice == SERVER_ALLOW)
        wst_request_choose(request, wst_server_next_agent(server, NULL));
    if (w->choice == SERVER_ACCESS)
        wst_access_choose(w->access, server, request);
    leave(w, 'h');
}

static void on_reached(wst_server_t *server, wst_request_t *request, void *user_data) {
    server_world_t *w = user_data;
    enter(w);
    assert_int_equal(wst_request_head(request) == NULL, w->headless);
    w->reached_questions++;
    snprintf(w->reached_what, sizeof(w->reached_what), "%s %s", wst_request_address(request),
             wst_remote_name(wst_request_remote(request)));
    answer(w, request, w->reached);
    if (w->reached == SERVER_ALLOW)
        wst_request_allow(request);
    if (w->reached == SERVER_ACCESS)
        wst_access_reached(w->access, server, request);
    leave(w, 'r');
}

static void on_agent_up(wst_server_t *server, wst_remote_t *agent, void *user_data) {
    server_world_t *w = user_data;
    (void)server;
    enter(w);
    w->ups++;
    w->last_up = agent;
    note(w, "up %s %s\n", wst_remote_name(agent), wst_remote_instance(agent));
    leave(w, 'u');
}

static void on_agent_down(wst_server_t *server, wst_remote_t *agent,
                          const wst_agent_down_info_t *info, void *user_data) {
    server_world_t *w = user_data;
    enter(w);
    assert_non_null(info->detail);
    assert_null(wst_server_next_agent(server, agent)); /* it is no longer one of them */
    w->downs++;
    note(w, "down %s %s\n", wst_remote_name(agent), error_name(info->error));
    if (w->admin != NULL)
        wst_admin_note_agent_down(w->admin, agent, info);
    leave(w, 'd');
}

/* The address of a client: of a socket, of a fake_stream; or there is none, of a dial. */
static void note_client(server_world_t *w, const char *client) {
    snprintf(w->last_client, sizeof(w->last_client), "%s", client);
    assert_true(w->proxied || strncmp(client, "127.0.0.1:", 10) == 0 ||
                strncmp(client, "unix:", 5) == 0 || strcmp(client, "fake") == 0 ||
                client[0] == '\0');
}

static void on_stream_open(wst_server_t *server, const wst_stream_info_t *info, void *user_data) {
    server_world_t *w = user_data;
    (void)server;
    enter(w);
    note_client(w, info->client);
    w->opens++;
    note(w, "open %u %s %s %s\n", (unsigned)info->id, info->user, info->destination, info->agent);
    leave(w, 'o');
}

static void on_stream_close(wst_server_t *server, const wst_stream_info_t *info, void *user_data) {
    server_world_t *w = user_data;
    (void)server;
    enter(w);
    w->closes++;
    w->last_close = *info;
    note(w, "close %u %s %s %s to_agent=%u to_client=%u %s by %s\n", (unsigned)info->id, info->user,
         info->destination, info->agent, (unsigned)info->bytes_to_agent,
         (unsigned)info->bytes_to_client, error_name(info->status), info->ended_by);
    leave(w, 'e');
}

static void on_refused(wst_server_t *server, const wst_refusal_info_t *info, void *user_data) {
    server_world_t *w = user_data;
    (void)server;
    enter(w);
    note_client(w, info->client);
    w->refusals++;
    note(w, "refused %s %d %s\n", info->destination, info->http_status, info->reason);
    snprintf(w->last_refusal, sizeof(w->last_refusal), "%s|%s|%s|%s|%s|%s", info->user,
             info->tenant, info->agent, info->address, info->error, info->detail);
    leave(w, 'r');
}

static void on_agent_refused(wst_server_t *server, const wst_refusal_info_t *info,
                             void *user_data) {
    server_world_t *w = user_data;
    (void)server;
    enter(w);
    note_client(w, info->client);
    note(w, "agent refused %d %s\n", info->http_status, info->reason);
    snprintf(w->last_refusal, sizeof(w->last_refusal), "%s|%s|%s|%s|%s|%s", info->user,
             info->tenant, info->agent, info->address, info->error, info->detail);
    leave(w, 'f');
}

static void on_agent_suspended(wst_server_t *server, wst_remote_t *agent,
                               const wst_agent_suspended_info_t *info, void *user_data) {
    server_world_t *w = user_data;
    (void)server;
    enter(w);
    assert_non_null(info->detail);
    w->suspensions++;
    w->last_suspended = *info;
    w->last_suspended.detail = NULL;
    note(w, "suspended %s %u streams=%u\n", wst_remote_name(agent), (unsigned)info->conn,
         (unsigned)info->streams);
    leave(w, 's');
}

static void on_admin_connection(wst_server_t *server, wst_stream_t *connection, void *user_data) {
    server_world_t *w = user_data;
    (void)server;
    if (w->admin != NULL)
        wst_admin_serve(w->admin, connection);
    else
        w->admin_stream = connection;
}

static void on_agent_resumed(wst_server_t *server, wst_remote_t *agent,
                             const wst_agent_resumed_info_t *info, void *user_data) {
    server_world_t *w = user_data;
    (void)server;
    enter(w);
    w->resumes++;
    w->last_resumed = *info;
    note(w, "resumed %s %u streams=%u\n", wst_remote_name(agent), (unsigned)info->conn,
         (unsigned)info->streams);
    leave(w, 'm');
}

static void on_drained(wst_server_t *server, void *user_data) {
    server_world_t *w = user_data;
    (void)server;
    enter(w);
    w->drained++;
    leave(w, 'n');
}

void server_world_init(server_world_t *w) {
    memset(w, 0, sizeof(*w));
    w->limits.size = sizeof(w->limits);
    w->http.size = sizeof(w->http);
    w->clients = w->agents = w->choice = w->reached = w->logins = SERVER_UNASKED;
    w->agent_name = w->agent_tenant = w->client_tenant = "";
    w->deny_status = 403;
    test_env_open(&w->env);
}

bool server_world_try_start(server_world_t *w) {
    const wst_server_callbacks_t callbacks = {
        .size = sizeof(callbacks),
        .on_agent_request = w->agents != SERVER_UNASKED ? on_agent_request : NULL,
        .on_client_request = w->clients != SERVER_UNASKED ? on_client_request : NULL,
        .on_choose = w->choice != SERVER_UNASKED ? on_choose : NULL,
        .on_reached = w->reached != SERVER_UNASKED ? on_reached : NULL,
        .on_agent_up = on_agent_up,
        .on_agent_down = on_agent_down,
        .on_stream_open = on_stream_open,
        .on_stream_close = on_stream_close,
        .on_refused = on_refused,
        .on_agent_refused = on_agent_refused,
        .on_drained = on_drained,
        .on_client_login = w->logins != SERVER_UNASKED ? on_client_login : NULL,
        .on_agent_suspended = on_agent_suspended,
        .on_agent_resumed = on_agent_resumed,
        .on_admin_connection = w->admits_operators ? on_admin_connection : NULL,
    };
    w->options.size = sizeof(w->options);
    w->options.callbacks = &callbacks;
    w->options.limits = &w->limits;
    w->options.http = &w->http;
    w->options.user_data = w;
    int status = wst_server_new(&w->server, w->env.ctx, &w->options);
    if (status == 0)
        status = wst_server_listen(w->server, "127.0.0.1:0", 0);
    assert_int_equal(status, test_alloc_failed() ? WST_ENOMEM : 0);
    if (status == 0)
        snprintf(w->address, sizeof(w->address), "%s", wst_server_address(w->server, 0));
    return status == 0;
}

void server_world_start(server_world_t *w) {
    assert_true(server_world_try_start(w));
}

void server_world_open(server_world_t *w) {
    server_world_init(w);
    server_world_start(w);
}

void server_world_free(server_world_t *w) {
    server_world_close(w);
    test_env_until_count(&w->env, &w->closed, 1);
    wst_access_free(w->access);
    test_env_close(&w->env);
    assert_int_equal(w->closed, 1);
}

typedef struct awaited {
    const server_world_t *w;
    const char *text;
} awaited_t;

static bool is_noted(void *arg) {
    const awaited_t *a = arg;
    return strstr(a->w->notices, a->text) != NULL;
}

void server_world_until_notice(server_world_t *w, const char *text) {
    awaited_t a = {w, text};
    test_env_until(&w->env, is_noted, &a);
}

typedef struct connections {
    const server_world_t *w;
    size_t n;
} connections_t;

static bool has_connections(void *arg) {
    const connections_t *c = arg;
    wst_server_stats_t stats = {.size = sizeof(stats)};
    wst_server_get_stats(c->w->server, &stats);
    return stats.connections == c->n;
}

void server_world_until_connections(server_world_t *w, size_t n) {
    connections_t c = {w, n};
    test_env_until(&w->env, has_connections, &c);
}

void server_world_assert_notice(const server_world_t *w, const char *text) {
    if (strstr(w->notices, text) == NULL)
        fail_msg("no notice \"%s\" in:\n%s", text, w->notices);
}

wst_server_stats_t server_world_stats(const server_world_t *w) {
    wst_server_stats_t stats = {.size = sizeof(stats)};
    assert_int_equal(wst_server_get_stats(w->server, &stats), 0);
    return stats;
}

void server_world_pass(server_world_t *w, uint64_t ms) {
    wst__deadlines_run(&w->env.ctx->deadlines, wst__now(w->env.ctx) + ms);
    test_env_turns(&w->env, 5);
}

void server_world_assert_logged(const server_world_t *w, const char *text) {
    if (strstr(w->env.log, text) == NULL)
        fail_msg("no \"%s\" in: %s", text, w->env.log);
}

/* Clients ------------------------------------------------------------------------------------ */

static void client_on_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    server_client_t *c = user_data;
    (void)stream;
    assert_true(data.len <= sizeof(c->got) - 1 - c->got_len);
    memcpy(c->got + c->got_len, data.data, data.len);
    c->got_len += data.len;
    c->got[c->got_len] = '\0';
}

static void client_on_end(wst_stream_t *stream, void *user_data) {
    (void)stream;
    ((server_client_t *)user_data)->ended++;
}

static void client_on_error(wst_stream_t *stream, int error, void *user_data) {
    (void)stream;
    (void)error;
    ((server_client_t *)user_data)->broken++;
}

void server_client_use(server_world_t *w, server_client_t *c, wst_stream_t *stream) {
    static const wst_stream_callbacks_t callbacks = {.size = sizeof(callbacks),
                                                     .on_read = client_on_read,
                                                     .on_end = client_on_end,
                                                     .on_error = client_on_error};
    memset(c, 0, sizeof(*c));
    c->w = w;
    c->stream = stream;
    c->connected = 1;
    wst_stream_set_callbacks(stream, &callbacks, c);
    wst_stream_read_start(stream, 0);
}

static void client_on_connected(int status, wst_stream_t *stream, void *user_data) {
    server_client_t *c = user_data;
    if (status == UV_ECONNRESET) { /* a port has refused it already */
        c->connected = c->broken = 1;
        return;
    }
    assert_int_equal(status, 0);
    server_client_use(c->w, c, stream);
}

void server_world_dial(server_world_t *w, const char *address, wst_dial_cb callback,
                       void *user_data) {
    char host[64];
    const char *colon = strrchr(address, ':');
    wst_dial_t *pending;
    snprintf(host, sizeof(host), "%.*s", (int)(colon - address), address);
    const wst_dial_options_t options = {
        .size = sizeof(options), .host = host, .port = (uint16_t)strtoul(colon + 1, NULL, 10)};
    assert_int_equal(wst_dial(&pending, w->env.ctx, &options, callback, user_data), 0);
}

void server_client_open_at(server_world_t *w, server_client_t *c, const char *address) {
    memset(c, 0, sizeof(*c));
    c->w = w;
    server_world_dial(w, address, client_on_connected, c);
    test_env_until_count(&w->env, &c->connected, 1);
}

void server_client_open(server_world_t *w, server_client_t *c) {
    server_client_open_at(w, c, w->address);
}

void server_client_send(server_client_t *c, const void *data, size_t len) {
    wst_slice_t slice;
    assert_int_equal(wst_slice_copy(&slice, c->w->env.ctx, data, len), 0);
    assert_true(wst_stream_write(c->stream, &slice, 1) >= 0);
}

void server_client_say(server_client_t *c, const char *text) {
    server_client_send(c, text, strlen(text));
}

void server_client_end(server_client_t *c) {
    assert_int_equal(wst_stream_shutdown(c->stream), 0);
}

void server_world_expect(server_world_t *w, char *got, size_t *got_len, const void *bytes,
                         size_t len) {
    test_env_until_count(&w->env, got_len, len);
    if (memcmp(got, bytes, len) != 0)
        fail_msg("expected:\n%.*s\ngot:\n%.*s", (int)len, (const char *)bytes, (int)*got_len, got);
    memmove(got, got + len, *got_len - len + 1);
    *got_len -= len;
}

void server_client_expect_bytes(server_client_t *c, const void *bytes, size_t len) {
    server_world_expect(c->w, c->got, &c->got_len, bytes, len);
}

void server_client_expect(server_client_t *c, const char *text) {
    server_client_expect_bytes(c, text, strlen(text));
}

void server_client_expect_end(server_client_t *c) {
    test_env_until_count(&c->w->env, &c->ended, 1);
    if (c->got_len != 0)
        fail_msg("more than was expected: %s", c->got);
    assert_int_equal(c->broken, 0);
}

void server_client_expect_reset(server_client_t *c) {
    test_env_until_count(&c->w->env, &c->broken, 1);
    assert_int_equal(c->ended, 0);
}

static void client_on_closed(void *user_data) {
    ((server_client_t *)user_data)->closed++;
}

void server_client_close(server_client_t *c) {
    if (c->stream == NULL) /* refused at once */
        return;
    wst_stream_close(c->stream, client_on_closed);
    test_env_until_count(&c->w->env, &c->closed, 1);
}

void server_client_ask(server_world_t *w, const char *request, const char *answer) {
    server_client_t c;
    server_client_open(w, &c);
    server_client_say(&c, request);
    server_client_expect(&c, answer);
    server_client_expect_end(&c);
    server_client_close(&c);
}

void server_client_connect(server_world_t *w, server_client_t *c) {
    server_client_open(w, c);
    server_client_say(c, "CONNECT host:22 HTTP/1.1\r\n\r\n");
    server_client_expect(c, "HTTP/1.1 200 Connection established\r\n\r\n");
}
