/* SPDX-License-Identifier: MIT */
/*
 * Plain HTTP through the proxy: a request in absolute form is sent to its origin through an agent,
 * and what comes back to the client. Nothing is buffered whole: bodies are passed on as they come,
 * at the pace of whoever takes them.
 *
 *     authorise -> connect (a kept connection, or a dial) -> exchange -> the next request
 *
 * An exchange has taken the connection from the hijack; the hijack gets it back for the next
 * request, for an error answer, or to end it, but not before all that was said has left our
 * buffers: so requests in a row cannot fill them, and no deadline for a head runs meanwhile.
 *
 * One connection to an origin is kept for each client's connection (server_origin.c), and used for
 * requests that may be repeated: one that has gone stale just then costs nothing but a dial.
 */
#include "server.h"

#include "hijack.h"
#include "http_body.h"
#include "http_forward.h"

#include <stdio.h>
#include <string.h>

enum { HEAD_MAX = 16384 }; /* of an origin's response */

/* Whose doing it was that an exchange cannot go on. */
typedef enum blame {
    CLIENT_GONE,  /* its connection is broken */
    CLIENT_WRONG, /* what it sends is malformed */
    ORIGIN,       /* or the agent on the way to it */
    OURS
} blame_t;

struct wst__exchange {
    wst__conn_t *conn;
    wst_server_t *server;
    wst_stream_t *client;
    wst_stream_t *origin; /* NULL: the response is complete, the client is still to drain */
    bool reused;          /* the origin's connection was kept from an earlier request */
    wst__forward_t forward;
    wst_http_body_t request_body;

    bool answering;        /* the final response's head is on its way to the client */
    bool client_full;      /* the client is to drain */
    wst_chunk_t *gathered; /* a response's head so far */
    size_t head_len, scanned;
    wst_http_head_t response;
    wst__reply_t reply;

    uint64_t moved_ms, opened_ms;
    wst__deadline_t silence;
    wst_stream_info_t info;
    char agent[WST_NAME_MAX + 1];
    uint64_t agent_serial;
};

static void connect_origin(wst__conn_t *c);

static void note_movement(wst__exchange_t *x) {
    x->moved_ms = wst__now(x->server->ctx);
}

/* -- The end of an exchange ---------------------------------------------------------------------
 */

/* Tells how it went and frees it; its streams are no longer its own. The server may be closed when
 * this returns. wst__server_check_drained is to follow. */
static void finish(wst__exchange_t *x, int status, const char *ended_by) {
    wst_server_t *s = x->server;
    wst__deadline_clear(&s->ctx->deadlines, &x->silence);
    wst_chunk_unref(x->gathered);
    x->conn->exchange = NULL;
    s->streams--;
    x->info.duration_ms = wst__now(s->ctx) - x->opened_ms;
    x->info.status = status;
    x->info.ended_by = ended_by;
    if (s->options.callbacks.on_stream_close != NULL && !s->closing)
        s->options.callbacks.on_stream_close(s, &x->info, s->options.user_data);
    wst__free(&s->ctx->allocator, x);
}

static void close_origin(wst_stream_t *origin) {
    if (origin != NULL)
        wst_stream_close(origin, NULL);
}

void wst__exchange_close(wst__exchange_t *x) {
    wst_server_t *s = x->server;
    wst_stream_t *client = x->client, *origin = x->origin;
    finish(x, WST_ECANCELLED, "server");
    wst_stream_close(client, NULL);
    close_origin(origin);
    wst__server_check_drained(s);
}

/* The cause to give the client. */
static int cause_of(int error, blame_t blame) {
    if (blame == ORIGIN && error == UV_EOF)
        return WST__ORIGIN_ENDED;
    return blame == ORIGIN && error == WST_EHTTP ? (int)WST__ORIGIN_MALFORMED : error;
}

/* It cannot go on. The client is told (`why`: more about it, or NULL), unless it has begun to get
 * an answer: then it is reset, so that it does not take the part for the whole. */
