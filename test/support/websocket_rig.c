/* SPDX-License-Identifier: MIT */
/* Two WebSockets in one loop: making and ending them, and recording what they tell. */
#include "websocket_rig.h"
#include "socket_pair.h"

#include <stdio.h>
#include <unistd.h>

#include "ws_handshake.h"
#include <wstunnel/socket.h>

/* Callbacks ---------------------------------------------------------------------------------- */

static void on_closed(void *user_data) {
    websocket_side_t *side = user_data;
    assert_int_equal(side->rig->busy, 0);
    assert_true(side->closing);
    assert_int_equal(side->closed, 0);
    side->closed++;
    side->ws = NULL;
}

void websocket_side_close(websocket_side_t *side) {
    side->closing = true;
    websocket_rig_call(side->rig);
    wst_websocket_close(side->ws, on_closed);
    websocket_rig_called(side->rig);
}

static websocket_side_t *enter(wst_websocket_t *ws, void *user_data) {
    websocket_side_t *side = user_data;
    assert_int_equal(side->rig->busy, 0);
    assert_false(side->closing);
    assert_int_equal(side->overs, 0);
    assert_ptr_equal(ws, side->ws);
    side->rig->busy++;
    return side;
}

static void leave(websocket_side_t *side, websocket_event_t event) {
    if (side->act != NULL)
        side->act(side, event);
    if (side->close_in == event && !side->closing)
        websocket_side_close(side);
    side->rig->busy--;
}

static void on_open(wst_websocket_t *ws, const char *protocol, void *user_data) {
    websocket_side_t *side = enter(ws, user_data);
    assert_int_equal(side->opens, 0);
    side->opens++;
    snprintf(side->protocol, sizeof(side->protocol), "%s", protocol);
    leave(side, WEBSOCKET_OPEN);
}

static void on_message(wst_websocket_t *ws, bool text, wst_slice_t piece, bool fin,
                       void *user_data) {
    websocket_side_t *side = enter(ws, user_data);
    assert_int_equal(side->opens, 1);
    side->pieces++;
    side->messages += fin;
    side->texts += fin && text;
    if (side->received_len + piece.len > side->received_size) {
        side->received_size = 2 * (side->received_len + piece.len);
        side->received = realloc(side->received, side->received_size);
        assert_non_null(side->received);
    }
    if (piece.len > 0)
        memcpy(side->received + side->received_len, piece.data, piece.len);
    side->received_len += piece.len;
    leave(side, WEBSOCKET_MESSAGE);
}

static void on_drain(wst_websocket_t *ws, void *user_data) {
    websocket_side_t *side = enter(ws, user_data);
    side->drains++;
    leave(side, WEBSOCKET_DRAIN);
}

static void on_over(wst_websocket_t *ws, int error, const char *detail, void *user_data) {
    websocket_side_t *side = enter(ws, user_data);
    side->overs++;
    side->error = error;
    side->http_status = wst_websocket_http_status(ws);
    snprintf(side->detail, sizeof(side->detail), "%s", detail);
    leave(side, WEBSOCKET_OVER);
}

static void on_hijack_done(wst_hijack_t *hijack, int status, void *user_data) {
    (void)hijack, (void)status;
    ((websocket_side_t *)user_data)->hijack_done = true;
}

static void on_hijack_closed(void *user_data) {
    ((websocket_side_t *)user_data)->hijack = NULL;
}

static void on_request(wst_hijack_t *hijack, const wst_http_head_t *head, void *user_data) {
    websocket_side_t *side = user_data;
    (void)head;
    websocket_rig_call(side->rig);
    side->accept_status = wst_websocket_accept(&side->ws, side->rig->ctx, hijack, &side->options);
    if (side->accept_status == 0)
        wst_hijack_close(hijack, on_hijack_closed);
    websocket_rig_called(side->rig);
}

/* Life --------------------------------------------------------------------------------------- */

