/* SPDX-License-Identifier: MIT */
/*
 * Plain HTTP through the proxy: sends a request in absolute form to its origin through an agent,
 * and the response to the client. Bodies are not buffered whole: they are passed on as they come,
 * at the pace of the receiver. A body that only the end of the origin's connection delimits is sent
 * to the client in chunks: a proxy, a socket or a TLS library on the way may turn a reset into an
 * end, but the last chunk is missing then. Clients of HTTP/1.0 know no chunks and get such a body
 * as it is.
 *
 *     authorise -> connect (a kept connection, or a dial) -> exchange -> the next request
 *
 * An exchange takes the client's connection from the hijack and returns it for the next request,
 * for an error answer, or to be ended. After a response it returns the connection only when all
 * bytes have left our buffers: so pipelined requests cannot fill them, and no head deadline runs
 * meanwhile.
 *
 * Each client's connection keeps one connection to an origin (kept.c) for requests that may be
 * repeated: if it has gone stale, the request is sent again on a new one.
 */
#include "http_client.h"

#include "hijack.h"
#include "http_body.h"
#include "http_forward.h"
#include "http_target.h"
#include "self.h"

#include <stdio.h>
#include <string.h>

enum { HEAD_MAX = 16384 }; /* of an origin's response */

/* The party that broke an exchange. */
typedef enum blame {
    CLIENT_GONE,  /* the client's connection is broken */
    CLIENT_WRONG, /* the request is malformed */
    ORIGIN,       /* the origin, or the agent on the way to it */
    OURS
} blame_t;

struct wst__exchange {
    wst__client_t *owner;
    wst_ctx_t *ctx;
    wst_flow_t *flow; /* counts the bytes */
    wst_stream_t *client;
    wst_stream_t *origin; /* NULL: the response is complete, but the client is full */
    wst__forward_t forward;
    wst_http_body_t request_body;

    bool answering;        /* the final response's head is on its way to the client */
    bool client_full;      /* the client's on_drain is to come */
    wst_chunk_t *gathered; /* a response's head so far */
    size_t head_len, scanned;
    wst_http_head_t response;
    char date[WST__HTTP_DATE]; /* of the response's arrival */
    wst__reply_t reply;

    uint64_t moved_ms;
    wst__deadline_t silence;
};

static void note_movement(wst__exchange_t *x) {
    x->moved_ms = wst__now(x->ctx);
}

/* The end of an exchange --------------------------------------------------------------------- */

/* Reports the exchange's outcome and frees it, but not its streams. Returns its flow, which has
 * relayed, to the caller. */
static wst_flow_t *finish_exchange(wst__exchange_t *x, int status, const char *ended_by) {
    wst_flow_t *flow = x->flow;
    wst__deadline_clear(&x->ctx->deadlines, &x->silence);
    wst_chunk_unref(x->gathered);
    x->owner->exchange = NULL;
    wst__free(&x->ctx->allocator, x);
    wst__flow_over(flow, status, ended_by);
    return flow;
}

static void close_origin(wst_stream_t *origin) {
    if (origin != NULL)
        wst_stream_close(origin, NULL);
}

void wst__exchange_close(wst__exchange_t *x) {
    wst_stream_t *client = x->client, *origin = x->origin;
    wst_flow_cancel(finish_exchange(x, WST_ECANCELLED, "server"));
    wst_stream_close(client, NULL);
    close_origin(origin);
}

/* The cause that the client is told. */
static int cause_of(int error, blame_t blame) {
    if (blame == ORIGIN && error == UV_EOF)
        return WST__ORIGIN_ENDED;
    if (blame == OURS && error == WST_EDENIED)
        return WST__REVOKED;
    return blame == ORIGIN && error == WST_EHTTP ? (int)WST__ORIGIN_MALFORMED : error;
}

