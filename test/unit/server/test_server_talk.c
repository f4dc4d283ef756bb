/* SPDX-License-Identifier: MIT */
/*
 * A server whose agents speak the talk's protocol: who they are to it, which of their connections
 * serve, clients that wait for one, drain and end.
 */
#include "server_world.h"
#include "talk.h"

#include <stdio.h>

#define CONNECT "CONNECT host:22 HTTP/1.1\r\n\r\n"
#define OK11    "HTTP/1.1 200 Connection established\r\n\r\n"

/* -- Agents: each is one connection -- */

typedef struct talk {
    server_world_t *w;
    server_treatment_t treatment;
    wst__uplink_t *uplink; /* NULL: gone */
    wst_stream_t *stream;  /* accepted */
    char destination[WST_DEST_MAX + 1];
    char got[4096];
    size_t got_len, connected, opens, asked, gone, downs, closed, ended, broken;
    int gone_reason;
    char detail[200];
} talk_t;

static void on_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    talk_t *t = user_data;
    (void)stream;
    assert_true(data.len < sizeof(t->got) - t->got_len);
    memcpy(t->got + t->got_len, data.data, data.len);
    t->got_len += data.len;
}

static void on_end(wst_stream_t *stream, void *user_data) {
    (void)stream;
    ((talk_t *)user_data)->ended++;
}

static void on_error(wst_stream_t *stream, int error, void *user_data) {
    (void)stream;
    (void)error;
    ((talk_t *)user_data)->broken++;
}

static void take(talk_t *t, wst__incoming_t *incoming) {
    static const wst_stream_callbacks_t callbacks = {
        .size = sizeof(callbacks), .on_read = on_read, .on_end = on_end, .on_error = on_error};
    assert_int_equal(incoming->ops->accept(incoming, "", &t->stream), 0);
    wst_stream_set_callbacks(t->stream, &callbacks, t);
    wst_stream_read_start(t->stream, 0);
}

static void on_gone(wst__incoming_t *incoming, int reason, void *user_data) {
    talk_t *t = user_data;
    (void)incoming;
    t->gone++;
    t->gone_reason = reason;
}

static int on_up(wst__uplink_t *uplink, const wst_hello_t *hello, void *user_data) {
    (void)uplink;
    (void)hello;
    ((talk_t *)user_data)->opens++;
    return 0;
}

static void on_incoming(wst__uplink_t *uplink, wst__incoming_t *incoming, wst_str_t dest,
                        void *user_data) {
    talk_t *t = user_data;
    (void)uplink;
    t->asked++;
    snprintf(t->destination, sizeof(t->destination), "%.*s", (int)dest.len, dest.ptr);
    incoming->on_gone = on_gone;
    incoming->user_data = t;
    if (t->treatment == SERVER_AGENT_ACCEPT)
        take(t, incoming);
    else if (t->treatment == SERVER_AGENT_REFUSE)
        incoming->ops->refuse(incoming, WST_EUNREACHABLE, "no route");
}

static void on_down(wst__uplink_t *uplink, int error, int http_status, const char *detail,
                    void *user_data) {
    talk_t *t = user_data;
    (void)error;
    (void)http_status;
    t->downs++;
    snprintf(t->detail, sizeof(t->detail), "%s", detail);
    uplink->ops->close(uplink);
}

static void on_closed(void *user_data) {
    talk_t *t = user_data;
    t->closed++;
    t->uplink = NULL;
}

static void on_connected(int status, wst_stream_t *stream, void *user_data) {
    talk_t *t = user_data;
    t->connected++;
    if (status != 0) { /* for want of memory at the other end */
        assert_true(test_alloc_failed());
        t->closed++;
        return;
    }
    static const wst__uplink_callbacks_t callbacks = {
        .on_up = on_up, .on_incoming = on_incoming, .on_down = on_down, .on_closed = on_closed};
    const wst__uplink_options_t options = {
        .callbacks = &callbacks, .user_data = t, .half_closed_timeout_ms = 5000};
    const wst_websocket_options_t websocket = {
        .size = sizeof(websocket), .host = "server", .path = "/websocket"};
    assert_int_equal(
        wst__talk_kind.connect(&t->uplink, t->w->env.ctx, stream, &websocket, &options), 0);
}

