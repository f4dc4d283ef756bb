/* SPDX-License-Identifier: MIT */
/* Two links in one loop: making and ending them, and recording what they and their streams tell. */
#include "mux_rig.h"
#include "socket_pair.h"

#include <stdio.h>
#include <unistd.h>
#include <wstunnel/socket.h>

link_side_t *link_rig_other(link_side_t *side) {
    return side == &side->rig->client ? &side->rig->server : &side->rig->client;
}

static void enter(link_rig_t *rig) {
    assert_int_equal(rig->busy, 0);
    rig->busy++;
}

static void leave(link_side_t *side, link_event_t event) {
    if (side->rig->act != NULL)
        side->rig->act(side->rig, side, event);
    side->rig->busy--;
}

/* Streams ------------------------------------------------------------------------------------ */

static link_side_t *side_of(link_probe_t *probe) {
    return probe == &probe->rig->client.probe ? &probe->rig->client : &probe->rig->server;
}

static link_probe_t *probe_enter(wst_stream_t *stream, void *user_data) {
    link_probe_t *probe = user_data;
    enter(probe->rig);
    assert_ptr_equal(stream, probe->stream);
    assert_false(probe->closing);
    assert_int_equal(probe->errors, 0);
    return probe;
}

static void on_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    link_probe_t *probe = probe_enter(stream, user_data);
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
    leave(side_of(probe), LINK_READ);
}

static void on_end(wst_stream_t *stream, void *user_data) {
    link_probe_t *probe = probe_enter(stream, user_data);
    probe->ends++;
    leave(side_of(probe), LINK_END);
}

static void on_drain(wst_stream_t *stream, void *user_data) {
    link_probe_t *probe = probe_enter(stream, user_data);
    probe->drains++;
    leave(side_of(probe), LINK_DRAIN);
}

static void on_shutdown(wst_stream_t *stream, void *user_data) {
    link_probe_t *probe = probe_enter(stream, user_data);
    probe->shutdowns++;
    leave(side_of(probe), LINK_SHUTDOWN);
}

static void on_error(wst_stream_t *stream, int error, void *user_data) {
    link_probe_t *probe = probe_enter(stream, user_data);
    probe->errors++;
    probe->error = error;
    leave(side_of(probe), LINK_ERROR);
}

static const wst_stream_callbacks_t stream_callbacks = {on_read, on_end, on_drain, on_shutdown,
                                                        on_error};

static void on_stream_closed(void *user_data) {
    link_probe_t *probe = user_data;
    assert_int_equal(probe->rig->busy, 0);
    assert_true(probe->closing);
    probe->closed++;
    probe->stream = NULL;
}

/* A new stream; what the last one told is forgotten. */
static void probe_start(link_side_t *side, wst_stream_t *stream) {
    link_probe_t *probe = &side->probe;
    assert_null(probe->stream);
    free(probe->received);
    *probe = (link_probe_t){.rig = side->rig, .stream = stream};
    wst_stream_set_callbacks(stream, &stream_callbacks, probe);
    wst_stream_read_start(stream, 0);
}

void link_probe_read(link_probe_t *probe, bool wanted) {
    probe->rig->busy++;
    if (wanted)
        wst_stream_read_start(probe->stream, 0);
    else
        wst_stream_read_stop(probe->stream);
    probe->rig->busy--;
}

int link_probe_write(link_probe_t *probe, const void *data, size_t len) {
    wst_slice_t slice;
    int status = wst_slice_copy(&slice, probe->rig->ctx, data, len);
    if (status != 0)
        return status;
    probe->rig->busy++;
    status = wst_stream_write(probe->stream, &slice, 1);
    probe->rig->busy--;
    return status;
}

int link_probe_shutdown(link_probe_t *probe) {
    probe->rig->busy++;
    int status = wst_stream_shutdown(probe->stream);
    probe->rig->busy--;
    return status;
}

void link_probe_reset(link_probe_t *probe, int reason) {
    probe->closing = true;
    probe->rig->busy++;
    if (reason != 0)
        wst_stream_reset(probe->stream, reason, on_stream_closed);
    else
        wst_stream_close(probe->stream, on_stream_closed);
    probe->rig->busy--;
}

/* Links -------------------------------------------------------------------------------------- */

static link_side_t *link_enter(wst__link_t *link, void *user_data) {
    link_side_t *side = user_data;
    enter(side->rig);
    assert_ptr_equal(link, side->link);
    assert_false(side->closing);
    assert_int_equal(side->downs, 0);
    return side;
}

static int on_up(wst__link_t *link, const wst_hello_t *hello, void *user_data) {
    link_side_t *side = link_enter(link, user_data);
    side->ups++;
    snprintf(side->name, sizeof(side->name), "%.*s", (int)hello->name.len,
             hello->name.len > 0 ? hello->name.ptr : "");
    leave(side, LINK_UP);
    return side->up_result;
}

