/* SPDX-License-Identifier: MIT */
/*
 * Dialling through a proxy. proxy_http.c and socks5.c speak its protocols; this file manages the
 * connections and the deadline.
 *
 *     DIALLING -> [HANDSHAKE] -> TALKING -> the outcome
 *         ^                        | ^
 *         +---- another connection + +-> ASKING the embedder
 */
#include "defaults.h"
#include "proxy_http.h"
#include "proxy_url.h"
#include "request.h"
#include "sized.h"
#include "socks5.h"
#include "stream.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <wstunnel/dial.h>
#include <wstunnel/proxy.h>

enum { MAGIC = 0x57535058, WHY_MAX = 800 };

struct wst_proxy_dial {
    uint32_t magic;
    wst_ctx_t *ctx;
    wst__proxy_url_t proxy;
    wst_tls_config_t *tls;
    char *fields;
    void (*on_challenge)(wst_request_t *request, void *user_data);
    void *challenge_data;
    char host[WST__PROXY_HOST_MAX], target[WST__PROXY_HOST_MAX + 8];
    uint16_t port;

    wst_dial_t *dial;               /* dialling */
    wst_tls_handshake_t *handshake; /* handshake */
    wst_stream_t *stream;           /* talking, and asking unless it has ended */
    wst_request_t *question;        /* asking */
    wst__proxy_http_t http;
    wst__socks5_t socks;
    uint64_t give_up_at_ms;
    wst__deadline_t deadline; /* for talking; dial, handshake and question have their own */
    wst_proxy_dial_cb callback;
    void *user_data;
};

static wst_proxy_dial_t *proxy_dial_of(void *user_data) {
    wst_proxy_dial_t *d = user_data;
    assert(d->magic == MAGIC);
    return d;
}

/* The end ------------------------------------------------------------------------------------ */

static void close_stream(wst_proxy_dial_t *d) {
    if (d->stream != NULL)
        wst_stream_close(d->stream, NULL);
    d->stream = NULL;
}

/* Ends all work and frees the dial; the hold on the context remains. */
static void take_apart(wst_proxy_dial_t *d) {
    const wst_allocator_t *a = &d->ctx->allocator;
    if (d->dial != NULL)
        wst_dial_cancel(d->dial);
    if (d->handshake != NULL)
        wst_tls_handshake_cancel(d->handshake);
    if (d->question != NULL)
        wst__request_cancel(d->question);
    close_stream(d);
    wst__deadline_clear(&d->ctx->deadlines, &d->deadline);
    wst__proxy_http_free(&d->http);
    wst_tls_config_unref(d->tls);
    wst__free_secret(a, d->fields);
    wst__wipe(d, sizeof(*d));
    wst__free(a, d);
}

void wst_proxy_dial_cancel(wst_proxy_dial_t *dial) {
    wst_ctx_t *ctx = proxy_dial_of(dial)->ctx;
    take_apart(dial);
    wst__ctx_release(ctx);
}

/* `why` follows "the proxy NAME"; NULL or "": the error's text. */
static void proxy_dial_failed(wst_proxy_dial_t *d, int error, const char *why) {
    wst_ctx_t *ctx = d->ctx;
    wst_proxy_dial_cb callback = d->callback;
    void *user_data = d->user_data;
    bool says = why != NULL && why[0] != '\0';
    char detail[WHY_MAX];
    snprintf(detail, sizeof(detail), "the proxy %s%s%s", d->proxy.name, says ? " " : ": ",
             says ? why : wst_strerror(error));
    const wst_proxy_failure_t failure = {
        .size = sizeof(failure), .http_status = d->http.http_status, .detail = detail};
    take_apart(d);
    callback(error, NULL, &failure, user_data);
    wst__ctx_release(ctx);
}

/* The tunnel is open; `rest` arrived behind the proxy's last message. */
static void proxy_dial_succeeded(wst_proxy_dial_t *d, wst_slice_t rest) {
    int status = rest.len > 0 ? wst_stream_unread(d->stream, wst_slice_ref(rest)) : 0;
    if (status != 0) {
        proxy_dial_failed(d, status, NULL);
        return;
    }
    wst_ctx_t *ctx = d->ctx;
    wst_stream_t *stream = d->stream;
    wst_proxy_dial_cb callback = d->callback;
    void *user_data = d->user_data;
    wst_stream_read_stop(stream);
    wst_stream_set_callbacks(stream, NULL, NULL);
    d->stream = NULL;
    take_apart(d);
    callback(0, stream, NULL, user_data);
    wst__ctx_release(ctx);
}