static void fail(wst__exchange_t *x, int error, blame_t blame, const char *why) {
    static const char *const names[] = {"client", "client", "agent", "server"};
    wst__conn_t *c = x->conn;
    wst_server_t *s = x->server;
    wst_stream_t *client = x->client;
    bool answering = x->answering, again = x->reused && x->head_len == 0 && blame == ORIGIN;
    close_origin(x->origin);
    finish(x, error, names[blame]);
    if (blame == CLIENT_GONE || answering) {
        wst_stream_reset(client, wst_reason_of(error), NULL);
        wst__conn_close(c);
    } else {
        wst__hijack_return(c->hijack, client, WST__RETURN_UNANSWERED);
        if (again && !c->closing) {
            connect_origin(c);
        } else {
            wst__conn_leave(c);
            const wst__refusal_t refusal = wst__refusal_of(cause_of(error, blame));
            wst__conn_refuse(c, &refusal, (wst_str_t){why, why != NULL ? strlen(why) : 0}, NULL);
        }
    }
    wst__server_check_drained(s);
}

static void on_silence(wst__deadline_t *deadline, uint64_t now_ms) {
    wst__exchange_t *x = WST__CONTAINER(deadline, wst__exchange_t, silence);
    wst_server_t *s = x->server;
    uint64_t limit = s->options.half_closed_timeout_ms;
    if (now_ms - x->moved_ms >= limit)
        fail(x, WST_EIDLE, OURS, NULL);
    else
        wst__deadline_set(&s->ctx->deadlines, deadline, x->moved_ms + limit, on_silence);
}

/* The client has been sent everything. */
static void hand_back(wst__exchange_t *x) {
    wst__conn_t *c = x->conn;
    wst_server_t *s = x->server;
    wst_stream_t *client = x->client;
    bool keep = x->reply.keep_client;
    s->leaving++; /* not drained in between */
    finish(x, 0, "agent");
    s->leaving--;
    if (keep && !s->draining) {
        c->served = true;
        wst__hijack_return(c->hijack, client, WST__RETURN_NEXT);
    } else {
        wst__conn_leave(c);
        wst__hijack_return(c->hijack, client, WST__RETURN_FINISHED);
    }
    wst__server_check_drained(s);
}

static void keep_origin(const wst__exchange_t *x, wst_stream_t *stream) {
    wst__origin_t origin = {.stream = stream, .agent_serial = x->agent_serial};
    snprintf(origin.agent, sizeof(origin.agent), "%s", x->agent);
    snprintf(origin.address, sizeof(origin.address), "%s", x->conn->address);
    wst__origin_keep(x->conn, &origin);
}

/* The response is whole. `extra`: the origin has sent more than that. */
static void complete(wst__exchange_t *x, bool extra) {
    wst_stream_t *origin = x->origin;
    bool next = x->reply.keep_client && !x->server->draining;
    x->origin = NULL;
    wst_stream_read_stop(x->client);
    if (!x->request_body.complete || extra)
        wst_stream_close(origin, NULL); /* a part of a request must not look like a whole one */
    else if (x->reply.keep_origin && next)
        keep_origin(x, origin);
    else
        wst__origin_end(origin);
    if (!x->client_full)
        hand_back(x);
}

/* 101: the connections speak something else from now on. */
static void upgrade(wst__exchange_t *x, wst_slice_t rest) {
    wst__conn_t *c = x->conn;
    wst_server_t *s = x->server;
    wst_stream_t *client = x->client, *origin = x->origin;
    char agent[WST_NAME_MAX + 1];
    snprintf(agent, sizeof(agent), "%s", x->agent);
    wst_stream_read_stop(client);
    wst_stream_read_stop(origin);
    if (wst_stream_unread(origin, wst_slice_ref(rest)) != 0) {
        fail(x, WST_ENOMEM, OURS, NULL);
        return;
    }
    s->leaving++; /* not drained in between */
    finish(x, 0, "agent");
    if (!c->closing) {
        wst__relay_join(c, agent, client, origin);
    } else {
        wst_stream_close(client, NULL);
        wst_stream_close(origin, NULL);
    }
    s->leaving--;
    wst__server_check_drained(s);
}