static void on_gone(wst__incoming_t *incoming, int reason, void *user_data) {
    link_side_t *side = user_data;
    enter(side->rig);
    assert_ptr_equal(incoming, side->incoming);
    side->incoming = NULL;
    side->gone++;
    side->gone_reason = reason;
    leave(side, LINK_GONE);
}

static void on_incoming(wst__link_t *link, wst__incoming_t *incoming, wst_str_t dest,
                        void *user_data) {
    link_side_t *side = link_enter(link, user_data);
    side->incomings++;
    snprintf(side->dest, sizeof(side->dest), "%.*s", (int)dest.len, dest.ptr);
    wst_stream_t *stream;
    if (side->policy == LINK_HOLD && side->incoming == NULL) {
        side->incoming = incoming;
        wst__incoming_on_gone(incoming, on_gone, side);
    } else if (side->policy == LINK_ACCEPT && wst__incoming_accept(incoming, "", &stream) == 0) {
        probe_start(side, stream);
    } else {
        wst__incoming_refuse(incoming, UV_ECONNREFUSED, "nobody there");
    }
    leave(side, LINK_INCOMING);
}

static void on_goaway(wst__link_t *link, int reason, void *user_data) {
    link_side_t *side = link_enter(link, user_data);
    side->goaways++;
    side->goaway_reason = reason;
    leave(side, LINK_GOAWAY);
}

static void on_down(wst__link_t *link, int error, const char *detail, void *user_data) {
    link_side_t *side = link_enter(link, user_data);
    side->downs++;
    side->error = error;
    side->http_status = wst_websocket_http_status(wst__link_websocket(link));
    snprintf(side->detail, sizeof(side->detail), "%s", detail);
    leave(side, LINK_DOWN);
}

static void on_link_closed(void *user_data) {
    link_side_t *side = user_data;
    assert_int_equal(side->rig->busy, 0);
    assert_true(side->closing);
    side->closed++;
    side->link = NULL;
}

void link_side_close(link_side_t *side) {
    side->closing = true;
    side->rig->busy++;
    wst__link_close(side->link, on_link_closed);
    side->rig->busy--;
}

void link_side_end(link_side_t *side, int code, const char *reason) {
    side->rig->busy++;
    wst__link_end(side->link, code, reason);
    side->rig->busy--;
}

static void on_answer(int status, wst_str_t text, wst_stream_t *stream, void *user_data) {
    link_side_t *side = user_data;
    enter(side->rig);
    side->answers++;
    side->open = NULL;
    side->status = status;
    snprintf(side->text, sizeof(side->text), "%.*s", (int)text.len, text.len > 0 ? text.ptr : "");
    assert_int_equal(stream != NULL, status == 0);
    if (stream != NULL)
        probe_start(side, stream);
    leave(side, LINK_ANSWER);
}

int link_side_open(link_side_t *side, const char *dest) {
    side->rig->busy++;
    int status = wst__tunnel_open(&side->open, side->link, dest, on_answer, side);
    side->rig->busy--;
    return status;
}

/* The upgrade -------------------------------------------------------------------------------- */

static wst_websocket_options_t websocket_options(link_side_t *side) {
    wst_websocket_options_t options = {
        .host = "a.test", .protocols = side->protocols, .close_timeout_ms = side->close_timeout_ms};
    wst__link_websocket_options(side->link, &options);
    return options;
}

static void on_hijack_closed(void *user_data) {
    ((link_side_t *)user_data)->hijack = NULL;
}

static void on_request(wst_hijack_t *hijack, const wst_http_head_t *head, void *user_data) {
    link_side_t *side = user_data;
    (void)head;
    wst_websocket_t *ws;
    if (wst__link_new(&side->link, side->rig->ctx, &side->options) == 0) {
        const wst_websocket_options_t options = websocket_options(side);
        if (wst_websocket_accept(&ws, side->rig->ctx, hijack, &options) == 0)
            wst__link_attach(side->link, ws);
    }
    wst_hijack_close(hijack, on_hijack_closed);
}

static void on_hijack_done(wst_hijack_t *hijack, int status, void *user_data) {
    (void)status, (void)user_data;
    wst_hijack_close(hijack, on_hijack_closed);
}

static bool serve(link_side_t *side) {
    const wst_hijack_options_t options = {
        .on_request = on_request, .on_done = on_hijack_done, .user_data = side};
    if (wst_hijack_new(&side->hijack, side->rig->ctx, side->stream, &options) != 0)
        return false;
    side->stream = NULL;
    return true;
}

