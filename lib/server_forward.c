/* SPDX-License-Identifier: MIT */
/*
 * Plain HTTP through the proxy: a request in absolute form is sent to its origin through an agent,
 * and what comes back to the client. Nothing is buffered whole: bodies are passed on as they come,
 * at the pace of whoever takes them.
 *
 *     authorise -> connect (a kept connection, or a dial) -> exchange -> the next request
 *
 * An exchange has taken the connection from the hijack; the hijack gets it back for the next
 * request, for an error answer, or to end it. One connection to an origin is kept for each client's
 * connection, for requests without a body that may be repeated: so one that has gone stale just
 * when it is used again costs nothing but another dial.
 */
#include "server.h"

#include "hijack.h"
#include "http_forward.h"

#include <stdio.h>
#include <string.h>

enum { HEAD_MAX = 16384 }; /* of an origin's response */

struct wst__exchange {
    wst__conn_t *conn;
    wst_server_t *server;
    wst_stream_t *client, *origin;
    bool reused; /* the origin's connection was kept from an earlier request */
    wst_http_target_t target;
    wst__forward_t forward;
    wst_http_body_t request_body;

    bool answering;            /* the final response's head is on its way to the client */
    wst_chunk_t *gathered;     /* a response's head so far */
    size_t head_len, scanned;
    wst_http_head_t response;
    wst__reply_t reply;

    uint64_t moved_ms, opened_ms;
    wst__deadline_t silence;
    wst_stream_info_t info;
    char agent[WST_NAME_MAX + 1];
};

static void start(wst__conn_t *c, wst_stream_t *origin, const char *agent, bool reused);
static void connect_origin(wst__conn_t *c);

/* -- A kept connection to an origin ------------------------------------------------------------ */

void wst__forward_drop_kept(wst__conn_t *c) {
    if (c->kept != NULL)
        wst_stream_close(c->kept, NULL);
    c->kept = NULL;
}

/* An origin that ends or says something unasked is of no use any more. */
static void on_kept_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    (void)stream, (void)data;
    wst__forward_drop_kept(user_data);
}

static void on_kept_end(wst_stream_t *stream, void *user_data) {
    (void)stream;
    wst__forward_drop_kept(user_data);
}

static void on_kept_error(wst_stream_t *stream, int error, void *user_data) {
    (void)stream, (void)error;
    wst__forward_drop_kept(user_data);
}

static const wst_stream_callbacks_t kept_callbacks = {
    .on_read = on_kept_read, .on_end = on_kept_end, .on_error = on_kept_error};

static void keep(wst__conn_t *c, wst_stream_t *origin, const char *agent) {
    c->kept = origin;
    snprintf(c->kept_destination, sizeof(c->kept_destination), "%s", c->destination);
    snprintf(c->kept_agent, sizeof(c->kept_agent), "%s", agent);
    wst_stream_set_callbacks(origin, &kept_callbacks, c);
    wst_stream_read_start(origin, 0);
}

/* -- The origin's connection when it is done with ---------------------------------------------- */

static void on_last_shutdown(wst_stream_t *stream, void *user_data) {
    (void)user_data;
    wst_stream_close(stream, NULL);
}

static void on_last_error(wst_stream_t *stream, int error, void *user_data) {
    (void)error, (void)user_data;
    wst_stream_close(stream, NULL);
}

static const wst_stream_callbacks_t last_callbacks = {.on_shutdown = on_last_shutdown,
                                                      .on_error = on_last_error};

/* Ends it orderly: the origin has got a whole request. */
static void end_origin(wst_stream_t *origin) {
    wst_stream_read_stop(origin);
    wst_stream_set_callbacks(origin, &last_callbacks, NULL);
    if (wst_stream_shutdown(origin) != 0)
        wst_stream_close(origin, NULL);
}

/* -- The end of an exchange --------------------------------------------------------------------- */

/* Tells how it went and frees it; its streams are no longer its own. */
static void finish(wst__exchange_t *x, int status, const char *ended_by) {
    wst__conn_t *c = x->conn;
    wst_server_t *s = x->server;
    wst__deadline_clear(&s->ctx->deadlines, &x->silence);
    wst_chunk_unref(x->gathered);
    c->exchange = NULL;
    s->streams--;
    x->info.duration_ms = wst__now(s->ctx) - x->opened_ms;
    x->info.status = status;
    x->info.ended_by = ended_by;
    if (s->options.callbacks.on_stream_close != NULL && !s->closing)
        s->options.callbacks.on_stream_close(s, &x->info, s->options.user_data);
    wst__free(&s->ctx->allocator, x);
    wst__server_check_drained(s);
}