static void init_side(websocket_rig_t *rig, websocket_side_t *side) {
    static const wst_websocket_callbacks_t callbacks = {sizeof(callbacks), on_open, on_message,
                                                        on_drain, on_over};
    side->rig = rig;
    side->options = (wst_websocket_options_t){.size = sizeof(wst_websocket_options_t),
                                              .callbacks = &callbacks,
                                              .user_data = side,
                                              .host = "a.test"};
}

bool websocket_rig_init(websocket_rig_t *rig) {
    memset(rig, 0, sizeof(*rig));
    init_side(rig, &rig->client);
    init_side(rig, &rig->server);
    assert_int_equal(uv_loop_init(&rig->loop), 0);
    uv_timer_init(&rig->loop, &rig->watchdog);
    const wst_ctx_options_t options = {.size = sizeof(options), .allocator = &test_allocator};
    return wst_ctx_new(&rig->ctx, &rig->loop, &options) == 0;
}

static void end_side(websocket_side_t *side) {
    if (side->ws != NULL && !side->closing)
        websocket_side_close(side);
    if (side->hijack != NULL)
        wst_hijack_close(side->hijack, on_hijack_closed);
    if (side->stream != NULL)
        wst_stream_close(side->stream, NULL);
}

static size_t handles(const websocket_rig_t *rig) {
    wst_ctx_stats_t stats = {.size = sizeof(stats)};
    wst_ctx_get_stats(rig->ctx, &stats);
    return stats.handles;
}

void websocket_rig_free(websocket_rig_t *rig) {
    if (rig->ctx != NULL) {
        end_side(&rig->client);
        end_side(&rig->server);
        for (int i = 0; i < 100 && handles(rig) > 0; i++)
            websocket_rig_turns(rig, 1);
        wst_ctx_stats_t stats = {.size = sizeof(stats)};
        wst_ctx_get_stats(rig->ctx, &stats);
        assert_int_equal(stats.handles, 0);
        assert_int_equal(stats.chunks, 0);
        assert_int_equal(stats.budget_used, 0);
        wst_ctx_close(rig->ctx, NULL);
    }
    uv_close((uv_handle_t *)&rig->watchdog, NULL);
    uv_run(&rig->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&rig->loop), 0);
    websocket_side_t *sides[] = {&rig->client, &rig->server};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(sides[i]->closed, sides[i]->closing);
        if (sides[i]->is_fake)
            fake_stream_free(&sides[i]->fake);
        free(sides[i]->received);
    }
    assert_int_equal(test_alloc_live(), 0);
}

void websocket_rig_call(websocket_rig_t *rig) {
    rig->busy++;
}

void websocket_rig_called(websocket_rig_t *rig) {
    rig->busy--;
}

void websocket_rig_turns(websocket_rig_t *rig, int n) {
    for (int i = 0; i < n; i++)
        uv_run(&rig->loop, UV_RUN_NOWAIT);
}

static void on_watchdog(uv_timer_t *timer) {
    (void)timer;
    fail_msg("nothing happens any more");
}

void websocket_rig_until(websocket_rig_t *rig, const int *counter, int n) {
    uv_timer_start(&rig->watchdog, on_watchdog, 10000, 0);
    while (*counter < n)
        uv_run(&rig->loop, UV_RUN_ONCE);
    uv_timer_stop(&rig->watchdog);
}

void websocket_rig_pass(websocket_rig_t *rig, uint64_t ms) {
    wst__deadlines_run(&rig->ctx->deadlines, wst__now(rig->ctx) + ms);
}

/* Streams ------------------------------------------------------------------------------------ */

bool websocket_side_fake(websocket_side_t *side) {
    if (fake_stream_open(&side->fake, side->rig->ctx) != 0)
        return false;
    side->is_fake = true;
    side->stream = side->fake.stream;
    return true;
}

bool websocket_side_open(websocket_side_t *side, int fd, bool is_unix) {
    int status = wst_socket_open(&side->stream, side->rig->ctx, fd, is_unix);
    if (status != 0)
        close(fd);
    assert_true(status == 0 || status == WST_ENOMEM);
    return status == 0;
}

