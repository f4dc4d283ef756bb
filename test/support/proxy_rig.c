/* SPDX-License-Identifier: MIT */
/* A proxy that does what it is told (proxy_rig.h). */
#include "proxy_rig.h"

#include <stdio.h>

static void on_closed(void *user_data) {
    fake_proxy_t *p = user_data;
    p->closed++;
}

static void drop(fake_proxy_t *p) {
    if (p->handshake != NULL) {
        wst_tls_handshake_cancel(p->handshake);
        p->closed++;
    }
    p->handshake = NULL;
    if (p->dial != NULL)
        wst_dial_cancel(p->dial);
    p->dial = NULL;
    if (p->pump != NULL)
        wst_pump_close(p->pump, NULL);
    p->pump = NULL;
    if (p->stream != NULL)
        wst_stream_close(p->stream, on_closed);
    p->stream = NULL;
}

void fake_proxy_reset(fake_proxy_t *p) {
    drop(p);
}

void fake_proxy_say(fake_proxy_t *p, const char *text, size_t len) {
    wst_slice_t slice;
    assert_int_equal(wst_slice_copy(&slice, p->ctx, text, len), 0);
    if (wst_stream_write(p->stream, &slice, 1) < 0)
        drop(p);
}

/* The length of the message that is complete, or 0. */
static size_t complete(const fake_proxy_t *p, const fake_proxy_turn_t *turn) {
    const char *message = p->heard + p->message;
    size_t len = p->heard_len - p->message;
    if (turn->bytes > 0)
        return len >= turn->bytes ? turn->bytes : 0;
    const char *end = strstr(message, "\r\n\r\n");
    return end != NULL ? (size_t)(end + 4 - message) : 0;
}

static void on_relay_over(wst_pump_t *pump, int status, void *user_data) {
    fake_proxy_t *p = user_data;
    (void)status;
    if (p->pump == pump)
        p->pump = NULL;
    wst_pump_close(pump, NULL);
}

static void on_relay(int status, wst_stream_t *stream, void *user_data) {
    fake_proxy_t *p = user_data;
    const wst_pump_options_t options = {
        .size = sizeof(options), .on_done = on_relay_over, .user_data = p};
    p->dial = NULL;
    if (status != 0) {
        drop(p);
        return;
    }
    assert_int_equal(wst_pump_new(&p->pump, p->ctx, p->stream, stream, &options), 0);
    p->stream = NULL;
    p->closed++; /* the pump does it */
}

/* What has come in already goes first. */
static void relay(fake_proxy_t *p) {
    const wst_dial_options_t options = {.size = sizeof(options),
                                        .host = "127.0.0.1",
                                        .port = (uint16_t)atoi(strchr(p->relay, ':') + 1)};
    wst_slice_t rest;
    wst_stream_read_stop(p->stream);
    assert_int_equal(
        wst_slice_copy(&rest, p->ctx, p->heard + p->message, p->heard_len - p->message), 0);
    assert_int_equal(wst_stream_unread(p->stream, rest), 0);
    assert_int_equal(wst_dial(&p->dial, p->ctx, &options, on_relay, p), 0);
}

static void take_turns(fake_proxy_t *p) {
    while (p->stream != NULL && !p->mute) {
        const fake_proxy_turn_t *turn = &p->turns[p->turn];
        if (p->turn == FAKE_PROXY_TURNS ||
            (turn->bytes == 0 && turn->len == 0 && turn->then == PROXY_STAYS)) {
            size_t len = p->heard_len - p->message;
            if (len > 0)
                fake_proxy_say(p, p->heard + p->message, len);
            p->message = p->heard_len;
            return;
        }
        size_t len = complete(p, turn);
        if (len == 0)
            return;
        p->message += len;
        p->turn++;
        if (turn->len > 0)
            fake_proxy_say(p, turn->says, turn->len);
        if (p->stream == NULL || turn->then == PROXY_STAYS)
            continue;
        if (turn->then == PROXY_JOINS)
            relay(p);
        else if (turn->then == PROXY_RESETS)
            drop(p);
        else if (wst_stream_shutdown(p->stream) != 0)
            drop(p);
        return;
    }
}

static void on_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    fake_proxy_t *p = user_data;
    if (stream != p->stream)
        return;
    assert_true(p->heard_len + data.len < sizeof(p->heard));
    memcpy(p->heard + p->heard_len, data.data, data.len);
    p->heard_len += data.len;
    p->heard[p->heard_len] = '\0';
    take_turns(p);
}

static void on_end(wst_stream_t *stream, void *user_data) {
    fake_proxy_t *p = user_data;
    if (stream == p->stream)
        drop(p);
}

static void on_error(wst_stream_t *stream, int error, void *user_data) {
    (void)error;
    on_end(stream, user_data);
}

static void attend(fake_proxy_t *p, wst_stream_t *stream) {
    static const wst_stream_callbacks_t callbacks = {
        .size = sizeof(callbacks), .on_read = on_read, .on_end = on_end, .on_error = on_error};
    p->stream = stream;
    wst_stream_set_callbacks(stream, &callbacks, p);
    wst_stream_read_start(stream, 0);
}

static void on_tls(int status, wst_stream_t *stream, const char *detail, void *user_data) {
    fake_proxy_t *p = user_data;
    (void)detail;
    p->handshake = NULL;
    if (status == 0)
        attend(p, stream);
    else
        p->closed++;
}

static void on_accept(wst_listener_t *listener, wst_stream_t *stream, void *user_data) {
    fake_proxy_t *p = user_data;
    (void)listener;
    drop(p); /* who comes anew has done with the one before */
    p->accepted++;
    p->heard_len = p->message = 0;
    p->heard[0] = '\0';
    if (p->tls == NULL || p->mute) {
        attend(p, stream);
        return;
    }
    const wst_tls_handshake_options_t options = {.size = sizeof(options), .config = p->tls};
    assert_int_equal(wst_tls_handshake(&p->handshake, stream, &options, on_tls, p), 0);
}

static void on_ctx_closed(void *user_data) {
    fake_proxy_t *p = user_data;
    p->ctx_closed++;
}

void fake_proxy_open(fake_proxy_t *p, test_env_t *env) {
    const wst_ctx_options_t ctx_options = {.size = sizeof(ctx_options), .user_data = p};
    const wst_listener_options_t options = {.size = sizeof(options),
                                            .address = "127.0.0.1:0",
                                            .backlog = 1,
                                            .on_accept = on_accept,
                                            .user_data = p};
    memset(p, 0, sizeof(*p));
    assert_int_equal(wst_ctx_new(&p->ctx, &env->loop, &ctx_options), 0);
    assert_int_equal(wst_listener_new(&p->listener, p->ctx, &options), 0);
    snprintf(p->address, sizeof(p->address), "%s", wst_listener_address(p->listener));
}

void fake_proxy_close(fake_proxy_t *p, test_env_t *env) {
    drop(p);
    if (p->listener != NULL)
        wst_listener_close(p->listener, NULL);
    wst_ctx_close(p->ctx, on_ctx_closed);
    test_env_until_count(env, &p->ctx_closed, 1);
    assert_int_equal(p->closed, p->accepted);
}
