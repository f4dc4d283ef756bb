/* SPDX-License-Identifier: MIT */
/*
 * The states of a client:
 *
 *     IDLE --ask--> DIALLING --> SHAKING (with TLS) --> HEAD --> BODY --> IDLE
 *       \--ask, with a connection that was kept-----------^
 *
 * A connection that was kept may have ended at the same time as a question is sent: if it ends
 * before the first byte of the answer, the question is asked again on a new one.
 */
#include "status_client.h"

#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD_MAX = 16384, HOST_MAX = 300, BASIC_MAX = 4 * (2 * 256 / 3 + 1) + 1, REASON_MAX = 256 };

struct status_client {
    wst_ctx_t *ctx;
    status_place_t place;
    wst_tls_config_t *tls;
    status_client_callbacks_t callbacks;
    enum { IDLE, DIALLING, SHAKING, HEAD, BODY } state;
    bool kept; /* the connection has served another question */
    bool closing;
    uv_timer_t silence;
    unsigned holds; /* what must be gone before the client is: timer, streams */

    wst_dial_t *dial;
    wst_tls_handshake_t *handshake;
    wst_stream_t *stream; /* NULL: none */

    char request[HOST_MAX + BASIC_MAX + 128];
    size_t request_len;

    char head_text[HEAD_MAX];
    size_t head_len, scanned;
    int status;
    bool keep_alive;
    char reason[REASON_MAX];
    wst_http_body_t body;
    char *text; /* of the body */
    size_t text_len, text_size;
};

static void start_dial(status_client_t *c);

/* The end ------------------------------------------------------------------------------------ */

static void let_go(status_client_t *c) {
    if (--c->holds > 0)
        return;
    wst_tls_config_unref(c->tls);
    free(c->text);
    config_wipe(c, sizeof(*c));
    free(c);
}

static void on_stream_gone(void *user_data) {
    let_go(user_data);
}

static void drop_connection(status_client_t *c) {
    if (c->dial != NULL)
        wst_dial_cancel(c->dial);
    if (c->handshake != NULL)
        wst_tls_handshake_cancel(c->handshake);
    c->dial = NULL;
    c->handshake = NULL;
    if (c->stream != NULL) {
        wst_stream_set_callbacks(c->stream, NULL, c);
        wst_stream_close(c->stream, on_stream_gone);
    }
    c->stream = NULL;
}

static void on_timer_closed(uv_handle_t *handle) {
    let_go(handle->data);
}

void status_client_close(status_client_t *c) {
    if (c->closing)
        return;
    c->closing = true;
    drop_connection(c);
    uv_close((uv_handle_t *)&c->silence, on_timer_closed);
}

/* The outcome -------------------------------------------------------------------------------- */

static void fail(status_client_t *c, const char *why, bool refused) {
    drop_connection(c);
    uv_timer_stop(&c->silence);
    c->state = IDLE;
    c->callbacks.on_failure(why, refused, c->callbacks.user_data);
}

/* Why the server does not tell its status. */
static void fail_by_status(status_client_t *c) {
    char why[REASON_MAX + 160];
    bool named = c->place.user != NULL;
    if (c->status == 401 && named)
        snprintf(why, sizeof(why), "the name or the password of the operator is wrong");
    else if (c->status == 401)
        snprintf(why, sizeof(why), "the server wants an operator's name and password: --user NAME");
    else if (c->status == 404 || c->status == 405)
        snprintf(why, sizeof(why), "%d %s: is it an address for operators (role admin)?", c->status,
                 c->reason);
    else
        snprintf(why, sizeof(why), "the server answers %d %s", c->status, c->reason);
    fail(c, why, c->status >= 400 && c->status < 500 && c->status != 408);
}

static void finish(status_client_t *c) {
    uv_timer_stop(&c->silence);
    if (c->status != 200) {
        fail_by_status(c);
        return;
    }
    c->state = IDLE;
    c->kept = c->keep_alive && c->body.framing != WST_HTTP_UNTIL_CLOSE;
    if (!c->kept)
        drop_connection(c);
    c->callbacks.on_answer(c->text, c->text_len, c->callbacks.user_data);
}

static void on_silence(uv_timer_t *timer) {
    fail(timer->data, "the server does not answer in time", false);
}