void wst__exchange_close(wst__exchange_t *x) {
    wst_stream_t *client = x->client, *origin = x->origin;
    finish(x, WST_ECANCELLED, "server");
    wst_stream_close(client, NULL);
    wst_stream_close(origin, NULL);
}

/* It cannot go on. The client is told, unless it has begun to get an answer: then it is reset, so
 * that it does not take the part for the whole. */
static void fail(wst__exchange_t *x, int error, const char *whose) {
    wst__conn_t *c = x->conn;
    wst_stream_t *client = x->client, *origin = x->origin;
    bool again = x->reused && x->head_len == 0 && whose[0] == 'a', answering = x->answering;
    const char *why = x->reply.error;
    wst_str_t detail = {why, why != NULL ? strlen(why) : 0};
    finish(x, error, whose);
    wst_stream_close(origin, NULL);
    if (whose[0] == 'c' || answering) {
        wst_stream_reset(client, wst_reason_of(error), NULL);
        wst__conn_close(c);
        return;
    }
    wst__hijack_return(c->hijack, client, WST__RETURN_UNANSWERED);
    if (again) {
        connect_origin(c);
        return;
    }
    const wst__refusal_t refusal = wst__refusal_of(error == UV_EOF ? WST__ORIGIN_ENDED : error);
    wst__conn_refuse(c, &refusal, detail, NULL);
}

static void on_silence(wst__deadline_t *deadline, uint64_t now_ms) {
    wst__exchange_t *x = WST__CONTAINER(deadline, wst__exchange_t, silence);
    wst_server_t *s = x->server;
    uint64_t limit = s->options.half_closed_timeout_ms;
    if (now_ms - x->moved_ms >= limit)
        fail(x, WST_EIDLE, "server");
    else
        wst__deadline_set(&s->ctx->deadlines, deadline, x->moved_ms + limit, on_silence);
}

/* Both messages are whole, or the response at least. `extra`: the origin sent more than that. */
static void complete(wst__exchange_t *x, bool extra) {
    wst__conn_t *c = x->conn;
    wst_stream_t *client = x->client, *origin = x->origin;
    bool whole = x->request_body.complete && !x->server->draining;
    bool keep_client = x->reply.keep_client && whole;
    bool keep_origin = x->reply.keep_origin && keep_client && !extra && c->kept == NULL;
    char agent[WST_NAME_MAX + 1];
    snprintf(agent, sizeof(agent), "%s", x->agent);
    wst_stream_set_callbacks(client, NULL, NULL);
    finish(x, 0, "agent");
    if (keep_origin)
        keep(c, origin, agent);
    else
        end_origin(origin);
    wst__hijack_return(c->hijack, client, keep_client ? WST__RETURN_NEXT : WST__RETURN_FINISHED);
}

/* 101: the connections speak something else from now on. */
static void upgrade(wst__exchange_t *x, wst_slice_t rest) {
    wst__conn_t *c = x->conn;
    wst_stream_t *client = x->client, *origin = x->origin;
    char agent[WST_NAME_MAX + 1];
    snprintf(agent, sizeof(agent), "%s", x->agent);
    wst_stream_read_stop(client);
    wst_stream_read_stop(origin);
    if (rest.len > 0 && wst_stream_unread(origin, wst_slice_ref(rest)) != 0) {
        fail(x, WST_EMEMORY, "server");
        return;
    }
    finish(x, 0, "agent");
    wst__relay_join(c, agent, client, origin);
}

/* -- Request: from the client to the origin ----------------------------------------------------- */

static void read_client(wst__exchange_t *x) {
    wst_stream_read_start(x->client, x->request_body.complete ? 0 : wst_stream_room(x->origin));
}

