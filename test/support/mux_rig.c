/* SPDX-License-Identifier: MIT */
/* Two muxes in one loop: making and ending them, and recording what they and their streams tell. */
#include "mux_rig.h"

#include "defaults.h"
#include "socket_pair.h"

#include <stdio.h>
#include <sys/socket.h>
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
    if (side->rig->take != NULL) {
        side->rig->take(side, stream);
        return;
    }
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
static void on_round_trip(void *user_data, uint64_t us) {
    mux_side_t *side = user_data;
    (void)us;
    side->round_trips++;
}

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

static bool is_suspended(const mux_side_t *side) {
    return side->uplink->ops->resume->is_suspended(side->uplink);
}

/* From inside any call. */
static bool may_return(const wst__uplink_t *uplink, void *user_data) {
    const mux_side_t *side = user_data;
    assert_ptr_equal(uplink, side->uplink);
    assert_false(side->closing);
    return !side->alone;
}

static void on_suspended(wst__uplink_t *uplink, int error, const char *detail, uint64_t grace_ms,
                         void *user_data) {
    mux_side_t *side = mux_enter(uplink, user_data);
    assert_true(is_suspended(side));
    assert_int_equal(uplink->ops->can_open(uplink), WST__UPLINK_AWAY);
    side->suspensions++;
    side->loss = error;
    side->grace_ms = grace_ms;
    snprintf(side->detail, sizeof(side->detail), "%s", detail);
    leave(side, MUX_SUSPENDED);
}

static void close_end(mux_end_t *end) {
    if (end->uplink == NULL || end->closing)
        return;
    end->closing = true;
    end->uplink->ops->close(end->uplink);
}

static void on_resumed(wst__uplink_t *uplink, wst__uplink_t *from, uint64_t outage_ms,
                       void *user_data) {
    mux_side_t *side = mux_enter(uplink, user_data);
    mux_end_t *end = from->user_data;
    assert_ptr_equal(end->uplink, from);
    assert_false(is_suspended(side));
    side->resumes++;
    side->outage_ms = outage_ms;
    memcpy(side->rig->fds, end->attempt->fds, sizeof(side->rig->fds));
    close_end(end);
    leave(side, MUX_RESUMED);
}

static const wst__uplink_callbacks_t callbacks = {.on_up = on_up,
                                                  .may_return = may_return,
                                                  .on_suspended = on_suspended,
                                                  .on_resumed = on_resumed,
                                                  .on_incoming = on_incoming,
                                                  .on_change = on_change,
                                                  .on_round_trip = on_round_trip,
                                                  .on_goaway = on_goaway,
                                                  .on_down = on_down,
                                                  .on_closed = on_closed};
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
    side->early_delivered = status != 0 && side->open != NULL && side->open->early_delivered;
    side->open = NULL;
    side->status = status;
    snprintf(side->text, sizeof(side->text), "%.*s", (int)text.len, text.len > 0 ? text.ptr : "");
    assert_int_equal(stream != NULL, status == 0);
    if (stream != NULL)
        probe_start(side, stream);
    leave(side, MUX_ANSWER);
}

size_t mux_side_send_early(mux_side_t *side, const char *text) {
    side->rig->busy++;
    size_t n = side->open->send_early(side->open, wst_slice_static(text, strlen(text)));
    side->rig->busy--;
    return n;
}

void mux_side_accept(mux_side_t *side) {
    wst_stream_t *stream;
    side->rig->busy++;
    assert_int_equal(side->incoming->ops->accept(side->incoming, "", &stream), 0);
    side->incoming = NULL;
    probe_start(side, stream);
    side->rig->busy--;
}