static void expect_byte(status_client_t *c) {
    uv_timer_start(&c->silence, on_silence, STATUS_SILENCE_MS, 0);
}

/* The answer --------------------------------------------------------------------------------- */

static bool keep_text(status_client_t *c, wst_str_t piece) {
    if (piece.len > STATUS_ANSWER_MAX - c->text_len) {
        fail(c, "the answer is too long", false);
        return false;
    }
    if (c->text_size - c->text_len < piece.len) {
        size_t size = 2 * (c->text_len + piece.len);
        char *text = realloc(c->text, size);
        if (text == NULL) {
            fail(c, "out of memory", false);
            return false;
        }
        c->text = text;
        c->text_size = size;
    }
    if (piece.len > 0)
        memcpy(c->text + c->text_len, piece.ptr, piece.len);
    c->text_len += piece.len;
    return true;
}

static void on_malformed(status_client_t *c) {
    fail(c, "the answer is not HTTP: does the address speak TLS, or is it another program's?",
         false);
}

static void take_body(status_client_t *c, const char *data, size_t len) {
    while (!c->body.complete && len > 0) {
        wst_str_t piece;
        int taken = wst_http_body_walk(&c->body, data, len, &piece);
        if (taken < 0) {
            on_malformed(c);
            return;
        }
        if (!keep_text(c, piece))
            return;
        data += taken;
        len -= (size_t)taken;
    }
    if (c->body.complete)
        finish(c);
}

/* `len`: of the head, behind which the body begins. */
static void take_head(status_client_t *c, const wst_http_head_t *head, size_t len) {
    static const wst_str_t method = {"GET", 3};
    c->status = head->status;
    c->keep_alive = head->keep_alive;
    snprintf(c->reason, sizeof(c->reason), "%.*s", (int)head->reason.len, head->reason.ptr);
    wst_http_body_response(&c->body, head, method);
    c->text_len = 0;
    c->state = BODY;
    take_body(c, c->head_text + len, c->head_len - len);
}

static void take_head_bytes(status_client_t *c, const char *data, size_t len) {
    wst_http_head_t head;
    size_t room = HEAD_MAX - c->head_len, taken = len < room ? len : room;
    memcpy(c->head_text + c->head_len, data, taken);
    c->head_len += taken;
    int status = wst_http_parse_response(&head, c->head_text, c->head_len, &c->scanned, NULL);
    if (status < 0 || (status == 0 && c->head_len == HEAD_MAX)) {
        on_malformed(c);
        return;
    }
    if (status == 0)
        return;
    take_head(c, &head, (size_t)status);
    if (c->state == BODY)
        take_body(c, data + taken, len - taken);
}

static void on_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    status_client_t *c = user_data;
    (void)stream;
    if (c->state == IDLE) { /* it says something unasked */
        drop_connection(c);
        return;
    }
    expect_byte(c);
    if (c->state == HEAD)
        take_head_bytes(c, (const char *)data.data, data.len);
    else
        take_body(c, (const char *)data.data, data.len);
}

/* `error`: 0 if the connection has ended in order. */
static void on_over(status_client_t *c, int error) {
    if (c->state == BODY && error == 0 && wst_http_body_end(&c->body) == 0) {
        finish(c);
        return;
    }
    bool again = c->state == HEAD && c->kept && c->head_len == 0;
    if (c->state == IDLE || again)
        drop_connection(c);
    if (again)
        start_dial(c);
    else if (c->state != IDLE)
        fail(c, error != 0 ? wst_strerror(error) : "the connection ended before the answer did",
             false);
}

static void on_end(wst_stream_t *stream, void *user_data) {
    (void)stream;
    on_over(user_data, 0);
}

static void on_error(wst_stream_t *stream, int error, void *user_data) {
    (void)stream;
    on_over(user_data, error);
}

/* The question ------------------------------------------------------------------------------- */

static void send_request(status_client_t *c) {
    const wst_slice_t slice =
        wst_slice_static(c->request, c->request_len); /* outlives the stream */
    c->state = HEAD;
    c->head_len = c->scanned = 0;
    expect_byte(c);
    int status = wst_stream_write(c->stream, &slice, 1);
    if (status < 0)
        on_over(c, status);
}

