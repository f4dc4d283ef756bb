/* SPDX-License-Identifier: MIT */
/*
 * The world of the server's tests. `close_at`, which callback closes the server: 'a'
 * on_agent_request, 'c' on_client_request, 'h' on_choose, 'u' on_agent_up, 'd' on_agent_down, 'o'
 * on_stream_open, 'e' on_stream_close, 'r' on_refused, 'f' on_agent_refused, 'n' on_drained, 'g'
 * on_gone of a question, 'l' on_client_login.
 */
#include "server_world.h"

#include "defaults.h"

#include <stdio.h>
#include <wstunnel/socket.h>

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
    leave(w, 'd');
}

/* The address of a client: of a socket, of a fake_stream; or there is none, of a dial. */
static void assert_client(const char *client) {
    assert_true(strncmp(client, "127.0.0.1:", 10) == 0 || strncmp(client, "unix:", 5) == 0 ||
                strcmp(client, "fake") == 0 || client[0] == '\0');
}

static void on_stream_open(wst_server_t *server, const wst_stream_info_t *info, void *user_data) {
    server_world_t *w = user_data;
    (void)server;
    enter(w);
    assert_client(info->client);
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
    assert_client(info->client);
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
    assert_client(info->client);
    note(w, "agent refused %d %s\n", info->http_status, info->reason);
    snprintf(w->last_refusal, sizeof(w->last_refusal), "%s|%s|%s|%s|%s|%s", info->user,
             info->tenant, info->agent, info->address, info->error, info->detail);
    leave(w, 'f');
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
    assert_int_equal(status, 0);
    server_client_use(c->w, c, stream);
}

