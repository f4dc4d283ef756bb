/* SPDX-License-Identifier: MIT */
/* The agents of the server's tests, and their attempts to continue a session. */
#include "server_world.h"

#include "defaults.h"

#include <stdio.h>
#include <sys/socket.h>
#include <wstunnel/socket.h>

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

static void agent_on_suspended(wst__uplink_t *uplink, int error, const char *detail,
                               uint64_t grace_ms, void *user_data) {
    (void)uplink, (void)error, (void)detail, (void)grace_ms;
    ((server_agent_t *)user_data)->suspended++;
}

static void close_attempt(server_attempt_t *t) {
    if (t->uplink != NULL && !t->closing)
        t->uplink->ops->close(t->uplink);
    t->closing = true;
}

static void agent_on_resumed(wst__uplink_t *uplink, wst__uplink_t *from, uint64_t outage_ms,
                             void *user_data) {
    server_agent_t *a = user_data;
    server_attempt_t *t = from->user_data;
    (void)uplink, (void)outage_ms;
    a->resumed++;
    a->fd = t->fd;
    t->resumed++;
    close_attempt(t);
}

static wst_ctx_t *ctx_of(const server_agent_t *a) {
    return a->ctx != NULL ? a->ctx : a->w->env.ctx;
}

static void agent_on_connected(int status, wst_stream_t *stream, void *user_data) {
    server_agent_t *a = user_data;
    assert_int_equal(status, 0);
    static const wst__uplink_callbacks_t callbacks = {.on_up = agent_on_up,
                                                      .on_suspended = agent_on_suspended,
                                                      .on_resumed = agent_on_resumed,
                                                      .on_incoming = agent_on_incoming,
                                                      .on_goaway = agent_on_goaway,
                                                      .on_down = agent_on_down,
                                                      .on_closed = agent_on_closed};
    char fields[256];
    snprintf(fields, sizeof(fields), "%s%s", a->resumes ? WST__RESUME_FIELD ": new\r\n" : "",
             a->fields != NULL ? a->fields : "");
    const wst_websocket_options_t websocket = {
        .size = sizeof(websocket), .host = "server", .path = "/websocket", .fields = fields};
    const wst__uplink_options_t options = {
        .callbacks = &callbacks, .user_data = a, .hello = a->hello, .resumes = a->resumes};
    assert_int_equal(wst__mux_kind.connect(&a->uplink, ctx_of(a), stream, &websocket, &options), 0);
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

/* A connection from an address of this host. */
static wst_stream_t *connect_from(const server_world_t *w, wst_ctx_t *ctx, const char *address,
                                  int *fd) {
    struct sockaddr_in here, there;
    wst_stream_t *stream;
    const char *port = strrchr(w->address, ':') + 1;
    *fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(uv_ip4_addr(address, 0, &here), 0);
    assert_int_equal(uv_ip4_addr("127.0.0.1", (int)strtoul(port, NULL, 10), &there), 0);
    assert_int_equal(bind(*fd, (const struct sockaddr *)&here, sizeof(here)), 0);
    assert_int_equal(connect(*fd, (const struct sockaddr *)&there, sizeof(there)), 0);
    assert_int_equal(wst_socket_open(&stream, ctx, *fd, false), 0);
    return stream;
}

void server_agent_start_from(server_agent_t *a, const char *address) {
    agent_on_connected(0, connect_from(a->w, ctx_of(a), address, &a->fd), a);
}

void server_agent_start(server_agent_t *a) {
    if (a->resumes)
        server_agent_start_from(a, "127.0.0.1");
    else
        server_world_dial(a->w, a->w->address, agent_on_connected, a);
}

void server_agent_open(server_world_t *w, server_agent_t *a, const char *name, uint8_t instance) {
    char up[64];
    server_agent_init(w, a, name, instance);
    server_agent_start(a);
    snprintf(up, sizeof(up), "up %s %02x", name, instance);
    server_world_until_notice(w, up);
    test_env_until_count(&w->env, &a->up, 1);
}

void server_agent_cut(server_agent_t *a) {
    size_t suspended = a->suspended, suspensions = a->w->suspensions;
    shutdown(a->fd, SHUT_RDWR);
    test_env_until_count(&a->w->env, &a->suspended, suspended + 1);
    test_env_until_count(&a->w->env, &a->w->suspensions, suspensions + 1);
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
    server_world_expect(a->w, a->got, &a->got_len, text, strlen(text));
}

/* Attempts ----------------------------------------------------------------------------------- */

static wst__uplink_t *attempt_on_claim(wst__uplink_t *uplink, const wst_hello_t *hello,
                                       void *user_data) {
    server_attempt_t *t = user_data;
    (void)uplink;
    t->asked++;
    return hello->resumed ? t->agent->uplink : NULL;
}

static int attempt_on_up(wst__uplink_t *uplink, const wst_hello_t *hello, void *user_data) {
    (void)uplink, (void)hello;
    ((server_attempt_t *)user_data)->up++;
    return 0;
}

static void attempt_on_down(wst__uplink_t *uplink, int error, int http_status, const char *detail,
                            void *user_data) {
    server_attempt_t *t = user_data;
    (void)uplink;
    t->down++;
    t->down_error = error;
    t->http_status = http_status;
    snprintf(t->detail, sizeof(t->detail), "%s", detail);
}

static void attempt_on_closed(void *user_data) {
    server_attempt_t *t = user_data;
    t->closed++;
    t->uplink = NULL;
}

void server_attempt_init(server_agent_t *a, server_attempt_t *t) {
    memset(t, 0, sizeof(*t));
    t->agent = a;
    a->hello.epoch++;
    t->hello = a->hello;
    if (a->uplink->ops->resume->claim(a->uplink, t->hello.epoch, &t->claim) != 0)
        t->claim = (wst__resume_field_t){.kind = WST__RESUME_NEW};
}

void server_attempt_start(server_attempt_t *t) {
    static const wst__uplink_callbacks_t callbacks = {.on_claim = attempt_on_claim,
                                                      .on_up = attempt_on_up,
                                                      .on_down = attempt_on_down,
                                                      .on_closed = attempt_on_closed};
    char value[WST__RESUME_FIELD_MAX], fields[WST__RESUME_FIELD_MAX + 256];
    wst__resume_field_write(value, &t->claim);
    snprintf(fields, sizeof(fields), "%s: %s\r\n%s", WST__RESUME_FIELD, value,
             t->fields != NULL ? t->fields : "");
    const wst_websocket_options_t websocket = {
        .size = sizeof(websocket), .host = "server", .path = "/websocket", .fields = fields};
    const wst__uplink_options_t options = {
        .callbacks = &callbacks, .user_data = t, .hello = t->hello, .resumes = true};
    const server_world_t *w = t->agent->w;
    assert_int_equal(wst__mux_kind.connect(&t->uplink, w->env.ctx,
                                           connect_from(w, w->env.ctx, "127.0.0.1", &t->fd),
                                           &websocket, &options),
                     0);
}

void server_attempt_close(server_attempt_t *t) {
    close_attempt(t);
    test_env_until_count(&t->agent->w->env, &t->closed, 1);
}

void server_agent_resume(server_agent_t *a) {
    server_attempt_t t;
    size_t resumes = a->w->resumes;
    server_attempt_init(a, &t);
    server_attempt_start(&t);
    test_env_until_count(&a->w->env, &t.resumed, 1);
    test_env_until_count(&a->w->env, &t.closed, 1);
    test_env_until_count(&a->w->env, &a->w->resumes, resumes + 1);
}

void server_agent_open_lasting(server_world_t *w, server_agent_t *a, const char *name,
                               uint8_t instance, uint32_t conn) {
    server_agent_init(w, a, name, instance);
    a->resumes = true;
    a->hello.conn = conn;
    server_agent_start(a);
    test_env_until_count(&w->env, &a->up, 1);
}

void server_world_open_lasting(server_world_t *w, server_agent_t *a) {
    server_world_open(w);
    server_agent_open_lasting(w, a, "one", 1, 0);
}

void server_agent_expect_alive(server_agent_t *a, server_client_t *c) {
    server_client_say(c, "ping");
    server_agent_expect(a, "ping");
    server_agent_say(a, "pong");
    server_client_expect(c, "pong");
}