static void use_stream(status_client_t *c, wst_stream_t *stream) {
    static const wst_stream_callbacks_t callbacks = {
        .size = sizeof(callbacks), .on_read = on_read, .on_end = on_end, .on_error = on_error};
    c->stream = stream;
    c->kept = false;
    c->holds++;
    wst_stream_set_callbacks(stream, &callbacks, c);
    wst_stream_read_start(stream, 0);
    send_request(c);
}

static void on_secured(int status, wst_stream_t *stream, const char *detail, void *user_data) {
    status_client_t *c = user_data;
    char why[REASON_MAX];
    c->handshake = NULL;
    if (status == 0) {
        use_stream(c, stream);
        return;
    }
    snprintf(why, sizeof(why), "TLS: %s", detail);
    fail(c, why, status == WST_ETLSCERT);
}

static void on_dialled(int status, wst_stream_t *stream, void *user_data) {
    status_client_t *c = user_data;
    const wst_tls_handshake_options_t options = {.size = sizeof(options),
                                                 .config = c->tls,
                                                 .server_name = c->place.server_name,
                                                 .sni = c->place.server_name == NULL ? "" : NULL};
    c->dial = NULL;
    if (status == 0 && c->tls == NULL) {
        use_stream(c, stream);
        return;
    }
    if (status == 0) {
        c->state = SHAKING;
        status = wst_tls_handshake(&c->handshake, stream, &options, on_secured, c);
        if (status != 0)
            wst_stream_close(stream, NULL);
    }
    if (status != 0)
        fail(c, wst_strerror(status), false);
}

static void start_dial(status_client_t *c) {
    const wst_dial_options_t options = {.size = sizeof(options),
                                        .host = c->place.path == NULL ? c->place.host : NULL,
                                        .port = c->place.path == NULL ? c->place.port : 0,
                                        .path = c->place.path};
    c->state = DIALLING;
    int status = wst_dial(&c->dial, c->ctx, &options, on_dialled, c);
    if (status != 0)
        fail(c, wst_strerror(status), true);
}

void status_client_ask(status_client_t *c) {
    if (c->state != IDLE || c->closing)
        return;
    if (c->stream != NULL)
        send_request(c);
    else
        start_dial(c);
}

/* The beginning ------------------------------------------------------------------------------ */

/* Base64 (RFC 4648 section 4) of a text, terminated. */
static void encode(char *out, const char *text) {
    static const char digits[65] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i += 3) {
        unsigned long bits = 0;
        for (size_t j = 0; j < 3; j++)
            bits = bits << 8 | (i + j < len ? (unsigned char)text[i + j] : 0);
        for (size_t j = 0; j < 4; j++)
            *out++ = i + j <= len ? digits[bits >> (18 - 6 * j) & 63] : '=';
    }
    *out = '\0';
}

static void make_request(status_client_t *c) {
    const status_place_t *p = &c->place;
    char host[HOST_MAX] = "localhost", pair[2 * 256], basic[BASIC_MAX] = "";
    if (p->path == NULL)
        snprintf(host, sizeof(host), strchr(p->host, ':') != NULL ? "[%s]:%u" : "%s:%u", p->host,
                 (unsigned)p->port);
    if (p->user != NULL) {
        snprintf(pair, sizeof(pair), "%s:%s", p->user, p->password);
        encode(basic, pair);
        config_wipe(pair, sizeof(pair));
    }
    c->request_len = (size_t)snprintf(
        c->request, sizeof(c->request), "GET /status.json HTTP/1.1\r\nHost: %s\r\n%s%s%s\r\n", host,
        p->user != NULL ? "Authorization: Basic " : "", basic, p->user != NULL ? "\r\n" : "");
    config_wipe(basic, sizeof(basic));
}

int status_client_new(status_client_t **out, wst_ctx_t *ctx, const status_place_t *place,
                      wst_tls_config_t *tls, const status_client_callbacks_t *callbacks) {
    status_client_t *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return WST_ENOMEM;
    c->ctx = ctx;
    c->place = *place;
    c->callbacks = *callbacks;
    c->tls = wst_tls_config_ref(tls);
    c->holds = 1;
    make_request(c);
    uv_timer_init(wst_ctx_loop(ctx), &c->silence); /* cannot fail */
    c->silence.data = c;
    *out = c;
    return 0;
}