/* Refuses the request, or sends it once more (`again`) on a new connection. */
static void give_back(wst__client_t *c, wst_flow_t *flow, wst_stream_t *client, bool again,
                      int cause, const char *why) {
    wst__hijack_return(c->hijack, client, WST__RETURN_UNANSWERED);
    if (c->closing) {
        wst_flow_cancel(flow);
        return;
    }
    c->flow = flow;
    if (again) {
        wst__flow_dial(flow, wst_hijack_request(c->hijack), c->tls);
        return;
    }
    wst__client_leave(c);
    wst__flow_refuse(flow, cause, (wst_str_t){why, why != NULL ? strlen(why) : 0});
}

/* Ends a broken exchange. The client gets an error answer (`why`: details, or NULL). If an answer
 * has begun, the client is reset, so that it does not take a part for the whole. */
static void fail_exchange(wst__exchange_t *x, int error, blame_t blame, const char *why) {
    static const char *const names[] = {"client", "client", "agent", "server"};
    wst__client_t *c = x->owner;
    wst_stream_t *client = x->client, *origin = x->origin;
    bool answering = x->answering;
    bool again = x->flow->reused && x->head_len == 0 && blame == ORIGIN && x->flow->revoked == NULL;
    close_origin(origin);
    wst_flow_t *flow = finish_exchange(x, error, names[blame]);
    if (blame == CLIENT_GONE || answering) {
        wst_flow_cancel(flow);
        wst_stream_reset(client, wst_reason_of(error), NULL);
        wst__client_close(c);
    } else {
        give_back(c, flow, client, again, cause_of(error, blame), why);
    }
}

static void on_silence(wst__deadline_t *deadline, uint64_t now_ms) {
    wst__exchange_t *x = WST__CONTAINER(deadline, wst__exchange_t, silence);
    uint64_t limit = x->owner->ingress->limits.half_closed_timeout_ms;
    if (now_ms - x->moved_ms >= limit)
        fail_exchange(x, WST_EIDLE, OURS, NULL);
    else
        wst__deadline_set(&x->ctx->deadlines, deadline, x->moved_ms + limit, on_silence);
}

static bool is_draining(const wst__client_t *c) {
    return c->ingress->node->state != WST__NODE_RUNNING;
}

/* The whole response has been sent: the hijack gets the connection back. */
static void hand_back(wst__exchange_t *x) {
    wst__client_t *c = x->owner;
    wst_stream_t *client = x->client;
    bool keep = x->reply.keep_client;
    wst_flow_t *flow = finish_exchange(x, 0, "agent");
    bool next = keep && !is_draining(c);
    if (!next)
        wst__client_leave(c); /* before the flow is freed, or the node could drain in between */
    c->served = c->served || next;
    wst__hijack_return(c->hijack, client, next ? WST__RETURN_NEXT : WST__RETURN_FINISHED);
    wst_flow_cancel(flow);
}

static void keep_origin(const wst__exchange_t *x, wst_stream_t *stream) {
    const wst_flow_t *flow = x->flow;
    wst__origin_t origin = {
        .stream = stream, .agent_serial = flow->agent_serial, .conn = flow->search->conn};
    snprintf(origin.agent, sizeof(origin.agent), "%s", flow->agent);
    snprintf(origin.address, sizeof(origin.address), "%s", flow->address);
    wst__kept_put(x->owner, flow, &origin);
}

/* The response is complete. `extra`: the origin has sent bytes behind it. */
static void complete(wst__exchange_t *x, bool extra) {
    wst_stream_t *origin = x->origin;
    bool next = x->reply.keep_client && !is_draining(x->owner);
    x->origin = NULL;
    wst_stream_read_stop(x->client);
    if (!x->request_body.complete || extra)
        wst_stream_close(origin, NULL); /* an incomplete request must not look complete */
    else if (x->reply.keep_origin && next)
        keep_origin(x, origin);
    else
        wst__origin_end(origin);
    if (!x->client_full)
        hand_back(x);
}

/* 101: the connections now speak another protocol, which the flow relays by itself. `rest`: bytes
 * behind the head. */