/* Comes in; the server knows it when the stream of notices or its figures say so. */
static void talk_start(server_world_t *w, talk_t *t) {
    memset(t, 0, sizeof(*t));
    t->w = w;
    wst_dial_t *pending;
    const wst_dial_options_t options = {
        .size = sizeof(options),
        .host = "127.0.0.1",
        .port = (uint16_t)strtoul(strrchr(w->address, ':') + 1, NULL, 10)};
    assert_int_equal(wst_dial(&pending, w->env.ctx, &options, on_connected, t), 0);
}

static void talk_open(server_world_t *w, talk_t *t) {
    talk_start(w, t);
    test_env_until_count(&w->env, &t->opens, 1);
    server_world_until_notice(w, "up 127.0.0.1 00000000000000000000000000000000\n");
}

static void talk_close(talk_t *t) {
    if (t->stream != NULL)
        wst_stream_close(t->stream, NULL);
    else if (t->uplink != NULL)
        t->uplink->ops->close(t->uplink);
    test_env_until_count(&t->w->env, &t->closed, 1);
}

static void init(server_world_t *w) {
    server_world_init(w);
    w->options.protocol = WST_PROTOCOL_TALK;
}

static void open_world(server_world_t *w) {
    init(w);
    server_world_start(w);
}

/* Lets time pass for deadlines. */
static void pass(server_world_t *w, uint64_t ms) {
    wst__deadlines_run(&w->env.ctx->deadlines, wst__now(w->env.ctx) + ms);
}

/* -- Coming and going -- */

static void test_agent(void **state) {
    (void)state;
    server_world_t w;
    talk_t a, b;
    server_client_t c;
    open_world(&w);
    talk_open(&w, &a);
    talk_open(&w, &b); /* the same agent */
    server_world_until_connections(&w, 2);
    assert_int_equal(server_world_stats(&w).agents, 1);
    assert_int_equal(server_world_stats(&w).sessions, 2);
    wst_remote_t *remote = wst_server_next_agent(w.server, NULL);
    assert_true(strncmp(wst_remote_peer(remote), "127.0.0.1:", 10) == 0);
    assert_int_equal(wst_remote_rtt_ms(remote), 0);

    server_client_open(&w, &c);
    server_client_say(&c, CONNECT "early");
    server_client_expect(&c, OK11);
    assert_string_equal(a.destination, "host:22"); /* the one that has waited longest */
    assert_int_equal(b.asked, 0);
    test_env_until_count(&w.env, &a.got_len, 5);
    assert_memory_equal(a.got, "early", 5);
    assert_int_equal(wst_remote_streams(remote), 1);
    assert_true(wst_remote_is_ready(remote));
    server_world_assert_notice(&w, "open 1  host:22 127.0.0.1\n");
    talk_close(&b);
    assert_int_equal(w.downs, 0); /* it has the one in use */
    test_env_turns(&w.env, 20);
    assert_false(wst_remote_is_ready(remote));
    server_client_close(&c);
    test_env_until_count(&w.env, &a.broken, 1); /* a reset */
    server_world_until_notice(&w, "down 127.0.0.1 0\n");
    talk_close(&a);
    server_world_free(&w);
}

static void test_last_one_leaves(void **state) {
    (void)state;
    server_world_t w;
    talk_t a;
    open_world(&w);
    talk_open(&w, &a);
    a.uplink->ops->end(a.uplink, 1001, "bye", false);
    server_world_until_notice(&w, "down 127.0.0.1 ");
    test_env_until_count(&w.env, &a.closed, 1);
    server_world_until_connections(&w, 0);
    assert_int_equal(server_world_stats(&w).sessions, 0);
    server_client_t c;
    server_client_open(&w, &c);
    server_client_say(&c, CONNECT);
    server_client_expect(&c, "HTTP/1.1 503 No agent available\r\n");
    server_client_close(&c);
    server_world_free(&w);
}

static void expect_refused(server_world_t *w, const char *more, const char *status) {
    char request[400];
    server_client_t c;
    snprintf(request, sizeof(request),
             "GET /websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n",
             more);
    server_client_open(w, &c);
    server_client_say(&c, request);
    server_client_expect(&c, status);
    server_client_close(&c);
}

