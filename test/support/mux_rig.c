/* SPDX-License-Identifier: MIT */
/* Two muxes in one loop: making and ending them, and recording what they and their streams tell. */
#include "mux_rig.h"

#include "defaults.h"
#include "socket_pair.h"

#include <stdio.h>
#include <unistd.h>
#include <wstunnel/socket.h>

mux_side_t *mux_rig_other(mux_side_t *side) {
    return side == &side->rig->client ? &side->rig->server : &side->rig->client;
}

static void enter(mux_rig_t *rig) {
    assert_int_equal(rig->busy, 0);
    rig->busy++;
}

static void leave(mux_side_t *side, mux_event_t event) {
    if (side->rig->act != NULL)
        side->rig->act(side->rig, side, event);
    side->rig->busy--;
}

/* Streams ------------------------------------------------------------------------------------ */

static mux_side_t *side_of(mux_probe_t *probe) {
    return probe == &probe->rig->client.probe ? &probe->rig->client : &probe->rig->server;
}

static mux_probe_t *probe_enter(wst_stream_t *stream, void *user_data) {
    mux_probe_t *probe = user_data;
    enter(probe->rig);
    assert_ptr_equal(stream, probe->stream);
    assert_false(probe->closing);
    assert_int_equal(probe->errors, 0);
    return probe;
}

static void on_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    mux_probe_t *probe = probe_enter(stream, user_data);
    assert_true(data.len > 0);
    assert_int_equal(probe->ends, 0);
    if (probe->received_len + data.len > probe->received_size) {
        probe->received_size = 2 * (probe->received_len + data.len);
        probe->received = realloc(probe->received, probe->received_size);
        assert_non_null(probe->received);
    }
    memcpy(probe->received + probe->received_len, data.data, data.len);
    probe->received_len += data.len;
    probe->reads++;
    leave(side_of(probe), MUX_READ);
}

static void on_end(wst_stream_t *stream, void *user_data) {
    mux_probe_t *probe = probe_enter(stream, user_data);
    probe->ends++;
    leave(side_of(probe), MUX_END);
}

static void on_drain(wst_stream_t *stream, void *user_data) {
    mux_probe_t *probe = probe_enter(stream, user_data);
    probe->drains++;
    leave(side_of(probe), MUX_DRAIN);
}

static void on_shutdown(wst_stream_t *stream, void *user_data) {
    mux_probe_t *probe = probe_enter(stream, user_data);
    probe->shutdowns++;
    leave(side_of(probe), MUX_SHUTDOWN);
}

static void on_error(wst_stream_t *stream, int error, void *user_data) {
    mux_probe_t *probe = probe_enter(stream, user_data);
    probe->errors++;
    probe->error = error;
    leave(side_of(probe), MUX_ERROR);
}

static const wst_stream_callbacks_t stream_callbacks = {
    sizeof(stream_callbacks), on_read, on_end, on_drain, on_shutdown, on_error};

static void on_stream_closed(void *user_data) {
    mux_probe_t *probe = user_data;
    assert_int_equal(probe->rig->busy, 0);
    assert_true(probe->closing);
    probe->closed++;
    probe->stream = NULL;
}

/* A new stream; what the last one told is forgotten. */
static void probe_start(mux_side_t *side, wst_stream_t *stream) {
    mux_probe_t *probe = &side->probe;
    assert_null(probe->stream);
    free(probe->received);
    *probe = (mux_probe_t){.rig = side->rig, .stream = stream};
    wst_stream_set_callbacks(stream, &stream_callbacks, probe);
    wst_stream_read_start(stream, 0);
}

void mux_probe_read(mux_probe_t *probe, bool wanted) {
    probe->rig->busy++;
    if (wanted)
        wst_stream_read_start(probe->stream, 0);
    else
        wst_stream_read_stop(probe->stream);
    probe->rig->busy--;
}

int mux_probe_write(mux_probe_t *probe, const void *data, size_t len) {
    wst_slice_t slice;
    int status = wst_slice_copy(&slice, probe->rig->ctx, data, len);
    if (status != 0)
        return status;
    probe->rig->busy++;
    status = wst_stream_write(probe->stream, &slice, 1);
    probe->rig->busy--;
    return status;
}

int mux_probe_shutdown(mux_probe_t *probe) {
    probe->rig->busy++;
    int status = wst_stream_shutdown(probe->stream);
    probe->rig->busy--;
    return status;
}