static void upgrade(wst__exchange_t *x, wst_slice_t rest) {
    wst__client_t *c = x->owner;
    wst_stream_t *client = x->client, *origin = x->origin;
    wst_stream_read_stop(client);
    wst_stream_read_stop(origin);
    if (wst_stream_unread(origin, wst_slice_ref(rest)) != 0) {
        fail_exchange(x, WST_ENOMEM, OURS, NULL);
        return;
    }
    wst_flow_t *flow = finish_exchange(x, 0, "agent");
    wst__flow_take_seat(flow, &c->connection);
    bool closing = c->closing; /* on_stream_close may have closed it */
    wst__client_close(c);
    if (!closing && wst__flow_join(flow, client, origin) == 0)
        return;
    wst_stream_close(client, NULL); /* a reset, as the stream was not shut down */
    wst_stream_close(origin, NULL);
    wst_flow_cancel(flow);
}

/* Request: from the client to the origin ----------------------------------------------------- */

/* Reads the request's body while the origin has room; behind it, notices that the client ends. */
static void read_client(wst__exchange_t *x) {
    wst_stream_read_start(x->client, x->request_body.complete ? 0 : wst_stream_room(x->origin));
}

static void on_client_read(wst_stream_t *client, wst_slice_t data, void *user_data) {
    wst__exchange_t *x = user_data;
    wst_http_body_t *body = &x->request_body;
    note_movement(x);
    int n = wst_http_body_walk(body, (const char *)data.data, data.len, NULL);
    if (n < 0) {
        fail_exchange(x, WST_EHTTP, CLIENT_WRONG, body->error);
        return;
    }
    if (body->forbidden_trailer) {
        fail_exchange(x, WST_EHTTP, CLIENT_WRONG,
                      "field in the trailer section that belongs into the head");
        return;
    }
    int status = 0;
    if (n > 0) {
        const wst_slice_t part = {data.chunk, data.data, (size_t)n};
        x->flow->bytes_to_agent += part.len;
        wst_slice_ref(part);
        status = wst_stream_write(x->origin, &part, 1);
    }
    if (status < 0) {
        fail_exchange(x, status, ORIGIN, NULL);
    } else if ((size_t)n < data.len) {
        /* The next request waits in the stream until this one is done. */
        const wst_slice_t rest = {data.chunk, data.data + n, data.len - (size_t)n};
        wst_stream_read_stop(client);
        if (wst_stream_unread(client, wst_slice_ref(rest)) != 0)
            fail_exchange(x, WST_ENOMEM, OURS, NULL);
    } else if (status == WST_WAIT && !body->complete) {
        wst_stream_read_stop(client);
    } else {
        read_client(x);
    }
}

static void on_client_end(wst_stream_t *client, void *user_data) {
    wst__exchange_t *x = user_data;
    /* The end is put back, for the hijack to see it behind the answer. */
    wst_stream_read_stop(client);
    if (wst_stream_unread(client, wst_slice_static("", 0)) != 0)
        fail_exchange(x, WST_ENOMEM, OURS, NULL);
    else if (wst_http_body_end(&x->request_body) != 0)
        fail_exchange(x, WST_EHTTP, CLIENT_WRONG, x->request_body.error);
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
    fail_exchange(user_data, error, CLIENT_GONE, NULL);
}

static const wst_stream_callbacks_t client_callbacks = {.size = sizeof(client_callbacks),
                                                        .on_read = on_client_read,
                                                        .on_end = on_client_end,
                                                        .on_drain = on_client_drain,
                                                        .on_error = on_client_error};

/* Response: from the origin to the client ---------------------------------------------------- */

/* Writes to the client. False: the write failed and the exchange is over. */
static bool send_slices(wst__exchange_t *x, const wst_slice_t *slices, size_t count) {
    for (size_t i = 0; i < count; i++)
        x->flow->bytes_to_client += slices[i].len;
    int status = wst_stream_write(x->client, slices, count);
    if (status < 0) {
        fail_exchange(x, status, CLIENT_GONE, NULL);
        return false;
    }
    if (status == WST_WAIT) {
        x->client_full = true;
        wst_stream_read_stop(x->origin);
    }
    return true;
}

static bool send_client(wst__exchange_t *x, wst_slice_t slice) {
    return send_slices(x, &slice, 1);
}

