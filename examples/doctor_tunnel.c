/* SPDX-License-Identifier: MIT */
#include "doctor_tunnel.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    PIECE = 65536, /* written at a time, at most */
    SMALL = 64,    /* bytes of a round trip */
    ROUND_TRIPS = 5,
    BULK = 10000000, /* bytes each way */
    BULK_MAX_MS = 120000,
    END_MS = 1000
};

/* The way ------------------------------------------------------------------------------------ */

static void note_tls(doctor_tunnel_t *t, wst_ctx_t *ctx, config_t *c) {
    const wst_tls_client_options_t options = {.size = sizeof(options),
                                              .ca_pem = config_read_pem(c, "ca", t->ca)};
    wst_tls_error_t why = {""};
    if (c->error_count > 0)
        return;
    int status = wst_tls_client_config(&t->options.tls, ctx, &options, &why);
    if (status != 0)
        config_fault(c, "ca", "%s", status == WST_ETLS ? why.text : wst_strerror(status));
}

static const char *destination_of(const doctor_tunnel_t *t) {
    return t->to != NULL ? t->to : t->echo;
}

bool doctor_tunnel_prepare(doctor_tunnel_t *t, doctor_t *d, config_t *c) {
    const char *why;
    t->options =
        (wst_proxy_options_t){.size = sizeof(t->options), .url = t->proxy, .credentials = t->user};
    if (t->user_file != NULL)
        t->options.credentials = config_read_secret(c, NULL, "user_file", t->user_file);
    doctor_hide_login(d, t->options.credentials);
    doctor_hide_login(d, t->proxy);
    if (!doctor_place_parse(&t->place, t->proxy, &why))
        config_fault(c, NULL, "the proxy's URL: %s", why);
    else if (t->place.tls)
        note_tls(t, d->ctx, c);
    const char *destination = destination_of(t);
    if (t->echo != NULL && t->to != NULL)
        config_fault(c, NULL, "either --to or --echo");
    else if (destination != NULL &&
             wst_parse_authority(&t->destination, (wst_str_t){destination, strlen(destination)},
                                 &why) != 0)
        config_fault(c, t->to != NULL ? "to" : "echo", "%s", why);
    return c->error_count == 0;
}

void doctor_tunnel_release(doctor_tunnel_t *t) {
    wst_tls_config_unref(t->options.tls);
    t->options.tls = NULL;
}

/* Bytes there and back ----------------------------------------------------------------------- */

typedef struct echoed {
    doctor_t *doctor;
    wst_stream_t *stream;
    uint64_t to_send, sent, received; /* offsets */
    bool done, wrong, ended, closed;
    int error;
} echoed_t;

/* The byte at an offset of the stream: neighbours, and pieces of the same length, differ. */
static uint8_t byte_at(uint64_t offset) {
    return (uint8_t)(offset ^ (offset >> 8) ^ (offset >> 16));
}

/* 0, WST_WAIT or an error. */
static int send_piece(echoed_t *e) {
    size_t room = wst_stream_room(e->stream);
    uint64_t left = e->to_send - e->sent;
    size_t len = left < PIECE ? (size_t)left : PIECE;
    len = room > 0 && room < len ? room : len;
    wst_chunk_t *chunk = wst_chunk_new(e->doctor->ctx, len);
    if (chunk == NULL)
        return WST_ENOMEM;
    uint8_t *data = wst_chunk_data(chunk);
    for (size_t i = 0; i < len; i++)
        data[i] = byte_at(e->sent + i);
    const wst_slice_t slice = {chunk, data, len};
    e->sent += len;
    return wst_stream_write(e->stream, &slice, 1);
}

static void echo_over(echoed_t *e, int error) {
    e->error = error;
    e->ended = e->done = true;
}

static void send_more(echoed_t *e) {
    int status = 0;
    while (status == 0 && e->sent < e->to_send)
        status = send_piece(e);
    if (status < 0)
        echo_over(e, status);
}

static void on_drain(wst_stream_t *stream, void *user_data) {
    (void)stream;
    send_more(user_data);
}

static void on_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    echoed_t *e = user_data;
    (void)stream;
    for (size_t i = 0; i < data.len && !e->wrong; i++)
        e->wrong = e->received + i >= e->sent || data.data[i] != byte_at(e->received + i);
    e->received += data.len;
    e->done = e->done || e->wrong || e->received >= e->to_send;
}

static void on_end(wst_stream_t *stream, void *user_data) {
    (void)stream;
    echo_over(user_data, UV_EOF);
}

static void on_error(wst_stream_t *stream, int error, void *user_data) {
    (void)stream;
    echo_over(user_data, error);
}

static void on_closed(void *user_data) {
    ((echoed_t *)user_data)->closed = true;
}

/* Sends so many bytes and waits until they are back; gives up when no byte has moved for as long as
 * a step may take. */
