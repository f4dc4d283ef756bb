/* SPDX-License-Identifier: MIT */
/* The raw server, destinations and tunnels of the agent tests. */
#include "agent_peers.h"

#include "mux.h"

#include <stdio.h>

/* A server of raw bytes or messages ------------------------------------------------------------ */

const char agent_raw_hello[] = "{\"method\":4,\"version\":1,\"features\":[],\"max_frame\":16384,"
                               "\"initial_credit\":32768,\"max_streams\":0}";

typedef struct conn {
    agent_raw_t *raw;
    struct conn *next;         /* of raw->open */
    agent_raw_manner_t manner; /* this and the next at its coming */
    agent_raw_sequel_t sequel;
    wst_stream_t *stream;
    wst_hijack_t *hijack;
    wst_websocket_t *ws;
    char message[512];
    size_t message_len, messages;
    bool closing;
} conn_t;

static void on_conn_closed(void *user_data) {
    conn_t *c = user_data;
    c->raw->live--;
    if (c->raw->last == c) {
        c->raw->last = NULL;
        c->raw->ws = NULL;
    }
    free(c);
}

static void close_conn(conn_t *c) {
    if (c->closing)
        return;
    c->closing = true;
    conn_t **at = &c->raw->open;
    while (*at != NULL && *at != c)
        at = &(*at)->next;
    if (*at != NULL)
        *at = c->next;
    if (c->ws != NULL)
        wst_websocket_close(c->ws, on_conn_closed);
    else if (c->hijack != NULL)
        wst_hijack_close(c->hijack, on_conn_closed);
    else
        wst_stream_close(c->stream, on_conn_closed);
}

static void note_over(conn_t *c, int error) {
    c->raw->overs++;
    c->raw->over_error = error;
    close_conn(c);
}

static void write_text(wst_stream_t *stream, const char *text) {
    const wst_slice_t slice = wst_slice_static(text, strlen(text));
    assert_true(wst_stream_write(stream, &slice, 1) >= 0);
}

static void on_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    conn_t *c = user_data;
    agent_raw_t *raw = c->raw;
    snprintf(raw->head, sizeof(raw->head), "%.*s", (int)data.len, (const char *)data.data);
    raw->heads++;
    if (c->manner != AGENT_RAW_ANSWER)
        return;
    write_text(stream, raw->answer);
    if (c->sequel == AGENT_RAW_THEN_END)
        assert_int_equal(wst_stream_shutdown(stream), 0);
    else if (c->sequel == AGENT_RAW_THEN_RESET)
        close_conn(c);
}

static void on_end(wst_stream_t *stream, void *user_data) {
    (void)stream;
    note_over(user_data, 0);
}

static void on_error(wst_stream_t *stream, int error, void *user_data) {
    (void)stream;
    note_over(user_data, error);
}

static void on_ws_open(wst_websocket_t *ws, const char *protocol, void *user_data) {
    conn_t *c = user_data;
    agent_raw_t *raw = c->raw;
    (void)protocol;
    raw->opens++;
    raw->ws = ws;
    raw->last = c;
    c->next = raw->open;
    raw->open = c;
    for (size_t i = 0; i < 4 && raw->says[i] != NULL; i++) {
        const wst_slice_t text = wst_slice_static(raw->says[i], strlen(raw->says[i]));
        int status = wst_websocket_send(ws, true, text);
        if (status < 0) { /* the agent has gone meanwhile */
            note_over(c, status);
            return;
        }
    }
}

static void on_text(conn_t *c) {
    agent_raw_t *raw = c->raw;
    if (c->messages++ > 0) {
        int n = snprintf(raw->heard + raw->heard_len, sizeof(raw->heard) - raw->heard_len, "%.*s\n",
                         (int)c->message_len, c->message);
        raw->heard_len += (size_t)n;
        assert_true(raw->heard_len < sizeof(raw->heard));
        return;
    }
    snprintf(raw->hello, sizeof(raw->hello), "%.*s", (int)c->message_len, c->message);
    raw->hellos++;
    if (c->sequel == AGENT_RAW_THEN_END)
        wst_websocket_end(c->ws, 1001, "enough");
    else if (c->sequel == AGENT_RAW_THEN_RESET)
        close_conn(c);
}