/* As send_client, for a part of a body that is sent in chunks (RFC 9112 section 7.1). */
static bool send_as_chunk(wst__exchange_t *x, wst_slice_t part) {
    char line[WST__CHUNK_LINE_MAX];
    wst_slice_t slices[] = {
        {0}, part, wst_slice_static(WST__CHUNK_END, sizeof(WST__CHUNK_END) - 1)};
    size_t len = wst__http_chunk_line(line, part.len);
    if (wst_slice_copy(&slices[0], x->ctx, line, len) != 0) {
        wst_slice_unref(part);
        fail_exchange(x, WST_ENOMEM, OURS, NULL);
        return false;
    }
    return send_slices(x, slices, 3);
}

/* As send_client, for bytes outside of a wst_chunk_t. */
static bool send_copy(wst__exchange_t *x, wst_str_t text) {
    wst_slice_t slice;
    if (text.len == 0)
        return true;
    if (wst_slice_copy(&slice, x->ctx, text.ptr, text.len) != 0) {
        fail_exchange(x, WST_ENOMEM, OURS, NULL);
        return false;
    }
    return send_client(x, slice);
}

/* As send_client, for a part of the body. */
static bool send_part(wst__exchange_t *x, wst_slice_t part) {
    return x->reply.encode ? send_as_chunk(x, part) : send_client(x, part);
}

static void read_body(wst__exchange_t *x, wst_slice_t data) {
    wst_http_body_t *body = &x->reply.body;
    while (data.len > 0 && !body->complete) {
        const char *bytes = (const char *)data.data;
        wst_str_t held = {NULL, 0}, run;
        int n = x->reply.decode ? wst_http_body_walk(body, bytes, data.len, &run)
                                : wst__http_body_filter(body, bytes, data.len, &held, &run);
        if (n < 0) {
            fail_exchange(x, WST_EHTTP, ORIGIN, NULL);
            return;
        }
        const wst_slice_t part = {data.chunk, (const uint8_t *)run.ptr, run.len};
        data.data += n;
        data.len -= (size_t)n;
        if (!send_copy(x, held) || (part.len > 0 && !send_part(x, wst_slice_ref(part))))
            return;
    }
    if (body->complete)
        complete(x, data.len > 0);
}

/* A response's head has been parsed. False: the exchange is over. */
static bool forward_head(wst__exchange_t *x) {
    size_t cap = HEAD_MAX + WST__FORWARD_EXTRA;
    wst_chunk_t *chunk = wst__pool_chunk(&x->ctx->pool, cap);
    if (chunk == NULL) {
        fail_exchange(x, WST_ENOMEM, OURS, NULL);
        return false;
    }
    (void)wst__date(x->ctx, x->date);
    /* A client that is answered before its request is complete is closed: the rest is not read. */
    x->forward.keep_client = x->request_body.complete && !is_draining(x->owner);
    int len = wst__forward_response(&x->reply, &x->forward, &x->response,
                                    (char *)wst_chunk_data(chunk), cap);
    if (len <= 0)
        wst_chunk_unref(chunk);
    if (len < 0) {
        fail_exchange(x, WST_EHTTP, ORIGIN, len == WST_EHTTP ? x->reply.error : wst_strerror(len));
        return false;
    }
    x->answering = !x->reply.interim;
    x->head_len = x->scanned = 0;
    return len == 0 || send_client(x, (wst_slice_t){chunk, wst_chunk_data(chunk), (size_t)len});
}