static void on_client_read(wst_stream_t *client, wst_slice_t data, void *user_data) {
    wst__exchange_t *x = user_data;
    x->moved_ms = wst__now(x->server->ctx);
    int n = wst_http_body_walk(&x->request_body, (const char *)data.data, data.len, NULL);
    if (n < 0) {
        x->reply.error = x->request_body.error;
        fail(x, WST_EHTTP, "server");
        return;
    }
    int status = 0;
    if (n > 0) {
        const wst_slice_t part = {data.chunk, data.data, (size_t)n};
        x->info.bytes_to_agent += part.len;
        wst_slice_ref(part);
        status = wst_stream_write(x->origin, &part, 1);
    }
    if (status < 0) {
        fail(x, status, "agent");
        return;
    }
    if (status == WST_WAIT && !x->request_body.complete)
        wst_stream_read_stop(client);
    if ((size_t)n < data.len) {
        /* The next request: it waits in the stream until this one is done. */
        const wst_slice_t rest = {data.chunk, data.data + n, data.len - (size_t)n};
        wst_stream_read_stop(client);
        if (wst_stream_unread(client, wst_slice_ref(rest)) != 0)
            fail(x, WST_EMEMORY, "server");
    }
}

static void on_client_end(wst_stream_t *client, void *user_data) {
    wst__exchange_t *x = user_data;
    if (!x->request_body.complete) {
        fail(x, WST_ECANCELLED, "client");
        return;
    }
    /* It has nothing more to ask; the hijack learns that again, after this answer. */
    wst_stream_read_stop(client);
    if (wst_stream_unread(client, wst_slice_static("", 0)) != 0)
        fail(x, WST_EMEMORY, "server");
}

static void on_client_drain(wst_stream_t *client, void *user_data) {
    (void)client;
    wst__exchange_t *x = user_data;
    wst_stream_read_start(x->origin, 0);
}

static void on_client_error(wst_stream_t *client, int error, void *user_data) {
    (void)client;
    fail(user_data, error, "client");
}

static const wst_stream_callbacks_t client_callbacks = {.on_read = on_client_read,
                                                        .on_end = on_client_end,
                                                        .on_drain = on_client_drain,
                                                        .on_error = on_client_error};

/* -- Response: from the origin to the client ---------------------------------------------------- */

/* Writes to the client. False: that failed, the exchange is over. */
static bool send_client(wst__exchange_t *x, wst_slice_t slice) {
    x->info.bytes_to_client += slice.len;
    int status = wst_stream_write(x->client, &slice, 1);
    if (status < 0) {
        fail(x, status, "client");
        return false;
    }
    if (status == WST_WAIT)
        wst_stream_read_stop(x->origin);
    return true;
}

static void read_body(wst__exchange_t *x, wst_slice_t data) {
    wst_http_body_t *body = &x->reply.body;
    while (data.len > 0 && !body->complete) {
        wst_str_t payload;
        int n = wst_http_body_walk(body, (const char *)data.data, data.len,
                                   x->reply.decode ? &payload : NULL);
        if (n < 0) {
            fail(x, WST_EHTTP, "agent");
            return;
        }
        wst_slice_t part = {data.chunk, data.data, (size_t)n};
        if (x->reply.decode)
            part = (wst_slice_t){data.chunk, (const uint8_t *)payload.ptr, payload.len};
        data.data += n;
        data.len -= (size_t)n;
        if (part.len > 0 && !send_client(x, wst_slice_ref(part)))
            return;
    }
    if (body->complete)
        complete(x, data.len > 0);
}

/* A response's head is complete: `n` bytes gathered. False: the exchange is over. */
static bool forward_head(wst__exchange_t *x) {
    size_t cap = HEAD_MAX + WST__FORWARD_EXTRA;
    wst_chunk_t *chunk = wst__pool_chunk(&x->server->ctx->pool, cap);
    if (chunk == NULL) {
        fail(x, WST_ENOMEM, "server");
        return false;
    }
    int len = wst__forward_response(&x->reply, &x->forward, &x->response,
                                    (char *)wst_chunk_data(chunk), cap);
    if (len <= 0) {
        wst_chunk_unref(chunk);
        if (len < 0)
            fail(x, WST__ORIGIN_MALFORMED, "agent");
        return len == 0;
    }
    x->answering = x->answering || !x->reply.interim;
    return send_client(x, (wst_slice_t){chunk, wst_chunk_data(chunk), (size_t)len});
}

