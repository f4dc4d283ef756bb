/* SPDX-License-Identifier: MIT */
#include "doctor_session.h"

#include <stdio.h>
#include <string.h>

enum { PINGS = 5, CREDIT = 4096, END_MS = 1000, CODE_NORMAL = 1000 };

static const char strange_server[] = "what answers is no wstunnel-server of this version: does the "
                                     "URL lead to one?";

typedef struct talk {
    doctor_t *doctor;
    wst_websocket_t *ws;
    wst_decoder_t *decoder; /* NULL before on_open */
    wst_encoding_t encoding;
    bool news; /* something has happened since the last wait */
    bool open, over, greeted, closed;
    uint64_t answered; /* the last ping that was */
    int error;         /* after `over` */
    char protocol[32], detail[320];
} talk_t;

/* Messages ----------------------------------------------------------------------------------- */

/* 0 or an error. */
static int say(talk_t *t, const wst_message_t *message) {
    char text[WST_JSON_CONTROL_MAX];
    wst_slice_t slice;
    bool is_text;
    int len = wst_message_encode(message, t->encoding, text, sizeof(text), &is_text);
    if (len < 0)
        return len;
    int status = wst_slice_copy(&slice, t->doctor->ctx, text, (size_t)len);
    if (status == 0)
        status = wst_websocket_send(t->ws, is_text, slice);
    return status < 0 ? status : 0;
}

static int say_hello(talk_t *t, const char *name) {
    wst_hello_t hello = {.size = sizeof(hello),
                         .version = WST_PROTOCOL_VERSION,
                         .max_frame = WST_FRAME_MIN_LIMIT,
                         .initial_credit = CREDIT,
                         .max_streams = 0,
                         .name = {name, strlen(name)},
                         .has_instance = true,
                         .epoch = 1};
    const wst_message_t message = {
        .size = sizeof(message), .method = WST_MSG_HELLO, .hello = &hello};
    int status = uv_random(NULL, NULL, hello.instance, sizeof(hello.instance), 0, NULL);
    return status != 0 ? status : say(t, &message);
}

static int say_number(talk_t *t, wst_method_t method, uint64_t seq) {
    const wst_message_t message = {.size = sizeof(message), .method = method, .seq = seq};
    return say(t, &message);
}

static void give_up(talk_t *t, int error, const char *detail) {
    t->over = t->news = true;
    t->error = error;
    snprintf(t->detail, sizeof(t->detail), "%s", detail);
}

static void hear(talk_t *t, const wst_message_t *m) {
    char text[WST_ERROR_TEXT_MAX + 32];
    int status = 0;
    switch (m->method) {
    case WST_MSG_HELLO:
        t->greeted = t->news = true;
        break;
    case WST_MSG_PING:
        status = say_number(t, WST_MSG_PONG, m->seq);
        break;
    case WST_MSG_PONG:
        t->answered = m->seq;
        t->news = true;
        break;
    case WST_MSG_BYE:
        snprintf(text, sizeof(text), "ended by the server: %.*s", (int)m->error_text.len,
                 m->error_text.len > 0 ? m->error_text.ptr : "");
        give_up(t, WST_EWSCLOSED, text);
        break;
    default: /* the server leaves, say, which does not matter here */
        break;
    }
    if (status != 0)
        give_up(t, status, wst_strerror(status));
}

/* The WebSocket ------------------------------------------------------------------------------ */

static void on_open(wst_websocket_t *ws, const char *protocol, void *user_data) {
    talk_t *t = user_data;
    (void)ws;
    t->open = t->news = true;
    t->encoding =
        strcmp(protocol, "wstunnel.v1.json") == 0 ? WST_ENCODING_JSON : WST_ENCODING_BINARY;
    snprintf(t->protocol, sizeof(t->protocol), "%s", protocol);
    const wst_decoder_options_t options = {
        .size = sizeof(options), .encoding = t->encoding, .max_frame = WST_FRAME_MIN_LIMIT};
    int status = wst_decoder_new(&t->decoder, &options);
    if (status != 0)
        give_up(t, status, wst_strerror(status));
}

static void on_message(wst_websocket_t *ws, bool text, wst_slice_t piece, bool fin,
                       void *user_data) {
    talk_t *t = user_data;
    wst_message_t message = {.size = sizeof(message)};
    (void)ws;
    if (t->over)
        return;
    int status = wst_decoder_push(t->decoder, text, piece.data, piece.len, fin, &message);
    if (status < 0)
        give_up(t, status, wst_decoder_error_detail(t->decoder));
    else if (status > 0)
        hear(t, &message);
}

static void on_over(wst_websocket_t *ws, int error, const char *detail, void *user_data) {
    talk_t *t = user_data;
    (void)ws;
    if (!t->over)
        give_up(t, error != 0 ? error : WST_EWSCLOSED, detail);
}

static void on_closed(void *user_data) {
    ((talk_t *)user_data)->closed = true;
}

/* Waits for the next event. False: nothing has come in time, or it is over. */
static bool wait_for_news(talk_t *t) {
    t->news = false;
    return !t->over && doctor_wait(t->doctor, &t->news, t->doctor->timeout_ms) && !t->over;
}

/* What has been heard at the end, for people. */
static const char *last_words(const talk_t *t) {
    return !t->over               ? "no answer in time"
           : t->detail[0] != '\0' ? t->detail
                                  : wst_strerror(t->error);
}