void mux_probe_reset(mux_probe_t *probe, int reason) {
    probe->closing = true;
    probe->rig->busy++;
    if (reason != 0)
        wst_stream_reset(probe->stream, reason, on_stream_closed);
    else
        wst_stream_close(probe->stream, on_stream_closed);
    probe->rig->busy--;
}

/* Muxes -------------------------------------------------------------------------------------- */

static mux_side_t *mux_enter(const wst__uplink_t *uplink, void *user_data) {
    mux_side_t *side = user_data;
    enter(side->rig);
    assert_ptr_equal(uplink, side->uplink);
    assert_false(side->closing);
    assert_int_equal(side->downs, 0);
    return side;
}

static int on_up(wst__uplink_t *uplink, const wst_hello_t *hello, void *user_data) {
    mux_side_t *side = mux_enter(uplink, user_data);
    side->ups++;
    snprintf(side->name, sizeof(side->name), "%.*s", (int)hello->name.len,
             hello->name.len > 0 ? hello->name.ptr : "");
    leave(side, MUX_UP);
    return side->up_result;
}

static void on_gone(wst__incoming_t *incoming, int reason, void *user_data) {
    mux_side_t *side = user_data;
    enter(side->rig);
    assert_ptr_equal(incoming, side->incoming);
    side->incoming = NULL;
    side->gone++;
    side->gone_reason = reason;
    leave(side, MUX_GONE);
}

static void on_incoming(wst__uplink_t *uplink, wst__incoming_t *incoming, wst_str_t dest,
                        void *user_data) {
    mux_side_t *side = mux_enter(uplink, user_data);
    side->incomings++;
    snprintf(side->dest, sizeof(side->dest), "%.*s", (int)dest.len, dest.ptr);
    assert_string_equal(incoming->peer, uplink->peer);
    wst_stream_t *stream;
    if (side->policy == MUX_HOLD && side->incoming == NULL) {
        side->incoming = incoming;
        incoming->on_gone = on_gone;
        incoming->user_data = side;
    } else if (side->policy == MUX_ACCEPT && incoming->ops->accept(incoming, "", &stream) == 0) {
        probe_start(side, stream);
    } else {
        incoming->ops->refuse(incoming, UV_ECONNREFUSED, "nobody there");
    }
    leave(side, MUX_INCOMING);
}

/* From inside any call. */
static void on_change(wst__uplink_t *uplink, void *user_data) {
    mux_side_t *side = user_data;
    assert_ptr_equal(uplink, side->uplink);
    assert_false(side->closing);
    side->changes++;
}

static void on_goaway(wst__uplink_t *uplink, int reason, void *user_data) {
    mux_side_t *side = mux_enter(uplink, user_data);
    side->goaways++;
    side->goaway_reason = reason;
    leave(side, MUX_GOAWAY);
}

static void on_down(wst__uplink_t *uplink, int error, int http_status, const char *detail,
                    void *user_data) {
    mux_side_t *side = mux_enter(uplink, user_data);
    side->downs++;
    side->error = error;
    side->http_status = http_status;
    snprintf(side->detail, sizeof(side->detail), "%s", detail);
    leave(side, MUX_DOWN);
}

static void on_closed(void *user_data) {
    mux_side_t *side = user_data;
    assert_int_equal(side->rig->busy, 0);
    assert_true(side->closing);
    side->closed++;
    side->uplink = NULL;
}

static const wst__uplink_callbacks_t callbacks = {on_up,     on_incoming, on_change,
                                                  on_goaway, on_down,     on_closed};
static const wst__uplink_callbacks_t callbacks_of_who_takes_none = {
    .on_up = on_up, .on_goaway = on_goaway, .on_down = on_down, .on_closed = on_closed};

void mux_side_takes_none(mux_side_t *side) {
    side->options.callbacks = &callbacks_of_who_takes_none;
}

void mux_side_close(mux_side_t *side) {
    side->closing = true;
    side->rig->busy++;
    side->uplink->ops->close(side->uplink);
    side->rig->busy--;
}

void mux_side_end(mux_side_t *side, int code, const char *reason, bool lose) {
    side->rig->busy++;
    side->uplink->ops->end(side->uplink, code, reason, lose);
    side->rig->busy--;
}

void mux_side_goaway(mux_side_t *side) {
    side->rig->busy++;
    side->uplink->ops->goaway(side->uplink);
    side->rig->busy--;
}