static bool dial(link_side_t *side) {
    wst_websocket_t *ws;
    if (wst__link_new(&side->link, side->rig->ctx, &side->options) != 0)
        return false;
    const wst_websocket_options_t options = websocket_options(side);
    if (wst_websocket_connect(&ws, side->rig->ctx, side->stream, &options) != 0)
        return false;
    wst__link_attach(side->link, ws);
    side->stream = NULL;
    return true;
}

bool link_rig_start(link_rig_t *rig) {
    return serve(&rig->server) && dial(&rig->client);
}

/* Life --------------------------------------------------------------------------------------- */

static void init_side(link_rig_t *rig, link_side_t *side) {
    side->rig = rig;
    side->probe.rig = rig;
    side->protocols = wst__link_protocols;
    side->options = (wst__link_options_t){.client = side == &rig->client,
                                          .hello = {.max_streams = WST__MAX_STREAMS},
                                          .window_max = 1, /* windows stay as they are */
                                          .on_up = on_up,
                                          .on_incoming = on_incoming,
                                          .on_goaway = on_goaway,
                                          .on_down = on_down,
                                          .user_data = side};
}

bool link_rig_init(link_rig_t *rig) {
    memset(rig, 0, sizeof(*rig));
    init_side(rig, &rig->client);
    init_side(rig, &rig->server);
    rig->client.options.hello.name = (wst_str_t){"agent-7", 7};
    rig->client.options.hello.has_instance = true;
    assert_int_equal(uv_loop_init(&rig->loop), 0);
    uv_timer_init(&rig->loop, &rig->watchdog);
    const wst_ctx_options_t options = {.allocator = &test_allocator};
    return wst_ctx_new(&rig->ctx, &rig->loop, &options) == 0;
}

static bool open_stream(link_side_t *side, int fd, bool is_unix) {
    int status = wst_socket_open(&side->stream, side->rig->ctx, fd, is_unix);
    if (status != 0)
        close(fd);
    assert_true(status == 0 || status == WST_ENOMEM);
    return status == 0;
}

bool link_rig_join(link_rig_t *rig, bool tcp) {
    int fds[2];
    socket_pair(fds, tcp);
    bool opened = open_stream(&rig->client, fds[0], !tcp);
    return open_stream(&rig->server, fds[1], !tcp) && opened;
}

void link_rig_up(link_rig_t *rig, bool json, bool tcp) {
    assert_true(link_rig_init(rig));
    assert_true(link_rig_join(rig, tcp));
    if (json)
        rig->client.protocols = wst__link_protocols_json;
    assert_true(link_rig_start(rig));
    link_rig_until(rig, &rig->client.ups, 1);
    link_rig_until(rig, &rig->server.ups, 1);
}

static void end_side(link_side_t *side) {
    if (side->link != NULL && !side->closing)
        link_side_close(side);
    if (side->hijack != NULL)
        wst_hijack_close(side->hijack, on_hijack_closed);
    if (side->stream != NULL)
        wst_stream_close(side->stream, NULL);
    if (side->probe.stream != NULL && !side->probe.closing)
        link_probe_reset(&side->probe, 0);
}

static wst_ctx_stats_t stats_of(const link_rig_t *rig) {
    wst_ctx_stats_t stats;
    wst_ctx_get_stats(rig->ctx, &stats);
    return stats;
}

void link_rig_free(link_rig_t *rig) {
    rig->act = NULL;
    link_side_t *sides[] = {&rig->client, &rig->server};
    if (rig->ctx != NULL) {
        for (int i = 0; i < 100 && stats_of(rig).handles > 0; i++) {
            end_side(&rig->client);
            end_side(&rig->server);
            link_rig_turns(rig, 1);
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

void link_rig_turns(link_rig_t *rig, int n) {
    for (int i = 0; i < n; i++)
        uv_run(&rig->loop, UV_RUN_NOWAIT);
}

static void on_watchdog(uv_timer_t *timer) {
    (void)timer;
    fail_msg("nothing happens any more");
}

void link_rig_until(link_rig_t *rig, const int *counter, int n) {
    uv_timer_start(&rig->watchdog, on_watchdog, 10000, 0);
    while (*counter < n)
        uv_run(&rig->loop, UV_RUN_ONCE);
    uv_timer_stop(&rig->watchdog);
}

void link_rig_pass(link_rig_t *rig, uint64_t ms) {
    wst__deadlines_run(&rig->ctx->deadlines, wst__now(rig->ctx) + ms);
}

void link_rig_stream(link_rig_t *rig) {
    int answers = rig->client.answers;
    assert_int_equal(link_side_open(&rig->client, "a.test:80"), 0);
    link_rig_until(rig, &rig->client.answers, answers + 1);
    assert_int_equal(rig->client.status, 0);
    assert_non_null(rig->server.probe.stream);
}