static void on_message(wst_websocket_t *ws, bool text, wst_slice_t piece, bool fin,
                       void *user_data) {
    conn_t *c = user_data;
    (void)ws;
    c->raw->binaries += !text && fin;
    if (!text)
        return;
    assert_true(c->message_len + piece.len <= sizeof(c->message));
    memcpy(c->message + c->message_len, piece.data, piece.len);
    c->message_len += piece.len;
    if (!fin)
        return;
    on_text(c);
    c->message_len = 0;
}

static void on_over(wst_websocket_t *ws, int error, const char *detail, void *user_data) {
    (void)ws;
    (void)detail;
    note_over(user_data, error);
}

static void on_request(wst_hijack_t *hijack, const wst_http_head_t *head, void *user_data) {
    conn_t *c = user_data;
    agent_raw_t *raw = c->raw;
    (void)head;
    const wst_websocket_options_t options = {
        .size = sizeof(options),
        .callbacks = &(const wst_websocket_callbacks_t){sizeof(wst_websocket_callbacks_t),
                                                        on_ws_open, on_message, NULL, on_over},
        .user_data = c,
        .protocols = raw->protocols != NULL ? raw->protocols : wst__mux_kind.subprotocols};
    raw->heads++;
    int status = wst_websocket_accept(&c->ws, raw->w->peers, hijack, &options);
    if (status != 0) { /* the agent has gone meanwhile */
        note_over(c, status);
        return;
    }
    c->hijack = NULL;
    wst_hijack_close(hijack, NULL);
}

static void on_hijack_done(wst_hijack_t *hijack, int status, void *user_data) {
    (void)hijack;
    note_over(user_data, status);
}

static void on_accept(wst_listener_t *listener, wst_stream_t *stream, void *user_data) {
    static const wst_stream_callbacks_t callbacks = {
        .size = sizeof(callbacks), .on_read = on_read, .on_end = on_end, .on_error = on_error};
    agent_raw_t *raw = user_data;
    (void)listener;
    conn_t *c = calloc(1, sizeof(*c));
    assert_non_null(c);
    c->raw = raw;
    c->manner = raw->manner;
    c->sequel = raw->sequel;
    c->stream = stream;
    raw->accepted++;
    raw->live++;
    if (raw->manner == AGENT_RAW_UPGRADE) {
        const wst_hijack_options_t options = {.size = sizeof(options),
                                              .on_request = on_request,
                                              .on_done = on_hijack_done,
                                              .user_data = c};
        assert_int_equal(wst_hijack_new(&c->hijack, raw->w->peers, stream, &options), 0);
        return;
    }
    wst_stream_set_callbacks(stream, &callbacks, c);
    if (raw->manner == AGENT_RAW_RESET)
        close_conn(c);
    else
        wst_stream_read_start(stream, 0);
    if (raw->manner == AGENT_RAW_END)
        assert_int_equal(wst_stream_shutdown(stream), 0);
}

void agent_raw_open(agent_world_t *w, agent_raw_t *raw) {
    raw->w = w;
    const wst_listener_options_t options = {.size = sizeof(options),
                                            .address =
                                                w->address[0] != '\0' ? w->address : "127.0.0.1:0",
                                            .on_accept = on_accept,
                                            .user_data = raw};
    assert_int_equal(wst_listener_new(&raw->listener, w->peers, &options), 0);
    snprintf(w->address, sizeof(w->address), "%s", wst_listener_address(raw->listener));
}

static void on_raw_closed(void *user_data) {
    ((agent_raw_t *)user_data)->listener_closed++;
}

void agent_raw_stop_listening(agent_raw_t *raw) {
    if (raw->listener == NULL)
        return;
    wst_listener_close(raw->listener, on_raw_closed);
    raw->listener = NULL;
    test_env_until_count(&raw->w->env, &raw->listener_closed, 1);
}

static bool is_alone(void *arg) {
    return ((agent_raw_t *)arg)->live == 0;
}

void agent_raw_free(agent_raw_t *raw) {
    agent_raw_stop_listening(raw);
    test_env_until(&raw->w->env, is_alone, raw); /* the agent must have gone */
}