/* Talking ------------------------------------------------------------------------------------ */

static int connect_proxy(wst_proxy_dial_t *d);
static void next_request(wst_proxy_dial_t *d);
static void on_challenge_answer(const wst__answer_t *answer, void *user_data);

/* At least 1, since 0 would mean a default. */
static uint64_t remaining_ms(const wst_proxy_dial_t *d) {
    uint64_t now_ms = wst__now(d->ctx);
    return d->give_up_at_ms > now_ms ? d->give_up_at_ms - now_ms : 1;
}

static void ask_embedder(wst_proxy_dial_t *d) {
    const wst__ask_t ask = {.head = &d->http.head,
                            .destination = d->target,
                            .peer = d->proxy.name,
                            .timeout_ms = remaining_ms(d),
                            .on_answer = on_challenge_answer,
                            .user_data = d};
    wst__deadline_clear(&d->ctx->deadlines, &d->deadline);
    int status = wst__request_new(&d->question, d->ctx, &ask);
    if (status != 0)
        proxy_dial_failed(d, status, NULL);
    else
        d->on_challenge(d->question, d->challenge_data);
}

/* Takes the step that an HTTP proxy's answer leads to. */
static void take_step(wst_proxy_dial_t *d, int step) {
    switch (step) {
    case WST__PROXY_READ:
        return;
    case WST__PROXY_SEND:
        next_request(d);
        return;
    case WST__PROXY_CHALLENGED:
        ask_embedder(d);
        return;
    case WST__PROXY_RECONNECT:
        close_stream(d);
        wst__deadline_clear(&d->ctx->deadlines, &d->deadline);
        step = connect_proxy(d);
        if (step != 0)
            proxy_dial_failed(d, step, NULL);
        return;
    default:
        proxy_dial_failed(d, step, d->http.why);
    }
}

static void on_challenge_answer(const wst__answer_t *answer, void *user_data) {
    wst_proxy_dial_t *d = proxy_dial_of(user_data);
    d->question = NULL;
    if (answer->stream != NULL) /* not a valid answer to a challenge */
        wst_stream_close(answer->stream, NULL);
    if (answer->kind == WST__ALLOWED) {
        take_step(d, wst__proxy_http_answer(&d->http, answer->fields));
        return;
    }
    bool late = answer->kind == WST__UNANSWERED;
    char why[WST__PROXY_WHY_MAX];
    snprintf(why, sizeof(why), "wants authentication and offers: %s; %s", d->http.offer.schemes,
             late                     ? "no credentials in time"
             : answer->reason != NULL ? answer->reason
                                      : "no credentials");
    proxy_dial_failed(d, late ? WST_ETIMEOUT : WST_ECANCELLED, why);
}

/* The connection has ended: orderly (0) or by this error. */
static void connection_over(wst_proxy_dial_t *d, int error) {
    const wst_stream_t *stream = d->stream;
    close_stream(d);           /* valid until control returns to the loop */
    if (d->question != NULL) { /* the answer will use another connection */
        d->http.reusable = false;
    } else if (d->proxy.kind != WST__PROXY_SOCKS5) {
        int step = wst__proxy_http_end(&d->http, error);
        if (step == WST_ETLS)
            snprintf(d->http.why, sizeof(d->http.why), "fails at TLS: %s",
                     wst__stream_why(stream, error));
        take_step(d, step);
    } else {
        proxy_dial_failed(d, error != 0 ? error : WST_EPROXY,
                          error != 0 ? NULL : "ended the connection without an answer");
    }
}

static void on_proxy_end(wst_stream_t *stream, void *user_data) {
    (void)stream;
    connection_over(proxy_dial_of(user_data), 0);
}

static void on_proxy_error(wst_stream_t *stream, int error, void *user_data) {
    (void)stream;
    connection_over(proxy_dial_of(user_data), error);
}

static void on_proxy_deadline(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    wst_proxy_dial_t *d = WST__CONTAINER(deadline, wst_proxy_dial_t, deadline);
    int error = WST_EDIALTIMEOUT;
    if (d->proxy.kind != WST__PROXY_SOCKS5) /* it may have refused before it fell silent */
        error = wst__proxy_http_end(&d->http, error);
    if (error >= 0 || error == WST_EDIALTIMEOUT)
        proxy_dial_failed(d, WST_EDIALTIMEOUT, "gave no answer in time");
    else
        proxy_dial_failed(d, error, d->http.why);
}