static void test_upgrades(void **state) {
    (void)state;
    server_world_t w;
    init(&w);
    w.limits.max_agent_sessions = 1;
    server_world_start(&w);
    expect_refused(&w, "Sec-WebSocket-Protocol: wstunnel.v1.json\r\n",
                   "HTTP/1.1 400 Another protocol is spoken here\r\n");
    expect_refused(&w, "Origin: http://a\r\n", "HTTP/1.1 403 Origin not allowed\r\n");
    talk_t a;
    talk_open(&w, &a);
    expect_refused(&w, "", "HTTP/1.1 503 Too many agents\r\n");
    talk_close(&a);
    server_world_until_notice(&w, "down");
    expect_refused(&w, "Sec-WebSocket-Protocol: chat\r\n", "HTTP/1.1 101 Switching Protocols\r\n");
    server_world_free(&w);

    init(&w);
    w.agents = SERVER_DENY;
    w.deny_status = 401;
    server_world_start(&w);
    expect_refused(&w, "", "HTTP/1.1 401 Unauthorized\r\n");
    server_world_free(&w);
}

static void test_no_such_protocol(void **state) {
    (void)state;
    server_world_t w;
    server_world_open(&w);
    wst_server_t *server;
    const wst_server_options_t options = {.size = sizeof(options), .protocol = (wst_protocol_t)2};
    assert_int_equal(wst_server_new(&server, w.env.ctx, &options), WST_EINVAL);
    server_world_free(&w);
}

/* -- Answers -- */

/* An agent that does not connect is not replaced by another one: perhaps it has tried. */
static void test_refusal(void **state) {
    (void)state;
    server_world_t w;
    talk_t a, b;
    server_client_t c;
    open_world(&w);
    talk_open(&w, &a);
    talk_open(&w, &b);
    server_world_until_connections(&w, 2);
    a.treatment = SERVER_AGENT_REFUSE;
    server_client_open(&w, &c);
    server_client_say(&c, CONNECT);
    server_client_expect(&c,
                         "HTTP/1.1 502 Destination unreachable\r\n"
                         "Proxy-Status: libwstunnel; error=destination_ip_unroutable; "
                         "details=\"the agent left instead of connecting: closed by the peer: 1011 "
                         "no route\"\r\n");
    assert_int_equal(b.asked, 0);
    test_env_until_count(&w.env, &a.closed, 1);
    server_client_close(&c);
    talk_close(&b);
    server_world_free(&w);
}

static void test_no_answer(void **state) {
    (void)state;
    server_world_t w;
    talk_t a;
    server_client_t c;
    open_world(&w);
    talk_open(&w, &a);
    a.treatment = SERVER_AGENT_KEEP;
    server_client_open(&w, &c);
    server_client_say(&c, CONNECT);
    test_env_until_count(&w.env, &a.asked, 1);
    pass(&w, 15000);
    server_client_expect(&c, "HTTP/1.1 504 Agent did not answer in time\r\n");
    test_env_until_count(&w.env, &a.gone, 1); /* and it is told */
    assert_int_equal(a.gone_reason, WST_ECANCELLED);
    server_client_close(&c);
    talk_close(&a);
    server_world_free(&w);
}

static void test_client_leaves(void **state) {
    (void)state;
    server_world_t w;
    talk_t a;
    server_client_t c;
    open_world(&w);
    talk_open(&w, &a);
    a.treatment = SERVER_AGENT_KEEP;
    server_client_open(&w, &c);
    server_client_say(&c, CONNECT);
    test_env_until_count(&w.env, &a.asked, 1);
    server_client_close(&c);
    test_env_until_count(&w.env, &a.gone, 1);
    talk_close(&a);
    server_world_until_connections(&w, 0);
    server_world_free(&w);
}

/* -- More clients than connections -- */

static void test_clients_wait(void **state) {
    (void)state;
    server_world_t w;
    talk_t t[4];
    server_client_t c[3];
    open_world(&w);
    talk_open(&w, &t[0]);
    for (int i = 0; i < 3; i++) {
        server_client_open(&w, &c[i]);
        server_client_say(&c[i], CONNECT);
        if (i == 0)
            server_client_expect(&c[0], OK11);
    }
    test_env_turns(&w.env, 20);
    assert_int_equal(server_world_stats(&w).pending, 2);
    assert_int_equal(c[1].got_len + c[2].got_len, 0);
    talk_start(&w, &t[1]);
    server_client_expect(&c[1], OK11); /* who came first */
    assert_int_equal(c[2].got_len, 0);
    talk_start(&w, &t[2]);
    server_client_expect(&c[2], OK11);
    talk_start(&w, &t[3]);
    test_env_until_count(&w.env, &t[3].opens, 1);
    server_world_until_connections(&w, 7);
    assert_int_equal(t[3].asked, 0);
    for (int i = 0; i < 3; i++)
        server_client_close(&c[i]);
    for (int i = 0; i < 4; i++)
        talk_close(&t[i]);
    server_world_free(&w);
}

