/* SPDX-License-Identifier: MIT */
/*
 * Ports (wstunnel/port.h): a front end that asks its clients nothing. Until the destination is
 * reached, the client is watched, as a CONNECT is: if it goes away, the flow is cancelled; bytes
 * that it sends ahead are kept, and sent to the agent if that takes them. Then the connection
 * belongs to the flow, which knows no port.
 */
#include "addr.h"
#include "early.h"
#include "flow.h"
#include "labels.h"
#include "server.h"
#include "sized.h"
#include "socket.h"
#include "utf8.h"

#include <stdio.h>
#include <wstunnel/port.h>

struct wst_port {
    wst__list_t node;
    wst_server_t *server;
    wst__address_t *address; /* closed once the server drains or closes */
    char listens[WST__ADDR_TEXT];
    char destination[WST_DEST_MAX + 1], agent[WST_NAME_MAX + 1];
    char user[WST__USER_MAX + 1], tenant[WST__TENANT_MAX + 1];
    const char **labels;
    wst_flow_options_t flow; /* of each connection, but for its peer; its texts are those above */
    wst__list_t clients;     /* whose destinations are not reached yet */
    bool closing;
    wst__defer_t defer;
    wst_close_cb close_cb;
    void *user_data;
    wst__ticket_t hold;
};

typedef struct client {
    wst__list_t node;
    wst_port_t *port;
    wst_stream_t *stream;
    wst_flow_t *flow;
    wst__early_t early;
    wst__seat_t connection;
} client_t;

/* A client ----------------------------------------------------------------------------------- */

/* Frees the client, whose stream was handed on or closed. */
static void free_client(client_t *c) {
    wst__list_remove(&c->node);
    wst__early_free(&c->early);
    wst__seat_give_back(&c->connection);
    wst__free(&c->port->server->node.ctx->allocator, c);
}

/* Closes the client and cancels its flow. */
static void drop_client(client_t *c) {
    wst_flow_t *flow = c->flow;
    wst_stream_close(c->stream, NULL);
    free_client(c);
    wst_flow_cancel(flow); /* last: tells the embedder, which may close all */
}

static void refuse_client(client_t *c, int status) {
    wst__flow_refuse(c->flow, status, (wst_str_t){NULL, 0});
}

static void on_client_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    client_t *c = user_data;
    int status = wst__early_keep(&c->early, stream, data);
    if (status != 0)
        refuse_client(c, status);
    else
        wst__flow_send_early(c->flow);
}

static void on_client_end(wst_stream_t *stream, void *user_data) {
    client_t *c = user_data;
    (void)stream;
    if (c->early.kept.len == 0)
        drop_client(c);
}

static void on_client_error(wst_stream_t *stream, int error, void *user_data) {
    (void)stream;
    (void)error;
    drop_client(user_data);
}

static const wst_stream_callbacks_t client_callbacks = {.size = sizeof(client_callbacks),
                                                        .on_read = on_client_read,
                                                        .on_end = on_client_end,
                                                        .on_error = on_client_error};

/* Its flow ----------------------------------------------------------------------------------- */

static wst_slice_t early_bytes(const wst_flow_t *flow, void *user_data) {
    (void)flow;
    return ((const client_t *)user_data)->early.kept;
}

/* Hands the connection to the flow, with its place among the server's connections. */
static void on_flow_established(wst_flow_t *flow, void *user_data) {
    client_t *c = user_data;
    wst_stream_t *stream = c->stream;
    wst_stream_read_stop(stream);
    if (flow->early_sent > 0)
        wst__early_consume(&c->early, flow->early_sent);
    int status = wst__early_put_back(&c->early, stream);
    if (status != 0) {
        refuse_client(c, status);
        return;
    }
    wst_stream_set_callbacks(stream, NULL, NULL);
    wst__flow_take_seat(flow, &c->connection);
    free_client(c);
    wst__flow_relay(flow, stream);
}

static void on_flow_refused(wst_flow_t *flow, const wst_refusal_info_t *refusal, void *user_data) {
    client_t *c = user_data;
    (void)flow;
    wst_stream_reset(c->stream, refusal->code, NULL);
    free_client(c);
}

static const wst_flow_callbacks_t flow_callbacks = {.size = sizeof(flow_callbacks),
                                                    .on_established = on_flow_established,
                                                    .on_refused = on_flow_refused};

static int make_flow(client_t *c) {
    wst_flow_options_t options = c->port->flow;
    options.peer = wst_stream_peer(c->stream);
    int status = wst__flow_new(&c->flow, &c->port->server->ingress, &options, &flow_callbacks, c);
    if (status == 0)
        c->flow->early = early_bytes;
    return status;
}

/* On success takes the stream and its seat, and starts the flow, in which the embedder may close
 * all. 0 or WST_ENOMEM. */
static int add_client(wst_port_t *p, wst_stream_t *stream, wst__seat_t *seat) {
    const wst_allocator_t *allocator = &p->server->node.ctx->allocator;
    client_t *c = wst__zalloc(allocator, sizeof(*c));
    if (c == NULL)
        return WST_ENOMEM;
    c->port = p;
    c->stream = stream;
    int status = make_flow(c);
    if (status != 0) {
        wst__free(allocator, c);
        return status;
    }
    wst__seat_hand_on(seat, &c->connection);
    wst__list_init(&c->node);
    wst__list_append(&p->clients, &c->node);
    /* Often there is something already; then it goes to the agent together with the open. */
    c->early.kept = wst__socket_take(stream, WST__EARLY_MAX);
    wst_stream_set_callbacks(stream, &client_callbacks, c);
    if (c->early.kept.len < WST__EARLY_MAX)
        wst_stream_read_start(stream, WST__EARLY_MAX - c->early.kept.len);
    wst__flow_start(c->flow);
    return 0;
}