static void on_origin_read(wst_stream_t *origin, wst_slice_t data, void *user_data) {
    (void)origin;
    wst__exchange_t *x = user_data;
    x->moved_ms = wst__now(x->server->ctx);
    const wst_http_limits_t limits = {.head_max = HEAD_MAX};
    while (!x->answering && data.len > 0) {
        if (x->gathered == NULL)
            x->gathered = wst__pool_chunk(&x->server->ctx->pool, HEAD_MAX);
        if (x->gathered == NULL) {
            fail(x, WST_ENOMEM, "server");
            return;
        }
        char *head = (char *)wst_chunk_data(x->gathered);
        size_t before = x->head_len, room = HEAD_MAX - before;
        size_t taken = data.len < room ? data.len : room;
        memcpy(head + before, data.data, taken);
        x->head_len += taken;
        int n = wst_http_parse_response(&x->response, head, x->head_len, &x->scanned, &limits);
        if (n == 0)
            return;
        if (n < 0) {
            x->reply.error = n == WST_EHTTP ? x->response.error : wst_strerror(n);
            fail(x, WST__ORIGIN_MALFORMED, "agent");
            return;
        }
        data.data += (size_t)n - before;
        data.len -= (size_t)n - before;
        if (!forward_head(x))
            return;
        x->head_len = x->scanned = 0;
    }
    if (!x->answering)
        return;
    wst_chunk_unref(x->gathered);
    x->gathered = NULL;
    if (x->reply.upgrade)
        upgrade(x, data);
    else if (x->reply.body.complete)
        complete(x, data.len > 0);
    else
        read_body(x, data);
}

static void on_origin_end(wst_stream_t *origin, void *user_data) {
    (void)origin;
    wst__exchange_t *x = user_data;
    if (x->answering && wst_http_body_end(&x->reply.body) == 0) {
        x->reply.keep_origin = false;
        complete(x, false);
    } else {
        fail(x, UV_EOF, "agent");
    }
}

static void on_origin_drain(wst_stream_t *origin, void *user_data) {
    (void)origin;
    wst__exchange_t *x = user_data;
    if (!x->request_body.complete)
        read_client(x);
}

static void on_origin_error(wst_stream_t *origin, int error, void *user_data) {
    (void)origin;
    fail(user_data, error, "agent");
}

static const wst_stream_callbacks_t origin_callbacks = {.on_read = on_origin_read,
                                                        .on_end = on_origin_end,
                                                        .on_drain = on_origin_drain,
                                                        .on_error = on_origin_error};

/* -- Starting ------------------------------------------------------------------------------------ */

static void fill_forward(wst__forward_t *f, const wst__conn_t *c, const wst_http_head_t *head,
                         const wst_http_target_t *target) {
    *f = (wst__forward_t){.request = head,
                          .target = target,
                          .pseudonym = c->server->pseudonym,
                          .keep_client = !c->server->draining,
                          .keep_origin = true};
}

/* Writes the request's head to the origin. */
static int send_head(wst__exchange_t *x) {
    size_t cap = x->server->options.http.head_max + WST__FORWARD_EXTRA;
    wst_chunk_t *chunk = wst__pool_chunk(&x->server->ctx->pool, cap);
    if (chunk == NULL)
        return WST_ENOMEM;
    int len = wst__forward_request(&x->forward, (char *)wst_chunk_data(chunk), cap);
    if (len < 0) {
        wst_chunk_unref(chunk);
        return len;
    }
    x->info.bytes_to_agent += (size_t)len;
    const wst_slice_t slice = {chunk, wst_chunk_data(chunk), (size_t)len};
    return wst_stream_write(x->origin, &slice, 1);
}

/* The origin is connected: takes the client's connection, and both streams start to flow. */
static void start(wst__conn_t *c, wst_stream_t *origin, const char *agent, bool reused) {
    wst_server_t *s = c->server;
    const wst_http_head_t *head = wst_hijack_request(c->hijack);
    wst__exchange_t *x = wst__zalloc(&s->ctx->allocator, sizeof(*x));
    int status = x != NULL ? wst_hijack_take(c->hijack, &x->client) : WST_ENOMEM;
    if (status != 0) {
        wst__free(&s->ctx->allocator, x);
        wst_stream_close(origin, NULL);
        wst__conn_refuse_error(c, status);
        return;
    }
    x->conn = c;
    x->server = s;
    x->origin = origin;
    x->reused = reused;
    c->exchange = x;
    s->streams++;
    const char *why;
    if (wst_http_parse_target(&x->target, head, &why) != 0)
        x->target = (wst_http_target_t){0}; /* cannot be: it has been parsed before */
    fill_forward(&x->forward, c, head, &x->target);
    wst_http_body_request(&x->request_body, head);
    x->opened_ms = x->moved_ms = wst__now(s->ctx);
    snprintf(x->agent, sizeof(x->agent), "%s", agent);
    x->info = (wst_stream_info_t){.id = ++s->stream_ids,
                                  .client = c->peer,
                                  .user = c->user,
                                  .destination = c->destination,
                                  .agent = x->agent,
                                  .dial_ms = x->opened_ms - c->asked_ms,
                                  .ended_by = ""};
    wst_stream_set_callbacks(x->client, &client_callbacks, x);
    wst_stream_set_callbacks(origin, &origin_callbacks, x);
    wst__deadline_in(s->ctx, &x->silence, s->options.half_closed_timeout_ms, on_silence);
    if (s->options.callbacks.on_stream_open != NULL)
        s->options.callbacks.on_stream_open(s, &x->info, s->options.user_data);
    if (c->closing) /* by that callback */
        return;
    status = send_head(x);
    if (status < 0) {
        fail(x, status, status == WST_EHEADBIG ? "server" : "agent");
        return;
    }
    wst_stream_read_start(origin, 0);
    if (status != WST_WAIT || x->request_body.complete)
        read_client(x);
}