bool websocket_rig_join(websocket_rig_t *rig, bool tcp) {
    int fds[2];
    socket_pair(fds, tcp);
    bool opened = websocket_side_open(&rig->client, fds[0], !tcp);
    return websocket_side_open(&rig->server, fds[1], !tcp) && opened;
}

/* Making WebSockets -------------------------------------------------------------------------- */

int websocket_rig_connect(websocket_rig_t *rig) {
    websocket_side_t *side = &rig->client;
    websocket_rig_call(rig);
    int status = wst_websocket_connect(&side->ws, rig->ctx, side->stream, &side->options);
    websocket_rig_called(rig);
    if (status == 0)
        side->stream = NULL;
    return status;
}

int websocket_rig_serve(websocket_rig_t *rig) {
    websocket_side_t *side = &rig->server;
    const wst_hijack_options_t options = {.size = sizeof(options),
                                          .on_request = on_request,
                                          .on_done = on_hijack_done,
                                          .user_data = side};
    websocket_rig_call(rig);
    int status = wst_hijack_new(&side->hijack, rig->ctx, side->stream, &options);
    websocket_rig_called(rig);
    if (status == 0)
        side->stream = NULL;
    return status;
}

void websocket_rig_start(websocket_rig_t *rig, bool tcp) {
    assert_true(websocket_rig_init(rig));
    assert_true(websocket_rig_join(rig, tcp));
    assert_int_equal(websocket_rig_serve(rig), 0);
    assert_int_equal(websocket_rig_connect(rig), 0);
    websocket_rig_until(rig, &rig->client.opens, 1);
    websocket_rig_until(rig, &rig->server.opens, 1);
}

int websocket_side_send(websocket_side_t *side, bool text, const void *data, size_t len) {
    wst_slice_t slice;
    int status = wst_slice_copy(&slice, side->rig->ctx, data, len);
    if (status != 0)
        return status;
    websocket_rig_call(side->rig);
    status = wst_websocket_send(side->ws, text, slice);
    websocket_rig_called(side->rig);
    return status;
}

/* By hand ------------------------------------------------------------------------------------ */

void websocket_side_script(websocket_side_t *side, const void *data, size_t len) {
    fake_stream_data(&side->fake, data, len);
}

size_t websocket_side_answer(const websocket_side_t *client, const char *head, char *out,
                             size_t cap) {
    static const char field[] = "\r\nSec-WebSocket-Key: ";
    char request[4096];
    assert_true(client->fake.written_len < sizeof(request));
    memcpy(request, client->fake.written, client->fake.written_len);
    request[client->fake.written_len] = '\0';
    const char *at = strstr(request, field);
    assert_non_null(at);
    char accept[WST__WS_ACCEPT_LEN + 1];
    assert_int_equal(wst__ws_accept(accept, (wst_str_t){at + strlen(field), WST__WS_KEY_LEN}), 0);
    const char *place = strchr(head, '@');
    int len = place == NULL
                  ? snprintf(out, cap, "%s", head)
                  : snprintf(out, cap, "%.*s%s%s", (int)(place - head), head, accept, place + 1);
    assert_true(len > 0 && (size_t)len < cap);
    return (size_t)len;
}

size_t websocket_rig_frame(uint8_t *out, int opcode, bool fin, bool masked, const void *payload,
                           size_t len) {
    size_t n = 0;
    assert_true(len < 65536);
    out[n++] = (uint8_t)(opcode | (fin ? 0x80 : 0));
    out[n++] = (uint8_t)((len < 126 ? len : 126) | (masked ? 0x80 : 0));
    if (len >= 126) {
        out[n++] = (uint8_t)(len >> 8);
        out[n++] = (uint8_t)len;
    }
    if (masked) {
        memset(out + n, 0, 4);
        n += 4;
    }
    if (len > 0)
        memcpy(out + n, payload, len);
    return n + len;
}