void agent_raw_say(agent_raw_t *raw, const char *text) {
    assert_non_null(raw->ws);
    assert_true(wst_websocket_send(raw->ws, true, wst_slice_static(text, strlen(text))) >= 0);
}

void agent_raw_leave(agent_raw_t *raw, agent_raw_sequel_t how) {
    assert_non_null(raw->last);
    if (how == AGENT_RAW_THEN_END)
        wst_websocket_end(raw->ws, 1001, NULL);
    else if (how == AGENT_RAW_THEN_RESET)
        close_conn(raw->last);
}

void agent_raw_cut(agent_raw_t *raw, size_t count) {
    for (; count > 0; count--) {
        assert_non_null(raw->open);
        close_conn(raw->open);
    }
}

typedef struct awaited {
    const agent_raw_t *raw;
    const char *text;
} awaited_t;

static bool is_heard(void *arg) {
    const awaited_t *a = arg;
    return strstr(a->raw->heard, a->text) != NULL;
}

void agent_raw_expect(agent_raw_t *raw, const char *text) {
    awaited_t a = {raw, text};
    test_env_until(&raw->w->env, is_heard, &a);
}

/* A destination -------------------------------------------------------------------------------- */

static void on_visitor(wst_listener_t *listener, wst_stream_t *stream, void *user_data) {
    agent_place_t *place = user_data;
    (void)listener;
    assert_true(place->count < sizeof(place->owners) / sizeof(place->owners[0]));
    sockets_owner_t *owner = &place->owners[place->count++];
    owner->patterned = true;
    sockets_own(owner, stream);
    wst_stream_read_start(stream, 0);
}

void agent_place_open(agent_world_t *w, agent_place_t *place) {
    memset(place, 0, sizeof(*place));
    place->w = w;
    const wst_listener_options_t options = {.size = sizeof(options),
                                            .address = "127.0.0.1:0",
                                            .on_accept = on_visitor,
                                            .user_data = place};
    assert_int_equal(wst_listener_new(&place->listener, w->peers, &options), 0);
    snprintf(place->address, sizeof(place->address), "%s", wst_listener_address(place->listener));
}

static void on_place_closed(void *user_data) {
    ((agent_place_t *)user_data)->listener_closed++;
}

void agent_place_free(agent_place_t *place) {
    for (size_t i = 0; i < place->count; i++) {
        sockets_close_owned(&place->owners[i]);
        test_env_until_count(&place->w->env, &place->owners[i].closed, 1);
    }
    wst_listener_close(place->listener, on_place_closed);
    test_env_until_count(&place->w->env, &place->listener_closed, 1);
}

/* A tunnel ------------------------------------------------------------------------------------- */

static void on_dialled(int status, wst_stream_t *stream, void *user_data) {
    agent_tunnel_t *t = user_data;
    t->dial = NULL;
    t->status = status;
    t->done++;
    if (status != 0)
        return;
    t->owner.patterned = true;
    sockets_own(&t->owner, stream);
    wst_stream_read_start(stream, 0);
}

void agent_tunnel_start(agent_world_t *w, agent_tunnel_t *t, const char *destination) {
    memset(t, 0, sizeof(*t));
    t->w = w;
    const wst_flow_options_t options = {.size = sizeof(options), .destination = destination};
    assert_int_equal(wst_server_dial(&t->dial, w->server, &options, on_dialled, t), 0);
}

void agent_tunnel_open(agent_world_t *w, agent_tunnel_t *t, const char *destination, int status) {
    agent_tunnel_start(w, t, destination);
    test_env_until_count(&w->env, &t->done, 1);
    if (t->status != status)
        fail_msg("%s: %s instead of %s", destination, wst_err_name(t->status),
                 wst_err_name(status));
}

void agent_tunnel_close(agent_tunnel_t *t) {
    if (t->dial != NULL)
        wst_server_dial_cancel(t->dial);
    t->dial = NULL;
    if (t->owner.stream != NULL && !t->closing)
        sockets_close_owned(&t->owner);
    t->closing = true;
}

void agent_tunnel_free(agent_tunnel_t *t) {
    agent_tunnel_close(t);
    if (t->owner.stream != NULL)
        test_env_until_count(&t->w->env, &t->owner.closed, 1);
}