/* -- Request: from the client to the origin -----------------------------------------------------
 */

/* Its body, as much of it as the origin has room for; behind that, whether the client goes. */
static void read_client(wst__exchange_t *x) {
    wst_stream_read_start(x->client, x->request_body.complete ? 0 : wst_stream_room(x->origin));
}

static void on_client_read(wst_stream_t *client, wst_slice_t data, void *user_data) {
    wst__exchange_t *x = user_data;
    wst_http_body_t *body = &x->request_body;
    note_movement(x);
    int n = wst_http_body_walk(body, (const char *)data.data, data.len, NULL);
    if (n < 0) {
        fail(x, WST_EHTTP, CLIENT_WRONG, body->error);
        return;
    }
    if (body->forbidden_trailer) {
        fail(x, WST_EHTTP, CLIENT_WRONG, "field in the trailer section that belongs into the head");
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
        fail(x, status, ORIGIN, NULL);
    } else if ((size_t)n < data.len) {
        /* The next request: it waits in the stream until this one is done. */
        const wst_slice_t rest = {data.chunk, data.data + n, data.len - (size_t)n};
        wst_stream_read_stop(client);
        if (wst_stream_unread(client, wst_slice_ref(rest)) != 0)
            fail(x, WST_ENOMEM, OURS, NULL);
    } else if (status == WST_WAIT && !body->complete) {
        wst_stream_read_stop(client);
    } else {
        read_client(x);
    }
}

static void on_client_end(wst_stream_t *client, void *user_data) {
    wst__exchange_t *x = user_data;
    /* It has nothing more to ask; the hijack learns that again, behind the answer. */
    wst_stream_read_stop(client);
    if (wst_stream_unread(client, wst_slice_static("", 0)) != 0)
        fail(x, WST_ENOMEM, OURS, NULL);
    else if (wst_http_body_end(&x->request_body) != 0)
        fail(x, WST_EHTTP, CLIENT_WRONG, x->request_body.error);
}

static void on_client_drain(wst_stream_t *client, void *user_data) {
    (void)client;
    wst__exchange_t *x = user_data;
    note_movement(x);
    x->client_full = false;
    if (x->origin == NULL)
        hand_back(x);
    else
        wst_stream_read_start(x->origin, 0);
}

static void on_client_error(wst_stream_t *client, int error, void *user_data) {
    (void)client;
    fail(user_data, error, CLIENT_GONE, NULL);
}

static const wst_stream_callbacks_t client_callbacks = {.on_read = on_client_read,
                                                        .on_end = on_client_end,
                                                        .on_drain = on_client_drain,
                                                        .on_error = on_client_error};

/* -- Response: from the origin to the client ----------------------------------------------------
 */

/* Writes to the client. False: that failed, the exchange is over. */
static bool send_client(wst__exchange_t *x, wst_slice_t slice) {
    x->info.bytes_to_client += slice.len;
    int status = wst_stream_write(x->client, &slice, 1);
    if (status < 0) {
        fail(x, status, CLIENT_GONE, NULL);
        return false;
    }
    if (status == WST_WAIT) {
        x->client_full = true;
        wst_stream_read_stop(x->origin);
    }
    return true;
}

/* As send_client, of what is in no chunk. */
static bool send_copy(wst__exchange_t *x, wst_str_t text) {
    wst_slice_t slice;
    if (text.len == 0)
        return true;
    if (wst_slice_copy(&slice, x->server->ctx, text.ptr, text.len) != 0) {
        fail(x, WST_ENOMEM, OURS, NULL);
        return false;
    }
    return send_client(x, slice);
}