/* Reads heads up to the final response's. False: it has not arrived, or the exchange is over. */
static bool read_heads(wst__exchange_t *x, wst_slice_t *data) {
    const wst_http_limits_t limits = {.size = sizeof(limits), .head_max = HEAD_MAX};
    while (!x->answering && data->len > 0) {
        if (x->gathered == NULL)
            x->gathered = wst__pool_chunk(&x->ctx->pool, HEAD_MAX);
        if (x->gathered == NULL) {
            fail_exchange(x, WST_ENOMEM, OURS, NULL);
            return false;
        }
        char *head = (char *)wst_chunk_data(x->gathered);
        size_t before = x->head_len, room = HEAD_MAX - before;
        size_t taken = data->len < room ? data->len : room;
        memcpy(head + before, data->data, taken);
        x->head_len += taken;
        int n = wst_http_parse_response(&x->response, head, x->head_len, &x->scanned, &limits);
        if (n < 0)
            fail_exchange(x, WST_EHTTP, ORIGIN,
                          n == WST_EHTTP ? x->response.error : wst_strerror(n));
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
    const wst_slice_t end = wst_slice_static(WST__CHUNKS_END, sizeof(WST__CHUNKS_END) - 1);
    if (!x->answering || wst_http_body_end(&x->reply.body) != 0)
        fail_exchange(x, UV_EOF, ORIGIN, NULL);
    else if (!x->reply.encode || send_client(x, end))
        complete(x, false);
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
    fail_exchange(user_data, error, ORIGIN, NULL);
}

static const wst_stream_callbacks_t origin_callbacks = {.size = sizeof(origin_callbacks),
                                                        .on_read = on_origin_read,
                                                        .on_end = on_origin_end,
                                                        .on_drain = on_origin_drain,
                                                        .on_error = on_origin_error};

/* Starting ----------------------------------------------------------------------------------- */

static wst__forward_t forward_of(const wst__client_t *c, const wst_http_head_t *head) {
    return (wst__forward_t){.request = head,
                            .target = &c->target,
                            .pseudonym = c->options->pseudonym,
                            .keep_origin = !is_draining(c)};
}

/* The request's head for the origin, of at most `cap` bytes. 0 or an error. */
static int write_head(wst__pool_t *pool, const wst__forward_t *forward, size_t cap,
                      wst_slice_t *out) {
    wst_chunk_t *chunk = wst__pool_chunk(pool, cap);
    if (chunk == NULL)
        return WST_ENOMEM;
    int len = wst__forward_request(forward, (char *)wst_chunk_data(chunk), cap);
    if (len < 0) {
        wst_chunk_unref(chunk);
        return len;
    }
    *out = (wst_slice_t){chunk, wst_chunk_data(chunk), (size_t)len};
    return 0;
}

/* A short head goes ahead of the agent's answer; not to a port on which this node listens, since
 * the self check comes with the answer. */
static wst_slice_t early_head(const wst_flow_t *flow, void *user_data) {
    wst__client_t *c = user_data;
    const wst__forward_t forward = forward_of(c, wst_hijack_request(c->hijack));
    (void)flow;
    if (c->early.len == 0 && forward.request != NULL &&
        !wst__ingress_owns_port(c->ingress, c->target.authority.port))
        (void)write_head(&c->ingress->ctx->pool, &forward, WST__EARLY_SENT_MAX,
                         &c->early); /* else later */
    return c->early;
}

void wst__client_drop_early(wst__client_t *c) {
    wst_slice_unref(c->early);
    c->early = (wst_slice_t){0};
}

/* Takes the part of the head that is still to be sent; empty: none. 0 or an error. */
static int take_head(wst__exchange_t *x, wst_slice_t *out) {
    wst__client_t *c = x->owner;
    size_t sent = x->flow->early_sent;
    if (c->early.len == 0)
        return write_head(&x->ctx->pool, &x->forward,
                          c->options->limits.head_max + WST__FORWARD_EXTRA, out);
    *out = (wst_slice_t){c->early.chunk, c->early.data + sent, c->early.len - sent};
    c->early = (wst_slice_t){0};
    x->flow->early_sent = 0; /* it has been counted */
    return 0;
}

/* Writes the request's head to the origin and starts reading both streams. */
static void send_request(wst__exchange_t *x) {
    wst_slice_t head;
    int status = take_head(x, &head);
    if (status != 0) {
        fail_exchange(x, status, OURS, NULL);
        return;
    }
    x->flow->bytes_to_agent += head.len;
    status = wst_stream_write(x->origin, &head, 1);
    if (status < 0) {
        fail_exchange(x, status, ORIGIN, NULL);
        return;
    }
    wst_stream_read_start(x->origin, 0);
    bool full = status == WST_WAIT || wst_stream_room(x->origin) == 0;
    if (!full || x->request_body.complete)
        read_client(x);
}

/* Takes the client's connection. 0 or WST_ENOMEM. */
static int exchange_new(wst__exchange_t **out, wst__client_t *c) {
    const wst_http_head_t *head = wst_hijack_request(c->hijack);
    wst_ctx_t *ctx = c->ingress->ctx;
    wst__exchange_t *x = wst__zalloc(&ctx->allocator, sizeof(*x));
    int status = x != NULL ? wst_hijack_take(c->hijack, &x->client) : WST_ENOMEM;
    if (status != 0) {
        wst__free(&ctx->allocator, x);
        return status;
    }
    x->owner = c;
    x->ctx = ctx;
    x->moved_ms = wst__now(ctx);
    x->forward = forward_of(c, head);
    x->forward.date = x->date;
    wst_http_body_request(&x->request_body, head);
    *out = x;
    return 0;
}

static void on_forward_established(wst_flow_t *flow, void *user_data) {
    wst__client_t *c = user_data;
    wst__exchange_t *x;
    int status = exchange_new(&x, c);
    if (status != 0) {
        wst__flow_refuse(flow, status, (wst_str_t){NULL, 0});
        return;
    }
    x->flow = flow;
    x->origin = wst__flow_release(flow);
    c->flow = NULL;
    c->exchange = x;
    wst__seat_admit(&c->connection);
    wst_stream_set_callbacks(x->client, &client_callbacks, x);
    wst_stream_set_callbacks(x->origin, &origin_callbacks, x);
    wst__deadline_in(x->ctx, &x->silence, c->ingress->limits.half_closed_timeout_ms, on_silence);
    wst__flow_begin(flow);
    if (!c->closing) /* on_stream_open may have closed it */
        send_request(x);
}

/* The exchange's flow relays: a flow that is being asked about or dialled ends by itself. */
static void on_forward_revoked(wst_flow_t *flow, void *user_data) {
    const wst__client_t *c = user_data;
    fail_exchange(c->exchange, WST_EDENIED, OURS, flow->revoked);
}

/* Whether the request may be sent again if a kept connection turns out to be stale. */
static bool is_repeatable(const wst_http_head_t *head) {
    static const char *const methods[] = {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"};
    if (head->chunked || head->content_length > 0)
        return false;
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (wst_str_eq(head->method, methods[i]))
            return true;
    return false;
}

/* Takes the kept connection if the request may use it; else ends it. */
static bool spare(wst_flow_t *flow, wst__origin_t *out, void *user_data) {
    wst__client_t *c = user_data;
    const wst_http_head_t *head = wst_hijack_request(c->hijack);
    bool taken =
        !is_draining(c) && head != NULL && is_repeatable(head) && wst__kept_take(c, flow, out);
    wst__kept_drop(c);
    return taken;
}

static void on_forward_refused(wst_flow_t *flow, const wst_refusal_info_t *info, void *user_data) {
    wst__client_drop_early(user_data);
    wst__client_on_refused(flow, info, user_data);
}

static const wst_flow_callbacks_t flow_callbacks = {.size = sizeof(flow_callbacks),
                                                    .on_established = on_forward_established,
                                                    .on_refused = on_forward_refused};

/* Why the request cannot be forwarded; NULL: it can. */
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

void wst__client_forward(wst__client_t *c, const wst_http_head_t *head,
                         const wst_http_target_t *target) {
    char destination[WST_DEST_MAX + 1];
    wst__authority_write(destination, sizeof(destination), &target->authority);
    wst_flow_t *flow = wst__client_flow(c, destination, &flow_callbacks);
    if (flow == NULL)
        return;
    c->target = *target;
    flow->spare = spare;
    flow->early = early_head;
    flow->on_revoked = on_forward_revoked;
    const wst__forward_t forward = forward_of(c, head);
    int cause = 0;
    const char *text = refusal_text(wst__forward_check(&forward), &cause);
    if (text != NULL)
        wst__flow_refuse(flow, cause, (wst_str_t){text, strlen(text)});
    else
        wst__flow_start(flow);
}