static void on_connection(wst__address_t *address, wst_stream_t *stream, wst__seat_t *seat,
                          void *owner) {
    wst_port_t *p = owner;
    (void)address;
    int status = add_client(p, stream, seat);
    if (status == 0)
        return;
    wst_ctx_log(p->server->node.ctx, WST_LOG_WARN, "port %s: client %s reset: %s", p->listens,
                wst_stream_peer(stream), wst_strerror(status));
    wst_stream_close(stream, NULL);
}

/* A port ------------------------------------------------------------------------------------- */

/* Copies the text; NULL if there is none. */
static const char *keep_port_text(char *out, size_t size, const char *text) {
    if (text == NULL || text[0] == '\0')
        return NULL;
    wst__utf8_cut(out, size, text);
    return out;
}

/* Sets the options of all flows. 0 or an error. */
static int describe_flows(wst_port_t *p, const wst_port_options_t *o) {
    p->flow = (wst_flow_options_t){.size = sizeof(p->flow),
                                   .destination = o->destination,
                                   .user = o->user,
                                   .tenant = o->tenant,
                                   .agent = o->agent,
                                   .labels = o->labels};
    int status = wst__flow_check(&p->flow, p->destination);
    if (status == 0)
        status = wst__labels_copy(&p->server->node.ctx->allocator, &p->labels, o->labels);
    if (status != 0)
        return status;
    p->flow.destination = p->destination;
    p->flow.agent = keep_port_text(p->agent, sizeof(p->agent), o->agent);
    p->flow.user = keep_port_text(p->user, sizeof(p->user), o->user);
    p->flow.tenant = keep_port_text(p->tenant, sizeof(p->tenant), o->tenant);
    p->flow.authenticated = p->flow.user != NULL;
    p->flow.labels = p->labels;
    return 0;
}

static void free_port(wst_port_t *p) {
    const wst_allocator_t *allocator = &p->server->node.ctx->allocator;
    wst__free(allocator, p->labels);
    wst__free(allocator, p);
}

int wst_port_new(wst_port_t **out, wst_server_t *s, const wst_port_options_t *given) {
    wst_port_options_t o;
    if (wst__sized_read(&o, sizeof(o), given) != 0)
        return WST_EINVAL;
    wst_port_t *p = wst__zalloc(&s->node.ctx->allocator, sizeof(*p));
    if (p == NULL)
        return WST_ENOMEM;
    p->server = s;
    p->user_data = o.user_data;
    wst__list_init(&p->node);
    wst__list_init(&p->clients);
    wst__defer_init(&p->defer);
    int status = describe_flows(p, &o);
    const wst__address_options_t address = {
        .text = o.listen, .open = o.open, .on_connection = on_connection, .owner = p};
    if (status == 0)
        status = wst__address_open(&p->address, s, &address);
    if (status != 0) {
        free_port(p);
        return status;
    }
    snprintf(p->listens, sizeof(p->listens), "%s", wst__address_text(p->address));
    wst__ticket_take(&p->hold, &s->node.holds);
    wst__list_append(&s->ports.list, &p->node);
    *out = p;
    return 0;
}

const char *wst_port_address(const wst_port_t *p) {
    return p->listens;
}

int wst_port_descriptor(const wst_port_t *p) {
    return wst__server_is_draining(p->server) ? -1 : wst__address_descriptor(p->address);
}

static void tell_port_closed(wst__defer_t *defer) {
    wst_port_t *p = WST__CONTAINER(defer, wst_port_t, defer);
    wst__ticket_t hold = {0};
    wst__ticket_hand_on(&p->hold, &hold);
    if (p->close_cb != NULL)
        p->close_cb(p->user_data);
    free_port(p);
    wst__ticket_give_back(&hold);
}

void wst_port_close(wst_port_t *p, wst_close_cb close_cb) {
    wst__list_t *node;
    if (p->closing)
        return;
    p->closing = true;
    p->close_cb = close_cb;
    wst__list_remove(&p->node);
    if (!wst__server_is_draining(p->server))
        wst__address_close(p->address);
    wst__defer(p->server->node.ctx, &p->defer, tell_port_closed);
    while ((node = wst__list_first(&p->clients)) != NULL)
        drop_client(WST__CONTAINER(node, client_t, node));
}

/* The part ----------------------------------------------------------------------------------- */

static void close_ports(wst__part_t *part) {
    const wst_server_t *s = WST__CONTAINER(part, wst_server_t, ports.part);
    wst__list_t *node; /* the first one each time: a callback may close another port */
    while ((node = wst__list_first(&s->ports.list)) != NULL)
        wst_port_close(WST__CONTAINER(node, wst_port_t, node), NULL);
}

void wst__ports_init(wst_server_t *s) {
    s->ports.part = (wst__part_t){.close = close_ports};
    wst__list_init(&s->ports.list);
    wst__node_add(&s->node, &s->ports.part);
}