static void read_body(wst__exchange_t *x, wst_slice_t data) {
    wst_http_body_t *body = &x->reply.body;
    while (data.len > 0 && !body->complete) {
        const char *bytes = (const char *)data.data;
        wst_str_t held = {NULL, 0}, run;
        int n = x->reply.decode ? wst_http_body_walk(body, bytes, data.len, &run)
                                : wst__http_body_filter(body, bytes, data.len, &held, &run);
        if (n < 0) {
            fail(x, WST_EHTTP, ORIGIN, NULL);
            return;
        }
        const wst_slice_t part = {data.chunk, (const uint8_t *)run.ptr, run.len};
        data.data += n;
        data.len -= (size_t)n;
        if (!send_copy(x, held) || (part.len > 0 && !send_client(x, wst_slice_ref(part))))
            return;
    }
    if (body->complete)
        complete(x, data.len > 0);
}

/* A response's head has been parsed. False: the exchange is over. */
static bool forward_head(wst__exchange_t *x) {
    size_t cap = HEAD_MAX + WST__FORWARD_EXTRA;
    wst_chunk_t *chunk = wst__pool_chunk(&x->server->ctx->pool, cap);
    if (chunk == NULL) {
        fail(x, WST_ENOMEM, OURS, NULL);
        return false;
    }
    /* Who is answered before it has sent all has to be read to the end, or closed. */
    x->forward.keep_client = x->request_body.complete && !x->server->draining;
    int len = wst__forward_response(&x->reply, &x->forward, &x->response,
                                    (char *)wst_chunk_data(chunk), cap);
    if (len <= 0)
        wst_chunk_unref(chunk);
    if (len < 0) {
        fail(x, WST_EHTTP, ORIGIN, len == WST_EHTTP ? x->reply.error : wst_strerror(len));
        return false;
    }
    x->answering = !x->reply.interim;
    x->head_len = x->scanned = 0;
    return len == 0 || send_client(x, (wst_slice_t){chunk, wst_chunk_data(chunk), (size_t)len});
}

/* Reads heads up to that of the final response. False: that is still to come, or the exchange is
 * over. */
static bool read_heads(wst__exchange_t *x, wst_slice_t *data) {
    const wst_http_limits_t limits = {.head_max = HEAD_MAX};
    while (!x->answering && data->len > 0) {
        if (x->gathered == NULL)
            x->gathered = wst__pool_chunk(&x->server->ctx->pool, HEAD_MAX);
        if (x->gathered == NULL) {
            fail(x, WST_ENOMEM, OURS, NULL);
            return false;
        }
        char *head = (char *)wst_chunk_data(x->gathered);
        size_t before = x->head_len, room = HEAD_MAX - before;
        size_t taken = data->len < room ? data->len : room;
        memcpy(head + before, data->data, taken);
        x->head_len += taken;
        int n = wst_http_parse_response(&x->response, head, x->head_len, &x->scanned, &limits);
        if (n < 0)
            fail(x, WST_EHTTP, ORIGIN, n == WST_EHTTP ? x->response.error : wst_strerror(n));
        if (n <= 0)
            return false;
        data->data += (size_t)n - before;
        data->len -= (size_t)n - before;
        if (!forward_head(x))
            return false;
    }
    return x->answering;
}

static void on_origin_read(wst_stream_t *origin, wst_slice_t data, void *user_data) {
    (void)origin;
    wst__exchange_t *x = user_data;
    note_movement(x);
    if (!x->answering && !read_heads(x, &data))
        return;
    wst_chunk_unref(x->gathered);
    x->gathered = NULL;
    if (x->reply.upgrade)
        upgrade(x, data);
    else
        read_body(x, data);
}

static void on_origin_end(wst_stream_t *origin, void *user_data) {
    (void)origin;
    wst__exchange_t *x = user_data;
    if (x->answering && wst_http_body_end(&x->reply.body) == 0)
        complete(x, false);
    else
        fail(x, UV_EOF, ORIGIN, NULL);
}

static void on_origin_drain(wst_stream_t *origin, void *user_data) {
    (void)origin;
    wst__exchange_t *x = user_data;
    note_movement(x);
    if (!x->request_body.complete)
        read_client(x);
}

static void on_origin_error(wst_stream_t *origin, int error, void *user_data) {
    (void)origin;
    fail(user_data, error, ORIGIN, NULL);
}