/* The steps ---------------------------------------------------------------------------------- */

static const char *upgrade_advice(int error, int http_status, bool has_token) {
    switch (http_status) {
    case 400:
        return "its words tell why: the port speaks TLS, or another protocol; or a front end has "
               "dropped Upgrade and Connection";
    case 401:
        return has_token ? "the server does not know this token: compare it with the server's"
                         : "the server wants a token: --token-file FILE";
    case 403:
        return "it is refused by rules: of the server, or of what names itself here";
    case 404:
        return "is the path of the URL (default /websocket) the one of the server's --path? Or is "
               "it another server that answers?";
    case 407:
        return "a proxy on the way wants authentication: --proxy URL and --proxy-user-file FILE";
    case 429:
        return "too many attempts with wrong credentials came from here: wait a while";
    case 502:
    case 503:
    case 504:
        return "a front end answers, and does not reach the server behind it; or the server has "
               "no room, or leaves";
    default:
        break;
    }
    if (http_status >= 300 && http_status < 400)
        return "that leads elsewhere: is it a captive portal, or must the URL be wss://?";
    if (error == WST_EREJECTED)
        return "what answers does not pass WebSockets on: a front end needs Upgrade and Connection "
               "(see examples/deploy)";
    if (error == WST_ETIMEOUT)
        return "something on the way swallows the upgrade: try wss://, another port, or --proxy";
    return "what answers is no web server: does the URL lead to the right port, and need wss://?";
}

static bool upgrade(talk_t *t, const doctor_session_t *s) {
    static const char *const both[] = {"wstunnel.v1.bin", "wstunnel.v1.json", NULL};
    static const wst_websocket_callbacks_t callbacks = {.size = sizeof(callbacks),
                                                        .on_open = on_open,
                                                        .on_message = on_message,
                                                        .on_over = on_over};
    const wst_websocket_options_t options = {.size = sizeof(options),
                                             .callbacks = &callbacks,
                                             .user_data = t,
                                             .open_timeout_ms = t->doctor->timeout_ms,
                                             .host = s->host,
                                             .path = s->path,
                                             .protocols = both + (s->encoding == WST_ENCODING_JSON),
                                             .fields = s->fields};
    doctor_t *d = t->doctor;
    doctor_begin(d, "upgrade");
    int status = wst_websocket_connect(&t->ws, d->ctx, s->stream, &options);
    if (status != 0) {
        wst_stream_close(s->stream, NULL);
        return doctor_fail(d, NULL, "%s", wst_strerror(status));
    }
    doctor_wait(d, &t->news, 0); /* it has a deadline of its own */
    if (!t->open)
        return doctor_fail(d,
                           upgrade_advice(t->error, wst_websocket_http_status(t->ws), s->has_token),
                           "%s", last_words(t));
    if (t->protocol[0] == '\0')
        return doctor_fail(d, strange_server, "a WebSocket, but none of our subprotocols");
    return doctor_pass(d, "101, %s", t->protocol);
}

/* The server has let the agent in when it has answered the ping behind the hello. */
static bool greet(talk_t *t, const doctor_session_t *s) {
    doctor_t *d = t->doctor;
    doctor_begin(d, "hello");
    int status = say_hello(t, s->name);
    if (status == 0)
        status = say_number(t, WST_MSG_PING, 1);
    if (status != 0)
        return doctor_fail(d, NULL, "%s", wst_strerror(status));
    while (t->answered < 1 && wait_for_news(t))
        continue;
    if (t->answered < 1)
        return doctor_fail(d,
                           t->over && t->error == WST_EWSCLOSED
                               ? "the server refuses this agent: its words tell why"
                               : strange_server,
                           "%s", last_words(t));
    return doctor_pass(d, "the server lets in the agent %s", s->name);
}

static bool ping(talk_t *t) {
    doctor_t *d = t->doctor;
    uint64_t least = UINT64_MAX, most = 0;
    doctor_begin(d, "round-trip");
    for (uint64_t seq = 2; seq < 2 + PINGS; seq++) {
        uint64_t begun = uv_hrtime();
        int status = say_number(t, WST_MSG_PING, seq);
        if (status != 0)
            give_up(t, status, wst_strerror(status));
        while (t->answered < seq && wait_for_news(t))
            continue;
        if (t->answered < seq)
            return doctor_fail(d, "the connection does not carry what it should: what is between?",
                               "%s", last_words(t));
        uint64_t us = (uv_hrtime() - begun) / 1000;
        least = us < least ? us : least;
        most = us > most ? us : most;
    }
    return doctor_pass(d, "%d pings: %.2f to %.2f ms", PINGS, (double)least / 1000,
                       (double)most / 1000);
}

/* Leaves in good order, if the server still listens. */
static void leave(talk_t *t) {
    if (t->ws == NULL)
        return;
    if (t->open && !t->over) {
        t->news = false;
        wst_websocket_end(t->ws, CODE_NORMAL, "the diagnosis is over");
        doctor_wait(t->doctor, &t->over, END_MS);
    }
    wst_websocket_close(t->ws, on_closed);
    doctor_wait(t->doctor, &t->closed, 0);
    wst_decoder_free(t->decoder);
}

bool doctor_session(doctor_t *d, const doctor_session_t *session) {
    talk_t t = {.doctor = d};
    bool ok = upgrade(&t, session) && greet(&t, session) && ping(&t);
    leave(&t);
    return ok;
}