static void test_waiting_in_vain(void **state) {
    (void)state;
    server_world_t w;
    talk_t a;
    server_client_t c, d, e;
    open_world(&w);
    talk_open(&w, &a);
    server_client_connect(&w, &c);
    server_client_open(&w, &d);
    server_client_say(&d, CONNECT);
    test_env_turns(&w.env, 20);
    pass(&w, 15000);
    server_client_expect(&d, "HTTP/1.1 503 Agent has too many streams\r\n");
    server_client_open(&w, &e); /* one that does not wait so long */
    server_client_say(&e, CONNECT);
    test_env_turns(&w.env, 20);
    server_client_close(&e);
    test_env_turns(&w.env, 20);
    assert_int_equal(server_world_stats(&w).pending, 0);
    server_client_close(&c);
    server_client_close(&d);
    talk_close(&a);
    server_world_free(&w);
}

/* An agent chosen by the embedder: that one is waited for. */
static void test_choice(void **state) {
    (void)state;
    server_world_t w;
    talk_t a, b;
    server_client_t c, d;
    init(&w);
    w.choice = SERVER_ALLOW;
    server_world_start(&w);
    talk_open(&w, &a);
    server_client_connect(&w, &c);
    server_client_open(&w, &d);
    server_client_say(&d, CONNECT);
    test_env_until_count(&w.env, &w.choice_questions, 2);
    talk_start(&w, &b);
    server_client_expect(&d, OK11);
    assert_int_equal(w.choice_questions, 2); /* it is not put again */
    server_client_close(&c);
    server_client_close(&d);
    talk_close(&a);
    talk_close(&b);
    server_world_free(&w);
}

/* Chosen among those that an access object admits: it is asked again for each that comes in, and
 * clients get their turn as they came. */
static void test_access(void **state) {
    (void)state;
    server_world_t w;
    talk_t t[3];
    server_client_t c[3];
    init(&w);
    w.choice = SERVER_ACCESS;
    assert_int_equal(wst_access_new(&w.access, w.env.ctx,
                                    &(wst_access_options_t){.size = sizeof(wst_access_options_t)},
                                    NULL),
                     0);
    server_world_start(&w);
    talk_open(&w, &t[0]);
    server_client_connect(&w, &c[0]);
    for (int i = 1; i < 3; i++) {
        server_client_open(&w, &c[i]);
        server_client_say(&c[i], CONNECT);
        test_env_until_count(&w.env, &w.choice_questions, (size_t)i + 1);
    }
    talk_start(&w, &t[1]);
    server_client_expect(&c[1], OK11);
    test_env_until_count(&w.env, &w.choice_questions, 5);
    assert_int_equal(c[2].got_len, 0);
    talk_start(&w, &t[2]);
    server_client_expect(&c[2], OK11);
    for (int i = 0; i < 3; i++) {
        server_client_close(&c[i]);
        talk_close(&t[i]);
    }
    server_world_free(&w);
}

/* -- Credentials -- */

/* They name the agent; a pattern of names must match its address. */
static void test_names(void **state) {
    (void)state;
    server_world_t w;
    talk_t t;
    init(&w);
    w.agents = SERVER_ALLOW;
    server_world_start(&w);
    w.agent_name = "berlin";
    talk_start(&w, &t);
    server_world_until_notice(&w, "up berlin ");
    talk_close(&t);
    w.agent_name = "127.*";
    talk_start(&w, &t);
    server_world_until_notice(&w, "up 127.0.0.1 ");
    talk_close(&t);
    w.agent_name = "10.*";
    talk_start(&w, &t);
    test_env_until_count(&w.env, &t.downs, 1);
    assert_non_null(
        strstr(t.detail, "1008 these credentials are those of an agent of another name"));
    assert_int_equal(w.ups, 2);
    talk_close(&t);
    server_world_free(&w);
}