int mux_side_open(mux_side_t *side, const char *dest) {
    side->rig->busy++;
    int can_open = side->uplink->ops->can_open(side->uplink);
    int status = side->uplink->ops->open(side->uplink, &side->open, dest, NULL, on_answer, side);
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

/* Attempts ----------------------------------------------------------------------------------- */

static mux_end_t *end_enter(const wst__uplink_t *uplink, void *user_data) {
    mux_end_t *end = user_data;
    enter(end->attempt->rig);
    assert_ptr_equal(uplink, end->uplink);
    assert_false(end->closing);
    assert_int_equal(end->downs, 0);
    return end;
}

static bool is_granted(mux_end_t *end, const wst_hello_t *hello) {
    mux_attempt_t *a = end->attempt;
    const wst__uplink_resume_ops_t *ops = end->uplink->ops->resume;
    if (end == &a->client)
        return hello->resumed;
    const uint8_t *sid = end->side->uplink != NULL ? ops->sid(end->side->uplink) : NULL;
    a->verdict = WST__CLAIM_WRONG;
    if (a->claim.kind == WST__RESUME_OLD && sid != NULL && memcmp(sid, a->claim.sid, 16) == 0)
        a->verdict = ops->check(end->side->uplink, &a->claim, hello->conn);
    return a->verdict == WST__CLAIM_RIGHT;
}

static wst__uplink_t *on_claim(wst__uplink_t *uplink, const wst_hello_t *hello, void *user_data) {
    mux_end_t *end = end_enter(uplink, user_data);
    end->claims++;
    end->hello = *hello;
    end->hello.name = (wst_str_t){NULL, 0};
    bool granted = is_granted(end, hello);
    leave(end->side, MUX_CLAIM);
    if (end->attempt->misled && end == &end->attempt->client)
        return end->attempt->misled_to;
    return granted && !end->closing ? end->side->uplink : NULL;
}

static int on_end_up(wst__uplink_t *uplink, const wst_hello_t *hello, void *user_data) {
    mux_end_t *end = end_enter(uplink, user_data);
    (void)hello;
    end->ups++;
    end->attempt->rig->busy--;
    return 0;
}

static void on_end_down(wst__uplink_t *uplink, int error, int http_status, const char *detail,
                        void *user_data) {
    mux_end_t *end = end_enter(uplink, user_data);
    (void)http_status;
    end->downs++;
    end->error = error;
    snprintf(end->detail, sizeof(end->detail), "%s", detail);
    close_end(end);
    end->attempt->rig->busy--;
}

static void on_end_closed(void *user_data) {
    mux_end_t *end = user_data;
    assert_int_equal(end->attempt->rig->busy, 0);
    assert_true(end->closing);
    end->closed++;
    end->uplink = NULL;
}

static const wst__uplink_callbacks_t end_callbacks = {
    .on_claim = on_claim, .on_up = on_end_up, .on_down = on_end_down, .on_closed = on_end_closed};

static wst__uplink_options_t end_options(mux_end_t *end, uint64_t epoch) {
    wst__uplink_options_t options = end->side->options;
    options.callbacks = &end_callbacks;
    options.user_data = end;
    options.hello.epoch = epoch;
    return options;
}

static void on_attempt_hijack_closed(void *user_data) {
    ((mux_attempt_t *)user_data)->hijack = NULL;
}

static void on_attempt_request(wst_hijack_t *hijack, const wst_http_head_t *head, void *user_data) {
    mux_attempt_t *a = user_data;
    const wst_http_header_t *field = wst_http_header(head, WST__RESUME_FIELD, NULL);
    a->claim = (wst__resume_field_t){.kind = WST__RESUME_NONE};
    if (field != NULL)
        assert_true(wst__resume_field_read(&a->claim, field->value));
    const wst__uplink_options_t options = end_options(&a->server, 0);
    int status = wst__mux_kind.accept(&a->server.uplink, a->rig->ctx, hijack, &options);
    assert_true(status == 0 || test_alloc_failed());
    wst_hijack_close(hijack, on_attempt_hijack_closed);
}

static void on_attempt_done(wst_hijack_t *hijack, int status, void *user_data) {
    (void)status;
    wst_hijack_close(hijack, on_attempt_hijack_closed);
    (void)user_data;
}

mux_attempt_t *mux_rig_claim(mux_rig_t *rig) {
    assert_true(rig->attempt_count < MUX_ATTEMPTS);
    mux_attempt_t *a = calloc(1, sizeof(*a));
    assert_non_null(a);
    rig->attempts[rig->attempt_count++] = a;
    a->rig = rig;
    a->client = (mux_end_t){.attempt = a, .side = &rig->client};
    a->server = (mux_end_t){.attempt = a, .side = &rig->server};
    const wst__uplink_t *uplink = rig->client.uplink;
    rig->epoch++;
    if (uplink == NULL || uplink->ops->resume->claim(uplink, rig->epoch, &a->claim) != 0)
        a->claim = (wst__resume_field_t){.kind = WST__RESUME_NEW};
    return a;
}

/* NULL: no memory. */
static wst_stream_t *open_end(mux_rig_t *rig, int fd) {
    wst_stream_t *stream;
    if (wst_socket_open(&stream, rig->ctx, fd, true) == 0)
        return stream;
    assert_true(test_alloc_failed());
    close(fd);
    return NULL;
}

static bool serve_attempt(mux_attempt_t *a) {
    const wst_hijack_options_t options = {.size = sizeof(options),
                                          .on_request = on_attempt_request,
                                          .on_done = on_attempt_done,
                                          .user_data = a};
    wst_stream_t *stream = open_end(a->rig, a->fds[1]);
    if (stream == NULL)
        return false;
    if (wst_hijack_new(&a->hijack, a->rig->ctx, stream, &options) == 0)
        return true;
    wst_stream_close(stream, NULL);
    return false;
}

static bool dial_attempt(mux_attempt_t *a) {
    char value[WST__RESUME_FIELD_MAX], fields[WST__RESUME_FIELD_MAX + 32];
    wst__resume_field_write(value, &a->claim);
    snprintf(fields, sizeof(fields), "%s: %s\r\n", WST__RESUME_FIELD, value);
    const wst_websocket_options_t websocket = {
        .size = sizeof(websocket), .host = "a.test", .fields = fields};
    const wst__uplink_options_t options = end_options(&a->client, a->rig->epoch);
    wst_stream_t *stream = open_end(a->rig, a->fds[0]);
    if (stream == NULL)
        return false;
    if (wst__mux_kind.connect(&a->client.uplink, a->rig->ctx, stream, &websocket, &options) == 0)
        return true;
    wst_stream_close(stream, NULL);
    return false;
}

bool mux_rig_dial(mux_attempt_t *a) {
    socket_pair(a->fds, false);
    bool served = serve_attempt(a);
    return dial_attempt(a) && served;
}

mux_attempt_t *mux_rig_attempt(mux_rig_t *rig) {
    mux_attempt_t *a = mux_rig_claim(rig);
    assert_true(mux_rig_dial(a));
    return a;
}

void mux_rig_resume(mux_rig_t *rig) {
    int client = rig->client.resumes, server = rig->server.resumes;
    (void)mux_rig_attempt(rig);
    mux_rig_until(rig, &rig->server.resumes, server + 1);
    mux_rig_until(rig, &rig->client.resumes, client + 1);
}

static void end_attempt(mux_attempt_t *a) {
    close_end(&a->client);
    close_end(&a->server);
    if (a->hijack != NULL)
        wst_hijack_close(a->hijack, on_attempt_hijack_closed);
}

static void free_attempts(mux_rig_t *rig) {
    for (size_t i = 0; i < rig->attempt_count; i++) {
        assert_int_equal(rig->attempts[i]->client.closed, rig->attempts[i]->client.closing);
        assert_int_equal(rig->attempts[i]->server.closed, rig->attempts[i]->server.closing);
        free(rig->attempts[i]);
    }
}

/* The connection ----------------------------------------------------------------------------- */

/* What has been sent and not been read is lost. */
static void swallow(int fd) {
    static char bytes[65536];
    while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
        ;
}

void mux_rig_cut(mux_rig_t *rig, bool lossy) {
    if (lossy) {
        swallow(rig->fds[0]);
        swallow(rig->fds[1]);
    }
    shutdown(rig->fds[0], SHUT_RDWR);
    shutdown(rig->fds[1], SHUT_RDWR);
    rig->fds[0] = rig->fds[1] = -1;
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
    socket_pair(rig->fds, tcp);
    bool opened = open_stream(&rig->client, rig->fds[0], !tcp);
    return open_stream(&rig->server, rig->fds[1], !tcp) && opened;
}

void mux_rig_resumes(mux_rig_t *rig, uint64_t grace_ms) {
    rig->client.options.resumes = rig->server.options.resumes = true;
    rig->server.options.grace_ms = rig->server.options.idle_grace_ms = grace_ms;
    memcpy(rig->server.options.tag, "tag!", 4);
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
            for (size_t k = 0; k < rig->attempt_count; k++)
                end_attempt(rig->attempts[k]);
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
    free_attempts(rig);
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