static void dial(server_world_t *w, const char *address, wst_dial_cb callback, void *user_data) {
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
    dial(w, address, client_on_connected, c);
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

static void expect_bytes(server_world_t *w, char *got, size_t *got_len, const void *bytes,
                         size_t len) {
    test_env_until_count(&w->env, got_len, len);
    if (memcmp(got, bytes, len) != 0)
        fail_msg("expected:\n%.*s\ngot:\n%.*s", (int)len, (const char *)bytes, (int)*got_len, got);
    memmove(got, got + len, *got_len - len + 1);
    *got_len -= len;
}

static void expect_text(server_world_t *w, char *got, size_t *got_len, const char *text) {
    expect_bytes(w, got, got_len, text, strlen(text));
}

void server_client_expect_bytes(server_client_t *c, const void *bytes, size_t len) {
    expect_bytes(c->w, c->got, &c->got_len, bytes, len);
}

void server_client_expect(server_client_t *c, const char *text) {
    expect_text(c->w, c->got, &c->got_len, text);
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

/* Agents ------------------------------------------------------------------------------------- */

static void stream_on_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    server_agent_t *a = user_data;
    (void)stream;
    if (a->forgets) {
        a->forgotten += data.len;
        return;
    }
    assert_true(data.len <= sizeof(a->got) - 1 - a->got_len);
    memcpy(a->got + a->got_len, data.data, data.len);
    a->got_len += data.len;
    a->got[a->got_len] = '\0';
}

static void stream_on_closed(void *user_data) {
    ((server_agent_t *)user_data)->streams_closed++;
}

static void stream_on_end(wst_stream_t *stream, void *user_data) {
    (void)stream;
    ((server_agent_t *)user_data)->stream_ended++;
}

static void stream_on_error(wst_stream_t *stream, int error, void *user_data) {
    server_agent_t *a = user_data;
    (void)error;
    a->stream_broken++;
    if (a->stream == stream)
        a->stream = NULL;
    wst_stream_close(stream, stream_on_closed);
}

static void agent_on_gone(wst__incoming_t *incoming, int reason, void *user_data) {
    server_agent_t *a = user_data;
    (void)incoming;
    (void)reason;
    a->incoming = NULL;
    a->cancelled++;
}

static void accept_stream(server_agent_t *a, wst__incoming_t *incoming) {
    static const wst_stream_callbacks_t callbacks = {.size = sizeof(callbacks),
                                                     .on_read = stream_on_read,
                                                     .on_end = stream_on_end,
                                                     .on_error = stream_on_error};
    if (a->stream != NULL)
        wst_stream_close(a->stream, NULL);
    assert_int_equal(
        incoming->ops->accept(incoming, a->address != NULL ? a->address : "", &a->stream), 0);
    wst_stream_set_callbacks(a->stream, &callbacks, a);
    wst_stream_read_start(a->stream, 0);
}

void server_agent_accept(server_agent_t *a) {
    wst__incoming_t *incoming = a->incoming;
    a->incoming = NULL;
    accept_stream(a, incoming);
}

static void agent_on_incoming(wst__uplink_t *uplink, wst__incoming_t *incoming, wst_str_t dest,
                              void *user_data) {
    server_agent_t *a = user_data;
    (void)uplink;
    snprintf(a->destination, sizeof(a->destination), "%.*s", (int)dest.len, dest.ptr);
    a->asked++;
    if (a->treatment == SERVER_AGENT_KEEP) {
        a->incoming = incoming;
        incoming->on_gone = agent_on_gone;
        incoming->user_data = a;
    } else if (a->treatment == SERVER_AGENT_REFUSE) {
        incoming->ops->refuse(incoming, a->reason, a->text);
    } else {
        accept_stream(a, incoming);
    }
}

static int agent_on_up(wst__uplink_t *uplink, const wst_hello_t *hello, void *user_data) {
    server_agent_t *a = user_data;
    (void)uplink;
    assert_int_equal(hello->name.len, 0);
    a->up++;
    return 0;
}

static void agent_on_goaway(wst__uplink_t *uplink, int reason, void *user_data) {
    (void)uplink;
    assert_int_equal(reason, WST_EGOAWAY);
    ((server_agent_t *)user_data)->goaways++;
}

static void agent_on_closed(void *user_data) {
    ((server_agent_t *)user_data)->closed++;
}

static void agent_on_down(wst__uplink_t *uplink, int error, int http_status, const char *detail,
                          void *user_data) {
    (void)http_status;
    server_agent_t *a = user_data;
    (void)uplink;
    a->down++;
    a->down_error = error;
    snprintf(a->detail, sizeof(a->detail), "%s", detail);
}

static void agent_on_connected(int status, wst_stream_t *stream, void *user_data) {
    server_agent_t *a = user_data;
    assert_int_equal(status, 0);
    static const wst__uplink_callbacks_t callbacks = {.on_up = agent_on_up,
                                                      .on_incoming = agent_on_incoming,
                                                      .on_goaway = agent_on_goaway,
                                                      .on_down = agent_on_down,
                                                      .on_closed = agent_on_closed};
    const wst_websocket_options_t websocket = {
        .size = sizeof(websocket), .host = "server", .path = "/websocket", .fields = a->fields};
    const wst__uplink_options_t options = {
        .callbacks = &callbacks, .user_data = a, .hello = a->hello};
    assert_int_equal(wst__mux_kind.connect(&a->uplink, a->w->env.ctx, stream, &websocket, &options),
                     0);
    a->connected++;
}

void server_agent_init(server_world_t *w, server_agent_t *a, const char *name, uint8_t instance) {
    memset(a, 0, sizeof(*a));
    a->w = w;
    a->hello = (wst_hello_t){.size = sizeof(wst_hello_t),
                             .max_streams = WST__MAX_STREAMS,
                             .name = {name, strlen(name)},
                             .has_instance = true,
                             .epoch = 1};
    memset(a->hello.instance, instance, sizeof(a->hello.instance));
}

wst_websocket_t *server_agent_websocket(const server_agent_t *a) {
    return wst__carrier_websocket(wst__mux_carrier(wst__mux_of(a->uplink)));
}

void server_agent_start(server_agent_t *a) {
    dial(a->w, a->w->address, agent_on_connected, a);
}

void server_agent_start_from(server_agent_t *a, const char *address) {
    struct sockaddr_in here, there;
    wst_stream_t *stream;
    const char *port = strrchr(a->w->address, ':') + 1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(uv_ip4_addr(address, 0, &here), 0);
    assert_int_equal(uv_ip4_addr("127.0.0.1", (int)strtoul(port, NULL, 10), &there), 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&here, sizeof(here)), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&there, sizeof(there)), 0);
    assert_int_equal(wst_socket_open(&stream, a->w->env.ctx, fd, false), 0);
    agent_on_connected(0, stream, a);
}

void server_agent_open(server_world_t *w, server_agent_t *a, const char *name, uint8_t instance) {
    char up[64];
    server_agent_init(w, a, name, instance);
    server_agent_start(a);
    snprintf(up, sizeof(up), "up %s %02x", name, instance);
    server_world_until_notice(w, up);
    test_env_until_count(&w->env, &a->up, 1);
}

void server_agent_close(server_agent_t *a) {
    test_env_until_count(&a->w->env, &a->connected, 1);
    if (a->stream != NULL)
        wst_stream_close(a->stream, NULL);
    a->stream = NULL;
    a->uplink->ops->close(a->uplink);
    test_env_until_count(&a->w->env, &a->closed, 1);
}

void server_agent_say(server_agent_t *a, const char *text) {
    wst_slice_t slice;
    assert_int_equal(wst_slice_copy(&slice, a->w->env.ctx, text, strlen(text)), 0);
    assert_true(wst_stream_write(a->stream, &slice, 1) >= 0);
}

void server_agent_expect(server_agent_t *a, const char *text) {
    expect_text(a->w, a->got, &a->got_len, text);
}