static void on_answer(int status, wst_str_t text, wst_stream_t *stream, void *user_data) {
    mux_side_t *side = user_data;
    enter(side->rig);
    side->answers++;
    side->open = NULL;
    side->status = status;
    snprintf(side->text, sizeof(side->text), "%.*s", (int)text.len, text.len > 0 ? text.ptr : "");
    assert_int_equal(stream != NULL, status == 0);
    if (stream != NULL)
        probe_start(side, stream);
    leave(side, MUX_ANSWER);
}

int mux_side_open(mux_side_t *side, const char *dest) {
    side->rig->busy++;
    int can_open = side->uplink->ops->can_open(side->uplink);
    int status = side->uplink->ops->open(side->uplink, &side->open, dest, on_answer, side);
    side->rig->busy--;
    assert_true(can_open == 0 || status == can_open);
    return status;
}

wst_websocket_t *mux_side_websocket(const mux_side_t *side) {
    return side->plain ? side->websocket
                       : wst__carrier_websocket(wst__mux_carrier(wst__mux_of(side->uplink)));
}

wst__session_t *mux_side_session(const mux_side_t *side) {
    return wst__mux_session(wst__mux_of(side->uplink));
}

/* The upgrade -------------------------------------------------------------------------------- */

static void on_plain_over(wst_websocket_t *ws, int error, const char *detail, void *user_data) {
    mux_side_t *side = user_data;
    (void)ws;
    side->downs++;
    side->error = error;
    snprintf(side->detail, sizeof(side->detail), "%s", detail);
}

static void accept_plain(mux_side_t *side) {
    const wst_websocket_options_t options = {
        .size = sizeof(options),
        .callbacks = &(const wst_websocket_callbacks_t){.size = sizeof(wst_websocket_callbacks_t),
                                                        .on_over = on_plain_over},
        .user_data = side,
        .protocols = side->protocols};
    int status = wst_websocket_accept(&side->websocket, side->rig->ctx, side->hijack, &options);
    assert_true(status == 0 || status == WST_EHANDSHAKE);
}

static void on_hijack_closed(void *user_data) {
    ((mux_side_t *)user_data)->hijack = NULL;
}

static void on_request(wst_hijack_t *hijack, const wst_http_head_t *head, void *user_data) {
    mux_side_t *side = user_data;
    (void)head;
    if (side->plain)
        accept_plain(side);
    else
        side->open_status =
            wst__mux_kind.accept(&side->uplink, side->rig->ctx, hijack, &side->options);
    wst_hijack_close(hijack, on_hijack_closed);
}

static void on_hijack_done(wst_hijack_t *hijack, int status, void *user_data) {
    (void)status, (void)user_data;
    wst_hijack_close(hijack, on_hijack_closed);
}

static bool serve(mux_side_t *side) {
    const wst_hijack_options_t options = {.size = sizeof(options),
                                          .on_request = on_request,
                                          .on_done = on_hijack_done,
                                          .user_data = side};
    if (wst_hijack_new(&side->hijack, side->rig->ctx, side->stream, &options) != 0)
        return false;
    side->stream = NULL;
    return true;
}

int mux_side_dial(mux_side_t *side) {
    const wst_websocket_options_t websocket = {.size = sizeof(websocket), .host = "a.test"};
    int status = wst__mux_kind.connect(&side->uplink, side->rig->ctx, side->stream, &websocket,
                                       &side->options);
    if (status == 0)
        side->stream = NULL;
    return status;
}

bool mux_rig_start(mux_rig_t *rig) {
    return serve(&rig->server) && mux_side_dial(&rig->client) == 0;
}

/* Life --------------------------------------------------------------------------------------- */

static void init_side(mux_rig_t *rig, mux_side_t *side) {
    side->rig = rig;
    side->probe.rig = rig;
    side->protocols = wst__mux_kind.subprotocols;
    side->options = (wst__uplink_options_t){.callbacks = &callbacks,
                                            .user_data = side,
                                            .hello.max_streams = WST__MAX_STREAMS,
                                            .window_max = 1}; /* windows stay as they are */
}