/* Writes a copy and waits for the answer. */
static void send_message(wst_proxy_dial_t *d, const void *data, size_t len) {
    wst_slice_t slice;
    int status = wst_slice_copy(&slice, d->ctx, data, len);
    if (status != 0) {
        proxy_dial_failed(d, status, NULL);
        return;
    }
    status = wst_stream_write(d->stream, &slice, 1);
    if (status < 0) {
        connection_over(d, status);
        return;
    }
    wst__deadline_set(&d->ctx->deadlines, &d->deadline, d->give_up_at_ms, on_proxy_deadline);
    wst_stream_read_start(d->stream, 0);
}

static void next_request(wst_proxy_dial_t *d) {
    uint8_t random[16];
    char request[WST__PROXY_REQUEST_MAX];
    int rc = wst__random(d->ctx, random, sizeof(random));
    if (rc == 0)
        rc = wst__proxy_http_request(&d->http, request, random);
    if (rc > 0)
        send_message(d, request, (size_t)rc);
    else
        proxy_dial_failed(d, rc, d->http.why);
    wst__wipe(request, sizeof(request));
}

static void read_http(wst_proxy_dial_t *d, wst_slice_t data) {
    size_t used;
    int step = wst__proxy_http_feed(&d->http, (const char *)data.data, data.len, &used);
    if (step == WST__PROXY_OPEN)
        proxy_dial_succeeded(d, (wst_slice_t){data.chunk, data.data + used, data.len - used});
    else
        take_step(d, step);
}

static void read_socks(wst_proxy_dial_t *d, wst_slice_t data) {
    size_t used;
    int step = wst__socks5_feed(&d->socks, data.data, data.len, &used);
    if (step < 0)
        proxy_dial_failed(d, step, d->socks.why);
    else if (step == WST__SOCKS5_OPEN)
        proxy_dial_succeeded(d, (wst_slice_t){data.chunk, data.data + used, data.len - used});
    else if (used < data.len)
        proxy_dial_failed(d, WST_EPROTO, "answers before it is asked");
    else if (step == WST__SOCKS5_WRITE)
        send_message(d, d->socks.out, d->socks.out_len);
}

static void on_proxy_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    (void)stream;
    wst_proxy_dial_t *d = proxy_dial_of(user_data);
    if (d->question != NULL) /* unasked bytes: do not trust the connection */
        connection_over(d, 0);
    else if (d->proxy.kind == WST__PROXY_SOCKS5)
        read_socks(d, data);
    else
        read_http(d, data);
}

static void talk(wst_proxy_dial_t *d, wst_stream_t *stream) {
    static const wst_stream_callbacks_t callbacks = {.size = sizeof(callbacks),
                                                     .on_read = on_proxy_read,
                                                     .on_end = on_proxy_end,
                                                     .on_error = on_proxy_error};
    const char *user = d->proxy.has_credentials ? d->proxy.user : NULL;
    d->stream = stream;
    wst_stream_set_callbacks(stream, &callbacks, d);
    if (d->proxy.kind != WST__PROXY_SOCKS5) {
        next_request(d);
        return;
    }
    wst__socks5_init(&d->socks, d->host, d->port, user, d->proxy.password);
    send_message(d, d->socks.out, d->socks.out_len);
}

/* Connecting --------------------------------------------------------------------------------- */

static void on_proxy_handshake(int status, wst_stream_t *stream, const char *detail,
                               void *user_data) {
    wst_proxy_dial_t *d = proxy_dial_of(user_data);
    d->handshake = NULL;
    if (status == 0) {
        talk(d, stream);
        return;
    }
    char why[WST__PROXY_WHY_MAX];
    snprintf(why, sizeof(why), "fails at TLS: %s", detail);
    proxy_dial_failed(d, status, why);
}