static const wst_stream_callbacks_t origin_callbacks = {.on_read = on_origin_read,
                                                        .on_end = on_origin_end,
                                                        .on_drain = on_origin_drain,
                                                        .on_error = on_origin_error};

/* -- Starting ------------------------------------------------------------------------------------
 */

static wst__forward_t forward_of(const wst__conn_t *c, const wst_http_head_t *head) {
    const wst_server_t *s = c->server;
    return (wst__forward_t){.request = head,
                            .target = &c->target,
                            .pseudonym = s->pseudonym,
                            .keep_origin = !s->draining};
}

/* Writes the request's head to the origin, and both streams start to flow. */
static void send_request(wst__exchange_t *x) {
    size_t cap = x->server->options.http.head_max + WST__FORWARD_EXTRA;
    wst_chunk_t *chunk = wst__pool_chunk(&x->server->ctx->pool, cap);
    if (chunk == NULL) {
        fail(x, WST_ENOMEM, OURS, NULL);
        return;
    }
    int len = wst__forward_request(&x->forward, (char *)wst_chunk_data(chunk), cap);
    if (len < 0) {
        wst_chunk_unref(chunk);
        fail(x, len, OURS, NULL);
        return;
    }
    x->info.bytes_to_agent += (size_t)len;
    const wst_slice_t slice = {chunk, wst_chunk_data(chunk), (size_t)len};
    int status = wst_stream_write(x->origin, &slice, 1);
    if (status < 0) {
        fail(x, status, ORIGIN, NULL);
        return;
    }
    wst_stream_read_start(x->origin, 0);
    if (status != WST_WAIT || x->request_body.complete)
        read_client(x);
}

/* The origin is connected: takes the client's connection. */
static void start(wst__conn_t *c, const wst__dialled_t *outcome) {
    wst_server_t *s = c->server;
    wst_stream_t *origin = outcome->stream;
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
    x->reused = outcome->reused;
    x->agent_serial = outcome->agent_serial;
    c->exchange = x;
    s->streams++;
    x->forward = forward_of(c, head);
    wst_http_body_request(&x->request_body, head);
    x->opened_ms = x->moved_ms = wst__now(s->ctx);
    snprintf(x->agent, sizeof(x->agent), "%s", outcome->agent);
    x->info = (wst_stream_info_t){.id = ++s->stream_ids,
                                  .client = c->peer,
                                  .user = c->user,
                                  .tenant = c->tenant,
                                  .address = c->address,
                                  .destination = c->destination,
                                  .agent = x->agent,
                                  .dial_ms = x->opened_ms - c->asked_ms,
                                  .ended_by = ""};
    wst_stream_set_callbacks(x->client, &client_callbacks, x);
    wst_stream_set_callbacks(origin, &origin_callbacks, x);
    wst__deadline_in(s->ctx, &x->silence, s->options.half_closed_timeout_ms, on_silence);
    if (s->options.callbacks.on_stream_open != NULL)
        s->options.callbacks.on_stream_open(s, &x->info, s->options.user_data);
    if (!c->closing) /* by that callback */
        send_request(x);
}

static void on_dialled(const wst__dialled_t *outcome, void *user_data) {
    wst__conn_t *c = user_data;
    c->dial = NULL;
    wst__conn_reached(c, outcome);
    if (wst_hijack_request(c->hijack) == NULL) { /* the client has just gone: on_done follows */
        if (outcome->stream != NULL)
            wst_stream_close(outcome->stream, NULL);
    } else if (outcome->status == 0) {
        start(c, outcome);
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
    wst__origin_t kept;
    bool take = !c->server->draining && is_repeatable(wst_hijack_request(c->hijack)) &&
                wst__origin_take(c, &kept);
    wst__origin_drop(c);
    wst__conn_dial(c, take ? &kept : NULL, on_dialled);
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
    wst__write_destination(c->destination, &target->authority);
    c->target = *target;
    const wst__forward_t forward = forward_of(c, head);
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
