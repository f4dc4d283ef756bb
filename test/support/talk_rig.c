/* SPDX-License-Identifier: MIT */
#include "talk_rig.h"

#include <stdio.h>

static talk_side_t *enter(void *user_data) {
    talk_side_t *side = user_data;
    assert_int_equal(side->rig->busy, 0);
    assert_false(side->closing);
    side->rig->busy++;
    return side;
}

static talk_side_t *uplink_enter(const wst__uplink_t *uplink, void *user_data) {
    talk_side_t *side = enter(user_data);
    assert_ptr_equal(uplink, side->uplink);
    assert_int_equal(side->downs, 0);
    return side;
}

static void leave(talk_side_t *side) {
    side->rig->busy--;
}

static void own(talk_side_t *side, wst_stream_t *stream) {
    side->owner.patterned = true;
    sockets_own(&side->owner, stream);
}

/* Calls -------------------------------------------------------------------------------------- */

static void on_answer(int status, wst_str_t text, wst_stream_t *stream, void *user_data) {
    talk_side_t *side = user_data;
    assert_int_equal(side->rig->busy, 0);
    side->rig->busy++;
    side->answers++;
    side->open = NULL;
    side->status = status;
    snprintf(side->text, sizeof(side->text), "%.*s", (int)text.len, text.len > 0 ? text.ptr : "");
    assert_true((status == 0) == (stream != NULL));
    if (stream != NULL)
        own(side, stream);
    leave(side);
}

int talk_ask(talk_side_t *server, const char *dest) {
    websocket_rig_call(server->rig);
    int can_open = server->uplink->ops->can_open(server->uplink);
    int status =
        server->uplink->ops->open(server->uplink, &server->open, dest, NULL, on_answer, server);
    websocket_rig_called(server->rig);
    assert_true(can_open == 0 || status == can_open);
    return status;
}

int talk_accept(talk_side_t *agent) {
    wst_stream_t *stream;
    websocket_rig_call(agent->rig);
    int status = agent->incoming->ops->accept(agent->incoming, "", &stream);
    websocket_rig_called(agent->rig);
    if (status != 0)
        return status;
    agent->incoming = NULL;
    own(agent, stream);
    return 0;
}

void talk_refuse(talk_side_t *agent, const char *text) {
    websocket_rig_call(agent->rig);
    agent->incoming->ops->refuse(agent->incoming, WST_EREFUSED, text);
    websocket_rig_called(agent->rig);
    agent->incoming = NULL;
}

void talk_cancel(talk_side_t *server) {
    websocket_rig_call(server->rig);
    wst__opening_cancel(server->open);
    websocket_rig_called(server->rig);
    server->open = NULL;
}

void talk_end(talk_side_t *side, int code, const char *reason) {
    websocket_rig_call(side->rig);
    side->uplink->ops->end(side->uplink, code, reason, false);
    websocket_rig_called(side->rig);
}

void talk_close(talk_side_t *side) {
    side->closing = true;
    websocket_rig_call(side->rig);
    side->uplink->ops->close(side->uplink);
    websocket_rig_called(side->rig);
}

/* Callbacks ---------------------------------------------------------------------------------- */

static int on_up(wst__uplink_t *uplink, const wst_hello_t *hello, void *user_data) {
    talk_side_t *side = uplink_enter(uplink, user_data);
    side->opens++;
    snprintf(side->name, sizeof(side->name), "%.*s", (int)hello->name.len, hello->name.ptr);
    assert_false(hello->has_instance);
    side->conn = hello->conn;
    if (side->ask_early != NULL && talk_ask(side, side->ask_early) != 0)
        talk_end(side, 1011, "no memory");
    leave(side);
    return 0;
}

/* After a close, too. */
static void on_gone(wst__incoming_t *incoming, int reason, void *user_data) {
    talk_side_t *side = user_data;
    assert_int_equal(side->rig->busy, 0);
    assert_ptr_equal(incoming, side->incoming);
    side->incoming = NULL;
    side->gones++;
    side->gone_reason = reason;
}

static void on_incoming(wst__uplink_t *uplink, wst__incoming_t *incoming, wst_str_t dest,
                        void *user_data) {
    talk_side_t *side = uplink_enter(uplink, user_data);
    side->handshakes++;
    snprintf(side->dest, sizeof(side->dest), "%.*s", (int)dest.len, dest.ptr);
    assert_string_equal(incoming->peer, uplink->peer);
    side->incoming = incoming;
    incoming->on_gone = on_gone;
    incoming->user_data = side;
    if (side->policy == TALK_REFUSE || (side->policy == TALK_ACCEPT && talk_accept(side) != 0))
        talk_refuse(side, "connection refused");
    leave(side);
}

/* From inside any call. */
static void on_change(wst__uplink_t *uplink, void *user_data) {
    talk_side_t *side = user_data;
    (void)uplink;
    assert_false(side->closing);
    side->changes++;
}

static void on_goaway(wst__uplink_t *uplink, int reason, void *user_data) {
    talk_side_t *side = uplink_enter(uplink, user_data);
    assert_true(side->client);
    assert_int_equal(reason, 0);
    side->spents++;
    assert_int_equal(side->spents, 1);
    leave(side);
}