bool mux_rig_init(mux_rig_t *rig) {
    memset(rig, 0, sizeof(*rig));
    init_side(rig, &rig->client);
    init_side(rig, &rig->server);
    rig->client.options.hello.name = (wst_str_t){"agent-7", 7};
    rig->client.options.hello.has_instance = true;
    assert_int_equal(uv_loop_init(&rig->loop), 0);
    uv_timer_init(&rig->loop, &rig->watchdog);
    const wst_ctx_options_t options = {.size = sizeof(options), .allocator = &test_allocator};
    return wst_ctx_new(&rig->ctx, &rig->loop, &options) == 0;
}

static bool open_stream(mux_side_t *side, int fd, bool is_unix) {
    int status = wst_socket_open(&side->stream, side->rig->ctx, fd, is_unix);
    if (status != 0)
        close(fd);
    assert_true(status == 0 || status == WST_ENOMEM);
    return status == 0;
}

bool mux_rig_join(mux_rig_t *rig, bool tcp) {
    int fds[2];
    socket_pair(fds, tcp);
    bool opened = open_stream(&rig->client, fds[0], !tcp);
    return open_stream(&rig->server, fds[1], !tcp) && opened;
}

void mux_rig_up(mux_rig_t *rig, bool json, bool tcp) {
    assert_true(mux_rig_init(rig));
    assert_true(mux_rig_join(rig, tcp));
    if (json)
        rig->client.options.encoding = WST_ENCODING_JSON;
    assert_true(mux_rig_start(rig));
    mux_rig_until(rig, &rig->client.ups, 1);
    mux_rig_until(rig, &rig->server.ups, 1);
}

static void end_side(mux_side_t *side) {
    if (side->uplink != NULL && !side->closing)
        mux_side_close(side);
    if (side->websocket != NULL)
        wst_websocket_close(side->websocket, NULL);
    side->websocket = NULL;
    if (side->hijack != NULL)
        wst_hijack_close(side->hijack, on_hijack_closed);
    if (side->stream != NULL)
        wst_stream_close(side->stream, NULL);
    if (side->probe.stream != NULL && !side->probe.closing)
        mux_probe_reset(&side->probe, 0);
}

static wst_ctx_stats_t stats_of(const mux_rig_t *rig) {
    wst_ctx_stats_t stats = {.size = sizeof(stats)};
    wst_ctx_get_stats(rig->ctx, &stats);
    return stats;
}

void mux_rig_free(mux_rig_t *rig) {
    rig->act = NULL;
    mux_side_t *sides[] = {&rig->client, &rig->server};
    if (rig->ctx != NULL) {
        for (int i = 0; i < 100 && stats_of(rig).handles > 0; i++) {
            end_side(&rig->client);
            end_side(&rig->server);
            mux_rig_turns(rig, 1);
        }
        assert_int_equal(stats_of(rig).handles, 0);
        assert_int_equal(stats_of(rig).chunks, 0);
        assert_int_equal(stats_of(rig).budget_used, 0);
        wst_ctx_close(rig->ctx, NULL);
    }
    uv_close((uv_handle_t *)&rig->watchdog, NULL);
    uv_run(&rig->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&rig->loop), 0);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(sides[i]->closed, sides[i]->closing);
        assert_null(sides[i]->open);
        assert_null(sides[i]->incoming);
        assert_int_equal(sides[i]->probe.closed, sides[i]->probe.closing);
        free(sides[i]->probe.received);
    }
    assert_int_equal(test_alloc_live(), 0);
}

void mux_rig_turns(mux_rig_t *rig, int n) {
    for (int i = 0; i < n; i++)
        uv_run(&rig->loop, UV_RUN_NOWAIT);
}

static void on_watchdog(uv_timer_t *timer) {
    (void)timer;
    fail_msg("nothing happens any more");
}

void mux_rig_until(mux_rig_t *rig, const int *counter, int n) {
    uv_timer_start(&rig->watchdog, on_watchdog, 10000, 0);
    while (*counter < n)
        uv_run(&rig->loop, UV_RUN_ONCE);
    uv_timer_stop(&rig->watchdog);
}

void mux_rig_pass(mux_rig_t *rig, uint64_t ms) {
    wst__deadlines_run(&rig->ctx->deadlines, wst__now(rig->ctx) + ms);
}

void mux_rig_stream(mux_rig_t *rig) {
    int answers = rig->client.answers;
    assert_int_equal(mux_side_open(&rig->client, "a.test:80"), 0);
    mux_rig_until(rig, &rig->client.answers, answers + 1);
    assert_int_equal(rig->client.status, 0);
    assert_non_null(rig->server.probe.stream);
}