static void on_dialled(const wst__dialled_t *outcome, void *user_data) {
    wst__conn_t *c = user_data;
    c->dial = NULL;
    if (wst_hijack_request(c->hijack) == NULL) { /* the client has just gone: on_done follows */
        if (outcome->stream != NULL)
            wst_stream_close(outcome->stream, NULL);
    } else if (outcome->status == 0) {
        start(c, outcome->stream, outcome->agent, false);
    } else {
        wst__conn_refuse_outcome(c, outcome);
    }
}

/* Whether a request may be sent twice, should a kept connection have gone stale. */
static bool is_repeatable(const wst_http_head_t *head) {
    static const char *const methods[] = {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"};
    if (head->chunked || head->content_length > 0)
        return false;
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (wst_str_eq(head->method, methods[i]))
            return true;
    return false;
}

static void connect_origin(wst__conn_t *c) {
    const wst_http_head_t *head = wst_hijack_request(c->hijack);
    bool usable = c->kept != NULL && strcmp(c->kept_destination, c->destination) == 0;
    if (usable && is_repeatable(head)) {
        wst_stream_t *origin = c->kept;
        char agent[WST_NAME_MAX + 1];
        snprintf(agent, sizeof(agent), "%s", c->kept_agent);
        c->kept = NULL;
        wst_stream_read_stop(origin);
        start(c, origin, agent, true);
        return;
    }
    wst__forward_drop_kept(c);
    wst__conn_dial(c, on_dialled);
}

static void on_answer(const wst__answer_t *answer, void *user_data) {
    wst__conn_t *c = user_data;
    if (wst__conn_allowed(c, answer))
        connect_origin(c);
}

/* Why it is not forwarded at all; NULL: it is. */
static const char *refusal_text(wst__forward_verdict_t verdict, int *cause) {
    switch (verdict) {
    case WST__FORWARD_YES:
        return NULL;
    case WST__FORWARD_TLS:
        *cause = WST__NEEDS_CONNECT;
        return "https and wss go through a tunnel: ask for it by CONNECT";
    case WST__FORWARD_SCHEME:
        *cause = WST__NEEDS_CONNECT;
        return "only http is forwarded; other protocols go through a tunnel, by CONNECT";
    case WST__FORWARD_LOOP:
        *cause = WST__LOOP;
        return "the request has come back to this proxy";
    case WST__FORWARD_LAST:
        *cause = WST__LAST_HOP;
        return "Max-Forwards has reached 0";
    default:
        *cause = WST__CODING;
        return "a transfer coding other than chunked";
    }
}

void wst__forward_http(wst__conn_t *c, const wst_http_head_t *head,
                       const wst_http_target_t *target) {
    wst_server_t *s = c->server;
    wst__forward_t forward;
    wst__write_destination(c->destination, &target->authority);
    if ((c->roles & WST_ROLE_CONNECT) == 0) {
        wst__conn_refuse_error(c, WST__NOT_OFFERED);
        return;
    }
    fill_forward(&forward, c, head, target);
    int cause = 0;
    const char *text = refusal_text(wst__forward_check(&forward), &cause);
    if (text != NULL) {
        const wst__refusal_t refusal = wst__refusal_of(cause);
        wst__conn_refuse(c, &refusal, (wst_str_t){text, strlen(text)}, NULL);
    } else if (s->draining || s->options.callbacks.on_client_request == NULL) {
        connect_origin(c);
    } else if (!wst__conn_ask(c, s->options.callbacks.on_client_request, on_answer)) {
        wst__conn_refuse_error(c, WST_ENOMEM);
    }
}