static void on_proxy_dialled(int status, wst_stream_t *stream, void *user_data) {
    wst_proxy_dial_t *d = proxy_dial_of(user_data);
    d->dial = NULL;
    if (status != 0) {
        char why[128];
        snprintf(why, sizeof(why), "cannot be reached: %s", wst_strerror(status));
        proxy_dial_failed(d, status, why);
        return;
    }
    if (d->proxy.kind != WST__PROXY_HTTPS) {
        talk(d, stream);
        return;
    }
    const wst_tls_handshake_options_t options = {.size = sizeof(options),
                                                 .config = d->tls,
                                                 .server_name = d->proxy.host,
                                                 .timeout_ms = remaining_ms(d)};
    status = wst_tls_handshake(&d->handshake, stream, &options, on_proxy_handshake, d);
    if (status != 0) {
        wst_stream_close(stream, NULL);
        proxy_dial_failed(d, status, NULL);
    }
}

static int connect_proxy(wst_proxy_dial_t *d) {
    const wst_dial_options_t options = {.size = sizeof(options),
                                        .host = d->proxy.host,
                                        .port = d->proxy.port,
                                        .timeout_ms = remaining_ms(d)};
    return wst_dial(&d->dial, d->ctx, &options, on_proxy_dialled, d);
}

/* Public ------------------------------------------------------------------------------------- */

/* Sets the destination, as a request names it. 0 or WST_EINVAL. */
static int set_target(wst_proxy_dial_t *d, const char *host, uint16_t port, const char **why) {
    wst_authority_t a;
    if (strnlen(host, sizeof(d->host)) == sizeof(d->host)) {
        *why = "host too long";
        return WST_EINVAL;
    }
    int len = snprintf(d->target, sizeof(d->target),
                       strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host, port);
    memcpy(d->host, host, strlen(host) + 1);
    d->port = port;
    return wst_parse_authority(&a, (wst_str_t){d->target, (size_t)len}, why) == 0 ? 0 : WST_EINVAL;
}

static int set_proxy(wst_proxy_dial_t *d, const wst_proxy_options_t *o, const char **why) {
    int status = wst__proxy_url_parse(&d->proxy, o->url, o->credentials, why);
    if (status == 0)
        status = wst__proxy_http_check_fields(o->fields, why);
    if (status != 0)
        return status;
    d->on_challenge = o->on_challenge;
    d->challenge_data = o->user_data;
    d->fields = wst__strdup(&d->ctx->allocator, o->fields);
    if (o->fields != NULL && d->fields == NULL)
        return WST_ENOMEM;
    d->tls = wst_tls_config_ref(o->tls);
    if (d->proxy.kind != WST__PROXY_HTTPS || d->tls != NULL)
        return 0;
    return wst_tls_client_config(&d->tls, d->ctx, NULL, NULL);
}

int wst_proxy_dial(wst_proxy_dial_t **out, wst_ctx_t *ctx, const wst_proxy_dial_options_t *given,
                   const char **why, wst_proxy_dial_cb callback, void *user_data) {
    wst_proxy_dial_options_t options;
    wst_proxy_options_t proxy;
    const char *ignored;
    if (why == NULL)
        why = &ignored;
    *why = "a required option is missing";
    if (wst__sized_read(&options, sizeof(options), given) != 0 ||
        wst__sized_read(&proxy, sizeof(proxy), options.proxy) != 0 || proxy.url == NULL ||
        options.host == NULL || callback == NULL)
        return WST_EINVAL;
    wst_proxy_dial_t *d = wst__zalloc(&ctx->allocator, sizeof(*d));
    if (d == NULL)
        return WST_ENOMEM;
    uint64_t now_ms = wst__now(ctx);
    uint64_t timeout_ms = options.timeout_ms != 0 ? options.timeout_ms : WST__STEP_TIMEOUT_MS;
    d->magic = MAGIC;
    d->ctx = ctx;
    d->callback = callback;
    d->user_data = user_data;
    d->give_up_at_ms = timeout_ms < WST__NEVER - now_ms ? now_ms + timeout_ms : WST__NEVER;
    int status = set_target(d, options.host, options.port, why);
    if (status == 0)
        status = set_proxy(d, &proxy, why);
    const wst__proxy_http_options_t http = {.target = d->target,
                                            .user = d->proxy.has_credentials ? d->proxy.user : NULL,
                                            .password = d->proxy.password,
                                            .fields = d->fields,
                                            .asks = d->on_challenge != NULL};
    wst__proxy_http_init(&d->http, &ctx->allocator, &http);
    if (status == 0) {
        *why = "the proxy's host is none";
        status = connect_proxy(d);
    }
    if (status != 0) {
        take_apart(d);
        return status;
    }
    wst__ctx_hold(ctx);
    *out = d;
    return 0;
}