static bool exchange(echoed_t *e, uint64_t bytes) {
    uint64_t begun = uv_hrtime();
    e->to_send += bytes;
    e->done = e->ended;
    send_more(e);
    for (uint64_t before = UINT64_MAX; !e->done && before != e->sent + e->received &&
                                       (uv_hrtime() - begun) / 1000000 < BULK_MAX_MS;) {
        before = e->sent + e->received;
        doctor_wait(e->doctor, &e->done, e->doctor->timeout_ms);
    }
    return !e->wrong && e->received == e->to_send;
}

static bool exchange_failed(const echoed_t *e) {
    static const char echo[] = "the destination must send back what it gets, as the echo service "
                               "of inetd does, or: socat TCP-LISTEN:7007,fork EXEC:cat";
    if (e->wrong)
        return doctor_fail(e->doctor, echo, "what came back is not what was sent");
    if (e->error == UV_EOF)
        return doctor_fail(e->doctor, echo, "the destination ended after %" PRIu64 " bytes",
                           e->received);
    if (e->error != 0)
        return doctor_fail(e->doctor, "look into the logs of server and agent", "%s",
                           wst_strerror(e->error));
    return doctor_fail(
        e->doctor,
        e->received == 0 ? echo : "the way is slow, or stalls: is it so without the tunnel, too?",
        "%" PRIu64 " bytes sent, %" PRIu64 " came back, and no more in time", e->sent, e->received);
}

/* Ends the tunnel in good order: an echo ends when we do. */
static void end(echoed_t *e) {
    if (wst_stream_shutdown(e->stream) == 0)
        doctor_wait(e->doctor, &e->ended, END_MS);
}

/* The steps ---------------------------------------------------------------------------------- */

static bool ping(echoed_t *e) {
    uint64_t least = UINT64_MAX, most = 0;
    doctor_begin(e->doctor, "round-trip");
    for (int i = 0; i < ROUND_TRIPS; i++) {
        uint64_t begun = uv_hrtime();
        if (!exchange(e, SMALL))
            return exchange_failed(e);
        uint64_t us = (uv_hrtime() - begun) / 1000;
        least = us < least ? us : least;
        most = us > most ? us : most;
    }
    return doctor_pass(e->doctor, "%d times to the destination and back: %.2f to %.2f ms",
                       ROUND_TRIPS, (double)least / 1000, (double)most / 1000);
}

static bool bulk(echoed_t *e) {
    uint64_t begun = uv_hrtime();
    doctor_begin(e->doctor, "bulk");
    if (!exchange(e, BULK))
        return exchange_failed(e);
    double seconds = (double)(uv_hrtime() - begun) / 1e9;
    return doctor_pass(e->doctor, "%d MB each way at the same time: %.1f Mbit/s each",
                       BULK / 1000000, 8.0 * BULK / 1e6 / seconds);
}

static const char *connect_advice(const doctor_proxied_t *proxied) {
    switch (proxied->http_status) {
    case 403:
        return "rules of server or agent deny it: its words tell which";
    case 502:
        return "an agent has tried: can its machine reach the destination?";
    case 503:
        return "the server has no agent for it: is wstunnel-agent running, and connected?";
    case 504:
        return "the destination, or its name server, does not answer the agent: a firewall there?";
    default:
        return doctor_proxy_advice(proxied,
                                   "is the user there, and the password right? USER:PASSWORD is "
                                   "the first line of the file");
    }
}

static bool open_tunnel(doctor_t *d, const doctor_tunnel_t *t, wst_stream_t **out) {
    char host[DOCTOR_HOST_MAX];
    doctor_proxied_t proxied;
    doctor_begin(d, "connect");
    snprintf(host, sizeof(host), "%.*s", (int)t->destination.host.len, t->destination.host.ptr);
    doctor_proxy_dial(d, &proxied, &t->options, host, t->destination.port);
    *out = proxied.stream;
    if (proxied.status != 0)
        return doctor_fail(d, connect_advice(&proxied), "%s", proxied.detail);
    return doctor_pass(d, "%s", destination_of(t));
}

/* Takes the stream of the tunnel. */
static bool measure(doctor_t *d, wst_stream_t *stream) {
    static const wst_stream_callbacks_t callbacks = {.size = sizeof(callbacks),
                                                     .on_read = on_read,
                                                     .on_end = on_end,
                                                     .on_drain = on_drain,
                                                     .on_error = on_error};
    echoed_t e = {.doctor = d, .stream = stream};
    wst_stream_set_callbacks(stream, &callbacks, &e);
    wst_stream_read_start(stream, 0);
    bool ok = ping(&e) && bulk(&e);
    if (ok)
        end(&e);
    wst_stream_close(stream, on_closed);
    doctor_wait(d, &e.closed, 0);
    return ok;
}

bool doctor_tunnel(doctor_t *d, const doctor_tunnel_t *t) {
    wst_stream_t *stream;
    if (destination_of(t) == NULL) {
        doctor_skip(d, "connect",
                    "no destination: --to HOST:PORT, or --echo for one that sends "
                    "back what it gets");
        return true;
    }
    if (!open_tunnel(d, t, &stream))
        return false;
    if (t->echo != NULL)
        return measure(d, stream);
    wst_stream_close(stream, NULL);
    doctor_skip(d, "bulk", "no destination that sends back what it gets: --echo HOST:PORT");
    return true;
}