/* Those whose credentials are withdrawn are gone, in use or not. */
static void test_review(void **state) {
    (void)state;
    static const char *const token[] = {
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", NULL};
    static const wst_access_agent_t agent = {
        .size = sizeof(agent), .name = "*", .tokens_sha256 = token};
    const wst_access_options_t options = {
        .size = sizeof(options), .agents = &agent, .agent_count = 1};
    server_world_t w;
    talk_t used, idle;
    server_client_t c;
    open_world(&w);
    talk_open(&w, &used);
    server_client_connect(&w, &c);
    talk_start(&w, &idle);
    test_env_until_count(&w.env, &idle.opens, 1);
    server_world_until_connections(&w, 3);
    assert_int_equal(wst_access_new(&w.access, w.env.ctx, &options, NULL), 0);
    wst_access_review_agents(w.access, w.server);
    server_client_expect_reset(&c);
    test_env_until_count(&w.env, &idle.downs, 1);
    assert_non_null(strstr(idle.detail, "1008 its credentials are not valid any more"));
    test_env_until_count(&w.env, &w.downs, 1);
    server_client_close(&c);
    talk_close(&used);
    talk_close(&idle);
    server_world_free(&w);
}

/* Whoever waits for the answer of one that is revoked does not wait in vain. */
static void test_review_before_the_answer(void **state) {
    (void)state;
    static const char *const token[] = {
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", NULL};
    static const wst_access_agent_t agent = {
        .size = sizeof(agent), .name = "*", .tokens_sha256 = token};
    const wst_access_options_t options = {
        .size = sizeof(options), .agents = &agent, .agent_count = 1};
    server_world_t w;
    talk_t a;
    server_client_t c;
    open_world(&w);
    talk_open(&w, &a);
    a.treatment = SERVER_AGENT_KEEP;
    server_client_open(&w, &c);
    server_client_say(&c, CONNECT);
    test_env_until_count(&w.env, &a.asked, 1);
    assert_int_equal(wst_access_new(&w.access, w.env.ctx, &options, NULL), 0);
    wst_access_review_agents(w.access, w.server);
    server_client_expect(&c, "HTTP/1.1 503 Agent lost\r\n");
    test_env_until_count(&w.env, &a.gone, 1);
    server_client_close(&c);
    talk_close(&a);
    server_world_free(&w);
}

/* -- Drain and end -- */

static void test_drain(void **state) {
    (void)state;
    server_world_t w;
    talk_t a, b;
    server_client_t c;
    open_world(&w);
    talk_open(&w, &a);
    server_client_connect(&w, &c);
    talk_open(&w, &b);
    server_world_until_connections(&w, 3);
    wst_server_drain(w.server);
    test_env_until_count(&w.env, &b.downs, 1);
    assert_string_equal(b.detail, "closed by the peer: 1001 server is shutting down");
    assert_int_equal(a.ended + a.broken, 0);
    server_client_say(&c, "still here");
    test_env_until_count(&w.env, &a.got_len, 10);
    assert_int_equal(w.drained, 0);
    server_client_close(&c);
    test_env_until_count(&w.env, &w.drained, 1);
    talk_close(&a);
    test_env_until_count(&w.env, &b.closed, 1);
    server_world_free(&w);
}

static void test_drain_ends_waiting(void **state) {
    (void)state;
    server_world_t w;
    talk_t a;
    server_client_t c, d;
    open_world(&w);
    talk_open(&w, &a);
    server_client_connect(&w, &c);
    server_client_open(&w, &d);
    server_client_say(&d, CONNECT);
    test_env_turns(&w.env, 20);
    wst_server_drain(w.server);
    server_client_expect(&d, "HTTP/1.1 503 Agent has too many streams\r\n");
    server_client_close(&c);
    server_client_close(&d);
    talk_close(&a);
    server_world_free(&w);
}

typedef struct tunnel {
    size_t done;
    int status;
    wst_stream_t *stream;
    size_t broken;
    int error;
} tunnel_t;

static void tunnel_on_error(wst_stream_t *stream, int error, void *user_data) {
    tunnel_t *t = user_data;
    (void)stream;
    t->broken++;
    t->error = error;
}

static void tunnel_on_dialled(int status, wst_stream_t *stream, void *user_data) {
    static const wst_stream_callbacks_t callbacks = {.size = sizeof(callbacks),
                                                     .on_error = tunnel_on_error};
    tunnel_t *t = user_data;
    t->done++;
    t->status = status;
    t->stream = stream;
    if (stream != NULL)
        wst_stream_set_callbacks(stream, &callbacks, t);
}

static int dial(server_world_t *w, tunnel_t *t, const char *destination) {
    const wst_flow_options_t options = {.size = sizeof(options), .destination = destination};
    wst_server_dial_t *ignored;
    return wst_server_dial(&ignored, w->server, &options, tunnel_on_dialled, t);
}

/* Streams that the embedder has are lost, whether or not it lets go of them. */
static void test_close_with_streams(void **state) {
    (void)state;
    server_world_t w;
    talk_t a, b, c;
    tunnel_t open = {0}, asked = {0}, waits = {0};
    open_world(&w);
    talk_open(&w, &a);
    talk_open(&w, &b);
    server_world_until_connections(&w, 2);
    b.treatment = SERVER_AGENT_KEEP;
    assert_int_equal(dial(&w, &open, "one:1"), 0);
    test_env_until_count(&w.env, &open.done, 1);
    assert_int_equal(open.status, 0);
    assert_int_equal(dial(&w, &asked, "two:1"), 0);
    test_env_until_count(&w.env, &b.asked, 1);
    assert_int_equal(dial(&w, &waits, "three:1"), 0);
    talk_start(&w, &c);
    test_env_until_count(&w.env, &waits.done, 1);
    assert_int_equal(waits.status, 0);
    wst_stream_close(waits.stream, NULL);
    server_world_close(&w);
    assert_int_equal(open.broken, 0);
    test_env_until_count(&w.env, &asked.done, 1);
    assert_int_equal(asked.status, WST_ECANCELLED);
    test_env_until_count(&w.env, &w.closed, 1); /* though the first one is not let go of */
    assert_int_equal(open.broken, 1);
    assert_int_equal(open.error, WST_ELOST);
    wst_stream_close(open.stream, NULL);
    talk_close(&a);
    talk_close(&b);
    talk_close(&c);
    server_world_free(&w);
}

/* -- Without memory -- */

static bool is_over(void *arg) {
    const talk_t *t = arg;
    return t->closed > 0 || t->opens > 0;
}

/* The n-th allocation fails: there is a tunnel, or an error, and nothing is left. */
static void test_without_memory(void **state) {
    (void)state;
    size_t n = 0;
    for (bool met = true; met; n++) {
        server_world_t w;
        talk_t a;
        tunnel_t t = {0};
        open_world(&w);
        wst_ctx_t *own = w.env.ctx, *others;
        assert_int_equal(wst_ctx_new(&others, &w.env.loop, NULL), 0);
        w.env.ctx = others;
        test_alloc_fail(n + 1);
        talk_start(&w, &a);
        test_env_until(&w.env, is_over, &a);
        test_env_turns(&w.env, 20);
        if (dial(&w, &t, "one:1") == 0)
            test_env_until_count(&w.env, &t.done, 1);
        else
            assert_true(test_alloc_failed());
        const wst_slice_t byte = wst_slice_static("x", 1);
        if (t.stream != NULL && wst_stream_write(t.stream, &byte, 1) >= 0)
            test_env_turns(&w.env, 20);
        met = test_alloc_failed();
        test_alloc_fail(0);
        if (!met) {
            assert_int_equal(t.status, 0);
            test_env_until_count(&w.env, &a.got_len, 1);
        }
        if (t.stream != NULL)
            wst_stream_close(t.stream, NULL);
        talk_close(&a);
        wst_ctx_close(others, NULL);
        w.env.ctx = own;
        server_world_free(&w);
    }
    assert_true(n > 15);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agent),
        cmocka_unit_test(test_last_one_leaves),
        cmocka_unit_test(test_upgrades),
        cmocka_unit_test(test_no_such_protocol),
        cmocka_unit_test(test_refusal),
        cmocka_unit_test(test_no_answer),
        cmocka_unit_test(test_client_leaves),
        cmocka_unit_test(test_clients_wait),
        cmocka_unit_test(test_waiting_in_vain),
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_access),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_review),
        cmocka_unit_test(test_review_before_the_answer),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_drain_ends_waiting),
        cmocka_unit_test(test_close_with_streams),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests_name("server_talk", tests, NULL, NULL);
}