static void on_down(wst__uplink_t *uplink, int error, int http_status, const char *detail,
                    void *user_data) {
    talk_side_t *side = uplink_enter(uplink, user_data);
    assert_true(side->owner.stream == NULL || side->owner.closed + side->owner.errors > 0);
    side->downs++;
    side->error = error;
    side->http_status = http_status;
    assert_true(error <= 0 && (error == 0 || detail[0] != '\0'));
    snprintf(side->detail, sizeof(side->detail), "%s", detail);
    leave(side);
    talk_close(side);
}

static void on_closed(void *user_data) {
    talk_side_t *side = user_data;
    assert_int_equal(side->rig->busy, 0);
    assert_int_equal(side->closed, 0);
    assert_null(side->incoming);
    side->closed++;
    side->uplink = NULL;
}

static const wst__uplink_callbacks_t callbacks = {.on_up = on_up,
                                                  .on_incoming = on_incoming,
                                                  .on_change = on_change,
                                                  .on_goaway = on_goaway,
                                                  .on_down = on_down,
                                                  .on_closed = on_closed};

static wst__uplink_options_t options_of(websocket_rig_t *rig, talk_side_t *side) {
    side->rig = rig;
    return (wst__uplink_options_t){.callbacks = &callbacks,
                                   .user_data = side,
                                   .name = side->given_name,
                                   .single = side->single,
                                   .half_closed_timeout_ms = side->patience_ms};
}

/* Life --------------------------------------------------------------------------------------- */

void talk_connect(websocket_rig_t *rig, talk_side_t *side) {
    const wst__uplink_options_t options = options_of(rig, side);
    const wst_websocket_options_t websocket = {
        .size = sizeof(websocket), .host = "a.test", .path = "/websocket"};
    side->client = true;
    websocket_rig_call(rig);
    side->open_status =
        wst__talk_kind.connect(&side->uplink, rig->ctx, rig->client.stream, &websocket, &options);
    websocket_rig_called(rig);
    if (side->open_status == 0)
        rig->client.stream = NULL;
}

static void on_hijack_closed(void *user_data) {
    ((talk_side_t *)user_data)->hijack = NULL;
}

static void on_request(wst_hijack_t *hijack, const wst_http_head_t *head, void *user_data) {
    talk_side_t *side = user_data;
    (void)head;
    const wst__uplink_options_t options = options_of(side->rig, side);
    websocket_rig_call(side->rig);
    side->open_status = wst__talk_kind.accept(&side->uplink, side->rig->ctx, hijack, &options);
    wst_hijack_close(hijack, on_hijack_closed);
    websocket_rig_called(side->rig);
}

static void on_hijack_done(wst_hijack_t *hijack, int status, void *user_data) {
    (void)status, (void)user_data;
    wst_hijack_close(hijack, on_hijack_closed);
}

void talk_serve(websocket_rig_t *rig, talk_side_t *side) {
    const wst_hijack_options_t options = {.size = sizeof(options),
                                          .on_request = on_request,
                                          .on_done = on_hijack_done,
                                          .user_data = side};
    side->rig = rig;
    websocket_rig_call(rig);
    side->open_status = wst_hijack_new(&side->hijack, rig->ctx, rig->server.stream, &options);
    websocket_rig_called(rig);
    if (side->open_status == 0)
        rig->server.stream = NULL;
}

void talk_start(websocket_rig_t *rig, talk_side_t *agent, talk_side_t *server) {
    assert_true(websocket_rig_init(rig));
    assert_true(websocket_rig_join(rig, false));
    talk_serve(rig, server);
    talk_connect(rig, agent);
    websocket_rig_until(rig, &agent->opens, 1);
    websocket_rig_until(rig, &server->opens, 1);
}

void talk_start_stream(websocket_rig_t *rig, talk_side_t *agent, talk_side_t *server,
                       bool reading) {
    talk_start(rig, agent, server);
    assert_int_equal(talk_ask(server, "host:1"), 0);
    websocket_rig_until(rig, &server->answers, 1);
    assert_int_equal(server->status, 0);
    if (!reading)
        return;
    wst_stream_read_start(agent->owner.stream, 0);
    wst_stream_read_start(server->owner.stream, 0);
}

static void on_watchdog(uv_timer_t *timer) {
    (void)timer;
    fail_msg("nothing happens any more");
}

void talk_until(websocket_rig_t *rig, const size_t *counter, size_t n) {
    uv_timer_start(&rig->watchdog, on_watchdog, 10000, 0);
    while (*counter < n)
        uv_run(&rig->loop, UV_RUN_ONCE);
    uv_timer_stop(&rig->watchdog);
}

static void close_side(talk_side_t *side) {
    if (side->owner.stream != NULL && side->owner.closed == 0)
        sockets_close_owned(&side->owner);
    else if (side->uplink != NULL && !side->closing)
        talk_close(side);
    if (side->hijack != NULL)
        wst_hijack_close(side->hijack, on_hijack_closed);
}

void talk_free(websocket_rig_t *rig, talk_side_t *agent, talk_side_t *server) {
    if (agent != NULL)
        close_side(agent);
    if (server != NULL)
        close_side(server);
    websocket_rig_free(rig);
    const talk_side_t *sides[] = {agent, server};
    for (size_t i = 0; i < 2; i++) {
        if (sides[i] == NULL)
            continue;
        assert_null(sides[i]->uplink);
        assert_null(sides[i]->hijack);
        assert_true(sides[i]->owner.stream == NULL || sides[i]->owner.closed == 1);
    }
}
